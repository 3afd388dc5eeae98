"""Turning a browser's camera towards the signal."""

from __future__ import annotations

from typing import Callable

import numpy as np
import viser
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO

from winner_ns.viewing.signal_view import Framing
from winner_ns.viewing.view import framing_distance


def frame_client(client: viser.ClientHandle, framing: Framing) -> None:
    """Moves a client's camera so that it faces the signal and sees all of it."""
    camera = client.camera
    with client.atomic():
        camera.up_direction = np.array(framing.up)
        camera.position = _position(camera, framing)
        camera.look_at = np.array(framing.center) * VISER_NERFSTUDIO_SCALE_RATIO


def keep_framed(client: viser.ClientHandle, framing: Callable[[], Framing]) -> None:
    """Frames the signal for a client that has just connected, and again when its window gets another shape, as it does
    while the page is laid out, until the user moves the camera."""
    frame_client(client, framing())
    aspect, position = client.camera.aspect, _position(client.camera, framing())

    @client.camera.on_update
    def _(camera: viser.CameraHandle) -> None:
        nonlocal aspect, position
        if camera.aspect != aspect and np.allclose(camera.position, position, rtol=1e-3, atol=1e-3):
            frame_client(client, framing())
            aspect, position = camera.aspect, _position(camera, framing())


def _position(camera: viser.CameraHandle, framing: Framing) -> np.ndarray:
    distance = framing.distance
    if distance is None:
        distance = framing_distance(framing.half_width, framing.half_height, camera.fov, camera.aspect, framing.radius)
    place = np.array(framing.center) + np.array(framing.towards_camera) * distance
    return place * VISER_NERFSTUDIO_SCALE_RATIO

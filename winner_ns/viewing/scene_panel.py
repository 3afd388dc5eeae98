"""The part of nerfstudio's control panel that belongs to fields of posed photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Tuple

import numpy as np
import viser
from nerfstudio.viewer.viewer_elements import ViewerButton, ViewerControl, ViewerElement

from winner_ns.fields.description import Description
from winner_ns.viewing.described import described_field
from winner_ns.viewing.framing import frame_client, keep_framed
from winner_ns.viewing.panel import folder_at_the_top, hide_training
from winner_ns.viewing.signal_view import Framing

if TYPE_CHECKING:
    from nerfstudio.viewer.viewer import Viewer


def scene_framing(scene: Mapping[str, Any]) -> Framing:
    """Where the viewer opens: of a scene in a box, so that all of the box is seen from where the first photograph was
    taken; of an unbounded one, as that photograph sees it.

    Args:
        scene: as `winner_ns.rays.scene_description.describe_scene` gives it.
    """
    pose = np.array(scene["camera_to_world"])
    backward, camera = pose[:3, 2], pose[:3, 3]
    low, high = np.array(scene["box"])
    middle, distance = (low + high) / 2, None
    away = float(np.linalg.norm(camera - middle))
    if scene["bounded"] and away > 0:
        backward = (camera - middle) / away
    elif not scene["bounded"]:
        distance = max(float(np.linalg.norm(camera - np.array(scene["focus"]))), 0.1)
        middle = camera - distance * backward
    return Framing(
        _plain_numbers(backward),
        0.0,
        0.0,
        float(np.linalg.norm(high - low)) / 2,
        center=_plain_numbers(middle),
        up=(0.0, 0.0, 1.0),  # As nerfstudio's parsers turn scenes.
        distance=distance,
    )


def _plain_numbers(vector: np.ndarray) -> Tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z


class ScenePanel(ViewerElement[Any], ViewerControl):
    """Says what the field is, and turns the viewer's cameras to where the scene is; as a control, it learns of the
    viewer itself.

    Args:
        description: of a run on posed photographs.
    """

    def __init__(self, description: Description) -> None:
        super().__init__("Scene")
        self.description = description
        self.framing = scene_framing(description.signal)
        self.frame_scene = ViewerButton("Frame the scene", lambda _: self._frame_all())

    def _create_gui_handle(self, viser_server: viser.ViserServer) -> None:
        self.gui_handle = viser_server.gui.add_markdown(described_field(self.description.name, self.description))

    def install(self, viser_server: viser.ViserServer) -> None:
        """Puts the elements into a folder at the top of nerfstudio's control tab."""
        with folder_at_the_top(viser_server.gui, "Field"):
            self._create_gui_handle(viser_server)
            self.frame_scene.install(viser_server)

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        hide_training(viewer)
        viewer.viser_server.on_client_connect(lambda client: keep_framed(client, lambda: self.framing))

    def _frame_all(self) -> None:
        for client in self.viser_server.get_clients().values():
            frame_client(client, self.framing)

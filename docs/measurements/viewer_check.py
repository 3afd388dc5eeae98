"""What a viewer shows, looked at without a browser: a client that says where its camera is, as viser's page does, and
takes what it is sent."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterator, List, Optional, Tuple, Type

import msgspec
import numpy as np
import torch
import trimesh
from jaxtyping import Float, UInt8
from PIL import Image
from websockets.sync.client import connect

from winner_ns.fields.files import LoadedField
from winner_ns.fitting.run import load_run
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.viewing.drawing import WHOLE
from winner_ns.viewing.shape_view import RESOLUTION

PATIENCE = 180.0
"""Seconds after which nothing more is waited for, on a machine that is busy with other things."""
LONGEST = 600.0
"""Seconds that a training may take."""
ADDRESS = re.compile(r"viewer\s+(http://\S+)")
CAMERA = {
    "type": "ViewerCameraMessage",
    "position": (0.0, 0.0, 30.0),
    "look_at": (0.0, 0.0, 0.0),
    "up_direction": (0.0, 1.0, 0.0),
    # The camera's right, down and forward are the scene's x, -y and -z.
    "wxyz": (0.0, 1.0, 0.0, 0.0),
    "fov": 1.2,
    "aspect": 1.5,
}


class ViewerClient:
    """Looks at what a viewer draws; to be used in a with statement.

    Args:
        address: the viewer's, http://127.0.0.1:7007 or another.
    """

    def __init__(self, address: str) -> None:
        self._opened = time.monotonic()
        self._socket = connect(address.replace("http", "ws", 1), max_size=None, compression=None, proxy=None)
        self._socket.send(msgspec.msgpack.encode(CAMERA))

    def __enter__(self) -> ViewerClient:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._socket.close()

    def received(self, kind: str) -> Iterator[Tuple[float, Any]]:
        """Messages of a kind as they come, with the seconds since connecting.

        Raises:
            TimeoutError: after PATIENCE.
        """
        while True:
            left = self._opened + PATIENCE - time.monotonic()
            for message in msgspec.msgpack.decode(self._socket.recv(timeout=max(left, 0.0), decode=False)):
                if message["type"] == kind:
                    yield time.monotonic() - self._opened, message

    def pictures(self) -> Iterator[Tuple[float, UInt8[np.ndarray, "h w 3"]]]:
        """Pictures in the scene, sRGB, as `received`."""
        for seconds, message in self.received("ImageMessage"):
            yield seconds, np.asarray(Image.open(io.BytesIO(message["data"])).convert("RGB"))

    def meshes(self) -> Iterator[Tuple[float, Float[np.ndarray, "v 3"]]]:
        """The vertices of meshes in the scene, as `received`."""
        for seconds, message in self.received("GlbMessage"):
            yield seconds, trimesh.load_mesh(io.BytesIO(message["glb_data"]), "glb", process=False).vertices


def looked_at(kind: str, training: List[str], run: Path, log: Path) -> Dict[str, Any]:
    """Trains with a viewer, looks at it at once, and again when the training is over, and ends it.

    Args:
        kind: image or shape.
        training: a command of ns-train with a viewer.
        run: the folder of its run.
        log: a file for what it says.

    Returns:
        first_seconds, from connecting to the first picture, or to the first mesh, which there is as soon as the field
        has a surface; and what `shown` tells of the finished field.

    Raises:
        RuntimeError: the training ends by itself, badly, or not within LONGEST; with the last of what it said.
        AssertionError: what is shown is blank, or not the field.
    """
    with log.open("w") as said:
        process = subprocess.Popen(training, stdout=said, stderr=subprocess.STDOUT)

    ends = time.monotonic() + LONGEST

    def wait_for_more() -> None:
        time.sleep(0.05)
        if time.monotonic() > ends:
            raise RuntimeError(f"the training does not end: {log.read_text().strip()[-400:]}")
        if process.poll() is not None:
            raise RuntimeError(log.read_text().strip()[-400:])

    try:
        while (address := ADDRESS.search(log.read_text())) is None:
            wait_for_more()
        with ViewerClient(address[1]) as client:
            seconds, first = next(client.pictures() if kind == "image" else client.meshes())
        assert np.ptp(first) > 0, "the first picture is blank"
        while not (run / "results" / "figures.json").exists():
            wait_for_more()
        told = {"first_seconds": round(seconds, 3), **shown(address[1], load_run(run))}
    finally:
        process.send_signal(signal.SIGINT)  # As a user leaves a viewer.
        status = process.wait(PATIENCE)
    if status:
        raise RuntimeError(f"Ctrl-C ends it with status {status}: {log.read_text().strip()[-400:]}")
    return told


@torch.no_grad()
def shown(address: str, field: LoadedField) -> Dict[str, Any]:
    """What a viewer shows of a field, once that is what the field's own values on a CPU are.

    Args:
        address: the viewer's.
        field: of an image or a shape, as it is there.

    Returns:
        seconds, from connecting until then; pixels, or vertices; and apart: the largest difference of a picture's
        values in 8-bit steps, or the distance to the surface, in the unit cube, that 999 of 1000 vertices keep.

    Raises:
        AssertionError: there is no such picture or mesh within PATIENCE.
    """
    field.network.cpu()
    told: Dict[str, Any] = {}
    with ViewerClient(address) as client, suppress(TimeoutError):
        if field.kind == "image":
            for seconds, picture in client.pictures():
                if max(picture.shape) < WHOLE:
                    continue  # In a hurry, or a part of it.
                apart = int(np.abs(own_picture(field, *picture.shape[:2]).astype(int) - picture).max())
                told = {"seconds": round(seconds, 3), "pixels": list(picture.shape[:2]), "apart": apart}
                if apart <= 1 and np.ptp(picture) > 0:
                    return told
        else:
            wanted = len(extract_unit_mesh(field, RESOLUTION)[0])
            for seconds, vertices in client.meshes():
                apart = field.unit_distance(torch.from_numpy(vertices).float()).abs().quantile(0.999).item()
                told = {"seconds": round(seconds, 3), "vertices": len(vertices), "apart": round(apart, 6)}
                if abs(len(vertices) / wanted - 1) < 0.01 and apart < 0.002:
                    return told
    raise AssertionError(f"the viewer does not show the field, but {told or 'nothing'}")


def own_picture(field: LoadedField, rows: int, columns: int) -> UInt8[np.ndarray, "h w 3"]:
    """An image's field at the middles of so many pixels over its extent, gray or colours."""
    down, right = field.signal["half_extent"]
    lines = ((torch.arange(n) + 0.5) * (2 * half / n) - half for n, half in ((rows, down), (columns, right)))
    points = torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).reshape(-1, 2)
    values = (field.normalised(points) * 127.5 + 127.5).clamp(0.0, 255.0).round().to(torch.uint8)
    return values.reshape(rows, columns, -1).expand(rows, columns, 3).numpy()

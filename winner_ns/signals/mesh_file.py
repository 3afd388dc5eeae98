"""Mesh files as they are: which format one is of, and its reader."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Optional

from winner_ns.errors import SignalError
from winner_ns.signals.meshes.gltf import read_gltf
from winner_ns.signals.meshes.mesh import MeshFile
from winner_ns.signals.meshes.obj import read_obj
from winner_ns.signals.meshes.off import read_off
from winner_ns.signals.meshes.ply import read_ply
from winner_ns.signals.meshes.stl import read_stl

_READERS: Dict[str, Callable[[Path, bool], MeshFile]] = {
    "obj": read_obj,
    "ply": read_ply,
    "stl": read_stl,
    "off": read_off,
    "glb": read_gltf,
    "gltf": read_gltf,
}
MESH_SUFFIXES = tuple(f".{name}" for name in _READERS)


def mesh_type(path: Path) -> Optional[str]:
    """What a file's format is called, told by its content or else by its suffix; None where it is no mesh.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(4)
    if head.startswith(b"ply"):
        return "ply"
    if head == b"glTF":
        return "glb"
    suffix = path.suffix.lower()
    return suffix[1:] if head and suffix in MESH_SUFFIXES else None


def read_mesh_file(path: Path, file_type: str, colours: bool = False) -> MeshFile:
    """Reads a file of a `mesh_type`.

    Args:
        path: the file.
        file_type: its format.
        colours: whether those of its surface are read, too, where the format has some.

    Raises:
        SignalError: it is damaged, or says what its reader does not understand.
    """
    try:
        return _READERS[file_type](path, colours)
    except OSError as error:
        raise SignalError(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from error

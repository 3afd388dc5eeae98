"""OFF (Geomview): vertices and faces as lines of numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
from jaxtyping import Float, UInt8

from winner_ns.errors import SignalError
from winner_ns.signals.meshes.colours import MeshColours, as_8_bit
from winner_ns.signals.meshes.mesh import MeshFile, text_numbers
from winner_ns.signals.meshes.polygons import triangulated, triangulated_corners

_ADVICE = "export the mesh again"
_WORD = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF|off")
_COMMENT = re.compile(rb"#[^\r\n]*")


def read_off(path: Path, colours: bool = False) -> MeshFile:
    """Reads OFF with colours, normals and texture coordinates (COFF, NOFF, STOFF and mixtures), which are left aside
    but for the normals of points alone. Faces may go on in the next line; the number of vertices may follow the word
    OFF at once, as in ModelNet.

    Args:
        path: the file.
        colours: read those of faces, or else of vertices, too.

    Raises:
        SignalError: it is binary or of other dimensions than three, or has fewer or more lines than it counts.
    """
    text = _COMMENT.sub(b"", path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    word = _WORD.match(text.lstrip())
    has_normals = bool(word and word[3])
    if word:
        if word[4] or word[5]:
            raise SignalError(path, f"is {word[0].decode()}, not of three dimensions", "give an OFF of x y z")
        text = text.lstrip()[word.end() :]
        if text.lstrip()[:6].upper() == b"BINARY":
            raise SignalError(path, "is binary OFF", "export it as text, or as PLY")
    lines = [line for line in text.splitlines() if not line.isspace() and line]
    counts = text_numbers(lines[0]) if lines else None
    if counts is None or len(counts) not in (2, 3) or not _are_counts(counts):
        raise SignalError(path, "is cut or no OFF: it does not say how many vertices and faces it has", _ADVICE)
    vertex_count, face_count = int(counts[0]), int(counts[1])
    lines = lines[1:]
    if len(lines) < vertex_count:
        problem = f"is cut, or its header lies: of {vertex_count} vertices {len(lines)} are there"
        raise SignalError(path, problem, "get a whole copy of the file")
    vertices, normals = _vertices(path, lines[:vertex_count], has_normals)
    notes: List[str] = []
    behind: Dict[int, List[List[bytes]]] = {}
    polygons = _faces(path, lines[vertex_count:], face_count, behind if colours else None)
    faces = triangulated(path, vertices, polygons.values(), notes)
    mesh = MeshFile(vertices, faces, None if len(faces) else normals, notes)
    if not colours:
        return mesh
    before = 6 if has_normals else 3
    of_vertices = _colours([line.split()[before:] for line in lines[:vertex_count]]) if word and word[2] else None
    return _coloured(path, mesh, polygons, of_vertices, _colours([row for n in polygons for row in behind[n]]))


def _colours(rows: List[List[bytes]]) -> Optional[UInt8[np.ndarray, "n 3"]]:
    """Red, green and blue that begin each row; None where one has fewer numbers."""
    if not rows or min(map(len, rows)) < 3:
        return None
    numbers = text_numbers(b" ".join(word for row in rows for word in row[:3]))
    if numbers is None or len(numbers) != 3 * len(rows):
        return None
    return as_8_bit(numbers.reshape(-1, 3), numbers.dtype)


def _coloured(
    path: Path,
    mesh: MeshFile,
    polygons: Dict[int, np.ndarray],
    of_vertices: Optional[UInt8[np.ndarray, "v 3"]],
    of_faces: Optional[UInt8[np.ndarray, "f 3"]],
) -> MeshFile:
    if not len(mesh.faces):
        return mesh if of_vertices is None else mesh._replace(colours=MeshColours(of_vertices[:, None]))
    if of_faces is not None:
        corners = np.repeat(of_faces, np.concatenate([np.full(len(p), n) for n, p in polygons.items()]), axis=0)
    elif of_vertices is not None:
        corners = of_vertices[np.concatenate([group.ravel() for group in polygons.values()])]
    else:
        return mesh
    triangles = triangulated_corners(path, mesh.vertices, list(polygons.values()))
    return mesh._replace(colours=MeshColours(corners[triangles]))


def _are_counts(numbers: Float[np.ndarray, " n"]) -> bool:
    return bool(((numbers >= 0) & (numbers < 2**48) & (numbers == np.floor(numbers))).all())


def _vertices(
    path: Path, lines: List[bytes], has_normals: bool
) -> Tuple[Float[np.ndarray, "v 3"], Optional[Float[np.ndarray, "v 3"]]]:
    wanted = 6 if has_normals else 3
    words = [line.split(None, wanted)[:wanted] for line in lines]
    short = next((i for i, row in enumerate(words) if len(row) < wanted), None)
    numbers = text_numbers(b" ".join(b" ".join(row) for row in words)) if short is None else None
    if numbers is None or numbers.size != wanted * len(lines):
        at = f"vertex {short} has fewer than {wanted} numbers" if short is not None else "has vertices of no numbers"
        raise SignalError(path, at, _ADVICE)
    table = numbers.reshape(-1, wanted)
    return table[:, :3], table[:, 3:] if has_normals else None


def _faces(
    path: Path, lines: List[bytes], count: int, behind: Optional[Dict[int, List[List[bytes]]]]
) -> Dict[int, np.ndarray]:
    """Numbers of vertices by how many corners faces have; `behind` gets the three words that stand behind those."""
    by_corners: Dict[int, List[bytes]] = {}
    at = 0
    for face in range(count):
        if at == len(lines):
            problem = f"is cut, or its header lies: of {count} faces {face} are there"
            raise SignalError(path, problem, "get a whole copy of the file")
        words = lines[at].split()
        at += 1
        if not words[0].isdigit():
            raise SignalError(path, f"face {face} does not say how many corners it has", _ADVICE)
        corners = int(words[0])
        while len(words) <= corners and at < len(lines):
            words += lines[at].split()
            at += 1
        if len(words) <= corners:
            raise SignalError(path, f"is cut: face {face} has fewer than its {corners} corners", "get a whole copy")
        # Behind the corners comes a colour.
        by_corners.setdefault(corners, []).append(b" ".join(words[1 : corners + 1]))
        if behind is not None:
            behind.setdefault(corners, []).append(words[corners + 1 : corners + 4])
    if at < len(lines):
        raise SignalError(path, f"has {len(lines) - at} lines more than its header counts", _ADVICE)
    found = {}
    for corners, rows in by_corners.items():
        numbers = text_numbers(b" ".join(rows))
        if numbers is None or numbers.size != corners * len(rows) or not _are_counts(numbers):
            raise SignalError(path, "has faces with corners that are no whole numbers", _ADVICE)
        found[corners] = numbers.astype(np.int64).reshape(len(rows), corners)
    return found

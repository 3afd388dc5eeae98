"""OBJ (Wavefront): lines with a keyword, read in pieces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError
from winner_ns.signals.meshes.mesh import MeshFile, text_numbers, words_per_line
from winner_ns.signals.meshes.obj_colours import ColoursOfPiece, ObjColours
from winner_ns.signals.meshes.polygons import triangulated

_PIECE = 2**24  # Bytes that are looked at in one go.
_ADVICE = "export the mesh again"

_COMMENT = re.compile(rb"#[^\r\n]*")
_CONTINUED = re.compile(rb"\\[ \t]*\r?\n")
_LINE = re.compile(rb"^[ \t]*([^ \t\n]+)([^\n]*)", re.MULTILINE)
_BEHIND_SLASH = re.compile(rb"/\S*")

_FREE_FORMS = (b"curv", b"curv2", b"surf")
_LEFT_OUT = (b"l", b"p")
_NO_GEOMETRY = frozenset(
    b"vt vp g o s mg usemtl mtllib usemap maplib bevel c_interp d_interp lod shadow_obj trace_obj ctech stech cstype "
    b"deg bmat step parm trim hole scrv sp end con call csh scmp bzp bsp cdc cdp res".split()
)


@dataclass
class _Counts:
    """How many lines say something that is not read."""

    odd_weights: int = 0
    free_forms: int = 0
    lines_and_points: int = 0
    unknown: int = 0
    first_unknown: str = ""

    def notes(self, path: Path) -> List[str]:
        said = [
            (self.free_forms, "curves and free-form surfaces are left out"),
            (self.lines_and_points, "lines and points are left out"),
            (self.odd_weights, "vertices have a weight other than 1, which polygons have no use for"),
            (self.unknown, f"lines say what no OBJ does, the first {self.first_unknown!r}; they are left out"),
        ]
        return [f"{path}: {count} {what}" for count, what in said if count]


class _Piece(NamedTuple):
    vertices: Float[np.ndarray, "v 3"]
    normals: Float[np.ndarray, "n 3"]
    polygons: Dict[int, np.ndarray]
    """Numbers of vertices from 0 on, by how many corners faces have."""
    colours: Optional[ColoursOfPiece] = None


def read_obj(path: Path, colours: bool = False) -> MeshFile:
    """Reads v and f; of a file of points alone vn too, if there is one for each.

    Lines, points and groups are left aside. Negative numbers count back from the last vertex before the face.

    Args:
        path: the file.
        colours: read those of vertices and of materials, too, and their textures, which lie in the file's folder; else
            no other file is opened.

    Raises:
        SignalError: a line that is no vertex or face, a number 0, or corners that are no vertices.
    """
    pieces: List[_Piece] = []
    counts, before = _Counts(), 0
    colouring = ObjColours(path) if colours else None
    with open(path, "rb") as file:
        for text in _pieces(file):
            pieces.append(_read_piece(path, text, before, counts, colouring))
            before += len(pieces[-1].vertices)
    if counts.free_forms and not any(piece.polygons for piece in pieces):
        raise SignalError(path, "holds curves or free-form surfaces and no faces", "export it as polygons")
    notes = counts.notes(path)
    places = np.concatenate([piece.vertices for piece in pieces])
    normals = np.concatenate([piece.normals for piece in pieces])
    corners = sorted({number for piece in pieces for number in piece.polygons})
    groups = [
        np.concatenate([piece.polygons[number] for piece in pieces if number in piece.polygons]) for number in corners
    ]
    faces = triangulated(path, places, groups, notes)
    alone = not len(faces) and len(normals) == len(places) > 0
    mesh = MeshFile(places, faces, normals if alone else None, notes)
    if colouring is None:
        return mesh
    return colouring.of_mesh(mesh, corners, groups, [piece.colours for piece in pieces if piece.colours])


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, with those that go on behind a backslash as one, without comments."""
    left = file.read(3).removeprefix(b"\xef\xbb\xbf")
    while True:
        block = file.read(_PIECE)
        text = left + block
        if not block:
            break
        stop = text.rfind(b"\n") + 1
        while stop and text[:stop].rstrip(b"\r\n \t").endswith(b"\\"):
            stop = text.rfind(b"\n", 0, stop - 1) + 1
        left = text[stop:]
        yield _joined_lines(text[:stop])
    yield _joined_lines(text)


def _joined_lines(text: bytes) -> bytes:
    # Old Macintosh files have returns only.
    text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # First the comments: a path at the end of one may end with a backslash.
    return _CONTINUED.sub(b" ", _COMMENT.sub(b"", text))


def _read_piece(path: Path, text: bytes, before: int, counts: _Counts, colouring: Optional[ObjColours]) -> _Piece:
    """What some lines hold, with so many vertices before them."""
    if b"\0" in text:
        raise SignalError(path, "is no OBJ: it has bytes that no text has", "export it as text in ASCII or UTF-8")
    lines: Dict[bytes, List[bytes]] = {b"v": [], b"vn": [], b"f": []}
    lines |= {} if colouring is None else {b"vt": []}
    seen: List[int] = []
    marks: List[Tuple[int, int]] = []
    for keyword, rest in _LINE.findall(text):
        keyword = b"f" if keyword == b"fo" else keyword  # As faces were called before.
        if keyword in lines:
            lines[keyword].append(rest)
            if keyword == b"f":
                seen.append(len(lines[b"v"]))
                if colouring is not None:
                    marks.append((len(lines[b"vt"]), colouring.material))
        elif colouring is not None and keyword in (b"usemtl", b"mtllib"):
            colouring.told(keyword, rest)
        elif keyword in _FREE_FORMS:
            counts.free_forms += 1
        elif keyword in _LEFT_OUT:
            counts.lines_and_points += 1
        elif keyword not in _NO_GEOMETRY:
            counts.unknown += 1
            counts.first_unknown = counts.first_unknown or keyword[:20].decode("utf-8", "replace")
    vertices, weights = _triples(path, lines[b"v"], "vertices")
    counts.odd_weights += int((weights != 1).sum())
    normals, _ = _triples(path, lines[b"vn"], "normals")
    polygons = _faces(path, lines[b"f"], before + np.array(seen, np.int64))
    colours = None if colouring is None else colouring.of_piece(lines, marks, polygons)
    return _Piece(vertices, normals, polygons, colours)


def _rows_of_numbers(path: Path, text: bytes, what: str) -> Tuple[Float[np.ndarray, " n"], Int[np.ndarray, " l"]]:
    """All numbers of some lines, and how many each line has."""
    sizes = words_per_line(text)
    numbers = text_numbers(text)
    if numbers is not None and numbers.size == sizes.sum():
        return numbers, sizes
    lines = text.splitlines()
    said = next((line for line in lines if (n := text_numbers(line)) is None or n.size != len(line.split())), b"")
    raise _no_obj(path, what, said)


def _no_obj(path: Path, what: str, line: bytes) -> SignalError:
    said = line.strip()[:60].decode("utf-8", "replace")
    return SignalError(path, f"is cut or no OBJ: its {what} have a line {said!r}", _ADVICE)


def _triples(path: Path, lines: List[bytes], what: str) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " w"]]:
    """The first three numbers of each line, and the fourth ones of those that have four."""
    if not lines:
        return np.empty((0, 3)), np.empty(0)
    numbers, sizes = _rows_of_numbers(path, b"\n".join(lines), what)
    if sizes.min() < 3:
        raise _no_obj(path, what, lines[int(sizes.argmin())])
    starts = np.cumsum(sizes) - sizes
    return numbers[starts[:, None] + np.arange(3)], numbers[starts[sizes == 4] + 3]


def _faces(path: Path, lines: List[bytes], seen: Int[np.ndarray, " f"]) -> Dict[int, np.ndarray]:
    """Numbers of vertices from 0 on, by how many corners faces have.

    Args:
        path: for messages.
        lines: the faces'.
        seen: how many vertices stand before each.
    """
    if not lines:
        return {}
    text = b"\n".join(lines)
    numbers, sizes = _rows_of_numbers(path, _BEHIND_SLASH.sub(b"", text) if b"/" in text else text, "faces")
    whole = np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2**48)
    if not whole.all():
        raise _no_obj(path, "faces", lines[int(np.searchsorted(np.cumsum(sizes), np.flatnonzero(~whole)[0], "right"))])
    if (numbers == 0).any():
        raise SignalError(path, "has a face with vertex 0, where OBJ counts from 1", _ADVICE)
    numbers = numbers.astype(np.int64)
    numbers = np.where(numbers > 0, numbers - 1, numbers + np.repeat(seen, sizes))
    starts = np.cumsum(sizes) - sizes
    return {int(size): numbers[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes) if size}

"""Colours of an OBJ: numbers behind its vertices, materials (MTL) and their textures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from winner_ns.errors import SignalError
from winner_ns.signals.meshes.beside import file_beside
from winner_ns.signals.meshes.colours import WHITE, MeshColours, TextureReader, Wrap, as_8_bit
from winner_ns.signals.meshes.mesh import MeshFile, text_numbers, words_per_line
from winner_ns.signals.meshes.polygons import triangulated_corners

_LARGEST_LIBRARY = 2**24
"""Bytes of a file of materials, of which each takes some hundred."""
_NO_CORNER = re.compile(rb"(?<!\S)/\S*")
_WITHOUT_PLACE = re.compile(rb"(?<!\S)[^\s/]+(?://\S*)?(?!\S)")
_WITH_PLACE = re.compile(rb"[^\s/]+/([^\s/]+)(?:/\S*)?")
_OPTIONS = {b"-blendu": 1, b"-blendv": 1, b"-bm": 1, b"-boost": 1, b"-cc": 1, b"-clamp": 1, b"-imfchan": 1, b"-mm": 2,
            b"-o": 3, b"-s": 3, b"-t": 3, b"-texres": 1, b"-type": 1}  # fmt: skip
"""Of textures, and how many words come behind each at most."""


class Material(NamedTuple):
    """What a material says of the colour of its faces."""

    diffuse: Optional[UInt8[np.ndarray, "3"]] = None
    texture: Optional[str] = None
    wrap: Tuple[Wrap, Wrap] = ("repeat", "repeat")


class ColoursOfPiece(NamedTuple):
    """What a part of the lines says of colours."""

    vertices: Optional[Float[np.ndarray, "v 3"]]
    places: Float[np.ndarray, "t 2"]
    """On textures, from the lower left."""
    corners: Dict[int, Int[np.ndarray, "f n"]]
    """Numbers of places from 0 on, by how many corners faces have; -1: none."""
    materials: Dict[int, Int[np.ndarray, " f"]]
    """Of the faces, likewise; -1: none."""


class ObjColours:
    """Collects what an OBJ's lines say of colours.

    Args:
        path: the OBJ.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.material = -1
        """That of the faces to come."""
        self._names: Dict[bytes, int] = {}
        self._libraries: List[bytes] = []
        self._places = 0

    def told(self, keyword: bytes, rest: bytes) -> None:
        """Takes note of a line with `usemtl` or `mtllib`."""
        if keyword == b"mtllib":
            self._libraries.append(rest.strip())
        else:
            self.material = self._names.setdefault(rest.strip(), len(self._names))

    def of_piece(
        self, lines: Dict[bytes, List[bytes]], marks: Sequence[Tuple[int, int]], polygons: Dict[int, np.ndarray]
    ) -> ColoursOfPiece:
        """The colours of a part of the lines.

        Args:
            lines: behind v, vt and f.
            marks: of each face, how many vt of this part stand before it, and its material.
            polygons: the faces that were made of these lines.
        """
        places = _numbers_in_rows(lines[b"vt"], 2)
        if places is None:
            places = np.full((len(lines[b"vt"]), 2), np.nan)
        before, self._places = self._places, self._places + len(places)
        # Of seven numbers the fourth is a weight.
        rows = (_numbers_in_rows(lines[b"v"], count, exactly=True) for count in (6, 7))
        colours = next((numbers[:, -3:] for numbers in rows if numbers is not None), None)
        corners: Dict[int, np.ndarray] = {}
        materials: Dict[int, np.ndarray] = {}
        if lines[b"f"]:
            # Words that begin with a slash are no corners.
            text = _NO_CORNER.sub(b"", b"\n".join(lines[b"f"]))
            sizes = words_per_line(text)
            numbers = text_numbers(_WITH_PLACE.sub(rb"\1", _WITHOUT_PLACE.sub(b"0", text)))
            if numbers is None or len(numbers) != sizes.sum():
                numbers = np.zeros(sizes.sum())
            seen, material = np.array(marks, np.int64).reshape(-1, 2).T
            numbers = np.nan_to_num(numbers).clip(-(2.0**48), 2.0**48).astype(np.int64)
            behind = np.repeat(before + seen, sizes)
            numbers = np.where(numbers > 0, numbers - 1, np.where(numbers < 0, numbers + behind, -1))
            starts = np.cumsum(sizes) - sizes
            for count in polygons:
                chosen = sizes == count
                corners[count] = numbers[starts[chosen][:, None] + np.arange(count)]
                materials[count] = material[chosen]
        return ColoursOfPiece(colours, places, corners, materials)

    def of_mesh(
        self, mesh: MeshFile, counts: Sequence[int], groups: Sequence[np.ndarray], pieces: Sequence[ColoursOfPiece]
    ) -> MeshFile:
        """A mesh with its colours: of each face its material's texture, or else that material's diffuse colour, or else
        those of its vertices.

        Args:
            mesh: without.
            counts: of corners of the groups.
            groups: the mesh's faces.
            pieces: what all lines say of colours.
        """
        numbers = [piece.vertices for piece in pieces if piece.vertices is not None]
        of_vertices = None
        if sum(map(len, numbers)) == len(mesh.vertices) > 0:
            of_vertices = as_8_bit(np.concatenate(numbers), np.dtype(np.float64))
        if not len(mesh.faces):
            return mesh if of_vertices is None else mesh._replace(colours=MeshColours(of_vertices[:, None]))
        notes: List[str] = []
        materials = self._materials(notes)
        if of_vertices is None and not materials:
            return mesh._replace(colour_notes=notes)
        textures = TextureReader(self.path)
        triangles = triangulated_corners(self.path, mesh.vertices, groups)
        vertex_of = np.concatenate([group.ravel() for group in groups])
        of_faces = np.concatenate(
            [np.repeat(np.concatenate([p.materials[n] for p in pieces if n in p.materials]), n) for n in counts]
        )
        place_of = np.concatenate(
            [np.concatenate([p.corners[n] for p in pieces if n in p.corners]).ravel() for n in counts]
        )
        places = np.concatenate([piece.places for piece in pieces])
        there = (place_of >= 0) & (place_of < len(places))
        uv = np.zeros((len(place_of), 2), np.float32)
        uv[there] = places[place_of[there]]
        there &= np.isfinite(uv).all(axis=1)
        uv[:, 1] = 1.0 - uv[:, 1]
        colours = np.full((len(vertex_of), 3), WHITE, np.uint8) if of_vertices is None else of_vertices[vertex_of]
        texture = np.full(len(vertex_of), -1, np.int32)
        said = of_vertices is not None
        for name, number in self._names.items():
            material = materials.get(name, Material())
            on = of_faces == number
            if not on.any():
                continue
            if material.texture is None and material.diffuse is not None and of_vertices is None:
                colours[on], said = material.diffuse, True
            elif material.texture is not None and (there & on).any():
                texture[on & there] = textures.of_file(material.texture, material.wrap)
        notes += textures.notes()
        mesh = mesh._replace(colour_notes=notes)
        of_triangles = texture[triangles].min(axis=1)
        if (of_triangles >= 0).any():
            corners = colours[triangles]
            return mesh._replace(
                colours=MeshColours(corners, False, np.nan_to_num(uv)[triangles], of_triangles, textures.textures)
            )
        return mesh._replace(colours=MeshColours(colours[triangles])) if said else mesh

    def _materials(self, notes: List[str]) -> Dict[bytes, Material]:
        """Those of all libraries that can be read."""
        found: Dict[bytes, Material] = {}
        problems = []
        for library in dict.fromkeys(self._libraries):
            try:
                try:
                    files = [file_beside(self.path, _as_name(library))]
                except SignalError:
                    # Several names may stand in one line.
                    files = [file_beside(self.path, _as_name(word)) for word in library.split()]
                for file in files:
                    with open(file, "rb") as opened:
                        text = opened.read(_LARGEST_LIBRARY + 1)
                    if len(text) > _LARGEST_LIBRARY:
                        raise SignalError(self.path, f"its materials {file.name!r} are too many", "give fewer")
                    found.update(_materials_of(text))
            except SignalError as error:
                problems.append(error.problem)
            except OSError as error:
                problems.append(f"its materials {_as_name(library)!r} cannot be read ({error.strerror})")
        if problems:
            notes.append(f"{self.path}: {problems[0]}; the surface has no colours from it")
        return found


def _as_name(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _materials_of(text: bytes) -> Dict[bytes, Material]:
    found: Dict[bytes, Material] = {}
    name = b""
    for line in text.splitlines():
        keyword, _, rest = line.strip().partition(b" ")
        rest = rest.strip()
        if keyword == b"newmtl":
            name = rest
            found[name] = Material()
        elif keyword == b"Kd" and name in found:
            numbers = text_numbers(rest)
            if numbers is not None and len(numbers) == 3:
                shown = (np.nan_to_num(numbers).clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
                found[name] = found[name]._replace(diffuse=shown)
        elif keyword == b"map_Kd" and name in found:
            file, clamped = _texture_of(rest)
            wrap: Wrap = "clamp" if clamped else "repeat"
            found[name] = found[name]._replace(texture=file, wrap=(wrap, wrap))
    return found


def _texture_of(text: bytes) -> Tuple[str, bool]:
    """The file that a texture's line names behind its options, and whether it ends at its sides."""
    clamped = False
    while text.startswith(b"-"):
        option, _, text = text.partition(b" ")
        words = text.split()
        for word in words[: _OPTIONS.get(option.lower(), 0)]:
            if option.lower() in (b"-o", b"-s", b"-t") and text_numbers(word) is None:
                break  # These have one to three numbers.
            clamped |= option.lower() == b"-clamp" and word == b"on"
            text = text.split(word, 1)[1].lstrip()
    return _as_name(text.strip()), clamped


def _numbers_in_rows(lines: Sequence[bytes], count: int, exactly: bool = False) -> Optional[Float[np.ndarray, "n k"]]:
    """The first numbers of each line; None where one has fewer, or not exactly so many where that is asked for."""
    if not lines:
        return np.empty((0, count))
    text = b"\n".join(lines)
    sizes, numbers = words_per_line(text), text_numbers(text)
    if numbers is None or len(numbers) != sizes.sum() or sizes.min() < count or (exactly and sizes.max() > count):
        return None
    starts = np.cumsum(sizes) - sizes
    return numbers[starts[:, None] + np.arange(count)]

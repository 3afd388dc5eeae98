"""PLY (Turk 1994): elements with properties, as text or binary, lists of any type and length anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np
from jaxtyping import Float, Int, UInt8

from winner_ns.errors import SignalError, counted
from winner_ns.signals.meshes.colours import WHITE, MeshColours, TextureReader, as_8_bit
from winner_ns.signals.meshes.mesh import MeshFile, text_numbers
from winner_ns.signals.meshes.polygons import triangulated, triangulated_corners

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "int64": "i8", "uint64": "u8", "float32": "f4", "float64": "f8",
}  # fmt: skip
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_NORMALS = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"))
_CORNERS = ("vertex_indices", "vertex_index")
_COLOURS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_PLACES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_LONGEST_HEADER = 2**20
# Bytes behind the last element that are no sign of a wrong count: the end of a line.
_FEW = 3
_BATCH = 2**18


class _Property(NamedTuple):
    name: str
    type: np.dtype
    """Of the number, or of a list's numbers."""
    count_type: Optional[np.dtype]
    """Of a list's length; None: it is a single number."""


@dataclass
class _Element:
    name: str
    count: int
    properties: List[_Property] = field(default_factory=list)


Lists = List[Tuple[Int[np.ndarray, " m"], np.ndarray]]
"""Rows' numbers and their lists [m, n], of all lists with n numbers together."""


_Table = Dict[str, Union[np.ndarray, Lists]]
"""Columns by name."""


def read_ply(path: Path, colours: bool = False) -> MeshFile:
    """Reads vertices, faces of any number of corners and triangle strips; points alone with their normals.

    Args:
        path: the file.
        colours: read those of vertices or faces, too, and textures in its folder (`comment TextureFile`).

    Raises:
        SignalError: the header makes no sense, the elements do not end where the file does, or corners are no vertices.
    """
    data = path.read_bytes()
    file_format, elements, start, textures = _header(path, data)
    declared = {element.name: {p.name: p.type for p in element.properties} for element in elements}
    if file_format == "ascii":
        numbers = text_numbers(data[start:])
        if numbers is None:
            raise SignalError(path, "has something else than numbers behind its header", "export the mesh again")
        # As binary with doubles only, which hold all of PLY's integers.
        body, number = numbers.view(np.uint8), np.dtype("f8")
        for element in elements:
            element.properties = [_Property(p.name, number, p.count_type and number) for p in element.properties]
    else:
        body = np.frombuffer(data, np.uint8, offset=start)
    at, tables = 0, {}
    for element in elements:
        at, tables[element.name] = _rows(path, body, at, element)
    if len(body) - at > (0 if file_format == "ascii" else _FEW):
        raise SignalError(
            path, f"has {counted(len(body) - at, 'byte')} more than its header counts", "export the mesh again"
        )
    return _mesh(path, tables, _Told(declared, textures) if colours else None)


class _Told(NamedTuple):
    """What a header tells of colours."""

    types: Dict[str, Dict[str, np.dtype]]
    """Of the properties of each element."""
    textures: List[str]


def _header(path: Path, data: bytes) -> Tuple[str, List[_Element], int, List[str]]:
    """The format, the elements and where they begin, and the textures that comments name."""
    lines, at, file_format, elements, textures = [], 0, "", [], []
    end = b"\r\n" if b"\r\n" in data[:8] else b"\r" if b"\r" in data[:8] else b"\n"
    advice = "export the mesh again"
    while not lines or lines[-1] != "end_header":
        stop = data.find(end, at, _LONGEST_HEADER)
        if stop < 0:
            raise SignalError(path, "is cut or no PLY file: its header has no end", advice)
        lines.append(data[at:stop].decode("utf-8", "replace").strip())
        at = stop + len(end)
    if lines[0].removeprefix("\ufeff") != "ply":
        raise SignalError(path, "is no PLY file", advice)
    for line in lines[1:-1]:
        words = line.split()
        try:
            if not words or words[0] in ("comment", "obj_info"):
                if words[1:2] == ["TextureFile"]:
                    textures.append(line.split("TextureFile", 1)[1].strip())
                continue
            if words[0] == "format" and words[1] in _ORDERS and not elements and not file_format:
                file_format = words[1]
            elif words[0] == "element" and len(words) == 3 and words[2].isdecimal() and file_format:
                if words[1] in (element.name for element in elements):
                    raise ValueError
                elements.append(_Element(words[1], int(words[2])))
            elif words[0] == "property":
                order, (*types, name) = _ORDERS[file_format], words[1:]
                elements[-1].properties.append(_property(order, types, name))
            else:
                raise ValueError
        except (KeyError, IndexError, ValueError) as error:
            raise SignalError(path, f"has a line {line[:60]!r} in its header that says nothing", advice) from error
    return file_format, elements, at, textures


def _property(order: str, types: List[str], name: str) -> _Property:
    if len(types) == 1:
        return _Property(name, np.dtype(order + _TYPES[types[0]]), None)
    if len(types) != 3 or types[0] != "list":
        raise ValueError
    return _Property(name, np.dtype(order + _TYPES[types[2]]), np.dtype(order + _TYPES[types[1]]))


def _rows(path: Path, body: UInt8[np.ndarray, " b"], at: int, element: _Element) -> Tuple[int, _Table]:
    """Where an element's rows end, and its columns by name: arrays, and `Lists`."""
    # Of properties with the same name the first counts.
    names = list(dict.fromkeys(p.name for p in element.properties))
    if not element.count or not element.properties:
        empty = np.empty(0)
        return at, {p.name: empty if p.count_type is None else [] for p in element.properties}
    cut = SignalError(
        path,
        f"is cut, or its header counts too many: the {element.count} of {element.name} are not all there",
        "get a whole copy of the file or export the mesh again",
    )
    least = sum((p.count_type or p.type).itemsize for p in element.properties)
    if element.count * least > len(body) - at:
        raise cut
    lengths = _lengths(body, at, element)
    if lengths is None:
        raise cut
    # Nearly all files have lists of one length.
    table = _uniform(body, at, element, lengths)
    if table is not None:
        rows = np.arange(element.count)
        columns = {
            name: table[f"{name}"] if f"{name} count" not in (table.dtype.names or ()) else [(rows, table[name])]
            for name in names
        }
        return at + table.nbytes, columns
    starts, end = _walked(body, at, element)
    if end is None:
        raise cut
    columns = {}
    for i, p in enumerate(element.properties):
        if p.name in columns:
            continue
        if p.count_type is None:
            columns[p.name] = _gathered(body, starts[i], p.type, 1)[:, 0]
            continue
        counts = _gathered(body, starts[i], p.count_type, 1)[:, 0].astype(np.int64)
        columns[p.name] = [
            (rows, _gathered(body, starts[i][rows] + p.count_type.itemsize, p.type, int(length)))
            for length in np.unique(counts)
            for rows in [np.flatnonzero(counts == length)]
        ]
    return end, columns


def _lengths(body: UInt8[np.ndarray, " b"], at: int, element: _Element) -> Optional[List[int]]:
    """The lengths of the first row's lists; None where they are none."""
    lengths = []
    for p in element.properties:
        if p.count_type is not None:
            count = body[at : at + p.count_type.itemsize]
            if len(count) < p.count_type.itemsize:
                return None
            length = count.view(p.count_type)[0]
            if not (0 <= length <= len(body)) or length != int(length):
                return None
            at += p.count_type.itemsize
            lengths.append(int(length))
            at += lengths[-1] * p.type.itemsize
        else:
            at += p.type.itemsize
    return lengths


def _uniform(body: UInt8[np.ndarray, " b"], at: int, element: _Element, lengths: List[int]) -> Optional[np.ndarray]:
    """The rows as a table, if all of them have lists as long as the first one's."""
    remaining = list(lengths)
    fields, used = [], set()
    for i, p in enumerate(element.properties):
        name = p.name if p.name not in used else f"{p.name} again {i}"
        used.add(name)
        if p.count_type is None:
            fields.append((name, p.type))
        else:
            fields += [(f"{name} count", p.count_type), (name, p.type, (remaining.pop(0),))]
    row = sum(np.dtype(kind).itemsize * int(np.prod(shape)) for _, kind, *shape in fields)
    if row * element.count > len(body) - at:
        return None
    table = body[at : at + row * element.count].view(np.dtype(fields))
    counts = [name for name, *_ in fields if name.endswith(" count")]
    same = all((table[name] == table[name][0]).all() for name in counts)
    return table if same else None


def _walked(body: UInt8[np.ndarray, " b"], at: int, element: _Element) -> Tuple[Int[np.ndarray, "p n"], Optional[int]]:
    """Where each property of each row begins, and where the rows end; None where that is beyond the file's end.

    Row after row: only a list's length says where the next one begins.
    """
    starts = np.empty((len(element.properties), element.count), np.int64)
    size, steps = len(body), [(p.type.itemsize, p.count_type) for p in element.properties]
    raw = memoryview(body.tobytes())
    for row in range(element.count):
        for i, (width, count_type) in enumerate(steps):
            starts[i, row] = at
            if count_type is not None:
                if at + count_type.itemsize > size:
                    return starts, None
                length = _length(raw[at : at + count_type.itemsize], count_type)
                if length is None:
                    return starts, None
                at += count_type.itemsize + length * width
            else:
                at += width
        if at > size:
            return starts, None
    return starts, at


def _length(raw: memoryview, count_type: np.dtype) -> Optional[int]:
    if count_type.kind in "iu":
        order = "big" if count_type.byteorder == ">" else "little"
        length = int.from_bytes(raw, order, signed=count_type.kind == "i")
        return length if length >= 0 else None
    number = float(np.frombuffer(raw, count_type)[0])
    return int(number) if number >= 0 and number == np.floor(number) < 2**48 else None


def _gathered(body: UInt8[np.ndarray, " b"], starts: Int[np.ndarray, " m"], kind: np.dtype, count: int) -> np.ndarray:
    """So many numbers from each of some places on, [m, count]."""
    result = np.empty((len(starts), count), kind)
    bytes_of = result.view(np.uint8).reshape(len(starts), count * kind.itemsize) if count else None
    for first in range(0, len(starts) if bytes_of is not None else 0, _BATCH):
        part = slice(first, first + _BATCH)
        bytes_of[part] = body[starts[part, None] + np.arange(count * kind.itemsize)]  # pyright: ignore
    return result


def _mesh(path: Path, tables: Dict[str, _Table], told: Optional[_Told]) -> MeshFile:
    advice = "export the mesh again"
    vertex, notes = tables.get("vertex", {}), []
    vertices = _columns(vertex, ("x", "y", "z"))
    if vertices is None:
        raise SignalError(path, "has no vertices with x, y and z", advice)
    polygons: List[np.ndarray] = []
    rows: List[np.ndarray] = []
    for name in ("face", "tristrips"):
        table = tables.get(name, {})
        lists = next((table[key] for key in _CORNERS if isinstance(table.get(key), list)), None)
        if lists is None and any(len(column) for column in table.values()):  # pyright: ignore[reportArgumentType]
            raise SignalError(path, f"has an element {name} without lists of vertices", advice)
        for of_rows, corners in lists or []:  # pyright: ignore[reportGeneralTypeIssues]
            polygons += _as_polygons(path, name, corners)
            rows += [of_rows] * (name == "face")
    faces = triangulated(path, vertices, polygons, notes)
    normals = None if len(faces) else next((n for axes in _NORMALS if (n := _columns(vertex, axes)) is not None), None)
    mesh = MeshFile(vertices, faces, normals, notes)
    return mesh if told is None else _coloured(path, mesh, tables, told, polygons, rows)


def _coloured(
    path: Path,
    mesh: MeshFile,
    tables: Dict[str, _Table],
    told: _Told,
    polygons: List[Int[np.ndarray, "m n"]],
    rows: List[Int[np.ndarray, " m"]],
) -> MeshFile:
    """A mesh with the colours of its points, textures, faces or vertices, the first of these that it has.

    Args:
        polygons: all, those of the element `face` before those of strips.
        rows: of the element `face`, which of its rows they are.
    """
    of_vertices = _table_colours(tables["vertex"], told.types["vertex"])
    face = tables.get("face", {})
    of_faces = _table_colours(face, told.types.get("face", {}))
    if of_vertices is None and of_faces is None and not told.textures:
        return mesh
    if not len(mesh.faces):
        return mesh if of_vertices is None else mesh._replace(colours=MeshColours(of_vertices[:, None]))
    triangles = triangulated_corners(path, mesh.vertices, polygons)
    vertex_of = np.concatenate([group.ravel() for group in polygons])
    corners = np.full((len(vertex_of), 3), WHITE, np.uint8) if of_vertices is None else of_vertices[vertex_of]
    count = sum(group.size for group in polygons[: len(rows)])
    row_of = np.concatenate([np.empty(0, np.int64), *(np.repeat(r, p.shape[1]) for r, p in zip(rows, polygons))])
    if of_faces is not None:
        corners[:count] = of_faces[row_of]
    uv = _texture_places(tables, polygons, rows, vertex_of) if told.textures else None
    textures = TextureReader(path)
    if uv is not None:
        numbers = np.array([textures.of_file(name) for name in told.textures])
        which = np.zeros(len(vertex_of), np.int64)
        named = face.get("texnumber")
        if isinstance(named, np.ndarray) and len(named):
            which[:count] = np.nan_to_num(named)[row_of]
        which = np.where((which >= 0) & (which < len(numbers)), which, 0)
        on = np.where(np.isfinite(uv).all(axis=1), numbers[which], -1)[triangles]
        mesh = mesh._replace(colour_notes=textures.notes())
        if (on >= 0).any():
            flipped = np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1).astype(np.float32)
            texture = on.min(axis=1).astype(np.int32)
            colours = MeshColours(corners[triangles], False, flipped[triangles], texture, textures.textures)
            return mesh._replace(colours=colours)
    if of_faces is None and of_vertices is None:
        return mesh
    return mesh._replace(colours=MeshColours(corners[triangles]))


def _table_colours(table: _Table, types: Dict[str, np.dtype]) -> Optional[UInt8[np.ndarray, "n 3"]]:
    for names in _COLOURS:
        columns = _columns(table, names)
        if columns is not None and len(columns):
            return as_8_bit(columns, types[names[0]])
    return None


def _texture_places(
    tables: Dict[str, _Table],
    polygons: List[Int[np.ndarray, "m n"]],
    rows: List[Int[np.ndarray, " m"]],
    vertex_of: Int[np.ndarray, " c"],
) -> Optional[Float[np.ndarray, "c 2"]]:
    """Where on a texture each corner is, from the lower left; NaN where that is not said, None where it nowhere is."""
    lists = tables.get("face", {}).get("texcoord")
    if isinstance(lists, list):
        found = np.full((len(vertex_of), 2), np.nan)
        # Of all rows at once: lists of places need not be grouped as those of vertices are.
        begins = np.full(max((int(r.max()) + 1 for r in rows if len(r)), default=0), -1)
        sizes, start = np.zeros_like(begins), 0
        for of_rows, group in zip(rows, polygons):
            begins[of_rows] = start + np.arange(len(of_rows)) * group.shape[1]
            sizes[of_rows], start = group.shape[1], start + group.size
        for of_rows, values in lists:
            corners = values.shape[1] // 2
            fits = (of_rows < len(sizes)) & (values.shape[1] % 2 == 0)
            fits[fits] &= sizes[of_rows[fits]] == corners
            at = begins[of_rows[fits], None] + np.arange(corners)
            found[at.ravel()] = np.asarray(values[fits], np.float64).reshape(-1, 2)
        return found
    for names in _PLACES:
        columns = _columns(tables["vertex"], names)
        if columns is not None:
            return columns[vertex_of]
    return None


def _columns(table: _Table, names: Tuple[str, ...]) -> Optional[Float[np.ndarray, "n k"]]:
    found = [table.get(name) for name in names]
    if not all(isinstance(column, np.ndarray) for column in found):
        return None
    with np.errstate(invalid="ignore"):
        return np.stack([np.asarray(column, np.float64) for column in found], axis=1)


def _as_polygons(path: Path, name: str, corners: np.ndarray) -> List[np.ndarray]:
    if corners.dtype.kind == "f" and not (np.isfinite(corners) & (corners == np.floor(corners))).all():
        raise SignalError(path, "has corners that are no whole numbers", "export the mesh again")
    corners = corners.astype(np.int64)
    if name == "face":
        return [corners]
    return [part for strip in corners for part in strip_triangles(np.split(strip, np.flatnonzero(strip < 0)))]


def strip_triangles(strips: List[Int[np.ndarray, " _"]]) -> List[Int[np.ndarray, "_ 3"]]:
    """Triangles of strips, every second one of which runs the other way round; negative numbers are left out."""
    triangles = []
    for strip in strips:
        strip = strip[strip >= 0]
        if len(strip) >= 3:
            found = np.stack([strip[:-2], strip[1:-1], strip[2:]], axis=1)
            found[1::2] = found[1::2, ::-1]
            triangles.append(found)
    return triangles

"""Mesh files by value: what they enclose, as formulas and independent readers say."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.errors import SignalError
from winner_ns.signals import ShapeSignal, load_signal
from winner_ns.signals.mesh_file import mesh_type, read_mesh_file

Faces = List[List[int]]

# A C of area 10, an arrowhead of area 3, and a C with corners on its sides.
C_SHAPE = [(0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (4, 3), (4, 4), (0, 4)]
ARROW = [(0, 0), (4, 0), (1, 1), (0, 4)]
C_WITH_MORE = [(0, 0), (1, 0), (2, 0), (4, 0), (4, 1), (2.5, 1), (1, 1), (1, 2), (1, 3), (4, 3), (4, 4), (0, 4), (0, 1)]


def prism(outline: Sequence[Tuple[float, float]], roll: int = 0) -> Tuple[np.ndarray, Faces]:
    """A prism of height 1 with one polygon a cap, which begins at the corner `roll`."""
    n = len(outline)
    vertices = np.array([(x, y, z) for z in (0.0, 1.0) for x, y in outline])
    top, bottom = [*range(n, 2 * n)], [*range(n)][::-1]
    sides = [[i, (i + 1) % n, (i + 1) % n + n, i + n] for i in range(n)]
    return vertices, [top[roll:] + top[:roll], bottom[roll:] + bottom[:roll], *sides]


def distance_to_prism(points: np.ndarray, outline: Sequence[Tuple[float, float]]) -> np.ndarray:
    """By shapely, whose polygons are no triangles."""
    import shapely

    flat = shapely.Polygon(outline)
    places = shapely.points(points[:, :2])
    beside = shapely.distance(flat.exterior, places) * np.where(shapely.contains(flat, places), -1, 1)
    above = np.abs(points[:, 2] - 0.5) - 0.5
    outside = np.hypot(np.maximum(beside, 0), np.maximum(above, 0))
    return outside + np.minimum(np.maximum(beside, above), 0)


def assert_prism(shape: ShapeSignal, outline: Sequence[Tuple[float, float]], tolerance: float = 1e-6) -> None:
    assert shape.watertight and shape.warnings == []
    points = np.random.default_rng(0).uniform(-0.3, 1.3, (1500, 3)) * [4, 4, 1]
    found = shape.signed_distance((points - shape.center) / shape.scale) * shape.scale
    np.testing.assert_allclose(found, distance_to_prism(points, outline), atol=tolerance)


def as_obj(vertices: np.ndarray, faces: Faces) -> bytes:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    return "\n".join(lines + ["f " + " ".join(str(i + 1) for i in face) for face in faces]).encode() + b"\n"


def as_off(vertices: np.ndarray, faces: Faces) -> bytes:
    lines = [f"OFF\n{len(vertices)} {len(faces)} 0"] + [f"{x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    return "\n".join(lines + [" ".join(map(str, [len(face), *face])) for face in faces]).encode() + b"\n"


def as_ply(vertices: np.ndarray, faces: Faces, file_format: str = "ascii", count: str = "uchar", index: str = "int"):
    header = (
        f"ply\nformat {file_format} 1.0\ncomment made here\nelement vertex {len(vertices)}\nproperty double x\n"
        f"property double y\nproperty double z\nelement face {len(faces)}\nproperty list {count} {index} "
        "vertex_indices\nend_header\n"
    ).encode()
    if file_format == "ascii":
        rows = [" ".join(map(repr, row)) for row in vertices.tolist()]
        return header + "\n".join(rows + [" ".join(map(str, [len(f), *f])) for f in faces]).encode() + b"\n"
    order = "<" if "little" in file_format else ">"
    codes = {"uchar": "B", "ushort": "H", "int": "i", "uint": "I", "char": "b", "short": "h"}
    body = vertices.astype(f"{order}f8").tobytes()
    for face in faces:
        body += struct.pack(f"{order}{codes[count]}{len(face)}{codes[index]}", len(face), *face)
    return header + body


WRITERS = {
    "obj": as_obj,
    "off": as_off,
    "ply": as_ply,
    "little.ply": lambda v, f: as_ply(v, f, "binary_little_endian", "uchar", "uint"),
    "big.ply": lambda v, f: as_ply(v, f, "binary_big_endian", "int", "short"),
    "odd.ply": lambda v, f: as_ply(v, f, "binary_big_endian", "ushort", "uchar"),
}


def load(path: Path, content: bytes) -> ShapeSignal:
    path.write_bytes(content)
    return load_signal(path)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = np.moveaxis(np.asarray(vertices)[np.asarray(faces)], 1, 0)
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)


@pytest.mark.parametrize("outline", [C_SHAPE, ARROW, C_WITH_MORE], ids=["c", "arrow", "c-with-more"])
@pytest.mark.parametrize("writer", WRITERS)
def test_concave_faces_are_what_they_outline(tmp_path: Path, writer: str, outline: list) -> None:
    for roll in range(0, len(outline), 1 if writer == "obj" else 4):
        shape = load(tmp_path / f"a{roll}.{writer}", WRITERS[writer](*prism(outline, roll)))
        assert_prism(shape, outline)


def test_faces_of_the_other_side_are_turned_not_lost(tmp_path: Path) -> None:
    vertices, faces = prism(C_SHAPE, 2)
    faces[0] = faces[0][::-1]
    shape = load(tmp_path / "a.obj", as_obj(vertices, faces))
    assert shape.watertight and "wrong way" in shape.warnings[0]
    assert shape.enclosed_volume() * shape.scale**3 == pytest.approx(10)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["obj", "little.ply", "off"]))
def test_bent_and_turned_faces_still_cover_their_outline(tmp_path_factory, seed: int, writer: str) -> None:
    """Slightly out of plane, far away, in any unit and direction, from any corner on."""
    generator = np.random.default_rng(seed)
    outline = [C_SHAPE, ARROW][seed % 2]
    vertices, faces = prism(outline, int(generator.integers(len(outline))))
    vertices += 1e-3 * generator.standard_normal(vertices.shape)
    turn = trimesh.transformations.random_rotation_matrix(generator.random(3))[:3, :3]
    size = 10.0 ** generator.integers(-6, 6)
    placed = size * (vertices @ turn.T + generator.uniform(-100, 100, 3))
    shape = load(tmp_path_factory.mktemp("bent") / f"a.{writer}", WRITERS[writer](placed, faces))
    assert shape.watertight and shape.warnings == []
    assert shape.enclosed_volume() * (shape.scale / size) ** 3 == pytest.approx({8: 10, 4: 4}[len(outline)], rel=0.01)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(5, 60))
def test_star_shaped_faces_have_their_area(tmp_path_factory, seed: int, corners: int) -> None:
    generator = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = generator.uniform(0.2, 1.0, corners)
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    area = np.abs(np.cross(outline, np.roll(outline, -1, axis=0)).sum()) / 2
    path = tmp_path_factory.mktemp("star") / "a.ply"
    shape = load(path, as_ply(*prism(outline.tolist(), int(generator.integers(corners)))))
    assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(area, rel=1e-9)


def test_a_face_with_a_hole_reached_by_a_bridge(tmp_path: Path) -> None:
    """Its outline runs to the hole and back, so that two corners come twice."""
    outer, inner = [(0, 0), (4, 0), (4, 4), (0, 4)], [(1, 1), (1, 3), (3, 3), (3, 1)]
    vertices = np.array([(x, y, z) for z in (0.0, 1.0) for x, y in outer + inner])
    cap = [0, 1, 2, 3, 0, 4, 5, 6, 7, 4]
    sides = [[i, (i + 1) % 4, (i + 1) % 4 + 8, i + 8] for i in range(4)]
    sides += [[4 + i, 4 + (i + 1) % 4, 4 + (i + 1) % 4 + 8, 4 + i + 8] for i in range(4)]
    shape = load(tmp_path / "a.obj", as_obj(vertices, [[i + 8 for i in cap], cap[::-1], *sides]))
    assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(12)
    assert shape.signed_distance((np.array([[2, 2, 0.5]]) - shape.center) / shape.scale)[0] * shape.scale == 1


def test_repeated_corners_and_faces_that_cross_themselves(tmp_path: Path) -> None:
    vertices, faces = prism(C_SHAPE)
    faces[0] = [faces[0][0], *faces[0], faces[0][-1]]
    assert_prism(load(tmp_path / "a.off", as_off(vertices, faces)), C_SHAPE)
    turns = 4 * np.pi / 5 * np.arange(5)
    pentagram = as_off(*prism([(float(np.cos(turn)), float(np.sin(turn))) for turn in turns]))
    assert any("2 faces crossing themselves" in line for line in load(tmp_path / "b.off", pentagram).warnings)


# Against other readers -----------------------------------------------------------------------------------------------


def by_meshlab(path: Path) -> float:
    import pymeshlab

    meshes = pymeshlab.MeshSet()
    meshes.load_new_mesh(str(path))
    meshes.meshing_merge_close_vertices()
    return float(meshes.get_geometric_measures()["mesh_volume"])


def by_trimesh(path: Path) -> float:
    mesh = trimesh.load_scene(path, process=False).to_mesh()
    return volume(mesh.vertices, mesh.faces)


def some_mesh() -> trimesh.Trimesh:
    mesh = trimesh.creation.annulus(0.5, 1.0, 1.5)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(0.7, (1, 2, 3), (0.2, 0.1, 0)))
    return mesh


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb"])
def test_two_other_readers_find_the_same_volume(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    some_mesh().export(path)
    mesh = read_mesh_file(path, mesh_type(path) or "")
    for other in (by_trimesh, by_meshlab):
        assert volume(mesh.vertices, mesh.faces) == pytest.approx(other(path), rel=1e-5)
    assert by_trimesh(path) == pytest.approx(some_mesh().volume, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("text", [True, False])
def test_plyfile_writes_what_is_read(tmp_path: Path, text: bool) -> None:
    """Big-endian, with an element before the vertices, other properties, and triangles beside quadrangles."""
    from plyfile import PlyData, PlyElement

    vertices, faces = prism([(0, 0), (2, 0), (2, 1), (0, 1)])
    faces[0:1] = [faces[0][:3], [faces[0][0], *faces[0][2:]]]
    rows = np.array([(7, *row, 0.5) for row in vertices.tolist()], "u1,f8,f8,f8,f4")
    rows.dtype.names = ("red", "x", "y", "z", "quality")
    table = np.empty(len(faces), [("flags", "u1"), ("vertex_index", object), ("texcoord", object), ("texnumber", "i4")])
    for i, face in enumerate(faces):
        table[i] = (1, np.array(face, "i4"), np.zeros(2 * len(face), "f4"), 3)
    camera = np.array([(1.0, 2)], "f4,i2")
    elements = [PlyElement.describe(camera, "camera"), PlyElement.describe(rows, "vertex")]
    PlyData([*elements, PlyElement.describe(table, "face")], text=text, byte_order=">").write(tmp_path / "a.ply")
    shape = load_signal(tmp_path / "a.ply")
    assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(2)
    again = PlyData.read(tmp_path / "a.ply")["face"]["vertex_index"]
    assert [list(map(int, face)) for face in again] == faces


# OBJ -----------------------------------------------------------------------------------------------------------------

CUBE = prism([(0, 0), (1, 0), (1, 1), (0, 1)])


def moved(offset: float) -> Tuple[np.ndarray, Faces]:
    return CUBE[0] + [offset, 0, 0], CUBE[1]


def test_negative_numbers_count_from_the_vertices_so_far(tmp_path: Path) -> None:
    blocks = []
    for i in range(3):
        vertices, faces = moved(2.0 * i)
        lines = [f"o part{i}"] + ["v {} {} {}".format(*row) for row in vertices] + ["vn 0 0 1"]
        blocks += lines + ["f " + " ".join(f"{j - 8}//-1" for j in face) for face in faces]
    shape = load(tmp_path / "a.obj", "\n".join(blocks).encode())
    assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(3)
    points = np.array([[0.5, 0.5, 0.5], [1.5, 0.5, 0.5], [2.5, 0.5, 0.5], [4.5, 0.5, 0.5]])
    distances = shape.signed_distance((points - shape.center) / shape.scale) * shape.scale
    np.testing.assert_allclose(distances, [-0.5, 0.5, -0.5, -0.5], atol=1e-12)


VARIANTS = {
    "tabs": lambda s: s.replace(" ", "\t"),
    "indented": lambda s: "".join("  \t" + line for line in s.splitlines(True)),
    "bom": lambda s: "\ufeff" + s,
    "comments": lambda s: "# C:\\models\\\n" + s.replace("\n", " # 1 2 3\n"),
    "continued": lambda s: "\n".join(line.replace(" ", " \\\n", 2) for line in s.split("\n")),
    "crlf": lambda s: s.replace("\n", "\r\n"),
    "cr": lambda s: s.replace("\n", "\r"),
    "normals": lambda s: s.replace("f ", "vn 0 0 1\nf ").replace(" 5 6", " 5//1 6//1"),
    "textures": lambda s: "mtllib a.mtl\nvt 0 0\n" + "\n".join(slashed(line) for line in s.split("\n")),
    "weights": lambda s: "\n".join(line + " 1.0" if line.startswith("v") else line for line in s.split("\n")),
    "colours": lambda s: "\n".join(line + " 255 0 1" if line.startswith("v") else line for line in s.split("\n")),
    "some-colours": lambda s: s.replace("\n", " 0.5 0.5 0.5\n", 1),
    "groups": lambda s: "g a b\ns off\nusemtl red\n" + s + "\ng\n",
    "former-word": lambda s: s.replace("f ", "fo "),
    "spaces": lambda s: s.replace(" ", "    ").replace("\n", "   \n\n"),
}


def slashed(line: str) -> str:
    return " ".join(["f", *(f"{word}/1" for word in line.split()[1:])]) if line.startswith("f") else line


@pytest.mark.parametrize("variant", VARIANTS)
def test_obj_is_read_however_it_is_laid_out(tmp_path: Path, variant: str) -> None:
    text = VARIANTS[variant](as_obj(*prism(C_SHAPE)).decode())
    (tmp_path / "a.obj").write_bytes(text.encode())
    assert_prism(load_signal(tmp_path / "a.obj"), C_SHAPE)


def test_what_an_obj_has_beside_faces_is_said(tmp_path: Path) -> None:
    content = as_obj(*CUBE) + b"l 1 2\np 3\nxyz 1 2\nv 0 0 0 0.5\n"
    said = " ".join(load(tmp_path / "a.obj", content).warnings)
    assert "2 lines and points" in said and "'xyz'" in said and "1 vertices have a weight" in said


def test_pieces_of_an_obj_are_one_mesh(tmp_path: Path, monkeypatch) -> None:
    text = VARIANTS["continued"](as_obj(*prism(C_SHAPE)).decode()).replace("f \\\n13", "f -4").encode()
    for size in (1, 7, 50):
        monkeypatch.setattr("winner_ns.signals.meshes.obj._PIECE", size)
        assert_prism(load(tmp_path / "a.obj", text), C_SHAPE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 0 1 2\n", "vertex 0, where OBJ counts from 1"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "vertices that are not there"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -1 -2 -9\n", "vertices that are not there"),
        (b"v 0 0 0\nv 1 0\nv 0 1 0\nf 1 2 3\n", "vertices have a line '1 0'"),
        (b"v 0 0 0\nv 1,5 0 0\nv 0 1 0\nf 1 2 3\n", "vertices have a line '1,5 0 0'"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3x\n", "faces have a line '1 2 3x'"),
        (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 1.5\n", "faces have a line '1 2 1.5'"),
        ("v 0 0 0\n".encode("utf-16"), "bytes that no text has"),
        (b"v 0 0 0\nsurf 0 1 0 1 1 2 3 4\n", "free-form surfaces"),
    ],
)
def test_obj_that_says_nothing_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SignalError, match=said):
        load(tmp_path / "a.obj", content)


# STL -----------------------------------------------------------------------------------------------------------------


def as_stl(mesh: trimesh.Trimesh, head: bytes = b"") -> bytes:
    rows = np.zeros(len(mesh.faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["corners"] = mesh.triangles
    return head.ljust(80, b" ") + struct.pack("<I", len(rows)) + rows.tobytes()


def test_a_binary_stl_may_call_itself_solid(tmp_path: Path) -> None:
    shape = load(tmp_path / "a.stl", as_stl(some_mesh(), b"solid facet normal 0 0 1"))
    assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(some_mesh().volume, rel=1e-5)


def test_stl_text_of_several_solids_in_any_letters(tmp_path: Path) -> None:
    one, other = trimesh.creation.box((1, 1, 1)), trimesh.creation.box((1, 1, 1)).apply_translation((3, 0, 0))
    text = "".join(trimesh.exchange.stl.export_stl_ascii(mesh) + "\n" for mesh in (one, other))
    names = text.upper().replace("SOLID", "SOLID named vertex 1 2 3")
    for content in (text, names, *(text.replace("\n", end) for end in ("\r\n", "\r"))):
        shape = load(tmp_path / "a.stl", content.encode())
        assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(2)


def test_numbers_that_are_none_are_counted(tmp_path: Path) -> None:
    content = bytearray(as_stl(some_mesh()))
    content[96:100] = b"\1\0\x80\x7f"  # A NaN that signals.
    with pytest.raises(SignalError, match="vertices are NaN or infinite"):
        load(tmp_path / "a.stl", bytes(content))


@pytest.mark.parametrize("count", [0, 2**32 - 1])
def test_an_unknown_number_of_triangles_is_counted(tmp_path: Path, count: int) -> None:
    content = bytearray(as_stl(some_mesh()))
    content[80:84] = struct.pack("<I", count)
    shape = load(tmp_path / "a.stl", bytes(content))
    assert shape.watertight and f"counts {count} triangles" in shape.warnings[0]


def test_stl_that_lies_or_is_cut_says_so(tmp_path: Path) -> None:
    mesh = some_mesh()
    count, whole = len(mesh.faces), as_stl(mesh, b"solid")
    text = trimesh.exchange.stl.export_stl_ascii(mesh).encode()
    cases = [
        (whole[:80] + struct.pack("<I", count + 5) + whole[84:], f"counts {count + 5} triangles, of which {count} are"),
        (whole[:80] + struct.pack("<I", count - 5) + whole[84:], f"counts {count - 5} triangles .* room for {count}"),
        (whole[: len(whole) // 2], f"counts {count} triangles, of which {(len(whole) // 2 - 84) // 50} are there"),
        (whole[:60], "is cut"),
        (text[: len(text) // 2], "is cut or no STL: 'facet' is part of no whole facet"),
        (text[: text.rindex(b"endsolid")], "endsolid is missing"),
        (text.replace(b"outer loop", b"outer loop vertex 0 0 0", 1), "part of no whole facet"),
        (text.replace(b"vertex ", b"vertex x", 1), "no numbers"),
        (b"solid a\nendsolid a\n", "without facets"),
    ]
    for content, said in cases:
        with pytest.raises(SignalError, match=said):
            load(tmp_path / "a.stl", content)


# OFF -----------------------------------------------------------------------------------------------------------------


def test_off_in_all_its_forms(tmp_path: Path) -> None:
    vertices, faces = prism(C_SHAPE)
    counts = f"{len(vertices)} {len(faces)} 24"
    rows = [f"{x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    corners = [" ".join(map(str, [len(f), *f])) for f in faces]
    coloured = [line + ["", " 255 0 0", " 0.1 0.2 0.3 1.0", " 7"][i % 4] for i, line in enumerate(corners)]
    wrapped = [line.replace(" ", "\n", 3) if i == 0 else line for i, line in enumerate(corners)]
    for head, points, polygons in (
        (f"OFF\n{counts}", rows, corners),
        (f"off\n{counts}", rows, corners),
        (f"OFF{counts}", rows, coloured),  # As ModelNet has it.
        (f"OFF {counts}", rows, wrapped),
        (f"{counts}", rows, corners),
        (f"# made here\n\nCOFF # with colours\n{counts} # of each\n", [r + " 1 2 3 255" for r in rows], coloured),
        (f"NOFF\n{counts}", [r + " 0 0 1" for r in rows], corners),
        (f"STCNOFF\n{counts}", [r + " 0 0 1 9 9 9 9 0.5 0.5" for r in rows], corners),
        (f"OFF\n{counts}\n\n#\n", [r + "  # a vertex" for r in rows], coloured),
    ):
        content = "\n".join([head, *points, *polygons]).encode()
        assert_prism(load(tmp_path / "a.off", content), C_SHAPE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"4OFF\n1 1 0\n0 0 0 0\n", "4OFF, not of three"),
        (b"OFF BINARY\n\0\0\0\1", "binary OFF"),
        (b"OFF\n8 9\n0 0 0\n", "of 8 vertices 1 are there"),
        (b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "of 2 faces 1 are there"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4 0 1 2\n", "face 0 has fewer than its 4 corners"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n3 0 2 1\n", "1 lines more than"),
        (b"OFF\n3 1 0\n0 0 0\n1 0\n0 1 0\n3 0 1 2\n", "vertex 1 has fewer than 3 numbers"),
        (b"OFF\nhello\n", "does not say how many"),
    ],
)
def test_off_that_lies_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(SignalError, match=said):
        load(tmp_path / "a.off", content)


# PLY -----------------------------------------------------------------------------------------------------------------


def test_triangle_strips_of_a_ply(tmp_path: Path) -> None:
    """As Stanford's scans have them, with -1 between strips."""
    corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)]
    strip = [0, 2, 1, 3, -1, 4, 5, 6, 7, -1, 0, 1, 4, 5, -1, 2, 6, 3, 7, -1, 0, 4, 2, 6, -1, 1, 3, 5, 7]
    content = (
        "ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\n"
        "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    )
    content += "\n".join("{} {} {}".format(*c) for c in corners) + f"\n{len(strip)} " + " ".join(map(str, strip)) + "\n"
    shape = load(tmp_path / "a.ply", content.encode())
    assert shape.watertight and shape.warnings == []
    assert shape.enclosed_volume() * shape.scale**3 == pytest.approx(1)


@pytest.mark.parametrize("few", ["0", "1 3", "2 3 4"])
def test_faces_of_too_few_corners_are_left_out(tmp_path: Path, few: str) -> None:
    sides = ["3 0 2 1", "3 0 1 3", "3 1 2 3", "3 2 0 3"]
    header = "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 5\nproperty list uchar int vertex_indices\nend_header\n"
    rows = ["0 0 0", "1 0 0", "0 1 0", "0 0 1", "9 9 9", *sides[:2], few, *sides[2:]]
    shape = load(tmp_path / "a.ply", (header + "\n".join(rows) + "\n").encode())
    assert shape.watertight and any("1 face of fewer than three corners" in line for line in shape.warnings)
    assert shape.enclosed_volume() * shape.scale**3 == pytest.approx(1 / 6)


@pytest.mark.parametrize("writer", ["ply", "little.ply", "big.ply"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_ply_that_lies_or_is_cut_says_so(tmp_path: Path, writer: str, end: bytes) -> None:
    vertices, faces = prism(C_SHAPE)
    head, _, body = WRITERS[writer](vertices, faces).partition(b"end_header\n")
    head = (head + b"end_header\n").replace(b"\n", end)
    assert_prism(load(tmp_path / "a.ply", head + body), C_SHAPE)
    for content, said in (
        (head + body[: len(body) // 2], "is cut, or its header counts too many"),
        (head + body[:-9], "is cut, or its header counts too many"),
        (head.replace(b"face 10", b"face 9") + body, "more than its header counts"),
        (head.replace(b"face 10", b"face 11") + body, "is cut, or its header counts too many"),
        (head.replace(b"vertex 16", b"vertex 99999999999") + body, "is cut, or its header counts too many"),
        (head[:50], "header has no end"),
        (head.replace(b"double x", b"real x") + body, "'property real x' in its header"),
        (head.replace(b"double x", b"double w") + body, "no vertices with x, y and z"),
        (head.replace(b"vertex_indices", b"neighbours") + body, "without lists of vertices"),
    ):
        with pytest.raises(SignalError, match=said):
            load(tmp_path / "a.ply", content)


@pytest.mark.parametrize("suffix", ["obj", "ply", "off"])
def test_points_alone_are_points(tmp_path: Path, suffix: str) -> None:
    index = np.arange(800) + 0.5
    z, angle = 1 - 2 * index / 800, np.pi * (1 + 5**0.5) * index
    points = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
    shape = load(tmp_path / f"a.{suffix}", WRITERS[suffix](2 * points, []))
    assert shape.source == "points" and len(shape.points) == 800
    assert shape.signed_distance(np.zeros((1, 3)))[0] * shape.scale == pytest.approx(-2, abs=0.02)

"""Colours of an original on the mesh of what was fitted to it, read back by trimesh.

The fields are balls of half the unit cube: which side of a cube, or which part of a larger ball, a vertex is nearest to
is told by a formula.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import numpy as np
import pytest
import trimesh
from PIL import Image
from png_files import chunk
from test_export import ball_run, run_json
from test_gltf import Gltf

import winner_ns
from winner_ns.errors import SignalError
from winner_ns.export.mesh import MeshOptions, export_mesh
from winner_ns.export.output import export_fitted
from winner_ns.export.web.exhibit import PageOptions
from winner_ns.export.web.page import write_page
from winner_ns.fitting.run import load_run
from winner_ns.meshing.fitted_surface import usual_resolution
from winner_ns.signals import ShapeSignal, signal_of
from winner_ns.signals.meshes.colours import Texture

SIDES = np.array([[200, 30, 0], [0, 128, 0], [10, 20, 255], [255, 255, 0], [90, 90, 90], [0, 60, 61]], np.uint8)
"""Colours of a cube's sides: -x, x, -y, y, -z, z."""
CORNERS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


def squares() -> np.ndarray:
    """A cube's sides, their corners in turn."""
    rows = []
    for axis in range(3):
        for side in (-1.0, 1.0):
            on = np.flatnonzero(CORNERS[:, axis] == side)
            rows.append(on[[0, 1, 3, 2]])
    return np.array(rows)


def cube_ply(path: Path) -> Path:
    header = "ply\nformat ascii 1.0\nelement vertex 8\n" + "".join(f"property float {axis}\n" for axis in "xyz")
    header += "element face 6\nproperty list uchar int vertex_indices\n"
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue")) + "end_header\n"
    rows = [" ".join(map(str, row)) for row in CORNERS]
    rows += [" ".join(map(str, [4, *face, *colour])) for face, colour in zip(squares(), SIDES)]
    path.write_text(header + "\n".join(rows) + "\n")
    return path


def cube_off(path: Path) -> Path:
    rows = ["OFF", "8 6 0", *(" ".join(map(str, row)) for row in CORNERS)]
    rows += [" ".join(map(str, [4, *face, *colour])) for face, colour in zip(squares(), SIDES)]
    path.write_text("\n".join(rows) + "\n")
    return path


def cube_obj(path: Path) -> Path:
    """By materials, one of which has a name with a space."""
    rows = ["mtllib its colours.mtl", *(f"v {x} {y} {z}" for x, y, z in CORNERS)]
    library = []
    for number, (face, colour) in enumerate(zip(squares(), SIDES)):
        rows += [f"usemtl side {number}", "f " + " ".join(f"{corner + 1}//1" for corner in face)]
        library += [f"newmtl side {number}", "Kd " + " ".join(f"{value / 255:.6f}" for value in colour)]
    path.write_text("\n".join(rows) + "\n")
    (path.parent / "its colours.mtl").write_text("\n".join(library) + "\n")
    return path


def linear(colours: np.ndarray) -> np.ndarray:
    """As the standard of sRGB has it."""
    values = np.asarray(colours, np.float64) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def cube_glb(path: Path) -> Path:
    """By materials, and one of the sides by its vertices' colours; all of it stands in a node that mirrors it."""
    gltf = Gltf()
    gltf.json["materials"] = []
    primitives = []
    for number, (face, colour) in enumerate(zip(squares(), linear(SIDES))):
        places = gltf.accessor((CORNERS[face] * [-1, 1, 1]).astype(np.float32))
        attributes = {"POSITION": places}
        indices = gltf.accessor(np.array([0, 1, 2, 0, 2, 3], np.uint32))
        if number == 4:
            attributes["COLOR_0"] = gltf.accessor(np.tile(np.float32(colour), (4, 1)))
            primitives.append({"attributes": attributes, "indices": indices})
            continue
        gltf.json["materials"].append({"pbrMetallicRoughness": {"baseColorFactor": [*colour, 1.0]}})
        material = len(gltf.json["materials"]) - 1
        primitives.append({"attributes": attributes, "indices": indices, "material": material})
    gltf.node(mesh=gltf.mesh(*primitives), scale=[-1, 1, 1])
    return gltf.written(path)


CUBES: Dict[str, Callable[[Path], Path]] = {
    "cube.ply": cube_ply,
    "cube.off": cube_off,
    "cube.obj": cube_obj,
    "cube.glb": cube_glb,
}


def results(run: Path) -> Path:
    """The mesh that a finished training writes of a run, with fewer vertices."""
    with usual_resolution(24):
        return export_fitted(load_run(run), run.parent)


def read_back(path: Path) -> Tuple[np.ndarray, np.ndarray]:
    """Vertices and their colours, glTF's of 0 to 255 as amounts of light."""
    mesh = trimesh.load_scene(path, process=False).to_mesh()
    assert mesh.visual.kind == "vertex"
    return np.asarray(mesh.vertices), mesh.visual.vertex_colors[:, :3]


@pytest.mark.parametrize("name", CUBES)
def test_each_side_keeps_its_colour(tmp_path: Path, capsys: pytest.CaptureFixture, name: str) -> None:
    run = ball_run(tmp_path / "run", CUBES[name](tmp_path / name))
    for suffix in (".ply", ".obj", ".glb"):
        result = run_json(capsys, "export", "mesh", run, "-o", tmp_path / f"out{suffix}", "--resolution", 24)
        assert result["coloured"] and result["warnings"] == []
        vertices, colours = read_back(tmp_path / f"out{suffix}")
        away = np.sort(np.abs(vertices), axis=1)
        clear = away[:, 2] - away[:, 1] > 1e-3
        axis = np.abs(vertices).argmax(axis=1)
        side = 2 * axis + (vertices[np.arange(len(vertices)), axis] > 0)
        wanted = np.rint(255 * linear(SIDES)) if suffix == ".glb" else SIDES
        np.testing.assert_array_equal(colours[clear], wanted[side[clear]])
        assert clear.mean() > 0.8 and len(set(side[clear])) == 6


# Textures -----------------------------------------------------------------------------------------------------------

SIZE = 128
GRADIENT = np.stack(
    [*np.meshgrid(np.arange(SIZE) * 255 // (SIZE - 1), np.arange(SIZE) * 255 // (SIZE - 1)), np.full((SIZE, SIZE), 40)],
    axis=-1,
).astype(np.uint8)
"""Redder to the right, greener downward."""


def textured_ball() -> trimesh.Trimesh:
    """Its texture lies on it as seen along z, the picture's upper side at the largest y."""
    ball = trimesh.creation.icosphere(4)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(GRADIENT), baseColorFactor=[255, 255, 255, 255]
    )
    ball.visual = trimesh.visual.TextureVisuals(uv=(ball.vertices[:, :2] + 1) / 2, material=material)
    return ball


def ball_obj(folder: Path) -> Path:
    ball = textured_ball()
    ball.visual.material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(GRADIENT))
    ball.export(folder / "ball.obj")
    return folder / "ball.obj"


def ball_glb(folder: Path) -> Path:
    textured_ball().export(folder / "ball.glb")
    return folder / "ball.glb"


def ball_gltf(folder: Path) -> Path:
    for name, content in trimesh.exchange.gltf.export_gltf(textured_ball().scene()).items():
        (folder / name).write_bytes(content)
    return folder / "model.gltf"


def ball_ply(folder: Path) -> Path:
    """With places on the texture for each corner of each face, as MeshLab writes them."""
    ball = textured_ball()
    kind = [("n", "u1"), ("corners", "<i4", 3), ("m", "u1"), ("uv", "<f4", 6)]
    rows = np.zeros(len(ball.faces), kind)
    rows["n"], rows["corners"], rows["m"] = 3, ball.faces, 6
    rows["uv"] = np.asarray(ball.visual.uv)[ball.faces].reshape(-1, 6)
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment TextureFile a gradient.png\n"
        f"element vertex {len(ball.vertices)}\nproperty double x\nproperty double y\nproperty double z\n"
        f"element face {len(rows)}\nproperty list uchar int vertex_indices\n"
        "property list uchar float texcoord\nend_header\n"
    )
    Image.fromarray(GRADIENT).save(folder / "a gradient.png")
    (folder / "ball.ply").write_bytes(header.encode() + ball.vertices.astype("<f8").tobytes() + rows.tobytes())
    return folder / "ball.ply"


TEXTURED = (ball_obj, ball_glb, ball_gltf, ball_ply)


@pytest.mark.parametrize("make", TEXTURED)
def test_a_texture_is_looked_up_where_the_surface_is_nearest(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    vertices, colours = read_back(results(ball_run(tmp_path / "run", make(tmp_path))))
    across, up = trimesh.proximity.closest_point(textured_ball(), vertices)[0].T[:2]
    # The first and the last pixel's centres lie half a pixel within the picture.
    pixels = np.stack([(1 + across) / 2, (1 - up) / 2], axis=1) * SIZE - 0.5
    wanted = 255 * pixels.clip(0, SIZE - 1) / (SIZE - 1)
    # The picture's whole numbers are up to 1 below the gradient, and the vertices' are rounded.
    difference = wanted - colours[:, :2]
    assert difference.min() > -0.51 and difference.max() < 1.51 and (colours[:, 2] == 40).all()


@pytest.mark.parametrize(
    "wrap, wanted", [("repeat", [10, 30, 20, 10]), ("mirror", [30, 10, 20, 30]), ("clamp", [10, 30, 30, 30])]
)
def test_what_lies_beyond_a_textures_sides(wrap: Any, wanted: list) -> None:
    pixels = np.repeat(np.array([[10, 30]], np.uint8)[..., None], 3, axis=2)
    # The middles of pixels two to the left and one to the right, the place between two pixels, and a pixel beyond.
    places = np.array([[1.25 - 2 if wrap != "clamp" else 0.25, 0.5], [0.75, 0.5], [0.5, 0.5], [1.25, 0.5]])
    if wrap == "mirror":
        places[0, 0], places[1, 0] = 0.75, 0.25
    if wrap == "clamp":
        places[2, 0] = 7.0
    np.testing.assert_allclose(Texture(pixels, (wrap, "clamp")).at(places)[:, 0], wanted)


def test_a_texture_may_be_scaled_and_shifted(tmp_path: Path) -> None:
    """A picture of two halves, of which only the right one is put onto a cube (KHR_texture_transform)."""
    gltf, picture = Gltf(), io.BytesIO()
    Image.fromarray(np.repeat(np.repeat(SIDES[None, :2], 8, axis=0), 8, axis=1)).save(picture, "PNG")
    primitives = []
    for face in squares():
        uv = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32)
        content, places = uv.tobytes(), gltf.accessor(CORNERS[face].astype(np.float32))
        gltf.json["accessors"].append(
            {"componentType": 5126, "count": 4, "type": "VEC2", "bufferView": gltf.view(content)}
        )
        attributes = {"POSITION": places, "TEXCOORD_0": len(gltf.json["accessors"]) - 1}
        indices = gltf.accessor(np.array([0, 1, 2, 0, 2, 3], np.uint32))
        primitives.append({"attributes": attributes, "indices": indices, "material": 0})
    moved = {"KHR_texture_transform": {"scale": [0.25, 1.0], "offset": [0.625, 0.0]}}
    base = {"baseColorTexture": {"index": 0, "extensions": moved}}
    view = gltf.view(picture.getvalue())
    gltf.json |= {"materials": [{"pbrMetallicRoughness": base}], "textures": [{"source": 0}]}
    gltf.json["images"] = [{"bufferView": view, "mimeType": "image/png"}]
    gltf.node(mesh=gltf.mesh(*primitives))
    run = ball_run(tmp_path / "run", gltf.written(tmp_path / "cube.glb"))
    assert (read_back(results(run))[1] == SIDES[1]).all()


# What cannot be had ---------------------------------------------------------------------------------------------------


def plain(capsys: pytest.CaptureFixture, run: Path, *flags: Any) -> list:
    """The warnings of an export that has no colours."""
    output = run.parent / "plain.ply"
    result = run_json(capsys, "export", "mesh", run, "-o", output, "--resolution", 16, "--overwrite", *flags)
    assert not result["coloured"] and trimesh.load(output).visual.kind is None
    return result["warnings"]


@pytest.mark.parametrize(
    "make, name",
    [
        *((ball_obj, name) for name in ("../secret.png", "..\\secret.png", "{}/secret.png")),
        *((ball_gltf, name) for name in ("..%2Fsecret.png", "https://a.b/c.png")),
        (ball_ply, "../secret.png"),
    ],
)
def test_no_texture_beyond_the_folder_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture, make: Callable[[Path], Path], name: str
) -> None:
    Image.fromarray(GRADIENT).save(tmp_path / "secret.png")
    folder, name = tmp_path / "within", name.format(tmp_path)
    folder.mkdir()
    original = make(folder)
    if make is ball_gltf:
        tree = json.loads(original.read_text())
        tree["images"][0] = {"uri": name}
        original.write_text(json.dumps(tree))
    else:
        referring = folder / "material.mtl" if make is ball_obj else original
        named = b"material_0.png" if make is ball_obj else b"a gradient.png"
        assert named in referring.read_bytes()
        referring.write_bytes(referring.read_bytes().replace(named, name.encode()))
    (line,) = plain(capsys, ball_run(tmp_path / "run", original))
    assert "which is no file beside it" in line if "://" in name else "outside its folder" in line


def test_no_library_of_materials_beyond_the_folder_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "within").mkdir()
    original = cube_obj(tmp_path / "within" / "cube.obj")
    (tmp_path / "within" / "its colours.mtl").rename(tmp_path / "its colours.mtl")
    original.write_text(original.read_text().replace("its colours.mtl", "../its colours.mtl"))
    (line,) = plain(capsys, ball_run(tmp_path / "run", original))
    assert "outside its folder" in line


def huge_png() -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "'material_0.png', which is not there"),
        (b"no picture", "its texture 'material_0.png' cannot be read"),
        (huge_png(), "GiB unpacked"),
    ],
)
def test_a_texture_that_cannot_be_read_is_one_line_and_no_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture, content: Any, said: str
) -> None:
    original = ball_obj(tmp_path)
    (tmp_path / "material_0.png").unlink()
    if content is not None:
        (tmp_path / "material_0.png").write_bytes(content)
    (line,) = plain(capsys, ball_run(tmp_path / "run", original))
    assert line.startswith(str(original)) and said in line


def test_an_original_that_is_gone_or_another_one_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    original = cube_ply(tmp_path / "cube.ply")
    run = ball_run(tmp_path / "run", original)
    moved = original.rename(tmp_path / "elsewhere.ply")
    (line,) = plain(capsys, run)
    assert "is not there" in line and "--data" in line
    trimesh.creation.cylinder(1, 5).export(original)
    assert plain(capsys, run) == []  # It has no colours, whatever it is.
    coloured = trimesh.creation.cylinder(1, 5)
    coloured.visual.vertex_colors = [1, 2, 3, 255]
    coloured.export(original)
    (line,) = plain(capsys, run)
    assert "is not what was fitted" in line
    assert plain(capsys, run, "--no-colours") == []
    result = run_json(capsys, "export", "mesh", run, "-o", tmp_path / "a.ply", "--data", moved, "--resolution", 16)
    assert result["coloured"] and {*map(tuple, read_back(tmp_path / "a.ply")[1])} <= {*map(tuple, SIDES)}
    with pytest.raises(SignalError, match="is not there"):
        export_mesh(load_run(run), tmp_path / "b.ply", 16, MeshOptions(original=tmp_path / "nowhere.ply"))


# Points ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["points.ply", "points.csv", "points.xyz"])
def test_points_give_their_own_colours(tmp_path: Path, name: str) -> None:
    """A ball, red where x is above 0, blue elsewhere."""
    ball = trimesh.creation.icosphere(4)
    colours = np.where(ball.vertices[:, :1] > 0, [200, 10, 30], [0, 22, 220])
    rows = np.concatenate([ball.vertices, ball.vertices, colours], axis=1)
    path = tmp_path / name
    if name.endswith(".ply"):
        columns = ["float x", "float y", "float z", "float nx", "float ny", "float nz"]
        columns += ["uchar red", "uchar green", "uchar blue"]
        header = f"ply\nformat ascii 1.0\nelement vertex {len(rows)}\n"
        header += "".join(f"property {column}\n" for column in columns) + "end_header\n"
    else:
        header = "x,y,z,nx,ny,nz,r,g,b\n" if name.endswith(".csv") else ""
    sign = "," if name.endswith(".csv") else " "
    path.write_text(header + "\n".join(sign.join(f"{value:.9g}" for value in row) for row in rows) + "\n")
    vertices, found = read_back(results(ball_run(tmp_path / "run", path)))
    clear = np.abs(vertices[:, 0]) > 0.06
    wanted = np.where(vertices[:, :1] > 0, [200, 10, 30], [0, 22, 220])
    np.testing.assert_array_equal(found[clear], wanted[clear])


def test_a_page_has_the_colours(tmp_path: Path) -> None:
    run = ball_run(tmp_path / "run", cube_ply(tmp_path / "cube.ply"))
    facts = write_page(tmp_path / "page.html", {"ball": load_run(run)}, {}, options=PageOptions(resolution=16))
    assert "The colours are the original" in (tmp_path / "page.html").read_text() and "warnings" not in facts
    (tmp_path / "cube.ply").unlink()
    facts = write_page(tmp_path / "page.html", {"ball": load_run(run)}, {}, options=PageOptions(resolution=16))
    assert "The colours are" not in (tmp_path / "page.html").read_text()
    assert "is not there" in facts["warnings"][0] and len(facts["warnings"]) == 1


# In memory ------------------------------------------------------------------------------------------------------------


def coloured_by_vertices() -> trimesh.Trimesh:
    """A ball, red where x is above 0, blue elsewhere."""
    ball = trimesh.creation.icosphere(4)
    ball.visual.vertex_colors = np.where(ball.vertices[:, :1] > 0, [[200, 10, 30, 255]], [[0, 22, 220, 255]])
    return ball


def coloured_by_faces() -> trimesh.Trimesh:
    ball = trimesh.creation.icosphere(4)
    ball.visual.face_colors = np.where(ball.triangles_center[:, :1] > 0, [[200, 10, 30, 255]], [[0, 22, 220, 255]])
    return ball


def coloured_by_texture() -> trimesh.Trimesh:
    """Upside down, the picture would be the other way round."""
    ball = trimesh.creation.icosphere(4)
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4], picture[4:] = [0, 22, 220], [200, 10, 30]
    uv = np.stack([np.full(len(ball.vertices), 0.5), (1 - ball.vertices[:, 0]) / 2], axis=1)
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(picture))
    ball.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return ball


def coloured_by_materials() -> trimesh.Trimesh:
    """Halves of a material each, one of which says amounts of light."""
    ball = trimesh.creation.icosphere(4)
    red = trimesh.visual.material.SimpleMaterial(diffuse=[200, 10, 30, 255])
    blue = trimesh.visual.material.PBRMaterial(baseColorFactor=[*np.rint(255 * linear([0, 22, 220])).astype(int), 255])
    both = trimesh.visual.material.MultiMaterial([red, blue])
    which = np.where(ball.triangles_center[:, 0] > 0, 0, 1)
    ball.visual = trimesh.visual.TextureVisuals(material=both, face_materials=which)
    return ball


def fitted(mesh: trimesh.Trimesh) -> winner_ns.FittedField:
    return winner_ns.fit(mesh, steps=60, width=16, depth=2, batch_size=1024, progress=False, device="cpu")


@pytest.mark.parametrize("make", [coloured_by_vertices, coloured_by_faces, coloured_by_texture, coloured_by_materials])
def test_a_mesh_in_memory_is_a_signal_with_its_colours(make: Callable[[], trimesh.Trimesh]) -> None:
    mesh = make()
    shape = signal_of(mesh)
    mesh.visual = trimesh.creation.icosphere(4).visual  # What becomes of it is its owner's.
    points = np.random.default_rng(0).normal(size=(200, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points[np.abs(points[:, 0]) > 0.15]
    assert isinstance(shape, ShapeSignal) and shape.colours is not None
    np.testing.assert_array_equal(shape.colours.at(points), np.where(points[:, :1] > 0, [200, 10, 30], [0, 22, 220]))


def test_a_mesh_in_memory_gives_its_colours_to_what_is_fitted_to_it(tmp_path: Path) -> None:
    mesh = trimesh.creation.icosphere(2)
    mesh.visual.face_colors = np.where(mesh.triangles_center[:, :1] > 0, [[200, 10, 30, 255]], [[0, 22, 220, 255]])
    field = fitted(mesh)
    with usual_resolution(24):
        vertices, found = read_back(field.save(tmp_path / "ball.ply"))
    clear = np.abs(vertices[:, 0]) > 0.3
    wanted = np.where(vertices[:, :1] > 0, [200, 10, 30], [0, 22, 220])
    np.testing.assert_array_equal(found[clear], wanted[clear])
    # Opened again, it has no mesh.
    again = winner_ns.load_field(field.save(tmp_path / "ball.safetensors"))
    facts = export_mesh(again, tmp_path / "ball.ply", 16)
    assert not facts["coloured"] and "was no file" in facts["warnings"][0] and len(facts["warnings"]) == 1
    mesh.export(tmp_path / "original.ply")
    given = MeshOptions(original=tmp_path / "original.ply")
    facts = export_mesh(again, tmp_path / "named.ply", 16, given)
    assert facts["coloured"] and not facts["warnings"]


def test_a_field_of_a_mesh_without_colours_misses_none(tmp_path: Path) -> None:
    again = winner_ns.load_field(fitted(trimesh.creation.icosphere(1)).save(tmp_path / "plain.safetensors"))
    facts = export_mesh(again, tmp_path / "plain.ply", 16)
    assert not facts["coloured"] and not facts["warnings"]

"""glTF by value: quantised, sparse, compressed, moved; and what a file must not do."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import quote

import numpy as np
import pytest
import trimesh

from winner_ns.errors import SignalError
from winner_ns.signals import ShapeSignal, load_signal

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Gltf:
    """A glTF file that is put together by hand."""

    def __init__(self) -> None:
        self.data = b""
        self.json: Dict[str, Any] = {"asset": {"version": "2.0"}}
        for name in ("bufferViews", "accessors", "meshes", "nodes"):
            self.json[name] = []

    def view(self, content: bytes, **more: Any) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content), **more})
        self.data += content
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values: np.ndarray, stride: int = 0, **more: Any) -> int:
        values = values.reshape(len(values), -1)
        raw, width = np.ascontiguousarray(values), values.shape[1]
        content = raw.tobytes()
        if stride:
            rows = np.zeros((len(raw), stride), np.uint8)
            rows[:, : raw.dtype.itemsize * width] = raw.view(np.uint8).reshape(len(raw), -1)
            content = rows.tobytes()
        view = self.view(content, **({"byteStride": stride} if stride else {}))
        return self.add(raw.dtype, len(raw), width, bufferView=view, **more)

    def add(self, dtype: np.dtype, count: int, width: int, **more: Any) -> int:
        code = CODES[dtype.str[1:]]
        self.json["accessors"].append({"componentType": code, "count": count, "type": TYPES[width], **more})
        return len(self.json["accessors"]) - 1

    def mesh(self, *primitives: Dict[str, Any], **more: Any) -> int:
        self.json["meshes"].append({"primitives": list(primitives), **more})
        return len(self.json["meshes"]) - 1

    def node(self, **what: Any) -> int:
        self.json["nodes"].append(what)
        return len(self.json["nodes"]) - 1

    def written(self, path: Path, uri: Optional[str] = None) -> Path:
        buffer = {"byteLength": len(self.data)}
        if path.suffix == ".glb":
            text = json.dumps({**self.json, "buffers": [buffer]}).encode()
            text += b" " * (-len(text) % 4)
            data = self.data + b"\0" * (-len(self.data) % 4)
            head = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(data), len(text), 0x4E4F534A)
            path.write_bytes(head + text + struct.pack("<II", len(data), 0x004E4942) + data)
        else:
            uri = uri or "data:application/octet-stream;base64," + base64.b64encode(self.data).decode()
            path.write_text(json.dumps({**self.json, "buffers": [{**buffer, "uri": uri}]}))
        return path


BOX = trimesh.creation.box((1, 2, 3))
INDICES = np.asarray(BOX.faces, "u2").reshape(-1)


def boxes(positions: Optional[int] = None, gltf: Optional[Gltf] = None, node: bool = True, **more: Any) -> Gltf:
    gltf = gltf or Gltf()
    if positions is None:
        positions = gltf.accessor(np.asarray(BOX.vertices, "f4"))
    primitive = {"attributes": {"POSITION": positions}, "indices": gltf.accessor(INDICES), **more}
    number = gltf.mesh(primitive)
    if node:
        gltf.node(mesh=number)
    return gltf


def assert_box(shape: ShapeSignal, size: Tuple[float, ...] = (1, 2, 3), center: Tuple[float, ...] = (0, 0, 0)) -> None:
    """By the formula of a box's distance."""
    assert shape.watertight and shape.warnings == []
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3)) * size + center
    beyond = np.abs(points - center) - np.array(size) / 2
    expected = np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(axis=1), 0)
    found = shape.signed_distance((points - shape.center) / shape.scale) * shape.scale
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2"])
def test_normalised_integers_are_fractions(tmp_path: Path, kind: str) -> None:
    """With the node that brings them back to size, as gltfpack and KHR_mesh_quantization have it; interleaved."""
    gltf, most = Gltf(), np.iinfo(kind).max
    low, size = (-1.0, 2.0) if kind.startswith("i") else (0.0, 1.0)
    fractions = (np.asarray(BOX.vertices) + [0.5, 1, 1.5]) / [1, 2, 3] * size + low
    values = np.round(fractions * most).astype(f"<{kind}")
    gltf = boxes(gltf.accessor(values, stride=8, normalized=True), gltf, node=False)
    gltf.json["extensionsRequired"] = gltf.json["extensionsUsed"] = ["KHR_mesh_quantization"]
    scale = np.array([1, 2, 3]) / size
    center = scale * (low + size / 2)
    gltf.node(mesh=0, scale=scale.tolist(), translation=(np.array([5, 6, 7]) - center).tolist())
    assert_box(load_signal(gltf.written(tmp_path / "a.glb")), center=(5, 6, 7))


def test_whole_numbers_that_are_not_normalised_are_lengths(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf = boxes(gltf.accessor(np.asarray(2 * BOX.vertices, "<i2"), stride=8), gltf)
    gltf.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    assert_box(load_signal(gltf.written(tmp_path / "a.glb")), (2, 4, 6))


@pytest.mark.parametrize("base", [True, False])
def test_sparse_accessors(tmp_path: Path, base: bool) -> None:
    gltf, vertices = Gltf(), np.asarray(BOX.vertices, "f4")
    rows = np.arange(1, 8, 2) if base else np.arange(8)
    before = vertices.copy()
    before[rows] = 77
    number = gltf.accessor(before) if base else gltf.add(np.dtype("<f4"), 8, 3)
    gltf.json["accessors"][number]["sparse"] = {
        "count": len(rows),
        "indices": {"bufferView": gltf.view(rows.astype("u1").tobytes()), "componentType": 5121},
        "values": {"bufferView": gltf.view(vertices[rows].tobytes())},
    }
    assert_box(load_signal(boxes(number, gltf).written(tmp_path / "a.glb")))


def test_buffers_in_data_uris_and_in_files_beside(tmp_path: Path) -> None:
    gltf = boxes()
    assert_box(load_signal(gltf.written(tmp_path / "a.gltf")))
    (tmp_path / "with space").mkdir()
    (tmp_path / "with space" / "a.bin").write_bytes(gltf.data + b"\0")
    assert_box(load_signal(gltf.written(tmp_path / "b.gltf", quote("with space/a.bin"))))
    assert_box(load_signal(gltf.written(tmp_path / "c.gltf", "./with space/../with space/a.bin")))


@pytest.mark.parametrize(
    "uri", ["../a.bin", "x/../../a.bin", "%2e%2e/a.bin", "..\\a.bin", "/etc/hostname", "file:///etc/hostname", "link"]
)
def test_no_file_outside_the_folder_is_opened(tmp_path: Path, uri: str) -> None:
    gltf, folder = boxes(), tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "a.bin").write_bytes(gltf.data)
    (folder / "link").symlink_to(tmp_path / "a.bin")
    with pytest.raises(SignalError, match="outside its folder|no file beside it"):
        load_signal(gltf.written(folder / "a.gltf", uri))


def test_strips_and_fans(tmp_path: Path) -> None:
    gltf = Gltf()
    corners = np.array([(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)], "f4")
    positions = gltf.accessor(corners)
    strips = [[0, 2, 1, 3], [4, 5, 6, 7], [0, 1, 4, 5]]
    fans = [[2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    gltf.mesh(
        *(
            {"attributes": {"POSITION": positions}, "indices": gltf.accessor(np.array(part, "u1")), "mode": mode}
            for mode, parts in ((5, strips), (6, fans))
            for part in parts
        )
    )
    gltf.node(mesh=0)
    assert_box(load_signal(gltf.written(tmp_path / "a.glb")), (1, 1, 1), (0.5, 0.5, 0.5))


def test_nodes_stand_where_trimesh_puts_them(tmp_path: Path) -> None:
    """Matrices within turned, stretched and mirrored nodes."""
    gltf = boxes(node=False)
    turn = trimesh.transformations.rotation_matrix(0.3, (1, 2, 3), (1, 0, 0)) @ np.diag([1, 2, 0.5, 1])
    gltf.node(mesh=0, matrix=turn.T.ravel().tolist())
    gltf.node(mesh=0, translation=[9, 0, 0], rotation=[0.5, 0.5, 0.5, 0.5], scale=[-1, 2, 3])
    gltf.node(children=[0, 1], rotation=[0, 0, 0.6, 0.8], translation=[0, -4, 1])
    gltf.json.update(scenes=[{"nodes": [2]}], scene=0)
    path = gltf.written(tmp_path / "a.glb")
    shape, other = load_signal(path), trimesh.load_scene(path).to_mesh()
    assert shape.watertight and shape.warnings == []
    assert shape.enclosed_volume() * shape.scale**3 == pytest.approx(other.volume, rel=1e-6)
    corners = shape.vertices * shape.scale + shape.center
    np.testing.assert_allclose(np.sort(corners, axis=0), np.sort(other.vertices, axis=0), atol=1e-5)


def test_only_the_default_scene_is_taken_and_said(tmp_path: Path) -> None:
    gltf = boxes()
    gltf.node(mesh=0, translation=[9, 0, 0])
    gltf.json.update(scenes=[{"nodes": [0, 1]}, {"nodes": [1]}], scene=1)
    shape = load_signal(gltf.written(tmp_path / "a.glb"))
    assert shape.warnings == [f"{tmp_path / 'a.glb'}: has 2 scenes; number 1, its default, is taken"]
    shape.warnings.clear()
    assert_box(shape, center=(9, 0, 0))


def test_what_is_not_visible_is_left_out_and_said(tmp_path: Path) -> None:
    gltf = boxes()
    hidden = {"KHR_node_visibility": {"visible": False}}
    gltf.node(mesh=0, translation=[9, 0, 0], extensions=hidden)
    gltf.node(mesh=0, translation=[0, 9, 0], extensions={"KHR_node_visibility": {"visible": True}})
    gltf.node(children=[1, 2], extensions=hidden)
    gltf.json.update(scenes=[{"nodes": [0, 3]}], extensionsUsed=["KHR_node_visibility"])
    shape = load_signal(gltf.written(tmp_path / "a.glb"))
    assert shape.warnings == [f"{tmp_path / 'a.glb'}: 3 nodes not visible left out"]
    shape.warnings.clear()
    assert_box(shape)


def test_instances(tmp_path: Path) -> None:
    gltf = boxes(node=False)
    places = np.array([[0, 0, 0], [5, 0, 0], [10, 0, 0]], "f4")
    sizes = np.array([[1, 1, 1], [2, 1, 1], [1, 1, 0.5]], "f4")
    attributes = {"TRANSLATION": gltf.accessor(places), "SCALE": gltf.accessor(sizes)}
    gltf.node(mesh=0, extensions={"EXT_mesh_gpu_instancing": {"attributes": attributes}})
    gltf.json["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    shape = load_signal(gltf.written(tmp_path / "a.glb"))
    assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(6 + 12 + 3)


def test_morphs_and_skins_stand_as_the_standard_says(tmp_path: Path) -> None:
    gltf = boxes(node=False)
    target = gltf.accessor(np.asarray(BOX.vertices, "f4"))
    gltf.json["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": target}]
    gltf.node(mesh=0, weights=[0.5])
    assert_box(load_signal(gltf.written(tmp_path / "a.glb")), (1.5, 3, 4.5))

    gltf = boxes(node=False)
    attributes = gltf.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = gltf.accessor(np.zeros((8, 4), "u1"))
    weights = np.zeros((8, 4), "u1")
    weights[:, 0] = 255
    attributes["WEIGHTS_0"] = gltf.accessor(weights, normalized=True)
    bind = np.eye(4, dtype="f4")
    bind[3, 0] = -2  # Column after column.
    # Where the skinned node stands does not matter, its joint's parents do.
    gltf.node(mesh=0, skin=0, translation=[100, 0, 0])
    gltf.node(translation=[5, 0, 0])
    gltf.node(children=[1], translation=[0, 3, 0], scale=[2, 1, 1])
    gltf.json["skins"] = [{"joints": [1], "inverseBindMatrices": gltf.accessor(bind.reshape(1, 16))}]
    gltf.json.update(scenes=[{"nodes": [0, 2]}])
    assert_box(load_signal(gltf.written(tmp_path / "b.glb")), (2, 2, 3), (2 * (5 - 2), 3, 0))


def test_points_of_a_gltf(tmp_path: Path) -> None:
    index = np.arange(800) + 0.5
    z, angle = 1 - 2 * index / 800, np.pi * (1 + 5**0.5) * index
    normals = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
    gltf = Gltf()
    attributes = {"POSITION": gltf.accessor((2 * normals).astype("f4")), "NORMAL": gltf.accessor(normals.astype("f4"))}
    gltf.mesh({"attributes": attributes, "mode": 0})
    gltf.node(mesh=0, scale=[1, 1, 2])
    shape = load_signal(gltf.written(tmp_path / "a.glb"))
    assert shape.source == "oriented-points" and shape.warnings == []
    gradient = (shape.points * shape.scale + shape.center) * [1, 1, 0.25]
    np.testing.assert_allclose(shape.normals, gradient / np.linalg.norm(gradient, axis=1, keepdims=True), atol=1e-5)


def draco(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    return pytest.importorskip("DracoPy").encode(vertices, faces, quantization_bits=14, compression_level=5)


def draco_file() -> Gltf:
    mesh = trimesh.creation.icosphere(2)
    gltf = Gltf()
    content = draco(np.asarray(mesh.vertices, "f4"), np.asarray(mesh.faces, "u4"))
    primitive = {
        "attributes": {"POSITION": gltf.add(np.dtype("<f4"), len(mesh.vertices), 3)},
        "indices": gltf.add(np.dtype("<u4"), mesh.faces.size, 1),
        "extensions": {"KHR_draco_mesh_compression": {"bufferView": gltf.view(content), "attributes": {"POSITION": 0}}},
    }
    gltf.mesh(primitive)
    gltf.node(mesh=0, scale=[1, 1, 3])
    gltf.json["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    return gltf


def test_draco_is_decoded(tmp_path: Path) -> None:
    shape = load_signal(draco_file().written(tmp_path / "a.glb"))
    assert shape.watertight and shape.warnings == []
    expected = 3 * trimesh.creation.icosphere(2).volume
    assert shape.enclosed_volume() * shape.scale**3 == pytest.approx(expected, rel=1e-3)


def test_draco_without_its_package_is_named(tmp_path: Path, monkeypatch) -> None:
    path = draco_file().written(tmp_path / "a.glb")
    monkeypatch.setitem(__import__("sys").modules, "DracoPy", None)
    with pytest.raises(SignalError, match="KHR_draco_mesh_compression; install winner_ns.draco."):
        load_signal(path)


def test_damaged_draco_is_one_line(tmp_path: Path) -> None:
    gltf = draco_file()
    gltf.data = gltf.data[:40] + bytes(len(gltf.data) - 40)
    with pytest.raises(SignalError, match="KHR_draco_mesh_compression cannot be decoded"):
        load_signal(gltf.written(tmp_path / "a.glb"))


def meshopt(required: bool) -> Gltf:
    gltf = boxes()
    gltf.json["bufferViews"][0]["extensions"] = {"EXT_meshopt_compression": {"buffer": 0, "byteLength": 3}}
    gltf.json["extensionsRequired" if required else "extensionsUsed"] = ["EXT_meshopt_compression"]
    return gltf


def test_what_is_compressed_otherwise_is_named(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="compressed by EXT_meshopt_compression"):
        load_signal(meshopt(True).written(tmp_path / "a.gltf"))
    # The uncompressed copy that such a file may have is as good.
    assert_box(load_signal(meshopt(False).written(tmp_path / "b.gltf")))
    gltf = boxes()
    gltf.json["extensionsRequired"] = ["KHR_materials_unlit", "XYZ_splines"]
    with pytest.raises(SignalError, match="requires the extension XYZ_splines"):
        load_signal(gltf.written(tmp_path / "c.glb"))


def damaged() -> List[Tuple[str, Gltf]]:
    def change(path: str, value: Any) -> Gltf:
        gltf = boxes()
        *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        at: Any = gltf.json
        for key in keys:
            at = at[key]
        at[last] = value
        return gltf

    return [
        ("ends before", change("accessors.0.count", 10**9)),
        ("ends before", change("accessors.0.byteOffset", 64)),
        ("beyond the buffer", change("bufferViews.0.byteLength", 10**12)),
        ("damaged", change("bufferViews.0.buffer", -1)),
        ("damaged", change("accessors.0.componentType", "x")),
        ("damaged", change("meshes.0.primitives.0.attributes.POSITION", True)),
        ("damaged", change("nodes.0.mesh", 5)),
        ("stands in two places", change("nodes.0.children", [0])),
        ("35 corners in triangles", change("accessors.1.count", 35)),
        ("unknown mode", change("meshes.0.primitives.0.mode", 9)),
        ("no whole numbers", change("meshes.0.primitives.0.indices", 0)),
        ("is glTF 1.0", change("asset.version", "1.0")),
    ]


@pytest.mark.parametrize(("said", "gltf"), damaged(), ids=range(12))
def test_damage_is_one_line(tmp_path: Path, said: str, gltf: Gltf) -> None:
    if said == "stands in two places":
        gltf.json["scenes"] = [{"nodes": [0]}]
    with pytest.raises(SignalError, match=said) as caught:
        load_signal(gltf.written(tmp_path / "a.glb"))
    assert "\n" not in str(caught.value)


def test_a_cut_glb_is_cut(tmp_path: Path) -> None:
    whole = boxes().written(tmp_path / "a.glb").read_bytes()
    for end in (8, 20, 100, len(whole) - 1):
        (tmp_path / "a.glb").write_bytes(whole[:end])
        with pytest.raises(SignalError, match="is cut|is GLB"):
            load_signal(tmp_path / "a.glb")


def test_a_scene_of_more_faces_than_any_machine_holds(tmp_path: Path) -> None:
    gltf = boxes(node=False)
    places = {"TRANSLATION": gltf.add(np.dtype("<f4"), 2**22, 3)}
    gltf.node(mesh=0, extensions={"EXT_mesh_gpu_instancing": {"attributes": places}})
    with pytest.raises(SignalError, match="shows more than"):
        load_signal(gltf.written(tmp_path / "a.glb"))

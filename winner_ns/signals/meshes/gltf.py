"""glTF 2.0 and its binary form GLB: a scene's meshes where they stand, as the standard (Khronos 2021) says."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError, counted
from winner_ns.signals.meshes.mesh import MeshFile
from winner_ns.signals.meshes.ply import strip_triangles
from winner_ns.signals.meshes.polygons import triangulated

MOST_FACES = 2**26
"""Of a scene: a mesh may stand in any number of places."""

_ADVICE = "export the mesh again"
_MOST_ZEROS = 2**24  # Values of an accessor that has no bytes.
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_POINTS, _LINES, _TRIANGLES, _STRIP, _FAN = 0, (1, 2, 3), 4, 5, 6

_QUANTIZATION = "KHR_mesh_quantization"
_DRACO = "KHR_draco_mesh_compression"
_INSTANCES = "EXT_mesh_gpu_instancing"
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression", "MESHOPT_compression")
# What these say has nothing to do with where a surface is.
_NO_GEOMETRY = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "MSFT_texture_", "KHR_lights_", "EXT_lights_",
                "KHR_xmp", "KHR_animation_", "KHR_audio", "ADOBE_materials_", "MSFT_packing_", "MSFT_lod")  # fmt: skip


class _Part(NamedTuple):
    """What a primitive shows, in its mesh's frame."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    normals: Optional[Float[np.ndarray, "v 3"]]
    primitive: Dict[str, Any]


def read_gltf(path: Path) -> MeshFile:
    """Reads a scene's triangles, strips and fans; where it has none, its points.

    Accessors may be sparse, normalised integers and interleaved; nodes may be moved, mirrored, instanced
    (EXT_mesh_gpu_instancing), morphed and skinned, as they stand without animation. Draco needs the package DracoPy.
    Buffers lie in the file, in data URIs, or in files of the same folder or one within it.

    Raises:
        SignalError: it is cut, refers to what is not there, or needs an extension that is not known; which is named.
    """
    try:
        with np.errstate(all="ignore"):  # What is not finite is found later.
            return _Document(path).scene()
    except SignalError:
        raise
    except Exception as error:  # Any type: whatever a part of the wrong type leads to.
        raise SignalError(path, f"is damaged or no glTF ({type(error).__name__}: {error})", _ADVICE) from error


class _Document:
    """A glTF file with its buffers.

    Args:
        path: the .gltf or .glb.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: List[str] = []
        data = path.read_bytes()
        self._chunk, text = self._chunks(data) if data[:4] == b"glTF" else (None, data)
        try:
            self.json: Dict[str, Any] = json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise SignalError(path, "is cut or no glTF: its JSON cannot be read", _ADVICE) from error
        if not isinstance(self.json, dict) or not isinstance(self.json.get("asset"), dict):
            raise SignalError(path, "is no glTF: it has no asset", _ADVICE)
        version = str(self.json["asset"].get("version", ""))
        if version.partition(".")[0] != "2":
            raise SignalError(path, f"is glTF {version}", "export it as glTF 2.0")
        known = (_QUANTIZATION, _DRACO, _INSTANCES, *_MESHOPT)
        for name in self.json.get("extensionsRequired", ()):
            if name not in known and not str(name).startswith(_NO_GEOMETRY):
                raise SignalError(path, f"requires the extension {name}, which is not known", "export it without")
        self._buffers: Dict[int, bytes] = {}
        self._parts: Dict[int, List[_Part]] = {}
        self._left_out = 0

    def _chunks(self, data: bytes) -> Tuple[Optional[bytes], bytes]:
        """A GLB's bytes, if it has some, and its JSON."""
        version, length = (int.from_bytes(data[at : at + 4], "little") for at in (4, 8))
        if version != 2:
            raise SignalError(self.path, f"is GLB {version}", "export it as GLB 2")
        if length > len(data):
            raise SignalError(self.path, f"is cut: of {length} bytes {len(data)} are there", "get a whole copy")
        at, chunks = 12, {}
        while at + 8 <= length:
            size, kind = int.from_bytes(data[at : at + 4], "little"), data[at + 4 : at + 8]
            if at + 8 + size > length:
                raise SignalError(self.path, "is cut: a chunk ends beyond the file", "get a whole copy of the file")
            chunks.setdefault(kind, data[at + 8 : at + 8 + size])
            at += 8 + size
        if b"JSON" not in chunks:
            raise SignalError(self.path, "is cut or no GLB: it has no JSON", "get a whole copy of the file")
        return chunks.get(b"BIN\0"), chunks[b"JSON"]

    # Bytes ------------------------------------------------------------------------------------------------------------

    def _buffer(self, number: int) -> bytes:
        if number not in self._buffers:
            entry = self.json["buffers"][_index(number)]
            uri, size = entry.get("uri"), entry["byteLength"]
            if uri is None:
                data = self._chunk if number == 0 else None
                if data is None:
                    raise SignalError(self.path, f"has no bytes for its buffer {number}", "get a whole copy")
            elif uri.startswith("data:"):
                data = self._of_data_uri(uri)
            else:
                data = self._of_file(uri)
            if len(data) < size:
                problem = f"its buffer {number} is cut: of {size} bytes {len(data)} are there"
                raise SignalError(self.path, problem, "get a whole copy of the file")
            self._buffers[number] = data[:size]
        return self._buffers[number]

    def _of_data_uri(self, uri: str) -> bytes:
        head, comma, body = uri.partition(",")
        try:
            if not comma or not head.endswith(";base64"):
                raise ValueError("no base64")
            return base64.b64decode(unquote(body) if "%" in body else body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise SignalError(self.path, "has a data URI that is cut or no base64", _ADVICE) from error

    def _of_file(self, uri: str) -> bytes:
        name, advice = unquote(uri), "put it beside the glTF file"
        roots = (self.path.parent.resolve(), self.path.resolve().parent)
        if "\0" in name or "://" in name:
            raise SignalError(self.path, f"refers to {name!r}, which is no file beside it", advice)
        file = self.path.parent / name.replace("\\", "/")
        target = file.resolve()
        if not any(target.is_relative_to(root) for root in roots):
            raise SignalError(self.path, f"refers to {name!r}, outside its folder", advice)
        if not target.is_file():
            raise SignalError(self.path, f"refers to {name!r}, which is not there", advice)
        try:
            return target.read_bytes()
        except OSError as error:
            raise SignalError(self.path, f"{name!r} beside it cannot be read ({error.strerror})", advice) from error

    def _view(self, number: int) -> Tuple[bytes, Optional[int]]:
        """A buffer view's bytes, and the step between its values if it names one."""
        entry = self.json["bufferViews"][_index(number)]
        packed = next((name for name in _MESHOPT if name in entry.get("extensions", {})), None)
        buffer = self.json["buffers"][_index(entry["buffer"])]
        if packed and (packed in self.json.get("extensionsRequired", ()) or "uri" not in buffer):
            raise SignalError(self.path, f"is compressed by {packed}, which is not read", "export it without")
        data, start, size = self._buffer(entry["buffer"]), entry.get("byteOffset", 0), entry["byteLength"]
        if min(start, size) < 0 or start + size > len(data):
            raise SignalError(self.path, f"its buffer view {number} ends beyond the buffer", "get a whole copy")
        return data[start : start + size], entry.get("byteStride")

    def _values(self, view: int, offset: int, kind: np.dtype, width: int, count: int) -> np.ndarray:
        """Numbers [count, width] of a buffer view."""
        data, step = self._view(view)
        step = step or kind.itemsize * width
        if min(offset, count) < 0 or step < kind.itemsize * width:
            raise SignalError(self.path, "has an accessor that makes no sense", _ADVICE)
        if count and offset + (count - 1) * step + kind.itemsize * width > len(data):
            raise SignalError(
                self.path, f"has {counted(count, 'value')} where its buffer view ends before", "get a whole copy"
            )
        if not count:
            return np.empty((0, width), kind)
        return np.ndarray((count, width), kind, data, offset, (step, kind.itemsize))

    def accessor(self, number: int) -> np.ndarray:
        """Its values [count, width], normalised ones as float64."""
        entry = self.json["accessors"][_index(number)]
        kind, width = np.dtype(_COMPONENTS[entry["componentType"]]), _WIDTHS[entry["type"]]
        count = _index(entry["count"])
        if "bufferView" in entry:
            values = self._values(entry["bufferView"], entry.get("byteOffset", 0), kind, width, count)
        elif count <= _MOST_ZEROS:
            values = np.zeros((count, width), kind)
        else:
            raise SignalError(self.path, f"has {counted(count, 'value')} without bytes", _ADVICE)
        sparse = entry.get("sparse")
        if sparse:
            at, new = sparse["indices"], sparse["values"]
            some = _index(sparse["count"])
            which = np.dtype(_COMPONENTS[at["componentType"]])
            rows = self._values(at["bufferView"], at.get("byteOffset", 0), which, 1, some)[:, 0]
            values = values.copy()
            if some and int(rows.max()) >= count:
                raise SignalError(self.path, "has a sparse accessor with values behind its end", _ADVICE)
            values[rows] = self._values(new["bufferView"], new.get("byteOffset", 0), kind, width, some)
        if entry.get("normalized") and kind.kind in "iu":
            return np.maximum(values / float(np.iinfo(kind).max), -1.0)
        return values

    # Meshes -----------------------------------------------------------------------------------------------------------

    def _mesh(self, number: int, weights: Optional[List[float]]) -> List[_Part]:
        entry = self.json["meshes"][_index(number)]
        weights = weights if weights is not None else entry.get("weights")
        if weights and any(weights):
            return [self._primitive(primitive, weights) for primitive in entry["primitives"]]
        if number not in self._parts:
            self._parts[number] = [self._primitive(primitive, []) for primitive in entry["primitives"]]
        return self._parts[number]

    def _primitive(self, primitive: Dict[str, Any], weights: List[float]) -> _Part:
        attributes, mode = primitive.get("attributes", {}), primitive.get("mode", _TRIANGLES)
        none, draco = np.empty((0, 3), np.int64), primitive.get("extensions", {}).get(_DRACO)
        if mode in _LINES or "POSITION" not in attributes:
            self._left_out += mode in _LINES
            return _Part(np.empty((0, 3)), none, None, {})
        if draco and not self._has_fallback(primitive):
            vertices, corners = self._of_draco(draco)
        else:
            vertices = self.accessor(attributes["POSITION"]).astype(np.float64)
            corners = np.arange(len(vertices))
            if "indices" in primitive:
                found = self.accessor(primitive["indices"])
                if found.dtype.kind != "u" or found.shape[1] != 1:
                    raise SignalError(self.path, "has indices that are no whole numbers", _ADVICE)
                corners = found[:, 0].astype(np.int64)
        if vertices.shape[1] != 3:
            raise SignalError(self.path, "has positions of other than three numbers", _ADVICE)
        for weight, target in zip(weights, primitive.get("targets", ())):
            if weight and "POSITION" in target:
                vertices = vertices + weight * self.accessor(target["POSITION"])
        if mode == _POINTS:
            normals = self.accessor(attributes["NORMAL"]).astype(np.float64) if "NORMAL" in attributes else None
            return _Part(vertices, none, normals, primitive)
        faces = none
        if mode == _TRIANGLES:
            if len(corners) % 3:
                raise SignalError(self.path, f"has {len(corners)} corners in triangles", _ADVICE)
            faces = corners.reshape(-1, 3)
        elif mode == _STRIP:
            faces = np.concatenate([none, *strip_triangles([corners])])
        elif mode == _FAN:
            first = np.broadcast_to(corners[:1], max(len(corners) - 2, 0))
            faces = np.stack([first, corners[1:-1], corners[2:]], axis=1) if len(first) else none
        else:
            raise SignalError(self.path, f"has a primitive of the unknown mode {mode}", _ADVICE)
        return _Part(vertices, triangulated(self.path, vertices, [faces], self.notes), None, primitive)

    def _has_fallback(self, primitive: Dict[str, Any]) -> bool:
        accessors = [primitive["attributes"]["POSITION"], *([primitive["indices"]] if "indices" in primitive else [])]
        return _DRACO not in self.json.get("extensionsRequired", ()) and all(
            "bufferView" in self.json["accessors"][_index(number)] for number in accessors
        )

    def _of_draco(self, extension: Dict[str, Any]) -> Tuple[np.ndarray, np.ndarray]:
        try:
            import DracoPy  # pyright: ignore[reportMissingImports] (an extra)
        except ImportError as error:
            advice = "install winner_ns[draco], or export it without"
            raise SignalError(self.path, f"is compressed by {_DRACO}", advice) from error
        data, _ = self._view(extension["bufferView"])
        try:
            found = DracoPy.decode(data)
            vertices, faces = np.asarray(found.points, np.float64), np.asarray(found.faces, np.int64)
        except Exception as error:  # Any type: whatever a compiled decoder says.
            problem = f"its {_DRACO} cannot be decoded ({type(error).__name__})"
            raise SignalError(self.path, problem, "get a whole copy of the file, or export it without") from error
        return vertices.reshape(-1, 3), faces.ravel()

    # Nodes ------------------------------------------------------------------------------------------------------------

    def scene(self) -> MeshFile:
        """All that the scene shows, as one mesh."""
        matrices = self._node_matrices()
        found: List[_Part] = []
        total = 0
        for number, world in matrices.items():
            node: Dict[str, Any] = self.json["nodes"][number] if number >= 0 else {"mesh": -1 - number}
            if "mesh" not in node:
                continue
            skinned = "skin" in node
            placements, count = self._instances(node)
            for part in self._mesh(node["mesh"], node.get("weights")):
                total += max(len(part.faces) + len(part.vertices), 1) * count
                if total > MOST_FACES:
                    raise SignalError(self.path, f"shows more than {MOST_FACES} faces and vertices", "export a part")
                if skinned and "JOINTS_0" in part.primitive.get("attributes", {}):
                    found.append(self._posed(part, self.json["skins"][_index(node["skin"])]))
                else:
                    found += [_moved(part, world @ _instance(placements, i)) for i in range(count)]
        if self._left_out:
            self.notes.append(f"{self.path}: {self._left_out} primitives of lines are left out")
        return self._joined(found)

    def _joined(self, parts: List[_Part]) -> MeshFile:
        surfaces = [part for part in parts if len(part.faces)]
        points = [part for part in parts if not len(part.faces) and len(part.vertices)]
        if surfaces and points:
            self.notes.append(f"{self.path}: {len(points)} primitives of points are left out")
        parts = surfaces or points
        if not parts:
            return MeshFile(np.empty((0, 3)), np.empty((0, 3), np.int64), None, self.notes)
        starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
        vertices = np.concatenate([part.vertices for part in parts])
        faces = np.concatenate([part.faces + start for part, start in zip(parts, starts)])
        normals = [part.normals for part in parts if part.normals is not None]
        complete = len(normals) == len(parts) and not surfaces
        return MeshFile(vertices, faces, np.concatenate(normals) if complete else None, self.notes)

    def _node_matrices(self) -> Dict[int, Float[np.ndarray, "4 4"]]:
        """Where each of the scene's nodes stands; -1 - n stands for mesh n of a file without nodes."""
        nodes, scenes = self.json.get("nodes", []), self.json.get("scenes", [])
        if not nodes:
            return {-1 - i: np.eye(4) for i in range(len(self.json.get("meshes", [])))}
        if scenes:
            chosen = _index(self.json.get("scene", 0))
            roots = scenes[chosen].get("nodes", [])
            if len(scenes) > 1:
                self.notes.append(f"{self.path}: has {len(scenes)} scenes; number {chosen}, its default, is taken")
        else:
            roots = self._roots()
        return dict(sorted(self._placed(roots).items()))

    def _roots(self) -> List[int]:
        """Nodes that are within no other."""
        nodes = self.json["nodes"]
        children = {child for node in nodes for child in node.get("children", ())}
        return [i for i in range(len(nodes)) if i not in children]

    def _placed(self, roots: List[Any]) -> Dict[int, Float[np.ndarray, "4 4"]]:
        """Where these nodes, and all within them, stand."""
        nodes, matrices = self.json["nodes"], {}
        waiting = [(_index(root), np.eye(4)) for root in roots]
        while waiting:
            number, above = waiting.pop()
            if number in matrices:
                raise SignalError(self.path, f"its node {number} stands in two places", _ADVICE)
            matrices[number] = above @ _matrix(nodes[number])
            waiting += [(_index(child), matrices[number]) for child in nodes[number].get("children", ())]
        return matrices

    def _instances(self, node: Dict[str, Any]) -> Tuple[Dict[str, np.ndarray], int]:
        """Translations, rotations and scales of a node's instances, as far as it has them, and how many these are."""
        attributes = node.get("extensions", {}).get(_INSTANCES, {}).get("attributes")
        if not attributes:
            return {}, 1
        names = {"TRANSLATION": "translation", "ROTATION": "rotation", "SCALE": "scale"}
        columns = {own: self.accessor(attributes[name]) for name, own in names.items() if name in attributes}
        counts = {len(column) for column in columns.values()}
        if len(counts) > 1:
            raise SignalError(self.path, "has instances with too few numbers", _ADVICE)
        return columns, max(counts, default=0)

    def _posed(self, part: _Part, skin: Dict[str, Any]) -> _Part:
        """A part as its skin's joints stand, which alone say where it is."""
        everywhere = self._placed(self._roots())  # Joints need not be the scene's.
        numbers = [_index(joint) for joint in skin["joints"]]
        lost = next((i for i in numbers if i < len(self.json["nodes"]) and i not in everywhere), None)
        if lost is not None:
            raise SignalError(self.path, f"its node {lost} is within itself", _ADVICE)
        joints = np.stack([everywhere[number] for number in numbers])
        if "inverseBindMatrices" in skin:
            bind = self.accessor(skin["inverseBindMatrices"]).astype(np.float64)
            joints = joints @ bind.reshape(-1, 4, 4).transpose(0, 2, 1)[: len(joints)]
        attributes = part.primitive["attributes"]
        placed, total = np.zeros_like(part.vertices), np.zeros((len(part.vertices), 1))
        homogeneous = np.concatenate([part.vertices, np.ones((len(part.vertices), 1))], axis=1)
        for i in range(4):
            if f"JOINTS_{i}" not in attributes:
                break
            numbers = self.accessor(attributes[f"JOINTS_{i}"]).astype(np.int64)
            weights = self.accessor(attributes[f"WEIGHTS_{i}"]).astype(np.float64)
            for column in range(4):
                moved = np.einsum("vij,vj->vi", joints[numbers[:, column], :3], homogeneous)
                placed += weights[:, column, None] * moved
                total += weights[:, column, None]
        placed = np.where(total > 0, placed / np.where(total > 0, total, 1.0), part.vertices)
        return part._replace(vertices=placed)


def _moved(part: _Part, world: Float[np.ndarray, "4 4"]) -> _Part:
    if (world == np.eye(4)).all():
        return part
    turn = world[:3, :3]
    mirrored = np.linalg.det(turn) < 0
    vertices = part.vertices @ turn.T + world[:3, 3]
    normals = None if part.normals is None else part.normals @ np.linalg.inv(turn)
    return part._replace(vertices=vertices, faces=part.faces[:, ::-1] if mirrored else part.faces, normals=normals)


def _instance(placements: Dict[str, np.ndarray], number: int) -> Float[np.ndarray, "4 4"]:
    return _matrix({name: column[number] for name, column in placements.items()})


def _matrix(node: Dict[str, Any]) -> Float[np.ndarray, "4 4"]:
    """A node's transformation: translation times rotation times scale, or its matrix, column after column."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    quaternion = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    length = np.linalg.norm(quaternion)
    x, y, z, w = quaternion / length if length > 0 else (0.0, 0.0, 0.0, 1.0)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64)
    return matrix


def _index(number: Any) -> int:
    """A number that counts; JSON's others would be taken from a list's end, or for true and false."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"{str(number)[:20]} is no number of an element")
    return number

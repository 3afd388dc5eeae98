"""glTF 2.0 and its binary form GLB: a scene's meshes where they stand, as the standard (Khronos 2021) says."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple, Union
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError, counted
from winner_ns.signals.meshes.beside import BESIDE_ADVICE, file_beside
from winner_ns.signals.meshes.colours import MeshColours, TextureReader, Wrap
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
_VISIBILITY = "KHR_node_visibility"
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression", "MESHOPT_compression")
_GLOSSINESS = "KHR_materials_pbrSpecularGlossiness"
_TEXTURE_TRANSFORM = "KHR_texture_transform"
_WEBP = "EXT_texture_webp"
_WRAPS: Dict[Any, Wrap] = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
# What these say has nothing to do with where a surface is.
_NO_GEOMETRY = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "MSFT_texture_", "KHR_lights_", "EXT_lights_",
                "KHR_xmp", "KHR_animation_", "KHR_audio", "ADOBE_materials_", "MSFT_packing_", "MSFT_lod")  # fmt: skip


class _Part(NamedTuple):
    """What a primitive shows, in its mesh's frame."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    normals: Optional[Float[np.ndarray, "v 3"]]
    primitive: Dict[str, Any]
    colours: Optional[MeshColours] = None


def read_gltf(path: Path, colours: bool = False) -> MeshFile:
    """Reads a scene's triangles, strips and fans; where it has none, its points.

    Accessors may be sparse, normalised integers and interleaved; nodes may be moved, mirrored, instanced
    (EXT_mesh_gpu_instancing), morphed and skinned, as they stand without animation; those that are not visible are left
    out (KHR_node_visibility). Draco needs the package DracoPy.
    Buffers lie in the file, in data URIs, or in files of the same folder or one within it.

    Args:
        path: the file.
        colours: read what materials' base colours, their textures and vertices' colours say, too.

    Raises:
        SignalError: it is cut, refers to what is not there, or needs an extension that is not known; which is named.
    """
    try:
        with np.errstate(all="ignore"):  # What is not finite is found later.
            return _Document(path, colours).scene()
    except SignalError:
        raise
    except Exception as error:  # Any type: whatever a part of the wrong type leads to.
        raise SignalError(path, f"is damaged or no glTF ({type(error).__name__}: {error})", _ADVICE) from error


class _Document:
    """A glTF file with its buffers.

    Args:
        path: the .gltf or .glb.
        colours: whether they are read.
    """

    def __init__(self, path: Path, colours: bool) -> None:
        self.path = path
        self._textures = TextureReader(path) if colours else None
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
        known = (_QUANTIZATION, _DRACO, _INSTANCES, _VISIBILITY, *_MESHOPT)
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
        name = unquote(uri)
        target = file_beside(self.path, name)
        try:
            return target.read_bytes()
        except OSError as error:
            problem = f"{name!r} beside it cannot be read ({error.strerror})"
            raise SignalError(self.path, problem, BESIDE_ADVICE) from error

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
            return self._coloured(_Part(vertices, none, normals, primitive))
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
        return self._coloured(_Part(vertices, triangulated(self.path, vertices, [faces], self.notes), None, primitive))

    # Colours ----------------------------------------------------------------------------------------------------------

    def _coloured(self, part: _Part) -> _Part:
        """A part with its colours, if they are asked for and it has some."""
        if self._textures is None:
            return part
        attributes, material = part.primitive.get("attributes", {}), self._material(part.primitive)
        factor, base = np.array(material["factor"], np.float64)[:3], material["texture"]
        if _DRACO in part.primitive.get("extensions", {}):
            attributes = {}  # What is packed with the places is in another order than the accessors'.
        corners = part.faces if len(part.faces) else np.arange(len(part.vertices))[:, None]
        light = np.broadcast_to(factor.astype(np.float32), (*corners.shape, 3))
        if "COLOR_0" in attributes:
            values = self.accessor(attributes["COLOR_0"]).astype(np.float32)
            if values.shape[1] < 3 or len(values) != len(part.vertices):
                raise SignalError(self.path, "has colours of vertices that do not fit to them", _ADVICE)
            light = (np.nan_to_num(values[:, :3]).clip(0.0, 1.0) * factor).astype(np.float32)[corners]
        name = f"TEXCOORD_{(base or {}).get('texCoord', 0)}"
        if base is not None and len(part.faces) and name in attributes:
            number = self._texture(base["index"])
            uv = self.accessor(attributes[name]).astype(np.float64)
            if uv.shape != (len(part.vertices), 2):
                raise SignalError(self.path, "has places on a texture that do not fit to its vertices", _ADVICE)
            if number >= 0:
                uv = _moved_on_texture(uv, base.get("extensions", {}).get(_TEXTURE_TRANSFORM, {}))
                texture = np.full(len(part.faces), number, np.int32)
                return part._replace(colours=MeshColours(light, True, uv.astype(np.float32)[part.faces], texture))
        plain = not material["said"] and "COLOR_0" not in attributes
        return part if plain else part._replace(colours=MeshColours(light, True))

    def _material(self, primitive: Dict[str, Any]) -> Dict[str, Any]:
        """The base colour that a primitive's material says: factor, texture, and whether it says one without that."""
        if "material" not in primitive:
            return {"factor": (1.0, 1.0, 1.0), "texture": None, "said": False}
        entry = self.json["materials"][_index(primitive["material"])]
        base, glossy = entry.get("pbrMetallicRoughness", {}), entry.get("extensions", {}).get(_GLOSSINESS)
        if glossy:
            base = {"baseColorFactor": glossy.get("diffuseFactor"), "baseColorTexture": glossy.get("diffuseTexture")}
        factor, texture = base.get("baseColorFactor"), base.get("baseColorTexture")
        return {"factor": factor or (1.0, 1.0, 1.0), "texture": texture, "said": bool(factor) and not texture}

    def _texture(self, number: int) -> int:
        assert self._textures is not None
        entry = self.json["textures"][_index(number)]
        extensions = entry.get("extensions", {})
        source = extensions.get(_WEBP, {}).get("source", entry.get("source"))
        sampler = self.json["samplers"][_index(entry["sampler"])] if "sampler" in entry else {}
        wrap = (_WRAPS.get(sampler.get("wrapS"), "repeat"), _WRAPS.get(sampler.get("wrapT"), "repeat"))
        if source is None:
            said = ", ".join(map(str, extensions)) or "no picture"
            return self._textures.number(f"texture {number}", f"texture {number}", lambda: self._no_picture(said), wrap)
        image = self.json["images"][_index(source)]
        uri = image.get("uri")
        name = f"image {source}" if uri is None or uri.startswith("data:") else unquote(uri)

        def content() -> Union[Path, bytes]:
            if uri is None:
                return self._view(image["bufferView"])[0]
            return self._of_data_uri(uri) if uri.startswith("data:") else file_beside(self.path, unquote(uri))

        return self._textures.number(source, name, content, wrap)

    def _no_picture(self, said: str) -> bytes:
        raise SignalError(self.path, f"has a texture of {said}, which is not read", "export it as PNG or JPEG")

    def _joined_colours(self, parts: List[_Part]) -> Optional[MeshColours]:
        if self._textures is None or not any(part.colours is not None for part in parts):
            return None
        found = []
        for part in parts:
            corners = part.faces.shape if len(part.faces) else (len(part.vertices), 1)
            found.append(part.colours or MeshColours(np.broadcast_to(np.float32(1.0), (*corners, 3)), True))
        corners = np.concatenate([each.corners for each in found])
        if not self._textures.textures:
            return MeshColours(corners, True)
        uv = [np.zeros((len(each.corners), 3, 2), np.float32) if each.uv is None else each.uv for each in found]
        none = [np.full(len(each.corners), -1) if each.texture is None else each.texture for each in found]
        return MeshColours(corners, True, np.concatenate(uv), np.concatenate(none), self._textures.textures)

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
            skinned, parts = "skin" in node, self._mesh(node["mesh"], node.get("weights"))
            columns = self._instance_columns(node)
            count = max((len(column) for column in columns.values()), default=1)
            total += sum(len(part.faces) + len(part.vertices) for part in parts) * count
            if total > MOST_FACES:
                raise SignalError(self.path, f"shows more than {MOST_FACES} faces and vertices", "export a part")
            instances = [_matrix({name: column[i] for name, column in columns.items()}) for i in range(count)]
            for part in parts:
                if skinned and "JOINTS_0" in part.primitive.get("attributes", {}):
                    found.append(self._posed(part, self.json["skins"][_index(node["skin"])]))
                else:
                    found += [_moved(part, world @ instance) for instance in instances]
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
        given = np.concatenate(normals) if complete else None
        missing = [] if self._textures is None else self._textures.notes()
        return MeshFile(vertices, faces, given, self.notes, self._joined_colours(parts), missing)

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
        placed, hidden = self._placed(roots), self._hidden()
        if lost := hidden & set(placed):
            self.notes.append(f"{self.path}: {counted(len(lost), 'node')} not visible left out")
        return {number: matrix for number, matrix in sorted(placed.items()) if number not in lost}

    def _hidden(self) -> Set[int]:
        """Nodes that are not shown, as one above them or they themselves are not (KHR_node_visibility)."""
        nodes, hidden = self.json["nodes"], set()
        waiting = [i for i, node in enumerate(nodes) if not _is_visible(node)]
        while waiting:
            number = waiting.pop()
            if number not in hidden:
                hidden.add(number)
                waiting += nodes[number].get("children", ())
        return hidden

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

    def _instance_columns(self, node: Dict[str, Any]) -> Dict[str, np.ndarray]:
        """Translations, rotations and scales of a node's instances, as far as there are some."""
        attributes = node.get("extensions", {}).get(_INSTANCES, {}).get("attributes", {})
        names = {"TRANSLATION": "translation", "ROTATION": "rotation", "SCALE": "scale"}
        columns = {own: self.accessor(attributes[name]) for name, own in names.items() if name in attributes}
        if len({len(column) for column in columns.values()}) > 1:
            raise SignalError(self.path, "has instances with too few numbers", _ADVICE)
        return columns

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
    part = part._replace(vertices=vertices, normals=normals)
    if not mirrored or not len(part.faces):
        return part
    colours = part.colours
    if colours is not None:
        uv = None if colours.uv is None else colours.uv[:, ::-1]
        colours = colours._replace(corners=colours.corners[:, ::-1], uv=uv)
    return part._replace(faces=part.faces[:, ::-1], colours=colours)


def _moved_on_texture(uv: Float[np.ndarray, "v 2"], moved: Dict[str, Any]) -> Float[np.ndarray, "v 2"]:
    """Places on a texture that is scaled, turned and shifted (KHR_texture_transform)."""
    angle = float(moved.get("rotation", 0.0))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (uv * np.array(moved.get("scale", (1, 1)), np.float64)) @ turn.T + np.array(moved.get("offset", (0, 0)))


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


def _is_visible(node: Dict[str, Any]) -> bool:
    return node.get("extensions", {}).get(_VISIBILITY, {}).get("visible", True) is not False


def _index(number: Any) -> int:
    """A number that counts; JSON's others would be taken from a list's end, or for true and false."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"{str(number)[:20]} is no number of an element")
    return number

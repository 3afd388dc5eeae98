"""Meshes as binary glTF, in the colours that a browser is to show."""

from __future__ import annotations

import json
import struct
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int

ARRAY, INDICES = 34962, 34963
FLOAT, UNSIGNED = 5126, 5125
INPUT = np.array([[0.59719, 0.35458, 0.04823], [0.07600, 0.90834, 0.01566], [0.02840, 0.13383, 0.83777]])
OUTPUT = np.array([[1.60475, -0.53108, -0.07367], [-0.10208, 1.10813, -0.00605], [-0.00327, -0.07276, 1.07602]])
"""Matrices of the film-like tone mapping (Stephen Hill's fit of ACES) that three.js applies to a scene's colours."""
EXPOSURE = 0.6
BRIGHTEST = 0.98
"""Of linear colours: the fit reaches white far away only."""


def glb(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    normals: Optional[Float[np.ndarray, "v 3"]],
    colours: Float[np.ndarray, "v 3"],
) -> bytes:
    """A file of one mesh.

    Args:
        vertices: corners.
        faces: of three vertices each, counter-clockwise seen from outside.
        normals: unit vectors for the browser's light; None: the colours are shown as they are.
        colours: of the vertices, as on screen, 0 … 1.
    """
    shown = linear(colours) if normals is not None else before_tone_mapping(linear(colours))
    arrays = [("POSITION", vertices), ("COLOR_0", shown)] + ([] if normals is None else [("NORMAL", normals)])
    pieces: List[Tuple[bytes, int, Dict[str, Any]]] = []
    for _, values in arrays:
        single = np.ascontiguousarray(values, dtype=np.float32)
        facts = {"componentType": FLOAT, "count": len(single), "type": "VEC3"}
        ends = {"min": single.min(0).tolist(), "max": single.max(0).tolist()} if values is vertices else {}
        pieces.append((single.tobytes(), ARRAY, {**facts, **ends}))
    indices = np.ascontiguousarray(faces, dtype=np.uint32).tobytes()
    pieces.append((indices, INDICES, {"componentType": UNSIGNED, "count": 3 * len(faces), "type": "SCALAR"}))

    views, start = [], 0
    for content, target, _ in pieces:
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(content), "target": target})
        start += len(content)
    material: Dict[str, Any] = {
        "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.8},
        **({"extensions": {"KHR_materials_unlit": {}}} if normals is None else {}),
    }
    attributes = {name: number for number, (name, _) in enumerate(arrays)}
    document = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_materials_unlit"] if normals is None else [],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": len(arrays), "material": 0}]}],
        "materials": [material],
        "accessors": [{"bufferView": number, **facts} for number, (_, _, facts) in enumerate(pieces)],
        "bufferViews": views,
        "buffers": [{"byteLength": start}],
    }
    if normals is not None:
        del document["extensionsUsed"]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(content for content, _, _ in pieces)  # Of four bytes each, so that nothing has to be padded.
    header = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary))
    return b"".join(
        (header, struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", len(binary), b"BIN\0"), binary)
    )


def linear(colours: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Colours of sRGB as light."""
    colours = np.asarray(colours, dtype=np.float64)
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def before_tone_mapping(light: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """The light that three.js's tone mapping makes this one of: the fit's own rational function is inverted."""
    fitted = np.linalg.solve(OUTPUT, np.minimum(light, BRIGHTEST).T).T.clip(0.0, 1.0)
    # (x (x + p) - q) / (x (r x + s) + t) = fitted, the positive root.
    p, q, r, s, t = 0.0245786, 0.000090537, 0.983729, 0.4329510, 0.238081
    a, b, c = 1 - r * fitted, p - s * fitted, -q - t * fitted
    x = (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)
    return np.linalg.solve(INPUT, x.T).T * EXPOSURE


def vertex_normals(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "v 3"]:
    """Unit normals of vertices, means of their faces' by area."""
    one, two, three = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(two - one, three - one)
    summed = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)], axis=-1
    )
    return summed / np.linalg.norm(summed, axis=1, keepdims=True).clip(min=1e-12)

"""Mutations behind checksums, lengths and packing, which blind ones hardly get past."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import PurePath
from random import Random
from typing import Any, Callable, Dict, List, Tuple

from tests.hostile.mutations import TEXT_MUTATIONS, mutated

VALUES: Tuple[Any, ...] = (
    None, True, "", "x", "../../x", "{globalThis.X=1}", "\0", "9" * 400, -1, 0, 1, 0.5, 2, 3, 255, 256, 1e308, -1e-320,
    float("nan"), float("inf"), 2**31, 2**40, 2**63, 10**400, [], [1], [[[]]], {}, {"x": {}}, "mesh", "siren", "1e3",
)  # fmt: skip


def another_value(described: Any, random: Random) -> Any:
    """A JSON document with a value replaced, left out, repeated or, where that is a document itself, spoilt within."""
    places: List[Tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in pairs:
            places.append((node, key))
            walk(value)

    walk(described)
    if not places:
        return random.choice(VALUES)
    node, key = random.choice(places)
    inner = node[key]
    how = random.random()
    if isinstance(inner, str) and inner[:1] in "{[" and inner and how < 0.9:
        try:
            node[key] = json.dumps(another_value(json.loads(inner), random))
            return described
        except json.JSONDecodeError:
            pass
    if how < 0.1:
        del node[key]
    elif how < 0.2 and isinstance(node, list):
        node.insert(key, inner)
    elif how < 0.3 and type(inner) in (int, float) and abs(inner) < 1e300:
        node[key] = random.choice((-inner, inner + 1, inner * 1000, inner / 3, str(inner)))
    else:
        node[key] = random.choice(VALUES)
    return described


def _json(content: bytes, random: Random) -> bytes:
    return json.dumps(another_value(json.loads(content), random)).encode()


def _text(content: bytes, random: Random) -> bytes:
    spoilt = bytearray(content)
    random.choice(TEXT_MUTATIONS)(spoilt, random)
    return bytes(spoilt)


def _png(content: bytes, random: Random) -> bytes:
    chunks, at = [], 8
    while at + 12 <= len(content):
        (size,) = struct.unpack_from(">I", content, at)
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    chosen = random.randrange(len(chunks) - 1)
    name, body = chunks[chosen]
    how = random.random()
    if how < 0.15:
        chunks.insert(random.randrange(len(chunks)), chunks[chosen])
    elif how < 0.25:
        del chunks[chosen]
    elif name == b"IDAT" and how < 0.7:
        chunks[chosen] = name, zlib.compress(mutated(zlib.decompress(body), random)[0])
    else:
        chunks[chosen] = name, mutated(body, random)[0] if body else random.randbytes(9)
    packed = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return content[:8] + b"".join(packed)


def _zip(content: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = random.choice(sorted(members))
    how = random.random()
    if how < 0.1:
        members[random.choice(("../x.npy", "y.npy", "sdf.npy", "a/b"))] = members.pop(chosen)
    else:
        members[chosen] = mutated(members[chosen], random)[0]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return packed.getvalue()


def _safetensors(content: bytes, random: Random) -> bytes:
    (size,) = struct.unpack_from("<Q", content)
    header, values = content[8 : 8 + size], content[8 + size :]
    if random.random() < 0.2:
        values = mutated(values, random)[0]
    else:
        header = _json(header, random)
    return struct.pack("<Q", len(header)) + header + values


def _glb(content: bytes, random: Random) -> bytes:
    (size,) = struct.unpack_from("<I", content, 12)
    header, rest = content[20 : 20 + size], content[20 + size :]
    if random.random() < 0.3:
        rest = rest[:8] + mutated(rest[8:], random)[0]
    else:
        header = _json(header, random)
        header += b" " * (-len(header) % 4)
    whole = struct.pack("<II", len(header), 0x4E4F534A) + header + rest
    return content[:8] + struct.pack("<I", 12 + len(whole)) + whole


INSIDE: Dict[str, Callable[[bytes, Random], bytes]] = {
    ".png": _png,
    ".npz": _zip,
    ".ckpt": _zip,
    ".safetensors": _safetensors,
    ".glb": _glb,
    ".json": _json,
    **dict.fromkeys((".obj", ".off", ".csv", ".xyz", ".yaml"), _text),
}


def mutated_inside(name: str, content: bytes, random: Random) -> Tuple[bytes, str]:
    """As `mutated`, and for formats that are known here mostly behind what protects them."""
    inside = INSIDE.get(PurePath(name).suffix)
    if inside is None and name.startswith("text."):
        inside = _text
    if inside is None or random.random() < 0.25:
        return mutated(content, random)
    return inside(content, random), f"inside {inside.__name__}"

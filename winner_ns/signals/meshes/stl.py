"""STL: triangles as binary records or as words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.signals.meshes.mesh import MeshFile, text_numbers

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEAD = 84
# Writers that stream do not know the number of triangles when they write it.
_UNKNOWN = (0, 2**32 - 1)

_NAME_LINE = re.compile(rb"^[ \t]*(?:end[ \t]*)?solid\b[^\r\n]*", re.MULTILINE | re.IGNORECASE)
_FACET = re.compile(
    rb"\s*facet(?:\s+normal\s+\S+\s+\S+\s+\S+)?\s+outer\s+loop"
    rb"\s+vertex\s+(\S+\s+\S+\s+\S+)\s+vertex\s+(\S+\s+\S+\s+\S+)\s+vertex\s+(\S+\s+\S+\s+\S+)"
    rb"\s+end\s*loop\s+end\s*facet(?=\s|$)",
    re.IGNORECASE,
)


def read_stl(path: Path, colours: bool = False) -> MeshFile:
    """Reads binary STL, told by its size whatever its header begins with, or text of one solid or several.

    Args:
        path: the file.
        colours: whether those are asked for; STL has none.

    Raises:
        SignalError: the number of triangles is another one than the header says, or the text is cut or no STL.
    """
    data = path.read_bytes()
    count = int.from_bytes(data[80:_HEAD], "little")
    held, rest = divmod(len(data) - _HEAD, _RECORD.itemsize)
    if held == count and held > 0:
        return _of_records(data, held, [])
    words = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    # Text has no bytes of control characters, which floats are full of.
    if words[:5].lower() == b"solid" and not re.search(rb"[\x00-\x08\x0e-\x1f]", data[:1024]):
        return _of_text(path, words)
    if held < 0 or (held == 0 and count == 0):
        raise SignalError(path, f"is cut or no STL ({len(data)} bytes)", "export the mesh again")
    if count in _UNKNOWN and rest == 0:
        note = f"{path}: its header counts {count} triangles and {held} follow; all of them are taken"
        return _of_records(data, held, [note])
    if held < count:
        said = f"is cut, or its header lies: it counts {count} triangles, of which {held} are there"
        raise SignalError(path, said, "get a whole copy of the file or export the mesh again")
    said = f"counts {count} triangles in its header and has room for {held}"
    raise SignalError(path, said, "export the mesh again")


def _of_records(data: bytes, count: int, notes: List[str]) -> MeshFile:
    corners = np.frombuffer(data, _RECORD, count, _HEAD)["corners"]
    with np.errstate(invalid="ignore"):  # NaN is found later.
        vertices = corners.astype(np.float64).reshape(-1, 3)
    return MeshFile(vertices, np.arange(3 * count).reshape(-1, 3), None, notes)


def _of_text(path: Path, text: bytes) -> MeshFile:
    text = text.replace(b"\r", b"\n")  # Old Macintosh files have returns only.
    names = _NAME_LINE.findall(text)
    ends = sum(name.lstrip()[:3].lower() == b"end" for name in names)
    body = _NAME_LINE.sub(b"", text)
    left = _FACET.sub(b"", body).strip()
    if left:
        word = left.split(None, 1)[0][:20].decode("ascii", "replace")
        raise SignalError(path, f"is cut or no STL: {word!r} is part of no whole facet", "export the mesh again")
    if 2 * ends != len(names):
        raise SignalError(path, "is cut: endsolid is missing", "get a whole copy of the file")
    facets = _FACET.findall(body)
    numbers = text_numbers(b" ".join(b" ".join(facet) for facet in facets))
    if numbers is None or numbers.size != 9 * len(facets):
        raise SignalError(path, "has vertices that are no numbers", "export the mesh again")
    if not len(facets):
        raise SignalError(path, "is a solid without facets", "export the mesh again")
    return MeshFile(numbers.reshape(-1, 3), np.arange(3 * len(facets)).reshape(-1, 3), None, [])

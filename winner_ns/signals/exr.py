"""The header of an OpenEXR file: how large it is, and which channels it has (OpenEXR file layout)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import List

from winner_ns.errors import SignalError

_SHOWN = ("R", "G", "B", "A", "Y", "RY", "BY")
_MOST_HEADER = 2**20


@dataclass(frozen=True)
class ExrFacts:
    """What the first part's header says."""

    height: int
    width: int
    shown: List[str]
    """Channels of colour, gray and alpha."""
    others: List[str]


def exr_facts(path: Path) -> ExrFacts:
    """Reads the header.

    Raises:
        SignalError: it is cut, or there are no colours in it.
    """
    with open(path, "rb") as file:
        data = file.read(_MOST_HEADER)
    at, height, width, names = 8, 0, 0, []
    try:
        while data[at]:
            name, at = _text(data, at)
            _, at = _text(data, at)
            (size,) = struct.unpack_from("<I", data, at)
            value, at = data[at + 4 : at + 4 + size], at + 4 + size
            if name == "dataWindow":
                left, top, right, bottom = struct.unpack("<4i", value)
                height, width = bottom - top + 1, right - left + 1
            elif name == "channels":
                inner = 0
                while value[inner]:
                    channel, inner = _text(value, inner)
                    names.append(channel)
                    inner += 16
    except (IndexError, ValueError, struct.error) as error:
        raise SignalError(path, "is a cut or damaged image", "get a whole copy of the file") from error
    shown = [name for name in names if name in _SHOWN]
    if not {"R", "G", "B"} <= set(shown) and "Y" not in shown:
        problem = f"has no colours named R, G and B, and no gray named Y ({', '.join(names[:4])})"
        raise SignalError(path, problem, "write the layer that is meant by itself")
    return ExrFacts(height, width, shown, [name for name in names if name not in _SHOWN])


def _text(data: bytes, at: int) -> "tuple[str, int]":
    end = data.index(0, at)
    return data[at:end].decode("latin-1"), end + 1

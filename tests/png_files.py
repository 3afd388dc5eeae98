"""PNG files made by hand, for what the libraries cannot write (PNG specification, third edition)."""

from __future__ import annotations

import struct
import zlib
from typing import Sequence, Tuple

import numpy as np

Chunk = Tuple[bytes, bytes]
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    samples: np.ndarray,
    depth: int,
    colour_type: int,
    before: Sequence[Chunk] = (),
    after: Sequence[Chunk] = (),
    interlaced: bool = False,
) -> bytes:
    """A PNG of samples [h, w, c], with further chunks before and after the pixels."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    passes = [samples[y::down, x::right] for y, x, down, right in _ADAM7] if interlaced else [samples]
    rows = b"".join(_rows(each, depth) for each in passes if each.size)
    chunks = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(rows)), *after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def _rows(samples: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in samples]
    elif depth == 8:
        rows = [row.astype(np.uint8).tobytes() for row in samples]
    else:
        bits = (samples[..., 0, None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits]
    return b"".join(b"\0" + row for row in rows)

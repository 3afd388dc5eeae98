"""Large PNGs band by band: no decoder at hand gives a part of the pixels, but each reads a PNG of some of the rows."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
from jaxtyping import Shaped

from winner_ns.mapped import forget_pages
from winner_ns.signals.array import scratch_array
from winner_ns.signals.png import SIGNATURE, PngFacts, broken

_BAND = 2**24
"""Bytes of the rows that are decoded at a time; at least one row."""
_PIECE = 2**20
"""Bytes of the file, and of its rows, that are unpacked at a time."""


def pixels_in_bands(
    path: Path, facts: PngFacts, decoded: Callable[[bytes], Shaped[np.ndarray, "rows w c"]]
) -> Shaped[np.ndarray, "h w c"]:
    """The pixels of a PNG of 8 or 16 bits a channel that has no palette and is not interlaced.

    A row may be stored as its difference from the one before, which therefore goes before each band, undone.

    Args:
        path: the file.
        facts: what it says of itself.
        decoded: gives the pixels of a whole PNG, its channels as the file has them.

    Raises:
        SignalError: it is cut or damaged.
    """
    dtype = np.dtype(np.uint8 if facts.depth == 8 else np.uint16)
    pixels = scratch_array((facts.height, facts.width, facts.channels), dtype)
    before, top = b"", 0
    for rows, count in _bands(path, facts):
        # Filter type 0: the row as it is.
        shown = decoded(_png_of(facts, before + rows, count + bool(before)))[bool(before) :]
        pixels[top : top + count] = shown
        before, top = b"\0" + shown[-1].astype(dtype.newbyteorder(">")).tobytes(), top + count
        forget_pages(pixels)
    if top < facts.height:
        raise broken(path, f"{facts.height} rows were promised and {top} are there")
    return pixels


def _png_of(facts: PngFacts, rows: bytes, count: int) -> bytes:
    """A PNG of so many rows, which are not packed."""
    header = struct.pack(">IIBBBBB", facts.width, count, facts.depth, facts.colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b"")]
    parts = [SIGNATURE]
    for name, content in chunks:
        check = zlib.crc32(content, zlib.crc32(name))
        parts += [struct.pack(">I", len(content)), name, content, struct.pack(">I", check)]
    return b"".join(parts)


def _bands(path: Path, facts: PngFacts) -> Iterator["tuple[bytes, int]"]:
    """Rows as they are stored, each behind its filter's type, and how many."""
    length = 1 + facts.width * facts.channels * facts.depth // 8
    step, left = max(1, _BAND // length), facts.height
    rows = bytearray()
    for piece in _unpacked(path):
        rows += piece
        while left and len(rows) >= length * min(step, left):
            count = min(step, left)
            yield bytes(rows[: length * count]), count
            del rows[: length * count]
            left -= count
        if not left:
            return
    if count := min(len(rows) // length, left):
        yield bytes(rows[: length * count]), count


def _unpacked(path: Path) -> Iterator[bytes]:
    """What the chunks of pixels hold, in pieces."""
    unpacker = zlib.decompressobj()
    try:
        for packed in _packed(path):
            while packed:
                yield unpacker.decompress(packed, _PIECE)
                packed = unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error as error:
        raise broken(path, str(error)) from error


def _packed(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(len(SIGNATURE))
        while len(start := file.read(8)) == 8:
            left, name = struct.unpack(">I4s", start)
            if name != b"IDAT":
                file.seek(left + 4, 1)
                continue
            while left and (piece := file.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece
            file.seek(4, 1)

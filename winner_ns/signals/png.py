"""PNG: its chunks, and pixels of 8 and 16 bits a channel (PNG specification, third edition)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Dict, Optional

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.signals.colour import Colour, colour_of_png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6

_KEPT = (b"tRNS", b"eXIf", b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"acTL")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_RAW_PROFILES = ("Raw profile type exif", "Raw profile type APP1")
_MOST_KEPT = 2**24
"""Bytes of a chunk beside the pixels; more are passed over."""


@dataclass(frozen=True)
class PngFacts:
    """What a PNG says beside its pixels."""

    height: int
    width: int
    depth: int
    """Bits of a channel."""
    colour_type: int
    transparent: Optional[bytes]
    """Of gray and RGB: the colour that is transparent, as tRNS has it."""
    exif: bytes
    colour: Colour
    pictures: int
    interlaced: bool

    @property
    def channels(self) -> int:
        """Of the file; palettes have 1."""
        return {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}.get(self.colour_type, 0)


def png_facts(path: Path) -> PngFacts:
    """Reads all chunks but the pixels'.

    Raises:
        SignalError: it is cut, or a chunk is damaged.
    """
    kept: Dict[bytes, bytes] = {}
    profiles: Dict[str, bytes] = {}
    with open(path, "rb") as file:
        file.seek(len(SIGNATURE))
        header = _chunk(file, path, keep=True)
        if header is None or header[0] != b"IHDR" or len(header[1]) != 13:
            raise broken(path, "it has no header")
        while True:
            name_and_content = _chunk(file, path)
            if name_and_content is None:
                raise broken(path, "its end is missing")
            name, content = name_and_content
            if name == b"IEND":
                break
            if name in _KEPT:
                kept.setdefault(name, content)
            elif name in _TEXTS:
                key = content.partition(b"\0")[0].decode("latin-1")
                # All others stay packed: a small file may hold many that are large.
                if key in _RAW_PROFILES:
                    profiles.setdefault(key, _text(name, content))
    width, height, depth, colour_type = struct.unpack(">IIBB", header[1][:10])
    return PngFacts(
        height,
        width,
        depth,
        colour_type,
        kept.get(b"tRNS") if colour_type in (GRAY, RGB) else None,
        kept.get(b"eXIf") or _raw_profile(profiles),
        colour_of_png(kept),
        struct.unpack(">I", kept[b"acTL"][:4])[0] if len(kept.get(b"acTL", b"")) >= 4 else 1,
        header[1][12] != 0,
    )


def _chunk(file: BinaryIO, path: Path, keep: bool = False) -> "tuple[bytes, bytes] | None":
    """Name and content of the next chunk, of pixels without it; None where the file ends."""
    start = file.read(8)
    if len(start) < 8:
        return None
    length, name = struct.unpack(">I4s", start)
    keep = (keep or name in _KEPT or name in _TEXTS) and length <= _MOST_KEPT
    # Whatever cannot be kept is summed up piece by piece.
    total, left, content = zlib.crc32(name), length, b""
    while left:
        piece = file.read(min(left, 2**20))
        if not piece:
            return None
        total, left = zlib.crc32(piece, total), left - len(piece)
        content += piece if keep else b""
    check = file.read(4)
    if len(check) < 4:
        return None
    # Of chunks that need not be understood a damaged one is none.
    damaged = struct.unpack(">I", check)[0] != total
    if damaged and name[:1].isupper():
        raise broken(path, f"its chunk {name.decode('latin-1')!r} is damaged")
    return name, b"" if damaged else content


def transparency(pixels: np.ndarray, facts: PngFacts) -> np.ndarray:
    """Pixels of gray or RGB with alpha behind them, 0 where they have the transparent colour, else full."""
    count = facts.channels
    if facts.transparent is None or len(facts.transparent) < 2 * count:
        return pixels
    colour = np.frombuffer(facts.transparent[: 2 * count], ">u2").astype(np.int64)
    full = int(np.iinfo(pixels.dtype).max)
    # Samples of less than 8 bits come spread over all 8; a value beyond the depth has only its low bits (11.3.1.1).
    colour = (colour & (2**facts.depth - 1)) * full // (2**facts.depth - 1)
    result = np.empty((*pixels.shape[:2], count + 1), pixels.dtype)
    result[..., :count] = pixels
    result[..., count] = np.where((pixels == colour.astype(pixels.dtype)).all(axis=-1), 0, full)
    return result


def _text(name: bytes, content: bytes) -> bytes:
    """The text of a chunk of text; none where it cannot be unpacked."""
    rest = content.partition(b"\0")[2]
    packed = name == b"zTXt"
    if name == b"zTXt":
        rest = rest[1:]
    elif name == b"iTXt":
        packed = rest[:1] == b"\1"
        rest = rest[2:].split(b"\0", 2)[-1]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, _MOST_KEPT)
        except zlib.error:
            rest = b""
    return rest


def _raw_profile(profiles: Dict[str, bytes]) -> bytes:
    """Exif as ImageMagick writes it: a name, its length and hexadecimal digits."""
    for key in _RAW_PROFILES:
        words = profiles.get(key, b"").split()
        if len(words) > 2:
            try:
                return bytes.fromhex(b"".join(words[2:]).decode("ascii"))
            except ValueError:
                continue
    return b""


def broken(path: Path, reason: str) -> SignalError:
    """What is said of a PNG whose pixels or chunks are not all there."""
    return SignalError(path, f"is a cut or damaged image ({reason})", "get a whole copy of the file")

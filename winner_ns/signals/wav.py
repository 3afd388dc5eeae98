"""WAV: where its samples are, also where the header does not know or says something else (RIFF, RF64, BW64)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Iterator, Optional, Tuple

import numpy as np

_UNKNOWN = 0x7FFF0000
"""From here on a size that is larger than the file is what writers leave who cannot seek back."""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True)
class WavLayout:
    """What the chunks before the samples say."""

    file_format: str
    """As libsndfile calls it: WAV, WAVEX or RF64."""
    rate: int
    channels: int
    subtype: str
    """As libsndfile calls it: PCM_U8, PCM_16, PCM_24, PCM_32, FLOAT, DOUBLE; "" of what is coded otherwise."""
    offset: int
    """Of the first sample in the file."""
    frame_bytes: int
    """Of one sample of all channels."""
    there: int
    """How many samples of all channels there are."""
    promised: Optional[int]
    """How many the header says there are; None where it does not know."""


def wav_layout(path: Path) -> Optional[WavLayout]:
    """Where a WAV file's samples are; None of other files, and of those without samples or without their format."""
    with open(path, "rb") as file:
        name, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if name not in (b"RIFF", b"RF64", b"BW64") or form != b"WAVE":
            return None
        length, long_size, described = path.stat().st_size, None, None
        for chunk, at, size in _chunks(file, length):
            if chunk == b"ds64":
                (long_size,) = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))
            elif chunk == b"fmt ":
                described = _format(file.read(min(size, 64)))
            elif chunk == b"data":
                if described is None:
                    return None
                tag, channels, rate, frame_bytes, file_format = described
                if name != b"RIFF":
                    file_format = "RF64"
                    size = size if size != 0xFFFFFFFF or long_size is None else long_size
                rest = length - at
                known = size <= rest or size < _UNKNOWN
                if size == 0 and rest and not _ends_in_chunks(file, at, length):
                    known = False
                size = size if known else rest
                return WavLayout(
                    file_format,
                    rate,
                    channels,
                    _subtype(tag, channels, frame_bytes),
                    at,
                    frame_bytes,
                    min(size, rest) // frame_bytes,
                    size // frame_bytes if known else None,
                )
    return None


def _chunks(file: BinaryIO, length: int) -> Iterator[Tuple[bytes, int, int]]:
    """Name, offset of the content and size of each chunk, with the file at the content."""
    at = 12
    while at + 8 <= length:
        file.seek(at)
        name, size = struct.unpack("<4sI", file.read(8))
        at += 8
        yield name, at, size
        at += size
        if size % 2:
            # There should be a byte between; some writers leave it out.
            file.seek(at)
            near = file.read(5)
            at += 0 if _is_name(near[:4]) and not _is_name(near[1:5]) else 1


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= letter < 127 for letter in name)


def _ends_in_chunks(file: BinaryIO, at: int, length: int) -> bool:
    """Whether what follows is nothing but whole chunks, up to the file's end."""
    while at + 8 <= length:
        file.seek(at)
        name, size = struct.unpack("<4sI", file.read(8))
        if not _is_name(name):
            return False
        at += 8 + size + size % 2
    return at - 1 <= length <= at


def _format(content: bytes) -> Optional[Tuple[int, int, int, int, str]]:
    """Tag, channels, rate, bytes of a frame and libsndfile's name."""
    if len(content) < 16:
        return None
    tag, channels, rate, _, frame_bytes, _ = struct.unpack_from("<HHIIHH", content)
    file_format = "WAV"
    if tag == _EXTENSIBLE and len(content) >= 26:
        (tag,) = struct.unpack_from("<H", content, 24)
        file_format = "WAVEX"
    if not channels or not rate or not frame_bytes:
        return None
    return tag, channels, rate, frame_bytes, file_format


def _subtype(tag: int, channels: int, frame_bytes: int) -> str:
    width, rest = divmod(frame_bytes, channels)
    if rest:
        return ""
    if tag == _PCM:
        return {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}.get(width, "")
    return {4: "FLOAT", 8: "DOUBLE"}.get(width, "") if tag == _FLOAT else ""


def mapped_samples(path: Path, layout: WavLayout) -> np.ndarray:
    """Samples as the file has them, [n, channels], memory-mapped; of 24 bits [n, channels, 3], bytes."""
    width = layout.frame_bytes // layout.channels
    dtype = {"PCM_U8": "u1", "PCM_24": "u1", "FLOAT": "<f4", "DOUBLE": "<f8"}.get(layout.subtype, f"<i{width}")
    shape = (layout.there, layout.channels) + ((3,) if layout.subtype == "PCM_24" else ())
    return np.memmap(path, dtype, "r", offset=layout.offset, shape=shape)


def whole_numbers(block: np.ndarray, subtype: str) -> np.ndarray:
    """Samples of 8 bits as int16 and of 24 as int32, full scale being that of the type; others as they are."""
    if subtype == "PCM_U8":
        return (block.astype(np.int16) - 128) << 8
    if subtype == "PCM_24":
        wide = np.zeros((*block.shape[:-1], 4), np.uint8)
        wide[..., 1:] = block
        return wide.view("<i4")[..., 0].astype(np.int32, copy=False)
    return block

"""Reading sounds: block by block through libsndfile, resampled with soxr."""

from __future__ import annotations

import io
import math
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import numpy as np

from winner_ns.errors import SignalError, counted
from winner_ns.mapped import forget_pages
from winner_ns.reading import check_decoded
from winner_ns.signals.array import check_magnitudes, native_rows, not_finite, open_array, scratch_array
from winner_ns.signals.grid import GridSignal
from winner_ns.signals.media import exact, opened
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.quiet import quiet_stderr
from winner_ns.signals.wav import WavLayout, mapped_samples, wav_layout, whole_numbers

MIN_SAMPLES = 16
BLOCK = 2**18
"""Frames that are decoded in one go."""
ARRAY_SAMPLE_RATE = 44100
"""Rate in hertz that a .npy is taken to have where none is named."""

# Subtypes with more than 16 bits, and those that decode to floats; all others fit int16.
_INT32 = {"PCM_24", "PCM_32", "ALAC_20", "ALAC_24", "ALAC_32", "DWVW_24"}
_FLOAT32 = {"FLOAT", "VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}
_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31, "float32": 1.0, "float64": 1.0}


def read_audio(path: Path, options: Optional[ReadOptions] = None) -> GridSignal:
    """Reads WAV, FLAC, OGG, MP3, AIFF and what else libsndfile knows, and .npy ([samples] or [samples, channels]).

    Values are raw samples over the largest magnitude in the whole file (after averaging the channels where `mono`),
    also where only a slice is loaded, so that slices of one file are on one scale. Up to 16 bits are kept as int16,
    24 and 32 as int32, floats as they are; averaging and resampling give float32. Arrays keep their type; unsigned
    8-bit ones, whose middle is 128 as in WAV, become signed. metadata: "sample_rate" (Hz) of
    what is loaded, "subtype" and "format" of the file, "start" (s), "full_scale" (the raw value of digital full
    scale; of arrays of more than 16 bits that of the least of 8, 16, 24, 32, … bits that hold them, as they may hold
    samples of any), "read_options" (where any were given).

    Raises:
        SignalError: the file is no sound, has NaN or infinite samples, or what is asked for is outside of it, shorter
            than 16 samples or silent. An array has its channels first or unsigned samples of more than 8 bits.
    """
    options = _checked(path, options or ReadOptions())
    with open(path, "rb") as file:
        is_array = file.read(6) == b"\x93NUMPY"
    if is_array:
        return audio_of_array(open_array(path), path, options)
    layout = wav_layout(path)
    if layout is not None and layout.subtype:
        return _load(path, options, _WavSource(path, options, layout))
    with quiet_stderr():  # mpg123 prints what it thinks of a file.
        return _load(path, options, _FileSource(path, options, layout))


def audio_of_array(
    array: np.ndarray, path: Path, options: Optional[ReadOptions] = None, rate: Optional[int] = None
) -> GridSignal:
    """A sound from an array in rows, [samples] or [samples, channels]; raises as `read_audio`.

    Args:
        array: its samples.
        path: what messages, and files made of it, call it.
        options: which part of it is read, and how.
        rate: in hertz; None is the options' sample rate, else 44100.
    """
    options = _checked(path, options or ReadOptions())
    return _load(path, options, _ArraySource(path, array, rate or options.sample_rate or ARRAY_SAMPLE_RATE))


def _load(path: Path, options: ReadOptions, source: "_ArraySource | _FileSource | _WavSource") -> GridSignal:
    rate = options.sample_rate or source.rate
    start = round(options.start * source.rate)
    wanted = _wanted(options, source.rate, rate)

    # One pass in blocks: the peak and the number of bad samples are the whole file's, only the slice is kept.
    mapped = source.mapped()
    kept = _Kept(path, source, start, wanted) if mapped is None else None
    peak, unusable, frames = 0.0, 0, 0
    for block in source.blocks():
        if block.dtype.kind == "f":
            unusable += block.size - int(np.count_nonzero(np.isfinite(block)))
        if options.mono and block.shape[1] > 1:
            block = block.mean(axis=1, keepdims=True, dtype=np.float64 if block.dtype == np.float64 else np.float32)
        peak = max(peak, abs(float(block.max())), abs(float(block.min())))
        if kept is not None:
            kept.take(block, frames)
        frames += len(block)

    if frames == 0:
        raise SignalError(path, "holds no samples", "get a whole copy of the file")
    if unusable:
        raise not_finite(path, unusable, frames * source.channels)
    check_magnitudes(path, "values", peak, peak or 1.0)
    if mapped is not None:
        samples = mapped[start : None if wanted is None else start + wanted]
    else:
        assert kept is not None
        samples = kept.samples()
    if len(samples) == 0:
        raise SignalError(
            path, f"lasts {frames / source.rate:g} s, before the start at {options.start:g} s", "start earlier"
        )
    warnings = source.warnings(frames)
    if wanted is not None and len(samples) < wanted - 1:
        got, asked = len(samples) / source.rate, wanted / source.rate
        warnings.append(f"{path}: {asked:g} s were asked for, {got:g} s are there and used")
    if rate != source.rate:
        import soxr

        samples = soxr.resample(samples.astype(np.float32, copy=False), source.rate, rate)
        if options.duration_samples is not None:
            samples = samples[: options.duration_samples]
        # Between the file's samples the wave may be higher than at any of them.
        peak = max(peak, float(np.abs(samples).max(initial=0.0)))
    if len(samples) < MIN_SAMPLES:
        raise SignalError(
            path, f"is too short ({counted(len(samples), 'sample')})", f"give at least {MIN_SAMPLES} of them"
        )
    if _is_constant(samples):
        raise SignalError(path, "is silent, all samples have the same value", "there is nothing to fit")
    return GridSignal(
        kind="audio",
        path=path,
        samples=native_rows(samples),
        value_offset=0.0,
        value_scale=peak,
        half_extent=(1.0,),
        metadata={
            "sample_rate": rate,
            **source.metadata,
            "start": start / source.rate,
            "full_scale": source.full_scale,
            **({} if options == ReadOptions() else {"read_options": asdict(options)}),
        },
        warnings=warnings,
    )


def _checked(path: Path, options: ReadOptions) -> ReadOptions:
    """Options that can be met, in Python's own numbers, as descriptions hold them.

    Raises:
        SignalError: they cannot.
    """
    if options.duration is not None and options.duration_samples is not None:
        raise SignalError(path, "is given both a duration and a number of samples", "give one of them")
    for name in ("duration", "duration_samples", "sample_rate"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise SignalError(path, f"{name.replace('_', ' ')} is {value}", "give more than 0")
        if value is not None and name != "duration" and value != int(value):
            raise SignalError(path, f"{name.replace('_', ' ')} is {value}", "give a whole number")
    if not 0 <= options.start < math.inf:
        raise SignalError(path, f"start is {options.start} s", "give 0 or more")
    return replace(
        options,
        start=float(options.start),
        duration=None if options.duration is None else float(options.duration),
        duration_samples=None if options.duration_samples is None else int(options.duration_samples),
        sample_rate=None if options.sample_rate is None else int(options.sample_rate),
        mono=bool(options.mono),
    )


def _wanted(options: ReadOptions, file_rate: int, rate: int) -> Optional[int]:
    """Frames of the file that are asked for, or None for all."""
    if options.duration is not None:
        return max(round(options.duration * file_rate), 1)
    if options.duration_samples is not None:
        # One more than the quotient, so that the resampler's rounding never leaves one too few.
        return options.duration_samples if rate == file_rate else -(-options.duration_samples * file_rate // rate) + 1
    return None


class _Kept:
    """The slice that is kept of blocks: in an array that is as long as it will be, where the file says how long it is.

    Raises:
        SignalError: it takes more memory than is allowed.
    """

    def __init__(
        self, path: Path, source: "_ArraySource | _FileSource | _WavSource", start: int, wanted: Optional[int]
    ):
        self._path, self._start, self._wanted, self._decoded = path, start, wanted, source.decoded
        self._blocks: List[np.ndarray] = []
        self._array: Optional[np.ndarray] = None
        self._taken, self._bytes = 0, 0
        left = source.promised - start
        self._expected = left if wanted is None else min(wanted, left)
        if not 0 < self._expected < 2**40:
            self._expected = 0  # Streams do not know how long they are.

    def take(self, block: np.ndarray, before: int) -> None:
        """Keeps what is wanted of a block with so many samples before it."""
        first = max(self._start - before, 0)
        stop = len(block) if self._wanted is None else min(self._start + self._wanted - before, len(block))
        if first >= stop:
            return
        part = block[first:stop]
        if self._array is None and not self._blocks:
            self._check(float(self._expected) * part.shape[1] * part.itemsize)
            if self._expected:
                self._array = scratch_array((self._expected, part.shape[1]), part.dtype)
        self._bytes += part.nbytes
        if self._array is not None and self._taken + len(part) <= len(self._array):
            self._array[self._taken : self._taken + len(part)] = part
            forget_pages(self._array)
        else:
            self._check(self._bytes)
            self._blocks.append(part.copy())
        self._taken += len(part)

    def _check(self, size: float) -> None:
        if self._decoded:
            check_decoded(self._path, size)

    def samples(self) -> np.ndarray:
        """All that was kept."""
        if not self._blocks:
            return np.empty((0, 1)) if self._array is None else self._array[: self._taken]
        rest = sum(len(block) for block in self._blocks)
        first = [] if self._array is None else [self._array[: self._taken - rest]]
        return np.concatenate([*first, *self._blocks])


def _is_constant(samples: np.ndarray) -> bool:
    return all(bool((samples[i : i + BLOCK] == samples[0]).all()) for i in range(0, len(samples), BLOCK))


def _is_endless(path: Path, frames: int) -> str:
    return f"{path}: does not say how long it is; the {frames} samples up to its end are used"


def _is_cut(path: Path, promised: int, frames: int) -> str:
    return f"{path}: is cut, {promised} samples were promised and {frames} are there and used"


class _WavSource:
    """A WAV file of plain numbers, which are read where they lie."""

    decoded = False

    def __init__(self, path: Path, options: ReadOptions, layout: WavLayout) -> None:
        self.path, self.layout = path, layout
        self.rate, self.channels, self.promised = layout.rate, layout.channels, layout.there
        self.metadata: Dict[str, Any] = {"subtype": layout.subtype, "format": layout.file_format}
        wide = layout.subtype in _INT32
        self._own = {"FLOAT": "float32", "DOUBLE": "float64"}.get(layout.subtype, "int32" if wide else "int16")
        self._converted = (options.sample_rate or self.rate) != self.rate or (options.mono and self.channels > 1)
        self.dtype = "float32" if self._converted else self._own
        self.full_scale = _FULL_SCALE[self.dtype]

    def mapped(self) -> Optional[np.ndarray]:
        """All samples as they lie in the file, where that is how they are used."""
        if self._converted or self.layout.subtype in ("PCM_U8", "PCM_24") or not self.layout.there:
            return None
        return mapped_samples(self.path, self.layout)

    def blocks(self) -> Iterator[np.ndarray]:
        if not self.layout.there:
            return
        samples = mapped_samples(self.path, self.layout)
        for start in range(0, len(samples), BLOCK):
            block = whole_numbers(samples[start : start + BLOCK], self.layout.subtype)
            if self._converted:
                block = (block / np.float32(_FULL_SCALE[self._own])).astype(np.float32)
            yield block
            forget_pages(samples)

    def warnings(self, frames: int) -> List[str]:
        if self.layout.promised is None:
            return [_is_endless(self.path, frames)]
        return [_is_cut(self.path, self.layout.promised, frames)] if frames < self.layout.promised else []


def _opened(path: Path, length: Optional[int]) -> Any:
    """A soundfile.SoundFile of a file, or of one whose header does not know its length."""
    import soundfile

    if length is None:
        return soundfile.SoundFile(path)
    with open(path, "rb") as file:
        kept = file.read(_LongFlac.AT + 1)[_LongFlac.AT] & 0xF0
    # A stream's length is in its first block (RFC 9639, 8.2), 36 bits; libsndfile takes 0 for its word.
    length = min(length, 2**36 - 1)
    return soundfile.SoundFile(_LongFlac(path, bytes([kept | length >> 32]) + (length % 2**32).to_bytes(4, "big")))


def _missing_length(path: Path) -> Optional[int]:
    """How many samples a FLAC has whose header does not say it, as its frames' headers tell; None of other files."""
    with open(path, "rb") as file:
        head = file.read(_LongFlac.AT + 5)
    known = head[_LongFlac.AT :]
    if head[:4] != b"fLaC" or len(known) < 5 or known[0] & 15 or known[1:] != bytes(4):
        return None
    count = 0
    with quiet_stderr(), suppress(Exception):  # Any type: what is damaged ends there.
        with opened(path) as container:
            stream = container.streams.audio[0]
            for packet in container.demux(stream):
                if packet.size:
                    count += round((packet.duration or 0) * (exact(packet.time_base) or 0) * stream.rate)
    return count


class _LongFlac(io.FileIO):
    """A FLAC file with another length in it."""

    AT = 21
    """Of the length, the half of whose first byte is another number's."""

    def __init__(self, path: Path, length: bytes) -> None:
        super().__init__(path, "rb")
        self._length = length

    def readinto(self, buffer: Any) -> int:
        start = self.tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for i, byte in enumerate(self._length, self.AT - start):
            if 0 <= i < count:
                view[i] = byte
        return count

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = max(os.fstat(self.fileno()).st_size - self.tell(), 0)
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(buffer)])


class _FileSource:
    """A file that libsndfile decodes."""

    decoded = True
    """Whether it is small in the file and large in memory, which is limited."""

    def __init__(self, path: Path, options: ReadOptions, layout: Optional[WavLayout] = None) -> None:
        import soundfile

        self.path, self._length = path, _missing_length(path)
        try:
            with quiet_stderr(), _opened(path, self._length) as file:
                self.rate, self.channels, self.promised = file.samplerate, file.channels, file.frames
                self.metadata: Dict[str, Any] = {"subtype": file.subtype, "format": file.format}
        except soundfile.LibsndfileError as error:
            raise SignalError(
                path, f"cannot be read as a sound ({error.error_string})", "give a WAV, FLAC, OGG, MP3 or AIFF file"
            ) from error
        subtype = self.metadata["subtype"]
        if layout is not None and subtype in ("ULAW", "ALAW"):
            # A sample is a byte of these, and libsndfile takes those that are there for all.
            self.promised = max(self.promised, layout.promised or 0)
        converted = (options.sample_rate or self.rate) != self.rate or (options.mono and self.channels > 1)
        if converted or subtype in _FLOAT32:
            self.dtype = "float32"
        elif subtype == "DOUBLE":
            self.dtype = "float64"
        else:
            self.dtype = "int32" if subtype in _INT32 else "int16"
        self.full_scale = _FULL_SCALE[self.dtype]

    def mapped(self) -> Optional[np.ndarray]:
        """None: it has to be decoded."""
        return None

    def blocks(self) -> Iterator[np.ndarray]:
        import soundfile

        with _opened(self.path, self._length) as file:
            buffer, done, whole = np.empty((BLOCK, self.channels), self.dtype), 0, True
            while whole:
                try:
                    block = file.read(out=buffer)
                except soundfile.LibsndfileError:
                    # Damaged from here on: what was decoded is used, and `warnings` says that the rest is missing.
                    block, whole = buffer[: max(file.tell() - done, 0)], False
                if len(block) == 0:
                    return
                done += len(block)
                yield block

    def warnings(self, frames: int) -> List[str]:
        if self._length is not None:
            return [_is_endless(self.path, frames)]
        if frames < self.promised:
            return [_is_cut(self.path, self.promised, frames)]
        if self.metadata["format"] == "OGG" and _ogg_begins_again(self.path):
            several = f"{self.path}: holds several sounds, one behind the other"
            return [f"{several}; the {frames} samples of the first are used"]
        if self.metadata["format"] == "OGG" and not _ogg_ends(self.path):
            return [f"{self.path}: is cut, the {frames} samples that are there are used"]
        return []


class _ArraySource:
    """An array, [samples] or [samples, channels]."""

    decoded = False

    def __init__(self, path: Path, array: np.ndarray, rate: int) -> None:
        if array.ndim not in (1, 2):
            raise SignalError(
                path, f"an array of shape {array.shape} is no sound", "give [samples] or [samples, channels]"
            )
        # Of so few samples it would be too short in any case.
        if array.ndim == 2 and array.shape[0] <= 8 and array.shape[1] >= MIN_SAMPLES:
            advice = "transpose it: samples first, channels last"
            raise SignalError(path, f"a sound of shape {array.shape} has its channels first", advice)
        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            middle = f"2**{8 * array.dtype.itemsize - 1}"
            problem = f"holds {array.dtype}, samples without a sign"
            raise SignalError(path, problem, f"subtract the middle, such as {middle}, and give signed integers")
        self.array = array.reshape(len(array), -1)
        self.channels = self.array.shape[1]
        self.rate = rate
        self.full_scale = self._full_scale()
        subtype = str(array.dtype)
        if array.dtype == np.int64:  # No file of a sound has so many bits.
            subtype = "int16" if self.full_scale <= 2**15 else "int32"
        self.metadata: Dict[str, Any] = {"subtype": subtype, "format": "NPY"}
        self.promised = len(self.array)

    def mapped(self) -> Optional[np.ndarray]:
        """None: it is copied, as it may be another's."""
        return None

    def blocks(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.array), BLOCK):
            block = self.array[start : start + BLOCK]
            # Turning the highest bit over takes 128 away.
            yield (block ^ np.uint8(128)).view(np.int8) if block.dtype == np.uint8 else block

    def _full_scale(self) -> float:
        """The raw value of digital full scale."""
        dtype = self.array.dtype
        if dtype.kind == "f":
            return 1.0
        bits = 8 * dtype.itemsize
        if bits > 16 and self.array.size:
            # numpy gives integers of 64 bits wherever nothing else is asked for.
            low, high = int(self.array.min()), int(self.array.max())
            bits = next(bits for bits in range(8, 72, 8) if max(-low, high + 1) <= 2 ** (bits - 1))
        return 2.0 ** (bits - 1)

    def warnings(self, frames: int) -> List[str]:
        return []


def _ogg_ends(path: Path) -> bool:
    """Whether an Ogg file's last page is marked as the last (RFC 3533, section 6)."""
    with open(path, "rb") as file:
        file.seek(max(path.stat().st_size - 2**17, 0))  # Two pages of the largest size.
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and page + 5 < len(tail) and bool(tail[page + 5] & 4)


def _ogg_begins_again(path: Path) -> bool:
    """Whether a further stream begins in an Ogg file behind the first ones' pages, as in recordings of a radio
    (RFC 3533, section 4: chained streams)."""
    begun = False
    with open(path, "rb") as file:
        while (head := file.read(27))[:4] == b"OggS" and len(head) == 27:
            begins = bool(head[5] & 2)
            if begins and begun:
                return True
            begun = begun or not begins
            file.seek(sum(file.read(head[26])), os.SEEK_CUR)
    return False


_BIT_RATES = {
    # Kilobits a second by the index in the header, of MPEG 1 and of MPEG 2, by layer (ISO/IEC 11172-3 and 13818-3).
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_FRAMES_SEEN = 3


def is_mpeg(path: Path, head: bytes) -> bool:
    """Whether a file is MPEG audio (MP3) that begins with its first frame: eleven bits say little, frame behind frame
    does."""
    if head[:1] != b"\xff":
        return False
    with open(path, "rb") as file:
        data = file.read(8192)
    at, size = 0, path.stat().st_size
    for seen in range(_FRAMES_SEEN):
        length = _mpeg_frame(data[at : at + 4])
        if not length:
            return False
        at += length
        if at >= size:
            return seen > 0
    return True


def _mpeg_frame(header: bytes) -> int:
    """Bytes of the frame with this header; 0 where it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = (header[1] >> 3) & 3, 4 - ((header[1] >> 1) & 3)
    index, rate_index = header[2] >> 4, (header[2] >> 2) & 3
    if version == 1 or layer == 4 or index in (0, 15) or rate_index == 3:
        return 0
    bits = 1000 * _BIT_RATES[1 if version == 3 else 2, layer][index - 1]
    rate = (44100, 48000, 32000)[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    padding = (header[2] >> 1) & 1
    if layer == 1:
        return (12 * bits // rate + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // rate + padding

"""Sounds at any sample rate from a fitted sound."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, Iterator, Optional

import numpy as np
from jaxtyping import Float

from winner_ns.errors import SignalError, setting_error
from winner_ns.export.output import fitted_path, require_export
from winner_ns.export.resampling import MOST_UNASKED
from winner_ns.fields.files import LoadedField
from winner_ns.fields.sample_values import sample_values
from winner_ns.mapped import new_npy
from winner_ns.progress import Report, silent
from winner_ns.writing import check_output, replacing

FORMATS: Dict[str, str] = {
    ".wav": "WAV",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".mp3": "MP3",
    ".aiff": "AIFF",
    ".aif": "AIFF",
    ".au": "AU",
    ".caf": "CAF",
    ".w64": "W64",
    ".npy": "NPY",
}
"""libsndfile's name of the format that each suffix stands for."""

BLOCK = 2**18
"""Samples that are evaluated in one go."""
FILTER_REACH = 1024
"""Samples of the lower rate beyond which soxr's filter is over."""

_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_OF_ARRAYS = {"int16": "PCM_16", "int32": "PCM_32", "float32": "FLOAT", "float64": "DOUBLE"}


def export_audio(
    loaded: LoadedField,
    output: Path,
    sample_rate: Optional[int] = None,
    subtype: Optional[str] = None,
    duration: Optional[float] = None,
    report: Report = silent,
) -> Dict[str, Any]:
    """Evaluates a fitted sound at a sample rate and writes it, as loud as the original, block by block.

    At a higher rate the field is evaluated at the times of the new samples; at a lower one at the original's, and then
    resampled with soxr, so that nothing aliases. The sound lasts round(samples * new rate / old rate) samples.

    Args:
        loaded: a fitted sound.
        output: WAV, FLAC, OGG, MP3, AIFF, AU, CAF, W64 or .npy (floats, 1 at digital full scale).
        sample_rate: hertz; None is the original's.
        subtype: libsndfile's name of the number format, as PCM_16, PCM_24 or FLOAT; None is the original's where the
            format has it, else the format's own.
        duration: seconds from the start, at most as many as there are; None: all of them, as long as these are no more
            than `winner_ns.export.resampling.MOST_UNASKED` samples.
        report: is told how far it is.

    Returns:
        path, sample_rate, samples, duration (s), channels and subtype.

    Raises:
        SignalError: another kind of run, a rate or subtype that the format lacks, or a failure to write.
    """
    import soundfile

    require_export(loaded, "audio")
    suffix = check_output(output, tuple(FORMATS), loaded.description.data)
    rate = loaded.signal["sample_rate"] if sample_rate is None else sample_rate
    if not rate > 0:
        raise setting_error("sample_rate", f"{rate} is no rate", "give hertz, as 44100")
    count = _count(loaded, rate, duration)
    channels = loaded.channels
    subtype = "FLOAT" if suffix == ".npy" else _subtype(loaded, output, FORMATS[suffix], subtype)
    with replacing(output, loaded.description.data) as temporary:
        if suffix == ".npy":
            array = new_npy(temporary, (count, channels), np.float32)
            start = 0
            for block in sound_blocks(loaded, rate, count, report):
                array[start : start + len(block)] = block
                start += len(block)
            array.flush()
        else:
            try:
                with soundfile.SoundFile(
                    temporary, "w", samplerate=rate, channels=channels, format=FORMATS[suffix], subtype=subtype
                ) as file:
                    for block in sound_blocks(loaded, rate, count, report):
                        file.write(as_integers(block, subtype))
            except soundfile.LibsndfileError as error:
                raise SignalError(
                    output,
                    f"{FORMATS[suffix]} cannot hold {channels} channel(s) at {rate} Hz ({error.error_string})",
                    "write WAV or FLAC, or choose another sample rate",
                ) from error
    return {
        "path": str(output),
        "kind": loaded.kind,
        "sample_rate": rate,
        "samples": count,
        "duration": count / rate,
        "channels": channels,
        "subtype": subtype,
    }


def write_fitted(loaded: LoadedField, folder: Path) -> Path:
    """Writes a fitted sound as its kind's own file, WAV (`export_fitted`)."""
    path = fitted_path(loaded, ".wav", folder)
    export_audio(loaded, path)
    return path


def _subtype(loaded: LoadedField, output: Path, file_format: str, wanted: Optional[str]) -> str:
    import soundfile

    available = soundfile.available_subtypes(file_format)
    if wanted is not None:
        if wanted.upper() not in available:
            raise SignalError(
                output, f"{file_format} has no subtype {wanted}", f"choose one of {', '.join(sorted(available))}"
            )
        return wanted.upper()
    original = str(loaded.signal.get("subtype", ""))
    original = _OF_ARRAYS.get(original, original)
    # libsndfile lists codecs under formats for which it cannot encode them (MPEG_LAYER_III in WAV).
    linear = original.startswith("PCM_") or original in ("FLOAT", "DOUBLE", "ULAW", "ALAW")
    if original in available and (linear or original == soundfile.default_subtype(file_format)):
        return original
    # What has more than 16 bits keeps 24 of them.
    deep = original in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE") and "PCM_24" in available
    if deep:
        return "PCM_24"
    usual = soundfile.default_subtype(file_format)
    assert usual is not None
    return usual


def _count(loaded: LoadedField, rate: int, duration: Optional[float]) -> int:
    """Samples of the file."""
    own, length = loaded.signal["sample_rate"], loaded.signal["shape"][0]
    whole = max(1, round(length * rate / own))
    if duration is not None:
        if not 0 < duration < math.inf:
            raise setting_error("duration", f"{duration} is no time", "give seconds, as 2.5")
        return min(max(1, round(duration * rate)), whole)
    if max(whole, length) > MOST_UNASKED:
        problem = f"would be a sound of {length / own:,.0f} s, and more than {MOST_UNASKED:,} samples of it are not "
        advice = f"say how many seconds are wanted: --duration {length / own:g}"
        raise SignalError(loaded.description.name, f"{problem}evaluated unasked", advice)
    return whole


def sound_blocks(
    loaded: LoadedField, rate: int, count: int, report: Report = silent
) -> Iterator[Float[np.ndarray, "n c"]]:
    """The first `count` samples of a fitted sound at `rate` hertz, 1 at digital full scale, block by block."""
    own = loaded.signal["sample_rate"]
    if rate >= own:
        yield from _evaluated(loaded, own / rate, count, report)
        return
    import soxr

    # What comes after the last sample that is wanted counts for it, as far as the filter reaches.
    length, missing = min(loaded.signal["shape"][0], math.ceil((count + FILTER_REACH) * own / rate)), count
    stream = soxr.ResampleStream(own, rate, loaded.channels, dtype="float32", quality="VHQ")
    done = 0
    for block in _evaluated(loaded, 1.0, length, report):
        done += len(block)
        low = stream.resample_chunk(block, last=done == length)[:missing]
        low = low.reshape(-1, loaded.channels)
        missing -= len(low)
        yield low
    if missing:  # The resampler may round the length down.
        yield np.zeros((missing, loaded.channels), dtype=np.float32)


def _evaluated(loaded: LoadedField, step: float, count: int, report: Report) -> Iterator[Float[np.ndarray, "n c"]]:
    """The field at the times 0, step, 2 step, … in samples of the original."""
    full_scale = loaded.signal.get("full_scale", 1.0)
    known = sample_values(loaded) if step == 1.0 else None
    if known is not None:
        raw = known[:count] * loaded.signal["value_scale"] + loaded.signal["value_offset"]
        yield raw / np.float32(full_scale)
        return
    for start in range(0, count, BLOCK):
        report("evaluating the field", start, count)
        at = np.arange(start, min(start + BLOCK, count)) * step
        coordinates = at * (2.0 / (loaded.signal["shape"][0] - 1)) - 1.0
        yield loaded(coordinates.astype(np.float32)[:, None]) / np.float32(full_scale)


def as_integers(block: Float[np.ndarray, "n c"], subtype: str) -> np.ndarray:
    """Samples as libsndfile is given them: it would cut, not round, floats to integers."""
    if subtype in ("FLOAT", "DOUBLE"):
        return block
    if subtype not in _BITS:
        return np.clip(block, -1.0, 1.0)
    bits = _BITS[subtype]
    half = 2 ** (bits - 1)
    return np.clip(np.rint(block.astype(np.float64) * half), -half, half - 1).astype(np.int32) << (32 - bits)

"""Sounds as a benchmark shows them: spectrograms, waves and players."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import ClassVar, Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.bench.excerpt import Excerpt, Tile
from winner_ns.bench.pixels import LARGEST, encoded
from winner_ns.export.excerpts import telling_piece
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.target import Target
from winner_ns.signals import GridSignal, Signal
from winner_ns.writing import replacing

QUIETEST = 90.0
"""Decibels that a spectrogram reaches below the original's loudest frequency."""
PIECE = 150
"""Most samples of the piece of a sound that is shown close up."""
LOWEST_PLAYED = 3000
"""Hertz; browsers play no sound with a lower sample rate."""


class SoundExcerpt(Excerpt):
    """fitted.flac, original.flac and noisy.flac."""

    suffix: ClassVar[str] = "flac"

    def size(self, signal: Signal) -> str:
        return f"{signal.shape[0]:,} samples, {signal.metadata['sample_rate']:g} Hz"

    def write(self, loaded: LoadedField, clean: Target, trained_on: Target, folder: Path, resolution: int) -> None:
        signal = clean.signal
        _write_sound(folder / "fitted.flac", loaded.grid(signal.shape), signal)
        _write_sound(folder / "original.flac", signal.samples, signal)
        if trained_on is not clean:
            _write_sound(folder / "noisy.flac", trained_on.signal.samples, signal)

    def draw(self, tiles: Sequence[Tile], files: Sequence[Optional[Path]]) -> str:
        import soundfile

        original, rate = soundfile.read(files[0])
        top = float(_levels(_mono(original), rate).max())
        piece = telling_piece(_mono(original), rate, PIECE) if rate >= LOWEST_PLAYED else slice(None)
        for tile, path in zip(tiles, files, strict=True):
            if path is None:
                continue
            sound = soundfile.read(path)[0]
            tile.pictures.append(("", *_spectrogram(_mono(sound), rate, top)))
            if path is not files[0]:
                tile.pictures.append(("error", *_spectrogram(_mono(sound - original), rate, top)))
            tile.pictures.append(
                ("wave", *_wave(_mono(original)[piece], None if path is files[0] else _mono(sound)[piece]))
            )
            if rate >= LOWEST_PLAYED:
                tile.sound = (path.read_bytes(), "audio/flac")
        start, stop, _ = piece.indices(len(original))
        seen = f"{1000 * (stop - start) / rate:.3g} ms where it is loudest" if rate >= LOWEST_PLAYED else "all of it"
        return (
            f"Spectrograms of the sound and of the error: {len(original) / rate:.3g} s from left to right, 0 to "
            f"{rate / 2:g} Hz from bottom to top, {QUIETEST:g} dB from black to the original's loudest; all alike. "
            f"Waves: {seen}, the original in gray."
        )


def _write_sound(path: Path, samples: Shaped[np.ndarray, "n c"], signal: GridSignal) -> None:
    """Raw samples as a FLAC in which the original's peak is 0.9 of full scale, so that all are as loud."""
    import soundfile

    values = np.nan_to_num(samples.astype(np.float64) / signal.value_scale) * 0.9
    with replacing(path) as temporary:
        # FLAC knows no rates below 1 Hz and none that are no whole number.
        soundfile.write(temporary, np.clip(values, -1.0, 1.0), max(int(signal.metadata["sample_rate"]), 1), "PCM_16")


def _mono(sound: np.ndarray) -> Float[np.ndarray, " n"]:
    return sound if sound.ndim == 1 else sound.mean(axis=1)


def _levels(wave: Float[np.ndarray, " n"], rate: int) -> Float[np.ndarray, "frequencies times"]:
    """A spectrogram in dB; also of short sounds both times and frequencies are told apart."""
    from scipy.signal import spectrogram

    window = min(2 ** round(math.log2(2 * math.sqrt(len(wave)))), 1024, len(wave))
    magnitude = spectrogram(wave, rate, "hann", window, window - max(window // 4, 1), mode="magnitude")[2]
    return 20.0 * np.log10(np.maximum(magnitude, 1e-12))


def _wave(original: Float[np.ndarray, " n"], fitted: Optional[Float[np.ndarray, " n"]]) -> Tuple[bytes, str]:
    """A sound over time in front of the original."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.8, 0.9), dpi=160)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.plot(original, color="0.65", linewidth=1.6 if fitted is not None else 1.0)
    if fitted is not None:
        axis.plot(fitted, color="#c2410c", linewidth=0.7)
    height = 1.1 * float(np.abs(original).max())
    axis.set(xlim=(0, len(original) - 1), ylim=(-height, height))
    axis.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="#f5f6f8")
    return file.getvalue(), "image/png"


def _spectrogram(wave: Float[np.ndarray, " n"], rate: int, top: float) -> Tuple[bytes, str]:
    from matplotlib import colormaps
    from PIL import Image

    levels = np.clip((_levels(wave, rate)[::-1] - top) / QUIETEST + 1, 0, 1)
    pixels = (255 * colormaps["magma"](levels)[..., :3]).round().astype(np.uint8)
    picture = Image.fromarray(pixels).resize((LARGEST, LARGEST // 2), Image.Resampling.BILINEAR)
    return encoded(np.asarray(picture))

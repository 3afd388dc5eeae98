"""Sounds as spectrograms: which frequencies there are at which time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, List, Optional

import torch
from jaxtyping import Float, Int
from torch import Tensor

from winner_ns.viewing.axes import Axes, Label, nice_step
from winner_ns.viewing.colours import colours_of

QUIETEST = -100.0
"""What is black, in dB relative to a sine of amplitude 1."""
SHORTEST, LONGEST = 32, 2048
"""Lengths of the Fourier transform's window, in samples."""
MOST_SAMPLES = 2**19
"""At most about so many samples are evaluated for a picture."""


@dataclass(frozen=True)
class Frames:
    """The windows of a short-time Fourier transform, in samples."""

    length: int
    """Of each window, even."""
    hop: int
    """From the middle of one to the middle of the next."""
    first: int
    """Middle of the first one, over hop."""
    count: int


def choose_frames(start: float, stop: float, pixel: float, seen: Optional[float] = None) -> Frames:
    """Frames for the time between two positions, about one for each column of pixels.

    Windows are about as long as four times the geometric mean of a sample and the time that is seen, so that both
    times and frequencies can be told apart at every zoom. Where more than MOST_SAMPLES would be read, they are
    shorter, at least 512, and then further apart.

    Args:
        start, stop: positions in samples.
        pixel: samples that a column lasts.
        seen: samples that are seen at once, where these positions hold a part of them; its frames are those of the
            whole.
    """
    seen = max(seen or stop - start, 1.0)
    length = min(max(4 * math.sqrt(seen), SHORTEST), LONGEST)
    columns = max(seen / max(pixel, 1.0), 1.0)
    if seen + length > MOST_SAMPLES:
        length = min(length, max(MOST_SAMPLES / columns, 512.0))
    hop = max(round(pixel), math.ceil(seen * length / MOST_SAMPLES) if seen > MOST_SAMPLES else 1, 1)
    first = math.floor(start / hop)
    return Frames(2 * round(length / 2), hop, first, max(math.ceil(stop / hop) - first, 1) + 1)


def short_time_spectra(
    values: Callable[[Int[Tensor, " k"]], Float[Tensor, "k c"]], samples: int, frames: Frames
) -> Float[Tensor, "c f t"]:
    """Magnitudes from frequency 0 to Nyquist, 1 for a sine of amplitude 1 (`torch.stft`, Hann windows).

    Args:
        values: of samples by their number; beside the sound, there is silence.
        samples: the sound's number of them.
        frames: windows; short ones are padded to 1024 samples, which makes the spectrum smooth.
    """
    length, hop = frames.length, min(frames.hop, frames.length)
    if frames.hop > length:  # There are gaps between the windows, which are left out.
        middles = (frames.first + torch.arange(frames.count)) * frames.hop
        wanted = (middles[:, None] + torch.arange(-(length // 2), length // 2)).reshape(-1)
    else:
        wanted = torch.arange((frames.count - 1) * hop + length) + frames.first * hop - length // 2
    inside = (wanted >= 0) & (wanted < samples)
    heard = values(wanted[inside]).float()
    sound = heard.new_zeros(len(wanted), heard.shape[1])
    sound[inside] = heard

    size = max(1024, 2 ** math.ceil(math.log2(length)))
    before = (size - length) // 2
    padded = torch.nn.functional.pad(sound.t(), (before, size - length - before))
    window = torch.hann_window(length)
    spectra = torch.stft(padded, size, hop, length, window, center=False, return_complex=True)
    return spectra.abs() * (2.0 / float(window.sum()))


@torch.no_grad()
def draw_spectrogram(axes: Axes, values: Callable[[Int[Tensor, " k"]], Float[Tensor, "k c"]]) -> Float[Tensor, "m 3"]:
    """The spectrogram of the time that is seen, each lane from frequency 0 to Nyquist, on paper.

    Args:
        axes: the panel's.
        values: [k, c] of samples by their number, in -1 … 1.
    """
    colour = axes.paper()
    within = axes.within
    if not within.any():
        return colour
    position = axes.position[within]
    seen = min(axes.lettering.columns * axes.pixel[0], axes.last) if axes.lettering.part else None
    frames = choose_frames(float(position.min()), float(position.max()), axes.pixel[0], seen)
    spectra = short_time_spectra(values, axes.last + 1, frames)

    # Where a pixel has several frequencies, the strongest one is seen.
    bins = spectra.shape[1] - 1
    to_a_pixel = min(axes.pixel[1] / 2, 1.0) * bins
    either_side = math.ceil(to_a_pixel / 2) if to_a_pixel > 1 else 0
    spectra = torch.nn.functional.max_pool2d(spectra, (2 * either_side + 1, 1), 1, (either_side, 0))
    time = (position / frames.hop - frames.first) * (2.0 / (frames.count - 1)) - 1.0
    grid = torch.stack([time.float(), axes.level[within]], dim=-1)[None, None]
    lanes = torch.nn.functional.grid_sample(spectra[None], grid, padding_mode="border", align_corners=True)
    decibels = 20.0 * torch.log10(lanes[0, :, 0].gather(0, axes.lane[within][None])[0])
    colour[within] = colours_of("magma", (decibels / -QUIETEST + 1.0).nan_to_num(0.0))
    return colour


def frequency_labels(axes: Axes) -> List[Label]:
    """Frequencies at the left of each lane."""
    nyquist = axes.sample_rate / 2
    apart = max(axes.view.height / 9, 2 * axes.lettering.size) * axes.pixel[1] / 2
    step = nice_step(max(apart, 0.05) * nyquist)
    unit, name = (1000, "kHz") if nyquist >= 2000 else (1, "Hz")
    frequencies = [k * step for k in range(math.floor(nyquist / step) + 1)]
    return [Label(f"{f / unit:g} {name}" if f else "0 Hz", 2 * f / nyquist - 1.0) for f in frequencies]

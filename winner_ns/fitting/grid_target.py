"""Samples on a grid as training sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Dict, List, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.fields.field import FieldTask
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.classical_denoisers import Denoiser, checked_denoiser, denoised
from winner_ns.fitting.evaluation import advice_on_noise, grid_figures, quick_grid_figures
from winner_ns.fitting.interpolation import gaps_filled, interpolation_error, normalised
from winner_ns.fitting.pseudo_samples import (
    FULL_RATE_WIDTH,
    PseudoSamples,
    checked_between,
    pseudo_samples,
)
from winner_ns.fitting.sample_split import SampleSplit, parse_holdout, tiles
from winner_ns.fitting.target import Target, TargetOptions
from winner_ns.kinds import TrainingDefaults
from winner_ns.mapped import forget_pages
from winner_ns.signals import GridSignal
from winner_ns.spectrum import TargetSpectrum
from winner_ns.spectrum.low_frequencies import LowFrequencies, low_frequencies
from winner_ns.spectrum.moments import channel_moments
from winner_ns.spectrum.noise import denoised_omega, grid_spectrum
from winner_ns.spectrum.white_noise import middle, noise_deviation

QUIET_BELOW = 0.05
"""Standard deviation of the normalised training samples below which they are scaled up for training."""
QUIET_TO = 0.2
BLOCK = 2**20
MOST_FILLED = 2**26
"""Values whose spectrum is measured with what is withheld filled in; of more, tiles that have as many together."""
MOST_DRAWN = 2**24
"""Training samples, drawn at random, whose mean and deviation stand for those of all."""


@dataclass
class GridTarget(Target):
    """Samples on a grid as training sees them: (normalised value - offset) * gain."""

    takes: ClassVar[Tuple[str, ...]] = ("holdout", "between", "denoiser")

    signal: GridSignal
    split: SampleSplit
    spectrum: TargetSpectrum
    gain: float
    offset: List[float]
    variance: float
    """Of the normalised training samples: the squared error of a field that knows nothing but their mean."""
    options: TargetOptions = field(default_factory=TargetOptions)
    warnings: List[str] = field(default_factory=list)
    cleaned: Optional[Float[np.ndarray, "*shape c"]] = None
    """Values in [-1, 1] that are trained on in place of the samples', as a classical denoiser leaves these."""

    @classmethod
    def of(cls, signal: GridSignal, options: TargetOptions) -> GridTarget:
        split = SampleSplit(signal.shape, parse_holdout(options.holdout), options.seed)
        if options.between is not None:
            checked_between(options.between)
        denoiser = checked_denoiser(options.denoiser, signal)
        mean, deviation = _mean_and_deviation(signal, split)
        quiet = deviation < QUIET_BELOW
        gain = QUIET_TO / deviation if quiet else 1.0
        cleaned = None if denoiser is None else _cleaned(signal, split, denoiser)
        target = cls(
            signal=signal,
            split=split,
            spectrum=(
                _training_spectrum(signal, split, mean) if cleaned is None else _spectrum_of_cleaned(signal, cleaned)
            ),
            gain=gain,
            offset=[float(m) for m in mean] if quiet else [0.0] * signal.channels,
            variance=deviation**2,
            options=options,
            warnings=list(signal.warnings),
            cleaned=cleaned,
        )
        if quiet:
            target.warnings.append(
                f"the samples' standard deviation is {deviation:.2g} of a range of [-1, 1]: trained {gain:.3g} times "
                "larger"
            )
        return target

    @property
    def train_size(self) -> int:
        return self.split.train_size

    @property
    def mean_error(self) -> float:
        return self.variance

    @property
    def mean_loss(self) -> float:
        return self.variance * self.gain**2

    @cached_property
    def noise_loss(self) -> float:
        return (noise_deviation(self.signal.samples, self.signal.value_scale) * self.gain) ** 2

    def batch(self, step: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Tuple[Tensor, Tensor]:
        if self.between is None:
            return self._trained_at(self.split.batch(step, batch_size, rank, world_size))
        of_samples, of_between = self.train_size, max(1, round(self.between.weight * self.between.size))
        if 0 < batch_size < of_samples + of_between:
            of_between = max(1, round(batch_size * of_between / (of_samples + of_between)))
            of_samples = max(1, batch_size - of_between)
        samples = self.split.shuffled(self.train_size, step, of_samples, rank, world_size)
        between = self.split.shuffled(self.between.size, step, of_between, rank, world_size, stream=1)
        coordinates, values = self.between.at(between)
        trained = self._trained_at(self.split.train_samples(samples))
        return torch.cat([trained[0], coordinates]), torch.cat([trained[1], self._scaled(values)])

    def heldout_batch(self, most: int) -> Optional[Tuple[Tensor, Tensor]]:
        return self.at(self.split.heldout_samples(most)) if self.split.heldout_size else None

    def _trained_at(self, samples: np.ndarray) -> Tuple[Tensor, Tensor]:
        """As `at`, with what is trained on in place of the samples' own values."""
        if self.cleaned is None:
            return self.at(samples)
        values = torch.from_numpy(self.cleaned.reshape(-1, self.signal.channels)[samples])
        return self.signal.coordinates(torch.from_numpy(samples)), self._scaled(values)

    def at(self, samples: np.ndarray) -> Tuple[Tensor, Tensor]:
        """Coordinates and target values of the samples with these flat indices."""
        indices = torch.from_numpy(samples)
        return self.signal.coordinates(indices), self._scaled(self.signal.values(indices))

    def _scaled(self, values: Tensor) -> Tensor:
        return (values - torch.tensor(self.offset)) * self.gain

    @property
    def training(self) -> TrainingDefaults:
        estimated = self.options.between not in (None, "none") and self.signal.dimensions > 1
        return replace(self.row.training, full_rate_width=FULL_RATE_WIDTH) if estimated else self.row.training

    def with_between(self, between: str) -> GridTarget:
        return replace(self, options=replace(self.options, between=checked_between(between)))

    def between_lines(self) -> List[str]:
        if self.options.between in (None, "none"):
            return []
        where = "at the withheld samples" if self.split.heldout_size else "halfway between the samples"
        return [f"{self.options.between}: estimates {where} are trained on, too, unless they say less than the mean"]

    def task(self) -> FieldTask:
        training = self.row.training
        return FieldTask(training.width, training.depth, samples=self.signal.shape)

    @cached_property
    def between(self) -> Optional[PseudoSamples]:
        """What is trained on between the samples; estimated when the first batch is asked for."""
        return None if self.options.between in (None, "none") else pseudo_samples(self.signal, self.split)

    @cached_property
    def interpolation(self) -> Optional[Tuple[str, float]]:
        """Name and mean squared error of the best classical interpolation at the withheld samples, if there are any."""
        return interpolation_error(self.signal, self.split)

    def figures(self, field: LoadedField, mesh_resolution: Optional[int] = None) -> Dict[str, float]:
        return grid_figures(field, self)

    def quick_figures(self, field: LoadedField, samples: int = 8192) -> Dict[str, float]:
        return quick_grid_figures(field, self, samples)

    def advice(self, field: LoadedField) -> List[str]:
        notes = advice_on_noise(field, self) if field.description.denoises else []
        if field.description.between != "none" and self.between is None:
            notes.append("estimates between the samples said less than their mean: trained on the samples alone")
        return notes

    def describe(self) -> Dict[str, Any]:
        chosen = {name: getattr(self.options, name) for name in ("between", "denoiser")}
        chosen = {name: value for name, value in chosen.items() if value not in (None, "none")}
        return {"gain": self.gain, "offset": self.offset, **chosen}


def _mean_and_deviation(signal: GridSignal, split: SampleSplit) -> Tuple[np.ndarray, float]:
    """Each channel's mean and the overall standard deviation of the (normalised) training samples; of more than
    MOST_DRAWN that are drawn at random, so many of them."""
    if split.train_part is None:
        for count in (min(split.train_size, MOST_DRAWN), split.train_size):
            mean, squares = _moments_of_drawn(signal, split, count)
            if (squares > mean**2).any():
                break
    else:
        mean, squares = channel_moments(signal.samples[split.train_part], signal.value_offset, signal.value_scale)
    variance = float(np.maximum(squares - mean**2, 0.0).mean())
    if variance == 0.0:
        raise SignalError(signal.path, "all samples that are trained on have the same value", "there is nothing to fit")
    return mean, math.sqrt(variance)


def _moments_of_drawn(signal: GridSignal, split: SampleSplit, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Each channel's mean and mean of squares of the first so many training samples."""
    total, squares = np.zeros(signal.channels), np.zeros(signal.channels)
    for start in range(0, count, BLOCK):
        numbers = np.arange(start, min(start + BLOCK, count))
        values = signal.values(torch.from_numpy(split.train_samples(numbers))).numpy().astype(np.float64)
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
    return total / count, squares / count


def _training_spectrum(signal: GridSignal, split: SampleSplit, mean: np.ndarray) -> TargetSpectrum:
    """The spectrum of the training samples alone: what is withheld must not leak into the initialisation.

    Args:
        signal, split: what is trained on.
        mean: of its channels, normalised.
    """
    samples, nyquist, means = signal.samples, signal.nyquist, mean * signal.value_scale + signal.value_offset
    if split.train_part is not None:
        samples = samples[split.train_part]
        nyquist = tuple(n / step.step for n, step in zip(nyquist, split.train_part))
        return grid_spectrum(signal.kind, samples, nyquist, signal.value_offset, split.train_size, signal.hertz, means)
    spectrum = _spectrum_with_gaps(signal, split)
    # The filled copy is made again where it is asked for: it would stay for the whole training.
    lazy = partial(_low_frequencies, signal, split) if signal.dimensions > 1 else None
    return replace(spectrum, low_frequencies=lazy, denoised=partial(_denoised_omega, signal, split))


def _spectrum_with_gaps(signal: GridSignal, split: SampleSplit) -> TargetSpectrum:
    """That of samples at random places, with what is between them filled in; of a large signal, the mean over tiles
    that have any energy."""
    found = []
    for tile in tiles(signal.shape, MOST_FILLED // signal.channels):
        filled = gaps_filled(signal.samples[tile], split.is_heldout(tile))
        forget_pages(signal.samples)
        found.append(
            grid_spectrum(signal.kind, filled, signal.nyquist, signal.value_offset, split.train_size, signal.hertz)
        )
    heard = [each for each in found if each.omega > 0] or found
    means = {name: float(np.mean([getattr(each, name) for each in heard])) for name in ("psi", "omega", "psi_raster")}
    return replace(heard[0], **means)


def _cleaned(signal: GridSignal, split: SampleSplit, denoiser: Denoiser) -> Float[np.ndarray, "*shape c"]:
    """The training samples without noise, in [-1, 1]; what is withheld is not looked at."""
    values = normalised(signal, (slice(None),) * signal.dimensions)
    return denoised(values, denoiser, split.is_heldout()).astype(np.float32)


def _spectrum_of_cleaned(signal: GridSignal, cleaned: Float[np.ndarray, "*shape c"]) -> TargetSpectrum:
    """That of what has no noise any more."""
    spectrum = grid_spectrum(signal.kind, cleaned, signal.nyquist, hertz=signal.hertz)
    return replace(spectrum, denoised=None)


def _low_frequencies(signal: GridSignal, split: SampleSplit) -> LowFrequencies:
    """Of the training samples, as `_training_spectrum`, whose gaps are filled."""

    def read(part: Tuple[slice, ...]) -> np.ndarray:
        part = (*part, slice(None))
        return gaps_filled(signal.samples[part], split.is_heldout(part))

    return low_frequencies(signal.samples, signal.nyquist, read)


def _denoised_omega(signal: GridSignal, split: SampleSplit) -> float:
    """The same without their noise, as their middle tells."""
    part = middle(signal.samples.shape)
    gaps = split.is_heldout(part)
    return denoised_omega(gaps_filled(signal.samples[part], gaps), signal.nyquist, gaps)

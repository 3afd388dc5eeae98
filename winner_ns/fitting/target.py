"""What training aims at: the signal, which of its samples are trained on, their spectrum and their scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.fitting.interpolation import interpolation_error
from winner_ns.fitting.sample_split import SampleSplit, parse_holdout
from winner_ns.signals import GridSignal, ReadOptions, ShapeSignal, load_signal
from winner_ns.signals.shape_sampler import ShapeSampler, block_seed, draw_block
from winner_ns.spectrum import TargetSpectrum
from winner_ns.spectrum.inspection import target_spectrum
from winner_ns.spectrum.target import DISTANCE_SCALE, grid_spectrum

QUIET_BELOW = 0.05
"""Standard deviation of the normalised training samples below which they are scaled up for training."""
QUIET_TO = 0.2
PASSES = 8
"""Training's passes through a shape's points before others are drawn: drawing takes longer than one."""
BLOCK = 2**20


@dataclass
class GridTarget:
    """Samples on a grid as training sees them: (normalised value - offset) * gain."""

    signal: GridSignal
    split: SampleSplit
    spectrum: TargetSpectrum
    gain: float
    offset: List[float]
    variance: float
    """Of the normalised training samples: the squared error of a field that knows nothing but their mean."""
    warnings: List[str] = field(default_factory=list)

    def batch(self, step: int, batch_size: int, rank: int, world_size: int) -> Tuple[Tensor, Tensor]:
        """Coordinates [n, d] and the field's target values [n, c] of one step."""
        return self.at(self.split.batch(step, batch_size, rank, world_size))

    def at(self, samples: np.ndarray) -> Tuple[Tensor, Tensor]:
        """Coordinates and target values of the samples with these flat indices."""
        indices = torch.from_numpy(samples)
        values = (self.signal.values(indices) - torch.tensor(self.offset)) * self.gain
        return self.signal.coordinates(indices), values

    @cached_property
    def interpolation(self) -> Optional[Tuple[str, float]]:
        """Name and mean squared error of the best classical interpolation at the withheld samples, if there are any."""
        return interpolation_error(self.signal, self.split)

    def describe(self) -> Dict[str, Any]:
        return {"gain": self.gain, "offset": self.offset}


@dataclass
class ShapeTarget:
    """A shape as training sees it, at points near its surface that are drawn anew every `PASSES` passes.

    Values by loss. distance: tanh(signed distance / DISTANCE_SCALE); occupancy: its sign; eikonal: 1 and the unit
    normal on the surface, zeros elsewhere (`eikonal_loss`).
    """

    signal: ShapeSignal
    loss: str
    count: int
    """Points that are drawn at a time."""
    seed: int
    spectrum: TargetSpectrum
    warnings: List[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.order = SampleSplit((self.count,), None, self.seed)
        self._sampler: Optional[ShapeSampler] = None
        self._drawn = (0, *self._draw(0))

    def batch(self, step: int, batch_size: int, rank: int, world_size: int) -> Tuple[Tensor, Tensor]:
        """Points [n, 3] of the unit cube and the field's target values [n, c] of one step."""
        chosen = self.order.batch(step, batch_size, rank, world_size)
        passes = self.order.passes(step, batch_size, rank, world_size)
        if passes[-1] >= 1 and self._sampler is None and self._distances_take_time:
            # By now training is known to last; the other process has the remaining passes' time.
            self._sampler = ShapeSampler(self.signal, self.count, self.seed, first=int(passes[0]) // PASSES + 1)
        parts = []
        for block in np.unique(passes // PASSES):
            points, values = self._block(int(block))
            part = chosen[passes // PASSES == block]
            parts.append((torch.from_numpy(points[part]), torch.from_numpy(values[part])))
        points, values = zip(*parts)
        return (points[0], values[0]) if len(parts) == 1 else (torch.cat(points), torch.cat(values))

    def close(self) -> None:
        """Ends the process that draws ahead; training is over."""
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None

    @property
    def _distances_take_time(self) -> bool:
        return self.loss != "eikonal" and self.signal.source != "distances"

    def _block(self, number: int) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n c"]]:
        if self._drawn[0] != number:
            self._drawn = (number, *self._draw(number))
        return self._drawn[1:]

    def _draw(self, number: int) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n c"]]:
        if self.loss == "eikonal":
            return _surface_and_space(self.signal, self.count, block_seed(self.seed, number))
        if self._sampler is not None:
            points, distances = self._sampler.block(number)
        else:
            points, distances = draw_block(self.signal, self.count, self.seed, number)
        values = np.tanh(distances / DISTANCE_SCALE) if self.loss == "distance" else np.where(distances < 0, -1.0, 1.0)
        return points, values[:, None].astype(np.float32)

    @property
    def bounds(self) -> Tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """The surface's bounding box, a little widened: volume points elsewhere say nothing."""
        surface = self.signal.vertices if self.signal.vertices is not None else self.signal.points
        assert surface is not None
        return surface.min(axis=0) - 0.05, surface.max(axis=0) + 0.05

    @cached_property
    def volume_points(self) -> Tuple[Float[Tensor, "n 3"], Float[np.ndarray, " n"]]:
        """A few points in `bounds` and their signed distances, not training's; not for source "distances"."""
        points = np.random.default_rng(1_000_007).uniform(*self.bounds, (16384, 3)).astype(np.float32)
        return torch.from_numpy(points), self.signal.signed_distance(points)

    def describe(self) -> Dict[str, Any]:
        return {"distance_scale": DISTANCE_SCALE, "loss": self.loss}


Target = Union[GridTarget, ShapeTarget]


@lru_cache(maxsize=1)
def load_target(
    data: Path,
    kind: str,
    holdout: str,
    read: Tuple[Any, ...],
    shape_samples: int,
    seed: int,
    shape_loss: str = "distance",
) -> Target:
    """Reads a file and measures what training needs; the last result is kept, as start-up asks for it twice.

    Args:
        data: the file.
        kind: "auto" or a kind.
        holdout: none, every-second or a fraction.
        read: the fields of a ReadOptions.
        shape_samples: points drawn from a shape at a time.
        seed: of the split, the order and the points.
        shape_loss: distance, occupancy or eikonal.

    Raises:
        SignalError: the file or a flag cannot be used.
    """
    signal = load_signal(data, kind, ReadOptions(*read))
    if signal.kind != "audio" and ReadOptions(*read) != ReadOptions():
        raise SignalError(
            "--pipeline.datamanager.read", f"is for sounds, {data} is of the kind {signal.kind}", "leave it out"
        )
    withheld = parse_holdout(holdout)
    if isinstance(signal, ShapeSignal):
        if withheld is not None:
            raise SignalError(
                "--pipeline.datamanager.holdout",
                "shapes have no grid of samples to withhold from",
                "leave it out",
            )
        return _shape_target(signal, shape_samples, shape_loss, seed)
    if shape_loss != "distance":
        raise SignalError(
            "--pipeline.datamanager.shape-loss", f"is for shapes, {data} is of the kind {signal.kind}", "leave it out"
        )
    return _grid_target(signal, SampleSplit(signal.shape, withheld, seed))


def _grid_target(signal: GridSignal, split: SampleSplit) -> GridTarget:
    mean, deviation = _mean_and_deviation(signal, split)
    quiet = deviation < QUIET_BELOW
    gain = QUIET_TO / deviation if quiet else 1.0
    target = GridTarget(
        signal=signal,
        split=split,
        spectrum=_training_spectrum(signal, split),
        gain=gain,
        offset=[float(m) for m in mean] if quiet else [0.0] * signal.channels,
        variance=deviation**2,
        warnings=list(signal.warnings),
    )
    if quiet:
        target.warnings.append(
            f"the samples' standard deviation is {deviation:.2g} of a range of [-1, 1]: trained {gain:.3g} times larger"
        )
    return target


def _mean_and_deviation(signal: GridSignal, split: SampleSplit) -> Tuple[np.ndarray, float]:
    """Each channel's mean and the overall standard deviation of the (normalised) training samples."""
    total, squares = np.zeros(signal.channels), np.zeros(signal.channels)
    for start in range(0, split.train_size, BLOCK):
        numbers = np.arange(start, min(start + BLOCK, split.train_size))
        values = signal.values(torch.from_numpy(split.train_samples(numbers))).numpy().astype(np.float64)
        total += values.sum(axis=0)
        squares += (values**2).sum(axis=0)
    mean = total / split.train_size
    variance = float(np.maximum(squares / split.train_size - mean**2, 0.0).mean())
    if variance == 0.0:
        raise SignalError(signal.path, "all samples that are trained on have the same value", "there is nothing to fit")
    return mean, math.sqrt(variance)


def _training_spectrum(signal: GridSignal, split: SampleSplit) -> TargetSpectrum:
    """The spectrum of the training samples alone: what is withheld must not leak into the initialisation."""
    samples, nyquist = signal.samples, signal.nyquist
    if split.holdout == "every-second":
        samples = samples[(slice(None, None, 2),) * signal.dimensions]
        nyquist = tuple(n / 2 for n in nyquist)
    elif split.holdout is not None:
        samples = _gaps_filled(samples, split.is_heldout())
    return grid_spectrum(signal.kind, samples, nyquist, signal.value_offset)


def _gaps_filled(samples: np.ndarray, heldout: np.ndarray) -> np.ndarray:
    """A copy in which withheld samples are interpolated linearly along the last axis (in raster order)."""
    flat = samples.reshape(-1, samples.shape[-1]).astype(np.float32)
    gaps = heldout.reshape(-1)
    for start in range(0, len(flat), BLOCK):
        part, gap = flat[start : start + BLOCK], gaps[start : start + BLOCK]
        known = np.flatnonzero(~gap)
        for channel in range(flat.shape[1]):
            part[gap, channel] = np.interp(np.flatnonzero(gap), known, part[known, channel])
    return flat.reshape(samples.shape)


def _shape_target(signal: ShapeSignal, count: int, loss: str, seed: int) -> ShapeTarget:
    spectrum = target_spectrum(signal, loss)
    return ShapeTarget(signal, loss, count, seed, spectrum, list(signal.warnings))


def _surface_and_space(signal: ShapeSignal, count: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Points for `eikonal_loss` and its targets: half of them on the surface, half uniform in the cube."""
    surface, normals = signal.sample_surface(count // 2, seed)
    space = np.random.default_rng(seed + 1).uniform(-1.0, 1.0, (count - len(surface), 3)).astype(np.float32)
    values = np.zeros((count, 4), dtype=np.float32)
    values[: len(surface), 0] = 1.0
    values[: len(surface), 1:] = normals
    return np.concatenate([surface, space]), values


def target_kind(target: Target) -> str:
    """image, audio, shape, volume or video."""
    return target.signal.kind


def channels_of(target: Target) -> int:
    """Number of values that a field for this target gives at each point."""
    return 1 if isinstance(target, ShapeTarget) else target.signal.channels


def dimensions_of(target: Target) -> int:
    """Number of coordinates of a field for this target."""
    return 3 if isinstance(target, ShapeTarget) else target.signal.dimensions

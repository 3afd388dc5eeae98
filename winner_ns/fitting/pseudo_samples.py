"""Pseudo-samples: what lies between the training samples, estimated from them, for a field to be trained on as well.

A field whose band is wide enough for the samples is free between them, and rings there; one that is trained on
estimates, too, equals the best estimate there. What is withheld is never looked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Dict, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from winner_ns.errors import setting_error
from winner_ns.fitting.checked_numbers import shown, text
from winner_ns.fitting.interpolation import (
    MOST_MEASURED,
    kriged_halfway,
    kriged_in_gaps,
    normalised,
    spline_at,
    spline_stencils,
)
from winner_ns.fitting.kriging import GapKriging, LatticeStencils, estimates, estimates_of_read
from winner_ns.fitting.sample_split import SampleSplit, TrainingSamples, central_crop
from winner_ns.signals import GridSignal
from winner_ns.signals.grid import grid_coordinates

BETWEEN = ("kriging", "none")
"""What fields may be trained on between the samples."""
MOST_IN_GAPS = 2**17
"""Estimates at samples that are withheld at random; of more of them, a random choice: each one has a system of its own
to solve, in 25 to 70 microseconds."""
MOST_MASKED = 2**24
"""Samples of a grid that have a mask of what is withheld, and splines through the others, in memory."""
MOST_VALIDATED = 2**13
"""Training samples that are estimated from the others to choose a method."""
LEAST_VALIDATED = 16
"""Fewer do not tell that estimates say nothing."""
WEIGHT_IN_GAPS = 0.1
"""How often an estimate at a withheld place is drawn where a sample is drawn once; on a line as often. There estimates
are nearer than whatever a field makes of its own; from two coordinates on its own smoothness has a say, and so small a
weight leaves it one (docs/spectrum.md)."""
WEIGHT_HALFWAY = 0.04
"""The same of estimates halfway between the samples of a lattice, which are many more: in a plane a tenth of a batch,
on a line half of it."""
FULL_RATE_WIDTH = 0.7 * 256
"""The width up to which a field is trained on samples and estimates of several coordinates at Adam's full rate; wider
ones ring between both at that, by half a decibel and more: at 256 it is 0.7 of it (docs/spectrum.md)."""
SHARE_VALIDATED = 1 / 16
"""Of the training samples around gaps, at most: so few hardly make the gaps wider."""


def checked_between(between: str) -> str:
    """One of BETWEEN.

    Raises:
        SignalError: it is none.
    """
    advice = f"there are {' and '.join(BETWEEN)}"
    if text("between", between, advice) not in BETWEEN:
        raise setting_error("between", f"{shown(between)} is none", advice)
    return between


class PseudoSamples(ABC):
    """Estimates between the training samples, numbered from 0 to size-1."""

    size: int
    method: str
    """kriging or spline: what was nearer to training samples that were estimated from others; "" where neither was
    nearer than the mean of these, so that no estimate says anything."""
    weight: float
    """How often an estimate is drawn where a sample is drawn once."""

    @abstractmethod
    def at(self, numbers: Int[np.ndarray, " n"]) -> Tuple[Float[Tensor, "n d"], Float[Tensor, "n c"]]:
        """Coordinates and values, in [-1, 1] like the samples', of those with these numbers."""


def pseudo_samples(signal: GridSignal, split: SampleSplit) -> Optional[PseudoSamples]:
    """What lies between the training samples; None where samples do not tell it, as in sounds whose spectrum is bright.

    Where samples are withheld, that is their places. Where none is, it is the positions halfway between neighbours,
    along the axes and across: what one sees on zooming in.
    """
    if split.holdout is None:
        doubled = tuple(2 * n - 1 for n in signal.shape)
        found = HalfwaySamples(signal, SampleSplit(doubled, "every-second", split.seed), step=1)
    else:
        every_second = split.holdout == "every-second"
        found = HalfwaySamples(signal, split, step=2) if every_second else GapSamples(signal, split)
    return found if found.method else None


class GapSamples(PseudoSamples):
    """Estimates at samples that are withheld at random, computed once."""

    def __init__(self, signal: GridSignal, split: SampleSplit) -> None:
        self.signal, self.split = signal, split
        self.size = min(split.heldout_size, MOST_IN_GAPS)
        self.weight = 1.0 if signal.dimensions == 1 else WEIGHT_IN_GAPS
        large = split.size > MOST_MASKED
        known = TrainingSamples(split) if large else ~split.is_heldout()
        kriging = kriged_in_gaps(signal.samples, known)
        part = central_crop(signal.shape, MOST_MEASURED)
        known_here = ~split.is_heldout(part)
        self.method = _method_in_gaps(signal.samples[part].astype(np.float64), known_here, kriging)
        # Splines want to have all samples in memory.
        self.method = "kriging" if large and self.method else self.method
        places = np.unravel_index(split.withheld_samples(np.arange(self.size)), signal.shape)
        wanted = np.stack(places, axis=-1)
        if not self.method:
            found = np.empty((0, signal.channels))
        elif self.method == "kriging":
            found = _estimates_of(signal, kriging, wanted)
        else:
            assert isinstance(known, np.ndarray)
            found = spline_at(normalised(signal, (slice(None),) * signal.dimensions), known, wanted)
        self.values = torch.from_numpy(found.astype(np.float32))

    def at(self, numbers: Int[np.ndarray, " n"]) -> Tuple[Float[Tensor, "n d"], Float[Tensor, "n c"]]:
        flat = torch.from_numpy(self.split.withheld_samples(numbers))
        return self.signal.coordinates(flat), self.values[torch.from_numpy(numbers)]


class HalfwaySamples(PseudoSamples):
    """Estimates halfway between the samples of a lattice, computed when they are asked for.

    Args:
        signal: with the lattice.
        split: of the grid in half steps of the lattice, into the lattice and what is between.
        step: which samples of the signal are the lattice: every one, or every second.
    """

    def __init__(self, signal: GridSignal, split: SampleSplit, step: int) -> None:
        self.signal, self.split, self.step = signal, split, step
        self.size, self.weight = split.heldout_size, 1.0 if signal.dimensions == 1 else WEIGHT_HALFWAY
        lattice = signal.samples[(slice(None, None, step),) * signal.dimensions]
        self.method = _method_halfway(lattice[central_crop(lattice.shape[:-1], MOST_MEASURED)])
        if self.method == "kriging":
            self.stencils = kriged_halfway(lattice, split.shape)
        else:
            self.stencils = spline_stencils(lattice.shape[:-1])

    def at(self, numbers: Int[np.ndarray, " n"]) -> Tuple[Float[Tensor, "n d"], Float[Tensor, "n c"]]:
        flat = self.split.withheld_samples(numbers)
        positions = np.stack(np.unravel_index(flat, self.split.shape), axis=-1)
        values = _estimates_of(self.signal, self.stencils, positions, self.step).astype(np.float32)
        coordinates = grid_coordinates(torch.from_numpy(flat), self.split.shape, self.signal.half_extent)
        return coordinates, torch.from_numpy(values)


def _estimates_of(
    signal: GridSignal, sources: "GapKriging | LatticeStencils", positions: Int[np.ndarray, "n d"], step: int = 1
) -> Float[np.ndarray, "n c"]:
    """Estimates of normalised values; only the samples that they are made from are read."""

    def read(samples: Int[np.ndarray, "m k d"]) -> Float[np.ndarray, "m k c"]:
        flat = np.ravel_multi_index(tuple(np.moveaxis(step * samples, -1, 0)), signal.shape)
        return signal.values(torch.from_numpy(flat.reshape(-1))).numpy().reshape(*flat.shape, signal.channels)

    return estimates_of_read(sources, read, positions)


def _method_in_gaps(
    values: Float[np.ndarray, "*shape c"], known: Bool[np.ndarray, "*shape"], kriging: GapKriging
) -> str:
    """Which method is nearer to some of the samples, withheld from it beside the gaps."""
    count = min(MOST_VALIDATED, int(known.sum() * SHARE_VALIDATED))
    if count == 0:
        return "kriging"
    chosen = np.random.default_rng(0).choice(np.flatnonzero(known), count, replace=False)
    fewer = known.copy()
    fewer.reshape(-1)[chosen] = False
    wanted = np.stack(np.unravel_index(chosen, known.shape), axis=-1)
    found = {
        "kriging": estimates(GapKriging(fewer, kriging.covariance, kriging.settings), values, wanted),
        "spline": spline_at(values, fewer, wanted),
    }
    return _nearest(found, values[tuple(wanted.T)])


def _method_halfway(lattice: Shaped[np.ndarray, "*shape c"]) -> str:
    """Which method is nearer to a lattice's samples, estimated from every second one of them."""
    values, shape = lattice.astype(np.float64), lattice.shape[:-1]
    odd = np.argwhere(np.ones(shape, dtype=bool))
    odd = odd[(odd % 2).any(axis=1)]
    coarse = values[(slice(None, None, 2),) * len(shape)]
    wanted = odd[np.random.default_rng(0).permutation(len(odd))[:MOST_VALIDATED]]
    found = {
        "kriging": estimates(kriged_halfway(coarse, shape), coarse, wanted),
        "spline": estimates(spline_stencils(coarse.shape[:-1]), coarse, wanted),
    }
    return _nearest(found, values[tuple(wanted.T)])


def _nearest(found: Dict[str, np.ndarray], truth: np.ndarray) -> str:
    """The first one where two are equal; "" where all are farther than the mean."""
    errors = {name: float(np.square(estimate - truth).sum()) for name, estimate in found.items()}
    best = min(errors, key=lambda name: errors[name])
    of_mean = float(np.square(truth - truth.mean(axis=0)).sum())
    return best if errors[best] <= of_mean or len(truth) < LEAST_VALIDATED else ""

"""Shapes as training sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Dict, List, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from winner_ns.errors import setting_error
from winner_ns.fields.field import FieldTask
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.evaluation import quick_shape_figures, shape_figures
from winner_ns.fitting.judged_points import judged_points
from winner_ns.fitting.sample_split import SampleSplit
from winner_ns.fitting.target import Target, TargetOptions
from winner_ns.shape_losses import SHAPE_LOSSES, ShapeLoss
from winner_ns.signals import ShapeSignal
from winner_ns.signals.shape import EARLIER_NEAR_SURFACE, usual_near_surface
from winner_ns.signals.shape_sampler import ShapeSampler, block_seed, draw_block
from winner_ns.spectrum import TargetSpectrum
from winner_ns.spectrum.measure import ShapeMeasure
from winner_ns.spectrum.noise import DISTANCE_SCALE

PASSES = 8
"""Training's passes through a shape's points before others are drawn: drawing takes longer than one."""
WORTH_A_PROCESS = 150_000
"""Samples in a block from which on a process draws them: fewer are drawn in the time that it takes to start."""
LEAST_SAMPLES = 1000


@dataclass
class ShapeTarget(Target):
    """A shape as training sees it, at points near its surface that are drawn anew every `PASSES` passes.

    Values by loss. distance: tanh(signed distance / DISTANCE_SCALE); occupancy: its sign; eikonal: 1 and the unit
    normal on the surface, zeros elsewhere (`eikonal_loss`).
    """

    takes: ClassVar[Tuple[str, ...]] = ("shape_samples", "shape_loss", "near_surface")

    signal: ShapeSignal
    spectrum: TargetSpectrum
    options: TargetOptions = field(default_factory=TargetOptions)
    warnings: List[str] = field(default_factory=list)

    @classmethod
    def of(cls, signal: ShapeSignal, options: TargetOptions) -> ShapeTarget:
        if options.shape_samples < LEAST_SAMPLES:
            raise setting_error(
                "shape_samples", f"{options.shape_samples} is too small", f"give {LEAST_SAMPLES} or more"
            )
        if options.shape_loss not in SHAPE_LOSSES:
            raise setting_error("shape_loss", f"{options.shape_loss!r} is none", f"give {', '.join(SHAPE_LOSSES)}")
        spectrum = ShapeMeasure.spectrum(signal, options.shape_loss, options.near_surface)
        return cls(signal, spectrum, options, list(signal.warnings))

    def __post_init__(self) -> None:
        self.loss, self.count, self.seed = self.options.shape_loss, self.options.shape_samples, self.options.seed
        self.near_surface = self.options.near_surface or usual_near_surface(self.signal.source, self.loss)
        self.order = SampleSplit((self.count,), None, self.seed)
        self._steps: Optional[int] = None
        self._sampler: Optional[ShapeSampler] = None
        self._drawn: Optional[Tuple[int, np.ndarray, np.ndarray]] = None

    @property
    def traits(self) -> ShapeLoss:
        """What follows from the loss."""
        return SHAPE_LOSSES[self.loss]

    @property
    def train_size(self) -> int:
        return self.count

    def batch(self, step: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Tuple[Tensor, Tensor]:
        chosen = self.order.batch(step, batch_size, rank, world_size)
        passes = self.order.passes(step, batch_size, rank, world_size)
        if passes[-1] >= 1 and self._sampler is None and self._distances_take_time:
            # By now training is known to last; the other process has the remaining passes' time.
            first, last = int(passes[0]) // PASSES + 1, None
            if self._steps is not None:
                last = int(self.order.passes(max(self._steps - 1, step), batch_size, rank, world_size)[-1]) // PASSES
            self._sampler = ShapeSampler(self.signal, self.count, self.seed, self.near_surface, first=first, last=last)
        parts, blocks = [], passes // PASSES
        for block in np.unique(blocks):
            points, values = self._block(int(block))
            part = chosen[blocks == block]
            # Takes half as long as by brackets.
            parts.append((torch.from_numpy(points.take(part, axis=0)), torch.from_numpy(values.take(part, axis=0))))
        points, values = zip(*parts)
        return (points[0], values[0]) if len(parts) == 1 else (torch.cat(points), torch.cat(values))

    def ends_after(self, steps: int) -> None:
        self._steps = steps

    def close(self) -> None:
        """Ends the process that draws ahead."""
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None

    @property
    def _distances_take_time(self) -> bool:
        return not self.traits.by_slopes and self.count >= WORTH_A_PROCESS

    def _block(self, number: int) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n c"]]:
        if self._drawn is None or self._drawn[0] != number:
            self._drawn = (number, *self._draw(number))
        return self._drawn[1:]

    def _draw(self, number: int) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n c"]]:
        if self.traits.by_slopes:
            return _surface_and_space(self.signal, self.count, block_seed(self.seed, number))
        if self._sampler is not None:
            points, distances = self._sampler.block(number)
        else:
            points, distances = draw_block(self.signal, self.count, self.seed, number, self.near_surface)
        known = self.traits.tells_distances
        values = np.tanh(distances / DISTANCE_SCALE) if known else np.where(distances < 0, -1.0, 1.0)
        return points, values[:, None].astype(np.float32)

    def task(self) -> FieldTask:
        training = self.row.training
        return FieldTask(training.width, training.depth, second_derivatives=self.traits.by_slopes)

    @property
    def bounds(self) -> Tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """The bounding box of the surface, or of samples around it in the cube, a little widened: volume points
        elsewhere say nothing."""
        surface = self.signal.vertices if self.signal.vertices is not None else self.signal.points
        assert surface is not None
        if self.signal.source == "distances":
            surface = surface.clip(-0.95, 0.95)
        return surface.min(axis=0) - 0.05, surface.max(axis=0) + 0.05

    @cached_property
    def volume_points(self) -> Tuple[Float[Tensor, "n 3"], Bool[np.ndarray, " n"]]:
        """A few points in `bounds`, not training's, and which of them are inside."""
        points, inside = judged_points(self.signal, *self.bounds, 16384, 1_000_007)
        return torch.from_numpy(points), inside

    def figures(self, field: LoadedField, mesh_resolution: Optional[int] = None) -> Dict[str, float]:
        return shape_figures(field, self, mesh_resolution)

    def quick_figures(self, field: LoadedField, samples: int = 8192) -> Dict[str, float]:
        return quick_shape_figures(field, self)

    def describe(self) -> Dict[str, Any]:
        spread = {"near_surface": [list(part) for part in self.near_surface]}
        told = self.near_surface != EARLIER_NEAR_SURFACE[self.signal.source]
        return {"distance_scale": DISTANCE_SCALE, "loss": self.loss, **(spread if told else {})}


def _surface_and_space(signal: ShapeSignal, count: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Points for `eikonal_loss` and its targets: half of them on the surface, half uniform in the cube."""
    surface, normals = signal.sample_surface(count // 2, seed)
    space = np.random.default_rng(seed + 1).uniform(-1.0, 1.0, (count - len(surface), 3)).astype(np.float32)
    values = np.zeros((count, 4), dtype=np.float32)
    values[: len(surface), 0] = 1.0
    values[: len(surface), 1:] = normals
    return np.concatenate([surface, space]), values

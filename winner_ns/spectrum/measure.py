"""What is measured of a signal, by what its kind trains on: samples on a grid, or a squashed distance in space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Callable, ClassVar, Optional, Tuple, Type

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.kinds import KINDS
from winner_ns.signals import GridSignal, ShapeSignal, Signal
from winner_ns.signals.shape import NearSurface, usual_near_surface
from winner_ns.spectrum.laws import TargetSpectrum
from winner_ns.spectrum.noise import DISTANCE_SCALE, SHAPE_RESOLUTION, grid_spectrum, shape_spectrum
from winner_ns.spectrum.white_noise import noise_deviation

SHAPE_SAMPLES = 2**15
"""Training points that a shape's spectrum is measured at."""


class Measure(ABC):
    """What a kind's row names under `measure`."""

    where: ClassVar[str] = ""
    """What a reader should know of how it is measured."""

    @staticmethod
    @abstractmethod
    def spectrum(signal: Any, loss: str) -> TargetSpectrum:
        """The spectrum of what a field would be trained on, from all samples of a signal."""

    @staticmethod
    @abstractmethod
    def samples(signal: Any) -> Shaped[np.ndarray, "*shape channels"]:
        """What is measured of a signal, on a grid."""

    @staticmethod
    @abstractmethod
    def nyquist(signal: Any) -> Tuple[float, ...]:
        """Per axis of that grid, radians per unit of coordinate."""

    @staticmethod
    def noise_deviation(signal: Any) -> Optional[float]:
        """That of white noise in its values, which lie in [-1, 1], at most; None where values are no measurements."""
        return None


class GridMeasure(Measure):
    """The samples themselves."""

    @staticmethod
    def spectrum(signal: GridSignal, loss: str) -> TargetSpectrum:
        return grid_spectrum(signal.kind, signal.samples, signal.nyquist, signal.value_offset, hertz=signal.hertz)

    @staticmethod
    def samples(signal: GridSignal) -> Shaped[np.ndarray, "*shape channels"]:
        return signal.samples

    @staticmethod
    def nyquist(signal: GridSignal) -> Tuple[float, ...]:
        return signal.nyquist

    @staticmethod
    def noise_deviation(signal: GridSignal) -> Optional[float]:
        return noise_deviation(signal.samples, signal.value_scale)


class ShapeMeasure(Measure):
    """The squashed signed distance at training points; as a picture of its spectrum, on a grid."""

    where = f" (of a grid of {SHAPE_RESOLUTION}^3)"

    @staticmethod
    def spectrum(signal: ShapeSignal, loss: str, near_surface: Optional[NearSurface] = None) -> TargetSpectrum:
        near_surface = usual_near_surface(signal.source, loss) if near_surface is None else near_surface
        return shape_spectrum(signal.sample(SHAPE_SAMPLES, 0, near_surface)[1], loss)

    @staticmethod
    def samples(signal: ShapeSignal) -> Shaped[np.ndarray, "*shape channels"]:
        line = np.linspace(-1.0, 1.0, SHAPE_RESOLUTION)
        points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
        return shape_target(signal)(points).reshape(*(SHAPE_RESOLUTION,) * 3, 1)

    @staticmethod
    def nyquist(signal: ShapeSignal) -> Tuple[float, ...]:
        return (np.pi * (SHAPE_RESOLUTION - 1) / 2,) * 3


def measure_of(signal: Signal) -> Type[Measure]:
    """What is measured of a signal."""
    return KINDS[signal.kind].get("measure")


def target_spectrum(signal: Signal, loss: str = "distance") -> TargetSpectrum:
    """The spectrum of what a field would be trained on, from all samples of a signal.

    Args:
        signal: any.
        loss: of shapes, distance, occupancy or eikonal.
    """
    return measure_of(signal).spectrum(signal, loss)


def shape_target(
    signal: ShapeSignal, squashed: bool = True
) -> Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]]:
    """tanh(signed distance / DISTANCE_SCALE), or the distance itself, as a function on the unit cube."""
    distance = signal.signed_distance
    return lambda points: np.tanh(distance(points) / DISTANCE_SCALE) if squashed else distance(points)

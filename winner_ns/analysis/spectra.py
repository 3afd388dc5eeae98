"""Power spectral densities of a field's layers, of its output and of its target, on lines through the domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np
from jaxtyping import Float
from torch import nn

from winner_ns.analysis.sampled import SampledTarget
from winner_ns.fields.layers import pre_activations

TARGET = "target"
MOST_NEURONS = 64
"""Neurons of a layer that stand for all of them."""
BINS = 200
"""Logarithmic frequency bins from the lowest to the highest frequency."""


@dataclass(frozen=True)
class Spectra:
    """Power spectra by name: of pre-activations ("layer 1", …), of the field ("output") and of the target ("target").

    Averaged over lines, neurons (or channels) and axes. Each line has its mean removed and is weighted with Hann's
    window.
    """

    frequency: Float[np.ndarray, " f"]
    """Angular frequencies in radians per unit of coordinate, ascending."""
    density: Dict[str, Float[np.ndarray, " f"]]
    """One-sided power spectral density, in squared values per radian per unit."""
    running: Dict[str, Float[np.ndarray, " f"]]
    """Share of the power at or below each frequency, 0 to 1."""
    band: Dict[str, float]
    """Root-mean-square angular frequency, per axis, in radians per unit."""

    def frequency_below_which(self, share: float, name: str) -> float:
        """The angular frequency below which this share of the power lies."""
        return float(np.interp(share, self.running[name], self.frequency))


def measure_spectra(network: nn.Module, target: SampledTarget) -> Spectra:
    """The spectra of a network and of its target at the target's own sampling."""
    measured: List[Tuple[np.ndarray, Dict[str, np.ndarray]]] = []
    for axis in target.axes:
        coordinates, values = target.lines(axis)
        number, length = coordinates.shape[:2]
        layers = pre_activations(network, coordinates.reshape(number * length, -1), MOST_NEURONS)
        lines = {name: z.numpy().reshape(number, length, -1) for name, z in layers.items()}
        frequency = np.fft.rfftfreq(length, target.spacing(axis) / (2.0 * np.pi))
        lines[TARGET] = values
        measured.append((frequency, {name: line_density(line, target.spacing(axis)) for name, line in lines.items()}))
    return combine(measured)


def line_density(lines: Float[np.ndarray, "l n c"], spacing: float) -> Float[np.ndarray, " f"]:
    """One-sided power spectral density along axis 1, averaged over the others, per radian per unit of coordinate.

    Frequencies are those of numpy.fft.rfftfreq.
    """
    from scipy.signal import periodogram

    total = np.zeros(lines.shape[1] // 2 + 1)
    for line in lines:
        density = periodogram(line, 2.0 * np.pi / spacing, window="hann", detrend="constant", axis=0)[1]
        total += density.mean(axis=1)
    return total / len(lines)


def combine(measured: List[Tuple[np.ndarray, Dict[str, np.ndarray]]]) -> Spectra:
    """Averages over axes, each of which has frequencies of its own; zero is left out (means were removed)."""
    lowest = min(frequency[1] for frequency, _ in measured)
    highest = max(frequency[-1] for frequency, _ in measured)
    edges = np.geomspace(lowest * (1 - 1e-9), highest * (1 + 1e-9), BINS + 1)
    bins_of = [np.clip(np.digitize(frequency[1:], edges) - 1, 0, BINS - 1) for frequency, _ in measured]
    # Each axis counts alike, however many frequencies it has in a bin.
    numbers = [np.bincount(bins, minlength=BINS) for bins in bins_of]
    counts = np.sum([number > 0 for number in numbers], axis=0)
    filled = counts > 0

    def binned(values: List[np.ndarray]) -> Float[np.ndarray, " f"]:
        means = [
            np.bincount(bins, value[1:], BINS) / np.maximum(number, 1)
            for bins, value, number in zip(bins_of, values, numbers, strict=True)
        ]
        return np.sum(means, axis=0)[filled] / counts[filled]

    center = binned([frequency for frequency, _ in measured])
    density, running, band = {}, {}, {}
    for name in measured[0][1]:
        density[name] = binned([densities[name] for _, densities in measured])
        powers = [densities[name][1:] * frequency[1] for frequency, densities in measured]
        # An axis along which nothing changes has rounding errors to show, which must not count like the others.
        most = max(max(float(power.sum()) for power in powers), np.finfo(float).tiny)
        whole = max(sum(float(power.sum()) for power in powers), np.finfo(float).tiny)
        below = [
            np.interp(center, frequency[1:], np.cumsum(power), left=0.0)
            for (frequency, _), power in zip(measured, powers, strict=True)
        ]
        running[name] = np.sum(below, axis=0) / whole
        squares = [
            float((frequency[1:] ** 2 * power).sum()) / most
            for (frequency, _), power in zip(measured, powers, strict=True)
        ]
        band[name] = float(np.sqrt(np.mean(squares)))
    return Spectra(center, density, running, band)

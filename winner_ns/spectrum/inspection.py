"""What a signal's spectrum says before any training: centroid, noise scales, bands, and whether plain SIREN will do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
from jaxtyping import Float

from winner_ns.errors import setting_error
from winner_ns.kinds import KINDS
from winner_ns.spectrum.band import SineNetwork
from winner_ns.spectrum.centroid import LONGEST_TRANSFORM
from winner_ns.spectrum.expectation import band_verdict, bottleneck_warning
from winner_ns.spectrum.laws import TargetSpectrum, denoising_decay
from winner_ns.spectrum.measure import measure_of, target_spectrum
from winner_ns.spectrum.moments import channel_moments
from winner_ns.spectrum.noise import NoiseReport, choose_noise

if TYPE_CHECKING:
    from winner_ns.signals import Signal

LEAST_NOISE = 1e-6
"""Deviation of values in [-1, 1] below which there is none that could be told."""
MOST_LINES_SAMPLES = 2**24
"""Samples that an averaged magnitude spectrum is made of, at most."""


@dataclass(frozen=True)
class Denoising:
    """What the purpose denoise makes of a signal."""

    omega: float
    """The centroid frequency without the noise, radians per unit of coordinate."""
    report: NoiseReport
    learning_rate: float
    weight_decay: float
    """Of Adam; over the learning rate."""

    @classmethod
    def of(cls, signal: Signal, spectrum: TargetSpectrum, network: SineNetwork) -> Optional[Denoising]:
        """That of a signal; None for those whose values are no measurements."""
        defaults = KINDS[signal.kind].denoising
        if defaults is None or spectrum.denoised is None:
            return None
        report = choose_noise(spectrum, network, purpose="denoise")
        decay = denoising_decay(spectrum, network.weights(spectrum.channels))
        return cls(spectrum.denoised(), report, defaults.learning_rate, decay)

    def as_dict(self) -> Dict[str, float]:
        """Plain JSON."""
        plain = {name: getattr(self.report, name) for name in ("s0", "s1", "band")}
        return {"omega": self.omega, **plain, "learning_rate": self.learning_rate, "weight_decay": self.weight_decay}

    def line(self) -> str:
        """What a user reads."""
        report = self.report
        band = f"the band {report.frequency_in_words(report.band)}"
        start = (
            f"a plain SIREN, {band}"
            if report.s0 == report.s1 == 0
            else f"s0 {report.s0:.5g}, s1 {report.s1:.4g}, {band}"
        )
        decay = f", weight decay {self.weight_decay:.3g}" if self.weight_decay else ""
        without = report.frequency_in_words(self.omega)
        return f"denoise   Omega {without} without noise; the purpose denoise starts from {start}{decay}"


@dataclass(frozen=True)
class Inspection:
    """A signal, its spectrum, and what a law makes of it."""

    signal: Signal
    network: SineNetwork
    nyquist: Tuple[float, ...]
    """Per axis, radians per unit of coordinate; of a shape, of the grid it was measured on."""
    report: NoiseReport
    noise_deviation: Optional[float] = None
    """That of white noise in the signal's values, which lie in [-1, 1], at most."""
    denoising: Optional[Denoising] = None
    """What the purpose denoise would do, where there is noise."""

    def as_dict(self) -> Dict[str, Any]:
        """Plain JSON: kind, shape (None for shapes in 3D), channels, psi, omega, law, s0, s1, bands, warnings, …"""
        return {
            "file": str(self.signal.path),
            "kind": self.signal.kind,
            "shape": self.signal.describe().get("shape"),
            "channels": self.signal.channels,
            "nyquist": [float(n) for n in self.nyquist],
            **self.report.as_dict(),
            "noise_deviation": self.noise_deviation,
            "denoise": None if self.denoising is None else self.denoising.as_dict(),
            "bottleneck": self.report.bottleneck,
            "verdict": self.verdict,
            "network": {
                "width": self.network.width,
                "depth": self.network.depth,
                "omega_0": self.network.omega_0,
                "first_omega_0": self.network.first_omega_0,
            },
            "signal": self.signal.describe(),
            "warnings": self.warnings(),
        }

    @property
    def verdict(self) -> str:
        """What to expect of the field that the law makes."""
        return band_verdict(self.report.omega, self.report.band, max(self.nyquist))

    def warnings(self) -> List[str]:
        """The reader's warnings, and the one about plain SIREN."""
        lines = list(self.signal.warnings)
        bottleneck = bottleneck_warning(self.report)
        if bottleneck is not None:
            lines.append(bottleneck)
        if self.report.bright:
            lines.append("the spectrum is too bright to tell what lies between the samples; the purpose fit suits it")
        return lines

    def lines(self) -> List[str]:
        """What a user reads."""
        report, network = self.report, self.network
        where = measure_of(self.signal).where
        return [
            f"{self.signal.kind:9} {self.signal.path}: {self.signal.in_words()}",
            f"network   {network.dimensions} -> {network.depth} x {network.width}, omega_0 {network.omega_0:g}"
            f" (first layer {network.first_omega_0:g})",
            f"Nyquist   {' / '.join(f'{n:.5g}' for n in dict.fromkeys(self.nyquist))} rad/unit{where}",
            *report.lines(),
            *self._noise_lines(),
            f"verdict   {self.verdict}",
            *(f"warning   {warning}" for warning in self.warnings()),
        ]

    def _noise_lines(self) -> List[str]:
        if self.noise_deviation is None:
            return []
        psnr = 20 * math.log10(2 / max(self.noise_deviation, 1e-12))
        known = f"{self.noise_deviation:.2g} of values in [-1, 1], a PSNR of {psnr:.0f} dB"
        if self.noise_deviation <= LEAST_NOISE:
            return ["noise     none that could be told"]
        return [f"noise     at most {known}", *([] if self.denoising is None else [self.denoising.line()])]


def inspect_signal(
    signal: Signal,
    width: int = 256,
    depth: int = 4,
    omega_0: float = 30.0,
    first_omega_0: Optional[float] = None,
    **law: Any,
) -> Inspection:
    """Measures a signal's spectrum and applies a law to it.

    Args:
        signal: what would be fitted, all of its samples.
        width, depth, omega_0, first_omega_0: of the sine network; first_omega_0 is omega_0 where None.
        law: law, purpose, s0 and s1 as `choose_noise` takes them.

    Raises:
        SignalError: flags that contradict each other, or a law that does not know this kind.
    """
    nyquist = measure_of(signal).nyquist(signal)
    dimensions = len(nyquist)
    network = SineNetwork(dimensions, width, depth, omega_0, omega_0 if first_omega_0 is None else first_omega_0)
    spectrum = target_spectrum(signal)
    try:
        report = choose_noise(spectrum, network, **law, given=() if first_omega_0 is None else ("first_omega_0",))
    except ValueError as error:
        raise setting_error("law", str(error), "see `winner-ns inspect --help`") from error
    if report.first_omega_0 is not None:
        network = replace(network, first_omega_0=report.first_omega_0)
    noise = measure_of(signal).noise_deviation(signal)
    denoising = None if noise is None or noise <= LEAST_NOISE else Denoising.of(signal, spectrum, network)
    return Inspection(signal, network, nyquist, report, noise, denoising)


def magnitude_spectrum(signal: Signal, bins: int = 200) -> Tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The magnitude spectrum of the mean-removed target, averaged over lines, axes and logarithmic bins.

    Returns:
        Angular frequencies in radians per unit of coordinate and mean magnitudes per sample, where there are any.
    """
    measure = measure_of(signal)
    samples = measure.samples(signal)
    mean = channel_moments(samples)[0]
    frequencies, magnitudes = [], []
    for axis, highest in enumerate(measure.nyquist(signal)):
        if samples.shape[axis] > 1:
            n = min(samples.shape[axis], LONGEST_TRANSFORM)
            frequencies.append(2.0 * highest * np.fft.rfftfreq(n)[1:])
            magnitudes.append(_mean_magnitude(samples, axis, n, mean)[1:])
    edges = np.geomspace(min(f[0] for f in frequencies), max(f[-1] for f in frequencies) * (1 + 1e-9), bins + 1)
    # Each axis counts alike, however many frequencies it has in a bin.
    totals, counts, centers = np.zeros(bins), np.zeros(bins), np.zeros(bins)
    for frequency, magnitude in zip(frequencies, magnitudes, strict=True):
        number = np.bincount(bin_ := np.clip(np.digitize(frequency, edges) - 1, 0, bins - 1), minlength=bins)
        hit = number > 0
        totals[hit] += (np.bincount(bin_, magnitude, bins) / np.maximum(number, 1))[hit]
        centers[hit] += (np.bincount(bin_, frequency, bins) / np.maximum(number, 1))[hit]
        counts += hit
    filled = counts > 0
    return centers[filled] / counts[filled], totals[filled] / counts[filled]


def _mean_magnitude(samples: np.ndarray, axis: int, n: int, mean: np.ndarray) -> Float[np.ndarray, " f"]:
    """|Y(f)| / n of n samples along an axis, from 0 to Nyquist, averaged over (evenly spaced) lines and channels."""
    total, count = np.zeros(n // 2 + 1), 0
    for line in _lines(np.moveaxis(samples, axis, -2), n, mean):
        total += np.abs(np.fft.rfft(line, axis=0)).sum(axis=1)
        count += line.shape[1]
    return total / (count * n)


def _lines(samples: np.ndarray, n: int, mean: np.ndarray) -> Iterator[Float[np.ndarray, "n c"]]:
    """Lines of n samples from [*others, n, channels]; evenly spaced ones where there are very many."""
    others = samples.shape[:-2]
    number = int(np.prod(others, dtype=np.int64))
    step = max(1, -(-samples.size // MOST_LINES_SAMPLES))
    for flat in range(0, number, step):
        line = samples[np.unravel_index(flat, others)] if others else samples
        yield line[:n] - mean

"""What to expect of a fit, in words, from where the target's energy lies and the band that a field starts with."""

from __future__ import annotations

from typing import Optional

from winner_ns.spectrum.noise import BOTTLENECK_RATIO, NoiseReport

BLUR_RATIO = 4.0
"""Centroid frequency over a sine network's initial band from which on fine detail comes late or not at all: at a fourth
(kappa 0.25) bright spectra were fitted well, at a tenth (plain SIREN on photographs) they were measured to stay blurred
by 2 to 5 dB."""
NOISE_RATIO = 4.0
"""A sine network's initial band over Nyquist from which on there is too much noise. Matching by a purpose's name gives
at most 1; the paper's law gives 2.6 on a sound as short as 19,200 samples."""


def bottleneck_warning(report: NoiseReport) -> Optional[str]:
    """What to expect of fields that nothing is adapted in, a plain SIREN first of all, where that is a collapse; else
    None."""
    if not report.bottleneck:
        return None
    return (
        f"the target's energy lies {rounded(report.omega / report.plain_band)} times above the band of a plain SIREN: "
        "expect fields without adapted noise to collapse to about zero; the family winner avoids that"
    )


def start_warning(report: NoiseReport, nyquist: float) -> Optional[str]:
    """What to expect of the sine network that is about to be trained, where that is no good; else None.

    Args:
        report: of its noise.
        nyquist: the target's, as for `band_verdict`.
    """
    if report.omega <= BLUR_RATIO * report.band and report.band <= NOISE_RATIO * nyquist:
        return None
    return f"{band_verdict(report.omega, report.band, nyquist)}; the family winner with the purpose fit avoids that"


def band_verdict(omega: float, band: float, nyquist: float) -> str:
    """What to expect of a sine network.

    Args:
        omega: the target's centroid frequency, in radians per unit of coordinate.
        band: root-mean-square frequency of the field's output before training, in the same unit. The predicted one:
            what is measured on the target's grid is never above Nyquist.
        nyquist: the target's, in the same unit; the highest of the axes'.
    """
    omega, band = max(omega, 1e-12), max(band, 1e-12)
    ratio = omega / band
    above = f"the target's energy lies {rounded(ratio)} times above the band of the initial field"
    if ratio > BOTTLENECK_RATIO:
        return f"{above}: expect the bottleneck, a collapse to about zero"
    if ratio > BLUR_RATIO:
        return f"{above}: expect the bottleneck, fine detail late or not at all"
    times = f"the band of the initial field is {rounded(band / omega)} times the target's centroid frequency"
    if band > NOISE_RATIO * nyquist:
        return (
            f"{times} and lies {rounded(band / nyquist)} times above Nyquist: expect noise between the samples, and "
            "slower fitting"
        )
    return f"{times}: within its reach"


def rounded(number: float) -> str:
    """A frequency or a ratio with three digits, in full where that can be read."""
    return f"{number:,.0f}" if 100 <= number < 1e9 else f"{number:.3g}"

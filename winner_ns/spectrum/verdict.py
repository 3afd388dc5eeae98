"""What to expect of a fit, in words, from where the target's energy lies and the band that a field starts with."""

from __future__ import annotations

from typing import Optional

from winner_ns.spectrum.target import BOTTLENECK_RATIO, NoiseReport

BLUR_RATIO = 4.0
"""Centroid frequency over a sine network's initial band from which on fine detail comes late or not at all: at a fourth
(kappa 0.25) bright spectra were fitted well, at a tenth (plain SIREN on photographs) they were measured to stay blurred
by 2 to 5 dB."""


def bottleneck_warning(report: NoiseReport) -> Optional[str]:
    """What to expect of fields that nothing is adapted in, a plain SIREN first of all, where that is a collapse; else
    None."""
    if not report.bottleneck:
        return None
    return (
        f"the target's energy lies {report.omega / report.plain_band:.0f} times above the band of a plain SIREN: "
        "expect fields without adapted noise to collapse to about zero; the family winner avoids that"
    )


def start_warning(report: NoiseReport) -> Optional[str]:
    """What to expect of the sine network that is about to be trained, where that is no good; else None."""
    ratio = report.omega / max(report.band, 1e-12)
    if ratio <= BLUR_RATIO:
        return None
    return f"{band_verdict(report.omega, report.band)}; the family winner with the purpose fit avoids that"


def band_verdict(omega: float, band: float) -> str:
    """What to expect of a sine network.

    Args:
        omega: the target's centroid frequency, in radians per unit of coordinate.
        band: root-mean-square frequency of the field's output before training, in the same unit.
    """
    ratio = omega / max(band, 1e-12)
    above = f"the target's energy lies {rounded(ratio)} times above the band of the initial field"
    if ratio > BOTTLENECK_RATIO:
        return f"{above}: expect the bottleneck, a collapse to about zero"
    if ratio > BLUR_RATIO:
        return f"{above}: expect the bottleneck, fine detail late or not at all"
    times = rounded(1.0 / ratio)
    return f"the band of the initial field is {times} times the target's centroid frequency: within its reach"


def rounded(number: float) -> str:
    """A frequency or a ratio with three digits, in full."""
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"

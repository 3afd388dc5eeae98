"""A picture of a signal's magnitude spectrum beside what sine networks start with."""

from __future__ import annotations

from pathlib import Path

from winner_ns.safe_text import plot
from winner_ns.spectrum.inspection import Inspection, magnitude_spectrum
from winner_ns.writing import check_output, replacing

SUFFIXES = (".png", ".pdf", ".svg", ".jpg")


def write_spectrum_plot(path: Path, inspection: Inspection) -> None:
    """Magnitude over angular frequency, both logarithmic, with lines at the plain SIREN's initial band, the chosen
    one, the centroid Omega and Nyquist.

    Raises:
        SignalError: an unknown suffix, or the file cannot be written.
    """
    from matplotlib.figure import Figure

    suffix = check_output(path, SUFFIXES)
    frequency, magnitude = magnitude_spectrum(inspection.signal)
    report = inspection.report
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.loglog(frequency, magnitude, color="0.25", linewidth=1.2)
    marks = (
        (f"initial band ({plot(report.law)})", report.band, "tab:blue", "-"),
        ("plain SIREN's band", report.plain_band, "tab:orange", "--"),
        ("centroid Ω", report.omega, "tab:green", "-"),
        ("Nyquist", max(inspection.nyquist), "tab:red", ":"),
    )
    for name, value, color, style in marks:
        axes.axvline(value, color=color, linestyle=style, linewidth=1.6, label=f"{name}: {value:.4g}")
    # Numerical zeros would squeeze everything else into the top.
    axes.set_ylim(bottom=max(magnitude.min(), magnitude.max() * 1e-7))
    axes.set_xlabel("angular frequency (radians per unit of coordinate)")
    axes.set_ylabel("mean magnitude")
    axes.set_title(f"{plot(inspection.signal.path.name)}: ψ = {report.psi:.3f} of Nyquist", loc="left")
    axes.grid(True, which="major", color="0.9")
    axes.legend(loc="lower left", frameon=True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format=suffix[1:], dpi=130)

"""All instruments on one field: before training and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional

from torch import nn

from winner_ns.analysis.gradients import LossGradients, measure_gradients
from winner_ns.analysis.kernel import MOST_POINTS, Kernel, measure_kernel
from winner_ns.analysis.sampled import SampledTarget, sampled_target
from winner_ns.analysis.spectra import Spectra, measure_spectra
from winner_ns.analysis.statistics import LayerStatistics, measure_statistics
from winner_ns.analysis.subject import Subject
from winner_ns.errors import setting_error
from winner_ns.fields.description import Description
from winner_ns.fields.layers import is_sine_network
from winner_ns.progress import Report, silent


@dataclass(frozen=True)
class StateAnalysis:
    """What the instruments say of one state of a field."""

    spectra: Spectra
    statistics: Dict[str, LayerStatistics]
    kernel: Kernel
    gradients: LossGradients


@dataclass(frozen=True)
class Analysis:
    """A field and its target under all instruments."""

    description: Description
    """The run's."""
    step: Optional[int]
    """The last training step that the trained state has seen, counted from 0."""
    omega: float
    """The target's centroid frequency, in radians per unit of coordinate."""
    nyquist: float
    """The target's, the highest of the axes', in the same unit."""
    variance: Optional[float]
    """Of the target's values as they are trained on: the loss of a field that knows nothing but their mean. None where
    there is no such thing, as of shapes."""
    of_sines: bool
    """Whether all hidden layers are sines (`is_sine_network`)."""
    states: Dict[str, StateAnalysis]
    """"initial", and of a run "trained"."""

    @property
    def predicted_band(self) -> Optional[float]:
        """Of the initial field, in radians per unit of coordinate (`initial_band`); None where there is no formula."""
        noise = self.description.spectrum
        return None if noise is None else noise.band


def analyze(subject: Subject, points: int = 1024, report: Report = silent) -> Analysis:
    """Applies all instruments.

    Args:
        subject: the field.
        points: of the tangent kernel, at most; fewer where the signal is smaller.
        report: told what is going on.

    Raises:
        SignalError: more points than a kernel can have here, or fewer than 16.
    """
    if not 16 <= points <= MOST_POINTS:
        raise setting_error("points", f"{points} is not between 16 and {MOST_POINTS}", "1024 are enough for most")
    fitted, target = subject.target, sampled_target(subject.target)
    return Analysis(
        subject.description,
        subject.step,
        fitted.spectrum.omega,
        fitted.spectrum.nyquist,
        fitted.mean_loss,
        is_sine_network(subject.states["initial"]),
        {
            name: _analyze_state(subject, name, network, target, points, report)
            for name, network in subject.states.items()
        },
    )


def _analyze_state(
    subject: Subject, name: str, network: nn.Module, target: SampledTarget, points: int, report: Report
) -> StateAnalysis:
    report(f"spectra, {name} field", 0, 3)
    spectra = measure_spectra(network, target)
    report(f"statistics, {name} field", 1, 3)
    statistics = measure_statistics(network, target, subject.description if name == "initial" else None)
    gradients = measure_gradients(network, subject.target, subject.batch_size)

    def kernel_report(doing: str, done: int, total: int) -> None:
        report(f"{doing}, {name} field", done, total)

    return StateAnalysis(spectra, statistics, measure_kernel(network, target, points, kernel_report), gradients)

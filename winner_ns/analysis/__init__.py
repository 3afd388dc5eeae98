"""What initialisation does to a field: spectra of its layers, pre-activations, tangent kernel, gradients."""

from winner_ns.analysis.analysis import Analysis, StateAnalysis, analyze
from winner_ns.analysis.subject import Subject, subject_before_training, subject_of_run
from winner_ns.analysis.verdict import verdict

__all__ = [
    "Analysis",
    "StateAnalysis",
    "Subject",
    "analyze",
    "subject_before_training",
    "subject_of_run",
    "verdict",
]

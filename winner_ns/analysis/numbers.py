"""The numbers of an analysis: those that fit on a page, and all of them in a file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Optional
from zipfile import BadZipFile

import numpy as np

from winner_ns.analysis.analysis import Analysis, StateAnalysis
from winner_ns.analysis.verdict import REACH, verdict
from winner_ns.writing import replacing


def summary(analysis: Analysis) -> Dict[str, Any]:
    """kind, name, family, omega, predicted_band, variance, verdict, and for each state of the field: layers (std,
    std_over_points, band in rad/unit and, where there is one, theory), loss, gradient_norm, kernel; as plain JSON."""
    return {
        "kind": analysis.description.kind,
        "name": analysis.description.name,
        "family": analysis.description.network.family,
        "omega": analysis.omega,
        "predicted_band": analysis.predicted_band,
        "variance": analysis.variance,
        "verdict": verdict(analysis),
        "states": {name: _state_summary(state) for name, state in analysis.states.items()},
    }


def write_numbers(path: Path, analysis: Analysis) -> None:
    """All numbers by name ("initial/spectra/frequency", "initial/kernel/eigenvalues", …) as an .npz without pickles.

    Raises:
        SignalError: the file cannot be written.
    """
    states = {name: asdict(state) for name, state in analysis.states.items()}
    whole = {name: getattr(analysis, name) for name in ("omega", "predicted_band", "variance")}
    arrays = _leaves({"data": analysis.description.data, **whole, "verdict": verdict(analysis), **states})
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def analysed_data(path: Path) -> Optional[str]:
    """The file whose analysis an .npz of `write_numbers` is; None where there is no such .npz."""
    try:
        with np.load(path) as numbers:
            return str(numbers["data"])
    except (OSError, KeyError, ValueError, BadZipFile):
        return None


def _state_summary(state: StateAnalysis) -> Dict[str, Any]:
    layers = {}
    for name, layer in state.statistics.items():
        layers[name] = {"std": layer.std, "std_over_points": layer.std_over_points, "band": state.spectra.band[name]}
        if layer.theory is not None:
            layers[name]["theory"] = asdict(layer.theory)
    return {
        "layers": layers,
        "loss": state.gradients.loss,
        "gradient_norm": state.gradients.norm,
        "kernel": {
            "shape": list(state.kernel.shape),
            "resolved_eigenvalues": state.kernel.resolved,
            "energy_within_reach": state.kernel.energy_within(REACH),
        },
    }


def _leaves(tree: Any, path: str = "") -> Dict[str, np.ndarray]:
    """What nested mappings hold, by path; None is left out."""
    if not isinstance(tree, dict):
        return {} if tree is None else {path: np.asarray(tree)}
    return {
        name: leaf
        for key, value in tree.items()
        for name, leaf in _leaves(value, f"{path}/{key}" if path else key).items()
    }

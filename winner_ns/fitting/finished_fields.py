"""The fields of finished runs, what they were fitted to, and their figures."""

from __future__ import annotations

import filecmp
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description
from winner_ns.fitting.evaluation import quick_figures
from winner_ns.fitting.run import LoadedRun, load_runs, run_figures
from winner_ns.fitting.target import Target, TargetOptions, target_of
from winner_ns.signals import ReadOptions, Signal, load_signal

LEAST_POINTS = 16384
"""Points that are drawn from a shape which is measured but not trained on."""


@dataclass
class FinishedFields:
    """Fields of the same signal by name, in the order in which they were given."""

    fields: Dict[str, LoadedRun]
    sources: Dict[str, Path]
    """The run of each field, as it was given."""
    tables: Dict[str, Dict[str, Any]]
    """What is known of each field (`run_figures`)."""
    original: Optional[Signal]
    """What they were fitted to; None where that is not there any more."""
    warnings: List[str] = field(default_factory=list)
    """One line each."""


def load_finished(paths: Sequence[Path]) -> FinishedFields:
    """Opens runs, field files and comparisons, whose fields count one by one.

    A field is named by its family, in a comparison by its own name; a name that is there already gets a number.

    Raises:
        SignalError: a run cannot be opened; fewer than two fields; different kinds or different signals.
    """
    fields: Dict[str, LoadedRun] = {}
    sources: Dict[str, Path] = {}
    for path in paths:
        for given, run in load_runs(path).items():
            name, number = given, 1
            while name in fields:
                number += 1
                name = f"{given}-{number}"
            fields[name], sources[name] = run, path
    if len(fields) < 2:
        raise SignalError(str(paths[0]), "is a single field", "name at least two runs to compare")
    (first, reference), *others = fields.items()
    for name, run in others:
        _check_same_signal(sources[first], reference, sources[name], run)
    original, warnings = _original(list(fields.values()))
    if len({run.description.holdout for run in fields.values()}) > 1:
        warnings.append("the runs withheld different samples from training: their figures are not of the same samples")
    tables = {name: run_figures(run) for name, run in fields.items()}
    if original is not None:
        for name, run in fields.items():
            if "figures" not in tables[name]:
                # Training left none: the figure that counts, from a choice of all samples.
                tables[name]["figures"] = quick_figures(run, target_as_trained(run.description, original))
    return FinishedFields(fields, sources, tables, original, warnings)


def target_as_trained(description: Description, signal: Signal, shape_samples: int = LEAST_POINTS) -> Target:
    """What a field was trained on: the signal with the same samples withheld, and the same loss.

    Args:
        description: the field's.
        signal: what it was fitted to.
        shape_samples: of shapes, points that are drawn at a time.

    Raises:
        SignalError: the signal cannot be trained on.
    """
    return target_of(signal, options=TargetOptions.of_run(description, shape_samples))


def _check_same_signal(path: Path, one: LoadedRun, other_path: Path, other: LoadedRun) -> None:
    """Raises SignalError where two fields are not of the same signal."""
    if one.kind != other.kind:
        problem = f"fitted {other.description.row.words}, {path} fitted {one.description.row.words}"
        raise SignalError(other_path, problem, "compare runs of the same signal")
    names, data = (one.description.name, other.description.name), (one.description.data, other.description.data)
    # What was no file is known by its name and its facts alone.
    same = one.signal == other.signal and (names[0] == names[1] or (data[0] == data[1] != ""))
    if same and data[0] != data[1] and all(Path(file).is_file() for file in data):
        same = filecmp.cmp(*data, shallow=False)  # Copies of one file, or two that only share their name.
    if not same:
        what = names[1] if names[0] != names[1] else f"another {names[1]} (or another part of it)"
        raise SignalError(other_path, f"fitted {what}, {path} fitted {names[0]}", "compare runs of the same signal")


def _original(runs: Sequence[LoadedRun]) -> Tuple[Optional[Signal], List[str]]:
    """The signal from the first place where it still is what was trained on, or a warning that it is nowhere."""
    problem = ""
    for run in runs:
        source, described = run.description.data, run.signal
        if not source:
            problem = problem or f"{run.description.name}: was no file"
            continue
        try:
            signal = load_signal(source, run.kind, ReadOptions(**described.get("read_options", {})))
        except SignalError as error:
            problem = str(error)
            continue
        if json.loads(json.dumps(signal.describe())) == described:
            return signal, []
        problem = f"{source}: is not what the runs were trained on any more"
    return None, [f"shown without the original: {problem}"]

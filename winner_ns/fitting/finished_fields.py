"""The fields of finished runs, what they were fitted to, and their figures."""

from __future__ import annotations

import filecmp
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description
from winner_ns.fitting.evaluation import quick_figures
from winner_ns.fitting.run import LoadedRun, load_runs, original_path, run_figures
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


def load_finished(
    paths: Sequence[Path],
    data: Optional[Path] = None,
    decoded_limit: Optional[float] = None,
    least: int = 2,
    estimated: bool = True,
) -> FinishedFields:
    """Opens runs, field files and comparisons, whose fields count one by one.

    A field is named by its family, in a comparison by its own name; a name that is there already gets a number. Nothing
    that the files hold is executed: the checkpoints say all that is needed, and no config is opened.

    Args:
        paths: as for `load_runs`.
        data: what the fields were fitted to; None: the file that the runs name, where it is on this machine and still
            is what was trained on.
        decoded_limit: GiB that this may take unpacked, 0 being no limit; None: the usual one. What a run says of it
            does not count.
        least: fields that are wanted.
        estimated: whether the figure that counts is estimated where training left none.

    Raises:
        SignalError: a run cannot be opened; too few fields; different kinds or different signals; the data is given,
            and is not what they were fitted to.
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
    if len(fields) < least:
        raise SignalError(str(paths[0]), "is a single field", "name at least two runs to compare")
    (first, reference), *others = fields.items()
    for name, run in others:
        _check_same_signal(sources[first], reference, sources[name], run)
    given = None if data is None else _signal_again(reference.description, data, decoded_limit)
    original, warnings = (given, []) if given else _original(list(fields.values()), decoded_limit)
    if len({run.description.holdout for run in fields.values()}) > 1:
        warnings.append("the runs withheld different samples from training: their figures are not of the same samples")
    tables = {name: run_figures(run) for name, run in fields.items()}
    if original is not None and estimated:
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


def _original(runs: Sequence[LoadedRun], decoded_limit: Optional[float]) -> Tuple[Optional[Signal], List[str]]:
    """The signal from the first place where it still is what was trained on, or a warning that it is nowhere."""
    problem = ""
    for run in runs:
        try:
            return _signal_again(run.description, original_path(run.description), decoded_limit), []
        except SignalError as error:
            problem = str(error) if run.description.data else f"{error.source}: {error.problem}"
    return None, [f"shown without the original: {problem}"]


def _signal_again(description: Description, source: Path, decoded_limit: Optional[float]) -> Signal:
    """What a field was fitted to, read as it was then.

    Raises:
        SignalError: it cannot be read, or is something else.
    """
    options = dict(description.signal.get("read_options", {}))
    options.pop("decoded_limit", None)  # It is for who reads the file to say.
    if decoded_limit is not None:
        options["decoded_limit"] = decoded_limit
    signal = load_signal(source, description.kind, ReadOptions(**options))
    if _facts(json.loads(json.dumps(signal.describe()))) != _facts(description.signal):
        advice = "give that, or leave the original out"
        raise SignalError(source, "is not what was trained on (any more)", advice)
    return signal


def _facts(described: Mapping[str, Any]) -> Dict[str, Any]:
    """What is known of a signal, without how much it was allowed to take."""
    options = {name: value for name, value in described.get("read_options", {}).items() if name != "decoded_limit"}
    others = {name: value for name, value in described.items() if name != "read_options"}
    return {**others, **({"read_options": options} if options else {})}

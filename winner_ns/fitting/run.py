"""Opening a finished run, without nerfstudio, the training data, or executing anything that the files hold."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import torch
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description
from winner_ns.fields.files import LoadedField, read_field_file, rebuild_field
from winner_ns.fitting.adam import betas_of, weight_decay_of
from winner_ns.fitting.checkpoints import BEFORE, CHECKPOINTS, checkpoint_name, last_checkpoint, read_checkpoint
from winner_ns.reading import check_sort
from winner_ns.safe_text import is_word
from winner_ns.signals import Signal

_ADVICE = "give the folder of a run (with config.yml in it), a checkpoint (.ckpt) or a field file (.safetensors)"
_SCENE_ADVICE = (
    "use `ns-viewer`, `ns-eval` or `ns-render` for a run that you trust, as they execute what its config.yml says, or "
    "`winner-ns export mesh` for a run of `ns-train winner-neus`"
)
# Distributed training wraps the model; a comparison holds one model for each field.
_MODEL = re.compile(r"_model\.(?:module\.)?(?:models\.([^.]+)\.)?(field\.|_extra_state$)")

FIELD_NAME = re.compile(r"[\w=,+-][\w=,.+-]*", re.ASCII)
"""What a field of a comparison may be called: its results are in a folder of this name."""

Described = Dict[str, Tuple[Dict[str, Any], Dict[str, Tensor]]]
"""Description and weights of each field of a checkpoint, by name."""


def field_key(name: str) -> str:
    """A field's name as it stands in a checkpoint, where a dot would separate two modules."""
    return name.replace(".", "%2E")


class LoadedRun(LoadedField):
    """The field of a run.

    Attributes:
        folder: the run's folder, or that of the field file.
        step: training steps that the checkpoint had seen; None for a field file.
        field_file: the field file, or where training writes it when it ends.
    """

    def __init__(self, loaded: LoadedField, folder: Path, step: Optional[int], field_file: Path) -> None:
        super().__init__(loaded.network, loaded.description)
        self.folder, self.step, self.field_file = folder, step, field_file


def load_run(path: Union[str, os.PathLike]) -> LoadedRun:
    """Opens the field of a run that `ns-train winner-siren` made, on a GPU where there is one.

    Args:
        path: the run's folder, its config.yml or its nerfstudio_models (the latest checkpoint counts), one checkpoint
            (step-….ckpt), or a .safetensors field file.

    Raises:
        SignalError: no run or no checkpoint there, of another method, of several fields, or damaged.
    """
    return _open(path, several=False).popitem()[1]


def load_runs(path: Union[str, os.PathLike]) -> Dict[str, LoadedRun]:
    """Opens all fields of a run, by name: one, named by its family, or those of a `ns-train winner-compare`.

    Args:
        path: as for `load_run`.

    Raises:
        SignalError: no run or no checkpoint there, of another method, or damaged.
    """
    return _open(path, several=True)


def read_model(path: Union[str, os.PathLike]) -> Tuple[Description, Dict[str, Tensor]]:
    """The description and the weights of a run's one model, of whatever kind.

    Args:
        path: as for `load_run`, but no field file.

    Raises:
        SignalError: no run or no checkpoint there, of another method, of several fields, or damaged.
    """
    if not Path(path).exists():
        raise SignalError(path, "no such run", _ADVICE)
    described, _ = _described(_find_checkpoint(Path(path))[1])
    if len(described) > 1:
        raise SignalError(path, f"holds the fields {', '.join(described)}", "give the field file of one of them")
    description, tensors = next(iter(described.values()))
    try:
        return Description.from_dict(description), tensors
    except ValueError as error:
        raise SignalError(path, f"cannot be used ({error})", "use another checkpoint, or train again") from error


def _open(path: Union[str, os.PathLike], several: bool) -> Dict[str, LoadedRun]:
    path = Path(path)
    if check_sort(path) is None:
        raise SignalError(path, "no such run", _ADVICE)
    described: Described
    if path.is_file() and path.suffix == ".safetensors":
        described, files = {"": read_field_file(path)}, {"": path}
        source, folder, step, advice = path, path.parent, None, "export the field again"
    else:
        folder, source = _find_checkpoint(path)
        described, step = _described(source)
        files = {name: folder / "results" / name / "field.safetensors" for name in described}
        advice = "use another checkpoint of the run, or train again"
        if len(described) > 1:
            advice = f"the other fields have their own files in {folder / 'results'}"
    if len(described) > 1 and not several:
        raise SignalError(path, f"holds the fields {', '.join(described)}", _one_field_advice(files))
    runs = {}
    for name, (description, tensors) in described.items():
        try:
            described_field = Description.from_dict(description)
            is_scene = described_field.row.reader is None
            loaded = None if is_scene else rebuild_field(described_field, tensors)
        except ValueError as error:
            raise SignalError(source, f"{name} cannot be used ({error})", advice) from error
        if loaded is None:
            raise SignalError(path, f"this run learnt {described_field.row.words}", _SCENE_ADVICE)
        if torch.cuda.is_available():
            loaded.network.cuda()
        runs[name or described_field.network.family] = LoadedRun(loaded, folder, step, files[name])
    return runs


def _one_field_advice(files: Dict[str, Path]) -> str:
    written = [str(file) for file in files.values() if file.is_file()]
    if written:
        return f"give one of {', '.join(written)}"
    return f"let its training end, which writes a file for each, such as {next(iter(files.values()))}, and give one"


def run_figures(run: LoadedRun) -> Dict[str, Any]:
    """What is known of a run's field, for a table.

    Returns:
        parameters, the number of trained weights; file_bytes, the size of its field file, if there is one; and, if
        training has ended at this step and left its figures beside the field file: figures (by name, None where one is
        not finite), steps and training_seconds.
    """
    known: Dict[str, Any] = {}
    try:
        table = json.loads((run.field_file.parent / "figures.json").read_text(encoding="utf-8"))
        # A copied or exported file may lie beside the figures of another field.
        own = run.description.as_dict()
        same = all(own[key] == table["description"][key] for key in ("network", "signal", "spectrum"))
        if same and run.step in (None, table["steps"] - 1):
            known = {"figures": _checked_figures(table["figures"])}
            known |= {key: _checked_number(table[key]) for key in ("steps", "training_seconds")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = {}  # No figures, or not of ours.
    known["parameters"] = sum(parameter.numel() for parameter in run.network.parameters())
    if run.field_file.is_file():
        known["file_bytes"] = run.field_file.stat().st_size
    return known


def _checked_figures(figures: Dict[str, Any]) -> Dict[str, Optional[float]]:
    """Figures by name, which a file says and is not trusted with. Raises ValueError for what is none."""
    if not all(map(is_word, figures)):
        raise ValueError("a figure's name is no word")
    return {name: None if value is None else _checked_number(value) for name, value in figures.items()}


def _checked_number(value: Any) -> Any:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.80} is no number")
    return value


def read_descriptions(path: Union[str, os.PathLike]) -> Tuple[Dict[str, Dict[str, Any]], Optional[int]]:
    """The descriptions of a run's fields by name, as plain JSON, without building the fields; the last step.

    Args:
        path: as for `load_run`, but no field file.

    Raises:
        SignalError: as `load_runs`.
    """
    described, step = _described(find_checkpoint(path))
    return {name or description["network"]["family"]: description for name, (description, _) in described.items()}, step


def read_adam(path: Path) -> Dict[str, Tuple[Tuple[float, float], float]]:
    """Adam's betas and its decay of the weights, of each group of parameters that a checkpoint has an optimiser of;
    nothing for one that is damaged.

    Args:
        path: a checkpoint.
    """
    try:
        optimizers = read_checkpoint(path)["optimizers"]
        return {str(name): (betas_of(state), weight_decay_of(state)) for name, state in optimizers.items()}
    except Exception:  # Any type, whatever its parts are; `_described` tells them apart.
        return {}


def original_path(description: Description) -> Path:
    """Where a run says that what it was fitted to was: a whole path on this machine. What a stranger's run says is
    followed to no other machine (Windows logs on to those that it is asked for a file of), and only ever read as a
    signal.

    Raises:
        SignalError: it was no file, or is no such path.
    """
    source = description.data
    if not source:
        raise SignalError(description.name, "was no file", "fit it again")
    if not Path(source).is_absolute() or source.startswith(("//", "\\\\")):
        raise SignalError(source, "is a place that a run is not followed to", "name the file by --data")
    return Path(source)


def check_there(source: Path, advice: str) -> None:
    """Raises SignalError, with this advice, where the file that a run was trained on is gone."""
    if check_sort(source) is None:
        raise SignalError(source, "does not exist, and the run was trained on it", advice)


def check_original(signal: Signal, described: Mapping[str, Any], advice: str) -> None:
    """Raises SignalError, with this advice, where a signal is not what a run was trained on.

    Args:
        signal: what was read.
        described: the signal of the run's description.
        advice: what to do.
    """
    if json.loads(json.dumps(signal.describe())) != described:
        raise SignalError(signal.path, "is not what the run was trained on", advice)


def find_checkpoint(path: Union[str, os.PathLike], step: Optional[int] = None) -> Path:
    """The checkpoint that is meant by a run's folder, its config.yml, its folder of checkpoints or a checkpoint.

    Args:
        path: as for `load_run`, but no field file.
        step: of the checkpoint; None: the last one that is whole.

    Raises:
        SignalError: there is none.
    """
    if not Path(path).exists():
        raise SignalError(path, "no such run", _ADVICE)
    run, found = _find_checkpoint(Path(path))
    if step is None:
        return found
    for asked in (run / folder / checkpoint_name(step) for folder in (BEFORE, CHECKPOINTS)):
        if asked.is_file():
            return asked
    raise SignalError(asked, "no such checkpoint", f"the last one is {found.name}")


def _find_checkpoint(path: Path) -> Tuple[Path, Path]:
    """The run's folder and the checkpoint that is meant."""
    folders = (CHECKPOINTS, BEFORE)
    if path.is_file() and path.suffix == ".ckpt":
        return (path.parent.parent if path.parent.name in folders else path.parent), path
    if path.is_file() and path.name != "config.yml":
        raise SignalError(path, "is no run", _ADVICE)
    folder = path.parent if path.is_file() or path.name in folders else path
    last = last_checkpoint(folder)
    if last is not None:
        return folder, last
    if (folder / "config.yml").is_file():
        raise SignalError(path, "the run has no checkpoint yet", "wait until training has saved one, or train again")
    runs = [found.parent for pattern in ("*/config.yml", "*/*/config.yml") for found in folder.glob(pattern)]
    newest = max(runs, key=lambda run: run.stat().st_mtime, default=None)
    raise SignalError(path, "is no run", f"give a run in it, the newest is {newest}" if newest else _ADVICE)


def _described(path: Path) -> Tuple[Described, Optional[int]]:
    """A checkpoint's fields by name ("" for a single one), and its step."""
    checkpoint = read_checkpoint(path)
    described: Described = {}
    try:
        if not isinstance(checkpoint, dict):
            raise TypeError
        states: Dict[str, Any] = checkpoint["pipeline"]
        for key, value in states.items():
            match = _MODEL.match(key)
            if match and (match[2] != "field." or torch.is_tensor(value)):
                name = (match[1] or "").replace("%2E", ".")
                if name and not FIELD_NAME.fullmatch(name):
                    raise ValueError(name)
                description, tensors = described.setdefault(name, ({}, {}))
                if match[2] == "field.":
                    tensors[key[match.end() :]] = value
                else:
                    description.update(json.loads(states[key]["description"]))
        if not all(str(description["network"]["family"]) for description, _ in described.values()) or not described:
            raise KeyError
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise SignalError(
            path,
            "is no checkpoint of winner-siren or winner-compare",
            "give a run of `ns-train winner-siren`; others have `ns-export`",
        ) from error
    step = checkpoint.get("step")
    return described, step if isinstance(step, int) else None

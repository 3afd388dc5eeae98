"""Opening a finished run, without nerfstudio, the training data, or executing anything that the files hold."""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import torch
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField, read_field_file, rebuild_field

_ADVICE = "give the folder of a run (with config.yml in it), a checkpoint (.ckpt) or a field file (.safetensors)"
_CHECKPOINT = re.compile(r"step-(\d+)\.ckpt")
# Distributed training wraps the model.
_MODEL = re.compile(r"_model\.(?:module\.)?(field\.|_extra_state$)")


class LoadedRun(LoadedField):
    """The field of a run.

    Attributes:
        folder: the run's folder, or that of the field file.
        step: training steps that the checkpoint had seen; None for a field file.
    """

    def __init__(self, loaded: LoadedField, folder: Path, step: Optional[int]) -> None:
        super().__init__(loaded.network, loaded.description)
        self.folder, self.step = folder, step


def load_run(path: Union[str, os.PathLike]) -> LoadedRun:
    """Opens the field of a run that `ns-train winner-siren` made, on a GPU where there is one.

    Args:
        path: the run's folder, its config.yml or its nerfstudio_models (the latest checkpoint counts), one checkpoint
            (step-….ckpt), or a .safetensors field file.

    Raises:
        SignalError: no run or no checkpoint there, of another method, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise SignalError(path, "no such run", _ADVICE)
    if path.is_file() and path.suffix == ".safetensors":
        description, tensors = read_field_file(path)
        folder, step, advice = path.parent, None, "export the field again"
    else:
        folder, checkpoint = _find_checkpoint(path)
        description, tensors, step = _read_checkpoint(checkpoint)
        path, advice = checkpoint, "use another checkpoint of the run, or train again"
    try:
        loaded = rebuild_field(description, tensors)
    except ValueError as error:
        raise SignalError(path, f"cannot be used ({error})", advice) from error
    if torch.cuda.is_available():
        loaded.network.cuda()
    return LoadedRun(loaded, folder, step)


def read_description(path: Union[str, os.PathLike]) -> Dict[str, Any]:
    """The description of a run that nerfstudio saved, as plain JSON, without building its field.

    Args:
        path: as for `load_run`, but no field file.

    Raises:
        SignalError: as `load_run`.
    """
    if not Path(path).exists():
        raise SignalError(path, "no such run", _ADVICE)
    return _read_checkpoint(_find_checkpoint(Path(path))[1])[0]


def _find_checkpoint(path: Path) -> Tuple[Path, Path]:
    """The run's folder and the checkpoint that is meant."""
    if path.is_file() and path.suffix == ".ckpt":
        return (path.parent.parent if path.parent.name == "nerfstudio_models" else path.parent), path
    if path.is_file() and path.name != "config.yml":
        raise SignalError(path, "is no run", _ADVICE)
    folder = path.parent if path.is_file() or path.name == "nerfstudio_models" else path
    steps = {
        int(match[1]): file
        for file in folder.glob("nerfstudio_models/*")
        if (match := _CHECKPOINT.fullmatch(file.name))
    }
    if steps:
        return folder, steps[max(steps)]
    if (folder / "config.yml").is_file():
        raise SignalError(path, "the run has no checkpoint yet", "wait until training has saved one, or train again")
    runs = [found.parent for pattern in ("*/config.yml", "*/*/config.yml") for found in folder.glob(pattern)]
    newest = max(runs, key=lambda run: run.stat().st_mtime, default=None)
    raise SignalError(path, "is no run", f"give a run in it, the newest is {newest}" if newest else _ADVICE)


def _read_checkpoint(path: Path) -> Tuple[Dict[str, Any], Dict[str, Tensor], Optional[int]]:
    """A checkpoint's description, weights of the field, and step."""
    try:
        # Mapped: the optimiser's state, twice as large as the weights, is never read.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise SignalError(
            path, "holds something else than numbers, which could be code and is not loaded", _ADVICE
        ) from error
    except Exception as error:  # Any type: zip, pickle and system errors.
        raise SignalError(path, "is cut or no checkpoint", "get a whole copy, or train again") from error
    try:
        if not isinstance(checkpoint, dict):
            raise TypeError
        state = {match: value for name, value in checkpoint["pipeline"].items() if (match := _MODEL.match(name))}
        described = [value for match, value in state.items() if match[1] == "_extra_state"]
        description = json.loads(described[0]["description"])
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise SignalError(
            path, "is no checkpoint of winner-siren", "give a run of `ns-train winner-siren`; others have `ns-export`"
        ) from error
    tensors = {
        match.string[match.end() :]: value
        for match, value in state.items()
        if match[1] == "field." and torch.is_tensor(value)
    }
    step = checkpoint.get("step")
    return description, tensors, step if isinstance(step, int) else None

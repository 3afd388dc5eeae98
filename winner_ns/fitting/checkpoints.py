"""Checkpoints on the disk: whole or not there, every byte known to be what was written, and the one before kept."""

from __future__ import annotations

import os
import pickle
import re
import sys
import time
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any, List, Optional, Set

import torch

from winner_ns.errors import SignalError
from winner_ns.synced import sync_folder

CHECKPOINTS = "nerfstudio_models"
"""Folder of a run's checkpoints. nerfstudio takes every name in it for one: nothing else is ever there."""
BEFORE = "checkpoint-before"
"""Folder of the checkpoint before the last one, which is gone back to where that is damaged."""
UNFINISHED = ".unfinished-checkpoint"
"""In the run's folder: what is being written."""
BETWEEN = 60.0
"""Seconds between two checkpoints: as much as a killed program has to train again."""
SHARE = 0.02
"""Of the time that writing checkpoints may take: those of large tables are written less often."""
_FOLDER = 0x10
_NAME = re.compile(r"step-(\d+)\.ckpt")
_said: Set[str] = set()


class SaveClock:
    """Tells when the next checkpoint is due."""

    def __init__(self) -> None:
        self._due = time.monotonic() + BETWEEN

    @property
    def is_due(self) -> bool:
        """Whether it is time to write one."""
        return time.monotonic() >= self._due

    def written(self, started: float) -> None:
        """One has been written, from a time of `time.monotonic` on until now."""
        now = time.monotonic()
        self._due = now + max(BETWEEN, (now - started) / SHARE)


def checkpoint_name(step: int) -> str:
    """The file of a checkpoint; `step` is the last one that was made, from 0 on."""
    return f"step-{step:09d}.ckpt"


def write_checkpoint(folder: Path, step: int, content: Any, only_latest: bool = True) -> Path:
    """Writes a checkpoint; at every moment, a power cut included, the last one or the one before is whole.

    Args:
        folder: of the run's checkpoints.
        step: the last one that was made.
        content: numbers and tensors, as nerfstudio has them.
        only_latest: others leave the folder: the newest of them becomes the one before, the rest is removed.

    Raises:
        SignalError: it cannot be written.
    """
    path, unfinished = folder / checkpoint_name(step), folder.parent / UNFINISHED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(unfinished, "wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        sync_folder(folder)
        if only_latest:
            _retire([other for other in _numbered(folder) if other != path], folder.parent / BEFORE)
    except (OSError, RuntimeError) as error:
        raise SignalError(
            path, f"cannot be written ({_reason(error)})", "check the folder, its permissions and free space"
        ) from error
    return path


def _reason(error: BaseException) -> str:
    """Why a file could not be written: where the system says it, torch adds that it is not where it thought."""
    cause: Optional[BaseException] = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return getattr(cause, "strerror", None) or str(cause or error).splitlines()[0]


def _retire(others: List[Path], before: Path) -> None:
    """Keeps the newest of some checkpoints as the one before, if it is whole; no other is left."""
    for other in others:
        if other == others[-1] and not damage(other):
            before.mkdir(exist_ok=True)
            os.replace(other, before / other.name)
            sync_folder(before)
            for older in before.iterdir():
                if older.name != other.name:
                    older.unlink()
        else:
            other.unlink()


def _numbered(folder: Path) -> List[Path]:
    """The checkpoints in a folder, by their steps."""
    found = {file: int(match[1]) for file in folder.glob("step-*") if (match := _NAME.fullmatch(file.name))}
    return sorted(found, key=lambda file: found[file])


def step_of(path: Path) -> int:
    """The last step that a checkpoint's name says."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def last_checkpoint(run: Path) -> Optional[Path]:
    """The last checkpoint of a run's folder that is whole; of a damaged one that is gone back behind it is said, once.
    The last one, if none is whole; None, if there is none."""
    known = sorted([*_numbered(run / BEFORE), *_numbered(run / CHECKPOINTS)], key=step_of, reverse=True)
    damaged: List[str] = []
    for path in known:
        problem = damage(path)
        if not problem:
            for line in damaged:
                if line not in _said:
                    print(f"winner-ns: warning: {line}; going back to {path.name}", file=sys.stderr)
                    _said.add(line)
            return path
        damaged.append(f"{path}: {problem}")
    return next(iter(known), None)


def damage(path: Path) -> str:
    """What is wrong with a checkpoint's bytes; "" if they are those that were written."""
    try:
        state = path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return _damage(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _damage(path: Path, modified: int, size: int) -> str:
    # torch writes ZIP archives with a CRC-32 of each record, at which torch.load does not look.
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            # What is marked as a folder torch does not read, and takes whatever is in memory for it.
            stored = all(
                record.compress_type == zipfile.ZIP_STORED and not record.external_attr & _FOLDER for record in records
            )
            if not stored or sum(record.file_size for record in records) > size:
                return "is no checkpoint"
            damaged = archive.testzip()
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except Exception:  # Any type: zipfile's own, and those of whatever damaged numbers lead to.
        return "is cut or no checkpoint"
    return f"is damaged (in its record {damaged})" if damaged else ""


def read_checkpoint(path: Path, mapped: bool = True) -> Any:
    """A checkpoint's content. Nothing in it is executed.

    Args:
        path: the checkpoint.
        mapped: whether what is not used, such as the optimiser's state, takes no memory; not for what is trained on, as
            the file may go away.

    Raises:
        SignalError: it is cut, damaged, or holds something else than numbers.
    """
    advice = "get a whole copy, or train again"
    problem = damage(path)
    if problem:
        others = _numbered(path.parent.parent / BEFORE) + _numbered(path.parent.parent / CHECKPOINTS)
        whole = [str(other) for other in others if path in others and not damage(other)]
        advice = f"use {whole[-1]}" if whole else advice
        raise SignalError(path, problem, advice)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise SignalError(
            path, "holds something else than numbers, which could be code and is not loaded", advice
        ) from error
    except Exception as error:  # Any type: zip, pickle and system errors.
        raise SignalError(path, "is cut or no checkpoint", advice) from error

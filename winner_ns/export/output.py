"""Where exports go, and how they get there: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Union

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField

KIND_NAMES: Dict[str, str] = {
    "image": "an image",
    "audio": "a sound",
    "shape": "a shape",
    "volume": "a volume",
    "video": "a video",
}
_COMMANDS = {"image": "image", "audio": "audio", "shape": "mesh", "volume": "volume", "video": "volume"}


def require_kind(loaded: LoadedField, *kinds: str) -> None:
    """Raises SignalError where a run fitted something else, naming the command that exports it."""
    if loaded.kind not in kinds:
        command = f"winner-ns export {_COMMANDS[loaded.kind]}"
        raise SignalError(loaded.description["name"], f"this run fitted {KIND_NAMES[loaded.kind]}", f"use `{command}`")


def fitted_path(loaded: LoadedField, suffix: str, folder: Union[str, os.PathLike] = "") -> Path:
    """The name that an export has by default, <name of the original>-fitted<suffix>."""
    return Path(folder) / f"{Path(loaded.description['name']).stem}-fitted{suffix}"


def check_suffix(path: Path, suffixes: Sequence[str]) -> str:
    """The file's suffix in lower case.

    Raises:
        SignalError: it is none of these; they are named.
    """
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        problem = f"cannot be written as {suffix}" if suffix else "has no suffix that says its format"
        raise SignalError(path, problem, f"name a file that ends in {', '.join(suffixes)}")
    return suffix


@contextmanager
def replacing(path: Path, original: Optional[Dict[str, Any]] = None) -> Iterator[Path]:
    """Gives a temporary name in the file's folder, renamed to the file at the end, removed if something fails.

    Args:
        path: the file to write; an existing one is replaced, missing folders are made.
        original: the run's description; the file that it was fitted to is never replaced.

    Raises:
        SignalError: the file cannot be written there.
    """
    data = Path(str(original.get("data", ""))) if original else None
    if data and path.exists() and data.exists() and path.samefile(data):
        raise SignalError(path, "is the original that was fitted", "name another file")
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        yield Path(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise SignalError(
            path, f"cannot be written ({error.strerror or error})", "check the folder, its permissions and free space"
        ) from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)

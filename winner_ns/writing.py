"""How files get where they belong: whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence

from winner_ns.errors import SignalError


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
def replacing(path: Path, original: str = "") -> Iterator[Path]:
    """Gives a temporary name in the file's folder, renamed to the file at the end, removed if something fails.

    Args:
        path: the file to write; an existing one is replaced, missing folders are made.
        original: the file that something was fitted to, which is never replaced.

    Raises:
        SignalError: the file cannot be written there.
    """
    if original and path.exists() and Path(original).exists() and path.samefile(original):
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


def write_json(path: Path, content: Any) -> Path:
    """Writes JSON whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path

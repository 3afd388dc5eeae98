"""How files get where they belong: whole or not at all, and where they may replace what is there already."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Iterator, Optional, Sequence

from winner_ns.errors import SignalError

_ASKED_FOR_BY: ContextVar[str] = ContextVar("asked_for_by", default="")
"""How files that are there would be replaced; "" where they are."""
_BLOCK = 2**12
"""Bytes that a disk is asked to take when it should have taken all: of a full one it takes none."""
_PROBED = 2**20
"""Likewise where something has failed: as much as libraries write in one go."""
_ELSEWHERE = "free some space there, or write elsewhere"
_WHAT_TO_DO = {
    errno.ENOSPC: _ELSEWHERE,
    getattr(errno, "EDQUOT", errno.ENOSPC): _ELSEWHERE,
    errno.EFBIG: "write elsewhere, or lift the limit (`ulimit -f`)",
    errno.EROFS: "write elsewhere",
    errno.EACCES: "write elsewhere, or change the permissions",
    errno.EPERM: "write elsewhere, or change the permissions",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def replacing_files(allowed: bool, asked_for_by: str = "--overwrite") -> Iterator[None]:
    """Says for the block whether files may be replaced that are there already; outside of any they may.

    Commands keep files that they have not written (`winner-ns … --overwrite` replaces them); a run's or a benchmark's
    own folder is theirs, and in Python it is as with `numpy.save`.

    Args:
        allowed: whether they may.
        asked_for_by: how a user can have them replaced.
    """
    token = _ASKED_FOR_BY.set("" if allowed else asked_for_by)
    try:
        yield
    finally:
        _ASKED_FOR_BY.reset(token)


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


def check_output(path: Path, suffixes: Sequence[str], original: str = "") -> str:
    """The suffix in lower case of a file that can be written, as far as can be told before there is what goes into it.

    Args:
        path: the file.
        suffixes: that it may have.
        original: the file that something was fitted to, which is never replaced.

    Raises:
        SignalError: another suffix, a file that is there and may not be replaced (`replacing_files`), a folder that
            nothing can be written to.
    """
    suffix = check_suffix(path, suffixes)
    check_place(path, original)
    return suffix


def check_place(path: Path, original: str = "") -> None:
    """Raises SignalError for a place that no file can be written to (`check_output`)."""
    try:
        if original and path.exists() and Path(original).exists() and path.samefile(original):
            raise SignalError(path, "is the original that was fitted", "name another file")
        if path.is_dir():
            raise SignalError(path, "is a folder", "name a file")
        if os.path.lexists(path) and (way := _ASKED_FOR_BY.get()):
            raise SignalError(path, "is there already", f"name another file, or replace it with {way}")
        folder = _deepest(path.absolute().parent)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(folder, os.W_OK | os.X_OK):
            with tempfile.TemporaryFile(dir=folder):  # Says why.
                pass
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def replacing(path: Path, original: str = "") -> Iterator[Path]:
    """Gives a temporary name in the file's folder, renamed to the file at the end, removed if something fails.

    Args:
        path: the file to write; missing folders are made.
        original: the file that something was fitted to, which is never replaced.

    Raises:
        SignalError: the file cannot be written there, or is there and may not be replaced (`replacing_files`).
    """
    check_place(path, original)
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        yield Path(temporary)
        # Several libraries do not notice that the last of what they write is not taken.
        if (refused := _refusal(temporary, _BLOCK)) is not None:
            raise refused
        os.chmod(temporary, 0o644)
        check_place(path, original)
        os.replace(temporary, path)
    except Exception as error:
        # Libraries say in words of their own, or of another matter, that a disk is full.
        known = isinstance(error, OSError) and error.errno
        refused = None if known or not temporary else _refusal(temporary, _PROBED)
        if refused is None and isinstance(error, OSError):
            refused = error
        if refused is None:
            raise
        raise unwritable(path, refused) from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def make_folder(path: Path) -> Path:
    """Makes a folder, and those that it is in, where it is not there yet.

    Raises:
        SignalError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def unwritable(path: Path, error: OSError) -> SignalError:
    """Why a file or folder cannot be written, and what to do."""
    if error.errno in (errno.ENOTDIR, errno.EEXIST) and not (there := _deepest(path)).is_dir():
        return SignalError(path, f"cannot be written, as {there} is a file", "write elsewhere")
    advice = _WHAT_TO_DO.get(error.errno or 0, "check the folder, its permissions and free space")
    return SignalError(path, f"cannot be written ({error.strerror or error})", advice)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What a disk refuses to other programs' code within the block is said in one line.

    Args:
        path: what it is said of, where the system names no file.

    Raises:
        SignalError: a disk is full or may not be written to, or a file is where a folder should be.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (*_WHAT_TO_DO, errno.ENOTDIR):
            raise
        raise unwritable(Path(error.filename or path), error) from error


def write_json(path: Path, content: Any) -> Path:
    """Writes JSON whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def _refusal(name: str, size: int) -> Optional[OSError]:
    """Why the disk takes no more bytes of a file; None where it does, and the file is as before."""
    try:
        with open(name, "ab", buffering=0) as file:
            before, left = file.seek(0, os.SEEK_END), size
            try:
                while left:
                    left -= file.write(bytes(left))
            finally:
                file.truncate(before)
    except OSError as error:
        return error
    return None


def _deepest(path: Path) -> Path:
    """What is there of a path."""
    return next((each for each in (path, *path.parents) if os.path.lexists(each)), path)

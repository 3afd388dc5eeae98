"""Files that outlive a crash of the machine: what has its final name is on the disk."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

from winner_ns.writing import replacing


@contextmanager
def replacing_synced(path: Path, original: str = "") -> Iterator[Path]:
    """`winner_ns.writing.replacing`, which renames the file when its content is on the disk: after a power cut there is
    the file of before or the new one, and never a name with nothing behind it.

    Raises:
        SignalError: as `replacing`.
    """
    with replacing(path, original) as temporary:
        yield temporary
        sync_file(temporary)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with suppress(OSError):  # Some network file systems know no such thing.
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

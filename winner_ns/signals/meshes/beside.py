"""Files that a mesh file refers to: those of its own folder, and no others."""

from __future__ import annotations

from pathlib import Path

from winner_ns.errors import SignalError

BESIDE_ADVICE = "put it beside the file"


def file_beside(path: Path, name: str) -> Path:
    """A file in a mesh file's folder or in one within it, symbolic links followed.

    Args:
        path: the mesh file.
        name: as that says it.

    Raises:
        SignalError: it is elsewhere, in a network, not there, or no file.
    """
    if "\0" in name or "://" in name:
        raise SignalError(path, f"refers to {name!r}, which is no file beside it", BESIDE_ADVICE)
    roots = (path.parent.resolve(), path.resolve().parent)
    try:
        target = (path.parent / name.replace("\\", "/")).resolve()
        within = any(target.is_relative_to(root) for root in roots)
        there = within and target.is_file()
    except (OSError, RuntimeError) as error:  # Names that are too long, and links that lead to themselves.
        raise SignalError(path, f"refers to {name[:60]!r}, which is no name of a file", BESIDE_ADVICE) from error
    if not within:
        raise SignalError(path, f"refers to {name!r}, outside its folder", BESIDE_ADVICE)
    if not there:
        raise SignalError(path, f"refers to {name!r}, which is not there", BESIDE_ADVICE)
    return target

"""What there is to fit: the files of a folder, of a pattern or of a list, or the rows of an array."""

from __future__ import annotations

import glob
import json
import mimetypes
import os
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.reading import check_decoded, check_sort
from winner_ns.safe_text import terminal
from winner_ns.scenes.folder import is_scene
from winner_ns.signals.array import check_numbers, map_array
from winner_ns.signals.load import detect_kind
from winner_ns.synced import replacing_synced

LISTS = (".txt", ".lst", ".list", ".tsv")
"""Suffixes of files with a path, or a path, a tab and a label, in each line."""
STACKS = (".npy", ".npz")
"""Suffixes of files with an array, each row of which is a signal."""
ROWS = "rows.npy"
"""In a store: the array whose rows are fitted, where it is no file that lies plainly on the disk."""

Source = Union[str, os.PathLike, np.ndarray, Sequence[Any]]
"""What `fit_many` takes."""


@dataclass(frozen=True)
class Item:
    """One signal of a store."""

    index: int
    """Its place in the store, from 0 on."""
    name: str
    """The file's, relative to the folder, or the array's with the row."""
    path: str
    """The file, or that of the array."""
    label: Optional[str] = None
    """What it is one of: the folder that it is in, what a list or an array of labels says."""
    row: Optional[int] = None
    """Of the array; None: the file is one signal."""

    def data(self, arrays: Dict[str, np.ndarray]) -> Any:
        """What is given to `winner_ns.fit`.

        Args:
            arrays: mapped ones by path, which are kept there.
        """
        if self.row is None:
            return self.path
        if self.path not in arrays:
            arrays[self.path] = map_array(Path(self.path))
        rows = arrays[self.path]
        if rows.ndim < 2 or self.row >= len(rows):
            raise SignalError(self.path, f"has no row {self.row} any more", "put back the array that was listed")
        return np.ascontiguousarray(rows[self.row])


@dataclass
class Listed:
    """The items of a source, and what else was there."""

    items: List[Item]
    left_out: List[str]
    """Names of files that are no signals."""


def list_items(source: Source, store: Path, labels: Optional[Sequence[Any]] = None) -> Listed:
    """The signals of a source, in the order of their names.

    Args:
        source: a folder (its files, and those of the folders in it, by which they are labelled); a pattern with *, ?
            or [; a list, a file of LISTS or a sequence of paths; a file of STACKS, an array, or a sequence of arrays
            of one shape, of which each row is a signal.
        store: where an array is written that is not a file of its own.
        labels: one for each; None: told by the source.

    Raises:
        SignalError: there is nothing in it, it is one signal, or cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        listed = _of_path(Path(source), os.fspath(source), store)
    else:
        listed = _of_sequence(source, store)
    if labels is not None:
        if len(labels) != len(listed.items):
            problem = f"there are {len(labels)} for {len(listed.items)} signals"
            raise SignalError("labels", problem, "give one for each", setting="labels")
        listed.items = [Item(i.index, i.name, i.path, _label(label), i.row) for i, label in zip(listed.items, labels)]
    # A file whose name cannot be shown is refused when it is read, and costs itself alone.
    listed.items = [replace(item, name=terminal(item.name)) for item in listed.items]
    return listed


def _label(label: Any) -> Optional[str]:
    """A label as text; None stays what has none."""
    return None if label is None else label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


def write_items(path: Path, items: Iterable[Item]) -> None:
    """Writes items as JSON lines; what is in the store itself stays so when that is moved."""

    def written(item: Item) -> Dict[str, Any]:
        inside = Path(item.path) == path.parent.absolute() / ROWS
        return asdict(replace(item, path=ROWS) if inside else item)

    path.write_text("".join(json.dumps(written(item)) + "\n" for item in items), encoding="utf-8")


def read_items(path: Path) -> List[Item]:
    """What `write_items` has written.

    Raises:
        SignalError: it is something else.
    """
    try:
        items = [Item(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        if [item.index for item in items] != list(range(len(items))):
            raise ValueError("its lines are not in order")
        rows = str(path.parent.absolute() / ROWS)
        items = [replace(item, path=rows) if item.path == ROWS else item for item in items]
    except (OSError, ValueError, TypeError) as error:
        raise SignalError(path, f"is no list of a store ({error})", "give another --out") from error
    return items


def merged_items(known: Sequence[Item], listed: Sequence[Item]) -> List[Item]:
    """The known items, and behind them those of a list that are new; a name that another one has gets a number."""
    items = list(known)
    places = {(item.path, item.row) for item in known}
    names = {item.name for item in known}
    for item in listed:
        if (item.path, item.row) in places:
            continue
        name, number = item.name, 1
        while name in names:
            number += 1
            name = f"{item.name} ({number})"
        names.add(name)
        places.add((item.path, item.row))
        items.append(replace(item, index=len(items), name=name))
    return items


def _of_path(path: Path, written: str, store: Path) -> Listed:
    if not path.exists() and any(letter in written for letter in "*?["):
        found = sorted(Path(each) for each in glob.glob(written, recursive=True) if not Path(each).is_dir())
        if not found:
            raise SignalError(written, "matches no file", "correct the pattern")
        return _files(found, lambda file: (str(file), file.parent.name or None))
    if check_sort(path) is None:
        raise SignalError(path, "does not exist", "check the path")
    if path.is_dir():
        if is_scene(path):
            advice = f"train it with `ns-train winner-siren --data {path}`"
            raise SignalError(path, "is a scene in posed photographs, one signal", advice)
        found = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
        if store.resolve().is_relative_to(path.resolve()):
            found = [file for file in found if not file.resolve().is_relative_to(store.resolve())]
        if not found:
            raise SignalError(path, "is a folder without files", "give one with signals in it")

        def named(file: Path) -> Tuple[str, Optional[str]]:
            within = file.relative_to(path)
            return within.as_posix(), within.parts[0] if len(within.parts) > 1 else None

        return _files(found, named)
    if path.suffix.lower() in STACKS:
        return _stack(path, store)
    if path.suffix.lower() in LISTS:
        return _list(path)
    advice = f"fit it with `winner-ns fit {path}`, or give a folder, a pattern, a list ({', '.join(LISTS)}) or an array"
    raise SignalError(path, "is one file", advice)


def _hidden(within: Path) -> bool:
    return any(part.startswith(".") for part in within.parts)


def _files(files: Sequence[Path], named: Any) -> Listed:
    """Files that are signals, or seem to have been meant as some."""
    items: List[Item] = []
    left_out: List[str] = []
    for file in files:
        name, label = named(file)
        try:
            detect_kind(file)
        except SignalError:
            guessed = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
            if guessed not in ("image", "audio", "video", "model"):
                left_out.append(name)
                continue
        items.append(Item(len(items), name, str(file.resolve()), label))
    if not items:
        raise SignalError(files[0].parent, f"has no signal among {len(files)} files", "see what is in it")
    return Listed(items, left_out)


def _list(path: Path) -> Listed:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SignalError(path, f"is no list of files ({error})", "give a text with a path in each line") from error
    items: List[Item] = []
    for line in lines:
        name, _, label = line.rstrip().partition("\t")
        if not name or name.startswith("#"):
            continue
        file = path.parent / name
        # A file that is gone costs itself, like one that is broken; a text that names none is no list.
        if not items and not file.exists():
            raise SignalError(path, f"its first line names {name!r}, which is no file", "give a path in each line")
        items.append(Item(len(items), name, str(file.absolute()), label or None))
    if not items:
        raise SignalError(path, "is an empty list", "give a path in each line")
    return Listed(items, [])


def _stack(path: Path, store: Path) -> Listed:
    if path.suffix.lower() == ".npy":
        return Listed(_rows(path, path.stem, map_array(path).shape, None), [])
    try:
        with zipfile.ZipFile(path) as members:
            check_decoded(path, sum(member.file_size for member in members.infolist()))
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except SignalError:
        raise
    except Exception as error:  # Any type: headers are parsed as Python source, and zip and zlib raise their own.
        raise SignalError(path, f"cannot be read ({error})", "give arrays of numbers as numpy.savez writes") from error
    stacks = {name: array for name, array in arrays.items() if array.ndim >= 2}
    if len(stacks) != 1:
        there = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items()) or "nothing"
        raise SignalError(path, f"holds {there}", "save the one array whose rows are the signals as .npy")
    (array,) = stacks.values()
    check_numbers(path, array)
    flat = [each for each in arrays.values() if each.ndim == 1 and len(each) == len(array)]
    labels = [_label(label) for label in flat[0].tolist()] if len(flat) == 1 else None
    return Listed(_rows(_keep(array, store), path.stem, array.shape, labels), [])


def _of_sequence(source: Union[np.ndarray, Sequence[Any]], store: Path) -> Listed:
    entries = source if isinstance(source, np.ndarray) or hasattr(source, "shape") else list(source)
    if isinstance(entries, list) and entries and all(isinstance(each, (str, os.PathLike)) for each in entries):
        files = [Path(each) for each in entries]
        return Listed([Item(n, str(f), str(f.absolute()), f.parent.name or None) for n, f in enumerate(files)], [])
    try:
        array = np.asarray(entries)
    except Exception as error:  # Any type: arrays of several shapes, and whatever an object's __array__ raises.
        raise SignalError("the sequence", f"is no stack ({error})", "give paths, or arrays of one shape") from error
    if array.dtype.kind not in "buif" or array.ndim < 2 or not len(array):
        what = f"an array of {array.dtype} and shape {list(array.shape)}"
        raise SignalError("the sequence", f"is {what}", "give paths, or numbers with a signal in each row")
    return Listed(_rows(_keep(array, store), "row", array.shape, None), [])


def _keep(array: np.ndarray, store: Path) -> Path:
    """Writes an array where processes can map it, once."""
    path = store / ROWS
    if path.is_file():
        known = map_array(path)
        if known.shape != array.shape or known.dtype != array.dtype or not np.array_equal(known, array):
            raise SignalError(path, "holds another array than is given", "give another --out")
        return path
    with replacing_synced(path) as temporary:
        np.save(temporary, array)
    return path


def _rows(path: Path, stem: str, shape: Tuple[int, ...], labels: Optional[Sequence[Optional[str]]]) -> List[Item]:
    if len(shape) < 2 or shape[0] == 0:
        raise SignalError(path, f"is an array of shape {list(shape)}", "give one whose rows are signals")
    digits = len(str(shape[0] - 1))
    where = str(path.absolute())
    return [
        Item(n, f"{stem}[{n:0{digits}d}]", where, None if labels is None else labels[n], n) for n in range(shape[0])
    ]

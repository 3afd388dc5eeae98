"""`winner_ns.fit_many`: a field for each of many signals."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from torch import Tensor

from winner_ns.errors import SignalError, counted, setting_error
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.fit import check_fit, fit, plan_and_options, read_options, settle_fit
from winner_ns.fitting.run import load_run
from winner_ns.many.engine import CRASHES, LocalProcess, devices
from winner_ns.many.items import Item, Source, list_items, merged_items, read_items, write_items
from winner_ns.many.leases import Leases
from winner_ns.many.store import (
    FORMAT,
    INDEX,
    ITEMS,
    LANDED,
    MARK,
    FieldStore,
    land,
    landed,
    load_fields,
    merge,
    read_index,
    read_landed,
    read_mark,
    write_index,
)
from winner_ns.many.summary import write_summary
from winner_ns.many.worker import WEIGHTS, WORK, done_mark
from winner_ns.synced import replacing_synced
from winner_ns.writing import make_folder, replacing_files, unwritable, write_json

FULL = 256
"""Fields that have landed when they are put into a shard."""
LOOK = 0.25
"""Seconds between two looks at the store."""
SHARED = "shared"
"""The start of fields that begin with the same fresh weights."""
SURVEYED = 64
"""Signals at most whose bands decide on these."""
_NOT_CHOSEN = {"data", "device", "start", "progress", "callback"}


@dataclass(frozen=True)
class Progress:
    """How far a store is."""

    done: int
    """Items that are fitted, or could not be."""
    failed: int
    """Of these."""
    total: int
    new: int
    """Items that this program has seen being done."""
    seconds: float
    """Since it began."""

    @property
    def seconds_left(self) -> Optional[float]:
        """Expected, at the pace so far; None before there is one."""
        return self.seconds / self.new * (self.total - self.done) if self.new else None


Told = Callable[[Progress], None]


def fit_many(
    source: Source,
    out: Union[str, os.PathLike],
    *,
    labels: Optional[Sequence[Any]] = None,
    start: Optional[Union[str, os.PathLike, LoadedField]] = None,
    workers: Optional[int] = None,
    device: Optional[str] = None,
    tell: Optional[Told] = None,
    say: Callable[[str], None] = lambda line: None,
    **choices: Any,
) -> FieldStore:
    """Fits a field to each of many signals, in as many processes as there are cores or GPUs.

        fields = winner_ns.fit_many("photographs", "store", width=64, steps=300)
        fields[0].grid((28, 28)); fields.dataset()

    Each has its own law, its own figures and its own seed (`seed` and its place). Whatever ends the program, the same
    call goes on: what is there is kept, and what failed is tried again. Several programs, also on several machines that
    share the folder, fill one store together.

    Args:
        source: a folder, a pattern, a list, an array or several (`list_items`).
        out: the store's folder, new or one that is to be gone on with.
        labels: what each signal is one of; None: the folder that it is in.
        start: what all fields begin with: "shared" for the same fresh weights (those of the signal in the middle of
            the bands); a field, its file or run; or a store, for the mean of its fields. None: each with its own fresh
            weights.
        workers: processes; None: as many as there are cores or GPUs.
        device: where they train; None: a GPU each where there are any, else the CPU.
        tell: told of the progress, every now and then.
        say: told in a line what is worth it.
        choices: the other arguments of `winner_ns.fit`.

    Returns:
        The store.

    Raises:
        SignalError: a source, a choice or a store that cannot be used. (What cannot be fitted is in `errors`.)
    """
    choices = _checked(choices, device)
    folder = Path(out)
    with replacing_files(True):
        mark = _marked(folder, choices, start)
        with _leading(folder) as leads:
            if leads:
                items = _listed(folder, source, labels, mark, say)
                _begin_with(folder, start, items, choices)
                _forget_errors(folder)
            else:
                say("another program is filling this store; joining it")
                items = read_items(folder / ITEMS)
            where = devices(workers or 0) if device is None else [device] * (workers or 1)
            try:
                _fill(folder, items, where, leads, tell)
            finally:
                if leads:
                    _finish(folder, items)
    return load_fields(folder)


def _checked(choices: Dict[str, Any], device: Optional[str]) -> Dict[str, Any]:
    """Choices as they are written down, all of which can be."""
    known = set(inspect.signature(fit).parameters) - _NOT_CHOSEN
    for name in choices:
        if name not in known:
            raise setting_error(name, "is no argument of winner_ns.fit", f"there are {', '.join(sorted(known))}")
    choices = {name: value for name, value in choices.items() if value is not None}
    if "read" in choices:
        choices["read"] = asdict(read_options(choices["read"]))
    run = {name: choices[name] for name in ("kind", "batch_size", "steps", "schedule") if name in choices}
    rest = {name: value for name, value in choices.items() if name not in (*run, "read")}
    check_fit(*plan_and_options(**rest), **run, device=device)
    try:
        return json.loads(json.dumps(choices))
    except (TypeError, ValueError) as error:
        raise setting_error("settings", f"cannot be written down ({error})", "give numbers and texts") from error


def _marked(folder: Path, choices: Dict[str, Any], start: Any) -> Dict[str, Any]:
    """What the store says of itself, which is what is asked for."""
    wanted = {"winner_ns_store": FORMAT, "choices": choices, "start": _start_name(start)}
    mark = read_mark(folder)
    if mark is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SignalError(folder, "is there already, and no store", "name a folder that is empty or not there yet")
        make_folder(folder)
        write_json(folder / MARK, wanted)
        return wanted
    if mark != wanted and not (folder / INDEX).exists() and not landed(folder):
        # Nothing has been fitted by them yet.
        (folder / WEIGHTS).unlink(missing_ok=True)
        write_json(folder / MARK, wanted)
        return wanted
    for name in ("choices", "start"):
        if mark.get(name) != wanted[name]:
            before = json.dumps(mark.get(name))[:200]
            problem = f"was begun with {name} {before}, not {json.dumps(wanted[name])[:200]}"
            raise SignalError(folder, problem, "give the same, or another --out")
    return mark


def _start_name(start: Any) -> Optional[str]:
    if start is None or isinstance(start, str):
        return start
    return f"the field of {start.description.name}" if isinstance(start, LoadedField) else os.fspath(start)


@contextmanager
def _leading(folder: Path) -> Iterator[bool]:
    """Whether this program alone decides on the store's list and table; the lock ends with the program."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".leading", timeout=0)
    try:
        for name in (LANDED, WORK):
            make_folder(folder / name)
        lock.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield True
    finally:
        lock.release()


def _listed(
    folder: Path, source: Source, labels: Optional[Sequence[Any]], mark: Mapping[str, Any], say: Callable[[str], None]
) -> List[Item]:
    known = read_items(folder / ITEMS) if (folder / ITEMS).exists() else []
    try:
        listed = list_items(source, folder, labels)
    except SignalError:
        if not known:
            # Nothing is left of what was not begun.
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if listed.left_out:
        shown = ", ".join(listed.left_out[:3]) + (", …" if len(listed.left_out) > 3 else "")
        say(f"left out {counted(len(listed.left_out), 'file')} of no known kind: {shown}")
    items = merged_items(known, listed.items)
    if len(items) > len(known):
        with replacing_synced(folder / ITEMS) as temporary:
            write_items(temporary, items)
    return items


def _begin_with(folder: Path, start: Any, items: Sequence[Item], choices: Mapping[str, Any]) -> None:
    """Writes what all fields begin with, once."""
    path = folder / WEIGHTS
    if start is None or path.is_file():
        return
    from safetensors.torch import save_file

    weights = _shared(items, choices) if start == SHARED else _weights_of(start)
    with replacing_synced(path) as temporary:
        save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, temporary)


def _weights_of(start: Any) -> Dict[str, Tensor]:
    """The weights of a field, or the means of those of a store."""
    if isinstance(start, LoadedField):
        return start.network.state_dict()
    if read_mark(Path(start)) is None:
        return load_run(start).network.state_dict()
    dataset = load_fields(start).dataset()
    mean = sum(dataset[place][0].double() for place in range(len(dataset))) / len(dataset)
    assert isinstance(mean, Tensor)
    return dataset.weights(mean.float())


def _shared(items: Sequence[Item], choices: Mapping[str, Any]) -> Dict[str, Tensor]:
    """The fresh weights of the signal in the middle of the bands, as far as they can be read."""
    rest = dict(choices)
    read, kind, batch_size = (rest.pop(name, None) for name in ("read", "kind", "batch_size"))
    steps, schedule = rest.pop("steps", None), rest.pop("schedule", "cosine")
    arrays: Dict[str, Any] = {}
    found = []
    for item in items[:: -(-len(items) // SURVEYED)]:
        try:
            settled = settle_fit(
                item.data(arrays), *plan_and_options(**rest), kind, read_options(read), batch_size, steps, schedule
            )
        except SignalError as error:
            last = error
            continue
        noise = settled.settled.noise
        found.append((0.0 if noise is None else noise.band, item.index, settled))
    if not found:
        raise SignalError("start", f"no signal can be read ({last})", "give some that can")
    return sorted(found)[len(found) // 2][2].initial_field().state_dict()


def _forget_errors(folder: Path) -> None:
    """What has failed before is tried again."""
    lines = read_index(folder)
    failed = [line["index"] for line in lines if "error" in line]
    if failed:
        write_index(folder, [line for line in lines if "error" not in line])
    for path in landed(folder):
        line, _ = read_landed(path)
        if "error" in line:
            failed.append(line["index"])
            path.unlink()
    for index in failed:
        done_mark(folder, index).unlink(missing_ok=True)


def _fill(folder: Path, items: Sequence[Item], where: Sequence[str], leads: bool, tell: Optional[Told]) -> None:
    """Has processes at work until nothing is left to do; who leads waits for what other programs are still at."""
    begun, crashes = time.monotonic(), Counter()
    lines = merge(folder) if leads else read_index(folder)
    done = before = _done(folder, lines)
    leases = Leases(folder / WORK)
    processes = [LocalProcess(folder, device) for device in where[: len(items) - before]]
    try:
        while processes or (leads and done < len(items)):
            time.sleep(LOOK)
            for process in list(processes):
                status = process.status()
                if status is None:
                    continue
                processes.remove(process)
                if status != 0:
                    _after_crash(folder, items, leases, process.number, status, crashes)
                    processes.append(LocalProcess(folder, process.device))
            if leads and len(landed(folder)) >= FULL:
                lines = merge(folder)
            elif not leads:
                lines = read_index(folder)
            done = _done(folder, lines)
            if leads and not processes and done < len(items) and not leases.any_alive():
                processes.append(LocalProcess(folder, where[0]))
            if tell is not None:
                failed = sum("error" in line for line in lines)
                tell(Progress(done, failed, len(items), done - before, time.monotonic() - begun))
    finally:
        for process in processes:
            process.end()


def _done(folder: Path, lines: Sequence[Mapping[str, Any]]) -> int:
    known = {line["index"] for line in lines}
    return len(known) + sum(int(path.stem) not in known for path in landed(folder))


def _after_crash(
    folder: Path, items: Sequence[Item], leases: Leases, process: int, status: int, crashes: Dict[int, int]
) -> None:
    """What a process was at when it ended is tried once more, then left."""
    held = list(leases.held_by(process))
    if not held:
        crashes[-1] += 1
        if crashes[-1] > CRASHES:
            advice = f"run `python -m winner_ns.many.worker {folder} cpu` to see why"
            raise SignalError(folder, f"the processes end with status {status} before they fit anything", advice)
    for index in held:
        crashes[index] += 1
        if crashes[index] >= CRASHES:
            reason = f"by signal {-status} (out of memory?)" if status < 0 else f"with status {status}"
            item = items[index]
            line = {"index": index, "name": item.name, "label": item.label, "seconds": 0.0}
            land(folder, index, {**line, "error": f"{item.path}: its process was ended {reason}"}, {})
            done_mark(folder, index).touch()
            leases.path(index).unlink(missing_ok=True)


def _finish(folder: Path, items: Sequence[Item]) -> None:
    """Puts what has landed into the table, and says what there is."""
    while landed(folder):
        lines = merge(folder)
    lines = read_index(folder)
    if len(lines) == len(items):
        shutil.rmtree(folder / WORK, ignore_errors=True)
    if lines:
        write_summary(folder, items, lines)

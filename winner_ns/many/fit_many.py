"""`winner_ns.fit_many`: a field for each of many signals."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from torch import Tensor

from winner_ns.engines import open_engine
from winner_ns.engines.crew import LOOK, Crew
from winner_ns.engines.engine import Engine
from winner_ns.engines.leases import WORK, leading
from winner_ns.errors import SignalError, counted, setting_error
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.checked_numbers import shown, whole_number
from winner_ns.fitting.fit import check_fit, fit, plan_and_options, read_options, settle_fit
from winner_ns.fitting.plan import SettledPlan
from winner_ns.fitting.run import load_run
from winner_ns.many.items import ROWS, Item, Source, list_items, merged_items, read_items, write_items
from winner_ns.many.store import (
    FORMAT,
    INDEX,
    ITEMS,
    LANDED,
    MARK,
    SHARDS,
    FieldStore,
    land,
    landed,
    load_fields,
    merge,
    read_index,
    read_landed_line,
    read_mark,
    write_index,
)
from winner_ns.many.summary import write_summary
from winner_ns.many.worker import WEIGHTS, done_mark
from winner_ns.reading import decoded_limit
from winner_ns.synced import replacing_synced
from winner_ns.writing import make_folder, replacing_files, write_json

FULL = 256
"""Fields that have landed when they are put into a shard."""
JOB = "winner_ns.many.worker"
LOCK = ".leading"
"""In a store: held by the program that decides on its list and table."""
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
    on: str = "local",
    tell: Optional[Told] = None,
    say: Callable[[str], None] = lambda line: None,
    **choices: Any,
) -> FieldStore:
    """Fits a field to each of many signals, in as many processes as there are cores or GPUs.

    ::

        fields = winner_ns.fit_many("photographs", "store", width=64, steps=300)
        fields[0].grid((28, 28))
        fields.dataset()

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
        on: where the processes are: "local" for this machine; "ray" for this machine or the running cluster that Ray
            finds; "ray://HOST:PORT" for a cluster elsewhere. `out` and the source have to be on storage that all of its
            machines see by the same paths.
        tell: told of the progress, every now and then.
        say: told in a line what is worth it.
        choices: the other arguments of `winner_ns.fit`.

    Returns:
        The store.

    Raises:
        SignalError: a source, a choice or a store that cannot be used. (What cannot be fitted is in `errors`.)
    """
    choices = _checked(choices)
    workers = None if workers is None else whole_number("workers", workers, 1)
    folder = Path(out)
    wanted = {"winner_ns_store": FORMAT, "choices": choices, "start": _start_name(start)}
    _refuse_other(folder, wanted)
    told = helped = False
    with replacing_files(True), open_engine(on) as engine:
        where = engine.devices(workers or 0, device)
        while True:
            with leading(folder / LOCK) as leads:
                if leads:
                    for name in (LANDED, WORK):
                        make_folder(folder / name)
                    _write_mark(folder, wanted)
                    with decoded_limit(read_options(choices.get("read")).decoded_limit):
                        items = _listed(folder, source, labels, say)
                    _begin_with(folder, start, items, choices)
                    # What has failed while this program was at work has been tried.
                    _forget_undone(folder, errors=not helped)
                    try:
                        _fill(folder, items, engine, where, True, tell)
                    finally:
                        _finish(folder, items)
                    break
            if not told:
                say("another program is filling this store; joining it")
                told = True
            if not helped and _is_ready(folder, wanted):
                _fill(folder, read_items(folder / ITEMS), engine, where, False, tell)
                helped = True
            # Who led may have been ended: then what is left, and the table, are this one's.
            time.sleep(LOOK)
    return load_fields(folder)


def _checked(choices: Dict[str, Any]) -> Dict[str, Any]:
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
    check_fit(*plan_and_options(**rest), **run)
    try:
        return json.loads(json.dumps(choices))
    except (TypeError, ValueError) as error:
        raise setting_error("settings", f"cannot be written down ({error})", "give numbers and texts") from error


def _refuse_other(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Raises SignalError for a folder that is none of a store, or one that was begun with other choices."""
    mark = read_mark(folder)
    if mark is not None:
        if _has_begun(folder):
            _refuse_choices(folder, mark, wanted)
        return
    if not os.path.lexists(folder):
        return
    ours = {LOCK, LANDED, WORK}
    # Another program may be writing its mark, or was killed while it did.
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    strange = landed(folder) or any(not name.startswith(f".{Path(MARK).stem}.") for name in names - ours)
    # It may have become a store between the two looks.
    if strange and read_mark(folder) is None:
        raise SignalError(folder, "is there already, and no store", "name a folder that is empty or not there yet")


def _refuse_choices(folder: Path, mark: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in ("choices", "start"):
        if mark.get(name) != wanted[name]:
            before = json.dumps(mark.get(name))[:200]
            problem = f"was begun with {name} {before}, not {json.dumps(wanted[name])[:200]}"
            raise SignalError(folder, problem, "give the same, or another --out")


def _has_begun(folder: Path) -> bool:
    """Whether there is something that was fitted, or could not be."""
    return (folder / INDEX).exists() or (folder / SHARDS).exists() or bool(landed(folder))


def _write_mark(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Has the store say of itself what is asked for; only who leads may, as others fit by it."""
    mark = read_mark(folder)
    if mark == wanted:
        return
    if mark is not None and _has_begun(folder):
        _refuse_choices(folder, mark, wanted)
    (folder / WEIGHTS).unlink(missing_ok=True)
    write_json(folder / MARK, wanted)


def _is_ready(folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether who leads has written down all that others fit by.

    Raises:
        SignalError: it is at work by other choices.
    """
    mark = read_mark(folder)
    if mark is None or not (folder / ITEMS).exists() or not (folder / WORK).is_dir():
        return False
    _refuse_choices(folder, mark, wanted)
    return wanted["start"] is None or (folder / WEIGHTS).is_file()


def _start_name(start: Any) -> Optional[str]:
    if start is None or isinstance(start, str):
        return start
    if isinstance(start, LoadedField):
        return f"the field of {start.description.name}"
    if not isinstance(start, os.PathLike):
        raise setting_error("start", f"{shown(start)} is none", "give shared, a field, a field file, a run or a store")
    return os.fspath(start)


def _listed(folder: Path, source: Source, labels: Optional[Sequence[Any]], say: Callable[[str], None]) -> List[Item]:
    known = read_items(folder / ITEMS) if (folder / ITEMS).exists() else []
    if not known and _has_begun(folder):
        # Which signals the fields are of is told by their places in the list alone.
        problem = "is missing or empty, though some of its signals are fitted"
        raise SignalError(folder / ITEMS, problem, "get a whole copy of the store, or give another --out")
    try:
        listed = list_items(source, folder, labels)
    except SignalError:
        if not known:
            _take_back(folder)
        raise
    if listed.left_out:
        shown = ", ".join(listed.left_out[:3]) + (", …" if len(listed.left_out) > 3 else "")
        say(f"left out {counted(len(listed.left_out), 'file')} of no known kind: {shown}")
    items = merged_items(known, listed.items)
    if len(items) > len(known):
        with replacing_synced(folder / ITEMS) as temporary:
            write_items(temporary, items)
    return items


def _take_back(folder: Path) -> None:
    """Leaves nothing of a store that was not begun, and all that is not its own."""
    for name in (LANDED, WORK):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):
        for name in (WEIGHTS, ROWS, MARK, LOCK):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


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

    def settled(item: Item) -> SettledPlan:
        plan, options = plan_and_options(**rest)
        return settle_fit(item.data(arrays), plan, options, kind, read_options(read), batch_size, steps, schedule)

    found = []
    for item in items[:: -(-len(items) // SURVEYED)]:
        try:
            noise = settled(item).settled.noise
        except SignalError as error:
            last = error
            continue
        found.append((0.0 if noise is None else noise.band, item.index))
    if not found:
        raise SignalError("start", f"no signal can be read ({last})", "give some that can")
    # Read once more: all of them at once may be more than the memory takes.
    return settled(items[sorted(found)[len(found) // 2][1]]).initial_field().state_dict()


def _forget_undone(folder: Path, errors: bool) -> None:
    """Has what nothing is known of tried again, whatever its mark says, and what has failed before.

    Args:
        folder: the store's.
        errors: whether what has failed is tried again, too.
    """
    lines = read_index(folder)
    if errors:
        kept = [line for line in lines if "error" not in line]
        if len(kept) < len(lines):
            write_index(folder, kept)
            lines = kept
        for path in landed(folder):
            if "error" in read_landed_line(path):
                path.unlink()
    # A mark outlives its field where this was cut short, or a damaged field was taken away.
    marked = sorted((folder / WORK).glob("*.done"))
    there = {int(path.stem) for path in landed(folder)} | {line["index"] for line in read_index(folder)}
    for path in marked:
        if not path.stem.isdecimal() or int(path.stem) not in there:
            path.unlink(missing_ok=True)


def _fill(
    folder: Path, items: Sequence[Item], engine: Engine, where: Sequence[str], leads: bool, tell: Optional[Told]
) -> None:
    """Has workers at it until nothing is left to do; who leads waits for what other programs are still at."""
    begun = time.monotonic()
    seen = _state(folder / INDEX)
    lines = merge(folder) if leads else read_index(folder)
    done = before = _done(folder, lines)

    def give_up(piece: str, reason: str) -> None:
        index = int(piece)
        # Who leads may have found more since this program read the list.
        item = (items if index < len(items) else read_items(folder / ITEMS))[index]
        line = {"index": index, "name": item.name, "label": item.label, "seconds": 0.0}
        land(folder, index, {**line, "error": f"{item.path}: {reason}"}, {})
        done_mark(folder, index).touch()

    sources = (item.path for item in items)
    with Crew(engine, JOB, folder, where[: len(items) - before], sources, give_up) as crew:
        while done < len(items) if leads else crew.workers:
            time.sleep(LOOK)
            crew.look()
            if leads and len(landed(folder)) >= FULL:
                lines = merge(folder)
            elif not leads and _state(folder / INDEX) != seen:
                seen = _state(folder / INDEX)
                lines = read_index(folder)
            done = _done(folder, lines)
            if leads and done < len(items) and crew.is_idle:
                # A mark may have been set while this program was forgetting what had failed.
                _forget_undone(folder, errors=False)
                crew.go_on(len(items) - done)
            if tell is not None:
                failed = sum("error" in line for line in lines)
                tell(Progress(done, failed, len(items), done - before, time.monotonic() - begun))


def _state(path: Path) -> Optional[Tuple[int, int]]:
    """What changes with a file that is written anew; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino


def _done(folder: Path, lines: Sequence[Mapping[str, Any]]) -> int:
    known = {line["index"] for line in lines}
    return len(known) + sum(int(path.stem) not in known for path in landed(folder))


def _finish(folder: Path, items: Sequence[Item]) -> None:
    """Puts what has landed into the table, and says what there is."""
    while landed(folder):
        lines = merge(folder)
    lines = read_index(folder)
    if len(lines) == len(items):
        shutil.rmtree(folder / WORK, ignore_errors=True)
    if lines:
        write_summary(folder, items, lines)

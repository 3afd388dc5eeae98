"""A whole benchmark: trains what is not there yet, and writes the tables and the report of what is."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Set

from winner_ns import safe_text
from winner_ns.bench.cells import Cell, cells_of
from winner_ns.bench.charts import charts_of, write_charts
from winner_ns.bench.expected_time import expected_seconds
from winner_ns.bench.inputs import prepare_inputs
from winner_ns.bench.machine import at_a_time, machines_of
from winner_ns.bench.preset import Preset
from winner_ns.bench.records import Record, ResultsFile, main_metric
from winner_ns.bench.report import write_report
from winner_ns.bench.summary_tables import write_csv, write_markdown
from winner_ns.bench.unfinished import FILE
from winner_ns.bench.worker import (
    CELLS,
    DONE,
    LANDED,
    PROGRESS,
    file_of,
    land,
    name_of,
    piece_of,
    read_answer,
    read_cells,
    write_cells,
)
from winner_ns.engines import open_engine
from winner_ns.engines.crew import LOOK, Crew, NoWorkers
from winner_ns.engines.engine import Engine
from winner_ns.engines.leases import WORK, leading
from winner_ns.engines.worker import ERRORS
from winner_ns.errors import SignalError, counted
from winner_ns.interruption import INTERRUPTION, Ended
from winner_ns.progress import duration
from winner_ns.writing import make_folder, replacing_files, write_json

MARK = "bench.json"
"""Which benchmark a folder belongs to: another one's tables are never written over it."""
JOB = "winner_ns.bench.worker"
LOCK = ".lock"
"""In a benchmark's folder: held by the program that decides on its cells and writes its tables."""
OURS = {LOCK, "inputs", "cells", WORK}
"""What a benchmark may have left in its folder before it is marked."""


class CellsFailed(SignalError):
    """Some cells could not be trained.

    Args:
        preset: its name.
        problem: one line.
        folder: the benchmark's.
        records: of the other cells.
    """

    def __init__(self, preset: str, problem: str, folder: Path, records: List[Record]) -> None:
        log = folder / ERRORS
        more = f"; see {log}" if log.is_file() else ""
        super().__init__(preset, f"{problem}{more}", "the same command tries again")
        self.records = records


def run_bench(
    preset: Preset,
    folder: Path,
    command: str,
    data: Optional[Path] = None,
    workers: int = 0,
    tell: Callable[[str], None] = safe_text.tell,
    budget: str = "short",
    allowed: Sequence[Path] = (),
    on: str = "local",
) -> List[Record]:
    """Trains the cells of a preset that the folder has no results of, then writes its tables, charts and report.

    Several programs, also on several machines that share the folder, work on one benchmark together: the first one
    leads, and another takes over where it is gone.

    Args:
        preset: what is compared.
        folder: of results.jsonl, inputs/, cells/, charts/ and the report; an interrupted benchmark goes on.
        command: as it was typed, for the report.
        data: a folder of files to fit in place of the preset's signals.
        workers: cells at the same time; 0: as many as there are GPUs or cores.
        tell: is given lines about the progress.
        budget: that the preset was read with.
        allowed: files and folders that the preset's signals may be in beside its own folder.
        on: where cells are trained, as `winner_ns.fit_many` has it.

    Returns:
        The records of all cells, in the preset's order.

    Raises:
        CellsFailed: some have; the others' results are written.
        SignalError: the preset or the data cannot be used, or the folder is another benchmark's or not empty.
        KeyboardInterrupt, Ended: by Ctrl-C or another signal; tables and report of what there is are written first.
    """
    folder = folder.resolve()
    mark = {"preset": preset.name, "budget": budget, "data": None if data is None else str(data.resolve())}
    _check_folder(folder, mark)
    cells_of(preset, ())  # Fields that cannot be are refused before anything is written.
    told = helped = False
    with open_engine(on) as engine, replacing_files(True):
        devices = engine.devices(workers)
        while True:
            with leading(folder / LOCK) as leads:
                if leads:
                    _check_folder(folder, mark)
                    cells = cells_of(preset, prepare_inputs(preset, folder / "inputs", data, allowed))
                    write_json(folder / MARK, mark)
                    # What has failed while this program was at work has been tried.
                    return _lead(preset, cells, folder, command, engine, devices, tell, errors=not helped)
            if not told:
                tell("another program leads this benchmark; joining it")
                told = True
            if not helped and (folder / MARK).exists() and (folder / WORK / CELLS).exists():
                _check_folder(folder, mark)
                _help(folder, engine, devices)
                helped = True
            time.sleep(LOOK)


def _lead(
    preset: Preset,
    cells: Sequence[Cell],
    folder: Path,
    command: str,
    engine: Engine,
    devices: Sequence[str],
    tell: Callable[[str], None],
    errors: bool,
) -> List[Record]:
    """Has all cells trained, and writes what came of them.

    Args:
        errors: whether cells that have failed are tried again.
    """
    results = ResultsFile(folder / "results.jsonl")
    missing = _undone(cells, folder, results, engine, devices, errors)
    where = devices[: max(len(missing), 1)]
    total, done = counted(len(cells), "cell"), f"{len(cells) - len(missing)} done already"
    tell(f"{preset.title}: {total}, {done}, {len(where)} at a time")
    if missing and (engine.is_here or where[0] == "cpu"):
        expected = expected_seconds(missing, where[0]) / len(where)
        tell(f"about {duration(expected)} of training expected, by some steps of each field")
    failed: List[str] = []
    stopped: Optional[BaseException] = None
    try:
        if missing:
            _train(preset, missing, folder, engine, where, results, tell, failed)
    except (KeyboardInterrupt, Ended) as end:
        stopped = end
    records = results.of([cell.key for cell in cells])
    if records:
        machine = machines_of(records)
        write_csv(folder / "results.csv", records)
        charts = charts_of(preset, records)
        write_charts(folder / "charts", charts)
        write_markdown(folder / "results.md", preset, records, charts, command, machine, len(cells))
        write_report(folder / "report.html", folder, preset, records, charts, command, machine, len(cells))
    if stopped is not None:
        tell(f"stopped after {len(records)} of {total}; the same command goes on")
        raise stopped
    if failed:
        raise CellsFailed(preset.name, f"{len(failed)} of {total} failed, {failed[0]}", folder, records)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return records


def _undone(
    cells: Sequence[Cell], folder: Path, results: ResultsFile, engine: Engine, devices: Sequence[str], errors: bool
) -> List[Cell]:
    """The cells that are to be trained, which are written down; what a program has left that was ended is put among
    the results."""
    for piece in _landed(make_folder(folder / WORK)):
        answer = read_answer(folder, piece)
        if "record" in answer:
            _take_in(answer["record"], piece, folder, results, devices)
        elif errors:
            file_of(folder, piece, LANDED).unlink()
    missing = [cell for cell in cells if cell.key not in results.keys]
    for cell in missing:
        file_of(folder, piece_of(cell), DONE).unlink(missing_ok=True)  # Its result was taken away.
    write_cells(folder, missing)
    return missing


def _landed(work: Path) -> Set[str]:
    """The cells whose answers nobody has taken in yet."""
    return {path.stem for path in work.glob(f"[!.]*.{LANDED}")}


def _take_in(record: Record, piece: str, folder: Path, results: ResultsFile, devices: Sequence[str]) -> Record:
    """Puts a record that has landed among the results, where it is not there yet."""
    record = {**record, "machine": {**record["machine"], "cells at a time": at_a_time(devices)}}
    # Whole or not at all, also where the program is told to end just now: what is told then is counted from it.
    with INTERRUPTION.held():
        if record["key"] not in results.keys:
            results.append(record)
        (folder / record["folder"] / FILE).unlink(missing_ok=True)
        file_of(folder, piece, LANDED).replace(file_of(folder, piece, DONE))
    return record


def _check_folder(folder: Path, mark: Dict[str, Optional[str]]) -> None:
    """Raises SignalError where there is something else than this benchmark."""
    # Before it is looked for whose it is: another program may be beginning the same benchmark.
    there = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    strange = {name for name in there - OURS if not name.startswith(".bench.")}
    try:
        marked = json.loads((folder / MARK).read_text(encoding="utf-8"))
        if not isinstance(marked, dict) or set(marked) != set(mark):
            raise ValueError("it is no benchmark's")
    except (FileNotFoundError, NotADirectoryError):
        marked = None
    except (OSError, ValueError) as error:
        raise SignalError(folder / MARK, f"cannot be read ({error})", "give another --out") from error
    if marked not in (None, mark):
        raise SignalError(folder, f"is the benchmark {_told(marked)}, not {_told(mark)}", "give another --out")
    if marked is None and strange:
        raise SignalError(folder, "is not empty, and no benchmark's", "give another --out")


def _told(mark: Dict[str, Optional[str]]) -> str:
    """A benchmark as it is called."""
    flags = [f"--{name} {mark[name]}" for name in ("budget", "data") if mark[name]]
    return " ".join([str(mark["preset"]), *flags])


def _crew(folder: Path, cells: Sequence[Cell], engine: Engine, where: Sequence[str]) -> Crew:
    names = {piece_of(cell): name_of(cell) for cell in cells}

    def give_up(piece: str, reason: str) -> None:
        land(folder, piece, {"error": f"{names.get(piece, piece)}: {reason}"})

    return Crew(engine, JOB, folder, where[: len(cells)], (cell.path for cell in cells), give_up)


def _help(folder: Path, engine: Engine, where: Sequence[str]) -> None:
    """Trains for who leads, until nothing is left that nobody is at."""
    with suppress(FileNotFoundError), _crew(folder, list(read_cells(folder)), engine, where) as crew:
        while crew.look():
            time.sleep(LOOK)


def _train(
    preset: Preset,
    cells: Sequence[Cell],
    folder: Path,
    engine: Engine,
    where: Sequence[str],
    results: ResultsFile,
    tell: Callable[[str], None],
    errors: List[str],
) -> None:
    """Has cells trained and keeps their results as they come, and what went wrong."""
    left = {piece_of(cell): cell for cell in cells}
    done: List[Record] = []
    running = _Running(folder)

    def fail(piece: str, error: str) -> None:
        del left[piece]
        errors.append(error)
        tell(f"{len(done) + len(errors):4d}/{len(cells)}  FAILED {error}")

    try:
        with _crew(folder, cells, engine, where) as crew:
            while left:
                crew.look()
                for state in running.news():
                    tell(_progress_line(state))
                landed = _landed(folder / WORK)
                for piece in [piece for piece in left if piece in landed]:
                    answer = read_answer(folder, piece)
                    if "error" in answer:
                        fail(piece, answer["error"])
                        continue
                    done.append(_take_in(answer["record"], piece, folder, results, where))
                    del left[piece]
                    remaining = _seconds_left(list(left.values()), done, running.states, len(where))
                    number = f"{len(done) + len(errors):4d}/{len(cells)}"
                    tell(f"{number}  {_line(preset, done[-1])}; about {duration(remaining)} left")
                if left:
                    if crew.is_idle:
                        crew.go_on(len(left))
                    time.sleep(LOOK)
    except NoWorkers as error:
        for piece, cell in list(left.items()):
            fail(piece, f"{name_of(cell)}: {error.problem}")


class _Running:
    """What cells that take long say of themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / WORK
        self.states: Dict[str, Dict[str, Any]] = {}
        """By the cells' keys."""
        self._seen: Dict[Path, int] = {}

    def news(self) -> List[Dict[str, Any]]:
        """The states that are new; those of cells that are done are forgotten."""
        news: List[Dict[str, Any]] = []
        paths = set(self.folder.glob(f"[!.]*.{PROGRESS}"))
        for path in sorted(paths):
            with suppress(FileNotFoundError):
                written = path.stat().st_mtime_ns
                if self._seen.get(path) != written:
                    self._seen[path] = written
                    news.append(json.loads(path.read_text(encoding="utf-8")))
        for state in news:
            self.states[state["key"]] = state
        there = {path.stem for path in paths}
        self.states = {key: state for key, state in self.states.items() if key.rpartition("/")[2] in there}
        return news


def _progress_line(progress: Record) -> str:
    step, steps = progress["step"], progress["steps"]
    remaining = duration(progress["seconds"] * (steps / step - 1.0))
    what = f"{progress['signal']}, {progress['field']}, seed {progress['seed']}"
    return f"           {what}: step {step:,} of {steps:,}, about {remaining} left of it"


def _line(preset: Preset, record: Record) -> str:
    metric = main_metric(preset, [record])
    value = record["figures"].get(metric)
    shown = "" if value is None else f", {metric.replace('_', ' ')} {value:.4g}"
    return f"{record['signal']}, {record['field']}, seed {record['seed']}: {duration(record['seconds'])}{shown}"


def _seconds_left(left: Sequence[Cell], done: Sequence[Record], running: Dict[str, Record], workers: int) -> float:
    """What is left takes as long as the same field did on the same signal, or on others, or as the mean cell; of cells
    that run, what they have done is taken off."""

    def mean(records: List[Record]) -> Optional[float]:
        return sum(record["seconds"] for record in records) / len(records) if records else None

    known = [*done, *({**each, "seconds": each["seconds"] * each["steps"] / each["step"]} for each in running.values())]
    total = 0.0
    for cell in left:
        same = [record for record in known if record["field"] == cell.field]
        whole = mean([r for r in same if r["signal"] == cell.signal]) or mean(same) or mean(known) or 0.0
        total += max(whole - running.get(cell.key, {"seconds": 0.0})["seconds"], 0.0)
    return total / max(min(workers, len(left)), 1)

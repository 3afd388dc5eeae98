"""A whole benchmark: trains what is not there yet, and writes the tables and the report of what is."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

from winner_ns import safe_text
from winner_ns.bench.cells import Cell, cells_of
from winner_ns.bench.charts import charts_of, write_charts
from winner_ns.bench.expected_time import expected_seconds
from winner_ns.bench.inputs import prepare_inputs
from winner_ns.bench.machine import describe_machine, machines_of
from winner_ns.bench.preset import Preset
from winner_ns.bench.records import Record, ResultsFile, main_metric
from winner_ns.bench.report import write_report
from winner_ns.bench.summary_tables import write_csv, write_markdown
from winner_ns.bench.unfinished import FILE
from winner_ns.bench.worker import ERRORS
from winner_ns.bench.worker_pool import run_cells
from winner_ns.errors import SignalError, counted
from winner_ns.interruption import Ended
from winner_ns.many.engine import devices
from winner_ns.progress import duration
from winner_ns.writing import replacing_files, unwritable, write_json

MARK = "bench.json"
"""Which benchmark a folder belongs to: another one's tables are never written over it."""
OURS = {".lock", "inputs", "cells"}
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
) -> List[Record]:
    """Trains the cells of a preset that the folder has no results of, then writes its tables, charts and report.

    Args:
        preset: what is compared.
        folder: of results.jsonl, inputs/, cells/, charts/ and the report; an interrupted benchmark goes on.
        command: as it was typed, for the report.
        data: a folder of files to fit in place of the preset's signals.
        workers: cells at the same time; 0: as many as there are GPUs or cores.
        tell: is given lines about the progress.
        budget: that the preset was read with.
        allowed: files and folders that the preset's signals may be in beside its own folder.

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
    with _alone_in(folder), replacing_files(True):
        cells = cells_of(preset, prepare_inputs(preset, folder / "inputs", data, allowed))
        results = ResultsFile(folder / "results.jsonl")
        write_json(folder / MARK, mark)
        keys = [cell.key for cell in cells]
        known = {record["key"] for record in results.records}
        missing = [cell for cell in cells if cell.key not in known]
        where = devices(workers)[: max(len(missing), 1)]
        machine = describe_machine(where)
        total, done = counted(len(cells), "cell"), f"{len(cells) - len(missing)} done already"
        tell(f"{preset.title}: {total}, {done}, {len(where)} at a time")
        if missing:
            expected = expected_seconds(missing, where[0]) / len(where)
            tell(f"about {duration(expected)} of training expected, by some steps of each field")
        errors: List[str] = []
        stopped: Optional[BaseException] = None
        try:
            _train(preset, missing, folder, where, results, machine, tell, errors)
        except (KeyboardInterrupt, Ended) as end:
            stopped = end
        records = results.of(keys)
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
    if errors:
        raise CellsFailed(preset.name, f"{len(errors)} of {total} failed, {errors[0]}", folder, records)
    return records


def _check_folder(folder: Path, mark: Dict[str, Optional[str]]) -> None:
    """Raises SignalError where there is something else than this benchmark."""
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
    if marked is None and folder.is_dir() and {each.name for each in folder.iterdir()} - OURS:
        raise SignalError(folder, "is not empty, and no benchmark's", "give another --out")


def _told(mark: Dict[str, Optional[str]]) -> str:
    """A benchmark as it is called."""
    flags = [f"--{name} {mark[name]}" for name in ("budget", "data") if mark[name]]
    return " ".join([str(mark["preset"]), *flags])


def _train(
    preset: Preset,
    cells: Sequence[Cell],
    folder: Path,
    where: Sequence[str],
    results: ResultsFile,
    machine: Dict[str, str],
    tell: Callable[[str], None],
    errors: List[str],
) -> None:
    """Trains cells and keeps their results as they come, and what went wrong."""
    left = {cell.key: cell for cell in cells}
    done: List[Record] = []
    running: Dict[str, Record] = {}
    for answer in run_cells(cells, folder, where):
        if "progress" in answer:
            running[answer["progress"]["key"]] = answer["progress"]
            tell(_progress_line(answer["progress"]))
            continue
        number = len(done) + len(errors) + 1
        left.pop(answer["key"])
        running.pop(answer["key"], None)
        if "error" in answer:
            errors.append(answer["error"])
            tell(f"{number:4d}/{len(cells)}  FAILED {answer['error']}")
            continue
        record = {**answer["record"], "machine": machine}
        results.append(record)
        (folder / record["folder"] / FILE).unlink(missing_ok=True)
        done.append(record)
        remaining = _seconds_left(list(left.values()), done, running, len(where))
        tell(f"{number:4d}/{len(cells)}  {_line(preset, record)}; about {duration(remaining)} left")


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


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keeps a second benchmark out of the folder; the lock ends with the program, however that ends."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise SignalError(folder, "another benchmark is writing there", "wait for it, or give another --out") from error
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()

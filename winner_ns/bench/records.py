"""The results of a benchmark: one JSON line a cell, appended as it comes; means and standard deviations over seeds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from winner_ns.bench.metrics import lower_is_better, title_of
from winner_ns.bench.preset import Preset
from winner_ns.errors import SignalError
from winner_ns.writing import unwritable

Record = Dict[str, Any]


class ResultsFile:
    """results.jsonl. A line counts once it is whole: what a killed program left of its last one is cut off.

    Args:
        path: the file; made if it is not there.

    Raises:
        SignalError: a line before the last one is no record, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab+") as file:
                file.seek(0)
                whole = file.read()
                kept = whole[: whole.rfind(b"\n") + 1]
                file.truncate(len(kept))
        except OSError as error:
            raise unwritable(path, error) from error
        self.records: List[Record] = []
        for number, line in enumerate(kept.splitlines(), 1):
            try:
                record = json.loads(line)
                record["key"], record["figures"], record["curve"]
            except (ValueError, TypeError, KeyError) as error:
                raise SignalError(
                    path, f"line {number} is no result", "take that line out, or the file away"
                ) from error
            self.records.append(record)
        self.keys = {record["key"] for record in self.records}

    def append(self, record: Record) -> None:
        """Writes a record's line, on the disk when this returns.

        Raises:
            SignalError: it cannot be written; what is there of it is taken back.
        """
        line = (json.dumps(record, allow_nan=False) + "\n").encode("utf-8")
        try:
            with open(self.path, "ab", buffering=0) as file:
                before = file.seek(0, os.SEEK_END)
                try:
                    while line:
                        line = line[file.write(line) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(before)
                    raise
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.records.append(record)
        self.keys.add(record["key"])

    def of(self, keys: Sequence[str]) -> List[Record]:
        """The records of these cells, in this order; those of other cells (of a preset that has changed) are left."""
        known = {record["key"]: record for record in self.records}
        return [known[key] for key in keys if key in known]


@dataclass(frozen=True)
class Summary:
    """A figure over the seeds."""

    mean: float
    deviation: float
    """Standard deviation of the sample (n - 1); 0 for a single one."""
    count: int
    of: int
    """Seeds that there are to be; where count is less, the others are not trained yet or have no such figure (no
    surface, a field that diverged), and the mean is none to compare."""

    @property
    def complete(self) -> bool:
        """Whether all seeds have the figure."""
        return self.count == self.of

    def told(self, metric: str) -> str:
        """The figure of that name with as many places as are worth reading."""
        if metric == "parameters":
            return f"{self.mean:,.0f}"
        places = 1 if metric == "training_seconds" else 2 if title_of(metric).endswith("dB") else 4
        spread = f" ± {self.deviation:.{places}f}" if self.count > 1 else ""
        # Rounded first: there is no minus before a zero.
        part = "" if self.complete else f" ({self.count} of {self.of})"
        return f"{round(self.mean, places) + 0.0:.{places}f}{spread}{part}"


def summarise(
    records: Sequence[Record], signal: Optional[str], field: str, metric: str, seeds: Optional[int] = None
) -> Optional[Summary]:
    """A field's figure over the seeds; signal None: of the mean over all signals that have such a figure. None where it
    is not known.

    Args:
        seeds: that there are to be (the preset's); None: as many as the field was trained with.
    """
    wanted = {r["signal"] for r in records if signal in (None, r["signal"]) and r["figures"].get(metric) is not None}
    by_seed: Dict[int, List[Optional[float]]] = {}
    for record in records:
        if record["field"] == field and record["signal"] in wanted:
            by_seed.setdefault(record["seed"], []).append(record["figures"].get(metric))
    # A seed that lacks a signal would say something else.
    trained = [values for values in by_seed.values() if len(values) == len(wanted)]
    means = [float(np.mean(values)) for values in trained if None not in values]
    if not means:
        return None
    deviation = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
    return Summary(float(np.mean(means)), deviation, len(means), len(trained) if seeds is None else seeds)


def names(records: Sequence[Record], key: str) -> List[str]:
    """The signals, or fields, in the order in which they first come."""
    return list(dict.fromkeys(record[key] for record in records))


def complete_means(
    records: Sequence[Record], signal: Optional[str], metric: str, seeds: Optional[int] = None
) -> Dict[str, float]:
    """The means of the fields of which all seeds have the figure, the best one first."""
    found = {field: summarise(records, signal, field, metric, seeds) for field in names(records, "field")}
    means = {field: summary.mean for field, summary in found.items() if summary is not None and summary.complete}
    return dict(sorted(means.items(), key=lambda item: item[1], reverse=not lower_is_better(metric)))


def best_fields(
    records: Sequence[Record], signal: Optional[str], metric: str, seeds: Optional[int] = None, spread: bool = False
) -> List[str]:
    """The field with the best mean, or all that share it, among those of which all seeds have the figure; none where
    there is no choice.

    Args:
        spread: whether fields count as best, too, that lie within a standard deviation of it (its own or theirs,
            whichever is larger): seeds do not tell them apart.
    """
    means = complete_means(records, signal, metric, seeds)
    if metric == "parameters" or len(means) < 2:
        return []

    def deviation(field: str) -> float:
        summary = summarise(records, signal, field, metric, seeds)
        return summary.deviation if spread and summary is not None else 0.0

    first, best = next(iter(means.items()))
    return [f for f, mean in means.items() if abs(mean - best) <= max(deviation(first), deviation(f))]


def shown_metrics(preset: Preset, records: Sequence[Record]) -> List[str]:
    """The preset's metrics that any record has."""
    return [metric for metric in preset.metrics if any(r["figures"].get(metric) is not None for r in records)]


def main_metric(preset: Preset, records: Sequence[Record]) -> str:
    """The preset's first metric that these records have: where kinds are mixed, no metric is known of all signals."""
    return next(iter(shown_metrics(preset, records)), preset.metrics[0])


def what_it_is(records: Sequence[Record], field: str) -> Tuple[str, str]:
    """A field as its preset has it, and its width x depth; "" for what no record says."""
    settings = next((r["settings"] for r in records if r["field"] == field and r.get("settings")), {})
    text = settings.get("text", "").removeprefix(f"{field}=")
    departures = [f"{key}={value}" for key, value in (settings.get("departures") or {}).items()]
    network = settings.get("plan", {}).get("field", {})
    size = (network.get("width"), network.get("depth"))
    return "; ".join(filter(None, [text, *departures])), "" if None in size else f"{size[0]} x {size[1]}"


def missing_cells(records: Sequence[Record], cells: int) -> str:
    """What is to be said where there are fewer records than cells; "" where there are not."""
    if len(records) >= cells:
        return ""
    verb = "is" if len(records) == 1 else "are"
    return f"{len(records)} of {cells} cells {verb} done; means are of what is there. The same command goes on."

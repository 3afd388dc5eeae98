"""A benchmark's tables: in the terminal, as CSV and as Markdown. Fields are rows, signals columns."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import quote

from rich.table import Table
from rich.text import Text

from winner_ns.bench.charts import Chart, shown_fields
from winner_ns.bench.metrics import BASELINES, CLASSICAL, metrics, title_of
from winner_ns.bench.preset import Preset
from winner_ns.bench.records import (
    Record,
    Summary,
    best_fields,
    complete_means,
    main_metric,
    missing_cells,
    names,
    shown_metrics,
    summarise,
    what_it_is,
)
from winner_ns.errors import counted
from winner_ns.safe_text import cell, markdown, terminal
from winner_ns.samples import SAMPLES
from winner_ns.writing import replacing

Row = List[Tuple[str, bool]]
"""For each signal (and the mean of all) the figure as it is shown, and whether it is the best."""


def rows_of(records: Sequence[Record], metric: str, seeds: int) -> Tuple[List[str], Dict[str, Row]]:
    """The columns' titles, and the rows by the fields' names; the last ones need no field (BASELINES). Of
    several signals the last column is the mean of all; `seeds` are those that there are to be."""
    signals: List[Optional[str]] = [*names(records, "signal")]
    titles = [str(signal) for signal in signals]
    if len(signals) > 1:
        titles.append("mean of all" if "mean" in titles else "mean")
        signals.append(None)
    best = {signal: best_fields(records, signal, metric, seeds, spread=True) for signal in signals}

    def told(signal: Optional[str], field: str, figure: str) -> str:
        summary = summarise(records, signal, field, figure, seeds)
        return "–" if summary is None else summary.told(metric)

    fields = names(records, "field")
    rows = {field: [(told(signal, field, metric), field in best[signal]) for signal in signals] for field in fields}
    for name, figure in BASELINES.get(metric, {}).items():
        if any(record["figures"].get(figure) is not None for record in records):
            # Beside every field it is the same.
            rows[name] = [(told(signal, fields[0], figure), False) for signal in signals]
    return titles, rows


def better_without_fields(preset: Preset, records: Sequence[Record]) -> List[str]:
    """A line for each signal on which a classical denoiser is better than the best field."""
    lines = []
    for signal in names(records, "signal"):
        own = [record for record in records if record["signal"] == signal]
        metric = main_metric(preset, own)
        means = complete_means(own, signal, metric, preset.seeds)
        ahead = best_classical(own, signal, metric)
        if means and ahead is not None and ahead[1] > max(means.values()):
            name, best = ahead[0], next(iter(means))
            lines.append(
                f"{signal}: {name}, is better with {ahead[1]:.2f} dB; the best field is {best}, {means[best]:.2f}"
            )
    return lines


def best_classical(records: Sequence[Record], signal: str, metric: str) -> Optional[Tuple[str, float]]:
    """The best classical denoiser's name and mean figure; None where none is known."""
    classical = {name: figure for name, figure in BASELINES.get(metric, {}).items() if name in CLASSICAL}
    found = {name: summarise(records, signal, records[0]["field"], figure) for name, figure in classical.items()}
    means = {name: summary.mean for name, summary in found.items() if summary is not None}
    return max(means.items(), key=lambda each: each[1], default=None)


def terminal_tables(preset: Preset, records: Sequence[Record]) -> List[Table]:
    """One table for each metric."""
    tables = []
    for metric in shown_metrics(preset, records):
        titles, rows = rows_of(records, metric, preset.seeds)
        table = Table("field", title=title_of(metric), title_justify="left", title_style="bold")
        for title in titles:
            table.add_column(Text(terminal(title)), justify="right")  # As a str, [x] would be markup.
        for field, row in rows.items():
            cells = [Text(each, "bold" if best else "") for each, best in row]
            table.add_row(Text(terminal(field)), *cells)
        tables.append(table)
    return tables


def presets_table(presets: Sequence[Preset]) -> Table:
    """What there is to run."""
    table = Table("preset", "task", "what it asks", show_lines=True)
    for preset in presets:
        table.add_row(Text(terminal(preset.name)), preset.task, Text(terminal(f"{preset.title}. {preset.shows}")))
    return table


def inputs_table() -> Table:
    """What presets may name as signals beside files."""
    table = Table("input", "kind", "what it is")
    for name, source in SAMPLES.items():
        table.add_row(name, source.kind, source.about)
    return table


def write_csv(path: Path, records: Sequence[Record]) -> None:
    """A row for each signal and field: seeds, and mean and standard deviation (of a single seed there is none) of every
    figure that was measured, and the number of seeds that have it."""
    known = dict.fromkeys([*metrics(), *(figure for each in BASELINES.values() for figure in each.values())])
    measured = [metric for metric in known if any(r["figures"].get(metric) is not None for r in records)]
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["signal", "field", "seeds", *(f"{m}_{part}" for m in measured for part in ("mean", "sd", "n"))]
        )
        for signal in names(records, "signal"):
            for field in names(records, "field"):
                summaries = [summarise(records, signal, field, metric) for metric in measured]
                seeds = sum(r["signal"] == signal and r["field"] == field for r in records)
                if seeds:
                    numbers = [x for summary in summaries for x in _numbers(summary)]
                    writer.writerow([cell(signal), cell(field), seeds, *numbers])


def _numbers(summary: Optional[Summary]) -> Tuple[Union[float, str], Union[float, str], int]:
    if summary is None:
        return "", "", 0
    return summary.mean, summary.deviation if summary.count > 1 else "", summary.count


def write_markdown(
    path: Path,
    preset: Preset,
    records: Sequence[Record],
    charts: Mapping[str, Chart],
    command: str,
    machine: Mapping[str, str],
    cells: int,
) -> None:
    """The same tables as in the terminal, the best mean in bold, with what they were made by and on, what the fields
    are, and the charts that lie in charts/ beside it.

    Args:
        cells: how many there are to be in the end.
    """
    lines = [f"# {markdown(preset.title)}", "", markdown(preset.shows), "", f"    {terminal(command)}", ""]
    if missing := missing_cells(records, cells):
        lines += [f"> {missing}", ""]
    lines += [", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    for metric in shown_metrics(preset, records):
        titles, rows = rows_of(records, metric, preset.seeds)
        lines += [f"## {title_of(metric)}", "", f"| field | {' | '.join(map(markdown, titles))} |"]
        lines += ["|---|" + "---:|" * len(titles)]
        for field, row in rows.items():
            shown = [f"**{each}**" if best else each for each, best in row]
            lines.append(f"| {markdown(field)} | {' | '.join(shown)} |")
        lines.append("")
    if better := better_without_fields(preset, records):
        lines += [*(f"- {markdown(line)}" for line in better), ""]
    lines += _fields(preset, records)
    sizes = {record["signal"]: record["size"] for record in records if record.get("size")}
    lines += [f"{markdown(signal)}: {markdown(size)}." for signal, size in sizes.items()] + [""]
    trained = f"{counted(preset.steps, 'step')} of {_batch(preset)}"
    spread = "One seed; the best is bold"
    if preset.seeds > 1:
        spread = (
            f"Mean ± standard deviation over {preset.seeds} seeds; what lies within a deviation of the best is bold"
        )
    lines.append(f"{spread}; {trained}; PSNR with the range 2 of [-1, 1].")
    for name, chart in charts.items():
        lines += ["", f"![{markdown(chart.title)}](charts/{quote(name)}.svg)"]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _fields(preset: Preset, records: Sequence[Record]) -> List[str]:
    """What each of the shown fields is, a line each; nothing where the records do not say."""
    known = {field: what_it_is(records, field) for field in shown_fields(preset, names(records, "field"))}
    lines = [
        f"- {markdown(field)}: {markdown(', '.join(filter(None, told)))}" for field, told in known.items() if any(told)
    ]
    return ["## Fields", "", *lines, ""] if lines else []


def _batch(preset: Preset) -> str:
    return counted(preset.batch, "sample") if preset.batch else "all samples"

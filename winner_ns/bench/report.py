"""report.html: one file with a benchmark's tables, charts, pictures and sounds, which needs nothing else to be read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from winner_ns.bench.charts import Chart, colours, shown_fields
from winner_ns.bench.preset import METRICS, Preset
from winner_ns.bench.results import Record, best_field, lower_is_better, names, shown_metrics, summarise
from winner_ns.bench.tables import rows_of
from winner_ns.bench.tiles import Tile, tiles_of
from winner_ns.export.output import replacing
from winner_ns.fields import family_class

WINNER_SOURCE = "WINNER: Chandravamsi et al., arXiv 2509.12980 and 2509.09719"


def write_report(
    path: Path,
    folder: Path,
    preset: Preset,
    records: Sequence[Record],
    charts: Mapping[str, Chart],
    command: str,
    machine: Mapping[str, str],
    cells: int,
) -> None:
    """Writes the report of a benchmark.

    Args:
        path: the .html.
        folder: the benchmark's, where the cells' files are.
        preset: what was compared.
        records: what there is, at least one.
        charts: `charts_of` these.
        command: as it was typed.
        machine: facts by their titles.
        cells: how many there are to be in the end.

    Raises:
        SignalError: the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("winner_ns.bench", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["uri"] = data_uri
    environment.filters["number"] = _number
    signals, fields = names(records, "signal"), names(records, "field")
    shown = shown_fields(preset, fields)
    page = environment.get_template("report.html.jinja").render(
        preset=preset,
        records=sorted(records, key=lambda r: (signals.index(r["signal"]), fields.index(r["field"]), r["seed"])),
        cells=cells,
        command=command,
        machine=machine,
        tables=[(METRICS[metric], *rows_of(records, metric)) for metric in shown_metrics(preset, records)],
        findings=[finding for signal in signals if (finding := finding_of(preset, records, signal))],
        fields=_fields(records, shown),
        charts=[chart for name, chart in charts.items() if not name.startswith("curves-")],
        curves={name.removeprefix("curves-"): chart for name, chart in charts.items() if name.startswith("curves-")},
        sections=_sections(folder, preset, records, shown),
        swept=len(shown) < len(fields),
        metrics=METRICS,
        figures=[metric for metric in METRICS if any(r["figures"].get(metric) is not None for r in records)],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as an address that holds them itself."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def finding_of(preset: Preset, records: Sequence[Record], signal: str) -> Optional[str]:
    """Which field is best on a signal, by how much, and how the best of the family winner stands."""
    metric = preset.metrics[0]
    best = best_field(records, signal, metric)
    if best is None:
        return None
    means = {field: found.mean for field in names(records, "field")
             if (found := summarise(records, signal, field, metric)) and found.complete}  # fmt: skip
    ranked = sorted(means, key=means.__getitem__, reverse=not lower_is_better(metric))
    gap = abs(means[best] - means[ranked[1]])
    text = f"{signal}: {best} is best with {means[best]:.4g} ({METRICS[metric]}), {gap:.2g} ahead of {ranked[1]}"
    family = {record["field"]: record["family"] for record in records}
    ours = [field for field in ranked if family[field] == "winner"]
    if ours and family[best] != "winner":
        text += f"; {ours[0]} comes {_ordinal(ranked.index(ours[0]) + 1)} with {means[ours[0]]:.4g}"
    return text + "."


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number if number < 20 else number % 10, "th")
    return f"{number}{ending}"


def _fields(records: Sequence[Record], shown: Sequence[str]) -> List[Dict[str, Any]]:
    """What each field is, for the table of fields."""
    colour = colours(shown)
    rows = []
    for field in names(records, "field"):
        own = [record for record in records if record["field"] == field]
        family = own[0]["family"]
        rates = sorted({record["learning_rate"] for record in own})
        rows.append(
            {
                "name": field,
                "colour": colour.get(field, "#d1d5db"),
                "parameters": sorted({record["figures"]["parameters"] for record in own}),
                "rates": ", ".join(f"{rate:g}" for rate in rates),
                "noise": _noise(own),
                "source": WINNER_SOURCE if family == "winner" else family_class(family).source,
            }
        )
    return rows


def _noise(records: Sequence[Record]) -> str:
    """s0 and s1 on each signal, of fields that have any."""
    told = {
        record["signal"]: f"{record['noise']['s0']:.4g} / {record['noise']['s1']:.3g}"
        for record in reversed(records)
        if record["noise"] and (record["noise"]["s0"] or record["noise"]["s1"])
    }
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return ", ".join(f"{signal} {told[signal]}" for signal in reversed(told))


def _sections(folder: Path, preset: Preset, records: Sequence[Record], shown: Sequence[str]) -> List[Dict[str, Any]]:
    """For each signal the tiles of its original and of the first seed of each field."""
    sections = []
    for signal in names(records, "signal"):
        own = [r for r in records if r["signal"] == signal and r["field"] in shown]
        first: Dict[str, Record] = {}
        for record in own:
            if record["field"] not in first or record["seed"] < first[record["field"]]["seed"]:
                first[record["field"]] = record
        if not first:
            continue
        tiles: List[Tile]
        tiles, note = tiles_of(folder, preset, list(first.values()))
        sections.append(
            {"signal": signal, "kind": own[0]["kind"], "size": own[0].get("size", ""), "tiles": tiles, "note": note}
        )
    return sections


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

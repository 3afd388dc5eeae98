"""report.html: one file with a benchmark's tables, charts, pictures and sounds, which needs nothing else to be read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from winner_ns.bench.charts import OTHERS, WITHIN, Chart, colours, curve_metric, shown_fields
from winner_ns.bench.metrics import metrics, title_of
from winner_ns.bench.preset import Preset
from winner_ns.bench.records import (
    Record,
    best_fields,
    complete_means,
    main_metric,
    missing_cells,
    names,
    shown_metrics,
    what_it_is,
)
from winner_ns.bench.summary_tables import best_classical, rows_of
from winner_ns.bench.tiles import tiles_of
from winner_ns.errors import counted
from winner_ns.fields import family_class
from winner_ns.safe_text import page_templates
from winner_ns.writing import replacing


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

    environment = page_templates("winner_ns.bench")
    environment.filters["uri"] = data_uri
    environment.filters["number"] = _number
    environment.globals["counted"] = counted
    signals, fields = names(records, "signal"), names(records, "field")
    shown = shown_fields(preset, fields)
    page = environment.get_template("report.html.jinja").render(
        preset=preset,
        records=sorted(records, key=lambda r: (signals.index(r["signal"]), fields.index(r["field"]), r["seed"])),
        missing=missing_cells(records, cells),
        command=command,
        machine=machine,
        tables=[
            (title_of(metric), *rows_of(records, metric, preset.seeds)) for metric in shown_metrics(preset, records)
        ],
        findings=[finding for signal in signals if (finding := finding_of(preset, records, signal))],
        fields=_fields(records, shown),
        known=any(record.get("settings") for record in records),
        charts=[chart for name, chart in charts.items() if not name.startswith("curves-")],
        curves={name.removeprefix("curves-"): chart for name, chart in charts.items() if name.startswith("curves-")},
        sections=_sections(folder, preset, records, shown),
        swept=len(shown) < len(fields),
        within=WITHIN if any(curve_metric([r]) == "iou" for r in records) else "",
        metrics=metrics(),
        figures=[metric for metric in metrics() if any(r["figures"].get(metric) is not None for r in records)],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def data_uri(content: bytes, media_type: str) -> str:
    """Bytes as an address that holds them itself."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def finding_of(preset: Preset, records: Sequence[Record], signal: str) -> Optional[str]:
    """Which field is best on a signal, or which are equal, by how much, and how the best of those that take noise
    stands."""
    own = [record for record in records if record["signal"] == signal]
    metric = main_metric(preset, own)
    best = best_fields(own, signal, metric, preset.seeds)
    if not best:
        return None
    means = complete_means(own, signal, metric, preset.seeds)
    ranked = list(means)
    figure = f"{means[best[0]]:.4g} ({title_of(metric)})"
    text = f"{signal}: {best[0]} is best with {figure}"
    if len(best) > 1:
        text = f"{signal}: {', '.join(best[:-1])} and {best[-1]} are equal with {figure}"
    if len(best) < len(ranked):
        following = ranked[len(best)]
        text += f", {abs(means[best[0]] - means[following]):.2g} ahead of {following}"
    noisy = {record["field"] for record in own if family_class(record["family"]).takes_noise}
    if len(best) > 1:
        silent = [
            field for field in best if field in noisy and _noise([r for r in own if r["field"] == field]) == "none"
        ]
        text += "".join(f"; {field} had no noise added here, which makes it a plain SIREN" for field in silent)
    ours = [field for field in ranked if field in noisy]
    if ours and ours[0] not in best:
        text += f"; {ours[0]} comes {_ordinal(ranked.index(ours[0]) + 1)} with {means[ours[0]]:.4g}"
    ahead = best_classical(own, signal, metric)
    if ahead is not None and ahead[1] > means[best[0]]:
        text += f"; {ahead[0]}, is better with {ahead[1]:.4g}"
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
        family = family_class(own[0]["family"])
        rates = sorted({record["learning_rate"] for record in own})
        text, size = what_it_is(own, field)
        rows.append(
            {
                "name": field,
                "colour": colour.get(field, OTHERS),
                "text": text,
                "size": size,
                "parameters": sorted({record["figures"]["parameters"] for record in own}),
                "rates": ", ".join(f"{rate:g}" for rate in rates),
                "noise": _noise(own) if family.takes_noise else "",
                "source": family.source,
            }
        )
    return rows


def _noise(records: Sequence[Record]) -> str:
    """s0 and s1 of a field that takes noise: on all signals alike, or on each."""
    told: Dict[str, str] = {}
    for record in records:
        noise = record.get("noise") or {"s0": 0.0, "s1": 0.0}
        some = noise["s0"] or noise["s1"]
        told.setdefault(record["signal"], f"{noise['s0']:.4g} / {noise['s1']:.3g}" if some else "none")
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return ", ".join(f"{signal} {noise}" for signal, noise in told.items())


def _sections(folder: Path, preset: Preset, records: Sequence[Record], shown: Sequence[str]) -> List[Dict[str, Any]]:
    """For each signal the tiles of its original and of the fields that are shown."""
    sections = []
    for signal in names(records, "signal"):
        own = [record for record in records if record["signal"] == signal]
        if not any(record["field"] in shown for record in own):
            continue
        tiles, note = tiles_of(folder, preset, own, shown)
        sections.append(
            {"signal": signal, "kind": own[0]["kind"], "size": own[0].get("size", ""), "tiles": tiles, "note": note}
        )
    return sections


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

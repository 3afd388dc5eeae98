"""A page about a store: how well its signals are fitted, the worst of them, and what failed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np

from winner_ns.errors import SignalError, counted
from winner_ns.figures.words import words_of
from winner_ns.kinds import KINDS
from winner_ns.many.items import Item, read_items
from winner_ns.many.store import ITEMS, Line, load_fields
from winner_ns.safe_text import html
from winner_ns.signals import ReadOptions, signal_of
from winner_ns.writing import replacing, write_json

PAGE, TABLE = "summary.html", "summary.json"
WORST = 10
"""Fields that are shown."""
MOST_ERRORS = 100
"""That the page lists; the table has all."""
_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse } td, th { padding: .2rem .9rem .2rem 0; text-align: right; white-space: nowrap }
td:first-child, th:first-child { text-align: left }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 2rem }
.worst img { max-width: 11rem; height: auto } .worst audio { width: 100% }
svg { max-width: 100%; height: auto; background: #fff } li { overflow-wrap: anywhere }
"""


def main_figure(line: Line) -> str:
    """The figure that counts, of what a line tells of."""
    return KINDS[line["description"]["kind"]].figure_names[0]


def summarise(items: Sequence[Item], lines: Sequence[Line]) -> Dict[str, Any]:
    """What there is in a store: fields, failed, of; by figure and kind its median, mean, 10th and 90th percentile,
    least and greatest; training_seconds and seconds of all processes; worst names; errors by name."""
    fitted = [line for line in lines if "error" not in line]
    figures: Dict[str, Dict[str, Any]] = {}
    for name, values in _values(fitted).items():
        known = np.array(list(values.values()))
        tenth, median, ninetieth = np.percentile(known, [10, 50, 90])
        figures[name] = {
            "count": len(known), "median": median, "mean": known.mean(), "percentile_10": tenth,
            "percentile_90": ninetieth, "least": known.min(), "greatest": known.max(),
        }  # fmt: skip
        figures[name] = {key: round(float(value), 4) for key, value in figures[name].items()}
    return {
        "fields": len(fitted),
        "failed": len(lines) - len(fitted),
        "of": len(items),
        "figures": figures,
        "training_seconds": round(sum(line["training_seconds"] for line in fitted), 2),
        "seconds": round(sum(line["seconds"] for line in lines), 2),
        "worst": [line["name"] for line in _worst(fitted)],
        "errors": {line["name"]: line["error"] for line in lines if "error" in line},
    }


def summary_of(folder: Path) -> Dict[str, Any]:
    """`summarise` of what there is in a store now.

    Raises:
        SignalError: it is none, or damaged.
    """
    return summarise(read_items(folder / ITEMS), load_fields(folder).lines)


def write_summary(folder: Path, items: Sequence[Item], lines: Sequence[Line]) -> None:
    """Writes the summary as JSON and as a page that holds all it shows."""
    summary = summarise(items, lines)
    write_json(folder / TABLE, summary)
    fitted = [line for line in lines if "error" not in line]
    of = "" if len(lines) == len(items) else f" of {len(items):,}"
    parts = [f"<h1>{html(folder.resolve().name)}: {len(fitted):,}{of} {'field' if len(fitted) == 1 else 'fields'}</h1>"]
    if fitted:
        share = summary["training_seconds"] / max(summary["seconds"], 1e-9)
        parts.append(
            f"<p>{summary['seconds']:,.0f} seconds of work, {share:.0%} of it training; "
            f"{counted(summary['failed'], 'signal')} could not be fitted.</p>"
        )
        parts.append(_figures_table(summary["figures"]))
        parts += [_histogram(name, list(values.values())) for name, values in _values(fitted).items()]
        parts.append(f"<h2>The worst</h2><div class='worst'>{''.join(_shown(folder, items, fitted))}</div>")
    if summary["errors"]:
        errors = [f"<li>{html(error)}</li>" for error in list(summary["errors"].values())[:MOST_ERRORS]]
        more = len(summary["errors"]) - len(errors)
        if more:
            errors.append(f"<li>and {more:,} more, in {TABLE}</li>")
        parts.append(f"<h2>Not fitted</h2><ul>{''.join(errors)}</ul>")
    title = html(folder.resolve().name)
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
    head += f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style><body>"
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(head + "\n".join(parts) + "</body></html>\n", encoding="utf-8")


def _values(fitted: Sequence[Line]) -> Dict[str, Dict[int, float]]:
    """Of each figure that counts, its values by the item's index."""
    values: Dict[str, Dict[int, float]] = {}
    for line in fitted:
        name = main_figure(line)
        if line["figures"].get(name) is not None:
            values.setdefault(name, {})[line["index"]] = line["figures"][name]
    return values


def _worst(fitted: Sequence[Line]) -> List[Line]:
    """The fields with the lowest figures, of each figure alike; those without one first."""
    groups: Dict[str, List[Line]] = {}
    for line in fitted:
        groups.setdefault(main_figure(line), []).append(line)
    each = max(1, WORST // max(len(groups), 1))

    def rank(line: Line) -> float:
        value = line["figures"].get(main_figure(line))
        return -np.inf if value is None else value

    return [line for group in groups.values() for line in sorted(group, key=rank)[:each]]


def _figures_table(figures: Mapping[str, Mapping[str, float]]) -> str:
    heads = ["median", "mean", "percentile_10", "percentile_90", "least", "greatest"]
    rows = [
        f"<tr><td>{html(_title(name))}</td>" + "".join(f"<td>{values[head]:.4g}</td>" for head in heads) + "</tr>"
        for name, values in figures.items()
    ]
    head = "".join(f"<th>{name.replace('percentile_', '').replace('0', '0 %')}</th>" for name in heads)
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _title(name: str) -> str:
    """A figure in words, with its unit."""
    words = words_of(name)
    return f"{words.name},{words.unit}" if words.unit else words.name


def _histogram(name: str, values: Sequence[float]) -> str:
    """How a figure is distributed, as SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.4), layout="constrained")
    axes = figure.subplots()
    axes.hist(values, bins=min(60, max(5, len(values) // 4)), color="#4477aa")
    axes.set_xlabel(_title(name))
    axes.set_ylabel("signals")
    axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _shown(folder: Path, items: Sequence[Item], fitted: Sequence[Line]) -> List[str]:
    """The worst fields beside their originals."""
    fields = load_fields(folder)
    arrays: Dict[str, np.ndarray] = {}
    shown: List[str] = []
    for line in _worst(fitted):
        name, field = main_figure(line), fields[line["name"]]
        row = KINDS[field.kind]
        value = line["figures"].get(name)
        caption = f"{html(line['name'])}: {html(_title(name))} {'unknown' if value is None else f'{value:.4g}'}"
        picture = ""
        if row.notebook is not None:
            try:
                options = ReadOptions(**line["description"]["signal"].get("read_options", {}))
                original = signal_of(items[line["index"]].data(arrays), field.kind, options)
            except (SignalError, TypeError):
                original = None  # It is not there any more.
            picture = row.get("notebook")(field, original)
        shown.append(f"<div>{picture}<div>{caption}</div></div>")
    return shown

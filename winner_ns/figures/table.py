"""Figures of several fields in one table for the terminal."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Union

from rich.table import Table
from rich.text import Text

from winner_ns.safe_text import terminal

LOWER_IS_BETTER = (
    "chamfer",
    "chamfer_percent_of_diagonal",
    "hausdorff_percent_of_diagonal",
    "log_spectral_distance",
)
"""Figures that are errors; all others grow with the quality."""


def figures_table(tables: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each field: its figures, the best of each in bold, parameters, training time and size of the file.

    Args:
        tables: by name, what a figures.json (or `run_figures`) says of a field; what is not known stays empty.
    """
    figures = list(dict.fromkeys(name for table in tables.values() for name in table.get("figures", {})))
    best = {figure: _best(figure, tables) for figure in figures}
    others = {"parameters": "parameters", "training_seconds": "seconds", "file_bytes": "kB"}
    others = {key: title for key, title in others.items() if any(key in table for table in tables.values())}
    shown = Table("field")
    for title in [*figures, *others.values()]:
        # As a str, [x] would be markup.
        shown.add_column(Text(terminal(title.replace("_", " "))))
    for column in shown.columns[1:]:
        column.justify = "right"
    for name, table in tables.items():
        row = [Text(terminal(name))]
        for figure in figures:
            value = table.get("figures", {}).get(figure)
            is_best = value is not None and value == best[figure]
            row.append(Text("-" if value is None else f"{value:.4g}", "bold" if is_best else ""))
        for key in others:
            value = table.get(key)
            row.append(Text("" if value is None else _number(key, value)))
        shown.add_row(*row)
    return shown


def _best(figure: str, tables: Mapping[str, Mapping[str, Any]]) -> Optional[Union[int, float]]:
    known = [table.get("figures", {}).get(figure) for table in tables.values()]
    values = [value for value in known if value is not None]
    if len(values) < 2 or min(values) == max(values):
        return None
    return min(values) if figure in LOWER_IS_BETTER else max(values)


def _number(key: str, value: Union[int, float]) -> str:
    if key == "training_seconds":
        return f"{value:.1f}"
    return f"{value:,}" if key == "parameters" else f"{value / 1000:,.0f}"

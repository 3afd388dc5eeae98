"""Figures that compare two surfaces in one table for the terminal."""

from __future__ import annotations

from typing import Any, Mapping

from rich.table import Table
from rich.text import Text

from winner_ns.safe_text import terminal

_LENGTHS = {"": "", "_percent_of_diagonal": "  % of diagonal", "_unit_cube": "  in unit cube"}
_SQUARES = {"": "mean square", "_percent_of_squared_diagonal": "  % of diagonal²", "_unit_cube": "  in unit cube"}
_FACTS = {
    **{name: name for name in ("area", "volume", "vertices", "faces", "components")},
    "Euler: V - E + F": "euler_characteristic",
    **{name: name for name in ("genus", "watertight")},
}
_FAULTS = {"  open edges": "open_edges", "  branching edges": "branching_edges"}
_CAPTION = (
    "A to B: completeness, recall. B to A: accuracy, precision. Both: Chamfer distance L1 (mean distance) and L2 (mean "
    "square) and normal consistency, the mean of both ways; Hausdorff distance, the larger; F-score (within). Lengths "
    "are in the files' unit, % are of the diagonal of A's bounding box. ±: standard error of {samples:,} samples."
)


def mesh_figures_table(result: Mapping[str, Any]) -> Table:
    """What `winner_ns.figures.meshes.compare_files` returns: a row for each figure, with standard errors."""
    a, b = result["reference"], result["reconstruction"]
    table = Table(
        "",
        "A to B",
        "B to A",
        "both",
        # As a str, [x] would be markup.
        title=Text(f"A, the reference: {terminal(a['path'])}\nB, the reconstruction: {terminal(b['path'])}"),
        caption=_CAPTION.format(samples=result["samples"]),
        title_justify="left",
        caption_justify="left",
    )
    for column in table.columns[1:]:
        column.justify = "right"

    def add(label: str, *names: str, figures: Mapping[str, Any] = result) -> None:
        table.add_row(label, *(_estimate(figures, name) for name in names))

    for suffix, unit in _LENGTHS.items():
        add(unit or "mean distance", f"completeness{suffix}", f"accuracy{suffix}", f"chamfer_l1{suffix}")
    for suffix, unit in _SQUARES.items():
        add(unit, "", "", f"chamfer_l2{suffix}")
    for suffix, unit in _LENGTHS.items():
        names = ("hausdorff_from_reference", "hausdorff_from_reconstruction", "hausdorff")
        add(unit or "largest distance", *(name + suffix for name in names))
    for scores in result["f_scores"]:
        label = f"within {scores['threshold_percent_of_diagonal']:g} %"
        add(label, "recall", "precision", "f_score", figures=scores)
    add("normal consistency", "", "", "normal_consistency")
    add("  with its sign", "", "", "normal_consistency_signed")
    add("volume IoU", "", "", "iou")
    table.add_section()
    table.add_row("", "[bold]A[/bold]", "[bold]B[/bold]", "")
    for label, name in _FACTS.items():
        table.add_row(label, _fact(a.get(name)), _fact(b.get(name)), "")
    for label, name in _FAULTS.items():
        if a.get(name) or b.get(name):
            table.add_row(label, _fact(a.get(name)), _fact(b.get(name)), "")
    return table


def _estimate(figures: Mapping[str, Any], name: str) -> str:
    if not name:
        return ""
    if name not in figures:
        return "-"
    value, error = figures[name], figures.get(f"{name}_error")
    shown = f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.4g}"
    return shown if error is None else f"{shown} ± {error:.1g}"


def _fact(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else f"{value:,}"

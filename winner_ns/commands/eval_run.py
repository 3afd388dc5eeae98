"""`winner-ns eval`: a finished run's figures, measured anew without its config.yml."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, Dict

from winner_ns.commands.arguments import add_original, add_overwrite, print_json
from winner_ns.errors import SignalError, flag_of, settings_called
from winner_ns.progress import announce
from winner_ns.safe_text import tell

HELP = "measure a run's or a field file's figures anew, a stranger's too: nothing in it is executed"
EXAMPLE = "winner-ns eval RUN --output-path figures.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="RUN", help="a run's folder, a checkpoint, a field file")
    add_original(parser)
    parser.add_argument("--output-path", type=Path, metavar="JSON", help="write the figures to a file, as ns-eval does")
    parser.add_argument(
        "--render-output-path", type=Path, metavar="FOLDER", help="write what was fitted, and a comparison, as well"
    )
    add_overwrite(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    announce("measuring", options.source)
    from winner_ns.fitting.evaluation import evaluate_field
    from winner_ns.fitting.finished_fields import load_finished, target_as_trained
    from winner_ns.writing import check_output, write_json

    if options.output_path:
        check_output(options.output_path, (".json",))
    with settings_called(flag_of):
        finished = load_finished([options.source], options.data, options.decoded_limit, least=1, estimated=False)
    if finished.original is None:
        problem = finished.warnings[0].removeprefix("shown without the original: ")
        raise SignalError(options.source, f"has no original to be judged by ({problem})", "name it by --data")
    tables: Dict[str, Dict[str, Any]] = {}
    for name, field in finished.fields.items():
        figures = evaluate_field(field, target_as_trained(field.description, finished.original))
        known = {key: each for key, each in finished.tables[name].items() if key != "figures"}
        tables[name] = {"figures": {key: _finite(value) for key, value in figures.items()}, **known}
    result = _as_ns_eval(options.source, tables, finished.fields)
    written = [write_json(options.output_path, result)] if options.output_path else []
    if options.render_output_path:
        written += _write(options.render_output_path, finished)
    if options.json:
        print_json({**result, "original": str(finished.original.path), "files": list(map(str, written))})
        return
    from rich.console import Console

    from winner_ns.figures.table import figures_table

    tell(f"original  {finished.original.path}")
    Console().print(figures_table(tables))
    tell(*(f"wrote     {path}" for path in written))


def _finite(value: float) -> Any:
    return float(value) if math.isfinite(value) else None


def _as_ns_eval(source: Path, tables: Dict[str, Dict[str, Any]], fields: Dict[str, Any]) -> Dict[str, Any]:
    """What `ns-eval` writes of a run."""
    from winner_ns.fitting.run import find_checkpoint

    first, several = next(iter(fields.values())), len(fields) > 1
    results = {
        f"{name}/{figure}" if several else figure: value
        for name, table in tables.items()
        for figure, value in table["figures"].items()
    }
    return {
        "experiment_name": Path(first.description.name).stem,
        "method_name": "winner-compare" if several else "winner-siren",
        "checkpoint": str(source if first.step is None else find_checkpoint(source)),
        "results": results,
    }


def _write(folder: Path, finished: Any) -> "list[Path]":
    """Writes the results of each field, and a picture of several."""
    from winner_ns.export.fields_comparison import write_fields_comparison
    from winner_ns.export.results import write_results

    if len(finished.fields) == 1:
        return write_results(next(iter(finished.fields.values())), folder, finished.original)
    paths = [
        path
        for name, field in finished.fields.items()
        for path in write_results(field, folder / name, finished.original)
    ]
    write_fields_comparison(folder / "comparison.png", finished.fields, finished.original)
    return [*paths, folder / "comparison.png"]

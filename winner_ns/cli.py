"""winner-ns: inspect signals, analyse fields, export and compare finished runs.

Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

from winner_ns import __version__
from winner_ns.errors import SignalError


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs `winner-ns`; returns the exit status: 0, 1 for bad input, 130 for Ctrl-C (argparse exits with 2)."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
        sys.stdout.flush()
    except SignalError as error:
        return _fail(str(error))
    except MemoryError as error:
        return _fail(f"not enough memory ({error}); ask for a smaller size or resolution")
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(str(error))
    return 0


def _fail(line: str) -> int:
    print(f"winner-ns: error: {line}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="winner-ns", description="Inspect signals, export what was fitted to them, and compare fields."
    )
    parser.add_argument("--version", action="version", version=f"winner-ns {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_inspect(commands)
    _add_analyze(commands)
    export = commands.add_parser("export", help="write what a run has fitted to a file that other programs read")
    exports = export.add_subparsers(required=True, metavar="WHAT")
    _add_image(exports)
    _add_audio(exports)
    _add_mesh(exports)
    _add_volume(exports)
    _add_compare(commands)
    _add_eval_mesh(commands)
    _add_bench(commands)
    _add_export(exports, "field", "the field itself, one .safetensors file for winner_ns.load_field", _export_field)
    return parser


def _add_inspect(commands: Any) -> None:
    parser = commands.add_parser("inspect", help="show a signal's spectrum and what a law makes of it")
    parser.set_defaults(command=_inspect)
    parser.add_argument("file", type=Path, help="image, sound, mesh, points, volume, video or a folder of photographs")
    parser.add_argument(
        "--kind", default="auto", help="image, audio, shape, volume, video or views (default: told by the file)"
    )
    parser.add_argument("--law", default="matching", help="matching (default), paper, reference-code or explicit")
    parser.add_argument(
        "--purpose",
        help="of the law matching: interpolate, fit, memorise, or kappa (default 0.5, shapes 4, scenes 0.3)",
    )
    parser.add_argument("--s0", type=float, help="noise scale of layer 1, for the law explicit")
    parser.add_argument("--s1", type=float, help="noise scale of layer 2, for the law explicit")
    parser.add_argument("--width", type=_count, help="neurons of every sine layer (default 256)")
    parser.add_argument("--depth", type=_count, help="number of sine layers (default 4)")
    parser.add_argument("--omega-0", type=_positive, default=30.0, help="frequency factor (default 30)")
    parser.add_argument("--first-omega-0", type=_positive, help="of the first layer (default: omega-0)")
    _add_reading(parser)
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the spectrum and the bands")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    sound = parser.add_argument_group("sounds")
    sound.add_argument("--start", type=float, help="seconds to skip")
    sound.add_argument("--duration", type=float, help="seconds to read")
    sound.add_argument("--duration-samples", type=int, help="samples to read, instead of --duration")
    sound.add_argument("--sample-rate", type=int, help="hertz to resample to")
    sound.add_argument("--mono", action="store_true", default=None, help="average the channels")


def _add_analyze(commands: Any) -> None:
    parser = commands.add_parser(
        "analyze", help="show what initialisation does to a field: spectra of its layers, tangent kernel, gradients"
    )
    parser.set_defaults(command=_analyze)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="a finished run, before and after training")
    parser.add_argument(
        "--data", type=Path, help="without RUN: what a field would be trained on; with it: where that file is now"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="default: of a RUN analysis-<steps>-steps in its folder, else <name>-<family>-<flags>-analysis",
    )
    parser.add_argument("--points", type=_count, default=_POINTS, help="of the tangent kernel, at most (default 1024)")
    parser.add_argument("--format", choices=("png", "svg"), default="png", help="of the pictures (default png)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    field = parser.add_argument_group("a field that is yet to be trained, without RUN")
    field.add_argument(
        "--family", help="winner (default), siren, finer, wire, gauss, relu-pe, rff or hash-grid, as ns-train has it"
    )
    field.add_argument("--kind", help="image, audio, shape, volume or video (default: told by the file)")
    field.add_argument("--width", type=_count, help="neurons of every hidden layer (default: the kind's)")
    field.add_argument("--depth", type=_count, help="number of hidden layers (default: the kind's)")
    field.add_argument("--omega-0", type=_positive, help="frequency factor of winner and siren (default 30)")
    field.add_argument("--first-omega-0", type=_positive, help="of the first layer (default: omega-0)")
    field.add_argument("--law", help="of winner: matching (default), paper, reference-code or explicit")
    field.add_argument("--purpose", help="of the law matching: interpolate, fit, memorise, or kappa as a number")
    field.add_argument("--s0", type=float, help="noise scale of layer 1, means the law explicit")
    field.add_argument("--s1", type=float, help="noise scale of layer 2, means the law explicit")
    field.add_argument("--seed", type=int, help="of the random weights (default 42, as ns-train has it)")
    _add_reading(parser)


def _add_export(exports: Any, name: str, help: str, command: Callable[..., Dict[str, Any]]) -> argparse.ArgumentParser:
    parser = exports.add_parser(name, help=help)
    parser.set_defaults(command=_export, export=command)
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="a run's folder, its config.yml, a checkpoint, a field file"
    )
    parser.add_argument("-o", "--output", type=Path, help="the file to write; its suffix says the format")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_image(exports: Any) -> None:
    parser = _add_export(exports, "image", "an image: PNG, TIFF, JPEG, WebP, BMP, EXR or .npy", _export_image)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of width and height (default 1)")
    parser.add_argument("--bit-depth", type=int, choices=(8, 16, 32), help="32 is float (default: the original's)")


def _add_audio(exports: Any) -> None:
    parser = _add_export(exports, "audio", "a sound: WAV, FLAC, OGG, MP3, AIFF or .npy", _export_audio)
    parser.add_argument("--sample-rate", type=int, help="hertz (default: the original's)")
    parser.add_argument("--subtype", help="number format: PCM_16, PCM_24, FLOAT, … (default: the original's)")


def _add_mesh(exports: Any) -> None:
    parser = _add_export(
        exports, "mesh", "the surface of a shape, or learnt from photographs: PLY, OBJ, STL, GLB or OFF", _export_mesh
    )
    # argparse takes negative numbers with exponents for flags.
    parser._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)
    parser.add_argument("--resolution", type=int, default=256, help="grid points along the longest axis (default 256)")
    parser.add_argument(
        "--level", type=float, default=0.0, help="distance from the surface, negative inside (default 0)"
    )
    parser.add_argument(
        "--bounds",
        type=float,
        nargs="+",
        metavar="X",
        help="what is in a box: low x y z, high x y z, after RUN; one number: times the fitted cube (default 1)",
    )
    parser.add_argument("--components", type=_components, metavar="K", help="keep the K largest parts, or `largest`")
    parser.add_argument("--faces", type=_count, help="simplify to about so many")
    parser.add_argument("--project", action="store_true", help="move the vertices onto the level set itself")
    parser.add_argument("--normals", action="store_true", help="write the field's normals (PLY, OBJ, GLB)")
    parser.add_argument(
        "--frame",
        choices=("world", "scene"),
        help="of a surface learnt from photographs: world, as the original data (default), or scene, nerfstudio's",
    )


def _add_volume(exports: Any) -> None:
    parser = _add_export(exports, "volume", "a volume (.npy) or video (.npy, .mp4)", _export_volume)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor of all axes, but of a video's time (default 1)"
    )
    parser.add_argument(
        "--bit-depth", type=int, choices=(8, 16, 32), help="32 is float (default: the original's numbers)"
    )


def _add_compare(commands: Any) -> None:
    parser = commands.add_parser("compare", help="look at finished runs of one signal side by side")
    parser.set_defaults(command=_compare)
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run folders, checkpoints, field files or comparisons"
    )
    parser.add_argument("--save", type=Path, metavar="PNG", help="write a picture instead of opening the viewer")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of opening the viewer")
    parser.add_argument("--host", default="0.0.0.0", help="address that the viewer listens on (default all)")
    parser.add_argument("--port", type=_count, help="port of the viewer (default 7007 or the next that is free)")


def _add_eval_mesh(commands: Any) -> None:
    parser = commands.add_parser(
        "eval-mesh", help="figures of how far two surfaces are apart: Chamfer and Hausdorff distance, F-score, IoU, …"
    )
    parser.set_defaults(command=_eval_mesh)
    parser.add_argument("reference", type=Path, metavar="A", help="the reference: a mesh, or points with normals")
    parser.add_argument("reconstruction", type=Path, metavar="B", help="what is judged, in the same frame and unit")
    parser.add_argument(
        "--samples", type=_count, default=100_000, help="points on each mesh, and in the volume (default 100000)"
    )
    parser.add_argument(
        "--thresholds",
        type=_positive,
        nargs="+",
        default=(0.1, 0.5, 1.0),
        metavar="PERCENT",
        help="of the F-score, in percent of the reference's bounding-box diagonal (default 0.1 0.5 1)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_bench(commands: Any) -> None:
    parser = commands.add_parser("bench", help="train all fields of a preset on all its signals, and write a report")
    parser.set_defaults(command=_bench)
    parser.add_argument("preset", nargs="?", metavar="PRESET", help="a name that --list shows, or a YAML file")
    parser.add_argument("--list", action="store_true", help="show the presets, and the inputs that they may name")
    parser.add_argument("--data", type=Path, metavar="DIR", help="fit the files in this folder instead")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default bench-results/PRESET-BUDGET; is gone on with")
    parser.add_argument("--budget", choices=("short", "paper"), default="short", help="default short: minutes")
    parser.add_argument("--workers", type=_count, default=0, help="cells at a time (default: GPUs, else cores)")


def _inspect(options: argparse.Namespace) -> None:
    from winner_ns.export.output import check_suffix
    from winner_ns.fitting.settings import SETTINGS
    from winner_ns.scenes.folder import is_scene
    from winner_ns.signals import ReadOptions, load_signal
    from winner_ns.spectrum.inspection import inspect_signal

    if options.kind == "views" or (options.kind == "auto" and is_scene(options.file)):
        _inspect_views(options)
        return
    if options.plot:
        from winner_ns.export.spectrum_plot import SUFFIXES, write_spectrum_plot

        check_suffix(options.plot, SUFFIXES)
    given = _given(options, _READING)
    signal = load_signal(options.file, options.kind, ReadOptions(**given))
    if given and signal.kind != "audio":
        raise SignalError(
            _flag(next(iter(given))), f"is for sounds, {options.file} is of the kind {signal.kind}", "leave it out"
        )
    defaults = SETTINGS[signal.kind]
    inspection = inspect_signal(
        signal,
        width=options.width or defaults.width,
        depth=options.depth or defaults.depth,
        omega_0=options.omega_0,
        first_omega_0=options.first_omega_0,
        law=options.law,
        purpose=options.purpose,
        s0=options.s0,
        s1=options.s1,
    )
    if options.plot:
        write_spectrum_plot(options.plot, inspection)
    if options.json:
        plot = {"plot": str(options.plot)} if options.plot else {}
        _print_json({**inspection.as_dict(), **plot})
    else:
        print("\n".join([*inspection.lines(), *([f"plot      {options.plot}"] if options.plot else [])]))


def _inspect_views(options: argparse.Namespace) -> None:
    from winner_ns.plugin.photographs import inspect_views

    for name in ("plot", *_given(options, _READING)):
        if getattr(options, name) is not None:
            raise SignalError(_flag(name), "is not for posed photographs", "leave it out")
    asked = ("width", "depth", "omega_0", "first_omega_0", "law", "purpose", "s0", "s1")
    lines, facts = inspect_views(options.file, **{name: getattr(options, name) for name in asked})
    if options.json:
        _print_json(facts)
    else:
        print("\n".join(lines))


_READING = ("start", "duration", "duration_samples", "sample_rate", "mono")
_FIELD = ("family", "width", "depth", "omega_0", "first_omega_0", "law", "purpose", "s0", "s1", "seed")
_POINTS = 1024


def _analyze(options: argparse.Namespace) -> None:
    from winner_ns.analysis import FieldChoice, analyze, subject_before_training, subject_of_run
    from winner_ns.analysis.numbers import analysed_data, summary, write_numbers
    from winner_ns.analysis.pictures import write_pictures
    from winner_ns.progress import progress_bar
    from winner_ns.signals import ReadOptions

    given, reading = _given(options, (*_FIELD, "kind")), _given(options, _READING)
    if options.run:
        for name in (*given, *reading):
            raise SignalError(_flag(name), "is for a field that is yet to be trained", "leave it out, or RUN")
        subject = subject_of_run(options.run, options.data)
    elif options.data is None:
        raise SignalError("analyze", "there is nothing to analyse", "give a finished run, or a file with --data")
    else:
        kind = given.pop("kind", "auto")
        subject = subject_before_training(options.data, FieldChoice(**given), kind, ReadOptions(**reading))
    folder = options.output or _analysis_folder(options, subject)
    before, data = analysed_data(folder / "numbers.npz"), subject.description["data"]
    if not (options.output or options.run) and before not in (None, data):
        raise SignalError(folder, f"holds the analysis of {before}", "name another folder with --output")
    with progress_bar() as report:
        analysis = analyze(subject, options.points, report)
    paths = write_pictures(folder, analysis, options.format)
    paths.append(folder / "numbers.npz")
    write_numbers(paths[-1], analysis)
    result = summary(analysis)
    if options.json:
        _print_json({**result, "files": [str(path) for path in paths]})
    else:
        print(
            "\n".join([*(f"verdict   {line}" for line in result["verdict"]), *(f"wrote     {path}" for path in paths)])
        )


def _analysis_folder(options: argparse.Namespace, subject: Any) -> Path:
    """Where an analysis goes by default: analyses of other fields, or with other flags, have other folders."""
    given = _given(options, (*_FIELD[1:], "kind", *_READING))
    if options.points != _POINTS:
        given["points"] = options.points
    flags = [
        name.replace("_", "-") + ("" if value is True else f"={str(value).removesuffix('.0')}")
        for name, value in given.items()
    ]
    if subject.folder is None:
        parts = [subject.target.signal.path.stem, subject.description["network"]["family"], *flags, "analysis"]
        return Path("-".join(parts))
    of = options.run.stem if subject.step is None else f"{subject.step + 1}-steps"
    return subject.folder / "-".join(["analysis", of, *flags])


def _given(options: argparse.Namespace, names: Sequence[str]) -> Dict[str, Any]:
    """Those of these flags that were given."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _compare(options: argparse.Namespace) -> None:
    from winner_ns.fitting.finished_fields import load_finished

    if options.save:
        from winner_ns.export.output import check_suffix

        check_suffix(options.save, (".png",))
    finished = load_finished(options.runs)
    for warning in finished.warnings:
        print(f"winner-ns: warning: {warning}", file=sys.stderr)
    if options.save:
        from winner_ns.export.fields_comparison import write_fields_comparison

        if finished.original is None:
            raise SignalError(options.save, "cannot be drawn without the original", "put that back, or open the viewer")
        write_fields_comparison(options.save, finished.fields, finished.original)
    if options.json:
        saved = {"path": str(options.save)} if options.save else {}
        _print_json({**saved, "fields": finished.tables})
        return
    from rich.console import Console

    from winner_ns.figures.table import figures_table

    Console().print(figures_table(finished.tables))
    if options.save:
        print(f"wrote {options.save}")
        return
    from winner_ns.viewing.finished_viewer import serve_forever, start_viewer

    start_viewer(
        finished.fields,
        finished.original,
        finished.tables,
        options.runs[0] if options.runs[0].is_dir() else options.runs[0].parent,
        options.host,
        options.port,
    )
    serve_forever()


def _eval_mesh(options: argparse.Namespace) -> None:
    from winner_ns.figures.meshes import compare_files

    result = compare_files(options.reference, options.reconstruction, options.samples, options.thresholds, options.seed)
    if options.json:
        _print_json(result)
        return
    from rich.console import Console

    from winner_ns.figures.mesh_table import mesh_figures_table

    Console().print(mesh_figures_table(result))
    for warning in result["warnings"]:
        print(f"winner-ns: warning: {warning}", file=sys.stderr)


def _bench(options: argparse.Namespace) -> None:
    from winner_ns.bench.preset import list_presets, load_preset
    from winner_ns.bench.tables import inputs_table, presets_table, terminal_tables

    if options.list:
        _print_tables([presets_table(list_presets()), inputs_table()])
        return
    if options.preset is None:
        raise SignalError("bench", "no preset is given", "name one, see winner-ns bench --list")
    from winner_ns.bench.run import CellsFailed, run_bench

    preset = load_preset(options.preset, options.budget)
    parts = [preset.name, options.budget, *([] if options.data is None else [options.data.resolve().name])]
    folder = options.out or Path("bench-results") / "-".join(parts)
    flags = {"--data": options.data, "--out": options.out, "--workers": options.workers}
    given = [str(part) for flag, value in flags.items() if value for part in (flag, value)]
    command = shlex.join(["winner-ns", "bench", options.preset, "--budget", options.budget, *given])
    try:
        records = run_bench(preset, folder, command, options.data, options.workers, budget=options.budget)
    except CellsFailed as error:
        _print_tables(terminal_tables(preset, error.records))
        raise
    _print_tables(terminal_tables(preset, records))
    print(f"wrote {folder / 'report.html'}, results.csv, results.md and results.jsonl beside it")


def _print_tables(tables: Sequence[Any]) -> None:
    from rich.console import Console

    for table in tables:
        Console().print(table)


def _export(options: argparse.Namespace) -> None:
    from winner_ns.fitting.run import load_run

    started = time.monotonic()
    if options.export is _export_mesh and _learnt_from_views(options.run):
        result = _export_surface(options)
    else:
        result = options.export(load_run(options.run), options)
    result["seconds"] = round(time.monotonic() - started, 3)
    if options.json:
        _print_json(result)
        return
    facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result.items() if key not in _UNTOLD)
    print(f"{result['path']}: {facts}")
    for warning in result.get("warnings", ()):
        print(f"winner-ns: warning: {warning}", file=sys.stderr)


_UNTOLD = ("path", "kind", "warnings")


def _export_image(run: Any, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.image import default_image_suffix, export_image
    from winner_ns.export.output import fitted_path, require_kind

    require_kind(run, "image")
    output = options.output or fitted_path(run, default_image_suffix(run, options.bit_depth))
    return export_image(run, output, options.scale, options.bit_depth)


def _export_audio(run: Any, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.audio import export_audio
    from winner_ns.export.output import fitted_path

    return export_audio(run, options.output or fitted_path(run, ".wav"), options.sample_rate, options.subtype)


def _learnt_from_views(path: Path) -> bool:
    """Whether a run learnt a surface from photographs."""
    from winner_ns.fitting.run import read_descriptions

    if path.suffix == ".safetensors":
        return False
    return any("surface" in description for description in read_descriptions(path)[0].values())


def _export_surface(options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.progress import progress_bar
    from winner_ns.rays.neus_mesh import load_surface, write_scene_mesh

    for name in ("level", "project", "normals"):
        if getattr(options, name):
            raise SignalError(f"--{name}", "is not for surfaces learnt from photographs", "leave it out")
    field, description = load_surface(options.run)
    output = options.output or Path(f"{description['name']}-fitted.ply")
    asked = {name: getattr(options, name) for name in ("bounds", "components", "faces")}
    with progress_bar() as report:
        return write_scene_mesh(
            field, description, output, options.resolution, options.frame or "world", report, **asked
        )


def _export_mesh(run: Any, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.mesh import MeshOptions, export_mesh
    from winner_ns.export.output import fitted_path
    from winner_ns.progress import progress_bar

    if options.frame is not None:
        raise SignalError("--frame", "is for surfaces learnt from photographs", "leave it out")
    asked = ("level", "bounds", "components", "faces", "project", "normals")
    output = options.output or fitted_path(run, ".ply")
    with progress_bar() as report:
        wanted = MeshOptions(**{name: getattr(options, name) for name in asked})
        return export_mesh(run, output, options.resolution, wanted, report)


def _export_volume(run: Any, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.output import fitted_path
    from winner_ns.export.volume import export_volume

    return export_volume(run, options.output or fitted_path(run, ".npy"), options.scale, options.bit_depth)


def _export_field(run: Any, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.export.field import export_field
    from winner_ns.export.output import fitted_path

    return export_field(run, options.output or fitted_path(run, ".safetensors"))


def _print_json(result: Dict[str, Any]) -> None:
    print(json.dumps(result, allow_nan=False))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _components(text: str) -> int:
    return 1 if text == "largest" else _count(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())

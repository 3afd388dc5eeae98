"""`winner-ns export mesh`: the surface of a shape, or one that was learnt from photographs."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Dict, Sequence

from winner_ns.commands.arguments import add_original, count
from winner_ns.errors import SignalError, flag_of
from winner_ns.safe_text import file_name

HELP = "the surface of a shape, of a volume, or learnt from photographs: PLY, OBJ, STL, GLB or OFF"
EXAMPLE = "winner-ns export mesh RUN --resolution 512 -o out.glb"
OF_SHAPES = ("project", "normals", "no_colours", "data", "decoded_limit")
"""What may be asked of shapes alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # argparse takes negative numbers with exponents for flags.
    parser._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)
    parser.add_argument("--resolution", type=int, help="grid points along the longest axis (default 256)")
    parser.add_argument(
        "--level",
        type=float,
        help="distance from the surface, negative inside (default 0); of a volume the value at it, in its own units",
    )
    parser.add_argument("--below", action="store_true", help="of a volume: values below the level are inside")
    parser.add_argument(
        "--spacing",
        type=float,
        nargs="+",
        metavar="X",
        help="of a volume's samples along z, y, x, after RUN (default 1)",
    )
    parser.add_argument(
        "--bounds",
        type=float,
        nargs="+",
        metavar="X",
        help="what is in a box: low x y z, high x y z, after RUN; one number: times the fitted cube (default 1)",
    )
    parser.add_argument("--components", type=_components, metavar="K", help="keep the K largest parts, or `largest`")
    parser.add_argument("--faces", type=count, help="simplify to about so many")
    parser.add_argument("--project", action="store_true", help="move the vertices onto the level set itself")
    parser.add_argument("--normals", action="store_true", help="write the field's normals (PLY, OBJ, GLB)")
    parser.add_argument("--no-colours", action="store_true", help="leave the colours of a coloured original away")
    add_original(parser)
    parser.add_argument(
        "--frame",
        choices=("world", "scene"),
        help="of a surface learnt from photographs: world, as the original data (default), or scene, nerfstudio's",
    )


def export(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    if _learnt_from_views(source):
        return _export_surface(source, options)
    from winner_ns.export.mesh import MeshOptions, export_mesh
    from winner_ns.export.output import fitted_path
    from winner_ns.fitting.run import load_run
    from winner_ns.progress import progress_bar
    from winner_ns.reading import DECODED_LIMIT, decoded_limit
    from winner_ns.registry import resolve

    run = load_run(source)
    if options.frame is not None:
        raise SignalError("--frame", "is for surfaces learnt from photographs", "leave it out")
    output = options.output or fitted_path(run, ".ply")
    surface = run.description.row.surface
    if surface is not None:
        _refuse(options, ("bounds", *OF_SHAPES), "shapes")
        asked = ("below", "spacing", "components", "faces")
        wanted = resolve(f"{surface}:SurfaceOptions")(**{name: getattr(options, name) for name in asked})
        with progress_bar() as report:
            export_surface = resolve(f"{surface}:export_volume_surface")
            return export_surface(run, output, options.level, options.resolution, wanted, report)
    _refuse(options, ("below", "spacing"), "volumes")
    asked = {name: getattr(options, name) for name in ("bounds", "components", "faces", "project", "normals")}
    allowed = DECODED_LIMIT if options.decoded_limit is None else options.decoded_limit
    with progress_bar() as report, decoded_limit(allowed):
        colours = {"colours": not options.no_colours, "original": options.data}
        wanted = MeshOptions(options.level or 0.0, **asked, **colours)
        return export_mesh(run, output, options.resolution, wanted, report, called=source)


def _learnt_from_views(path: Path) -> bool:
    """Whether a run learnt a surface from photographs."""
    from winner_ns.fitting.run import read_descriptions

    if path.suffix == ".safetensors":
        return False
    return any("surface" in description for description in read_descriptions(path)[0].values())


def _export_surface(source: Path, options: argparse.Namespace) -> Dict[str, Any]:
    from winner_ns.progress import progress_bar
    from winner_ns.registry import resolve

    _refuse(options, ("level", *OF_SHAPES), "shapes")
    _refuse(options, ("below", "spacing"), "volumes")
    meshes = "winner_ns.rays.neus_mesh"
    field, description = resolve(f"{meshes}:load_surface")(source)
    output = options.output or Path(f"{file_name(description.name)}-fitted.ply")
    asked = {name: getattr(options, name) for name in ("bounds", "components", "faces")}
    with progress_bar() as report:
        return resolve(f"{meshes}:write_scene_mesh")(
            field, description, output, options.resolution, options.frame or "world", report, **asked
        )


def _refuse(options: argparse.Namespace, names: Sequence[str], of: str) -> None:
    """Raises SignalError for flags that are of others."""
    for name in names:
        if getattr(options, name):
            raise SignalError(flag_of(name), f"is for {of}", "leave it out")


def _components(text: str) -> int:
    return 1 if text == "largest" else count(text)

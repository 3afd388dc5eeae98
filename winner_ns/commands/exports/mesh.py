"""`winner-ns export mesh`: the surface of a shape, or one that was learnt from photographs."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Dict

from winner_ns.commands.arguments import count
from winner_ns.errors import SignalError
from winner_ns.safe_text import file_name

HELP = "the surface of a shape, or learnt from photographs: PLY, OBJ, STL, GLB or OFF"
EXAMPLE = "winner-ns export mesh RUN --resolution 512 -o out.glb"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # argparse takes negative numbers with exponents for flags.
    parser._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.IGNORECASE)
    parser.add_argument("--resolution", type=int, help="grid points along the longest axis (default 256)")
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
    parser.add_argument("--faces", type=count, help="simplify to about so many")
    parser.add_argument("--project", action="store_true", help="move the vertices onto the level set itself")
    parser.add_argument("--normals", action="store_true", help="write the field's normals (PLY, OBJ, GLB)")
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

    run = load_run(source)
    if options.frame is not None:
        raise SignalError("--frame", "is for surfaces learnt from photographs", "leave it out")
    asked = ("level", "bounds", "components", "faces", "project", "normals")
    output = options.output or fitted_path(run, ".ply")
    with progress_bar() as report:
        wanted = MeshOptions(**{name: getattr(options, name) for name in asked})
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

    for name in ("level", "project", "normals"):
        if getattr(options, name):
            raise SignalError(f"--{name}", "is not for surfaces learnt from photographs", "leave it out")
    meshes = "winner_ns.rays.neus_mesh"
    field, description = resolve(f"{meshes}:load_surface")(source)
    output = options.output or Path(f"{file_name(description.name)}-fitted.ply")
    asked = {name: getattr(options, name) for name in ("bounds", "components", "faces")}
    with progress_bar() as report:
        return resolve(f"{meshes}:write_scene_mesh")(
            field, description, output, options.resolution, options.frame or "world", report, **asked
        )


def _components(text: str) -> int:
    return 1 if text == "largest" else count(text)

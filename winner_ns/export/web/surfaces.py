"""A page of a shape: its surface, to be turned, cut and measured."""

from __future__ import annotations

import zlib
from typing import Any, Dict, Mapping, Optional

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.export.mesh_colours import original_colours
from winner_ns.export.web.exhibit import Exhibit, PageOptions, base64_text, no_original
from winner_ns.fields.files import LoadedField
from winner_ns.meshing.cleaning import simplified
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.signals import Signal

RESOLUTION = 192
"""Grid points along each axis, where nothing else is asked for."""
FACES = 100_000
"""Triangles, likewise."""
STEPS = 2**16 - 1
"""Into which the box around a surface is divided along its longest side."""


def surfaces(fields: Mapping[str, LoadedField], signal: Optional[Signal], options: PageOptions) -> Exhibit:
    """What a page shows of fields of a shape: meshes, whose vertices lie on a grid of STEPS along the longest side.

    Args:
        fields: by name.
        signal: None: such a page does not hold the original.
        options: of the page.

    Raises:
        SignalError: a field without a surface, an original, or a resolution that cannot be.
    """
    no_original(signal, "shapes")
    first = next(iter(fields.values()))
    scale, name = first.signal["scale"], first.description.name
    if options.resolution is not None and not 3 <= options.resolution <= 1024:
        raise SignalError("resolution", f"{options.resolution} is none of a page", "give 3 to 1024")
    meshes, colours, warnings = [], {}, []
    for field_name, loaded in fields.items():
        options.report("extracting the surface", len(meshes), len(fields))
        vertices, faces = extract_unit_mesh(loaded, options.resolution or RESOLUTION)
        if not len(faces):
            raise SignalError(loaded.description.name, "the field has no surface", "train longer")
        if len(faces) > (options.faces or FACES):
            vertices, faces = simplified(vertices, faces, options.faces or FACES)
        meshes.append((field_name, vertices, faces))
        colours[field_name], missing = original_colours(loaded, vertices, report=options.report)
        warnings += [line for line in missing if line not in warnings]
    low = np.min([vertices.min(0) for _, vertices, _ in meshes], axis=0)
    high = np.max([vertices.max(0) for _, vertices, _ in meshes], axis=0)
    step = float((high - low).max()) / STEPS
    data: Dict[str, Any] = {
        "fields": [
            {
                "name": field_name,
                "vertices": _packed(np.rint((vertices - low) / step).astype(np.int64)),
                "faces": _packed(faces.astype(np.int64)),
                **({} if (own := colours[field_name]) is None else {"colours": _packed(own.astype(np.int64))}),
            }
            for field_name, vertices, faces in meshes
        ],
        "low": low.tolist(),
        "high": high.tolist(),
        "step": step,
        # From the unit cube, in which all is drawn, to the original's frame.
        "scale": scale,
        "center": first.signal["center"],
    }
    counts = " and ".join(f"{len(faces):,}" for _, _, faces in meshes)
    remarks = [
        f"The surface is a mesh of {counts} triangles, extracted on a grid of {options.resolution or RESOLUTION} points"
        f" along each axis; its vertices are rounded by {step * scale / 2:.2g} of the original's units at most.",
        "Distances between two points are in the original's units.",
    ]
    if any(own is not None for own in colours.values()):
        remarks.append("The colours are the original's at the nearest places: the field itself knows distances alone.")
    keys = {
        "arrow keys": "turn",
        "shift and arrow keys": "move",
        "+ and −": "zoom",
        "0": "as at first",
        "page up and page down": "move the cut",
        "enter": "measure at the middle",
    }
    if len(fields) > 1:
        keys["W and Shift+W"] = "move the divider"
    return Exhibit(
        stage="surfaces.html.jinja",
        scripts=("evaluator.js", "surfaces.js"),
        shaders=("surface.vert", "surface.frag"),
        data=data,
        evaluates=False,
        alt=f"The surface of the field of {name}",
        keys=keys,
        remarks=remarks,
        warnings=warnings,
    )


def _packed(rows: np.ndarray) -> str:
    """Whole numbers [n, 3] as text: of each its difference to the row before, column by column, folded so that small
    ones of either sign are small, in two halves of 16 bits, deflated."""
    differences = np.diff(rows, axis=0, prepend=np.zeros((1, 3), dtype=np.int64)).T.ravel()
    folded = np.where(differences < 0, -2 * differences - 1, 2 * differences).astype("<u4")
    halves = np.concatenate([folded & 0xFFFF, folded >> 16]).astype("<u2")
    planes = halves.view(np.uint8).reshape(-1, 2).T
    return base64_text(zlib.compress(np.ascontiguousarray(planes).tobytes(), 9))

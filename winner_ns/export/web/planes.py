"""A page of an image, or of slices of a volume or frames of a film, that the browser evaluates at any zoom."""

from __future__ import annotations

import io
from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.export.excerpts import displayed
from winner_ns.export.web.exhibit import Exhibit, PageOptions, base64_text, fields_data
from winner_ns.fields.files import LoadedField
from winner_ns.signals import GridSignal
from winner_ns.signals.colour import Colour

LARGEST_ORIGINAL = 4096
"""Pixels along a side of an original in a page."""


def planes(fields: Mapping[str, LoadedField], signal: Optional[GridSignal], options: PageOptions) -> Exhibit:
    """What a page shows of fields of a grid of two or three axes.

    Args:
        fields: by name.
        signal: the original that is to be in the page, an image; or None.
        options: of the page.

    Raises:
        SignalError: a family that no page evaluates, or an original that no page holds.
    """
    first = next(iter(fields.values()))
    facts, name = first.signal, first.description.name
    shape: List[int] = facts["shape"]
    if not 2 <= len(shape) <= 3:
        raise SignalError(name, f"has {len(shape)} axes, and a page shows two or three", "export it as an array")
    film = "frame_rate" in first.description.row.rates
    data: Dict[str, Any] = {
        "fields": [
            {
                **network,
                "gain": loaded.description.target["gain"],
                "offset": loaded.description.target["offset"],
            }
            for network, loaded in zip(fields_data(fields, options.bits), fields.values(), strict=True)
        ],
        "shape": shape,
        "channels": first.channels,
        "halfExtent": facts["half_extent"],
        "valueScale": facts["value_scale"],
        "valueOffset": facts["value_offset"],
        "frameRate": facts["frame_rate"] if film else None,
        "original": None,
    }
    remarks, warnings = [], []
    if signal is not None:
        data["original"], size = _original(signal)
        remarks.append(f"The original's pixels are in this page as a PNG of {size:,} bytes, in 8 bits a channel.")
    if len(shape) == 3:
        cut = "frame" if film else "slice"
        remarks.append(f"Each {cut} is a cut through the field; it can be placed between those of the original.")
    if first.channels > 4:
        remarks.append(f"Of its {first.channels} channels the first three are shown.")
    colour = Colour.of(facts.get("colour", {}))
    if colour and not colour.is_srgb:
        warnings.append(f"{name}: the page does not say what the original's colours mean; browsers take them for sRGB")
    keys = {"arrow keys": "move", "+ and −": "zoom", "0": "the whole"}
    if len(fields) > 1 or signal is not None:
        keys["W and Shift+W"] = "move the divider"
    if signal is not None:
        keys["V"] = "field, original, error"
    if len(shape) == 3:
        keys["page up and page down"] = "another frame" if film else "another slice"
    return Exhibit(
        stage="planes.html.jinja",
        scripts=("evaluator.js", "planes.js"),
        shaders=("sine.glsl", "layer.frag", "paint.frag", "show.frag"),
        data=data,
        alt=f"The field of {name}, evaluated at the pixels of this screen",
        keys=keys,
        remarks=remarks,
        warnings=warnings,
    )


def _original(signal: GridSignal) -> "tuple[str, int]":
    """The original's pixels as a PNG's address, and its bytes."""
    from PIL import Image

    if signal.dimensions != 2:
        raise SignalError(signal.path, "is no image, and only images go into a page whole", "leave the original out")
    if max(signal.shape) > LARGEST_ORIGINAL:
        problem = f"has {signal.shape[0]} x {signal.shape[1]} pixels, and a page's original at most {LARGEST_ORIGINAL}"
        raise SignalError(signal.path, f"{problem} along a side", "leave the original out")
    values = (signal.samples.astype(np.float32) - signal.value_offset) / signal.value_scale
    file = io.BytesIO()
    pixels = (255.0 * displayed(values)).round().astype(np.uint8)
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64_text(file.getvalue())}", len(file.getvalue())

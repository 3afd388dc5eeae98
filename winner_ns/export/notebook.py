"""What a fitted field shows in a notebook: HTML that holds all it needs, without scripts."""

from __future__ import annotations

import base64
import io
from typing import List, Optional

import numpy as np
from jaxtyping import Float, UInt8

from winner_ns.export.audio import as_integers, sound_blocks
from winner_ns.export.excerpts import OriginalSurface, displayed, draw_wave
from winner_ns.export.surface_rendering import render_surface, sample_mesh, three_quarter_view
from winner_ns.fields.files import LoadedField, on_lattice
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.safe_text import html
from winner_ns.signals import GridSignal, ShapeSignal

LONGEST_SIDE = 512
"""Pixels of a picture, at most."""
SHORTEST_SIDE = 256
"""Pixels along the longer side that smaller pictures are shown at."""
LONGEST_SOUND = 30
"""Seconds of a sound that can be heard, at most …"""
MOST_HEARD = 2**22
"""… and samples, of what is not for ears."""
RESOLUTION = 128
"""Grid points along each axis of the mesh that is shown."""
SURFACE_SIDE = 360
"""Pixels of its picture."""
SURFACE_SAMPLES = 500_000
"""Surface samples that it is made of, several to a pixel."""


def picture_html(field: LoadedField, signal: Optional[GridSignal]) -> str:
    """The field as a picture: of three axes the middle across the first one, a volume's slice or a video's frame.

    Args:
        field: of a grid of two or three axes.
        signal: what it was fitted to, which is shown beside it; None where that is not at hand.
    """
    extents: List[float] = field.signal["half_extent"]
    shape: List[int] = field.signal["shape"]
    scale = min(1.0, LONGEST_SIDE / max(shape[-2:]))
    sizes = [1] * (len(shape) - 2) + [max(1, round(n * scale)) for n in shape[-2:]]
    # Every so many samples, from the first to the last one; of an axis across the picture, the middle one.
    chosen = [
        np.linspace(0, n - 1, size).round().astype(int) if size > 1 else np.array([n // 2])
        for n, size in zip(shape, sizes, strict=True)
    ]
    lines = [e * (at * (2.0 / max(n - 1, 1)) - 1.0) for e, n, at in zip(extents, shape, chosen, strict=True)]
    name = field.description.name
    if len(shape) > 2:
        name += f", {'frame' if 'frame_rate' in field.signal else 'slice'} {chosen[0][0]} of {shape[0]}"
    fitted = on_lattice(field.normalised, lines).reshape(*sizes[-2:], -1)
    shown = [_image(_pixels(fitted), f"field of {name}", "field")]
    if signal is not None:
        raw = signal.samples[np.ix_(*chosen)].astype(np.float32).reshape(*sizes[-2:], -1)
        shown.append(_image(_pixels((raw - signal.value_offset) / signal.value_scale), f"original, {name}", "original"))
    return _side_by_side(shown)


def player_html(field: LoadedField, signal: Optional[GridSignal]) -> str:
    """The field as a sound that the browser plays, as loud as the original, over its waveform.

    Args:
        field: of a sound; its first LONGEST_SOUND seconds are heard.
        signal: what it was fitted to, whose waveform is drawn behind; None where that is not at hand.
    """
    import soundfile
    from matplotlib.figure import Figure

    total, rate = int(field.signal["shape"][0]), int(field.signal["sample_rate"])
    count = min(total, LONGEST_SOUND * rate, MOST_HEARD)
    sound = np.nan_to_num(np.concatenate(list(sound_blocks(field, rate, count))))
    file = io.BytesIO()
    soundfile.write(file, as_integers(sound, "PCM_16"), rate, format="WAV", subtype="PCM_16")

    seconds = np.arange(count) / rate
    figure = Figure(figsize=(6.0, 1.2), dpi=100, layout="constrained")
    ax = figure.add_subplot()
    if signal is not None:
        original = signal.samples[:count, 0] / signal.metadata.get("full_scale", 1.0)
        draw_wave(ax, seconds, original.astype(np.float64), "0.6", "original")
    draw_wave(ax, seconds, sound[:, 0].astype(np.float64), "tab:blue", "field", alpha=0.6 if signal else 1.0)
    if signal is not None:
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), fontsize=7, ncols=2, frameon=False, borderpad=0.0)
    ax.margins(x=0)
    ax.tick_params(labelsize=7)
    ax.set_xlabel("seconds", fontsize=7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", facecolor="white")

    part = "" if count == total else f", first {count / rate:.3g} s of {total / rate:.1f} s"
    channel = "" if field.channels == 1 else f"; drawn: channel 1 of {field.channels}"
    caption = html(f"field of {field.description.name}{part}{channel}")
    return (
        f'<div style="width:600px;max-width:100%"><img src="{_data("image/png", picture.getvalue())}" alt="{caption}" '
        f'style="width:100%"><audio controls src="{_data("audio/wav", file.getvalue())}" style="width:100%"></audio>'
        f'<div style="{_CAPTION}">{caption}</div></div>'
    )


def surface_html(field: LoadedField, signal: Optional[ShapeSignal]) -> str:
    """The field's surface as a shaded picture.

    Args:
        field: of a shape.
        signal: what it was fitted to, which is shown beside it from the same side; None where that is not at hand.
    """
    name = field.description.name
    vertices, faces = extract_unit_mesh(field, RESOLUTION)
    original = None if signal is None else OriginalSurface(signal, SURFACE_SIDE, SURFACE_SAMPLES)
    shown = []
    if len(faces):
        points, normals = sample_mesh(vertices, faces, SURFACE_SAMPLES)
        view = three_quarter_view(points) if original is None else original.view
        picture = render_surface(points, normals, view, SURFACE_SIDE)[0]
        shown.append(_image(_eight_bit(picture), f"surface of the field of {name}", "field"))
    else:
        shown.append(f"<p>{html(f'the field of {name} has no surface')}</p>")
    if original is not None:
        shown.append(_image(_eight_bit(original.picture), f"surface of the original, {name}", "original"))
    return _side_by_side(shown)


_CAPTION = "font-size:smaller;opacity:0.75;text-align:center"


def _pixels(values: Float[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w *c2"]:
    """Values in [-1, 1] as pixels of a PNG."""
    return _eight_bit(displayed(np.nan_to_num(values)))


def _eight_bit(picture: Float[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "h w *c"]:
    return (255.0 * picture).round().astype(np.uint8)


def _image(pixels: UInt8[np.ndarray, "h w *c"], described: str, caption: str) -> str:
    """A picture with a caption below; a tiny one is enlarged so that its pixels can be seen."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    height, width = pixels.shape[:2]
    enlarged = max(1, SHORTEST_SIDE // max(height, width))
    look = "max-width:100%;height:auto" + (";image-rendering:pixelated" if enlarged > 1 else "")
    return (
        f'<figure style="margin:0"><img src="{_data("image/png", file.getvalue())}" alt="{html(described)}" '
        f'title="{html(described)}" width="{enlarged * width}" style="{look}">'
        f'<figcaption style="{_CAPTION}">{html(caption)}</figcaption></figure>'
    )


def _side_by_side(parts: List[str]) -> str:
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start">{"".join(parts)}</div>'


def _data(media_type: str, content: bytes) -> str:
    """A URI that holds the content itself."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"

"""Smaller copies of images for benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
from jaxtyping import Shaped

from winner_ns.signals import GridSignal
from winner_ns.writing import replacing


def write_reduced(image: GridSignal, size: int, path: Path) -> Path:
    """Writes an image averaged to `size` pixels along its longer side, where it has more, without transparency.

    Integers of up to 16 bits become a PNG of 8 bits, for the same range; all others a .npy of float32, in which -1 and
    1 stand for the image's smallest and largest value.

    Returns:
        The file: the path with a suffix.
    """
    from PIL import Image

    colours = 1 if image.channels < 3 else 3
    pixels = image.samples[..., :colours]
    narrow = pixels.dtype.kind in "ui" and pixels.dtype.itemsize <= 2
    if pixels.dtype != np.uint8:
        pixels = (pixels.astype(np.float64) - image.value_offset) / image.value_scale
        pixels = ((pixels + 1.0) * 127.5).round().astype(np.uint8) if narrow else pixels.astype(np.float32)
    factor = size / max(image.shape)
    if factor < 1:
        height, width = (max(2, round(n * factor)) for n in image.shape)
        pixels = np.stack([_averaged(pixels[..., i], height, width) for i in range(colours)], axis=-1)
    path = path.with_name(path.name + (".png" if narrow else ".npy"))
    with replacing(path) as temporary:
        if narrow:
            picture = Image.fromarray(pixels[..., 0] if colours == 1 else pixels)
            picture.save(temporary, format="PNG", icc_profile=_profile(image.path))
        else:
            np.save(temporary, pixels)
    return path


def _profile(path: Path) -> Optional[bytes]:
    """What an image's file says about its colours, which averaging leaves as they are."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return None if image.mode == "CMYK" else image.info.get("icc_profile")
    except Exception:  # Any type: a format that Pillow does not know.
        return None


def _averaged(plane: Shaped[np.ndarray, "h w"], height: int, width: int) -> Shaped[np.ndarray, "i j"]:
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX))

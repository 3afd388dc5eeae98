"""Images, and a plane of volumes and videos, as a benchmark shows them: pictures with error maps."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float

from winner_ns.bench.excerpt import Excerpt, Tile
from winner_ns.bench.pixels import encoded, end_of_scale, enlarged, read_pixels, write_pixels
from winner_ns.export.excerpts import MOST_SHOWN, cut_values, displayed, single_cut
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.target import Target
from winner_ns.signals import Signal


class PlaneExcerpt(Excerpt):
    """fitted.png, original.png and noisy.png, of the one plane that stands for all (`single_cut`)."""

    def size(self, signal: Signal) -> str:
        return " x ".join(str(n) for n in signal.shape)

    def write(self, loaded: LoadedField, clean: Target, trained_on: Target, folder: Path, resolution: int) -> None:
        _, plane = single_cut(clean.signal)
        original, fitted = cut_values(loaded, clean.signal, plane, MOST_SHOWN)
        write_pixels(folder / "fitted.png", displayed(fitted))
        write_pixels(folder / "original.png", displayed(original))
        if trained_on is not clean:
            shown = cut_values(loaded, trained_on.signal, plane, MOST_SHOWN)[0]
            write_pixels(folder / "noisy.png", displayed(shown))

    def draw(self, tiles: Sequence[Tile], files: Sequence[Optional[Path]]) -> str:
        from matplotlib import colormaps

        shown = [None if path is None else read_pixels(path) for path in files]
        original = shown[0]
        errors = [None if each is None else np.abs(each - original).mean(axis=-1) for each in shown]
        limit = end_of_scale([error for error in errors[1:] if error is not None], 0.995)
        window = _detail(original, [error for error in errors[1:] if error is not None])
        for tile, picture, error in zip(tiles, shown, errors, strict=True):
            if picture is None:
                continue
            tile.pictures.append(("", *encoded(enlarged(picture), lossless=min(picture.shape[:2]) < 100)))
            if window is not None:
                tile.pictures.append(("detail", *encoded(enlarged(picture[window], 224), lossless=True)))
            if picture is not original:
                colored = colormaps["magma"](np.clip(error / limit, 0, 1))[..., :3]
                tile.pictures.append(("error", *encoded(enlarged(colored))))
        return (
            f"Error maps: black is none, the brightest colour {100 * limit:.2g} % of the range or more, in all alike."
        )


def _detail(original: Float[np.ndarray, "h w c"], errors: Sequence[np.ndarray]) -> Optional[Tuple[slice, slice]]:
    """A window of a quarter of the sides where there is contrast and the fields differ; None in small pictures."""
    from scipy.ndimage import uniform_filter

    height, width = original.shape[:2]
    if min(height, width) < 64 or not errors:
        return None
    sides = (height // 4, width // 4)
    gray = original.mean(axis=-1)
    contrast = uniform_filter(gray**2, sides) - uniform_filter(gray, sides) ** 2
    telling = np.maximum(contrast, 0) * np.std([uniform_filter(error, sides) for error in errors], axis=0)
    row, column = np.unravel_index(int((telling if telling.any() else contrast).argmax()), gray.shape)
    top, left = (int(np.clip(a - s // 2, 0, n - s)) for a, s, n in zip((row, column), sides, (height, width)))
    return slice(top, top + sides[0]), slice(left, left + sides[1])

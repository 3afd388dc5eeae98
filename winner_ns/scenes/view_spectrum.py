"""How finely posed photographs show a scene: the angular frequency that a field of it has to reach.

**From pixels to field coordinates.** Along an axis of a view's pixels psi (Nyquist = 1) is psi pi radians per pixel.
Neighbouring pixels' rays part by a small angle a, and at the distance D lie a D apart, so that the view shows
psi pi/(a D) radians per scene unit. A field whose coordinate's unit is `scale` scene units sees `scale` times that.

**Foreshortening.** Let d be the unit vector from what is seen to the camera, n the surface's normal there, e the pixel
axis. One scene unit along e moves the point that is seen by e - d (n·e)/(n·d). A plane wave of wave vector k in the
scene thus appears with the frequency |k·e - (k·d)(n·e)/(n·d)|: what varies across the line of sight is seen as it is,
however the surface is tilted; what varies along it is seen by the surface's slope only, not at all where the surface
faces the camera and too high where that slopes by more than 45 degrees. Views from around a scene average over both.

**Contraction.** Where points at the radius r > 1 are contracted to the radius 2 - 1/r (mip-NeRF 360, arXiv 2111.12077),
a unit of the field's coordinate across the radius is r²/(2r - 1) scene units, about r/2 far away. With D near r, the
background's frequency then tends to psi pi/(2 a), whatever its distance; `scale` is that of the uncontracted centre.

**What is measured.** Only texture: a silhouette is no frequency that a field has to show. Each stretch of the
foreground on a line of pixels has a Hann window of its own, the foreground's mean is taken off before, and what is
outside counts for nothing. A stretch of n pixels cannot tell frequencies below about 2/n cycles per pixel from zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Iterable, Optional, Tuple, Union

import numpy as np
import scipy.fft
import scipy.ndimage
from jaxtyping import Bool, Float, Float32, Int, UInt8

from winner_ns.spectrum.laws import TargetSpectrum

SHORTEST_RUN = 8
"""Pixels; shorter stretches of the foreground on a line are left out, their window says more than they do."""
MOST_LINES = 512
"""Lines of a view that are looked at along each axis; of more, evenly spaced ones stand for all."""
LINES_AT_ONCE = 128
OPAQUE = 0.5
"""Least alpha of the foreground."""
BACKGROUND_OF_BORDER = 0.9
"""Least share of the border's pixels that one colour takes where it is the background of a view without alpha."""
SAME_COLOUR = 2.5 / 255
"""Largest difference, per channel, of what counts as the same colour."""
ROUNDING = 1 / 255 / math.sqrt(12)
"""Standard deviation of the error of rounding to 8 bits."""
LEAST_OVER_ROUNDING = 3.0
"""Components whose magnitude is not above this many times rounding's root mean square are taken for rounding, which
reaches that in one of 8000 (exp(-9))."""


@dataclass(frozen=True)
class View:
    """A photograph as far as its frequencies matter.

    Raises:
        ValueError: not 3 or 4 channels, samples that are not finite, or angles or a distance that are not positive.
    """

    image: Union[Float[np.ndarray, "h w c"], UInt8[np.ndarray, "h w c"]]
    """RGB or RGBA (not premultiplied); uint8 0..255 or float 0..1."""
    pixel_angles: Tuple[float, float]
    """Mean angles, radians, between the rays of pixels that are neighbours in a column (one below the other) and in a
    row (side by side). Distortion and the pixels' aspect are thereby in them."""
    distance: float
    """Mean distance of the camera to what it sees, scene units."""

    def __post_init__(self) -> None:
        if self.image.shape[-1] not in (3, 4):
            raise ValueError(f"a view has 3 channels, or 4 with alpha, not {self.image.shape[-1]}")
        if self.image.dtype != np.uint8 and not np.isfinite(self.image).all():
            raise ValueError("a view's samples must be finite")
        if not all(math.isfinite(length) and length > 0 for length in (*self.pixel_angles, self.distance)):
            raise ValueError(
                f"pixel angles and distance must be positive, got {self.pixel_angles} rad and {self.distance}"
            )


def views_spectrum(views: Iterable[View], scale: float = 1.0) -> TargetSpectrum:
    """The spectrum of what posed photographs show, as a field in the scene sees it.

    Along each axis of a view's pixels psi is the mean of its lines' and channels' centroids (`spectral_centroid`), each
    counted by its foreground's pixels; what rounding to 8 bits could be does not count. The foreground is where alpha
    is at least OPAQUE; without alpha it is all but an even background, of the one colour that the border has. Views
    without texture count for nothing.

    Args:
        views: at least one; one is held at a time.
        scale: scene units per unit of the field's coordinate.

    Returns:
        kind "views", dimensions 3, channels 3; psi averaged over axes and views; omega in radians per unit of the
        field's coordinate, averaged likewise.

    Raises:
        ValueError: no view has any texture, or the scale is not positive.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"the scale must be positive, got {scale}")
    psis, omegas = [], []
    for view in views:
        pixels, foreground = _pixels_and_foreground(view.image)
        stride = -(-max(foreground.shape) // MOST_LINES)
        some = foreground[::stride, ::stride]
        if not some.any():
            continue
        mean = pixels[::stride, ::stride][some].mean(axis=0, dtype=np.float64)
        centroids = [_centroid_along(pixels, foreground, mean, axis) for axis in (0, 1)]
        measured = [(psi, angle) for psi, angle in zip(centroids, view.pixel_angles) if psi is not None]
        if measured:
            psis.append(np.mean([psi for psi, _ in measured]))
            omegas.append(np.mean([psi * np.pi / (angle * view.distance) for psi, angle in measured]))
    if not psis:
        raise ValueError(f"no view shows any texture on stretches of at least {SHORTEST_RUN} pixels")
    return TargetSpectrum("views", 3, 3, float(np.mean(psis)), float(np.mean(omegas)) * scale)


def _pixels_and_foreground(
    image: Union[Float[np.ndarray, "h w c"], UInt8[np.ndarray, "h w c"]],
) -> Tuple[Union[Float[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]], Bool[np.ndarray, "h w"]]:
    """The colours, and where they are the scene's."""
    full = 255.0 if image.dtype == np.uint8 else 1.0
    if image.shape[-1] == 4:
        return image[..., :3], image[..., 3] >= OPAQUE * full
    border = np.zeros(image.shape[:2], bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    colour = np.median(image[border], axis=0).astype(np.float32)
    if (np.abs(image[border] - colour) <= SAME_COLOUR * full).all(axis=-1).mean() < BACKGROUND_OF_BORDER:
        return image, np.ones(image.shape[:2], bool)
    same = (np.abs(image - colour) <= SAME_COLOUR * full).all(axis=-1)
    # Seen through a hole the background stays that; a few pixels of its colour are rather a highlight of the scene.
    parts = scipy.ndimage.label(same)[0]
    return image, ~(same & (np.bincount(parts.ravel()) >= SHORTEST_RUN**2)[parts])


def _centroid_along(
    pixels: np.ndarray, foreground: Bool[np.ndarray, "h w"], mean: Float[np.ndarray, "3"], axis: int
) -> Optional[float]:
    """psi of a view's lines along `axis`; None if none has any energy."""
    full = 255.0 if pixels.dtype == np.uint8 else 1.0
    lines, inside = np.moveaxis(pixels, axis, 1), np.moveaxis(foreground, axis, 1)  # [lines, n, 3] and [lines, n]
    # Zeros at a line's end change nothing but where its spectrum is sampled.
    n = scipy.fft.next_fast_len(inside.shape[1], real=True)
    frequency = scipy.fft.rfftfreq(n)
    stride = -(-len(inside) // MOST_LINES)
    total, count = 0.0, 0
    for start in range(0, len(inside), stride * LINES_AT_ONCE):
        chosen = slice(start, start + stride * LINES_AT_ONCE, stride)
        window, used = _run_windows(inside[chosen])
        samples = ((lines[chosen] - mean) / full).astype(np.float32) * window[..., None]
        spectrum = np.abs(scipy.fft.rfft(samples, n, axis=1))
        # What rounding makes of an even line has frequencies as well, the highest among them.
        spectrum[spectrum <= LEAST_OVER_ROUNDING * ROUNDING * np.linalg.norm(window, axis=1)[:, None, None]] = 0.0
        magnitude = spectrum.sum(axis=1)  # [lines, 3]
        audible = magnitude > 0
        weighted = 2.0 * np.einsum("lfc,f->lc", spectrum, frequency)
        pixels_used = np.broadcast_to(used[:, None], magnitude.shape)[audible]
        total += float((weighted[audible] / magnitude[audible]) @ pixels_used)
        count += int(pixels_used.sum())
    return total / count if count else None


def _run_windows(
    inside: Bool[np.ndarray, "lines n"],
) -> Tuple[Float32[np.ndarray, "lines n"], Int[np.ndarray, " lines"]]:
    """A Hann window over each run of True, 0 elsewhere and over runs shorter than SHORTEST_RUN; and how many pixels of
    each line the windows cover."""
    steps = np.diff(inside.astype(np.int8), axis=1, prepend=0, append=0)
    line, first = np.nonzero(steps == 1)
    length = np.nonzero(steps == -1)[1] - first
    # Row after row, True pixels come in the order of their runs.
    run = np.repeat(np.arange(len(length)), length)
    position = np.nonzero(inside)[1] - first[run] + 0.5
    kept = np.where(length >= SHORTEST_RUN, length, 0)
    window = np.zeros(inside.shape, np.float32)
    window[inside] = np.sin(np.pi * position / length[run]) ** 2 * (kept > 0)[run]
    return window, np.bincount(line, kept, minlength=len(inside)).astype(np.int64)

"""What samples of a picture mean, at any depth: inks and CIELAB become red, green and blue, alpha becomes straight, the
camera's orientation is undone."""

from __future__ import annotations

from typing import Callable, Iterator, List, Optional

import numpy as np
from jaxtyping import Shaped

from winner_ns.signals.colour import profile_space

ORIENTATION = 274
"""Tag of Exif and TIFF."""
_BLOCK = 2**22
"""Samples that are converted at a time."""


def oriented(pixels: Shaped[np.ndarray, "h w *c"], orientation: int) -> Shaped[np.ndarray, "H W *c"]:
    """Undoes the camera's orientation (Exif 2.3, tag 274)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def largest(dtype: np.dtype) -> int:
    """The value of full light or ink: floats have 1."""
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def straight_alpha(pixels: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h w c"]:
    """Light without the share that alpha, the last channel, has been multiplied into it, in place.

    Integers are rounded down, as Pillow does, and nothing is left of light where alpha is 0; floats keep it, as there
    it is light that a scene gives by itself.
    """
    for rows in _blocks(pixels):
        light, alpha = rows[..., :-1], rows[..., -1:]
        if pixels.dtype.kind == "f":
            np.divide(light, alpha, out=light, where=alpha != 0)
            continue
        full = largest(pixels.dtype)
        wide = light.astype(np.uint64) * np.uint64(full) // np.maximum(alpha, 1).astype(np.uint64)
        light[...] = np.where(alpha == 0, 0, np.minimum(wide, full))
    return pixels


def associated_alpha(pixels: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h w c"]:
    """The way back from `straight_alpha`, of floats."""
    alpha = pixels[..., -1:]
    return np.concatenate([np.where(alpha != 0, pixels[..., :-1] * alpha, pixels[..., :-1]), alpha], axis=-1)


def full_range(samples: Shaped[np.ndarray, "*shape"], bits: int) -> Shaped[np.ndarray, "*shape"]:
    """Unsigned integers of so many bits, spread over all of their type's 8 or 16."""
    most, full = 2**bits - 1, largest(samples.dtype)
    if bits <= 8:
        return np.rint(np.arange(most + 1) * (full / most)).astype(samples.dtype)[np.minimum(samples, most)]
    table = np.rint(np.arange(2**16).clip(max=most) * (full / most)).astype(samples.dtype)
    return table[samples]


def light_of_inks(
    inks: Shaped[np.ndarray, "h w _"], profile: Optional[bytes], further: int = 0
) -> Shaped[np.ndarray, "h w c"]:
    """Red, green and blue (sRGB) of cyan, magenta, yellow and black, 0 being no ink.

    Args:
        inks: unsigned integers; `further` channels behind the four are kept.
        profile: of the inks; where there is none, light is what cyan and black leave of it: (1 - C)(1 - K).
        further: how many.
    """
    if profile is not None and profile_space(profile) == "CMYK":
        return _converted(inks, 4, further, lambda rows: _through_profile(rows, profile))
    full = largest(inks.dtype)

    def plain(rows: np.ndarray) -> np.ndarray:
        wide = rows.astype(np.int64)
        left = full - wide[..., 3:]
        return left - (wide[..., :3] * left + full // 2) // full

    return _converted(inks, 4, further, plain)


def light_of_lab(lab: Shaped[np.ndarray, "h w _"], offset: bool, further: int = 0) -> Shaped[np.ndarray, "h w c"]:
    """Red, green and blue (sRGB) of CIELAB under D50, brought to D65 by Bradford's matrix (ICC.1, annex E).

    Args:
        lab: 8- or 16-bit unsigned integers. L from 0 to 100 is the full range; a and b are two's complement, or
        offset: are ICC's, with the middle as 0.
        further: channels behind the three that are kept.
    """
    bits = 8 * lab.dtype.itemsize
    unit = 2.0 ** (bits - 8)
    # ICC's 16-bit L reaches 100 at 0xFF00.
    full = 255.0 * unit if offset and bits == 16 else float(largest(lab.dtype))

    def convert(rows: np.ndarray) -> np.ndarray:
        lightness = rows[..., 0] * (100.0 / full)
        if offset:
            a, b = (rows[..., i].astype(np.float64) / unit - 128.0 for i in (1, 2))
        else:
            a, b = (rows[..., i].view(f"i{rows.dtype.itemsize}").astype(np.float64) / unit for i in (1, 2))
        y = (lightness + 16.0) / 116.0
        cube = np.stack([y + a / 500.0, y, y - b / 200.0], axis=-1)
        xyz = np.where(cube > 6 / 29, cube**3, (cube - 4 / 29) * (3 * (6 / 29) ** 2)) * _D50
        linear = xyz @ _LINEAR_SRGB.T
        value = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0) ** (1 / 2.4) - 0.055)
        return np.rint(np.clip(value, 0.0, 1.0) * largest(lab.dtype))

    return _converted(lab, 3, further, convert)


_D50 = np.array([0.9642, 1.0, 0.8249])
_LINEAR_SRGB = np.linalg.inv(
    np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
)


def light_of_luma(
    samples: Shaped[np.ndarray, "h w _"],
    coefficients: List[float],
    reference: List[float],
    further: int = 0,
) -> Shaped[np.ndarray, "h w c"]:
    """Red, green and blue of luma and two differences (TIFF 6.0, section 21), one of each a pixel.

    Args:
        samples: unsigned integers.
        coefficients: shares of red, green and blue in luma.
        reference: black and white of luma and of both differences.
        further: channels behind the three that are kept.
    """
    red, green, blue = coefficients
    full = largest(samples.dtype)

    def convert(rows: np.ndarray) -> np.ndarray:
        wide = rows.astype(np.float64)
        y = (wide[..., 0] - reference[0]) * full / (reference[1] - reference[0])
        half = full // 2
        cb, cr = ((wide[..., i] - reference[2 * i]) * half / (reference[2 * i + 1] - reference[2 * i]) for i in (1, 2))
        r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
        g = (y - blue * b - red * r) / green
        return np.clip(np.rint(np.stack([r, g, b], axis=-1)), 0, full)

    return _converted(samples, 3, further, convert)


def _through_profile(inks: np.ndarray, profile: bytes) -> np.ndarray:
    import imagecodecs

    inks = np.ascontiguousarray(inks)
    return imagecodecs.cms_transform(
        inks, profile, imagecodecs.cms_profile("srgb"), colorspace="cmyk", outcolorspace="rgb", outdtype=inks.dtype
    )


def _converted(samples: np.ndarray, read: int, further: int, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Three channels in place of the first `read`, some rows at a time; `further` ones behind them stay."""
    result = np.empty((*samples.shape[:2], 3 + further), samples.dtype)
    for rows, into in zip(_blocks(samples), _blocks(result)):
        into[..., :3] = convert(rows[..., :read])
        into[..., 3:] = rows[..., read : read + further]
    return result


def _blocks(pixels: np.ndarray) -> Iterator[np.ndarray]:
    # By the width alone, so that arrays of several depths go together.
    step = max(1, _BLOCK // (8 * pixels.shape[1]))
    for top in range(0, len(pixels), step):
        yield pixels[top : top + step]

"""Colours that a mesh file gives its surface: of faces, of their corners, or of textures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Callable, Dict, List, Literal, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from winner_ns.errors import SignalError
from winner_ns.reading import check_decoded
from winner_ns.signals.meshes.beside import file_beside

Wrap = Literal["repeat", "mirror", "clamp"]
WHITE = 255
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "GIF")
_BYTES = 4
"""Of a pixel while it is unpacked, as Pillow holds it."""


class Texture(NamedTuple):
    """A picture that lies on a surface."""

    pixels: UInt8[np.ndarray, "h w 3"]
    """sRGB, the topmost row first."""
    wrap: Tuple[Wrap, Wrap] = ("repeat", "repeat")
    """What lies beyond its sides, across and down."""

    def at(self, uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
        """Colours, 0 to 255, interpolated between the four nearest pixels' centres; uv (0, 0) is the upper left
        corner, (1, 1) the lower right one. Within the picture its opposite sides have nothing to do with each other."""
        from scipy.ndimage import map_coordinates

        size = self.pixels.shape[:2]
        places = np.empty((2, len(uv)))
        for axis, wrap in ((1, self.wrap[0]), (0, self.wrap[1])):
            along = np.nan_to_num(uv[:, 1 - axis].astype(np.float64), posinf=0.0, neginf=0.0)
            folded = 1.0 - np.abs(along % 2.0 - 1.0) if wrap == "mirror" else along
            within = (folded * size[axis] - 0.5).clip(0, size[axis] - 1)
            beyond = (wrap == "repeat") & ((along < 0.0) | (along > 1.0))
            places[axis] = np.where(beyond, along % 1.0 * size[axis] - 0.5, within)
        channels = (self.pixels[..., channel] for channel in range(3))
        found = [map_coordinates(pixels, places, np.float64, order=1, mode="grid-wrap") for pixels in channels]
        return np.stack(found, axis=1)


class MeshColours(NamedTuple):
    """Colours of triangles, or of points; alpha is left aside, as solids have none."""

    corners: Shaped[np.ndarray, "f k 3"]
    """Of the three corners of each triangle, or of each point as the only one: uint8 sRGB; or, where `linear`, float32
    amounts of light from 0 to 1."""
    linear: bool = False
    """Whether corners are amounts of light, which a texture is multiplied by; else it stands in their place."""
    uv: Optional[Float[np.ndarray, "f 3 2"]] = None
    """Where on its texture each corner is, (0, 0) the upper left."""
    texture: Optional[Int[np.ndarray, " f"]] = None
    """Which of the textures a triangle has; -1: none."""
    textures: Sequence[Texture] = ()

    def at(self, chosen: Int[np.ndarray, " n"], weights: Float[np.ndarray, "n k"]) -> UInt8[np.ndarray, "n 3"]:
        """Colours (8-bit sRGB) within triangles.

        Args:
            chosen: the triangles' numbers.
            weights: barycentric coordinates within them.
        """
        colours = np.einsum("nk,nkc->nc", weights, self.corners[chosen].astype(np.float64))
        if self.uv is not None and self.texture is not None:
            places, which = np.einsum("nk,nkc->nc", weights, self.uv[chosen]), self.texture[chosen]
            for number, texture in enumerate(self.textures):
                on = which == number
                if on.any():
                    found = texture.at(places[on])
                    colours[on] = colours[on] * linear_from_srgb(found / 255.0) if self.linear else found
        if self.linear:
            colours = 255.0 * srgb_from_linear(colours)
        return colours.round().clip(0, 255).astype(np.uint8)


def linear_from_srgb(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Amounts of light, 0 to 1, of sRGB's values, 0 to 1 (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.0) + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(light: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """The inverse of `linear_from_srgb`."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0.0) ** (1 / 2.4) - 0.055)


def as_8_bit(values: Shaped[np.ndarray, "n c"], declared: np.dtype) -> UInt8[np.ndarray, "n c"]:
    """Colours as files have them: whole numbers of 8 or 16 bits, or fractions.

    Args:
        values: as they stand there.
        declared: the type that the file gives them.
    """
    values = np.nan_to_num(values.astype(np.float64))
    if declared.kind == "f":
        # Some write 0 to 255 all the same.
        values = values * (255.0 if values.max(initial=0.0) <= 1.0 else 1.0)
    elif declared.itemsize == 2:
        values = values / 257.0
    return values.round().clip(0, 255).astype(np.uint8)


class TextureReader:
    """Reads the textures of one mesh file, each once; what all of them take unpacked is bounded together.

    Args:
        path: the mesh file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.textures: List[Texture] = []
        self._problems: List[str] = []
        self._numbers: Dict[object, int] = {}
        self._bytes = 0.0

    def notes(self) -> List[str]:
        """A line about those that cannot be read, whose faces then have no texture; none where all can."""
        if not self._problems:
            return []
        more = f" (and {len(self._problems) - 1} more)" if len(self._problems) > 1 else ""
        return [f"{self.path}: {self._problems[0]}{more}; the surface has no colours from it"]

    def of_file(self, name: str, wrap: Tuple[Wrap, Wrap] = ("repeat", "repeat")) -> int:
        """The number of a texture in the mesh file's folder; -1 where it cannot be read."""
        return self.number(name, name, lambda: file_beside(self.path, name), wrap)

    def number(self, key: object, name: str, source: Callable[[], Union[Path, bytes]], wrap: Tuple[Wrap, Wrap]) -> int:
        """The number of a texture; -1 where it cannot be read.

        Args:
            key: tells it from others.
            name: what the line about it calls it.
            source: gives its file, or that file's bytes.
            wrap: what lies beyond its sides.
        """
        if (key, wrap) not in self._numbers:
            try:
                self.textures.append(Texture(self._pixels(name, source()), wrap))
                self._numbers[key, wrap] = len(self.textures) - 1
            except SignalError as error:
                self._numbers[key, wrap] = -1
                self._problems.append(error.problem)
        return self._numbers[key, wrap]

    def _pixels(self, name: str, source: Union[Path, bytes]) -> UInt8[np.ndarray, "h w 3"]:
        from PIL import Image

        from winner_ns.signals.image import any_size

        advice = f"save it as one of {', '.join(_FORMATS)}"
        try:
            opened = io.BytesIO(source) if isinstance(source, bytes) else source
            with any_size(), Image.open(opened, formats=_FORMATS) as image:
                self._bytes += float(image.width) * image.height * _BYTES
                check_decoded(self.path, self._bytes)
                if image.mode[0] in "IF":
                    raise SignalError(self.path, f"its texture {name!r} has no 8-bit colours", advice)
                return np.array(image.convert("RGB"))
        except SignalError as error:
            problem = error.problem if repr(name) in error.problem else f"its texture {name!r}: {error.problem}"
            raise SignalError(self.path, problem, advice) from error
        except Exception as error:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
            raise SignalError(self.path, f"its texture {name!r} cannot be read", advice) from error

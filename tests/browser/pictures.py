"""Measures of what is on screen; pictures are [height, width, 3] in 0 … 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

FIELD_OF_VIEW = np.radians(75)
"""The viewer's, from top to bottom."""


class Box(NamedTuple):
    """A rectangle of pixels; right and bottom are the first ones beyond it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def middle(self) -> "tuple[float, float]":
        """Column and row."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def shrunk(self, margin: int) -> "Box":
        """Without so many pixels at each side."""
        return Box(self.left + margin, self.top + margin, self.right - margin, self.bottom - margin)


def box_of(mask: np.ndarray) -> Box:
    """The smallest rectangle around all that is true, but for single pixels."""
    columns = np.flatnonzero(mask.sum(0) > 1)
    rows = np.flatnonzero(mask.sum(1) > 1)
    if len(columns) == 0 or len(rows) == 0:
        return Box(0, 0, 0, 0)
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def inked(picture: np.ndarray) -> np.ndarray:
    """Which pixels are not the white around a signal."""
    return picture.min(-1) < 0.9


def dark(picture: np.ndarray) -> np.ndarray:
    """Which pixels are nearly black."""
    return picture.max(-1) < 0.3


def coloured(picture: np.ndarray) -> np.ndarray:
    """Which pixels are neither white nor gray."""
    return picture.max(-1) - picture.min(-1) > 0.3


def within(picture: np.ndarray, box: Box) -> np.ndarray:
    """The part of a picture in a box."""
    return picture[box.top : box.bottom, box.left : box.right]


def resized(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture at another size."""
    channels = [Image.fromarray(channel).resize((width, height)) for channel in np.moveaxis(np.float32(picture), -1, 0)]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def seen_samples(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """What a picture of a whole signal shows at its samples, but for the outermost, where the picture's edge is mixed
    with the white around it: [rows - 2, columns - 2, …]."""
    row = np.linspace(0, picture.shape[0] - 1, rows).round().astype(int)[1:-1]
    column = np.linspace(0, picture.shape[1] - 1, columns).round().astype(int)[1:-1]
    return picture[row][:, column]


def at_samples(samples: np.ndarray, width: int, height: int) -> np.ndarray:
    """A picture of samples [rows, columns, …] as the viewer shows them: first to last, the nearest to each pixel."""
    rows = np.linspace(0, samples.shape[0] - 1, height).round().astype(int)
    columns = np.linspace(0, samples.shape[1] - 1, width).round().astype(int)
    return samples[rows][:, columns]


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of all pixels and channels; 0 where one of them has one value only. Sizes may differ."""
    if one.shape != other.shape:
        other = resized(other, one.shape[1], one.shape[0])
    one, other = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    if one.std() < 1e-6 or other.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def silhouette(
    vertices: np.ndarray, faces: np.ndarray, back: np.ndarray, up: np.ndarray, distance: float, height: int, width: int
) -> np.ndarray:
    """Which pixels a mesh covers in the viewer.

    Args:
        vertices, faces: of the mesh.
        back: unit vector from the origin, which the camera looks at, to the camera.
        up: roughly upwards in the picture.
        distance: of the camera.
        height, width: of the picture.
    """
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    depth = distance - vertices @ back
    focal = height / 2 / np.tan(FIELD_OF_VIEW / 2)
    x = width / 2 + focal * vertices @ right / depth
    y = height / 2 - focal * vertices @ np.cross(back, right) / depth
    picture = Image.new("1", (width, height))
    draw = ImageDraw.Draw(picture)
    for face in faces:
        draw.polygon([(x[i], y[i]) for i in face], fill=1)
    return np.array(picture)

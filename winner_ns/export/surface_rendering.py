"""Pictures of surfaces without a graphics card: dense surface samples through a z-buffer, with matte shading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np
from jaxtyping import Bool, Float, Int

SAMPLES = 1_200_000
"""Surface samples that a picture is made of."""

_CLAY = np.array([0.86, 0.83, 0.78], dtype=np.float32)


@dataclass(frozen=True)
class View:
    """An orthographic camera, y up."""

    rotation: Float[np.ndarray, "3 3"]
    """Rows: right, up, towards the viewer."""
    center: Float[np.ndarray, "3"]
    half: float
    """Half the picture's width."""


def three_quarter_view(points: Float[np.ndarray, "n 3"]) -> View:
    """A view from the front, right and a little above, framed on the points."""
    azimuth, elevation = np.radians(35.0), np.radians(18.0)
    toward = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    right = np.cross([0.0, 1.0, 0.0], toward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(toward, right), toward])
    seen = points @ rotation[:2].T
    low, high = seen.min(axis=0), seen.max(axis=0)
    return View(rotation, rotation[:2].T @ ((low + high) / 2), float((high - low).max() / 2 * 1.06))


def render_surface(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], view: View, size: int
) -> Tuple[Float[np.ndarray, "size size 3"], Float[np.ndarray, "size size"], Int[np.ndarray, "size size"]]:
    """A matte picture of surface samples that lie several to a pixel.

    Args:
        points, normals: samples of the surface, unit normals; both sides are lit alike.
        view: camera.
        size: pixels along a side.

    Returns:
        The picture in [0, 1] on white; the lighting alone (for other colours); for each pixel the index of a point
        that is seen there, or -1.
    """
    fine = 2 * size
    camera = ((points - view.center) @ view.rotation.T).astype(np.float32)
    column = ((camera[:, 0] / view.half + 1.0) * (fine / 2)).astype(np.int32)
    row = ((1.0 - camera[:, 1] / view.half) * (fine / 2)).astype(np.int32)
    inside = np.flatnonzero((column >= 0) & (column < fine) & (row >= 0) & (row < fine))
    order = inside[np.argsort(camera[inside, 2])]
    shown = np.full(fine * fine, -1, dtype=np.int64)
    shown[row[order] * fine + column[order]] = order  # From far to near: the nearest is written last.
    shown = _close_gaps(shown.reshape(fine, fine), camera[:, 2], 4.0 * view.half / fine)

    covered = shown >= 0
    # Towards the viewer, as open surfaces are seen from inside too.
    normal = normals[shown].astype(np.float32) @ view.rotation.T.astype(np.float32)
    normal *= np.where(normal[..., 2:] < 0, -1.0, 1.0).astype(np.float32)
    light = _lighting(normal) * _crevices(camera[:, 2][shown], covered, view.half)
    light = np.where(covered, light, 0.0).astype(np.float32)
    picture = np.where(covered[..., None], light[..., None] * _CLAY, 1.0)
    coarse = shown.reshape(size, 2, size, 2).transpose(0, 2, 1, 3).reshape(size, size, 4)
    weight = np.maximum((coarse >= 0).sum(axis=2), 1)
    return np.clip(_halved(picture), 0.0, 1.0), _halved(light[..., None])[..., 0] * 4 / weight, coarse.max(axis=2)


def _close_gaps(shown: Int[np.ndarray, "h w"], depth: Float[np.ndarray, " n"], step: float) -> Int[np.ndarray, "h w"]:
    """Where a neighbour is much nearer to the viewer, samples were missing: takes the neighbour's."""
    for _ in range(2):
        depths = np.where(shown >= 0, depth[shown], -np.inf)
        padded, padded_depths = np.pad(shown, 1, constant_values=-1), np.pad(depths, 1, constant_values=-np.inf)
        best, nearest = shown.copy(), depths + step
        for dy in range(3):
            for dx in range(3):
                part = slice(dy, dy + shown.shape[0]), slice(dx, dx + shown.shape[1])
                other, other_depth = padded[part], padded_depths[part]
                closer = other_depth > nearest
                best[closer], nearest[closer] = other[closer], other_depth[closer]
        shown = best
    return shown


def _lighting(normal: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """A soft key light from the upper left, a weaker one from the right, and the sky."""
    key, fill = np.array([-0.45, 0.65, 0.62]), np.array([0.8, 0.1, 0.5])
    toward_key = np.maximum(normal @ (key / np.linalg.norm(key)).astype(np.float32), 0.0)
    toward_fill = np.maximum(normal @ (fill / np.linalg.norm(fill)).astype(np.float32), 0.0)
    return 0.28 + 0.62 * toward_key + 0.16 * toward_fill + 0.06 * normal[..., 1]


def _crevices(depth: Float[np.ndarray, "h w"], covered: Bool[np.ndarray, "h w"], half: float) -> np.ndarray:
    """Darker where the surroundings are nearer to the viewer (depth unsharp masking: Luft et al., SIGGRAPH 2006)."""
    from scipy.ndimage import gaussian_filter

    depth = np.where(covered, depth, depth[covered].min() if covered.any() else 0.0)
    sigma = len(depth) / 60
    buried = np.maximum(gaussian_filter(depth, sigma) - depth, 0.0) / half
    return 1.0 - np.minimum(4.0 * buried, 0.45)


def _halved(picture: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h2 w2 c"]:
    h, w, c = picture.shape
    return picture.reshape(h // 2, 2, w // 2, 2, c).mean(axis=(1, 3))


def sample_mesh(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], count: int = SAMPLES, seed: int = 0
) -> Tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Area-uniform samples of a mesh and their unit normals, interpolated between those of the vertices."""
    generator = np.random.default_rng(seed)
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    vertex_normals = np.stack(
        [sum(np.bincount(faces[:, k], cross[:, axis], len(vertices)) for k in range(3)) for axis in range(3)], axis=1
    )
    vertex_normals /= np.maximum(np.linalg.norm(vertex_normals, axis=1, keepdims=True), 1e-30)
    areas = np.cumsum(np.linalg.norm(cross, axis=1))
    face = np.minimum(np.searchsorted(areas, generator.random(count) * areas[-1], "right"), len(areas) - 1)
    root, along = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - root, root * (1 - along), root * along], axis=1)
    points = np.einsum("nk,nkd->nd", weights, corners[face])
    normals = np.einsum("nk,nkd->nd", weights, vertex_normals[faces[face]])
    return points, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def surfels(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], count: int = SAMPLES, seed: int = 0
) -> Tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
    """Few surface points as small discs that touch their neighbours', each sampled evenly."""
    from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] (compiled, without types)

    generator = np.random.default_rng(seed)
    radius = cKDTree(points).query(points, k=[min(5, len(points))], workers=-1)[0]
    index = np.arange(count) % len(points)
    offset = generator.standard_normal((count, 3))
    offset -= (offset * normals[index]).sum(axis=1, keepdims=True) * normals[index]
    offset *= radius[index] * np.sqrt(generator.random((count, 1))) / np.linalg.norm(offset, axis=1, keepdims=True)
    return points[index] + offset, normals[index]

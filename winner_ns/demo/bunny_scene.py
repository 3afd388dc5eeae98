"""The demo's posed photographs: a glazed bunny, seen from all around by cameras that are known exactly.

    python -m winner_ns.demo.bunny_scene FOLDER [--views 40] [--test-views 8] [--size 96] [--seed 0]

Pictures with alpha and transforms_{train,val,test}.json in the blender format (camera-to-world matrices; a camera looks
along its -z, y is up), and mesh.ply, the true surface in the scene's frame. The bunny is pymeshlab's sample, its glaze
a solid texture of our own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import igl
import numpy as np
import trimesh
from jaxtyping import Float
from PIL import Image

from winner_ns.errors import SignalError
from winner_ns.samples import installed

EXTENT = 2.0
"""The bunny's largest extent; its bounding box is centred at the origin, z is up."""
DISTANCE = 4.0
"""Of the cameras from the origin."""
LOWEST, HIGHEST = -0.25, 0.95
"""Sine of the cameras' elevations."""
SUPERSAMPLES = 3
"""Rays per pixel along each axis."""
LIGHT = np.array([0.45, -0.55, 0.70])
"""Where the light comes from."""
AMBIENT, DIFFUSE, HIGHLIGHT, SHARPNESS = 0.42, 0.62, 0.22, 24.0
CREAM, TEAL, CORAL = np.array([[0.96, 0.89, 0.74], [0.07, 0.40, 0.46], [0.89, 0.39, 0.25]])


def write_bunny_scene(
    folder: Union[str, os.PathLike], views: int = 40, test_views: int = 8, size: int = 96, seed: int = 0
) -> Path:
    """Writes the dataset, whole or not at all.

    Args:
        folder: a new one, or an empty one.
        views: training views, spread evenly over the upper sphere and a little of the lower.
        test_views: others, spread likewise; they are the validation's as well.
        size: width and height of the pictures, pixels.
        seed: of the glaze.

    Returns:
        The folder.

    Raises:
        SignalError: it cannot be written there, or numbers below 1.
    """
    folder = Path(folder)
    if min(views, test_views, size) < 1:
        raise SignalError(folder, f"{views} + {test_views} views of {size} pixels are no scene", "ask for 1 or more")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SignalError(folder, "is there already", "name a new folder, or an empty one")
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        _write(temporary, {"train": views, "test": test_views}, size, seed)
        temporary.chmod(0o755)
        os.replace(temporary, folder)  # In place of an empty folder, too.
    except OSError as error:
        raise SignalError(
            folder, f"cannot be written ({error.strerror or error})", "check the folder, its permissions and free space"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _write(folder: Path, splits: Dict[str, int], size: int, seed: int) -> None:
    mesh = bunny()
    mesh.export(folder / "mesh.ply")
    angle = 2.0 * float(np.arcsin(1.03 * np.linalg.norm(mesh.vertices, axis=1).max() / DISTANCE))
    tree = igl.AABB()
    tree.init(np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces, np.int64))
    for turn, (split, count) in enumerate(splits.items()):
        (folder / split).mkdir()
        frames: List[Dict[str, Any]] = []
        for i, pose in enumerate(camera_poses(count, turn=0.5 * turn)):
            name = f"{split}/r_{i}"
            picture = render(mesh, tree, pose, angle, size, seed)
            Image.fromarray(np.round(255.0 * picture).astype(np.uint8)).save(folder / f"{name}.png")
            frames.append({"file_path": f"./{name}", "transform_matrix": pose.tolist()})
        for named in (split, "val") if split == "test" else (split,):
            text = json.dumps({"camera_angle_x": angle, "frames": frames}, indent=1)
            (folder / f"transforms_{named}.json").write_text(text + "\n", encoding="utf-8")


def bunny() -> trimesh.Trimesh:
    """The true surface in the scene's frame."""
    mesh = trimesh.load(installed("pymeshlab", "tests", "sample_meshes", "bunny.obj"), process=False)
    vertices = mesh.vertices - mesh.bounds.mean(axis=0)
    vertices = vertices[:, [0, 2, 1]] * [1, -1, 1]  # From y up to z up.
    return trimesh.Trimesh(vertices * (EXTENT / mesh.extents.max()), mesh.faces, process=False)


def camera_poses(count: int, turn: float = 0.0) -> Float[np.ndarray, "count 4 4"]:
    """Camera-to-world matrices of cameras that look at the origin, on a Fibonacci lattice of the sphere's zone between
    LOWEST and HIGHEST (Swinbank and Purser 2006); turn is added to the lattice's angles, in golden angles."""
    index = np.arange(count)
    height = HIGHEST - (HIGHEST - LOWEST) * (index + 0.5) / count
    angle = (index + turn) * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt(1.0 - height**2)
    backward = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    right = np.stack([-np.sin(angle), np.cos(angle), np.zeros(count)], axis=1)
    poses = np.zeros((count, 4, 4))
    poses[:, :3] = np.stack([right, np.cross(backward, right), backward, DISTANCE * backward], axis=2)
    poses[:, 3, 3] = 1.0
    return poses


def render(
    mesh: trimesh.Trimesh, tree: igl.AABB, pose: Float[np.ndarray, "4 4"], angle: float, size: int, seed: int
) -> Float[np.ndarray, "size size 4"]:
    """A square picture, RGBA in [0, 1], not premultiplied.

    Args:
        mesh: what is seen.
        tree: of its faces.
        pose: camera-to-world.
        angle: field of view, radians.
        seed: of the glaze.
    """
    samples = size * SUPERSAMPLES
    across = ((np.arange(samples) + 0.5) / samples - 0.5) * 2.0 * np.tan(angle / 2.0)
    right, down = (grid.ravel() for grid in np.meshgrid(across, across))
    rays = np.stack([right, -down, -np.ones_like(right)], axis=1) @ pose[:3, :3].T
    origins = np.tile(pose[:3, 3], (len(rays), 1))
    face, depth, beside = tree.intersect_ray_first(
        np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces, np.int64), origins, rays
    )
    seen = face >= 0
    corners, weights = mesh.faces[face[seen]], beside[seen]
    weights = np.column_stack([1.0 - weights.sum(axis=1), weights])[..., None]
    normals = (mesh.vertex_normals[corners] * weights).sum(axis=1)
    points = origins[seen] + depth[seen, None] * rays[seen]
    picture = np.zeros((samples * samples, 4))
    picture[seen, :3] = shaded(glaze(points, seed), normals, -rays[seen])
    picture[seen, 3] = 1.0
    pixels = picture.reshape(size, SUPERSAMPLES, size, SUPERSAMPLES, 4).mean(axis=(1, 3))
    pixels[..., :3] /= np.maximum(pixels[..., 3:], 1e-9)
    return pixels


def shaded(
    colours: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], toward: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 3"]:
    """Colours under the light: Lambert's and a little highlight (Blinn 1977); toward points to the camera."""
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    light = LIGHT / np.linalg.norm(LIGHT)
    halfway = light + toward / np.linalg.norm(toward, axis=1, keepdims=True)
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    # What lies in the shadow is still told apart, as under a bright sky.
    diffuse = AMBIENT + DIFFUSE * (0.75 * np.maximum(normals @ light, 0.0) + 0.25 * (0.5 + 0.5 * normals[:, 2]))
    highlight = HIGHLIGHT * np.maximum((normals * halfway).sum(axis=1), 0.0) ** SHARPNESS
    return np.clip(colours * diffuse[:, None] + highlight[:, None], 0.0, 1.0)


def glaze(points: Float[np.ndarray, "n 3"], seed: int) -> Float[np.ndarray, "n 3"]:
    """The solid texture: teal and coral veins in cream, with speckles."""
    phase = np.random.default_rng(seed).uniform(0.0, 2.0 * np.pi, (4, 3))
    swirled = points
    for strength, frequency, turned in ((0.30, 2.3, phase[0]), (0.14, 5.1, phase[1])):
        swirled = swirled + strength * np.sin(frequency * swirled[:, [1, 2, 0]] + turned)
    veins = np.sin(6.5 * swirled + phase[2]).sum(axis=1) / 3.0
    speckles = np.sin(34.0 * swirled + phase[3]).prod(axis=1)
    colours = CREAM + _step(veins, 0.12, 0.30)[:, None] * (TEAL - CREAM)
    colours = colours + _step(-veins, 0.22, 0.40)[:, None] * (CORAL - CREAM)
    return colours * (1.0 - 0.45 * _step(speckles, 0.35, 0.65)[:, None])


def _step(values: Float[np.ndarray, " n"], low: float, high: float) -> Float[np.ndarray, " n"]:
    """Smoothly from 0 at low to 1 at high."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--views", type=int, default=40, help="training views")
    parser.add_argument("--test-views", type=int, default=8)
    parser.add_argument("--size", type=int, default=96, help="pixels along a side")
    parser.add_argument("--seed", type=int, default=0, help="of the glaze")
    chosen = parser.parse_args(arguments)
    try:
        write_bunny_scene(chosen.folder, chosen.views, chosen.test_views, chosen.size, chosen.seed)
    except SignalError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

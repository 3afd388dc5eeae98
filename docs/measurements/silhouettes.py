"""A mesh's silhouettes, and how far it is from the truth, against a scene's test views.

    python -m docs.measurements.silhouettes MESH SCENE [--truth MESH] [--picture OUT.png]

For each test view the share of pixels that both the mesh and the view's alpha channel (above one half) cover, among
those that one of them covers (IoU); with --truth also the Chamfer distance to a mesh in the same frame.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Tuple

import igl
import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float

from winner_ns.errors import one_line_errors
from winner_ns.rays.scene_dataparser import scene_dataparser

SUBPIXELS = 2
"""Rays along each side of a pixel."""


def silhouettes(mesh: trimesh.Trimesh, scene: Path) -> Tuple[List[float], List[np.ndarray]]:
    """Each test view's silhouette IoU, and pictures of the mesh, shaded by its normals, beside the views.

    Args:
        mesh: in the frame of the scene's files.
        scene: a folder whose images have alpha channels, in the blender format.
    """
    from nerfstudio.data.datasets.base_dataset import InputDataset

    dataset = InputDataset(scene_dataparser(scene).setup().get_dataparser_outputs(split="test"))
    vertices = np.ascontiguousarray(mesh.vertices, np.float64)
    faces = np.ascontiguousarray(mesh.faces, np.int64)
    tree = igl.AABB()
    tree.init(vertices, faces)
    shares, pictures = [], []
    for index in range(len(dataset)):
        image = dataset.get_image_float32(index).numpy()
        height, width = image.shape[:2]
        rows, columns = ((np.arange(size * SUBPIXELS, dtype=np.float32) + 0.5) / SUBPIXELS for size in (height, width))
        grid = torch.from_numpy(np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2))
        rays = dataset.cameras.generate_rays(camera_indices=index, coords=grid)
        directions = np.ascontiguousarray(rays.directions.numpy(), np.float64)
        face, _, _ = tree.intersect_ray_first(
            vertices, faces, np.ascontiguousarray(rays.origins.numpy(), np.float64), directions
        )
        covered = _pixels((face >= 0).astype(np.float64)[:, None], height, width)[..., 0] > 0.5
        inside: Bool[np.ndarray, "h w"] = image[..., 3] > 0.5
        shares.append(float((covered & inside).sum() / max((covered | inside).sum(), 1)))
        shade = np.ones((len(face), 3))
        facing = np.abs((mesh.face_normals[face] * directions).sum(axis=1, keepdims=True))
        colors = mesh.visual.face_colors[face, :3] / 255.0 if mesh.visual.kind else np.full((len(face), 3), 0.8)
        shade[face >= 0] = (colors * (0.35 + 0.65 * facing))[face >= 0]
        truth = image[..., :3] * image[..., 3:] + 1.0 - image[..., 3:]
        pictures.append(np.concatenate([truth, _pixels(shade, height, width)], axis=0))
    return shares, pictures


def _pixels(values: Float[np.ndarray, "n c"], height: int, width: int) -> Float[np.ndarray, "h w c"]:
    return values.reshape(height, SUBPIXELS, width, SUBPIXELS, -1).mean(axis=(1, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh", type=Path)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--truth", type=Path, help="the true mesh, in the same frame")
    parser.add_argument("--picture", type=Path, help="PNG with six views, the mesh below")
    arguments = parser.parse_args()
    with one_line_errors():
        mesh = trimesh.load(arguments.mesh, process=False)
        shares, pictures = silhouettes(mesh, arguments.scene)
    print(f"silhouette IoU of {len(shares)} views: mean {np.mean(shares):.4f}, worst {min(shares):.4f}")
    if arguments.truth:
        from winner_ns.figures.meshes import compare_files

        for name, value in compare_files(arguments.truth, arguments.mesh)["figures"].items():
            print(f"{name:>28}  {value}")
    if arguments.picture:
        from PIL import Image

        sheet = np.concatenate(pictures[:: max(1, len(pictures) // 6)][:6], axis=1)
        Image.fromarray((sheet * 255).round().astype(np.uint8)).save(arguments.picture)


if __name__ == "__main__":
    sys.exit(main())

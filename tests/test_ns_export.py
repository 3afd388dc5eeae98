"""nerfstudio's exporter with our models of posed photographs."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from conftest import in_process, leave_out, run_program
from scipy.spatial import cKDTree

SMALL = ["--pipeline.model.field.width", 64, "--pipeline.model.field.depth", 3]
SMALL += ["--pipeline.datamanager.batch-size", 512, "--pipeline.write-results", False]
RADIANCE = [*SMALL, "--pipeline.model.views.num-samples", 48, "--pipeline.model.views.grid-resolution", 32]


try:
    ctypes.CDLL("libusb-1.0.so.0")
except OSError:
    leave_out("nerfstudio's exporter needs open3d, which needs the system's library libusb-1.0")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def radiance_field(bunny_scene, trained_once) -> Path:
    return trained_once("winner-siren", "--data", bunny_scene, "--max-num-iterations", 100, *RADIANCE)


@pytest.fixture
def export(tmp_path, monkeypatch, capfd):
    """`ns-export COMMAND` of a run; returns the folder that it wrote."""

    def run(command: str, trained: Path, *flags: object) -> Path:
        from nerfstudio.scripts.exporter import entrypoint

        arguments = [command, "--load-config", trained / "config.yml", "--output-dir", tmp_path / command, *flags]
        finished = in_process(entrypoint, "ns-export", arguments, monkeypatch, capfd)
        assert finished.status == 0, finished.output + finished.errors
        return tmp_path / command

    return run


def distances_to(truth: trimesh.Trimesh, points: np.ndarray) -> np.ndarray:
    """From points to the nearest of many on the surface."""
    return cKDTree(truth.sample(50_000, seed=0)).query(points)[0]


def test_points_of_a_radiance_field_are_exported(bunny_scene, radiance_field, export):
    truth = trimesh.load(bunny_scene / "mesh.ply", process=False)
    flags = ["--num-points", 6000, "--num-rays-per-batch", 2048, "--normal-method", "open3d"]
    cloud = trimesh.load(export("pointcloud", radiance_field, *flags) / "point_cloud.ply")
    # As many points as rays from different pixels give, on the bunny, and nothing of the white around it.
    assert len(np.unique(cloud.vertices.round(6), axis=0)) > 2500
    assert np.median(distances_to(truth, cloud.vertices)) < 0.1
    assert cloud.colors[:, :3].mean() < 240 and cloud.colors[:, :3].std() > 8


def test_cameras_are_exported(radiance_field, export):
    poses = json.loads((export("cameras", radiance_field) / "transforms_train.json").read_text())
    assert len(poses) == 20 and np.isfinite([pose["transform"] for pose in poses]).all()


def test_a_radiance_field_is_exported_as_a_mesh(bunny_scene, radiance_field, tmp_path):
    """In a process of its own, exactly as a user types it."""
    flags = ["--resolution", 48, "--texture-method", "tsdf", "--downscale-factor", 1]
    where = ["--load-config", radiance_field / "config.yml", "--output-dir", tmp_path]
    finished = run_program("ns-export", "tsdf", *where, *flags)
    assert finished.status == 0, finished.output + finished.errors
    mesh = trimesh.load(tmp_path / "tsdf_mesh.ply", process=False)
    truth = trimesh.load(bunny_scene / "mesh.ply", process=False)
    assert np.median(distances_to(truth, mesh.vertices)) < 0.1


def test_a_surface_is_exported(bunny_scene, bunny_surface, export):
    truth = trimesh.load(bunny_scene / "mesh.ply", process=False)
    flags = ["--num-points", 6000, "--num-rays-per-batch", 2048, "--texture-method", "point_cloud"]
    folder = export("poisson", bunny_surface, "--save-point-cloud", True, *flags)
    cloud = trimesh.load(folder / "point_cloud.ply")
    assert len(np.unique(cloud.vertices.round(6), axis=0)) > 2500
    assert np.median(distances_to(truth, cloud.vertices)) < 0.1
    mesh = trimesh.load(folder / "poisson_mesh.ply", process=False)
    assert np.median(distances_to(truth, mesh.vertices)) < 0.1

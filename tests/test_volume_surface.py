"""Surfaces of volumes whose fields are known in closed form: a ball, whose values fall or rise with the radius."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from test_export import plane_waves, run_json, write_run

from winner_ns.commands.main import main
from winner_ns.signals import load_signal

SHAPE = (21, 31, 41)


def ball_run(folder: Path) -> Path:
    """A volume of 0 to 1000 whose field is 1000 - 25 r² / 4, r being the distance to its middle in samples, as far as
    cosines of a long wave are parabolas."""
    at = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij"), -1)
    values = np.clip(1000 - 2.5 * (at**2).sum(-1), 0, 1000).astype(np.float32)
    np.save(folder / "ball.npy", values)
    signal = load_signal(folder / "ball.npy", "volume")
    w, unit = 0.2, (max(SHAPE) - 1) / 2  # Samples to a unit of coordinate.
    amplitude = 2.5 * unit**2 * 2 / w**2 / 500
    network = plane_waves(w * np.eye(3), np.full(3, np.pi / 2), np.full((1, 3), amplitude))
    with torch.no_grad():
        network.output.bias.fill_(1.0 - 3 * amplitude)
    return write_run(folder / "run", signal, network, {"gain": 1.0, "offset": [0.0]})


@pytest.mark.parametrize("level, spacing", ((840.0, (1.0, 1.0, 1.0)), (937.5, (2.0, 1.0, 0.5))))
def test_a_level_is_a_surface_in_units_of_the_samples_spacing(level, spacing, tmp_path, capsys):
    run, file = ball_run(tmp_path), tmp_path / "ball.ply"
    flags = ["--level", level, "--spacing", *spacing, "--resolution", 80]
    said = run_json(capsys, "export", "mesh", run, *flags, "-o", file)
    mesh = trimesh.load(file, process=False)
    samples = mesh.vertices[:, ::-1] / spacing - (np.array(SHAPE) - 1) / 2
    radius = np.sqrt((1000 - level) / 2.5)
    assert np.linalg.norm(samples, axis=1) == pytest.approx(radius, rel=0.02)
    assert said["watertight"] and mesh.is_watertight and said["fraction_evaluated"] < 1
    # Outward faces: the volume is positive, of an ellipsoid by the spacing.
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * radius**3 * np.prod(spacing), rel=0.05)


def test_below_the_level_is_inside_where_it_is_asked_for(tmp_path, capsys):
    run, file = ball_run(tmp_path), tmp_path / "hole.stl"
    run_json(capsys, "export", "mesh", run, "--level", 840, "--below", "--resolution", 60, "-o", file)
    mesh = trimesh.load(file)
    box = np.prod(np.array(SHAPE) - 1.0)
    assert mesh.volume == pytest.approx(box - 4 / 3 * np.pi * 8.0**3, rel=0.05)


@pytest.mark.parametrize(
    "flags, said",
    (
        ((), "give --level"),
        (("--level", "5000"), "no surface at level 5000"),
        (("--level", "840", "--spacing", "1", "2"), "--spacing"),
        (("--level", "840", "--spacing", "1e300"), "--spacing"),
        (("--level", "840", "--normals"), "--normals"),
        (("--level", "840", "--resolution", "2"), "resolution"),
    ),
)
def test_what_cannot_be_is_refused_in_one_line(flags, said, tmp_path, capsys):
    run = ball_run(tmp_path)
    assert main(["export", "mesh", str(run), *flags, "-o", str(tmp_path / "f.ply")]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("winner-ns: error") == 1 and not (tmp_path / "f.ply").exists()

"""Shapes of every sort, fitted by every loss: what comes back in the file's own frame."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh

from winner_ns.commands.main import main
from winner_ns.fields.description import Description
from winner_ns.fields.input_gradient import value_and_gradient
from winner_ns.fitting import shape_target
from winner_ns.fitting.fit import settle_fit
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.run import load_run
from winner_ns.fitting.shape_target import PASSES
from winner_ns.fitting.target import TargetOptions, target_of
from winner_ns.signals import load_signal

pytestmark = pytest.mark.slow
FEW = [
    "--pipeline.datamanager.shape-samples", 30000, "--pipeline.datamanager.batch-size", 2048,
    "--pipeline.model.field.width", 64, "--pipeline.model.field.depth", 3, "--pipeline.write-results", False,
]  # fmt: skip


def exported(run, tmp_path, *arguments):
    """The mesh that `winner-ns export mesh` writes."""
    output = tmp_path / "fitted.ply"
    assert (
        main(["export", "mesh", str(run), "-o", str(output), "--overwrite", "--resolution", "80", *map(str, arguments)])
        == 0
    )
    return trimesh.load(output, process=False)


@pytest.mark.parametrize("loss", ["distance", "occupancy"])
def test_losses_with_signs_give_the_shape_back(torus_run, ns_train, ns_eval, runs, tmp_path, coarse_shapes, loss):
    torus, run = torus_run  # By the distance, which is the usual loss.
    if loss != "distance":
        flags = ["--max-num-iterations", 300, *FEW, "--pipeline.datamanager.shape-loss", loss]
        finished = ns_train("--data", torus, *flags)
        assert finished.status == 0, finished.errors
        (run,) = runs()
    assert load_run(run).description.target.get("loss", "distance") == loss
    assert ns_eval(run)["iou"] > 0.93
    fitted, original = exported(run, tmp_path, "--components", "largest"), trimesh.load(torus)
    assert fitted.is_watertight and fitted.volume == pytest.approx(original.volume, rel=0.06)
    assert fitted.bounds == pytest.approx(original.bounds, abs=2.0)


def test_the_eikonal_loss_finds_the_surface_and_its_normals(torus, ns_train, runs):
    flags = ["--data", torus, "--max-num-iterations", 300, *FEW, "--pipeline.datamanager.shape-loss", "eikonal"]
    finished = ns_train(*flags, "--pipeline.datamanager.batch-size", 1024)
    assert finished.status == 0, finished.errors
    field = load_run(runs()[0])
    points, normals = load_signal(torus).sample_surface(2000, 5)
    distance, gradient = value_and_gradient(field.network, torch.from_numpy(points))
    assert distance.abs().mean() < 0.01
    length = gradient.norm(dim=1)
    assert length.median() == pytest.approx(1.0, abs=0.1)
    assert ((gradient * torch.from_numpy(normals)).sum(1) / length).mean() > 0.97
    # Beside the surface it is the distance itself, not squashed.
    for step in (-0.02, 0.02):
        beside = field.unit_distance(torch.from_numpy(points + np.float32(step) * normals))
        assert beside.median() == pytest.approx(step, abs=0.006)


def test_points_alone_far_from_the_origin_keep_their_frame(ns_train, runs, tmp_path):
    """Millimetres, around a million of them from the origin: single precision could tell 0.06 apart there."""
    center, radius = np.array([1e6, -2e6, 5e5]), 0.5
    direction = np.random.default_rng(0).standard_normal((4000, 3))
    points = center + radius * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    np.savetxt(tmp_path / "far.xyz", points, fmt="%.12g")
    assert ns_train("--data", tmp_path / "far.xyz", "--max-num-iterations", 250, *FEW).status == 0
    mesh = exported(runs()[0], tmp_path, "--components", 1)
    away = np.linalg.norm(mesh.vertices - center, axis=1)
    assert mesh.is_watertight and np.abs(away / radius - 1).mean() < 0.02
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)


def test_a_run_goes_on_with_the_spread_that_it_was_begun_with(torus):
    begun = settle_fit(torus, FieldPlan.of(width=8, depth=1), TargetOptions(shape_samples=1000, seed=3)).description
    plain = json.loads(json.dumps(begun.as_dict()))

    def points_of(plain):
        options = TargetOptions.of_run(Description.from_dict(plain), shape_samples=1000)
        return target_of(torus, options=options).batch(0, 0)[0].numpy()

    shape = load_signal(torus)
    points = target_of(torus, options=TargetOptions(shape_samples=1000, seed=3)).batch(0, 0)[0].numpy()
    np.testing.assert_array_equal(points_of(plain), points)
    # Runs of before do not say, and had two fifths each at 0.01 and 0.05.
    del plain["target"]["near_surface"]
    earlier = np.abs(shape.signed_distance(points_of(plain)))
    assert (np.abs(shape.signed_distance(points)) < 0.003).mean() > (earlier < 0.003).mean() + 0.15
    assert (
        json.loads(json.dumps(target_of(torus, options=TargetOptions.of_run(Description.from_dict(plain))).describe()))
        == plain["target"]
    )
    # Whatever it says.
    plain["target"]["near_surface"] = [[1.0, 1e-5]]
    assert np.abs(shape.signed_distance(points_of(plain))).max() < 1e-4
    for wrong in ([[0.7, 0.1], [0.7, 0.1]], [[-0.1, 0.1]], [[0.1]], "near", [[0.1, 1e300]]):
        plain["target"]["near_surface"] = wrong
        with pytest.raises(ValueError, match="near_surface|number"):
            Description.from_dict(plain)


def test_ns_train_goes_on_with_the_spread_that_a_run_was_begun_with(torus, ns_train, runs, tmp_path):
    assert ns_train("--data", torus, "--max-num-iterations", 2, *FEW).status == 0
    checkpoint = next(runs()[0].glob("nerfstudio_models/*.ckpt"))
    saved = torch.load(checkpoint, weights_only=True)
    state = saved["pipeline"]["_model._extra_state"]
    described = json.loads(state["description"])
    del described["target"]["near_surface"]
    torch.save(
        {**saved, "pipeline": {**saved["pipeline"], "_model._extra_state": {"description": json.dumps(described)}}},
        checkpoint,
    )
    more = ns_train("--data", torus, "--max-num-iterations", 4, *FEW, "--load-dir", runs()[0])
    assert more.status == 0, more
    assert "near_surface" not in load_run(runs()[-1]).description.target


def test_points_are_drawn_anew_and_are_the_same_for_a_seed(torus, monkeypatch):
    def target(loss="distance", seed=0):
        return target_of(torus, options=TargetOptions(shape_samples=1000, shape_loss=loss, seed=seed))

    # 10 steps of 100 are a pass.
    first, again, other = target(), target(), target(seed=1)
    steps = [0, 10 * PASSES - 1, 10 * PASSES, 35 * PASSES, 3]
    batches = [first.batch(step, 100, 0, 1) for step in steps]
    # Those of large blocks come from another process.
    with monkeypatch.context() as patch:
        patch.setattr(shape_target, "WORTH_A_PROCESS", 1000)
        again.batch(10, 100)
    assert again._sampler is not None and again._sampler.in_background
    for (points, values), step in zip(batches, steps, strict=True):
        same_points, same_values = again.batch(step, 100, 0, 1)
        assert points.equal(same_points) and values.equal(same_values)
        assert not points.equal(other.batch(step, 100, 0, 1)[0])
        distances = first.signal.signed_distance(points.numpy())
        np.testing.assert_allclose(np.tanh(distances / 0.02), values[:, 0].numpy(), atol=1e-4)

    def seen(start, passes):
        return {
            tuple(p) for s in range(10 * start, 10 * (start + passes)) for p in first.batch(s, 100, 0, 1)[0].tolist()
        }

    assert len(seen(0, 1)) == 1000 and seen(0, 1) == seen(PASSES - 1, 1)
    assert not seen(0, 1) & seen(PASSES, 1)
    # A step that ends one block and begins the next has points of both.
    points = first.batch(10 * PASSES * 100 // 300, 300, 0, 1)[0]
    assert len(points) == 300
    assert {tuple(p) for p in points.tolist()} & seen(0, 1) and {tuple(p) for p in points.tolist()} & seen(PASSES, 1)

    surface, values = target("eikonal").batch(10 * PASSES, 1000, 0, 1)
    again.close()
    on = values[:, 0] == 1
    assert np.abs(first.signal.signed_distance(surface[on].numpy())).max() < 1e-6
    np.testing.assert_allclose(values[on, 1:].norm(dim=1).numpy(), 1, atol=1e-5)


def test_mesh_options_from_the_command_line(torus_run, tmp_path, capfd):
    _, fitted_torus = torus_run
    plain = exported(fitted_torus, tmp_path)
    capfd.readouterr()
    assert (
        main(["export", "mesh", str(fitted_torus), "-o", str(tmp_path / "j.ply"), "--resolution", "80", "--json"]) == 0
    )
    told = json.loads(capfd.readouterr().out)
    assert told["watertight"] and (told["vertices"], told["faces"]) == (len(plain.vertices), len(plain.faces))
    assert told["fraction_evaluated"] == pytest.approx(told["points_evaluated"] / 80**3) and told["seconds"] > 0

    larger = exported(fitted_torus, tmp_path, "--level", 0.5)
    assert larger.is_watertight and larger.volume == pytest.approx(plain.volume + 0.5 * plain.area, rel=0.02)
    few = exported(fitted_torus, tmp_path, "--faces", 500)
    assert few.is_watertight and 400 < len(few.faces) < 620 and few.volume == pytest.approx(plain.volume, rel=0.03)
    part = exported(fitted_torus, tmp_path, "--bounds", 100, -96, -20, 146, -4, 60)
    assert part.is_watertight and part.bounds[0, 0] == pytest.approx(100.0, abs=0.1)
    assert part.volume == pytest.approx(plain.volume / 2, rel=0.05)
    assert exported(fitted_torus, tmp_path, "--level", "-5e-1").volume < plain.volume


def test_projection_and_normals_are_the_fields(torus_run, tmp_path):
    _, fitted_torus = torus_run
    field = load_run(fitted_torus)

    def off_by(mesh):
        """How far vertices are from the level set, in cells."""
        unit = (mesh.vertices - field.signal["center"]) / field.signal["scale"]
        return field.unit_distance(torch.from_numpy(unit.astype(np.float32))).abs().numpy() * 79 / 2

    plain, projected = exported(fitted_torus, tmp_path), exported(fitted_torus, tmp_path, "--project")
    assert off_by(plain).mean() > 3e-4 and off_by(projected).mean() < 0.2 * off_by(plain).mean()
    assert np.linalg.norm(projected.vertices - plain.vertices, axis=1).max() < 2 / 79 * field.signal["scale"]

    # As the files have them: trimesh makes normals up. The torus alone, for what the cube's walls cut has others.
    obj, ply = tmp_path / "out.obj", tmp_path / "out.ply"
    for path in (obj, ply):
        flags = ["--resolution", "80", "--normals", "--components", "largest"]
        assert main(["export", "mesh", str(fitted_torus), "-o", str(path), *flags]) == 0
    rows = [line.split() for line in obj.read_text().splitlines()]
    points, normals = (np.array([row[1:4] for row in rows if row[:1] == [key]], float) for key in ("v", "vn"))
    unit = torch.from_numpy(((points - field.signal["center"]) / field.signal["scale"]).astype(np.float32))
    np.testing.assert_allclose(normals, field.unit_normals(unit).numpy(), atol=0.01)
    raw = trimesh.load(ply, process=False).metadata["_ply_raw"]["vertex"]["data"]
    of_file = np.stack([np.asarray(raw[f"n{axis}"]).ravel() for axis in "xyz"], axis=1)
    np.testing.assert_allclose(of_file, normals, atol=1e-5)

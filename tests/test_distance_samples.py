"""Signed distances at given points: which number is what, what they say elsewhere, and what is fitted to them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.errors import SignalError
from winner_ns.fitting.fit import fit_settled, settle_fit
from winner_ns.fitting.judged_points import judged_points
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.target import TargetOptions
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.signals import ShapeSignal, detect_kind, load_signal, signal_of
from winner_ns.signals.distance_samples import NEIGHBOURS, DistanceSamples, found_cuts
from winner_ns.signals.shape import GIVEN_SHARE


def ball(count: int = 500, seed: int = 0, extent: float = 2.0) -> np.ndarray:
    """Points around a ball of radius 1, their distances, and their normals, [count, 7]."""
    points = np.random.default_rng(seed).uniform(-extent, extent, (count, 3))
    radius = np.linalg.norm(points, axis=1, keepdims=True)
    return np.concatenate([points, radius - 1.0, points / radius], axis=1)


def torus_distance(points: np.ndarray) -> np.ndarray:
    """To a torus of radii 1 and 0.4 around z."""
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - 1.0, points[:, 2]) - 0.4


def torus_samples(near: int = 12000, slab: int = 4000) -> np.ndarray:
    """Points near a torus and in a slab around it, and their distances, [near + slab, 4]."""
    generator = np.random.default_rng(0)
    around, across = generator.uniform(0, 2 * np.pi, (2, near))
    ring = 1.0 + 0.4 * np.cos(across)
    surface = np.stack([ring * np.cos(around), ring * np.sin(around), 0.4 * np.sin(across)], axis=1)
    points = [surface + 0.056 * generator.standard_normal(surface.shape)]
    points = np.concatenate([*points, generator.uniform(-1, 1, (slab, 3)) * [1.6, 1.6, 0.6]])
    return np.concatenate([points, torus_distance(points)[:, None]], axis=1)


def by_formula(samples, distances, query, at_most, at_least):
    """Both bounds at a point, from the nearest samples that have a say."""
    away = np.linalg.norm(samples - query, axis=1)
    lower, upper = (np.flatnonzero(~silent) for silent in (at_most, at_least))
    lower, upper = (each[np.argsort(away[each])[:NEIGHBOURS]] for each in (lower, upper))
    return max(distances[lower] - away[lower], default=-np.inf), min(distances[upper] + away[upper], default=np.inf)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([None, 0.2]), st.sampled_from([0.0, 0.3]))
def test_bounds_are_those_of_the_formula(seed, count, cut, noise):
    generator = np.random.default_rng(seed)
    samples, queries = generator.uniform(-1, 1, (count, 3)), generator.uniform(-1, 1, (20, 3))
    distances = np.linalg.norm(samples, axis=1) - 0.6 + noise * generator.standard_normal(count)
    cuts = (None, None) if cut is None else (-cut, cut)
    distances = distances if cut is None else distances.clip(-cut, cut)
    known = DistanceSamples(samples, distances, cuts)
    lower, upper = known.bounds(queries)
    expected = [by_formula(samples, distances, query, known.at_most, known.at_least) for query in queries]
    np.testing.assert_allclose(np.stack([lower, upper], axis=1), expected, atol=1e-12)
    if not noise:
        true = np.linalg.norm(queries, axis=1) - 0.6
        assert (lower <= true + 1e-12).all() and (true <= upper + 1e-12).all()
        np.testing.assert_allclose(known.estimate(samples)[known.exact], distances[known.exact], atol=1e-12)
        estimate = known.estimate(queries)
        assert (lower - 1e-12 <= estimate).all() and (estimate <= upper + 1e-12).all()
        # What was cut off is no further in than that.
        assert (known.values[known.at_least] >= 0.2).all() and (known.values[known.at_most] <= -0.2).all()


def test_close_to_the_surface_smooth_distances_are_found_again():
    """Far better than the mean of both bounds, which is off by about the way to the nearest samples."""
    samples, queries = np.random.default_rng(0).uniform(-1, 1, (2, 8000, 3))
    distances, true = (np.linalg.norm(points, axis=1) - 0.6 for points in (samples, queries))
    known = DistanceSamples(samples, distances)
    lower, upper = known.bounds(queries)
    close = np.abs(true) < 0.05
    mean, estimate = (lower + upper)[close] / 2, known.estimate(queries)[close]
    assert np.abs(mean - true[close]).mean() > 0.005
    assert np.abs(estimate - true[close]).mean() < 0.001
    # Samples in a plane leave open what is beside it.
    flat = samples * [1, 1, 0]
    lower, upper = (flat_known := DistanceSamples(flat, np.linalg.norm(flat, axis=1) - 0.6)).bounds(queries)
    np.testing.assert_allclose(flat_known.estimate(queries), (lower + upper) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("error", [0.01, 0.03])
def test_errors_are_told_and_smoothed(error):
    exact = torus_samples()
    noisy = exact.copy()
    noisy[:, 3] += error * np.random.default_rng(1).standard_normal(len(noisy))
    known = DistanceSamples(noisy[:, :3], noisy[:, 3])
    assert known.error == pytest.approx(error, rel=0.1)
    assert DistanceSamples(exact[:, :3], exact[:, 3]).error == 0.0
    close = np.abs(exact[:, 3]) < 0.05
    left = np.sqrt(np.square(known.values - exact[:, 3])[close].mean())
    assert left < 0.5 * error
    # Between the samples, too.
    queries = np.random.default_rng(2).permutation(exact[close, :3])[:2000] + 0.005
    assert np.sqrt(np.square(known.estimate(queries) - torus_distance(queries)).mean()) < 0.6 * error
    (said,) = signal_of(noisy, "shape").warnings
    assert f"errors of about {known.error:.2g}" in said


def test_contradictions_are_settled_half_way():
    points = np.array([[0.0, 0, 0], [0.1, 0, 0]])
    lower, upper = DistanceSamples(points, np.array([0.0, 0.3])).bounds(points)
    np.testing.assert_allclose([lower, upper], [[0.2, 0.3], [0.0, 0.1]], atol=1e-12)
    np.testing.assert_allclose(DistanceSamples(points, np.array([0.0, 0.3])).estimate(points), [0.1, 0.2])


@pytest.mark.parametrize(
    ("distances", "cuts"),
    [
        (ball()[:, 3], (None, None)),
        (ball()[:, 3].clip(-0.3, 0.5), (-0.3, 0.5)),
        (ball()[:, 3].clip(-9, 0.5), (None, 0.5)),
        (ball(2000)[:, 3].clip(-0.1, 0.1).round(2), (-0.1, 0.1)),
        (ball(5000)[:, 3].round(1), (None, None)),
        (np.sign(ball()[:, 3]), (-1.0, 1.0)),
        (np.array([0.1, 0.5, 0.5]), (None, None)),
    ],
)
def test_where_distances_were_cut_off(distances, cuts):
    assert found_cuts(distances) == cuts


def test_cut_distances_and_signs_still_tell_inside_from_outside():
    table, queries = ball(20000), np.random.default_rng(1).uniform(-0.85, 0.85, (4000, 3))
    for distances, most in ((table[:, 3], 0.001), (table[:, 3].clip(-0.1, 0.1), 0.05), (np.sign(table[:, 3]), 0.08)):
        shape = signal_of(np.c_[table[:, :3], distances])
        true = np.linalg.norm(queries * shape.scale + shape.center, axis=1) - 1.0
        wrong = (shape.signed_distance(queries) < 0) != (true < 0)
        assert wrong.mean() < most and np.abs(true[wrong]).max(initial=0) < 0.3
    # Far from the surface, where a distance was cut off, the sample itself counts for more than the cut.
    exact, cut = (signal_of(np.c_[table[:, :3], d])._distance_samples for d in (table[:, 3], table[:, 3].clip(-9, 0.2)))
    far = exact.distances > exact.distances.max() / 2
    assert cut.at_least[far].all() and (cut.values[far] > cut.distances[far]).all()


NAMES = "x y z nx ny nz sdf"


def write_table(path, table, header="", delimiter=" ", comments=""):
    np.savetxt(path, table, fmt="%.9g", header=header, delimiter=delimiter, comments=comments)


WITH_NORMALS = ball()[:, [0, 1, 2, 4, 5, 6, 3]]
LAYOUTS = {
    "points.npz": lambda path: np.savez(path, points=ball()[:, :3], sdf=ball()[:, 3]),
    "names.npz": lambda path: np.savez(path, XYZ=ball()[:, :3], SDF_values=ball()[:, 3:4], normals=ball()[:, 4:]),
    "deepsdf.npz": lambda path: np.savez(path, pos=ball()[ball()[:, 3] >= 0, :4], neg=ball()[ball()[:, 3] < 0, :4]),
    "one.npz": lambda path: np.savez(path, WITH_NORMALS),
    "columns.npz": lambda path: np.savez(path, points=ball()[:, :4]),
    "four.npy": lambda path: np.save(path, ball()[:, :4]),
    "before.npy": lambda path: np.save(path, ball().astype(np.float32)[:, [0, 1, 2, 3, 4, 5, 6]]),
    "behind.npy": lambda path: np.save(path, WITH_NORMALS),
    "four.xyz": lambda path: write_table(path, ball()[:, :4]),
    "before.txt": lambda path: write_table(path, ball()),
    "behind.csv": lambda path: write_table(path, WITH_NORMALS, delimiter=","),
    "named.csv": lambda path: write_table(path, WITH_NORMALS, "x,y,z,nx,ny,nz,signed_distance", ","),
    "any-order.txt": lambda path: write_table(path, WITH_NORMALS[:, ::-1], "sdf nz ny nx z y x"),
    "comment.xyz": lambda path: write_table(path, ball()[:, [3, 0, 1, 2]], "d x y z", comments="# "),
    "colours.csv": lambda path: write_table(path, np.c_[ball()[:, :3], ball()[:, 3:]], '"x","y","z","dist",R,G,B', ","),
    "said.xyz": lambda path: write_table(path, ball()[:, :4], "samples around x y z\nof a ball", comments="# "),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_read_by_value(tmp_path, name):
    path, expected = tmp_path / name, ball()
    LAYOUTS[name](path)
    assert detect_kind(path) == "shape"
    shape = load_signal(path, "shape")
    assert shape.source == "distances" and shape.warnings == [] and shape.cuts == (None, None)
    found = np.c_[shape.points * shape.scale + shape.center, shape.distances * shape.scale]
    order, wanted = np.lexsort(found.T), np.lexsort(expected[:, :4].T)
    np.testing.assert_allclose(found[order], expected[wanted, :4], atol=1e-6)


def test_normals_alone_may_be_named_too(tmp_path):
    table = ball(2000)
    write_table(tmp_path / "a.txt", np.c_[table[:, 4:], table[:, 4:]], "x y z normal_x normal_y normal_z")
    assert load_signal(tmp_path / "a.txt").source == "oriented-points"


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("a.npy", lambda path: np.save(path, np.random.default_rng(0).standard_normal((9, 7))), "neither unit normals"),
        ("a.npy", lambda path: np.save(path, np.tile([0, 0, 0, 0.0, 1, 0, 0], (500, 1))), "both the columns 4 to 6"),
        ("a.txt", lambda path: write_table(path, ball()[:, :4], "x y z height"), "column 'height', of which nothing"),
        ("a.txt", lambda path: write_table(path, ball()[:, :4], "x y z"), "names 3 columns .x y z. and has 4"),
        ("a.txt", lambda path: write_table(path, ball()[:, :5], "x y z d sdf"), "two columns of distances, d and sdf"),
        ("a.txt", lambda path: write_table(path, ball()[:, :5]), "has the shape .500, 5."),
        ("a.npz", lambda path: np.savez(path, pos=ball()[:, :3], neg=ball()[:, :4]), "pos has the shape .500, 3."),
        ("a.npz", lambda path: np.savez(path, values=ball()[:, :5]), "it needs points"),
        ("a.npz", lambda path: np.savez(path, pos=ball()[:9, :4], neg=ball()[:0, :4]), "has 9 points"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_one_line(tmp_path, name, write, said):
    write(tmp_path / name)
    with pytest.raises(SignalError, match=said) as caught:
        load_signal(tmp_path / name, "shape")
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


def test_deepsdf_rows_without_a_distance_are_left_out_and_said(tmp_path):
    table = ball()[:, :4].copy()
    table[:7, 3] = np.nan
    inside = ~(table[:, 3] >= 0)
    np.savez(tmp_path / "a.npz", pos=table[~inside], neg=table[inside])
    shape = load_signal(tmp_path / "a.npz")
    assert len(shape.points) == 493 and len(shape.warnings) == 1
    assert "7 of 500 samples are NaN; they are left out" in shape.warnings[0]


def test_distances_of_the_other_sign_are_turned_around_and_said():
    table = ball()[:, :4] * [1, 1, 1, -1]
    shape = signal_of(table)
    (warning,) = shape.warnings
    assert "negative farthest out" in warning and "turned around" in warning
    np.testing.assert_array_equal(shape.distances, signal_of(ball()[:, :4]).distances)
    # A solid that reaches beyond the samples on some sides is no mistake.
    half = ball(2000)[:, :4]
    assert signal_of(half[half[:, 0] < 0]).warnings == []


def test_distances_in_another_unit_than_the_points_are_said():
    (warning,) = signal_of(ball()[:, :4] * [1, 1, 1, 1000]).warnings
    assert "no distances in the points' unit" in warning
    noisy = ball()[:, :4] + [0, 0, 0, 0.05] * np.random.default_rng(0).standard_normal((500, 4))
    assert signal_of(noisy).warnings == []


def test_training_samples_are_the_given_ones_and_what_follows_elsewhere():
    table = ball(3000)[:, :4]
    shape = signal_of(table)
    assert isinstance(shape, ShapeSignal) and np.abs(shape.points).max() > 1.5
    held = np.abs(shape.points).max(axis=1) <= 1
    count = round(int(held.sum()) / GIVEN_SHARE)
    points, distances = shape.sample(count, seed=0)
    assert points.dtype == distances.dtype == np.float32 and np.abs(points).max() <= 1
    given = dict(zip(map(tuple, shape.points[held].astype("f4")), shape.distances[held].astype("f4"), strict=True))
    mine = np.array([tuple(point) in given for point in points])
    # Each of the given ones in the cube once, as it is.
    assert mine.sum() == len({tuple(point) for point in points[mine]}) == held.sum()
    np.testing.assert_array_equal(distances[mine], [given[tuple(point)] for point in points[mine]])
    np.testing.assert_array_equal(distances[~mine], shape.signed_distance(points[~mine]).astype("f4"))
    again, other = shape.sample(count, seed=0), shape.sample(count, seed=1)
    assert np.array_equal(again[0], points) and not np.array_equal(other[0], points)


def test_a_field_is_judged_where_the_samples_prove_what_is_inside():
    shape = signal_of(ball(3000)[:, :4])
    low, high = np.full(3, -1.0), np.full(3, 1.0)
    points, inside = judged_points(shape, low, high, 4000, 0)
    true = np.linalg.norm(points * shape.scale + shape.center, axis=1) - 1.0
    assert 1000 < len(points) < 4000 and (inside == (true < 0)).all()
    # Signs prove nothing between the samples.
    signs = signal_of(np.c_[ball(3000)[:, :3], np.sign(ball(3000)[:, 3])])
    points, inside = judged_points(signs, low, high, 4000, 0)
    assert np.abs(points).max() <= 1 and set(inside) == {False, True}
    assert {tuple(point) for point in points} <= {tuple(point) for point in signs.points.astype("f4")}


@pytest.mark.slow
def test_a_torus_of_few_samples_comes_back_whole():
    """Cut off at a quarter of its tube's radius, too, and without a sample above and below the slab around it."""
    table = torus_samples()
    table[:, 3] = table[:, 3].clip(-0.1, 0.1)
    plan, options = FieldPlan.of(width=64, depth=3), TargetOptions(shape_samples=60000)
    field, _ = fit_settled(settle_fit(table, plan, options, batch_size=2048), 300, device="cpu", progress=False)
    shape = field.original
    queries = np.random.default_rng(3).uniform(-1, 1, (40000, 3)).astype(np.float32)
    inside = field.unit_distance(torch.from_numpy(queries)).numpy()[:, 0] < 0
    true = torus_distance(queries * shape.scale + shape.center) < 0
    assert (inside & true).sum() / (inside | true).sum() > 0.97
    mesh = trimesh.Trimesh(*extract_unit_mesh(field, 64), process=False)
    assert mesh.body_count == 1
    figures = field.target.figures(field, 64)
    assert figures["iou"] > 0.98 and figures["chamfer_percent_of_diagonal"] < 0.5
    assert field.target.quick_figures(field)["iou"] > 0.97
    assert json.loads(json.dumps(field.description.as_dict()))["signal"]["source"] == "distances"

"""What training is made of: sample order, withheld samples, classical interpolation, figures of merit."""

import math

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.errors import SignalError
from winner_ns.fields import FAMILIES, build_field
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField
from winner_ns.fields.input_gradient import value_and_gradient
from winner_ns.figures.grids import (
    log_spectral_distance,
    mean_squared_error,
    psnr,
    signal_to_noise_ratio,
    structural_similarity,
)
from winner_ns.figures.meshes import surface_distances, volume_iou
from winner_ns.figures.surface import Surface
from winner_ns.fitting.evaluation import evaluate_field, quick_figures
from winner_ns.fitting.interpolation import interpolation_error
from winner_ns.fitting.permutation import permute, places
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.sample_split import SampleSplit, TrainingSamples, parse_holdout
from winner_ns.fitting.target import TargetOptions, target_of
from winner_ns.signals import GridSignal
from winner_ns.signals.grid import square_half_extent


@settings(deadline=None)
@given(size=st.integers(1, 3000), key=st.integers(0, 2**40))
def test_permutation_is_a_bijection(size, key):
    order = permute(np.arange(size), size, key)
    assert sorted(order) == list(range(size))
    assert np.array_equal(places(order, size, key), np.arange(size))


def test_permutation_looks_random_and_needs_no_neighbours():
    order = permute(np.arange(100_000), 100_000, key=3)
    assert np.array_equal(permute(np.array([77, 5]), 100_000, key=3), order[[77, 5]])
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    assert not np.array_equal(order, permute(np.arange(100_000), 100_000, key=4))
    # Far more elements than could be listed.
    assert 0 <= permute(np.array([10**15]), 10**16, key=1)[0] < 10**16


@pytest.mark.parametrize(
    ("size", "first"),
    [
        (524_288, [406751, 471507, 128047]),
        (300_000_000, [47539449, 146208038, 275801239]),
        (10**12, [743037247114, 95605025069, 482898467714]),
    ],
)
def test_permutations_stay_what_they_are(size, first):
    """A run that an earlier version began goes on in the same order."""
    order = permute(np.arange(3), size, (42 << 32) + 2)
    assert order.tolist() == first and places(order, size, (42 << 32) + 2).tolist() == [0, 1, 2]


@settings(max_examples=50, deadline=None)
@given(
    shape=st.lists(st.integers(2, 12), min_size=1, max_size=3).map(tuple),
    holdout=st.sampled_from([None, "every-second", 0.1, 0.5]),
    batch_size=st.integers(1, 50),
    seed=st.integers(0, 100),
)
def test_each_epoch_sees_every_training_sample_once_and_no_withheld_one(shape, holdout, batch_size, seed):
    try:
        split = SampleSplit(shape, holdout, seed)
    except SignalError:
        return  # Too few samples are left to train on.
    mask = split.is_heldout()
    heldout = set(np.flatnonzero(mask))
    part = tuple(slice(n // 3, n, 1 + n % 2) for n in shape)
    assert np.array_equal(split.is_heldout(part), mask[part])
    assert np.array_equal(TrainingSamples(split)[np.nonzero(mask | True)], ~mask.reshape(-1))
    assert len(heldout) == split.heldout_size
    assert set(split.heldout_samples(split.size)) == heldout
    steps = -(-3 * split.train_size // batch_size)
    seen = np.concatenate([split.batch(step, batch_size) for step in range(steps)])
    assert not heldout & set(seen)
    if batch_size < split.train_size:
        for epoch in range(2):
            part = seen[epoch * split.train_size : (epoch + 1) * split.train_size]
            assert len(set(part)) == split.train_size
    else:
        assert len(set(split.batch(0, batch_size))) == split.train_size


@pytest.mark.parametrize("batch_size", [0, 400, 1601, 1599])
def test_the_parts_of_several_processes_are_the_batch_of_one(batch_size):
    split = SampleSplit((40, 40), None, 0)
    for step, count in ((0, 3), (2, 4), (3, 2)):
        parts = [split.batch(step, batch_size, rank, count) for rank in range(count)]
        whole = split.batch(step, batch_size)
        assert sorted(np.concatenate(parts)) == sorted(whole) and len(whole) == (min(batch_size, 1600) or 1600)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_every_second_sample_is_the_even_ones():
    split = SampleSplit((5, 4), "every-second", 0)
    trained = np.zeros((5, 4), dtype=bool)
    trained.reshape(-1)[split.batch(0, 0)] = True
    assert trained[::2, ::2].all() and trained.sum() == 6


@pytest.mark.parametrize("wrong", ["1.0", "-0.1", "half", "every-third"])
def test_holdouts_that_make_no_sense(wrong):
    with pytest.raises(SignalError, match="holdout"):
        parse_holdout(wrong)


def grid_signal(values, tmp_path, kind="image"):
    return GridSignal(kind, tmp_path / "x", values.astype(np.float32), 0.0, 1.0, square_half_extent(values.shape[:-1]))


@pytest.mark.parametrize("holdout", ["every-second", 0.2])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_classical_interpolation_is_nearly_exact_on_smooth_signals(dimensions, holdout, tmp_path):
    n = {1: 200, 2: 41, 3: 15}[dimensions]
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, n)] * dimensions, indexing="ij"))
    signal = grid_signal(np.cos(2 * grid.sum(axis=0))[..., None], tmp_path)
    split = SampleSplit(signal.shape, holdout, 0)
    _, error = interpolation_error(signal, split)
    assert psnr(error) > (45 if dimensions == 3 else 55)
    assert interpolation_error(signal, SampleSplit(signal.shape, None, 0)) is None


def test_withheld_samples_do_not_leak_into_the_spectrum(tmp_path):
    """The samples that are withheld are noise, those that are trained on are not: only the latter count."""
    generator = np.random.default_rng(0)
    image = np.zeros((64, 64))
    image[...] = 0.5 + 0.4 * np.sin(np.linspace(0, 6, 64))[:, None]
    split = SampleSplit((64, 64), 0.3, 7)
    noisy = image.copy()
    noisy[split.is_heldout()] = generator.uniform(0, 1, int(split.is_heldout().sum()))
    measured = []
    for name, array in (("clean", image), ("noisy", noisy)):
        np.save(tmp_path / f"{name}.npy", (255 * array).astype(np.uint8))
        target = target_of(tmp_path / f"{name}.npy", "image", TargetOptions(holdout="0.3", seed=7))
        measured.append(target.spectrum.omega)
    assert measured[0] == pytest.approx(measured[1], rel=1e-3)


def test_psnr_convention():
    assert psnr(4.0) == pytest.approx(0.0)
    assert psnr(0.04) == pytest.approx(20.0)
    assert psnr(0.0) == math.inf
    assert mean_squared_error(np.zeros((3, 2)), np.full((3, 2), 0.5)) == pytest.approx(0.25)


def test_sound_figures_by_hand():
    sound = np.sin(np.arange(6000.0))[:, None]
    assert signal_to_noise_ratio(sound, 1.1 * sound) == pytest.approx(20.0, abs=1e-6)
    # Twice as loud is 6.02 dB at every frequency (that lies above the floor).
    noise = np.random.default_rng(0).normal(size=(6000, 2)) * 0.2
    assert log_spectral_distance(noise, 2 * noise) == pytest.approx(20 * math.log10(2), rel=1e-3)
    assert log_spectral_distance(noise, noise) == 0.0


def test_ssim_is_one_for_equals_and_falls_with_noise():
    image = np.random.default_rng(0).uniform(-1, 1, (32, 32, 3)).astype(np.float32)
    assert structural_similarity(image, image) == pytest.approx(1.0)
    assert structural_similarity(image, image[::-1]) < 0.2
    assert structural_similarity(image[:8], image[:8]) is None


def sphere(radius):
    mesh = trimesh.creation.icosphere(subdivisions=5, radius=radius)
    points, face = trimesh.sample.sample_surface(mesh, 4000, seed=0)
    return Surface(np.asarray(points), np.asarray(mesh.face_normals)[face], mesh.vertices, mesh.faces)


def test_shape_figures_on_spheres():
    figures = surface_distances(sphere(0.5), sphere(0.6))
    assert figures["chamfer"] == pytest.approx(0.1, rel=0.01)
    assert figures["normal_consistency"] == pytest.approx(1.0, abs=2e-3)
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (400_000, 3))
    radius = np.linalg.norm(points, axis=1)
    # Inner over outer volume; four standard errors of the sampling.
    assert volume_iou(radius < 0.5, radius < 0.6).value == pytest.approx((5 / 6) ** 3, abs=0.005)
    assert volume_iou(np.zeros(3, bool), np.zeros(3, bool)).value == 1.0


def test_surfaces_known_by_points_alone_are_compared_by_nearest_samples():
    a, b = sphere(0.5), sphere(0.6)
    figures = surface_distances(Surface(a.points, a.normals), Surface(b.points, b.normals))
    # The flat faces lie a little inside of their spheres; the samples' spacing adds a little.
    assert 0.099 < figures["chamfer"] < 0.11


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("chunk", [None, 7, 1000])
def test_value_and_gradient_are_autograds(family, chunk):
    network = build_field(family, 3, 1, generator=torch.Generator().manual_seed(0)).double()
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    x = points.clone().requires_grad_(True)
    expected = network(x)
    (gradient,) = torch.autograd.grad(expected.sum(), x)
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            values, gradients = value_and_gradient(network, points, chunk)
        assert not values.requires_grad and not gradients.requires_grad and not points.requires_grad
        assert torch.allclose(values, expected)
        assert torch.allclose(gradients, gradient)
    assert all(weight.grad is None for weight in network.parameters())
    assert value_and_gradient(network.requires_grad_(False), points[:0])[1].shape == (0, 3)


def trained_field(target, steps, **settings):
    """A small field after some steps of training on a target."""
    signal = target.signal
    network = build_field("siren", signal.dimensions, signal.channels, settings, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for step in range(steps):
        coordinates, values = target.batch(step, 2048, 0, 1)
        loss = (network(coordinates) - values).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    description = Description(
        kind=signal.kind,
        name=signal.path.name,
        data=str(signal.path),
        network=NetworkDescription.of(network, "siren"),
        target=target.describe(),
        signal=signal.describe(),
    )
    return LoadedField(network.requires_grad_(False), description)


@pytest.mark.parametrize("holdout", ["none", "0.3", "every-second"])
def test_quick_figures_of_an_image_are_those_of_all_its_samples(tmp_path, holdout):
    rows, columns = np.mgrid[0:150, 0:130] / 130.0
    picture = 127 + 60 * np.sin(20 * rows * columns) + 60 * np.cos(15 * columns)
    np.save(tmp_path / "picture.npy", picture.astype(np.uint8))
    target = target_of(tmp_path / "picture.npy", "image", TargetOptions(holdout=holdout, seed=0))
    field = trained_field(target, 30, width=32, depth=3)
    quick, whole = quick_figures(field, target), evaluate_field(field, target)
    assert set(quick) == {"psnr", "psnr_heldout"} - ({"psnr_heldout"} if holdout == "none" else set())
    for name, value in quick.items():
        assert value == pytest.approx(whole[name], abs=0.2), name
    assert quick_figures(field, target) == quick  # The same samples every time.
    assert quick_figures(field, target, samples=500)["psnr"] == pytest.approx(whole["psnr"], abs=1.0)


@pytest.mark.slow
def test_quick_figures_of_a_shape(tmp_path):
    trimesh.creation.torus(major_radius=3.0, minor_radius=1.2).export(tmp_path / "torus.ply")
    target = target_of(tmp_path / "torus.ply", options=TargetOptions(shape_samples=20_000, seed=0))
    field = trained_field(target, 100, width=32, depth=3)
    quick, whole = quick_figures(field, target), evaluate_field(field, target, mesh_resolution=16)
    assert 0.5 < whole["iou"] < 1.0
    assert quick == {"iou": pytest.approx(whole["iou"], abs=0.02)}


@pytest.mark.slow
def test_quick_figures_of_a_shape_known_at_its_own_points_are_those_of_what_they_imply(tmp_path):
    """3000 distances to a ball: what is inside is known but for a thin layer, which is not judged."""
    points = np.random.default_rng(0).uniform(-1, 1, (3000, 3))
    np.savez(tmp_path / "a.npz", points=points, sdf=np.linalg.norm(points, axis=1) - 0.5)
    target = target_of(tmp_path / "a.npz", options=TargetOptions(shape_samples=3000, seed=0))
    field = trained_field(target, 150, width=64, depth=2)
    at = np.random.default_rng(1).uniform(-0.55, 0.55, (20000, 3))
    told, true = field(at)[:, 0] < 0, np.linalg.norm(at, axis=1) < 0.5
    iou = (told & true).sum() / (told | true).sum()
    assert iou > 0.9 and iou - 0.01 < quick_figures(field, target)["iou"] < 1
    assert quick_figures(trained_field(target, 1, width=8, depth=2), target)["iou"] < 0.6


def test_the_rate_follows_a_wide_band_as_far_as_the_second_layer_has_noise():
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    gray, colour = target_of(pixels), target_of(np.repeat(pixels[..., None], 3, axis=2))

    def settled(target=gray, **choices):
        return FieldPlan.of(**choices).settle(target).settled

    omega = settled(purpose=1).spectrum.omega
    for width in (64, 128, 256):
        reached = 20_000 / (width * omega)  # The kappa up to which the rate is full.
        for kappa, share in ((0.9, 1), (1.25, 0.8), (1.6, 0.625), (4, 0.5)):
            rate = settled(purpose=kappa * reached, width=width).learning_rate
            assert rate == pytest.approx(share * 1e-3, rel=1e-3)
        # Of three channels, the band counts by the root of that.
        assert settled(colour, purpose=reached, width=width).learning_rate == pytest.approx(1e-3 / 3**0.5, rel=1e-3)
    assert settled(s0=5000, width=256).learning_rate == 1e-3
    # Where estimates between the samples of a plane are trained on, wide fields take less: 0.7 at 256.
    wide = 20_000 / (256 * omega)
    for kappa, width, share in ((0.1, 128, 1), (0.1, 256, 0.7), (0.1, 512, 0.5), (wide / 0.6, 256, 0.6)):
        rate = settled(gray.with_between("kriging"), purpose=kappa, width=width).learning_rate
        assert rate == pytest.approx(share * 1e-3, rel=1e-3)
    assert settled(purpose=40, width=256, learning_rate=2e-3).learning_rate == 2e-3
    sound = FieldPlan.of(purpose=8).settle(target_of((pixels.ravel() / 255.0 - 0.5, 8000)))
    assert sound.learning_rate == 5e-4

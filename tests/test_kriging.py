"""Kriging: the weights by their definition, the nearest samples, stencils of lattices, and what it is worth."""

import itertools

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage import data

import winner_ns
from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.fitting.field_entry import parse_entries
from winner_ns.fitting.interpolation import (
    interpolation_error,
    kriged_halfway,
    kriged_in_gaps,
    spline_at,
    spline_stencils,
    splined,
)
from winner_ns.fitting.kriging import (
    Autocovariance,
    GapKriging,
    KrigingSettings,
    estimates,
    kriging_stencils,
    kriging_weights,
    nearest_known,
)
from winner_ns.fitting.pseudo_samples import GapSamples, HalfwaySamples
from winner_ns.fitting.run import load_run
from winner_ns.fitting.run_folder import open_run
from winner_ns.fitting.sample_split import SampleSplit
from winner_ns.fitting.target import TargetOptions, target_of
from winner_ns.signals import GridSignal
from winner_ns.signals.grid import square_half_extent

SHAPES = [(40,), (9, 12), (5, 6, 7)]


def noise(shape, channels=2, seed=0):
    """Smooth noise, channels last."""
    values = np.random.default_rng(seed).normal(size=(*shape, channels))
    for axis, _ in enumerate(shape):
        values = values + np.roll(values, 1, axis) + 0.5 * np.roll(values, 2, axis)
    return values / np.abs(values).max()


def photograph(size, channels=1):
    """A part of a photograph, with values in [-1, 1]."""
    return np.repeat(data.camera()[150 : 150 + size, 200 : 200 + size, None] / 127.5 - 1.0, channels, axis=-1)


def signal_of(values, tmp_path):
    return GridSignal(
        "image", tmp_path / "x", values.astype(np.float32), 0.0, 1.0, square_half_extent(values.shape[:-1])
    )


def covariance_by_definition(values, lag):
    """The sum over all pairs at a lag, of the mean over the channels."""
    centred = values - values.mean(axis=tuple(range(values.ndim - 1)))
    total = 0.0
    for index in np.ndindex(values.shape[:-1]):
        other = tuple(np.array(index) + lag)
        if all(0 <= o < n for o, n in zip(other, values.shape)):
            total += float(centred[index] @ centred[other])
    return total


@pytest.mark.parametrize("shape", SHAPES)
def test_the_autocovariance_is_the_sum_over_all_pairs(shape):
    values = noise(shape)
    covariance = Autocovariance(values)
    reach = np.array(shape) + 1
    table = covariance.table(reach)
    zero = covariance_by_definition(values, np.zeros(len(shape), dtype=int))
    for lag in ([0] * len(shape), [1] * len(shape), [-2, *[1] * (len(shape) - 1)], [n - 1 for n in shape]):
        expected = covariance_by_definition(values, np.array(lag)) / zero
        assert table[tuple(reach + lag)] == pytest.approx(expected, abs=1e-12)
    assert table[tuple(reach + shape)] == 0.0


def test_the_autocovariance_of_a_constant_is_that_of_noise():
    assert Autocovariance(np.full((5, 5, 1), 0.25)).table(np.array([1, 1])).tolist() == [
        [0, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_solve_the_bordered_system(shape):
    """C w + mu = c and sum w = 1, in one dense system."""
    covariance, generator = Autocovariance(noise(shape)), np.random.default_rng(1)
    offsets = np.array([generator.permutation(list(np.ndindex(*shape)))[:6] - 2 for _ in range(3)])
    weights = kriging_weights(covariance, offsets, nugget=1e-3)
    reach = np.array(shape) * 2
    table = covariance.table(reach)

    def at(lag):
        return table[tuple(reach + lag)]

    for one, found in zip(offsets, weights):
        system, right = np.ones((7, 7)), np.ones(7)
        system[6, 6] = 0.0
        for i, j in itertools.product(range(6), repeat=2):
            system[i, j] = at(one[i] - one[j]) + (1e-3 if i == j else 0.0)
        right[:6] = [at(each) for each in one]
        assert np.allclose(found, np.linalg.solve(system, right)[:6], atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    known=arrays.arrays(bool, arrays.array_shapes(min_dims=1, max_dims=3, max_side=7)),
    count=st.integers(1, 12),
)
def test_the_nearest_known_samples_are_found(known, count):
    if not known.any():
        return
    positions = np.argwhere(~known) if not known.all() else np.argwhere(known)
    offsets = nearest_known(known, positions, count)
    samples = np.argwhere(known)
    assert offsets.shape == (len(positions), min(count, len(samples)), known.ndim)
    for position, found in zip(positions, offsets):
        assert known[tuple((position + found).T)].all()
        assert len(np.unique(found, axis=0)) == len(found)
        distances = np.sort(((samples - position) ** 2).sum(axis=1))[: len(found)]
        assert ((found**2).sum(axis=1) == distances).all()


@settings(max_examples=20, deadline=None)
@given(
    shape=st.lists(st.integers(3, 6), min_size=1, max_size=3).map(tuple),
    channels=st.integers(1, 3),
    share=st.floats(0.05, 0.7),
    seed=st.integers(0, 1000),
)
def test_estimates_have_the_values_shape_and_know_constants_and_no_channel_by_its_place(shape, channels, share, seed):
    values = noise(shape, channels, seed)
    known = np.random.default_rng(seed).uniform(size=shape) > share
    if known.sum() < 2 or known.all():
        return
    gaps = np.argwhere(~known)
    kriging = kriged_in_gaps(values, known)
    estimated = estimates(kriging, values, gaps)
    assert estimated.shape == (len(gaps), channels)
    assert np.isfinite(estimated).all()
    # The weights' sum is 1.
    assert np.allclose(estimates(kriging, np.full_like(values, 0.37), gaps), 0.37)
    turned = values[..., ::-1]
    assert np.allclose(estimates(kriged_in_gaps(turned, known), turned, gaps)[:, ::-1], estimated, atol=1e-6)


@pytest.mark.parametrize("shape", [(120,), (24, 25), (8, 9, 10)])
def test_a_known_sample_is_its_own_estimate(shape):
    """Without a nugget to speak of."""
    values, known = noise(shape), np.ones(shape, dtype=bool)
    kriging = GapKriging(known, Autocovariance(values), KrigingSettings(12, 1e-9, 1))
    positions = np.argwhere(known)
    assert np.allclose(estimates(kriging, values, positions), values.reshape(-1, 2), atol=1e-5)


@pytest.mark.parametrize("fine", [(61,), (40,), (21, 24), (9, 10, 11)])
def test_stencils_of_every_second_sample_are_the_systems_of_each_gap(fine):
    values, known = noise(fine), np.zeros(fine, dtype=bool)
    every_second = (slice(None, None, 2),) * len(fine)
    known[every_second] = True
    chosen = KrigingSettings(16, 1e-2, 2)
    covariance, gaps = Autocovariance(values), np.argwhere(~known)
    lattice = values[every_second]
    stencils = kriging_stencils(lattice.shape[:-1], covariance, chosen)
    by_gap = estimates(GapKriging(known, covariance, chosen), values, gaps)
    assert np.allclose(estimates(stencils, lattice, gaps), by_gap, atol=1e-9)


@pytest.mark.parametrize("shape", [(30,), (9, 11), (5, 4, 6)])
def test_stencils_of_the_doubled_lattice_are_the_systems_of_each_position(shape):
    doubled = tuple(2 * n - 1 for n in shape)
    values = noise(doubled)
    known = np.zeros(doubled, dtype=bool)
    known[(slice(None, None, 2),) * len(shape)] = True
    chosen, covariance, halfway = KrigingSettings(12, 1e-2, 2), Autocovariance(values), np.argwhere(~known)
    lattice = values[(slice(None, None, 2),) * len(shape)]
    estimated = estimates(kriging_stencils(shape, covariance, chosen), lattice, halfway)
    assert np.allclose(estimated, estimates(GapKriging(known, covariance, chosen), values, halfway), atol=1e-9)
    assert np.allclose(estimates(kriged_halfway(lattice, doubled), np.full_like(lattice, -0.2), halfway), -0.2)


def error(estimate, truth):
    return float(np.mean((estimate - truth) ** 2))


def test_kriging_is_ahead_of_splines_on_photographs(tmp_path):
    image = photograph(128)
    known = ~SampleSplit((128, 128), 0.1, 3).is_heldout()
    gaps, truth = np.argwhere(~known), image[~known]
    ahead = error(spline_at(image, known, gaps), truth) / error(
        estimates(kriged_in_gaps(image, known), image, gaps), truth
    )
    assert ahead > 10**0.03
    known = ~SampleSplit((128, 128), "every-second", 3).is_heldout()
    gaps, truth, lattice = np.argwhere(~known), image[~known], image[::2, ::2]
    kriged = estimates(kriged_halfway(lattice, (128, 128)), lattice, gaps)
    ahead = error(splined(lattice, (128, 128))[~known], truth) / error(kriged, truth)
    assert ahead > 10**0.03


@pytest.mark.parametrize("holdout", ["every-second", 0.1])
def test_the_best_interpolation_is_named(holdout, tmp_path):
    split = SampleSplit((64, 64), holdout, 0)
    name, of_photograph = interpolation_error(signal_of(photograph(64), tmp_path), split)
    assert name == "kriging" and 0 < of_photograph < 0.05
    rows, columns = np.mgrid[0:64, 0:64] / 64.0
    name, of_smooth = interpolation_error(signal_of(np.cos(2 * rows + columns)[..., None], tmp_path), split)
    assert name == ("bicubic" if holdout == "every-second" else "thin-plate spline") and of_smooth < 1e-5


@pytest.mark.parametrize("holdout", ["every-second", 0.1])
def test_what_is_withheld_changes_no_estimate(holdout):
    image, split = photograph(48), SampleSplit((48, 48), holdout, 3)
    known = ~split.is_heldout()
    other = np.where(known[..., None], image, 1.0 - image**2)
    gaps = np.argwhere(~known)
    if holdout == "every-second":
        lattices = image[::2, ::2], other[::2, ::2]
        found = [estimates(kriged_halfway(lattice, (48, 48)), lattice, gaps) for lattice in lattices]
    else:
        found = [estimates(kriged_in_gaps(values, known), values, gaps) for values in (image, other)]
    assert np.array_equal(*found)


@pytest.mark.parametrize("fine", [(61,), (40,), (21, 24), (11, 9, 10), (1, 20)])
def test_spline_stencils_are_the_spline_through_all_samples(fine):
    every_second = (slice(None, None, 2),) * len(fine)
    lattice = noise(fine)[every_second]
    stencils = spline_stencils(lattice.shape[:-1])
    estimated = estimates(stencils, lattice, np.argwhere(np.ones(fine, dtype=bool)))
    assert np.allclose(estimated.reshape(*fine, 2), splined(lattice, fine), atol=1e-6)


def target(values, holdout, between="kriging", kind="image", seed=5):
    return target_of(values, kind, TargetOptions(holdout=holdout, between=between, seed=seed))


def by_place(batch):
    """Values of a batch by their coordinates."""
    return {tuple(x): y for x, y in zip(batch[0].tolist(), batch[1].tolist())}


@pytest.mark.parametrize("holdout, weight", [("0.2", 0.1), ("every-second", 0.04)])
def test_estimates_at_the_withheld_places_are_drawn_as_often_as_they_weigh(holdout, weight):
    image = np.uint8(255 * (photograph(40, 2)[..., :1] * 0.5 + 0.5))
    both, alone = target(image, holdout), target(image, holdout, "none")
    assert both.train_size == alone.train_size
    samples = by_place(alone.batch(0, 0))
    whole = by_place(both.batch(0, 0))
    assert {place: whole[place] for place in samples} == samples
    withheld = image.size - len(samples)
    assert len(whole) == len(samples) + round(weight * withheld)
    # Of all samples at once, too, each step has other estimates, until all have been there.
    steps = -(-withheld // round(weight * withheld))
    assert len({place for step in range(steps) for place in by_place(both.batch(step, 0))}) == image.size
    # An epoch in parts sees each sample once, with the same part of estimates in each.
    estimated = [len(set(by_place(both.batch(step, 100))) - set(samples)) for step in range(3)]
    assert estimated == [round(100 * weight * withheld / (len(samples) + weight * withheld))] * 3
    parts = [by_place(both.batch(step, 100)) for step in range(-(-len(samples) // (100 - estimated[0])))]
    assert set(samples) <= {place for part in parts for place in part}
    shares = [by_place(both.batch(1, 150, rank, 3)) for rank in range(3)]
    together = by_place(both.batch(1, 150))
    assert shares[0] | shares[1] | shares[2] == together and len(together) == 150
    again = target(image, holdout)
    assert all((a == b).all() for a, b in zip(again.batch(7, 99, 1, 2), both.batch(7, 99, 1, 2)))


@pytest.mark.parametrize("holdout", ["0.2", "every-second"])
def test_no_withheld_value_is_trained_on(holdout):
    image = data.camera()[100:140, 200:240].copy()
    first = target(image, holdout)
    other = image.copy()
    other[first.split.is_heldout()] = np.random.default_rng(0).integers(0, 256, int(first.split.heldout_size))
    second = target(other, holdout)
    assert all((a == b).all() for a, b in zip(first.batch(0, 0), second.batch(0, 0)))


@pytest.mark.parametrize(
    "shape, kind, weight", [((300,), "audio", 1.0), ((30, 41), "image", 0.04), ((7, 8, 9), "volume", 0.04)]
)
def test_where_nothing_is_withheld_part_of_a_batch_is_halfway_between_samples(shape, kind, weight):
    values = noise(shape, 1).astype(np.float32)
    found = target(values[..., 0] if kind == "volume" else values, "none", kind=kind)
    coordinates, trained = found.batch(4, 100)
    assert len(coordinates) == 100
    steps = (coordinates.double() / np.array(found.signal.half_extent) + 1) / 2 * (np.array(shape) - 1)
    twice = np.round(2 * steps.numpy())
    assert np.allclose(twice, 2 * steps.numpy(), atol=1e-3)
    halfway = (twice % 2 == 1).any(axis=1)
    weighed = weight * found.between.size
    assert halfway.sum() == round(100 * weighed / (found.train_size + weighed))
    # Each of them is a mean of samples with weights whose sum is 1: near them, here.
    assert np.abs(trained.numpy()).max() < 2 * found.gain * np.abs(values).max()
    assert len(found.batch(0, 0)[0]) == found.train_size + round(weighed)
    of_samples = 100 - halfway.sum()
    epoch = [by_place(found.batch(step, 100)) for step in range(-(-found.train_size // of_samples))]
    assert len({place for part in epoch for place in part}) > found.train_size


def test_a_smooth_sound_is_left_to_the_spline_and_a_melody_is_not():
    time = (np.arange(4000) - 1999.5) / 8000
    tones = sum(np.sin(2 * np.pi * f * time) for f in (440.0, 1250.0, 2310.0))[:, None] / 3
    assert target((tones, 8000), "0.1", kind="audio").between.method == "kriging"
    smooth = np.exp(-(time**2) / 0.02)[:, None]
    for holdout, samples in (("0.1", GapSamples), ("none", HalfwaySamples), ("every-second", HalfwaySamples)):
        between = target((smooth, 8000), holdout, kind="audio").between
        assert isinstance(between, samples) and between.method == "spline"
        coordinates, values = between.at(np.arange(between.size))
        expected = np.exp(-((coordinates * time[-1]) ** 2) / 0.02)
        assert np.allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize("wrong", ["krigging", "", 3])
def test_what_cannot_be_between_is_one_line(wrong):
    with pytest.raises(SignalError, match="between: .* there are kriging and none"):
        target(noise((8, 8)), "none", wrong)


def test_shapes_have_nothing_between():
    with pytest.raises(SignalError, match="between: is for images"):
        target_of(trimesh.creation.box(), options=TargetOptions(between="kriging"))


def test_the_smallest_grids_have_something_between():
    for shape, holdout in itertools.product(
        [(2,), (3,), (1, 5), (2, 2), (3, 3), (2, 2, 2), (1, 4, 4)], ("none", "0.3", "every-second")
    ):
        kind = {1: "audio", 2: "image", 3: "volume"}[len(shape)]
        values = noise(shape, 1).astype(np.float32)
        try:
            found = target(values[..., 0] if kind == "volume" else values, holdout, kind=kind)
        except SignalError:
            continue
        assert np.isfinite(found.batch(0, 0)[1]).all()


def test_kriging_tames_a_wide_band_between_the_samples():
    image = np.uint8(255 * (photograph(32) * 0.5 + 0.5))
    sizes = {"width": 64, "depth": 3, "steps": 100, "batch_size": 512, "learning_rate": 2e-3, "seed": 1}
    alone, both = (
        winner_ns.fit(image, purpose=2, holdout=0.2, between=between, progress=False, **sizes)
        for between in ("none", "kriging")
    )
    assert both.figures["psnr_heldout"] > alone.figures["psnr_heldout"] + 2.0
    assert both.figures["psnr"] > alone.figures["psnr_heldout"] + 5.0
    assert both.description.target["between"] == "kriging" and "between" not in alone.description.target


@pytest.mark.parametrize(
    "choices, between",
    [
        ({}, "kriging"),
        ({"purpose": "interpolate"}, "kriging"),
        ({"purpose": "fit"}, "none"),
        ({"purpose": 0.5}, "none"),
        ({"law": "paper"}, "none"),
        ({"family": "siren"}, "none"),
        ({"family": "siren", "law": "matching"}, "kriging"),
        ({"family": "siren", "between": "kriging"}, "kriging"),
        ({"between": "none"}, "none"),
    ],
)
def test_what_is_trained_on_between_the_samples_goes_by_the_purpose(choices, between, photo):
    sizes = {"width": 8, "depth": 2, "steps": 1, "progress": False}
    fitted = winner_ns.fit(photo, **sizes, **choices)
    assert fitted.description.target.get("between", "none") == between
    assert (fitted.target.between is None) == (between == "none")


def test_fields_of_one_comparison_keep_what_each_is_trained_on_between_the_samples(photo):
    made_of = {"width": 8, "depth": 2}
    entries = parse_entries(["winner", "own=winner:between=none", "siren", "taught=siren:between=kriging"], **made_of)
    target = target_of(photo, options=TargetOptions(holdout="0.2"))
    settled = {entry.name: entry.plan.settle(target, 64) for entry in entries}
    sizes = {name: len(set(map(tuple, plan.target.batch(0, 0)[0].tolist()))) for name, plan in settled.items()}
    everything = target.train_size + round(0.1 * target.split.heldout_size)
    assert sizes == {"winner": everything, "own": target.train_size, "siren": target.train_size, "taught": everything}
    with pytest.raises(SignalError, match="between=linear"):
        parse_entries(["winner:between=linear"])


def test_a_run_goes_on_with_what_it_was_trained_on_between_the_samples(photo, tmp_path, capsys):
    sizes = ["--width", "8", "--depth", "2", "--quiet", "--between", "kriging"]
    assert main(["fit", str(photo), "-o", str(tmp_path / "whole"), "--steps", "6", *sizes]) == 0
    assert main(["fit", str(photo), "-o", str(tmp_path / "part"), "--steps", "3", *sizes]) == 0
    (tmp_path / "part" / "results" / "figures.json").unlink()
    weights = load_run(tmp_path / "part").network.state_dict()
    unfinished = open_run(tmp_path / "part", 6)
    assert unfinished.settled.target.options.between == "kriging"
    assert all(torch.equal(weights[name], value) for name, value in unfinished.state["field"].items())
    assert main(["fit", str(photo), "-o", str(tmp_path / "x"), *sizes[:-1], "crigging"]) == 1
    assert "--between: 'crigging' is none; there are kriging and none" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("holdout", ["none", "0.1"])
def test_ns_train_trains_on_the_same_estimates_bit_for_bit(holdout, photo, ns_train, runs):
    sizes = ["--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2, "--machine.device-type", "cpu"]
    data_flags = ["--data", photo, "--pipeline.datamanager.holdout", holdout, "--pipeline.write-results", "False"]
    flags = [*data_flags, *sizes, "--max-num-iterations", 6]
    between = ["--pipeline.datamanager.between", "kriging"]
    finished = ns_train(*flags, *between)
    assert finished.status == 0, finished.errors
    trained = load_run(runs()[0])
    held = {} if holdout == "none" else {"holdout": holdout}
    fitted = winner_ns.fit(photo, steps=6, device="cpu", between="kriging", width=16, depth=2, progress=False, **held)
    states = trained.network.state_dict(), fitted.network.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    assert trained.description.as_dict() == fitted.description.as_dict()
    # What lies between is the run's own: without it, it does not go on.
    without = ["--pipeline.datamanager.between", "none", "--load-dir", runs()[0] / "nerfstudio_models"]
    other = ns_train(*flags[:-1], 9, *without)
    assert other.status == 1 and "'between': 'kriging'" in other.errors

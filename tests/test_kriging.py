"""Kriging: the weights by their definition, the nearest samples, stencils of lattices, and what it is worth."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage import data

from winner_ns.fitting.interpolation import (
    interpolation_error,
    kriged_halfway,
    kriged_in_gaps,
    spline_at,
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
from winner_ns.fitting.sample_split import SampleSplit
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

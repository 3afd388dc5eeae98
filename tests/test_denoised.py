"""The spectrum that noise leaves of samples, against the clean samples' own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.fitting.interpolation import gaps_filled
from winner_ns.spectrum import SineNetwork, kappa_of, spectral_centroid
from winner_ns.spectrum.denoised import denoised_frequency
from winner_ns.spectrum.noise import choose_noise, denoised_omega, grid_spectrum, shape_spectrum
from winner_ns.spectrum.white_noise import noise_deviation


def waves(shape: tuple, most: int = 12) -> np.ndarray:
    """Waves along each axis whose amplitudes fall with their frequency, [*shape, 1]; rms 1."""
    axes = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    values = sum(np.sin(2 * np.pi * k * x + k) / k for x in axes for k in range(1, most))[..., None]
    return values / values.std()


def centroid(samples: np.ndarray) -> float:
    return float(np.mean([spectral_centroid(samples, axis, remove_mean=True) for axis in range(samples.ndim - 1)]))


@settings(max_examples=20, deadline=None)
@given(
    shape=st.sampled_from([(12000,), (60000,), (128, 96), (200, 200)]),
    deviation=st.floats(0.03, 0.5),
    seed=st.integers(0, 99),
    withheld=st.sampled_from([0.0, 0.05, 0.2]),
)
def test_the_centroid_without_noise_is_near_the_clean_signals(shape, deviation, seed, withheld):
    clean, random = waves(shape), np.random.default_rng(seed)
    noisy = clean + random.normal(0, deviation, clean.shape)
    gaps = random.random(shape) < withheld
    found = denoised_omega(gaps_filled(noisy, gaps), (1.0,) * len(shape), gaps)
    before, after = centroid(noisy), centroid(clean)
    # Most of what noise adds is gone.
    assert abs(found - after) < 0.2 * (before - after)


@settings(max_examples=15, deadline=None)
@given(shape=st.sampled_from([(5000,), (90, 120), (20, 24, 30)]), most=st.integers(3, 9))
def test_without_noise_the_centroid_is_nearly_the_samples_own(shape, most):
    clean = waves(shape, most)
    # Here lines are averaged as powers, there each has a centroid of its own; with noise it would be near 0.5.
    assert denoised_omega(clean, (1.0,) * len(shape)) == pytest.approx(centroid(clean), rel=0.25)


def test_where_all_is_noise_nothing_is_left():
    noise = np.random.default_rng(0).normal(0, 1, (200, 200, 1))
    assert denoised_frequency(noise, (1.0, 1.0), 100.0) == 0.0
    # At most the few frequencies that stand out by chance: less than there is of noise.
    assert denoised_omega(noise, (1.0, 1.0)) < 1.0


@pytest.mark.parametrize("withheld", [0.05, 0.3])
@pytest.mark.parametrize("shape", [(9000,), (90, 120)])
def test_filled_gaps_hide_no_noise(shape, withheld):
    random = np.random.default_rng(1)
    noisy, gaps = waves(shape) + random.normal(0, 0.2, (*shape, 1)), random.random(shape) < withheld
    filled = gaps_filled(noisy, gaps)
    assert noise_deviation(filled, gaps=gaps) == pytest.approx(0.2, rel=0.1)
    # Where no difference is free of gaps, those with gaps are better than none.
    every = np.ones(shape, bool)
    assert noise_deviation(noisy, gaps=every) == noise_deviation(noisy)


def test_the_purpose_denoise_matches_the_clean_sounds_band():
    clean = waves((20000,), 40)
    noisy = clean + np.random.default_rng(2).normal(0, 0.5, clean.shape)
    nyquist = (np.pi * 19999 / 2,)
    network = SineNetwork(1, 64, 3, omega_0=3.0, first_omega_0=3.0)
    spectrum = grid_spectrum("audio", noisy, nyquist)
    report = choose_noise(spectrum, network, purpose="denoise")
    wanted = 0.35 * centroid(clean) * nyquist[0]
    assert report.band == pytest.approx(wanted, rel=0.25)
    assert choose_noise(spectrum, network, purpose=0.35).band > 1.5 * wanted


def test_the_purpose_denoise_is_of_what_noise_can_be_on():
    image = grid_spectrum("image", waves((30, 40)), (40.0, 30.0))
    assert kappa_of("denoise", image, 1000) == 0.0
    shape = shape_spectrum(np.linspace(-0.1, 0.1, 50))
    with pytest.raises(ValueError, match="denoise is for samples on a grid, not for shapes"):
        kappa_of("denoise", shape, 1000)

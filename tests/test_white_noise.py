"""The noise in samples against noise that was added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.spectrum.white_noise import noise_deviation


def smooth(shape: tuple) -> np.ndarray:
    """A few slow waves along each axis, [*shape, 1]."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    return sum(np.sin(2 * np.pi * (2 + 3 * place) * x) for place, x in enumerate(axes))[..., None]


@settings(max_examples=15)
@given(
    shape=st.sampled_from([(6000,), (90, 120), (24, 30, 40), (1, 5000)]),
    channels=st.integers(1, 3),
    deviation=st.floats(0.02, 0.5),
    seed=st.integers(0, 99),
)
def test_noise_is_estimated_as_it_was_added(shape, channels, deviation, seed):
    noise = np.random.default_rng(seed).normal(0, deviation, (*shape, channels))
    assert noise_deviation(smooth(shape) + noise) == pytest.approx(deviation, rel=0.1)
    assert noise_deviation(100 * (smooth(shape) + noise), scale=100.0) == pytest.approx(deviation, rel=0.1)


def test_a_smooth_signal_has_no_noise():
    assert noise_deviation(smooth((20000,))) < 1e-4 and noise_deviation(np.zeros((2, 2, 1))) == 0.0
    assert noise_deviation(np.full((50, 50, 3), 7, np.uint8)) == 0.0


@pytest.mark.parametrize("deviation", [0.0, 0.05])
def test_a_bright_sound_is_no_noise(deviation):
    x = np.arange(8000)
    bright = sum(np.sin(frequency * x + frequency) for frequency in (1.3, 2.0, 2.6, 3.0))[:, None]
    noisy = bright + np.random.default_rng(0).normal(0, deviation, bright.shape)
    assert noise_deviation(noisy) == pytest.approx(deviation, rel=0.1, abs=1e-3)


def test_large_arrays_are_measured_in_their_middle():
    samples = np.broadcast_to(np.float32(0.5), (30000, 30000, 3))
    assert noise_deviation(samples) == 0.0

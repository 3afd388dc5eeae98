"""Coordinates and values of samples on grids of any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.signals import GridSignal, load_signal
from winner_ns.signals.grid import square_half_extent

shapes = st.lists(st.integers(2, 7), min_size=1, max_size=4).map(tuple)


def signal_of(samples: np.ndarray, offset: float, scale: float) -> GridSignal:
    return GridSignal("image", Path("made.npy"), samples, offset, scale, square_half_extent(samples.shape[:-1]))


@given(
    shape=shapes,
    channels=st.integers(1, 4),
    offset=st.floats(-200, 200),
    scale=st.floats(0.01, 200),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_batches_equal_a_meshgrid(shape, channels, offset, scale, seed):
    generator = np.random.default_rng(seed)
    raw = generator.integers(0, 256, (*shape, channels), dtype=np.uint8)
    signal = signal_of(raw, offset, scale)
    spacing = 2 / (max(shape) - 1)
    axes = [(np.arange(n) - (n - 1) / 2) * spacing for n in shape]
    coordinates = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))
    values = (raw.reshape(-1, channels).astype(np.float64) - offset) / scale

    chosen = generator.integers(0, len(signal), 20)
    np.testing.assert_allclose(signal.coordinates(torch.from_numpy(chosen)).numpy(), coordinates[chosen], atol=1e-7)
    np.testing.assert_allclose(signal.values(torch.from_numpy(chosen)).numpy(), values[chosen], rtol=1e-6, atol=1e-12)
    assert len(signal) == len(coordinates)


@pytest.mark.parametrize(("height", "width"), [(4, 9), (9, 4), (5, 5)])
def test_pixels_are_square_and_the_longer_side_spans_the_unit_interval(tmp_path, height, width):
    path = tmp_path / "ramp.npy"
    np.save(path, np.arange(height * width, dtype=np.float32).reshape(height, width))
    signal = load_signal(path)
    grid = signal.coordinates(torch.arange(len(signal))).reshape(height, width, 2)
    down, right = grid[1, 0] - grid[0, 0], grid[0, 1] - grid[0, 0]
    assert down[1] == 0 and right[0] == 0
    assert down[0].item() == pytest.approx(right[1].item(), rel=1e-6)
    assert grid.abs().max().item() == 1.0
    torch.testing.assert_close(grid[0, 0], -grid[-1, -1])
    # A step of one sample per half period is the highest frequency that the grid holds.
    np.testing.assert_allclose(np.array(signal.nyquist) * down[0].item(), np.pi, rtol=1e-6)


def test_an_hour_of_sound_ends_at_one(tmp_path):
    samples = np.lib.stride_tricks.as_strided(np.zeros(1, np.int16), (3600 * 44100, 1), (0, 0))
    signal = GridSignal("audio", tmp_path, samples, 0.0, 1.0, (1.0,))
    ends = signal.coordinates(torch.tensor([0, len(signal) - 1]))
    assert ends.flatten().tolist() == [-1.0, 1.0]


def test_description_is_plain_json_and_rebuilds_values(tmp_path):
    import json

    path = tmp_path / "scan.npy"
    raw = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    np.save(path, raw)
    signal = load_signal(path)
    facts = json.loads(json.dumps(signal.describe()))
    assert facts["shape"] == [6, 5] and facts["channels"] == 3 and facts["dtype"] == "float32"
    values = signal.values(torch.arange(30)).numpy()
    assert values.min() == -1.0 and values.max() == 1.0
    np.testing.assert_allclose(values * facts["value_scale"] + facts["value_offset"], raw.reshape(30, 3), atol=1e-6)

"""Numbers that single precision does not hold get one line, of every kind; all others a spectrum and a fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tifffile

import winner_ns
from winner_ns.errors import SignalError
from winner_ns.signals import load_signal, signal_of
from winner_ns.spectrum.inspection import inspect_signal

SHAPES = {"image": (16, 16), "audio": (600,), "volume": (6, 7, 8), "video": (4, 8, 8), "shape": (800, 6)}


def array(kind: str, factor: float, dtype) -> np.ndarray:
    generator = np.random.default_rng(0)
    if kind == "shape":
        points = generator.normal(size=(800, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return np.hstack([points * factor, points]).astype(dtype)
    return ((generator.random(SHAPES[kind]) - 0.5) * factor).astype(dtype)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("factor", [1e100, 1e-170, 1e300, 1e-300, 1e37, 1e-37, 1e32, 1e-32])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_single_precision_does_not_hold_is_one_line(tmp_path, kind, factor, dtype):
    with np.errstate(over="ignore", under="ignore"):
        values = array(kind, factor, dtype)
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(SignalError) as caught:
        load_signal(tmp_path / "a.npy", kind)
    assert "\n" not in str(caught.value)
    if np.isfinite(values).all() and np.ptp(values[..., :3]) > 0:
        assert "single precision does not hold" in str(caught.value)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("factor", [1e28, 1e-28, 1e15, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_psi_does_not_depend_on_the_unit(kind, factor, dtype):
    reference = array(kind, 1.0, np.float64)
    if kind == "shape":
        # Its psi is that of points that are drawn by number from sorted ones, whose order rounding may change: a power
        # of two rounds nothing.
        factor, reference = 2.0 ** round(math.log2(factor)), array(kind, 1.0, dtype)
    psi = inspect_signal(signal_of(array(kind, factor, dtype), kind)).as_dict()["psi"]
    assert psi == pytest.approx(inspect_signal(signal_of(reference, kind)).as_dict()["psi"], rel=1e-4)


@pytest.mark.parametrize("kind", ["image", "audio", "volume", "video"])
@pytest.mark.parametrize("factor", [1e29, 1e-28])
def test_what_is_held_is_fitted_and_loaded_again(tmp_path, kind, factor):
    field = winner_ns.fit(array(kind, factor, np.float64), kind=kind, steps=2, width=8, depth=2, progress=False)
    assert math.isfinite(field.figures["psnr"])
    loaded = winner_ns.load_field(field.save(tmp_path / "a.safetensors"))
    values = loaded.grid(SHAPES[kind])
    assert np.isfinite(values).all() and np.abs(values).max() < 2 * factor


@pytest.mark.parametrize("mono", [False, True])
def test_sounds_of_two_channels(tmp_path, mono):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(4000, 2)) * 1e100)
    with pytest.raises(SignalError, match="reach to .*e.100, which single precision does not hold"):
        load_signal(tmp_path / "a.npy", "audio", winner_ns.ReadOptions(mono=mono))


@pytest.mark.parametrize("factor", [1e100, 1e-170, 1e37])
def test_tiffs_of_floats(tmp_path, factor):
    dtype = np.float32 if factor == 1e37 else np.float64
    tifffile.imwrite(tmp_path / "a.tif", array("image", factor, dtype))
    with pytest.raises(SignalError, match="single precision does not hold"):
        load_signal(tmp_path / "a.tif")


def test_a_single_value_beyond_is_enough(tmp_path):
    values = array("image", 1.0, np.float64)
    values[3, 3] = 1e100
    with pytest.raises(SignalError, match="its values reach to 1e.100"):
        signal_of(values)

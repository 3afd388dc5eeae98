"""What Python holds as signals: every sort of array and tensor gives its numbers or one line that says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import winner_ns
from winner_ns.errors import SignalError
from winner_ns.kinds import KINDS, Kind, register_kind
from winner_ns.signals import GridSignal, signal_of
from winner_ns.signals.image import image_of_array
from winner_ns.signals.load import array_kind

PICTURE = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
TONE = np.sin(np.arange(4000) * 0.1)


def line(data, *arguments, **options) -> str:
    with pytest.raises(SignalError) as caught:
        signal_of(data, *arguments, **options)
    text = str(caught.value)
    assert "\n" not in text and "; " in text
    return text


def test_masked_values_are_refused_and_masks_of_nothing_are_not():
    masked = np.ma.masked_greater(PICTURE, 0.5)
    count = int((PICTURE > 0.5).sum())
    assert f"{count} of its values are masked; say what they shall be: .filled(value)" in line(masked)
    assert "1000 of its values are masked" in line((np.ma.masked_array(TONE, np.arange(4000) < 1000), 8000))
    assert "masked" in line([masked[0], masked[1]])
    np.testing.assert_array_equal(signal_of(np.ma.masked_array(PICTURE)).samples, PICTURE)
    np.testing.assert_array_equal(signal_of(masked.filled(0)).samples, masked.filled(0))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float32, torch.float64]
)
def test_tensors_of_all_floats_give_their_numbers(dtype):
    tensor = torch.from_numpy(PICTURE).to(dtype).requires_grad_(dtype.itemsize >= 2)
    signal = signal_of(tensor)
    assert signal.samples.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    np.testing.assert_array_equal(signal.samples, tensor.detach().double().numpy())


def test_tensors_in_other_layouts_give_their_numbers():
    plain = torch.from_numpy(PICTURE[..., 0])
    turned = torch.complex(torch.zeros_like(plain), -plain).conj().imag  # Its negation is yet to be done.
    assert turned.is_neg()
    for tensor in (plain.to_sparse(), plain.to_sparse_csr(), turned, plain.t().contiguous().t()):
        np.testing.assert_array_equal(signal_of(tensor).samples[..., 0], PICTURE[..., 0])
    steps = torch.quantize_per_tensor(plain, 0.01, 0, torch.quint8)
    np.testing.assert_array_equal(signal_of(steps).samples[..., 0], steps.dequantize().numpy())


@pytest.mark.parametrize(
    "tensor, problem",
    [
        (torch.empty(20, 30, device="meta"), "is on the meta device"),
        (torch.zeros(20, 30, dtype=torch.complex64), "holds complex64 instead of real numbers"),
        (torch.zeros(20, 30, dtype=torch.complex64).conj(), "holds complex64 instead of real numbers"),
        (torch.zeros(20, 30, dtype=torch.complex32), "Tensor: gives no array"),
        (torch.nested.nested_tensor([torch.zeros(3), torch.zeros(4)]), "Tensor: gives no array"),
        (torch.tensor(3.0), "is no array of numbers"),
    ],
)
def test_tensors_that_have_no_numbers_to_give(tensor, problem):
    assert problem in line(tensor)


@pytest.mark.parametrize("rate", [8000, 8000.0, np.int64(8000), np.array(8000), np.array(8e3), torch.tensor(8000)])
def test_a_rate_is_any_single_number(rate):
    for data in ((TONE, rate), (rate, TONE), (torch.from_numpy(TONE), rate)):
        signal = signal_of(data)
        assert signal.metadata["sample_rate"] == 8000 and type(signal.metadata["sample_rate"]) is int
        np.testing.assert_array_equal(signal.samples[:, 0], TONE)


@pytest.mark.parametrize(
    "data, problem",
    [
        ([TONE, 8000], "is a list; give a sound as a tuple"),
        ([list(TONE), 8000], "is a list; give a sound as a tuple"),
        ((TONE, "8000"), "the rate is '8000', a text; give hertz"),
        ([TONE, "8000"], "the rate is '8000', a text; give hertz"),
        ((TONE, 0), "the rate is 0"),
        ((TONE, np.array(-1.0)), "the rate is -1.0"),
        ((TONE, torch.tensor(float("nan"))), "the rate is nan"),
        ((TONE, 44100.5), "the rate is 44100.5"),
        ((TONE, True), "is no"),
        (("a.wav", "b.wav"), "2 paths: is no single signal"),
        (["a.wav", 8000], "2 paths: is no single signal"),
    ],
    ids=str,
)
def test_what_is_no_pair_of_samples_and_rate(data, problem):
    assert problem in line(data)


@pytest.mark.parametrize("channels", range(1, 9))
def test_channels_first_are_refused_where_a_sound_is_meant(channels):
    first = np.broadcast_to(TONE, (channels, 4000))
    for data, kind in (((first, 8000), None), (first, "audio")):
        assert f"a sound of shape ({channels}, 4000) has its channels first; transpose it" in line(data, kind)
    signal = signal_of((first.T, 8000))
    assert signal.channels == channels and signal.shape == (4000,)


@given(rows=st.integers(1, 4), columns=st.integers(1, 2000))
def test_one_or_two_long_rows_are_no_image_of_their_own_accord(rows, columns):
    def told() -> str:
        return array_kind(Path("a"), (rows, columns), np.dtype(np.float32))

    if rows <= 2 and columns > 64 * rows:
        with pytest.raises(SignalError, match="may be a sound with its channels first, or an image of . row"):
            told()
    else:
        assert told() == "image"


def test_two_long_rows_are_an_image_where_that_is_said():
    assert signal_of(np.stack([TONE, -TONE]), "image").shape == (2, 4000)


def test_auto_is_no_kind_at_all():
    assert signal_of(PICTURE, "auto").kind == signal_of(PICTURE).kind == "image"
    signal = signal_of(PICTURE)
    assert signal_of(signal, "auto") is signal


@pytest.mark.parametrize("kind", ["sound", "views", ""])
def test_an_unknown_kind_is_an_error_of_that_setting(kind):
    with pytest.raises(SignalError, match="is none; choose auto, image") as caught:
        signal_of(PICTURE, kind)
    assert caught.value.setting == "kind"


# Kinds that others bring


def read_as_image(path: Path) -> GridSignal:
    return image_of_array(PICTURE, path)


def take_as_image(array: np.ndarray, path: Path, options: object) -> GridSignal:
    return image_of_array(array, path)


def read_nothing(path: Path) -> None:
    return None


def fail(*arguments: object) -> bool:
    raise KeyError("what\nelse")


def refuse(path: Path) -> GridSignal:
    raise SignalError(path, "is a bad relief", "mend it")


@pytest.fixture
def relief(tmp_path, monkeypatch):
    """Registers the kind "relief" with these traits, for a test; returns a file of it."""
    monkeypatch.setattr(KINDS, "_entries", dict(KINDS._entries))
    monkeypatch.setattr(KINDS, "_packages", dict(KINDS._packages))

    def registered(**traits: str) -> Path:
        references = {name: f"{__name__}:{function}" for name, function in traits.items()}
        register_kind(Kind("relief", "a relief", "reliefs", signatures=((0, b"relief"),), **references))
        (tmp_path / "a.relief").write_text("relief")
        return tmp_path / "a.relief"

    return registered


def test_a_reader_of_another_kinds_signals_is_told_apart(relief):
    path = relief(reader="read_as_image", array_reader="take_as_image")
    assert "the reader of the kind relief makes of the kind image" in line(path)
    assert "the array_reader of the kind relief makes of the kind image" in line(PICTURE, "relief")


def test_a_reader_of_nothing(relief):
    assert "the reader of the kind relief makes a NoneType, no signal" in line(relief(reader="read_nothing"))


def test_whatever_fails_in_somebody_elses_kind_is_one_line(relief):
    path = relief(reader="fail", array_reader="fail", recognise="fail")
    brought = KINDS.package_of("relief")
    for text in (line(path), line(path, "relief"), line(PICTURE, "relief")):
        assert "of the kind relief fails (KeyError" in text and f"correct it in {brought}" in text
    assert "the recognise of" in line(path) and "the array_reader of" in line(PICTURE, "relief")
    with pytest.raises(winner_ns.SignalError, match="the recognise of the kind relief"):
        winner_ns.fit(path, steps=1)


def test_what_somebody_elses_kind_says_in_one_line_stays_as_it_is(relief):
    assert line(relief(reader="refuse")).endswith("a.relief: is a bad relief; mend it")

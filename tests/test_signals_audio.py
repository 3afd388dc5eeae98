"""Sounds of every sample format, and slices of them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile
import torch

from winner_ns.errors import SignalError
from winner_ns.export.audio import export_audio
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField
from winner_ns.signals import ReadOptions, detect_kind, load_signal, signal_of

RATE = 8000


def tone(frames: int = 4000, channels: int = 1, level: float = 0.5) -> np.ndarray:
    time = np.arange(frames)[:, None] / RATE
    return level * np.sin(2 * np.pi * 440 * time * (1 + np.arange(channels))) * np.exp(-time)


def write(path, samples: np.ndarray, rate: int = RATE, **format_options):
    soundfile.write(path, samples, rate, **format_options)
    return path


def values_of(signal) -> np.ndarray:
    return signal.values(torch.arange(len(signal))).numpy()


@pytest.mark.parametrize(
    ("suffix", "subtype", "dtype", "full_scale"),
    [
        ("wav", "PCM_U8", "int16", 2**15),
        ("wav", "PCM_16", "int16", 2**15),
        ("wav", "PCM_24", "int32", 2**31),
        ("wav", "PCM_32", "int32", 2**31),
        ("wav", "FLOAT", "float32", 1),
        ("wav", "DOUBLE", "float64", 1),
        ("wav", "ULAW", "int16", 2**15),
        ("flac", "PCM_16", "int16", 2**15),
        ("flac", "PCM_24", "int32", 2**31),
        ("aiff", "PCM_16", "int16", 2**15),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_sample_formats(tmp_path, suffix, subtype, dtype, full_scale, channels):
    path = write(tmp_path / f"a.{suffix}", tone(channels=channels), subtype=subtype)
    signal = load_signal(path)
    assert signal.kind == detect_kind(path) == "audio"
    assert signal.shape == (4000,) and signal.channels == channels
    assert signal.samples.dtype == dtype
    expected, _ = soundfile.read(path, dtype="float64", always_2d=True)
    np.testing.assert_array_equal(signal.samples / full_scale, expected)
    np.testing.assert_allclose(values_of(signal), expected / np.abs(expected).max(), atol=1e-7)
    assert np.abs(values_of(signal)).max() == 1.0
    assert signal.metadata == {
        "sample_rate": RATE,
        "subtype": subtype,
        "format": suffix.upper(),
        "start": 0.0,
        "full_scale": full_scale,
    }
    assert signal.half_extent == (1.0,) and signal.warnings == []


def test_extensible_wav(tmp_path):
    path = write(tmp_path / "a.wav", tone(channels=4), subtype="PCM_24", format="WAVEX")
    assert path.read_bytes()[20:22] == b"\xfe\xff"
    assert load_signal(path).samples.dtype == np.int32


@pytest.mark.parametrize("suffix", ["ogg", "mp3", "opus"])
def test_compressed_formats(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    options = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    rate = 48000 if suffix == "opus" else 44100
    samples = np.sin(np.arange(rate) * 0.05)[:, None] * 0.5
    soundfile.write(path, samples, rate, **options)
    signal = load_signal(path)
    assert signal.metadata["sample_rate"] == rate and signal.samples.dtype == np.float32
    assert signal.samples[:, 0].shape == samples[:, 0].shape
    assert np.corrcoef(signal.samples[:, 0], samples[:, 0])[0, 1] > 0.99


def test_a_slice_is_on_the_scale_of_the_whole_file(tmp_path):
    samples = tone(60000, 2)
    samples[5] *= 1.5  # The peak is outside of the slice.
    path = write(tmp_path / "a.wav", samples)
    whole = load_signal(path)
    part = load_signal(path, options=ReadOptions(start=2.0, duration=1.5))
    np.testing.assert_array_equal(part.samples, whole.samples[16000:28000])
    np.testing.assert_array_equal(values_of(part), values_of(whole)[16000:28000])
    assert part.metadata["start"] == 2.0 and part.value_scale == whole.value_scale
    counted = load_signal(path, options=ReadOptions(start=2.0, duration_samples=777))
    np.testing.assert_array_equal(counted.samples, whole.samples[16000:16777])


def test_slices_cross_the_borders_of_blocks(tmp_path, monkeypatch):
    from winner_ns.signals import audio

    path = write(tmp_path / "a.flac", tone(5000, 2))
    options = ReadOptions(start=0.1, duration_samples=3210)
    at_once = load_signal(path, options=options)
    monkeypatch.setattr(audio, "BLOCK", 97)
    in_blocks = load_signal(path, options=options)
    np.testing.assert_array_equal(in_blocks.samples, at_once.samples)
    assert in_blocks.value_scale == at_once.value_scale


def test_more_than_there_is_loads_the_rest_with_a_warning(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    signal = load_signal(path, options=ReadOptions(start=0.25, duration=10.0))
    assert signal.shape == (2000,)
    assert len(signal.warnings) == 1 and "10 s were asked for, 0.25 s are there" in signal.warnings[0]


def test_mono_averages_the_channels(tmp_path):
    path = write(tmp_path / "a.wav", tone(channels=2))
    signal = load_signal(path, options=ReadOptions(mono=True))
    expected = soundfile.read(path)[0].mean(axis=1, keepdims=True)
    assert signal.channels == 1 and signal.samples.dtype == np.float32
    np.testing.assert_allclose(signal.samples / signal.metadata["full_scale"], expected, atol=1e-7)
    np.testing.assert_allclose(values_of(signal), expected / np.abs(expected).max(), atol=1e-6)


def test_one_channel_stays_as_it_is_with_mono(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    assert load_signal(path, options=ReadOptions(mono=True)).samples.dtype == np.int16


@pytest.mark.parametrize("rate", [4000, 11025, 48000])
def test_resampling_keeps_the_tone(tmp_path, rate):
    path = write(tmp_path / "a.wav", np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) * 0.5, subtype="FLOAT")
    signal = load_signal(path, options=ReadOptions(sample_rate=rate))
    assert signal.metadata["sample_rate"] == rate and signal.shape == (rate,)
    expected = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) * 0.5
    middle = slice(rate // 10, -rate // 10)  # The filter rings at the ends.
    np.testing.assert_allclose(signal.samples[middle, 0], expected[middle], atol=1e-3)
    assert np.abs(values_of(signal)).max() <= 1.0
    exact = load_signal(path, options=ReadOptions(sample_rate=rate, duration_samples=1500))
    assert exact.shape == (1500,)


def test_values_stay_in_range_where_resampling_overshoots(tmp_path):
    square = np.sign(np.sin(np.arange(4000) * 0.3)) * 0.9
    signal = load_signal(write(tmp_path / "a.wav", square), options=ReadOptions(sample_rate=44100))
    assert np.abs(signal.samples).max() > 0.95
    assert np.abs(values_of(signal)).max() == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("shape", [(4000,), (4000, 2)])
def test_an_array_of_one_or_two_columns_is_a_sound(tmp_path, dtype, shape):
    samples = np.broadcast_to(tone(), (4000, 2)) if len(shape) == 2 else tone()[:, 0]
    samples = (samples * (2**15 if dtype == np.int16 else 1)).astype(dtype)
    np.save(tmp_path / "a.npy", samples)
    signal = load_signal(tmp_path / "a.npy")
    assert signal.kind == load_signal(tmp_path / "a.npy", kind="audio").kind == "audio"
    np.testing.assert_array_equal(signal.samples, samples.reshape(4000, -1))
    assert signal.metadata["sample_rate"] == 44100
    assert signal.metadata["full_scale"] == (2**15 if dtype == np.int16 else 1)
    named = load_signal(tmp_path / "a.npy", "audio", ReadOptions(sample_rate=RATE, start=0.25))
    assert named.metadata["sample_rate"] == RATE and named.shape == (2000,)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_cut_wav_is_read_as_far_as_it_goes_with_a_warning(tmp_path, subtype, channels):
    path = write(tmp_path / "a.wav", tone(channels=channels), subtype=subtype)
    whole = load_signal(path).samples
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    signal = load_signal(path)
    there = len(signal.samples)
    assert 1900 < there < 2000
    np.testing.assert_array_equal(signal.samples, whole[:there])
    assert len(signal.warnings) == 1
    assert f"4000 samples were promised and {there} are there" in signal.warnings[0]


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg"])
def test_cut_compressed_files_are_noticed(tmp_path, suffix, capfd):
    path = write(tmp_path / f"a.{suffix}", np.random.default_rng(0).normal(size=441000) * 0.1, 44100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    signal = load_signal(path)
    assert 100000 < len(signal) < 300000
    assert len(signal.warnings) == 1 and "is cut" in signal.warnings[0]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_sounds_behind_the_first_one_of_an_ogg_are_said_to_be_left_out(tmp_path, subtype):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.sin(np.arange(4000) / 10), 48000, format="OGG", subtype=subtype)
    assert load_signal(path).warnings == []
    path.write_bytes(2 * path.read_bytes())
    assert "holds several sounds, one behind the other; the 4000 samples" in load_signal(path).warnings[0]


def test_a_streamed_wav_without_a_length_is_whole(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(data)
    signal = load_signal(path)
    assert len(signal) == 4000 and "does not say how long it is" in signal.warnings[0]


def test_a_header_alone_is_an_error(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    path.write_bytes(path.read_bytes()[:44])
    with pytest.raises(SignalError, match="holds no samples"):
        load_signal(path)


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_silence_is_nothing_to_fit(tmp_path, level):
    with pytest.raises(SignalError, match="silent"):
        load_signal(write(tmp_path / "a.wav", np.full(4000, level)))


def test_a_silent_slice_of_a_sound(tmp_path):
    samples = tone()
    samples[1000:] = 0
    with pytest.raises(SignalError, match="silent"):
        load_signal(write(tmp_path / "a.wav", samples), options=ReadOptions(start=0.25))


@pytest.mark.parametrize("frames", [1, 15])
def test_too_short(tmp_path, frames):
    with pytest.raises(SignalError, match=f"too short .{frames} sample"):
        load_signal(write(tmp_path / "a.wav", tone(100)[30 : 30 + frames]))


def test_samples_that_are_not_finite_are_counted(tmp_path):
    samples = tone(channels=2)
    samples[10, 0] = np.nan
    samples[20] = np.inf
    with pytest.raises(SignalError, match="3 of 8000 samples are NaN or infinite"):
        load_signal(write(tmp_path / "a.wav", samples, subtype="FLOAT"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (ReadOptions(start=0.6), "before the start at 0.6 s"),
        (ReadOptions(start=-1.0), "start is -1"),
        (ReadOptions(duration=0.0), "duration is 0"),
        (ReadOptions(duration_samples=-5), "duration samples is -5"),
        (ReadOptions(sample_rate=0), "sample rate is 0"),
        (ReadOptions(duration=1.0, duration_samples=5), "both a duration and a number of samples"),
        (ReadOptions(duration=0.001), "too short .8 samples"),
    ],
)
def test_options_that_cannot_be_met(tmp_path, options, problem):
    with pytest.raises(SignalError, match=problem):
        load_signal(write(tmp_path / "a.wav", tone()), options=options)


# Arrays of integers


@pytest.mark.parametrize("dtype", [np.int32, np.int64, ">i4", ">i8"])
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("in_file", [False, True])
def test_wide_integers_have_the_bits_that_hold_them(dtype, bits, in_file, tmp_path):
    full_scale = 2 ** (bits - 1)
    samples = np.clip(np.rint(tone(level=1.0) * full_scale), -full_scale, full_scale - 1).astype(dtype)
    np.save(tmp_path / "a.npy", samples)
    for peak in (full_scale - 1, -full_scale):
        samples[7] = peak
        np.save(tmp_path / "a.npy", samples)
        signal = signal_of(tmp_path / "a.npy") if in_file else signal_of((samples, RATE))
        assert signal.metadata["full_scale"] == full_scale
        np.testing.assert_array_equal(signal.samples, samples)
    samples[7] = full_scale if bits < 32 or samples.dtype.itemsize == 8 else full_scale - 1
    wider = signal_of((samples, RATE)).metadata["full_scale"]
    assert wider == (full_scale if samples[7] < full_scale else 2.0 ** (bits + 7))


def test_narrow_integers_have_their_types_full_scale():
    for dtype, full_scale in ((np.int8, 2**7), (np.int16, 2**15)):
        signal = signal_of(((tone() * 50).astype(dtype), RATE))
        assert signal.metadata["full_scale"] == full_scale and signal.samples.dtype == dtype


def test_unsigned_bytes_are_centred_as_in_wav(tmp_path):
    path = write(tmp_path / "a.wav", tone(), subtype="PCM_U8")
    of_file = load_signal(path)
    raw = np.frombuffer(path.read_bytes()[-4000:], np.uint8)
    of_array = signal_of((raw, RATE))
    assert of_array.samples.dtype == np.int8 and of_array.metadata["full_scale"] == 128
    np.testing.assert_array_equal(of_array.samples / 128, of_file.samples / of_file.metadata["full_scale"])
    np.testing.assert_array_equal(of_array.samples[:, 0], raw.astype(int) - 128)
    np.testing.assert_array_equal(values_of(of_array), values_of(of_file))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_other_unsigned_integers_are_refused(dtype, tmp_path):
    samples = (tone() * 100 + 1000).astype(dtype)
    np.save(tmp_path / "a.npy", samples)
    for data in (tmp_path / "a.npy", (samples, RATE)):
        with pytest.raises(SignalError, match=f"holds {np.dtype(dtype)}, samples without a sign; subtract the middle"):
            signal_of(data)


class Samples(torch.nn.Module):
    """A network that gives a sound's own values at its samples."""

    def __init__(self, signal) -> None:
        super().__init__()
        self.values = torch.nn.Parameter(signal.values(torch.arange(len(signal))))

    def forward(self, coordinates):
        last = len(self.values) - 1
        return self.values[((coordinates[:, 0].double() + 1) * last / 2).round().long()]


@pytest.mark.parametrize(
    "samples",
    [
        np.rint(tone(channels=2) * 2**15).astype(np.int64),
        np.rint(tone(channels=2) * 2**15).astype(np.int32),
        np.rint(tone(channels=2) * 2**23).astype(np.int64),
        np.rint(tone(channels=2) * 2**7 + 128).astype(np.uint8),
        tone(channels=2).astype(np.float32),
    ],
    ids=["int64 of 16 bits", "int32 of 16 bits", "int64 of 24 bits", "uint8", "float32"],
)
def test_an_exported_array_is_as_loud_as_the_sound(samples, tmp_path):
    signal = signal_of((samples, RATE))
    network = NetworkDescription("siren", 1, 2, {"width": 8, "depth": 2})
    target = {"gain": 1.0, "offset": [0.0, 0.0]}
    described = Description("audio", "a", "", network, target, signal.describe())
    assert Description.from_dict(described.as_dict()) == described
    export_audio(LoadedField(Samples(signal), described), tmp_path / "a.wav")
    written, rate = soundfile.read(tmp_path / "a.wav")
    assert rate == RATE
    np.testing.assert_allclose(written, tone(channels=2), atol=1 / 128 if samples.dtype == np.uint8 else 2**-15)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_an_array_with_its_channels_first_is_no_sound(channels, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((channels, 4000)))
    with pytest.raises(SignalError, match="has its channels first; transpose it"):
        load_signal(tmp_path / "a.npy", "audio")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (ReadOptions(duration=float("inf")), "duration is inf"),
        (ReadOptions(start=float("inf")), "start is inf"),
        (ReadOptions(start=float("nan")), "start is nan"),
    ],
)
def test_options_that_are_no_numbers(tmp_path, options, problem):
    with pytest.raises(SignalError, match=problem):
        load_signal(write(tmp_path / "a.wav", tone()), options=options)

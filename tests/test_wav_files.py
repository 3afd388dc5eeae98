"""WAV files whose header does not know, or says something else, and sounds under any name."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from winner_ns.errors import SignalError
from winner_ns.signals import ReadOptions, detect_kind, load_signal

COUNT, CHANNELS, RATE = 3000, 2, 8000
GUID = bytes.fromhex("000000001000800000aa00389b71")


def samples(dtype) -> np.ndarray:
    generator = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return (generator.random((COUNT, CHANNELS)) - 0.5).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, (COUNT, CHANNELS), dtype=dtype, endpoint=True)


NUMBERS = {
    "PCM_U8": (1, samples(np.uint8).tobytes()),
    "PCM_16": (1, samples("<i2").tobytes()),
    "PCM_24": (1, samples("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()),
    "PCM_32": (1, samples("<i4").tobytes()),
    "FLOAT": (3, samples("<f4").tobytes()),
    "DOUBLE": (3, samples("<f8").tobytes()),
}


def chunk(name: bytes, content: bytes, size=None, padded: bool = True) -> bytes:
    pad = b"\0" if padded and len(content) % 2 else b""
    return struct.pack("<4sI", name, len(content) if size is None else size) + content + pad


def wav(
    subtype: str,
    size=None,
    extensible: bool = False,
    before: bytes = b"",
    after: bytes = b"",
    form: bytes = b"RIFF",
    riff_size=None,
) -> bytes:
    tag, data = NUMBERS[subtype]
    width = len(data) // COUNT
    bits = 8 * width // CHANNELS
    described = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, CHANNELS, RATE, RATE * width, width, bits)
    if extensible:
        described += struct.pack("<HHIH", 22, bits, 3, tag) + GUID
    body = b"WAVE" + before + chunk(b"fmt ", described) + chunk(b"data", data, size) + after
    return struct.pack("<4sI", form, len(body) if riff_size is None else riff_size) + body


def expected(path: Path, subtype: str) -> np.ndarray:
    """The samples of a plain file, as libsndfile reads them."""
    path.write_bytes(wav(subtype))
    dtype = {"PCM_24": "int32", "PCM_32": "int32", "FLOAT": "float32", "DOUBLE": "float64"}.get(subtype, "int16")
    return soundfile.read(path, dtype=dtype, always_2d=True)[0]


@pytest.mark.parametrize("subtype", NUMBERS)
@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_header_that_does_not_know_how_long_the_sound_is(tmp_path, subtype, extensible, size):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(subtype, size, extensible, riff_size=None if size is None else size))
    signal = load_signal(path)
    wanted = expected(tmp_path / "b.wav", subtype)
    assert signal.samples.dtype == wanted.dtype
    np.testing.assert_array_equal(signal.samples, wanted)
    assert signal.metadata["subtype"] == subtype and signal.metadata["sample_rate"] == RATE
    said = [] if size is None else [f"{path}: does not say how long it is; the 3000 samples up to its end are used"]
    assert signal.warnings == said


@pytest.mark.parametrize("subtype", NUMBERS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_file_keeps_what_is_there(tmp_path, subtype, share):
    data = wav(subtype)
    path = tmp_path / "a.wav"
    path.write_bytes(data[: int(len(data) * share)])
    signal = load_signal(path)
    np.testing.assert_array_equal(signal.samples, expected(tmp_path / "b.wav", subtype)[: len(signal)])
    assert abs(len(signal) - COUNT * share) < 20
    assert "is cut, 3000 samples were promised" in signal.warnings[0]


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("size", [None, 0])
def test_odd_chunks_before_the_samples(tmp_path, padded, size):
    before = chunk(b"LIST", b"INFOodd", padded=padded) + chunk(b"junk", b"123", padded=padded)
    (tmp_path / "a.wav").write_bytes(wav("PCM_16", size, before=before))
    np.testing.assert_array_equal(load_signal(tmp_path / "a.wav").samples, samples("<i2"))


def test_chunks_behind_the_samples_are_none_of_them(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav("PCM_16", after=chunk(b"LIST", b"INFO" + bytes(999))))
    assert len(load_signal(tmp_path / "a.wav")) == COUNT


def test_an_empty_sound_with_chunks_behind_it_stays_empty(tmp_path):
    data = wav("PCM_16")
    at = data.index(b"data")
    (tmp_path / "a.wav").write_bytes(data[:at] + chunk(b"data", b"") + chunk(b"LIST", b"INFO" + bytes(2000)))
    with pytest.raises(SignalError, match="holds no samples"):
        load_signal(tmp_path / "a.wav")


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("known", ["whole", "nothing", "too much", "all ones"])
def test_rf64(tmp_path, subtype, known):
    length = len(NUMBERS[subtype][1])
    size = {"whole": length, "nothing": 0, "too much": 10 * length, "all ones": 2**64 - 1}[known]
    before = chunk(b"ds64", struct.pack("<QQQI", 0, size, COUNT, 0))
    (tmp_path / "a.wav").write_bytes(wav(subtype, 0xFFFFFFFF, before=before, form=b"RF64", riff_size=0xFFFFFFFF))
    signal = load_signal(tmp_path / "a.wav")
    np.testing.assert_array_equal(signal.samples, expected(tmp_path / "b.wav", subtype))
    assert signal.metadata["format"] == "RF64" and bool(signal.warnings) == (known != "whole")


@pytest.mark.parametrize("subtype", NUMBERS)
@pytest.mark.parametrize("options", [{"mono": True}, {"sample_rate": 4000}, {"start": 0.1, "duration": 0.2}])
def test_parts_and_conversions_as_of_the_same_sound_in_another_format(tmp_path, subtype, options):
    (tmp_path / "a.wav").write_bytes(wav(subtype, 0))
    plain = expected(tmp_path / "b.wav", subtype)
    soundfile.write(tmp_path / "c.w64", plain, RATE, subtype=subtype, format="W64")
    found, other = (load_signal(tmp_path / name, options=ReadOptions(**options)) for name in ("a.wav", "c.w64"))
    assert found.samples.dtype == other.samples.dtype and len(found) == len(other)
    np.testing.assert_allclose(
        found.samples / found.metadata["full_scale"], other.samples / other.metadata["full_scale"], atol=1e-6
    )
    assert found.value_scale / found.metadata["full_scale"] == pytest.approx(
        other.value_scale / other.metadata["full_scale"], rel=1e-5
    )


def test_plain_numbers_stay_on_disk(tmp_path):
    for subtype in ("PCM_16", "PCM_32", "FLOAT", "DOUBLE"):
        (tmp_path / "a.wav").write_bytes(wav(subtype))
        assert isinstance(load_signal(tmp_path / "a.wav").samples, np.memmap)


@pytest.mark.parametrize("coded", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"])
def test_coded_samples_are_libsndfiles(tmp_path, coded):
    soundfile.write(tmp_path / "a.wav", samples("<i2"), RATE, subtype=coded)
    plain = soundfile.read(tmp_path / "a.wav", dtype="int16")[0]
    np.testing.assert_array_equal(load_signal(tmp_path / "a.wav").samples[: len(plain)], plain)


@pytest.mark.parametrize("coded", ["ULAW", "ALAW"])
def test_coded_samples_that_are_cut_off_are_missed(tmp_path, coded):
    soundfile.write(tmp_path / "a.wav", samples("<i2"), RATE, subtype=coded)
    whole = (tmp_path / "a.wav").read_bytes()
    assert not load_signal(tmp_path / "a.wav").warnings
    (tmp_path / "a.wav").write_bytes(whole[:-500])
    (warning,) = load_signal(tmp_path / "a.wav").warnings
    assert "is cut" in warning


def write_sound(path: Path, file_format: str) -> Path:
    time = np.arange(20000) / 22050
    soundfile.write(path, 0.3 * np.sin(2000 * time), 22050, format=file_format)
    return path


@pytest.mark.parametrize("suffix", ["wav", "png", "mp4", "obj", "txt", "npy", ""])
@pytest.mark.parametrize("file_format", ["MP3", "FLAC", "OGG", "AIFF", "WAV"])
def test_sounds_are_told_by_content(tmp_path, file_format, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", file_format)
    assert detect_kind(path) == "audio"
    signal = load_signal(path)
    assert signal.metadata["format"] == file_format and abs(len(signal) - 20000) < 3000
    direct = write_sound(tmp_path / f"b.{file_format.lower()}", file_format)
    np.testing.assert_array_equal(signal.samples, load_signal(direct).samples)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_of_every_rate_is_told_by_its_frames(tmp_path, rate, channels):
    tones = 0.3 * np.sin(np.arange(rate)[:, None] * [0.1, 0.2][:channels])
    soundfile.write(tmp_path / "a.bin", tones, rate, format="MP3")
    assert (tmp_path / "a.bin").read_bytes()[:2] >= b"\xff\xe0"
    assert detect_kind(tmp_path / "a.bin") == "audio"
    assert load_signal(tmp_path / "a.bin").metadata["sample_rate"] == rate


def test_what_only_begins_like_an_mp3_is_none(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\xff\xfb\x90\x00" + bytes(5000))
    with pytest.raises(SignalError, match="of no known format"):
        detect_kind(tmp_path / "a.bin")


@pytest.mark.parametrize("file_format", ["FLAC", "OGG", "MP3"])
def test_packed_sounds_have_the_limit(tmp_path, file_format):
    soundfile.write(tmp_path / "a", np.zeros(300_000) + 1e-3, 44100, format=file_format)
    with pytest.raises(SignalError, match="GiB unpacked, and 0.0005 GiB are allowed"):
        load_signal(tmp_path / "a", options=ReadOptions(decoded_limit=0.0005))


@pytest.mark.parametrize("file_format", ["BMP", "PNG", "JPEG", "TIFF", "WEBP", "AVIF", "GIF"])
@pytest.mark.parametrize("suffix", ["wav", "mp4", "obj", ""])
def test_pictures_are_told_by_content(tmp_path, file_format, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path, file_format)
    assert detect_kind(path) == load_signal(path).kind == "image"
    assert load_signal(path).metadata["format"] == file_format


@pytest.mark.parametrize(("subtype", "count"), [("PCM_16", 3000), ("PCM_24", 20_000), ("PCM_S8", 100)])
def test_a_flac_stream_that_does_not_know_its_length(tmp_path, subtype, count):
    """Of one frame and of several, the last of which is a short one."""
    noise = np.random.default_rng(0).normal(size=(count, 2)) * 0.1
    soundfile.write(tmp_path / "a.flac", noise, RATE, subtype=subtype)
    wanted = load_signal(tmp_path / "a.flac").samples
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(data)
    signal = load_signal(tmp_path / "b.flac")
    np.testing.assert_array_equal(signal.samples, wanted)
    assert f"does not say how long it is; the {count} samples up to its end" in signal.warnings[0]

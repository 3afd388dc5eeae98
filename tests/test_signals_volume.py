"""Volumes and videos."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from winner_ns.errors import SignalError
from winner_ns.signals import detect_kind, load_signal, video


def write_video(path, frames: np.ndarray, rate=Fraction(30000, 1001), codec="ffv1", pixel_format="bgr0"):
    """By default without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def noise(count=5, height=16, width=24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def smooth(count=5, height=32, width=48) -> np.ndarray:
    time, row, column = np.mgrid[0:count, 0:height, 0:width]
    return np.stack([time * 40, row * 7, column * 5], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_volumes(tmp_path, dtype, channels):
    shape = (5, 7, 9) if channels is None else (5, 7, 9, channels)
    raw = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    np.save(tmp_path / "a.npy", raw)
    if (dtype, channels) == (np.uint8, 3):
        with pytest.raises(SignalError, match="may be a video, or a volume of colours; name the kind"):
            detect_kind(tmp_path / "a.npy")
        signal = load_signal(tmp_path / "a.npy", kind="volume")
    else:
        assert detect_kind(tmp_path / "a.npy") == "volume"
        signal = load_signal(tmp_path / "a.npy")
    assert signal.kind == "volume" and signal.shape == (5, 7, 9) and signal.channels == (channels or 1)
    assert signal.samples.dtype == dtype and isinstance(signal.samples, np.memmap)
    np.testing.assert_array_equal(signal.samples.reshape(shape), raw)
    # Cubic voxels: one step is as long along every axis.
    steps = [2 * extent / (n - 1) for extent, n in zip(signal.half_extent, signal.shape, strict=True)]
    np.testing.assert_allclose(steps, 0.25)
    low, high = (raw.min(), raw.max()) if dtype == np.float32 else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    expected = (raw.astype(np.float64) - low) / (float(high) - float(low)) * 2 - 1
    values = signal.values(torch.arange(len(signal))).numpy()
    np.testing.assert_allclose(values.ravel(), expected.ravel(), atol=1e-6)


def test_a_flat_stack_is_a_volume_where_that_is_said(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((6, 5, 4)))
    assert load_signal(tmp_path / "a.npy").kind == "image"
    signal = load_signal(tmp_path / "a.npy", kind="volume")
    assert signal.shape == (6, 5, 4) and signal.channels == 1


@pytest.mark.parametrize("suffix", ["mkv", "avi", "mov"])
def test_lossless_videos(tmp_path, suffix):
    frames = noise()
    codec = ("png", "rgb24") if suffix == "mov" else ("ffv1", "bgr0")
    path = write_video(tmp_path / f"a.{suffix}", frames, Fraction(30000, 1001), *codec)
    assert detect_kind(path) == "video"
    signal = load_signal(path)
    assert signal.kind == "video" and signal.shape == (5, 16, 24) and signal.warnings == []
    np.testing.assert_array_equal(signal.samples, frames)
    assert signal.metadata["frame_rate"] == pytest.approx(30000 / 1001)
    # Time spans the interval by itself, pixels are square.
    assert signal.half_extent[0] == 1.0 and signal.half_extent[2] == 1.0
    corners = signal.coordinates(torch.tensor([0, len(signal) - 1]))
    torch.testing.assert_close(corners[1], torch.tensor([1.0, 15 / 23, 1.0]))
    torch.testing.assert_close(corners[0], -corners[1])
    assert signal.values(torch.arange(len(signal))).abs().max() == 1.0


def test_a_video_filmed_sideways_is_turned_upright(tmp_path):
    frames = noise()
    path = write_video(tmp_path / "a.mov", frames, 25, "png", "rgb24")
    data = bytearray(path.read_bytes())
    # The track's matrix (ISO/IEC 14496-12, 8.3.2): shown a quarter turn clockwise.
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 16 << 16, 0, 1 << 30)
    path.write_bytes(data)
    signal = load_signal(path)
    assert signal.shape == (5, 24, 16)
    np.testing.assert_array_equal(signal.samples, np.rot90(frames, -1, axes=(1, 2)))


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mpeg4"), ("mkv", "mpeg4"), ("webm", "libvpx-vp9")])
def test_lossy_videos(tmp_path, suffix, codec):
    frames = smooth()
    path = write_video(tmp_path / f"a.{suffix}", frames, 25, codec, "yuv420p")
    signal = load_signal(path)
    assert signal.shape == (5, 32, 48) and signal.metadata["frame_rate"] == 25
    assert np.abs(signal.samples.astype(int) - frames).mean() < 15


def test_an_animated_gif_is_a_video_and_its_first_frame_an_image(tmp_path):
    pictures = [Image.fromarray(frame).quantize(64) for frame in noise(3)]
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, loop=0)
    signal = load_signal(path)
    assert signal.kind == "video" and signal.shape == (3, 16, 24)
    assert signal.metadata["frame_rate"] == pytest.approx(10)
    for frame, picture in zip(signal.samples, pictures, strict=True):
        np.testing.assert_array_equal(frame, np.asarray(picture.convert("RGB")))
    still = load_signal(path, kind="image")
    np.testing.assert_array_equal(still.samples, np.asarray(pictures[0].convert("RGB")))
    assert len(still.warnings) == 1 and "3 pictures" in still.warnings[0]


def test_a_still_gif_is_an_image(tmp_path):
    Image.fromarray(noise()[0]).save(tmp_path / "a.gif")
    assert load_signal(tmp_path / "a.gif").kind == "image"


def test_long_videos_are_decoded_to_disk(tmp_path, monkeypatch):
    frames = noise(9)
    path = write_video(tmp_path / "a.mkv", frames)
    monkeypatch.setattr(video, "MEMORY_LIMIT", 3 * frames[0].nbytes)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    signal = load_signal(path)
    assert isinstance(signal.samples, np.memmap)
    np.testing.assert_array_equal(signal.samples, frames)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("channels", [None, 3])
def test_an_array_is_a_video_where_that_is_said(tmp_path, channels):
    raw = noise() if channels else noise()[..., 0]
    np.save(tmp_path / "a.npy", raw)
    signal = load_signal(tmp_path / "a.npy", kind="video")
    assert signal.kind == "video" and signal.shape == (5, 16, 24) and signal.channels == (channels or 1)
    assert signal.half_extent == (1.0, 15 / 23, 1.0)
    assert "no frame rate" in signal.warnings[0]


def test_a_cut_video_keeps_what_decodes(tmp_path, capfd):
    path = write_video(tmp_path / "a.mkv", noise(20, 64, 64))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    signal = load_signal(path)
    assert 8 <= signal.shape[0] < 20
    np.testing.assert_array_equal(signal.samples[:8], noise(20, 64, 64)[:8])
    assert capfd.readouterr().err == ""


def test_a_cut_mp4_is_one_line(tmp_path, capfd):
    path = write_video(tmp_path / "a.mp4", smooth(), 25, "mpeg4", "yuv420p")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SignalError, match="holds no pictures, it is cut"):
        load_signal(path)
    assert capfd.readouterr().err == ""


def test_a_sound_in_a_video_container_holds_no_pictures(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SignalError, match="holds no pictures"):
        load_signal(path)


@pytest.mark.parametrize(
    ("shape", "kind", "problem"),
    [
        ((4, 5, 6, 7), "auto", "no known kind; give 1 to 4 axes, at most 4 channels last"),
        ((4, 5, 6, 7), "volume", "no volume"),
        ((1, 5, 6), "auto", "an image with its channel first"),
        ((1, 5, 6), "volume", "at least 2 along each axis"),
        ((4, 5), "volume", "no volume"),
        ((1, 5, 6, 3), "video", "at least 2 frames"),
        ((4, 5, 6, 7), "video", "no video"),
        ((2, 2, 2, 2, 2), "auto", "no known kind; give 1 to 4 axes"),
        ((0, 4, 5), "auto", "holds no samples"),
    ],
)
def test_arrays_of_the_wrong_shape(tmp_path, shape, kind, problem):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random(shape))
    with pytest.raises(SignalError, match=problem):
        load_signal(tmp_path / "a.npy", kind=kind)


def test_a_volume_with_nan_or_without_contrast(tmp_path):
    raw = np.zeros((8, 8, 8), np.float32)
    np.save(tmp_path / "a.npy", raw)
    with pytest.raises(SignalError, match="same value"):
        load_signal(tmp_path / "a.npy")
    raw[1, 2] = np.nan
    np.save(tmp_path / "a.npy", raw)
    with pytest.raises(SignalError, match="8 of 512 samples are NaN"):
        load_signal(tmp_path / "a.npy")


def test_checks_look_at_every_chunk(tmp_path, monkeypatch):
    from winner_ns.signals import array

    monkeypatch.setattr(array, "CHUNK", 100)
    raw = np.zeros((8, 8, 8), np.float32)
    raw[-1, -1, -1], raw[4, 4, 4] = 3, -1
    np.save(tmp_path / "a.npy", raw)
    signal = load_signal(tmp_path / "a.npy")
    assert (signal.value_offset, signal.value_scale) == (1.0, 2.0)
    raw[-1, -1, -2:] = np.inf
    np.save(tmp_path / "a.npy", raw)
    with pytest.raises(SignalError, match="2 of 512"):
        load_signal(tmp_path / "a.npy")
    last = np.zeros((8, 8, 8), np.uint8)
    last[-1, -1, -1] = 1
    np.save(tmp_path / "a.npy", last)
    assert load_signal(tmp_path / "a.npy").value_offset == 127.5

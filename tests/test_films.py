"""Films last as long as their files say, through training and export; pictures and films are told apart by content."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import List

import av
import numpy as np
import pytest
from PIL import Image

import winner_ns
from winner_ns.errors import SignalError
from winner_ns.export.output import export_fitted
from winner_ns.signals import ReadOptions, detect_kind, load_signal

FRAMES = np.random.default_rng(0).integers(0, 256, (7, 16, 24, 3), dtype=np.uint8)
UNEVEN = [100, 300, 500, 100, 200, 700, 300]
"""Milliseconds that each is shown: 2.2 s in all."""


def write_film(path: Path, milliseconds: List[int], codec: str = "ffv1", clock: int = 1000) -> Path:
    """A film of FRAMES without loss, whose frames begin where these times say."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=clock)
        stream.height, stream.width = FRAMES.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "rgb24"
        stream.time_base = stream.codec_context.time_base = Fraction(1, clock)
        starts = np.cumsum([0, *milliseconds])
        for number, pixels in enumerate(FRAMES[: len(milliseconds)]):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = int(starts[number] * clock // 1000), Fraction(1, clock)
            frame.duration = int(milliseconds[number] * clock // 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_animation(path: Path, milliseconds: List[int], frames: np.ndarray = FRAMES) -> Path:
    pictures = [Image.fromarray(frame) for frame in frames[: len(milliseconds)]]
    if path.suffix == ".gif":
        pictures = [picture.quantize(200) for picture in pictures]
    options = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, **options)
    return path


def shown(signal) -> List[int]:
    """The number of the frame that is shown at the middle of each tenth of a second."""
    rate = signal.metadata["frame_rate"]
    at = (np.arange(round(len(signal.samples) / rate * 10)) + 0.5) / 10
    frames = signal.samples[(at * rate).astype(int)][..., :3]
    return [int(np.abs(FRAMES.astype(int) - frame).sum(axis=(1, 2, 3)).argmin()) for frame in frames]


# What a film's header says a place x, y is shown at, as in phones' films, and what that does to a frame.
TURNS = {
    (0, 1, -1, 0): lambda frames: np.rot90(frames, -1, (1, 2)),
    (-1, 0, 0, -1): lambda frames: frames[:, ::-1, ::-1],
    (0, -1, 1, 0): lambda frames: np.rot90(frames, 1, (1, 2)),
    (-1, 0, 0, 1): lambda frames: frames[:, :, ::-1],
    (1, 0, 0, -1): lambda frames: frames[:, ::-1],
    (0, 1, 1, 0): lambda frames: frames.swapaxes(1, 2),
    (0, -1, -1, 0): lambda frames: frames.swapaxes(1, 2)[:, ::-1, ::-1],
}


def test_films_are_turned_and_mirrored_as_they_say(tmp_path):
    path = write_film(tmp_path / "a.mov", [100] * 4, "qtrle")
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # Of version 0 (ISO/IEC 14496-12, 8.3.2).
    for (a, b, c, d), turned in TURNS.items():
        numbers = [65536 * each for each in (a, b, 0, c, d, 0, 0, 0)]
        data[matrix : matrix + 36] = struct.pack(">9i", *numbers, 2**30)
        path.write_bytes(data)
        np.testing.assert_array_equal(load_signal(path).samples, turned(FRAMES[:4]))


def test_the_picture_before_a_png_animation_is_none_of_it(tmp_path):
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], default_image=True, duration=100)
    np.testing.assert_array_equal(load_signal(tmp_path / "a.png").samples, FRAMES[1:])


def test_what_a_film_has_no_place_for_is_said(tmp_path):
    said = {}
    for name, codec, pixels in (("a.mp4", "libx264", "yuv420p"), ("a.webm", "libvpx-vp9", "yuva420p")):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.height, stream.width, stream.pix_fmt = 16, 16, pixels
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
            for shade in (0, 200):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 4), shade, "u1"), "rgba")))
            container.mux(stream.encode())
        said[name] = " ".join(load_signal(tmp_path / name).warnings)
    assert "pixels are 4:3 wide" in said["a.mp4"] and "alpha is not decoded" in said["a.webm"]


@pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.gif", "a.png", "a.webp"])
def test_a_film_of_variable_rate_keeps_its_times(tmp_path, name):
    path = tmp_path / name
    if path.suffix in (".mkv", ".mov"):
        write_film(path, UNEVEN, "ffv1" if path.suffix == ".mkv" else "png")
    else:
        write_animation(path, UNEVEN)
    assert detect_kind(path) == "video"
    signal = load_signal(path)
    assert len(signal.samples) / signal.metadata["frame_rate"] == pytest.approx(2.2, abs=0.002)
    assert signal.metadata["frame_rate"] == pytest.approx(10) and signal.channels == 3
    assert shown(signal) == [number for number, each in enumerate(UNEVEN) for _ in range(each // 100)]
    assert "7 frames last from 0.1 to 0.7 s; they are repeated to 22 at a constant 10 a second" in signal.warnings[0]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
@pytest.mark.parametrize("duration", [40, 100, 250])
def test_animations_of_constant_rate_are_as_they_are(tmp_path, suffix, duration):
    signal = load_signal(write_animation(tmp_path / f"a{suffix}", [duration] * 7))
    assert signal.metadata["frame_rate"] == pytest.approx(1000 / duration) and signal.warnings == []
    if suffix != ".gif":
        np.testing.assert_array_equal(signal.samples, FRAMES)


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(60), Fraction(240)])
def test_the_clock_of_matroska_is_no_variable_rate(tmp_path, rate):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "bgr0"
        for pixels in FRAMES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    signal = load_signal(tmp_path / "a.mkv")
    np.testing.assert_array_equal(signal.samples, FRAMES)
    assert signal.metadata["frame_rate"] == pytest.approx(float(rate), rel=0.02) and signal.warnings == []


def test_a_phones_unsteady_clock_keeps_the_length(tmp_path):
    milliseconds = [33, 34, 33, 133, 33, 34, 61]
    signal = load_signal(write_film(tmp_path / "a.mov", milliseconds, "png", 90_000))
    # The last frame, of which the file says nothing, lasts as long as most.
    assert len(signal.samples) / signal.metadata["frame_rate"] == pytest.approx(0.3 + 0.034, abs=0.002)
    assert len(np.unique(shown(signal))) >= 3


def test_a_frame_far_shorter_than_the_others_does_not_blow_the_film_up(tmp_path):
    signal = load_signal(write_film(tmp_path / "a.mov", [2, 9973, 7919, 6007, 4001, 3001, 2003], "png", 90_000))
    assert len(signal.samples) <= 1000
    # What the last frame lasts Matroska does not say; it is taken for an ordinary one.
    assert len(signal.samples) / signal.metadata["frame_rate"] == pytest.approx(30.902 + 6.007, rel=0.01)
    assert "1 that are shorter than that are left out" in signal.warnings[0]


def test_pictures_of_a_gif_that_say_no_duration_are_shown_as_in_browsers(tmp_path):
    signal = load_signal(write_animation(tmp_path / "a.gif", [0] * 5))
    assert signal.metadata["frame_rate"] == pytest.approx(10)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparent_animations_have_alpha(tmp_path, suffix):
    alpha = np.random.default_rng(1).integers(0, 256, (7, 16, 24, 1), dtype=np.uint8)
    frames = np.concatenate([FRAMES, alpha], axis=-1)
    path = tmp_path / f"a{suffix}"
    pictures = [Image.fromarray(frame) for frame in frames]
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {"blend": 0, "disposal": 1}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, **options)
    signal = load_signal(path)
    assert signal.channels == 4
    np.testing.assert_array_equal(signal.samples[..., 3:], alpha)


@pytest.mark.parametrize("name", ["a.mkv", "a.gif", "a.webp"])
def test_results_of_a_film_hold_a_film_as_long(tmp_path, name):
    path = tmp_path / name
    write_film(path, UNEVEN) if name == "a.mkv" else write_animation(path, UNEVEN)
    field = winner_ns.fit(path, steps=2, width=8, depth=2, progress=False)
    written = export_fitted(field, tmp_path / "results")
    assert written.name == "a-fitted.mp4"
    again = load_signal(written)
    assert again.samples.shape == (22, 16, 24, 3) and again.warnings == []
    with av.open(str(written)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(2.2, abs=0.01)
        assert float(stream.average_rate) == pytest.approx(10)


@pytest.mark.parametrize("channels", [2, 4])
def test_a_film_with_alpha_becomes_an_animation(tmp_path, channels):
    brighter = np.broadcast_to(np.linspace(0, 255, 5)[:, None, None, None], (5, 16, 24, channels))
    np.save(tmp_path / "a.npy", brighter.astype(np.uint8))
    field = winner_ns.fit(tmp_path / "a.npy", kind="video", steps=40, width=16, depth=2, progress=False)
    written = export_fitted(field, tmp_path)
    assert written.name == "a-fitted.png"
    again = load_signal(written)
    assert again.kind == "video" and again.shape == (5, 16, 24) and again.channels == 4
    assert len(again.samples) / again.metadata["frame_rate"] == pytest.approx(5 / 24, abs=0.002)


@pytest.mark.parametrize("suffix", ["wav", "png", "obj", ""])
@pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.mp4", "a.avi", "a.webm", "a.flv", "a.gif", "b.png", "b.webp"])
def test_films_are_told_by_content(tmp_path, name, suffix):
    if name in ("a.gif", "b.png", "b.webp"):
        written = write_animation(tmp_path / name, [100] * 5)
    else:
        with av.open(str(tmp_path / name), "w") as container:
            codec = {"a.webm": "libvpx-vp9", "a.flv": "flv1"}.get(name, "mpeg4")
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = 16, 24, "yuv420p"
            for pixels in FRAMES:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())
        written = tmp_path / name
    path = written.rename(tmp_path / f"c.{suffix}")
    assert detect_kind(path) == load_signal(path).kind == "video"


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.mkv"])
def test_films_that_unpack_beyond_the_limit(tmp_path, name):
    path = tmp_path / name
    write_film(path, [100] * 7) if name == "a.mkv" else write_animation(path, [100] * 7)
    with pytest.raises(SignalError, match="GiB unpacked, and 2e-06 GiB are allowed"):
        load_signal(path, options=ReadOptions(decoded_limit=2e-6))


# AVIF and HEIC -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [3, 4])
def test_avif_is_an_image(tmp_path, channels):
    picture = np.random.default_rng(0).integers(0, 256, (32, 40, channels), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.avif", quality=100, subsampling="4:4:4")
    assert detect_kind(tmp_path / "a.avif") == "image"
    signal = load_signal(tmp_path / "a.avif")
    assert signal.metadata["format"] == "AVIF" and signal.channels == channels
    with Image.open(tmp_path / "a.avif") as expected:
        np.testing.assert_array_equal(signal.samples, np.asarray(expected))


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_of_more_than_8_bits_keeps_them(tmp_path, bits):
    import imagecodecs

    rows, columns = np.mgrid[0:32, 0:40]
    picture = np.stack([rows * 25, columns * 25, rows + columns], axis=-1).astype(np.uint16) << (bits - 10)
    data = imagecodecs.avif_encode(picture, level=100, bitspersample=bits)
    (tmp_path / "a.avif").write_bytes(data)
    signal = load_signal(tmp_path / "a.avif")
    assert signal.samples.dtype == np.uint16
    np.testing.assert_allclose(signal.samples, picture * (65535 / (2**bits - 1)), atol=65535 / 2**bits * 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_is_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:8, :8] = 255
    stored = {1: upright, 3: np.rot90(upright, 2), 6: np.rot90(upright), 8: np.rot90(upright, -1)}[orientation]
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.avif", exif=exif, quality=100)
    assert np.abs(load_signal(tmp_path / "a.avif").samples.astype(int) - upright).max() < 30


def test_an_avif_of_several_pictures_is_a_film(tmp_path):
    smooth = [Image.new("RGB", (32, 32), (40 * i, 100, 255 - 40 * i)) for i in range(5)]
    smooth[0].save(tmp_path / "a.avif", save_all=True, append_images=smooth[1:], duration=100)
    assert detect_kind(tmp_path / "a.avif") == "video"
    signal = load_signal(tmp_path / "a.avif")
    assert signal.shape == (5, 32, 32) and signal.metadata["frame_rate"] == pytest.approx(10)


HEIC = Path(__file__).parent / "data" / "pictures"


@pytest.mark.parametrize(("name", "dtype"), [("8.heic", np.uint8), ("10.heic", np.uint16)])
def test_heic_is_read(name, dtype):
    signal = load_signal(HEIC / name)
    assert signal.kind == "image" and signal.metadata["format"] == "HEIC"
    rows, columns = np.mgrid[0:32, 0:48]
    full = np.iinfo(dtype).max
    expected = np.stack([rows / 31, columns / 47, (rows + columns) / 78], axis=-1) * full
    assert signal.samples.dtype == dtype and signal.shape == (32, 48)
    assert np.abs(signal.samples - expected).mean() < full * 0.02


def test_heic_without_its_reader_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(SignalError, match="is HEIC, and what reads it is not here; pip install pi-heif"):
        load_signal(HEIC / "8.heic")


def test_a_cut_heic_is_one_line(tmp_path):
    data = (HEIC / "8.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(data[: len(data) // 2])
    with pytest.raises(SignalError, match="cut or damaged image"):
        load_signal(tmp_path / "a.heic")

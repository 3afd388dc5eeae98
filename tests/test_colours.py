"""What a picture's file says of its colours goes along with its run and field file, into all that is exported."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from png_files import png

import winner_ns
from winner_ns.export.image import export_image
from winner_ns.fields.files import rebuild_field
from winner_ns.signals import load_signal, signal_of
from winner_ns.signals.colour import Colour, made_profile

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
WIDE = (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
PROFILE = made_profile(WIDE, 1.8, gray=False)
GAMMA = (b"gAMA", struct.pack(">I", 55556))
CHROMATICITIES = (b"cHRM", struct.pack(">8i", *(round(each * 100_000) for each in WIDE)))


def fitted(path):
    """A field that went through its file."""
    field = winner_ns.fit(path, kind="image", steps=1, width=8, depth=2, progress=False)
    return winner_ns.load_field(field.save(path.with_suffix(".safetensors")))


def chunks_of(path) -> dict:
    data, at, found = path.read_bytes(), 8, {}
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        found[name] = data[at + 8 : at + 8 + length]
        at += length + 12
    return found


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_profile_goes_into_every_format(tmp_path, suffix):
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", icc_profile=PROFILE)
    field = fitted(tmp_path / f"a.{suffix}")
    for name, depth in (("b.png", 8), ("c.png", 16), ("d.tif", 8), ("e.tif", 16), ("f.jpg", 8), ("g.webp", 8)):
        assert "warnings" not in export_image(field, tmp_path / name, bit_depth=depth)
        if name != "e.tif":
            with Image.open(tmp_path / name) as picture:
                picture.load()
                assert picture.info["icc_profile"] == PROFILE
        assert Colour.of(load_signal(tmp_path / name).metadata["colour"]).icc_profile == PROFILE


def test_formats_that_say_nothing_of_colours_are_told(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=PROFILE)
    assert "does not say" in export_image(fitted(tmp_path / "a.png"), tmp_path / "b.bmp")["warnings"][0]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    "said",
    [
        [GAMMA],
        [GAMMA, CHROMATICITIES],
        [(b"sRGB", b"\1")],
        [(b"cICP", bytes([12, 13, 0, 1]))],
        [(b"cICP", bytes([9, 16, 0, 1])), GAMMA],
    ],
)
def test_what_a_png_says_is_said_again(tmp_path, depth, said):
    samples = PIXELS if depth == 8 else PIXELS.astype(np.uint16) * 257
    (tmp_path / "a.png").write_bytes(png(samples, depth, 2, said))
    export_image(fitted(tmp_path / "a.png"), tmp_path / "b.png")
    found = chunks_of(tmp_path / "b.png")
    known = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"iCCP"}
    assert {name: found[name] for name in known & set(found)} == dict(said)


def linear(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("suffix", ["tif", "jpg", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gamma_becomes_a_profile_where_there_is_no_other_word_for_it(tmp_path, suffix, channels):
    (tmp_path / "a.png").write_bytes(png(PIXELS[..., :channels], 8, 0 if channels == 1 else 2, [GAMMA]))
    export_image(fitted(tmp_path / "a.png"), tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as picture:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    gray = channels == 1 and suffix != "webp"  # which has colours alone
    assert profile.profile.xcolor_space == ("GRAY" if gray else "RGB ")
    ramp = np.arange(20, 250, 10, dtype=np.uint8)
    steps = Image.fromarray(ramp[None] if gray else np.stack([ramp] * 3, axis=-1)[None])
    shown = ImageCms.profileToProfile(steps, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    np.testing.assert_allclose(linear(np.asarray(shown)[0, :, 0] / 255), (ramp / 255) ** 1.8, atol=0.01)


def test_primaries_become_a_profile(tmp_path):
    (tmp_path / "a.png").write_bytes(png(PIXELS, 8, 2, [(b"cICP", bytes([12, 13, 0, 1]))]))
    export_image(fitted(tmp_path / "a.png"), tmp_path / "b.tif")
    with Image.open(tmp_path / "b.tif") as picture:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
    shown = ImageCms.profileToProfile(
        Image.new("RGB", (1, 1), (200, 100, 50)), profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
    ).getpixel((0, 0))
    # Display P3 of these numbers, by the matrices of both (W3C CSS Color 4, section 17).
    p3 = np.array([[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]])
    srgb = np.array([[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]])
    light = np.linalg.solve(srgb, p3 @ linear(np.array([200, 100, 50]) / 255))
    np.testing.assert_allclose(linear(np.array(shown) / 255), np.clip(light, 0, 1), atol=0.01)


def test_colours_that_no_profile_says_are_told(tmp_path):
    (tmp_path / "a.png").write_bytes(png(PIXELS, 8, 2, [(b"cICP", bytes([9, 16, 0, 1]))]))
    field = fitted(tmp_path / "a.png")
    assert "does not say" in export_image(field, tmp_path / "b.jpg")["warnings"][0]
    assert "warnings" not in export_image(field, tmp_path / "b.png")


def test_a_profile_of_colours_is_none_of_gray(tmp_path):
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "a.jpg", icc_profile=PROFILE)
    assert "colour" not in load_signal(tmp_path / "a.jpg").metadata


def test_pictures_without_a_word_stay_so(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert load_signal(tmp_path / "a.png").metadata == {"mode": "RGB", "format": "PNG"}
    export_image(fitted(tmp_path / "a.png"), tmp_path / "b.png")
    assert set(chunks_of(tmp_path / "b.png")) <= {b"IHDR", b"IDAT", b"IEND"}


def test_long_profiles_travel_whole(tmp_path):
    noise = np.random.default_rng(0).bytes(300_000)
    profile = struct.pack(">I", len(PROFILE) + len(noise)) + PROFILE[4:] + noise
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", icc_profile=profile)
    export_image(fitted(tmp_path / "a.jpg"), tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.info["icc_profile"] == profile


@pytest.mark.parametrize(
    "colour",
    [
        {"icc_profile": ["no base64"]},
        {"icc_profile": "eA=="},
        {"gamma": -1.0},
        {"gamma": "x"},
        {"chromaticities": [0.1] * 7},
        {"cicp": [1, 2, 3, 999]},
        {"srgb_intent": 9},
        {"further": 1},
        [],
    ],
)
def test_no_field_file_is_trusted(tmp_path, colour):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    field = fitted(tmp_path / "a.png")
    plain = field.description.as_dict()
    plain["signal"] = {**plain["signal"], "colour": colour}
    with pytest.raises(ValueError):
        rebuild_field(plain, field.network.state_dict())


def test_a_picture_of_pillow_keeps_what_it_says(tmp_path):
    (tmp_path / "a.png").write_bytes(png(PIXELS, 8, 2, [GAMMA, CHROMATICITIES]))
    with Image.open(tmp_path / "a.png") as picture:
        assert signal_of(picture).metadata["colour"] == load_signal(tmp_path / "a.png").metadata["colour"]


@pytest.mark.parametrize("wrong", [(5.0, 0.3), (float("nan"), 0.3)])
def test_colours_that_cannot_be_are_left_out_and_not_the_field(tmp_path, wrong):
    import tifffile

    colours = [(318, "f", 2, wrong, True), (319, "f", 6, WIDE[2:], True)]
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb", extratags=colours)
    assert fitted(tmp_path / "a.tif").signal.get("colour") is None
    colours[0] = (318, "f", 2, WIDE[:2], True)
    tifffile.imwrite(tmp_path / "b.tif", PIXELS, photometric="rgb", extratags=colours)
    assert fitted(tmp_path / "b.tif").signal["colour"]["chromaticities"] == pytest.approx(WIDE)


def test_texts_of_a_png_stay_packed(tmp_path):
    import tracemalloc

    texts = [(b"zTXt", f"Comment {i}".encode() + b"\0\0" + zlib.compress(bytes(2**23))) for i in range(12)]
    (tmp_path / "a.png").write_bytes(png(PIXELS, 8, 2, texts))
    tracemalloc.start()
    load_signal(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23

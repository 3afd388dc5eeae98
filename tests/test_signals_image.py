"""Images of every format and depth keep their samples."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from winner_ns.errors import SignalError
from winner_ns.signals import detect_kind, load_signal

os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
import cv2  # noqa: E402
import tifffile  # noqa: E402

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def pixels(channels: int, dtype=np.uint8, height: int = 6, width: int = 9) -> np.ndarray:
    generator = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return generator.normal(size=(height, width, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, (height, width, channels), dtype=dtype, endpoint=True)


def bgr(array: np.ndarray) -> np.ndarray:
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[-1]]
    return array[..., order]


def png(width: int, height: int, depth: int, colour_type: int, data: bytes, exif: bytes = b"") -> bytes:
    """A PNG file made by hand, for what the libraries cannot write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    body = (chunk(b"eXIf", exif) if exif else b"") + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def check(path, expected: np.ndarray, file_format: str) -> None:
    assert detect_kind(path) == "image"
    signal = load_signal(path)
    assert signal.kind == "image"
    assert signal.samples.dtype == expected.dtype
    np.testing.assert_array_equal(signal.samples, expected)
    assert signal.shape == expected.shape[:2]
    assert signal.metadata["mode"] == MODES[expected.shape[-1]]
    assert signal.metadata["format"] == file_format
    assert signal.warnings == []
    values = signal.values(torch.arange(len(signal))).numpy()
    if expected.dtype.kind == "f":
        low, high = float(expected.min()), float(expected.max())
    else:
        low, high = np.iinfo(expected.dtype).min, np.iinfo(expected.dtype).max
    naive = (expected.astype(np.float64) - low) / (high - low) * 2 - 1
    np.testing.assert_allclose(values, naive.reshape(values.shape), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_8_bit_png(tmp_path, channels):
    expected = pixels(channels)
    Image.fromarray(expected.squeeze(-1) if channels == 1 else expected).save(tmp_path / "a.png")
    check(tmp_path / "a.png", expected, "PNG")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_png_loses_no_bit(tmp_path, channels):
    expected = pixels(channels, np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), bgr(expected))
    check(tmp_path / "a.png", expected, "PNG")


def test_16_bit_png_of_gray_and_alpha(tmp_path):
    expected = pixels(2, np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in expected)
    (tmp_path / "a.png").write_bytes(png(9, 6, 16, 4, zlib.compress(rows)))
    check(tmp_path / "a.png", expected, "PNG")


def test_orientation_of_a_16_bit_png_is_undone(tmp_path):
    upright = pixels(1, np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.rot90(upright)[..., 0])
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.png").write_bytes(png(6, 9, 16, 0, zlib.compress(rows), exif.tobytes()[6:]))
    check(tmp_path / "a.png", upright, "PNG")


def test_palettes_become_colours(tmp_path):
    picture = Image.fromarray(pixels(3)).quantize(16)
    picture.save(tmp_path / "a.png")
    check(tmp_path / "a.png", np.asarray(picture.convert("RGB")), "PNG")


def test_a_transparent_palette_entry_becomes_alpha(tmp_path):
    picture = Image.fromarray(pixels(3)).quantize(16)
    picture.save(tmp_path / "a.png", transparency=3)
    signal = load_signal(tmp_path / "a.png")
    assert signal.metadata["mode"] == "RGBA"
    np.testing.assert_array_equal(signal.samples[..., 3], np.where(np.asarray(picture) == 3, 0, 255))


def test_a_bitmap_is_black_and_white(tmp_path):
    bits = pixels(1)[..., 0] > 127
    Image.fromarray(bits).save(tmp_path / "a.png")
    check(tmp_path / "a.png", bits[..., None].astype(np.uint8) * 255, "PNG")


@pytest.mark.parametrize("suffix", ["bmp", "webp", "tif"])
def test_other_lossless_8_bit_formats(tmp_path, suffix):
    expected = pixels(3)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(expected).save(path, **({"lossless": True} if suffix == "webp" else {}))
    check(path, expected, {"bmp": "BMP", "webp": "WEBP", "tif": "TIFF"}[suffix])


def test_jpeg_decodes_as_its_own_decoder_says(tmp_path):
    Image.fromarray(pixels(3, height=16, width=24)).save(tmp_path / "a.jpg", quality=95)
    check(tmp_path / "a.jpg", np.asarray(Image.open(tmp_path / "a.jpg")), "JPEG")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_camera_orientation_is_undone(tmp_path, orientation, suffix):
    upright = pixels(3)
    # What a camera that is held in that orientation stores (Exif 2.3, tag 274: where row 0 and column 0 are).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(
        path, exif=exif, **({"lossless": True} if suffix == "webp" else {})
    )
    np.testing.assert_array_equal(load_signal(path).samples, upright)


def test_orientation_of_a_16_bit_tiff_is_undone(tmp_path):
    upright = pixels(3, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", np.rot90(upright), photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(load_signal(tmp_path / "a.tif").samples, upright)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_deep_tiffs_lose_no_bit(tmp_path, dtype, channels):
    expected = pixels(channels, dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        expected.squeeze(-1) if channels == 1 else expected,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
    )
    check(tmp_path / "a.tif", expected, "TIFF")


def test_planes_one_after_the_other(tmp_path):
    expected = pixels(3, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(expected, -1, 0), photometric="rgb", planarconfig="separate")
    check(tmp_path / "a.tif", expected, "TIFF")


def test_lzw_compressed_16_bit_tiff(tmp_path):
    expected = pixels(3, np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), bgr(expected), [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].compression == tifffile.COMPRESSION.LZW
    check(tmp_path / "a.tif", expected, "TIFF")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_exr(tmp_path, channels):
    expected = pixels(channels, np.float32) * 100
    stored = expected
    if channels == 4:
        # The format multiplies light with alpha; where that is 0, what is left is light by itself.
        expected[..., 3] = np.random.default_rng(0).choice([0.0, 0.25, 0.5, 1.0], expected.shape[:2])
        alpha = expected[..., 3:]
        stored = np.concatenate([np.where(alpha > 0, expected[..., :3] * alpha, expected[..., :3]), alpha], axis=-1)
    assert cv2.imwrite(str(tmp_path / "a.exr"), bgr(stored), [cv2.IMWRITE_EXR_TYPE, cv2.IMWRITE_EXR_TYPE_FLOAT])
    check(tmp_path / "a.exr", expected, "EXR")


def test_hdr(tmp_path):
    expected = np.abs(pixels(3, np.float32)) + 0.5
    cv2.imwrite(str(tmp_path / "a.hdr"), bgr(expected))
    signal = load_signal(tmp_path / "a.hdr")
    # Radiance shares one exponent of 8 bits among three mantissas of 8 bits.
    np.testing.assert_allclose(signal.samples, expected, atol=expected.max() / 128)
    assert signal.metadata == {"mode": "RGB", "format": "HDR"}


@pytest.mark.parametrize("said", ["+Y 3 +X 4", "-Y 3 -X 4", "+X 4 -Y 3", "FORMAT=32-bit_rle_xyze"])
def test_a_hdr_of_other_rows_or_colours_is_refused(tmp_path, said):
    header = f"#?RADIANCE\n{said}\n\n-Y 3 +X 4\n" if "=" in said else f"#?RADIANCE\n\n{said}\n"
    (tmp_path / "a.hdr").write_bytes(header.encode() + bytes(range(48)))
    with pytest.raises(SignalError, match="another way" if "X " in said else "colours as X, Y and Z"):
        load_signal(tmp_path / "a.hdr")


def test_gray_exr_with_alpha(tmp_path):
    """Written by hand: rows of halves, channel after channel (OpenEXR file layout)."""

    def attribute(name, kind, content):
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(content)) + content

    channels = b"".join(name + struct.pack("<iB3xii", 1, 0, 1, 1) for name in (b"A\0", b"Y\0")) + b"\0"
    box = struct.pack("<4i", 0, 0, 3, 2)
    header = b"\x76\x2f\x31\x01\2\0\0\0" + b"".join(
        attribute(*each)
        for each in (
            ("channels", "chlist", channels), ("compression", "compression", b"\0"), ("dataWindow", "box2i", box),
            ("displayWindow", "box2i", box), ("lineOrder", "lineOrder", b"\0"),
            ("pixelAspectRatio", "float", struct.pack("<f", 1)), ("screenWindowCenter", "v2f", bytes(8)),
            ("screenWindowWidth", "float", struct.pack("<f", 1)),
        )
    ) + b"\0"  # fmt: skip
    light, alpha = np.arange(12.0).reshape(3, 4), np.array([1.0, 0.5, 0.25, 0.0])
    stored = np.stack([np.broadcast_to(alpha, (3, 4)), np.where(alpha > 0, light * alpha, light)], axis=1)
    rows = [struct.pack("<iI", i, 16) + row.astype("<f2").tobytes() for i, row in enumerate(stored)]
    places = [len(header) + 24 + 24 * i for i in range(3)]
    (tmp_path / "a.exr").write_bytes(header + struct.pack("<3Q", *places) + b"".join(rows))
    check(tmp_path / "a.exr", np.stack([light, np.broadcast_to(alpha, (3, 4))], axis=-1).astype(np.float32), "EXR")


def test_formats_whose_depth_would_be_lost_are_refused(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6 4 3 65535\n" + bytes(range(72)))
    with pytest.raises(SignalError, match="no image of a known format"):
        load_signal(tmp_path / "a.ppm", "image")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays(tmp_path, dtype, channels):
    expected = pixels(channels, dtype)
    np.save(tmp_path / "a.npy", expected)
    check(tmp_path / "a.npy", expected, "NPY")


@pytest.mark.parametrize("layout", ["gray", "fortran", "big-endian", "bool"])
def test_arrays_in_other_layouts(tmp_path, layout):
    expected = pixels(1, np.uint16)
    stored = {
        "gray": expected[..., 0],
        "fortran": np.asfortranarray(expected),
        "big-endian": expected.astype(">u2"),
        "bool": expected > 30000,
    }[layout]
    np.save(tmp_path / "a.npy", stored)
    if layout == "bool":
        expected = stored.astype(np.uint8) * 255
    check(tmp_path / "a.npy", expected, "NPY")
    assert load_signal(tmp_path / "a.npy").samples.flags.c_contiguous


def test_wide_integers_span_from_smallest_to_largest(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100, 112, dtype=np.int32).reshape(3, 4))
    signal = load_signal(tmp_path / "a.npy")
    values = signal.values(torch.tensor([0, 11])).flatten().tolist()
    assert values == [-1.0, 1.0]


def test_an_image_larger_than_pillows_limit_loads_in_its_own_type(tmp_path, monkeypatch):
    # Twice the limit is where Pillow stops with an error.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    for suffix in ("png", "tif", "bmp"):
        Image.fromarray(pixels(3)).save(tmp_path / f"a.{suffix}")
        assert load_signal(tmp_path / f"a.{suffix}").samples.dtype == np.uint8
    assert Image.MAX_IMAGE_PIXELS == 20


@pytest.mark.parametrize("depth", [8, 16])
def test_more_than_2_to_the_31_pixels_is_an_error_from_the_header_alone(tmp_path, depth):
    (tmp_path / "a.png").write_bytes(png(50000, 50000, depth, 2, zlib.compress(b"\0")))
    with pytest.raises(SignalError, match="50000 x 50000 pixels"):
        load_signal(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_of_several_pictures_the_first_is_used_with_a_warning(tmp_path, suffix):
    first, second = (Image.fromarray(pixels(3, height=n, width=8)) for n in (8, 8))
    second = second.rotate(180)
    path = tmp_path / f"a.{suffix}"
    first.save(path, save_all=True, append_images=[second], **({"lossless": True} if suffix == "webp" else {}))
    assert detect_kind(path) == ("image" if suffix == "tif" else "video")
    signal = load_signal(path, "image")
    np.testing.assert_array_equal(signal.samples[..., :3], np.asarray(first))
    assert len(signal.warnings) == 1 and "2 pictures" in signal.warnings[0] and str(path) in signal.warnings[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_counted(tmp_path, value):
    raw = pixels(1, np.float32)
    raw[0, :3] = value
    np.save(tmp_path / "a.npy", raw)
    with pytest.raises(SignalError, match="3 of 54 samples are NaN or infinite"):
        load_signal(tmp_path / "a.npy")


def test_one_colour_throughout_is_nothing_to_fit(tmp_path):
    Image.new("RGBA", (8, 8), (200, 10, 10, 255)).save(tmp_path / "a.png")
    with pytest.raises(SignalError, match="same value .*nothing to fit"):
        load_signal(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.full((8, 8), 0.25))
    with pytest.raises(SignalError, match="same value"):
        load_signal(tmp_path / "a.npy")


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_fewer_than_2_x_2_pixels(tmp_path, size):
    Image.new("L", size).save(tmp_path / "a.png")
    with pytest.raises(SignalError, match="at least 2 x 2"):
        load_signal(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["8.png", "16.png", "a.jpg", "a.bmp", "a.webp", "8.tif", "16.tif", "a.exr", "a.gif"])
def test_a_cut_file_is_one_line_and_no_chatter(tmp_path, name, capfd):
    path = tmp_path / name
    depth = np.uint16 if name.startswith("16") else np.float32 if name == "a.exr" else np.uint8
    raw = pixels(3, depth, 64, 64)
    if depth == np.uint8:
        Image.fromarray(raw).save(path)
    else:
        cv2.imwrite(str(path), raw)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    capfd.readouterr()
    with pytest.raises(SignalError) as caught:
        load_signal(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert capfd.readouterr().err == ""

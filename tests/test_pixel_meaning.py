"""What pixels mean is told alike at every depth: held against Pillow at 8 bits, and against what was written."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from png_files import png

from winner_ns.errors import SignalError
from winner_ns.signals import load_signal

SHAPE = (12, 20)


def noise(channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SHAPE, channels), dtype=np.uint8)


def at_depth(samples: np.ndarray, dtype) -> np.ndarray:
    """8-bit samples spread over another type: 0 stays 0 and 255 becomes full."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (samples / 255.0).astype(dtype)
    return (samples.astype(np.uint64) * (np.iinfo(dtype).max // 255)).astype(dtype)


def in_bytes(samples: np.ndarray) -> np.ndarray:
    """The way back, unrounded."""
    if samples.dtype.kind == "f":
        return samples.astype(np.float64) * 255.0
    return samples.astype(np.float64) / (np.iinfo(samples.dtype).max // 255)


def write(path, samples: np.ndarray, photometric, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(path, samples, photometric=photometric, metadata=None, **options)
    return path


def read(path) -> np.ndarray:
    return load_signal(path, "image").samples


def write_packed(path, samples: np.ndarray, bits: int, photometric: int, colours=None):
    """A TIFF of gray or a palette whose samples have fewer or more bits than 8, one behind the other in a row."""
    digits = ((samples[..., None].astype(int) >> np.arange(bits - 1, -1, -1)) & 1).reshape(len(samples), -1)
    rows = np.packbits(digits.astype(np.uint8), axis=1)
    tags = [] if colours is None else [(320, 3, colours.size, colours.ravel().tolist(), True)]
    write(path, rows, "minisblack", extratags=tags)
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag, value in ((256, samples.shape[1]), (258, bits), (262, photometric)):
            file.pages[0].tags[tag].overwrite(value)


LAYOUTS = {
    "strips": {},
    "planes": {"planarconfig": "separate"},
    "tiles": {"tile": (16, 16)},
    "tiled planes": {"tile": (16, 16), "planarconfig": "separate"},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "LZW": {"compression": "lzw"},
    "LZW with predictor": {"compression": "lzw", "predictor": True},
    "deflate of tiles": {"compression": "zlib", "tile": (16, 16)},
    "PackBits": {"compression": "packbits"},
}
DEPTHS = [np.uint8, np.uint16, np.uint32, np.float32]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_layout_of_a_tiff_gives_the_samples(tmp_path, layout, dtype, channels):
    samples = at_depth(noise(channels), dtype)
    options = dict(LAYOUTS[layout])
    stored = samples[..., 0] if channels == 1 else samples
    if options.get("planarconfig") and channels > 1:
        stored = np.moveaxis(samples, -1, 0)
    elif channels == 1:
        options.pop("planarconfig", None)
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    write(tmp_path / "a.tif", stored, "minisblack" if channels == 1 else "rgb", **options)
    found = read(tmp_path / "a.tif")
    assert found.dtype == samples.dtype
    np.testing.assert_array_equal(found, samples)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inks_become_light(tmp_path, dtype, compression):
    inks = noise(4)
    write(tmp_path / "8.tif", inks, "separated")
    write(tmp_path / "a.tif", at_depth(inks, dtype), "separated", compression=compression)
    expected = np.asarray(Image.open(tmp_path / "8.tif").convert("RGB"))
    found = read(tmp_path / "a.tif")
    assert found.dtype == dtype and found.shape == (*SHAPE, 3)
    np.testing.assert_allclose(in_bytes(found), expected, atol=0 if dtype == np.uint8 else 1)
    assert "CMYK colours are converted" in load_signal(tmp_path / "a.tif").warnings[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inks_with_alpha(tmp_path, dtype):
    samples = noise(5)
    write(tmp_path / "a.tif", at_depth(samples, dtype), "separated", extrasamples=["unassalpha"])
    write(tmp_path / "8.tif", samples[..., :4], "separated")
    found = in_bytes(read(tmp_path / "a.tif"))
    np.testing.assert_allclose(found[..., :3], np.asarray(Image.open(tmp_path / "8.tif").convert("RGB")), atol=1)
    np.testing.assert_array_equal(found[..., 3], samples[..., 4])


def test_other_inks_are_refused(tmp_path):
    write(tmp_path / "a.tif", noise(4), "separated", extratags=[(332, 3, 1, 2, True)])
    with pytest.raises(SignalError, match="other inks than cyan, magenta, yellow and black"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cielab_becomes_light(tmp_path, dtype):
    lightness, a, b = np.meshgrid(np.linspace(90, 230, 12), np.linspace(-25, 25, 5), np.linspace(-25, 25, 4))
    lab = np.stack([lightness.ravel(), a.ravel(), b.ravel()], axis=-1).round().reshape(*SHAPE, 3)
    signed = lab.astype(np.int16).astype(np.uint8)
    write(tmp_path / "8.tif", signed, 8)
    expected = np.asarray(Image.open(tmp_path / "8.tif").convert("RGB")).astype(float)
    if dtype == np.uint16:
        stored = np.stack([lab[..., 0] * 257, *(lab[..., i] * 256 for i in (1, 2))], axis=-1)
        signed = stored.astype(np.int32).astype(np.uint16)
        write(tmp_path / "a.tif", signed, 8)
    found = in_bytes(read(tmp_path / ("a.tif" if dtype == np.uint16 else "8.tif")))
    # Little CMS looks values up in tables, which are coarse where sRGB ends.
    inside = ((expected > 40) & (expected < 250)).all(axis=-1)
    assert inside.mean() > 0.4
    np.testing.assert_allclose(found[inside], expected[inside], atol=4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_iccs_cielab_is_the_same_with_another_middle(tmp_path, dtype):
    unit = 1 if dtype == np.uint8 else 256
    lab = np.stack([np.full(SHAPE, 128), *np.meshgrid(np.linspace(-60, 60, 20), np.linspace(-60, 60, 12))], axis=-1)
    scaled = lab.round() * unit
    plain = np.stack([scaled[..., 0] * (1 if unit == 1 else 257 / 256), scaled[..., 1], scaled[..., 2]], axis=-1)
    write(tmp_path / "a.tif", plain.round().astype(np.int32).astype(dtype), 8)
    write(tmp_path / "b.tif", (scaled + [0, 128 * unit, 128 * unit]).astype(dtype), 9)
    np.testing.assert_allclose(in_bytes(read(tmp_path / "b.tif")), in_bytes(read(tmp_path / "a.tif")), atol=0.02)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
@pytest.mark.parametrize("channels", [2, 4])
def test_associated_alpha_becomes_straight(tmp_path, dtype, channels):
    straight = noise(channels)
    straight[..., -1] = np.maximum(straight[..., -1], 40)
    stored = at_depth(straight, np.float64)
    stored[..., :-1] *= stored[..., -1:]
    full = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    stored = (stored * full).round().astype(dtype) if full > 1 else stored.astype(dtype)
    photometric = "rgb" if channels == 4 else "minisblack"
    write(tmp_path / "a.tif", stored, photometric, extrasamples=["assocalpha"], planarconfig="contig")
    found = read(tmp_path / "a.tif")
    assert found.dtype == dtype
    # An 8-bit product has lost up to half a step, which a small alpha makes large.
    tolerance = 5 if dtype == np.uint8 else 0.05
    np.testing.assert_allclose(in_bytes(found), straight, atol=tolerance)
    if dtype == np.uint8 and channels == 4:
        np.testing.assert_array_equal(found, np.asarray(Image.open(tmp_path / "a.tif").convert("RGBA")))


def test_nothing_is_left_where_associated_alpha_is_0(tmp_path):
    samples = at_depth(noise(4), np.uint16)
    samples[:6, :, 3] = 0
    samples[:6, :, :3] = 0
    write(tmp_path / "a.tif", samples, "rgb", extrasamples=["assocalpha"])
    assert read(tmp_path / "a.tif")[:6].max() == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_white_may_be_the_smallest(tmp_path, dtype):
    samples = noise(1)[..., 0]
    write(tmp_path / "a.tif", at_depth(255 - samples, dtype), "miniswhite")
    np.testing.assert_array_equal(in_bytes(read(tmp_path / "a.tif"))[..., 0], samples)


def test_white_may_be_the_smallest_of_bits(tmp_path):
    bits = noise(1)[..., 0] > 99
    write(tmp_path / "a.tif", bits, "miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], np.where(bits, 0, 255))


def test_floats_whose_smallest_is_white_are_refused(tmp_path):
    write(tmp_path / "a.tif", at_depth(noise(1)[..., 0], np.float32), "miniswhite")
    with pytest.raises(SignalError, match="smallest is white"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_samples_of_odd_depths_have_the_full_range(tmp_path, bits):
    samples = np.random.default_rng(0).integers(0, 2**bits, SHAPE, dtype=np.uint16)
    samples[0, :2] = 0, 2**bits - 1
    write_packed(tmp_path / "a.tif", samples, bits, 1)
    found = read(tmp_path / "a.tif")[..., 0]
    np.testing.assert_array_equal(found, np.rint(samples * (65535 / (2**bits - 1))))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", [0, 1, 3])
def test_few_bits_as_pillow_reads_them(tmp_path, bits, photometric):
    samples = np.random.default_rng(0).integers(0, 2**bits, SHAPE, dtype=np.uint8)
    colours = at_depth(noise(3)[0, : 2**bits].T, np.uint16) if photometric == 3 else None
    write_packed(tmp_path / "a.tif", samples, bits, photometric, colours)
    with Image.open(tmp_path / "a.tif") as picture:
        expected = np.asarray(picture.convert("RGB" if photometric == 3 else "L"))
    np.testing.assert_array_equal(read(tmp_path / "a.tif").reshape(expected.shape), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_palettes_of_every_depth(tmp_path, dtype):
    count = 2 ** (8 * np.dtype(dtype).itemsize)
    colours = np.random.default_rng(1).integers(0, 2**16, (3, count), dtype=np.uint16)
    index = np.random.default_rng(2).integers(0, count, SHAPE, dtype=dtype)
    write(tmp_path / "a.tif", index, "palette", colormap=colours)
    expected = np.moveaxis(colours, 0, -1)[index]
    if dtype == np.uint8:
        expected = (expected >> 8).astype(np.uint8)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.tif").convert("RGB")), expected)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_palette_with_numbers_of_8_bits(tmp_path, dtype):
    colours = np.random.default_rng(1).integers(0, 256, (3, 2 ** (8 * np.dtype(dtype).itemsize)), dtype=np.uint16)
    index = np.random.default_rng(2).integers(0, colours.shape[1], SHAPE, dtype=dtype)
    write(tmp_path / "a.tif", index, "palette", colormap=colours)
    expected = np.moveaxis(colours, 0, -1)[index] * (257 if dtype == np.uint16 else 1)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), expected.astype(dtype))
    assert "numbers below 256" in load_signal(tmp_path / "a.tif").warnings[0]


@pytest.mark.parametrize(("dtype", "said"), [("f4", "-9999"), ("f4", "-3.4e+38"), ("i2", "-32768"), ("u1", "7")])
def test_values_that_stand_for_no_sample(tmp_path, dtype, said):
    samples = np.arange(8, 80).reshape(8, 9).astype(dtype)
    tag = (42113, 2, len(said), said, True)
    write(tmp_path / "a.tif", samples, "minisblack", extratags=[tag])
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], samples)
    samples[2, :3] = float(said)
    write(tmp_path / "a.tif", samples, "minisblack", extratags=[tag])
    told = "3 of 72 samples have the value that stands for none"
    if dtype == "u1":
        assert told in load_signal(tmp_path / "a.tif").warnings[0]
        return
    with pytest.raises(SignalError, match=told):
        load_signal(tmp_path / "a.tif")


def test_a_preview_before_a_picture_is_none(tmp_path):
    small, large = (np.random.default_rng(i).integers(0, 256, (8 + i, 9 + i, 3), dtype=np.uint8) for i in (0, 9))
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(small, photometric="rgb", subfiletype=1)
        file.write(small[..., 0] > 9, photometric="minisblack", subfiletype=4)
        file.write(large, photometric="rgb")
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), large)
    assert "number 3, the first that is no preview or mask, is used" in load_signal(tmp_path / "a.tif").warnings[0]
    # As raw photographs are: what was taken is not among the pages.
    with tifffile.TiffWriter(tmp_path / "b.dng") as file:
        file.write(small, photometric="rgb", subfiletype=1, subifds=1)
        file.write(large[..., 0], photometric=32803, subfiletype=0)
    with pytest.raises(SignalError, match="holds a preview alone of a picture that is not read"):
        load_signal(tmp_path / "b.dng")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_luma_and_differences_become_light(tmp_path, dtype):
    samples = noise(3)
    write(tmp_path / "a.tif", at_depth(samples, np.uint8) if dtype == np.uint8 else samples.astype(np.uint16) << 8, 6)
    expected = np.asarray(Image.fromarray(samples, "YCbCr").convert("RGB"))
    found = read(tmp_path / "a.tif").astype(float) / (1 if dtype == np.uint8 else 256)
    np.testing.assert_allclose(found, expected, atol=1.5)


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_in_a_tiff(tmp_path, subsampling):
    rows, columns = np.mgrid[0:32, 0:48]
    picture = np.stack([rows * 7, columns * 5, rows * 3 + columns], axis=-1).astype(np.uint8)
    write(tmp_path / "a.tif", picture, "rgb", compression="jpeg", subsampling=subsampling)
    expected = np.asarray(Image.open(tmp_path / "a.tif").convert("RGB")).astype(int)
    assert np.abs(read(tmp_path / "a.tif").astype(int) - expected).max() <= 2


@pytest.mark.parametrize("dtype", DEPTHS)
def test_more_samples_than_are_said_to_mean_something_are_refused(tmp_path, dtype):
    write(tmp_path / "a.tif", at_depth(noise(5), dtype), "rgb", extrasamples=["unspecified"] * 2)
    with pytest.raises(SignalError, match="5 samples a pixel, of which 2 mean nothing"):
        read(tmp_path / "a.tif")
    write(tmp_path / "a.tif", at_depth(noise(5), dtype), "minisblack", planarconfig="contig")
    with pytest.raises(SignalError, match="5 samples a pixel, of which 4 mean nothing"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", DEPTHS)
def test_a_fourth_sample_without_meaning_is_no_alpha(tmp_path, dtype):
    samples = at_depth(noise(4), dtype)
    write(tmp_path / "a.tif", samples, "rgb", extrasamples=["unspecified"])
    signal = load_signal(tmp_path / "a.tif")
    np.testing.assert_array_equal(signal.samples, samples[..., :3])
    assert "left out" in signal.warnings[0]


@pytest.mark.parametrize("dtype", DEPTHS)
def test_alpha_before_a_sample_without_meaning(tmp_path, dtype):
    samples = at_depth(noise(5), dtype)
    write(tmp_path / "a.tif", samples, "rgb", extrasamples=["unassalpha", "unspecified"])
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), samples[..., :4])


@pytest.mark.parametrize("photometric", [4, 32803, 32844, 34892])
def test_pixels_of_unknown_sorts_are_refused(tmp_path, photometric):
    write(tmp_path / "a.tif", noise(1)[..., 0], "minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages[0].tags[262].overwrite(photometric)
    with pytest.raises(SignalError, match="of a sort that is not read"):
        read(tmp_path / "a.tif")


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""What a camera that is held in each orientation stores (Exif 2.3, tag 274)."""


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("dtype", DEPTHS)
def test_orientation_at_every_depth_of_a_tiff(tmp_path, orientation, dtype):
    upright = at_depth(noise(3), dtype)
    stored = np.ascontiguousarray(TURNED[orientation](upright))
    write(tmp_path / "a.tif", stored, "rgb", extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), upright)


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()[6:]


def raw_profile(content: bytes, packed: bool):
    import zlib

    digits = content.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    text = f"\nexif\n{len(content):8d}\n{lines}\n".encode()
    key = b"Raw profile type exif\0"
    return (b"zTXt", key + b"\0" + zlib.compress(text)) if packed else (b"tEXt", key + text)


@pytest.mark.parametrize("where", ["eXIf before", "eXIf after", "tEXt before", "zTXt after"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_orientation_wherever_a_png_says_it(tmp_path, where, depth, orientation):
    upright = at_depth(noise(3), f"u{depth // 8}")
    name, _, place = where.partition(" ")
    said = (b"eXIf", exif_of(orientation))
    if name != "eXIf":
        said = raw_profile(b"Exif\0\0" + exif_of(orientation), name == "zTXt")
    before, after = ([said], []) if place == "before" else ([], [said])
    (tmp_path / "a.png").write_bytes(png(TURNED[orientation](upright), depth, 2, before, after))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), upright)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "colour_type"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_the_transparent_colour_of_a_png(tmp_path, depth, colour_type, interlaced):
    channels = 1 if colour_type == 0 else 3
    samples = np.random.default_rng(0).integers(0, 2**depth, (*SHAPE, channels), dtype=np.uint16)
    chosen = samples[3, 4]
    # Neighbours of the colour that differ in the low byte, or in one channel, stay.
    samples[5, 5] = chosen
    samples[6, 6] = chosen ^ 1
    samples[7, 7] = [chosen[0], *(chosen[1:] ^ 1)]
    transparent = (b"tRNS", chosen.astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(png(samples, depth, colour_type, [transparent], interlaced=interlaced))
    found = read(tmp_path / "a.png")
    full = 65535 if depth == 16 else 255
    assert found.dtype == (np.uint16 if depth == 16 else np.uint8)
    np.testing.assert_array_equal(found[..., :-1], samples.astype(int) * full // (2**depth - 1))
    np.testing.assert_array_equal(found[..., -1], np.where((samples == chosen).all(axis=-1), 0, full))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "colour_type"), [(8, 0), (16, 0), (8, 2), (16, 2), (8, 4), (16, 4), (8, 6), (16, 6)])
def test_interlaced_pngs(tmp_path, depth, colour_type, interlaced):
    samples = at_depth(noise({0: 1, 2: 3, 4: 2, 6: 4}[colour_type]), f"u{depth // 8}")
    (tmp_path / "a.png").write_bytes(png(samples, depth, colour_type, interlaced=interlaced))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), samples)


def test_a_palette_with_alpha(tmp_path):
    colours, alphas = noise(3)[0, :16], noise(1)[1, :16, 0]
    index = np.random.default_rng(0).integers(0, 16, (*SHAPE, 1), dtype=np.uint8)
    chunks = [(b"PLTE", colours.tobytes()), (b"tRNS", alphas.tobytes())]
    (tmp_path / "a.png").write_bytes(png(index, 4, 3, chunks))
    np.testing.assert_array_equal(
        read(tmp_path / "a.png"), np.concatenate([colours[index[..., 0]], alphas[index]], axis=-1)
    )


def test_a_png_that_cannot_be_unpacked_is_one_line(tmp_path):
    data = bytearray(png(at_depth(noise(3), np.uint16), 16, 2))
    (tmp_path / "a.png").write_bytes(bytes(data[:-40]) + bytes(data[-12:]))
    with pytest.raises(SignalError, match="cut or damaged"):
        read(tmp_path / "a.png")


def inks_profile() -> bytes:
    """An ICC profile of inks (ICC.1, lut8Type): CIELAB at the 16 corners, of inks whose white is yellowish."""
    corners = []
    for c, m, y, k in np.ndindex(2, 2, 2, 2):
        light = (1 - 0.9 * k) * (1 - 0.4 * c - 0.35 * m - 0.05 * y)
        corners += [255 * max(light, 0.0), 128 - 35 * c + 60 * m, 136 - 40 * c - 5 * m + 70 * y]
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int))
    lut += ramp * 4 + bytes(np.clip(corners, 0, 255).astype(np.uint8)) + ramp * 3
    tags = {b"A2B0": lut, b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)}
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ") + bytes(12)
    header += b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_inks_with_a_profile_are_seen_through_it(tmp_path, suffix):
    profile, inks = inks_profile(), np.repeat(noise(4)[:2, :3], 8, axis=0).repeat(8, axis=1)
    options = {"quality": 100} if suffix == "jpg" else {}
    Image.fromarray(inks, "CMYK").save(tmp_path / f"a.{suffix}", icc_profile=profile, **options)
    stored = Image.open(tmp_path / f"a.{suffix}")
    expected = ImageCms.profileToProfile(
        stored, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    np.testing.assert_allclose(read(tmp_path / f"a.{suffix}").astype(int), np.asarray(expected).astype(int), atol=2)
    if suffix == "tif":
        write(tmp_path / "16.tif", at_depth(inks, np.uint16), "separated", iccprofile=profile)
        np.testing.assert_allclose(in_bytes(read(tmp_path / "16.tif")), np.asarray(expected).astype(int), atol=2)


def test_inks_of_a_jpeg_as_pillow_reads_them(tmp_path):
    Image.fromarray(noise(4), "CMYK").save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_array_equal(read(tmp_path / "a.jpg"), np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")))

"""Nothing that waits for ever or has no end is opened, and nothing takes more memory unpacked than is allowed."""

from __future__ import annotations

import io
import os
import struct
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tifffile
from PIL import Image
from png_files import chunk

import winner_ns
from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.kinds import kinds_of_files
from winner_ns.signals import ReadOptions, load_signal

NAMES = ("a.png", "a.tif", "a.wav", "a.mp3", "a.npy", "a.npz", "a.obj", "a.xyz", "a.mp4", "a.gif", "a")


def within(seconds: float, call) -> BaseException:
    """The error that a call ends with, soon: what waits for a pipe would hold up all tests."""
    caught: list = []

    def run():
        try:
            call()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert caught, "it still waits, or there is no error"
    return caught[0]


@pytest.mark.parametrize("kind", ["auto", *kinds_of_files()])
def test_pipes_and_devices_are_refused_at_once(tmp_path, kind):
    for name in NAMES:
        os.mkfifo(tmp_path / name)
        error = within(20, lambda name=name: load_signal(tmp_path / name, kind))
        assert isinstance(error, SignalError) and "is a pipe, no file" in str(error)
        (tmp_path / f"endless-{name}").symlink_to("/dev/zero")
        error = within(20, lambda name=name: load_signal(tmp_path / f"endless-{name}", kind))
        assert isinstance(error, SignalError) and "is a device, no file" in str(error)


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "{}"],
        ["inspect", "{}"],
        ["inspect", "{}", "--kind", "audio"],
        ["export", "image", "{}"],
        ["export", "field", "{}"],
        ["compare", "{}", "{}"],
        ["analyze", "{}"],
        ["analyze", "--data", "{}"],
        ["eval-mesh", "{}", "{}"],
        ["fit", "--resume", "{}"],
        ["bench", "{}", "--out", "out"],
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.safetensors"])
def test_every_command_refuses_a_pipe(tmp_path, command, name, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / name)
    arguments = [part.format(tmp_path / name) for part in command]
    statuses: list = []
    thread = threading.Thread(target=lambda: statuses.append(main(arguments)), daemon=True)
    thread.start()
    thread.join(60)
    errors = capfd.readouterr().err
    assert statuses == [1] and errors.count("\n") == 1 and str(tmp_path / name) in errors


@pytest.mark.parametrize("kind", ["auto", *kinds_of_files()])
def test_a_folder_with_the_name_of_a_file(tmp_path, kind):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(SignalError, match="is an empty folder"):
        load_signal(tmp_path / "a.png", kind)


def flat_png(path: Path, side: int, depth: int, colour_type: int) -> Path:
    """A PNG of a single colour, whose rows are packed as they are made."""
    channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour_type]
    row, packer = bytes(1 + (side * depth * channels + 7) // 8), zlib.compressobj(9)
    packed = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, depth, colour_type, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(6)) if colour_type == 3 else b""
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
    return path


def peak_memory_of(call) -> int:
    """Bytes that numpy and Python take at most while a call fails with one line."""
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(SignalError, match="GiB unpacked, and 2 GiB are allowed .*--decoded-limit"):
        call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(("depth", "colour_type"), [(1, 0), (4, 0), (1, 3)])
def test_a_picture_that_unpacks_beyond_the_limit(tmp_path, depth, colour_type):
    path = flat_png(tmp_path / "a.png", 30_000, depth, colour_type)
    assert path.stat().st_size < 600_000
    assert peak_memory_of(lambda: load_signal(path)) < 2**26


def test_what_the_header_promises_is_enough(tmp_path):
    """Each of these is whole but for its pixels, which are never looked at."""
    side = 30_000
    header = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    jpeg = bytearray(small(tmp_path / "b.jpg").read_bytes())
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", side, side)
    (tmp_path / "b.jpg").write_bytes(jpeg)
    (tmp_path / "c.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n" + bytes(100))
    tifffile.imwrite(tmp_path / "d.tif", np.zeros((16, 16, 3), np.uint8), photometric="rgb", compression="zlib")
    with tifffile.TiffFile(tmp_path / "d.tif", mode="r+") as file:
        for tag in (256, 257):
            file.pages[0].tags[tag].overwrite(side)
    bitmap = bytearray(small(tmp_path / "e.bmp").read_bytes())
    bitmap[18:26] = struct.pack("<ii", side, side)
    (tmp_path / "e.bmp").write_bytes(bitmap)
    for name in ("a.png", "b.jpg", "c.hdr", "d.tif", "e.bmp"):
        assert peak_memory_of(lambda name=name: load_signal(tmp_path / name)) < 2**26


def small(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return path


def test_an_archive_that_unpacks_beyond_the_limit(tmp_path):
    header, zeros, packer = io.BytesIO(), bytes(1_000_000), zlib.compressobj(wbits=-15)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (100_000_000, 3)})

    def packed(content):
        """Of which nothing that follows depends: the same zeros need not be packed again and again."""
        return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)

    checksum = zlib.crc32(header.getvalue())
    for _ in range(2400):
        checksum = zlib.crc32(zeros, checksum)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("points.npy", packed(header.getvalue()) + 2400 * packed(zeros) + packer.flush())
        member = archive.getinfo("points.npy")
        member.compress_type, member.CRC = zipfile.ZIP_DEFLATED, checksum
        member.file_size = len(header.getvalue()) + 2_400_000_000
    assert (tmp_path / "a.npz").stat().st_size < 3_000_000
    assert peak_memory_of(lambda: load_signal(tmp_path / "a.npz")) < 2**26


def test_the_limit_can_be_lifted_and_lowered(tmp_path, capfd):
    path = small(tmp_path / "a.png")
    with pytest.raises(SignalError, match="9.54e-07 GiB unpacked, and 1e-07 GiB are allowed"):
        load_signal(path, options=ReadOptions(decoded_limit=1e-7))
    assert load_signal(path, options=ReadOptions(decoded_limit=0.0)).metadata["read_options"] == {"decoded_limit": 0.0}
    assert main(["inspect", str(path), "--decoded-limit", "1e-7"]) == 1
    assert "1e-07 GiB are allowed" in capfd.readouterr().err
    assert main(["inspect", str(path), "--decoded-limit", "0"]) == 0
    with pytest.raises(SignalError, match="decoded_limit: is -1"):
        load_signal(path, options=ReadOptions(decoded_limit=-1.0))


def test_a_run_keeps_its_limit(tmp_path, monkeypatch):
    from winner_ns import reading

    monkeypatch.chdir(tmp_path)
    path = small(tmp_path / "a.png")
    fit = ["fit", str(path), "--steps", "2", "--width", "8", "--decoded-limit", "3", "-o", "run", "--quiet"]
    assert main(fit) == 0
    monkeypatch.setattr(reading, "DECODED_LIMIT", 1e-7)
    reading._limit.set(1e-7)
    try:
        assert main(["fit", "--resume", "run", "--steps", "4", "--quiet"]) == 0
    finally:
        reading._limit.set(2.0)


def test_what_is_mapped_has_no_limit(tmp_path):
    samples = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb")
    np.save(tmp_path / "a.npy", samples)
    for name in ("a.tif", "a.npy"):
        signal = load_signal(tmp_path / name, options=ReadOptions(decoded_limit=1e-7))
        assert isinstance(signal.samples, np.memmap)
        np.testing.assert_array_equal(signal.samples, samples)


def test_python_takes_the_limit_too(tmp_path):
    path = small(tmp_path / "a.png")
    with pytest.raises(SignalError, match="are allowed"):
        winner_ns.fit(path, steps=1, read={"decoded_limit": 1e-7}, progress=False)


def resident() -> int:
    """Bytes of this process that are in memory, mapped files included."""
    with open("/proc/self/status", encoding="ascii") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts memory as Linux does")
def test_a_mapped_file_does_not_pile_up_in_memory(tmp_path):
    import torch

    from winner_ns.spectrum.centroid import spectral_centroid
    from winner_ns.spectrum.moments import channel_moments

    # Mostly a hole in the file, which takes no disk.
    array = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(20_000, 20_000))
    array[::4000] = np.arange(20_000) % 251
    array.flush()
    del array
    before = resident()
    signal = load_signal(tmp_path / "a.npy", "image")
    for step in range(20):
        signal.values(torch.randint(0, len(signal), (4096,), generator=torch.Generator().manual_seed(step)))
        assert resident() - before < 2**28
    channel_moments(signal.samples[:4000])
    assert resident() - before < 2**28
    assert 0 < spectral_centroid(signal.samples[:, :64], axis=0) < 1
    assert resident() - before < 2**28


def test_letting_go_of_pages_changes_no_value(tmp_path):
    from winner_ns.mapped import forget_pages, in_bands

    values = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    for mode in ("r", "r+", "c"):
        mapped = np.load(tmp_path / "a.npy", mmap_mode=mode)
        expected = values.copy()
        if mode != "r":
            mapped[3] = expected[3] = 7
        forget_pages(mapped)
        np.testing.assert_array_equal(mapped, expected)
        np.testing.assert_array_equal(in_bands(mapped.transpose(1, 2, 0)), expected.transpose(1, 2, 0))
        del mapped
        np.save(tmp_path / "a.npy", values)


@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 7},
        {"tile": (32, 48)},
        {"tile": (32, 48), "planarconfig": "separate"},
        {"rowsperstrip": 7, "predictor": True},
    ],
)
def test_a_packed_tiff_that_is_unpacked_in_pieces_is_the_same(tmp_path, monkeypatch, options):
    from winner_ns import mapped
    from winner_ns.signals import array

    samples = np.random.default_rng(0).integers(0, 2**16, (101, 67, 3), dtype=np.uint16)
    planes = np.ascontiguousarray(np.moveaxis(samples, -1, 0)) if "planarconfig" in options else samples
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", compression="zlib", **options)
    monkeypatch.setattr(array, "MEMORY_LIMIT", 1000)
    monkeypatch.setattr(mapped, "MAPPED_BUDGET", 2**12)
    signal = load_signal(tmp_path / "a.tif")
    assert isinstance(signal.samples, np.memmap)
    np.testing.assert_array_equal(signal.samples, samples)


@pytest.mark.parametrize(("depth", "colour_type"), [(8, 0), (16, 2), (8, 4), (16, 6)])
def test_a_png_that_is_unpacked_in_bands_is_the_same(tmp_path, monkeypatch, depth, colour_type):
    """Rows are stored as they are or as differences, by each of PNG's five filters."""
    from winner_ns.signals import array, png_bands

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    samples = np.random.default_rng(0).integers(0, 2**depth, (41, 29, channels))
    samples = samples.astype(np.uint8 if depth == 8 else ">u2")
    raw = samples.view(np.uint8).reshape(41, -1).astype(np.int64)
    above, step = np.vstack([np.zeros_like(raw[:1]), raw[:-1]]), channels * depth // 8
    left, corner = (np.hstack([np.zeros((41, step), np.int64), rows[:, :-step]]) for rows in (raw, above))
    nearest = np.abs(np.stack([above - corner, left - corner, left + above - 2 * corner])).argmin(axis=0)
    guesses = [0 * raw, left, above, (left + above) // 2, np.choose(nearest, [left, above, corner])]
    kinds = np.arange(41) * 7 % 5
    stored = ((raw - np.choose(kinds[:, None], guesses)) % 256).astype(np.uint8)
    rows = zlib.compress(np.hstack([kinds[:, None].astype(np.uint8), stored]).tobytes())
    header = struct.pack(">IIBBBBB", 29, 41, depth, colour_type, 0, 0, 0)
    pixels = [(b"IDAT", rows[:100]), (b"IDAT", rows[100:])]
    chunks = [(b"IHDR", header), *pixels, (b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    np.testing.assert_array_equal(load_signal(tmp_path / "a.png").samples, samples)
    monkeypatch.setattr(array, "MEMORY_LIMIT", 1000)
    monkeypatch.setattr(png_bands, "_BAND", 2000 * step)
    monkeypatch.setattr(png_bands, "_PIECE", 97)
    found = load_signal(tmp_path / "a.png").samples
    assert isinstance(found, np.memmap) and found.dtype.isnative
    np.testing.assert_array_equal(found, samples)
    chunks[1:3] = [(b"IDAT", zlib.compress(zlib.decompress(rows)[:1000]))]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
    with pytest.raises(SignalError, match="is a cut or damaged image"):
        load_signal(tmp_path / "a.png")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "?", "<f2"])
def test_arrays_that_are_brought_into_rows_in_pieces_are_the_same(tmp_path, monkeypatch, order, dtype):
    from winner_ns import mapped
    from winner_ns.signals import array

    values = np.asarray(np.random.default_rng(0).integers(0, 2, (40, 50, 3)).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", values)
    expected = values * np.uint8(255) if dtype == "?" else values
    monkeypatch.setattr(array, "MEMORY_LIMIT", 1000)
    monkeypatch.setattr(array, "MAPPED_BUDGET", 2**10)
    monkeypatch.setattr(mapped, "MAPPED_BUDGET", 2**10)
    samples = load_signal(tmp_path / "a.npy", "image").samples
    assert isinstance(samples, np.memmap) and samples.flags.c_contiguous and samples.dtype.isnative
    np.testing.assert_array_equal(samples, expected)


def test_samples_of_a_mapped_file_are_picked_in_the_order_that_is_asked_for(tmp_path, monkeypatch):
    from winner_ns import mapped

    values = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    monkeypatch.setattr(mapped, "MAPPED_BUDGET", 2**18)
    chosen = np.random.default_rng(1).integers(0, 120_000, 1000)
    found = mapped.picked(np.load(tmp_path / "a.npy", mmap_mode="r").reshape(-1, 3), chosen)
    np.testing.assert_array_equal(found, values.reshape(-1, 3)[chosen])


@pytest.mark.parametrize(
    ("name", "shape", "holdout"),
    [
        ("a.npy", (4096, 8192), "none"),
        ("a.npy", (4096, 8192), 0.1),
        ("a.npy", (4096, 8192), "every-second"),
        ("a.npy", (32, 1024, 1024), "none"),
        ("a.wav", (2**24,), "none"),
    ],
)
def test_training_makes_no_copy_of_a_large_signal(tmp_path, monkeypatch, name, shape, holdout):
    """32 MiB on disk, two to four times as many as floats: what there is beside the file depends on budgets alone."""
    import tracemalloc

    from winner_ns.fitting import grid_target
    from winner_ns.spectrum import centroid, noise

    wave = (99 * np.sin(np.arange(shape[-1]) / 9)).astype(np.uint8 if name == "a.npy" else np.int16)
    if name == "a.npy":
        np.lib.format.open_memmap(tmp_path / name, mode="w+", dtype=np.uint8, shape=shape)[:] = wave
    else:
        soundfile.write(tmp_path / name, wave, 44100)
    for budgets in (centroid, noise):
        monkeypatch.setattr(budgets, "MOST_SAMPLES", 2**20)
    monkeypatch.setattr(centroid, "LONGEST_TRANSFORM", 2**18)
    monkeypatch.setattr(grid_target, "MOST_FILLED", 2**20)
    monkeypatch.setattr(grid_target, "MOST_DRAWN", 2**18)
    few = {"purpose": "fit", "steps": 1, "batch_size": 256, "width": 8, "progress": False}
    winner_ns.fit(np.arange(64.0).reshape(8, 8), **few)  # What is imported for the first time counts, too.
    tracemalloc.start()
    try:
        winner_ns.fit(tmp_path / name, holdout=holdout, **few)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()

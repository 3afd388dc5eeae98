"""Peak memory and seconds to the first step of signals that are large: python -m docs.measurements.memory [NAME ...]

Each is written to a temporary folder, some GB in all, and fitted for one step in a process of its own. Memory is what
the process has at most (VmHWM: mapped pages of files count, too) beyond what it has once everything is imported and a
small image has been fitted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator

import numpy as np

SIDE = 20_000
CHILD = """
import json, sys, time
import numpy as np
import winner_ns
from winner_ns.signals import load_signal

def highest():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 2**20

small = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
winner_ns.fit(small, steps=2, progress=False)
imported, started, spent = highest(), time.monotonic(), time.process_time()
first = []
winner_ns.fit(sys.argv[1], kind=sys.argv[2], steps=2, progress=False, callback=lambda state: first.append(
    (time.monotonic() - started, time.process_time() - spent)) or True)
print(json.dumps({"gib": highest() - imported, "seconds": first[0][0], "of_cpu": first[0][1]}))
"""


def bands() -> Iterator[np.ndarray]:
    """A photograph-like picture of 20,000 x 20,000, 8-bit RGB, 500 rows at a time."""
    generator = np.random.default_rng(0)
    columns = np.arange(SIDE)
    for top in range(0, SIDE, 500):
        rows = np.arange(top, top + 500)[:, None]
        smooth = 90 + 60 * np.sin(rows / 900) * np.cos(columns / 700) + 25 * np.sin(rows * columns / 9e5)
        noise = generator.integers(-12, 13, (500, SIDE, 3), dtype=np.int16)
        yield np.clip(smooth[..., None].astype(np.int16) * [1, 1, 1] + noise + [10, 0, -10], 0, 255).astype(np.uint8)


def npy(path: Path) -> str:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(SIDE, SIDE, 3))
    for number, band in enumerate(bands()):
        array[500 * number : 500 * (number + 1)] = band
    array.flush()
    return "image"


def tiff(path: Path) -> str:
    import tifffile

    tifffile.imwrite(path, bands(), shape=(SIDE, SIDE, 3), dtype=np.uint8, photometric="rgb", rowsperstrip=500)
    return "image"


def packed_tiff(path: Path) -> str:
    """The same, with strips of 500 rows that are packed by zlib."""
    import tifffile

    plain = path.with_suffix(".npy")
    npy(plain)
    options = {"rowsperstrip": 500, "compression": "zlib", "compressionargs": {"level": 1}}
    tifffile.imwrite(path, np.load(plain, mmap_mode="r"), photometric="rgb", **options)
    plain.unlink()
    return "image"


def png(path: Path) -> str:
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer = zlib.compressobj(1)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)))
        for band in bands():
            rows = np.zeros((len(band), 1 + 3 * SIDE), np.uint8)
            rows[:, 1:] = band.reshape(len(band), -1)
            file.write(chunk(b"IDAT", packer.compress(rows.tobytes())))
        file.write(chunk(b"IDAT", packer.flush()) + chunk(b"IEND", b""))
    return "image"


def sound(path: Path) -> str:
    import soundfile

    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", samplerate=44100, channels=2, subtype="PCM_16") as file:
        for second in range(3600):
            at = (np.arange(44100) + 44100 * second)[:, None] * np.array([0.05, 0.07])
            file.write(0.3 * np.sin(at) + 0.02 * generator.normal(size=(44100, 2)))
    return "audio"


def volume(path: Path) -> str:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=(512, 512, 512))
    row, column = np.mgrid[0:512, 0:512] / 60.0
    generator = np.random.default_rng(0)
    for number in range(512):
        plane = 20000 + 9000 * np.sin(row + number / 50) * np.cos(column)
        array[number] = plane + generator.integers(0, 900, (512, 512))
    array.flush()
    return "volume"


def mesh(path: Path) -> str:
    """A bumpy sphere of 5 million triangles of about one size, as a binary PLY: a cube's sides of 645 x 645 squares,
    blown up."""
    steps = 645
    corner = np.stack(np.meshgrid(*[np.arange(steps + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    low, high = np.zeros(len(corner), np.int64), np.full(len(corner), steps)
    sides = [np.insert(corner, axis, end, axis=1) for axis in range(3) for end in (low, high)]
    key = (np.concatenate(sides) * [(steps + 1) ** 2, steps + 1, 1]).sum(axis=1)
    first, number = np.unique(key, return_index=True, return_inverse=True)[1:]
    cube = np.tan((np.concatenate(sides)[first] / steps - 0.5) * np.pi / 2)
    ball = cube / np.linalg.norm(cube, axis=1, keepdims=True)
    bumps = 1 + 0.05 * np.sin(9 * ball).prod(axis=1) + 0.002 * np.sin(90 * ball).prod(axis=1)
    vertices = (ball * bumps[:, None]).astype("<f4")
    square = np.arange((steps + 1) ** 2).reshape(steps + 1, steps + 1)
    a, b, c, d = (part.reshape(-1) for part in (square[:-1, :-1], square[1:, :-1], square[1:, 1:], square[:-1, 1:]))
    side = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    outward = [side if (axis + end) % 2 else side[:, ::-1] for axis in range(3) for end in range(2)]
    corners = number[np.concatenate([each + i * len(corner) for i, each in enumerate(outward)])]
    faces = np.empty(len(corners), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    faces["count"], faces["corners"] = 3, corners
    with open(path, "wb") as file:
        file.write(b"ply\nformat binary_little_endian 1.0\n")
        file.write(b"element vertex %d\nproperty float x\nproperty float y\nproperty float z\n" % len(vertices))
        file.write(b"element face %d\nproperty list uchar int vertex_indices\nend_header\n" % len(faces))
        vertices.tofile(file)
        faces.tofile(file)
    return "shape"


CASES: Dict[str, Callable[[Path], str]] = {
    "hour.wav": sound,
    "hour.flac": sound,
    "large.npy": npy,
    "large.tif": tiff,
    "packed.tif": packed_tiff,
    "large.png": png,
    "volume.npy": volume,
    "mesh.ply": mesh,
}


def main() -> None:
    print("| file | GiB on disk | GiB above the imports | seconds to the first step | of CPU |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            kind = CASES[name](path)
            time.sleep(1)
            done = subprocess.run(
                [sys.executable, "-c", CHILD, str(path), kind], capture_output=True, text=True, check=False
            )
            size = path.stat().st_size / 2**30
            if done.returncode:
                print(f"| {name} | {size:.2f} | {done.stderr.strip().splitlines()[-1]} | | |", flush=True)
                continue
            found = json.loads(done.stdout)
            print(
                f"| {name} | {size:.2f} | {found['gib']:.2f} | {found['seconds']:.1f} | {found['of_cpu']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

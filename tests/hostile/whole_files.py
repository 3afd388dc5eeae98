"""A small whole file of every format that is read, made anew each time."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np

Maker = Callable[[Path], None]


def picture(channels: int = 3, dtype: type = np.uint8, side: int = 24) -> np.ndarray:
    """[side, side, channels], smooth with some noise."""
    row, column = np.mgrid[0:side, 0:side] / side
    waves = 0.5 + 0.3 * np.sin(9 * row)[..., None] * np.cos(7 * column[..., None] + np.arange(channels))
    values = np.clip(waves + np.random.default_rng(0).normal(0, 0.03, waves.shape), 0, 1)
    return (values * np.iinfo(dtype).max).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)


def tone(samples: int = 900, channels: int = 1) -> np.ndarray:
    """[samples, channels] within ±0.6."""
    at = np.arange(samples)[:, None] * (0.11 + 0.07 * np.arange(channels))
    return 0.5 * np.sin(at) + 0.05 * np.random.default_rng(0).normal(size=(samples, channels))


def solid() -> Any:
    """A closed trimesh of 80 faces."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=1)
    mesh.vertices *= (1, 0.7, 0.5)
    return mesh


def cloud(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Points on a sphere and their normals, [count, 3] each."""
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return 2 * normals, normals


def _pillow(mode: str, **options: object) -> Maker:
    def make(path: Path) -> None:
        from PIL import Image

        Image.fromarray(picture()).convert(mode).save(path, **options)

    return make


def _tiff(dtype: type = np.uint8, channels: int = 3, **options: object) -> Maker:
    def make(path: Path) -> None:
        import tifffile

        tifffile.imwrite(path, np.squeeze(picture(channels, dtype, 32)), **options)

    return make


def png_of_16_bits(path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = np.zeros((24, 1 + 24 * 8), np.uint8)
    rows[:, 1:] = picture(4, np.uint16).astype(">u2").view(np.uint8).reshape(24, -1)
    header = struct.pack(">IIBBBBB", 24, 24, 16, 6, 0, 0, 0)
    gamma = chunk(b"gAMA", struct.pack(">I", 45455))
    chunks = chunk(b"IHDR", header) + gamma + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def _codec(name: str, **options: object) -> Maker:
    def make(path: Path) -> None:
        import imagecodecs

        path.write_bytes(getattr(imagecodecs, f"{name}_encode")(picture(side=32), **options))

    return make


def heic(path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "data" / "pictures" / "8.heic", path)


def exr(path: Path) -> None:
    import cv2

    assert cv2.imwrite(str(path), picture(dtype=np.float32)[..., ::-1])


def hdr(path: Path) -> None:
    pixels = np.concatenate([picture(), np.full((24, 24, 1), 128, np.uint8)], axis=2)
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 24 +X 24\n" + pixels.tobytes())


def gif_of_frames(path: Path) -> None:
    from PIL import Image

    frames = [Image.fromarray(np.roll(picture(), shift, axis=1)) for shift in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)


def _film(codec: str, pixels: str) -> Maker:
    def make(path: Path) -> None:
        import av

        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(12))
            stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
            for shift in range(5):
                frame = av.VideoFrame.from_ndarray(np.roll(picture(side=32), shift, axis=1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return make


def _sound(subtype: str, channels: int = 1) -> Maker:
    def make(path: Path) -> None:
        import soundfile

        soundfile.write(path, tone(channels=channels), 8000, subtype=subtype)

    return make


def _mesh(**options: object) -> Maker:
    return lambda path: solid().export(path, **options) and None


def obj_of_polygons(path: Path) -> None:
    corners = [(x, y, z) for z in (0, 1) for x, y in ((0, 0), (3, 0), (3, 1), (1, 1), (1, 2), (0, 2))]
    sides = [f"f {i + 1} {(i + 1) % 6 + 1} {(i + 1) % 6 + 7} {i + 7}" for i in range(6)]
    lines = [*(f"v {x} {y} {z}" for x, y, z in corners), "o part", *sides, "f 6 5 4 3 2 1", "f -6 -5 -4 -3 -2 -1"]
    path.write_text("\n".join(lines) + "\n")


def ply_of_points(path: Path) -> None:
    columns = [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    rows = [" ".join(f"{number:.5f}" for number in row) for row in np.hstack(cloud())]
    path.write_text("\n".join(["ply", "format ascii 1.0", "element vertex 300", *columns, "end_header", *rows]) + "\n")


def table(path: Path) -> None:
    rows = [",".join(f"{number:.5f}" for number in row) for row in np.hstack(cloud())]
    path.write_text("\n".join(["x,y,z,nx,ny,nz", *rows]) + "\n")


def points(path: Path) -> None:
    np.savetxt(path, cloud()[0], fmt="%.5f")


def distances(path: Path) -> None:
    places = np.random.default_rng(0).uniform(-1, 1, (600, 3))
    np.savez(path, points=places, sdf=np.linalg.norm(places, axis=1) - 0.5)


def packed_points(path: Path) -> None:
    places, normals = cloud()
    np.savez_compressed(path, points=places, normals=normals)


def _array(shape: tuple, dtype: type) -> Maker:
    return lambda path: np.save(path, (99 * np.random.default_rng(0).uniform(size=shape)).astype(dtype))


def field(path: Path) -> None:
    import winner_ns

    winner_ns.fit(picture(), width=8, depth=2, steps=1, progress=False).save(path)


def shape_field(path: Path) -> None:
    import winner_ns

    winner_ns.fit(solid(), width=8, depth=2, steps=1, progress=False).save(path)


def hash_grid_field(path: Path) -> None:
    import winner_ns

    settings = {"log2_hashmap_size": 6, "levels": 2, "base_resolution": 4, "max_resolution": 8}
    winner_ns.fit(picture(), family="hash-grid", settings=settings, width=8, steps=1, progress=False).save(path)


def scene(path: Path) -> None:
    """A transforms.json beside its photographs: to be given as its folder."""
    from PIL import Image

    folder = path.parent
    frames = []
    for number in range(4):
        Image.fromarray(np.roll(picture(side=32), number, axis=0)).save(folder / f"{number}.png")
        pose = np.eye(4)
        pose[0, 3], pose[2, 3] = number / 3, 2
        frames.append({"file_path": f"{number}.png", "transform_matrix": pose.tolist()})
    described = {"fl_x": 30, "fl_y": 30, "cx": 16, "cy": 16, "w": 32, "h": 32, "frames": frames}
    path.write_text(json.dumps(described, indent=1))


PRESET = """title: A small preset
shows: Does it run?
task: fit
kind: image
signals: [camera]
fields: {siren: siren, winner: "winner:purpose=fit"}
metrics: [psnr]
steps: 1
batch: 64
size: 12
width: 8
depth: 2
seeds: 1
"""

MAKERS: Dict[str, Maker] = {
    "rgb.png": _pillow("RGB"),
    "palette.png": _pillow("P"),
    "sixteen.png": png_of_16_bits,
    "rgb.jpg": _pillow("RGB", quality=80),
    "cmyk.jpg": _pillow("CMYK"),
    "plain.tif": _tiff(),
    "deflate.tif": _tiff(np.uint16, compression="zlib", predictor=True),
    "tiles.tif": _tiff(np.float32, 1, tile=(16, 16), compression="lzw"),
    "rgb.webp": _pillow("RGB"),
    "rgb.bmp": _pillow("RGB"),
    "one.gif": _pillow("P"),
    "rgb.avif": _codec("avif", level=60),
    "rgb.heic": heic,
    "float.exr": exr,
    "rgbe.hdr": hdr,
    "frames.gif": gif_of_frames,
    "film.mp4": _film("mpeg4", "yuv420p"),
    "film.mkv": _film("ffv1", "yuv420p"),
    "film.avi": _film("mjpeg", "yuvj420p"),
    "pcm.wav": _sound("PCM_16", 2),
    "float.wav": _sound("FLOAT"),
    "lossless.flac": _sound("PCM_16"),
    "vorbis.ogg": _sound("VORBIS"),
    "layer.mp3": _sound("MPEG_LAYER_III"),
    "big.aiff": _sound("PCM_24"),
    "law.au": _sound("ULAW"),
    "triangles.obj": _mesh(),
    "polygons.obj": obj_of_polygons,
    "binary.ply": _mesh(),
    "text.ply": _mesh(encoding="ascii"),
    "points.ply": ply_of_points,
    "binary.stl": _mesh(),
    "text.stl": _mesh(file_type="stl_ascii"),
    "mesh.off": _mesh(),
    "mesh.glb": _mesh(),
    "table.csv": table,
    "points.xyz": points,
    "distances.npz": distances,
    "normals.npz": packed_points,
    "image.npy": _array((20, 20, 3), np.float32),
    "sound.npy": _array((700,), np.int16),
    "volume.npy": _array((9, 10, 11), np.float64),
    "image.safetensors": field,
    "shape.safetensors": shape_field,
    "grid.safetensors": hash_grid_field,
    "transforms.json": scene,
    "preset.yaml": lambda path: path.write_text(PRESET) and None,
}
"""By the file's name, whose suffix it keeps when it is mutated."""

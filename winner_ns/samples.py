"""Signals to try things on: real pictures, recordings and scans that installed packages bring along, and our melody.

Nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict

import numpy as np

CHIPTUNE = Path(__file__).parent / "demo" / "chiptune.wav"
"""Our melody (`winner_ns.demo.sound`): mono, 16 bit, 2.4 s."""


def installed(package: str, *parts: str) -> Path:
    """A file inside an installed package, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent.joinpath(*parts)


@dataclass(frozen=True)
class Sample:
    """A signal to try things on."""

    kind: str
    suffix: str
    write: Callable[[Path], None]
    """Puts it into a file."""
    about: str


def _copy(*parts: str) -> Callable[[Path], None]:
    return lambda path: shutil.copyfile(installed(*parts), path) and None


def _photo(file: str, about: str) -> Sample:
    return Sample("image", Path(file).suffix, _copy("skimage", "data", file), about)


def _recording(file: str, dtype: str, columns: int, rate: int) -> Callable[[Path], None]:
    """One channel of a measurement that matplotlib brings, as a sound of 32-bit floats."""

    def write(path: Path) -> None:
        import soundfile

        values = np.fromfile(installed("matplotlib", "mpl-data", "sample_data", file), dtype).reshape(-1, columns)[:, 0]
        values = values - values.mean()
        soundfile.write(path, (values / np.abs(values).max()).astype(np.float32), rate, subtype="FLOAT")

    return write


SAMPLES: Dict[str, Sample] = {
    "camera": _photo("camera.png", "photograph, gray, 512 x 512"),
    "astronaut": _photo("astronaut.png", "photograph, 512 x 512"),
    "coffee": _photo("coffee.png", "photograph, 600 x 400"),
    "chelsea": _photo("chelsea.png", "photograph of a cat, 451 x 300"),
    "rocket": _photo("rocket.jpg", "photograph, flat sky, 640 x 427"),
    "brick": _photo("brick.png", "texture, gray, 512 x 512"),
    "grass": _photo("grass.png", "texture, gray, 512 x 512"),
    "gravel": _photo("gravel.png", "texture, gray, 512 x 512"),
    "moon": _photo("moon.png", "photograph, gray and smooth, 512 x 512"),
    "page": _photo("page.png", "scanned text, gray, 384 x 191"),
    "retina": _photo("retina.jpg", "medical photograph, 1411 x 1411"),
    "hubble": _photo("hubble_deep_field.jpg", "galaxies, 1000 x 872"),
    "motorcycle-left": _photo("motorcycle_left.png", "photograph, one of a stereo pair"),
    "motorcycle-right": _photo("motorcycle_right.png", "photograph, the other one"),
    "chiptune": Sample("audio", ".wav", _copy("winner_ns", "demo", CHIPTUNE.name), "our melody, 2.4 s, 8 kHz"),
    "membrane": Sample("audio", ".wav", _recording("membrane.dat", "f4", 1, 2000), "membrane potential, 6 s, 2 kHz"),
    "eeg": Sample("audio", ".wav", _recording("eeg.dat", "f8", 4, 80), "electroencephalogram, 10 s, 80 Hz"),
    "gif": Sample("video", ".gif", _copy("skimage", "data", "no_time_for_that_tiny.gif"), "24 frames of 14 x 25"),
    "bunny": Sample("shape", ".obj", _copy("pymeshlab", "tests", "sample_meshes", "bunny.obj"), "Stanford bunny, mesh"),
    "cow": Sample("shape", ".obj", _copy("pymeshlab", "tests", "sample_meshes", "cow.obj"), "mesh"),
    "bone": Sample("shape", ".ply", _copy("pymeshlab", "tests", "sample_meshes", "bone.ply"), "scanned bone, mesh"),
}  # fmt: skip

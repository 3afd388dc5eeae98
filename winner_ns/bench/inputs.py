"""What presets are run on where nothing else is given: real pictures, recordings and scans that installed packages
bring along, and the demo's melody. Nothing is downloaded."""

from __future__ import annotations

import difflib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional

import numpy as np

from winner_ns.bench.preset import Preset
from winner_ns.demo.__main__ import installed
from winner_ns.demo.sound import CHIPTUNE
from winner_ns.errors import SignalError
from winner_ns.export.output import replacing
from winner_ns.signals import detect_kind


@dataclass(frozen=True)
class Source:
    """A built-in input."""

    kind: str
    suffix: str
    write: Callable[[Path], None]
    """Puts it into a file."""
    about: str


def _copy(*parts: str) -> Callable[[Path], None]:
    return lambda path: shutil.copyfile(installed(*parts), path) and None


def _photo(file: str, about: str) -> Source:
    return Source("image", Path(file).suffix, _copy("skimage", "data", file), about)


def _recording(file: str, dtype: str, columns: int, rate: int) -> Callable[[Path], None]:
    """One channel of a measurement that matplotlib brings, as a sound of 32-bit floats."""

    def write(path: Path) -> None:
        import soundfile

        values = np.fromfile(installed("matplotlib", "mpl-data", "sample_data", file), dtype).reshape(-1, columns)[:, 0]
        values = values - values.mean()
        soundfile.write(path, (values / np.abs(values).max()).astype(np.float32), rate, subtype="FLOAT")

    return write


INPUTS: Dict[str, Source] = {
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
    "chiptune": Source("audio", ".wav", _copy("winner_ns", "demo", CHIPTUNE.name), "our melody, 2.4 s, 8 kHz"),
    "membrane": Source("audio", ".wav", _recording("membrane.dat", "f4", 1, 2000), "membrane potential, 6 s, 2 kHz"),
    "eeg": Source("audio", ".wav", _recording("eeg.dat", "f8", 4, 80), "electroencephalogram, 10 s, 80 Hz"),
    "gif": Source("video", ".gif", _copy("skimage", "data", "no_time_for_that_tiny.gif"), "24 frames of 14 x 25"),
    "bunny": Source("shape", ".obj", _copy("pymeshlab", "tests", "sample_meshes", "bunny.obj"), "Stanford bunny, mesh"),
    "cow": Source("shape", ".obj", _copy("pymeshlab", "tests", "sample_meshes", "cow.obj"), "mesh"),
    "bone": Source("shape", ".ply", _copy("pymeshlab", "tests", "sample_meshes", "bone.ply"), "scanned bone, mesh"),
}  # fmt: skip


@dataclass(frozen=True)
class Input:
    """A signal's file, as the cells read it."""

    name: str
    path: Path
    kind: str


def prepare_inputs(preset: Preset, folder: Path, data: Optional[Path] = None) -> List[Input]:
    """Puts a preset's signals into a folder, images reduced to its size.

    Args:
        preset: its signals, kind and size are used.
        folder: where to; reduced images are written anew, as another file of that name may have left one there.
        data: a folder whose files are taken in place of the preset's signals.

    Raises:
        SignalError: a signal is neither a built-in input nor a file, is of another kind, or the folder has none.
    """
    files = _own(preset, data) if data is not None else {}
    inputs: List[Input] = []
    for name in files or preset.signals:
        source = None if files else INPUTS.get(name)
        file = None if source else files.get(name) or _file_of(preset, name)
        kind = source.kind if source else detect_kind(file)
        if preset.kind not in ("any", kind):
            raise SignalError(file or name, f"is of the kind {kind}, the preset's are {preset.kind}", "take it out")
        label = name if source or files else Path(name).stem
        if any(each.name == label for each in inputs):
            raise SignalError(preset.path, f"signals: two are called {label}", "give one of the files another name")
        reduced = kind == "image" and preset.size
        if file is not None and not reduced:
            inputs.append(Input(label, file.resolve(), kind))
            continue
        path = folder / (f"{label}-{preset.size}.png" if reduced else f"{label}{source.suffix}")
        inputs.append(Input(label, path, kind))
        if path.exists() and not reduced:
            continue  # Sound files carry the time at which they were written.
        with replacing(path) as temporary:
            if source:
                source.write(temporary)
            else:
                shutil.copyfile(file, temporary)
            if reduced:
                _reduce(temporary, preset.size, file or path)
    return inputs


def _own(preset: Preset, data: Path) -> Dict[str, Path]:
    """The files of a folder that are of the preset's kind, by name."""
    if not data.is_dir():
        raise SignalError(data, "is no folder", "give one that holds the files to fit")
    files: Dict[str, Path] = {}
    for path in sorted(data.iterdir()):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            kind = detect_kind(path)
        except SignalError:
            continue  # A README, a licence.
        if preset.kind in ("any", kind):
            files[path.stem if path.stem not in files else path.name.replace(".", "-")] = path
    if not files:
        what = "signals" if preset.kind == "any" else f"files of the kind {preset.kind}"
        raise SignalError(data, f"holds no {what}", "give a folder that does")
    return files


def _file_of(preset: Preset, name: str) -> Path:
    file = (preset.path.parent / name).expanduser()
    if file.is_file():
        return file
    nearest = difflib.get_close_matches(name, INPUTS, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(INPUTS)}"
    raise SignalError(preset.path, f"signals: {name} is neither a built-in input nor a file", advice)


def _reduce(path: Path, size: int, source: Path) -> None:
    """An image averaged to `size` pixels along its longer side, where it has more, with 8 bits; in place."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bits, which Pillow would clip.
                image = Image.fromarray((np.asarray(image).astype(np.float64) / 257.0).round().astype(np.uint8))
            image = image.convert("RGB") if image.mode not in ("L", "RGB") else image.copy()
    except OSError as error:
        advice = "give a PNG, JPEG or the like, or a preset without size"
        raise SignalError(source, "is an image that cannot be reduced to 8 bits", advice) from error
    factor = size / max(image.size)
    if factor < 1:
        image = image.resize([max(2, round(n * factor)) for n in image.size], Image.Resampling.BOX)
    image.save(path, format="PNG")

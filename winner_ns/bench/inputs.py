"""The signals of a preset as files: packaged samples, files that it names, or those of a folder."""

from __future__ import annotations

import difflib
import mimetypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Union

import numpy as np
from jaxtyping import Shaped

from winner_ns.bench.preset import Preset
from winner_ns.errors import SignalError
from winner_ns.export.output import replacing
from winner_ns.samples import SAMPLES
from winner_ns.signals import KINDS, GridSignal, ReadOptions, ShapeSignal, detect_kind, load_signal

LEFT_OUT_SHOWN = 4
"""Files of a folder that are named where they are none of a preset's signals."""


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
        data: a folder whose files are taken in place of the preset's signals; what is left out of it is told on
            stderr: in a line each, files that cannot be read, and in one line all that is of another kind.

    Raises:
        SignalError: a signal is neither a built-in input nor a file, is of another kind or cannot be read, or the
            folder has none that can.
    """
    if data is not None:
        return _inputs_of_a_folder(preset, folder, data)
    inputs: List[Input] = []
    for name in preset.signals:
        source = SAMPLES.get(name)
        file = None if source else _file_of(preset, name)
        kind = source.kind if source else detect_kind(file)
        if preset.kind not in ("any", kind):
            raise SignalError(file or name, f"is of the kind {kind}, the preset's are {preset.kind}", "take it out")
        label = name if source else Path(name).stem
        if any(each.name == label for each in inputs):
            raise SignalError(preset.path, f"signals: two are called {label}", "give one of the files another name")
        if source:
            file = folder / f"{label}{source.suffix}"
            if not file.exists():  # Sound files carry the time at which they were written.
                with replacing(file) as temporary:
                    source.write(temporary)
        inputs.append(_reduced(preset, folder, label, _load(preset, file)))
    return inputs


def _inputs_of_a_folder(preset: Preset, folder: Path, data: Path) -> List[Input]:
    inputs: List[Input] = []
    for name, file in _own(preset, data).items():
        try:
            signal = _load(preset, file)
        except SignalError as error:
            _warn(f"{file}: left out: {error.problem}")
            continue
        inputs.append(_reduced(preset, folder, name, signal))
    if not inputs:
        raise _holds_none(preset, data)
    return inputs


def _own(preset: Preset, data: Path) -> Dict[str, Path]:
    """The files of a folder that are of the preset's kind, or should be, by name."""
    if not data.is_dir():
        raise SignalError(data, "is no folder", "give one that holds the files to fit")
    files: Dict[str, Path] = {}
    others: List[str] = []
    for path in sorted(data.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            kind = detect_kind(path)
        except SignalError:
            # A README, a licence, a folder; or an empty photograph.
            kind = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0] if path.is_file() else ""
        if kind not in KINDS or preset.kind not in ("any", kind):
            others.append(f"{path.name}/" if path.is_dir() else path.name)
            continue
        name, number = path.stem, 1
        while name in files:
            name = path.name.replace(".", "-") + (f"-{number}" if number > 1 else "")
            number += 1
        files[name] = path
    if others:
        more = f" and {len(others) - LEFT_OUT_SHOWN} more" if len(others) > LEFT_OUT_SHOWN else ""
        why = "no files that can be fitted" if preset.kind == "any" else f"no files of the kind {preset.kind}"
        _warn(f"{data}: left out: {', '.join(others[:LEFT_OUT_SHOWN])}{more} ({why})")
    if not files:
        raise _holds_none(preset, data)
    return files


def _holds_none(preset: Preset, data: Path) -> SignalError:
    what = "signals" if preset.kind == "any" else f"files of the kind {preset.kind}"
    return SignalError(data, f"holds no {what} that can be read", "give a folder that does")


def _warn(text: str) -> None:
    print("winner-ns: warning:", " ".join(text.split()), file=sys.stderr)


def _file_of(preset: Preset, name: str) -> Path:
    file = (preset.path.parent / name).expanduser()
    if file.is_file():
        return file
    nearest = difflib.get_close_matches(name, SAMPLES, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(SAMPLES)}"
    raise SignalError(preset.path, f"signals: {name} is neither a built-in input nor a file", advice)


def _load(preset: Preset, file: Path) -> Union[GridSignal, ShapeSignal]:
    """A signal as the cells read it: what cannot be read is found before others have been trained."""
    return load_signal(file, options=ReadOptions(duration_samples=preset.samples, mono=True))


def _reduced(preset: Preset, folder: Path, label: str, signal: Union[GridSignal, ShapeSignal]) -> Input:
    """The input that a file is; of an image, where the preset says a size, a smaller copy of it in the folder."""
    path = signal.path
    if signal.kind == "image" and preset.size:
        path = _reduce(signal, preset.size, folder / f"{label}-{preset.size}")
    return Input(label, path.resolve(), signal.kind)


def _reduce(image: GridSignal, size: int, path: Path) -> Path:
    """Writes an image averaged to `size` pixels along its longer side, where it has more, without transparency.

    Integers of up to 16 bits become a PNG of 8 bits, for the same range; all others a .npy of float32, in which -1 and
    1 stand for the image's smallest and largest value.

    Returns:
        The file: the path with a suffix.
    """
    from PIL import Image

    colours = 1 if image.channels < 3 else 3
    pixels = image.samples[..., :colours]
    narrow = pixels.dtype.kind in "ui" and pixels.dtype.itemsize <= 2
    if pixels.dtype != np.uint8:
        pixels = (pixels.astype(np.float64) - image.value_offset) / image.value_scale
        pixels = ((pixels + 1.0) * 127.5).round().astype(np.uint8) if narrow else pixels.astype(np.float32)
    factor = size / max(image.shape)
    if factor < 1:
        height, width = (max(2, round(n * factor)) for n in image.shape)
        pixels = np.stack([_averaged(pixels[..., i], height, width) for i in range(colours)], axis=-1)
    path = path.with_name(path.name + (".png" if narrow else ".npy"))
    with replacing(path) as temporary:
        if narrow:
            picture = Image.fromarray(pixels[..., 0] if colours == 1 else pixels)
            picture.save(temporary, format="PNG", icc_profile=_profile(image.path))
        else:
            np.save(temporary, pixels)
    return path


def _profile(path: Path) -> Optional[bytes]:
    """What an image's file says about its colours, which averaging leaves as they are."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return None if image.mode == "CMYK" else image.info.get("icc_profile")
    except Exception:  # Any type: a format that Pillow does not know.
        return None


def _averaged(plane: Shaped[np.ndarray, "h w"], height: int, width: int) -> Shaped[np.ndarray, "i j"]:
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX))

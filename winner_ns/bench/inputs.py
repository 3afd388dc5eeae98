"""The signals of a preset as files: packaged samples, files that it names, or those of a folder."""

from __future__ import annotations

import difflib
import mimetypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from winner_ns.bench.preset import Preset
from winner_ns.errors import SignalError
from winner_ns.kinds import KINDS, kinds_of_files
from winner_ns.safe_text import file_name, tell
from winner_ns.samples import SAMPLES
from winner_ns.signals import ReadOptions, Signal, detect_kind, load_signal
from winner_ns.writing import replacing

LEFT_OUT_SHOWN = 4
"""Files of a folder that are named where they are none of a preset's signals."""


@dataclass(frozen=True)
class Input:
    """A signal's file, as the cells read it."""

    name: str
    path: Path
    kind: str


def prepare_inputs(
    preset: Preset, folder: Path, data: Optional[Path] = None, allowed: Sequence[Path] = ()
) -> List[Input]:
    """Puts a preset's signals into a folder, reduced to its size where their kind can be.

    Args:
        preset: its signals, kind and size are used.
        folder: where to; reduced signals are written anew, as another file of that name may have left one there.
        data: a folder whose files are taken in place of the preset's signals; what is left out of it is told on
            stderr: in a line each, files that cannot be read, and in one line all that is of another kind.
        allowed: files and folders that signals may be in beside the preset's own folder: a preset may be a stranger's,
            and no others are even looked at.

    Raises:
        SignalError: a signal is neither a built-in input nor a file, is of another kind or cannot be read, or the
            folder has none that can.
    """
    if data is not None:
        return _inputs_of_a_folder(preset, folder, data)
    inputs: List[Input] = []
    for name in preset.signals:
        source = SAMPLES.get(name)
        file = None if source else _file_of(preset, name, allowed)
        kind = source.kind if source else detect_kind(file)
        if preset.kind not in ("any", kind):
            raise SignalError(file or name, f"is of the kind {kind}, the preset's are {preset.kind}", "take it out")
        label = name if source else file_name(Path(name).stem)
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
        if kind not in kinds_of_files() or preset.kind not in ("any", kind):
            others.append(f"{path.name}/" if path.is_dir() else path.name)
            continue
        name, number = file_name(path.stem), 1
        while name in files:
            name = file_name(path.name).replace(".", "-") + (f"-{number}" if number > 1 else "")
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
    tell(f"winner-ns: warning: {' '.join(text.split())}", file=sys.stderr)


def _file_of(preset: Preset, name: str, allowed: Sequence[Path]) -> Path:
    own = preset.path.absolute().parent
    named, folders = own / Path(name).expanduser(), [own, *allowed]
    # First as they are written, as paths of other machines are not to be asked for at all; then where links lead.
    for place in (os.path.abspath, os.path.realpath):
        if not any(Path(place(named)).is_relative_to(place(folder)) for folder in folders):
            problem = f"signals: {name} is outside of the preset's folder"
            raise SignalError(preset.path, problem, "put the file there, or allow it, or its folder, by --allow")
    if named.is_file():
        return named
    nearest = difflib.get_close_matches(name, SAMPLES, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(SAMPLES)}"
    raise SignalError(preset.path, f"signals: {name} is neither a built-in input nor a file", advice)


def _load(preset: Preset, file: Path) -> Signal:
    """A signal as the cells read it: what cannot be read is found before others have been trained."""
    return load_signal(file, options=ReadOptions(duration_samples=preset.samples, mono=True))


def _reduced(preset: Preset, folder: Path, label: str, signal: Signal) -> Input:
    """The input that a file is; where the preset says a size and the kind can be reduced, a smaller copy of it in the
    folder."""
    path, row = signal.path, KINDS[signal.kind]
    if preset.size and row.reducer is not None:
        path = row.get("reducer")(signal, preset.size, folder / f"{label}-{preset.size}")
    return Input(label, path.resolve(), signal.kind)

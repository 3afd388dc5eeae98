"""What a report shows of each fitted signal: pictures with error maps, spectrograms with players, surfaces."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from jaxtyping import Float, Shaped

from winner_ns.bench.preset import METRICS, Preset
from winner_ns.bench.results import Record, best_fields, main_metric
from winner_ns.export.excerpts import distance_colors, telling_piece

LARGEST = 448
"""Pixels along the longer side of an embedded picture."""
QUIETEST = 90.0
"""Decibels that a spectrogram reaches below the original's loudest frequency."""
PIECE = 150
"""Most samples of the piece of a sound that is shown close up."""
LOWEST_PLAYED = 3000
"""Hertz; browsers play no sound with a lower sample rate."""


@dataclass
class Tile:
    """One column of a comparison."""

    title: str
    figure: str
    best: bool
    pictures: List[Tuple[str, bytes, str]]
    """Caption, content, media type."""
    sound: Optional[Tuple[bytes, str]] = None
    """Content and media type of what can be listened to."""
    gone: bool = False
    """Whether its files were there once."""


@dataclass(frozen=True)
class Shown:
    """What the tiles of a signal are made of."""

    original: Optional[Path]
    """None where no cell has it any more."""
    noisy: Optional[Path]
    """What was trained on, where that is another."""
    fitted: List[Optional[Path]]
    """Of each field; None without a surface, or where the cell's files are gone."""
    gone: List[bool]

    @property
    def files(self) -> List[Optional[Path]]:
        """A file for each of `_tiles`."""
        return [self.original, *([self.noisy] if self.noisy else []), *self.fitted]


def tiles_of(folder: Path, preset: Preset, records: Sequence[Record], fields: Sequence[str]) -> Tuple[List[Tile], str]:
    """The original (and, where there is noise, what was trained on) and each field's result with its first seed, and
    what the scales are.

    Args:
        folder: the benchmark's.
        preset: its first metric that the signal has stands below the titles; the best mean over its seeds is marked.
        records: of one signal, all of them.
        fields: that are shown, at least one of them with a record.
    """
    first: Dict[str, Record] = {}
    for record in sorted(records, key=lambda each: each["seed"]):
        if record["field"] in fields:
            first.setdefault(record["field"], record)
    firsts = [first[field] for field in fields if field in first]
    kind = records[0]["kind"]
    shown = _files(folder, records, firsts, "flac" if kind == "audio" else "png")
    tiles = _tiles(preset, records, firsts, shown)
    note = ""
    if shown.original is not None:
        draw = {"audio": _sounds, "shape": _surfaces}.get(kind, _pictures)
        note = draw(tiles, shown.files)
    if any(shown.gone):
        advice = "Cells whose files are gone are trained again without their lines in results.jsonl."
        note = f"{note} {advice}".strip()
    return tiles, note


def _tiles(preset: Preset, records: Sequence[Record], firsts: Sequence[Record], shown: Shown) -> List[Tile]:
    metric = main_metric(preset, records)
    best = best_fields(records, None, metric, preset.seeds)
    tiles = [Tile("original", "", False, [], gone=shown.original is None)]
    if shown.noisy:
        value = firsts[0]["figures"].get("psnr_noisy")
        tiles.append(Tile("with noise", "" if value is None else f"{value:.2f} dB", False, []))
    for record, gone in zip(firsts, shown.gone, strict=True):
        value = record["figures"].get(metric)
        unit = METRICS[metric].rpartition(", ")[2] if "," in METRICS[metric] else METRICS[metric]
        figure = "–" if value is None else f"{value:.2f} dB" if unit == "dB" else f"{value:.4g} {unit}"
        tiles.append(Tile(record["field"], figure, record["field"] in best, [], gone=gone))
    return tiles


def _files(folder: Path, records: Sequence[Record], firsts: Sequence[Record], suffix: str) -> Shown:
    """The original of any cell of a signal; what was trained on, as the first field's seed had it; the rest."""

    def any_of(records: Sequence[Record], name: str) -> Optional[Path]:
        paths = (folder / record["folder"] / f"{name}.{suffix}" for record in records)
        return next((path for path in paths if path.exists()), None)

    gone = [_gone(folder / record["folder"], record["kind"], suffix) for record in firsts]
    return Shown(
        original=any_of(records, "original"),
        noisy=any_of([record for record in records if record["seed"] == firsts[0]["seed"]], "noisy"),
        fitted=[None if lost else any_of([record], "fitted") for record, lost in zip(firsts, gone, strict=True)],
        gone=gone,
    )


def _gone(cell: Path, kind: str, suffix: str) -> bool:
    """Whether files of a finished cell are not there any more."""
    there = {path.name for path in cell.iterdir()} if cell.is_dir() else set()
    if f"original.{suffix}" not in there:
        return True
    if kind != "shape":
        return f"fitted.{suffix}" not in there
    # None of them where there was no surface.
    return 0 < len(there & {"fitted.png", "fitted.ply", "distance.npz"}) < 3


# Pictures -----------------------------------------------------------------------------------------------------------


def _pictures(tiles: Sequence[Tile], files: Sequence[Optional[Path]]) -> str:
    """Puts pictures into the tiles; returns what the scales are. The first file is the original's."""
    from matplotlib import colormaps

    shown = [None if path is None else _read(path) for path in files]
    original = shown[0]
    errors = [None if each is None else np.abs(each - original).mean(axis=-1) for each in shown]
    limit = _limit([error for error in errors[1:] if error is not None], 0.995)
    window = _detail(original, [error for error in errors[1:] if error is not None])
    for tile, picture, error in zip(tiles, shown, errors, strict=True):
        if picture is None:
            continue
        tile.pictures.append(("", *_encoded(_enlarged(picture), lossless=min(picture.shape[:2]) < 100)))
        if window is not None:
            tile.pictures.append(("detail", *_encoded(_enlarged(picture[window], 224), lossless=True)))
        if picture is not original:
            colored = colormaps["magma"](np.clip(error / limit, 0, 1))[..., :3]
            tile.pictures.append(("error", *_encoded(_enlarged(colored))))
    return f"Error maps: black is none, the brightest colour {100 * limit:.2g} % of the range or more, in all alike."


def _read(path: Path) -> Float[np.ndarray, "h w c"]:
    """Pixels in 0 … 1: one channel or three."""
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"), dtype=np.float32) / 255.0
    return pixels.reshape(*pixels.shape[:2], -1)


def _limit(errors: Sequence[np.ndarray], quantile: float) -> float:
    """The end of a colour scale for all: that of the middle one, so that one that is far off hides no others."""
    limits = [float(np.nanquantile(error, quantile)) for error in errors if np.isfinite(error).any()]
    return max(float(np.median(limits)), 1e-3) if limits else 1.0


def _detail(original: Float[np.ndarray, "h w c"], errors: Sequence[np.ndarray]) -> Optional[Tuple[slice, slice]]:
    """A window of a quarter of the sides where there is contrast and the fields differ; None in small pictures."""
    from scipy.ndimage import uniform_filter

    height, width = original.shape[:2]
    if min(height, width) < 64 or not errors:
        return None
    sides = (height // 4, width // 4)
    gray = original.mean(axis=-1)
    contrast = uniform_filter(gray**2, sides) - uniform_filter(gray, sides) ** 2
    telling = np.maximum(contrast, 0) * np.std([uniform_filter(error, sides) for error in errors], axis=0)
    row, column = np.unravel_index(int((telling if telling.any() else contrast).argmax()), gray.shape)
    top, left = (int(np.clip(a - s // 2, 0, n - s)) for a, s, n in zip((row, column), sides, (height, width)))
    return slice(top, top + sides[0]), slice(left, left + sides[1])


def _enlarged(pixels: Float[np.ndarray, "h w c"], smallest: int = 160) -> Shaped[np.ndarray, "h2 w2 *c"]:
    """8-bit pixels, at most LARGEST along the longer side, by averaging; small pictures with pixels as squares."""
    from PIL import Image

    gray = pixels.shape[-1] == 1
    bytes_of = (255 * np.clip(pixels[..., 0] if gray else pixels, 0, 1)).round().astype(np.uint8)
    picture = Image.fromarray(bytes_of)
    squares = max(1, round(smallest / max(picture.size)))
    if squares > 1:
        picture = picture.resize([n * squares for n in picture.size], Image.Resampling.NEAREST)
    if max(picture.size) > LARGEST:
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    return np.asarray(picture)


def _encoded(pixels: np.ndarray, lossless: bool = False) -> Tuple[bytes, str]:
    from PIL import Image

    file = io.BytesIO()
    if lossless:
        Image.fromarray(pixels).save(file, "PNG", optimize=True)
        return file.getvalue(), "image/png"
    Image.fromarray(pixels).save(file, "JPEG", quality=90, subsampling=0)
    return file.getvalue(), "image/jpeg"


# Sounds -------------------------------------------------------------------------------------------------------------


def _sounds(tiles: Sequence[Tile], files: Sequence[Optional[Path]]) -> str:
    """Puts spectrograms, waves and players into the tiles, as `_pictures`."""
    import soundfile

    original, rate = soundfile.read(files[0])
    top = float(_levels(_mono(original), rate).max())
    piece = telling_piece(_mono(original), rate, PIECE) if rate >= LOWEST_PLAYED else slice(None)
    for tile, path in zip(tiles, files, strict=True):
        if path is None:
            continue
        sound = soundfile.read(path)[0]
        tile.pictures.append(("", *_spectrogram(_mono(sound), rate, top)))
        if path is not files[0]:
            tile.pictures.append(("error", *_spectrogram(_mono(sound - original), rate, top)))
        tile.pictures.append(
            ("wave", *_wave(_mono(original)[piece], None if path is files[0] else _mono(sound)[piece]))
        )
        if rate >= LOWEST_PLAYED:
            tile.sound = (path.read_bytes(), "audio/flac")
    start, stop, _ = piece.indices(len(original))
    seen = f"{1000 * (stop - start) / rate:.3g} ms where it is loudest" if rate >= LOWEST_PLAYED else "all of it"
    return (
        f"Spectrograms of the sound and of the error: {len(original) / rate:.3g} s from left to right, 0 to "
        f"{rate / 2:g} Hz from bottom to top, {QUIETEST:g} dB from black to the original's loudest; all alike. Waves: "
        f"{seen}, the original in gray."
    )


def _mono(sound: np.ndarray) -> Float[np.ndarray, " n"]:
    return sound if sound.ndim == 1 else sound.mean(axis=1)


def _levels(wave: Float[np.ndarray, " n"], rate: int) -> Float[np.ndarray, "frequencies times"]:
    """A spectrogram in dB; also of short sounds both times and frequencies are told apart."""
    from scipy.signal import spectrogram

    window = min(2 ** round(math.log2(2 * math.sqrt(len(wave)))), 1024, len(wave))
    magnitude = spectrogram(wave, rate, "hann", window, window - max(window // 4, 1), mode="magnitude")[2]
    return 20.0 * np.log10(np.maximum(magnitude, 1e-12))


def _wave(original: Float[np.ndarray, " n"], fitted: Optional[Float[np.ndarray, " n"]]) -> Tuple[bytes, str]:
    """A sound over time in front of the original."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.8, 0.9), dpi=160)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.plot(original, color="0.65", linewidth=1.6 if fitted is not None else 1.0)
    if fitted is not None:
        axis.plot(fitted, color="#c2410c", linewidth=0.7)
    height = 1.1 * float(np.abs(original).max())
    axis.set(xlim=(0, len(original) - 1), ylim=(-height, height))
    axis.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="#f5f6f8")
    return file.getvalue(), "image/png"


def _spectrogram(wave: Float[np.ndarray, " n"], rate: int, top: float) -> Tuple[bytes, str]:
    from matplotlib import colormaps
    from PIL import Image

    levels = np.clip((_levels(wave, rate)[::-1] - top) / QUIETEST + 1, 0, 1)
    pixels = (255 * colormaps["magma"](levels)[..., :3]).round().astype(np.uint8)
    picture = Image.fromarray(pixels).resize((LARGEST, LARGEST // 2), Image.Resampling.BILINEAR)
    return _encoded(np.asarray(picture))


# Shapes -------------------------------------------------------------------------------------------------------------


def _surfaces(tiles: Sequence[Tile], files: Sequence[Optional[Path]]) -> str:
    """Puts rendered surfaces into the tiles, as `_pictures`."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    maps: List[Any] = [None if path is None else np.load(path.with_name("distance.npz")) for path in files[1:]]
    limit = _limit([each["distance"].astype(float) for each in maps if each is not None], 0.98)
    scale = ScalarMappable(Normalize(0.0, limit), "turbo")
    for tile, path, each in zip(tiles, files, [None, *maps], strict=True):
        if path is None:
            tile.figure += "" if tile.gone else " (no surface)"
            continue
        tile.pictures.append(("", *_encoded(_enlarged(_read(path)))))
        if each is not None:
            distance, light = each["distance"].astype(float), each["light"].astype(float)
            tile.pictures.append(("error", *_encoded(_enlarged(distance_colors(distance, light, scale)))))
    return f"Error maps: distance to the original, from blue for none to red for {limit:.2g} % of its diagonal."

"""What a report shows of each fitted signal: pictures with error maps, spectrograms with players, surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from winner_ns.bench.excerpt import Excerpt, Tile
from winner_ns.bench.metrics import title_of
from winner_ns.bench.preset import Preset
from winner_ns.bench.records import Record, best_fields, main_metric
from winner_ns.kinds import KINDS


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
    excerpt: Excerpt = KINDS[records[0]["kind"]].get("excerpt")()
    shown = _files(folder, records, firsts, excerpt)
    tiles = _tiles(preset, records, firsts, shown)
    note = "" if shown.original is None else excerpt.draw(tiles, shown.files)
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
        unit = title_of(metric).rpartition(", ")[2]
        figure = "–" if value is None else f"{value:.2f} dB" if unit == "dB" else f"{value:.4g} {unit}"
        tiles.append(Tile(record["field"], figure, record["field"] in best, [], gone=gone))
    return tiles


def _files(folder: Path, records: Sequence[Record], firsts: Sequence[Record], excerpt: Excerpt) -> Shown:
    """The original of any cell of a signal; what was trained on, as the first field's seed had it; the rest."""

    def any_of(records: Sequence[Record], name: str) -> Optional[Path]:
        paths = (folder / record["folder"] / f"{name}.{excerpt.suffix}" for record in records)
        return next((path for path in paths if path.exists()), None)

    gone = [excerpt.is_lost(_names_in(folder / record["folder"])) for record in firsts]
    return Shown(
        original=any_of(records, "original"),
        noisy=any_of([record for record in records if record["seed"] == firsts[0]["seed"]], "noisy"),
        fitted=[None if lost else any_of([record], "fitted") for record, lost in zip(firsts, gone, strict=True)],
        gone=gone,
    )


def _names_in(cell: Path) -> Set[str]:
    return {path.name for path in cell.iterdir()} if cell.is_dir() else set()

"""The cells of a benchmark: one signal, fitted by one field with one seed, as plain data that a worker can be sent."""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Sequence

from winner_ns.bench.inputs import Input
from winner_ns.bench.preset import Preset
from winner_ns.errors import SignalError


@dataclass(frozen=True)
class Cell:
    """All that decides how one field turns out."""

    signal: str
    path: str
    kind: str
    content: str
    """Digest of the file."""
    field: str
    family: str
    text: str
    """As the preset has it."""
    width: Optional[int]
    depth: Optional[int]
    omega_0: float
    first_omega_0: float
    options: Dict[str, Any]
    law: str
    purpose: Optional[str]
    s0: Optional[float]
    s1: Optional[float]
    learning_rate: Optional[float]
    """At the start; None: by kind, family and initial band."""
    departures: Dict[str, Any]
    seed: int
    task: str
    steps: int
    batch: int
    schedule: str
    holdout: str
    sigma: float
    samples: Optional[int]
    resolution: Optional[int]

    @property
    def key(self) -> str:
        """Names the cell and changes with everything that decides its result: no result is taken for another's."""
        settings = {name: value for name, value in asdict(self).items() if name != "path"}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.signal}/{self.field}/{self.seed}/{digest}"

    @property
    def folder(self) -> str:
        """Where its files are, below the benchmark's folder."""
        return f"cells/{self.signal}/{self.field}/{self.seed}-{self.key.rpartition('/')[2]}"


def cells_of(preset: Preset, inputs: Sequence[Input]) -> List[Cell]:
    """Every signal by every field with every seed; the first seed of all comes first.

    Raises:
        SignalError: a field's settings cannot be.
    """
    with warnings.catch_warnings():
        # Here, as it imports nerfstudio, for which neither the list of presets nor the workers should wait; and which
        # has a lot to say about other packages.
        warnings.simplefilter("ignore")
        from winner_ns.fitting.field_entry import parse_entries

    texts = [text if name == text else f"{name}={text}" for name, text in preset.fields.items()]
    departures = [preset.departures.get(name, {}) for name in preset.fields]
    for values in itertools.product(*preset.sweep.values()) if preset.sweep else ():
        texts.append("winner:" + ",".join(f"{key}={value:g}" for key, value in zip(preset.sweep, values)))
        departures.append({})
    try:
        entries = parse_entries(texts, preset.width, preset.depth)
    except SignalError as error:
        field = error.source.split(" ")[-1]
        raise SignalError(preset.path, f"fields: {field}: {error.problem}", error.advice) from error
    digests = {each.name: hashlib.sha256(each.path.read_bytes()).hexdigest()[:12] for each in inputs}
    cells = []
    for seed, each, (entry, departure) in itertools.product(
        range(preset.seeds), inputs, list(zip(entries, departures, strict=True))
    ):
        model, network = entry.model, entry.model.field
        cells.append(
            Cell(
                signal=each.name,
                path=str(each.path),
                kind=each.kind,
                content=digests[each.name],
                field=entry.name,
                family=network.family,
                text=entry.text,
                # Hash grids bring their own sizes.
                width=_own(entry.text, "width", network.width, network.family),
                depth=_own(entry.text, "depth", network.depth, network.family),
                omega_0=network.omega_0,
                first_omega_0=network.omega_0 if network.first_omega_0 is None else network.first_omega_0,
                options=dict(network.options),
                law=model.law,
                purpose=model.purpose,
                s0=model.s0,
                s1=model.s1,
                learning_rate=entry.learning_rate,
                departures=departure,
                seed=seed,
                task=preset.task,
                steps=preset.steps,
                batch=preset.batch,
                schedule=preset.schedule,
                holdout=preset.holdout if preset.task == "heldout" else "none",
                sigma=preset.sigma,
                samples=preset.samples if each.kind == "audio" else None,
                resolution=preset.resolution if each.kind == "shape" else None,
            )
        )
    return cells


def _own(text: str, key: str, value: Optional[int], family: str) -> Optional[int]:
    """A size; of a hash grid only where its own entry says it."""
    return value if family != "hash-grid" or f"{key}=" in text else None

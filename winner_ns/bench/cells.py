"""The cells of a benchmark: one signal, fitted by one field with one seed, as plain data that a worker can be sent."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from winner_ns.bench.inputs import Input
from winner_ns.bench.metrics import has_samples
from winner_ns.bench.preset import Preset, swept_field
from winner_ns.bench.preset_values import MOST
from winner_ns.errors import SignalError
from winner_ns.fields.families import family_class
from winner_ns.fields.field import FieldTask
from winner_ns.fitting.field_entry import FieldEntry, parse_entries
from winner_ns.fitting.plan import FieldPlan, NetworkPlan
from winner_ns.kinds import KINDS, kinds_of_files
from winner_ns.spectrum import TargetSpectrum
from winner_ns.spectrum.low_frequencies import low_frequencies

MOST_CELLS = 100_000


@dataclass(frozen=True)
class Cell:
    """All that decides how one field turns out."""

    signal: str
    path: str
    kind: str
    content: str
    """Digest of the file."""
    field: str
    text: str
    """As the preset has it."""
    plan: FieldPlan
    """What that stands for."""
    departures: Dict[str, Any]
    seed: int
    task: str
    steps: int
    batch: int
    schedule: str
    holdout: str
    sigma: float
    samples: Optional[int]
    """As the preset's, of kinds of which a part can be read."""
    resolution: Optional[int]
    """As the preset's, of kinds that are given back as a mesh."""

    @property
    def key(self) -> str:
        """Names the cell and changes with everything that decides its result: no result is taken for another's."""
        settings = {name: value for name, value in self.as_dict().items() if name != "path"}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.signal}/{self.field}/{self.seed}/{digest}"

    @property
    def folder(self) -> str:
        """Where its files are, below the benchmark's folder."""
        return f"cells/{self.signal}/{self.field}/{self.seed}-{self.key.rpartition('/')[2]}"

    def as_dict(self) -> Dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Cell:
        """The cell that `as_dict` gave."""
        plan = FieldPlan(**{**plain["plan"], "field": NetworkPlan(**plain["plan"]["field"])})
        return cls(**{**plain, "plan": plan})


def cells_of(preset: Preset, inputs: Sequence[Input]) -> List[Cell]:
    """Every signal by every field with every seed; the first seed of all comes first.

    Raises:
        SignalError: a field's settings cannot be, two fields have one name, or there are more than MOST_CELLS.
    """
    asked = kinds_of_files() if preset.kind == "any" else (preset.kind,)
    fields = _entries_of(preset, tuple(dict.fromkeys(each.kind for each in inputs)) or asked)
    count = preset.seeds * len(fields) * len(inputs)
    if count > MOST_CELLS:
        problem = f"{preset.seeds} seeds of {len(fields)} fields on {len(inputs)} signals are {count:,} cells"
        raise SignalError(preset.path, problem, f"a benchmark has at most {MOST_CELLS:,}")
    digests = {each.name: hashlib.sha256(each.path.read_bytes()).hexdigest()[:12] for each in inputs}
    return [
        Cell(
            signal=each.name,
            path=str(each.path),
            kind=each.kind,
            content=digests[each.name],
            field=entry.name,
            text=entry.text,
            plan=_between_samples(entry.plan, preset, each.kind),
            departures=departure,
            seed=seed,
            task=preset.task,
            steps=preset.steps,
            batch=preset.batch,
            schedule=preset.schedule,
            holdout=preset.holdout if preset.task == "heldout" else "none",
            sigma=preset.sigma,
            samples=preset.samples if KINDS[each.kind].takes_read_options else None,
            resolution=preset.resolution if KINDS[each.kind].meshed else None,
        )
        for seed, each, (entry, departure) in itertools.product(range(preset.seeds), inputs, fields)
    ]


def _between_samples(plan: FieldPlan, preset: Preset, kind: str) -> FieldPlan:
    """The plan with the preset's choice of what is trained on between the samples, where it has none of its own."""
    if preset.between is None or plan.between is not None or not has_samples(kind):
        return plan
    return replace(plan, between=preset.between)


def _entries_of(preset: Preset, kinds: Sequence[str]) -> List[Tuple[FieldEntry, Dict[str, Any]]]:
    """The preset's fields and those of its sweep, with their departures."""
    wanted = [
        (f"fields.{name}", text if name == text else f"{name}={text}", preset.departures.get(name, {}))
        for name, text in preset.fields.items()
    ]
    for values in itertools.product(*preset.sweep.values()) if preset.sweep else ():
        text = swept_field(dict(zip(preset.sweep, values, strict=True)))
        wanted.append((f"sweep, {text}", text, {}))
    entries: Dict[str, Tuple[FieldEntry, Dict[str, Any]]] = {}
    for where, text, departure in wanted:
        try:
            (entry,) = parse_entries([text])
            # Some file systems do not tell capitals from small letters.
            if entry.name.casefold() in entries:
                raise SignalError(text, f"there is another field called {entry.name}", "give one another name")
            _give_sizes(entry.plan.field, preset)
            _check(entry, departure, kinds)
        except SignalError as error:
            raise SignalError(preset.path, f"{where}: {error.named_problem}", error.advice) from error
        entries[entry.name.casefold()] = entry, departure
    return list(entries.values())


def _give_sizes(network: NetworkPlan, preset: Preset) -> None:
    """The preset's sizes stand for those of the signal's kind: families that bring their own keep these."""
    of_the_kind = family_class(network.family).default_settings(FieldTask())
    for name in ("width", "depth"):
        if getattr(network, name) is None and name in of_the_kind:
            setattr(network, name, getattr(preset, name))


def _check(entry: FieldEntry, departure: Mapping[str, Any], kinds: Iterable[str]) -> None:
    """Raises SignalError where a cell could not make the field: here that costs no training."""
    network = entry.plan.field
    for key, value in network.given().items():
        if key in MOST and value > MOST[key]:
            raise SignalError(entry.text, f"{key} is {value}", f"give at most {MOST[key]:,}")
    # What is refused is too small, or no size: a few neurons tell.
    few = {key: min(value, 8) if type(value) is int else value for key, value in network.options.items()}
    width, depth = (None if size is None else min(size, 8) for size in (network.width, network.depth))
    plan = replace(entry.plan, field=replace(network, width=width, depth=depth, options=few))
    refused: List[SignalError] = []
    # Some signal or other suits it, or none does; what the cells' own refuse they say themselves.
    for kind, dimensions in itertools.product(dict.fromkeys(["image", *kinds]), (2, 1, 3)):
        noise = np.random.default_rng(0).normal(size=(8,) * dimensions + (1,))
        measured = partial(low_frequencies, noise, (10.0,) * dimensions) if dimensions > 1 else None
        spectrum = TargetSpectrum(kind, dimensions, 1, psi=0.1, omega=10.0, low_frequencies=measured)
        task = FieldTask(width=8, depth=4, samples=(8,) * dimensions)
        try:
            plan.settle_network(spectrum, dimensions, 1, task, KINDS[kind].training)
            break
        except SignalError as error:
            refused.append(error)
    else:
        raise refused[0]
    for kind in kinds:
        layers = network.depth or KINDS[kind].training.depth
        beyond = [number for number in departure.get("noise_layers", ()) if number > layers]
        if beyond:
            advice = f"this field has the sine layers 1 to {layers}"
            raise SignalError(entry.text, f"departures.noise_layers: there is no layer {beyond[0]}", advice)

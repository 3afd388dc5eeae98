"""The cells of a benchmark: one signal, fitted by one field with one seed, as plain data that a worker can be sent."""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Sequence, Tuple

from winner_ns.bench.inputs import Input
from winner_ns.bench.preset import MOST, Preset, swept_field
from winner_ns.errors import SignalError
from winner_ns.signals import KINDS

if TYPE_CHECKING:
    from winner_ns.fitting.field_entry import FieldEntry

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
        SignalError: a field's settings cannot be, two fields have one name, or there are more than MOST_CELLS.
    """
    kinds = dict.fromkeys(each.kind for each in inputs) or (KINDS if preset.kind == "any" else [preset.kind])
    fields = _entries_of(preset, kinds)
    count = preset.seeds * len(fields) * len(inputs)
    if count > MOST_CELLS:
        problem = f"{preset.seeds} seeds of {len(fields)} fields on {len(inputs)} signals are {count:,} cells"
        raise SignalError(preset.path, problem, f"a benchmark has at most {MOST_CELLS:,}")
    digests = {each.name: hashlib.sha256(each.path.read_bytes()).hexdigest()[:12] for each in inputs}
    cells = []
    for seed, each, (entry, departure) in itertools.product(range(preset.seeds), inputs, fields):
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


def _entries_of(preset: Preset, kinds: Iterable[str]) -> List[Tuple[FieldEntry, Dict[str, Any]]]:
    """The preset's fields and those of its sweep, with their departures."""
    with warnings.catch_warnings():
        # Here, as it imports nerfstudio, for which neither the list of presets nor the workers should wait; and which
        # has a lot to say about other packages.
        warnings.simplefilter("ignore")
        from winner_ns.fitting.field_entry import parse_entries

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
            (entry,) = parse_entries([text], preset.width, preset.depth)
            # Some file systems do not tell capitals from small letters.
            if entry.name.casefold() in entries:
                raise SignalError(text, f"there is another field called {entry.name}", "give one another name")
            _check(entry, departure, kinds)
        except SignalError as error:
            raise SignalError(preset.path, f"{where}: {error.problem}", error.advice) from error
        entries[entry.name.casefold()] = entry, departure
    return list(entries.values())


def _check(entry: FieldEntry, departure: Dict[str, Any], kinds: Iterable[str]) -> None:
    """Raises SignalError where a cell could not make the field: here that costs no training."""
    from torch import Generator

    from winner_ns.fields import build_field
    from winner_ns.fitting.description import SINE_FAMILIES
    from winner_ns.fitting.settings import SETTINGS
    from winner_ns.spectrum import SineNetwork, TargetSpectrum
    from winner_ns.spectrum.target import choose_noise

    model, network = entry.model, entry.model.field
    settings = {"width": network.width, "depth": network.depth, **network.options}
    if network.family in SINE_FAMILIES:
        settings |= {"omega_0": network.omega_0, "first_omega_0": network.first_omega_0}
    settings = {key: value for key, value in settings.items() if value is not None}
    for key, value in settings.items():
        if key in MOST and value > MOST[key]:
            raise SignalError(entry.text, f"{key} is {value}", f"give at most {MOST[key]:,}")
    # What is refused is too small, or no size: a few neurons tell.
    settings = {key: min(value, 8) if type(value) is int else value for key, value in settings.items()}
    try:
        small = build_field(network.family, 2, 1, settings, Generator().manual_seed(0))
        if network.family == "winner" and "constants_of" not in departure:
            # A spectrum that all laws know; what the signals' own kinds refuse, their cells say.
            sizes = (small.settings[key] for key in ("width", "depth", "omega_0", "first_omega_0"))
            choose_noise(
                TargetSpectrum("image", 2, 1, psi=0.1, omega=10.0),
                SineNetwork(2, *sizes),
                law=model.law,
                purpose=model.purpose,
                s0=model.s0,
                s1=model.s1,
            )
    except ValueError as error:
        raise SignalError(entry.text, str(error), "correct that setting") from error
    for kind in kinds:
        layers = network.depth or SETTINGS[kind].depth
        beyond = [number for number in departure.get("noise_layers", ()) if number > layers]
        if beyond:
            advice = f"this field has the sine layers 1 to {layers}"
            raise SignalError(entry.text, f"departures.noise_layers: there is no layer {beyond[0]}", advice)


def _own(text: str, key: str, value: Optional[int], family: str) -> Optional[int]:
    """A size; of a hash grid only where its own entry says it."""
    return value if family != "hash-grid" or f"{key}=" in text else None

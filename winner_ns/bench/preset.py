"""Presets of `winner-ns bench`: YAML files that say what is compared, on what, for how long. Data only, never code."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from winner_ns.bench.metrics import OF_A_TASK, has_samples, kinds_with
from winner_ns.bench.preset_values import READERS, check_keys, mapping, parts_of
from winner_ns.bench.preset_yaml import read_yaml
from winner_ns.errors import SignalError
from winner_ns.fields.families import FAMILIES
from winner_ns.fitting.pseudo_samples import BETWEEN
from winner_ns.kinds import KINDS

BUDGETS = ("short", "paper")
SWEPT = "winner"
"""The family that a sweep is of."""


@dataclass(frozen=True)
class Preset:
    """A benchmark: every signal is fitted by every field with every seed."""

    name: str
    path: Path
    """The YAML file."""
    title: str
    shows: str
    """The question that is asked, in one or two sentences."""
    task: str
    """fit; denoise (train on the signal with noise, judge by the one without); heldout (judge by withheld samples)."""
    kind: str
    """Of the signals: one that is read from files, or any."""
    signals: Tuple[str, ...]
    """Names of built-in inputs (winner_ns.bench.inputs), or files in the preset's folder, relative to it; others only
    where whoever runs the preset allows them."""
    fields: Dict[str, str]
    """Name -> family and settings, as `winner-compare` takes them."""
    metrics: Tuple[str, ...]
    """Names of `metrics`; the first one is drawn and decides what is best."""
    steps: int
    batch: int
    """Samples of a step; 0: all."""
    seeds: int
    """Repetitions, with the seeds 0, 1, …"""
    laws: Tuple[str, ...] = ()
    """Each of the fields whose family takes a law's noise and whose settings name none of law, purpose, s0 and s1 is
    fitted once with each of these."""
    sweep: Dict[str, Tuple[float, ...]] = field(default_factory=dict)
    """Settings of the family SWEPT, one or two of them with several values: all combinations are fields, too."""
    departures: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    """Field's name -> what it does that the trainer has no flag for (DEPARTURES)."""
    width: Optional[int] = None
    depth: Optional[int] = None
    schedule: str = "cosine"
    """cosine: the learning rate falls to 0 at the last step; step: x 0.99 every 20 steps; constant."""
    holdout: str = "0.1"
    """For the task heldout: every-second, or a fraction."""
    between: Optional[str] = None
    """Of kinds that have samples: kriging, or none; what fields that do not say it themselves are trained on between
    them. None: what each field's purpose is trained on."""
    sigma: float = 0.0
    """For the task denoise: standard deviation of the Gaussian noise on values in [-1, 1]."""
    size: Optional[int] = None
    """Pixels along the longer side that signals are reduced to, of kinds that can be."""
    samples: Optional[int] = None
    """That are read from the start of a signal, channels averaged, of kinds of which a part can be read."""
    resolution: int = 256
    """Grid points along each axis of the mesh that is judged and shown, of kinds that are given back as one."""


assert set(READERS) == {each.name for each in fields(Preset)} - {"name", "path"}


def presets_folder() -> Path:
    """Where the presets are: configs/ of a checkout, or the copy of it in the installed package."""
    packaged = Path(__file__).parents[1] / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "configs"


def list_presets(budget: str = "short") -> List[Preset]:
    """All presets that come with winner_ns, those of the paper first."""
    return [load_preset(str(path), budget) for path in _files()]


def load_preset(name: str, budget: str = "short") -> Preset:
    """Reads a preset, with what the budget changes of it.

    Args:
        name: of one that comes with winner_ns, as `images` or `paper/images`; or a YAML file.
        budget: short or paper; its fields replace those of the same name, all else replaces what the preset says.

    Raises:
        SignalError: there is none of that name, or something in it cannot be; names the key.
    """
    path = _find(name)
    data = read_yaml(path)
    check_keys(path, "", data, [*READERS, "budgets"])
    budgets = mapping(path, "budgets", data.pop("budgets", {}))
    check_keys(path, "budgets.", budgets, BUDGETS)
    # Both are looked at, so that a mistake in the one that is hardly ever run is found, too.
    presets = {}
    for each in BUDGETS:
        changes = mapping(path, f"budgets.{each}", budgets.get(each) or {})
        check_keys(path, f"budgets.{each}.", changes, READERS)
        if isinstance(data.get("fields"), dict) and isinstance(changes.get("fields"), dict):
            changes["fields"] = data["fields"] | changes["fields"]
        presets[each] = _build(path, {**data, **changes})
    return presets[budget]


def swept_field(settings: Mapping[str, float]) -> str:
    """A combination of a sweep as the text of a field, as winner:s0=30,s1=0.1."""
    return f"{SWEPT}:" + ",".join(f"{key}={_number_text(value)}" for key, value in settings.items())


def _number_text(value: float) -> str:
    """The shortest text that is this number: 30, 0.1, 1234567."""
    if float(f"{value:g}") == value:
        return f"{value:g}"
    return str(int(value)) if value.is_integer() else repr(value)


def _files() -> List[Path]:
    folder = presets_folder()
    found = [*sorted((folder / "paper").glob("*.yaml")), *sorted((folder / "ablations").glob("*.yaml"))]
    return [path for path in found if path.stem != "reference-recipe"]  # Flags of ns-train, another bench's.


def _find(name: str) -> Path:
    known = {path.stem: path for path in _files()}
    own = Path(name)
    if own.suffix in (".yaml", ".yml") and own.is_file():
        return own
    if name.removesuffix(".yaml") in known:
        return known[name.removesuffix(".yaml")]
    for path in known.values():
        if name.removesuffix(".yaml") == f"{path.parent.name}/{path.stem}":
            return path
    if own.suffix in (".yaml", ".yml"):
        raise SignalError(name, "does not exist", "check the path, or see winner-ns bench --list")
    nearest = difflib.get_close_matches(name, known, 1)
    advice = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
    raise SignalError(name, "is no preset", f"{advice} Or give a YAML file")


def _build(path: Path, data: Mapping[str, Any]) -> Preset:
    given = {key: READERS[key](path, key, value) for key, value in data.items()}
    required = ("title", "shows", "task", "kind", "signals", "fields", "metrics", "steps", "batch", "seeds")
    missing = [key for key in required if key not in given]
    if missing:
        raise SignalError(path, f"{missing[0]} is missing", f"a preset has {', '.join(required)}")
    preset = Preset(name=path.stem, path=path, **given)
    for name in preset.departures:
        if name not in preset.fields:
            raise SignalError(path, f"departures: {name} is none of the fields", f"name {', '.join(preset.fields)}")
    for metric in preset.metrics:
        kinds = kinds_with(metric)
        if preset.kind not in ("any", *kinds):
            raise SignalError(path, f"metrics: {metric} is of {', '.join(kinds)}, not of {preset.kind}", "take it out")
        task = OF_A_TASK[metric][0] if metric in OF_A_TASK else preset.task
        if task != preset.task:
            raise SignalError(path, f"metrics: {metric} is of the task {task}, not of {preset.task}", "take it out")
    if preset.task != "fit" and preset.kind != "any" and not has_samples(preset.kind):
        advice = f"use the task fit for {KINDS[preset.kind].plural}"
        raise SignalError(path, f"the task is {preset.task} and the kind {preset.kind}", advice)
    if "holdout" in given and preset.task != "heldout":
        raise SignalError(path, f"holdout is nothing for the task {preset.task}", "take it out, or say task: heldout")
    by_loss = [preset.fields[name] for name, departure in preset.departures.items() if "sampling" in departure]
    own = any(each in parts_of(text) for text in by_loss for each in BETWEEN_TRAINED)
    if own or (preset.between not in (None, "none") and by_loss):
        raise SignalError(path, "between is nothing for fields with the departure sampling", "take one of them out")
    if preset.between not in (None, "none") and preset.kind != "any" and not has_samples(preset.kind):
        raise SignalError(path, f"between is nothing for {KINDS[preset.kind].plural}", "take it out")
    if (preset.task == "denoise") != (preset.sigma > 0):
        advice = "give sigma: 0.1 with the task denoise, and with no other"
        raise SignalError(path, f"the task is {preset.task} and sigma {preset.sigma:g}", advice)
    if preset.task != "denoise" and any("denoiser" in departure for departure in preset.departures.values()):
        raise SignalError(path, f"departures: a denoiser is nothing for the task {preset.task}", "take it out")
    fields, departures = _with_laws(preset)
    for name, departure in departures.items():
        family = fields[name].partition(":")[0]
        for setting in departure:
            if not _suits(setting, family):
                able = " and ".join(other for other in FAMILIES if _suits(setting, other))
                problem = f"departures.{name}.{setting} is nothing for {family}"
                raise SignalError(path, problem, f"it is for {able}")
        if "constants_of" in departure and _names_law(fields[name]):
            problem = f"departures.{name}.constants_of and {fields[name]} both say what noise there is"
            raise SignalError(path, problem, "take one of them out")
        if "sampling" in departure and preset.batch == 0:
            raise SignalError(path, f"departures.{name}.sampling has nothing to choose from", "give a batch above 0")
    return replace(preset, fields=fields, departures=departures)


BETWEEN_TRAINED = [f"between={each}" for each in BETWEEN if each != "none"]
"""What an entry of a field says where it is trained on estimates, too."""


def _suits(departure: str, family: str) -> bool:
    """Whether fields of a family can do that."""
    if departure in ("noise_layers", "constants_of"):
        return FAMILIES[family].takes_noise
    # The spread of the frequencies, where that is what decides on the band.
    return departure != "sigma" or FAMILIES[family].band_setting == "sigma"


def _with_laws(preset: Preset) -> Tuple[Dict[str, str], Dict[str, Dict[str, Any]]]:
    """The fields, those that take noise once for each law, and their departures."""
    if not preset.laws:
        return preset.fields, preset.departures
    result: Dict[str, str] = {}
    departures: Dict[str, Dict[str, Any]] = {}
    touched = False
    for name, text in preset.fields.items():
        family, _, settings = text.partition(":")
        own = {name: text}
        if FAMILIES[family].takes_noise and not _names_law(text):
            touched = True
            start = f"{text}," if settings else f"{family}:"
            own = {name if len(preset.laws) == 1 else f"{name}-{law}": f"{start}law={law}" for law in preset.laws}
        for each, its_text in own.items():
            if each in result:
                raise SignalError(preset.path, f"laws: there are two fields {each} then", "give one another name")
            result[each] = its_text
            if name in preset.departures:
                departures[each] = preset.departures[name]
    if not touched:
        problem = "laws: there is no field that takes noise without law, purpose, s0 and s1"
        raise SignalError(preset.path, problem, "add one, as `winner: winner`, or take laws out")
    return result, departures


def _names_law(text: str) -> bool:
    return any(setting.startswith(("law=", "purpose=", "s0=", "s1=")) for setting in parts_of(text))

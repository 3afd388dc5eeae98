"""Presets of `winner-ns bench`: YAML files that say what is compared, on what, for how long. Data only, never code."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

import yaml

from winner_ns.errors import SignalError
from winner_ns.fields.families import FAMILIES
from winner_ns.signals import KINDS
from winner_ns.spectrum import LAWS

BUDGETS = ("short", "paper")
TASKS = ("fit", "denoise", "heldout")
SCHEDULES = ("cosine", "step", "constant")
DEPARTURES: Dict[str, Any] = {
    "noise_layers": "a list of layers from 1 on",
    "constants_of": "audio or image",
    "sampling": "by-loss",
    "sigma": "matched",
}
"""What a field of a preset may do that no flag of the trainer can, and what is given."""
METRICS: Dict[str, str] = {
    "psnr": "PSNR, dB",
    "psnr_best": "best PSNR on the way, dB",
    "psnr_heldout": "PSNR at withheld samples, dB",
    "ssim": "SSIM",
    "snr": "SNR, dB",
    "log_spectral_distance": "log-spectral distance, dB",
    "iou": "IoU",
    "chamfer": "Chamfer distance, unit cube",
    "chamfer_percent_of_diagonal": "Chamfer distance, % of diagonal",
    "hausdorff_percent_of_diagonal": "Hausdorff distance, % of diagonal",
    "f_score": "F-score at 0.1 %",
    "normal_consistency": "normal consistency",
    "training_seconds": "training, s",
    "parameters": "parameters",
}
"""What may be shown of a cell, and its title."""
_GRIDS = tuple(kind for kind in KINDS if kind != "shape")
METRIC_KINDS: Dict[str, Tuple[str, ...]] = {
    "psnr": _GRIDS,
    "psnr_best": _GRIDS,
    "psnr_heldout": _GRIDS,
    "ssim": ("image",),
    "snr": ("audio",),
    "log_spectral_distance": ("audio",),
    "training_seconds": KINDS,
    "parameters": KINDS,
}
"""The kinds of signals that have a metric; of those that are not named here, shapes alone."""
METRIC_TASKS: Dict[str, str] = {"psnr_best": "denoise", "psnr_heldout": "heldout"}
"""The task that a metric belongs to; the others are known for all."""
MOST_SWEPT = 2500
"""Combinations of a sweep."""
MOST: Dict[str, int] = {
    "steps": 10**8,
    "batch": 10**8,
    "seeds": 10_000,
    "width": 2**14,
    "depth": 1000,
    "size": 2**16,
    "samples": 10**10,
    "resolution": 4096,
    # Of families that have them:
    "features": 2**16,
    "frequencies": 1000,
    "levels": 64,
    "features_per_level": 64,
    "log2_hashmap_size": 24,
    "base_resolution": 2**20,
    "max_resolution": 2**20,
}
"""What no machine is expected to do: larger numbers are refused."""
BASELINES: Dict[str, Tuple[str, str]] = {
    "psnr": ("noisy input", "psnr_noisy"),
    "psnr_best": ("noisy input", "psnr_noisy"),
    "psnr_heldout": ("classical interpolation", "psnr_interpolation"),
}
"""What stands beside a metric for comparison, where it is known: its name, and the figure that holds it."""


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
    """Of the signals: one of `KINDS`, or any."""
    signals: Tuple[str, ...]
    """Names of built-in inputs (winner_ns.bench.inputs), or files, relative to the preset's folder."""
    fields: Dict[str, str]
    """Name -> family and settings, as `winner-compare` takes them."""
    metrics: Tuple[str, ...]
    """Keys of METRICS; the first one is drawn and decides what is best."""
    steps: int
    batch: int
    """Samples of a step; 0: all."""
    seeds: int
    """Repetitions, with the seeds 0, 1, …"""
    laws: Tuple[str, ...] = ()
    """Each of the fields whose family is winner and whose settings name none of law, purpose, s0 and s1 is fitted once
    with each of these."""
    sweep: Dict[str, Tuple[float, ...]] = field(default_factory=dict)
    """Settings of the family winner, one or two of them with several values: all combinations are fields, too."""
    departures: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    """Field's name -> what it does that the trainer has no flag for (DEPARTURES)."""
    width: Optional[int] = None
    depth: Optional[int] = None
    schedule: str = "cosine"
    """cosine: the learning rate falls to 0 at the last step; step: x 0.99 every 20 steps; constant."""
    holdout: str = "0.1"
    """For the task heldout: every-second, or a fraction."""
    sigma: float = 0.0
    """For the task denoise: standard deviation of the Gaussian noise on values in [-1, 1]."""
    size: Optional[int] = None
    """Pixels along the longer side that images are reduced to."""
    samples: Optional[int] = None
    """That are read of a sound, from its start, channels averaged."""
    resolution: int = 256
    """Of shapes, grid points along each axis of the mesh that is judged and shown."""


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
    try:
        with open(path, encoding="utf-8") as file:
            data = yaml.load(file, _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise SignalError(path, f"cannot be read ({error})", "give a preset's YAML file") from error
    except RecursionError as error:
        raise SignalError(path, "has too many brackets within brackets", "give a preset's YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise SignalError(path, f"is no YAML{where}: {problem}", "correct that line") from error
    if not isinstance(data, dict):
        raise SignalError(path, "holds no settings", "write `title: …` and so on, see winner-ns bench --list")
    _check_keys(path, "", data, [*_READERS, "budgets"])
    budgets = _mapping(path, "budgets", data.pop("budgets", {}))
    _check_keys(path, "budgets.", budgets, BUDGETS)
    # Both are looked at, so that a mistake in the one that is hardly ever run is found, too.
    presets = {}
    for each in BUDGETS:
        changes = _mapping(path, f"budgets.{each}", budgets.get(each) or {})
        _check_keys(path, f"budgets.{each}.", changes, _READERS)
        if isinstance(data.get("fields"), dict) and isinstance(changes.get("fields"), dict):
            changes["fields"] = data["fields"] | changes["fields"]
        presets[each] = _build(path, {**data, **changes})
    return presets[budget]


def swept_field(settings: Mapping[str, float]) -> str:
    """A combination of a sweep as the text of a field, as winner:s0=30,s1=0.1."""
    return "winner:" + ",".join(f"{key}={_number_text(value)}" for key, value in settings.items())


def _number_text(value: float) -> str:
    """The shortest text that is this number: 30, 0.1, 1234567."""
    if float(f"{value:g}") == value:
        return f"{value:g}"
    return str(int(value)) if value.is_integer() else repr(value)


class _Loader(yaml.SafeLoader):
    """YAML's plain data; 1e3 is a number, as in YAML 1.2, and no key is there twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: Dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            if key.value in lines:
                problem = f"{key.value} is there twice, in line {lines[key.value]}, too"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:  # A 13th month; more digits than int() takes.
            problem = f"{_shown(node.value)} cannot be what it looks like"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+\Z", re.ASCII),
    list("-+.0123456789"),
)


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
    given = {key: _READERS[key](path, key, value) for key, value in data.items()}
    required = ("title", "shows", "task", "kind", "signals", "fields", "metrics", "steps", "batch", "seeds")
    missing = [key for key in required if key not in given]
    if missing:
        raise SignalError(path, f"{missing[0]} is missing", f"a preset has {', '.join(required)}")
    preset = Preset(name=path.stem, path=path, **given)
    for name in preset.departures:
        if name not in preset.fields:
            raise SignalError(path, f"departures: {name} is none of the fields", f"name {', '.join(preset.fields)}")
    for metric in preset.metrics:
        kinds = METRIC_KINDS.get(metric, ("shape",))
        if preset.kind not in ("any", *kinds):
            raise SignalError(path, f"metrics: {metric} is of {', '.join(kinds)}, not of {preset.kind}", "take it out")
        if METRIC_TASKS.get(metric, preset.task) != preset.task:
            problem = f"metrics: {metric} is of the task {METRIC_TASKS[metric]}, not of {preset.task}"
            raise SignalError(path, problem, "take it out")
    if preset.kind == "shape" and preset.task != "fit":
        raise SignalError(path, f"the task is {preset.task} and the kind shape", "use the task fit for shapes")
    if "holdout" in given and preset.task != "heldout":
        raise SignalError(path, f"holdout is nothing for the task {preset.task}", "take it out, or say task: heldout")
    if (preset.task == "denoise") != (preset.sigma > 0):
        advice = "give sigma: 0.1 with the task denoise, and with no other"
        raise SignalError(path, f"the task is {preset.task} and sigma {preset.sigma:g}", advice)
    fields, departures = _with_laws(preset)
    for name, departure in departures.items():
        family = fields[name].partition(":")[0]
        for setting in departure:
            wanted = {"noise_layers": "winner", "constants_of": "winner", "sigma": "rff"}.get(setting, family)
            if family != wanted:
                raise SignalError(path, f"departures.{name}.{setting} is nothing for {family}", f"only {wanted} has it")
        if "constants_of" in departure and _names_law(fields[name]):
            problem = f"departures.{name}.constants_of and {fields[name]} both say what noise there is"
            raise SignalError(path, problem, "take one of them out")
        if "sampling" in departure and preset.batch == 0:
            raise SignalError(path, f"departures.{name}.sampling has nothing to choose from", "give a batch above 0")
    return replace(preset, fields=fields, departures=departures)


def _with_laws(preset: Preset) -> Tuple[Dict[str, str], Dict[str, Dict[str, Any]]]:
    """The fields, those of the family winner once for each law, and their departures."""
    if not preset.laws:
        return preset.fields, preset.departures
    result: Dict[str, str] = {}
    departures: Dict[str, Dict[str, Any]] = {}
    touched = False
    for name, text in preset.fields.items():
        family, _, settings = text.partition(":")
        own = {name: text}
        if family == "winner" and not _names_law(text):
            touched = True
            start = f"{text}," if settings else "winner:"
            own = {name if len(preset.laws) == 1 else f"{name}-{law}": f"{start}law={law}" for law in preset.laws}
        for each, its_text in own.items():
            if each in result:
                raise SignalError(preset.path, f"laws: there are two fields {each} then", "give one another name")
            result[each] = its_text
            if name in preset.departures:
                departures[each] = preset.departures[name]
    if not touched:
        problem = "laws: there is no field of the family winner without law, purpose, s0 and s1"
        raise SignalError(preset.path, problem, "add one, as `winner: winner`, or take laws out")
    return result, departures


def _names_law(text: str) -> bool:
    return any(setting.startswith(("law=", "purpose=", "s0=", "s1=")) for setting in _settings_of(text))


def _settings_of(text: str) -> List[str]:
    """The KEY=VALUEs of a field's text."""
    return text.partition(":")[2].split(",")


def _check_keys(path: Path, where: str, data: Mapping[Any, Any], known: Any) -> None:
    for key in data:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), list(known), 1)
            advice = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
            raise SignalError(path, f"there is no key {where}{key}", advice)


# What a key's value has to be ---------------------------------------------------------------------------------------


def _error(path: Path, key: str, value: Any, expected: str) -> SignalError:
    return SignalError(path, f"{key} is {_shown(value)}", f"give {expected}")


def _shown(value: Any) -> str:
    """A value as it is quoted in an error, of long ones a part."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    short.maxlevel = 3
    try:
        text = short.repr(value)
    except ValueError:  # More digits than are written in decimals.
        return "far too large a number"
    return text if len(text) <= 120 else f"{text[:117]}..."


def _mapping(path: Path, key: str, value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise _error(path, key, value, "a mapping, `name: value` a line")
    return dict(value)


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _error(path, key, value, "text")
    return " ".join(value.split())


def _one_of(*choices: str) -> Callable[[Path, str, Any], str]:
    def read(path: Path, key: str, value: Any) -> str:
        if value not in choices:
            raise _error(path, key, value, f"one of {', '.join(choices)}")
        return value

    return read


def _list_of(choices: Any, what: str) -> Callable[[Path, str, Any], Tuple[str, ...]]:
    def read(path: Path, key: str, value: Any) -> Tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
            raise _error(path, key, value, f"a list of {what}")
        if choices is not None:
            _check_keys(path, f"{key}: ", dict.fromkeys(value), choices)
        if len(set(value)) < len(value):
            raise _error(path, key, value, "each of them once")
        return tuple(value)

    return read


def _whole(least: int) -> Callable[[Path, str, Any], int]:
    def read(path: Path, key: str, value: Any) -> int:
        if not _is_whole(value) or value < least:
            raise _error(path, key, value, f"a whole number of at least {least}")
        if value > MOST[key]:
            raise _error(path, key, value, f"at most {MOST[key]:,}")
        return int(value)

    return read


def _is_whole(value: Any) -> bool:
    """1e3 and 1000.0, too."""
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _number(path: Path, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise _error(path, key, value, "a number from 0 on")
    return float(value)


def _holdout(path: Path, key: str, value: Any) -> str:
    if value == "every-second" or (isinstance(value, float) and 0 < value < 1):
        return str(value)
    raise _error(path, key, value, "every-second, or a fraction such as 0.1")


def _fields(path: Path, key: str, value: Any) -> Dict[str, str]:
    given = _mapping(path, key, value)
    if not given:
        raise _error(path, key, value, "at least one, as `winner: winner:law=paper`")
    for name, text in given.items():
        if not isinstance(name, str):
            raise SignalError(path, f"{key}: {_shown(name)} is no name", "write it in quotes, or take another one")
        if not isinstance(text, str):
            raise _error(path, f"{key}.{name}", text, "family and settings, as winner:law=paper")
        _check_keys(path, f"{key}.{name}: ", {text.partition(":")[0]: None}, FAMILIES)
        settings = [setting.partition("=")[0] for setting in _settings_of(text)]
        if len(set(settings)) < len(settings):
            raise _error(path, f"{key}.{name}", text, "each setting once")
    return given


def _sweep(path: Path, key: str, value: Any) -> Dict[str, Tuple[float, ...]]:
    given = _mapping(path, key, value)
    for name, values in given.items():
        if not isinstance(values, list) or not values:
            raise _error(path, f"{key}.{name}", values, "a list of numbers")
    if not 1 <= sum(len(values) > 1 for values in given.values()) <= 2:
        raise _error(path, key, value, "one or two settings with several values, as `s0: [10, 100, 1000]`")
    if math.prod(len(values) for values in given.values()) > MOST_SWEPT:
        raise _error(path, key, value, f"at most {MOST_SWEPT:,} combinations")
    swept = {str(name): tuple(_number(path, f"{key}.{name}", x) for x in values) for name, values in given.items()}
    for name, values in swept.items():
        if len(set(values)) < len(values):
            raise _error(path, f"{key}.{name}", given[name], "each number once")
    return swept


def _departures(path: Path, key: str, value: Any) -> Dict[str, Dict[str, Any]]:
    given = {str(name): _mapping(path, f"{key}.{name}", each) for name, each in _mapping(path, key, value).items()}
    for name, each in given.items():
        _check_keys(path, f"{key}.{name}.", each, DEPARTURES)
        for setting, wanted in each.items():
            layers = isinstance(wanted, list) and wanted and all(_is_whole(n) and n >= 1 for n in wanted)
            kind = wanted in ("audio", "image")
            if not {"noise_layers": layers, "constants_of": kind, "sampling": wanted == "by-loss",
                    "sigma": wanted == "matched"}[setting]:  # fmt: skip
                raise _error(path, f"{key}.{name}.{setting}", wanted, DEPARTURES[setting])
            if setting == "noise_layers":
                each[setting] = [int(n) for n in wanted]
    return given


_READERS: Dict[str, Callable[[Path, str, Any], Any]] = {
    "title": _text,
    "shows": _text,
    "task": _one_of(*TASKS),
    "kind": _one_of(*KINDS, "any"),
    "signals": _list_of(None, "names or files"),
    "fields": _fields,
    "metrics": _list_of(METRICS, "figures"),
    "steps": _whole(1),
    "batch": _whole(0),
    "seeds": _whole(1),
    "laws": _list_of(LAWS, "laws"),
    "sweep": _sweep,
    "departures": _departures,
    "width": _whole(1),
    "depth": _whole(1),
    "schedule": _one_of(*SCHEDULES),
    "holdout": _holdout,
    "sigma": _number,
    "size": _whole(2),
    "samples": _whole(16),
    "resolution": _whole(8),
}
assert set(_READERS) == {each.name for each in fields(Preset)} - {"name", "path"}

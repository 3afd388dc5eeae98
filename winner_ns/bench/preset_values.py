"""What the value of each key of a preset has to be."""

from __future__ import annotations

import difflib
import math
import reprlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

from winner_ns.bench.metrics import metrics
from winner_ns.errors import SignalError
from winner_ns.fields.families import FAMILIES
from winner_ns.fitting.classical_denoisers import DENOISERS
from winner_ns.fitting.pseudo_samples import BETWEEN
from winner_ns.fitting.training import SCHEDULES
from winner_ns.kinds import kinds_of_files
from winner_ns.spectrum import LAWS, PaperLaw

TASKS = ("fit", "denoise", "heldout")
DEPARTURES: Dict[str, Any] = {
    "noise_layers": "a list of layers from 1 on",
    "constants_of": " or ".join(PaperLaw.constants),
    "sampling": "by-loss",
    "sigma": "matched",
    "denoiser": f"one of {', '.join(DENOISERS)}",
}
"""What a field of a preset may do that no flag of the trainer can, and what is given."""
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


def parts_of(text: str) -> List[str]:
    """The KEY=VALUEs of a field's text."""
    return text.partition(":")[2].split(",")


def check_keys(path: Path, where: str, data: Mapping[Any, Any], known: Iterable[str]) -> None:
    """Raises SignalError for a key that is not known; names the nearest."""
    for key in data:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), list(known), 1)
            advice = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
            raise SignalError(path, f"there is no key {where}{key}", advice)


def _error(path: Path, key: str, value: Any, expected: str) -> SignalError:
    return SignalError(path, f"{key} is {shown(value)}", f"give {expected}")


def shown(value: Any) -> str:
    """A value as it is quoted in an error, of long ones a part."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    short.maxlevel = 3
    try:
        text = short.repr(value)
    except ValueError:  # More digits than are written in decimals.
        return "far too large a number"
    return text if len(text) <= 120 else f"{text[:117]}..."


def mapping(path: Path, key: str, value: Any) -> Dict[str, Any]:
    """A copy of a mapping.

    Raises:
        SignalError: it is none.
    """
    if not isinstance(value, dict):
        raise _error(path, key, value, "a mapping, `name: value` a line")
    return dict(value)


def _text(path: Path, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _error(path, key, value, "text")
    return " ".join(value.split())


def _one_of(choices: Callable[[], Iterable[str]]) -> Callable[[Path, str, Any], str]:
    # Asked for when a preset is read: other packages may add to them.
    def read(path: Path, key: str, value: Any) -> str:
        known = tuple(choices())
        if value not in known:
            raise _error(path, key, value, f"one of {', '.join(known)}")
        return value

    return read


def _list_of(
    what: str, choices: Optional[Callable[[], Iterable[str]]] = None
) -> Callable[[Path, str, Any], Tuple[str, ...]]:
    def read(path: Path, key: str, value: Any) -> Tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(entry, str) for entry in value):
            raise _error(path, key, value, f"a list of {what}")
        if choices is not None:
            check_keys(path, f"{key}: ", dict.fromkeys(value), tuple(choices()))
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
    given = mapping(path, key, value)
    if not given:
        raise _error(path, key, value, "at least one, as `winner: winner:law=paper`")
    for name, text in given.items():
        if not isinstance(name, str):
            raise SignalError(path, f"{key}: {shown(name)} is no name", "write it in quotes, or take another one")
        if not isinstance(text, str):
            raise _error(path, f"{key}.{name}", text, "family and settings, as winner:law=paper")
        check_keys(path, f"{key}.{name}: ", {text.partition(":")[0]: None}, FAMILIES)
        settings = [setting.partition("=")[0] for setting in parts_of(text)]
        if len(set(settings)) < len(settings):
            raise _error(path, f"{key}.{name}", text, "each setting once")
    return given


def _sweep(path: Path, key: str, value: Any) -> Dict[str, Tuple[float, ...]]:
    given = mapping(path, key, value)
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
    given = {str(name): mapping(path, f"{key}.{name}", each) for name, each in mapping(path, key, value).items()}
    for name, each in given.items():
        check_keys(path, f"{key}.{name}.", each, DEPARTURES)
        for setting, wanted in each.items():
            layers = isinstance(wanted, list) and wanted and all(_is_whole(n) and n >= 1 for n in wanted)
            kind = wanted in tuple(PaperLaw.constants)
            if not {"noise_layers": layers, "constants_of": kind, "sampling": wanted == "by-loss",
                    "sigma": wanted == "matched", "denoiser": wanted in DENOISERS}[setting]:  # fmt: skip
                raise _error(path, f"{key}.{name}.{setting}", wanted, DEPARTURES[setting])
            if setting == "noise_layers":
                each[setting] = [int(n) for n in wanted]
    return given


READERS: Dict[str, Callable[[Path, str, Any], Any]] = {
    "title": _text,
    "shows": _text,
    "task": _one_of(lambda: TASKS),
    "kind": _one_of(lambda: (*kinds_of_files(), "any")),
    "signals": _list_of("names or files"),
    "fields": _fields,
    "metrics": _list_of("figures", metrics),
    "steps": _whole(1),
    "batch": _whole(0),
    "seeds": _whole(1),
    "laws": _list_of("laws", lambda: LAWS),
    "sweep": _sweep,
    "departures": _departures,
    "width": _whole(1),
    "depth": _whole(1),
    "schedule": _one_of(lambda: SCHEDULES),
    "holdout": _holdout,
    "between": _one_of(lambda: BETWEEN),
    "sigma": _number,
    "size": _whole(2),
    "samples": _whole(16),
    "resolution": _whole(8),
}
"""Key -> what reads its value: (the preset's file, the key, the value) -> the value, or a SignalError."""

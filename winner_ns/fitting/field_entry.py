"""One line of text for each field of a comparison: its family, and what differs from the family's defaults."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Optional, Sequence, Type, Union, get_args, get_origin, get_type_hints

from torch import nn

from winner_ns.errors import SignalError
from winner_ns.fields import family_class
from winner_ns.fields.families import FAMILIES, settings_of
from winner_ns.fitting.plan import FieldPlan, NetworkPlan
from winner_ns.fitting.pseudo_samples import BETWEEN
from winner_ns.fitting.run import FIELD_NAME

FLAG = "--pipeline.model.fields"
_NAME = re.compile(r"\w[\w-]*", re.ASCII)
_FORM = "write FAMILY, FAMILY:KEY=VALUE,KEY=VALUE or NAME=FAMILY:KEY=VALUE"
_NETWORK = ("width", "depth", "omega_0", "first_omega_0")
_LAW = ("law", "purpose", "s0", "s1")


@dataclass
class FieldEntry:
    """What one field of a comparison is made of, as a run of this field alone would be told by flags."""

    text: str
    """As the user wrote it."""
    name: str
    """As it is called in curves, figures and folders."""
    plan: FieldPlan
    """The network, its law and how it learns."""


def parse_entries(texts: Sequence[str], width: Optional[int] = None, depth: Optional[int] = None) -> List[FieldEntry]:
    """The fields of a comparison.

    Args:
        texts: for each field "family", "family:key=value,key=value" or "name=family:key=value". Keys are the arguments
            of the family's class (width, depth, omega_0, features, …), for winner also law, purpose, s0 and s1 (which
            mean the law explicit), Adam's lr, the learning rate at the start, beta2 and weight_decay, and between, what
            is trained on between the samples. Without a name, the text is the name, with a comma in place of the
            colon.
        width, depth: of all fields that do not say their own; None is the kind's default.

    Raises:
        SignalError: no field, an unknown family or key, a value that cannot be, or two fields of one name.
    """
    if not texts:
        raise SignalError(FLAG, "no field is given", _FORM)
    entries: List[FieldEntry] = []
    for text in texts:
        entry = _parse(text, width, depth)
        # Some file systems do not tell capitals from small letters.
        if any(entry.name.casefold() == other.name.casefold() for other in entries):
            raise SignalError(FLAG, f"two fields are called {entry.name}", f"give one another name: other={text}")
        entries.append(entry)
    return entries


def _parse(text: str, width: Optional[int], depth: Optional[int]) -> FieldEntry:
    head, _, settings = text.partition(":")
    name, _, family = head.rpartition("=")
    if family not in FAMILIES:
        raise _error(text, f"there is no family {family!r}", f"there are {', '.join(FAMILIES)}")
    if "=" in head and not _NAME.fullmatch(name):
        raise _error(text, f"{name!r} is no name", "take letters, digits, - and _")
    name = name or text.replace(":", ",")
    if not FIELD_NAME.fullmatch(name) or len(name) > 100:
        raise _error(text, "cannot be the name of a folder", f"give it a name: name={text}")
    if hasattr(nn.ModuleDict, name):
        raise _error(text, f"the name {name} is taken", "give another one")
    entry = FieldEntry(text, name, FieldPlan(NetworkPlan(family=family, width=width, depth=depth)))
    hints = _hints(family)
    for setting in settings.split(",") if settings else ():
        key, equals, value = setting.partition("=")
        if not equals:
            raise _error(text, f"{setting!r} is no KEY=VALUE", _FORM)
        if key not in hints:
            raise _error(text, f"{family} has no setting {key!r}", f"there are {', '.join(hints)}")
        _assign(entry, key, _value(text, key, value, hints[key]))
    plan = entry.plan
    if (plan.s0 is not None or plan.s1 is not None) and "law=" not in settings:
        plan.law = "explicit"
    try:
        plan.check()
    except SignalError as error:
        raise _error(text, error.named_problem, error.advice) from error
    return entry


def _hints(family: str) -> Dict[str, Any]:
    """The keys that a family knows, and their types."""
    made_of = family_class(family)
    hints = get_type_hints(made_of.__init__)
    defaults = {name: parameter.default for name, parameter in inspect.signature(made_of).parameters.items()}
    # A family of somebody else's may leave its hints out.
    anything = Union[bool, int, float, str]
    known = {
        key: hints.get(key, anything if defaults[key] is None else type(defaults[key])) for key in settings_of(family)
    }
    of_plan = {key: get_type_hints(FieldPlan)[key] for key in (*_LAW, "beta2", "weight_decay")}
    return {**known, **of_plan, "between": Literal[BETWEEN], "lr": float}


def _assign(entry: FieldEntry, key: str, value: Any) -> None:
    plan = entry.plan
    if key == "lr":
        if value <= 0:
            raise _error(entry.text, f"lr {value} is not above 0", "give a positive learning rate")
        plan.learning_rate = value
    elif key in (*_LAW, "beta2", "weight_decay", "between"):
        setattr(plan, key, value)
    elif key in _NETWORK:
        setattr(plan.field, key, value)
    else:
        plan.field.options[key] = value


def _value(text: str, key: str, value: str, hint: Any) -> Any:
    """The value as the first of the types (or choices) that it can be."""
    accepted = _accepted(hint)
    for kind in accepted:
        if kind is bool and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if kind in (int, float):
            try:
                number = kind(value)
            except ValueError:
                continue
            if math.isfinite(number):
                return number
        if kind is str or kind == value:
            return value
    expected = " or ".join(_EXPECTED.get(kind, str(kind)) for kind in accepted)
    raise _error(text, f"{key}={value} cannot be", f"give {expected}")


_EXPECTED: Dict[Type, str] = {bool: "true or false", int: "a whole number", float: "a number"}


def _accepted(hint: Any) -> List[Any]:
    """Types and literal choices in a type hint, without None."""
    if get_origin(hint) in (Union, Literal):
        return [kind for part in get_args(hint) for kind in _accepted(part)]
    return [] if hint is type(None) else [hint]


def _error(text: str, problem: str, advice: str) -> SignalError:
    return SignalError(f"{FLAG} {text}", problem, advice)

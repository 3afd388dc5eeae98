"""From the original's coordinates and values to the network's and back, by what a kind's samples are."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, get_args, get_type_hints

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.reading import MOST_MAGNITUDE
from winner_ns.safe_text import is_harmless
from winner_ns.shape_losses import SHAPE_LOSSES

if TYPE_CHECKING:
    from winner_ns.fields.files import LoadedField

MOST_SAMPLES = 2**36
"""Of a signal: more than fits any memory."""
MOST_HERTZ = 1e9
MOST_LETTERS = 255
"""Of a format's name."""
MOST_PARTS = 16
"""Of a spread of training points."""


class Units(ABC):
    """What a kind's row names under `units`."""

    @staticmethod
    @abstractmethod
    def check(signal: Mapping[str, Any], target: Mapping[str, Any], rates: Sequence[str]) -> Tuple[int, Optional[int]]:
        """Looks whether the facts of a signal are such as evaluating and exporting need.

        Args:
            signal: a description's facts about the original.
            target: how values were scaled for training.
            rates: names of facts that are rates in hertz.

        Returns:
            Numbers of coordinates and of values (None: any).

        Raises:
            ValueError, KeyError, TypeError: they are not.
        """

    @staticmethod
    @abstractmethod
    def original_values(field: LoadedField, coordinates: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """The field's values in the original's units at coordinates of the original."""


class GridUnits(Units):
    """Samples on a grid: raw values; coordinates in the order of the array's axes, the longest spatial axis spanning
    [-1, 1] from its first to its last sample."""

    @staticmethod
    def check(signal: Mapping[str, Any], target: Mapping[str, Any], rates: Sequence[str]) -> Tuple[int, Optional[int]]:
        shape, channels = signal["shape"], signal["channels"]
        counts = [*shape, channels]
        if not shape or not all(type(count) is int and count >= 1 for count in counts):
            raise ValueError(f"a size among {counts} is not a whole number above 0")
        if math.prod(counts) > MOST_SAMPLES:
            raise ValueError(f"{' x '.join(map(str, counts))} samples are more than any memory holds")
        _check_numbers(signal["half_extent"], len(shape))
        if not all(0 <= extent <= 1 + 1e-6 for extent in signal["half_extent"]):
            raise ValueError("an axis reaches beyond [-1, 1]")
        if any(n > 1 and not extent for n, extent in zip(shape, signal["half_extent"], strict=True)):
            raise ValueError("an axis of several samples has no length")
        _check_numbers(target["offset"], channels)
        _check_numbers([signal["value_offset"]], 1)
        _check_positive(signal["value_scale"], target["gain"])
        _check_rates({rate: signal[rate] for rate in rates})
        if "sample_rate" in rates and shape[0] < 2:
            raise ValueError("a sound of one sample has no duration")
        # What else numpy takes for a type is a language of its own.
        if not re.fullmatch(r"[<>=|]?[a-z]+[0-9]*", signal["dtype"]) or np.dtype(signal["dtype"]).kind not in "uif":
            raise ValueError(f"samples cannot be {signal['dtype']}")
        _check_optional(signal)
        return len(shape), channels

    @staticmethod
    def original_values(field: LoadedField, coordinates: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        signal = field.signal
        return field.normalised(coordinates.float()) * signal["value_scale"] + signal["value_offset"]


class DistanceUnits(Units):
    """A shape: signed distance, negative inside, in the original's units; points in its frame. Faithful near the
    surface, it levels off at about seven times the target's distance_scale (times the shape's scale)."""

    @staticmethod
    def check(signal: Mapping[str, Any], target: Mapping[str, Any], rates: Sequence[str]) -> Tuple[int, Optional[int]]:
        _check_numbers(signal["center"], 3)
        _check_positive(signal["scale"], target["distance_scale"])
        if target.get("loss", "distance") not in SHAPE_LOSSES:
            raise ValueError(f"unknown loss {target['loss']!r}")
        # By these, whoever looks at any field knows that it is of a grid.
        if any(name in facts for facts, name in ((signal, "shape"), (signal, "half_extent"), (target, "gain"))):
            raise ValueError("a shape's samples lie on no grid")
        _check_spread(target.get("near_surface", []))
        _check_optional(signal)
        return 3, 1

    @staticmethod
    def original_values(field: LoadedField, coordinates: Float[Tensor, "n 3"]) -> Float[Tensor, "n 1"]:
        signal = field.signal
        # In double precision, which not all devices have, as a shape may lie far from the origin of its frame.
        center = torch.tensor(signal["center"], dtype=torch.float64)
        unit = (coordinates.cpu().double() - center) / signal["scale"]
        return field.unit_distance(unit.float().to(coordinates.device)) * signal["scale"]


class NoUnits(Units):
    """Scenes: what their fields give is no signal by itself, and nerfstudio's models render it."""

    @staticmethod
    def check(signal: Mapping[str, Any], target: Mapping[str, Any], rates: Sequence[str]) -> Tuple[int, Optional[int]]:
        return 3, None

    @staticmethod
    def original_values(field: LoadedField, coordinates: Tensor) -> Tensor:
        raise ValueError("a scene's field has no values of its own")


def _check_numbers(values: Any, count: int) -> None:
    if not isinstance(values, (list, tuple)) or len(values) != count or not all(map(_is_number, values)):
        raise ValueError("the description's numbers are not what the kind has")
    if any(abs(value) > MOST_MAGNITUDE for value in values):
        raise ValueError(f"a number in the description is beyond {MOST_MAGNITUDE:g}")


def _check_spread(parts: Any) -> None:
    """Raises ValueError for what is no list of shares and sigmas of training points."""
    if not isinstance(parts, list) or len(parts) > MOST_PARTS:
        raise ValueError("the description's near_surface is no short list")
    for part in parts:
        _check_numbers(part, 2)
    if not all(share >= 0 and sigma >= 0 for share, sigma in parts) or sum(share for share, _ in parts) > 1 + 1e-9:
        raise ValueError("the description's near_surface has shares or sigmas that cannot be")


def _check_positive(*values: Any) -> None:
    if not all(_is_number(value) and value > 0 for value in values):
        raise ValueError("a size or scale in the description is not positive")
    if not all(1 / MOST_MAGNITUDE <= value <= MOST_MAGNITUDE for value in values):
        raise ValueError(f"a size or scale in the description is not from {1 / MOST_MAGNITUDE:g} to {MOST_MAGNITUDE:g}")


def _check_rates(rates: Mapping[str, Any]) -> None:
    for name, rate in rates.items():
        _check_positive(rate)
        if rate > MOST_HERTZ:
            raise ValueError(f"the {name} is above {MOST_HERTZ:g} Hz")
        # Files of sounds hold whole hertz; frames may be 30000/1001 a second.
        if name == "sample_rate" and not isinstance(rate, int):
            raise ValueError(f"the {name} is {rate}, no whole number of hertz")


def _check_optional(signal: Mapping[str, Any]) -> None:
    """Looks at the facts that not every signal has, and exporters read where it does."""
    _check_positive(signal.get("full_scale", 1.0))
    _check_numbers([signal.get("start", 0.0)], 1)
    for name in ("mode", "format", "subtype"):
        if not isinstance(signal.get(name, ""), str) or len(signal.get(name, "")) > MOST_LETTERS:
            raise ValueError(f"the {name} is {signal[name]!r:.80}, no short text")
    if "colour" in signal:
        from winner_ns.signals.colour import Colour

        Colour.of(signal["colour"])
    options = signal.get("read_options", {})
    if not isinstance(options, dict):
        raise ValueError("the read_options are no mapping")
    if options:
        from winner_ns.signals.options import ReadOptions

        hints = get_type_hints(ReadOptions)
        for name, value in options.items():
            allowed = get_args(hints.get(name)) or (hints.get(name),)
            # JSON may have lost a whole number's decimal point.
            if type(value) not in allowed and not (type(value) is int and float in allowed):
                raise ValueError(f"the read_options have {name} {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_plain(value: Any, most: int = 100_000) -> None:
    """Looks whether something is plain JSON with finite numbers, of sensible size, its text without characters that
    control how it is shown (line breaks, C0 and C1 controls, marks that turn the direction of writing).

    Raises:
        ValueError: it is not.
    """
    left: List[Tuple[Any, int]] = [(value, 0)]
    seen = 0
    while left:
        each, depth = left.pop()
        seen += 1
        if seen > most or depth > 16:
            raise ValueError("the description is larger than any that training writes")
        if isinstance(each, dict):
            items: Dict[Any, Any] = each
            left += [(key, depth + 1) for key in items] + [(inner, depth + 1) for inner in items.values()]
        elif isinstance(each, (list, tuple)):
            left += [(inner, depth + 1) for inner in each]
        elif isinstance(each, str):
            if len(each) > 10_000 or not (each.isprintable() or all(map(is_harmless, each))):
                raise ValueError("a text in the description is too long or has control characters")
        elif isinstance(each, float):
            if not math.isfinite(each):
                raise ValueError("a number in the description is not finite")
        elif isinstance(each, int):
            if abs(each) >= 2**64:
                raise ValueError("a number in the description is too large")
        elif each is not None:
            raise ValueError(f"the description holds {type(each).__name__}, which is no JSON")

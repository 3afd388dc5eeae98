"""From the original's coordinates and values to the network's and back, by what a kind's samples are."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from winner_ns.fields.files import LoadedField

MOST_SAMPLES = 2**36
"""Of a signal: more than fits any memory."""
MOST_HERTZ = 1e9
LOSSES = ("distance", "occupancy", "eikonal")
"""What shapes are fitted by."""


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
        _check_numbers(target["offset"], channels)
        _check_numbers([signal["value_offset"]], 1)
        _check_positive(signal["value_scale"], target["gain"], *(signal[rate] for rate in rates))
        if any(signal[rate] > MOST_HERTZ for rate in rates):
            raise ValueError(f"a rate is above {MOST_HERTZ:g} Hz")
        if np.dtype(signal["dtype"]).kind not in "uif":
            raise ValueError(f"samples cannot be {signal['dtype']}")
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
        if target.get("loss", "distance") not in LOSSES:
            raise ValueError(f"unknown loss {target['loss']!r}")
        return 3, 1

    @staticmethod
    def original_values(field: LoadedField, coordinates: Float[Tensor, "n 3"]) -> Float[Tensor, "n 1"]:
        signal = field.signal
        center = torch.tensor(signal["center"], dtype=torch.float64, device=coordinates.device)
        unit = (coordinates.double() - center) / signal["scale"]
        return field.unit_distance(unit.float()) * signal["scale"]


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


def _check_positive(*values: Any) -> None:
    if not all(_is_number(value) and value > 0 for value in values):
        raise ValueError("a size or scale in the description is not positive")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_plain(value: Any, most: int = 100_000) -> None:
    """Looks whether something is plain JSON with finite numbers, text without control characters, of sensible size.

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
            if len(each) > 10_000 or any(ord(letter) < 32 or ord(letter) == 127 for letter in each):
                raise ValueError("a text in the description is too long or has control characters")
        elif isinstance(each, float):
            if not math.isfinite(each):
                raise ValueError("a number in the description is not finite")
        elif isinstance(each, int):
            if abs(each) >= 2**64:
                raise ValueError("a number in the description is too large")
        elif each is not None:
            raise ValueError(f"the description holds {type(each).__name__}, which is no JSON")

"""What a view lets a user set, said without any user interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple, Union


@dataclass(frozen=True)
class Slider:
    """A number in a range."""

    label: str
    least: float
    most: float
    step: float
    at_first: float


@dataclass(frozen=True)
class Dropdown:
    """One of several words."""

    label: str
    options: Tuple[str, ...]
    at_first: str


Control = Union[Slider, Dropdown]

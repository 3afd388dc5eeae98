"""What all families of fields have in common, and what a family says of itself."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Dict, Iterable, List, Optional, Tuple

import torch
from torch import nn

from winner_ns.fields.dense_layers import DenseLayer
from winner_ns.spectrum.band import SineNetwork

LARGEST_SETTING = 1e9
"""Of a field's settings that are no whole numbers: beyond it sines of float32 are noise."""


@dataclass(frozen=True)
class FieldTask:
    """What a field is for, as far as its default sizes depend on that."""

    width: int = 256
    """Neurons of every hidden layer that suit the kind."""
    depth: int = 4
    """Hidden layers that suit the kind."""
    samples: Optional[Tuple[int, ...]] = None
    """Samples along each axis; None where they lie on no grid."""
    finest: int = 512
    """Without a grid: cells along an axis that show the finest detail."""
    second_derivatives: bool = False
    """Whether the loss differentiates the field's own gradient."""


class Field(nn.Module):
    """A coordinate network R^d -> R^c of some family; coordinates in [-1, 1]^d.

    A family is a subclass whose constructor takes (in_dim, out_dim, *, settings …, generator=None): it hands the
    settings to this one, which checks them, draws its weights from the generator alone, and defines `forward` from
    [*batch, d] to [*batch, c]. What is special about the family it declares by the class variables below.

    Args:
        in_dim: number of coordinates d.
        out_dim: number of values c.
        settings: all keyword arguments that rebuild the field, as plain JSON; those named by `sizes` are at least 1,
            those that are no whole numbers at most `LARGEST_SETTING` in magnitude.
        positive: further names of settings that must be above 0.
        not_negative: further names of settings that must be 0 or more.

    Raises:
        ValueError: a dimension or size below 1, or another number out of its range or not finite.
    """

    learning_rate: ClassVar[float] = 1e-3
    """Adam's, as published."""
    source: ClassVar[str] = ""
    """Where the family is from: authors, year, paper."""
    takes_noise: ClassVar[bool] = False
    """Whether a law's noise is added to the weights of its first two layers (`winner_init`)."""
    encoded: ClassVar[bool] = False
    """Whether the coordinates are encoded before the first layer."""
    sizes: ClassVar[Tuple[str, ...]] = ("width", "depth")
    """Settings that are whole numbers from 1 on and decide how many weights there are."""
    learns_encoding: ClassVar[bool] = False
    """Whether the encoding is learnt as well, so that the tangent kernel at the start says little of later steps."""
    band_setting: ClassVar[Optional[str]] = None
    """The setting that widens or narrows the band that a fresh field has."""
    noise_on_request: ClassVar[bool] = False
    """Whether a law's noise is added to the weights of its first two layers where a law is asked for; without one the
    family is as published."""
    adaptable: ClassVar[bool] = True
    """Whether the law matching may bring the band that a fresh field has to a target's (`turned`)."""
    whole_batch: ClassVar[bool] = False
    """Whether a batch is cheaper in one piece than in pieces that stay in the processor's cache."""

    noise_scales: Optional[Tuple[float, float]] = None
    """s0 and s1 of the noise that `winner_init` has added."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        settings: Dict[str, Any],
        positive: Iterable[str] = (),
        not_negative: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.in_dim, self.out_dim, self.settings = in_dim, out_dim, settings
        sizes = {name: settings[name] for name in self.sizes if name in settings}
        sizes = {"in_dim": in_dim, "out_dim": out_dim, **sizes}
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int):
                raise ValueError(f"{name} must be a whole number, got {size!r}")
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        for name in positive:
            if not 0 < settings[name] <= LARGEST_SETTING:
                raise ValueError(f"{name} must be positive and at most {LARGEST_SETTING:g}, got {settings[name]}")
        for name in not_negative:
            if not 0 <= settings[name] <= LARGEST_SETTING:
                raise ValueError(f"{name} must not be negative or above {LARGEST_SETTING:g}, got {settings[name]}")
        for name, value in settings.items():
            if isinstance(value, float) and not abs(value) <= LARGEST_SETTING:
                raise ValueError(f"{name} must be at most {LARGEST_SETTING:g} in magnitude, got {value}")

    def noise_added(self, generator: Optional[torch.Generator]) -> None:  # noqa: B027 (most have nothing to do)
        """Called when a law's noise has been added to the weights."""

    @classmethod
    def setting_names(cls) -> List[str]:
        """Names of the settings that the constructor takes: all after the numbers of coordinates and values but the
        generator."""
        parameters = inspect.signature(cls).parameters.values()
        names = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
        return [name for name in names[2:] if name != "generator"]

    @classmethod
    def default_settings(cls, task: FieldTask) -> Dict[str, Any]:
        """Settings that suit what the field is for, where a user gives none; of these, what the constructor takes."""
        taken = cls.setting_names()
        return {name: size for name, size in (("width", task.width), ("depth", task.depth)) if name in taken}

    @classmethod
    def turned(cls, settings: Dict[str, Any], knob: float, in_dim: int) -> Dict[str, Any]:
        """The settings that change where a fresh field's band is to be another; the band grows with the knob, which is
        above 0. Without an override, `band_setting` is the knob. For families that take noise on request, 1 gives the
        settings that go along with noise.

        Raises:
            ValueError: the family has no such setting.
        """
        if cls.band_setting is None or not cls.adaptable:
            raise ValueError("the law matching knows no setting of this family by which its band could be changed")
        return {cls.band_setting: knob}

    @classmethod
    def most_weights(cls, in_dim: int, out_dim: int, settings: Dict[str, Any]) -> int:
        """A number that a field with these settings has no more weights than; roughly, and never too few.

        Raises:
            ValueError: a size is no whole number.
        """
        sizes = [settings.get(name, 256) for name in cls.sizes]
        if not all(type(size) is int for size in sizes):
            raise ValueError(f"{', '.join(cls.sizes)} must be whole numbers, got {sizes}")
        return 2 * (abs(settings.get("depth", 4)) + 2) * (in_dim + out_dim + max(map(abs, sizes), default=0) + 1) ** 2

    @classmethod
    def sine_network(cls, in_dim: int, settings: Dict[str, Any]) -> Optional[SineNetwork]:
        """The sine network that a field with these settings is, whose band before training is known in closed form;
        None for families of other kinds."""
        return None

    def dense_layers(self) -> Optional[List[DenseLayer]]:
        """The chain of dense layers that the field is, coordinates to values, where it is one: what web pages and other
        programs without torch evaluate."""
        return None

    def summed_gradient(self) -> Optional[Callable[..., Any]]:
        """A faster way to the gradient of the summed squared error than autograd (`SummedGradient`), where there is
        one."""
        return None

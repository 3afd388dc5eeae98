"""The description of a field: all that is needed to rebuild it and read its values, which travels with its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from typing import Any, Dict, Mapping, Optional

from winner_ns.fields.families import FAMILIES, family_class
from winner_ns.fields.field import Field
from winner_ns.fields.units import Units, check_plain
from winner_ns.kinds import KINDS, Kind
from winner_ns.registry import PLUGINS
from winner_ns.spectrum.noise import NoiseReport

MOST_LETTERS = {"name": 255, "data": 4096, "package": 255}
"""Of texts that may be anything: file systems take no longer names of files."""
_SHORT = re.compile(r"[A-Za-z0-9_.+-]{0,64}")
"""What settings and ways to train are called."""
_NOT_FURTHER = ("format_version", "kind_package")
_KEYS = ("kind", "name", "data", "network", "target", "signal", "spectrum", "holdout", "order")


@dataclass(frozen=True)
class NetworkDescription:
    """What rebuilds a network."""

    family: str
    in_dim: int
    out_dim: int
    settings: Dict[str, Any]
    """Keyword arguments of the family's class."""
    package: str = ""
    """What brings the family, where that is not this package."""

    @classmethod
    def of(cls, network: Field, family: str) -> NetworkDescription:
        """That of a network."""
        return cls(family, network.in_dim, network.out_dim, dict(network.settings), FAMILIES.package_of(family))

    @property
    def family_class(self) -> type[Field]:
        """The family's class.

        Raises:
            ValueError: it is not known here.
        """
        if self.family not in FAMILIES and self.package:
            raise ValueError(_not_here("family", self.family, self.package))
        return family_class(self.family)


@dataclass(frozen=True)
class Order:
    """What decides in which order training sees the samples."""

    seed: int
    """Of all random numbers of the run."""
    batch_size: int
    """Samples a step; 0: all."""


@dataclass(frozen=True)
class Description:
    """A field's kind, network, scale, original and noise; plain JSON by `as_dict`."""

    kind: str
    name: str
    """The original's, without a folder."""
    data: str
    """Where the original was; "" where it was no file."""
    network: NetworkDescription
    target: Dict[str, Any]
    """How values were scaled for training: gain and offset of grids, distance_scale and loss of shapes."""
    signal: Dict[str, Any]
    """What is known of the original: shape, channels, sample_rate, center, scale, …"""
    spectrum: Optional[NoiseReport] = None
    """What the law said, of families whose band it knows."""
    holdout: str = "none"
    order: Optional[Order] = None
    further: Dict[str, Any] = field(default_factory=dict)
    """What scenes and ablations add."""

    @property
    def row(self) -> Kind:
        """What is particular to the kind."""
        return KINDS[self.kind]

    @property
    def units(self) -> type[Units]:
        """The way to the original's units and back."""
        return self.row.get("units")

    @property
    def between(self) -> str:
        """What it is trained on between the samples: kriging, or none."""
        return str(self.target.get("between", "none"))

    @property
    def denoises(self) -> bool:
        """Whether it is to leave out the noise in its samples, so that its best state at withheld ones is kept."""
        return self.further.get("purpose") == "denoise"

    def as_dict(self) -> Dict[str, Any]:
        """Plain JSON."""
        network = {each.name: getattr(self.network, each.name) for each in fields(self.network)}
        if not self.network.package:
            del network["package"]
        order = None if self.order is None else {"seed": self.order.seed, "batch_size": self.order.batch_size}
        spectrum = None if self.spectrum is None else self.spectrum.as_dict()
        plain = {name: getattr(self, name) for name in _KEYS}
        # What brings the kind, where that is not this package.
        package = KINDS.package_of(self.kind)
        brought = {"kind_package": package} if package else {}
        return {**plain, "network": network, "spectrum": spectrum, "order": order, **brought, **self.further}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Description:
        """A description from plain JSON, none of which is trusted.

        Args:
            plain: as `as_dict` gives it, also from older versions.

        Raises:
            ValueError: it lacks something, or has numbers, names or sizes that cannot be.
        """
        try:
            check_plain(dict(plain))
            network, order, spectrum = plain["network"], plain.get("order"), plain.get("spectrum")
            description = cls(
                kind=_text(plain["kind"]),
                name=_file_name(plain["name"]),
                data=_text(plain.get("data") or "", MOST_LETTERS["data"]),
                network=NetworkDescription(
                    _text(network["family"]),
                    _count(network["in_dim"]),
                    _count(network["out_dim"]),
                    _named(network["settings"]),
                    _text(network.get("package", ""), MOST_LETTERS["package"]),
                ),
                target=_named(plain["target"]),
                signal=dict(plain["signal"]),
                spectrum=None if spectrum is None else NoiseReport.from_dict(spectrum),
                holdout=_holdout(plain.get("holdout", "none")),
                order=None if order is None else Order(_count(order["seed"], 0), _count(order["batch_size"] or 0, 0)),
                further={key: value for key, value in plain.items() if key not in (*_KEYS, *_NOT_FURTHER)},
            )
            package = _text(plain.get("kind_package", ""), MOST_LETTERS["package"])
            if description.kind not in KINDS and package:
                raise ValueError(_not_here("kind", description.kind, package))
            if description.kind not in KINDS:
                raise ValueError(f"unknown kind {description.kind!r}; there are {', '.join(KINDS)}")
            row = description.row
            coordinates, values = description.units.check(description.signal, description.target, row.rates)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"the description lacks or mistakes {error}") from error
        made_of = description.network
        if made_of.in_dim != coordinates or values not in (None, made_of.out_dim):
            raise ValueError("the network has other dimensions than the signal")
        return description

    def with_further(self, **further: Any) -> Description:
        """The same with more facts."""
        return replace(self, further={**self.further, **further})


def _text(value: Any, most: int = 64) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    if len(value) > most:
        raise ValueError(f"{value[:64]!r}… has {len(value)} letters, more than {most}")
    return value


def _named(values: Any) -> Dict[str, Any]:
    """Settings by name, texts among them words or numbers as flags have them."""
    settings: Dict[str, Any] = dict(values)
    for name, value in settings.items():
        if isinstance(value, str) and not _SHORT.fullmatch(value):
            raise ValueError(f"{name} is {value[:64]!r}, which is no word")
    return settings


def _holdout(value: Any) -> str:
    """Which samples were withheld; what a fraction means is looked at where they are chosen."""
    if not _SHORT.fullmatch(_text(value)):
        raise ValueError(f"{value!r} is not a way to withhold samples")
    return value


def _file_name(value: Any) -> str:
    """A name that paths may be made of, as it leads to no other folder."""
    if _text(value, MOST_LETTERS["name"]) in ("", ".", "..") or "/" in value or "\\" in value:
        raise ValueError(f"{value!r} is no name of a file")
    return value


def _not_here(what: str, name: str, package: str) -> str:
    """What is wrong where somebody else's entry is not known."""
    if package == "__main__":
        return f"its {what} {name!r} was defined in a script or notebook; run that first"
    return f"its {what} {name!r} comes with {package}, which is not here; install that, or name its module in {PLUGINS}"


def _count(value: Any, least: int = 1) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} is no whole number from {least} on")
    return value

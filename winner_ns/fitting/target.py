"""What training aims at: a signal, which of its samples are trained on, their spectrum and their scale."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Dict, List, Optional, Tuple

from torch import Tensor

from winner_ns.errors import setting_error
from winner_ns.fields.description import Description
from winner_ns.fields.field import FieldTask
from winner_ns.fields.files import LoadedField
from winner_ns.kinds import KINDS, Kind, TrainingDefaults
from winner_ns.signals import ReadOptions, Signal, signal_of
from winner_ns.signals.shape import NearSurface, near_surface_of_run
from winner_ns.spectrum import TargetSpectrum


@dataclass(frozen=True)
class TargetOptions:
    """What may be chosen of how a signal is trained on; a kind's target class says in `takes` what of it it knows."""

    holdout: str = "none"
    """Samples that are withheld from training to judge what lies between: none, every-second or a fraction."""
    between: Optional[str] = None
    """What is trained on between the samples, beside them: kriging (`winner_ns.fitting.pseudo_samples`) or none; None
    leaves it to the field's plan."""
    denoiser: str = "none"
    """Whose output is trained on in place of the samples: nl-means, tv, wavelets, wiener
    (`winner_ns.fitting.classical_denoisers`) or none."""
    shape_samples: int = 2**19
    """Points drawn from a shape at a time."""
    shape_loss: str = "distance"
    """What shapes are fitted by: distance, occupancy or eikonal."""
    near_surface: Optional[NearSurface] = None
    """How the points drawn from a shape are spread around its surface; None: as is best for it."""
    seed: int = 42
    """Of the split, the order and the points."""

    @classmethod
    def of_run(cls, description: Description, shape_samples: Optional[int] = None) -> TargetOptions:
        """What a field was trained with; descriptions do not know how many points were drawn at a time."""
        said = description.target
        return cls(
            holdout=description.holdout,
            between=description.between,
            denoiser=str(said.get("denoiser", "none")),
            shape_samples=cls.shape_samples if shape_samples is None else shape_samples,
            shape_loss=str(said.get("loss", cls.shape_loss)),
            near_surface=near_surface_of_run(description.signal, said),
            seed=cls.seed if description.order is None else description.order.seed,
        )


class Target(ABC):
    """A signal as training sees it. A kind's row names the subclass."""

    takes: ClassVar[Tuple[str, ...]] = ()
    """Names of the TargetOptions that it knows, beside the seed."""

    signal: Signal
    spectrum: TargetSpectrum
    """Of the training samples."""
    options: TargetOptions
    warnings: List[str]
    """What a user should know, one line each."""

    @classmethod
    @abstractmethod
    def of(cls, signal: Signal, options: TargetOptions) -> Target:
        """Measures what training needs.

        Raises:
            SignalError: the signal or an option cannot be used.
        """

    @property
    def row(self) -> Kind:
        """What is particular to the kind."""
        return KINDS[self.signal.kind]

    @property
    def training(self) -> TrainingDefaults:
        """The kind's, for what is trained on here."""
        return self.row.training

    @property
    @abstractmethod
    def train_size(self) -> int:
        """Samples of an epoch."""

    @property
    def mean_error(self) -> Optional[float]:
        """The mean squared error, of values in [-1, 1], of a field that gives the samples' mean; None where there is no
        such thing as a mean to fall back to."""
        return None

    @property
    def mean_loss(self) -> Optional[float]:
        """The same on the scale that is trained on."""
        return None

    @property
    def noise_loss(self) -> float:
        """The mean squared error, on the scale that is trained on, of a field that leaves out what white noise is
        estimated to be in the samples, and that alone."""
        return 0.0

    @abstractmethod
    def batch(self, step: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Tuple[Tensor, Tensor]:
        """Coordinates [n, d] and the field's target values [n, c] of one step, a function of its arguments alone.

        Args:
            step: training step, from 0 on.
            batch_size: samples of all processes together; 0, or as many as there are: all of them.
            rank, world_size: which process's part of them, of how many; together the parts are the batch of one.
        """

    def heldout_batch(self, most: int) -> Optional[Tuple[Tensor, Tensor]]:
        """At most so many of the withheld samples, as `batch`; None where there are none."""
        return None

    @abstractmethod
    def task(self) -> FieldTask:
        """What a field is built for."""

    @abstractmethod
    def figures(self, field: LoadedField, mesh_resolution: Optional[int] = None) -> Dict[str, float]:
        """All figures of a fitted field (`evaluate_field`)."""

    @abstractmethod
    def quick_figures(self, field: LoadedField, samples: int = 8192) -> Dict[str, float]:
        """An estimate of the figure that counts (`winner_ns.fitting.evaluation.quick_figures`)."""

    def advice(self, field: LoadedField) -> List[str]:
        """What a user should know of a fitted field, one line each."""
        return []

    @abstractmethod
    def describe(self) -> Dict[str, Any]:
        """How values are scaled for training, as plain JSON."""

    def with_between(self, between: str) -> Target:
        """The same target with another choice of what is trained on between the samples, where the kind has any."""
        return self

    def between_lines(self) -> List[str]:
        """What a user is told of what is trained on between the samples."""
        return []

    def ends_after(self, steps: int) -> None:  # noqa: B027 (most prepare nothing)
        """Says how many steps the whole training makes: nothing is prepared for later ones."""

    def close(self) -> None:  # noqa: B027 (most have nothing to end)
        """Ends what runs beside training; that is over."""


def target_of(
    data: Any,
    kind: Optional[str] = None,
    options: Optional[TargetOptions] = None,
    read: Optional[ReadOptions] = None,
) -> Target:
    """Reads a signal and measures what training needs.

    Args:
        data: what `signal_of` takes.
        kind: a name of `KINDS`; None or "auto" is told by the data.
        options: what may be chosen.
        read: which part of a sound is read, and how.

    Raises:
        SignalError: the data or an option cannot be used.
    """
    options = options or TargetOptions()
    signal = signal_of(data, kind, read)
    target: type[Target] = KINDS[signal.kind].get("target")
    defaults = TargetOptions()
    # How many points are drawn does not matter where none are.
    known = (*target.takes, "seed", "shape_samples")
    for name in (each.name for each in fields(options) if each.name not in known):
        if getattr(options, name) not in (getattr(defaults, name), "none", "0", ""):
            able = " and ".join(KINDS[k].plural for k in KINDS if _takes(KINDS[k], name))
            problem = f"is for {able}, {signal.path} is of the kind {signal.kind}"
            raise setting_error(name, problem, "leave it out")
    return target.of(signal, options)


def _takes(kind: Kind, option: str) -> bool:
    return kind.reader is not None and option in kind.get("target").takes

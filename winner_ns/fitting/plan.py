"""What a field shall be: the choices that are a user's, and how they settle into a description and initial weights."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterable, List, Optional, Union

from winner_ns.errors import SignalError, setting_error
from winner_ns.fields.description import Description, NetworkDescription, Order
from winner_ns.fields.families import FAMILIES, outline, settings_of
from winner_ns.fields.field import Field, FieldTask
from winner_ns.fields.initial import initial_field
from winner_ns.fitting import choices
from winner_ns.fitting.adaptation import adapt
from winner_ns.fitting.best_state import BestState
from winner_ns.fitting.checked_numbers import real_number, text, whole_number
from winner_ns.fitting.target import Target
from winner_ns.kinds import KINDS, DenoisingDefaults, TrainingDefaults
from winner_ns.safe_text import is_harmless
from winner_ns.spectrum import LAWS, SineNetwork, TargetSpectrum
from winner_ns.spectrum.expectation import bottleneck_warning, start_warning
from winner_ns.spectrum.laws import between_of, denoising_decay
from winner_ns.spectrum.noise import NoiseReport, choose_noise

RATE_WITHOUT_INTERPOLATION = 5e-4
"""For fields that give up on fitting because the spectrum is too bright to interpolate."""
MOST_WEIGHTS = 2**31
"""Of a field: 8 GiB, and training takes several times as much."""
MOST_LAYERS = 1024
MOST_BETA = 0.999999
"""Of Adam's averages: longer ones than a run."""
MOST_DECAY = 1e6
"""Of weights, over the learning rate: with usual rates they would be gone in a step."""
DENOISE = "denoise"
"""The purpose of fields that are to leave out the noise in their samples."""
WITHHELD_TO_STOP = "0.05"
"""Of the samples, by which such a field's best state is told, where nothing else is withheld."""


@dataclass
class NetworkPlan:
    """The coordinate network."""

    family: choices.FamilyName = "winner"
    """winner: SIREN with noise adapted to the target; siren: plain; the others with their published defaults."""
    width: Optional[int] = None
    """Neurons of every hidden layer; None: the kind's default (256)."""
    depth: Optional[int] = None
    """Number of hidden layers, the first one included; None: the kind's default (4)."""
    omega_0: Optional[float] = None
    """Frequency factor of sine and wavelet layers; None: the family's own (30 for sines)."""
    first_omega_0: Optional[float] = None
    """Frequency factor of the first such layer; None: omega_0."""
    options: Dict[str, Union[int, float, str]] = field(default_factory=dict)
    """Further settings of the family's class by name, e.g. "features 64" for rff."""

    def given(self) -> Dict[str, Any]:
        """The settings that were chosen."""
        named = {name: getattr(self, name) for name in ("width", "depth", "omega_0", "first_omega_0")}
        return {**{name: value for name, value in named.items() if value is not None}, **self.options}


@dataclass
class FieldPlan:
    """A network, the law that its initial noise follows, and how it learns."""

    field: NetworkPlan = field(default_factory=NetworkPlan)
    """The coordinate network."""
    law: Optional[choices.LawName] = None
    """How the initial noise follows from the target's spectrum: matching (initial band = kappa times the centroid
    frequency), paper (arXiv 2509.12980), reference-code (its authors' code), explicit (s0 and s1 as given), or others'
    initialisations: fresh, gradient-control, vi3nr, weight-scaling (docs/spectrum.md). None: matching for winner, none
    for the other families, which stay as published; by the law matching, their own settings bring their band to the
    target's."""
    purpose: Optional[str] = None
    """kappa of the law matching: interpolate (0.5, best between the samples; plain SIREN where the spectrum is too
    bright for that), fit (best at the samples: 1 or more, by the number of weights that a sample has), denoise (the
    band of what noise leaves of the samples, stopped by 5 % of them that are withheld) or a number. None: 0.5, of
    sounds as fit; fields learnt from photographs 0.3."""
    s0: Optional[float] = None
    """Noise scale of layer 1, for the law explicit."""
    s1: Optional[float] = None
    """Noise scale of layer 2, for the law explicit."""
    learning_rate: Optional[float] = None
    """Adam's at the start; None: by kind, family and initial band."""
    beta2: Optional[float] = None
    """Adam's decay of the squared gradients' average, in [0, 1); None: the kind's."""
    weight_decay: Optional[float] = None
    """Part of the weights that goes with each step of Adam, over the learning rate; None: 0, or the kind's where the
    purpose is denoise."""
    between: Optional[str] = None
    """What is trained on between the samples, beside them: kriging, or none; None: kriging by the law matching
    with the purpose interpolate or with none, else none."""

    @classmethod
    def of(
        cls,
        family: str = "winner",
        law: Optional[str] = None,
        purpose: Optional[Union[str, float]] = None,
        s0: Optional[float] = None,
        s1: Optional[float] = None,
        learning_rate: Optional[float] = None,
        beta2: Optional[float] = None,
        weight_decay: Optional[float] = None,
        **network: Any,
    ) -> FieldPlan:
        """A plan from choices side by side; s0 or s1 alone mean the law explicit."""
        explicit = law is None and (s0 is not None or s1 is not None)
        return cls(
            NetworkPlan(family, **network),
            law or ("explicit" if explicit else None),
            None if purpose is None else str(purpose),
            s0,
            s1,
            learning_rate,
            beta2,
            weight_decay,
        )

    @property
    def denoises(self) -> bool:
        """Whether the field is to leave out the noise in its samples."""
        return self.purpose == DENOISE

    def check(self) -> None:
        """Looks whether the choices can be, as far as that can be told without a signal.

        Raises:
            SignalError: an unknown family or law, a setting that the family does not know, or a number out of range.
        """
        made_of = self.field
        families, laws = ", ".join(FAMILIES), ", ".join(LAWS)
        if text("family", made_of.family, f"there are {families}") not in FAMILIES:
            raise setting_error("family", f"{made_of.family!r} is none", f"there are {families}")
        if self.law is not None and text("law", self.law, f"there are {laws}") not in LAWS:
            raise setting_error("law", f"{self.law!r} is none", f"there are {laws}")
        known = settings_of(made_of.family)
        for name in ("width", "depth", "omega_0", "first_omega_0"):
            value = getattr(made_of, name)
            if value is None:
                continue
            if name not in known:
                raise setting_error(name, f"is not for the family {made_of.family}", "leave it out")
            if name in made_of.options:
                raise setting_error(name, f"is given twice, as {value} and {made_of.options[name]}", "give it once")
            whole = name in ("width", "depth")
            most = MOST_LAYERS if name == "depth" else 2**31
            setattr(made_of, name, whole_number(name, value, 1, most) if whole else real_number(name, value))
        asked = {"s0": self.s0, "s1": self.s1, "purpose": self.purpose}
        given = [name for name, value in asked.items() if value is not None]
        if given and self.law is None and not FAMILIES[made_of.family].takes_noise:
            problem = f"is not for the family {made_of.family}, which takes no noise as it was published"
            raise setting_error(given[0], problem, "leave it out, or give the law matching")
        if self.purpose is not None:
            try:
                LAWS[self.law or "matching"].check_purpose(self.purpose)
            except ValueError as error:
                raise setting_error("purpose", str(error), "choose another") from error
        for name in ("s0", "s1"):
            if getattr(self, name) is not None:
                setattr(self, name, real_number(name, getattr(self, name), positive=False))
        if self.learning_rate is not None:
            self.learning_rate = real_number("learning_rate", self.learning_rate, most=1e38)
        if self.beta2 is not None:
            self.beta2 = real_number("beta2", self.beta2, most=MOST_BETA, positive=False)
        if self.weight_decay is not None:
            decay = self.weight_decay
            self.weight_decay = real_number("weight_decay", decay, most=MOST_DECAY, positive=False)

    def settle_network(
        self, spectrum: TargetSpectrum, in_dim: int, out_dim: int, task: FieldTask, training: TrainingDefaults
    ) -> SettledNetwork:
        """The network, its noise and Adam's numbers, from a spectrum alone.

        Args:
            spectrum: what the field shall learn.
            in_dim, out_dim: numbers of coordinates and values.
            task: what the field is for.
            training: the kind's defaults.

        Raises:
            SignalError: choices that contradict each other, that the family or the law refuses.
        """
        self.check()
        family = FAMILIES[self.field.family]
        # Grids that bring their own sizes follow the signal, others the kind.
        settings = {**family.default_settings(task), **self.field.given()}
        noise, changed = None, {}
        sine = family.sine_network(in_dim, settings)
        try:
            if self.law is not None and not family.takes_noise:
                of_field = (self.field.family, in_dim, out_dim, settings)
                changed, noise = adapt(*of_field, spectrum, self.law, self.purpose, self.s0, self.s1)
            elif sine is not None:
                noise = self._noise(spectrum, sine, family.takes_noise)
                if noise.first_omega_0 is not None:
                    settings["first_omega_0"] = noise.first_omega_0
        except ValueError as error:
            blamed = next((name for name in ("purpose", "s0", "s1") if name in str(error)), "law")
            raise setting_error(blamed, str(error), "choose another") from error
        settings.update(changed)
        try:
            # Built once to know every setting that it ends up with, and how large it is.
            network = outline(self.field.family, in_dim, out_dim, settings)
        except ValueError as error:
            raise setting_error("field", str(error), "correct that setting") from error
        weights = sum(parameter.numel() for parameter in network.parameters())
        if weights > MOST_WEIGHTS:
            raise setting_error("field", f"a field of {weights:,} weights", f"give at most {MOST_WEIGHTS:,}")
        described = NetworkDescription.of(network, self.field.family)
        by_setting = bool(changed) and noise is not None and noise.s0 == 0
        denoising = KINDS[spectrum.kind].denoising if self._leaves_out_noise(spectrum) else None
        width = settings.get("width") or training.width
        told = None if by_setting else noise
        rate = self.learning_rate or _default_rate(family, told, width, out_dim, training, denoising)
        beta2 = training.beta2 if self.beta2 is None else self.beta2
        decay = self.weight_decay
        if decay is None:
            decay = denoising_decay(spectrum, weights) if denoising else 0.0
        return SettledNetwork(described, noise, rate, beta2, spectrum, changed if by_setting else {}, decay)

    def settle(self, target: Target, batch_size: Optional[int] = None) -> SettledPlan:
        """The description of the field that is trained on a target, and its learning rate.

        Args:
            target: what is fitted; its options have the seed.
            batch_size: samples a step, 0 being all; None is the kind's.

        Raises:
            SignalError: as `settle_network`.
        """
        target = target.with_between(self.between or target.options.between or self.usual_between)
        signal, training = target.signal, target.training
        size = training.batch_size if batch_size is None else whole_number("batch_size", batch_size, 0)
        settled = self.settle_network(target.spectrum, signal.dimensions, signal.channels, target.task(), training)
        description = Description(
            kind=signal.kind,
            name=signal.path.name,
            data="" if signal.in_memory else str(signal.path.resolve()),
            network=settled.network,
            target=target.describe(),
            signal=signal.describe(),
            spectrum=settled.noise,
            holdout=target.options.holdout,
            order=Order(target.options.seed, size),
        )
        if self._leaves_out_noise(target.spectrum):
            description = description.with_further(purpose=DENOISE)
        _check_travels(description, settled)
        return SettledPlan(description, settled, target)

    @property
    def usual_between(self) -> str:
        """What is trained on between the samples where nobody chooses it."""
        by_matching = self.law == "matching" or (self.law is None and FAMILIES[self.field.family].takes_noise)
        return between_of(self.purpose) if by_matching else "none"

    def _leaves_out_noise(self, spectrum: TargetSpectrum) -> bool:
        """Whether there is noise that training has to leave out; a denoiser has taken it away before."""
        return self.denoises and spectrum.denoised is not None

    def _noise(self, spectrum: TargetSpectrum, network: SineNetwork, takes_noise: bool) -> NoiseReport:
        if not takes_noise:
            return choose_noise(spectrum, network, "explicit")
        given = self.field.given()
        return choose_noise(spectrum, network, self.law or "matching", self.purpose, self.s0, self.s1, given)


@dataclass(frozen=True)
class SettledNetwork:
    """A network whose every setting is decided."""

    network: NetworkDescription
    noise: Optional[NoiseReport]
    """What the law said; None for families whose band no formula knows."""
    learning_rate: float
    beta2: float
    spectrum: TargetSpectrum
    turned: Dict[str, Any] = field(default_factory=dict)
    """The settings that the law matching changed in place of noise."""
    weight_decay: float = 0.0
    """Adam's, over the learning rate."""

    def law_lines(self) -> List[str]:
        """What a user is told of the spectrum, and of what the law made of it; nothing where there is none."""
        if self.noise is None:
            return []
        return self.noise.lines(", ".join(f"{name} {value:.4g}" for name, value in self.turned.items() if value))

    def lines(self) -> List[str]:
        """What a user is told of it."""
        described, lines = self.network, self.law_lines()
        if self.noise is not None:
            expected = start_warning(self.noise, self.spectrum.nyquist)
        elif described.family_class.learns_encoding:
            expected = None
        else:
            # What such a field's band is no formula says; those of all of them lie near a plain SIREN's.
            plain = choose_noise(self.spectrum, SineNetwork(described.in_dim), law="explicit")
            expected = bottleneck_warning(plain)
        if expected is not None:
            lines.append(f"WARNING   {expected}")
        settings = ", ".join(f"{key} {value}" for key, value in described.settings.items() if value is not None)
        return [*lines, f"field     {described.family}: {described.in_dim} -> {described.out_dim}, {settings}"]


@dataclass(frozen=True)
class SettledPlan:
    """A field whose every setting is decided, and what it will be trained on."""

    description: Description
    settled: SettledNetwork
    target: Target

    @property
    def learning_rate(self) -> float:
        """Adam's at the start."""
        return self.settled.learning_rate

    @property
    def beta2(self) -> float:
        """Adam's decay of the squared gradients' average."""
        return self.settled.beta2

    @property
    def weight_decay(self) -> float:
        """Adam's decay of the weights."""
        return self.settled.weight_decay

    def best_state(self, steps: int) -> Optional[BestState]:
        """What keeps the best state of a run of so many steps; None where the last one is kept."""
        return BestState(self.target, steps) if self.description.denoises else None

    def initial_field(self) -> Field:
        """The fresh field, always the same one (`winner_ns.fields.initial`)."""
        assert self.description.order is not None
        return initial_field(self.description, self.description.order.seed)

    def with_further(self, **further: Any) -> SettledPlan:
        """The same with more facts in its description."""
        return replace(self, description=self.description.with_further(**further))

    def lines(self) -> List[str]:
        """What a user is told when training starts: the signal, its spectrum, the field."""
        description, target = self.description, self.target
        lines = [f"{description.kind:9} {description.name}: {target.signal.in_words()}", *self.settled.lines()]
        lines += [f"between   {line}" for line in target.between_lines()]
        noise = self.settled.noise
        if noise is not None and noise.bright and description.holdout != "none":
            note = "NOTE      the spectrum is too bright to tell what lies between the samples, by any method"
            lines.insert(1 + len(self.settled.law_lines()), note)
        return lines


def with_withheld(target: Target, plans: Iterable[FieldPlan]) -> Target:
    """A target, or the same with WITHHELD_TO_STOP where one of these plans needs withheld samples and none are.

    Raises:
        SignalError: a plan is to leave out the noise of what has no samples that noise could be on.
    """
    if target.options.holdout not in ("none", "0", "") or not any(plan.denoises for plan in plans):
        return target
    if target.row.denoising is None:
        problem = f"{DENOISE} is for samples on a grid, not for {target.row.plural}"
        raise setting_error("purpose", problem, "choose another")
    if target.options.denoiser != "none":
        return target  # It has no noise any more.
    return target.of(target.signal, replace(target.options, holdout=WITHHELD_TO_STOP))


def checked_seed(seed: Any) -> int:
    """A seed that torch and numpy both take.

    Raises:
        SignalError: it is none.
    """
    return whole_number("seed", seed, 0, 2**32 - 1)


def _check_travels(description: Description, settled: SettledNetwork) -> None:
    """Raises SignalError, before any training, for a field whose file could not be opened again."""
    if not all(map(is_harmless, description.name + description.data)):
        raise SignalError(description.name, "its path has characters that cannot be shown", "rename it")
    if "\\" in description.name:
        raise SignalError(description.name, "has a backslash in its name, at which others end a folder", "rename it")
    try:
        Description.from_dict(json.loads(json.dumps(description.as_dict())))
    except (TypeError, ValueError) as error:
        raise setting_error("field", f"cannot be written to a file ({error})", "correct its settings") from error


def _default_rate(
    family: type[Field],
    noise: Optional[NoiseReport],
    width: int,
    channels: int,
    training: TrainingDefaults,
    denoising: Optional[DenoisingDefaults],
) -> float:
    if noise is None:
        return family.learning_rate
    if denoising is not None:
        return denoising.learning_rate
    if noise.bright and noise.kappa == 0.0:
        return RATE_WITHOUT_INTERPOLATION
    return training.learning_rate * stable_share(noise, width, channels, training)


def stable_share(noise: NoiseReport, width: int, channels: int, training: TrainingDefaults) -> float:
    """The part of the learning rate, from 1/2 to 1, at which a field with this noise settles: the smaller one of
    full_rate_up_to/(H B sqrt(C)) and full_rate_width/H.

    Adam's steps move a sum over H weights H times as far as one of them, and a field of band B turns as much faster:
    with the noise of the law matching on the second layer (V = 3), wide fields of a wide band do not settle at the full
    rate, those of colours sooner than those of one channel. Without that noise they do, and need it: where V is nearer
    to 1, B counts by (V - 1)/2. Measured at H of 128 and 256, C of 1 and 3 and B from 36 to 220 rad/unit; the width by
    itself counts where estimates between the samples are trained on, too (docs/spectrum.md).

    Args:
        noise: of the fresh field.
        width: H.
        channels: C, of the values.
        training: with what the rate is full up to.
    """
    second_layer = width * noise.s1**2 / 4  # (V - 1)/2, of V = 1 + H s1²/2.
    unsettled = width * noise.band * math.sqrt(channels) * min(1.0, second_layer)
    grown = ((unsettled, training.full_rate_up_to), (width, training.full_rate_width))
    return max(0.5, min([1.0, *(up_to / size for size, up_to in grown if up_to is not None and size > up_to)]))

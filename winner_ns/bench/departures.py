"""What only ablations do: noise on other layers, batches chosen by the loss, one kind's constants used on another."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Mapping, Sequence, Tuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from winner_ns.fields.families import build_field
from winner_ns.fields.field import Field
from winner_ns.fields.winner_init import scale_layers
from winner_ns.fitting.grid_target import GridTarget
from winner_ns.fitting.plan import FieldPlan, SettledPlan
from winner_ns.fitting.sample_split import SampleSplit
from winner_ns.fitting.target import Target
from winner_ns.spectrum import NoiseScales, PaperLaw, SineNetwork, TargetSpectrum

CANDIDATES = 4
"""Samples that are looked at for each one that is trained on, where the loss chooses."""


def settle(plan: FieldPlan, target: Target, batch_size: int, departures: Mapping[str, Any]) -> SettledPlan:
    """The field that is trained, whose description names its departures.

    Args:
        plan: as for a field without departures.
        target: what it is trained on.
        batch_size: samples a step; 0: all.
        departures: of DEPARTURES; constants_of and sigma change the plan.

    Raises:
        SignalError: as `FieldPlan.settle`.
    """
    if "sigma" in departures:
        # pi sigma is the spread of the features' frequencies on [-1, 1]: as wide a band as the target's centroid.
        options = {**plan.field.options, "sigma": target.spectrum.omega / math.pi}
        plan = replace(plan, field=replace(plan.field, options=options))
    if "sampling" in departures:
        plan = replace(plan, between="none")  # The loss chooses among the samples alone.
    settled = plan.settle(target, batch_size)
    if "constants_of" in departures:
        made_of = settled.description.network
        sine = made_of.family_class.sine_network(made_of.in_dim, made_of.settings)
        scales = scales_of_another_kind(target.spectrum, sine, departures["constants_of"])
        settled = replace(plan, law="explicit", s0=scales.s0, s1=scales.s1).settle(target, batch_size)
    return settled.with_further(departures=dict(departures)) if departures else settled


def initial_field(settled: SettledPlan, departures: Mapping[str, Any]) -> Field:
    """The fresh field, with its noise on the layers of the departure noise_layers, if there is that."""
    layers = departures.get("noise_layers")
    if not layers:
        return settled.initial_field()
    made_of, noise, order = settled.description.network, settled.description.spectrum, settled.description.order
    assert noise is not None and order is not None
    generator = torch.Generator().manual_seed(order.seed)
    field = build_field(made_of.family, made_of.in_dim, made_of.out_dim, made_of.settings, generator)
    scale_layers(field, noise.factors, noise.bias_factors)
    return noise_on_layers(field, noise.s0, noise.s1, layers, generator)


@torch.no_grad()
def noise_on_layers(field: Field, s0: float, s1: float, layers: Sequence[int], generator: torch.Generator) -> Field:
    """Adds the noise of `winner_init` to other layers than the first two, in place: scale s0 to layer 1, s1 to others.

    Args:
        field: a freshly initialised one whose family takes noise.
        s0, s1: noise scales before the division by the layer's omega_0, >= 0.
        layers: from 1 on; numbers beyond the last sine layer are left out.
        generator: source of the noise.
    """
    for number, layer in enumerate(field.layers, 1):
        if number in layers:
            scale = (s0 if number == 1 else s1) / layer.omega_0
            layer.weight.add_(torch.empty_like(layer.weight).normal_(0.0, scale, generator=generator))
    return field


def scales_of_another_kind(spectrum: TargetSpectrum, network: SineNetwork, kind: str) -> NoiseScales:
    """What the paper's law says with the constants of another kind (audio or image)."""
    return PaperLaw()(replace(spectrum, kind=kind), network)


class LossSampler:
    """Batches in which samples with a large loss are more likely: online hard example selection.

    Of `CANDIDATES` times as many samples as wanted, evenly drawn as ever, those that are trained on are chosen without
    replacement with probabilities in proportion to their squared error (Loshchilov and Hutter 2015, arXiv 1511.06343;
    Katharopoulos and Fleuret 2018, arXiv 1803.00942, whose weights that undo the bias are left out: what is hard is
    meant to count more). The forward passes that the choice costs are part of the training time.

    Args:
        target: what is fitted.
        batch_size: samples of a batch; 0 leaves nothing to choose.
        seed: of the choice.
    """

    def __init__(self, target: GridTarget, batch_size: int, seed: int) -> None:
        self.target, self.batch_size, self.seed = target, batch_size, seed
        self.candidates = SampleSplit(target.split.shape, target.split.holdout, seed)

    def batch(self, step: int, field: nn.Module, device: torch.device) -> Tuple[Tensor, Tensor]:
        """Coordinates [n, d] and target values [n, c] of a step, on the CPU."""
        x, y = self.target.at(self.candidates.batch(step, CANDIDATES * self.batch_size))
        if not 0 < self.batch_size < len(x):
            return x, y
        with torch.no_grad():
            parts = [field(part.to(device)).cpu() for part in x.split(4096)]
        chosen = chosen_by_loss((torch.cat(parts) - y).square().sum(dim=-1), self.batch_size, self.seed + step)
        return x[chosen], y[chosen]


def chosen_by_loss(losses: Tensor, count: int, seed: int) -> Int[Tensor, " k"]:
    """Numbers of `count` different samples, drawn in proportion to their losses [n]."""
    weights = losses.double().clamp(min=1e-12)
    if not torch.isfinite(weights).all():
        return torch.arange(count)
    # The largest of log(weight) + Gumbel noise are such a draw (Efraimidis and Spirakis 2006).
    noise = np.random.default_rng(seed).gumbel(size=len(weights))
    return (weights.log() + torch.from_numpy(noise)).topk(count).indices

"""Bringing a field of any family to a target's band by that family's own knob."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Dict, Optional, Tuple, Union

import torch

from winner_ns.fields.families import FAMILIES, build_field, outline
from winner_ns.fields.field import Field
from winner_ns.fields.measured_band import fresh_band, matched_knob, measured_band
from winner_ns.fields.winner_init import winner_init
from winner_ns.spectrum import SineNetwork, TargetSpectrum, kappa_of
from winner_ns.spectrum.laws import layer_two_variance
from winner_ns.spectrum.noise import NoiseReport, choose_noise


def adapt(
    family: str,
    in_dim: int,
    out_dim: int,
    settings: Dict[str, Any],
    target: TargetSpectrum,
    law: str,
    purpose: Optional[Union[str, float]] = None,
    s0: Optional[float] = None,
    s1: Optional[float] = None,
) -> Tuple[Dict[str, Any], NoiseReport]:
    """What a law makes of a family whose band no formula knows, or that is a baseline as published.

    The law matching brings the measured band of fresh fields to kappa Omega: by noise on the weights of the first
    layer, where the family's layers are sines (`Field.noise_on_request`) and their band is too narrow, else by a
    setting of it (`Field.turned`).
    Of kappa 0 they stay as they are. Other laws choose the noise alone.

    Args:
        family: its name.
        in_dim, out_dim: numbers of coordinates and values.
        settings: of the field.
        target: what is fitted.
        law, purpose, s0, s1: as for `choose_noise`.

    Returns:
        The settings that change, and what was chosen, with the measured band.

    Raises:
        ValueError: choices that cannot be, or a family that is not adapted by this law.
    """
    made_of = FAMILIES[family]
    network = outline(family, in_dim, out_dim, settings)
    if law != "matching":
        if not made_of.noise_on_request:
            what = "s0 and s1 are noise" if law == "explicit" else f"the law {law} adds noise"
            raise ValueError(f"{what}, which the family {family} does not take")
        report = choose_noise(target, _as_sines(network), law, purpose, s0, s1)
        if report.factors or report.bias_factors or report.first_omega_0:
            raise ValueError(f"the law {law} is for SIREN's weights, as the family winner has them, not for {family}")
        fresh = _noisy(family, in_dim, out_dim, settings, report.s0, report.s1, torch.Generator().manual_seed(0))
        return {}, replace(report, band=measured_band(fresh))
    if s0 is not None or s1 is not None:
        raise ValueError("the law 'matching' takes no s0 and no s1; explicit does")
    weights = sum(parameter.numel() for parameter in network.parameters())
    kappa = kappa_of(purpose, target, weights)
    wanted = kappa * target.omega
    if wanted <= 0:
        fresh = build_field(family, in_dim, out_dim, settings, torch.Generator().manual_seed(0))
        report = choose_noise(target, SineNetwork(in_dim), "explicit")
        return {}, replace(report, law=law, kappa=kappa, band=measured_band(fresh))

    def turned(knob: float, source: torch.Generator) -> Field:
        return build_field(family, in_dim, out_dim, {**settings, **made_of.turned(settings, knob, in_dim)}, source)

    if made_of.noise_on_request and fresh_band(lambda source: turned(1.0, source)) < wanted:
        changed = made_of.turned(settings, 1.0, in_dim)
        # In two dimensions and more, noise on the second layer brought FINER nothing.
        s1 = math.sqrt(2 * (layer_two_variance(target) - 1) / network.settings["width"]) if in_dim == 1 else 0.0
        noisy = {**settings, **changed}
        s0 = matched_knob(lambda knob, source: _noisy(family, in_dim, out_dim, noisy, knob, s1, source), wanted)
        fresh = _noisy(family, in_dim, out_dim, noisy, s0, s1, torch.Generator().manual_seed(0))
    else:
        s0, s1 = 0.0, 0.0
        knob = matched_knob(turned, wanted)
        changed = made_of.turned(settings, knob, in_dim)
        fresh = turned(knob, torch.Generator().manual_seed(0))
    report = replace(
        choose_noise(target, SineNetwork(in_dim), "explicit"),
        law=law,
        kappa=kappa,
        s0=s0,
        s1=s1,
        band=measured_band(fresh),
    )
    return changed, report


def _as_sines(network: Field) -> SineNetwork:
    sizes = network.settings
    return SineNetwork(network.in_dim, sizes["width"], sizes["depth"], sizes["omega_0"], sizes["first_omega_0"])


def _noisy(
    family: str,
    in_dim: int,
    out_dim: int,
    settings: Dict[str, Any],
    s0: float,
    s1: float,
    source: torch.Generator,
) -> Field:
    return winner_init(build_field(family, in_dim, out_dim, settings, source), s0, s1, source)

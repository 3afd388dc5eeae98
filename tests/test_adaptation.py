"""Families that the law matching brings to a signal's band by their own knobs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import winner_ns
from winner_ns.errors import SignalError
from winner_ns.fields import Siren, build_field
from winner_ns.fields.families import FAMILIES
from winner_ns.fields.files import load_field
from winner_ns.fields.measured_band import DRAWS, matched_knob, measured_band
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.target import target_of

ADAPTED = [name for name, made_of in FAMILIES.items() if made_of.adaptable and not made_of.takes_noise]


@pytest.fixture(scope="module")
def waves() -> np.ndarray:
    """A picture of 20 to 40 waves across, brighter at one side: 64 x 64 pixels of one channel."""
    rows, columns = np.mgrid[0:64, 0:64] / 63.0
    picture = np.sin(2 * np.pi * (9 + 4 * rows) * columns) * np.cos(2 * np.pi * 7 * rows) + columns
    return (0.5 * picture / np.abs(picture).max()).astype(np.float32)


@pytest.fixture(scope="module")
def whistle() -> tuple:
    time = np.arange(4000) / 8000
    return (0.5 * np.sin(2 * np.pi * (1000 + 900 * time) * time)).astype(np.float32), 8000


def settled(data, family, **choices):
    return FieldPlan.of(family, width=64, depth=3, **choices).settle(target_of(data))


@pytest.mark.parametrize("waves_per_unit", [(300.0,), (120.0, 50.0), (40.0, 0.0, 90.0)])
def test_the_band_of_a_wave_is_its_frequency(waves_per_unit):
    field = Siren(len(waves_per_unit), 1, width=1, depth=1, omega_0=1.0)
    with torch.no_grad():
        field.layers[0].weight.copy_(torch.tensor([waves_per_unit]))
    per_axis = math.sqrt(np.mean(np.square(waves_per_unit)))
    assert measured_band(field) == pytest.approx(per_axis, rel=0.05)


def test_a_field_that_says_nothing_has_no_band():
    field = Siren(2, 1, width=8, depth=1)
    torch.nn.init.zeros_(field.output.weight)
    assert measured_band(field) == 0.0
    torch.nn.init.constant_(field.output.weight, math.nan)
    assert measured_band(field) == math.inf


def test_the_knob_is_where_the_band_is():
    def fresh(knob, source):
        return Siren(1, 1, width=64, depth=2, first_omega_0=knob, generator=source)

    knob = matched_knob(fresh, 500.0)
    bands = [measured_band(fresh(knob, torch.Generator().manual_seed(draw))) for draw in range(DRAWS)]
    assert np.mean(bands) == pytest.approx(500.0, rel=0.05)


@pytest.mark.parametrize("family", ADAPTED)
@pytest.mark.parametrize("kappa", [0.5, 2.0])
def test_every_family_starts_with_the_band_that_is_asked_for(waves, family, kappa):
    plan = settled(waves, family, law="matching", purpose=kappa)
    report = plan.description.spectrum
    assert (report.law, report.kappa) == ("matching", kappa)
    assert report.band == pytest.approx(kappa * report.omega, rel=0.25)
    assert measured_band(plan.initial_field()) == pytest.approx(kappa * report.omega, rel=0.4)
    for name in [name for name, value in plan.settled.turned.items() if value] or ("s0",):
        assert f"{name} " in plan.lines()[2]


@pytest.mark.parametrize("family", ADAPTED)
def test_without_a_law_a_family_is_as_published(waves, family):
    plan = settled(waves, family)
    fresh = plan.initial_field()
    published = build_field(
        family, 2, 1, {"width": 64, "depth": 3}, torch.Generator().manual_seed(plan.description.order.seed)
    )
    for mine, theirs in zip(fresh.parameters(), published.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert plan.learning_rate == FAMILIES[family].learning_rate


def test_finers_biases_spread_over_a_sounds_length(whistle):
    field = settled(whistle, "finer", law="matching", purpose="fit").initial_field()
    first = field.layers[0]
    slowest = -(first.bias / first.weight[:, 0]).detach().numpy()
    assert np.abs(slowest).max() <= 1.0 + 1e-6
    assert np.histogram(slowest, bins=4, range=(-1, 1))[0].min() > 5


@pytest.mark.slow
def test_an_adapted_field_fits_what_its_published_default_cannot(whistle, tmp_path):
    """And it comes back from its file."""
    small = {"family": "rff", "width": 64, "depth": 3, "steps": 100, "progress": False, "device": "cpu"}
    published = winner_ns.fit(whistle, **small)
    adapted = winner_ns.fit(whistle, law="matching", purpose="fit", **small)
    assert adapted.figures["psnr"] > published.figures["psnr"] + 6
    adapted.save(tmp_path / "adapted.safetensors")
    again = load_field(tmp_path / "adapted.safetensors")
    assert again.description.network.settings["sigma"] == adapted.description.network.settings["sigma"]
    assert again.description.spectrum == adapted.description.spectrum


@pytest.mark.parametrize(
    ("family", "choices", "says"),
    [
        ("rff", {"purpose": "fit"}, "give the law matching"),
        ("rff", {"law": "paper"}, "adds noise, which the family rff does not take"),
        ("hash-grid", {"law": "matching"}, "no setting of this family"),
        ("finer", {"law": "matching", "s0": 3.0}, "takes no s0"),
        ("gauss", {"law": "matching", "purpose": "beautify"}, "interpolate, fit"),
    ],
)
def test_what_cannot_be_is_one_line(waves, family, choices, says):
    with pytest.raises(SignalError, match=says):
        FieldPlan.of(family, **choices).settle(target_of(waves))


def test_what_needs_no_band_stays_as_it_is(waves):
    # Of a picture with noise the purpose denoise wants a plain field.
    plain, denoising = settled(waves, "finer"), settled(waves, "finer", law="matching", purpose="denoise")
    assert denoising.description.network == plain.description.network
    report = denoising.settled.noise
    assert (report.kappa, report.s0, report.s1) == (0.0, 0.0, 0.0) and report.band > 0

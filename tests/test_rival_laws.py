"""Other people's initialisations: each against its paper's formula, in fields that are built, told and read again."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from bands import band_by_definition
from scipy.stats import wasserstein_distance

import winner_ns
from winner_ns.errors import SignalError
from winner_ns.fields import Siren, winner_init
from winner_ns.fields.description import Description
from winner_ns.fields.field import FieldTask
from winner_ns.fields.initial import initial_field
from winner_ns.fields.winner_init import scale_layers
from winner_ns.fitting.grid_target import GridTarget
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.target import TargetOptions
from winner_ns.kinds import KINDS
from winner_ns.signals import signal_of
from winner_ns.spectrum import LAWS, NoiseScales, SineNetwork, TargetSpectrum, initial_band
from winner_ns.spectrum.inspection import inspect_signal
from winner_ns.spectrum.low_frequencies import diagonal_magnitudes, low_frequencies
from winner_ns.spectrum.noise import NoiseReport, choose_noise, grid_spectrum
from winner_ns.spectrum.rival_laws import (
    CANDIDATES,
    FreshLaw,
    GradientControlLaw,
    Vi3nrLaw,
    WeightScalingLaw,
    fresh_distance,
    fresh_planes,
    spectrum_distance,
)

RIVALS = ("fresh", "gradient-control", "vi3nr", "weight-scaling")


def picture(cycles, size=32):
    """Waves of up to so many cycles over the domain."""
    line = np.linspace(-1, 1, size)
    rows, columns = np.meshgrid(line, line, indexing="ij")
    generator = np.random.default_rng(0)
    waves = [
        np.sin(np.pi * (generator.uniform(-cycles, cycles) * rows + generator.uniform(-cycles, cycles) * columns))
        for _ in range(20)
    ]
    return np.sum(waves, axis=0)[..., None]


def image_spectrum(cycles=4.0, size=32):
    return grid_spectrum("image", picture(cycles, size), (np.pi * (size - 1) / 2,) * 2)


# --- the papers' numbers ------------------------------------------------------


def test_weight_scaling_multiplies_all_weights_but_the_outputs():
    scales = WeightScalingLaw()(image_spectrum(), SineNetwork(2, depth=3))
    assert (scales.factors, scales.bias_factors, scales.first_omega_0) == ((2.5, 2.5, 2.5, 1.0), None, None)
    assert choose_noise(image_spectrum(), SineNetwork(2, depth=2), "weight-scaling", "1.5").factors == (1.5, 1.5, 1.0)


@pytest.mark.parametrize("sigma_p", [0.5, 1.0, 2.0])
def test_vi3nr_keeps_the_variance_of_the_pre_activations(sigma_p):
    """Var W = sigma_p²/(M E[sin² z]), E[sin² z] by quadrature; SIREN's is 2/M."""
    z, weights = np.polynomial.hermite_e.hermegauss(60)
    squared_sine = (np.sin(sigma_p * z) ** 2 * weights).sum() / weights.sum()
    expected = math.sqrt(sigma_p**2 / squared_sine / 2)
    factors = Vi3nrLaw(sigma_p)(image_spectrum(), SineNetwork(2, depth=4)).factors
    assert factors == (1.0, *(pytest.approx(expected, rel=1e-9),) * 4)
    assert sigma_p != 1.0 or expected == pytest.approx(1.0754, abs=1e-4)


def test_gradient_control_is_the_end_of_the_papers_curve():
    """c_b(c_w) = sqrt(1 - c_w²/3 - log(6/c_w² - 1)/2) is 0 at c_w = sqrt(3); SIREN has sqrt(6)."""
    target = replace(image_spectrum(), nyquist=100.0)
    scales = GradientControlLaw()(target, SineNetwork(2, depth=3, omega_0=20.0))
    c_w = [math.sqrt(6) * factor for factor in scales.factors[1:3]]
    assert c_w == pytest.approx([math.sqrt(3)] * 2)
    assert 1 - c_w[0] ** 2 / 3 - math.log(6 / c_w[0] ** 2 - 1) / 2 == pytest.approx(0, abs=1e-12)
    assert scales.factors[0] == 1.0 and scales.factors[3] == pytest.approx(20 * math.sqrt(0.5))
    assert scales.bias_factors == (1.0, 0.0, 0.0, 0.0)
    assert scales.first_omega_0 == 100.0
    # Points that are drawn without end, and photographs, have no Nyquist frequency.
    shape = TargetSpectrum("shape", 3, 1, 0.2, 30.0, nyquist=99.0)
    assert GradientControlLaw()(shape, SineNetwork(3)).first_omega_0 is None
    assert choose_noise(TargetSpectrum("views", 3, 3, 0.2, 30.0), SineNetwork(3), "gradient-control").s0 == 0.0


def test_the_limit_of_vi3nr_is_gradient_control():
    network = SineNetwork(2, depth=3)
    small, control = (law(image_spectrum(), network).factors for law in (Vi3nrLaw(1e-3), GradientControlLaw()))
    assert small[:3] == pytest.approx(control[:3], rel=1e-6)


# --- FreSh --------------------------------------------------------------------


def test_diagonal_magnitudes_by_hand():
    """3 cycles along the rows and 2 along the columns are all in bin 5; the constant is nowhere."""
    rows, columns = np.meshgrid(np.arange(16), np.arange(20), indexing="ij")
    plane = 7.0 + np.cos(2 * np.pi * (3 * rows / 16 + 2 * columns / 20))[..., None]
    magnitudes = diagonal_magnitudes(plane)
    assert len(magnitudes) == 8 + 10
    assert magnitudes[4] == pytest.approx(16 * 20 / 2) and np.delete(magnitudes, 4).max() < 1e-9
    # Channels add up.
    assert diagonal_magnitudes(np.concatenate([plane, plane], axis=2)) == pytest.approx(2 * magnitudes)


def test_distances_are_scipys():
    generator = np.random.default_rng(0)
    one, other = generator.uniform(size=(2, 30))
    expected = wasserstein_distance(np.arange(30), np.arange(30), one, other)
    assert spectrum_distance(one, other) == pytest.approx(expected)


def test_low_frequencies_of_large_pictures_and_of_videos():
    coarse = picture(4, 64)
    fine = coarse.repeat(32, axis=0).repeat(32, axis=1)
    one, other = (low_frequencies(each, (1.0, 1.0)) for each in (coarse, fine))
    assert other.shape == (128, 128) and one.shape == (64, 64)
    assert other.magnitudes[:8] / other.magnitudes[:8].sum() == pytest.approx(
        one.magnitudes[:8] / one.magnitudes[:8].sum(), rel=0.02
    )
    video = low_frequencies(np.stack([coarse] * 20), (3.0, 1.0, 1.0))
    assert video.magnitudes == pytest.approx(one.magnitudes)
    assert video.half_extent == pytest.approx((np.pi * 19 / 6, np.pi * 63 / 2, np.pi * 63 / 2))
    # A single row has a spectrum along itself alone.
    assert low_frequencies(coarse[:1], (0.0, 1.0)).half_extent[0] == 0.0


def test_fresh_fields_in_numpy_are_sirens():
    """Spread and band of their values are those of torch's fields."""
    measured = low_frequencies(np.random.default_rng(0).normal(size=(128, 128, 1)), (np.pi * 127 / 2,) * 2)
    planes = fresh_planes(measured, SineNetwork(2, 64, 3), 60.0, 30, np.random.default_rng(0))
    slopes = np.diff(planes, axis=0) * 127 / 2
    deviation = planes.std(axis=(0, 1))
    line = torch.linspace(-1, 1, 128)
    points = torch.cartesian_prod(line, line)
    siren = Siren(2, 30, width=64, depth=3, first_omega_0=60.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        built = siren(points).reshape(128, 128, 30).numpy()
    assert deviation.mean() == pytest.approx(built.std(axis=(0, 1)).mean(), rel=0.15)
    band = math.sqrt((slopes**2).mean() / (deviation**2).mean())
    expected = initial_band(SineNetwork(2, 64, 3, first_omega_0=60.0))
    assert band == pytest.approx(expected, rel=0.15)


def test_fresh_takes_the_nearest_candidate_and_a_higher_one_for_higher_frequencies():
    network, chosen = SineNetwork(2, 16, 3), []
    for cycles in (3, 10):
        target = image_spectrum(cycles)
        measured = target.low_frequencies()
        distances = []
        for omega in CANDIDATES:
            some = []
            for number in range(2):
                planes = fresh_planes(measured, network, omega, 5, np.random.default_rng(number))
                for k in range(5):
                    spectrum = diagonal_magnitudes(planes[:, :, k : k + 1])
                    bins = np.arange(len(spectrum))
                    some.append(wasserstein_distance(bins, bins, measured.magnitudes, spectrum))
            distances.append(np.mean(some))
            assert fresh_distance(measured, network, omega, 1) == pytest.approx(distances[-1], rel=1e-6)
        chosen.append(FreshLaw()(target, network).first_omega_0)
        assert chosen[-1] == CANDIDATES[int(np.argmin(distances))]
    assert chosen[0] < chosen[1]


def test_fresh_looks_at_the_training_samples_alone():
    """Withheld samples change nothing of what it sees, every second one or at random."""
    samples = picture(6).astype(np.float32)
    for holdout in ("0.2", "every-second"):
        seen = []
        for other in (0.0, 0.7):
            target = GridTarget.of(signal_of(samples, kind="image"), TargetOptions(holdout=holdout))
            changed = samples.copy()
            changed.reshape(-1)[target.split.is_heldout().reshape(-1)] += other
            target = GridTarget.of(signal_of(changed, kind="image"), TargetOptions(holdout=holdout))
            magnitudes = target.spectrum.low_frequencies().magnitudes
            seen.append(magnitudes / magnitudes.sum())
        assert seen[0] == pytest.approx(seen[1], rel=1e-4)


# --- fields -------------------------------------------------------------------


def settled(law, purpose=None, family="winner", spectrum=None, **network):
    plan = FieldPlan.of(family, law, purpose, width=64, depth=3, **network)
    spectrum = image_spectrum() if spectrum is None else spectrum
    return plan.settle_network(spectrum, 2, 1, FieldTask(samples=(32, 32)), KINDS["image"].training)


def described(law, **choices):
    made = settled(law, **choices)
    target = GridTarget.of(signal_of(picture(4).astype(np.float32), kind="image"), TargetOptions())
    described = FieldPlan.of("winner", width=64, depth=3).settle(target).description
    return replace(described, network=made.network, spectrum=made.noise)


@pytest.mark.parametrize("law", RIVALS)
def test_built_fields_have_the_stated_deviations(law):
    description = described(law)
    report, settings = description.spectrum, description.network.settings
    factors, bias_factors = report.factors or (1.0,) * 4, report.bias_factors or (1.0,) * 4
    field = initial_field(description, 3)
    bounds = [1 / 2, *[math.sqrt(6 / 64) / 30] * 3]
    for layer, bound, factor, bias_factor in zip((*field.layers, field.output), bounds, factors, bias_factors):
        assert layer.weight.std().item() == pytest.approx(factor * bound / math.sqrt(3), rel=0.15)
        assert layer.weight.abs().max() <= factor * bound * (1 + 1e-6)
        assert layer.bias.abs().max() <= bias_factor / math.sqrt(layer.weight.shape[1])
        assert bias_factor == 0 or layer.bias.abs().max() > 0
    assert settings["first_omega_0"] == field.layers[0].omega_0 == (report.first_omega_0 or 30.0)
    if law in ("fresh", "gradient-control"):
        assert report.first_omega_0 is not None
    # A plain SIREN's draws, scaled.
    plain = Siren(2, 1, **settings, generator=torch.Generator().manual_seed(3))
    for layer, own, factor in zip((*field.layers, field.output), (*plain.layers, plain.output), factors):
        assert torch.equal(layer.weight, own.weight * factor)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "law"),
    [
        (1, Vi3nrLaw(2.0)),
        (2, WeightScalingLaw()),
        (2, GradientControlLaw()),
        (3, WeightScalingLaw(1.5)),
        (3, Vi3nrLaw()),
    ],
)
def test_the_band_that_is_told_is_the_measured_one(d, law):
    """Within the 7 % that the closed form keeps to for plain SIREN and its noise."""
    target = TargetSpectrum("image", d, 1, 0.2, 30.0, nyquist=100.0, samples=1000)
    network = SineNetwork(d, 128, 4)
    scales = law(target, network)
    network = replace(network, first_omega_0=scales.first_omega_0 or 30.0)

    def fresh(generator):
        field = Siren(d, 4, width=128, depth=4, first_omega_0=network.first_omega_0, generator=generator).double()
        return winner_init(scale_layers(field, scales.factors, scales.bias_factors), 0.0, 0.0, generator)

    told = initial_band(network, 0.0, 0.0, scales.factors, scales.bias_factors)
    assert band_by_definition(fresh, d, seeds=8) == pytest.approx(told, rel=0.07)


def test_the_report_tells_the_band_of_what_is_built():
    network = SineNetwork(2, 64, 3)
    for law in RIVALS:
        report = choose_noise(image_spectrum(), network, law)
        built = replace(network, first_omega_0=report.first_omega_0 or network.first_omega_0)
        assert report.band == initial_band(built, 0.0, 0.0, report.factors, report.bias_factors)
        assert report.plain_band == initial_band(network)
        assert "plain SIREN" not in report.lines()[1]
    assert "weights times 3 x 2.5 1" in report.lines()[1]


@pytest.mark.parametrize("law", RIVALS)
def test_descriptions_go_round(law):
    description = described(law)
    read = Description.from_dict(json.loads(json.dumps(description.as_dict())))
    assert read == description
    first, second = (initial_field(each, 5).state_dict() for each in (description, read))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_older_descriptions_open():
    plain = described("matching").spectrum.as_dict()
    for name in ("factors", "bias_factors", "first_omega_0"):
        assert name not in plain
    assert NoiseReport.from_dict(plain).factors is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("factors", [2.5]),
        ("factors", [1.0, 0.0, 1.0]),
        ("factors", [1.0, -1.0]),
        ("factors", [1.0, float("nan")]),
        ("factors", [1.0, 1e300]),
        ("factors", [1.0, "2"]),
        ("factors", [1.0, True]),
        ("factors", "2.5"),
        ("factors", {"0": 1.0}),
        ("factors", [1.0] * 100_000),
        ("bias_factors", [0.0, -1e-9]),
        ("bias_factors", [[1.0], [1.0]]),
        ("first_omega_0", 0),
        ("first_omega_0", [30.0]),
        ("first_omega_0", float("inf")),
    ],
)
def test_hostile_descriptions_are_refused(name, value):
    plain = {**described("weight-scaling").spectrum.as_dict(), name: value}
    with pytest.raises(ValueError, match=f"the description's {name} is") as refused:
        NoiseReport.from_dict(plain)
    assert len(str(refused.value)) <= 200


def test_factors_of_other_layers_are_refused():
    description = described("weight-scaling")
    wrong = replace(description, spectrum=replace(description.spectrum, factors=(1.0, 1.0)))
    with pytest.raises(ValueError, match="2 factors for 3 layers and an output"):
        initial_field(wrong, 0)
    with pytest.raises(ValueError, match="only fields of sine layers"):
        scale_layers(winner_ns.Field(1, 1, {}), (1.0, 1.0))


# --- choices that make no sense -----------------------------------------------


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"law": "fresh", "spectrum": TargetSpectrum("shape", 3, 1, 0.2, 30.0)}, "knows no shape targets"),
        ({"law": "fresh", "spectrum": TargetSpectrum("audio", 1, 1, 0.2, 30.0)}, "knows no audio targets"),
        ({"law": "fresh", "first_omega_0": 60.0}, "chooses first_omega_0 itself"),
        ({"law": "gradient-control", "first_omega_0": 60.0}, "chooses first_omega_0 itself"),
        ({"law": "fresh", "purpose": "2"}, "takes no purpose"),
        ({"law": "gradient-control", "purpose": "fit"}, "takes no purpose"),
        ({"law": "weight-scaling", "purpose": "fit"}, "alpha, above 0"),
        ({"law": "vi3nr", "purpose": "-1"}, "sigma_p, above 0"),
        ({"law": "vi3nr", "family": "relu-pe"}, "family relu-pe"),
        ({"law": "weight-scaling", "family": "siren"}, "family siren|not for siren"),
        ({"law": "weight-scaling", "family": "finer"}, "family finer|not for finer"),
    ],
)
def test_choices_that_contradict_each_other_are_an_error_of_one_line(choices, says):
    with pytest.raises(SignalError, match=says) as refused:
        settled(**choices)
    assert "\n" not in str(refused.value)


def test_what_is_given_already_is_no_contradiction():
    chosen = settled("gradient-control").network.settings["first_omega_0"]
    assert settled("gradient-control", first_omega_0=chosen).noise.first_omega_0 == chosen
    assert settled("fresh", omega_0=20.0).network.settings["omega_0"] == 20.0


class Crooked(winner_ns.Law):
    """Gives whatever it is told to."""

    gives = NoiseScales(0.0, 0.0)

    def __call__(self, target, network):
        return self.gives


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        ({"factors": (1.0,)}, "gives 1 factors"),
        ({"factors": (1.0, 1.0, 1.0, -2.0)}, "from 1e-06"),
        ({"bias_factors": (1.0, 1.0, 1.0, math.inf)}, "from 0 to"),
        ({"first_omega_0": -1.0}, "no frequency"),
        ({"first_omega_0": math.nan}, "no frequency"),
    ],
)
def test_somebody_elses_law_gives_no_such_factors(monkeypatch, gives, says):
    monkeypatch.setattr(Crooked, "gives", NoiseScales(0.0, 0.0, **gives))
    monkeypatch.setitem(LAWS._entries, "crooked", Crooked)
    with pytest.raises(ValueError, match=says):
        choose_noise(image_spectrum(), SineNetwork(2, 64, 3), "crooked")


# --- the whole way ------------------------------------------------------------


@pytest.mark.parametrize("law", RIVALS)
def test_a_field_is_fitted_saved_and_opened(law, tmp_path):
    samples = (picture(4) / 20).astype(np.float32)
    field = winner_ns.fit(samples, kind="image", law=law, steps=20, width=16, depth=2)
    field.save(tmp_path / "field.safetensors")
    opened = winner_ns.load_field(tmp_path / "field.safetensors")
    assert opened.description.spectrum == field.description.spectrum
    assert opened.description.spectrum.law == law


def test_inspect_tells_the_network_that_is_built():
    inspection = inspect_signal(signal_of(picture(4).astype(np.float32), kind="image"), 16, 3, law="fresh")
    chosen = inspection.report.first_omega_0
    assert f"(first layer {chosen:g})" in inspection.lines()[1]
    assert inspection.as_dict()["network"]["first_omega_0"] == chosen
    with pytest.raises(SignalError, match="chooses first_omega_0 itself"):
        inspect_signal(
            signal_of(picture(4).astype(np.float32), kind="image"), 16, 3, first_omega_0=chosen + 10, law="fresh"
        )

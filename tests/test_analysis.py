"""`winner-ns analyze`: each instrument against what is known by hand or by plain autograd; verdicts; the command."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from winner_ns.analysis import analyze, kernel, subject_before_training, subject_of_run, verdict
from winner_ns.analysis.gradients import measure_gradients
from winner_ns.analysis.kernel import eigenvector_spectra, measure_kernel, tangent_kernel
from winner_ns.analysis.sampled import SampledTarget, piece_sides, sampled_target
from winner_ns.analysis.spectra import TARGET, measure_spectra
from winner_ns.analysis.statistics import layer_theory, measure_statistics
from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.fields import FAMILIES, build_field, winner_init
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.layers import OUTPUT, named_layers, neuron_bands, pre_activations
from winner_ns.fitting.collapse import CollapseWatch
from winner_ns.fitting.plan import FieldPlan
from winner_ns.samples import CHIPTUNE
from winner_ns.spectrum import SineNetwork, initial_band
from winner_ns.spectrum.expectation import NOISE_RATIO
from winner_ns.spectrum.noise import NoiseReport


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def on_grid(function, *shape: int) -> SampledTarget:
    """A target with one channel on [-1, 1]^d, its values those of a function of the coordinates."""
    return SampledTarget(shape, (1.0,) * len(shape), 1, lambda x, _: function(x)[:, None].astype(np.float32))


def small_field(family: str, in_dim: int, out_dim: int = 1, seed: int = 0) -> torch.nn.Module:
    settings = {"levels": 3, "max_resolution": 20, "log2_hashmap_size": 6} if family == "hash-grid" else {}
    settings |= {"features": 8} if family == "rff" else {}
    field = build_field(family, in_dim, out_dim, {"width": 12, "depth": 3, **settings}, generator(seed))
    return field.eval().requires_grad_(False)


class Waves(torch.nn.Module):
    """sin(a . x), as a field."""

    def __init__(self, *frequency: float) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(len(frequency), 1, bias=False)
        self.layer.weight.data = torch.tensor([frequency])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(self.layer(x))


# What is looked at ----------------------------------------------------------------------------------------------------


def test_lines_and_pieces_are_the_signals_own_samples(photo: Path) -> None:
    subject = subject_before_training(photo, FieldPlan.of(width=8))
    signal, target = subject.target.signal, sampled_target(subject.target)
    values = signal.values(torch.arange(24 * 40)).numpy().reshape(24, 40, 3)
    coordinates = signal.coordinates(torch.arange(24 * 40)).numpy().reshape(24, 40, 2)
    x, y = target.lines(0)
    assert x.shape == (40, 24, 2) and y.shape == (40, 24, 3)
    assert np.array_equal(y, values.transpose(1, 0, 2)) and np.array_equal(x, coordinates.transpose(1, 0, 2))
    x, y = target.lines(1)
    assert np.array_equal(y, values) and np.array_equal(x, coordinates)
    shape, x, y = target.piece(100)
    assert shape == (10, 10)
    # Neighbours, and of the pieces that are looked at one of the liveliest.
    corner = np.argwhere((coordinates == x[0].numpy()).all(-1))[0]
    block = values[corner[0] : corner[0] + 10, corner[1] : corner[1] + 10].reshape(100, 3)
    assert np.array_equal(y, block)
    assert y.var(axis=0).mean() > values.reshape(-1, 3).var(axis=0).mean()


def test_a_piece_takes_from_other_axes_what_one_is_too_short_for() -> None:
    assert piece_sides((150_000,), 1024) == (1024,)
    assert piece_sides((512, 512), 1024) == (32, 32)
    assert piece_sides((4, 512, 512), 1024) == (4, 16, 16)
    assert piece_sides((1, 30), 1024) == (1, 30)


def test_shapes_are_looked_at_on_the_grid_of_their_centroid(torus: Path) -> None:
    target = sampled_target(subject_before_training(torus, FieldPlan.of(width=8)).target)
    assert target.shape == (64, 64, 64)
    coordinates, values = target.lines(2)
    # Outside, at the cube's edge, and inside, within the tube.
    assert values.max() == pytest.approx(1.0) and values.min() == pytest.approx(-1.0)
    assert target.nyquist(0) == pytest.approx(math.pi * 63 / 2)
    assert np.abs(coordinates.numpy()[:, 0, 2] + 1.0).max() == 0.0


# Spectra --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "shape"), [(0, (600,)), (1, (60, 90)), (2, (20, 24, 60))])
def test_the_spectrum_of_a_wave_is_where_its_frequency_is(axis: int, shape: tuple) -> None:
    omega = 12 * math.pi  # A whole number of periods from -1 to 1, and below Nyquist.
    frequency = [0.0] * len(shape)
    frequency[axis] = omega
    target = on_grid(lambda x: 0.5 * np.sin(omega * x[:, axis]), *shape)
    spectra = measure_spectra(Waves(*frequency), target)
    if len(shape) == 1:
        peak = spectra.frequency[spectra.density[OUTPUT].argmax()]
        assert peak == pytest.approx(omega, rel=0.02)
        assert spectra.band[OUTPUT] == pytest.approx(omega, rel=0.01)
        # All of its power, within the window's width: three periods per length.
        assert np.interp(omega - 3 * math.pi, spectra.frequency, spectra.running[OUTPUT]) < 0.01
        assert np.interp(omega + 3 * math.pi, spectra.frequency, spectra.running[OUTPUT]) > 0.99
    # Along the other axes it is constant: their part of the mean square is nothing.
    assert spectra.band[TARGET] == pytest.approx(omega / math.sqrt(len(shape)), rel=0.02)
    assert spectra.density[OUTPUT].max() == pytest.approx(4.0 * spectra.density[TARGET].max(), rel=1e-3)


def test_density_integrates_to_the_variance() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.7, 4096)
    target = on_grid(lambda x: noise, 4096)
    spectra = measure_spectra(Waves(5.0), target)
    integral = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    assert integral(spectra.density[TARGET], spectra.frequency) == pytest.approx(0.49, rel=0.1)
    # White: half of the power below half of Nyquist.
    assert spectra.frequency_below_which(0.5, TARGET) == pytest.approx(target.nyquist(0) / 2, rel=0.1)


@pytest.mark.parametrize(("dimensions", "s0", "s1"), [(1, 0.0, 0.0), (1, 300.0, 0.2), (2, 40.0, 0.1)])
def test_the_initial_band_is_the_predicted_one(dimensions: int, s0: float, s1: float) -> None:
    field = build_field("siren", dimensions, 8, {"width": 128}, generator())
    winner_init(field, s0, s1, generator(1))
    shape = (4096,) if dimensions == 1 else (256, 256)
    spectra = measure_spectra(field.eval(), on_grid(lambda x: x[:, 0], *shape))
    assert spectra.band[OUTPUT] == pytest.approx(initial_band(SineNetwork(dimensions, 128), s0, s1), rel=0.2)


# Pre-activations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", list(FAMILIES))
def test_pre_activations_are_what_the_layers_compute(family: str) -> None:
    field = small_field(family, 2, 3)
    x = torch.rand(50, 2, generator=generator()) * 2 - 1
    layers = pre_activations(field, x)
    assert list(layers) == list(named_layers(field)) and layers[OUTPUT].equal(field(x))
    # The last layer's activation and the linear output give the field's values.
    activation = {
        "winner": torch.sin,
        "siren": torch.sin,
        "finer": lambda z: torch.sin((z.abs() / 30.0 + 1.0) * z),
        "gauss": lambda z: torch.exp(-((30.0 * z) ** 2)),
        "relu-pe": torch.relu,
        "rff": torch.relu,
        "hash-grid": torch.relu,
    }
    last = list(layers)[-2]
    if family == "wire":  # Complex: of the first layer, which is real, the pre-activations are known in full.
        assert torch.allclose(layers["layer 1"], field.first(x))
    else:
        output = list(named_layers(field).values())[-1]
        assert torch.allclose(output(activation[family](layers[last])), layers[OUTPUT], atol=1e-5)


@pytest.mark.slow
def test_the_band_of_a_neuron_is_that_of_its_wave() -> None:
    bands = neuron_bands(Waves(3.0, 4000.0), in_dim=2)
    assert bands[OUTPUT].tolist() == pytest.approx([math.sqrt((3**2 + 4000**2) / 4)], rel=0.05)  # cos² is 1/2.
    for family in FAMILIES:
        field = small_field(family, in_dim=2)
        assert all(torch.isfinite(band).all() and (band > 0).any() for band in neuron_bands(field, 2).values())
    field = small_field("siren", in_dim=2)
    first = 30 * field.layers[0].weight.norm(dim=1) / math.sqrt(2)
    assert neuron_bands(field, 2)["layer 1"].tolist() == pytest.approx(first.tolist(), rel=1e-6)
    assert next(field.parameters()).dtype == torch.float32  # Bands are taken of a copy.


@pytest.mark.parametrize(("dimensions", "s0", "s1"), [(1, 0.0, 0.0), (1, 500.0, 0.3), (2, 25.0, 0.125), (3, 6.0, 0.05)])
def test_standard_deviations_are_those_of_theory(dimensions: int, s0: float, s1: float) -> None:
    field = build_field("siren", dimensions, 1, {"width": 512}, generator())
    winner_init(field, s0, s1, generator(1))
    made_of = NetworkDescription.of(field, "winner")
    noise = NoiseReport(0.0, 0.0, "explicit", None, s0, s1, None, 0.0, 0.0, False)
    description = Description("image", "waves", "", made_of, {}, {}, noise)
    target = on_grid(lambda x: x[:, 0], *(64,) * dimensions)
    measured = measure_statistics(field.eval(), target, description)
    for name, theory in layer_theory(description, np.ones(dimensions)).items():
        assert measured[name].theory == theory
        assert measured[name].std == pytest.approx(theory.std, rel=0.08), name
        if dimensions < 3 or name in ("layer 1", "layer 2"):  # Further on, the cube is small beside a plain wavelength.
            assert measured[name].std_over_points == pytest.approx(theory.std_over_points, rel=0.08), name
        width = np.diff(measured[name].edges)
        assert (measured[name].histogram * width).sum() == pytest.approx(1.0, abs=0.01)
        # The distributions, not only their widths.
        assert (np.abs(measured[name].histogram - measured[name].expected) * width).sum() < 0.15, name
    # As the papers have it, biases left out.
    assert measured["layer 2"].theory.paper == pytest.approx(math.sqrt(1.0 + 512 * s1**2 / 2.0))
    assert measured["layer 2"].theory.std_over_points == pytest.approx(measured["layer 2"].theory.paper)
    assert measured["layer 3"].theory.paper == 1.0
    assert measured[OUTPUT].theory is None


# Kernel ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("family", list(FAMILIES))
def test_the_kernel_is_the_gradients_inner_products(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field = small_field(family, 2, 3)
    x = torch.rand(30, 2, generator=generator()) * 2 - 1
    # In pieces: of parameters, of points and of rows.
    monkeypatch.setattr(kernel, "GRADIENTS_KEPT", 30 * 50)
    monkeypatch.setattr(kernel, "GRADIENTS_AT_ONCE", 700)
    monkeypatch.setattr(kernel, "ROWS", 7)
    measured = tangent_kernel(field, x)
    field.requires_grad_(True)
    rows = []
    for point in x:
        gradients = torch.autograd.grad(field(point[None])[0, 0], list(field.parameters()), allow_unused=True)
        rows.append(torch.cat([g.flatten().double() for g in gradients if g is not None]))
    jacobian = torch.stack(rows)
    expected = jacobian @ jacobian.t()
    assert torch.allclose(measured, expected, rtol=1e-4, atol=float(1e-4 * expected.abs().max()))


def test_networks_that_torch_func_cannot_go_through_have_the_same_kernel() -> None:
    """As tiny-cuda-nn's, which are autograd functions of the older kind."""

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return z.sin()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.saved_tensors[0].cos()

    class Activation(torch.nn.Module):
        def forward(self, z):
            return Sine.apply(z)

    class SineOfTorch(torch.nn.Module):
        def forward(self, z):
            return z.sin()

    # In double precision, as both ways round on their own.
    first, last = torch.nn.Linear(2, 9).double(), torch.nn.Linear(9, 3).double()
    x = torch.rand(30, 2, generator=generator()).double() * 2 - 1
    one_by_one = tangent_kernel(torch.nn.Sequential(first, Activation(), last), x)
    torch.testing.assert_close(one_by_one, tangent_kernel(torch.nn.Sequential(first, SineOfTorch(), last), x))


def test_eigenvectors_spectra_are_at_their_frequencies() -> None:
    index = np.arange(64)
    waves = np.stack([np.cos(2 * np.pi * k * index / 64) for k in (0, 5, 20)], axis=1)
    frequency, spectrum = eigenvector_spectra(waves, (64,), [2 / 63])
    assert frequency[-1] == pytest.approx(np.pi * 63 / 2) and len(frequency) == 33
    assert spectrum.argmax(axis=1).tolist() == [0, 5, 20]
    assert spectrum.sum(axis=1) == pytest.approx(np.ones(3))
    # On a plane: half of the power along the axis of the wave, half at 0 along the other.
    plane = (np.cos(2 * np.pi * 4 * np.arange(16) / 16)[:, None] * np.ones((16, 8))).reshape(-1, 1)
    frequency, spectrum = eigenvector_spectra(plane, (16, 8), [0.1, 0.1])
    assert spectrum[0, :3].sum() == pytest.approx(0.5, abs=0.02)
    assert spectrum[0, 3:6].sum() == pytest.approx(0.5, abs=0.02)


def test_the_kernel_tells_what_is_learnt_first() -> None:
    """A kernel of sines: the target is one of its eigenvectors, or none."""
    field = build_field("siren", 1, 1, {"width": 64, "depth": 2}, generator()).eval()
    slow = measure_kernel(field, on_grid(lambda x: np.sin(8 * x[:, 0]), 256), 256)
    bright = measure_kernel(field, on_grid(lambda x: np.sin(390 * x[:, 0]), 256), 256)
    assert slow.energy_within(1000.0) > 0.95 and bright.energy_within(1000.0) < 0.01
    assert (np.diff(slow.eigenvalues) <= 0).all() and slow.target_energy.sum() == pytest.approx(1.0)
    assert 5 < slow.resolved < 256
    # Slow eigenvectors come first.
    mean_frequency = slow.spectrum[: slow.resolved] @ slow.frequency
    assert mean_frequency[:3].mean() < 0.5 * mean_frequency[-3:].mean()


# Gradients ------------------------------------------------------------------------------------------------------------


def test_gradient_norms_are_those_of_the_first_step(photo: Path) -> None:
    subject = subject_before_training(photo, FieldPlan.of(family="finer", width=16))
    field, target = subject.states["initial"], subject.target
    measured = measure_gradients(field, target, 200)
    assert not field.training and not any(p.requires_grad for p in field.parameters())
    field.train().requires_grad_(True)
    coordinates, values = target.batch(0, 200, 0, 1)
    loss = (field(coordinates) - values).square().mean()
    loss.backward()
    assert measured.loss == pytest.approx(loss.item(), rel=1e-4)
    for name, layer in named_layers(field).items():
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in layer.parameters()))
        assert measured.norm[name] == pytest.approx(norm, rel=1e-3)


# Subjects -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_initial_state_is_the_runs_own_bit_for_bit(family: str, tone: Path, ns_train, runs, tmp_path: Path) -> None:
    """A run that learns next to nothing keeps the weights that it started with."""
    finished = ns_train(
        "--data", tone, "--max-num-iterations", 2, "--optimizers.field.optimizer.lr", 1e-30, "--machine.seed", 5,
        "--pipeline.model.field.family", family, "--pipeline.model.field.width", 24,
        "--pipeline.datamanager.read.duration-samples", 1500, "--pipeline.write-results", False,
    )  # fmt: skip
    assert finished.status == 0, finished.errors
    subject = subject_of_run(runs()[0])
    initial, trained = (subject.states[name].state_dict() for name in ("initial", "trained"))
    assert list(initial) == list(trained) and subject.step == 1
    assert all(torch.equal(initial[name], trained[name]) for name in initial)
    assert subject.target.signal.shape == (1500,)
    # Also from the field file alone, and as a field that is yet to be trained.
    assert main(["export", "field", str(runs()[0]), "-o", str(tmp_path / "alone" / "field.safetensors")]) == 0
    again = subject_of_run(tmp_path / "alone" / "field.safetensors").states["initial"].state_dict()
    assert all(torch.equal(initial[name], again[name]) for name in initial)


@pytest.mark.slow
def test_a_run_whose_data_moved_or_changed(tone: Path, tmp_path: Path, ns_train, runs, capfd) -> None:
    few = ("--max-num-iterations", 2, "--pipeline.write-results", False)
    assert ns_train("--data", tone, *few, "--pipeline.model.field.width", 16).status == 0
    (tmp_path / "other").mkdir()
    moved = tone.rename(tmp_path / "other" / "moved.wav")
    with pytest.raises(SignalError, match="does not exist"):
        subject_of_run(runs()[0])
    assert subject_of_run(runs()[0], moved).description.name == "tone.wav"
    soundfile.write(tmp_path / "short.wav", np.sin(np.arange(900.0)), 8000)
    with pytest.raises(SignalError, match="--data"):
        subject_of_run(runs()[0], tmp_path / "short.wav")
    output = tmp_path / "analysis"
    arguments = ["analyze", runs()[0], "--data", moved, "-o", output, "--points", 64, "--json"]
    capfd.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    result = json.loads(capfd.readouterr().out)
    assert set(result["states"]) == {"initial", "trained"}
    with np.load(output / "numbers.npz") as numbers:
        assert numbers["trained/kernel/spectrum"].shape == (64, 33)


# Verdicts and the command ---------------------------------------------------------------------------------------------


def test_verdicts_of_a_bright_sound() -> None:
    plain, winner = (
        verdict(analyze(subject_before_training(CHIPTUNE, FieldPlan.of(family=family, width=64)), 128))
        for family in ("siren", "winner")
    )
    assert "times above the band of the initial field: expect the bottleneck, a collapse" in plain[0]
    assert "less than 1%" in plain[1] and "expect the bottleneck" in plain[1]
    assert not any("bottleneck" in sentence for sentence in winner)
    assert "within its reach" in winner[0]


def test_too_much_noise_is_said(tmp_path: Path) -> None:
    """Also where its aliases are all that the samples show of it."""
    noise = np.random.default_rng(0).normal(0.0, 1.0, (64, 64))
    Image.fromarray((128 + 40 * noise).clip(0, 255).astype(np.uint8)).save(tmp_path / "noise.png")
    for data, choice in (
        (tmp_path / "noise.png", FieldPlan.of(width=64, s0=3500.0, s1=1.5)),
        (CHIPTUNE, FieldPlan.of(width=64, purpose=1e9)),
    ):
        analysis = analyze(subject_before_training(data, choice), 64)
        said = verdict(analysis)
        assert "times above Nyquist: expect noise between the samples" in said[0] and "reach" not in said[0]
        assert analysis.states["initial"].spectra.band[OUTPUT] < analysis.nyquist < analysis.predicted_band


def test_too_much_noise_is_said_before_training(ns_train, capfd) -> None:
    flags = ("--pipeline.model.purpose", "100", "--pipeline.model.field.width", 16, "--max-num-iterations", 1)
    training = ns_train("--data", CHIPTUNE, *flags, "--pipeline.write-results", False)
    assert training.status == 0, training.errors
    assert main(["inspect", str(CHIPTUNE), "--purpose", "100", "--width", "16"]) == 0
    for told in (training.output, capfd.readouterr().out):
        assert re.search(r"lies \S+ times above Nyquist: expect noise between the samples", " ".join(told.split()))


@pytest.mark.slow
@pytest.mark.parametrize("law", [{}, {"purpose": 2}, {"law": "paper"}, {"law": "reference-code"}])
def test_no_law_has_too_much_noise(law: dict, photo: Path, torus: Path) -> None:
    for data in (CHIPTUNE, photo) if "law" in law else (CHIPTUNE, photo, torus):
        subject = subject_before_training(data, FieldPlan.of(**law))
        assert subject.description.spectrum.band <= NOISE_RATIO * subject.target.spectrum.nyquist


def test_a_low_share_of_the_kernel_is_said() -> None:
    plain = analyze(subject_before_training(CHIPTUNE, FieldPlan.of(family="siren", width=32)), 64)
    share = {"bottleneck": 0.05, "late": 0.2, "neither": 0.9}
    said = {}
    for name, energy in share.items():
        kernel_of = dataclasses.replace(
            plain.states["initial"].kernel,
            eigenvalues=np.r_[1.0, np.full(63, 1e-6)],
            target_energy=np.r_[energy, np.full(63, (1.0 - energy) / 63)],
        )
        state = dataclasses.replace(plain.states["initial"], kernel=kernel_of)
        said[name] = verdict(dataclasses.replace(plain, states={"initial": state}))[1]
    assert said["bottleneck"].endswith("expect the bottleneck")
    assert said["late"].startswith("20%") and "expect most of it late" in said["late"]
    assert "expect" not in said["neither"]


@pytest.mark.slow
def test_inspect_training_and_analysis_say_the_same_of_a_band(ns_train, runs, capfd, tmp_path: Path) -> None:
    """Of a small network, whose measured band is far from the predicted one."""
    omega_0 = 24.0
    field = ("--pipeline.model.field.family", "siren", "--pipeline.model.field.width", 16)
    few = ("--max-num-iterations", 2, "--pipeline.write-results", False)
    training = ns_train("--data", CHIPTUNE, *few, *field, "--pipeline.model.field.omega-0", omega_0)
    assert training.status == 0, training.errors
    told = {"training": training.output}
    for name, arguments in {
        "inspect": ["inspect", CHIPTUNE, "--law", "explicit", "--width", 16, "--omega-0", omega_0],
        "run": ["analyze", runs()[0], "--points", 16, "-o", tmp_path / "run"],
        "data": ["analyze", "--data", CHIPTUNE, "--family", "siren", "--width", 16, "--omega-0", omega_0,
                 "--points", 16, "-o", tmp_path / "data"],
    }.items():  # fmt: skip
        assert main([str(argument) for argument in arguments]) == 0
        told[name] = capfd.readouterr().out
    said = {
        name: re.search(
            r"lies (\S+) times above the band of the initial field: (.*?to about zero)", " ".join(text.split())
        )
        for name, text in told.items()
    }
    assert all(said.values()), told
    assert len({match.groups() for match in said.values()}) == 1
    assert "measured at the samples" in told["run"] and "measured at the samples" in told["data"]


@pytest.mark.slow
def test_a_field_that_is_hardly_trained_has_not_collapsed(photo: Path) -> None:
    """The same weights, after as many steps."""
    subject = subject_before_training(photo, FieldPlan.of(family="finer", width=16))
    said = {}
    for step in (9, 98, 99, None):
        states = {**subject.states, "trained": subject.states["initial"]}
        said[step] = verdict(analyze(dataclasses.replace(subject, states=states, step=step), 16))[-1]
    assert said[9].startswith("after 10 steps") and said[9].endswith("the field has not left its mean yet")
    assert said[98].endswith("the field has not left its mean yet")
    assert all("has collapsed to about its mean, or is yet to start" in said[step] for step in (99, None))


@pytest.mark.slow
def test_analyses_do_not_overwrite_each_other(
    photo: Path, tone: Path, ns_train, runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    """Of runs, of their checkpoints and of fields with other settings."""
    small = ("--data", tone, "--max-num-iterations", 4, "--steps-per-save", 2, "--save-only-latest-checkpoint", False)
    assert ns_train(*small, "--pipeline.model.field.width", 12, "--pipeline.model.field.depth", 2).status == 0
    monkeypatch.chdir(tmp_path)
    (run,) = runs()
    data = ["--data", photo, "--width", 12, "--depth", 2]
    folders = []
    for arguments in (
        [run],
        [sorted(run.glob("nerfstudio_models/*.ckpt"))[0]],
        [run / "results" / "field.safetensors"],
        data,
        [*data, "--s0", 3.5, "--s1", 0.1],
        ["--data", tone, "--width", 12, "--depth", 2, "--mono"],
    ):
        capfd.readouterr()
        assert main([str(a) for a in ("analyze", *arguments, "--points", 16, "--json")]) == 0
        folders.append(Path(json.loads(capfd.readouterr().out)["files"][-1]).parent)
    assert len(set(folders)) == len(folders)
    assert folders[0] == run / "analysis-4-steps-points=16" and folders[2].parent == run / "results"
    (tmp_path / "other").mkdir()
    photo.rename(tmp_path / "other" / "photo.png")
    capfd.readouterr()
    assert main(["analyze", "--data", "other/photo.png", "--width", "12", "--depth", "2", "--points", "16"]) == 1
    assert "photo.png; name another folder with --output" in capfd.readouterr().err
    assert str(folders[4]) == "photo-winner-width=12-depth=2-s0=3.5-s1=0.1-points=16-analysis"
    assert str(folders[5]) == "tone-winner-width=12-depth=2-mono-points=16-analysis"


@pytest.mark.slow
def test_the_command_on_an_image(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    output = tmp_path / "analysis"
    flags = ["--family", "winner", "--width", "32", "--purpose", "fit", "--seed", "3", "--points", "100"]
    assert main(["analyze", "--data", str(photo), *flags, "-o", str(output), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in result["files"]] == [
        "spectra.png",
        "pre-activations.png",
        "kernel.png",
        "numbers.npz",
    ]
    assert all(Image.open(output / name).width > 500 for name in ("spectra.png", "pre-activations.png", "kernel.png"))
    (state,) = result["states"].values()
    assert list(state["layers"]) == ["layer 1", "layer 2", "layer 3", "layer 4", "output"]
    assert state["kernel"]["shape"] == [10, 10]
    subject = subject_before_training(photo, FieldPlan.of(width=32, purpose="fit"), seed=3)
    with np.load(output / "numbers.npz") as numbers:
        assert numbers["omega"] == pytest.approx(subject.target.spectrum.omega)
        assert list(numbers["verdict"]) == result["verdict"]
        assert len(numbers["initial/spectra/density/target"]) == len(numbers["initial/spectra/frequency"])
        expected = measure_gradients(subject.states["initial"], subject.target, subject.batch_size).norm
        assert numbers["initial/gradients/norm/output"] == pytest.approx(expected["output"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["wire", "hash-grid"])
def test_the_command_on_volumes_in_svg(family: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 3, indexing="ij"))
    np.save(tmp_path / "blob.npy", np.exp(-3 * (grid**2).sum(axis=0)).astype(np.float32))
    flags = ["--family", family, "--width", "16", "--depth", "2", "--points", "64", "--format", "svg"]
    assert main(["analyze", "--data", str(tmp_path / "blob.npy"), *flags, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("verdict") == 2 and printed.count("wrote") == 4
    assert "<svg" in (tmp_path / "out" / "kernel.svg").read_text()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "nothing to analyse"),
        (["--data", "PHOTO", "--family", "mlp"], "there are winner"),
        (["--data", "PHOTO", "--family", "siren", "--s0", "5"], "--s0"),
        (["--data", "PHOTO", "--family", "rff", "--omega-0", "5"], "--omega-0"),
        (["--data", "PHOTO", "--law", "guess"], "there are matching"),
        (["--data", "PHOTO", "--s0", "5", "--law", "paper"], "explicit"),
        (["--data", "PHOTO", "--points", "9"], "--points"),
        (["--data", "PHOTO", "--start", "1"], "is for sounds"),
        (["--data", "nowhere.png"], "nowhere.png"),
        (["--data", "PHOTO", "--mono"], "--mono: is for sounds"),
        (["--data", "PHOTO", "--duration-samples", "9"], "--duration-samples: is for sounds"),
        (["--data", "PHOTO", "--width", "100000000"], "--width"),
        (["--data", "PHOTO", "--depth", "100000000"], "--depth"),
        (["--data", "PHOTO", "--seed", "99999999999999999999"], "--seed"),
        (["--data", "PHOTO", "--seed", "-1"], "--seed"),
        (["nowhere"], "no such run"),
        (["nowhere", "--family", "siren"], "--family"),
    ],
)
def test_what_cannot_be_analysed_is_one_line(flags: list, says: str, photo: Path, tmp_path: Path, capsys) -> None:
    arguments = [str(photo) if flag == "PHOTO" else flag for flag in flags]
    assert main(["analyze", *arguments, "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and says in printed.err
    assert "--pipeline" not in printed.err and not (tmp_path / "out").exists()


# Collapse while training ----------------------------------------------------------------------------------------------

_SMALL = ("--max-num-iterations", 120, "--pipeline.model.field.width", 32, "--pipeline.datamanager.batch-size", 512,
          "--pipeline.write-results", False)  # fmt: skip


@pytest.mark.slow
def test_a_collapse_is_said_once_while_training(tmp_path: Path, ns_train) -> None:
    noise = np.random.default_rng(0).uniform(-0.9, 0.9, 20000)
    soundfile.write(tmp_path / "noise.wav", noise, 8000)
    finished = ns_train("--data", tmp_path / "noise.wav", *_SMALL, "--pipeline.model.field.family", "siren")
    assert finished.status == 0, finished.errors
    assert finished.output.count("has collapsed") == 1
    assert "or use the family winner" in finished.output


@pytest.mark.slow
def test_an_ordinary_image_does_not_collapse(photo: Path, ns_train) -> None:
    for family in ("siren", "winner"):
        finished = ns_train("--data", photo, *_SMALL, "--pipeline.model.field.family", family)
        assert finished.status == 0 and "collapsed" not in finished.output


def test_of_several_fields_the_one_that_collapses_is_named() -> None:
    watch = CollapseWatch(variance=0.5, steps=200)
    told = []
    for step in range(200):
        losses = {
            "flat/mean_squared_error": torch.tensor(0.5),
            # On the plateau for 60 steps, then on its way, if slowly.
            "slow/mean_squared_error": torch.tensor(0.5 - max(step - 60, 0) * 0.002),
            # One batch in twenty is far off.
            "rough/mean_squared_error": torch.tensor(50.0 if step % 20 == 0 else 0.1),
            "diverged/mean_squared_error": torch.tensor(math.nan),
            "flat/eikonal": torch.tensor(0.5),
        }
        told += [(step + 1, name) for name in watch.see(step, losses)]
    assert told == [(100, "flat")]


def test_a_field_that_falls_back_to_the_mean_has_collapsed() -> None:
    watch = CollapseWatch(variance=1.0, steps=1000)
    losses = [0.1] * 500 + [1.0] * 500
    told = [step for step, loss in enumerate(losses) if watch.see(step, {"mean_squared_error": torch.tensor(loss)})]
    assert len(told) == 1 and 500 < told[0] < 600

"""The purpose denoise: what is withheld, what is kept, and that every program does the same."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import winner_ns
from winner_ns.commands.main import main
from winner_ns.fitting.adam import Adam
from winner_ns.fitting.best_state import withheld_tell
from winner_ns.fitting.classical_denoisers import denoised, denoisers_for
from winner_ns.fitting.fit import fit_settled, settle_fit
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.run import load_run, load_runs
from winner_ns.fitting.run_folder import RunFolder, open_run
from winner_ns.fitting.target import TargetOptions
from winner_ns.kinds import KINDS, kinds_of_files
from winner_ns.spectrum.white_noise import noise_deviation

SMALL = {"width": 16, "depth": 2, "progress": False}


@pytest.fixture
def hiss(tmp_path):
    """A slow tone with white noise of deviation 0.2."""
    seconds = np.arange(3000) / 8000
    noise = np.random.default_rng(0).normal(0, 0.2, 3000)
    soundfile.write(tmp_path / "hiss.wav", 0.6 * np.sin(2 * np.pi * 30 * seconds) + noise, 8000, subtype="FLOAT")
    return tmp_path / "hiss.wav"


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_state_nearest_to_the_withheld_samples_is_kept(hiss):
    errors, states = {}, {}

    def look(step):
        if step.step % 2:  # The hundred steps are looked at fifty times.
            return
        x, y = step.field.target.heldout_batch(10**6)
        errors[step.step] = float((step.field.network(x) - y).double().square().mean())
        states[step.step] = {name: value.clone() for name, value in step.field.network.state_dict().items()}

    # A field that is far too eager: it has fitted the noise by its end.
    eager = {"learning_rate": 2e-3, "first_omega_0": 200.0, "schedule": "constant", "width": 64, "depth": 3}
    field = winner_ns.fit(hiss, purpose="denoise", steps=101, callback=look, **{**SMALL, **eager})
    assert len(field.target.split.is_heldout().nonzero()[0]) == field.target.split.heldout_size == 150
    best = min(errors, key=errors.__getitem__)
    assert best < 90 and errors[best] < 0.9 * errors[100]
    assert all(torch.equal(value, states[best][name]) for name, value in field.network.state_dict().items())


def test_a_callback_that_ends_the_training_leaves_the_best_state(hiss):
    seen = {}

    def end(step):
        x, y = step.field.target.heldout_batch(10**6)
        seen[step.step] = float((step.field.network(x) - y).square().mean())
        return step.step == 30

    field = winner_ns.fit(hiss, purpose="denoise", steps=50, learning_rate=2e-2, callback=end, **SMALL)
    x, y = field.target.heldout_batch(10**6)
    assert float((field.network(x) - y).square().mean()) == pytest.approx(min(seen.values()), rel=1e-6)


@pytest.mark.parametrize("holdout, withheld", [(None, "0.05"), ("0.2", "0.2"), ("every-second", "every-second")])
def test_what_is_withheld_already_is_what_stops(hiss, holdout, withheld):
    settled = settle_fit(hiss, FieldPlan.of(purpose="denoise", width=8), TargetOptions(holdout=holdout or "none"))
    assert settled.description.holdout == withheld and settled.description.denoises
    other = settle_fit(hiss, FieldPlan.of(purpose="fit", width=8), TargetOptions())
    assert other.description.holdout == "none" and not other.description.denoises and other.best_state(10) is None


def test_sounds_have_the_band_of_what_noise_leaves_and_pictures_a_plain_one(hiss, photo):
    def settled(data, **choices):
        return settle_fit(data, FieldPlan.of(width=16, **choices), TargetOptions())

    sound, noisy = settled(hiss, purpose="denoise"), settled(hiss, purpose=0.35)
    # The tone is at 30 Hz, and half of the noise above 2000.
    assert sound.settled.noise.band < 0.3 * noisy.settled.noise.band
    assert (sound.learning_rate, sound.weight_decay) == (5e-4, 0.0)
    picture = settled(photo, purpose="denoise")
    assert picture.settled.noise.s0 == picture.settled.noise.s1 == 0
    # As many weights as a value of the 24 x 40 pixels in three colours has, of those that are trained on.
    weights = sum(parameter.numel() for parameter in picture.initial_field().parameters())
    assert picture.learning_rate == 5e-4
    assert picture.weight_decay == pytest.approx(min(weights / (0.95 * 24 * 40 * 3), 3.0))
    wide = settle_fit(photo, FieldPlan.of(purpose="denoise"), TargetOptions())
    assert wide.weight_decay == 3.0
    assert settled(photo).weight_decay == 0.0
    chosen = settled(photo, purpose="denoise", learning_rate=1e-3, weight_decay=0.5)
    assert (chosen.learning_rate, chosen.weight_decay) == (1e-3, 0.5)


@pytest.mark.parametrize("kind", [name for name in kinds_of_files() if KINDS[name].denoising is None])
def test_what_has_no_samples_has_no_noise(kind, torus):
    assert kind == "shape"
    with pytest.raises(winner_ns.SignalError, match="purpose: denoise is for samples on a grid, not for shapes"):
        winner_ns.fit(torus, purpose="denoise", progress=False)


def test_the_decay_of_the_weights_is_that_of_torch():
    start = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    adam, torchs = Adam([ours], 0.99, 3.0), torch.optim.AdamW([theirs], lr=1e-2, betas=(0.9, 0.99), weight_decay=3.0)
    for step in range(5):
        for parameter, optimizer in ((ours, adam), (theirs, torchs)):
            optimizer.zero_grad()
            (parameter.sin().sum() * (step + 1)).backward()
        adam.step(1e-2)
        torchs.step()
        assert torch.equal(ours, theirs)
    state = adam.state_dict(1e-2, 1e-2)
    torchs.load_state_dict(state)
    assert torchs.param_groups[0]["weight_decay"] == 3.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "audio"])
def test_fit_gives_what_ns_train_gives_bit_for_bit(kind, photo, hiss, ns_train, runs, tmp_path):
    data = {"image": photo, "audio": hiss}[kind]
    flags = ["--machine.device-type", "cpu", "--pipeline.model.purpose", "denoise", "--optimizers.field.optimizer.lr"]
    sizes = ["--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2]
    finished = ns_train("--data", data, "--max-num-iterations", 60, *sizes, *flags, 2e-2)
    assert finished.status == 0, finished.errors
    trained = load_run(runs()[0])
    fitted = winner_ns.fit(data, purpose="denoise", steps=60, learning_rate=2e-2, device="cpu", **SMALL)
    assert same_weights(trained.network, fitted.network)
    assert fitted.description.as_dict() == trained.description.as_dict()
    field = winner_ns.load_field(runs()[0] / "results" / "field.safetensors")
    assert same_weights(field.network, fitted.network)
    run = tmp_path / "run"
    command = ["fit", str(data), "-o", str(run), "--steps", "60", "--width", "16", "--depth", "2", "--quiet"]
    assert main([*command, "--purpose", "denoise", "--set", "learning_rate=2e-2"]) == 0
    assert same_weights(load_run(run).network, fitted.network)


@pytest.mark.slow
def test_a_run_goes_on_with_the_best_state_so_far_in_either_program(hiss, ns_train, runs, tmp_path):
    choices = {"purpose": "denoise", "learning_rate": 2e-2, "weight_decay": 0.5, "schedule": "constant"}
    whole = winner_ns.fit(hiss, steps=80, **choices, **SMALL).network
    plan = FieldPlan.of(purpose="denoise", learning_rate=2e-2, weight_decay=0.5, width=16, depth=2)
    for name in ("here", "there"):
        settled = settle_fit(hiss, plan, TargetOptions())
        folder = RunFolder(tmp_path / name, settled, 80, "constant")
        folder.write_config()

        def keep(training, loss, field, folder=folder):
            if training.step == 50:
                folder.write_checkpoint(training)
            return training.step == 50

        fit_settled(settled, 80, "constant", "cpu", False, after_step=keep)
    assert 0 < open_run(tmp_path / "here").state["best"]["step"] <= 50
    assert main(["fit", "--resume", str(tmp_path / "here"), "--quiet"]) == 0
    assert same_weights(load_run(tmp_path / "here").network, whole)
    flags = ["--pipeline.model.purpose", "denoise", "--pipeline.model.field.width", 16, "--machine.device-type", "cpu"]
    flags += ["--pipeline.model.field.depth", 2, "--optimizers.field.optimizer.lr", 2e-2]
    flags += ["--optimizers.field.scheduler.schedule", "constant", "--load-dir", tmp_path / "there"]
    done = ns_train("--data", hiss, "--max-num-iterations", 80, *flags)
    assert done.status == 0, done.errors
    assert same_weights(load_run(runs()[0]).network, whole)


@pytest.mark.slow
def test_in_a_comparison_each_field_keeps_its_own(hiss, ns_method, runs):
    fields = ["winner:purpose=denoise,lr=2e-2", "late=winner:purpose=fit,lr=2e-2,weight_decay=1.0"]
    flags = ["--machine.device-type", "cpu", "--pipeline.model.width", 16, "--pipeline.model.depth", 2]
    done = ns_method(
        "winner-compare", "--data", hiss, "--max-num-iterations", 60, *flags, "--pipeline.model.fields", *fields
    )
    assert done.status == 0, done.errors
    compared = load_runs(runs()[0])
    alone = winner_ns.fit(hiss, purpose="denoise", steps=60, learning_rate=2e-2, **SMALL)
    assert same_weights(compared["winner,purpose=denoise,lr=2e-2"].network, alone.network)
    late = winner_ns.fit(hiss, purpose="fit", steps=60, learning_rate=2e-2, weight_decay=1.0, holdout=0.05, **SMALL)
    assert same_weights(compared["late"].network, late.network)


def test_where_withheld_samples_do_not_tell_the_last_state_is_kept(tmp_path):
    # At two thirds of Nyquist half a line: the others say nothing of a sample that is missing to so coarse a field.
    tone = (0.7 * np.sin(0.45 * np.pi * np.arange(2000) + np.arange(2000) ** 2 * 1e-4)).astype(np.float32)
    last = {}

    def look(step):
        last.update({name: value.clone() for name, value in step.field.network.state_dict().items()})

    field = winner_ns.fit((tone, 8000), purpose="denoise", steps=40, learning_rate=1e-2, callback=look, **SMALL)
    errors = []
    x, y = field.target.heldout_batch(10**6)
    errors.append(float((field.network(x) - y).detach().square().mean()))
    assert errors[0] > 0.9 * float(y.var()) and field.target.noise_loss < 0.8 * float(y.var())
    assert field.description.denoises
    # The best state is not the last one, which is kept.
    assert all(torch.equal(value, last[name]) for name, value in field.network.state_dict().items())
    # A denoiser that sees more of it than one sample at a time is better.
    assert "wiener is better than the field" in field.target.advice(field)[0]


@pytest.mark.parametrize(
    "error, variance, noise, tells", [(0.25, 0.25, 0.05, False), (0.2, 0.25, 0.05, True), (0.25, 0.25, 0.24, True)]
)
def test_withheld_samples_tell_where_they_can_be_told_or_all_is_noise(error, variance, noise, tells):
    assert withheld_tell(error, variance, noise) == tells


def test_a_denoisers_output_is_what_is_fitted(photo, tmp_path):
    pixels = np.asarray(Image.open(photo).convert("L"), dtype=np.float64) / 127.5 - 1
    noisy = (pixels + np.random.default_rng(0).normal(0, 0.1, pixels.shape)).astype(np.float32)
    np.save(tmp_path / "noisy.npy", noisy)
    image = {"kind": "image", **SMALL}
    for purpose, denoiser in (("denoise", "nl-means"), ("fit", "tv")):
        field = winner_ns.fit(noisy, purpose=purpose, denoiser=denoiser, steps=2, batch_size=0, **image)
        values = field.original.values(torch.arange(pixels.size)).numpy().reshape(*pixels.shape, 1).astype(float)
        wanted = denoisers_for(2)[denoiser](values, noise_deviation(values))
        trained = field.target.batch(0, 0)[1].numpy().reshape(values.shape)
        np.testing.assert_allclose(trained / field.target.gain + field.target.offset, wanted, atol=1e-5)
        # It has no noise any more: nothing is withheld, and the band is that of fitting it.
        assert field.target.split.heldout_size == 0 and not field.description.denoises
        assert field.description.target["denoiser"] == denoiser
    with pytest.raises(winner_ns.SignalError, match="denoiser: 'nl-means' is none; for audio there are tv, wavelets"):
        winner_ns.fit((noisy[0].repeat(20), 8000), denoiser="nl-means", progress=False)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_denoisers_take_noise_away(dimensions, channels):
    shape = {1: (3000,), 2: (60, 50), 3: (20, 24, 22)}[dimensions]
    axes = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    clean = np.stack([np.sin(sum(axes) + channel) for channel in range(channels)], axis=-1)
    noisy = clean + np.random.default_rng(0).normal(0, 0.2, clean.shape)
    for name, denoiser in denoisers_for(dimensions).items():
        found = denoised(noisy, denoiser)
        assert found.shape == clean.shape
        assert np.mean((found - clean) ** 2) < 0.6 * np.mean((noisy - clean) ** 2), name
        # Where nothing is to be taken away, everything stays.
        flat = np.full(clean.shape, 0.3)
        np.testing.assert_array_equal(denoised(flat, denoiser), flat)


def test_the_command_says_where_a_classical_denoiser_is_better(tmp_path, capfd):
    rows, columns = np.mgrid[0:48, 0:48]
    pixels = np.where((rows // 12 + columns // 12) % 2, 200, 60) + np.random.default_rng(0).normal(0, 20, (48, 48))
    Image.fromarray(np.uint8(pixels.clip(0, 255))).save(tmp_path / "board.png")
    flags = ["--purpose", "denoise", "--steps", "3", "--width", "16", "--depth", "2", "-o", str(tmp_path / "run")]
    assert main(["fit", str(tmp_path / "board.png"), *flags]) == 0
    told = capfd.readouterr().out
    assert "NOTE      at the withheld noisy samples the classical denoiser " in told
    with_denoiser = ["--denoiser", "nl-means", "--purpose", "denoise", "--steps", "3", "--width", "16"]
    assert main(["fit", str(tmp_path / "board.png"), *with_denoiser, "-o", str(tmp_path / "other")]) == 0
    assert "classical" not in capfd.readouterr().out
    assert load_run(tmp_path / "other").description.target["denoiser"] == "nl-means"
    assert main(["fit", "--resume", str(tmp_path / "other"), "--steps", "5", "--quiet"]) == 0

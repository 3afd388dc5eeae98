"""`ns-train winner-siren` on every kind, with nothing but the file given; what it leaves; resume; evaluation."""

from __future__ import annotations

import inspect
import io
import json
import re

import numpy as np
import pytest
import soundfile
import torch
import trimesh
from conftest import in_process, run_program
from PIL import Image
from safetensors import safe_open

import winner_ns
from winner_ns.commands.main import main
from winner_ns.fields import FAMILIES
from winner_ns.fitting.run import load_run


def figures(run):
    return json.loads((run / "results" / "figures.json").read_text())


@pytest.mark.slow
def test_image_from_the_command_line_to_files(photo, tmp_path):
    """In a process of its own, exactly as a user types it."""
    finished = run_program(
        "ns-train", "winner-siren", "--data", photo, "--vis", "tensorboard", "--max-num-iterations", 60, cwd=tmp_path
    )
    assert finished.status == 0, finished.errors
    words = ("psi", "Omega", "matching, kappa 0.5: no noise needed: this is a plain SIREN", "band", "comparison.png")
    for word in (*words, "60 steps"):
        assert word in finished.output
    (run,) = (tmp_path / "outputs" / "photo" / "winner-siren").iterdir()
    # From the settled config on, the signal's own figures, and nothing of rays or of what libraries warn of.
    told = finished.output[finished.output.index("image     photo.png") :]
    assert "step 1 of 60  " in told and "Rays" not in told and "Warning" not in told
    stored = figures(run)["figures"]
    assert re.search(rf"step 60 of 60  0 s left  loss \S+  PSNR {stored['psnr']:.2f} dB  rate 0\n", told)
    name = run.relative_to(tmp_path)
    last = [f"  PSNR  {stored['psnr']:.2f} dB", f"  SSIM  {stored['ssim']:.4f}", "next:"]
    commands = [f"winner-ns view {name}", f"winner-ns export image {name} --scale 2", f"winner-ns analyze {name}"]
    assert told.splitlines()[-6:] == [*last, *(f"  {command}" for command in commands)]
    assert re.fullmatch(r"Training finished: 60 steps in \d+ s", told.splitlines()[-7])
    assert not [word for word in ("GradScaler", "requires_grad") if word in finished.errors]
    original = np.asarray(Image.open(photo)).astype(float)
    fitted = np.asarray(Image.open(run / "results" / "photo-fitted.png")).astype(float)
    assert fitted.shape == original.shape
    error = np.mean((fitted - original) ** 2)
    assert error < 0.05 * original.var()
    # The stored figure is that of the field, with the convention that is documented: the range over the error.
    table = figures(run)
    exact = winner_ns.load_field(run / "results" / "field.safetensors").grid((24, 40))
    assert table["figures"]["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((exact - original) ** 2)), abs=0.1)
    assert table["description"]["spectrum"]["law"] == "matching"
    assert {"psi", "omega", "s0", "s1", "band"} <= set(table["description"]["spectrum"])
    assert Image.open(run / "results" / "comparison.png").width > 500
    assert list(run.glob("events.out.tfevents*"))
    with safe_open(run / "results" / "field.safetensors", "pt") as file:
        assert "winner_ns" in file.metadata()


@pytest.mark.slow
def test_sound(tone, ns_train, ns_eval, runs):
    finished = ns_train("--data", tone, "--max-num-iterations", 100, "--pipeline.model.field.width", 128)
    assert finished.status == 0, finished.errors
    (run,) = runs()
    original, rate = soundfile.read(tone)
    fitted, fitted_rate = soundfile.read(run / "results" / "tone-fitted.wav")
    assert (fitted_rate, len(fitted)) == (rate, len(original))
    assert np.mean((fitted - original) ** 2) < 0.01 * np.mean(original**2)
    results = ns_eval(run)
    assert set(results) == {"psnr", "snr", "log_spectral_distance"}
    assert results == pytest.approx(figures(run)["figures"], rel=1e-4)


@pytest.mark.slow
def test_records_have_pictures_sounds_and_bands_of_the_signal(tone, photo, ns_train, runs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def recorded(data):
        few = ["--max-num-iterations", 4, "--steps-per-eval-image", 2, "--pipeline.write-results", False]
        finished = ns_train("--data", data, *few, "--pipeline.model.field.width", 8)
        assert finished.status == 0, finished.errors
        records = EventAccumulator(str(runs()[-1]))
        records.Reload()
        (picture,) = records.Images("Eval Images/comparison")
        assert picture.step == 2 and picture.width > 500
        layers = ["layer 1", "layer 2", "layer 3", "layer 4", "output"]
        assert sorted(records.Tags()["histograms"]) == [f"Bands, rad per unit/winner/{layer}" for layer in layers]
        return records

    (sound,) = recorded(tone).Audio("Eval Sounds/winner")
    assert sound.sample_rate == 8000
    assert len(soundfile.read(io.BytesIO(sound.encoded_audio_string))[0]) == 2000
    pixels = recorded(photo).Images("Eval Images/field")
    assert [(each.step, each.height, each.width) for each in pixels] == [(2, 24, 40)]


@pytest.mark.slow
def test_shape_comes_back_in_its_own_frame(torus_run, ns_eval, coarse_shapes):
    torus, run = torus_run
    original, fitted = trimesh.load(torus), trimesh.load(run / "results" / "torus-fitted.ply")
    assert fitted.is_watertight
    assert fitted.bounds == pytest.approx(original.bounds, abs=1.0)
    assert fitted.volume == pytest.approx(original.volume, rel=0.03)
    results = ns_eval(run)
    assert results["iou"] > 0.95
    assert results["normal_consistency"] > 0.98
    assert results["chamfer_percent_of_diagonal"] < 1.0


@pytest.mark.slow
def test_volume_and_video(ns_train, runs, tmp_path):
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 3, indexing="ij"))
    np.save(tmp_path / "blob.npy", np.exp(-3 * (grid**2).sum(axis=0)).astype(np.float32))
    frames = np.zeros((6, 16, 20, 3), dtype=np.uint8)
    for i, frame in enumerate(frames):
        frame[4:12, 2 + 2 * i : 8 + 2 * i] = (250, 120, 30)
    np.save(tmp_path / "moving.npy", frames)
    for name, kind in (("blob", "volume"), ("moving", "video")):
        finished = ns_train(
            "--data", tmp_path / f"{name}.npy", "--pipeline.datamanager.kind", kind, "--max-num-iterations", 60,
            "--pipeline.datamanager.batch-size", 1024, "--pipeline.model.field.width", 64,
        )  # fmt: skip
        assert finished.status == 0, finished.errors
        assert figures(runs()[-1])["figures"]["psnr"] > 20


@pytest.mark.slow
@pytest.mark.parametrize("holdout", ["0.25", "every-second"])
def test_held_out_samples_are_judged_beside_classical_interpolation(photo, ns_train, ns_eval, runs, holdout):
    finished = ns_train("--data", photo, "--max-num-iterations", 60, "--pipeline.datamanager.holdout", holdout)
    assert finished.status == 0, finished.errors
    line = r"step 1 of 60  \d+ s left  loss \S+  PSNR \S+ dB, withheld \S+ dB  rate 0.0007\n"
    assert re.search(line, finished.output)
    results = ns_eval(runs()[0])
    assert {"psnr", "psnr_heldout", "psnr_interpolation"} <= set(results)
    # Withheld samples were not trained on: the fit there is worse than at the fitted ones.
    assert results["psnr_heldout"] < results["psnr"]


@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_same_result(photo, ns_train, runs):
    """Schedule, sample order and optimiser go on: weights agree with those of the run that was left alone."""
    common = ("--data", photo, "--max-num-iterations", 60, "--pipeline.datamanager.batch-size", 300,
              "--pipeline.model.field.width", 32, "--pipeline.datamanager.holdout", 0.1)  # fmt: skip
    assert ns_train(*common, "--timestamp", "whole").status == 0
    assert (
        ns_train(*common, "--timestamp", "first", "--steps-per-save", 25, "--save-only-latest-checkpoint", False).status
        == 0
    )
    whole = next(run for run in runs() if run.name == "whole")
    first = next(run for run in runs() if run.name == "first")
    # The run as it was when it broke off after step 25.
    for checkpoint in (first / "nerfstudio_models").iterdir():
        if checkpoint.name != "step-000000025.ckpt":
            checkpoint.unlink()
    finished = ns_train(*common, "--timestamp", "resumed", "--load-dir", first / "nerfstudio_models")
    assert finished.status == 0, finished.errors
    resumed = next(run for run in runs() if run.name == "resumed")
    states = [
        torch.load(run / "nerfstudio_models" / "step-000000059.ckpt", weights_only=True) for run in (whole, resumed)
    ]
    for name, value in states[0]["pipeline"].items():
        if torch.is_tensor(value):
            assert torch.allclose(value, states[1]["pipeline"][name], rtol=1e-4, atol=1e-6), name
    assert states[0]["schedulers"]["field"]["last_epoch"] == states[1]["schedulers"]["field"]["last_epoch"] == 60
    assert figures(whole)["figures"] == pytest.approx(figures(resumed)["figures"], rel=1e-3)
    # Nothing is left to do: said in one line, and the finished checkpoint stays.
    again = ns_train(*common, "--load-dir", resumed / "nerfstudio_models")
    assert again.status == 1
    assert "larger --max-num-iterations" in again.errors
    assert (resumed / "nerfstudio_models" / "step-000000059.ckpt").exists()


def test_resuming_with_another_field_or_signal_is_refused(photo, tone, ns_train, runs):
    assert ns_train("--data", photo, "--max-num-iterations", 3, "--pipeline.model.field.width", 16).status == 0
    checkpoints = runs()[0] / "nerfstudio_models"
    wider = ns_train("--data", photo, "--max-num-iterations", 6, "--load-dir", checkpoints)
    assert wider.status == 1 and "network" in wider.errors and "Traceback" not in wider.errors
    missing = ns_train("--data", photo, "--load-dir", checkpoints.parent / "nowhere")
    assert missing.status == 1 and "nowhere" in missing.errors


@pytest.mark.slow
def test_betas_reach_the_optimiser_and_stay_those_of_the_run(photo, ns_train, runs, tmp_path):
    def betas(run):
        (checkpoint,) = (run / "nerfstudio_models").iterdir()
        state = torch.load(checkpoint, weights_only=True)["optimizers"]["field"]
        return state["param_groups"][0]["betas"]

    little = ("--data", photo, "--pipeline.model.field.width", 8, "--pipeline.model.field.depth", 2,
              "--machine.device-type", "cpu", "--pipeline.write-results", False)  # fmt: skip
    small = (*little, "--optimizers.field.scheduler.schedule", "constant")
    begun = ns_train(*small, "--max-num-iterations", 3, "--optimizers.field.optimizer.betas", 0.9, 0.95)
    assert begun.status == 0, begun.errors
    (run,) = runs()
    assert betas(run) == (0.9, 0.95)
    alike = {"width": 8, "depth": 2, "schedule": "constant", "beta2": 0.95, "progress": False, "device": "cpu"}
    fitted = winner_ns.fit(photo, steps=3, **alike).network.state_dict()
    trained = load_run(run).network.state_dict()
    assert all(torch.equal(trained[name], fitted[name]) for name in fitted)
    # A run of the other command goes on here, with nothing said of its betas.
    ours = tmp_path / "ours"
    sizes = ["--steps", "3", "--width", "8", "--depth", "2", "--beta2", "0.95", "--set", "schedule=constant"]
    assert main(["fit", str(photo), "-o", str(ours), *sizes, "--quiet"]) == 0
    resume = (*small, "--max-num-iterations", 5, "--load-dir", ours / "nerfstudio_models")
    other = ns_train(*resume, "--optimizers.field.optimizer.betas", 0.9, 0.999)
    said = "--optimizers.field.optimizer.betas: is 0.9 0.999, and the run was begun with 0.9 0.95; leave it out"
    assert other.status == 1 and said in other.errors and "Traceback" not in other.errors
    # Named, as runs that begin within a second have one name.
    resumed = ns_train(*resume, "--timestamp", "resumed")
    assert resumed.status == 0, resumed.errors
    (longer,) = [each for each in runs() if each != run]
    assert betas(longer) == (0.9, 0.95)
    # And one of here, even of another beta1, in the other command.
    odder = ("--optimizers.field.optimizer.betas", 0.8, 0.9, "--timestamp", "odd")
    assert ns_train(*little, "--max-num-iterations", 2, *odder).status == 0
    (odd,) = [each for each in runs() if each not in (run, longer)]
    assert main(["fit", "--resume", str(odd), "--steps", "3", "--quiet"]) == 0
    assert betas(odd) == (0.8, 0.9)


@pytest.mark.slow
def test_a_run_whose_data_is_gone_still_opens(photo, ns_train, runs, tmp_path):
    from nerfstudio.utils.eval_utils import eval_setup

    assert ns_train("--data", photo, "--max-num-iterations", 20, "--pipeline.model.field.width", 32).status == 0
    run = runs()[0]
    field = winner_ns.load_field(run / "results" / "field.safetensors")
    photo.unlink()
    _, pipeline, _, step = eval_setup(run / "config.yml")
    assert step == 19
    x = torch.rand(50, 2) * 2 - 1
    assert torch.allclose(pipeline.model.loaded_field(x), field(x), atol=1e-3)
    # Only what needs the data says so; in a process of its own, as a user types it.
    flags = ["--load-config", run / "config.yml", "--output-path", tmp_path / "eval.json"]
    finished = run_program("ns-eval", *flags)
    assert finished.status == 1
    assert "photo.png" in finished.errors and "Traceback" not in finished.errors
    assert not (tmp_path / "eval.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_and_exports(photo, ns_train, runs, family):
    small = ("--max-num-iterations", 30, "--pipeline.model.field.width", 64)
    finished = ns_train("--data", photo, *small, "--pipeline.model.field.family", family)
    assert finished.status == 0, finished.errors
    run = runs()[0]
    table = figures(run)
    assert table["description"]["network"]["family"] == family
    field = winner_ns.load_field(run / "results" / "field.safetensors")
    fitted = np.asarray(Image.open(run / "results" / "photo-fitted.png")).astype(float)
    assert np.abs(np.clip(field.grid((24, 40)), 0, 255) - fitted).max() <= 0.51


@pytest.mark.slow
def test_laws_and_explicit_scales_reach_the_run(tone, ns_train, runs):
    flags = ("--data", tone, "--max-num-iterations", 2, "--pipeline.model.field.width", 16)
    flags += ("--pipeline.write-results", False)
    assert ns_train(*flags, "--pipeline.model.law", "reference-code").status == 0
    spectrum = load_run(runs()[-1]).description.spectrum
    assert spectrum.s0 == pytest.approx(3500 * (1 - np.exp(-7 * spectrum.psi)))
    explicit = ("--pipeline.model.law", "explicit", "--pipeline.model.s0", 50, "--pipeline.model.s1", 0.25)
    assert ns_train(*flags, *explicit).status == 0
    spectrum = load_run(runs()[-1]).description.spectrum
    assert (spectrum.s0, spectrum.s1) == (50, 0.25)
    refused = ns_train(*flags, "--pipeline.model.s0", 50)
    assert refused.status == 1 and "explicit" in refused.errors


@pytest.mark.slow
def test_quiet_sounds_are_trained_louder_and_come_back_quiet(tmp_path, ns_train, runs):
    sound = 0.001 * np.sin(2 * np.pi * 900 * np.arange(1500) / 8000)
    sound[-1] = 0.9  # The file's peak, after which everything else is quiet.
    soundfile.write(tmp_path / "quiet.wav", sound, 8000, subtype="FLOAT")
    finished = ns_train("--data", tmp_path / "quiet.wav", "--max-num-iterations", 100,
                        "--pipeline.model.field.width", 128,
                        "--pipeline.datamanager.read.duration-samples", 1400)  # fmt: skip
    assert finished.status == 0, finished.errors
    assert "trained" in finished.output and "times larger" in finished.output
    run = runs()[0]
    fitted, _ = soundfile.read(run / "results" / "quiet-fitted.wav")
    assert np.mean((fitted - sound[:1400]) ** 2) < 0.05 * np.mean(sound[:1400] ** 2)


def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, ns_train):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture\n" * 20)
    (tmp_path / "folder").mkdir()
    Image.new("L", (8, 8), 90).save(tmp_path / "constant.png")
    Image.new("L", (1, 1), 90).save(tmp_path / "dot.png")
    soundfile.write(tmp_path / "sample.wav", np.array([0.5]), 8000)
    np.save(tmp_path / "nan.npy", np.array([[0.0, np.nan], [1.0, 2.0]]))
    (tmp_path / "faceless.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, np.sin(np.arange(4000.0)), 8000)
    (tmp_path / "header.wav").write_bytes(whole.read_bytes()[:44])
    names = ["missing.png", "empty.png", "text.png", "folder", "constant.png", "dot.png", "sample.wav", "nan.npy",
             "faceless.obj", "header.wav"]  # fmt: skip
    for name in names:
        finished = ns_train("--data", tmp_path / name)
        assert finished.status == 1, name
        assert name in finished.errors and "Traceback" not in finished.errors, finished.errors
        lines = [line for line in finished.errors.splitlines() if "error" in line]
        assert len(lines) == 1, finished.errors
    assert not (tmp_path / "outputs").exists()
    assert "--data" in ns_train().errors


def test_a_cut_sound_and_an_open_mesh_are_fitted_with_a_warning(tmp_path, ns_train):
    soundfile.write(tmp_path / "whole.wav", np.sin(np.arange(4000.0)), 8000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:3000])
    sphere = trimesh.creation.icosphere(subdivisions=3)
    open_sphere = trimesh.Trimesh(sphere.vertices, sphere.faces[8:], process=False)
    open_sphere.export(tmp_path / "open.obj")
    small = ("--max-num-iterations", 3, "--pipeline.model.field.width", 16, "--pipeline.write-results", False)
    cut = ns_train("--data", tmp_path / "cut.wav", *small)
    assert cut.status == 0 and "cut.wav" in cut.output
    unclosed = ns_train("--data", tmp_path / "open.obj", *small, "--pipeline.datamanager.shape-samples", 5000)
    assert unclosed.status == 0 and "winding number" in unclosed.output


def test_a_killed_save_leaves_the_last_whole_checkpoint(photo, ns_train, runs, monkeypatch):
    """Training dies while a checkpoint is written (a full disk): the one before it still opens."""
    real_save, saved = torch.save, []

    def failing_save(*arguments, **keywords):
        real_save(*arguments, **keywords)
        saved.append(arguments[1])
        if len(saved) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", failing_save)
    flags = ("--max-num-iterations", 30, "--steps-per-save", 10, "--pipeline.model.field.width", 8)
    finished = ns_train("--data", photo, *flags)
    assert finished.status == 1 and "cannot be written (No space left on device)" in finished.errors
    run = runs()[0]
    assert [p.name for p in (run / "nerfstudio_models").iterdir()] == ["step-000000010.ckpt"]
    assert main(["export", "field", str(run), "-o", str(run / "f.safetensors")]) == 0
    assert not list(run.glob(".unfinished*"))


def test_network_is_never_touched(photo, ns_train, monkeypatch):
    import socket

    def refuse(*arguments, **keywords):
        raise AssertionError(f"tried to connect: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert ns_train("--data", photo, "--max-num-iterations", 3, "--pipeline.model.field.width", 16).status == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["photo", "tone", "torus"])
def test_the_viewers_picture_shows_the_signal(kind, request, ns_train, runs):
    """What nerfstudio's viewer would ask of the trained model: outputs along a camera's rays, by name."""
    from nerfstudio.utils.eval_utils import eval_setup

    if kind == "torus":
        _, run = request.getfixturevalue("torus_run")
    else:
        # In so few steps, what a wide band starts with would still be all over the picture.
        flags = ("--max-num-iterations", 40, "--pipeline.write-results", False, "--pipeline.model.purpose", 0,
                 "--pipeline.model.field.width", 64, "--pipeline.datamanager.batch-size", 4096)  # fmt: skip
        assert ns_train("--data", request.getfixturevalue(kind), *flags).status == 0
        (run,) = runs()
    _, pipeline, _, _ = eval_setup(run / "config.yml")
    camera = pipeline.datamanager.train_dataset.cameras
    camera.rescale_output_resolution(0.125)  # As the viewer does where pictures take long.
    outputs = pipeline.model.get_outputs_for_camera(camera)
    height, width = int(camera.height), int(camera.width)
    assert all(value.shape[:2] == (height, width) for value in outputs.values())
    picture = outputs["shaded" if kind == "torus" else "field"]
    assert picture.shape[-1] == 3
    beside = (picture > 0.99).all(-1)
    assert 0.05 < beside.float().mean() < 0.95 and beside[0].all() and beside[:, 0].all()  # white around the signal
    assert picture[~beside].std() > 0.05
    assert torch.equal(outputs["rgb"], picture)  # what ns-render asks for


@pytest.mark.slow
def test_the_bottleneck_is_said_before_and_after_and_winner_has_none(ns_train, runs):
    """The demo's sound, 150 steps: plain SIREN stays on its plateau, WINNER is at least 20 dB ahead."""
    from winner_ns.samples import CHIPTUNE

    flags = ("--data", CHIPTUNE, "--max-num-iterations", 150, "--pipeline.model.field.width", 128,
             "--pipeline.datamanager.batch-size", 2048)  # fmt: skip
    plain = ns_train(*flags, "--pipeline.model.field.family", "siren")
    assert plain.status == 0
    assert "expect the bottleneck, a collapse" in plain.output and "hardly left its plateau" in plain.output
    winner = ns_train(*flags)
    assert winner.status == 0
    assert "collapse" not in winner.output and "plateau" not in winner.output
    results = [figures(run)["figures"]["psnr"] for run in runs()]
    assert results[1] - results[0] > 20


def test_resuming_with_other_withheld_samples_or_another_order_is_refused(photo, ns_train, runs):
    small = ("--data", photo, "--pipeline.model.field.width", 16)
    assert ns_train(*small, "--max-num-iterations", 3, "--pipeline.datamanager.holdout", 0.3).status == 0
    resume = (*small, "--max-num-iterations", 6, "--load-dir", runs()[0] / "nerfstudio_models")
    forgotten = ns_train(*resume)
    assert forgotten.status == 1 and "holdout" in forgotten.errors
    reordered = ns_train(*resume, "--pipeline.datamanager.holdout", 0.3, "--machine.seed", 7)
    assert reordered.status == 1 and "seed" in reordered.errors
    assert ns_train(*resume, "--pipeline.datamanager.holdout", 0.3).status == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--pipeline.model.field.width", 0], "width"),
        (["--max-num-iterations", 0], "max-num-iterations"),
        (["--machine.seed", -1], "seed"),
        (["--optimizers.field.optimizer.betas", 0.9, 1.0], "--optimizers.field.optimizer.betas: 1 is too large"),
        (["--optimizers.field.optimizer.betas", "nan", 0.9], "--optimizers.field.optimizer.betas: nan is not 0"),
        (["--pipeline.model.law", "paper", "--pipeline.model.field.depth", 1], "two sine layers"),
        (["--pipeline.model.field.family", "finer", "--pipeline.model.purpose", "fit"], "takes no noise"),
        (["--pipeline.datamanager.read.mono", True], "is for sounds"),
        (["--pipeline.datamanager.holdout", "most"], "every-second"),
        (["--pipeline.model.field.family", "rff", "--pipeline.model.field.options", "nonsense", 3], "nonsense"),
    ],
)
def test_flags_that_cannot_be_are_one_line_and_leave_nothing(photo, ns_train, tmp_path, flags, says):
    finished = ns_train("--data", photo, *flags)
    assert finished.status == 1
    assert says in finished.errors and "Traceback" not in finished.errors, finished.errors
    assert not (tmp_path / "outputs").exists()


def test_methods_that_could_be_installed_are_listed_and_offered(monkeypatch, capfd):
    """Listed without a look at anybody's source code, which takes seconds."""
    from nerfstudio.configs import external_methods
    from nerfstudio.scripts.train import entrypoint

    def refuse(*arguments, **keywords):
        raise AssertionError("source code was searched for")

    with monkeypatch.context() as patch:
        patch.setattr(inspect, "getmodule", refuse)
        listed, _ = external_methods.get_external_methods()
    assert len(listed) > 20 and listed["in2n"].method_name == "in2n"
    monkeypatch.setattr(external_methods.Confirm, "ask", lambda *arguments, **keywords: False)
    offered = in_process(entrypoint, "ns-train", ["in2n"], monkeypatch, capfd)
    assert offered.status == 0 and "pip install git+" in offered.output


def test_help_begins_with_the_signal_and_leaves_out_what_means_nothing_for_it(monkeypatch, capfd):
    from nerfstudio.scripts.train import entrypoint

    monkeypatch.setenv("COLUMNS", "120")
    told = in_process(entrypoint, "ns-train", ["winner-siren", "--help"], monkeypatch, capfd).output
    flags = re.findall(r"^│ (--[\w.-]+)", told, re.MULTILINE)
    assert flags[:2] == ["--data", "--max-num-iterations"]
    inert = ("prompt", "loss-coefficients", "collider", "masks", "precision", "stats", "rays-per-batch.")
    assert not [flag for flag in flags if any(word in flag for word in inert)]
    # Fields before what is for photographs alone, which says so.
    of_photographs = [f"--pipeline.{name}" for name in ("model.views.extent", "datamanager.pixel-sampler.ignore-mask")]
    assert all(flag in flags for flag in of_photographs)
    assert flags.index("--pipeline.datamanager.holdout") < flags.index("--pipeline.datamanager.images-on-gpu")
    assert flags.index("--pipeline.model.field.family") < flags.index(of_photographs[0])
    assert flags.index("--optimizers.field.optimizer.lr") < flags.index("--optimizers.color.optimizer.lr")
    assert told.count("Of posed photographs: ") >= 10


def test_integer_options_reach_a_family(photo, ns_train, runs):
    flags = ("--pipeline.model.field.family", "rff", "--pipeline.model.field.options", "features", 64)
    assert ns_train("--data", photo, "--max-num-iterations", 3, *flags).status == 0
    assert figures(runs()[0])["description"]["network"]["settings"]["features"] == 64


def test_data_that_was_replaced_is_noticed(photo, ns_train, runs, tmp_path, monkeypatch, capfd):
    from nerfstudio.scripts.eval import entrypoint

    assert ns_train("--data", photo, "--max-num-iterations", 3, "--pipeline.model.field.width", 16).status == 0
    flags = ["--load-config", runs()[0] / "config.yml", "--output-path", tmp_path / "eval.json"]
    Image.fromarray(np.arange(12 * 9, dtype=np.uint8).reshape(12, 9)).save(photo)
    for content in (None, b"cut"):
        if content:
            photo.write_bytes(content)
        finished = in_process(entrypoint, "ns-eval", flags, monkeypatch, capfd)
        assert finished.status == 1
        assert "photo.png" in finished.errors and "Traceback" not in finished.errors

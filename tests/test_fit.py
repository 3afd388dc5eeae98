"""`winner_ns.fit`: what goes in, what comes out, and that it is what ns-train gives."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import trimesh
from PIL import Image

import winner_ns
from winner_ns.commands.main import main
from winner_ns.export.results import write_results
from winner_ns.fields import mean_squared_error
from winner_ns.fitting.fit import fit_settled, settle_fit
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.run import load_run
from winner_ns.fitting.target import TargetOptions
from winner_ns.kinds import KINDS, kinds_of_files

SMALL = {"width": 16, "depth": 2, "progress": False}


@pytest.fixture
def volume(tmp_path) -> Path:
    """A small volume."""
    z, y, x = np.mgrid[0:8, 0:9, 0:10] / 5.0
    np.save(tmp_path / "volume.npy", (np.sin(2 * x * y) + np.cos(3 * z)).astype(np.float32))
    return tmp_path / "volume.npy"


@pytest.fixture
def film(tmp_path) -> Path:
    """A film of a moving disc, six frames."""
    rows, columns = np.mgrid[0:16, 0:20]
    frames = [((rows - 8) ** 2 + (columns - 3 * t) ** 2 < 16) * np.uint8(200) for t in range(6)]
    images = [Image.fromarray(np.uint8(frame)) for frame in frames]
    images[0].save(tmp_path / "film.gif", save_all=True, append_images=images[1:], duration=100)
    return tmp_path / "film.gif"


@pytest.fixture
def box(tmp_path) -> Path:
    """A mesh of twelve faces, distances to which are quickly measured."""
    mesh = trimesh.creation.box((60.0, 50.0, 40.0))
    mesh.apply_translation([100.0, -50.0, 20.0])
    mesh.export(tmp_path / "box.ply")
    return tmp_path / "box.ply"


@pytest.fixture
def files(photo, tone, box, volume, film) -> dict:
    """A small file of each kind."""
    return {"image": photo, "audio": tone, "shape": box, "volume": volume, "video": film}


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in kinds_of_files() if KINDS[kind].reader.startswith("winner_ns.")])
def test_fit_gives_what_ns_train_gives_bit_for_bit(kind, files, ns_train, runs):
    steps, flags = 12, ["--pipeline.write-results", "False", "--machine.device-type", "cpu"]
    sizes = ["--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2]
    finished = ns_train("--data", files[kind], "--max-num-iterations", steps, *sizes, *flags)
    assert finished.status == 0, finished.errors
    trained = load_run(runs()[0])
    fitted = winner_ns.fit(files[kind], steps=steps, device="cpu", **SMALL)
    assert fitted.kind == kind
    assert same_weights(trained.network, fitted.network)
    assert fitted.description.as_dict() == trained.description.as_dict()


@pytest.mark.slow
def test_what_python_holds_is_fitted_as_its_file_is(files):
    with Image.open(files["image"]) as picture:
        picture.load()
    pixels = np.asarray(picture)
    samples, rate = soundfile.read(files["audio"], dtype="int16")
    volume = np.load(files["volume"])
    mesh = trimesh.load(files["shape"])
    for kind, forms in {
        "image": [pixels, torch.from_numpy(pixels.copy()), picture],
        "audio": [(samples, rate), (rate, samples[:, None])],
        "volume": [volume, torch.from_numpy(volume), volume.astype(">f4"), np.asfortranarray(volume)],
        "shape": [mesh, trimesh.Scene(mesh)],
    }.items():
        from_file = winner_ns.fit(files[kind], steps=3, **SMALL)
        for data in forms:
            field = winner_ns.fit(data, steps=3, **SMALL)
            assert field.kind == kind
            assert same_weights(field.network, from_file.network), (kind, type(data))
            assert field.description.data == ""


@pytest.mark.parametrize(
    "shape, dtype, kind",
    [
        ((40,), np.float32, "audio"),
        ((400, 1), np.float32, "audio"),
        ((400, 2), np.int16, "audio"),
        ((20, 30), np.float64, "image"),
        ((20, 30), bool, "image"),
        ((20, 30, 1), np.uint8, "image"),
        ((20, 30, 3), np.uint8, "image"),
        ((20, 30, 4), np.float32, "image"),
        ((20, 30, 3), np.float16, "image"),
        ((8, 9, 10), np.float32, "volume"),
        ((8, 9, 10, 2), np.float32, "volume"),
    ],
)
def test_arrays_are_told_by_their_layout(shape, dtype, kind):
    array = (np.random.default_rng(0).random(shape) * 100).round()
    array = array > 50 if dtype is bool else array.astype(dtype)
    field = winner_ns.fit(array, steps=1, **SMALL)
    assert field.kind == kind
    assert field.grid(field.original.shape).shape == (*field.original.shape, field.channels)


@pytest.mark.parametrize(
    "data, said",
    [
        (None, "NoneType: is no signal"),
        ([], "holds no samples"),
        (np.zeros((0, 5)), "holds no samples"),
        ("nothing-of-that-name.png", "does not exist"),
        ("", "is a folder"),
        ("a\0b.png", "is no path"),
        (b"photo.png", "is no signal"),
        (np.ones((4, 4), complex), "complex128 instead of real numbers"),
        (np.array([1, None, "x"], object), "no array of numbers"),
        (np.array(["a", "b"]), "instead of real numbers"),
        (np.zeros((2, 2, 2, 2, 2)), "no known kind"),
        (["a.png", "b.png"], "a list of 2 paths: is no single signal"),
        ([[1, 2], [3]], "no array"),
        (np.full((8, 8), np.nan), "NaN or infinite"),
        (np.zeros((8, 8)), "same value"),
        (np.zeros((3, 32, 32), np.uint8), "channels first"),
        (np.zeros((8, 32, 32, 3), np.uint8), "a video, or a volume of colours"),
        (np.random.default_rng(0).random((900, 3)), "points of a shape, or an image"),
        ((np.random.default_rng(0).random(99), 0), "the rate is 0"),
        ((np.random.default_rng(0).random((2, 99)), 8000), "channels first"),
        (7, "is no signal"),
        ({"a": 1}, "is no signal"),
        (trimesh.Trimesh(), "has no faces"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 and value.isprintable() else "",
)
def test_what_is_no_signal_is_said_in_one_line(data, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "something").touch()
    with pytest.raises(winner_ns.SignalError) as error:
        winner_ns.fit(data, progress=False)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "choices, said",
    [
        ({"family": "sirens"}, "family: 'sirens' is none"),
        ({"law": "mine"}, "law: 'mine' is none"),
        ({"purpose": "fun"}, "purpose: the purpose must be one of"),
        ({"steps": 0}, "steps: 0 is too small"),
        ({"steps": "10"}, "steps: '10' is no whole number"),
        ({"steps": 2.5}, "steps: 2.5 is no whole number"),
        ({"width": 0}, "width: 0 is too small"),
        ({"width": "8"}, "width: '8' is no whole number"),
        ({"depth": 3.5}, "depth: 3.5 is no whole number"),
        ({"width": 8, "settings": {"width": 5}}, "width: is given twice"),
        ({"seed": None}, "seed: None is no whole number"),
        ({"seed": True}, "seed: True is no whole number"),
        ({"law": ["matching"]}, "law: ['matching'] is no word"),
        ({"family": 5}, "family: 5 is no word"),
        ({"kind": 7}, "kind: 7 is no word"),
        ({"omega_0": "x"}, "omega_0: 'x' is no number"),
        ({"omega_0": 1e300}, "omega_0: 1e+300 is too large"),
        ({"s0": -1.0}, "s0: -1.0 is not 0 or more"),
        ({"settings": 5}, "settings: 5 is no mapping"),
        ({"read": 5}, "read: 5 is no choice of a part"),
        ({"callback": 5}, "callback: 5 cannot be called"),
        ({"batch_size": 1.5}, "batch_size: 1.5 is no whole number"),
        ({"device": "meta"}, "device: nothing is computed on meta"),
        ({"depth": -1}, "depth: -1 is too small"),
        ({"width": 10**6}, "a field of 3,000,0"),
        ({"depth": 10**9}, "depth: 1000000000 is too large"),
        ({"family": "rff", "settings": {"features": 10**9}}, "a field of"),
        ({"learning_rate": -1.0}, "learning_rate: -1.0 is not above 0"),
        ({"beta2": 1.0}, "beta2: 1 is too large"),
        ({"beta2": -0.1}, "beta2: -0.1 is not 0 or more"),
        ({"beta2": "0.95"}, "beta2: '0.95' is no number"),
        ({"batch_size": -1}, "batch_size: -1 is too small"),
        ({"seed": -1}, "seed: -1 is too small"),
        ({"device": "toaster"}, "device: 'toaster' is not here"),
        ({"kind": "picture"}, "kind: 'picture' is none"),
        ({"kind": "audio"}, "cannot be read as a sound"),
        ({"holdout": 2}, "holdout: '2' is not a way"),
        ({"holdout": "most"}, "holdout: 'most' is not a way"),
        ({"schedule": "up"}, "schedule: 'up' is none"),
        ({"read": {"start": 1.0}}, "read: is for sounds"),
        ({"read": {"begin": 1.0}}, "read:"),
        ({"shape_loss": "occupancy"}, "shape_loss: is for shapes"),
        ({"family": "siren", "purpose": "fit"}, "purpose: is not for the family siren"),
        ({"family": "gauss", "omega_0": 30.0}, "omega_0: is not for the family gauss"),
        ({"settings": {"wings": 2}}, "field: winner:"),
        ({"family": "wire", "settings": {"scale": -1.0}}, "field: scale must not be negative"),
    ],
)
def test_choices_that_cannot_be_are_named(choices, said, photo):
    with pytest.raises(winner_ns.SignalError) as error:
        winner_ns.fit(photo, **{"progress": False, **choices})
    assert said in str(error.value)


def test_beta2_is_the_optimisers_and_that_of_torch(photo):
    """Three of our steps beside torch's own Adam on the same gradients."""
    plan = FieldPlan.of(beta2=0.95, width=8, depth=2)
    settled = settle_fit(photo, plan, TargetOptions())
    fitted, training = fit_settled(settled, steps=3, schedule="constant", device="cpu", progress=False)
    reference = settled.initial_field()
    optimizer = torch.optim.Adam(reference.parameters(), lr=settled.learning_rate, betas=(0.9, 0.95))
    for step in range(3):
        optimizer.zero_grad()
        mean_squared_error(reference, *settled.target.batch(step, 8192)).backward()
        optimizer.step()
    assert same_weights(fitted.network, reference)
    assert training.state_dict()["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.95)
    again = winner_ns.fit(photo, steps=3, schedule="constant", beta2=0.95, **{**SMALL, "width": 8})
    assert same_weights(fitted.network, again.network)


@pytest.mark.parametrize("family", ["winner", "finer"])
def test_beta2_is_the_kinds_where_none_is_chosen(family, tone):
    settled = settle_fit(tone, FieldPlan.of(family), TargetOptions())
    assert settled.beta2 == KINDS["audio"].training.beta2


def test_a_scene_is_for_ns_train(tmp_path):
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": []}))
    with pytest.raises(winner_ns.SignalError, match="ns-train winner-siren --data"):
        winner_ns.fit(tmp_path)


def test_a_file_that_changed_is_read_anew(tmp_path):
    path, values = tmp_path / "picture.npy", np.random.default_rng(0).random((12, 12)).astype(np.float32)
    np.save(path, values)
    before, state = winner_ns.fit(path, steps=1, **SMALL).original.samples.copy(), path.stat()
    np.save(path, 1 - values)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # Nothing but the content tells.
    after = winner_ns.fit(path, steps=1, **SMALL).original.samples
    np.testing.assert_allclose(after, 1 - before, rtol=1e-6)


def test_a_callback_sees_each_step_and_may_end_the_training(photo):
    seen = []

    def stop_at_five(state: winner_ns.FitStep) -> bool:
        seen.append((state.step, float(state.loss), state.field.steps))
        return state.step == 5

    field = winner_ns.fit(photo, steps=50, callback=stop_at_five, **SMALL)
    assert [step for step, _, _ in seen] == [1, 2, 3, 4, 5] == [steps for _, _, steps in seen]
    assert field.steps == 5 and seen[-1][1] < seen[0][1]


def test_an_interrupted_fit_gives_the_field_as_it_is(photo):
    def interrupt(state: winner_ns.FitStep) -> None:
        if state.step == 7:
            raise KeyboardInterrupt

    field = winner_ns.fit(photo, steps=50, callback=interrupt, **SMALL)
    assert field.steps == 7 and field.figures["psnr"] > 0
    assert not any(parameter.requires_grad for parameter in field.network.parameters())


def test_withheld_samples_and_part_of_a_sound(tone):
    read = {"start": 0.05, "duration": 0.1}
    field = winner_ns.fit(tone, steps=2, holdout=0.25, read=read, **SMALL)
    assert {"psnr_heldout", "psnr_interpolation"} <= set(field.figures)
    assert field.original.shape == (800,) and field.signal["start"] == 0.05
    assert field.target.train_size == 600


@pytest.mark.slow
def test_a_field_is_saved_as_itself_and_as_what_it_was_fitted_to(files, tmp_path, coarse_shapes):
    for kind, suffix in {"image": ".png", "audio": ".wav", "volume": ".npy", "video": ".npy", "shape": ".stl"}.items():
        steps = 30 if kind == "shape" else 2
        field = winner_ns.fit(files[kind], steps=steps, **{**SMALL, "width": 48})
        written = field.save(tmp_path / f"saved-{kind}{suffix}")
        assert written.stat().st_size > 500
        again = winner_ns.load_field(field.save(tmp_path / f"{kind}.safetensors"))
        assert same_weights(again.network, field.network)
    with pytest.raises(winner_ns.SignalError, match="cannot be written as .doc"):
        field.save(tmp_path / "shape.doc")


def test_numbers_of_numpy_and_torch_are_plain_in_the_file(photo, tmp_path):
    numbers = {"s0": np.float32(3), "s1": torch.tensor(0.25), "batch_size": np.int64(50), "seed": np.int32(7)}
    field = winner_ns.fit(photo, steps=np.int64(2), width=np.int16(8), depth=2, progress=False, **numbers)
    again = winner_ns.load_field(field.save(tmp_path / "field.safetensors"))
    assert again.description == field.description
    assert (field.description.spectrum.s0, field.description.order.batch_size) == (3.0, 50)


def test_figures_follow_the_training(photo):
    seen = []
    field = winner_ns.fit(photo, steps=30, callback=lambda state: seen.append(state.field.figures["psnr"]), **SMALL)
    assert len(set(seen)) == 30 and field.figures["psnr"] == seen[-1]


@pytest.mark.slow
def test_figures_files_and_pictures_share_one_evaluation(photo, tone, tmp_path):
    evaluated = []
    for data, samples in ((photo, 24 * 40), (tone, 2000)):
        field = winner_ns.fit(data, steps=2, **SMALL)
        evaluated.clear()
        field.network.register_forward_hook(lambda module, given, values: evaluated.append(len(given[0])))
        known = field.figures["psnr"]
        write_results(field, tmp_path / data.stem, field.original)
        assert sum(evaluated) == samples
        next(field.network.parameters()).data.mul_(1.5)
        assert field.target.figures(field)["psnr"] != known and sum(evaluated) == 2 * samples


def test_a_notebook_shows_the_fit(files):
    for kind, shown in {"image": "<img", "audio": "<audio", "volume": "<img", "video": "<img"}.items():
        html = winner_ns.fit(files[kind], steps=2, **SMALL)._repr_html_()
        assert shown in html and "psnr" in html and "<script" not in html


# The command ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_leaves_a_run_that_all_other_commands_open(photo, tmp_path, ns_eval, capfd):
    run = tmp_path / "run"
    assert (
        main(["fit", str(photo), "-o", str(run), "--steps", "60", "--width", "24", "--set", "learning_rate=2e-3"]) == 0
    )
    told, lines = capfd.readouterr()
    assert told.startswith("image     photo.png: 24 x 40, 3 channel(s)") and "Adam at 0.002" in told
    figures = json.loads((run / "results" / "figures.json").read_text())
    psnr = f"{figures['figures']['psnr']:.2f} dB"
    assert re.search(rf"step 60 of 60  0 s left  loss \S+  PSNR {psnr}  rate 0\n", lines)
    assert "Training finished: 60 steps in " in told and f"  PSNR  {psnr}\n" in told
    assert told.endswith(
        f"  winner-ns view {run}\n  winner-ns export image {run} --scale 2\n  winner-ns analyze {run}\n"
    )
    assert figures["steps"] == 60
    np.testing.assert_allclose(ns_eval(run)["psnr"], figures["figures"]["psnr"], atol=1e-4)
    for command in (
        ["export", "image", str(run), "-o", str(tmp_path / "photo.tiff")],
        ["export", "field", str(run), "-o", str(tmp_path / "photo.safetensors")],
        ["analyze", str(run), "--points", "64"],
        ["compare", str(run), str(tmp_path / "photo.safetensors"), "--json"],
    ):
        assert main(command) == 0, capfd.readouterr().err
    from nerfstudio.utils.eval_utils import eval_setup

    config, pipeline, checkpoint, step = eval_setup(run / "config.yml", test_mode="inference")
    assert step == 59 and checkpoint.parent.parent == run.resolve()
    assert config.pipeline.datamanager.batch_size == 8192 and config.optimizers["field"]["optimizer"].lr == 2e-3
    picture = pipeline.model.get_outputs_for_camera(pipeline.datamanager.train_dataset.cameras[0:1])["field"]
    assert picture.std() > 0.05
    # It is never written over.
    assert main(["fit", str(photo), "-o", str(run)]) == 1
    assert "is there already" in capfd.readouterr().err


@pytest.mark.slow
def test_runs_go_on_bit_for_bit_in_either_program(photo, tmp_path, ns_train, runs, capfd):
    whole = winner_ns.fit(photo, steps=20, **SMALL)
    sizes = ["--width", "16", "--depth", "2"]
    assert main(["fit", str(photo), "-o", str(tmp_path / "half"), "--steps", "20", *sizes]) == 0
    assert same_weights(load_run(tmp_path / "half").network, whole.network)
    assert main(["fit", "--resume", str(tmp_path / "half")]) == 1
    assert "has been trained for 20 steps" in capfd.readouterr().err
    constant = ["--set", "schedule=constant"]  # So that the length of a run does not matter to its first steps.
    assert main(["fit", str(photo), "-o", str(tmp_path / "first"), "--steps", "8", *sizes, *constant]) == 0
    assert main(["fit", str(photo), "-o", str(tmp_path / "all"), "--steps", "16", *sizes, *constant]) == 0
    flags = ["--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2, "--machine.device-type", "cpu"]
    schedule = ["--optimizers.field.scheduler.schedule", "constant", "--max-num-iterations", 16]
    resumed = ns_train("--data", photo, *flags, *schedule, "--load-dir", tmp_path / "first" / "nerfstudio_models")
    assert resumed.status == 0, resumed.errors
    all_steps = load_run(tmp_path / "all").network
    assert same_weights(load_run(runs()[0]).network, all_steps)
    assert main(["fit", "--resume", str(tmp_path / "first"), "--steps", "16"]) == 0
    assert same_weights(load_run(tmp_path / "first").network, all_steps)


@pytest.mark.slow
def test_runs_of_ns_train_go_on_here_where_they_are_trained_alike(photo, tmp_path, ns_train, runs, capfd):
    sizes = ["--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2, "--machine.device-type", "cpu"]
    common = ["--data", photo, "--max-num-iterations", 8, *sizes, "--pipeline.write-results", "False"]
    assert ns_train(*common).status == 0
    (run,) = runs()
    config = (run / "config.yml").read_text()
    ours = tmp_path / "ours"
    assert main(["fit", str(photo), "-o", str(ours), "--steps", "8", "--width", "16", "--depth", "2"]) == 0
    for folder in (run, ours):
        assert main(["fit", "--resume", str(folder), "--steps", "12", "--quiet"]) == 0
    assert same_weights(load_run(run).network, load_run(ours).network)
    assert (run / "config.yml").read_text() == config
    for flags in (
        ["--optimizers.field.scheduler.schedule", "step"],
        ["--optimizers.field.optimizer.max-norm", 0.1],
    ):
        assert ns_train(*common, *flags).status == 0
        capfd.readouterr()
        assert main(["fit", "--resume", str(runs()[-1]), "--steps", "12"]) == 1
        assert "ns-train winner-siren --load-dir" in capfd.readouterr().err


def test_a_run_goes_on_with_its_beta2(photo, tmp_path):
    run, sizes = tmp_path / "run", ["--width", "8", "--depth", "2", "--set", "schedule=constant", "--quiet"]
    assert main(["fit", str(photo), "-o", str(run), "--steps", "3", "--beta2", "0.5", *sizes]) == 0
    assert main(["fit", "--resume", str(run), "--steps", "6", "--quiet"]) == 0
    small = {"width": 8, "depth": 2, "progress": False, "schedule": "constant"}
    losses: list = []
    small["callback"] = lambda step: losses.append(float(step.loss))
    whole, other = (winner_ns.fit(photo, steps=6, beta2=beta2, **small).network for beta2 in (0.5, None))
    assert same_weights(load_run(run).network, whole) and not same_weights(whole, other)
    # The curve is that of all steps, whichever program has made them.
    curve = json.loads((run / "results" / "figures.json").read_text())["curve"]
    assert curve["step"] == [1, 2, 3, 4, 5, 6] and curve["loss"] == losses[:6]


@pytest.mark.slow
def test_a_complete_run_whose_results_are_missing_is_finished(photo, tmp_path, capsys):
    run, sizes = tmp_path / "run", ["--steps", "5", "--width", "8", "--quiet"]
    assert main(["fit", str(photo), "-o", str(run), *sizes]) == 0
    written = sorted(path.name for path in (run / "results").iterdir())
    told = json.loads((run / "results" / "figures.json").read_text())
    for path in (run / "results").iterdir():
        path.unlink()
    assert main(["fit", "--resume", str(run), "--quiet"]) == 0
    assert json.loads((run / "results" / "figures.json").read_text())["curve"] == told["curve"]
    assert sorted(path.name for path in (run / "results").iterdir()) == written
    assert main(["fit", "--resume", str(run)]) == 1
    assert "has been trained for 5 steps" in capsys.readouterr().err
    # One bit of the field that was written is another now.
    field = run / "results" / "field.safetensors"
    whole, network = field.read_bytes(), winner_ns.load_field(field).network
    field.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    assert main(["fit", "--resume", str(run), "--quiet"]) == 0
    again = winner_ns.load_field(field).network.state_dict()
    assert all(weight.equal(again[name]) for name, weight in network.state_dict().items())


@pytest.mark.slow
def test_names_and_numbers_that_yaml_reads_otherwise_survive(tmp_path):
    path, rows = tmp_path / "a: b # 😀 'x\".npy", np.mgrid[0:12, 0:12]
    np.save(path, (1e-5 * np.sin(rows[0] * rows[1] / 9)).astype(np.float32))
    run = tmp_path / "my run"
    sizes = ["--steps", "2", "--width", "8", "--set", "learning_rate=0.00001"]
    assert main(["fit", str(path), "-o", str(run), *sizes]) == 0
    from nerfstudio.utils.eval_utils import eval_setup

    config, pipeline, _, _ = eval_setup(run / "config.yml", test_mode="test")
    assert config.optimizers["field"]["optimizer"].lr == 1e-5
    assert pipeline.datamanager.need_target().signal.path == path


@pytest.mark.slow
def test_the_command_stops_at_ctrl_c_and_says_how_to_go_on(photo, tmp_path):
    program = Path(sys.executable).parent / "winner-ns"
    run = tmp_path / "run"
    process = subprocess.Popen(
        [program, "fit", photo, "-o", run, "--steps", "1000000", "--width", "8"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "step 1 of" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"winner-ns fit --resume {run}" in errors and "Traceback" not in errors
    made = load_run(run).step + 1
    assert made > 1
    assert main(["fit", "--resume", str(run), "--steps", str(made + 3), "--quiet"]) == 0
    assert load_run(run).step == made + 2


@pytest.mark.parametrize(
    "flags, said",
    [
        ([], "wants one thing to fit"),
        (["--family", "sirens"], "--family: 'sirens' is none"),
        (["--set", "omega_0=x"], "--set omega_0: 'x' is no number"),
        (["--set", "wings=2"], "wings"),
        (["--beta2", "1"], "--beta2: 1 is too large"),
        (["--start", "1"], "--start: is for sounds"),
        (["--holdout", "most"], "--holdout: 'most' is not a way"),
        (["--device", "toaster"], "--device: 'toaster' is not here"),
        (["--resume", "nowhere"], "nowhere: no such run"),
    ],
)
def test_flags_that_cannot_be_are_one_line_and_leave_nothing(flags, said, photo, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = [str(photo)] if flags else []
    assert main(["fit", *thing, *flags, "--quiet"]) == 1
    errors = capsys.readouterr().err
    assert said in errors and errors.count("\n") == 1
    assert not (tmp_path / "outputs").exists()

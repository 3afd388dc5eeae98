"""Runs open, go on and are exported from any folder, also where they or their data were moved to."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import in_process

from winner_ns.commands.main import main
from winner_ns.fitting.run import load_run

SMALL = ("--max-num-iterations", 3, "--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2)


@pytest.fixture
def begun(photo, tmp_path, monkeypatch, capfd):
    """Runs of `ns-train` and of `winner-ns fit`, by relative names all of them, and then another working folder."""
    from nerfstudio.scripts.train import entrypoint

    monkeypatch.chdir(tmp_path)
    flags = ["winner-siren", "--vis", "tensorboard", "--data", photo.name, *SMALL]
    assert in_process(entrypoint, "ns-train", flags, monkeypatch, capfd).status == 0
    (trained,) = Path("outputs").glob("photo/winner-siren/*")
    assert main(["fit", photo.name, "-o", "fitted", "--steps", "3", "--width", "16", "--depth", "2", "--quiet"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return {"ns-train": tmp_path / trained, "fit": tmp_path / "fitted"}


def weights_that_nerfstudio_opens(run: Path) -> torch.Tensor:
    """Of a run's first layer, as ns-viewer, ns-eval, ns-render and ns-export open it; they say of which checkpoint."""
    from nerfstudio.utils.eval_utils import eval_setup

    config, pipeline, checkpoint, _ = eval_setup(run / "config.yml", test_mode="inference")
    assert checkpoint.resolve().is_relative_to(run.resolve()) and config.get_base_dir().samefile(run)
    return next(pipeline.model.field.parameters()).detach().clone()


def change_weights(run: Path) -> None:
    """Makes a run another than the one that it is a copy of."""
    (path,) = (run / "nerfstudio_models").glob("*.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    for name, value in checkpoint["pipeline"].items():
        if name.startswith("_model.field."):
            checkpoint["pipeline"][name] = value + 1.0
    torch.save(checkpoint, path)


@pytest.mark.slow
@pytest.mark.parametrize("made_by", ["ns-train", "fit"])
def test_runs_open_from_other_folders_copied_and_moved(made_by, begun, tmp_path, ns_eval, monkeypatch, capfd):
    run = begun[made_by]
    first = weights_that_nerfstudio_opens(run)
    copy = tmp_path / "copies" / "of a run"
    shutil.copytree(run, copy)
    change_weights(copy)
    # Were it found by its names, or by the place that it was made in, these would be the original's.
    assert torch.equal(weights_that_nerfstudio_opens(copy), first + 1.0)
    monkeypatch.chdir(copy.parent)
    assert torch.equal(weights_that_nerfstudio_opens(Path("of a run")), first + 1.0)
    monkeypatch.chdir(copy)
    assert torch.equal(weights_that_nerfstudio_opens(Path(".")), first + 1.0)
    assert torch.equal(weights_that_nerfstudio_opens(run), first)
    # The data is where it was, by its whole path.
    assert ns_eval(run)["psnr"] != ns_eval(copy)["psnr"]
    moved = run.rename(tmp_path / "moved")
    assert torch.equal(weights_that_nerfstudio_opens(moved), first)
    assert main(["export", "image", str(moved), "-o", str(tmp_path / "moved.png")]) == 0
    # A config that was copied without checkpoints opens nothing.
    (tmp_path / "alone").mkdir()
    shutil.copy(copy / "config.yml", tmp_path / "alone")
    with pytest.raises(SystemExit):
        weights_that_nerfstudio_opens(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.parametrize("made_by", ["ns-train", "fit"])
def test_a_config_trains_again_in_a_folder_of_its_own(made_by, begun, tmp_path, ns_method, runs, capfd):
    run = begun[made_by]
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    finished = ns_method("winner-siren", "--load-config", run / "config.yml")
    assert finished.status == 0, finished.errors
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (again,) = Path("outputs").glob("photo/winner-siren/*")
    first, second = load_run(run), load_run(again)
    assert first.step == second.step == 2
    coordinates = np.random.default_rng(0).uniform(-1, 1, (100, 2)).astype(np.float32)
    assert np.allclose(first(coordinates), second(coordinates), atol=1e-3)


@pytest.mark.slow
def test_runs_go_on_where_they_were_moved_to(begun, photo, tmp_path, ns_method, capfd):
    fitted = begun["fit"].rename(tmp_path / "moved")
    assert main(["fit", "--resume", str(fitted), "--steps", "5", "--quiet"]) == 0
    assert load_run(fitted).step == 4
    there = photo.rename(tmp_path / "elsewhere" / "renamed.png")
    capfd.readouterr()
    assert main(["fit", "--resume", str(fitted), "--steps", "7"]) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and f"{photo}: does not exist" in said and "winner-ns fit FILE --resume RUN" in said
    assert main(["fit", "renamed.png", "--resume", str(fitted), "--steps", "7", "--quiet"]) == 0
    assert load_run(fitted).step == 6 and load_run(fitted).description.data == str(there)
    assert main(["fit", "--resume", str(fitted), "--steps", "8", "--quiet"]) == 0  # Its new place is known.
    trained = begun["ns-train"].rename(tmp_path / "trained")
    flags = ("--data", "renamed.png", "--load-dir", trained / "nerfstudio_models", "--max-num-iterations", 5)
    finished = ns_method("winner-siren", *SMALL[2:], *flags)
    assert finished.status == 0, finished.errors


@pytest.mark.slow
def test_without_its_data_a_run_says_so_where_it_is_needed(begun, photo, tmp_path, monkeypatch, capfd):
    from nerfstudio.scripts.eval import entrypoint

    photo.unlink()
    for run in begun.values():
        weights_that_nerfstudio_opens(run)
        flags = ["--load-config", run / "config.yml", "--output-path", tmp_path / "eval.json"]
        finished = in_process(entrypoint, "ns-eval", flags, monkeypatch, capfd)
        assert finished.status == 1 and not (tmp_path / "eval.json").exists()
        last = finished.errors.strip().splitlines()[-1]
        assert f"{photo}: does not exist" in last and "Traceback" not in finished.errors
        assert main(["export", "image", str(run), "-o", f"{run.name}.png"]) == 0
        capfd.readouterr()
        assert main(["analyze", str(run)]) == 1
        said = capfd.readouterr().err
        assert said.count("\n") == 1 and f"{photo}: does not exist" in said and "--data" in said


@pytest.mark.slow
def test_two_runs_resumed_in_one_second_have_a_folder_each(begun, photo, tmp_path, ns_method, runs, monkeypatch):
    from datetime import datetime

    from nerfstudio.configs import experiment_config

    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 1)

    monkeypatch.setattr(experiment_config, "datetime", Stopped)
    flags = ("--data", photo, *SMALL[2:], "--load-dir", begun["ns-train"] / "nerfstudio_models")
    for steps in (4, 5):
        assert ns_method("winner-siren", *flags, "--max-num-iterations", steps).status == 0
    resumed = sorted(run for run in runs() if run != begun["ns-train"])
    assert [run.name for run in resumed] == ["2026-01-01_000000", "2026-01-01_000000-2"]
    assert [load_run(run).step for run in resumed] == [3, 4]


@pytest.mark.slow
def test_where_a_training_cannot_write_is_told_in_one_line(photo, tmp_path, ns_method):
    (tmp_path / "file").write_text("a user's")
    finished = ns_method("winner-siren", "--data", photo, *SMALL, "--output-dir", tmp_path / "file" / "outputs")
    last = finished.errors.strip().splitlines()[-1]
    assert finished.status == 1 and f"{tmp_path / 'file'} is a file" in last and "Traceback" not in finished.errors
    assert (tmp_path / "file").read_text() == "a user's"

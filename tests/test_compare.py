"""`winner-ns compare`: finished runs of one signal beside each other."""

from __future__ import annotations

import json
import shutil
import socket
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.fields.files import save_field
from winner_ns.fitting.finished_fields import load_finished
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.target import target_of


@pytest.fixture
def trained(ns_train, runs):
    """Trains a field of each family on a file; returns the runs."""

    def train(data: Path, *families: str):
        before = set(runs())
        for family in families:
            finished = ns_train(
                "--data", data, "--max-num-iterations", 60, "--pipeline.model.field.family", family,
                "--pipeline.model.field.width", 32, "--pipeline.model.field.depth", 2,
            )  # fmt: skip
            assert finished.status == 0, finished.errors
        return [run for run in runs() if run not in before]

    return train


@pytest.fixture
def trained_with(ns_train, runs):
    """Trains a small field with these flags; returns its run."""

    def train(data: Path, *flags: object) -> Path:
        small = ("--max-num-iterations", 30, "--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2)
        finished = ns_train("--data", data, *small, *flags)
        assert finished.status == 0, finished.errors
        return runs()[-1]

    return train


def compare(capfd, *arguments):
    """Exit status, output and errors of `winner-ns compare`."""
    capfd.readouterr()
    status = main(["compare", *map(str, arguments)])
    output, errors = capfd.readouterr()
    return status, output, errors


@pytest.mark.slow
def test_figures_and_picture_of_two_runs(trained, photo, tmp_path, capfd):
    finer, siren = trained(photo, "finer", "siren")
    picture = tmp_path / "out.png"
    status, output, errors = compare(capfd, finer, siren, "--save", picture)
    assert status == 0 and errors == ""
    figures = {run: json.loads((run / "results" / "figures.json").read_text()) for run in (finer, siren)}
    for name, run in (("finer", finer), ("siren", siren)):
        (row,) = [line for line in output.splitlines() if f" {name} " in line]
        assert f"{figures[run]['figures']['psnr']:.4g}" in row and f"{figures[run]['parameters']:,}" in row
        assert f"{figures[run]['training_seconds']:.1f}" in row

    # The columns of the picture are as different as the fields are, and are there at all.
    pixels = np.asarray(Image.open(picture).convert("RGB"), dtype=np.float32)
    assert pixels.shape[1] > 600 and pixels.std() > 20

    status, output, _ = compare(capfd, finer, siren, "--json")
    table = json.loads(output)["fields"]
    assert list(table) == ["finer", "siren"]
    assert table["siren"]["figures"] == figures[siren]["figures"]
    assert table["finer"]["file_bytes"] == (finer / "results" / "field.safetensors").stat().st_size


def test_same_family_twice_and_field_files(trained, photo, capfd):
    one, other = trained(photo, "siren", "siren")
    files = [one / "results" / "field.safetensors", other / "results" / "field.safetensors"]
    _, output, _ = compare(capfd, one, *files, "--json")
    table = json.loads(output)["fields"]
    assert list(table) == ["siren", "siren-2", "siren-3"]
    assert table["siren"]["figures"] == table["siren-2"]["figures"]


@pytest.mark.slow
def test_runs_that_cannot_be_compared_get_one_line(trained, photo, tone, tmp_path, capfd):
    (image,) = trained(photo, "siren")
    (sound,) = trained(tone, "siren")
    # Another picture of the same name and size.
    (tmp_path / "elsewhere").mkdir()
    other = tmp_path / "elsewhere" / photo.name
    Image.open(photo).rotate(180).save(other)
    (turned,) = trained(other, "siren")
    for arguments, words in (
        ([image, sound], ["a sound", "an image"]),
        ([image, turned], [f"another {photo.name}", str(turned)]),
        ([image], ["single field"]),
        ([image, tmp_path / "nothing"], ["no such run"]),
        ([image, image, "--save", tmp_path / "out.bmp"], [".png"]),
    ):
        status, output, errors = compare(capfd, *arguments)
        assert status == 1 and len(errors.strip().splitlines()) == 1, (arguments, errors)
        assert all(word in errors for word in words), errors
    assert not (tmp_path / "out.bmp").exists()


def test_without_the_original(trained, photo, tmp_path, capfd):
    first, second = trained(photo, "finer", "siren")
    photo.rename(tmp_path / "moved.png")
    status, output, errors = compare(capfd, first, second, "--json")
    assert status == 0 and "without the original" in errors and len(errors.strip().splitlines()) == 1
    assert set(json.loads(output)["fields"]) == {"finer", "siren"}
    status, _, errors = compare(capfd, first, second, "--save", tmp_path / "out.png")
    assert status == 1 and "original" in errors.splitlines()[-1]
    assert not (tmp_path / "out.png").exists()


def test_copies_of_one_file_are_one_signal(trained, photo, tmp_path):
    (tmp_path / "copy").mkdir()
    copy = Path(shutil.copy(photo, tmp_path / "copy" / photo.name))
    finished = load_finished([*trained(photo, "siren"), *trained(copy, "siren")])
    assert len(finished.fields) == 2 and finished.original is not None


def test_fields_of_arrays_are_compared_by_name_and_facts(tmp_path):
    rows, columns = np.mgrid[0:20, 0:24] / 20.0
    arrays = {"one": np.sin(5 * rows * columns), "other": 3.0 * np.sin(5 * rows * columns)}
    files = []
    for name, family in (("one", "siren"), ("one", "finer"), ("other", "siren")):
        plan = FieldPlan.of(family=family, width=8, depth=2).settle(target_of(arrays[name]))
        files.append(save_field(tmp_path / f"{name}-{family}.safetensors", plan.initial_field(), plan.description))
    finished = load_finished(files[:2])
    assert list(finished.fields) == ["siren", "finer"] and finished.original is None
    assert finished.warnings == ["shown without the original: array: was no file"]
    with pytest.raises(SignalError, match="fitted another array"):
        load_finished(files[1:])


def test_figures_without_those_of_the_training_are_of_the_samples_that_it_withheld(trained_with, photo):
    """Where figures.json is lost, the figure at withheld samples is measured at those of the run's own seed."""
    run = trained_with(photo, "--pipeline.datamanager.holdout", 0.2, "--machine.seed", 7)
    told = json.loads((run / "results" / "figures.json").read_text())["figures"]
    (run / "results" / "figures.json").unlink()
    table = next(iter(load_finished([run, run]).tables.values()))["figures"]
    # All of them, as the picture is small.
    assert table["psnr_heldout"] == pytest.approx(told["psnr_heldout"], abs=1e-3)
    assert table["psnr"] == pytest.approx(told["psnr"], abs=1e-3)


@pytest.mark.slow
def test_part_of_a_sound_is_found_again(ns_train, runs, tone, capfd):
    for _ in range(2):
        finished = ns_train(
            "--data", tone, "--max-num-iterations", 5, "--pipeline.datamanager.read.start", 0.05,
            "--pipeline.datamanager.read.duration-samples", 500,
        )  # fmt: skip
        assert finished.status == 0, finished.errors
    finished = load_finished(runs())
    assert finished.warnings == []
    assert finished.original is not None and finished.original.shape == (500,)


@pytest.mark.slow
def test_viewer_shows_every_field(trained, photo, tmp_path):
    from nerfstudio.cameras.cameras import CameraType
    from nerfstudio.viewer.utils import CameraState, get_camera

    from winner_ns.viewing.finished_viewer import start_viewer

    finished = load_finished(trained(photo, "finer", "siren"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    viewer = start_viewer(finished.fields, finished.original, finished.tables, tmp_path, "127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}") as page:
            assert b"<html" in page.read().lower()
        pose = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 2.0]])
        state = CameraState(fov=1.0, aspect=1.5, c2w=pose, camera_type=CameraType.PERSPECTIVE)
        camera = get_camera(state, 40, 60)
        outputs = viewer.get_model().get_outputs_for_camera(camera)
        names = list(outputs)
        assert names[0] == "finer/field" and outputs["finer/field"].shape == (40, 60, 3)
        # What there is to choose from; the first and the last stand side by side.
        control = viewer.control_panel
        offered = control._output_render.options
        assert offered[0] == "finer/field" and offered[-1] == "siren/field"
        assert {"finer/error", "siren/error", "difference", "original"} <= set(offered) <= set(names)
        assert control.split
        assert (control.output_render, control.split_output_render) == ("finer/field", "siren/field")
        assert (outputs["finer/field"] - outputs["siren/field"]).abs().max() > 0.02
        table = viewer.pipeline.panel.gui_handle.content
        for name, of_field in finished.tables.items():
            assert f"| {name} | {of_field['figures']['psnr']:.2f} dB | {of_field['parameters']:,} |" in table
    finally:
        viewer.viser_server.stop()

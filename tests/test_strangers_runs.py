"""Runs of strangers: `winner-ns view` and `winner-ns eval` say and show what nerfstudio's commands do, and no config or
pickle of such a run is executed by any of our commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.fields.files import save_field
from winner_ns.fitting.finished_fields import load_finished
from winner_ns.fitting.run import load_run
from winner_ns.viewing.finished_viewer import serve_forever

SMALL = ("--max-num-iterations", 20, "--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 2)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    import numpy as np
    from PIL import Image

    rows, columns = np.mgrid[0:24, 0:40] / 24.0
    path = tmp_path_factory.mktemp("data") / "photo.png"
    Image.fromarray((255 * np.stack([rows, columns / 2, rows * columns / 2], -1)).round().astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def run(trained_once, picture):
    return trained_once("winner-siren", "--data", picture, "--pipeline.datamanager.holdout", 0.2, *SMALL)


@pytest.fixture
def stranger(run, tmp_path):
    """A copy of a run whose config makes a folder when it is loaded."""
    copy = Path(shutil.copytree(run, tmp_path / "stranger"))
    touched = tmp_path / "touched"
    (copy / "config.yml").write_text(f"!!python/object/apply:os.mkdir [{touched}]\n")
    yaml.load((copy / "config.yml").read_text(), yaml.Loader)  # As nerfstudio does.
    touched.rmdir()
    return copy


def said(capfd, *arguments):
    """Exit status, output and errors of `winner-ns`."""
    capfd.readouterr()
    status = main([*map(str, arguments)])
    return status, *capfd.readouterr()


def refused(capfd, *arguments):
    """The one line with which `winner-ns` refuses."""
    status, _, errors = said(capfd, *arguments)
    assert status == 1 and len(errors.splitlines()) == 1, errors
    return errors


def test_eval_says_what_ns_eval_says(run, ns_eval, tmp_path, capfd):
    expected = ns_eval(run)
    assert set(expected) == {"psnr", "psnr_heldout", "psnr_interpolation", "ssim"}
    written = tmp_path / "figures" / "own.json"
    status, output, _ = said(capfd, "eval", run, "--output-path", written, "--render-output-path", tmp_path / "shown")
    assert status == 0 and f"{expected['psnr']:.4g}" in output and "photo.png" in output
    table = json.loads(written.read_text())
    assert table["results"] == pytest.approx(expected) and table["checkpoint"].endswith("step-000000019.ckpt")
    names = {path.name for path in (tmp_path / "shown").iterdir()}
    assert names == {"field.safetensors", "photo-fitted.png", "comparison.png"}

    # Of the field file alone, too.
    file = Path(shutil.copy(run / "results" / "field.safetensors", tmp_path))
    status, output, _ = said(capfd, "eval", file, "--json")
    assert json.loads(output)["results"] == pytest.approx(expected)


@pytest.mark.slow
def test_eval_of_a_comparison_names_its_fields(trained_once, picture, ns_eval, capfd):
    fields = ("--pipeline.model.fields", "siren", "finer", "--pipeline.model.width", 8, "--pipeline.model.depth", 1)
    run = trained_once("winner-compare", "--data", picture, "--max-num-iterations", 5, *fields)
    _, output, _ = said(capfd, "eval", run, "--json")
    assert json.loads(output)["results"] == pytest.approx(ns_eval(run))


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def looked_at(port, found):
    """Waits for a viewer's page, and for the program to do nothing else, which it then interrupts; found: the page, and
    whether all that came in time."""
    end = time.monotonic() + 60
    while time.monotonic() < end and not found:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as page:
                found.append(page.read())
        except OSError:
            time.sleep(0.05)
    main_thread = threading.main_thread().ident
    while time.monotonic() < end and sys._current_frames()[main_thread].f_code.co_name != serve_forever.__name__:
        time.sleep(0.05)
    found.append(time.monotonic() < end)
    signal.pthread_kill(main_thread, signal.SIGINT)


@pytest.mark.slow
def test_no_command_executes_what_a_run_holds(stranger, picture, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = []
    visitor = threading.Thread(target=looked_at, args=(port, found))
    visitor.start()
    status, output, errors = said(capfd, "view", stranger, "--port", port)
    visitor.join()
    assert status == 0 and errors == "" and f"original  {picture}" in output
    page, in_time = found
    assert b"<html" in page.lower() and in_time
    end = time.monotonic() + 60
    while listens(port):
        assert time.monotonic() < end
        time.sleep(0.05)
    for arguments in (
        ["eval", stranger],
        ["eval", stranger / "config.yml"],
        ["export", "image", stranger],
        ["export", "field", stranger / "nerfstudio_models"],
        ["compare", stranger, stranger, "--json"],
        ["analyze", stranger, "--points", 16],
    ):
        assert said(capfd, *arguments)[0] == 0, arguments
    assert "config.yml: is no config" in refused(capfd, "fit", "--resume", stranger, "--steps", 30)
    assert not (tmp_path / "touched").exists()


class Touch:
    """What pickle executes to load it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_that_holds_code_is_refused(stranger, tmp_path, capfd):
    (checkpoint,) = (stranger / "nerfstudio_models").glob("*.ckpt")
    whole = torch.load(checkpoint, weights_only=True)
    torch.save({**whole, "more": Touch(tmp_path / "touched")}, checkpoint)
    for command in ("eval", "view"):
        assert "which could be code and is not loaded" in refused(capfd, command, stranger)
    assert not (tmp_path / "touched").exists()
    torch.load(checkpoint, weights_only=False)
    assert (tmp_path / "touched").exists()


@pytest.fixture
def pointing(run, tmp_path):
    """A field file that says that its original is somewhere else, or was read in another way."""

    def write(data, **read_options):
        field = load_run(run)
        description = replace(field.description, data=data)
        if read_options:
            description = replace(description, signal={**description.signal, "read_options": read_options})
        return save_field(tmp_path / "pointing.safetensors", field.network, description)

    return write


def test_a_run_is_followed_to_whole_paths_of_this_machine_alone(pointing, picture, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(picture.parent)
    for data in (picture.name, f"./{picture.name}", f"/{picture}", "//server/share/photo.png", "\\\\server\\photo.png"):
        finished = load_finished([pointing(data)], least=1)
        assert finished.original is None and "is not followed" in finished.warnings[0], data
        assert "name it by --data" in refused(capfd, "eval", pointing(data))
    assert load_finished([pointing(str(picture))], least=1).original is not None

    # What is no image like the fitted one is not shown for it.
    for data in ("/etc/passwd", "/dev/zero", "/proc/self/environ", str(tmp_path), "/nowhere.png"):
        assert load_finished([pointing(data)], least=1).original is None, data
    assert said(capfd, "eval", pointing("/etc/passwd"), "--data", picture)[0] == 0


def test_the_data_that_is_named_has_to_be_what_was_fitted(run, picture, tmp_path, capfd):
    from PIL import Image

    other = tmp_path / "photo.png"
    Image.open(picture).crop((0, 0, 20, 20)).save(other)
    for command in ("eval", "view"):
        assert f"{other}: is not what was trained on" in refused(capfd, command, run, "--data", other)
        assert "does not exist" in refused(capfd, command, run, "--data", tmp_path / "nothing.png")


def test_a_run_says_nothing_of_how_much_a_file_may_take(pointing, picture, capfd):
    file = pointing(str(picture), decoded_limit=1e-9)
    assert load_finished([file], least=1).original is not None
    with pytest.raises(SignalError, match="unpacked"):
        load_finished([file], picture, decoded_limit=1e-9, least=1)
    assert "--decoded-limit" in refused(capfd, "eval", file, "--decoded-limit", 1e-9)


def test_scenes_are_said_to_be_for_ns_viewer(capfd):
    scene = next((Path(__file__).parent / "data" / "version_0_1" / "bunny" / "winner-siren").iterdir())
    for command in ("eval", "view"):
        assert "`ns-viewer`, `ns-eval` or `ns-render` for a run that you trust" in refused(capfd, command, scene)

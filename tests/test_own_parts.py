"""A family, a law and a kind from outside go where ours go: fit, field files, commands, comparisons, ns-train."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import winner_ns
from winner_ns.commands.main import main
from winner_ns.fields.families import FAMILIES
from winner_ns.fitting.run import load_run, load_runs
from winner_ns.kinds import KINDS
from winner_ns.registry import Registry
from winner_ns.spectrum import LAWS

pytestmark = pytest.mark.slow

ROOT = Path(winner_ns.__file__).parents[1]
HEIGHTS = 100 + 30 * np.sin(np.arange(18) / 3)[:, None] * np.cos(np.arange(24) / 4)


@pytest.fixture
def terrain(tmp_path) -> Path:
    """A small terrain as a file."""
    path = tmp_path / "valley.asc"
    facts = "ncols 24\nnrows 18\nxllcorner 0\nyllcorner 0\ncellsize 30\nNODATA_value -9999\n"
    path.write_text(facts + "\n".join(" ".join(f"{h:.4f}" for h in row) for row in HEIGHTS) + "\n")
    return path


def remove() -> None:
    """Takes out of the tables what is not ours."""
    for table, name in ((FAMILIES, "tent"), (LAWS, "constant"), (KINDS, "terrain")):
        table._entries.pop(name, None)


@pytest.fixture(scope="module", autouse=True)
def own_parts():
    """The module of these parts, which adds them; they are there for this file's tests alone."""
    module = importlib.import_module("own_parts")
    module.register()
    yield module
    remove()


def test_a_family_and_a_law_are_fitted_saved_and_loaded(photo, tmp_path, own_parts):
    field = winner_ns.fit(photo, family="tent", steps=40, width=24, settings={"steepness": 6}, progress=False)
    assert isinstance(field.network, own_parts.Tent) and field.network.settings["steepness"] == 6.0
    assert (
        field.figures["psnr"] > winner_ns.fit(photo, family="tent", steps=1, width=24, progress=False).figures["psnr"]
    )
    again = winner_ns.load_field(field.save(tmp_path / "tent.safetensors"))
    np.testing.assert_array_equal(again.grid((20, 30)), field.grid((20, 30)))
    noise = winner_ns.fit(photo, law="constant", purpose=7, steps=1, width=16, progress=False).description.spectrum
    assert (noise.law, noise.s0, noise.s1) == ("constant", 7.0, 0.01)


def test_a_kind_is_told_by_its_file_fitted_and_given_back(terrain, tmp_path, capsys):
    field = winner_ns.fit(terrain, steps=150, width=32, progress=False)
    assert field.kind == "terrain"
    np.testing.assert_allclose(field.grid((18, 24))[..., 0], HEIGHTS, atol=8)
    written = field.save(tmp_path / "valley.npy")
    np.testing.assert_allclose(np.load(written), HEIGHTS, atol=8)
    assert "<img" in field._repr_html_()
    assert main(["inspect", str(terrain)]) == 0
    assert "terrain" in capsys.readouterr().out


def test_all_three_go_through_the_commands(terrain, tmp_path, capsys):
    runs = []
    for flags in (["--family", "tent", "--set", "steepness=5"], ["--law", "constant", "--purpose", "3"]):
        runs.append(tmp_path / flags[1])
        assert main(["fit", str(terrain), "-o", str(runs[-1]), "--steps", "30", "--width", "16", *flags]) == 0
        assert (runs[-1] / "results" / "comparison.png").stat().st_size > 10_000
    assert main(["compare", *map(str, runs), "--json", "--save", str(tmp_path / "both.png")]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(told["fields"]) == ["tent", "winner"]
    assert main(["export", "image", str(runs[0]), "-o", str(tmp_path / "heights.tiff"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["height"] == 18
    assert main(["analyze", str(runs[0]), "--points", "64"]) == 0
    assert main(["fit", "--resume", str(runs[0]), "--steps", "40", "--quiet"]) == 0
    assert load_run(runs[0]).step == 39


def test_a_law_and_a_kind_are_trained_by_nerfstudio(terrain, ns_train, runs):
    flags = ["--pipeline.model.law", "constant", "--pipeline.model.field.width", 16, "--max-num-iterations", 20]
    finished = ns_train("--data", terrain, *flags)
    assert finished.status == 0, finished.errors
    run = load_run(runs()[0])
    assert (run.kind, run.description.spectrum.law) == ("terrain", "constant")


def test_processes_that_no_script_reaches_import_what_the_environment_names(terrain, tmp_path):
    program = Path(sys.executable).parent / "ns-train"
    flags = ["--pipeline.model.width", "16", "--max-num-iterations", "2", "--pipeline.write-results", "False"]
    flags += ["--pipeline.model.fields"]
    where = ["--vis", "tensorboard", "--output-dir", str(tmp_path / "outputs"), "--timestamp", "now"]
    paths = [str(Path(__file__).parent), str(Path(winner_ns.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "WINNER_NS_PLUGINS": "own_parts", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [program, "winner-compare", "--data", terrain, *where, *flags, "tent:steepness=4", "winner:law=constant"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "tent" in done.stdout
    tent, winner = load_runs(tmp_path / "outputs" / "valley" / "winner-compare" / "now").values()
    assert (tent.kind, tent.description.network.settings["steepness"]) == ("terrain", 4.0)
    assert (winner.kind, winner.description.spectrum.law) == ("terrain", "constant")


def test_a_file_of_an_unknown_family_names_what_to_install_and_imports_nothing(photo, tmp_path, own_parts):
    path = winner_ns.fit(photo, family="tent", steps=1, width=8, progress=False).save(tmp_path / "tent.safetensors")
    remove()
    with safe_open(path, "pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    with pytest.raises(winner_ns.SignalError, match="own_parts.*not here.*install.*WINNER_NS_PLUGINS"):
        winner_ns.load_field(path)
    hostile = json.loads(header["winner_ns"])
    hostile["network"]["package"] = "antigravity"
    save_file(tensors, path, {"winner_ns": json.dumps(hostile)})
    with pytest.raises(winner_ns.SignalError, match="antigravity"):
        winner_ns.load_field(path)
    assert "antigravity" not in sys.modules
    own_parts.register()


def test_names_are_taken_once_and_parts_are_what_they_should_be(own_parts):
    with pytest.raises(ValueError, match="already"):
        winner_ns.register_family("siren", own_parts.Tent)
    with pytest.raises(ValueError, match="no name"):
        winner_ns.register_family("../tent", own_parts.Tent)
    with pytest.raises(TypeError):
        winner_ns.register_family("linear", torch.nn.Linear)
    with pytest.raises(TypeError):
        winner_ns.register_law("five", lambda target, network: 5)


def test_what_cannot_be_imported_is_said_in_one_line(monkeypatch):
    monkeypatch.setenv("WINNER_NS_PLUGINS", "no_such_module_here")
    table: Registry[int] = Registry("number", "winner_ns.numbers", {"one": 1})
    assert table["one"] == 1  # Our own entries wait for nobody's.
    with pytest.raises(winner_ns.SignalError, match="WINNER_NS_PLUGINS=no_such_module_here.*No module named"):
        table["two"]


def test_an_installed_package_adds_its_parts_by_entry_points(photo, tmp_path):
    """The module that an entry point names may register the same part itself."""
    site = tmp_path / "site"
    (site / "own_parts-1.0.dist-info").mkdir(parents=True)
    (site / "own_parts-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: own-parts\nVersion: 1.0\n")
    (site / "own_parts-1.0.dist-info" / "entry_points.txt").write_text(
        "[winner_ns.families]\ntent = own_parts:Tent\n[winner_ns.laws]\nconstant = own_parts:Constant\n"
    )
    shutil.copy(Path(__file__).with_name("own_parts.py"), site)
    program = (
        "import sys, winner_ns\n"
        "field = winner_ns.fit(sys.argv[1], family='tent', steps=1, width=8, progress=False)\n"
        "winner_ns.fit(sys.argv[1], law='constant', steps=1, width=8, progress=False)\n"
        "print(field.description.network.package)"
    )
    paths = os.pathsep.join(filter(None, [str(site), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    for plugins in ("", "own_parts"):
        environment = {**os.environ, "PYTHONPATH": paths, "WINNER_NS_PLUGINS": plugins}
        done = subprocess.run(
            [sys.executable, "-c", program, str(photo)], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["own-parts"]


@pytest.mark.parametrize(
    "scales", [(1.0, 0.0), None, winner_ns.NoiseScales(np.nan, 0.0), winner_ns.NoiseScales(-1.0, 0.0)]
)
def test_a_law_that_gives_no_noise_is_said_in_one_line(scales, photo):
    class Odd(winner_ns.Law):
        source = "these tests"

        def __call__(self, target, network):
            return scales

    winner_ns.register_law("odd", Odd)
    try:
        with pytest.raises(winner_ns.SignalError, match="the law 'odd'"):
            winner_ns.fit(photo, law="odd", steps=1, progress=False)
    finally:
        LAWS._entries.pop("odd")

"""Runs and field files of version 0.1 still open: in winner-ns' commands, in Python, and in nerfstudio's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import winner_ns
from winner_ns.commands.main import main
from winner_ns.fitting.run import load_runs

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent / "data" / "version_0_1"
RUNS = sorted(path.parent.relative_to(DATA) for path in DATA.glob("*/*/*/config.yml"))
FITTED = [run for run in RUNS if run.parts[0] != "bunny"]


@pytest.fixture
def earlier(tmp_path, monkeypatch) -> Path:
    """A folder to work in, with the runs in nerfstudio's outputs."""
    shutil.copytree(DATA, tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "outputs"


def test_there_is_a_run_of_each_kind_and_method():
    assert {run.parts[0] for run in RUNS} == {"photo", "tone", "torus", "volume", "bunny"}
    assert {run.parts[1] for run in RUNS} == {"winner-siren", "winner-compare", "winner-neus"}


@pytest.mark.parametrize("run", FITTED, ids=str)
def test_fields_have_the_figures_that_they_had(run, earlier):
    for name, field in load_runs(earlier / run).items():
        results = earlier / run / "results" / (name if run.parts[1] == "winner-compare" else "")
        known = json.loads((results / "figures.json").read_text())
        assert field.description.as_dict() == known["description"]
        again = winner_ns.load_field(results / "field.safetensors")
        original = next(path for path in DATA.iterdir() if path.stem == run.parts[0] and path.is_file())
        target = winner_ns.fit(original, steps=1, width=1, depth=1, progress=False).target
        if "psnr" in known["figures"]:
            assert target.figures(again)["psnr"] == pytest.approx(known["figures"]["psnr"], abs=1e-3)
        else:
            assert target.figures(again, mesh_resolution=48)["iou"] == pytest.approx(known["figures"]["iou"], abs=0.02)


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_nerfstudios_commands_open_them(run, earlier, capfd):
    from nerfstudio.utils.eval_utils import eval_setup

    config, pipeline, _, step = eval_setup(Path("outputs") / run / "config.yml", test_mode="inference")
    assert config.method_name == run.parts[1]
    assert step + 1 == config.max_num_iterations
    camera = pipeline.datamanager.train_dataset.cameras[0:1]
    if run in FITTED:
        camera.rescale_output_resolution(0.125)  # As the viewer does where pictures take long.
    pictures = pipeline.model.get_outputs_for_camera(camera)
    shown = pictures[next(iter(pictures))]
    assert shown.shape[-1] == 3 and np.isfinite(shown.numpy()).all()


def test_winner_ns_commands_open_them(earlier, capfd):
    run = earlier / "photo" / "winner-siren" / "2026-11-29_120000"
    assert main(["export", "image", str(run), "-o", "photo.png"]) == 0
    assert main(["export", "mesh", str(earlier / "torus/winner-siren/2026-11-29_120000"), "--resolution", "48"]) == 0
    neus = earlier / "bunny" / "winner-neus" / "2026-11-29_120000"
    assert main(["export", "mesh", str(neus), "--resolution", "24"]) == 0
    assert main(["analyze", str(run), "--data", str(DATA / "photo.png"), "--points", "64"]) == 0
    comparison = earlier / "photo" / "winner-compare" / "2026-11-29_120000"
    capfd.readouterr()
    assert main(["compare", str(run), str(comparison), "--json"]) == 0
    assert list(json.loads(capfd.readouterr().out)["fields"]) == ["winner", "siren", "winner-2", "finer"]

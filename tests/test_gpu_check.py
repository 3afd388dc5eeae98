"""The check of a GPU is a script that works: here, small and on the CPU."""

from __future__ import annotations

import json
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from test_viewing_shape import field_of as shape_field
from test_viewing_shape import sphere

import winner_ns
from docs.measurements import gpu_check
from winner_ns.fields.files import rebuild_field


@pytest.mark.slow
def test_the_library_gives_the_same_on_both_sides(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu_check", "--small", "--device", "cpu", "--part", "library"])
    assert gpu_check.main() == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["failed"] == [] and found["machine"]["torch"] == torch.__version__
    done = {name for name, told in found["checks"].items() if told.get("ok")}
    assert {
        "step",
        "mesh and viewer",
        "export .html",
        "export .glsl",
        "export grid",
        "family wire",
        "fit image",
        "fit audio",
        "fit volume",
        "fit video",
    } <= done


@pytest.mark.parametrize("name, here, there", [("psnr", 30.0, 32.0), ("iou", 0.9, 0.99), ("psnr", float("nan"), 30.0)])
def test_a_device_that_gives_something_else_is_found(name, here, there):
    gpu_check.assert_alike(name, there, there)
    with pytest.raises(AssertionError, match="on a CPU"):
        gpu_check.assert_alike(name, here, there)


@contextmanager
def viewed(field, folder):
    """The address of a viewer that shows a field."""
    from winner_ns.viewing.finished_viewer import start_viewer

    table = {"parameters": 1, "steps": 1}
    server = start_viewer({"field": field}, None, {"field": table}, folder).viser_server
    try:
        yield f"http://127.0.0.1:{server.get_port()}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def picture():
    # Twice as many columns as rows, and nothing in it is the same turned over.
    waves = np.sin(np.linspace(0, 5, 24))[:, None] * np.linspace(0, 1, 48) ** 2
    return winner_ns.fit(waves.astype(np.float32), steps=30, width=16, depth=2, progress=False, device="cpu")


@pytest.mark.slow
def test_what_a_viewer_shows_is_held_against_the_field(picture, tmp_path, monkeypatch):
    from docs.measurements import viewer_check

    with viewed(picture, tmp_path) as address:
        told = viewer_check.shown(address, picture)
        assert told["pixels"] == [round(512 * 23 / 47), 512] and told["apart"] <= 1
        weights = {name: 1.05 * values for name, values in picture.network.state_dict().items()}
        monkeypatch.setattr(viewer_check, "PATIENCE", 1.0)
        with pytest.raises(AssertionError, match="does not show the field, but .*512"):
            viewer_check.shown(address, rebuild_field(picture.description, weights))


@pytest.mark.slow
def test_the_mesh_that_a_viewer_shows_is_held_against_the_field(tmp_path, monkeypatch):
    from docs.measurements import viewer_check

    with viewed(shape_field(sphere(0.5)), tmp_path) as address:
        told = viewer_check.shown(address, shape_field(sphere(0.5)))
        assert told["vertices"] > 5000 and told["apart"] < 1e-3
        monkeypatch.setattr(viewer_check, "PATIENCE", 1.0)
        with pytest.raises(AssertionError, match="does not show the field"):
            viewer_check.shown(address, shape_field(sphere(0.49)))

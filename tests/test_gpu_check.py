"""The check of a GPU is a script that works: here, small and on the CPU."""

from __future__ import annotations

import json

import pytest
import torch

from docs.measurements import gpu_check


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

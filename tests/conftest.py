"""Shared by the tests: jaxtyping checks of our own code, and nerfstudio's commands as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from winner_ns.interruption import INTERRUPTION

# nothing may reach for the network; tensorboard and matplotlib stay quiet
os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("MPLBACKEND", "Agg")

# A busy machine is no reason to fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def arithmetic_as_it_was():
    """Training flushes denormal numbers; whoever calls it finds the processor as it was."""
    yield
    assert sys.float_info.min / 2 > 0, "denormal numbers are still flushed to zero"


@pytest.fixture(autouse=True)
def signals_as_they_were():
    """A program that has been told to end deals with signals to its end, which is not that of the tests."""
    yield
    INTERRUPTION.disregard()


def leave_out(problem: str) -> None:
    """Leaves the calling module's tests out, as they lack something; with WINNER_NS_NEED_ALL=1 that is an error."""
    if os.environ.get("WINNER_NS_NEED_ALL") == "1":
        raise RuntimeError(f"all tests must run, but {problem}")
    pytest.skip(problem, allow_module_level=True)


class Finished(NamedTuple):
    """What a command left behind."""

    status: int
    output: str
    errors: str


def run_program(program: str, *arguments: object, cwd: Optional[Path] = None) -> Finished:
    """Runs one of the environment's console scripts in a process of its own."""
    script = Path(sys.executable).parent / program
    process = subprocess.run(
        [str(script), *map(str, arguments)], capture_output=True, text=True, cwd=cwd, stdin=subprocess.DEVNULL
    )
    return Finished(process.returncode, process.stdout, process.stderr)


def in_process(entrypoint, program: str, arguments: List[object], monkeypatch, capfd) -> Finished:
    """Runs a console script's function in this process: nerfstudio takes ten seconds to import."""
    from nerfstudio.utils import writer

    writer.EVENT_WRITERS.clear()  # which nerfstudio keeps for the life of a process
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
    capfd.readouterr()
    status, message = 0, ""
    try:
        entrypoint()
    except SystemExit as end:
        # What the interpreter does with it.
        if isinstance(end.code, str):
            status, message = 1, end.code
        else:
            status = end.code or 0
    output, errors = capfd.readouterr()
    return Finished(status, output, errors + message)


@pytest.fixture
def ns_method(monkeypatch, capfd, tmp_path):
    """`ns-train METHOD …` with results below tmp_path and without a viewer."""

    def run(method: str, *arguments: object) -> Finished:
        from nerfstudio.scripts.train import entrypoint

        flags = [method, "--vis", "tensorboard", "--output-dir", tmp_path / "outputs", *arguments]
        return in_process(entrypoint, "ns-train", flags, monkeypatch, capfd)

    return run


@pytest.fixture
def ns_train(ns_method):
    """`ns-train winner-siren …` with results below tmp_path and without a viewer."""
    return partial(ns_method, "winner-siren")


def _coarsen(patch: pytest.MonkeyPatch) -> None:
    from winner_ns.export import excerpts
    from winner_ns.meshing import fitted_surface

    patch.setattr(fitted_surface, "RESOLUTION", 64)
    patch.setattr(excerpts, "SAMPLES", 100_000)


def train_into(output: Path, method: str, *arguments: object) -> Path:
    """`ns-train METHOD …` without a viewer, its shapes coarse; returns the run's folder."""
    from nerfstudio.scripts.train import entrypoint
    from nerfstudio.utils import writer

    writer.EVENT_WRITERS.clear()  # which nerfstudio keeps for the life of a process
    flags = [method, "--vis", "tensorboard", "--output-dir", output, *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["ns-train", *map(str, flags)])
        _coarsen(patch)
        entrypoint()
    return the_run(output)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """`ns-train METHOD …` without a viewer, for runs that several tests of a module read; returns the run's folder."""
    return lambda method, *arguments: train_into(tmp_path_factory.mktemp("outputs"), method, *arguments)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A folder of this name that the first of the testing processes to ask for it fills, and all of them read."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made_once(name: str, fill: Callable[[Path], object]) -> Path:
        from filelock import FileLock

        folder = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not (shared / f"{name}.made").exists():
                folder.mkdir()
                fill(folder)
                (shared / f"{name}.made").touch()
        return folder

    return made_once


def the_run(folder: Path) -> Path:
    """The only run below a folder of outputs."""
    (config,) = folder.glob("*/*/*/config.yml")
    return config.parent


@pytest.fixture(scope="session")
def torus_run(made_once):
    """A torus, and a run of `ns-train winner-siren` that has learnt it; neither is to be changed."""
    data = made_once("torus", lambda folder: write_torus(folder / "torus.ply")) / "torus.ply"
    # Of fewer samples, too few are away from the surface for so small a network, and leave specks there.
    flags = ["--max-num-iterations", 300, "--pipeline.datamanager.shape-samples", 100000]
    flags += ["--pipeline.datamanager.batch-size", 4096, "--pipeline.model.field.width", 64]
    outputs = made_once("torus-run", lambda folder: train_into(folder, "winner-siren", "--data", data, *flags))
    return data, the_run(outputs)


@pytest.fixture(scope="session")
def bunny_scene(made_once) -> Path:
    """The textured bunny: 20 views of 32 x 32 pixels in blender's format, the true mesh beside them."""
    from winner_ns.demo.bunny_scene import write_bunny_scene

    made = made_once("scenes", lambda folder: write_bunny_scene(folder / "bunny", views=20, test_views=3, size=32))
    return made / "bunny"


@pytest.fixture(scope="session")
def bunny_surface(made_once, bunny_scene) -> Path:
    """A run of `ns-train winner-neus` that has learnt the bunny's surface; it is not to be changed."""
    flags = ["--max-num-iterations", 150, "--pipeline.model.field.width", 64, "--pipeline.model.field.depth", 3]
    flags += ["--pipeline.datamanager.batch-size", 256, "--pipeline.model.num-samples", 16]
    flags += ["--pipeline.model.num-samples-importance", 16]
    outputs = made_once("bunny-run", lambda folder: train_into(folder, "winner-neus", "--data", bunny_scene, *flags))
    return the_run(outputs)


@pytest.fixture
def coarse_shapes(monkeypatch):
    """Meshes of figures, results and pictures with 64 grid points along each axis in place of 256, and their pictures
    of a twelfth of the samples, where they are not what a test is about: a field that has hardly been trained is
    evaluated at a good part of 256³ points, and a million samples take a second."""
    _coarsen(monkeypatch)


@pytest.fixture
def ns_eval(monkeypatch, capfd, tmp_path):
    """`ns-eval` of a run; returns the results."""

    def run(folder: Path, *arguments: object) -> dict:
        from nerfstudio.scripts.eval import entrypoint

        output = tmp_path / "eval.json"
        flags = ["--load-config", folder / "config.yml", "--output-path", output, *arguments]
        finished = in_process(entrypoint, "ns-eval", flags, monkeypatch, capfd)
        assert finished.status == 0, finished.errors
        return json.loads(output.read_text())["results"]

    return run


@pytest.fixture
def runs(tmp_path):
    """The run folders below tmp_path/outputs, oldest first."""
    return lambda: sorted(
        (p.parent for p in (tmp_path / "outputs").glob("*/*/*/config.yml")), key=lambda p: p.stat().st_mtime_ns
    )


@pytest.fixture
def photo(tmp_path) -> Path:
    """A small picture with soft and sharp parts: 24 x 40 pixels of colour."""
    from PIL import Image

    rows, columns = np.mgrid[0:24, 0:40] / 24.0
    red = 0.5 + 0.5 * np.sin(9 * rows * columns)
    green = ((rows - 0.5) ** 2 + (columns - 0.8) ** 2 < 0.1).astype(float)
    picture = np.stack([red, green, columns / columns.max()], axis=-1)
    path = tmp_path / "photo.png"
    Image.fromarray((255 * picture).round().astype(np.uint8)).save(path)
    return path


@pytest.fixture
def tone(tmp_path) -> Path:
    """A quarter second of two high tones."""
    import soundfile

    time = np.arange(2000) / 8000
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * 2500 * time) + 0.3 * np.sin(2 * np.pi * 3300 * time), 8000)
    return path


def write_torus(path: Path) -> Path:
    """A torus in millimetres, away from the origin."""
    import trimesh

    mesh = trimesh.creation.torus(major_radius=30.0, minor_radius=12.0)
    mesh.apply_translation([100.0, -50.0, 20.0])
    mesh.export(path)
    return path


@pytest.fixture
def torus(tmp_path) -> Path:
    """A torus in millimetres, away from the origin."""
    return write_torus(tmp_path / "torus.ply")

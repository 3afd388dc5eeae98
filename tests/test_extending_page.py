"""docs/extending.md does what it says: its modules are written as they stand there, its commands are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import winner_ns

pytestmark = pytest.mark.slow

ROOT = Path(winner_ns.__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHORT = ["--steps", "3", "--width", "8"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where a reader of the page works: its modules, a photograph and a terrain."""
    folder = tmp_path_factory.mktemp("page")
    for language, text in BLOCKS:
        name = re.match(r"# (\w+\.py)\n", text)
        if language == "python" and name:
            (folder / name[1]).write_text(text, encoding="utf-8")
    rows, columns = np.mgrid[0:24, 0:32] / 24
    Image.fromarray((255 * np.stack([rows, columns / 2, rows * columns / 2], -1)).astype(np.uint8)).save(
        folder / "photo.jpg"
    )
    heights = 100 * np.sin(3 * rows) * columns
    facts = "ncols 32\nnrows 24\nxllcorner 0\nyllcorner 0\ncellsize 30\nNODATA_value -9999\n"
    (folder / "valley.asc").write_text(facts + "\n".join(" ".join(f"{h:.3f}" for h in row) for row in heights))
    return folder


def run(folder: Path, *command: str, **variables: str) -> str:
    paths = os.pathsep.join(filter(None, [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, **variables, "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_a_module_of_each_sort(folder):
    assert {path.name for path in folder.glob("*.py")} == {"tent.py", "gentle.py", "terrain.py"}


def test_python_that_uses_the_family_runs(folder):
    (program,) = [text for language, text in BLOCKS if language == "python" and text.startswith("import tent\n")]
    short = program.replace('family="tent", ', 'steps=3, width=8, family="tent", ')
    assert short != program
    run(folder, sys.executable, "-c", short)
    assert (folder / "photo.safetensors").stat().st_size > 500


@pytest.mark.parametrize("name", ["tent", "gentle", "terrain"])
def test_commands_run(name, folder):
    texts = [text for language, text in BLOCKS if language == "bash" and f"WINNER_NS_PLUGINS={name}" in text]
    commands = [shlex.split(line) for text in texts for line in text.splitlines()]
    ours = [command[command.index("winner-ns") + 1 :] for command in commands if "winner-ns" in command]
    assert ours
    for command in ours:
        program = str(Path(sys.executable).parent / "winner-ns")
        short = SHORT if command[0] == "fit" else []
        output = run(folder, program, *command, *short, WINNER_NS_PLUGINS=name)
        assert name in output

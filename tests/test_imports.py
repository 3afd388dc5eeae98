"""What each command imports: what it does not need is what its user would wait for."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from winner_ns.commands.export import EXPORTS
from winner_ns.commands.main import COMMANDS, main, parser

SLOW = {
    "PIL", "av", "cv2", "igl", "imagecodecs", "jinja2", "matplotlib", "mcubes", "nerfstudio", "networkx", "numpy",
    "pandas", "rich", "scipy", "skimage", "soundfile", "soxr", "sympy", "tensorboard", "tifffile", "torch",
    "torch._dynamo", "torch._inductor", "torch.onnx", "torchmetrics", "torchvision", "trimesh", "viser",
}  # fmt: skip
"""Packages, and parts of them, that take a good part of a tenth of a second to import, or seconds."""
PROGRAM = """
import json, sys
class Told:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numpy"):
            print("importing", name, file=sys.stderr)
sys.meta_path.insert(0, Told())
sys.stderr.isatty = lambda: True
from winner_ns.commands.main import main
try:
    status = main(sys.argv[2:])
except SystemExit as end:
    status = end.code
print(json.dumps([status, sorted(set(sys.argv[1].split(",")) & set(sys.modules))]))
"""


def imported_by(*arguments: object, says: str = "") -> "set[str]":
    """Which of SLOW a command of winner-ns has imported when it is done, in a process of its own; what it says on a
    terminal comes before all that takes long."""
    command = [sys.executable, "-c", PROGRAM, ",".join(SLOW), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    status, names = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, done.stderr
    assert done.stderr.startswith(says), done.stderr
    return set(names)


@pytest.mark.parametrize("command", [["--help"], ["fit", "--help"], ["export", "image", "--help"]])
def test_help_imports_nothing(command):
    assert not imported_by(*command)


def test_inspect_measures_without_torch(photo, tone):
    assert imported_by("inspect", photo, says=f"measuring {photo}\nimporting numpy") == {"numpy", "scipy", "cv2", "PIL"}
    assert imported_by("inspect", tone) <= {"numpy", "scipy", "soundfile"}


@pytest.mark.slow
def test_fit_and_export_import_what_they_use(photo, tmp_path):
    pictures = {"numpy", "torch", "PIL"}  # Rich for the bar of what takes long.
    fit = imported_by("fit", photo, "-o", tmp_path / "run", "--steps", 2, "--width", 8, says=f"reading {photo}\n")
    assert pictures <= fit <= pictures | {"scipy", "cv2", "skimage", "matplotlib", "rich"}
    run = tmp_path / "run"
    exported = imported_by("export", "image", run, "-o", tmp_path / "a.png", says=f"reading {run}\nimporting ")
    assert exported == pictures | {"rich"}
    assert main(["export", "image", str(run), "-o", str(tmp_path / "b.png")]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_every_command_shows_an_example_that_it_takes():
    takes = parser()
    for name, module in [*COMMANDS.items(), *((f"export {what}", module) for what, module in EXPORTS.items())]:
        program, *arguments = shlex.split(module.EXAMPLE)
        assert program == "winner-ns" and module.EXAMPLE.startswith(f"winner-ns {name} ")
        takes.parse_args(arguments)

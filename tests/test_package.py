"""What is installed is whole, from any checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]


def test_no_file_is_a_symbolic_link():
    """Where a checkout makes files of them, what they lead to would be left out."""
    links = [path for folder in ("winner_ns", "configs") for path in (ROOT / folder).rglob("*") if path.is_symlink()]
    assert not links


@pytest.mark.slow
def test_a_wheel_has_all_presets_and_what_the_package_reads(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    presets = {f"winner_ns/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "winner_ns").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert presets and presets | package == {name for name in held if name.startswith("winner_ns/")}

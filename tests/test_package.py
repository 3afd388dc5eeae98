"""What is installed is whole, from any checkout."""

from __future__ import annotations

import email
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import winner_ns

ROOT = Path(__file__).parents[1]


def test_no_file_is_a_symbolic_link():
    """Where a checkout makes files of them, what they lead to would be left out."""
    links = [path for folder in ("winner_ns", "configs") for path in (ROOT / folder).rglob("*") if path.is_symlink()]
    assert not links


def test_the_citation_names_the_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == winner_ns.__version__


@pytest.mark.slow
def test_a_wheel_has_all_presets_and_what_the_package_reads(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    archive = ZipFile(wheel)
    held = set(archive.namelist())
    presets = {f"winner_ns/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "winner_ns").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert presets and presets | package == {name for name in held if name.startswith("winner_ns/")}
    (metadata,) = (name for name in held if name.endswith(".dist-info/METADATA"))
    described = email.message_from_bytes(archive.read(metadata))
    assert described["Version"] == winner_ns.__version__
    # An index shows the README alone: whatever it links to has to be an address, of a file that exists.
    links = re.findall(r"\]\((.+?)\)", str(described.get_payload()))
    ours = [link for link in links if "/winner-ns/winner_ns/" in link]
    assert len(ours) > 20 and all(link.startswith("https://") for link in links)
    for link in ours:
        assert (ROOT / link.split(f"/v{winner_ns.__version__}/")[1]).exists(), link
    pictures = [link for link in ours if link.endswith(".png")]
    assert pictures and all(link.startswith("https://raw.githubusercontent.com/") for link in pictures)


@pytest.mark.slow
def test_the_source_distribution_installs_and_works_away_from_the_checkout(tmp_path):
    """All but the dependencies, which are those of this environment."""

    def run(*command, **options):
        done = subprocess.run(command, capture_output=True, text=True, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path), cwd=ROOT)
    (archive,) = tmp_path.glob("winner_ns-*.tar.gz")
    installed = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    run(*install, "--target", str(installed), str(archive))
    away = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(installed)}}
    where = run(sys.executable, "-c", "import winner_ns; print(winner_ns.__file__)", **away)
    assert Path(where.strip()).is_relative_to(installed)
    command = str(installed / "bin" / "winner-ns")
    assert run(command, "--version", **away) == f"winner-ns {winner_ns.__version__}\n"
    assert "every-second" in run(command, "bench", "--list", **away)
    melody = installed / "winner_ns" / "demo" / "chiptune.wav"
    assert json.loads(run(command, "inspect", str(melody), "--json", **away))["psi"] == pytest.approx(0.4709, abs=1e-4)

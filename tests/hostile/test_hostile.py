"""A sample of what `python -m tests.hostile` and `python -m tests.hostile.kills` try."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.whole_files import MAKERS

CASES = 300
KILLS = 20


@pytest.mark.slow
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path):
    run = subprocess.run(
        [sys.executable, *f"-m tests.hostile --cases {CASES} --seed a --json --keep".split(), str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout, run.stderr
    told = json.loads(run.stdout)
    assert told["counts"].keys() == MAKERS.keys()
    assert told["untouched"] == [], "whole files have to be accepted"
    assert told["faults"] == []
    tried = {verdict: sum(of.get(verdict, 0) for of in told["counts"].values()) for verdict in ("refused", "accepted")}
    assert sum(tried.values()) == CASES and min(tried.values()) > 10


@pytest.mark.slow
def test_trainings_that_are_killed_at_any_moment_are_gone_on_with_to_the_same_end():
    run = subprocess.run(
        [sys.executable, *f"-m tests.hostile.kills --cases {KILLS} --seed a".split()],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "gone on with" in run.stdout

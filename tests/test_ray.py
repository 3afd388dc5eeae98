"""`--on ray`: many signals and benchmarks on a cluster of two nodes, one of which is killed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import winner_ns
from docs.measurements.ray_nodes import free_port, start_early
from winner_ns.bench.benchmark import run_bench
from winner_ns.bench.preset import load_preset
from winner_ns.commands.main import main
from winner_ns.engines.ray import serve
from winner_ns.errors import SignalError
from winner_ns.many.store import SHARDS, landed, read_index

pytest.importorskip("ray")
CHOICES = {"width": 16, "depth": 2, "steps": 300, "purpose": "fit", "workers": 2}
FIT = "import json, sys, winner_ns; winner_ns.fit_many(*sys.argv[1:3], on='ray', **json.loads(sys.argv[3]))"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes of one core, which Ray finds."""
    # As a user's machines have it installed: what pytest adds to the path is not seen by other processes.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    start_early(monkeypatch.setattr)
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for head in ({"include_dashboard": False}, {}):
            cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20, runtime_env_agent_port=free_port(), **head)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.mark.slow
def test_a_cluster_gives_what_one_machine_gives_whichever_node_is_killed(cluster: Any, tmp_path: Path) -> None:
    _bench_on_two_nodes(tmp_path)
    _fit_while_a_node_is_killed(cluster, tmp_path)


def _bench_on_two_nodes(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    preset = {
        "title": "Two fields on a small picture", "shows": "That it works.", "task": "fit", "kind": "image",
        "signals": ["picture.png"], "fields": {"siren": "siren", "winner": "winner"}, "metrics": ["psnr"],
        "steps": 20, "batch": 100, "seeds": 2, "width": 16,
    }  # fmt: skip
    (folder / "tiny.yaml").write_text(yaml.safe_dump(preset))
    records = {
        on: run_bench(load_preset(str(folder / "tiny.yaml")), folder / on, "x", workers=workers, tell=print, on=on)
        for on, workers in (("local", 1), ("ray", 2))
    }
    assert len(records["ray"]) == 4 and records["ray"][0]["machine"]["cells at a time"].startswith("2")
    for ours, theirs in zip(records["local"], records["ray"], strict=True):
        assert _without_seconds(ours) == _without_seconds(theirs)
        one, two = (load_file(folder / on / ours["folder"] / "field.safetensors") for on in records)
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seconds(each) for key, each in value.items() if "seconds" not in key and key != "machine"}
    return value


def _fit_while_a_node_is_killed(cluster: Any, folder: Path) -> None:
    np.save(folder / "rows.npy", np.random.default_rng(0).random((20, 12, 12)).astype(np.float32))
    store = folder / "store"
    command = [sys.executable, "-c", FIT, str(folder / "rows.npy"), str(store), json.dumps(CHOICES)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while len(list((store / "work").glob("*.lease"))) < 2 or not landed(store):
        time.sleep(0.02)
        assert program.poll() is None, program.communicate()
    (worker,) = cluster.worker_nodes
    cluster.remove_node(worker, allow_graceful=False)
    said, _ = program.communicate(timeout=120)
    assert program.returncode == 0 and not said  # None of Ray's chatter.
    lines = read_index(store)
    assert sorted(line["index"] for line in lines) == list(range(20)) and not any("error" in line for line in lines)
    keys = [key for shard in (store / SHARDS).iterdir() for key in load_file(shard)]
    assert len(keys) == len(set(keys)) and not landed(store) and not (store / "work").exists()
    alone = winner_ns.fit_many(folder / "rows.npy", folder / "alone", **{**CHOICES, "workers": 1})
    theirs = winner_ns.load_fields(store)
    assert alone.names == theirs.names
    assert all(ours.equal(other) for (ours, _), (other, _) in zip(alone.dataset(), theirs.dataset(), strict=True))


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # And never listens.
        address = f"ray://127.0.0.1:{bound.getsockname()[1]}"
        assert main(["fit-many", str(tmp_path), "--out", str(tmp_path / "store"), "--on", address]) == 1
    said = capsys.readouterr().err
    assert f"{address}: no cluster answers there (Connection refused)" in said and said.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("slurm", "--on: 'slurm' is no place to work on; give local, ray or ray://HOST:PORT"),
        ("ray://nowhere", "--on: ray://nowhere is no address"),
        ("local://here", "--on: local://here is no place to work on"),
    ],
)
def test_places_that_are_none(on: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    assert main(["fit-many", str(tmp_path), "--out", str(tmp_path / "store"), "--on", on]) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "store").exists()


def test_ray_is_asked_for_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SignalError, match=r'ray: is not installed; pip install "winner_ns\[cluster\]"'):
        winner_ns.fit_many(np.zeros((2, 4, 4)), "store", on="ray")


def test_a_machine_that_does_not_see_the_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on each machine, where the storage is another one."""
    monkeypatch.setattr("winner_ns.engines.ray.SEEN", 0.0)
    store, token, source = tmp_path / "store", tmp_path / "store" / "work" / "token", tmp_path / "rows.npy"
    order: Dict[str, Any] = {"folder": str(store), "to_be_seen": [str(token), str(source)], "version": "0"}

    def refused() -> str:
        status, said = serve(order)
        assert status == 1
        return str(SignalError(**json.loads(said)))

    assert f"{store}: the machine {socket.gethostname()} of the cluster does not see it" in refused()
    token.parent.mkdir(parents=True)
    token.touch()
    assert f"{source}: the machine" in refused()
    source.touch()
    assert "has winner_ns" in refused() and "this is 0; install the same on all machines" in refused()

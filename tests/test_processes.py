"""One signal, several processes: the same field as one process has, whatever happens to them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import winner_ns
from tests.one_of_each import SMALL, signals
from winner_ns.errors import SignalError
from winner_ns.fitting import processes
from winner_ns.fitting.processes import Processes
from winner_ns.fitting.target import TargetOptions, target_of
from winner_ns.rays.drawn_for_all import DrawnForAll

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
ALL_KINDS = """
import sys
import torch, winner_ns
from tests.one_of_each import SMALL, signals
fields = {name: winner_ns.fit(data, **{**SMALL, **how}) for name, (data, how) in signals().items()}
rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
photo, _ = signals()["image"]
for data, how in ((photo, {"learning_rate": 1e-3 * (1 + rank)}), (photo, {"omega_0": 30 + rank}),
                  (photo, {"holdout": 0.1 * (1 + rank)}), (photo // (1 + rank), {"family": "siren"})):
    try:
        winner_ns.fit(data, **{**SMALL, **how})
        sys.exit(f"process {rank} did not notice that the other one has something else")
    except winner_ns.SignalError as error:
        assert "differ in what they are to fit, or by which settings" in str(error)
torch.save({name: (field.network.state_dict(), field.steps) for name, field in fields.items()}, f"{sys.argv[1]}/{rank}")
"""


@pytest.fixture(autouse=True)
def threads_as_they_were():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def apart(one: dict, other: dict) -> float:
    """The greatest difference of two sets of weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one if one[name].numel())


@cache
def smooth_target(dimensions: int, holdout: str, between: str):
    smooth = np.sin(np.arange(64) / 5)
    values = (np.float32(smooth), 8000) if dimensions == 1 else np.uint8(127 + 100 * np.outer(smooth, smooth[:9]))
    return target_of(values, "audio" if dimensions == 1 else "image", TargetOptions(holdout=holdout, between=between))


@settings(max_examples=30)
@given(
    kind=st.tuples(st.sampled_from([1, 2]), st.sampled_from(["none", "0.3"]), st.sampled_from(["kriging", "none"])),
    size=st.integers(8, 60),
    count=st.integers(2, 5),
    step=st.integers(0, 9),
    data=st.data(),
)
def test_together_the_parts_of_a_step_are_the_step_of_one_process(kind, size, count, step, data):
    target = smooth_target(*kind)
    batch_size = data.draw(st.sampled_from([0, size, target.train_size - 1, target.train_size + 1]))
    Processes(0, count).check_batch(4 * count)
    if 0 < batch_size < 4 * count:
        with pytest.raises(SignalError, match="too few for"):
            Processes(0, count).check_batch(batch_size)
        return
    parts = [target.batch(step, batch_size, rank, count) for rank in range(count)]
    x, y = target.batch(step, batch_size)
    whole = sorted(torch.cat([x, y], dim=1).tolist())
    assert sorted(row for part in parts for row in torch.cat(part, dim=1).tolist()) == whole
    assert min(len(part[0]) for part in parts) > 0


def test_a_process_may_have_no_estimates_in_a_step():
    """A tenth of few samples is not enough for all."""
    target = smooth_target(2, "none", "kriging")
    parts = [target.batch(3, 12, rank, 3) for rank in range(3)]
    assert [len(x) for x, _ in parts] == [5, 4, 3] and target.batch(3, 12)[0].shape == (12, 2)
    whole = torch.cat([torch.cat(part, dim=1) for part in parts])
    assert sorted(whole.tolist()) == sorted(torch.cat(target.batch(3, 12), dim=1).tolist())


def test_processes_that_are_waited_for_are_named_and_signals_are_heard(capsys, monkeypatch):
    monkeypatch.setattr(processes, "SAID_AFTER", 0.0)
    assert processes._awaited(lambda: time.sleep(0.3) or 7, "process 1 of 2 waits for the others") == 7
    assert capsys.readouterr().err == "winner-ns: warning: process 1 of 2 waits for the others\n"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            processes._awaited(lambda: time.sleep(1), "")
    finally:
        signal.signal(signal.SIGINT, before)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SignalError, match=f"127.0.0.1:{port}: the processes cannot meet there"):
            processes.meeting_place("127.0.0.1", port, 2, True)


def test_what_torchrun_does_not_say_is_no_matter(monkeypatch):
    """As other launchers, and jobs that are over, leave in the environment."""
    monkeypatch.delenv("RANK", raising=False)
    of_torchrun = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": "1"}
    for name, value in {**of_torchrun, "MASTER_ADDR": "127.0.0.1", "WINNER_NS_PROCESS": str(os.getpid())}.items():
        monkeypatch.setenv(name, value)
    assert processes.join() is processes.ALONE
    monkeypatch.setenv("RANK", "")
    assert processes.join() is processes.ALONE


def test_processes_that_cannot_be_started_are_one_line(monkeypatch):
    from winner_ns.glue.processes import train_in_processes
    from winner_ns.plugin import methods

    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(SystemExit, match="--machine.num-devices: process 2 of 2 could not be started"):
        train_in_processes(print, 2, config=methods.winner_siren.config)


def test_rays_have_the_random_numbers_that_they_have_in_one_process():
    torch.manual_seed(3)
    whole, further, after = torch.rand(11, 4), torch.rand_like(torch.zeros(11, 2)), torch.rand(5)
    for rank in range(3):
        torch.manual_seed(3)
        with DrawnForAll(11, rank, 3) as part:
            mine, mine_further = torch.rand((part.size, 4)), torch.rand_like(torch.zeros(part.size, 2))
        assert torch.equal(mine, whole[rank::3]) and torch.equal(mine_further, further[rank::3])
        assert torch.equal(torch.rand(5), after)


@pytest.mark.slow
def test_two_processes_fit_every_kind_as_one_does(tmp_path):
    (tmp_path / "program.py").write_text(ALL_KINDS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [*TORCHRUN, tmp_path / "program.py", tmp_path], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / rank, weights_only=True) for rank in "01")
    torch.set_num_threads(1)
    for name, (data, how) in signals().items():
        alone = winner_ns.fit(data, **{**SMALL, **how})
        (weights, steps), (others, _) = first[name], second[name]
        assert steps == alone.steps == 20
        assert apart(weights, alone.network.state_dict()) < 1e-5, name
        assert apart(weights, others) == 0.0, name


@pytest.mark.slow
def test_a_process_that_is_killed_is_started_again_and_goes_on(photo, tmp_path):
    """By torchrun: the run is that of one process that nobody disturbed."""
    torch.set_num_threads(1)
    sizes = ["--width", "16", "--depth", "3", "--steps", "400", "--device", "cpu", "--set", "batch_size=900"]
    command = [*TORCHRUN, "--max-restarts", "1", "-m", "winner_ns", "fit", photo, "-o", tmp_path / "run", *sizes]
    said = tmp_path / "said.txt"
    with open(said, "w") as errors:
        program = psutil.Popen(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=errors, text=True, cwd=Path(__file__).parents[1]
        )
        while "step 1 of 400" not in said.read_text() and program.poll() is None:
            time.sleep(0.05)
        (victim,) = [child for child in program.children() if child.environ().get("RANK") == "1"]
        victim.kill()
        output, _ = program.communicate(timeout=120)
    told = said.read_text()
    assert program.returncode == 0, told
    assert told.count("winner-ns: error: training: one of its 2 processes has ended; go on with: winner-ns fit") == 1
    assert told.count("step 1 of 400") == 1  # It did not begin anew.
    assert output.count("Training finished: 400 steps") == 1
    figures = json.loads((tmp_path / "run" / "results" / "figures.json").read_text())["figures"]
    alone = winner_ns.fit(photo, batch_size=900, **{**SMALL, "steps": 400})
    assert abs(figures["psnr"] - alone.figures["psnr"]) < 0.05


@pytest.mark.slow
def test_ns_train_ends_with_a_line_where_a_process_is_killed_and_goes_on(photo, ns_train, runs, capfd):
    """In two processes both times; the field is that of one."""
    from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
    from nerfstudio.scripts.train import _set_random_seed
    from nerfstudio.utils import writer

    from winner_ns.glue.processes import train_in_processes
    from winner_ns.plugin import methods

    def killed_at_step_5(local_rank: int, world_size: int, config) -> None:
        def kill(step: int) -> None:
            (other,) = [each for each in psutil.Process().children() if "winner_ns.glue.processes" in each.cmdline()]
            assert os.getsid(other.pid) == other.pid  # Ctrl-C in a terminal does not reach it.
            other.kill()
            other.wait()

        _set_random_seed(config.machine.seed)
        trainer = config.setup(local_rank=local_rank, world_size=world_size)
        trainer.setup()
        trainer.callbacks.append(TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], kill, iters=(5,)))
        trainer.train()

    writer.EVENT_WRITERS.clear()
    config = deepcopy(methods.winner_siren.config)
    config.data, config.output_dir, config.vis = photo, photo.parent / "outputs", "tensorboard"
    config.max_num_iterations, config.machine.device_type, config.machine.num_devices = 20, "cpu", 2
    config.pipeline.model.field.width, config.pipeline.model.field.depth = 16, 3
    config.pipeline.datamanager.batch_size = 333
    config.set_timestamp()
    config.save_config()
    with pytest.raises(SystemExit, match="one of its 2 processes has ended; go on with: ns-train"):
        train_in_processes(killed_at_step_5, 2, config=config)
    (run,) = runs()
    assert [path.name for path in (run / "nerfstudio_models").iterdir()] == ["step-000000004.ckpt"]
    assert not psutil.Process().children() or all(
        "winner_ns.glue.processes" not in each.cmdline() for each in psutil.Process().children()
    )
    flags = ["--data", photo, "--machine.device-type", "cpu", "--machine.num-devices", 2, "--max-num-iterations", 20]
    flags += ["--pipeline.model.field.width", 16, "--pipeline.model.field.depth", 3]
    finished = ns_train(*flags, "--pipeline.datamanager.batch-size", 333, "--load-dir", run / "nerfstudio_models")
    assert finished.status == 0, finished.errors
    assert "on cpu in 2 processes" in finished.output and finished.output.count("Training finished: 20 steps") == 1
    torch.set_num_threads(1)
    alone = winner_ns.fit(photo, batch_size=333, **SMALL)
    fitted = winner_ns.load_field(runs()[-1] / "results" / "field.safetensors")
    assert apart(fitted.network.cpu().state_dict(), alone.network.state_dict()) < 1e-5


def test_too_few_samples_for_the_processes_are_refused(photo, ns_train):
    refused = ns_train("--data", photo, "--machine.device-type", "cpu", "--machine.num-devices", 2,
                       "--pipeline.datamanager.batch-size", 7)  # fmt: skip
    assert refused.status == 1 and "Traceback" not in refused.errors
    assert "--pipeline.datamanager.batch-size: 7 samples a step are too few for 2 processes" in refused.errors

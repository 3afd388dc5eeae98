"""Programs that are told to end by a signal: nothing is lost, and the same command or the one that is said goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from copy import deepcopy
from pathlib import Path

import pytest
import torch

import winner_ns
from winner_ns.commands.main import main
from winner_ns.fitting import checkpoints
from winner_ns.fitting.run import load_run
from winner_ns.interruption import INTERRUPTION, SIGNALS, Ended
from winner_ns.plugin.resume_command import resume_command

SMALL = {"width": 8, "depth": 2, "progress": False, "device": "cpu"}
SIZES = ["--width", "8", "--depth", "2", "--device", "cpu", "--quiet"]
NAMES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True, scope="module")
def signals_as_a_terminal_has_them():
    """Tests that nohup has started would inherit that a closed terminal is nothing to them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def same_weights(one, other) -> bool:
    mine, others = one.state_dict(), other.state_dict()
    return mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)


def trainer_of(method: str, photo: Path, steps: int, **settings):
    """A trainer as ns-train makes it, for a run of so many steps that is called after the method."""
    from nerfstudio.scripts.train import _set_random_seed
    from nerfstudio.utils import writer

    from winner_ns.plugin import methods

    writer.EVENT_WRITERS.clear()
    config = deepcopy(getattr(methods, method).config)
    config.data, config.output_dir, config.vis = photo, photo.parent / "outputs", "tensorboard"
    config.max_num_iterations, config.machine.device_type = steps, "cpu"
    sized = config.pipeline.model.field if method == "winner_siren" else config.pipeline.model
    sized.width, sized.depth = 8, 2
    for name, value in settings.items():
        setattr(config, name, value)
    config.set_timestamp()
    config.save_config()
    _set_random_seed(config.machine.seed)
    trainer = config.setup()
    trainer.setup()
    return trainer


def told_at(trainer, location: str, number: int, step: int = 0) -> None:
    """Sends this process a signal when the trainer is there."""
    from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation

    def tell(step: int) -> None:
        signal.raise_signal(number)

    where = getattr(TrainingCallbackLocation, location)
    iters = None if location == "AFTER_TRAIN" else (step,)
    trainer.callbacks.insert(1, TrainingCallback([where], tell, iters=iters))


@pytest.mark.parametrize("number", list(NAMES))
def test_a_training_that_is_told_to_end_keeps_its_last_whole_step(number, photo, capfd):
    before = [signal.getsignal(each) for each in SIGNALS]
    trainer = trainer_of("winner_siren", photo, 1000)
    trainer.config.optimizers["field"]["scheduler"].schedule = "constant"
    told_at(trainer, "BEFORE_TRAIN_ITERATION", number, step=5)
    with pytest.raises(Ended) as end:
        trainer.train()
    assert end.value.code == NAMES[number]
    assert [path.name for path in trainer.checkpoint_dir.iterdir()] == ["step-000000005.ckpt"]
    # The field of so many steps and no other.
    assert same_weights(
        load_run(trainer.base_dir).network, winner_ns.fit(photo, steps=6, schedule="constant", **SMALL).network
    )
    errors = capfd.readouterr().err
    assert "interrupted after step 6; go on with: ns-train" in errors
    assert f"--load-dir {trainer.checkpoint_dir}" in errors and "Traceback" not in errors
    assert not (trainer.base_dir / "results").exists()
    INTERRUPTION.disregard()
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.mark.slow
@pytest.mark.parametrize("method", ["winner_siren", "winner_compare"])
def test_results_that_were_not_written_are_written_on_resuming(method, photo, ns_method, runs, capfd):
    """Told to end while results are written; what a killed program leaves lies there, too."""
    trainer = trainer_of(method, photo, 3)
    told_at(trainer, "AFTER_TRAIN", signal.SIGTERM)
    with pytest.raises(Ended):
        trainer.train()
    assert "write them with: ns-train" in capfd.readouterr().err
    run = trainer.base_dir
    config, checkpoint = (run / "config.yml").read_bytes(), next(trainer.checkpoint_dir.iterdir())
    state = checkpoint.read_bytes()
    left = run / "results" / ".figures.half.json"
    left.parent.mkdir()
    left.write_text("{")
    flags = ["--data", photo, "--machine.device-type", "cpu", "--load-dir", run / "nerfstudio_models"]
    size = "--pipeline.model.field." if method == "winner_siren" else "--pipeline.model."
    flags += [f"{size}width", 8, f"{size}depth", 2, "--max-num-iterations", 3]
    name = method.replace("_", "-")
    for broken in (None, "comparison.png", "figures.json"):
        if broken is not None:
            (run / "results" / broken).unlink()
        finished = ns_method(name, *flags)
        assert finished.status == 0, finished.errors
        assert runs() == [run]  # Its own folder, and no other.
        table = json.loads((run / "results" / "figures.json").read_text())
        assert table["steps"] == 3 and table["training_seconds"] > 0
        assert {"field.safetensors", "comparison.png"} <= {Path(file).name for file in table["files"]}
        there = {
            path.relative_to(run / "results").as_posix() for path in (run / "results").rglob("*") if path.is_file()
        }
        assert there - {".figures.half.json"} == {*table["files"], "figures.json"}
    fields = {path.parent.name: winner_ns.load_field(path) for path in run.rglob("field.safetensors")}
    assert len(fields) == (1 if method == "winner_siren" else 3)
    if method == "winner_siren":
        assert same_weights(fields["results"].network, load_run(run).network)
    assert (run / "config.yml").read_bytes() == config and checkpoint.read_bytes() == state
    again = ns_method(name, *flags)
    assert again.status == 1 and "give a larger --max-num-iterations" in again.errors


def test_a_whole_training_of_another_name_has_its_results_there(photo, ns_train, runs):
    common = ["--data", photo, "--machine.device-type", "cpu", "--pipeline.model.field.width", 8]
    common += ["--max-num-iterations", 2]
    assert ns_train(*common, "--pipeline.write-results", False).status == 0
    (first,) = runs()
    finished = ns_train(*common, "--load-dir", first / "nerfstudio_models", "--timestamp", "other")
    assert finished.status == 0, finished.errors
    other = first.parent / "other"
    assert (other / "results" / "figures.json").is_file() and not (first / "results").exists()
    assert same_weights(load_run(other).network, load_run(first).network) and load_run(other).step == 1


def test_a_paused_training_ends_too(photo):
    trainer = trainer_of("winner_siren", photo, 1000)

    def pause(step: int) -> None:
        trainer.training_state = "paused"
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()

    from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation

    where = [TrainingCallbackLocation.AFTER_TRAIN_ITERATION]
    trainer.callbacks.insert(0, TrainingCallback(where, pause, iters=(3,)))
    with pytest.raises(Ended):
        trainer.train()
    assert load_run(trainer.base_dir).step == 3


def test_stopping_by_nerfstudio_keeps_the_step_that_was_made(photo):
    trainer = trainer_of("winner_siren", photo, 1000)
    trainer.config.pipeline.write_results = False

    from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation

    where = [TrainingCallbackLocation.AFTER_TRAIN_ITERATION]
    trainer.callbacks.insert(0, TrainingCallback(where, lambda step: trainer.shutdown(), iters=(3,)))
    trainer.train()
    assert load_run(trainer.base_dir).step == 3


@pytest.mark.slow
def test_a_viewer_that_stays_open_ends_quietly_on_ctrl_c(photo, capfd):
    trainer = trainer_of("winner_siren", photo, 2, vis="viewer")
    trainer.config.viewer.quit_on_train_completion = False
    ended = threading.Event()

    def press() -> None:
        while trainer.training_state != "completed" or not (trainer.base_dir / "results" / "figures.json").exists():
            if ended.wait(0.05):
                return
        ended.wait(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    try:
        trainer.train()
    finally:
        ended.set()
    output = capfd.readouterr()
    assert "interrupted" not in output.err and "Traceback" not in output.err + output.out


def test_the_viewer_of_finished_runs_ends_quietly_on_ctrl_c_alone():
    from winner_ns.viewing.finished_viewer import serve_forever

    def told(number: int) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()

    with INTERRUPTION:
        told(signal.SIGINT)
        assert serve_forever() is None
    with INTERRUPTION, pytest.raises(Ended) as end:
        told(signal.SIGTERM)
        serve_forever()
    assert end.value.code == 143


@pytest.mark.slow
def test_ns_train_in_a_process_of_its_own(torus, tmp_path):
    """The status that a shell gets; no traceback, and no lists of what native libraries leak, whose objects the
    viewer's threads still have."""
    program = Path(sys.executable).parent / "ns-train"
    flags = ["--max-num-iterations", "100000000", "--pipeline.model.field.width", "8"]
    flags += ["--pipeline.datamanager.shape-samples", "5000", "--pipeline.datamanager.batch-size", "256"]
    command = [str(program), "winner-siren", "--data", str(torus), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert any(line.startswith("step ") for line in iter(process.stdout.readline, ""))
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 143
    said = errors.splitlines()[-1]
    assert said.startswith("interrupted after step ")
    for word in ("Traceback", "leak", "Exception"):
        assert word not in errors + output
    # Libraries warn of nothing but of what is imported before any code of ours.
    assert all("torch.jit.script" in line for line in errors.splitlines() if "Warning" in line)
    (run,) = (tmp_path / "outputs" / "torus" / "winner-siren").iterdir()
    assert f"interrupted after step {load_run(run).step + 1};" in said
    goes_on = shlex.split(said.partition("go on with: ")[2])
    folder = str(run.relative_to(tmp_path) / "nerfstudio_models")
    assert goes_on == ["ns-train", "winner-siren", "--load-dir", folder, "--data", str(torus), *flags]


@pytest.mark.slow
def test_ctrl_c_while_ns_train_imports(photo, tmp_path):
    """From soon after the first moment at which code of ours runs in that process: as data parsers are listed."""
    command = [str(Path(sys.executable).parent / "ns-train"), "winner-siren", "--data", str(photo)]
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment,
        # Shells have what they start in the background ignore Ctrl-C, these tests included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert any("nerfstudio.configs.dataparser_configs" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and not output
    # Nothing but what was imported meanwhile.
    assert all(line.startswith("import time:") for line in errors.splitlines() if "Warning" not in line)
    assert "Traceback" not in errors and [path.name for path in tmp_path.iterdir()] == [photo.name]


def test_the_command_that_goes_on():
    called = "/bin/ns-train winner-siren --load-dir old --data 'a b.png' --load_step=3 --vis viewer"
    said = resume_command("winner-siren", Path("new"), shlex.split(called))
    assert said == "ns-train winner-siren --load-dir new --data 'a b.png' --vis viewer"


@pytest.mark.slow
def test_a_fit_may_be_told_to_end_at_any_time(photo, tmp_path):
    """Whenever that is: the status, a folder that goes on to the same field, or none."""
    whole = winner_ns.fit(photo, steps=200, **SMALL)
    started = time.monotonic()
    assert main(["fit", str(photo), "-o", str(tmp_path / "whole"), "--steps", "200", *SIZES]) == 0
    took = time.monotonic() - started
    all_there = {path.relative_to(tmp_path / "whole").as_posix() for path in (tmp_path / "whole").rglob("*")}
    kept = 0
    for number, part in enumerate((0.1, 0.4, 0.7, 0.9)):
        run = tmp_path / f"run{number}"
        timer = threading.Timer(part * took, os.kill, (os.getpid(), SIGNALS[number % 3]))
        # Only while the program deals with it, which it does to its end.
        with INTERRUPTION:
            timer.start()
            status = main(["fit", str(photo), "-o", str(run), "--steps", "200", *SIZES])
            timer.cancel()
            timer.join()
        assert status in (0, NAMES[SIGNALS[number % 3]])
        if status and not run.exists():
            continue
        if status:
            kept += 1
            assert main(["fit", "--resume", str(run), "--quiet"]) == 0
        assert same_weights(load_run(run).network, whole.network)
        assert json.loads((run / "results" / "figures.json").read_text())["steps"] == 200
        there = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.parent.name != checkpoints.BEFORE}
        assert there - {checkpoints.BEFORE} == all_there
    assert kept


WAITS = """
import signal, sys, time
from winner_ns.interruption import INTERRUPTION
with INTERRUPTION:
    INTERRUPTION.hold()
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
"""


def waiting(**keywords) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.PIPE, text=True, **keywords)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", list(NAMES))
def test_a_second_signal_quits_at_once_and_an_echo_does_not(number):
    with waiting() as process:
        for _ in range(3):
            process.send_signal(number)
        time.sleep(0.6)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(10) == NAMES[number]


def test_what_nohup_starts_outlives_its_terminal():
    with waiting(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.6)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None
        process.kill()


def test_a_signal_that_a_library_swallows_ends_the_program_at_its_next_step():
    with INTERRUPTION:
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:  # noqa: B036
            pass
        with pytest.raises(Ended):
            INTERRUPTION.hold()


def test_checkpoints_are_saved_by_time_too(photo, monkeypatch):
    monkeypatch.setattr(checkpoints, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))
    trainer = trainer_of("winner_siren", photo, 8, steps_per_save=5, save_only_latest_checkpoint=False)
    seen = []

    from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation

    def look(step: int) -> None:
        seen.append([checkpoints.step_of(path) for path in sorted(trainer.checkpoint_dir.iterdir())])

    trainer.callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], look))
    trainer.train()
    # The last one by time beside those of every fifth step, which stay.
    assert seen == [[0], [1], [2], [3], [4], [5], [5, 6], [5, 7]]


def test_a_signal_that_comes_while_an_object_is_cleaned_up_ends_the_program_a_moment_later(capfd):
    """Nothing can be raised there: Python would print it, and go on."""

    class Cleaned:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)
            len(str(self))  # The handler is called.

    usual = sys.unraisablehook
    with pytest.raises(Ended) as end, INTERRUPTION:
        Cleaned()
        for _ in range(1000):
            time.sleep(0.01)
    assert end.value.status == 143 and not capfd.readouterr().err
    INTERRUPTION.disregard()
    assert sys.unraisablehook is usual

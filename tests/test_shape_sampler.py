"""Blocks of training samples that are drawn ahead of time: what they hold, and that no process is left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import trimesh

from winner_ns.errors import SignalError
from winner_ns.fitting.shape_target import ShapeTarget
from winner_ns.fitting.target import TargetOptions
from winner_ns.signals import load_signal
from winner_ns.signals.shape_sampler import ShapeSampler, draw_block

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shape(tmp_path_factory):
    path = tmp_path_factory.mktemp("shape") / "sphere.ply"
    trimesh.creation.icosphere(3).export(path)
    return load_signal(path)


def same(one, other) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def running(process: int) -> bool:
    """Whether there is a process of that number, a dead one that nobody has waited for included."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def gone(process: int) -> bool:
    """Waits for a process to end."""
    deadline = time.monotonic() + 30
    while running(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(process)


def test_blocks_are_those_of_drawing_in_place(shape):
    with ShapeSampler(shape, 1000, seed=3) as sampler, ShapeSampler(shape, 1000, seed=3, background=False) as in_place:
        assert sampler.in_background and not in_place.in_background
        # Forwards, repeated, far ahead and back.
        for number in (0, 1, 1, 2, 500, 501, 0):
            assert same(sampler.block(number), in_place.block(number))
            assert same(sampler.block(number), draw_block(shape, 1000, 3, number))
        assert sampler.in_background


def test_blocks_depend_on_seed_and_number(shape):
    blocks = [draw_block(shape, 200, *which)[0] for which in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert not any(np.array_equal(a, b) for i, a in enumerate(blocks) for b in blocks[:i])


def test_a_few_blocks_are_kept_and_the_next_ones_are_ready_early(shape):
    with ShapeSampler(shape, 100, seed=0) as sampler:
        for number in range(5):
            sampler.block(number)
            assert len(sampler._worker._ready) <= 2
        deadline = time.monotonic() + 30
        while len(sampler._worker._ready) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sorted(sampler._worker._ready) == [5, 6]


def test_nothing_is_drawn_ahead_that_training_does_not_come_to(shape):
    with ShapeSampler(shape, 100, seed=0, first=1, last=2) as sampler:
        for number in (1, 2):
            assert same(sampler.block(number), draw_block(shape, 100, 0, number))
        assert sampler._worker._wanted == []
        # Who asks for more gets it.
        assert same(sampler.block(3), draw_block(shape, 100, 0, 3))
    assert not ShapeSampler(shape, 100, seed=0, first=3, last=2).in_background


def test_a_training_knows_its_last_block(shape):
    """200,000 samples, a quarter of them a step: 8 passes are 32 steps, and 70 steps take the blocks 0, 1 and 2."""
    target = ShapeTarget.of(shape, TargetOptions(shape_samples=200_000))
    target.ends_after(70)
    for step in (0, 4, 69):
        target.batch(step, 50_000)
    assert target._sampler.in_background and target._sampler._worker._wanted == []
    target.close()


def test_closing_leaves_no_process_and_blocks_can_still_be_drawn(shape):
    sampler = ShapeSampler(shape, 100, seed=0)
    process = sampler._worker._process.pid
    before = sampler.block(1)
    sampler.close()
    sampler.close()
    assert not running(process) and not sampler.in_background
    assert same(sampler.block(1), before) and same(sampler.block(2), draw_block(shape, 100, 0, 2))


def test_a_forgotten_sampler_takes_its_process_along(shape):
    sampler = ShapeSampler(shape, 100, seed=0)
    process = sampler._worker._process.pid
    del sampler
    gc.collect()
    assert not running(process)


def test_drawing_goes_on_where_the_process_dies(shape):
    with ShapeSampler(shape, 100, seed=0) as sampler:
        sampler.block(0)
        os.kill(sampler._worker._process.pid, signal.SIGKILL)
        for number in (1, 5, 6):
            assert same(sampler.block(number), draw_block(shape, 100, 0, number))
        assert not sampler.in_background


def test_what_a_broken_process_sends_stops_nothing(shape, monkeypatch, tmp_path):
    """Something that says other things than blocks, as a library that prints from C might."""
    talker = tmp_path / "python"
    talker.write_text("#!/bin/sh\nprintf 'cabc\\ndef\\n.'\nexec sleep 60\n")
    talker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(talker))
    with ShapeSampler(shape, 100, seed=0) as sampler:
        assert same(sampler.block(0), draw_block(shape, 100, 0, 0))


def test_drawing_goes_on_where_no_process_can_be_started(shape, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with ShapeSampler(shape, 100, seed=0) as sampler:
        assert not sampler.in_background
        assert same(sampler.block(4), draw_block(shape, 100, 0, 4))


def test_what_is_wrong_with_a_shape_is_raised_where_a_block_is_asked_for(shape):
    broken = pickle.loads(pickle.dumps(shape))
    broken.faces = None
    broken.source = "distances"
    with ShapeSampler(broken, 100, seed=0) as sampler, pytest.raises(ValueError):
        sampler.block(0)
    assert issubclass(SignalError, ValueError)


def test_a_sampler_can_be_sent_to_another_process(shape):
    with ShapeSampler(shape, 100, seed=0) as sampler, pickle.loads(pickle.dumps(sampler)) as copy:
        assert copy.in_background and same(copy.block(3), sampler.block(3))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_draws_by_itself_and_leaves_the_worker_alone(shape):
    with ShapeSampler(shape, 100, seed=0) as sampler:
        sampler.block(0)
        context = multiprocessing.get_context("fork")
        receive, send = context.Pipe(duplex=False)
        child = context.Process(target=lambda: (send.send(sampler.block(7)), sampler.close()))
        child.start()
        assert same(receive.recv(), draw_block(shape, 100, 0, 7))
        child.join()
        assert child.exitcode == 0 and sampler.in_background
        assert same(sampler.block(8), draw_block(shape, 100, 0, 8))


PROGRAM = """
    import signal, sys, time
    from winner_ns.signals import load_signal
    from winner_ns.signals.shape_sampler import ShapeSampler

    # As in a terminal: what a shell starts in the background ignores the keyboard, and hands that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # No main guard, as in many scripts.
    sampler = ShapeSampler(load_signal(sys.argv[1]), 1000, seed=0)
    sampler.block(0)
    print(sampler._worker._process.pid, flush=True)
    {then}
"""


def started(shape, then: str) -> tuple:
    """A program that samples in the background, in a process group of its own as in a terminal, and its worker."""
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM).format(then=then), str(shape.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return program, int(program.stdout.readline())


def test_a_program_that_ends_takes_its_worker_along(shape):
    program, worker = started(shape, "")
    assert program.communicate(timeout=60)[1] == "" and program.returncode == 0
    assert gone(worker)


def test_a_program_that_is_killed_leaves_no_worker(shape):
    program, worker = started(shape, "time.sleep(600)")
    program.kill()
    program.communicate()
    assert gone(worker)


def test_interrupting_from_the_keyboard_ends_both(shape):
    program, worker = started(shape, "time.sleep(600)")
    os.killpg(program.pid, signal.SIGINT)
    _, errors = program.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt") and errors.count("Traceback") == 1
    assert gone(worker)

"""A training's pace while a browser looks at it and is moved all the time, beside its pace without one.

    python -m docs.measurements.beside_browser                  # the photograph, the sound and the shape of `shares`
    python -m docs.measurements.beside_browser photo.png --seconds 60

`ns-train winner-siren` of each, with its viewer and the settings that are its own, on one thread; a headless Chromium
opens the page, drags and zooms for some seconds, and is closed again, three times in turn with as long without one.
Counted are the steps that the terminal tells, the seconds, and the user and system seconds of the training's process,
and which part of these its viewer's threads take. What the browser takes of the machine shows in the seconds, and,
where cores share their caches, in the training's own CPU seconds, too. Each browser is drawn for a second ahead of its
time (`winner_ns/viewing/allowance.py`): where others leave a training few CPU seconds of a turn, make turns longer.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Iterator, List, NamedTuple

import psutil

from docs.measurements.shares import signals
from winner_ns.demo.viewer_pictures import FLAGS, installed_browser

REPEATS = 3
STEP = re.compile(r"step (\d+) of")


class Mark(NamedTuple):
    """A step that was told."""

    step: int
    seconds: float
    cpu_seconds: float
    of_training: float
    """Of these, those of the thread that trains."""


class Training:
    """`ns-train` of a file, and the steps that it tells."""

    def __init__(self, data: Path, folder: Path, port: int) -> None:
        program = str(Path(sys.executable).parent / "ns-train")
        command = [
            program, "winner-siren", "--data", str(data), "--output-dir", str(folder), "--vis", "viewer",
            "--viewer.websocket-host", "127.0.0.1", "--viewer.websocket-port", str(port),
            "--max-num-iterations", "1000000", "--optimizers.field.scheduler.schedule", "constant",
        ]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._measured = psutil.Process(self._process.pid)
        self.marks: List[Mark] = []
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = STEP.search(line)
            if told:
                cpu = self._measured.cpu_times()
                thread = next(each for each in self._measured.threads() if each.id == self._process.pid)
                own = thread.user_time + thread.system_time
                self.marks.append(Mark(int(told.group(1)), time.monotonic(), cpu.user + cpu.system, own))

    def mark(self) -> Mark:
        """The next step that is told."""
        told = len(self.marks)
        while len(self.marks) == told:
            if self._process.poll() is not None:
                sys.exit("the training has ended")
            time.sleep(0.05)
        return self.marks[-1]

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def moving_browser(chromium: Any, port: int) -> Iterator[Any]:
    """A page that is looked at; call what it gives to move it a little."""
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.route(lambda url: not url.startswith((f"http://127.0.0.1:{port}", "data:", "blob:")), lambda r: r.abort())
    page.goto(f"http://127.0.0.1:{port}", wait_until="domcontentloaded")
    page.get_by_text(re.compile("Resolution: [1-9]")).first.wait_for(timeout=120_000)

    def move() -> None:
        page.mouse.move(450, 420)
        page.mouse.down()
        for part in range(20):
            page.mouse.move(450 + 4 * part, 420 + 2 * part)
            page.wait_for_timeout(50)
        page.mouse.up()
        page.mouse.wheel(0, -100)
        page.get_by_role("button", name="Frame the signal").click()
        page.wait_for_timeout(1000)

    yield move
    page.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="in place of the three")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    options = parser.parse_args()
    columns = [
        "signal",
        "steps a CPU second",
        "beside a browser",
        "share",
        "viewer's threads",
        "share of steps a second",
    ]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=installed_browser(), args=list(FLAGS))
        given = {path.stem: path.resolve() for path in options.files} or signals(Path(name))
        for number, (signal, path) in enumerate(given.items()):
            port = 7300 + number
            training = Training(path, Path(name), port)
            spent = [[0.0] * 4, [0.0] * 4]
            training.mark()
            for _ in range(REPEATS):
                for turn in (0, 1):
                    # The turn begins once the page is there: it is opened once, and then looked at for long.
                    if turn:
                        with moving_browser(chromium, port) as move:
                            move()
                            count = len(training.marks)
                            end = time.monotonic() + options.seconds
                            while time.monotonic() < end or len(training.marks) < count + 2:
                                move()
                            first, last = training.marks[count], training.marks[-1]
                    else:
                        first, end = training.mark(), time.monotonic() + options.seconds
                        last = training.mark()
                        while time.monotonic() < end:
                            last = training.mark()
                    for column, passed in enumerate(after - before for before, after in zip(first, last, strict=True)):
                        spent[turn][column] += passed
            training.end()
            (steps, seconds, cpu, _), (steps_beside, seconds_beside, cpu_beside, training_beside) = spent
            share = (steps_beside / cpu_beside) / (steps / cpu)
            pace = (steps_beside / seconds_beside) / (steps / seconds)
            print(
                f"| {signal} | {steps / cpu:.2f} | {steps_beside / cpu_beside:.2f} | {share:.0%} | "
                f"{1 - training_beside / cpu_beside:.0%} | {pace:.0%} |",
                flush=True,
            )
        chromium.close()


if __name__ == "__main__":
    main()

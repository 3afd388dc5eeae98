"""The environment's console scripts, run side by side."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path
from typing import Dict, List, Optional, Protocol, Tuple

import pytest

QUIETLY = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["nerfstudio.scripts.train", "nerfstudio.scripts.viewer.run_viewer", "winner_ns.plugin"])


class Program(Protocol):
    """A process, as subprocess has them."""

    def poll(self) -> Optional[int]: ...
    def wait(self) -> int: ...
    def terminate(self) -> None: ...


class ForkedProgram:
    """A console script in a process that nerfstudio, which takes ten seconds to import, is there in from the start."""

    def __init__(self, name: str, arguments: List[str], log: Path) -> None:
        self.process = FORKS.Process(target=_run, args=(name, arguments, log))
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in QUIETLY.items():
                patch.setenv(variable, value)
            self.process.start()  # The first one starts the process that all are forked from.

    def poll(self) -> Optional[int]:
        return self.process.exitcode

    def wait(self) -> int:
        self.process.join()
        return self.process.exitcode

    def terminate(self) -> None:
        self.process.terminate()


def _run(name: str, arguments: List[str], log: Path) -> None:
    with open(log, "wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.argv = [name, *arguments]
    (script,) = entry_points(group="console_scripts", name=name)
    sys.exit(script.load()())


class Programs:
    """Starts console scripts, the first of each name as a user does; ends them with the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: Dict[Path, Program] = {}
        self._names: List[str] = []
        self._one_at_a_time = threading.Lock()

    def start(self, name: str, *arguments: object) -> Tuple[Program, Path]:
        """Starts a program; returns its process and the file with what it says."""
        with self._one_at_a_time:  # Several threads start programs.
            is_first, log = name not in self._names, self.folder / f"log-{len(self._names)}-{name}.txt"
            self._names.append(name)
        given = list(map(str, arguments))
        if not is_first:
            program: Program = ForkedProgram(name, given, log)
        else:
            with open(log, "wb") as output:
                program = subprocess.Popen(
                    [str(Path(sys.executable).parent / name), *given],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **QUIETLY},
                )  # fmt: skip
        self.running[log] = program
        return program, log

    def finish(self) -> None:
        for program in self.running.values():
            program.terminate()
        for program in self.running.values():
            program.wait()

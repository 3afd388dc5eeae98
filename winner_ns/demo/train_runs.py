"""Runs of `winner-ns fit` and `ns-train`, some at a time, with progress on one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Sequence

STEP = re.compile(rb"step (\d+) of (\d+)")


@dataclass
class Run:
    """One call of `ns-train`."""

    name: str
    data: Path
    flags: List[str] = field(default_factory=list)
    method: str = "winner-siren"

    def folder(self, output: Path) -> Path:
        """Where nerfstudio puts it."""
        return output / "runs" / self.name / self.method / "demo"

    def command(self, output: Path) -> List[str]:
        program = str(Path(sys.executable).parent / "ns-train")
        where = ["--output-dir", str(output / "runs"), "--experiment-name", self.name, "--timestamp", "demo"]
        quiet = ["--vis", "tensorboard", "--logging.steps-per-log", "5"]
        return [program, self.method, "--data", str(self.data), *where, *quiet, *self.flags]


class FitRun(Run):
    """One call of `winner-ns fit`."""

    def folder(self, output: Path) -> Path:
        return output / "runs" / self.name

    def command(self, output: Path) -> List[str]:
        program = str(Path(sys.executable).parent / "winner-ns")
        return [program, "fit", str(self.data), "-o", str(self.folder(output)), *self.flags]


def train(runs: Sequence[Run], output: Path) -> None:
    """Trains runs at the same time, each with its share of the cores, and waits for all.

    Raises:
        SystemExit: one of them failed; names its log.
    """
    threads = str(max(1, (os.cpu_count() or 1) // len(runs)))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}
    logs: Dict[str, Path] = {run.name: output / "logs" / f"{run.name}.txt" for run in runs}
    processes = {}
    for run in runs:
        logs[run.name].parent.mkdir(parents=True, exist_ok=True)
        with open(logs[run.name], "wb") as log:
            processes[run.name] = subprocess.Popen(
                run.command(output), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
            )
    live, start, said = sys.stdout.isatty(), time.monotonic(), 0.0
    try:
        while any(process.poll() is None for process in processes.values()):
            time.sleep(0.5)
            elapsed = time.monotonic() - start
            if live or elapsed - said >= 10:
                said = elapsed
                states = "   ".join(f"{name} {_state(logs[name], processes[name])}" for name in processes)
                print(f"\r\033[K  {elapsed:4.0f} s   {states}" if live else f"  {elapsed:4.0f} s   {states}",
                      end="" if live else "\n", flush=True)  # fmt: skip
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.terminate()
    if live:
        print("\r\033[K", end="")
    for name, process in processes.items():
        if process.returncode != 0:
            tail = logs[name].read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            sys.exit(f"{name} failed: {' '.join(tail)} (all of it: {logs[name]})")
    print(f"  {time.monotonic() - start:4.0f} s   {', '.join(processes)} done", flush=True)


def _state(log: Path, process: "subprocess.Popen[bytes]") -> str:
    if process.poll() is not None:
        return "done"
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        text = file.read()
    percents = [100 * int(step) // int(steps) for step, steps in STEP.findall(text)]
    if not percents:
        return "starting"
    percent = percents[-1]
    return f"{percent} %" if percent < 98 else "writing results"

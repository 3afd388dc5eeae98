"""One command in a process of its own, with limits, and what is to be said of how it ended."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence

REFUSED, ACCEPTED = "refused", "accepted"
SECONDS = 60
MEMORY = 3 * 2**28
"""Bytes that a command may take beyond what its process has once everything is imported. The files are small, and the
commands are told to unpack 0.25 GiB at most."""


@dataclass(frozen=True)
class Attempt:
    """How a command ended."""

    verdict: str
    """refused (in one line), accepted, or which fault it is."""
    told: str
    """The end of what it printed."""


def attempt(arguments: Sequence[str], source: Path, folder: Path) -> Attempt:
    """Runs winner-ns in a fork of this process.

    Args:
        arguments: of the command.
        source: what it is to read, which a refusal has to name.
        folder: where it runs, and its output is kept.
    """
    output, errors = folder / "stdout", folder / "stderr"
    before = _peak_of_this_process()
    child = os.fork()
    if child == 0:
        run_in_child(arguments, folder, output, errors)
    status, peak, in_time = _wait(child)
    said = errors.read_text(errors="replace")
    end = said[-2000:]
    lines = [line for line in said.splitlines() if line.strip()]
    if not in_time:
        return Attempt("hang", end)
    if os.WIFSIGNALED(status):
        return Attempt(f"crash ({signal.Signals(os.WTERMSIG(status)).name})", end)
    if "Traceback" in said:
        return Attempt("traceback", end)
    if peak - before > MEMORY:
        return Attempt(f"over memory ({(peak - before) / 2**20:.0f} MiB)", end)
    if os.WEXITSTATUS(status) == 0:
        return Attempt(ACCEPTED, (output.read_text(errors="replace") + end)[-2000:])
    if os.WEXITSTATUS(status) != 1:
        return Attempt(f"status {os.WEXITSTATUS(status)}", end)
    if not lines or not lines[-1].startswith("winner-ns: error: "):
        return Attempt("no error line", end)
    if source.name not in lines[-1]:
        return Attempt("names no file", end)
    if len(lines) > 1:
        return Attempt("several lines", end)
    return Attempt(REFUSED, end)


def run_in_child(arguments: Sequence[str], folder: Path, output: Path, errors: Path) -> None:
    """Runs winner-ns as the rest of a forked child's life, with limits; it never returns."""
    status = 70
    try:
        os.chdir(folder)
        for stream, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644), stream)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + 4 * MEMORY, mapped + 4 * MEMORY))
        from winner_ns.commands.main import main

        try:
            status = main(list(arguments))
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _wait(child: int) -> tuple[int, int, bool]:
    """Its status, its peak of memory in bytes, and whether it ended by itself in time."""
    until = time.monotonic() + 3 * SECONDS  # A busy machine is no hang; the limit of CPU time ends what calculates.
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            out_of_time = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
            return status, used.ru_maxrss * 1024, not out_of_time
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            return status, used.ru_maxrss * 1024, False
        time.sleep(0.005)


def _peak_of_this_process() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def prepare() -> None:
    """Imports what the commands need, once, before the forks; `prepare_scenes` adds what scenes need."""
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)  # A pool of threads would not survive a fork.
    for module in (
        "winner_ns.signals.image",  # It allows OpenCV to read EXR, which has to be said first.
        "av", "cv2", "imageio.v3", "imagecodecs", "matplotlib.pyplot", "mpmath", "PIL.Image", "pi_heif", "rich.live",
        "safetensors.torch", "scipy.fft", "scipy.ndimage", "skimage.metrics", "soundfile", "soxr", "tifffile",
        "trimesh", "igl", "winner_ns.commands.main", "winner_ns.bench.benchmark",
        "winner_ns.bench.preset_yaml", "winner_ns.export.results", "winner_ns.export.field", "winner_ns.fitting.fit",
        "winner_ns.fitting.run", "winner_ns.scenes.folder", "winner_ns.signals.audio", "winner_ns.signals.shape_file",
        "winner_ns.signals.video", "winner_ns.signals.volume", "winner_ns.spectrum.inspection",
    ):  # fmt: skip
        try:
            __import__(module)
        except ImportError:
            if module.startswith("winner_ns"):
                raise
    from PIL import Image

    from winner_ns.fields import FAMILIES
    from winner_ns.kinds import KINDS
    from winner_ns.spectrum import LAWS

    Image.init()
    for table in (KINDS, FAMILIES, LAWS):
        len(table)  # Looks through all packages that are installed, which no child has to do again.
    gc.freeze()  # So that collecting garbage in the children does not copy every page.


def prepare_scenes() -> None:
    """Imports nerfstudio, too, which makes all later forks dearer by half."""
    import winner_ns.plugin.photographs  # noqa: F401

    gc.freeze()


def left_behind(folder: Path, known: Sequence[str]) -> List[str]:
    """Files below a folder, but for the known ones."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name not in known)

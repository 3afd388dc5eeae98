"""Kills and interrupts trainings at any moment, and goes on with them.

    python -m tests.hostile.kills [--cases 200] [--seed 0]

Each case is `winner-ns fit` of a picture or a sound, ended after a random time by SIGKILL, or by SIGINT, SIGTERM or
SIGHUP. Then it is gone on with, perhaps after another kill. An interrupted training has to say so in one line and end
with 130, 143 or 129; whatever its moment, what was saved has to open, the resumed run has to end with the very weights
of one that nobody stopped, its results have to be whole, and nothing else may lie in its folder. A run of which nothing
was saved yet is begun again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Dict, List, Tuple

import numpy as np
import soundfile

from tests.hostile.attempts import attempt, prepare, run_in_child
from tests.hostile.whole_files import picture, tone

STATUS = {signal.SIGKILL: None, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
STEPS = "120"
"""So many that preparing, training and writing results take about as long each: any of them may be what is ended."""


def fit(source: Path, folder: Path) -> List[str]:
    """The command's arguments."""
    return [
        "fit", str(source), "-o", str(folder), "--steps", STEPS, "--width", "24", "--depth", "2", "--set",
        "batch_size=256",
    ]  # fmt: skip


def ended_by(arguments: List[str], ending: signal.Signals, after: float, place: Path) -> Tuple[int, str]:
    """Runs winner-ns in a fork and sends it a signal after so many seconds.

    Returns:
        The exit status, as a shell tells it, and what was written to stderr.
    """
    errors = place / "stderr"
    child = os.fork()
    if child == 0:
        run_in_child(arguments, place, place / "stdout", errors)
    time.sleep(after)
    os.kill(child, ending)  # Harmless where it has ended: nobody has waited for it yet.
    _, status = os.waitpid(child, 0)
    told = errors.read_text(errors="replace") if errors.exists() else ""
    return (128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), told


def contents(folder: Path) -> Dict[str, str]:
    """Digests of what a run's folder holds, by name, without what differs from run to run: its own place, and times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name.startswith("checkpoint-before"):
            continue
        content = path.read_bytes()
        if path.name == "config.yml" or path.suffix == ".ckpt":
            content = b""
        elif path.suffix == ".wav":
            content = soundfile.read(path)[0].tobytes()  # libsndfile writes the time into its header.
        elif path.suffix == ".json":
            table = json.loads(content)  # Its curve is that of the last program.
            content = repr({key: table[key] for key in table if key not in ("training_seconds", "curve")}).encode()
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def case(source: Path, whole: Dict[str, str], seconds: float, random: Random, place: Path) -> Tuple[str, str]:
    """One training that is ended, and gone on with.

    Returns:
        What became of it ("lost" and other faults begin with a capital), and what was said.
    """
    run = place / "run"
    arguments, endings = fit(source, run), random.choice((1, 1, 2))
    for _ in range(endings):
        ending = random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        status, told = ended_by(arguments, ending, random.uniform(0, seconds), place)
        expected = STATUS[ending]
        if "Traceback" in told:
            return "Traceback", told
        if expected is not None and status not in (0, expected):
            return f"Status {status} after {ending.name}", told
        if run.exists() and contents(run) == whole:
            return "finished before it was ended", ""
        saved = list(run.glob("nerfstudio_models/*.ckpt"))
        if status == expected and expected is not None and told.strip().count("\n") > 1 + told.count("step "):
            return "Several lines", told
        if saved:
            arguments = ["fit", "--resume", str(run)]
        elif run.exists():
            # Nothing was saved of it: its folder has to be free for another try.
            arguments = fit(source, run)
    went_on = "gone on with" if arguments[1] == "--resume" else "begun again"
    last = attempt(arguments, run, place)
    if last.verdict != "accepted":
        return f"Lost ({last.verdict}, {went_on})", last.told
    now = contents(run)
    if now != whole:
        differing = {name for name in now.keys() | whole.keys() if now.get(name) != whole.get(name)}
        return f"Other results ({went_on})", str(sorted(differing))
    return went_on, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    prepare()
    counts: Counter = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        wholes = []
        for name, make in (("picture.npy", picture), ("sound.npy", lambda: tone()[:, 0])):
            place = Path(folder) / name.partition(".")[0]
            place.mkdir()
            np.save(place / name, make())
            started = time.monotonic()
            ended = attempt(fit(place / name, place / "run"), place / name, place)
            assert ended.verdict == "accepted", ended
            wholes.append((place / name, contents(place / "run"), time.monotonic() - started))
        for number in range(options.cases):
            random = Random(f"{options.seed} {number}")
            source, whole, seconds = wholes[number % 4 == 3]  # Sounds have the dearer picture.
            place = Path(folder) / f"case{number}"
            place.mkdir()
            verdict, told = case(source, whole, seconds, random, place)
            counts[verdict] += 1
            if verdict[0].isupper():
                faults.append(f"case {number}: {verdict}\n{told[-1500:]}")
    print("\n".join([f"{count} {verdict}" for verdict, count in counts.most_common()] + faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

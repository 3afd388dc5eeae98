"""Spoils whole files by the thousands and has the commands read them.

    python -m tests.hostile [--cases 10000] [--seed 0] [--only png] [--keep DIR] [--json]

Each case is one whole file of `whole_files.py`, mutated (`mutations.py`, `inside.py`), and one command on it:
`inspect`, `fit` for two steps, or of field files `export`, of presets `bench`. A command may accept what it is given or
refuse it in one line that names it; a traceback, a crash, a hang, more memory than the limit, several lines, a changed
input and something left behind by a refusal are faults. Files that led to one are kept, and the status is 1.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Dict, List, Tuple

from tests.hostile.attempts import ACCEPTED, REFUSED, Attempt, attempt, left_behind, prepare, prepare_scenes
from tests.hostile.inside import mutated_inside
from tests.hostile.whole_files import MAKERS

LIMIT = ["--decoded-limit", "0.25"]
SCENE = "transforms.json"
MESHED = (".obj", ".ply", ".stl", ".off", ".glb", ".csv", ".xyz", ".npz")
"""Fitted seldom: the figures of a surface take ten seconds, and its reading is what differs."""


def commands(name: str, random: Random) -> List[str]:
    """A command that reads a file of this name, which stands in it as {}."""
    if name == "preset.yaml":
        return ["bench", "{}", "--workers", "1", "--out", "out"]
    if name.endswith(".safetensors"):
        kind = {"shape": "mesh"}.get(name.partition(".")[0], "image")
        size = ["--resolution", "16"] if kind == "mesh" else []
        return random.choice((["export", kind, "{}", *size, "-o", "out"], ["export", "field", "{}", "-o", "out"]))
    if name == SCENE:
        return ["inspect", "{folder}"]
    if random.random() < (0.98 if name.endswith(MESHED) else 0.9):
        return ["inspect", "{}", *LIMIT]
    return ["fit", "{}", "--steps", "2", "--width", "8", "--depth", "2", "--between", "none", "-o", "out", *LIMIT]


def case(name: str, whole: bytes, neighbours: Dict[str, bytes], random: Random, folder: Path) -> Tuple[Attempt, str]:
    """One mutated file and what a command makes of it.

    Returns:
        How it ended, and which mutations and command it was.
    """
    content, how = mutated_inside(name, whole, random)
    for neighbour, its_content in neighbours.items():
        (folder / neighbour).write_bytes(its_content)
    source = folder / name
    source.write_bytes(content)
    arguments = [part.format(source, folder=folder) for part in commands(name, random)]
    suffixes = {"image": ".png", "mesh": ".ply", "field": ".safetensors"}
    if arguments[0] == "export":
        arguments[-1] += suffixes[arguments[1]]
    ended = attempt(arguments, folder if str(folder) in arguments else source, folder)
    if ended.verdict in (ACCEPTED, REFUSED) and source.read_bytes() != content:
        ended = Attempt("input changed", ended.told)
    if ended.verdict == REFUSED:
        rest = left_behind(folder, [name, *neighbours, "stdout", "stderr"])
        if rest:
            ended = Attempt("half-written", f"{rest[:5]}\n{ended.told}")
    return ended, f"{how}; winner-ns {' '.join(arguments)}"


def whole_files(folder: Path, only: str) -> Dict[str, Tuple[bytes, Dict[str, bytes]]]:
    """Contents of the whole files by name, and of what lies beside each."""
    made = {}
    for name, maker in MAKERS.items():
        if only not in name:
            continue
        place = folder / name.replace(".", "-")
        place.mkdir()
        # In a process of its own: threads that a codec or a training starts would not survive the forks.
        maker_process = multiprocessing.get_context("fork").Process(target=maker, args=(place / name,))
        maker_process.start()
        maker_process.join()
        beside = {path.name: path.read_bytes() for path in place.iterdir() if path.name != name}
        made[name] = ((place / name).read_bytes(), beside)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--only", default="", help="formats whose names contain this")
    parser.add_argument("--keep", type=Path, default=Path("hostile-faults"), help="where files that led to faults go")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    prepare()
    counts: Dict[str, Counter] = {}
    faults: List[Tuple[str, Attempt, str]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        made = whole_files(folder, options.only)
        names = [list(made)[number % len(made)] for number in range(options.cases)]
        untouched: List[str] = []
        told = time.monotonic()
        for scenes in (False, True):  # Each case has its own randomness: scenes, which want nerfstudio, are the last.
            tried = {name: made[name] for name in made if (name == SCENE) == scenes}
            if scenes and tried:
                prepare_scenes()
            untouched += _whole_ones_that_fail(tried, folder)
            for number, name in enumerate(names):
                if name not in tried:
                    continue
                random = Random(f"{options.seed} {number}")
                here = folder / f"case{number}"
                here.mkdir()
                ended, how = case(name, *made[name], random, here)
                counts.setdefault(name, Counter())[ended.verdict] += 1
                if ended.verdict not in (ACCEPTED, REFUSED):
                    faults.append((f"{options.seed}-{number}-{name}", ended, how))
                    options.keep.mkdir(exist_ok=True)
                    shutil.copy(here / name, options.keep / faults[-1][0])
                shutil.rmtree(here)
                if time.monotonic() - told > 30 and not options.json:
                    told = time.monotonic()
                    print(f"{number + 1} of {options.cases}, {len(faults)} faults", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps({"counts": counts, "untouched": untouched, "faults": [_told(fault) for fault in faults]}))
    else:
        print("\n".join([*_table(counts), *(_told(fault) for fault in faults), *untouched]))
    return 1 if faults or untouched else 0


def _whole_ones_that_fail(made: Dict[str, Tuple[bytes, Dict[str, bytes]]], folder: Path) -> List[str]:
    """Whole files that are refused, which would make all that is tried on them worth nothing."""
    failed = []
    for name, (content, neighbours) in made.items():
        here = folder / "untouched"
        here.mkdir()
        for beside, its_content in {**neighbours, name: content}.items():
            (here / beside).write_bytes(its_content)
        arguments = [part.format(here / name, folder=here) for part in commands(name, Random(0))]
        if arguments[0] == "export":
            arguments = ["export", "field", str(here / name), "-o", "out.safetensors"]
        ended = attempt(arguments, here / name, here)
        if ended.verdict != ACCEPTED:
            failed.append(f"whole {name}: {ended.verdict}\n{ended.told}")
        shutil.rmtree(here)
    return failed


def _table(counts: Dict[str, Counter]) -> List[str]:
    verdicts = [REFUSED, ACCEPTED, *sorted({verdict for of in counts.values() for verdict in of} - {REFUSED, ACCEPTED})]
    total = sum(counts.values(), Counter())
    rows = [*counts.items(), ("all", total)]
    head = ["| file | tried | " + " | ".join(verdicts) + " |", "|---|---|" + "---|" * len(verdicts)]
    return head + [
        f"| {name} | {sum(of.values())} | " + " | ".join(str(of[verdict]) for verdict in verdicts) + " |"
        for name, of in rows
    ]


def _told(fault: Tuple[str, Attempt, str]) -> str:
    name, ended, how = fault
    return f"{name}: {ended.verdict}\n  {how}\n  " + ended.told.strip().replace("\n", "\n  ")


if __name__ == "__main__":
    sys.exit(main())

"""Runs what the documents show, as a reader would paste it.

    python -m docs.measurements.pasted [PAGE ...]    # README.md, the front page and all guides

Each page gets a folder of its own with small files of the names that it uses, and RUN is a run of the kind that a
command is for. What names no number of steps has 20, trainings do not wait for a viewer, and what would serve or train
for hours is left out, and said. Prints a line for each command and each page's Python; the exit status is 1 where one
failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
import soundfile
import trimesh
from PIL import Image

from winner_ns.demo.bunny_scene import write_bunny_scene
from winner_ns.samples import CHIPTUNE, installed

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ("README.md", "docs/index.md", "docs/files.md", "docs/many.md", "docs/extending.md", "docs/analysis.md",
          "docs/shapes.md", "docs/views.md", "docs/guides/*.md")  # fmt: skip
FENCED = re.compile(r"^```.*?^```", re.S | re.M)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.S | re.M)
COMMAND = re.compile(r"^(?:\$ )?((?:[A-Z_]+=\S+ )*)(?:\S*/)?(winner-ns|ns-train|torchrun|python -m) (.*)")
EXPORTED = re.compile(r"^export (.*)", re.M)
SYNOPSIS = re.compile(r"\[--|…|\.\.\.|--(?!data)[a-z0-9.-]+ [A-Z][A-Z0-9]*\b")
"""Of lines that say what may stand in a command, or that leave a value to the reader."""
LEFT_OUT = {
    r"python -m": "a measurement",
    r"winner-ns bench (?!--list)": "a benchmark",
    r"ns-viewer|winner-ns view |winner-ns compare (?!.*--(save|web))": "serves a viewer until it is ended",
    r"chair|armadillo": "of data that is not here",
    r"instant-ngp-data": "of a scene in another layout",
    r"--frame scene": "of a surface that has been learnt from photographs",
    r"--machine.num-devices": "several processes, which tests/test_processes.py starts",
}
SETTINGS = "import functools, winner_ns\nfor _name in ('fit', 'fit_many'):\n" + (
    "    setattr(winner_ns, _name, functools.partial(getattr(winner_ns, _name), steps=20))\n"
)
RUNS = {"photo": r".*", "song": r"export audio", "scan": r"export mesh|eval-mesh", "ct": r"export volume|--level"}
"""What a run is of, by the commands that want it; the last that matches."""


def commands(page: Path) -> List[List[str]]:
    """Environment, program and arguments of every command in the blocks of a page."""
    text = page.read_text(encoding="utf-8")
    indented = [line[4:] for line in FENCED.sub("", text).splitlines() if line.startswith("    ")]
    lines = "\n".join([*FENCED.findall(text), *indented]).replace("\\\n", " ").splitlines()
    found = [match.groups() for match in map(COMMAND.match, lines) if match and not SYNOPSIS.search(match[3])]
    return [[given.strip(), program, *shlex.split(rest, comments=True)] for given, program, rest in found]


def main() -> int:
    """Runs all pages; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="*", type=Path)
    asked = parser.parse_args().pages or [path for guide in GUIDES for path in sorted(ROOT.glob(guide))]
    failed = 0
    for page in asked:
        print(page.resolve().relative_to(ROOT), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            failed += _paste(page, Path(folder))
    print(f"{failed} failed" if failed else "all of it works")
    return 1 if failed else 0


def _paste(page: Path, folder: Path) -> int:
    """Runs a page's Python and its commands; gives how many failed."""
    text = page.read_text(encoding="utf-8")
    pasted = PYTHON.findall(text)
    _write_inputs(folder)
    for block in pasted:
        if named := re.match(r"# (\w+\.py)\n", block):
            (folder / named[1]).write_text(block, encoding="utf-8")
    session = "\n".join(block for block in pasted if not re.match(r"# \w+\.py\n", block))
    exported = dict(setting.split("=", 1) for line in EXPORTED.findall(text) for setting in line.split())
    failed = 0
    for given, program, *arguments in commands(page):
        shown = " ".join(filter(None, [given, program, shlex.join(arguments)]))
        reason = next((why for pattern, why in LEFT_OUT.items() if re.search(pattern, shown)), None)
        if reason:
            print(f"  left out  {shown}: {reason}", flush=True)
        else:
            environment = {**exported, **dict(setting.split("=", 1) for setting in given.split())}
            failed += _run(shown, _command(program, arguments, folder), folder, environment)
    # After the commands, whose files and stores it opens.
    if session:
        (folder / "session").write_text(f"{SETTINGS}if __name__ == '__main__':\n{_indented(session)}", encoding="utf-8")
        failed += _run("its Python", [sys.executable, "session"], folder)
    return failed


def _command(program: str, arguments: List[str], folder: Path) -> List[str]:
    """What is run: with few steps, of a run that exists, and without waiting for a viewer."""
    line = " ".join([program, *arguments])
    kind = [kind for kind, pattern in RUNS.items() if re.search(pattern, line)][-1]
    runs = iter(range(9))
    taken = [
        str(_run_of(kind, folder, next(runs))) if word in ("RUN", "RUN/config.yml") else word for word in arguments
    ]
    if any("TIME" in word for word in taken):
        (newest, *_) = sorted((folder / "outputs").glob("*/*/*"), key=os.path.getmtime, reverse=True)
        taken = [re.sub(r"outputs/\S+?/TIME", str(newest), word) for word in taken]
    if program == "ns-train":
        steps = [] if "--max-num-iterations" in taken else ["--max-num-iterations", "20"]
        # Before a data parser and its own flags.
        taken[1:1] = [*steps, "--viewer.quit-on-train-completion", "True"]
    elif re.search(r"\bfit(-many)?\b", line) and "--steps" not in taken:
        taken += ["--steps", "20" if "--resume" not in taken else "30"]
    return [str(Path(sys.executable).with_name(program)), *taken]


def _run_of(kind: str, folder: Path, number: int) -> Path:
    """A run of a file, made when it is first asked for."""
    run = folder / "runs" / f"{kind}-{number}"
    if not run.exists():
        source = {"photo": "photo.jpg", "song": "song.wav", "scan": "scan.ply", "ct": "ct.npy"}[kind]
        settings = ["--steps", "100", "--width", "32", "--depth", "2", "--seed", str(number)]
        program = str(Path(sys.executable).with_name("winner-ns"))
        subprocess.run([program, "fit", source, "-o", str(run), *settings], cwd=folder, check=True, capture_output=True)
    return run


def _run(shown: str, command: List[str], folder: Path, given: Optional[Dict[str, str]] = None) -> int:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), "."]), **(given or {})}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    print(f"  {'works   ' if done.returncode == 0 else 'FAILED  '}  {shown}", flush=True)
    if done.returncode:
        print((done.stdout + done.stderr)[-2000:], flush=True)
    return int(done.returncode != 0)


def _indented(block: str) -> str:
    return "".join(f"    {line}\n" for line in block.splitlines())


def _write_inputs(folder: Path) -> None:
    """Files of all names that pages use: small ones."""
    photo = Image.open(installed("skimage", "data", "astronaut.png")).convert("RGB").resize((96, 96))
    photo.save(folder / "photo.jpg")
    for number in range(10):
        (folder / "photographs" / "cats").mkdir(parents=True, exist_ok=True)
        photo.crop((6 * number, 0, 6 * number + 28, 28)).save(folder / "photographs" / "cats" / f"{number}.png")
    samples, rate = soundfile.read(CHIPTUNE)
    song = np.resize(samples, 14 * rate)
    for name in ("song.wav", "song.flac", "tetris.wav"):
        soundfile.write(folder / name, song, rate)
    ball = trimesh.creation.icosphere(subdivisions=4, radius=40.0)
    ball.export(folder / "scan.ply")
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (4000, 3)).astype(np.float32)
    np.savez(folder / "samples.npz", points=points, sdf=np.linalg.norm(points, axis=1) - 0.6)
    axes = np.meshgrid(*[np.linspace(-1, 1, 24)] * 3, indexing="ij")
    np.save(folder / "ct.npy", (1000 * np.exp(-4 * sum(axis**2 for axis in axes))).astype(np.float32))
    film = rng.integers(0, 255, (8, 1, 1, 3)) * np.ones((1, 32, 32, 1))
    np.save(folder / "frames.npy", film.astype(np.uint8))
    _write_film(folder / "film.mp4", film.astype(np.uint8))
    rows = "\n".join(" ".join(f"{height:.1f}" for height in row) for row in 100 * axes[0][:, :, 0])
    facts = "ncols 24\nnrows 24\nxllcorner 0\nyllcorner 0\ncellsize 10\nNODATA_value -9999\n"
    (folder / "valley.asc").write_text(facts + rows + "\n")
    write_bunny_scene(folder / "scene", views=6, test_views=2, size=32)
    (folder / "SCENE").symlink_to("scene")
    (folder / "winner_ns").symlink_to(ROOT / "winner_ns")


def _write_film(path: Path, frames: np.ndarray) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.height, stream.width = frames.shape[1:3]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    sys.exit(main())

"""How long many small pictures take: python -m docs.measurements.many FOLDER OF PHOTOGRAPHS [--count 10000]

Crops of 28 x 28 pixels of the photographs at half size, in gray, fitted by `winner_ns.fit_many` on all cores; and, with
--kills, how often the program was killed meanwhile, and whether the store is the same as without. With --node-kills a
Ray cluster of two nodes on this machine does it, and the one that the program is not connected with is killed so often
meanwhile, and another one put in its place. With --beside-ns-train as many crops of 64 x 64 are fitted (width 64, 300
steps), once by one `fit-many` and once by an `ns-train` each. With --starts half of the crops are a cohort,
and the other half are fitted from each start that there is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import winner_ns
from docs.measurements.ray_nodes import free_port, start_early
from winner_ns.many.store import landed, read_index

CHOICES = {"width": 32, "depth": 4, "steps": 150, "purpose": "fit"}
FIT = """
import json, sys, winner_ns
winner_ns.fit_many(sys.argv[1], sys.argv[2], **json.loads(sys.argv[3]))
"""


def crops(folder: Path, count: int, side: int = 28) -> np.ndarray:
    """[count, side, side] uint8, from places that are drawn at random."""
    generator = np.random.default_rng(0)
    photographs = []
    for path in sorted(each for each in folder.iterdir() if each.suffix.lower() in (".png", ".jpg", ".jpeg")):
        image = Image.open(path).convert("L")
        photographs.append(np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)))
    rows = []
    while len(rows) < count:
        pixels = photographs[generator.integers(len(photographs))]
        top, left = (generator.integers(size - side + 1) for size in pixels.shape)
        crop = pixels[top : top + side, left : left + side]
        if crop.min() < crop.max():
            rows.append(crop)
    return np.stack(rows)


def kill_often(source: Path, store: Path, kills: int) -> None:
    """Starts a program that fills a store, and kills it after some seconds, so many times; then lets it end."""
    draw = random.Random(0)
    for number in range(kills + 1):
        process = subprocess.Popen([sys.executable, "-c", FIT, str(source), str(store), json.dumps(CHOICES)])
        if number < kills:
            time.sleep(draw.uniform(1.0, 12.0))
            process.kill()
        process.wait()


def _at_work(store: Path) -> int:
    """Processes that live and have a lease."""
    count = 0
    for lease in (store / "work").glob("[!.]*.lease"):
        with suppress(OSError, ValueError, KeyError):  # It may be over by now.
            os.kill(json.loads(lease.read_text())["process"], 0)
            count += 1
    return count


def kill_nodes(source: Path, store: Path, kills: int) -> None:
    """Has a cluster of two nodes fill a store, and kills one of them every some seconds."""
    os.environ |= {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    from ray.cluster_utils import Cluster

    draw = random.Random(0)

    def add_node(**more: Any) -> Any:
        each = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "runtime_env_agent_port": free_port()}
        return cluster.add_node(**each, **more)

    start_early()
    cluster = Cluster()
    add_node(include_dashboard=False)
    os.environ["RAY_ADDRESS"] = cluster.address
    choices = json.dumps({**CHOICES, "on": "ray", "workers": 2})
    try:
        node = add_node()
        program = subprocess.Popen([sys.executable, "-c", FIT, str(source), str(store), choices])
        for number in range(kills):
            while program.poll() is None and _at_work(store) < 2:
                time.sleep(0.05)
            if program.poll() is not None:
                print(f"it ended after {number} kills: give a higher --count")
                break
            time.sleep(draw.uniform(0.0, 3.0))
            print(f"kill {number + 1}: {len(landed(store)) + len(read_index(store))} done", flush=True)
            cluster.remove_node(node, allow_graceful=False)
            node = add_node()
        print(f"ended with status {program.wait()}")
    finally:
        cluster.shutdown()


def beside_ns_train(photographs: Path, folder: Path, count: int) -> None:
    """Prints the seconds of both, and of both the mean PSNR."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, crop in enumerate(crops(photographs, count, 64)):
        Image.fromarray(crop).save(pictures / f"{number:03}.png")
    programs = Path(sys.executable).parent
    started = time.monotonic()
    many = [programs / "winner-ns", "fit-many", pictures, "--out", folder / "fields", "--width", "64", "--steps", "300"]
    subprocess.run(many, check=True, capture_output=True)
    of_many = time.monotonic() - started
    mean = float(np.mean([each["psnr"] for each in winner_ns.load_fields(folder / "fields").figures]))
    print(f"fit-many: {of_many:.0f} s, PSNR {mean:.2f} dB in the mean", flush=True)
    started = time.monotonic()
    for picture in sorted(pictures.iterdir()):
        one = [programs / "ns-train", "winner-siren", "--data", picture, "--output-dir", folder / "runs"]
        one += ["--pipeline.model.field.width", "64", "--max-num-iterations", "300", "--vis", "tensorboard"]
        subprocess.run(one, check=True, capture_output=True)
    of_each = time.monotonic() - started
    figures = [json.loads(path.read_text())["figures"] for path in (folder / "runs").rglob("figures.json")]
    mean = float(np.mean([each["psnr"] for each in figures]))
    print(f"{len(figures)} x ns-train: {of_each:.0f} s, PSNR {mean:.2f} dB; {of_each / of_many:.1f} times as long")


def from_starts(photographs: Path, folder: Path, count: int) -> None:
    """Prints what fields reach from each start after the same steps."""
    pictures = crops(photographs, count)
    cohort = winner_ns.fit_many(pictures[: count // 2], folder / "cohort", **CHOICES, start="shared")
    starts = {
        "fresh": None,
        "shared": "shared",
        "one of the cohort": cohort[0],
        "mean of the cohort": folder / "cohort",
    }
    for name, start in starts.items():
        fields = winner_ns.fit_many(pictures[count // 2 :], folder / name, **CHOICES, start=start)
        psnr = [figures["psnr"] for figures in fields.figures]
        print(f"{name}: PSNR {np.median(psnr):.2f} dB in the median, {np.mean(psnr):.2f} in the mean", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=CHOICES["steps"])
    parser.add_argument("--beside-ns-train", type=int, default=0)
    parser.add_argument("--starts", action="store_true")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--node-kills", type=int, default=0)
    options = parser.parse_args()
    CHOICES["steps"] = options.steps
    with tempfile.TemporaryDirectory() as temporary:
        if options.beside_ns_train:
            beside_ns_train(options.photographs, Path(temporary), options.beside_ns_train)
            return
        if options.starts:
            from_starts(options.photographs, Path(temporary), options.count)
            return
        source, store = Path(temporary) / "crops.npy", Path(temporary) / "store"
        np.save(source, crops(options.photographs, options.count))
        started = time.monotonic()
        winner_ns.fit_many(source, store, **CHOICES)
        seconds = time.monotonic() - started
        summary = json.loads((store / "summary.json").read_text())
        share = summary["training_seconds"] / summary["seconds"]
        size = sum(each.stat().st_size for each in store.rglob("*") if each.is_file()) / 2**20
        print(f"{options.count} pictures of 28 x 28, {CHOICES}")
        print(f"{seconds:.0f} s, {share:.0%} of the processes' work is training, {size:.1f} MiB")
        print(f"PSNR {summary['figures']['psnr']}, {summary['failed']} failed")
        for kills, fill in ((options.kills, kill_often), (options.node_kills, kill_nodes)):
            if not kills:
                continue
            again = Path(temporary) / fill.__name__
            fill(source, again, kills)
            ours, theirs = winner_ns.load_fields(store), winner_ns.load_fields(again)
            same = ours.names == theirs.names and all(
                vector.equal(other) for (vector, _), (other, _) in zip(ours.dataset(), theirs.dataset())
            )
            lines = len((again / "index.jsonl").read_text().splitlines())
            print(f"killed {kills} times: {lines} lines for {len(theirs)} fields, the same weights: {same}")


if __name__ == "__main__":
    main()

"""Whether all works on this machine's GPU, gives what a CPU gives, and how fast it is there: make gpu-check

    python -m docs.measurements.gpu_check [--device cuda] [--minutes 6] [--small] [--part library|nerfstudio]

The library's part needs torch and what `winner_ns` imports, but neither nerfstudio nor a network: every family and
every kind is fitted on the device and on a CPU, files, extraction, exports and the viewer's picture of a surface go
back and forth, and the training step is timed beside plain torch, torch.compile and torch.compile with CUDA graphs.
nerfstudio's part trains every kind with ns-train, compares, evaluates, and trains on two devices where there are two;
of an image and of a shape the training's viewer is looked at: how soon it shows something, and whether that is the
field. Whatever there is no time or package for is left out, and said. The last line printed is JSON; the exit status
is 1 where a check failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import torch

import winner_ns
from docs.measurements.step import reference_network
from winner_ns.fields.mean_squared_error import mean_squared_error
from winner_ns.fields.siren import Siren
from winner_ns.fitting.adam import Adam

TOLERANCE = 1.0
"""Decibels by which a device may end up from the CPU: sums are made in another order there, which training
amplifies."""
VIEWED = ("image", "shape")
"""What is looked at in its training's viewer."""
Check = Tuple[str, Callable[[], Dict[str, Any]]]


class Missing(Exception):
    """A package, or a device, that a check needs and that is not there."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which nothing more is begun")
    parser.add_argument("--small", action="store_true", help="a few steps of everything: whether this script works")
    parser.add_argument("--part", choices=["library", "nerfstudio"], action="append")
    options = parser.parse_args()
    device, ends = torch.device(options.device), time.monotonic() + 60 * options.minutes
    found: Dict[str, Any] = {"machine": machine(device), "checks": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, check in checks(device, options.small, Path(folder), options.part or ["library", "nerfstudio"]):
            begun = time.monotonic()
            told: Dict[str, Any]
            if begun > ends:
                told = {"left_out": "no time"}
            else:
                try:
                    told = {"ok": True, **check()}
                except Missing as missing:
                    told = {"left_out": str(missing)}
                except Exception as error:  # Of any part: the others are still worth knowing.
                    told = {"ok": False, "error": f"{type(error).__name__}: {error}"[-500:]}
            told["seconds"] = round(time.monotonic() - begun, 2)
            found["checks"][name] = told
            print(f"{name}: {json.dumps(told)}", flush=True)
    failed = [name for name, told in found["checks"].items() if told.get("ok") is False]
    print(json.dumps({**found, "failed": failed}))
    return 1 if failed else 0


def machine(device: torch.device) -> Dict[str, Any]:
    """What is measured on."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else f"{device} ({platform.processor()})",
        "devices": torch.cuda.device_count(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "winner_ns": winner_ns.__version__,
    }


def checks(device: torch.device, small: bool, folder: Path, parts: List[str]) -> Iterator[Check]:
    """Everything that is looked at, by name, the most telling first."""
    if "library" in parts:
        yield "step", lambda: step_times(device, small)
        kinds = signals()
        if small:  # The surface's check fits one anyway, and its figures take the longest.
            del kinds["shape"]
        for kind, data in kinds.items():
            yield f"fit {kind}", lambda kind=kind, data=data: beside_cpu(data, kind, device, small)
        image = signals()["image"]
        for family in ("siren", "finer", "wire", "gauss", "relu-pe", "rff", "hash-grid"):
            yield (
                f"family {family}",
                lambda family=family: beside_cpu(image, "image", device, small, family=family, **own_rate(family)),
            )
        yield "tinycudann", lambda: tiny_cuda(device, small)
        yield "mesh and viewer", lambda: mesh_of(device, small, folder)
        for suffix in (".html", ".onnx", ".glsl", "grid"):
            yield f"export {suffix}", lambda suffix=suffix: exported(suffix, device, folder)
    if "nerfstudio" in parts:
        yield from nerfstudio_checks(device, small, folder)


def own_rate(family: str) -> Dict[str, Any]:
    """Grids are torch's own on both devices."""
    return {"settings": {"implementation": "torch"}} if family == "hash-grid" else {}


def signals() -> Dict[str, Any]:
    """One small signal of each kind, made of sines; of a shape, distances of points to a torus."""
    line = np.linspace(-1, 1, 64, dtype=np.float32)
    y, x = np.meshgrid(line, line, indexing="ij")
    picture = np.sin(9 * x + 4 * y**2) * np.cos(7 * y) + 0.1 * np.sin(40 * x * y)
    points = np.random.default_rng(0).uniform(-1, 1, (20000, 3))
    ring = np.hypot(np.hypot(points[:, 0], points[:, 1]) - 0.55, points[:, 2]) - 0.25
    depth = np.linspace(0, 1, 16, dtype=np.float32)[:, None, None]
    return {
        "image": picture,
        "audio": (np.sin(np.cumsum(0.4 + 0.3 * np.sin(np.arange(8000) / 700))).astype(np.float32), 8000),
        "shape": np.concatenate([points, ring[:, None]], axis=1).astype(np.float32),
        "volume": np.sin(6 * x * depth + 3 * y)[..., None].astype(np.float32),
        "video": np.sin(6 * x + 9 * depth + 3 * y)[..., None].repeat(3, axis=-1).astype(np.float32),
    }


def beside_cpu(data: Any, kind: str, device: torch.device, small: bool, **choices: Any) -> Dict[str, Any]:
    """The same field on the device and on a CPU: its main figure on both, and how far a file's values are apart."""
    steps, width = (10, 16) if small else (200, 128)
    sizes = {} if choices.get("family") == "hash-grid" else {"width": width, "depth": 3}
    fields = [
        winner_ns.fit(
            data, kind=kind, steps=steps, batch_size=2048, device=where, seed=1, progress=False, **sizes, **choices
        )
        for where in (device, "cpu")
    ]
    name = next(iter(fields[0].figures))
    figures = [field.figures[name] for field in fields]
    assert_alike(name, *figures)
    with tempfile.TemporaryDirectory() as folder:
        again = winner_ns.load_field(fields[0].save(Path(folder) / "field.safetensors"))
    points = torch.rand(4096, fields[0].network.in_dim, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        here = fields[0].network(points.to(device)).cpu()
        apart = float((again.network.cpu()(points) - here).abs().max())
    assert apart < 1e-3, f"the file's values on a CPU are {apart:.2g} from the device's"
    told = {name: [round(figure, 4) for figure in figures], "file_apart": apart}
    told["training_seconds"] = [round(field.training_seconds, 3) for field in fields]
    return told


def assert_alike(name: str, here: float, there: float) -> None:
    """Raises AssertionError for a figure that is another one here than on a CPU."""
    within = TOLERANCE if name == "psnr" else 0.02
    assert abs(here - there) <= within, f"{name} {here:.4g} here, {there:.4g} on a CPU"


def tiny_cuda(device: torch.device, small: bool) -> Dict[str, Any]:
    """A hash grid by tiny-cuda-nn, where it is."""
    if device.type != "cuda" or importlib.util.find_spec("tinycudann") is None:
        raise Missing("no tinycudann with a GPU")
    image = signals()["image"]
    settings = {"implementation": "tcnn"}
    field = winner_ns.fit(image, family="hash-grid", settings=settings, steps=100, device=device, progress=False)
    return {"psnr": round(field.figures["psnr"], 3)}


def mesh_of(device: torch.device, small: bool, folder: Path) -> Dict[str, Any]:
    """A surface, extracted and drawn with the field on the device; the picture is also drawn on a CPU."""
    if importlib.util.find_spec("mcubes") is None:
        raise Missing("no PyMCubes")
    from winner_ns.export.mesh import extract_mesh

    sizes = {"steps": 100, "width": 32, "batch_size": 1024} if small else {"steps": 400, "width": 128}
    field = winner_ns.fit(signals()["shape"], kind="shape", device=device, progress=False, **sizes)
    begun = time.monotonic()
    mesh, facts = extract_mesh(field, 64 if small else 256)
    volume = 2 * math.pi**2 * 0.55 * 0.25**2
    told = {"faces": len(mesh.faces), "watertight": facts["watertight"], "volume": round(float(mesh.volume), 4)}
    assert small or abs(mesh.volume / volume - 1) < 0.02, told
    told = {**told, "of": round(volume, 4), "extraction_seconds": round(time.monotonic() - begun, 3)}
    mesh.export(folder / "ring.ply")
    assert (folder / "ring.ply").stat().st_size > 1000
    return {**told, **drawn(field, device, 32 if small else 512)}


def drawn(field: winner_ns.FittedField, device: torch.device, size: int) -> Dict[str, Any]:
    """What the viewer draws of a surface, by the device's rays and a CPU's: where they meet it."""
    from winner_ns.viewing.sphere_tracing import EmptySpace, trace

    line = torch.linspace(-0.6, 0.6, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    rays = torch.nn.functional.normalize(torch.stack([x, y, -torch.ones_like(x)], dim=-1).reshape(-1, 3), dim=-1)
    eye = torch.tensor([0.1, 0.2, 2.3]).expand_as(rays)
    depths, told = [], {}
    for where in (device, torch.device("cpu")):
        field.network.to(where)
        space = EmptySpace(field.unit_distance, where)
        here = eye.to(where), rays.to(where)
        trace(field.unit_distance, space, *here)  # The first one is slower.
        wait(where)
        begun = time.perf_counter()
        met, reached = trace(field.unit_distance, space, *here)
        wait(where)
        told.setdefault("picture_seconds", []).append(round(time.perf_counter() - begun, 4))
        depths.append(torch.zeros(len(rays)).index_put((met.cpu(),), reached.cpu()))
    apart = float(((depths[0] - depths[1]).abs() > 0.01).float().mean())
    # At an outline, rounding decides whether a ray meets anything.
    assert apart < 0.01, f"{apart:.1%} of the picture's pixels are another here than on a CPU"
    field.network.to(device)
    return {"pixels": len(rays), **told, "pixels_apart": apart}


def exported(suffix: str, device: torch.device, folder: Path) -> Dict[str, Any]:
    """A small picture's field, written from the device as other programs take it."""
    field = winner_ns.fit(signals()["image"], steps=20, width=16, depth=2, device=device, progress=False)
    path = folder / f"field{suffix}"
    if suffix == ".onnx":
        if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxruntime") is None:
            raise Missing("no onnx with onnxruntime")
        from winner_ns.export.onnx import export_onnx

        export_onnx(field, path)  # Holds the values against the field's.
    elif suffix == ".glsl":
        from winner_ns.export.glsl import export_glsl

        export_glsl(field, path)
    elif suffix == "grid":
        here = field.grid((32, 32))
        field.network.cpu()
        apart = float(np.abs(field.grid((32, 32)) - here).max())
        assert apart < 1e-3, f"the grid's values on a CPU are {apart:.2g} from the device's"
        return {"grid_apart": apart}
    else:
        field.save(path)
    assert path.stat().st_size > 1000
    return {"bytes": path.stat().st_size}


def step_times(device: torch.device, small: bool) -> Dict[str, Any]:
    """Milliseconds of an Adam step of 2 -> 4 x 256 -> 1 by each style, from the same weights on the same points."""
    found: Dict[str, Any] = {}
    styles = ["ours", "plain"] if small else ["ours", "plain", "torch.compile", "torch.compile, CUDA graphs"]
    for points in [1024] if small else [8192, 65536, 262144]:
        found[str(points)] = {style: step_time(style, points, device, 2 if small else 30) for style in styles}
    losses = [told["loss"] for told in found[min(found, key=int)].values() if "loss" in told]
    assert max(losses) - min(losses) < 1e-3 * max(losses), f"the styles' losses differ: {losses}"
    return {"milliseconds": found}


def step_time(style: str, points: int, device: torch.device, repeats: int) -> Dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    field = Siren(2, 1, width=256, depth=4, generator=generator).to(device)
    coordinates = (torch.rand(points, 2, generator=generator) * 2 - 1).to(device)
    values = torch.sin(20 * coordinates[:, :1]) * torch.cos(31 * coordinates[:, 1:])
    network = field if style == "ours" else reference_network(field).to(device)
    if style == "torch.compile, CUDA graphs":
        if device.type != "cuda":
            return {"left_out": "no GPU"}
        network = torch.compile(network, mode="reduce-overhead")
    elif style == "torch.compile":
        network = torch.compile(network)
    optimizer = Adam(field.parameters() if style == "ours" else network.parameters())  # type: ignore[union-attr]

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (
            mean_squared_error(field, coordinates, values)
            if style == "ours"
            else (network(coordinates) - values).square().mean()  # type: ignore[operator]
        )
        loss.backward()
        optimizer.step(1e-4)
        return loss.detach()

    try:
        for _ in range(5):
            step()
        wait(device)
        begun = time.perf_counter()
        for _ in range(repeats):
            loss = step()
        wait(device)
    except Exception as error:  # Of a compiler, whatever it may be.
        return {"left_out": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    told = {"ms": round(1000 * (time.perf_counter() - begun) / repeats, 3), "loss": round(float(loss), 6)}
    if device.type == "cuda":
        told["gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 3)
        torch.cuda.reset_peak_memory_stats(device)
    return told


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def nerfstudio_checks(device: torch.device, small: bool, folder: Path) -> Iterator[Check]:
    """All commands on runs of every kind."""
    # A shape has no surface to be looked at before.
    steps, width = ("60", "16") if small else ("200", "128")
    kinds = ["image", "shape"] if small else list(signals())
    sizes = ["--pipeline.model.field.width", width, "--pipeline.model.field.depth", "3"]
    common = ["--max-num-iterations", steps, "--output-dir", str(folder / "runs")]
    common += ["--machine.device-type", device.type, "--timestamp", "now"]

    def command(method: str, data: Path, vis: str, *flags: str) -> Tuple[List[str], Path]:
        arguments = ["ns-train", method, "--data", str(data), "--vis", vis, *common, *flags]
        return arguments, folder / "runs" / data.stem / method / "now"

    def train(method: str, data: Path, *flags: str) -> Path:
        arguments, run = command(method, data, "tensorboard", *flags)
        run_command(*arguments)
        return run

    def trained(kind: str) -> Dict[str, Any]:
        data, told = written(kind, folder), {}
        if kind in VIEWED:
            arguments, run = command("winner-siren", data, "viewer+tensorboard", *sizes)
            arguments[0] = str(installed("ns-train"))
            from docs.measurements.viewer_check import looked_at

            told = {"viewer": looked_at(kind, arguments, run, folder / f"{kind}.log")}
        else:
            run = train("winner-siren", data, *sizes)
        run_command("winner-ns", "eval", str(run), "--output-path", str(folder / f"{kind}.json"))
        return {"figures": json.loads((run / "results" / "figures.json").read_text())["figures"], **told}

    def compared() -> Dict[str, Any]:
        run = train("winner-compare", written("image", folder))
        return {"results": sorted(path.name for path in (run / "results").iterdir())}

    def two_devices() -> Dict[str, Any]:
        if device.type != "cuda" or torch.cuda.device_count() < 2:
            raise Missing("no two GPUs")
        data = written("image", folder).rename(folder / "two.npy")
        run = train("winner-siren", data, *sizes, "--machine.num-devices", "2")
        return {"figures": json.loads((run / "results" / "figures.json").read_text())["figures"]}

    for kind in kinds:
        yield f"ns-train {kind}", lambda kind=kind: trained(kind)
    yield "winner-compare", compared
    yield "ns-train on two devices", two_devices


def written(kind: str, folder: Path) -> Path:
    """A signal as a file."""
    data = signals()[kind]
    if kind == "audio":
        import soundfile

        soundfile.write(folder / "audio.wav", data[0], data[1], subtype="FLOAT")
        return folder / "audio.wav"
    # The three axes of a grey film would be taken for those of a volume.
    np.save(folder / f"{kind}.npy", data[..., 0] if kind == "volume" else data)
    return folder / f"{kind}.npy"


def installed(program: str) -> Path:
    """Where a program is that is installed beside this Python.

    Raises:
        Missing: it is not there.
    """
    path = Path(sys.executable).with_name(program)
    if not path.exists() or importlib.util.find_spec("nerfstudio") is None:
        raise Missing("no nerfstudio")
    return path


def run_command(program: str, *arguments: str) -> None:
    """Runs such a program.

    Raises:
        Missing: it is not there.
        RuntimeError: it failed; with the last of what it said.
    """
    done = subprocess.run([installed(program), *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip()[-400:])


if __name__ == "__main__":
    sys.exit(main())

"""How fast the training step is beside other styles, on batches of 8192 and of 65,536 points: make bench-step

All take the same Adam steps from the same weights on the same points: 2 -> 4 x 256 -> 1, one thread, float32, each
style in a process of its own, one step at a time in turn.

- ours
- reference: separate Linear and sine modules, plain autograd, one full batch, as in the published SIREN codes
- reference, no mmap: the same where glibc keeps what is freed, so that no page is cleared twice
- siren-pytorch: a module a layer, of a linear map, a sine and a dropout of 0
- torch.compile: the reference style, compiled; left out where it can't be, as without a C++ compiler

The last line printed is JSON, of 65,536 points: speedup (the reference's CPU seconds over ours), memory_ratio (our
added peak memory over the reference's), gemm_fraction (rate of our step's matrix products alone over this core's
measured rate of matrix products); and under "points" all medians, by the number of points.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import resource
import statistics
import time
from typing import Any, Callable, Dict, List, Tuple

import torch
from torch import Tensor, nn

from winner_ns.fields.mean_squared_error import mean_squared_error
from winner_ns.fields.siren import Siren
from winner_ns.fitting.adam import Adam

POINTS, WIDTH, DEPTH = (8192, 65536), 256, 4
WARM = 2
"""Steps of each style before those that count: allocators, caches and compilers."""
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_TOP_PAD_": str(2**28)}
"""What glibc's malloc is told by, to keep what is freed."""


class _Sine(nn.Module):
    def __init__(self, omega_0: float) -> None:
        super().__init__()
        self.omega_0 = omega_0

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega_0 * x)


class _LayerModule(nn.Module):
    """A linear map, a sine and a dropout that drops nothing, as one module."""

    def __init__(self, linear: nn.Linear, omega_0: float) -> None:
        super().__init__()
        self.linear, self.sine, self.dropout = linear, _Sine(omega_0), nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.sine(nn.functional.linear(x, self.linear.weight, self.linear.bias)))


def reference_network(field: Siren) -> nn.Sequential:
    """The same network with the same weights in the reference style."""
    modules: List[nn.Module] = []
    for layer in field.layers:
        linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        linear.load_state_dict(layer.state_dict())
        modules += [linear, _Sine(layer.omega_0)]
    output = nn.Linear(field.output.in_features, field.output.out_features)
    output.load_state_dict(field.output.state_dict())
    return nn.Sequential(*modules, output)


def _layered(field: Siren) -> nn.Module:
    *hidden, output = [module for module in reference_network(field) if isinstance(module, nn.Linear)]
    modules = [_LayerModule(linear, layer.omega_0) for linear, layer in zip(hidden, field.layers)]
    return nn.Sequential(*modules, output)


def _compiled(field: Siren) -> nn.Module:
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # It misses CUDA, which is not asked for.
    network = reference_network(field)
    network.compile()
    return network


STYLES: Dict[str, Tuple[Callable[[Siren], nn.Module], Dict[str, str]]] = {
    "ours": (lambda field: field, {}),
    "reference": (reference_network, {}),
    "reference, no mmap": (reference_network, KEPT_MEMORY),
    "siren-pytorch": (_layered, {}),
    "torch.compile": (_compiled, {}),
}
"""By name: what makes the network of ours, and what the process is told by its environment."""


def _serve(style: str, points: int, asked: Any) -> None:
    """Takes a step whenever it is asked to, and answers with its loss, wall seconds, CPU seconds and the KiB that the
    process has had at most beyond what it had before the first."""
    torch.set_num_threads(1)
    # Flushing denormals belongs to our step (the trainer does it); the other styles don't.
    torch.set_flush_denormal(style == "ours")
    generator = torch.Generator().manual_seed(0)
    coordinates = torch.rand(points, 2, generator=generator) * 2 - 1
    values = torch.sin(20 * coordinates[:, :1]) * torch.cos(31 * coordinates[:, 1:])
    network = STYLES[style][0](Siren(2, 1, width=WIDTH, depth=DEPTH, generator=generator))
    optimizer = Adam(network.parameters())
    # The first matrix product and sine set up the libraries' own buffers, which no style should be charged for.
    torch.sin(torch.ones(64, 64) @ torch.ones(64, 64))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def step() -> float:
        optimizer.zero_grad()
        loss = (
            mean_squared_error(network, coordinates, values)
            if style == "ours"
            else ((network(coordinates) - values).square().mean())
        )
        loss.backward()
        optimizer.step(1e-4)
        return float(loss.detach())

    while asked.recv():
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            loss = step()
        except Exception as error:  # Of a compiler, whatever it may be.
            asked.send(f"{type(error).__name__}: {error}".splitlines()[0])
            return
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        asked.send((loss, wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))


def _started(style: str, points: int) -> Any:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    usual = dict(os.environ)
    os.environ.update(STYLES[style][1])
    context.Process(target=_serve, args=(style, points, there), daemon=True).start()
    os.environ.clear()
    os.environ.update(usual)
    there.close()
    return here


def gemm_rate() -> float:
    """Floating-point operations per CPU second of a matrix product of the step's own shape."""
    a, b, out = torch.rand(512, WIDTH), torch.rand(WIDTH, WIDTH), torch.empty(512, WIDTH)
    start = time.process_time()
    for _ in range(200):
        torch.mm(a, b, out=out)
    return 200 * 2 * 512 * WIDTH * WIDTH / (time.process_time() - start)


def measure(points: int, repeats: int) -> Dict[str, Dict[str, float]]:
    """Medians of every style on so many points, {"seconds", "cpu_seconds", "mib", "loss"}, with "gemm_fraction"."""
    served = {style: _started(style, points) for style in STYLES}
    seen: Dict[str, List[Tuple[float, float, float, float]]] = {style: [] for style in STYLES}
    rates: List[float] = []
    for turn in range(WARM + repeats):
        for style, process in list(served.items()):
            process.send(True)
            answer = process.recv()
            if isinstance(answer, str):
                print(f"{style} is left out: {answer}", flush=True)
                del served[style], seen[style]
            elif turn >= WARM:
                seen[style].append(answer)
        rates.append(gemm_rate())
    for process in served.values():
        process.send(False)
    products = 6 * points * ((DEPTH - 1) * WIDTH * WIDTH + WIDTH) + 4 * points * 2 * WIDTH
    found: Dict[str, Dict[str, float]] = {}
    for style, steps in seen.items():
        _, wall, cpu, _ = (statistics.median(each) for each in zip(*steps))
        found[style] = {
            "seconds": round(wall, 4),
            "cpu_seconds": round(cpu, 4),
            "mib": round(steps[-1][3] / 1024, 1),
            "loss": steps[-1][0],
            "gemm_fraction": round(products / cpu / statistics.median(rates), 3),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8, help="steps of each style, taken in turn")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    found = {points: measure(points, repeats) for points in POINTS}
    for points, styles in found.items():
        print(f"\n{points} points          wall s    CPU s  times ours  of the matrix products' rate  added MiB  loss")
        for style, row in styles.items():
            ratio = row["cpu_seconds"] / styles["ours"]["cpu_seconds"]
            print(
                f"{style:>20}  {row['seconds']:7.4f}  {row['cpu_seconds']:7.4f}  {ratio:10.2f}  "
                f"{row['gemm_fraction']:29.2f}  {row['mib']:9.1f}  {row['loss']:.8f}"
            )
    largest = found[POINTS[-1]]
    ours, reference = largest["ours"], largest["reference"]
    print(
        json.dumps(
            {
                "speedup": round(reference["cpu_seconds"] / ours["cpu_seconds"], 3),
                "memory_ratio": round(max(ours["mib"], 0.001) / reference["mib"], 4),
                "gemm_fraction": ours["gemm_fraction"],
                "points": found,
            }
        )
    )


if __name__ == "__main__":
    main()

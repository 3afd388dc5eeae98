"""How fast the training step is, beside the reference style, in one process.

Reference style: separate Linear and sine modules, plain autograd, one full batch, as in the published SIREN codes.
Both take the same Adam steps from the same weights on the same 65,536 points: 2 -> 4 x 256 -> 1, one thread, float32.
The last line printed is JSON: speedup (reference time over ours), memory_ratio (our added peak memory over the
reference's), gemm_fraction (rate of our step's matrix products alone over this core's measured matrix-product rate).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from typing import Callable, List, Tuple

import torch
from torch import Tensor, nn

from winner_ns.fields.mean_squared_error import mean_squared_error
from winner_ns.fields.siren import Siren
from winner_ns.fitting.adam import Adam

POINTS, WIDTH, DEPTH = 65536, 256, 4


class _Sine(nn.Module):
    def __init__(self, omega_0: float) -> None:
        super().__init__()
        self.omega_0 = omega_0

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega_0 * x)


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


def make_steps() -> Tuple[Callable[[], float], Callable[[], float]]:
    """One Adam step in the reference style and one of ours; each returns its loss."""
    generator = torch.Generator().manual_seed(0)
    coordinates = torch.rand(POINTS, 2, generator=generator) * 2 - 1
    values = torch.sin(20 * coordinates[:, :1]) * torch.cos(31 * coordinates[:, 1:])
    field = Siren(2, 1, width=WIDTH, depth=DEPTH, generator=generator)
    reference = reference_network(field)

    def step_of(network: nn.Module, loss_of: Callable[[], Tensor]) -> Callable[[], float]:
        optimizer = Adam(network.parameters())

        def step() -> float:
            optimizer.zero_grad()
            loss = loss_of()
            loss.backward()
            optimizer.step(1e-4)
            return float(loss.detach())

        return step

    return (
        step_of(reference, lambda: (reference(coordinates) - values).square().mean()),
        step_of(field, lambda: mean_squared_error(field, coordinates, values)),
    )


def _added_memory(which: int, queue: "multiprocessing.Queue[int]") -> None:
    torch.set_num_threads(1)
    step = make_steps()[which]
    # The first matrix product and sine set up the libraries' own buffers, which neither style should be charged for.
    torch.sin(torch.ones(64, 64) @ torch.ones(64, 64))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def added_memory(which: int) -> int:
    """Added peak memory of the first step in KiB, in a process of its own (a peak never goes down again)."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_added_memory, args=(which, queue))
    process.start()
    result = queue.get()
    process.join()
    return max(result, 1)


def gemm_rate() -> float:
    """Floating-point operations per second of a matrix product of the step's own shape."""
    a, b, out = torch.rand(512, WIDTH), torch.rand(WIDTH, WIDTH), torch.empty(512, WIDTH)
    start = time.perf_counter()
    for _ in range(200):
        torch.mm(a, b, out=out)
    return 200 * 2 * 512 * WIDTH * WIDTH / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8, help="steps of each style, taken in turn")
    repeats = parser.parse_args().repeats
    memory = [added_memory(0), added_memory(1)]
    torch.set_num_threads(1)
    steps = make_steps()
    times: Tuple[List[float], List[float]] = ([], [])
    rates: List[float] = []
    print("step   reference s / loss        ours s / loss", flush=True)
    for i in range(repeats):
        losses = []
        for step, seconds in zip(steps, times):
            # Flushing denormals belongs to our step (the trainer does it); the reference style doesn't.
            torch.set_flush_denormal(step is steps[1])
            start = time.perf_counter()
            losses.append(step())
            seconds.append(time.perf_counter() - start)
        rates.append(gemm_rate())
        print(f"{i:4d}   {times[0][-1]:.3f} / {losses[0]:.8f}    {times[1][-1]:.3f} / {losses[1]:.8f}", flush=True)
    # The first step of each warms up allocators and caches.
    reference_s, ours_s = (statistics.median(t[1:] or t) for t in times)
    products = 6 * POINTS * ((DEPTH - 1) * WIDTH * WIDTH + WIDTH) + 4 * POINTS * 2 * WIDTH
    for name, seconds_of, kibibytes in (("reference", reference_s, memory[0]), ("ours", ours_s, memory[1])):
        print(f"{name:>9}: {seconds_of:.3f} s, {kibibytes / 1024:.0f} MiB")
    print(
        json.dumps(
            {
                "speedup": round(reference_s / ours_s, 3),
                "memory_ratio": round(memory[1] / memory[0], 4),
                "gemm_fraction": round(products / ours_s / statistics.median(rates), 3),
            }
        )
    )


if __name__ == "__main__":
    main()

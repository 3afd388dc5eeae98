"""What makes a program wait for a GPU - reading a number, picking by a mask, sending a constant - is counted, as each
costs the same on a CPU, where nobody would notice it."""

from __future__ import annotations

import math
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import winner_ns
from winner_ns.fields import FAMILIES, build_field
from winner_ns.fitting.training import Training
from winner_ns.viewing.sphere_tracing import EmptySpace, trace

READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2")
SENDS = ("lift_fresh",)


class Waits(TorchDispatchMode):
    """Counts them by name; the step counters of torch's Adam, which stay in memory, are none."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().partition("::")[2].partition(".")[0]
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1]
        )
        if name in (*READS, *SENDS) and not of_adam() or by_mask:
            self.count[name] += 1
        return function(*args, **(kwargs or {}))


def of_adam() -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.replace("\\", "/").endswith("torch/optim/adam.py"):
            return True
        frame = frame.f_back
    return False


def test_what_waits_is_counted():
    with Waits() as waits:
        numbers = torch.arange(4.0)
        float(numbers.sum()), numbers[numbers > 1], torch.tensor(3.0)
    assert waits.count["_local_scalar_dense"] == waits.count["lift_fresh"] == 1 and sum(waits.count.values()) >= 3


# Grids import nerfstudio.
EACH = [pytest.param(name, marks=pytest.mark.slow if name == "hash-grid" else ()) for name in sorted(FAMILIES)]


@pytest.mark.parametrize("family", EACH)
def test_steps_of_each_family_wait_for_nothing(family):
    settings = {"implementation": "torch"} if family == "hash-grid" else {"width": 16, "depth": 2}
    points = torch.rand(64, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    batch = points, torch.sin(5 * points[:, :1])
    training = Training(build_field(family, 2, 1, settings), lambda step: batch, 10, 1e-3)
    with Waits() as waits:
        losses = [training.advance() for _ in range(10)]
    assert not waits.count and losses[0] != losses[-1]


@pytest.mark.parametrize("kind", ["image", "audio", "shape", "volume", "video", "eikonal"])
def test_fits_of_each_kind_read_no_step_back(kind):
    """Whatever is kept of steps, watched and looked at; but for the look at a collapse, every tenth step at most."""
    rng = np.random.default_rng(0)
    data, choices = {
        "image": (rng.random((16, 16), np.float32), {}),
        "audio": (np.sin(np.arange(400, dtype=np.float32) / 9), {"kind": "audio"}),
        "volume": (rng.random((6, 6, 6, 1), np.float32), {"kind": "volume"}),
        "video": (rng.random((4, 6, 6, 3), np.float32), {"kind": "video"}),
        "shape": (distances(rng), {"kind": "shape"}),
        "eikonal": (sphere_mesh(), {"shape_loss": "eikonal"}),
    }[kind]
    counted, waits = [], Waits()

    def count(step):
        counted.append(sum(waits.count[name] for name in READS))
        return step.step == 14

    with waits:
        winner_ns.fit(data, steps=1000, width=8, depth=1, batch_size=64, progress=False, callback=count, **choices)
    made = np.diff(counted)
    assert (made > 0).sum() <= 1 and made.sum() <= 1


def distances(rng):
    points = rng.uniform(-1, 1, (2000, 3))
    return np.c_[points, np.linalg.norm(points, axis=1) - 0.5].astype(np.float32)


def sphere_mesh():
    import trimesh

    return trimesh.creation.icosphere(2, 0.5)


def test_a_picture_of_a_surface_waits_a_few_times_a_step_and_is_the_same():
    def distance(points):
        ring = torch.hypot(torch.hypot(points[:, 0], points[:, 1]) - 0.55, points[:, 2]) - 0.25
        return ring[:, None]

    y, x = torch.meshgrid(torch.linspace(-0.6, 0.6, 24), torch.linspace(-0.6, 0.6, 24), indexing="ij")
    directions = torch.stack([x, y, -torch.ones_like(x)], dim=-1).reshape(-1, 3)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    origins = torch.tensor([0.1, 0.2, 2.3]).expand_as(directions)
    space = EmptySpace(distance, torch.device("cpu"))
    one_by_one = trace(distance, space, origins, directions, moves=1)
    with Waits() as waits:
        together = trace(distance, space, origins, directions, moves=16)
    for one, other in zip(one_by_one, together, strict=True):
        assert torch.equal(one, other)
    assert len(together[0]) > 100 and math.isfinite(float(together[1].sum()))
    # One for each of up to 128 steps to find out which rays have met the surface, go on, or have crossed empty space.
    assert sum(waits.count.values()) < 4 * 128

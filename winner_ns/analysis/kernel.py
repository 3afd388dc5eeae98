"""The empirical neural tangent kernel of a field: what gradient descent learns fast, and what it learns slowly.

Jacot, Gabriel, Hongler: Neural Tangent Kernel: Convergence and Generalization in Neural Networks, NeurIPS 2018 (arXiv
1806.07572). K(x, x') is the inner product of the gradients of f(x) and f(x') by the parameters; under gradient descent
the error along an eigenvector of K falls at a rate proportional to its eigenvalue.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from winner_ns.analysis.sampled import SampledTarget
from winner_ns.fields.denormals import flushed_denormals
from winner_ns.progress import Report, silent

GRADIENTS_KEPT = 2**28
"""Numbers (float32) of points' gradients that are kept at a time: 1 GiB."""
GRADIENTS_AT_ONCE = 2**25
"""Numbers of points' gradients that are computed at a time; autograd needs a few times their memory."""
ROWS = 1024
"""Rows of the kernel that are multiplied at a time."""
MOST_POINTS = 8192
"""Points of the largest kernel: its eigenvectors take minutes and 2 GB."""


@dataclass(frozen=True)
class Kernel:
    """The kernel's eigenvalues and eigenvectors at a small piece of the target's own grid."""

    shape: Tuple[int, ...]
    """Samples of the piece along each axis."""
    eigenvalues: Float[np.ndarray, " n"]
    """Descending."""
    resolution: float
    """Eigenvalues below it are rounding errors of single precision."""
    frequency: Float[np.ndarray, " f"]
    """Angular frequencies in radians per unit of coordinate, from 0 to Nyquist."""
    spectrum: Float[np.ndarray, "n f"]
    """Share of each eigenvector's power at each frequency; rows sum to 1."""
    target_energy: Float[np.ndarray, " n"]
    """Share of the mean-removed target's energy (of all channels) along each eigenvector; sums to 1."""

    @property
    def resolved(self) -> int:
        """The number of eigenvalues above the resolution."""
        return int((self.eigenvalues > self.resolution).sum())

    def energy_within(self, ratio: float) -> float:
        """Share of the target's energy along eigenvectors that are learnt at least 1/ratio as fast as the fastest."""
        return float(self.target_energy[self.eigenvalues >= self.eigenvalues[0] / ratio].sum())


def measure_kernel(network: nn.Module, target: SampledTarget, points: int, report: Report = silent) -> Kernel:
    """The kernel of a network's first output at the liveliest piece of the target of at most so many points."""
    shape, coordinates, values = target.piece(points)
    kernel = tangent_kernel(network, coordinates, report)
    ascending, vectors = torch.linalg.eigh(kernel)
    eigenvalues = ascending.flip(0).clamp(min=0.0).cpu().numpy()
    vectors = vectors.flip(1).cpu().numpy()
    frequency, spectrum = eigenvector_spectra(
        vectors, shape, [target.spacing(a) if n > 1 else 1.0 for a, n in enumerate(shape)]
    )
    wanted = values.astype(np.float64)
    energy = ((vectors.T @ (wanted - wanted.mean(axis=0))) ** 2).sum(axis=1)
    total = max(float(energy.sum()), np.finfo(float).tiny)
    resolution = float(eigenvalues[0] * np.finfo(np.float32).eps)
    return Kernel(shape, eigenvalues, resolution, frequency, spectrum, energy / total)


def tangent_kernel(
    network: nn.Module, coordinates: Float[Tensor, "n d"], report: Report = silent
) -> Float[Tensor, "n n"]:
    """K[i, j], the inner product of the gradients of the first output at points i and j by all parameters.

    The gradients are computed and multiplied in single precision, for some of the parameters at a time, never more than
    GRADIENTS_KEPT numbers of them.

    Returns:
        float64, on the network's device.
    """
    device = next(network.parameters()).device
    x = coordinates.to(device)
    kernel = torch.zeros((len(x), len(x)), device=device)
    done, total = 0, sum(parameter.numel() for parameter in network.parameters())
    # Gradients of wavelets are full of numbers too small to matter, which slow a CPU down by a factor of six.
    with flushed_denormals():
        for names in _groups(network, GRADIENTS_KEPT // len(x)):
            for gradients in _gradients(network, names, x):
                for start in range(0, len(x), ROWS):
                    # Symmetric: what is right of the diagonal follows.
                    rows = slice(start, start + ROWS)
                    kernel[rows, : start + ROWS].addmm_(gradients[rows], gradients[: start + ROWS].t())
            done += sum(network.get_parameter(name).numel() for name in names)
            report("tangent kernel", done, total)
    lower = kernel.tril().double()
    return lower + lower.tril(-1).t()


def eigenvector_spectra(
    vectors: Float[np.ndarray, "n k"], shape: Tuple[int, ...], spacing: Sequence[float]
) -> Tuple[Float[np.ndarray, " f"], Float[np.ndarray, "k f"]]:
    """Share of power over frequency of vectors on a grid, along each axis, weighted with Hann's window.

    Args:
        vectors: as columns, in row-major order of the grid.
        shape: of the grid.
        spacing: between its points along each axis, in units of coordinate.

    Returns:
        Angular frequencies, from 0 to the highest Nyquist frequency, as many as the longest axis has, and for each
        vector the share of its power at each of them, averaged over the axes.
    """
    axes = [axis for axis, n in enumerate(shape) if n > 1]
    highest = max(math.pi / spacing[axis] for axis in axes)
    frequency = np.linspace(0.0, highest, max(shape[axis] for axis in axes) // 2 + 1)
    spectrum = np.zeros((vectors.shape[1], len(frequency)))
    fields = vectors.T.reshape(-1, *shape)
    for axis in axes:
        n = shape[axis]
        window = np.hanning(n + 2)[1:-1].reshape([n if a == axis else 1 for a in range(len(shape))])
        power = np.abs(np.fft.rfft(fields * window, axis=axis + 1)) ** 2
        power = np.moveaxis(power, axis + 1, -1).reshape(len(power), -1, n // 2 + 1).sum(axis=1)
        # To the nearest of the common frequencies, where this axis has other ones.
        own = np.arange(n // 2 + 1) * 2.0 * math.pi / (n * spacing[axis])
        nearest = np.abs(frequency[None, :] - own[:, None]).argmin(axis=1)
        np.add.at(spectrum, (slice(None), nearest), power / power.sum(axis=1, keepdims=True) / len(axes))
    return frequency, spectrum


def _groups(network: nn.Module, most: int) -> List[List[str]]:
    """Names of neighbouring parameters that have at most so many entries together, where each has not more itself."""
    groups: List[List[str]] = []
    size = 0
    for name, parameter in network.named_parameters():
        size += parameter.numel()
        if not groups or size > most:
            groups.append([])
            size = parameter.numel()
        groups[-1].append(name)
    return groups


def _gradients(network: nn.Module, names: List[str], x: Float[Tensor, "n d"]) -> Iterator[Float[Tensor, "n p"]]:
    """The first output's gradients at all points by these parameters, in blocks of columns."""
    values = {name: network.get_parameter(name).detach() for name in names}

    def output(values: Dict[str, Tensor], point: Tensor) -> Tensor:
        return functional_call(network, values, (point[None],))[0, 0]

    def batched(points: Tensor) -> Dict[str, Tensor]:
        with warnings.catch_warnings():
            # A hash grid's remainder has no batched form: it is computed point by point, and said so.
            warnings.filterwarnings("ignore", "There is a performance drop")
            return vmap(grad(output), (None, 0))(values, points)

    def one_by_one(points: Tensor) -> Dict[str, Tensor]:
        leaves = {name: value.clone().requires_grad_(True) for name, value in values.items()}
        with torch.enable_grad():
            rows = [torch.autograd.grad(output(leaves, point), list(leaves.values())) for point in points]
        return {name: torch.stack(column) for name, column in zip(leaves, zip(*rows))}

    used = _used(network, values, x)
    size = sum(value.numel() for value in values.values())
    at_once = max(GRADIENTS_AT_ONCE // size, 1)
    of_points = batched if _has_batched_gradients(batched, x) else one_by_one
    for columns in used.split(max(GRADIENTS_KEPT // len(x), 1)):
        block = torch.empty((len(x), len(columns)), device=x.device)
        for start in range(0, len(x), at_once):
            rows = of_points(x[start : start + at_once])
            flat = torch.cat([rows[name].flatten(1) for name in names], dim=1)
            block[start : start + at_once] = flat if len(columns) == size else flat[:, columns]
        yield block


def _has_batched_gradients(batched: Callable[[Tensor], Dict[str, Tensor]], x: Float[Tensor, "n d"]) -> bool:
    """Whether torch.func can go through the network: not through an autograd function of the older kind, as
    tiny-cuda-nn's."""
    try:
        batched(x[:1])
    except RuntimeError as error:
        if "setup_context" not in str(error):
            raise
        return False
    return True


def _used(network: nn.Module, values: Dict[str, Tensor], x: Float[Tensor, "n d"]) -> Int[Tensor, " used"]:
    """Flat indices of the entries that the output depends on at any of the points: few of a hash grid's tables."""
    values = {name: value.clone().requires_grad_(True) for name, value in values.items()}
    # A sum with random weights, in which no two points' gradients cancel.
    weights = torch.rand(len(x), generator=torch.Generator().manual_seed(0)).to(x.device) + 0.5
    with torch.enable_grad():
        total = (functional_call(network, values, (x,))[:, 0] * weights).sum()
    gradients = torch.autograd.grad(total, list(values.values()))
    return torch.cat([gradient.flatten() for gradient in gradients]).nonzero()[:, 0]

"""Weights as whole numbers with scales, in a half or a quarter of the room, and what that costs.

What coordinates are multiplied by stays in single precision, as its errors shift the fastest waves along; half floats
everywhere were measured to err by 1.6 of 255 steps, integers of 16 bits by 0.19, of 8 bits by 5.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Mapping, Set, Tuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from winner_ns.errors import SignalError, setting_error
from winner_ns.fields.layers import named_layers
from winner_ns.fields.mean_squared_error import evaluate

if TYPE_CHECKING:
    from winner_ns.fields.files import LoadedField

INTEGERS: Dict[int, torch.dtype] = {16: torch.int16, 8: torch.int8}
"""Types of whole numbers by their bits."""
SCALE = "@scale"
"""What the names of scales end in; no module's name has that sign."""
SHORTEST_ROW = 16
"""Numbers of a row that has a scale of its own; of shorter ones a matrix has one."""
POINTS = 2**14
"""Random points of the domain at which quantised fields are compared with what they were."""


def check_bits(bits: object) -> None:
    """Raises SignalError for bits that no whole numbers have here."""
    if bits not in INTEGERS or isinstance(bits, bool):
        raise setting_error("bits", f"{bits!r} is not among them", f"give {' or '.join(map(str, INTEGERS))}")


def quantised(matrix: Float[Tensor, "o ..."], bits: int) -> Tuple[Int[Tensor, "o ..."], Float[Tensor, " scales"]]:
    """A matrix as whole numbers, symmetric about 0, and what they are multiplied by.

    Args:
        matrix: finite.
        bits: 16 or 8.

    Returns:
        The numbers, from -(2^(bits-1) - 1) on, and the scales: one for each row, or one for all short ones.
    """
    rows = matrix.detach().double().reshape(len(matrix), -1)
    if rows.shape[1] < SHORTEST_ROW:
        rows = rows.reshape(1, -1)
    largest = 2 ** (bits - 1) - 1
    # In the precision that they are kept in: the numbers are of these scales, not of finer ones.
    scales = (rows.abs().amax(1) / largest).float()
    divisors = torch.where(scales > 0, scales, torch.ones_like(scales)).double()
    numbers = (rows / divisors[:, None]).round().clamp(-largest, largest)
    return numbers.to(INTEGERS[bits]).reshape(matrix.shape), scales


def unquantised(numbers: Int[Tensor, "o ..."], scales: Float[Tensor, " scales"]) -> Float[Tensor, "o ..."]:
    """What `quantised` was given, but for rounding.

    Raises:
        ValueError: the scales are not of these numbers.
    """
    if numbers.ndim < 2 or len(scales) not in (1, len(numbers)) or not numbers.numel():
        raise ValueError("the scales do not fit the numbers")
    return (numbers.reshape(len(scales), -1).float() * scales[:, None].float()).reshape(numbers.shape)


def quantised_weights(network: nn.Module, bits: int) -> Dict[str, Tensor]:
    """A network's weights by name, its matrices as whole numbers with their scales beside them; on the CPU.

    In single precision stay vectors, buffers (frequencies that coordinates are encoded by) and, of families that encode
    no coordinates, the first layer.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    taken: Dict[str, Tensor] = {}
    whole = _kept_whole(network)
    for name, value in state.items():
        if name in whole or value.ndim < 2 or not value.is_floating_point():
            taken[name] = value
        else:
            taken[name], taken[name + SCALE] = quantised(value, bits)
    return taken


def restored_weights(taken: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Weights in single precision from what `quantised_weights` made of them; others are given back as they are.

    Raises:
        ValueError: scales that do not fit.
    """
    restored: Dict[str, Tensor] = {}
    for name, value in taken.items():
        if name.endswith(SCALE):
            if name.removesuffix(SCALE) not in taken:
                raise ValueError("a scale is of no numbers")
            continue
        scales = taken.get(name + SCALE)
        if scales is None:
            restored[name] = value
        elif value.dtype not in INTEGERS.values() or scales.dtype != torch.float32 or scales.ndim != 1:
            raise ValueError("the scales are not of whole numbers")
        else:
            restored[name] = unquantised(value, scales)
    return restored


@dataclass(frozen=True)
class QuantisationLoss:
    """How far a quantised field is from what it was, on the scale where the original lies in [-1, 1]."""

    largest: float
    """The largest difference, in steps of 1/255 of the range."""
    psnr: float
    """In dB, with the range 2; infinite where nothing differs."""

    def as_facts(self, bits: int) -> Dict[str, Any]:
        """What commands say of a file with such weights."""
        psnr = round(self.psnr, 2) if math.isfinite(self.psnr) else None
        return {
            "bits": bits,
            "largest_error_in_255ths": float(f"{self.largest:.3g}"),
            "psnr_against_whole_weights": psnr,
        }


def quantisation_loss(loaded: LoadedField, bits: int) -> QuantisationLoss:
    """Compares a field with itself of quantised weights, at POINTS random points (always the same) of its domain.

    Args:
        loaded: the field as it is.
        bits: of the numbers.

    Raises:
        SignalError: values of the one or the other are not finite.
    """
    rough = copy.deepcopy(loaded.network)
    rough.load_state_dict(restored_weights(quantised_weights(loaded.network, bits)))
    dimensions = loaded.description.network.in_dim
    extent = torch.tensor(loaded.signal.get("half_extent", [1.0] * dimensions))
    at = (torch.rand(POINTS, dimensions, generator=torch.Generator().manual_seed(0)) * 2 - 1) * extent
    difference = (evaluate(rough, at).double() - evaluate(loaded.network, at).double()).cpu()
    difference /= loaded.description.target.get("gain", 1.0)
    squared = float(difference.square().mean())
    if not math.isfinite(squared):
        name = loaded.description.name
        raise SignalError(name, "the field's values are not finite everywhere", "train again, at a lower learning rate")
    psnr = 10 * math.log10(4 / squared) if squared > 0 else math.inf
    return QuantisationLoss(float(difference.abs().max()) * 255 / 2, psnr)


def _kept_whole(network: nn.Module) -> Set[str]:
    """Names of what must not be rounded."""
    kept = {name for name, _ in network.named_buffers()}
    first = next(iter(named_layers(network).values()), None)
    if first is not None and not getattr(network, "encoded", False):
        weights = {id(parameter) for parameter in first.parameters()}
        kept |= {name for name, parameter in network.named_parameters() if id(parameter) in weights}
    return kept

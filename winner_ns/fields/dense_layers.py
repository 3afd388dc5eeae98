"""A field as a chain of dense layers, for programs that evaluate it without torch: shaders of web pages and others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.errors import SignalError

SINE = "sine(z)"
"""sin(z), of arguments of thousands of radians, too; whoever evaluates it brings this function."""

_SAYING = ("forward", "activation", "encode", "dense_layers")
"""Members of a family that say what its values are."""


def glsl_float(value: float) -> str:
    """A number as GLSL's floats are written."""
    written = f"{value:.9g}"
    return written if "." in written or "e" in written else f"{written}.0"


@dataclass(frozen=True)
class DenseLayer:
    """activation(W x + b), element by element."""

    weight: Float[Tensor, "o i"]
    """W, with all factors that its family puts before it."""
    bias: Float[Tensor, " o"]
    """b, likewise."""
    activation: str = "z"
    """An expression of GLSL: of the float z and the neuron's number, the int i, from 0 on."""


def dense_layers(network: nn.Module, name: str) -> List[DenseLayer]:
    """The chain that a field is, on the CPU; its output layer comes last.

    Args:
        network: of any family.
        name: what messages call the field.

    Raises:
        SignalError: its family says none.
    """
    # A subclass may make something else of its weights, and say nothing of it.
    nearest = next((each for each in type(network).__mro__ if any(member in vars(each) for member in _SAYING)), object)
    layers = None
    if "dense_layers" in vars(nearest):
        with torch.no_grad():
            layers = network.dense_layers()  # pyright: ignore[reportCallIssue] (the class that says it has it)
    if layers is None:
        problem = "its network is no chain of dense layers of real numbers"
        raise SignalError(name, problem, "fit a field of another family: winner, siren, finer, gauss, relu-pe or rff")
    return [
        DenseLayer(layer.weight.detach().cpu().float(), layer.bias.detach().cpu().float(), layer.activation)
        for layer in layers
    ]

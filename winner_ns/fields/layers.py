"""The layers of any family's network, and what goes into their activations."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Tuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.sine_layer import SineLayer
from winner_ns.fields.wire import ComplexLinear

OUTPUT = "output"
CHUNK = 4096
"""Points that are evaluated at a time."""
POINTS = 1024
"""Random points of the domain over which the bands of neurons are averaged."""
SPACING = 1e-6
"""Of the differences that derivatives are taken by, in units of coordinate; in double precision, that is exact to a
thousandth up to bands of 10^5 rad/unit."""


def named_layers(network: nn.Module) -> Dict[str, nn.Module]:
    """The layers with weights by name, "layer 1", "layer 2", … and "output"; what is in front of them, such as a hash
    grid's tables, is not among them (nor anything of a network that tiny-cuda-nn runs as one piece)."""
    layers = [module for module in network.modules() if isinstance(module, (SineLayer, nn.Linear, ComplexLinear))]
    return {OUTPUT if layer is layers[-1] else f"layer {i}": layer for i, layer in enumerate(layers, start=1)}


def is_sine_network(network: nn.Module) -> bool:
    """Whether all hidden layers are sines, of whatever kind, and nothing is in front of them."""
    layers = named_layers(network)
    hidden = [layer for name, layer in layers.items() if name != OUTPUT]
    return bool(hidden) and all(isinstance(layer, SineLayer) for layer in hidden)


def parameters_by_layer(network: nn.Module) -> Dict[str, List[nn.Parameter]]:
    """All parameters, by the layer that they belong to; those of no layer come first, as "encoding"."""
    layers = named_layers(network)
    within = {id(parameter) for layer in layers.values() for parameter in layer.parameters()}
    others = [parameter for parameter in network.parameters() if id(parameter) not in within]
    encoding = {"encoding": others} if others else {}
    return {**encoding, **{name: list(layer.parameters()) for name, layer in layers.items()}}


@torch.no_grad()
def pre_activations(
    network: nn.Module,
    coordinates: Float[Tensor, "n d"],
    most_neurons: int = 2**30,
    dtype: torch.dtype = torch.float32,
) -> Dict[str, Float[Tensor, "n h"]]:
    """What each layer's activation is applied to, and under "output" the field's values.

    Sine layers: omega_0 (W x + b), in radians (of FINER before the factor |z| + 1); complex layers: the real part of
    W x + b; others: W x + b.

    Args:
        network: a field of any family.
        coordinates: points.
        most_neurons: of each hidden layer, so many neurons at most, evenly spaced.
        dtype: of what is returned.

    Returns:
        By layer, on the CPU.
    """
    device = next(network.parameters()).device
    parts: Dict[str, List[Tensor]] = {}

    def keep(name: str, z: Tensor) -> None:
        step = -(-z.shape[-1] // most_neurons)
        parts.setdefault(name, []).append(z[..., ::step].to("cpu", dtype, copy=True))

    def hook_of(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(layer, SineLayer):
                keep(name, layer.pre_activation(inputs[0]))
            else:
                keep(name, output.real if output.is_complex() else output)

        return hook

    hooks = [
        layer.register_forward_hook(hook_of(name)) for name, layer in named_layers(network).items() if name != OUTPUT
    ]
    try:
        for x in coordinates.split(CHUNK):
            parts.setdefault(OUTPUT, []).append(network(x.to(device)).cpu())
    finally:
        for hook in hooks:
            hook.remove()
    order = [*(name for name in parts if name != OUTPUT), OUTPUT]
    return {name: torch.cat(parts[name]) for name in order}


def neuron_bands(network: nn.Module, in_dim: int, seed: int = 0) -> Dict[str, Float[Tensor, " h"]]:
    """The band of each neuron: the root mean square, over the domain and its axes, of the derivative of what its
    activation is applied to, in radians per unit of coordinate; of sines of the first layer, omega_0 |w|/sqrt(d).

    Args:
        network: a field of any family whose layers are torch's.
        in_dim: d, of its coordinates.
        seed: of the points.

    Returns:
        By layer, on the CPU; "output" is the field's values.
    """
    doubled = copy.deepcopy(network).cpu().double()  # Not all devices have double precision.
    at = torch.rand(POINTS, in_dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    here = pre_activations(doubled, at, dtype=torch.float64)
    squares = {name: torch.zeros(z.shape[1], dtype=torch.float64) for name, z in here.items()}
    for step in SPACING * torch.eye(in_dim, dtype=torch.float64):
        there = pre_activations(doubled, at + step, dtype=torch.float64)
        for name, z in here.items():
            squares[name] += ((there[name] - z) / SPACING).square().mean(0)
    return {name: (square / in_dim).sqrt().float() for name, square in squares.items()}

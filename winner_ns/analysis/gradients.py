"""How strongly the training loss pulls at each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

import torch
from torch import nn

from winner_ns.fields.layers import parameters_by_layer
from winner_ns.fitting.target import Target
from winner_ns.fitting.training import training_loss

MOST_SAMPLES = 8192
"""Samples of the batch."""


@dataclass(frozen=True)
class LossGradients:
    """The loss on a batch of training samples and its gradient."""

    loss: float
    norm: Dict[str, float]
    """Euclidean norm of the gradient by all parameters of a layer, by the layer's name (`parameters_by_layer`)."""


def measure_gradients(network: nn.Module, target: Target, batch_size: int = 0) -> LossGradients:
    """The loss that training uses, and its gradient, on the first batch of the run.

    Args:
        network: a field of any family.
        target: what it is fitted to.
        batch_size: of the run, 0 being all samples; at most MOST_SAMPLES count.
    """
    device = next(network.parameters()).device
    coordinates, values = target.batch(0, min(batch_size or MOST_SAMPLES, MOST_SAMPLES), 0, 1)
    layers = parameters_by_layer(network)
    was_training, frozen = network.training, [p for p in network.parameters() if not p.requires_grad]
    try:
        # As in training: FINER, for one, has another gradient there.
        network.train().requires_grad_(True)
        batch = coordinates.to(device), values.to(device)
        _, loss = training_loss(network, batch, target.describe().get("loss", ""))
        gradients = dict(zip(network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True))
    finally:
        network.train(was_training)
        for parameter in frozen:
            parameter.requires_grad_(False)
    norm = {
        name: float(sum(gradients[p].double().square().sum() for p in parameters)) ** 0.5
        for name, parameters in layers.items()
    }
    return LossGradients(loss.item(), norm)

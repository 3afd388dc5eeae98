"""What a kind puts on a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.fields.dense_layers import DenseLayer, dense_layers
from winner_ns.fields.files import LoadedField
from winner_ns.fields.quantised import quantised
from winner_ns.progress import Report, silent
from winner_ns.signals import Signal

WIDEST = 2048
"""Neurons of a layer, and values that it takes four at a time: WebGL 2 promises no larger textures."""


class PageOptions(NamedTuple):
    """What may be asked of a page."""

    bits: int = 16
    """Of the weights: 16 or 8."""
    original: bool = False
    """Whether the original is in the page, too."""
    resolution: Optional[int] = None
    """Of meshes: grid points along each axis; None: 192."""
    faces: Optional[int] = None
    """Of meshes: about so many triangles at most; None: 100,000."""
    report: Report = silent
    """Is told how far it is."""


@dataclass(frozen=True)
class Exhibit:
    """What a kind's page shows, and by what."""

    stage: str
    """The template of the page's middle."""
    scripts: Tuple[str, ...]
    """Programs of the page, in this order."""
    data: Dict[str, Any]
    """Plain JSON that they read."""
    shaders: Tuple[str, ...] = ()
    """Files of GLSL that they use."""
    evaluates: bool = True
    """Whether the page evaluates the fields' networks."""
    alt: str = ""
    """What is seen, in words."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """What keys do, by their names."""
    remarks: Sequence[str] = ()
    """What is to be said of it, each a sentence."""
    warnings: Sequence[str] = ()
    """What whoever writes the page should know, one line each."""


def base64_text(values: Union[bytes, np.ndarray]) -> str:
    """Numbers, little-endian, or bytes as text."""
    if isinstance(values, np.ndarray):
        values = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return base64.b64encode(values).decode("ascii")


def network_data(loaded: LoadedField, bits: int) -> Dict[str, Any]:
    """A field's network as a page's programs read it.

    Args:
        loaded: the field.
        bits: of the weights but the first layer's.

    Raises:
        SignalError: its family is no chain of layers, or a layer is wider than WebGL promises.
    """
    name = loaded.description.name
    layers = dense_layers(loaded.network, name)
    widest = max(max(layer.weight.shape) for layer in layers)
    if widest > WIDEST:
        raise SignalError(name, f"has a layer of {widest} neurons, and a page takes {WIDEST}", "fit a narrower field")
    return {"layers": [_layer(layer, None if number == 0 else bits) for number, layer in enumerate(layers)]}


def _layer(layer: DenseLayer, bits: Optional[int]) -> Dict[str, Any]:
    outputs, inputs = layer.weight.shape
    plain: Dict[str, Any] = {"inputs": inputs, "outputs": outputs, "activation": layer.activation}
    plain["bias"] = base64_text(layer.bias.numpy())
    if bits is None:
        return {**plain, "bits": 32, "weights": base64_text(layer.weight.contiguous().numpy())}
    numbers, scales = quantised(layer.weight, bits)
    # One for each row, also where short rows share one.
    rows = scales.expand(outputs).numpy()
    return {**plain, "bits": bits, "weights": base64_text(numbers.numpy()), "scales": base64_text(rows)}


def no_original(signal: Optional[Signal], plural: str) -> None:
    """Raises SignalError where an original is asked for that such a page does not take."""
    if signal is not None:
        raise SignalError("original", f"a page of {plural} has no room for it", "leave it out")


def fields_data(fields: Mapping[str, LoadedField], bits: int) -> List[Dict[str, Any]]:
    """`network_data` of several fields, with their names."""
    return [{"name": name, **network_data(loaded, bits)} for name, loaded in fields.items()]

"""Field files: one .safetensors file with all that is needed to evaluate a field.

The file's header carries a JSON description under the key "winner_ns" and, under "sha256", a digest of that and of the
weights (files of earlier versions have none); nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
import os
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, Union, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.families import build_field, outline
from winner_ns.fields.input_gradient import value_and_gradient
from winner_ns.fields.mean_squared_error import evaluate
from winner_ns.fields.quantised import check_bits, quantised_weights, restored_weights
from winner_ns.fields.units import MOST_SAMPLES
from winner_ns.shape_losses import shape_loss
from winner_ns.synced import replacing_synced

FORMAT_VERSION, QUANTISED_VERSION = 1, 2
"""Of files with weights as they are, and with whole numbers, which earlier versions of this package do not know."""
MOST_WEIGHTS = 2**48
"""Of any field: more than fits any memory."""


class LoadedField:
    """A fitted field with the way back to the original's units, usable without nerfstudio and the training data.

    Attributes:
        network: the torch module, coordinates in [-1, 1]^d to what it was trained on.
        description: its kind, name, network, scale, original and noise.
    """

    def __init__(self, network: nn.Module, description: Description) -> None:
        self.network = network
        self.description = description

    @property
    def kind(self) -> str:
        """image, audio, shape, volume, video, or another name of `KINDS`."""
        return self.description.kind

    @property
    def channels(self) -> int:
        """Number of values at each point; 1 for shapes."""
        return self.description.network.out_dim

    @property
    def signal(self) -> Dict[str, Any]:
        """What is known of the original: shape, channels, sample_rate, center, scale, …"""
        return self.description.signal

    @overload
    def __call__(self, coordinates: Tensor) -> Tensor: ...

    @overload
    def __call__(self, coordinates: Union[np.ndarray, Sequence[Any]]) -> np.ndarray: ...

    def __call__(self, coordinates: Union[Tensor, np.ndarray, Sequence[Any]]) -> Union[Tensor, np.ndarray]:
        """The field's values in the original's units.

        Args:
            coordinates: [*batch, d], a tensor, an array or lists of numbers. Shapes: points in the original frame and
                units. All others: in the order of the array's axes, the longest spatial axis spanning [-1, 1] from its
                first to its last sample.

        Returns:
            [*batch, c], of a tensor a tensor, else an array. Shapes: signed distance, negative inside, in original
            units, faithful near the surface and levelling off at about seven times `distance_scale` (times the shape's
            scale). All others: raw values as the file had them, not rounded or clipped.

        Raises:
            SignalError: these are no coordinates, or of another number of axes.
        """
        if not isinstance(coordinates, Tensor):
            return self(torch.from_numpy(self._numbers(coordinates))).numpy()
        axes = self.description.network.in_dim
        if coordinates.ndim == 0 or coordinates.shape[-1] != axes:
            raise self._no_coordinates(f"of shape {list(coordinates.shape)}")
        values = self.description.units.original_values(self, coordinates.reshape(-1, axes))
        return values.reshape(*coordinates.shape[:-1], values.shape[-1])

    def _numbers(self, coordinates: Any) -> np.ndarray:
        """Coordinates as an array that torch takes."""
        try:
            array = np.asarray(coordinates)
        except ValueError as error:
            raise self._no_coordinates(f"lists of unequal length ({error})") from error
        if array.dtype.kind not in "buif":
            raise self._no_coordinates(f"of {array.dtype}")
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
        return np.ascontiguousarray(array).reshape(array.shape)

    def _no_coordinates(self, problem: str) -> SignalError:
        axes = self.description.network.in_dim
        advice = f"give numbers of shape [..., {axes}], {axes} coordinate(s) of each point last"
        return SignalError(self.description.name, f"has no values at coordinates {problem}", advice)

    def evaluated(self, coordinates: Tensor) -> Tensor:
        """The network's own values; [n, d] to [n, c]."""
        return evaluate(self.network, coordinates)

    def normalised(self, coordinates: Tensor) -> Tensor:
        """Values on the scale where the original lies in [-1, 1]; [n, d] to [n, c]. Not for shapes."""
        target = self.description.target
        offset = torch.tensor(target["offset"], device=coordinates.device)
        return self.evaluated(coordinates) / target["gain"] + offset

    def unit_distance(self, coordinates: Tensor) -> Tensor:
        """Signed distance in units of the unit cube [-1, 1]^3; [n, 3] to [n, 1]. Only for shapes."""
        target = self.description.target
        if not shape_loss(target).squashed:
            return self.evaluated(coordinates)
        delta = target["distance_scale"]
        return delta * torch.atanh(self.evaluated(coordinates).clamp(-1 + 1e-6, 1 - 1e-6))

    def unit_normals(self, coordinates: Tensor) -> Tensor:
        """Unit vectors along which the distance grows fastest, at points of the unit cube: outward normals on the
        surface; [n, 3] to [n, 3]. Only for shapes."""
        # The squashed distance, which the network gives, has the same direction.
        return torch.nn.functional.normalize(value_and_gradient(self.network, coordinates)[1], dim=-1)

    def grid(self, shape: Union[int, Sequence[int], np.ndarray]) -> np.ndarray:
        """The field's values on a regular grid over the original's extent, float32 [*shape, c], in original units.

        Not for shapes. First and last samples lie where the original's lie.

        Args:
            shape: samples along each axis; of a single axis the number alone will do.

        Raises:
            SignalError: these are no such numbers, or the original was on no grid.
        """
        extents = self.signal.get("half_extent")
        if extents is None:
            problem = f"is {self.description.row.words}, and {self.description.row.plural} have no grid"
            raise SignalError(self.description.name, problem, "call the field at points")
        try:
            counts = [operator.index(count) for count in ([shape] if np.ndim(shape) == 0 else shape)]  # type: ignore
        except (TypeError, ValueError):
            counts = []
        if len(counts) != len(extents) or min(counts) < 1 or math.prod(counts) > MOST_SAMPLES:
            advice = f"give {len(extents)} whole number(s) above 0, samples along each axis"
            raise SignalError(self.description.name, f"has no grid of shape {shape}", advice)
        steps = (np.arange(n) * (2.0 / max(n - 1, 1)) - 1.0 for n in counts)
        return on_lattice(self, [e * line for e, line in zip(extents, steps, strict=True)])


def on_lattice(
    function: Callable[[Float[Tensor, "n d"]], Float[Tensor, "n c"]], lines: Sequence[Float[np.ndarray, " _"]]
) -> Float[np.ndarray, "*shape c"]:
    """Values (float32) of a function at all combinations of the coordinates along each axis, block by block."""
    shape = tuple(len(line) for line in lines)
    axes = [torch.from_numpy(np.asarray(line, dtype=np.float32)) for line in lines]
    size, block = int(np.prod(shape, dtype=np.int64)), 2**18
    result = np.empty((0, 1), dtype=np.float32)
    for start in range(0, size, block):
        index = np.unravel_index(np.arange(start, min(start + block, size)), shape)
        values = function(
            torch.stack([line[torch.from_numpy(i)] for line, i in zip(axes, index, strict=True)], dim=-1)
        ).numpy()
        if start == 0:
            result = np.empty((size, values.shape[-1]), dtype=np.float32)
        result[start : start + block] = values
    return result.reshape(*shape, -1)


def save_field(
    path: Union[str, os.PathLike], network: nn.Module, description: Description, bits: Optional[int] = None
) -> Path:
    """Writes one .safetensors file with the network's weights, the description and a digest of both; whole or not at
    all.

    Args:
        path: the file to write.
        network: a field of one of the families.
        description: the network's.
        bits: 16 or 8: matrices are rounded to whole numbers of so many, with a scale for each row, but for what
            coordinates are multiplied by (`quantised_weights`); None: all weights as they are.

    Raises:
        SignalError: other bits, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    if bits is None:
        version = FORMAT_VERSION
        tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    else:
        check_bits(bits)
        version, tensors = QUANTISED_VERSION, quantised_weights(network, bits)
    text = json.dumps({"format_version": version, **description.as_dict()})
    header = {"winner_ns": text, "sha256": _digest(text, tensors)}
    with replacing_synced(path, description.data) as temporary:
        try:
            save_file(tensors, temporary, metadata=header)
        except SafetensorError as error:
            raise OSError(f"{error}") from error
    return path


def _digest(description: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a description's text and of all tensors, with their names, types and shapes."""
    digest = hashlib.sha256(description.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_field_file(path: Union[str, os.PathLike]) -> Tuple[Dict[str, Any], Dict[str, Tensor]]:
    """The description and the weights in a field file, those of whole numbers in single precision.

    Raises:
        SignalError: missing, damaged, not a field file, or written by a newer version.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise SignalError(path, "no such file", "give a .safetensors file written by `winner-ns export field`")
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        description = json.loads(header["winner_ns"])
        version = description["format_version"]
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
        raise SignalError(
            path, "not a field file of winner_ns", "give a .safetensors file written by `winner-ns export field`"
        ) from error
    if header.get("sha256", digest := _digest(header["winner_ns"], tensors)) != digest:
        problem = "is damaged: its content is not what was written"
        raise SignalError(path, problem, "get a whole copy, or export the field again")
    if version not in (FORMAT_VERSION, QUANTISED_VERSION):
        raise SignalError(path, f"field file of version {version}, this is {QUANTISED_VERSION}", "update winner_ns")
    try:
        return description, restored_weights(tensors) if version == QUANTISED_VERSION else tensors
    except ValueError as error:
        raise SignalError(path, f"damaged field file ({error})", "export the field again") from error


def rebuild_field(description: Union[Description, Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> LoadedField:
    """A LoadedField from a description and weights; nothing in either is trusted.

    Raises:
        ValueError: they do not fit together, or the weights are not finite.
    """
    if not isinstance(description, Description):
        description = Description.from_dict(description)
    try:
        made_of = description.network
        check_sizes(made_of, tensors)
        network = build_field(made_of.family, made_of.in_dim, made_of.out_dim, made_of.settings)
        network.load_state_dict(dict(tensors))
    except (KeyError, TypeError, AttributeError, OverflowError, RuntimeError, MemoryError) as error:
        raise ValueError(f"the weights do not fit the description: {str(error) or type(error).__name__}") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise ValueError("the weights are not finite, the training diverged")
    return LoadedField(network.eval().requires_grad_(False), description)


def check_sizes(made_of: NetworkDescription, tensors: Mapping[str, Tensor]) -> None:
    """Looks whether a network's settings fit its weights, before they take any time or memory.

    Raises:
        ValueError: they do not.
    """
    misfit = "the network's settings do not fit the weights"
    # Counted by what is there: a tensor without elements may have any size in a file of a few bytes.
    elements, settings = sum(tensor.numel() for tensor in tensors.values()), made_of.settings
    # Each layer has a tensor of its own, and wire narrows its layers.
    most = {"depth": len(tensors)}
    if any((settings.get(name) or 0) > most.get(name, 2 * elements) for name in (*made_of.family_class.sizes, *most)):
        raise ValueError(misfit)
    if not all(tensor.is_floating_point() for tensor in tensors.values()):
        raise ValueError("the weights are no floating-point numbers")
    if max(made_of.in_dim, made_of.out_dim) > elements:
        raise ValueError(misfit)
    # Torch cannot even count so many.
    if made_of.family_class.most_weights(made_of.in_dim, made_of.out_dim, settings) > MOST_WEIGHTS:
        raise ValueError(misfit)
    shapes = outline(made_of.family, made_of.in_dim, made_of.out_dim, settings, elements).state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in shapes.items()}
    if expected != {name: tuple(tensor.shape) for name, tensor in tensors.items()}:
        raise ValueError(misfit)


def load_field(path: Union[str, os.PathLike]) -> LoadedField:
    """Loads a field file written by `winner-ns export field` into a callable; needs neither nerfstudio nor the data.

    >>> import os, tempfile, numpy, winner_ns
    >>> path = os.path.join(tempfile.mkdtemp(), "wave.safetensors")
    >>> wave = numpy.sin(numpy.arange(400) / 9)
    >>> field = winner_ns.fit((wave, 8000), steps=5, width=16, depth=2, progress=False)
    >>> winner_ns.load_field(field.save(path)).grid(800).shape
    (800, 1)

    Raises:
        SignalError: missing, damaged, not a field file, or of a newer version.
    """
    description, tensors = read_field_file(path)
    try:
        return rebuild_field(description, tensors)
    except ValueError as error:
        raise SignalError(path, f"damaged field file ({error})", "export the field again") from error

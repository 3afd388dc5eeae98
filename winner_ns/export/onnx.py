"""A field as an ONNX model, for programs that run those."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Dict

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.onnx import register_custom_op_symbolic  # pyright: ignore[reportPrivateImportUsage] (it is documented)

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField
from winner_ns.writing import check_output, replacing

OPSET = 17
"""Of ONNX, from 2022 on."""
POINTS = 4096
"""At which the written model is held against the field."""
MOST_ERROR = 1e-3
"""In parts of the largest value: fields of single precision differ by a hundredth of that."""
INSTALL = "install them: pip install 'winner_ns[onnx]'"


def export_onnx(loaded: LoadedField, output: Path) -> Dict[str, Any]:
    """Writes a model with one input, `coordinates` (float32 [n, d]), and one output, `values` (float32 [n, c]), both as
    the field's own when it is called: any number of points, the original's units.

    Args:
        loaded: a field of a family of real numbers.
        output: .onnx.

    Returns:
        path, kind, bytes, opset, and largest_error: the largest difference between what onnxruntime gives of the
        written model and the field itself, in parts of the largest value.

    Raises:
        SignalError: another suffix, a family that ONNX has no operators for, packages that are not installed, a model
            that does not give the field's values, or the file cannot be written.
    """
    check_output(output, (".onnx",), loaded.description.data)
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise SignalError(output, f"needs packages that are not here ({error})", INSTALL) from error
    model = onnx.load_from_string(_traced(loaded))
    model.metadata_props.add(key="kind", value=loaded.kind)
    model.metadata_props.add(key="name", value=loaded.description.name)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    points = _points(loaded)
    with torch.no_grad():
        expected = loaded(points)
    (given,) = session.run(None, {"coordinates": points})
    error = np.abs(given - expected).max() / max(float(np.abs(expected).max()), 1e-30)
    if not error <= MOST_ERROR:
        problem = f"onnxruntime's values of it differ by {error:.2g} of the largest"
        raise SignalError(loaded.description.name, problem, "fit a field of another family")
    with replacing(output, loaded.description.data) as temporary:
        temporary.write_bytes(content)
    facts = {"path": str(output), "kind": loaded.kind, "bytes": len(content), "opset": OPSET}
    return {**facts, "largest_error": float(f"{error:.2g}")}


class _Whole(LoadedField):
    """A field whose points are evaluated in one go, which tracing sees as it is."""

    def evaluated(self, coordinates: Tensor) -> Tensor:
        return self.network(coordinates)


class _InOriginalUnits(nn.Module):
    """What a field gives when it is called, as a module."""

    def __init__(self, loaded: LoadedField) -> None:
        super().__init__()
        self.network = loaded.network
        self._field = _Whole(loaded.network, loaded.description)

    def forward(self, coordinates: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self._field.description.units.original_values(self._field, coordinates).float()


def _traced(loaded: LoadedField) -> bytes:
    file, model = io.BytesIO(), _InOriginalUnits(loaded).eval()
    at = torch.from_numpy(_points(loaded)[:2]).to(next(loaded.network.parameters()).device)
    family = loaded.description.network.family
    refusal = SignalError(
        loaded.description.name, f"ONNX has no operators for its family {family}", "fit a field of another family"
    )
    # ONNX has the inverse hyperbolic tangent, of which this exporter knows nothing.
    register_custom_op_symbolic("aten::atanh", lambda graph, x: graph.op("Atanh", x), OPSET)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Of complex numbers, and of hashes of places, torch would print the whole graph before it gives up.
            traced: Any = torch.jit.trace(loaded.network, at, check_trace=False)
            graph = str(traced.inlined_graph)
            if "Complex" in graph or "aten::bitwise_xor" in graph:
                raise refusal
            torch.onnx.export(
                model,
                (at,),
                file,  # pyright: ignore[reportArgumentType] (it writes to what can be written to)
                # The other exporter needs packages that protobuf of nerfstudio's age does not go with.
                dynamo=False,
                input_names=["coordinates"],
                output_names=["values"],
                dynamic_axes={"coordinates": {0: "n"}, "values": {0: "n"}},
                opset_version=OPSET,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise refusal from error
    return file.getvalue()


def _points(loaded: LoadedField) -> Float[np.ndarray, "n d"]:
    """Random points of the original's extent, always the same."""
    signal, dimensions = loaded.signal, loaded.description.network.in_dim
    extent = np.array(signal.get("half_extent", [signal.get("scale", 1.0)] * dimensions))
    center = np.array(signal.get("center", [0.0] * dimensions))
    return (center + extent * np.random.default_rng(0).uniform(-1, 1, (POINTS, dimensions))).astype(np.float32)

"""A small field as a function of GLSL, to be pasted into a shader."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Dict, List, Sequence

import torch
from pygments.lexers.graphics import GLShaderLexer
from pygments.token import Token

from winner_ns.errors import SignalError
from winner_ns.fields.dense_layers import DenseLayer, dense_layers, glsl_float
from winner_ns.fields.files import LoadedField
from winner_ns.safe_text import is_word
from winner_ns.shape_losses import shape_loss
from winner_ns.writing import check_output, replacing

MOST_WEIGHTS = 10_000
"""Of a field: compilers of shaders take seconds for more."""
SUFFIXES = (".glsl", ".frag", ".txt")
_VECTORS = {1: "float", 2: "vec2", 3: "vec3", 4: "vec4"}


def export_glsl(loaded: LoadedField, output: Path, name: str = "field") -> Dict[str, Any]:
    """Writes a function of GLSL (ES 1.00 and later, desktop 1.20 and later), without textures or loops.

    It takes a point, a float or vector in the order of the array's axes (an image's first coordinate runs down its
    rows), with the longest axis of the original from -1 to 1, or a shape's point in the unit cube. It gives values of
    which 0 and 1 are the ends of the original's range, or a shape's signed distance in the unit cube, negative inside.

    Args:
        loaded: a field of at most MOST_WEIGHTS weights, whose family says its chain of layers.
        output: .glsl, .frag or .txt.
        name: of the function, and what names of its parts begin with.

    Returns:
        path, kind, function, weights and bytes.

    Raises:
        SignalError: a field that is too large, of more than four coordinates or values, or of another family; a name
            that is none of a function; or the file cannot be written.
    """
    check_output(output, SUFFIXES, loaded.description.data)
    if not is_word(name) or "-" in name or _is_taken(name):
        advice = "use letters, digits and single _ within, and no word that GLSL keeps for itself"
        raise SignalError("name", f"{name} is none of a function in GLSL", advice)
    text, weights = glsl_function(loaded, name)
    with replacing(output, loaded.description.data) as temporary:
        temporary.write_text(text, encoding="ascii")
    return {"path": str(output), "kind": loaded.kind, "function": name, "weights": weights, "bytes": len(text)}


def glsl_function(loaded: LoadedField, name: str = "field") -> "tuple[str, int]":
    """The text of `export_glsl`, and the number of weights in it."""
    source, made_of = loaded.description.name, loaded.description.network
    weights = sum(parameter.numel() for parameter in loaded.network.parameters())
    if weights > MOST_WEIGHTS:
        problem = f"has {weights:,} weights, and a function that compilers take has at most {MOST_WEIGHTS:,}"
        raise SignalError(source, problem, "fit a smaller field, such as --width 32 --depth 3, or export a web page")
    if made_of.in_dim not in _VECTORS or made_of.out_dim not in _VECTORS:
        problem = f"has {made_of.in_dim} coordinates and {made_of.out_dim} values, and GLSL's vectors have up to 4"
        raise SignalError(source, problem, "export it as an array")
    layers = dense_layers(loaded.network, source)
    activations = {
        text: f"{name}_act{number}" for number, text in enumerate(dict.fromkeys(e.activation for e in layers))
    }
    taken, given = _VECTORS[made_of.in_dim], _VECTORS[made_of.out_dim]
    sine = files("winner_ns.export.web").joinpath("sine.glsl").read_text(encoding="ascii")
    lines = [
        f"// A field of {made_of.family} that winner_ns has fitted: {taken} at, {_what(loaded)}",
        "// Wants `precision highp float;` where there are shorter ones.",
        sine.replace("sine(", f"{name}_sine(").strip(),
    ]
    for text, called in activations.items():
        body = text.replace("sine(", f"{name}_sine(")
        parts = ", ".join(f"{called}_of(z.{part}, i + {number})" for number, part in enumerate("xyzw"))
        lines += [
            f"float {called}_of(float z, int i) {{ return {body}; }}",
            f"vec4 {called}(vec4 z, int i) {{ return vec4({parts}); }}",
        ]
    lines += [f"{given} {name}({taken} at) {{", f"  vec4 x0 = {_padded('at', made_of.in_dim)};"]
    before = ["x0"]
    for number, layer in enumerate(layers):
        before = _layer(lines, layer, before, activations[layer.activation], f"l{number}_")
    result = before[0] if made_of.out_dim == 4 else f"{before[0]}.{'xyz'[: made_of.out_dim]}"
    lines += [f"  return {_in_range(loaded, result)};", "}", ""]
    return "\n".join(lines), weights


def _is_taken(name: str) -> bool:
    """Whether GLSL or WebGL keep a name, or names that begin with it and _, for themselves."""
    ((kind, _),) = [token for token in GLShaderLexer().get_tokens(name) if token[1].strip()]
    return "__" in f"{name}_" or name.startswith("webgl_") or name in ("main", "packed") or kind is not Token.Name


def _padded(value: str, size: int) -> str:
    return value if size == 4 else f"vec4({value}{', 0.0' * (4 - size)})"


def _layer(lines: List[str], layer: DenseLayer, before: Sequence[str], activation: str, prefix: str) -> List[str]:
    """Adds a layer's lines, of four neurons each; gives what these are called."""
    outputs, inputs = layer.weight.shape
    weight = torch.zeros(-(-outputs // 4) * 4, -(-inputs // 4) * 4)
    weight[:outputs, :inputs] = layer.weight
    bias = torch.zeros(len(weight))
    bias[:outputs] = layer.bias
    names = []
    for row in range(0, len(weight), 4):
        # GLSL's matrices are written column by column.
        terms = [
            f"mat4({_numbers(weight[row : row + 4, 4 * k : 4 * k + 4].t())}) * {vector}"
            for k, vector in enumerate(before)
        ]
        names.append(f"{prefix}{row // 4}")
        lines.append(
            f"  vec4 {names[-1]} = {activation}({' + '.join(terms)} + vec4({_numbers(bias[row : row + 4])}), {row});"
        )
    return names


def _numbers(values: torch.Tensor) -> str:
    return ", ".join(glsl_float(value) for value in values.flatten().tolist())


def _what(loaded: LoadedField) -> str:
    """What the function takes and gives, in a comment."""
    signal = loaded.signal
    if "half_extent" in signal:
        extents = ", ".join(f"{extent:.6g}" for extent in signal["half_extent"])
        return (
            f"of the original from -({extents})\n// to ({extents}) in the order of the array's axes; "
            "0 and 1 are the ends of the original's range."
        )
    center = ", ".join(f"{value:.9g}" for value in signal["center"])
    return (
        f"in the unit cube,\n// (p - ({center})) / {signal['scale']:.9g} of a point p of the original; "
        "the signed distance there, negative inside."
    )


def _in_range(loaded: LoadedField, result: str) -> str:
    """The network's values as the function gives them."""
    target = loaded.description.target
    if "half_extent" in loaded.signal:
        offsets = [0.5 * offset + 0.5 for offset in target["offset"]]
        shift = ", ".join(map(glsl_float, offsets))
        return f"{result} * {glsl_float(0.5 / target['gain'])} + {_VECTORS[len(offsets)]}({shift})"
    if not shape_loss(target).squashed:
        return result
    # atanh, which GLSL ES 1.00 lacks.
    half, inside = glsl_float(target["distance_scale"] / 2), f"clamp({result}, -{1 - 1e-6!r}, {1 - 1e-6!r})"
    return f"{half} * log((1.0 + {inside}) / (1.0 - {inside}))"

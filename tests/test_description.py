"""Descriptions: what goes into a file comes out again, and nothing that a stranger writes into one is trusted."""

from __future__ import annotations

import json
import math
import resource

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import winner_ns
from winner_ns.fields.description import Description
from winner_ns.fields.families import FAMILIES, build_field
from winner_ns.fields.files import load_field, rebuild_field

IMAGE = {
    "kind": "image",
    "name": "photo.png",
    "data": "/photos/photo.png",
    "network": {"family": "winner", "in_dim": 2, "out_dim": 3, "settings": {"width": 8, "depth": 2}},
    "target": {"gain": 1.0, "offset": [0.0, 0.0, 0.0]},
    "signal": {
        "shape": [24, 40],
        "channels": 3,
        "dtype": "uint8",
        "value_offset": 127.5,
        "value_scale": 127.5,
        "half_extent": [0.6, 1.0],
    },
    "spectrum": None,
    "holdout": "none",
    "order": {"seed": 42, "batch_size": 0},
}
SOUND = {
    **IMAGE,
    "kind": "audio",
    "network": {"family": "siren", "in_dim": 1, "out_dim": 1, "settings": {"width": 8, "depth": 2}},
    "target": {"gain": 1.0, "offset": [0.0]},
    "signal": {**IMAGE["signal"], "shape": [800], "channels": 1, "half_extent": [1.0], "sample_rate": 8000},
}


def changed(description: dict, path: str, value: object) -> dict:
    """A copy in which one entry, "signal.shape", is another."""
    copy = json.loads(json.dumps(description))
    *folders, name = path.split(".")
    inner = copy
    for folder in folders:
        inner = inner[folder]
    inner[name] = value
    return copy


def paths(description: dict, prefix: str = "") -> list:
    """All entries, as `changed` takes them."""
    found = []
    for name, value in description.items():
        found.append(prefix + name)
        if isinstance(value, dict):
            found += paths(value, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("plain", [IMAGE, SOUND])
def test_a_description_is_plain_json_and_back(plain):
    assert Description.from_dict(plain).as_dict() == plain
    further = {**plain, "departures": {"noise_layers": [2]}}
    assert Description.from_dict(json.loads(json.dumps(further))).as_dict() == further


@pytest.mark.parametrize(
    "plain, path, value",
    [
        (IMAGE, "kind", "photograph"),
        (IMAGE, "kind", "shape"),
        (IMAGE, "kind", None),
        (IMAGE, "name", "a\0b"),
        (IMAGE, "name", "one\nmore"),
        (IMAGE, "name", ["photo.png"]),
        (IMAGE, "network", None),
        (IMAGE, "network.in_dim", 3),
        (IMAGE, "network.in_dim", True),
        (IMAGE, "network.out_dim", -1),
        (IMAGE, "network.settings", {"width": math.nan}),
        (IMAGE, "target.gain", 0.0),
        (IMAGE, "target.gain", math.inf),
        (IMAGE, "target.offset", [0.0]),
        (IMAGE, "target.offset", [0.0, 0.0, "0"]),
        (IMAGE, "signal.shape", []),
        (IMAGE, "signal.shape", [24, 40.5]),
        (IMAGE, "signal.shape", [10**9, 10**9]),
        (IMAGE, "signal.shape", [24, -40]),
        (IMAGE, "signal.channels", 10**12),
        (IMAGE, "signal.dtype", "object"),
        (IMAGE, "signal.dtype", "no such type"),
        (IMAGE, "signal.value_scale", -1.0),
        (IMAGE, "signal.half_extent", [1.0, math.nan]),
        (IMAGE, "signal.value_offset", 10**400),
        (IMAGE, "order", {"seed": -1, "batch_size": 1}),
        (IMAGE, "order", {"seed": 1}),
        (IMAGE, "spectrum", {"psi": 1}),
        (IMAGE, "holdout", 7),
        (IMAGE, "further", [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]),
        (IMAGE, "further", "x" * 20_000),
        (IMAGE, "further", list(range(200_000))),
        (SOUND, "signal.sample_rate", 0),
        (SOUND, "signal.sample_rate", 1e15),
        (SOUND, "signal.sample_rate", "fast"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 and value.isprintable() else "",
)
def test_what_cannot_be_is_refused(plain, path, value):
    with pytest.raises(ValueError):
        Description.from_dict(changed(plain, path, value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150)
@given(path=st.sampled_from(paths(SOUND)), value=JSON)
def test_whatever_stands_in_a_description_is_taken_or_refused(path, value):
    weights = build_field("siren", 1, 1, {"width": 8, "depth": 2}).state_dict()
    try:
        field = rebuild_field(changed(SOUND, path, value), weights)
    except ValueError:
        return
    values = field.grid([5])
    assert values.shape == (5, 1)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_sizes_that_do_not_fit_the_weights_take_neither_time_nor_memory(family, tmp_path):
    """For every family, a file of some kilobytes that claims to be huge."""
    small = {"width": 8, "depth": 2}
    network = build_field(family, 2, 1, small if family != "hash-grid" else {**small, "log2_hashmap_size": 4})
    signal = {**IMAGE["signal"], "channels": 1}
    plain = {**IMAGE, "target": {"gain": 1.0, "offset": [0.0]}, "signal": signal}
    plain["network"] = {"family": family, "in_dim": 2, "out_dim": 1, "settings": dict(network.settings)}
    path, before = tmp_path / "field.safetensors", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, value in network.settings.items():
        if type(value) is not int or isinstance(value, bool):
            continue
        for huge in (2 * value, 1000, 10**6, 10**9, 2**62):
            lie = changed(plain, f"network.settings.{name}", huge)
            save_file(network.state_dict(), path, {"winner_ns": json.dumps({"format_version": 1, **lie})})
            try:
                load_field(path)
            except winner_ns.SignalError as error:
                assert "damaged field file" in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB


def test_weights_that_are_no_numbers_are_refused():
    weights = build_field("siren", 1, 1, {"width": 8, "depth": 2}).state_dict()
    for spoilt in (torch.full_like(weights["output.bias"], math.nan), weights["output.bias"].long()):
        with pytest.raises(ValueError):
            rebuild_field(SOUND, {**weights, "output.bias": spoilt})
    with pytest.raises(ValueError, match="do not fit"):
        rebuild_field(SOUND, {name: value for name, value in weights.items() if name != "output.bias"})

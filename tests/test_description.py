"""Descriptions: what goes into a file comes out again, and nothing that a stranger writes into one is trusted."""

from __future__ import annotations

import inspect
import json
import math
import resource
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import winner_ns
from winner_ns.fields.description import Description
from winner_ns.fields.families import FAMILIES, build_field, settings_of
from winner_ns.fields.field import Field, FieldTask
from winner_ns.fields.files import LoadedField, load_field, rebuild_field
from winner_ns.kinds import KINDS, Kind, register_kind

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
SHAPE = {
    **IMAGE,
    "kind": "shape",
    "name": "bunny.ply",
    "network": {"family": "siren", "in_dim": 3, "out_dim": 1, "settings": {"width": 8, "depth": 2}},
    "target": {"distance_scale": 0.02, "loss": "distance"},
    "signal": {"source": "mesh", "center": [100.0, -50.0, 20.0], "scale": 46.0, "watertight": True, "format": "PLY"},
}
VIDEO = {
    **IMAGE,
    "kind": "video",
    "network": {"family": "siren", "in_dim": 3, "out_dim": 3, "settings": {"width": 8, "depth": 2}},
    "signal": {**IMAGE["signal"], "shape": [9, 24, 40], "half_extent": [1.0, 0.6, 1.0], "frame_rate": 30000 / 1001},
}
READ = {"start": 1.5, "duration": None, "duration_samples": 800, "sample_rate": 8000, "mono": True}


NOISE = {
    **dict.fromkeys(("psi", "omega", "s0", "s1", "band", "plain_band"), 1.0),
    **{"kappa": None, "first_layer_divisor": None, "law": "matching", "bright": False},
}


def field_of(plain: dict) -> LoadedField:
    made_of = plain["network"]
    weights = build_field(made_of["family"], made_of["in_dim"], made_of["out_dim"], made_of["settings"]).state_dict()
    return rebuild_field(plain, weights)


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


@pytest.mark.parametrize("plain", [IMAGE, SOUND, SHAPE, VIDEO])
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
        (SOUND, "signal.sample_rate", 8000.5),
        (SOUND, "signal.sample_rate", 0.5),
        (SOUND, "signal.sample_rate", 10**9 + 1),
        (SOUND, "signal.shape", [1]),
        (SOUND, "signal.full_scale", 0),
        (SOUND, "signal.full_scale", "1"),
        (SOUND, "signal.full_scale", 1e31),
        (SOUND, "signal.start", "0"),
        (SOUND, "signal.subtype", 16),
        (SOUND, "signal.format", ["WAV"]),
        (IMAGE, "signal.mode", None),
        (SHAPE, "signal.format", 3),
        (SOUND, "signal.read_options", None),
        (SOUND, "signal.read_options", ["start"]),
        (SOUND, "signal.read_options", {"seed": 1}),
        (SOUND, "signal.read_options", {**READ, "start": None}),
        (SOUND, "signal.read_options", {**READ, "mono": 1}),
        (SOUND, "signal.read_options", {**READ, "sample_rate": 8000.0}),
        (SOUND, "signal.read_options", {**READ, "duration": True}),
        (IMAGE, "signal.dtype", None),
        (IMAGE, "signal.dtype", "f4,("),
        (IMAGE, "signal.value_scale", 1e31),
        (IMAGE, "signal.value_scale", 1e-31),
        (IMAGE, "signal.value_offset", -1e31),
        (IMAGE, "signal.half_extent", [1.1, 1.0]),
        (IMAGE, "signal.half_extent", [0.0, 1.0]),
        (SOUND, "signal.half_extent", [0.0]),
        (SHAPE, "signal.shape", ["x"]),
        (SHAPE, "signal.half_extent", "wide"),
        (SHAPE, "target.gain", 0),
        (IMAGE, "target.gain", 1e-300),
        (IMAGE, "target.offset", [0.0, 1e300, 0.0]),
        (SHAPE, "signal.center", [0.0, 0.0, 1e31]),
        (SHAPE, "signal.scale", 1e-31),
        (SHAPE, "target.distance_scale", 1e300),
        (VIDEO, "signal.frame_rate", 0.0),
        (VIDEO, "signal.frame_rate", 1e10),
        (IMAGE, "name", ""),
        (IMAGE, "name", "."),
        (IMAGE, "name", ".."),
        (IMAGE, "name", "/etc/passwd"),
        (IMAGE, "name", "../up.png"),
        (IMAGE, "name", "..\\up.png"),
        (IMAGE, "kind_package", 3),
        (IMAGE, "kind_package", "x" * 300),
        (IMAGE, "name", "x" * 256),
        (IMAGE, "data", "/" + "x" * 5000),
        (IMAGE, "holdout", "{alert(1)}"),
        (IMAGE, "target.between", "<b>"),
        (IMAGE, "target.denoiser", "x" * 65),
        (IMAGE, "network.settings", {"width": "[red]"}),
        (IMAGE, "network.family", "x" * 65),
        (IMAGE, "signal.mode", "x" * 256),
        (IMAGE, "spectrum", {**NOISE, "law": "{globalThis.X=1}"}),
        (IMAGE, "spectrum", {**NOISE, "law": ""}),
        (IMAGE, "spectrum", {**NOISE, "law": ["matching"]}),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 and value.isprintable() else "",
)
def test_what_cannot_be_is_refused(plain, path, value):
    with pytest.raises(ValueError):
        Description.from_dict(changed(plain, path, value))


@pytest.mark.parametrize(
    "plain, path, value",
    [
        (SOUND, "signal.read_options", READ),
        (SOUND, "signal.read_options", {**READ, "start": 2, "sample_rate": None}),
        (SOUND, "signal.full_scale", 2.0**63),
        (SOUND, "signal.start", 12.5),
        (SOUND, "signal.sample_rate", 10**9),
        (IMAGE, "signal.dtype", ">f4"),
        (VIDEO, "signal.frame_rate", 0.5),
        (IMAGE, "name", "..photo...png"),
        (IMAGE, "spectrum", {**NOISE, "law": "somebodys-own_law2"}),
        (IMAGE, "holdout", "1e-05"),
        (IMAGE, "name", "Bildschirmfoto 9.41\u202fAM \u3000写真 می\u200cروم 👩\u200d🔬.png"),
    ],
)
def test_what_is_rare_is_taken(plain, path, value):
    plain = changed(plain, path, value)
    assert Description.from_dict(plain).as_dict() == plain


@given(
    letter=st.characters(categories=["Cc", "Zl", "Zp"]) | st.sampled_from("\u200e\u200f\u202a\u202e\u2066\u2069\ufeff")
)
def test_text_that_would_steer_a_terminal_is_refused(letter):
    for plain in (changed(IMAGE, "name", f"a{letter}.png"), {**IMAGE, "note": letter}, {**IMAGE, letter: 1}):
        with pytest.raises(ValueError, match="control characters"):
            Description.from_dict(plain)


@pytest.mark.parametrize(
    "family, setting",
    [
        ("siren", "omega_0"),
        ("siren", "first_omega_0"),
        ("winner", "first_omega_0"),
        ("finer", "first_bias_scale"),
        ("wire", "scale"),
        ("gauss", "scale"),
        ("rff", "sigma"),
    ],
)
def test_settings_that_no_network_has_are_refused(family, setting):
    sizes = {"width": 8, "depth": 2}
    assert build_field(family, 2, 1, {**sizes, setting: 1e9}).settings[setting] == 1e9
    for value in (1.001e9, 1e300, math.inf, math.nan, -1e12):
        with pytest.raises(ValueError, match=setting):
            build_field(family, 2, 1, {**sizes, setting: value})


def test_a_kind_that_is_not_here_says_what_brings_it(monkeypatch):
    known = {**IMAGE, "kind": "relief"}
    with pytest.raises(ValueError, match="unknown kind 'relief'; there are image"):
        Description.from_dict(known)
    with pytest.raises(ValueError, match="its kind 'relief' comes with reliefs, which is not here; install that"):
        Description.from_dict({**known, "kind_package": "reliefs"})
    with pytest.raises(ValueError, match="'relief' was defined in a script or notebook; run that first"):
        Description.from_dict({**known, "kind_package": "__main__"})
    network = {**IMAGE["network"], "family": "dunes", "package": "__main__"}
    with pytest.raises(ValueError, match="its family 'dunes' was defined in a script or notebook; run that first"):
        _ = Description.from_dict({**IMAGE, "network": network}).network.family_class
    monkeypatch.setattr(KINDS, "_entries", dict(KINDS._entries))
    monkeypatch.setattr(KINDS, "_packages", dict(KINDS._packages))
    register_kind(Kind("relief", "a relief", "reliefs"))
    description = Description.from_dict({**known, "kind_package": "reliefs"})
    assert description.further == {}
    assert description.as_dict() == {**known, "kind_package": KINDS.package_of("relief")}


@pytest.mark.parametrize("plain", [IMAGE, SOUND, VIDEO])
def test_grids_take_whole_numbers_for_each_axis(plain):
    field = field_of(plain)
    axes = field.description.network.in_dim
    np.testing.assert_array_equal(field.grid([5] * axes), field.grid(np.full(axes, 5)))
    # Without the check of types that tests have and users have not.
    grid = partial(inspect.unwrap(LoadedField.grid), field)
    wrong = [[], [5] * (axes + 1), [0] * axes, [-1] * axes, [10**12] * axes, [5.0] * axes, "5" * axes, None]
    for shape in [*wrong, 5 if axes > 1 else 5.5]:
        with pytest.raises(winner_ns.SignalError, match=f"has no grid of shape .*give {axes} whole number") as caught:
            grid(shape)
        assert "\n" not in str(caught.value)
    if axes == 1:
        np.testing.assert_array_equal(field.grid(7), field.grid([7]))


def test_a_shape_has_no_grid():
    with pytest.raises(winner_ns.SignalError, match="bunny.ply: .* shapes have no grid; call the field at points"):
        field_of(SHAPE).grid([5, 5, 5])


@pytest.mark.parametrize("plain", [IMAGE, SOUND, SHAPE, VIDEO])
def test_fields_take_numbers_however_they_are_given(plain):
    field = field_of(plain)
    axes, channels = field.description.network.in_dim, field.channels
    points = np.random.default_rng(0).uniform(-1, 1, (4, 3, axes))
    values = field(points)
    assert values.shape == (4, 3, channels) and values.dtype == np.float32
    for same in (points.tolist(), tuple(points.tolist()), points.astype(">f8"), np.asfortranarray(points)):
        np.testing.assert_array_equal(field(same), values)
    np.testing.assert_array_equal(field(torch.from_numpy(points)).numpy(), values)
    # A single point is rounded otherwise than many.
    np.testing.assert_allclose(field(points[0, 0].tolist()), values[0, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(field([[1] * axes]), field(np.ones((1, axes))))
    for empty in (np.zeros((0, axes)), np.zeros((2, 0, axes)), torch.zeros(0, axes)):
        assert tuple(field(empty).shape) == (*empty.shape[:-1], channels)
    for wrong in (
        points[..., :1].repeat(axes + 1, -1),
        [0.5] * (axes + 1),
        [],
        [["a"] * axes],
        [[1.0] * axes, [2.0, 3.0, 4.0, 5.0]],
    ):
        with pytest.raises(winner_ns.SignalError, match=rf"give numbers of shape \[..., {axes}\]") as caught:
            field(wrong)
        assert "\n" not in str(caught.value)


class Hidden(Field):
    """A family whose sizes have other names, and may be given by position."""

    def __init__(self, in_dim, out_dim, hidden: int = 6, *, steep: float = 2.0, generator=None):
        super().__init__(in_dim, out_dim, {"hidden": hidden, "steep": float(steep)})
        self.first, self.last = torch.nn.Linear(in_dim, hidden), torch.nn.Linear(hidden, out_dim)

    def forward(self, coordinates):
        return self.last(torch.tanh(self.settings["steep"] * self.first(coordinates)))


class Sized(Hidden):
    """The same, which says that it is a size."""

    sizes = ("hidden",)


@pytest.mark.parametrize("family", [Hidden, Sized])
def test_a_family_may_call_its_sizes_as_it_likes(family, monkeypatch, tmp_path):
    monkeypatch.setattr(FAMILIES, "_entries", dict(FAMILIES._entries))
    monkeypatch.setattr(FAMILIES, "_packages", dict(FAMILIES._packages))
    winner_ns.register_family("hidden", family)
    assert settings_of("hidden") == ["hidden", "steep"]
    assert family.default_settings(FieldTask()) == {}
    picture = np.random.default_rng(0).random((12, 12)).astype(np.float32)
    fitted = winner_ns.fit(picture, family="hidden", steps=1, progress=False)
    assert fitted.description.network.settings == {"hidden": 6, "steep": 2.0}
    path = Path(tmp_path / "a.safetensors")
    fitted.save(path)
    np.testing.assert_array_equal(load_field(path).grid([12, 12]), fitted.grid([12, 12]))


def test_families_that_have_width_and_depth_get_the_kinds():
    for family in FAMILIES:
        sizes = FAMILIES[family].default_settings(FieldTask(width=17, depth=3))
        assert family == "hash-grid" or sizes == {"width": 17, "depth": 3}
        assert set(sizes) <= set(settings_of(family)) and "generator" not in settings_of(family)


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


@pytest.mark.parametrize(
    "family, settings",
    [
        ("siren", {"depth": 10**6, "width": 1}),
        ("wire", {"depth": 10**6, "width": 1}),
        ("siren", {"depth": 1, "width": 10**6}),
        ("rff", {"depth": 1, "width": 8, "features": 10**9}),
        ("hash-grid", {"depth": 10**6, "width": 1, "levels": 1, "log2_hashmap_size": 4}),
        ("hash-grid", {"levels": 10**6, "log2_hashmap_size": 24, "max_resolution": 10**6}),
        ("hash-grid", {"features_per_level": 10**9}),
        ("hash-grid", {"log2_hashmap_size": 30, "max_resolution": 10**6, "implementation": "torch"}),
        ("hash-grid", {"log2_hashmap_size": 63, "max_resolution": 10**9}),
    ],
)
@pytest.mark.parametrize("claimed", [torch.zeros(0, 10**12), torch.zeros(2**20)], ids=["nothing", "elements"])
def test_sizes_are_believed_by_what_a_file_holds(family, settings, claimed, tmp_path):
    """A tensor without elements may be said to have any size, and many elements are not as many layers."""
    plain = {**IMAGE, "network": {"family": family, "in_dim": 2, "out_dim": 3, "settings": settings}}
    path, before = tmp_path / "field.safetensors", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    weights = {"claimed": claimed, "other": torch.zeros(8, 8)}
    save_file(weights, path, {"winner_ns": json.dumps({"format_version": 1, **plain})})
    with pytest.raises(winner_ns.SignalError, match="damaged field file"):
        load_field(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB


def test_weights_that_are_no_numbers_are_refused():
    weights = build_field("siren", 1, 1, {"width": 8, "depth": 2}).state_dict()
    for spoilt in (torch.full_like(weights["output.bias"], math.nan), weights["output.bias"].long()):
        with pytest.raises(ValueError):
            rebuild_field(SOUND, {**weights, "output.bias": spoilt})
    with pytest.raises(ValueError, match="do not fit"):
        rebuild_field(SOUND, {name: value for name, value in weights.items() if name != "output.bias"})

"""The field families beside SIREN against their papers' formulas, and what all families, SIREN too, promise."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from winner_ns.fields.denormals import flushed_denormals
from winner_ns.fields.derivatives import derivatives
from winner_ns.fields.families import FAMILIES, family_class
from winner_ns.fields.finer import Finer
from winner_ns.fields.gauss import Gauss
from winner_ns.fields.hash_grid import HashGrid
from winner_ns.fields.relu_pe import ReluPE
from winner_ns.fields.rff import RandomFourierFeatures
from winner_ns.fields.siren import Siren
from winner_ns.fields.wire import Wire

SMALL_GRID = {"max_resolution": 32, "log2_hashmap_size": 10, "implementation": "torch"}
CLASSES = list(dict.fromkeys(map(family_class, FAMILIES)))
NETWORKS = [family for family in CLASSES if family is not HashGrid]
SMALL = [(family, SMALL_GRID if family is HashGrid else {"width": 32, "depth": 2}) for family in CLASSES]
every_network = pytest.mark.parametrize("family", NETWORKS, ids=lambda f: f.__name__)
every_family = pytest.mark.parametrize("family, settings", SMALL, ids=[f.__name__ for f, _ in SMALL])


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(count: int, dimensions: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, dimensions, generator=seeded(seed)) * 2 - 1


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def complex_array(pairs: torch.Tensor) -> np.ndarray:
    return array(pairs)[..., 0] + 1j * array(pairs)[..., 1]


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# What every family promises


@every_family
@pytest.mark.parametrize("in_dim", [1, 2, 3])
@pytest.mark.parametrize("out_dim", [1, 2, 3, 4])
def test_fresh_field_is_finite_and_shaped(family, settings, in_dim, out_dim):
    field = family(in_dim, out_dim, **settings, generator=seeded(0))
    # The corners of the domain are where signals have their first and last samples.
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * in_dim).reshape(-1, in_dim)
    for batch in (corners, points(6, in_dim).reshape(2, 3, in_dim), points(1, in_dim)[0]):
        values = field(batch)
        assert values.shape == (*batch.shape[:-1], out_dim)
        assert values.dtype == torch.float32
        assert torch.isfinite(values).all()
    assert (field.in_dim, field.out_dim) == (in_dim, out_dim)


@every_family
def test_generator_is_the_only_source_of_randomness(family, settings):
    before = torch.get_rng_state()
    field = family(2, 3, **settings, generator=seeded(5))
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    assert same(field, family(2, 3, **settings, generator=seeded(5)))
    other = family(2, 3, **settings, generator=seeded(6))
    assert all(not torch.equal(p, q) for p, q in zip(field.parameters(), other.parameters(), strict=True))


@every_family
def test_without_generator_the_global_seed_counts(family, settings):
    fields = []
    for _ in range(2):
        torch.manual_seed(3)
        fields.append(family(2, 1, **settings))
    assert same(*fields)
    assert not same(fields[0], family(2, 1, **settings))


ROUND_TRIPS = SMALL + [
    (
        Finer,
        {
            "width": 9,
            "depth": 1,
            "omega_0": 12.0,
            "first_omega_0": 45.5,
            "first_bias_scale": 2.0,
            "scale_gradient": True,
        },
    ),
    (Wire, {"width": 9, "depth": 3, "omega_0": 7.5, "first_omega_0": 3.0, "scale": 4.5}),
    (Gauss, {"width": 9, "depth": 1, "scale": 7.5}),
    (ReluPE, {"width": 9, "depth": 3, "frequencies": 4}),
    (RandomFourierFeatures, {"width": 9, "depth": 1, "features": 20, "sigma": 3.5}),
    (HashGrid, {**SMALL_GRID, "levels": 3, "base_resolution": 4, "features_per_level": 4, "width": 16, "depth": 1}),
]


@pytest.mark.parametrize("family, settings", ROUND_TRIPS)
def test_settings_and_weights_rebuild_the_field(family, settings, tmp_path):
    field = family(2, 3, **settings, generator=seeded(1))
    save_file(field.state_dict(), tmp_path / "weights.safetensors", {"settings": json.dumps(field.settings)})
    rebuilt = family(2, 3, **json.loads(json.dumps(field.settings)), generator=seeded(2))
    assert rebuilt.settings == field.settings
    rebuilt.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    x = points(50, 2)
    assert torch.equal(rebuilt(x), field(x))
    assert settings.items() <= field.settings.items()


@pytest.mark.slow
@every_family
def test_a_smooth_image_is_learned(family, settings):
    axis = torch.linspace(-1, 1, 32)
    x = torch.cartesian_prod(axis, axis)
    y = torch.sin(3 * x[:, :1] + 1) * torch.cos(4 * x[:, 1:])
    field = family(2, 1, **settings, generator=seeded(0))
    optimizer = torch.optim.Adam(field.parameters(), lr=family.learning_rate)
    for _ in range(200):
        optimizer.zero_grad()
        (field(x) - y).square().mean().backward()
        optimizer.step()
    assert (field(x) - y).square().mean() < y.square().mean() / 10


@every_network
@pytest.mark.parametrize("in_dim", [1, 3])
def test_first_and_second_derivatives_are_those_of_the_function(family, in_dim):
    small = {"width": 5, "depth": 2}
    small |= {"frequencies": 2} if family is ReluPE else {}
    small |= {"features": 6, "sigma": 0.5} if family is RandomFourierFeatures else {}
    # Moderate frequencies: finite differences are the judge.
    small |= {"omega_0": 3.0} if family in (Siren, Finer, Wire) else {}
    small |= {"scale": 2.0} if family in (Gauss, Wire) else {}
    field = family(in_dim, 2, **small, generator=seeded(0)).double().eval()
    x = points(4, in_dim).double().requires_grad_()
    assert torch.autograd.gradcheck(field, (x,))
    assert torch.autograd.gradgradcheck(field, (x,))


@every_network
@pytest.mark.parametrize("lengths", [(0.1, 0.3), (0.0, 0.2)])
def test_slopes_and_laplacian_are_those_of_torchs_hessian(family, lengths):
    field, places = family(2, 3, width=16, depth=3, generator=seeded(1)), points(20, 2)
    values, first, second = derivatives(field, places, lengths)
    assert not values.requires_grad and torch.allclose(values, field(places), atol=1e-5)
    axes = [axis for axis, length in enumerate(lengths) if length]
    assert first.shape == (len(axes), 20, 3)
    for place, slopes, laplacian in zip(places, first.transpose(0, 1), second, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: field(x[None])[0], place)
        assert torch.allclose(slopes.t(), jacobian[:, axes] * torch.tensor(lengths)[axes], rtol=1e-3, atol=1e-4)
        for channel in range(3):
            hessian = torch.autograd.functional.hessian(lambda x, c=channel: field(x[None])[0, c], place)
            expected = (hessian.diagonal() * torch.tensor(lengths) ** 2).sum()
            assert laplacian[channel].item() == pytest.approx(expected.item(), rel=1e-2, abs=1e-3)


@every_network
def test_losses_on_derivatives_reach_the_weights(family):
    field = family(3, 1, width=16, depth=2, generator=seeded(0))
    x = points(20, 3).requires_grad_()
    (normals,) = torch.autograd.grad(field(x).sum(), x, create_graph=True)
    (normals.norm(dim=-1) - 1).square().mean().backward()
    gradients = [p.grad for name, p in field.named_parameters() if name.endswith("weight")]
    assert all(g is not None and torch.isfinite(g).all() and g.abs().max() > 0 for g in gradients)


@pytest.mark.parametrize(
    "family, in_dim, settings",
    [
        (Finer, 0, {}),
        (Finer, 2, {"omega_0": 0.0}),
        (Finer, 2, {"first_bias_scale": -1.0}),
        (Wire, 2, {"width": 1}),
        (Wire, 2, {"scale": float("nan")}),
        (Gauss, 2, {"depth": 0}),
        (Gauss, 2, {"scale": 0.0}),
        (ReluPE, 2, {"frequencies": -1}),
        (RandomFourierFeatures, 2, {"features": 0}),
        (RandomFourierFeatures, 2, {"sigma": -1.0}),
        (HashGrid, 0, SMALL_GRID),
        (HashGrid, 2, {**SMALL_GRID, "levels": 0}),
    ],
)
def test_impossible_settings_are_refused(family, in_dim, settings):
    with pytest.raises(ValueError):
        family(in_dim, 1, **settings)


# FINER


@given(seed=st.integers(0, 2**31), omega_0=st.floats(1.0, 60.0), first_omega_0=st.floats(1.0, 60.0))
def test_finer_formula(seed, omega_0, first_omega_0):
    field = Finer(2, 1, width=1, depth=2, omega_0=omega_0, first_omega_0=first_omega_0, generator=seeded(seed)).double()
    x = points(5, 2, seed).double()
    h = array(x)
    for layer, omega in zip(field.layers, (first_omega_0, omega_0), strict=True):
        z = h @ array(layer.weight).T + array(layer.bias)
        h = np.sin(omega * (np.abs(z) + 1) * z)
    np.testing.assert_allclose(array(field(x)), h @ array(field.output.weight).T + array(field.output.bias), atol=1e-10)


def test_finer_trains_with_a_constant_factor_and_differentiates_it_otherwise():
    x = torch.tensor([[0.4]], dtype=torch.float64, requires_grad=True)

    def slope(field):
        return torch.autograd.grad(field(x).sum(), x)[0].item()

    field = Finer(1, 1, width=1, depth=1, generator=seeded(4)).double()
    (w,), (b,), (v,) = (array(p).ravel() for p in (field.layers[0].weight, field.layers[0].bias, field.output.weight))
    z = w * 0.4 + b
    outer = v * np.cos(30 * (abs(z) + 1) * z) * 30 * w
    assert slope(field) == pytest.approx(outer * (abs(z) + 1))
    assert slope(field.eval()) == pytest.approx(outer * (2 * abs(z) + 1))
    exact = Finer(1, 1, width=1, depth=1, scale_gradient=True, generator=seeded(4)).double()
    assert slope(exact) == pytest.approx(outer * (2 * abs(z) + 1))


@pytest.mark.parametrize("in_dim", [1, 2, 3])
def test_finer_starts_from_sirens_weights_and_the_asked_for_biases(in_dim):
    finer, siren = Finer(in_dim, 3, generator=seeded(7)), Siren(in_dim, 3, generator=seeded(7))
    assert same(finer, siren)
    first, hidden = finer.layers[0], finer.layers[2]
    assert 0.95 / in_dim < first.weight.abs().max() <= 1 / in_dim
    assert 0.99 < hidden.weight.abs().max() / (math.sqrt(6 / 256) / 30) <= 1 + 1e-6
    assert 0.95 < first.bias.abs().max() * math.sqrt(in_dim) <= 1 + 1e-6

    wide = Finer(in_dim, 3, first_bias_scale=5.0, generator=seeded(7))
    bias = wide.layers[0].bias
    assert 4.75 < bias.abs().max() <= 5 and bias.min() < -4 and bias.max() > 4
    assert torch.equal(wide.layers[0].weight, first.weight) and torch.equal(wide.layers[1].bias, finer.layers[1].bias)


# WIRE


@given(seed=st.integers(0, 2**31), omega_0=st.floats(1.0, 30.0), scale=st.floats(1.0, 30.0))
def test_wire_formula(seed, omega_0, scale):
    # A nominal width of 2 is one complex neuron.
    field = Wire(
        2, 3, width=2, depth=2, omega_0=omega_0, first_omega_0=5.0, scale=scale, generator=seeded(seed)
    ).double()
    x = points(5, 2, seed).double()
    z = array(x) @ array(field.first.weight).T + array(field.first.bias)
    h = np.exp(5j * z - np.abs(scale * z) ** 2)
    z = h @ complex_array(field.layers[0].weight).T + complex_array(field.layers[0].bias)
    h = np.exp(1j * omega_0 * z - np.abs(scale * z) ** 2)
    expected = (h @ complex_array(field.output.weight).T + complex_array(field.output.bias)).real
    np.testing.assert_allclose(array(field(x)), expected, rtol=1e-9, atol=1e-9)


def count(field: torch.nn.Module) -> int:
    return sum(p.numel() for p in field.parameters())


@pytest.mark.parametrize("in_dim, out_dim", [(1, 1), (2, 3), (3, 4)])
@pytest.mark.parametrize("width, depth", [(256, 4), (128, 3)])
def test_wire_has_about_as_many_parameters_as_siren(in_dim, out_dim, width, depth):
    wire, siren = (count(f(in_dim, out_dim, width=width, depth=depth)) for f in (Wire, Siren))
    assert wire == pytest.approx(siren, rel=0.02)


def test_wire_initialisation_is_uniform_in_both_parts():
    field = Wire(2, 3, generator=seeded(0))
    assert field.first.weight.shape == (181, 2) and field.layers[0].weight.shape == (181, 181, 2)
    assert 0.95 < field.first.weight.abs().max() * math.sqrt(2) <= 1 + 1e-6
    for layer in (*field.layers, field.output):
        for part in layer.weight.unbind(-1):
            assert 0.98 < part.abs().max() * math.sqrt(181) <= 1 + 1e-6
        assert layer.bias.abs().max() * math.sqrt(181) <= 1 + 1e-6
    real, imaginary = field.layers[0].weight.detach().flatten(0, 1).T
    # 181² pairs: three standard errors of a correlation of zero.
    assert abs(np.corrcoef(real, imaginary)[0, 1]) < 3 / 181


def test_wire_trains_under_mixed_precision():
    field = Wire(2, 1, width=16, depth=2, generator=seeded(0))
    optimizer, scaler = torch.optim.Adam(field.parameters(), lr=1e-3), torch.amp.GradScaler("cpu")
    before = [p.detach().clone() for p in field.parameters()]
    with torch.autocast("cpu", torch.bfloat16):
        values = field(points(30, 2))
    assert values.dtype == torch.float32
    scaler.scale(values.square().mean()).backward()
    scaler.step(optimizer)
    assert all(not torch.equal(p, q) for p, q in zip(field.parameters(), before, strict=True))


# Gauss


@given(seed=st.integers(0, 2**31), scale=st.floats(1.0, 50.0))
def test_gauss_formula(seed, scale):
    field = Gauss(3, 2, width=2, depth=2, scale=scale, generator=seeded(seed)).double()
    x = points(5, 3, seed).double()
    h = array(x)
    for layer in field.network.layers:
        h = np.exp(-((scale * (h @ array(layer.weight).T + array(layer.bias))) ** 2))
    output = field.network.output
    np.testing.assert_allclose(array(field(x)), h @ array(output.weight).T + array(output.bias), atol=1e-12)


@pytest.mark.parametrize("family", [Gauss, Wire], ids=lambda f: f.__name__)
def test_no_denormal_numbers_slow_the_cpu_down(family):
    # A product of the smallest normal number with anything below 1 is denormal, and the default scales put most
    # neurons far out in the tails.
    field = family(2, 1, generator=seeded(0))
    seen = []
    for module in field.modules():
        module.register_full_backward_hook(lambda m, grad_in, grad_out: seen.extend([*grad_in, *grad_out]))
    field(points(200, 2).requires_grad_()).square().mean().backward()
    seen = [torch.view_as_real(g) if g.is_complex() else g for g in seen if g is not None]
    smallest = torch.finfo(torch.float32).tiny
    assert len(seen) > 8
    assert sum(((g != 0) & (g.abs() < smallest)).sum().item() for g in seen) == 0


def test_flushing_ends_where_it_began():
    def denormals():
        return sys.float_info.min / 2 > 0

    with pytest.raises(KeyError), flushed_denormals():
        assert not denormals()
        with flushed_denormals():
            assert not denormals()
        assert not denormals()
        raise KeyError
    assert denormals()


@pytest.mark.slow
def test_numpy_knows_its_smallest_numbers_though_it_is_first_asked_in_between():
    """In a process of its own, as numpy keeps what it knows."""
    program = (
        "import warnings; warnings.simplefilter('error'); import numpy as np\n"
        "from winner_ns.fields.denormals import flushed_denormals\n"
        "with flushed_denormals(): known = [np.finfo(kind) for kind in (np.float32, np.float64)]\n"
        "assert all(each.smallest_subnormal > 0 for each in known)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# ReLU with positional encoding


@given(seed=st.integers(0, 2**31), frequencies=st.integers(0, 5))
def test_relu_pe_formula(seed, frequencies):
    field = ReluPE(2, 3, width=4, depth=2, frequencies=frequencies, generator=seeded(seed))
    x = points(5, 2, seed)
    phases = np.concatenate([[2**k * np.pi * column for k in range(frequencies)] for column in array(x).T]).T
    phases = phases.reshape(5, 2 * frequencies)
    h = np.concatenate([array(x), np.sin(phases), np.cos(phases)], axis=1)
    np.testing.assert_allclose(array(field.encode(x)), h, atol=1e-5)
    for layer in field.network.layers:
        h = np.maximum(h @ array(layer.weight).T + array(layer.bias), 0)
    output = field.network.output
    np.testing.assert_allclose(array(field(x)), h @ array(output.weight).T + array(output.bias), atol=1e-5)


def test_relu_pe_defaults_are_nerfs():
    field = ReluPE(3, 4)
    encoded = field.encode(torch.tensor([0.0, 1.0, 2.0**-9]))
    assert encoded.shape == (3 + 2 * 3 * 10,)
    sines, cosines = encoded[3:33], encoded[33:]
    # The highest octave is 2^9 pi: half a turn at 2^-9.
    assert cosines[-1].item() == pytest.approx(-1.0)
    assert sines[:10].tolist() == [0.0] * 10 and cosines[:10].tolist() == [1.0] * 10
    assert count(field) == (63 * 256 + 256) + 3 * (256 * 256 + 256) + (256 * 4 + 4)


# Random Fourier features


@given(seed=st.integers(0, 2**31), sigma=st.floats(0.1, 3.0))
def test_rff_formula(seed, sigma):
    field = RandomFourierFeatures(2, 3, width=4, depth=2, features=3, sigma=sigma, generator=seeded(seed)).double()
    x = points(5, 2, seed).double()
    phases = 2 * np.pi * (array(x) / 2 + 0.5) @ array(field.frequencies).T
    h = np.concatenate([np.cos(phases), np.sin(phases)], axis=1)
    for layer in field.network.layers:
        h = np.maximum(h @ array(layer.weight).T + array(layer.bias), 0)
    output = field.network.output
    np.testing.assert_allclose(array(field(x)), h @ array(output.weight).T + array(output.bias), atol=1e-10)


def test_rff_frequencies_are_gaussian_fixed_and_saved():
    field = RandomFourierFeatures(3, 1, features=4096, generator=seeded(0))
    # Standard errors of 3 * 4096 draws: sigma / sqrt(2 n) for the deviation, sigma / sqrt(n) for the mean.
    assert field.frequencies.std().item() == pytest.approx(10.0, abs=4 * 10 / math.sqrt(2 * 3 * 4096))
    assert field.frequencies.mean().item() == pytest.approx(0.0, abs=4 * 10 / math.sqrt(3 * 4096))
    assert "frequencies" in field.state_dict() and "frequencies" not in dict(field.named_parameters())
    assert count(RandomFourierFeatures(2, 3)) == (512 * 256 + 256) + 3 * (256 * 256 + 256) + (256 * 3 + 3)


@pytest.mark.parametrize("family, fan_in", [(Gauss, 2), (ReluPE, 42), (RandomFourierFeatures, 512)])
def test_linear_layers_have_torchs_default_initialisation(family, fan_in):
    network = family(2, 3, generator=seeded(0)).network
    for layer, features in zip((*network.layers, network.output), (fan_in, 256, 256, 256, 256), strict=True):
        for parameter in (layer.weight, layer.bias):
            assert parameter.abs().max() * math.sqrt(features) <= 1 + 1e-6
        assert layer.weight.abs().max() * math.sqrt(features) > 0.98


# Hash grid


@pytest.mark.parametrize("in_dim", [1, 2, 3])
def test_hash_grid_interpolates_linearly_between_its_vertices(in_dim):
    cells = 4
    field = HashGrid(
        in_dim, 1, levels=1, base_resolution=cells, max_resolution=cells, implementation="torch", generator=seeded(0)
    )
    seen = []
    field.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))

    def features(unit: np.ndarray) -> np.ndarray:
        field(torch.tensor(unit * 2 - 1, dtype=torch.float32))
        return array(seen.pop())

    cell = np.array([1, 2, 0])[:in_dim]
    fraction = np.array([0.25, 0.6, 0.9])[:in_dim]
    expected = 0.0
    for corner in np.ndindex(*[2] * in_dim):
        weight = np.prod(np.where(corner, fraction, 1 - fraction))
        expected = expected + weight * features(((cell + corner) / cells)[None])
    assert np.abs(expected).max() > 1e-6
    np.testing.assert_allclose(features(((cell + fraction) / cells)[None]), expected, rtol=1e-4, atol=1e-10)


def test_hash_grid_starts_small_and_keeps_no_more_entries_than_vertices():
    # 1000 cells have 1001 vertices: 2^10 entries; the 101³ vertices of a 3D grid exceed 2^14.
    for in_dim, cells, bits in ((1, 1000, 10), (3, 100, 14)):
        field = HashGrid(in_dim, 1, max_resolution=cells, log2_hashmap_size=14, implementation="torch")
        (table,) = [p for p in field.parameters() if p.shape[-1] == 2]
        assert table.shape == (16 * 2**bits, 2)
        assert 0.99e-4 < table.abs().max() <= 1e-4 + 1e-10


@pytest.mark.parametrize("in_dim, cells, share", [(1, 1024, 1.0), (2, 512, 0.75)])
def test_hash_grid_tells_the_samples_of_a_signal_apart(in_dim, cells, share):
    field = HashGrid(
        in_dim, 1, levels=1, base_resolution=cells, max_resolution=cells, implementation="torch", generator=seeded(0)
    )
    seen = []
    field.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    axis = torch.linspace(-1, 1, cells + 1)
    samples = torch.cartesian_prod(*[axis] * in_dim).reshape(-1, in_dim)
    # A power of two of cells: the samples lie on the vertices exactly, none is blended with its neighbours.
    with torch.no_grad():
        field(samples)
    assert len(torch.unique(seen[0], dim=0)) >= share * len(samples)


def test_hash_grid_of_a_signal_smaller_than_its_coarsest_grid():
    assert torch.isfinite(HashGrid(2, 1, max_resolution=5, implementation="torch")(points(9, 2))).all()


def test_hash_grid_refuses_four_coordinates_in_one_line():
    with pytest.raises(ValueError, match="1 to 3 coordinates, got 4") as caught:
        HashGrid(4, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_hash_grid_without_a_gpu_is_quiet_and_chooses_torch():
    script = """
import sys
from winner_ns.fields.hash_grid import HashGrid
assert "nerfstudio" not in sys.modules, "importing the family imports nerfstudio"
import torch
field = HashGrid(2, 3, max_resolution=16)
field(torch.zeros(4, 2))
assert field.implementation == "torch" and field.settings["implementation"] == "torch"
try:
    HashGrid(2, 3, implementation="tcnn")
except ValueError as error:
    assert "tinycudann" in str(error) and "\\n" not in str(error)
else:
    raise AssertionError("tiny-cuda-nn without a GPU was accepted")
"""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

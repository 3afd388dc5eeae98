"""The sine network, its WINNER initialisation and its training step."""

import math

import numpy as np
import pytest
import torch
from bands import band_by_definition
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.fields import Siren, evaluate, mean_squared_error, winner_init
from winner_ns.fields.finer import Finer, FinerLayer
from winner_ns.fields.mean_squared_error import autograd_gradient
from winner_ns.fields.sine_gradient import sine_gradient
from winner_ns.fields.sine_layer import SineLayer
from winner_ns.spectrum import SineNetwork, initial_band


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_output_is_the_formula_worked_out_by_hand():
    field = Siren(2, 1, width=3, depth=2, omega_0=20.0, first_omega_0=5.0, generator=seeded())
    x = np.array([0.3, -0.7])
    weights = [p.detach().double().numpy() for p in field.parameters()]
    h = np.sin(5.0 * (weights[0] @ x + weights[1]))
    h = np.sin(20.0 * (weights[2] @ h + weights[3]))
    expected = weights[4] @ h + weights[5]
    assert field(torch.tensor([0.3, -0.7])).item() == pytest.approx(expected.item(), abs=1e-5)


def test_initial_weights_have_the_published_ranges():
    field = Siren(3, 2, width=400, depth=3, omega_0=30.0, generator=seeded())
    first, hidden, output = field.layers[0].weight, field.layers[1].weight, field.output.weight
    for weight, bound in ((first, 1 / 3), (hidden, math.sqrt(6 / 400) / 30), (output, math.sqrt(6 / 400) / 30)):
        assert weight.abs().max() <= bound
        assert weight.abs().max() > 0.95 * bound
        # A uniform distribution's standard deviation, to five standard errors.
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=5 * 0.5 / math.sqrt(weight.numel()))
    assert field.layers[0].bias.abs().max() <= 1 / math.sqrt(3)
    assert field.layers[1].bias.abs().max() <= 1 / 20


def test_same_seed_same_field_and_no_touch_of_global_randomness():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a, b = (winner_init(Siren(2, 1, generator=g), 40.0, 0.1, g) for g in (seeded(1), seeded(1)))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters()))
    assert not torch.equal(a.layers[0].weight, Siren(2, 1, generator=seeded(2)).layers[0].weight)


def test_winner_noise_is_in_layers_one_and_two_alone_with_the_stated_deviation():
    plain = Siren(2, 3, width=512, depth=4, generator=seeded())
    noisy = winner_init(Siren(2, 3, width=512, depth=4, generator=seeded()), 45.0, 0.6, seeded(1))
    changed = [n for (n, p), q in zip(plain.named_parameters(), noisy.parameters()) if not torch.equal(p, q)]
    assert changed == ["layers.0.weight", "layers.1.weight"]
    for i, scale in ((0, 45.0), (1, 0.6)):
        noise = (noisy.layers[i].weight - plain.layers[i].weight).detach()
        error = 5 / math.sqrt(2 * noise.numel())
        assert noise.std().item() == pytest.approx(scale / 30.0, rel=error)
        assert abs(noise.mean().item()) < 5 * scale / 30.0 / math.sqrt(noise.numel())


def test_without_noise_it_is_plain_siren_bit_for_bit():
    plain, winner = Siren(2, 1, generator=seeded()), winner_init(Siren(2, 1, generator=seeded()), 0.0, 0.0, seeded(3))
    x = torch.rand(100, 2, generator=seeded(9))
    assert torch.equal(plain(x), winner(x))


def test_second_application_is_refused():
    field = winner_init(Siren(1, 1), 10.0, 0.1)
    with pytest.raises(RuntimeError, match="already"):
        winner_init(field, 10.0, 0.1)


@pytest.mark.parametrize("s1", [0.0, 0.125, 0.6])
def test_layer_two_pre_activation_has_the_predicted_deviation(s1):
    width, measured = 512, []
    for seed in range(4):
        generator = seeded(seed)
        field = winner_init(Siren(1, 1, width=width, depth=2, generator=generator), 2000.0, s1, generator)
        with torch.no_grad():
            # Without the bias: the formula is of the weights alone.
            field.layers[1].bias.zero_()
            x = torch.rand(4000, 1, generator=generator) * 2 - 1
            measured.append(field.layers[1].pre_activation(field.layers[0](x)).var().item())
    expected = math.sqrt(1 + width * s1**2 / 2)
    assert math.sqrt(np.mean(measured)) == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "width", "s0", "s1"),
    [
        (1, 256, 0.0, 0.0),
        (1, 256, 300.0, 0.3),
        (2, 256, 40.0, 0.125),
        (2, 128, 100.0, 0.1),
        (3, 128, 6.0, 0.05),
        (3, 256, 0.0, 0.0),
    ],
)
def test_initial_band_agrees_with_the_closed_form(d, width, s0, s1):
    """rms frequency per axis = rms derivative along an axis over the output's standard deviation."""

    def fresh(generator):
        return winner_init(Siren(d, 4, width=width, depth=4, generator=generator).double(), s0, s1, generator)

    band = band_by_definition(fresh, d, seeds=16)
    # The formula takes wide layers for granted; at these widths it is good to 7 %.
    assert band == pytest.approx(initial_band(SineNetwork(d, width, 4), s0, s1), rel=0.07)


@settings(max_examples=60, deadline=None)
@given(
    made_of=st.sampled_from([(Siren, {}), (Finer, {}), (Finer, {"scale_gradient": True})]),
    training=st.booleans(),
    omega_0=st.floats(0.5, 30.0),
    first_omega_0=st.floats(0.5, 30.0),
    d=st.integers(1, 3),
    channels=st.integers(1, 3),
    width=st.integers(2, 24),
    depth=st.integers(1, 4),
    points=st.integers(1, 70),
    chunk=st.integers(1, 80),
    seed=st.integers(0, 1000),
)
def test_written_out_gradient_equals_autograd(
    made_of, training, omega_0, first_omega_0, d, channels, width, depth, points, chunk, seed
):
    generator = seeded(seed)
    (family, further), omegas = made_of, {"omega_0": omega_0, "first_omega_0": first_omega_0}
    field = family(d, channels, width=width, depth=depth, **omegas, **further, generator=generator).double()
    field.train(training)  # In which FINER differentiates less than in evaluation.
    assert field.summed_gradient() is sine_gradient
    x = torch.rand(points, d, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.rand(points, channels, generator=generator, dtype=torch.float64)
    loss, gradients = sine_gradient(field, x, y, chunk)
    expected_loss, expected = autograd_gradient(field, x, y, points)
    assert torch.allclose(loss, expected_loss, rtol=1e-10)
    for gradient, reference, parameter in zip(gradients, expected, field.parameters()):
        assert gradient.shape == parameter.shape
        assert torch.allclose(gradient, reference, rtol=1e-8, atol=1e-12)


class Doubled(SineLayer):
    """A layer of somebody else's, who says nothing of its derivative."""

    def forward(self, x):
        return 2 * super().forward(x)


class Shifted(SineLayer):
    """Another one, whose pre-activation is not a sine layer's."""

    def pre_activation(self, x):
        return super().pre_activation(x) + 0.5


class Twice(Siren):
    """A field whose layers are sines, and its output is not theirs."""

    def forward(self, coordinates):
        return 2 * super().forward(coordinates)


@pytest.mark.parametrize("other", [Doubled, Shifted, Twice, FinerLayer], ids=lambda other: other.__name__)
def test_what_is_not_known_is_left_to_autograd(other):
    field = (Twice if other is Twice else Siren)(2, 1, width=8, depth=2, generator=seeded())
    if other is not Twice:
        field.layers[1] = other(8, 8, omega_0=5.0, bound=0.3, generator=seeded(1))
    field.double()
    # FINER's layers among SIREN's say what is theirs.
    assert field.summed_gradient() is (sine_gradient if other is FinerLayer else None)
    x, y = torch.rand(30, 2, dtype=torch.float64), torch.rand(30, 1, dtype=torch.float64)
    mean_squared_error(field, x, y, chunk=7).backward()
    expected = torch.autograd.grad((field(x) - y).square().mean(), list(field.parameters()))
    assert all(torch.allclose(p.grad, e, rtol=1e-8, atol=1e-12) for p, e in zip(field.parameters(), expected))


@pytest.mark.parametrize("family", [Siren, Finer])
def test_the_loss_is_the_same_bit_for_bit_and_differentiable_once(family):
    field = family(2, 3, width=40, depth=3, generator=seeded())
    x, y = torch.rand(700, 2, generator=seeded(1)) * 2 - 1, torch.rand(700, 3, generator=seeded(2))
    gradients = []
    for _ in range(2):
        field.zero_grad()
        loss = mean_squared_error(field, x, y)
        loss.backward()
        gradients.append([loss.detach(), *(parameter.grad for parameter in field.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))
    square = mean_squared_error(field, x, y).square()
    once = torch.autograd.grad(square, list(field.parameters()), create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        once[0].sum().backward()


def test_training_takes_the_same_path_as_the_plain_reference():
    """Ten Adam steps beside separate Linear and sine modules on the full batch."""
    from docs.measurements.step import reference_network

    generator = seeded()
    field = Siren(2, 1, width=64, depth=3, generator=generator)
    reference = reference_network(field)
    x, y = torch.rand(700, 2, generator=generator) * 2 - 1, torch.rand(700, 1, generator=generator)
    histories = []
    for network, loss_of in (
        (field, lambda: mean_squared_error(field, x, y, chunk=128)),
        (reference, lambda: (reference(x) - y).square().mean()),
    ):
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        history = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = loss_of()
            loss.backward()
            optimizer.step()
            history.append(loss.item())
        histories.append(history)
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)
    assert histories[0][-1] < histories[0][0]


def test_second_derivatives_are_those_of_the_sine():
    field = Siren(1, 1, width=1, depth=1, omega_0=4.0).double()
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(field(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    layer = field.layers[0]
    z = 4.0 * (x * layer.weight.item() + layer.bias.item())
    expected = -field.output.weight.item() * (4.0 * layer.weight.item()) ** 2 * torch.sin(z)
    assert torch.allclose(curvature, expected.detach())


def test_evaluate_is_the_field_in_pieces():
    field = Siren(2, 3, width=16)
    x = torch.rand(100, 2)
    assert torch.allclose(evaluate(field, x, chunk=7), field(x), atol=1e-6)
    assert evaluate(field, x[:0]).shape == (0, 3)
    assert field(x.reshape(4, 25, 2)).shape == (4, 25, 3)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}, {"omega_0": 0.0}, {"first_omega_0": -1.0}])
def test_impossible_networks_are_refused(wrong):
    with pytest.raises(ValueError):
        Siren(2, 1, **wrong)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_shares_of_threads_add_up_and_leave_torchs_threads_alone(threads):
    """Any number of threads, whatever is left over: the loss and gradient of the plain expression."""
    import threading

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        field = Siren(2, 1, width=16, depth=2, generator=seeded()).double()
        x = torch.rand(101, 2, generator=seeded(1), dtype=torch.float64)
        y = torch.rand(101, 1, generator=seeded(2), dtype=torch.float64)
        loss = mean_squared_error(field, x, y, chunk=10)
        loss.backward()
        plain = (field(x) - y).square().mean()
        expected = torch.autograd.grad(plain, list(field.parameters()))
        assert loss.item() == pytest.approx(plain.item(), rel=1e-10)
        assert all(torch.allclose(p.grad, e, rtol=1e-8) for p, e in zip(field.parameters(), expected))
        assert torch.get_num_threads() == threads
        seen = []
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert seen == [threads]
    finally:
        torch.set_num_threads(before)

"""Centroids against values derived by hand, laws against the papers' formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.fields import Siren
from winner_ns.signals import signal_of
from winner_ns.signals.scattered import scattered_interpolant
from winner_ns.spectrum import (
    LAWS,
    PURPOSES,
    ExplicitLaw,
    MatchingLaw,
    PaperLaw,
    ReferenceCodeLaw,
    SineNetwork,
    TargetSpectrum,
    centroid,
    fitting_kappa,
    initial_band,
    spectral_centroid,
)
from winner_ns.spectrum.measure import target_spectrum
from winner_ns.spectrum.noise import BOTTLENECK_RATIO, DISTANCE_SCALE, choose_noise, grid_spectrum, shape_spectrum


def column(*values):
    return np.array(values, dtype=np.float64)[:, None]


@pytest.mark.parametrize(
    ("samples", "psi"),
    [
        # Y = [1, 1, 1] at f = [0, 1/4, 1/2]: 2 (1/4 + 1/2)/3.
        (column(1, 0, 0, 0), 0.5),
        # Alternating: all energy at Nyquist.
        (column(1, -1, 1, -1), 1.0),
        # A sine of period 4: all at half of Nyquist.
        (column(0, 1, 0, -1), 0.5),
        # Constant: all at 0.
        (column(3, 3, 3, 3), 0.0),
        # Y = [4, 0, 2]: 2 (2 x 1/2)/6.
        (column(1.5, 0.5, 1.5, 0.5), 1 / 3),
        # Three samples: Y = [6, |1 + 2w + 3w²| = sqrt(3)] at f = [0, 1/3].
        (column(1, 2, 3), 2 * (math.sqrt(3) / 3) / (6 + math.sqrt(3))),
    ],
)
def test_centroids_by_hand(samples, psi):
    assert spectral_centroid(samples) == pytest.approx(psi, abs=1e-6)


def test_mean_removed_and_axes_and_channels():
    assert spectral_centroid(column(1.5, 0.5, 1.5, 0.5), remove_mean=True) == pytest.approx(1.0, abs=1e-6)
    # Rows alternate (psi 1 along them), columns have a period of four (1/2): the isotropic centroid is their mean.
    image = np.outer([0.0, 1.0, 0.0, -1.0], [1.0, -1.0, 1.0, -1.0])[..., None]
    assert spectral_centroid(image, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert spectral_centroid(image, axis=0) == pytest.approx(0.5, abs=1e-6)
    assert spectral_centroid(image) == pytest.approx(0.75, abs=1e-6)
    # Channels count like further lines.
    two = np.concatenate([column(1, -1, 1, -1), column(0, 1, 0, -1)], axis=1)
    assert spectral_centroid(two) == pytest.approx(0.75, abs=1e-6)
    # The first row of zeros has no spectrum and no say.
    assert spectral_centroid(np.vstack([np.zeros(4), [1, -1, 1, -1]])[..., None], axis=1) == pytest.approx(
        1.0, abs=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(2, 9), min_size=1, max_size=3),
    channels=st.integers(1, 3),
    scale=st.floats(0.01, 1000),
    seed=st.integers(0, 10**6),
)
def test_centroid_against_the_definition_and_its_symmetries(shape, channels, scale, seed):
    samples = np.random.default_rng(seed).normal(size=(*shape, channels))
    psi = spectral_centroid(samples)
    expected = []
    for axis, n in enumerate(shape):
        magnitude = np.abs(np.fft.rfft(samples, axis=axis))
        frequency = np.fft.rfftfreq(n).reshape([-1 if a == axis else 1 for a in range(samples.ndim)])
        expected.append((2 * (frequency * magnitude).sum(axis) / magnitude.sum(axis)).mean())
    assert psi == pytest.approx(np.mean(expected), abs=1e-5)
    assert 0 <= psi <= 1
    assert spectral_centroid(samples * scale) == pytest.approx(psi, abs=1e-5)
    assert spectral_centroid(samples[::-1]) == pytest.approx(psi, abs=1e-5)


def test_blocks_do_not_change_the_result(monkeypatch):
    samples = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    whole = spectral_centroid(samples)
    monkeypatch.setattr(centroid, "BLOCK_SAMPLES", 97)
    assert spectral_centroid(samples) == pytest.approx(whole, rel=1e-6)


def test_long_lines_are_cut_into_pieces_with_a_small_error(monkeypatch):
    generator = np.random.default_rng(1)
    noise = generator.normal(size=2**16)
    colored = np.convolve(noise, np.exp(-np.arange(30) / 6.0), mode="same")[:, None]
    whole = spectral_centroid(colored)
    monkeypatch.setattr(centroid, "LONGEST_TRANSFORM", 2**12)
    assert spectral_centroid(colored) == pytest.approx(whole, rel=0.01)


@pytest.mark.slow
def test_memory_stays_bounded_on_a_large_array(tmp_path):
    """An array of 1 GiB on disk: the process may hold a few blocks of it, not a converted copy (4 GiB)."""
    import resource

    large = np.lib.format.open_memmap(tmp_path / "large.npy", mode="w+", dtype=np.uint8, shape=(2**15, 2**15, 1))
    large[::2] = 255
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert spectral_centroid(large, axis=0) == pytest.approx(0.5, abs=0.01)
    # Half of the magnitude is in the DC bin, half at Nyquist. Pages of the file that were read count as well.
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert added < large.nbytes + 2**29


@pytest.mark.parametrize("reach", [0.01, 0.1, 1.0])
def test_omega_of_a_plane_is_the_closed_form(reach):
    """Distances that are uniform in ±reach, as around a plane: with f = tanh(d/delta) and a = reach/delta,
    E[(1 - f²)²] = (tanh a - tanh³ a/3)/a and Var f = E[f²] = 1 - tanh(a)/a."""
    a = reach / DISTANCE_SCALE
    spectrum = shape_spectrum(np.linspace(-reach, reach, 200_001))
    squared_slope = (math.tanh(a) - math.tanh(a) ** 3 / 3) / a / DISTANCE_SCALE**2
    assert spectrum.omega == pytest.approx(math.sqrt(squared_slope / (3 * (1 - math.tanh(a) / a))), rel=1e-3)
    assert spectrum.psi * spectrum.nyquist == pytest.approx(spectrum.omega)


def test_a_constant_distance_has_no_frequency():
    assert shape_spectrum(np.full(100, 0.3)).omega == 0.0


@pytest.mark.parametrize("step", [0.25, 0.1])
def test_gridding_of_scattered_samples_has_the_stated_error(step):
    """A shape-like function, tanh(distance/step), from 60,000 uniform samples (spacing 0.05): within 10 %."""

    def function(points):
        radius = np.linalg.norm(points, axis=1)
        return np.tanh((radius - 0.6 - 0.1 * np.sin(6 * points[:, 0])) / step)

    points = np.random.default_rng(0).uniform(-1, 1, (60_000, 3))
    line = np.linspace(-1, 1, 32)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)

    def centroid_of(values):
        return spectral_centroid(values.reshape(32, 32, 32, 1), remove_mean=True)

    exact = centroid_of(function(grid))
    gridded = centroid_of(scattered_interpolant(points, function(points))(grid))
    assert gridded == pytest.approx(exact, rel=0.10)


def test_scattered_interpolant_reproduces_quadratics():
    def quadratic(p):
        return 1 + p[:, 0] - 2 * p[:, 1] * p[:, 2] + 3 * p[:, 1] ** 2

    generator = np.random.default_rng(0)
    points, at = generator.uniform(-1, 1, (500, 3)), generator.uniform(-0.8, 0.8, (50, 3))
    assert scattered_interpolant(points, quadratic(points))(at) == pytest.approx(quadratic(at), abs=1e-5)


def test_too_few_samples():
    with pytest.raises(ValueError, match="at least 2"):
        spectral_centroid(np.zeros((1, 1)))


def spectrum(kind="audio", dimensions=1, channels=1, psi=0.5732, omega=1000.0, raster=None, **further):
    return TargetSpectrum(kind, dimensions, channels, psi, omega, raster, **further)


# Published code's scales for the paper's clips and images, from their psi (four digits).
@pytest.mark.parametrize(
    ("psi", "s0", "s1"), [(0.5732, 3436.7, 1.720), (0.6310, 3457.8, 1.893), (0.0737, 1410.6, 0.221)]
)
def test_reference_code_law_on_audio(psi, s0, s1):
    scales = ReferenceCodeLaw()(spectrum(psi=psi), SineNetwork(1))
    assert scales.s0 == pytest.approx(s0, rel=1e-3)
    assert scales.s1 == pytest.approx(s1, rel=1e-3)


def test_reference_code_law_on_images_divides_by_channels_twice_and_looks_at_the_raster():
    gray = ReferenceCodeLaw()(spectrum("image", 2, 1, psi=0.18, raster=0.3121), SineNetwork(2))
    assert (gray.s0, gray.s1) == (pytest.approx(39.50, abs=0.01), pytest.approx(0.1248, abs=1e-4))
    color = ReferenceCodeLaw()(spectrum("image", 2, 3, psi=0.24, raster=0.3290), SineNetwork(2))
    assert (color.s0, color.s1) == (pytest.approx(8.36, abs=0.01), pytest.approx(0.0146, abs=1e-4))
    assert ReferenceCodeLaw()(spectrum(), SineNetwork(1, omega_0=30.0, first_omega_0=3000.0)).first_layer_divisor == 30


@given(psi=st.floats(0, 1), channels=st.integers(1, 4))
def test_paper_law_is_the_papers_formula(psi, channels):
    audio = PaperLaw()(spectrum(psi=psi, channels=channels), SineNetwork(1))
    assert audio.s0 == pytest.approx(3500 * (1 - math.exp(-5 * psi / channels)))
    assert audio.s1 == pytest.approx(3 * psi / channels)
    image = PaperLaw()(spectrum("image", 2, channels, psi=psi), SineNetwork(2))
    assert image.s0 == pytest.approx(50 * (1 - math.exp(-5 * psi / channels)))
    assert image.s1 == pytest.approx(0.4 * psi / channels)


@settings(deadline=None)
@given(
    case=st.integers(1, 4),
    kappa=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    omega=st.floats(1.0, 3e5),
    width=st.integers(16, 512),
    depth=st.integers(2, 6),
)
def test_matching_makes_the_band_kappa_omega(case, kappa, omega, width, depth):
    dimensions = min(case, 3)
    network = SineNetwork(dimensions, width, depth)
    kind = {1: "audio", 2: "image", 3: "volume", 4: "shape"}[case]
    scales = MatchingLaw(kappa)(spectrum(kind, dimensions, omega=omega), network)
    band, plain = initial_band(network, scales.s0, scales.s1), initial_band(network)
    if scales.s0 == 0 and scales.s1 == 0:
        assert plain >= kappa * omega
    else:
        assert band == pytest.approx(kappa * omega, rel=1e-6)


def test_every_law_has_a_name_and_a_source():
    rivals = {"fresh", "gradient-control", "vi3nr", "weight-scaling"}
    assert set(LAWS) == {"matching", "paper", "reference-code", "explicit", *rivals}
    assert all(law.source for law in LAWS.values())
    assert PURPOSES == ("interpolate", "fit", "denoise")


def test_fitting_kappa_is_that_of_the_formula():
    """At N = P alpha is 0.1; at N = P/20 it is 1: the band is Nyquist's; at N = P e^(-1/3) it is 0.2."""
    few = spectrum(psi=0.2, omega=100.0, nyquist=1600.0)
    for samples, alpha in ((50_000, 0.1), (2_500, 0.1 + 0.3 * math.log(20)), (35_827, 0.2), (10**7, 0.0), (100, 1.0)):
        kappa = fitting_kappa(replace(few, samples=samples), weights=50_000)
        assert kappa == pytest.approx(16.0 ** min(alpha, 1.0), rel=1e-4)
    # A pixel of three channels is three values.
    assert fitting_kappa(replace(few, samples=5_000, channels=3), 50_000) == pytest.approx(
        fitting_kappa(replace(few, samples=15_000), 50_000)
    )
    assert fitting_kappa(few, 50_000) == fitting_kappa(replace(few, nyquist=math.inf, samples=10), 50_000) == 1.0


@given(d=st.integers(1, 3), c=st.integers(1, 4), width=st.integers(1, 40), depth=st.integers(1, 5))
def test_weights_are_counted_as_torch_counts_them(d, c, width, depth):
    field = Siren(d, c, width=width, depth=depth)
    assert SineNetwork(d, width, depth).weights(c) == sum(each.numel() for each in field.parameters())


def test_a_sounds_frequencies_are_told_in_hertz():
    """2 seconds at 8000 Hz, 440 Hz: Omega = 2 pi 440 rad/s, a unit of coordinate being nearly a second."""
    tone = signal_of((np.sin(2 * np.pi * 440 * np.arange(16000) / 8000).astype(np.float32), 8000))
    report = choose_noise(target_spectrum(tone), SineNetwork(1))
    assert report.omega * report.hertz == pytest.approx(440, rel=0.02)
    assert f"Omega {report.omega * report.hertz:.4g} Hz" in report.lines()[0] and report.lines()[2].count(" Hz") == 2
    image = choose_noise(spectrum("image", 2, omega=1e-3), SineNetwork(2))
    assert "rad/unit" in image.lines()[0] and "no noise needed: this is a plain SIREN" in image.lines()[1]


def test_choosing_noise():
    target, network = spectrum(omega=5000.0), SineNetwork(1)
    # Left out, it is the kind's: fit for sounds, else 0.5.
    assert choose_noise(target, network).band == pytest.approx(5000)
    assert choose_noise(spectrum("image", 2, omega=500.0), SineNetwork(2)).band == pytest.approx(250)
    assert choose_noise(target, network, purpose="fit").band == pytest.approx(5000)
    assert choose_noise(target, network, purpose="0.75").kappa == 0.75
    explicit = choose_noise(target, network, "explicit", s0=7.0, s1=0.5)
    assert (explicit.s0, explicit.s1, explicit.kappa) == (7.0, 0.5, None)
    assert choose_noise(spectrum(omega=1.01 * BOTTLENECK_RATIO * explicit.plain_band), network).bottleneck
    assert not choose_noise(spectrum(omega=0.99 * BOTTLENECK_RATIO * explicit.plain_band), network).bottleneck


@pytest.mark.parametrize(
    ("law", "flags", "kind", "says"),
    [
        ("paper", {}, "shape", "no noise scales for shape"),
        ("paper", {"purpose": "fit"}, "audio", "takes no purpose; matching or vi3nr or weight-scaling does"),
        ("matching", {"s0": 1.0}, "audio", "takes no s0; explicit does"),
        ("matching", {"purpose": "beautify"}, "audio", "interpolate, fit"),
        ("matching", {"purpose": "-1"}, "audio", "from 0 to"),
        ("explicit", {"s0": -1.0}, "audio", "from 0 to"),
        ("nonsense", {}, "audio", "unknown law"),
    ],
)
def test_flags_that_make_no_sense(law, flags, kind, says):
    with pytest.raises(ValueError, match=says):
        choose_noise(spectrum(kind), SineNetwork(1), law, **flags)


def test_grid_spectrum_weighs_axes_by_their_own_nyquist():
    image = np.outer([0.0, 1.0, 0.0, -1.0], [1.0, -1.0, 1.0, -1.0])[..., None]
    measured = grid_spectrum("image", image, nyquist=(100.0, 10.0))
    assert measured.psi == pytest.approx(0.75, abs=1e-6)
    assert measured.omega == pytest.approx((0.5 * 100 + 1.0 * 10) / 2, rel=1e-6)
    assert ExplicitLaw(1.0, 0.0)(measured, SineNetwork(2)).s0 == 1.0


def test_centroid_of_eight_bit_samples_is_that_of_the_values_in_minus_one_to_one():
    raw = np.array([0, 255, 0, 255], dtype=np.uint8)[:, None]
    # As values [-1, 1, -1, 1]: all at Nyquist. As raw numbers half of it would be in the DC bin.
    assert spectral_centroid(raw, offset=127.5) == pytest.approx(1.0, abs=1e-6)
    assert grid_spectrum("audio", raw, (100.0,), value_offset=127.5).psi == pytest.approx(1.0, abs=1e-6)


def test_interpolation_by_name_gives_up_noise_where_the_spectrum_is_too_bright():
    network = SineNetwork(1)
    dark, bright = spectrum(psi=0.2, omega=9000.0), spectrum(psi=0.6, omega=30000.0)
    assert choose_noise(dark, network, purpose="interpolate").kappa == 0.5
    by_name = choose_noise(bright, network, purpose="interpolate")
    assert (by_name.s0, by_name.s1, by_name.bright) == (0.0, 0.0, True)
    # Left out, or as a number, it stays what makes the field fit.
    assert choose_noise(bright, network).kappa == 1.0 and choose_noise(bright, network, purpose=0.5).kappa == 0.5
    assert choose_noise(bright, network, purpose="fit").s0 > 0

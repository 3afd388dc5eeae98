"""Pictures of analytic sounds, against what a sound editor would show of them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import nn

from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField
from winner_ns.signals import GridSignal
from winner_ns.viewing.audio_view import AudioView
from winner_ns.viewing.axes import HALF_HEIGHT, HALF_VIEW, Axes, format_time, nice_step
from winner_ns.viewing.drawing import Beside, Look
from winner_ns.viewing.kept import MOST, Kept
from winner_ns.viewing.plane import plane_points
from winner_ns.viewing.signal_view import AS_OPENED, ViewSettings
from winner_ns.viewing.sound_drawing import HALF_SHEET
from winner_ns.viewing.spectrogram import Frames, choose_frames, short_time_spectra
from winner_ns.viewing.view import View, framing_distance
from winner_ns.viewing.waveform import SamplePeaks

RATE = 8000
SAMPLES = 4001


def look(eye=(0.0, 0.0, 1.5), target=None, roll=0.0, focal=1.2, height=150, width=150):
    """What a camera at `eye` sees that looks at `target`, straight at the plane if there is none."""
    eye = torch.tensor(eye)
    target = torch.tensor([float(eye[0]), float(eye[1]), 0.0]) if target is None else torch.tensor(target)
    back = torch.nn.functional.normalize(eye - target, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back), dim=0)
    up = torch.linalg.cross(back, right)
    right, up = math.cos(roll) * right + math.sin(roll) * up, math.cos(roll) * up - math.sin(roll) * right
    camera = Cameras(
        camera_to_worlds=torch.stack([right, up, back, eye], dim=1)[None],
        fx=focal * height,
        fy=focal * height,
        cx=width / 2,
        cy=height / 2,
        width=width,
        height=height,
        camera_type=CameraType.PERSPECTIVE,
    )
    return View.of_camera(camera, torch.device("cpu"))


class Analytic(nn.Module):
    """A function of time in [-1, 1] in place of a network, and how often it was asked."""

    def __init__(self, function):
        super().__init__()
        self.function, self.asked = function, []
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, times):
        self.asked.append(times)
        return self.function(times)


def field_of(function, samples=SAMPLES, rate=RATE):
    channels = function(torch.zeros(1, 1)).shape[1]
    signal = {"shape": [samples], "channels": channels, "sample_rate": rate, "value_scale": 1.0, "value_offset": 0.0}
    network = NetworkDescription("siren", 1, channels, {})
    description = Description("audio", "s.wav", "", network, {"gain": 1.0, "offset": [0.0] * channels}, signal)
    return LoadedField(Analytic(function), description)


def signal_of(samples, rate=RATE):
    """A sound with these samples, [n] or [n, channels]; integers count as 16 bits."""
    samples = np.asarray(samples)
    samples = samples.reshape(len(samples), -1)
    scale = 32768.0 if samples.dtype.kind == "i" else 1.0
    return GridSignal("audio", Path("sound.wav"), samples, 0.0, scale, (1.0,), {"sample_rate": rate})


def sampled(function, samples=SAMPLES):
    return function(torch.linspace(-1, 1, samples, dtype=torch.float64)[:, None]).numpy()


def silence(times):
    return 0 * times


def places(view):
    """x and y [height, width] of where a view's rays meet the plane."""
    points, _, _ = plane_points(view.origins, view.directions)
    return points.reshape(view.height, view.width, 2).unbind(-1)


def blue(picture):
    """Darkness of a field's curve; all else is gray."""
    return (picture[..., 2] - picture[..., 0]) / 0.53


def red(picture):
    """Darkness of an error's curve; all else is gray."""
    return (picture[..., 0] - picture[..., 2]) / 0.65


def black(picture):
    """Darkness of the original's curve; lines and frame are brighter, and count for nothing."""
    return ((0.5 - picture.mean(-1)) / 0.3).clamp(min=0.0)


def ink(function, **camera):
    """Darkness of a field's curve, and x and y of the pixels, [height, width] each."""
    view = look(**camera)
    picture = AudioView({"a": field_of(function)}).pictures(view)["field"]
    return (blue(picture), *places(view))


def pixel_of(y):
    return float(y[0, 0] - y[1, 0])


def middle_height(dark, y):
    """Of each column, the height around which its ink lies."""
    return (dark * y).sum(0) / dark.sum(0)


# A field's waveform


@given(value=st.floats(-0.8, 0.8))
@settings(max_examples=20, deadline=None)
def test_constant_sound_is_a_thin_line_at_its_height(value):
    dark, _, y = ink(lambda t: torch.full_like(t, value))
    pixel = pixel_of(y)
    assert (dark[(y - value / 2).abs() > 1.5 * pixel] < 0.01).all()
    assert ((dark.sum(0) > 0.8) & (dark.sum(0) < 2.2)).all()
    assert (middle_height(dark, y) - value / 2).abs().max() < 0.5 * pixel


@given(slope=st.floats(0.05, 20.0))
@settings(max_examples=20, deadline=None)
def test_curve_is_one_to_two_pixels_thick_whatever_its_slope(slope):
    dark, x, y = ink(lambda t: slope * t)
    pixel = pixel_of(y)
    across = (slope * x / 2 - y).abs() / math.hypot(1.0, slope / 2)
    well_inside = (y.abs() < 0.35) & (x.abs() < 0.35)
    assert (dark[well_inside & (across < 0.2 * pixel)] > 0.55).all()
    assert (dark[well_inside & (across > 2 * pixel)] < 0.01).all()
    length = 0.7 * math.hypot(1.0, 2 / slope) if slope > 2 else 0.7 * math.hypot(1.0, slope / 2)
    assert 0.9 < dark[well_inside].sum() * pixel / length < 2.1


def test_slow_wave_is_drawn_as_its_curve():
    def wave(t):
        return 0.8 * torch.sin(7 * t)

    dark, x, y = ink(wave)
    assert (middle_height(dark, y) - wave(x[0]) / 2).abs().max() < pixel_of(y)


@pytest.mark.parametrize("period_in_pixels", [1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 100, 0.37, 0.0123])
@pytest.mark.parametrize("stretch", [1.0, 2.0**0.25, 1.1])
def test_fast_wave_fills_its_height_whatever_its_frequency(period_in_pixels, stretch):
    """Also where the frequency is a multiple of the pixels', or of the times' at which the sound is asked for."""
    period = period_in_pixels * stretch * 1.5 / 150 / 1.2
    dark, _, y = ink(lambda t: 0.8 * torch.sin(2 * math.pi * (t.double() / period)).float())
    inked = dark > 0.5
    share = (inked & (y.abs() < 0.4)).sum(0) / (y[:, 0].abs() < 0.4).sum()
    assert share.mean() > 0.85
    assert not inked[y.abs() > 0.4 + 1.5 * pixel_of(y)].any()


@pytest.mark.parametrize("eye", [(0.0, 0.0, 1.8), (0.9, 0.2, 1.6), (-0.6, -1.0, 1.4), (-1.0, -0.9, 1.4)])
@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_steep_curve_stays_connected(eye, roll):
    from scipy.ndimage import label

    view = {"eye": eye, "target": (0.0, 0.0, 0.0), "roll": roll, "focal": 0.5}
    dark, _, _ = ink(lambda t: 0.8 * torch.tanh(300 * torch.sin(20 * t)), **view)
    assert not torch.cat([dark[0], dark[-1], dark[:, 0], dark[:, -1]]).any()  # All of it is in the picture.
    _, pieces = label((dark > 0.25).numpy(), structure=np.ones((3, 3)))
    assert pieces == 1


def test_channels_lie_below_each_other():
    dark, _, y = ink(lambda t: torch.cat([torch.full_like(t, 0.5), torch.full_like(t, -0.5)], dim=1))
    upper, lower = dark * (y > 0), dark * (y < 0)
    assert (middle_height(upper, y) - (0.25 + 0.125)).abs().max() < pixel_of(y)
    assert (middle_height(lower, y) - (-0.25 - 0.125)).abs().max() < pixel_of(y)


@pytest.mark.parametrize("roll", [0.0, 0.4, math.pi / 2])
def test_network_is_asked_once_per_column_and_only_during_the_sound(roll):
    field = field_of(lambda t: torch.sin(50 * t))
    AudioView({"a": field}).pictures(look(eye=(0.0, 0.0, 2.0), roll=roll))["field"]
    times = torch.cat(field.network.asked)
    assert times.abs().max() <= 1
    assert len(times) < 50 * 150  # For 150 x 150 rays.


def test_rolled_camera_turns_the_waveform():
    upright, rolled = (ink(lambda t: torch.sin(30 * t), eye=(0.0, 0.0, 1.6), roll=r)[0] for r in (0.0, math.pi / 2))
    assert (rolled - torch.rot90(upright, -1)).abs().mean() < 0.005


@pytest.mark.parametrize("output", ["field", "original", "error", "spectrogram", "spectrogram_original"])
def test_frame_surrounds_the_sound_and_white_the_frame(output):
    view = look(eye=(0.0, 0.0, 2.8))
    sounds = AudioView({"a": field_of(silence)}, signal_of(np.zeros(SAMPLES)))
    picture = sounds.pictures(view)[output]
    x, y = places(view)
    assert (picture[(x.abs() > 1.04) | (y.abs() > 0.54)] == 1).all()
    darkness, pixel = 1 - picture.mean(-1), pixel_of(y)
    on_panel = (x.abs() < 1 + 0.5 * pixel) & (y.abs() < 0.5 + 0.5 * pixel)
    for border in ((y - 0.5).abs(), (y + 0.5).abs(), (x - 1).abs(), (x + 1).abs()):
        assert darkness[(border < 0.5 * pixel) & on_panel].min() > 0.2
    away = sounds.pictures(look(eye=(0.0, 0.0, 2.8), target=(0.0, 0.0, 9.0)))[output]
    assert (away == 1).all()


def test_depth_is_that_of_the_plane_and_finite_beside_it():
    view = look(eye=(0.3, 0.1, 2.0), target=(0.0, 0.2, 0.0))
    depth = AudioView({"a": field_of(silence)}).pictures(view)["depth"]
    assert depth.dtype == torch.float32 and depth.shape == (150, 150, 1) and torch.isfinite(depth).all()
    points = view.origins + view.directions * depth.reshape(-1, 1)
    x, y = places(view)
    inside = ((x.abs() < 1) & (y.abs() < 0.5)).reshape(-1)
    assert points[inside, 2].abs().max() < 1e-5 and depth.reshape(-1)[~inside].max() > depth.reshape(-1)[inside].max()


def test_a_field_that_is_not_finite_is_drawn_without_it():
    sounds = AudioView({"a": field_of(lambda t: t * math.nan)}, signal_of(np.zeros(SAMPLES)))
    pictures = sounds.pictures(look())
    for name in ("field", "error", "spectrogram"):
        assert torch.isfinite(pictures[name]).all(), name


# The original, and the error


@st.composite
def peak_queries(draw):
    samples = draw(st.integers(1, 60_000))
    ends = draw(st.lists(st.tuples(st.integers(0, samples - 1), st.integers(0, samples - 1)), min_size=1, max_size=20))
    return samples, [(min(a, b), max(a, b) + 1) for a, b in ends], draw(st.sampled_from([1, 3]))


@given(query=peak_queries(), seed=st.integers(0, 9), kind=st.sampled_from(["i2", "f4", "f8", "u1"]))
@settings(max_examples=100, deadline=None)
def test_peaks_are_those_of_the_samples(query, seed, kind):
    """Exactly, for parts of up to 512 samples; of longer ones with less than an eighth more at either end."""
    count, ranges, channels = query
    samples = (100 * np.random.default_rng(seed).standard_normal((count, channels))).clip(0, 255).astype(kind)
    signal = GridSignal("audio", Path("a"), samples, 3.0, 2.0, (1.0,))
    low, high = SamplePeaks(signal).extent(*torch.tensor(ranges).T)
    values = signal.values(torch.arange(count))
    for (start, stop), least, largest in zip(ranges, low, high):
        more = (stop - start) // 8 if stop - start > 512 else 0
        part, around = values[start:stop], values[max(start - more, 0) : stop + more]
        assert (around.amin(0) <= least).all() and (least <= part.amin(0)).all()
        assert (part.amax(0) <= largest).all() and (largest <= around.amax(0)).all()


def test_peaks_of_a_long_mapped_sound_take_little_memory(tmp_path):
    samples = np.lib.format.open_memmap(tmp_path / "long.npy", mode="w+", dtype=np.int16, shape=(3_000_000, 1))
    samples[1_234_567] = 999
    peaks = SamplePeaks(signal_of(samples))
    held = [level for _, low, high in peaks._levels[1:] for level in (low, high)]
    assert sum(level.nbytes for level in held) < samples.nbytes / 25
    low, high = peaks.extent(torch.tensor([0, 1_000_000, 2_000_000]), torch.tensor([900_000, 2_000_000, 3_000_000]))
    assert low.max() == 0 and high[:, 0].tolist() == [0.0, pytest.approx(999 / 32768), 0.0]


@pytest.mark.parametrize("samples", [1000, 100_000, 3_000_000])
@pytest.mark.parametrize("zoom", [1.0, 3.7])
def test_click_of_one_sample_is_seen_from_far_away(samples, zoom):
    click = round(0.44 * samples)
    sound = np.zeros(samples, dtype=np.int16)
    sound[click] = 29491  # 0.9
    view = look(eye=(0.0, 0.0, 2.0))
    picture = AudioView({"a": field_of(silence, samples)}, signal_of(sound)).pictures(
        view, ViewSettings(time_zoom=zoom, time_center=-0.1)
    )["original"]
    x, y = places(view)
    dark = black(picture) * (y > 0.1)
    column = int(dark.sum(0).argmax())
    expected = (2 * click / (samples - 1) - 1 + 0.1) * zoom
    assert abs(float(x[0, column]) - expected) < pixel_of(y)
    height = y[:, column][dark[:, column] > 0.3].max()
    assert abs(height - 0.45) < 1.5 * pixel_of(y)
    near = (x[0] - expected).abs() < 3 * pixel_of(y)
    assert not dark[:, ~near].any()


def test_original_fills_the_height_of_a_fast_tone():
    samples = 500_000
    tone = (20000 * np.sin(0.7 * np.arange(samples))).astype(np.int16)
    view = look()
    dark = black(AudioView({"a": field_of(silence, samples)}, signal_of(tone)).pictures(view)["original"])
    _, y = places(view)
    reach, pixel = 20000 / 32768 / 2, pixel_of(y)
    assert (dark[y.abs() < reach - pixel] > 0.9).all()
    assert (dark[y.abs() > reach + 1.5 * pixel] == 0).all()


@pytest.mark.parametrize("samples", [4001, 30_000_001])
@pytest.mark.parametrize("output", ["original", "error"])
def test_single_samples_are_dots(samples, output):
    """Where they are and as high as they are, also in the middle of a long sound that is not in memory."""
    sound = np.zeros(samples, dtype=np.int16)
    middle = round(0.7 * (samples - 1))
    sound[middle - 3 : middle + 4] = [8000, -16000, 24000, -24000, 16000, -8000, 4000]
    sounds = AudioView({"a": field_of(silence, samples)}, signal_of(sound))
    chosen = ViewSettings(time_center=2 * middle / (samples - 1) - 1, time_zoom=(samples - 1) / 16, error_gain=1.0)
    view = look(eye=(0.0, 0.0, 1.6), height=159, width=240)
    picture = sounds.pictures(view, chosen)[output]
    dark = black(picture) if output == "original" else red(picture)
    x, y = places(view)
    for step in range(-3, 4):
        value = sound[middle + step] / 32768 * (1 if output == "original" else -1)
        from_dot = torch.hypot(x - step / 8, y - value / 2) / pixel_of(y)
        assert (dark[from_dot < 1.5] > 0.9).all()
        # A thin line leads to it; what is around is paper.
        around = (from_dot > 4.5) & (from_dot < 6.5)
        assert (dark[around] > 0.8).sum() < 0.1 * around.sum()


def test_error_and_difference_are_enlarged_and_labelled_so():
    sounds = AudioView(
        {"a": field_of(lambda t: 0.013 + 0 * t), "b": field_of(lambda t: 0.02 + 0 * t)},
        signal_of(np.full(SAMPLES, 0.003)),
    )
    view = look()
    _, y = places(view)
    pictures = sounds.pictures(view, ViewSettings(error_gain=50.0))
    for name, value in (("a/error", 0.01), ("b/error", 0.017), ("difference", -0.007)):
        heights = middle_height(red(pictures[name]).clamp(min=0.05) - 0.05, y)
        assert (heights - 50 * value / 2).abs().max() < 0.5 * pixel_of(y), name
    swapped = sounds.pictures(view, ViewSettings(error_gain=50.0, difference=("b", "a")))["difference"]
    assert (middle_height(red(swapped).clamp(min=0.05) - 0.05, y) - 25 * 0.007).abs().max() < 0.5 * pixel_of(y)


@pytest.mark.parametrize("zoom", [1.0, 20.0, 300.0, 4000.0])
def test_a_field_that_meets_every_sample_has_no_error(zoom):
    """Even if it does otherwise between them."""

    def through_samples(t):
        between = torch.sin(math.pi * (t.double() + 1) / 2 * (SAMPLES - 1))
        return (torch.sin(40 * t.double()) + 0.8 * between).float() * 0.5

    sounds = AudioView({"a": field_of(through_samples)}, signal_of(sampled(lambda t: 0.5 * torch.sin(40 * t))))
    view = look()
    picture = sounds.pictures(view, ViewSettings(time_zoom=zoom, error_gain=10.0))["error"]
    _, y = places(view)
    assert red(picture)[y.abs() > 0.03].abs().max() < 0.01


def test_difference_of_equal_fields_is_flat():
    def noise(t):
        return torch.sin(1e5 * t)

    sounds = AudioView({"a": field_of(noise), "b": field_of(noise)})
    view = look()
    picture = sounds.pictures(view, ViewSettings(error_gain=1000.0))["difference"]
    _, y = places(view)
    assert red(picture)[y.abs() > 1.5 * pixel_of(y)].abs().max() < 0.01 and red(picture).max() > 0.5


# Time


def step_at(time):
    return lambda t: torch.where(t < time, -0.5, 0.5)


@given(
    center=st.floats(-0.9, 0.9), log_zoom=st.floats(0, 4.5), place=st.floats(-0.6, 0.6), closeness=st.floats(0.03, 1.0)
)
@settings(max_examples=40, deadline=None)
def test_settings_and_camera_zoom_into_the_same_time(center, log_zoom, place, closeness):
    """A change at a time is seen at x = (time - center) * zoom, from wherever one looks at this place."""
    zoom = 10**log_zoom
    time = float(np.float32(center + place / zoom))
    # At the sound's very end nothing is before, or after, that it could be a change from.
    if (1 - abs(time)) * zoom < 0.02:
        return
    x_expected = (time - center) * zoom
    view = look(eye=(x_expected + 0.1 * closeness, 0.05, closeness), focal=0.7)
    sounds = AudioView({"a": field_of(step_at(time))})
    picture = sounds.pictures(view, ViewSettings(time_center=center, time_zoom=zoom))["field"]
    x, y = places(view)
    dark, pixel = blue(picture), float(x[0, 1] - x[0, 0])
    upright = (dark > 0.5).sum(0) > 5  # A flat line has two.
    resolution = 2.0**-24 * zoom + pixel
    assert upright.any() and (x[0, upright] - x_expected).abs().max() < 1.5 * resolution
    high = (dark * y).sum(0) > dark.sum(0) * view.origins[0, 1]
    on_panel, beside = x[0].abs() < 0.98, (x[0] - x_expected).abs() > 3 * resolution
    during = (center + x[0].double() / zoom).abs() < 1
    chosen = on_panel & beside & during
    assert (high[chosen] == (x[0] > x_expected)[chosen]).all()


@pytest.mark.parametrize("output", ["field", "original", "spectrogram"])
def test_beyond_the_sound_is_empty_paper(output):
    sounds = AudioView({"a": field_of(lambda t: torch.sin(900 * t))}, signal_of(np.sin(np.arange(SAMPLES))))
    view = look(eye=(0.0, 0.0, 2.0))
    picture = sounds.pictures(view, ViewSettings(time_center=1.0, time_zoom=8.0))[output]
    x, y = places(view)
    panel = (x.abs() < 0.97) & (y.abs() < 0.47)
    assert (picture[panel & (x > 0.03)] == picture[panel & (x > 0.03)][0]).all()
    assert picture[panel & (x > 0.03)].min() > 0.95
    assert picture[panel & (x < -0.03)].std() > 0.05


@given(closeness=st.floats(1e-4, 3.0), x=st.floats(-0.8, 0.8), y=st.floats(-0.3, 0.3), value=st.floats(-0.95, 0.95))
@settings(max_examples=40, deadline=None)
def test_the_mouse_zooms_through_time_alone(closeness, x, y, value):
    """From close by, the panel's height just fits the view; further away it lies where the scene has it."""
    view = look(eye=(x, y, closeness), focal=0.5)  # Sees as far up as it is away.
    dark = blue(AudioView({"a": field_of(lambda t: torch.full_like(t, value))}).pictures(view)["field"])
    row = (dark * (torch.arange(150.0)[:, None] + 0.5)).sum(0) / dark.sum(0)
    on_panel = places(view)[0][0].abs() < 0.97
    if closeness <= HALF_VIEW:
        expected = 75 * (1 - value * HALF_HEIGHT / HALF_VIEW)
    elif closeness >= HALF_VIEW + abs(y):
        expected = 75 * (1 - (value * HALF_HEIGHT - y) / closeness)
    else:  # Moved just as far as it must be to stay within.
        shift = math.copysign(closeness - HALF_VIEW, y)
        expected = 75 * (1 - (value * HALF_HEIGHT - shift) / closeness)
    assert (row[on_panel] - expected).abs().max() < 0.6


@pytest.mark.parametrize("output", ["field", "spectrogram", "original"])
def test_nothing_jumps_where_the_stretching_begins(output):
    sounds = AudioView({"a": field_of(lambda t: torch.sin(25 * t))}, signal_of(np.sin(np.arange(SAMPLES) / 300)))
    before, after = (
        sounds.pictures(look(eye=(0.1, 0.2, HALF_VIEW * (1 + far)), focal=0.5))[output] for far in (-1e-4, 1e-4)
    )
    assert (before - after).abs().mean() < 2e-3


# Spectrograms


def decibels_seen(picture):
    """The level that each pixel's colour stands for, in dB, from -100 to 0."""
    table = torch.tensor(matplotlib.colormaps["magma"](range(256))[:, :3], dtype=torch.float32)
    flat = picture.reshape(-1, 3)
    return (torch.cdist(flat, table).argmin(1).reshape(picture.shape[:-1]) / 255 - 1) * 100


@given(share=st.floats(0.1, 0.9), amplitude=st.floats(0.01, 1.0), log_seen=st.floats(2.0, 5.0))
@settings(max_examples=30, deadline=None)
def test_ridge_of_a_tone_is_at_its_frequency_as_bright_as_it_is_loud(share, amplitude, log_seen):
    """From a hundred samples to a hundred thousand in view; 0 dB is a sine of amplitude 1."""
    samples = 200_001
    view = look(eye=(0.0, 0.0, 2.0), focal=1.0)
    signal = signal_of(amplitude * np.sin(math.pi * share * np.arange(samples)))
    sounds = AudioView({"a": field_of(silence, samples)}, signal)
    chosen = ViewSettings(time_zoom=samples / 10**log_seen, time_center=0.2)
    picture = sounds.pictures(view, chosen)["spectrogram_original"]
    x, y = places(view)
    columns, rows = x[0].abs() < 0.9, y[:, 0].abs() < 0.49
    levels = decibels_seen(picture)[rows][:, columns]
    heights = y[rows, 0][levels.argmax(0)]
    frames = choose_frames(0.0, 10**log_seen, 10**log_seen / 150)
    assert (heights - (share - 0.5)).abs().max() < 0.5 * 2 / frames.length + 1.5 * pixel_of(y)
    assert (levels.amax(0) - 20 * math.log10(amplitude)).abs().max() < 1.5


def test_spectrogram_of_a_field_is_that_of_its_values_at_the_samples():
    def chirp(t):
        return 0.7 * torch.sin(600 * (t + 1) ** 2)

    sounds = AudioView({"a": field_of(chirp)}, signal_of(sampled(chirp)))
    pictures = sounds.pictures(look(eye=(0.0, 0.0, 2.0)))
    assert (pictures["spectrogram"] - pictures["spectrogram_original"]).abs().mean() < 0.01


def test_channels_have_their_own_spectrograms():
    def low_and_high(t):
        return torch.cat([torch.sin(f * math.pi * (SAMPLES - 1) / 2 * t) for f in (0.25, 0.75)], dim=1)

    view = look(eye=(0.0, 0.0, 2.0))
    levels = decibels_seen(AudioView({"a": field_of(low_and_high)}).pictures(view)["spectrogram"])
    x, y = places(view)
    loud = (levels > -10) & (x.abs() < 0.95) & (y.abs() < 0.49)
    upper, lower = loud & (y > 0.01), loud & (y < -0.01)
    assert (y[upper] - 0.125).abs().max() < 0.02 and (y[lower] - (-0.5 + 0.375)).abs().max() < 0.02
    assert upper.any(0)[x[0].abs() < 0.95].all() and lower.any(0)[x[0].abs() < 0.95].all()


def test_click_is_a_line_through_all_frequencies_at_its_time():
    sound = np.zeros(200_001)
    sound[120_000] = 1.0
    view = look(eye=(0.0, 0.0, 2.0))
    levels = decibels_seen(
        AudioView({"a": field_of(silence, 200_001)}, signal_of(sound)).pictures(view)["spectrogram_original"]
    )
    x, y = places(view)
    rows = y[:, 0].abs() < 0.48
    level = levels[rows].mean(0)
    at_click = (x[0] - 0.2).abs()
    assert (
        level[at_click < 0.5 * pixel_of(y)].min() > -75 and level[(at_click > 0.03) & (x[0].abs() < 0.98)].max() < -95
    )


@given(start=st.floats(0, 1e8), seen=st.floats(2, 1e8), columns=st.integers(1, 2000))
@settings(max_examples=30, deadline=None)
def test_spectrogram_reads_half_a_million_samples_at_most(start, seen, columns):
    frames = choose_frames(start, start + seen, seen / columns)
    read = frames.count * frames.length if frames.hop > frames.length else frames.count * frames.hop + frames.length
    assert read < 1.1 * 2**19
    assert 32 <= frames.length <= 2048 and frames.length % 2 == 0
    # They reach over all that is seen, about one for each column unless these are many.
    assert frames.first * frames.hop <= start and (frames.first + frames.count - 1) * frames.hop >= start + seen - 1
    assert frames.count <= 1.6 * columns + 3
    if seen / columns > 1 and columns <= 512:
        assert frames.count >= 0.6 * columns


@given(first=st.integers(-3, 40), hop=st.sampled_from([1, 7, 64, 300]), length=st.sampled_from([32, 100, 2048]))
@settings(max_examples=20, deadline=None)
def test_short_time_spectra_agree_with_numpy(first, hop, length):
    sound = np.random.default_rng(0).standard_normal((3000, 2))
    frames = Frames(length, hop, first, 5)
    spectra = short_time_spectra(lambda i: torch.from_numpy(sound)[i], 3000, frames)
    padded = np.pad(sound, ((5000, 20000), (0, 0)))
    window = np.hanning(length + 1)[:-1, None]
    size = max(1024, length)
    for frame in range(5):
        begin = (first + frame) * hop - length // 2 + 5000
        exact = np.abs(np.fft.rfft(padded[begin : begin + length] * window, size, axis=0)) / (window.sum() / 2)
        assert np.abs(spectra[:, :, frame].numpy().T - exact).max() < 1e-4


def test_spectrogram_asks_a_long_field_no_more_than_it_may():
    field = field_of(lambda t: torch.sin(100 * t), 50_000_000)
    AudioView({"a": field}).pictures(look(height=341, width=512, focal=0.65))["spectrogram"]
    assert 2**18 < sum(map(len, field.network.asked)) < 1.1 * 2**19


# Axes


@given(least=st.floats(1e-9, 1e9))
def test_steps_are_one_two_or_five(least):
    step = nice_step(least)
    assert least * (1 - 1e-6) <= step <= 2.5001 * least
    digits = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digits - d) for d in (1, 2, 5)) < 1e-6


@pytest.mark.parametrize(
    "seconds, step, latest, text",
    [
        (1.5, 0.5, 7.0, "1.5 s"),
        (2.0, 1.0, 7.0, "2 s"),
        (3.66895, 5e-5, 3.7, "3.66895 s"),
        (0.0342, 0.0001, 0.04, "34.2 ms"),
        (0.00012, 2e-5, 0.0004, "120 µs"),
        (4e-6, 5e-7, 5e-6, "4.0 µs"),
    ],
)
def test_times_have_their_units_and_decimals(seconds, step, latest, text):
    assert format_time(seconds, step, latest) == text


UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}


def seconds_of(text):
    number, unit = text.split()
    return float(number) * UNITS[unit]


@pytest.mark.slow
@given(log_zoom=st.floats(0, 6), center=st.floats(-1, 1), samples=st.sampled_from([1000, 300_000, 170_000_000]))
@settings(max_examples=60, deadline=None)
def test_time_labels_say_what_is_there(log_zoom, center, samples):
    zoom = min(10**log_zoom, samples / 10)
    view = look(eye=(0.0, 0.0, 1.3), height=200, width=300)
    axes = Axes(view, ViewSettings(time_center=center, time_zoom=zoom), samples, 48000.0, 1)
    within = axes.position[axes.within]
    start, stop = float(within.min()), float(within.max())
    labels, base = axes.time_labels(start, stop)
    origin = seconds_of(base.rstrip(" +")) if base else 0.0
    assert all(start - 1e-6 <= label.at <= stop + 1e-6 for label in labels)
    for label in labels:
        assert abs(origin + seconds_of(label.text) - label.at / 48000) < 0.02 * axes.time_step
    if (stop - start) > 0.9 * (samples - 1) / zoom:  # All of the panel is during the sound.
        assert 3 <= len(labels) <= 10
    assert len({label.text for label in labels}) == len(labels) and all(len(label.text) <= 11 for label in labels)
    assert all(abs(int(label.text[1:]) - label.at) == 0 for label in axes.sample_labels(start, stop))


def test_single_samples_have_their_numbers():
    axes = Axes(look(height=200, width=300), ViewSettings(time_zoom=SAMPLES / 20), SAMPLES, RATE, 1)
    labels = [label.text for label in axes.sample_labels(1990.5, 2010.0)]
    assert len(labels) >= 2 and set(labels) <= {f"#{k}" for k in range(1991, 2011)}
    assert Axes(look(height=200, width=300), ViewSettings(), SAMPLES, RATE, 1).sample_labels(0.0, 4000.0) == []


def test_labels_are_beside_the_panel_and_not_in_coarse_pictures():
    sounds = AudioView({"a": field_of(silence)})
    for height, labelled in ((159, False), (240, True)):
        view = look(eye=(0.0, 0.0, 1.9), height=height, width=360 * height // 240)
        x, y = places(view)
        for name in ("field", "spectrogram"):
            dark = sounds.pictures(view)[name].mean(-1) < 0.6
            assert bool(dark[y < -0.5 - 6 * pixel_of(y)].any()) == labelled  # Times.
            assert bool(dark[(x < -1 - 6 * pixel_of(y))].any()) == labelled  # Amplitudes or frequencies.
            assert not dark[y > 0.54].any()


def test_time_labels_are_below_their_times():
    """Half a second of sound has a label at 100 ms, a fifth of the panel from its left border."""
    view = look(eye=(0.0, 0.0, 1.9), height=240, width=360)
    picture = AudioView({"a": field_of(silence)}).pictures(view)["field"]
    x, y = places(view)
    dark = (picture.mean(-1) < 0.7) & (y < -0.5 - 6 * pixel_of(y))
    columns = x[0][dark.any(0)]
    for tenth in range(6):
        near = columns[(columns - (-1 + 0.4 * tenth)).abs() < 0.18]
        assert abs((near.min() + near.max()) / 2 - (-1 + 0.4 * tenth)) < 0.03


# All outputs


def noise_views(fields=1, original=True):
    def noise(t):
        return torch.sin(1e4 * t) * 0.5

    signal = signal_of(np.random.default_rng(0).uniform(-1, 1, SAMPLES)) if original else None
    return AudioView({f"f{i}": field_of(noise) for i in range(fields)}, signal)


@pytest.mark.parametrize(
    "fields, original, names",
    [
        (
            1,
            True,
            ["field", "both", "error", "spectrogram", "spectrogram_original", "accumulation", "depth", "original"],
        ),
        (1, False, ["field", "spectrogram", "accumulation", "depth"]),
        (2, False, ["f0/field", "difference", "f0/spectrogram", "f1/spectrogram", "accumulation", "depth", "f1/field"]),
    ],
)
def test_outputs_and_their_order(fields, original, names):
    assert list(noise_views(fields, original).pictures(look())) == names


def test_outputs_of_three_fields_begin_and_end_with_a_field():
    names = list(noise_views(3).pictures(look()))
    assert names[0] == "f0/field" and names[-1] == "f2/field"
    each = {f"f{i}/{output}" for i in range(3) for output in ("field", "both", "error", "spectrogram")}
    assert set(names) == each | {"original", "spectrogram_original", "difference", "accumulation", "depth"}


def test_nothing_is_evaluated_before_it_is_looked_at():
    sounds = noise_views(2)
    pictures = sounds.pictures(look())
    list(pictures)
    pictures["original"], pictures["depth"], pictures["f0/field"]
    first, second = sounds.fields.values()
    assert first.network.asked and not second.network.asked


eyes = st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))


@given(eye=eyes, target=eyes, roll=st.floats(-3, 3), log_zoom=st.floats(0, 8), size=st.sampled_from([(3, 5), (40, 60)]))
@settings(max_examples=40, deadline=None)
def test_pictures_are_sane_from_anywhere(eye, target, roll, log_zoom, size):
    height, width = size
    view = look(eye=eye, target=target, roll=roll, height=height, width=width)
    if not torch.isfinite(view.directions).all() or view.directions.norm(dim=-1).min() < 0.5:
        return  # A camera that looks nowhere.
    pictures = noise_views(2).pictures(view, ViewSettings(time_zoom=10**log_zoom, time_center=0.1))
    for name in pictures:
        picture = pictures[name]
        assert picture.dtype == torch.float32 and torch.isfinite(picture).all(), name
        assert picture.shape == (height, width, 1 if name in ("depth", "accumulation") else 3), name
        if name != "depth":
            assert picture.min() >= 0 and picture.max() <= 1, name


@pytest.mark.parametrize("height, width", [(341, 512), (720, 1280), (800, 500)])
def test_framing_holds_the_panel_with_its_labels(height, width):
    framing = noise_views().framing()
    assert framing.towards_camera == (0.0, 0.0, 1.0)
    distance = framing_distance(framing.half_width, framing.half_height, 2 * math.atan(0.5 / 0.65), width / height)
    view = look(eye=(0.0, 0.0, distance), focal=0.65, height=height, width=width)
    x, y = places(view)
    assert x.max() > 1.1 and y.max() > HALF_VIEW
    picture = noise_views().pictures(view)["spectrogram"]
    edge = torch.cat([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (edge == 1).all()


# What the browser draws


def seen_from(x=0.0, y=0.0, away=2.0, fov=1.3, aspect=1.5, resolution=512):
    """Looks straight at the panel."""
    facing = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
    return Look((x, y, away), facing, fov, aspect, resolution)


def drawn(drawing, look):
    """The sheet and its level labels, with their pixels."""
    parts = list(drawing.parts(look))
    return [(part, part.make(lambda function, points: function(points)).astype(float) / 255) for part in parts]


def asked_times(sounds):
    return [times for field in sounds.fields.values() for times in field.network.asked]


@pytest.mark.parametrize("output", ["field", "both", "error", "spectrogram"])
def test_a_window_that_was_seen_asks_the_field_nothing(output):
    sounds = noise_views()
    settings = ViewSettings(time_zoom=4.0)
    whole, closer = seen_from(), seen_from(0.3, 0.1, 0.2)

    def evaluated(view, look, settings=AS_OPENED):
        """Whether a look at a window makes its fields be asked, by a browser that has just come."""
        before = len(asked_times(view))
        drawn(view.drawing(output, settings), look)
        return len(asked_times(view)) > before

    assert evaluated(sounds, whole) and evaluated(sounds, closer) and evaluated(sounds, whole, settings)
    for look, chosen in ((whole, AS_OPENED), (closer, AS_OPENED), (seen_from(0.31, -0.2, 0.21), AS_OPENED)):
        assert not evaluated(sounds, look, chosen)
    assert not evaluated(sounds, whole, settings) and not evaluated(sounds, closer)
    # Further along there is something new, and all is new of fields that have changed.
    assert evaluated(sounds, seen_from(-0.6, 0.1, 0.2))
    assert evaluated(sounds.of_fields(sounds.fields), whole)


def test_what_is_kept_of_pictures_is_bounded():
    kept = Kept()
    for number in range(5):
        kept.get(number, lambda: torch.zeros(MOST // 3, dtype=torch.uint8))
    drawn_anew = []
    for number in range(4, 0, -1):
        kept.get(number, lambda number=number: drawn_anew.append(number) or torch.zeros(1, dtype=torch.uint8))
    assert drawn_anew == [1]


@given(
    x=st.floats(-0.9, 0.9),
    y=st.floats(-0.4, 0.4),
    log_away=st.floats(-5.0, 0.5),
    aspect=st.floats(0.5, 2.5),
    beside=st.sampled_from([(0.0, None), (-0.6, 1.2), (0.6, 1.2)]),
)
@settings(max_examples=40, deadline=None)
def test_from_close_by_a_sheet_fills_the_view_and_no_more_of_its_height(x, y, log_away, aspect, beside):
    """Alone, or as one of two that stand below each other."""
    middle, half = beside
    look = replace(seen_from(x, y, math.exp(log_away), aspect=aspect), beside=Beside(middle, half))
    sheet, labels = noise_views().drawing("field", AS_OPENED).parts(look)
    reach = math.exp(log_away) * math.tan(1.3 / 2)
    row = half or HALF_VIEW
    # A lattice of rays finds the view's border to a twentieth.
    assert abs(labels.left - max(x - reach * aspect, -1 - labels.width)) < 0.06 * 2 * reach * aspect
    if reach >= row:
        assert (sheet.top, sheet.height, sheet.left) == (HALF_VIEW, 2 * HALF_VIEW, -HALF_SHEET)
        return
    share = HALF_VIEW / row
    assert 2 * reach * share * 2**-0.3 < sheet.height <= 2 * reach * share * 1.01
    # It is where the camera looks, seen from its own place in the row.
    centre = sheet.top - sheet.height / 2 - middle
    assert abs(centre + middle * sheet.height / (2 * HALF_VIEW) - (y)) < 1e-6
    seen = max(x - reach * aspect, -HALF_SHEET), min(x + reach * aspect, HALF_SHEET)
    if seen[1] - seen[0] < 5 * sheet.height:
        assert sheet.left <= seen[0] + 1e-6 and sheet.left + sheet.width >= seen[1] - 1e-6
    # Its texels are square but for the stretching.
    assert sheet.width / sheet.columns == pytest.approx(sheet.height / sheet.rows, rel=0.01)


@given(log_away=st.floats(-5.0, 0.5), aspect=st.floats(0.5, 2.5), resolution=st.sampled_from([512, 1024, 2048]))
@settings(max_examples=40, deadline=None)
def test_a_sheets_texels_are_about_as_large_as_pixels_from_wherever_it_is_seen(log_away, aspect, resolution):
    look = seen_from(0.1, 0.0, math.exp(log_away), aspect=aspect, resolution=resolution)
    sheet, _ = noise_views().drawing("field", AS_OPENED).parts(look)
    texel, pixel = sheet.width / sheet.columns, 2 * math.exp(log_away) * math.tan(1.3 / 2) / look.height
    # Half an octave from one fineness to the next, a quarter from one sheet to the next; and no more than 2048.
    assert texel < 2**0.5 * pixel or sheet.texels.across == 2048
    assert texel > 2**-0.5 * pixel or sheet.texels.across == 512


@pytest.mark.parametrize("output", ["field", "original", "spectrogram"])
def test_strips_of_a_sheet_go_on_where_the_one_before_ends(output):
    def tone(t):
        return 0.7 * torch.sin(40 * t.double() + 3).float()

    sounds = AudioView({"a": field_of(tone)}, signal_of(sampled(tone)))
    (sheet, picture), _ = drawn(sounds.drawing(output, AS_OPENED), seen_from(0.05, 0.0, 0.1))
    assert sheet.columns // sheet.texels.columns >= 3
    panel = picture[20:-40]  # Without the labels.
    steps = np.abs(np.diff(panel, axis=1)).mean((0, 2))
    borders = steps[sheet.texels.columns - 1 :: sheet.texels.columns]
    assert borders.max() < 3 * np.median(steps) + 0.01


def test_times_are_labelled_across_strips_and_levels_beside_them():
    """As the server's pictures are: half a second has a label at 100 ms."""
    (sheet, picture), (labels, levels) = drawn(
        AudioView({"a": field_of(silence)}).drawing("field", AS_OPENED), seen_from()
    )
    below = round((HALF_VIEW + HALF_HEIGHT) / (2 * HALF_VIEW) * sheet.rows) + 6
    columns = np.flatnonzero((picture[below:].mean(-1) < 0.7).any(0))
    x = -HALF_SHEET + (columns + 0.5) * sheet.width / sheet.columns
    for tenth in range(6):
        near = x[np.abs(x - (-1 + 0.4 * tenth)) < 0.18]
        assert abs((near.min() + near.max()) / 2 - (-1 + 0.4 * tenth)) < 0.03
    # 1, 0 and -1, left of the panel.
    assert labels.left + labels.width == pytest.approx(-1.0, abs=0.01)
    rows = np.flatnonzero((levels[..., 3] * (1 - levels[..., 0]) > 0.3).any(1)) / labels.rows
    for low, high, written in ((0, 0.2, True), (0.25, 0.35, False), (0.4, 0.6, True), (0.8, 1, True)):
        assert ((rows > low) & (rows < high)).any() == written


def test_the_cursor_reads_what_is_there():
    def function(t):
        return 0.25 * t

    sounds = AudioView({"a": field_of(function)}, signal_of(np.full(SAMPLES, 0.125, np.float32)))
    text = sounds.reading(0.375)  # Sample 3000 of 4000, at 0.5 in -1 … 1.
    assert "0.375 s" in text and "sample 3000" in text
    assert "0.125 (error 0)" in text and "original 0.125" in text
    assert sounds.place_of_cursor(0.375, AS_OPENED) == pytest.approx(0.5)
    zoomed = ViewSettings(time_center=0.4, time_zoom=5.0)
    pointed = []
    sounds.pointed = pointed.append
    sounds.drawing("field", zoomed).clicked(sounds.place_of_cursor(0.375, zoomed))
    assert pointed[0](zoomed) == pytest.approx(0.375)

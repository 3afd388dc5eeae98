"""What cameras see of analytic images, volumes and videos, against what the formulas say."""

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
from winner_ns.fields.siren import Siren
from winner_ns.signals import GridSignal
from winner_ns.signals.grid import square_half_extent
from winner_ns.viewing.drawing import Look, PlaneDrawing
from winner_ns.viewing.image_view import ImageView
from winner_ns.viewing.plane import plane_points
from winner_ns.viewing.signal_view import Framing, Pictures, ViewSettings
from winner_ns.viewing.view import View, framing_distance

PLAIN = ViewSettings(error_gain=1.0)


def camera_at(eye, target=(0.0, 0.0, 0.0), roll=0.0, focal=1.2, height=64, width=64):
    """A camera of nerfstudio that looks at `target`; `focal` in picture heights."""
    eye, target = torch.tensor(eye), torch.tensor(target)
    back = torch.nn.functional.normalize(eye - target, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back), dim=0)
    up = torch.linalg.cross(back, right)
    right, up = math.cos(roll) * right + math.sin(roll) * up, math.cos(roll) * up - math.sin(roll) * right
    return Cameras(
        camera_to_worlds=torch.stack([right, up, back, eye], dim=1)[None],
        fx=focal * height,
        fy=focal * height,
        cx=width / 2,
        cy=height / 2,
        width=width,
        height=height,
        camera_type=CameraType.PERSPECTIVE,
    )


def look(eye, target=(0.0, 0.0, 0.0), **camera):
    return View.of_camera(camera_at(eye, target, **camera), torch.device("cpu"))


class Analytic(nn.Module):
    """A function in place of a network; `shift` is its one weight. It knows how many points it was asked for."""

    def __init__(self, function):
        super().__init__()
        self.function, self.asked = function, []
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, points):
        self.asked.append(points)
        return self.function(points) + self.shift

    @property
    def count(self):
        return sum(len(points) for points in self.asked)


def signal_of(samples, kind="image"):
    """A signal with these samples in [-1, 1], [*shape, c]."""
    samples = np.asarray(samples, dtype=np.float32)
    extent = square_half_extent(samples.shape[:-1])
    facts = {"frame_rate": 24.0} if kind == "video" else {}
    return GridSignal(kind, Path("signal.npy"), samples, 0.0, 1.0, extent, facts)


def sampled(function, shape, kind="image"):
    """The signal that consists of a function's values at the samples of a grid of this shape."""
    channels = function(torch.zeros(1, len(shape))).shape[-1]
    empty = signal_of(np.zeros((*shape, channels)), kind)
    values = function(empty.coordinates(torch.arange(len(empty))))
    return signal_of(values.numpy().reshape(*shape, channels), kind)


def field_of(function, shape, kind="image"):
    """The function as a fitted field of such a signal."""
    channels = function(torch.zeros(1, len(shape))).shape[-1]
    return LoadedField(Analytic(function), describe(shape, channels, kind))


def describe(shape, channels, kind="image"):
    signal = signal_of(np.zeros((*shape, channels)), kind).describe()
    network = NetworkDescription("siren", len(shape), channels, {})
    target = {"gain": 1.0, "offset": [0.0] * channels}
    return Description(kind, "signal.npy", "", network, target, signal)


def constant(*values):
    return lambda points: torch.tensor([values], dtype=torch.float32).expand(len(points), -1)


def coordinates_as_colours(points):
    return torch.cat([points, torch.zeros_like(points[:, :1])], dim=-1)


def wave(points):
    """Some smooth function, [n, d] to [n, 1]."""
    return 0.8 * torch.sin(points @ torch.arange(2.0, 2.0 + points.shape[-1])[:, None])


def seen_points(view):
    """x and y [n, 2] of the plane points that a view's rays meet."""
    return plane_points(view.origins, view.directions)[0]


def nearest(signal, coordinates):
    """Flat indices of the nearest samples, by comparing with all of them."""
    return torch.cdist(coordinates, signal.coordinates(torch.arange(len(signal)))).argmin(dim=-1)


def flat(picture):
    return picture.reshape(-1, picture.shape[-1])


def check_pictures(pictures, view):
    """What nerfstudio's viewer needs of every output."""
    for name, picture in pictures.items():
        assert picture.dtype == torch.float32 and picture.shape[:2] == (view.height, view.width), name
        assert picture.shape[2] in (1, 3) and torch.isfinite(picture).all(), name
        if picture.shape[2] == 3:
            assert picture.min() >= 0 and picture.max() <= 1, name
        assert not picture.requires_grad, name


# Cameras

angle, inner = st.floats(-math.pi, math.pi), st.floats(-0.99, 0.99)


@settings(max_examples=30, deadline=None)
@given(eye=st.tuples(inner, inner, st.floats(1.0, 4.0)), target=st.tuples(inner, inner, inner), roll=angle,
       focal=st.floats(0.3, 3.0), stretch=st.floats(0.5, 2.0),
       size=st.tuples(st.integers(2, 9), st.integers(2, 9)))  # fmt: skip
def test_points_along_a_pixels_ray_are_projected_to_its_centre(eye, target, roll, focal, stretch, size):
    camera = camera_at(eye, target, roll=roll, focal=focal, height=size[0], width=size[1])
    camera.fx = camera.fx * stretch
    view = View.of_camera(camera, torch.device("cpu"))
    assert (view.height, view.width) == size
    rows, columns = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    expected = torch.stack([columns.reshape(-1), rows.reshape(-1)], dim=-1)
    for distance in (0.3, 2.0):
        seen, before = view.project(view.origins + distance * view.directions)
        assert before.all()
        assert (seen - expected).abs().max() < 2e-3
        assert not view.project(view.origins - distance * view.directions)[1].any()


def test_a_camera_is_one_with_and_without_a_batch():
    camera = camera_at((0.3, 0.2, 2.0), height=4, width=6)
    whole, single = look((0.3, 0.2, 2.0), height=4, width=6), View.of_camera(camera[0], torch.device("cpu"))
    assert torch.equal(whole.origins, single.origins) and torch.equal(whole.directions, single.directions)
    assert (single.height, single.width) == (4, 6)


@settings(max_examples=50, deadline=None)
@given(half_width=st.floats(0.05, 3.0), half_height=st.floats(0.05, 3.0), fov=st.floats(0.2, 2.4),
       aspect=st.floats(0.3, 3.0))  # fmt: skip
def test_a_framed_rectangle_is_in_view_and_fills_it(half_width, half_height, fov, aspect):
    distance = framing_distance(half_width, half_height, fov, aspect)
    height, width = 100, round(100 * aspect)
    view = look((0.0, 0.0, distance), focal=0.5 / math.tan(fov / 2), height=height, width=width)
    corners = torch.tensor([[x * half_width, y * half_height, 0.0] for x in (-1, 1) for y in (-1, 1)])
    seen, before = view.project(corners)
    assert before.all()
    assert seen.min() > 0 and (seen < torch.tensor([width, height])).all()
    filled = (seen.amax(0) - seen.amin(0)) / torch.tensor([width, height])
    assert filled.max() > 0.9


# The plane


def test_plane_points_by_hand():
    origins = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, -1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 2.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.6, 0.0, 0.8], [0.0, -0.6, -0.8], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    points, depth, hit = plane_points(origins, directions)
    assert hit.tolist() == [True, True, True, False, False]
    assert torch.allclose(depth[:3, 0], torch.tensor([2.0, 1.25, 1.25]))
    assert torch.allclose(points[:3], torch.tensor([[0.0, 0.0], [0.75, 0.0], [1.0, 0.25]]))
    assert torch.isfinite(points).all() and torch.isfinite(depth).all() and (depth > 0).all()


@settings(deadline=None)
@given(x=inner, y=inner, eye=st.tuples(inner, inner, st.sampled_from([-3.0, 0.5, 2.0])))
def test_image_is_seen_where_it_lies(x, y, eye):
    """x to the right is the column, y up is minus the row, from wherever one looks."""
    pictures = ImageView({"a": field_of(coordinates_as_colours, (9, 9))}).pictures(
        look(eye, (x, y, 0.0), height=1, width=1)
    )
    assert torch.allclose(flat(pictures["field"]), torch.tensor([[(1 - y) / 2, (1 + x) / 2, 0.5]]), atol=1e-4)
    assert pictures["depth"].item() == pytest.approx(math.dist(eye, (x, y, 0.0)), rel=1e-4)


def test_beside_an_image_is_white_and_the_network_is_not_asked_there():
    shape, view = (5, 9), look((0.0, 0.0, 2.0))
    fields, original = {"a": field_of(constant(-1.0), shape)}, sampled(constant(0.0), shape)
    pictures = ImageView(fields, original).pictures(view, PLAIN)
    inside = (seen_points(view).abs() < torch.tensor([1.0, 0.5])).all(dim=-1)
    assert 0 < inside.sum() < len(inside)
    assert (flat(pictures["field"])[inside] == 0).all()
    for name in ("field", "error", "gradient", "laplacian", "original"):
        assert (flat(pictures[name])[~inside] == 1).all(), name
    assert torch.equal(flat(pictures["accumulation"])[:, 0] == 1, inside)
    assert flat(pictures["depth"])[~inside].min() > flat(pictures["depth"])[inside].max()
    rows, columns = torch.cat(fields["a"].network.asked).unbind(-1)
    assert rows.abs().max() <= 0.5 and columns.abs().max() <= 1.0
    check_pictures(pictures, view)


def test_rays_away_from_an_image_see_white():
    def network(points):
        assert len(points) == 0
        return points[:, :1]

    field = LoadedField(Analytic(network), describe((9, 9), 1))
    view = look((0.0, 0.0, 2.0), (0.0, 0.0, 4.0), height=8, width=8)
    pictures = ImageView({"a": field}, sampled(wave, (9, 9))).pictures(view)
    assert (pictures["field"] == 1).all() and (pictures["original"] == 1).all()
    check_pictures(pictures, view)


@pytest.mark.parametrize(
    "values, expected",
    [
        ([0.0], [0.5, 0.5, 0.5]),
        ([1.0, 1.0], [1.0, 1.0, 1.0]),
        ([-1.0, 0.0, 1.0], [0.0, 0.5, 1.0]),
        ([1.0, -1.0, 0.0, 1.0], [1.0, 0.0, 0.5]),
        ([3.0, -3.0, math.nan], [1.0, 0.0, 0.0]),
        ([-1.0, 0.0, 1.0, 0.3, 0.4], [0.0, 0.5, 1.0]),
    ],
)
def test_opaque_values_as_colours(values, expected):
    view = look((0.0, 0.0, 2.0), (0.1, 0.2, 0.0), height=1, width=1)
    shape = (9, 9)
    original = sampled(constant(*values), shape)
    pictures = ImageView({"a": field_of(constant(*values), shape)}, original).pictures(view)
    for name in ("field", "original"):
        assert torch.allclose(flat(pictures[name]), torch.tensor([expected])), name


@pytest.mark.parametrize("colour", [[1.0], [1.0, -1.0, 0.0]])
@pytest.mark.parametrize("name", ["field", "original"])
def test_transparent_pixels_let_a_checkerboard_through(colour, name):
    view = look((0.0, 0.0, 2.0))

    def seen(alpha):
        values = constant(*colour, 2 * alpha - 1)
        pictures = ImageView({"a": field_of(values, (9, 9))}, sampled(values, (9, 9))).pictures(view)
        inside = (seen_points(view).abs() < 1).all(dim=-1)
        return flat(pictures[name])[inside]

    board = seen(0.0)
    assert (board == board[:, :1]).all()  # Gray.
    shades, counts = board[:, 0].unique(return_counts=True)
    assert len(shades) == 2 and 0.2 < shades[0] < shades[1] < 0.9
    assert counts.min() > 0.4 * len(board)
    assert torch.allclose(seen(0.25), 0.25 * seen(1.0) + 0.75 * board, atol=1e-6)


def test_rolled_camera_turns_the_pictures():
    fields, original = {"a": field_of(wave, (9, 15))}, sampled(lambda p: 0.9 * wave(p), (9, 15))
    eye, target = (0.21, 0.13, 1.7), (0.2, 0.1, 0.0)
    upright, rolled = (
        ImageView(fields, original).pictures(look(eye, target, roll=roll)) for roll in (0.0, math.pi / 2)
    )
    for name in upright:
        assert torch.allclose(rolled[name], torch.rot90(upright[name], -1), atol=2e-3), name


# Fields and originals


@pytest.mark.parametrize("height", [2.0, 0.1, 0.005])
def test_however_close_the_field_is_a_function_and_the_original_its_samples(height):
    """From a height of 0.005 a picture is a thirtieth of a sample wide."""
    shape = (9, 15)
    field, original = field_of(wave, shape), sampled(lambda points: -wave(points), shape)
    view = look((0.233, -0.121, height), (0.233, -0.121, 0.0), height=32, width=48)
    pictures = ImageView({"a": field}, original).pictures(view)
    points = seen_points(view)
    inside = ((points[:, 0].abs() < 1) & (points[:, 1].abs() < 8 / 14)).nonzero()[:, 0]
    coordinates = torch.stack([-points[inside, 1], points[inside, 0]], dim=-1)
    colours = flat(pictures["field"])[inside]
    assert torch.allclose(colours, (wave(coordinates) / 2 + 0.5).expand(-1, 3), atol=1e-5)
    colours = flat(pictures["original"])[inside]
    expected = original.values(nearest(original, coordinates)) / 2 + 0.5
    assert torch.allclose(colours, expected.expand(-1, 3), atol=1e-6)


def between_samples(shape, channels=1):
    """Zero at the samples and large between them."""
    spacing = 2 / (max(shape) - 1)
    start = torch.tensor(square_half_extent(shape))

    def function(points):
        return torch.sin(math.pi * (points + start) / spacing).abs().sum(-1, keepdim=True).expand(-1, channels)

    return function


@pytest.mark.parametrize("gain", [1.0, 10.0])
def test_errors_of_colours_are_those_at_the_samples(gain):
    """Each channel's on its own, gray where there is none, whatever the field does between the samples."""
    shape, view = (6, 11), look((0.1, 0.05, 1.9), (0.1, 0.05, 0.0))
    apart, wild = torch.tensor([[0.1, -0.05, 0.0]]), between_samples(shape, 3)
    original = sampled(lambda points: 0.3 * wave(points).expand(-1, 3), shape)
    field = field_of(lambda points: 0.3 * wave(points) + apart + wild(points), shape)
    pictures = ImageView({"a": field}, original).pictures(view, ViewSettings(error_gain=gain))
    inside = (seen_points(view).abs() < torch.tensor([1.0, 0.5])).all(dim=-1)
    expected = 0.5 + 0.5 * (apart / 2 * gain).clamp(-1, 1)
    assert torch.allclose(flat(pictures["error"])[inside], expected.expand(int(inside.sum()), -1), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_errors_of_gray_are_red_where_the_field_is_too_large_and_blue_where_it_is_too_small(channels):
    """In full colour at half the range; alpha is left out."""
    shape, view = (6, 11), look((0.1, 0.05, 1.9), (0.1, 0.05, 0.0))

    def error(apart):
        gray, alpha = [0.1], [1.0] * (channels - 1)
        original = sampled(constant(*gray, *alpha), shape)
        field = field_of(constant(gray[0] + apart, *(-a for a in alpha)), shape)
        picture = ImageView({"a": field}, original).pictures(view, ViewSettings(error_gain=2.0))["error"]
        (colour,) = flat(picture)[(seen_points(view).abs() < torch.tensor([1.0, 0.5])).all(dim=-1)].unique(dim=0)
        return colour

    assert error(0.0).min() > 0.95
    for apart in (-1.0, -0.4, 0.4, 1.0):
        red, _, blue = error(apart)
        assert (red - blue) * apart > 0
        expected = torch.tensor(matplotlib.colormaps["RdBu_r"](0.5 + apart / 2)[:3])
        assert torch.allclose(error(apart), expected.float(), atol=0.03)
    assert torch.equal(error(2.0), error(1.0)) and torch.equal(error(-2.0), error(-1.0))


def test_transparency_is_no_part_of_a_colours_error():
    shape, view = (6, 11), look((0.0, 0.0, 1.9), height=8, width=8)
    fields = {"a": field_of(constant(0.1, 0.2, 0.3, 0.9), shape)}
    picture = ImageView(fields, sampled(constant(0.1, 0.2, 0.3, -0.9), shape)).pictures(view)["error"]
    assert torch.allclose(flat(picture)[(seen_points(view).abs() < 0.5).all(dim=-1)], torch.tensor(0.5), atol=1e-5)


# Derivatives


@pytest.mark.parametrize("shape", [(9, 9), (7, 25), (33, 5)])
def test_gradients_are_those_of_the_function_per_sample(shape):
    """Of several channels, the root mean square of the magnitudes; the strongest colour is at what 98 % stay below."""
    frequency, spacing = torch.tensor([3.0, -4.0]), 2 / (max(shape) - 1)

    def function(points):
        phase = points @ frequency
        return torch.stack([torch.sin(phase), torch.cos(phase), 0.5 * torch.sin(phase)], dim=-1)

    def slope(points):
        phase = points @ frequency
        return 5 * spacing * ((1.25 * torch.cos(phase) ** 2 + torch.sin(phase) ** 2) / 3).sqrt()

    view = look((0.02, 0.01, 2.3), height=24, width=24)
    picture = flat(ImageView({"a": field_of(function, shape)}).pictures(view)["gradient"])
    points, extent = seen_points(view), torch.tensor(square_half_extent(shape)).flip(0)
    inside = (points.abs() < extent).all(dim=-1)
    everywhere = (torch.rand(20000, 2) * 2 - 1) * extent
    strongest = torch.quantile(slope(torch.stack([-everywhere[:, 1], everywhere[:, 0]], dim=-1)), 0.98)
    expected = slope(torch.stack([-points[inside, 1], points[inside, 0]], dim=-1)) / strongest
    colours = torch.from_numpy(matplotlib.colormaps["viridis"](expected.numpy())[:, :3]).float()
    assert (picture[inside] - colours).abs().max() < 0.03


def test_a_slices_derivatives_are_those_within_it():
    """The function changes across the slice only: nothing of that is seen."""
    view = look((0.0, 0.0, 2.3), height=24, width=24)
    field = field_of(lambda points: torch.sin(9 * points[:, :1]) + 1e-4 * points[:, 1:2], (9, 9, 9), "volume")
    picture = flat(ImageView({"a": field}).pictures(view, ViewSettings(slice_axis=0))["gradient"])
    inside = (seen_points(view).abs() < 1).all(dim=-1)
    assert len(picture[inside].unique(dim=0)) == 1


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_laplacian_is_red_in_hollows_and_blue_on_hills_in_the_planes_own_scale(scale):
    view = look((0.0, 0.0, 2.5), height=32, width=32)
    picture = flat(ImageView({"a": field_of(lambda p: scale * p[:, 1:] ** 3, (33, 33))}).pictures(view)["laplacian"])
    x = seen_points(view)[:, 0]
    right, left = (x > 0.2) & (picture[:, 1] < 1), (x < -0.2) & (picture[:, 1] < 1)
    assert right.any() and (picture[right, 0] > picture[right, 2] + 0.1).all()
    assert left.any() and (picture[left, 2] > picture[left, 0] + 0.1).all()
    assert picture[right].mean(-1).min() < 0.45  # Its strongest colour is used.


# What browsers draw


def drawn(drawing, look):
    """The parts of a drawing for a camera, and their pixels."""
    parts = list(drawing.parts(look))
    return [(part, part.make(lambda paint, places: paint(places))) for part in parts]


def look_from(eye, fov=1.3, aspect=1.5, resolution=1024):
    """A browser that looks straight at the plane z = 0."""
    facing = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
    return Look(eye, facing, fov, aspect, resolution)


@settings(max_examples=15, deadline=None)
@given(x=st.floats(-1.2, 1.2), y=st.floats(-0.8, 0.8), height=st.floats(0.05, 4.0), aspect=st.floats(0.5, 2.0))
def test_all_of_a_plane_that_is_seen_has_texels_no_larger_than_the_pixels(x, y, height, aspect):
    look, extent = look_from((x, y, height), aspect=aspect), (1.0, 0.6)
    whole, *tiles = PlaneDrawing(lambda places: places[:, :1].expand(-1, 3), *extent).parts(look)
    assert (whole.columns, whole.rows) == (512, 307) and not whole.refines
    assert (whole.left, whole.top, whole.width, whole.height) == (-1.0, 0.6, 2.0, 1.2)
    half = height * math.tan(look.fov / 2)
    pixel = 2 * half / look.height
    if pixel >= 1.12 * whole.width / whole.columns:
        assert not tiles
        return
    corners = [(-1.0, x - aspect * half), (-0.6, y - half)], [(1.0, x + aspect * half), (0.6, y + half)]
    low, high = [max(pair) for pair in corners[0]], [min(pair) for pair in corners[1]]
    seen = np.random.default_rng(0).uniform(0, 1, (200, 2)) * np.subtract(high, low) + low
    finest = whole.width / whole.columns
    for place in seen if min(np.subtract(high, low)) > 0 else ():
        over = [t for t in tiles if t.left <= place[0] <= t.left + t.width and t.top - t.height <= place[1] <= t.top]
        texel = min([finest, *(t.width / t.columns for t in over)])
        assert texel <= 1.12 * pixel
    assert len(tiles) <= 48 and len({t.key for t in tiles}) == len(tiles)


def test_tiles_show_what_the_whole_picture_shows_and_those_in_the_middle_of_the_view_come_first():
    drawing = ImageView({"a": field_of(coordinates_as_colours, (9, 9))}).drawing("field", PLAIN)
    look = look_from((0.3, -0.2, 0.4))
    (whole, everything), *tiles = drawn(drawing, look)
    for part, pixels in [(whole, everything), *tiles[:4]]:
        assert pixels.shape == (part.rows, part.columns, 3) and pixels.dtype == np.uint8
        x = part.left + (np.arange(part.columns) + 0.5) * part.width / part.columns
        y = part.top - (np.arange(part.rows) + 0.5) * part.height / part.rows
        assert np.abs(pixels[:, :, 1] / 255 - (1 + x) / 2).max() < 0.01
        assert np.abs(pixels[:, :, 0] / 255 - (1 - y[:, None]) / 2).max() < 0.01
    first = tiles[0][0]
    assert first.left <= 0.3 <= first.left + first.width and first.top - first.height <= -0.2 <= first.top
    far = [math.hypot(t.left + t.width / 2 - 0.3, t.top - t.height / 2 + 0.2) for t, _ in tiles]
    assert far[-1] > 2 * far[0]


def test_a_view_that_moves_keeps_the_tiles_that_it_has():
    drawing = PlaneDrawing(lambda places: places[:, :1].expand(-1, 3), 1.0, 0.6)
    before, after = ({part.key for part in drawing.parts(look_from((x, 0.0, 0.3)))} for x in (0.0, 0.1))
    assert len(before & after) > len(before) / 2


def test_colours_of_errors_are_told_in_the_originals_units():
    view = ImageView({"a": field_of(wave, (9, 9))}, sampled(wave, (9, 9)))
    legend = view.drawing("error", ViewSettings(error_gain=5.0)).legend()
    assert "field" in legend and ">\u22120.4<" in legend and ">0\\.4<" in legend  # Of values from -1 to 1.
    assert view.drawing("field", PLAIN).legend() == view.drawing("original", PLAIN).legend() == ""


# Slices and frames


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("position", [-1.0, 0.0, 0.5, 1.0])
def test_a_slice_is_an_image_of_the_other_two_axes(axis, position):
    shape, extent = (5, 9, 13), torch.tensor([1 / 3, 2 / 3, 1.0])
    view = look((0.03, 0.02, 2.0), height=40, width=40)
    original = sampled(lambda points: 0.9 * points.flip(-1), shape, "volume")
    view_of_volume = ImageView({"a": field_of(lambda points: points, shape, "volume")}, original)
    pictures = view_of_volume.pictures(view, ViewSettings(slice_axis=axis, slice_position=position))
    down, right = (a for a in range(3) if a != axis)
    points = seen_points(view)
    inside = (points[:, 0].abs() < extent[right]) & (points[:, 1].abs() < extent[down])
    coordinates = torch.empty(int(inside.sum()), 3)
    coordinates[:, axis] = position * extent[axis]
    coordinates[:, down], coordinates[:, right] = -points[inside, 1], points[inside, 0]
    assert torch.allclose(flat(pictures["field"])[inside], coordinates / 2 + 0.5, atol=1e-5)
    assert (flat(pictures["field"])[~inside] == 1).all() and inside.any()
    expected = original.values(nearest(original, coordinates)) / 2 + 0.5
    assert torch.allclose(flat(pictures["original"])[inside], expected, atol=1e-6)
    check_pictures(pictures, view)


def test_each_frame_of_a_video_is_shown():
    samples = np.random.default_rng(0).uniform(-1, 1, (5, 4, 6, 3)).astype(np.float32)
    video = GridSignal("video", Path("v.npy"), samples, 0.0, 1.0, (1.0, 0.6, 1.0), {"frame_rate": 24.0})
    description = replace(describe((5, 4, 6), 3, "video"), signal=video.describe())
    field = LoadedField(Analytic(lambda points: points[:, :1].expand(-1, 3)), description)
    view = look((0.0, 0.0, 2.6), height=48, width=48)
    points = seen_points(view)
    inside = (points[:, 0].abs() < 1) & (points[:, 1].abs() < 0.6)
    for frame, time in enumerate((-1.0, -0.5, 0.0, 0.5, 1.0)):
        pictures = ImageView({"a": field}, video).pictures(view, ViewSettings(slice_position=time))
        assert torch.allclose(flat(pictures["field"])[inside], torch.tensor((time + 1) / 2))
        shown = flat(pictures["original"])[inside].unique(dim=0)
        expected = torch.from_numpy(samples[frame].reshape(-1, 3) / 2 + 0.5).unique(dim=0)
        assert torch.allclose(shown, expected, atol=1e-6)


def test_an_image_is_framed_as_it_lies():
    assert ImageView({"a": field_of(wave, (5, 9))}).framing() == Framing((0.0, 0.0, 1.0), 1.0, 0.5)
    volume = field_of(wave, (5, 9, 13), "volume")
    framing = ImageView({"a": volume}).framing()
    assert (framing.half_width, framing.half_height) == pytest.approx((1.0, 2 / 3))


# Several fields


def test_several_fields_are_told_apart_by_name():
    shape, view = (9, 9), look((0.0, 0.0, 1.5), height=8, width=8)
    levels = {"one": 0.2, "two": -0.1, "three": 0.5}
    fields = {name: field_of(constant(level, 0.0, 0.0), shape) for name, level in levels.items()}
    seen = ImageView(fields, sampled(constant(0.0, 0.0, 0.0), shape))
    pictures = seen.pictures(view, PLAIN)
    names = list(pictures)
    assert (seen.outputs[0], seen.outputs[-1]) == ("one/field", "three/field")  # The two that are seen at first.
    assert set(names) - set(seen.outputs) == {"accumulation", "depth"}
    each = {f"{name}/{output}" for name in fields for output in ("field", "error", "gradient", "laplacian")}
    assert set(names) == each | {"difference", "accumulation", "depth", "original"} and len(names) == len(set(names))
    for name, level in levels.items():
        assert pictures[f"{name}/field"][4, 4, 0].item() == pytest.approx(level / 2 + 0.5)
        assert pictures[f"{name}/error"][4, 4, 0].item() == pytest.approx(level / 4 + 0.5)
    assert pictures["difference"][4, 4, 0].item() == pytest.approx(0.3 / 4 + 0.5)
    assert torch.equal(pictures["rgb"], pictures["one/field"])
    check_pictures(pictures, view)


@pytest.mark.parametrize("pair", [("one", "two"), ("three", "one"), ("two", "two")])
def test_the_difference_is_that_of_the_chosen_fields_also_between_the_samples(pair):
    shape, view = (9, 9), look((0.0, 0.0, 1.5), height=16, width=16)
    functions = {"one": wave, "two": lambda points: 0.3 * points[:, :1], "three": constant(0.1)}
    fields = {name: field_of(lambda p, f=f: f(p).expand(-1, 3), shape) for name, f in functions.items()}
    pictures = ImageView(fields).pictures(view, ViewSettings(error_gain=3.0, difference=pair))
    points = seen_points(view)
    inside = (points.abs() < 1).all(dim=-1)
    coordinates = torch.stack([-points[inside, 1], points[inside, 0]], dim=-1)
    apart = functions[pair[0]](coordinates) - functions[pair[1]](coordinates)
    expected = 0.5 + 0.5 * (apart / 2 * 3).clamp(-1, 1)
    assert torch.allclose(flat(pictures["difference"])[inside], expected.expand(-1, 3), atol=1e-5)


def test_without_the_original_the_field_is_shown_alone():
    view = look((0.0, 0.0, 1.5), height=8, width=8)
    pictures = ImageView({"a": field_of(wave, (9, 9))}).pictures(view)
    assert list(pictures) == ["field", "gradient", "laplacian", "accumulation", "depth"]
    check_pictures(pictures, view)


# Outputs by name


def test_pictures_are_drawn_when_they_are_asked_for_and_once():
    drawn = []

    def draw(name, channels):
        return lambda: (drawn.append(name), torch.zeros(6, channels))[1]

    pictures = Pictures({"first": draw("first", 3), "second": draw("second", 1)}, 2, 3)
    assert list(pictures) == ["first", "second"] and len(pictures) == 2 and not drawn
    assert "second" in pictures and "rgb" in pictures and "third" not in pictures and not drawn
    assert pictures["second"].shape == (2, 3, 1) and drawn == ["second"]
    assert pictures["rgb"].shape == (2, 3, 3) and drawn == ["second", "first"]
    assert pictures["rgb"] is pictures["first"] and pictures["second"] is pictures.get("second")
    assert drawn == ["second", "first"]
    with pytest.raises(KeyError):
        pictures["third"]
    assert pictures.get("third") is None


def test_what_nerfstudio_puts_into_the_pictures_is_kept_but_not_listed():
    pictures = Pictures({"field": lambda: torch.zeros(6, 3)}, 2, 3)
    assert "gl_z_buf_depth" not in pictures
    pictures["gl_z_buf_depth"] = torch.ones(2, 3, 1)
    pictures["rgba"] = torch.ones(2, 3, 4)
    assert "gl_z_buf_depth" in pictures and pictures["gl_z_buf_depth"].sum() == 6
    assert list(pictures) == list(pictures.keys()) == ["field"] and len(pictures) == 1
    assert {name: value.shape for name, value in pictures.items()} == {"field": (2, 3, 3)}
    assert {name: value.shape for name, value in dict(pictures).items()} == {"field": (2, 3, 3)}
    del pictures["field"]
    assert list(pictures) == [] and "field" not in pictures


def test_only_what_is_asked_for_is_evaluated():
    shape, view = (9, 9), look((0.0, 0.0, 1.5), height=16, width=16)
    fields = {"a": field_of(wave, shape), "b": field_of(wave, shape)}
    inside = int((seen_points(view).abs() <= 1).all(dim=-1).sum())
    pictures = ImageView(fields, sampled(wave, shape)).pictures(view)
    pictures["original"], pictures["depth"]
    assert fields["a"].network.count == fields["b"].network.count == 0
    pictures["b/field"], pictures["b/error"]
    assert (fields["a"].network.count, fields["b"].network.count) == (0, 2 * inside)
    pictures["b/gradient"], pictures["b/field"]
    assert fields["a"].network.count == 0


def test_pictures_of_a_field_in_training_carry_no_graph():
    network = Siren(2, 3, width=8, depth=2)
    assert all(weight.requires_grad for weight in network.parameters())
    view = look((0.0, 0.0, 1.5), height=8, width=8)
    fields = {"a": LoadedField(network, describe((9, 9), 3))}
    check_pictures(ImageView(fields, sampled(constant(0.0, 0.0, 0.0), (9, 9))).pictures(view), view)

"""Pictures of analytic fields, against what geometry says that a camera sees."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from winner_ns.viewing import image_outputs, plane_points, slice_outputs, surface_outputs, waveform_outputs

WHITE = torch.ones(3)


def pinhole(size, eye, target=(0.0, 0.0, 0.0), roll=0.0, focal=1.2):
    """Rays of a square picture, row by row, and the area of each pixel at distance 1 (as nerfstudio has it)."""
    eye, target = torch.tensor(eye), torch.tensor(target)
    back = torch.nn.functional.normalize(eye - target, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), back), dim=0)
    up = torch.linalg.cross(back, right)
    right, up = math.cos(roll) * right + math.sin(roll) * up, math.cos(roll) * up - math.sin(roll) * right

    def directions(shift_x, shift_y):
        at = (torch.arange(size) + 0.5) / size - 0.5
        y, x = torch.meshgrid(at + shift_y / size, at + shift_x / size, indexing="ij")
        rays = x[..., None] * right - y[..., None] * up - focal * back
        return torch.nn.functional.normalize(rays, dim=-1).reshape(-1, 3)

    middle = directions(0, 0)
    area = (middle - directions(1, 0)).norm(dim=-1) * (middle - directions(0, 1)).norm(dim=-1)
    return eye.expand(size * size, 3), middle, area[:, None]


def rays_to(points, eye):
    """Rays from one place to points."""
    offsets = points - torch.tensor(eye)
    return torch.tensor(eye).expand_as(points), torch.nn.functional.normalize(offsets, dim=-1), offsets.norm(dim=-1)


def check_outputs(outputs, rays):
    """What nerfstudio's viewer needs of every output."""
    for name, value in outputs.items():
        assert value.dtype == torch.float32 and len(value) == rays, name
        assert value.shape[1] in (1, 3) and torch.isfinite(value).all(), name
        if name != "depth":
            assert value.min() >= 0 and value.max() <= 1, name


def coordinates_as_colours(points):
    return torch.cat([points, torch.zeros_like(points[:, :1])], dim=-1)


# The plane


def test_plane_points_by_hand():
    origins = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, -1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, 2.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.6, 0.0, 0.8], [0.0, -0.6, -0.8], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    points, depth, hit = plane_points(origins, directions)
    assert hit.tolist() == [True, True, True, False, False]
    assert torch.allclose(depth[:3, 0], torch.tensor([2.0, 1.25, 1.25]))
    assert torch.allclose(points[:3], torch.tensor([[0.0, 0.0], [0.75, 0.0], [1.0, 0.25]]))
    assert torch.isfinite(points).all() and torch.isfinite(depth).all() and (depth > 0).all()


inner = st.floats(-0.99, 0.99)


@given(x=inner, y=inner, eye=st.tuples(inner, inner, st.sampled_from([-3.0, 0.5, 2.0])))
def test_image_is_seen_where_it_lies(x, y, eye):
    """x to the right is the column, y up is minus the row, from wherever one looks."""
    origins, directions, far = rays_to(torch.tensor([[x, y, 0.0]]), eye)
    outputs = image_outputs(coordinates_as_colours, (1.0, 1.0), origins, directions)
    expected = torch.tensor([[(1 - y) / 2, (1 + x) / 2, 0.5]])
    assert torch.allclose(outputs["field"], expected, atol=1e-4)
    assert torch.allclose(outputs["depth"][:, 0], far, rtol=1e-4)
    assert outputs["accumulation"].item() == 1.0


def test_beside_an_image_is_white_and_the_network_is_not_asked_there():
    asked = []

    def network(points):
        asked.append(points)
        return points[:, :1] * 0 - 1

    origins, directions, _ = pinhole(64, (0.0, 0.0, 2.0))
    outputs = image_outputs(network, (0.25, 0.5), origins, directions)
    points, _, _ = plane_points(origins, directions)
    inside = (points[:, 0].abs() <= 0.5) & (points[:, 1].abs() <= 0.25)
    assert 0 < inside.sum() < len(inside)
    assert torch.equal(outputs["accumulation"][:, 0] == 1, inside)
    assert (outputs["field"][inside] == 0).all() and (outputs["field"][~inside] == 1).all()
    assert (outputs["depth"][~inside] > outputs["depth"][inside].max()).all()
    rows, columns = torch.cat(asked).unbind(-1)
    assert len(rows) == inside.sum() and rows.abs().max() <= 0.25 and columns.abs().max() <= 0.5
    check_outputs(outputs, 64 * 64)


def test_rays_away_from_an_image_see_white():
    def network(points):
        raise AssertionError("nothing is seen")

    origins, directions, _ = pinhole(8, (0.0, 0.0, 2.0))
    outputs = image_outputs(network, (1.0, 1.0), origins, -directions)
    assert (outputs["field"] == 1).all() and (outputs["accumulation"] == 0).all()
    check_outputs(outputs, 64)


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
    origins, directions, _ = rays_to(torch.tensor([[0.1, 0.2, 0.0]]), (0.0, 0.0, 2.0))
    outputs = image_outputs(lambda p: torch.tensor([values]).expand(len(p), -1), (1.0, 1.0), origins, directions)
    assert torch.allclose(outputs["field"], torch.tensor([expected]))


@pytest.mark.parametrize("colour", [[1.0], [1.0, -1.0, 0.0]])
def test_transparent_pixels_let_a_checkerboard_through(colour):
    origins, directions, _ = pinhole(64, (0.0, 0.0, 2.0))

    def seen(alpha):
        values = torch.tensor([*colour, 2 * alpha - 1])
        return image_outputs(lambda p: values.expand(len(p), -1), (2.0, 2.0), origins, directions)["field"]

    board = seen(0.0)
    assert (board == board[:, :1]).all()  # Gray.
    shades, counts = board[:, 0].unique(return_counts=True)
    assert len(shades) == 2 and 0.2 < shades[0] < shades[1] < 0.9
    assert counts.min() > 0.4 * len(board)
    assert torch.allclose(seen(0.25), 0.25 * seen(1.0) + 0.75 * board, atol=1e-6)


def test_rolled_camera_turns_the_picture():
    upright = image_outputs(coordinates_as_colours, (0.7, 0.4), *pinhole(64, (0.2, 0.1, 2.0), (0.2, 0.1, 0.0))[:2])
    rolled = image_outputs(
        coordinates_as_colours, (0.7, 0.4), *pinhole(64, (0.2, 0.1, 2.0), (0.2, 0.1, 0.0), math.pi / 2)[:2]
    )
    for name in upright:
        expected = torch.rot90(upright[name].reshape(64, 64, -1), -1)
        assert torch.allclose(rolled[name].reshape(64, 64, -1), expected, atol=1e-4), name


@pytest.mark.parametrize("position, first", [(0.0, 0.0), (-1.0, -0.3), (0.5, 0.15)])
def test_slice_is_an_image_at_a_place_of_the_first_axis(position, first):
    origins, directions, _ = rays_to(torch.tensor([[0.4, 0.3, 0.0], [0.4, 0.6, 0.0]]), (0.0, 0.0, 2.0))
    outputs = slice_outputs(lambda p: p, (0.3, 0.5, 1.0), origins, directions, position)
    assert torch.allclose(outputs["field"][0], torch.tensor([first, -0.3, 0.4]) * 0.5 + 0.5, atol=1e-5)
    assert torch.equal(outputs["field"][1], WHITE)  # Above the second axis' extent.


def test_slice_outside_is_refused():
    with pytest.raises(ValueError, match="1.5"):
        slice_outputs(lambda p: p, (1.0, 1.0, 1.0), torch.zeros(1, 3), torch.ones(1, 3), 1.5)


# Waveforms


def ink(network, size=160, eye=(0.0, 0.0, 1.0), target=(0.0, 0.0, 0.0), roll=0.0, focal=1.2):
    """Darkness of the curve (which is blue; all else is gray) [size, size], and x and y of the pixels."""
    origins, directions, area = pinhole(size, eye, target, roll, focal)
    outputs = waveform_outputs(network, origins, directions, area)
    check_outputs(outputs, size * size)
    colour = outputs["field"].reshape(size, size, 3)
    points = plane_points(origins, directions)[0].reshape(size, size, 2)
    return (colour[..., 2] - colour[..., 0]) / 0.53, points[..., 0], points[..., 1]


@given(value=st.floats(-0.8, 0.8))
@settings(max_examples=20)
def test_constant_sound_is_a_thin_line_at_its_height(value):
    dark, _, y = ink(lambda t: torch.full_like(t, value))
    pixel = y[0, 0] - y[1, 0]
    assert (dark[(y - value / 2).abs() > 1.5 * pixel] < 0.01).all()
    assert ((dark.sum(0) > 0.8) & (dark.sum(0) < 2.2)).all()
    assert ((dark * y).sum(0) / dark.sum(0) - value / 2).abs().max() < 0.5 * pixel


def test_slow_wave_is_drawn_as_its_curve():
    def wave(t):
        return 0.8 * torch.sin(7 * t)

    dark, x, y = ink(wave)
    pixel = y[0, 0] - y[1, 0]
    heights = (dark * y).sum(0) / dark.sum(0)
    assert (heights - wave(x[0]) / 2).abs().max() < pixel


@pytest.mark.parametrize("period_in_pixels", [1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 100, 0.37, 0.0123])
def test_fast_wave_fills_its_height_whatever_its_frequency(period_in_pixels):
    """Also where the frequency is a multiple of the pixels', or of the times' at which the sound is asked for."""
    for width in (1.0, 2.0 ** math.floor(math.log2(1 / 160 / 1.2)) / (1 / 160 / 1.2)):
        period = period_in_pixels * width / 160 / 1.2
        dark, x, y = ink(lambda t, p=period: 0.8 * torch.sin(2 * math.pi * (t.double() / p)).float())
        inked = dark > 0.5
        share = (inked & (y.abs() < 0.4)).sum(0) / (y[:, 0].abs() < 0.4).sum()
        assert share.mean() > 0.85
        pixel = y[0, 0] - y[1, 0]
        assert not inked[y.abs() > 0.4 + 1.5 * pixel].any()


@pytest.mark.parametrize("eye", [(0.0, 0.0, 1.8), (0.9, 0.2, 1.6), (-0.6, -1.0, 1.4), (-1.0, -0.9, 1.4)])
@pytest.mark.parametrize("roll", [0.0, 0.5])
def test_steep_curve_stays_connected(eye, roll):
    from scipy.ndimage import label

    dark, _, _ = ink(lambda t: 0.8 * torch.tanh(300 * torch.sin(20 * t)), eye=eye, roll=roll, focal=0.5)
    assert not torch.cat([dark[0], dark[-1], dark[:, 0], dark[:, -1]]).any()  # All of it is in the picture.
    _, pieces = label((dark > 0.25).numpy(), structure=torch.ones(3, 3).numpy())
    assert pieces == 1


def test_channels_lie_below_each_other():
    dark, _, y = ink(lambda t: torch.cat([torch.full_like(t, 0.5), torch.full_like(t, -0.5)], dim=1))
    pixel = y[0, 0] - y[1, 0]
    column, heights = dark[:, 80], y[:, 80]
    upper, lower = column * (heights > 0), column * (heights < 0)
    assert abs((upper * heights).sum() / upper.sum() - (0.25 + 0.125)) < pixel
    assert abs((lower * heights).sum() / lower.sum() - (-0.25 - 0.125)) < pixel


@pytest.mark.parametrize("roll", [0.0, 0.4, math.pi / 2])
def test_network_is_asked_once_per_column_and_only_during_the_sound(roll):
    asked = []

    def network(t):
        asked.append(t)
        return torch.sin(50 * t)

    ink(network, eye=(0.0, 0.0, 2.0), roll=roll)
    times = torch.cat(asked)
    assert times.abs().max() <= 1
    assert len(times) < 50 * 160  # For 160 x 160 rays.


def test_rolled_camera_turns_the_waveform():
    def wave(t):
        return torch.sin(30 * t)

    upright, rolled = (ink(wave, eye=(0.0, 0.0, 1.6), roll=roll)[0] for roll in (0.0, math.pi / 2))
    assert (rolled - torch.rot90(upright, -1)).abs().mean() < 0.005


def test_frame_surrounds_the_sound_and_white_the_frame():
    origins, directions, area = pinhole(200, (0.0, 0.0, 2.8))
    outputs = waveform_outputs(lambda t: 0 * t, origins, directions, area)
    x, y = plane_points(origins, directions)[0].unbind(-1)
    beside = (x.abs() > 1.02) | (y.abs() > 0.52)
    within = (x.abs() < 0.99) & (y.abs() < 0.49)
    assert (outputs["field"][beside] == 1).all() and (outputs["accumulation"][beside] == 0).all()
    assert (outputs["accumulation"][within] == 1).all()
    darkness = 1 - outputs["field"].mean(-1)
    for border in ((y - 0.5).abs(), (y + 0.5).abs(), (x - 1).abs(), (x + 1).abs()):
        assert darkness[(border < 0.0055) & (x.abs() <= 1) & (y.abs() <= 0.5)].min() > 0.2
    outputs = waveform_outputs(lambda t: 0 * t, origins, -directions, area)
    assert (outputs["field"] == 1).all()


# Surfaces


def sphere(radius=0.5, center=(0.0, 0.0, 0.0), gain=1.0):
    """Signed distance of a sphere that levels off at 0.1, as a fitted one does."""
    return lambda p: (gain * ((p - torch.tensor(center)).norm(dim=-1, keepdim=True) - radius)).clamp(-0.1, 0.1)


def sphere_depth(origins, directions, radius, center=(0.0, 0.0, 0.0)):
    """The exact distance to a sphere, and how far beside its centre each ray passes."""
    offsets = torch.tensor(center) - origins
    along = (offsets * directions).sum(-1)
    beside = (offsets.square().sum(-1) - along.square()).clamp(min=0).sqrt()
    return along - (radius**2 - beside**2).clamp(min=0).sqrt(), beside


@pytest.mark.parametrize("gain", [1.0, 0.7, 1.6])  # Exact, too small and too large a distance.
@pytest.mark.parametrize("eye, center", [((0.0, 0.0, 2.5), (0.0, 0.0, 0.0)), ((1.5, -1.2, -2.0), (0.2, -0.1, 0.3))])
def test_sphere_is_seen_where_it_is(eye, center, gain):
    origins, directions, _ = pinhole(96, eye)
    outputs = surface_outputs(sphere(0.5, center, gain), origins, directions)
    check_outputs(outputs, 96 * 96)
    exact, beside = sphere_depth(origins, directions, 0.5, center)
    hit = outputs["accumulation"][:, 0] == 1
    assert 200 < hit.sum() < 96 * 96
    assert hit[beside < 0.499].all() and not hit[beside > 0.502].any()
    seen = beside < 0.49
    assert (outputs["depth"][:, 0] - exact)[seen].abs().max() < 1e-3

    normals = outputs["normals"] * 2 - 1
    radial = torch.nn.functional.normalize(origins + exact[:, None] * directions - torch.tensor(center), dim=-1)
    assert (normals * radial).sum(-1)[seen].min() > math.cos(math.radians(1.0))
    assert (outputs["shaded"][~hit] == 1).all() and (outputs["normals"][~hit] == 1).all()
    assert outputs["depth"][~hit].min() > outputs["depth"][hit].max()


def test_shading_is_soft_gray_brightest_towards_camera_and_sky():
    size = 65
    outputs = surface_outputs(sphere(), *pinhole(size, (0.0, 0.0, 2.5))[:2])
    shaded = outputs["shaded"].reshape(size, size, 3)
    assert (shaded == shaded[..., :1]).all()
    gray, hit = shaded[..., 0], outputs["accumulation"].reshape(size, size) == 1
    middle = size // 2
    column = gray[hit[:, middle], middle]
    assert column.max() > 0.75 and column.min() > 0.1
    assert column[1] > column[-2]  # Top and bottom.
    row = gray[middle, hit[middle]]
    assert row.argmax() in (len(row) // 2 - 1, len(row) // 2, len(row) // 2 + 1)
    assert torch.allclose(row, row.flip(0), atol=0.02)


def test_from_inside_the_inner_side_is_seen():
    origins, directions, _ = pinhole(32, (0.0, 0.0, 1e-3))
    outputs = surface_outputs(sphere(), origins, directions)
    assert (outputs["accumulation"] == 1).all()
    assert (outputs["depth"] - 0.5).abs().max() < 2e-3
    assert ((outputs["normals"] * 2 - 1) * directions).sum(-1).min() > 0.99  # Still outward.
    assert outputs["shaded"].min() > 0.3


@pytest.mark.parametrize("thickness", [0.01, 0.04])
def test_thin_walls_are_not_passed(thickness):
    def wall(p):
        return (p[:, 2:].abs() - thickness / 2).clamp(-0.1, 0.1)

    outputs = surface_outputs(wall, *pinhole(64, (0.0, 0.0, 2.0), focal=2.5)[:2])
    assert (outputs["accumulation"] == 1).all()


def test_grazing_rays_leave_no_holes():
    """A long flat surface seen at a slant, where steps are short for a long way, in front of a wall."""

    def distance(p):
        return torch.minimum(p[:, 1:2] + 0.5, p[:, 2:] + 0.9).clamp(-0.1, 0.1)

    origins, directions, _ = pinhole(96, (0.0, -0.48, 0.95), (0.0, -0.48, 0.0), focal=1.5)
    outputs = surface_outputs(distance, origins, directions)
    to_floor = (-0.5 - origins[:, 1]) / directions[:, 1]
    to_wall = (-0.9 - origins[:, 2]) / directions[:, 2]
    exact = torch.where(to_floor > 0, torch.minimum(to_floor, to_wall), to_wall)
    within = (origins + exact[:, None] * directions).abs().amax(-1) < 0.99
    assert (outputs["accumulation"][within] == 1).all()


def test_only_the_cube_is_looked_at():
    evaluated = []

    def distance(p):
        evaluated.append(p)
        return p[:, 1:2].clamp(-0.1, 0.1)  # The plane y = 0, without end.

    origins, directions, _ = pinhole(64, (0.0, 2.0, 2.0))
    outputs = surface_outputs(distance, origins, directions)
    points = origins - origins[:, 1:2] / directions[:, 1:2] * directions
    far_inside, outside = points.abs().amax(-1) < 0.99, points.abs().amax(-1) > 1.01
    hit = outputs["accumulation"][:, 0] == 1
    assert far_inside.any() and outside.any()
    assert hit[far_inside].all() and not hit[outside].any()
    assert torch.cat(evaluated).abs().max() < 1.01  # Normals reach a little further.


def test_rays_that_miss_the_cube_cost_nothing():
    def distance(p):
        raise AssertionError("nothing is seen")

    origins, directions, _ = pinhole(16, (0.0, 0.0, 3.0))
    for rays in ((origins, -directions), (origins + torch.tensor([9.0, 0.0, 0.0]), directions)):
        outputs = surface_outputs(distance, *rays)
        assert (outputs["accumulation"] == 0).all() and (outputs["shaded"] == 1).all()
        check_outputs(outputs, 256)


def test_finished_rays_are_not_evaluated_again():
    counts = []

    def distance(p):
        counts.append(len(p))
        return sphere()(p)

    origins, directions, _ = pinhole(64, (0.0, 0.0, 2.5))
    surface_outputs(distance, origins, directions)
    assert sum(counts) < 35 * 64 * 64


def test_rays_along_the_axes_and_faces_are_harmless():
    origins = torch.tensor([[0.0, 0.0, 3.0], [0.0, 3.0, 0.0], [1.0, 1.0, 3.0], [0.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    outputs = surface_outputs(sphere(), origins, directions)
    assert outputs["accumulation"][:, 0].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert torch.allclose(outputs["depth"][:2, 0], torch.tensor(2.5), atol=1e-3)
    check_outputs(outputs, 4)


def test_rolled_camera_turns_the_surface():
    upright, rolled = (
        surface_outputs(sphere(0.4, (0.2, 0.3, 0.0)), *pinhole(48, (0.0, 0.0, 2.5), roll=roll)[:2])
        for roll in (0.0, math.pi / 2)
    )
    for name in upright:
        difference = rolled[name].reshape(48, 48, -1) - torch.rot90(upright[name].reshape(48, 48, -1), -1)
        assert (difference.abs() > 0.01).float().mean() < 0.005, name  # A pixel of the outline may differ.

"""What each kind looks like along rays, with networks whose picture is known."""

import math

import pytest
import torch

from winner_ns.viewing.plane import image_outputs, slice_outputs
from winner_ns.viewing.surface import surface_outputs
from winner_ns.viewing.waveform import waveform_outputs

DOWN = torch.tensor([0.0, 0.0, -1.0])


def straight_down(points, height=2.0):
    """Parallel rays onto the plane z = 0 at these x, y."""
    points = torch.as_tensor(points, dtype=torch.float32)
    origins = torch.cat([points, torch.full_like(points[:, :1], height)], dim=-1)
    return origins, DOWN.expand(len(points), 3)


def test_an_image_is_upright_and_ends_at_its_edges():
    """A network that returns its own (row, column) as red and green: top left is dark, right is green, down is red."""

    def network(points):
        return torch.cat([points, torch.zeros_like(points[:, :1])], dim=-1)

    rays = straight_down([[-0.9, 0.4], [0.9, 0.4], [-0.9, -0.4], [0.0, 0.0], [0.0, 0.6], [1.1, 0.0]])
    outputs = image_outputs(network, (0.5, 1.0), *rays)
    expected = torch.tensor([[0.3, 0.05], [0.3, 0.95], [0.7, 0.05], [0.5, 0.5]])
    assert torch.allclose(outputs["field"][:4, :2], expected, atol=1e-6)
    assert outputs["accumulation"][:, 0].tolist() == [1, 1, 1, 1, 0, 0]
    assert torch.equal(outputs["field"][4:], torch.ones(2, 3))
    assert torch.allclose(outputs["depth"][:4], torch.full((4, 1), 2.0))


def test_oblique_and_missing_rays():
    slanted = torch.tensor([[0.6, 0.0, -0.8], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    origins = torch.tensor([[-0.6, 0.0, 0.8]]).expand(3, 3)
    outputs = image_outputs(lambda p: p[:, 1:], (1.0, 1.0), origins, slanted)
    # The first one meets the plane at x = 0 after a distance of 1; the others never do.
    assert outputs["depth"][0].item() == pytest.approx(1.0)
    assert outputs["field"][0].tolist() == pytest.approx([0.5] * 3)
    assert outputs["accumulation"][:, 0].tolist() == [1, 0, 0]


def test_transparency_shows_a_checkerboard():
    rays = straight_down([[0.03, 0.03], [0.09, 0.03], [0.5, 0.5]])
    opaque = image_outputs(lambda p: torch.tensor([[1.0, -1.0, -1.0, 1.0]]).expand(len(p), 4), (1.0, 1.0), *rays)
    clear = image_outputs(lambda p: torch.tensor([[1.0, -1.0, -1.0, -1.0]]).expand(len(p), 4), (1.0, 1.0), *rays)
    assert torch.allclose(opaque["field"], torch.tensor([[1.0, 0.0, 0.0]]).expand(3, 3))
    assert clear["field"][0, 0] != clear["field"][1, 0]


def test_a_slice_is_taken_where_it_is_asked_for():
    outputs = slice_outputs(lambda p: p[:, :1], (0.5, 1.0, 1.0), *straight_down([[0.0, 0.0]]), position=0.8)
    assert outputs["field"][0].tolist() == pytest.approx([0.7] * 3)
    with pytest.raises(ValueError, match="position"):
        slice_outputs(lambda p: p[:, :1], (0.5, 1.0, 1.0), *straight_down([[0.0, 0.0]]), position=1.5)


def test_a_waveform_is_inked_where_the_sound_is():
    """A sine seen from near: the ink of each column of pixels lies on the curve."""
    pixel, sine = 0.01, lambda t: 0.8 * torch.sin(math.pi * t)
    x = torch.arange(-0.95, 0.96, 0.05)
    y = torch.arange(-0.495, 0.5, pixel)
    points = torch.cartesian_prod(x, y)
    area = torch.full((len(points), 1), (pixel / 2.0) ** 2)
    outputs = waveform_outputs(sine, *straight_down(points), area)
    darkness = 1.0 - outputs["field"].mean(dim=-1).reshape(len(x), len(y))
    # A curve between two rows of pixels inks both by a little more than half.
    inked = (darkness > 0.35).float()
    middle = (inked * y).sum(dim=1) / inked.sum(dim=1)
    assert torch.allclose(middle, 0.5 * sine(x), atol=2 * pixel)
    assert inked.sum(dim=1).max() < 0.2 * len(y)
    assert (outputs["field"].reshape(len(x), len(y), 3) >= 0).all()


def test_a_dense_waveform_is_a_filled_band_not_mush():
    """Hundreds of periods in each pixel: everything between minimum and maximum is inked, nothing beyond."""
    sound = lambda t: 0.6 * torch.sin(20000.0 * t)  # noqa: E731
    x = torch.arange(-0.9, 0.91, 0.1)
    inside, outside = torch.arange(-0.25, 0.26, 0.05), torch.tensor([-0.4, 0.4])
    area = lambda n: torch.full((n, 1), (0.02 / 2.0) ** 2)  # noqa: E731
    filled = torch.cartesian_prod(x, inside)
    empty = torch.cartesian_prod(x, outside)
    ink = waveform_outputs(sound, *straight_down(filled), area(len(filled)))["field"].mean(dim=-1)
    paper = waveform_outputs(sound, *straight_down(empty), area(len(empty)))["field"].mean(dim=-1)
    assert ink.max() < 0.5 < 0.8 < paper.min()


def ball(points):
    """A distance that levels off, as fitted ones do."""
    return (points.norm(dim=-1, keepdim=True) - 0.6).clamp(-0.1, 0.1)


def test_a_ball_has_its_depth_normals_and_silhouette():
    offsets = torch.linspace(-0.9, 0.9, 61)
    points = torch.cartesian_prod(offsets, offsets)
    origins, directions = straight_down(points, height=3.0)
    outputs = surface_outputs(ball, origins, directions)
    radius = points.norm(dim=-1)
    hit = outputs["accumulation"][:, 0] > 0.5
    assert torch.equal(hit[radius < 0.59], torch.ones_like(hit[radius < 0.59]))
    assert not hit[radius > 0.61].any()
    inner = radius < 0.55
    height = (0.36 - radius[inner] ** 2).sqrt()
    assert torch.allclose(outputs["depth"][inner, 0], 3.0 - height, atol=2e-3)
    normal = torch.cat([points[inner], height[:, None]], dim=-1) / 0.6
    assert torch.allclose(outputs["normals"][inner] * 2 - 1, normal, atol=2e-2)
    assert torch.equal(outputs["shaded"][~hit], torch.ones_like(outputs["shaded"][~hit]))
    # Lit from the camera: brighter where it faces it.
    assert outputs["shaded"][radius < 0.1].mean() > outputs["shaded"][(radius > 0.5) & inner].mean()


def test_rays_beside_the_cube_or_away_from_it_see_nothing():
    origins = torch.tensor([[0.0, 0.0, 3.0], [5.0, 5.0, 3.0], [0.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    outputs = surface_outputs(ball, origins, directions)
    assert outputs["accumulation"].sum() == 0
    assert all(torch.isfinite(value).all() for value in outputs.values())

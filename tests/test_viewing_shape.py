"""What cameras see of analytic shapes, against geometry."""

from __future__ import annotations

import io
import json
import math
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from test_viewing import Analytic, check_pictures, flat, look

from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField
from winner_ns.fields.siren import Siren
from winner_ns.signals import ShapeSignal, load_signal
from winner_ns.viewing.colours import signed_colours
from winner_ns.viewing.drawing import Look
from winner_ns.viewing.glb import INPUT, OUTPUT, before_tone_mapping, linear
from winner_ns.viewing.iso_lines import ISO_SPACING, LAST_LINE
from winner_ns.viewing.shape_view import WHOLE_ERROR, ShapeView
from winner_ns.viewing.signal_view import ViewSettings
from winner_ns.viewing.sphere_tracing import CELLS, EmptySpace, cube_interval, trace
from winner_ns.viewing.view import framing_distance

CPU = torch.device("cpu")


# Shapes by their signed distance


def sphere(radius=0.5, center=(0.0, 0.0, 0.0)):
    return lambda p: (p - torch.tensor(center, dtype=p.dtype)).norm(dim=-1, keepdim=True) - radius


def box(*half, center=(0.0, 0.0, 0.0)):
    def distance(p):
        beyond = (p - torch.tensor(center, dtype=p.dtype)).abs() - torch.tensor(half, dtype=p.dtype)
        outside = beyond.clamp(min=0).norm(dim=-1, keepdim=True)
        return outside + beyond.amax(-1, keepdim=True).clamp(max=0)

    return distance


def torus(p):
    ring = p[:, [0, 2]].norm(dim=-1) - 0.6
    return torch.stack([ring, p[:, 1]], dim=-1).norm(dim=-1, keepdim=True) - 0.2


def union(*shapes):
    return lambda p: torch.stack([shape(p) for shape in shapes]).amin(0)


def sheets(gap, thickness=0.02):
    """Two that nearly touch."""
    away = (gap + thickness) / 2
    return union(*(box(0.7, 0.7, thickness / 2, center=(0.0, 0.0, z)) for z in (-away, away)))


def shell(p):
    return sphere(0.6)(p).abs() - 0.01


def tilted(shape):
    turn = torch.linalg.qr(torch.tensor([[0.6, -0.2, 0.4], [0.3, 0.9, -0.1], [-0.5, 0.2, 0.8]]))[0]
    return lambda p: shape(p @ turn.to(p.dtype))


SHAPES = {
    "sphere": sphere(0.5, (0.1, -0.05, 0.2)),
    "torus": torus,
    "box": box(0.5, 0.4, 0.3),
    "thin box": box(0.7, 0.5, 0.01),
    "tilted thin box": tilted(box(0.7, 0.5, 0.01)),
    "needle": tilted(box(0.8, 0.012, 0.012)),
    "two spheres": union(sphere(0.4, (-0.45, 0.0, 0.0)), sphere(0.4, (0.45, 0.0, 0.1))),
    "sheets": sheets(0.02),
    "nearly touching sheets": sheets(0.005),
    "shell": shell,
}


def fitted(shape, scale=1.0):
    """As a fitted distance is: somewhat too large or too small, and levelled off at 0.1."""
    return lambda p: (scale * shape(p)).clamp(-0.1, 0.1)


def field_of(shape, wrong=lambda p: 0.0):
    """A field that is a shape's squashed distance, with what the fit left wrong; `shift` moves its surface inwards."""
    network = Analytic(lambda p: torch.tanh(shape(p) / 0.02) + wrong(p))
    siren = NetworkDescription("siren", 3, 1, {})
    place = {"center": [0.0, 0.0, 0.0], "scale": 1.0}
    description = Description("shape", "shape.ply", "", siren, {"distance_scale": 0.02}, place)
    return LoadedField(network, description)


def mesh_signal(mesh):
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    return ShapeSignal(Path("shape.ply"), "mesh", np.zeros(3), 1.0, vertices=vertices, faces=faces)


def sphere_signal(radius=0.5, subdivisions=5):
    return mesh_signal(trimesh.creation.icosphere(subdivisions, radius))


def points_signal(radius=0.5, count=4000):
    """Oriented points of a Fibonacci lattice on a sphere."""
    index = np.arange(count) + 0.5
    z, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    normals = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)
    return ShapeSignal(Path("shape.xyz"), "oriented-points", np.zeros(3), 1.0, points=radius * normals, normals=normals)


def distances_signal():
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (500, 3))
    distances = np.linalg.norm(points, axis=1) - 0.5
    return ShapeSignal(Path("shape.npz"), "distances", np.zeros(3), 1.0, points=points, distances=distances)


def sphere_depth(view, radius, center=(0.0, 0.0, 0.0)):
    """The exact distance to a sphere, and how far beside its centre each ray passes."""
    offsets = torch.tensor(center) - view.origins
    along = (offsets * view.directions).sum(-1)
    beside = (offsets.square().sum(-1) - along.square()).clamp(min=0).sqrt()
    return along - (radius**2 - beside**2).clamp(min=0).sqrt(), beside


# Rays


def crossings(shape, view, samples=600):
    """Where each ray first changes sides within the cube (infinite where it does not), how deep beyond the surface it
    then gets before it changes again, and how close it ever comes; by many small steps in double precision."""
    origins, directions = view.origins.double(), view.directions.double()
    entry, leave = cube_interval(origins, directions)
    at = entry[:, None] + (leave - entry).clamp(min=0)[:, None] * torch.linspace(0, 1, samples).double()
    values = shape((origins[:, None] + at[..., None] * directions[:, None]).reshape(-1, 3)).reshape(-1, samples)
    side = torch.where(values[:, :1] < 0, -1.0, 1.0)
    beyond = values * side < 0
    crossed, first = beyond.any(1), beyond.float().argmax(1, keepdim=True)
    low, high = at.gather(1, (first - 1).clamp(min=0))[:, 0], at.gather(1, first)[:, 0]
    for _ in range(20):
        middle = (low + high) / 2
        over = (shape(origins + middle[:, None] * directions) * side)[:, 0] < 0
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    from_first = torch.arange(samples) >= first
    before_second = ((~beyond & from_first).cumsum(1) == 0) & from_first
    deep = torch.where(before_second, values.abs(), 0.0).amax(1)
    close = torch.where(entry < leave, values.abs().amin(1), math.inf)
    return torch.where(crossed, high, math.inf).float(), deep.float(), close.float()


EYES = [(0.4, 0.5, 2.2), (1.5, -1.2, -2.0), (0.95, 0.9, 0.93), (0.03, -0.02, 0.05)]


@cache
def seen_from_all_eyes(name):
    views = [look(eye, (0.02, 0.01, -0.013), height=28, width=28, focal=0.9) for eye in EYES]
    return [(view, *crossings(SHAPES[name], view)) for view in views]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.5])
def test_rays_meet_the_surface_where_it_is(name, scale):
    """From outside, from a corner of the cube, from its middle: no surface is missed, none seen where there is none."""
    shape, asked = SHAPES[name], []

    def distance(points):
        asked.append(len(points))
        return fitted(shape, scale)(points)

    space = EmptySpace(distance, CPU)
    for eye, (view, exact, deep, close) in zip(EYES, seen_from_all_eyes(name)):
        asked.clear()
        rays, reached = trace(distance, space, view.origins, view.directions)
        assert sum(asked) < 15 * len(view.origins)
        met = torch.full((len(view.origins),), math.inf)
        met[rays] = reached
        crossing, meeting = exact < math.inf, met < math.inf
        assert not (crossing & ~meeting).any(), (eye, int((crossing & ~meeting).sum()))
        assert not (meeting & ~crossing & (close > 3e-3)).any(), eye
        apart = shape(view.origins[rays] + reached[:, None] * view.directions[rays])[:, 0].abs()
        assert apart.max() < 2e-3, (eye, apart.max().item(), int((apart > 2e-3).sum()))
        # Not what lies behind it; a ray that all but touches the surface before may have met it there.
        through = crossing & (deep > 5e-3) & (met > exact + 0.03)
        assert not through.any(), (eye, int(through.sum()))


@pytest.mark.slow
@pytest.mark.parametrize("gain", [1.0, 0.7, 1.5])
@pytest.mark.parametrize("eye, center", [((0.0, 0.0, 2.5), (0.0, 0.0, 0.0)), ((1.5, -1.2, -2.0), (0.2, -0.1, 0.3))])
def test_a_spheres_distance_and_normals_are_exact(eye, center, gain):
    view = look(eye, height=64, width=64)
    pictures = ShapeView({"a": field_of(lambda p: gain * sphere(0.5, center)(p))}).pictures(view)
    check_pictures(pictures, view)
    exact, beside = sphere_depth(view, 0.5, center)
    hit = flat(pictures["accumulation"])[:, 0] == 1
    assert 200 < hit.sum() < 64 * 64
    assert hit[beside < 0.499].all() and not hit[beside > 0.502].any()
    seen = beside < 0.49
    depth = flat(pictures["depth"])[:, 0]
    assert (depth - exact)[seen].abs().max() < 5e-3  # Along the ray, which may slant.
    points = view.origins + depth[:, None] * view.directions - torch.tensor(center)
    assert (points.norm(dim=-1) - 0.5)[seen].abs().max() < 1e-3
    normals = flat(pictures["normals"]) * 2 - 1
    radial = (view.origins + exact[:, None] * view.directions - torch.tensor(center)) / 0.5
    assert (normals * radial).sum(-1)[seen].min() > math.cos(math.radians(1.0))
    assert (flat(pictures["shaded"])[~hit] == 1).all() and (flat(pictures["normals"])[~hit] == 1).all()
    assert flat(pictures["depth"])[~hit].min() > flat(pictures["depth"])[hit].max()


def test_from_inside_the_inner_side_is_seen():
    view = look((0.0, 0.0, 1e-3), height=32, width=32)
    pictures = ShapeView({"a": field_of(sphere())}).pictures(view)
    assert (pictures["accumulation"] == 1).all()
    assert (pictures["depth"] - 0.5).abs().max() < 2e-3
    assert ((flat(pictures["normals"]) * 2 - 1) * view.directions).sum(-1).min() > 0.99  # Still outward.
    assert pictures["shaded"].min() > 0.3


@pytest.mark.parametrize("thickness", [0.01, 0.02, 0.04])
def test_thin_walls_are_not_passed(thickness):
    view = look((0.0, 0.0, 2.0), focal=2.5)
    pictures = ShapeView({"a": field_of(lambda p: p[:, 2:].abs() - thickness / 2)}).pictures(view)
    assert (pictures["accumulation"] == 1).all()


def test_grazing_rays_leave_no_holes():
    """A long flat surface seen at a slant, where steps are short for a long way, in front of a wall."""

    def distance(p):
        return torch.minimum(p[:, 1:2] + 0.5, p[:, 2:] + 0.9)

    view = look((0.0, -0.48, 0.95), (0.0, -0.48, 0.0), focal=1.5, height=96, width=96)
    to_floor = (-0.5 - view.origins[:, 1]) / view.directions[:, 1]
    to_wall = (-0.9 - view.origins[:, 2]) / view.directions[:, 2]
    exact = torch.where(to_floor > 0, torch.minimum(to_floor, to_wall), to_wall)
    within = (view.origins + exact[:, None] * view.directions).abs().amax(-1) < 0.99
    assert (flat(ShapeView({"a": field_of(distance)}).pictures(view)["accumulation"])[within] == 1).all()


def test_only_the_cube_is_looked_at():
    view = look((0.0, 2.0, 2.0))
    field = field_of(lambda p: p[:, 1:2])  # The plane y = 0, without end.
    pictures = ShapeView({"a": field}).pictures(view)
    points = view.origins - view.origins[:, 1:2] / view.directions[:, 1:2] * view.directions
    far_inside, outside = points.abs().amax(-1) < 0.99, points.abs().amax(-1) > 1.01
    hit = flat(pictures["accumulation"])[:, 0] == 1
    assert far_inside.any() and outside.any()
    assert hit[far_inside].all() and not hit[outside].any()
    check_pictures(pictures, view)
    assert torch.cat(field.network.asked).abs().max() < 1.01


def test_rays_that_miss_the_cube_or_the_surface_cost_nothing():
    space = EmptySpace(fitted(sphere(0.2)), CPU)

    def distance(points):
        assert (points.norm(dim=-1) < 0.3).all()
        return fitted(sphere(0.2))(points)

    for eye, target in (((0.0, 0.0, 3.0), (0.0, 0.0, 5.0)), ((9.0, 0.0, 3.0), (9.0, 0.0, 0.0))):
        view = look(eye, target, height=16, width=16)
        rays, _ = trace(distance, space, view.origins, view.directions)
        assert len(rays) == 0
    for size in (64, 65):  # Also along the planes between the cells of empty space.
        view = look((0.0, 0.0, 3.0), height=size, width=size)
        rays, _ = trace(distance, space, view.origins, view.directions)
        assert 0 < len(rays) < len(view.origins)


def test_rays_along_the_axes_and_faces_are_harmless():
    origins = torch.tensor([[0.0, 0.0, 3.0], [0.0, 3.0, 0.0], [1.0, 1.0, 3.0], [0.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    distance = fitted(sphere())
    rays, reached = trace(distance, EmptySpace(distance, CPU), origins, directions)
    order = rays.argsort()
    assert rays[order].tolist() == [0, 1]
    assert torch.allclose(reached, torch.tensor(2.5), atol=1e-3)


def test_few_points_are_evaluated():
    view = look((0.4, 0.5, 2.2), height=96, width=96)
    field = field_of(torus)
    pictures = ShapeView({"a": field}).pictures(view)
    pictures["depth"]
    assert field.network.count < 2 * CELLS**3 + 8 * 96 * 96
    before = field.network.count
    pictures["accumulation"]
    assert field.network.count == before
    pictures["shaded"], pictures["normals"]
    assert field.network.count - before <= 96 * 96  # Normals on the surface, once.


def test_empty_space_is_measured_anew_when_the_field_has_changed_and_not_otherwise():
    field, view = field_of(sphere()), look((0.9, 1.2, 2.0), height=17, width=17)
    shape_view, weight = ShapeView({"a": field}), field.network.shift

    def evaluated(**settings):
        before = field.network.count
        depth = shape_view.pictures(view, ViewSettings(**settings))["depth"]
        return field.network.count - before, depth.min().item()

    assert evaluated()[0] > CELLS**3
    count, nearest = evaluated()
    assert count < CELLS**3 / 10 and nearest == pytest.approx(2.0, abs=2e-3)
    optimizer = torch.optim.Adam([weight], lr=0.3)
    weight.grad = torch.ones_like(weight)
    optimizer.step()  # To -0.3: outwards.
    count, nearest = evaluated()
    assert count > CELLS**3 and nearest == pytest.approx(2.0 - 0.02 * math.atanh(0.3), abs=2e-3)
    field.network.load_state_dict({"shift": torch.tensor(0.3)})
    count, nearest = evaluated()
    assert count > CELLS**3 and nearest == pytest.approx(2.0 + 0.02 * math.atanh(0.3), abs=2e-3)
    assert evaluated(error_gain=5.0, slice_position=0.3)[0] < CELLS**3 / 10
    assert evaluated(iso_level=0.01)[0] > CELLS**3


@pytest.mark.parametrize("level", [-0.08, -0.02, 0.03, 0.06])
def test_iso_level_is_the_distance_of_the_surface_that_is_shown(level):
    view = look((0.0, 0.0, 2.5), height=33, width=33)
    depth = ShapeView({"a": field_of(sphere())}).pictures(view, ViewSettings(iso_level=level))["depth"]
    assert depth[16, 16].item() == pytest.approx(2.5 - 0.5 - level, abs=2e-3)


@pytest.mark.parametrize("level", [0.0, -0.1])
def test_no_surface_is_all_white(level):
    """A field that has collapsed, or a level that none of its points reach."""
    view = look((0.4, 0.5, 2.2), height=16, width=16)
    shape = (lambda p: p[:, :1] * 0 + 0.5) if level == 0.0 else box(0.5, 0.5, 0.01)
    pictures = ShapeView({"a": field_of(shape)}, sphere_signal(0.3, 2)).pictures(view, ViewSettings(iso_level=level))
    for name in ("shaded", "normals", "error"):
        assert (pictures[name] == 1).all(), name
    assert (pictures["accumulation"] == 0).all()
    check_pictures(pictures, view)


# Light


def test_shading_is_soft_gray_brightest_towards_camera_and_sky():
    size = 65
    pictures = ShapeView({"a": field_of(sphere())}).pictures(look((0.0, 0.0, 2.5), height=size, width=size))
    shaded, hit = pictures["shaded"], pictures["accumulation"][..., 0] == 1
    assert (shaded == shaded[..., :1]).all()
    gray, middle = shaded[..., 0], size // 2
    column = gray[hit[:, middle], middle]
    assert column.max() > 0.75 and column.min() > 0.1
    assert column[1] > column[-2]  # Top and bottom.
    row = gray[middle, hit[middle]]
    assert row.argmax() in (len(row) // 2 - 1, len(row) // 2, len(row) // 2 + 1)
    assert torch.allclose(row, row.flip(0), atol=0.02)


def test_light_is_darker_in_a_corner_than_on_a_plain():
    def corner(p):
        return torch.minimum(p[:, 2:] + 0.5, p[:, :1] + 0.02)

    pictures = ShapeView({"a": field_of(corner)}).pictures(look((0.4, 0.0, 2.0), (0.4, 0.0, 0.0), focal=2.2))
    row = pictures["shaded"][32, :, 0]
    assert pictures["accumulation"][32].min() == 1
    assert row[0] < row[48] - 0.05


def test_what_a_fit_leaves_far_from_the_surface_does_not_show_on_it():
    """An error of 0.3 % of the squashed distance moves the surface by 6e-5 and turns its normals by 0.04 degrees; it
    is all that is left of the distance at 0.07."""
    generator = torch.Generator().manual_seed(1)
    waves, phases = 10 * torch.randn(64, 3, generator=generator), 2 * math.pi * torch.rand(64, generator=generator)

    def wrong(p):
        return 0.003 * torch.sin(p @ waves.t() + phases).sum(-1, keepdim=True) / math.sqrt(32)

    view = look((0.0, 0.0, 2.5), focal=1.4)
    exact, noisy = (ShapeView({"a": field_of(sphere(0.6), w)}).pictures(view) for w in (lambda p: 0.0, wrong))
    both = (exact["accumulation"] == 1) & (noisy["accumulation"] == 1)
    assert (noisy["normals"] - exact["normals"])[both[..., 0]].abs().max() < 0.01
    assert (noisy["shaded"] - exact["shaded"])[both[..., 0]].abs().max() < 0.02


@pytest.mark.slow
def test_rolled_camera_turns_the_surface():
    shape_view = ShapeView({"a": field_of(sphere(0.4, (0.2, 0.3, 0.0)))}, sphere_signal(0.5, 3))
    upright, rolled = (
        shape_view.pictures(look((0.0, 0.0, 2.5), height=48, width=48, roll=roll)) for roll in (0.0, math.pi / 2)
    )
    for name in upright:
        difference = rolled[name] - torch.rot90(upright[name], -1)
        assert (difference.abs() > 0.01).float().mean() < 0.005, name  # A pixel of the outline may differ.


# Beside the original


def lit(colours, shaded):
    return colours * (0.35 + 0.65 * shaded)


@pytest.mark.slow
@pytest.mark.parametrize("radius", [0.45, 0.495, 0.5, 0.505, 0.55])
def test_error_is_red_outside_the_original_and_blue_inside(radius):
    view = look((0.3, 0.4, 2.2), height=48, width=48)
    original = sphere_signal(0.5)
    pictures = ShapeView({"a": field_of(sphere(radius))}, original).pictures(view, ViewSettings(error_gain=5.0))
    _, beside = sphere_depth(view, radius)
    seen = beside < 0.9 * radius
    error, light = flat(pictures["error"])[seen], flat(pictures["shaded"])[seen]
    red, blue = error[:, 0], error[:, 2]
    if radius > 0.5:
        assert (red > blue + 0.1).all()
    elif radius < 0.5:
        assert (blue > red + 0.1).all()
    else:
        assert (red - blue).abs().max() < 0.08
    expected = signed_colours(torch.tensor([[(radius - 0.5) * 5.0 / WHOLE_ERROR]]))
    assert torch.allclose(error, lit(expected, light), atol=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("signal", [partial(sphere_signal, subdivisions=4), points_signal], ids=["mesh", "points"])
def test_the_original_is_seen_where_it_is(signal):
    view = look((0.6, -0.5, 2.3), height=48, width=48)
    field = field_of(sphere(0.2))
    pictures = ShapeView({"a": field}, signal()).pictures(view)
    exact, beside = sphere_depth(view, 0.5)
    shown = (flat(pictures["original"]) < 1).any(dim=-1)
    assert shown[beside < 0.49].all() and not shown[beside > 0.51].any()
    seen = beside < 0.47
    radial = (view.origins + exact[:, None] * view.directions) / 0.5
    normals = flat(pictures["original_normals"]) * 2 - 1
    assert (normals * radial).sum(-1)[seen].min() > math.cos(math.radians(4.0))
    # Like the field of the same sphere.
    of_field = flat(ShapeView({"a": field_of(sphere(0.5))}).pictures(view)["shaded"])
    assert (flat(pictures["original"]) - of_field)[seen].abs().max() < 0.05
    assert field.network.count == 0
    check_pictures(pictures, view)


def test_what_is_known_at_its_own_points_only_has_no_pictures():
    view = look((0.3, 0.4, 2.2), height=16, width=16)
    pictures = ShapeView({"a": field_of(sphere())}, distances_signal()).pictures(view)
    assert ShapeView({"a": field_of(sphere())}, distances_signal()).outputs == ("shaded", "normals", "slice")
    assert list(pictures) == ["shaded", "exact", "normals", "slice", "accumulation", "depth"]
    check_pictures(pictures, view)


@pytest.mark.slow
def test_several_fields_are_told_apart_by_name():
    view = look((0.3, 0.4, 2.2), height=24, width=24)
    fields = {"one": field_of(sphere(0.5)), "two": field_of(sphere(0.4)), "three": field_of(sphere(0.45))}
    pictures = ShapeView(fields, sphere_signal(0.5, 3)).pictures(view)
    names = list(pictures)
    assert (names[0], names[-1]) == ("one/shaded", "three/shaded")  # The split screen's two halves at first.
    outputs = ("shaded", "exact", "normals", "error", "slice")
    each = {f"{name}/{output}" for name in fields for output in outputs}
    assert each | {"difference", "accumulation", "depth", "original", "original_normals"} == set(names)
    sizes = [int((pictures[f"{name}/shaded"] < 1).any(-1).sum()) for name in fields]
    assert sizes[0] > sizes[2] > sizes[1] > 0
    check_pictures(pictures, view)


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.0, 0.02])
@pytest.mark.parametrize("pair, apart", [(("one", "two"), 0.01), (("two", "one"), -0.01), (("one", "one"), 0.0)])
def test_the_difference_is_how_far_one_surface_lies_outside_the_other(pair, apart, level):
    view = look((0.0, 0.0, 2.2), height=33, width=33)
    fields = {"one": field_of(sphere(0.51)), "two": field_of(sphere(0.5))}
    settings = ViewSettings(error_gain=2.5, difference=pair, iso_level=level)
    pictures = ShapeView(fields).pictures(view, settings)
    expected = signed_colours(torch.tensor([[apart * 2.5 / WHOLE_ERROR]]))[0]
    seen = pictures["difference"][16, 16]
    assert torch.allclose(seen, lit(expected, pictures[f"{pair[0]}/shaded"][16, 16]), atol=0.03)


# What browsers draw


def drawn(view, output, settings=ViewSettings()):  # noqa: B008 (frozen)
    """The parts of an output that a browser draws, and what it is handed."""
    look = Look((1.0, 1.0, 2.5), ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)), 1.3, 1.5, 512)
    return [(part, part.make(lambda f, points: f(points))) for part in view.drawing(output, settings).parts(look)]


def mesh_of(glb):
    """Vertices, faces and colours on screen of a file, read by trimesh and seen through three.js's tone mapping."""
    (mesh,) = trimesh.load(io.BytesIO(glb), file_type="glb", process=False).geometry.values()
    document = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])
    start = document["bufferViews"][1]["byteOffset"] + 28 + int.from_bytes(glb[12:16], "little")
    colours = np.frombuffer(glb, np.float32, 3 * len(mesh.vertices), start).reshape(-1, 3)
    if "NORMAL" not in document["meshes"][0]["primitives"][0]["attributes"]:
        v = colours / 0.6 @ INPUT.T
        colours = (v * (v + 0.0245786) - 0.000090537) / (v * (0.983729 * v + 0.4329510) + 0.238081) @ OUTPUT.T
    colours = np.clip(colours, 0, 1)
    srgb = np.where(colours <= 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055)
    return mesh, srgb


def test_a_fitted_surface_is_handed_over_as_a_mesh():
    view = ShapeView({"a": field_of(sphere(0.5, (0.1, 0.0, 0.0)))}, sphere_signal(0.5, 3))
    ((part, glb),) = drawn(view, "shaded")
    mesh, _ = mesh_of(glb)
    away = np.linalg.norm(mesh.vertices - [0.1, 0, 0], axis=1)
    assert np.abs(away - 0.5).max() < 2e-3 and mesh.is_watertight and mesh.volume > 0
    assert (mesh.vertex_normals * (mesh.vertices - [0.1, 0, 0])).sum(1).min() > 0.45
    # In a hurry it has fewer faces; at another level it is larger.
    coarse = mesh_of(part.coarse().make(lambda f, points: f(points)))[0]
    assert len(coarse.faces) < len(mesh.faces) / 4
    ((_, larger),) = drawn(view, "shaded", ViewSettings(iso_level=0.02))
    assert mesh_of(larger)[0].volume > 1.08 * mesh.volume
    assert view.outputs == ("shaded", "normals", "error", "slice", "original") and view.rendered == ("exact",)


def test_meshes_have_the_colours_of_normals_and_of_distances():
    view = ShapeView({"a": field_of(sphere(0.51))}, sphere_signal(0.5, 5))
    ((_, glb),) = drawn(view, "normals")
    mesh, colours = mesh_of(glb)
    normals = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert np.abs(colours - (normals / 2 + 0.5)).max() < 0.02
    ((_, glb),) = drawn(view, "error", ViewSettings(error_gain=2.5))
    mesh, colours = mesh_of(glb)
    light = 0.75 + 0.25 * mesh.vertices[:, 1:2] / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    outside = signed_colours(torch.tensor([[0.01 * 2.5 / WHOLE_ERROR]]))[0].numpy()
    assert np.abs(colours - outside * light).max() < 0.04
    assert ">0\\.02<" in view.drawing("error", ViewSettings(error_gain=2.5)).legend()


def test_a_surface_has_the_originals_colours(tmp_path):
    """Red where x is above 0, blue elsewhere, in the browser's mesh and in rendered pictures."""
    original = trimesh.creation.icosphere(4, 0.45)
    original.visual.face_colors = np.where(original.triangles_center[:, :1] > 0, [[210, 40, 30]], [[20, 30, 220]])
    original.export(tmp_path / "ball.ply")
    view = ShapeView({"a": field_of(sphere(0.9))}, load_signal(tmp_path / "ball.ply"))
    assert view.outputs == ("shaded", "normals", "colours", "error", "slice", "original")
    ((_, glb),) = drawn(view, "colours")
    mesh, colours = mesh_of(glb)
    clear = np.abs(mesh.vertices[:, 0]) > 0.1
    wanted = np.where(mesh.vertices[:, :1] > 0, [210, 40, 30], [20, 30, 220]) / 255
    light = 0.75 + 0.25 * mesh.vertices[:, 1:2] / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert np.abs(colours - wanted * light)[clear].max() < 0.04
    camera = look((0.0, 0.0, 2.5), height=24, width=24)
    picture = view.pictures(camera)["colours"].reshape(24, 24, 3)
    assert picture[12, 5, 2] > 2 * picture[12, 5, 0] and picture[12, 18, 0] > 2 * picture[12, 18, 2]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_lies_where_it_is_asked_for_and_cuts_the_surface(axis):
    view = ShapeView({"a": field_of(box(0.5, 0.4, 0.3, center=(0.1, 0.05, -0.1)))})
    (_, glb), (plane, pixels), *_ = drawn(view, "slice", ViewSettings(slice_axis=axis, slice_position=0.1))
    assert mesh_of(glb)[0].vertices[mesh_of(glb)[0].faces].min(1)[:, axis].max() <= 0.1
    # The picture is blue where the box is: corners of the plane's picture, placed by its pose, are in or out.
    rows, columns = np.mgrid[0 : plane.part.rows, 0 : plane.part.columns]
    x = plane.part.left + (columns + 0.5) * plane.part.width / plane.part.columns
    y = plane.part.top - (rows + 0.5) * plane.part.height / plane.part.rows
    places = np.stack([x, y, np.zeros_like(x)], axis=-1) @ plane.pose.matrix.T + plane.pose.translation
    assert np.allclose(places[..., axis], 0.1)
    inside = (np.abs(places - [0.1, 0.05, -0.1]) < np.array([0.5, 0.4, 0.3])).all(-1)
    blue = pixels[..., 2] > pixels[..., 0]
    assert (blue == inside).mean() > 0.97 and pixels.shape[-1] == 4


def test_colours_come_through_the_browsers_tone_mapping():
    colours = np.random.default_rng(0).uniform(0, 0.99, (500, 3))
    v = before_tone_mapping(linear(colours)) / 0.6 @ INPUT.T
    seen = (v * (v + 0.0245786) - 0.000090537) / (v * (0.983729 * v + 0.4329510) + 0.238081) @ OUTPUT.T
    assert np.abs(seen - linear(colours)).max() < 0.03 and np.isfinite(v).all()


@pytest.mark.slow
def test_pictures_of_a_field_in_training_carry_no_graph():
    network = Siren(3, 1, width=8, depth=2)
    field = LoadedField(network, field_of(sphere()).description)
    view = look((0.3, 0.4, 2.2), height=8, width=8)
    pictures = ShapeView({"a": field}, sphere_signal(0.3, 2)).pictures(view)
    assert all(weight.requires_grad for weight in network.parameters())
    check_pictures(pictures, view)


@pytest.mark.slow
def test_rays_that_see_nothing_see_white():
    view = look((0.0, 0.0, 2.2), (0.0, 0.0, 5.0), height=8, width=8)
    for original in (sphere_signal(0.5, 3), points_signal(), None):
        pictures = ShapeView({"a": field_of(sphere())}, original).pictures(view)
        for name in pictures:
            if pictures[name].shape[-1] == 3:
                assert (pictures[name] == 1).all(), name
        check_pictures(pictures, view)


# Slices


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("towards", [1.0, -1.0])
def test_a_slice_cuts_away_the_cameras_side(axis, towards):
    """Two balls on either side of the plane and beside each other: only the far one is left, seen through the plane."""
    near, far = [0.35, 0.35, 0.35], [-0.35, -0.35, -0.35]
    near[axis], far[axis] = 0.5 * towards, -0.5 * towards
    eye, aside = [0.2, 0.1, 0.1], [0.0, 0.0, 0.0]
    eye[axis], aside[axis] = 3.0 * towards, 0.1 * towards
    shape = union(sphere(0.2, tuple(near)), sphere(0.2, tuple(far)))
    view = look(tuple(eye), (0.01, 0.0, 0.0) if axis != 1 else (0.0, 0.0, 0.01), height=96, width=96)
    settings = ViewSettings(slice_axis=axis, slice_position=0.1 * towards)
    pictures = ShapeView({"a": field_of(shape)}).pictures(view, settings)
    picture, whole = flat(pictures["slice"]), flat(pictures["shaded"])

    def seen(center):
        _, beside = sphere_depth(view, 0.2, tuple(center))
        return beside < 0.15

    on_near, on_far = seen(near), seen(far)
    assert on_near.sum() > 20 and on_far.sum() > 20
    # The near ball's place shows the plain translucent plane, far from all surfaces.
    plain = picture[on_near]
    assert (plain - plain.mean(0)).abs().max() < 0.02 and (whole[on_near] < 0.99).any()
    # The far one is seen through it: darker than the plane before white, and less contrasted than by itself.
    assert (picture[on_far].mean(-1) < plain.mean()).all()
    assert 0 < picture[on_far].mean(-1).std() < 0.6 * whole[on_far].mean(-1).std()


def test_a_slice_is_opaque_and_blue_within_the_shape():
    view = look((0.3, 0.2, 2.5), height=64, width=64)
    shape = union(sphere(0.5), sphere(0.1, (0.0, 0.0, -0.8)))
    pictures = ShapeView({"a": field_of(shape)}).pictures(view, ViewSettings(slice_axis=2, slice_position=0.0))
    reach = -view.origins[:, 2] / view.directions[:, 2]
    points = view.origins + reach[:, None] * view.directions
    within = points.norm(dim=-1) < 0.42
    colours = flat(pictures["slice"])[within]
    assert (colours[:, 2] > colours[:, 0] + 0.2).all()
    assert (colours - colours.mean(0)).abs().max() < 0.01  # Nothing behind it shines through.
    outside = (points.norm(dim=-1) > 0.6) & (points.abs().amax(-1) < 0.98)
    colours = flat(pictures["slice"])[outside]
    assert (colours[:, 0] > colours[:, 2]).all()
    beyond = points.abs().amax(-1) > 1.02
    assert beyond.any() and (flat(pictures["slice"])[beyond] == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("height", [0.15, 0.3])
def test_iso_lines_lie_at_multiples_of_a_hundredth(height):
    """A wall at x = 0 from close by: a dark line on it, thin ones on either side, none where the distance is unsure."""
    view = look((0.0, 0.0, height), height=2, width=600, focal=2145 * height)
    pictures = ShapeView({"a": field_of(lambda p: p[:, :1])}).pictures(view, ViewSettings(slice_axis=2))
    x = (view.origins - view.origins[:, 2:] / view.directions[:, 2:] * view.directions)[:, 0].reshape(2, 600)[1]
    assert x.max() > 0.065 and x.min() < -0.065
    gray = pictures["slice"][1].mean(-1)
    minima = [i for i in range(8, 592) if gray[i] == gray[i - 8 : i + 9].min() and gray[i] < gray[i - 8] - 0.05]
    places = x[minima]
    lines = (places / ISO_SPACING).round().int()
    assert (places - lines * ISO_SPACING).abs().max() < 2 * (x[1] - x[0])
    last = round(LAST_LINE / ISO_SPACING)
    assert set(range(1 - last, last)) <= set(lines.tolist()) <= set(range(-last, last + 1))
    middle, thin = gray[x.abs().argmin()], gray[(x - 0.02).abs().argmin()]
    assert middle < thin - 0.05


# The camera at first


@pytest.mark.parametrize("fov", [35.0, 50.0, 75.0, 100.0])
@pytest.mark.parametrize("aspect", [0.6, 1.0, 1.8])
@pytest.mark.parametrize("mesh", ["sphere", "cube"])
def test_a_shape_is_in_view_at_first(mesh, fov, aspect):
    signal = sphere_signal(0.9, 4) if mesh == "sphere" else mesh_signal(trimesh.creation.box([1.8, 1.8, 1.8]))
    framing = ShapeView({"a": field_of(sphere(0.9))}, signal).framing()
    distance = framing_distance(framing.half_width, framing.half_height, math.radians(fov), aspect, framing.radius)
    assert np.linalg.norm(framing.towards_camera) == pytest.approx(1.0)
    height, width = 200, round(200 * aspect)
    eye = tuple(distance * x for x in framing.towards_camera)
    view = look(eye, focal=0.5 / math.tan(math.radians(fov) / 2), height=height, width=width)
    seen, before = view.project(torch.from_numpy(signal.vertices).float())
    assert before.all()
    assert seen.min() > 0 and (seen < torch.tensor([width, height])).all()

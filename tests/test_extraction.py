"""Surfaces that are looked for near themselves only are those of evaluating everywhere."""

from __future__ import annotations

from typing import Callable, Tuple

import mcubes
import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from winner_ns.meshing.extraction import LevelSet, extract_level_set, grid_lines

Function = Callable[[Tensor], Tensor]
ONE = np.ones(3)


def sphere(center: Tuple[float, float, float], radius: float) -> Function:
    return lambda x: (x - torch.tensor(center)).norm(dim=1, keepdim=True) - radius


def box(center: Tuple[float, float, float], half: Tuple[float, float, float]) -> Function:
    def distance(x: Tensor) -> Tensor:
        beyond = (x - torch.tensor(center)).abs() - torch.tensor(half)
        return beyond.clamp(min=0).norm(dim=1, keepdim=True) + beyond.amax(dim=1, keepdim=True).clamp(max=0)

    return distance


def union(*parts: Function) -> Function:
    return lambda x: torch.stack([part(x) for part in parts]).amin(dim=0)


def without(one: Function, other: Function) -> Function:
    return lambda x: torch.maximum(one(x), -other(x))


def extracted(function: Function, resolution: int, low=-ONE, high=ONE, trusted: float = np.inf) -> LevelSet:
    return extract_level_set(function, np.asarray(low), np.asarray(high), resolution, trusted)


def dense(function: Function, resolution: int, low=-ONE, high=ONE) -> Tuple[np.ndarray, np.ndarray]:
    """PyMCubes on the whole grid; the surface must not reach the walls."""
    lines = grid_lines(np.asarray(low), np.asarray(high), resolution)
    points = torch.from_numpy(np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).astype(np.float32))
    values = torch.cat([function(part) for part in points.reshape(-1, 3).split(2**18)]).reshape(points.shape[:3])
    vertices, faces = mcubes.marching_cubes(values.numpy().astype(np.float64), 0.0)
    spacing = np.array([line[1] - line[0] for line in lines])
    return vertices * spacing + low, faces.astype(np.int64)


def check_same(function: Function, resolution: int, low=-ONE, high=ONE, trusted: float = np.inf) -> LevelSet:
    """The same vertices, and faces of the same number, area and topology, as from the whole grid."""
    found = extracted(function, resolution, low, high, trusted)
    vertices, faces = dense(function, resolution, low, high)
    assert len(found.vertices) == len(vertices) and len(found.faces) == len(faces)
    cell = found.spacing.max()
    one, other = (v[np.lexsort((v / cell * 100).round().T)] for v in (found.vertices, vertices))
    if np.abs(one - other).max() > 1e-3 * cell:  # Rounding may change places.
        from scipy.spatial import cKDTree

        assert cKDTree(other).query(one)[0].max() < 1e-3 * cell
    mine = trimesh.Trimesh(found.vertices, found.faces, process=False)
    theirs = trimesh.Trimesh(vertices, faces, process=False)
    assert mine.euler_number == theirs.euler_number and mine.is_watertight == theirs.is_watertight
    # Of specks that are far smaller than a cell, rounding is a good part.
    assert mine.area == pytest.approx(theirs.area, rel=1e-5, abs=1e-6 * cell**2)
    # PyMCubes turns faces inward here.
    assert mine.volume == pytest.approx(-theirs.volume, rel=1e-5, abs=1e-6 * cell**3)
    assert found.grid_points == np.prod(
        [len(line) for line in grid_lines(np.asarray(low), np.asarray(high), resolution)]
    )
    return found


coordinate = st.floats(-0.5, 0.5)
ball = st.builds(sphere, st.tuples(coordinate, coordinate, coordinate), st.floats(0.05, 0.45))
block = st.builds(
    box, st.tuples(coordinate, coordinate, coordinate), st.tuples(*[st.floats(0.05, 0.45, exclude_min=True)] * 3)
)
solid = st.one_of(ball, block)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.lists(solid, min_size=1, max_size=4), solid, st.sampled_from([17, 40, 65, 100]))
def test_unions_and_differences_are_those_of_the_whole_grid(parts, hole, resolution) -> None:
    shape = without(union(*parts), hole)
    try:
        dense_vertices, _ = dense(shape, resolution)
    except ValueError:
        dense_vertices = ()
    if len(dense_vertices) == 0:
        assert len(extracted(shape, resolution).faces) == 0
    else:
        check_same(shape, resolution)


@pytest.mark.slow
@pytest.mark.parametrize("resolution", [64, 128, 200])
def test_a_thin_sheet_and_a_double_wall_are_found(resolution: int) -> None:
    """A sheet half a cell to three cells thick, as the grid's points may lie to it, and a shell of two cells."""
    cell = 2 / (resolution - 1)
    shell = without(sphere((0.2, 0.1, 0.0), 0.5), sphere((0.2, 0.1, 0.0), 0.5 - 2 * cell))
    for thickness in (1.01, 3.0):
        sheet = box((0.0, 0.0, -0.7), (0.8, 0.8, thickness * cell / 2))
        found = check_same(union(sheet, shell), resolution)
        parts = trimesh.Trimesh(found.vertices, found.faces, process=False).split(only_watertight=False)
        assert len(parts) == 3  # The sheet, and both walls of the shell.


@pytest.mark.parametrize("steepness", [0.2, 3.0, 20.0])
def test_functions_that_are_no_distances(steepness: float) -> None:
    shape = union(sphere((0.3, 0.0, 0.0), 0.4), box((-0.4, 0.2, 0.1), (0.2, 0.5, 0.3)))
    check_same(lambda x: steepness * shape(x), 80)


def test_a_distance_that_levels_off_and_is_noisy_there() -> None:
    shape = without(box((0.0, 0.0, 0.0), (0.6, 0.5, 0.4)), sphere((0.3, 0.3, 0.3), 0.4))

    def fitted(x: Tensor) -> Tensor:
        noise = 0.02 * torch.sin(97.0 * x).prod(dim=1, keepdim=True)
        squashed = torch.tanh(shape(x) / 0.02)
        return 0.02 * torch.atanh((squashed + noise * squashed**2).clamp(-1 + 1e-6, 1 - 1e-6))

    check_same(fitted, 128, trusted=0.034)


def test_where_it_is_steep_in_one_place_only() -> None:
    """A rod around which the function changes four times as fast as a distance, and not elsewhere."""
    rod = box((0.5, 0.5, 0.0), (0.03, 0.03, 0.4))
    found = check_same(union(lambda x: 4 * rod(x), sphere((-0.3, -0.3, 0.0), 0.4)), 100)
    assert found.slope >= 4.0


def test_boxes_that_are_no_cubes_have_cubic_cells() -> None:
    low, high = np.array([-0.7, -0.9, -3.0]), np.array([0.8, 0.6, 1.0])
    found = check_same(sphere((0.0, 0.0, -1.0), 0.55), 90, low, high)
    assert found.spacing.max() < 1.05 * found.spacing.min()
    assert (found.vertices > low).all() and (found.vertices < high).all()


def test_the_box_closes_what_it_cuts() -> None:
    found = extracted(sphere((0.0, 0.0, 0.0), 1.2), 60)
    mesh = trimesh.Trimesh(found.vertices, found.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert np.abs(mesh.bounds).max() <= 1.0 and np.abs(mesh.bounds).min() > 1 - 0.01 * found.spacing.max()
    # But for the box's edges, 16 long, which are cut off half a cell deep.
    half = extracted(lambda x: x[:, :1], 101)
    expected = 4 - 16 * half.spacing[0] ** 2 / 2
    assert trimesh.Trimesh(half.vertices, half.faces, process=False).volume == pytest.approx(expected, rel=1e-3)


def test_a_slice_that_is_thinner_than_a_cell_has_a_surface() -> None:
    found = extracted(sphere((0.0, 0.0, 0.0), 0.5), 32, [-1.0, -1.0, -0.01], [1.0, 1.0, 0.01])
    mesh = trimesh.Trimesh(found.vertices, found.faces, process=False)
    assert mesh.is_watertight and np.abs(mesh.extents[:2] / 1.0 - 1).max() < 0.1


@pytest.mark.parametrize("everywhere", [-1.0, 1.0])
def test_no_surface(everywhere: float) -> None:
    assert len(extracted(lambda x: torch.full((len(x), 1), everywhere), 40).faces) == 0


def test_a_tiny_part_counts_though_most_of_the_box_is_left_out() -> None:
    found = check_same(union(sphere((-0.5, 0.0, 0.0), 0.3), sphere((0.61, 0.62, 0.63), 0.03)), 128)
    assert found.points_evaluated < 0.12 * found.grid_points


def test_few_of_many_points_are_evaluated_and_no_point_beyond_the_box() -> None:
    asked = []

    def watched(x: Tensor) -> Tensor:
        asked.append((len(x), float(x.abs().max())))
        return sphere((0.0, 0.0, 0.0), 0.5)(x)

    found = extracted(watched, 512)
    assert found.points_evaluated == sum(count for count, _ in asked)
    assert found.points_evaluated < 0.02 * found.grid_points
    assert max(furthest for _, furthest in asked) <= 1.0
    radii = np.linalg.norm(found.vertices, axis=1)
    assert np.abs(radii - 0.5).max() < found.spacing.max() ** 2
    assert trimesh.Trimesh(found.vertices, found.faces, process=False).is_watertight


def test_the_steepest_slope_is_known() -> None:
    assert extracted(lambda x: 4 * sphere((0.0, 0.0, 0.0), 0.5)(x), 64).slope >= 4.0

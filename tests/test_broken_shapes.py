"""Meshes with defects and points without normals: the shape is that of the sound one."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from winner_ns.errors import SignalError
from winner_ns.signals import ShapeSignal, load_signal
from winner_ns.signals.mesh_repair import WindingNumbers


def ball(radius: float = 1.0, center: Sequence[float] = (0, 0, 0), subdivisions: int = 3) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    mesh.apply_translation(center)
    return mesh


def written(path: Path, vertices: np.ndarray, faces: np.ndarray) -> ShapeSignal:
    trimesh.Trimesh(vertices, faces, process=False, validate=False).export(path)
    return load_signal(path)


def joined(*meshes: trimesh.Trimesh) -> trimesh.Trimesh:
    return trimesh.util.concatenate(list(meshes))


def asked(shape: ShapeSignal, count: int = 20000) -> "tuple[np.ndarray, np.ndarray]":
    """Points in the file's frame around a shape, and their signed distances in its units."""
    points = np.random.default_rng(0).uniform(-1, 1, (count, 3))
    return points * shape.scale + shape.center, shape.signed_distance(points) * shape.scale


def ball_distance(points: np.ndarray, radius: float = 1.0, center: Sequence[float] = (0, 0, 0)) -> np.ndarray:
    return np.linalg.norm(points - np.array(center), axis=1) - radius


FACETS = 0.006
"""How far the faces of `ball(1)` lie below the sphere, at most."""


# Meshes --------------------------------------------------------------------------------------------------------------


def twice(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces, faces])


def both_ways(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces, faces[:, ::-1]])


def some_twice(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces, faces[::7], faces[::11, ::-1]])


def some_turned(faces: np.ndarray) -> np.ndarray:
    turned = faces.copy()
    turned[::3] = turned[::3, ::-1]
    return turned


def inside_out(faces: np.ndarray) -> np.ndarray:
    return faces[:, ::-1]


@pytest.mark.slow
@pytest.mark.parametrize("defect", [twice, both_ways, some_twice, some_turned, inside_out])
@pytest.mark.parametrize("count", [1, 2])
def test_defects_of_the_faces_change_nothing(tmp_path: Path, defect: Callable, count: int) -> None:
    """Also where only one of two components has them."""
    whole = ball() if count == 1 else joined(ball(), ball(0.5, (2.5, 0, 0)))
    sound = written(tmp_path / "sound.ply", whole.vertices, whole.faces)
    first = 1280  # Faces of the first ball.
    faces = np.concatenate([defect(whole.faces[:first]), whole.faces[first:]])
    broken = written(tmp_path / "broken.ply", whole.vertices, faces)
    assert broken.watertight and len(broken.faces) == len(sound.faces)
    points, distances = asked(sound)
    assert np.array_equal(asked(broken)[1], distances)
    expected = ball_distance(points)
    if count == 2:
        expected = np.minimum(expected, ball_distance(points, 0.5, (2.5, 0, 0)))
    assert np.abs(distances - expected).max() < FACETS
    assert len(broken.warnings) == (defect in (some_turned, inside_out))


def test_nested_shells_keep_what_they_enclose(tmp_path: Path) -> None:
    """A solid in a cavity in a solid, by the shells' orientation, and whatever that of all of them together is."""
    cavity = ball(0.7)
    cavity.invert()
    nested = joined(ball(), cavity, ball(0.4))
    for name, mesh in (("as it is", nested), ("inside out", trimesh.Trimesh(nested.vertices, nested.faces[:, ::-1]))):
        shape = written(tmp_path / f"{name}.ply", mesh.vertices, mesh.faces)
        points, distances = asked(shape)
        radius = np.linalg.norm(points, axis=1)
        expected = np.stack([np.abs(radius - r) for r in (1.0, 0.7, 0.4)]).min(axis=0)
        expected *= np.where((radius < 0.4) | ((radius > 0.7) & (radius < 1.0)), -1, 1)
        clear = np.abs(expected) > FACETS
        assert np.abs(distances - expected)[clear].max() < FACETS


def test_a_first_rough_look_tells_what_winding_numbers_tell() -> None:
    """Around a hole, in cavities, where shells cross, and around a surface that is there twice or inside out, too."""
    cavity, turned, cut = ball(0.7), ball(), ball()
    cavity.invert()
    turned.invert()
    cut = trimesh.Trimesh(cut.vertices, cut.faces[200:])
    generator = np.random.default_rng(0)
    for mesh in (cut, joined(ball(), cavity, ball(0.4)), joined(ball(), ball(1.0, (0.5, 0.3, 0)), ball()), turned):
        windings = WindingNumbers(np.array(mesh.vertices), np.array(mesh.faces))
        near = trimesh.sample.sample_surface(mesh, 3000, seed=1)[0] + 0.01 * generator.standard_normal((3000, 3))
        points = np.concatenate([generator.uniform(-1.5, 1.5, (6000, 3)), near])
        exact = windings.winding_number(points)
        for threshold in (0.4, 0.5):
            assert np.array_equal(windings.above(points, threshold), exact > threshold)


def test_a_shell_within_a_solid_is_no_surface(tmp_path: Path) -> None:
    mesh = joined(ball(), ball(0.5))
    shape = written(tmp_path / "a.ply", mesh.vertices, mesh.faces)
    points, distances = asked(shape)
    assert np.abs(distances - ball_distance(points)).max() < FACETS
    assert "left out" in shape.warnings[0]


BALLS = [(1.0, (0.0, 0.0, 0.0)), (0.8, (1.1, 0.2, 0.1)), (0.6, (0.4, 1.0, -0.3)), (0.5, (0.4, 0.4, 0.3))]


@pytest.mark.slow
def test_a_union_of_overlapping_balls_is_one_solid(tmp_path: Path) -> None:
    """Distances inside are to the outer surface, not to the parts of the balls that lie inside each other."""
    mesh = joined(*(ball(radius, center, 4) for radius, center in BALLS))
    shape = written(tmp_path / "a.ply", mesh.vertices, mesh.faces)
    points, distances = asked(shape, 5000)
    union = np.stack([ball_distance(points, *b) for b in BALLS]).min(axis=0)
    assert ((distances < 0) == (union < 0))[np.abs(union) > 0.002].all()
    outside = union > 0
    assert np.abs(distances - union)[outside].max() < 0.002

    generator = np.random.default_rng(1)
    surface = []
    for radius, center in BALLS:
        direction = generator.standard_normal((200_000, 3))
        on = np.array(center) + radius * direction / np.linalg.norm(direction, axis=1, keepdims=True)
        surface.append(on[np.stack([ball_distance(on, *b) for b in BALLS]).min(axis=0) > -1e-9])
    to_surface = cKDTree(np.concatenate(surface)).query(points[~outside])[0]
    assert np.abs(-distances[~outside] - to_surface).max() < 0.01
    # All surface points are on the outside of all balls.
    on = shape.sample_surface(5000, 0)[0] * shape.scale + shape.center
    assert np.stack([ball_distance(on, *b) for b in BALLS]).min(axis=0).min() > -0.002


@pytest.mark.parametrize("corner", (3, 15, 27))
def test_a_face_with_a_wrong_corner_costs_itself_at_most(tmp_path: Path, corner: int) -> None:
    """It runs across the solid, and winding numbers beside it are a guess; the faces around it are no part of that."""
    mesh = ball(subdivisions=2)
    wrong = mesh.faces.copy()
    wrong[40, 2] = wrong[(40 + 8 * corner) % len(wrong), 0]
    shape = written(tmp_path / "a.ply", mesh.vertices, wrong)
    assert len(shape.faces) >= len(mesh.faces) - 1
    points, distances = asked(shape)
    away = np.abs(ball_distance(points)) > 0.1
    assert ((distances < 0) == (ball_distance(points) < 0))[away].mean() > 0.98


def blocks(solid: np.ndarray, *lines: Sequence[float]) -> trimesh.Trimesh:
    """The surface of those cells of a grid that are solid."""
    padded, corners, faces = np.pad(solid, 1), [], []
    for cell in np.argwhere(solid):
        for axis, side in ((a, s) for a in range(3) for s in (0, 1)):
            step = (2 * side - 1) * np.eye(3, dtype=int)[axis]
            if not padded[tuple(cell + 1 + step)]:
                along, across = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
                start = cell + side * np.eye(3, dtype=int)[axis]
                square = [start, start + along, start + along + across, start + across]
                corners += [[line[i] for line, i in zip(lines, corner, strict=True)] for corner in square]
                first = len(corners) - 4
                quad = [[0, 1, 2], [0, 2, 3]] if side else [[2, 1, 0], [3, 2, 0]]
                faces += [[first + i for i in face] for face in quad]
    return trimesh.Trimesh(corners, faces)


def test_a_coarse_solid_in_a_dense_one_is_cut_along_the_seam_only(tmp_path: Path) -> None:
    mesh = joined(trimesh.creation.box((3, 3, 0.5)), ball(1.0, (0.1, 0.2, 0.15), 5))
    shape = written(tmp_path / "a.ply", mesh.vertices, mesh.faces)
    assert len(shape.faces) < len(mesh.faces)
    points, distances = asked(shape, 5000)
    slab = np.abs(points) - [1.5, 1.5, 0.25]
    slab = np.linalg.norm(np.maximum(slab, 0), axis=1) + np.minimum(slab.max(axis=1), 0)
    union = np.minimum(slab, ball_distance(points, 1.0, (0.1, 0.2, 0.15)))
    assert np.abs(distances - union)[union > 0].max() < 0.001
    assert ((distances < 0) == (union < 0))[np.abs(union) > 0.001].all()


def test_a_surface_that_almost_touches_itself_is_left_alone(tmp_path: Path) -> None:
    """Two slabs that are joined at one side, with a slit between them of a millionth of their size."""
    solid = np.ones((2, 1, 3), dtype=bool)
    solid[1, 0, 1] = False
    fold = blocks(solid, [-0.5, -0.3, 0.5], [-0.4, 0.4], [-0.25, -1e-6, 1e-6, 0.25])
    assert fold.is_watertight
    shape = written(tmp_path / "a.ply", fold.vertices.astype(np.float64), fold.faces)
    assert shape.warnings == [] and len(shape.faces) == len(fold.faces)


def test_a_hole_is_closed_by_the_winding_number(tmp_path: Path) -> None:
    whole = ball(subdivisions=4)
    faces = whole.faces[whole.triangles_center[:, 2] < 0.85]
    shape = written(tmp_path / "a.ply", whole.vertices, faces)
    assert not shape.watertight and "not watertight" in shape.warnings[0]
    points, distances = asked(shape)
    height = points[:, 2]
    away = height < 0.75
    inside = ball_distance(points) < 0
    clear = away & (np.abs(ball_distance(points)) > 0.01)
    assert ((distances < 0) == inside)[clear].all()


def test_a_thin_sheet_is_solid(tmp_path: Path) -> None:
    sheet = trimesh.creation.box((2.0, 2.0, 0.002))
    shape = written(tmp_path / "a.stl", sheet.vertices, sheet.faces)
    points, distances = asked(shape, 1000)
    middle = np.linspace(-0.9, 0.9, 50)[:, None] * [1.0, 0.7, 0.0]
    assert np.allclose(shape.signed_distance(middle / shape.scale) * shape.scale, -0.001, atol=1e-6)
    assert (distances[np.abs(points[:, 2]) > 0.0011] > 0).all()


# Points without normals ----------------------------------------------------------------------------------------------


def torus(count: int, seed: int = 0) -> np.ndarray:
    """Random points of a torus of radii 1 and 0.4, uniform in area."""
    mesh = trimesh.creation.torus(1.0, 0.4, 128, 64)
    return trimesh.sample.sample_surface(mesh, count, seed=seed)[0]


def torus_distance(points: np.ndarray) -> np.ndarray:
    return np.hypot(np.hypot(points[:, 0], points[:, 1]) - 1.0, points[:, 2]) - 0.4


def cloud(path: Path, points: np.ndarray) -> ShapeSignal:
    np.savetxt(path, points, fmt="%.17g")
    return load_signal(path)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1500, 20000])
def test_points_alone_tell_inside_from_outside(tmp_path: Path, count: int) -> None:
    shape = cloud(tmp_path / "torus.xyz", torus(count))
    assert shape.source == "points" and shape.warnings == []
    points, distances = asked(shape)
    expected = torus_distance(points)
    clear = np.abs(expected) > 0.05
    assert ((distances < 0) == (expected < 0))[clear].mean() > 0.999
    assert np.abs(distances - expected)[clear].mean() < 0.01
    # Their normals point outward.
    on = shape.points * shape.scale + shape.center
    assert (torus_distance(on + 0.01 * shape.normals) > torus_distance(on - 0.01 * shape.normals)).mean() > 0.995


@pytest.mark.slow
@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 1e6]))
def test_neither_size_nor_place_matters(tmp_path_factory, seed: int, size: float) -> None:
    generator = np.random.default_rng(seed)
    turn = trimesh.transformations.random_rotation_matrix(generator.random(3))[:3, :3]
    moved = size * (torus(4000, 1) @ turn.T + generator.uniform(-10, 10, 3))
    shape = cloud(tmp_path_factory.mktemp("cloud") / "a.txt", moved)
    points = np.random.default_rng(1).uniform(-1, 1, (5000, 3))
    inside = shape.signed_distance(points) < 0
    # 2 pi² r² R over the cube's volume.
    assert inside.mean() == pytest.approx(2 * np.pi**2 * 0.4**2 / (2 * shape.scale / size) ** 3, abs=0.02)


@pytest.mark.slow
def test_noisy_points_are_moved_onto_a_smooth_surface(tmp_path: Path) -> None:
    exact = torus(10000)
    noisy = exact + 0.01 * np.random.default_rng(0).standard_normal(exact.shape)
    shape = cloud(tmp_path / "a.xyz", noisy)
    assert len(shape.warnings) == 1 and "scatter" in shape.warnings[0]
    away = np.abs(torus_distance(shape.points * shape.scale + shape.center))
    assert away.mean() < 0.6 * np.abs(torus_distance(noisy)).mean()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["ply", "pts", "npz", "npy", "csv"])
def test_point_files(tmp_path: Path, suffix: str) -> None:
    points, path = torus(3000).astype(np.float32), tmp_path / f"a.{suffix}"
    if suffix == "ply":
        trimesh.PointCloud(points).export(path)
    elif suffix == "npz":
        np.savez(path, points=points)
    elif suffix == "npy":
        np.save(path, points)
    elif suffix == "pts":
        rows = "\n".join(" ".join(f"{v:.9g}" for v in p) + " 17 200 100 50" for p in points)
        path.write_text(f"{len(points)}\n{rows}\n")
    else:
        np.savetxt(path, points, delimiter=",", header="x,y,z", comments="", fmt="%.9g")
    shape = load_signal(path, "shape")
    assert shape.source == "points" and len(shape.points) == 3000
    assert shape.signed_distance(np.array([[1.0, 0, 0]]) / shape.scale)[0] < 0
    assert shape.signed_distance(np.zeros((1, 3)))[0] > 0


def expe(points: np.ndarray, normals: np.ndarray) -> bytes:
    header = "[Expe/PointSet/Binary/0.1]\nproperty position 12\nproperty radius 4\nproperty normal 12\n"
    rows = np.concatenate([points, np.ones((len(points), 1)), normals], axis=1).astype("<f4")
    return f"{header}nofpoints {len(points)}\ndata\n".encode() + rows.tobytes()


def test_expe_files(tmp_path: Path) -> None:
    directions = np.random.default_rng(0).standard_normal((2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    content, path = expe(3 * directions + 1, directions), tmp_path / "a.pts"
    path.write_bytes(content)
    shape = load_signal(path)
    assert shape.source == "oriented-points" and len(shape.points) == 2000
    points, distances = asked(shape, 2000)
    assert np.abs(distances - ball_distance(points, 3.0, (1, 1, 1))).mean() < 0.05
    for cut in (
        content[:-100],
        content.replace(b"property position 12\n", b""),
        content.replace(b"nofpoints 2000\n", b""),
    ):
        path.write_bytes(cut)
        with pytest.raises(SignalError, match="cut or no binary Expe"):
            load_signal(path)
    path.write_bytes(content.replace(b"property radius", b"\nproperty radius"))
    assert len(load_signal(path).points) == 2000


def test_points_that_enclose_nothing_are_one_line(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sheet = np.concatenate([generator.uniform(-1, 1, (2000, 2)), np.zeros((2000, 1))], axis=1)
    sheet[:, 2] = 0.3 * sheet[:, 0] ** 2
    with pytest.raises(SignalError, match="shut nothing off"):
        cloud(tmp_path / "a.xyz", sheet)

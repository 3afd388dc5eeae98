"""Shapes from meshes and point samples: frames, distances, signs and samples."""

from __future__ import annotations

import math
import pickle
import zipfile

import numpy as np
import pytest
import trimesh

from winner_ns.errors import SignalError
from winner_ns.signals import ShapeSignal, detect_kind, load_signal


def sphere(subdivisions: int = 4, radius: float = 1.0, center=(0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    mesh = trimesh.creation.icosphere(subdivisions, radius)
    mesh.apply_translation(center)
    return mesh


def export(path, mesh) -> ShapeSignal:
    mesh.export(path)
    return load_signal(path)


def inradius(mesh: trimesh.Trimesh) -> float:
    """Of a polyhedron around the origin: how near its faces' planes come."""
    return np.einsum("fi,fi->f", mesh.triangles[:, 0], mesh.face_normals).min()


def oriented_sphere(count: int = 4000, radius: float = 1.0) -> np.ndarray:
    """Points of a Fibonacci lattice on a sphere and their normals, [count, 6]."""
    index = np.arange(count) + 0.5
    z, angle = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    normals = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
    return np.concatenate([normals * radius, normals], axis=1)


def sphere_distances(count: int = 20000) -> np.ndarray:
    """Points around a sphere of radius 0.5 and their distances, [count, 4]."""
    points = np.random.default_rng(0).uniform(-1, 1, (count, 3))
    return np.concatenate([points, np.linalg.norm(points, axis=1, keepdims=True) - 0.5], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("center", [(0, 0, 0), (3, -20, 1e4)])
def test_distances_lie_between_those_of_the_inner_and_outer_sphere(tmp_path, center):
    mesh = sphere(5, 2.0)
    inner = inradius(mesh)
    mesh.apply_translation(center)
    shape = export(tmp_path / "a.obj", mesh)
    assert shape.kind == detect_kind(tmp_path / "a.obj") == "shape"
    assert shape.watertight and shape.warnings == []
    points = np.random.default_rng(0).uniform(-1, 1, (20000, 3))
    original = points * shape.scale + shape.center
    radius = np.linalg.norm(original - center, axis=1)
    distance = shape.signed_distance(points) * shape.scale
    # The polyhedron contains one sphere and is contained in the other; 1e-7 is what the file's digits allow.
    assert (distance >= radius - 2.0 - 1e-7).all() and (distance <= radius - inner + 1e-7).all()
    assert 2.0 - inner < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb", "gltf"])
def test_mesh_formats(tmp_path, suffix):
    mesh = sphere(3, 0.7, (5, 6, 7))
    path = tmp_path / f"a.{suffix}"
    if suffix == "gltf":
        for name, content in trimesh.exchange.gltf.export_gltf(trimesh.Scene(mesh)).items():
            (tmp_path / name.replace("model.gltf", "a.gltf")).write_bytes(content)
    else:
        mesh.export(path)
    shape = load_signal(path)
    assert shape.source == "mesh" and shape.watertight and shape.warnings == []
    assert shape.metadata == {"format": suffix.upper(), "vertices": len(mesh.vertices), "faces": len(mesh.faces)}
    np.testing.assert_allclose(shape.center, (5, 6, 7), atol=1e-5)
    assert shape.enclosed_volume() * shape.scale**3 == pytest.approx(mesh.volume, rel=1e-5)
    assert np.abs(shape.vertices).max() == pytest.approx(0.9)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
@pytest.mark.parametrize("suffix", ["ply", "stl"])
def test_text_and_binary(tmp_path, suffix, encoding):
    name = "stl_ascii" if (suffix, encoding) == ("stl", "ascii") else suffix
    options = {"encoding": encoding} if suffix == "ply" else {}
    sphere(2).export(tmp_path / f"a.{suffix}", file_type=name, **options)
    shape = load_signal(tmp_path / f"a.{suffix}")
    assert shape.watertight and len(shape.vertices) == len(sphere(2).vertices)


def test_nothing_is_lost_a_million_units_away(tmp_path):
    mesh = sphere(3, 0.01, (1e6, -1e6, 1e6))
    with open(tmp_path / "a.obj", "w") as file:
        file.writelines("v {!r} {!r} {!r}\n".format(*vertex) for vertex in mesh.vertices.tolist())
        file.writelines("f {} {} {}\n".format(*face) for face in (mesh.faces + 1).tolist())
    shape = load_signal(tmp_path / "a.obj")
    corners = shape.vertices[shape.faces] * shape.scale + shape.center
    # A double near 1e6 has steps of 1.2e-10.
    np.testing.assert_allclose(corners, mesh.triangles, rtol=0, atol=2.5e-10)
    assert shape.watertight and np.abs(shape.vertices).max() == pytest.approx(0.9)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_tiny_and_huge_units_give_the_same_unit_shape(tmp_path, size):
    shape = export(tmp_path / "a.ply", sphere(3, size))
    assert shape.watertight and len(shape.vertices) == len(sphere(3).vertices)
    assert shape.scale == pytest.approx(size * export(tmp_path / "b.ply", sphere(3)).scale, rel=1e-6)


def test_a_scene_becomes_one_mesh_where_its_parts_stand(tmp_path):
    scene = trimesh.Scene()
    box = trimesh.creation.box((1, 1, 1))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((-2, 0, 0)))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((2, 0, 0)) @ np.diag([-1, 2, 1, 1]))
    shape = export(tmp_path / "a.glb", scene)
    np.testing.assert_allclose(shape.center, 0, atol=1e-6)
    assert shape.watertight and shape.enclosed_volume() * shape.scale**3 == pytest.approx(3)
    inside = (np.array([[-2, 0, 0], [2, 0.9, 0], [-2, 0.9, 0], [0, 0, 0]]) - shape.center) / shape.scale
    assert (shape.signed_distance(inside) < 0).tolist() == [True, True, False, False]


def test_a_hole_is_guessed_across_with_a_warning(tmp_path):
    mesh = sphere(4)
    mesh.update_faces(mesh.triangles_center[:, 2] < 0.8)
    shape = export(tmp_path / "a.ply", mesh)
    assert not shape.watertight
    assert len(shape.warnings) == 1 and "not watertight" in shape.warnings[0] and "Jacobson" in shape.warnings[0]
    z = np.array([-1.5, -0.99, -0.5, 0.0, 0.5, 1.4])
    points = (np.stack([0 * z, 0 * z, z], axis=1) - shape.center) / shape.scale
    assert (shape.signed_distance(points) < 0).tolist() == [False, True, True, True, True, False]
    # Deep inside the nearest wall is the sphere's own.
    deepest = (np.array([[0, 0, -0.2]]) - shape.center) / shape.scale
    assert shape.signed_distance(deepest)[0] * shape.scale == pytest.approx(-0.8, abs=0.005)


def test_a_mesh_that_is_inside_out_is_turned(tmp_path):
    mesh = sphere(3)
    right = export(tmp_path / "a.ply", mesh)
    mesh.invert()
    turned = export(tmp_path / "b.ply", mesh)
    assert len(turned.warnings) == 1 and "inward" in turned.warnings[0]
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    np.testing.assert_array_equal(turned.signed_distance(points), right.signed_distance(points))
    surface, normals = turned.sample_surface(100, seed=0)
    assert (np.einsum("ni,ni->n", surface, normals) > 0.85).all()


def test_single_faces_that_point_the_wrong_way_are_turned(tmp_path):
    mesh = sphere(3)
    right = export(tmp_path / "a.ply", mesh)
    mesh.faces[::5] = mesh.faces[::5, ::-1]
    turned = export(tmp_path / "b.ply", mesh)
    assert len(turned.warnings) == 1 and f"{len(mesh.faces[::5])} of {len(mesh.faces)} faces" in turned.warnings[0]
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    np.testing.assert_allclose(turned.signed_distance(points), right.signed_distance(points), atol=1e-12)


def test_a_cavity_stays_outside(tmp_path):
    hollow = sphere(3, 0.5)
    hollow.invert()
    shape = export(tmp_path / "a.ply", trimesh.util.concatenate([sphere(3), hollow]))
    assert shape.watertight and shape.warnings == []
    points = np.array([[0, 0, 0], [0, 0, 0.75], [0, 0, 1.05]]) / shape.scale
    assert (shape.signed_distance(points) < 0).tolist() == [False, True, False]


def test_vertices_and_faces_without_use_do_not_matter(tmp_path):
    mesh = sphere(2)
    lines = [f"v {x} {y} {z}" for x, y, z in mesh.vertices]
    lines += ["v 50 50 50"] + [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1] + ["f 1 1 2"]
    (tmp_path / "a.obj").write_text("\n".join(lines))
    shape = load_signal(tmp_path / "a.obj")
    assert shape.watertight and len(shape.faces) == len(mesh.faces)
    assert shape.scale == pytest.approx(np.abs(mesh.vertices).max() / 0.9)


def test_samples_are_a_documented_mixture_with_exact_distances(tmp_path):
    shape = export(tmp_path / "a.ply", sphere(5))
    points, distances = shape.sample(50000, seed=1)
    assert points.shape == (50000, 3) and points.dtype == distances.dtype == np.float32
    assert np.abs(points).max() <= 1.0
    np.testing.assert_array_equal(distances, shape.signed_distance(points).astype(np.float32))
    # Shares within so much of a sphere of radius 0.9: of a normal offset erf(x/(sigma sqrt 2)) each, and the shell's
    # part of the cube.
    near = ((0.4, 0.003), (0.25, 0.01), (0.15, 0.05))

    def share_within(x):
        shell = 4 / 3 * np.pi * ((0.9 + x) ** 3 - (0.9 - x) ** 3) / 8
        return sum(share * math.erf(x / sigma / 2**0.5) for share, sigma in near) + 0.2 * shell

    for x in (0.001, 0.003, 0.01, 0.03, 0.08):
        assert (np.abs(distances) < x).mean() == pytest.approx(share_within(x), abs=0.01)
    expected = share_within(0.03)
    far = np.linalg.norm(points, axis=1) > 1.2
    outside_ball = np.mean(np.linalg.norm(np.random.default_rng(0).uniform(-1, 1, (10**6, 3)), axis=1) > 1.2)
    assert far.mean() == pytest.approx(0.2 * outside_ball, abs=0.005)
    # In random order: any part is a fair sample.
    assert (np.abs(distances[:5000]) < 0.03).mean() == pytest.approx(expected, abs=0.03)


def test_surface_points_are_uniform_in_area(tmp_path):
    shape = export(tmp_path / "a.ply", trimesh.creation.box((1, 2, 4)).subdivide_to_size(1.5))
    points, normals = shape.sample_surface(40000, seed=0)
    assert points.dtype == normals.dtype == np.float32
    assert np.abs(shape.signed_distance(points)).max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    for axis, area in enumerate([16, 8, 4]):
        facing = np.abs(normals[:, axis]) > 0.5
        assert facing.mean() == pytest.approx(area / 28, abs=0.01)
        side = np.array([1, 2, 4])[axis] / 2 / shape.scale
        np.testing.assert_allclose(points[facing, axis], side * normals[facing, axis], atol=1e-6)
        # Within a side: a uniform coordinate has a variance of a third of its half length squared.
        for along in {0, 1, 2} - {axis}:
            half = np.array([1, 2, 4])[along] / 2 / shape.scale
            assert points[facing, along].var() == pytest.approx(half**2 / 3, rel=0.06)


@pytest.mark.parametrize("source", ["mesh", "oriented-points", "distances"])
def test_samples_are_the_same_for_a_seed_only(tmp_path, source):
    if source == "mesh":
        first, second = export(tmp_path / "a.ply", sphere(3)), load_signal(tmp_path / "a.ply")
    else:
        table = oriented_sphere() if source == "oriented-points" else sphere_distances()
        np.savetxt(tmp_path / "a.xyz", table)
        first, second = load_signal(tmp_path / "a.xyz"), load_signal(tmp_path / "a.xyz")
    assert first.source == source
    for draw in ("sample", "sample_surface"):
        for a, b in zip(getattr(first, draw)(3000, 7), getattr(second, draw)(3000, 7), strict=True):
            np.testing.assert_array_equal(a, b)
            assert len(a) == 3000
        assert (getattr(first, draw)(3000, 7)[0] != getattr(first, draw)(3000, 8)[0]).any()


@pytest.mark.parametrize("source", ["mesh", "oriented-points"])
def test_a_distance_does_not_depend_on_the_other_queries(tmp_path, source):
    np.savetxt(tmp_path / "a.xyz", oriented_sphere())
    shape = export(tmp_path / "a.ply", sphere(3)) if source == "mesh" else load_signal(tmp_path / "a.xyz")
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 3))
    chosen = np.random.default_rng(1).permutation(2000)[:50]
    together = shape.signed_distance(points)
    np.testing.assert_array_equal(shape.signed_distance(points[chosen]), together[chosen])
    assert shape.signed_distance(points[:0]).shape == (0,)


def test_of_a_large_mesh_one_search_tree_is_in_memory_at_a_time(tmp_path, monkeypatch):
    from winner_ns.signals import shape as shapes

    mesh = sphere(3)
    both = export(tmp_path / "a.ply", mesh).sample(2000, seed=0)
    monkeypatch.setattr(shapes, "_LARGE_TREES", len(mesh.faces) - 1)
    shape = load_signal(tmp_path / "a.ply")
    for left in ("_mesh_tree", "_windings"):
        # The one that is there, at first for signs, is asked first, and goes before the other is built.
        for found, expected in zip(shape.sample(2000, seed=0), both, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert {"_mesh_tree", "_windings"} & set(vars(shape)) == {left}
    shape.signed_distance(both[0][:10])
    assert {"_mesh_tree", "_windings"} <= set(vars(shape))


def test_shapes_travel_between_processes(tmp_path):
    shape = export(tmp_path / "a.ply", sphere(3))
    points, distances = shape.sample(100, seed=0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(shape)).signed_distance(points).astype("f4"), distances)


def write_oriented(path, table: np.ndarray) -> None:
    points, normals = table[:, :3], table[:, 3:]
    suffix = path.suffix
    if suffix == ".npy":
        np.save(path, table)
    elif suffix == ".npz":
        np.savez(path, points=points, normals=normals)
    elif suffix == ".csv":
        np.savetxt(path, table, delimiter=",", header="x,y,z,nx,ny,nz", comments="")
    elif suffix == ".ply":
        names = ("x", "y", "z", "nx", "ny", "nz")
        header = "".join(f"property float {name}\n" for name in names)
        path.write_bytes(
            f"ply\nformat binary_little_endian 1.0\nelement vertex {len(table)}\n{header}end_header\n".encode()
            + table.astype("<f4").tobytes()
        )
    else:
        np.savetxt(path, table, header="sampled")


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "xyz", "ply"])
def test_oriented_points_of_a_sphere(tmp_path, suffix):
    table = oriented_sphere(4000, 2.0)
    if suffix not in ("npy", "xyz"):
        table[:, 3:] *= np.linspace(0.5, 3, 4000)[:, None]  # Of any length where they are named.
    path = tmp_path / f"a.{suffix}"
    write_oriented(path, table)
    shape = load_signal(path)
    assert shape.source == "oriented-points" and shape.warnings == [] and "winding number" in shape.sign_rule
    np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=1), 1, rtol=1e-6)
    points = np.random.default_rng(0).uniform(-1, 1, (5000, 3))
    exact = np.linalg.norm(points * shape.scale + shape.center, axis=1) - 2.0
    distance = shape.signed_distance(points) * shape.scale
    # A tangent plane is off by at most h^2 / 2r at the distance h between samples, here 0.11.
    tolerance = 0.11**2 / 4
    away = np.linalg.norm(points, axis=1) > 0.1  # In the centre all samples are equally near.
    np.testing.assert_allclose(distance[away], exact[away], atol=tolerance)
    assert ((distance < 0) == (exact < 0))[np.abs(exact) > tolerance].all()
    assert shape.enclosed_volume() * shape.scale**3 == pytest.approx(4 / 3 * np.pi * 8, rel=0.2)
    surface, normals = shape.sample_surface(500, seed=0)
    np.testing.assert_allclose(surface * shape.scale + shape.center, normals * 2, atol=1e-4)


def test_far_from_its_samples_the_distance_is_to_them(tmp_path):
    # A cube's corner: the tangent planes alone would make everything beyond an edge near.
    grid = np.stack(np.meshgrid(*[np.linspace(-0.975, 0.975, 40)] * 2), axis=-1).reshape(-1, 2)
    sides = []
    for axis in range(3):
        for sign in (-1, 1):
            side = np.zeros((len(grid), 6))
            side[:, [i for i in range(3) if i != axis]] = grid
            side[:, axis] = side[:, 3 + axis] = sign
            sides.append(side)
    np.save(tmp_path / "a.npy", np.concatenate(sides))
    shape = load_signal(tmp_path / "a.npy")
    points = np.random.default_rng(0).uniform(-1.1, 1.1, (5000, 3))
    exact = trimesh.proximity.signed_distance(trimesh.creation.box((2, 2, 2)), points) * -1
    distance = shape.signed_distance((points - shape.center) / shape.scale) * shape.scale
    assert np.abs(distance - exact).mean() < 0.01
    # Planes reach twice as far as the samples are apart, 0.05.
    np.testing.assert_allclose(distance, exact, atol=2 * 0.05)


def test_points_whose_normals_point_inward_are_turned(tmp_path):
    table = oriented_sphere()
    table[:, 3:] *= -1
    np.save(tmp_path / "a.npy", table)
    shape = load_signal(tmp_path / "a.npy")
    assert len(shape.warnings) == 1 and "inward" in shape.warnings[0]
    assert shape.signed_distance(np.array([[0, 0, 0.5]]))[0] < 0


@pytest.mark.parametrize("name", ["distances", "sdf", "signed_distance"])
@pytest.mark.parametrize("suffix", ["npz", "npy", "xyz", "csv"])
def test_signed_distance_samples(tmp_path, suffix, name):
    table = sphere_distances() * 10 + [3, 4, 5, 0]
    path = tmp_path / f"a.{suffix}"
    if suffix == "npz":
        np.savez(path, **{"points": table[:, :3], name: table[:, 3:]})
    elif suffix == "npy":
        np.save(path, table)
    else:
        np.savetxt(path, table, delimiter="," if suffix == "csv" else " ", fmt="%.17g")
    assert detect_kind(path) == "shape"
    shape = load_signal(path)
    assert shape.source == "distances" and shape.warnings == []
    np.testing.assert_allclose(shape.points * shape.scale + shape.center, table[:, :3], atol=1e-12)
    np.testing.assert_allclose(shape.distances * shape.scale, table[:, 3], atol=1e-12)
    # The surface fills the cube, beyond which the other samples are.
    assert shape.scale == pytest.approx(5 / 0.9, rel=0.03)
    surface, normals = shape.sample_surface(2000, seed=0)
    radius = np.linalg.norm(surface * shape.scale + shape.center - [3, 4, 5], axis=1)
    np.testing.assert_allclose(radius, 5, atol=0.05)
    expected = (surface * shape.scale + shape.center - [3, 4, 5]) / radius[:, None]
    assert np.einsum("ni,ni->n", normals, expected).min() > 0.98


def test_distances_around_a_shape_leave_room_for_its_surface(tmp_path):
    # Inside samples only, the nearest 0.5 below a surface that is then at 1.5.
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    np.savez(tmp_path / "a.npz", points=points, sdf=np.linalg.norm(points, axis=1) - 3.0)
    shape = load_signal(tmp_path / "a.npz")
    assert len(shape.warnings) == 1 and "no distance is outside" in shape.warnings[0]
    reach = (np.abs(shape.points).max(axis=1) - shape.distances).max()
    assert reach == pytest.approx(0.9)


def test_distances_far_from_the_surface_cannot_locate_it(tmp_path):
    table = sphere_distances()
    np.save(
        tmp_path / "a.npy",
        np.append(table[np.abs(table[:, 3]) > 0.1], [[1, 1, 1, 3**0.5 - 0.5], [-1, -1, -1, 3**0.5 - 0.5]], 0),
    )
    shape = load_signal(tmp_path / "a.npy")
    with pytest.raises(SignalError, match="only 0 samples within 0.01.* of the surface"):
        shape.sample_surface(10, seed=0)


def test_description_is_plain_json(tmp_path):
    import json

    facts = json.loads(json.dumps(export(tmp_path / "a.ply", sphere(2, 2.0, (1, 2, 3))).describe()))
    assert facts["source"] == "mesh" and facts["watertight"] is True
    np.testing.assert_allclose(facts["center"], (1, 2, 3), atol=1e-6)
    assert "winding number" in facts["sign_rule"]


def _mesh_file(tmp_path, vertices, faces=((0, 1, 2),)):
    path = tmp_path / "a.obj"
    lines = ["v {} {} {}".format(*v) for v in vertices] + ["f {} {} {}".format(*(i + 1 for i in f)) for f in faces]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("vertices", "faces", "problem"),
    [
        ([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], "has 3 points"),
        ([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 1, 2)], "flat"),
        ([(1, 1, 1)] * 4, [(0, 1, 2), (1, 2, 3)], "no extent"),
        ([(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3)], [(0, 1, 2), (1, 2, 3)], "flat"),
        ([(0, 0, "nan"), (1, 0, 0), (0, 1, 0), (0, 0, 1)], [(0, 1, 2), (1, 2, 3)], "1 of 4 vertices are NaN"),
    ],
)
def test_meshes_without_a_surface(tmp_path, vertices, faces, problem):
    with pytest.raises(SignalError, match=problem):
        load_signal(_mesh_file(tmp_path, vertices, faces))


@pytest.mark.parametrize("suffix", ["ply", "stl", "glb", "off"])
def test_a_cut_mesh_is_one_line(tmp_path, suffix, capfd):
    path = tmp_path / f"a.{suffix}"
    sphere(3).export(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    capfd.readouterr()
    with pytest.raises(SignalError) as caught:
        load_signal(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_face_without_its_vertices(tmp_path):
    path = tmp_path / "a.off"
    path.write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 1\n3 0 1 7\n")
    with pytest.raises(SignalError):
        load_signal(path)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"points": np.zeros((20, 3))}, "all points are the same"),
        ({"normals": np.zeros((20, 3))}, "it needs points, with distances"),
        ({"pixels": np.zeros((20, 3))}, "holds pixels"),
        ({"points": np.ones((20, 2)), "sdf": np.ones(20)}, "shape .20, 2"),
        ({"points": np.random.rand(20, 3), "sdf": np.arange(19)}, "has 20 points and 19 distances"),
        ({"points": np.random.rand(20, 3), "normals": np.ones((19, 3))}, "has 20 points and normals"),
        ({"points": np.random.rand(20, 3), "normals": np.zeros((20, 3))}, "shut nothing off"),
        ({"points": np.random.rand(20, 3), "sdf": np.full(20, 0.5)}, "all distances are 0.5"),
        (
            {"points": np.random.rand(20, 3), "sdf": np.linspace(-1, 1e38, 20)},
            "its distances reach to 1e.38, which single",
        ),
        ({"points": np.random.rand(5, 3), "sdf": np.arange(5)}, "has 5 points"),
        ({"points": np.ones((20, 3)), "sdf": np.arange(20)}, "all points are the same"),
        ({"points": np.full((20, 3), np.nan), "sdf": np.arange(20)}, "20 of 20 points are NaN"),
        ({"points": np.random.rand(20, 3), "sdf": np.array([np.inf] + [1] * 19)}, "1 of 20 distances are NaN"),
        ({"points": np.array([{}] * 20), "sdf": np.arange(20)}, "pickled"),
        ({"points": np.array(["a"] * 20), "sdf": np.arange(20)}, "instead of real numbers"),
    ],
)
def test_archives_without_a_shape(tmp_path, arrays, problem):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SignalError, match=problem):
        load_signal(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["points", "sdf", "other"])
def test_archives_with_members_that_are_no_arrays(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr(name, b"no array")
    with pytest.raises(SignalError, match="is cut or no .npz file"):
        load_signal(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "text", ["hello world\n", "1 2\n4 5\n", "1,2,3,4\n5,6\n", "# nothing\n", "x,y,z,d\n", "1 2 3 a\n2 3 4 5\n"]
)
def test_text_without_a_shape(tmp_path, text, recwarn):
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(SignalError, match="give columns x y z distance"):
        load_signal(tmp_path / "a.xyz")
    assert list(recwarn) == []


def test_surface_normals_are_those_where_the_surface_is_nearest(tmp_path):
    cube = export(tmp_path / "cube.ply", trimesh.creation.box([2.0, 2.0, 2.0]))
    points = np.array([[0.3, 0.2, 0.95], [0.99, -0.4, 0.1], [0.1, -0.8, 0.2], [-0.2, 0.1, -0.89]])
    expected = [[0, 0, 1], [1, 0, 0], [0, -1, 0], [0, 0, -1]]
    np.testing.assert_allclose(cube.surface_normals(points), expected, atol=1e-12)
    assert cube.surface_normals(points[:0]).shape == (0, 3)

    np.save(tmp_path / "points.npy", oriented_sphere())
    ball, points = load_signal(tmp_path / "points.npy"), np.random.default_rng(0).normal(size=(500, 3))
    points *= np.random.default_rng(1).uniform(0.5, 1.0, (500, 1)) / np.linalg.norm(points, axis=1, keepdims=True)
    radial = points / np.linalg.norm(points, axis=1, keepdims=True)
    normals = ball.surface_normals(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    assert np.einsum("ni,ni->n", normals, radial).min() > np.cos(0.05)
    assert ball.surface_normals(points[:0]).shape == (0, 3)


def test_signs_and_distances_are_those_of_signed_distances(tmp_path):
    points = np.random.default_rng(0).uniform(-1, 1, (3000, 3))
    np.save(tmp_path / "normals.npy", oriented_sphere())
    np.save(tmp_path / "distances.npy", sphere_distances(500))
    cube = export(tmp_path / "cube.ply", trimesh.creation.box([2.0, 1.0, 2.0]))
    for shape in (cube, load_signal(tmp_path / "normals.npy"), load_signal(tmp_path / "distances.npy")):
        signed = shape.signed_distance(points)
        assert (signed < 0).any() and (signed > 0).any()
        assert np.array_equal(shape.inside(points), signed < 0)
        assert np.array_equal(shape.distance(points), np.abs(signed))


def test_distances_at_given_points_have_no_normals_elsewhere(tmp_path):
    np.save(tmp_path / "a.npy", sphere_distances(500))
    with pytest.raises(ValueError, match="own points only"):
        load_signal(tmp_path / "a.npy").surface_normals(np.zeros((1, 3)))

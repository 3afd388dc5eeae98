"""Figures of two surfaces against pairs whose figures are known, and `winner-ns eval-mesh` as a user meets it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.fields import build_field
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField
from winner_ns.figures.meshes import OneWay, SurfaceComparison, compare_files, volume_iou
from winner_ns.figures.surface import Surface, read_surface
from winner_ns.fitting.evaluation import evaluate_field
from winner_ns.fitting.target import TargetOptions, target_of
from winner_ns.meshing.fitted_surface import extract_unit_mesh

FAR = np.array([1.0e6, -2.0e6, 5.0e5])


def write(path: Path, mesh: trimesh.Trimesh, offset: Any = 0.0) -> Path:
    """A mesh file whose decimals do not limit the precision."""
    trimesh.Trimesh(mesh.vertices + offset, mesh.faces, process=False).export(path, digits=12)
    return path


def eval_mesh(capsys: pytest.CaptureFixture, *arguments: Any) -> Dict[str, Any]:
    assert main(["eval-mesh", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def cube(size: float = 1.0) -> trimesh.Trimesh:
    return trimesh.creation.box((size, size, size))


def patch(divisions: int = 4) -> trimesh.Trimesh:
    """The unit square in the plane z = 0, facing up."""
    x, y = (c.ravel() for c in np.mgrid[0 : divisions + 1, 0 : divisions + 1] / divisions)
    first = (np.arange(divisions)[:, None] * (divisions + 1) + np.arange(divisions)).ravel()
    corner, right, up = first, first + divisions + 1, first + 1
    faces = np.concatenate([np.stack([corner, right, right + 1], 1), np.stack([corner, right + 1, up], 1)])
    return trimesh.Trimesh(np.stack([x, y, 0 * x], axis=1), faces, process=False)


def triangle_soup(seed: int, count: int = 12) -> trimesh.Trimesh:
    vertices = np.random.default_rng(seed).normal(size=(3 * count, 3))
    return trimesh.Trimesh(vertices, np.arange(3 * count).reshape(-1, 3), process=False)


def surface(mesh: trimesh.Trimesh, samples: int = 2000, seed: int = 0) -> Surface:
    return Surface.of_mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), samples, seed)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [np.zeros(3), FAR], ids=["at the origin", "a thousand kilometres away"])
def test_concentric_spheres(tmp_path: Path, capsys: pytest.CaptureFixture, offset: np.ndarray) -> None:
    radius, gap = 2.0, 0.1
    inner = write(tmp_path / "inner.obj", trimesh.creation.icosphere(5, radius), offset)
    outer = write(tmp_path / "outer.off", trimesh.creation.icosphere(5, radius + gap), offset)
    result = eval_mesh(capsys, inner, outer, "--thresholds", 1, 1.4, 1.5)
    diagonal = 2 * math.sqrt(3) * radius
    assert result["diagonal"] == pytest.approx(diagonal, rel=1e-3)
    for name in ("chamfer_l1", "accuracy", "completeness", "hausdorff"):
        assert result[name] == pytest.approx(gap, rel=0.01)
        assert result[f"{name}_percent_of_diagonal"] == pytest.approx(100 * gap / diagonal, rel=0.01)
        # The reference's largest half extent becomes 0.9.
        assert result[f"{name}_unit_cube"] == pytest.approx(gap * 0.9 / radius, rel=0.01)
    assert result["chamfer_l2"] == pytest.approx(gap**2, rel=0.01)
    assert result["chamfer_l2_percent_of_squared_diagonal"] == pytest.approx(100 * (gap / diagonal) ** 2, rel=0.01)
    assert result["chamfer_l2_unit_cube"] == pytest.approx((gap * 0.9 / radius) ** 2, rel=0.01)
    assert result["iou"] == pytest.approx((radius / (radius + gap)) ** 3, rel=0.01)
    assert abs(result["iou"] - (radius / (radius + gap)) ** 3) < 4 * result["iou_error"]
    assert result["normal_consistency"] == pytest.approx(1.0, rel=0.01)
    assert result["normal_consistency_signed"] == pytest.approx(1.0, rel=0.01)
    # The gap is 1.44 % of the diagonal.
    assert [scores["f_score"] for scores in result["f_scores"]] == [0.0, 0.0, 1.0]
    for name, r in (("reference", radius), ("reconstruction", radius + gap)):
        facts = result[name]
        assert facts["area"] == pytest.approx(4 * math.pi * r**2, rel=0.01)
        assert facts["volume"] == pytest.approx(4 / 3 * math.pi * r**3, rel=0.01)
        assert (facts["euler_characteristic"], facts["genus"], facts["components"]) == (2, 0, 1)
        assert facts["watertight"] and facts["vertices"] == 10_242
    assert result["warnings"] == []


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.05, 0.2])
def test_shifted_cube(tmp_path: Path, capsys: pytest.CaptureFixture, shift: float) -> None:
    """The face left behind has the distance s everywhere; that inside of the other cube min(s, T), T the distance to
    the square's sides, P(T > t) = (1 - 2t)²; the four along the shift are on the other cube but for a strip of s."""
    a, b = write(tmp_path / "a.off", cube()), write(tmp_path / "b.off", cube(), [shift, 0.0, 0.0])
    percent = 100 * shift / 2 / math.sqrt(3)  # Half the shift.
    result = eval_mesh(capsys, a, b, "--samples", 300_000, "--thresholds", percent)
    s = shift
    mean = (s + (1 - (1 - 2 * s) ** 3) / 6 + 4 * s**2 / 2) / 6
    mean_square = (s**2 + (s**2 - 8 / 3 * s**3 + 2 * s**4) + 4 * s**3 / 3) / 6
    near = (1 - (1 - s) ** 2 + 4 * (1 - s / 2)) / 6
    expected = {"chamfer_l1": mean, "accuracy": mean, "completeness": mean, "chamfer_l2": mean_square}
    expected["iou"] = (1 - s) / (1 + s)
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, rel=0.01), name
        assert abs(result[name] - value) < 4 * result[f"{name}_error"], name
    scores = result["f_scores"][0]
    assert scores["threshold"] == pytest.approx(s / 2)
    for name in ("precision", "recall", "f_score"):
        assert scores[name] == pytest.approx(near, rel=0.01), name
        assert abs(scores[name] - near) < 4 * scores[f"{name}_error"], name
    assert result["hausdorff"] == pytest.approx(s)
    # Face to face 1, but where the inner face is closer to a side 0; the strips' nearest edge has either normal.
    sure = (1 + (1 - 2 * s) ** 2 + 4 * (1 - s)) / 6
    assert sure - 0.01 < result["normal_consistency"] < sure + 4 * s / 6 + 0.01
    assert result["reference"]["area"] == pytest.approx(6.0) and result["reference"]["volume"] == pytest.approx(1.0)


def test_plane_patches(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Open and flat, one above the other and, there, moved along itself and facing down."""
    height, shift = 0.25, 0.2
    below = write(tmp_path / "a.off", patch())
    above = write(tmp_path / "b.off", patch(7), [0.0, 0.0, height])
    aside = patch()
    aside.invert()
    aside = write(tmp_path / "c.off", aside, [shift, 0.0, 0.0])

    result = eval_mesh(capsys, below, above)
    assert (result["chamfer_l1"], result["hausdorff"]) == (pytest.approx(height), pytest.approx(height))
    assert result["normal_consistency_signed"] == pytest.approx(1.0)
    for facts in (result["reference"], result["reconstruction"]):
        assert facts["area"] == pytest.approx(1.0) and facts["euler_characteristic"] == 1
        assert not facts["watertight"] and not {"volume", "genus"} & set(facts)
    assert result["reference"]["open_edges"] == 16
    assert not {"iou", "iou_error"} & set(result)
    assert any("no IoU" in warning and "a.off" in warning for warning in result["warnings"])

    result = eval_mesh(capsys, below, aside)
    assert result["chamfer_l1"] == pytest.approx(shift**2 / 2, rel=0.02)
    assert abs(result["chamfer_l1"] - shift**2 / 2) < 4 * result["chamfer_l1_error"]
    assert result["hausdorff"] == pytest.approx(shift)
    assert result["normal_consistency"] == pytest.approx(1.0)
    assert result["normal_consistency_signed"] == pytest.approx(-1.0)
    assert any("opposite ways" in warning for warning in result["warnings"])


def test_two_ways_are_told_apart(tmp_path: Path) -> None:
    """Half of a sphere lies on the whole, the whole is far from its half: completeness and recall suffer."""
    whole = trimesh.creation.icosphere(5)
    half = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 2] > 0], process=False)
    result = compare_files(write(tmp_path / "whole.off", whole), write(tmp_path / "half.off", half))
    assert result["accuracy"] < 1e-9 and result["completeness"] > 0.2
    (scores, *_) = result["f_scores"]
    assert scores["precision"] == 1.0 and scores["recall"] == pytest.approx(0.5, abs=0.02)
    assert scores["f_score"] == pytest.approx(2 * scores["recall"] / (1 + scores["recall"]))
    assert result["hausdorff_from_reconstruction"] < 1e-9
    # The south pole and the equator.
    assert result["hausdorff"] == result["hausdorff_from_reference"] == pytest.approx(math.sqrt(2), rel=0.02)
    assert "iou" not in result and any("half.off is open" in warning for warning in result["warnings"])


def test_identical_surfaces(tmp_path: Path) -> None:
    path = write(tmp_path / "a.off", trimesh.creation.torus(3.0, 1.0))
    result = compare_files(path, path)
    assert result["chamfer_l1_percent_of_diagonal"] < 1e-12 and result["hausdorff_percent_of_diagonal"] < 1e-12
    assert [result["f_scores"][0][name] for name in ("f_score", "precision", "recall")] == [1.0, 1.0, 1.0]
    assert result["iou"] == 1.0 and result["normal_consistency_signed"] == pytest.approx(1.0)
    # What samples that all agree leave open.
    assert 0 < result["iou_error"] < 1e-3 and 0 < result["f_scores"][0]["recall_error"] < 1e-4


def test_standard_errors_are_the_spread_over_seeds(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.off", cube()), write(tmp_path / "b.off", cube(), [0.1, 0.05, 0.0])
    results = [compare_files(a, b, samples=1000, thresholds=(3.0,), seed=seed) for seed in range(100)]
    names = ("chamfer_l1", "accuracy", "completeness", "chamfer_l2", "iou")
    flat = [{**result, **result["f_scores"][0]} for result in results]
    for name in (*names, "f_score", "precision", "recall", "normal_consistency"):
        spread = np.std([result[name] for result in flat], ddof=1)
        told = np.mean([result[f"{name}_error"] for result in flat])
        # The standard deviation of 100 values is known to 7 %: three of these.
        assert spread == pytest.approx(told, rel=0.22), name


@settings(max_examples=25, deadline=None)
@given(seeds=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)))
def test_distances_are_those_of_every_triangle(seeds: Any) -> None:
    """Against the closest point on each of the triangles, one by one."""
    mesh = triangle_soup(seeds[0])
    points = 2 * np.random.default_rng(seeds[1]).normal(size=(40, 3))
    closest = np.stack([trimesh.triangles.closest_point(np.tile(t, (40, 1, 1)), points) for t in mesh.triangles])
    distances = np.linalg.norm(closest - points, axis=2)
    distance, normals = surface(mesh).nearest(points)
    assert distance == pytest.approx(distances.min(axis=0), abs=1e-12)
    cosines = np.abs(np.einsum("ni,ni->n", normals, mesh.face_normals[distances.argmin(axis=0)]))
    assert cosines == pytest.approx(np.ones(40))


@settings(max_examples=25, deadline=None)
@given(
    seeds=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    scale=st.floats(1e-6, 1e6),
    percent=st.floats(0.1, 30.0),
)
def test_exchanging_and_scaling(seeds: Any, scale: float, percent: float) -> None:
    assume(seeds[0] != seeds[1])
    a, b = triangle_soup(seeds[0]), triangle_soup(seeds[1])
    there, back = (SurfaceComparison(*pair) for pair in ((surface(a), surface(b)), (surface(b), surface(a))))
    for name in ("chamfer_l1", "chamfer_l2", "hausdorff", "normal_consistency", "normal_consistency_signed"):
        assert getattr(there, name) == pytest.approx(getattr(back, name)), name
    assert there.accuracy == back.completeness and there.completeness == back.accuracy
    same_threshold = there.f_score(percent), back.f_score(percent * there.diagonal / back.diagonal * (1 + 1e-12))
    assert same_threshold[0]["f_score"] == pytest.approx(same_threshold[1]["f_score"])
    assert same_threshold[0]["precision"] == pytest.approx(same_threshold[1]["recall"])

    for mesh in (a, b):
        mesh.vertices = mesh.vertices * scale
    scaled = SurfaceComparison(surface(a), surface(b))
    assert scaled.chamfer_l1 == pytest.approx(tuple(scale * x for x in there.chamfer_l1))
    assert scaled.chamfer_l2 == pytest.approx(tuple(scale**2 * x for x in there.chamfer_l2))
    assert scaled.hausdorff == pytest.approx(scale * there.hausdorff)


def test_farthest_vertex_counts_though_no_sample_hits_it() -> None:
    """A thin spike of a millionth of the area."""
    plane = patch()
    tip = len(plane.vertices)
    vertices = np.concatenate([plane.vertices, [[0.5, 0.5, 3.0], [0.5, 0.5 + 1e-6, 0.0], [0.5, 0.5, 0.0]]])
    spiked = trimesh.Trimesh(vertices, np.concatenate([plane.faces, [[tip, tip + 1, tip + 2]]]), process=False)
    found = OneWay.measure(surface(spiked, samples=500), surface(plane))
    assert found.distances.max() < 1e-9 and found.farthest == pytest.approx(3.0)


@pytest.mark.parametrize(
    "mesh, euler, genus, components",
    [
        (trimesh.creation.torus(3.0, 1.0), 0, 1, 1),
        (trimesh.util.concatenate([cube(), cube().apply_translation([3, 0, 0])]), 4, 0, 2),
        (trimesh.util.concatenate([trimesh.creation.torus(3.0, 1.0), trimesh.creation.icosphere()]), 2, 1, 2),
        # Two cubes that share a vertex are closed, but no manifold.
        (trimesh.util.concatenate([cube(), cube().apply_translation([1, 1, 1])]), 3, None, 2),
    ],
    ids=["torus", "two cubes", "torus and sphere", "pinched"],
)
def test_topology(tmp_path: Path, mesh: trimesh.Trimesh, euler: int, genus: Any, components: int) -> None:
    # STL repeats each vertex for every face.
    mesh.export(tmp_path / "a.stl")
    facts = read_surface(tmp_path / "a.stl").describe()
    assert facts["watertight"] and facts["consistently_oriented"]
    assert (facts["euler_characteristic"], facts.get("genus"), facts["components"]) == (euler, genus, components)
    assert facts["area"] == pytest.approx(mesh.area, rel=1e-6) and facts["volume"] == pytest.approx(
        mesh.volume, rel=1e-6
    )


def test_meshes_are_judged_as_they_are(tmp_path: Path) -> None:
    """Inside out, the volume is negative; with a face turned around, inside is not told any more."""
    upright = write(tmp_path / "a.off", cube())
    inverted, mixed = cube(), cube()
    inverted.invert()
    mixed.faces[:6] = mixed.faces[:6, ::-1]
    result = compare_files(upright, write(tmp_path / "b.off", inverted), samples=5000)
    assert result["reconstruction"]["volume"] == pytest.approx(-1.0) and result["iou"] == 1.0
    assert result["normal_consistency_signed"] == pytest.approx(-result["normal_consistency"])
    result = compare_files(upright, write(tmp_path / "c.off", mixed), samples=5000)
    assert result["reconstruction"]["watertight"] and not result["reconstruction"]["consistently_oriented"]
    assert "volume" not in result["reconstruction"] and "iou" not in result
    assert any("no IoU" in warning and "c.off" in warning for warning in result["warnings"])


def test_small_holes_keep_the_iou(tmp_path: Path) -> None:
    whole = trimesh.creation.icosphere(5)
    holed = trimesh.Trimesh(whole.vertices, whole.faces[3:], process=False)
    result = compare_files(write(tmp_path / "a.off", whole), write(tmp_path / "b.off", holed))
    assert not result["reconstruction"]["watertight"] and result["iou"] > 0.999


def test_degenerate_faces_do_not_count(tmp_path: Path) -> None:
    """A face without an area has no normal that could be the nearest place's."""
    mesh = patch()
    flat = trimesh.Trimesh(mesh.vertices, np.concatenate([[[0, 1, 2]], mesh.faces]), process=False)
    result = compare_files(write(tmp_path / "a.off", mesh), write(tmp_path / "b.off", flat, [0.0, 0.0, 0.1]))
    assert result["normal_consistency"] == pytest.approx(1.0) and result["chamfer_l1"] == pytest.approx(0.1)


def test_points_with_normals(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    directions = np.random.default_rng(0).normal(size=(50_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.savez(tmp_path / "points.npz", points=FAR + directions, normals=directions)
    mesh = write(tmp_path / "mesh.obj", trimesh.creation.icosphere(5, 1.1), FAR)
    result = eval_mesh(capsys, tmp_path / "points.npz", mesh)
    # From point to triangle exactly, the other way by the nearest point, a little farther.
    assert result["completeness"] == pytest.approx(0.1, rel=0.01)
    assert 0.1 < result["accuracy"] < 0.102
    assert result["normal_consistency_signed"] == pytest.approx(1.0, abs=0.01)
    assert set(result["reference"]) == {"path", "vertices"} and result["reference"]["vertices"] == 50_000
    assert "iou" not in result and any("points.npz has no faces" in warning for warning in result["warnings"])


def test_seeds(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.off", cube()), write(tmp_path / "b.off", cube(1.1))
    first, again, other = (compare_files(a, b, samples=500, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert all(first[name] != other[name] for name in ("chamfer_l1", "chamfer_l2", "iou", "normal_consistency"))


def test_shared_volume_of_nothing() -> None:
    nothing = np.zeros(10, dtype=bool)
    assert volume_iou(nothing, nothing).value == 1.0
    assert volume_iou(nothing, ~nothing).value == 0.0


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole = trimesh.creation.icosphere(4)
    half = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 2] > 0], process=False)
    a, b = write(tmp_path / "a.off", whole), write(tmp_path / "b.off", half)
    assert main(["eval-mesh", str(a), str(b), "--samples", "1000", "--thresholds", "0.3", "2"]) == 0
    printed = capsys.readouterr()
    result = eval_mesh(capsys, a, b, "--samples", 1000, "--thresholds", 0.3, 2)
    for name in ("chamfer_l1", "chamfer_l1_percent_of_diagonal", "hausdorff_unit_cube", "normal_consistency"):
        assert f"{result[name]:.4g}" in printed.out, name
    assert "within 0.3 %" in printed.out and "within 2 %" in printed.out
    assert f"{result['f_scores'][1]['f_score']:.4g}" in printed.out
    assert printed.err.count("\n") == len(result["warnings"]) == 1 and "no IoU" in printed.err


def test_frames_that_do_not_match_are_pointed_out(tmp_path: Path) -> None:
    a = write(tmp_path / "a.off", cube())
    aside, large = write(tmp_path / "b.off", cube(), [5.0, 0, 0]), write(tmp_path / "c.off", cube(1000.0))
    assert any("do not meet" in line for line in compare_files(a, aside, samples=1000)["warnings"])
    assert any("1 to 1e+03" in line for line in compare_files(a, large, samples=1000)["warnings"])


def bad_files(folder: Path) -> Dict[str, str]:
    """File names and what is said about them."""
    (folder / "folder.ply").mkdir()
    (folder / "empty.ply").touch()
    header = (
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    (folder / "bare.ply").write_text(header + "0 0 0\n")
    (folder / "line.off").write_text("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n")
    (folder / "huge.off").write_text("OFF\n3 1 0\n0 0 0\n1e200 1 1\n2 3 2\n3 0 1 2\n")
    (folder / "holes.off").write_text("OFF\n3 1 0\n0 0 0\nnan 1 1\n2 3 2\n3 0 1 2\n")
    (folder / "beyond.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")
    (folder / "tiny.off").write_text("OFF\n3 1 0\n0 0 0\n1e-35 0 0\n0 1e-35 0\n3 0 1 2\n")
    (folder / "cut.ply").write_bytes(cube().export(file_type="ply")[:-50])
    (folder / "notes.txt").write_text("Not a shape.\n")
    np.savez(folder / "distances.npz", points=np.random.default_rng(0).normal(size=(99, 3)), sdf=np.arange(99) - 50.0)
    (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    return {
        "missing.ply": "does not exist",
        "empty.ply": "is empty",
        "bare.ply": "has 1 point;",
        "line.off": "no face with an area",
        "huge.off": "coordinates above",
        "holes.off": "NaN or infinite",
        "beyond.obj": "export the mesh again",
        "tiny.off": "across",
        "cut.ply": "is cut, or its header counts",
        "notes.txt": "table of numbers",
        "distances.npz": "distances at points",
        "image.png": "is no shape",
        "folder.ply": "is an empty folder",
    }


def test_unusable_files_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    good = write(tmp_path / "good.off", cube())
    for name, problem in bad_files(tmp_path).items():
        assert main(["eval-mesh", str(tmp_path / name), str(good)]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("winner-ns: error: ")
        assert problem in printed.err and name in printed.err, name


@pytest.mark.parametrize("flags", [["--samples", "99"], ["--seed", "-1"]])
def test_flags_out_of_range(tmp_path: Path, capsys: pytest.CaptureFixture, flags: Any) -> None:
    path = str(write(tmp_path / "a.off", cube()))
    assert main(["eval-mesh", path, path, *flags]) == 1
    assert flags[0] in capsys.readouterr().err
    with pytest.raises(SignalError, match=flags[0]):
        compare_files(Path(path), Path(path), **{flags[0][2:]: int(flags[1])})


def fitted(target: Any, steps: int) -> LoadedField:
    """A small field after some steps of training."""
    network = build_field("siren", 3, 1, {"width": 32, "depth": 3}, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for step in range(steps):
        coordinates, values = target.batch(step, 2048, 0, 1)
        optimizer.zero_grad()
        (network(coordinates) - values).square().mean().backward()
        optimizer.step()
    made_of = NetworkDescription.of(network, "siren")
    description = Description("shape", "shape", "", made_of, target.describe(), target.signal.describe())
    return LoadedField(network.requires_grad_(False), description)


FIGURES = {"chamfer", "chamfer_percent_of_diagonal", "hausdorff_percent_of_diagonal", "f_score", "normal_consistency"}


@pytest.mark.slow
def test_a_field_has_the_figures_that_its_mesh_has(tmp_path: Path) -> None:
    path = write(tmp_path / "torus.off", trimesh.creation.torus(30.0, 12.0), [100.0, -50.0, 20.0])
    target = target_of(path, options=TargetOptions(shape_samples=20_000, seed=0))
    field = fitted(target, 200)
    figures = evaluate_field(field, target, mesh_resolution=48)
    vertices, faces = extract_unit_mesh(field, 48)
    mesh = trimesh.Trimesh(vertices * target.signal.scale, faces, process=False)
    result = compare_files(path, write(tmp_path / "fitted.off", mesh, target.signal.center))
    (scores, *_) = result.pop("f_scores")
    result |= scores
    for name, other in {
        "chamfer": "chamfer_l1_unit_cube",
        "chamfer_percent_of_diagonal": "chamfer_l1_percent_of_diagonal",
        "f_score": "f_score",
        "normal_consistency": "normal_consistency",
    }.items():
        # Of the difference between 100,000 and 50,000 samples, four standard errors.
        assert abs(figures[name] - result[other]) < 4 * math.sqrt(3) * result[f"{other}_error"], name
    hausdorff = "hausdorff_percent_of_diagonal"
    assert figures[hausdorff] == pytest.approx(result[hausdorff], rel=0.01)
    # The field's own volume in place of its mesh's.
    assert figures["iou"] == pytest.approx(result["iou"], abs=0.01)


@pytest.mark.slow
def test_a_field_of_an_open_mesh_has_figures(tmp_path: Path) -> None:
    whole = trimesh.creation.icosphere(4)
    half = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 2] > 0], process=False)
    target = target_of(write(tmp_path / "half.off", half), options=TargetOptions(shape_samples=5000, seed=0))
    figures = evaluate_field(fitted(target, 50), target, mesh_resolution=32)
    assert set(figures) == {"iou", *FIGURES} and all(math.isfinite(value) for value in figures.values())


@pytest.mark.slow
def test_a_field_of_points_has_figures(tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(4)
    np.savez(tmp_path / "points.npz", points=sphere.vertices, normals=sphere.vertex_normals)
    target = target_of(tmp_path / "points.npz", options=TargetOptions(shape_samples=50_000, seed=0))
    figures = evaluate_field(fitted(target, 200), target, mesh_resolution=32)
    assert figures["iou"] > 0.8 and figures["chamfer_percent_of_diagonal"] < 5.0
    assert set(figures) == {"iou", *FIGURES}

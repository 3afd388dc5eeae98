"""Points' columns and normals: colours are no normals, and normals point outward, whatever a file says."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Optional

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from winner_ns.errors import SignalError
from winner_ns.signals import ShapeSignal, detect_kind, load_signal

RADIUS, PLACE = 2.0, np.array([3.0, -1.0, 5.0])


def ball(count: int = 900) -> np.ndarray:
    """Points on a ball and their normals, [count, 6]."""
    index = np.arange(count) + 0.5
    z, angle = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    normals = np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], axis=1)
    return np.concatenate([RADIUS * normals + PLACE, normals], axis=1)


def assert_ball(shape: ShapeSignal, source: str, tolerance: float = 0.05) -> None:
    assert shape.source == source
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    exact = np.linalg.norm(points * shape.scale + shape.center - PLACE, axis=1) - RADIUS
    found = shape.signed_distance(points) * shape.scale
    away = exact > 0.3 - RADIUS  # In the middle all points are equally near.
    np.testing.assert_allclose(found[away], exact[away], atol=tolerance)
    outward = shape.points * shape.scale + shape.center - PLACE
    assert np.einsum("pi,pi->p", outward, shape.normals).min() > 0.9 * RADIUS


def against(shape: ShapeSignal, table: np.ndarray) -> np.ndarray:
    """Cosines between a shape's normals and those of a table, point by point."""
    nearest = cKDTree(table[:, :3]).query(shape.points * shape.scale + shape.center)[1]
    return np.einsum("pi,pi->p", shape.normals, table[nearest, 3:])


def colours(kind: str) -> np.ndarray:
    generator = np.random.default_rng(0)
    return {
        "whole": generator.integers(0, 256, (900, 3)).astype(float),
        "shares": generator.uniform(0, 1, (900, 3)),
        "gray": np.repeat(generator.integers(0, 256, (900, 1)), 3, axis=1).astype(float),
        "alpha": np.c_[generator.integers(0, 256, (900, 3)), np.full(900, 255)].astype(float),
        "intensity": generator.integers(0, 2048, (900, 1)).astype(float),
        "reflectance": generator.uniform(0, 1, (900, 1)),
        "both": np.c_[generator.integers(0, 256, (900, 1)), generator.uniform(0, 255, (900, 3))],
        "black": np.zeros((900, 3)),
    }[kind]


SAVERS: Dict[str, Callable[[Path, np.ndarray], None]] = {
    "npy": lambda path, table: np.save(path, table.astype("f4")),
    "npz": lambda path, table: np.savez(path, points=table),
    "csv": lambda path, table: np.savetxt(path, table, delimiter=",", fmt="%.9g"),
    "pts": lambda path, table: np.savetxt(path, table, fmt="%.9g", header=str(len(table)), comments=""),
    **{name: (lambda path, table: np.savetxt(path, table, fmt="%.9g")) for name in ("xyz", "txt", "asc")},
}


@pytest.mark.parametrize("kind", ["whole", "shares", "gray", "alpha", "intensity", "reflectance", "both", "black"])
def test_colours_and_intensities_are_neither_normals_nor_distances(tmp_path: Path, kind: str) -> None:
    for suffix in ("npy", "xyz") if kind != "whole" else SAVERS:
        path = tmp_path / f"{kind}.{suffix}"
        SAVERS[suffix](path, np.c_[ball()[:, :3], colours(kind)])
        assert detect_kind(path) == "shape" or suffix == "npy"
        shape = load_signal(path, "shape")
        assert_ball(shape, "points")
        assert suffix == "pts" or ("left aside" in shape.warnings[0] and "column" in shape.warnings[0])


@pytest.mark.parametrize("before", [True, False])
def test_normals_beside_colours_are_told_by_their_length(tmp_path: Path, before: bool) -> None:
    table = ball()
    extra = [table[:, 3:], colours("whole")]
    for suffix in ("npy", "txt"):
        SAVERS[suffix](
            tmp_path / f"a.{suffix}", np.c_[table[:, :3], np.concatenate(extra if before else extra[::-1], 1)]
        )
        shape = load_signal(tmp_path / f"a.{suffix}")
        assert_ball(shape, "oriented-points")
        assert "taken for colours" in shape.warnings[0] and len(shape.warnings) == 1


HEADERS = {
    "x,y,z,nx,ny,nz": "012345",
    "nx,ny,nz,x,y,z": "345012",
    "X;Y;Z;R;G;B;NX;NY;NZ": "012ccc345",
    '"x","y","z","red","green","blue"': "012ccc",
    "x y z r g b": "012ccc",
    "//X,Y,Z,Rf,Gf,Bf,Nx,Ny,Nz": "012ccc345",
    "x\ty\tz\tintensity": "012c",
    "b,g,r,z,y,x": "ccc210",
    "# x y z normal_x normal_y normal_z label": "012345c",
    "x [m], y [m], z [m], alpha": "012c",
    "id,x,y,z,nx,ny,nz,material,Scalar field": "c012345cc",
    "nx,ny,nz,px,py,pz": "345012",
    "red,green,blue,pos_x,pos_y,pos_z": "ccc012",
    '"Normals:0","Normals:1","Normals:2","Points:0","Points:1","Points:2"': "345012",
    "Normal x;Normal y;Normal z;Northing;Easting;Elevation": "345102",
    ",x,y,z": "c012",
    "Unnamed: 0,x,y,z,nx,ny,nz": "c012345",
    "0,1,2,3,4,5": "012345",
    "a,b,c": "012",
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_say_what_columns_are(tmp_path: Path, header: str) -> None:
    table, generator = ball(), np.random.default_rng(0)
    columns = [generator.integers(0, 256, 900) if c == "c" else table[:, int(c)] for c in HEADERS[header]]
    delimiter = next((sign for sign in ";,\t" if sign in header), " ")
    rows = "\n".join(delimiter.join(f"{number:.9g}" for number in row) for row in np.stack(columns, axis=1))
    if delimiter == ";":
        rows = rows.replace(".", ",")
    source = "oriented-points" if "345" in HEADERS[header] else "points"
    for name, content in (
        ("a.csv", f"{header}\n{rows}\n"),
        ("b.txt", f"\ufeff\r\n{header}\r\n" + rows.replace("\n", f"{delimiter}\r\n")),
    ):
        (tmp_path / name).write_bytes(content.encode())
        assert_ball(load_signal(tmp_path / name), source)


def test_names_that_say_nothing_of_places_are_refused(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "a.csv", ball()[:, [3, 4, 5, 0, 1, 2]], delimiter=",", header="a,b,c,d,e,f", comments="")
    with pytest.raises(SignalError, match="calls its columns a, b, c, d, e, f, none of them x, y and z"):
        load_signal(tmp_path / "a.csv")


def test_a_place_of_whole_numbers_is_no_line_of_names(tmp_path: Path) -> None:
    grid = np.argwhere(np.ones((9, 9, 9), bool))
    outside = ((grid == 0) | (grid == 8)).any(axis=1)
    table = np.concatenate([[[0, 1, 2]], grid[outside]])
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", fmt="%d")
    assert load_signal(tmp_path / "a.csv").metadata["points"] == outside.sum()
    np.savetxt(tmp_path / "b.tsv", np.r_[[[0, 1, 2]], grid[outside & (grid != [0, 1, 2]).any(axis=1)]], "%d", "\t")
    assert load_signal(tmp_path / "b.tsv").metadata["points"] == outside.sum()


def test_a_line_longer_than_any_of_points_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1," * 40_000 + "1\n")
    with pytest.raises(SignalError, match="no table of numbers"):
        load_signal(tmp_path / "a.csv")


def test_which_points_are_inside_is_no_surface(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (900, 3))
    np.savez(tmp_path / "a.npz", points=points, occupancies=np.packbits(np.linalg.norm(points, axis=1) < 0.5))
    with pytest.raises(SignalError, match="says which points are inside .occupancies."):
        load_signal(tmp_path / "a.npz")


def test_utf_16_and_a_count_of_points(tmp_path: Path) -> None:
    rows = "\n".join(" ".join(f"{number:.9g}" for number in row) for row in ball())
    (tmp_path / "a.txt").write_bytes(f"x y z nx ny nz\n{rows}".encode("utf-16"))
    (tmp_path / "b.asc").write_text(f"900\n{rows}")
    for name in ("a.txt", "b.asc"):
        assert_ball(load_signal(tmp_path / name), "oriented-points")


def test_numbers_of_any_sign_that_are_nothing_known_are_refused(tmp_path: Path) -> None:
    table = np.c_[ball()[:, :3], np.random.default_rng(0).standard_normal((900, 4))]
    np.save(tmp_path / "a.npy", table)
    with pytest.raises(SignalError, match="columns .4, 5, 6, 7. that are neither unit normals nor colours"):
        load_signal(tmp_path / "a.npy")


# Normals ------------------------------------------------------------------------------------------------------------


def flipped(share: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda table: table[:, 3:] * np.where(np.random.default_rng(0).random(len(table)) < share, -1, 1)[:, None]


def without(share: float, value: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda table: np.where(np.random.default_rng(0).random((len(table), 1)) < share, value, table[:, 3:])


NORMALS: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "flipped 5 %": flipped(0.05),
    "flipped 20 %": flipped(0.2),
    "flipped 50 %": flipped(0.5),
    "one side": lambda table: table[:, 3:] * np.where(table[:, :1] > PLACE[0], -1, 1),
    "a spot": lambda table: table[:, 3:] * np.where(table[:, :1] > PLACE[0] + 0.9 * RADIUS, -1, 1),
    "a fifth zero": without(0.2, 0.0),
    "a fifth NaN": without(0.2, np.nan),
    "one infinite": lambda table: np.where(np.arange(900)[:, None] == 7, np.inf, table[:, 3:]),
    "any length": lambda table: flipped(0.3)(table) * np.linspace(0.01, 100, len(table))[:, None],
    "rough": lambda table: table[:, 3:] + 0.15 * np.random.default_rng(0).standard_normal((len(table), 3)),
}


def as_ply(path: Path, table: np.ndarray) -> Path:
    names = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(table)}\n{names}end_header\n"
    path.write_bytes(header.encode() + table.astype("<f4").tobytes())
    return path


@pytest.mark.parametrize("name", NORMALS)
def test_normals_that_are_wrong_or_missing_are_put_right(tmp_path: Path, name: str) -> None:
    table = ball()
    table[:, 3:] = NORMALS[name](table)
    shape = load_signal(as_ply(tmp_path / "a.ply", table))
    if name == "rough":
        assert shape.warnings == [] and (against(shape, ball()) > 0.6).all()
        return
    assert_ball(shape, "oriented-points")
    missing = name in ("a fifth zero", "a fifth NaN", "one infinite")
    assert len(shape.warnings) == 1 and ("are zero or NaN; these are estimated" if missing else "turned around") in str(
        shape.warnings
    )


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_normals_that_are_all_missing_are_none(tmp_path: Path, value: float) -> None:
    table = ball()
    table[:, 3:] = value
    shape = load_signal(as_ply(tmp_path / "a.ply", table))
    assert_ball(shape, "points")
    assert "as good as none" in shape.warnings[0]


def test_directions_that_belong_to_nothing_are_left_aside(tmp_path: Path) -> None:
    table = ball()
    table[:, 3:] = np.random.default_rng(0).standard_normal((900, 3))
    shape = load_signal(as_ply(tmp_path / "a.ply", table))
    assert_ball(shape, "points")
    assert "do not belong to a surface" in shape.warnings[0]


def test_directions_of_which_one_component_has_the_wrong_sign_are_left_aside(tmp_path: Path) -> None:
    mesh = trimesh.creation.torus(1.0, 0.4, 48, 24)
    table = np.c_[mesh.vertices, mesh.vertex_normals * [1, 1, -1]]
    shape = load_signal(as_ply(tmp_path / "a.ply", table))
    assert "do not belong to a surface" in shape.warnings[0]
    places = shape.points * shape.scale + shape.center
    ring = places * [1, 1, 0] / np.linalg.norm(places[:, :2], axis=1, keepdims=True)
    np.testing.assert_allclose(shape.normals, (places - ring) / 0.4, atol=0.1)


@pytest.mark.slow
def test_an_ellipsoid_with_half_of_its_normals_inward(tmp_path: Path) -> None:
    """As open3d estimates them, to the side of a coordinate axis; distances to the mesh they come from."""
    mesh = trimesh.creation.icosphere(4)
    mesh.apply_scale((1, 0.7, 0.5))
    normals = mesh.vertex_normals * np.sign(mesh.vertex_normals[:, [2]] + 1e-9)
    shape = load_signal(as_ply(tmp_path / "a.ply", np.c_[mesh.vertices, normals]))
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (1000, 3)) * [1, 0.7, 0.5]
    exact = -trimesh.proximity.signed_distance(mesh, points)
    found = shape.signed_distance((points - shape.center) / shape.scale) * shape.scale
    assert np.abs(found - exact).max() < 0.01 and "turned around" in shape.warnings[0]


def torus_and_ball(flip: Optional[str]) -> np.ndarray:
    """A torus with a ball beside it, whose normals may be wrong on one of them."""
    parts = []
    for name, mesh in (
        ("torus", trimesh.creation.torus(1.0, 0.4, 48, 24)),
        ("ball", trimesh.creation.icosphere(3, 0.5).apply_translation((2.5, 0, 0))),
    ):
        parts.append(np.c_[mesh.vertices, mesh.vertex_normals * (-1 if name == flip else 1)])
    return np.concatenate(parts)


@pytest.mark.slow
@pytest.mark.parametrize("flip", ["torus", "ball"])
def test_each_part_points_outward(tmp_path: Path, flip: str) -> None:
    right = load_signal(as_ply(tmp_path / "a.ply", torus_and_ball(None)))
    shape = load_signal(as_ply(tmp_path / "b.ply", torus_and_ball(flip)))
    assert right.warnings == [] and len(shape.warnings) == 1
    np.testing.assert_allclose(np.einsum("pi,pi->p", shape.normals, right.normals), 1, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_an_open_bowl_keeps_its_side(tmp_path: Path, share: float) -> None:
    """The points shut nothing off, so that neighbours have to tell."""
    table = ball(2000)
    table = table[table[:, 5] < 0.3]
    normals = flipped(share)(table)
    shape = load_signal(as_ply(tmp_path / "a.ply", np.c_[table[:, :3], normals]))
    assert (against(shape, table) > 0.99).all()
    assert len(shape.warnings) == (share > 0)


def test_right_normals_of_a_thin_plate_stay(tmp_path: Path) -> None:
    """Its sides are nearer to each other than the points are."""
    points, face = trimesh.sample.sample_surface(trimesh.creation.box((2, 2, 0.02)), 1000, seed=0)
    normals = trimesh.creation.box((2, 2, 0.02)).face_normals[face]
    shape = load_signal(as_ply(tmp_path / "a.ply", np.c_[points, normals]))
    np.testing.assert_allclose(against(shape, np.c_[points, normals]), 1, atol=1e-6)
    assert "too far apart" in shape.warnings[0]

"""Points with distances, normals or neither, from arrays, archives and text: which number is what."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Collection, Dict, List, Optional, TextIO, Tuple

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from winner_ns.errors import SignalError, counted
from winner_ns.reading import check_decoded
from winner_ns.signals.distance_samples import STEEP, steepest_slope
from winner_ns.signals.meshes.colours import as_8_bit

COLUMNS_ADVICE = "give columns x y z distance, x y z nx ny nz or x y z, one row per point"
NORMALS_ADVICE = "name the columns in a first line, as x y z nx ny nz sdf"

_POINTS = ("points", "point", "xyz", "coords", "coordinates", "positions", "samples", "query_points", "pts")
_DISTANCES = (
    "distances", "distance", "dist", "d", "sdf", "sdfs", "sdf_values", "signed_distance", "signed_distances", "tsdf",
)  # fmt: skip
_NORMALS = ("normals", "normal", "gradients", "gradient")
_AXES = (
    ("x", "y", "z"),
    ("px", "py", "pz"),
    *((f"{name}_x", f"{name}_y", f"{name}_z") for name in ("p", "pos", "position", "point", "coord")),
    *((f"points{sign}0", f"points{sign}1", f"points{sign}2") for sign in ":_"),  # As ParaView has them.
    *(("easting", "northing", height) for height in ("elevation", "height", "altitude", "z")),
)
_NORMAL_AXES = (
    ("nx", "ny", "nz"),
    ("n_x", "n_y", "n_z"),
    ("normal_x", "normal_y", "normal_z"),
    ("normalx", "normaly", "normalz"),
    *((f"normals{sign}0", f"normals{sign}1", f"normals{sign}2") for sign in ":_"),
)
_COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("rf", "gf", "bf"))
_OCCUPANCIES = ("occ", "occs", "occupancy", "occupancies", "inside", "is_inside")
# Columns of scans that say nothing of the surface.
_LEFT_ASIDE = (
    "r", "g", "b", "a", "red", "green", "blue", "alpha", "rgb", "rgba", "rf", "gf", "bf", "intensity", "i",
    "reflectance", "classification", "class", "label", "confidence", "quality", "curvature", "time", "gps_time",
    "timestamp", "id", "index", "u", "v", "s", "t",
)  # fmt: skip
_DELIMITERS = (";", ",", "\t")
_MOST_LETTERS = 2**16  # Of a line: a matrix of millions of columns is none of points.
# Share of the rows whose three numbers have to have the length 1 to be normals.
_MOST = 0.99
# Slope of an unsigned distance, which is 1 straight away from the surface.
_LEAST_SLOPE = 0.5


@dataclass
class PointTable:
    """Points as a file has them, in its unit, float64."""

    file_format: str
    points: Float[np.ndarray, "n 3"]
    distances: Optional[Float[np.ndarray, " n"]] = None
    normals: Optional[Float[np.ndarray, "n 3"]] = None
    colours: Optional[UInt8[np.ndarray, "n 3"]] = None
    warnings: List[str] = field(default_factory=list)
    """What was left out, one line each."""


def points_of_columns(path: Path, table: Shaped[np.ndarray, "..."], names: Optional[List[str]] = None) -> PointTable:
    """Points from a table's columns.

    Args:
        path: what messages call it; a PTS file's intensities and colours are left aside.
        table: [n, 3] x y z, [n, 4] x y z distance, [n, 6] x y z nx ny nz, or [n, 7], the distance before the normals or
            behind them, which is told by the normals' length of 1.
        names: of the columns, in any order; None: told by their number. Three that mean nothing are x, y and z.

    Raises:
        SignalError: another number of columns, or seven that are not told apart, or more than three names of which none
            are those of places.
    """
    file_format = path.suffix[1:].upper()
    notes: List[str] = []
    if names is not None and _axes_in(names) is None:
        listed = ", ".join(names[:6])
        if len(names) > 3:
            raise SignalError(path, f"calls its columns {listed}, none of them x, y and z", NORMALS_ADVICE)
        notes.append(f"{path}: its columns {listed} are taken for x, y and z")
        names = None
    if names is not None:
        return _points_of_named(path, np.asarray(table, np.float64), names, file_format)
    if table.ndim != 2 or not 3 <= table.shape[1] <= 10 or table.shape[1] == 5:
        raise SignalError(path, f"has the shape {table.shape}", COLUMNS_ADVICE)
    found = _points_of_unnamed(path, np.asarray(table, np.float64), file_format)
    found.warnings[:0] = notes
    return found


def _axes_in(names: Collection[str]) -> Optional[Tuple[str, ...]]:
    """What columns of places are called, if there are some."""
    return next((axes for axes in _AXES if set(axes) <= set(names)), None)


def _points_of_unnamed(path: Path, table: Float[np.ndarray, "n k"], file_format: str) -> PointTable:
    """What columns behind x y z are is told by their values; what is taken or left aside is said."""
    points, others = table[:, :3], table[:, 3:]
    count = others.shape[1]
    units = [at for at in range(count - 2) if _are_normals(others[:, at : at + 3])]
    if len(units) > 1:
        which = " and ".join(f"{at + 4} to {at + 6}" for at in units)
        raise SignalError(path, f"has unit normals in both the columns {which}", NORMALS_ADVICE)
    normals = others[:, units[0] : units[0] + 3] if units else None
    at = [i for i in range(count) if not units or not units[0] <= i < units[0] + 3]
    rest = others[:, at]
    # PTS files have intensities and colours, never distances.
    if len(at) == 1 and file_format != "PTS" and _may_be_distances(points, rest[:, 0]):
        return PointTable(file_format, points, rest[:, 0], normals)
    # Neither colours nor intensities are negative, distances are inside.
    if (rest < 0).any() and file_format != "PTS":
        which = ", ".join(str(i + 4) for i in at)
        problem = f"has columns ({which}) that are neither unit normals nor colours"
        raise SignalError(path, problem, NORMALS_ADVICE)
    warnings = []
    if at and file_format != "PTS":
        of = {1: "an intensity", 3: "colours"}.get(len(at), "colours and others")
        why = "no normals, which have the length 1" if len(at) == 3 else "no distances"
        said = f"column {at[0] + 4}" if len(at) == 1 else f"columns {at[0] + 4} to {at[-1] + 4}"
        warnings.append(f"{path}: {said} taken for {of}, being {why}; left aside")
    # Of an intensity and colours these come last.
    colours = _colours(rest[:, -3:]) if len(at) in (3, 4) else None
    return PointTable(file_format, points, None, normals, colours, warnings)


def points_of_text(path: Path) -> PointTable:
    """Points from lines of numbers, apart by spaces, tabs, commas or semicolons, under lines of comment (#, //) and a
    line of names if any; empty lines do not count.

    Raises:
        SignalError: as `points_of_columns`, or no table of numbers.
    """
    check_decoded(path, path.stat().st_size)
    try:
        with open(path, encoding=_encoding(path), newline=None) as file:
            first, names = _next(file), None
            if len(first) > _MOST_LETTERS:
                raise ValueError("a line is too long for a point")
            while first.lstrip().startswith(_COMMENTS):
                # Most comments name no columns.
                said = _names(first.strip().lstrip("#/"))
                names = said if set(said) <= _KNOWN and _axes_in(said) else names
                first = _next(file)
            if not _is_header(first) and first.strip().isdecimal():
                first = _next(file)  # How many points there are.
            title: List[str] = []
            if _is_header(first):
                said, first = _names(first), _next(file)
                names, title = (said, []) if _axes_in(said) else (names, said)
            if not first.strip():
                raise ValueError("no rows")
            numbered = _names(first)
            if numbered == [str(i) for i in range(len(numbered))] and len(numbered) > 2:
                # pandas numbers columns that have no names; such a place may also be one of whole numbers.
                second = _next(file)
                first = second if any(not _is_whole(word) for word in _names(second)) else first + second
            delimiter = next((sign for sign in _DELIMITERS if sign in first.strip()), None)
            rows = itertools.chain(first.splitlines(), file)
            if delimiter == "\t":
                delimiter = None  # Or several of them, or spaces.
            if delimiter:
                rows = (row.strip().rstrip(delimiter).replace('"', "") for row in rows)
            if delimiter == ";":
                rows = (row.replace(",", ".") for row in rows)  # As languages with a decimal comma have it.
            table = np.loadtxt(rows, delimiter=delimiter, ndmin=2, comments=_COMMENTS)
    except (ValueError, UnicodeDecodeError) as error:
        raise SignalError(path, "is no table of numbers", COLUMNS_ADVICE) from error
    if names is not None and len(names) != table.shape[1] and "" in names:
        names = [name for name in names if name]  # A delimiter behind the last one.
    if names is None and len(title) == table.shape[1]:
        names = title
    return points_of_columns(path, table, names)


_COMMENTS = ("#", "//")


def _encoding(path: Path) -> str:
    """UTF-8 or, as its mark says, UTF-16."""
    with open(path, "rb") as file:
        head = file.read(2)
    return "utf-16" if head in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _next(file: TextIO) -> str:
    """The next line that is not empty, or an empty one at the end."""
    return next((line for line in file if line.strip()), "")


def _is_header(line: str) -> bool:
    """Whether a line has words in place of numbers."""
    words = _names(line)
    return bool(words) and not any(_is_number(word) for word in words)


def points_of_archive(path: Path) -> PointTable:
    """Points from a .npz file's arrays by their names: points (or xyz, …) alone, with distances (or sdf, …), with
    normals, or with both; pos and neg, [n, 4] x y z distance each, as DeepSDF (Park et al. 2019) has them, whose rows
    with NaN are left out; or the only array, as columns.

    Raises:
        SignalError: no such arrays, arrays that do not fit together, or a damaged file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            check_decoded(path, sum(member.file_size for member in archive.zip.infolist()))
            names = {name.lower(): name for name in archive.files}
            sides = {"pos", "neg"} <= set(names)
            wanted = ("pos", "neg") if sides else (*_POINTS, *_DISTANCES, *_NORMALS)
            arrays = {name: archive[names[name]] for name in wanted if name in names}
            table = archive[archive.files[0]] if len(names) == 1 and not arrays else None
            if not all(
                isinstance(array, np.ndarray) for array in (*arrays.values(), *([] if table is None else [table]))
            ):
                raise ValueError("numpy gives members that are no arrays as bytes")
    except SignalError:
        raise
    except Exception as error:  # Any type: zip, zlib and header errors.
        problem = "holds pickled Python objects" if "allow_pickle" in str(error) else "is cut or no .npz file"
        raise SignalError(path, problem, "save it again with numpy.savez") from error
    for name, array in arrays.items():
        if array.dtype.kind not in "iuf":
            raise SignalError(path, f"{name} are {array.dtype} instead of real numbers", "save integers or floats")
    if sides:
        return _points_of_sides(path, arrays)
    points, distances, normals = (_first(arrays, known) for known in (_POINTS, _DISTANCES, _NORMALS))
    if table is not None and table.ndim == 2 and table.shape[1] in (4, 6, 7, 8, 9, 10) and table.dtype.kind in "iuf":
        points = table
    if points is None:
        found = ", ".join(names) or "nothing"
        raise SignalError(path, f"holds {found}", "it needs points, with distances (or sdf), normals or alone")
    if distances is None and (told := next((name for name in _OCCUPANCIES if name in names), None)):
        problem = f"says which points are inside ({names[told]}), and not how far they are from the surface"
        raise SignalError(path, problem, "give signed distances, or points of the surface alone")
    points = np.asarray(points, np.float64)
    if points.ndim == 2 and points.shape[1] > 3 and distances is None and normals is None:
        return points_of_columns(path, points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise SignalError(path, f"points have the shape {points.shape}", "save them as [points, 3]")
    if distances is not None and distances.size != len(points):
        raise SignalError(
            path, f"has {counted(len(points), 'point')} and {counted(distances.size, 'distance')}", "save one for each"
        )
    if normals is not None and normals.shape != points.shape:
        raise SignalError(path, f"has {counted(len(points), 'point')} and normals {normals.shape}", "save one for each")
    return PointTable(
        "NPZ",
        points,
        None if distances is None else np.asarray(distances, np.float64).ravel(),
        None if normals is None else np.asarray(normals, np.float64),
    )


_KNOWN = {*itertools.chain(*_AXES), *_DISTANCES, *itertools.chain(*_NORMAL_AXES), *_LEFT_ASIDE}


def _points_of_sides(path: Path, arrays: Dict[str, np.ndarray]) -> PointTable:
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape[1] != 4:
            raise SignalError(path, f"{name} has the shape {array.shape}", "save x y z distance, [points, 4]")
    rows = np.concatenate([np.asarray(array, np.float64) for array in arrays.values()])
    # The tool that DeepSDF's samples come from leaves them where it finds no distance.
    unknown = np.isnan(rows).any(axis=1)
    warnings = []
    if unknown.any():
        warnings.append(f"{path}: {int(unknown.sum())} of {len(rows)} samples are NaN; they are left out")
    rows = rows[~unknown]
    return PointTable("NPZ", rows[:, :3], rows[:, 3], warnings=warnings)


def _points_of_named(path: Path, table: np.ndarray, names: List[str], file_format: str) -> PointTable:
    # The number of a row, as pandas writes it, has no name, or "Unnamed: 0" after it was read once.
    axes = _axes_in(names)
    assert axes is not None  # Others are no names of columns.
    # What is one of the places' names in other tables is none beside those of this one.
    known = {*axes, *_DISTANCES, *itertools.chain(*_NORMAL_AXES), *_LEFT_ASIDE}
    unknown = [name for name in names if name and name not in known and not name.startswith(("scalar", "unnamed:"))]
    told = any(name in _DISTANCES for name in names) or any(set(axes) <= set(names) for axes in _NORMAL_AXES)
    if unknown and not told:
        problem = f"has a column {unknown[0]!r}, of which nothing is known"
        raise SignalError(path, problem, "call columns x y z, nx ny nz and sdf, or leave it out")
    if len(names) != table.shape[1] or len(set(names)) < len(names):
        problem = f"names {len(names)} columns ({' '.join(names)}) and has {table.shape[1]}"
        raise SignalError(path, problem, "give each column one name of its own")

    def columns(wanted: Tuple[str, ...]) -> np.ndarray:
        return table[:, [names.index(name) for name in wanted]]

    distances = [name for name in names if name in _DISTANCES]
    if len(distances) > 1:
        problem = f"has two columns of distances, {distances[0]} and {distances[1]}"
        raise SignalError(path, problem, "leave one of them out")
    normals = next((columns(axes) for axes in _NORMAL_AXES if set(axes) <= set(names)), None)
    warnings = [f"{path}: nothing is known of the columns {', '.join(unknown)}; they are left aside"] if unknown else []
    given = columns((distances[0],))[:, 0] if distances else None
    colours = next((_colours(columns(each)) for each in _COLOURS if set(each) <= set(names)), None)
    return PointTable(file_format, columns(axes), given, normals, colours, warnings)


def _colours(columns: Float[np.ndarray, "n 3"]) -> Optional[UInt8[np.ndarray, "n 3"]]:
    """Columns as 8-bit colours: fractions, or whole numbers of 8 or 16 bits."""
    most = columns.max(initial=0.0)
    if not np.isfinite(columns).all() or columns.min(initial=0.0) < 0 or most > 65535:
        return None
    return as_8_bit(columns, np.dtype(np.float64) if most <= 255 else np.dtype(np.uint16))


def _names(line: str) -> List[str]:
    """What columns are called in a line, in lower case."""
    delimiter = next((sign for sign in _DELIMITERS if sign in line.strip()), None)
    names = (word.strip().strip("\"'").strip().lower() for word in line.split(delimiter))
    # CloudCompare marks the first line by //; units stand in brackets.
    return [re.sub(r"\s*[\[(].*[\])]$", "", name.lstrip("/")).strip().replace(" ", "_") for name in names]


def _are_normals(rows: np.ndarray) -> bool:
    """Whether three columns are unit vectors, but for rows of zeros or NaN, which are missing ones."""
    squares = (np.asarray(rows, np.float64) ** 2).sum(axis=1)
    there = np.isfinite(squares) & (squares > 0)
    return bool(there.any() and (np.abs(squares[there] - 1.0) < 0.01).mean() >= _MOST)


def _may_be_distances(points: Float[np.ndarray, "n 3"], column: Float[np.ndarray, " n"]) -> bool:
    """Whether a column can be distances: negative ones among others, or such that change as distances do, by about the
    way between the points."""
    if not np.isfinite(column).all() or not np.isfinite(points).all():
        return True  # What is wrong with them is said later.
    if (column < 0).any():
        return True
    return bool((column % 1).any()) and _LEAST_SLOPE <= steepest_slope(points, column) <= STEEP


def _first(arrays: Dict[str, np.ndarray], names: Tuple[str, ...]) -> Optional[np.ndarray]:
    return next((arrays[name] for name in names if name in arrays), None)


def _is_whole(text: str) -> bool:
    return text.lstrip("+-").isdecimal()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

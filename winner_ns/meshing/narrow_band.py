"""A function on a regular grid, evaluated near its zero level set only; elsewhere just its sign is known."""

from __future__ import annotations

import math
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.progress import Report, silent

Distance = Callable[[Float[Tensor, "n 3"]], Float[Tensor, "n 1"]]
"""Signed distance to a surface, negative inside; it need not be exact. Zero counts as inside."""

BRICK = 8
"""Points along each side of the blocks in which values are stored."""
BRICK_LEVEL = 3
"""Cells of level k are 2^k grid cells wide. Those of this level are as large as a brick."""
COARSEST = 60
"""Refinement begins with at least so many cells along the longest axis, or with bricks."""
SLOPE = 1.25
"""How steep a function is taken to be, until it turns out to be steeper."""
MARGIN = 1.1
"""Beside a larger slope that has been seen there may be one that is so many times larger."""
STEEP_EVERYWHERE = 2.5
"""A slope that has been seen anywhere counts for the whole box, up to this; a larger one where it has been seen."""
MOST_BRICKS = 2**20
"""About 2.5 GB. The surface of a shape passes through a third of that at 2048 points along each axis."""
BRICKS_AT_A_TIME = 1024
POINTS_AT_A_TIME = 2**18
OUTSIDE, INSIDE = 0, 1
"""The numbers of two bricks that stand for all those without values."""


class NarrowBand:
    """Finds a function's sign at all points of a grid, and its value at both ends of all edges where that changes.

    A cell is refined where |value at its centre| <= slope * half its diagonal. All others have one sign throughout,
    provided that the function is nowhere steeper than `slope`. Whether it is shows in the differences between the
    values that are found (`raise_slopes`), and where the level set leaves the refined cells all the same, it is
    followed.

    The box's walls count as outside.

    Args:
        distance: the function.
        lines: increasing coordinates of the grid's points along each axis, at least 2.
        trusted: further from zero than this, values are too noisy to tell how steep the function is.
        report: is told about the progress.
    """

    def __init__(
        self,
        distance: Distance,
        lines: Sequence[Float[np.ndarray, " _"]],
        trusted: float,
        report: Report = silent,
    ) -> None:
        self._distance, self._trusted, self._report = distance, trusted, report
        self._lines = [np.asarray(line, dtype=np.float32) for line in lines]
        self._last = np.array([len(line) - 1 for line in lines])
        self._spacing = np.array([(line[-1] - line[0]) / (len(line) - 1) for line in lines])
        self.evaluated = 0
        """Points at which the function has been evaluated; one that was evaluated twice counts twice."""
        self.highest = -math.inf
        """Largest value that has been seen."""
        # So much outside that the surface is closed there, so little that it ends at the wall.
        self._wall = np.float32(1e-3 * self._spacing.min())
        self._to_centre = _distances_to_centre(self._spacing)

        self._coarsest = max(BRICK_LEVEL, int(math.log2(max(self._last.max() / COARSEST, 1))))
        self._cells: Dict[int, np.ndarray] = {}
        """Values at the centres of cells, NaN where not evaluated: [x, y, z] of large ones, [bricks, x, y, z] of those
        that are smaller than a brick."""
        for level in range(BRICK_LEVEL, self._coarsest + 1):
            self._cells[level] = np.full(self._last // 2**level + 1, np.nan, dtype=np.float32)
        for level in range(BRICK_LEVEL):
            self._cells[level] = np.full((2, *[BRICK >> level] * 3), np.nan, dtype=np.float32)
        self._points = self._cells[0]
        self._points[OUTSIDE], self._points[INSIDE] = np.inf, -np.inf
        self._position = np.zeros((2, 3), dtype=np.int32)
        self._index = np.full(np.array(self._cells[BRICK_LEVEL].shape) + 2, OUTSIDE, dtype=np.int32)
        """The numbers of bricks, with one brick beyond the box on each side so that all have neighbours."""
        self._count = 2
        self.slopes = np.full(self._cells[self._coarsest].shape, SLOPE, dtype=np.float32)
        """That are relied on, in each of the largest cells."""
        self._seen = np.zeros_like(self.slopes)

    def half_diagonal(self, level: int) -> float:
        """Of cells of a level, in the units of the lines."""
        return float(np.linalg.norm(self._spacing)) * 2**level / 2

    def raise_slopes(self) -> bool:
        """Relies on larger slopes where larger ones have been seen; whether that was so."""
        from scipy.ndimage import maximum_filter

        steeper = np.where(self._seen > self.slopes, np.float32(MARGIN) * self._seen, np.float32(0))
        if not steeper.any():
            return False
        everywhere = min(float(steeper.max()), STEEP_EVERYWHERE)
        self.slopes = np.maximum(np.maximum(self.slopes, maximum_filter(steeper, 3)), np.float32(everywhere))
        return True

    def refine(self) -> None:
        """Evaluates all cells that may hold a part of the level set, and all points whose sign does not follow.

        What has been evaluated before, when smaller slopes were relied on, is not evaluated again.
        """
        slopes, above = self.slopes, None
        active, outside = np.ones(slopes.shape, dtype=bool), np.ones(slopes.shape, dtype=bool)
        for level in range(self._coarsest, BRICK_LEVEL - 1, -1):
            values = self._cells[level]
            if above is not None:
                active, outside, slopes = (
                    _halved(a)[tuple(map(slice, values.shape))] for a in (active, outside, slopes)
                )
            thresholds = slopes * np.float32(self.half_diagonal(level))
            cells = np.argwhere(active & np.isnan(values))
            centres = np.minimum(cells * 2**level + 2 ** (level - 1), self._last)
            values[tuple(cells.T)] = self._evaluate(centres)
            parents = None if above is None else above[None]
            seen = self._steepness(level, values[None], parents, thresholds[None, ::2, ::2, ::2])[0]
            regions = np.argwhere(seen) * 2 ** (level + 1) >> self._coarsest
            np.maximum.at(self._seen, tuple(regions.T), seen[seen != 0])
            np.copyto(outside, values > 0, where=active)
            active &= np.abs(values) <= thresholds
            above = values
            self._tell("coarse cells", self._coarsest + 1 - level, self._coarsest + 1 - BRICK_LEVEL)

        # What is inside at the walls is closed there.
        kept = active.copy()
        for axis in range(3):
            for wall in (0, -1):
                np.moveaxis(kept, axis, 0)[wall] |= ~np.moveaxis(outside, axis, 0)[wall]
        index = self._index[1:-1, 1:-1, 1:-1]
        empty = index <= INSIDE
        index[empty] = np.where(outside, OUTSIDE, INSIDE)[empty]
        self._allocate(np.argwhere(kept & empty))
        for start in range(2, self._count, BRICKS_AT_A_TIME):
            bricks = slice(start, min(start + BRICKS_AT_A_TIME, self._count))
            where = tuple(self._position[bricks].T)
            self._refine_bricks(bricks, active[where], outside[where])
            self._tell("cells near the surface", bricks.stop, self._count)

    def _refine_bricks(self, bricks: slice, active: Bool[np.ndarray, " m"], outside: Bool[np.ndarray, " m"]) -> None:
        """`refine` within some bricks, given what is known of them as cells."""
        where = self._position[bricks]
        active, outside = active[:, None, None, None], outside[:, None, None, None]
        slopes = self.slopes[self._regions(where)][:, None, None, None]
        values = self._cells[BRICK_LEVEL][tuple(where.T)][:, None, None, None]
        for level in range(BRICK_LEVEL - 1, 0, -1):
            parents, values, corners = values, self._cells[level][bricks], self._corners(where, level)
            active, outside = _halved(active) & self._within(corners), _halved(outside)
            thresholds = slopes * np.float32(self.half_diagonal(level))
            cells = np.nonzero(active & np.isnan(values))
            values[cells] = self._evaluate(np.minimum(_chosen(corners, cells) + 2 ** (level - 1), self._last))
            self._note(where, self._steepness(level, values, parents, thresholds))
            np.copyto(outside, values > 0, where=active)
            active &= np.abs(values) <= thresholds

        points, corners = self._points[bricks], self._corners(where, 0)
        active, outside = _halved(active), _halved(outside)
        # The centres of the smallest cells are points themselves, and may tell the signs of the points around them.
        centres = points[:, 1::2, 1::2, 1::2]
        np.copyto(centres, values, where=np.isfinite(values) & np.isinf(centres))
        active &= np.abs(_halved(values)) <= slopes * self._to_centre
        wanted = np.nonzero(active & np.isinf(points) & self._within(corners))
        points[wanted] = self._evaluate(_chosen(corners, wanted))
        np.copyto(points, np.where(outside, np.float32(np.inf), np.float32(-np.inf)), where=np.isinf(points))
        self._note_points(where, points, values)
        self._close_walls(bricks)

    def follow(self) -> None:
        """Evaluates all ends of edges along which the sign changes.

        Where an end has another sign than the cell that it lies in has been taken to have, the level set goes on in
        there: the brick around it is evaluated as a whole, and so on.
        """
        bricks = np.arange(2, self._count)
        while len(bricks):
            changed, lacking = [], []
            for start in range(0, len(bricks), BRICKS_AT_A_TIME):
                part = bricks[start : start + BRICKS_AT_A_TIME]
                ends, beyond = self._ends(part)
                changed.append(self._evaluate_ends(part, ends))
                lacking.append(beyond)
                self._tell("ends of edges", start + len(part), len(bricks))
            first, changed = self._count, np.concatenate(changed)
            self._allocate(np.unique(np.concatenate(lacking), axis=0))
            around = [self._neighbours(changed, axis, side) for axis in range(3) for side in (-1, 1)]
            bricks = np.unique(np.concatenate([changed, *around, np.arange(first, self._count)]))
            bricks = bricks[bricks > INSIDE]

    def _ends(self, bricks: Int[np.ndarray, " m"]) -> Tuple[Bool[np.ndarray, "m 8 8 8"], Int[np.ndarray, "l 3"]]:
        """Which points of bricks are ends of edges along which the sign changes, and the positions of bricks without
        values that hold the other end of one."""
        outside = self._points[bricks] > 0
        ends, lacking = np.zeros_like(outside), []
        for axis in range(3):
            along, ends_along = np.moveaxis(outside, axis + 1, 1), np.moveaxis(ends, axis + 1, 1)
            change = along[:, 1:] != along[:, :-1]
            ends_along[:, 1:] |= change
            ends_along[:, :-1] |= change
            for side, own, other in ((-1, 0, BRICK - 1), (1, BRICK - 1, 0)):
                neighbours = self._neighbours(bricks, axis, side)
                change = along[:, own] != (self._points[(neighbours, *[slice(None)] * axis, other)] > 0)
                ends_along[:, own] |= change
                without = self._position[bricks[(neighbours <= INSIDE) & change.any(axis=(1, 2))]]
                lacking.append(without + side * np.eye(3, dtype=np.int32)[axis])
        return ends, np.concatenate(lacking)

    def _evaluate_ends(self, bricks: Int[np.ndarray, " m"], ends: Bool[np.ndarray, "m 8 8 8"]) -> Int[np.ndarray, " c"]:
        """Evaluates those points that are not known yet; returns the bricks in which signs turned out differently."""
        points, corners = self._points[bricks], self._corners(self._position[bricks], 0)
        wanted = np.nonzero(ends & np.isinf(points))
        outside = points[wanted] > 0
        points[wanted] = self._evaluate(_chosen(corners, wanted))
        self._points[bricks] = points
        self._close_walls(bricks)
        wrong = (self._points[bricks][wanted] > 0) != outside
        self._note_mistakes(_chosen(corners, wanted)[wrong], bricks[wanted[0][wrong]], points[wanted][wrong])

        bricks = bricks[np.unique(wanted[0][wrong])]
        points, corners = self._points[bricks], self._corners(self._position[bricks], 0)
        wanted = np.nonzero(np.isinf(points) & self._within(corners))
        points[wanted] = self._evaluate(_chosen(corners, wanted))
        self._points[bricks] = points
        self._note_points(self._position[bricks], points, self._cells[1][bricks])
        self._close_walls(bricks)
        return bricks

    def block(self, corner: Int[np.ndarray, "3"], bricks: int) -> Float[np.ndarray, "n n n"]:
        """Values at the points of so many bricks along each axis and at one more point, from a brick's position on.

        They are infinite where only the sign is known. Beyond the grid is outside.
        """
        numbers = self._index[tuple(slice(start, start + bricks + 1) for start in corner + 1)]
        numbers = np.pad(numbers, [(0, bricks + 1 - n) for n in numbers.shape], constant_values=OUTSIDE)
        values = self._points[numbers].transpose(0, 3, 1, 4, 2, 5).reshape([(bricks + 1) * BRICK] * 3)
        return values[(slice(bricks * BRICK + 1),) * 3]

    def positions(self) -> Int[np.ndarray, "m 3"]:
        """Of all bricks that have values, in bricks."""
        return self._position[2 : self._count]

    def _evaluate(self, positions: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The function's values at grid points."""
        values = np.empty(len(positions), dtype=np.float32)
        for start in range(0, len(positions), POINTS_AT_A_TIME):
            part = positions[start : start + POINTS_AT_A_TIME]
            points = np.stack([line[i] for line, i in zip(self._lines, part.T, strict=True)], axis=-1)
            values[start : start + len(part)] = self._distance(torch.from_numpy(points))[:, 0].numpy()
        self.evaluated += len(positions)
        self.highest = max(self.highest, float(values.max(initial=-np.inf)))
        return values

    # What shows how steep the function is ---------------------------------------------------------------------------

    def _steepness(
        self,
        level: int,
        children: Float[np.ndarray, "m x y z"],
        parents: Optional[Float[np.ndarray, "m a b c"]],
        thresholds: Float[np.ndarray, "m _ _ _"],
    ) -> Float[np.ndarray, "m a b c"]:
        """Slopes between cells (or points, level 0) that are parts of the same larger cell, and between their centres
        and its centre; 0 where one of them is not evaluated.

        Args:
            level: of the children.
            children: values in blocks.
            parents: values of the cells one level up; None: there are none.
            thresholds: of the children (of points: of the smallest cells), one for each larger cell.
        """
        m, (x, y, z) = len(children), (n // 2 for n in children.shape[1:])
        families = children[:, : 2 * x, : 2 * y, : 2 * z].reshape(m, x, 2, y, 2, z, 2).transpose(0, 1, 3, 5, 2, 4, 6)
        # A level set that is hidden in a cell shows as a difference between values that are no larger than the cell's
        # threshold. Whatever happens further away, where a fitted distance is noisy, hides nothing.
        reach = np.minimum(thresholds, np.float32(self._trusted))[:, :x, :y, :z]
        reach = np.broadcast_to(reach, (m, x, y, z))
        known = np.isfinite(families).all(axis=(4, 5, 6))
        if parents is not None:
            parents = parents[:, :x, :y, :z]
            known &= ~(np.abs(parents) > 2 * reach)
        slopes = np.zeros((m, x, y, z), dtype=np.float32)
        reach = reach[known][:, None, None, None]
        families = np.clip(families[known], -reach, reach)
        rises = [(families.take(1, axis) - families.take(0, axis)).mean(axis=(1, 2)) for axis in (1, 2, 3)]
        found = np.sqrt(sum((rise / apart) ** 2 for rise, apart in zip(rises, self._spacing * 2**level, strict=True)))
        if parents is not None and level:
            rise = np.abs(families - np.clip(parents[known][:, None, None, None], -reach, reach)).max(axis=(1, 2, 3))
            found = np.fmax(found, rise / self.half_diagonal(level))
        slopes[known] = found
        return slopes

    def _note(self, positions: Int[np.ndarray, "m 3"], slopes: Float[np.ndarray, "m a b c"]) -> None:
        """Takes note of slopes that have been seen in bricks."""
        np.maximum.at(self._seen, self._regions(positions), slopes.max(axis=(1, 2, 3), initial=0))

    def _note_points(
        self,
        positions: Int[np.ndarray, "m 3"],
        points: Float[np.ndarray, "m 8 8 8"],
        parents: Float[np.ndarray, "m 4 4 4"],
    ) -> None:
        # At the walls, values are not the function's.
        inner = ~self._at_walls(positions)
        positions, points, parents = positions[inner], points[inner], parents[inner]
        thresholds = self.slopes[self._regions(positions)] * np.float32(self.half_diagonal(1))
        self._note(positions, self._steepness(0, points, parents, thresholds[:, None, None, None]))

    def _note_mistakes(
        self, positions: Int[np.ndarray, "n 3"], bricks: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"]
    ) -> None:
        """Takes note of the slopes between points and the centres of all cells that they lie in."""
        regions = self._regions(positions // BRICK)
        for level in range(1, self._coarsest + 1):
            cells = positions // 2**level
            index = (bricks, *(cells % (BRICK >> level)).T) if level < BRICK_LEVEL else tuple(cells.T)
            centres = np.minimum(cells * 2**level + 2 ** (level - 1), self._last)
            apart = np.linalg.norm((positions - centres) * self._spacing, axis=-1)
            reach = np.minimum(self.slopes[regions] * self.half_diagonal(level), self._trusted)
            rise = np.abs(np.clip(self._cells[level][index], -reach, reach) - np.clip(values, -reach, reach))
            known = np.isfinite(rise) & (apart > 0)
            np.maximum.at(self._seen, tuple(r[known] for r in regions), rise[known] / apart[known])

    def _regions(self, positions: Int[np.ndarray, "m 3"]) -> Tuple[Int[np.ndarray, " m"], ...]:
        """The largest cells that bricks are in."""
        return tuple((positions >> (self._coarsest - BRICK_LEVEL)).T)

    # Bricks ----------------------------------------------------------------------------------------------------------

    def _allocate(self, positions: Int[np.ndarray, "m 3"]) -> None:
        """Makes room for the values in the bricks at these positions, whose signs are known."""
        before, count = self._count, self._count + len(positions)
        if count > MOST_BRICKS:
            raise SignalError(
                "--resolution",
                f"the surface needs more than {MOST_BRICKS * BRICK**3 / 1e6:.0f} million points around it",
                "give a smaller one, or smaller --bounds",
            )
        if count > len(self._position):
            room = count + count // 8
            for level in range(BRICK_LEVEL):
                grown = np.full((room, *self._cells[level].shape[1:]), np.nan, dtype=np.float32)
                grown[:before] = self._cells[level][:before]
                self._cells[level] = grown
            self._points = self._cells[0]
            self._position = np.concatenate([self._position, np.zeros((room - len(self._position), 3), np.int32)])
        self._position[before:count] = positions
        index = tuple(np.asarray(positions).T + 1)
        outside = self._index[index] == OUTSIDE
        self._points[before:count] = np.where(outside, np.inf, -np.inf)[:, None, None, None]
        self._index[index] = np.arange(before, count)
        self._count = count
        self._close_walls(slice(before, count))

    def _close_walls(self, bricks: Union[slice, Int[np.ndarray, " m"]]) -> None:
        """Makes the walls of the box, and all beyond, outside."""
        where = self._position[bricks]
        at_walls = self._at_walls(where)
        if not at_walls.any():
            return
        corners = self._corners(where[at_walls], 0)
        beyond = ~self._within(corners)
        wall = ~_product(*((c > 0) & (c < last) for c, last in zip(corners, self._last)))
        points = self._points[bricks]
        closed = points[at_walls]
        closed[wall] = np.where(np.isfinite(closed[wall]), np.maximum(closed[wall], self._wall), np.inf)
        closed[beyond] = np.inf
        points[at_walls] = closed
        self._points[bricks] = points

    def _at_walls(self, positions: Int[np.ndarray, "m 3"]) -> Bool[np.ndarray, " m"]:
        return ((positions == 0) | ((positions + 1) * BRICK > self._last)).any(axis=-1)

    def _neighbours(self, bricks: Int[np.ndarray, " m"], axis: int, side: int) -> Int[np.ndarray, " m"]:
        positions = self._position[bricks] + 1
        positions[:, axis] += side
        return self._index[tuple(positions.T)]

    def _corners(self, positions: Int[np.ndarray, "m 3"], level: int) -> List[Int[np.ndarray, "m _"]]:
        """The lowest point of each cell of a level in bricks, axis by axis."""
        return [positions[:, axis, None] * BRICK + (np.arange(BRICK >> level) << level) for axis in range(3)]

    def _within(self, corners: List[np.ndarray]) -> np.ndarray:
        """Whether cells begin in the grid."""
        return _product(*(corner <= last for corner, last in zip(corners, self._last, strict=True)))

    def _tell(self, task: str, done: int, total: int) -> None:
        self._report(task, done, total)


def _halved(cells: np.ndarray) -> np.ndarray:
    """What cells have, for the eight halves of each; the last three axes are x, y, z."""
    return cells.repeat(2, axis=-3).repeat(2, axis=-2).repeat(2, axis=-1)


def _product(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """What is true of all three coordinates, [m, x, y, z]."""
    return x[:, :, None, None] & y[:, None, :, None] & z[:, None, None, :]


def _chosen(corners: List[np.ndarray], cells: Tuple[np.ndarray, ...]) -> Int[np.ndarray, "n 3"]:
    """The coordinates of cells [brick, x, y, z]."""
    return np.stack([corner[cells[0], i] for corner, i in zip(corners, cells[1:], strict=True)], axis=-1)


def _distances_to_centre(spacing: Float[np.ndarray, "3"]) -> Float[np.ndarray, "8 8 8"]:
    """From the points in a brick to the centres of the smallest cells that own them, which are points, too."""
    offset = (1 - np.arange(BRICK) % 2)[:, None] * spacing
    x, y, z = offset.T**2
    return np.sqrt(x[:, None, None] + y[:, None] + z).astype(np.float32)

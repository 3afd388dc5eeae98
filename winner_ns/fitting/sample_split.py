"""Which samples are trained on, which are withheld, and in what order training sees them."""

from __future__ import annotations

import itertools
import math
from typing import List, Optional, Sequence, Tuple, Union

import numpy as np
from jaxtyping import Bool, Int

from winner_ns.errors import setting_error
from winner_ns.fitting.permutation import permute, places

Holdout = Union[str, float, None]
BLOCK = 2**20


def parse_holdout(holdout: str) -> Holdout:
    """ "none" -> None, "every-second" -> itself, a fraction in (0, 1) -> float.

    Raises:
        SignalError: anything else.
    """
    if holdout in ("none", "0", ""):
        return None
    if holdout == "every-second":
        return holdout
    try:
        fraction = float(holdout)
    except ValueError:
        fraction = -1.0
    if not 0 < fraction < 1:
        raise setting_error(
            "holdout",
            f"{holdout!r} is not a way to withhold samples",
            "give none, every-second or a fraction between 0 and 1 such as 0.1",
        )
    return fraction


class SampleSplit:
    """Training and withheld samples of a grid, computed on demand: nothing here grows with the signal.

    Args:
        shape: the grid.
        holdout: None (train on all), "every-second" (train on the even samples along each axis), or the fraction that
            is withheld at random.
        seed: of the random choice and of the order.
    """

    def __init__(self, shape: Tuple[int, ...], holdout: Holdout, seed: int) -> None:
        self.shape, self.holdout, self.seed = shape, holdout, seed
        self.size = int(np.prod(shape, dtype=np.int64))
        if holdout == "every-second":
            self.train_shape: Optional[Tuple[int, ...]] = tuple((n + 1) // 2 for n in shape)
            self.train_size = int(np.prod(self.train_shape, dtype=np.int64))
        else:
            self.train_shape = shape if holdout is None else None
            self.train_size = self.size - (0 if holdout is None else round(float(holdout) * self.size))
        if self.train_size < 2:
            raise setting_error(
                "holdout",
                f"{holdout} leaves {self.train_size} of {self.size} samples",
                "withhold fewer",
            )

    @property
    def train_part(self) -> Optional[Tuple[slice, ...]]:
        """The training samples as a part of the grid; None where they lie anywhere."""
        if self.train_shape is None:
            return None
        return (slice(None, None, 2 if self.holdout == "every-second" else 1),) * len(self.shape)

    @property
    def heldout_size(self) -> int:
        return self.size - self.train_size

    def train_samples(self, numbers: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Flat indices of the training samples with these numbers (0 … train_size-1)."""
        if self.holdout is None:
            return numbers
        if self.holdout == "every-second":
            assert self.train_shape is not None
            position = np.unravel_index(numbers, self.train_shape)
            return np.ravel_multi_index(tuple(2 * p for p in position), self.shape)
        return permute(numbers, self.size, self._key(0))

    def withheld_samples(self, numbers: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Flat indices of the withheld samples with these numbers (0 … heldout_size-1)."""
        if self.holdout != "every-second":
            return permute(numbers + self.train_size, self.size, self._key(0))
        # One after the other, all that are even or odd along the same axes.
        parities = list(itertools.product((0, 1), repeat=len(self.shape)))[1:]
        shapes = [tuple((n + 1 - odd) // 2 for n, odd in zip(self.shape, parity)) for parity in parities]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        found = np.empty(len(numbers), dtype=np.int64)
        for parity, shape, end in zip(parities, shapes, ends):
            here = np.flatnonzero((numbers < end) & (numbers >= end - math.prod(shape)))
            if len(here):
                position = np.unravel_index(numbers[here] - (end - math.prod(shape)), shape)
                found[here] = np.ravel_multi_index(tuple(2 * p + odd for p, odd in zip(position, parity)), self.shape)
        return found

    def heldout_samples(self, most: int) -> Int[np.ndarray, " n"]:
        """Flat indices of the withheld samples; a random choice of `most` of them where there are more."""
        if self.holdout == "every-second":
            # Candidates in random order; about 1 - 2^-d of them are withheld.
            candidates = permute(np.arange(min(self.size, 4 * most)), self.size, self._key(1))
            odd = np.zeros(len(candidates), dtype=bool)
            for p in np.unravel_index(candidates, self.shape):
                odd |= p % 2 == 1
            return np.sort(candidates[odd][:most])
        numbers = np.arange(self.train_size, self.size)[:most]
        return np.sort(permute(numbers, self.size, self._key(0)))

    def is_heldout(self, part: Optional[Tuple[slice, ...]] = None) -> Bool[np.ndarray, "*part"]:
        """Mask over the whole grid, or over a part of it."""
        axes = [
            np.arange(n)[each] for n, each in zip(self.shape, part or (slice(None),) * len(self.shape), strict=True)
        ]
        if math.prod(map(len, axes)) < self.size:
            return self.are_withheld(np.meshgrid(*axes, indexing="ij", sparse=True))
        mask = np.zeros(self.shape, dtype=bool)
        if self.holdout == "every-second":
            mask[...] = True
            mask[(slice(None, None, 2),) * len(self.shape)] = False
        elif self.holdout is not None:
            flat = mask.reshape(-1)
            for start in range(self.train_size, self.size, BLOCK):
                numbers = np.arange(start, min(start + BLOCK, self.size))
                flat[permute(numbers, self.size, self._key(0))] = True
        return mask

    def are_withheld(self, positions: Sequence[Int[np.ndarray, "*n"]]) -> Bool[np.ndarray, "*n"]:
        """Which samples are withheld, wherever they lie; takes longer than `is_heldout` where it is about all.

        Args:
            positions: along each axis, in arrays that go together.
        """
        flat = sum(at * math.prod(self.shape[axis + 1 :]) for axis, at in enumerate(positions))
        if self.holdout == "every-second":
            return np.logical_or.reduce(np.broadcast_arrays(*[at % 2 == 1 for at in positions]))
        if self.holdout is None:
            return np.zeros(np.shape(flat), bool)
        found = np.empty(np.size(flat), bool)
        for start in range(0, len(found), BLOCK):
            numbers = np.ravel(flat)[start : start + BLOCK]
            found[start : start + BLOCK] = places(numbers, self.size, self._key(0)) >= self.train_size
        return found.reshape(np.shape(flat))

    def batch(self, step: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Int[np.ndarray, " n"]:
        """Flat indices of the samples of one step, without replacement within an epoch.

        A function of its arguments alone: a resumed run goes on in the same order.

        Args:
            step: training step.
            batch_size: samples of all processes together; 0, or as many as there are, is every training sample.
            rank, world_size: which process's part of them, of how many.
        """
        return self.train_samples(self.shuffled(self.train_size, step, batch_size, rank, world_size))

    def shuffled(
        self, size: int, step: int, batch_size: int, rank: int = 0, world_size: int = 1, stream: int = 0
    ) -> Int[np.ndarray, " n"]:
        """Numbers from 0 to size-1 of one step, none twice within an epoch; other arguments as for `batch`.

        Args:
            size: of an epoch.
            stream: orders of other streams have nothing to do with each other.
        """
        epochs, within = _order(size, step, batch_size, rank, world_size)
        if _whole(size, batch_size) or not len(within):
            return within
        first = 2 + stream * 2**31
        return np.concatenate(
            [permute(within[epochs == e], size, self._key(first + int(e))) for e in np.unique(epochs)]
        )

    def passes(self, step: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Int[np.ndarray, " n"]:
        """How often training has been through all samples before each one of a `batch`."""
        return _order(self.train_size, step, batch_size, rank, world_size)[0]

    def _key(self, purpose: int) -> int:
        return (int(self.seed) << 32) + purpose


def central_crop(shape: Tuple[int, ...], most: int) -> Tuple[slice, ...]:
    """A central part of a grid with about so many samples, the whole grid if it has no more; starts are even, so that
    every second sample stays every second one."""
    size = int(np.prod(shape, dtype=np.int64))
    scale = min(1.0, (most / size) ** (1 / len(shape)))
    lengths = [min(n, max(4, round(n * scale))) for n in shape]
    return tuple(slice((n - m) // 4 * 2, (n - m) // 4 * 2 + m) for n, m in zip(shape, lengths))


def tiles(shape: Tuple[int, ...], most: int) -> List[Tuple[slice, ...]]:
    """The whole grid where it has at most so many samples, else parts all over it, alike and evenly spaced, of as many
    together."""
    size = math.prod(shape)
    if size <= most:
        return [(slice(None),) * len(shape)]
    share, across = (most / size) ** (1 / len(shape)), {1: 16, 2: 4}.get(len(shape), 2)
    axes = []
    for n in shape:
        length = min(n, max(2, round(n * share / across)))
        starts = np.unique(np.linspace(0, n - length, across).round().astype(int)).tolist()
        axes.append([slice(start, start + length) for start in starts])
    return list(itertools.product(*axes))


def _whole(size: int, batch_size: int) -> bool:
    return batch_size <= 0 or batch_size >= size


def _order(
    size: int, step: int, batch_size: int, rank: int, world_size: int
) -> Tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """For each sample of a process's part of a step: the pass through all of them, and its place in that."""
    if _whole(size, batch_size):
        within = np.arange(rank, size, world_size)
        return np.full(len(within), step), within
    positions = np.arange(rank, batch_size, world_size) + step * batch_size
    return positions // size, positions % size


class TrainingSamples:
    """Which samples of a split are trained on, as a mask is asked for it, without the mask of a grid that is large.

    Args:
        split: of the grid.
    """

    def __init__(self, split: SampleSplit) -> None:
        self.split, self.shape, self.ndim, self.size = split, split.shape, len(split.shape), split.size

    def sum(self) -> int:
        """How many."""
        return self.split.train_size

    def __getitem__(self, positions: Tuple[Int[np.ndarray, "*n"], ...]) -> Bool[np.ndarray, "*n"]:
        return ~self.split.are_withheld(positions)

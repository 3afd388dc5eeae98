"""Pseudo-random orders of millions of samples that take no memory and can be entered anywhere."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Callable, List, Tuple

import numpy as np
from jaxtyping import Int

ROUNDS = 6
SMALL = 2**14
"""Permutations of no more elements are kept in full: each step of a small signal's training takes another part."""
MOST_LOOKED_UP = 14
"""Bits of a half of a number of which there are tables: those of all rounds take 0.8 MB at most."""


def permute(positions: Int[np.ndarray, " n"], size: int, key: int) -> Int[np.ndarray, " n"]:
    """The values at these positions of a pseudo-random permutation of 0 … size-1.

    A Feistel network on the smallest power of two that holds `size`, walked until it lands inside (Black and Rogaway,
    Ciphers with Arbitrary Finite Domains, 2002). Every (size, key) is a bijection.

    Args:
        positions: in 0 … size-1.
        size: number of elements, at least 1.
        key: which permutation.

    Returns:
        int64 values in 0 … size-1.
    """
    if size <= SMALL:
        return _whole(size, key)[positions]
    return _walked(positions, size, key, backwards=False)


def places(values: Int[np.ndarray, " n"], size: int, key: int) -> Int[np.ndarray, " n"]:
    """Where these values stand in the order that `permute` gives: its inverse."""
    return _walked(values, size, key, backwards=True)


@lru_cache(maxsize=8)
def _whole(size: int, key: int) -> Int[np.ndarray, " size"]:
    return _walked(np.arange(size), size, key, backwards=False)


def _walked(numbers: Int[np.ndarray, " n"], size: int, key: int, backwards: bool) -> Int[np.ndarray, " n"]:
    if size <= 1:
        return np.zeros_like(numbers, dtype=np.int64)
    low_bits, rounds = _network(size, key)
    low_mask = (1 << low_bits) - 1
    result = numbers.astype(np.int64)
    outside = np.arange(len(result))
    while len(outside):
        high, low = result[outside] >> low_bits, result[outside] & low_mask
        for i in range(ROUNDS)[:: -1 if backwards else 1]:
            if i % 2:
                low ^= rounds[i](high)
            else:
                high ^= rounds[i](low)
        result[outside] = (high << low_bits) | low
        outside = outside[result[outside] >= size]
    return result


@lru_cache(maxsize=8)
def _network(size: int, key: int) -> Tuple[int, List[Callable[[np.ndarray], np.ndarray]]]:
    """How many bits make the lower half of a number, and what each round makes of one half for the other."""
    bits = max(int(size - 1).bit_length(), 2)
    low_bits = bits // 2
    keys = np.random.SeedSequence(key).generate_state(ROUNDS, dtype=np.uint64)

    def of_round(i: int) -> Callable[[np.ndarray], np.ndarray]:
        own, other = (bits - low_bits, low_bits) if i % 2 else (low_bits, bits - low_bits)
        scrambled = partial(_scrambled, round_key=keys[i], mask=np.uint64((1 << other) - 1))
        # Halves of so few bits are looked up, which takes a fraction of scrambling each one.
        return scrambled(np.arange(1 << own)).take if own <= MOST_LOOKED_UP else scrambled

    return low_bits, [of_round(i) for i in range(ROUNDS)]


def _scrambled(half: Int[np.ndarray, " n"], round_key: np.uint64, mask: np.uint64) -> Int[np.ndarray, " n"]:
    return (_mix(half.astype(np.uint64) ^ round_key) & mask).astype(np.int64)


def _mix(x: np.ndarray) -> np.ndarray:
    """Scrambles 64-bit words (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

"""Pseudo-random orders of millions of samples that take no memory and can be entered anywhere."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int

ROUNDS = 6
SMALL = 2**14
"""Permutations of no more elements are kept in full: each step of a small signal's training takes another part."""


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
    bits = max(int(size - 1).bit_length(), 2)
    low_bits = bits // 2
    low_mask, high_mask = np.uint64((1 << low_bits) - 1), np.uint64((1 << (bits - low_bits)) - 1)
    keys = np.random.SeedSequence(key).generate_state(ROUNDS, dtype=np.uint64)
    result = numbers.astype(np.uint64)
    outside = np.arange(len(result))
    while len(outside):
        high, low = result[outside] >> np.uint64(low_bits), result[outside] & low_mask
        for i in range(ROUNDS)[:: -1 if backwards else 1]:
            if i % 2:
                low ^= _mix(high ^ keys[i]) & low_mask
            else:
                high ^= _mix(low ^ keys[i]) & high_mask
        result[outside] = (high << np.uint64(low_bits)) | low
        outside = outside[result[outside] >= size]
    return result.astype(np.int64)


def _mix(x: np.ndarray) -> np.ndarray:
    """Scrambles 64-bit words (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

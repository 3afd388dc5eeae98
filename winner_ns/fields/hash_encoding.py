"""nerfstudio's grid of hashed features, with what never changes kept where the field is."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int, Shaped
from nerfstudio.field_components.encodings import HashEncoding as NerfstudiosHashEncoding
from torch import Tensor

PRIMES = (1, 2654435761, 805459861)
"""Factors of a vertex's three numbers before they are hashed (Müller et al. 2022, equation 4)."""


class HashEncoding(NerfstudiosHashEncoding):
    """nerfstudio's, which sends the same numbers to the GPU seventeen times at each call, each of which waits for it.
    Takes the same arguments; weights and values are the same, bit for bit."""

    primes: Int[Tensor, "3"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = {"primes": torch.tensor(PRIMES), "scalings": self.scalings, "hash_offset": self.hash_offset}
        for name, numbers in kept.items():
            self.__dict__.pop(name, None)
            self.register_buffer(name, numbers, persistent=False)

    def hash_fn(self, in_tensor: Int[Tensor, "*bs num_levels 3"]) -> Shaped[Tensor, "*bs num_levels"]:
        """The entry of each vertex in the table of all levels."""
        x, y, z = (in_tensor * self.primes).unbind(-1)
        hashed = torch.bitwise_xor(torch.bitwise_xor(x, y), z)
        return hashed % self.hash_table_size + self.hash_offset

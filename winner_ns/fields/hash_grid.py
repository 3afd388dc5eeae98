"""Multiresolution hash grid with a small ReLU network, on nerfstudio's components.

Müller, Evans, Schied, Keller: Instant Neural Graphics Primitives with a Multiresolution Hash Encoding, ACM Transactions
on Graphics (SIGGRAPH) 2022 (arXiv 2201.05989). The field is piecewise d-linear before the network: first derivatives by
the coordinates exist almost everywhere, second ones are zero or undefined, and losses on them cannot be trained.

Published defaults (paper, table 1 and section 4; github.com/NVlabs/instant-ngp, configs/image/base.json): 16 levels of
2 features from resolution 16 up, table entries ~ U(±1e-4), two hidden layers of 64 ReLUs, Adam at 1e-2 with
betas (0.9, 0.99) and epsilon 1e-15. Tables of 2^14 to 2^24 entries and finest resolutions of 512 to 524288 depend on
the signal: 2^19 and 2048 are defaults here.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Dict, Literal, Optional, Tuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from winner_ns.fields.field import Field, FieldTask

Implementation = Literal["tcnn", "torch"]


class HashGrid(Field):
    """A hash grid field R^d -> R^c, d <= 3.

    nerfstudio's encoding takes three coordinates: for d = 1 and 2 a constant goes before the others, where the hash
    spreads the remaining ones best.

    Args:
        in_dim: number of coordinates d, 1 to 3, each in [-1, 1].
        out_dim: number of values c.
        width: neurons of the network's hidden layers; tiny-cuda-nn is fast for 16, 32, 64 and 128.
        depth: number of the network's hidden layers.
        levels: number of grids.
        base_resolution: cells along an axis of the coarsest grid (that of max_resolution, where this is smaller).
        max_resolution: cells along an axis of the finest grid; a signal's largest number of samples suits it.
        log2_hashmap_size: the tables have 2^this entries at most, and no more than the finest grid has vertices.
        features_per_level: values per entry.
        implementation: "tcnn" is tiny-cuda-nn (NVIDIA GPUs), "torch" runs anywhere; None takes tcnn where it is
            installed and a GPU is present. Their weights are not interchangeable, so the choice is part of `settings`.
        generator: source of all randomness; None is torch's global one.

    Raises:
        ValueError: d above 3, an argument below 1, or tcnn asked for where it cannot run.
    """

    learning_rate: ClassVar[float] = 1e-2
    source: ClassVar[str] = "Hash grid: Müller et al. (Instant NGP), SIGGRAPH 2022, arXiv 2201.05989"

    encoded: ClassVar[bool] = True
    learns_encoding: ClassVar[bool] = True
    sizes: ClassVar[Tuple[str, ...]] = ("width", "depth", "levels", "features_per_level")
    band_setting: ClassVar[Optional[str]] = "max_resolution"
    # It learns its encoding, so that what it starts with says little.
    adaptable: ClassVar[bool] = False
    # Its gradient is as large as its tables.
    whole_batch: ClassVar[bool] = True

    implementation: Implementation
    """What computes the encoding and the network."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        width: int = 64,
        depth: int = 2,
        levels: int = 16,
        base_resolution: int = 16,
        max_resolution: int = 2048,
        log2_hashmap_size: int = 19,
        features_per_level: int = 2,
        implementation: Optional[Implementation] = None,
        generator: Optional[torch.Generator] = None,
    ) -> None:
        settings: Dict[str, Any] = {
            "width": width,
            "depth": depth,
            "levels": levels,
            "base_resolution": base_resolution,
            "max_resolution": max_resolution,
            "log2_hashmap_size": log2_hashmap_size,
            "features_per_level": features_per_level,
        }
        cells = ("base_resolution", "max_resolution", "log2_hashmap_size")
        super().__init__(in_dim, out_dim, settings, positive=cells)
        if in_dim > 3:
            raise ValueError(f"a hash grid takes 1 to 3 coordinates, got {in_dim}; choose another field family")
        # Imported here for those who only load other families: nerfstudio takes seconds.
        from nerfstudio.field_components.mlp import MLP
        from nerfstudio.utils.external import TCNN_EXISTS

        from winner_ns.fields.hash_encoding import HashEncoding

        tcnn_runs = TCNN_EXISTS and torch.cuda.is_available()
        if implementation == "tcnn" and not tcnn_runs:
            raise ValueError(
                "this hash grid was made for tiny-cuda-nn, which needs an NVIDIA GPU and the package tinycudann; "
                'use a machine that has both, or train it with implementation="torch"'
            )
        self.implementation = implementation or ("tcnn" if tcnn_runs else "torch")
        self.settings["implementation"] = self.implementation

        vertices_bits = math.ceil(in_dim * math.log2(max_resolution + 1))
        # Neither component takes a generator: the global one stands in, seeded from ours and restored afterwards.
        seed = int(torch.randint(2**31, (), generator=generator, device="cpu"))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.encoding = HashEncoding(
                num_levels=levels,
                min_res=min(base_resolution, max_resolution),
                max_res=max_resolution,
                log2_hashmap_size=min(log2_hashmap_size, vertices_bits),
                features_per_level=features_per_level,
                hash_init_scale=1e-4,
                implementation=self.implementation,
            )
            self.network = MLP(
                in_dim=levels * features_per_level,
                num_layers=depth + 1,
                layer_width=width,
                out_dim=out_dim,
                implementation=self.implementation,
            )
        if self.implementation == "tcnn":
            # tiny-cuda-nn draws with a seed of its own, always the same one.
            modules: Tuple[Any, Any] = (self.encoding.tcnn_encoding, self.network.tcnn_encoding)
            for module in modules:
                module.params.data.copy_(module.native_tcnn_module.initial_params(seed))

    @classmethod
    def most_weights(cls, in_dim: int, out_dim: int, settings: Dict[str, Any]) -> int:
        bits = settings.get("log2_hashmap_size", 19)
        if type(bits) is not int or not 0 < bits < 64:
            raise ValueError(f"log2_hashmap_size must be from 1 to 63, got {bits!r}")
        tables = settings.get("levels", 16) * settings.get("features_per_level", 2) * 2**bits
        return super().most_weights(in_dim, out_dim, settings) + abs(tables)

    @classmethod
    def default_settings(cls, task: FieldTask) -> Dict[str, Any]:
        """Grid and small network bring their own sizes; the finest cell and the tables follow the signal."""
        if task.samples is None:
            # Surfaces fill cells as their resolution's square.
            sizes: Dict[str, Any] = {
                "max_resolution": task.finest,
                "log2_hashmap_size": round(2 * math.log2(task.finest)) - 3,
            }
        else:
            bits = math.ceil(math.log2(math.prod(task.samples))) - 4
            sizes = {
                "max_resolution": max(*task.samples, 16),
                "log2_hashmap_size": min(max(bits, 12), 19),
            }
        if task.second_derivatives:
            sizes["implementation"] = "torch"  # tiny-cuda-nn has none.
        return sizes

    def forward(self, coordinates: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch c"]:
        unit = (coordinates.reshape(-1, self.in_dim) + 1.0) / 2.0
        encoded = self.encoding(nn.functional.pad(unit, (3 - self.in_dim, 0)))
        return self.network(encoded).float().reshape(*coordinates.shape[:-1], self.out_dim)

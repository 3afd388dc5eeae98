"""Random numbers of the rays of a step, the same ones however many processes share them."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

import torch
from torch.overrides import TorchFunctionMode


class DrawnForAll(TorchFunctionMode):
    """Draws uniform random numbers for all rays of a step, and gives those of one process's part, wherever as many are
    asked for as it has rays. All processes have the same generator then, in the same state as a single one.

    Args:
        rays: of the step.
        rank, count: of which process, of how many, each count-th ray is.
    """

    def __init__(self, rays: int, rank: int, count: int) -> None:
        super().__init__()
        self.rays, self._part = rays, slice(rank, None, count)
        self.size = len(range(rank, rays, count))
        """Rays of the part."""

    def __torch_function__(
        self, func: Callable, types: Any, args: Tuple[Any, ...] = (), kwargs: Optional[Dict[str, Any]] = None
    ) -> Any:
        kwargs = kwargs or {}
        shape: Tuple[int, ...] = ()
        if func is torch.rand and "size" not in kwargs:
            shape = tuple(args[0] if len(args) == 1 and not isinstance(args[0], int) else args)
        elif func is torch.rand_like:
            shape, kwargs = tuple(args[0].shape), {"dtype": args[0].dtype, "device": args[0].device, **kwargs}
        if not shape or shape[0] != self.size:
            return func(*args, **kwargs) if func is not torch.rand_like else torch.rand(shape, **kwargs)
        return torch.rand((self.rays, *shape[1:]), **kwargs)[self._part]

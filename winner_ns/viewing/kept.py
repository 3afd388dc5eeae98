"""What has been drawn of fields in one state, so that nothing is drawn twice."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any, Callable, Hashable

MOST = 2**26
"""Bytes that are kept."""


class Kept:
    """What was drawn of one state of the fields: what was seen before is not drawn again. Several threads may ask; what
    was not looked at for longest goes first."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes, self._lock = 0, Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._drawn

    def get(self, key: Hashable, draw: Callable[[], Any]) -> Any:
        """What was drawn under this key, or is drawn now: an array, a tensor or bytes."""
        with self._lock:
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key]
        drawn = draw()
        with self._lock:
            if key not in self._drawn:
                self._drawn[key] = drawn
                self._bytes += size_of(drawn)
            while self._bytes > MOST and len(self._drawn) > 1:
                self._bytes -= size_of(self._drawn.popitem(last=False)[1])
        return drawn


def size_of(drawn: Any) -> int:
    """In bytes."""
    return len(drawn) if isinstance(drawn, bytes) else drawn.nbytes

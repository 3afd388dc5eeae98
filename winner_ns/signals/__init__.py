"""What is fitted: images, sounds, shapes, volumes and videos, read from files.

>>> signal = load_signal("camera.png")
>>> signal.shape, signal.channels
((512, 512), 1)
"""

from __future__ import annotations

from winner_ns.signals.grid import GridSignal
from winner_ns.signals.load import Signal, detect_kind, load_signal
from winner_ns.signals.objects import signal_of
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.shape import ShapeSignal

__all__ = ["GridSignal", "ReadOptions", "ShapeSignal", "Signal", "detect_kind", "load_signal", "signal_of"]

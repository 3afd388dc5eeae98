"""Training curves of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple


def training_curve(run: Path) -> Tuple[List[int], List[float]]:
    """Steps and batch PSNR (dB) of a run, from the events that nerfstudio wrote for tensorboard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    scalars = events.Scalars("Train Metrics Dict/psnr")
    return [s.step for s in scalars], [s.value for s in scalars]

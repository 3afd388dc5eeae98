"""What stands where nerfstudio would print a table of rays and iterations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Literal, Optional, Type

from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.utils.writer import LocalWriter

from winner_ns.safe_text import terminal


class ProgressWriter(LocalWriter):
    """nerfstudio's writer to the terminal; the trainer shows the signal's own figures in place of its table."""

    def __init__(self, config: LocalWriterConfig, banner_messages: Optional[List[str]] = None) -> None:
        super().__init__(config, banner_messages)
        for message in banner_messages or ():
            address = message.partition(" at: ")[2] or message
            CONSOLE.print(f"viewer    {terminal(address)}", markup=False, soft_wrap=True)

    def write_stats_log(self, step: int) -> None:
        """Nothing: see `SignalTrainer`."""


@dataclass
class ProgressWriterConfig(LocalWriterConfig):
    """What the terminal shows of a training."""

    _target: Type = field(default_factory=lambda: ProgressWriter)
    """The writer's class."""
    enable: bool = True
    """Whether step, time left, loss, figures and learning rate are shown."""


@dataclass
class SignalLoggingConfig(LoggingConfig):
    """What is recorded and shown of a training."""

    local_writer: LocalWriterConfig = field(default_factory=ProgressWriterConfig)
    """What the terminal shows."""
    # The profiler's table of nerfstudio's own functions would be among the last things that a user sees.
    profiler: Literal["none", "basic", "pytorch"] = "none"
    """Which profiler runs beside the training; none, or nerfstudio's basic or pytorch."""

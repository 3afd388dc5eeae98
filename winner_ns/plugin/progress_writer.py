"""What a training shows and records, in the terminal, the viewer and files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Literal, Optional, Type

from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig, ViewerConfig
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.utils.writer import LocalWriter

from winner_ns.glue.help import shown_in_help
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


@shown_in_help(hidden=("stats_to_track", "max_log_size"))
@dataclass
class ProgressWriterConfig(LocalWriterConfig):
    """What the terminal shows of a training."""

    _target: Type = field(default_factory=lambda: ProgressWriter)
    """The writer's class."""
    enable: bool = True
    """Whether step, time left, loss, figures and learning rate are shown."""


@shown_in_help(
    hidden=("max_buffer_size",),
    texts={
        "steps_per_log": "Steps between two losses in the records of tensorboard, wandb or comet.",
        "relative_log_dir": "Where these are, below the run's folder.",
    },
)
@dataclass
class SignalLoggingConfig(LoggingConfig):
    """What is recorded and shown of a training."""

    local_writer: ProgressWriterConfig = field(default_factory=ProgressWriterConfig)  # type: ignore[assignment]
    """What the terminal shows."""
    # The profiler's table of nerfstudio's own functions would be among the last things that a user sees.
    profiler: Literal["none", "basic", "pytorch"] = "none"
    """Which profiler runs beside the training; none, or nerfstudio's basic or pytorch."""


@shown_in_help(
    first=("websocket_host", "websocket_port", "quit_on_train_completion"),
    hidden=("relative_log_filename", "websocket_port_default", "default_composite_depth"),
    texts={
        "websocket_port": "The viewer's port; None: 7007 or the next that is free.",
        "quit_on_train_completion": "Whether the program ends with the training; else the viewer stays until Ctrl-C.",
        "num_rays_per_chunk": "Pixels that are computed at a time.",
        "max_num_display_images": "Of posed photographs: how many are shown in the viewer; -1: all.",
        "image_format": "How pictures go to the browser; jpeg is small, png exact.",
        "jpeg_quality": "Of jpeg, 0 to 100.",
        "make_share_url": "Whether the viewer is also reached from elsewhere, by an address that viser's makers lend.",
        "camera_frustum_scale": "Of posed photographs: how large their cameras are drawn.",
    },
)
@dataclass
class SignalViewerConfig(ViewerConfig):
    """Where the viewer is, and what it sends."""

    # A viewer shows whatever is trained to anybody who can reach it.
    websocket_host: str = "127.0.0.1"
    """Address that the viewer listens on: 127.0.0.1, this machine alone; 0.0.0.0, all."""

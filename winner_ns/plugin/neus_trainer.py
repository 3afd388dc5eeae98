"""The trainer's config of `ns-train winner-neus`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List

from winner_ns.errors import SignalError
from winner_ns.plugin.pipeline import SignalPipelineConfig
from winner_ns.plugin.trainer import SignalTrainerConfig, trainer_help
from winner_ns.rays.neus_model import WinnerNeuSModelConfig


@dataclass
class SurfacePipelineConfig(SignalPipelineConfig):
    """Data manager and model of a surface that is learnt from photographs."""

    model: WinnerNeuSModelConfig = field(default_factory=WinnerNeuSModelConfig)  # type: ignore[assignment]
    """NeuS, its field's network, and the law that the network's initial noise follows."""


@trainer_help
@dataclass
class SurfaceTrainerConfig(SignalTrainerConfig):
    """A SignalTrainerConfig for photographs only."""

    pipeline: SurfacePipelineConfig = field(default_factory=SurfacePipelineConfig)
    """Pipeline configuration."""

    def _settle_signal(self) -> List[str]:
        source = self.pipeline.datamanager.data
        raise SignalError(
            "--data" if source is None else source,
            "no posed photographs" if source is not None else "no folder is given",
            "give a folder with transforms.json or a COLMAP model; winner-siren fits single files",
        )

    def _settle_views(self) -> List[str]:
        lines = super()._settle_views()
        if self.pipeline.model.anneal_end is None:
            self.pipeline.model.anneal_end = max(self.max_num_iterations // 6, 1)
        return lines

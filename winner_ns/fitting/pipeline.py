"""The pipeline of a signal: nerfstudio's, with figures of the whole signal in place of averages over views."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any, Dict, List, Optional, Tuple, Type

import torch
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils import writer
from nerfstudio.utils.rich_utils import CONSOLE
from rich.markup import escape
from torch import Tensor

from winner_ns.errors import one_line_errors
from winner_ns.export.output import replacing
from winner_ns.fitting.datamanager import SignalDataManager, SignalDataManagerConfig
from winner_ns.fitting.evaluation import evaluate_field, pictures
from winner_ns.fitting.metrics import psnr
from winner_ns.fitting.model import SignalModel, SignalModelConfig
from winner_ns.fitting.target import GridTarget

MOST_EXPORTED = 2**24
"""Samples up to which the fitted signal is written when training ends; of larger ones the field alone."""


@dataclass
class SignalPipelineConfig(VanillaPipelineConfig):
    """Data manager and model of a signal."""

    _target: Type = field(default_factory=lambda: SignalPipeline)
    """The pipeline's class."""
    datamanager: SignalDataManagerConfig = field(default_factory=SignalDataManagerConfig)
    """Which signal is fitted, and which of its samples each step sees."""
    model: SignalModelConfig = field(default_factory=SignalModelConfig)
    """The field and the law that its initial noise follows."""
    write_results: bool = True
    """Whether the fitted signal, its field file, a picture that compares it with the original and a table of figures
    are written to the run's folder when training ends."""


class SignalPipeline(VanillaPipeline):
    """VanillaPipeline for one signal instead of many views."""

    config: SignalPipelineConfig
    datamanager: SignalDataManager
    model: SignalModel

    @torch.no_grad()
    def figures(self) -> Dict[str, float]:
        """The fitted field's figures against the whole signal (`evaluate_field`)."""
        self.eval()
        figures = evaluate_field(self.model.loaded_field, self.datamanager.need_target())
        self.train()
        return figures

    def get_eval_image_metrics_and_images(self, step: int) -> Tuple[Dict[str, Any], Dict[str, Tensor]]:
        metrics: Dict[str, Any] = dict(self.figures())
        metrics["num_rays"] = self.datamanager.get_train_rays_per_batch()
        return metrics, pictures(self.model.loaded_field, self.datamanager.target)

    def get_average_eval_image_metrics(
        self, step: Optional[int] = None, output_path: Optional[Path] = None, get_std: bool = False
    ) -> Dict[str, float]:
        """Figures of the whole signal; with an output path also the results as files (`ns-eval`)."""
        with one_line_errors():
            figures = self.figures()
            if output_path is not None:
                from winner_ns.export.comparison import write_results

                write_results(self.model.loaded_field, output_path, self.datamanager.need_target().signal)
        return figures

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> List[TrainingCallback]:
        callbacks = super().get_training_callbacks(attributes)
        if self.config.write_results and attributes.trainer is not None and attributes.trainer.local_rank == 0:
            started = time()

            def finish(step: int) -> None:
                self.finish(attributes.trainer.base_dir, step, time() - started)

            callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN], finish))
        return callbacks

    def finish(self, run: Path, step: int, seconds: float) -> None:
        """Writes what a user came for into the run's folder and says where it is."""
        from winner_ns.export.comparison import write_results  # Imports matplotlib, which is slow.
        from winner_ns.export.field import export_field

        target, field = self.datamanager.need_target(), self.model.loaded_field
        figures, results = self.figures(), run / "results"
        writer.put_dict(name="Results", scalar_dict=figures, step=step)
        writer.write_out_storage()
        table = {
            "figures": {name: value if math.isfinite(value) else None for name, value in figures.items()},
            "steps": step + 1,
            "training_seconds": round(seconds, 2),
            "parameters": sum(p.numel() for p in self.model.field.parameters()),
            "description": self.model.description,
        }
        paths = [write_json(results / "figures.json", table)]
        for name, value in figures.items():
            CONSOLE.print(f"{name:>28}  {value:.4f}")
        if isinstance(target, GridTarget) and not figures["psnr"] >= psnr(target.variance) + 1.0:
            CONSOLE.print(
                f"[bold yellow]the field has hardly left its plateau[/bold yellow]: the mean alone gives "
                f"{psnr(target.variance):.2f} dB; train longer, lower --optimizers.field.optimizer.lr, or use the "
                "family winner with the purpose fit",
                soft_wrap=True,
            )
        if isinstance(target, GridTarget) and len(target.signal) > MOST_EXPORTED:
            paths.append(results / "field.safetensors")
            export_field(field, paths[-1])
            command = {"image": "image", "audio": "audio"}.get(target.signal.kind, "volume")
            CONSOLE.print(f"{len(target.signal)} samples take a while: winner-ns export {command} {run}", markup=False)
        else:
            paths += write_results(field, results, target.signal)
        for path in paths:
            CONSOLE.print(f"[bold green]wrote[/bold green] {escape(str(path))}", soft_wrap=True)


def write_json(path: Path, content: Any) -> Path:
    """Writes JSON whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path

"""The pipeline of posed photographs: nerfstudio's, with results that are written when training ends."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from nerfstudio.utils import writer
from torch import Tensor

from winner_ns.errors import SignalError, one_line_errors
from winner_ns.fitting.processes import current
from winner_ns.fitting.results_folder import RESULTS, begin_results, end_results
from winner_ns.glue.finish import print_written, results_callbacks
from winner_ns.rays.drawn_for_all import DrawnForAll
from winner_ns.rays.views_datamanager import ViewsDataManager
from winner_ns.rays.views_picture import write_views_comparison
from winner_ns.viewing.scene_panel import ScenePanel

MOST_PICTURED = 4
"""Views in the picture that compares originals and renderings."""

PicturedView = Tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 3"]]
"""A view and its rendering."""


class ViewsPipeline(VanillaPipeline):
    """VanillaPipeline for posed photographs."""

    config: Any
    """The plugin's; a room that is built on this one."""
    datamanager: ViewsDataManager

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.result_figures: Dict[str, float] = {}
        """Of the finished training, that are yet to be said; filled in by `finish`."""
        self._batch_metrics: Dict[str, Tensor] = {}

    @property
    def panel(self) -> ScenePanel:
        """The viewer's panel: nerfstudio looks for such elements in a pipeline's attributes."""
        return self.model.panel

    def get_train_loss_dict(self, step: int) -> Tuple[Any, Dict[str, Tensor], Dict[str, Tensor]]:
        """A step's rays, and all else that it draws, depend on the seed and the step alone, so that a resumed run sees
        what the whole run would have seen. (Not in the data manager: `ns-export` asks that for step 0 many times.)"""
        words = np.random.SeedSequence((self.datamanager.config.seed, step, 0)).generate_state(1)
        random.seed(int(words[0]))
        torch.manual_seed(int(words[0]))
        processes, number = current(), self.datamanager.get_train_rays_per_batch()
        if processes.size == 1:
            outputs, losses, metrics = super().get_train_loss_dict(step)
        else:
            with DrawnForAll(number, processes.rank, processes.size) as part:
                outputs, losses, metrics = super().get_train_loss_dict(step)
            counts = self.model.loss_counts(outputs)
            losses = {name: processes.mean(loss, counts.get(name, part.size)) for name, loss in losses.items()}
        self._batch_metrics = metrics
        return outputs, losses, metrics

    def quick_figures(self) -> Dict[str, Dict[str, float]]:
        """PSNR in dB of the last step's rays."""
        known = self._batch_metrics
        return {"": {name: float(known[name].detach()) for name in ("psnr",) if name in known}}

    def next_commands(self, run: Path) -> List[str]:
        """What one would type next, of a finished run."""
        return self.model.description.row.commands_for(run)

    def get_average_eval_image_metrics(
        self, step: Optional[int] = None, output_path: Optional[Path] = None, get_std: bool = False
    ) -> Dict[str, float]:
        """Figures of the evaluation views, and with an output path their renderings (`ns-eval`)."""
        with one_line_errors():
            self.datamanager.need_views()
        return super().get_average_eval_image_metrics(step, output_path, get_std)

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> List[TrainingCallback]:
        callbacks = super().get_training_callbacks(attributes)
        if self.config.write_results:
            callbacks += results_callbacks(attributes, self.finish)
        return callbacks

    @torch.no_grad()
    def figures_and_views(self) -> Tuple[Dict[str, float], List[PicturedView]]:
        """Mean figures of all evaluation views, and renderings of some evenly chosen ones; in evaluation mode."""
        number = len(self.datamanager.eval_dataset)
        step = max(1, -(-number // MOST_PICTURED))
        figures: List[Dict[str, float]] = []
        pictured: List[PicturedView] = []
        for index, (camera, batch) in enumerate(self.datamanager.fixed_indices_eval_dataloader):
            outputs = self.model.get_outputs_for_camera(camera)
            figures.append(self.model.get_image_metrics_and_images(outputs, batch)[0])
            if index % step == 0:
                truth = self.model.renderer_rgb.blend_background(batch["image"].to(outputs["rgb"].device))
                pictured.append((truth.cpu(), outputs["rgb"].cpu()))
        # Views of few pixels have no ssim.
        shared = [name for name in figures[0] if all(name in each for each in figures)]
        return {name: sum(each[name] for each in figures) / len(figures) for name in shared}, pictured

    def finish(self, run: Path, step: int, seconds: float) -> None:
        """Writes what a user came for into the run's folder and says where it is."""
        results, description = run / RESULTS, self.model.description
        figures, pictured = self.figures_and_views()
        writer.put_dict(name="Results", scalar_dict=figures, step=step)
        writer.write_out_storage()
        table: Dict[str, Any] = {
            "figures": {name: value if math.isfinite(value) else None for name, value in figures.items()},
            "views": len(self.datamanager.eval_dataset),
            "steps": step + 1,
            "training_seconds": round(seconds, 2),
            "parameters": sum(p.numel() for p in self.model.field.parameters() if p.requires_grad),
            "description": description.as_dict(),
        }
        self.result_figures = figures
        begin_results(results)
        paths = [write_views_comparison(results / "comparison.png", pictured)]
        problem: Optional[SignalError] = None
        try:
            paths += self.model.write_results(results)
        except SignalError as error:
            problem = error
        print_written([*paths, end_results(results, table, paths)])
        if problem is not None:
            raise problem

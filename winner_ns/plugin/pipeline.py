"""The pipeline of a signal: nerfstudio's, with figures of the whole signal in place of averages over views."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

import torch
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils import comms, writer
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from winner_ns.errors import one_line_errors
from winner_ns.export.comparison import comparison_pixels
from winner_ns.export.results import results_table, write_fitted
from winner_ns.fields.files import LoadedField
from winner_ns.fields.layers import neuron_bands
from winner_ns.figures.grids import psnr
from winner_ns.fitting.collapse import CollapseWatch, collapse_line, collapse_watch
from winner_ns.fitting.evaluation import evaluate_field, on_plateau, pictures, quick_figures
from winner_ns.fitting.results_folder import RESULTS, begin_results, end_results
from winner_ns.glue.finish import print_written, results_callbacks
from winner_ns.kinds import KINDS
from winner_ns.meshing.fitted_surface import usual_resolution
from winner_ns.plugin.datamanager import SignalDataManager, SignalDataManagerConfig
from winner_ns.plugin.model import SignalModel, SignalModelConfig
from winner_ns.plugin.records import put_histogram, put_sound
from winner_ns.safe_text import terminal
from winner_ns.viewing.panel import SignalPanel

LOOKED_AT = 96
"""Grid points along each axis of the meshes that are looked at while a shape is trained: those of the results would
take a good part of the steps' time."""


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

    def setup(self, **kwargs: Any) -> VanillaPipeline:
        """The pipeline of what the data is."""
        return KINDS[self.datamanager.description["kind"]].get("pipeline")(self, **kwargs)


class SignalPipeline(VanillaPipeline):
    """VanillaPipeline for one signal instead of many views."""

    config: SignalPipelineConfig
    datamanager: SignalDataManager
    model: SignalModel

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.result_figures: Dict[str, float] = {}
        """Of the finished training, that are yet to be said; filled in by `finish`."""
        self._watch: Optional[CollapseWatch] = None
        target = self.datamanager.target
        self.model.show(self.fields, target and target.signal)
        if target is not None:
            self.panel.measure = self.quick_figures

    @property
    def models(self) -> Dict[str, SignalModel]:
        """What is trained, by name; a field alone is called by its family."""
        return {self.model.description.network.family: self.model}

    @property
    def fields(self) -> Dict[str, LoadedField]:
        """The fields of these, as they are now."""
        return {name: model.loaded_field for name, model in self.models.items()}

    @property
    def panel(self) -> SignalPanel:
        """The viewer's panel: nerfstudio looks for such elements in a pipeline's attributes."""
        assert self.model.panel is not None
        return self.model.panel

    @property
    def field_seconds(self) -> Dict[str, float]:
        """What each field's steps have taken, where there are several: kept in checkpoints."""
        return {}

    def next_commands(self, run: Path) -> List[str]:
        """What one would type next, of a finished run."""
        return self.model.description.row.commands_for(run)

    @torch.no_grad()
    def quick_figures(self, fields: Optional[Mapping[str, LoadedField]] = None) -> Dict[str, Dict[str, float]]:
        """Estimates of the figures that count, by field and name, while a field is trained.

        Args:
            fields: by name; None: those that are trained, as they are now.
        """
        target = self.datamanager.need_target()
        return {name: quick_figures(field, target) for name, field in (fields or self.fields).items()}

    def load_pipeline(self, loaded_state: Dict[str, Any], step: int) -> None:
        super().load_pipeline(loaded_state, step)
        self.panel.step = step + 1

    @torch.no_grad()
    def figures(self) -> Dict[str, float]:
        """The fitted field's figures against the whole signal (`evaluate_field`)."""
        self.eval()
        figures = evaluate_field(self.model.loaded_field, self.datamanager.need_target())
        self.train()
        return figures

    def pictures(self) -> Dict[str, Tensor]:
        """Pictures of the fit for the records, [h, w, 3] in [0, 1]: of each field what its kind has, and how it
        compares with the original (error maps, spectrograms, surfaces)."""
        signal = self.datamanager.need_target().signal
        drawn: Dict[str, Tensor] = {}
        for name, fitted in self.fields.items():
            prefix = f"{name}/" if len(self.fields) > 1 else ""
            drawn |= {f"{prefix}{key}": picture for key, picture in pictures(fitted, signal).items()}
            drawn[f"{prefix}comparison"] = torch.from_numpy(comparison_pixels(fitted, signal)).float() / 255
        return drawn

    def put_sounds(self, step: int) -> None:
        """Records what can be listened to."""
        signal = self.datamanager.need_target().signal
        for name, fitted in self.fields.items():
            row = fitted.description.row
            if row.heard is not None:
                put_sound(f"Eval Sounds/{name}", *row.get("heard")(fitted, signal), step=step)

    def put_bands(self, step: int) -> None:
        """Records the band of each neuron, by layer, in radians per unit of coordinate."""
        for name, fitted in self.fields.items():
            for layer, bands in neuron_bands(fitted.network, fitted.description.network.in_dim).items():
                if torch.isfinite(bands).all():
                    put_histogram(f"Bands, rad per unit/{name}/{layer}", bands.numpy(), step)

    def export(self, folder: Path) -> List[Path]:
        """Writes the results as files (`write_results`)."""
        from winner_ns.export.results import write_results

        return write_results(self.model.loaded_field, folder, self.datamanager.need_target().signal)

    def get_eval_image_metrics_and_images(self, step: int) -> Tuple[Dict[str, Any], Dict[str, Tensor]]:
        with usual_resolution(LOOKED_AT):
            metrics: Dict[str, Any] = dict(self.figures())
            self.put_sounds(step)
            self.put_bands(step)
            metrics["num_rays"] = self.datamanager.get_train_rays_per_batch()
            return metrics, self.pictures()

    def get_average_eval_image_metrics(
        self, step: Optional[int] = None, output_path: Optional[Path] = None, get_std: bool = False
    ) -> Dict[str, float]:
        """Figures of the whole signal; with an output path also the results as files (`ns-eval`)."""
        with one_line_errors():
            figures = self.figures()
            if output_path is not None:
                self.export(output_path)
        return figures

    def get_train_loss_dict(self, step: int) -> Tuple[Any, Dict[str, Tensor], Dict[str, Tensor]]:
        outputs, losses, metrics = super().get_train_loss_dict(step)
        for name in self._watch.see(step, losses) if self._watch else ():
            field = self.fields[name] if name else self.model.loaded_field
            family = field.description.network.family
            line = collapse_line(name, family, step + 1, "--optimizers.field.optimizer.lr")
            CONSOLE.print(terminal(line), style="bold yellow", soft_wrap=True, markup=False, highlight=False)
        return outputs, losses, metrics

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> List[TrainingCallback]:
        callbacks = super().get_training_callbacks(attributes)
        callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], self._show_step))
        callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN], self._end_drawing))
        if attributes.trainer is not None and self.datamanager.target is not None:
            self.datamanager.target.ends_after(attributes.trainer.config.max_num_iterations)
            for model in self.models.values():
                model.keep_best(self.datamanager.target, attributes.trainer.config.max_num_iterations)
            callbacks.append(TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], self._keep_best))
        if attributes.trainer is not None and comms.is_main_process():
            self._watch = collapse_watch(self.datamanager.target, attributes.trainer.config.max_num_iterations)
        if self.config.write_results:
            callbacks += results_callbacks(attributes, self.finish)
        return callbacks

    def _keep_best(self, step: int) -> None:
        for model in self.models.values():
            if model.best is not None:
                model.best.see(step + 1, model.field)

    def _end_drawing(self, step: int) -> None:
        if self.datamanager.target is not None:
            self.datamanager.target.close()

    def _show_step(self, step: int) -> None:
        self.panel.step = step + 1

    def finish(self, run: Path, step: int, seconds: float) -> None:
        """Writes what a user came for into the run's folder and says where it is."""
        target, field = self.datamanager.need_target(), self.model.loaded_field
        figures, results = self.figures(), run / RESULTS
        writer.put_dict(name="Results", scalar_dict=figures, step=step)
        writer.write_out_storage()
        self.result_figures = figures
        self.panel.update_figures(dict.fromkeys(self.fields, figures))
        if on_plateau(target, figures):
            alone = f"{psnr(target.mean_error or 0.0):.2f} dB"
            CONSOLE.print(
                f"[bold yellow]the field has hardly left its plateau[/bold yellow]: the mean alone gives {alone}; "
                "train longer, lower --optimizers.field.optimizer.lr, or use the family winner with the purpose fit",
                soft_wrap=True,
            )
        for line in self.datamanager.trained[field.description.between].advice(field):
            CONSOLE.print(terminal(line), style="bold yellow", soft_wrap=True, markup=False, highlight=False)
        begin_results(results)
        written = write_fitted(field, results, target.signal, run)
        if written.note:
            CONSOLE.print(terminal(written.note), markup=False)
        table = end_results(results, results_table(field, figures, step + 1, seconds), written.paths)
        print_written([*written.paths, table])
        if written.problem is not None:
            raise written.problem

"""Several fields trained side by side on the same batches of one signal: `ns-train winner-compare`."""

from __future__ import annotations

import shlex
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type

import torch
from nerfstudio.models.base_model import ModelConfig
from nerfstudio.utils import writer
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn
from torch.nn import Parameter

from winner_ns.errors import SignalError
from winner_ns.export.results import Written, results_table, write_fitted
from winner_ns.fields.files import LoadedField
from winner_ns.figures.grids import psnr
from winner_ns.figures.table import figures_table
from winner_ns.fitting.adam import BETA1, BETA2
from winner_ns.fitting.evaluation import evaluate_field, on_plateau
from winner_ns.fitting.field_entry import FLAG, FieldEntry, parse_entries
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.results_folder import FIGURES, RESULTS, begin_results, end_results
from winner_ns.fitting.run import field_key
from winner_ns.fitting.target import Target
from winner_ns.glue.finish import print_written
from winner_ns.glue.help import shown_in_help
from winner_ns.plugin.model import INERT, SignalModel, SignalModelConfig
from winner_ns.plugin.pipeline import SignalPipeline, SignalPipelineConfig
from winner_ns.plugin.trainer import SignalTrainerConfig, field_optimizers, settle_optimizer, trainer_help
from winner_ns.safe_text import terminal
from winner_ns.viewing.viewed_model import ViewedModel
from winner_ns.writing import write_json

TIMED_EVERY = 10
"""Of so many steps one is timed field by field: on a GPU that means to wait for it."""


@shown_in_help(first=("fields", "width", "depth"), hidden=INERT)
@dataclass
class CompareModelConfig(ModelConfig):
    """The fields that are compared."""

    _target: Type = field(default_factory=lambda: CompareModel)
    """The model's class."""
    enable_collider: bool = False
    """Not used: there are no rays."""
    fields: Tuple[str, ...] = ("siren", "winner", "finer")
    """Each a family (winner, siren, finer, wire, gauss, relu-pe, rff, hash-grid), with settings of its own after a
    colon: "winner:purpose=fit", "winner:s0=50,s1=0.1", "siren:omega_0=60,lr=5e-4", "rff:features=64"; with a name of
    its own before it: "wide=winner:width=512"."""
    width: Optional[int] = None
    """Neurons of every hidden layer of all fields that do not say their own; None: the kind's default."""
    depth: Optional[int] = None
    """Number of hidden layers of all fields that do not say their own; None: the kind's default."""

    def entries(self) -> List[FieldEntry]:
        """The fields, parsed.

        Raises:
            SignalError: one of them cannot be.
        """
        return parse_entries(self.fields, self.width, self.depth)


class CompareModel(ViewedModel):
    """One ordinary model of the signal's kind for each field; they share the batches and nothing else."""

    config: CompareModelConfig
    models: nn.ModuleDict
    """SignalModels by the names' `field_key`."""

    def populate_modules(self) -> None:
        described = self.kwargs["metadata"]["description"]["fields"]
        # In the order in which they were asked for: a config that was saved has its mappings sorted.
        self.names: List[str] = [entry.name for entry in self.config.entries()]
        self.models = nn.ModuleDict()
        for name in self.names:
            # Each draws its weights from a generator of its own with the run's seed, as if it were alone.
            self.models[field_key(name)] = SignalModelConfig().setup(
                scene_box=self.scene_box,
                num_train_data=self.num_train_data,
                **{**self.kwargs, "metadata": {"description": described[name]}},
            )
        self._steps = 0
        self.seconds = dict.fromkeys(self.names, 0.0)

    def named_models(self) -> Dict[str, SignalModel]:
        """The models by the fields' names."""
        return dict(zip(self.names, self.models.values(), strict=True))  # type: ignore[arg-type]

    def get_param_groups(self) -> Dict[str, List[Parameter]]:
        return {name: list(model.field.parameters()) for name, model in self.named_models().items()}

    def get_outputs(self, batch: Dict[str, Tensor]) -> Dict[str, Dict[str, Tensor]]:  # type: ignore[override]
        """What each field's model makes of a batch of coordinates and values."""
        outputs = {}
        timed = self.training and self._steps % TIMED_EVERY == TIMED_EVERY // 2  # Not the first, which warms up.
        for name, model in self.named_models().items():
            started = self._now() if timed else 0.0
            outputs[name] = model.get_outputs(batch)
            if timed:
                self.seconds[name] += self._now() - started
        self._steps += self.training
        return outputs

    def get_loss_dict(
        self, outputs: Dict[str, Any], batch: Any, metrics_dict: Optional[Dict[str, Tensor]] = None
    ) -> Dict[str, Tensor]:
        """Each field's loss as "name/loss". In their sum, each field gets its own gradient and nothing else."""
        return self._of_each(lambda name, model: model.get_loss_dict(outputs[name], batch))

    def get_metrics_dict(self, outputs: Dict[str, Any], batch: Any) -> Dict[str, Tensor]:
        """Each field's metrics as "name/metric"."""
        return self._of_each(lambda name, model: model.get_metrics_dict(outputs[name], batch))

    def time_shares(self) -> Dict[str, float]:
        """Each field's part of the training time so far; they sum to 1."""
        total = sum(self.seconds.values())
        return {name: value / total if total else 1 / len(self.names) for name, value in self.seconds.items()}

    def _of_each(self, get: Callable[[str, SignalModel], Mapping[str, Tensor]]) -> Dict[str, Tensor]:
        return _flat({name: get(name, model) for name, model in self.named_models().items()})

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return perf_counter()


@dataclass
class ComparePipelineConfig(SignalPipelineConfig):
    """Data manager and models of a comparison."""

    _target: Type = field(default_factory=lambda: ComparePipeline)
    """The pipeline's class."""
    model: CompareModelConfig = field(default_factory=CompareModelConfig)  # type: ignore[assignment]
    """The fields that are compared."""

    def setup(self, **kwargs: Any) -> SignalPipeline:
        """A comparison's pipeline, whatever the kind."""
        return self._target(self, **kwargs)


class ComparePipeline(SignalPipeline):
    """A signal's pipeline with several fields: figures and results of each, by name, and all of them in one picture."""

    config: ComparePipelineConfig
    model: CompareModel

    @property
    def models(self) -> Dict[str, SignalModel]:
        return self.model.named_models()

    def next_commands(self, run: Path) -> List[str]:
        first = run / RESULTS / next(iter(self.fields)) / "field.safetensors"
        export = next(iter(self.models.values())).description.row.commands_for(first)[1]
        return [*(f"winner-ns {command} {shlex.quote(str(run))}" for command in ("compare", "view")), export]

    @property
    def field_seconds(self) -> Dict[str, float]:
        return self.model.seconds

    @field_seconds.setter
    def field_seconds(self, seconds: Dict[str, float]) -> None:
        self.model.seconds.update(seconds)

    @torch.no_grad()
    def figures_by_field(self) -> Dict[str, Dict[str, float]]:
        """Each fitted field's figures against the whole signal (`evaluate_field`)."""
        self.eval()
        target = self.datamanager.need_target()
        figures = {name: evaluate_field(fitted, target) for name, fitted in self.fields.items()}
        self.train()
        return figures

    def figures(self) -> Dict[str, float]:
        """All figures as "name/figure"."""
        return _flat(self.figures_by_field())

    def export(self, folder: Path) -> List[Path]:
        """Each field's results in a folder of its name, and comparison.png."""
        from winner_ns.export.results import write_all

        signal = self.datamanager.need_target().signal
        written = self._write(lambda name, fitted: write_all(fitted, folder / name, signal), folder)
        print_written(written.paths)
        if written.problem is not None:
            raise written.problem
        return written.paths

    def finish(self, run: Path, step: int, seconds: float) -> None:
        """Writes each field's results, as a run of it alone would, and what compares them."""
        target, results = self.datamanager.need_target(), run / RESULTS
        figures = self.figures_by_field()
        self.panel.update_figures(figures)
        writer.put_dict(name="Results", scalar_dict=_flat(figures), step=step)
        writer.write_out_storage()
        shares = self.model.time_shares()
        tables = {
            name: results_table(fitted, figures[name], step + 1, seconds * shares[name])
            for name, fitted in self.fields.items()
        }
        whole = {"steps": step + 1, "training_seconds": round(seconds, 2), "fields": tables}
        CONSOLE.print(figures_table(tables))
        stuck = [name for name in tables if on_plateau(target, figures[name])]
        if stuck:
            CONSOLE.print(
                f"[bold yellow]hardly off the plateau: {', '.join(stuck)}[/bold yellow]; the mean alone gives "
                f"{psnr(target.mean_error or 0.0):.2f} dB",
                soft_wrap=True,
            )

        for name, fitted in self.fields.items():
            for line in self.datamanager.trained[fitted.description.between].advice(fitted):
                CONSOLE.print(
                    terminal(f"{name}: {line}"), style="bold yellow", soft_wrap=True, markup=False, highlight=False
                )

        begin_results(results)

        def write(name: str, fitted: LoadedField) -> Written:
            own = results / name
            begin_results(own)
            written = write_fitted(fitted, own, target.signal, own / "field.safetensors")
            if written.note:
                CONSOLE.print(terminal(written.note), markup=False)
            return written._replace(paths=[*written.paths, write_json(own / FIGURES, tables[name])])

        written = self._write(write, results)
        print_written([*written.paths, end_results(results, whole, written.paths)])
        if written.problem is not None:
            raise written.problem

    def _write(self, write: Callable[[str, LoadedField], Written], folder: Path) -> Written:
        """Writes each field's files and the picture of all, and says what could not be."""
        from winner_ns.export.fields_comparison import write_fields_comparison  # Imports matplotlib, which is slow.

        each = [write(name, fitted) for name, fitted in self.fields.items()]
        paths = [path for written in each for path in written.paths]
        paths.append(folder / "comparison.png")
        write_fields_comparison(paths[-1], self.fields, self.datamanager.need_target().signal)
        problems = [written.problem for written in each if written.problem is not None]
        return Written(paths, problem=next(iter(problems), None))


def _flat(by_field: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    return {f"{name}/{key}": value for name, values in by_field.items() for key, value in values.items()}


@trainer_help
@dataclass
class CompareTrainerConfig(SignalTrainerConfig):
    """A SignalTrainerConfig for several fields."""

    pipeline: ComparePipelineConfig = field(default_factory=ComparePipelineConfig)
    """Pipeline configuration."""
    optimizers: Dict[str, Any] = field(default_factory=field_optimizers)
    """The optimiser and schedule of all fields; each has a group of its name once the config is settled."""

    def _check_model(self) -> None:
        self.pipeline.model.entries()

    def _plans(self) -> List[FieldPlan]:
        return [entry.plan for entry in self.pipeline.model.entries()]

    def _settle_views(self) -> List[str]:
        raise SignalError(
            self.pipeline.datamanager.data or "--data",
            "posed photographs are not fitted side by side",
            "train `ns-train winner-siren` once for each --pipeline.model.field.family",
        )

    def _settle_model(self, target: Target) -> List[str]:
        data = self.pipeline.datamanager
        entries = self.pipeline.model.entries()
        self.optimizers = {entry.name: self._optimizer_of(entry) for entry in entries}
        described: Dict[str, Dict[str, Any]] = {}
        lines: List[str] = []
        for entry in entries:
            try:
                self._tell_plan(entry.plan, entry.name)
                settled = entry.plan.settle(target, data.batch_size)
            except SignalError as error:
                raise SignalError(f"{FLAG} {entry.text}", error.named_problem, error.advice) from error
            described[entry.name] = settled.description.as_dict()
            settle_optimizer(self.optimizers[entry.name], settled, self.max_num_iterations)
            signal, *told = settled.lines()
            lines += [signal] if not lines else []
            lines += [entry.name, *(f"  {line}" for line in told)]
        common = ("kind", "name", "data", "target", "signal", "holdout", "order")
        first = next(iter(described.values()))
        data.description = {**{key: first[key] for key in common}, "fields": described}
        return [*lines, *(f"note      {warning}" for warning in target.warnings)]

    def _optimizer_of(self, entry: FieldEntry) -> Dict[str, Any]:
        """The field's own group, of a config that was settled before; else a copy of what is given for all fields."""
        if entry.name in self.optimizers and entry.name != "field":
            return self.optimizers[entry.name]
        group = deepcopy(self.optimizers.get("field", field_optimizers()["field"]))
        if entry.plan.learning_rate is not None:
            group["optimizer"].lr = entry.plan.learning_rate
        if entry.plan.weight_decay is not None:
            group["optimizer"].weight_decay = entry.plan.weight_decay
        if entry.plan.beta2 is not None:
            group["optimizer"].betas = (group["optimizer"].betas or (BETA1, BETA2))[0], entry.plan.beta2
        return group

    def descriptions(self) -> Dict[str, Dict[str, Any]]:
        return self.pipeline.datamanager.description["fields"]

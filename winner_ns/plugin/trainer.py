"""nerfstudio's trainer for signals: settings that follow from the data, one-line errors, a resume that goes on."""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple, Type

import torch
import tyro
import yaml
from nerfstudio.configs.base_config import LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.engine.optimizers import AdamOptimizerConfig, Optimizers
from nerfstudio.engine.schedulers import Scheduler, SchedulerConfig
from nerfstudio.engine.trainer import Trainer, TrainerConfig
from nerfstudio.utils import comms, writer
from nerfstudio.utils.rich_utils import CONSOLE
from torch.optim import Optimizer, lr_scheduler

from winner_ns.errors import SignalError, one_line_errors, setting_error, settings_called
from winner_ns.fields.denormals import flushed_denormals
from winner_ns.fields.description import Description
from winner_ns.fitting.adam import BETA1, BETA2
from winner_ns.fitting.checked_numbers import real_number
from winner_ns.fitting.checkpoints import (
    BEFORE,
    CHECKPOINTS,
    SaveClock,
    checkpoint_name,
    last_checkpoint,
    read_checkpoint,
    step_of,
    write_checkpoint,
)
from winner_ns.fitting.fit import best_device
from winner_ns.fitting.plan import MOST_BETA, FieldPlan, NetworkPlan, SettledNetwork, SettledPlan, with_withheld
from winner_ns.fitting.processes import Processes, ProcessLost, cores, current
from winner_ns.fitting.results_folder import results_complete
from winner_ns.fitting.run import find_checkpoint, read_adam, read_descriptions
from winner_ns.fitting.shape_target import LEAST_SAMPLES
from winner_ns.fitting.target import Target
from winner_ns.fitting.training import rate_factor
from winner_ns.fitting.training_progress import TrainingProgress, shown_progress
from winner_ns.glue.finish import print_finished
from winner_ns.glue.help import shown_in_help
from winner_ns.glue.nerfstudio_defects import (
    console_quiet,
    launch_processes_by,
    opened_config,
    quiet_event_writers,
)
from winner_ns.glue.processes import train_in_processes
from winner_ns.interruption import INTERRUPTION, Ended
from winner_ns.kinds import VIEWS, TrainingDefaults
from winner_ns.plugin.datamanager import datamanager_flag
from winner_ns.plugin.photographs import absolute, describe_radiance, describe_surface, settle_dataparser
from winner_ns.plugin.pipeline import SignalPipelineConfig
from winner_ns.plugin.progress_writer import SignalLoggingConfig, SignalViewerConfig
from winner_ns.plugin.resume_command import resume_command
from winner_ns.progress import silence_libraries
from winner_ns.rays.dataparser import SceneDataParserConfig
from winner_ns.rays.neus_model import SURFACE_TRAINING, WinnerNeuSModelConfig
from winner_ns.rays.radiance_field import COLOR_RATE
from winner_ns.rays.scene_description import report_lines as scene_lines
from winner_ns.rays.view_figures import need_lpips_weights
from winner_ns.safe_text import file_name, terminal
from winner_ns.signals import ReadOptions
from winner_ns.signals.shape import NearSurface, near_surface_of_run
from winner_ns.writing import disk_errors, replacing, unwritable

_FIRST_FLAGS = "give the flags and the data of the first run"


@dataclass
class FieldOptimizerConfig(AdamOptimizerConfig):
    """Adam; with a decay of the weights AdamW."""

    lr: Optional[float] = None  # type: ignore[assignment]
    """Learning rate at the start; None: by kind, family and initial band."""
    betas: Optional[Tuple[float, float]] = None
    """Decay of the averages of the gradients and of their squares, in [0, 1); None: 0.9, and the kind's."""
    weight_decay: Optional[float] = None  # type: ignore[assignment]
    """Part of the weights that goes with each step, over the learning rate; None: 0, or the kind's where the purpose is
    denoise."""

    def setup(self, params: Any) -> Optimizer:
        """The optimiser of some parameters."""
        made_of = torch.optim.AdamW if self.weight_decay else self._target
        assert self.lr is not None and self.betas is not None
        return made_of(params, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay or 0)


@dataclass
class FieldSchedulerConfig(SchedulerConfig):
    """How the learning rate falls over the run."""

    _target: Type = field(default_factory=lambda: FieldScheduler)
    """The scheduler's class."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """cosine: to zero at the end of the run; step: times `decay` every `decay_steps` steps; constant."""
    decay: float = 0.99
    """Factor of the schedule step."""
    decay_steps: int = 20
    """Steps between two factors of the schedule step."""
    max_steps: Optional[int] = None
    """Steps over which the cosine falls; None: the run's."""


class FieldScheduler(Scheduler):
    """Learning-rate factors as a function of the step alone."""

    config: FieldSchedulerConfig

    def get_scheduler(self, optimizer: Optimizer, lr_init: float) -> lr_scheduler.LRScheduler:
        config = self.config

        def factor(step: int) -> float:
            return rate_factor(config.schedule, step, config.max_steps or 1, config.decay, config.decay_steps)

        return lr_scheduler.LambdaLR(optimizer, lr_lambda=factor)


def field_optimizers() -> Dict[str, Any]:
    """The optimiser of a field's parameter group, "field"."""
    return {"field": {"optimizer": FieldOptimizerConfig(), "scheduler": FieldSchedulerConfig()}}


def all_optimizers() -> Dict[str, Any]:
    """The optimisers of all parameter groups: "field"; of photographs also "color", what colours are made with, and
    where their poses are corrected, "camera_opt" (nerfacto's)."""
    return {
        **field_optimizers(),
        "color": {"optimizer": AdamOptimizerConfig(lr=COLOR_RATE), "scheduler": FieldSchedulerConfig()},
        "camera_opt": {
            "optimizer": AdamOptimizerConfig(lr=1e-3, eps=1e-15),
            "scheduler": FieldSchedulerConfig(),
        },
    }


trainer_help = shown_in_help(
    first=(
        "data",
        "max_num_iterations",
        "vis",
        "output_dir",
        "experiment_name",
        "timestamp",
        "load_dir",
        "load_step",
        "load_checkpoint",
        "pipeline",
        "optimizers",
    ),
    last=("machine", "logging", "viewer"),
    hidden=(
        "method_name",
        "prompt",
        "relative_model_dir",
        "load_scheduler",
        "steps_per_eval_all_images",
        "mixed_precision",
        "use_grad_scaler",
        "gradient_accumulation_steps",
    ),
    texts={
        "data": "What is fitted: the file of an image, a sound, a shape, a volume or a video, or the folder of posed "
        "photographs.",
        "vis": "Where the training can be watched: in the viewer, or in the records of tensorboard, wandb or comet.",
        "output_dir": "Folder of all runs; each has its own, OUTPUT_DIR/EXPERIMENT_NAME/METHOD/TIMESTAMP.",
        "experiment_name": "The run's name; None: that of the data.",
        "project_name": "The project's name, for wandb and comet.",
        "timestamp": "The name of the run's folder; left out, the time.",
        "load_dir": "Goes on with the run of these checkpoints (RUN/nerfstudio_models).",
        "load_step": "Goes on from the checkpoint of this step in --load-dir; None: the last.",
        "load_checkpoint": "Goes on from this checkpoint.",
        "load_config": "Trains what a run's config.yml says, whose code is executed: for runs that you trust.",
        "steps_per_save": "Steps between two checkpoints; one is also written every minute.",
        "save_only_latest_checkpoint": "Whether earlier checkpoints are removed, but for the one before the last.",
        "steps_per_eval_batch": "Steps between two losses of withheld samples in the records.",
        "steps_per_eval_image": "Steps between two evaluations of the whole signal, with pictures, in the records.",
        "log_gradients": "Whether the lengths of the gradients are recorded.",
        "start_paused": "Whether training waits until it is started in the viewer.",
    },
)
"""Arranges the help of a method."""


@trainer_help
@dataclass
class SignalTrainerConfig(TrainerConfig):
    """A TrainerConfig whose open settings are filled in from the data before anything is written."""

    _target: Type = field(default_factory=lambda: SignalTrainer)
    """The trainer's class."""
    max_num_iterations: Optional[int] = None  # type: ignore[assignment]
    """Steps of the whole run, those before a resume included; None: the kind's default."""
    pipeline: SignalPipelineConfig = field(default_factory=SignalPipelineConfig)
    """What is fitted, by which field, and what is left of it."""
    optimizers: Dict[str, Any] = field(default_factory=all_optimizers)
    """The optimiser and its schedule: of the field, and, of posed photographs, of color and camera_opt."""
    machine: MachineConfig = field(default_factory=lambda: MachineConfig(device_type=best_device()))
    """On what it is trained, and from which seed; the device is CUDA if present, else MPS, else CPU."""
    logging: LoggingConfig = field(default_factory=SignalLoggingConfig)
    """What is recorded and shown while it trains."""
    viewer: ViewerConfig = field(default_factory=SignalViewerConfig)
    """Where the viewer is, and what it sends."""

    run_folder: tyro.conf.Suppress[Optional[Path]] = None
    """Where the run is that was opened, or that `winner-ns fit` made; None: where its names lead."""
    _finishes = False  # Not a setting: whether the results of another program's run are written into its folder.

    def __setstate__(self, state: Dict[str, Any]) -> None:
        """Takes what a config.yml holds; what that leaves open, because it is of an earlier version or `winner-ns fit`
        wrote it, has its default or follows from the run's description."""
        self.__dict__.update(type(self)().__dict__)
        state = dict(state)
        if "fit" in state:
            self._take_fit(json.loads(state.pop("fit")))
        self.__dict__.update(state)
        opened = opened_config()
        if opened is not None:
            self.run_folder = opened.absolute().parent

    def _take_fit(self, known: Dict[str, Any]) -> None:
        """Takes what `winner-ns fit` has written (`RunFolder`)."""
        described = Description.from_dict(known["description"])
        data, model = self.pipeline.datamanager, self.pipeline.model
        self.run_folder, self.experiment_name = Path(known["run_folder"]), known["experiment_name"]
        self.max_num_iterations = known["steps"]
        data.data = Path(described.data) if described.data else None
        data.kind, data.holdout, data.description = described.kind, described.holdout, described.as_dict()
        data.read = ReadOptions(**described.signal.get("read_options", {}))
        data.shape_loss = described.target.get("loss", data.shape_loss)
        data.between = described.between
        data.denoiser = described.target.get("denoiser", "none")
        if described.order is not None:
            data.batch_size, data.seed = described.order.batch_size, described.order.seed
            self.machine.seed = data.seed
        model.field = NetworkPlan(described.network.family, options=dict(described.network.settings))
        optimizer = self.optimizers["field"]
        optimizer["optimizer"].lr = known["learning_rate"]
        # A run of before there was a choice has Adam's own.
        optimizer["optimizer"].betas = BETA1, known.get("beta2", BETA2)
        optimizer["optimizer"].weight_decay = known.get("weight_decay", 0.0)
        optimizer["scheduler"].schedule, optimizer["scheduler"].max_steps = known["schedule"], known["steps"]

    def get_base_dir(self) -> Path:
        """The run's folder."""
        return super().get_base_dir() if self.run_folder is None else self.run_folder

    def get_checkpoint_dir(self) -> Path:
        """Where nerfstudio's commands find the run's last checkpoint, which they load unseen: where that is damaged,
        the one before.

        A run whose checkpoints are all damaged ends the program.
        """
        last = last_checkpoint(self.get_base_dir())
        if last is None:
            return super().get_checkpoint_dir()
        with one_line_errors():
            read_checkpoint(last)
        if last.name == checkpoint_name(step_of(last)):
            self.load_step = step_of(last)
        return last.parent

    def set_timestamp(self) -> None:
        """Settles what follows from the data: the first thing that ns-train asks of a config.

        Here bad input ends the program before a folder is made; from here on signals end the training at a whole step.
        """
        silence_libraries()
        into_its_own = self.load_dir is not None and self.timestamp != "{timestamp}"
        # What is trained by the config of another run is a run of its own.
        self.run_folder = None
        INTERRUPTION.heed()
        launch_processes_by(train_in_processes)
        try:
            with one_line_errors():
                self.settle()
            super().set_timestamp()
            if not into_its_own and not self._finishes:
                with one_line_errors():
                    self._take_new_folder()
        except BaseException:
            INTERRUPTION.leave()
            raise

    def _take_new_folder(self) -> None:
        """Makes the run's folder, by a name that no other run has: two that begin in one second get one each.

        Raises:
            SignalError: it cannot be made.
        """
        base, number = self.timestamp, 1
        while True:
            folder = self.get_base_dir()
            try:
                folder.mkdir(parents=True)
                return
            except FileExistsError as error:
                if not folder.parent.is_dir():
                    raise unwritable(folder, error) from error
                number += 1
                self.timestamp = f"{base}-{number}"
            except OSError as error:
                raise unwritable(folder, error) from error

    def settle(self) -> None:
        """Reads the signal and fills in every setting that was left to it.

        Raises:
            SignalError: the data or a flag cannot be used.
        """
        if self.data is not None:
            self.pipeline.datamanager.data = self.data
        data = self.pipeline.datamanager
        if not _device_present(self.machine.device_type):
            self.machine.device_type = best_device()
        self._check_numbers()
        self._check_model()
        data.seed = self.machine.seed
        if data.data is None and isinstance(data.dataparser, SceneDataParserConfig):
            # `ns-train METHOD scene-data --data SCENE`
            data.data = data.dataparser.data if data.dataparser.data.name else None
        if data.data is not None:
            data.data = absolute(data.data)
            # The name that it was given by leads there from this folder alone.
            self.data = None if self.data is None else data.data
        views = data.is_posed_views
        self._lines = self._settle_views() if views else self._settle_signal()
        groups = [group for name, group in self.optimizers.items() if name not in ("color", "camera_opt")]
        rates = " / ".join(f"{group['optimizer'].lr:g}" for group in groups)
        what = f"{data.batch_size or 'all'} {'rays' if views else 'samples'}"
        processes = self.machine.num_devices * self.machine.num_machines
        where = f"{self.machine.device_type}{f' in {processes} processes' if processes > 1 else ''}"
        self._lines.append(f"training  {self.max_num_iterations} steps of {what}, Adam at {rates}, on {where}")
        self._settle_resume()

    def _settle_signal(self) -> List[str]:
        data = self.pipeline.datamanager
        data.near_surface = self._begun_near_surface()
        target = data.load()
        with settings_called(model_flag):
            withheld = with_withheld(target, self._plans()).options.holdout
        if withheld != data.holdout:
            data.holdout = withheld
            target = data.load()
        self._settle_counts(target.row.training)
        self._check_parts(min(data.batch_size or target.train_size, target.train_size))
        if self.experiment_name is None:
            self.experiment_name = file_name(target.signal.path.stem)
        return self._settle_model(target)

    def _check_parts(self, samples: int) -> None:
        """Raises SignalError for a step of too few samples to be shared by all processes."""
        with settings_called(datamanager_flag):
            Processes(size=self.machine.num_devices * self.machine.num_machines).check_batch(samples)

    def _plans(self) -> List[FieldPlan]:
        """What was chosen of each field that is trained."""
        return [self.pipeline.model]

    def _settle_counts(self, defaults: TrainingDefaults) -> None:
        """Fills in how much is trained."""
        data = self.pipeline.datamanager
        if data.batch_size is None:
            data.batch_size = defaults.batch_size
        if self.max_num_iterations is None:
            self.max_num_iterations = defaults.steps

    def _settle_views(self) -> List[str]:
        """Fills in what posed photographs are trained with; returns what a user is told of it."""
        data, model = self.pipeline.datamanager, self.pipeline.model
        surface = isinstance(model, WinnerNeuSModelConfig)
        notes = settle_dataparser(data)
        if model.lpips if surface else model.views.lpips:
            need_lpips_weights()
        rays = data.train_num_rays_per_batch
        if None not in (data.batch_size, rays) and data.batch_size != rays:
            raise SignalError(
                "--pipeline.datamanager.batch-size",
                f"is {data.batch_size}, and train-num-rays-per-batch {rays}",
                "give one of them",
            )
        data.batch_size = rays if data.batch_size is None else data.batch_size
        _check_least("--pipeline.datamanager.batch-size", data.batch_size, 1)
        if surface:
            sampling, prefix, counts = model, "", ("num_samples", "num_samples_importance", "num_up_sample_steps")
        else:
            sampling, prefix, counts = model.views, "views.", ("num_samples", "grid_resolution")
        for name in counts:
            _check_least(f"--pipeline.model.{prefix}{name.replace('_', '-')}", getattr(sampling, name), 1)
        self._settle_counts(SURFACE_TRAINING if surface else VIEWS.training)
        self._check_parts(data.batch_size)
        data.train_num_rays_per_batch = data.batch_size
        if self.experiment_name is None:
            self.experiment_name = file_name(data.data.name)
        with settings_called(model_flag):
            self._tell_plan(model, "field")
            description, settled = (describe_surface if surface else describe_radiance)(model, data)
        data.description = description.as_dict()
        settle_optimizer(self.optimizers["field"], settled, self.max_num_iterations)
        for name in ("color", "camera_opt"):
            if self.optimizers[name]["scheduler"].max_steps is None:
                self.optimizers[name]["scheduler"].max_steps = self.max_num_iterations
        return scene_lines(description, settled, notes)

    def _settle_model(self, target: Target) -> List[str]:
        """Fills in what is trained and how; returns what a user is told of it."""
        data, model = self.pipeline.datamanager, self.pipeline.model
        with settings_called(model_flag):
            self._tell_plan(model, "field")
            settled = model.settle(target, data.batch_size)
        data.description = settled.description.as_dict()
        settle_optimizer(self.optimizers["field"], settled, self.max_num_iterations)
        return [*settled.lines(), *(f"note      {warning}" for warning in target.warnings)]

    def _tell_plan(self, plan: FieldPlan, group: str) -> None:
        """Hands a field's plan what was chosen of its optimiser; betas and a decay that were left open are those that
        the run to go on with was begun with.

        Raises:
            SignalError: numbers that cannot be, or others than that run's, whose optimiser keeps its own.
        """
        optimizer = self.optimizers[group]["optimizer"]
        begun, decay = self._begun_with().get(group, (None, None))
        if optimizer.betas is None:
            optimizer.betas = begun
        if optimizer.weight_decay is None:
            optimizer.weight_decay = decay
        plan.learning_rate, plan.weight_decay = optimizer.lr, optimizer.weight_decay
        plan.check()
        if decay is not None and optimizer.weight_decay != decay:
            problem = f"is {optimizer.weight_decay:g}, and the run was begun with {decay:g}"
            raise setting_error("weight_decay", problem, "leave it out")
        if optimizer.betas is None:
            return
        beta1, plan.beta2 = optimizer.betas
        beta1 = real_number("beta1", beta1, most=MOST_BETA, positive=False)
        plan.check()
        optimizer.betas = beta1, plan.beta2
        if begun is not None and optimizer.betas != begun:
            asked, held = (" ".join(f"{beta:g}" for beta in betas) for betas in (optimizer.betas, begun))
            raise setting_error("beta2", f"is {asked}, and the run was begun with {held}", "leave it out")

    def _begun_with(self) -> Dict[str, Tuple[Tuple[float, float], float]]:
        """Each group's betas and decay of the weights in the checkpoint to go on from; nothing where there is none that
        can be read."""
        checkpoint = self._begun_checkpoint()
        return {} if checkpoint is None else read_adam(checkpoint)

    def _begun_near_surface(self) -> Optional[NearSurface]:
        """How the training points were spread in the run to go on with; None: as today, or there is no such run."""
        checkpoint = self._begun_checkpoint()
        try:
            described = {} if checkpoint is None else read_descriptions(checkpoint)[0]
        except SignalError:
            return None  # `_settle_resume` says why.
        spreads = [near_surface_of_run(each["signal"], each["target"]) for each in described.values()]
        return spreads[0] if spreads else None

    def _begun_checkpoint(self) -> Optional[Path]:
        """The checkpoint to go on from, where there is one."""
        source = self.load_checkpoint or self.load_dir
        try:
            step = None if self.load_checkpoint else self.load_step
            return None if source is None else find_checkpoint(source, step)
        except SignalError:
            return None  # `_settle_resume` says why.

    def _settle_resume(self) -> None:
        """Finds the checkpoint to go on from.

        Raises:
            SignalError: there is none, it is of another field or another signal, or nothing is left to do.
        """
        source = self.load_checkpoint or self.load_dir
        if source is None:
            return
        # A whole path, as it is saved with the config.
        checkpoint = find_checkpoint(source, None if self.load_checkpoint else self.load_step).absolute()
        # By its name, as nerfstudio takes any file in a folder for a checkpoint; and its commands would look for
        # load_step in the new run.
        self.load_checkpoint, self.load_dir, self.load_step = checkpoint, None, None
        before, step = read_descriptions(checkpoint)
        now = json.loads(json.dumps(self.descriptions()))
        if set(before) != set(now):
            held, asked = ", ".join(before), ", ".join(now)
            raise SignalError(
                checkpoint, f"the checkpoint's network is {held}, what was asked for is {asked}", _FIRST_FLAGS
            )
        for name, what in product(now, ("network", "signal", "target", "holdout", "order", "surface", "views")):
            if before[name].get(what) != now[name].get(what):
                raise SignalError(
                    checkpoint,
                    f"the checkpoint's {what} is {before[name].get(what)}, what was asked for is {now[name].get(what)}",
                    _FIRST_FLAGS,
                )
        if step is not None and step + 1 >= self.max_num_iterations:
            self._settle_finish(checkpoint, step + 1)

    def _settle_finish(self, checkpoint: Path, steps: int) -> None:
        """Has the results written that a whole training lacks: in its own folder, unless a name is given for another.

        Raises:
            SignalError: nothing is left to do.
        """
        run = checkpoint.parent.parent
        own = checkpoint.parent.name in (CHECKPOINTS, BEFORE) and (run / "config.yml").is_file()
        nothing_lacks = not self.pipeline.write_results or (own and results_complete(run, steps))
        if steps > self.max_num_iterations or nothing_lacks:
            raise SignalError(
                checkpoint,
                f"has been trained for {steps} steps, the whole run of {self.max_num_iterations}",
                "give a larger --max-num-iterations to go on",
            )
        if own and self.timestamp == "{timestamp}":
            self._finishes, self.run_folder = True, run
        self._lines.append(f"results   those of {checkpoint} are written; it is trained to its end")

    def descriptions(self) -> Dict[str, Dict[str, Any]]:
        """The settled description of each field that is trained, by the field's name."""
        description = self.pipeline.datamanager.description
        return {description["network"]["family"]: description}

    def _check_numbers(self) -> None:
        """Raises SignalError for numbers that are out of range."""
        data = self.pipeline.datamanager
        _check_least("--max-num-iterations", self.max_num_iterations, 1)
        _check_least("--machine.seed", self.machine.seed, 0)
        processes, device = self.machine.num_devices, self.machine.device_type
        _check_least("--machine.num-devices", processes, 1)
        # Each process has a GPU of its own; two of them may share a core.
        most = {"cuda": torch.cuda.device_count(), "cpu": 2 * cores()}.get(device, 1)
        if processes > most:
            problem = f"is {processes}, and on {device} there may be {most} processes here"
            raise SignalError("--machine.num-devices", problem, "leave it out, or give fewer")
        if self.machine.num_machines > 1 and self.machine.dist_url == "auto":
            raise SignalError("--machine.dist-url", "auto is for one machine", "give tcp://HOST:PORT of the first one")
        if self.mixed_precision:
            raise SignalError("--mixed-precision", "half precision is too coarse for coordinates", "leave it out")
        _check_least("--pipeline.datamanager.batch-size", data.batch_size, 0)
        _check_least("--pipeline.datamanager.shape-samples", data.shape_samples, LEAST_SAMPLES)

    def _check_model(self) -> None:
        """Raises SignalError for a field's flags that are out of range or would be ignored."""
        with settings_called(model_flag):
            self.pipeline.model.check()

    def print_to_terminal(self) -> None:
        """What matters of the config; all of it is in the run's config.yml."""
        for line in self.__dict__.pop("_lines", []):
            CONSOLE.print(terminal(line), highlight=False, soft_wrap=True, markup=False)

    def save_config(self) -> None:
        """Writes config.yml, whole or not at all (and not the whole config to the terminal), except where a run has its
        own already."""
        self.__dict__.pop("_lines", None)
        if self._finishes:
            return
        path = self.get_base_dir() / "config.yml"
        CONSOLE.print(f"run       {terminal(path.parent)}", markup=False, highlight=False, soft_wrap=True)
        with one_line_errors(), replacing(path) as temporary:
            temporary.write_text(yaml.dump(self), "utf8")


def settle_optimizer(group: Dict[str, Any], settled: "SettledPlan | SettledNetwork", steps: int) -> None:
    """Fills in Adam's numbers and the length of the schedule of a field's parameter group."""
    optimizer, scheduler = group["optimizer"], group["scheduler"]
    if optimizer.lr is None:
        optimizer.lr = settled.learning_rate
    if optimizer.betas is None:
        optimizer.betas = BETA1, settled.beta2
    if optimizer.weight_decay is None:
        optimizer.weight_decay = settled.weight_decay
    if scheduler.max_steps is None:
        scheduler.max_steps = steps


def model_flag(setting: str) -> str:
    """The flag of ns-train that stands for a setting of the field."""
    if setting == "learning_rate":
        return "--optimizers.field.optimizer.lr"
    if setting in ("beta1", "beta2"):
        return "--optimizers.field.optimizer.betas"
    if setting == "weight_decay":
        return "--optimizers.field.optimizer.weight-decay"
    part = "model.field." if setting in NetworkPlan.__dataclass_fields__ else "model."
    return f"--pipeline.{part}{setting.replace('_', '-')}"


def _check_least(flag: str, value: Optional[int], least: int) -> None:
    if value is not None and value < least:
        raise SignalError(flag, f"{value} is too small", f"give at least {least}")


def _device_present(device: str) -> bool:
    return {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}.get(device, lambda: True)()


class SummedOptimizers(Optimizers):
    """Optimisers that move by the gradients of all processes together."""

    def optimizer_scaler_step_some(self, grad_scaler: Any, param_groups: List[str]) -> None:
        current().sum_gradients(parameter for group in param_groups for parameter in self.parameters[group])
        super().optimizer_scaler_step_some(grad_scaler, param_groups)


class SignalTrainer(Trainer):
    """nerfstudio's Trainer with a resume that finishes the run, checkpoints that are whole or absent, one of them for
    each minute, and an end by signals at which nothing is lost."""

    config: SignalTrainerConfig

    def __init__(self, config: SignalTrainerConfig, local_rank: int = 0, world_size: int = 1) -> None:
        with console_quiet():
            super().__init__(config, local_rank, world_size)
        self.checkpoint_dir = self.base_dir / config.relative_model_dir
        self._clock = SaveClock()
        self._started, self._seconds_before = time.monotonic(), 0.0
        self._by_time: Optional[Path] = None
        self._saved: Optional[int] = None
        self._completed = -1
        """The last step that was made."""
        self._loss = torch.zeros(())
        self._shown = ExitStack()
        self._progress = TrainingProgress()

    @property
    def training_seconds(self) -> float:
        """That the run has been trained for, in programs that have ended, too."""
        return self._seconds_before + time.monotonic() - self._started

    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        try:
            quiet_event_writers()
            with one_line_errors(), disk_errors(self.base_dir):
                super().setup(test_mode)
                current().check_alike(self._what_decides())
                current().share(self.pipeline.model)
        except BaseException as error:
            if isinstance(error, Ended):
                self._say_how_to_go_on()
            INTERRUPTION.leave()
            raise
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        self.callbacks = [
            TrainingCallback([before], self._begin_step),
            *self.callbacks,
            TrainingCallback([after], self._end_step),
        ]
        self._clock, self._started = SaveClock(), time.monotonic()

    def _what_decides(self) -> Any:
        """What has to be the same in all processes, which several machines are told by commands of their own."""
        fields = [
            {key: value for key, value in each.items() if key not in ("name", "data")}
            for each in self.config.descriptions().values()
        ]
        groups = [
            [value for part in group.values() if part for key, value in vars(part).items() if key != "_target"]
            for group in self.config.optimizers.values()
        ]
        return fields, groups, self.config.max_num_iterations

    def setup_optimizers(self) -> Optimizers:
        return SummedOptimizers(self.config.optimizers.copy(), self.pipeline.get_param_groups())

    def _load_checkpoint(self) -> None:
        with console_quiet():
            super()._load_checkpoint()
        self._completed = self._start_step - 1
        path = self.config.load_checkpoint
        if path is None:
            return
        CONSOLE.print(f"resumed   {terminal(path)}", markup=False, highlight=False, soft_wrap=True)
        known = read_checkpoint(path)
        self._seconds_before = float(known.get("training_seconds", 0.0))
        if known.get("field_seconds"):
            self.pipeline.field_seconds = known["field_seconds"]  # type: ignore[attr-defined]
        if path == self.checkpoint_dir / checkpoint_name(self._completed):
            self._saved = self._completed

    def train(self) -> None:
        # nerfstudio counts max_num_iterations from the resumed step on; here it is the whole run.
        total = self.config.max_num_iterations
        self.config.max_num_iterations = total - self._start_step
        try:
            with flushed_denormals(), one_line_errors(), disk_errors(self.base_dir):
                try:
                    self._show_progress()
                    super().train()
                except Ended:
                    self._shown.close()
                    INTERRUPTION.acknowledge()
                    if self._completed >= self._start_step:
                        self.save_checkpoint(self._completed)
                    self._say_how_to_go_on()
                    raise
                except ProcessLost as lost:
                    INTERRUPTION.end_undisturbed()
                    if not current().is_first:
                        sys.exit(1)  # The first one says it.
                    self._shown.close()
                    if self._completed >= self._start_step:
                        self.save_checkpoint(self._completed)
                    last = last_checkpoint(self.base_dir)
                    command = last and resume_command(self.config.method_name, last.parent, sys.argv)
                    raise ProcessLost(lost.size, f"go on with: {command}" if last else "start it again") from lost
        finally:
            self._shown.close()
            INTERRUPTION.leave()

    def _show_progress(self) -> None:
        """Shows from now on, in the first of several processes, how the training goes."""
        if comms.is_main_process() and self.config.logging.local_writer.enable:
            figures = self.pipeline.quick_figures  # type: ignore[attr-defined]
            self._progress = self._shown.enter_context(shown_progress(figures, to_errors=False))

    def train_iteration(self, step: int) -> Any:
        made = super().train_iteration(step)
        self._loss = made[0].detach()
        return made

    def eval_iteration(self, step: int) -> None:
        """The first one evaluates; the others wait for its next step."""
        if comms.is_main_process():
            super().eval_iteration(step)

    def _begin_step(self, step: int) -> None:
        INTERRUPTION.hold()

    def _end_step(self, step: int) -> None:
        self._completed = step
        steps = self._start_step + (self.config.max_num_iterations or 0)
        scheduler = next(iter(self.optimizers.schedulers.values()))
        self._progress.update(step + 1, steps, self._loss, scheduler.get_last_lr()[0])
        if comms.is_main_process() and self._clock.is_due:
            started, earlier = time.monotonic(), self._by_time
            self.save_checkpoint(step)
            self._clock.written(started)
            # Where all are kept, it is those of every so many steps.
            if not self.config.save_only_latest_checkpoint and earlier is not None:
                earlier.unlink(missing_ok=True)
            self._by_time = self.checkpoint_dir / checkpoint_name(step)
        INTERRUPTION.let_go()

    def _after_train(self) -> None:
        """As nerfstudio's, but that it says that training is over when its results are there."""
        self._shown.close()
        # nerfstudio takes the step at which it looks whether to stop for one that has been made.
        self.step = self._completed
        self.training_state = "completed"
        self.save_checkpoint(self.step)
        writer.write_out_storage()
        seconds = self.training_seconds
        try:
            for callback in self.callbacks:
                callback.run_callback_at_location(self.step, TrainingCallbackLocation.AFTER_TRAIN)
        finally:
            if comms.is_main_process() and not INTERRUPTION.has_come:
                figures, commands = self.pipeline.result_figures, self.pipeline.next_commands(self.base_dir)  # type: ignore[attr-defined]
                print_finished(self.step + 1, seconds, figures, commands)
        if not self.config.viewer.quit_on_train_completion:
            self._train_complete_viewer()

    def _train_complete_viewer(self) -> None:
        try:
            super()._train_complete_viewer()
        except Ended as end:
            self.shutdown()
            if end.number != signal.SIGINT:
                sys.exit(end.status)

    def save_checkpoint(self, step: int) -> None:
        """Saves all that a run needs to go on after a step, unless it is saved already."""
        if self._by_time is not None and self._by_time.name == checkpoint_name(step):
            self._by_time = None  # Asked for by its number, it stays.
        if not comms.is_main_process() or step == self._saved:
            return
        field_seconds = getattr(self.pipeline, "field_seconds", None)
        content = {
            "step": step,
            "pipeline": getattr(self.pipeline, "module", self.pipeline).state_dict(),
            "optimizers": {name: each.state_dict() for name, each in self.optimizers.optimizers.items()},
            "schedulers": {name: each.state_dict() for name, each in self.optimizers.schedulers.items()},
            "scalers": self.grad_scaler.state_dict(),
            "training_seconds": self.training_seconds,
            **({"field_seconds": field_seconds} if field_seconds else {}),
        }
        with INTERRUPTION.held():
            write_checkpoint(self.checkpoint_dir, step, content, self.config.save_only_latest_checkpoint)
            self._saved = step

    def _say_how_to_go_on(self) -> None:
        """What a user is told who has ended the program by a signal."""
        last = last_checkpoint(self.base_dir) or self.config.load_checkpoint
        complete = self._completed + 1 >= self._start_step + (self.config.max_num_iterations or 0)
        if last is None:
            print("interrupted before the first step; nothing is kept", file=sys.stderr)
            return
        command = resume_command(self.config.method_name, last.parent, sys.argv)
        what = "before all results were written; write them with"
        if not complete:
            what = f"after step {step_of(last) + 1}; go on with"
        print(f"interrupted {what}: {command}", file=sys.stderr)

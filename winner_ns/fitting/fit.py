"""`winner_ns.fit`: from a signal to a fitted field in one call, without nerfstudio."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Literal, Mapping, Optional, Tuple, Union

import torch
from torch import Tensor

from winner_ns.errors import SignalError, setting_error
from winner_ns.fields.denormals import flushed_denormals
from winner_ns.fields.description import Description
from winner_ns.fields.field import Field
from winner_ns.fields.files import LoadedField, save_field
from winner_ns.fitting.checked_numbers import real_number, shown, text, whole_number
from winner_ns.fitting.collapse import collapse_line, collapse_watch
from winner_ns.fitting.plan import FieldPlan, SettledPlan, checked_seed, with_withheld
from winner_ns.fitting.processes import ALONE, Processes, join
from winner_ns.fitting.target import Target, TargetOptions, target_of
from winner_ns.fitting.training import SCHEDULES, Training
from winner_ns.fitting.training_progress import TrainingProgress, shown_progress
from winner_ns.registry import resolve
from winner_ns.safe_text import html
from winner_ns.scenes.folder import is_scene
from winner_ns.signals import ReadOptions, Signal
from winner_ns.writing import replacing_files


@dataclass(frozen=True)
class FitStep:
    """What a callback learns of a training after each step."""

    step: int
    """Steps made so far, from 1 on."""
    steps: int
    """Of the whole run."""
    loss: Tensor
    """Of the step's batch, before the step; on the field's device (float(loss) waits for a GPU)."""
    field: FittedField
    """As it is now; shares its weights with what is trained."""


_GOES_ON, _STOPPED, _INTERRUPTED = range(3)
"""What is agreed on before a step."""
Callback = Callable[[FitStep], Optional[bool]]
"""Called after each step; True ends the training."""


class FittedField(LoadedField):
    """A field with what it was fitted to: call it at coordinates, `grid` it, `save` it, read its `figures`.

    Attributes:
        network: the torch module, coordinates in [-1, 1]^d to what it was trained on.
        description: its kind, name, network, scale, original and noise.
        target: what it was trained on, with the signal.
        steps: training steps that it has seen.
        training_seconds: that they took.
    """

    def __init__(
        self, network: Field, description: Description, target: Target, steps: int = 0, training_seconds: float = 0.0
    ) -> None:
        super().__init__(network, description)
        self.target, self.steps, self.training_seconds = target, steps, training_seconds
        self._figures: Optional[Tuple[int, Dict[str, float]]] = None

    @property
    def original(self) -> Signal:
        """The signal that it was fitted to."""
        return self.target.signal

    @property
    def figures(self) -> Dict[str, float]:
        """Figures of the fit (`evaluate_field`): psnr in dB with the range 2 of values in [-1, 1], ssim, snr, iou, …
        Computed when they are first asked for after a step."""
        if self._figures is None or self._figures[0] != self.steps:
            self._figures = self.steps, self.target.figures(self)
        return self._figures[1]

    def save(self, path: Union[str, os.PathLike], overwrite: bool = True, bits: Optional[int] = None) -> Path:
        """Writes the field to a file, whole or not at all; its suffix says what.

        Args:
            path: .safetensors for the field itself, which `winner_ns.load_field` reads; else what the kind is written
                as: .png, .tiff, … for an image, .wav, .flac, … for a sound, .ply, .obj, … for a shape, .npy for a
                volume, .npy or .mp4 for a video; or .html, a page that shows the field in any browser.
            overwrite: whether a file that is there already is replaced, as `numpy.save` does; what was fitted never is.
            bits: of .safetensors and .html: 16 or 8, that weights are rounded to (`save_field`); None: single precision
                in .safetensors, 16 in .html.

        Raises:
            SignalError: a suffix that the kind is not written as, or the file cannot be written.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        with replacing_files(overwrite, "overwrite=True"):
            if suffix == ".safetensors":
                return save_field(path, self.network, self.description, bits)
            if suffix == ".html":
                resolve("winner_ns.export.web.page:save_page")(self, path, bits)
                return path
            if bits is not None:
                raise setting_error("bits", f"{bits} are not for {suffix or 'this file'}", "leave them out")
            self.description.row.get("save")(self, path)
        return path

    def __repr__(self) -> str:
        made_of = self.description.network
        parameters = sum(p.numel() for p in self.network.parameters())
        return (
            f"<FittedField of {self.description.row.words} {self.description.name!r}: {made_of.family}, "
            f"{parameters:,} parameters, {self.steps} steps>"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: the fitted signal and its figures."""
        notebook = self.description.row.notebook
        shown = self.description.row.get("notebook")(self, self.original) if notebook else ""
        cells = "".join(
            f"<tr><td>{html(name.replace('_', ' '))}</td><td style='text-align:right'>{value:.4g}</td></tr>"
            for name, value in self.figures.items()
        )
        return f"<div>{shown}<table>{cells}</table><small>{html(repr(self))}</small></div>"


def fit(
    data: Any,
    *,
    kind: Optional[str] = None,
    family: str = "winner",
    purpose: Optional[Union[str, float]] = None,
    law: Optional[str] = None,
    s0: Optional[float] = None,
    s1: Optional[float] = None,
    steps: Optional[int] = None,
    batch_size: Optional[int] = None,
    learning_rate: Optional[float] = None,
    beta2: Optional[float] = None,
    weight_decay: Optional[float] = None,
    schedule: Literal["cosine", "step", "constant"] = "cosine",
    width: Optional[int] = None,
    depth: Optional[int] = None,
    omega_0: Optional[float] = None,
    first_omega_0: Optional[float] = None,
    settings: Optional[Mapping[str, Any]] = None,
    seed: int = 42,
    device: Optional[Union[str, torch.device]] = None,
    holdout: Optional[Union[str, float]] = None,
    between: Optional[str] = None,
    denoiser: Optional[str] = None,
    shape_loss: str = "distance",
    read: Optional[Union[ReadOptions, Mapping[str, Any]]] = None,
    start: Optional[Union[LoadedField, Mapping[str, Tensor]]] = None,
    progress: bool = True,
    callback: Optional[Callback] = None,
) -> FittedField:
    """Fits a field to a signal.

    >>> import numpy, winner_ns
    >>> picture = numpy.random.default_rng(0).random((32, 48), numpy.float32)  # or "photo.jpg", a file
    >>> field = winner_ns.fit(picture, steps=20, width=32, progress=False)
    >>> field.grid((64, 96)).shape
    (64, 96, 1)
    >>> sorted(field.figures)
    ['psnr', 'ssim']

    On a CPU with the same number of threads it gives what `ns-train winner-siren` gives, bit for bit.

    Where torchrun has started several processes, or they have a torch.distributed group, all of them have to call it,
    with the same arguments: each evaluates its part of every batch, and all get the field that one process would get
    (docs/many.md). The first one shows progress, and its callback decides.

    Args:
        data: a file's path, an array or tensor, a PIL image, (samples, rate), a trimesh mesh, or a signal
            (`winner_ns.signals.signal_of` has the layouts).
        kind: image, audio, shape, volume, video, or another name of `KINDS`; None: told by the data.
        family: winner (a SIREN adapted to the signal), siren, finer, wire, gauss, relu-pe, rff, hash-grid, or a
            registered one.
        purpose: kappa of the law matching, the initial band over the signal's centroid frequency: interpolate (0.5),
            fit (by the number of weights a sample has), denoise (by what noise leaves of the spectrum; of the steps'
            states the one nearest to 5 % withheld samples is kept) or a number; None: the kind's (0.5, of
            sounds fit).
        law: how the initial noise follows from the spectrum: matching, paper, reference-code, explicit; or others'
            initialisations: fresh, gradient-control, vi3nr, weight-scaling (docs/spectrum.md). None: matching
            for winner, none for the other families, whose own settings "matching" brings to the signal's band.
        s0, s1: noise scales of layers 1 and 2; they mean the law explicit.
        steps: training steps; None: the kind's.
        batch_size: samples a step, 0 being all; None: the kind's.
        learning_rate: Adam's at the start; None: by kind, family and initial band.
        beta2: Adam's decay of the squared gradients' average, from 0 to below 1; None: the kind's.
        weight_decay: part of the weights that goes with each step, over the learning rate; None: 0, or the kind's where
            the purpose is denoise.
        schedule: of the learning rate: cosine (to zero at the end), step, or constant.
        width, depth: neurons of each hidden layer, and their number; None: the kind's.
        omega_0, first_omega_0: frequency factors of sine layers; None: the family's.
        settings: further ones of the family, by name.
        seed: of weights, order and split, from 0 to 2^32 - 1.
        device: "cpu", "cuda", …; None: CUDA if present, else MPS, else CPU.
        holdout: withholds samples from training, to be judged by them: "every-second" or a fraction such as 0.1.
        between: trains on estimates between the samples, too: kriging, or none; at the samples that are withheld, or
            halfway between neighbours where none is. None: kriging by the law matching with the purpose interpolate or
            with none, else none.
        denoiser: trains on a classical denoiser's output in place of the samples: nl-means (of images), tv, wavelets,
            wiener, or none; None: none.
        shape_loss: what shapes are fitted by: distance, occupancy or eikonal.
        read: which part of a sound is read, and how: start and duration in seconds, sample_rate in hertz, mono; and
            decoded_limit, GiB that a compressed file of any kind may take when it is unpacked (0: no limit).
        start: a field of the same family and sizes, or its weights by name, to begin with in place of fresh weights.
        progress: whether progress is shown.
        callback: called after each step (`FitStep`); returning True ends the training.

    Returns:
        The field in evaluation mode; after Ctrl-C, as it is then.

    Raises:
        SignalError: data or a choice that cannot be used, in one line. (A ValueError.)
    """
    if callback is not None and not callable(callback):
        raise setting_error("callback", f"{shown(callback)} cannot be called", "give a function of one argument")
    plan, options = plan_and_options(
        family=family, law=law, purpose=purpose, s0=s0, s1=s1, learning_rate=learning_rate, beta2=beta2,
        weight_decay=weight_decay, width=width, depth=depth, omega_0=omega_0, first_omega_0=first_omega_0,
        settings=settings, holdout=holdout, between=between, denoiser=denoiser, shape_loss=shape_loss, seed=seed,
    )  # fmt: skip
    processes = join()
    with processes.together():
        settled = settle_fit(data, plan, options, kind, read_options(read), batch_size, steps, schedule, device)
    if callback is None:
        return fit_settled(settled, steps, schedule, device, progress, start=start, processes=processes)[0]

    def tell(training: Training, loss: Tensor, field: FittedField) -> bool:
        return callback(FitStep(training.step, training.steps, loss, field)) is True

    return fit_settled(settled, steps, schedule, device, progress, tell, start=start, processes=processes)[0]


def plan_and_options(
    *,
    settings: Optional[Mapping[str, Any]] = None,
    holdout: Optional[Union[str, float]] = None,
    between: Optional[str] = None,
    denoiser: Optional[str] = None,
    shape_loss: str = TargetOptions.shape_loss,
    seed: int = 42,
    **field: Any,
) -> Tuple[FieldPlan, TargetOptions]:
    """The plan of a field and what of its signal is trained on, from arguments of `fit`.

    Args:
        field: those that `FieldPlan.of` takes.
        settings, holdout, between, denoiser, shape_loss, seed: as for `fit`.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise setting_error("settings", f"{shown(settings)} is no mapping", "give names and values")
    options = TargetOptions(
        holdout="none" if holdout is None else str(holdout),
        between=between,
        denoiser=TargetOptions.denoiser if denoiser is None else denoiser,
        shape_loss=shape_loss,
        seed=seed,
    )
    return FieldPlan.of(**field, options=dict(settings or {})), options


def settle_fit(
    data: Any,
    plan: FieldPlan,
    options: TargetOptions,
    kind: Optional[str] = None,
    read: Optional[ReadOptions] = None,
    batch_size: Optional[int] = None,
    steps: Optional[int] = None,
    schedule: str = "cosine",
    device: Optional[Union[str, torch.device]] = None,
) -> SettledPlan:
    """Decides all that a fit needs, without training; arguments as for `fit`.

    Raises:
        SignalError: data or a choice that cannot be used.
    """
    refuse_scene(data)
    options = check_fit(plan, options, kind, batch_size, steps, schedule, device)
    return plan.settle(with_withheld(target_of(data, kind, options, read), [plan]), batch_size)


def check_fit(
    plan: FieldPlan,
    options: TargetOptions,
    kind: Optional[str] = None,
    batch_size: Optional[int] = None,
    steps: Optional[int] = None,
    schedule: str = "cosine",
    device: Optional[Union[str, torch.device]] = None,
) -> TargetOptions:
    """Looks whether choices can be, as far as that can be told without a signal; arguments as for `settle_fit`.

    Returns:
        The options, with a seed that is a plain number.

    Raises:
        SignalError: a choice that cannot be used.
    """
    plan.check()
    options = replace(options, seed=checked_seed(options.seed))
    if steps is not None:
        whole_number("steps", steps, 1)
    if schedule not in SCHEDULES:
        raise setting_error("schedule", f"{shown(schedule)} is none", f"there are {', '.join(SCHEDULES)}")
    checked_device(device)
    if batch_size is not None:
        whole_number("batch_size", batch_size, 0)
    if kind is not None:
        text("kind", kind, "give a name, or leave it out")
    return options


def fit_settled(
    settled: SettledPlan,
    steps: Optional[int] = None,
    schedule: str = "cosine",
    device: Optional[Union[str, torch.device]] = None,
    progress: bool = True,
    after_step: Optional[Callable[[Training, Tensor, FittedField], bool]] = None,
    state: Optional[Dict[str, Any]] = None,
    ending: Optional[ContextManager[Callable[[], bool]]] = None,
    start: Optional[Union[LoadedField, Mapping[str, Tensor]]] = None,
    processes: Processes = ALONE,
) -> "tuple[FittedField, Training]":
    """Trains a field whose every setting is decided.

    Args:
        settled: the field and its target.
        steps: of the whole run; None: the kind's.
        schedule: as for `fit`.
        device: as for `fit`.
        progress: whether progress is shown.
        after_step: told after each step; True ends the training.
        state: of `Training.state_dict`, to go on from.
        ending: entered while steps are made; gives what is asked before each whether somebody has ended the training.
            None: Ctrl-C does.
        start: as for `fit`.
        processes: those that train it together; the first one's `after_step` and `ending` count.

    Returns:
        The field, and the training with its state.

    Raises:
        SignalError: a number of steps, a schedule or a device that cannot be, or a start of other sizes.
        ProcessLost: another process is gone; what `after_step` was told of last is a whole step.
    """
    target, description = settled.target, settled.description
    steps = target.row.training.steps if steps is None else whole_number("steps", steps, 1)
    assert description.order is not None
    batch_size = description.order.batch_size
    size = min(batch_size or target.train_size, target.train_size)
    processes.check_batch(size)
    network = settled.initial_field().to(checked_device(processes.device(device)))
    if start is not None:
        _begin_with(network, start)
        description = description.with_further(started="given weights")
    loss_name = str(description.target.get("loss", ""))
    training = Training(
        network,
        lambda step: target.batch(step, batch_size, processes.rank, processes.size),
        steps,
        settled.learning_rate,
        schedule,
        loss_name,
        settled.beta2,
        settled.weight_decay,
        settled.best_state(steps),
        processes,
    )
    if state is not None:
        training.load_state_dict(state)
    if processes.size > 1:
        chosen = (steps, schedule, training.step, settled.learning_rate, settled.beta2, settled.weight_decay)
        weights = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        # The same file may have another name elsewhere; how its values are spread hardly another one's.
        plain = {key: value for key, value in description.as_dict().items() if key not in ("name", "data")}
        processes.check_alike((plain, weights, chosen, target.mean_error))
    processes.share(network)
    field = FittedField(network, description, target, training.step, training.seconds)
    target.ends_after(steps)
    watch = collapse_watch(target, steps) if processes.is_first else None
    shown: ContextManager[TrainingProgress] = nullcontext(TrainingProgress())
    if progress and processes.is_first:
        shown = shown_progress(lambda: {"": target.quick_figures(field)})
    started = time.monotonic() - training.seconds
    try:
        with flushed_denormals(), shown as bar, ending or interrupts_noted() as ended:
            network.train()
            end = _GOES_ON
            while training.step < steps:
                end = processes.agreed(_INTERRUPTED if ended() else end)
                if end != _GOES_ON:
                    break
                loss = training.advance()
                field.steps = training.step
                field.training_seconds = training.seconds = time.monotonic() - started
                bar.update(training.step, steps, loss, training.rate)
                for _ in watch.see(training.step - 1, {"mean_squared_error": loss}) if watch else ():
                    bar.say(collapse_line("", description.network.family, training.step))
                if after_step is not None and after_step(training, loss, field):
                    end = _STOPPED
            if end == _STOPPED and training.best is not None:
                training.best.give_back(network)
            training.interrupted = end == _INTERRUPTED
    except KeyboardInterrupt:
        # A callback's own, or a second one, which does not wait for the step's end.
        training.interrupted = True
    finally:
        network.eval().requires_grad_(False)
        target.close()
    return field, training


def _begin_with(network: Field, start: Union[LoadedField, Mapping[str, Tensor]]) -> None:
    """Gives a fresh network the weights of another field.

    Raises:
        SignalError: they are of other sizes, or not finite.
    """
    weights = start.network.state_dict() if isinstance(start, LoadedField) else start
    advice = "give a field of the same family, width, depth, coordinates and channels"
    own = network.state_dict()
    if not isinstance(weights, Mapping) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise setting_error("start", f"{shown(start)} is neither a field nor tensors by name", advice)
    if {name: tuple(w.shape) for name, w in weights.items()} != {name: tuple(w.shape) for name, w in own.items()}:
        raise setting_error("start", "has weights of other names or sizes than the field", advice)
    if not all(bool(torch.isfinite(w).all()) for w in weights.values()):
        raise setting_error("start", "has weights that are not finite", advice)
    network.load_state_dict(dict(weights))


@contextmanager
def interrupts_noted() -> Iterator[Callable[[], bool]]:
    """Notes Ctrl-C instead of raising it wherever the program is, a step half made; a second one is raised. Gives what
    says whether one has come.

    Other threads than the main one are told of none.
    """
    noted: List[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)


def refuse_scene(data: Any) -> None:
    """Raises SignalError for a folder of posed photographs, which nerfstudio's rays are needed for."""
    if isinstance(data, (str, os.PathLike)) and is_scene(Path(data)):
        raise SignalError(
            data, "is a scene in posed photographs", f"train it with `ns-train winner-siren --data {os.fspath(data)}`"
        )


def read_options(read: Optional[Union[ReadOptions, Mapping[str, Any]]]) -> ReadOptions:
    """Options from a mapping by name.

    Raises:
        SignalError: an unknown name.
    """
    known = ", ".join(ReadOptions.__dataclass_fields__)
    if read is None or isinstance(read, ReadOptions):
        options = read or ReadOptions()
    elif isinstance(read, Mapping) and set(read) <= set(ReadOptions.__dataclass_fields__):
        options = ReadOptions(**read)
    else:
        raise setting_error("read", f"{shown(read)} is no choice of a part", f"there are {known}")
    real_number("read", options.start, positive=False)
    real_number("read", options.decoded_limit, positive=False)
    for number in (options.duration, options.duration_samples, options.sample_rate):
        if number is not None:
            real_number("read", number, most=1e12)
    return options


def best_device() -> Literal["cpu", "cuda", "mps"]:
    """CUDA if present, else MPS, else CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def checked_device(device: Optional[Union[str, torch.device]]) -> torch.device:
    """A device that is there; None: the best one.

    Raises:
        SignalError: it is not there.
    """
    try:
        chosen = torch.device(best_device() if device is None else device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        problem = str(error).strip().splitlines()[0][:80]
        raise setting_error(
            "device", f"{shown(device)} is not here ({problem})", "leave it out, or give cpu"
        ) from error
    if chosen.type == "meta":
        raise setting_error("device", "nothing is computed on meta", "leave it out, or give cpu")
    return chosen

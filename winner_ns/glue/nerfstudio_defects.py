"""What nerfstudio 1.1.5 does wrong, worked around: the only place for that, but for its viewers (viewer_defects)."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, Callable, Iterator, List, Optional

from torch import nn


@contextmanager
def attribute_set_to(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Gives an object's attribute another value for the block: nerfstudio reads choices from configs that should be
    arguments."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def console_quiet() -> Iterator[None]:
    """Keeps what nerfstudio says of itself, such as what its processors cannot do, from the terminal."""
    from nerfstudio.utils.rich_utils import CONSOLE

    with attribute_set_to(CONSOLE, "quiet", True):
        yield


@contextmanager
def lpips_left_out() -> Iterator[None]:
    """nerfstudio's models build LPIPS, which downloads weights, whether it is asked for or not: here they do not."""
    from torchmetrics.image import lpip

    with attribute_set_to(lpip, "LearnedPerceptualImagePatchSimilarity", nn.Identity):
        yield


def end_quietly_while_it_starts() -> None:
    """nerfstudio imports for seconds before any of its commands begins, and shows on Ctrl-C what it was importing. An
    `ns-train` of one of our methods ends by it at once, as nothing has been done yet, until the training takes signals
    over. Called by the first module of ours that nerfstudio imports; torch has been imported by then."""
    own = getattr(sys.modules["__main__"], "__spec__", None)
    trains = "nerfstudio.scripts.train" in sys.modules or (own is not None and own.name == "nerfstudio.scripts.train")
    is_ours = any(argument.startswith("winner-") for argument in sys.argv[1:2])
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if trains and is_ours and usual and threading.current_thread() is threading.main_thread():
        # Raised, it would be caught by libraries that try whether they can import another.
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))


def import_without_warnings() -> None:
    """nerfstudio calls two of torch's functions by their old names, of which torch warns at every start. Called by the
    first module of ours that nerfstudio imports, which is before that; `python -W default` brings it back."""
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", r"`torch\.cuda\.amp\.custom_[fb]wd", FutureWarning, r"nerfstudio\.")


def list_without_source_code() -> None:
    """nerfstudio lists the methods that could be installed by asking, 26 times, for the name of the function that makes
    each: by `inspect.stack`, which looks for the source code of every caller. Three seconds of each of its commands."""
    from nerfstudio.configs import external_methods

    external_methods.inspect = SimpleNamespace(stack=_callers)  # pyright: ignore[reportPrivateImportUsage]


def launch_processes_by(launch: Callable[..., None]) -> None:
    """nerfstudio starts several processes where there is CUDA and nowhere else, has each of them draw a batch of its
    own from weights of its own, and waits for half an hour for one that is gone. A training that is about to be started
    by its `ns-train` is started by this function in place of that, which takes the same arguments; one of a single
    process is not."""
    train = sys.modules.get("nerfstudio.scripts.train")
    if train is None:
        return
    theirs = getattr(train.launch, "theirs", train.launch)

    def started(*arguments: Any, **named: Any) -> None:
        alone = named["num_devices_per_machine"] * named["num_machines"] == 1
        (theirs if alone else launch)(*arguments, **named)

    started.theirs = theirs  # type: ignore[attr-defined]
    train.launch = started


def opened_config() -> Optional[Path]:
    """The config.yml that is being opened by one of nerfstudio's commands for finished runs.

    A loaded config is told names alone, which lead to a run from the folder that it was trained in and from no other;
    once it was moved they lead nowhere, and those of a copy to the original.
    """
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "eval_setup" and frame.f_globals.get("__name__") == "nerfstudio.utils.eval_utils":
            opened = frame.f_locals.get("config_path")
            return None if opened is None else Path(opened)
        frame = frame.f_back
    return None


def quiet_event_writers() -> None:
    """tensorboard's threads hand what a disk refuses to the thread that trains, and print a traceback of it, too."""
    from tensorboard.summary.writer import event_file_writer

    thread = event_file_writer._AsyncWriterThread
    run = thread.run
    if getattr(run, "is_quiet", False):
        return

    def run_quietly(self: Any) -> None:
        with suppress(OSError):
            run(self)

    run_quietly.is_quiet = True  # type: ignore[attr-defined]
    thread.run = run_quietly


def _callers() -> List[inspect.FrameInfo]:
    """As `inspect.stack`, without lines of source code."""
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        frames.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
        frame = frame.f_back
    return frames

"""One training in several processes: each evaluates its own part of every batch, and all of them make the same step."""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Callable, Iterable, Iterator, List, Optional, Union

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage] (no public ones)
from torch.nn import Parameter

from winner_ns.errors import SignalError, setting_error

LEAST_OF_EACH = 4
"""Samples of a step that each process has to have: what is trained on between the samples may be a quarter of them."""
PATIENCE = timedelta(minutes=30)
"""That processes of several machines wait for each other."""
PATIENCE_HERE = timedelta(days=365)
"""The same on one machine, where a process that is gone is noticed at once, and a viewer may pause a training."""
SAID_AFTER = 30.0
"""Seconds after which it is said that others are waited for: nobody may have started them."""
SAME = 1e-4
"""Relative difference at most of two numbers that were measured of the same signal."""
LOST = threading.Event()
"""Set where it has been noticed that another process is gone."""
_OWN = "WINNER_NS_PROCESS"
if "RANK" in os.environ:
    # Processes that this one starts inherit what torchrun has told it, and are none of the training's.
    os.environ.setdefault(_OWN, str(os.getpid()))


class ProcessLost(SignalError):
    """Another process of the training has ended: nothing more can be agreed on with it."""

    def __init__(self, size: int, advice: str = "go on from the last checkpoint") -> None:
        self.size = size
        super().__init__("training", f"one of its {size} processes has ended", advice)

    def __reduce__(self) -> tuple:
        return type(self), (self.size, self.advice)


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them. Alone, it has nobody to ask."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one decides, writes and prints."""
        return self.rank == 0

    def mean(self, mean: Tensor, count: int) -> Tensor:
        """The mean over the samples of all processes, differentiable by this one's part of it.

        Args:
            mean: over the samples of this one, a scalar.
            count: of these.

        Raises:
            ProcessLost: another process is gone.
        """
        return mean if self.size == 1 else _WholeMean.apply(mean, count)

    def sum_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Gives each parameter the sum of its gradients in all processes, the same everywhere bit for bit; it has none
        where no process has one.

        Raises:
            ProcessLost: another process is gone.
        """
        if self.size == 1:
            return
        trained = list(parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        known = gradients[0].new_tensor([p.grad is not None for p in trained])
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), known])
        with _noticing_the_lost():
            dist.all_reduce(flat)
        *sums, known = flat.split([*(p.numel() for p in trained), len(trained)])
        for parameter, total, somewhere in zip(trained, sums, known.tolist(), strict=True):
            parameter.grad = total.view_as(parameter).to(parameter.dtype) if somewhere else None

    def agreed(self, number: int) -> int:
        """What the first process says.

        Raises:
            ProcessLost: another process is gone.
        """
        if self.size == 1:
            return number
        said = torch.tensor(number, device=_usual_device())
        with _noticing_the_lost():
            dist.broadcast(said, 0)
        return int(said)

    def share(self, module: nn.Module) -> None:
        """Gives all processes the weights of the first.

        Raises:
            ProcessLost: another process is gone.
        """
        if self.size > 1:
            with _noticing_the_lost():
                for tensor in module.state_dict().values():
                    if isinstance(tensor, Tensor):
                        dist.broadcast(tensor, 0)

    def each(self, value: Any) -> List[Any]:
        """The values of all processes, plain data, by their ranks.

        Raises:
            ProcessLost: another process is gone.
        """
        values = [value] * self.size
        if self.size > 1:
            with _noticing_the_lost():
                dist.all_gather_object(values, value)
        return values

    @contextmanager
    def together(self) -> Iterator[None]:
        """Raises in all processes what is raised in one of them.

        Raises:
            SignalError: that of the first in which there is one.
        """
        problem: Optional[SignalError] = None
        try:
            yield
        except SignalError as error:
            if self.size == 1:
                raise
            problem = error
        for known in self.each(problem):
            if known is not None:
                raise known

    def check_alike(self, what: Any) -> None:
        """Raises SignalError where the processes are about to train different things.

        Args:
            what: all that decides, plain data. Numbers that were measured on machines of other makes may differ in
                their last digits.
        """
        if not all(_alike(other, what) for other in self.each(what)):
            problem = "differ in what they are to fit, or by which settings"
            raise SignalError("the processes of the training", problem, "start all of them with the same arguments")

    def check_batch(self, samples: int) -> None:
        """Raises SignalError where a step has too few samples to be shared."""
        if samples < LEAST_OF_EACH * self.size and self.size > 1:
            problem = f"{samples} samples a step are too few for {self.size} processes"
            raise setting_error("batch_size", problem, f"give {LEAST_OF_EACH * self.size} or more, or fewer processes")

    def device(self, device: Union[str, torch.device, None]) -> Union[str, torch.device, None]:
        """Where this one trains, of what was asked for: a GPU of its own, or the CPU.

        Raises:
            SignalError: devices that only one process can use.
        """
        if self.size == 1:
            return device
        if device is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = str(device).partition(":")[0]
        if kind not in ("cpu", "cuda"):
            raise setting_error("device", f"{kind} is for one process", "give cpu, or train in one process")
        return f"cuda:{int(os.environ.get('LOCAL_RANK', 0))}" if str(device) == "cuda" else device


ALONE = Processes()


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(value, other[name]) for name, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=SAME, abs_tol=SAME**2) or (math.isnan(one) and math.isnan(other))
    return one == other


class _WholeMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mean: Tensor, count: int) -> Tensor:
        # The mean of nothing is no number.
        total = mean.detach().double() * count if count else mean.new_zeros((), dtype=torch.float64)
        part = torch.stack([total, mean.new_tensor(count, dtype=torch.float64)])
        with _noticing_the_lost():
            dist.all_reduce(part)
        ctx.share = (count / part[1]).to(mean.dtype)
        return (part[0] / part[1]).to(mean.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> "tuple[Tensor, None]":
        return grad * ctx.share, None


@contextmanager
def _noticing_the_lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # Of all kinds of connections.
        LOST.set()
        raise ProcessLost(dist.get_world_size()) from error


def _usual_device() -> str:
    """Where numbers go from process to process."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def current() -> Processes:
    """The processes that this one is among; ALONE where there are no others."""
    if not dist.is_available() or not dist.is_initialized():
        return ALONE
    return Processes(dist.get_rank(), dist.get_world_size())


def join() -> Processes:
    """Meets the other processes of this training: those of a process group that is there, or those that torchrun has
    started with this one.

    Raises:
        SignalError: they cannot be reached.
    """
    if current() is not ALONE or not _is_torchruns():
        return current()
    size, rank, here = (int(os.environ[name]) for name in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE"))
    if size > 1:
        begin(rank, size, here, int(os.environ["LOCAL_RANK"]), _torchruns_store(rank, size))
    return current()


def begin(rank: int, size: int, here: int, local_rank: int, store: Store) -> None:
    """Makes this process one of several.

    Args:
        rank, size: which one of how many.
        here, local_rank: the same on this machine.
        store: through which they find each other.

    Raises:
        SignalError: they cannot.
    """
    gpus = torch.cuda.is_available()
    if gpus:
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
    # torchrun says 1 where nobody has chosen.
    if "OMP_NUM_THREADS" not in os.environ or (_is_torchruns() and os.environ["OMP_NUM_THREADS"] == "1"):
        torch.set_num_threads(max(1, cores() // here))
    LOST.clear()
    timeout = PATIENCE_HERE if here == size else PATIENCE
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    try:
        _awaited(
            lambda: dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout),
            f"process {rank + 1} of {size} waits for the others",
        )
    except Exception as error:  # Any type: whoever does not meet the others must not train alone.
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise SignalError("the processes of the training", f"do not find each other ({said})", "start again") from error
    atexit.register(leave)


def _awaited(work: Callable[[], Any], what: str) -> Any:
    """What work gives that may have to wait for other processes: in a thread of its own, as one that waits for them
    hears no signals. After a while it is said what is waited for."""
    done: List[Any] = []
    problems: List[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # Any type: it is raised where it is waited for.
            problems.append(error)

    waiting = threading.Thread(target=run, daemon=True)
    waiting.start()
    silent_until: float = time.monotonic() + SAID_AFTER
    while waiting.is_alive():
        waiting.join(0.1)
        if time.monotonic() > silent_until:
            silent_until = math.inf
            why = ", as RANK and WORLD_SIZE ask for; unset them to train in one process" if _is_torchruns() else ""
            print(f"winner-ns: warning: {what}{why}", file=sys.stderr, flush=True)
    for error in problems:
        raise error
    return done[0]


def meeting_place(host: str, port: int, size: int, is_here: bool) -> TCPStore:
    """The store through which the processes of a training find each other.

    Args:
        host, port: where it is; port 0: at any that is free.
        size: of the group.
        is_here: whether it is this process that has it.

    Raises:
        SignalError: it cannot be there, or not be reached.
    """
    try:
        return _awaited(
            lambda: TCPStore(host, port, size, is_master=is_here, wait_for_workers=False),
            f"this process looks for the first one at {host}:{port}",
        )
    except (RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0]
        advice = "see that the first process is there, and that its port is free and can be reached"
        raise SignalError(f"{host}:{port}", f"the processes cannot meet there ({said})", advice) from error


def leave() -> None:
    """Makes this process none of several any more."""
    # GPUs that are left would wait for the one that is lost.
    if dist.is_initialized() and not (LOST.is_set() and torch.cuda.is_available()):
        dist.destroy_process_group()


def cores() -> int:
    """That this program may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_torchruns() -> bool:
    numbers = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    known = "MASTER_ADDR" in os.environ and all(os.environ.get(name, "").isdecimal() for name in numbers)
    return known and os.environ.get(_OWN) == str(os.getpid())


def _torchruns_store(rank: int, size: int) -> Store:
    """What torchrun's processes find each other through. What those of an attempt before have left there would be
    taken for this one's."""
    agents = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = meeting_place(address, port, size, rank == 0 and not agents)
    return PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


class Notes:
    """What processes of torchrun set down for each other and for those that it starts again in their place; nothing is
    kept elsewhere."""

    def __init__(self) -> None:
        self._store: Optional[Store] = None
        if _is_torchruns() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            size = int(os.environ["WORLD_SIZE"])
            self._store = PrefixStore("winner_ns", meeting_place(address, port, size, False))

    def write(self, name: str, value: str, of_all: bool = True) -> None:
        """Sets down a value under a name; of_all: also for those that are started again."""
        self._try(lambda store: store.set(self._key(name, of_all), value))

    def read(self, name: str, of_all: bool = True, seconds: float = 0.0) -> Optional[str]:
        """The value under a name, waiting for it for a while; None where there is none."""
        key, until = self._key(name, of_all), time.monotonic() + seconds
        while not (known := self._try(lambda store: store.check([key]))) and time.monotonic() < until:
            time.sleep(0.1)
        found = self._try(lambda store: store.get(key)) if known else None
        return None if found is None else found.decode()

    @staticmethod
    def _key(name: str, of_all: bool) -> str:
        return name if of_all else f"{name} {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"

    def _try(self, work: Callable[[Store], Any]) -> Any:
        with suppress(RuntimeError):  # Torchrun itself is gone.
            return None if self._store is None else work(self._store)

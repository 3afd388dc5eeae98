"""What an engine is: it starts workers on a folder, and tells how each ended."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Protocol, Sequence

from winner_ns.errors import SignalError

AGAIN = 3
"""The status of a worker that leaves the rest to a fresh one."""


@dataclass(frozen=True)
class Ending:
    """How a worker ended."""

    status: int
    """0 where nothing was left for it, AGAIN, or else: below 0 by a signal."""
    lost: bool = False
    """Whether it was lost with its machine, which is nothing that it has done."""
    error: Optional[SignalError] = None
    """What it could not read or write."""

    @classmethod
    def of(cls, status: int, said: str) -> Ending:
        """That of a process.

        Args:
            status: its own.
            said: what it has written to its standard output, the parts of an error.
        """
        try:
            return cls(status, error=SignalError(**json.loads(said)) if status == 1 else None)
        except (ValueError, TypeError):
            return cls(status)  # It had nothing to say.


class Worker(Protocol):
    """A process at work, wherever it is."""

    name: str
    """No other one has it; its leases tell it."""
    device: str

    def ending(self) -> Optional[Ending]:
        """None while it is at work."""
        ...


class Engine(ABC):
    """Starts workers.

    Args:
        address: what stood behind its name; "" where nothing did.
    """

    is_here = True
    """Whether its workers have this machine's devices."""

    @abstractmethod
    def devices(self, workers: int = 0, device: Optional[str] = None) -> List[str]:
        """Where each of the workers trains: a GPU each, else a core each.

        Args:
            workers: how many; 0: as many as there are GPUs, or cores; one on a device that is named and not the CPU.
            device: where all of them train; None: see above.

        Raises:
            SignalError: there is no such device.
        """

    @abstractmethod
    def start(self, job: str, folder: Path, device: str, name: str, sources: Sequence[str]) -> Worker:
        """Starts a worker.

        Args:
            job: the module whose `work` it calls.
            folder, device, name: what it is called with.
            sources: files that it has to see.

        Raises:
            OSError: no more processes can be started.
        """

    @abstractmethod
    def end(self, workers: Sequence[Any]) -> None:
        """Ends workers, whatever they are at."""

    def close(self) -> None:  # noqa: B027 - an engine may have nothing to close.
        """Leaves nothing behind."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

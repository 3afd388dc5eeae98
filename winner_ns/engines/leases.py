"""Who is at work on what, said by files, so that processes and machines with one folder share the work."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, List, Optional

from winner_ns.writing import make_folder, unwritable

WORK = "work"
"""In a folder that is worked on: leases, and marks of what is done."""
BEAT = 15.0
"""Seconds between two signs of life."""
EXPIRED = 90.0
"""Seconds without one after which the work is anybody's: of a process of another machine, or of one that was stopped;
of a process of this machine that is gone, none."""
_SEEN = os.name == "posix"
"""Whether a process can be asked for whether it is there. On Windows the signal 0 is Ctrl-C, so that there a lease of
this machine is over when it has expired, like one of another."""


@contextmanager
def leading(lock: Path) -> Iterator[bool]:
    """Whether this program alone decides on what is done in a folder, for the block; the lock ends with the program,
    however that ends.

    Args:
        lock: a file in the folder, which is made.

    Raises:
        SignalError: nothing can be written there.
    """
    from filelock import FileLock, Timeout

    make_folder(lock.parent)
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        yield False
        return
    except OSError as error:
        raise unwritable(lock.parent, error) from error
    try:
        yield True
    finally:
        held.release()


class Leases:
    """Leases of pieces of work that have names, one file each.

    A process that is killed leaves its lease, which expires. What is done under a lease may therefore be done twice in
    the worst case (a process that was asleep for EXPIRED seconds), and has to be the same both times.

    Args:
        folder: of the files; there already.
        worker: the name of who takes leases.
    """

    def __init__(self, folder: Path, worker: str = "") -> None:
        self.folder = folder
        self.owner = {"worker": worker, "host": _machine(), "process": os.getpid(), "begun": _begun(os.getpid())}

    def path(self, piece: str) -> Path:
        """The file of a piece of work."""
        return self.folder / f"{piece}.lease"

    @contextmanager
    def taken(self, piece: str) -> Iterator[bool]:
        """Takes the lease for the block, where nobody else has it; gives whether it was taken."""
        if not self._take(piece):
            yield False
            return
        over = threading.Event()
        beating = threading.Thread(target=self._beat, args=(piece, over), daemon=True)
        beating.start()
        try:
            yield True
        finally:
            over.set()
            if self._owner(self.path(piece)) == self.owner:  # Of who was asleep for long it is another's by now.
                self.path(piece).unlink(missing_ok=True)

    def held_by(self, worker: str) -> Iterator[str]:
        """The pieces of work that a worker has."""
        for path in sorted(self.folder.glob("*.lease")):
            if self._owner(path).get("worker") == worker:
                yield path.stem

    def any_alive(self) -> bool:
        """Whether somebody is at work."""
        return any(not self._is_over(path.stem) for path in self.folder.glob("*.lease"))

    def _take(self, piece: str) -> bool:
        if self._create(piece):
            return True
        if not self._is_over(piece):
            return False
        from filelock import FileLock, Timeout

        # Of two who see that a lease is over, the second would take away the lease of the first.
        with suppress(Timeout), FileLock(self.folder / ".taking", timeout=5):
            # What is not there any more was given back, and may be taken by a third one at any moment.
            if self.path(piece).exists():
                if not self._is_over(piece):
                    return False
                self.path(piece).unlink(missing_ok=True)
            return self._create(piece)
        return False

    def _create(self, piece: str) -> bool:
        part = self._own_file("lease")
        try:
            part.write_text(json.dumps(self.owner), encoding="utf-8")
        except OSError:
            part.unlink(missing_ok=True)
            raise
        try:
            os.link(part, self.path(piece))  # With its content, or not at all.
        except FileExistsError:
            return False
        except OSError:  # A file system without hard links.
            return self._create_plainly(piece)
        finally:
            part.unlink(missing_ok=True)
        return True

    def _create_plainly(self, piece: str) -> bool:
        try:
            with open(self.path(piece), "x", encoding="utf-8") as file:
                json.dump(self.owner, file)
        except FileExistsError:
            return False
        return True

    def _is_over(self, piece: str) -> bool:
        path = self.path(piece)
        owner = self._owner(path)
        if owner.get("host") == self.owner["host"] and _SEEN:
            if _begun(owner.get("process")) != owner.get("begun"):
                return True
            if not _is_stopped(owner.get("process")):
                return False
        try:
            return self._now() - path.stat().st_mtime > EXPIRED
        except OSError:
            return not path.exists()

    def _now(self) -> float:
        """The time by the clock that dates the leases, which on a network is that of no machine at work."""
        clock = self._own_file("clock")
        try:
            clock.touch()
            return clock.stat().st_mtime
        finally:
            clock.unlink(missing_ok=True)

    def _own_file(self, what: str) -> Path:
        """A name that no other thread or process has."""
        return self.folder / f".{what}-{uuid.uuid4().hex}"

    def _owner(self, path: Path) -> dict:
        try:
            owner = json.loads(path.read_text(encoding="utf-8"))
            return owner if isinstance(owner, dict) else {}
        except (OSError, ValueError):
            return {}

    def _beat(self, piece: str, over: threading.Event) -> None:
        while not over.wait(BEAT):
            with suppress(OSError):
                os.utime(self.path(piece))


def _machine() -> str:
    """What tells the processes that this one can see from all others: containers may share a name."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _begun(process: Optional[int]) -> str:
    """What tells a process of this machine from a later one of the same number; "" where it is gone."""
    if not isinstance(process, int):
        return ""
    with suppress(OSError, IndexError):
        fields = _state(process)
        return "" if fields[0] in "ZX" else fields[19]
    if Path("/proc/self/stat").exists() or not _SEEN:
        return ""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "alive"


def _is_stopped(process: Optional[int]) -> bool:
    """Whether somebody has stopped a process of this machine: it may go on tomorrow, or never."""
    with suppress(OSError, IndexError):
        return _state(process)[0] in "Tt"
    return False


def _state(process: Optional[int]) -> List[str]:
    """What Linux says of a process, from its state on."""
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()

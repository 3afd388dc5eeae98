"""Who is at work on what, said by files, so that processes and machines with one folder share the work."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, Optional

BEAT = 15.0
"""Seconds between two signs of life."""
EXPIRED = 90.0
"""Seconds without one after which the work is anybody's; of a process of this machine that is gone, none."""


class Leases:
    """Leases of numbered pieces of work, one file each.

    A process that is killed leaves its lease, which expires. What is done under a lease may therefore be done twice in
    the worst case (a process that was asleep for EXPIRED seconds), and has to be the same both times.

    Args:
        folder: of the files; there already.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.owner = {"host": _machine(), "process": os.getpid(), "begun": _begun(os.getpid())}

    def path(self, index: int) -> Path:
        """The file of a piece of work."""
        return self.folder / f"{index:08d}.lease"

    @contextmanager
    def taken(self, index: int) -> Iterator[bool]:
        """Takes the lease for the block, where nobody else has it; gives whether it was taken."""
        if not self._take(index):
            yield False
            return
        over = threading.Event()
        beating = threading.Thread(target=self._beat, args=(index, over), daemon=True)
        beating.start()
        try:
            yield True
        finally:
            over.set()
            self.path(index).unlink(missing_ok=True)

    def holder(self, index: int) -> Optional[int]:
        """The process of this machine that has a lease; None where nobody has it, or another machine."""
        owner = self._owner(self.path(index))
        return owner.get("process") if owner.get("host") == self.owner["host"] else None

    def held_by(self, process: int) -> Iterator[int]:
        """The pieces of work that a process of this machine has."""
        for path in sorted(self.folder.glob("*.lease")):
            index = int(path.stem)
            if self.holder(index) == process:
                yield index

    def any_alive(self) -> bool:
        """Whether somebody is at work."""
        return any(not self._is_over(int(path.stem)) for path in self.folder.glob("*.lease"))

    def _take(self, index: int) -> bool:
        if self._create(index):
            return True
        if not self._is_over(index):
            return False
        from filelock import FileLock, Timeout

        # Of two who see that a lease is over, the second would take away the lease of the first.
        with suppress(Timeout), FileLock(self.folder / ".taking", timeout=5):
            if self._is_over(index):
                self.path(index).unlink(missing_ok=True)
                return self._create(index)
        return False

    def _create(self, index: int) -> bool:
        part = self.folder / f".{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
        part.write_text(json.dumps(self.owner), encoding="utf-8")
        try:
            os.link(part, self.path(index))  # With its content, or not at all.
        except FileExistsError:
            return False
        except OSError:  # A file system without hard links.
            return self._create_plainly(index)
        finally:
            part.unlink(missing_ok=True)
        return True

    def _create_plainly(self, index: int) -> bool:
        try:
            with open(self.path(index), "x", encoding="utf-8") as file:
                json.dump(self.owner, file)
        except FileExistsError:
            return False
        return True

    def _is_over(self, index: int) -> bool:
        path = self.path(index)
        owner = self._owner(path)
        if owner.get("host") == self.owner["host"]:
            return _begun(owner.get("process")) != owner.get("begun")
        try:
            return time.time() - path.stat().st_mtime > EXPIRED
        except OSError:
            return True

    def _owner(self, path: Path) -> dict:
        try:
            owner = json.loads(path.read_text(encoding="utf-8"))
            return owner if isinstance(owner, dict) else {}
        except (OSError, ValueError):
            return {}

    def _beat(self, index: int, over: threading.Event) -> None:
        while not over.wait(BEAT):
            with suppress(OSError):
                os.utime(self.path(index))


def _machine() -> str:
    """What tells the processes that this one can see from all others: containers may share a name."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _begun(process: Optional[int]) -> str:
    """What tells a process of this machine from a later one of the same number; "" where it is gone."""
    if not isinstance(process, int):
        return ""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "alive"

"""How a program ends that is told to by a signal: the step that is being made is finished, and nothing is half done."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import FrameType
from typing import Any, Callable, Dict, Iterator, Optional

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Ctrl-C; what `kill`, `timeout` and a cluster's scheduler send; what a terminal that is closed sends."""
ECHO = 0.3
"""Seconds within which a further signal is the same one: a terminal that is closed is told by the shell and by the
system, and a scheduler tells each process and its group."""

APART: Dict[str, Any] = {
    "start_new_session": True,
    "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
}
"""What subprocess.Popen is given for a process that Ctrl-C is not for: the program that has started it ends it. Windows
knows the second alone."""
AGAIN = 0.02
"""Seconds after which a signal comes once more that came where nothing can be raised."""


class Ended(SystemExit):
    """The program was told to end: an exit with the status that a shell gives it, 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        self.number, self.status = number, 128 + number
        super().__init__(self.status)


class Interruption:
    """What this program does when it is told to end. The first signal raises `Ended` where the program is, or, while it
    is held, is kept until it is let go; a second one ends the program at once."""

    def __init__(self) -> None:
        self.number: Optional[int] = None
        """Of the first signal that has come."""
        self._since = 0.0
        self._acknowledged = False
        self._held = 0
        self._before: Dict[int, Any] = {}
        self._unraisable: Any = None
        self._process = 0

    @property
    def has_come(self) -> bool:
        """Whether a signal has."""
        return self.number is not None

    def heed(self) -> None:
        """Deals with signals from now on. Threads other than the main one cannot, and leave them as they are."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.number, self._acknowledged, self._held, self._process = None, False, 0, os.getpid()
        if self._before:
            return
        for number in SIGNALS:
            # Whoever has a program started by nohup does not want it to end. A shell script's & lets Ctrl-C be ignored,
            # too, but who sends that to a training by its number means it.
            if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._take_back

    def disregard(self) -> None:
        """Leaves signals to whoever dealt with them before."""
        if self._unraisable is not None:
            sys.unraisablehook, self._unraisable = self._unraisable, None
        while self._before:
            number, handler = self._before.popitem()
            # A handler that was not installed from Python is unknown to it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self.number, self._held = None, 0

    def leave(self) -> None:
        """`disregard`, but of a program that is ending: a signal may come until the interpreter has cleaned up."""
        self._held = 0
        if self.number is None:
            self.disregard()
        atexit.unregister(_end_undisturbed)
        atexit.register(_end_undisturbed)  # As the last one, which is called first.

    def __enter__(self) -> Interruption:
        self.heed()
        return self

    def __exit__(self, *error: object) -> None:
        self.leave()

    def hold(self) -> None:
        """Keeps a signal until `let_go`."""
        if not self._held:
            self._raise_if_come()
        self._held += 1

    def let_go(self) -> None:
        """Ends one `hold`; the last one raises `Ended` if a signal has come since."""
        self._held = max(self._held - 1, 0)
        if not self._held:
            self._raise_if_come()

    def acknowledge(self) -> None:
        """Whoever has caught `Ended` brings the program to its end, undisturbed by the signal that is known to it."""
        self._acknowledged = True

    def end_undisturbed(self) -> None:
        """Whoever brings the program to its end for another reason is not disturbed by a first signal any more."""
        self._acknowledged = True
        self._held += 1

    def _raise_if_come(self) -> None:
        # Also once more: libraries that try to import others catch whatever is raised meanwhile.
        if self.number is not None and not self._acknowledged:
            raise Ended(self.number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps a signal until the block's end, where it raises `Ended`."""
        self.hold()
        try:
            yield
        except BaseException:
            self._held = max(self._held - 1, 0)
            raise
        self.let_go()

    @contextmanager
    def noted(self) -> Iterator[Callable[[], bool]]:
        """`held`, giving what says whether a signal has come: then a loop leaves the block when its turn is whole."""
        with self.held():
            yield lambda: self.has_come

    def _take_back(self, unraisable: Any) -> None:
        """Where a signal comes while an object is cleaned up, Python prints what is raised there and goes on: it comes
        once more then, a moment later."""
        if not isinstance(unraisable.exc_value, Ended):
            self._unraisable(unraisable)
            return
        self.number = None

        def come_again() -> None:
            if not self._before:
                return
            if os.name == "nt":  # Where os.kill ends the program at once.
                signal.raise_signal(unraisable.exc_value.number)
            else:
                os.kill(os.getpid(), unraisable.exc_value.number)

        again = threading.Timer(AGAIN, come_again)
        again.daemon = True
        again.start()

    def _receive(self, number: int, frame: Optional[FrameType]) -> None:
        if os.getpid() != self._process:
            # A process that was forked off has the handler, and nothing that it is for.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif self.number is None:
            self.number, self._since = number, time.monotonic()
            if not self._held:
                raise Ended(number)
        elif time.monotonic() - self._since > ECHO:
            if sys.stderr is not None and sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # A progress bar has hidden the cursor.
            os._exit(128 + number)


INTERRUPTION = Interruption()
"""Of this process, which has one handler of each signal."""


def _end_undisturbed() -> None:
    """A program that has done what it was to do is about to end: Ctrl-C would break off libraries that clean up, with
    all that Python says of that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@atexit.register
def _silence_native_libraries() -> None:
    """A program that a signal ends may leave objects to threads of a viewer; what native libraries say of these, when
    the interpreter goes away, is no matter of who has ended it."""
    if INTERRUPTION.has_come:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

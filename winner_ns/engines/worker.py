"""A process that does what is left to do in a folder:

    python -m winner_ns.engines.worker JOB FOLDER DEVICE [NAME]

It ends at once where the program that started it does, so that one that is killed leaves nothing behind.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

from winner_ns.engines.engine import AGAIN
from winner_ns.engines.leases import WORK
from winner_ns.errors import SignalError
from winner_ns.interruption import SIGNALS
from winner_ns.writing import disk_errors

ERRORS = "errors.log"
"""In a folder that is worked on: what went wrong, in full."""


def noted_error(folder: Path, what: str, error: Exception) -> str:
    """Writes an error that is being dealt with to the folder's log; gives it in one line.

    Args:
        folder: that is worked on.
        what: it happened to.
        error: the exception.
    """
    with suppress(OSError), open(folder / ERRORS, "a", encoding="utf-8") as log:
        log.write(f"{what}\n{traceback.format_exc()}\n")
    return (str(error) or type(error).__name__).splitlines()[0]


def main() -> None:
    job, folder, device, name = [*sys.argv[1:], str(os.getpid())][:4]
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # The program that started this one is told, too, and ends it.

    def listen() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    # What libraries print is none of that program's business.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import torch

    torch.set_num_threads(1)
    again = False
    try:
        with disk_errors(Path(folder)):
            again = importlib.import_module(job).work(Path(folder), device, name)
    except FileNotFoundError:
        if (Path(folder) / WORK).is_dir():
            raise
        # Another program has seen the end of all work, and taken the leases away.
    except SignalError as error:
        parts = {"source": error.source[:2000], "problem": error.problem[:2000], "advice": error.advice}
        print(json.dumps(parts), file=answer, flush=True)
        os._exit(1)
    os._exit(AGAIN if again else 0)


if __name__ == "__main__":
    main()

"""Where work on a folder is done: the one seam between what there is to do and the processes that do it.

A job is a module with `work(folder, device, worker)`, which does what is left to do in a folder and returns whether
another process should go on with it. It takes each piece of work by a lease (`leases`), lands its result as a file, and
is the same whoever does it and whenever. An engine starts workers at a job and tells how each ended; a `Crew` has as
many of them at work as are wanted.
"""

from __future__ import annotations

import importlib
from typing import Dict

from winner_ns.engines.engine import Engine
from winner_ns.errors import setting_error

ENGINES: Dict[str, str] = {
    "local": "winner_ns.engines.local:LocalEngine",
    "ray": "winner_ns.engines.ray:RayEngine",
}
"""By name, which stands before the :// of an address."""
WAYS = "local, ray or ray://HOST:PORT"
"""What can be given."""


def open_engine(on: str) -> Engine:
    """The engine of a name, or of NAME://ADDRESS.

    Raises:
        SignalError: there is none, it is not installed, or it does not answer.
    """
    name, _, address = on.partition("://") if isinstance(on, str) else ("", "", "")
    if name not in ENGINES:
        raise setting_error("on", f"{on!r} is no place to work on", f"give {WAYS}")
    module, _, engine = ENGINES[name].partition(":")
    return getattr(importlib.import_module(module), engine)(address)

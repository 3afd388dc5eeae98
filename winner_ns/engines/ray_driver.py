"""The process that speaks with Ray:

    python -m winner_ns.engines.ray_driver ADDRESS

It reads orders as JSON lines, {"start": …} and {"end": names}, and answers how many cores and GPUs there are, or why
none, and how each worker has ended. It ends, and all its workers, where its input does.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Any, Dict, Mapping, Optional

from winner_ns.engines.local import cores
from winner_ns.engines.ray import serve

STORE = 100 * 2**20
"""Bytes of memory for Ray's objects, of which there are next to none."""


def main() -> None:
    # Ray, and what it starts, print at will.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    orders: "queue.SimpleQueue[Optional[Dict[str, Any]]]" = queue.SimpleQueue()
    beginning = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        if not beginning.is_set():
            os._exit(0)
        orders.put(None)

    def answer(**what: Any) -> None:
        with suppress(OSError):  # Nobody may hear it any more.
            print(json.dumps(what), file=output, flush=True)

    threading.Thread(target=listen, daemon=True).start()
    try:
        resources = _connect(sys.argv[1])
    except Exception as error:  # Any type: Ray raises many.
        answer(refused=_line(error))
        return
    beginning.set()
    answer(cores=resources.get("CPU", 0), gpus=resources.get("GPU", 0))
    _serve(orders, answer)


def _connect(address: str) -> Mapping[str, float]:
    """Connects with a cluster, or starts Ray on this machine; gives what there is to work with."""
    import ray

    quiet: Dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        ray.init(address, **quiet)
        return ray.cluster_resources()
    try:
        ray.init("auto", **quiet)
    except ConnectionError:
        if os.environ.get("RAY_ADDRESS"):
            raise
        ray.init("local", num_cpus=cores(), include_dashboard=False, object_store_memory=STORE, **quiet)
    return ray.cluster_resources()


def _serve(orders: "queue.SimpleQueue[Optional[Dict[str, Any]]]", answer: Any) -> None:
    import ray

    names: Dict[Any, str] = {}
    while True:
        try:
            order = orders.get(timeout=0.2)
            if order is None:
                break
        except queue.Empty:
            order = {}
        if "start" in order:
            asked = {"num_gpus": 1, "num_cpus": 0} if order["start"]["device"] == "cuda" else {"num_cpus": 1}
            # A worker that is lost is started anew by who counts how often.
            task = ray.remote(serve).options(max_retries=0, scheduling_strategy="SPREAD", **asked)
            names[task.remote(order["start"])] = order["start"]["name"]
        for task, name in names.items():
            if name in order.get("end", ()):
                ray.cancel(task, force=True)
        ended, _ = ray.wait(list(names), num_returns=len(names), timeout=0) if names else ([], [])
        for task in ended:
            answer(ended=names.pop(task), **_ending(task))
    for task in names:
        ray.cancel(task, force=True)
    ray.shutdown()


def _ending(task: Any) -> Dict[str, Any]:
    """How a worker ended."""
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, TaskCancelledError, WorkerCrashedError

    try:
        status, said = ray.get(task)
        return {"status": status, "said": said}
    except (NodeDiedError, OutOfMemoryError, TaskCancelledError, WorkerCrashedError):
        return {"lost": True}
    except Exception as error:  # Any type: what a machine lacks, whatever a task raises.
        advice = "install winner_ns on all machines of the cluster, in the version of this one"
        parts = {"source": "ray", "problem": f"a worker could not be started ({_line(error)})", "advice": advice}
        return {"status": 1, "said": json.dumps(parts)}


def _line(error: Exception) -> str:
    """What Ray says at the end of its many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


if __name__ == "__main__":
    main()

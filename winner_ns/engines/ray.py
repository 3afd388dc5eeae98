"""Workers on the machines of a cluster, which Ray (https://docs.ray.io) finds, starts and watches.

Each worker is the process that it would be on one machine, started by a Ray task of one core or one GPU. Ray itself
is kept to a process of ours (`ray_driver`): it prints, takes signals for itself, and may wait or end at will.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from winner_ns.engines.engine import Ending, Engine
from winner_ns.engines.leases import WORK
from winner_ns.engines.local import LocalWorker
from winner_ns.errors import SignalError, setting_error
from winner_ns.interruption import APART
from winner_ns.registry import PLUGINS

REACHED = 5.0
"""Seconds within which an address has to take a connection."""
ANSWERED = 60.0
"""Seconds within which Ray has to be ready, which it may have to be started for."""
ENDED = 15.0
"""Seconds that Ray is given to end workers, and itself."""
SEEN = 5.0
"""Seconds within which a machine has to see a new file: network file systems are not always at once."""
VERSION: str = sys.modules["winner_ns"].__version__
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


@dataclass
class RayWorker:
    """A worker somewhere in the cluster."""

    engine: RayEngine
    name: str
    device: str

    def ending(self) -> Optional[Ending]:
        gone = self.engine.gone.is_set()  # Before it is looked up: what was heard last counts.
        ending = self.engine.endings.get(self.name)
        if ending is None and gone:
            problem = "the connection with the cluster has ended"
            return Ending(1, error=SignalError(self.engine.called, problem, "the same command goes on"))
        return ending


class RayEngine(Engine):
    """A cluster: the running one that Ray finds ($RAY_ADDRESS, or one that `ray start` has made here), else this
    machine; or the one at an address.

    Args:
        address: HOST:PORT of a Ray client server (10001 is usual); "" for what Ray finds.
    """

    is_here = False

    def __init__(self, address: str = "") -> None:
        if importlib.util.find_spec("ray") is None:
            raise SignalError("ray", "is not installed", 'pip install "winner_ns[cluster]"')
        found = os.environ.get("RAY_ADDRESS", "")
        self.called = f"ray://{address}" if address else found if ":" in found else "ray"
        if self.called != "ray":
            _reach(self.called, "on" if address else "RAY_ADDRESS")
        self.endings: Dict[str, Ending] = {}
        self._token: Optional[Path] = None
        self._answers: "queue.SimpleQueue[Dict[str, Any]]" = queue.SimpleQueue()
        self.gone = threading.Event()
        self._driver = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "winner_ns.engines.ray_driver", address and self.called],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, **_QUIET, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            **APART,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            answer = self._answers.get(timeout=ANSWERED)
        except queue.Empty:
            answer = {"refused": f"no answer within {ANSWERED:.0f} s"}
        except BaseException:
            self._driver.kill()
            raise
        if "refused" in answer:
            self._driver.kill()
            self._driver.wait()
            raise _no_cluster(self.called, answer["refused"])
        self.cores, self.gpus = int(answer["cores"]), int(answer["gpus"])

    def devices(self, workers: int = 0, device: Optional[str] = None) -> List[str]:
        if device not in (None, "cpu", "cuda"):
            raise setting_error("device", f"{device!r} is none of a cluster's", "leave it out, or give cpu or cuda")
        if device == "cuda" and not self.gpus:
            raise setting_error("device", "the cluster has no GPU", "leave it out, or give cpu")
        if self.gpus and device != "cpu":
            return ["cuda"] * (workers or self.gpus)
        return ["cpu"] * (workers or self.cores or 1)

    def start(self, job: str, folder: Path, device: str, name: str, sources: Sequence[str]) -> RayWorker:
        folder = folder.absolute()
        if self._token is None:
            # Only who sees this folder itself sees a name that nobody else knows.
            self._token = folder / WORK / f".seen-{uuid.uuid4().hex}"
            self._token.touch()
        self._say(
            start={
                "job": job,
                "folder": str(folder),
                "device": device,
                "name": name,
                "to_be_seen": [str(self._token), *sources],
                "version": VERSION,
                "environment": {PLUGINS: os.environ[PLUGINS]} if PLUGINS in os.environ else {},
            }
        )
        return RayWorker(self, name, device)

    def end(self, workers: Sequence[RayWorker]) -> None:
        names = [worker.name for worker in workers if worker.name not in self.endings]
        if names:
            self._say(end=names)
        latest = time.monotonic() + ENDED
        while not all(name in self.endings for name in names) and time.monotonic() < latest:
            if self.gone.wait(0.05):
                break

    def close(self) -> None:
        if self._token is not None:
            self._token.unlink(missing_ok=True)
        assert self._driver.stdin is not None
        try:
            self._driver.stdin.close()
            self._driver.wait(ENDED)
        except (OSError, subprocess.TimeoutExpired):
            self._driver.kill()
            self._driver.wait()

    def _say(self, **what: Any) -> None:
        assert self._driver.stdin is not None
        try:
            self._driver.stdin.write(json.dumps(what) + "\n")
            self._driver.stdin.flush()
        except OSError:
            self.gone.wait(1.0)

    def _listen(self) -> None:
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            answer = json.loads(line)
            if "ended" not in answer:
                self._answers.put(answer)
            elif answer.get("lost"):
                self.endings[answer["ended"]] = Ending(1, lost=True)
            else:
                self.endings[answer["ended"]] = Ending.of(answer["status"], answer["said"])
        self._answers.put({"refused": "Ray has ended"})
        self.gone.set()


def _no_cluster(called: str, why: str) -> SignalError:
    where = "there is no cluster that answers" if called == "ray" else "no cluster answers there"
    return SignalError(called, f"{where} ({why})", "see `ray status` on its machines, or leave out --on")


def _reach(called: str, setting: str) -> None:
    """Raises SignalError where nothing listens at an address: Ray would try for minutes."""
    try:
        parts = urlsplit(called if "://" in called else f"//{called}")
        host, port = parts.hostname, parts.port
        if not host or port is None:
            raise ValueError("it has no host and port")
    except ValueError as error:
        raise setting_error(setting, f"{called} is no address ({error})", "give ray://HOST:PORT") from error
    try:
        socket.create_connection((host, port), REACHED).close()
    except OSError as error:
        raise _no_cluster(called, error.strerror or str(error)) from error


def serve(order: Dict[str, Any]) -> Tuple[int, str]:
    """What a Ray task does: has a worker on its machine, and gives how it ended and what it said.

    Args:
        order: of `RayEngine.start`.
    """
    problem, advice = "", "give files and folders on storage that all machines of the cluster share"
    unseen = _unseen(order["to_be_seen"])
    if unseen is not None:
        problem = f"the machine {socket.gethostname()} of the cluster does not see it"
        unseen = order["folder"] if unseen == order["to_be_seen"][0] else unseen
    elif VERSION != order["version"]:
        unseen, problem = socket.gethostname(), f"has winner_ns {VERSION}, this is {order['version']}"
        advice = "install the same on all machines"
    if unseen is not None:
        return 1, json.dumps({"source": unseen, "problem": problem, "advice": advice})
    folder = Path(order["folder"])
    worker = LocalWorker(order["job"], folder, order["device"], order["name"], order["environment"])
    try:
        said = worker.said()
        return worker.process.wait(), said
    finally:
        worker.kill()


def _unseen(paths: Sequence[str]) -> Optional[str]:
    """The first of some files that is not there, also after a while."""
    latest = time.monotonic() + SEEN
    for path in paths:
        while not os.path.exists(path):
            if time.monotonic() > latest:
                return path
            time.sleep(0.2)
    return None

"""What a benchmark ran on and with, for its report: no names of hosts or people."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import date
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence

import winner_ns
from winner_ns.errors import counted


def describe_machine(where: Sequence[str]) -> Dict[str, str]:
    """Title -> value: processor, cores, GPU, memory, system, versions, date.

    Args:
        where: the device of each process.
    """
    import torch

    facts = {"processor": _processor(), "cores": str(os.cpu_count()), "memory": _memory()}
    facts["cells at a time"] = at_a_time(where)
    if where and where[0].startswith("cuda"):
        facts["GPU"] = ", ".join(torch.cuda.get_device_name(device) for device in dict.fromkeys(where))
    facts["system"] = f"{platform.system()} {platform.machine()}"
    facts["Python"] = platform.python_version()
    facts |= {name: _version(name) for name in ("torch", "numpy", "nerfstudio")}
    facts["winner_ns"] = winner_ns.__version__
    facts["date"] = date.today().isoformat()
    return {name: value for name, value in facts.items() if value}


def at_a_time(where: Sequence[str]) -> str:
    """How many cells are trained together.

    Args:
        where: the device of each process; that of a cluster's has no number, as there is a GPU for each of them.
    """
    if not where or not where[0].startswith("cuda"):
        return f"{len(where)}, one thread each"
    gpus = len(set(where)) if ":" in where[0] else len(where)
    return f"{len(where)} on {counted(gpus, 'GPU')}"


def machines_of(records: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    """What the cells of a benchmark were trained on and with; facts that differ between them stand side by side."""
    facts: Dict[str, Dict[str, None]] = {}
    for record in records:
        for title, value in record.get("machine", {}).items():
            facts.setdefault(title, {})[value] = None
    return {title: " / ".join(values) for title, values in facts.items()}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # Nothing but hash grids needs nerfstudio.
        return ""


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        return ""

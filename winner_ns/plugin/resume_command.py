"""The command that goes on with a training."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import List, Sequence

_OTHER_START = ("--load-dir", "--load-checkpoint", "--load-step")
_PROGRAMS = ("ns-train", "train")


def resume_command(method: str, checkpoints: Path, called: Sequence[str]) -> str:
    """`ns-train` as it was called, but going on from the last checkpoint in a folder.

    Args:
        method: what is trained.
        checkpoints: the folder.
        called: the program and its arguments (`sys.argv`); those of another program than ns-train are not said again.
    """
    given = list(called[2:]) if called and Path(called[0]).stem in _PROGRAMS else []
    kept: List[str] = []
    value_follows = False
    for argument in given:
        flag, equals, _ = argument.replace("_", "-").partition("=")
        if value_follows:
            value_follows = False
        elif flag in _OTHER_START:
            value_follows = not equals
        else:
            kept.append(argument)
    return shlex.join(["ns-train", method, "--load-dir", str(checkpoints), *kept])

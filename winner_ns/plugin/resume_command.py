"""The command that goes on with a training."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import List, Sequence

_OTHER_START = ("--load-dir", "--load-checkpoint", "--load-step")


def resume_command(checkpoints: Path, arguments: Sequence[str] = ()) -> str:
    """`ns-train` as it was called, but going on from the last checkpoint in a folder.

    Args:
        checkpoints: the folder.
        arguments: with which it was called, its own name first; none: those of this program.
    """
    _, method, *given = arguments or sys.argv or ("", "")
    kept: List[str] = []
    value_follows = False
    for argument in given:
        flag, equals, _ = argument.replace("_", "-").partition("=")
        if value_follows:
            value_follows = False
        elif argument.startswith("--") and flag in _OTHER_START:
            value_follows = not equals
        else:
            kept.append(argument)
    return shlex.join(["ns-train", method, "--load-dir", str(checkpoints), *kept])

"""nerfstudio's list of methods that could be installed, without the three seconds that each of its commands spends on
it."""

from __future__ import annotations

import inspect
import sys
from types import SimpleNamespace
from typing import List

from nerfstudio.configs import external_methods


def callers() -> List[inspect.FrameInfo]:
    """As `inspect.stack`, without lines of source code, for which all modules are searched for each frame."""
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        frames.append(inspect.FrameInfo(frame, code.co_filename, frame.f_lineno, code.co_name, None, None))
        frame = frame.f_back
    return frames


def list_without_source_code() -> None:
    """Each method of the list asks for the name of the function that makes it."""
    external_methods.inspect = SimpleNamespace(stack=callers)  # pyright: ignore[reportPrivateImportUsage]

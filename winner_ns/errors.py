"""The one exception that users are meant to read."""

from __future__ import annotations

import os
from typing import Union


class SignalError(ValueError):
    """Input that cannot be used, said in one line.

    The message names the file (or flag), says what is wrong and what to do. Every command prints it without a
    traceback and exits with status 1.
    """

    def __init__(self, source: Union[str, os.PathLike], problem: str, advice: str) -> None:
        self.source = os.fspath(source)
        self.problem = problem
        self.advice = advice
        super().__init__(" ".join(f"{self.source}: {problem}; {advice}".split()))

    def __reduce__(self) -> tuple:
        return type(self), (self.source, self.problem, self.advice)

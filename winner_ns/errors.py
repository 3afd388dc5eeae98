"""The one exception that users are meant to read."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import Iterator, Union


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


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line on stderr and status 1 where the input cannot be used."""
    try:
        yield
    except SignalError as error:
        sys.exit(f"winner-ns: error: {error}")

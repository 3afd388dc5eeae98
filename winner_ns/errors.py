"""The one exception that users are meant to read."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import Callable, Iterator, Optional, Union

from winner_ns.safe_text import terminal

MOST_LETTERS = 2000
"""Of what is said: what is wrong may be quoted from a file."""


def counted(number: int, noun: str) -> str:
    """A number and what is counted: 1 cell, 2 cells."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class SignalError(ValueError):
    """Input that cannot be used, said in one line.

    The message names the file (or flag), says what is wrong and what to do. Every command prints it without a
    traceback and exits with status 1.

    Args:
        source: what cannot be used: a file, or a setting.
        problem: what is wrong with it.
        advice: what to do.
        setting: the name of the setting that is meant, where it is one that front doors call by names of their own
            (`settings_called`).
    """

    def __init__(
        self, source: Union[str, os.PathLike], problem: str, advice: str, setting: Optional[str] = None
    ) -> None:
        self.source = os.fspath(source)
        self.problem = problem
        self.advice = advice
        self.setting = setting
        said = terminal(" ".join(f"{self.source}: {problem}; {advice}".split()))
        super().__init__(said if len(said) <= MOST_LETTERS else f"{said[:MOST_LETTERS]} …")

    @property
    def named_problem(self) -> str:
        """The problem with the setting that it is about, where another source is named with it."""
        said = self.setting is None or self.setting in self.problem
        return self.problem if said else f"{self.setting}: {self.problem}"

    def __reduce__(self) -> tuple:
        return type(self), (self.source, self.problem, self.advice, self.setting)


def setting_error(setting: str, problem: str, advice: str) -> SignalError:
    """A setting that cannot be used."""
    return SignalError(setting, problem, advice, setting)


@contextmanager
def settings_called(name_of: Callable[[str], str]) -> Iterator[None]:
    """Errors about settings name the flags that a front door has for them."""
    try:
        yield
    except SignalError as error:
        if error.setting is None:
            raise
        raise SignalError(name_of(error.setting), error.problem, error.advice) from error


def flag_of(setting: str) -> str:
    """The flag of winner-ns that stands for a setting."""
    return f"--{setting.replace('_', '-')}"


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line on stderr and status 1 where the input cannot be used."""
    try:
        yield
    except SignalError as error:
        sys.exit(f"winner-ns: error: {error}")

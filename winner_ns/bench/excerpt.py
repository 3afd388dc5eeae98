"""What a benchmark shows of its signals: files that every cell leaves, and the report's tiles that are made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Collection, List, Optional, Sequence, Tuple

from winner_ns.signals import Signal

if TYPE_CHECKING:
    from winner_ns.fields.files import LoadedField
    from winner_ns.fitting.target import Target


@dataclass
class Tile:
    """One column of a comparison."""

    title: str
    figure: str
    best: bool
    pictures: List[Tuple[str, bytes, str]]
    """Caption, content, media type."""
    sound: Optional[Tuple[bytes, str]] = None
    """Content and media type of what can be listened to."""
    gone: bool = False
    """Whether its files were there once."""


class Excerpt(ABC):
    """What is shown of signals of a kind, whose row names the subclass."""

    suffix: ClassVar[str] = "png"
    """Of the files that every cell has: original, fitted and, where there is noise, noisy."""

    @abstractmethod
    def size(self, signal: Signal) -> str:
        """How large a signal is, in words."""

    @abstractmethod
    def write(self, loaded: LoadedField, clean: Target, trained_on: Target, folder: Path, resolution: int) -> None:
        """Writes the files into a cell's folder.

        Args:
            loaded: the fitted field.
            clean: what it is judged by.
            trained_on: another target, where noise was added to it.
            folder: the cell's.
            resolution: grid points along each axis of a mesh, where there is one.
        """

    def is_lost(self, names: Collection[str]) -> bool:
        """Whether files of a finished cell are not among those any more."""
        return not {f"original.{self.suffix}", f"fitted.{self.suffix}"} <= set(names)

    @abstractmethod
    def draw(self, tiles: Sequence[Tile], files: Sequence[Optional[Path]]) -> str:
        """Puts what is to be seen and heard into the tiles; returns what the scales are.

        Args:
            tiles: one for each of the files.
            files: the original first, then what was fitted; None where there is none.
        """

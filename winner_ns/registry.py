"""Tables that others may add to: kinds of signals, families of fields, laws.

An entry comes from this package, from another one by an entry point (`winner_ns.families`, `winner_ns.laws`,
`winner_ns.kinds`), or from a script or notebook that adds it. Commands and worker processes, which no script reaches,
import the modules that the environment variable WINNER_NS_PLUGINS names, separated by commas; these add theirs.
"""

from __future__ import annotations

import importlib
import os
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Dict, Generic, Iterator, Mapping, Optional, Tuple, TypeVar, Union

from winner_ns.errors import SignalError
from winner_ns.safe_text import is_word

PLUGINS = "WINNER_NS_PLUGINS"
_TAKEN = ("auto", "any", "none")
"""What flags say in place of an entry's name."""

Entry = TypeVar("Entry")
_imported: Dict[str, None] = {}


def resolve(reference: str) -> Any:
    """The object that "module:name" stands for."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


class Registry(Mapping[str, Entry], Generic[Entry]):
    """Entries by name; what is given as "module:name" is imported when it is asked for.

    Args:
        what: an entry in a word, for messages.
        group: of the entry points that add to it.
        own: this package's entries, or where they are.
        base: the class whose subclasses the entries are; None: entries are no classes.
    """

    def __init__(
        self, what: str, group: str, own: Mapping[str, Union[Entry, str]], base: Optional[type] = None
    ) -> None:
        self.what, self.group, self.base = what, group, base
        self._entries: Dict[str, Union[Entry, EntryPoint, str]] = dict(own)
        self._packages: Dict[str, str] = {}
        self._searched = False

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            self._search()
        entry = self._entries[name]
        if isinstance(entry, (str, EntryPoint)):
            try:
                entry = resolve(entry) if isinstance(entry, str) else entry.load()
            except Exception as error:  # Any type: it may be somebody else's module.
                if name not in self._packages:
                    raise
                problem = f"its package {self._packages[name]} cannot be imported ({error})"
                raise SignalError(f"{self.what} {name}", problem, "repair or remove that package") from error
            self._entries[name] = entry
        return entry  # type: ignore[return-value]

    def __iter__(self) -> Iterator[str]:
        self._search()
        return iter(self._entries)

    def __len__(self) -> int:
        self._search()
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        if name not in self._entries:
            self._search()
        return name in self._entries

    def add(self, name: str, entry: Union[Entry, str], package: Optional[str] = None) -> None:
        """Adds an entry, or another state of it where its own module is run again, as in a notebook.

        Args:
            name: letters, digits, - and _.
            entry: what it stands for, or "module:name" of it.
            package: what brings it; None: told by the entry.

        Raises:
            ValueError: the name is no word, or another entry has it.
            TypeError: the entry is no subclass of the table's base.
        """
        if self.base is not None and not isinstance(entry, str):
            if not (isinstance(entry, type) and issubclass(entry, self.base)):
                raise TypeError(f"a {self.what} is a subclass of winner_ns.{self.base.__name__}, got {entry!r}")
        if not _may_be_called(name):
            raise ValueError(f"{name!r} is no name for a {self.what}: use letters, digits, - and _")
        if name in self._entries and not self._is_another_state(name, entry):
            raise ValueError(f"there is a {self.what} called {name!r} already")
        if name not in self._entries:
            module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
            self._packages[name] = (package or module).partition(".")[0]
        self._entries[name] = entry

    def _is_another_state(self, name: str, entry: Any) -> bool:
        """Whether an entry is the one that has the name, or what its own module made of it when it was run again."""
        known = self._entries[name]
        return known is entry or (name in self._packages and _where(known) == _where(entry))

    def package_of(self, name: str) -> str:
        """The package or module that brings an entry; "" for our own."""
        return self._packages.get(name, "")

    def _search(self) -> None:
        """Looks once for what other packages and the modules of WINNER_NS_PLUGINS add."""
        if self._searched:
            return
        self._searched = True
        for point in entry_points(group=self.group):
            known = self._entries.get(point.name)
            if known is None and _may_be_called(point.name):
                self._entries[point.name] = point
            elif point.name not in self._packages or _where(known) != _where(point):
                continue
            # Also of what its module has added before: by this name it is installed.
            self._packages[point.name] = point.dist.name if point.dist else point.module
        import_plugins()


def import_plugins() -> None:
    """Imports the modules that WINNER_NS_PLUGINS names, each once.

    Raises:
        SignalError: one of them cannot be imported.
    """
    for module in filter(None, (part.strip() for part in os.environ.get(PLUGINS, "").split(","))):
        if module not in _imported:
            _imported[module] = None
            try:
                importlib.import_module(module)
            except (Exception, SystemExit) as error:  # Any type: it is the user's own module.
                del _imported[module]
                reason = f"{type(error).__name__}: {error}"
                raise SignalError(f"{PLUGINS}={module}", f"cannot be imported ({reason})", "correct it") from error


def _may_be_called(name: str) -> bool:
    return is_word(name) and name not in _TAKEN


def _where(entry: Any) -> Tuple[str, str]:
    """Module and name of what an entry stands for."""
    if isinstance(entry, EntryPoint):
        return entry.module, entry.attr
    if isinstance(entry, str):
        module, _, name = entry.partition(":")
        return module, name
    named = entry if isinstance(entry, type) else type(entry)
    return named.__module__, named.__qualname__

"""Tables that others may add to: kinds of signals, families of fields, laws.

An entry comes from this package, from another one by an entry point (`winner_ns.families`, `winner_ns.laws`,
`winner_ns.kinds`), or from a script or notebook that adds it. Commands and worker processes, which no script reaches,
import the modules that the environment variable WINNER_NS_PLUGINS names, separated by commas; these add theirs.
"""

from __future__ import annotations

import importlib
import os
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Dict, Generic, Iterator, Mapping, TypeVar, Union

from winner_ns.errors import SignalError

PLUGINS = "WINNER_NS_PLUGINS"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

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
    """

    def __init__(self, what: str, group: str, own: Mapping[str, Union[Entry, str]]) -> None:
        self.what, self.group = what, group
        self._entries: Dict[str, Union[Entry, EntryPoint, str]] = dict(own)
        self._packages: Dict[str, str] = {}
        self._searched = False

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            self._search()
        entry: Any = self._entries[name]
        if isinstance(entry, str):
            entry = resolve(entry)
        elif isinstance(entry, EntryPoint):
            try:
                entry = entry.load()
            except Exception as error:  # Any type: it is somebody else's module.
                problem = f"its package {self._packages[name]} cannot be imported ({error})"
                raise SignalError(f"{self.what} {name}", problem, "repair or remove that package") from error
        self._entries[name] = entry
        return entry

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

    def add(self, name: str, entry: Union[Entry, str]) -> None:
        """Adds an entry, or in its own module's second import the same one again.

        Raises:
            ValueError: the name is no word, or another entry has it.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a {self.what}: use letters, digits, - and _")
        if name in self._entries and not _same(self._entries[name], entry):
            raise ValueError(f"there is a {self.what} called {name!r} already")
        self._entries[name] = entry
        module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
        self._packages[name] = module.partition(".")[0]

    def package_of(self, name: str) -> str:
        """The package or module that brings an entry; "" for our own."""
        return self._packages.get(name, "")

    def _search(self) -> None:
        """Looks once for what other packages and the modules of WINNER_NS_PLUGINS add."""
        if self._searched:
            return
        self._searched = True
        for point in entry_points(group=self.group):
            if point.name not in self._entries and _NAME.fullmatch(point.name):
                self._entries[point.name] = point
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
            except Exception as error:  # Any type: it is the user's own module.
                del _imported[module]
                reason = f"{type(error).__name__}: {error}"
                raise SignalError(f"{PLUGINS}={module}", f"cannot be imported ({reason})", "correct it") from error


def _same(old: Any, new: Any) -> bool:
    """Whether two entries are the same, or one and the same definition that was run twice, as in a notebook."""
    if old is new or (not isinstance(old, type) and old == new):
        return True
    where = [(getattr(each, "__module__", None), getattr(each, "__qualname__", None)) for each in (old, new)]
    return where[0] == where[1] and None not in where[0]

"""A store of fields: shards of safetensors and a table, which torch or numpy read without us, too.

store.json        what was asked for
items.jsonl       what there is to fit
index.jsonl       a line a signal: name, label, shard, figures, seconds, description, or error
shards/N.safetensors   tensors named INDEX/WEIGHT, of some hundred fields each
landed/           fields that no shard has yet, a file each
summary.html, summary.json
"""

from __future__ import annotations

import json
import math
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union, overload

import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField, rebuild_field
from winner_ns.safe_text import is_word
from winner_ns.synced import replacing_synced
from winner_ns.writing import make_folder

FORMAT = 1
MARK, ITEMS, INDEX, SHARDS, LANDED = "store.json", "items.jsonl", "index.jsonl", "shards", "landed"
OPEN_SHARDS = 8
"""Shards that are kept open."""
Line = Dict[str, Any]
"""Of the index."""


def read_mark(folder: Path) -> Optional[Dict[str, Any]]:
    """What a store says of itself; None where there is none.

    Raises:
        SignalError: it is no store of this version.
    """
    path = folder / MARK
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
        version = mark["winner_ns_store"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise SignalError(path, f"is no store's ({error})", "give another folder") from error
    if version != FORMAT:
        raise SignalError(folder, f"is a store of version {version!r}, this is {FORMAT}", "update winner_ns")
    return mark


def read_index(folder: Path) -> List[Line]:
    """The lines of a store's table, in the order in which they came.

    Raises:
        SignalError: it is damaged.
    """
    path = folder / INDEX
    if not path.exists():
        return []
    lines: List[Line] = []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SignalError(path, f"cannot be read ({error})", "get a whole copy of the store") from error
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
            _check_line(line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            problem = f"line {number} is none of a store ({error})"
            raise SignalError(path, problem, "get a whole copy of the store") from error
        lines.append(line)
    return lines


def _check_line(line: Any) -> None:
    """Raises ValueError, TypeError or KeyError for what is no line of a table, which may come from anywhere."""
    if type(line["index"]) is not int or line["index"] < 0 or not isinstance(line["name"], str):
        raise ValueError("it has no index or name")
    if not isinstance(line.get("label"), (str, type(None))):
        raise ValueError("its label is no text")
    if not _is_number(line["seconds"]):
        raise ValueError("its seconds are no number")
    if "error" in line:
        if not isinstance(line["error"], str):
            raise ValueError("its error is no text")
        return
    if not (
        _is_shard(line["shard"]) and isinstance(line["description"], dict) and _is_number(line["training_seconds"])
    ):
        raise ValueError("it has no shard or description")
    if not all(is_word(name) and (value is None or _is_number(value)) for name, value in line["figures"].items()):
        raise ValueError("its figures are none")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_shard(name: Any) -> bool:
    """Whether a shard is in its folder: nothing that a table says leads out of it."""
    return isinstance(name, str) and name.endswith(".safetensors") and name[:-12].isdecimal()


def write_index(folder: Path, lines: Sequence[Line]) -> None:
    """Writes the table whole, or leaves that of before."""
    with replacing_synced(folder / INDEX) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def land(folder: Path, index: int, line: Line, weights: Mapping[str, Tensor]) -> None:
    """Writes a field, or why there is none, to a file of its own; whole or not at all.

    Args:
        folder: the store's.
        index: of the item.
        line: for the table, without its shard.
        weights: by name; none where the line has an error.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {f"{index:08d}/{name}": weight.detach().cpu().contiguous() for name, weight in weights.items()}
    with replacing_synced(landed_path(folder, index)) as temporary:
        try:
            save_file(tensors, temporary, metadata={"line": json.dumps(line)})
        except SafetensorError as error:
            raise OSError(f"{error}") from error


def landed_path(folder: Path, index: int) -> Path:
    """Where an item lands."""
    return folder / LANDED / f"{index:08d}.safetensors"


def read_landed_line(path: Path) -> Line:
    """The line of what `land` has written.

    Raises:
        SignalError: it is something else.
    """
    return _read_landed(path, False)[0]


def read_landed(path: Path) -> Tuple[Line, Dict[str, Tensor]]:
    """What `land` has written.

    Raises:
        SignalError: it is something else.
    """
    return _read_landed(path, True)


def _read_landed(path: Path, weights: bool) -> Tuple[Line, Dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            line = json.loads((file.metadata() or {})["line"])
            _check_line(line if "error" in line else {**line, "shard": "0.safetensors"})
            if line["index"] != int(path.stem):
                raise ValueError("it is of another item")
            return line, {key: file.get_tensor(key) for key in file.keys()} if weights else {}
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
        raise SignalError(
            path, "is no field that has landed", "take it away; the same command fits it again"
        ) from error


def landed(folder: Path) -> List[Path]:
    """The files that have landed, in the order of their items."""
    # Programs that keep folders alike on several machines put copies beside files.
    return sorted(path for path in (folder / LANDED).glob("[0-9]*.safetensors") if path.stem.isdecimal())


def merge(folder: Path, at_most: int = 512) -> List[Line]:
    """Puts what has landed into one shard and into the table. Whenever it is ended, the store stays whole: a shard that
    the table does not name is written over, and a landed field that it names is taken away.

    Args:
        folder: the store's; of several processes one may call this at a time.
        at_most: fields of the shard.

    Returns:
        The whole table.
    """
    from safetensors.torch import save_file

    lines = read_index(folder)
    known = {line["index"] for line in lines}
    tensors: Dict[str, Tensor] = {}
    new: List[Line] = []
    paths = landed(folder)[:at_most]
    # Behind all that the table names, some of whose lines somebody may have taken away.
    last = max((int(line["shard"][:-12]) for line in lines if "error" not in line), default=-1)
    shard = f"{last + 1:06d}.safetensors"
    for path in paths:
        line, weights = read_landed(path)
        if line["index"] not in known:
            new.append(line if "error" in line else {**line, "shard": shard})
            tensors |= weights
    if new:
        if tensors:
            with replacing_synced(make_folder(folder / SHARDS) / shard) as temporary:
                save_file(tensors, temporary, metadata={"winner_ns_store": str(FORMAT)})
        write_index(folder, [*lines, *new])
    for path in paths:
        path.unlink(missing_ok=True)
    return [*lines, *new]


class FieldStore(Sequence[LoadedField]):
    """The fields of a store, opened one by one as they are asked for, by place or by name.

        fields = winner_ns.load_fields("store")
        fields[0].grid((28, 28)); fields["cats/7.png"]; fields.figures[0]["psnr"]

    Attributes:
        folder: the store's.
        names: of the signals.
        labels: what each is one of; None where nobody said.
        figures: of each, by name.
        errors: what could not be fitted, by name: one line each.
        lines: the table's, of all signals.
    """

    def __init__(self, folder: Union[str, os.PathLike]) -> None:
        self.folder = Path(folder)
        if read_mark(self.folder) is None:
            advice = "give a folder that `winner-ns fit-many` has written"
            raise SignalError(
                self.folder, "is no store of fields" if self.folder.exists() else "does not exist", advice
            )
        lines: Dict[int, Line] = {}
        # First these: what another process puts into a shard meanwhile is in the table then.
        for path in landed(self.folder):
            try:
                line = read_landed_line(path)
            except SignalError:
                if path.exists():
                    raise
                continue
            lines[line["index"]] = {**line, "shard": None}
        lines |= {line["index"]: line for line in read_index(self.folder)}
        self.lines: List[Line] = [line for _, line in sorted(lines.items())]
        self._lines = [line for line in self.lines if "error" not in line]
        self.names: List[str] = [line["name"] for line in self._lines]
        self.labels: List[Optional[str]] = [line.get("label") for line in self._lines]
        self.figures: List[Dict[str, float]] = [line["figures"] for line in self._lines]
        self.errors: Dict[str, str] = {line["name"]: line["error"] for line in self.lines if "error" in line}
        self._places = {name: place for place, name in enumerate(self.names)}
        self._open: "OrderedDict[Path, Any]" = OrderedDict()

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: Union[int, str]) -> LoadedField: ...

    @overload
    def __getitem__(self, place: slice) -> List[LoadedField]: ...

    def __getitem__(self, place: Union[int, str, slice]) -> Union[LoadedField, List[LoadedField]]:
        """A field, by its place or its signal's name.

        Raises:
            IndexError, KeyError: there is none.
            SignalError: it is damaged.
        """
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        place = self._places[place] if isinstance(place, str) else range(len(self))[place]
        line = self._lines[place]
        try:
            return rebuild_field(line["description"], self.state(place))
        except (ValueError, KeyError, TypeError) as error:
            advice = "get a whole copy of the store"
            raise SignalError(self.folder, f"{line['name']} is damaged ({error})", advice) from error

    def __iter__(self) -> Iterator[LoadedField]:
        return (self[place] for place in range(len(self)))

    def state(self, place: int) -> Dict[str, Tensor]:
        """The weights of a field by name, as `state_dict` has them."""
        line = self._lines[place]
        prefix = f"{line['index']:08d}/"
        file, keys = self._shard(line)
        return {key[len(prefix) :]: file.get_tensor(key) for key in keys.get(prefix, ())}

    def dataset(self) -> "FieldDataset":
        """The weights as a torch data set (`FieldDataset`)."""
        return FieldDataset(self)

    def _shard(self, line: Line) -> Tuple[Any, Dict[str, List[str]]]:
        """An open file, and its keys by item."""
        from safetensors import SafetensorError, safe_open

        merged = line["shard"] is not None
        path = self.folder / SHARDS / line["shard"] if merged else landed_path(self.folder, line["index"])
        if path not in self._open:
            try:
                file = safe_open(os.fspath(path), framework="pt")
                keys: Dict[str, List[str]] = {}
                for key in file.keys():
                    keys.setdefault(key[:9], []).append(key)
            except (SafetensorError, OSError) as error:
                if not merged and not path.exists():
                    # Another process has put it into a shard since.
                    line.update(next(each for each in read_index(self.folder) if each["index"] == line["index"]))
                    return self._shard(line)
                raise SignalError(path, f"cannot be read ({error})", "get a whole copy of the store") from error
            self._open[path] = file, keys
            while len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path]

    def __getstate__(self) -> Dict[str, Any]:
        # Open files stay in the process that opened them; a DataLoader's workers open their own.
        return {**self.__dict__, "_open": OrderedDict()}


class FieldDataset(torch.utils.data.Dataset):
    """The weights of a store's fields as vectors, with the signals' labels; for networks that take fields as input.

    Attributes:
        layout: names and shapes of the weights, in the order in which a vector has them.
        classes: the labels, sorted.
    """

    def __init__(self, store: FieldStore) -> None:
        self.store = store
        if not len(store):
            raise SignalError(store.folder, "has no fields", "let some signals be fitted first")
        self.layout: List[Tuple[str, Tuple[int, ...]]] = [
            (name, tuple(weight.shape)) for name, weight in sorted(store.state(0).items())
        ]
        self.classes: List[str] = sorted({label for label in store.labels if label is not None})

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, place: int) -> Tuple[Float[Tensor, " p"], int]:
        """The weights of a field as one vector, and the place of its label among `classes`, -1 where it has none.

        Raises:
            SignalError: the field has other sizes than the first one.
        """
        place = range(len(self))[place]
        state = self.store.state(place)
        if [(name, tuple(weight.shape)) for name, weight in sorted(state.items())] != self.layout:
            problem = f"{self.store.names[place]} has other weights than {self.store.names[0]}"
            raise SignalError(self.store.folder, problem, "fit signals of one kind by one family, width and depth")
        label = self.store.labels[place]
        vector = torch.cat([state[name].reshape(-1).float() for name, _ in self.layout])
        return vector, -1 if label is None else self.classes.index(label)

    def weights(self, vector: Float[Tensor, " p"]) -> Dict[str, Tensor]:
        """A vector's weights by name, as `state_dict` has them."""
        sizes = [torch.Size(shape).numel() for _, shape in self.layout]
        parts = vector.split(sizes)
        return {name: part.reshape(shape) for (name, shape), part in zip(self.layout, parts, strict=True)}


def load_fields(folder: Union[str, os.PathLike]) -> FieldStore:
    """Opens a store of fields that `winner-ns fit-many` or `winner_ns.fit_many` has written, also while it is written.

    Raises:
        SignalError: it is none, of another version, or damaged.
    """
    return FieldStore(folder)

"""`winner-ns fit-many` and `winner_ns.fit_many`: one store for many signals, whoever is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import winner_ns
from winner_ns.commands.main import main
from winner_ns.engines.crew import Crew
from winner_ns.engines.engine import Ending, Engine
from winner_ns.engines.leases import EXPIRED, Leases, _begun
from winner_ns.engines.local import LocalWorker
from winner_ns.errors import SignalError
from winner_ns.many.fit_many import _fill, _forget_undone, _refuse_other
from winner_ns.many.items import list_items, merged_items, read_items, write_items
from winner_ns.many.store import INDEX, ITEMS, MARK, SHARDS, land, landed, merge, read_index, write_index
from winner_ns.many.worker import done_mark, work

QUICK = ("--width", "8", "--depth", "2", "--steps", "4", "--workers", "1")


def write_pictures(folder: Path, count: int, side: int = 8) -> Path:
    """Pictures of two labels, of noise."""
    generator = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("cats", "dogs")[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (side, side), dtype=np.uint8)).save(path)
    return folder


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_a_folder_becomes_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, store = write_pictures(tmp_path / "pictures", 5), tmp_path / "store"
    (pictures / "cats" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (pictures / "about.md").write_text("what they are")
    assert main(["fit-many", str(pictures), "--out", str(store), *QUICK]) == 1  # One has failed, and is told.
    said = capsys.readouterr().out
    assert "left out 1 file of no known kind: about.md" in said and "cut.png: " in said and "5 fields" in said
    fields = winner_ns.load_fields(store)
    assert fields.names == [f"cats/{n:02d}.png" for n in (0, 2, 4)] + [f"dogs/{n:02d}.png" for n in (1, 3)]
    assert fields.labels == ["cats"] * 3 + ["dogs"] * 2 and list(fields.errors) == ["cats/cut.png"]
    # Each is what winner_ns.fit gives, with a seed of its own: cats/cut.png has place 3.
    torch.set_num_threads(1)
    alone = winner_ns.fit(pictures / "dogs" / "01.png", width=8, depth=2, steps=4, seed=42 + 4, progress=False)
    assert equal(fields["dogs/01.png"].network, alone.network)
    assert fields.figures[3] == pytest.approx(alone.figures)
    assert np.array_equal(fields[3].grid((8, 8)), alone.grid((8, 8)))
    # Without us: tensors by place and name, and a table.
    lines = [json.loads(line) for line in (store / INDEX).read_text().splitlines()]
    dog = next(line for line in lines if line["name"] == "dogs/01.png")
    plain = load_file(store / SHARDS / dog["shard"])
    prefix = f"{dog['index']:08d}/"
    stored = {name[len(prefix) :]: weight for name, weight in plain.items() if name.startswith(prefix)}
    assert stored.keys() == alone.network.state_dict().keys()
    # As vectors, for networks that take fields as input.
    dataset = fields.dataset()
    vector, label = dataset[3]
    assert dataset.classes[label] == "dogs" and len(vector) == sum(p.numel() for p in alone.network.parameters())
    assert all(torch.equal(stored[name], weight) for name, weight in dataset.weights(vector).items())
    loader = torch.utils.data.DataLoader(dataset, batch_size=5, num_workers=1)
    assert next(iter(loader))[0].shape == (5, len(vector))
    summary = json.loads((store / "summary.json").read_text())
    assert (summary["fields"], summary["failed"], summary["of"]) == (5, 1, 6)
    page = (store / "summary.html").read_text()
    assert "cut.png" in page and page.count("data:image/png") == 10 and not re.search("(src|href)=.https?:", page)
    # What was broken is mended, one is new: the same command fits these alone.
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(pictures / "cats" / "cut.png")
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(pictures / "dogs" / "new.png")
    before = {line["index"]: line for line in lines if "error" not in line}
    assert main(["fit-many", str(pictures), "--out", str(store), *QUICK, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fields"] == 7
    after = {line["index"]: line for line in read_index(store)}
    assert len(after) == 7 and all(after[index] == line for index, line in before.items())
    assert equal(winner_ns.load_fields(store)["dogs/01.png"].network, alone.network)
    # With other settings it would be another store.
    assert main(["fit-many", str(pictures), "--out", str(store), "--width", "9"]) == 1
    assert "was begun with choices" in capsys.readouterr().err


@pytest.mark.slow
def test_whoever_is_killed_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    source, store = tmp_path / "rows.npy", tmp_path / "store"
    np.save(source, np.random.default_rng(0).random((9, 12, 12)).astype(np.float32))
    script = (
        "import sys, winner_ns.many.fit_many as many\nmany.FULL = 3\n"
        "many.fit_many(sys.argv[1], sys.argv[2], width=16, depth=2, steps=60, purpose='fit', workers=1)"
    )

    def started() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", script, str(source), str(store)], stderr=subprocess.DEVNULL)

    program = started()
    while not (store / INDEX).exists():
        time.sleep(0.05)
        assert program.poll() is None
    program.kill()  # After a shard, in the middle of a field.
    program.wait()
    known = {line["index"]: line for line in read_index(store)}
    assert 3 <= len(known) < 9
    assert len(winner_ns.load_fields(store)) >= len(known)  # Whole at any time.
    # Two go on together.
    both = [started(), started()]
    assert [each.wait() for each in both] == [0, 0] and not (store / "work").exists()
    lines = read_index(store)
    assert sorted(line["index"] for line in lines) == list(range(9))
    assert all(line == known.get(line["index"], line) for line in lines)
    keys = [key for shard in (store / SHARDS).iterdir() for key in load_file(shard)]
    assert len(keys) == len(set(keys)) and not landed(store)
    rows = np.load(source)
    torch.set_num_threads(1)
    alone = winner_ns.fit(rows[7], width=16, depth=2, steps=60, purpose="fit", seed=42 + 7, progress=False)
    assert equal(winner_ns.load_fields(store)["rows[7]"].network, alone.network)


@pytest.mark.slow
def test_fields_from_the_same_start(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    choices = {"width": 8, "depth": 2, "steps": 1, "learning_rate": 1e-30, "workers": 1}
    shared = winner_ns.fit_many(rows, tmp_path / "shared", labels=["a", "b", "a"], start="shared", **choices)
    assert shared.labels == ["a", "b", "a"]
    vectors = torch.stack([vector for vector, _ in shared.dataset()])
    assert torch.allclose(vectors, vectors[0], atol=1e-20)  # Steps of 1e-30 leave what they began with.
    own = winner_ns.fit(rows[0], width=8, depth=2, steps=1, learning_rate=1e-30, progress=False)
    warm = winner_ns.fit(rows[2], width=8, depth=2, steps=1, learning_rate=1e-30, progress=False, start=own)
    assert equal(own.network, warm.network)
    with pytest.raises(SignalError, match="start: has weights of other names or sizes"):
        winner_ns.fit(rows[2], width=9, depth=2, steps=1, progress=False, start=own)


def test_what_there_is_to_fit(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", 4)
    store = pictures / "store"
    (store / "landed").mkdir(parents=True)
    (store / "landed" / "a.png").write_bytes(b"x")
    names = ["cats/00.png", "cats/02.png", "dogs/01.png", "dogs/03.png"]
    assert [item.name for item in list_items(pictures, store).items] == names
    pattern = list_items(str(pictures / "*" / "0[12].png"), store).items
    assert [(Path(item.path).name, item.label) for item in pattern] == [("02.png", "cats"), ("01.png", "dogs")]
    listing = tmp_path / "mine.txt"
    listing.write_text("# mine\npictures/dogs/01.png\tgood\npictures/gone.png\n")
    first, second = list_items(listing, store).items
    assert (first.label, second.label) == ("good", None) and Path(first.path).is_file()
    archive = tmp_path / "digits.npz"
    np.savez(archive, images=np.arange(48.0).reshape(3, 4, 4), labels=np.array([7, 1, 7]))
    digits = list_items(archive, tmp_path / "other").items
    assert [(item.name, item.label) for item in digits] == [("digits[0]", "7"), ("digits[1]", "1"), ("digits[2]", "7")]
    assert digits[1].data({}).tolist() == np.arange(16.0, 32.0).reshape(4, 4).tolist()
    grown = merged_items(pattern, list_items(pictures, store).items)
    assert [item.index for item in grown] == [0, 1, 2, 3] and grown[:2] == pattern
    # Of two files that a list calls the same, or one that is given twice, each has a name of its own.
    other = [item for item in list_items(write_pictures(tmp_path / "others", 3), store).items]
    named = merged_items([], [*list_items(pictures, store).items, *other, *other])
    assert [item.name for item in named[4:]] == ["cats/00.png (2)", "cats/02.png (2)", "dogs/01.png (2)"]
    (pictures / "dogs" / "a\nb.png").write_bytes(b"x")
    assert "dogs/a\\nb.png" in [item.name for item in list_items(pictures, store).items]


def test_a_store_that_was_moved_knows_its_own_array(tmp_path: Path) -> None:
    rows = np.arange(48.0).reshape(3, 4, 4)
    store, moved = tmp_path / "store", tmp_path / "moved"
    store.mkdir()
    items = list_items(rows, store).items
    write_items(store / ITEMS, items)
    assert read_items(store / ITEMS) == items
    store.rename(moved)
    known = read_items(moved / ITEMS)
    assert merged_items(known, list_items(rows, moved).items) == known
    assert known[2].data({}).tolist() == rows[2].tolist()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing", "does not exist; check the path"),
        ("empty", "is a folder without files"),
        ("texts", "has no signal among 1 files"),
        ("one.png", "is one file; fit it with `winner-ns fit"),
        ("no*.png", "matches no file"),
        ("list.txt", "its first line names"),
        ("flat.npy", "is an array of shape [3]"),
        ("cut.npz", "cannot be read (File is not a zip file)"),
        ("two.npz", "save the one array whose rows are the signals as .npy"),
    ],
)
def test_sources_that_are_none(source: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text("a")
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    (tmp_path / "list.txt").write_text("1 2 3\n")
    np.save(tmp_path / "flat.npy", np.arange(3))
    (tmp_path / "cut.npz").write_bytes(b"PK")
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    assert main(["fit-many", str(tmp_path / source), "--out", str(tmp_path / "store")]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--family", "none"], "--family: 'none' is none"),
        (["--set", "batch_size=-1"], "batch_size"),
        (["--device", "nowhere"], "--device: "),
        (["--start", "gone"], "gone: no such run"),
    ],
)
def test_choices_that_cannot_be(flags: list, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = write_pictures(tmp_path / "pictures", 1)
    assert main(["fit-many", str(pictures), "--out", str(tmp_path / "store"), *flags]) == 1
    assert said in capsys.readouterr().err


def test_stores_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = write_pictures(tmp_path / "pictures", 1)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("everything")
    assert main(["fit-many", str(pictures), "--out", str(mine)]) == 1
    assert "is there already, and no store" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]
    with pytest.raises(SignalError, match="is no store of fields"):
        winner_ns.load_fields(mine)
    (mine / "store.json").write_text('{"winner_ns_store": 99}')
    with pytest.raises(SignalError, match="is a store of version 99"):
        winner_ns.load_fields(mine)
    (mine / "store.json").write_text('{"winner_ns_store": 1, "choices": {}}')
    whole = {"index": 0, "name": "a", "label": None, "figures": {"psnr": 1.0}, "shard": "000000.safetensors",
             "seconds": 1, "training_seconds": 1, "description": {}}  # fmt: skip
    wrong = [{"shard": "../../a.safetensors"}, {"index": "0"}, {"figures": {"<b>": 1}}, {"figures": {"psnr": "high"}},
             {"figures": 3}, {"label": ["a"]}, {"description": None}, {"seconds": "long"}, {"error": 1}]  # fmt: skip
    for changed in wrong:
        (mine / INDEX).write_text(json.dumps({**whole, **changed}) + "\n")
        with pytest.raises(SignalError, match="line 1 is none of a store"):
            winner_ns.load_fields(mine)
    (mine / INDEX).write_text(json.dumps(whole) + "\n")
    fields = winner_ns.load_fields(mine)
    with pytest.raises(SignalError, match="000000.safetensors: cannot be read"):
        fields[0]


def test_a_store_without_its_list_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    (store / "work").mkdir(parents=True)
    (store / "mine.tex").write_text("everything")
    choices = {"width": 8, "depth": 2, "steps": 4}
    (store / "store.json").write_text(json.dumps({"winner_ns_store": 1, "choices": choices, "start": None}))
    land(store, 0, {"index": 0, "name": "a", "error": "a: is broken; mend it", "seconds": 1.0}, {})
    with pytest.raises(SignalError, match="items.jsonl: is missing or empty, though some of its signals are fitted"):
        winner_ns.fit_many(tmp_path / "gone", store, **choices)
    assert len(landed(store)) == 1 and (store / "store.json").exists()
    # With nothing fitted it is taken back, and what is not its own is not.
    landed(store)[0].unlink()
    with pytest.raises(SignalError, match="gone: does not exist"):
        winner_ns.fit_many(tmp_path / "gone", store, **choices)
    assert [path.name for path in store.iterdir()] == ["mine.tex"]


def test_an_item_that_is_marked_and_nowhere_is_fitted_again(tmp_path: Path) -> None:
    """Whoever is killed while errors are forgotten, or takes a damaged field away, leaves such a mark."""
    (tmp_path / "work").mkdir()
    for index in range(4):
        done_mark(tmp_path, index).touch()
    failed = {"name": "a", "error": "a: is broken; mend it", "seconds": 1.0}
    land(tmp_path, 0, {"index": 0, **failed}, {})
    write_index(tmp_path, [{"index": 1, **failed}])
    _forget_undone(tmp_path, errors=False)
    assert [index for index in range(4) if done_mark(tmp_path, index).exists()] == [0, 1]
    _forget_undone(tmp_path, errors=True)
    assert not list((tmp_path / "work").iterdir()) and not landed(tmp_path) and not read_index(tmp_path)


def test_a_start_that_is_no_field(tmp_path: Path) -> None:
    row = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    with pytest.raises(SignalError, match="start: .* is neither a field nor tensors by name"):
        winner_ns.fit(row, width=8, depth=2, steps=1, progress=False, start={"w": np.zeros(3)})
    with pytest.raises(SignalError, match="start: .* is none; give shared, a field"):
        winner_ns.fit_many(row[None], tmp_path / "store", start={"w": np.zeros(3)})
    with pytest.raises(SignalError, match="workers: "):
        winner_ns.fit_many(row[None], tmp_path / "store", workers=-1)
    assert not (tmp_path / "store").exists()


def test_leases_are_taken_once_and_end_with_their_process(tmp_path: Path) -> None:
    ours, theirs = Leases(tmp_path, "a"), Leases(tmp_path, "b")
    with ours.taken("3") as mine, theirs.taken("3") as too:
        assert mine and not too and list(theirs.held_by("a")) == ["3"] and not list(ours.held_by("b"))
    assert not ours.path("3").exists()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ours.path("4").write_text(json.dumps({**ours.owner, "process": gone.pid}))
    with ours.taken("4") as mine:
        assert mine
    # Of another machine nothing is known but its signs of life.
    ours.path("5").write_text(json.dumps({**ours.owner, "host": "elsewhere"}))
    with ours.taken("5") as mine:
        assert not mine
    long_ago = time.time() - EXPIRED - 1
    os.utime(ours.path("5"), (long_ago, long_ago))
    with ours.taken("5") as mine:
        assert mine


def test_leases_are_dated_by_the_clock_of_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leases, now = Leases(tmp_path, "a"), time.time()
    leases.path("5").write_text(json.dumps({**leases.owner, "host": "elsewhere"}))
    monkeypatch.setattr(time, "time", lambda: now + 10 * EXPIRED)  # This machine's clock is wrong, and theirs is not.
    with leases.taken("5") as mine:
        assert not mine
    os.utime(leases.path("5"), (now - 2 * EXPIRED, now - 2 * EXPIRED))
    with leases.taken("5") as mine:
        assert mine
    assert not list(tmp_path.glob(".clock*"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="nothing says what a process does")
def test_the_lease_of_a_process_that_was_stopped_ends_like_that_of_another_machine(tmp_path: Path) -> None:
    leases, long_ago = Leases(tmp_path, "a"), time.time() - EXPIRED - 1
    other = subprocess.Popen(["sleep", "60"])
    try:
        owner = {**leases.owner, "process": other.pid, "begun": _begun(other.pid)}
        leases.path("3").write_text(json.dumps(owner))
        os.utime(leases.path("3"), (long_ago, long_ago))
        with leases.taken("3") as mine:
            assert not mine  # It is at work, though it has no time for a sign of life.
        other.send_signal(signal.SIGSTOP)
        os.waitpid(other.pid, os.WUNTRACED)
        assert not leases.any_alive()
        leases.path("4").write_text(json.dumps(owner))
        with leases.taken("3") as mine, leases.taken("4") as just_stopped:
            assert mine and not just_stopped
    finally:
        other.kill()
        other.wait()


class Scripted(Engine):
    """Workers that do what a test says, at once."""

    def __init__(self, *deeds: Callable[[], Ending]) -> None:
        self.deeds = list(deeds)

    def devices(self, workers: int = 0, device: Optional[str] = None) -> List[str]:
        return ["cpu"]

    def start(self, job: str, folder: Path, device: str, name: str, sources: Sequence[str]) -> Any:
        ending = self.deeds.pop(0)()
        return SimpleNamespace(name=name, device=device, ending=lambda: ending)

    def end(self, workers: Sequence[Any]) -> None:
        pass


def test_where_another_program_has_ended_all_work_nothing_is_wrong(tmp_path: Path) -> None:
    """A machine of a cluster sees nothing of what is not there any more."""
    (tmp_path / "work").mkdir()
    refused = Ending(1, error=SignalError(tmp_path, "the machine a does not see it", "share it"))
    with Crew(Scripted(lambda: refused, lambda: refused), "job", tmp_path, ["cpu", "cpu"], [], print) as crew:
        with pytest.raises(SignalError, match="does not see it"):
            crew.look()
        (tmp_path / "work").rmdir()
        assert not crew.look()
        with pytest.raises(SignalError, match="work: was taken away while it was worked in; the same command goes on"):
            crew.is_idle  # noqa: B018 - who leads would have workers come and go for ever.


def test_a_mark_without_a_field_is_found_out_while_the_store_is_filled(tmp_path: Path) -> None:
    """Another program's worker may set one just when what has failed is forgotten."""
    items = list_items(np.zeros((2, 4, 4)), tmp_path).items
    (tmp_path / "work").mkdir()

    def marked(index: int) -> Ending:
        done_mark(tmp_path, index).touch()
        return Ending(0)

    def fitted(index: int) -> Ending:
        assert not done_mark(tmp_path, index).exists()
        land(tmp_path, index, {"index": index, "name": "a", "error": "a: is broken; mend it", "seconds": 1.0}, {})
        return Ending(0)

    # As many go on as began, where so much is left.
    engine = Scripted(*(partial(deed, index) for deed in (marked, fitted) for index in (0, 1)))
    _fill(tmp_path, items, engine, ["cpu", "cpu"], True, None)
    assert not engine.deeds


def test_what_other_programs_leave_in_a_store_is_no_harm(tmp_path: Path) -> None:
    # A mark that is just being written, or whose program was killed.
    (tmp_path / f".{Path(MARK).stem}.x1.json").touch()
    _refuse_other(tmp_path, {})
    # A copy that a program for folders on several machines puts beside a file.
    land(tmp_path, 0, {"index": 0, "name": "a", "error": "a: is broken; mend it", "seconds": 1.0}, {})
    (landed_path,) = landed(tmp_path)
    copy = landed_path.with_name("00000000 (copy).safetensors")
    copy.write_bytes(landed_path.read_bytes())
    assert landed(tmp_path) == [landed_path]
    assert len(merge(tmp_path)) == 1 and not landed(tmp_path) and copy.exists()


def test_no_shard_that_the_table_names_is_written_over(tmp_path: Path) -> None:
    """Also where somebody has taken lines out of the table, to have these signals fitted again."""
    for index in range(3):
        line = {"index": index, "name": str(index), "figures": {}, "description": {}}
        land(tmp_path, index, {**line, "seconds": 1.0, "training_seconds": 1.0}, {"w": torch.full((2,), float(index))})
        lines = merge(tmp_path)
        if index == 1:
            write_index(tmp_path, lines[1:])
    assert [line["shard"] for line in read_index(tmp_path)] == ["000001.safetensors", "000002.safetensors"]
    assert load_file(tmp_path / SHARDS / "000001.safetensors")["00000001/w"].tolist() == [1.0, 1.0]


def test_a_merge_that_was_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    def landing(index: int) -> None:
        times = {"seconds": 1.0, "training_seconds": 1.0}
        line = {"index": index, "name": str(index), "figures": {}, "description": {}, **times}
        land(tmp_path, index, line, {"w": torch.full((2,), float(index))})

    for index in range(3):
        landing(index)
    assert len(merge(tmp_path, 2)) == 2 and len(landed(tmp_path)) == 1
    landing(0)  # It is in the table, and its file had not been taken away.
    (tmp_path / SHARDS / "000001.safetensors").write_bytes(b"of a merge that did not get to the table")
    assert [line["index"] for line in merge(tmp_path)] == [0, 1, 2]
    assert load_file(tmp_path / SHARDS / "000001.safetensors")["00000002/w"].tolist() == [2.0, 2.0]
    assert not landed(tmp_path)


@pytest.mark.slow
def test_what_a_process_cannot_do_is_said_as_it_says_it(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"winner_ns_store": 99}')
    barred = tmp_path / "barred"  # Where no lease can be taken.
    barred.mkdir()
    (barred / "store.json").write_text('{"winner_ns_store": 1, "choices": {}}')
    write_items(barred / ITEMS, list_items(np.zeros((1, 4, 4)), barred).items)
    (barred / "work").write_text("")
    workers = [LocalWorker("winner_ns.many.worker", folder, "cpu", "a", {}) for folder in (tmp_path, barred)]
    for worker in workers:
        worker.process.wait(60)
    of_another_version, of_no_folder = (worker.ending() for worker in workers)
    assert of_another_version.status == of_no_folder.status == 1
    assert "is a store of version 99, this is 1; update winner_ns" in str(of_another_version.error)
    assert "cannot be written" in str(of_no_folder.error) and str(barred) in str(of_no_folder.error)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_fitted(tmp_path: Path) -> None:
    source, store = tmp_path / "rows.npy", tmp_path / "store"
    np.save(source, np.random.default_rng(0).random((40, 16, 16)).astype(np.float32))
    program = subprocess.Popen(
        [str(Path(sys.executable).parent / "winner-ns"), "fit-many", str(source), "--out", str(store), "--width", "16",
         "--steps", "100", "--workers", "1", "--quiet"], stderr=subprocess.PIPE, text=True)  # fmt: skip
    while not landed(store):
        time.sleep(0.05)
        assert program.poll() is None
    program.send_signal(signal.SIGINT)
    _, error = program.communicate(timeout=60)
    assert program.returncode == 130 and "the same command goes on" in error and "Traceback" not in error
    known = len(read_index(store))
    assert 1 <= known < 40 and not landed(store)
    assert all(line["steps"] == 100 for line in read_index(store))
    (store / ITEMS).write_text("".join((store / ITEMS).read_text().splitlines(keepends=True)[: known + 1]))
    work(store, "cpu")  # What a process does, without one.
    assert len(winner_ns.load_fields(store)) == known + 1

"""Checkpoints and field files whose bytes are not those that were written: found, never trained on or shown."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

import winner_ns
from winner_ns import SignalError
from winner_ns.commands.main import main
from winner_ns.fields.files import read_field_file
from winner_ns.fitting import checkpoints
from winner_ns.fitting.checkpoints import read_checkpoint, write_checkpoint
from winner_ns.fitting.run import load_run

SMALL = {"width": 8, "depth": 2, "progress": False, "device": "cpu"}
SIZES = ["--width", "8", "--depth", "2", "--device", "cpu", "--quiet"]


def same(one, other) -> bool:
    """Whether two trees of numbers and tensors are the same, bit for bit."""
    if torch.is_tensor(one):
        return torch.is_tensor(other) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def flip(path: Path, position: int, bits: int = 0x40) -> None:
    """Changes one byte of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= bits
    path.write_bytes(content)


def damage_weights(path: Path) -> None:
    """Changes a byte in the middle of a checkpoint's largest record, or near the end of a field file's numbers."""
    if path.suffix != ".ckpt":
        flip(path, path.stat().st_size - 5)
        return
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda record: record.file_size)
    # Between the records there is padding, which nobody reads; a record's bytes follow its two names' lengths.
    header = path.read_bytes()[largest.header_offset :][:30]
    begins = largest.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
    flip(path, begins + largest.file_size // 2)


def content_of_checkpoint(path: Path):
    return read_checkpoint(path, mapped=False)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """A small checkpoint and a small field file, and how each is read."""
    folder = tmp_path_factory.mktemp("whole")
    state = {"step": 3, "pipeline": {"w": torch.arange(6.0), "s": {"description": "{}"}}, "scalers": {"m": [1, 2.5]}}
    checkpoint = write_checkpoint(folder / checkpoints.CHECKPOINTS, 3, state)
    values = np.random.default_rng(0).random((8, 8)).astype(np.float32)
    field = winner_ns.fit(values, steps=1, width=4, depth=1, progress=False, device="cpu")
    return {content_of_checkpoint: checkpoint, read_field_file: field.save(folder / "field.safetensors")}


@pytest.mark.parametrize("read", [content_of_checkpoint, read_field_file])
@given(data=st.data())
def test_a_changed_byte_is_found_or_does_not_matter(read, whole_files, tmp_path_factory, data):
    whole = whole_files[read]
    content = bytearray(whole.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1), label="position")
    content[position] ^= data.draw(st.integers(1, 255), label="bits")
    changed = tmp_path_factory.mktemp("changed") / whole.name
    changed.write_bytes(content)
    try:
        assert same(read(changed), read(whole))
    except SignalError as error:
        assert str(changed) in str(error)


@pytest.mark.parametrize("read", [content_of_checkpoint, read_field_file])
@given(part=st.floats(0, 0.999))
def test_a_cut_file_is_refused(read, whole_files, tmp_path_factory, part):
    content = whole_files[read].read_bytes()
    cut = tmp_path_factory.mktemp("cut") / whole_files[read].name
    cut.write_bytes(content[: int(part * len(content))])
    with pytest.raises(SignalError):
        read(cut)


def test_a_record_that_is_marked_as_a_folder_is_damaged(whole_files, tmp_path):
    """torch reads none of it, and takes what is in memory for its numbers."""
    content = bytearray(whole_files[content_of_checkpoint].read_bytes())
    marks = content.rfind(b"PK\x01\x02", 0, content.rfind(b"data/0")) + 38
    content[marks] |= 0x10
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(SignalError):
        read_checkpoint(tmp_path / "a.ckpt")


def test_field_files_of_before_there_was_a_digest_open(whole_files, tmp_path):
    path = whole_files[read_field_file]
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    assert set(metadata) == {"winner_ns", "sha256"}
    save_file(tensors, tmp_path / "old.safetensors", metadata={"winner_ns": metadata["winner_ns"]})
    old, new = winner_ns.load_field(tmp_path / "old.safetensors"), winner_ns.load_field(path)
    np.testing.assert_array_equal(old.grid((8, 8)), new.grid((8, 8)))


def test_a_damaged_field_file_is_told_in_one_line(whole_files, tmp_path, capsys):
    path = tmp_path / "field.safetensors"
    path.write_bytes(whole_files[read_field_file].read_bytes())
    damage_weights(path)
    assert main(["export", "image", str(path), "-o", str(tmp_path / "a.png")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line and "damaged" in line and not (tmp_path / "a.png").exists()


@pytest.fixture
def saved_each_step(monkeypatch):
    """Checkpoints are due after each step."""
    monkeypatch.setattr(checkpoints, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_damaged_checkpoint_falls_back_to_the_one_before(photo, tmp_path, saved_each_step, capsys):
    run = tmp_path / "run"
    assert main(["fit", str(photo), "-o", str(run), "--steps", "9", *SIZES]) == 0
    last, before = only(run / checkpoints.CHECKPOINTS), only(run / checkpoints.BEFORE)
    assert (last.name, before.name) == ("step-000000008.ckpt", "step-000000007.ckpt")
    whole = load_run(run)
    damage_weights(last)
    capsys.readouterr()
    earlier = load_run(run)
    assert earlier.step == 7 and not same(earlier.network.state_dict(), whole.network.state_dict())
    (line,) = capsys.readouterr().err.splitlines()
    assert str(last) in line and "damaged" in line and before.name in line
    # By its own name it is refused, and the whole one is named.
    with pytest.raises(SignalError, match=before.name):
        load_run(last)
    assert main(["fit", "--resume", str(run), "--quiet"]) == 0
    assert same(load_run(run).network.state_dict(), whole.network.state_dict())
    # The damaged one was not kept as the one before.
    assert not checkpoints.damage(only(run / checkpoints.CHECKPOINTS))
    assert not checkpoints.damage(only(run / checkpoints.BEFORE))


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(photo, tmp_path, saved_each_step, capsys):
    run = tmp_path / "run"
    assert main(["fit", str(photo), "-o", str(run), "--steps", "3", *SIZES]) == 0
    for folder in (checkpoints.CHECKPOINTS, checkpoints.BEFORE):
        damage_weights(only(run / folder))
    capsys.readouterr()
    for command in (["fit", "--resume", str(run)], ["export", "image", str(run), "-o", str(tmp_path / "a.png")]):
        assert main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "step-000000002.ckpt: is damaged" in line


def test_nerfstudio_goes_back_to_the_one_before_too(photo, ns_train, ns_eval, runs, saved_each_step, capfd):
    common = ["--data", photo, "--machine.device-type", "cpu", "--pipeline.model.field.width", 8]
    common += ["--pipeline.model.field.depth", 2, "--max-num-iterations", 6]
    assert ns_train(*common).status == 0
    (first,) = runs()
    whole = load_run(first)
    damage_weights(only(first / checkpoints.CHECKPOINTS))
    resumed = ns_train(*common, "--load-dir", first / "nerfstudio_models", "--timestamp", "resumed")
    assert resumed.status == 0, resumed.errors
    assert "going back to step-000000004.ckpt" in resumed.errors
    assert same(load_run(first.parent / "resumed").network.state_dict(), whole.network.state_dict())
    # Shown and judged is the whole state of one step less.
    of_before = winner_ns.fit(photo, steps=6, callback=lambda state: state.step == 5, **SMALL)
    assert ns_eval(first)["psnr"] == pytest.approx(of_before.figures["psnr"], abs=1e-6)
    damage_weights(only(first / checkpoints.BEFORE))
    with pytest.raises(AssertionError, match="is damaged"):
        ns_eval(first)


@pytest.mark.parametrize("known", [{"steps": 5}, {"steps": 5, "files": ["a.png"]}, [], {"steps": 4}])
def test_what_makes_results_complete(known, tmp_path):
    from winner_ns.fitting.results_folder import results_complete

    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "figures.json").write_text(json.dumps(known))
    assert results_complete(tmp_path, 5) is (known == {"steps": 5})
    (tmp_path / "results" / "a.png").touch()
    assert results_complete(tmp_path, 5) is (isinstance(known, dict) and known["steps"] == 5)

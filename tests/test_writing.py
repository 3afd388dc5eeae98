"""What commands write is whole or not there, and never takes the place of what they have not written."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

import numpy as np
import pytest
import torch

import winner_ns
from winner_ns import mapped, writing
from winner_ns.bench.records import ResultsFile
from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.fitting.run import load_run
from winner_ns.mapped import new_npy
from winner_ns.signals import array
from winner_ns.writing import replacing


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that takes so many bytes of a file: the system ends what it takes in the middle, as a full one does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files_below(folder: Path) -> List[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    """Runs of a picture and of a sound that have hardly been trained, in folders of their names."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("fitted")
    rows, columns = np.mgrid[0:32, 0:48] / 16.0
    Image.fromarray((127 * (1 + np.sin(4 * rows * columns))).astype(np.uint8)).save(folder / "photo.png")
    np.save(folder / "tone.npy", np.sin(np.arange(4096) / 3.0).astype(np.float32))
    for kind, name in (("image", "photo.png"), ("audio", "tone.npy")):
        arguments = ["--kind", kind, "--steps", "1", "--width", "16", "--depth", "2", "--quiet"]
        assert main(["fit", str(folder / name), "-o", str(folder / kind), *arguments]) == 0
    return folder


EXPORTS = [
    *(("image", suffix) for suffix in (".png", ".tif", ".jpg", ".webp", ".bmp", ".npy")),
    *(("audio", suffix) for suffix in (".wav", ".flac", ".ogg", ".mp3", ".npy")),
    ("field", ".safetensors"),
]


@pytest.mark.parametrize(("what", "suffix"), EXPORTS)
def test_a_full_disk_is_told_and_leaves_what_was_there(fitted, what, suffix, tmp_path, capsys) -> None:
    run = fitted / ("audio" if what == "audio" else "image")
    output = tmp_path / f"out{suffix}"
    command = ["export", what, str(run), "-o", str(output)]
    assert main(command) == 0
    whole = output.read_bytes()
    output.write_bytes(b"of before")
    # Where libraries keep back what they write last, and where they do not.
    for short in (1, 200, len(whole) // 2, len(whole)):
        capsys.readouterr()
        with files_of_at_most(len(whole) - short):
            status = main([*command, "--overwrite"])
        said = capsys.readouterr()
        reason = os.strerror(errno.EFBIG)
        assert (status, said.out, said.err.count("\n")) == (1, "", 1), said
        assert f"{output}: cannot be written ({reason})" in said.err
        assert output.read_bytes() == b"of before" and files_below(tmp_path) == [output.name]
    assert main([*command, "--overwrite"]) == 0
    assert output.stat().st_size == len(whole)


def test_mapped_files_are_refused_before_they_are_written_to(tmp_path, monkeypatch) -> None:
    """A page that a full disk has no room for would end the program."""
    for has_call in (True, False):
        if not has_call:
            monkeypatch.delattr(mapped.os, "posix_fallocate", raising=False)
        with files_of_at_most(2**20), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
            new_npy(tmp_path / "large.npy", (2**20,), np.float64)
        small = new_npy(tmp_path / "small.npy", (100, 3), np.float32)
        small[:] = np.arange(300).reshape(100, 3)
        small.flush()
        assert (tmp_path / "small.npy").stat().st_blocks * 512 >= 1200
        assert np.array_equal(np.load(tmp_path / "small.npy"), np.arange(300).reshape(100, 3))


def test_a_full_folder_of_temporary_files_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(array, "MEMORY_LIMIT", 1000)
    monkeypatch.setattr(array.tempfile, "tempdir", str(tmp_path))
    np.save(tmp_path / "signal.npy", np.asfortranarray(np.random.default_rng(0).random((200, 300))))
    with files_of_at_most(100_000), pytest.raises(SignalError, match=f"{tmp_path}: has no room .* set TMPDIR"):
        winner_ns.load_signal(tmp_path / "signal.npy", kind="image")


def test_places_that_nothing_can_be_written_to(fitted, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "file").write_text("of a user's")
    monkeypatch.chdir(tmp_path)
    photo, run = str(fitted / "photo.png"), str(fitted / "image")
    commands = [
        ["export", "image", run, "-o", "{}/a.png"],
        ["export", "field", run, "-o", "{}/a.safetensors"],
        ["inspect", photo, "--plot", "{}/a.png"],
        ["compare", run, run, "--save", "{}/a.png"],
        ["analyze", run, "-o", "{}/a"],
        ["fit", photo, "-o", "{}/a", "--steps", "1"],
        ["bench", "ablations/bottleneck", "--out", "{}/a"],
    ]
    too_long = "a" * 300
    for command in commands:
        for place, why in (("file", "file is a file"), (too_long, os.strerror(errno.ENAMETOOLONG))):
            assert main([part.format(place) for part in command]) == 1, command
            said = capsys.readouterr().err
            assert said.count("\n") == 1 and why in said and place in said, said
    assert main(["export", "image", run, "-o", "folder.png"]) == 0 and Path("folder.png").is_file()
    Path("folder.png").unlink()
    Path("folder.png").mkdir()
    assert main(["export", "image", run, "-o", "folder.png", "--overwrite"]) == 1
    assert "folder.png: is a folder" in capsys.readouterr().err
    assert files_below(tmp_path) == ["file", "folder.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_without_permission_are_told(fitted, tmp_path, capsys) -> None:
    tmp_path.chmod(0o500)
    assert main(["export", "image", str(fitted / "image"), "-o", str(tmp_path / "a.png")]) == 1
    assert os.strerror(errno.EACCES) in capsys.readouterr().err


def test_what_nobody_reads_is_told(fitted, capsys, monkeypatch) -> None:
    """Standard output on a full disk."""
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert main(["inspect", str(fitted / "photo.png"), "--json"]) == 1
        monkeypatch.undo()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"standard output: cannot be written ({os.strerror(errno.ENOSPC)})" in said


def test_files_of_others_are_kept_unless_asked(fitted, tmp_path, capsys) -> None:
    photo, run = str(fitted / "photo.png"), str(fitted / "image")
    commands = {
        "a.png": ["export", "image", run, "-o", "{}"],
        "a.safetensors": ["export", "field", run, "-o", "{}"],
        "spectrum.png": ["inspect", photo, "--plot", "{}"],
        "both.png": ["compare", run, run, "--save", "{}"],
    }
    for name, command in commands.items():
        output = tmp_path / name
        command = [part.format(output) for part in command]
        output.write_text("a user's")
        assert main(command) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{output}: is there already" in said and "--overwrite" in said
        assert output.read_text() == "a user's"
        assert main([*command, "--overwrite"]) == 0
        assert output.read_bytes()[:8] != b"a user's"
    # Names that lead nowhere are somebody's, too.
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    assert main(["export", "image", run, "-o", str(tmp_path / "link.png")]) == 1
    assert (tmp_path / "link.png").is_symlink()


@pytest.mark.slow
def test_an_analysis_replaces_itself_alone(fitted, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["analyze", "--data", str(fitted / "photo.png"), "--width", "16", "--depth", "2", "--points", "32"]
    folder = tmp_path / "photo-winner-width=16-depth=2-points=32-analysis"
    folder.mkdir()
    (folder / "kernel.png").write_text("a user's")
    assert main(command) == 1
    assert "kernel.png: is there already" in capsys.readouterr().err and files_below(folder) == ["kernel.png"]
    assert main([*command, "--overwrite"]) == 0
    assert main(command) == 0  # Its own.
    capsys.readouterr()
    assert main([*command, "-o", str(folder)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_a_run_overwrites_another_only_when_asked(fitted, tmp_path, capsys) -> None:
    folder = tmp_path / "run"
    command = ["fit", str(fitted / "photo.png"), "-o", str(folder), "--width", "16", "--depth", "2", "--quiet"]
    assert main([*command, "--steps", "3"]) == 0
    (folder / "notes.txt").write_text("a user's")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main([*command, "--steps", "2"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main([*command, "--steps", "2", "--overwrite"]) == 0
    # The longer run's checkpoint would be taken for the last one.
    assert load_run(folder).step == 1
    assert (folder / "notes.txt").read_text() == "a user's"


def test_saving_in_python_replaces_unless_told_not_to(tmp_path) -> None:
    field = winner_ns.fit(np.random.default_rng(0).random((8, 9)), steps=1, kind="image", width=16, depth=2)
    for name in ("a.safetensors", "a.png"):
        path = tmp_path / name
        path.write_text("of before")
        with pytest.raises(SignalError, match="is there already; .* overwrite=True"):
            field.save(path, overwrite=False)
        assert path.read_text() == "of before"
        field.save(path)
        assert path.read_bytes()[:9] != b"of before"


def test_results_of_a_benchmark_stay_whole_lines(tmp_path) -> None:
    path = tmp_path / "results.jsonl"
    record = {"key": "a", "figures": {}, "curve": {}}
    ResultsFile(path).append(record)
    whole = path.read_bytes()
    with files_of_at_most(len(whole) + 10), pytest.raises(SignalError, match=os.strerror(errno.EFBIG)):
        ResultsFile(path).append({**record, "key": "b" * 100})
    assert path.read_bytes() == whole
    ResultsFile(path).append({**record, "key": "b"})
    assert [each["key"] for each in ResultsFile(path).records] == ["a", "b"]


def test_what_comes_to_be_meanwhile_is_kept(tmp_path) -> None:
    path = tmp_path / "late.txt"
    with writing.replacing_files(False), pytest.raises(SignalError, match="is there already"):
        with replacing(path) as temporary:
            temporary.write_text("ours")
            path.write_text("somebody else's")
    assert path.read_text() == "somebody else's" and files_below(tmp_path) == ["late.txt"]


def test_checkpoints_on_a_full_disk_are_told(tmp_path) -> None:
    """torch says nothing of the disk."""
    path = tmp_path / "step.ckpt"
    with files_of_at_most(100_000), pytest.raises(SignalError, match=os.strerror(errno.EFBIG)):
        with replacing(path) as temporary:
            torch.save({"weights": torch.zeros(100_000)}, temporary)
    assert files_below(tmp_path) == []

"""Which kind a file is taken for, and the one line that bad input gets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import trimesh
from PIL import Image

from winner_ns.errors import SignalError
from winner_ns.kinds import kinds_of_files
from winner_ns.signals import detect_kind, load_signal

KINDS = kinds_of_files()


def picture(path: Path, file_format: str = "PNG") -> Path:
    raw = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(raw).save(path, file_format)
    return path


def sound(path: Path, file_format: str = "WAV") -> Path:
    soundfile.write(path, np.sin(np.arange(4000) * 0.1) * 0.5, 8000, format=file_format)
    return path


def mesh(path: Path, file_format: str = "ply") -> Path:
    trimesh.creation.icosphere(2).export(path, file_type=file_format)
    return path


def line(path: Path, **options) -> str:
    with pytest.raises(SignalError) as caught:
        load_signal(path, **options)
    text = str(caught.value)
    assert "\n" not in text and str(path) in text and "; " in text
    return text


@pytest.mark.parametrize(
    ("write", "kind", "name"),
    [
        (picture, "image", "a.jpg"),
        (picture, "image", "a"),
        (picture, "image", "a.wav"),
        (sound, "audio", "a.png"),
        (sound, "audio", "a.mp3"),
        (mesh, "shape", "a.txt"),
    ],
)
def test_content_counts_more_than_the_suffix(tmp_path, write, kind, name):
    path = write(tmp_path / name)
    assert detect_kind(path) == load_signal(path).kind == kind


@pytest.mark.parametrize("suffix", ["obj", "stl", "off"])
def test_formats_without_a_signature_go_by_suffix(tmp_path, suffix):
    assert load_signal(mesh(tmp_path / f"A.{suffix.upper()}", suffix)).kind == "shape"


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((300, 6), np.float32, "image"),
        ((385, 6), np.float32, "shape"),
        ((256, 4), np.float64, "image"),
        ((257, 4), np.float64, "shape"),
        ((500, 4), np.uint8, "image"),
        ((500, 5), np.float64, "image"),
        ((40, 50, 4), np.float64, "image"),
        ((40, 50, 5), np.float64, "volume"),
        ((4, 40, 50, 3), np.float32, "volume"),
        ((5, 40, 50), np.uint8, "volume"),
        ((4000,), np.float32, "audio"),
        ((4000, 1), np.int16, "audio"),
        ((4000, 2), np.float64, "audio"),
        ((128, 2), np.float64, "image"),
        ((192, 3), np.float64, "image"),
        ((500, 3), np.uint8, "image"),
    ],
)
def test_arrays_are_told_by_shape(tmp_path, shape, dtype, kind):
    values = np.random.default_rng(0).random(shape) * 100 - 50
    if (kind, shape[-1]) == ("shape", 6):
        # Points of a ball and their normals, which have the length 1.
        values[:, 3:] = values[:, :3] = values[:, :3] / np.linalg.norm(values[:, :3], axis=1, keepdims=True)
    np.save(tmp_path / "a.npy", values.astype(dtype))
    assert detect_kind(tmp_path / "a.npy") == load_signal(tmp_path / "a.npy").kind == kind


@pytest.mark.parametrize(
    ("shape", "dtype", "able", "what"),
    [
        ((193, 3), np.float64, ["shape", "image"], "points of a shape, or an image"),
        ((3, 40, 50), np.uint8, ["volume"], "an image with its channels first, or a volume"),
        ((4, 40, 50), np.float32, ["volume"], "an image with its channels first, or a volume"),
        ((4, 40, 50, 3), np.uint8, ["video", "volume"], "a video, or a volume of colours"),
        ((2, 4000), np.float32, ["image"], "a sound with its channels first, or an image of 2 rows"),
    ],
)
def test_an_array_that_may_be_of_several_kinds_needs_its_kind(tmp_path, shape, dtype, able, what):
    values = np.random.default_rng(0).normal(size=shape)
    # Points lie on a ball, which has an inside.
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    np.save(tmp_path / "a.npy", (values * 100).astype(dtype))
    assert f"may be {what}; name the kind: {' or '.join(able)}" in line(tmp_path / "a.npy")
    for kind in able:
        assert load_signal(tmp_path / "a.npy", kind=kind).kind == kind


def test_a_narrow_array_is_an_image_where_that_is_said(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((500, 4)))
    assert load_signal(tmp_path / "a.npy", kind="image").shape == (500, 4)


def test_a_missing_file(tmp_path):
    assert "does not exist" in line(tmp_path / "a.png")
    assert "does not exist" in line(tmp_path / "a.png", kind="image")


@pytest.mark.parametrize("kind", ["auto", *KINDS])
@pytest.mark.parametrize("name", ["a.png", "a.wav", "a.obj", "a.npy", "a.mp4", "a"])
def test_an_empty_file(tmp_path, name, kind):
    (tmp_path / name).touch()
    assert "is empty (0 bytes)" in line(tmp_path / name, kind=kind)


@pytest.mark.parametrize("kind", ["auto", *KINDS])
def test_folders(tmp_path, kind):
    assert line(tmp_path, kind=kind).startswith(f"{tmp_path}: is an empty folder; give one file, or a folder with")
    picture(tmp_path / "a.png")
    assert line(tmp_path, kind=kind).startswith(f"{tmp_path}: is a folder; give one file, or a folder with")


def test_what_is_no_path():
    with pytest.raises(SignalError, match="is no path .embedded null byte."):
        load_signal("a\0b.png")


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "tif", "wav", "flac", "mp4", "glb", "ply", "stl", "obj", "off", "npy"]
)
@pytest.mark.parametrize("kind", ["auto", *KINDS])
def test_text_under_any_name(tmp_path, suffix, kind, capfd):
    path = tmp_path / f"a.{suffix}"
    path.write_text("Dear diary,\ntoday I named a text file wrongly.\n" * 50)
    line(path, kind=kind)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.docx", "a.dat", "a"])
def test_unknown_content(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(range(1, 256)))
    assert "no known format" in line(tmp_path / name)


def test_the_wrong_kind(tmp_path, capfd):
    files = {
        "image": picture(tmp_path / "a.png"),
        "audio": sound(tmp_path / "a.wav"),
        "shape": mesh(tmp_path / "a.ply"),
    }
    for own, path in files.items():
        for kind in KINDS:
            if kind == own:
                assert load_signal(path, kind).kind == kind
            elif (own, kind) != ("image", "video"):
                line(path, kind=kind)
    assert capfd.readouterr().err == ""


def test_a_picture_is_no_video(tmp_path):
    assert "at least 2 frames" in line(picture(tmp_path / "a.png"), kind="video")


def test_an_unknown_kind(tmp_path):
    with pytest.raises(SignalError, match="kind: 'sound' is none; choose auto, image") as caught:
        load_signal(picture(tmp_path / "a.png"), kind="sound")
    assert caught.value.setting == "kind"


@pytest.mark.parametrize("kind", ["auto", *KINDS])
def test_pickles_are_never_loaded(tmp_path, kind):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    assert "pickled" in line(tmp_path / "a.npy", kind=kind)


@pytest.mark.parametrize("dtype", [complex, "U3", [("a", float)], "datetime64[s]"])
def test_arrays_without_real_numbers(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.zeros((8, 8), dtype))
    assert "instead of real numbers" in line(tmp_path / "a.npy")


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_a_cut_array(tmp_path, share):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((64, 64)))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data[: max(int(len(data) * share), 8)])
    assert "is cut or no .npy file" in line(tmp_path / "a.npy")

"""The demo's posed photographs, as nerfstudio reads them, against the mesh that they show."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import trimesh
from PIL import Image

from winner_ns.demo.bunny_scene import camera_poses, main, write_bunny_scene
from winner_ns.errors import SignalError
from winner_ns.rays.scene_dataparser import check_scene, scene_dataparser

SIZE = 32


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return write_bunny_scene(tmp_path_factory.mktemp("demo") / "bunny", views=5, test_views=2, size=SIZE)


def alpha(path) -> np.ndarray:
    picture = Image.open(path)
    assert picture.mode == "RGBA" and picture.size == (SIZE, SIZE)
    return np.asarray(picture)[..., 3]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_silhouettes_are_the_meshs_in_nerfstudios_cameras(scene, split):
    outputs = scene_dataparser(scene).setup().get_dataparser_outputs(split)
    cameras = outputs.cameras
    assert len(cameras) == {"train": 5}.get(split, 2)
    vertices = trimesh.load(scene / "mesh.ply", process=False).vertices
    low, high = (corner.numpy() for corner in outputs.scene_box.aabb)
    assert (vertices > low).all() and (vertices < high).all()
    for i, path in enumerate(outputs.image_filenames):
        rotation, place = np.split(cameras.camera_to_worlds[i].double().numpy(), [3], axis=1)
        right, up, backward = ((vertices - place[:, 0]) @ rotation).T
        x = cameras.cx[i].item() - cameras.fx[i].item() * right / backward
        y = cameras.cy[i].item() + cameras.fy[i].item() * up / backward
        shown = np.zeros((SIZE, SIZE), bool)
        shown[y.astype(int), x.astype(int)] = True  # Every vertex is in the picture.
        # The 28,000 vertices lie closer than pixels.
        assert shown[alpha(path) == 255].all()
        # A pixel's nine rays are a third of it apart.
        near = [
            (y + down).astype(int) * SIZE + (x + along).astype(int)
            for down in (-1 / 6, 1 / 6)
            for along in (-1 / 6, 1 / 6)
        ]
        assert (alpha(path).ravel()[np.stack(near)] > 0).any(axis=0).all()
        assert 0.1 < shown.mean() < 0.5


def test_the_scene_can_be_trained_on(scene):
    assert check_scene(scene) == []
    # Its edges are smooth, and its colours those of a bright bunny with texture.
    picture = np.asarray(Image.open(scene / "train" / "r_3.png")) / 255.0
    covered = picture[..., 3]
    assert ((covered > 0) & (covered < 1)).sum() > 20
    colours = picture[covered == 1][:, :3]
    assert colours.std(axis=0).min() > 0.1 and 0.2 < colours.mean() < 0.8


def test_cameras_are_spread_evenly_and_look_at_the_origin():
    poses = camera_poses(40)
    rotations, places = poses[:, :3, :3], poses[:, :3, 3]
    assert np.swapaxes(rotations, 1, 2) @ rotations == pytest.approx(np.broadcast_to(np.eye(3), (40, 3, 3)))
    assert np.linalg.det(rotations) == pytest.approx(1.0)
    assert places == pytest.approx(4.0 * rotations[..., 2])
    assert (rotations[:, 2, 1] > 0).all()  # Up is up.
    heights = places[:, 2] / 4.0
    assert heights.min() < -0.2 and (heights < 0).mean() < 0.25
    cosines = places @ places.T / 16.0 - 2.0 * np.eye(40)
    nearest = np.degrees(np.arccos(cosines.max(axis=1)))
    assert nearest.min() > 0.5 * nearest.max()
    # Test views are others.
    between = np.degrees(np.arccos(np.clip(camera_poses(8, 0.5)[:, :3, 3] @ places.T / 16.0, -1, 1)))
    assert between.min() > 2.0


def test_the_same_seed_gives_the_same_glaze(scene, tmp_path):
    written = {}
    for name, seed in (("same", 0), ("other", 1)):
        folder = write_bunny_scene(tmp_path / name, views=5, test_views=2, size=SIZE, seed=seed)
        written[name] = (folder / "test" / "r_1.png").read_bytes()
    original = (scene / "test" / "r_1.png").read_bytes()
    assert written["same"] == original != written["other"]


def test_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    with pytest.raises(SignalError, match="ask for 1 or more"):
        write_bunny_scene(tmp_path / "none", views=0)
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("")
    for path in (full, tmp_path / "file"):
        assert main([str(path)]) == 1
        assert capsys.readouterr().err.count("\n") == 1
    assert (full / "notes.txt").read_text() == "mine"

    # The disk is full before the last picture.
    save = Image.Image.save

    def save_or_fail(image, path):
        if "test" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(image, path)

    monkeypatch.setattr(Image.Image, "save", save_or_fail)
    with pytest.raises(SignalError, match="No space left"):
        write_bunny_scene(tmp_path / "full-disk", views=1, test_views=1, size=8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]

    monkeypatch.undo()
    (tmp_path / "empty").mkdir()
    assert main([str(tmp_path / "empty"), "--views", "1", "--test-views", "1", "--size", "8"]) == 0
    assert check_scene(tmp_path / "empty")

"""Posed photographs: who reads them, and the one line that a scene gets that cannot be trained on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Optional

import numpy as np
import pytest
from nerfstudio.data.utils import colmap_parsing_utils as colmap
from PIL import Image

from winner_ns.errors import SignalError
from winner_ns.rays.scene_dataparser import check_scene, scene_dataparser
from winner_ns.scenes.folder import is_scene

WIDTH, HEIGHT = 20, 12


def picture(path: Path, mode: str = "RGB", size: tuple = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(raw).convert(mode).save(path)


def pose(turn: float) -> list:
    """Looks at the origin from 4 units away, turned around z."""
    c, s = float(np.cos(turn)), float(np.sin(turn))
    return [[-s, 0.0, c, 4 * c], [c, 0.0, s, 4 * s], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def blender(folder: Path, views: int = 3) -> Path:
    for split, count in {"train": views, "val": 2, "test": 2}.items():
        frames = [{"file_path": f"./{split}/r_{i}", "transform_matrix": pose(i)} for i in range(count)]
        for i in range(count):
            picture(folder / split / f"r_{i}.png", "RGBA")
        write(folder / f"transforms_{split}.json", {"camera_angle_x": 0.7, "frames": frames})
    return folder


def nerfstudio(folder: Path, views: int = 3) -> Path:
    frames = [{"file_path": f"images/f_{i:02d}.png", "transform_matrix": pose(i)} for i in range(views)]
    for frame in frames:
        picture(folder / frame["file_path"])
    intrinsics = {"fl_x": 25.0, "fl_y": 26.0, "cx": 10.0, "cy": 6.0, "w": WIDTH, "h": HEIGHT}
    write(folder / "transforms.json", {**intrinsics, "frames": frames})
    return folder


def colmap_scene(folder: Path, views: int = 3, model: str = "sparse/0", text: bool = False) -> Path:
    (folder / model).mkdir(parents=True)
    cameras = {1: colmap.Camera(1, "PINHOLE", WIDTH, HEIGHT, np.array([25.0, 26.0, 10.0, 6.0]))}
    images = {}
    for i in range(views):
        picture(folder / "images" / f"f_{i:02d}.png")
        half = i / 2
        turn, place = np.array([np.cos(half), 0.0, np.sin(half), 0.0]), np.array([0.0, 0.1 * i, 4.0])
        none = np.zeros((0, 2)), np.zeros(0, int)
        images[i + 1] = colmap.Image(i + 1, turn, place, 1, f"f_{i:02d}.png", *none)
    suffix = "txt" if text else "bin"
    (colmap.write_cameras_text if text else colmap.write_cameras_binary)(cameras, folder / model / f"cameras.{suffix}")
    (colmap.write_images_text if text else colmap.write_images_binary)(images, folder / model / f"images.{suffix}")
    return folder


WRITERS = [blender, nerfstudio, colmap_scene]


def write(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def change(path: Path, edit: Callable[[dict], Optional[object]]) -> Path:
    """Edits a JSON file in place."""
    values = json.loads(path.read_text())
    edit(values)
    write(path, values)
    return path


def line(path: Path, names: Optional[Path] = None) -> str:
    """The one line about a scene; it names the file."""
    with pytest.raises(SignalError) as caught:
        check_scene(path)
    text = str(caught.value)
    assert "\n" not in text and str(names or path) in text and "; " in text
    return text


def views(path: Path, split: str) -> list:
    outputs = scene_dataparser(path).setup().get_dataparser_outputs(split=split)
    assert len(outputs.image_filenames) == len(outputs.cameras)
    return [str(file.relative_to(path if path.is_dir() else path.parent)) for file in outputs.image_filenames]


@pytest.mark.parametrize("writer", WRITERS)
def test_whole_scenes_are_read(tmp_path, writer):
    folder = writer(tmp_path / "scene")
    assert is_scene(folder) and check_scene(folder) == []
    train, val = views(folder, "train"), views(folder, "val")
    assert len(train) >= 2 and len(val) >= 1 and not set(train) & set(val)


@pytest.mark.parametrize("model", ["sparse/0", "colmap/sparse/0", "sparse"])
@pytest.mark.parametrize("text", [False, True])
def test_colmap_models_wherever_they_lie(tmp_path, model, text):
    folder = colmap_scene(tmp_path / "scene", views=9, model=model, text=text)
    assert is_scene(folder) and check_scene(folder) == []
    assert views(folder, "val") == ["images/f_00.png", "images/f_08.png"]
    assert len(views(folder, "train")) == 7
    (folder / "images").rename(folder / "input")
    assert check_scene(folder) == [] and views(folder, "val")[0] == "input/f_00.png"


def test_a_transforms_file_may_be_named_itself(tmp_path):
    folder = nerfstudio(tmp_path / "a")
    (folder / "transforms.json").rename(folder / "transforms_scaled.json")
    assert not is_scene(folder)
    assert is_scene(folder / "transforms_scaled.json") and check_scene(folder / "transforms_scaled.json") == []
    assert len(views(folder / "transforms_scaled.json", "train")) == 2
    folder = blender(tmp_path / "b")
    assert check_scene(folder / "transforms_test.json") == []
    assert scene_dataparser(folder / "transforms_test.json").data == folder


def test_images_of_a_blender_scene_keep_their_alpha(tmp_path):
    outputs = scene_dataparser(blender(tmp_path / "scene")).setup().get_dataparser_outputs()
    assert outputs.alpha_color is None


@pytest.mark.parametrize("writer", WRITERS)
def test_a_single_view_is_allowed_with_a_warning(tmp_path, writer):
    folder = writer(tmp_path / "scene", views=1)
    (warning,) = check_scene(folder)
    assert str(folder) in warning and "single training view" in warning
    outputs = scene_dataparser(folder).setup().get_dataparser_outputs("train")
    assert len(outputs.image_filenames) == 1 and outputs.cameras.camera_to_worlds.isfinite().all()
    assert len(views(folder, "val")) >= 1


@pytest.mark.parametrize("count", range(2, 12))
def test_however_few_views_some_are_left_to_evaluate_with(tmp_path, count):
    folder = nerfstudio(tmp_path / "scene", views=count)
    check_scene(folder)
    train, val = views(folder, "train"), views(folder, "val")
    assert train and val and len(train) + len(val) == count


def test_cameras_in_one_place_stay_there(tmp_path):
    folder = nerfstudio(tmp_path / "scene")

    def gather(values):
        for frame in values["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] = 2.0

    change(folder / "transforms.json", gather)
    assert check_scene(folder) == []
    outputs = scene_dataparser(folder).setup().get_dataparser_outputs("train")
    assert (outputs.cameras.camera_to_worlds[..., 3] == 2.0).all()


@pytest.mark.parametrize(("missing", "left"), [("val", "test"), ("test", "val")])
def test_val_and_test_stand_for_each_other(tmp_path, missing, left):
    folder = blender(tmp_path / "scene")
    (folder / f"transforms_{missing}.json").unlink()
    (warning,) = check_scene(folder)
    assert f"no transforms_{missing}.json" in warning and f"transforms_{left}.json stands for it" in warning
    assert views(folder, missing) == views(folder, left) == [f"{left}/r_0.png", f"{left}/r_1.png"]
    (folder / f"transforms_{left}.json").unlink()
    assert "has no transforms_val.json and transforms_test.json" in line(folder)


@pytest.mark.parametrize("writer", [nerfstudio, colmap_scene])
def test_smaller_copies_of_large_photographs_are_taken_where_all_are_there(tmp_path, writer, monkeypatch, capfd):
    monkeypatch.setattr("winner_ns.scenes.images.LARGEST_SIDE", 10)
    folder = writer(tmp_path / "scene")
    assert check_scene(folder) == []  # And nobody is asked whether to make copies.
    assert views(folder, "train")[0].startswith("images/")
    for i in range(3):
        assert views(folder, "train")[0].startswith("images/")
        picture(folder / "images_2" / f"f_{i:02d}.png", size=(WIDTH // 2, HEIGHT // 2))
    assert check_scene(folder) == []
    cameras = scene_dataparser(folder).setup().get_dataparser_outputs("train").cameras
    assert views(folder, "train")[0].startswith("images_2/") and (cameras.width == WIDTH // 2).all()
    picture(folder / "images_2" / "f_01.png", size=(WIDTH, HEIGHT))
    assert "has 20 x 12 pixels, where" in line(folder, folder / "images_2" / "f_01.png")


def test_no_scene(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "none", tmp_path / "empty"):
        assert not is_scene(path)
    assert "does not exist" in line(tmp_path / "none")
    text = line(tmp_path / "empty")
    assert all(name in text for name in ("empty folder", "transforms_train.json", "transforms.json", "sparse/0"))
    picture(tmp_path / "photos" / "a.png")
    assert not is_scene(tmp_path / "photos") and "ns-process-data" in line(tmp_path / "photos")
    assert not is_scene(tmp_path / "photos" / "a.png") and "is no folder" in line(tmp_path / "photos" / "a.png")
    write(tmp_path / "photos" / "transforms_test.json", {})
    text = line(tmp_path / "photos" / "transforms_test.json", tmp_path / "photos" / "transforms_train.json")
    assert "is missing" in text


TRANSFORMS = [(blender, "transforms_train.json"), (blender, "transforms_val.json"), (nerfstudio, "transforms.json")]


@pytest.mark.parametrize(("writer", "name"), TRANSFORMS)
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"camera_angle_x": 0.7, "frames": [{"file_p', "is cut or no JSON (line 1)"),
        ("", "is cut or no JSON"),
        ("\x00\xff", "is cut or no JSON"),
        ("[1, 2]", "is a JSON list instead of an object"),
        ("{}", "has no frames"),
        ('{"frames": []}', "has no frames"),
        ('{"frames": {"a": 1}}', "has no frames"),
        ('{"frames": [7]}', "frame 0 has no file_path"),
        ('{"frames": [{"file_path": 3}]}', "frame 0 has no file_path"),
    ],
)
def test_files_that_are_no_transforms(tmp_path, writer, name, text, says):
    path = writer(tmp_path / "scene") / name
    path.write_bytes(text.encode("latin-1"))
    assert says in line(path.parent, path)


@pytest.mark.parametrize(("writer", "name"), TRANSFORMS)
@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (None, "has no transform_matrix"),
        ([[1, 0], [0, 1]], "is 2 x 2"),
        ([[1, 0, 0, 0], [0, 1, 0]], "is no matrix of numbers"),
        ([["a"] * 4] * 4, "is no matrix of numbers"),
        ([[10**400] * 4] * 4, "is no matrix of numbers"),
        ([[1, 0, 0, float("nan")], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "is not finite"),
        ([[1, 0, 0, float("inf")], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "is not finite"),
        (np.diag([0.0, 0.0, 0.0, 1.0]).tolist(), "cannot be inverted"),
        ([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "cannot be inverted"),
    ],
)
def test_poses_that_are_none(tmp_path, writer, name, matrix, says):
    path = writer(tmp_path / "scene") / name
    frame = json.loads(path.read_text())["frames"][1]["file_path"]
    change(path, lambda values: values["frames"][1].update(transform_matrix=matrix))
    text = line(path.parent, path)
    assert says in text and frame in text


def test_three_rows_of_a_pose_are_enough_for_blender_scenes(tmp_path):
    def cut(values):
        for frame in values["frames"]:
            frame["transform_matrix"] = frame["transform_matrix"][:3]

    path = change(blender(tmp_path / "a") / "transforms_train.json", cut)
    assert check_scene(path.parent) == []
    path = change(nerfstudio(tmp_path / "b") / "transforms.json", cut)
    assert "is 3 x 4" in line(path.parent, path)


def test_missing_intrinsics(tmp_path):
    path = blender(tmp_path / "a") / "transforms_train.json"
    change(path, lambda values: values.update(camera_angle_x=40.0))
    assert "camera_angle_x is 40" in line(path.parent, path)
    change(path, lambda values: values.pop("camera_angle_x"))
    assert "has no camera_angle_x" in line(path.parent, path)
    path = nerfstudio(tmp_path / "b") / "transforms.json"
    for value, says in ((0, "fl_x of images/f_00.png is 0"), ("wide", "is no finite number"), (None, "finite")):
        change(path, lambda values, value=value: values.update(fl_x=value))
        assert says in line(path.parent, path)
    change(path, lambda values: values.pop("fl_x"))
    assert "images/f_00.png has no fl_x" in line(path.parent, path)
    # In the frames they do as well.
    change(path, lambda values: [frame.update(fl_x=25.0) for frame in values["frames"]])
    assert check_scene(path.parent) == []


def test_other_settings_that_nerfstudio_stumbles_on(tmp_path):
    path = nerfstudio(tmp_path / "scene") / "transforms.json"
    change(path, lambda values: values.update(camera_model="PERISCOPE"))
    assert "camera_model PERISCOPE is unknown" in line(path.parent, path)
    names = [f"images/f_{i:02d}.png" for i in range(3)]
    change(
        path, lambda values: values.update(camera_model="OPENCV", train_filenames=names[:2], val_filenames=names[2:])
    )
    assert "no test_filenames" in line(path.parent, path)
    change(path, lambda values: values.update(test_filenames=["images/other.png"]))
    assert "cannot read its test views" in line(path.parent, path)
    change(path, lambda values: values.update(test_filenames=names[2:]))
    assert check_scene(path.parent) == [] and views(path.parent, "train") == names[:2]
    change(path, lambda values: values.update(train_filenames=[]))
    assert "has no train views" in line(path.parent, path)


@pytest.mark.parametrize("writer", WRITERS)
def test_missing_images(tmp_path, writer):
    folder = writer(tmp_path / "scene")
    first, second = [folder / "train" / f"r_{i}.png" for i in (0, 2)]
    if writer is not blender:
        first, second = [folder / "images" / f"f_{i:02d}.png" for i in (0, 2)]
    first.unlink()
    second.unlink()
    assert "2 of 3 images are missing" in line(folder, first)
    shutil.rmtree(first.parent)
    assert "3 of 3 images are missing" in line(folder)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("damage", ["cut", "short", "text", "empty"])
def test_damaged_images(tmp_path, writer, damage):
    folder = writer(tmp_path / "scene")
    path = folder / ("test/r_1.png" if writer is blender else "images/f_01.png")
    data = path.read_bytes()
    damaged = {"cut": data[: len(data) // 2], "short": data[:-100], "text": b"Dear diary, " * 9, "empty": b""}
    path.write_bytes(damaged[damage])
    text = line(folder, path)
    assert ("cut or damaged" if damage in ("cut", "short") else "no image") in text


def test_whole_images_with_something_behind_them_are_fine(tmp_path):
    folder = nerfstudio(tmp_path / "scene")
    for name, file_format in (("f_00", "JPEG"), ("f_01", "PNG")):
        path = folder / "images" / f"{name}.png"
        Image.open(path).save(path, file_format)
        path.write_bytes(path.read_bytes() + b"notes of the camera's maker")
    assert check_scene(folder) == []
    Image.open(path).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-300])
    assert "cut or damaged" in line(folder, path)


def test_images_that_do_not_go_together(tmp_path):
    folder = blender(tmp_path / "a")
    picture(folder / "train" / "r_2.png", "RGBA", (WIDTH, HEIGHT + 4))
    text = line(folder, folder / "train" / "r_2.png")
    assert "has 20 x 16 pixels" in text and f"{folder / 'train' / 'r_0.png'} has 20 x 12" in text
    picture(folder / "train" / "r_2.png", "RGB")
    assert "is RGB where" in line(folder, folder / "train" / "r_2.png")
    picture(folder / "train" / "r_2.png", "P")
    assert "is of the mode P" in line(folder, folder / "train" / "r_2.png")


@pytest.mark.parametrize("writer", [nerfstudio, colmap_scene])
def test_images_of_another_size_than_the_cameras(tmp_path, writer):
    folder = writer(tmp_path / "scene")
    picture(folder / "images" / "f_01.png", size=(WIDTH * 2, HEIGHT * 2))
    text = line(folder, folder / "images" / "f_01.png")
    assert "has 40 x 24 pixels" in text and "says 20 x 12" in text


def test_sizes_may_differ_where_every_frame_says_its_own(tmp_path):
    path = nerfstudio(tmp_path / "scene") / "transforms.json"

    def tell(values):
        del values["w"], values["h"]
        for i, frame in enumerate(values["frames"]):
            frame.update(w=WIDTH + 2 * i, h=HEIGHT)
            picture(path.parent / frame["file_path"], size=(frame["w"], HEIGHT))

    change(path, tell)
    assert check_scene(path.parent) == []


def test_masks_are_looked_at_too(tmp_path):
    path = nerfstudio(tmp_path / "scene") / "transforms.json"
    change(path, lambda values: values["frames"][0].update(mask_path="masks/f_00.png"))
    picture(path.parent / "masks" / "f_00.png", "L")
    assert "1 of 3 frames have a mask_path" in line(path.parent, path)
    change(path, lambda values: [frame.update(mask_path="masks/f_00.png") for frame in values["frames"]])
    assert check_scene(path.parent) == []
    picture(path.parent / "masks" / "f_00.png", "L", (WIDTH, HEIGHT // 2))
    assert "has 20 x 6 pixels" in line(path.parent, path.parent / "masks" / "f_00.png")
    (path.parent / "masks" / "f_00.png").unlink()
    assert "are missing" in line(path.parent, path)


@pytest.mark.parametrize("text", [False, True])
def test_damaged_colmap_models(tmp_path, text):
    folder = colmap_scene(tmp_path / "scene", text=text)
    model, suffix = folder / "sparse/0", "txt" if text else "bin"
    for name in ("cameras", "images"):
        path = model / f"{name}.{suffix}"
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - 30])
        assert "is cut or no COLMAP model" in line(folder, model)
        path.write_bytes(data)
    assert check_scene(folder) == []
    (model / f"images.{suffix}").unlink()
    assert "is missing" in line(folder, model / f"images.{suffix}")


def test_colmap_models_that_nerfstudio_does_not_read(tmp_path):
    folder = colmap_scene(tmp_path / "scene", text=True)
    cameras, images = folder / "sparse/0/cameras.txt", folder / "sparse/0/images.txt"
    kept = images.read_text()
    images.write_text("# nothing was placed\n")
    assert "has no views" in line(folder, images)
    images.write_text(kept.replace("1.0 0.0 0.0 0.0", "nan 0.0 0.0 0.0"))
    assert "f_00.png is not finite" in line(folder, images)
    images.write_text(kept)
    cameras.write_text("1 THIN_PRISM_FISHEYE 20 12 25 26 10 6 0 0 0 0 0 0 0 0\n")
    assert "does not know its cameras" in line(folder, folder / "sparse/0")


def test_lists_of_a_colmap_scene_have_to_be_whole(tmp_path):
    folder = colmap_scene(tmp_path / "scene")
    (folder / "train_list.txt").write_text("f_00.png\nf_01.png\n")
    assert "has train_list.txt, but no val_list.txt" in line(folder)
    for split in ("val", "test"):
        (folder / f"{split}_list.txt").write_text("f_02.png\n")
    assert check_scene(folder) == [] and len(views(folder, "train")) == 2


def test_telling_a_scene_is_cheap():
    script = (
        "import sys; from winner_ns.scenes.folder import is_scene; is_scene('.')\n"
        "print([name for name in ('PIL', 'nerfstudio') if name in sys.modules])"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def rename(folder: Path, old: str, new: str) -> None:
    (folder / new).parent.mkdir(parents=True, exist_ok=True)
    (folder / old).rename(folder / new)


@pytest.mark.parametrize("text", [False, True])
def test_spaces_in_the_names_of_a_colmap_model(tmp_path, text):
    folder = colmap_scene(tmp_path / "scene", text=text)
    model = folder / "sparse/0"
    write_images = colmap.write_images_text if text else colmap.write_images_binary
    path = model / f"images.{'txt' if text else 'bin'}"
    images = (colmap.read_images_text if text else colmap.read_images_binary)(path)
    names = ["my photo 1.png", "my photo 2.png", "a folder/a b.png"]
    for (number, image), name in zip(sorted(images.items()), names):
        rename(folder / "images", image.name, name)
        images[number] = image._replace(name=name)
    write_images(images, path)
    assert check_scene(folder) == []
    assert set(views(folder, "train") + views(folder, "val")) == {f"images/{name}" for name in names}


@pytest.mark.parametrize(
    ("said", "file"),
    [
        ("images\\f_00.png", "images/f_00.png"),
        (".\\images\\f_00.png", "images/f_00.png"),
        ("images/f_00", "images/f_00.png"),
        ("images/f_00.png.png", "images/f_00.png"),
        ("images/f_00.PNG", "images/f_00.png"),
        ("images\\f_00.png", "images/f_00.PNG"),
        ("images/f_00.png", "images/f_00.png.png"),
        ("images/F_00.png", None),
        ("images/f_00.jpg", None),
    ],
)
@pytest.mark.parametrize("writer", [nerfstudio, colmap_scene])
def test_names_that_are_not_quite_the_files(tmp_path, writer, said, file):
    folder = writer(tmp_path / "scene")
    if file and file != "images/f_00.png":
        rename(folder, "images/f_00.png", file)
    if writer is nerfstudio:
        change(folder / "transforms.json", lambda values: values["frames"][0].update(file_path=said))
    else:
        path = folder / "sparse/0/images.bin"
        images = colmap.read_images_binary(path)
        images[1] = images[1]._replace(name=said.replace("images/", "").replace(".\\", "").replace("images\\", ""))
        colmap.write_images_binary(images, path)
    if file is None:
        assert "1 of 3 images are missing" in line(folder, folder)
        return
    warnings = check_scene(folder)
    assert all("other names than it says" in warning for warning in warnings) and len(warnings) <= 1
    found = views(folder, "train") + views(folder, "val")
    assert file in found and all((folder / name).is_file() for name in found)
    # Two that fit are none.
    if "\\" not in said and Path(said).name != Path(file).name:
        picture(folder / "images" / "f_00.png.PNG")
        assert "1 of 3 images are missing" in line(folder, folder)


@pytest.mark.parametrize("text", [False, True])
def test_names_that_are_whole_paths(tmp_path, text):
    folder = colmap_scene(tmp_path / "scene", text=text)
    path = folder / f"sparse/0/images.{'txt' if text else 'bin'}"
    images = (colmap.read_images_text if text else colmap.read_images_binary)(path)
    for where, found in ((tmp_path / "elsewhere", True), (tmp_path / "nowhere", False), (Path("x" * 300), False)):
        name = str(where / "f_00.png")
        (colmap.write_images_text if text else colmap.write_images_binary)(
            {**images, 1: images[1]._replace(name=name)}, path
        )
        if found:
            picture(Path(name))
            assert check_scene(folder) == []
            read = scene_dataparser(folder).setup().get_dataparser_outputs(split="val").image_filenames
            assert [file.resolve() for file in read] == [Path(name).resolve()]
        else:
            assert "1 of 3 images are missing" in line(folder, folder)


@pytest.mark.parametrize(
    ("said", "file"),
    [
        ("./train/r_0.png", "r_0.png"),
        (".\\train\\r_0", "r_0.png"),
        ("train/r_0.jpg", "r_0.jpg"),
        ("./train/r_0", "r_0.JPG"),
        ("./train/r_0", "r_0.PNG"),
    ],
)
def test_names_of_a_blender_scene_with_another_suffix(tmp_path, said, file):
    folder = blender(tmp_path / "scene")
    change(folder / "transforms_train.json", lambda values: values["frames"][0].update(file_path=said))
    (folder / "train/r_0.png").unlink()
    for view in (folder / "train").glob("*.png"):
        picture(view)
    for split in ("val", "test"):
        for view in (folder / split).glob("*.png"):
            picture(view)
    picture(folder / "train" / file)
    warnings = check_scene(folder)
    assert len(warnings) <= 1 and views(folder, "train")[0] == f"train/{file}"


@pytest.mark.parametrize(
    ("camera", "said"),
    [
        ("1 PINHOLE 20 12", "camera 1 .PINHOLE. has 0 of its 4 parameters"),
        ("1 PINHOLE 20 12 25 26 10", "camera 1 .PINHOLE. has 3 of its 4 parameters"),
        ("1 PINHOLE 20 12 nan 26 10 6", "makes no sense"),
        ("1 PINHOLE 0 12 25 26 10 6", "makes no sense"),
        ("1 MAGIC 20 12 25", "no model that COLMAP has"),
    ],
)
def test_cameras_that_lack_something_are_named(tmp_path, camera, said):
    folder = colmap_scene(tmp_path / "scene", text=True)
    (folder / "sparse/0/cameras.txt").write_text(camera + "\n")
    with pytest.raises(SignalError, match=said):
        check_scene(folder)


@pytest.mark.slow
def test_inspecting_a_scene_lists_all_sizes_and_nothing_of_torchs(tmp_path):
    path = nerfstudio(tmp_path / "scene", views=6) / "transforms.json"

    def tell(values):
        del values["w"], values["h"]
        for i, frame in enumerate(values["frames"]):
            frame.update(w=WIDTH + 10 * (i % 2), h=HEIGHT)
            picture(path.parent / frame["file_path"], size=(frame["w"], HEIGHT))

    change(path, tell)
    command = [sys.executable, "-m", "winner_ns.commands.main", "inspect", str(path.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert f"5 photographs, 3 of {WIDTH + 10} x {HEIGHT}, 2 of {WIDTH} x {HEIGHT} pixels" in done.stdout

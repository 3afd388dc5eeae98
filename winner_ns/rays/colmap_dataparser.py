"""Posed photographs as COLMAP leaves them: a model of cameras and poses beside the images."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple, Type

import numpy as np
from jaxtyping import Float
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParser, ColmapDataParserConfig
from nerfstudio.data.utils import colmap_parsing_utils
from nerfstudio.process_data.colmap_utils import parse_colmap_camera_params

from winner_ns.errors import SignalError
from winner_ns.scenes.folder import IMAGE_FOLDERS, SPLITS, SceneFolder
from winner_ns.scenes.images import NamedImages, check_images, downscale_factor, renamed_note
from winner_ns.scenes.transforms import checked_pose, in_one_place


class ColmapImages(ColmapDataParser):
    """nerfstudio's reader, with the images that the model's names mean."""

    def _get_all_images_and_cameras(self, recon_dir: Path):
        found = super()._get_all_images_and_cameras(recon_dir)
        folder, names, images = self.config.data / self.config.images_path, _full_names(recon_dir), NamedImages()
        for frame in found["frames"]:
            name = names.get(frame["colmap_im_id"], os.path.relpath(frame["file_path"], folder))
            frame["file_path"] = images.find(folder, name).as_posix()
        return found


@dataclass
class ColmapImagesConfig(ColmapDataParserConfig):
    """Of COLMAP's names, spaces and those of other systems are understood."""

    _target: Type = field(default_factory=lambda: ColmapImages)


class ColmapScene(NamedTuple):
    """A COLMAP model as far as nerfstudio uses it."""

    folder: Path
    model: Path
    """Relative to the folder."""
    images: Path
    """Folder of the photographs, relative to the folder."""
    names: List[str]
    """Of the photographs in their folder, in the order of COLMAP's numbers."""
    said: List[str]
    """What the model calls them."""
    sizes: List[Tuple[int, int]]
    """Width and height, pixels."""
    poses: Float[np.ndarray, "views 4 4"]
    """World-to-camera."""


def read_colmap(scene: SceneFolder) -> ColmapScene:
    """Reads the cameras of a COLMAP model.

    Raises:
        SignalError: it is cut, has no views, or cameras that nerfstudio does not know.
    """
    model = scene.folder / scene.model
    suffix = "txt" if (model / "cameras.txt").is_file() else "bin"
    views = model / f"images.{suffix}"
    if not views.is_file():
        raise SignalError(views, "is missing", "it holds the poses that belong to the cameras beside it")
    try:
        if suffix == "txt":
            cameras = colmap_parsing_utils.read_cameras_text(model / "cameras.txt")
            images = colmap_parsing_utils.read_images_text(views)
        else:
            cameras = colmap_parsing_utils.read_cameras_binary(model / "cameras.bin")
            images = colmap_parsing_utils.read_images_binary(views)
        ordered = [images[number] for number in sorted(images)]
        sizes = [(int(cameras[image.camera_id].width), int(cameras[image.camera_id].height)) for image in ordered]
    except Exception as error:  # Any type: whatever the parsers stumble on in a damaged file.
        raise SignalError(
            model, f"is cut or no COLMAP model ({type(error).__name__})", "export it from COLMAP again"
        ) from error
    if not ordered:
        raise SignalError(views, "has no views", "COLMAP could place none; take photographs that overlap more")
    for camera in cameras.values():
        _check_camera(model / f"cameras.{suffix}", camera)
    try:
        for camera in cameras.values():
            parse_colmap_camera_params(camera)
    except NotImplementedError as error:
        raise SignalError(
            model, f"nerfstudio does not know its cameras ({error})", "undistort the images with COLMAP"
        ) from error
    poses = []
    for image in ordered:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = image.qvec2rotmat(), image.tvec
        poses.append(checked_pose(views, image.name, pose))
    there = next((Path(name) for name in IMAGE_FOLDERS if (scene.folder / name).is_dir()), Path())
    full, found = _full_names(model), NamedImages()
    said = [full.get(image.id, image.name) for image in ordered]
    files = [found.find(scene.folder / there, name) for name in said]
    # A name may be a whole path, to elsewhere.
    names = [Path(os.path.relpath(file, scene.folder / there)).as_posix() for file in files]
    return ColmapScene(scene.folder, scene.model, there, names, said, sizes, np.stack(poses))


def _full_names(model: Path) -> Dict[int, str]:
    """Images' names by their numbers in a model as text, spaces included, of which nerfstudio takes the first word."""
    names: Dict[int, str] = {}
    if not (model / "cameras.txt").is_file():
        return names
    with open(model / "images.txt", encoding="utf-8") as file:
        for line in file:
            words = line.strip().split(None, 9)
            if words and not words[0].startswith("#"):
                names[int(words[0])] = words[9]
                next(file, "")  # What the image shows.
    return names


def _check_camera(path: Path, camera: colmap_parsing_utils.Camera) -> None:
    known = colmap_parsing_utils.CAMERA_MODEL_NAMES.get(camera.model)
    what, advice = f"camera {camera.id} ({camera.model})", "export the model from COLMAP again"
    if known is None:
        raise SignalError(path, f"{what} is of no model that COLMAP has", advice)
    if len(camera.params) != known.num_params:
        problem = f"{what} has {len(camera.params)} of its {known.num_params} parameters"
        raise SignalError(path, problem, f"give them behind the size, {camera.width} {camera.height}; or {advice}")
    if not np.isfinite(camera.params).all() or min(camera.width, camera.height) <= 0 or camera.params[0] <= 0:
        raise SignalError(path, f"{what} has a size or a focal length that makes no sense", advice)


def colmap_dataparser(colmap: ColmapScene) -> ColmapDataParserConfig:
    """Settings that read these cameras."""
    config = ColmapImagesConfig(
        data=colmap.folder,
        colmap_path=colmap.model,
        images_path=colmap.images,
        downscale_factor=_factor(colmap),
        load_3D_points=False,
    )
    if len(colmap.names) == 1:
        config.eval_mode = "all"
    if in_one_place(np.linalg.inv(colmap.poses)):
        config.orientation_method, config.center_method, config.auto_scale_poses = "none", "none", False
    return config


def check_colmap(colmap: ColmapScene) -> List[str]:
    """Raises SignalError unless all images and lists that the cameras need are there; warnings."""
    lists = [f"{split}_list.txt" for split in SPLITS]
    given = [name for name in (*lists, "validation_list.txt") if (colmap.folder / name).is_file()]
    missing = [name for name in lists if name not in given]
    if given and missing:
        raise SignalError(colmap.folder, f"has {given[0]}, but no {missing[0]}", "list the views of every split")
    factor = _factor(colmap)
    sizes = [(width // factor, height // factor) for width, height in colmap.sizes]
    check_images(colmap.folder / colmap.model, _files(colmap, factor), sizes)
    return renamed_note(colmap.folder / colmap.model, colmap.said, _files(colmap, 1))


def _files(colmap: ColmapScene, factor: int) -> List[Path]:
    """Images, or their smaller copies, as the dataparser names them."""
    name = str(colmap.images) if factor == 1 else f"{colmap.images}_{factor}"
    return [colmap.folder / name / image for image in colmap.names]


def _factor(colmap: ColmapScene) -> int:
    if colmap.images == Path():
        return 1
    return downscale_factor(_files(colmap, 1)[0], lambda factor: _files(colmap, factor))

"""Posed photographs: which of nerfstudio's dataparsers reads them, and whether they can be trained on."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional, Type, Union

import numpy as np
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig, DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import Blender, BlenderDataParserConfig
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image

from winner_ns.errors import SignalError
from winner_ns.rays.colmap_dataparser import check_colmap, colmap_dataparser, read_colmap
from winner_ns.rays.nerfstudio_dataparser import check_nerfstudio, nerfstudio_dataparser
from winner_ns.scenes.folder import SPLITS, SceneFolder, blender_split, find_scene
from winner_ns.scenes.images import NamedImages, check_images, renamed_note
from winner_ns.scenes.transforms import Transforms, read_transforms


class BlenderScene(Blender):
    """A blender scene whose val or test views may be missing: the other's stand for them. Images may have any suffix,
    and paths those of other systems."""

    def _generate_dataparser_outputs(self, split: str = "train"):
        transforms = read_transforms(blender_split(self.data, split), "blender")
        files = _blender_files(transforms)
        with Image.open(files[0]) as image:
            width, height = image.size
        poses = torch.from_numpy(transforms.poses[:, :3].astype(np.float32))
        poses[..., 3] *= self.scale_factor
        focal = 0.5 * width / math.tan(0.5 * float(transforms.values["camera_angle_x"]))
        cameras = Cameras(
            camera_to_worlds=poses,
            fx=focal,
            fy=focal,
            cx=width / 2.0,
            cy=height / 2.0,
            camera_type=CameraType.PERSPECTIVE,
            metadata={},  # Without some, nerfstudio's ns-export cameras stumbles.
        )
        return DataparserOutputs(
            image_filenames=files,
            cameras=cameras,
            alpha_color=self.alpha_color_tensor,
            scene_box=SceneBox(aabb=torch.tensor([[-1.5, -1.5, -1.5], [1.5, 1.5, 1.5]], dtype=torch.float32)),
            dataparser_scale=self.scale_factor,
        )


@dataclass
class BlenderSceneConfig(BlenderDataParserConfig):
    """Images keep their alpha: it says what is scene, and the model blends."""

    _target: Type = field(default_factory=lambda: BlenderScene)
    alpha_color: Optional[str] = None


def scene_dataparser(path: Union[str, os.PathLike]) -> DataParserConfig:
    """Settings of the dataparser that reads a scene, with `data` set; none of them asks the user anything.

    In the nerfstudio and COLMAP formats nerfstudio turns, centres and scales the scene by the cameras' positions,
    unless they all stand in one place. Of photographs above 1600 pixels smaller copies (images_2, images_4, …) are
    taken where all are there. Where there are too few views to withhold a tenth, every eighth is withheld; a single one
    is evaluated with as well.

    Args:
        path: a folder, or its transforms*.json.

    Raises:
        SignalError: there is no scene, or its cameras cannot be read.
    """
    scene = find_scene(path)
    if scene.transforms is None:
        return colmap_dataparser(read_colmap(scene))
    if scene.format == "blender":
        return BlenderSceneConfig(data=scene.folder)
    return nerfstudio_dataparser(read_transforms(scene.transforms, "nerfstudio"))


def check_scene(path: Union[str, os.PathLike]) -> List[str]:
    """Looks at all that training and evaluation will read, but decodes no more images than nerfstudio does for it.

    Returns:
        Warnings: what can be trained on, but may not be what is wanted.

    Raises:
        SignalError: something is missing or wrong; one line names it.
    """
    scene = find_scene(path)
    if scene.transforms is None:
        warnings = check_colmap(read_colmap(scene))
    elif scene.format == "blender":
        warnings = _check_blender(scene.folder)
    else:
        warnings = check_nerfstudio(read_transforms(scene.transforms, "nerfstudio"))
    counts = {split: _view_count(scene, path, split) for split in SPLITS}
    if counts["train"] == 1:
        warnings.append(f"{scene.folder}: has a single training view; nothing tells how deep the scene is")
    return warnings


def _view_count(scene: SceneFolder, path: Union[str, os.PathLike], split: str) -> int:
    """Views of a split, as nerfstudio's dataparser finds them."""
    named = scene.transforms or scene.folder
    try:
        with CONSOLE.capture():  # What nerfstudio says about it, it says again when training starts.
            count = len(scene_dataparser(path).setup().get_dataparser_outputs(split=split).image_filenames)
    except SignalError:
        raise
    except Exception as error:  # Any type: whatever the dataparsers assert or stumble on.
        reason = str(error) or type(error).__name__
        raise SignalError(named, f"nerfstudio cannot read its {split} views ({reason})", "correct the file") from error
    if not count:
        use = "train on" if split == "train" else "evaluate with"
        raise SignalError(named, f"has no {split} views", f"leave at least one to {use}")
    return count


def _check_blender(folder: Path) -> List[str]:
    warnings = []
    for split in SPLITS:
        found = blender_split(folder, split)
        if found.name != f"transforms_{split}.json":
            warnings.append(f"{folder}: has no transforms_{split}.json; {found.name} stands for it")
            continue
        transforms = read_transforms(found, "blender")
        files = _blender_files(transforms)
        check_images(found, files)
        names = [frame["file_path"].replace("\\", "/") + ".png" for frame in transforms.frames]
        warnings += renamed_note(found, names, files)
    return warnings


def _blender_files(transforms: Transforms) -> List[Path]:
    """The images; their paths lack the suffix .png."""
    named = NamedImages()
    return [named.find(transforms.path.parent, frame["file_path"], ".png") for frame in transforms.frames]

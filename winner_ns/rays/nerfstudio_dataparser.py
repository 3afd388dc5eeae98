"""Posed photographs in nerfstudio's own format: a transforms.json with intrinsics, as ns-process-data writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import List, Type

from nerfstudio.cameras.cameras import CAMERA_MODEL_TO_TYPE
from nerfstudio.data.dataparsers.nerfstudio_dataparser import Nerfstudio, NerfstudioDataParserConfig

from winner_ns.errors import SignalError
from winner_ns.scenes.folder import SPLITS
from winner_ns.scenes.images import NamedImages, check_images, downscale_factor, renamed_note
from winner_ns.scenes.transforms import Transforms, in_one_place

FEWEST_FOR_FRACTION = 10
"""Views; of fewer, nerfstudio's fraction of 0.9 leaves none to evaluate with, so that every eighth one is taken."""


class NerfstudioImages(Nerfstudio):
    """nerfstudio's reader, with the files that the paths mean."""

    def _get_fname(self, filepath: Path, data_dir: Path, downsample_folder_prefix: str = "images_") -> Path:
        named = super()._get_fname(Path(str(filepath).replace("\\", "/")), data_dir, downsample_folder_prefix)
        return self._named.find(named.parent, named.name)

    @cached_property
    def _named(self) -> NamedImages:
        return NamedImages()


@dataclass
class NerfstudioImagesConfig(NerfstudioDataParserConfig):
    """Paths of other systems, and names whose suffix is not quite the file's, are understood."""

    _target: Type = field(default_factory=lambda: NerfstudioImages)


def nerfstudio_dataparser(transforms: Transforms) -> NerfstudioDataParserConfig:
    """Settings that read these cameras."""
    # The folder for the usual name: beside it nerfstudio looks for a COLMAP model, whose axes were once swapped.
    data = transforms.path.parent if transforms.path.name == "transforms.json" else transforms.path
    config = NerfstudioImagesConfig(data=data, downscale_factor=_factor(transforms))
    if len(transforms.frames) == 1:
        config.eval_mode = "all"
    elif len(transforms.frames) < FEWEST_FOR_FRACTION:
        config.eval_mode = "interval"
    if in_one_place(transforms.poses):
        config.orientation_method, config.center_method, config.auto_scale_poses = "none", "none", False
    return config


def check_nerfstudio(transforms: Transforms) -> List[str]:
    """Raises SignalError unless all that the cameras need is there and belongs together; warnings."""
    values, factor = transforms.values, _factor(transforms)
    model = values.get("camera_model", "OPENCV")
    if model not in CAMERA_MODEL_TO_TYPE:
        known = ", ".join(CAMERA_MODEL_TO_TYPE)
        raise SignalError(transforms.path, f"the camera_model {model} is unknown", f"nerfstudio knows {known}")
    lists = [f"{split}_filenames" for split in SPLITS]
    if any(name in values for name in lists) and not all(name in values for name in lists):
        missing = next(name for name in lists if name not in values)
        raise SignalError(transforms.path, f"lists the views of some splits, but has no {missing}", "list them all")
    sizes = [
        tuple(int(float(values.get(name, frame.get(name)))) // factor for name in ("w", "h"))
        for frame in transforms.frames
    ]
    check_images(transforms.path, _files(transforms, "file_path", factor), sizes)
    masks = _files(transforms, "mask_path", factor)
    if masks:
        if len(masks) < len(sizes):
            raise SignalError(
                transforms.path, f"{len(masks)} of {len(sizes)} frames have a mask_path", "give all frames one, or none"
            )
        check_images(transforms.path, masks, sizes, masks=True)
    names = [str(frame["file_path"]).replace("\\", "/") for frame in transforms.frames]
    return renamed_note(transforms.path, names, _files(transforms, "file_path", 1))


def _files(transforms: Transforms, key: str, factor: int) -> List[Path]:
    """Images or masks, or their smaller copies, as the dataparser names them."""
    folder, named = transforms.path.parent, NamedImages()
    names = [str(frame[key]) for frame in transforms.frames if key in frame]
    if factor == 1:
        return [named.find(folder, name) for name in names]
    copies = folder / f"{'images' if key == 'file_path' else 'masks'}_{factor}"
    return [named.find(copies, Path(name.replace("\\", "/")).name) for name in names]


def _factor(transforms: Transforms) -> int:
    return downscale_factor(
        _files(transforms, "file_path", 1)[0],
        lambda factor: [file for key in ("file_path", "mask_path") for file in _files(transforms, key, factor)],
    )

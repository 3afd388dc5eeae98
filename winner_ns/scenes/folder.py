"""Where posed photographs lie: folders that one of nerfstudio's readers takes, told by the files that are in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from winner_ns.errors import SignalError

COLMAP_MODELS = ("sparse/0", "colmap/sparse/0", "sparse", "colmap/sparse")
"""Folders of COLMAP's cameras and poses; the latter two are what its undistorter writes."""
IMAGE_FOLDERS = ("images", "input")
"""Of a COLMAP scene's photographs; else they lie in the scene's folder itself."""

SPLITS = ("train", "val", "test")
_STANDS_FOR = {"val": "test", "test": "val"}

_FORMATS = (
    "give a folder with transforms_train.json (blender), transforms.json (nerfstudio) or a COLMAP model in sparse/0 or "
    "colmap/sparse/0; ns-process-data makes one of photographs"
)


@dataclass(frozen=True)
class SceneFolder:
    """Posed photographs and who reads them."""

    format: str
    """blender, nerfstudio or colmap."""
    folder: Path
    transforms: Optional[Path]
    """The JSON with the (training) cameras; None for COLMAP."""
    model: Optional[Path]
    """COLMAP's model, relative to the folder."""


def is_scene(path: Union[str, os.PathLike]) -> bool:
    """Whether a folder, or a transforms*.json, holds posed photographs; nothing is opened."""
    try:
        find_scene(path)
    except SignalError:
        return False
    return True


def find_scene(path: Union[str, os.PathLike]) -> SceneFolder:
    """Tells the format by the files' names: transforms_train.json counts more than transforms.json, and that more than
    a COLMAP model.

    Args:
        path: a folder, or its transforms*.json.

    Raises:
        SignalError: there is no scene; what is looked for is named.
    """
    path = Path(path)
    if path.is_file():
        return _named(path)
    if not path.is_dir():
        raise SignalError(path, "does not exist", "check the path")
    if (path / "transforms_train.json").is_file():
        return SceneFolder("blender", path, path / "transforms_train.json", None)
    if (path / "transforms.json").is_file():
        return SceneFolder("nerfstudio", path, path / "transforms.json", None)
    for model in COLMAP_MODELS:
        if any((path / model / f"cameras.{suffix}").is_file() for suffix in ("bin", "txt")):
            return SceneFolder("colmap", path, None, Path(model))
    problem = "holds no posed photographs" if any(path.iterdir()) else "is an empty folder"
    raise SignalError(path, problem, _FORMATS)


def _named(path: Path) -> SceneFolder:
    """The scene of a transforms*.json."""
    if not (path.name.startswith("transforms") and path.suffix == ".json"):
        raise SignalError(path, "is no folder and no transforms.json", _FORMATS)
    if path.stem.removeprefix("transforms_") not in SPLITS:
        return SceneFolder("nerfstudio", path.parent, path, None)
    training = path.with_name("transforms_train.json")
    if not training.is_file():
        raise SignalError(training, "is missing", f"it has the training views that belong to {path.name}")
    return SceneFolder("blender", path.parent, training, None)


def blender_split(folder: Path, split: str) -> Path:
    """The JSON of a split of a blender scene: its own, or for one of val and test that is missing, the other's.

    Raises:
        SignalError: there is neither.
    """
    own = folder / f"transforms_{split}.json"
    other = folder / f"transforms_{_STANDS_FOR.get(split, split)}.json"
    for path in (own, other):
        if path.is_file():
            return path
    names = own.name if own == other else f"{own.name} and {other.name}"
    raise SignalError(
        folder, f"has no {names}", "add the cameras of views that are not trained on; one of val and test is enough"
    )

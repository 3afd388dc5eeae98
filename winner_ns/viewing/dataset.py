"""What nerfstudio takes for the dataset of a signal."""

from __future__ import annotations

from typing import Any, Dict

import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.scene_box import SceneBox
from torch.utils.data import Dataset


class SignalDataset(Dataset):
    """What nerfstudio's viewer and models want to know of a dataset: where the signal lies, and one camera that looks
    at it. There are no photographs that the viewer could draw into the scene, so its length is 0.

    Args:
        description: of the field, as plain JSON, for the model that is built on the dataset.
    """

    def __init__(self, description: Dict[str, Any]) -> None:
        self.metadata = {"description": description}
        self.scene_box = SceneBox(aabb=torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
        pose = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 2.5]])
        self.cameras = Cameras(
            camera_to_worlds=pose[None],
            fx=600.0,
            fy=600.0,
            cx=256.0,
            cy=256.0,
            width=512,
            height=512,
            camera_type=CameraType.PERSPECTIVE,
        )

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True  # As nerfstudio asks whether there is a dataset at all.

    def __getitem__(self, index: int) -> Dict[str, Any]:
        raise IndexError(index)

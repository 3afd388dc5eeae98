"""nerfstudio data managers that feed coordinates and values in place of rays and pixels."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple, Type, Union

import torch
import tyro
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.datamanagers.base_datamanager import DataManager, DataManagerConfig
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor
from torch.nn import Parameter
from torch.utils.data import Dataset

from winner_ns.errors import SignalError
from winner_ns.fitting.target import GridTarget, ShapeTarget, Target, load_target
from winner_ns.signals import ReadOptions

SampleBatch = Dict[str, Tensor]
"""coordinates [n, d] and values [n, c], in place of a RayBundle."""


@dataclass
class SignalDataManagerConfig(DataManagerConfig):
    """Which signal is fitted, and which of its samples each step sees."""

    _target: Type = field(default_factory=lambda: GridDataManager)
    """The class is chosen by the kind of signal."""
    data: Optional[Path] = None
    """The signal's file: an image, a sound, a mesh or point samples, a volume or a video."""
    kind: Literal["auto", "image", "audio", "shape", "volume", "video"] = "auto"
    """What the file is; auto tells it from the file's content and suffix."""
    batch_size: Optional[int] = None
    """Samples per step, drawn without replacement within an epoch; 0: all of them; None: the kind's default."""
    holdout: str = "none"
    """Samples that are withheld from training to judge what lies between: none, every-second (trains on the even
    samples along each axis) or a fraction such as 0.1 (chosen at random). Not for shapes."""
    read: ReadOptions = field(default_factory=ReadOptions)
    """Which part of a sound is read, and how."""
    shape_samples: int = 524288
    """Points drawn from a shape for training: on, near and away from its surface."""
    seed: tyro.conf.Suppress[int] = 42
    """Set from --machine.seed."""
    description: tyro.conf.Suppress[Dict[str, Any]] = field(default_factory=dict)
    """What is needed to rebuild the field without the data; filled in when training starts."""

    def load(self) -> Target:
        """Reads the signal and measures it.

        Raises:
            SignalError: no file is given, or it cannot be used.
        """
        if self.data is None:
            raise SignalError("--data", "no file is given", "give an image, a sound, a mesh, a volume or a video")
        return load_target(self.data, self.kind, self.holdout, astuple(self.read), self.shape_samples, self.seed)

    def setup(self, **kwargs: Any) -> "SignalDataManager":
        manager = ShapeDataManager if self.description.get("kind") == "shape" else GridDataManager
        return manager(self, **kwargs)


class SignalDataset(Dataset):
    """The one "view" that nerfstudio's viewer and models want to know of: a camera that looks at the signal."""

    def __init__(self, description: Dict[str, Any], thumbnail: Tensor) -> None:
        self.metadata = {"description": description}
        self.scene_box = SceneBox(aabb=torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]))
        height, width = thumbnail.shape[:2]
        pose = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 2.5]])
        self.cameras = Cameras(
            camera_to_worlds=pose[None],
            fx=1.2 * max(height, width),
            fy=1.2 * max(height, width),
            cx=width / 2,
            cy=height / 2,
            width=width,
            height=height,
            camera_type=CameraType.PERSPECTIVE,
        )
        self.thumbnail = thumbnail

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Dict[str, Any]:
        return {"image_idx": index, "image": self.thumbnail}


class SignalDataManager(DataManager):
    """Feeds batches of coordinates and values.

    A step's batch depends on the seed and the step alone, so that a resumed run sees what the whole run would have
    seen. Without the data (moved, or on another machine) everything but training and evaluation still works.
    """

    config: SignalDataManagerConfig

    def __init__(
        self,
        config: SignalDataManagerConfig,
        device: Union[torch.device, str] = "cpu",
        test_mode: Literal["test", "val", "inference"] = "val",
        world_size: int = 1,
        local_rank: int = 0,
        **kwargs: Any,
    ) -> None:
        self.config = config
        self.device = device
        self.world_size, self.local_rank = world_size, local_rank
        self.test_mode = test_mode
        self.includes_time = False
        self.target: Optional[Target] = None
        self.problem: Optional[SignalError] = None
        try:
            self.target = self._load()
        except SignalError as error:
            if test_mode == "val":
                raise
            self.problem = error
        dataset = SignalDataset(config.description, self.thumbnail())
        self.train_dataset = self.eval_dataset = dataset
        super().__init__()

    def _load(self) -> Target:
        target = self.config.load()
        described = self.config.description.get("signal")
        if described is not None and json.loads(json.dumps(target.signal.describe())) != described:
            raise SignalError(str(self.config.data), "is not what the run was trained on any more", "put that back")
        return target

    def need_target(self) -> Target:
        """The target.

        Raises:
            SignalError: the data is not where or what it was when the run was trained.
        """
        if self.target is None:
            assert self.problem is not None
            raise self.problem
        return self.target

    def thumbnail(self) -> Tensor:
        """A small picture of the original, [h, w, 3] in [0, 1], for the viewer."""
        return torch.full((64, 64, 3), 0.8)

    def setup_train(self) -> None:
        """Nothing is set up beside the target."""

    def setup_eval(self) -> None:
        """Nothing is set up beside the target."""

    def forward(self) -> None:
        """Data managers are modules without a forward pass."""

    def next_train(self, step: int) -> Tuple[SampleBatch, SampleBatch]:
        batch_size = self.config.batch_size or 0
        coordinates, values = self.need_target().batch(step, batch_size, self.local_rank, self.world_size)
        batch = {"coordinates": coordinates.to(self.device), "values": values.to(self.device)}
        return batch, batch

    def next_eval(self, step: int) -> Tuple[SampleBatch, SampleBatch]:
        """Samples like the training ones; where some are withheld, of those."""
        target = self.need_target()
        if isinstance(target, GridTarget) and target.split.heldout_size:
            coordinates, values = target.at(target.split.heldout_samples(self.config.batch_size or 65536))
            batch = {"coordinates": coordinates.to(self.device), "values": values.to(self.device)}
            return batch, batch
        return self.next_train(step)

    def next_eval_image(self, step: int) -> Tuple[Cameras, Dict[str, Any]]:
        return self.eval_dataset.cameras, self.eval_dataset[0]

    def get_train_rays_per_batch(self) -> int:
        """Samples per step, which the trainer reports as rays."""
        target = self.target
        if target is None:
            return self.config.batch_size or 0
        size = target.split.train_size if isinstance(target, GridTarget) else len(target.points)
        return min(self.config.batch_size or size, size)

    def get_eval_rays_per_batch(self) -> int:
        return self.get_train_rays_per_batch()

    def get_datapath(self) -> Path:
        return Path(self.config.data or ".")

    def get_param_groups(self) -> Dict[str, List[Parameter]]:
        return {}


class GridDataManager(SignalDataManager):
    """Feeds samples of an image, a sound, a volume or a video."""

    target: Optional[GridTarget]

    def thumbnail(self) -> Tensor:
        if self.target is None or self.target.signal.kind != "image":
            return super().thumbnail()
        signal = self.target.signal
        steps = [max(1, n // 100) for n in signal.shape]
        rows, columns = (torch.arange(0, n, s) for n, s in zip(signal.shape, steps))
        flat = (rows[:, None] * signal.shape[1] + columns).reshape(-1)
        values = signal.values(flat).reshape(len(rows), len(columns), -1) * 0.5 + 0.5
        return (values[..., :3] if values.shape[-1] >= 3 else values[..., :1].expand(-1, -1, 3)).contiguous()


class ShapeDataManager(SignalDataManager):
    """Feeds points of the unit cube with their squashed signed distance."""

    target: Optional[ShapeTarget]

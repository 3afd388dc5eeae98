"""nerfstudio's data manager of posed views, which also opens a run whose photographs are not there any more."""

from __future__ import annotations

from typing import Any, Dict, Literal, Optional, Tuple, Union

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManager, variable_res_collate
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.scene_box import SceneBox
from torch.utils.data import Dataset

from winner_ns.errors import SignalError, one_line_errors
from winner_ns.fitting.processes import current

NEEDS_VIEWS = ("eval_dataloader", "fixed_indices_eval_dataloader", "train_ray_generator")
"""Attributes that there are none of without photographs."""


class LostOutputs:
    """What a dataparser would have said of them: nerfstudio asks for metadata of any run; what wants more is ended
    with one line."""

    def __init__(self, problem: SignalError) -> None:
        self.problem = problem
        self.metadata: Dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        with one_line_errors():
            raise self.problem


class LostViews(Dataset):
    """What nerfstudio's viewer and models want to know of training views that are not there any more: the scene's box
    and one camera."""

    def __init__(self, description: Dict[str, Any], outputs: LostOutputs) -> None:
        self._dataparser_outputs = outputs
        scene = description["signal"]
        self.metadata = {"description": description}
        self.scene_box = SceneBox(aabb=torch.tensor(scene["box"]))
        self.cameras = Cameras(**{**scene["camera"], "camera_to_worlds": torch.tensor(scene["camera_to_world"])[None]})

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True  # As nerfstudio asks whether there is a dataset at all.

    def __getitem__(self, index: int) -> Dict[str, Any]:
        raise IndexError(index)


class ViewsDataManager(VanillaDataManager[InputDataset]):
    """VanillaDataManager with the run's description among its dataset's metadata."""

    config: Any  # type: ignore[assignment]
    """The plugin's, with the run's description; a room that is built on this one."""

    def __init__(
        self,
        config: Any,
        device: Union[torch.device, str] = "cpu",
        test_mode: Literal["test", "val", "inference"] = "val",
        world_size: int = 1,
        local_rank: int = 0,
        **kwargs: Any,
    ) -> None:
        self.problem: Optional[SignalError] = None
        self.target = None  # Of other kinds of signals.
        try:
            super().__init__(config, device, test_mode, world_size, local_rank, **kwargs)  # type: ignore[arg-type]
        except Exception as error:  # Any type, as in `scene_errors`: nerfstudio's parsers raise what comes to hand.
            self.problem = SignalError(
                str(config.data), f"the photographs cannot be read ({error})", "put back what the run was trained on"
            )
            if test_mode == "val":
                with one_line_errors():
                    raise self.problem from error
            self._without_views(LostOutputs(self.problem))
        self.train_dataset.metadata["description"] = config.description

    def create_eval_dataset(self) -> InputDataset:
        """nerfstudio looks at the sizes of the training views alone."""
        dataset = super().create_eval_dataset()
        if dataset.cameras.is_jagged:
            self.config.collate_fn = variable_res_collate
        return dataset

    def next_train(self, step: int) -> Tuple[RayBundle, Dict[str, Any]]:
        """A step's rays and their pixels: of several processes, which all draw the same ones, this one's part."""
        rays, batch = super().next_train(step)
        processes, number = current(), len(rays)
        if processes.size == 1:
            return rays, batch
        part = slice(processes.rank, None, processes.size)
        return rays[part], {name: of_rays[part] for name, of_rays in batch.items() if len(of_rays) == number}

    def _without_views(self, outputs: LostOutputs) -> None:
        torch.nn.Module.__init__(self)
        self.includes_time = False
        self.train_count = self.eval_count = 0
        self.train_dataparser_outputs = outputs  # type: ignore[assignment]
        self.train_dataset = self.eval_dataset = LostViews(self.config.description, outputs)  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        """What nerfstudio's commands want of photographs that are gone ends them with one line."""
        problem = self.__dict__.get("problem")
        if problem is not None and name in NEEDS_VIEWS:
            with one_line_errors():
                raise problem
        return super().__getattr__(name)

    def need_views(self) -> None:
        """Raises SignalError where the photographs are not there."""
        if self.problem is not None:
            raise self.problem

"""nerfstudio data managers that feed coordinates and values in place of rays and pixels."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple, Type, Union

import torch
import tyro
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.configs.dataparser_configs import AnnotatedDataParserUnion
from nerfstudio.data.datamanagers.base_datamanager import DataManager, VanillaDataManagerConfig
from torch import Tensor
from torch.nn import Parameter

from winner_ns.errors import SignalError, settings_called
from winner_ns.fields.description import Description
from winner_ns.fitting import choices
from winner_ns.fitting.processes import current
from winner_ns.fitting.run import check_original, check_there
from winner_ns.fitting.target import Target, TargetOptions, target_of
from winner_ns.fitting.training import on_device
from winner_ns.glue.help import shown_in_help
from winner_ns.kinds import KINDS
from winner_ns.rays.dataparser import SceneDataParserConfig
from winner_ns.rays.pixel_sampler import ViewsPixelSamplerConfig
from winner_ns.scenes.folder import is_scene
from winner_ns.signals import ReadOptions
from winner_ns.signals.shape import NearSurface, near_surface_of_run
from winner_ns.viewing.dataset import SignalDataset

SampleBatch = Dict[str, Dict[str, Tensor]]
"""coordinates [n, d] and values [n, c], in place of a RayBundle, by what is trained on between the samples."""


_OF_PHOTOGRAPHS = {
    "train_num_rays_per_batch": "--pipeline.datamanager.batch-size by nerfstudio's name.",
    "train_num_images_to_sample_from": "Photographs that are held in memory for training at a time; -1: all.",
    "train_num_times_to_repeat_images": "Steps after which others are held; -1: never.",
    "eval_num_rays_per_batch": "Rays of a step's evaluation.",
    "eval_num_images_to_sample_from": "Photographs that are held in memory for evaluation at a time; -1: all.",
    "eval_num_times_to_repeat_images": "Evaluations after which others are held; -1: never.",
    "eval_image_indices": "Which of the evaluation's photographs are rendered while it trains.",
    "camera_res_scale_factor": "Factor of the photographs' width and height.",
    "images_on_gpu": "Whether photographs are held in the GPU's memory.",
}
"""What of a data manager is for them alone."""


@shown_in_help(
    first=("data", "kind", "batch_size", "holdout", "between", "denoiser", "shape_loss", "shape_samples", "read"),
    last=(*_OF_PHOTOGRAPHS, "pixel_sampler", "dataparser"),
    hidden=("masks_on_gpu", "patch_size"),
    texts={name: f"Of posed photographs: {text}" for name, text in _OF_PHOTOGRAPHS.items()},
)
@dataclass
class SignalDataManagerConfig(VanillaDataManagerConfig):
    """Which signal is fitted, and which of its samples each step sees. What VanillaDataManagerConfig brings is for
    posed photographs."""

    _target: Type = field(default_factory=lambda: SignalDataManager)
    """The data manager's class."""
    data: Optional[Path] = None
    """The signal's file: an image, a sound, a mesh or point samples, a volume or a video; or the folder of posed
    photographs."""
    kind: choices.KindName = "auto"
    """What the data is; auto tells it from the file's content and suffix, or the folder's files."""
    dataparser: AnnotatedDataParserUnion = field(default_factory=SceneDataParserConfig)
    """Of posed photographs: how they are read; by default told from the folder's files."""
    batch_size: Optional[int] = None
    """Samples (of posed photographs: rays) per step, drawn without replacement within an epoch; 0: all of them; None:
    the kind's default."""
    train_num_rays_per_batch: Optional[int] = None  # type: ignore[assignment]
    """The same, by nerfstudio's name, for posed photographs."""
    holdout: str = "none"
    """Samples that are withheld from training to judge what lies between: none, every-second (trains on the even
    samples along each axis) or a fraction such as 0.1 (chosen at random). Not for shapes."""
    between: Optional[choices.BetweenName] = None
    """What is trained on between the samples, beside them: estimates by kriging, at the samples that are withheld, or
    halfway between neighbours where none is. None: kriging by the law matching with the purpose interpolate or with
    none, else none. Not for shapes."""
    denoiser: choices.DenoiserName = "none"
    """Whose output is trained on in place of the samples: a classical denoiser's. Not for shapes; nl-means for images
    alone."""
    read: ReadOptions = field(default_factory=ReadOptions)
    """Which part of a sound is read, and how."""
    shape_samples: int = 524288
    """Points drawn from a shape at a time: near and away from its surface; others follow after some passes."""
    shape_loss: choices.ShapeLossName = "distance"
    """What shapes are fitted by: the squashed signed distance, tanh(distance / 0.02); the sign of it alone; or the
    surface and its normals alone, with SIREN's eikonal loss (arXiv 2006.09661), which needs no distances."""
    near_surface: tyro.conf.Suppress[Optional[NearSurface]] = None
    """How the points drawn from a shape are spread around its surface: that of the run to go on with; None: today's."""
    pixel_sampler: ViewsPixelSamplerConfig = field(default_factory=ViewsPixelSamplerConfig)  # type: ignore[assignment]
    """Of posed photographs: how their pixels are drawn."""
    seed: tyro.conf.Suppress[int] = 42
    """Set from --machine.seed."""
    description: tyro.conf.Suppress[Dict[str, Any]] = field(default_factory=dict)
    """What is needed to rebuild the field without the data; filled in when training starts."""

    def setup(self, **kwargs: Any) -> DataManager:
        """The data manager of what the data is."""
        return KINDS[self.description["kind"]].get("datamanager")(self, **kwargs)

    @property
    def is_posed_views(self) -> bool:
        """Whether posed photographs are meant: by the kind, by a dataparser's name, or by what is in the folder."""
        named = not isinstance(self.dataparser, SceneDataParserConfig)
        if self.kind == "auto":
            return named or (self.data is not None and is_scene(self.data))
        return named or KINDS[self.kind].reader is None

    @property
    def betweens(self) -> Tuple[str, ...]:
        """What the fields are trained on between the samples, each once."""
        fields = self.description.get("fields") or {"": self.description}
        return tuple(dict.fromkeys(Description.from_dict(each).between for each in fields.values()))

    def load(self) -> Target:
        """Reads the signal and measures it.

        Raises:
            SignalError: no file is given, or it cannot be used.
        """
        if self.data is None:
            raise SignalError("--data", "no file is given", "give an image, a sound, a mesh, a volume or a video")
        names = ("holdout", "between", "denoiser", "shape_samples", "shape_loss", "near_surface", "seed")
        options = TargetOptions(**{name: getattr(self, name) for name in names})
        if self.description:
            trained = near_surface_of_run(self.description["signal"], self.description["target"])
            options = replace(options, near_surface=trained)
        with settings_called(datamanager_flag):
            return _target_of(self.data, self.kind, options, astuple(self.read), _state_of(self.data))


def datamanager_flag(setting: str) -> str:
    """The flag that stands for a setting of the data."""
    return "--data" if setting == "data" else f"--pipeline.datamanager.{setting.replace('_', '-')}"


def _state_of(path: Path) -> Optional[Tuple[int, ...]]:
    """What changes with a file."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


@lru_cache(maxsize=1)
def _target_of(
    data: Path, kind: str, options: TargetOptions, read: Tuple[Any, ...], state: Optional[Tuple[int, ...]]
) -> Target:
    """`target_of`, kept while the file is as it was: start-up asks for it twice."""
    return target_of(data, kind, options, ReadOptions(*read))


class SignalDataManager(DataManager):
    """Feeds batches of coordinates and values.

    A step's batch depends on the seed and the step alone, so that a resumed run sees what the whole run would have
    seen; of several processes each takes its part of it. Without the data (moved, or on another machine) everything but
    training and evaluation still works.
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
        self.test_mode = test_mode
        self.includes_time = False
        self.target: Optional[Target] = None
        self.trained: Dict[str, Target] = {}
        """The target by what fields are trained on between its samples; those of a comparison may differ."""
        self.problem: Optional[SignalError] = None
        try:
            self.target = self._load()
            self.trained = {between: self.target.with_between(between) for between in config.betweens}
        except SignalError as error:
            if test_mode == "val":
                raise
            self.problem = error
        dataset = SignalDataset(config.description)
        self.train_dataset = self.eval_dataset = dataset
        super().__init__()

    def _load(self) -> Target:
        data, described = self.config.data, self.config.description["signal"]
        if data is not None:
            check_there(data, "put it back there, or a link to where it is")
        target = self.config.load()
        check_original(target.signal, described, "put that back")
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

    def setup_train(self) -> None:
        """Nothing is set up beside the target."""

    def setup_eval(self) -> None:
        """Nothing is set up beside the target."""

    def forward(self) -> None:
        """Data managers are modules without a forward pass."""

    def next_train(self, step: int) -> Tuple[SampleBatch, SampleBatch]:
        self.need_target()
        batch_size, processes = self.config.batch_size or 0, current()
        batch = {
            between: self._on_device(target.batch(step, batch_size, processes.rank, processes.size))
            for between, target in self.trained.items()
        }
        return batch, batch

    def next_eval(self, step: int) -> Tuple[SampleBatch, SampleBatch]:
        """Samples like the training ones; where some are withheld, of those."""
        withheld = self.need_target().heldout_batch(self.config.batch_size or 65536)
        if withheld is None:
            return self.next_train(step)
        batch = dict.fromkeys(self.trained, self._on_device(withheld))
        return batch, batch

    def _on_device(self, pair: Tuple[Tensor, Tensor]) -> Dict[str, Tensor]:
        coordinates, values = pair
        return {"coordinates": on_device(coordinates, self.device), "values": on_device(values, self.device)}

    def next_eval_image(self, step: int) -> Tuple[Cameras, Dict[str, Any]]:
        return self.eval_dataset.cameras, {}

    def get_train_rays_per_batch(self) -> int:
        """Samples per step, which the trainer reports as rays."""
        target = self.target
        if target is None:
            return self.config.batch_size or 0
        return min(self.config.batch_size or target.train_size, target.train_size)

    def get_eval_rays_per_batch(self) -> int:
        return self.get_train_rays_per_batch()

    def get_datapath(self) -> Path:
        return Path(self.config.data or ".")

    def get_param_groups(self) -> Dict[str, List[Parameter]]:
        return {}

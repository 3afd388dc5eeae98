"""nerfstudio models of signals: a coordinate network, its loss, its figures and its look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple, Type

import torch
import tyro
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.models.base_model import Model, ModelConfig
from torch import Tensor
from torch.nn import Parameter

from winner_ns.fields.description import Description
from winner_ns.fields.files import LoadedField
from winner_ns.fields.initial import initial_field
from winner_ns.fitting.best_state import BestState
from winner_ns.fitting.plan import FieldPlan
from winner_ns.fitting.processes import current
from winner_ns.fitting.target import Target
from winner_ns.fitting.training import training_loss
from winner_ns.glue.described_model import DescribedModel
from winner_ns.glue.help import shown_in_help
from winner_ns.kinds import KINDS
from winner_ns.rays.rendering import RenderingConfig
from winner_ns.viewing.viewed_model import ViewedModel

INERT = ("enable_collider", "collider_params", "loss_coefficients", "prompt")
"""What of nerfstudio's models means nothing for fields."""


@shown_in_help(
    first=("law", "purpose", "s0", "s1", "field"),
    last=("eval_num_rays_per_chunk", "views", "camera_optimizer"),
    hidden=INERT,
    texts={"eval_num_rays_per_chunk": "Of posed photographs: rays that are rendered at a time for evaluation."},
)
@dataclass
class SignalModelConfig(FieldPlan, ModelConfig):
    """The field and the law that its initial noise follows."""

    _target: Type = field(default_factory=lambda: SignalModel)
    """The model's class."""
    enable_collider: bool = False
    """Not used: there are no rays."""
    learning_rate: tyro.conf.Suppress[Optional[float]] = None
    """Set from --optimizers.field.optimizer.lr."""
    beta2: tyro.conf.Suppress[Optional[float]] = None
    """Set from --optimizers.field.optimizer.betas."""
    between: tyro.conf.Suppress[Optional[str]] = None
    """Left to --pipeline.datamanager.between."""
    weight_decay: tyro.conf.Suppress[Optional[float]] = None
    """Set from --optimizers.field.optimizer.weight-decay."""
    views: RenderingConfig = field(default_factory=RenderingConfig)
    """Of posed photographs: how they are rendered."""
    camera_optimizer: CameraOptimizerConfig = field(default_factory=lambda: CameraOptimizerConfig(mode="off"))
    """Of posed photographs: whether their poses are corrected while the scene is learnt."""

    def setup(self, **kwargs: Any) -> Model:
        """The model of what the data is."""
        return KINDS[kwargs["metadata"]["description"]["kind"]].get("model")(self, **kwargs)


class SignalModel(DescribedModel, ViewedModel):
    """A field that is fitted to samples: training takes a batch of coordinates and values in place of a RayBundle."""

    config: SignalModelConfig

    def populate_modules(self) -> None:
        self.description = Description.from_dict(self.kwargs["metadata"]["description"])
        # The torch seed that nerfstudio sets from --machine.seed decides.
        self.field = initial_field(self.description, torch.initial_seed() % 2**63)
        self.best: Optional[BestState] = None
        self._best_so_far: Dict[str, Any] = {}

    def keep_best(self, target: Target, steps: int) -> None:
        """Makes a run of so many steps keep the state that is best at withheld samples, where the field is such a
        one."""
        if self.description.denoises:
            self.best = BestState(target, steps)
            if self._best_so_far:
                self.best.load_state_dict(self._best_so_far)

    def get_extra_state(self) -> Dict[str, Any]:
        """The description, and the best state so far where one is kept."""
        best = {} if self.best is None else {"best": self.best.state_dict()}
        return {**super().get_extra_state(), **best}

    def set_extra_state(self, state: Dict[str, Any]) -> None:
        super().set_extra_state(state)
        self._best_so_far = state.get("best", {})
        if self.best is not None and self._best_so_far:
            self.best.load_state_dict(self._best_so_far)

    @property
    def loaded_field(self) -> LoadedField:
        """The field as it is now, with the way back to the original's units; shares the weights."""
        return LoadedField(self.field, self.description)

    def get_param_groups(self) -> Dict[str, List[Parameter]]:
        return {"field": list(self.field.parameters())}

    def get_outputs(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:  # type: ignore[override]
        """The loss of a batch by its name: computed here and not from outputs, so that it goes through in pieces."""
        own = batch[self.description.between]
        pair = own["coordinates"], own["values"]
        name, loss = training_loss(self.field, pair, str(self.description.target.get("loss", "")))
        # Steps are made by all processes, evaluations by the first one.
        return {name: current().mean(loss, len(own["coordinates"])) if self.training else loss}

    def get_loss_dict(
        self, outputs: Dict[str, Tensor], batch: Any, metrics_dict: Optional[Dict[str, Tensor]] = None
    ) -> Dict[str, Tensor]:
        return dict(outputs)

    def get_metrics_dict(self, outputs: Dict[str, Tensor], batch: Any) -> Dict[str, Tensor]:
        """PSNR in dB of the batch, with the range 2 of values in [-1, 1]; for shapes of the squashed distance. Nothing
        for the eikonal loss, which knows no values."""
        if "mean_squared_error" not in outputs:
            return {}
        gain = self.description.target.get("gain", 1.0)
        error = outputs["mean_squared_error"].detach()
        return {"psnr": 10.0 * torch.log10(4.0 * gain**2 / error)}

    def get_image_metrics_and_images(
        self, outputs: Dict[str, Tensor], batch: Dict[str, Tensor]
    ) -> Tuple[Dict[str, float], Dict[str, Tensor]]:
        """Nothing: figures and pictures come from the pipeline, which knows the signal."""
        return {}, {}

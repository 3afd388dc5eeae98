"""nerfstudio models of signals: a coordinate network, its loss, its figures and its look."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Optional, Tuple, Type, Union

import torch
from nerfstudio.models.base_model import ModelConfig
from torch import Tensor
from torch.nn import Parameter

from winner_ns.fields import build_field, mean_squared_error, winner_init
from winner_ns.fields.eikonal import eikonal_loss
from winner_ns.fields.files import LoadedField
from winner_ns.viewing.viewed_model import ViewedModel

Family = Literal["winner", "siren", "finer", "wire", "gauss", "relu-pe", "rff", "hash-grid"]


@dataclass
class FieldConfig:
    """The coordinate network."""

    family: Family = "winner"
    """winner: SIREN with noise adapted to the target; siren: plain; the others with their published defaults."""
    width: Optional[int] = None
    """Neurons of every hidden layer; None: the kind's default (256)."""
    depth: Optional[int] = None
    """Number of hidden layers, the first one included; None: the kind's default (4)."""
    omega_0: float = 30.0
    """Frequency factor of sine layers (winner, siren)."""
    first_omega_0: Optional[float] = None
    """Frequency factor of the first sine layer; None: omega_0."""
    options: Dict[str, Union[int, float, str]] = field(default_factory=dict)
    """Further settings of the family's class by name, e.g. "features 64" for rff."""


@dataclass
class SignalModelConfig(ModelConfig):
    """The field and the law that its initial noise follows."""

    _target: Type = field(default_factory=lambda: SignalModel)
    """The model's class."""
    enable_collider: bool = False
    """Not used: there are no rays."""
    field: FieldConfig = field(default_factory=FieldConfig)
    """The coordinate network."""
    law: Literal["matching", "paper", "reference-code", "explicit"] = "matching"
    """How s0 and s1 follow from the target's spectrum: matching (initial band = kappa times the centroid frequency),
    paper (arXiv 2509.12980), reference-code (its authors' code), explicit (s0 and s1 as given)."""
    purpose: Optional[str] = None
    """kappa of the law matching: interpolate (0.5, best between the samples; plain SIREN where the spectrum is too
    bright for that), fit (1, best at the samples), memorise (2, for small signals) or a number. None: 0.5; for shapes
    1.4."""
    s0: Optional[float] = None
    """Noise scale of layer 1, for the law explicit."""
    s1: Optional[float] = None
    """Noise scale of layer 2, for the law explicit."""

    def setup(self, **kwargs: Any) -> "SignalModel":
        return SignalModel(self, **kwargs)


class SignalModel(ViewedModel):
    """A field that is fitted to samples: training takes a batch of coordinates and values in place of a RayBundle."""

    config: SignalModelConfig

    def populate_modules(self) -> None:
        self.description: Dict[str, Any] = self.kwargs["metadata"]["description"]
        made_of, noise = self.description["network"], self.description["spectrum"]
        # The torch seed that nerfstudio sets from --machine.seed decides; a generator keeps other draws out of it.
        generator = torch.Generator().manual_seed(torch.initial_seed() % 2**63)
        self.field = build_field(
            made_of["family"], made_of["in_dim"], made_of["out_dim"], made_of["settings"], generator
        )
        if made_of["family"] == "winner":
            winner_init(self.field, noise["s0"], noise["s1"], generator, noise["first_layer_divisor"])

    @property
    def loaded_field(self) -> LoadedField:
        """The field as it is now, with the way back to the original's units; shares the weights."""
        return LoadedField(self.field, self.description)

    def get_extra_state(self) -> Dict[str, str]:
        """The description travels inside the checkpoint, which is thereby complete."""
        return {"description": json.dumps(self.description)}

    def set_extra_state(self, state: Dict[str, str]) -> None:
        self.description = json.loads(state["description"])

    def get_param_groups(self) -> Dict[str, List[Parameter]]:
        return {"field": list(self.field.parameters())}

    def get_outputs(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:  # type: ignore[override]
        """The loss of a batch by its name: computed here and not from outputs, so that it goes through in pieces."""
        if self.description["target"].get("loss") == "eikonal":
            return {"eikonal": eikonal_loss(self.field, batch["coordinates"], batch["values"])}
        return {"mean_squared_error": mean_squared_error(self.field, batch["coordinates"], batch["values"])}

    def get_loss_dict(
        self, outputs: Dict[str, Tensor], batch: Any, metrics_dict: Optional[Dict[str, Tensor]] = None
    ) -> Dict[str, Tensor]:
        return dict(outputs)

    def get_metrics_dict(self, outputs: Dict[str, Tensor], batch: Any) -> Dict[str, Tensor]:
        """PSNR in dB of the batch, with the range 2 of values in [-1, 1]; for shapes of the squashed distance. Nothing
        for the eikonal loss, which knows no values."""
        if "mean_squared_error" not in outputs:
            return {}
        gain = self.description["target"].get("gain", 1.0)
        error = outputs["mean_squared_error"].detach()
        return {"psnr": 10.0 * torch.log10(4.0 * gain**2 / error)}

    def get_image_metrics_and_images(
        self, outputs: Dict[str, Tensor], batch: Dict[str, Tensor]
    ) -> Tuple[Dict[str, float], Dict[str, Tensor]]:
        """Nothing: figures and pictures come from the pipeline, which knows the signal."""
        return {}, {}

"""A SIREN signed-distance field that nerfstudio's surface models render."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, Literal, Optional, Type

import torch
import tyro
from jaxtyping import Float
from nerfstudio.cameras.rays import RaySamples
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.field_components.embedding import Embedding
from nerfstudio.field_components.encodings import SHEncoding
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.field_components.spatial_distortions import SpatialDistortion
from nerfstudio.fields.base_field import Field, FieldConfig
from nerfstudio.fields.sdf_field import LearnedVariance, SDFField
from torch import Tensor, nn
from torch.nn import Parameter

from winner_ns.fields.description import Description
from winner_ns.fields.initial import initial_field
from winner_ns.fields.mean_squared_error import evaluate
from winner_ns.rays.frame import FieldFrame

SURFACE_SETTINGS = (
    "geo_feat_dim",
    "num_layers_color",
    "hidden_dim_color",
    "appearance_embedding_dim",
    "bias",
    "inside_outside",
    "use_appearance_embedding",
    "start",
    "damping",
)
"""What of a SirenSDFFieldConfig is needed to rebuild a field."""
FADED = 8.0
"""Times the width of the logistic density around the surface: further away it is below exp(-8) of its peak."""
OTHERS_SHARE = 0.05
"""Of the samples that no ray sees, in training."""
FITTING_STEPS, FITTING_POINTS = 300, 1024
"""Adam steps that bring a network to a sphere before training (start "fitted"), and points of each: one of 4 x 128 is
then within 0.006 half boxes of it, and its slopes within 0.1."""


@dataclass
class SirenSDFFieldConfig(FieldConfig):
    """A sine network for the signed distance and what colours are made of; nerfstudio's SDFField for the rest."""

    _target: Type = field(default_factory=lambda: SirenSDFField)
    """The field's class."""
    geo_feat_dim: int = 32
    """Values of the network, beside the distance, that the colour is made of."""
    num_layers_color: int = 2
    """Hidden layers of the colour network."""
    hidden_dim_color: int = 64
    """Neurons of the colour network's hidden layers."""
    appearance_embedding_dim: int = 8
    """Dimension of the appearance embedding."""
    use_appearance_embedding: bool = False
    """Whether each photograph may have light of its own."""
    bias: float = 0.5
    """Radius of the sphere at the start, times half the scene box."""
    beta_init: float = 0.3
    """A tenth of the logarithm of the density's sharpness at the start, per half the scene box: 0.3 is 20."""
    inside_outside: bool = False
    """For cameras within what they see (rooms): the distance is negative outside of the sphere at the start."""
    start: Literal["residual", "fitted", "plain"] = "residual"
    """How the field starts: residual, a sphere plus the damped network, smoothest in the end; fitted, the network
    alone, brought to the sphere by some steps of Adam before training, ahead in short runs; plain, the network as it is
    drawn."""
    damping: float = 0.1
    """Factor of the network's share in the distance, for the start residual."""
    description: tyro.conf.Suppress[Dict[str, Any]] = field(default_factory=dict)
    """The run's; filled in when the model is built."""
    seed: tyro.conf.Suppress[int] = 0
    """Of the network's weights; filled in when the model is built."""


class SirenSDFField(SDFField):
    """nerfstudio's SDFField contract (forward_geonetwork, get_sdf, get_alpha, get_colors, get_outputs) with a SIREN.

    In the field's coordinates u (`FieldFrame`) and units of half the scene box e, the signed distance is
    f(x) = e (|u - c| - bias + damping t_0(u)) for the start "residual", with t_0 the network's first value. A fresh
    SIREN's output has a deviation of a few hundredths, and that times its band as slope; noise widens the band, and
    without the damping the slopes of many small folds would drown the sphere's, which is 1. The sphere stays where it
    is while the network learns what is to be added to it. Its centre c is where the cameras look (`scene_focus`): far
    from any surface, none is learnt. With the other starts f(x) = e t_0(u), for "fitted" brought to the sphere before
    the first step (`fit_sphere`).
    """

    config: SirenSDFFieldConfig

    def __init__(
        self,
        config: SirenSDFFieldConfig,
        aabb: Float[Tensor, "2 3"],
        num_images: int,
        use_average_appearance_embedding: bool = False,
        spatial_distortion: Optional[SpatialDistortion] = None,
    ) -> None:
        # Not SDFField's own, which builds the network that this one replaces, and a hash grid that wants tinycudann.
        Field.__init__(self)
        self.config = config
        self.aabb = Parameter(aabb, requires_grad=False)
        self.spatial_distortion = spatial_distortion
        self.num_images = num_images
        self.use_average_appearance_embedding = use_average_appearance_embedding
        self.use_grid_feature = False
        self.frame = FieldFrame(SceneBox(aabb=aabb), bounded=True)
        description = Description.from_dict(config.description)
        focus = torch.tensor(description.signal["focus"])
        self.register_buffer("focus", self.frame(focus).clamp(-1.0, 1.0))
        self.focus: Tensor
        self.trunk = initial_field(description, config.seed)
        self.embedding_appearance = Embedding(max(num_images, 1), config.appearance_embedding_dim)
        self.direction_encoding = SHEncoding(levels=4, implementation="torch")
        # Of whatever size the scene is, the density is as sharp against its box.
        self.deviation_network = LearnedVariance(init_val=config.beta_init - math.log(self.frame.half_extent) / 10.0)
        sizes = [
            3 + self.direction_encoding.get_out_dim() + 3 + config.geo_feat_dim + config.appearance_embedding_dim,
            *[config.hidden_dim_color] * config.num_layers_color,
            3,
        ]
        self.num_layers_color = len(sizes)
        for layer, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:])):
            setattr(self, f"clin{layer}", nn.Linear(inputs, outputs))
        self.relu, self.sigmoid = nn.ReLU(), nn.Sigmoid()
        self._cos_anneal_ratio = 1.0

    def forward_geonetwork(self, inputs: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch c"]:
        """Signed distances (scene units) and features at positions in the scene."""
        unit = self.frame(inputs)
        values = self.trunk(unit) if torch.is_grad_enabled() else evaluate(self.trunk, unit.reshape(-1, 3))
        values = values.reshape(*unit.shape[:-1], self.trunk.out_dim)
        size, sign = self.frame.half_extent, -1.0 if self.config.inside_outside else 1.0
        if self.config.start == "residual":
            # Smooth at the centre, where a distance has no gradient.
            sphere = torch.sqrt(((unit - self.focus) ** 2).sum(dim=-1, keepdim=True) + 1e-6) - self.config.bias
            distance = sign * size * sphere + (size * self.config.damping) * values[..., :1]
        else:
            distance = size * values[..., :1]
        return torch.cat([distance, values[..., 1:]], dim=-1)

    def get_outputs(
        self, ray_samples: RaySamples, density_embedding: Optional[Tensor] = None, return_alphas: bool = False
    ) -> Dict[FieldHeadNames, Tensor]:
        """RGB, SDF, NORMALS and, where asked for, ALPHA of samples, and GRADIENT.

        Slopes, and what the losses want of them, cost many times as much as distances. So the distances of all samples
        are looked at first, and only those near enough to the surface for a ray to see them are gone through with, and
        a few of the others, which the eikonal loss holds to their slope as well. For all others ALPHA is 0 outside and
        1 inside, which no light reaches. GRADIENT is a list, [n, 3], of those that were gone through with.
        """
        distance = self.signed_distance(ray_samples.frustums.get_start_positions())
        # Where a logistic density of this sharpness has faded, or the next sample has not come yet.
        near = FADED / self.deviation_network.get_variance().detach() + ray_samples.deltas
        chosen = (distance.abs() < near)[..., 0]
        chosen = chosen | (distance[..., :1, 0] < 0)  # Where a ray starts inside, light does reach what is there.
        if self.training:
            chosen |= torch.rand(chosen.shape, device=chosen.device) < OTHERS_SHARE
        # By their numbers: of a mask, a GPU would be asked for them once for each part of the samples.
        some = ray_samples[torch.nonzero(chosen, as_tuple=True)]
        positions = some.frustums.get_start_positions().requires_grad_(True)
        with torch.enable_grad():
            values = self.forward_geonetwork(positions)
            (gradients,) = torch.autograd.grad(values[:, :1].sum(), positions, create_graph=self.training)
        cameras = (
            torch.zeros_like(chosen, dtype=torch.long)[chosen] if some.camera_indices is None else some.camera_indices
        )
        colors = self.get_colors(positions, some.frustums.directions, gradients, values[:, 1:], cameras.reshape(-1))
        where, blank = chosen[..., None], torch.zeros_like(ray_samples.frustums.directions)
        outputs = {
            FieldHeadNames.RGB: blank.masked_scatter(where, colors),
            FieldHeadNames.SDF: distance.masked_scatter(where, values[:, :1]),
            FieldHeadNames.NORMALS: blank.masked_scatter(where, torch.nn.functional.normalize(gradients, dim=-1)),
            FieldHeadNames.GRADIENT: gradients,
        }
        if return_alphas:
            alphas = self.get_alpha(some, values[:, :1], gradients)
            outputs[FieldHeadNames.ALPHA] = (distance < 0).to(alphas.dtype).masked_scatter(where, alphas)
        return outputs

    @torch.no_grad()
    def signed_distance(self, positions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 1"]:
        """Signed distances at positions in the scene (units of it, negative inside), without slopes."""
        return self.forward_geonetwork(positions)[..., :1]

    def surface_colors(self, positions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Colours in [0, 1] of points on the surface, each seen from straight above it."""
        positions = positions.detach().requires_grad_(True)
        with torch.enable_grad():
            values = self.forward_geonetwork(positions)
            (gradients,) = torch.autograd.grad(values[:, :1].sum(), positions)
        directions = -torch.nn.functional.normalize(gradients, dim=-1)
        cameras = torch.zeros(len(positions), dtype=torch.long, device=positions.device)
        with torch.no_grad():
            return self.get_colors(positions, directions, gradients, values[:, 1:], cameras)


def fit_sphere(field: SirenSDFField, seed: int, steps: int = FITTING_STEPS) -> None:
    """Brings a field's network to the sphere of its config, in value and slope (Atzmon and Lipman 2020, SAL, start from
    a sphere, too; Gropp et al. 2020, IGR, for the slope)."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(field.trunk.parameters(), lr=5e-4)
    sign = -1.0 if field.config.inside_outside else 1.0
    for _ in range(steps):
        unit = (torch.rand(FITTING_POINTS, 3, generator=generator) * 2.0 - 1.0).to(field.focus)
        unit.requires_grad_(True)
        value = field.trunk(unit)[:, :1]
        (slope,) = torch.autograd.grad(value.sum(), unit, create_graph=True)
        outward = unit - field.focus
        radius = outward.norm(dim=-1, keepdim=True)
        error = value - sign * (radius - field.config.bias)
        loss = (error**2).mean() + 0.01 * ((slope - sign * (outward / radius).detach()) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

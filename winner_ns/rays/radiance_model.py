"""nerfstudio's model of a radiance field: rays, samples where the scene is not empty, colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.model_components.losses import distortion_loss, scale_gradients_by_distance_squared
from nerfstudio.model_components.ray_samplers import UniformLinDispPiecewiseSampler, UniformSampler
from nerfstudio.model_components.renderers import AccumulationRenderer, DepthRenderer, RGBRenderer
from nerfstudio.model_components.scene_colliders import AABBBoxCollider, NearFarCollider
from torch import Tensor
from torch.nn import Parameter

from winner_ns.fields.description import Description
from winner_ns.fields.initial import initial_field
from winner_ns.rays.frame import FieldFrame
from winner_ns.rays.occupancy_grid import OccupancyGrid
from winner_ns.rays.radiance_field import RadianceField
from winner_ns.rays.scene_model import SceneModel
from winner_ns.rays.view_figures import figures_and_pictures
from winner_ns.viewing.scene_panel import ScenePanel

WARM_UP = 64
"""Steps before the grid is looked at for the first time; each ray takes a quarter of its samples until then."""
REFRESHED_EVERY = 16
"""Steps between two refreshes of the grid, each of an eighth of its cells."""
LEAST_OPACITY = 0.01
"""Opacity of a single sample below which a cell counts as empty."""
LEAST_WEIGHT = 1e-4
"""Share in a pixel's colour below which a sample's colour is not asked for."""
DISTORTION_WEIGHT = 0.002
"""Of the loss that draws a ray's weights together (Barron et al. 2022, Mip-NeRF 360, section 4), in unbounded scenes:
there each camera could be shown what it saw by specks close to it."""
POINTS_AT_ONCE = 2**16


class RadianceModel(SceneModel):
    """Volume rendering of a RadianceField (Mildenhall et al. 2020, NeRF, arXiv 2003.08934), where it is not empty."""

    config: Any
    """The plugin's, with what is chosen of rendering; a room that is built on this one."""

    def populate_modules(self) -> None:
        self.description = Description.from_dict(self.kwargs["metadata"]["description"])
        assert self.description.order is not None
        scene, rendering = self.description.signal, self.config.views
        self.panel = ScenePanel(self.description)
        self.scene_box = SceneBox(aabb=torch.tensor(scene["box"]))
        self.field = RadianceField(initial_field(self.description, self.description.order.seed))
        self.frame = FieldFrame(self.scene_box, scene["bounded"])
        longest = 2.0 * 3.0**0.5  # The diagonal of [-1, 1]^3.
        self.grid = OccupancyGrid(rendering.grid_resolution, LEAST_OPACITY * rendering.num_samples / longest)
        self.camera_optimizer = self.config.camera_optimizer.setup(num_cameras=scene["train_views"], device="cpu")
        if scene["bounded"]:
            self.collider = AABBBoxCollider(self.scene_box, near_plane=rendering.near_plane)
            self.sampler: Any = UniformSampler(num_samples=rendering.num_samples)
        else:
            self.collider = NearFarCollider(rendering.near_plane, rendering.far_plane)
            self.sampler = UniformLinDispPiecewiseSampler(num_samples=rendering.num_samples)
        self.renderer_rgb = RGBRenderer(background_color=scene["background_color"])
        self.renderer_accumulation = AccumulationRenderer()
        # As nerfacto's: behind what is seen through, depth is far, where its exporters look for nothing.
        self.renderer_depth = DepthRenderer(method="median")
        self.renderer_expected_depth = DepthRenderer(method="expected")
        self._explored = False

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        result = super().load_state_dict(*args, **kwargs)
        self._explored = bool(torch.isfinite(self.grid.density).all())
        return result

    def get_param_groups(self) -> Dict[str, List[Parameter]]:
        groups = {"field": list(self.field.trunk.parameters()), "color": list(self.field.color.parameters())}
        self.camera_optimizer.get_param_groups(param_groups=groups)
        return groups

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> List[TrainingCallback]:
        return [
            TrainingCallback(
                [TrainingCallbackLocation.AFTER_TRAIN_ITERATION], self.refresh_grid, update_every_num_iters=1
            )
        ]

    def refresh_grid(self, step: int) -> None:
        """Looks again at where the scene is empty, at the steps when that is due."""
        if step >= WARM_UP and step % REFRESHED_EVERY == 0:
            cells = self.grid.resolution**3
            self.grid.refresh(self.densities, cells // 8 if self._explored else cells)
            self._explored = True

    @torch.no_grad()
    def densities(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 1"]:
        """Densities per unit of the field's coordinate at points of [-1, 1]^3, some at a time."""
        return torch.cat([self.field.density(part)[0] for part in points.split(POINTS_AT_ONCE)])

    def get_outputs(self, ray_bundle: RayBundle) -> Dict[str, Tensor]:  # type: ignore[override]
        """rgb [n, 3], accumulation [n, 1], depth [n, 1] (where half of the light is gone; of empty rays the last
        sample's) and expected_depth [n, 1] of rays."""
        if self.training:
            self.camera_optimizer.apply_to_raybundle(ray_bundle)
        if not self.frame.bounded:
            # A ray that misses what the viewer crops to begins at 1e10, which contraction makes infinite.
            far = self.config.views.far_plane
            ray_bundle.nears, ray_bundle.fars = ray_bundle.nears.clamp(max=far), ray_bundle.fars.clamp(max=far)
        number = self.config.views.num_samples
        samples = self.sampler(ray_bundle, num_samples=number if self._explored or not self.training else number // 4)
        points, samples.deltas = self.frame.middles_and_lengths(samples)
        occupied = self.grid.occupied(points)
        if self.frame.bounded:
            occupied &= (points.abs() <= 1.0).all(dim=-1)  # A ray that misses the box still has samples.
        # The background's colour is that of the last sample, whatever its weight.
        last = torch.zeros_like(occupied)
        last[:, -1] = self.renderer_rgb.background_color == "last_sample"
        occupied |= last
        # By their numbers, which a GPU is asked for twice: of a mask, it would be once for each use.
        held = torch.nonzero(occupied.reshape(-1))[:, 0]
        density, features = self.field.density(points.reshape(-1, 3)[held])
        densities = points.new_zeros(*points.shape[:2], 1).masked_scatter(occupied[..., None], density.to(points.dtype))
        if self.training and not self.frame.bounded:
            # What is close to a camera is in more of its rays than what is further away.
            densities = scale_gradients_by_distance_squared({FieldHeadNames.DENSITY: densities}, samples)[
                FieldHeadNames.DENSITY
            ]
        weights = samples.get_weights(densities)
        visible = occupied & (weights[..., 0].detach() > LEAST_WEIGHT) | last
        seen = torch.nonzero(visible.reshape(-1)[held])[:, 0]
        directions = samples.frustums.directions.reshape(-1, 3)[held[seen]]
        colors = self.field.colors(features[seen], directions)
        colors = torch.zeros_like(points).masked_scatter(visible[..., None], colors.to(points.dtype))
        outputs = {
            "rgb": self.renderer_rgb(rgb=colors, weights=weights),
            "accumulation": self.renderer_accumulation(weights=weights),
            "depth": self.renderer_depth(weights=weights.detach(), ray_samples=samples),
            "expected_depth": self.renderer_expected_depth(weights=weights, ray_samples=samples),
        }
        if self.training and not self.frame.bounded:
            outputs["distortion"] = distortion_loss([weights], [samples])
        return outputs

    def write_results(self, folder: Path) -> List[Path]:
        """Nothing beside the pictures: a radiance field is looked at with `ns-viewer` and `ns-render`."""
        return []

    def get_metrics_dict(self, outputs: Dict[str, Tensor], batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """psnr in dB (peak 1) of the batch's rays; the share of cells that are not empty."""
        truth = self.renderer_rgb.blend_background(batch["image"].to(self.device))
        error = torch.mean((outputs["rgb"].detach() - truth) ** 2)
        metrics = {"psnr": -10.0 * torch.log10(error), "occupied": self.grid.fraction}
        self.camera_optimizer.get_metrics_dict(metrics)
        return metrics

    def get_loss_dict(
        self, outputs: Dict[str, Tensor], batch: Dict[str, Tensor], metrics_dict: Optional[Dict[str, Tensor]] = None
    ) -> Dict[str, Tensor]:
        predicted, truth = self.renderer_rgb.blend_background_for_loss_computation(
            pred_image=outputs["rgb"],
            pred_accumulation=outputs["accumulation"],
            gt_image=batch["image"].to(self.device),
        )
        losses = {"mean_squared_error": torch.mean((predicted - truth) ** 2)}
        if "distortion" in outputs:
            losses["distortion"] = DISTORTION_WEIGHT * outputs["distortion"]
        if self.training:
            self.camera_optimizer.get_loss_dict(losses)
        return losses

    def get_image_metrics_and_images(
        self, outputs: Dict[str, Tensor], batch: Dict[str, Tensor]
    ) -> Tuple[Dict[str, float], Dict[str, Tensor]]:
        """psnr, ssim and, where asked for, lpips of a view; original and rendering side by side, opacity, depth."""
        truth = self.renderer_rgb.blend_background(batch["image"].to(outputs["rgb"].device))
        return figures_and_pictures(outputs, truth, self.config.views.lpips)

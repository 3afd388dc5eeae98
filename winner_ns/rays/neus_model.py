"""nerfstudio's NeuS with a SIREN signed-distance field: `ns-train winner-neus`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple, Type

import torch
import tyro
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.model_components import renderers
from nerfstudio.model_components.renderers import DepthRenderer
from nerfstudio.models.neus import NeuSModel, NeuSModelConfig
from nerfstudio.utils.rich_utils import CONSOLE
from rich.markup import escape
from torch import Tensor
from torch.nn import Parameter

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description
from winner_ns.fitting.plan import FieldPlan
from winner_ns.glue.nerfstudio_defects import attribute_set_to, lpips_left_out
from winner_ns.kinds import TrainingDefaults
from winner_ns.rays.neus_field import SirenSDFFieldConfig, fit_sphere
from winner_ns.rays.neus_mesh import write_scene_mesh
from winner_ns.rays.scene_model import SceneModel
from winner_ns.rays.view_figures import figures_and_pictures
from winner_ns.safe_text import file_name
from winner_ns.viewing.scene_panel import ScenePanel

SURFACE_TRAINING = TrainingDefaults(width=128, steps=3000, batch_size=512, learning_rate=5e-4)
"""What is trained where nothing else is asked for."""


@dataclass
class WinnerNeuSModelConfig(FieldPlan, NeuSModelConfig):
    """NeuS, its field's network, and the law that the network's initial noise follows."""

    _target: Type = field(default_factory=lambda: WinnerNeuSModel)
    """The model's class."""
    learning_rate: tyro.conf.Suppress[Optional[float]] = None
    """Set from --optimizers.field.optimizer.lr."""
    beta2: tyro.conf.Suppress[Optional[float]] = None
    """Set from --optimizers.field.optimizer.betas."""
    weight_decay: tyro.conf.Suppress[Optional[float]] = None
    """Set from --optimizers.field.optimizer.weight-decay."""
    num_samples: int = 32
    """Samples along a ray, evenly spread."""
    num_samples_importance: int = 32
    """Further samples along a ray, near the surface."""
    num_up_sample_steps: int = 2
    """Steps in which these are found."""
    base_variance: float = 64
    """Sharpness at which the first of these are looked for, per half the scene box; doubled with every step."""
    num_samples_outside: int = 16
    """Samples behind the scene box, where there is a background."""
    eikonal_loss_mult: float = 0.1
    """Weight of the eikonal loss."""
    fg_mask_loss_mult: float = 0.1
    """Weight of the loss that holds opacities to the images' alpha channels."""
    eval_num_rays_per_chunk: int = 2048
    """Rays at a time in pictures."""
    background_color: Optional[Literal["random", "white", "black"]] = None  # type: ignore[assignment]
    """What transparent pixels lie on. None: white where images have an alpha channel, else black, to which the
    background is added."""
    background_model: Optional[Literal["grid", "mlp", "none"]] = None  # type: ignore[assignment]
    """What is behind the scene box (grid wants tinycudann). None: mlp where images are opaque, else none."""
    mono_normal_loss_mult: tyro.conf.Suppress[float] = 0.0
    """Nothing here has measured normals."""
    mono_depth_loss_mult: tyro.conf.Suppress[float] = 0.0
    """Nor depths."""
    periodic_tvl_mult: tyro.conf.Suppress[float] = 0.0
    """Of encodings that are not here."""
    anneal_end: Optional[int] = None
    """Step up to which the slope against the view is softened (Wang et al. 2021, NeuS, arXiv 2106.10689). None: a sixth
    of the run."""
    lpips: bool = False
    """Whether LPIPS is among the figures of test views. Its weights have to lie in torch's cache already; nothing is
    downloaded."""
    camera_optimizer: CameraOptimizerConfig = field(default_factory=lambda: CameraOptimizerConfig(mode="off"))
    """Whether the poses of photographs are corrected while their scene is learnt."""
    sdf_field: SirenSDFFieldConfig = field(default_factory=SirenSDFFieldConfig)
    """The signed-distance field."""


class WinnerNeuSModel(SceneModel, NeuSModel):
    """NeuS for a SirenSDFField."""

    config: WinnerNeuSModelConfig

    def populate_modules(self) -> None:
        self.description = Description.from_dict(self.kwargs["metadata"]["description"])
        scene = self.description.signal
        self.panel = ScenePanel(self.description)
        self.scene_box = SceneBox(aabb=torch.tensor(scene["box"]))
        self.config.background_color = scene["background_color"]
        self.config.background_model = scene["background_model"]
        self.config.sdf_field.description = self.description.as_dict()
        # The same in every process; torch's own seed is not.
        assert self.description.order is not None
        self.config.sdf_field.seed = self.description.order.seed
        self.num_train_data = scene["train_views"]
        with lpips_left_out():
            super().populate_modules()
        self.sampler.base_variance = self.config.base_variance / self.field.frame.half_extent
        self.anneal_end = self.config.anneal_end or 0
        self.camera_optimizer = self.config.camera_optimizer.setup(num_cameras=scene["train_views"], device="cpu")
        # Of empty rays it is far, as nerfstudio's exporters want it.
        self.renderer_depth = DepthRenderer(method="median")
        del self.lpips  # What stands for nerfstudio's.

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> List[TrainingCallback]:
        callbacks = super().get_training_callbacks(attributes)
        if self.config.sdf_field.start == "fitted":
            # Not when the field is built: what is loaded from a checkpoint has no need of it.
            where = [TrainingCallbackLocation.BEFORE_TRAIN_ITERATION]
            callbacks.append(TrainingCallback(where, self.start_as_sphere, iters=(0,)))
        return callbacks

    def start_as_sphere(self, step: int) -> None:
        """Brings the fresh network to a sphere (`fit_sphere`), in every process alike."""
        fit_sphere(self.field, self.config.sdf_field.seed)

    def get_param_groups(self) -> Dict[str, List[Parameter]]:
        """field: the network and the density's sharpness; color: the colour layers and what is behind the box."""
        shape = [*self.field.trunk.parameters(), *self.field.deviation_network.parameters()]
        known = {id(p) for p in shape}
        rest = [p for part in super().get_param_groups().values() for p in part]
        groups = {"field": shape, "color": [p for p in rest if p.requires_grad and id(p) not in known]}
        self.camera_optimizer.get_param_groups(param_groups=groups)
        return groups

    def get_outputs(self, ray_bundle: RayBundle) -> Dict[str, Tensor]:
        """rgb [n, 3], accumulation [n, 1], depth [n, 1] and normal [n, 3] of rays; in pictures normals, the same as
        colours; in training what the losses want."""
        if self.training:
            self.camera_optimizer.apply_to_raybundle(ray_bundle)
        # ns-render makes rays without it.
        ray_bundle.metadata.setdefault("directions_norm", torch.ones_like(ray_bundle.origins[..., :1]))
        # What is cropped stands before a colour of its own; nerfstudio's NeuS would begin a background there.
        cropped = renderers.BACKGROUND_COLOR_OVERRIDE is not None
        with attribute_set_to(self.config, "background_model", "none" if cropped else self.config.background_model):
            outputs = super().get_outputs(ray_bundle)
        # Along the ray, as exporters and the viewer take depth; nerfstudio's NeuS measures along the camera's axis.
        outputs["depth"] = outputs["depth"] * ray_bundle.metadata["directions_norm"]
        if not self.training:
            outputs["normals"] = outputs.pop("normal_vis").clamp(0.0, 1.0)
            # Pictures of each single sample would take a picture's memory many times over.
            for name in ("weights", "bg_weights", "directions_norm"):
                outputs.pop(name, None)
        return outputs

    def get_metrics_dict(self, outputs: Dict[str, Any], batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """psnr in dB (peak 1) of the batch's rays, the density's sharpness and its inverse, and how far poses were
        moved."""
        # Not NeuSModel's own, which reads the sharpness twice at each step, for which a GPU has to be waited for.
        metrics = super(NeuSModel, self).get_metrics_dict(outputs, batch)
        if self.training:
            sharpness = self.field.deviation_network.get_variance().detach().reshape(())
            metrics |= {"s_val": sharpness, "inv_s": 1.0 / sharpness}
        self.camera_optimizer.get_metrics_dict(metrics)
        return metrics

    def get_loss_dict(
        self, outputs: Dict[str, Any], batch: Dict[str, Tensor], metrics_dict: Optional[Dict[str, Tensor]] = None
    ) -> Dict[str, Tensor]:
        image = batch["image"]
        if self.description.signal["has_alpha"]:
            batch = {**batch, "fg_mask": image[..., 3:]}
        losses = super().get_loss_dict(outputs, batch, metrics_dict)
        if self.training:
            self.camera_optimizer.get_loss_dict(losses)
        return losses

    def loss_counts(self, outputs: Dict[str, Tensor]) -> Dict[str, int]:
        """The eikonal loss is a mean over those samples that are gone through with."""
        return {"eikonal_loss": len(outputs["eik_grad"])}

    def get_image_metrics_and_images(
        self, outputs: Dict[str, Tensor], batch: Dict[str, Tensor]
    ) -> Tuple[Dict[str, float], Dict[str, Tensor]]:
        """psnr, ssim and, where asked for, lpips of a view; original and rendering side by side, opacity, depth,
        normals."""
        truth = self.renderer_rgb.blend_background(batch["image"].to(outputs["rgb"].device))
        figures, pictures = figures_and_pictures(outputs, truth, self.config.lpips)
        return figures, {**pictures, "normal": outputs["normals"]}

    def write_results(self, folder: Path) -> List[Path]:
        """The coloured mesh, in the frame of the data's files, if there is a surface yet; in evaluation mode."""
        path = folder / f"{file_name(self.description.name)}-fitted.ply"
        try:
            write_scene_mesh(self.field, self.description, path)
        except SignalError as error:
            CONSOLE.print(f"[bold yellow]no mesh yet[/bold yellow]: {escape(str(error))}", soft_wrap=True)
            return []
        return [path]

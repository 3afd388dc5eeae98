"""What a radiance field and a surface have in common as nerfstudio's models."""

from __future__ import annotations

from typing import Any, Dict

import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.glue.described_model import DescribedModel
from winner_ns.viewing.scene_panel import ScenePanel


class SceneModel(DescribedModel):
    """A model of posed photographs with opacities."""

    renderer_rgb: Any
    panel: ScenePanel
    """What the viewer's control panel says of it."""

    def loss_counts(self, outputs: Dict[str, Tensor]) -> Dict[str, int]:
        """What losses are means over that are none over the rays of a step, by the losses' names."""
        return {}

    def get_rgba_image(self, outputs: Dict[str, Tensor], output_name: str = "rgb") -> Float[Tensor, "*batch 4"]:
        """Colours without the background, and opacities, in [0, 1]. nerfstudio's own has them opaque throughout, and
        its `ns-export pointcloud` would take the background for a part of the scene.

        Args:
            outputs: of rays or of a view.
            output_name: of the colours among them.
        """
        background = self.renderer_rgb.background_color
        if isinstance(background, str) and background == "last_sample":
            return super().get_rgba_image(outputs, output_name)  # All that is seen is scene.
        color, opacity = outputs[output_name], outputs[output_name.replace("rgb", "accumulation")]
        if "bg_rgb" in outputs:  # Of a background's own model.
            color = color - (1.0 - opacity) * outputs["bg_rgb"]
        elif not (isinstance(background, str) and background == "random"):  # That is rendered on black.
            behind = self.renderer_rgb.get_background_color(background, color.shape, color.device)
            color = color - (1.0 - opacity) * behind
        return torch.cat([(color / opacity.clamp(min=1e-10)).clamp(0.0, 1.0), opacity], dim=-1)

"""A nerfstudio model whose outputs are pictures of a signal."""

from __future__ import annotations

from typing import Any, Mapping, Optional

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.models.base_model import Model

from winner_ns.fields.files import LoadedField
from winner_ns.signals import Signal
from winner_ns.viewing.panel import SignalPanel
from winner_ns.viewing.signal_view import Pictures, SignalView, signal_view
from winner_ns.viewing.view import View


class ViewedModel(Model):
    """Draws its fields for nerfstudio's viewer and render commands; only the outputs that are looked at."""

    signal_view: Optional[SignalView] = None
    panel: Optional[SignalPanel] = None

    def show(self, fields: Mapping[str, LoadedField], original: Optional[Signal]) -> None:
        """Says what is drawn.

        Args:
            fields: by name; they share their weights with what is trained.
            original: what they are fitted to, where it is at hand.
        """
        self.signal_view = signal_view(fields, original)
        self.panel = SignalPanel(self.signal_view)

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: Any = None) -> Pictures:
        """All outputs of a camera's view by name; there is no scene to crop."""
        assert self.signal_view is not None and self.panel is not None
        pictures = self.signal_view.pictures(View.of_camera(camera, self.device), self.panel.settings())
        for name in self.panel.shown(pictures):
            pictures[name]  # Here, where the viewer holds training back and may interrupt.
        return pictures

"""A nerfstudio model that carries the description of its run."""

from __future__ import annotations

import json
from typing import Any, Dict

from nerfstudio.models.base_model import Model


class DescribedModel(Model):
    """A model whose description travels inside the checkpoint, which is thereby complete."""

    description: Dict[str, Any]
    """What a run is, as plain JSON."""

    def get_extra_state(self) -> Dict[str, str]:
        """The description, as torch saves it beside the weights."""
        return {"description": json.dumps(self.description)}

    def set_extra_state(self, state: Dict[str, str]) -> None:
        """Takes the description of a checkpoint."""
        self.description = json.loads(state["description"])

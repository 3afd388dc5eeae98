"""A nerfstudio model that carries the description of its run."""

from __future__ import annotations

import json
from typing import Dict

from nerfstudio.models.base_model import Model

from winner_ns.fields.description import Description


class DescribedModel(Model):
    """A model whose description travels inside the checkpoint, which is thereby complete."""

    description: Description
    """What a run is."""

    def get_extra_state(self) -> Dict[str, str]:
        """The description, as torch saves it beside the weights."""
        return {"description": json.dumps(self.description.as_dict())}

    def set_extra_state(self, state: Dict[str, str]) -> None:
        """Takes the description of a checkpoint."""
        self.description = Description.from_dict(json.loads(state["description"]))

"""Names that a config.yml of version 0.1 holds, for nerfstudio's commands to open such runs."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from winner_ns.registry import resolve

NAMES = {
    "winner_ns.fitting.comparison": ("winner_ns.plugin.compare_trainer", {}),
    "winner_ns.fitting.datamanager": ("winner_ns.plugin.datamanager", {}),
    "winner_ns.fitting.field_config": ("winner_ns.fitting.plan", {"FieldConfig": "NetworkPlan"}),
    "winner_ns.fitting.model": ("winner_ns.plugin.model", {}),
    "winner_ns.fitting.pipeline": ("winner_ns.plugin.pipeline", {}),
    "winner_ns.fitting.surface_trainer": ("winner_ns.plugin.neus_trainer", {}),
    "winner_ns.fitting.trainer": ("winner_ns.plugin.trainer", {}),
    "winner_ns.scenes.dataparser": ("winner_ns.rays.dataparser", {}),
    "winner_ns.scenes.pixel_sampler": ("winner_ns.rays.pixel_sampler", {}),
    "winner_ns.scenes.rendering": ("winner_ns.rays.rendering", {}),
    "winner_ns.scenes.surface_field": ("winner_ns.rays.neus_field", {}),
    "winner_ns.scenes.surface_model": ("winner_ns.rays.neus_model", {}),
}
"""Modules of version 0.1, where what they held is now, and what of it has another name."""
MOVED = {
    "winner_ns.scenes.folder": {
        "BlenderScene": "winner_ns.rays.scene_dataparser:BlenderScene",
        "BlenderSceneConfig": "winner_ns.rays.scene_dataparser:BlenderSceneConfig",
    },
}
"""What has left a module that is still there."""


def register_earlier_names() -> None:
    """Lets the names of version 0.1 be found where a config.yml says that they are."""
    for earlier, (module, renamed) in NAMES.items():
        alias = ModuleType(earlier, f"What version 0.1 had here is in {module}.")
        # Everything is looked up when it is asked for.
        alias.__getattr__ = lambda name, module=module, renamed=renamed: getattr(  # type: ignore[method-assign]
            importlib.import_module(module), renamed.get(name, name)
        )
        sys.modules.setdefault(earlier, alias)
    for module, names in MOVED.items():
        for name, reference in names.items():
            setattr(importlib.import_module(module), name, resolve(reference))

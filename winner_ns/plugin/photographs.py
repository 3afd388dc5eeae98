"""What of a training follows from posed photographs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Dict, List, Tuple

from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description, Order
from winner_ns.fitting.plan import FieldPlan, SettledNetwork
from winner_ns.kinds import VIEWS
from winner_ns.plugin.datamanager import SignalDataManagerConfig, datamanager_flag
from winner_ns.plugin.model import SignalModelConfig
from winner_ns.rays.dataparser import SceneDataParserConfig
from winner_ns.rays.neus_field import SURFACE_SETTINGS
from winner_ns.rays.neus_model import SURFACE_TRAINING, WinnerNeuSModelConfig
from winner_ns.rays.scene_dataparser import BlenderScene, BlenderSceneConfig, check_scene, scene_dataparser
from winner_ns.rays.scene_description import (
    FEATURES,
    describe_run,
    describe_scene,
    read_views,
    report_lines,
    scene_errors,
    scene_field,
    shows_cutouts,
)
from winner_ns.signals import ReadOptions


def absolute(path: Path) -> Path:
    """The whole path of what is there. Other names are left alone: nuscenes' data parser takes that of a scene."""
    path = Path(path).expanduser()
    return path.resolve() if path.exists() else path


def settle_dataparser(data: SignalDataManagerConfig) -> List[str]:
    """Chooses the data parser, unless one is named; returns what a user should know.

    Raises:
        SignalError: no folder is given, or what it holds cannot be used.
    """
    usual = {"holdout": ("none",), "between": ("none", None), "denoiser": ("none",), "shape_loss": ("distance",)}
    for name in (name for name, values in usual.items() if getattr(data, name) not in values):
        raise SignalError(datamanager_flag(name), "is not for posed photographs", "leave it out")
    if data.read != ReadOptions():
        raise SignalError("--pipeline.datamanager.read", "is for sounds, not for photographs", "leave it out")
    if data.shape_samples != SignalDataManagerConfig.shape_samples:
        raise SignalError("--pipeline.datamanager.shape-samples", "is for shapes, not for photographs", "leave it out")
    if data.patch_size != 1:
        raise SignalError("--pipeline.datamanager.patch-size", "there is no loss on patches here", "leave it out")
    if type(data.dataparser) is BlenderDataParserConfig:
        # Ours keeps the alpha channel, which says what is scene.
        given = {each.name: getattr(data.dataparser, each.name) for each in fields(data.dataparser)}
        data.dataparser = BlenderSceneConfig(**{**given, "alpha_color": None, "_target": BlenderScene})
    if not isinstance(data.dataparser, SceneDataParserConfig):
        data.data = absolute(data.data or data.dataparser.data)
        data.dataparser.data = data.data
        return []
    if data.data is None:
        raise SignalError("--data", "no folder is given", "give the folder of posed photographs")
    notes = check_scene(data.data)
    data.dataparser = scene_dataparser(data.data)
    data.data = data.dataparser.data
    return notes


def inspect_views(path: Path, plan: FieldPlan) -> Tuple[List[str], Dict[str, Any]]:
    """What `ns-train winner-siren` would say of posed photographs, without training.

    Args:
        path: their folder.
        plan: what was chosen of the field.

    Returns:
        Lines to read, and the same as plain JSON.

    Raises:
        SignalError: photographs that cannot be used, or choices that contradict each other.
    """
    rays = VIEWS.training.batch_size
    data = SignalDataManagerConfig(data=path.expanduser().resolve(), batch_size=rays, train_num_rays_per_batch=rays)
    notes = settle_dataparser(data)
    chosen = {each.name: getattr(plan, each.name) for each in fields(FieldPlan)}
    description, settled = describe_radiance(SignalModelConfig(**chosen), data)
    plain = description.as_dict()
    facts = {"file": str(data.data), "kind": description.kind, **(plain["spectrum"] or {}), "network": plain["network"]}
    return report_lines(description, settled, notes), {**facts, "signal": plain["signal"], "warnings": notes}


def describe_radiance(model: SignalModelConfig, data: SignalDataManagerConfig) -> Tuple[Description, SettledNetwork]:
    """The description of a radiance field, and what its plan has settled into.

    Raises:
        SignalError: photographs that cannot be read, settings that contradict each other or that the family refuses.
    """
    outputs, dataset = read_views(data)
    with scene_errors(data.data):
        scene = describe_scene(outputs, dataset, model.views.extent, model.views.background_color)
        settled = scene_field(model, dataset, scene, data.data, 1 + FEATURES, VIEWS.training)
    views = {"camera_optimizer": model.camera_optimizer.mode, "grid_resolution": model.views.grid_resolution}
    return describe_run(data.data, scene, settled, _order(data)).with_further(views=views), settled


def describe_surface(model: WinnerNeuSModelConfig, data: SignalDataManagerConfig) -> Tuple[Description, SettledNetwork]:
    """The description of a surface, likewise."""
    outputs, dataset = read_views(data)
    with scene_errors(data.data):
        opaque = not shows_cutouts(dataset)
        scene = describe_scene(
            outputs,
            dataset,
            "unbounded" if opaque else "bounded",
            model.background_color or ("black" if opaque else None),
        )
    scene["background_model"] = model.background_model or ("mlp" if opaque else "none")
    if scene["background_model"] != "none" and scene["background_color"] != "black":
        raise SignalError(
            "--pipeline.model.background-model",
            f"{scene['background_model']} is added to black, not {scene['background_color']}",
            "give --pipeline.model.background-color black",
        )
    values = 1 + model.sdf_field.geo_feat_dim
    with scene_errors(data.data):
        settled = scene_field(model, dataset, scene, data.data, values, SURFACE_TRAINING, surface=True)
    surface = {name: getattr(model.sdf_field, name) for name in SURFACE_SETTINGS}
    surface["use_average_appearance_embedding"] = model.use_average_appearance_embedding
    views = {"camera_optimizer": model.camera_optimizer.mode}
    described = describe_run(data.data, scene, settled, _order(data))
    return described.with_further(views=views, surface=surface), settled


def _order(data: SignalDataManagerConfig) -> Order:
    return Order(data.seed, data.batch_size or 0)

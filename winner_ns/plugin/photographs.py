"""What of a training follows from posed photographs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset

from winner_ns.errors import SignalError
from winner_ns.fitting.description import SINE_FAMILIES
from winner_ns.fitting.field_config import AdaptedFieldConfig, FieldConfig
from winner_ns.fitting.settings import SETTINGS
from winner_ns.plugin.datamanager import SignalDataManagerConfig
from winner_ns.plugin.model import SignalModelConfig
from winner_ns.rays.dataparser import SceneDataParserConfig
from winner_ns.rays.neus_field import SURFACE_SETTINGS
from winner_ns.rays.neus_model import WinnerNeuSModelConfig
from winner_ns.rays.scene_dataparser import BlenderScene, BlenderSceneConfig, check_scene, scene_dataparser
from winner_ns.rays.scene_description import (
    FEATURES,
    describe_run,
    describe_scene,
    read_views,
    report_lines,
    scene_errors,
    scene_noise,
    shows_cutouts,
)
from winner_ns.signals import ReadOptions
from winner_ns.spectrum.target import NoiseReport


def absolute(path: Path) -> Path:
    """The whole path of what is there. Other names are left alone: nuscenes' data parser takes that of a scene."""
    path = Path(path).expanduser()
    return path.resolve() if path.exists() else path


def settle_dataparser(data: SignalDataManagerConfig) -> List[str]:
    """Chooses the data parser, unless one is named; returns what a user should know.

    Raises:
        SignalError: no folder is given, or what it holds cannot be used.
    """
    if data.holdout != "none" or data.shape_loss != "distance":
        flag = "holdout" if data.holdout != "none" else "shape-loss"
        raise SignalError(f"--pipeline.datamanager.{flag}", "is not for posed photographs", "leave it out")
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


def inspect_views(
    path: Path,
    width: Optional[int] = None,
    depth: Optional[int] = None,
    omega_0: float = 30.0,
    first_omega_0: Optional[float] = None,
    **law: Any,
) -> Tuple[List[str], Dict[str, Any]]:
    """What `ns-train winner-siren` would say of posed photographs, without training.

    Args:
        path: their folder.
        width, depth, omega_0, first_omega_0: of the sine network; None is the default.
        law: law, purpose, s0 and s1 as `choose_noise` takes them.

    Returns:
        Lines to read, and the same as plain JSON.

    Raises:
        SignalError: photographs that cannot be used, or flags that contradict each other.
    """
    rays = SETTINGS["views"].batch_size
    data = SignalDataManagerConfig(data=path.expanduser().resolve(), batch_size=rays, train_num_rays_per_batch=rays)
    notes = settle_dataparser(data)
    made_of = FieldConfig(width=width, depth=depth, omega_0=omega_0, first_omega_0=first_omega_0)
    purpose = law.pop("purpose")
    model = SignalModelConfig(field=made_of, purpose=None if purpose is None else str(purpose), **law)
    description, report = describe_radiance(model, data)
    facts = {"file": str(data.data), "kind": "views", **description["spectrum"], "network": description["network"]}
    return report_lines(description, report, notes), {**facts, "signal": description["signal"], "warnings": notes}


def describe_radiance(
    model: SignalModelConfig, data: SignalDataManagerConfig
) -> Tuple[Dict[str, Any], Optional[NoiseReport]]:
    """The description of a radiance field, and what the law says of its noise (None for families that take none).

    Raises:
        SignalError: photographs that cannot be read, settings that contradict each other or that the family refuses.
    """
    outputs, dataset = read_views(data)
    with scene_errors(data.data):
        scene = describe_scene(outputs, dataset, model.views.extent, model.views.background_color)
        description, report = _describe(model, data, dataset, scene, 1 + FEATURES)
    description["views"] = {
        "camera_optimizer": model.camera_optimizer.mode, "grid_resolution": model.views.grid_resolution
    }  # fmt: skip
    return description, report


def describe_surface(
    model: WinnerNeuSModelConfig, data: SignalDataManagerConfig
) -> Tuple[Dict[str, Any], Optional[NoiseReport]]:
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
    with scene_errors(data.data):
        description, report = _describe(model, data, dataset, scene, 1 + model.sdf_field.geo_feat_dim, surface=True)
    description["views"] = {"camera_optimizer": model.camera_optimizer.mode}
    description["surface"] = {name: getattr(model.sdf_field, name) for name in SURFACE_SETTINGS}
    description["surface"]["use_average_appearance_embedding"] = model.use_average_appearance_embedding
    return description, report


def _describe(
    model: AdaptedFieldConfig,
    data: SignalDataManagerConfig,
    dataset: InputDataset,
    scene: Dict[str, Any],
    values: int,
    surface: bool = False,
) -> Tuple[Dict[str, Any], Optional[NoiseReport]]:
    made_of, defaults = model.field, SETTINGS["surface" if surface else "views"]
    settings: Dict[str, Any] = {"width": made_of.width or defaults.width, "depth": made_of.depth or defaults.depth}
    report = None
    if made_of.family in SINE_FAMILIES:
        settings["omega_0"] = made_of.omega_0
        settings["first_omega_0"] = made_of.omega_0 if made_of.first_omega_0 is None else made_of.first_omega_0
        law: Dict[str, Any] = {"law": model.law, "purpose": model.purpose, "s0": model.s0, "s1": model.s1}
        law = {"law": "explicit"} if made_of.family == "siren" else law
        report = scene_noise(dataset, scene, settings, data.data, surface, **law)
    elif made_of.family == "hash-grid":
        settings = {key: value for key, value in settings.items() if getattr(made_of, key) is not None}
        settings = {"max_resolution": 1024, "log2_hashmap_size": 17, **settings}
        if surface:
            settings["implementation"] = "torch"  # tiny-cuda-nn has no second derivatives, which normals are learnt by.
    settings.update(made_of.options)
    order = {"seed": data.seed, "batch_size": data.batch_size}
    return describe_run(data.data, scene, made_of.family, settings, values, report, order), report

"""The description of a run on posed photographs, and what a user is told of it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

import torch
from jaxtyping import Float
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.fields.description import Description, Order
from winner_ns.fields.field import FieldTask
from winner_ns.fitting.plan import FieldPlan, SettledNetwork
from winner_ns.kinds import VIEWS, TrainingDefaults
from winner_ns.rays.frame import FieldFrame
from winner_ns.rays.scene_spectrum import scene_focus, scene_spectrum
from winner_ns.rays.visual_hull import visual_hull_box

FINEST_CELLS = 1024
"""Cells along an axis of the finest grid of a family that has some."""
FEATURES = 32
"""Values of a radiance field's network, beside the density, that the colour is made of."""


def read_views(datamanager: Any) -> Tuple[DataparserOutputs, InputDataset]:
    """The training views that a data manager's config stands for.

    Raises:
        SignalError: the dataparser cannot read them.
    """
    config = datamanager.dataparser
    with scene_errors(config.data):
        outputs = config.setup().get_dataparser_outputs(split="train")
        dataset = InputDataset(outputs, datamanager.camera_res_scale_factor)
        if len(dataset) == 0:
            raise ValueError("there are no training views")
        missing = [name for name in outputs.image_filenames if not Path(name).is_file()]
        if missing:
            raise ValueError(f"{missing[0]} and {len(missing) - 1} other images are missing")
        sizes = view_sizes(outputs)
        for split in ("val", "test"):
            others = config.setup().get_dataparser_outputs(split=split)
            if not others.image_filenames:
                raise ValueError(f"no {split} views are left; withhold some from training, as by train-split-fraction")
            sizes |= view_sizes(others)
    rays = {
        "batch-size": datamanager.train_num_rays_per_batch,
        "eval-num-rays-per-batch": datamanager.eval_num_rays_per_batch,
    }
    odd = [flag for flag, number in rays.items() if number % 2]
    if len(sizes) > 1 and odd:
        # Otherwise nerfstudio's sampler ends in an assertion.
        raise SignalError(
            f"--pipeline.datamanager.{odd[0]}",
            f"{rays[odd[0]]} is odd, and photographs differ in size",
            "give an even number of rays",
        )
    return outputs, dataset


def view_sizes(outputs: DataparserOutputs) -> Set[Tuple[int, int]]:
    """Widths and heights that photographs have."""
    cameras = outputs.cameras
    return set(zip(cameras.width.flatten().tolist(), cameras.height.flatten().tolist()))


def _counted_sizes(outputs: DataparserOutputs) -> List[List[int]]:
    """Width, height and number of the photographs of each size, the most frequent first."""
    cameras = outputs.cameras
    sizes = Counter(zip(cameras.width.flatten().tolist(), cameras.height.flatten().tolist()))
    return [[width, height, count] for (width, height), count in sizes.most_common()]


@contextmanager
def scene_errors(data: Path) -> Iterator[None]:
    """What comes of photographs that cannot be read, as SignalErrors: nerfstudio's parsers raise what comes to hand."""
    try:
        yield
    except SignalError:
        raise
    except Exception as error:  # Any type: cut files of COLMAP's, say, end in struct.error.
        text = str(error) or type(error).__name__
        raise SignalError(data, f"cannot be read as posed photographs ({text})", "see docs/views.md") from error


def describe_scene(
    outputs: DataparserOutputs, dataset: InputDataset, extent: str, background_color: Optional[str]
) -> Dict[str, Any]:
    """What is known of a scene, as plain JSON: its views, its box, how it is brought into the field's coordinates, and
    the way back to the coordinates of the data's files.

    Args:
        outputs, dataset: the training views (`read_views`).
        extent: bounded, unbounded or auto.
        background_color: of transparent pixels; None: white where images have an alpha channel, else last_sample.
    """
    has_alpha = shows_cutouts(dataset)
    bounded = has_alpha if extent == "auto" else extent == "bounded"
    cameras, box = dataset.cameras, dataset.scene_box.aabb.float()
    hull = visual_hull_box(dataset, box) if has_alpha and bounded else None
    box = box if hull is None else hull
    return {
        "train_views": len(dataset),
        "sizes": _counted_sizes(outputs),
        "has_alpha": has_alpha,
        "bounded": bounded,
        "background_color": background_color or ("white" if has_alpha else "last_sample"),
        "box": box.tolist(),
        "focus": (scene_focus(cameras, box.mean(dim=0)) if hull is None else box.mean(dim=0)).tolist(),
        "dataparser_transform": dataparser_transform(outputs)[:3].tolist(),
        "dataparser_scale": float(outputs.dataparser_scale),
        "camera": {
            **{name: float(getattr(cameras, name)[0]) for name in ("fx", "fy", "cx", "cy")},
            **{name: int(getattr(cameras, name)[0]) for name in ("width", "height")},
        },
        "camera_to_world": cameras.camera_to_worlds[0].tolist(),
    }


def dataparser_transform(outputs: DataparserOutputs) -> Float[Tensor, "rows 4"]:
    """From the frame of the data's files to the parser's, before its scale; sdfstudio's parser keeps it elsewhere."""
    transform = outputs.metadata.get("transform")
    return outputs.dataparser_transform if transform is None else transform


def shows_cutouts(dataset: InputDataset) -> bool:
    """Whether images have an alpha channel that says something: of some of them, not all pixels are opaque."""
    step = max(1, len(dataset) // 8)
    images = (dataset.get_image_float32(index) for index in range(0, len(dataset), step))
    return any(image.shape[-1] == 4 and bool((image[..., 3] < 0.99).any()) for image in images)


def scene_field(
    plan: FieldPlan,
    dataset: InputDataset,
    scene: Dict[str, Any],
    data: Path,
    values: int,
    training: TrainingDefaults,
    surface: bool = False,
) -> SettledNetwork:
    """The network that learns a scene, from what the training views show.

    Args:
        plan: what was chosen of it.
        dataset: the training views.
        scene: `describe_scene`.
        data: where the views are, for messages.
        values: that the network gives at each point.
        training: the method's defaults.
        surface: whether it is a signed distance that is learnt, not a density.

    Raises:
        SignalError: choices that contradict each other or that the family refuses, or views that show nothing.
    """
    try:
        # A surface's field covers the scene box; what lies behind has a field of its own.
        frame = FieldFrame(SceneBox(aabb=torch.tensor(scene["box"])), scene["bounded"] or surface)
        spectrum = scene_spectrum(dataset, frame)
    except ValueError as error:
        raise SignalError(data, str(error), "check the photographs and their alpha channel") from error
    task = FieldTask(training.width, training.depth, finest=FINEST_CELLS, second_derivatives=surface)
    return plan.settle_network(spectrum, 3, values, task, training)


def describe_run(data: Path, scene: Dict[str, Any], settled: SettledNetwork, order: Order) -> Description:
    """Puts the pieces together.

    Args:
        data: where the views are.
        scene: `describe_scene`.
        settled: the network.
        order: what decides on the order of rays.
    """
    return Description(
        kind=VIEWS.name,
        name=data.name,
        data=str(data),
        network=settled.network,
        target={},
        signal=scene,
        spectrum=settled.noise,
        order=order,
    )


def report_lines(description: Description, settled: SettledNetwork, notes: List[str]) -> List[str]:
    """What a user is told when training starts."""
    scene = description.signal
    camera = scene["camera"]
    # Runs of before have the first camera's size alone.
    sizes = scene.get("sizes", [[camera["width"], camera["height"], scene["train_views"]]])
    of = f"{scene['train_views']} of " if len(sizes) == 1 else f"{scene['train_views']} photographs, "
    each = [f"{width} x {height}" if len(sizes) == 1 else f"{n} of {width} x {height}" for width, height, n in sizes]
    where = "in a box" if scene["bounded"] else "unbounded"
    return [
        f"views     {description.name}: {of}{', '.join(each)} pixels, {where}, background {scene['background_color']}",
        *settled.law_lines(),
        settled.lines()[-1],
        *(f"note      {note}" for note in notes),
    ]

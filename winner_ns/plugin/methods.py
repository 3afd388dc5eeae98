"""The methods that `ns-train` knows through this package."""

from nerfstudio.plugins.types import MethodSpecification

from winner_ns.errors import one_line_errors
from winner_ns.glue.nerfstudio_defects import list_without_source_code
from winner_ns.plugin.compare_trainer import CompareTrainerConfig
from winner_ns.plugin.earlier_names import register_earlier_names
from winner_ns.plugin.neus_trainer import SurfaceTrainerConfig
from winner_ns.plugin.trainer import SignalTrainerConfig
from winner_ns.registry import import_plugins

register_earlier_names()
list_without_source_code()
with one_line_errors():
    import_plugins()

TRAINED_ALIKE = {
    "steps_per_save": 500,
    "steps_per_eval_batch": 100,
    "steps_per_eval_image": 500,
    "steps_per_eval_all_images": 10**9,
    "vis": "viewer+tensorboard",
}

winner_siren = MethodSpecification(
    config=SignalTrainerConfig(method_name="winner-siren", **TRAINED_ALIKE),
    description="Fit an image, a sound, a shape, a volume, a video or photographs by a sine network adapted to them.",
)

winner_compare = MethodSpecification(
    config=CompareTrainerConfig(method_name="winner-compare", **TRAINED_ALIKE),
    description="Fit several fields to one signal side by side, on the same batches, and compare them.",
)

winner_neus = MethodSpecification(
    config=SurfaceTrainerConfig(method_name="winner-neus", **TRAINED_ALIKE),
    description="Learn a surface from posed photographs: NeuS with a SIREN as its distance; gives a coloured mesh.",
)

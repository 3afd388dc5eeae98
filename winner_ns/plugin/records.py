"""What the records of a training (tensorboard, wandb) get that nerfstudio's writers have no road for."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from nerfstudio.utils import comms, writer


def put_sound(name: str, samples: Float[np.ndarray, " n"], rate: int, step: int) -> None:
    """Records a sound, in the first of several processes.

    Args:
        name: what it is called.
        samples: 1 at full scale.
        rate: in hertz.
        step: of the training.
    """
    if not comms.is_main_process():
        return
    for each in writer.EVENT_WRITERS:
        if isinstance(each, writer.TensorboardWriter):
            each.tb_writer.add_audio(name, samples[None], step, sample_rate=rate)
        elif isinstance(each, writer.WandbWriter):
            import wandb  # Slow.

            wandb.log({name: wandb.Audio(samples, sample_rate=rate)}, step=step)


def put_histogram(name: str, values: Float[np.ndarray, " n"], step: int) -> None:
    """Records how values are distributed, in the first of several processes.

    Args:
        name: what they are called.
        values: finite.
        step: of the training.
    """
    if not comms.is_main_process():
        return
    for each in writer.EVENT_WRITERS:
        if isinstance(each, writer.TensorboardWriter):
            each.tb_writer.add_histogram(name, values, step)
        elif isinstance(each, writer.WandbWriter):
            import wandb  # Slow.

            wandb.log({name: wandb.Histogram(values)}, step=step)

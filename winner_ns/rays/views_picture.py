"""One picture that shows how well a field renders views that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence, Tuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from winner_ns.rays.view_figures import view_metrics
from winner_ns.writing import replacing

ERROR_GAIN = 4.0
"""How much errors are magnified."""


def write_views_comparison(path: Path, views: Sequence[Tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w 3"]]]) -> Path:
    """Writes one PNG: a row each for some views, their renderings, and the errors' magnitudes times ERROR_GAIN."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = views[0][0].shape[:2]
    side = 2.4
    figure = Figure(
        figsize=(side * len(views) * width / max(height, width) + 0.4, side * 3 * height / max(height, width) + 0.5)
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(views), squeeze=False)
    for column, (truth, rendered) in enumerate(views):
        error = np.clip(ERROR_GAIN * np.abs((rendered - truth).numpy()), 0.0, 1.0)
        for row, picture in enumerate((truth.numpy(), rendered.numpy(), error)):
            axis = axes[row, column]
            axis.imshow(np.clip(picture, 0.0, 1.0))
            axis.set(xticks=[], yticks=[])
            for spine in axis.spines.values():
                spine.set_visible(False)
        axes[1, column].set_xlabel(f"{view_metrics(rendered, truth)['psnr']:.2f} dB", fontsize=9)
    for row, name in enumerate(("view", "rendering", f"error x {ERROR_GAIN:g}")):
        axes[row, 0].set_ylabel(name, fontsize=9)
    figure.tight_layout(pad=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, facecolor="white")
    return path

"""The demo's picture of the spectral bottleneck."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict

import numpy as np

from winner_ns.writing import replacing


def plateau_picture(path: Path, runs: Dict[str, Path], original: Path) -> None:
    """PSNR over the steps of several runs of one sound, beside what they sound like: waveforms of the original and of
    each run's result.

    Args:
        path: the PNG to write.
        runs: name -> folder of a run of `winner-ns fit`.
        original: the sound that was fitted.
    """
    import matplotlib

    matplotlib.use("Agg")
    import soundfile
    from matplotlib import pyplot

    sounds = {"original": original}
    sounds |= {name: next((run / "results").glob("*-fitted.wav")) for name, run in runs.items()}
    colors = dict(zip(sounds, ("0.35", "#c2410c", "#1d4ed8", "#15803d")))
    figure = pyplot.figure(figsize=(11, 4.2), layout="constrained")
    grid = figure.add_gridspec(len(sounds), 2, width_ratios=(1.0, 1.5))
    curve = figure.add_subplot(grid[:, 0])
    for name, run in runs.items():
        known = json.loads((run / "results" / "figures.json").read_text(encoding="utf-8"))["curve"]
        curve.plot(known["step"], known["psnr"], color=colors[name], label=name, linewidth=2)
    curve.set_xlabel("training step")
    curve.set_ylabel("PSNR of the batch, dB")
    curve.legend(frameon=False, loc="upper left")
    curve.grid(alpha=0.25)
    curve.spines[["top", "right"]].set_visible(False)
    loudest = 1.05 * float(np.abs(soundfile.read(original)[0]).max())
    for row, (name, file) in enumerate(sounds.items()):
        samples, rate = soundfile.read(file)
        first, count = len(samples) // 4, int(0.03 * rate)
        part = samples[first : first + count]
        axes = figure.add_subplot(grid[row, 1])
        axes.plot(1000 * np.arange(len(part)) / rate, part, color=colors[name], linewidth=1)
        axes.set_ylim(-loudest, loudest)
        axes.set_title(name, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_yticks([])
        if row < len(sounds) - 1:
            axes.set_xticklabels([])
    axes.set_xlabel("milliseconds")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)

"""Signals with noise, for benchmarks of denoising, and what classical denoisers make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict

import numpy as np

from winner_ns.bench.metrics import figure_of
from winner_ns.figures.grids import psnr
from winner_ns.fitting.classical_denoisers import denoised, denoisers_for
from winner_ns.fitting.grid_target import GridTarget
from winner_ns.fitting.interpolation import normalised


def noisy_target(clean: GridTarget, sigma: float, seed: int, denoiser: str = "none") -> GridTarget:
    """The target with Gaussian noise of standard deviation sigma on its values in [-1, 1]; all that is measured is of
    the noisy samples, as nobody who denoises knows the others.

    Args:
        clean: without noise.
        sigma: the noise's deviation.
        seed: of the noise.
        denoiser: as `TargetOptions` has it.
    """
    signal = clean.signal
    noise = np.random.default_rng(seed).normal(0.0, sigma * signal.value_scale, signal.samples.shape)
    noisy = replace(signal, samples=(signal.samples + noise).astype(np.float32))
    return GridTarget.of(noisy, replace(clean.options, denoiser=denoiser))


def psnr_of_noise(clean: GridTarget, noisy: GridTarget) -> float:
    """PSNR in dB (range 2) of the noisy samples beside the clean ones."""
    signal = clean.signal
    error = ((noisy.signal.samples - signal.samples) / signal.value_scale).astype(np.float64)
    return psnr(float(np.mean(error**2)))


def classical_figures(clean: GridTarget, noisy: GridTarget) -> Dict[str, float]:
    """PSNR in dB (range 2) of what each classical denoiser makes of the noisy samples, by the figures' names."""
    everything = (slice(None),) * clean.signal.dimensions
    wanted, values = normalised(clean.signal, everything), normalised(noisy.signal, everything)
    return {
        figure_of(name): psnr(float(np.mean((denoised(values, denoiser) - wanted) ** 2)))
        for name, denoiser in denoisers_for(clean.signal.dimensions).items()
    }

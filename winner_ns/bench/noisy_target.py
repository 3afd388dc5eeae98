"""Signals with noise, for benchmarks of denoising."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from winner_ns.fitting.grid_target import GridTarget
from winner_ns.spectrum.noise import grid_spectrum


def noisy_target(clean: GridTarget, sigma: float, seed: int) -> GridTarget:
    """The target with Gaussian noise of standard deviation sigma on its values in [-1, 1]; its spectrum is the noisy
    one's, as nobody who denoises knows the other."""
    signal = clean.signal
    noise = np.random.default_rng(seed).normal(0.0, sigma * signal.value_scale, signal.samples.shape)
    noisy = replace(signal, samples=(signal.samples + noise).astype(np.float32))
    spectrum = grid_spectrum(signal.kind, noisy.samples, signal.nyquist, signal.value_offset)
    return replace(clean, signal=noisy, spectrum=spectrum, variance=clean.variance + sigma**2)


def psnr_of_noise(clean: GridTarget, noisy: GridTarget) -> float:
    """PSNR in dB (range 2) of the noisy samples beside the clean ones."""
    signal = clean.signal
    error = ((noisy.signal.samples - signal.samples) / signal.value_scale).astype(np.float64)
    return 10.0 * math.log10(4.0 / float(np.mean(error**2)))

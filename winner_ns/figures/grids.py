"""Figures of merit of samples on a grid, on the scale where the original lies in [-1, 1]."""

from __future__ import annotations

import math
from typing import Optional

import numpy as np
from jaxtyping import Float


def psnr(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(4 / MSE): the peak is the range 2 of values in [-1, 1].

    (SIREN²'s code takes a peak of 1 on the same values: 6.02 dB less.) Infinite for an error of zero.
    """
    return math.inf if mean_squared_error <= 0 else 10.0 * math.log10(4.0 / mean_squared_error)


def mean_squared_error(a: Float[np.ndarray, "*shape"], b: Float[np.ndarray, "*shape"]) -> float:
    """Mean of (a - b)², accumulated in float64."""
    difference = a.reshape(-1).astype(np.float64) - b.reshape(-1)
    return float(difference @ difference) / max(difference.size, 1)


def structural_similarity(a: Float[np.ndarray, "h w c"], b: Float[np.ndarray, "h w c"]) -> Optional[float]:
    """SSIM (Wang, Bovik, Sheikh, Simoncelli 2004: Gaussian window of 1.5 pixels, range 2); None below 11 pixels."""
    from skimage.metrics import structural_similarity as ssim

    if min(a.shape[:2]) < 11:
        return None
    similarity = ssim(
        a, b, data_range=2.0, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(similarity)  # pyright: ignore[reportArgumentType] (a tuple only where more is asked for)


def signal_to_noise_ratio(reference: Float[np.ndarray, "n c"], estimate: Float[np.ndarray, "n c"]) -> float:
    """SNR in dB: energy of the reference over energy of the error."""
    error = mean_squared_error(reference, estimate)
    energy = mean_squared_error(reference, np.zeros_like(reference))
    return math.inf if error <= 0 else 10.0 * math.log10(max(energy, 1e-300) / error)


def log_spectral_distance(
    reference: Float[np.ndarray, "n c"], estimate: Float[np.ndarray, "n c"], window: int = 2048, hop: int = 512
) -> float:
    """Log-spectral distance in dB (Gray and Markel 1976): root mean square over frequencies of the difference of the
    log power spectra, averaged over frames and channels; Hann window; powers below -100 dB of full scale count as
    that."""
    from scipy.signal import stft

    window = min(window, len(reference))
    hop = max(1, min(hop, window // 4))
    distances = []
    for channel in range(reference.shape[1]):
        levels = [
            10.0
            * np.log10(np.maximum(np.abs(stft(x[:, channel], nperseg=window, noverlap=window - hop)[2]) ** 2, 1e-10))
            for x in (reference, estimate)
        ]
        distances.append(np.sqrt(((levels[0] - levels[1]) ** 2).mean(axis=0)).mean())
    return float(np.mean(distances))

"""Denoising without a field, by what scikit-image and scipy have: so that a field's result has a yardstick, or a clean
copy to be fitted to."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np
from jaxtyping import Bool, Float

from winner_ns.errors import setting_error
from winner_ns.fitting.checked_numbers import shown, text
from winner_ns.fitting.interpolation import gaps_filled, normalised
from winner_ns.fitting.sample_split import SampleSplit, central_crop
from winner_ns.signals import GridSignal
from winner_ns.spectrum.white_noise import noise_deviation

Denoiser = Callable[[np.ndarray, float], np.ndarray]
"""(values in [-1, 1] [*shape, channels], deviation of the noise, above 0) -> the same without."""
MOST_DENOISED = 2**24
"""Values of a signal that is fitted to a denoiser's output, which all have to be in memory."""
MOST_COMPARED = 2**20
"""Samples of the central part by which fields and denoisers are compared."""
MOST_CALIBRATED = 2**16
"""Samples of the central part by which TV's weight is chosen."""
TV_WEIGHTS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Over the deviation of the noise."""


def nl_means(values: Float[np.ndarray, "h w c"], deviation: float) -> Float[np.ndarray, "h w c"]:
    """Non-local means (Buades, Coll, Morel 2005) of 5 x 5 pixels within 13 x 13, h = 0.8 of the deviation."""
    from skimage.restoration import denoise_nl_means

    strength = 0.8 * deviation
    found = denoise_nl_means(values, 5, 6, strength, sigma=deviation, fast_mode=True, channel_axis=-1)
    return found.reshape(values.shape)  # Of a single channel it comes without that axis.


def total_variation(values: Float[np.ndarray, "*shape c"], deviation: float) -> Float[np.ndarray, "*shape c"]:
    """Least total variation (Chambolle 2004), its weight chosen by self-supervision (Batson and Royer 2019)."""
    from skimage.restoration import calibrate_denoiser, denoise_tv_chambolle

    part = values[central_crop(values.shape[:-1], MOST_CALIBRATED)]
    choices = {"weight": [deviation * weight for weight in TV_WEIGHTS], "channel_axis": [-1]}
    calibrated: Any = calibrate_denoiser(part, denoise_tv_chambolle, choices, extra_output=True)
    _, (tried, losses) = calibrated
    # Not the denoiser that is returned with them, which sees no sample itself.
    return denoise_tv_chambolle(values, **tried[int(np.argmin(losses))])


def wavelets(values: Float[np.ndarray, "*shape c"], deviation: float) -> Float[np.ndarray, "*shape c"]:
    """Soft thresholds for wavelets, by BayesShrink (Chang, Yu, Vetterli 2000)."""
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(values, sigma=deviation, channel_axis=-1, rescale_sigma=False)


def wiener(values: Float[np.ndarray, "*shape c"], deviation: float) -> Float[np.ndarray, "*shape c"]:
    """The local Wiener filter of 5 samples along each axis (Lim 1990)."""
    from scipy.signal import wiener as filtered

    with np.errstate(invalid="ignore", divide="ignore"):
        channels = [filtered(values[..., c], 5, deviation**2) for c in range(values.shape[-1])]
    return np.nan_to_num(np.stack(channels, axis=-1))


def short_time_wiener(values: Float[np.ndarray, "n c"], deviation: float) -> Float[np.ndarray, "n c"]:
    """A Wiener filter of the short-time Fourier transform, by spectral subtraction: windows of 256 samples, 1.5 times
    the noise's power taken off the power over five of them, at least 2 % left."""
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import istft, stft

    length = min(256, len(values))
    overlap = length * 3 // 4
    window = np.hanning(length)
    noise = deviation**2 * (window**2).sum() / window.sum() ** 2
    result = np.empty_like(values)
    for channel in range(values.shape[-1]):
        transformed = stft(values[:, channel], nperseg=length, noverlap=overlap)[2]
        power = uniform_filter1d(np.abs(transformed) ** 2, 5, axis=1)
        factor = np.clip(1 - 1.5 * noise / np.maximum(power, 1e-12), 0.02, 1)
        result[:, channel] = istft(transformed * factor, nperseg=length, noverlap=overlap)[1][: len(values)]
    return result


def denoisers_for(dimensions: int) -> Dict[str, Denoiser]:
    """Those for signals of so many axes, by the names that flags and tables take."""
    known: Dict[str, Denoiser] = {"tv": total_variation, "wavelets": wavelets, "wiener": wiener}
    if dimensions == 1:
        return {**known, "wiener": short_time_wiener}
    return {"nl-means": nl_means, **known} if dimensions == 2 else known


DENOISERS: Tuple[str, ...] = (*dict.fromkeys((*denoisers_for(2), *denoisers_for(1))), "none")
"""What fields may be fitted to the output of."""


def checked_denoiser(name: str, signal: GridSignal) -> Optional[Denoiser]:
    """The denoiser of a name that a user gave; None for none.

    Raises:
        SignalError: there is none, or it is not for such a signal or one as large.
    """
    known = denoisers_for(signal.dimensions)
    advice = f"for {signal.kind} there are {', '.join(known)} and none"
    if text("denoiser", name, advice) == "none":
        return None
    if name not in known:
        raise setting_error("denoiser", f"{shown(name)} is none", advice)
    if signal.samples.size > MOST_DENOISED:
        problem = f"{signal.samples.size:,} values are too many to be in memory at once"
        raise setting_error("denoiser", problem, f"leave it out, or fit a part of at most {MOST_DENOISED:,}")
    return known[name]


def denoised(
    values: Float[np.ndarray, "*shape c"], denoiser: Denoiser, gaps: Optional[Bool[np.ndarray, "*shape"]] = None
) -> Float[np.ndarray, "*shape c"]:
    """Values without noise, whose deviation is estimated from them.

    Args:
        values: in [-1, 1].
        denoiser: what takes it away.
        gaps: which of them are no measurements; they are not looked at but filled from their neighbours.
    """
    filled = values if gaps is None or not gaps.any() else gaps_filled(values, gaps, np.float64)
    deviation = noise_deviation(filled, gaps=gaps)
    return np.asarray(denoiser(filled, deviation), np.float64) if deviation > 1e-9 else filled


def denoised_at_withheld(
    signal: GridSignal, split: SampleSplit
) -> Tuple[Tuple[slice, ...], Bool[np.ndarray, "*part"], Dict[str, Float[np.ndarray, "n c"]]]:
    """What each denoiser gives for the withheld samples of a central part, from the others alone.

    Returns:
        The part, which of its samples are withheld, and their values by the denoisers' names.
    """
    part = central_crop(signal.shape, MOST_COMPARED)
    withheld = split.is_heldout(part)
    values = normalised(signal, part)
    known = denoisers_for(signal.dimensions)
    return part, withheld, {name: denoised(values, known[name], withheld)[withheld] for name in known}

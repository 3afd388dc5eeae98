"""A fitted field's figures, beside those of the best classical interpolation where samples are withheld."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Optional

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField
from winner_ns.fields.sample_values import sample_values
from winner_ns.figures.grids import (
    log_spectral_distance,
    mean_squared_error,
    psnr,
    signal_to_noise_ratio,
    structural_similarity,
)
from winner_ns.figures.meshes import surface_distances, volume_iou
from winner_ns.figures.surface import Surface
from winner_ns.fitting.best_state import withheld_tell
from winner_ns.fitting.classical_denoisers import denoised_at_withheld
from winner_ns.fitting.interpolation import judged_samples
from winner_ns.fitting.judged_points import judged_points
from winner_ns.fitting.permutation import permute
from winner_ns.fitting.target import Target
from winner_ns.signals import GridSignal, Signal

if TYPE_CHECKING:
    from winner_ns.fitting.grid_target import GridTarget
    from winner_ns.fitting.shape_target import ShapeTarget
from winner_ns.meshing.fitted_surface import extract_unit_mesh

MOST_SAMPLES = 2**22
"""Samples that figures are computed from; of larger signals an evenly drawn choice (SSIM, spectra: a central part)."""
VOLUME_POINTS = 200_000
SURFACE_POINTS = 50_000


def evaluate_field(field: LoadedField, target: Target, mesh_resolution: Optional[int] = None) -> Dict[str, float]:
    """All figures of a fitted field that its kind knows.

    Grids: psnr (dB, range 2, at fitted samples), psnr_heldout and psnr_interpolation (at withheld samples); images
    also ssim, sounds snr and log_spectral_distance (dB). Shapes: iou (of volumes), chamfer (L1, in units of the unit
    cube), chamfer_percent_of_diagonal, hausdorff_percent_of_diagonal, f_score (at 0.1 % of the diagonal),
    normal_consistency. All but iou are of the surface as extracted with `mesh_resolution`; without one there is iou
    alone. Of a shape that is given by distances at points, iou is that of the volume where these prove what is inside
    (`judged_points`).
    """
    return target.figures(field, mesh_resolution)


def quick_figures(field: LoadedField, target: Target, samples: int = 8192) -> Dict[str, float]:
    """An estimate of the figure that counts, from the same few samples every time.

    Grids: psnr and, where samples are withheld, psnr_heldout (dB, range 2). Shapes: iou, from volume points within the
    surface's bounding box.
    """
    return target.quick_figures(field, samples)


def on_plateau(target: Target, figures: Dict[str, float]) -> bool:
    """Whether a field is hardly better than the mean of the samples."""
    return target.mean_error is not None and not figures["psnr"] >= psnr(target.mean_error) + 1.0


def quick_shape_figures(field: LoadedField, target: ShapeTarget) -> Dict[str, float]:
    """`quick_figures` of a shape."""
    points, inside = target.volume_points
    fitted = field.unit_distance(points).numpy()[:, 0] < 0
    return {"iou": volume_iou(inside, fitted).value}


def quick_grid_figures(field: LoadedField, target: GridTarget, samples: int) -> Dict[str, float]:
    """`quick_figures` of samples on a grid."""

    def decibels(chosen: np.ndarray) -> float:
        indices = torch.from_numpy(chosen)
        fitted = field.normalised(target.signal.coordinates(indices))
        return psnr(mean_squared_error(fitted.numpy(), target.signal.values(indices).numpy()))

    split = target.split
    numbers = permute(np.arange(min(samples, split.train_size)), split.train_size, key=1)
    figures = {"psnr": decibels(split.train_samples(numbers))}
    if split.heldout_size:
        figures["psnr_heldout"] = decibels(split.heldout_samples(samples))
    return figures


def grid_figures(field: LoadedField, target: GridTarget) -> Dict[str, float]:
    """`evaluate_field` of samples on a grid."""
    signal, split = target.signal, target.split

    def error_at(samples: np.ndarray) -> float:
        return mean_squared_error(_fitted_at(field, signal, samples), signal.values(torch.from_numpy(samples)).numpy())

    fitted = np.arange(split.train_size)
    if split.train_size > MOST_SAMPLES:
        fitted = permute(fitted[:MOST_SAMPLES], split.train_size, key=0)
    figures = {"psnr": psnr(error_at(split.train_samples(fitted)))}
    if split.heldout_size:
        figures["psnr_heldout"] = psnr(error_at(judged_samples(signal, split)))
        if target.interpolation is not None:
            figures["psnr_interpolation"] = psnr(target.interpolation[1])
    if target.row.figures is not None:
        figures |= target.row.get("figures")(field, target)
    return figures


def advice_on_noise(field: LoadedField, target: GridTarget) -> List[str]:
    """A line where a classical denoiser, made of the training samples alone, is nearer to the withheld noisy ones than
    a field is, by more than chance, or where these do not tell; else nothing."""
    part, withheld, found = denoised_at_withheld(target.signal, target.split)
    if not found or not withheld.any():
        return []
    indices = np.argwhere(withheld) + [each.start for each in part]
    flat = torch.from_numpy(np.ravel_multi_index(tuple(indices.T), target.signal.shape))
    truth = target.signal.values(flat).numpy().astype(np.float64)
    own = (_fitted_at(field, target.signal, flat.numpy()) - truth) ** 2
    errors = {name: (values - truth) ** 2 for name, values in found.items()}
    best = min(errors, key=lambda name: errors[name].mean())
    least = float(min(own.mean(), errors[best].mean()))
    if not withheld_tell(least, float(truth.var()), target.noise_loss / target.gain**2):
        names = " or ".join(found)
        return [
            "the spectrum is too bright for withheld samples to tell when to stop: the last state is kept, which may "
            f"be no better than the noisy samples; compare with the denoiser {names}"
        ]
    gained = (own - errors[best]).mean(axis=-1)
    if not gained.mean() > gained.std() / np.sqrt(len(gained)):
        return []
    theirs, ours = psnr(errors[best].mean()), psnr(own.mean())
    return [
        f"at the withheld noisy samples the classical denoiser {best} is better than the field, {theirs:.2f} dB "
        f"against {ours:.2f}: use that, or fit the field to its output with the denoiser {best}"
    ]


def image_figures(field: LoadedField, target: GridTarget) -> Dict[str, float]:
    """ssim of an image, where it has 11 x 11 pixels."""
    similarity = structural_similarity(*_central_part(field, target, 2**20))
    return {} if similarity is None else {"ssim": similarity}


def sound_figures(field: LoadedField, target: GridTarget) -> Dict[str, float]:
    """snr and log_spectral_distance of a sound, in dB."""
    original, fitted = _central_part(field, target, MOST_SAMPLES)
    return {
        "snr": signal_to_noise_ratio(original, fitted),
        "log_spectral_distance": log_spectral_distance(original, fitted),
    }


def _central_part(field: LoadedField, target: GridTarget, most: int) -> "tuple[np.ndarray, np.ndarray]":
    """Original and fitted values, [*shape, c], of a central part of about `most` samples."""
    shape = target.signal.shape
    scale = min(1.0, (most / len(target.signal)) ** (1 / len(shape)))
    lengths = [max(1, round(n * scale)) for n in shape]
    axes = [np.arange((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, lengths)]
    flat = np.ravel_multi_index(np.meshgrid(*axes, indexing="ij"), shape).reshape(-1)
    indices = torch.from_numpy(flat)
    size = (*lengths, target.signal.channels)
    original = target.signal.values(indices).numpy().reshape(size)
    return original, _fitted_at(field, target.signal, flat).reshape(size)


def _fitted_at(field: LoadedField, signal: GridSignal, samples: np.ndarray) -> Float[np.ndarray, "n c"]:
    """The field where the samples with these flat indices lie, in [-1, 1]."""
    values = sample_values(field)
    if values is not None:
        return values.reshape(-1, values.shape[-1])[samples]
    return field.normalised(signal.coordinates(torch.from_numpy(samples))).numpy()


def shape_figures(field: LoadedField, target: ShapeTarget, mesh_resolution: Optional[int]) -> Dict[str, float]:
    """`evaluate_field` of a shape."""
    seed = 1_000_003  # Not training's points.
    vertices, faces = extract_unit_mesh(field, mesh_resolution)
    # What the field believes to be inside far from the original counts as well.
    low, high = (bound[None] for bound in target.bounds)
    low, high = np.concatenate([low, vertices]).min(axis=0), np.concatenate([high, vertices]).max(axis=0)
    points, inside = judged_points(target.signal, low, high, VOLUME_POINTS, seed)
    fitted = field.unit_distance(torch.from_numpy(points)).numpy()[:, 0] < 0
    figures = {"iou": volume_iou(inside, fitted).value}
    if len(faces) == 0:
        return figures  # No surface yet.
    try:
        original = _original_surface(target, seed)
    except SignalError:
        return figures  # Samples too far from the surface to say where it is.
    return figures | surface_distances(original, Surface.of_mesh(vertices, faces, SURFACE_POINTS, seed + 1))


def _original_surface(target: ShapeTarget, seed: int) -> Surface:
    """The shape that is fitted, in the unit cube. Raises SignalError where its samples do not say where it is."""
    signal = target.signal
    if signal.vertices is not None and signal.faces is not None:
        return Surface.of_mesh(signal.vertices, signal.faces, SURFACE_POINTS, seed)
    if signal.points is not None and signal.normals is not None:
        return Surface(signal.points, signal.normals)
    return Surface(*signal.sample_surface(SURFACE_POINTS, seed))


def pictures(field: LoadedField, signal: Optional[Signal]) -> Dict[str, Tensor]:
    """Small pictures of the fit for tensorboard, [h, w, 3] in [0, 1]; of kinds that have some, where the signal is at
    hand."""
    return {} if signal is None else field.description.row.get("thumbnail")(field, signal)


def no_picture(field: LoadedField, signal: Signal) -> Dict[str, Tensor]:
    """Nothing: such fits are looked at as files."""
    return {}


def image_picture(field: LoadedField, signal: GridSignal) -> Dict[str, Tensor]:
    """The field as an image of at most 512 pixels."""
    scale = min(1.0, 512 / max(signal.shape))
    known = sample_values(field) if scale == 1.0 else None
    if known is None:
        values = field.grid([max(2, round(n * scale)) for n in signal.shape])
        known = (values - signal.value_offset) / signal.value_scale
    unit = known * 0.5 + 0.5
    color = unit[..., :3] if unit.shape[-1] >= 3 else np.repeat(unit[..., :1], 3, axis=-1)
    return {"field": torch.from_numpy(color).float().clamp(0, 1)}

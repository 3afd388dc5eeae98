"""Figures of merit. All values are on the scale where the original lies in [-1, 1]."""

from __future__ import annotations

import math
from typing import Dict, Optional, Tuple

import numpy as np
from jaxtyping import Float, Int


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
    return float(
        ssim(a, b, data_range=2.0, channel_axis=-1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    )


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


def intersection_over_union(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Volume IoU of two shapes from their signed distances (negative inside) at the same volume-uniform points."""
    inside_a, inside_b = a < 0, b < 0
    union = int((inside_a | inside_b).sum())
    return float((inside_a & inside_b).sum() / union) if union else 1.0


class Surface:
    """A surface that samples can be compared with: area-uniform points, and the nearest place to any point.

    Args:
        points: area-uniform samples.
        normals: their unit normals.
        vertices, faces: the triangles, where there are any; otherwise the samples themselves stand for the surface, and
            distances have their spacing as a floor.
    """

    def __init__(
        self,
        points: Float[np.ndarray, "n 3"],
        normals: Float[np.ndarray, "n 3"],
        vertices: Optional[Float[np.ndarray, "v 3"]] = None,
        faces: Optional[Int[np.ndarray, "f 3"]] = None,
    ) -> None:
        self.points, self.normals = np.asarray(points, dtype=np.float64), normals
        self.vertices, self.faces = vertices, faces

    def nearest(self, points: Float[np.ndarray, "m 3"]) -> Tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m 3"]]:
        """Distance to the surface and its unit normal at the nearest place."""
        if self.vertices is None or self.faces is None:
            from scipy.spatial import cKDTree

            distance, index = cKDTree(self.points).query(points, workers=-1)
            return distance, self.normals[index]
        import igl

        vertices, faces = np.ascontiguousarray(self.vertices, dtype=np.float64), np.ascontiguousarray(self.faces)
        tree = igl.AABB()
        tree.init(vertices, faces)
        squared, face, _ = tree.squared_distance(vertices, faces, np.ascontiguousarray(points, dtype=np.float64))
        corners = vertices[faces[face]]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.sqrt(squared), normals / np.maximum(lengths, 1e-300)


def surface_distances(a: Surface, b: Surface) -> Dict[str, float]:
    """Chamfer distance and normal consistency of two surfaces.

    Returns:
        chamfer: mean of the two mean distances from samples of one surface to the other surface (L1), in the
        points' unit; normal_consistency: mean absolute cosine between a sample's normal and that of the nearest place,
        both ways (1 is best).
    """
    distance_ab, normals_ab = b.nearest(a.points)
    distance_ba, normals_ba = a.nearest(b.points)
    cosine_ab = np.abs((a.normals * normals_ab).sum(axis=1)).mean()
    cosine_ba = np.abs((b.normals * normals_ba).sum(axis=1)).mean()
    return {
        "chamfer": float((distance_ab.mean() + distance_ba.mean()) / 2),
        "normal_consistency": float((cosine_ab + cosine_ba) / 2),
    }

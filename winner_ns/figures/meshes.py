"""Figures that compare two surfaces, with the error that sampling leaves in them: docs/figures-of-shapes.md.

`winner-ns eval-mesh` compares files by `compare_files`, ns-eval a field with its shape by `surface_distances`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from jaxtyping import Bool, Float

from winner_ns.errors import SignalError
from winner_ns.figures.surface import Surface, SurfaceFile, read_surface
from winner_ns.signals.shape_file import SURFACE_EXTENT

SAMPLES = 100_000
THRESHOLDS = (0.1, 0.5, 1.0)
"""Of the F-score, in percent of the diagonal. 1 % is what reconstructions from pictures are judged by (Tatarchenko et
al. 2019) and 0.5 % is stricter; a field that is fitted to the surface itself passes both, and 0.1 % tells it apart."""
SHORT_THRESHOLD = 0.1
"""Of the one F-score among ns-eval's figures, in percent of the diagonal."""
MOST_UNDECIDED = 0.01
"""Share of the volume for which a winding number may be far from a whole number, as around holes, for an IoU to be
given."""
_FEWEST_SAMPLES = 100


class Estimate(NamedTuple):
    """A figure and the standard error that it has because it is measured on random samples."""

    value: float
    error: float


@dataclass
class OneWay:
    """What samples of one surface find on another."""

    distances: Float[np.ndarray, " n"]
    """From each sample to the nearest place."""
    cosines: Float[np.ndarray, " n"]
    """Between the sample's normal and the one at the nearest place."""
    farthest: float
    """Largest distance of any sample or vertex."""

    @classmethod
    def measure(cls, source: Surface, other: Surface) -> OneWay:
        distances, normals = other.nearest(source.points)
        farthest = distances.max()
        if source.faces is not None:
            farthest = max(farthest, other.nearest(source.corners)[0].max())
        return cls(distances, np.einsum("ni,ni->n", source.normals, normals), float(farthest))


class SurfaceComparison:
    """Two surfaces compared both ways; distances are in the unit of their coordinates.

    Args:
        reference: the surface that is right, and gives the bounding box whose diagonal thresholds refer to.
        reconstruction: the surface that is judged, in the same frame.
    """

    def __init__(self, reference: Surface, reconstruction: Surface) -> None:
        self.diagonal = reference.diagonal
        self.from_reference = OneWay.measure(reference, reconstruction)
        self.from_reconstruction = OneWay.measure(reconstruction, reference)

    @cached_property
    def completeness(self) -> Estimate:
        """Mean distance from the reference to the reconstruction."""
        return _mean(self.from_reference.distances)

    @cached_property
    def accuracy(self) -> Estimate:
        """Mean distance from the reconstruction to the reference."""
        return _mean(self.from_reconstruction.distances)

    @cached_property
    def chamfer_l1(self) -> Estimate:
        """Mean of completeness and accuracy."""
        return _halfway(self.completeness, self.accuracy)

    @cached_property
    def chamfer_l2(self) -> Estimate:
        """Mean of the two mean squared distances, in the squared unit."""
        return _halfway(_mean(self.from_reference.distances**2), _mean(self.from_reconstruction.distances**2))

    @property
    def hausdorff(self) -> float:
        """Largest distance of a sample or vertex of either surface to the other: no more than the true one."""
        return max(self.from_reference.farthest, self.from_reconstruction.farthest)

    @cached_property
    def normal_consistency(self) -> Estimate:
        """Mean absolute cosine between a sample's normal and that of the nearest place, both ways (1 is best)."""
        return _halfway(_mean(np.abs(self.from_reference.cosines)), _mean(np.abs(self.from_reconstruction.cosines)))

    @cached_property
    def normal_consistency_signed(self) -> Estimate:
        """The same with the cosine's sign: -1 where one of the surfaces is inside out."""
        return _halfway(_mean(self.from_reference.cosines), _mean(self.from_reconstruction.cosines))

    def f_score(self, percent_of_diagonal: float) -> Dict[str, Estimate]:
        """precision and recall, the shares of the reconstruction and the reference that are no farther than a
        threshold from each other, and their harmonic mean f_score (Knapitsch et al. 2017)."""
        threshold = percent_of_diagonal / 100 * self.diagonal
        near_reference = self.from_reconstruction.distances <= threshold
        near_reconstruction = self.from_reference.distances <= threshold
        precision, recall = _share(near_reference), _share(near_reconstruction)
        together = precision.value + recall.value
        value = 2 * precision.value * recall.value / together if together else 0.0
        # By its derivatives, 2 R²/(P + R)² and 2 P²/(P + R)²; both are 1/2 where P = R.
        to_precision, to_recall = (
            (2 * (recall.value / together) ** 2, 2 * (precision.value / together) ** 2) if together else (0.5, 0.5)
        )
        error = math.hypot(to_precision * precision.error, to_recall * recall.error)
        return {"f_score": Estimate(value, error), "precision": precision, "recall": recall}


def surface_distances(reference: Surface, reconstruction: Surface) -> Dict[str, float]:
    """The figures of two surfaces that ns-eval shows.

    Returns:
        chamfer (L1, in the unit of the coordinates), chamfer_percent_of_diagonal, hausdorff_percent_of_diagonal,
        f_score (at `SHORT_THRESHOLD`) and normal_consistency, as `SurfaceComparison` has them.
    """
    comparison = SurfaceComparison(reference, reconstruction)
    return {
        "chamfer": comparison.chamfer_l1.value,
        "chamfer_percent_of_diagonal": 100 * comparison.chamfer_l1.value / comparison.diagonal,
        "hausdorff_percent_of_diagonal": 100 * comparison.hausdorff / comparison.diagonal,
        "f_score": comparison.f_score(SHORT_THRESHOLD)["f_score"].value,
        "normal_consistency": comparison.normal_consistency.value,
    }


def volume_iou(inside_a: Bool[np.ndarray, " n"], inside_b: Bool[np.ndarray, " n"]) -> Estimate:
    """Intersection over union of two volumes, from which of the same volume-uniform points lie inside of each; 1 where
    no point lies inside of either."""
    union = inside_a | inside_b
    return _share((inside_a & inside_b)[union]) if union.any() else Estimate(1.0, 1.0)


def compare_files(
    reference: Path,
    reconstruction: Path,
    samples: int = SAMPLES,
    thresholds: Sequence[float] = THRESHOLDS,
    seed: int = 0,
) -> Dict[str, Any]:
    """All figures of two files, as plain JSON: docs/figures-of-shapes.md has their definitions.

    Args:
        reference, reconstruction: meshes, or points with normals, in the same frame and unit.
        samples: random points on each mesh, and in the volume, at least 100; of points without faces all are used.
        thresholds: of the F-score, in percent of the reference's bounding-box diagonal.
        seed: the same numbers come out for the same one; from 0 on.

    Returns:
        Lengths have three keys: in the files' unit, with _percent_of_diagonal, and with _unit_cube the unit of the
        cube that shapes are fitted in. A figure's standard error is its key with _error. What cannot be said is left
        out, and `warnings` say why.

    Raises:
        SignalError: a file is no surface, or an argument is out of range.
    """
    if samples < _FEWEST_SAMPLES:
        raise SignalError("--samples", f"{samples} is too few", f"give at least {_FEWEST_SAMPLES}")
    if seed < 0:
        raise SignalError("--seed", f"{seed} is negative", "give a whole number from 0 on")
    files = (read_surface(reference), read_surface(reconstruction))
    low, high = files[0].vertices.min(axis=0), files[0].vertices.max(axis=0)
    diagonal = float(np.linalg.norm(high - low))
    cube_unit = float((high - low).max() / 2 / SURFACE_EXTENT)
    if diagonal < 1e-30:
        raise SignalError(reference, f"is only {diagonal:g} across", "use a smaller unit of length")
    # Around the reference's centre, so that coordinates far from the origin lose nothing, and in diagonals, so that
    # winding numbers, which are in single precision, stay within its range.
    seeds = [int(state) for state in np.random.SeedSequence(seed).generate_state(3)]
    a, b = (file.sampled(low / 2 + high / 2, diagonal, samples, s) for file, s in zip(files, seeds))
    comparison = SurfaceComparison(a, b)

    result: Dict[str, Any] = {
        "reference": files[0].describe(),
        "reconstruction": files[1].describe(),
        "diagonal": diagonal,
        "unit_cube": cube_unit,
        "samples": samples,
        "seed": seed,
    }
    units = {"": diagonal, "_percent_of_diagonal": 100.0, "_unit_cube": diagonal / cube_unit}
    for suffix, unit in units.items():
        for name in ("chamfer_l1", "accuracy", "completeness"):
            result |= _keys(name + suffix, getattr(comparison, name), unit)
    squares = {"": diagonal**2, "_percent_of_squared_diagonal": 100.0, "_unit_cube": (diagonal / cube_unit) ** 2}
    for suffix, unit in squares.items():
        result |= _keys("chamfer_l2" + suffix, comparison.chamfer_l2, unit)
    for suffix, unit in units.items():
        result["hausdorff" + suffix] = comparison.hausdorff * unit
        result["hausdorff_from_reference" + suffix] = comparison.from_reference.farthest * unit
        result["hausdorff_from_reconstruction" + suffix] = comparison.from_reconstruction.farthest * unit
    result["f_scores"] = []
    for threshold in thresholds:
        scores = {"threshold_percent_of_diagonal": threshold, "threshold": threshold / 100 * diagonal}
        for name, share in comparison.f_score(threshold).items():
            scores |= _keys(name, share)
        result["f_scores"].append(scores)
    result |= _keys("normal_consistency", comparison.normal_consistency)
    result |= _keys("normal_consistency_signed", comparison.normal_consistency_signed)
    overlap, warnings = _overlap(files, (a, b), samples, seeds[2])
    return {**result, **overlap, "warnings": [*_doubts(files, (a, b), comparison), *warnings]}


def _overlap(
    files: Tuple[SurfaceFile, SurfaceFile], surfaces: Tuple[Surface, Surface], samples: int, seed: int
) -> Tuple[Dict[str, float], List[str]]:
    """The volumes' IoU where both surfaces enclose one, and what is to be said about it."""
    for file in files:
        if file.faces is None:
            return {}, [f"no IoU: {file.path} has no faces, which could enclose a volume"]
    lows, highs = zip(*(surface.box for surface in surfaces))
    points = np.random.default_rng(seed).uniform(np.min(lows, axis=0), np.max(highs, axis=0), (samples, 3))
    # Of a mesh that is inside out, the winding number is negative.
    windings = [np.abs(surface.winding_number(points)) for surface in surfaces]
    warnings = []
    for file, winding in zip(files, windings):
        volume = int((winding > 0.25).sum())
        if not volume:
            return {}, [f"no IoU: {file.path} encloses none of the {samples} points in the bounding box of both"]
        undecided = float((np.abs(winding - np.round(winding)) > 0.25).sum() / volume)
        told = f"its winding number is not clear in {100 * undecided:.2g} % of its volume"
        if undecided > MOST_UNDECIDED:
            return {}, [f"no IoU: {file.path} is open or its faces disagree which side is out, {told}"]
        if undecided > 0:
            warnings.append(f"IoU: {file.path} has holes, {told}")
    return _keys("iou", volume_iou(windings[0] > 0.5, windings[1] > 0.5)), warnings


def _doubts(
    files: Tuple[SurfaceFile, SurfaceFile], surfaces: Tuple[Surface, Surface], comparison: SurfaceComparison
) -> List[str]:
    """What a user may have got wrong."""
    warnings = [warning for file in files for warning in file.warnings]
    (low_a, high_a), (low_b, high_b) = (surface.box for surface in surfaces)
    sizes = surfaces[0].diagonal, surfaces[1].diagonal
    if (low_a > high_b).any() or (low_b > high_a).any():
        warnings.append("the bounding boxes do not meet: are both files in the same frame and unit?")
    elif max(sizes) > 10 * min(sizes):
        warnings.append(f"the bounding boxes' diagonals are 1 to {sizes[1] / sizes[0]:.3g}: is the unit the same?")
    if comparison.normal_consistency_signed.value < 0:
        warnings.append("the normals point opposite ways: one of the surfaces is inside out")
    return warnings


def _mean(samples: Float[np.ndarray, " n"]) -> Estimate:
    return Estimate(float(samples.mean()), float(samples.std(ddof=1) / math.sqrt(len(samples))))


def _share(hits: Bool[np.ndarray, " n"]) -> Estimate:
    """A proportion; its error is the standard deviation of what is known of it from a uniform prior (Laplace 1774),
    about sqrt(p (1 - p)/n), but not zero where all samples agree."""
    count, hit = len(hits), int(hits.sum())
    expected = (hit + 1) / (count + 2)
    return Estimate(hit / count, math.sqrt(expected * (1 - expected) / (count + 3)))


def _halfway(a: Estimate, b: Estimate) -> Estimate:
    return Estimate((a.value + b.value) / 2, math.hypot(a.error, b.error) / 2)


def _keys(name: str, estimate: Estimate, unit: float = 1.0) -> Dict[str, float]:
    return {name: estimate.value * unit, f"{name}_error": estimate.error * unit}

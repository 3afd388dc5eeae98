"""transforms*.json: cameras of posed photographs, in the blender and in the nerfstudio format."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
from jaxtyping import Float

from winner_ns.errors import SignalError

NERFSTUDIO_INTRINSICS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
"""Each in the file or in every frame."""

_NEEDED_BY_NERFSTUDIO = f"its format needs {', '.join(NERFSTUDIO_INTRINSICS)}, in pixels, once or in every frame"
_NEEDED = {
    "camera_angle_x": "blender scenes need the horizontal field of view in radians; a file in nerfstudio's format is "
    "named transforms.json"
}


@dataclass(frozen=True)
class Transforms:
    """What a transforms*.json holds, checked."""

    path: Path
    values: Dict[str, Any]
    frames: List[Dict[str, Any]]
    poses: Float[np.ndarray, "frames 4 4"]
    """Camera-to-world; a camera looks along its -z, y is up."""


def read_transforms(path: Path, file_format: str) -> Transforms:
    """Reads the cameras.

    Args:
        path: the JSON.
        file_format: blender or nerfstudio, which need other intrinsics.

    Raises:
        SignalError: it is cut or no such file, has no frames, or one of them lacks a path, an invertible pose or
            intrinsics; the frame is named.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SignalError(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from error
    except (ValueError, RecursionError) as error:
        reason = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise SignalError(path, f"is cut or no JSON ({reason})", "get a whole copy of the file") from error
    if not isinstance(values, dict):
        raise SignalError(
            path,
            f"is a JSON {type(values).__name__} instead of an object",
            "it must hold frames and intrinsics by name",
        )
    frames = values.get("frames")
    if not isinstance(frames, list) or not frames:
        raise SignalError(path, "has no frames", "each view needs one with file_path and transform_matrix")
    for i, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise SignalError(path, f"frame {i} has no file_path", "name its image")
    # Blender's reader takes no notice of the last row.
    shapes = ((4, 4), (3, 4)) if file_format == "blender" else ((4, 4),)
    poses = [checked_pose(path, frame["file_path"], frame.get("transform_matrix"), shapes) for frame in frames]
    if file_format == "blender":
        angle = _number(path, "the file", "camera_angle_x", values)
        if not 0 < angle < math.pi:
            raise SignalError(path, f"camera_angle_x is {angle:g}", "give the field of view in radians, from 0 to pi")
    else:
        for frame in frames:
            for name in NERFSTUDIO_INTRINSICS:
                number = _number(path, frame["file_path"], name, values if name in values else frame)
                if name not in ("cx", "cy") and number <= 0:
                    raise SignalError(path, f"{name} of {frame['file_path']} is {number:g}", "it must be positive")
    return Transforms(path, values, frames, np.stack(poses))


def checked_pose(path: Path, name: str, matrix: Any, shapes: tuple = ((4, 4),)) -> Float[np.ndarray, "4 4"]:
    """A frame's camera-to-world matrix.

    Raises:
        SignalError: it is missing, of another shape, not finite or not invertible.
    """
    if matrix is None:
        raise SignalError(path, f"{name} has no transform_matrix", "each view needs its camera-to-world matrix")
    try:
        pose = np.array(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):  # The last of whole numbers that no float holds.
        pose = np.zeros(0)
    if pose.shape not in shapes:
        size = " x ".join(map(str, pose.shape)) if pose.size else "no matrix of numbers"
        raise SignalError(path, f"the transform_matrix of {name} is {size}", "give 4 x 4 numbers, camera to world")
    if not np.isfinite(pose).all():
        raise SignalError(path, f"the pose of {name} is not finite", "find this camera's pose again")
    rotation = pose[:3, :3]
    if abs(np.linalg.det(rotation)) <= 1e-6 * np.prod(np.linalg.norm(rotation, axis=0)):
        raise SignalError(path, f"the pose of {name} cannot be inverted", "its first three columns must be a rotation")
    return pose if pose.shape == (4, 4) else np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])


def in_one_place(poses: Float[np.ndarray, "views 4 4"]) -> bool:
    """Whether the cameras' positions leave nothing to centre and scale a scene by."""
    positions = poses[:, :3, 3]
    return bool(np.ptp(positions, axis=0).max() <= 1e-6 * max(1.0, np.abs(positions).max()))


def _number(path: Path, name: str, key: str, values: Dict[str, Any]) -> float:
    """A finite number of a frame or of the file."""
    if key not in values:
        raise SignalError(path, f"{name} has no {key}", _NEEDED.get(key, _NEEDED_BY_NERFSTUDIO))
    try:
        number = float(values[key])
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SignalError(path, f"{key} of {name} is no finite number", "give the camera's intrinsics")
    return number

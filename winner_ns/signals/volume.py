"""Reading volumes and videos: arrays are memory-mapped, videos decoded frame by frame through PyAV."""

from __future__ import annotations

import errno
import io
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Optional, Tuple

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.signals.array import MEMORY_LIMIT, open_array, value_range
from winner_ns.signals.grid import GridSignal, square_half_extent
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.quiet import quiet_stderr

ARRAY_FRAME_RATE = 24.0
"""Frames per second that a .npy is taken to have."""


def read_volume(path: Path) -> GridSignal:
    """Reads a .npy of cubic voxels, [depth, height, width] or [depth, height, width, channels <= 4].

    The samples keep the file's type and stay on disk; [-1, 1] stands for the full range of 8- and 16-bit integers,
    for the smallest to largest value of others.

    Raises:
        SignalError: the file is no such array, has an axis of length 1, is constant or has NaN or infinite samples.
    """
    with open(path, "rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise SignalError(path, "is no volume", "give a .npy of [depth, height, width] or with channels behind")
    return volume_of_array(open_array(path), path)


def volume_of_array(array: np.ndarray, path: Path, options: Optional[ReadOptions] = None) -> GridSignal:
    """A volume from an array in rows, shaped as for `read_volume`; raises as that.

    Args:
        array: its samples.
        path: what messages, and files made of it, call it.
        options: for sounds.
    """
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] > 4:
        raise SignalError(
            path,
            f"an array of shape {array.shape} is no volume",
            "give [depth, height, width] or [depth, height, width, channels] with 1 to 4 channels",
        )
    if min(array.shape[:3]) < 2:
        raise SignalError(path, f"has {_by(array)} voxels", "a volume needs at least 2 along each axis")
    offset, scale = value_range(path, array)
    return GridSignal(
        kind="volume",
        path=path,
        samples=array,
        value_offset=offset,
        value_scale=scale,
        half_extent=square_half_extent(array.shape[:3]),
        metadata={"format": "NPY"},
    )


def read_video(path: Path) -> GridSignal:
    """Reads MP4, MKV, WebM, AVI, MOV, GIF as 8-bit RGB, and .npy ([time, height, width] or [..., channels <= 4]).

    The time axis spans [-1, 1] by itself, rows and columns share one spacing. Frames count as evenly spaced. Decoded
    frames beyond 512 MiB go to a temporary file. metadata: "frame_rate" (Hz) and "format".

    Raises:
        SignalError: the file is no video or is cut before its second frame, is constant, has NaN or infinite samples
            or fewer than 2 x 2 pixels.
    """
    with open(path, "rb") as file:
        is_array = file.read(6) == b"\x93NUMPY"
    if is_array:
        return video_of_array(open_array(path), path)
    warnings: List[str] = []
    frames, metadata = _decode(path, warnings)
    return _video(path, frames, metadata, warnings)


def video_of_array(array: np.ndarray, path: Path, options: Optional[ReadOptions] = None) -> GridSignal:
    """A video from an array in rows, shaped as for `read_video`; raises as that.

    Args:
        array: its samples.
        path: what messages, and files made of it, call it.
        options: for sounds.
    """
    assumed = f"{path}: an array names no frame rate; {ARRAY_FRAME_RATE:g} frames per second are assumed"
    frames = array[..., None] if array.ndim == 3 else array
    return _video(path, frames, {"frame_rate": ARRAY_FRAME_RATE, "format": "NPY"}, [assumed])


def _video(path: Path, frames: np.ndarray, metadata: Dict[str, Any], warnings: List[str]) -> GridSignal:
    if frames.ndim != 4 or frames.shape[-1] > 4:
        raise SignalError(
            path,
            f"an array of shape {frames.shape} is no video",
            "give [time, height, width] or [time, height, width, channels] with 1 to 4 channels",
        )
    if min(frames.shape[:3]) < 2:
        raise SignalError(path, f"has {_by(frames)} samples", "a video needs at least 2 frames of 2 x 2 pixels")
    offset, scale = value_range(path, frames)
    return GridSignal(
        kind="video",
        path=path,
        samples=frames,
        value_offset=offset,
        value_scale=scale,
        half_extent=(1.0, *square_half_extent(frames.shape[1:3])),
        metadata=metadata,
        warnings=warnings,
    )


def _decode(path: Path, warnings: List[str]) -> Tuple[np.ndarray, Dict[str, Any]]:
    """The frames of a video file, [time, height, width, 3] in 8 bit, turned upright, and its metadata."""
    import av

    store: BinaryIO = io.BytesIO()
    size: Optional[Tuple[int, int]] = None
    count = 0
    with quiet_stderr():
        try:
            with av.open(str(path), metadata_errors="replace") as container:
                if not container.streams.video:
                    raise SignalError(path, "holds no pictures, it is cut or a sound", "give a whole video, or a WAV")
                stream = container.streams.video[0]
                rate = float(stream.average_rate or ARRAY_FRAME_RATE)
                metadata = {"frame_rate": rate, "format": container.format.name}
                for frame in container.decode(stream):
                    # A stream may change its size on the way: the first frame's counts.
                    width, height = size = size or (frame.width, frame.height)
                    pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
                    # Phones film as they are held and note the rotation.
                    pixels = np.rot90(pixels, round(getattr(frame, "rotation", 0) / 90))
                    if isinstance(store, io.BytesIO) and store.tell() + pixels.nbytes > MEMORY_LIMIT:
                        memory, store = store, tempfile.TemporaryFile(prefix="winner_ns_")
                        store.write(memory.getbuffer())
                    store.write(np.ascontiguousarray(pixels).data)
                    count += 1
        except SignalError:
            raise
        except Exception as error:  # Any type: FFmpeg's own, and what PyAV makes of damaged names and numbers.
            if getattr(error, "errno", None) == errno.ENOSPC:
                advice = "free space or set TMPDIR to another disk"
                raise SignalError(path, f"its frames do not fit into {tempfile.gettempdir()}", advice) from error
            if count < 2:
                raise SignalError(path, "is no video or cut", "get a whole copy, or convert it to MP4") from error
            warnings.append(f"{path}: is cut or damaged after {count} frames; these are used")
    if count == 0:
        raise SignalError(path, "holds no frame that can be decoded", "get a whole copy, or convert it to MP4")
    shape = (count, *pixels.shape)
    if isinstance(store, io.BytesIO):
        return np.frombuffer(store.getbuffer(), np.uint8).reshape(shape), metadata
    with store:
        store.flush()
        return np.memmap(store, np.uint8, "r", shape=shape), metadata


def _by(array: np.ndarray) -> str:
    return " x ".join(str(n) for n in array.shape[:3])

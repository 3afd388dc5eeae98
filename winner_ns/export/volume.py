"""Arrays and videos from fitted volumes, videos and whatever else lies on a grid."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.export.output import fitted_path, require_export
from winner_ns.export.resampling import NumberFormat, exported_shape, number_format, resampled
from winner_ns.fields.files import LoadedField
from winner_ns.mapped import new_npy
from winner_ns.progress import Report, silent
from winner_ns.writing import check_output, replacing


def export_volume(
    loaded: LoadedField,
    output: Path,
    scale: float = 1.0,
    bit_depth: Optional[int] = None,
    size: Optional[Sequence[int]] = None,
    report: Report = silent,
) -> Dict[str, Any]:
    """Evaluates a fitted grid at any size and writes it, block by block.

    Args:
        loaded: a fitted volume, video or grid of another kind. What has a frame rate is a video: its first axis is
            time.
        output: .npy; videos also .mp4 (of 1 or 3 channels: H.264, 8 bit) or .png (an animation, 8 bit, without loss).
        scale: factor of all axes, but of a video's time; see `resampled`.
        bit_depth: 8, 16 or 32 (float), see `number_format`; None is the original's own type and values.
        size: samples along all axes, in place of the scale; needed where they are more than
            `winner_ns.export.resampling.MOST_UNASKED`. A video keeps its frames.
        report: is told how far it is.

    Returns:
        path, kind, shape, channels and dtype.

    Raises:
        SignalError: another kind of run, an unknown suffix or bit depth, or a failure to write.
    """
    require_export(loaded, "volume")
    is_video = "frame_rate" in loaded.signal
    suffix = check_output(output, (".npy", *_WRITERS) if is_video else (".npy",), loaded.description.data)
    if bit_depth not in (None, 8, 16, 32) or (suffix in _WRITERS and bit_depth not in (None, 8)):
        raise SignalError(output, f"cannot hold {bit_depth} bits", "give 8, 16 or 32, and 8 for .mp4 and .png")
    axes = range(len(loaded.signal["shape"]))
    shape = exported_shape(loaded, scale, axes[1:] if is_video else axes, size)
    numbers = number_format(loaded, 8 if suffix in _WRITERS else bit_depth)
    with replacing(output, loaded.description.data) as temporary:
        if suffix == ".npy":
            _write_npy(temporary, loaded, shape, numbers, report)
        else:
            _WRITERS[suffix](temporary, loaded, shape, numbers, output, report)
    return {
        "path": str(output),
        "kind": loaded.kind,
        "shape": list(shape),
        "channels": loaded.channels,
        "dtype": str(numbers.dtype),
    }


def write_fitted(loaded: LoadedField, folder: Path) -> Path:
    """Writes a fitted grid as its kind's own file (`export_fitted`, `default_volume_suffix`)."""
    path = fitted_path(loaded, default_volume_suffix(loaded), folder)
    export_volume(loaded, path)
    return path


def default_volume_suffix(loaded: LoadedField) -> str:
    """.npy; of a film .mp4, or .png where there is alpha, which MP4 does not hold."""
    if "frame_rate" not in loaded.signal:
        return ".npy"
    return ".mp4" if loaded.channels in (1, 3) else ".png"


def _write_npy(path: Path, loaded: LoadedField, shape: Sequence[int], numbers: NumberFormat, report: Report) -> None:
    full = (*shape, loaded.channels) if loaded.channels > 1 else tuple(shape)
    array = new_npy(path, full, numbers.dtype)
    start = 0
    for block in resampled(loaded, shape, report):
        array[start : start + len(block)] = numbers(block).reshape(-1, *full[1:])
        start += len(block)
    array.flush()


def _write_mp4(
    path: Path, loaded: LoadedField, shape: Sequence[int], numbers: NumberFormat, output: Path, report: Report
) -> None:
    import av
    from av.error import FFmpegError

    if loaded.channels not in (1, 3):
        raise SignalError(output, f"a video of {loaded.channels} channels is no MP4", "write .npy")
    try:
        with av.open(str(path), "w", format="mp4") as container:
            rate = Fraction(loaded.signal["frame_rate"]).limit_denominator(1001)
            stream = container.add_stream("libx264", rate=rate, options={"crf": "12"})
            stream.height, stream.width = shape[1:]
            # What all players know has half the colour resolution and needs even sizes.
            stream.pix_fmt = "yuv444p" if shape[1] % 2 or shape[2] % 2 else "yuv420p"
            for block in resampled(loaded, shape, report):
                for pixels in np.broadcast_to(numbers(block), (*block.shape[:-1], 3)):
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                    container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except FFmpegError as error:
        raise SignalError(output, f"cannot be written as MP4 ({error})", "write .npy") from error


def _write_animation(
    path: Path, loaded: LoadedField, shape: Sequence[int], numbers: NumberFormat, output: Path, report: Report
) -> None:
    """A PNG of several pictures, each shown as long as the others; in memory it is whole."""
    from PIL import Image

    first, *others = (
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        for block in resampled(loaded, shape, report)
        for pixels in numbers(block)
    )
    duration = 1000 / loaded.signal["frame_rate"]
    try:
        first.save(path, format="PNG", save_all=True, append_images=others, duration=duration, blend=0)
    except (ValueError, OSError) as error:
        raise SignalError(output, f"cannot be written as an animation ({error})", "write .npy") from error


_WRITERS = {".mp4": _write_mp4, ".png": _write_animation}
"""What writes a film as each suffix says."""

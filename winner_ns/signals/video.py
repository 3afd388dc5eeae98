"""Reading films: through PyAV, and animated GIF, PNG, WebP and AVIF through Pillow, at a constant rate."""

from __future__ import annotations

import io
import math
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Optional, Tuple

import numpy as np
from jaxtyping import Shaped

from winner_ns.errors import SignalError, counted
from winner_ns.reading import check_decoded
from winner_ns.signals.array import MEMORY_LIMIT, native_rows, no_scratch, open_array, scratch_array, value_range
from winner_ns.signals.brands import IMAGE_BRANDS, brands
from winner_ns.signals.grid import GridSignal, square_half_extent
from winner_ns.signals.image import pictures_in
from winner_ns.signals.media import exact, opened
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.png import SIGNATURE as PNG
from winner_ns.signals.png import png_facts
from winner_ns.signals.quiet import quiet_stderr

ARRAY_FRAME_RATE = 24.0
"""Frames per second that a .npy is taken to have."""

_UNSAID_DURATION = Fraction(1, 10)
"""Seconds that browsers show a picture of an animation that says nothing, or (of a GIF) next to nothing."""
_MOST_REPEATED, _FEW_FRAMES = 8, 1000
"""Frames that a film of variable rate becomes: so many times as many at most, or at least so many."""
_JITTER = 0.1
"""Share of a frame by which its time may be off in a film of constant rate."""
_CLOCK = 0.0011
"""The same in seconds: Matroska's times are whole milliseconds."""


def read_video(path: Path) -> GridSignal:
    """Reads MP4, MKV, WebM, AVI, MOV and animated GIF, PNG, WebP and AVIF as 8-bit RGB (RGBA where anything is
    transparent), and .npy ([time, height, width] or [..., channels <= 4]).

    The time axis spans [-1, 1] by itself, rows and columns share one spacing. A film whose frames last unequally long
    is brought to a constant rate at which each is repeated as long as it lasts, which is said. Decoded frames beyond
    512 MiB go to a temporary file. metadata: "frame_rate" (Hz) and "format".

    Raises:
        SignalError: the file is no video or is cut before its second frame, takes more unpacked than is allowed, is
            constant, has NaN or infinite samples or fewer than 2 x 2 pixels.
    """
    with open(path, "rb") as file:
        head = file.read(32)
    if head.startswith(b"\x93NUMPY"):
        return video_of_array(open_array(path), path)
    film = _animation(path) if _is_of_pillow(head) else _decoded(path)
    frames, rate = film.at_constant_rate()
    return _video(path, frames, {"frame_rate": rate, "format": film.file_format}, film.warnings)


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


def is_animation(path: Path, head: bytes) -> bool:
    """Whether a file is a PNG, WebP or AVIF of several pictures; of GIFs images know those of one."""
    if head.startswith(PNG):
        try:
            return png_facts(path).pictures > 1
        except SignalError:
            return False  # The image reader says what is wrong with it.
    animated = head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)
    return (animated or b"avis" in brands(head)) and pictures_in(path) > 1


def _is_of_pillow(head: bytes) -> bool:
    named = brands(head) & (IMAGE_BRANDS["AVIF"] | {b"avis"})
    return head.startswith((PNG, b"GIF8")) or head[8:12] == b"WEBP" or bool(named)


def _video(path: Path, frames: np.ndarray, metadata: Dict[str, Any], warnings: List[str]) -> GridSignal:
    if frames.ndim != 4 or frames.shape[-1] > 4:
        raise SignalError(
            path,
            f"an array of shape {frames.shape} is no video",
            "give [time, height, width] or [time, height, width, channels] with 1 to 4 channels",
        )
    if min(frames.shape[:3]) < 2:
        by = " x ".join(str(n) for n in frames.shape[:3])
        raise SignalError(path, f"has {by} samples", "a video needs at least 2 frames of 2 x 2 pixels")
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


@dataclass
class _Film:
    """Frames as they are decoded, in memory or in a temporary file, and when each begins."""

    path: Path
    file_format: str = ""
    rate: Optional[Fraction] = None
    """What the file says of all frames."""
    starts: List[Optional[Fraction]] = field(default_factory=list)
    """Seconds."""
    last: Fraction = Fraction(0)
    """Seconds that the last frame lasts; 0 where that is not known."""
    warnings: List[str] = field(default_factory=list)
    store: BinaryIO = field(default_factory=io.BytesIO)
    shape: Tuple[int, ...] = ()
    transparent: bool = False

    def add(self, pixels: np.ndarray, start: Optional[Fraction]) -> None:
        """Takes a frame, [height, width, channels] in 8 bit; all have the first one's shape."""
        self.shape = self.shape or pixels.shape
        check_decoded(self.path, float(len(self.starts) + 1) * pixels.nbytes)
        try:
            if isinstance(self.store, io.BytesIO) and self.store.tell() + pixels.nbytes > MEMORY_LIMIT:
                memory, self.store = self.store, tempfile.TemporaryFile(prefix="winner_ns_")
                self.store.write(memory.getbuffer())
            self.store.write(np.ascontiguousarray(pixels).data)
        except OSError as error:
            raise no_scratch(error) from error
        self.transparent = self.transparent or (pixels.shape[-1] == 4 and int(pixels[..., 3].min()) < 255)
        self.starts.append(start)

    def frames(self) -> np.ndarray:
        """All of them, [n, height, width, channels], without alpha where nothing is transparent."""
        shape = (len(self.starts), *self.shape)
        if isinstance(self.store, io.BytesIO):
            frames = np.frombuffer(self.store.getbuffer(), np.uint8).reshape(shape)
        else:
            try:
                with self.store:
                    self.store.flush()
                    frames = np.memmap(self.store, np.uint8, "r", shape=shape)
            except OSError as error:
                raise no_scratch(error) from error
        return native_rows(frames[..., :3]) if shape[-1] == 4 and not self.transparent else frames

    def at_constant_rate(self) -> Tuple[np.ndarray, float]:
        """The frames, each as often as it is to be shown, and how many are shown a second."""
        frames = self.frames()
        known = [start for start in self.starts if start is not None]
        usual = self.rate or Fraction(24)
        if len(known) < len(self.starts) or len(known) < 2 or sorted(set(known)) != known:
            return frames, float(usual)
        starts = [start - known[0] for start in known]
        lasts = [b - a for a, b in zip(starts, starts[1:])]
        # Writers that know no more leave a tick of their clock for the last one.
        lasts.append(self.last if self.last * 20 >= min(lasts) else sorted(lasts)[len(lasts) // 2])
        whole = starts[-1] + lasts[-1]
        for rate in (usual, (Fraction(len(starts)) / whole).limit_denominator(1001)):
            if rate and _is_constant(starts, whole, rate):
                return frames, float(rate)
        rate, count = _constant_rate(lasts, whole)
        begin = np.array([float(start) for start in starts])
        shown = np.searchsorted(begin, (np.arange(count) + 0.5) / float(rate), side="right") - 1
        left_out = len(starts) - len(np.unique(shown))
        check_decoded(self.path, float(count) * frames[0].nbytes)
        repeated = scratch_array((count, *frames.shape[1:]), frames.dtype)
        for number, each in enumerate(shown):
            repeated[number] = frames[each]
        line = (
            f"{self.path}: its {len(starts)} frames last from {float(min(lasts)):.3g} to {float(max(lasts)):.3g} s; "
            f"they are repeated to {count} at a constant {float(rate):.4g} a second, {float(count / rate):.3g} s in all"
        )
        self.warnings.append(line + (f", and {left_out} that are shorter than that are left out" if left_out else ""))
        return repeated, float(rate)


def _is_constant(starts: List[Fraction], whole: Fraction, rate: Fraction) -> bool:
    """Whether frames begin, and the last one ends, where they do at a rate, but for what clocks leave."""
    close = max(_JITTER / float(rate), _CLOCK)
    return all(abs(float(at - number / rate)) <= close for number, at in enumerate([*starts, whole]))


def _constant_rate(lasts: List[Fraction], whole: Fraction) -> Tuple[Fraction, int]:
    """A rate at which frames that last so long are shown evenly, and how many are shown in all.

    It is that of the longest time of which all are multiples, where that does not take too many; else that of the
    shortest frames.
    """
    unit = math.lcm(*(last.denominator for last in lasts))
    step = Fraction(math.gcd(*(int(last * unit) for last in lasts)), unit)
    most = max(_MOST_REPEATED * len(lasts), _FEW_FRAMES)
    if whole / step <= most:
        return 1 / step, int(whole / step)
    short = sorted(lasts)[len(lasts) // 20]
    count = max(2, min(round(whole / short), most))
    # The length counts, so that the rate is what gives it.
    return (count / whole).limit_denominator(100_000), count


def _animation(path: Path) -> _Film:
    """The pictures of what Pillow reads."""
    from PIL import Image

    film = _Film(path)
    try:
        with Image.open(path) as image:
            count, at = getattr(image, "n_frames", 1), Fraction(0)
            film.file_format = str(image.format).lower()
            check_decoded(path, float(count) * image.width * image.height * 4)
            # A PNG may have a picture before the film's first one, for those who know of no films.
            for number in range(1 if getattr(image, "default_image", False) else 0, count):
                image.seek(number)
                image.load()
                film.add(np.asarray(image.convert("RGBA")), at)
                film.last = _duration(image.info.get("duration"), image.format == "GIF")
                at += film.last
    except SignalError:
        raise
    except Exception as error:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
        _keep_whole(film, error)
    return film


def _duration(milliseconds: Any, is_gif: bool) -> Fraction:
    """Seconds that a picture of an animation is shown."""
    given = Fraction(milliseconds or 0).limit_denominator(1000) / 1000
    return _UNSAID_DURATION if given <= 0 or (is_gif and given < Fraction(1, 50)) else given


def _keep_whole(film: _Film, error: Exception) -> None:
    """Raises SignalError where a film breaks off before its second frame, else says that it does."""
    count = len(film.starts)
    if count < 2:
        raise SignalError(film.path, "is no video or cut", "get a whole copy, or convert it to MP4") from error
    film.warnings.append(f"{film.path}: is cut or damaged after {counted(count, 'frame')}; the rest is left out")


def _decoded(path: Path) -> _Film:
    """The frames of a film that FFmpeg decodes, upright."""
    film = _Film(path)
    size: Optional[Tuple[int, int]] = None
    with quiet_stderr():
        try:
            with opened(path) as container:
                if not container.streams.video:
                    raise SignalError(path, "holds no pictures, it is cut or a sound", "give a whole video, or a WAV")
                stream = container.streams.video[0]
                film.rate, film.file_format = exact(stream.average_rate), container.format.name
                film.warnings += _left_out(path, stream)
                for frame in container.decode(stream):
                    if size is None:
                        parts = frame.format.components
                        layout = "rgba" if any(part.is_alpha for part in parts) else "rgb24"
                        bits = max((part.bits for part in parts), default=8)
                        if bits > 8:
                            film.warnings.append(f"{path}: its {bits} bits a channel are read as 8")
                        channels = 4 if layout == "rgba" else 3
                        check_decoded(path, float(max(stream.frames, 1)) * frame.width * frame.height * channels)
                    # A stream may change its size on the way: the first frame's counts.
                    width, height = size = size or (frame.width, frame.height)
                    pixels = frame.reformat(width=width, height=height, format=layout).to_ndarray()
                    pixels = _upright(pixels, frame)
                    clock = exact(frame.time_base) or Fraction(0)
                    film.add(pixels, None if frame.pts is None or not clock else frame.pts * clock)
                    film.last = (frame.duration or 0) * clock
        except SignalError:
            raise
        except Exception as error:  # Any type: FFmpeg's own, and what PyAV makes of damaged names and numbers.
            _keep_whole(film, error)
    if not film.starts:
        raise SignalError(path, "holds no frame that can be decoded", "get a whole copy, or convert it to MP4")
    return film


def _left_out(path: Path, stream: Any) -> List[str]:
    """What a stream says of its frames and has no place in a film here, one line each."""
    said = []
    shape = stream.sample_aspect_ratio
    if shape and shape != 1:
        said.append(f"{path}: its pixels are {shape.numerator}:{shape.denominator} wide, and taken for square ones")
    # FFmpeg's own decoders pass over the second picture that holds it.
    if stream.codec_context.name in ("vp8", "vp9") and stream.metadata.get("alpha_mode") == "1":
        said.append(f"{path}: its alpha is not decoded; the film is taken for opaque")
    return said


def _upright(pixels: Shaped[np.ndarray, "h w c"], frame: Any) -> Shaped[np.ndarray, "H W c"]:
    """Turns and mirrors a frame as its file says (ISO/IEC 14496-12, 8.3.2): phones film as they are held and note it.

    A place x, y is shown at a x + c y and b x + d y.
    """
    from av.sidedata.sidedata import Type

    found = frame.side_data.get(Type.DISPLAYMATRIX)
    if found is None:
        return pixels
    (a, b, _), (c, d, _) = np.frombuffer(bytes(found), np.int32).reshape(3, 3)[:2].astype(int).tolist()
    across, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, across, down = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]

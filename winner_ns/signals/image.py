"""Reading images in the type that the file has: 8 bit through Pillow, deeper ones through tifffile and OpenCV."""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Optional, Tuple

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.signals.array import open_array, value_range
from winner_ns.signals.grid import GridSignal, square_half_extent
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.quiet import quiet_stderr

if TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 2**31
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

# OpenCV asks for it when the first such file is read, also if it was imported before.
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")

# Tag of Exif and TIFF.
_ORIENTATION = 274
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_image(path: Path) -> GridSignal:
    """Reads PNG, JPEG, TIFF, WebP, BMP, GIF, EXR, HDR and .npy ([height, width] or [height, width, channels <= 4]).

    The samples keep the file's type; [-1, 1] stands for the full range of 8- and 16-bit integers, for the smallest
    to largest value of floats. EXIF orientation is applied. metadata: "mode" (L, LA, RGB or RGBA) and "format".

    Raises:
        SignalError: the file is no image or is cut, has fewer than 2 x 2 pixels or more than 2**31, is constant or
            has NaN or infinite samples.
    """
    with open(path, "rb") as file:
        head = file.read(32)
    warnings: List[str] = []
    if head.startswith(b"\x93NUMPY"):
        return image_of_array(open_array(path), path)
    elif head.startswith(_PNG) and head[24:25] == b"\x10":
        samples, file_format = _sixteen_bit_png(path, head), "PNG"
    elif head.startswith(b"\x76\x2f\x31\x01"):
        samples, file_format = _through_opencv(path), "EXR"
    elif head.startswith((b"#?RADIANCE", b"#?RGBE")):
        samples, file_format = _through_opencv(path), "HDR"
    elif head.startswith(_TIFF):
        samples, file_format = _tiff(path, warnings), "TIFF"
    else:
        samples, file_format = _through_pillow(path, warnings)
    return _image(path, samples, file_format, warnings)


def image_of_array(array: np.ndarray, path: Path, options: Optional[ReadOptions] = None) -> GridSignal:
    """An image from an array in rows, [height, width] or [height, width, channels <= 4]; raises as `read_image`.

    Args:
        array: its samples.
        path: what messages, and files made of it, call it.
        options: for sounds.
    """
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in MODES):
        raise SignalError(
            path,
            f"an array of shape {array.shape} is no image",
            "give [height, width] or [height, width, channels] with 1 to 4 channels, or another kind",
        )
    return _image(path, array, "NPY", [])


def image_of_pillow(image: "PIL.Image.Image", path: Path) -> GridSignal:
    """An image from one of Pillow's, its orientation undone; raises as `read_image`."""
    try:
        image.load()
        samples = _oriented(_pixels(image), image.getexif().get(_ORIENTATION, 1))
    except Exception as error:  # Any type, as in `_through_pillow`.
        raise _broken(path, error) from error
    return _image(path, samples, image.format or "PNG", [])


def _image(path: Path, samples: np.ndarray, file_format: str, warnings: List[str]) -> GridSignal:
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.shape[-1] not in MODES:
        raise SignalError(path, f"has {samples.shape[-1]} channels", "give an image with 1 to 4 channels")
    height, width, channels = samples.shape
    _check_size(path, height, width)
    if min(height, width) < 2:
        raise SignalError(path, f"has {height} x {width} pixels", "an image needs at least 2 x 2 of them")
    samples = np.ascontiguousarray(samples)
    offset, scale = value_range(path, samples)
    return GridSignal(
        kind="image",
        path=path,
        samples=samples,
        value_offset=offset,
        value_scale=scale,
        half_extent=square_half_extent((height, width)),
        metadata={"mode": MODES[channels], "format": file_format},
        warnings=warnings,
    )


def _through_pillow(path: Path, warnings: List[str]) -> Tuple[np.ndarray, str]:
    from PIL import Image

    try:
        with _any_size(), Image.open(path) as image:
            _check_size(path, image.height, image.width)
            # Phones store previews as further pictures of a JPEG ("MPO"): nothing that a user would miss.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                warnings.append(f"{path}: holds {image.n_frames} pictures; the first one is used")
            image.load()
            # Read after loading, because Pillow turns TIFFs by itself and then drops the tag.
            orientation = image.getexif().get(_ORIENTATION, 1)
            return _oriented(_pixels(image), orientation), image.format.replace("MPO", "JPEG")
    except SignalError:
        raise
    except Image.UnidentifiedImageError as error:
        raise SignalError(path, "is no image of a known format", "give a PNG, JPEG, TIFF, WebP, EXR or .npy") from error
    except Exception as error:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
        raise _broken(path, error) from error


def _mode(image) -> str:
    """The mode that holds all of a Pillow image's samples as one of L, LA, RGB, RGBA or deeper gray."""
    if image.mode.startswith("I") or image.mode == "F":
        return image.mode
    alpha = image.mode.upper() in ("LA", "RGBA", "PA") or "transparency" in image.info
    return ("L" if image.mode in ("1", "L", "LA", "La") else "RGB") + ("A" if alpha else "")


def _pixels(image) -> np.ndarray:
    """A loaded Pillow image's samples, copied in strips: in one go Pillow needs three times their memory."""
    mode, strip = _mode(image), max(2**24 // image.width, 1)
    pixels = None
    for top in range(0, image.height, strip):
        part = image.crop((0, top, image.width, min(top + strip, image.height)))
        part = np.asarray(part if part.mode == mode else part.convert(mode))
        if pixels is None:
            pixels = np.empty((image.height, *part.shape[1:]), part.dtype)
        pixels[top : top + strip] = part
    assert pixels is not None  # A picture has rows.
    return pixels


def _oriented(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undoes the camera's orientation (Exif 2.3, tag 274)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _sixteen_bit_png(path: Path, head: bytes) -> np.ndarray:
    from PIL import Image

    width, height = struct.unpack(">II", head[16:24])
    _check_size(path, height, width)
    try:
        with _any_size(), Image.open(path) as image:
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))  # getexif() would decode all pixels.
            image.verify()  # OpenCV may return what it could decode of a damaged file.
    except Exception as error:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
        raise _broken(path, error) from error
    pixels = _through_opencv(path)
    if head[25] == 4:  # Gray with alpha comes back as RGBA.
        pixels = pixels[..., [0, 3]]
    return _oriented(pixels, exif.get(_ORIENTATION, 1))


def _through_opencv(path: Path) -> np.ndarray:
    # OpenCV's own limit is 2**30 pixels; read when it is imported.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
    import cv2

    with quiet_stderr():
        try:
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise _broken(path, error) from error
    if pixels is None:
        raise _broken(path)
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA, dst=pixels)
    return pixels


def _tiff(path: Path, warnings: List[str]) -> np.ndarray:
    import tifffile

    with quiet_stderr():
        try:
            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
                _check_size(path, page.imagelength, page.imagewidth)
                if page.dtype != np.uint8 and page.dtype != np.bool_:
                    if len(file.pages) > 1:
                        warnings.append(f"{path}: holds {len(file.pages)} pictures; the first one is used")
                    return _deep_tiff_page(path, page)
        except SignalError:
            raise
        except Exception as error:  # As above.
            raise _broken(path, error) from error
        return _through_pillow(path, warnings)[0]


def _deep_tiff_page(path: Path, page) -> np.ndarray:
    """The pixels of a tifffile page of more than 8 bits, which Pillow would cut to 8."""
    import tifffile

    try:
        pixels = page.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        # tifffile itself has few decompressors, OpenCV has LZW and more.
        pixels = _through_opencv(path)
    else:
        if page.axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
            pixels = np.iinfo(pixels.dtype).max - pixels
    orientation = page.tags.get(_ORIENTATION)
    return _oriented(pixels, int(orientation.value) if orientation else 1)


@contextmanager
def _any_size() -> Iterator[None]:
    """Lifts Pillow's limit on the number of pixels; `_check_size` has our own."""
    from PIL import Image

    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = kept


def _check_size(path: Path, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise SignalError(
            path, f"has {height} x {width} pixels", f"give at most {MAX_PIXELS} of them, crop or shrink it"
        )


def _broken(path: Path, error: object = None) -> SignalError:
    reason = f" ({error})" if error is not None and "\n" not in str(error) and str(error) else ""
    return SignalError(path, f"is a cut or damaged image{reason}", "get a whole copy of the file")


def is_still_gif(path: Path, head: bytes) -> bool:
    """Whether a file is a GIF of a single picture, or a damaged one: the image reader says what is wrong with it."""
    from PIL import Image

    if not head.startswith(b"GIF8"):
        return False
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) == 1
    except Exception:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
        return True

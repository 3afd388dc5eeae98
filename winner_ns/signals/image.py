"""Reading images in the type that the file has: each format by one decoder, and one rule for what pixels mean."""

from __future__ import annotations

import os
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.reading import check_decoded
from winner_ns.signals import array
from winner_ns.signals.array import native_rows, open_array, value_range
from winner_ns.signals.brands import IMAGE_BRANDS, brands
from winner_ns.signals.colour import Colour
from winner_ns.signals.exr import exr_facts
from winner_ns.signals.grid import GridSignal, square_half_extent
from winner_ns.signals.options import ReadOptions
from winner_ns.signals.photometric import ORIENTATION, full_range, light_of_inks, oriented, straight_alpha
from winner_ns.signals.png import GRAY, GRAY_ALPHA, PALETTE, SIGNATURE, PngFacts, png_facts, transparency
from winner_ns.signals.png_bands import pixels_in_bands
from winner_ns.signals.quiet import quiet_stderr
from winner_ns.signals.tiff import SIGNATURES as TIFF_SIGNATURES
from winner_ns.signals.tiff import Unread, read_tiff

if TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 2**31
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_EXR = b"\x76\x2f\x31\x01"
_HDR = (b"#?RADIANCE", b"#?RGBE")
_OF_PILLOW = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "BMP", "DIB", "GIF")
"""Of others Pillow cuts samples to 8 bits without a word, or has another program decode them (EPS)."""

# OpenCV asks for it when the first such file is read, also if it was imported before.
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")


def read_image(path: Path) -> GridSignal:
    """Reads PNG, JPEG, TIFF, WebP, AVIF, HEIC, BMP, GIF, EXR, HDR and .npy ([height, width] or [height, width,
    channels <= 4]).

    The samples keep the file's type; [-1, 1] stands for the full range of 8- and 16-bit integers, for the smallest
    to largest value of floats. What they mean is told alike at every depth: palettes, inks, CIELAB and luma become
    red, green and blue, whatever white is becomes large, alpha becomes straight, and the camera's orientation is
    undone. What is not known is refused. metadata: "mode" (L, LA, RGB or RGBA), "format" and, where the file says
    anything of it, "colour" (`Colour.described`).

    Raises:
        SignalError: the file is no image or is cut, has fewer than 2 x 2 pixels or more than 2**31, would take more
            memory than is allowed (`check_decoded`), is constant, has NaN or infinite samples, or pixels whose meaning
            is not known.
    """
    with open(path, "rb") as file:
        head = file.read(32)
    warnings: List[str] = []
    if head.startswith(b"\x93NUMPY"):
        return image_of_array(open_array(path), path)
    colour = Colour()
    if head.startswith(SIGNATURE):
        samples, colour = _png(path, warnings)
        file_format = "PNG"
    elif head.startswith(_EXR):
        samples, file_format = _exr(path, warnings), "EXR"
    elif head.startswith(_HDR):
        height, width = _radiance_size(path)
        _check_size(path, height, width, 12)
        samples, file_format = _through_opencv(path), "HDR"
    elif head.startswith(TIFF_SIGNATURES):
        samples, colour = _tiff(path, warnings)
        file_format = "TIFF"
    elif brands(head) & IMAGE_BRANDS["HEIC"] and not brands(head) & IMAGE_BRANDS["AVIF"]:
        samples, colour = _heic(path, warnings)
        file_format = "HEIC"
    else:
        samples, colour, file_format = _through_pillow(path, warnings)
    return _image(path, samples, file_format, warnings, colour)


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
        warnings: List[str] = []
        samples, colour = _shown(image, path, warnings, image.getexif().get(ORIENTATION, 1))
    except Exception as error:  # Any type, as in `_through_pillow`.
        raise _broken(path, error) from error
    return _image(path, samples, image.format or "PNG", warnings, colour)


def _image(
    path: Path, samples: np.ndarray, file_format: str, warnings: List[str], colour: Optional[Colour] = None
) -> GridSignal:
    if samples.ndim == 2:
        samples = samples[..., None]
    if samples.shape[-1] not in MODES:
        raise SignalError(path, f"has {samples.shape[-1]} channels", "give an image with 1 to 4 channels")
    height, width, channels = samples.shape
    _check_pixels(path, height, width)
    if min(height, width) < 2:
        raise SignalError(path, f"has {height} x {width} pixels", "an image needs at least 2 x 2 of them")
    samples = native_rows(samples)
    colour = (colour or Colour()).fitting(channels)
    offset, scale = value_range(path, samples)
    return GridSignal(
        kind="image",
        path=path,
        samples=samples,
        value_offset=offset,
        value_scale=scale,
        half_extent=square_half_extent((height, width)),
        metadata={
            "mode": MODES[channels],
            "format": file_format,
            **({"colour": colour.described()} if colour else {}),
        },
        warnings=warnings,
    )


def _through_pillow(
    path: Path, warnings: List[str], orientation: Optional[int] = None
) -> Tuple[np.ndarray, Colour, str]:
    """Pixels, colours and format of whatever Pillow reads, of 8 bits.

    Args:
        path: the file.
        warnings: what a user should know is put there.
        orientation: where it is known already; None: Pillow tells.
    """
    from PIL import Image

    try:
        with any_size(), Image.open(path, formats=_OF_PILLOW) as image:
            _check_size(path, image.height, image.width, 4)
            # Phones store previews as further pictures of a JPEG ("MPO"): nothing that a user would miss.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                warnings.append(f"{path}: holds {image.n_frames} pictures; the primary one is used")
            file_format = (image.format or "").replace("MPO", "JPEG")
            pixels = _past_pillow(path, image)
            if pixels is None:
                image.load()
            if orientation is None:
                # Read after loading, because Pillow turns TIFFs by itself and then drops the tag.
                orientation = int(image.getexif().get(ORIENTATION, 1))
            if pixels is None:
                pixels, colour = _shown(image, path, warnings, 1)
            else:
                colour = Colour.said(image.info.get("icc_profile"))
            return oriented(pixels, orientation), colour, file_format
    except SignalError:
        raise
    except Image.UnidentifiedImageError as error:
        raise SignalError(path, "is no image of a known format", "give a PNG, JPEG, TIFF, WebP, EXR or .npy") from error
    except Exception as error:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
        raise _broken(path, error) from error


def _shown(image: "PIL.Image.Image", path: Path, warnings: List[str], orientation: int) -> Tuple[np.ndarray, Colour]:
    """A loaded Pillow image's pixels, turned upright, and its colours."""
    profile, intent = image.info.get("icc_profile"), image.info.get("srgb")
    colour = Colour.said(profile)
    if image.format == "PNG":
        gamma, chromaticities = image.info.get("gamma"), image.info.get("chromaticity")
        colour = Colour.said(profile, gamma=gamma, chromaticities=chromaticities, srgb_intent=intent)
    pixels = _pixels(image)
    if image.mode == "CMYK":
        how = "by its profile" if colour.icc_profile else "without a profile"
        warnings.append(f"{path}: its CMYK colours are converted to sRGB {how}")
        pixels, colour = light_of_inks(pixels, colour.icc_profile), Colour()
    return oriented(pixels, orientation), colour


def _mode(image) -> str:
    """The mode that holds all of a Pillow image's samples as one of L, LA, RGB, RGBA or deeper gray."""
    if image.mode.startswith("I") or image.mode in ("F", "CMYK"):
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


def _png(path: Path, warnings: List[str]) -> Tuple[np.ndarray, Colour]:
    from PIL import Image

    facts = png_facts(path)
    deep = facts.depth // 8 or 1
    _check_size(path, facts.height, facts.width, 4 * deep)
    if facts.pictures > 1:
        warnings.append(f"{path}: holds {facts.pictures} pictures; the first one is used")
    if facts.colour_type == PALETTE or facts.depth < 8:
        pixels = _through_pillow(path, [], 1)[0]
        # Its own idea of transparent gray is left to what holds at all depths.
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        pixels = pixels[..., :1] if facts.colour_type == GRAY else pixels
    elif facts.height * facts.width * facts.channels * deep > array.MEMORY_LIMIT and not facts.interlaced:
        pixels = pixels_in_bands(path, facts, lambda data: _png_channels(_through_opencv(path, data), facts))
    else:
        pixels = _png_channels(_through_opencv(path), facts)
    exif = Image.Exif()
    try:
        exif.load(facts.exif)
        orientation = int(exif.get(ORIENTATION, 1))
    except Exception:  # Any type: what the camera notes is no reason to refuse the picture.
        warnings.append(f"{path}: its Exif is damaged; the picture is not turned by it")
        orientation = 1
    return oriented(transparency(pixels, facts), orientation), facts.colour


def _png_channels(pixels: np.ndarray, facts: PngFacts) -> np.ndarray:
    """A PNG's pixels [h, w, c] with the channels that the file has."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if facts.colour_type == GRAY_ALPHA:
        return pixels[..., [0, -1]]
    return pixels[..., : facts.channels]


def _exr(path: Path, warnings: List[str]) -> np.ndarray:
    """Floats; of what an EXR holds beside colours or gray and alpha nothing is read."""
    facts = exr_facts(path)
    _check_size(path, facts.height, facts.width, 4 * max(3, len(facts.shown)))
    if facts.others:
        listed = ", ".join(facts.others[:4]) + (", …" if len(facts.others) > 4 else "")
        warnings.append(f"{path}: its channels {listed} are left out")
    pixels = _through_opencv(path)
    # Light is multiplied with alpha in this format.
    return straight_alpha(pixels) if pixels.ndim == 3 and pixels.shape[-1] in (2, 4) else pixels


def _radiance_size(path: Path) -> Tuple[int, int]:
    """Height and width that a Radiance file's header promises; 0 where it promises none.

    Raises:
        SignalError: its colours or the order of its rows are others than those that are read.
    """
    with open(path, "rb") as file:
        for line in file.read(2**16).split(b"\n"):
            words = line.split()
            if line.strip().lower() == b"format=32-bit_rle_xyze":
                raise SignalError(path, "has colours as X, Y and Z of CIE 1931", "save it with red, green and blue")
            if len(words) == 4 and words[0][1:] in (b"X", b"Y") and words[1].isdigit() and words[3].isdigit():
                if (words[0], words[2]) != (b"-Y", b"+X"):
                    problem = f"has rows or columns that run another way ({line.decode('ascii', 'replace')})"
                    raise SignalError(path, problem, "save it from top to bottom and left to right, -Y and +X")
                return int(words[1]), int(words[3])
    return 0, 0


def _heic(path: Path, warnings: List[str]) -> Tuple[np.ndarray, Colour]:
    try:
        import pi_heif
    except ImportError as error:
        raise SignalError(path, "is HEIC, and what reads it is not here", "pip install pi-heif") from error
    try:
        with quiet_stderr():
            pictures = pi_heif.open_heif(path, convert_hdr_to_8bit=False)
            primary = pictures[pictures.primary_index]
            width, height = primary.size
            deep = primary.mode.endswith("16")
            _check_size(path, height, width, 8 if deep else 4)
            rows = np.frombuffer(primary.data, np.uint16 if deep else np.uint8)
            # Rows may be longer than their pixels. A copy, as the decoder's memory goes with it.
            rows = rows.reshape(height, primary.stride // rows.itemsize)
            channels = len(primary.mode.partition(";")[0])
            pixels = rows[:, : width * channels].reshape(height, width, channels).copy()
    except SignalError:
        raise
    except Exception as error:  # Any type: whatever the decoder stumbles on in a damaged file.
        raise _broken(path, error) from error
    if len(pictures) > 1:
        warnings.append(f"{path}: holds {len(pictures)} pictures; the first one is used")
    if getattr(primary, "premultiplied_alpha", False):
        pixels = straight_alpha(pixels)
    return pixels, Colour.said(primary.info.get("icc_profile"))


def _past_pillow(path: Path, image: Any) -> Optional[np.ndarray]:
    """Pixels of what Pillow would take several times their memory for (WebP, as for an animation), or would cut to 8
    bits (AVIF of more, which become 16); None of others."""
    import imagecodecs

    if image.format == "WEBP" and getattr(image, "n_frames", 1) == 1:
        return imagecodecs.webp_decode(path.read_bytes())
    if image.format != "AVIF":
        return None
    data = path.read_bytes()
    at = data.find(b"pixi")  # Which bits a channel has: version and flags, number of channels, bits of each.
    bits = data[at + 9] if 0 <= at < len(data) - 9 else 8
    if not 8 < bits <= 12:
        return None
    _check_size(path, image.height, image.width, 8)
    deep: Any = imagecodecs.avif_decode(data)
    channels = len(image.getbands())
    if deep.ndim == 2 and channels > 1:
        deep = np.broadcast_to(deep[..., None], (*deep.shape, channels))
    return full_range(deep[..., :channels] if channels > 1 else deep, bits)


def _through_opencv(path: Path, data: Optional[bytes] = None) -> np.ndarray:
    """A file's pixels, or those of a part of it, made a file of its own."""
    # OpenCV's own limit is 2**30 pixels; read when it is imported.
    for limit in ("PIXELS", "WIDTH", "HEIGHT"):
        os.environ.setdefault(f"OPENCV_IO_MAX_IMAGE_{limit}", str(MAX_PIXELS))
    import cv2

    with quiet_stderr():
        try:
            if data is None:
                pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            else:
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error as error:
            raise _broken(path, error) from error
    if pixels is None:
        raise _broken(path)
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA, dst=pixels)
    return pixels


def _tiff(path: Path, warnings: List[str]) -> Tuple[np.ndarray, Colour]:
    with quiet_stderr():
        try:
            picture = read_tiff(path, warnings)
            return picture.samples, picture.colour
        except Unread as error:
            # Old JPEG and luma of fewer pixels: libtiff, in Pillow, has them, of 8 bits.
            pixels, colour, _ = _through_pillow(path, [])
            if pixels.dtype != np.uint8:
                raise SignalError(path, f"cannot be unpacked ({error})", "save it with another compression") from error
            return pixels, colour


@contextmanager
def any_size() -> Iterator[None]:
    """Lifts Pillow's limit on the number of pixels; `_check_size` has our own."""
    from PIL import Image

    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = kept


def _check_size(path: Path, height: int, width: int, pixel_bytes: int) -> None:
    """Raises SignalError where a picture has more pixels, or takes more memory, than is allowed."""
    _check_pixels(path, height, width)
    check_decoded(path, float(height) * width * pixel_bytes)


def _check_pixels(path: Path, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise SignalError(
            path, f"has {height} x {width} pixels", f"give at most {MAX_PIXELS} of them, crop or shrink it"
        )


def _broken(path: Path, error: object = None) -> SignalError:
    reason = f" ({error})" if error is not None and "\n" not in str(error) and str(error) else ""
    return SignalError(path, f"is a cut or damaged image{reason}", "get a whole copy of the file")


def is_image(path: Path, head: bytes) -> bool:
    """Whether a file is an image of a format whose first bytes do not tell: a GIF of a single picture (or a damaged
    one, as the image reader says what is wrong with it), AVIF, HEIC or BMP."""
    if brands(head) & (IMAGE_BRANDS["AVIF"] | IMAGE_BRANDS["HEIC"]):
        return True
    if head.startswith(b"BM"):
        return struct.unpack("<I", head[14:18].ljust(4, b"\0"))[0] in (12, 40, 52, 56, 64, 108, 124)
    return head.startswith(b"GIF8") and pictures_in(path) <= 1


def pictures_in(path: Path) -> int:
    """How many pictures a file holds that Pillow reads; 0 where it cannot tell."""
    from PIL import Image

    try:
        with any_size(), Image.open(path, formats=_OF_PILLOW) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
        return 0

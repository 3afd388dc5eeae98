"""TIFF: one rule for all depths of what its samples mean (TIFF 6.0 and its technical notes), through tifffile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import numpy as np

from winner_ns.errors import SignalError
from winner_ns.mapped import MAPPED_BUDGET, blocks, forget_pages
from winner_ns.reading import check_decoded
from winner_ns.signals import array
from winner_ns.signals.colour import Colour
from winner_ns.signals.photometric import (
    ORIENTATION,
    full_range,
    largest,
    light_of_inks,
    light_of_lab,
    light_of_luma,
    oriented,
    straight_alpha,
)

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Photometric interpretations.
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
_OWN = {_MIN_IS_WHITE: 1, _MIN_IS_BLACK: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3, _CIELAB: 3, _ICCLAB: 3}
"""Samples a pixel that each needs."""
_NO_DATA = 42113
_UNSAID, _ASSOCIATED, _STRAIGHT = 0, 1, 2
_JPEG = (6, 7, 34892, 33007)
"""Compressions whose decoder gives red, green and blue for luma and differences."""
_ADVICE = "convert it to RGB, or save its numbers as .npy"


class Unread(Exception):
    """tifffile has no decoder for it."""


@dataclass
class TiffPicture:
    """A picture's samples as they are shown, [h, w, 1 to 4]."""

    samples: np.ndarray
    colour: Colour


def read_tiff(path: Path, warnings: List[str]) -> TiffPicture:
    """The first picture of a TIFF that is neither a smaller copy of another one nor a mask.

    Raises:
        SignalError: it is damaged or too large, or its samples mean something that is not known here.
        Unread: it is compressed in a way that tifffile does not know.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            number, page = next(((i, page) for i, page in enumerate(file.pages) if not _is_beside(page)), (0, None))
            if page is None:
                problem = "holds a preview alone of a picture that is not read, as raw photographs do"
                raise SignalError(path, problem, "develop it, and save it as TIFF or PNG")
            count = len(file.pages)
            if file.is_imagej:
                count = max(count, int((file.imagej_metadata or {}).get("images", 1)))
            if count > 1:
                later = f"number {number + 1}, the first that is no preview or mask,"
                which = later if number else "the first one"
                warnings.append(f"{path}: holds {count} pictures; {which} is used")
            try:
                return _Reading(path, page, warnings).picture()
            except Unread as error:
                if number == 0:
                    raise  # Pillow has the first one.
                problem = f"cannot be unpacked ({error})"
                raise SignalError(path, problem, "save the picture that is meant by itself") from error
    except (SignalError, Unread):
        raise
    except Exception as error:  # Any type: whatever its parser and the decoders stumble on in a damaged file.
        reason = f" ({error})" if str(error) and "\n" not in str(error) else ""
        raise SignalError(path, f"is a cut or damaged image{reason}", "get a whole copy of the file") from error


def _is_beside(page: Any) -> bool:
    """Whether a page says that it is another picture's smaller copy or mask (TIFF 6.0, NewSubfileType)."""
    return bool(int(page.subfiletype) & 5)


def _decoded(page: Any) -> np.ndarray:
    """A page's samples; of a large one, strip by strip or tile by tile into a temporary file."""
    size = float(np.prod(page.shaped, dtype=np.float64)) * page.dtype.itemsize
    if size <= array.MEMORY_LIMIT or page.is_contiguous or page.is_subsampled or page.jpegheader is not None:
        return page.asarray()
    samples = array.scratch_array(page.shaped, page.dtype)

    def put(decoded: Any) -> int:
        part, (plane, depth, row, column, _), (deep, high, wide, _) = decoded
        place = samples[plane, depth : depth + deep, row : row + high, column : column + wide]
        # A tile may reach beyond the picture, and one that is left out of the file is empty.
        place[...] = page.nodata if part is None else part[: place.shape[0], : place.shape[1], : place.shape[2]]
        return place.nbytes

    written = 0
    for count in page.segments(func=put, sort=True, buffersize=MAPPED_BUDGET // 4):
        written += count
        if written >= MAPPED_BUDGET // 2:
            written = 0
            forget_pages(samples)
    forget_pages(samples)
    return samples


class _Reading:
    """A page on its way to being shown."""

    def __init__(self, path: Path, page: Any, warnings: List[str]) -> None:
        self.path, self.page, self.warnings = path, page, warnings
        self.photometric = int(page.photometric)
        bits = page.bitspersample
        if not isinstance(bits, int) or page.dtype is None:
            raise SignalError(path, f"has samples of {bits} bits", _ADVICE)
        self.bits = bits
        if page.dtype.kind not in "buif":
            raise SignalError(path, f"holds {page.dtype} instead of real numbers", _ADVICE)
        if self.photometric not in _OWN:
            name = getattr(page.photometric, "name", "").replace("_", " ") or "unknown"
            raise SignalError(path, f"has pixels of a sort that is not read ({name}, {self.photometric})", _ADVICE)
        if page.imagedepth > 1:
            raise SignalError(path, f"holds a volume of {page.imagedepth} planes", "save it as .npy")

    def picture(self) -> TiffPicture:
        samples = self._samples()
        self._check_missing(samples)
        samples, profile = self._light(samples)
        return TiffPicture(oriented(samples, self._number(ORIENTATION, 1)), profile)

    # The samples ------------------------------------------------------------------------------------------------

    def _samples(self) -> np.ndarray:
        """[h, w, samples] as the file has them; mapped where that is possible."""
        page, path = self.page, self.path
        shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
        in_planes = page.planarconfig == 2 and page.samplesperpixel > 1
        whole = page.is_contiguous and page.compression == 1 and page.dtype.kind != "b" and self.bits % 8 == 0
        if whole and page.fillorder == 1 and self.bits == 8 * page.dtype.itemsize:
            offset = page.dataoffsets[0]
            dtype = page.dtype.newbyteorder(page.parent.byteorder)
            shape = (shape[2], *shape[:2]) if in_planes else shape
            samples = np.memmap(path, dtype, "r", offset=offset, shape=shape)
            return np.moveaxis(samples, 0, -1) if in_planes else samples
        # Decoders hold 8-bit pictures with four bytes a pixel.
        check_decoded(path, float(shape[0]) * shape[1] * max(4, shape[2] * page.dtype.itemsize))
        check_decoded(path, float(np.prod(page.chunks, dtype=np.float64)) * page.dtype.itemsize)
        try:
            samples = _decoded(page)
        except (ValueError, NotImplementedError) as error:
            if any(word in str(error) for word in ("imagecodecs", "subsampling", "not supported", "unknown")):
                raise Unread(str(error)) from error
            raise
        if in_planes:
            samples = np.moveaxis(samples.reshape(shape[2], *shape[:2]), 0, -1)
        samples = samples.reshape(shape)
        return np.multiply(samples, np.uint8(255), dtype=np.uint8) if samples.dtype.kind == "b" else samples

    def _check_missing(self, samples: np.ndarray) -> None:
        """What stands for no sample (of maps) is refused as NaN is, or told where it may be a colour, too."""
        try:
            value = float(getattr(self.page.tags.get(_NO_DATA), "value", ""))
        except (TypeError, ValueError):
            return
        # A text says more digits than single precision holds.
        value = samples.dtype.type(value) if samples.dtype.kind == "f" else value
        count = sum(int(np.count_nonzero(part == value)) for part in blocks(samples, array.CHUNK))
        if not count:
            return
        problem = f"{count} of {samples.size} samples have the value that stands for none ({value:g})"
        if samples.dtype.kind in "if":
            raise SignalError(self.path, problem, "replace them before fitting")
        self.warnings.append(f"{self.path}: {problem}; they are taken as they are")

    # What they mean ---------------------------------------------------------------------------------------------

    def _light(self, samples: np.ndarray) -> "tuple[np.ndarray, Colour]":
        """Gray or RGB, with straight alpha if any, and what its colours are."""
        own, colour = self._own(), self._colour()
        alpha, associated = self._alpha(own)
        kept = [*range(own), *([] if alpha is None else [alpha])]
        if kept != list(range(samples.shape[-1])):
            samples = samples[..., kept]
        dtype = np.dtype(samples.dtype.newbyteorder("="))
        further = len(kept) - own
        if self.photometric in (_SEPARATED, _YCBCR, _CIELAB, _ICCLAB) and not self._is_rgb:
            if dtype not in (np.uint8, np.uint16) or self.bits not in (8, 16):
                problem = f"has {self.page.photometric.name} of {self.bits} bits as {dtype}"
                raise SignalError(self.path, problem, _ADVICE)
            samples = samples.astype(dtype, copy=False)
        if self._is_rgb:
            pass
        elif self.photometric == _SEPARATED:
            samples, colour = self._of_inks(samples, further, colour)
        elif self.photometric in (_CIELAB, _ICCLAB):
            samples, colour = light_of_lab(samples, self.photometric == _ICCLAB, further), Colour()
            self.warnings.append(f"{self.path}: its CIELAB colours are converted to sRGB")
        elif self.photometric == _YCBCR:
            samples = light_of_luma(samples, self._coefficients(), self._reference(), further)
        elif self.photometric == _PALETTE:
            samples = self._of_palette(samples, further)
        elif dtype.kind == "u" and 1 < self.bits < 8 * dtype.itemsize and dtype.itemsize <= 2:
            samples = full_range(samples, self.bits)
        if self.photometric == _MIN_IS_WHITE:
            samples = self._turned(samples, further)
        if associated:
            samples = straight_alpha(np.array(samples, dtype))
        return samples, colour.fitting(samples.shape[-1])

    @property
    def _is_rgb(self) -> bool:
        return self.photometric == _RGB or (self.photometric == _YCBCR and int(self.page.compression) in _JPEG)

    def _own(self) -> int:
        """How many samples a pixel has before any alpha."""
        own, there = _OWN[self.photometric], self.page.samplesperpixel
        if there < own:
            raise SignalError(self.path, f"has {there} samples a pixel where {own} are needed", _ADVICE)
        if self.photometric in (_MIN_IS_BLACK, _MIN_IS_WHITE) and there == 3 and set(self._extra()) <= {_UNSAID}:
            self.warnings.append(f"{self.path}: its 3 samples a pixel are taken for red, green and blue")
            return 3
        return own

    def _extra(self) -> "tuple[int, ...]":
        return tuple(int(each) for each in self.page.extrasamples)

    def _alpha(self, own: int) -> "tuple[Optional[int], bool]":
        """The sample that is alpha, and whether it has been multiplied into the others."""
        further, extra = self.page.samplesperpixel - own, self._extra()
        if further == 1 and not extra and own == 3:
            return own, False  # Old writers say nothing, and mean that.
        extra = (*extra[-further:], *[_UNSAID] * (further - len(extra))) if further else ()
        known = [i for i, each in enumerate(extra) if each in (_ASSOCIATED, _STRAIGHT, 999)]
        left = further - bool(known)
        if left > 1 or (left and own == 1 and not known):
            problem = f"has {self.page.samplesperpixel} samples a pixel, of which {left} mean nothing that it says"
            raise SignalError(self.path, problem, "save those that count, at most 4 a pixel, as another TIFF or .npy")
        if left:
            self.warnings.append(f"{self.path}: a sample a pixel means nothing that it says, and is left out")
        if not known:
            return None, False
        return own + known[0], extra[known[0]] == _ASSOCIATED

    def _of_inks(self, samples: np.ndarray, further: int, colour: Colour) -> "tuple[np.ndarray, Colour]":
        if self._number(332, 1) != 1:
            raise SignalError(self.path, "has other inks than cyan, magenta, yellow and black", _ADVICE)
        low, high = (self._numbers(336, [0, 2**self.bits - 1]) + [0, 0])[:2]
        if (low, high) == (2**self.bits - 1, 0):
            samples = np.concatenate([largest(samples.dtype) - samples[..., :4], samples[..., 4:]], axis=-1)
        light = light_of_inks(samples, colour.icc_profile, further)
        how = "by its profile" if colour.icc_profile else "without a profile"
        self.warnings.append(f"{self.path}: its CMYK colours are converted to sRGB {how}")
        return light, Colour()

    def _of_palette(self, samples: np.ndarray, further: int) -> np.ndarray:
        table = self.page.colormap
        if table is None or table.shape[0] != 3:
            raise SignalError(self.path, "has no palette", "get a whole copy of the file")
        colours = np.ascontiguousarray(table.T)
        if colours.max() < 256:
            # Colours have 16 bits; some writers leave 8 there, which would all be black (libtiff takes them so, too).
            colours = colours * np.uint16(257)
            self.warnings.append(f"{self.path}: its palette has numbers below 256, which are taken for those of 8 bits")
        if samples.dtype.itemsize == 1:
            colours = (colours // 256).astype(np.uint8)
        result = np.empty((*samples.shape[:2], 3 + further), colours.dtype)
        index = samples[..., 0] // 255 if self.bits == 1 else samples[..., 0]
        result[..., :3] = colours[np.minimum(index, len(colours) - 1)]
        result[..., 3:] = samples[..., 1:]
        return result

    def _turned(self, samples: np.ndarray, further: int) -> np.ndarray:
        """Light of samples that are the larger the darker."""
        dtype = samples.dtype.newbyteorder("=")
        if dtype.kind == "f":
            raise SignalError(self.path, "has floats of which the smallest is white, but not which is black", _ADVICE)
        turned = np.array(samples, dtype)
        own = turned[..., : samples.shape[-1] - further]
        np.invert(own, out=own)
        return turned

    def _colour(self) -> Colour:
        profile = getattr(self.page.tags.get(34675), "value", None)
        white, others = self._numbers(318, []), self._numbers(319, [])
        chromaticities = (*white, *others) if len(white) == 2 and len(others) == 6 else None
        return Colour.said(profile, chromaticities=chromaticities)

    def _coefficients(self) -> List[float]:
        coefficients = self._numbers(529, [0.299, 0.587, 0.114])
        if len(coefficients) != 3 or not all(each > 0 for each in coefficients):
            raise SignalError(self.path, "has no usable coefficients of luma", _ADVICE)
        return coefficients

    def _reference(self) -> List[float]:
        full, half = 2.0**self.bits - 1.0, 2.0 ** (self.bits - 1)
        usual: List[float] = [0.0, full, half, full, half, full]
        reference = self._numbers(532, usual)
        if max(reference, default=0.0) <= 255.0:  # Writers leave 8 bits' numbers in files of 16.
            reference = usual if self.bits > 8 else reference
        if len(reference) != 6 or any(reference[i] == reference[i + 1] for i in (0, 2, 4)):
            raise SignalError(self.path, "has no usable black and white of luma", _ADVICE)
        return reference

    def _number(self, tag: int, otherwise: int) -> int:
        numbers = self._numbers(tag, [otherwise])
        return int(numbers[0]) if numbers else otherwise

    def _numbers(self, tag: int, otherwise: Sequence[Union[int, float]]) -> List[float]:
        """A tag's numbers; fractions come as pairs."""
        found = self.page.tags.get(tag)
        if found is None:
            return [float(each) for each in otherwise]
        value = found.value if isinstance(found.value, (tuple, list)) else [found.value]
        numbers = [float(each) for each in np.ravel(value)]
        if int(found.dtype) in (5, 10):
            numbers = [a / b if b else 0.0 for a, b in zip(numbers[::2], numbers[1::2])]
        return numbers

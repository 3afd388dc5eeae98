"""The image files of posed photographs, checked by their headers and their ends, without decoding them."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from winner_ns.errors import SignalError

LARGEST_SIDE = 1600
"""Pixels; of larger photographs smaller copies are taken, where there are some."""
CHANNELS = {"L": 3, "RGB": 3, "RGBA": 4}
"""Pillow's modes that nerfstudio reads rightly, and the channels that it makes of them."""

_ENDS = {"PNG": b"IEND\xae\x42\x60\x82", "JPEG": b"\xff\xd9"}


_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class NamedImages:
    """Finds the files that a scene's paths mean.

    A path with backslashes is one of Windows. A name whose suffix is doubled, missing or in other letters than the
    file's is that file's, where exactly one fits.
    """

    def __init__(self) -> None:
        self._folders: Dict[Path, Dict[str, List[Path]]] = {}

    def find(self, folder: Path, name: str, suffix: str = "") -> Path:
        """The file that a name in a folder means; where none or several fit, the name as it stands.

        Args:
            folder: that the name is relative to.
            name: as the scene's file has it.
            suffix: that the format adds to all names.
        """
        named = folder / (name + suffix)
        if is_file(named):
            return named
        usual = folder / (name.replace("\\", "/") + suffix)
        if is_file(usual):
            return usual
        given = folder / name.replace("\\", "/")
        if is_file(given):
            return given
        base, suffixes = _base_and_suffixes(given.name)
        fitting = [
            file
            for file in self._listed(given.parent).get(base, ())
            if not suffixes or file.suffix.lower() in suffixes or file.suffix.lower() == suffix
        ]
        return fitting[0] if len(fitting) == 1 else usual

    def _listed(self, folder: Path) -> Dict[str, List[Path]]:
        """A folder's images by their names without suffixes."""
        if folder not in self._folders:
            found: Dict[str, List[Path]] = {}
            try:
                files = [file for file in folder.iterdir() if file.suffix.lower() in _IMAGE_SUFFIXES and file.is_file()]
            except OSError:
                files = []
            for file in files:
                found.setdefault(_base_and_suffixes(file.name)[0], []).append(file)
            self._folders[folder] = found
        return self._folders[folder]


def is_file(path: Path) -> bool:
    """Whether a file is there; what the system takes for no name at all, as one that is too long, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _base_and_suffixes(name: str) -> Tuple[str, List[str]]:
    """A name without its image suffixes, and these in small letters."""
    suffixes = []
    while Path(name).suffix.lower() in _IMAGE_SUFFIXES:
        suffixes.append(Path(name).suffix.lower())
        name = Path(name).stem
    return name, suffixes


def renamed_note(source: Path, names: Sequence[str], files: Sequence[Path]) -> List[str]:
    """A line if files have other names than a scene says.

    Args:
        source: the file that names them.
        names: as it does.
        files: that were found.
    """
    other = [(name, file) for name, file in zip(names, files) if is_file(file) and Path(name).name != file.name]
    if not other:
        return []
    name, file = other[0]
    return [f"{source}: {len(other)} images have other names than it says, the first {file.name} in place of {name}"]


def check_images(
    source: Path,
    files: Sequence[Path],
    sizes: Optional[Sequence[Tuple[int, int]]] = None,
    masks: bool = False,
) -> None:
    """Raises SignalError unless all files are whole images that can be trained on together.

    Args:
        source: the file that names them.
        files: at least one.
        sizes: width and height of each in pixels, give or take one that rounding makes; None: all the same.
        masks: whether they are masks, of any mode.
    """
    missing = [file for file in files if not is_file(file)]
    if missing:
        raise SignalError(
            source,
            f"{len(missing)} of {len(files)} images are missing, the first is {missing[0]}",
            "copy them there or correct the file's paths",
        )
    first_size, first_mode = _header(files[0])
    for i, file in enumerate(files):
        size, mode = _header(file)
        width, height = size
        if sizes is None and size != first_size:
            raise SignalError(
                file,
                f"has {width} x {height} pixels, {files[0]} has {first_size[0]} x {first_size[1]}",
                "a scene of this format needs images of one size",
            )
        if sizes is not None and max(abs(width - sizes[i][0]), abs(height - sizes[i][1])) > 1:
            raise SignalError(
                file,
                f"has {width} x {height} pixels, where {source} says {sizes[i][0]} x {sizes[i][1]}",
                "give the images that the cameras were found for, or scale the intrinsics",
            )
        if masks:
            continue
        if mode not in CHANNELS:
            raise SignalError(file, f"is of the mode {mode}", "save it as RGB or RGBA with 8 bits per channel")
        if CHANNELS[mode] != CHANNELS[first_mode]:
            raise SignalError(
                file,
                f"is {mode} where {files[0]} is {first_mode}",
                "give all images of a scene an alpha channel, or none",
            )


def downscale_factor(largest: Path, copies: Callable[[int], Sequence[Path]]) -> int:
    """The power of two by which to take smaller copies of photographs larger than LARGEST_SIDE; 1 where they are small
    enough or not all copies are there.

    Args:
        largest: a photograph of full size.
        copies: factor -> the files of all copies that are so much smaller.
    """
    if not is_file(largest):
        return 1
    factor, side = 1, max(_header(largest)[0])
    while side / factor > LARGEST_SIDE and all(is_file(file) for file in copies(2 * factor)):
        factor *= 2
    return factor


def _header(file: Path) -> Tuple[Tuple[int, int], str]:
    """(width, height) and Pillow's mode of a whole image."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            size, mode, end = image.size, image.mode, _ENDS.get(image.format or "", b"")
            with open(file, "rb") as raw:
                raw.seek(-min(file.stat().st_size, max(len(end), 1)), 2)
                if raw.read() != end and end:
                    image.load()  # Something may follow a whole image; only decoding tells.
    except UnidentifiedImageError as error:
        raise SignalError(file, "is no image of a known format", "give a PNG or JPEG") from error
    except Exception as error:  # Any type: whatever Pillow's parsers stumble on in a damaged file.
        raise SignalError(file, f"is a cut or damaged image ({error})", "get a whole copy of the file") from error
    return size, mode

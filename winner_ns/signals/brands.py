"""What a file of ISO's base media format (ISO/IEC 14496-12) says it is: pictures and films begin alike."""

from __future__ import annotations

from typing import FrozenSet

IMAGE_BRANDS = {
    "AVIF": frozenset((b"avif",)),
    "HEIC": frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")),
}
"""Brands of pictures."""


def brands(head: bytes) -> FrozenSet[bytes]:
    """The major brand in a file's first bytes; where that only says that there are pictures, whatever goes with it.

    Args:
        head: at least the first 32 bytes.
    """
    if head[4:8] != b"ftyp":
        return frozenset()
    major, end = head[8:12], min(int.from_bytes(head[:4], "big"), len(head))
    if major not in (b"mif1", b"mif2"):
        return frozenset((major,))
    compatible = (head[at : at + 4] for at in range(16, end - 3, 4))
    return frozenset((major, *compatible))

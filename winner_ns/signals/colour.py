"""What the numbers of a picture's colours mean: a profile or the like, which goes along with them unchanged."""

from __future__ import annotations

import base64
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

SRGB_CHROMATICITIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""x and y of white, red, green and blue."""
MOST_PROFILE_BYTES = 2**23
_PIECE = 8000
"""Letters of a piece of text that a profile is kept in."""

# ITU-T H.273: the colours that a picture may say it has by number, and (nearly) the exponent of its values.
_PRIMARIES = {
    1: SRGB_CHROMATICITIES,
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
_SRGB_CURVE = 13
_EXPONENTS = {1: 2.4, 4: 2.2, 5: 2.8, 6: 2.4, 8: 1.0, 14: 2.4, 15: 2.4}


@dataclass(frozen=True)
class Colour:
    """What a picture's file says of its colours. All of it may be missing: then they are taken for sRGB."""

    icc_profile: Optional[bytes] = None
    gamma: Optional[float] = None
    """As PNG has it: values are light to the power of it (1/2.2 of most)."""
    chromaticities: Optional[Tuple[float, ...]] = None
    """x and y of white, red, green and blue (CIE 1931)."""
    srgb_intent: Optional[int] = None
    """It is sRGB; 0 to 3 says how it is to be brought to other colours."""
    cicp: Optional[Tuple[int, ...]] = None
    """Numbers of ITU-T H.273: primaries, transfer function, matrix (0), full range (1)."""

    def __bool__(self) -> bool:
        return self != Colour()

    def described(self) -> Dict[str, Any]:
        """Plain JSON, of what is known alone."""
        plain: Dict[str, Any] = {}
        if self.icc_profile is not None:
            text = base64.b64encode(zlib.compress(self.icc_profile, 9)).decode("ascii")
            plain["icc_profile"] = [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]
        for name in ("gamma", "srgb_intent"):
            if getattr(self, name) is not None:
                plain[name] = getattr(self, name)
        for name in ("chromaticities", "cicp"):
            if getattr(self, name) is not None:
                plain[name] = list(getattr(self, name))
        return plain

    @classmethod
    def said(cls, icc_profile: Any = None, **others: Any) -> Colour:
        """From what a file says, without what cannot be, which a description would be refused for."""
        kept: Dict[str, Any] = {}
        if isinstance(icc_profile, bytes) and len(icc_profile) <= MOST_PROFILE_BYTES and is_profile(icc_profile):
            kept["icc_profile"] = icc_profile
        for name, value in others.items():
            with suppress(ValueError):
                kept[name] = getattr(cls.of({name: list(value) if isinstance(value, tuple) else value}), name)
        return cls(**kept)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Colour:
        """From what `described` gives, none of which is trusted.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(plain, dict) or set(plain) - set(cls.__dataclass_fields__):
            raise ValueError("the colours are described by something unknown")
        profile = None
        if "icc_profile" in plain:
            pieces = plain["icc_profile"]
            if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
                raise ValueError("the colour profile is no text")
            unpacking = zlib.decompressobj()
            try:
                profile = unpacking.decompress(base64.b64decode("".join(pieces), validate=True), MOST_PROFILE_BYTES)
            except (ValueError, zlib.error) as error:
                raise ValueError(f"the colour profile is damaged ({error})") from error
            if not is_profile(profile):
                raise ValueError("the colour profile is none")
        gamma, intent = plain.get("gamma"), plain.get("srgb_intent")
        if gamma is not None and not (type(gamma) in (int, float) and 0.01 <= gamma <= 100):
            raise ValueError(f"the gamma is {gamma!r}")
        if intent is not None and not (type(intent) is int and 0 <= intent <= 3):
            raise ValueError(f"the rendering intent is {intent!r}")
        return cls(
            profile,
            None if gamma is None else float(gamma),
            _numbers(plain.get("chromaticities"), 8, (int, float), 2.0),
            intent,
            _numbers(plain.get("cicp"), 4, (int,), 255.0),
        )

    def profile(self, gray: bool) -> Optional[bytes]:
        """An ICC profile of these colours, for files that have nothing else; None is sRGB, or what no profile
        says, as HDR's transfer functions.

        Args:
            gray: whether the picture has a single channel of light.
        """
        if self.icc_profile is not None:
            return self.icc_profile
        if self.is_srgb or not self:
            return None
        exponent, chromaticities = None if self.gamma is None else 1.0 / self.gamma, self.chromaticities
        if self.cicp is not None:
            primaries, transfer = self.cicp[:2]
            if primaries not in _PRIMARIES or transfer not in (*_EXPONENTS, _SRGB_CURVE):
                return None
            chromaticities, exponent = _PRIMARIES[primaries], _EXPONENTS.get(transfer)
        return made_profile(chromaticities or SRGB_CHROMATICITIES, exponent, gray)

    @property
    def is_srgb(self) -> bool:
        """Whether they are what pictures that say nothing are taken for."""
        if self.icc_profile is not None:
            return False
        if self.cicp is not None:
            return self.cicp[:2] == (1, _SRGB_CURVE)
        return self.srgb_intent is not None or (self.gamma is None and self.chromaticities == SRGB_CHROMATICITIES)

    def fitting(self, channels: int) -> Colour:
        """What of it is of pictures with so many channels: a profile of colours is none of gray."""
        if self.icc_profile is None or profile_space(self.icc_profile) == ("GRAY" if channels < 3 else "RGB "):
            return self
        return Colour(None, self.gamma, self.chromaticities, self.srgb_intent, self.cicp)


def made_profile(chromaticities: Tuple[float, ...], exponent: Optional[float], gray: bool) -> bytes:
    """An ICC profile.

    Args:
        chromaticities: x and y of white, red, green and blue.
        exponent: light is the value to the power of it; None: sRGB's own curve.
        gray: whether it is of a single channel.
    """
    import imagecodecs

    curve: Dict[str, Any] = {"transferfunction": _srgb_curve()} if exponent is None else {"gamma": exponent}
    white = [*chromaticities[:2], 1.0]
    if gray:
        return imagecodecs.cms_profile("gray", whitepoint=white, **curve)
    primaries = [number for i in (2, 4, 6) for number in (*chromaticities[i : i + 2], 1.0)]
    return imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, **curve)


def _srgb_curve() -> Any:
    import numpy as np

    value = np.linspace(0.0, 1.0, 4096)
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.rint(light * 65535).astype(np.uint16)


def is_profile(data: bytes) -> bool:
    """Whether bytes begin as an ICC profile does (ICC.1, section 7.2)."""
    return len(data) >= 132 and data[36:40] == b"acsp" and struct.unpack(">I", data[:4])[0] <= len(data)


def profile_space(profile: bytes) -> str:
    """What a profile is of: "RGB ", "GRAY", "CMYK", …"""
    return profile[16:20].decode("latin-1")


def _numbers(value: Any, count: int, types: Tuple[type, ...], most: float) -> Optional[Tuple[Any, ...]]:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != count or not all(type(each) in types for each in value):
        raise ValueError("the colours' numbers are not what they should be")
    if not all(abs(each) <= most for each in value):
        raise ValueError("a number of the colours is out of its range")
    return tuple(value)


def png_chunks(colour: Colour) -> List[Tuple[bytes, bytes]]:
    """Names and contents of the chunks that say it in a PNG (PNG specification, third edition, 11.3.2)."""
    chunks: List[Tuple[bytes, bytes]] = []
    if colour.cicp is not None:
        chunks.append((b"cICP", bytes(colour.cicp)))
    if colour.icc_profile is not None:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(colour.icc_profile)))
    elif colour.srgb_intent is not None:
        chunks.append((b"sRGB", bytes([colour.srgb_intent])))
    if colour.gamma is not None:
        chunks.append((b"gAMA", struct.pack(">I", round(colour.gamma * 100_000))))
    if colour.chromaticities is not None:
        chunks.append((b"cHRM", struct.pack(">8i", *(round(each * 100_000) for each in colour.chromaticities))))
    return chunks


def colour_of_png(chunks: Mapping[bytes, bytes]) -> Colour:
    """What a PNG's chunks, by name, say of its colours; damaged ones say nothing."""
    profile, gamma, chromaticities = None, None, None
    if b"iCCP" in chunks:
        packed = chunks[b"iCCP"].partition(b"\0")[2][1:]
        try:
            profile = zlib.decompressobj().decompress(packed, MOST_PROFILE_BYTES)
        except zlib.error:
            profile = b""
        profile = profile if is_profile(profile) else None
    if len(chunks.get(b"gAMA", b"")) == 4:
        (number,) = struct.unpack(">I", chunks[b"gAMA"])
        gamma = number / 100_000 if 1_000 <= number <= 10_000_000 else None
    if len(chunks.get(b"cHRM", b"")) == 32:
        chromaticities = tuple(number / 100_000 for number in struct.unpack(">8i", chunks[b"cHRM"]))
        chromaticities = chromaticities if all(abs(each) <= 2 for each in chromaticities) else None
    intent, cicp = chunks.get(b"sRGB", b""), chunks.get(b"cICP", b"")
    return Colour(
        profile,
        gamma,
        chromaticities,
        intent[0] if len(intent) == 1 and intent[0] <= 3 else None,
        tuple(cicp) if len(cicp) == 4 else None,
    )

"""What browsers draw of sounds: a panel with axes, in sheets that are as fine as the time that is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Hashable, Iterator, Tuple, cast

import torch
import viser
from jaxtyping import Float
from torch import Tensor

from winner_ns.viewing.axes import HALF_VIEW, Lettering
from winner_ns.viewing.drawing import FORWARD, Drawing, Look, Part, Pose, Rectangle, Work, met_plane, seen_of_plane
from winner_ns.viewing.kept import Kept
from winner_ns.viewing.legend import Legend
from winner_ns.viewing.view import View

HALF_SHEET = 1.15
"""Half the width of all that is drawn of the panel and its labels; its height is that of `HALF_VIEW`."""
STRIPS = 2
"""Pieces of it from left to right as it is opened; from close by, there are more, each as wide as it is high."""
LEAST, MOST = 512, 2048
"""Texels across all of it, in half octaves: about as many as the pixels that are to be sharp, between these."""
STEPS = 4
"""Sheets come in so many steps from one to another twice as fine."""
MOST_STRIPS = 8
"""Of a sheet."""
ENDLESS = 1e6
"""Height of the plane, in units of the scene, for sheets that lie where the camera looks at."""
Draw = Callable[[View, Lettering, Work], Float[Tensor, "n 3"]]
"""Colours of what a view of the panel sees."""
Levels = Callable[[View, Lettering], Float[Tensor, "n 4"]]
"""The labels of levels that belong to it."""


@dataclass(frozen=True)
class Texels:
    """How finely sheets are drawn.

    Args:
        across: texels from the left to the right of what is seen at once.
    """

    across: int

    @classmethod
    def of_pixels(cls, count: float) -> Texels:
        """About as many as the view has pixels that are to be sharp across all of what it shows a part of."""
        octaves = round(2 * math.log2(max(count, 1.0) / LEAST)) / 2
        return cls(min(max(round(LEAST * 2**octaves), LEAST), MOST))

    @property
    def columns(self) -> int:
        """Of a strip."""
        return self.across // STRIPS

    @property
    def rows(self) -> int:
        """Of a strip."""
        return round(self.columns * HALF_VIEW * STRIPS / HALF_SHEET)

    @property
    def margin(self) -> int:
        """Columns of the levels' labels."""
        return self.across // 10

    @property
    def lettering(self) -> Lettering:
        """Ten pixels high where the whole is five hundred pixels wide, and so on."""
        return Lettering(round(self.across / 52), self.across, part=True)


@dataclass(frozen=True)
class Sheet(Rectangle):
    """The panel during a part of the time that is seen, in strips side by side."""

    drawing: SoundDrawing = field(kw_only=True)
    texels: Texels = field(kw_only=True)
    level: int = field(kw_only=True)
    first: int = field(kw_only=True)

    def add(self, scene: viser.SceneApi, name: str, made: Any, pose: Pose, visible: bool) -> viser.SceneNodeHandle:
        sheet = cast(viser.ImageHandle, super().add(scene, name, made, pose, visible))
        sheet.on_click(lambda event: self.drawing.clicked(met_plane(event.ray_origin, event.ray_direction)[0]))
        return sheet

    def colours(self, work: Work) -> Float[Tensor, "n 3"]:
        columns = self.texels.columns
        strips = range(self.first, self.first + self.columns // columns)
        drawn = [self.drawing.strip(self.texels, self.level, strip, work) for strip in strips]
        return torch.cat([strip.reshape(self.rows, columns, 3) for strip in drawn], dim=1).reshape(-1, 3).float() / 255


@dataclass(frozen=True)
class LevelLabels(Rectangle):
    """What the levels of a sheet are, at the left of what is seen of it."""

    drawing: SoundDrawing = field(kw_only=True)
    texels: Texels = field(kw_only=True)

    def colours(self, work: Work) -> Float[Tensor, "n 4"]:
        return self.drawing.level_labels(self.texels)


@dataclass(frozen=True)
class SoundDrawing(Drawing):
    """A sound's panel (`winner_ns.viewing.axes`), which faces +z.

    From close by it keeps fitting the view's height, so that coming closer zooms through time alone: sheets are made
    for steps of a quarter octave, and lie where the camera looks at. Their strips lie on a lattice, and are drawn once.

    Args:
        draw: a view of the panel.
        levels: labels the levels at its left.
        kept: what was drawn before of the same fields, and
        subject: tells this drawing from others that are kept there.
        legend: what the colours mean.
        clicked: told of places on the panel, x from -1 to 1, that a user points at.
    """

    draw: Draw
    levels: Levels
    kept: Kept
    subject: Hashable
    legend: Legend
    clicked: Callable[[float], None]
    room: float = HALF_VIEW

    def parts(self, look: Look) -> Iterator[Part]:
        level, middle, pixel = self._level(look)
        shrink = _shrink(level)
        texels = Texels.of_pixels(2 * HALF_SHEET * shrink / pixel)
        width, top, height = _width(level), middle + HALF_VIEW * shrink, 2 * HALF_VIEW * shrink
        first, last, left_of_view = self._strips(look, level)
        side = math.copysign(FORWARD * shrink, look.position[2])  # Near enough for a camera that is very close.
        yield Sheet(
            first * width - HALF_SHEET, top, width * (last - first), height, texels.columns * (last - first),
            texels.rows, side if level else 0.0, level > 0, drawing=self, texels=texels, level=level, first=first,
        )  # fmt: skip
        margin = texels.margin * width / texels.columns
        beside = max(left_of_view, -1.0 - margin)
        yield LevelLabels(
            beside, top, margin, height, texels.margin, texels.rows, 1.2 * side, level > 0, drawing=self, texels=texels
        )

    def strip(self, texels: Texels, level: int, number: int, work: Work) -> Tensor:
        """One strip's bytes, [n, 3]; of a state of the fields, each is drawn once."""

        def draw() -> Tensor:
            left, width = number * _width(level) - HALF_SHEET, _width(level)
            view = View.of_rectangle(left, HALF_VIEW, width, 2 * HALF_VIEW, texels.columns, texels.rows)
            return (255 * self.draw(view, texels.lettering, work).clamp(0.0, 1.0)).round().to(torch.uint8)

        return self.kept.get((self.subject, texels, level, number), draw)

    def level_labels(self, texels: Texels) -> Float[Tensor, "n 4"]:
        """Labels for a sheet's left, on transparent ground."""
        width = texels.margin * _width(0) / texels.columns
        view = View.of_rectangle(-1.0, HALF_VIEW, width, 2 * HALF_VIEW, texels.margin, texels.rows)
        return self.levels(view, texels.lettering)

    def _level(self, look: Look) -> Tuple[int, float, float]:
        """Which sheets are to be seen, 0 as it is opened; where the panel's middle lies; and how large a pixel that is
        to be sharp is there."""
        eye, (right, down, forward) = look.position, zip(*look.rotation, strict=True)
        away = -eye[2] / forward[2] if forward[2] else math.inf
        if not 0 < away < math.inf:
            return 0, 0.0, 2 * HALF_SHEET / look.resolution
        tangent = math.tan(look.fov / 2)
        half = away * min(tangent / max(abs(down[1]), 1e-9), tangent * look.aspect / max(abs(right[1]), 1e-9))
        row = look.beside.half or HALF_VIEW
        level = math.ceil(STEPS * math.log2(row / half) - 0.01)
        if level <= 0:
            return 0, 0.0, 2 * away * tangent / look.height
        # As the view is when it shows this sheet first, so that a little nearer by nothing is drawn anew.
        middle, pixel = look.beside.middle * (1 - _shrink(level)), 2 * row * _shrink(level) / look.height
        return level, eye[1] + away * forward[1] + middle, pixel

    def _strips(self, look: Look, level: int) -> Tuple[int, int, float]:
        """The first strip of a sheet, the one after its last, and where the view begins; at either side there is one
        more than is seen, so that one can move."""
        width = _width(level)
        count = math.ceil(2 * HALF_SHEET / width)
        seen = seen_of_plane(look, 2 * HALF_SHEET, ENDLESS)
        if seen is None:
            return 0, STRIPS, -2 * HALF_SHEET
        low, high, middle = (float(place[0]) - HALF_SHEET for place in seen[:3])
        if level <= 0:
            return 0, STRIPS, low - HALF_SHEET
        first, last = math.floor(low / width) - 1, math.ceil(high / width) + 1
        begin = max(0, min(first, count - 1), math.floor(middle / width) - MOST_STRIPS // 2)
        return begin, max(min(last, count, begin + MOST_STRIPS), begin + 1), low - HALF_SHEET


def _shrink(level: int) -> float:
    """How many times smaller than as it is opened."""
    return 2.0 ** (-level / STEPS)


def _width(level: int) -> float:
    """Of a strip, in units of the scene."""
    return 2 * HALF_SHEET / STRIPS * _shrink(level)

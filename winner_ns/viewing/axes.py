"""The axes of a sound's picture in the plane z = 0: what each ray sees of them, and their ticks and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, TypeVar

import matplotlib
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from winner_ns.viewing.background import background_depth
from winner_ns.viewing.plane import plane_points
from winner_ns.viewing.signal_view import ViewSettings
from winner_ns.viewing.view import View

Number = TypeVar("Number", float, Tensor)

HALF_HEIGHT = 0.5
"""The panel takes |x| <= 1 and |y| <= HALF_HEIGHT."""
HALF_VIEW = 0.56
"""The panel and its labels take this much of the plane above and below the middle, and never more of the view."""
BESIDE = 0.03
"""Ticks reach no further out of the panel than this."""
TICK = 4.0
"""Length of a tick in pixels."""

LABELLED = 160
"""Rows that a picture must have for its labels to be readable."""

PAPER, FRAME, ZERO, GRID, TEXT = 0.985, 0.55, 0.78, 0.91, 0.25
"""Shades of gray."""


@dataclass(frozen=True)
class Lettering:
    """How ticks and labels are set."""

    size: int
    """Of the letters, in pixels."""
    columns: int
    """Pixels across all that is seen at once."""
    part: bool = False
    """Whether the picture is a part of what is seen: its letters are cut at its borders, where the next part goes on,
    and levels are written elsewhere (`level_labels`)."""

    @classmethod
    def of_view(cls, view: View) -> Lettering:
        """Of a picture that is seen alone."""
        return cls(min(max(round(view.height / 34), 10), 16), view.width)


class Axes:
    """Time to the right, and a lane for each channel, the first one at the top.

    From close by, the panel is stretched along y so that it still just fits the view: then the mouse zooms and moves
    through time alone. Sizes of pixels are those of their footprints in the plane.

    Args:
        view: the camera's.
        settings: time_center and time_zoom choose the time that the panel shows.
        samples: number of the sound's samples, at least 2.
        sample_rate: in hertz.
        lanes: number of channels.
        lettering: left out, that of a picture which is seen alone.

    Attributes:
        seen: [n], the rays that meet the panel or its ticks; all other per-ray attributes are of these m rays only.
        x, pixel_x: [m], on the plane.
        position, pixel_position: [m], time in samples, 0 at the first one; double precision.
        height, pixel_height: [m], in the panel, -HALF_HEIGHT … HALF_HEIGHT.
        lane: [m], which channel.
        level, pixel_level: [m], height in the lane, -1 … 1.
        last: position of the last sample.
    """

    @torch.no_grad()
    def __init__(
        self,
        view: View,
        settings: ViewSettings,
        samples: int,
        sample_rate: float,
        lanes: int,
        lettering: Optional[Lettering] = None,
    ) -> None:
        self.lettering = lettering or Lettering.of_view(view)
        self.view, self.last, self.sample_rate, self.lanes = view, samples - 1, float(sample_rate), lanes
        self._center, self._zoom = settings.time_center, max(settings.time_zoom, 1.0)
        origins, directions = view.origins.cpu().double(), view.directions.cpu().double()
        points, depth, meets = plane_points(origins, directions)
        self._stretch, self._y, self._height = self._vertical_fit()

        x, height = points[:, 0], self._height + (points[:, 1] - self._y) * self._stretch
        self.seen = meets & (x.abs() <= 1.0 + BESIDE) & (height.abs() <= HALF_HEIGHT + BESIDE)
        self.depth = torch.where(self.seen[:, None], depth, background_depth(origins, directions)).float()
        self.x, self.height = x[self.seen], height[self.seen].float()
        self.position = self.position_at(self.x)

        # How far a point of the plane moves when a ray moves by a pixel, to the right and up.
        right, up, back = view.world_to_camera[:, :3].cpu().double()
        directions, depth = directions[self.seen], depth[self.seen]
        slope = directions[:, :2] / directions[:, 2:]
        along = depth * -(directions @ back)[:, None]
        to_the_right = along * (right[:2] - right[2] * slope) / view.focal[0]
        upwards = along * (up[:2] - up[2] * slope) / view.focal[1]
        pixel = torch.hypot(to_the_right, upwards)
        self.pixel_x = pixel[:, 0].clamp(1e-12, 1e6)
        self.pixel_position = (self.pixel_x * (self.last / (2 * self._zoom))).clamp(min=1e-6)
        self.pixel_height = (pixel[:, 1] * self._stretch).clamp(1e-6, 1e6).float()

        lane_height = 2 * HALF_HEIGHT / lanes
        self.lane = ((HALF_HEIGHT - self.height) / lane_height).long().clamp(0, lanes - 1)
        self.level = 2 * (HALF_HEIGHT - self.height) / -lane_height + 2 * self.lane + 1
        self.pixel_level = 2 * self.pixel_height / lane_height

    def _vertical_fit(self) -> Tuple[float, float, float]:
        """(stretch, y, height): a point's height is `height + stretch * (its y - y)`."""
        view = self.view
        right, up, back = view.world_to_camera[:, :3].cpu().double()
        eye = view.origins[0].cpu().double()
        distance = float(eye[2] / back[2])  # Along the middle of the view.
        if not 0 < distance < math.inf:
            return 1.0, 0.0, 0.0
        middle = float(eye[1] - distance * back[1])
        sizes = (view.height / view.focal[1], float(up[1])), (view.width / view.focal[0], float(right[1]))
        half = distance * min(size / max(2 * abs(part), 1e-9) for size, part in sizes)
        room = max(half - HALF_VIEW, 0.0)
        return max(HALF_VIEW / half, 1.0), middle, min(max(middle, -room), room)

    def position_at(self, x: Number) -> Number:
        """Time in samples at places of the plane."""
        return (self._center + x / self._zoom + 1.0) * (self.last / 2)

    def x_at(self, position: Number) -> Number:
        """Places of the plane of times in samples."""
        return (position * (2 / self.last) - 1.0 - self._center) * self._zoom

    @property
    def within(self) -> Tensor:
        """[m], which of the seen rays meet the panel during the sound."""
        inside = (self.x.abs() <= 1.0) & (self.height.abs() <= HALF_HEIGHT)
        return inside & (self.position >= 0) & (self.position <= self.last)

    # What is drawn into the picture ----------------------------------------------------------------------------------

    def picture(self, colour: Float[Tensor, "m 3"]) -> Float[Tensor, "n 3"]:
        """The colours of the rays that are seen, white elsewhere, and a frame with ticks around the panel."""
        x, height = self.x.abs(), self.height.abs()
        beside = torch.maximum((x - 1.0) / self.pixel_x, (height - HALF_HEIGHT) / self.pixel_height)
        colour = _shaded(colour, 1.0, (beside + 0.5).clamp(0.0, 1.0))

        ticks = (x <= 1.0) & (beside > 0) & (beside <= TICK) & (self.position >= 0) & (self.position <= self.last)
        below = (1.0 - self._from_tick(self.time_step * self.sample_rate)) * (ticks & (self.height < 0))
        above = (1.0 - self._from_tick(self.sample_step)) * (ticks & (self.height > 0))
        for coverage in (below, above, 1.0 - beside.abs()):
            colour = _shaded(colour, FRAME, coverage)
        whole = torch.ones(len(self.seen), 3)
        whole[self.seen] = colour.float()
        return whole

    def paper(self) -> Float[Tensor, "m 3"]:
        """The panel's ground: faint lines at the time ticks, and where each lane has its zero and its end."""
        colour = torch.full((len(self.x), 3), PAPER)
        during = (self.position >= -self.pixel_position) & (self.position <= self.last + self.pixel_position)
        tick = self._from_tick(self.time_step * self.sample_rate)
        end = torch.minimum(self.position.abs(), (self.position - self.last).abs()) / self.pixel_position
        zero, border = (distance / self.pixel_level for distance in (self.level.abs(), 1.0 - self.level.abs()))
        for shade, distance in ((GRID, tick), (ZERO, zero), (FRAME, border), (FRAME, end)):
            colour = _shaded(colour, shade, (1.0 - distance) * during)
        return colour

    def with_labels(self, picture: Float[Tensor, "n 3"], levels: Sequence["Label"]) -> Float[Tensor, "n 3"]:
        """Writes times below the panel, sample numbers above where single ones are seen, and levels to its left.

        Args:
            picture: all colours.
            levels: for every lane, `at` from -1 at its lower border to 1 at its upper one.
        """
        within = self.position[self.within]
        if self.view.height < LABELLED or not len(within):
            return picture
        size, part = self.lettering.size, self.lettering.part
        text = _Text((self.view.width, self.view.height), size, part)
        # Of a part's neighbours, those labels that may reach into it.
        beyond = 8 * size * self.pixel[0] if part else self.pixel[0]
        start = max(float(within.min()) - beyond, self.position_at(-1.0), 0.0)
        stop = min(float(within.max()) + beyond, self.position_at(1.0), float(self.last))
        below, above = (0, TICK - 1), (0, 1 - TICK)
        labels, base = self.time_labels(start, stop)
        if not part:
            left = max(self.x_at(start), -1.0)
            for label, height, down in placed_levels(levels, self.lanes, size):
                text.write(label, self._projected(left, height), "rm", (-TICK - 2, down))
            text.write(base, self._projected(left, -HALF_HEIGHT), "la", below)
        for label in labels:
            text.write(label.text, self._projected(self.x_at(label.at), -HALF_HEIGHT), "ma", below)
        for label in self.sample_labels(start, stop):
            text.write(label.text, self._projected(self.x_at(label.at), HALF_HEIGHT), "md", above)
        return text.over(picture)

    def _projected(self, x: float, height: float) -> Optional[Tuple[float, float]]:
        """(column, row) in the picture of a place in the panel, if it is before the camera."""
        y = self._y + (height - self._height) / self._stretch
        # In double precision, as a single sample of a long sound may fill the picture.
        rotation = self.view.world_to_camera[:, :3].cpu().double()
        moved = -rotation @ self.view.origins[0].cpu().double()
        view = replace(self.view, world_to_camera=torch.cat([rotation, moved[:, None]], dim=1))
        pixel, before = view.project(torch.tensor([[x, y, 0.0]], dtype=torch.float64))
        return (float(pixel[0, 0]), float(pixel[0, 1])) if before[0] else None

    # Where ticks are -------------------------------------------------------------------------------------------------

    @cached_property
    def pixel(self) -> Tuple[float, float]:
        """Width of a typical pixel in samples, and its height in a lane's levels."""
        if not len(self.x):
            return float(self.last), 1.0
        # At a slant, most pixels may show a small part of the time that is seen.
        least = float(self.position.max() - self.position.min()) / (4 * self.view.width)
        return max(float(self.pixel_position.median()), least), float(self.pixel_level.median())

    @cached_property
    def time_step(self) -> float:
        """Seconds from tick to tick."""
        letters = self.lettering
        apart = max(letters.columns / 9, 5 * letters.size if self.view.height >= LABELLED else 0)
        if letters.part:  # All digits are written, as parts have no common time to count from.
            apart = max(apart, 8 * letters.size)
        return nice_step(apart * self.pixel[0] / self.sample_rate)

    @cached_property
    def sample_step(self) -> int:
        """Samples from tick to tick, where single ones are some pixels apart; else 0, for none."""
        if self.pixel[0] > 1 / 6:
            return 0
        widest = (len(f"{self.last}") + 3) * 0.6 * self.lettering.size
        return max(round(nice_step(widest * self.pixel[0])), 1)

    def _from_tick(self, step: float) -> Float[Tensor, " m"]:
        """Pixels to the nearest multiple of some samples; far where these are close to each other, as at a slant."""
        nearest = torch.round(self.position / step) * step if step else torch.full_like(self.position, torch.inf)
        distance = (self.position - nearest).abs() / self.pixel_position
        return torch.where(self.pixel_position * 10 < step, distance, torch.inf)

    def time_labels(self, start: float, stop: float) -> Tuple[List["Label"], str]:
        """Labels between two positions, and a time from which they count where times have many digits, else ""."""
        step, rate = self.time_step, self.sample_rate
        first, latest, base = start / rate, stop / rate, 0.0
        if counted := latest / step > 2e5 and not self.lettering.part:
            unit = 10.0 ** math.ceil(math.log10(max(latest - first, step)))
            base = math.floor(first / unit) * unit
        steps = range(math.ceil((first - base) / step - 1e-6), math.floor((latest - base) / step + 1e-6) + 1)
        labels = [Label(format_time(k * step, step, latest - base), (base + k * step) * rate) for k in steps]
        return labels, f"{format_time(base, unit, latest)} +" if counted else ""

    def sample_labels(self, start: float, stop: float) -> List["Label"]:
        """Numbers of samples between two positions, the sound's first one being 0."""
        step = self.sample_step
        numbers = range(math.ceil(start / step) * step, math.floor(stop) + 1, step) if step else range(0)
        return [Label(f"#{k}", k) for k in numbers]


@dataclass(frozen=True)
class Label:
    """Text beside a place of an axis."""

    text: str
    at: float


def placed_levels(levels: Sequence[Label], lanes: int, size: int) -> List[Tuple[str, float, float]]:
    """Texts of every lane's levels, their heights in the panel, and how many pixels further down they stand: those at a
    lane's borders move into it, as the next lane has its own there.

    Args:
        levels: `at` from -1 at a lane's lower border to 1 at its upper one.
        lanes: one below the other.
        size: of the letters.
    """
    return [
        (label.text, HALF_HEIGHT * (1 - (2 * lane + 1 - label.at) / lanes), label.at * size / 2)
        for lane in range(lanes)
        for label in levels
    ]


def level_labels(levels: Sequence[Label], lanes: int, columns: int, rows: int, size: int) -> Float[Tensor, "n 4"]:
    """The levels alone, at the right border of a picture as high as a view of the panel (HALF_VIEW above and below its
    middle), transparent around them."""
    text = _Text((columns, rows), size)
    for label, height, down in placed_levels(levels, lanes, size):
        text.write(label, (columns - 1, (HALF_VIEW - height) / (2 * HALF_VIEW) * rows), "rm", (-TICK - 2, down))
    return text.alone()


def nice_step(least: float) -> float:
    """The smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, 10, … that is not smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= least * (1 - 1e-9))


def format_time(seconds: float, step: float, latest: float) -> str:
    """A time in s, ms or µs.

    Args:
        seconds: the time.
        step: to the next label; as many decimals are shown as it needs.
        latest: of all labels, which all have one unit.
    """
    unit, name = next(((u, n) for u, n in ((1.0, "s"), (1e-3, "ms")) if latest >= u), (1e-6, "µs"))
    decimals = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    return f"{seconds / unit:.{decimals}f} {name}"


class _Text:
    """Text in a picture of a size (width, height), one piece never over another, and moved into it if need be; of a
    part of a larger picture cut instead."""

    def __init__(self, size: Tuple[int, int], letters: int, part: bool = False) -> None:
        self._size, self._part = size, part
        # Pillow's own font has no µ.
        self._font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), letters)
        self._ink, self._ground = (Image.new("L", self._size) for _ in range(2))
        self._taken: List[Tuple[float, float, float, float]] = []

    def write(self, text: str, place: Optional[Tuple[float, float]], anchor: str, offset: Tuple[float, float]) -> None:
        """Writes beside a place of the picture; nothing where there is no room."""
        width, height = self._size
        beside = width if self._part else 1
        if not text or place is None or not (-beside <= place[0] <= width + beside and -1 <= place[1] <= height + 1):
            return
        draw = ImageDraw.Draw(self._ink)
        place = (place[0] + offset[0], place[1] + offset[1])
        box = draw.textbbox(place, text, font=self._font, anchor=anchor)
        move = [max(2 - box[i], 0) + min((width, height)[i] - 1 - box[2 + i], 0) for i in (0, 1)]
        if self._part:
            move = [0, 0]
        box = (box[0] + move[0], box[1] + move[1], box[2] + move[0], box[3] + move[1])
        if any(box[0] < b + 4 and a < box[2] + 4 and box[1] < d + 1 and c < box[3] + 1 for a, c, b, d in self._taken):
            return
        self._taken.append(box)
        place = (place[0] + move[0], place[1] + move[1])
        draw.text(place, text, 255, self._font, anchor)
        ground = (box[0] - 2, box[1] - 2, box[2] + 1, box[3] + 1)
        ImageDraw.Draw(self._ground).rounded_rectangle(ground, radius=2, fill=210)

    def over(self, picture: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        for mask, shade in ((self._ground, 1.0), (self._ink, TEXT)):
            coverage = torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255).reshape(-1)
            picture = _shaded(picture, shade, coverage)
        return picture

    def alone(self) -> Float[Tensor, "n 4"]:
        """On transparent ground."""
        ink, ground = (
            torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255).reshape(-1) for mask in (self._ink, self._ground)
        )
        gray = (1.0 + (TEXT - 1.0) * ink)[:, None]
        return torch.cat([gray.expand(-1, 3), torch.maximum(ink, ground)[:, None]], dim=1)


def _shaded(colour: Float[Tensor, "m 3"], shade: float, coverage: Float[Tensor, " m"]) -> Float[Tensor, "m 3"]:
    coverage = torch.nan_to_num(coverage).clamp(0.0, 1.0).to(colour)[:, None]
    return colour + (shade - colour) * coverage

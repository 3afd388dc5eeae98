"""What a browser draws by itself: parts that are made once, handed over, and looked at from anywhere."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Hashable, Iterator, List, Optional, Tuple

import numpy as np
import torch
import viser
import viser.transforms as tf
from jaxtyping import Float
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO as SCENE_SCALE
from torch import Tensor

from winner_ns.viewing.legend import Legend, no_legend

Paint = Callable[[Float[Tensor, "m 2"]], Float[Tensor, "m c"]]
"""Colours in 0 … 1, and where there is a fourth number, opacity at places of a plane (x to the right, y up)."""
Work = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
"""Calls a function with points, [n, d], piece by piece; may raise `Interrupted` between two of them."""

WHOLE = 512
"""Texels along the longer side of a picture of the whole plane."""
HURRY = 4
"""A coarse picture has so many times fewer of them along each side."""
TILE = 256
"""Texels along a side of a tile of it."""
MOST_TILES = 48
"""That a browser holds of a plane at once."""
FORWARD = 0.002
"""How far before the whole picture its tiles lie, in units of the scene: more than a browser's depth is coarse."""


class Interrupted(Exception):
    """Something else is to be drawn by now."""


@dataclass(frozen=True)
class Beside:
    """The place of a drawing in the row of those that are seen at once."""

    middle: float = 0.0
    """Of the drawing, from the middle of the row, in units of the scene."""
    half: Optional[float] = None
    """Half the length of the row; None: that of the drawing, which stands alone."""


@dataclass(frozen=True)
class Look:
    """How a browser looks at the scene."""

    position: Tuple[float, float, float]
    """Of the camera."""
    rotation: Tuple[Tuple[float, float, float], ...]
    """Columns: the camera's right, down and forward, in the scene."""
    fov: float
    """Vertical field of view in radians."""
    aspect: float
    """Width over height."""
    resolution: int
    """Pixels along the view's longer side that are to be sharp."""
    beside: Beside = Beside()
    """Where in it stands what is drawn."""

    @property
    def height(self) -> float:
        """Of the view in such pixels."""
        return self.resolution / max(self.aspect, 1.0)


@dataclass(frozen=True)
class Pose:
    """How something lies in the scene."""

    translation: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    """In units of the scene."""
    rotation: Tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """A quaternion (w, x, y, z)."""

    def of(self, inner: Pose) -> Pose:
        """The pose in the scene of what has a pose within what has this one."""
        outer = tf.SO3(np.array(self.rotation))
        moved = np.array(self.translation) + outer @ np.array(inner.translation)
        return Pose(tuple(moved.tolist()), tuple((outer @ tf.SO3(np.array(inner.rotation))).wxyz.tolist()))

    def seen(self, look: Look) -> Look:
        """How one looks at it from there."""
        back = tf.SO3(np.array(self.rotation)).inverse()
        position = back @ (np.array(look.position) - self.translation)
        rotation = back.as_matrix() @ np.array(look.rotation)
        return replace(look, position=tuple(position.tolist()), rotation=tuple(map(tuple, rotation.tolist())))

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """Of the rotation."""
        return tf.SO3(np.array(self.rotation)).as_matrix()

    @property
    def wxyz(self) -> Tuple[float, float, float, float]:
        """As viser takes it."""
        return self.rotation

    @property
    def position(self) -> Tuple[float, ...]:
        """As viser takes it, in its units."""
        return tuple(SCENE_SCALE * x for x in self.translation)


class Part(ABC):
    """One node of a browser's scene."""

    refines: bool
    """Whether it makes finer what is there already: for a certain camera, and not before all that does not."""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """What tells it from others of the same drawing: a part takes the place of an earlier one of its key."""

    def coarse(self) -> Optional[Part]:
        """The same in a hurry, to be seen until it is there; None where it is quick itself."""
        return None

    @abstractmethod
    def make(self, work: Work) -> Any:
        """What is handed over."""

    @abstractmethod
    def add(self, scene: viser.SceneApi, name: str, made: Any, pose: Pose, visible: bool) -> viser.SceneNodeHandle:
        """Hands it over, to lie in the scene like this."""


class Drawing(ABC):
    """What is seen of one output of a view."""

    room: float
    """Half of what it takes of the row in which it stands beside others, in units of the scene."""
    legend: Legend
    """What its colours mean."""

    @abstractmethod
    def parts(self, look: Look) -> Iterator[Part]:
        """All that it consists of for a camera, what is needed first before what refines it. It lies around the origin:
        where it stands beside another one, the camera is moved instead."""


@dataclass(frozen=True)
class Rectangle(Part):
    """Part of a plane as a picture: texel centres lie half a texel within its borders."""

    left: float
    top: float
    width: float
    height: float
    columns: int
    rows: int
    forward: float = 0.0
    """How far before the plane it lies, towards +z."""
    refines: bool = False

    @property
    def key(self) -> Hashable:
        return self.left, self.top, self.width, self.height, self.columns, self.rows, self.forward

    @abstractmethod
    def colours(self, work: Work) -> Float[Tensor, "n c"]:
        """Of all texels, row by row: in 0 … 1, and where there is a fourth number, opacity."""

    def make(self, work: Work) -> np.ndarray:
        """Its pixels, [rows, columns, 3 or 4], bytes."""
        colours = self.colours(work).reshape(self.rows, self.columns, -1)
        return (255 * colours.cpu().clamp(0.0, 1.0)).round().to(torch.uint8).numpy()

    def add(self, scene: viser.SceneApi, name: str, made: Any, pose: Pose, visible: bool) -> viser.SceneNodeHandle:
        middle = self.left + self.width / 2, self.top - self.height / 2, self.forward
        # viser's own images hang upside down, seen from +z.
        lies = pose.of(Pose(middle, (0.0, 1.0, 0.0, 0.0)))
        width, height = SCENE_SCALE * self.width, SCENE_SCALE * self.height
        return scene.add_image(
            name, made, width, height, format="png", wxyz=lies.wxyz, position=lies.position, visible=visible
        )


@dataclass(frozen=True)
class Painted(Rectangle):
    """One that is painted texel by texel."""

    paint: Paint = field(kw_only=True)

    def coarse(self) -> Optional[Painted]:
        return replace(self, columns=max(self.columns // HURRY, 1), rows=max(self.rows // HURRY, 1))

    def colours(self, work: Work) -> Float[Tensor, "n c"]:
        x = self.left + (torch.arange(self.columns, dtype=torch.float64) + 0.5) * (self.width / self.columns)
        y = self.top - (torch.arange(self.rows, dtype=torch.float64) + 0.5) * (self.height / self.rows)
        places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2).float()
        return work(self.paint, places)


@dataclass(frozen=True)
class PlaneDrawing(Drawing):
    """A picture in the plane z = 0, around the origin: whole at first, then in tiles as fine as the camera sees them,
    those in the middle of the view first.

    Tiles lie on a lattice and come in half octaves of fineness, so that a view that moves keeps those it has.
    """

    paint: Paint
    half_width: float
    half_height: float
    legend: Legend = no_legend

    @property
    def room(self) -> float:  # type: ignore[override]
        return self.half_width

    @property
    def _texel(self) -> float:
        return 2 * max(self.half_width, self.half_height) / WHOLE

    def parts(self, look: Look) -> Iterator[Part]:
        yield self._rectangle(-self.half_width, self.half_height, self.half_width, -self.half_height)
        side = math.copysign(FORWARD, look.position[2])
        for finer, column, row in self._tiles(look):
            texel = self._texel / finer
            left, top = -self.half_width + column * TILE * texel, self.half_height - row * TILE * texel
            right, bottom = min(left + TILE * texel, self.half_width), max(top - TILE * texel, -self.half_height)
            # Finer ones before coarser ones, which stay until they are replaced.
            yield self._rectangle(left, top, right, bottom, finer, side * (1 + math.log2(finer) / 4))

    def _rectangle(
        self, left: float, top: float, right: float, bottom: float, finer: float = 1.0, forward: float = 0.0
    ) -> Painted:
        texel = self._texel / finer
        # A single row or column has no extent, and is seen as a line.
        width, height = max(right - left, texel), max(top - bottom, texel)
        columns, rows = max(round(width / texel), 1), max(round(height / texel), 1)
        return Painted(left, top, width, height, columns, rows, forward, finer > 1, paint=self.paint)

    def _tiles(self, look: Look) -> List[Tuple[float, int, int]]:
        """How many times finer than the whole picture tiles are to be, and their columns and rows."""
        seen = seen_of_plane(look, self.half_width, self.half_height)
        if seen is None:
            return []
        low, high, middle, pixel = seen
        octaves = math.ceil(2 * math.log2(self._texel / pixel) - 0.3)
        while octaves > 0:
            finer = 2 ** (octaves / 2)
            size = TILE * self._texel / finer
            first, last = np.floor(low / size).astype(int), np.ceil(high / size).astype(int)
            columns, rows = range(first[0], last[0]), range(first[1], last[1])
            if len(columns) * len(rows) <= MOST_TILES:
                tiles = [(finer, column, row) for column in columns for row in rows]
                return sorted(tiles, key=lambda tile: math.dist(middle / size - 0.5, tile[1:]))
            octaves -= 1  # Where the plane is seen aslant, what is near is as fine as there is room for.
        return []


def met_plane(origin: Tuple[float, float, float], direction: Tuple[float, float, float]) -> Tuple[float, float]:
    """Where a ray of viser's meets the plane z = 0, in units of the scene."""
    away = -origin[2] / direction[2]
    return (origin[0] + away * direction[0]) / SCENE_SCALE, (origin[1] + away * direction[1]) / SCENE_SCALE


def seen_of_plane(
    look: Look, half_width: float, half_height: float
) -> Optional[Tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"], Float[np.ndarray, "2"], float]]:
    """The part of a rectangle around the origin of the plane z = 0 that a lattice of rays meets.

    Returns:
        Its upper left and lower right corner and the place nearest to the middle of the view, from the rectangle's own
        upper left corner (to the right and down); and the smallest extent of a pixel there. None where no ray meets it.
    """
    across, down = (x.ravel() for x in np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 31)))
    tangent = math.tan(look.fov / 2)
    rays = np.stack([across * tangent * look.aspect, down * tangent, np.ones_like(across)])
    directions, eye = (np.array(look.rotation) @ rays).T, np.array(look.position)
    half = np.array((half_width, half_height))
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = -eye[2] / directions[:, 2]
        places = half + (eye[:2] + depth[:, None] * directions[:, :2]) * (1, -1)
        met = (depth > 0) & ((places >= 0) & (places <= 2 * half)).all(1)
    if not met.any():
        return None
    places, depth = places[met], depth[met]
    middle = places[np.hypot(across[met], down[met]).argmin()]
    margin = (np.ptp(places, axis=0)) / 20  # What lies between the outermost ray that meets it and the next.
    low, high = np.maximum(places.min(0) - margin, 0), np.minimum(places.max(0) + margin, 2 * half)
    return low, high, middle, float(depth.min()) * 2 * tangent / look.height


@dataclass(frozen=True)
class Placed(Part):
    """A part that lies elsewhere."""

    part: Part
    pose: Pose

    @property
    def refines(self) -> bool:  # type: ignore[override]
        return self.part.refines

    @property
    def key(self) -> Hashable:
        return self.part.key, self.pose

    def coarse(self) -> Optional[Part]:
        coarse = self.part.coarse()
        return None if coarse is None else Placed(coarse, self.pose)

    def make(self, work: Work) -> Any:
        return self.part.make(work)

    def add(self, scene: viser.SceneApi, name: str, made: Any, pose: Pose, visible: bool) -> viser.SceneNodeHandle:
        return self.part.add(scene, name, made, pose.of(self.pose), visible)


@dataclass(frozen=True)
class Together(Drawing):
    """Several drawings in one place, each in a pose."""

    drawings: Tuple[Tuple[Drawing, Pose], ...]
    room: float
    legend: Legend = no_legend

    def parts(self, look: Look) -> Iterator[Part]:
        for drawing, pose in self.drawings:
            for part in drawing.parts(pose.seen(look)):
                yield Placed(part, pose)

"""What every kind of signal has in common when it is looked at: named pictures, drawn when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from copy import copy
from dataclasses import dataclass, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Generic,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

from torch import Tensor

from winner_ns.fields.files import LoadedField
from winner_ns.signals import Signal
from winner_ns.viewing.controls import Control, Slider
from winner_ns.viewing.view import View

if TYPE_CHECKING:
    import viser

    from winner_ns.viewing.drawing import Drawing

Original = TypeVar("Original", bound=Signal)
Value = TypeVar("Value")

Draw = Callable[[], Tensor]
"""Draws a picture: [n, 3] colours in 0 … 1, or [n, 1] numbers that the viewer colours, a row for each ray."""


@dataclass(frozen=True)
class ViewSettings:
    """What the viewer's panel sets."""

    error_gain: float = 10.0
    """Errors and differences are shown so many times larger; 1 shows the signal's whole range."""
    time_center: float = 0.0
    """Sounds: the time in the middle of the frame, in -1 … 1 (first to last sample)."""
    time_zoom: float = 1.0
    """Sounds: the frame shows one part in so many of the sound, at least 1."""
    slice_axis: int = 0
    """Of three axes, the one across the slice."""
    slice_position: float = 0.0
    """Where along it, -1 its first and 1 its last sample; shapes: coordinate in the unit cube."""
    iso_level: float = 0.0
    """Shapes: the distance whose level set is the surface, in units of the unit cube."""
    difference: Optional[Tuple[str, str]] = None
    """Names of the two fields whose difference is shown."""


AS_OPENED = ViewSettings()
"""What the panel is set to at first."""


@dataclass(frozen=True)
class Framing:
    """Where the signal lies, for a camera that shall see all of it."""

    towards_camera: Tuple[float, float, float]
    """Unit vector from the signal to the camera."""
    half_width: float
    half_height: float
    """Half the sides of what is seen, as a rectangle that faces the camera."""
    radius: float = 0.0
    """Of what is seen, as a ball, where it is no rectangle."""
    center: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The signal's middle."""
    up: Tuple[float, float, float] = (0.0, 1.0, 0.0)
    """Unit vector that points up in the picture."""
    distance: Optional[float] = None
    """From the middle to the camera; None: so far away that all of the signal is seen."""
    stacks: bool = False
    """Whether several of it stand one below the other, rather than side by side."""

    def of_row(self, count: int, gap: float) -> Framing:
        """Of so many with gaps between them."""
        if self.stacks:
            return replace(self, half_height=count * self.half_height + (count - 1) * gap / 2)
        return replace(self, half_width=count * max(self.half_width, self.radius) + (count - 1) * gap / 2)


class Pictures(MutableMapping):
    """Outputs by name, [height, width, channels], each drawn when it is first asked for.

    nerfstudio takes any mapping for a model's outputs but shows few of them at a time. `rgb`, which its render command
    asks for by default, stands for the first one; what nerfstudio itself puts in is kept but not listed.
    """

    def __init__(self, draws: Mapping[str, Draw], height: int, width: int) -> None:
        self._draws = dict(draws)
        self._size = (height, width)
        self._drawn: Dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name == "rgb" and name not in self._draws and name not in self._drawn:
            name = next(iter(self._draws))
        if name not in self._drawn:
            self._drawn[name] = self._draws[name]().reshape(*self._size, -1)
        return self._drawn[name]

    def __setitem__(self, name: str, picture: Tensor) -> None:
        self._drawn[name] = picture

    def __delitem__(self, name: str) -> None:
        self._draws.pop(name, None)
        self._drawn.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name == "rgb" or name in self._draws or name in self._drawn

    def __iter__(self) -> Iterator[str]:
        return iter(self._draws)

    def __len__(self) -> int:
        return len(self._draws)


class SignalView(ABC, Generic[Original]):
    """Draws one or more fields of the same signal, and the signal itself where it is at hand, and says what of it a
    user can set. A kind's row names the subclass.

    Args:
        fields: by name; with more than one, each output carries its field's name ("winner/error").
        original: what they were fitted to; None where the data is not there.
    """

    heard: Tuple[str, ...] = ()
    """What of it can be played, the first one unless another is chosen: field, original, error."""
    outputs: Tuple[str, ...] = ()
    """Those that the browser can draw by itself, the first one shown at first; others are nerfstudio's to render."""
    rendered: Tuple[str, ...] = ()
    """Outputs that are offered beside them, which nerfstudio renders."""
    has_overlay: bool = False
    """Whether the browser can draw the original over the pictures (`add_overlay`)."""

    cursor: Optional[Slider] = None
    """What a user chooses with at which place of a line values are read, where there is one."""

    def __init__(self, fields: Mapping[str, LoadedField], original: Optional[Original] = None) -> None:
        self.fields = dict(fields)
        self.original = original
        self.pointed: Callable[[Callable[[ViewSettings], float]], None] = lambda place: None
        """Told, when somebody points at a picture, what the cursor becomes by that."""

    @property
    def signal(self) -> Dict[str, Any]:
        """What is known of the original, whether it is at hand or not."""
        return next(iter(self.fields.values())).signal

    @property
    def exported(self) -> str:
        """What an export of a field is, in a word."""
        words = next(iter(self.fields.values())).description.row.words
        return words.partition(" ")[2] or words

    @property
    def gain_hint(self) -> str:
        """What the error's gain means."""
        return "Errors and differences are shown so many times larger; at 1, the strongest colour is the whole range"

    def is_quick(self, beside_training: bool) -> bool:
        """Whether pictures of twice the usual resolution are drawn while a user waits, beside a training or without."""
        return not beside_training

    def controls(self) -> Dict[str, Control]:
        """What a user can set of what is drawn, by name, beside what all views have: the error's gain, the difference
        of two fields."""
        return {}

    def settings(self, values: Mapping[str, Any]) -> Dict[str, Any]:
        """What values of the controls, by name, mean: the parts of ViewSettings that they set."""
        return {}

    def of_fields(self, fields: Mapping[str, LoadedField], quick: bool = False) -> SignalView:
        """The same view of other states of its fields; quick: to be drawn often, at little cost."""
        view = copy(self)
        view.fields = dict(fields)
        return view

    def drawing(self, output: str, settings: ViewSettings) -> Drawing:
        """What the browser draws of one of `outputs`."""
        raise NotImplementedError

    def player(self, field: LoadedField, heard: str, settings: ViewSettings) -> str:
        """Markdown that plays a field or what it is compared with.

        Args:
            field: one of the view's, as it is now.
            heard: one of `heard`.
            settings: what part of it is drawn.
        """
        raise NotImplementedError

    def reading(self, cursor: float) -> str:
        """Markdown that says what the values are where the cursor is."""
        raise NotImplementedError

    def place_of_cursor(self, cursor: float, settings: ViewSettings) -> float:
        """Where in the pictures that is: x in units of the scene."""
        raise NotImplementedError

    def add_overlay(self, server: viser.ViserServer) -> viser.SceneNodeHandle:
        """Draws the original into the viewer's scene, over the pictures."""
        raise NotImplementedError

    @abstractmethod
    def draws(self, view: View, settings: ViewSettings) -> Dict[str, Draw]:
        """All outputs by name; the first one is shown at first, the last one in the split screen's other half."""

    @abstractmethod
    def framing(self, settings: ViewSettings = AS_OPENED) -> Framing:
        """Where the viewer's camera shall be when a browser connects."""

    def pictures(self, view: View, settings: ViewSettings = AS_OPENED) -> Pictures:
        """The outputs of one camera's view."""
        return Pictures(self.draws(view, settings), view.height, view.width)

    def named(self, field: str, output: str) -> str:
        """The name of a field's output."""
        return f"{field}/{output}" if len(self.fields) > 1 else output

    def compared(self, settings: ViewSettings) -> Optional[Sequence[LoadedField]]:
        """The two fields whose difference is to be shown; None with a single field."""
        if len(self.fields) < 2:
            return None
        names: List[str] = list(settings.difference or self.fields)[:2]
        return [self.fields[name] for name in names]

    def with_the_last_field_last(self, draws: Dict[str, Value], output: str) -> Dict[str, Value]:
        """With several fields, puts this output of the last one to the end: the split screen's other half at first."""
        if len(self.fields) > 1:
            name = self.named(list(self.fields)[-1], output)
            draws[name] = draws.pop(name)
        return draws


def signal_view(fields: Mapping[str, LoadedField], original: Optional[Signal] = None) -> SignalView:
    """The view of fields of one kind, by name, and of what they were fitted to where it is at hand."""
    return next(iter(fields.values())).description.row.get("view")(fields, original)

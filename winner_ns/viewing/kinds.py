"""Which view belongs to which kind of signal."""

from __future__ import annotations

from typing import Dict, Mapping, Optional, Type

from winner_ns.fields.files import LoadedField
from winner_ns.viewing.audio_view import AudioView
from winner_ns.viewing.image_view import ImageView
from winner_ns.viewing.shape_view import ShapeView
from winner_ns.viewing.signal_view import Signal, SignalView

VIEWS: Dict[str, Type[SignalView]] = {
    "image": ImageView,
    "audio": AudioView,
    "shape": ShapeView,
    "volume": ImageView,
    "video": ImageView,
}


def signal_view(fields: Mapping[str, LoadedField], original: Optional[Signal] = None) -> SignalView:
    """The view of fields of one kind, by name, and of what they were fitted to where it is at hand."""
    return VIEWS[next(iter(fields.values())).kind](fields, original)

"""What each kind of signal looks like from a camera: colours, depth and coverage along rays, as plain functions."""

from winner_ns.viewing.plane import image_outputs, plane_points, slice_outputs
from winner_ns.viewing.surface import surface_outputs
from winner_ns.viewing.waveform import waveform_outputs

__all__ = ["image_outputs", "plane_points", "slice_outputs", "surface_outputs", "waveform_outputs"]

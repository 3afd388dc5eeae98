"""Each kind's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Union

from winner_ns.export.output import fitted_path
from winner_ns.fields.files import LoadedField


def export_fitted(loaded: LoadedField, folder: Union[str, Path], mesh_resolution: int = 256) -> Path:
    """Writes what a field was fitted to, named <name>-fitted: an image (PNG; floats: TIFF), a sound (WAV), a shape's
    mesh (PLY), a volume or video (.npy).

    Args:
        loaded: the field.
        folder: where to; made if it is not there.
        mesh_resolution: of shapes, grid points along each axis.

    Raises:
        SignalError: the file cannot be written, or a shape's field has no surface.
    """
    from winner_ns.export.audio import export_audio
    from winner_ns.export.image import default_image_suffix, export_image
    from winner_ns.export.mesh import export_mesh
    from winner_ns.export.volume import export_volume

    if loaded.kind == "image":
        path = fitted_path(loaded, default_image_suffix(loaded), folder)
        export_image(loaded, path)
    elif loaded.kind == "audio":
        path = fitted_path(loaded, ".wav", folder)
        export_audio(loaded, path)
    elif loaded.kind == "shape":
        path = fitted_path(loaded, ".ply", folder)
        export_mesh(loaded, path, mesh_resolution)
    else:
        path = fitted_path(loaded, ".npy", folder)
        export_volume(loaded, path)
    return path

"""One signal of each kind, and how it is fitted: in batches that two processes cannot halve."""

from __future__ import annotations

import numpy as np

SMALL = {"width": 16, "depth": 3, "steps": 20, "device": "cpu", "progress": False}


def signals() -> dict:
    """Data and arguments of `winner_ns.fit` by names."""
    import trimesh

    rows, columns = np.mgrid[0:24, 0:40] / 24
    photo = np.uint8(127 + 127 * np.sin(9 * rows * columns))
    seconds = np.arange(2000) / 8000
    sound = np.float32(0.4 * np.sin(2 * np.pi * 2500 * seconds) + 0.3 * np.sin(2 * np.pi * 3300 * seconds))
    x, y, z = np.mgrid[0:12, 0:12, 0:12] / 12
    film = np.stack([np.roll(photo[:, :20], frame, axis=1) for frame in range(6)])[..., None]
    return {
        "image": (photo, {"batch_size": 333}),
        "withheld": (photo, {"holdout": "every-second", "batch_size": 333}),
        "denoised": (photo, {"purpose": "denoise", "batch_size": 0}),
        "audio": ((sound, 8000), {"batch_size": 501}),
        "volume": (np.float32(np.sin(7 * x * y + 3 * z)), {"kind": "volume", "batch_size": 501}),
        "video": (np.repeat(film, 3, axis=-1), {"kind": "video", "batch_size": 501}),
        "shape": (trimesh.creation.torus(30.0, 12.0), {"batch_size": 501, "shape_loss": "eikonal"}),
    }

"""Sounds in the viewer's panel, for the browser to play."""

from __future__ import annotations

import base64
import io
from typing import Optional

import numpy as np
import soundfile
import torch

from winner_ns.errors import SignalError
from winner_ns.fields.files import LoadedField
from winner_ns.signals import GridSignal
from winner_ns.viewing.signal_view import ViewSettings

LONGEST = 60.0
"""Seconds that are played at most …"""
MOST_HERTZ = 655_350
"""That FLAC can hold."""
MOST_PLAYED = 2**22
"""… and samples, of what is not for ears."""


def player(field: LoadedField, original: Optional[GridSignal], heard: str, settings: ViewSettings) -> str:
    """Markdown (MDX, which viser renders) with the browser's own audio player, lossless FLAC inside.

    Args:
        field: of a sound.
        original: what it was fitted to; needed for "original" and "error".
        heard: field, original, or error (as loud as settings.error_gain makes it).
        settings: the part of the sound that they zoom in on is played, its first LONGEST seconds.

    The loudness is that of values in [-1, 1]: the loudest sample of the file is as loud as can be.

    Raises:
        SignalError: it has more samples a second than FLAC can hold.
    """
    rate, count = int(field.signal["sample_rate"]), int(field.signal["shape"][0])
    if rate > MOST_HERTZ:
        problem = f"has {rate} samples a second, which no browser plays"
        raise SignalError(field.description.name, problem, f"export it with a sample rate of up to {MOST_HERTZ}")
    half = 0.5 / max(settings.time_zoom, 1.0)
    middle = (settings.time_center + 1.0) / 2
    first = round(np.clip(middle - half, 0.0, 1.0) * (count - 1))
    last = min(round(np.clip(middle + half, 0.0, 1.0) * (count - 1)), first + min(round(LONGEST * rate), MOST_PLAYED))
    indices = torch.arange(first, max(last, first + 1) + 1).clamp(max=count - 1)
    coordinates = (indices.double() * (2.0 / max(count - 1, 1)) - 1.0).float()[:, None]
    sound = torch.zeros(len(indices), field.channels)
    if heard != "original":
        sound = sound + field.normalised(coordinates)
    if original is not None and heard != "field":
        sound = original.values(indices) if heard == "original" else (sound - original.values(indices))
    if heard == "error":
        sound = sound * settings.error_gain
    file = io.BytesIO()
    soundfile.write(file, sound[:, :8].clamp(-1.0, 1.0).numpy(), rate, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    seconds = f"{first / rate:.3f} to {last / rate:.3f} s"
    source = f"data:audio/flac;base64,{data}"
    return f'{heard}, {seconds}\n\n<audio controls autoPlay style={{{{width: "100%"}}}} src="{source}"></audio>'

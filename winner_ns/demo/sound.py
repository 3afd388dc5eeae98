"""The demo's sound: a melody of our own that a plain SIREN cannot begin to fit.

An arpeggio of high-passed pulse waves, much as game consoles of the 1980s played them. Its spectral centroid is near
half the Nyquist frequency, and hardly any of its energy lies below 600 Hz: 150 times the frequencies that a fresh SIREN
has, which therefore stays where it starts, at silence, while with noise that matches the spectrum the melody is there
within a hundred steps.

`python -m winner_ns.demo.sound OUT.wav` writes the packaged file again, bit for bit.
"""

from __future__ import annotations

import os
import sys
import wave
from pathlib import Path
from typing import List, Optional, Union

import numpy as np
from jaxtyping import Float, Int

from winner_ns.errors import SignalError
from winner_ns.writing import replacing

SAMPLE_RATE = 8000
"""Hertz."""
STEP = 800
"""Samples of a sixteenth note: 150 beats per minute."""
SCORE = "C5 E5 G5 C6 G5 C6 E5 G5 A4 C5 E5 A5 F5 A5 C6 A5 B4 D5 G5 B5 C6 C6 C6 C6"
"""One note a step; a repeated one is held."""
DUTY = 1 / 4
"""Share of its period for which the pulse is high."""
HIGH_PASS = 1500.0
"""Corner of the second-order high-pass, hertz."""
HIGHEST = 3700.0
"""Partials above are left out (hertz), so that nothing folds back at half the sample rate."""
ATTACK, DECAY, RELEASE = 0.003, 0.4, 0.010
"""Seconds of a note's linear rise, of its fall to 1/e, and of its linear end."""
PEAK = 29000
"""Largest sample, of 32767."""


def melody() -> Int[np.ndarray, " n"]:
    """The melody as 16-bit samples."""
    names = SCORE.split()
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    notes = [_note(_hertz(names[a]), (b - a) * STEP) for a, b in zip(starts, [*starts[1:], len(names)], strict=True)]
    sound = np.concatenate(notes)
    return np.round(sound * (PEAK / np.abs(sound).max())).astype(np.int16)


def _hertz(name: str) -> float:
    """Frequency of a natural note such as A4, in equal temperament."""
    return 440.0 * 2.0 ** (("C.D.EF.G.A.B".index(name[0]) - 9) / 12 + int(name[1]) - 4)


def _note(frequency: float, samples: int) -> Float[np.ndarray, " samples"]:
    time = np.arange(samples) / SAMPLE_RATE
    partial = np.arange(1, int(HIGHEST / frequency) + 1)
    # The Fourier series of a pulse wave, with the filter's gain on each partial.
    amplitude = np.sin(np.pi * DUTY * partial) / partial / (1.0 + (HIGH_PASS / (partial * frequency)) ** 2)
    pulse = amplitude @ np.sin(2.0 * np.pi * frequency * np.outer(partial, time))
    rise = np.minimum(1.0, time / ATTACK)
    end = np.minimum(1.0, (samples / SAMPLE_RATE - time) / RELEASE)
    return pulse * rise * np.exp(-time / DECAY) * end


def write_melody(path: Union[str, os.PathLike]) -> None:
    """Writes the melody as a WAV file, whole or not at all.

    Raises:
        SignalError: the file cannot be written.
    """
    with replacing(Path(path)) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(melody().astype("<i2").tobytes())


def main(arguments: Optional[List[str]] = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m winner_ns.demo.sound OUT.wav", file=sys.stderr)
        return 2
    try:
        write_melody(arguments[0])
    except SignalError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

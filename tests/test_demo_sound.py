"""The demo's packaged sound: ours to the bit, and as hard for a plain SIREN as it is meant to be."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import winner_ns
from winner_ns.demo.sound import main
from winner_ns.samples import CHIPTUNE
from winner_ns.signals import load_signal
from winner_ns.spectrum import spectral_centroid
from winner_ns.spectrum.band import SineNetwork
from winner_ns.spectrum.noise import choose_noise, grid_spectrum


@pytest.fixture(scope="module")
def signal():
    return load_signal(CHIPTUNE)


@pytest.mark.slow
def test_command_writes_the_packaged_file_again_bit_for_bit(tmp_path):
    again = tmp_path / "new folder" / "again.wav"
    root = Path(winner_ns.__file__).parents[1]
    subprocess.run([sys.executable, "-m", "winner_ns.demo.sound", str(again)], cwd=root, check=True)
    assert again.read_bytes() == CHIPTUNE.read_bytes()
    assert [f.name for f in again.parent.iterdir()] == ["again.wav"]


def test_is_a_small_mono_16_bit_file_of_a_few_seconds():
    with wave.open(str(CHIPTUNE)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert 2.0 <= file.getnframes() / file.getframerate() <= 3.0
    assert CHIPTUNE.stat().st_size < 100_000


def test_is_loud_but_not_clipped(signal):
    samples = signal.samples.astype(float)
    assert 0.5 * 2**15 < np.abs(samples).max() < 2**15 - 1
    assert samples.std() > 0.2 * np.abs(samples).max()


def test_spectrum_is_bright(signal):
    assert 0.44 < spectral_centroid(signal.samples) < 0.5
    energy = np.abs(np.fft.rfft(signal.samples[:, 0].astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(signal), 1 / signal.metadata["sample_rate"])
    assert energy[hertz < 600].sum() < 0.01 * energy.sum()


def test_plain_siren_is_expected_to_collapse_on_it(signal):
    spectrum = grid_spectrum("audio", signal.samples, signal.nyquist)
    for purpose in (None, "interpolate", "fit"):
        report = choose_noise(spectrum, SineNetwork(dimensions=1), purpose=purpose)
        assert report.bottleneck
        assert report.band > 100 * report.plain_band  # Whatever the purpose, there is noise to lift it out.


def test_melody_moves_from_note_to_note(signal):
    """Each eighth of the sound has partials of its own: no drone, no single tone."""
    pieces = signal.samples[:, 0].astype(float).reshape(8, -1)
    spectra = np.abs(np.fft.rfft(pieces * np.hanning(pieces.shape[1])))
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    assert (np.einsum("if,if->i", spectra[1:], spectra[:-1]) < 0.9).all()


def test_unwritable_place_is_one_clear_line(tmp_path, capsys):
    occupied = tmp_path / "file"
    occupied.write_text("")
    assert main([str(occupied / "out.wav")]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and str(occupied / "out.wav") in message and "cannot be written" in message


@pytest.mark.parametrize("arguments", [[], ["--help"], ["a.wav", "b.wav"]])
def test_wrong_arguments_show_the_usage(arguments, capsys):
    assert main(arguments) == 2
    assert "OUT.wav" in capsys.readouterr().err

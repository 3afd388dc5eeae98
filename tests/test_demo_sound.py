"""The demo's sound is what its script makes, and as hard as it claims to be."""

import numpy as np
import soundfile
from conftest import run_program

from winner_ns.demo.sound import CHIPTUNE, main
from winner_ns.signals import load_signal
from winner_ns.spectrum import SineNetwork
from winner_ns.spectrum.inspection import inspect_signal


def test_the_packaged_file_is_synthesised_again_bit_for_bit(tmp_path):
    assert main([str(tmp_path / "again.wav")]) == 0
    assert (tmp_path / "again.wav").read_bytes() == CHIPTUNE.read_bytes()


def test_its_energy_lies_above_a_plain_sirens_band():
    report = inspect_signal(load_signal(CHIPTUNE)).report
    assert 0.5 < report.psi < 0.65
    assert report.bottleneck
    assert report.omega > 400 * SineNetwork(1).omega_0


def test_it_is_a_small_loud_mono_sound_of_a_few_seconds():
    samples, rate = soundfile.read(CHIPTUNE)
    assert samples.ndim == 1 and 2 <= len(samples) / rate <= 5
    assert 0.8 < np.abs(samples).max() < 1
    assert CHIPTUNE.stat().st_size < 100_000


def test_it_is_inspected_from_the_command_line():
    finished = run_program("winner-ns", "inspect", CHIPTUNE)
    assert finished.status == 0 and "collapse" in finished.output

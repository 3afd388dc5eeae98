"""`winner-ns inspect` against centroids derived by hand, and how the command behaves in a shell."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import soundfile
import trimesh
from PIL import Image

from winner_ns.commands.main import main
from winner_ns.signals import load_signal
from winner_ns.spectrum import (
    LAWS,
    PURPOSES,
    SineNetwork,
    initial_band,
    kappa_of,
    spectral_centroid,
)
from winner_ns.spectrum.inspection import magnitude_spectrum
from winner_ns.spectrum.measure import target_spectrum
from winner_ns.spectrum.noise import DISTANCE_SCALE

RATE = 8000


def inspect(capsys: pytest.CaptureFixture, *arguments: Any) -> Dict[str, Any]:
    assert main(["inspect", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def error_line(capsys: pytest.CaptureFixture, *arguments: Any) -> str:
    assert main(["inspect", *map(str, arguments)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith("winner-ns: error: ")
    return printed.err


def write_tone(path: Path, periods: int = 600, samples: int = 8000) -> Path:
    """A float WAV with a whole number of periods: its transform has one line, so psi = 2 periods / samples."""
    wave = 0.5 * np.sin(2 * np.pi * periods * np.arange(samples) / samples)
    soundfile.write(path, wave.astype(np.float32), RATE, subtype="FLOAT")
    return path


def test_sound(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_tone(tmp_path / "tone.wav")
    result = inspect(capsys, path)
    assert (result["kind"], result["shape"], result["channels"]) == ("audio", [8000], 1)
    assert result["psi"] == pytest.approx(2 * 600 / 8000, rel=1e-4)
    assert result["psi"] == pytest.approx(spectral_centroid(load_signal(path).samples), rel=1e-9)
    assert result["nyquist"] == [pytest.approx(math.pi * 7999 / 2)]
    assert result["omega"] == pytest.approx(result["psi"] * result["nyquist"][0], rel=1e-3)
    # The band follows from what is printed.
    network = SineNetwork(1, 256, 4, 30.0, 30.0)
    # As many weights a sample as this field has bring the band of sounds to Nyquist.
    assert (result["law"], result["kappa"]) == ("matching", pytest.approx(result["nyquist"][0] / result["omega"]))
    assert result["band"] == pytest.approx(result["nyquist"][0], rel=1e-6)
    assert result["band"] == pytest.approx(initial_band(network, result["s0"], result["s1"]))
    assert result["plain_band"] == pytest.approx(initial_band(network))
    assert result["bottleneck"] is False and result["warnings"] == []


def test_image(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    # Along a row |Y|/n is 1/2 at f = 5/40 and 1/4 at 10/40; along a column all of it is at 0.
    angle = 2 * np.pi * 5 * np.arange(40) / 40
    row = np.cos(angle) + 0.5 * np.cos(2 * angle)
    np.save(tmp_path / "bars.npy", np.tile(row, (30, 1)).astype(np.float32))
    result = inspect(capsys, tmp_path / "bars.npy")
    assert (result["kind"], result["shape"]) == ("image", [30, 40])
    # psi looks at values in [-1, 1], whose zero is the middle of the range: that leaves something at f = 0.
    weighted, middle = 5 / 40 / 2 + 10 / 40 / 4, (row.max() + row.min()) / 2
    assert result["psi"] == pytest.approx((2 * weighted / (0.75 + middle) + 0) / 2, rel=1e-4)
    # Omega is without the mean; the longer axis spans [-1, 1] and pixels are square.
    assert result["nyquist"] == [pytest.approx(math.pi * 39 / 2)] * 2
    assert result["omega"] == pytest.approx(2 * weighted / 0.75 * math.pi * 39 / 2 / 2, rel=1e-4)


def test_shape_is_measured_at_its_training_points(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trimesh.creation.icosphere(3, 5.0).export(tmp_path / "ball.stl")
    result = inspect(capsys, tmp_path / "ball.stl")
    assert (result["kind"], result["shape"], result["channels"]) == ("shape", None, 1)
    # The same by differences of the target where training draws its points.
    shape = load_signal(tmp_path / "ball.stl")
    points = shape.sample(20_000, seed=7)[0].astype(np.float64)

    def target(at: np.ndarray) -> np.ndarray:
        return np.tanh(shape.signed_distance(at) / DISTANCE_SCALE)

    slopes = [(target(points + step) - target(points - step)) / 2e-4 for step in 1e-4 * np.eye(3)]
    omega = math.sqrt(np.square(slopes).mean() / target(points).var())
    assert result["omega"] == pytest.approx(omega, rel=0.03)
    assert result["psi"] == pytest.approx(result["omega"] / result["nyquist"][0])
    # And by the law of all kinds.
    assert result["network"]["width"] == 256 and result["kappa"] == 0.5
    assert result["band"] == pytest.approx(0.5 * result["omega"])
    assert 256 * result["s1"] ** 2 / 2 == pytest.approx(2.0)


def test_volume_and_video(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    np.save(tmp_path / "box.npy", np.random.default_rng(0).integers(0, 255, (8, 9, 10), dtype=np.uint8))
    volume = inspect(capsys, tmp_path / "box.npy")
    assert (volume["kind"], volume["shape"]) == ("volume", [8, 9, 10])
    video = inspect(capsys, tmp_path / "box.npy", "--kind", "video")
    assert video["kind"] == "video" and video["nyquist"][0] == pytest.approx(math.pi * 7 / 2)
    assert "frames per second" in video["warnings"][0]


def test_bottleneck_is_told_where_plain_siren_collapses(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_tone(tmp_path / "whistle.wav", periods=7000, samples=16000)
    result = inspect(capsys, path)
    assert result["bottleneck"] and "collapse" in result["warnings"][0]
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert "warning" in text and f"psi {result['psi']:.4f}" in text and "plain SIREN" in text
    # A plain SIREN that starts with a wide enough band has no bottleneck.
    assert not inspect(capsys, path, "--first-omega-0", 3000)["bottleneck"]


@pytest.mark.parametrize("law", sorted(LAWS))
def test_laws(tmp_path: Path, capsys: pytest.CaptureFixture, law: str) -> None:
    path = write_tone(tmp_path / "tone.wav")
    scales = ["--s0", 7, "--s1", 0.25] if law == "explicit" else []
    if law == "fresh":
        scales = ["--width", 8]
        path = tmp_path / "picture.npy"
        np.save(path, np.random.default_rng(0).normal(size=(12, 12)).astype(np.float32))
    result = inspect(capsys, path, "--law", law, *scales)
    psi = 2 * 600 / 8000
    expected = {
        "explicit": (7, 0.25),
        "paper": (3500 * (1 - math.exp(-5 * psi)), 3 * psi),
        "reference-code": (3500 * (1 - math.exp(-7 * psi)), 3 * psi),
    }
    assert result["law"] == law
    if law in expected:
        assert (result["s0"], result["s1"]) == pytest.approx(expected[law], rel=1e-3) and result["kappa"] is None
    with pytest.raises(SystemExit):
        main(["inspect", "--help"])
    assert law in capsys.readouterr().out


def test_noise_scales_alone_mean_the_law_explicit(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    result = inspect(capsys, write_tone(tmp_path / "tone.wav"), "--s0", 3)
    assert (result["law"], result["s0"], result["s1"]) == ("explicit", 3.0, 0.0)


@pytest.mark.parametrize("purpose", [*PURPOSES, "0.75"])
def test_purposes(tmp_path: Path, capsys: pytest.CaptureFixture, purpose: str) -> None:
    tone = write_tone(tmp_path / "tone.wav")
    result = inspect(capsys, tone, "--purpose", purpose)
    kappa = kappa_of(purpose, target_spectrum(load_signal(tone)), SineNetwork(1).weights(1))
    assert result["kappa"] == kappa and result["band"] == pytest.approx(kappa * result["omega"], rel=1e-6)


def test_the_noise_in_a_signal_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 8000)
    soundfile.write(tmp_path / "noisy.wav", 0.5 * np.sin(np.arange(8000) / 40) + noise, RATE, subtype="FLOAT")
    found = inspect(capsys, tmp_path / "noisy.wav")["noise_deviation"]
    assert found * load_signal(tmp_path / "noisy.wav").value_scale == pytest.approx(0.05, rel=0.1)
    assert main(["inspect", str(tmp_path / "noisy.wav")]) == 0
    told = capsys.readouterr().out
    assert f"noise     at most {found:.2g} of values in [-1, 1], a PSNR of " in told
    # The tone is at 200 Hz; nearly all of the noise is above.
    result = inspect(capsys, tmp_path / "noisy.wav", "--purpose", "denoise")
    assert f"denoise   Omega {result['denoise']['omega'] * RATE * 2 / 7999 / (2 * np.pi):.4g} Hz without noise" in told
    assert result["denoise"]["omega"] < 0.3 * result["omega"]
    assert (result["denoise"]["band"], result["denoise"]["s0"]) == (result["band"], result["s0"])
    soundfile.write(tmp_path / "constant.wav", np.linspace(0, 0.5, 8000), RATE, subtype="FLOAT")
    assert inspect(capsys, tmp_path / "constant.wav")["denoise"] is None


def test_network_flags_change_the_band(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flags = ["--width", 64, "--depth", 3, "--omega-0", 20, "--first-omega-0", 50]
    result = inspect(capsys, write_tone(tmp_path / "tone.wav"), *flags)
    assert result["network"] == {"width": 64, "depth": 3, "omega_0": 20.0, "first_omega_0": 50.0}
    assert result["plain_band"] == pytest.approx(initial_band(SineNetwork(1, 64, 3, 20.0, 50.0)))


def test_part_of_a_sound(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    low, high = (0.5 * np.sin(2 * np.pi * f * np.arange(8000) / RATE) for f in (200, 2000))
    stereo = np.concatenate([low, high])[:, None] * [1.0, 0.5]
    soundfile.write(tmp_path / "two.wav", stereo, RATE, subtype="FLOAT")
    second = inspect(capsys, tmp_path / "two.wav", "--start", 1, "--mono")
    assert (second["shape"], second["channels"]) == ([8000], 1)
    assert second["psi"] == pytest.approx(2 * 2000 / RATE, rel=1e-3)
    first = inspect(capsys, tmp_path / "two.wav", "--duration", 0.5)
    assert (first["shape"], first["channels"]) == ([4000], 2)
    assert first["psi"] == pytest.approx(2 * 200 / RATE, rel=1e-3)
    assert inspect(capsys, tmp_path / "two.wav", "--duration-samples", 1000)["shape"] == [1000]
    assert inspect(capsys, tmp_path / "two.wav", "--sample-rate", 4000)["shape"] == [8000]


def test_spectrum_that_is_drawn_peaks_at_the_tone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_tone(tmp_path / "tone.wav")
    frequency, magnitude = magnitude_spectrum(load_signal(path))
    peak = frequency[magnitude.argmax()]
    assert peak == pytest.approx(2 * 600 / 8000 * math.pi * 7999 / 2, rel=0.05)
    assert frequency[-1] <= math.pi * 7999 / 2 * 1.001 and frequency[0] == pytest.approx(math.pi, rel=0.01)
    result = inspect(capsys, path, "--plot", tmp_path / "new" / "plot.png")
    assert result["plot"] == str(tmp_path / "new" / "plot.png")
    assert Image.open(tmp_path / "new" / "plot.png").width > 500
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["plot.png"]


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tone = write_tone(tmp_path / "tone.wav")
    np.save(tmp_path / "flat.npy", np.zeros((8, 8), np.uint8))
    np.save(tmp_path / "grid.npy", np.arange(64, dtype=np.uint8).reshape(8, 8))
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.docx").write_text("hello")
    bad = [
        ([tmp_path / "none.png"], "does not exist"),
        ([tmp_path], "folder"),
        ([tmp_path / "empty.png"], "empty"),
        ([tmp_path / "notes.docx"], "known format"),
        ([tmp_path / "flat.npy"], "nothing to fit"),
        ([tone, "--kind", "smell"], "smell"),
        ([tone, "--kind", "image"], "tone.wav"),
        ([tone, "--law", "murphy"], "matching, paper, reference-code, explicit"),
        ([tone, "--purpose", "fun"], "interpolate, fit"),
        ([tone, "--law", "paper", "--purpose", "fit"], "takes no purpose; matching or vi3nr or weight-scaling does"),
        ([tone, "--law", "matching", "--s0", 3], "takes no s0; explicit does"),
        ([tone, "--law", "explicit", "--s0", -1], "from 0 to"),
        ([tone, "--law", "explicit", "--s0", 1e60], "from 0 to"),
        ([tone, "--purpose", 1e300], "from 0 to"),
        ([tone, "--start", 99], "start earlier"),
        ([tone, "--duration", 1, "--duration-samples", 9], "one of them"),
        ([tmp_path / "grid.npy", "--start", 1], "--start: is for sounds"),
        ([tmp_path / "grid.npy", "--mono"], "--mono: is for sounds"),
        ([tone, "--plot", tmp_path / "plot.xyz"], ".png"),
        ([tone, "--plot", tone / "plot.png"], "cannot be written"),
    ]
    for arguments, words in bad:
        line = error_line(capsys, *arguments)
        assert words in line, line


@pytest.mark.parametrize("flags", [["--width", "0"], ["--depth", "x"], ["--omega-0", "-3"], ["--omega-0", "inf"], []])
def test_bad_flags_are_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture, flags: list) -> None:
    files = [str(write_tone(tmp_path / "tone.wav"))] if flags else []
    with pytest.raises(SystemExit) as caught:
        main(["inspect", *files, *flags])
    assert caught.value.code == 2 and "usage: winner-ns inspect" in capsys.readouterr().err


def shell(*arguments: Any, **options: Any) -> subprocess.CompletedProcess:
    root = str(Path(__file__).resolve().parent.parent)
    command = [sys.executable, "-m", "winner_ns.commands.main", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def test_version() -> None:
    assert shell("--version").stdout == "winner-ns 0.2.0\n"


@pytest.mark.slow
def test_shell_gets_status_1_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = shell("inspect", "none.png", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "winner-ns: error: none.png: does not exist; check the path\n"


@pytest.mark.slow
def test_inspect_works_without_nerfstudio_and_when_the_reader_stops(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.wav")
    code = (
        "import sys; from winner_ns.commands.main import main\n"
        "assert main(['inspect', sys.argv[1], '--json']) == 0; assert 'nerfstudio' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["kind"] == "audio"
    reader, writer = os.pipe()
    os.close(reader)
    root = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-m", "winner_ns.commands.main", "inspect", str(path)],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    os.close(writer)
    assert done.stderr == b""

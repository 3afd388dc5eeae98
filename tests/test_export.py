"""Exports of fields whose values are known in closed form: plane waves and a sphere."""

from __future__ import annotations

import base64
import copy
import html.parser
import io
import json
import math
import pickle
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
import soundfile
import tifffile
import torch
import trimesh
from PIL import Image

from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.export.audio import export_audio
from winner_ns.export.comparison import write_comparison
from winner_ns.export.fields_comparison import write_fields_comparison
from winner_ns.export.image import export_image
from winner_ns.export.mesh import extract_mesh
from winner_ns.export.results import write_results
from winner_ns.export.surface_rendering import render_surface, sample_mesh, three_quarter_view
from winner_ns.export.volume import export_volume
from winner_ns.fields import Siren
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField, load_field, save_field
from winner_ns.fitting.run import load_run
from winner_ns.kinds import KINDS, Kind
from winner_ns.meshing import fitted_surface
from winner_ns.meshing.fitted_surface import extract_unit_mesh
from winner_ns.signals import GridSignal, load_signal
from winner_ns.signals.grid import square_half_extent


def plane_waves(frequencies: np.ndarray, phases: np.ndarray, amplitudes: np.ndarray) -> Siren:
    """A network that is sum over k of amplitudes[c, k] sin(frequencies[k] . x + phases[k])."""
    count, dimensions = frequencies.shape
    network = Siren(dimensions, len(amplitudes), width=count, depth=1, omega_0=1.0)
    with torch.no_grad():
        network.layers[0].weight.copy_(torch.from_numpy(frequencies))
        network.layers[0].bias.copy_(torch.from_numpy(phases))
        network.output.weight.copy_(torch.from_numpy(amplitudes))
        network.output.bias.zero_()
    return network


def write_run(folder: Path, signal: Any, network: Siren, target: Dict[str, Any], prefix: str = "_model.") -> Path:
    """A run's folder as nerfstudio leaves it."""
    made_of = NetworkDescription.of(network, "siren")
    described = Description(
        signal.kind, signal.path.name, str(signal.path.resolve()), made_of, target, signal.describe()
    )
    description = described.as_dict()
    state: Dict[str, Any] = {f"{prefix}field.{name}": value for name, value in network.state_dict().items()}
    state[f"{prefix}_extra_state"] = {"description": json.dumps(description)}
    state["datamanager.something"] = torch.zeros(1)
    write_checkpoint(folder, {"step": 1999, "pipeline": state, "optimizers": {}, "schedulers": {}, "scalers": {}})
    return folder


def write_checkpoint(folder: Path, content: Any, step: int = 1999) -> Path:
    path = folder / "nerfstudio_models" / f"step-{step:09d}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / "config.yml").write_text("!!python/object:anything {}\n")
    torch.save(content, path)
    return path


WAVES = np.array([[9.0, 2.0], [-5.0, 14.0], [21.0, 17.0]])
PHASES = np.array([0.3, 1.1, -0.7])
AMPLITUDES = np.array([[0.3, 0.2, 0.1], [0.1, -0.4, 0.2], [0.25, 0.1, -0.3], [0.5, 0.1, 0.1]])
GAIN, OFFSET = 4.0, 0.1


def picture(rows: np.ndarray, columns: np.ndarray, shape: tuple, channels: int) -> np.ndarray:
    """The closed form of `image_run`, in [0, 1], at these (fractional) pixel positions."""
    longest = max(shape) - 1
    y = (2 * rows - (shape[0] - 1)) / longest
    x = (2 * columns - (shape[1] - 1)) / longest
    grid = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)
    return (np.sin(grid @ WAVES.T + PHASES) @ AMPLITUDES[:channels].T + OFFSET + 1) / 2


def image_run(folder: Path, shape: tuple = (20, 33), channels: int = 1, dtype: str = "uint8") -> Path:
    """A run whose original is a .npy and whose field is `picture`."""
    samples = np.random.default_rng(0).random((*shape, channels))
    samples = samples.astype(dtype) if dtype.startswith("f") else (samples * np.iinfo(dtype).max).astype(dtype)
    if dtype.startswith("f"):
        samples.flat[:2] = 0.0, 1.0  # So that the range is [0, 1].
    np.save(folder / "wave.npy", samples[..., 0] if channels == 1 else samples)
    signal = load_signal(folder / "wave.npy", "image")
    network = plane_waves(WAVES, PHASES, GAIN * AMPLITUDES[:channels])
    return write_run(folder / "run", signal, network, {"gain": GAIN, "offset": [OFFSET] * channels})


RATE, TONE = 44100, 440.0


def audio_run(folder: Path, tone: float = TONE, subtype: str = "PCM_16", seconds: float = 0.5) -> Path:
    """A run of a sound whose field is a tone of amplitude 0.25 of full scale."""
    count = round(seconds * RATE)
    wave = 0.25 * np.sin(2 * np.pi * tone * np.arange(count) / RATE)
    soundfile.write(folder / "tone.wav", wave, RATE, subtype=subtype)
    signal = load_signal(folder / "tone.wav")
    # Coordinate -1 is the first sample, 1 the last; the target's 1 is the file's peak, 0.25 of full scale.
    angular = np.pi * tone * (count - 1) / RATE
    network = plane_waves(np.array([[angular]]), np.array([angular % (2 * np.pi)]), np.array([[2.0]]))
    return write_run(folder / "run", signal, network, {"gain": 2.0, "offset": [0.0]})


RADIUS = 0.5


def sphere_run(
    folder: Path, center: tuple = (0.0, 0.0, 0.0), radius: float = 1.0, sign: float = 1.0, everywhere: float = 1.0
) -> Path:
    """A run of an icosphere with a field whose level set is a sphere (`ball_run`).

    sign 0 is the value `everywhere`, -1 is inside out.
    """
    original = trimesh.creation.icosphere(3, radius)
    original.apply_translation(center)
    original.export(folder / "ball.obj", digits=9)
    return ball_run(folder / "run", folder / "ball.obj", sign, everywhere)


def ball_run(folder: Path, original: Path, sign: float = 1.0, everywhere: float = 1.0) -> Path:
    """A run of any shape with a field whose level set is a sphere of RADIUS in the unit cube, within 0.1 %.

    d = a (cos(w R) + 2 - cos(w x) - cos(w y) - cos(w z)), which is (r² - R²) a w²/2 for small w.
    sign 0 is the value `everywhere`, -1 is inside out.
    """
    signal = load_signal(original)
    w, scale = 0.3, 0.5
    a = 1.0 / (scale * w * w * RADIUS)
    network = plane_waves(w * np.eye(3), np.full(3, np.pi / 2), np.full((1, 3), -sign * a))
    with torch.no_grad():
        network.output.bias.fill_(sign * a * (math.cos(w * RADIUS) + 2) if sign else everywhere)
    return write_run(folder, signal, network, {"distance_scale": scale})


def run_json(capsys: pytest.CaptureFixture, *arguments: Any) -> Dict[str, Any]:
    """What the command prints; it must be nothing but JSON."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def error_line(capsys: pytest.CaptureFixture, *arguments: Any) -> str:
    """The one line that a failing command prints."""
    assert main([*map(str, arguments)]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert printed.err.startswith("winner-ns: error: ")
    return printed.err


# Images ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_at_scale_1_is_the_rounded_field(tmp_path: Path, capsys: pytest.CaptureFixture, channels: int) -> None:
    run = image_run(tmp_path, channels=channels)
    result = run_json(capsys, "export", "image", run, "-o", tmp_path / "out.png")
    pixels = np.asarray(Image.open(tmp_path / "out.png")).reshape(20, 33, channels)
    expected = 255 * picture(np.arange(20), np.arange(33), (20, 33), channels)
    assert pixels.dtype == np.uint8
    # Halves may go either way in single precision.
    assert np.abs(pixels - expected).max() <= 0.5 + 1e-3
    assert (pixels == load_field_values(run)).all()
    assert (result["height"], result["width"], result["bit_depth"]) == (20, 33, 8)


def load_field_values(run: Path) -> np.ndarray:
    loaded = load_run(run)
    return np.clip(np.rint(loaded.grid(loaded.signal["shape"])), 0, 255).astype(np.uint8)


def test_enlarged_image_shows_the_same_area_in_smaller_pixels(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = image_run(tmp_path)
    result = run_json(capsys, "export", "image", run, "-o", tmp_path / "out.npy", "--scale", 2, "--bit-depth", 32)
    pixels = np.load(tmp_path / "out.npy")
    assert (result["height"], result["width"]) == pixels.shape == (40, 66)
    # Pixel j covers [j/2, j/2 + 1/2] of the original's pixels, whose centers are at k + 1/2.
    expected = picture((np.arange(40) + 0.5) / 2 - 0.5, (np.arange(66) + 0.5) / 2 - 0.5, (20, 33), 1)[..., 0]
    np.testing.assert_allclose(pixels, expected, atol=1e-5)


def test_odd_scales_round_the_size(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = image_run(tmp_path)
    result = run_json(capsys, "export", "image", run, "-o", tmp_path / "out.png", "--scale", 1.37)
    assert (result["height"], result["width"]) == (round(20 * 1.37), round(33 * 1.37))


def test_reduced_image_averages_instead_of_aliasing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = image_run(tmp_path, shape=(32, 48))
    run_json(capsys, "export", "image", run, "-o", tmp_path / "out.npy", "--scale", 0.25, "--bit-depth", 32)
    full = picture(np.arange(32), np.arange(48), (32, 48), 1)[..., 0]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), full.reshape(8, 4, 12, 4).mean(axis=(1, 3)), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix, depth", [(".png", 16), (".tiff", 8), (".tiff", 16), (".tiff", 32), (".npy", 16)])
def test_deep_formats_keep_all_bits_and_channels(
    tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str, depth: int, channels: int
) -> None:
    run = image_run(tmp_path, channels=channels)
    output = tmp_path / f"out{suffix}"
    run_json(capsys, "export", "image", run, "-o", output, "--bit-depth", depth)
    again = load_signal(output, "image")
    expected = picture(np.arange(20), np.arange(33), (20, 33), channels)
    largest = 1.0 if depth == 32 else 2.0**depth - 1
    assert again.samples.dtype == {8: np.uint8, 16: np.uint16, 32: np.float32}[depth]
    assert again.samples.shape == (20, 33, channels)
    assert np.abs(again.samples - largest * expected).max() <= (1e-5 if depth == 32 else 0.5 + largest * 1e-6)


@pytest.mark.parametrize("suffix, tolerance", [(".webp", 0), (".bmp", 0), (".jpg", 12), (".exr", 0.5)])
def test_other_formats_hold_the_same_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str, tolerance: float
) -> None:
    run = image_run(tmp_path, channels=3)
    run_json(capsys, "export", "image", run, "-o", tmp_path / f"out{suffix}")
    again = load_signal(tmp_path / f"out{suffix}").samples
    scale = 255 if suffix == ".exr" else 1
    assert np.abs(again * float(scale) - load_field_values(run)).max() <= tolerance


def test_float_image_keeps_its_values_and_is_no_png_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = image_run(tmp_path, dtype="float32")
    monkeypatch.chdir(tmp_path)
    result = run_json(capsys, "export", "image", run)
    assert result["path"] == "wave-fitted.tiff"
    expected = picture(np.arange(20), np.arange(33), (20, 33), 1)
    np.testing.assert_allclose(load_signal("wave-fitted.tiff").samples, expected, atol=1e-5)
    run_json(capsys, "export", "image", run, "-o", "eight.png", "--bit-depth", 8)
    assert np.abs(np.asarray(Image.open("eight.png")) - 255 * expected[..., 0]).max() <= 0.51


def test_values_beyond_the_range_are_clipped(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    np.save(tmp_path / "wave.npy", np.arange(64, dtype=np.uint8).reshape(8, 8))
    signal = load_signal(tmp_path / "wave.npy")
    network = plane_waves(np.array([[3.0, 0.0]]), np.zeros(1), np.array([[5.0]]))
    run = write_run(tmp_path / "run", signal, network, {"gain": 1.0, "offset": [0.0]})
    run_json(capsys, "export", "image", run, "-o", tmp_path / "out.png")
    pixels = np.asarray(Image.open(tmp_path / "out.png"))
    expected = np.clip(127.5 * (1 + 5 * np.sin(np.linspace(-3, 3, 8))), 0, 255)
    assert {0, 255} <= set(pixels.ravel()) and np.abs(pixels - expected[:, None]).max() <= 0.5 + 1e-3


def test_formats_say_what_they_cannot_hold(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = image_run(tmp_path, channels=4)
    export = ("export", "image", run, "-o")
    assert "transparency" in error_line(capsys, *export, tmp_path / "a.jpg")
    assert ".tiff" in error_line(capsys, *export, tmp_path / "a.png", "--bit-depth", 32)
    assert ".png" in error_line(capsys, *export, tmp_path / "a.gif")
    assert ".png" in error_line(capsys, *export, tmp_path / "without")
    assert "--scale" in error_line(capsys, *export, tmp_path / "a.png", "--scale", 0)
    assert "--scale" in error_line(capsys, *export, tmp_path / "a.png", "--scale", "nan")
    assert "no sample" in error_line(capsys, *export, tmp_path / "a.png", "--scale", 0.001)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in error_line(capsys, *export, tmp_path / "file" / "a.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "run", "wave.npy"]


# Sounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_sound_keeps_its_length_pitch_and_loudness_at_any_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture, rate: int
) -> None:
    run = audio_run(tmp_path)
    result = run_json(capsys, "export", "audio", run, "-o", tmp_path / "out.wav", "--sample-rate", rate)
    wave, written_rate = soundfile.read(tmp_path / "out.wav")
    assert written_rate == rate and len(wave) == result["samples"] == round(0.5 * rate)
    peak = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * rate / len(wave)
    assert abs(peak - TONE) <= rate / len(wave)
    inner = wave[rate // 50 : -rate // 50]
    expected = 0.25 * np.sin(2 * np.pi * TONE * np.arange(len(wave)) / rate)[rate // 50 : -rate // 50]
    assert np.abs(inner - expected).max() < 2e-3


def test_lower_rate_does_not_alias(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = audio_run(tmp_path, tone=10_000.0)
    run_json(capsys, "export", "audio", run, "-o", tmp_path / "out.wav", "--sample-rate", 8000)
    wave, _ = soundfile.read(tmp_path / "out.wav")
    assert np.abs(wave[200:-200]).max() < 1e-3  # Above the new Nyquist; sampled at once it would be a tone of 2 kHz.


@pytest.mark.parametrize("subtype, step", [("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("FLOAT", 1e-7)])
def test_sound_has_the_originals_subtype_and_is_rounded(
    tmp_path: Path, capsys: pytest.CaptureFixture, subtype: str, step: float
) -> None:
    run = audio_run(tmp_path, subtype=subtype)
    assert run_json(capsys, "export", "audio", run, "-o", tmp_path / "out.wav")["subtype"] == subtype
    assert soundfile.info(tmp_path / "out.wav").subtype == subtype
    wave, _ = soundfile.read(tmp_path / "out.wav")
    loaded = load_run(run)
    field = loaded.grid(loaded.signal["shape"])[:, 0].astype(np.float64) / loaded.signal["full_scale"]
    assert np.abs(wave - field).max() <= 0.5 * step * 1.01


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".aiff", ".npy"])
def test_sound_formats(tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str) -> None:
    run = audio_run(tmp_path)
    run_json(capsys, "export", "audio", run, "-o", tmp_path / f"out{suffix}")
    again = load_signal(tmp_path / f"out{suffix}", "audio")
    wave = again.samples[:, 0] / again.metadata["full_scale"] if suffix != ".npy" else again.samples[:, 0]
    level = np.sqrt(np.mean(wave[4000:18000].astype(np.float64) ** 2))
    assert level == pytest.approx(0.25 / math.sqrt(2), rel=0.02)


def test_sound_errors(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = audio_run(tmp_path)
    assert "PCM_16" in error_line(capsys, "export", "audio", run, "-o", tmp_path / "a.wav", "--subtype", "PCM_17")
    assert "12345" in error_line(capsys, "export", "audio", run, "-o", tmp_path / "a.mp3", "--sample-rate", 12345)
    assert "rate" in error_line(capsys, "export", "audio", run, "-o", tmp_path / "a.wav", "--sample-rate", -1)
    assert ".flac" in error_line(capsys, "export", "audio", run, "-o", tmp_path / "a.wma")
    assert "is the original" in error_line(capsys, "export", "audio", run, "-o", tmp_path / "tone.wav")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "tone.wav"]


# Shapes ------------------------------------------------------------------------------------------------------------


def check_ball(mesh: trimesh.Trimesh, center: tuple, radius: float, resolution: int) -> None:
    # Linear interpolation along an edge of length h misses a sphere by h²/(8 R); the level set itself by 0.1 %.
    tolerance = (2 / (resolution - 1)) ** 2 / (8 * RADIUS**2) + 1e-3
    distances = np.linalg.norm(mesh.vertices - np.array(center), axis=1)
    assert np.abs(distances / radius - 1).max() < tolerance
    assert mesh.is_watertight and mesh.is_winding_consistent
    # Faces lie below the sphere between their vertices, by as much again.
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=3 * 2 * tolerance)
    np.testing.assert_allclose(mesh.center_mass, center, atol=tolerance * radius)


def test_mesh_is_the_level_set_turned_outward(tmp_path: Path) -> None:
    loaded = load_run(sphere_run(tmp_path))
    vertices, faces = extract_unit_mesh(loaded, 48)
    check_ball(trimesh.Trimesh(vertices, faces, process=False), (0, 0, 0), RADIUS, 48)


FRAMES = [((0.0, 0.0, 0.0), 1.0), ((1e6, -2e6, 5e5), 3.0), ((0.0, 0.0, 0.2), 0.001), ((1200.0, 40.0, 7.0), 250.0)]


@pytest.mark.slow
@pytest.mark.parametrize("center, radius", FRAMES)
@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".glb", ".off"])
def test_mesh_files_are_in_the_originals_frame_and_units(
    tmp_path: Path, capsys: pytest.CaptureFixture, suffix: str, center: tuple, radius: float
) -> None:
    run, output = sphere_run(tmp_path, center, radius), tmp_path / f"out{suffix}"
    result = run_json(capsys, "export", "mesh", run, "-o", output, "--resolution", 32)
    far = np.abs(center).max() > 1e5 * radius
    if suffix == ".stl" and far:
        assert "single precision" in result["warnings"][0]
        return
    assert result["watertight"] and result["warnings"] == []
    mesh = trimesh.load_scene(output).to_mesh()
    if suffix == ".stl":  # Repeats each vertex in every face.
        mesh.merge_vertices(digits_vertex=9)
    assert len(mesh.faces) == result["faces"] and len(mesh.vertices) == result["vertices"]
    # The surface spans 0.9 of the unit cube, the field's sphere RADIUS of it.
    check_ball(mesh, center, radius * RADIUS / 0.9, 32)


@pytest.mark.parametrize("everywhere", [1.0, -1.0])
def test_mesh_without_a_surface_is_one_line_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture, everywhere: float
) -> None:
    run = sphere_run(tmp_path, sign=0.0, everywhere=everywhere)
    line = error_line(capsys, "export", "mesh", run, "-o", tmp_path / "out.ply", "--resolution", 16)
    assert "no surface" in line
    assert not list(tmp_path.glob("*out*"))
    with pytest.raises(SignalError, match="no surface"):
        extract_mesh(load_run(run), 16)


def test_mesh_is_closed_where_the_inside_reaches_the_cube(tmp_path: Path) -> None:
    mesh, _ = extract_mesh(load_run(sphere_run(tmp_path, sign=-1.0)), 32)
    assert mesh.is_watertight
    # Everything but the ball; the outermost cells are cut at an unknown part of their width.
    radius = RADIUS / 0.9
    assert (1.8 / 0.9) ** 3 < mesh.volume + 4 / 3 * np.pi * radius**3 < (2 / 0.9) ** 3


def test_mesh_errors(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = sphere_run(tmp_path)
    assert ".glb" in error_line(capsys, "export", "mesh", run, "-o", tmp_path / "a.3ds")
    assert "--resolution" in error_line(capsys, "export", "mesh", run, "-o", tmp_path / "a.ply", "--resolution", 1)
    assert "is the original" in error_line(
        capsys, "export", "mesh", run, "-o", tmp_path / "ball.obj", "--resolution", 8
    )


def test_a_mesh_is_extracted_once_as_long_as_the_weights_stay(tmp_path: Path) -> None:
    loaded = load_run(sphere_run(tmp_path))
    loaded.network.requires_grad_(True)
    vertices, faces = extract_unit_mesh(loaded, 24)
    # Whoever wraps the network, and also by an export.
    again = extract_unit_mesh(LoadedField(loaded.network, loaded.description), 24)
    assert again[0] is vertices and again[1] is faces
    mesh, _ = extract_mesh(loaded, 24)
    np.testing.assert_array_equal(mesh.faces, faces)
    np.testing.assert_allclose(mesh.vertices, vertices / 0.9, atol=1e-6)
    # Which leaves it as it was.
    assert extract_unit_mesh(loaded, 24)[0] is vertices and not vertices.flags.writeable
    check_ball(trimesh.Trimesh(vertices, faces, process=False), (0, 0, 0), RADIUS, 24)
    assert len(extract_unit_mesh(loaded, 32)[0]) > len(vertices)

    vertices, _ = extract_unit_mesh(loaded, 24)
    optimizer = torch.optim.SGD(loaded.network.parameters(), lr=1e-3)
    loaded.network(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    stepped, _ = extract_unit_mesh(loaded, 24)
    assert stepped.shape != vertices.shape or np.abs(stepped - vertices).max() > 1e-4
    loaded.network.output.bias.data -= 1e-3  # Which torch's own counter of changes does not see.
    moved, _ = extract_unit_mesh(loaded, 24)
    assert moved.shape != stepped.shape or np.abs(moved - stepped).max() > 1e-5
    # Another network is another one, also with the same weights, or none.
    other = LoadedField(copy.deepcopy(loaded.network), loaded.description)
    assert extract_unit_mesh(other, 24)[0] is not moved


# Volumes and videos ------------------------------------------------------------------------------------------------


def box_run(folder: Path, kind: str, channels: int) -> Path:
    samples = np.random.default_rng(1).integers(0, 255, (6, 8, 10, channels), dtype=np.uint8)
    np.save(folder / "box.npy", samples)
    signal = load_signal(folder / "box.npy", kind)
    network = plane_waves(np.array([[2.0, 3.0, 4.0]]), np.zeros(1), np.full((channels, 1), 0.5))
    return write_run(folder / "run", signal, network, {"gain": 1.0, "offset": [0.0] * channels})


def test_volume_has_the_originals_type_and_any_size(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = box_run(tmp_path, "volume", 1)
    run_json(capsys, "export", "volume", run, "-o", tmp_path / "out.npy")
    volume = np.load(tmp_path / "out.npy")
    assert volume.shape == (6, 8, 10) and volume.dtype == np.uint8
    lines = [np.linspace(-(n - 1) / 9, (n - 1) / 9, n) for n in volume.shape]
    z, y, x = np.meshgrid(*lines, indexing="ij")
    assert np.abs(volume - 127.5 * (1 + 0.5 * np.sin(2 * z + 3 * y + 4 * x))).max() <= 0.5 + 1e-3
    result = run_json(capsys, "export", "volume", run, "-o", tmp_path / "large.npy", "--scale", 2, "--bit-depth", 32)
    assert np.load(tmp_path / "large.npy").shape == (12, 16, 20) == tuple(result["shape"])
    assert "no known" not in error_line(capsys, "export", "volume", run, "-o", tmp_path / "out.mp4")


def test_video_is_written_as_mp4(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = box_run(tmp_path, "video", 3)
    run_json(capsys, "export", "volume", run, "-o", tmp_path / "out.mp4", "--scale", 4)
    again = load_signal(tmp_path / "out.mp4")
    assert again.samples.shape == (6, 32, 40, 3) and again.metadata["frame_rate"] == 24.0
    run_json(capsys, "export", "volume", run, "-o", tmp_path / "out.npy", "--scale", 4)
    assert np.abs(again.samples - np.load(tmp_path / "out.npy").astype(float)).mean() < 4


# Runs and field files ----------------------------------------------------------------------------------------------


def test_run_is_found_by_all_its_names(tmp_path: Path) -> None:
    run = image_run(tmp_path)
    latest = torch.load(run / "nerfstudio_models" / "step-000001999.ckpt", weights_only=True)
    write_checkpoint(run, {**latest, "step": 500}, step=500)
    for path in (run, run / "config.yml", run / "nerfstudio_models", str(run)):
        loaded = load_run(path)
        assert (loaded.step, loaded.folder, loaded.kind) == (1999, run, "image")
    assert load_run(run / "nerfstudio_models" / "step-000000500.ckpt").step == 500


def test_checkpoint_of_distributed_training(tmp_path: Path) -> None:
    image_run(tmp_path)
    signal = load_signal(tmp_path / "wave.npy")
    network = plane_waves(WAVES, PHASES, GAIN * AMPLITUDES[:1])
    run = write_run(tmp_path / "ddp", signal, network, {"gain": GAIN, "offset": [OFFSET]}, prefix="_model.module.")
    np.testing.assert_array_equal(load_run(run).grid((5, 5)), load_run(tmp_path / "run").grid((5, 5)))


@pytest.mark.slow
def test_field_file_gives_the_same_values_without_nerfstudio(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, output = sphere_run(tmp_path, (10.0, 20.0, 30.0), 2.0), tmp_path / "ball.safetensors"
    run_json(capsys, "export", "field", run, "-o", output)
    code = (
        "import sys, numpy as np, winner_ns; field = winner_ns.load_field(sys.argv[1]);"
        "print(field(np.array([[10.0, 20.0, 30.0], [10.0, 20.0, 32.0]]))[:, 0].tolist());"
        "assert not {'nerfstudio', 'winner_ns.fitting', 'winner_ns.signals'} & set(sys.modules)"
    )
    (tmp_path / "run").rename(tmp_path / "gone")  # The run is not needed.
    done = subprocess.run([sys.executable, "-c", code, str(output)], capture_output=True, text=True, check=True)
    inside, outside = json.loads(done.stdout)
    assert inside < 0 < outside
    assert load_field(output)(np.array([[10.0, 20.0, 32.0]]))[0, 0] == pytest.approx(outside)
    # And it can be exported from like a run.
    result = run_json(capsys, "export", "mesh", output, "-o", tmp_path / "a.ply", "--resolution", 24)
    assert result["watertight"] and load_run(output).step is None


class Bomb:
    """Creates a file when it is unpickled by a careless loader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    trace = tmp_path / "executed"
    run = image_run(tmp_path)
    checkpoint = torch.load(run / "nerfstudio_models" / "step-000001999.ckpt", weights_only=True)
    write_checkpoint(run, {**checkpoint, "scalers": Bomb(trace)})
    error_line(capsys, "export", "image", run, "-o", tmp_path / "a.png")
    assert not trace.exists() and not (tmp_path / "a.png").exists()
    pickle.loads(pickle.dumps(Bomb(trace)))
    assert trace.exists()  # The bomb is real.


def test_code_in_an_old_style_checkpoint_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    folder = tmp_path / "run" / "nerfstudio_models"
    folder.mkdir(parents=True)
    (folder / "step-000000001.ckpt").write_bytes(pickle.dumps({"pipeline": Bomb(trace)}))
    with pytest.raises(SignalError):
        load_run(tmp_path / "run")
    assert not trace.exists()


def set_in(description: Dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        description = description[parent]
    if value is None:
        del description[last]
    else:
        description[last] = value


TAMPERED = [
    ("kind", "spell"),
    ("kind", "shape"),
    ("kind", None),
    ("name", 3),
    ("network", []),
    ("network.family", "os.system"),
    ("network.family", "wire"),
    ("network.in_dim", 3),
    ("network.settings.width", 10**12),
    ("network.settings.depth", 10**9),
    ("network.settings.width", 4),
    ("network.settings.omega_0", "30"),
    ("network.settings.shell", "true"),
    ("signal.shape", [10, -3]),
    ("signal.shape", "ab"),
    ("signal.value_scale", 0),
    ("signal.half_extent", [1.0]),
    ("signal.dtype", "object"),
    ("signal.dtype", "spell"),
    ("target.gain", float("nan")),
    ("target.offset", [[0.0]]),
    ("target", None),
]


@pytest.mark.parametrize("path, value", TAMPERED)
def test_tampered_description_is_one_line(tmp_path: Path, path: str, value: Any) -> None:
    run = image_run(tmp_path)
    checkpoint = run / "nerfstudio_models" / "step-000001999.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    description = json.loads(content["pipeline"]["_model._extra_state"]["description"])
    set_in(description, path, value)
    content["pipeline"]["_model._extra_state"]["description"] = json.dumps(description)
    torch.save(content, checkpoint)
    with pytest.raises(SignalError) as caught:
        load_run(run)
    assert str(checkpoint) in str(caught.value)


def test_diverged_run_is_named(tmp_path: Path) -> None:
    run = image_run(tmp_path)
    checkpoint = run / "nerfstudio_models" / "step-000001999.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["pipeline"]["_model.field.output.bias"][0] = math.nan
    torch.save(content, checkpoint)
    with pytest.raises(SignalError, match="diverged"):
        load_run(run)


def broken_runs(tmp_path: Path) -> List[tuple]:
    """(path, what the error says) for everything that is no usable run."""
    run = image_run(tmp_path)
    good = (run / "nerfstudio_models" / "step-000001999.ckpt").read_bytes()
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "config.yml").write_text("")
    cut = write_checkpoint(tmp_path / "cut", {})
    cut.write_bytes(good[: len(good) // 2])
    empty = write_checkpoint(tmp_path / "empty", {})
    empty.write_bytes(b"")
    with zipfile.ZipFile(write_checkpoint(tmp_path / "zip", {}), "w") as archive:
        archive.writestr("a.txt", "hello")
    nerfacto = {
        "_model.field.embedding_appearance.embedding.weight": torch.zeros(3),
        "_model.device_indicator": torch.zeros(1),
    }
    write_checkpoint(tmp_path / "nerfacto", {"step": 3, "pipeline": nerfacto})
    write_checkpoint(tmp_path / "weights", {"weight": torch.zeros(3)})
    write_checkpoint(tmp_path / "tensor", torch.zeros(3))
    write_checkpoint(tmp_path / "words", {"pipeline": {"_model._extra_state": {"description": "{not json"}}})
    (tmp_path / "a.safetensors").write_bytes(good)
    return [
        (tmp_path / "none", "no such run"),
        (tmp_path / "early", "no checkpoint yet"),
        (tmp_path / "early" / "config.yml", "no checkpoint yet"),
        (tmp_path / "wave.npy", "is no run"),
        (tmp_path, "the newest is"),
        (tmp_path / "cut", "cut"),
        (tmp_path / "empty", "cut or no checkpoint"),
        (tmp_path / "zip", "no checkpoint"),
        (tmp_path / "nerfacto", "is no checkpoint of winner-siren"),
        (tmp_path / "weights", "is no checkpoint of winner-siren"),
        (tmp_path / "tensor", "is no checkpoint of winner-siren"),
        (tmp_path / "words", "is no checkpoint of winner-siren"),
        (tmp_path / "a.safetensors", "not a field file"),
    ]


def test_what_is_no_run_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for path, words in broken_runs(tmp_path):
        line = error_line(capsys, "export", "image", path, "-o", tmp_path / "out.png")
        assert words in line and str(path) in line, line
    assert not (tmp_path / "out.png").exists()


def test_wrong_kind_names_the_right_command(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers: Dict[str, Callable[[Path], Path]] = {"audio": audio_run, "mesh": sphere_run, "image": image_run}
    monkeypatch.chdir(tmp_path)
    for right, make in makers.items():
        (tmp_path / right).mkdir()
        run = make(tmp_path / right)
        for wrong in {"image", "audio", "mesh", "volume"} - {right}:
            assert f"use `winner-ns export {right}`" in error_line(capsys, "export", wrong, run)
    assert len(list(tmp_path.iterdir())) == 3


def test_default_names_replace_what_is_there_when_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = audio_run(tmp_path)
    original = (tmp_path / "tone.wav").read_bytes()
    (tmp_path / "tone-fitted.wav").write_text("an earlier export")
    monkeypatch.chdir(tmp_path)
    assert "--overwrite" in error_line(capsys, "export", "audio", run)
    assert (tmp_path / "tone-fitted.wav").read_text() == "an earlier export"
    assert main(["export", "audio", str(run), "--overwrite"]) == 0
    assert capsys.readouterr().out.startswith("tone-fitted.wav: sample rate 44100, samples 22050")
    assert soundfile.info("tone-fitted.wav").frames == 22050
    assert main(["export", "field", str(run)]) == 0
    assert load_field("tone-fitted.safetensors").kind == "audio"
    assert (tmp_path / "tone.wav").read_bytes() == original
    assert len(list(tmp_path.iterdir())) == 4


# Comparisons -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, data, kind, export",
    [
        (image_run, "wave.npy", "image", "wave-fitted.png"),
        (audio_run, "tone.wav", "audio", "tone-fitted.wav"),
        (lambda folder: box_run(folder, "video", 3), "box.npy", "video", "box-fitted.mp4"),
        (lambda folder: box_run(folder, "volume", 1), "box.npy", "volume", "box-fitted.npy"),
    ],
)
def test_results_of_a_run(tmp_path: Path, make: Callable[[Path], Path], data: str, kind: str, export: str) -> None:
    loaded = load_run(make(tmp_path))
    signal = load_signal(tmp_path / data, kind)
    written = write_results(loaded, tmp_path / "results", signal)
    assert sorted(p.name for p in written) == sorted(["field.safetensors", "comparison.png", export])
    assert load_signal(tmp_path / "results" / export, kind).shape == signal.shape
    assert Image.open(tmp_path / "results" / "comparison.png").width > 1000
    assert write_results(loaded, tmp_path / "without")[1:] == [tmp_path / "without" / export]


@pytest.mark.slow
def test_comparison_of_shapes_also_where_there_is_no_surface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted_surface, "RESOLUTION", 64)
    signal = None
    for sign in (1.0, 0.0):
        loaded = load_run(sphere_run(tmp_path, sign=sign))
        signal = signal or load_signal(tmp_path / "ball.obj")
        write_comparison(tmp_path / f"{sign}.png", loaded, signal)
    drawn, blank = (np.asarray(Image.open(tmp_path / f"{sign}.png").convert("L"))[60:] for sign in (1.0, 0.0))
    third = drawn.shape[1] // 3
    assert (drawn[:, third : 2 * third] < 240).mean() > 0.1  # The fitted surface …
    assert (blank[:, third:] < 240).mean() < 0.001  # … which is not there.
    assert (blank[:, :third] < 240).mean() > 0.1


def test_rendered_sphere_is_a_filled_disc_seen_from_the_front() -> None:
    sphere = trimesh.creation.icosphere(4, 0.7)
    points, normals = sample_mesh(np.asarray(sphere.vertices), np.asarray(sphere.faces), count=300_000)
    assert np.abs(np.linalg.norm(points, axis=1) - 0.7).max() < 3e-3
    assert (points * normals).sum(axis=1).min() > 0.69
    view = three_quarter_view(points)
    picture_, light, seen = render_surface(points, normals, view, 128)
    radius = 128 / 2 * 0.7 / view.half
    # Pixels at the edge that are covered in part count.
    assert radius < math.sqrt((seen >= 0).sum() / np.pi) < radius + 2
    assert (points[seen[seen >= 0]] @ view.rotation[2] > -0.05).all()
    row, column = np.mgrid[:128, :128] - 63.5
    inside, outside = np.hypot(row, column) < radius - 2, np.hypot(row, column) > radius + 3
    assert (seen[inside] >= 0).all() and (light[inside] > 0.1).all()
    assert (picture_[outside] == 1.0).all()
    # Lit from above.
    assert light[30:50][inside[30:50]].mean() > 1.5 * light[80:100][inside[80:100]].mean()


def test_a_sound_that_was_an_mp3_is_written_as_wav(tmp_path: Path) -> None:
    """libsndfile lists MP3's codec under WAV but cannot encode it there."""
    sound = np.sin(np.arange(22050) * 0.3)[:, None] * [0.5, 0.4]
    soundfile.write(tmp_path / "s.mp3", sound, 22050)
    signal = load_signal(tmp_path / "s.mp3")
    network = Siren(1, 2, width=4)
    target = {"gain": 1.0, "offset": [0.0, 0.0]}
    made_of = NetworkDescription.of(network, "siren")
    loaded = LoadedField(network, Description("audio", "s.mp3", "", made_of, target, signal.describe()))
    export_audio(loaded, tmp_path / "out.wav")
    written, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 22050 and written.shape == (signal.shape[0], 2)


# Kinds that others add ----------------------------------------------------------------------------------------------


@pytest.fixture
def own_kind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Kind]:
    """A kind of grid with nothing but a reader; it is gone after the test."""

    def add(name: str, **more: Any) -> Kind:
        kind = Kind(name, f"a {name}", f"{name}s", reader="numpy:load", **more)
        monkeypatch.setitem(KINDS._entries, name, kind)
        return kind

    return add


def own_signal(kind: str, shape: tuple, channels: int) -> GridSignal:
    samples = np.random.default_rng(0).uniform(0, 200, (*shape, channels)).astype(np.float32)
    return GridSignal(kind, Path(f"{kind}.npy"), samples, 100.0, 100.0, square_half_extent(shape))


def own_field(signal: GridSignal) -> LoadedField:
    """Half of sin(x + y + …) in all channels."""
    network = plane_waves(np.ones((1, signal.dimensions)), np.zeros(1), np.full((signal.channels, 1), 0.5))
    target = {"gain": 1.0, "offset": [0.0] * signal.channels}
    made_of = NetworkDescription.of(network, "siren")
    described = Description(signal.kind, signal.path.name, "", made_of, target, json_of(signal.describe()))
    return LoadedField(network, described)


def json_of(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("channels", [1, 4, 6])
def test_a_kind_may_be_exported_as_images_are(own_kind: Callable[..., Kind], tmp_path: Path, channels: int) -> None:
    own_kind("terrain", export_command="image")
    field = own_field(own_signal("terrain", (12, 17), channels))
    result = export_image(field, tmp_path / "big.tiff", scale=2.0)
    assert (result["kind"], result["height"], result["width"]) == ("terrain", 24, 34)
    assert tifffile.imread(tmp_path / "big.tiff").reshape(24, 34, -1).shape == (24, 34, channels)
    with pytest.raises(SignalError, match="use `winner-ns export image`"):
        export_volume(field, tmp_path / "a.npy")


@pytest.mark.parametrize("shape, channels", [((12, 17), 1), ((12, 17), 6), ((5, 12, 17), 2)])
def test_a_kind_with_nothing_but_a_reader_is_exported_compared_and_shown(
    own_kind: Callable[..., Kind], tmp_path: Path, shape: tuple, channels: int
) -> None:
    from winner_ns.viewing.panel import SignalPanel
    from winner_ns.viewing.signal_view import signal_view

    own_kind("terrain")
    signal = own_signal("terrain", shape, channels)
    field = own_field(signal)
    assert load_field(save_field(tmp_path / "terrain.safetensors", field.network, field.description)).kind == "terrain"
    written = write_results(field, tmp_path / "results", signal)
    assert sorted(path.name for path in written) == ["comparison.png", "field.safetensors", "terrain-fitted.npy"]
    array = np.load(tmp_path / "results" / "terrain-fitted.npy")
    assert array.shape == (shape if channels == 1 else (*shape, channels))
    assert export_volume(field, tmp_path / "big.npy", scale=2.0)["shape"] == [2 * n for n in shape]
    write_fields_comparison(tmp_path / "both.png", {"one": field, "two": field}, signal)
    assert Image.open(tmp_path / "both.png").width > 1000
    panel = SignalPanel(signal_view({"one": field}, signal))
    assert ("slice_axis" in panel.elements) == (len(shape) == 3) and panel.settings().slice_axis == 0
    assert panel.elements["export"].name == "Export terrain"
    assert picture_of(field.description.row.get("notebook")(field, signal))[0].size[0] == 17


def test_what_has_a_frame_rate_is_a_video(own_kind: Callable[..., Kind], tmp_path: Path) -> None:
    own_kind("scan", rates=("frame_rate",))
    signal = own_signal("scan", (4, 6, 8), 1)
    signal.metadata["frame_rate"] = 10.0
    field = own_field(signal)
    assert export_volume(field, tmp_path / "scan.mp4", scale=4.0)["shape"] == [4, 24, 32]
    assert load_signal(tmp_path / "scan.mp4").metadata["frame_rate"] == 10.0


# Notebooks ----------------------------------------------------------------------------------------------------------


class Sources(html.parser.HTMLParser):
    """What a page's tags point to, and its text; a tag that is not closed, or a script, is an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: List[tuple] = []
        self.text, self._open = "", []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attributes: List[tuple]) -> None:
        assert tag in ("div", "figure", "figcaption", "p", "img", "audio")
        self.sources += [(tag, value) for name, value in attributes if name == "src"]
        assert all(not name.startswith("on") for name, _ in attributes)
        self._open += [] if tag == "img" else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def content_of(source: str, media_type: str) -> bytes:
    start = f"data:{media_type};base64,"
    assert source.startswith(start)
    return base64.b64decode(source[len(start) :], validate=True)


def picture_of(page: str) -> List[Image.Image]:
    """The pictures in a page that holds no other sources."""
    sources = [source for tag, source in Sources(page).sources if tag == "img"]
    return [Image.open(io.BytesIO(content_of(source, "image/png"))) for source in sources]


def shown(field: LoadedField, signal: Any) -> str:
    return field.description.row.get("notebook")(field, signal)


def test_an_image_is_shown_pixel_by_pixel(tmp_path: Path) -> None:
    run = image_run(tmp_path, channels=3)
    loaded, signal = load_run(run), load_signal(tmp_path / "wave.npy", "image")
    field, original = picture_of(shown(loaded, signal))
    assert np.abs(np.asarray(field).astype(int) - load_field_values(run)).max() <= 1
    assert (np.asarray(original) == signal.samples).all()
    (alone,) = picture_of(shown(loaded, None))
    assert (np.asarray(alone) == np.asarray(field)).all()


def test_a_large_image_is_shown_small(tmp_path: Path) -> None:
    loaded = load_run(image_run(tmp_path, shape=(20, 1200)))
    (field,) = picture_of(shown(loaded, None))
    assert field.size == (512, 9)
    # Its corners are the image's.
    expected = 255 * picture(np.array([0, 19]), np.array([0, 1199]), (20, 1200), 1)[..., 0]
    assert np.abs(np.asarray(field)[::8, ::511] - expected.clip(0, 255)).max() <= 1


@pytest.mark.parametrize("kind, word", [("volume", "slice"), ("video", "frame")])
def test_the_middle_of_a_volume_and_of_a_video_is_shown(tmp_path: Path, kind: str, word: str) -> None:
    loaded, signal = load_run(box_run(tmp_path, kind, 3)), load_signal(tmp_path / "box.npy", kind)
    page = shown(loaded, signal)
    field, original = picture_of(page)
    assert (np.asarray(original) == signal.samples[3]).all() and f"{word} 3 of 6" in page
    assert np.abs(np.asarray(field) - loaded.grid(signal.shape)[3].clip(0, 255)).max() <= 1


def test_a_sound_is_heard_as_loud_as_the_original(tmp_path: Path) -> None:
    loaded, signal = load_run(audio_run(tmp_path, seconds=31.0)), load_signal(tmp_path / "tone.wav")
    page = shown(loaded, signal)
    (source,) = [source for tag, source in Sources(page).sources if tag == "audio"]
    wave, rate = soundfile.read(io.BytesIO(content_of(source, "audio/wav")))
    assert rate == RATE and len(wave) == 30 * RATE and "first 30 s of 31.0 s" in page
    assert np.abs(wave - 0.25 * np.sin(2 * np.pi * TONE * np.arange(len(wave)) / RATE))[:RATE].max() < 2e-3
    assert len(picture_of(page)) == len(picture_of(shown(loaded, None))) == 1


@pytest.mark.slow
def test_a_surface_is_shown_as_the_original_is(tmp_path: Path) -> None:
    loaded, signal = load_run(sphere_run(tmp_path)), load_signal(tmp_path / "ball.obj")
    field, original = (np.asarray(picture.convert("L")) for picture in picture_of(shown(loaded, signal)))
    # RADIUS of the unit cube, of which the original spans 0.9.
    assert (field < 250).sum() / (original < 250).sum() == pytest.approx((RADIUS / 0.9) ** 2, rel=0.05)
    (alone,) = picture_of(shown(loaded, None))
    assert (np.asarray(alone.convert("L")) < 250).mean() > 0.6
    empty = load_run(sphere_run(tmp_path, sign=0.0))
    assert "has no surface" in shown(empty, None) and not picture_of(shown(empty, None))


def test_a_name_is_no_markup(tmp_path: Path) -> None:
    for make in (image_run, audio_run, sphere_run):
        loaded = load_run(make(tmp_path))
        name = "<script>alert('x')</script>\"&.png"
        page = shown(LoadedField(loaded.network, replace(loaded.description, name=name)), None)
        assert Sources(page).sources and "<script" not in page and "alert" in page

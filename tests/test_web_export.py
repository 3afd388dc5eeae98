"""Fields as web pages, and with rounded weights, as far as that can be told without a browser."""

from __future__ import annotations

import base64
import html
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open
from safetensors.torch import save_file
from test_export import image_run, run_json, sphere_run

from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.export.field import export_field
from winner_ns.export.glsl import export_glsl
from winner_ns.export.onnx import export_onnx
from winner_ns.export.web.exhibit import PageOptions
from winner_ns.export.web.page import write_page
from winner_ns.fields import build_field
from winner_ns.fields.dense_layers import dense_layers
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField, load_field
from winner_ns.fields.gauss import Gauss
from winner_ns.fields.quantised import INTEGERS, quantised, unquantised
from winner_ns.fitting.run import load_run
from winner_ns.signals import GridSignal


def field_of(family: str = "siren", name: str = "a.png", channels: int = 3, **settings) -> LoadedField:
    """A fresh field of a picture of 20 x 30 pixels."""
    network = build_field(family, 2, channels, settings, torch.Generator().manual_seed(0)).eval()
    signal = {
        "shape": [20, 30], "channels": channels, "dtype": "uint8", "value_offset": 127.5, "value_scale": 127.5,
        "half_extent": [19 / 29, 1.0],
    }  # fmt: skip
    target = {"gain": 1.0, "offset": [0.0] * channels}
    made_of = NetworkDescription.of(network, family)
    return LoadedField(network, Description("image", name, "", made_of, target, signal))


class Outline(HTMLParser):
    """What a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements, self.addresses, self.texts = [""], [], {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "data")]
        assert not any(name.startswith("on") or name == "style" for name, _ in attributes)

    def handle_data(self, data):
        self.texts.setdefault(self.elements[-1], []).append(data)


@given(
    matrix=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=st.floats(-8, 8, width=32)
    ),
    bits=st.sampled_from(sorted(INTEGERS)),
)
def test_numbers_are_rounded_to_the_nearest_of_their_scale(matrix, bits):
    numbers, scales = quantised(torch.from_numpy(matrix), bits)
    back = unquantised(numbers, scales).numpy()
    rows = matrix if len(scales) == len(matrix) else matrix.reshape(1, -1)
    # Half a step, and single precision's own rounding.
    most = 0.5 * np.abs(rows).max(1) / (2 ** (bits - 1) - 1) + 1e-6 * np.abs(rows).max(1)
    assert (np.abs(back - matrix).reshape(rows.shape) <= most[:, None] + 1e-38).all()
    assert np.array_equal(quantised(torch.from_numpy(back), bits)[0], numbers) or np.abs(matrix).max() < 1e-30


@pytest.mark.parametrize("family", ("siren", "wire", "rff", "gauss"))
def test_rounded_field_files_are_read_and_say_what_they_lost(family, tmp_path, capsys):
    field = field_of(family, width=48, depth=3)
    sizes, errors = {}, {}
    for bits in (None, 16, 8):
        facts = export_field(field, tmp_path / f"{bits}.safetensors", bits)
        again = load_field(tmp_path / f"{bits}.safetensors")
        sizes[bits] = facts["bytes"]
        errors[bits] = float(np.abs(again.grid((21, 31)) - field.grid((21, 31))).max())
        if bits:
            # In steps of 1/255, which these values are, and at other points than those that it was measured at.
            assert errors[bits] < 2 * facts["largest_error_in_255ths"] + 1e-3
    assert errors[None] == 0 < errors[16] < errors[8]
    assert sizes[None] > sizes[16] > sizes[8]
    with safe_open(tmp_path / "8.safetensors", "pt") as file:
        kinds = {name: str(file.get_tensor(name).dtype) for name in file.keys()}
    assert "torch.int8" in kinds.values()
    first = {
        "siren": "layers.0.weight",
        "wire": "first.weight",
        "rff": "frequencies",
        "gauss": "network.layers.0.weight",
    }
    assert kinds[first[family]] == "torch.float32"


def test_a_run_is_exported_in_16_bits_by_the_command(tmp_path, capsys):
    run = image_run(tmp_path)
    said = run_json(capsys, "export", "field", run, "--bits", 16, "-o", tmp_path / "f.safetensors")
    assert said["bits"] == 16 and said["psnr_against_whole_weights"] > 60
    assert said["bytes"] == (tmp_path / "f.safetensors").stat().st_size
    whole, rounded = load_run(run), load_field(tmp_path / "f.safetensors")
    assert np.abs(whole.grid((20, 33)) - rounded.grid((20, 33))).max() < 0.5


def test_a_rounded_file_with_foreign_scales_is_refused(tmp_path):
    export_field(field_of(width=32, depth=2), tmp_path / "f.safetensors", 16)
    with safe_open(tmp_path / "f.safetensors", "pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    del header["sha256"]
    wrong = [torch.ones(3), torch.ones(32, dtype=torch.float64), torch.full((32,), torch.nan), torch.ones(1, 32)]
    damaged = [{"layers.1.weight@scale": scales} for scales in wrong]
    for shape in ((32, 0), (0, 32), (2**40, 0), (32,), (31, 32)):
        damaged.append({"layers.1.weight": torch.zeros(shape, dtype=torch.int16)})
    damaged.append({"nothing@scale": torch.ones(1)})
    for parts in damaged:
        save_file({**tensors, **parts}, tmp_path / "w.safetensors", metadata=header)
        with pytest.raises(SignalError, match="damaged"):
            load_field(tmp_path / "w.safetensors")


def test_a_field_whose_values_are_not_finite_is_not_written_as_if_it_were(tmp_path):
    field = field_of(width=32, depth=2)
    with torch.no_grad():
        # Finite weights, whose sums are not.
        for parameter in field.network.output.parameters():
            parameter.fill_(3e38)
    with pytest.raises(SignalError, match="not finite"):
        export_field(field, tmp_path / "f.safetensors", 16)
    with pytest.raises(SignalError, match="not finite"):
        write_page(tmp_path / "f.html", {"siren": field}, {"siren": {}})
    assert not list(tmp_path.iterdir())


def test_a_page_of_4_x_256_is_below_600_kilobytes_and_whole_in_itself(tmp_path):
    facts = write_page(tmp_path / "f.html", {"winner": field_of("winner")}, {"winner": {"psnr": 31.5}})
    page = (tmp_path / "f.html").read_text(encoding="utf-8")
    assert facts["bytes"] == (tmp_path / "f.html").stat().st_size <= 600_000
    outline = Outline(page)
    assert outline.addresses == [] and "link" not in outline.elements
    assert "//" not in "".join(outline.texts["style"]) and "@import" not in page
    assert "default-src 'none'; script-src 'sha256-" in html.unescape(page) and "31.50 dB" in page
    assert 0 < facts["largest_error_in_255ths"] < 0.5
    assert f"{facts['largest_error_in_255ths']:.2g}/255 of the range" in page


@pytest.mark.parametrize("name", ("</script><b>'\"&.png", "<!--<script>.png", "{{7*7}}.png", "图ψ\u202etxt.png"))
def test_a_name_stays_a_text(name, tmp_path):
    write_page(tmp_path / "f.html", {name: field_of(name=name, width=4, depth=1)}, {name: {}})
    outline = Outline((tmp_path / "f.html").read_text(encoding="utf-8"))
    assert outline.elements.count("script") == 6 and "b" not in outline.elements
    assert name.replace("\u202e", "\\u202e") in "".join(outline.texts["h1"])
    data = next(text for text in outline.texts["script"] if text.startswith("{"))
    assert json.loads(data)["fields"][0]["name"] == name


class Louder(Gauss):
    """Says nothing of what it makes of its network."""

    def forward(self, coordinates):
        return 2 * super().forward(coordinates)


def test_what_is_no_chain_of_layers_is_refused_in_one_line(tmp_path, capsys):
    for network in (build_field("wire", 2, 3, {"width": 8, "depth": 2}), Louder(2, 3, width=8, depth=1)):
        with pytest.raises(SignalError, match="no chain of dense layers"):
            dense_layers(network, "a.png")
    with pytest.raises(SignalError, match="2049"):
        write_page(tmp_path / "f.html", {"siren": field_of(width=2049, depth=1)}, {"siren": {}})
    assert not (tmp_path / "f.html").exists()
    assert main(["export", "web", str(image_run(tmp_path)), "-o", str(tmp_path / "f.pdf")]) == 1
    assert ".html" in capsys.readouterr().err


def test_the_command_puts_figures_and_the_original_into_a_page(tmp_path, capsys):
    run = image_run(tmp_path, channels=3)
    said = run_json(capsys, "export", "web", run, "--original", "-o", tmp_path / "f.html")
    page = (tmp_path / "f.html").read_text(encoding="utf-8")
    assert said["bytes"] == len(page.encode()) and "data:image/png;base64," in page and "PSNR" in page
    (tmp_path / "wave.npy").unlink()
    assert main(["export", "web", str(run), "--original", "-o", str(tmp_path / "g.html")]) == 1
    assert "not at hand" in capsys.readouterr().err
    assert main(["compare", str(run), str(run), "--json", "--bits", "8"]) == 1
    assert "--bits: is for a page" in capsys.readouterr().err
    run_json(capsys, "compare", run, run, "--web", tmp_path / "two.html")
    assert len(json.loads(Outline((tmp_path / "two.html").read_text()).texts["script"][0])["fields"]) == 2


def sound_field(samples: int, channels: int = 1) -> LoadedField:
    network = build_field("siren", 1, channels, {"width": 4, "depth": 1}, torch.Generator().manual_seed(0)).eval()
    signal = {
        "shape": [samples], "channels": channels, "dtype": "float32", "value_offset": 0.0, "value_scale": 1.0,
        "half_extent": [1.0], "sample_rate": 8000,
    }  # fmt: skip
    target = {"gain": 1.0, "offset": [0.0] * channels}
    made_of = NetworkDescription.of(network, "siren")
    return LoadedField(network, Description("audio", "a.wav", "", made_of, target, signal))


def test_sounds_that_a_browser_cannot_keep_are_refused(tmp_path):
    write_page(tmp_path / "f.html", {"siren": sound_field(2**24)}, {})
    for fields in ({"siren": sound_field(2**24 + 1)}, {name: sound_field(2**24, 2) for name in "abc"}):
        with pytest.raises(SignalError, match="a page"):
            write_page(tmp_path / "g.html", fields, {})
    assert not (tmp_path / "g.html").exists()


@pytest.mark.parametrize("peak", (1e-4, 1.0, 2.5))
def test_the_original_of_a_sound_is_as_exact_as_its_loudest_sample_allows(peak, tmp_path):
    samples = (peak * np.random.default_rng(0).uniform(-1, 1, (500, 1))).astype(np.float32)
    signal = GridSignal("audio", tmp_path / "a.wav", samples, 0.0, 1.0, (1.0,))
    write_page(tmp_path / "f.html", {"siren": sound_field(500)}, {}, signal, PageOptions(original=True))
    outline = Outline((tmp_path / "f.html").read_text(encoding="utf-8"))
    data = json.loads(outline.texts["script"][0])
    again = np.frombuffer(base64.b64decode(data["original"]), "<i2") * data["originalStep"]
    assert np.abs(again - samples[:, 0]).max() < peak * 2e-5
    assert [each for each in outline.texts["span"] if each in ("field", "original", "error")] == [
        "field",
        "original",
        "error",
    ]


def test_a_surface_needs_no_network_in_its_page(tmp_path, capsys):
    run = sphere_run(tmp_path)
    said = run_json(capsys, "export", "web", run, "--resolution", 40, "--faces", 500, "-o", tmp_path / "f.html")
    outline = Outline((tmp_path / "f.html").read_text(encoding="utf-8"))
    (field,) = json.loads(outline.texts["script"][0])["fields"]
    assert "bits" not in said and set(field) == {"name", "vertices", "faces"}
    assert main(["export", "web", str(run), "--original", "-o", str(tmp_path / "g.html")]) == 1


def test_a_fitted_field_is_saved_as_a_page_and_in_8_bits(tmp_path):
    import winner_ns

    samples = np.random.default_rng(0).random((8, 9)).astype(np.float32)
    field = winner_ns.fit(
        samples, kind="image", steps=2, width=16, depth=2, device="cpu", progress=False, between="none"
    )
    assert field.save(tmp_path / "f.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    whole, rounded = field.save(tmp_path / "a.safetensors"), field.save(tmp_path / "b.safetensors", bits=8)
    assert rounded.stat().st_size < whole.stat().st_size
    with pytest.raises(SignalError, match="12"):
        field.save(tmp_path / "c.safetensors", bits=12)
    with pytest.raises(SignalError, match="bits"):
        field.save(tmp_path / "c.png", bits=8)


def test_a_function_is_of_small_fields_alone(tmp_path, capsys):
    run = image_run(tmp_path, channels=3)
    said = run_json(capsys, "export", "glsl", run, "--name", "photo", "-o", tmp_path / "f.glsl")
    text = (tmp_path / "f.glsl").read_text(encoding="ascii")
    assert "vec3 photo(vec2 at)" in text and said["bytes"] == len(text) and said["weights"] < 100
    with pytest.raises(SignalError, match="198,915 weights"):
        export_glsl(field_of(), tmp_path / "g.glsl")
    for name in ("a;b", "photo_", "a__b", "webgl_a", "gl_a", "vec4", "input", "main"):
        assert main(["export", "glsl", str(run), "--name", name, "-o", str(tmp_path / "g.glsl")]) == 1
    assert not (tmp_path / "g.glsl").exists()
    run_json(capsys, "export", "glsl", sphere_run(tmp_path, (50.0, -20.0, 7.0), 3.0), "-o", tmp_path / "d.glsl")
    assert "(p - (50, -20, 7)) / 3" in (tmp_path / "d.glsl").read_text(encoding="ascii")


@pytest.mark.parametrize("family", ("winner", "finer", "gauss", "relu-pe", "rff"))
def test_a_model_of_onnx_gives_the_field_at_any_number_of_points(family, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    field = field_of(family, width=32, depth=2)
    facts = export_onnx(field, tmp_path / "f.onnx")
    session = runtime.InferenceSession(tmp_path / "f.onnx")
    assert facts["largest_error"] < 1e-5
    for count in (1, 77):
        points = np.random.default_rng(count).uniform(-0.6, 0.6, (count, 2)).astype(np.float32)
        (given,) = session.run(None, {"coordinates": points})
        # Values of a picture of 8 bits, from 0 to 255.
        assert np.abs(given - field(points)).max() < 1e-5 * 255


def test_a_shapes_model_of_onnx_takes_points_of_its_own_frame(tmp_path, capsys):
    runtime = pytest.importorskip("onnxruntime")
    run = sphere_run(tmp_path, (50.0, -20.0, 7.0), 3.0)
    run_json(capsys, "export", "onnx", run, "-o", tmp_path / "f.onnx")
    points = np.array([[50.0, -20.0, 7.0], [50.0, -20.0, 9.0]], dtype=np.float32)
    (given,) = runtime.InferenceSession(tmp_path / "f.onnx").run(None, {"coordinates": points})
    assert given.shape == (2, 1) and given[0] < -0.5
    assert np.abs(given - load_run(run)(points)).max() < 1e-3


def test_a_family_that_onnx_cannot_say_is_refused_in_one_line(tmp_path, capfd):
    pytest.importorskip("onnxruntime")
    for family in ("wire", "hash-grid"):
        with pytest.raises(SignalError, match="ONNX has no operators"):
            export_onnx(field_of(family, width=8, depth=2), tmp_path / "f.onnx")
    assert capfd.readouterr().out == "" and not (tmp_path / "f.onnx").exists()

"""`winner-ns bench`: presets, cells that are ns-train's, results that survive a kill, tables and a report of all."""

from __future__ import annotations

import csv
import importlib.metadata
import io
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import torch
import yaml
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

import winner_ns
from winner_ns.bench import unfinished
from winner_ns.bench.benchmark import MARK, run_bench
from winner_ns.bench.cell_training import run_cell
from winner_ns.bench.cells import cells_of
from winner_ns.bench.charts import OTHERS, between_samples_chart, charts_of, colours, shown_fields, sweep_chart
from winner_ns.bench.departures import chosen_by_loss, noise_on_layers, scales_of_another_kind
from winner_ns.bench.inputs import Input, prepare_inputs
from winner_ns.bench.machine import describe_machine
from winner_ns.bench.preset import BUDGETS, list_presets, load_preset
from winner_ns.bench.records import ResultsFile, best_fields, summarise
from winner_ns.bench.report import finding_of, write_report
from winner_ns.bench.summary_tables import better_without_fields, rows_of, terminal_tables, write_csv, write_markdown
from winner_ns.bench.tiles import tiles_of
from winner_ns.bench.worker import CELLS
from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.fields import FAMILIES, Siren
from winner_ns.fitting import checkpoints
from winner_ns.fitting.classical_denoisers import denoised, denoisers_for
from winner_ns.samples import SAMPLES
from winner_ns.signals import detect_kind, load_signal
from winner_ns.spectrum import PaperLaw, SineNetwork, TargetSpectrum

TINY = {
    "title": "Two fields on a small picture",
    "shows": "That it works.",
    "task": "fit",
    "kind": "image",
    "signals": ["picture.png"],
    "fields": {"siren": "siren", "noisy-start": "winner:s0=8,s1=0.1"},
    "metrics": ["psnr", "parameters"],
    "steps": 20,
    "batch": 300,
    "seeds": 2,
    "width": 16,
}


def write_picture(path):
    rows, columns = np.mgrid[0:32, 0:32] / 32
    picture = 0.5 + 0.3 * np.sin(9 * rows * columns) + 0.2 * np.cos(14 * columns)
    Image.fromarray((255 * np.clip(picture, 0, 1)).astype(np.uint8)).save(path)


def write_preset(folder, **changes):
    folder.mkdir(exist_ok=True)
    write_picture(folder / "picture.png")
    data = {key: value for key, value in {**TINY, **changes}.items() if value is not None}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return folder / "tiny.yaml"


def run_alone(folder, field=None, tell=lambda progress: None, **changes):
    """The record of one cell, trained in this process."""
    preset = load_preset(str(write_preset(folder, **changes)))
    cells = cells_of(preset, prepare_inputs(preset, folder / "out" / "inputs"))
    (cell,) = [each for each in cells if each.seed == 0 and each.field == (field or each.field)]
    return run_cell(cell, folder / "out", tell=tell)


def run_here(folder, **changes):
    """A benchmark's preset and records: the command finds its cells, which this process has trained, and writes the
    rest. A process that trains takes two seconds to start."""
    preset, out = load_preset(str(write_preset(folder, **changes))), folder / "out"
    cells = cells_of(preset, prepare_inputs(preset, out / "inputs"))
    machine = describe_machine(["cpu"])
    out.mkdir(exist_ok=True)
    (out / MARK).write_text(json.dumps({"preset": preset.name, "budget": "short", "data": None}))
    results = ResultsFile(out / "results.jsonl")
    for cell in cells:
        results.append({**run_cell(cell, out), "machine": machine})
    lines = []
    records = run_bench(preset, out, "winner-ns bench tiny", workers=1, tell=lines.append)
    assert f"{len(cells)} done already" in lines[0] and records == results.records
    return preset, records


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A benchmark as the command runs it: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("bench")
    preset = write_preset(folder)
    lines = []
    records = run_bench(load_preset(str(preset)), folder / "out", "winner-ns bench tiny", workers=1, tell=lines.append)
    return folder, records, lines


def json_lines(folder):
    return [json.loads(line) for line in (folder / "out" / "results.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"s0": [0, 3, 30]}, {"s0": [0, 30], "s1": [0, 0.1, 1]}, {"purpose": [0.5, 1]}])
def test_a_sweep_is_drawn_with_what_the_law_chooses(tmp_path, settings):
    _, records = run_here(tmp_path, sweep=settings, steps=2, seeds=1, fields={"winner": "winner:purpose=3"})
    assert len(records) == 1 + math.prod(len(values) for values in settings.values())
    drawn = ElementTree.parse(tmp_path / "out" / "charts" / f"{'-'.join(settings)}.svg").getroot()
    words = {text.strip() for text in drawn.itertext() if text.strip()}
    assert set(settings) <= words
    if list(settings) == ["s0"]:
        assert "winner" in words  # Beside its star.


def test_what_a_field_has_not_is_no_reason_to_call_it_best():
    def record(field, seed, value, signal="a"):
        return {"signal": signal, "field": field, "seed": seed, "figures": {"chamfer": value}}

    records = [record("lucky", 0, 0.01), record("lucky", 1, None), record("lucky", 2, None)]
    records += [record("steady", seed, 0.02) for seed in range(3)]
    assert best_fields(records, "a", "chamfer") == []
    assert summarise(records, "a", "lucky", "chamfer").told("chamfer") == "0.0100 (1 of 3)"
    records += [record("third", seed, 0.03) for seed in range(3)]
    assert best_fields(records, "a", "chamfer") == ["steady"]
    # Seeds do not tell apart what lies within a deviation of the best.
    spread = [record("wide", seed, value) for seed, value in enumerate((0.010, 0.021, 0.035))]
    assert best_fields(records + spread, "a", "chamfer", spread=True) == ["steady", "wide"]
    assert best_fields(records + spread, "a", "chamfer") == ["steady"]
    # Who only managed the easy signal has no mean of both.
    records += [record(field, seed, 0.1, "hard") for field in ("steady", "third") for seed in range(3)]
    records += [record("lucky", seed, None, "hard") for seed in range(3)]
    assert summarise(records, None, "lucky", "chamfer") is None
    assert summarise(records, None, "steady", "chamfer").mean == pytest.approx(0.06)


def test_another_file_of_the_same_name_is_another_signal(tmp_path):
    preset = load_preset(str(write_preset(tmp_path, size=16)))
    digests = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        pixels = np.random.default_rng(len(folder) + len(digests)).integers(0, 256, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / folder / "picture.png")
        inputs = prepare_inputs(preset, tmp_path / "inputs", tmp_path / folder)
        digests.append(cells_of(preset, inputs)[0].content)
    assert digests[0] != digests[1]
    # A built-in sound, whose file carries the time, is the same one again.
    preset = load_preset(str(write_preset(tmp_path, kind="audio", signals=["eeg"])))
    first, second = (
        cells_of(preset, prepare_inputs(preset, tmp_path / "inputs"))[0] for _ in (time.sleep(0), time.sleep(1.1))
    )
    assert first.content == second.content


def test_images_of_16_bits_are_reduced_with_their_shades(tmp_path):
    shades = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    (tmp_path / "deep").mkdir()
    Image.fromarray(shades).save(tmp_path / "deep" / "ramp.png")
    preset = load_preset(str(write_preset(tmp_path, size=32)))
    (given,) = prepare_inputs(preset, tmp_path / "inputs", tmp_path / "deep")
    small = np.asarray(Image.open(given.path)).astype(float)
    assert small.shape == (32, 32) and np.abs(small - shades.reshape(32, 2, 32, 2).mean((1, 3)) / 257).max() < 1.5


def test_ones_own_preset_comes_before_a_packaged_one_of_its_name(tmp_path, monkeypatch):
    write_preset(tmp_path, title="mine").rename(tmp_path / "images.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_preset("images.yaml").title == "mine" and load_preset("images").title != "mine"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"departures": {"siren": {"noise_layers": [1]}}}, "is nothing for siren"),
        ({"departures": {"siren": {"sampling": "by-loss"}}, "batch": 0}, "nothing to choose from"),
        ({"signals": ["camera", "sub/camera.png"]}, "two are called camera"),
    ],
)
def test_what_would_be_ignored_is_refused(tmp_path, changes, words):
    (tmp_path / "sub").mkdir()
    write_picture(tmp_path / "sub" / "camera.png")
    with pytest.raises(SignalError, match=words):
        preset = load_preset(str(write_preset(tmp_path, **changes)))
        prepare_inputs(preset, tmp_path / "inputs")


def test_a_preset_reads_files_of_its_own_folder_alone_unless_others_are_allowed(tmp_path, monkeypatch, capsys):
    """It may be a stranger's: absolute paths, ways up, links out and other machines are a line."""
    monkeypatch.chdir(tmp_path)
    own, private = tmp_path / "own", tmp_path / "private"
    private.mkdir()
    write_picture(private / "secret.png")
    write_preset(own)
    (own / "link.png").symlink_to(private / "secret.png")
    (own / "linked").symlink_to(private)
    (own / "sub").mkdir()
    write_picture(own / "sub" / "inner.png")
    ways = ["../private/secret.png", "sub/../../private/secret.png", "link.png", str(private / "secret.png")]
    for name in (*ways, "linked/secret.png", "/etc/passwd", "~/secret.png", "//server/share/x.png", "/nowhere.png"):
        preset = write_preset(own, signals=[name])
        assert main(["bench", str(preset), "--out", str(tmp_path / "out")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"signals: {name} is outside of the preset's folder" in line and "--allow" in line
    for name in ("sub/inner.png", "./sub/../picture.png", str(own / "picture.png")):
        (each,) = prepare_inputs(load_preset(str(write_preset(own, signals=[name]))), tmp_path / "inputs")
        assert each.path.is_relative_to(own)
    # By another name of the folder, too.
    (tmp_path / "other").symlink_to(own)
    assert prepare_inputs(load_preset(str(write_preset(tmp_path / "other"))), tmp_path / "inputs")
    for allowed in (private, private / "secret.png"):
        for name in ways:
            preset = load_preset(str(write_preset(own, signals=[name])))
            (each,) = prepare_inputs(preset, tmp_path / "inputs", allowed=[Path("elsewhere"), allowed])
            assert each.path == private / "secret.png"


def test_the_name_of_a_file_leads_no_cell_out_of_its_folder(tmp_path):
    preset = load_preset(str(write_preset(tmp_path, signals=["...png"])))
    (tmp_path / "picture.png").rename(tmp_path / "...png")
    (cell, *_) = cells_of(preset, prepare_inputs(preset, tmp_path / "inputs"))
    assert ".." not in Path(cell.folder).parts and cell.signal == "_"


def test_every_cell_is_one_json_line_and_says_what_its_field_is_worth(finished):
    folder, records, lines = finished
    stored = json_lines(folder)
    assert sorted((r["field"], r["seed"]) for r in stored) == [
        ("noisy-start", 0), ("noisy-start", 1), ("siren", 0), ("siren", 1),
    ]  # fmt: skip
    assert {r["key"]: r for r in stored} == {r["key"]: r for r in records}
    original = np.asarray(Image.open(folder / "picture.png")).astype(float)
    for record in stored:
        files = folder / "out" / record["folder"]
        fitted = winner_ns.load_field(files / "field.safetensors").grid((32, 32))[..., 0]
        assert record["figures"]["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((fitted - original) ** 2)))
        picture = np.asarray(Image.open(files / "fitted.png")).astype(float)
        assert np.abs(picture - np.clip(fitted, 0, 255)).max() < 0.51
        curve = record["curve"]
        assert curve["steps"] == list(range(21)) and len(curve["psnr"]) == len(curve["seconds"]) == 21
        assert curve["psnr"][-1] == pytest.approx(record["figures"]["psnr"])
        assert curve["seconds"] == sorted(curve["seconds"]) and curve["seconds"][-1] > 0
    assert len({r["figures"]["psnr"] for r in stored}) == 4
    assert sum("left" in line for line in lines) == 4


def test_tables_are_means_and_deviations_of_the_json_lines(finished):
    folder, _, _ = finished
    stored = json_lines(folder)
    with open(folder / "out" / "results.csv", newline="") as file:
        rows = {row["field"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"siren", "noisy-start"}
    table = (folder / "out" / "results.md").read_text()
    means, figures = {}, {}
    for field, row in rows.items():
        values = [r["figures"]["psnr"] for r in stored if r["field"] == field]
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        assert (row["signal"], row["seeds"]) == ("picture", "2")
        assert float(row["psnr_mean"]) == pytest.approx(mean) and float(row["psnr_sd"]) == pytest.approx(deviation)
        assert f"{mean:.2f} ± {deviation:.2f}" in table
        means[field], figures[field] = f"{mean:.2f} ± {deviation:.2f}", (mean, deviation)
    best = max(figures, key=lambda field: figures[field][0])
    bold = {
        field
        for field, (mean, deviation) in figures.items()
        if figures[best][0] - mean <= max(deviation, figures[best][1])
    }
    assert all((f"| {field} | **{means[field]}** |" in table) == (field in bold) for field in figures)
    assert table.count("**") == 2 * len(bold)  # The number of parameters is no contest.
    (chart,) = (folder / "out" / "charts").iterdir()
    assert f"](charts/{chart.name})" in table and ElementTree.parse(chart).getroot().tag.endswith("svg")


class Page(HTMLParser):
    """What a page refers to, and the text of the cells of its tables."""

    def __init__(self, text):
        super().__init__()
        self.links, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action", "poster")]

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_the_report_needs_nothing_else_and_shows_every_cell(finished):
    folder, records, _ = finished
    text = (folder / "out" / "report.html").read_text()
    page = Page(text)
    assert len(page.links) > 8
    assert all(link.startswith(("data:", "#")) for link in page.links)
    without_data = re.sub(r"data:[\w/+.-]+;base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|//\w|@import|url\(", without_data)
    for record in records:
        assert f"{record['figures']['psnr']:.4g}" in page.texts
    assert {"winner-ns bench tiny", importlib.metadata.version("torch")} <= set(page.texts)
    assert str(folder) not in text
    assert not re.search(rf"\b{re.escape(os.uname().nodename)}\b", " ".join(page.texts))
    # The original, and of each field its picture and error map; two curves in one chart.
    assert sum(link.startswith("data:image/svg+xml") for link in page.links) == 1
    assert sum(link.startswith(("data:image/png", "data:image/jpeg")) for link in page.links) == 1 + 2 * 2


def test_a_finished_benchmark_trains_nothing_again_and_a_changed_one_only_what_changed(finished, tmp_path):
    folder, _, _ = finished
    before = (folder / "out" / "results.jsonl").read_bytes()
    preset = load_preset(str(folder / "tiny.yaml"))
    again = run_bench(preset, folder / "out", "again", workers=1, tell=lambda line: None)
    assert (folder / "out" / "results.jsonl").read_bytes() == before and len(again) == 4
    inputs = prepare_inputs(preset, folder / "out" / "inputs")
    keys = {cell.key for cell in cells_of(preset, inputs)}
    other = {cell.key for cell in cells_of(replace(preset, fields={**preset.fields, "siren": "siren:lr=1e-4"}), inputs)}
    assert len(keys & other) == 2 and all("noisy-start" in key for key in keys & other)
    write_picture(tmp_path / "picture.png")
    Image.open(tmp_path / "picture.png").rotate(90).save(tmp_path / "picture.png")
    assert not keys & {cell.key for cell in cells_of(preset, [Input("picture", tmp_path / "picture.png", "image")])}


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_without_loss_or_doubles(tmp_path):
    preset = write_preset(tmp_path, steps=40, seeds=4)
    results = tmp_path / "out" / "results.jsonl"
    program = "import sys; from winner_ns.commands.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "bench", preset, "--out", tmp_path / "out", "--workers", "1"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not results.exists() or results.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        time.sleep(0.01)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    process.kill()
    process.wait()
    assert workers
    for worker in workers:
        while _alive(int(worker)):
            time.sleep(0.05)
    whole = results.read_bytes()
    whole = whole[: whole.rindex(b"\n") + 1]
    assert 2 <= whole.count(b"\n") < 8
    results.write_bytes(whole + b'{"key": "picture/siren/3')  # As if the last line had been on its way.
    assert main(["bench", str(preset), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    assert results.read_bytes().startswith(whole)
    records = json_lines(tmp_path)
    assert sorted((r["field"], r["seed"]) for r in records) == [
        (field, seed) for field in ("noisy-start", "siren") for seed in range(4)
    ]


def test_a_fields_beta2_is_that_of_its_training(tmp_path):
    fields = {"own": "siren", "short": "siren:beta2=0.5"}
    records = {name: run_alone(tmp_path, name, fields=fields, steps=3) for name in fields}
    assert {name: record["beta2"] for name, record in records.items()} == {"own": 0.999, "short": 0.5}
    first, *last = (record["curve"]["psnr"] for record in records.values())
    assert first[0] == last[0][0] and first[-1] != last[0][-1]


@pytest.mark.slow
@pytest.mark.parametrize("field", ["siren", "by-loss", "hash-grid"])
def test_a_cell_that_was_interrupted_goes_on_to_the_same_field(field, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "BETWEEN", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)
    preset = {
        "fields": {"siren": "siren", "by-loss": "siren", "hash-grid": "hash-grid"},
        "departures": {"by-loss": {"sampling": "by-loss"}},
    }
    heard = []

    def tell(progress):
        heard.append(progress["step"])
        if heard == list(range(1, 8)):
            raise KeyboardInterrupt

    whole = run_alone(tmp_path / "whole", field, **preset)
    with pytest.raises(KeyboardInterrupt):
        run_alone(tmp_path / "parts", field, tell, **preset)
    resumed = run_alone(tmp_path / "parts", field, tell, **preset)
    assert heard == list(range(1, 21))
    assert resumed["curve"]["steps"] == whole["curve"]["steps"] and resumed["curve"]["psnr"] == whole["curve"]["psnr"]
    one, two = (
        load_file(tmp_path / part / "out" / whole["folder"] / "field.safetensors") for part in ("whole", "parts")
    )
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_what_is_left_of_an_unfinished_cell_is_made_good(tmp_path):
    """A damaged state is trained anew; a finished cell leaves none."""
    preset = load_preset(str(write_preset(tmp_path, seeds=1)))
    cells = cells_of(preset, prepare_inputs(preset, tmp_path / "out" / "inputs"))
    for cell in cells:
        (tmp_path / "out" / cell.folder).mkdir(parents=True)
        (tmp_path / "out" / cell.folder / unfinished.FILE).write_bytes(b"half a")
    assert len(run_bench(preset, tmp_path / "out", "winner-ns bench tiny", workers=1)) == len(cells)
    assert not list((tmp_path / "out").rglob(unfinished.FILE))


def _alive(process):
    """Whether a process still runs (one that has ended but that nobody has asked for does not)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.mark.slow
@pytest.mark.parametrize("field", ["siren", "noisy-start"])
def test_a_cell_is_what_ns_train_trains_bit_for_bit(field, tmp_path, ns_train, runs):
    record = run_alone(tmp_path, field)
    flags = ["--pipeline.model.field.family", "siren"]
    if field == "noisy-start":
        flags = ["--pipeline.model.law", "explicit", "--pipeline.model.s0", 8, "--pipeline.model.s1", 0.1]
    done = ns_train(
        "--data", tmp_path / "picture.png", "--max-num-iterations", 20, "--machine.seed", 0,
        "--pipeline.datamanager.batch-size", 300, "--pipeline.model.field.width", 16, *flags,
    )  # fmt: skip
    assert done.status == 0, done.errors
    theirs = winner_ns.load_field(runs()[0] / "results" / "field.safetensors")
    ours = winner_ns.load_field(tmp_path / "out" / record["folder"] / "field.safetensors")
    for name, value in theirs.network.state_dict().items():
        assert torch.equal(value, ours.network.state_dict()[name]), name
    assert ours.description == replace(theirs.description, data=ours.description.data)


def test_denoising_is_judged_by_the_clean_signal(tmp_path):
    changes = {
        "task": "denoise",
        "sigma": 0.3,
        "metrics": ["psnr_best", "psnr"],
        "fields": {"siren": "siren:omega_0=8"},
    }
    record = run_alone(tmp_path, "siren", **changes, steps=200)
    figures, files = record["figures"], tmp_path / "out" / record["folder"]
    clean = np.asarray(Image.open(tmp_path / "picture.png")).astype(float)
    fitted = winner_ns.load_field(files / "field.safetensors").grid((32, 32))[..., 0]
    assert figures["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((fitted - clean) ** 2)))
    assert figures["psnr_best"] == max(record["curve"]["psnr"]) >= figures["psnr"] - 1e-9
    # The mean square of 1024 Gaussian numbers is within 20 % of its expectation (more than four standard errors).
    assert figures["psnr_noisy"] == pytest.approx(10 * np.log10(4 / 0.3**2), abs=0.8)
    assert figures["psnr"] > figures["psnr_noisy"] + 3  # Or nothing was removed.
    noisy = np.asarray(Image.open(files / "noisy.png")).astype(float)
    assert 0.15 < np.std(noisy - clean) / 127.5 < 0.33


def test_classical_denoisers_stand_beside_the_fields_and_are_named_where_they_are_better(tmp_path):
    changes = {
        "task": "denoise",
        "sigma": 0.3,
        "metrics": ["psnr"],
        "fields": {"denoise": "winner:purpose=denoise", "clean": "winner:purpose=denoise"},
        "departures": {"clean": {"denoiser": "tv"}},
        "seeds": 1,
    }
    preset, records = run_here(tmp_path, **changes)
    by_name = {record["field"]: record for record in records}
    clean = np.asarray(Image.open(tmp_path / "picture.png")).astype(float)[..., None] / 127.5 - 1
    noise = np.random.default_rng(0).normal(0, 0.3 * 127.5, clean.shape)
    noisy = ((clean + 1) * 127.5 + noise).astype(np.float32).astype(float) / 127.5 - 1
    for name in ("nl-means", "tv", "wavelets", "wiener"):
        found = denoised(noisy, denoisers_for(2)[name])
        for record in records:
            # Samples are in single precision.
            wanted = 10 * np.log10(4 / np.mean((found - clean) ** 2))
            assert record["figures"][f"psnr_by_{name.replace('-', '_')}"] == pytest.approx(wanted, abs=1e-3)
    assert by_name["denoise"]["settings"]["departures"] == {}
    (line,) = better_without_fields(preset, records)
    classical = {name: records[0]["figures"][f"psnr_by_{name.replace('-', '_')}"] for name in denoisers_for(2)}
    best = max(classical, key=classical.__getitem__)
    assert line.startswith(f"picture: {best}, no field, is better with ")
    assert line in (tmp_path / "out" / "results.md").read_text()
    assert f"{best}, no field, is better" in (tmp_path / "out" / "report.html").read_text()
    # All samples are judged, those that were withheld for the stop among them.
    kept = winner_ns.load_field(tmp_path / "out" / by_name["denoise"]["folder"] / "field.safetensors")
    assert kept.description.holdout == "0.05"
    error = np.mean((kept.grid((32, 32))[..., 0] / 127.5 - 1 - clean[..., 0]) ** 2)
    assert by_name["denoise"]["figures"]["psnr"] == pytest.approx(10 * np.log10(4 / error), abs=1e-3)


@pytest.mark.slow
def test_withheld_samples_have_figures_and_a_baseline(tmp_path):
    changes = {"task": "heldout", "holdout": 0.25, "metrics": ["psnr_heldout", "psnr"], "seeds": 1}
    _, records = run_here(tmp_path, **changes)
    assert all(np.isfinite(r["figures"]["psnr_heldout"]) and r["curve"]["psnr_heldout"] for r in records)
    baseline = records[0]["figures"]["psnr_interpolation"]
    assert f"| classical interpolation | {baseline:.2f} |" in (tmp_path / "out" / "results.md").read_text()


@pytest.mark.slow
def test_sounds_can_be_listened_to_and_one_field_that_fails_costs_only_itself(tmp_path):
    """The paper's law knows no shapes and videos; everything else of the benchmark is there."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("What is here.")
    time_ = np.arange(2000) / 8000
    soundfile.write(tmp_path / "data" / "tone.wav", 0.4 * np.sin(2 * np.pi * 2500 * time_), 8000)
    SAMPLES["gif"].write(tmp_path / "data" / "walk.gif")
    preset = write_preset(
        tmp_path, kind="any", signals=["gif"], seeds=1, fields={"siren": "siren", "paper": "winner:law=paper"}, steps=5
    )
    with pytest.raises(SignalError, match=r"1 of 4 cells failed, walk, paper, seed 0: .*video") as caught:
        run_bench(load_preset(str(preset)), tmp_path / "out", "x", tmp_path / "data", 1, tell=lambda line: None)
    assert "\n" not in str(caught.value)
    records = json_lines(tmp_path)
    assert {(r["signal"], r["field"]) for r in records} == {("tone", "siren"), ("tone", "paper"), ("walk", "siren")}
    (siren,) = [r for r in records if (r["signal"], r["field"]) == ("tone", "siren")]
    assert siren["size"] == "2,000 samples, 8000 Hz"
    heard = soundfile.read(tmp_path / "out" / siren["folder"] / "fitted.flac")
    assert heard[1] == 8000 and heard[0].shape == (2000,)
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert sum(link.startswith("data:audio/flac") for link in page.links) == 3  # The original and two fields.


def test_a_machine_that_starts_no_more_processes_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(SignalError, match=r"cells failed, .*no process to train it could be started"):
        run_bench(load_preset(str(write_preset(tmp_path))), tmp_path / "out", "x", workers=2, tell=lambda line: None)


def test_the_report_compares_fields_that_have_a_figure_for_all_seeds(tmp_path):
    """One that diverged with a seed is neither first nor second."""
    preset = load_preset(str(write_preset(tmp_path)))
    values = {"plain": [30.0, 30.0], "good": [40.0, 40.0], "diverged": [90.0, None]}

    def finding(metric):
        records = [
            {"signal": "picture", "field": field, "family": "siren", "seed": seed, "figures": {metric: value}}
            for field, of_seeds in values.items()
            for seed, value in enumerate(of_seeds)
        ]
        return finding_of(replace(preset, metrics=(metric,)), records, "picture")

    assert "good is best with 40" in finding("psnr") and "10 ahead of plain" in finding("psnr")
    seconds = finding("training_seconds")
    assert "plain is best with 30" in seconds and "10 ahead of good" in seconds


def record_of(field, seed, signal="picture", curve=None, **figures):
    """What a cell would have said, as far as tables and charts read it."""
    family = field.partition("-")[0]
    return {
        "signal": signal, "kind": "image", "field": field, "family": family, "seed": seed, "figures": figures,
        "curve": curve or {}, "noise": None, "size": "",
    }  # fmt: skip


def written(path, folder, preset, records, cells):
    """results.csv, results.md and report.html of these records, whose cells lie in the folder, as text."""
    charts = charts_of(preset, records)
    write_csv(path / "results.csv", records)
    write_markdown(path / "results.md", preset, records, charts, "x", {}, cells)
    write_report(path / "report.html", folder, preset, records, charts, "x", {}, cells)
    return [(path / name).read_text() for name in ("results.csv", "results.md", "report.html")]


def words_of(svg):
    return {text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()}


def test_seeds_that_are_missing_are_told_and_win_nothing(finished, tmp_path):
    folder, records, _ = finished
    preset = load_preset(str(folder / "tiny.yaml"))
    kept = [r for r in records if (r["field"], r["seed"]) not in (("siren", 1), ("noisy-start", 0))]
    table, markdown, report = written(tmp_path, folder / "out", preset, kept, cells=4)
    assert markdown.count("(1 of 2)") == 2 and report.count("(1 of 2)") == 2
    assert "**" not in markdown and 'class="best' not in report and "is best" not in report
    assert "2 of 4 cells are done" in markdown and "2 of 4 cells are done" in report
    for row in csv.DictReader(table.splitlines()):
        assert row["psnr_n"] == "1" and row["psnr_mean"] and row["psnr_sd"] == ""
    one = replace(preset, seeds=1)
    _, markdown, report = written(tmp_path, folder / "out", one, [r for r in records if r["seed"] == 0], cells=2)
    assert markdown.count("**") == 2 and "of 2 cells" not in markdown
    assert "One seed;" in markdown and "One seed;" in report and "± " not in markdown


def test_equal_fields_are_all_best_and_a_winner_without_noise_is_named_as_siren(tmp_path):
    preset = load_preset(str(write_preset(tmp_path, seeds=1)))
    records = [record_of(field, 0, psnr=value) for field, value in (("siren", 27.09), ("winner", 27.09), ("rff", 20.0))]
    told = finding_of(preset, records, "picture")
    assert "siren and winner are equal with 27.09" in told and "7.1 ahead of rff" in told
    assert "winner had no noise added" in told and "plain SIREN" in told
    assert best_fields(records, "picture", "psnr", 1) == ["siren", "winner"]
    records[1]["noise"] = {"s0": 400.0, "s1": 0.9}
    assert "plain SIREN" not in finding_of(preset, records, "picture")
    records[1]["figures"]["psnr"] = 27.5
    assert "winner is best with 27.5" in finding_of(preset, records, "picture")


def test_the_table_of_fields_says_what_each_is_and_where_it_has_no_noise(finished, tmp_path):
    folder, records, _ = finished
    preset = load_preset(str(folder / "tiny.yaml"))
    records = [{name: value for name, value in r.items() if name != "settings"} for r in records]
    other = [{**r, "signal": "flat", "noise": r["noise"] and {"s0": 0.0, "s1": 0.0}} for r in records]
    _, markdown, report = written(tmp_path, folder / "out", preset, [*records, *other], cells=8)
    assert "picture 8 / 0.1, flat none" in Page(report).texts
    assert "made of" not in Page(report).texts and "## Fields" not in markdown
    text = {"siren": "siren", "noisy-start": "noisy-start=winner:s0=8,s1=0.1"}
    plan = {"field": {"width": 16, "depth": 4}}
    said = [{**r, "settings": {"text": text[r["field"]], "plan": plan}} for r in records]
    _, markdown, report = written(tmp_path, folder / "out", preset, [*other, *said], cells=8)
    assert {"made of", "winner:s0=8,s1=0.1", "16 x 4"} <= set(Page(report).texts)
    assert "- siren: siren, 16 x 4\n- noisy-start: winner:s0=8,s1=0.1, 16 x 4\n" in markdown


def test_names_that_mean_something_to_tables_and_charts_are_shown_as_they_are(tmp_path):
    preset = load_preset(str(write_preset(tmp_path, seeds=1)))
    signals = ["[x]", "a|b", "mean", r"$\no$"]
    records = [record_of(field, 0, signal, psnr=20.0) for signal in signals for field in ("siren", "finer")]
    (table,) = terminal_tables(preset, records)
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    assert all(name in console.file.getvalue() for name in [*signals, "mean of all"])
    titles = [title.plain for title in (column.header for column in table.columns[1:])]
    assert titles == [*signals, "mean of all"]
    assert rows_of(records[:4], "psnr", 1)[0] == ["[x]", "a|b", "mean"]
    write_markdown(tmp_path / "results.md", preset, records, {}, "x", {}, len(records))
    lines = [line for line in (tmp_path / "results.md").read_text().splitlines() if line.startswith("|")]
    assert {len(re.split(r"(?<!\\)\|", line)) for line in lines} == {1 + 1 + len(signals) + 1 + 1}
    heldout = [record_of("siren", 0, signal, psnr=20.0, psnr_heldout=19.0) for signal in signals]
    assert set(signals) <= words_of(between_samples_chart(heldout, ["siren"]))


def test_a_field_has_one_colour_in_all_charts_and_one_that_is_not_shown_has_none(tmp_path):
    fields = [f"siren-{number}" for number in range(14)]
    preset = load_preset(str(write_preset(tmp_path, fields=dict.fromkeys(fields[:2], "siren"), seeds=1)))
    curve = {"steps": [0, 1], "seconds": [0.0, 1.0], "psnr": [1.0, 2.0]}
    records = [record_of(field, 0, psnr=20.0 + k, psnr_heldout=20.0 - k, curve=curve) for k, field in enumerate(fields)]
    shown = shown_fields(preset, fields)
    assert len(shown) == len(set(colours(shown).values())) == 12
    for chart in charts_of(preset, records).values():
        drawn = chart.svg.decode()
        assert {word for word in words_of(chart.svg) if word.startswith("siren-")} == set(shown)
        assert all(colour in drawn for colour in [*colours(shown).values(), OTHERS])


def test_curves_of_shapes_say_what_they_are_and_tell_good_ones_apart(tmp_path):
    def drawn(*ends):
        records = [
            record_of("siren", seed, iou=end, curve={"steps": [0, 1], "seconds": [0.0, 1.0], "iou": [0.1, end]})
            for seed, end in enumerate(ends)
        ]
        (chart,) = charts_of(
            load_preset(str(write_preset(tmp_path, kind="shape", signals=["bunny"], metrics=["iou"]))), records
        ).values()
        return chart.title, words_of(chart.svg)

    title, words = drawn(0.5, 0.6)
    assert "IoU within the bounding box, estimated" in title and "IoU within the bounding box, estimated" in words
    title, words = drawn(0.996, 1.0)
    assert "IoU within the bounding box, estimated" in title and "1 − IoU within the bounding box, estimated" in words


@pytest.mark.slow
def test_heat_maps_stand_in_rows_of_two(tmp_path):
    preset = load_preset(str(write_preset(tmp_path, sweep={"s0": [0, 30], "s1": [0, 1]}, seeds=1)))

    def size(count):
        records = [
            record_of(f"winner,s0={a},s1={b}", 0, f"signal-{number}", psnr=20.0)
            for number in range(count) for a in (0, 30) for b in (0, 1)
        ]  # fmt: skip
        svg = sweep_chart(preset, records)
        assert {f"signal-{number}" for number in range(count)} <= words_of(svg)
        root = ElementTree.fromstring(svg)
        return tuple(float(root.get(side).removesuffix("pt")) for side in ("width", "height"))

    (one, high), two, four = size(1), size(2), size(4)
    assert two == (2 * one, high) and four == (2 * one, 2 * high)


@pytest.mark.slow
def test_files_that_are_gone_leave_a_tile_that_says_so(finished, tmp_path):
    folder, records, _ = finished
    preset = load_preset(str(folder / "tiny.yaml"))
    shutil.copytree(folder / "out", tmp_path / "out")
    first = {r["field"]: tmp_path / "out" / r["folder"] for r in records if r["seed"] == 0}

    def pictures():
        report = written(tmp_path, tmp_path / "out", preset, records, cells=4)[2]
        links = [link for link in Page(report).links if link.startswith(("data:image/png", "data:image/jpeg"))]
        return Page(report).texts.count("files are gone"), len(links)

    assert pictures() == (0, 5)
    shutil.rmtree(first["siren"])
    assert pictures() == (1, 3)  # The original is another cell's.
    shutil.rmtree(first["noisy-start"])
    assert pictures() == (2, 1)  # That of another seed.
    shutil.rmtree(tmp_path / "out" / "cells")
    assert pictures() == (3, 0)
    again = run_bench(preset, tmp_path / "out", "again", workers=1, tell=lambda line: None)
    assert len(again) == 4


def test_tiles_show_a_figure_that_the_signal_has_and_the_best_is_that_of_the_table(finished):
    folder, records, _ = finished
    preset = replace(load_preset(str(folder / "tiny.yaml")), metrics=("iou", "psnr"))
    # With the first seed siren is ahead, on the mean it is not.
    psnr = {("siren", 0): 30.0, ("siren", 1): 10.0, ("noisy-start", 0): 25.0, ("noisy-start", 1): 24.0}
    records = [{**r, "figures": {**r["figures"], "psnr": psnr[r["field"], r["seed"]]}} for r in records]
    tiles, _ = tiles_of(folder / "out", preset, records, ["siren", "noisy-start"])
    shown = {tile.title: (tile.figure, tile.best) for tile in tiles}
    assert shown == {"original": ("", False), "siren": ("30.00 dB", False), "noisy-start": ("25.00 dB", True)}


@pytest.mark.slow
def test_a_surface_is_shown_and_kept_as_a_mesh(tmp_path, torus):
    import trimesh

    changes = {"kind": "shape", "signals": [str(torus)], "metrics": ["iou"], "resolution": 32, "width": 64}
    record = run_alone(tmp_path, "siren", **changes, batch=2000, steps=60)
    files = tmp_path / "out" / record["folder"]
    mesh = trimesh.load(files / "fitted.ply", process=False)
    original = trimesh.load(torus, process=False)
    assert record["figures"]["iou"] > 0.9 and mesh.is_watertight
    largest = max(mesh.split(only_watertight=False), key=lambda part: part.area)  # Specks may be beside it.
    assert np.abs(largest.bounds - original.bounds).max() < 0.05 * original.extents.max()
    shown = np.asarray(Image.open(files / "fitted.png")).astype(float)
    expected = np.asarray(Image.open(files / "original.png")).astype(float)
    assert np.abs(shown - expected).mean() < 6  # Of 255: what is covered is the same, the lighting nearly.


WRONG = [
    ({"setps": 20}, ["no key setps", "did you mean steps?"]),
    ({"budgets": {"short": {"seed": 1}}}, ["no key budgets.short.seed", "did you mean seeds?"]),
    ({"budgets": {"long": {}}}, ["no key budgets.long", "short, paper"]),
    ({"steps": "many"}, ["steps is 'many'", "whole number"]),
    ({"batch": -1}, ["batch is -1"]),
    ({"seeds": True}, ["seeds is True"]),
    ({"task": "train"}, ["task is 'train'", "fit, denoise, heldout"]),
    ({"title": None}, ["title is missing"]),
    ({"metrics": ["psrn"]}, ["metrics: psrn", "did you mean psnr?"]),
    ({"fields": {"a": "sirem"}}, ["fields.a: sirem", "did you mean siren?"]),
    ({"fields": {"a": "siren:omega=30"}}, ["fields.a: siren has no setting 'omega'"]),
    ({"fields": {}}, ["fields is {}"]),
    ({"laws": ["papper"]}, ["laws: papper", "did you mean paper?"]),
    ({"signals": ["camra"]}, ["camra", "did you mean camera?"]),
    ({"signals": ["chiptune"]}, ["of the kind audio, the preset's are image"]),
    ({"sigma": 0.1}, ["the task is fit and sigma 0.1"]),
    ({"sweep": {"s0": [1]}}, ["one or two settings"]),
    ({"departures": {"siren": {"noise_layer": [1]}}}, ["departures.siren.noise_layer", "did you mean noise_layers?"]),
    ({"departures": {"other": {"noise_layers": [1]}}}, ["other is none of the fields"]),
    ({"departures": {"siren": {"sampling": "hard"}}}, ["sampling is 'hard'", "by-loss"]),
    ({"departures": {"siren": {"denoiser": "median"}}}, ["denoiser is 'median'", "nl-means"]),
    ({"departures": {"siren": {"denoiser": "tv"}}}, ["a denoiser is nothing for the task fit", "take it out"]),
]


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_a_broken_preset_gives_one_line_that_helps(changes, told, tmp_path, capsys):
    preset = write_preset(tmp_path, **changes)
    capsys.readouterr()
    assert main(["bench", str(preset), "--out", str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert line.startswith("winner-ns: error: ") and line.count("\n") == 1
    for part in told:
        assert part in line


LOST = [
    ({"laws": ["matching", "paper"], "fields": {"winner": "winner", "winner-paper": "siren:lr=1e-2"}},
     ["two fields winner-paper"]),
    ({"laws": ["paper"], "fields": {"winner": "winner:purpose=fit", "siren": "siren"}}, ["laws: there is no field"]),
    ({"fields": {"a": "winner:lr=1e-3,lr=1e-4"}}, ["fields.a", "each setting once"]),
    ({"sweep": {"s0": [10, 10.0]}}, ["sweep.s0", "each number once"]),
    ({"fields": {"a": "siren", "A": "finer"}}, ["fields.A: there is another field called A"]),
    ({"holdout": 0.1}, ["holdout is nothing for the task fit"]),
    ({"between": "splines"}, ["between is 'splines'", "one of kriging, none"]),
    ({"between": "kriging", "kind": "shape", "signals": ["bunny"], "metrics": ["iou"]}, ["nothing for shapes"]),
    ({"between": "kriging", "departures": {"siren": {"sampling": "by-loss"}}}, ["between is nothing", "sampling"]),
    ({"fields": {"a": "siren:between=kriging"}, "departures": {"a": {"sampling": "by-loss"}}}, ["between is nothing"]),
    ({"fields": {"a": "winner:purpose=fit"}, "departures": {"a": {"constants_of": "image"}}},
     ["departures.a.constants_of and winner:purpose=fit both"]),
    ({"metrics": ["iou"]}, ["metrics: iou is of shape, not of image"]),
    ({"metrics": ["psnr", "snr"]}, ["metrics: snr is of audio"]),
    ({"metrics": ["psnr_heldout"]}, ["psnr_heldout is of the task heldout, not of fit"]),
    ({"kind": "shape", "signals": ["bunny"], "metrics": ["iou"], "task": "heldout"}, ["use the task fit for shapes"]),
]  # fmt: skip
UNTRAINABLE = [
    ({"fields": {"siren": "siren", "winner": "winner:purpose=ft"}}, ["fields.winner: the purpose must be", "'ft'"]),
    ({"fields": {"siren": "siren", "winner": "winner:omega_0=-3"}}, ["fields.winner: omega_0: -3.0 is not above 0"]),
    ({"fields": {"w": "winner:law=paper,s0=3"}}, ["fields.w: the law 'paper' takes no s0"]),
    ({"fields": {"w": "winner:s1=1,depth=1"}}, ["fields.w: s1 > 0 needs"]),
    ({"fields": {"grid": "hash-grid:levels=0"}}, ["fields.grid: ", "at least 1"]),
    ({"fields": {"a": "rff:features=100000000"}}, ["fields.a: features is 100000000", "at most 65,536"]),
    ({"fields": {"a": "siren:width=100000000"}}, ["fields.a: width is 100000000", "at most 16,384"]),
    ({"sweep": {"s0": [1, 2], "s2": [1]}}, ["sweep, winner:s0=1,s2=1: winner has no setting 's2'"]),
    ({"fields": {"w": "winner"}, "departures": {"w": {"noise_layers": [99]}}},
     ["fields.w: departures.noise_layers: there is no layer 99", "sine layers 1 to 4"]),
    ({"fields": {"w": "winner:depth=2"}, "departures": {"w": {"noise_layers": [1, 3]}}}, ["no layer 3", "1 to 2"]),
    ({"fields": {"w": "winner"}, "departures": {"w": {"noise_layers": [True]}}}, ["w.noise_layers is [True]"]),
    ({"steps": 10**12}, ["steps is 1000000000000", "at most 100,000,000"]),
    ({"steps": 0.5}, ["steps is 0.5", "whole number"]),
    ({"width": 100_000_000}, ["width is 100000000", "at most"]),
    ({"depth": 100_000_000}, ["depth is 100000000", "at most"]),
    ({"resolution": 100_000_000}, ["resolution is 100000000", "at most"]),
    ({"seeds": 1_000_000}, ["seeds is 1000000", "at most"]),
    ({"seeds": 10_000, "sweep": {"s0": list(range(50))}}, ["10000 seeds of 52 fields on 1 signals are 520,000 cells"]),
    ({"sweep": {"s0": list(range(60)), "s1": list(range(60))}}, ["at most 2,500 combinations"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), LOST + UNTRAINABLE)
def test_what_would_be_lost_or_fail_later_is_refused_before_training(changes, told, tmp_path, capsys):
    preset = write_preset(tmp_path, **changes)
    capsys.readouterr()
    assert main(["bench", str(preset), "--out", str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"winner-ns: error: {preset}: ") and line.count("\n") == 1 and len(line) < 600
    assert "--pipeline" not in line
    for part in told:
        assert part in line
    assert not (tmp_path / "out" / "cells").exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("steps: 20", "steps: 20\nsteps: 5"), "line 14: steps is there twice, in line 13, too"),
        (("  siren: siren", "  siren: siren\n  siren: finer"), "line 9: siren is there twice, in line 8, too"),
        (("title: Two", f"title: {'[' * 3000}"), "too many brackets"),
        (("steps: 20", f"steps: {'7' * 5000}"), "line 13: '7777"),
        (("steps: 20", f"steps: 0x{'f' * 5000}"), "steps is far too large"),
        (("title: Two fields on a small picture", "title: 2024-13-45"), "line 1: '2024-13-45' cannot be"),
        (("steps: 20", "steps: !!int ''"), "line 13: '' cannot be"),
        (("title: Two fields on a small picture", "title: &a [*a, *a]"), "title is [[["),
    ],
)
def test_yaml_that_says_something_twice_or_cannot_be_is_one_line(changed, told, tmp_path, capsys):
    preset = write_preset(tmp_path)
    text = preset.read_text()
    assert text.count(changed[0]) == 1
    preset.write_text(text.replace(*changed))
    capsys.readouterr()
    assert main(["bench", str(preset), "--out", str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1 and len(line) < 400


def test_numbers_may_have_an_exponent_without_a_dot(tmp_path):
    preset = write_preset(tmp_path, task="denoise")
    text = preset.read_text().replace(
        "steps: 20", "steps: 1e3\nsigma: 1e-1\nsweep: {lr: [1e-3, 2E-3], s0: [1e3, 2.5e+3]}"
    )
    preset.write_text(text)
    preset = load_preset(str(preset))
    assert (preset.steps, preset.sigma) == (1000, 0.1) and isinstance(preset.steps, int)
    assert preset.sweep == {"lr": (0.001, 0.002), "s0": (1000.0, 2500.0)}


def test_a_sweep_s_numbers_are_trained_as_they_were_written(tmp_path):
    given = [0, 0.1, 30, 100000, 1234567, 1234567.5, 1234568, 1e-5]
    preset = load_preset(str(write_preset(tmp_path, sweep={"s0": given}, seeds=1)))
    cells = {cell.field: cell for cell in cells_of(preset, prepare_inputs(preset, tmp_path / "inputs"))}
    assert [cell.plan.s0 for cell in list(cells.values())[2:]] == given
    assert list(cells)[2:] == [
        f"winner,s0={text}" for text in ("0", "0.1", "30", "100000", "1234567", "1234567.5", "1234568", "1e-05")
    ]


@pytest.mark.parametrize("size", [None, 16])
def test_what_cannot_be_read_of_a_folder_is_left_out_and_said(size, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    write_picture(data / "whole.png")
    for name, content in {
        "cut.png": (data / "whole.png").read_bytes()[:200], "empty.jpg": b"", ".hidden": b"x", "README.md": b"Read.",
        "a.txt": b"a", "b.txt": b"b", "c.txt": b"c", "tone.wav": b"RIFF0000WAVE",
    }.items():  # fmt: skip
        (data / name).write_bytes(content)
    (data / "raw").mkdir()
    preset = load_preset(str(write_preset(tmp_path, size=size)))
    capsys.readouterr()
    assert [each.name for each in prepare_inputs(preset, tmp_path / "inputs", data)] == ["whole"]
    others, cut, empty = capsys.readouterr().err.splitlines()
    assert "left out: README.md, a.txt, b.txt, c.txt and 2 more" in others and "image" in others
    assert cut.startswith(f"winner-ns: warning: {data / 'cut.png'}: left out: ") and "damaged" in cut
    assert str(data / "empty.jpg") in empty and "empty" in empty
    (data / "whole.png").unlink()
    with pytest.raises(SignalError, match="holds no files of the kind image that can be read"):
        prepare_inputs(preset, tmp_path / "inputs", data)
    named = write_preset(tmp_path, size=size, signals=["data/cut.png"])
    assert main(["bench", str(named), "--out", str(tmp_path / "out")]) == 1
    assert "cut.png: is a cut or damaged image" in capsys.readouterr().err


def test_images_of_all_formats_are_reduced_together(tmp_path, monkeypatch):
    import cv2
    import tifffile

    data = tmp_path / "data"
    data.mkdir()
    write_picture(data / "picture.png")
    values = np.random.default_rng(0).uniform(-3, 900, (32, 24, 3)).astype(np.float32)
    means = values.reshape(16, 2, 12, 2, 3).mean((1, 3))
    np.save(data / "a.npy", values)
    tifffile.imwrite(data / "b.tiff", values)
    assert cv2.imwrite(str(data / "c.exr"), values[..., ::-1])
    deep = (values.clip(0) * 70).astype(np.uint16)
    assert cv2.imwrite(str(data / "d.png"), deep[..., ::-1])
    preset = load_preset(str(write_preset(tmp_path, size=16)))
    inputs = {each.name: each for each in prepare_inputs(preset, tmp_path / "inputs", data)}
    assert list(inputs) == ["a", "b", "c", "d", "picture"]
    for name in "abc":
        signal = load_signal(inputs[name].path)
        shown = signal.samples * 451.5  # Half the range of the values, but for what is missing at its ends.
        assert signal.shape == (16, 12) and signal.samples.dtype == np.float32
        assert np.abs((shown - shown.mean()) - (means - means.mean())).max() < 2
    small = np.asarray(Image.open(inputs["d"].path)).astype(float)
    assert np.abs(small - deep.reshape(16, 2, 12, 2, 3).mean((1, 3)) / 257).max() < 1.5


def test_files_of_a_folder_that_are_called_alike_are_all_there(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a.png", "a.bmp", "a-png.png", "a-bmp.png"):
        write_picture(tmp_path / "data" / name)
    inputs = prepare_inputs(load_preset(str(write_preset(tmp_path))), tmp_path / "inputs", tmp_path / "data")
    assert len({each.name for each in inputs}) == len({each.path for each in inputs}) == 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("imges", "did you mean images?"),
        ("nowhere.yaml", "does not exist"),
        ("reference-recipe", "is no preset"),
    ],
)
def test_an_unknown_preset_names_the_nearest(name, told, capsys):
    assert main(["bench", name]) == 1
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1


def test_what_is_no_yaml_says_where(tmp_path):
    (tmp_path / "broken.yaml").write_text("title: a\nfields: {siren: siren\nsteps: 3\n")
    with pytest.raises(SignalError, match="no YAML at line 3"):
        load_preset(str(tmp_path / "broken.yaml"))
    (tmp_path / "code.yaml").write_text("title: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(SignalError, match="no YAML"):
        load_preset(str(tmp_path / "code.yaml"))


def test_a_damaged_result_is_named_not_lost(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"key": "a", "figures": {}, "curve": {}}\nnonsense\n{}\n')
    with pytest.raises(SignalError, match="line 2 is no result"):
        ResultsFile(tmp_path / "results.jsonl")


@pytest.mark.slow
def test_ctrl_c_leaves_a_report_of_what_is_there(tmp_path):
    preset = load_preset(str(write_preset(tmp_path)))
    lines = []

    def tell(line):
        lines.append(line)
        if line.startswith("   1/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bench(preset, tmp_path / "out", "x", workers=1, tell=tell)
    assert lines[-1] == "stopped after 1 of 4 cells; the same command goes on"
    assert "1 of 4" in (tmp_path / "out" / "report.html").read_text()
    assert len(run_bench(preset, tmp_path / "out", "x", workers=1, tell=lines.append)) == 4


def test_a_folder_belongs_to_one_benchmark(finished, tmp_path, capsys):
    """Another preset, budget or data, or anything else in it: nothing of it is touched."""
    folder, _, _ = finished
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    other = write_preset(tmp_path, steps=1).rename(tmp_path / "other.yaml")
    for arguments in ([other], [folder / "tiny.yaml", "--budget", "paper"], [folder / "tiny.yaml", "--data", tmp_path]):
        assert main(["bench", *map(str, arguments), "--out", str(folder / "out")]) == 1
        told = capsys.readouterr().err
        assert "is the benchmark tiny --budget short, not" in told and told.count("\n") == 1
    assert before == {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}

    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "bench.json").write_text("[1, 2]")
    assert main(["bench", str(other), "--out", str(tmp_path / "listed")]) == 1
    assert "bench.json: cannot be read (it is no benchmark's)" in capsys.readouterr().err

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.jsonl").write_text("my notes, without a line's end")
    assert main(["bench", str(other), "--out", str(tmp_path / "mine")]) == 1
    assert "is not empty, and no benchmark's" in capsys.readouterr().err
    assert (tmp_path / "mine" / "results.jsonl").read_text() == "my notes, without a line's end"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["results.jsonl"]


@pytest.mark.slow
def test_after_a_failure_the_others_are_shown_and_the_message_is_kept_in_full(tmp_path, capsys):
    fields = {"siren": "siren", "paper": "winner:law=paper"}  # Which knows no videos.
    preset = write_preset(tmp_path, kind="any", signals=["gif"], fields=fields, seeds=1, steps=2)
    assert main(["bench", str(preset), "--out", str(tmp_path / "out"), "--workers", "1"]) == 1
    told = capsys.readouterr()
    assert "1 of 2 cells failed" in told.err and str(tmp_path / "out" / "errors.log") in told.err
    assert "│ siren │" in told.out and "│ paper" not in told.out
    assert "Traceback" in (tmp_path / "out" / "errors.log").read_text()
    assert [line for line in told.out.splitlines() if line.startswith("   1/2")][0].endswith("left")


def test_a_record_says_all_that_its_cell_was_made_of(finished):
    _, records, _ = finished
    (record,) = [each for each in records if each["field"] == "noisy-start" and each["seed"] == 0]
    settings = record["settings"]
    assert settings["text"] == "noisy-start=winner:s0=8,s1=0.1"
    plan = settings["plan"]
    assert (plan["field"]["width"], plan["law"], settings["batch"], settings["steps"]) == (16, "explicit", 300, 20)


@pytest.mark.slow
def test_two_programs_share_a_benchmark(tmp_path):
    """One leads, the other joins; who is left takes over. Each cell is trained once."""
    preset, out = write_preset(tmp_path, steps=200, seeds=3), tmp_path / "out"
    program = "import sys; from winner_ns.commands.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "bench", preset, "--out", out, "--workers", "1"]
    leader = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "work" / CELLS).exists():
        time.sleep(0.02)
        assert leader.poll() is None
    lines, killed = [], []

    def tell(line):
        lines.append(line)
        if "joining it" in line:
            while not list((out / "work").glob("*.done")):
                time.sleep(0.01)
            leader.kill()
            killed.extend(json_lines(tmp_path))

    records = run_bench(load_preset(str(preset)), out, "x", workers=1, tell=tell)
    assert leader.wait() == -signal.SIGKILL and lines[0] == "another program leads this benchmark; joining it"
    stored = json_lines(tmp_path)
    assert len(records) == len(stored) == 6 and len({record["key"] for record in stored}) == 6
    assert killed and stored[: len(killed)] == killed and not (out / "work").exists()


@pytest.mark.slow
def test_a_cell_whose_process_is_killed_costs_itself_alone(tmp_path, monkeypatch):
    """As by a system that is out of memory; it is tried once more."""
    fields = {"siren": "siren"}
    preset, out = load_preset(str(write_preset(tmp_path, fields=fields, steps=10**6, seeds=1))), tmp_path / "out"
    killed = []

    def kill():
        while len(killed) < 2:
            for lease in (out / "work").glob("[!.]*.lease"):
                with suppress(OSError, ValueError, ProcessLookupError):
                    owner = json.loads(lease.read_text())
                    if owner["process"] not in killed:
                        killed.append(owner["process"])
                        os.kill(owner["process"], signal.SIGKILL)
            time.sleep(0.01)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(SignalError, match=r"1 of 1 cell failed, .*: the process was ended by signal 9") as caught:
        run_bench(preset, out, "x", workers=1, tell=lambda line: None)
    assert "\n" not in str(caught.value) and len(set(killed)) == 2


@pytest.mark.slow
def test_the_presets_that_come_along_can_all_be_run(capsys):
    assert main(["bench", "--list"]) == 0
    listed = capsys.readouterr().out
    for budget in BUDGETS:
        presets = {preset.name: preset for preset in list_presets(budget)}
        assert {"audio", "images", "denoising-images", "denoising-audio", "shapes", "bottleneck"} <= set(presets)
        for name, preset in presets.items():
            assert name in listed
            assert set(preset.signals) <= set(SAMPLES)
            kinds = {SAMPLES[signal].kind for signal in preset.signals}
            assert preset.kind == "any" or kinds == {preset.kind}
            assert cells_of(preset, []) == []  # All fields' settings are known to their families.
            assert "?" in preset.shows  # What is asked: the answer depends on the data.
    families = {text.partition(":")[0] for text in load_preset("images").fields.values()}
    assert families == set(FAMILIES)
    # Beside a map whose cells have one rate, fields with another one would say something else.
    cells = cells_of(load_preset("s0-s1-map"), [Input("a", load_preset("images").path, "image")])
    assert {cell.plan.learning_rate for cell in cells} == {5e-4}
    recipe = load_preset("paper/audio", "paper")
    assert (recipe.samples, recipe.width, recipe.depth, recipe.steps, recipe.batch) == (150_000, 222, 4, 1000, 0)


@pytest.mark.parametrize("name", SAMPLES)
def test_built_in_inputs_are_what_they_say(name, tmp_path):
    path = tmp_path / f"{name}{SAMPLES[name].suffix}"
    SAMPLES[name].write(path)
    assert detect_kind(path) == SAMPLES[name].kind


PLUGIN = """
import numpy as np
import torch
from winner_ns import Field, Kind, Law, NoiseScales, register_family, register_kind, register_law
from winner_ns.signals.image import image_of_array


class Bumps(Field):
    source = "Bumps: ours, for a test"
    sizes = ("count",)

    def __init__(self, in_dim, out_dim, *, count: int = 4, generator=None):
        super().__init__(in_dim, out_dim, {"count": count})
        self.centres = torch.nn.Parameter(torch.empty(count, in_dim).uniform_(-1, 1, generator=generator))
        self.heights = torch.nn.Parameter(torch.zeros(count, out_dim))

    @classmethod
    def default_settings(cls, task):
        return {"count": 9}

    def forward(self, x):
        return torch.exp(-4 * (x[..., None, :] - self.centres).square().sum(-1)) @ self.heights


class Half(Law):
    def __call__(self, target, network):
        if target.kind != "terrain":
            raise ValueError("this law is for terrains")
        return NoiseScales(0.5 * target.omega, 0.0)


def read(path):
    signal = image_of_array(np.loadtxt(path), path)
    signal.kind = "terrain"
    return signal


def steepness(field, target):
    return {"steepness": float(np.abs(np.diff(field.grid(target.signal.shape)[..., 0], axis=0)).max())}


register_family("bumps", Bumps)
register_law("half", Half)
register_kind(
    Kind(
        "terrain", "a terrain", "terrains", reader="tiny_plugin:read", suffixes=(".hgt",),
        figures="tiny_plugin:steepness", figure_names=("psnr", "steepness"),
    )
)
"""


@pytest.mark.slow
def test_kinds_families_and_laws_of_other_packages_are_benchmarked_like_ours(tmp_path):
    """Told by WINNER_NS_PLUGINS alone, also to the processes that train."""
    (tmp_path / "tiny_plugin.py").write_text(PLUGIN)
    np.savetxt(tmp_path / "hill.hgt", 300 * np.exp(-4 * np.square(np.mgrid[-1:1:20j, -1:1:24j]).sum(axis=0)))
    preset = write_preset(
        tmp_path, kind="terrain", signals=["hill.hgt"], seeds=1, fields={"bumps": "bumps", "w": "winner"},
        laws=["half"], metrics=["psnr", "steepness"],
    )  # fmt: skip
    program = "import sys; from winner_ns.commands.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "bench", preset, "--out", tmp_path / "out", "--workers", "1"]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "WINNER_NS_PLUGINS": "tiny_plugin", "PYTHONPATH": path}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    bumps, noisy = json_lines(tmp_path)
    assert (bumps["kind"], bumps["family"], bumps["figures"]["parameters"]) == ("terrain", "bumps", 9 * 3)
    assert noisy["settings"]["plan"]["law"] == "half"
    assert noisy["noise"]["s0"] == pytest.approx(0.5 * noisy["noise"]["omega"]) and noisy["noise"]["s0"] > 0
    assert all(record["figures"]["psnr"] > 0 and record["figures"]["steepness"] > 0 for record in (bumps, noisy))
    assert "## steepness" in (tmp_path / "out" / "results.md").read_text()
    assert "Bumps: ours, for a test" in (tmp_path / "out" / "report.html").read_text()


def test_laws_and_sweeps_become_fields(tmp_path):
    write_picture(tmp_path / "picture.png")
    preset = load_preset(
        str(
            write_preset(
                tmp_path, fields={"siren": "siren", "w": "winner:width=8", "own": "winner:law=paper"},
                laws=["matching", "paper"], sweep={"s0": [1, 20], "s1": [0.5]}, seeds=1,
            )
        )
    )  # fmt: skip
    cells = {cell.field: cell for cell in cells_of(preset, prepare_inputs(preset, tmp_path / "inputs"))}
    assert list(cells) == ["siren", "w-matching", "w-paper", "own", "winner,s0=1,s1=0.5", "winner,s0=20,s1=0.5"]
    assert [cells[name].plan.law for name in list(cells)[1:]] == ["matching", "paper", "paper", "explicit", "explicit"]
    assert cells["w-paper"].plan.field.width == 8 and cells["own"].plan.field.width == 16
    swept = cells["winner,s0=20,s1=0.5"].plan
    assert (swept.s0, swept.s1) == (20, 0.5)


def test_images_are_reduced_to_the_preset_s_size(tmp_path):
    (given,) = prepare_inputs(load_preset(str(write_preset(tmp_path, size=16))), tmp_path / "inputs")
    reduced, original = np.asarray(Image.open(given.path)), np.asarray(Image.open(tmp_path / "picture.png"))
    expected = original.reshape(16, 2, 16, 2).mean(axis=(1, 3))
    assert np.abs(reduced - expected).max() <= 1  # Rounded along either axis.


def test_noise_reaches_the_layers_that_are_named_and_no_others():
    def field():
        return Siren(1, 1, width=256, depth=4, generator=torch.Generator().manual_seed(0))

    noisy = noise_on_layers(field(), 300.0, 0.6, [2, 4], torch.Generator().manual_seed(1))
    for number, (before, after) in enumerate(zip(field().layers, noisy.layers), 1):
        added = (after.weight - before.weight).detach()
        if number in (2, 4):
            assert added.std().item() == pytest.approx(0.6 / 30, rel=0.02)  # Of 65,536 numbers: 0.3 % standard error.
        else:
            assert not added.any()
    first = noise_on_layers(field(), 300.0, 0.6, [1], torch.Generator().manual_seed(1))
    added = (first.layers[0].weight - field().layers[0].weight).detach()
    assert added.std().item() == pytest.approx(10.0, rel=0.2)


def test_samples_are_chosen_in_proportion_to_their_loss():
    losses = torch.tensor([1.0, 2.0, 5.0, 0.0])
    counts = np.bincount([int(chosen_by_loss(losses, 1, seed)[0]) for seed in range(2000)], minlength=4)
    # Four standard errors of a share of 2000 draws are at most 0.045.
    assert np.abs(counts / 2000 - np.array([1, 2, 5, 0]) / 8).max() < 0.045
    assert sorted(chosen_by_loss(losses, 4, 0).tolist()) == [0, 1, 2, 3]


def test_choosing_by_loss_and_another_kind_s_constants_change_the_training(tmp_path):
    fields = {"plain": "siren", "chosen": "siren", "image": "winner", "audio": "winner"}
    departures = {
        "chosen": {"sampling": "by-loss"}, "image": {"constants_of": "image"}, "audio": {"constants_of": "audio"},
    }  # fmt: skip
    records = {name: run_alone(tmp_path, name, fields=fields, departures=departures, seeds=1) for name in fields}
    assert records["plain"]["curve"]["psnr"][0] == records["chosen"]["curve"]["psnr"][0]
    assert records["plain"]["figures"]["psnr"] != records["chosen"]["figures"]["psnr"]
    psi = records["image"]["noise"]["psi"]
    assert records["image"]["noise"]["s0"] == pytest.approx(50 * (1 - np.exp(-5 * psi)))
    assert records["audio"]["noise"]["s0"] == pytest.approx(3500 * (1 - np.exp(-5 * psi)))


def test_constants_of_a_kind_are_those_of_its_law():
    image, network = TargetSpectrum("image", 2, 1, 0.3, 100.0), SineNetwork(2, 64, 4, 30.0, 30.0)
    assert scales_of_another_kind(image, network, "image") == PaperLaw()(image, network)
    assert scales_of_another_kind(image, network, "audio").s1 == pytest.approx(3 * 0.3)


@pytest.mark.slow
def test_a_benchmark_that_is_told_to_end_writes_what_it_has(tmp_path):
    """SIGTERM as Ctrl-C: the report of what there is, no worker left, the status that a shell gives it."""
    preset = write_preset(tmp_path, steps=40, seeds=50)
    results = tmp_path / "out" / "results.jsonl"
    program = "import sys; from winner_ns.commands.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "bench", preset, "--out", tmp_path / "out", "--workers", "1"]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not results.exists() or results.read_bytes().count(b"\n") < 2:
        assert process.poll() is None
        time.sleep(0.01)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.killpg(process.pid, signal.SIGTERM)  # As a scheduler does; the workers leave it to the main program.
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 143 and "Traceback" not in errors
    made = results.read_bytes().count(b"\n")
    assert f"stopped after {made} of 100 cells; the same command goes on" in output and "FAILED" not in output
    assert (tmp_path / "out" / "report.html").is_file() and len(json_lines(tmp_path)) == made
    assert workers and not any(_alive(int(worker)) for worker in workers)


@pytest.mark.parametrize("task", [{}, {"task": "heldout", "holdout": "every-second"}])
@pytest.mark.parametrize("entry", ["winner", "winner:between=none"])
def test_a_cell_is_trained_as_fit_trains_it(task, entry, tmp_path):
    metrics = ["psnr_heldout"] if task else ["psnr"]
    record = run_alone(tmp_path, fields={"a": entry}, metrics=metrics, seeds=1, **task)
    between = "none" if "none" in entry else None
    field = winner_ns.fit(
        tmp_path / "picture.png", width=16, steps=20, batch_size=300, seed=0, between=between,
        holdout=task.get("holdout"), progress=False,
    )  # fmt: skip
    (metric,) = metrics
    assert record["figures"][metric] == pytest.approx(field.figures[metric], abs=1e-4)

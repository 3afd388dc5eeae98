"""`ns-train winner-compare`: every field ends up as it would alone; what the run leaves, how it resumes and opens."""

from __future__ import annotations

import json
import math
import re
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from conftest import in_process
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import winner_ns
from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.export.fields_comparison import write_fields_comparison
from winner_ns.fields.families import FAMILIES
from winner_ns.fitting.field_entry import parse_entries
from winner_ns.fitting.run import FIELD_NAME, load_run, load_runs, run_figures
from winner_ns.signals import load_signal

SMALL = ("--pipeline.model.width", 16, "--pipeline.datamanager.batch-size", 300)
FIELDS = "--pipeline.model.fields"


@pytest.fixture
def compare(ns_method):
    """`ns-train winner-compare …` with results below tmp_path and without a viewer."""
    return partial(ns_method, "winner-compare")


def table(folder):
    return json.loads((folder / "figures.json").read_text())


def assert_same_weights(one, other):
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


@pytest.mark.slow
def test_three_fields_by_default_from_the_command_line_to_files(photo, compare, runs):
    finished = compare("--data", photo, "--max-num-iterations", 20)
    assert finished.status == 0, finished.errors
    (run,) = runs()
    assert run.parent.name == "winner-compare" and run.parent.parent.name == "photo"
    results = run / "results"
    assert sorted(path.name for path in results.iterdir()) == [
        "comparison.png", "figures.json", "finer", "siren", "winner",
    ]  # fmt: skip
    whole = table(results)
    assert list(whole["fields"]) == ["siren", "winner", "finer"]
    original = np.asarray(Image.open(photo)).astype(float)
    for name, of_field in whole["fields"].items():
        assert table(results / name) == of_field
        assert of_field["description"]["network"]["family"] == name
        exact = winner_ns.load_field(results / name / "field.safetensors").grid((24, 40))
        error = np.mean((exact - original) ** 2)
        assert of_field["figures"]["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=0.1)
        assert f"{of_field['figures']['psnr']:.4g}" in finished.output
        assert re.search(rf"step 1 of .*  {name} PSNR \S+ dB  ", finished.output)
        assert (results / name / "photo-fitted.png").exists() and (results / name / "comparison.png").exists()
    seconds = [of_field["training_seconds"] for of_field in whole["fields"].values()]
    assert min(seconds) > 0 and sum(seconds) == pytest.approx(whole["training_seconds"], abs=0.05)
    assert Image.open(results / "comparison.png").width > 1500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fields", "alone"),
    [
        (
            "photo",
            ["siren", "winner", "fine=rff:features=32,lr=2e-3"],
            {
                "siren": ["--pipeline.model.field.family", "siren"],
                "winner": [],
                "fine": [
                    "--pipeline.model.field.family", "rff", "--pipeline.model.field.options", "features", 32,
                    "--optimizers.field.optimizer.lr", 2e-3,
                ],
            },
        ),
        (
            "tone",
            ["winner:law=paper", "finer:first_omega_0=20"],
            {
                "winner,law=paper": ["--pipeline.model.law", "paper"],
                "finer,first_omega_0=20": [
                    "--pipeline.model.field.family", "finer", "--pipeline.model.field.options", "first_omega_0", 20.0,
                ],
            },
        ),
        (
            "torus",
            ["winner:s0=6,s1=0.05", "siren:omega_0=20"],
            {
                "winner,s0=6,s1=0.05": [
                    "--pipeline.model.law", "explicit", "--pipeline.model.s0", 6, "--pipeline.model.s1", 0.05,
                ],
                "siren,omega_0=20": [
                    "--pipeline.model.field.family", "siren", "--pipeline.model.field.omega-0", 20,
                ],
            },
        ),
    ],
)  # fmt: skip
def test_each_field_is_bit_for_bit_what_it_is_alone(kind, fields, alone, request, compare, ns_train, runs):
    flags = ("--data", request.getfixturevalue(kind), "--max-num-iterations", 40, "--machine.seed", 5)
    flags += ("--pipeline.datamanager.batch-size", 300, "--pipeline.datamanager.shape-samples", 5000)
    flags += ("--pipeline.write-results", kind != "torus")  # Its surface takes a while.
    finished = compare(*flags, FIELDS, *fields, "--pipeline.model.width", 24)
    assert finished.status == 0, finished.errors
    (together,) = runs()
    fitted = load_runs(together)
    assert list(fitted) == list(alone)
    for name, own in alone.items():
        finished = ns_train(*flags, "--pipeline.model.field.width", 24, *own)
        assert finished.status == 0, finished.errors
        run = runs()[-1]
        assert_same_weights(fitted[name], load_run(run))
        if kind == "torus":
            continue
        ours, theirs = table(together / "results" / name), table(run / "results")
        for key in ("figures", "steps", "parameters", "description"):
            assert ours[key] == theirs[key], key
        for file in (run / "results").iterdir():
            if file.suffix not in (".json", ".safetensors"):
                assert (together / "results" / name / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.slow
def test_each_field_has_its_own_curves(photo, compare, runs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fields = ("winner", "slow=winner:lr=1e-6")
    finished = compare("--data", photo, "--max-num-iterations", 60, *SMALL, FIELDS, *fields,
                       "--optimizers.field.scheduler.schedule", "constant")  # fmt: skip
    assert finished.status == 0, finished.errors
    events = EventAccumulator(str(runs()[0]))
    events.Reload()
    curves = {name: events.Scalars(f"Train Metrics Dict/{name}/psnr") for name in ("winner", "slow")}
    assert curves["winner"][0].value == curves["slow"][0].value  # The same field at the start.
    assert curves["winner"][-1].value > curves["slow"][-1].value + 1
    assert [event.value for event in events.Scalars("learning_rate/slow")] == pytest.approx([1e-6] * 60)
    assert events.Scalars("Results/slow/psnr")


def test_each_field_has_its_own_betas(photo, compare, runs):
    finished = compare("--data", photo, "--max-num-iterations", 2, *SMALL, FIELDS, "siren", "short=siren:beta2=0.5",
                       "--optimizers.field.optimizer.betas", 0.8, 0.95)  # fmt: skip
    assert finished.status == 0, finished.errors
    (checkpoint,) = (runs()[0] / "nerfstudio_models").iterdir()
    optimizers = torch.load(checkpoint, weights_only=True)["optimizers"]
    betas = {name: state["param_groups"][0]["betas"] for name, state in optimizers.items()}
    assert betas == {"siren": (0.8, 0.95), "short": (0.8, 0.5)}


@pytest.mark.slow
def test_an_interrupted_comparison_resumes_to_the_same_result(photo, compare, runs):
    common = ("--data", photo, "--max-num-iterations", 50, *SMALL, "--pipeline.datamanager.holdout", 0.1,
              FIELDS, "siren", "winner:purpose=0.7")  # fmt: skip
    assert compare(*common, "--timestamp", "whole").status == 0
    often = ("--steps-per-save", 20, "--save-only-latest-checkpoint", False)
    assert compare(*common, "--timestamp", "first", *often).status == 0
    whole, first = runs()
    for checkpoint in (first / "nerfstudio_models").iterdir():
        if checkpoint.name != "step-000000020.ckpt":
            checkpoint.unlink()
    resume = ("--timestamp", "resumed", "--load-dir", first / "nerfstudio_models")
    others = compare(*common[:-1], "winner:purpose=0.8", *resume)
    assert others.status == 1 and "winner,purpose=0.7" in others.errors and "Traceback" not in others.errors
    wider = compare(*common, "--pipeline.model.width", 24, *resume)
    assert wider.status == 1 and "network" in wider.errors
    finished = compare(*common, *resume)
    assert finished.status == 0, finished.errors
    resumed = load_runs(whole.parent / "resumed")
    for name, run in load_runs(whole).items():
        assert run.step == 49
        assert_same_weights(run, resumed[name])


@pytest.mark.slow
def test_evaluation_names_every_field_and_config_files_train_again(photo, compare, ns_eval, runs, monkeypatch, capfd):
    flags = ("--data", photo, "--max-num-iterations", 20, *SMALL, FIELDS, "winner:s1=0.25", "field=siren:lr=2e-3")
    assert compare(*flags).status == 0
    (run,) = runs()
    tables = table(run / "results")["fields"]
    expected = {f"{name}/{key}": value for name, one in tables.items() for key, value in one["figures"].items()}
    assert ns_eval(run, "--render-output-path", run / "again") == pytest.approx(expected, rel=1e-4)
    assert {"winner,s1=0.25", "field", "comparison.png"} == {path.name for path in (run / "again").iterdir()}

    from nerfstudio.scripts.train import entrypoint

    arguments = ["winner-compare", "--load-config", run / "config.yml"]
    assert in_process(entrypoint, "ns-train", arguments, monkeypatch, capfd).status == 0
    again = load_runs(runs()[-1])
    assert runs()[-1] != run
    for name, one in load_runs(run).items():
        assert_same_weights(one, again[name])


@pytest.mark.slow
def test_fields_of_a_run_open_by_name_without_the_data(photo, compare, ns_train, runs, tmp_path, capfd):
    flags = ("--data", photo, "--max-num-iterations", 12, "--pipeline.datamanager.batch-size", 300)
    assert compare(*flags, "--pipeline.model.width", 16, FIELDS, "siren", "winner:s1=0.25").status == 0
    assert ns_train(*flags, "--pipeline.model.field.width", 16).status == 0
    together, alone = runs()
    signal = load_signal(photo)
    photo.unlink()
    fitted = load_runs(together / "config.yml")
    assert list(fitted) == ["siren", "winner,s1=0.25"]
    for name, run in fitted.items():
        file = together / "results" / name / "field.safetensors"
        assert run.field_file == file
        (same,) = load_runs(file).values()
        np.testing.assert_array_equal(same.grid((5, 6)), run.grid((5, 6)))
        known = run_figures(run)
        of_field = table(together / "results")["fields"][name]
        for key in ("figures", "steps", "training_seconds", "parameters"):
            assert known[key] == of_field[key]
        assert known["file_bytes"] == file.stat().st_size
        assert run_figures(same) == known
        # Figures of another field, or none, are not taken for its own.
        shutil.copy(file, alone / "results" / "other.safetensors")
        assert set(run_figures(load_run(alone / "results" / "other.safetensors"))) == {"parameters", "file_bytes"}
    (one,) = load_runs(alone).items()
    assert one[0] == "winner" and run_figures(one[1])["figures"] == table(alone / "results")["figures"]
    # One field is asked for: said where each of them is.
    with pytest.raises(SignalError, match="winner,s1=0.25/field.safetensors"):
        load_run(together)
    capfd.readouterr()
    assert main(["export", "image", str(together), "-o", str(tmp_path / "out.png")]) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "siren/field.safetensors" in said and not (tmp_path / "out.png").exists()
    # And all of them can be put beside each other, but not beside what they were not fitted to.
    write_fields_comparison(tmp_path / "both.png", {**fitted, "alone": one[1]}, signal)
    assert Image.open(tmp_path / "both.png").width > 1500
    Image.new("L", (40, 24), 90).save(tmp_path / "other.png")
    with pytest.raises(SignalError, match="other.png"):
        write_fields_comparison(tmp_path / "no.png", fitted, load_signal(tmp_path / "other.png"))
    assert not (tmp_path / "no.png").exists()


def test_checkpoints_of_distributed_training_and_of_strangers(photo, compare, runs):
    assert compare("--data", photo, "--max-num-iterations", 3, *SMALL, FIELDS, "siren", "winner:s1=0.25").status == 0
    (checkpoint,) = (runs()[0] / "nerfstudio_models").iterdir()
    before = load_runs(checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    wrapped = {key.replace("_model.", "_model.module.", 1): value for key, value in content["pipeline"].items()}
    torch.save({**content, "pipeline": wrapped}, checkpoint)
    for name, run in load_runs(checkpoint).items():
        assert_same_weights(run, before[name])
    outside = {key.replace("models.siren.", "models.%2E%2E/x."): value for key, value in content["pipeline"].items()}
    torch.save({**content, "pipeline": outside}, checkpoint)
    with pytest.raises(SignalError, match="no checkpoint"):
        load_runs(checkpoint)


@pytest.mark.slow
def test_a_field_that_diverges_leaves_the_others_alone(torus, compare, ns_train, runs, coarse_shapes):
    flags = ("--data", torus, "--max-num-iterations", 40, "--pipeline.datamanager.shape-samples", 3000)
    # Of a low band, whose surface is a smooth one after so few steps.
    finished = compare(*flags, *SMALL, FIELDS, "broken=siren:lr=1e30", "winner:purpose=0")
    assert finished.status == 1 and "Traceback" not in finished.errors, finished.errors
    together = runs()[0]
    alone = (*flags, "--pipeline.model.field.width", 16, "--pipeline.datamanager.batch-size", 300)
    assert ns_train(*alone, "--pipeline.model.purpose", 0, "--pipeline.write-results", False).status == 0
    fitted = load_run(together / "results" / "winner,purpose=0" / "field.safetensors")
    assert_same_weights(fitted, load_run(runs()[-1]))
    assert (together / "results" / "winner,purpose=0" / "torus-fitted.ply").exists()
    assert (together / "results" / "comparison.png").exists()
    assert run_figures(fitted)["figures"]["iou"] > 0
    with pytest.raises(SignalError, match="broken"):
        load_runs(together)


NUMBERS = st.floats(1e-3, 1e3).map(lambda value: float(f"{value:.4g}"))
SETTINGS = {
    "width": st.integers(1, 512),
    "depth": st.integers(1, 8),
    "omega_0": NUMBERS,
    "features": st.integers(1, 300),
    "sigma": NUMBERS,
    "scale": NUMBERS,
    "scale_gradient": st.booleans(),
    "frequencies": st.integers(0, 20),
    "levels": st.integers(1, 16),
    "s0": NUMBERS,
    "s1": NUMBERS,
    "purpose": st.sampled_from(["fit", "0.7"]),
    "lr": NUMBERS,
    "beta2": st.floats(0.0, 0.999),
}
KNOWN = {
    "winner": ["width", "depth", "omega_0", "s0", "s1", "lr", "beta2"],
    "siren": ["width", "depth", "omega_0", "lr"],
    "finer": ["width", "depth", "omega_0", "scale_gradient", "lr"],
    "wire": ["width", "depth", "omega_0", "scale", "lr"],
    "gauss": ["width", "depth", "scale", "lr"],
    "relu-pe": ["width", "depth", "frequencies", "lr"],
    "rff": ["width", "depth", "features", "sigma", "lr", "beta2"],
    "hash-grid": ["width", "levels", "lr"],
}


@given(st.data())
def test_settings_come_out_as_they_were_written(data):
    family = data.draw(st.sampled_from(sorted(FAMILIES)))
    given = data.draw(st.fixed_dictionaries({}, optional={key: SETTINGS[key] for key in KNOWN[family]}))
    text = family + (":" if given else "") + ",".join(f"{key}={value}" for key, value in given.items())
    (entry,) = parse_entries([text], width=33, depth=3)
    plan, made_of = entry.plan, entry.plan.field
    found = {"width": made_of.width, "depth": made_of.depth, "lr": plan.learning_rate, "s0": plan.s0, "s1": plan.s1}
    found.update(made_of.options)
    found["omega_0"], found["beta2"] = made_of.omega_0, plan.beta2
    assert made_of.family == family
    assert {key: found[key] for key in given} == given
    assert made_of.width == given.get("width", 33) and made_of.depth == given.get("depth", 3)
    assert plan.law == ("explicit" if {"s0", "s1"} & set(given) else None)
    assert FIELD_NAME.fullmatch(entry.name) and entry.name == text.replace(":", ",")


@given(st.text(max_size=30) | st.builds("{}{}".format, st.sampled_from(sorted(FAMILIES)), st.text(max_size=20)))
def test_any_text_is_a_field_or_one_clear_line(text):
    try:
        (entry,) = parse_entries([text])
    except SignalError as error:
        assert "\n" not in str(error) and "--pipeline.model.fields" in str(error)
    else:
        assert entry.plan.field.family in FAMILIES and FIELD_NAME.fullmatch(entry.name)
        assert entry.plan.learning_rate is None or 0 < entry.plan.learning_rate < math.inf


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([], "no field"),
        (["siren", "winer"], "there are winner, siren"),
        (["siren", "siren"], "two fields are called siren"),
        (["a=siren", "A=winner"], "two fields are called A"),
        (["values=siren"], "values"),
        (["../up=siren"], "no name"),
        (["rff:sigma=1e400"], "give a number"),
        (["winner:width=wide"], "give a whole number"),
        (["winner:widht=3"], "there are width, depth"),
        (["winner:law=mine"], "matching or paper"),
        (["winner:law=paper,s0=3"], "takes no s0"),
        (["siren:purpose=fit"], "give the law matching"),
        (["siren:lr=0"], "not above 0"),
        (["siren:beta2=1"], "beta2: 1 is too large"),
        (["siren:depth=0"], "at least 1"),
        (["winner:purpose"], "no KEY=VALUE"),
    ],
)
def test_fields_that_cannot_be_are_one_line_and_leave_nothing(photo, compare, tmp_path, fields, says):
    finished = compare("--data", photo, FIELDS, *fields)
    assert finished.status == 1
    assert says in finished.errors and "Traceback" not in finished.errors, finished.errors
    assert len([line for line in finished.errors.splitlines() if "error" in line]) == 1, finished.errors
    assert not (tmp_path / "outputs").exists()

"""Text of others: shown as it was written by independent readers of each target, and never acting there."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from test_description import IMAGE, changed, field_of

import winner_ns
from winner_ns.commands.main import main
from winner_ns.errors import SignalError
from winner_ns.export.comparison import grid_figure
from winner_ns.export.output import fitted_path
from winner_ns.fields.files import save_field
from winner_ns.figures.mesh_table import mesh_figures_table
from winner_ns.figures.table import figures_table
from winner_ns.fitting.run import load_run, run_figures
from winner_ns.progress import progress_bar
from winner_ns.safe_text import cell, code, file_name, html, is_harmless, markdown, plot, tell, terminal
from winner_ns.viewing.described import described_field
from winner_ns.viewing.panel import SignalPanel
from winner_ns.viewing.signal_view import signal_view

ACTING = "{}<>[]()|*_~`#$&!:;@\\/.-+='\"1\t\n\r\x1b\x00\x9b\u202e\u2028 importexportwwhtpscn"
TEXTS = st.one_of(st.text(), st.text(st.sampled_from(ACTING), max_size=30))
HOSTILE = (
    "{globalThis.X=1}",
    "<img src=x onerror=alert(1)>",
    "export const a = globalThis.X = 1",
    "import x from 'y'",
    "[red]www.evil.com[/red] https://evil.com a@evil.com",
    "\x1b]0;title\x07\x1b[31m",
    "$\\frac{1}{2}$",
    "\u202egnp.exe",
    "1. | a | `b` **c**",
)


def hostile(test):
    for text in HOSTILE:
        test = example(text)(test)
    return given(TEXTS)(test)


def inline(source):
    """What CommonMark (markdown-it) makes of a line, which is to be nothing but a paragraph's inline parts."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(source)
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"], source
    return tokens[1].children


@hostile
def test_markdown_is_read_as_the_text_itself(text):
    shown = terminal(text).strip()
    if not shown:
        assert markdown(text) == ""
        return
    parts = inline(markdown(text))
    assert {part.type for part in parts} <= {"text", "text_special"}
    assert "".join(part.content for part in parts).replace("\u2060", "").strip() == shown.replace("\u2060", "")


@hostile
def test_nothing_that_mdx_takes_for_code_is_left(text):
    """Braces and tags anywhere, imports and exports at the start of a line; and no address that becomes a link."""
    escaped = markdown(text)
    bare = re.sub(r"\\.", "", re.sub(r"^&#\d+;", "", escaped))
    assert not set("{}<>[]`*_|~&$\\\n\r") & set(bare)
    assert not re.match(r"\s*(import|export)\b", escaped)
    assert not re.search(r"www\.|https?://|@[-\w]", escaped, re.IGNORECASE)


@hostile
def test_code_is_read_as_the_text_itself(text):
    (span,) = inline(f"wrote {code(text)}")[1:]
    assert span.type == "code_inline"
    assert span.content.strip() == terminal(text).strip()


class Reader(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.data, self.titles = [], "", []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.titles += [value for name, value in attrs]

    def handle_data(self, data):
        self.data += data


@hostile
def test_html_is_read_as_the_text_itself(text):
    read = Reader(f'<p title="{html(text)}">{html(text)}</p>')
    assert read.tags == ["p"] and read.titles == [terminal(text)] and read.data == terminal(text)


@hostile
def test_a_terminal_gets_one_line_without_commands(text):
    shown = terminal(text)
    assert all(map(is_harmless, shown)) and len(shown.splitlines()) <= 1
    assert all(is_harmless(letter) for letter in str(SignalError(text, text, text)))
    if all(map(is_harmless, text)):
        assert shown == text
    file = io.StringIO()
    tell(text, text, file=file)
    assert file.getvalue() == f"{shown}\n{shown}\n"


@hostile
def test_a_figure_has_no_formula(text):
    drawn = Figure().text(0, 0, plot(text))
    assert drawn._preprocess_math(drawn.get_text()) == (terminal(text), False)


@hostile
def test_a_cell_is_no_formula(text):
    file = io.StringIO(newline="")
    csv.writer(file).writerow([cell(text), "1"])
    ((read, _),) = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert read.removeprefix("'") == terminal(text).removeprefix("'")
    assert not read.startswith(("=", "+", "-", "@", "\t", "\r"))


@hostile
@example("nul.txt")
@example("COM1")
@example("..")
@example("../../x")
@example("C:\\x")
@example("\ud800")
@example("con" + 300 * "é")
@example("name. .")
def test_a_file_name_leads_to_one_folder_on_every_system(text):
    name = file_name(text)
    assert name not in ("", ".", "..") and len(name.encode()) <= 200
    assert Path("folder", name).parent == Path("folder") and PureWindowsPath("folder", name).parts[1:] == (name,)
    assert not PureWindowsPath(name).is_reserved() and not set('<>:"/\\|?*\0\n') & set(name)
    assert not name.endswith((" ", "."))
    assert file_name(name) == name


def test_ordinary_names_stay_as_they_are():
    for name in ("photo", "été 2024", "بچه\u200cها", "a-b_c.d", "console", "screenshot 9.41\u202fAM"):
        assert file_name(name) == name == terminal(name) == plot(name) == cell(name)
    assert markdown("photo 1") == "photo 1"


# Where it is used


NAME = "{globalThis.X=1}<b>[red]$x$ \u200c= `c`"


@pytest.fixture
def stranger(tmp_path):
    """A field file with a hostile name, and figures beside it with hostile ones."""
    field = field_of(changed(IMAGE, "name", NAME))
    path = save_field(tmp_path / "field.safetensors", field.network, field.description)
    described = json.loads(json.dumps(field.description.as_dict()))
    table = {"figures": {"psnr": 30.0}, "steps": 1, "training_seconds": 1.0, "description": described}
    (tmp_path / "figures.json").write_text(json.dumps(table))
    return path


def test_the_panel_says_a_name_and_lets_it_do_nothing(stranger):
    run = load_run(stranger)
    for line in (described_field(NAME, run.description), SignalPanel(signal_view({NAME: run}))._description()):
        kinds = {part.type for part in inline(line)}
        assert kinds <= {"text", "text_special", "strong_open", "strong_close", "softbreak", "hardbreak"}
        shown = "".join(part.content for part in inline(line))
        assert shown.startswith(NAME) and not re.search(r"(?<!\\)[{<]", line)


@pytest.mark.parametrize(
    "change",
    [
        {"figures": {"[red]psnr": 1.0}},
        {"figures": {"psnr": "\x1b[31m"}},
        {"figures": {"psnr": True}},
        {"figures": ["psnr"]},
        {"training_seconds": "soon"},
        {"training_seconds": [1]},
    ],
)
def test_figures_that_are_no_numbers_are_none(stranger, change):
    table = stranger.parent / "figures.json"
    known = run_figures(load_run(stranger))
    assert known["figures"] == {"psnr": 30.0} and known["steps"] == 1
    table.write_text(json.dumps({**json.loads(table.read_text()), **change}))
    assert set(run_figures(load_run(stranger))) == {"parameters", "file_bytes"}
    table.write_text(100_000 * "[")
    assert set(run_figures(load_run(stranger))) == {"parameters", "file_bytes"}


def test_an_export_is_named_after_a_hostile_name_and_stays_in_its_folder(stranger, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["export", "image", str(stranger)]) == 0
    (written,) = (tmp_path / "here").iterdir()
    assert written.name == fitted_path(load_run(stranger), ".png").name
    assert not set('<>:"/\\|?*') & set(written.name)
    assert written.name in capsys.readouterr().out


def test_tables_and_bars_show_names_as_they_are(capsys):
    console = Console(file=io.StringIO(), width=200)
    console.print(figures_table({"[red]a": {"figures": {"[b]psnr": 1.0}, "parameters": 1}}))
    surface = {"path": "[red]\x1b.ply"}
    result = {"reference": surface, "reconstruction": surface, "f_scores": [], "samples": 1}
    console.print(mesh_figures_table(result))
    shown = console.file.getvalue()
    assert "[red]a" in shown and "[b]psnr" in shown and "[red]\\x1b.ply" in shown and "\x1b" not in shown
    with progress_bar() as report:
        report("reading [/red] \x1b", 1, 2)


def test_a_comparison_draws_a_name_with_dollars(tmp_path):
    """As a formula, it could not be drawn at all."""
    from winner_ns.signals import GridSignal

    field = field_of(changed(IMAGE, "name", "$_^$.png"))
    samples = torch.rand(24, 40, 3).numpy() * 255
    signal = GridSignal("image", Path("x.png"), samples.astype("uint8"), 127.5, 127.5, (0.6, 1.0))
    grid_figure(field, signal).savefig(tmp_path / "comparison.png")


def test_a_file_with_a_backslash_in_its_name_is_told_to_be_renamed(tmp_path):
    path = tmp_path / "..\\x.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(path)
    with pytest.raises(SignalError, match="has a backslash in its name"):
        winner_ns.fit(path, steps=1, width=8, depth=1)

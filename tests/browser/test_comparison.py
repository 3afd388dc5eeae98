"""Several fields in one viewer: `winner-ns compare`."""

from __future__ import annotations

import pytest

from winner_ns.fitting.run import load_run

from .conftest import quadrants
from .pictures import box_of, coloured, correlation, within
from .viewer_page import find_browser

find_browser()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(open_page, comparison_viewer):
    return open_page(comparison_viewer)


def test_two_fields_stand_side_by_side(page, comparison_viewer):
    assert page.chosen("Output type") == "winner/field" and page.chosen("Output render split") == "siren/field"
    both = page.settled()
    middle = both.shape[1] // 2
    for part, run in zip((both[:, :middle], both[:, middle:]), comparison_viewer.runs, strict=True):
        # The bad one is smooth and pale: what both have is a place, the same on either side.
        box = box_of(part.min(-1) < 0.97).shrunk(3)
        grid = load_run(run).grid((box.height, box.width)).clip(0, 255) / 255
        assert correlation(within(part, box), grid) > 0.9


def test_one_field_at_a_time_and_their_difference(page, comparison_viewer):
    page.tick("Enable", False)
    good = page.after(lambda: page.choose("Output type", "winner/field"))
    box = box_of(coloured(good)).shrunk(3)
    assert correlation(within(good, box), quadrants()) > 0.95
    fields = [load_run(run).grid((box.height, box.width)) / 255 for run in comparison_viewer.runs]
    bad = within(page.after(lambda: page.choose("Output type", "siren/field")), box)
    assert correlation(bad, fields[1]) > 0.9

    page.choose("Error gain", "1")
    page.choose("Output type", "difference")
    difference = fields[0] - fields[1]
    assert correlation(within(page.settled(), box), difference) > 0.9
    page.choose("Difference of", "siren")
    page.choose("and", "winner")
    assert correlation(within(page.settled(), box), -difference) > 0.9


def test_panel_compares_their_figures(page, comparison_viewer):
    text = page.text()
    figures = {}
    for name in ("winner", "siren"):
        assert f"{name} 3 x 64" in text
        figures[name] = float(page.until_text(rf"{name}\s+(-?[\d.]+) dB").group(1))
    assert figures["winner"] > figures["siren"] + 5


def test_the_chosen_field_is_exported(page, comparison_viewer):
    for name, run in zip(("winner", "siren"), comparison_viewer.runs, strict=True):
        page.open_tab("Export")
        page.choose("Field", name)
        _, content, written = page.exported("Export field")
        assert written.parent.name == name
        with open(written, "rb") as file:
            assert file.read() == content
        assert load_run(written).description.network.family == load_run(run).description.network.family

"""An image in the viewer."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import winner_ns
from winner_ns.fitting.run import load_run

from .conftest import quadrants
from .pictures import at_samples, box_of, coloured, correlation, dark, within
from .viewer_page import find_browser

find_browser()
pytestmark = pytest.mark.slow
RATIO = 63 / 47
"""Width over height of 64 x 48 pixels from the first to the last one's middle."""


@pytest.fixture(scope="module")
def page(open_page, image_viewer):
    return open_page(image_viewer, choices=("Output type", "Error gain"))


def test_opens_framed_and_upright(page):
    assert page.chosen("Output type") == "field"
    picture = page.settled()
    box = box_of(coloured(picture))
    height, width = picture.shape[:2]
    assert box.left > 0 and box.top > 0 and box.right < width and box.bottom < height
    assert box.width > 0.9 * width or box.height > 0.9 * height
    assert box.middle == pytest.approx((width / 2, height / 2), abs=2)
    assert box.width / box.height == pytest.approx(RATIO, rel=0.02)
    seen, original = within(picture, box), quadrants()
    assert correlation(seen, original) > 0.97
    for turned in (original[::-1], original[:, ::-1], original[::-1, ::-1]):
        assert correlation(seen, turned) < 0.6


def test_outputs_are_what_their_names_say(page, image_viewer):
    assert page.outputs() == ["field", "error", "gradient", "laplacian", "original"]
    box = box_of(coloured(page.restored()))
    inner = (slice(3, -3), slice(3, -3))  # Its rim is mixed with the white around it.
    original = within(page.after(lambda: page.choose("Output type", "original")), box)
    assert correlation(original, quadrants()) > 0.95
    fitted = load_run(image_viewer.runs[0]).grid((48, 64)) / 255

    # Gray is no error; at gain 10, a tenth of the range has the strongest colour.
    page.choose("Output type", "error")
    for gain in (10, 50):
        error = within(page.after(lambda gain=gain: page.choose("Error gain", str(gain))), box)[inner]
        expected = 0.5 + 0.5 * np.clip(gain * (fitted - quadrants()), -1, 1)
        expected = at_samples(expected, box.width, box.height)[inner]
        assert correlation(error, expected) > 0.8
        assert error.std() == pytest.approx(expected.std(), rel=0.2)
        assert abs(correlation(error, quadrants())) < 0.5

    gradient = within(page.after(lambda: page.choose("Output type", "gradient")), box)
    steepest = np.hypot(*np.gradient(quadrants(), axis=(0, 1))).mean(-1)
    assert correlation(gradient.mean(-1), at_samples(steepest, box.width, box.height)) > 0.5


def test_split_screen_shows_two_outputs_side_by_side(page):
    field = page.restored()
    one = within(field, box_of(coloured(field)))
    page.tick("Enable", True)
    page.choose("Output render split", "error")
    page.choose("Error gain", "50")
    both = page.settled()
    assert page.page.get_by_text("field − original of each channel").is_visible()
    assert (
        page.page.get_by_text("−5.1", exact=True).is_visible() and page.page.get_by_text("5.1", exact=True).is_visible()
    )
    box = box_of(both.min(-1) < 0.97)
    assert box.width / box.height == pytest.approx(2.05 * RATIO, rel=0.03)
    gap = (both[box.top : box.bottom].min(-1).min(0) > 0.97).nonzero()[0]
    gap = gap[(gap > box.left) & (gap < box.right)]
    left = within(both, box._replace(right=int(gap[0])))
    right = within(both, box._replace(left=int(gap[-1]) + 1))
    assert correlation(left, one) > 0.95 and abs(correlation(right, one)) < 0.6
    page.tick("Enable", False)
    assert correlation(page.restored(), field) > 0.99


def test_it_is_as_sharp_as_the_exported_picture_also_while_it_moves(page, image_viewer):
    page.resolution = 600
    picture = page.restored()
    box = box_of(coloured(picture))
    assert box.width >= 512
    exported = load_run(image_viewer.runs[0]).grid((box.height, box.width)).clip(0, 255) / 255

    def energy(part):
        return sum((np.diff(part, axis=axis) ** 2).mean() for axis in (0, 1))

    sharpness = energy(within(picture, box.shrunk(3)))
    assert sharpness == pytest.approx(energy(exported), rel=0.2)
    # Dragged along, it is looked at before the button is let go.
    moved = page.while_dragged(70, 40)
    box = box_of(coloured(moved))
    inner = box._replace(right=min(box.right, moved.shape[1]), bottom=min(box.bottom, moved.shape[0])).shrunk(3)
    seen = within(moved, inner)
    part = exported[3 : 3 + seen.shape[0], 3 : 3 + seen.shape[1]]
    assert correlation(seen, part) > 0.9
    assert energy(seen) == pytest.approx(energy(part), rel=0.2)
    # From close by, the continuous field is drawn anew, as fine as the screen is.
    page.restore()
    page.move_closer(8)
    closer = page.settled()
    height, width = closer.shape[:2]
    factor = box_of(dark(closer)).width / box_of(dark(picture)).width
    assert factor > 1.3
    rows, columns = round(factor * exported.shape[0]), round(factor * exported.shape[1])
    fine = load_run(image_viewer.runs[0]).grid((rows, columns)).clip(0, 255) / 255
    down, right = (rows - height) // 2, (columns - width) // 2
    seen, part = closer[60:-70, 70:-70], fine[down + 60 : down + height - 70, right + 70 : right + width - 70]
    assert correlation(seen, part) > 0.95
    assert energy(seen) == pytest.approx(energy(part), rel=0.2)
    page.resolution = 400
    page.restore()


def test_mouse_moves_the_view_and_a_button_brings_it_back(page):
    first = page.restored()
    height, width = first.shape[:2]
    hole = box_of(dark(first))
    away = np.array(hole.middle) - (width / 2, height / 2)

    def distance(picture):
        return np.array(box_of(dark(picture)).middle) - (width / 2, height / 2)

    # The wheel moves closer: everything is larger and further from the middle, by the same factor.
    page.move_closer(6)
    page.until("a larger picture", lambda picture: box_of(dark(picture)).width > 1.15 * hole.width)
    closer = page.settled()
    factor = box_of(dark(closer)).width / hole.width
    assert box_of(dark(closer)).height / hole.height == pytest.approx(factor, rel=0.06)
    assert distance(closer) == pytest.approx(factor * away, abs=4)
    page.press("Frame the signal")
    page.until("the first view", lambda picture: correlation(picture, first) > 0.98)
    assert correlation(page.settled(), first) > 0.99

    # The right button takes it along: in the mouse's direction, and as far, but for moves that a busy page loses.
    page.drag(60, 40, "right")

    def taken_along(picture):
        moved = distance(picture) - away
        share = moved @ (60, 40) / (60**2 + 40**2)
        return 0.4 < share < 1.1 and np.allclose(moved, share * np.array((60, 40)), atol=6)

    page.until("a picture that was moved", taken_along)

    # The left button turns the camera around it: to the left, where the left edge is closer then.
    page.restore()
    page.drag(40, 0)
    turned = page.until(
        "a picture seen from the left", lambda picture: _edges(picture)[0] > 1.1 * _edges(picture)[1] > 0
    )
    assert correlation(turned, first) < 0.98
    assert correlation(page.restored(), first) > 0.99


def _edges(picture):
    """Heights of the picture's left and right edge."""
    mask = coloured(picture)
    box = box_of(mask)
    return mask[:, box.left + 3].sum(), mask[:, box.right - 4].sum()


def test_panel_says_what_the_field_is_and_how_good(page, image_viewer):
    field = load_run(image_viewer.runs[0])
    noise, text = field.description.spectrum, page.text()
    assert "winner 3 x 64" in text
    assert f"psi {noise.psi:.4g}" in text and noise.in_words() in text
    error = field.grid((48, 64)) - np.asarray(Image.open(image_viewer.data), dtype=np.float64)
    psnr = 20 * np.log10(255) - 10 * np.log10(np.mean(error**2))
    assert float(page.until_text(r"PSNR ([\d.]+) dB").group(1)) == pytest.approx(psnr, abs=0.02)


def test_exports_are_written_named_and_handed_over(page, image_viewer):
    exports = image_viewer.runs[0] / "exports"
    name, content, written = page.exported("Export image")
    assert name == "quadrants-fitted.png" and written == exports / name
    assert (exports / name).read_bytes() == content
    assert correlation(np.asarray(Image.open(exports / name)) / 255, quadrants()) > 0.95

    name, content, written = page.exported("Export field")
    assert written == exports / name
    assert (exports / name).read_bytes() == content
    field, same = load_run(image_viewer.runs[0]), winner_ns.load_field(exports / name)
    assert np.array_equal(field.grid((5, 7)), same.grid((5, 7)))

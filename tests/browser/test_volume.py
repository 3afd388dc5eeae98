"""A volume in the viewer."""

from __future__ import annotations

import pytest

from winner_ns.safe_text import file_name

from .conftest import STRANGE, moving_square
from .pictures import box_of, correlation, seen_samples, within
from .viewer_page import find_browser

find_browser()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(open_page, volume_viewer):
    choices = ("Output type", "Slice across")
    return open_page(volume_viewer, choices=choices, numbers=("Slice position",))


def gray_box(picture):
    """The slice, which is nowhere white."""
    return box_of(picture.max(-1) < 0.85)


def inner(samples):
    """All samples but the outermost."""
    return samples[1:-1, 1:-1]


def test_opens_framed_and_upright_on_the_middle_slice(page):
    assert page.chosen("Output type") == "field"
    picture = page.settled()
    box, (height, width) = gray_box(picture), picture.shape[:2]
    assert box.left > 0 and box.top > 0 and box.right < width and box.bottom < height
    assert box.width > 0.9 * width
    assert box.middle == pytest.approx((width / 2, height / 2), abs=2)
    assert box.width / box.height == pytest.approx(31 / 23, rel=0.02)
    middle = moving_square()[7:9].mean(0)
    seen = seen_samples(within(picture, box).mean(-1), *middle.shape)
    assert correlation(seen, inner(middle)) > 0.9
    for turned in (middle[::-1], middle[:, ::-1]):
        assert correlation(seen, inner(turned)) < 0.7


def test_slices_follow_their_position_and_axis(page):
    page.restore()
    volume = moving_square()
    for axis, index in ((0, 3), (0, 12), (1, 6), (2, 20)):
        page.choose("Slice across", str(axis))
        page.set_number("Slice position", 2 * index / (volume.shape[axis] - 1) - 1)
        for output in ("field", "original"):
            picture = page.after(lambda output=output: page.choose("Output type", output))
            box, expected = gray_box(picture), volume.take(index, axis)
            assert box.width / box.height == pytest.approx((expected.shape[1] - 1) / (expected.shape[0] - 1), rel=0.03)
            seen = seen_samples(within(picture, box).mean(-1), *expected.shape)
            assert correlation(seen, inner(expected)) > 0.9


def test_what_a_file_is_called_is_read_and_never_run(page):
    name, _, written = page.exported("Export field")
    assert name == written.name == f"{file_name(STRANGE)}-fitted.safetensors"
    assert page.page.evaluate("globalThis.hacked") is None

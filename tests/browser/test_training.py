"""A field that is being trained, in the viewer."""

from __future__ import annotations

import pytest

from .conftest import quadrants
from .pictures import box_of, correlation, inked, within
from .viewer_page import find_browser

find_browser()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(open_page, training_viewer):
    return open_page(training_viewer)


def test_picture_gets_better_while_it_is_looked_at(page):
    fresh = page.settled()
    box = box_of(inked(fresh))

    def likeness(picture):
        return correlation(within(picture, box), quadrants())

    assert page.step() == 0 and abs(likeness(fresh)) < 0.3
    psnr = r"PSNR (-?[\d.]+) dB"
    page.press("Resume Training")
    page.until("a picture that looks like the original", lambda picture: likeness(picture) > 0.6)
    step, figure = page.step(), float(page.until_text(psnr).group(1))
    assert step > 0
    page.until("a picture that looks much like the original", lambda picture: likeness(picture) > 0.9)
    page.until("a later step", lambda _: page.step() > step)
    page.until("a better figure", lambda _: float(page.until_text(psnr).group(1)) > figure)

    # Paused, it stays as it is.
    page.press("Pause Training")
    page.until_text("Resume Training")
    still, step = page.settled(), page.step()
    assert likeness(still) > 0.9
    assert correlation(within(page.settled(), box), within(still, box)) > 0.99 and page.step() == step

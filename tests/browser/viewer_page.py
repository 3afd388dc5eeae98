"""What a user does and sees on the viewer's page."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path
from typing import Callable, List, Sequence, Tuple

import numpy as np
import pytest
from conftest import leave_out
from PIL import Image

from winner_ns.demo.viewer_pictures import BROWSERS, installed_browser

PATIENCE = 90.0
"""Seconds that a picture may take to be there, on a machine that is busy with other things."""
QUIET = 800
"""Milliseconds without a new picture, after the one that was waited for."""


def find_browser() -> str:
    """The browser's program.

    Leaves the calling module's tests out (`leave_out`) where there is none, or no Playwright to drive it.
    """
    program = installed_browser()
    problem = None if program else f"no browser is installed ({', '.join(BROWSERS)})"
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        problem = "Playwright is not installed (pip install playwright)"
    if problem is not None:
        leave_out(f"the viewer is not looked at: {problem}")
    return program


class ViewerPage:
    """nerfstudio's viewer in a browser.

    Args:
        page: Playwright's, with the viewer open.
        resolution: pixels across a picture that is sent to the browser.
        choices: dropdowns that the tests choose from.
        numbers: sliders that the tests move.
    """

    def __init__(
        self, page, resolution: int = 400, choices: Sequence[str] = ("Output type",), numbers: Sequence[str] = ()
    ) -> None:
        self.page, self.resolution = page, resolution
        page.get_by_label("Output type", exact=True).wait_for(timeout=1000 * PATIENCE)
        self.until_text(r"Resolution: [1-9]")  # Only then it is known what there is to choose from.
        self._first_choices = {label: self.chosen(label) for label in choices}
        self._first_numbers = {label: self.number(label) for label in numbers}

    # What is seen ----------------------------------------------------------------------------------------------------

    def picture(self) -> np.ndarray:
        """The 3D view as it is on screen, [height, width, 3] in 0 … 1; the corner with the small axes is white."""
        left, top, width, height = self.area()
        shot = self.page.screenshot(clip={"x": left, "y": top, "width": width, "height": height})
        picture = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.float32) / 255.0
        picture = picture.copy()
        picture[-64:, :64] = 1.0
        return picture

    def area(self) -> Tuple[int, int, int, int]:
        """Left, top, width and height of the 3D view on the page, in pixels."""
        canvases = self.page.locator("canvas").all()
        for canvas in canvases:  # Playwright scrolls to what it presses, sideways too.
            canvas.evaluate("e => { for (; e; e = e.parentElement) e.scrollLeft = 0 }")
        box = min((canvas.bounding_box() for canvas in canvases), key=lambda box: box["width"])
        top = int(np.ceil(box["y"]))
        return int(np.ceil(box["x"])), top, int(box["width"]), int(box["y"] + box["height"]) - top

    def text(self) -> str:
        """All text of the control panel, a line for each of its lines."""
        return self.page.locator("body").inner_text()

    def step(self) -> int:
        """The step counter."""
        return int(re.search(r"Step: (\d+)", self.text()).group(1))

    # Waiting for it --------------------------------------------------------------------------------------------------

    def until(self, what: str, condition: Callable[[np.ndarray], object]) -> np.ndarray:
        """The first picture on screen of which a condition is true; fails after PATIENCE seconds."""
        end = time.monotonic() + PATIENCE
        while True:
            picture = self.picture()
            if condition(picture):
                return picture
            if time.monotonic() > end:
                pytest.fail(f"not seen within {PATIENCE:.0f} s: {what}; the last picture is {save(picture, what)}")
            time.sleep(0.2)

    def until_text(self, pattern: str) -> "re.Match[str]":
        """The first match of a regular expression in the control panel's text."""
        end = time.monotonic() + PATIENCE
        while True:
            text = self.text()
            match = re.search(pattern, text)
            if match:
                return match
            if time.monotonic() > end:
                pytest.fail(f"not read within {PATIENCE:.0f} s: {pattern}; the text is\n{text}")
            time.sleep(0.1)

    def settled(self) -> np.ndarray:
        """The picture that all that was done before leads to, in full resolution.

        Asks for a slightly different resolution: that it is said to be there tells that the picture is newer than what
        was done.
        """
        width = self.resolution + (4 if self.number("Max res") == self.resolution else 0)
        self.set_number("Max res", width)
        self.until_text(f"Resolution: {width}x")
        end = time.monotonic() + PATIENCE
        while True:
            before = self.page.evaluate("shown")
            self.page.wait_for_timeout(QUIET)
            picture = self.picture()
            if self.page.evaluate("shown") == before and before["loading"] == 0:
                return picture
            if time.monotonic() > end:
                pytest.fail(f"no quiet picture within {PATIENCE:.0f} s, but {before}")

    def after(self, action: Callable[[], object]) -> np.ndarray:
        """The picture after something was done."""
        action()
        return self.settled()

    def restore(self) -> None:
        """Brings the first view back, with the first output, whatever was done to it."""
        self.press("Frame the signal")
        self.tick("Enable", False)
        for label, value in self._first_choices.items():
            self.choose(label, value)
        for label, value in self._first_numbers.items():
            self.set_number(label, value)

    def restored(self) -> np.ndarray:
        """The first view again."""
        self.restore()
        return self.settled()

    # What is done ----------------------------------------------------------------------------------------------------

    def _done(self) -> None:
        """Waits until the browser has told the viewer, and that has taken note: of what is done within 50 ms, it only
        tells the last, and the viewer's threads take what follows too soon in any order."""
        self.page.evaluate("() => new Promise(done => setTimeout(done, 250))")

    def _drawn(self) -> None:
        """Waits until the page has drawn what was done."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def choose(self, label: str, value: str) -> None:
        """Chooses from a dropdown."""
        field = self.page.get_by_label(label, exact=True).first
        if field.input_value() != value:
            field.click()
            self.page.get_by_role("option", name=value, exact=True).click()
            self._done()

    def chosen(self, label: str) -> str:
        """What a dropdown shows."""
        return self.page.get_by_label(label, exact=True).first.input_value()

    def outputs(self) -> List[str]:
        """What there is to choose from in Output type."""
        field = self.page.get_by_label("Output type", exact=True)
        field.click()
        options = self.page.get_by_role("option").all_text_contents()
        self.page.get_by_role("option", name=field.input_value(), exact=True).click()
        return options

    def _number_field(self, label: str):
        identity = self.page.locator("label", has_text=re.compile(f"^{re.escape(label)}$")).first.get_attribute("for")
        return self.page.locator(f"xpath=//*[@id='{identity}']/following-sibling::*//input").first

    def number(self, label: str) -> float:
        """Where a slider stands."""
        return float(self._number_field(label).input_value())

    def set_number(self, label: str, value: float) -> None:
        """Types a number beside a slider."""
        if self.number(label) != value:
            self._number_field(label).fill(f"{value:g}")
            self._done()

    def tick(self, label: str, on: bool) -> None:
        """Sets a checkbox."""
        box = self.page.get_by_label(label, exact=True).first
        if box.is_checked() != on:
            box.set_checked(on)
            self._done()

    def press(self, label: str) -> None:
        """Presses a button."""
        self.page.get_by_role("button", name=label, exact=True).first.click()
        self._done()

    def open_tab(self, name: str) -> None:
        """Opens a tab of the panel."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def exported(self, label: str) -> Tuple[str, bytes, Path]:
        """Presses a button of the tab Export; returns the name and the content of the file that is handed over, and the
        one that is said to have been written."""
        self.open_tab("Export")
        with self.page.expect_download(timeout=1000 * PATIENCE) as info:
            self.press(label)
        name = info.value.suggested_filename
        written = Path(self.until_text(rf"wrote (\S*{re.escape(name)})").group(1))
        self.open_tab("Control")
        return name, Path(info.value.path()).read_bytes(), written

    def drag(self, right: int, down: int, button: str = "left") -> None:
        """Drags the middle of the 3D view by so many pixels.

        A busy page loses moves, most of all those that come before it has drawn the last one."""
        self._drag(right, down, button)
        self.page.mouse.up(button=button)

    def while_dragged(self, right: int, down: int) -> np.ndarray:
        """The picture on screen while the right button still drags it along."""
        self._drag(right, down, "right")
        picture = self.picture()
        self.page.mouse.up(button="right")
        return picture

    def _drag(self, right: int, down: int, button: str) -> None:
        left, top, width, height = self.area()
        x, y = left + width // 2, top + height // 2
        self.page.mouse.move(x, y)
        self.page.mouse.down(button=button)
        for part in np.linspace(0.25, 1.0, 4):
            self._drawn()
            self.page.mouse.move(x + right * part, y + down * part)
        self._drawn()

    def move_closer(self, notches: int) -> None:
        """Turns the mouse wheel over the middle of the 3D view."""
        left, top, width, height = self.area()
        self.page.mouse.move(left + width // 2, top + height // 2)
        for _ in range(notches):
            self.page.mouse.wheel(0, -100)


def save(picture: np.ndarray, name: str) -> Path:
    """Keeps a picture for a human to look at."""
    import tempfile

    path = Path(tempfile.gettempdir()) / f"winner_ns-{re.sub('[^a-z0-9]+', '-', name.lower())}.png"
    Image.fromarray((255 * picture).round().astype(np.uint8)).save(path)
    return path

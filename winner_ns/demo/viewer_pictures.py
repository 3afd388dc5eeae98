"""Screenshots of the viewer for the README: `make viewer-pictures`, or `python -m winner_ns.demo.viewer_pictures`.

    python -m winner_ns.demo.viewer_pictures [--runs demo-results] [--output docs/pictures]

Opens the demo's runs, which are trained if they are not there, in nerfstudio's viewer and a headless Chromium. Needs
Playwright (of the extra "dev") and a Chromium of the system.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

from winner_ns.demo.__main__ import SOUND_STEPS
from winner_ns.demo.train_runs import FitRun, Run, train
from winner_ns.samples import CHIPTUNE, installed

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
WATCH_PICTURES = """
window.shown = {width: 0, pictures: 0, loading: 0};
const create = document.createElementNS.bind(document);
document.createElementNS = (space, name, ...rest) => {
    const element = create(space, name, ...rest);
    if (name === "img") {
        shown.loading++;
        const twoFramesLater = then => requestAnimationFrame(() => requestAnimationFrame(then));
        const done = () => twoFramesLater(() => {
            shown.loading--;
            shown.pictures++;
            shown.width = element.naturalWidth;
        });
        element.addEventListener("load", done);
        element.addEventListener("error", done);
    }
    return element;
};
"""
"""Keeps count of the pictures that the page has put behind its 3D view, which it does some time after they are sent."""
SIZE = {"width": 1280, "height": 800}
COLOURS = 64
STILL = 1.5
"""Seconds without a new picture, after the sharp one."""
PATIENCE = 120.0
"""Seconds that a viewer and its first picture may take."""


def demo_runs() -> Dict[str, Run]:
    """Those of the demo that are shown."""
    camera = installed("skimage", "data", "camera.png")
    bunny = installed("pymeshlab", "tests", "sample_meshes", "bunny.obj")
    return {
        "camera": FitRun("camera", camera),
        "camera-siren": FitRun("camera-siren", camera, ["--family", "siren"]),
        "chiptune": FitRun("chiptune", CHIPTUNE, ["--steps", str(SOUND_STEPS)]),
        "bunny": FitRun("bunny", bunny),
    }


def installed_browser() -> Optional[str]:
    """A Chromium of the system."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def viewer(program: str, *arguments: object) -> Iterator[int]:
    """Starts a viewer on a free port and ends it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / program), *map(str, arguments), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        start = time.monotonic()
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() - start > PATIENCE:
                sys.exit(f"{' '.join(command)} does not start")
            time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait()


def shoot(browser: Any, port: int, path: Path, prepare: Callable[[Any], None]) -> None:
    """Opens the viewer's page, prepares it, waits until the picture stands still, and writes a PNG."""
    from PIL import Image

    page = browser.new_page(viewport=SIZE)
    page.route(lambda url: not url.startswith((f"http://127.0.0.1:{port}", "data:", "blob:")), lambda r: r.abort())
    watched(page)
    page.goto(f"http://127.0.0.1:{port}", wait_until="domcontentloaded")
    page.add_style_tag(content="img[alt='NerfStudio Logo'] { visibility: hidden }")  # It is not on this machine.
    page.get_by_text(re.compile("Resolution: [1-9]")).first.wait_for(timeout=1000 * PATIENCE)
    _still(page)
    prepare(page)
    page.mouse.move(300, 400)
    page.get_by_text("psi").first.scroll_into_view_if_needed()
    _still(page)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize((1024, 640)).quantize(COLOURS)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
    page.close()
    print(path)


def watched(page: Any) -> None:
    """Makes a page, before it is opened, count its pictures and draw all pixels that the screen has: viser draws fewer
    where frames take long, as they do without a GPU and on a busy machine."""
    page.add_init_script(WATCH_PICTURES)
    page.route(re.compile(r"/assets/index-.*\.js$"), _in_full_resolution)


def _in_full_resolution(route: Any) -> None:
    response = route.fetch()
    given, wanted = "window.devicePixelRatio*(.2+.8*", "window.devicePixelRatio*(1+0*"
    script = response.text()
    assert script.count(given) == 1, "viser chooses its resolution in another way than 0.2.7"
    route.fulfill(response=response, body=script.replace(given, wanted))


def choose(page: Any, label: str, value: str) -> None:
    """Chooses from one of the panel's dropdowns."""
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=value, exact=True).click()


def _max_resolution(page: Any) -> Any:
    """The number beside the slider."""
    slider = page.locator("label", has_text=re.compile("^Max res$")).first.get_attribute("for")
    return page.locator(f"xpath=//*[@id='{slider}']/following-sibling::*//input").first


def _still(page: Any) -> None:
    """Waits for the sharp picture that follows the coarse ones of all that was done: one of a slightly different
    resolution is newer than that."""
    page.wait_for_timeout(1000 * STILL)
    width = int(_max_resolution(page).input_value())
    width += -4 if width % 8 else 4
    _max_resolution(page).fill(str(width))
    page.get_by_text(re.compile(f"Resolution: {width}x")).first.wait_for(timeout=1000 * PATIENCE)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        before = page.evaluate("shown")
        page.wait_for_timeout(1000 * STILL)
        if page.evaluate("shown") == before and before["loading"] == 0:
            return
    sys.exit(f"no picture {width} pixels across within {PATIENCE:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("demo-results"))
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    program = installed_browser()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("Playwright is not installed: pip install playwright")
    if program is None:
        sys.exit(f"no browser is installed ({', '.join(BROWSERS)})")
    runs = demo_runs()
    for run in runs.values():
        if not (run.folder(arguments.runs) / "results" / "figures.json").is_file():
            train([run], arguments.runs)
    folders = {name: run.folder(arguments.runs) for name, run in runs.items()}
    saved: List[str] = ["--viewer.websocket-host", "127.0.0.1", "--viewer.websocket-port"]

    def split(page: Any) -> None:
        page.get_by_label("Enable", exact=True).first.set_checked(True)

    def image(page: Any) -> None:
        split(page)
        choose(page, "Output render split", "error")

    def sound(page: Any) -> None:
        choose(page, "Output type", "both")
        split(page)
        choose(page, "Output render split", "spectrogram")
        _still(page)
        page.mouse.click(480, 260)  # Values are read there.

    def shape(page: Any) -> None:
        split(page)
        choose(page, "Output render split", "error")

    def compared(page: Any) -> None:
        page.get_by_text("weights").first.wait_for()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        for name, run, prepare in (("image", "camera", image), ("audio", "chiptune", sound), ("shape", "bunny", shape)):
            with viewer("ns-viewer", "--load-config", folders[run] / "config.yml", *saved) as port:
                shoot(browser, port, arguments.output / f"viewer-{name}.png", prepare)
        both = [folders["camera"], folders["camera-siren"]]
        with viewer("winner-ns", "compare", *both, "--host", "127.0.0.1", "--port") as port:
            shoot(browser, port, arguments.output / "viewer-compare.png", compared)
        browser.close()


if __name__ == "__main__":
    main()

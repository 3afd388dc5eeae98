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
from typing import Any, Callable, Dict, Iterator, List

from winner_ns.demo.__main__ import SOUND_STEPS, installed
from winner_ns.demo.runs import Run, train
from winner_ns.demo.sound import CHIPTUNE

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking"]
SIZE = {"width": 1280, "height": 800}
COLOURS = 200
STILL = 10.0
"""Seconds; a busy machine takes some from a coarse picture to the sharp one."""
PATIENCE = 120.0
"""Seconds that a viewer and its first picture may take."""


def demo_runs() -> Dict[str, Run]:
    """Those of the demo that are shown."""
    camera = installed("skimage", "data", "camera.png")
    bunny = installed("pymeshlab", "tests", "sample_meshes", "bunny.obj")
    return {
        "camera": Run("camera", camera),
        "camera-siren": Run("camera-siren", camera, ["--pipeline.model.field.family", "siren"]),
        "chiptune": Run("chiptune", CHIPTUNE, ["--max-num-iterations", str(SOUND_STEPS)]),
        "bunny": Run("bunny", bunny),
    }


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
    page.goto(f"http://127.0.0.1:{port}", wait_until="domcontentloaded")
    page.get_by_text(re.compile("Resolution: [1-9]")).first.wait_for(timeout=1000 * PATIENCE)
    _still(page)
    prepare(page)
    page.mouse.move(300, 400)
    _still(page)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
    page.close()
    print(path)


def choose(page: Any, label: str, value: str) -> None:
    """Chooses from one of the panel's dropdowns."""
    page.get_by_label(label, exact=True).first.click()
    page.get_by_role("option", name=value, exact=True).click()


def _still(page: Any) -> None:
    """Waits until nothing has changed on screen for so long that the sharp picture must be there."""
    last, since = b"", time.monotonic()
    start = since
    while time.monotonic() - since < STILL and time.monotonic() - start < PATIENCE:
        shot = page.screenshot()
        if shot != last:
            last, since = shot, time.monotonic()
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("demo-results"))
    parser.add_argument("--output", type=Path, default=Path("docs/pictures"))
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
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
        page.get_by_role("button", name="Play", exact=True).click()

    def shape(page: Any) -> None:
        choose(page, "Output type", "slice")

    def compared(page: Any) -> None:
        page.get_by_text("PSNR").first.scroll_into_view_if_needed()

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

"""Short runs of each kind, opened by the commands that a user has, and one browser that looks at all of them."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
import pytest
import soundfile
import trimesh
from PIL import Image

from winner_ns.demo.bunny_scene import write_bunny_scene
from winner_ns.demo.viewer_pictures import FLAGS, watched

from .programs import Programs
from .viewer_page import PATIENCE, ViewerPage, find_browser

HOST = "127.0.0.1"
FEW_FRAMES = """
const draw = window.requestAnimationFrame.bind(window), waiting = new Map();
let called = 0, awake = 0;
window.requestAnimationFrame = then => {
    const frame = {draw: () => draw(now => waiting.delete(frame.number) && then(now)), number: ++called};
    frame.late = performance.now() > awake;
    frame.timer = setTimeout(frame.draw, frame.late ? 1000 : 100);
    waiting.set(frame.number, frame);
    return frame.number;
};
window.cancelAnimationFrame = number => {
    clearTimeout(waiting.get(number)?.timer);
    waiting.delete(number);
};
const wake = () => {
    awake = performance.now() + 700;
    for (const frame of waiting.values()) {
        if (frame.late) {
            clearTimeout(frame.timer);
            frame.late = false;
            frame.timer = setTimeout(frame.draw, 100);
        }
    }
};
for (const done of ["pointerdown", "pointermove", "pointerup", "wheel", "keydown", "input", "resize"]) {
    window.addEventListener(done, wake, {capture: true, passive: true});
}
window.Worker = class extends window.Worker {
    constructor(...given) {
        super(...given);
        this.addEventListener("message", wake);
    }
};
const getContext = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function(kind, options) {
    return getContext.call(this, kind, {...options, antialias: false});
};
"""
"""Ten frames a second, and one where nothing has come from the viewer and nothing was done to the page for a while: it
draws all the time, and without a GPU it leaves the viewers no processor. A frame that takes longer is waited for, or
frames would queue up behind it. Without smooth edges it takes half as long."""
SMALL = ["--pipeline.model.field.width", "64", "--pipeline.model.field.depth", "3", "--pipeline.write-results", "False"]
SMOOTH = ["--pipeline.model.purpose", "0.25"]
"""So few samples leave a field with more noise free between them, where it is looked at as well."""
STRANGE = "{globalThis.hacked=1} `b` *c* [d](e) <img src=x onerror=globalThis.hacked=1>"
"""What a file or folder may be called: to the page it is code, a tag, a link."""
VIEW = ["--viewer.websocket-host", HOST, "--viewer.websocket-port"]


@dataclass
class OpenViewer:
    """A viewer that waits for browsers."""

    data: Path
    """What was fitted."""
    port: int
    runs: List[Path] = field(default_factory=list)
    """The finished runs that are shown."""


class Viewers(Programs):
    """Runs, and the viewers that show them."""

    def train(self, data: Path, name: str, *flags: str, method: str = "winner-siren") -> Path:
        """A finished run."""
        where = ["--output-dir", self.folder, "--experiment-name", name, "--timestamp", "run", "--vis", "tensorboard"]
        program, log = self.start("ns-train", method, "--data", data, *where, *SMALL, *flags)
        assert program.wait() == 0, log.read_text()
        return self.folder / name / method / "run"

    def view(self, name: str, *arguments: object, port: int) -> None:
        """Starts a viewer and waits until it listens."""
        program, log = self.start(name, *arguments)
        end = time.monotonic() + 2 * PATIENCE
        while not _listens(port):
            assert program.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


# The signals ---------------------------------------------------------------------------------------------------------


def quadrants() -> np.ndarray:
    """A picture that is its own in every quadrant: [48, 64, 3] in 0 … 1."""
    rows, columns = np.mgrid[0:48, 0:64]
    picture = np.zeros((48, 64, 3))
    picture[:24, :32], picture[:24, 32:] = (0.9, 0.2, 0.1), (0.1, 0.7, 0.2)
    picture[24:, :32], picture[24:, 32:] = (0.15, 0.2, 0.8), (0.95, 0.85, 0.2)
    picture[(rows - 12) ** 2 + (columns - 14) ** 2 < 60] = 1.0
    picture[30:40, 38:44] = 0.0
    return picture


def swelling_tone() -> np.ndarray:
    """Half a second of 1000 Hz at 8000 Hz that swells; its last fifth is above zero only."""
    time = np.arange(4000) / 8000
    sound = np.minimum(2.5 * time, 0.8) * np.sin(2 * np.pi * 1000 * time)
    sound[3200:] = np.abs(sound[3200:])
    return sound


def pear() -> trimesh.Trimesh:
    """A long body along y, thin at its upper end, with a bulge towards x, in millimetres and away from the origin."""
    ball = trimesh.creation.icosphere(subdivisions=4)
    towards = ball.vertices
    bulge = 0.5 * np.exp(-8 * ((towards - [1, 0, 0]) ** 2).sum(1))
    radius = 0.55 - 0.25 * towards[:, 1] + bulge
    return trimesh.Trimesh(100 * towards * radius[:, None] * [1, 1.6, 1] + [300, -50, 20], ball.faces)


def moving_square() -> np.ndarray:
    """A volume whose slices across its first axis show a square that wanders: [16, 24, 32]."""
    volume = np.full((16, 24, 32), -0.8, dtype=np.float32)
    for index in range(16):
        volume[index, 4 + index : 12 + index, 2 * index : 2 * index + 10] = 0.4
    volume[:, :4, :6] = 0.0
    return volume


# Their viewers -------------------------------------------------------------------------------------------------------


def _open_image(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = folder / "quadrants.png"
    Image.fromarray((255 * quadrants()).round().astype(np.uint8)).save(data)
    return _open(programs, data, port, "--max-num-iterations", "100", *SMOOTH)


def _open_audio(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = folder / "tone.wav"
    soundfile.write(data, swelling_tone(), 8000)
    return _open(programs, data, port, "--max-num-iterations", "200", "--pipeline.model.purpose", "0.5")


def _open_shape(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = folder / "pear.ply"
    pear().export(data)
    few = ["--pipeline.datamanager.shape-samples", "100000", "--pipeline.datamanager.batch-size", "4096"]
    few += ["--pipeline.model.purpose", "0.25"]  # So small a network is left with specks by more.
    return _open(programs, data, port, "--max-num-iterations", "350", *few)


def _open_volume(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = folder / f"{STRANGE}.npy"
    np.save(data, moving_square())
    run = programs.train(data, "square", "--max-num-iterations", "200", *SMOOTH)
    programs.view("winner-ns", "view", run, "--host", HOST, "--port", port, port=port)
    return OpenViewer(data, port, [run])


def _open(programs: Viewers, data: Path, port: int, *flags: str, method: str = "winner-siren") -> OpenViewer:
    run = programs.train(data, f"run-{port}", *flags, method=method)
    programs.view("ns-viewer", "--load-config", run / "config.yml", *VIEW, port, port=port)
    return OpenViewer(data, port, [run])


def _open_scene(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = write_bunny_scene(folder / STRANGE, views=30, test_views=1, size=48)
    few = ["--pipeline.datamanager.batch-size", "512", "--pipeline.model.views.num-samples", "48"]
    return _open(programs, data, port, "--max-num-iterations", "500", *few)


def _open_surface(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = write_bunny_scene(folder / "surface", views=30, test_views=1, size=32)
    few = ["--pipeline.datamanager.batch-size", "512", "--pipeline.model.num-samples", "16"]
    few += ["--pipeline.model.num-samples-importance", "16"]
    return _open(programs, data, port, "--max-num-iterations", "250", *few, method="winner-neus")


def _open_training(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = folder / "trained.png"
    Image.fromarray((255 * quadrants()).round().astype(np.uint8)).save(data)
    slowly = ["--optimizers.field.optimizer.lr", "1e-4", "--optimizers.field.scheduler.schedule", "constant"]
    programs.view(
        "ns-train", "winner-siren", "--data", data, "--output-dir", folder, "--vis", "viewer",
        "--start-paused", "True", "--max-num-iterations", "1000000", *SMALL, *slowly, *VIEW, port, port=port,
    )  # fmt: skip
    return OpenViewer(data, port)


def _open_comparison(programs: Viewers, folder: Path, port: int) -> OpenViewer:
    data = folder / "compared.png"
    Image.fromarray((255 * quadrants()).round().astype(np.uint8)).save(data)
    good = programs.train(data, "good", "--max-num-iterations", "150", *SMOOTH)
    bad = programs.train(data, "bad", "--max-num-iterations", "3", "--pipeline.model.field.family", "siren")
    programs.view("winner-ns", "compare", good, bad, "--host", HOST, "--port", port, port=port)
    return OpenViewer(data, port, [good, bad])


OPEN: Dict[str, Callable[[Viewers, Path, int], OpenViewer]] = {
    "image_viewer": _open_image,
    "audio_viewer": _open_audio,
    "shape_viewer": _open_shape,
    "volume_viewer": _open_volume,
    "scene_viewer": _open_scene,
    "surface_viewer": _open_surface,
    "training_viewer": _open_training,
    "comparison_viewer": _open_comparison,
}


@pytest.fixture(scope="session")
def viewers(request, tmp_path_factory) -> "Dict[str, Future[OpenViewer]]":
    """The viewers that the chosen tests need, opened at the same time as the first ones are looked at."""
    folder = tmp_path_factory.mktemp("browser")
    programs, pool = Viewers(folder), ThreadPoolExecutor(2)
    needed = dict.fromkeys(name for item in request.session.items for name in getattr(item, "fixturenames", ()))
    try:
        yield {name: pool.submit(OPEN[name], programs, folder, free_port()) for name in needed if name in OPEN}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        programs.finish()


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window; what is not on this machine is out of its reach."""
    from playwright.sync_api import sync_playwright

    program = find_browser()
    with sync_playwright() as playwright:
        # Without a GPU, pages are put together faster by Chromium itself than by what stands for the GPU.
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, "--disable-gpu-compositing"])
        yield browser
        browser.close()


def _fixtures(name: str):
    """The viewer of that name, and its page."""

    @pytest.fixture(scope="session", name=name)
    def viewer(viewers) -> OpenViewer:
        return viewers[name].result()

    return viewer


image_viewer, audio_viewer, shape_viewer = map(_fixtures, ("image_viewer", "audio_viewer", "shape_viewer"))
volume_viewer, training_viewer = map(_fixtures, ("volume_viewer", "training_viewer"))
comparison_viewer, scene_viewer = map(_fixtures, ("comparison_viewer", "scene_viewer"))
surface_viewer = _fixtures("surface_viewer")


@pytest.fixture(scope="module")
def open_page(browser):
    """Opens a viewer's page; the pages are closed with the module."""
    pages = []

    def open_page(viewer: OpenViewer, **settings: object) -> ViewerPage:
        page = browser.new_page(viewport={"width": 900, "height": 600})
        pages.append(page)
        page.set_default_timeout(1000 * PATIENCE)  # As for pictures: a busy page is late with buttons, too.
        address = f"http://{HOST}:{viewer.port}"
        page.route(lambda url: not url.startswith((address, "data:", "blob:")), lambda route: route.abort())
        page.add_init_script(FEW_FRAMES)
        watched(page)
        page.goto(address, wait_until="domcontentloaded")
        page.add_style_tag(content="* { box-shadow: none !important }")  # The panel's falls onto the picture.
        return ViewerPage(page, **settings)

    yield open_page
    for page in pages:
        page.close()

"""Pages of fields, opened in a browser: what they show is what the fields are, and they ask for nothing."""

from __future__ import annotations

import base64
import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from test_export import RADIUS, ball_run, plane_waves, sphere_run
from test_mesh_colours import SIDES, cube_ply

import winner_ns
from winner_ns.export.glsl import glsl_function
from winner_ns.export.web.exhibit import PageOptions
from winner_ns.export.web.page import write_page
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.fields.files import LoadedField
from winner_ns.fitting.run import load_run

from .viewer_page import PATIENCE

pytestmark = pytest.mark.slow

HOSTILE = "</script><script>globalThis.hacked=1</script>'\"&amp;<img src=x onerror=globalThis.hacked=1> ψ 图 ${1}"
SIZE = {"width": 360, "height": 640}


@dataclass
class OpenPage:
    """A page and what it has done."""

    page: Any
    requests: List[str] = dataclasses.field(default_factory=list)
    errors: List[str] = dataclasses.field(default_factory=list)

    def done(self) -> None:
        """Waits until all that is seen has been evaluated."""
        self.page.locator("canvas[data-done=true]").first.wait_for(timeout=1000 * PATIENCE)

    def press(self, *keys: str) -> None:
        """Presses keys on the picture, and waits for what they do."""
        self.page.locator("#canvas").focus()
        for key in keys:
            self.page.keyboard.press(key)
        self.page.evaluate("() => new Promise(then => requestAnimationFrame(then))")
        self.done()

    def floats(self, expression: str) -> np.ndarray:
        """A Float32Array of the page's."""
        text = self.page.evaluate(
            f"""() => {{
                const bytes = new Uint8Array(Float32Array.from({expression}).buffer);
                return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
            }}"""
        )
        return np.frombuffer(base64.b64decode(text), dtype="<f4")

    def canvas(self) -> np.ndarray:
        """The picture as it is drawn, [height, width, 3] in 0 … 1."""
        address = self.page.evaluate('() => document.getElementById("canvas").toDataURL("image/png")')
        picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255

    def status(self) -> str:
        return self.page.locator("#status").inner_text()


@pytest.fixture(scope="module")
def opened(browser):
    """Opens a file as a page, once."""
    pages: Dict[Path, OpenPage] = {}

    def opened(path: Path, **settings: Any) -> OpenPage:
        if path not in pages:
            page = browser.new_page(viewport=SIZE, **settings)
            pages[path] = OpenPage(page)
            page.on("request", lambda request: pages[path].requests.append(request.url))
            page.on("pageerror", lambda error: pages[path].errors.append(str(error)))
            page.on("console", lambda m: pages[path].errors.append(m.text) if m.type == "error" else None)
            page.goto(path.as_uri())
            pages[path].done()
        return pages[path]

    yield opened
    for each in pages.values():
        each.page.close()


def fitted(data: Any, steps: int = 60, **settings: Any) -> "winner_ns.FittedField":
    chosen = {"width": 32, "depth": 3, "device": "cpu", "progress": False, "batch_size": 1024, **settings}
    return winner_ns.fit(data, steps=steps, between="none", **chosen)


def written(path: Path, fields: Mapping[str, LoadedField], signal: Any = None, **options: Any) -> Path:
    write_page(path, fields, {name: {"psnr": 30.0} for name in fields}, signal, PageOptions(**options))
    return path


@pytest.fixture(scope="module")
def picture_fields(tmp_path_factory) -> Dict[str, winner_ns.FittedField]:
    """Two fields of one picture, whose file has a name that means harm."""
    rows, columns = np.mgrid[0:24, 0:36] / 36
    waves = np.stack([np.sin(9 * rows + 5 * columns), np.cos(14 * columns), np.sin(11 * rows * columns)], -1)
    path = tmp_path_factory.mktemp("picture") / (HOSTILE.replace("/", "∕") + ".png")
    Image.fromarray((127.5 * (waves + 1)).astype(np.uint8)).save(path)
    return {"winner": fitted(path, steps=150), HOSTILE: fitted(path, family="finer", steps=5)}


@pytest.fixture(scope="module")
def picture_page(picture_fields, opened, tmp_path_factory) -> OpenPage:
    path = tmp_path_factory.mktemp("pages") / "two.html"
    original = next(iter(picture_fields.values())).original
    return opened(written(path, picture_fields, original, original=True))


def grid_of(page: OpenPage, number: int, shape: Any) -> np.ndarray:
    return page.floats(f"winner[{number}].grid({list(shape)})").reshape(*shape, -1)


def test_a_page_that_changes_its_size_while_it_is_drawn_goes_on(browser, picture_fields, tmp_path):
    """The graphics processor may still be at the old size when the new one is asked for."""
    page = browser.new_page(viewport=SIZE)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(written(tmp_path / "page.html", dict(list(picture_fields.items())[:1])).as_uri())
    page.evaluate('() => Object.defineProperty(pace, "ready", {get: () => false, configurable: true})')
    page.set_viewport_size({"width": 500, "height": 600})
    page.wait_for_timeout(300)
    page.evaluate("() => delete pace.ready")
    page.locator("canvas[data-done=true]").first.wait_for(timeout=1000 * PATIENCE)
    assert not errors and page.locator("#problem").is_hidden()
    page.close()


@pytest.mark.parametrize("number", (0, 1))
def test_pixels_are_those_of_the_field(picture_fields, picture_page, number):
    """Within a step of 255, as fields are of weights in 16 bits."""
    field = list(picture_fields.values())[number]
    for shape in ((24, 36), (17, 53)):
        difference = np.abs(grid_of(picture_page, number, shape) - field.grid(shape))
        assert difference.max() < 1.0, difference.max()
    assert not picture_page.errors


def test_the_picture_is_the_field_at_the_pixels_of_the_screen(picture_fields, picture_page):
    """One field on either side of the divider, each within what 8 bits of colour round, also after a zoom."""
    picture_page.press("0", "+", "+", "ArrowLeft")
    seen = picture_page.canvas()
    height, width = seen.shape[:2]
    x, y, zoom = picture_page.page.evaluate("() => [view.x, view.y, view.zoom]")
    columns = x + (np.arange(width) + 0.5 - width / 2) / zoom
    rows = y + (np.arange(height) + 0.5 - height / 2) / zoom
    assert zoom > 1.5 * width / 36
    inside = np.ix_((rows >= -0.5) & (rows < 23.5), (columns >= -0.5) & (columns < 35.5))
    for number, field in enumerate(picture_fields.values()):
        at = np.stack(np.meshgrid(rows / 35 * 2 - 23 / 35, columns / 35 * 2 - 1, indexing="ij"), -1)
        expected = np.clip(field(at.astype(np.float32)) / 255, 0, 1)
        half = np.arange(width) < width / 2 - 2 if number == 0 else np.arange(width) > width / 2 + 2
        difference = np.abs(seen - expected)[inside][:, half[inside[1][0]]]
        assert difference.max() < 1.5 / 255, difference.max()


def test_the_page_asks_for_nothing_and_nobodys_text_acts(picture_page):
    assert len(picture_page.requests) == 1 + sum(url.startswith("data:") for url in picture_page.requests)
    assert picture_page.page.evaluate("() => globalThis.hacked === undefined")
    assert picture_page.page.title() == picture_page.page.locator("h1").inner_text() + " as a field"
    assert "</script><script>" in picture_page.page.locator("thead").inner_text()
    # Even a script that got in, or somebody's address, would come to nothing.
    stopped = picture_page.page.evaluate(
        """async () => {
            const script = document.createElement("script");
            script.textContent = "globalThis.hacked = 1";
            document.body.append(script);
            const sent = await fetch("http://127.0.0.1:9/").then(() => true, () => false);
            return !sent && globalThis.hacked === undefined;
        }"""
    )
    assert stopped
    picture_page.errors.clear()


def test_the_original_and_the_error_are_seen_by_a_key(picture_fields, picture_page):
    original = next(iter(picture_fields.values())).original
    picture_page.press("0", "v")
    seen = picture_page.canvas()
    height, width = seen.shape[:2]
    rows = np.floor((np.arange(height) + 0.5) * 24 / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * 36 / width).astype(int)
    inner = (slice(2, -2), slice(2, -2))  # Rounding of the canvas's size moves edges.
    difference = np.abs(seen - original.samples[np.ix_(rows, columns)] / 255)[inner]
    assert np.mean(difference > 1 / 255) < 0.05
    picture_page.press("v")
    # The field that was hardly trained, on the right, errs more.
    error = picture_page.canvas().mean(-1)
    assert error[:, width // 2 + 4 :].mean() > 2 * error[:, : width // 2 - 4].mean()
    picture_page.press("v")
    # The original stands beside a field, too.
    field = picture_page.canvas()
    picture_page.page.locator("#right").select_option("original")
    picture_page.press("0")
    both, half = picture_page.canvas(), (slice(None), slice(width // 2 + 4, None))
    assert np.abs(both - seen)[half].max() < 1e-6
    assert np.abs(both - field)[:, : width // 2 - 4].max() < 1e-6
    picture_page.page.locator("#right").select_option(index=1)
    picture_page.press("0")


def test_keys_and_buttons_move_the_picture(picture_page):
    picture_page.press("0")
    before = picture_page.page.evaluate("() => ({...view})")
    picture_page.press("+", "ArrowRight", "ArrowDown", "w")
    after = picture_page.page.evaluate("() => ({...view})")
    assert after["zoom"] > before["zoom"] and after["x"] > before["x"] and after["y"] > before["y"]
    assert after["divider"] > before["divider"]
    picture_page.press("0")
    assert picture_page.page.evaluate("() => view.zoom") == pytest.approx(before["zoom"])
    names = picture_page.page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, canvas[tabindex]')].map(each => "
        "each.getAttribute('aria-label') || each.labels?.[0]?.innerText || each.innerText)"
    )
    assert all(name.strip() for name in names), names


def test_a_telephone_shows_it_without_scrolling_sideways(picture_page):
    assert picture_page.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("family", ("gauss", "relu-pe", "rff"))
def test_other_families_are_evaluated_by_the_same_shader(family, opened, tmp_path):
    samples = np.random.default_rng(0).random((12, 14)).astype(np.float32)
    settings = {"features": 16} if family == "rff" else None
    field = fitted(samples, kind="image", family=family, steps=5, width=16, depth=2, settings=settings)
    page = opened(written(tmp_path / "page.html", {family: field}))
    difference = np.abs(grid_of(page, 0, (12, 14)) - field.grid((12, 14)))
    assert difference.max() < np.ptp(samples) / 255, difference.max()


def test_frames_of_a_film_are_chosen_by_a_key(opened, tmp_path):
    film = np.random.default_rng(1).random((5, 8, 10)).astype(np.float32)
    field = fitted(film, kind="volume", steps=10, width=16, depth=2)
    page = opened(written(tmp_path / "page.html", {"winner": field}))
    difference = np.abs(grid_of(page, 0, (5, 8, 10)) - field.grid((5, 8, 10)))
    assert difference.max() < np.ptp(film) / 255
    before = page.canvas()
    page.press("PageUp")
    assert np.abs(page.canvas() - before).max() > 0.01
    assert page.page.locator("#place").inner_text() == "3.0"


def test_samples_of_a_sound_are_those_of_the_field(opened, tmp_path):
    """Two channels, evaluated in several pieces; played from the moment that a key has chosen."""
    seconds = np.arange(6000) / 8000
    waves = 0.4 * np.stack([np.sin(2 * np.pi * 440 * seconds), np.sin(2 * np.pi * 313 * seconds)], 1)
    soundfile.write(tmp_path / "tone.wav", waves, 8000)
    field = fitted(tmp_path / "tone.wav")
    page = opened(written(tmp_path / "page.html", {"winner": field}, field.original, original=True))
    samples = page.floats("winner[0].samples").reshape(-1, 2)
    expected = field.grid(6000) / field.signal["full_scale"]
    assert np.abs(samples - expected).max() < 1e-3
    original = page.floats("winner[1].samples").reshape(-1, 2)
    assert np.abs(original - waves).max() < 1e-4
    assert np.abs(page.floats("winner[2].samples").reshape(-1, 2) - (expected - waves)).max() < 1.1e-3
    choices = page.page.locator("[name=source]")
    choices.nth(2).check(force=True)
    assert page.page.evaluate("() => sources[view.source] === fields[0].error")
    choices.nth(0).check(force=True)
    assert page.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    # On the right of the divider the original is seen, the field on its left as before.
    alone = page.canvas()
    choices.nth(1).check(force=True)
    beside = page.canvas()
    choices.nth(0).check(force=True)
    page.press(*["W"] * 10)
    halved, middle = page.canvas(), alone.shape[1] // 2
    assert np.array_equal(halved[:, : middle - 4], alone[:, : middle - 4])
    assert np.array_equal(halved[:, middle + 4 :], beside[:, middle + 4 :]) and not np.array_equal(alone, beside)
    page.press("ArrowRight")
    assert page.status().startswith("0.037 s")
    # Both in one go: the sound may be over before a busy machine presses again.
    written_on_it = page.page.evaluate(
        """() => [1, 2].map(() => {
            canvas.dispatchEvent(new KeyboardEvent("keydown", {key: " "}));
            return byId("play").textContent;
        })"""
    )
    assert written_on_it == ["stop", "play"]
    assert len(page.requests) == 1 and not page.errors


@pytest.mark.parametrize("rate", (250, 192_000))
def test_a_sound_of_any_rate_is_played_in_its_own_time(rate, opened, tmp_path):
    """Also of rates that browsers make no buffers of."""
    field = fitted((np.sin(np.arange(400) / 7), rate), steps=2, width=8, depth=1)
    page = opened(written(tmp_path / "page.html", {"winner": field}))
    lasts = page.page.evaluate(
        """() => {
            play();
            const {node} = playing;
            stop();
            return node.buffer.duration / node.playbackRate.value;
        }"""
    )
    assert lasts == pytest.approx(400 / rate, rel=1e-3) and not page.errors
    # Seen close, the part that is seen goes with the moment.
    page.press("+", "+", "+", "End")
    assert page.page.evaluate("() => view.from < view.at && view.at <= view.to && view.to - view.from < 200")


@pytest.mark.parametrize("shape", ((2, 900), (3, 2)))
def test_pictures_of_few_pixels_are_seen(shape, opened, tmp_path):
    samples = np.linspace(0, 1, np.prod(shape), dtype=np.float32).reshape(shape)
    field = fitted(samples, kind="image", steps=2, width=8, depth=1)
    page = opened(written(tmp_path / "page.html", {"winner": field}))
    assert np.abs(grid_of(page, 0, shape) - field.grid(shape)).max() < 1 / 255
    seen = page.canvas()
    size, counts = np.array(seen.shape[:2]), np.array(shape)
    assert size[0] >= 64 and ("drag" in page.status()) == (shape == (2, 900))
    # The pixel at the middle.
    pixel, zoom = size // 2, page.page.evaluate("() => view.zoom")
    place = (counts - 1) / 2 + (pixel + 0.5 - size / 2) / zoom
    at = np.array(field.signal["half_extent"]) * (2 * place / np.maximum(counts - 1, 1) - 1)
    value = (field(at[None]) - field.signal["value_offset"]) / field.signal["value_scale"]
    assert seen[tuple(pixel)] == pytest.approx(np.clip(0.5 * value[0, 0] + 0.5, 0, 1), abs=1.5 / 255)


def test_a_value_of_exactly_nought_is_seen(opened, tmp_path):
    field = fitted(np.eye(4, dtype=np.float32), kind="image", steps=1, width=8, depth=1)
    with torch.no_grad():
        field.network.output.weight.zero_()
        field.network.output.bias.zero_()
    page = opened(written(tmp_path / "page.html", {"winner": field}))
    target = field.description.target
    gray = 0.5 + 0.5 * target["offset"][0]
    inner = page.canvas()[4:-4, 4:-4]
    assert np.abs(inner - gray).max() < 1.5 / 255


def test_a_pattern_that_is_too_fine_for_the_screen_is_its_mean(opened, tmp_path):
    """A wave about as long as a pixel of the screen, which at the middles of pixels looks like a slow one."""
    pixels = 328 / 1.02  # Waves across the picture, one less to about 50 pixels of the screen.
    waves = plane_waves(np.array([[0.0, np.pi * pixels]]), np.zeros(1), np.ones((1, 1))).eval()
    signal = {
        "shape": [1200, 1200], "channels": 1, "dtype": "uint8", "value_offset": 127.5, "value_scale": 127.5,
        "half_extent": [1.0, 1.0],
    }  # fmt: skip
    made_of = NetworkDescription.of(waves, "siren")
    description = Description("image", "a.png", "", made_of, {"gain": 1.0, "offset": [0.0]}, signal)
    page = opened(written(tmp_path / "page.html", {"siren": LoadedField(waves, description)}))
    assert page.page.evaluate("() => view.zoom") < 0.3
    assert np.abs(page.canvas()[4:-4, 4:-4] - 0.5).max() < 0.1
    # Where there is room for it, it is there.
    page.press(*["+"] * 8)
    assert np.abs(page.canvas() - 0.5).max() > 0.4


def test_a_surface_is_measured_in_the_originals_units(opened, tmp_path):
    """A ball far from the origin: from one side to the other, and cut in halves."""
    center = (50.0, -20.0, 7.0)
    field = load_run(sphere_run(tmp_path, center, 3.0))
    size = RADIUS * field.signal["scale"]
    page = opened(written(tmp_path / "page.html", {"siren": field}, resolution=48))
    box = page.page.locator("#canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    radius = page.page.evaluate("() => scale()[0]") * RADIUS * box["width"] / 2
    for side in (-0.9, 0.9):
        page.page.mouse.click(middle[0] + side * radius, middle[1])
    apart = float(page.status().split()[0])
    assert apart == pytest.approx(2 * 0.9 * size, rel=0.02)
    for point in page.page.evaluate("() => winner.picked"):
        assert np.linalg.norm(np.array(point) - center) == pytest.approx(size, rel=0.01)
    before = page.canvas()
    # Once more by keyboard: a point at the middle, and one beside it.
    page.press("Enter")
    page.press(*["Shift+ArrowRight"] * 3, "Enter")
    (one, other), aside = page.page.evaluate("() => winner.picked"), page.page.evaluate("() => view.across")
    assert np.linalg.norm(np.subtract(one, center)) == pytest.approx(size, rel=0.01)
    assert np.linalg.norm(np.subtract(other, center)) == pytest.approx(size, rel=0.01)
    depth = RADIUS - np.sqrt(RADIUS**2 - aside**2)
    assert np.linalg.norm(np.subtract(one, other)) == pytest.approx(
        np.hypot(aside, depth) * field.signal["scale"], rel=0.05
    )
    page.press("0", "ArrowLeft", *["PageDown"] * 25)
    assert np.abs(page.canvas() - before).max() > 0.2
    assert float(page.page.locator("#place").inner_text()) == pytest.approx(50.0, abs=0.2)
    assert len(page.requests) == 1 and not page.errors


def test_a_surface_has_the_colours_of_its_original(opened, tmp_path):
    """A ball in the colours of the nearest sides of a cube, seen from its corner."""
    field = load_run(ball_run(tmp_path / "run", cube_ply(tmp_path / "cube.ply")))
    page = opened(written(tmp_path / "page.html", {"siren": field}, resolution=48))
    seen, towards = page.canvas(), np.array(page.page.evaluate("() => turn()"))
    height, width = seen.shape[:2]
    radius = page.page.evaluate("() => scale()") * np.array([width, -height]) / 2 * RADIUS
    for axis in range(3):
        # Half way to where the side's middle is seen.
        x, y = np.array([width, height]) / 2 + radius * (towards[:2, axis] + 0.1 * towards[:2].sum(axis=1)) * 0.8
        colour, wanted = seen[round(y), round(x)], SIDES[2 * axis + 1] / 255
        np.testing.assert_allclose(colour / colour.max(), wanted / wanted.max(), atol=0.03)
    assert not page.errors


RUN_FUNCTION = """([text, call, points]) => {
    const canvas = document.createElement("canvas"), gl = canvas.getContext("webgl2"), width = points.length;
    const shaders = [
        [gl.VERTEX_SHADER, `#version 300 es
            void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0); }`],
        [gl.FRAGMENT_SHADER, `#version 300 es
            precision highp float;
            ${text}
            uniform vec3 points[${width}];
            out uvec4 bits;
            void main() { vec3 at = points[int(gl_FragCoord.x)]; bits = floatBitsToUint(${call}); }`],
    ];
    const program = gl.createProgram();
    for (const [kind, source] of shaders) {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) return gl.getShaderInfoLog(shader);
        gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32UI, width, 1);
    const texture = gl.getParameter(gl.TEXTURE_BINDING_2D);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    gl.uniform3fv(gl.getUniformLocation(program, "points"), points.flat());
    gl.viewport(0, 0, width, 1);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    const bits = new Uint32Array(4 * width);
    gl.readPixels(0, 0, width, 1, gl.RGBA_INTEGER, gl.UNSIGNED_INT, bits);
    return [...new Float32Array(bits.buffer)];
}"""


@pytest.fixture(scope="module")
def blank(browser):
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("family", ("siren", "finer", "gauss", "relu-pe", "rff"))
def test_a_function_pasted_into_a_shader_gives_the_field(family, blank):
    settings = {"features": 8} if family == "rff" else None
    samples = np.random.default_rng(0).random((12, 14, 3)).astype(np.float32)
    field = fitted(samples, kind="image", family=family, steps=5, width=10, depth=2, settings=settings)
    points = np.random.default_rng(1).uniform(-0.8, 0.8, (60, 3)).astype(np.float32)
    given = blank.evaluate(RUN_FUNCTION, [glsl_function(field, "photo")[0], "vec4(photo(at.xy), 0.0)", points.tolist()])
    assert not isinstance(given, str), given
    signal = field.signal
    expected = (field(points[:, :2]) - signal["value_offset"]) / signal["value_scale"] / 2 + 0.5
    assert np.abs(np.reshape(given, (60, 4))[:, :3] - expected).max() < 1e-4


def test_a_distance_pasted_into_a_shader_is_the_shapes(blank, tmp_path):
    field = load_run(sphere_run(tmp_path, (3.0, 1.0, 0.0), 2.0))
    points = np.random.default_rng(1).uniform(-0.6, 0.6, (60, 3)).astype(np.float32)
    given = blank.evaluate(RUN_FUNCTION, [glsl_function(field)[0], "vec4(field(at))", points.tolist()])
    assert not isinstance(given, str), given
    expected = field.unit_distance(torch.from_numpy(points)).numpy()[:, 0]
    near = np.abs(expected) < 0.5
    assert near.sum() > 20
    assert np.abs(np.reshape(given, (60, 4))[:, 0] - expected)[near].max() < 1e-3

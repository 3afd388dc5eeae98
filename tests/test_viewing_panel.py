"""The viewer's panel, by itself and in nerfstudio's viewer with a browser on the other end of the line."""

from __future__ import annotations

import base64
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Thread, current_thread
from time import sleep

import msgspec
import numpy as np
import pytest
import soundfile
import torch
from conftest import write_torus
from nerfstudio.engine.callbacks import TrainingCallbackAttributes, TrainingCallbackLocation
from PIL import Image
from test_viewing import camera_at, constant, describe, field_of, sampled, wave
from test_viewing_shape import box, distances_signal, sphere, sphere_signal
from test_viewing_shape import field_of as shape_field
from websockets.sync.client import connect

import winner_ns
from winner_ns.export.web.page import write_page
from winner_ns.fields.files import LoadedField
from winner_ns.glue.viewer_defects import LabelledSlider
from winner_ns.kinds import kinds_of_files
from winner_ns.signals import GridSignal
from winner_ns.viewing.browser_scene import BESIDE
from winner_ns.viewing.described import described_field
from winner_ns.viewing.panel import SignalPanel
from winner_ns.viewing.player import player
from winner_ns.viewing.signal_view import ViewSettings, signal_view
from winner_ns.viewing.view import framing_distance

RATE = 8000


def sound_of(samples):
    samples = np.asarray(samples, dtype=np.float32).reshape(len(samples), -1)
    return GridSignal("audio", Path("tone.wav"), samples, 0.0, 1.0, (1.0,), {"sample_rate": RATE})


def sound_field(function, sound):
    field = field_of(function, sound.shape, "audio")
    return LoadedField(field.network, replace(field.description, signal=sound.describe()))


def chirp(times):
    return 0.6 * torch.sin(90 * times + 30 * times**2)


def tone(samples=2001):
    return sound_of(chirp(torch.linspace(-1, 1, samples, dtype=torch.float64)[:, None]).numpy())


def panel_of(kind, with_original=True, several=False):
    """The panel of an analytic field of a kind."""
    if kind == "audio":
        field, original = sound_field(chirp, tone()), tone()
    elif kind == "shape":
        field, original = shape_field(sphere()), sphere_signal(0.5, 2)
    else:
        shape = {"image": (9, 15), "volume": (5, 7, 9), "video": (5, 7, 9)}[kind]
        field, original = field_of(wave, shape, kind), sampled(wave, shape, kind)
    fields = {"one": field, "two": field, "three": field} if several else {"siren": field}
    return SignalPanel(signal_view(fields, original if with_original else None))


# Settings


@pytest.mark.parametrize("kind", kinds_of_files())
@pytest.mark.parametrize("several", [False, True])
def test_settings_at_first_show_the_whole_signal(kind, several):
    panel = panel_of(kind, several=several)
    settings = panel.settings()
    assert settings.error_gain == 10.0 and settings.iso_level == 0.0 and settings.slice_position == 0.0
    assert settings.time_zoom == 1.0
    # In the middle, to half a sample.
    assert abs(settings.time_center) <= 1 / 2000 + 1e-9
    assert settings.slice_axis == (2 if kind == "shape" else 0)
    assert settings.difference == (("one", "two") if several else None)
    assert panel.shown(["field", "depth"]) == []  # There is no viewer that would show something.


def test_settings_follow_the_elements():
    volume = panel_of("volume")
    volume.elements["slice_axis"].value, volume.elements["slice_position"].value = "1", -0.5
    assert (volume.settings().slice_axis, volume.settings().slice_position) == (1, -0.5)
    shape = panel_of("shape")
    shape.elements["slice_axis"].value, shape.elements["iso_level"].value = "y", 0.02
    assert (shape.settings().slice_axis, shape.settings().iso_level) == (1, 0.02)
    sound = panel_of("audio")
    sound.elements["time_zoom"].value, sound.elements["time"].value = 3.0, 0.0
    assert (sound.settings().time_zoom, sound.settings().time_center) == (8.0, -1.0)
    sound.elements["time"].value = 2001 / RATE
    assert sound.settings().time_center == 1.0
    several = panel_of("image", several=True)
    several.elements["difference"].value, several.elements["minus"].value = "three", "one"
    several.elements["error_gain"].value = "200"
    assert several.settings() == ViewSettings(error_gain=200.0, difference=("three", "one"))


@pytest.mark.parametrize("frames", [1, 2, 5, 6])
def test_each_position_of_the_frame_slider_is_a_frame(frames):
    """What the settings point at is that frame's coordinate."""
    samples = np.linspace(-1, 1, frames * 4, dtype=np.float32).reshape(frames, 2, 2, 1)
    extent = (1.0 if frames > 1 else 0.0, 1.0, 1.0)
    video = GridSignal("video", Path("v.npy"), samples, 0.0, 1.0, extent, {"frame_rate": 24.0})
    description = replace(describe((frames, 2, 2), 1, "video"), signal=video.describe())
    panel = SignalPanel(signal_view({"a": LoadedField(field_of(wave, (2, 2, 2)).network, description)}, video))
    coordinates = video.coordinates(torch.arange(0, 4 * frames, 4))[:, 0]
    for frame in range(frames):
        panel.elements["frame"].value = frame
        position = panel.settings().slice_position * video.half_extent[0]
        assert position == pytest.approx(coordinates[frame].item(), abs=1e-6)


@pytest.mark.parametrize("loss, reach", [("distance", 0.024), ("occupancy", 0.08), ("eikonal", 0.1)])
def test_iso_levels_reach_as_far_as_distances_are_well_fitted(loss, reach):
    fitted = shape_field(box(0.3, 0.3, 0.3))
    target = {**fitted.description.target, "loss": loss}
    other = LoadedField(fitted.network, replace(fitted.description, target=target))
    for fields in ({"a": other}, {"a": shape_field(box(0.2, 0.2, 0.2)), "b": other}):
        level = SignalPanel(signal_view(fields)).elements["iso_level"]
        furthest = reach if len(fields) == 1 else 0.024
        assert (level.min, level.max, level.value) == pytest.approx((-furthest, furthest, 0.0))
        assert furthest / level.step == pytest.approx(round(furthest / level.step))


def test_a_kind_has_its_own_elements_and_what_needs_the_original_is_left_out():
    assert set(panel_of("image").elements) == {"error_gain", "frame_signal", "export", "export_field"}
    assert "original" in panel_of("shape").elements and "original" not in panel_of("shape", False).elements
    assert panel_of("audio").elements["heard"].options == ["field", "original", "error"]
    assert panel_of("audio", False).elements["heard"].options == ["field"]
    assert {"difference", "minus", "chosen"} <= set(panel_of("image", several=True).elements)
    points = SignalPanel(signal_view({"a": shape_field(box(0.3, 0.3, 0.3))}, distances_signal()))
    assert points.settings().slice_axis == 2


# Playing


def played(markdown):
    """Samples [n, c] and rate of the sound in a player's markdown."""
    (data,) = re.findall(r'src="data:audio/flac;base64,([^"]+)"', markdown)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data, validate=True)), always_2d=True)
    return samples, rate


def test_the_whole_sound_is_played():
    sound = tone()
    field = sound_field(lambda t: 0.5 * chirp(t), sound)
    for heard, expected in (
        ("field", 0.5 * sound.samples),
        ("original", sound.samples),
        ("error", (-5.0 * sound.samples).clip(-1, 1)),
    ):
        samples, rate = played(player(field, sound, heard, ViewSettings(error_gain=10.0)))
        assert rate == RATE and samples.shape == (2001, 1)
        assert np.abs(samples - expected).max() < 1e-4, heard  # 16 bits, and single precision at the times.


@pytest.mark.parametrize("center, zoom", [(0.0, 4.0), (-1.0, 8.0), (1.0, 8.0), (0.3, 1.0), (0.5, 1e9)])
def test_what_is_zoomed_in_on_is_played(center, zoom):
    """Within the sound, even where the frame reaches beyond its end; a sample at least."""
    sound = sound_of(np.linspace(-0.5, 0.5, 2001))
    field = sound_field(lambda t: 0.5 * t, sound)
    samples, _ = played(player(field, sound, "field", ViewSettings(time_center=center, time_zoom=zoom)))
    half = 1 / zoom
    start, end = max(center - half, -1.0), min(center + half, 1.0)
    assert samples[0, 0] == pytest.approx(0.5 * start, abs=1e-3)
    assert samples[-1, 0] == pytest.approx(0.5 * end, abs=1e-3)
    assert len(samples) >= 1


def test_long_sounds_of_many_channels_are_played_in_part():
    """FLAC has eight channels at most."""
    sound = GridSignal("audio", Path("s.wav"), np.zeros((7000, 10), np.float32), 0.0, 1.0, (1.0,), {"sample_rate": 100})
    field = sound_field(constant(*np.linspace(0, 0.9, 10)), sound)
    samples, rate = played(player(field, None, "field", ViewSettings()))
    assert rate == 100 and samples.shape == (6001, 8)
    assert np.abs(samples - np.linspace(0, 0.9, 10)[:8]).max() < 1e-4


# In nerfstudio's viewer


def until(condition):
    """Waits for what other threads do."""
    for _ in range(3000):
        found = condition()
        if found:
            return found
        sleep(0.01)
    raise AssertionError("waited in vain")


class Browser:
    """What viser's page does, as far as its server can tell: says where its camera is and keeps what it is sent."""

    FOV, ASPECT = 1.3, 1.5

    def __init__(self, viewer):
        self.viewer, self.received, self.seen = viewer, [], 0
        port = viewer.viser_server.get_port()
        self.socket = connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None, proxy=None)
        Thread(target=self._listen, daemon=True).start()

    def __enter__(self):
        self.move((3.0, 3.0, 3.0))
        self.picture()
        return self

    def move(self, position, aspect=ASPECT):
        """Says where the camera is and which shape the window has."""
        camera = {"fov": self.FOV, "aspect": aspect, "wxyz": (1.0, 0.0, 0.0, 0.0), "position": position}
        orbit = {"look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 1.0, 0.0)}
        self._send({"type": "ViewerCameraMessage", **camera, **orbit})

    def __exit__(self, *error):
        machines = list(self.viewer.render_statemachines.values())
        self.socket.close()
        for machine in machines:
            machine.join(timeout=60)

    def _send(self, message):
        self.socket.send(msgspec.msgpack.encode(message))

    def _listen(self):
        for data in self.socket:
            self.received += msgspec.msgpack.decode(data)

    def click(self, button):
        self._send({"type": "GuiUpdateMessage", "id": button.gui_handle._impl.id, "updates": {"value": True}})

    def use(self, element, value):
        """Sets an element of the panel."""
        self._send({"type": "GuiUpdateMessage", "id": element.gui_handle._impl.id, "updates": {"value": value}})
        until(lambda: element.value == value)

    def message(self, kind, **values):
        """The first message of a kind, of those that have come and will come."""

        def fits(message):
            return message["type"] == kind and all(message[name] == value for name, value in values.items())

        return until(lambda: next(filter(fits, list(self.received)), None))

    def picture(self, like=lambda picture: True):
        """The next picture behind the scene, [h, w, 3] in 0 … 1, that `like` approves of."""

        def next_picture():
            while self.seen < len(self.received):
                message = self.received[self.seen]
                self.seen += 1
                if message["type"] == "BackgroundImageMessage":
                    picture = np.asarray(Image.open(io.BytesIO(message["rgb_bytes"])).convert("RGB")) / 255.0
                    if like(picture):
                        return [picture]

        return until(next_picture)[0]

    def plane(self, like=lambda picture: True):
        """The next picture that is handed over to be drawn in the scene, [h, w, 3] in 0 … 1, that `like` approves of;
        and the message that brought it."""

        def next_plane():
            while self.seen < len(self.received):
                message = self.received[self.seen]
                self.seen += 1
                if message["type"] == "ImageMessage":
                    picture = np.asarray(Image.open(io.BytesIO(message["data"])).convert("RGB")) / 255.0
                    if like(picture):
                        return picture, message

        return until(next_plane)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows, columns = np.mgrid[0:24, 0:40] / 24.0
    photo = np.stack([0.5 + 0.5 * np.sin(9 * rows * columns), rows, columns / columns.max()], axis=-1)
    for name in ("photo.png", "compared.png"):
        Image.fromarray((255 * photo).round().astype(np.uint8)).save(folder / name)
    soundfile.write(folder / "tone.wav", tone().samples, RATE)
    write_torus(folder / "torus.ply")
    return folder


@pytest.fixture(scope="module")
def trained(files, trained_once):
    """The folder of a short run of some data, trained as the command line does."""
    short = ("--max-num-iterations", 20, "--pipeline.write-results", False)

    def train(data, *flags, method="winner-siren"):
        return trained_once(method, "--data", files / data, *short, *flags)

    return train


def small(data):
    """Flags of a quick run."""
    points = ("--pipeline.datamanager.shape-samples", 5000) if data.endswith(".ply") else ()
    return ("--pipeline.model.field.width", 16, *points)


COMPARED = ("--pipeline.model.width", 16, "--pipeline.model.fields", "winner", "siren")


@pytest.fixture(scope="module")
def opened(trained):
    """A run of some data in nerfstudio's viewer, without a trainer; the same one for all tests."""
    from nerfstudio.configs.base_config import ViewerConfig
    from nerfstudio.utils.eval_utils import eval_setup
    from nerfstudio.viewer.viewer import Viewer

    viewers = {}

    def open_run(data):
        if data not in viewers:
            compared = data == "compared.png"
            run = trained(data, *COMPARED, method="winner-compare") if compared else trained(data, *small(data))
            _, pipeline, _, _ = eval_setup(run / "config.yml")
            config = ViewerConfig(websocket_host="127.0.0.1")
            viewers[data] = Viewer(config, log_filename=run / "viewer.log", datapath=run, pipeline=pipeline)
        return viewers[data]

    yield open_run
    for viewer in viewers.values():
        viewer.viser_server.stop()


@pytest.mark.slow
def test_the_browser_has_the_panel_on_top_and_the_signal_in_its_frame(opened):
    viewer = opened("photo.png")
    with Browser(viewer) as browser:
        position = browser.message("SetCameraPositionMessage")["position"]
        expected = framing_distance(1.0, 23 / 39, browser.FOV, browser.ASPECT)
        assert position == pytest.approx([0.0, 0.0, 10 * expected])
        assert browser.message("SetCameraLookAtMessage")["look_at"] == [0.0, 0.0, 0.0]
        assert browser.message("SetCameraUpDirectionMessage")["position"] == [0.0, 1.0, 0.0]

        folder = browser.message("GuiAddFolderMessage", label="Field")
        beside = [m for m in browser.received if m.get("container_id") == folder["container_id"] and m is not folder]
        assert all(folder["order"] < m["order"] for m in beside)
        custom = browser.message("GuiAddFolderMessage", label="Custom Elements")
        browser.message("GuiRemoveMessage", id=custom["id"])  # Nothing is in it.
        inside = [m for m in browser.received if m.get("container_id") == folder["id"]]
        labels = [m["label"] for m in sorted(inside, key=lambda m: m["order"]) if "label" in m]
        assert labels == ["Error gain", "Frame the signal"]
        # What means something for NeRFs alone is not there, and Export is where it was.
        tabs = [m["updates"] for m in browser.received if "tab_labels" in m.get("updates", {})][-1]
        export = tabs["tab_container_ids"][tabs["tab_labels"].index("Export")]
        removed = {m["id"] for m in browser.received if m["type"] == "GuiRemoveMessage"}
        there = [m for m in browser.received if m.get("container_id") == export and m["id"] not in removed]
        assert [m["label"] for m in there if "label" in m] == ["Export image", "Export field"]
        crop = browser.message("GuiAddFolderMessage", label="Crop Viewport")
        assert crop["id"] in removed
        assert not viewer.control_panel._layer_depth.gui_handle.visible


@pytest.mark.slow
def test_a_picture_is_handed_over_once_and_the_camera_moves_without_the_server(opened):
    viewer = opened("photo.png")
    with Browser(viewer) as browser:
        background = browser.message("BackgroundImageMessage")
        assert background["depth_bytes"] is None  # It would hide the plane.
        picture, plane = browser.plane(lambda picture: picture.shape[1] == 512)
        assert (plane["render_width"], plane["render_height"]) == pytest.approx((20.0, 20 * 23 / 39))
        view = viewer.pipeline.model.signal_view
        expected = view.fields["winner"].grid((302, 512)) / 255
        assert np.abs(picture - expected.clip(0, 1)).mean() < 0.02
        browser.message("SetSceneNodeVisibilityMessage", name=plane["name"], visible=True)
        until(lambda: f"{viewer.control_panel.max_res}x" in viewer.stats_markdown.content)
        count = len(browser.received)
        for x in np.linspace(0.0, 2.0, 8):
            browser.move((float(x), 0.0, -30.0))
            sleep(0.05)
        sleep(0.5)
        late = [m["type"] for m in browser.received[count:]]
        assert not {"ImageMessage", "BackgroundImageMessage"} & set(late)
        # From close by, tiles make it finer.
        browser.move((0.0, 0.0, -3.0))
        tile, message = browser.plane()
        assert 512 / 20 < 0.8 * tile.shape[1] / message["render_width"]


def test_without_a_browser_nothing_is_computed(opened):
    viewer = opened("photo.png")
    points, field = [], viewer.pipeline.model.field
    hook = field.register_forward_hook(lambda module, given, outputs: points.append(len(given[0])))
    until(lambda: not viewer.pipeline.panel._scenes)
    sleep(0.5)
    points.clear()
    sleep(0.5)
    assert not points
    with Browser(viewer) as browser:
        browser.plane()
        assert points
    hook.remove()


def test_what_is_drawn_when_a_program_ends_is_given_up(opened):
    viewer = opened("photo.png")
    panel = viewer.pipeline.panel
    with Browser(viewer) as browser:
        browser.plane()
        threads = [*panel._scenes.values(), *viewer.render_statemachines.values()]
        browser.use(panel.elements["error_gain"], "20")
        panel.end_drawing()
        assert len(threads) == 2 and not any(thread.is_alive() for thread in threads)
        browser.use(panel.elements["error_gain"], "10")


@pytest.mark.parametrize("ends", [(-0.1, 0.1), (0.0, 7.97), (-1.0, 1.0)])
def test_sliders_say_their_range(ends):
    """viser writes the whole numbers next to it: 0 and 0 for -0.1 to 0.1."""
    import viser

    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    slider = LabelledSlider("A range", ends[0], *ends, 0.01)
    slider.install(server)
    (message,) = [m for m in server._websock_server._broadcast_buffer.message_from_id.values() if hasattr(m, "marks")]
    server.stop()
    labels = [float(mark["label"].replace("\u2212", "-")) for mark in message.marks]
    assert labels == [mark["value"] for mark in message.marks] == list(ends)


def test_the_signal_stays_framed_while_the_page_is_laid_out_and_until_the_user_moves(opened):
    viewer = opened("photo.png")

    def distance(aspect):
        return pytest.approx([0.0, 0.0, 10 * framing_distance(1.0, 23 / 39, Browser.FOV, aspect)])

    def positions():
        return [m["position"] for m in list(browser.received) if m["type"] == "SetCameraPositionMessage"]

    with Browser(viewer) as browser:
        until(lambda: positions() == [distance(1.5)])
        browser.move(positions()[-1], aspect=0.7)
        until(lambda: positions() == [distance(1.5), distance(0.7)])
        (client,) = viewer.viser_server.get_clients().values()
        for position, aspect in (((1.0, 2.0, 5.0), 0.7), ((1.0, 2.0, 5.0), 1.2), ((1.0, 2.0, 6.0), 1.2)):
            browser.move(position, aspect)
            until(lambda p=position, a=aspect: (tuple(client.camera.position), client.camera.aspect) == (p, a))
        assert positions() == [distance(1.5), distance(0.7)]
        browser.click(viewer.pipeline.panel.elements["frame_signal"])
        until(lambda: positions() == [distance(1.5), distance(0.7), distance(1.2)])


def test_what_the_user_sets_is_drawn(opened):
    viewer = opened("photo.png")
    panel = viewer.pipeline.panel

    def strength(picture):
        return np.abs(picture - 0.5).mean()

    # The errors of a field that has hardly been trained are strong, and weak where they are not enlarged.
    with Browser(viewer) as browser:
        browser.use(viewer.control_panel._output_render, "error")
        strong, _ = browser.plane(lambda picture: strength(picture) > 0.25)
        browser.use(panel.elements["error_gain"], "1")
        assert panel.settings().error_gain == 1.0
        weak, _ = browser.plane(lambda picture: strength(picture) < 0.5 * strength(strong))
        browser.use(panel.elements["error_gain"], "10")
        again, _ = browser.plane(lambda picture: strength(picture) > 0.9 * strength(strong))
        assert strength(weak) > 0 and again.shape[2] == 3
        assert "25\\.5" in until(lambda: panel.legend.content)
        browser.use(viewer.control_panel._output_render, "field")


def test_only_what_is_shown_is_drawn(opened):
    viewer = opened("photo.png")
    model, panel = viewer.pipeline.model, viewer.control_panel
    camera = camera_at((0.1, 0.2, 2.5), height=24, width=24)
    names = list(model.get_outputs_for_camera(camera))
    assert names == ["field", "error", "gradient", "laplacian", "original", "accumulation", "depth"]
    panel.update_output_options(names)
    points = []
    hook = model.field.register_forward_hook(lambda module, inputs, outputs: points.append(len(inputs[0])))

    def evaluations(output, split=None):
        panel._output_render.value = output
        panel._split.value = split is not None
        panel._split_output_render.value = split or output
        points.clear()
        outputs = model.get_outputs_for_camera(camera)
        drawn = sum(points)
        # What was announced is at hand.
        for name in model.panel.shown(names):
            assert outputs[name].shape[:2] == (24, 24)
        assert sum(points) == drawn
        return drawn

    single = evaluations("field")
    assert 0 < single <= 24 * 24
    assert evaluations("depth") == evaluations("original") == 0
    assert evaluations("error") == evaluations("original", "field") == single
    assert evaluations("field", "error") == 2 * single
    hook.remove()
    panel.update_output_options(list(model.signal_view.outputs))
    panel._output_render.value, panel._split.value = "field", False


def test_the_export_buttons_write_files_and_hand_them_to_the_browser(opened):
    viewer = opened("photo.png")
    panel, folder = viewer.pipeline.panel, viewer.log_filename.parent / "exports"
    with Browser(viewer) as browser:
        for button, name in (("export", "photo-fitted.png"), ("export_field", "photo-fitted.safetensors")):
            browser.click(panel.elements[button])
            transfer = browser.message("FileTransferStart", filename=name)
            uuid, count = transfer["transfer_uuid"], transfer["part_count"]
            parts = [browser.message("FileTransferPart", transfer_uuid=uuid, part=i)["content"] for i in range(count)]
            assert b"".join(parts) == (folder / name).read_bytes() != b""
            assert str(folder / name) in panel.result.content
    field = winner_ns.load_field(folder / "photo-fitted.safetensors")
    x = torch.rand(50, 2) * 2 - 1
    assert torch.allclose(field(x), viewer.pipeline.model.loaded_field(x))
    exported = np.asarray(Image.open(folder / "photo-fitted.png")).astype(float)
    assert np.abs(np.clip(field.grid((24, 40)), 0, 255) - exported).max() <= 0.51


def test_an_export_that_cannot_be_written_says_so(opened):
    viewer = opened("photo.png")
    panel, exports = viewer.pipeline.panel, viewer.log_filename.parent / "exports"
    shutil.rmtree(exports, ignore_errors=True)
    exports.write_text("in the way")
    with Browser(viewer) as browser:
        browser.click(panel.elements["export_field"])
        assert "exports" in until(lambda: "**error**" in panel.result.content and panel.result.content)
    exports.unlink()


def test_the_panel_says_what_the_field_is_and_how_good_it_is(opened):
    viewer = opened("photo.png")
    pipeline, panel = viewer.pipeline, viewer.pipeline.panel
    with Browser(viewer):
        until(lambda: "PSNR" in panel.gui_handle.content)
        until(lambda: "Step: 20" in viewer.stats_markdown.content)
    content = panel.gui_handle.content
    assert "winner" in content and "4 x 16" in content and "psi" in content and "matching:" in content
    (decibels,) = re.findall(r"PSNR (-?[\d.]+) dB", content)
    assert float(decibels) == pytest.approx(pipeline.figures()["psnr"], abs=0.02)
    panel.update_figures({"winner": {"psnr": 43.21, "iou": None, "unknown": 1.0}})
    assert "43.21" in panel.gui_handle.content and "unknown" not in panel.gui_handle.content
    panel.update_figures(pipeline.quick_figures(pipeline.fields))
    assert decibels in panel.gui_handle.content


@pytest.mark.parametrize(("periods", "words"), [(0.5, "no noise needed: this is a plain SIREN"), (11, "s0")])
def test_what_the_law_made_of_the_spectrum_is_told_alike_in_the_panel_and_on_a_page(periods, words, tmp_path):
    waves = np.sin(2 * np.pi * periods * np.linspace(-1, 1, 32))[:, None] * np.ones(32)
    field = winner_ns.fit(waves, steps=1, width=16, depth=2, kind="image", purpose="fit", device="cpu", progress=False)
    write_page(tmp_path / "page.html", {"winner": field}, {})
    panel, page = described_field("winner", field.description), (tmp_path / "page.html").read_text()
    (told,) = [line for line in field.description.spectrum.lines() if line.startswith("law")]
    for text in (panel, page, told):
        assert words in text and not re.search(r"s1 0(?![.\d])", text)


def test_figures_are_computed_while_a_browser_looks(opened):
    viewer = opened("photo.png")
    panel, evaluated = viewer.pipeline.panel, []
    attributes = TrainingCallbackAttributes(None, None, viewer.pipeline, None)
    after = TrainingCallbackLocation.AFTER_TRAIN_ITERATION
    callbacks = [each for each in viewer.pipeline.get_training_callbacks(attributes) if after in each.where_to_run]
    until(lambda: not viewer.viser_server.get_clients())
    hook = viewer.pipeline.model.field.register_forward_hook(lambda *given: evaluated.append(given))
    panel.update_figures({"winner": {"psnr": 43.21}})
    for callback in callbacks:
        callback.run_callback(step=1)
    assert not evaluated and "43.21" in panel.gui_handle.content
    with torch.no_grad():  # As a step does.
        for parameter in viewer.pipeline.model.field.parameters():
            parameter += 0
    with Browser(viewer):
        for callback in callbacks:
            callback.run_callback(step=2)
        until(lambda: evaluated and "43.21" not in panel.gui_handle.content)
    hook.remove()


@pytest.mark.slow
def test_a_sound_is_played_in_the_browser(opened):
    viewer = opened("tone.wav")
    panel, signal = viewer.pipeline.panel, viewer.pipeline.model.signal_view.original
    original = signal.values(torch.arange(len(signal))).numpy()
    with Browser(viewer) as browser:
        browser.use(panel.elements["heard"], "original")
        browser.use(panel.elements["time_zoom"], 2.0)
        browser.click(panel.elements["play"])
        samples, rate = played(until(lambda: "audio/flac" in panel.player.content and panel.player.content))
    assert rate == RATE and abs(len(samples) - 501) <= 1
    apart = [np.abs(samples - original[start : start + len(samples)]).max() for start in (749, 750, 751)]
    assert min(apart) < 1e-4


@pytest.mark.slow
def test_a_shapes_original_is_drawn_over_it_and_taken_away(opened):
    viewer = opened("torus.ply")
    panel = viewer.pipeline.panel
    with Browser(viewer) as browser:
        browser.use(panel.elements["original"], True)
        message = browser.message("MeshMessage", name="/original")
        vertices = np.frombuffer(message["vertices"], np.float32).reshape(-1, 3)
        assert np.allclose(vertices, 10 * viewer.pipeline.model.signal_view.original.vertices, atol=1e-4)
        browser.use(panel.elements["original"], False)
        browser.message("RemoveSceneNodeMessage", name="/original")


@pytest.mark.slow
def test_a_rendering_ends_when_something_else_is_asked_for(opened):
    """While it renders, a training waits for it."""
    viewer = opened("torus.ply")
    output, rendered = viewer.control_panel._output_render, []

    def slow(*given):
        if current_thread() in viewer.render_statemachines.values():
            rendered.append(None)
            sleep(0.05)

    with Browser(viewer) as browser:
        hook = viewer.pipeline.model.field.register_forward_hook(slow)
        browser.use(output, "exact")
        until(lambda: rendered)
        browser.use(output, "shaded")
        until(lambda: not any(machine._renders for machine in viewer.render_statemachines.values()))
        assert len(rendered) < 10
        hook.remove()


@pytest.mark.slow
def test_the_slice_of_a_shape_follows_the_panel(opened):
    viewer = opened("torus.ply")
    panel = viewer.pipeline.panel
    with Browser(viewer) as browser:
        browser.use(viewer.control_panel._output_render, "slice")
        browser.use(panel.elements["slice_axis"], "x")
        browser.use(panel.elements["slice_position"], 0.25)
        assert (panel.settings().slice_axis, panel.settings().slice_position) == (0, 0.25)

        def there():
            """The slice as the panel was set, after others that were on the way."""
            messages = list(browser.received)
            planes = {message["name"] for message in messages if message["type"] == "ImageMessage"}
            places = {m["name"]: m["position"] for m in messages if m["type"] == "SetPositionMessage"}
            return [places[name] for name in planes if places.get(name) == pytest.approx([2.5, 0.0, 0.0])]

        until(there)
        browser.use(viewer.control_panel._output_render, "exact")
        assert browser.picture(lambda picture: picture.shape[1] > 1).shape[1] >= 256
        browser.use(viewer.control_panel._output_render, "shaded")


@pytest.mark.slow
def test_a_comparison_is_split_between_its_first_and_its_last_field(opened):
    viewer = opened("compared.png")
    panel, control = viewer.pipeline.panel, viewer.control_panel
    with Browser(viewer) as browser:
        assert control.split
        assert (control.output_render, control.split_output_render) == ("winner/field", "siren/field")
        assert panel.settings().difference == ("winner", "siren")
        content = panel.gui_handle.content
        assert "| winner |" in content and "| siren |" in content and content.count(" dB") == 2
        browser.use(control._output_render, "winner/error")
        browser.use(control._split_output_render, "siren/error")
        legends = until(lambda: panel.legend.content.count("original") == 2 and panel.legend.content)
        assert legends.index("winner/error") < legends.index("original") < legends.index("siren/error")
        browser.use(control._output_render, "winner/field")
        browser.use(control._split_output_render, "siren/field")
        browser.use(panel.elements["chosen"], "siren")
        browser.click(panel.elements["export_field"])
        browser.message("FileTransferStart", filename="compared-fitted.safetensors")
    path = viewer.log_filename.parent / "exports" / "siren" / "compared-fitted.safetensors"
    exported, field = winner_ns.load_field(path), viewer.pipeline.fields["siren"]
    x = torch.rand(50, 2) * 2 - 1
    assert torch.allclose(exported(x), field(x))


@pytest.mark.slow
def test_both_pictures_are_framed_for_a_browser_that_waits_for_the_viewer(opened):
    """A page that was left open comes back as soon as the server listens, before the viewer is ready."""
    viewer = opened("compared.png")
    viewer.ready = False
    try:
        with Browser(viewer) as browser:
            position = browser.message("SetCameraPositionMessage")["position"]
            expected = framing_distance(2 + BESIDE / 2, 23 / 39, browser.FOV, browser.ASPECT)
            assert position == pytest.approx([0.0, 0.0, 10 * expected])
    finally:
        viewer.ready = True


# Without a viewer


@pytest.mark.slow
@pytest.mark.parametrize("data", ["photo.png", "tone.wav", "torus.ply"])
def test_a_run_is_rendered_without_a_viewer_and_without_its_data(data, files, trained):
    """As nerfstudio's render command does: outputs by name, "rgb" if nothing else is said."""
    from nerfstudio.utils.eval_utils import eval_setup

    copy = files / f"moved-{data}"
    shutil.copy(files / data, copy)
    run = trained(copy.name, *small(data))
    camera = camera_at((0.1, 0.2, 2.0), height=20, width=30)
    pictures = []
    for there in (True, False):
        if not there:
            copy.unlink()
        _, pipeline, _, _ = eval_setup(run / "config.yml", test_mode="inference")
        outputs = pipeline.model.get_outputs_for_camera(camera)
        names = list(outputs)
        assert ("original" in outputs) == ("error" in outputs) == there
        assert outputs["rgb"].shape == (20, 30, 3) and torch.equal(outputs["rgb"], outputs[names[0]])
        assert torch.isfinite(outputs["depth"]).all()
        for name in names:
            assert outputs[name].shape[:2] == (20, 30), name
        pictures.append(outputs["rgb"])
    assert torch.equal(*pictures)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["photo.png", "tone.wav", "torus.ply", "compared.png"])
@pytest.mark.parametrize("outputs", [["rgb"], ["depth"], ["rgb", "depth"]])
def test_nerfstudios_render_command_draws_what_it_is_asked_for(data, outputs, opened, tmp_path):
    from nerfstudio.scripts.render import _render_trajectory_video

    camera = camera_at((0.1, 0.2, 2.0), height=20, width=30)
    _render_trajectory_video(opened(data).pipeline, camera, tmp_path / "frames", outputs, output_format="images")
    (frame,) = (tmp_path / "frames").iterdir()
    assert Image.open(frame).size == (30 * len(outputs), 20)

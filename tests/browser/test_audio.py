"""A sound in the viewer."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import maximum_filter1d, minimum_filter1d
from skimage.feature import match_template

from winner_ns.fitting.run import load_run
from winner_ns.viewing.audio_view import AudioView
from winner_ns.viewing.axes import HALF_VIEW
from winner_ns.viewing.view import View

from .conftest import swelling_tone
from .pictures import Box, box_of, coloured, correlation, inked, resized, within
from .viewer_page import find_browser

find_browser()
pytestmark = pytest.mark.slow
RATE = 8000
LOUDEST = np.abs(swelling_tone()).max()
"""Is at 1 where the sound is shown, played and compared."""


@pytest.fixture(scope="module")
def page(open_page, audio_viewer):
    choices, numbers = ("Output type", "Error gain", "Sound of the"), ("Time zoom (log2)", "Time (s)")
    return open_page(audio_viewer, choices=choices, numbers=numbers)


def fitted_sound(run) -> np.ndarray:
    """The field's samples in the original's own scale."""
    return load_run(run).grid((4000,))[:, 0].astype(np.float64) / 2**15


def panel_of(picture) -> Box:
    """The frame around the sound, without the labels beside it."""
    drawn = picture.min(-1) < 0.85
    rows = np.flatnonzero(drawn.mean(1) > 0.7)
    columns = np.flatnonzero(drawn[rows[0] : rows[-1]].mean(0) > 0.8)
    return Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def edges(ink):
    """Where the columns with ink are (0 … 1), and their highest and lowest row, 1 at the panel's top and -1 below."""
    columns = np.flatnonzero(ink.any(0))
    highest, lowest = ink[:, columns].argmax(0), len(ink) - 1 - ink[::-1, columns].argmax(0)
    return columns / (ink.shape[1] - 1), 1 - 2 * highest / (len(ink) - 1), 1 - 2 * lowest / (len(ink) - 1)


def extremes(samples, places, reach):
    """The largest and the smallest sample near each place (0 … 1), up to so far away."""
    first = np.floor((places - reach) * (len(samples) - 1)).astype(int).clip(0)
    last = np.ceil((places + reach) * (len(samples) - 1)).astype(int)
    windows = [samples[start : stop + 1] for start, stop in zip(first, last, strict=True)]
    return np.array([w.max() for w in windows]), np.array([w.min() for w in windows])


def shows(panel, samples, columns=2) -> float:
    """How well the waveform in a panel correlates with samples: the smaller one for its upper and its lower edge, both
    as envelopes over so many columns to each side."""
    places, top, bottom = edges(coloured(panel))
    largest, smallest = extremes(samples, places, columns / panel.shape[1])
    top, bottom = maximum_filter1d(top, 2 * columns + 1), minimum_filter1d(bottom, 2 * columns + 1)
    return min(np.corrcoef(top, largest)[0, 1], np.corrcoef(bottom, smallest)[0, 1])


def test_opens_framed_and_upright(page):
    assert page.chosen("Output type") == "field"
    picture = page.settled()
    height, width = picture.shape[:2]
    everything, panel = box_of(inked(picture)), panel_of(picture)
    assert everything.left > 0 and everything.top > 0 and everything.right < width and everything.bottom < height
    assert panel.width > 0.8 * width
    assert panel.middle == pytest.approx((width / 2, height / 2), abs=4)
    assert panel.width / panel.height == pytest.approx(2, rel=0.03)
    frame, sound = within(picture, panel), swelling_tone()
    assert shows(frame, sound) > 0.95
    # Neither mirrored nor upside down.
    assert shows(frame, sound[::-1]) < 0.5
    assert shows(frame, -sound) < 0.9


def test_outputs_are_what_their_names_say(page, audio_viewer):
    assert page.outputs() == ["field", "both", "error", "spectrogram", "spectrogram_original", "original"]
    box = panel_of(page.restored())

    # The tone is at 1000 of 4000 Hz, a quarter up.
    for output in ("spectrogram", "spectrogram_original"):
        spectrogram = within(page.after(lambda output=output: page.choose("Output type", output)), box)
        assert spectrogram.mean() < 0.6 and coloured(spectrogram).mean() > 0.2
        middle = spectrogram[:, box.width // 3 : 2 * box.width // 3].sum(-1).mean(1)
        assert 1 - np.argmax(middle) / box.height == pytest.approx(0.25, abs=0.03)

    # The original is drawn in a dark gray.
    original = within(page.after(lambda: page.choose("Output type", "original")), box)
    assert not coloured(original).any()
    assert np.corrcoef(*edge_heights(original))[0, 1] > 0.95

    # Errors swell with their gain.
    page.choose("Output type", "error")
    error = fitted_sound(audio_viewer.runs[0]) - swelling_tone()
    inks = []
    for gain in (5, 10):
        panel = within(page.after(lambda gain=gain: page.choose("Error gain", str(gain))), box)
        inks.append(coloured(panel).mean())
        assert shows(panel, np.clip(gain * error / LOUDEST, -1, 1)) > 0.8
    assert inks[1] > 1.3 * inks[0]


def edge_heights(panel):
    """The upper edge of a gray waveform, and of the sound, column by column."""
    ink = panel.max(-1) < 0.35
    columns = np.flatnonzero(ink[: len(ink) // 2].any(0))
    heights = 1 - 2 * ink[:, columns].argmax(0) / len(ink)
    return heights, extremes(swelling_tone(), columns / (panel.shape[1] - 1), 2 / panel.shape[1])[0]


def test_split_screen_shows_two_outputs_below_each_other(page):
    box = panel_of(page.restored())
    spectrogram = within(page.after(lambda: page.choose("Output type", "spectrogram")), box)
    page.choose("Output type", "field")
    page.tick("Enable", True)
    page.choose("Output render split", "spectrogram")
    both = page.settled()
    middle = len(both) // 2
    upper, lower = both[:middle], both[middle:]
    assert shows(within(upper, panel_of(upper)), swelling_tone()) > 0.95
    frame = panel_of(lower)
    assert correlation(spectrogram, within(lower, frame)) > 0.9
    # At the same time on the same place.
    left, right = (panel_of(upper), frame)
    assert (left.left, left.right) == pytest.approx((right.left, right.right), abs=2)


def test_time_can_be_zoomed(page):
    box = panel_of(page.restored())
    page.set_number("Time zoom (log2)", 2)
    page.set_number("Time (s)", 0.125)
    # A quarter of the sound around a quarter of it: 62.5 to 187.5 ms.
    panel = within(page.settled(), box)
    assert shows(panel, swelling_tone()[500:1500], columns=8) > 0.95


def test_wheel_zooms_through_time_and_a_button_brings_the_first_view_back(page):
    first = page.restored()
    page.move_closer(8)

    def closer(picture):
        """Zoomed about its middle, the swelling part is cut and the panel leaves the view to both sides."""
        ink = coloured(picture)
        return ink[:, 3].sum() > 20 and ink[:, -4].sum() > 20

    page.until("a sound that fills the view", closer)
    page.press("Frame the signal")
    page.until("the first view", lambda picture: np.abs(picture - first).mean() < 0.02)


def energy(part):
    """How sharp it is."""
    return sum((np.diff(part, axis=axis) ** 2).mean() for axis in (0, 1))


def written(text, size):
    """A text as it is drawn, in shades of gray."""
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 20)
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (right - left + 4, bottom - top + 4), 255)
    ImageDraw.Draw(picture).text((2 - left, 2 - top), text, 64, font)
    picture = picture.resize((round(size * picture.width), round(size * picture.height)), Image.Resampling.BILINEAR)
    return np.asarray(picture, dtype=np.float32) / 255


def test_it_is_sharp_and_its_labels_are_read_also_while_it_moves(page, audio_viewer):
    """At the size of a usual window."""
    page.page.set_viewport_size({"width": 1280, "height": 800})
    page.resolution = 1024
    picture = page.restored()
    box = panel_of(picture)
    assert box.width >= 512
    field = load_run(audio_viewer.runs[0])
    # The panel is 2 of 2.3 parts of a sheet of 1024 texels.
    columns = round(1024 * 2 / 2.3)
    rows, beside = round(columns * HALF_VIEW), round(columns / 2 * (HALF_VIEW - 0.5))
    view = View.of_rectangle(-1.0, HALF_VIEW, 2.0, 2 * HALF_VIEW, columns, rows)
    drawn = AudioView({"": field}).pictures(view)["field"].numpy()
    expected = resized(drawn[beside:-beside], box.width, box.height)
    inner = (slice(4, -4), slice(40, -4))  # Without the frame, and the levels' labels.
    assert correlation(within(picture, box)[inner], expected[inner]) > 0.95
    sharpness = energy(within(picture, box)[inner])

    # Times stand below their places, and no other text is more like what stands there.
    for number in range(1, 5):
        place = round(box.left + number / 5 * (box.width - 1) * 4000 / 3999)
        label = picture[box.bottom + 3 : box.bottom + 34, place - 60 : place + 60].mean(-1)
        templates = [written(f"{100 * other} ms", box.width / columns) for other in range(1, 6)]
        likeness = [match_template(label, template).max() for template in templates]
        assert np.argmax(likeness) == number - 1 and max(likeness) > 0.8

    # Dragged along, it is looked at before the button is let go, and two seconds after that.
    moved = page.while_dragged(70, 40)
    assert energy(within(moved, panel_of(moved))[inner]) == pytest.approx(sharpness, rel=0.2)
    page.page.wait_for_timeout(2000)
    still = page.picture()
    assert energy(within(still, panel_of(still))[inner]) == pytest.approx(sharpness, rel=0.2)

    # A click reads what is there.
    page.restore()
    left, top, _, _ = page.area()
    page.page.mouse.click(left + box.left + box.width / 4, top + box.middle[1])
    sample = int(page.until_text(r"0\.12\d* s, sample (\d+)").group(1))
    assert sample == pytest.approx(1000, abs=8)
    value = float(page.until_text(r"winner (\S+) \(error").group(1).replace("\u2212", "-"))
    assert value == pytest.approx(fitted_sound(audio_viewer.runs[0])[sample] / LOUDEST, abs=2e-3)
    page.page.set_viewport_size({"width": 900, "height": 600})
    page.resolution = 400


def test_panel_says_what_the_field_is_and_how_good(page, audio_viewer):
    field = load_run(audio_viewer.runs[0])
    noise, text = field.description.spectrum, page.text()
    assert "winner 3 x 64" in text
    assert noise.s0 > 0 < noise.s1 and f"s0 {noise.s0:.5g}, s1 {noise.s1:.4g}" in text
    assert f"psi {noise.psi:.4g}" in text
    error = fitted_sound(audio_viewer.runs[0]) - soundfile.read(audio_viewer.data)[0]
    psnr = 10 * np.log10(4 / np.mean((error / LOUDEST) ** 2))
    assert float(page.until_text(r"PSNR ([\d.]+) dB").group(1)) == pytest.approx(psnr, abs=0.02)


PLAYED = """
audio => new Promise((resolve, reject) => {
    audio.onerror = () => reject(audio.error.message);
    const heard = async () => {
        const bytes = await (await fetch(audio.src)).arrayBuffer();
        const sound = await new OfflineAudioContext(1, 1, 8000).decodeAudioData(bytes);
        resolve({duration: audio.duration, samples: Array.from(sound.getChannelData(0))});
    };
    audio.readyState > 1 ? heard() : (audio.onloadeddata = heard, audio.load());
})
"""
"""What a browser's audio element has to play: seconds, and samples at 8000 Hz."""


def test_sounds_can_be_played(page, audio_viewer):
    page.restore()
    sound, fitted = swelling_tone(), fitted_sound(audio_viewer.runs[0])
    for heard, samples in (("field", fitted), ("original", sound), ("error", 10 * (fitted - sound))):
        page.choose("Sound of the", heard)
        page.press("Play")
        page.until_text(f"{heard}, 0.000 to 0.500 s")
        played = page.page.locator("audio").evaluate(PLAYED)
        assert played["duration"] == pytest.approx(0.5, abs=0.001)
        assert np.abs(np.array(played["samples"]) - np.clip(samples / LOUDEST, -1, 1)).max() < 2e-3

    # What is zoomed in on.
    page.choose("Sound of the", "original")
    page.set_number("Time zoom (log2)", 2)
    page.set_number("Time (s)", 0.125)
    page.settled()
    page.press("Play")
    page.until_text(r"original, 0.06\d to 0.18\d s")
    played = page.page.locator("audio").evaluate(PLAYED)
    assert played["duration"] == pytest.approx(0.125, abs=0.002)


def test_exports_are_written_named_and_handed_over(page, audio_viewer):
    exports = audio_viewer.runs[0] / "exports"
    name, content, written = page.exported("Export sound")
    assert name == "tone-fitted.wav"
    assert written == exports / name
    assert (exports / name).read_bytes() == content
    samples, rate = soundfile.read(io.BytesIO(content))
    assert rate == RATE and np.corrcoef(samples, swelling_tone())[0, 1] > 0.99

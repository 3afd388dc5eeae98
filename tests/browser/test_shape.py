"""A shape in the viewer."""

from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh

from winner_ns.fitting.run import load_run
from winner_ns.viewing.shape_view import FACING

from .conftest import pear
from .pictures import box_of, coloured, inked, overlap, silhouette
from .viewer_page import find_browser

find_browser()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(open_page, shape_viewer):
    choices = ("Output type", "Error gain", "Slice across")
    return open_page(shape_viewer, resolution=260, choices=choices, numbers=("Slice position", "Iso level"))


def test_opens_framed_and_upright(page):
    assert page.chosen("Output type") == "shaded"
    picture = page.settled()
    height, width = picture.shape[:2]
    seen = inked(picture)
    box = box_of(seen)
    assert box.left > 0 and box.top > 0 and box.right < width and box.bottom < height
    assert max(box.width / width, box.height / height) > 0.5
    # From some distance, the camera at its place sees just this.
    mesh = pear()
    points = mesh.vertices - mesh.bounds.mean(0)
    points /= np.linalg.norm(points, axis=1).max()
    view = np.array(FACING), np.array([0.0, 1.0, 0.0])
    matches = [
        overlap(seen, silhouette(points, mesh.faces, *view, distance, height, width))
        for distance in np.arange(1.2, 3.0, 0.05)
    ]
    assert max(matches) > 0.95


def test_outputs_are_what_their_names_say(page):
    assert page.outputs() == [
        "shaded", "normals", "error", "slice", "exact", "original",
    ]  # fmt: skip
    shaded = page.restored()
    body = inked(shaded)
    assert coloured(shaded).sum() < 0.01 * body.sum()

    normals = page.after(lambda: page.choose("Output type", "normals"))
    assert overlap(inked(normals), body) > 0.95
    assert coloured(normals).sum() > 0.5 * body.sum()
    # Normals towards x are red, towards y green.
    box = box_of(body)
    right = normals[:, box.right - 8 : box.right][body[:, box.right - 8 : box.right]]
    top = normals[box.top : box.top + 8]
    assert np.median(right[:, 0]) > 0.8
    assert np.median(top[body[box.top : box.top + 8]][:, 1]) > 0.8

    original = page.after(lambda: page.choose("Output type", "original"))
    assert overlap(inked(original), body) > 0.95 and coloured(original).sum() < 0.01 * body.sum()
    assert np.abs(original - shaded)[body].mean() < 0.1

    # What is traced for each pixel is what the browser draws of the mesh.
    exact = page.after(lambda: page.choose("Output type", "exact"))
    assert overlap(inked(exact), body) > 0.95

    # Errors are small beside the pear: pale at a low gain, strong at a high one.
    page.choose("Output type", "error")
    pale, strong = (page.after(lambda g=gain: page.choose("Error gain", g))[body] for gain in ("1", "1000"))
    pale, strong = np.ptp(pale, axis=1).mean(), np.ptp(strong, axis=1).mean()
    assert pale < 0.05 and strong > 0.2


def test_split_screen_shows_two_outputs_side_by_side(page):
    page.restore()
    page.tick("Enable", True)
    page.choose("Output render split", "normals")
    both = page.settled()
    middle = both.shape[1] // 2
    left, right = both[:, :middle], both[:, middle:]
    assert coloured(left).sum() < 0.02 * inked(left).sum() and coloured(right).sum() > 0.4 * inked(right).sum()
    one, other = box_of(inked(left)), box_of(inked(right))
    # As far from the camera; seen from different sides, they are not as wide.
    assert one.height == pytest.approx(other.height, rel=0.1)


def test_iso_level_grows_and_shrinks_the_surface(page):
    page.restore()
    areas = [
        inked(page.after(lambda level=level: page.set_number("Iso level", level))).sum()
        for level in (-0.015, 0.0, 0.015)  # Further out, what is left of the noise has surfaces of its own.
    ]
    assert areas[0] < 0.98 * areas[1] and areas[1] < 0.98 * areas[2]


def test_slice_follows_its_position_and_axis(page):
    def cut(picture):
        """How many pixels are as blue as the shape's inside."""
        return (picture[..., 2] > picture[..., 0] + 0.2).sum()

    page.restore()
    page.choose("Output type", "slice")
    areas = [cut(page.after(lambda z=z: page.set_number("Slice position", z))) for z in (0.0, 0.35, 0.9)]
    assert areas[0] > 1.2 * areas[1] > 0 and areas[2] == 0

    # Across y, the pear is thin at its upper end.
    page.choose("Slice across", "y")
    areas = [cut(page.after(lambda y=y: page.set_number("Slice position", y))) for y in (-0.3, 0.8)]
    assert areas[0] > 2 * areas[1]


def test_mouse_moves_the_view_and_a_button_brings_it_back(page):
    first = page.restored()
    page.move_closer(6)
    page.until("a larger pear", lambda picture: inked(picture).sum() > 1.3 * inked(first).sum())
    page.press("Frame the signal")
    page.until("the first view", lambda picture: overlap(inked(picture), inked(first)) > 0.97)

    # Dragged to the right, it turns to the right: the bulge on its right goes away from the camera.
    page.drag(150, 0)
    page.until("a pear seen from its other side", lambda picture: overlap(inked(picture), inked(first)) < 0.9)
    page.press("Frame the signal")
    page.until("the first view", lambda picture: overlap(inked(picture), inked(first)) > 0.97)


def test_original_is_drawn_over_it(page):
    page.restore()
    page.tick("Original over it", True)

    def green(picture):
        return picture[..., 1] > picture[..., 0] + 0.1

    seen = page.until("the original's green mesh", lambda picture: green(picture).sum() > 0.1 * inked(picture).sum())
    page.tick("Original over it", False)
    plain = page.until("the pear alone", lambda picture: green(picture).sum() < 0.01 * inked(picture).sum())
    # It lies where the field's surface is.
    one, other = box_of(green(seen)), box_of(inked(plain))
    assert np.allclose(one, other, atol=6)


def test_panel_says_what_the_field_is_and_how_good(page, shape_viewer):
    noise, text = load_run(shape_viewer.runs[0]).description.spectrum, page.text()
    assert "winner 3 x 64" in text
    assert f"psi {noise.psi:.4g}" in text and noise.in_words() in text
    assert 0.9 < float(page.until_text(r"IoU (0\.\d+)").group(1)) < 1


def test_exports_are_written_named_and_handed_over(page, shape_viewer):
    exports = shape_viewer.runs[0] / "exports"
    name, content, written = page.exported("Export mesh")
    assert name == "pear-fitted.ply"
    assert written == exports / name
    assert (exports / name).read_bytes() == content
    mesh = trimesh.load(io.BytesIO(content), file_type="ply")
    assert np.allclose(mesh.bounds, pear().bounds, atol=5)  # In millimetres again.

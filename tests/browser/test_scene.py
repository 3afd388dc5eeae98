"""Posed photographs in the viewer."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import trimesh

from .conftest import STRANGE
from .pictures import box_of, coloured, inked, overlap, silhouette
from .viewer_page import find_browser

find_browser()
pytestmark = pytest.mark.slow


def without_cameras(page):
    page.press("Hide Train Cams")
    return page


@pytest.fixture(scope="module")
def page(open_page, scene_viewer):
    return without_cameras(open_page(scene_viewer, resolution=200))


@pytest.fixture(scope="module")
def surface_page(open_page, surface_viewer):
    return without_cameras(open_page(surface_viewer, resolution=150))


def match_from_the_first_photograph(seen, scene):
    """How well a picture's silhouette matches the true mesh, seen from where the first photograph was taken."""
    height, width = seen.shape
    mesh = trimesh.load(scene / "mesh.ply", process=False)
    frame = json.loads((scene / "transforms_train.json").read_text())["frames"][0]
    back = np.array(frame["transform_matrix"])[:3, 3]
    view = back / np.linalg.norm(back), np.array([0.0, 0.0, 1.0])

    def match(distance):
        return overlap(seen, silhouette(mesh.vertices, mesh.faces, *view, distance, height, width))

    nearly = max(np.arange(1.5, 5.0, 0.5), key=match)
    return max(map(match, nearly + np.arange(-0.4, 0.5, 0.1)))


def test_opens_framed_upright_and_from_where_the_first_photograph_was_taken(page, scene_viewer):
    picture = page.settled()
    height, width = picture.shape[:2]
    seen = inked(picture)
    box = box_of(seen)
    assert box.left > 0 and box.top > 0 and box.right < width and box.bottom < height
    assert max(box.width / width, box.height / height) > 0.4
    assert match_from_the_first_photograph(seen, scene_viewer.data) > 0.85
    assert coloured(picture).sum() > 0.1 * seen.sum()  # Its glaze.


def test_what_a_scene_is_called_is_read_and_never_run(page):
    page.until_text(re.escape(STRANGE))
    assert page.page.evaluate("globalThis.hacked") is None
    assert page.page.locator("img[src=x]").count() == 0


def test_comes_back_into_the_frame(page):
    framed = inked(page.settled())
    page.drag(250, 40)
    page.move_closer(3)
    assert overlap(inked(page.settled()), framed) < 0.8
    page.press("Frame the scene")
    assert overlap(inked(page.settled()), framed) > 0.97


def test_outputs_are_the_radiance_fields(page):
    assert {"rgb", "accumulation", "depth"} <= set(page.outputs())
    body = inked(page.settled())
    page.choose("Output type", "accumulation")
    opacity = page.settled()
    # The colour map leads from blue over green to red.
    assert overlap(opacity[..., 0] > opacity[..., 2], body) > 0.85
    page.choose("Output type", "rgb")


def test_a_surface_is_seen_like_any_scene_and_shows_its_normals(surface_page, surface_viewer):
    picture = surface_page.settled()
    body = inked(picture)
    assert match_from_the_first_photograph(body, surface_viewer.data) > 0.8
    assert {"rgb", "accumulation", "depth", "normals"} <= set(surface_page.outputs())
    surface_page.choose("Output type", "normals")
    normals = surface_page.settled()
    # Towards everywhere that can be seen; nothing, which is grey, behind.
    assert normals[body].std(axis=0).min() > 0.08
    assert np.abs(np.median(normals[~body], axis=0) - 0.5).max() < 0.02
    assert np.abs(normals - picture)[body].mean() > 0.1

"""Posed photographs in the viewer."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from .pictures import box_of, coloured, inked, overlap, silhouette
from .viewer_page import find_browser

find_browser()


@pytest.fixture(scope="module")
def page(open_page, scene_viewer):
    page = open_page(scene_viewer, resolution=200)
    page.press("Hide Train Cams")
    return page


def test_opens_framed_upright_and_from_where_the_first_photograph_was_taken(page, scene_viewer):
    picture = page.settled()
    height, width = picture.shape[:2]
    seen = inked(picture)
    box = box_of(seen)
    assert box.left > 0 and box.top > 0 and box.right < width and box.bottom < height
    assert max(box.width / width, box.height / height) > 0.4
    mesh = trimesh.load(scene_viewer.data / "mesh.ply", process=False)
    frame = json.loads((scene_viewer.data / "transforms_train.json").read_text())["frames"][0]
    back = np.array(frame["transform_matrix"])[:3, 3]
    view = back / np.linalg.norm(back), np.array([0.0, 0.0, 1.0])
    matches = [
        overlap(seen, silhouette(mesh.vertices, mesh.faces, *view, distance, height, width))
        for distance in np.arange(1.5, 5.0, 0.1)
    ]
    assert max(matches) > 0.85
    assert coloured(picture).sum() > 0.1 * seen.sum()  # Its glaze.


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

"""The angular frequency of posed photographs, against gratings of known wavelength seen by known cameras."""

from __future__ import annotations

import dataclasses
import weakref
from typing import NamedTuple

import numpy as np
import pytest

from winner_ns.scenes import view_spectrum
from winner_ns.scenes.view_spectrum import SHORTEST_RUN, View, views_spectrum

ANGLES = (0.01, 0.01)


class Camera(NamedTuple):
    """Looks from (0, 0, distance) at the origin; negative: from behind."""

    distance: float
    focal: tuple = (120.0, 120.0)
    """Pixels, (vertical, horizontal)."""
    size: tuple = (100, 120)
    """Rows and columns."""
    centre: tuple = (0.5, 0.5)
    """The principal point, as a share of the size."""

    def rays(self):
        rows, columns = np.mgrid[: self.size[0], : self.size[1]] + 0.5
        up = (self.centre[0] * self.size[0] - rows) / self.focal[0]
        right = (columns - self.centre[1] * self.size[1]) / self.focal[1]
        toward = np.sign(self.distance)
        directions = np.stack([toward * right, up, -toward * np.ones_like(up)], axis=-1)
        return directions / np.linalg.norm(directions, axis=-1, keepdims=True)

    def seen(self, colour, depth) -> View:
        """What it sees of points that have these distances along its rays (nan: nothing), coloured by position."""
        rays = self.rays()
        found = np.isfinite(depth)
        points = np.array([0.0, 0.0, self.distance]) + np.where(found, depth, 0.0)[..., None] * rays
        image = np.concatenate([colour(points), found[..., None]], axis=-1)
        angles = [np.arccos((a * b).sum(-1)).mean() for a, b in ((rays[1:], rays[:-1]), (rays[:, 1:], rays[:, :-1]))]
        return View(image, tuple(map(float, angles)), float(depth[found].mean()))

    def plane(self, colour) -> View:
        """The plane z = 0."""
        return self.seen(colour, -self.distance / self.rays()[..., 2])

    def ball(self, colour) -> View:
        """The unit ball."""
        along = -self.rays()[..., 2] * self.distance  # Of the rays' points nearest to the centre.
        beside = self.distance**2 - along**2
        return self.seen(colour, np.where(beside < 1, along - np.sqrt(np.maximum(1 - beside, 0)), np.nan))


def grating(wavelength: float):
    """sin(kx) sin(ky): along both axes of these cameras every line has the one frequency k = 2 pi / wavelength."""

    def colour(points):
        waves = np.sin(2 * np.pi / wavelength * points[..., :2] + 0.4)
        return 0.5 + 0.4 * np.repeat(waves.prod(axis=-1)[..., None], 3, axis=-1)

    return colour


def diagonal(points):
    """A wavelength of 0.2 along (1, 1)."""
    return np.repeat(0.5 + 0.5 * np.sin(2 * np.pi / 0.2 * points[..., :2].sum(-1, keepdims=True) / 2**0.5), 3, axis=-1)


CAMERAS = [
    Camera(3.0),
    Camera(4.5),
    Camera(-3.0),
    Camera(3.0, focal=(200.0, 200.0)),
    Camera(3.0, focal=(120.0, 180.0), size=(90, 150)),
    Camera(4.0, focal=(260.0, 150.0), size=(151, 97), centre=(0.4, 0.6)),
]


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("wavelength", [0.15, 0.3])
def test_a_plane_has_the_frequency_of_its_grating(camera, wavelength):
    measured = views_spectrum([camera.plane(grating(wavelength))])
    assert measured.omega == pytest.approx(2 * np.pi / wavelength, rel=0.10)
    assert (measured.kind, measured.dimensions, measured.channels) == ("views", 3, 3)


def test_all_cameras_together_and_one_after_another():
    wanted = 2 * np.pi / 0.21
    together = views_spectrum(camera.plane(grating(0.21)) for camera in CAMERAS)
    assert together.omega == pytest.approx(wanted, rel=0.10)
    alone = [views_spectrum([camera.plane(grating(0.21))]) for camera in CAMERAS]
    assert together.omega == pytest.approx(np.mean([one.omega for one in alone]))
    assert together.psi == pytest.approx(np.mean([one.psi for one in alone]))


def test_an_axis_sees_its_own_part_of_a_diagonal_frequency():
    measured = views_spectrum([Camera(3.0).plane(diagonal)])
    assert measured.omega == pytest.approx(2 * np.pi / 0.2 / 2**0.5, rel=0.10)


@pytest.mark.parametrize("camera", [Camera(4.0, (250.0, 250.0), (160, 160)), Camera(-3.0, (190.0, 150.0), (140, 120))])
def test_a_ball_shows_a_texture_across_the_line_of_sight_without_foreshortening(camera):
    """The grating is solid and does not vary along the line of sight: its frequency in the picture is that in space,
    however much the surface is tilted, but for perspective."""
    measured = views_spectrum([camera.ball(grating(0.21))])
    assert measured.omega == pytest.approx(2 * np.pi / 0.21, rel=0.10)


def test_psi_is_the_share_of_nyquist():
    rows, columns = np.mgrid[:96, :96]
    image = np.repeat(
        (0.5 + 0.5 * np.sin(0.4 * np.pi * rows + 1) * np.sin(0.2 * np.pi * columns + 1))[..., None], 3, axis=-1
    )
    measured = views_spectrum([View(image, (0.01, 0.02), 2.0)])
    assert measured.psi == pytest.approx((0.4 + 0.2) / 2, rel=0.01)
    assert measured.omega == pytest.approx((0.4 * np.pi / 0.02 + 0.2 * np.pi / 0.04) / 2, rel=0.01)


def test_white_noise_lies_at_half_of_nyquist():
    noise = np.random.default_rng(0).integers(0, 256, (200, 131, 3), dtype=np.uint8)
    assert views_spectrum([View(noise, ANGLES, 1.0)]).psi == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("holes", [False, True])
def test_the_silhouette_and_what_is_behind_it_do_not_count(holes):
    rows, columns = np.mgrid[:120, :120]
    texture = Camera(3.0, size=(120, 120)).plane(grating(0.21)).image[..., :3]
    disc = np.hypot(rows - 60.0, columns - 55.0) < 45
    if holes:
        disc &= np.hypot(rows - 50.0, columns - 60.0) > 9
    whole = views_spectrum([View(texture, ANGLES, 3.0)]).omega
    behind = {"white": 1.0, "black": 0.0, "noise": np.random.default_rng(0).random((120, 120, 3))}
    cut = {name: np.where(disc[..., None], texture, colour) for name, colour in behind.items()}
    seen = {name: np.concatenate([image, disc[..., None]], axis=-1) for name, image in cut.items()}
    seen |= {"white without alpha": cut["white"], "black without alpha": cut["black"]}
    seen |= {f"{name}, 8 bit": np.round(255 * image).astype(np.uint8) for name, image in seen.items()}
    for name, image in seen.items():
        assert views_spectrum([View(image, ANGLES, 3.0)]).omega == pytest.approx(whole, rel=0.05), name


def test_colours_of_the_scene_that_equal_the_background_are_no_holes():
    rows, columns = np.mgrid[:120, :120]
    disc = np.hypot(rows - 60.0, columns - 60.0) < 50
    texture = Camera(3.0, size=(120, 120)).plane(grating(0.21)).image[..., :3]
    image = np.where(disc[..., None], texture, texture.max())
    assert views_spectrum([View(image, ANGLES, 3.0)]).omega == pytest.approx(
        views_spectrum([View(np.dstack([image, disc]), ANGLES, 3.0)]).omega, rel=0.05
    )


def test_half_the_resolution_shows_the_same_frequency():
    full = Camera(3.0, (240.0, 240.0), (200, 240)).plane(grating(0.21))
    half = full.image.reshape(100, 2, 120, 2, 4).mean(axis=(1, 3))
    coarse = View(half, tuple(2 * angle for angle in full.pixel_angles), full.distance)
    assert views_spectrum([coarse]).omega == pytest.approx(views_spectrum([full]).omega, rel=0.03)
    assert views_spectrum([coarse]).psi == pytest.approx(2 * views_spectrum([full]).psi, rel=0.03)


def test_eight_bits_show_the_same_as_floats():
    view = Camera(3.0).plane(grating(0.21))
    eight = dataclasses.replace(view, image=np.round(255 * view.image).astype(np.uint8))
    assert views_spectrum([eight]).omega == pytest.approx(views_spectrum([view]).omega, rel=0.02)


def test_scale_turns_scene_units_into_the_fields():
    view = Camera(3.0).plane(grating(0.21))
    one, four = views_spectrum([view]), views_spectrum([view], scale=4.0)
    assert (four.omega, four.psi) == (pytest.approx(4 * one.omega), one.psi)
    with pytest.raises(ValueError, match="scale must be positive"):
        views_spectrum([view], scale=0.0)


def test_evenly_spaced_lines_stand_for_all_of_a_large_view(monkeypatch):
    view = Camera(3.0).plane(grating(0.21))
    all_lines = views_spectrum([view]).omega
    monkeypatch.setattr(view_spectrum, "LINES_AT_ONCE", 7)
    assert views_spectrum([view]).omega == pytest.approx(all_lines, rel=1e-6)
    monkeypatch.setattr(view_spectrum, "MOST_LINES", 40)
    assert views_spectrum([view]).omega == pytest.approx(all_lines, rel=0.03)


def test_views_without_texture_count_for_nothing():
    textured = Camera(3.0).plane(grating(0.21))
    gray = View(np.full((50, 60, 3), 99, np.uint8), ANGLES, 1.0)
    empty = View(np.random.default_rng(0).random((50, 60, 4)) * [1, 1, 1, 0.4], ANGLES, 1.0)
    narrow = np.zeros((50, 60, 4))
    narrow[20 : 20 + SHORTEST_RUN - 1, 20 : 20 + SHORTEST_RUN - 1] = np.random.default_rng(0).random((7, 7, 4)) + 0.5
    thin = View(narrow, ANGLES, 1.0)
    even = np.concatenate([np.full((50, 60, 3), 0.1), np.ones((50, 60, 1))], axis=-1)
    assert views_spectrum([gray, textured, empty]) == views_spectrum([textured])
    for nothing in ([gray], [empty], [thin], [View(even, ANGLES, 1.0)], []):
        with pytest.raises(ValueError, match="no view shows any texture"):
            views_spectrum(nothing)


def test_one_view_is_held_at_a_time():
    alive: list = []
    references: list = []

    def lazily():
        for _ in range(4):
            image = Camera(3.0).plane(grating(0.21)).image
            alive.append(sum(reference() is not None for reference in references))
            references.append(weakref.ref(image))
            yield View(image, ANGLES, 3.0)

    views_spectrum(lazily())
    assert max(alive) <= 1


@pytest.mark.parametrize(
    ("image", "angles", "distance", "says"),
    [
        (np.zeros((9, 9, 2)), ANGLES, 1.0, "not 2"),
        (np.full((9, 9, 3), np.nan), ANGLES, 1.0, "finite"),
        (np.zeros((9, 9, 3)), (0.0, 0.01), 1.0, "must be positive"),
        (np.zeros((9, 9, 3)), (0.01, float("nan")), 1.0, "must be positive"),
        (np.zeros((9, 9, 3)), ANGLES, -1.0, "must be positive"),
    ],
)
def test_views_that_make_no_sense(image, angles, distance, says):
    with pytest.raises(ValueError, match=says):
        View(image, angles, distance)

"""The pieces that scenes are learnt with: frames, grids, cameras' angles, and the surface's start."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import Frustums, RaySamples
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.pixel_samplers import PixelSamplerConfig
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.field_components.field_heads import FieldHeadNames
from PIL import Image

from winner_ns.demo.bunny_scene import write_bunny_scene
from winner_ns.errors import SignalError
from winner_ns.fields import build_field
from winner_ns.fields.description import Description, NetworkDescription
from winner_ns.rays.frame import FieldFrame
from winner_ns.rays.neus_field import SirenSDFField, SirenSDFFieldConfig, fit_sphere
from winner_ns.rays.neus_mesh import world_from_scene
from winner_ns.rays.occupancy_grid import OccupancyGrid
from winner_ns.rays.pixel_sampler import ViewsPixelSampler
from winner_ns.rays.radiance_field import RadianceField
from winner_ns.rays.scene_dataparser import scene_dataparser
from winner_ns.rays.scene_spectrum import pixel_angles, scene_focus, scene_spectrum
from winner_ns.rays.view_figures import perceptual_distance, view_metrics
from winner_ns.rays.visual_hull import visual_hull_box
from winner_ns.spectrum import SineNetwork, TargetSpectrum
from winner_ns.spectrum.noise import choose_noise

BOX = SceneBox(aabb=torch.tensor([[-1.0, -2.0, -0.5], [2.0, 1.0, 0.5]]))


@given(
    images=st.integers(1, 2),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    share=st.floats(0.02, 1.0),
    seed=st.integers(0, 2**31),
)
def test_every_pixel_that_masks_leave_is_drawn_and_no_other(images, height, width, share, seed):
    torch.manual_seed(seed)
    mask = torch.rand(images, height, width, 1) < share
    mask[0, 0, 0] = True
    sampler = PixelSamplerConfig(_target=ViewsPixelSampler, max_num_iterations=3).setup()
    drawn = sampler.rejection_sample_mask(mask, 4000, images, height, width, "cpu")
    counts = torch.zeros(images, height, width).index_put_(drawn.unbind(dim=-1), torch.tensor(1.0), accumulate=True)
    assert (counts[~mask[..., 0]] == 0).all()
    # Alike: each count lies within eight deviations of a fair share, nought is eleven away.
    fair = 4000 / int(mask.sum())
    assert (counts[mask[..., 0]] - fair).abs().max() <= 8 * fair**0.5


def test_a_mask_that_hides_everything_is_an_error():
    sampler = PixelSamplerConfig(_target=ViewsPixelSampler).setup()
    with pytest.raises(SignalError, match="hides all of a photograph"):
        sampler.rejection_sample_mask(torch.zeros(1, 4, 4, 1), 10, 1, 4, 4, "cpu")


def samples_along(origin, direction, edges) -> RaySamples:
    """One ray's samples between edges."""
    n = len(edges) - 1
    starts, ends = torch.tensor(edges[:-1])[None, :, None], torch.tensor(edges[1:])[None, :, None]
    frustums = Frustums(
        origins=torch.tensor(origin).expand(1, n, 3),
        directions=torch.nn.functional.normalize(torch.tensor(direction), dim=0).expand(1, n, 3),
        starts=starts,
        ends=ends,
        pixel_area=torch.ones(1, n, 1),
    )
    return RaySamples(frustums=frustums, camera_indices=torch.zeros(1, n, 1, dtype=torch.long), deltas=ends - starts)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3))
def test_an_unbounded_scene_fits_into_the_cube_and_keeps_its_order(point):
    frame = FieldFrame(BOX, bounded=False)
    here = frame(torch.tensor(point))
    assert (here.abs() <= 1.0).all()
    further = frame(torch.tensor(point) * 1.5 - 0.5 * frame.center)  # One and a half times as far from the centre.
    assert (further.abs() >= here.abs() - 1e-5).all()


def test_a_box_becomes_the_cube_without_distortion():
    frame = FieldFrame(BOX, bounded=True)
    corners = frame(BOX.aabb)
    assert corners == pytest.approx(torch.tensor([[-1.0, -1.0, -1 / 3], [1.0, 1.0, 1 / 3]]), abs=1e-6)
    assert frame.scale == pytest.approx(1.5)
    assert FieldFrame(BOX, bounded=False).scale == pytest.approx(3.0)


@pytest.mark.parametrize("bounded", [True, False])
def test_lengths_of_samples_are_those_between_their_ends(bounded):
    frame = FieldFrame(BOX, bounded)
    samples = samples_along([-0.8, -0.4, 0.1], [1.0, 0.2, 0.1], [0.0, 0.5, 1.0, 40.0])
    middles, lengths = frame.middles_and_lengths(samples)
    edges = torch.tensor([-0.8, -0.4, 0.1]) + torch.tensor([[0.0], [0.5], [1.0], [40.0]]) * (
        torch.tensor([1.0, 0.2, 0.1]) / math.sqrt(1.05)
    )
    ends = frame(edges)
    assert lengths[0, :, 0] == pytest.approx((ends[1:] - ends[:-1]).norm(dim=-1), rel=1e-4)
    assert middles[0, 1] == pytest.approx(frame((edges[1] + edges[2]) / 2), abs=1e-5)


def test_the_grid_finds_what_is_there_and_forgets_what_is_gone():
    torch.manual_seed(0)
    grid = OccupancyGrid(resolution=32, threshold=1.0)
    assert grid.occupied(torch.rand(100, 3) * 2 - 1).all()  # Before anything has been looked at.

    def ball(center):
        return lambda points: 50.0 * ((points - center).norm(dim=-1, keepdim=True) < 0.4)

    left, right = torch.tensor([-0.5, 0.0, 0.0]), torch.tensor([0.5, 0.0, 0.0])
    grid.refresh(ball(left), 32**3)
    points = torch.rand(20000, 3) * 2 - 1
    inside = (points - left).norm(dim=-1) < 0.4 - 2 * math.sqrt(3) / 32  # A cell's width from the surface.
    assert grid.occupied(points)[inside].all()
    assert grid.fraction == pytest.approx(4 / 3 * math.pi * 0.4**3 / 8, rel=0.15)
    for _ in range(400):
        grid.refresh(ball(right), 32**3 // 8)
    assert not grid.occupied(points)[(points - left).norm(dim=-1) < 0.3].any()
    assert grid.occupied(points)[(points - right).norm(dim=-1) < 0.3].all()


def test_a_thin_scene_is_not_taken_for_an_empty_one():
    grid = OccupancyGrid(resolution=16, threshold=1.0)
    grid.refresh(lambda points: 0.01 * (1.0 + points[:, :1]), 16**3)
    assert 0.3 < grid.fraction < 0.7 and grid.occupied(torch.tensor([0.9, 0.0, 0.0]))


def camera(**changes) -> Cameras:
    settings = dict(fx=200.0, fy=100.0, cx=64.0, cy=32.0, width=128, height=64, camera_type=CameraType.PERSPECTIVE)
    return Cameras(camera_to_worlds=torch.eye(4)[None, :3], **{**settings, **changes})


def test_pixel_angles_follow_focal_lengths_and_distortion():
    long = camera(fx=20000.0, fy=10000.0)  # So long that angles are alike in the whole picture.
    assert pixel_angles(long, 0) == pytest.approx((1e-4, 5e-5), rel=1e-3)
    down, along = pixel_angles(camera(), 0)
    # Towards the corners of a wide picture, pixels are smaller: exactly, the mean of d/dx atan-like slopes.
    assert down < 1 / 100 and along < 1 / 200 and down == pytest.approx(2 * along, rel=0.1)
    bent = torch.tensor([[0.4, 0.0, 0.0, 0.0, 0.0, 0.0]])  # Positive: a pixel spans less than without.
    assert pixel_angles(camera(distortion_params=bent), 0)[1] < along


def test_the_focus_is_where_cameras_look_and_the_centre_where_they_do_not_meet():
    def looking(origin, target):
        back = torch.nn.functional.normalize(torch.tensor(origin) - torch.tensor(target), dim=0)
        right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]), back), dim=0)
        return torch.stack([right, torch.linalg.cross(back, right), back, torch.tensor(origin)], dim=1)

    def cameras(poses):
        return Cameras(camera_to_worlds=torch.stack(poses), fx=1.0, fy=1.0, cx=1.0, cy=1.0)

    center, target = torch.zeros(3), [0.4, -0.3, 0.2]
    around = [looking(origin, target) for origin in ([3.0, 0.0, 1.0], [0.0, 3.0, 0.5], [-2.0, -2.0, 2.0])]
    assert scene_focus(cameras(around), center) == pytest.approx(torch.tensor(target), abs=1e-4)
    alike = [looking([x, 3.0, 0.0], [x, 0.0, 0.0]) for x in (-1.0, 0.0, 1.0)]
    assert scene_focus(cameras(alike), center) == pytest.approx(center)
    assert scene_focus(cameras(around[:1]), center) == pytest.approx(center)


@pytest.mark.parametrize("family", ["winner", "siren", "finer"])
def test_a_radiance_field_starts_neither_opaque_nor_empty(family):
    torch.manual_seed(0)
    field = RadianceField(build_field(family, 3, 33, {"width": 64, "depth": 3}))
    points = torch.rand(4096, 3) * 2 - 1
    density, features = field.density(points)
    through = torch.exp(-2.0 * density.mean())  # Straight through the cube, whose sides are 2.
    assert 0.2 < through < 0.8
    colors = field.colors(features, torch.nn.functional.normalize(torch.randn(4096, 3), dim=-1))
    assert 0.3 < colors.mean() < 0.7 and colors.std() < 0.25


def surface(start: str, s0: float = 10.0, **settings) -> SirenSDFField:
    noise = choose_noise(TargetSpectrum("views", 3, 3, 0.2, 30.0), SineNetwork(3, 64, 3), "explicit", s0=s0, s1=0.08)
    description = Description(
        kind="views",
        name="scene",
        data="",
        network=NetworkDescription("winner", 3, 17, {"width": 64, "depth": 3}),
        target={},
        signal={"focus": [0.0] * 3},
        spectrum=noise,
    )
    config = SirenSDFFieldConfig(
        start=start,
        geo_feat_dim=16,
        description=description.as_dict(),
        **settings,
    )
    return SirenSDFField(config, aabb=torch.tensor([[-2.0] * 3, [2.0] * 3]), num_images=3)


def sphere_errors(field: SirenSDFField):
    """Mean error of distances to a sphere of radius 1, and the mean cosine between slopes and outward directions."""
    points = torch.rand(5000, 3) * 4 - 2
    points = points[points.norm(dim=-1) > 0.4].requires_grad_(True)
    distance = field.forward_geonetwork(points)[:, :1]
    (slope,) = torch.autograd.grad(distance.sum(), points)
    cosine = torch.nn.functional.cosine_similarity(slope, points, dim=-1)
    return float((distance - (points.norm(dim=-1, keepdim=True) - 1.0)).abs().mean()), float(cosine.mean())


@pytest.mark.parametrize("s0", [0.0, 10.0])
def test_a_surface_starts_as_a_sphere_although_noise_is_added(s0):
    error, cosine = sphere_errors(surface("residual", s0=s0))
    assert error < 0.02 and cosine > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("s0", [0.0, 5.7])
def test_a_network_alone_is_brought_to_the_sphere(s0):
    field = surface("fitted", s0=s0)
    before = sphere_errors(field)
    assert before[0] > 0.3 and abs(before[1]) < 0.2
    fit_sphere(field, 0)
    error, cosine = sphere_errors(field)
    assert error < 0.03 and cosine > 0.95  # The box measures 4.


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fitted", "residual"])
def test_a_room_starts_as_a_sphere_seen_from_within(start):
    inward = surface(start, inside_outside=True)
    if start == "fitted":
        fit_sphere(inward, 0)
    assert inward.signed_distance(torch.zeros(1, 3)) > 0.5 and inward.signed_distance(torch.full((1, 3), 1.9)) < -0.5


def test_samples_that_no_ray_sees_are_left_out_without_a_difference():
    """Along a ray into the sphere, colours are composited as if every sample had been gone through with."""
    field = surface("residual").eval()
    field.deviation_network.variance.data.fill_(0.5)  # A sharpness of about 150.
    edges = np.linspace(0.5, 3.5, 61).tolist()
    samples = samples_along([-2.0, 0.1, 0.2], [1.0, 0.0, 0.0], edges)
    with torch.no_grad():
        outputs = field(samples, return_alphas=True)
        whole = super(SirenSDFField, field).get_outputs(samples, return_alphas=True)
    assert len(outputs[FieldHeadNames.GRADIENT]) < 40
    weights, _ = samples.get_weights_and_transmittance_from_alphas(outputs[FieldHeadNames.ALPHA])
    expected, _ = samples.get_weights_and_transmittance_from_alphas(whole[FieldHeadNames.ALPHA])
    assert weights.sum() == pytest.approx(1.0, abs=0.01)
    assert weights == pytest.approx(expected, abs=2e-3)
    seen = (weights * outputs[FieldHeadNames.RGB]).sum(1)
    assert seen == pytest.approx((expected * whole[FieldHeadNames.RGB]).sum(1), abs=5e-3)


def test_a_ray_that_starts_inside_sees_the_inside():
    field = surface("residual").eval()
    field.deviation_network.variance.data.fill_(0.5)
    samples = samples_along([0.0, 0.1, 0.2], [1.0, 0.0, 0.0], np.linspace(0.0, 3.0, 61).tolist())
    with torch.no_grad():
        outputs = field(samples, return_alphas=True)
        whole = super(SirenSDFField, field).get_outputs(samples, return_alphas=True)
    for name in (FieldHeadNames.ALPHA, FieldHeadNames.RGB):
        assert outputs[name][:, :15] == pytest.approx(whole[name][:, :15], abs=1e-5)


def test_the_data_parsers_turn_shift_and_scale_are_undone():
    generator = np.random.default_rng(0)
    turn = np.linalg.qr(generator.standard_normal((3, 3)))[0]
    transform, scale = np.column_stack([turn, [3.0, -1.0, 2.0]]), 0.25
    world = generator.standard_normal((10, 3))
    scene = (world @ turn.T + transform[:, 3]) * scale
    back = world_from_scene({"dataparser_transform": transform.tolist(), "dataparser_scale": scale})
    assert scene @ back[:3, :3].T + back[:3, 3] == pytest.approx(world)


@pytest.mark.parametrize("far, focal", [(2.0, 150.0), (4.0, 150.0), (4.0, 300.0)])
def test_a_scenes_spectrum_is_that_of_what_stands_in_it(tmp_path, far, focal):
    """A wall with a grating of 12 wavelengths a unit, photographed from two places and turned by a mask's worth of
    noise: from images and transforms.json to radians per unit of the field's coordinate."""
    (tmp_path / "images").mkdir()
    size, wave = (90, 120), 2 * np.pi * 12
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    noise = np.random.default_rng(0)
    frames = []
    for index, aside in enumerate((-0.1, 0.05, 0.2)):
        x, y = aside + (columns - 60) / focal * far, (45 - rows) / focal * far
        picture = np.repeat(127.5 + 120 * (np.sin(wave * x) * np.sin(wave * y))[..., None], 3, axis=-1)
        picture[:30] = noise.integers(0, 256, (30, 120, 3))  # Behind the mask.
        Image.fromarray(picture.round().astype(np.uint8)).save(tmp_path / "images" / f"{index}.png")
        pose = np.eye(4)
        pose[:3, 3] = aside, 0.0, far
        frames.append({"file_path": f"images/{index}.png", "mask_path": "mask.png", "transform_matrix": pose.tolist()})
    mask = np.full(size, 255, np.uint8)
    mask[:30] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    camera = {"fl_x": focal, "fl_y": focal, "cx": 60, "cy": 45, "w": 120, "h": 90, "camera_model": "OPENCV"}
    (tmp_path / "transforms.json").write_text(json.dumps({**camera, "frames": frames}))
    parser = scene_dataparser(tmp_path)
    parser.orientation_method, parser.center_method, parser.auto_scale_poses = "none", "none", False
    dataset = InputDataset(parser.setup().get_dataparser_outputs(split="train"))
    frame = FieldFrame(SceneBox(aabb=torch.tensor([[-3.0, -2.0, -1.0], [3.0, 2.0, 1.0]])), bounded=True)
    assert scene_spectrum(dataset, frame).omega == pytest.approx(wave * 3.0, rel=0.1)


def test_figures_of_views_are_the_formulas():
    truth = torch.rand(16, 20, 3, generator=torch.Generator().manual_seed(0)) * 0.5
    figures = view_metrics(truth + 0.1, truth)
    assert figures["psnr"] == pytest.approx(20.0, abs=1e-3)
    assert view_metrics(truth, truth)["ssim"] == pytest.approx(1.0)


def test_lpips_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(SignalError, match="LPIPS"):
        perceptual_distance()
    assert not list(tmp_path.rglob("*.pth"))


def test_the_box_is_what_lies_inside_all_silhouettes(tmp_path):
    scene = write_bunny_scene(tmp_path / "bunny", views=20, test_views=1, size=32)
    dataset = InputDataset(scene_dataparser(scene).setup().get_dataparser_outputs(split="train"))
    truth = torch.from_numpy(np.array(trimesh.load(scene / "mesh.ply").bounds)).float()
    found = visual_hull_box(dataset, dataset.scene_box.aabb)
    assert (found[0] <= truth[0]).all() and (found[1] >= truth[1]).all()
    assert (found - truth).abs()[:, 1].max() < 0.35 and (found - truth)[1, 2] < 0.35  # Few views look from below.
    assert float((found[1] - found[0]).prod()) < 0.7 * 27
    assert visual_hull_box(dataset, torch.tensor([[-1.5, -1.5, 1.3], [1.5, 1.5, 1.5]])) is None

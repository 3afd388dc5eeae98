"""Posed photographs through nerfstudio's own commands: radiance fields, surfaces, and what comes back."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from conftest import in_process, run_program
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.model_components.renderers import background_color_override_context
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image

from winner_ns.commands.main import main
from winner_ns.fields import FAMILIES
from winner_ns.fitting.run import read_model
from winner_ns.plugin.trainer import SignalTrainer
from winner_ns.rays.neus_mesh import world_from_scene
from winner_ns.rays.view_figures import LPIPS_WEIGHTS

SMALL = [
    "--pipeline.model.field.width",
    64,
    "--pipeline.model.field.depth",
    3,
    "--pipeline.datamanager.batch-size",
    512,
]
RADIANCE = [*SMALL, "--pipeline.model.views.num-samples", 48, "--pipeline.model.views.grid-resolution", 32]
SURFACE = [*SMALL, "--pipeline.model.num-samples", 16, "--pipeline.model.num-samples-importance", 16]
STILL = ["--max-num-iterations", 1, "--optimizers.field.optimizer.lr", 1e-7]
"""A surface that stays what it is at the start."""
SHIFT, SCALE = np.array([1000.0, -500.0, 20.0]), 30.0


def in_nerfstudios_format(scene: Path, folder: Path, opaque: bool, model: str = "OPENCV") -> Path:
    """A copy with a transforms.json, thirty times as large and far from the origin; opaque: on white; model: of its
    cameras."""
    (folder / "images").mkdir(parents=True)
    meta = json.loads((scene / "transforms_train.json").read_text())
    focal = 16 / np.tan(meta["camera_angle_x"] / 2)
    frames = []
    for frame in meta["frames"]:
        name = Path(frame["file_path"]).name + ".png"
        with Image.open(scene / f"{frame['file_path']}.png") as image:
            if opaque:  # With an alpha channel that says nothing, as some cameras' PNGs have it.
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image.save(folder / "images" / name)
        pose = np.array(frame["transform_matrix"])
        pose[:3, 3] = SCALE * pose[:3, 3] + SHIFT
        frames.append({"file_path": f"images/{name}", "transform_matrix": pose.tolist()})
    camera = {"fl_x": focal, "fl_y": focal, "cx": 16, "cy": 16, "w": 32, "h": 32, "camera_model": model}
    (folder / "transforms.json").write_text(json.dumps({**camera, "frames": frames}))
    return folder


@pytest.fixture
def ns_render(monkeypatch, capfd, tmp_path):
    """`ns-render` of a run, COMMAND first."""
    # It asks for an ffmpeg even where it writes single pictures.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ffmpeg").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def run(command: str, run: Path, output: Path, *arguments: object):
        from nerfstudio.scripts.render import entrypoint

        flags = [command, "--load-config", run / "config.yml", "--output-path", output, *arguments]
        return in_process(entrypoint, "ns-render", flags, monkeypatch, capfd)

    return run


def largest_part(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Specks may be beside it."""
    return max(mesh.split(only_watertight=False), key=lambda part: part.area)


def figures(run: Path) -> dict:
    return json.loads((run / "results" / "figures.json").read_text())["figures"]


@pytest.mark.slow
def test_a_scene_is_learnt_evaluated_resumed_and_rendered(bunny_scene, ns_train, ns_eval, ns_render, runs, tmp_path):
    finished = ns_train("--data", bunny_scene, "--max-num-iterations", 120, *RADIANCE)
    assert finished.status == 0, finished.errors
    assert "20 of 32 x 32 pixels" in finished.output and "Omega" in finished.output
    (run,) = runs()
    assert re.search(r"step 1 of 120  \d+ s left  loss \S+  PSNR \S+ dB  rate ", finished.output)
    assert finished.output.splitlines()[-3].startswith(f"  ns-viewer --load-config {run}/config.yml")
    # White alone has 12 dB.
    assert figures(run)["psnr"] > 19.0 and figures(run)["ssim"] > 0.6
    with Image.open(run / "results" / "comparison.png") as picture:
        assert min(picture.size) > 300
    results = ns_eval(run, "--render-output-path", tmp_path / "rendered")
    assert results["psnr"] == pytest.approx(figures(run)["psnr"], abs=1.5)
    assert len(list((tmp_path / "rendered").glob("*img*.png"))) == 3

    # On from where it stopped: one more step keeps what was learnt.
    again = ns_train(
        "--data", bunny_scene, "--max-num-iterations", 121, *RADIANCE, "--load-dir", run / "nerfstudio_models"
    )
    assert again.status == 0, again.errors
    assert figures(runs()[-1])["psnr"] == pytest.approx(figures(run)["psnr"], abs=0.2)
    other = ["--pipeline.model.field.omega-0", 20, "--load-dir", run / "nerfstudio_models"]
    refused = ns_train("--data", bunny_scene, "--max-num-iterations", 300, *RADIANCE, *other)
    assert refused.status == 1 and "the checkpoint's network" in refused.errors

    flags = ["--output-format", "images", "--interpolation-steps", 2, "--pose-source", "train"]
    flags += ["--rendered-output-names", "rgb", "depth", "--downscale-factor", 2]
    assert ns_render("interpolate", run, tmp_path / "frames", *flags).status == 0
    frames = sorted((tmp_path / "frames").glob("*"))
    assert len(frames) >= 19
    with Image.open(frames[0]) as frame:
        assert np.asarray(frame).std() > 10  # A bunny, not a blank.


@pytest.mark.slow
def test_paths_of_cameras_are_rendered(bunny_scene, ns_train, ns_render, runs, tmp_path):
    """Along a spiral, along a path as the viewer writes it, and as the test views were taken."""
    assert ns_train("--data", bunny_scene, "--max-num-iterations", 60, *RADIANCE).status == 0
    (run,) = runs()
    stations = [
        {"camera_to_world": [1, 0, 0, 0, 0, 0, -1, -3, 0, 1, 0, 0, 0, 0, 0, 1], "fov": 50, "aspect": 1.5},
        {"camera_to_world": [0, 0, 1, 3, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1], "fov": 50, "aspect": 1.5},
    ]
    path = {"camera_type": "perspective", "render_height": 40, "render_width": 60, "fps": 2, "seconds": 1}
    (tmp_path / "path.json").write_text(json.dumps({**path, "camera_path": stations}))
    images = ["--output-format", "images"]
    commands = {
        "spiral": [*images, "--seconds", 1, "--frame-rate", 3, "--radius", 0.5],
        "camera-path": [*images, "--camera-path-filename", tmp_path / "path.json"],
        "dataset": ["--split", "test", "--rendered-output-names", "rgb"],
    }
    counts = {}
    for command, flags in commands.items():
        output = tmp_path / command
        assert ns_render(command, run, output, *flags).status == 0
        frames = sorted(output.rglob("*.jpg"))
        counts[command] = len(frames)
        for frame in frames:
            with Image.open(frame) as picture:
                assert picture.size == ((60, 40) if command == "camera-path" else (32, 32))
                assert np.asarray(picture).std() > 10  # The bunny, from everywhere.
    assert counts == {"spiral": 3, "camera-path": 2, "dataset": 3}

    # Cut out of the white around it, as nerfstudio's exporters need it, too.
    flags = ["--split", "test", "--rendered-output-names", "rgba", "rgb", "--image-format", "png"]
    assert ns_render("dataset", run, tmp_path / "cut", *flags).status == 0
    for cut_out, on_white in zip(sorted(tmp_path.glob("cut/test/rgba/*")), sorted(tmp_path.glob("cut/test/rgb/*"))):
        with Image.open(cut_out) as image, Image.open(on_white) as whole:
            opacity = np.asarray(image)[..., 3]
            again = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            assert np.abs(np.asarray(again)[..., :3].astype(int) - np.asarray(whole)[..., :3]).mean() < 3
        assert opacity[:3].mean() < 40 and opacity.max() > 200
    assert len(list(tmp_path.glob("cut/test/rgba/*"))) == 3


def resized(scene: Path, size_of) -> Path:
    """Makes the scene's photographs, by their number, as large as is said; returns the scene."""
    transforms = json.loads((scene / "transforms.json").read_text())
    camera = {key: transforms.pop(key) for key in ("w", "h", "cx", "cy", "fl_x", "fl_y")}
    for index, frame in enumerate(transforms["frames"]):
        size = size_of(index)
        with Image.open(scene / frame["file_path"]) as image:
            image.resize((size, size), Image.Resampling.BOX).save(scene / frame["file_path"])
        frame.update({key: value * size / 32 for key, value in camera.items()})
    (scene / "transforms.json").write_text(json.dumps(transforms))
    return scene


@pytest.mark.slow
def test_an_interrupted_scene_resumes_to_the_same_result(bunny_scene, ns_train, runs):
    """Rays, samples and the grid of what is empty go on as if nothing had been."""
    common = ["--data", bunny_scene, "--max-num-iterations", 30, *RADIANCE, "--timestamp"]
    assert ns_train(*common, "whole").status == 0
    kept = ["--steps-per-save", 20, "--save-only-latest-checkpoint", False]
    assert ns_train(*common, "first", *kept, "--pipeline.write-results", False).status == 0
    whole, first = runs()
    (first / "nerfstudio_models" / "step-000000029.ckpt").unlink()
    # By the run's folder, in which there are other files, too.
    finished = ns_train(*common, "resumed", "--load-dir", first)
    assert finished.status == 0, finished.errors
    resumed = runs()[-1]
    states = [torch.load(run / "nerfstudio_models" / "step-000000029.ckpt") for run in (whole, resumed)]
    for name, value in states[0]["pipeline"].items():
        if torch.is_tensor(value) and value.is_floating_point():
            torch.testing.assert_close(value, states[1]["pipeline"][name], rtol=1e-3, atol=1e-5)
    assert figures(whole)["psnr"] == pytest.approx(figures(resumed)["psnr"], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("method, flags", [("winner-neus", SURFACE), ("winner-siren", RADIANCE)])
def test_results_of_a_scene_that_were_not_written_are_written_on_resuming(
    method, flags, bunny_scene, ns_method, runs, coarse_shapes
):
    common = ["--data", bunny_scene, "--max-num-iterations", 2, *flags]
    assert ns_method(method, *common, "--pipeline.write-results", "False").status == 0
    (run,) = runs()
    assert not (run / "results").exists()
    finished = ns_method(method, *common, "--load-dir", run / "nerfstudio_models")
    assert finished.status == 0, finished.errors
    assert runs() == [run] and np.isfinite(figures(run)["psnr"])
    table = json.loads((run / "results" / "figures.json").read_text())
    assert table["steps"] == 2 and {*table["files"], "figures.json"} == {
        path.relative_to(run / "results").as_posix() for path in (run / "results").rglob("*") if path.is_file()
    }
    again = ns_method(method, *common, "--load-dir", run / "nerfstudio_models")
    assert again.status == 1 and "larger --max-num-iterations" in again.errors


@pytest.mark.slow
def test_what_cannot_be_gone_on_from_is_said_before_anything_is_made(bunny_scene, ns_train, runs):
    common = ["--data", bunny_scene, *RADIANCE]
    assert ns_train(*common, "--max-num-iterations", 3).status == 0
    (run,) = runs()
    for flags, words in (
        (["--max-num-iterations", 9, "--load-dir", run, "--load-step", 7], "step-000000007.ckpt: no such checkpoint"),
        (["--max-num-iterations", 3, "--load-dir", run], "larger --max-num-iterations"),
        (["--max-num-iterations", 9, "--load-checkpoint", run / "results"], "is no run"),
    ):
        refused = ns_train(*common, *flags)
        assert refused.status == 1 and words in refused.errors and "Traceback" not in refused.errors
    assert runs() == [run]
    assert ns_train(*common, "--max-num-iterations", 5, "--load-dir", run, "--load-step", 2).status == 0


@pytest.mark.slow
def test_photographs_of_several_sizes_are_learnt(bunny_scene, ns_train, runs, tmp_path):
    scene = in_nerfstudios_format(bunny_scene, tmp_path / "mixed", opaque=False)
    resized(scene, lambda index: 24 if index % 3 == 0 else 32)
    finished = ns_train("--data", scene, "--max-num-iterations", 120, *RADIANCE)
    assert finished.status == 0, finished.errors
    assert figures(runs()[0])["psnr"] > 17.0
    for flag in ("batch-size", "eval-num-rays-per-batch"):
        refused = ns_train("--data", scene, *RADIANCE, f"--pipeline.datamanager.{flag}", 511)
        assert refused.status == 1 and f"{flag}: 511 is odd" in refused.errors and "Traceback" not in refused.errors


@pytest.mark.slow
def test_views_that_only_evaluation_sees_may_have_another_size(bunny_scene, ns_train, tmp_path):
    scene = in_nerfstudios_format(bunny_scene, tmp_path / "odd-one-out", opaque=False)
    resized(scene, lambda index: 24 if index == 19 else 32)
    finished = ns_train("--data", scene, "--max-num-iterations", 3, "--steps-per-eval-batch", 1, *RADIANCE)
    assert finished.status == 0, finished.errors


@pytest.mark.slow
@pytest.mark.parametrize(
    "views, sizes, hidden", [(12, [32], 0.2), (20, [24, 32], 0.2), (2, [32], 0.9)], ids=["one-eval", "sizes", "little"]
)
def test_masks_of_single_images(bunny_scene, ns_train, tmp_path, views, sizes, hidden):
    """A single view to evaluate with, views of several sizes, fewer pixels left than rays."""
    scene = in_nerfstudios_format(bunny_scene, tmp_path / "masked", opaque=True)
    resized(scene, lambda index: sizes[index % len(sizes)])
    for size in sizes:
        mask = np.zeros((size, size), np.uint8)
        above = round(hidden * size / 2)
        mask[above : size - above] = 255
        Image.fromarray(mask).save(scene / f"mask-{size}.png")
    transforms = json.loads((scene / "transforms.json").read_text())
    for index, frame in enumerate(transforms["frames"]):
        frame["mask_path"] = f"mask-{sizes[index % len(sizes)]}.png"
    (scene / "transforms.json").write_text(json.dumps({**transforms, "frames": transforms["frames"][:views]}))
    finished = ns_train("--data", scene, "--max-num-iterations", 3, "--steps-per-eval-batch", 1, *RADIANCE)
    assert finished.status == 0, finished.errors


@pytest.mark.slow
def test_what_a_mask_hides_is_not_learnt(bunny_scene, ns_train, runs, tmp_path):
    scene = in_nerfstudios_format(bunny_scene, tmp_path / "masked", opaque=True)
    transforms = json.loads((scene / "transforms.json").read_text())
    mask = np.full((32, 32), 255, np.uint8)
    mask[:6] = 0
    Image.fromarray(mask).save(scene / "mask.png")
    for frame in transforms["frames"]:
        with Image.open(scene / frame["file_path"]) as image:
            picture = np.array(image)
        picture[:6, :, :3] = 255, 0, 255  # As if something were in the way.
        Image.fromarray(picture).save(scene / frame["file_path"])
        frame["mask_path"] = "mask.png"
    (scene / "transforms.json").write_text(json.dumps(transforms))
    in_box = ["--pipeline.model.views.extent", "bounded", "--pipeline.model.views.background-color", "white"]
    green = {}
    for masked in (True, False):
        flags = [*RADIANCE, *in_box, "--pipeline.datamanager.pixel-sampler.ignore-mask", not masked]
        few = ["--max-num-iterations", 100, "--pipeline.write-results", False]
        finished = ns_train("--data", scene, *few, *flags)
        assert finished.status == 0, finished.errors
        from nerfstudio.utils.eval_utils import eval_setup

        _, pipeline, _, _ = eval_setup(runs()[-1] / "config.yml", test_mode="test")
        views = pipeline.datamanager.train_dataset.cameras
        seen = [pipeline.model.get_outputs_for_camera(views[index : index + 1])["rgb"] for index in (0, 5, 10)]
        green[masked] = float(torch.stack(seen)[:, :4, :, 1].mean())
    assert green[True] > 0.8 and green[False] < 0.4


@pytest.mark.slow
def test_fisheye_cameras_are_trained_with(bunny_scene, ns_train, runs, tmp_path):
    """Of so narrow a view that the pictures hardly differ."""
    scene = in_nerfstudios_format(bunny_scene, tmp_path / "fisheye", opaque=False, model="OPENCV_FISHEYE")
    finished = ns_train("--data", scene, "--max-num-iterations", 120, *RADIANCE)
    assert finished.status == 0, finished.errors
    assert figures(runs()[0])["psnr"] > 17.0


@pytest.mark.slow
def test_a_surface_comes_back_in_the_frame_of_its_files(bunny_scene, ns_method, runs, tmp_path, capfd, coarse_shapes):
    """nerfstudio's parser turns, shifts and scales the scene; before it learns, a surface is a sphere in the middle of
    what the silhouettes enclose."""
    far_scene = in_nerfstudios_format(bunny_scene, tmp_path / "far", opaque=False)
    flags = [*STILL, *SURFACE, "nerfstudio-data", "--orientation-method", "vertical"]
    finished = ns_method("winner-neus", "--data", far_scene, *flags)
    assert finished.status == 0, finished.errors
    (run,) = runs()
    truth = trimesh.load(bunny_scene / "mesh.ply", process=False)
    truth.vertices = truth.vertices * SCALE + SHIFT
    sphere = largest_part(trimesh.load(run / "results" / "far-fitted.ply", process=False))
    assert sphere.bounds.mean(axis=0) == pytest.approx(truth.bounds.mean(axis=0), abs=0.2 * truth.extents.max())

    # How the parser has moved the cameras, by where they all are.
    _, pipeline, _, _ = eval_setup(run / "config.yml", test_mode="test")
    moved, frames = (
        pipeline.datamanager.train_dataset,
        json.loads((far_scene / "transforms.json").read_text())["frames"],
    )
    poses = {Path(frame["file_path"]).name: np.array(frame["transform_matrix"]) for frame in frames}
    given = np.stack([poses[Path(name).name][:3, 3] for name in moved.image_filenames])
    to_world, again, _ = trimesh.registration.procrustes(
        moved.cameras.camera_to_worlds[:, :, 3].double().numpy(), given, reflection=False
    )
    np.testing.assert_allclose(again, given, atol=1e-4 * SCALE)
    signal = read_model(run)[0].signal
    (center,) = trimesh.transform_points([signal["focus"]], to_world)
    radius = 0.5 * np.ptp(signal["box"], axis=0).max() / 2 * np.cbrt(np.linalg.det(to_world[:3, :3]))
    assert np.linalg.norm(sphere.vertices - center, axis=1) == pytest.approx(radius, rel=0.1)

    shutil.rmtree(far_scene)  # The photographs are not needed for a mesh.
    meshes = {}
    for frame in ("world", "scene"):
        output = tmp_path / f"{frame}.glb"
        arguments = ["export", "mesh", str(run), "-o", str(output), "--resolution", "64", "--json"]
        capfd.readouterr()
        assert main([*arguments, "--components", "1", "--frame", frame]) == 0
        assert json.loads(capfd.readouterr().out)["watertight"] is True
        meshes[frame] = trimesh.load(output, force="mesh", process=False)
    assert np.abs(meshes["scene"].vertices).max() < 1.5
    placed = trimesh.transform_points(meshes["scene"].vertices, to_world)
    np.testing.assert_allclose(meshes["world"].vertices, placed, atol=1e-4 * SCALE)
    np.testing.assert_array_equal(meshes["world"].faces, meshes["scene"].faces)
    assert meshes["world"].bounds == pytest.approx(sphere.bounds, abs=1e-2 * SCALE)


def test_cameras_that_a_parser_turns_are_turned_back(bunny_scene, ns_method, runs, tmp_path):
    """sdfstudio's says how elsewhere than the others."""
    scene = tmp_path / "sdf"
    shutil.copytree(bunny_scene / "train", scene / "train")
    meta = json.loads((bunny_scene / "transforms_train.json").read_text())
    focal = 16 / np.tan(meta["camera_angle_x"] / 2)
    intrinsics = [[focal, 0, 16, 0], [0, focal, 16, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[0.8, -0.6], [0.6, 0.8]]
    poses = [tilt @ np.array(frame["transform_matrix"]) for frame in meta["frames"]]
    frames = [
        {
            "rgb_path": f"{frame['file_path']}.png",
            "intrinsics": intrinsics,
            "camtoworld": (pose @ np.diag([1, -1, -1, 1])).tolist(),  # OpenCV's axes.
        }
        for frame, pose in zip(meta["frames"], poses)
    ]
    box = {"aabb": [[-1.5] * 3, [1.5] * 3]}
    (scene / "meta_data.json").write_text(json.dumps({"frames": frames, "height": 32, "width": 32, "scene_box": box}))
    flags = ["--max-num-iterations", 1, "--pipeline.write-results", False, *SURFACE, "sdfstudio-data"]
    finished = ns_method("winner-neus", "--data", scene, *flags)
    assert finished.status == 0, finished.errors
    description, _ = read_model(runs()[0])
    found = np.array(description.signal["camera_to_world"])
    assert np.abs(found - poses[0][:3]).max() > 0.1
    np.testing.assert_allclose(
        (world_from_scene(description.signal) @ [*found, [0, 0, 0, 1]])[:3], poses[0][:3], atol=1e-5
    )


@pytest.mark.slow
def test_a_surface_learnt_from_silhouettes_is_the_bunny(bunny_scene, bunny_surface):
    assert figures(bunny_surface)["psnr"] > 17.0
    mesh = trimesh.load(bunny_surface / "results" / "bunny-fitted.ply", process=False)
    truth = trimesh.load(bunny_scene / "mesh.ply", process=False)
    largest = largest_part(mesh)
    assert largest.volume == pytest.approx(truth.volume, rel=0.25)
    assert largest.bounds == pytest.approx(truth.bounds, abs=0.3)
    # Colours of the glaze, not of the white around it.
    assert 60 < mesh.visual.vertex_colors[:, :3].mean() < 235 and mesh.visual.vertex_colors[:, :3].std() > 8


@pytest.mark.slow
@pytest.mark.parametrize("start", ["residual", "fitted"])
def test_a_surface_starts_as_a_sphere(bunny_scene, ns_method, runs, start, coarse_shapes):
    flags = [*STILL, *SURFACE, "--pipeline.model.sdf-field.start", start]
    finished = ns_method("winner-neus", "--data", bunny_scene, *flags)
    assert finished.status == 0, finished.errors
    description, _ = read_model(runs()[0])
    low, high = np.array(description.signal["box"])
    sphere = largest_part(trimesh.load(runs()[0] / "results" / "bunny-fitted.ply", process=False))
    radii = np.linalg.norm(sphere.vertices - (low + high) / 2, axis=1)
    assert radii == pytest.approx(0.5 * (high - low).max() / 2, rel=0.1)


@pytest.mark.slow
def test_depth_is_measured_along_the_ray(bunny_surface):
    """What a pixel's ray meets at its depth lies on the surface; as colours, normals are there for exporters."""
    _, pipeline, _, _ = eval_setup(bunny_surface / "config.yml", test_mode="test")
    camera = pipeline.datamanager.eval_dataset.cameras[0:1]
    view = pipeline.model.get_outputs_for_camera(camera)
    assert view["normals"].min() >= 0 and view["normals"].max() <= 1 and "normal_vis" not in view
    rays = camera.generate_rays(camera_indices=0, keep_shape=True)
    solid = view["accumulation"][..., 0] > 0.98
    met = (rays.origins + rays.directions * view["depth"])[solid]
    assert solid.sum() > 50 and pipeline.model.field.signed_distance(met).abs().median() < 0.05
    # `ns-render --render-nearest-camera` makes rays that lack the camera's part of the depth.
    bare = RayBundle(*(getattr(rays, name)[16] for name in ("origins", "directions", "pixel_area", "camera_indices")))
    outputs = pipeline.model(bare)
    torch.testing.assert_close(outputs["rgb"], view["rgb"][16], atol=1e-4, rtol=0)
    torch.testing.assert_close(outputs["depth"], view["depth"][16], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_opaque_photographs_are_of_unbounded_scenes(bunny_scene, ns_method, runs, tmp_path, coarse_shapes):
    opaque = in_nerfstudios_format(bunny_scene, tmp_path / "opaque", opaque=True)
    few = ["--data", opaque, "--max-num-iterations", 2, "--pipeline.write-results", False]
    finished = ns_method("winner-siren", *few, *RADIANCE)
    assert finished.status == 0, finished.errors
    assert "unbounded" in finished.output
    in_box = ["--pipeline.model.views.extent", "bounded", "--pipeline.model.views.background-color", "white"]
    assert ns_method("winner-siren", "--data", opaque, "--max-num-iterations", 100, *RADIANCE, *in_box).status == 0
    assert figures(runs()[-1])["psnr"] > 16.0
    finished = ns_method("winner-neus", *few, *SURFACE)
    assert finished.status == 0, finished.errors
    description, _ = read_model(runs()[-1])
    assert description.signal["background_model"] == "mlp"


@pytest.mark.slow
def test_a_scene_is_inspected_as_training_would_say(bunny_scene, ns_train, capfd):
    assert main(["inspect", str(bunny_scene), "--width", "64", "--depth", "3"]) == 0
    lines = capfd.readouterr().out.splitlines()
    finished = ns_train("--data", bunny_scene, "--max-num-iterations", 1, *RADIANCE)
    assert len(lines) >= 5 and all(line in finished.output for line in lines)
    assert main(["inspect", str(bunny_scene), "--json", "--purpose", "1"]) == 0
    facts = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert facts["kappa"] == 1.0 and facts["band"] == pytest.approx(facts["omega"])


@pytest.mark.slow
def test_a_run_whose_photographs_are_gone_says_so_in_one_line(
    bunny_scene, ns_train, ns_render, runs, tmp_path, monkeypatch, capfd
):
    from nerfstudio.scripts.eval import entrypoint as evaluate

    folder = tmp_path / "bunny"
    shutil.copytree(bunny_scene, folder)
    assert ns_train("--data", folder, "--max-num-iterations", 3, *RADIANCE).status == 0
    (run,) = runs()
    shutil.rmtree(folder)
    flags = ["--load-config", run / "config.yml", "--output-path", tmp_path / "eval.json"]
    finished = in_process(evaluate, "ns-eval", flags, monkeypatch, capfd)
    assert finished.status == 1 and "Traceback" not in finished.errors
    assert str(folder) in finished.errors and "put back" in finished.errors
    renderings = [ns_render("spiral", run, tmp_path / "renders", "--output-format", "images")]
    renderings += [ns_render("dataset", run, tmp_path / "renders", "--split", split) for split in ("train", "val")]
    # And in a process of its own, exactly as a user types it.
    flags = ["--load-config", run / "config.yml", "--output-path", tmp_path / "renders", "--split", "test"]
    renderings.append(run_program("ns-render", "dataset", *flags))
    for finished in renderings:
        assert finished.status == 1 and "Traceback" not in finished.errors and "put back" in finished.errors
    # It still opens for looking at.
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, _ = eval_setup(run / "config.yml", test_mode="inference")
    view = pipeline.model.get_outputs_for_camera(pipeline.datamanager.train_dataset.cameras[0:1])
    assert view["rgb"].shape == (32, 32, 3)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_the_same_road(bunny_scene, ns_train, runs, family):
    few = ["--max-num-iterations", 3, *RADIANCE, "--pipeline.write-results", False]
    finished = ns_train("--data", bunny_scene, *few, "--pipeline.model.field.family", family)
    assert finished.status == 0, finished.errors
    description, _ = read_model(runs()[-1])
    assert description.network.family == family
    assert family == "winner" or description.spectrum is None or description.spectrum.s0 == 0


@pytest.mark.slow
@pytest.mark.parametrize("method, flags", [("winner-neus", SURFACE), ("winner-siren", RADIANCE)])
def test_a_picture_that_the_viewer_draws_when_training_ends_costs_nothing(
    bunny_scene, ns_method, runs, tmp_path, monkeypatch, method, flags, coarse_shapes
):
    """Of opaque photographs, whose models draw other pictures in training than in evaluation."""
    scene = in_nerfstudios_format(bunny_scene, tmp_path / "opaque", opaque=True)
    drawn = []

    def draw(trainer, started):
        """As nerfstudio's viewer does it, in a thread of its own."""
        model = trainer.pipeline.model
        with trainer.train_lock:
            was_training = model.training
            model.eval()
            started.set()
            camera = trainer.pipeline.datamanager.eval_dataset.cameras[:1]
            camera.rescale_output_resolution(2)
            with torch.no_grad():
                drawn.append(model.get_outputs_for_camera(camera)["rgb"])
            if was_training:
                model.train()

    def with_a_viewer(trainer):
        started = threading.Event()
        viewer = threading.Thread(target=draw, args=(trainer, started))
        viewer.start()
        started.wait()
        after_train(trainer)
        viewer.join()

    after_train = SignalTrainer._after_train
    monkeypatch.setattr(SignalTrainer, "_after_train", with_a_viewer)
    finished = ns_method(method, "--data", scene, "--max-num-iterations", 5, *flags)
    assert finished.status == 0, finished.errors
    assert figures(runs()[0])["psnr"] > 0.0
    assert drawn[0].shape == (64, 64, 3)


@pytest.mark.slow
def test_what_is_cropped_stands_before_the_crops_colour(bunny_scene, ns_method, runs, tmp_path):
    scene = in_nerfstudios_format(bunny_scene, tmp_path / "opaque", opaque=True)
    red = torch.tensor([1.0, 0.0, 0.0])
    for method, flags in (("winner-neus", SURFACE), ("winner-siren", RADIANCE)):
        where = ["--max-num-iterations", 5, "--pipeline.write-results", False]
        assert ns_method(method, "--data", scene, *where, *flags).status == 0
        _, pipeline, _, _ = eval_setup(runs()[-1] / "config.yml", test_mode="test")
        camera = pipeline.datamanager.eval_dataset.cameras[:1]
        crop = OrientedBox.from_params((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1e-3, 1e-3, 1e-3))
        with background_color_override_context(red), torch.no_grad():
            outputs = pipeline.model.get_outputs_for_camera(camera, obb_box=crop)
        assert all(bool(torch.isfinite(values).all()) for values in outputs.values())
        assert float((outputs["rgb"] - red).abs().amax(dim=-1).median()) < 1e-3


@pytest.mark.slow
def test_rays_are_counted_by_either_flag(bunny_scene, ns_train):
    few = ["--data", bunny_scene, "--max-num-iterations", 1]
    assert "1 steps of 300 rays" in ns_train(*few, "--pipeline.datamanager.train-num-rays-per-batch", 300).output
    none = ns_train(*few, "--pipeline.datamanager.batch-size", 0)
    assert none.status == 1 and "--pipeline.datamanager.batch-size" in none.errors


@pytest.mark.slow
def test_lpips_is_among_the_figures_where_its_weights_are(
    bunny_scene, ns_method, runs, tmp_path, monkeypatch, coarse_shapes
):
    """With weights made up, as the real ones are not on every machine."""
    from torchvision.models import alexnet

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / "torch" / "hub" / "checkpoints" / LPIPS_WEIGHTS)
    for method, flag in (("winner-siren", "--pipeline.model.views.lpips"), ("winner-neus", "--pipeline.model.lpips")):
        flags = RADIANCE if method == "winner-siren" else SURFACE
        finished = ns_method(method, "--data", bunny_scene, "--max-num-iterations", 1, *flags, flag, True)
        assert finished.status == 0, finished.errors
        assert figures(runs()[-1])["lpips"] > 0


@pytest.mark.slow
def test_a_surface_is_not_gone_on_with_as_another(bunny_scene, ns_method, runs):
    flags = ["--data", bunny_scene, *SURFACE, "--pipeline.write-results", False]
    assert ns_method("winner-neus", *flags, "--max-num-iterations", 2).status == 0
    again = [*flags, "--max-num-iterations", 3, "--load-dir", runs()[0] / "nerfstudio_models"]
    refused = ns_method("winner-neus", *again, "--pipeline.model.sdf-field.start", "fitted")
    assert refused.status == 1 and "surface" in refused.errors
    assert ns_method("winner-neus", *again).status == 0


@pytest.mark.slow
def test_a_data_parser_by_name_says_what_it_lacks(bunny_scene, ns_method, tmp_path):
    few = in_nerfstudios_format(bunny_scene, tmp_path / "few", opaque=False)
    transforms = json.loads((few / "transforms.json").read_text())
    (few / "transforms.json").write_text(json.dumps({**transforms, "frames": transforms["frames"][:5]}))
    by_name = ["--data", few, "--max-num-iterations", 1, *SURFACE, "nerfstudio-data"]
    refused = ns_method("winner-neus", *by_name)
    assert refused.status == 1 and "withhold some" in refused.errors and "Traceback" not in refused.errors
    assert ns_method("winner-neus", *by_name, "--train-split-fraction", 0.7).status == 0
    (few / "transforms.json").write_text(json.dumps({**transforms, "fl_x": None}))
    broken = ns_method("winner-neus", *by_name)
    assert broken.status == 1 and str(few) in broken.errors and "Traceback" not in broken.errors


def test_the_folder_may_be_given_to_the_data_parser(bunny_scene, ns_method, runs):
    finished = ns_method("winner-siren", "--max-num-iterations", 1, *RADIANCE, "scene-data", "--data", bunny_scene)
    assert finished.status == 0, finished.errors
    assert "20 of 32 x 32 pixels" in finished.output


def test_blender_scenes_keep_their_alpha_by_name_too(bunny_scene, ns_method):
    told = ns_method("winner-siren", "--data", bunny_scene, "--max-num-iterations", 1, *RADIANCE, "blender-data")
    assert told.status == 0 and "in a box, background white" in told.output


def test_flags_that_contradict_or_would_be_ignored_are_refused(bunny_scene, ns_train):
    few = ["--data", bunny_scene, "--max-num-iterations", 1]
    for flags, words in (
        (["--pipeline.datamanager.batch-size", 64, "--pipeline.datamanager.train-num-rays-per-batch", 128], "128"),
        (["--pipeline.datamanager.read.start", 2.0], "for sounds"),
        (["--pipeline.datamanager.shape-samples", 5000], "for shapes"),
        (["--machine.num-devices", 2**10], "--machine.num-devices"),
        (["--pipeline.model.views.num-samples", 0], "--pipeline.model.views.num-samples"),
        (["--pipeline.model.views.grid-resolution", -1], "--pipeline.model.views.grid-resolution"),
    ):
        refused = ns_train(*few, *flags)
        assert refused.status == 1 and words in refused.errors and "Traceback" not in refused.errors


@pytest.mark.slow
def test_cameras_are_corrected_where_that_is_asked_for(bunny_scene, ns_train, runs):
    finished = ns_train(
        "--data", bunny_scene, "--max-num-iterations", 4, *RADIANCE, "--pipeline.model.camera-optimizer.mode", "SO3xR3"
    )
    assert finished.status == 0, finished.errors
    checkpoint = next((runs()[0] / "nerfstudio_models").glob("*.ckpt"))
    state = torch.load(checkpoint, weights_only=True)["pipeline"]
    assert state["_model.camera_optimizer.pose_adjustment"].abs().max() > 0
    without = ["--max-num-iterations", 6, *RADIANCE, "--load-dir", checkpoint.parent]
    refused = ns_train("--data", bunny_scene, *without)
    assert refused.status == 1 and "camera_optimizer" in refused.errors and "Traceback" not in refused.errors


@pytest.mark.slow
@pytest.mark.parametrize("background", ["black", "random"])
def test_backgrounds_are_what_transparent_pixels_lie_on(bunny_scene, ns_train, runs, background):
    finished = ns_train(
        "--data", bunny_scene, "--max-num-iterations", 80, *RADIANCE,
        "--pipeline.model.views.background-color", background,
    )  # fmt: skip
    assert finished.status == 0, finished.errors
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, _, _ = eval_setup(runs()[0] / "config.yml", test_mode="test")
    _, batch = next(iter(pipeline.datamanager.fixed_indices_eval_dataloader))
    view = pipeline.model.get_outputs_for_camera(pipeline.datamanager.eval_dataset.cameras[0:1])
    outside = batch["image"][..., 3] == 0
    assert view["rgb"][outside].mean() < 0.15 and view["accumulation"][outside].mean() < 0.15
    assert view["accumulation"][batch["image"][..., 3] == 1].mean() > 0.6


@pytest.mark.parametrize(
    "method, spoil, words",
    [
        ("winner-siren", lambda folder: shutil.rmtree(folder / "train"), "transforms_train.json"),
        ("winner-neus", lambda folder: (folder / "transforms_train.json").write_text("{"), "transforms_train.json"),
    ],
)
def test_bad_scenes_end_in_one_line_and_leave_nothing(bunny_scene, tmp_path, ns_method, method, spoil, words):
    folder = tmp_path / "scene"
    shutil.copytree(bunny_scene, folder)
    spoil(folder)
    finished = ns_method(method, "--data", folder)
    assert finished.status == 1 and words in finished.errors and "Traceback" not in finished.errors
    assert not (tmp_path / "outputs").exists()


def test_each_method_says_what_it_is_for(photo, bunny_scene, ns_method):
    finished = ns_method("winner-neus", "--data", photo)
    assert finished.status == 1 and "winner-siren" in finished.errors
    finished = ns_method("winner-compare", "--data", bunny_scene)
    assert finished.status == 1 and "side by side" in finished.errors

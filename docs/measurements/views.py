"""Radiance fields of posed photographs by several methods, at equal time and at equal steps.

    python -m docs.measurements.views SCENE [--seconds 600] [--steps 500] [--rays 512] [--output bench-views]

The methods: ours, a plain SIREN in its place, nerfstudio's vanilla-nerf (ReLU with positional encoding) and its
nerfacto with hash grids in torch. All draw the same number of rays a step and take 96 samples a ray: vanilla-nerf 32
coarse ones and then 64, finer ones among them, nerfacto 48 and 24 for its proposals and 24. All are trained by one
thread each, two methods at a time, on white; nerfstudio's methods with their own optimisers and schedules, ours with a
cosine over the budget. PSNR is that of five of the scene's test views. Results are appended to a JSON-lines file; what
it holds is not run again.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Dict, List, Tuple

TEST_VIEWS = 5
"""Evenly chosen: vanilla-nerf takes half a minute for each."""
METHODS = ("winner", "siren", "vanilla-nerf", "nerfacto")
PARTS = 10**6
"""Of a budget, that the cosine goes by."""


def run_cell(scene: Path, method: str, budget: Tuple[str, float], rays: int, seed: int, output: Path) -> Dict[str, Any]:
    """Trains one method for so many seconds or steps; returns its figures, and writes its pictures of four views."""
    import numpy as np
    import torch
    from nerfstudio.utils.rich_utils import CONSOLE
    from PIL import Image

    from winner_ns.fitting.training import rate_factor

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(seed)
    np.random.seed(seed)
    CONSOLE.quiet = True
    unit, amount = budget
    trainer = _trainer(scene, method, rays, output)
    groups = [group for each in trainer.optimizers.optimizers.values() for group in each.param_groups]
    rates = [group["lr"] for group in groups]
    started, step = time.monotonic(), 0
    while True:
        seconds = time.monotonic() - started
        done = step / amount if unit == "steps" else seconds / amount
        if done >= 1.0:
            break
        if method in ("winner", "siren"):
            for group, rate in zip(groups, rates):
                group["lr"] = rate * rate_factor("cosine", int(PARTS * done), PARTS)
        trainer.pipeline.train()
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, location=_location("BEFORE"))
        trainer.train_iteration(step)
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, location=_location("AFTER"))
        step += 1
    psnr, pictures = _test_psnr(trainer.pipeline)
    sheet = np.concatenate(
        [np.concatenate(pair, axis=0) for pair in pictures[:: max(1, len(pictures) // 4)][:4]], axis=1
    )
    output.mkdir(parents=True, exist_ok=True)
    cell = {
        "scene": scene.resolve().name,
        "method": method,
        "budget": [unit, amount],
        "seed": seed,
        "rays": rays,
        "steps": step,
        "seconds": round(seconds, 1),
        "psnr": round(psnr, 3),
        "parameters": sum(p.numel() for p in trainer.pipeline.model.parameters() if p.requires_grad),
    }
    Image.fromarray((sheet * 255).round().astype(np.uint8)).save(output / f"{_name(cell)}.png")
    return cell


def _name(cell: Dict[str, Any]) -> str:
    unit, amount = cell["budget"]
    return f"{cell['scene']}-{cell['method']}-{amount:g}-{unit}-{cell['rays']}-{cell['seed']}"


def _location(when: str) -> Any:
    from nerfstudio.engine.callbacks import TrainingCallbackLocation

    return TrainingCallbackLocation[f"{when}_TRAIN_ITERATION"]


def _trainer(scene: Path, method: str, rays: int, output: Path) -> Any:
    from nerfstudio.configs.method_configs import all_methods

    from winner_ns.glue.nerfstudio_defects import lpips_left_out
    from winner_ns.rays.scene_dataparser import scene_dataparser

    ours = method in ("winner", "siren")
    config = copy.deepcopy(all_methods["winner-siren" if ours else method])  # Of the next cell as well.
    config.data = scene
    config.vis = "tensorboard"
    config.machine.device_type = "cpu"
    config.output_dir = output / "runs"
    if ours:
        config.pipeline.datamanager.batch_size = rays
        config.pipeline.model.field.family = method
        config.max_num_iterations = 10**6  # The schedule is the bench's.
        config.pipeline.write_results = False
    else:
        config.pipeline.datamanager = _vanilla_datamanager(scene_dataparser(scene), rays)
        config.mixed_precision = False
        model = config.pipeline.model
        model.background_color = "white"
        if method == "vanilla-nerf":
            model.num_coarse_samples, model.num_importance_samples = 32, 31  # It takes the coarse ones again.
        else:
            model.implementation = "torch"
            model.num_proposal_samples_per_ray, model.num_nerf_samples_per_ray = (48, 24), 24
            # Of one object in a box, as nerfacto is set for such scenes.
            model.disable_scene_contraction = True
            model.near_plane, model.far_plane = 2.0, 6.0
            model.camera_optimizer.mode = "off"
    config.set_timestamp()
    trainer = config.setup(local_rank=0, world_size=1)
    with lpips_left_out():
        trainer.setup(test_mode="test")
    return trainer


def _vanilla_datamanager(dataparser: Any, rays: int) -> Any:
    from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig

    return VanillaDataManagerConfig(
        data=dataparser.data, dataparser=dataparser, train_num_rays_per_batch=rays, eval_num_rays_per_batch=rays
    )


def _test_psnr(pipeline: Any) -> Tuple[float, List[Tuple[Any, Any]]]:
    """Mean PSNR of TEST_VIEWS test views on white, and each view with its rendering."""
    import torch

    from winner_ns.rays.view_figures import view_metrics

    pipeline.eval()
    figures, pictures = [], []
    step = max(1, len(pipeline.datamanager.eval_dataset) // TEST_VIEWS)
    with torch.no_grad():
        for index, (camera, batch) in enumerate(pipeline.datamanager.fixed_indices_eval_dataloader):
            if index % step:
                continue
            outputs = pipeline.model.get_outputs_for_camera(camera)
            rendered = outputs["rgb_fine" if "rgb_fine" in outputs else "rgb"].clamp(0.0, 1.0)
            image = batch["image"]
            truth = image[..., :3] * image[..., 3:] + 1.0 - image[..., 3:]
            figures.append(view_metrics(rendered, truth)["psnr"])
            pictures.append((truth.numpy(), rendered.numpy()))
    return sum(figures) / len(figures), pictures


def write_picture(cells: List[Dict[str, Any]], output: Path) -> Path:
    """One PNG: a row of views, and below it a row for each cell, the best first."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    shown = sorted(cells, key=lambda cell: -cell["psnr"])
    sheets = [np.asarray(Image.open(output / f"{_name(cell)}.png")) for cell in shown]
    half = len(sheets[0]) // 2
    rows = [("view", sheets[0][:half])]
    rows += [(f"{cell['method']}\n{cell['psnr']:.2f} dB", sheet[half:]) for cell, sheet in zip(shown, sheets)]
    wide = 9.0
    figure = Figure(figsize=(wide + 1.2, len(rows) * wide * half / sheets[0].shape[1] + 0.2))
    FigureCanvasAgg(figure)
    for axis, (name, picture) in zip(figure.subplots(len(rows), 1), rows):
        axis.imshow(picture)
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        for spine in axis.spines.values():
            spine.set_visible(False)
    figure.subplots_adjust(hspace=0.02)
    path = output / "methods.png"
    figure.savefig(path, dpi=100, facecolor="white", bbox_inches="tight", pad_inches=0.05)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rays", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--output", type=Path, default=Path("bench-views"))
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    arguments.output.mkdir(parents=True, exist_ok=True)
    results = arguments.output / "results.jsonl"
    known = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    if arguments.seconds <= 0 and arguments.steps <= 0:
        parser.error("give --seconds or --steps above 0")
    scene = arguments.scene.resolve().name
    known = [cell for cell in known if cell["scene"] == scene]
    had = {(cell["method"], tuple(cell["budget"]), cell["rays"], cell["seed"]) for cell in known}
    budgets = [("seconds", arguments.seconds)] * (arguments.seconds > 0)
    budgets += [("steps", float(arguments.steps))] * (arguments.steps > 0)
    cells = [(method, budget) for budget in budgets for method in arguments.methods]
    cells = [cell for cell in cells if (*cell, arguments.rays, arguments.seed) not in had]
    with ProcessPoolExecutor(2) as pool, open(results, "a") as file:
        tasks = [
            pool.submit(run_cell, arguments.scene, *cell, arguments.rays, arguments.seed, arguments.output)
            for cell in cells
        ]
        for task in as_completed(tasks):
            known.append(task.result())
            file.write(json.dumps(known[-1]) + "\n")
            file.flush()
    asked = [list(budgets[0]), arguments.rays, arguments.seed]
    shown = [cell for cell in known if [cell["budget"], cell["rays"], cell["seed"]] == asked]
    print(write_picture(shown, arguments.output), "\n")
    print("| method | budget | seed | steps | seconds | parameters | test PSNR, dB |\n|---|---|---|---|---|---|---|")
    for cell in sorted(known, key=lambda cell: (cell["budget"][0], -cell["psnr"])):
        unit, amount = cell["budget"]
        print(
            f"| {cell['method']} | {amount:g} {unit} | {cell['seed']} | {cell['steps']} | {cell['seconds']:.0f} "
            f"| {cell['parameters']} | {cell['psnr']:.2f} |"
        )


if __name__ == "__main__":
    main()

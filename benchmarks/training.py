"""How fast a network is trained: crops a second, and photos a second through whole steps.

    python benchmarks/training.py --photos photos/train --styles styles --vgg vgg19.safetensors

On the fastest device that is there, in the precision that training would choose; medians over
steps. The losses, sizes and batches are the recipe's unless options say otherwise.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from timing import machine

from model.inference.device import choose_device, choose_training_precision
from model.training.crops import PhotoCrops, find_photos, load_style_pictures
from model.training.loop import Loop, LoopConfig
from model.training.many_styles import StyleTask
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import load_vgg19


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--vgg", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--photo-size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crops", type=int, default=200, help="crops to cut")
    parser.add_argument("--steps", type=int, default=10, help="steps to time, after two others")
    parser.add_argument("--no-compile", action="store_true")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    print(machine(device))

    recipe = StyleRecipe(photo_size=arguments.photo_size, batch_size=arguments.batch_size)
    photos = find_photos(arguments.photos)
    crops_per_s = time_crops(photos, recipe, device, arguments.crops)
    print(f"{crops_per_s:.0f} crops of {recipe.photo_size} px a second, cut on {device}")

    entries = load_style_pictures(arguments.styles)
    task = StyleTask(
        recipe,
        {entry["id"]: entry["path"] for entry in entries},
        photos,
        [],
        load_vgg19(arguments.vgg, recipe.objective.layers),
        str(device),
    )
    config = LoopConfig(
        steps=arguments.steps + 2,
        precision=choose_training_precision(device),
        compile=not arguments.no_compile,
        device=str(device),
    )
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(task, config, Path(folder), recipe.to_dict())
        seconds = [time_step(loop, step) for step in range(config.steps)][2:]
    middle = statistics.median(seconds)
    print(
        f"{middle:.3f} s a step of {recipe.batch_size} photos ({min(seconds):.3f} to "
        f"{max(seconds):.3f}), {recipe.batch_size / middle:.1f} photos a second, "
        f"{config.precision}, {'compiled' if config.compile else 'not compiled'}"
    )


def time_crops(photos: list[Path], recipe: StyleRecipe, device: torch.device, count: int) -> float:
    """Crops a second, photos decoded before."""
    crops = PhotoCrops(
        photos[:100],
        recipe.photo_size,
        recipe.min_share,
        recipe.smooth_share,
        recipe.faint_share,
        recipe.seed_share,
        recipe.wall_share,
        device=device,
    )
    crops.batch(0, min(count, 100))
    synchronize(device)
    started = time.perf_counter()
    for position in range(count):
        crops.crop(position)
    synchronize(device)
    return count / (time.perf_counter() - started)


def time_step(loop: Loop, step: int) -> float:
    """Seconds of one step, its batch prepared before."""
    batch = loop.task.batch(step)
    synchronize(torch.device(loop.config.device))
    started = time.perf_counter()
    loop.advance(batch)
    synchronize(torch.device(loop.config.device))
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Wait for what is under way."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()

"""What a new style is worth, how fast it comes, and how it depends on what it is learned with.

    python benchmarks/finetuning.py works ...   # new works, encoder or VGG-19
    python benchmarks/finetuning.py curve ...   # style loss over photos seen, from three starts

Both judge by VGG-19 on held-out photos, write JSON and a picture into ``--output``, and print a
table. ``curve`` needs matplotlib (the extra ``study``).
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from timing import processor
from torch import Tensor

from model.inference.device import autocast, choose_training_precision
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.network.code import default_codes
from model.network.weights import NETWORK_FILE, Weights, load_weights
from model.perception.encoder import ENCODER_FILE, ENCODER_LAYERS, load_encoder
from model.perception.loss_network import LossNetwork
from model.pictures.levels import to_tensor
from model.pictures.picture import encode_picture, load_picture
from model.pictures.style_picture import prepare_picture, resize_short_side
from model.styles.library import StyleLibrary
from model.training.crops import find_photos, load_style_pictures, load_validation_batch
from model.training.evaluation import Judge
from model.training.finetune_recipe import FinetuneRecipe
from model.training.loop import Loop, LoopConfig
from model.training.many_styles import StyleTask
from model.training.objective import Objective
from model.training.one_style import FinetuneTask, Finetuning
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import load_vgg19

ROOT = Path(__file__).resolve().parent.parent
CURVE_STEPS = 1000  # from the nearest blend
OTHER_STEPS = 300  # from ones and zeros, and of a whole network
CURVE_AT = (0, 10, 25, 50, 100, 150, 200, 300, 400, 500, 750, 1000)
CURVE_CROP = 128  # px: three runs in a quarter of an hour
PHOTO_WORKS = 2  # are learned on the training photos too
CELL = 160  # px of a cell of the contact sheet


class Bench:
    """What both parts need: the network, its rows, both loss networks, a judge."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.weights_path = arguments.weights / NETWORK_FILE
        self.rows = torch.stack(
            [s.code for s in StyleLibrary(arguments.weights / "styles", self.fresh().fingerprint)]
        )
        self.encoder = load_encoder(arguments.weights / ENCODER_FILE)
        self.vgg = load_vgg19(arguments.vgg, ENCODER_LAYERS)
        self.photos = find_photos(arguments.photos)
        self.works = {e["id"]: e for e in load_style_pictures(arguments.works)}
        held_out = find_photos(arguments.validation)
        every = max(1, len(held_out) // arguments.judged)
        self.judge = Judge(
            load_validation_batch(held_out[::every][: arguments.judged], 192),
            {id_: entry["path"] for id_, entry in self.works.items()},
            self.vgg,
            Objective(),  # whatever rows were trained under
            FinetuneRecipe.stroke_size,
        )
        self.stylizer = Stylizer(self.fresh())

    def fresh(self) -> Weights:
        """The network anew, so that no run can leave anything behind for the next."""
        return load_weights(self.weights_path)

    def losses(self, stylizer: Stylizer, row: Tensor, work: str) -> dict[str, float]:
        """Content and style loss under VGG-19."""
        figures = self.judge.figures(stylizer, row, work)
        return {"content": figures.content, "style": figures.style, "gram": figures.gram}


def describe_machine() -> dict[str, str]:
    """Processor, cores, versions, date."""
    return {
        "machine": f"{os.cpu_count()} cores of {processor()}",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def run_works(bench: Bench) -> None:
    """Learn every work in three ways and compare."""
    arguments = bench.arguments
    recipe = FinetuneRecipe(steps=arguments.steps)
    ways: dict[str, tuple[LossNetwork, Sequence[Path]]] = {
        "encoder": (bench.encoder, ()),
        "encoder, photos": (bench.encoder, bench.photos),
        "vgg": (bench.vgg, ()),
    }
    results: dict[str, Any] = {}
    rows: dict[tuple[str, str], Tensor] = {}
    for work in bench.works:
        picture = load_picture(bench.works[work]["path"]).rgb
        results[work] = {}
        for way, (loss_network, photos) in ways.items():
            if photos and len(results) > PHOTO_WORKS:
                continue
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                run = Finetuning(
                    picture, bench.fresh(), bench.rows, loss_network, recipe, Path(folder), photos
                )
                prepared = time.perf_counter() - began
                start = run.row
                run.advance()
                seconds = time.perf_counter() - began
            rows[work, way] = run.row
            found = bench.losses(bench.stylizer, run.row, work)
            found |= {"steps": run.step, "seconds": seconds, "start_seconds": prepared}
            found["start_style"] = bench.losses(bench.stylizer, start, work)["style"]
            results[work][way] = found
            print(work, way, {k: round(v, 3) for k, v in found.items()}, flush=True)
    report = describe_machine() | {"recipe": recipe.to_dict(), "works": results}
    (arguments.output / "finetuning.json").write_text(json.dumps(report, indent=1) + "\n")
    sheet = render_works(bench, rows, list(ways))
    (arguments.output / "finetuning.webp").write_bytes(encode_picture(sheet, "webp", 70))


def render_works(bench: Bench, rows: dict[tuple[str, str], Tensor], ways: list[str]) -> Image.Image:
    """Per work: each way's row on two sample photos. The works themselves are not shown."""
    samples = [
        load_picture(ROOT / "static" / "samples" / name).rgb
        for name in ("astronaut.jpg", "coffee.jpg")
    ]
    sheet = Image.new("RGB", (CELL * len(bench.works), CELL * len(samples) * len(ways)), "white")
    for column, work in enumerate(bench.works):
        for line, (way, sample) in enumerate((w, s) for w in ways for s in samples):
            if (work, way) not in rows:
                continue
            photo = resize_short_side(sample, 384)
            pastiche = bench.stylizer.stylize_image(photo, Look(rows[work, way]))
            side = min(pastiche.size)
            left, top = (pastiche.width - side) // 2, (pastiche.height - side) // 2
            cell = pastiche.resize(
                (CELL, CELL), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side)
            )
            sheet.paste(cell, (column * CELL, line * CELL))
    return sheet


def run_curve(bench: Bench) -> None:
    """Style loss over photos seen: from the nearest blend, from ones and zeros, from scratch."""
    arguments = bench.arguments
    work = arguments.work or next(iter(bench.works))
    recipe = FinetuneRecipe(steps=CURVE_STEPS, batch_size=4, crop_size=CURVE_CROP, context=0)
    painting = load_picture(bench.works[work]["path"]).rgb
    prepared = to_tensor(prepare_picture(painting, recipe.stroke_size))
    curves: dict[str, dict[int, dict[str, float]]] = {}

    def follow(name: str, loop: Loop, judge: Callable[[], dict[str, float]]) -> None:
        curves[name] = {}

        def note() -> None:
            if loop.step in CURVE_AT:
                with loop.average.in_place_of(loop.task.module):
                    curves[name][loop.step * recipe.batch_size] = judge()
                print(name, loop.step, curves[name][loop.step * recipe.batch_size], flush=True)

        note()
        loop.run(on_progress=lambda _: note())
        report = describe_machine() | {"work": work, "at_150_steps": final, "curves": curves}
        (arguments.output / "curve.json").write_text(json.dumps(report, indent=1) + "\n")
        draw_curve(report, arguments.output / "curve.webp")

    config = LoopConfig(
        steps=CURVE_STEPS,
        learning_rate=recipe.learning_rate,
        warmup_steps=10,
        ema_decay=0.9,
        precision=choose_training_precision(torch.device("cpu")),
        compile=False,
        log_every=5,
        validate_every=0,
    )
    with autocast("cpu", choose_training_precision(torch.device("cpu"))):
        target = recipe.objective.style_target(prepared, bench.encoder)
    with tempfile.TemporaryDirectory() as folder:
        short = Finetuning(
            load_picture(bench.works[work]["path"]).rgb,
            bench.fresh(),
            bench.rows,
            bench.encoder,
            replace(recipe, steps=150),
            Path(folder) / "short",
            bench.photos,
        )
        nearest = short.row
        short.advance()
        final = bench.losses(bench.stylizer, short.row, work)
        ones = default_codes(bench.stylizer.config, 1)[0]
        for name, start in (("nearest blend", nearest), ("ones and zeros", ones)):
            weights = bench.fresh()
            network = weights.network.to(memory_format=torch.channels_last)
            task = FinetuneTask(recipe, target, network, start, bench.encoder, bench.photos)
            steps = CURVE_STEPS if name == "nearest blend" else OTHER_STEPS
            loop = Loop(task, replace(config, steps=steps), Path(folder) / name, {})
            module = task.module
            follow(
                name,
                loop,
                lambda module=module: bench.losses(bench.stylizer, module.row.detach(), work),
            )
        whole = StyleTask(
            replace(
                StyleRecipe(),
                original_batch=0,
                context=recipe.context,
                batch_size=recipe.batch_size,
                photo_size=recipe.crop_size,
                style_size=recipe.stroke_size,
            ),
            {work: bench.works[work]["path"]},
            bench.photos,
            [],
            bench.encoder,
        )
        scratch = replace(config, steps=OTHER_STEPS, learning_rate=1e-3, warmup_steps=100)

        def judge_whole() -> dict[str, float]:
            code = whole.module.codes.detach()[0]
            weights = replace(bench.fresh(), network=whole.module.network)
            return bench.losses(Stylizer(weights), code, work)

        follow("whole network", Loop(whole, scratch, Path(folder) / "whole", {}), judge_whole)


def draw_curve(report: dict[str, Any], path: Path) -> None:
    """The curves as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, points in report["curves"].items():
        axes.plot([int(p) for p in points], [v["style"] for v in points.values()], ".-", label=name)
    axes.plot(600, report["at_150_steps"]["style"], "k*", label="a run of 150 steps")
    axes.set(xlabel="photos seen", ylabel="style loss, VGG-19, held-out photos", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=("works", "curve"))
    parser.add_argument("--photos", type=Path, required=True, help="training photos")
    parser.add_argument("--validation", type=Path, required=True, help="held-out photos")
    parser.add_argument("--works", type=Path, required=True, help="pictures never trained on")
    parser.add_argument("--vgg", type=Path, required=True, help="VGG-19, safetensors")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights")
    parser.add_argument("--output", "-o", type=Path, default=ROOT / "docs" / "quality")
    parser.add_argument("--steps", type=int, default=FinetuneRecipe().steps)
    parser.add_argument("--judged", type=int, default=20, help="held-out photos to judge by")
    parser.add_argument("--work", help="the work of the curve; the first one by default")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    {"works": run_works, "curve": run_curve}[arguments.part](bench)


if __name__ == "__main__":
    main()

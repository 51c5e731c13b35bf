"""``pastiche train``: a network of many styles, from photos and style pictures."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import (
    CropContext,
    Device,
    HeldOut,
    Views,
    check_aligned,
    choose_training,
)
from app.commands.progress import run_with_progress
from app.commands.train_predictor import open_painted, predictor_sources

if TYPE_CHECKING:
    from model.training.loop import Loop, LoopConfig
    from model.training.many_styles import StyleTable, StyleTask


def train(
    photos: Annotated[Path, typer.Option(help="Folder of training photos.")],
    styles: Annotated[
        Path, typer.Option(help="Folder of style pictures, with styles.json or not.")
    ],
    vgg: Annotated[Path, typer.Option(help="VGG-19's weights, safetensors, torchvision's keys.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Checkpoint and curves; resumed when there.")
    ],
    start: Annotated[
        Path | None, typer.Option(help="Weights folder to start from, where no checkpoint is.")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Weights folder to write at the end.")] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Photo to render every exported style's preview from.")
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="Folder of held-out photos.")] = None,
    paintings: Annotated[
        Path | None,
        typer.Option(help="Paintings that a predictor, trained too, gives rows: more styles."),
    ] = None,
    bank: Annotated[
        Path | None, typer.Option(help="What is measured of the paintings, as train-predictor's.")
    ] = None,
    views: Views = 2048,
    held_out: HeldOut = 150,
    painted_batch: Annotated[
        int,
        typer.Option(
            min=0, help="Of the photos of a step, how many go to paintings; 0: one, if any."
        ),
    ] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help="Train this style alone; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 40_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos a step.")] = 4,
    photo_size: Annotated[
        int, typer.Option(min=16, callback=check_aligned, help="Side of the crops, in pixels.")
    ] = 192,
    min_share: Annotated[
        float,
        typer.Option(min=0.05, max=1, help="Smallest crop, as a share of a photo's shorter side."),
    ] = 0.35,
    style_size: Annotated[
        int, typer.Option(min=16, help="Shorter side of the style pictures: the stroke size.")
    ] = 640,
    style_weight: Annotated[
        list[str] | None,
        typer.Option(help="Of the style loss: a number, or a factor for one style, as id=1.5."),
    ] = None,
    original_batch: Annotated[
        int, typer.Option(min=0, help="Further photos a step that train the original.")
    ] = 1,
    original_steps: Annotated[
        int, typer.Option(min=0, help="Steps for the original's row alone, after the others.")
    ] = 150,
    context: CropContext = 32,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of the convolutions.")] = 1e-3,
    rows_only: Annotated[
        bool, typer.Option("--rows-only", help="Leave the convolutions as they are.")
    ] = False,
    muon_rate: Annotated[
        float,
        typer.Option(
            min=0, help="Of the 3x3 convolutions under Muon, times the learning rate; 0: Adam."
        ),
    ] = 5.0,
    plain_weight: Annotated[
        float, typer.Option(min=0, help="Of plain Gram matrices beside the shifted ones.")
    ] = 1.0,
    coarse: Annotated[
        float,
        typer.Option(min=0.1, help="How much more each reduced size weighs in the style loss."),
    ] = 1.5,
    full_share: Annotated[
        float,
        typer.Option(min=0.1, max=1, help="Side of the part of crops judged in full size."),
    ] = 0.5,
    stable_batch: Annotated[
        int, typer.Option(min=0, help="Crops a step that are stylized with grain, too.")
    ] = 1,
    stable_weight: Annotated[
        float, typer.Option(min=0, help="Of the change that the grain makes.")
    ] = 0.6,
    smooth_share: Annotated[
        float, typer.Option(min=0, max=1, help="Crops that are smooth: skies, nights.")
    ] = 0.06,
    faint_share: Annotated[float, typer.Option(min=0, max=1, help="Crops of low contrast.")] = 0.05,
    seed_share: Annotated[float, typer.Option(min=0, max=1, help="Crops with smooth noise.")] = 0.3,
    wall_share: Annotated[
        float, typer.Option(min=0, max=1, help="Crops with a plain wall over a part of them.")
    ] = 0.3,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after so long, with a checkpoint and the export."),
    ] = None,
    ema_decay: Annotated[float, typer.Option(min=0, max=1, help="Of the shipped average.")] = 0.998,
    seed: Annotated[int, typer.Option(help="Of weights and draws.")] = 0,
    float32: Annotated[
        bool, typer.Option("--float32", help="Even where bfloat16 is faster.")
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Use inductor.")] = True,
    device: Device = "auto",
) -> None:
    """Train one network on many styles; interrupt it and start it again as you like."""
    from model.training.crops import find_photos
    from model.training.export import start_from
    from model.training.loop import Loop, LoopConfig
    from model.training.many_styles import StyleTask
    from model.training.style_recipe import StyleRecipe
    from model.training.vgg19 import load_vgg19

    base, factors = parse_style_weights(style_weight or [], StyleRecipe.style_weight)
    entries = choose_entries(styles, only)
    recipe = StyleRecipe(
        photo_size=photo_size,
        min_share=min_share,
        batch_size=batch_size,
        painted_batch=(painted_batch or 1) if paintings else 0,
        style_size=style_size,
        style_weight=base,
        style_weights=factors,
        original_batch=original_batch,
        context=context,
        muon_rate=muon_rate,
        rows_only=rows_only,
        plain_weight=plain_weight,
        coarse=coarse,
        full_share=full_share,
        stable_batch=stable_batch,
        stable_weight=stable_weight,
        smooth_share=smooth_share,
        faint_share=faint_share,
        seed_share=seed_share,
        wall_share=wall_share,
        seed=seed,
    )
    chosen, precision = choose_training(device, float32)
    judge = load_vgg19(vgg, recipe.objective.layers)
    folders = styles, paintings, photos, bank or output / "bank"
    sources = predictor_sources(start, *folders, held_out)
    painted = open_painted(sources, views, recipe, judge, precision, str(chosen))
    task = StyleTask(
        recipe,
        {entry["id"]: entry["path"] for entry in entries},
        find_photos(photos),
        find_photos(validation)[:20] if validation else [],
        judge,
        str(chosen),
        painted,
    )
    config = LoopConfig(
        steps=steps,
        learning_rate=learning_rate,
        ema_decay=ema_decay,
        precision=precision,
        compile=compiled,
        device=str(chosen),
    )
    earlier = start_from(task.module, entries, start).training if start is not None else {}
    loop = Loop(task, config, output, task.identity)
    loop.resume()
    run_with_progress(loop.run, loop.step, steps, minutes)
    if export is not None:
        export_network(loop, task, entries, earlier, export, original_steps, preview)


def export_network(
    loop: "Loop",
    task: "StyleTask",
    entries: list[dict[str, Any]],
    earlier: dict[str, Any],
    folder: Path,
    original_steps: int,
    preview: Path | None,
) -> None:
    """Write the average of the weights to a folder, its row ``original`` trained some more."""
    from model.inference.previews import render_previews
    from model.styles.predictor import PREDICTOR_FILE
    from model.training.export import export_table
    from model.training.prediction import export_predictor

    with loop.average.in_place_of(task.module):
        table = copy.deepcopy(task.module)
    if task.recipe.original_batch and original_steps:
        last = replace(
            loop.config,
            steps=original_steps,
            learning_rate=5e-3,
            ema_decay=0.98,
            # On a GPU a compiler takes longer than so few steps.
            compile=loop.config.compile and loop.config.device == "cpu",
        )
        polish_original(table, task, last, loop.directory / f"original-{loop.config.steps}")
    weights = export_table(table, entries, folder, describe_training(loop, earlier))
    if task.painted is not None:
        with loop.average.in_place_of(task.module):
            training = {"recipe": loop.recipe, "steps": loop.step, "with_network": True}
            path = folder / PREDICTOR_FILE
            export_predictor(path, task.painted, training, weights.fingerprint)
    if preview is not None:
        render_previews(folder, preview)


def describe_training(loop: "Loop", earlier: dict[str, Any]) -> dict[str, Any]:
    """What the network's file says of how it was made, after what it said of its start."""
    recipe = loop.recipe
    seen = loop.step * (recipe["batch_size"] + recipe["original_batch"])
    return {
        "recipe": recipe,
        "steps": loop.step,
        "seconds": round(loop.seconds),
        "photos_seen": earlier.get("photos_seen", 0) + seen,
    }


def choose_entries(styles: Path, only: list[str] | None) -> list[dict[str, Any]]:
    """The style pictures to train: those of a folder, or some of them."""
    from model.training.crops import load_style_pictures

    entries = load_style_pictures(styles)
    if not only:
        return entries
    if unknown := set(only) - {entry["id"] for entry in entries}:
        raise typer.BadParameter(f"no {', '.join(sorted(unknown))} in {styles}")
    return [entry for entry in entries if entry["id"] in only]


def polish_original(
    table: "StyleTable", task: "StyleTask", config: "LoopConfig", output: Path
) -> None:
    """Train the row ``original`` alone, on the photos that the others were trained on."""
    import torch

    from model.training.loop import Loop
    from model.training.original import OriginalTask

    polish = OriginalTask(table, task.recipe, task.crops.paths, task.held_out, config.device)
    loop = Loop(polish, config, output, task.recipe.to_dict())
    loop.resume()
    run_with_progress(loop.run, loop.step, config.steps)
    with torch.no_grad():
        table.codes[-1].copy_(loop.average.values["row"])


def parse_style_weights(texts: list[str], default: float) -> tuple[float, dict[str, float]]:
    """The general weight, ``default`` where none is given, and the factors of single styles."""
    base = default
    factors = {}
    for text in texts:
        id_, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 < value < 1e6:
            raise typer.BadParameter(f"{text!r} is not like 12 or like starry-night=1.5")
        if equals:
            factors[id_] = value
        else:
            base = value
    return base, factors

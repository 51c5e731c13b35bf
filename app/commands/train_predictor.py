"""``pastiche train-predictor``: the style predictor of a network, from paintings."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import (
    CropContext,
    Device,
    HeldOut,
    Views,
    WeightsDir,
    check_aligned,
    choose_training,
    error_console,
    weights_folder,
)
from app.commands.progress import run_with_progress

if TYPE_CHECKING:
    from model.inference.device import TrainingPrecision
    from model.perception.loss_network import LossNetwork
    from model.training.loop import Loop
    from model.training.prediction import PredictionTask
    from model.training.prediction_recipe import PredictionRecipe
    from model.training.style_recipe import StyleRecipe


def train_predictor(
    paintings: Annotated[Path, typer.Option(help="Folder of paintings, the more the better.")],
    styles: Annotated[Path, typer.Option(help="Folder of the pictures of the built-in styles.")],
    photos: Annotated[Path, typer.Option(help="Folder of training photos.")],
    vgg: Annotated[Path, typer.Option(help="VGG-19's weights, safetensors, torchvision's keys.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Checkpoint and curves; resumed when there.")
    ],
    export: Annotated[
        Path | None, typer.Option(help="The predictor's file, written at the end.")
    ] = None,
    bank: Annotated[
        Path | None,
        typer.Option(help="What is measured of the paintings; it serves the next network too."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Predictor file to start from, of any network of the same size."),
    ] = None,
    start_encoder: Annotated[
        Path | None,
        typer.Option(help="The encoder that it read pictures with, if it has changed since."),
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="Folder of held-out photos.")] = None,
    held_out: HeldOut = 150,
    views: Views = 2048,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 1500,
    batch_size: Annotated[int, typer.Option(min=1, help="Paintings a step.")] = 8,
    photo_size: Annotated[
        int, typer.Option(min=16, callback=check_aligned, help="Side of the crops, in pixels.")
    ] = 192,
    context: CropContext = 32,
    view_size: Annotated[int, typer.Option(min=64, help="Side of the views, in pixels.")] = 224,
    row_steps: Annotated[
        int, typer.Option(min=0, help="Steps of each row whose result is judged, too.")
    ] = 0,
    learning_rate: Annotated[float, typer.Option(min=0)] = 1e-3,
    ema_decay: Annotated[float, typer.Option(min=0, max=1, help="Of the shipped average.")] = 0.98,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after so long, with a checkpoint and the export."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.")] = 0,
    float32: Annotated[
        bool, typer.Option("--float32", help="Even where bfloat16 is faster.")
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Use inductor.")] = False,
    weights: WeightsDir = None,
    device: Device = "auto",
) -> None:
    """Train a network's style predictor; interrupt it and start it again as you like."""
    from model.perception.encoder import load_encoder
    from model.training.checkpoint import CHECKPOINT_FILE
    from model.training.loop import Loop, LoopConfig
    from model.training.objective import NETWORK_OBJECTIVE
    from model.training.prediction import export_predictor
    from model.training.prediction_recipe import PredictionRecipe
    from model.training.vgg19 import load_vgg19

    check_start(start, start_encoder)
    recipe = PredictionRecipe(
        styles=batch_size,
        photo_size=photo_size,
        context=context,
        view_size=view_size,
        views=views,
        row_steps=row_steps,
        seed=seed,
    )
    chosen, precision = choose_training(device, float32)
    sources = PredictorSources(
        weights_folder(weights),
        styles,
        paintings,
        photos,
        bank or output / "bank",
        held_out,
        validation,
    )
    judge = load_vgg19(vgg, NETWORK_OBJECTIVE.layers)
    task = open_task(recipe, sources, judge, precision, str(chosen))
    fingerprint = task.known.weights.fingerprint
    config = LoopConfig(
        steps=steps,
        learning_rate=learning_rate,
        warmup_steps=30,
        ema_decay=ema_decay,
        precision=precision,
        compile=compiled,
        device=str(chosen),
        validate_every=100,
        checkpoint_every_s=60,
    )
    identity = task.identity | {"network": fingerprint}
    measure_views(task)
    if not (output / CHECKPOINT_FILE).exists():
        task.begin(start, None if start_encoder is None else load_encoder(start_encoder))
    loop = Loop(task, config, output, identity)
    loop.resume()
    run_with_progress(loop.run, loop.step, steps, minutes)
    if export is not None:
        with loop.average.in_place_of(task.module):
            export_predictor(export, task, describe(loop), fingerprint)


@dataclass(frozen=True)
class PredictorSources:
    """What a predictor is trained from, and for."""

    weights: Path
    """Folder of the network and its styles."""
    styles: Path
    """Folder of their pictures."""
    paintings: Path
    photos: Path
    bank: Path
    held_out: int = 150
    """Paintings that are not trained on."""
    validation: Path | None = None
    """Held-out photos."""


def predictor_sources(
    start: Path | None,
    styles: Path,
    paintings: Path | None,
    photos: Path,
    bank: Path,
    held_out: int,
) -> PredictorSources | None:
    """What a predictor learns from beside the network; none without paintings."""
    if paintings is None:
        return None
    if start is None:
        raise typer.BadParameter("--paintings needs rows that a predictor starts from: see --start")
    return PredictorSources(start, styles, paintings, photos, bank, held_out)


def open_task(
    recipe: "PredictionRecipe",
    sources: PredictorSources,
    judge: "LossNetwork",
    precision: "TrainingPrecision",
    device: str,
) -> "PredictionTask":
    """The task of training a predictor; its bank is not full yet."""
    from model.perception.encoder import find_encoder, load_encoder
    from model.training.crops import find_photos
    from model.training.painting_views import split_paintings
    from model.training.prediction import PredictionTask
    from model.training.prediction_recipe import KnownStyles

    train, kept = split_paintings(find_photos(sources.paintings), sources.held_out)
    return PredictionTask(
        recipe,
        KnownStyles.load(sources.weights, sources.styles),
        train,
        kept,
        find_photos(sources.photos),
        find_photos(sources.validation)[:20] if sources.validation else [],
        load_encoder(find_encoder(sources.weights)),
        judge,
        sources.bank,
        precision,
        device,
    )


def open_painted(
    sources: PredictorSources | None,
    views: int,
    recipe: "StyleRecipe",
    judge: "LossNetwork",
    precision: "TrainingPrecision",
    device: str,
) -> "PredictionTask | None":
    """The predictor of a weights folder, or a new one, to be trained with a network."""
    from model.styles.predictor import PREDICTOR_FILE
    from model.training.prediction_recipe import PredictionRecipe

    if sources is None:
        return None
    seen = PredictionRecipe(views=views, context=recipe.context, seed=recipe.seed)
    task = open_task(seen, sources, judge, precision, device)
    measure_views(task)
    earlier = sources.weights / PREDICTOR_FILE
    task.begin(earlier if earlier.exists() else None)
    return task


def measure_views(task: "PredictionTask") -> None:
    """Fill the bank, or load it."""
    console = error_console()
    with console.status("views") as status:
        task.bank.fill(lambda count: status.update(f"{count} of {task.recipe.views} views"))


def check_start(start: Path | None, start_encoder: Path | None) -> None:
    """Refuse an encoder of nothing."""
    if start is None and start_encoder is not None:
        raise typer.BadParameter("it belongs to a predictor: see --start")


def describe(loop: "Loop") -> dict[str, Any]:
    """What a predictor's file says of how it was made."""
    return {"recipe": loop.recipe, "steps": loop.step, "seconds": round(loop.seconds)}

"""``pastiche distill``: the perceptual encoder, from VGG-19."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import Device, WeightsDir, choose_training, weights_folder
from app.commands.progress import run_with_progress


def distill(
    photos: Annotated[Path, typer.Option(help="Folder of training photos.")],
    styles: Annotated[Path, typer.Option(help="Folder of style pictures.")],
    vgg: Annotated[Path, typer.Option(help="VGG-19's weights, safetensors, torchvision's keys.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Checkpoint and curves; resumed when there.")
    ],
    export: Annotated[
        Path | None, typer.Option(help="The encoder's file, written at the end.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="An encoder's file to go on from, if none was begun.")
    ] = None,
    validation: Annotated[Path | None, typer.Option(help="Folder of held-out photos.")] = None,
    widths: Annotated[
        tuple[int, int, int], typer.Option(help="Channels at full, half and quarter size.")
    ] = (32, 64, 128),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 2000,
    batch_size: Annotated[
        int, typer.Option(min=4, help="Crops a step; half as many pastiches.")
    ] = 8,
    learning_rate: Annotated[float, typer.Option(min=0)] = 3e-3,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Stop after so long, with a checkpoint and the export."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.")] = 0,
    float32: Annotated[
        bool, typer.Option("--float32", help="Even where bfloat16 is faster.")
    ] = False,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Use inductor.")] = True,
    weights: WeightsDir = None,
    device: Device = "auto",
) -> None:
    """Distil VGG-19 into the small encoder that fine-tuning uses in its place."""
    import torch

    from model.network.weights import NETWORK_FILE, load_weights
    from model.perception.encoder import (
        ENCODER_LAYERS,
        EncoderConfig,
        load_encoder,
        save_encoder,
    )
    from model.styles.library import StyleLibrary
    from model.training.checkpoint import CHECKPOINT_FILE
    from model.training.crops import find_photos
    from model.training.distillation import DistillRecipe, DistillTask
    from model.training.loop import Loop, LoopConfig
    from model.training.vgg19 import load_vgg19

    folder = weights_folder(weights)
    network = load_weights(folder / NETWORK_FILE)
    library = StyleLibrary(folder / "styles", network.fingerprint)
    if not len(library):
        raise ValueError(f"{folder} holds no styles of its network")
    recipe = DistillRecipe(batch_size=batch_size, seed=seed, encoder=EncoderConfig(widths))
    chosen, precision = choose_training(device, float32)
    task = DistillTask(
        recipe,
        find_photos(photos),
        find_photos(styles),
        find_photos(validation)[:16] if validation else [],
        load_vgg19(vgg, ENCODER_LAYERS),
        network.network,
        torch.stack([style.code for style in library]),
        str(chosen),
    )
    config = LoopConfig(
        steps=steps,
        learning_rate=learning_rate,
        ema_decay=0.99,
        precision=precision,
        compile=compiled,
        device=str(chosen),
    )
    if start is not None and not (output / CHECKPOINT_FILE).exists():
        task.begin(load_encoder(start))
    loop = Loop(task, config, output, recipe.to_dict())
    loop.resume()
    run_with_progress(loop.run, loop.step, steps, minutes)
    if export is None:
        return
    training = {
        "recipe": recipe.to_dict(),
        "steps": loop.step,
        "pictures_seen": loop.step * (batch_size + batch_size // 2),
        "seconds": round(loop.seconds),
        "network": network.fingerprint,
    }
    with loop.average.in_place_of(task.module):
        save_encoder(export, task.module.fold(), training)

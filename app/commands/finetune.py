"""``pastiche finetune``: a new style from one picture."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import (
    DataDir,
    Device,
    WeightsDir,
    error_console,
    open_library,
    weights_folder,
)
from app.commands.progress import run_with_progress
from model.styles.options import STEPS_FROM_ROW, STROKE_SIZE, STYLE_WEIGHT, TRAINING_STEPS

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from model.perception.loss_network import LossNetwork
    from model.styles.style import Style


def finetune(
    picture: Annotated[Path, typer.Argument(help="The painting, drawing, pattern, ...")],
    title: Annotated[str | None, typer.Option(help="For people; the file's name if none.")] = None,
    stroke_size: Annotated[
        int,
        typer.Option(
            min=STROKE_SIZE.lowest,
            max=STROKE_SIZE.highest,
            help="Shorter side, in px, to look at it: large, large strokes.",
        ),
    ] = STROKE_SIZE.default,
    style_weight: Annotated[
        float,
        typer.Option(
            min=STYLE_WEIGHT.lowest,
            max=STYLE_WEIGHT.highest,
            help="More style or, below 1, more photo.",
        ),
    ] = STYLE_WEIGHT.default,
    steps: Annotated[
        int | None,
        typer.Option(
            min=TRAINING_STEPS.lowest,
            max=TRAINING_STEPS.highest,
            help="At most; it ends once nothing more is gained. By default "
            f"{STEPS_FROM_ROW} from a prediction, else {TRAINING_STEPS.default}.",
            show_default=False,
        ),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photos to learn on, in place of our samples.")
    ] = None,
    vgg: Annotated[
        Path | None, typer.Option(help="VGG-19's weights, in place of our own encoder.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the portable style file here too.")
    ] = None,
    weights: WeightsDir = None,
    data: DataDir = None,
    device: Device = "auto",
) -> None:
    """Learn a new style from one picture; interrupt it and start it again as you like."""
    import torch

    from app.jobs.order import now
    from app.settings import default_data_dir
    from model.inference.device import choose_device
    from model.inference.previews import render_preview
    from model.inference.stylizer import Stylizer
    from model.network.weights import NETWORK_FILE, load_weights
    from model.pictures.picture import load_picture
    from model.pictures.style_picture import pack_source
    from model.styles.style import Style, clean_title, style_id
    from model.styles.style_file import save_style
    from model.training.crops import find_photos
    from model.training.finetune_recipe import FinetuneRecipe
    from model.training.one_style import Finetuning

    title = clean_title(title or picture.stem.replace("-", " ").replace("_", " "))
    folder = weights_folder(weights)
    chosen = choose_device(device)
    network = load_weights(folder / NETWORK_FILE)
    library = open_library(folder, data, network.fingerprint)
    painting = load_picture(picture)
    start = predict_start(painting.rgb, folder, network.fingerprint, stroke_size)
    steps = steps or (TRAINING_STEPS.default if start is None else STEPS_FROM_ROW)
    recipe = FinetuneRecipe(stroke_size=stroke_size, style_weight=style_weight, steps=steps)
    loss_network = load_judge(vgg, folder)
    # Whatever changes the row names the run, so that the same command goes on with it.
    identity = [title, recipe.to_dict(), str(photos), str(vgg), network.fingerprint]
    run = name_run(identity, painting.rgb.tobytes())
    directory = (data or default_data_dir()) / "finetuning" / run
    finetuning = Finetuning(
        painting.rgb,
        network,
        torch.stack([style.code for style in library] or [network.original]),
        loss_network,
        recipe,
        directory,
        find_photos(photos) if photos else (),
        str(chosen),
        start,
    )
    tell_start(start)
    run_with_progress(finetuning.advance, finetuning.step, steps)
    style = Style(
        style_id(title, run),
        title,
        finetuning.row,
        network.fingerprint,
        kind="custom",
        created=now(),
        training={"recipe": recipe.to_dict(), "steps": finetuning.step},
    )
    preview = render_preview(Stylizer(network, chosen), style.code)
    library.add(style, preview, pack_source(painting))
    if output is not None:
        save_style(style, output)
    shutil.rmtree(directory)
    typer.echo(style.id)
    tell_what_next(style)


def predict_start(
    painting: "Image", weights: Path, network: str, stroke_size: int
) -> "Tensor | None":
    """The row that is predicted from a picture; none where there is no predictor."""
    from model.inference.device import choose_cpu_dtype
    from model.styles.prediction import NoPredictorError, open_predictor

    try:
        predictor = open_predictor(weights, network, choose_cpu_dtype("auto"))
    except NoPredictorError:
        return None
    return predictor.predict(painting, stroke_size)


def tell_what_next(style: "Style") -> None:
    """Say what can be done with it."""
    error_console().print(
        f"Learned {style.title!r}. Try it: pastiche stylize photo.jpg --style {style.id}",
        markup=False,
    )


def tell_start(start: "Tensor | None") -> None:
    """Say it where learning takes longer than it might."""
    if start is None:
        error_console().print("There is no predictor; it starts from the nearest styles.")


def load_judge(vgg: Path | None, weights: Path) -> "LossNetwork":
    """VGG-19, or the encoder that a weights folder may hold."""
    from model.perception.encoder import find_encoder, load_encoder
    from model.training.objective import NETWORK_OBJECTIVE
    from model.training.vgg19 import load_vgg19

    return load_vgg19(vgg, NETWORK_OBJECTIVE.layers) if vgg else load_encoder(find_encoder(weights))


def name_run(identity: list[Any], picture: bytes) -> str:
    """16 hex digits that depend on everything given."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode() + picture).hexdigest()[:16]

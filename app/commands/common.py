"""Options and consoles that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    import torch

    from model.inference.device import TrainingPrecision
    from model.inference.stylizer import Stylizer
    from model.styles.library import StyleLibrary

Device = Annotated[str, typer.Option(envvar="PASTICHE_DEVICE", help="auto, cpu, cuda or cuda:1.")]
WeightsDir = Annotated[
    Path | None,
    typer.Option(
        "--weights-dir", envvar="PASTICHE_WEIGHTS_DIR", help="Network and styles, if not our own."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", envvar="PASTICHE_DATA_DIR", help="Folder of your own styles, if elsewhere."
    ),
]


def check_aligned(pixels: int) -> int:
    """Refuse a number of pixels that the network's strides do not divide."""
    from model.network.network import SIDE_MULTIPLE

    if pixels % SIDE_MULTIPLE:
        raise typer.BadParameter(f"{pixels} is no multiple of {SIDE_MULTIPLE}")
    return pixels


def choose_training(device: str, float32: bool) -> tuple["torch.device", "TrainingPrecision"]:
    """The device to train on, and what it multiplies in."""
    from model.inference.device import choose_device, choose_training_precision

    chosen = choose_device(device)
    return chosen, "float32" if float32 else choose_training_precision(chosen)


Views = Annotated[int, typer.Option(min=1, help="Different views of the paintings.")]
HeldOut = Annotated[
    int, typer.Option(min=0, help="Paintings that are not trained on, by a fixed rule.")
]
CropContext = Annotated[
    int,
    typer.Option(
        min=0, callback=check_aligned, help="Pixels around a crop that are seen and not judged."
    ),
]


def error_console() -> Console:
    """Where messages and progress go; standard output is for results."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def reason(error: Exception) -> str:
    """Why something failed, as one line for people."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def weights_folder(chosen: Path | None) -> Path:
    """The weights folder that was chosen, or the shipped one."""
    from model.storage.assets import asset_folder

    return chosen or asset_folder("weights")


def open_library(weights: Path, data: Path | None, network: str) -> "StyleLibrary":
    """The styles of a network; damaged ones are named on standard error."""
    from app.settings import default_data_dir
    from model.styles.library import StyleLibrary

    custom = (data or default_data_dir()) / "styles"
    library = StyleLibrary(weights / "styles", network, custom)
    for id_, problem in library.problems.items():
        error_console().print(f"pastiche: style {id_} left out: {problem}", markup=False)
    return library


def open_stylizer(
    device: str, weights: Path | None, data: Path | None
) -> tuple["Stylizer", "StyleLibrary"]:
    """The network on its device, and its styles."""
    from model.inference.stylizer import Stylizer

    folder = weights_folder(weights)
    stylizer = Stylizer.load(folder, device)
    return stylizer, open_library(folder, data, stylizer.fingerprint)

"""``pastiche study``: what the parts of the network are worth, measured on small ones."""

import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import Device, WeightsDir, error_console, weights_folder

if TYPE_CHECKING:
    from PIL import Image

    from model.perception.loss_network import LossNetwork
    from model.study.study import Study
    from model.study.variants import Variant
    from model.training.vgg19 import Pooling

    Outcome = tuple[dict[str, Any], Image.Image | None]

app = typer.Typer(help="Studies: small networks, trained alike and compared.", no_args_is_help=True)

RUNS_FILE = "study.json"
SAMPLE_SIDE = 192  # px, of a picture of the contact sheets
STYLES = 4  # of the folder, unless --style names some

_study: "Study"  # of a process of `run_all`


@app.callback()
def studies() -> None:
    """Studies: small networks, trained alike and compared."""


@app.command()
def normalization(
    photos: Annotated[Path, typer.Option(help="Folder of training photos.")],
    validation: Annotated[Path, typer.Option(help="Folder of held-out photos.")],
    styles: Annotated[Path, typer.Option(help="Folder of style pictures.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Figures and pictures; continued when there.")
    ],
    vgg: Annotated[
        Path | None,
        typer.Option(
            help="VGG-19's weights, safetensors, torchvision's keys. Without them our own encoder "
            "serves: quicker, but without the pooling kinds."
        ),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Markdown page to write the results into; none by default.")
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="Photo of the contact sheets; one of our own by default.")
    ] = None,
    style: Annotated[
        list[str] | None, typer.Option(help="Use this style of the folder; repeat it.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this variant alone; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps a run.")] = 200,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each variant.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Photos a step.")] = 4,
    photo_size: Annotated[int, typer.Option(min=32, help="Side of the crops, in pixels.")] = 64,
    channels: Annotated[int, typer.Option(min=1, help="Width of the network.")] = 16,
    residual_blocks: Annotated[int, typer.Option(min=0, help="Of the network.")] = 2,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of the convolutions.")] = 2e-3,
    style_weight: Annotated[float, typer.Option(min=0, help="The content loss has 1.")] = 2.0,
    jobs: Annotated[
        int,
        typer.Option(
            min=1, help="Runs side by side, with one thread each if several. Best: one per core."
        ),
    ] = 1,
    weights: WeightsDir = None,
    device: Device = "auto",
) -> None:
    """Compare normalizations, resampling and pooling; interrupt and start again as you like."""
    from app.commands.studypage import check_page, write_page
    from model.inference.device import choose_device
    from model.inference.previews import middle_square
    from model.pictures.levels import to_tensor
    from model.pictures.picture import encode_picture, load_picture
    from model.storage.assets import asset_folder
    from model.study.study import Study
    from model.study.variants import Material, StudySettings, list_runs, list_variants
    from model.training.crops import find_photos

    if photo_size % 4:
        raise typer.BadParameter(f"{photo_size} px is no multiple of 4")
    if page is not None:
        check_page(page)
    settings = StudySettings(
        steps=steps,
        seeds=seeds,
        batch_size=batch_size,
        photo_size=photo_size,
        channels=channels,
        residual_blocks=residual_blocks,
        learning_rate=learning_rate,
        style_weight=style_weight,
    )
    works = choose_works(styles, style)
    shown = middle_square(
        load_picture(sample or asset_folder("static") / "samples" / "astronaut.jpg").rgb,
        SAMPLE_SIDE,
    )
    training = find_photos(photos)
    material = Material(
        training,
        find_photos(validation),
        works,
        to_tensor(shown),
        KeptLossNetworks(vgg, weights_folder(weights)),
        str(choose_device(device)),
    )
    variants = list_variants(settings, list(works), with_pooling=vgg is not None)
    if unknown := sorted(set(only or []) - {v.name for v in variants}):
        raise typer.BadParameter(f"no variant {', '.join(unknown)}")
    common = settings.to_dict() | {
        "styles": list(works),
        "photos": len(training),
        "loss_network": "VGG-19" if vgg else "the encoder",
    }
    del common["seeds"]  # more of them may be asked for later
    pictures = output / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    record = load_record(output / RUNS_FILE, common)
    (pictures / "photo.png").write_bytes(encode_picture(shown, "png"))
    study = Study(settings, material, ("average", "max") if vgg else ("average",))
    wanted = [run for run in list_runs(settings, variants) if not only or run[0].name in only]
    waiting = [run for run in wanted if f"{run[0].name}/{run[1]}" not in record["runs"]]
    if waiting:  # a page alone is written of the machine that made the runs
        record |= describe_runs(material.device, jobs)
    run_and_record(study, waiting, jobs, record, output)
    if page is not None:
        write_page(page, output, record)


def choose_works(folder: Path, wanted: list[str] | None) -> dict[str, Path]:
    """Path of each style picture by id: those asked for, or the first few of a folder."""
    from model.training.crops import load_style_pictures

    known = {entry["id"]: entry["path"] for entry in load_style_pictures(folder)}
    chosen = wanted or list(known)[:STYLES]
    if missing := sorted(set(chosen) - known.keys()):
        raise typer.BadParameter(f"no {', '.join(missing)} in {folder}")
    return {id_: known[id_] for id_ in chosen}


def run_and_record(
    study: "Study",
    waiting: Sequence["tuple[Variant, int]"],
    jobs: int,
    record: dict[str, Any],
    output: Path,
) -> None:
    """Make runs, each stored as soon as it ends."""
    from model.pictures.picture import encode_picture
    from model.storage.files import write_atomically

    console, began = error_console(), time.monotonic()
    for done, (variant, seed, (figures, strip)) in enumerate(run_all(study, waiting, jobs), 1):
        if strip is not None and seed == 0:
            path = output / "pictures" / f"{variant.name}.png"
            write_atomically(path, encode_picture(strip, "png"))
        record["runs"][f"{variant.name}/{seed}"] = figures
        write_atomically(output / RUNS_FILE, json.dumps(record).encode())
        left = (time.monotonic() - began) / done * (len(waiting) - done) / 60
        state = "failed" if "failed" in figures else f"{figures['seconds']:.0f} s"
        console.print(
            f"{done}/{len(waiting)} {variant.name}, seed {seed}: {state}; {left:.0f} min left",
            markup=False,
        )


def run_all(
    study: "Study", runs: Sequence["tuple[Variant, int]"], jobs: int
) -> Iterator["tuple[Variant, int, Outcome]"]:
    """The outcomes of runs, as they end; ``jobs`` of them at a time, each in a process."""
    if jobs == 1:
        for variant, seed in runs:
            yield variant, seed, study.run(variant, seed)
        return
    with ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=_enter, initargs=(study,)
    ) as pool:
        try:
            begun = {pool.submit(_run, *run): run for run in runs}
            for future in as_completed(begun):
                yield *begun[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _enter(study: "Study") -> None:
    """Keep the study in a process of `run_all`: it is large, and the same for all its runs."""
    import torch

    global _study
    torch.set_num_threads(1)
    _study = study


def _run(variant: "Variant", seed: int) -> "Outcome":
    return _study.run(variant, seed)


class KeptLossNetworks:
    """Loss networks by pooling, each loaded once.

    Parameters
    ----------
    vgg
        VGG-19's file; none, the encoder serves.
    weights
        Folder that may hold the encoder.
    """

    def __init__(self, vgg: Path | None, weights: Path) -> None:
        self._vgg = vgg
        self._weights = weights
        self._loaded: dict[tuple[str, bool], LossNetwork] = {}

    def __call__(self, pooling: "Pooling", global_content: bool) -> "LossNetwork":
        """The network with a kind of pooling, its content layer averaged over positions or not."""
        from model.perception.encoder import find_encoder, load_encoder
        from model.training.objective import Objective
        from model.training.vgg19 import load_vgg19

        key = (pooling, global_content)
        if key not in self._loaded:
            if self._vgg is None:
                self._loaded[key] = load_encoder(find_encoder(self._weights))
            else:
                objective = Objective()
                averaged = (objective.content_layer,) if global_content else ()
                self._loaded[key] = load_vgg19(self._vgg, objective.layers, pooling, averaged)
        return self._loaded[key]


def describe_runs(device: str, jobs: int) -> dict[str, str]:
    """What a record says of how its runs were made."""
    import torch

    return {
        "machine": describe_machine(device, jobs),
        "torch": torch.__version__,
        # On a CPU, the processor's: others' work does not count in them.
        "seconds": "processor_seconds" if device == "cpu" else "seconds",
    }


def describe_machine(device: str, jobs: int) -> str:
    """What the seconds were measured on."""
    import torch

    kind = torch.backends.cpu.get_cpu_capability() if device == "cpu" else device
    threads = f"{torch.get_num_threads()} threads"
    share = threads if jobs == 1 else f"{jobs} runs side by side with one thread each"
    return f"{kind}, {os.cpu_count()} cores, {share}"


def load_record(path: Path, common: dict[str, Any]) -> dict[str, Any]:
    """The runs that a folder has already, or a new record.

    Raises
    ------
    ValueError
        They were made with other options, or the file is damaged.
    """
    if not path.exists():
        return {"common": common, "runs": {}}
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        same = record["common"] == common
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if not same:
        raise ValueError(
            f"{path} was made with other options; choose another folder or give the same options"
        )
    return record

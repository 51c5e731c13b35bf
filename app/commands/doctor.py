"""``pastiche doctor``: what this machine and this installation are, for a report of a fault."""

import hashlib
import platform
import re
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import typer

from app.commands.common import DataDir, Device, WeightsDir, error_console, reason, weights_folder
from app.settings import default_data_dir

TIMED_SIDE = 512  # px
TIMED_RUNS = 3
PACKAGES = ("torch", "torchvision", "pillow", "fastapi", "uvicorn", "safetensors", "dbos")


class Finding(NamedTuple):
    """One line of the report."""

    name: str
    text: str
    good: bool = True


Examination = Callable[[], Iterator[Finding]]


def doctor(
    device: Device = "auto",
    weights: WeightsDir = None,
    data: DataDir = None,
    timed: Annotated[
        bool, typer.Option("--timed/--no-timed", help="Stylize a picture of 512 px, too.")
    ] = True,
) -> None:
    """Show what a report of a fault should say of this machine and installation."""
    folder, own = weights_folder(weights), data or default_data_dir()
    examinations: list[tuple[str, Examination]] = [
        ("versions", find_versions),
        ("device", lambda: find_device(device)),
        ("weights", lambda: find_weights(folder)),
        ("predictor", lambda: find_predictor(folder)),
        ("styles", lambda: find_styles(folder, own)),
        ("data folder", lambda: find_data_folder(own)),
        ("jobs", lambda: find_jobs(own)),
    ]
    if timed:
        examinations.append(("speed", lambda: find_speed(folder, device)))
    faults = 0
    for name, examine in examinations:
        try:
            for finding in examine():
                faults += not finding.good
                show(finding)
        # What fails leaves the others their turn.
        except (ValueError, OSError, MemoryError, RuntimeError, sqlite3.Error) as error:
            faults += 1
            show(Finding(name, reason(error), good=False))
    if faults:
        error_console().print(f"pastiche: {faults} of these are not as they should be")
        raise typer.Exit(1)


def show(finding: Finding) -> None:
    """Print a line; the user's name, in the path of the home folder, stays out of it."""
    text = re.sub(rf"{re.escape(str(Path.home()))}(?=/|$)", "~", finding.text)
    typer.echo(f"{'ok ' if finding.good else 'BAD'}  {finding.name:<12} {text}")


def find_versions() -> Iterator[Finding]:
    """Of Pastiche, Python, the system and the packages that matter."""
    found, missing = [], 0
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing += 1
            found.append(f"no {package}")
    yield Finding(
        "pastiche",
        f"{version('pastiche')}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()}, {platform.machine()}",
    )
    yield Finding("packages", ", ".join(found), not missing)


def find_device(name: str) -> Iterator[Finding]:
    """Where it computes, and in what."""
    import torch

    from model.inference.device import (
        CPU_BFLOAT16,
        choose_device,
        choose_dtype,
        describe_device,
    )

    device = choose_device(name)
    able = torch.cpu.get_capabilities()
    has = [kind for kind in ("avx2", "avx512_f", *CPU_BFLOAT16) if able.get(kind)]
    yield Finding(
        "device",
        f"{describe_device(device)}; {torch.get_num_threads()} threads; "
        f"CUDA {torch.version.cuda or 'not built in'}, {torch.cuda.device_count()} GPUs; "
        f"processor has {', '.join(has) or 'no wide vectors'}",
    )
    dtype = str(choose_dtype("auto", device)).removeprefix("torch.")
    why = "the device does not multiply faster in a shorter type"
    if dtype != "float32":
        why = "the device multiplies faster in it; checked against float32 before use"
    yield Finding("precision", f"auto is {dtype}: {why}")


def find_weights(folder: Path) -> Iterator[Finding]:
    """The network's and the encoder's files: whole, and which ones."""
    from model.network.weights import NETWORK_FILE, load_weights
    from model.perception.encoder import find_encoder, load_encoder

    weights = load_weights(folder / NETWORK_FILE)
    yield Finding("network", f"fingerprint {weights.fingerprint}, {digest(folder / NETWORK_FILE)}")
    encoder = find_encoder(folder)
    load_encoder(encoder)
    yield Finding("encoder", digest(encoder))


def find_predictor(folder: Path) -> Iterator[Finding]:
    """Whether styles of new pictures work at once. A network of one's own need not have it."""
    from model.network.weights import NETWORK_FILE, load_weights
    from model.styles.prediction import NoPredictorError, open_predictor
    from model.styles.predictor import PREDICTOR_FILE

    try:
        open_predictor(folder, load_weights(folder / NETWORK_FILE).fingerprint)
    except NoPredictorError as error:
        there = (folder / PREDICTOR_FILE).exists()
        yield Finding("predictor", f"none: {error}; new styles have to be learned", not there)
    else:
        yield Finding("predictor", digest(folder / PREDICTOR_FILE))


def digest(path: Path) -> str:
    """A file's SHA-256, for comparison with weights/README.md."""
    with path.open("rb") as file:
        return f"SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def find_styles(folder: Path, own: Path) -> Iterator[Finding]:
    """How many styles there are; titles are the user's own affair."""
    from model.network.weights import NETWORK_FILE, load_weights
    from model.styles.library import StyleLibrary

    fingerprint = load_weights(folder / NETWORK_FILE).fingerprint
    library = StyleLibrary(folder / "styles", fingerprint, own / "styles")
    kinds = Counter(style.kind for style in library)
    yield Finding(
        "styles",
        f"{kinds['built-in']} built-in, {kinds['custom']} custom, "
        f"{len(library.outdated)} need a retune, {len(library.problems)} damaged",
        kinds["built-in"] > 0 and not library.problems,
    )


def find_data_folder(folder: Path) -> Iterator[Finding]:
    """Whether it can be written, and how much room there is."""
    there = folder
    while not there.exists():
        there = there.parent
    with tempfile.TemporaryFile(dir=there) as file:  # raises where nothing can be written
        file.write(b"\0" * 4096)
    free = shutil.disk_usage(there).free / 1e9
    made = "" if there == folder else ", made at first use"
    yield Finding("data folder", f"{folder}{made}; {free:.1f} GB free", free > 1)


def find_jobs(folder: Path) -> Iterator[Finding]:
    """Whether the database answers, and the jobs by state."""
    from app.jobs.desk import Jobs
    from app.jobs.errors import JobError
    from app.settings import Settings

    settings = Settings(data_dir=folder)
    kind = "Postgres" if settings.database_url else "SQLite"
    if not settings.database_url and not (folder / "jobs").exists():
        yield Finding("jobs", f"{kind}, made with the first job")
        return
    jobs = Jobs(settings)
    try:
        states = Counter(job.state for job in jobs.all())
    except JobError as error:
        raise ValueError(f"{kind}: {reason(error)}") from error
    finally:
        jobs.close()
    listed = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    yield Finding("jobs", f"{kind}, {listed or 'none'}")


def find_speed(folder: Path, device: str) -> Iterator[Finding]:
    """Seconds for one picture, in float32 and in what the service would choose."""
    import torch

    from model.inference.look import Look
    from model.inference.stylizer import Stylizer

    stylizer = Stylizer.load(folder, device)
    photo = torch.rand(1, 3, TIMED_SIDE, TIMED_SIDE, generator=torch.Generator().manual_seed(0))
    look = Look(stylizer.original.cpu())

    def measure() -> float:
        seconds = []
        for _ in range(TIMED_RUNS + 1):
            started = time.perf_counter()
            stylizer.stylize_batch(photo, [look])
            seconds.append(time.perf_counter() - started)
        return median(seconds[1:])

    yield Finding("speed", f"{measure():.2f} s for {TIMED_SIDE} px in float32")
    for path in stylizer.fast_paths("auto", compiled=False):
        stylizer.use_fast_path(path)
        yield Finding("speed", f"{measure():.2f} s for {TIMED_SIDE} px by {path.name}")

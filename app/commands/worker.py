"""``pastiche worker``: learns queued styles."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import DataDir, Device, WeightsDir


def worker(
    device: Device = "auto",
    weights: WeightsDir = None,
    data: DataDir = None,
    until_input_ends: Annotated[bool, typer.Option("--until-input-ends", hidden=True)] = False,
) -> None:
    """Learn queued styles until stopped; `pastiche serve` starts one of these by itself."""
    from app.jobs.worker import run_worker
    from app.logs import configure_logging
    from app.settings import Settings

    folders: dict[str, Path] = {}
    if weights is not None:
        folders["weights_dir"] = weights
    if data is not None:
        folders["data_dir"] = data
    settings = Settings(device=device, **folders)  # type: ignore[arg-type]
    configure_logging(settings.log_format, settings.log_level)
    raise typer.Exit(run_worker(settings, until_input_ends))

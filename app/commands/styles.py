"""``pastiche styles``: what there is to choose from, and what must be learned anew."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.commands.common import (
    DataDir,
    WeightsDir,
    error_console,
    open_library,
    weights_folder,
)

app = typer.Typer(invoke_without_command=True)

PIPE_WIDTH = 1000  # no line is wrapped for programs


@app.callback()
def styles(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    weights: WeightsDir = None,
    data: DataDir = None,
) -> None:
    """List the styles; `pastiche styles retune` has those of an earlier network learned anew."""
    if context.invoked_subcommand is not None:
        return
    from model.network.weights import NETWORK_FILE, load_weights

    folder = weights_folder(weights)
    library = open_library(folder, data, load_weights(folder / NETWORK_FILE).fingerprint)
    outdated = {style.id for style in library.outdated}
    styles = [*library.outdated, *library]
    if as_json:
        rows = [
            {
                "id": style.id,
                "title": style.title,
                "artist": style.artist,
                "year": style.year,
                "attribution": style.attribution,
                "kind": style.kind,
                "created": style.created,
                "needs_retune": style.id in outdated,
            }
            for style in styles
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True, overflow="ignore")  # it is what one copies
    for name in ("title", "by", "kind"):
        table.add_column(name, overflow="fold")
    for style in styles:
        kind = "needs a retune" if style.id in outdated else style.kind
        table.add_row(style.id, escape(style.title), escape(style.credit), kind)
    console.print(table)


@app.command()
def retune(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Of styles; all that need it by default.")
    ] = None,
    weights: WeightsDir = None,
    data: DataDir = None,
) -> None:
    """Queue styles of an earlier network to be learned anew; a running worker does it."""
    from app.jobs.desk import Jobs
    from app.jobs.errors import JobError
    from app.jobs.order import retune_order
    from app.library import SharedLibrary
    from app.library_errors import LibraryError
    from app.settings import Settings
    from model.network.weights import NETWORK_FILE, load_weights

    folder = weights_folder(weights)
    library = open_library(folder, data, load_weights(folder / NETWORK_FILE).fingerprint)
    jobs = Jobs(Settings(data_dir=data) if data is not None else Settings())
    shared, console, failures = SharedLibrary(library), error_console(), 0
    queued = 0
    wanted = ids or [style.id for style in library.outdated]
    if not wanted:
        console.print("No style needs a retune.")
    for id_ in wanted:
        try:
            style, picture = shared.source(id_)
            job = jobs.submit(retune_order(style), picture)
        except (JobError, LibraryError) as error:
            failures += 1
            console.print(f"pastiche: {id_}: {error}", markup=False)
        else:
            queued += 1
            typer.echo(f"{id_} {job.id}")
    jobs.close()
    if queued:
        console.print(
            f"{queued} queued; a running `pastiche serve` or `pastiche worker` learns them."
        )
    if failures:
        raise typer.Exit(1)

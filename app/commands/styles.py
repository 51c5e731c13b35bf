"""``pastiche styles``: what there is to choose from."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.commands.common import DataDir, WeightsDir, open_library, weights_folder


def styles(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    weights: WeightsDir = None,
    data: DataDir = None,
) -> None:
    """List the styles."""
    from model.stylizer import NETWORK_FILE
    from model.weights import load_weights

    folder = weights_folder(weights)
    library = open_library(folder, data, load_weights(folder / NETWORK_FILE).fingerprint)
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
            }
            for style in library
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("id", "title", "by", "kind", box=None, pad_edge=False, header_style="bold")
    for style in library:
        table.add_row(style.id, escape(style.title), escape(style.credit), style.kind)
    Console(soft_wrap=True).print(table)

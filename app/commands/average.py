"""``pastiche average``: one network from two trainings of it."""

from pathlib import Path
from typing import Annotated

import typer


def average(
    first: Annotated[Path, typer.Argument(help="Weights folder that training started from.")],
    second: Annotated[Path, typer.Argument(help="Weights folder that came of it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights folder to write.")],
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the second.")] = 0.5,
    preview: Annotated[
        Path | None, typer.Option(help="Photo to render every style's preview from.")
    ] = None,
) -> None:
    """Average a network with what further training made of it: often better than both."""
    from model.inference.previews import render_previews
    from model.training.averaging import average_weights

    made = average_weights(first, second, share, output)
    if preview is not None:
        render_previews(output, preview)
    typer.echo(made.fingerprint)

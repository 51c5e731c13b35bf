"""The command ``pastiche``: what the commands are, and how they fail."""

import os
import sys
from typing import Annotated

import typer

from app.commands.average import average
from app.commands.common import reason
from app.commands.distill import distill
from app.commands.doctor import doctor
from app.commands.evaluate import evaluate
from app.commands.finetune import finetune
from app.commands.serve import serve
from app.commands.study import app as study
from app.commands.styles import app as styles
from app.commands.stylize import stylize
from app.commands.train import train
from app.commands.train_predictor import train_predictor
from app.commands.worker import worker

app = typer.Typer(
    name="pastiche",
    help="Style transfer: one network, many styles, blended, at any strength.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    serve,
    worker,
    stylize,
    finetune,
    train,
    average,
    distill,
    train_predictor,
    evaluate,
    doctor,
):
    app.command()(command)
app.add_typer(styles, name="styles")
app.add_typer(study, name="study")


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pastiche {version('pastiche')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Style transfer: one network, many styles, blended, at any strength."""


def main() -> None:
    """Run a command: 0 done, 1 failed with a one-line reason, 2 wrong usage."""
    try:
        app()
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        if os.environ.get("PASTICHE_DEBUG"):
            raise
        print(f"pastiche: {reason(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()

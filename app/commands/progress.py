"""A training run in the terminal: a bar with the losses, and a clean stop on a signal."""

import math
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Protocol

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from app.commands.common import error_console

if TYPE_CHECKING:
    from model.training.loop import Progress as Report


class Run(Protocol):
    """`model.training.loop.Loop.run` and the like."""

    def __call__(
        self,
        *,
        on_progress: Callable[["Report"], None],
        should_stop: Callable[[], bool],
    ) -> bool:
        """Whether the end was reached."""


def run_with_progress(run: Run, step: int, steps: int, minutes: float | None = None) -> None:
    """Run until it ends, its time is up, or a signal asks to stop; then exit with 1.

    Parameters
    ----------
    run
        What is to be run.
    step, steps
        Where it stands, and how far it goes.
    minutes
        For how long at most. That it is over is no failure: the caller goes on.
    """
    console = error_console()
    if step:
        console.print(f"resumed at step {step}")
    stopped = False
    reached = step

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    with Progress(
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=console,
    ) as bar:
        line = bar.add_task("", total=steps, completed=step)

        def show(report: "Report") -> None:
            nonlocal reached
            reached = report.step
            losses = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
            bar.update(line, completed=report.step, description=losses)

        finished = run(on_progress=show, should_stop=lambda: stopped or time.monotonic() > deadline)
    if not finished and not stopped:
        console.print(f"time is up at step {reached}; the same command continues")
    elif not finished:
        console.print(f"stopped after step {reached}; the same command continues")
        raise typer.Exit(1)

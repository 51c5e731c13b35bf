"""Before the first picture: a warm-up with noise, and faster paths beside the compute thread."""

import logging
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from app.engine.protocol import BrokenOutputError
from app.engine.workqueue import Work
from model.inference.look import Look
from model.inference.paths import FastPath
from model.inference.stylizer import Stylizer

WARM_UP_SIDE = 256  # px

_logger = logging.getLogger("pastiche.engine")


def noise_work(stylizer: Stylizer) -> Work:
    """A picture of noise, of which nothing is wanted but the time it takes."""
    side = WARM_UP_SIDE
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return Work(noise, Look(stylizer.original.cpu()))


def warm_up(stylizer: Stylizer) -> tuple[int, float]:
    """Stylize noise twice; the pixels and seconds of the second time.

    Raises
    ------
    BrokenOutputError
        The network gives nonsense.
    """
    work = noise_work(stylizer)
    for _ in range(2):  # the first pays for what is set up lazily
        begun = perf_counter()
        for (outcome,) in stylizer.stylize_levels([work.levels], [work.look]):
            if isinstance(outcome, Exception):
                raise BrokenOutputError from outcome
    return work.pixels, perf_counter() - begun


def prepare_fast_paths(
    stylizer: Stylizer,
    fast_paths: Callable[[Stylizer], Iterator[FastPath]],
    wanted: Callable[[], bool],
    on_change: Callable[[], None],
) -> None:
    """Beside the compute thread: whatever goes wrong here, float32 goes on.

    Parameters
    ----------
    wanted
        Whether pictures are still to come.
    on_change
        Called after each path that is used from then on.
    """
    try:
        for path in fast_paths(stylizer):
            if not wanted():
                return
            stylizer.use_fast_path(path)
            on_change()
    except Exception as error:
        _logger.warning("no faster path: %s", str(error).partition("\n")[0][:200])

"""Between two bands: giving up what nobody waits for, and giving way to others."""

from collections.abc import Callable
from time import perf_counter, sleep

GIVING_WAY_S = 0.5  # at most, between two bands: it is to get on, too
GLANCE_S = 0.003


class AbandonedError(Exception):
    """Nobody waits for the running batch any more."""


def give_way(
    let_pass: Callable[[], bool], is_awaited: Callable[[], bool], is_wanted: Callable[[], bool]
) -> None:
    """Let others pass, and have the processor while they are decoded and encoded, for a moment.

    Parameters
    ----------
    let_pass
        Runs a batch of what is ready; false if there is none.
    is_awaited
        Whether somebody waits for a picture, ready or not.
    is_wanted
        Whether the one that gives way is still wanted.
    """
    begun = perf_counter()
    while perf_counter() - begun < GIVING_WAY_S and is_wanted():
        if not let_pass():
            if not is_awaited():
                return
            sleep(GLANCE_S)

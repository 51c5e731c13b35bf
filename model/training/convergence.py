"""When a run of one style gains no more: a window of its curve next to the window before."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from model.training.checkpoint import read_curve

GROUP: Final = 5  # steps between which a run can be stopped, and has its losses reported
WINDOW: Final = 100  # steps: converged when a window gains next to nothing over the one before
LEAST_GAIN: Final = 0.02  # of the total loss, whose mean over a window strays by 1 % by its draws


def has_converged(totals: Sequence[float]) -> bool:
    """Whether the mean total loss of the last window is next to that of the one before."""
    count = WINDOW // GROUP
    if len(totals) < 2 * count:
        return False
    before, last = sum(totals[-2 * count : -count]), sum(totals[-count:])
    return last > (1 - LEAST_GAIN) * before


def read_totals(curve: Path) -> list[float]:
    """The total losses of a curve so far."""
    header, rows = read_curve(curve)
    return [float(row[header.index("total")]) for row in rows]

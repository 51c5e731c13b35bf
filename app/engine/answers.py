"""What came of a batch, as the answer to each picture in it."""

from collections.abc import Sequence
from time import monotonic

from app.engine.protocol import BrokenOutputError, OutOfMemoryError
from app.engine.workqueue import Pastiche, Work
from model.inference.device import NoRoomError
from model.inference.stylizer import Outcome


def answer(
    batch: Sequence[Work], outcomes: Sequence[Outcome], elapsed_s: float, busy_s: float
) -> None:
    """Answer pictures that ran together.

    Parameters
    ----------
    elapsed_s, busy_s
        Seconds since they began to run; of these, what was not taken by pictures that passed.
    """
    begun = monotonic() - elapsed_s
    for work, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, NoRoomError):
            work.fail(OutOfMemoryError(retry_after_s=10))
        elif isinstance(outcome, Exception):
            work.fail(BrokenOutputError())
        else:
            work.finish(Pastiche(outcome, begun - work.enqueued, busy_s, len(batch)))

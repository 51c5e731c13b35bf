"""What waits for the device, and which of it runs next. Pure bookkeeping, guarded by one lock."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from model.inference.look import Look
from model.pictures.levels import Levels

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Pastiche:
    """A finished picture and what it took.

    Parameters
    ----------
    levels
        (H, W, 3).
    queue_s, inference_s
        Seconds it waited, and seconds its batch ran.
    batch
        Pictures in that batch.
    """

    levels: Levels
    queue_s: float
    inference_s: float
    batch: int


@dataclass(eq=False)
class Work:
    """One picture to be stylized.

    Parameters
    ----------
    levels
        (H, W, 3), sRGB.
    look
        How.
    gives_way
        Whether all that do not give way run before it, and pass it while it runs.
    progress
        Told the share that is done, 0 to 1, of one that gives way; called often, must be quick.
    future
        Takes the result; cancelled once nobody waits for it any more.
    enqueued
        Monotonic seconds.
    """

    levels: Levels
    look: Look
    gives_way: bool = False
    progress: Callable[[float], None] = lambda _: None
    future: Future[Pastiche] = field(default_factory=Future)
    enqueued: float = field(default_factory=monotonic)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px."""
        return self.levels.shape[0], self.levels.shape[1]

    @property
    def pixels(self) -> int:
        """Height times width."""
        height, width = self.size
        return height * width

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.done()

    def finish(self, pastiche: Pastiche) -> None:
        """Answer it, if anybody still waits."""
        with suppress(InvalidStateError):  # its client left while it ran
            self.future.set_result(pastiche)

    def fail(self, error: Exception) -> None:
        """Say why there is no picture, if anybody still waits."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


class WorkQueue:
    """Waiting pictures, batched by size alone: styles, blends and strengths mix freely.

    The next to run is the one whose arrival plus expected duration comes first. So a small picture
    overtakes a large one, and a large one is overtaken only for about as long as it runs itself.
    Those that give way come after all others.

    Parameters
    ----------
    batch_pixels
        Most pixels of a batch; a larger picture runs alone.
    """

    def __init__(self, batch_pixels: int) -> None:
        self.batch_pixels = batch_pixels
        self._waiting: list[Work] = []
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting)

    def put(self, work: Work) -> bool:
        """Add one picture; False once the queue is closed, for nobody would take it out."""
        with self._changed:
            if self._closed:
                return False
            self._waiting.append(work)
            self._changed.notify()
            return True

    def close(self) -> list[Work]:
        """Wake whoever waits in `next_batch`; what is left comes back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._drop(lambda _: True)

    def drop_waiting(self) -> list[Work]:
        """Take everything out; it comes back."""
        with self._changed:
            return self._drop(lambda _: True)

    def next_batch(self, pixels_per_s: float) -> list[Work]:
        """Wait for work and take the next batch; an empty list once the queue is closed.

        An idle device never waits: whatever is there runs, and what comes meanwhile gathers into
        the batch after it.
        """
        with self._changed:
            while True:
                if self._closed:
                    return []
                batch = self._take(lambda _: True, pixels_per_s)
                if batch:
                    return batch
                self._changed.wait()

    def urgent_batch(self, max_pixels: int | None, pixels_per_s: float) -> list[Work]:
        """The next batch that gives way to none, without waiting.

        Parameters
        ----------
        max_pixels
            Most pixels of each picture in it; none, any.
        """

        def is_urgent(work: Work) -> bool:
            return not work.gives_way and (max_pixels is None or work.pixels <= max_pixels)

        with self._changed:
            return self._take(is_urgent, pixels_per_s)

    def _take(self, wanted: Callable[[Work], bool], pixels_per_s: float) -> list[Work]:
        self._drop(lambda work: work.abandoned)
        candidates = sorted(
            (work for work in self._waiting if wanted(work)),
            key=lambda work: (work.gives_way, work.enqueued + work.pixels / pixels_per_s),
        )
        if not candidates:
            return []
        first = candidates[0]
        room = max(1, self.batch_pixels // first.pixels)
        alike = (first.size, first.gives_way)
        batch = [work for work in candidates if (work.size, work.gives_way) == alike][:room]
        self._remove(batch)
        return batch

    def _drop(self, unwanted: Callable[[Work], bool]) -> list[Work]:
        dropped = [work for work in self._waiting if unwanted(work)]
        self._remove(dropped)
        return dropped

    def _remove(self, works: Iterable[Work]) -> None:
        gone = set(map(id, works))
        if gone:
            self._waiting = [work for work in self._waiting if id(work) not in gone]

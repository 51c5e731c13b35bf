"""Admission: how many pictures and pixels may be under way, and when to come back."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.engine.pace import Pace
from app.engine.protocol import OverloadedError

MAX_RETRY_AFTER_S = 120
PASSING_RATIO = 4  # a picture lets those pass that are this many times smaller
QUEUE_SHARE = 0.5  # of the deadline; the rest is for what the estimate gets wrong
FIRST_GUESS_PIXELS_PER_S = 250_000.0  # of two CPU cores; warm-up replaces it


class Admission:
    """Counts pictures and pixels from admission to answer.

    Parameters
    ----------
    max_requests, max_pixels
        Bounds on what is under way at once. A single picture is always admitted.
    deadline_s
        What would take more than half of it is refused rather than kept waiting in vain.
    on_change
        Told how many pictures there are, whenever that changes; must be quick.
    """

    def __init__(
        self,
        max_requests: int,
        max_pixels: int,
        deadline_s: float,
        on_change: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.max_requests = max_requests
        self.max_pixels = max_pixels
        self.deadline_s = deadline_s
        self.pixels = 0
        self.pace = Pace(FIRST_GUESS_PIXELS_PER_S)
        self._on_change = on_change
        self._under_way: list[int] = []  # the pixels of each picture
        self._giving_way = 0
        self._lock = threading.Lock()

    @property
    def requests(self) -> int:
        """Pictures under way."""
        return len(self._under_way)

    @property
    def pixels_per_s(self) -> float:
        """The device's speed."""
        return self.pace.pixels_per_s

    def check_open(self) -> None:
        """Refuse what comes on top of a full house.

        Raises
        ------
        OverloadedError
            With the seconds after which there should be room again.
        """
        self._check(1)

    @contextmanager
    def admit(self, pixels: int) -> Iterator[None]:
        """Count a picture as under way until the context ends.

        Raises
        ------
        OverloadedError
            It would be too much.
        """
        with self._lock:
            self._check(pixels)
            self._under_way.append(pixels)
            self.pixels += pixels
            self._on_change(self.requests + self._giving_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.remove(pixels)
                self.pixels -= pixels
                self._on_change(self.requests + self._giving_way)

    @contextmanager
    def give_way(self) -> Iterator[None]:
        """Count a picture that gives way to all others: under way, but in nobody's way."""
        with self._lock:
            self._giving_way += 1
            self._on_change(self.requests + self._giving_way)
        try:
            yield
        finally:
            with self._lock:
                self._giving_way -= 1
                self._on_change(self.requests + self._giving_way)

    def observe(self, pixels: int, seconds: float) -> None:
        """Learn the device's speed from a batch."""
        self.pace.observe(pixels, seconds)

    def retry_after_s(self) -> int:
        """Seconds until about half of what is under way will be done; 1 to 120."""
        wait = self.pixels / 2 / self.pixels_per_s
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(wait)))

    def _check(self, pixels: int) -> None:
        full = self.requests >= self.max_requests or self.pixels + pixels > self.max_pixels
        # A much smaller picture passes a large one, so of that it waits for a part alone.
        ahead = sum(min(other, PASSING_RATIO * pixels) for other in self._under_way)
        late = (ahead + pixels) / self.pixels_per_s > self.deadline_s * QUEUE_SHARE
        if self._under_way and (full or late):
            raise OverloadedError(self.retry_after_s())

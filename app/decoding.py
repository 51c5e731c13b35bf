"""Decoding uploads: whose turn it is, and how many pixels lie in memory at once.

What a decoder costs is the file's matter, not that of the picture wanted of it: a WebP of 2 kB may
hold 50 megapixels, of which a client wants 64 px. And a decoder cannot be interrupted: what it
holds comes back when it is done, not when its client has gone.
"""

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Generic, ParamSpec, TypeVar

from app.engine.admission import Admission
from app.pools import Pool

FIRST_GUESS_PIXELS_PER_S = 20_000_000.0  # of lossy WebP; what is decoded replaces it
SMALL_PIXELS = 2_000_000  # a tenth of a second: never waits for what is larger

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Timed(Generic[T]):
    """What a call gave, and how long it waited and ran, in seconds."""

    value: T
    waited_s: float
    took_s: float


@dataclass(eq=False)
class _Ticket:
    pixels: int
    due: float  # arrival plus expected duration: who comes first by it has the next turn
    held: ExitStack  # given back when the thread is done
    turn: "asyncio.Future[None]" = field(default_factory=asyncio.Future)


class Decoders:
    """Threads that decode, for one event loop.

    Large files take turns: together they stay within ``max_pixels``, and leave a thread to small
    ones. How much may wait is bounded by the time it would take.

    Parameters
    ----------
    threads
        How many at once.
    max_pixels
        Most pixels of large files at once; a single one always has its turn.
    max_requests
        Most files waiting and being decoded.
    deadline_s
        Of requests; what would wait for half of it is refused.
    """

    def __init__(self, threads: int, max_pixels: int, max_requests: int, deadline_s: float) -> None:
        self.max_pixels = max_pixels
        # Pixels that wait cost no memory: their files lie in the spool. Time bounds them.
        self.admission = Admission(max_requests, max_requests * max_pixels, deadline_s)
        self.admission.pace.pixels_per_s = FIRST_GUESS_PIXELS_PER_S
        self._threads = threads
        self._pool = Pool(threads, "decode")
        self._waiting: list[_Ticket] = []
        self._running: list[_Ticket] = []

    async def run(
        self, pixels: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Timed[T]:
        """Call a function that decodes a file of so many pixels.

        Raises
        ------
        OverloadedError
            At once: too much is waiting.
        """
        begun = perf_counter()
        with ExitStack() as stack:
            stack.enter_context(self.admission.admit(pixels))
            due = monotonic() + pixels / self.admission.pixels_per_s
            ticket = _Ticket(pixels, due, stack.pop_all())
        self._waiting.append(ticket)
        self._give_turns()
        try:
            await ticket.turn
        except BaseException:  # its client has gone, or its time is over
            self._give_back(ticket)
            raise
        waited = perf_counter() - begun

        def timed() -> Timed[T]:
            begun = perf_counter()
            if pixels > SMALL_PIXELS:
                _trim_memory()  # what all threads have freed, or it would lie beside the picture
            value = call(*args, **kwargs)
            return Timed(value, waited, perf_counter() - begun)

        loop = asyncio.get_running_loop()
        future = self._pool.submit(timed)

        def done(_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._give_back, ticket)

        future.add_done_callback(done)
        result = await asyncio.wrap_future(future)
        if pixels > SMALL_PIXELS:  # of small ones most time is not the pixels'
            self.admission.observe(pixels, result.took_s)
        return result

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.close()

    def _give_turns(self) -> None:
        for ticket in sorted(self._waiting, key=lambda ticket: ticket.due):
            if self._has_room(ticket):
                self._waiting.remove(ticket)
                self._running.append(ticket)
                ticket.turn.set_result(None)

    def _has_room(self, ticket: _Ticket) -> bool:
        if len(self._running) >= self._threads or ticket.turn.done():
            return False
        if ticket.pixels <= SMALL_PIXELS:
            return True
        large = [other.pixels for other in self._running if other.pixels > SMALL_PIXELS]
        within = sum(large) + ticket.pixels <= self.max_pixels
        return not large or (len(large) < self._threads - 1 and within)

    def _give_back(self, ticket: _Ticket) -> None:
        for tickets in (self._waiting, self._running):
            if ticket in tickets:
                tickets.remove(ticket)
        ticket.held.close()
        self._give_turns()


def _trim_memory() -> None:
    """Give freed memory back to the system: glibc keeps blocks of up to 32 MB for each thread."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)

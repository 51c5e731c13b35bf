"""Threads for what must not run on the event loop, and seats for what is bounded in number."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """Threads for what must not run on the event loop.

    Parameters
    ----------
    threads
        How many at once; further calls wait. How many can wait is bounded by admission.
    name
        Of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"pastiche-{name}")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on one of the threads; cancelling drops it if it has not begun."""
        return await asyncio.wrap_future(self.submit(call, *args, **kwargs))

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The same, for who wants to know when it has ended: a running call cannot be cancelled."""
        return self._executor.submit(call, *args, **kwargs)

    def close(self) -> None:
        """Drop what waits, let go of the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def start_thread(name: str, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Thread:
    """A thread of its own that the process's end does not wait for, started."""
    thread = Thread(target=call, args=args, kwargs=kwargs, name=f"pastiche-{name}", daemon=True)
    thread.start()
    return thread


class NoSeatError(Exception):
    """All seats are taken.

    Parameters
    ----------
    retry_after_s
        Whole seconds after which to try again.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class Seats:
    """A bound on how many of something there are at once; for one event loop.

    Parameters
    ----------
    count
        How many.
    """

    def __init__(self, count: int) -> None:
        self.free = count

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take a seat until the context ends.

        Raises
        ------
        NoSeatError
            There is none.
        """
        if self.free < 1:
            raise NoSeatError(retry_after_s=10)
        self.free -= 1
        try:
            yield
        finally:
            self.free += 1

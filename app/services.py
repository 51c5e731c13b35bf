"""What a running application consists of, and how a route comes by it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated, ParamSpec, TypeVar

from fastapi import Depends, Request

from app.engine.protocol import Engine, LoadingError
from app.jobs.desk import Jobs
from app.library import SharedLibrary
from app.metrics import Metrics
from app.settings import Settings

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
        return await asyncio.wrap_future(self._executor.submit(call, *args, **kwargs))

    def close(self) -> None:
        """Drop what waits, let go of the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)


@dataclass
class Services:
    """One application's parts, made by `app.main.create_app`.

    Parameters
    ----------
    codec
        Decodes and encodes pictures.
    headers
        Reads the sizes of pictures: quick, so that a refusal never waits behind a decoder.
    jobs
        Styles being learned, by another process.
    disk
        The library, one call at a time.
    desk
        The jobs: a database that hangs holds up nothing else.
    streams
        Clients that watch a job.
    library
        None until the network is loaded: a style belongs to one network.
    """

    settings: Settings
    metrics: Metrics
    engine: Engine
    codec: Pool
    jobs: Jobs
    headers: Pool = field(default_factory=lambda: Pool(1, "headers"))
    disk: Pool = field(default_factory=lambda: Pool(1, "disk"))
    desk: Pool = field(default_factory=lambda: Pool(2, "desk"))
    library: SharedLibrary | None = None
    streams: int = 0

    @property
    def styles(self) -> SharedLibrary:
        """The library.

        Raises
        ------
        LoadingError
            The network is not loaded yet.
        """
        if self.library is None:
            raise LoadingError(retry_after_s=2)
        return self.library

    def close(self) -> None:
        """Let go of all threads but the engine's."""
        for pool in (self.codec, self.headers, self.disk, self.desk):
            pool.close()
        self.jobs.close()


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


InjectedServices = Annotated[Services, Depends(_services)]

"""Giving up when nobody waits: deadlines, and clients that have gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from app.engine.protocol import DeadlineError
from app.web.errors import ClientGoneError

T = TypeVar("T")


async def give_up_in_time(request: Request, work: Coroutine[Any, Any, T], deadline_s: float) -> T:
    """Run work until it is done, its time is over, or its client has gone.

    A closed connection cancels nothing by itself: only who listens for it hears of it.

    Raises
    ------
    DeadlineError
        Not done in time.
    ClientGoneError
        The client has closed the connection.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_wait_until_gone(request))
    try:
        await asyncio.wait({task, gone}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientGoneError
        raise DeadlineError(retry_after_s=10)
    finally:
        for future in (task, gone):
            future.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

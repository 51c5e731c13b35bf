"""Server-sent events of something that takes its time: what has been told is not told again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi.sse import ServerSentEvent

from app.events import Event, EventReader
from app.pools import Pool

LOOK_S = 0.4  # between two looks for news
RETRY_MS = 2000  # after which a browser connects again
LAST_ID = "end"  # of the final state


@dataclass(frozen=True)
class Standing:
    """Where something stands.

    Parameters
    ----------
    finished
        Whether nothing more will come of it.
    news
        Its state, and what goes with it; told whenever it changes.
    """

    finished: bool
    news: dict[str, Any]


def known_id(last_event_id: str | None) -> int:
    """The number of the last event that a client has had; 0, none."""
    return int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0


async def tell_events(
    reader: EventReader,
    pool: Pool,
    look: Callable[[], Awaitable[Standing]],
    to_data: Callable[[Event], Any],
    last_event_id: str | None,
    ending: Callable[[], bool],
) -> AsyncIterator[ServerSentEvent]:
    """Events as they come, and each new state, until all is told or the server ends.

    Parameters
    ----------
    reader
        Of the events, from `known_id` on.
    pool
        Reads them.
    look
        Where it stands now.
    to_data
        An event as clients see it.
    ending
        Whether the server is ending.
    """
    told: dict[str, Any] | None = None
    yield ServerSentEvent(retry=RETRY_MS, comment="events")
    while True:
        # The state first: what was written before the end is then read before the end is told.
        standing = await look()
        if last_event_id != LAST_ID:
            for event in await pool.run(reader.read):
                yield ServerSentEvent(event=event.name, id=str(event.id), data=to_data(event))
        if standing.news != told:
            told = standing.news
            id_ = LAST_ID if standing.finished else None
            yield ServerSentEvent(event="state", id=id_, data=told)
        if standing.finished or ending():
            return
        await asyncio.sleep(LOOK_S)

"""The calls that have styles learned, as ``design/api.md`` has them, with a job led by the test."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Header, UploadFile
from fastapi.responses import StreamingResponse

JOB = "job-1"
Event = tuple[str, dict[str, Any]]


class FakeJobs:
    """One job. What the test appends to ``events`` is sent to whoever listens."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.title = ""
        self.keys: list[str] = []
        self.resumed_from: list[str] = []
        self.hang_up_after: int | None = None

    def install(self, app: FastAPI) -> None:
        """Put the routes before an application's own."""
        router = APIRouter()
        router.post("/v1/styles", status_code=202)(self._create)
        router.get("/v1/jobs")(self._list)
        router.get(f"/v1/jobs/{JOB}/events")(self._stream)
        router.post(f"/v1/jobs/{JOB}/cancel")(self._cancel)
        own = list(app.router.routes)
        app.include_router(router)
        routes = app.router.routes
        routes[:] = [route for route in routes if route not in own] + own

    def _job(self) -> dict[str, Any]:
        return {"id": JOB, "title": self.title, "state": "queued"}

    async def _create(
        self,
        image: UploadFile,
        title: Annotated[str, Form()],
        idempotency_key: Annotated[str, Header()],
        photo: UploadFile | None = None,
    ) -> dict[str, Any]:
        assert image.size
        assert photo is None or photo.size
        self.title = title
        self.keys.append(idempotency_key)
        return self._job()

    async def _list(self) -> dict[str, Any]:
        return {"jobs": [self._job()] if self.title else []}

    async def _cancel(self) -> None:
        self.events.append(("state", {"state": "cancelled"}))

    async def _stream(
        self, last_event_id: Annotated[str | None, Header()] = None
    ) -> StreamingResponse:
        if last_event_id is not None:
            self.resumed_from.append(last_event_id)
        return StreamingResponse(
            self._send(int(last_event_id or 0)), media_type="text/event-stream"
        )

    async def _send(self, sent: int) -> AsyncIterator[str]:
        yield "retry: 50\n\n"
        while True:
            while sent < len(self.events):
                kind, data = self.events[sent]
                sent += 1
                yield f"id: {sent}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
                if kind == "state" and data["state"] != "running":
                    return
                if sent == self.hang_up_after:
                    self.hang_up_after = None
                    return
            await asyncio.sleep(0.02)

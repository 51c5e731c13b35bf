"""``/v1/jobs``: styles being learned, watched live."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.engine.protocol import EngineState
from app.services import InjectedServices, Services
from app.web.errors import ApiError, problem_responses
from app.web.schemas import STYLE_ID_PATTERN, JobInfo, JobList
from app.web.security import KeyRequired

LOOK_S = 0.4  # between two looks for news
RETRY_MS = 2000  # after which a browser connects again
MAX_STREAMS = 200
LAST_ID = "end"  # of the final state
PREVIEW_TYPE = "image/webp"

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobIdInPath = Annotated[
    str, Path(description="A job's id.", json_schema_extra={"pattern": STYLE_ID_PATTERN})
]


@router.get(
    "",
    summary="All jobs",
    responses=problem_responses(503),
    response_model_exclude_none=True,
)
async def list_jobs(services: InjectedServices) -> JobList:
    """Those under way, and those of the last week, newest first."""
    return JobList(jobs=await services.desk.run(services.jobs.all))


@router.get(
    "/{id}",
    summary="One job",
    responses=problem_responses(404, 503),
    response_model_exclude_none=True,
)
async def describe_job(id: JobIdInPath, services: InjectedServices) -> JobInfo:
    """Its state and, while it runs, how far it is."""
    return await services.desk.run(services.jobs.find, id)


@router.post(
    "/{id}/cancel",
    summary="Cancel a job",
    responses=problem_responses(403, 404, 503),
    response_model_exclude_none=True,
    dependencies=[KeyRequired],
)
async def cancel_job(id: JobIdInPath, services: InjectedServices) -> JobInfo:
    """Stop it within a second or so; one that has ended stays as it is."""
    return await services.desk.run(services.jobs.cancel, id)


@router.get(
    "/{id}/preview",
    summary="A job's preview",
    response_class=Response,
    responses={
        200: {
            "description": "The picture.",
            "content": {PREVIEW_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problem_responses(404, 503),
    },
)
async def preview_job(id: JobIdInPath, services: InjectedServices) -> Response:
    """A photo in the style as it is so far; gone once the job has ended."""
    job = await services.desk.run(services.jobs.find, id)
    try:
        data = await services.desk.run(services.jobs.files(job.id).preview.read_bytes)
    except OSError:
        raise ApiError(404, "no_preview", "The job has no preview now.") from None
    return Response(data, media_type=PREVIEW_TYPE, headers={"Cache-Control": "no-store"})


async def _open_stream(id: JobIdInPath, services: InjectedServices) -> AsyncIterator[JobInfo]:
    """The job, refused here where refusals can still be answered."""
    if services.streams >= MAX_STREAMS:
        raise ApiError(
            503, "too_many_streams", "Too many clients watch jobs already.", retry_after_s=10
        )
    job = await services.desk.run(services.jobs.find, id)
    services.streams += 1
    try:
        yield job
    finally:
        services.streams -= 1


@router.get(
    "/{id}/events",
    summary="A job's events",
    response_class=EventSourceResponse,
    responses=problem_responses(404, 503),
)
async def watch_job(
    services: InjectedServices,
    job: Annotated[JobInfo, Depends(_open_stream)],
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="What follows it is sent.")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: ``progress``, ``preview`` and ``state``. Ends when the job has ended."""
    known = int(last_event_id) if last_event_id and last_event_id.isdecimal() else 0
    reader = services.jobs.files(job.id).reader(known)
    state = ""
    yield ServerSentEvent(retry=RETRY_MS, comment="events of a job")
    while True:
        # The state first: what was written before a job ended is then read before it is told.
        with suppress(ApiError):  # a database that is slow to answer: the last state stands
            job = await services.desk.run(services.jobs.find, job.id)
        if last_event_id != LAST_ID:
            for event in await services.desk.run(reader.read):
                yield ServerSentEvent(event=event.name, id=str(event.id), data=event.data)
        if job.state != state:
            state = job.state
            yield ServerSentEvent(
                event="state", id=LAST_ID if job.finished else None, data=_news(job)
            )
        if job.finished or _ending(services):
            return
        await asyncio.sleep(LOOK_S)


def _news(job: JobInfo) -> dict[str, str]:
    members = {"state": job.state, "style": job.style, "reason": job.reason}
    return {name: value for name, value in members.items() if value is not None}


def _ending(services: Services) -> bool:
    return services.engine.state in (EngineState.DRAINING, EngineState.FAILED)

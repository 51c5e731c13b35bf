"""``/v1/jobs``: styles being learned, watched live."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.events import Event
from app.jobs.errors import JobError
from app.jobs.job import Job
from app.services import InjectedServices
from app.web.errors import problem_responses
from app.web.schemas import STYLE_ID_PATTERN, JobInfo, JobList
from app.web.security import EarlyRefusal, KeyRequired
from app.web.watching import Standing, known_id, tell_events

PREVIEW_TYPE = "image/webp"

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=EarlyRefusal)

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
    jobs = await services.jobs_pool.run(services.jobs.all)
    return JobList(jobs=[describe(job) for job in jobs])


@router.get(
    "/{id}",
    summary="One job",
    responses=problem_responses(404, 503),
    response_model_exclude_none=True,
)
async def describe_job(id: JobIdInPath, services: InjectedServices) -> JobInfo:
    """Its state and, while it runs, how far it is."""
    return describe(await services.jobs_pool.run(services.jobs.find, id))


@router.post(
    "/{id}/cancel",
    summary="Cancel a job",
    responses=problem_responses(403, 404, 503),
    response_model_exclude_none=True,
    dependencies=[KeyRequired],
)
async def cancel_job(id: JobIdInPath, services: InjectedServices) -> JobInfo:
    """Stop it within a second or so; one that has ended stays as it is."""
    return describe(await services.jobs_pool.run(services.jobs.cancel, id))


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
    data = await services.jobs_pool.run(services.jobs.preview, id)
    return Response(data, media_type=PREVIEW_TYPE, headers={"Cache-Control": "no-store"})


async def _open_stream(id: JobIdInPath, services: InjectedServices) -> AsyncIterator[Job]:
    """The job, refused here where refusals can still be answered."""
    with services.watchers.taken():  # before the first wait, or a burst would pass the bound
        yield await services.jobs_pool.run(services.jobs.find, id)


@router.get(
    "/{id}/events",
    summary="A job's events",
    response_class=EventSourceResponse,
    responses=problem_responses(404, 503),
)
async def watch_job(
    services: InjectedServices,
    job: Annotated[Job, Depends(_open_stream)],
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="What follows it is sent.")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: ``progress``, ``preview`` and ``state``. Ends when the job has ended."""
    last = job

    async def look() -> Standing:
        nonlocal last
        with suppress(JobError):  # a database that is slow to answer: the last state stands
            last = await services.jobs_pool.run(services.jobs.find, job.id)
        return Standing(last.finished, _news(last))

    reader = services.jobs.files(job.id).events.reader(known_id(last_event_id))
    told = tell_events(
        reader,
        services.jobs_pool,
        look,
        lambda event: _with_address(event, job) if event.name == "preview" else event.data,
        last_event_id,
        lambda: services.ending,
    )
    async for event in told:
        yield event


def describe(job: Job) -> JobInfo:
    """A job as clients see it."""
    preview = f"{job_address(job)}/preview" if job.has_preview else None
    return JobInfo(**asdict(job), style=job.style, preview=preview)


def job_address(job: Job) -> str:
    """Where a job is found."""
    return f"{router.prefix}/{job.id}"


def _with_address(event: Event, job: Job) -> dict[str, Any]:
    """Where the preview is; each has an address of its own, so that none is taken for another."""
    if "step" not in event.data:  # written by an earlier version, address and all
        return event.data
    return {"preview": f"{job_address(job)}/preview?step={event.data['step']}"}


def _news(job: Job) -> dict[str, str]:
    members = {"state": job.state, "style": job.style, "reason": job.reason}
    return {name: value for name, value in members.items() if value is not None}

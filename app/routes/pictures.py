"""``/v1/pictures``: photos too large to be painted while a request waits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import time
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Depends, Form, Header, Path, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.pictures.errors import UnknownPictureError
from app.pictures.order import PictureJob, PictureOrder
from app.prediction import predict_uploads, read_wanted_blend
from app.rendering import check_output, output_format
from app.services import InjectedServices, Services
from app.web.answers import picture_answer, size_headers
from app.web.errors import problem_responses
from app.web.fields import Absent, MaxSide, PhotoField, PictureFields, WantedPicture
from app.web.forms import check_form, decode_upload, measure_upload, read_upload
from app.web.schemas import PICTURE_ID_PATTERN, PictureInfo
from app.web.security import EarlyRefusal, KeyRequiredToStylize, RoomToKeepRequired
from app.web.waiting import give_up_in_time
from app.web.watching import Standing, known_id, tell_events
from model.pictures.picture import MEDIA_TYPES, fitted_size
from model.styles.style import MAX_MIX

PREFIX = "/v1/pictures"
MAX_FIELDS = 16
PREVIEW_TYPE = "image/webp"
TRIAL_SIDE = 64  # px; decoding a photo so small finds out all the same whether it is whole
CHUNK_BYTES = 262_144

router = APIRouter(prefix=PREFIX, tags=["pictures"], route_class=EarlyRefusal)

PictureIdInPath = Annotated[
    str, Path(description="A picture's id.", json_schema_extra={"pattern": PICTURE_ID_PATTERN})
]
_accepted: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The picture, queued.",
        "headers": {
            "Location": {"description": "Of the picture.", "schema": {"type": "string"}},
        },
    }
}


@router.post(
    "",
    summary="Order a large picture",
    status_code=202,
    response_model_exclude_none=True,
    responses={**_accepted, **problem_responses(403, 409, 413, 415, 429, 503, 507)},
    dependencies=[Depends(check_form), KeyRequiredToStylize, RoomToKeepRequired],
    form_limits={"max_fields": MAX_FIELDS, "max_files": MAX_MIX + 2, "max_part_size": 65_536},
)
async def order_picture(
    request: Request,
    response: Response,
    services: InjectedServices,
    image: PhotoField,
    wanted: WantedPicture,
    max_side: Annotated[
        MaxSide | Absent,
        Form(description="Longest side of the result in px; left out, the photo's own size."),
    ] = None,
) -> PictureInfo:
    """Queue a picture of any size. It survives restarts of the server.

    Photo and result are kept until the result was fetched, an hour at most, then deleted.
    """
    work = _submit(services, image, wanted, max_side)
    job = await give_up_in_time(request, work, services.settings.deadline_s)
    services.painter.wake()
    response.headers["Location"] = _address(job)
    return describe(job)


async def _submit(
    services: Services, image: PhotoField, wanted: PictureFields, max_side: int | None
) -> PictureJob:
    max_bytes, limits = services.settings.max_upload_bytes, services.settings.picture_limits
    weights, images = read_wanted_blend(wanted)
    predicted = await predict_uploads(services, images)
    code = await services.library_pool.run(services.styles.code, weights, predicted)
    size = await services.header_pool.run(measure_upload, image, max_bytes, limits)
    width, height = size if max_side is None else fitted_size(size, max_side)
    check_output(width, height, wanted.format)
    trial = await services.decoders.run(
        size[0] * size[1], decode_upload, image, max_bytes, limits, TRIAL_SIDE
    )
    format = wanted.format or output_format(trial.value)
    check_output(width, height, format)
    order = PictureOrder(
        created=time(),
        network=services.engine.fingerprint,
        strength=wanted.strength,
        preserve_color=wanted.preserve_color,
        format=format,
        quality=wanted.quality,
        width=width,
        height=height,
        photo_width=size[0],
        photo_height=size[1],
    )
    photo = await services.pictures_pool.run(read_upload, image.file, max_bytes)
    numbers = code.numpy().astype("<f4").tobytes()
    return await services.pictures_pool.run(services.pictures.submit, order, photo, numbers)


@router.get(
    "/{id}",
    summary="One large picture",
    responses=problem_responses(404),
    response_model_exclude_none=True,
)
async def describe_picture(id: PictureIdInPath, services: InjectedServices) -> PictureInfo:
    """Its state, how far it is, and when it will have gone."""
    return describe(await services.pictures_pool.run(services.pictures.find, id))


@router.post(
    "/{id}/cancel",
    summary="Cancel a large picture",
    responses=problem_responses(403, 404, 507),
    response_model_exclude_none=True,
    dependencies=[KeyRequiredToStylize],
)
async def cancel_picture(id: PictureIdInPath, services: InjectedServices) -> PictureInfo:
    """Stop it within a second or so; its photo is deleted. One that has ended stays as it is."""
    return describe(await services.pictures_pool.run(services.pictures.cancel, id))


@router.delete(
    "/{id}",
    summary="Delete a large picture",
    status_code=204,
    responses=problem_responses(403, 404),
    dependencies=[KeyRequiredToStylize],
)
async def remove_picture(id: PictureIdInPath, services: InjectedServices) -> None:
    """Delete all there is of it: photo, result, state. It is stopped if it runs."""
    await services.pictures_pool.run(services.pictures.remove, id)


@router.get(
    "/{id}/preview",
    summary="A small picture of a large one",
    response_class=Response,
    responses={
        200: {
            "description": "The picture.",
            "content": {PREVIEW_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        **problem_responses(404),
    },
)
async def preview_picture(id: PictureIdInPath, services: InjectedServices) -> Response:
    """What it will look like, a moment after it was begun."""
    data = await services.pictures_pool.run(services.pictures.preview, id)
    return Response(data, media_type=PREVIEW_TYPE, headers={"Cache-Control": "no-store"})


@router.get(
    "/{id}/result",
    summary="A large picture's result",
    response_class=StreamingResponse,
    responses={200: picture_answer("The stylized picture."), **problem_responses(404, 409)},
)
async def fetch_result(
    id: PictureIdInPath, request: Request, services: InjectedServices
) -> StreamingResponse:
    """The picture itself. A minute after it was fetched in full, all of it is deleted."""
    job, file = await services.pictures_pool.run(services.pictures.open_result, id)
    order = job.order
    length = file.seek(0, 2)
    headers = {
        "Content-Length": str(length),
        "Cache-Control": "no-store",
        **size_headers((order.width, order.height), (order.photo_width, order.photo_height)),
    }
    body = _stream(request, services, job.id, file)
    return StreamingResponse(body, media_type=MEDIA_TYPES[order.format], headers=headers)


async def _stream(
    request: Request, services: Services, id_: str, file: BinaryIO
) -> AsyncIterator[bytes]:
    """The file, in pieces; once all of it has gone to its client, it counts as fetched."""
    with file:
        file.seek(0)
        if request.scope["pastiche.headers_only"]:
            return
        while chunk := await services.pictures_pool.run(file.read, CHUNK_BYTES):
            yield chunk  # of a client that goes, this is the last thing that is heard here
    await services.pictures_pool.run(services.pictures.mark_fetched, id_)


async def _open_stream(
    id: PictureIdInPath, services: InjectedServices
) -> AsyncIterator[PictureJob]:
    """The picture, refused here where refusals can still be answered."""
    with services.watchers.taken():  # before the first wait, or a burst would pass the bound
        yield await services.pictures_pool.run(services.pictures.find, id)


@router.get(
    "/{id}/events",
    summary="A large picture's events",
    response_class=EventSourceResponse,
    responses=problem_responses(404, 503),
)
async def watch_picture(
    services: InjectedServices,
    job: Annotated[PictureJob, Depends(_open_stream)],
    last_event_id: Annotated[
        str | None, Header(max_length=100, description="What follows it is sent.")
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: ``progress``, ``preview`` and ``state``. Ends when the picture has."""
    preview = f"{_address(job)}/preview"

    async def look() -> Standing:
        try:
            found = await services.pictures_pool.run(services.pictures.find, job.id)
        except UnknownPictureError:  # deleted, or its hour is over
            return Standing(True, {"state": "gone"})
        news = describe(found).model_dump(include={"state", "reason", "result"}, exclude_none=True)
        return Standing(found.finished, news)

    told = tell_events(
        services.pictures.files(job.id).events.reader(known_id(last_event_id)),
        services.pictures_pool,
        look,
        lambda event: {"preview": preview} if event.name == "preview" else event.data,
        last_event_id,
        lambda: services.ending,
    )
    async for event in told:
        yield event


def describe(job: PictureJob) -> PictureInfo:
    """A picture as clients see it."""
    order, address = job.order, _address(job)
    shrunk = (order.width, order.height) != (order.photo_width, order.photo_height)
    return PictureInfo(
        id=job.id,
        state=job.state,
        width=order.width,
        height=order.height,
        shrunk_from=f"{order.photo_width}x{order.photo_height}" if shrunk else None,
        created=_moment(order.created),
        expires=_moment(job.expires),
        percent=job.percent,
        eta_s=None if job.eta_s is None else round(job.eta_s, 1),
        reason=job.reason,
        preview=f"{address}/preview" if job.has_preview else None,
        result=f"{address}/result" if job.state == "done" else None,
    )


def _address(job: PictureJob) -> str:
    return f"{PREFIX}/{job.id}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

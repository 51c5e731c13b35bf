"""``/v1/styles``: the library, its previews and its portable files."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from app.jobs.errors import JobsUnavailableError
from app.library import Entry, StylePicture
from app.rendering import check_style, render_style_preview
from app.services import InjectedServices
from app.web.errors import problem_responses
from app.web.fields import check_new_id
from app.web.forms import read_body
from app.web.schemas import STYLE_ID_PATTERN, StyleInfo, StyleList
from app.web.security import EarlyRefusal, KeyRequired
from model.styles.style_file import MAX_STYLE_FILE_BYTES

PICTURE_TYPE = "image/webp"
FILE_TYPE = "application/octet-stream"

router = APIRouter(prefix="/v1/styles", tags=["styles"], route_class=EarlyRefusal)

StyleIdInPath = Annotated[
    str,
    Path(
        description="A style's id.",
        json_schema_extra={"pattern": STYLE_ID_PATTERN},
        examples=["starry-night"],
    ),
]
KnownTag = Annotated[str | None, Header(alias="If-None-Match", max_length=1000)]
Revision = Annotated[
    str | None,
    Query(max_length=64, description="That of the style; browsers then need not ask again."),
]
_binary = {"schema": {"type": "string", "format": "binary"}}
_picture: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {PICTURE_TYPE: _binary}},
    304: {"description": "Unchanged, by If-None-Match."},
}


@router.get("", summary="The library", responses=problem_responses(503))
async def list_styles(services: InjectedServices) -> StyleList:
    """All styles: custom ones first, newest first, then built-in ones, best first.

    Before them come those that need a retune.
    """
    entries = await services.library_pool.run(services.styles.list)
    return StyleList(styles=[describe(entry) for entry in entries])


@router.get("/{id}", summary="One style", responses=problem_responses(404, 503))
async def describe_style(id: StyleIdInPath, services: InjectedServices) -> StyleInfo:
    """What people should know of a style."""
    return describe(await services.library_pool.run(services.styles.describe, id))


@router.get(
    "/{id}/preview",
    summary="A style's preview",
    response_class=Response,
    responses={**_picture, **problem_responses(404, 503)},
)
async def preview_style(
    id: StyleIdInPath,
    services: InjectedServices,
    known: KnownTag = None,
    revision: Revision = None,
) -> Response:
    """A picture that the network rendered in this style."""
    preview = await services.library_pool.run(services.styles.preview, id)
    return _answer_picture(preview, known, revision)


@router.get(
    "/{id}/painting",
    summary="What a style comes from",
    response_class=Response,
    responses={**_picture, **problem_responses(404, 503)},
)
async def show_painting(
    id: StyleIdInPath,
    services: InjectedServices,
    known: KnownTag = None,
    revision: Revision = None,
) -> Response:
    """A picture of the work: of a built-in style's no side above 160 px, else above 1,024 px."""
    painting = await services.library_pool.run(services.styles.painting, id)
    return _answer_picture(painting, known, revision)


@router.get(
    "/{id}/file",
    summary="A style's portable file",
    response_class=Response,
    responses={
        200: {"description": "The file.", "content": {FILE_TYPE: _binary}},
        **problem_responses(404, 503),
    },
)
async def export_style(id: StyleIdInPath, services: InjectedServices) -> Response:
    """The style as a file that any server of the same network can import."""
    data = await services.library_pool.run(services.styles.pack, id)
    disposition = f'attachment; filename="{id}.safetensors"'  # an id that exists: no quotes in it
    return Response(data, media_type=FILE_TYPE, headers={"Content-Disposition": disposition})


@router.put(
    "/{id}/file",
    summary="Import a style file",
    responses={
        200: {"description": "It replaced the custom style of this id."},
        201: {"description": "It is a new custom style.", "model": StyleInfo},
        **problem_responses(403, 409, 413, 429, 503, 507),
    },
    openapi_extra={"requestBody": {"required": True, "content": {FILE_TYPE: _binary}}},
    dependencies=[KeyRequired],
)
async def import_style(
    id: StyleIdInPath, request: Request, response: Response, services: InjectedServices
) -> StyleInfo:
    """Store a style file under this id; refused if it is damaged, or the network cannot use it."""
    check_new_id(id)
    data = await read_body(request, MAX_STYLE_FILE_BYTES, "A style file")
    style = await services.library_pool.run(services.styles.check_file, id, data)
    await check_style(services, style)
    preview = await render_style_preview(services, style)
    entry, created = await services.library_pool.run(services.styles.store, style, preview)
    response.status_code = 201 if created else 200
    return describe(entry)


@router.delete(
    "/{id}",
    summary="Delete a custom style",
    status_code=204,
    responses=problem_responses(403, 404, 503),
    dependencies=[KeyRequired],
)
async def remove_style(id: StyleIdInPath, services: InjectedServices) -> None:
    """Delete a custom style; built-in ones stay. A job that learns it is cancelled."""
    await services.library_pool.run(services.styles.remove, id)
    with suppress(JobsUnavailableError):  # the job finds the style gone, and ends by itself
        await services.jobs_pool.run(services.jobs.cancel_learning, id)


def describe(entry: Entry) -> StyleInfo:
    """A style as clients see it."""
    style = entry.style
    address = f"{router.prefix}/{style.id}"
    return StyleInfo(
        id=style.id,
        title=style.title,
        artist=style.artist,
        year=style.year,
        attribution=style.attribution,
        credit=style.credit,
        kind=style.kind,
        created=style.created,
        revision=style.revision,
        preview=f"{address}/preview?revision={style.revision}" if entry.has_preview else None,
        painting=f"{address}/painting?revision={style.revision}" if entry.has_painting else None,
        file=f"{address}/file",
        needs_retune=entry.needs_retune,
        can_improve=entry.can_improve,
        can_retune=entry.can_retune,
        group=entry.provenance.group,
        movement=entry.provenance.movement,
        country=entry.provenance.country,
    )


def _answer_picture(picture: StylePicture, known: str | None, revision: str | None) -> Response:
    """A picture, or that it is known; under the address of its revision it never changes."""
    lasting = revision == picture.revision
    caching = "public, max-age=31536000, immutable" if lasting else "public, no-cache"
    headers = {"ETag": picture.etag, "Cache-Control": caching}
    if known is not None and picture.etag in known:
        return Response(status_code=304, headers=headers)
    return Response(picture.data, media_type=PICTURE_TYPE, headers=headers)

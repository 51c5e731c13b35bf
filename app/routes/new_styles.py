"""``POST /v1/styles`` and retunes: styles to be learned, as jobs."""

import hashlib
from math import prod
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Header, Request, Response, UploadFile

from app.engine.protocol import DrainingError, EngineState
from app.jobs.job import Job
from app.jobs.order import Order, job_id, now, retune_order
from app.routes.jobs import describe, job_address
from app.routes.styles import StyleIdInPath
from app.services import InjectedServices, Services
from app.web.errors import problem_responses
from app.web.fields import Absent, StrokeSize, StyleWeight, TrainingSteps
from app.web.forms import check_form, decode_upload, measure_upload, read_upload
from app.web.schemas import JobInfo
from app.web.security import EarlyRefusal, KeyRequired
from app.web.waiting import give_up_in_time
from model.pictures.limits import PictureLimits
from model.pictures.picture import encode_picture, read_picture
from model.pictures.style_picture import QUALITY, pack_checked
from model.styles.options import STROKE_SIZE, STYLE_WEIGHT, TRAINING_STEPS
from model.styles.style import clean_title, style_id

MAX_FIELDS = 16
PHOTO_SIDE = 256  # px, of the photo for previews
MAX_FORM_TITLE = 1000  # before it is cleaned; more is no title

router = APIRouter(prefix="/v1/styles", tags=["styles"], route_class=EarlyRefusal)

_accepted: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "The job.",
        "headers": {
            "Location": {"description": "Of the job.", "schema": {"type": "string"}},
        },
    }
}


@router.post(
    "",
    summary="Learn a new style",
    status_code=202,
    response_model_exclude_none=True,
    responses={**_accepted, **problem_responses(403, 413, 415, 429, 503, 507)},
    dependencies=[Depends(check_form), KeyRequired],
    form_limits={"max_fields": MAX_FIELDS, "max_files": 3, "max_part_size": 65_536},
)
async def learn_style(
    request: Request,
    response: Response,
    services: InjectedServices,
    image: Annotated[UploadFile, File(description="The style picture: JPEG, PNG, WebP or GIF.")],
    title: Annotated[
        str, Form(min_length=1, max_length=MAX_FORM_TITLE, description="Of the style.")
    ],
    stroke_size: Annotated[
        StrokeSize,
        Form(description="Shorter side in px at which the picture is measured: larger strokes."),
    ] = STROKE_SIZE.default,
    style_weight: Annotated[
        StyleWeight, Form(description="Factor on the style against the content.")
    ] = STYLE_WEIGHT.default,
    steps: Annotated[
        TrainingSteps, Form(description="At most; it ends once nothing more is gained.")
    ] = TRAINING_STEPS.default,
    photo: Annotated[
        UploadFile | Absent,
        File(description="A photo that previews show; kept, small, until the job has ended."),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="One job comes of all tries with it."),
    ] = None,
) -> JobInfo:
    """Queue a job that learns a style from a picture."""
    if services.engine.state is EngineState.DRAINING:
        raise DrainingError(retry_after_s=10)
    recipe = {"stroke_size": stroke_size, "style_weight": style_weight, "steps": steps}
    work = _submit(services, image, clean_title(title), recipe, photo, job_id(idempotency_key))
    job = await give_up_in_time(request, work, services.settings.deadline_s)
    response.headers["Location"] = job_address(job)
    return describe(job)


@router.post(
    "/{id}/retune",
    summary="Learn a style anew for this network",
    status_code=202,
    response_model_exclude_none=True,
    responses={**_accepted, **problem_responses(403, 404, 409, 429, 503, 507)},
    dependencies=[KeyRequired],
)
async def retune_style(
    id: StyleIdInPath, response: Response, services: InjectedServices
) -> JobInfo:
    """Queue a job for a custom style that was learned for another network; it keeps its id."""
    if services.engine.state is EngineState.DRAINING:
        raise DrainingError(retry_after_s=10)
    style, picture = await services.library_pool.run(services.styles.source, id)
    job = await services.jobs_pool.run(services.jobs.submit, retune_order(style), picture)
    response.headers["Location"] = job_address(job)
    return describe(job)


async def _submit(
    services: Services,
    image: UploadFile,
    title: str,
    recipe: dict[str, Any],
    photo: UploadFile | None,
    id_: str,
) -> Job:
    max_bytes, limits = services.settings.max_upload_bytes, services.settings.picture_limits
    pixels = {
        upload: prod(await services.header_pool.run(measure_upload, upload, max_bytes, limits))
        for upload in (image, photo)
        if upload is not None
    }
    decode = services.decoders.run
    painting = await decode(
        pixels[image], _copy_painting, image, max_bytes, limits, recipe["stroke_size"]
    )
    shown = None
    if photo is not None:
        shown = (await decode(pixels[photo], _copy_photo, photo, max_bytes, limits)).value
    digest = await services.codec_pool.run(_digest, title, recipe, image, photo, max_bytes)
    order = Order("new", style_id(title, id_), title, recipe, digest, now())
    return await services.jobs_pool.run(services.jobs.submit, order, painting.value, shown, id_)


def _copy_painting(
    upload: UploadFile, max_bytes: int, limits: PictureLimits, stroke_size: int
) -> bytes:
    """The copy of a style picture that its style is learned from, refused if it can teach none."""
    return pack_checked(read_picture(read_upload(upload.file, max_bytes), limits), stroke_size)


def _copy_photo(upload: UploadFile, max_bytes: int, limits: PictureLimits) -> bytes:
    """A small copy of a photo for previews."""
    photo = decode_upload(upload, max_bytes, limits, PHOTO_SIDE)
    return encode_picture(photo.rgb, "webp", QUALITY)


def _digest(
    title: str,
    recipe: dict[str, Any],
    image: UploadFile,
    photo: UploadFile | None,
    max_bytes: int,
) -> str:
    digest = hashlib.sha256(f"{title}\n{sorted(recipe.items())}\n".encode())
    for upload in (image, photo):
        data = b"" if upload is None else read_upload(upload.file, max_bytes)
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()

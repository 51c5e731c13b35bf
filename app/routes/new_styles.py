"""``POST /v1/styles`` and retunes: styles to be learned, as jobs."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Header, Request, Response, UploadFile
from fastapi.responses import JSONResponse
from PIL import Image

from app.engine.protocol import DrainingError, EngineState
from app.jobs.errors import JobError, JobsUnavailableError, KeyReusedError
from app.jobs.job import Job
from app.jobs.order import Order, improve_order, job_id, now, retune_order
from app.library import Entry
from app.library_errors import NoSuchStyleError
from app.prediction import predict_picture
from app.rendering import check_style, render_style_preview
from app.routes.jobs import describe, job_address
from app.routes.styles import StyleIdInPath
from app.routes.styles import describe as describe_style
from app.services import InjectedServices, Services
from app.web.errors import problem_responses
from app.web.fields import Absent, StrokeSize, StyleWeight, TrainingSteps
from app.web.forms import check_form, decode_upload, measure_upload, read_upload
from app.web.schemas import JobInfo, StyleInfo
from app.web.security import EarlyRefusal, KeyRequired
from app.web.waiting import give_up_in_time
from model.pictures.limits import PictureLimits
from model.pictures.picture import encode_picture, read_picture
from model.pictures.style_picture import QUALITY, pack_checked
from model.styles.options import STEPS_FROM_ROW, STROKE_SIZE, STYLE_WEIGHT, TRAINING_STEPS
from model.styles.prediction import NoPredictorError
from model.styles.style import Style, clean_title, style_id

MAX_FIELDS = 16
PHOTO_SIDE = 256  # px, of the photo for previews
Mode = Literal["learn", "instant"]
MAX_FORM_TITLE = 1000  # before it is cleaned; more is no title

router = APIRouter(prefix="/v1/styles", tags=["styles"], route_class=EarlyRefusal)


@dataclass(frozen=True)
class Wish:
    """What is asked for, but for the pictures.

    Parameters
    ----------
    mode
        ``learn`` or ``instant``.
    title, style, job
        Of the style: its title and its id; and the id of the job that is to learn it.
    stroke_size, style_weight, steps
        See `model.styles.options`.
    """

    mode: Mode
    title: str
    style: str
    job: str
    stroke_size: int
    style_weight: float
    steps: int | None

    def recipe(self) -> dict[str, Any]:
        """What was chosen, as an order has it."""
        recipe = {"stroke_size": self.stroke_size, "style_weight": self.style_weight}
        return recipe if self.steps is None else recipe | {"steps": self.steps}


_made: dict[int | str, dict[str, Any]] = {
    201: {"description": "The style; mode instant alone.", "model": StyleInfo}
}
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
    response_model=JobInfo,
    response_model_exclude_none=True,
    responses={**_made, **_accepted, **problem_responses(403, 409, 413, 415, 429, 503, 507)},
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
        TrainingSteps | Absent,
        Form(
            description="At most; it ends once nothing more is gained. Default: "
            f"{STEPS_FROM_ROW} from a prediction, else {TRAINING_STEPS.default}."
        ),
    ] = None,
    mode: Annotated[
        Mode,
        Form(description="learn: a job makes it better. instant: it stays as it is predicted."),
    ] = "learn",
    photo: Annotated[
        UploadFile | Absent,
        File(description="A photo that previews show; kept, small, until the job has ended."),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, description="One job comes of all tries with it."),
    ] = None,
) -> JobInfo | JSONResponse:
    """Answer with a style that is predicted from a picture, and a job that makes it better.

    Where the server has a predictor, see `/readyz`, the style is of use at once: the job names it.
    Else it is there once the job has succeeded.
    """
    if services.engine.state is EngineState.DRAINING:
        raise DrainingError(retry_after_s=10)
    job, title = job_id(idempotency_key), clean_title(title)
    wish = Wish(mode, title, style_id(title, job), job, stroke_size, style_weight, steps)
    work = _take_order(services, image, photo, wish)
    made = await give_up_in_time(request, work, services.settings.deadline_s)
    if isinstance(made, Entry):
        style = describe_style(made)
        location = {"Location": f"{router.prefix}/{style.id}"}
        return JSONResponse(style.model_dump(), 201, location)
    response.headers["Location"] = job_address(made)
    return describe(made)


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


@router.post(
    "/{id}/improve",
    summary="Improve a style",
    status_code=202,
    response_model_exclude_none=True,
    responses={**_accepted, **problem_responses(403, 404, 409, 429, 503, 507)},
    dependencies=[KeyRequired],
)
async def improve_style(
    id: StyleIdInPath, response: Response, services: InjectedServices
) -> JobInfo:
    """Queue a job that goes on learning a custom style, which stays of use meanwhile."""
    if services.engine.state is EngineState.DRAINING:
        raise DrainingError(retry_after_s=10)
    style, picture = await services.library_pool.run(services.styles.improvable, id)
    job = await services.jobs_pool.run(services.jobs.submit, improve_order(style), picture)
    response.headers["Location"] = job_address(job)
    return describe(job)


async def _take_order(
    services: Services, image: UploadFile, photo: UploadFile | None, wish: Wish
) -> Job | Entry:
    """A job, or, where nothing is to be learned, the style."""
    max_bytes, limits = services.settings.max_upload_bytes, services.settings.picture_limits
    pixels = {
        upload: prod(await services.header_pool.run(measure_upload, upload, max_bytes, limits))
        for upload in (image, photo)
        if upload is not None
    }
    decode = services.decoders.run
    painting = await decode(
        pixels[image], _copy_painting, image, max_bytes, limits, wish.stroke_size
    )
    shown = None
    if photo is not None:
        shown = (await decode(pixels[photo], _copy_photo, photo, max_bytes, limits)).value
    digest = await services.codec_pool.run(_digest, wish, image, photo, max_bytes)
    if wish.mode == "instant":
        return await _predict_style(services, painting.value, wish, digest)
    try:
        services.find_predictor()
    except NoPredictorError:
        order = Order("new", wish.style, wish.title, wish.recipe(), digest, now())
    else:
        order = Order("improve", wish.style, wish.title, wish.recipe(), digest, now())
        made = await services.jobs_pool.run(services.jobs.prepare, wish.job, order)
        if made is not None:  # a second try: the style may be better already
            return made
        entry = await _predict_style(services, painting.value, wish, digest)
        order = replace(order, revision=entry.style.revision)
    submit = services.jobs.submit
    try:
        return await services.jobs_pool.run(submit, order, painting.value, shown, wish.job)
    except JobsUnavailableError:
        raise  # it may have been queued all the same; the style is of use
    except (JobError, OSError):
        if order.kind == "improve":  # it is all or nothing
            await services.library_pool.run(services.styles.remove, wish.style)
        raise


async def _predict_style(services: Services, painting: bytes, wish: "Wish", digest: str) -> Entry:
    """Store the style of a picture as it is predicted; once for all tries."""
    library = services.library_pool.run
    known: Entry | None = None
    with suppress(NoSuchStyleError):
        known = await library(services.styles.describe, wish.style)
    if known is not None and known.style.training.get("order") == digest:
        return known
    if known is not None:
        raise KeyReusedError
    picture = await services.codec_pool.run(_open_copy, painting)
    code = await predict_picture(services, picture, wish.stroke_size)
    training = {"recipe": wish.recipe(), "unfinished": True, "order": digest}
    style = Style(
        wish.style,
        wish.title,
        code,
        services.engine.fingerprint,
        kind="custom",
        created=now(),
        training=training,
    )
    await check_style(services, style)
    preview = None
    if wish.mode == "instant":  # else the job makes one; the first picture is not to wait for it
        preview = await render_style_preview(services, style)
    entry, _ = await library(services.styles.store, style, preview, painting)
    return entry


def _open_copy(painting: bytes) -> Image.Image:
    return read_picture(painting).rgb


def _copy_painting(
    upload: UploadFile, max_bytes: int, limits: PictureLimits, stroke_size: int
) -> bytes:
    """The copy of a style picture that its style is learned from, refused if it can teach none."""
    return pack_checked(read_picture(read_upload(upload.file, max_bytes), limits), stroke_size)


def _copy_photo(upload: UploadFile, max_bytes: int, limits: PictureLimits) -> bytes:
    """A small copy of a photo for previews."""
    photo = decode_upload(upload, max_bytes, limits, PHOTO_SIDE)
    return encode_picture(photo.rgb, "webp", QUALITY)


def _digest(wish: "Wish", image: UploadFile, photo: UploadFile | None, max_bytes: int) -> str:
    asked = f"{wish.title}\n{wish.mode}\n{sorted(wish.recipe().items())}\n"
    digest = hashlib.sha256(asked.encode())
    for upload in (image, photo):
        data = b"" if upload is None else read_upload(upload.file, max_bytes)
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()

"""``POST /v1/stylize``: a photo and a style mix in, the picture itself out."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from app.prediction import read_wanted_blend
from app.rendering import PictureOptions, stylize_upload
from app.services import InjectedServices
from app.web.answers import picture_answer, size_headers
from app.web.errors import problem_responses
from app.web.fields import Absent, MaxSide, PhotoField, WantedPicture
from app.web.forms import check_form
from app.web.security import EarlyRefusal, KeyRequiredToStylize, RoomRequired
from app.web.waiting import give_up_in_time
from model.styles.style import MAX_MIX

PATH = "/v1/stylize"
MAX_FIELDS = 16

router = APIRouter(tags=["pictures"], route_class=EarlyRefusal)

_timing = {
    "description": "Milliseconds of predict, decode, queue, inference and encode.",
    "schema": {"type": "string"},
}
_answers: dict[int | str, dict[str, Any]] = {
    200: picture_answer("The stylized picture.", Server_Timing=_timing)
}


@router.post(
    PATH,
    summary="Stylize a photo",
    response_class=Response,
    responses={**_answers, **problem_responses(403, 409, 413, 415, 429, 503, 507)},
    dependencies=[Depends(check_form), KeyRequiredToStylize, RoomRequired],
    form_limits={"max_fields": MAX_FIELDS, "max_files": MAX_MIX + 2, "max_part_size": 65_536},
)
async def stylize(
    request: Request,
    services: InjectedServices,
    image: PhotoField,
    wanted: WantedPicture,
    max_side: Annotated[
        MaxSide | Absent,
        Form(description="Longest side of the result in px; the server's own limit stays."),
    ] = None,
) -> Response:
    """Answer the picture itself. Nothing of it is stored."""
    limit = services.settings.max_side
    side = limit if max_side is None else min(limit, max_side)
    weights, images = read_wanted_blend(wanted)
    options = PictureOptions(
        weights,
        wanted.strength,
        wanted.preserve_color,
        side,
        wanted.format,
        wanted.quality,
        images,
    )
    work = stylize_upload(services, image, options)
    rendering = await give_up_in_time(request, work, services.settings.deadline_s)
    return Response(
        rendering.data,
        media_type=rendering.media_type,
        headers={
            "Server-Timing": rendering.timings.header(),
            "Cache-Control": "no-store",
            **size_headers(rendering.size, rendering.photo_size),
        },
    )

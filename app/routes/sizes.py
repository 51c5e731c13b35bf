"""``/v1/sizes``: in what sizes a photo can be painted here, and how long each takes."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.services import InjectedServices, Services
from app.web.errors import problem_responses
from app.web.schemas import SizeInfo, SizeList
from model.pictures.picture import fitted_size

OFFERED_SIDES = (1024, 2048)  # px; beside the photo's own
REQUEST_SHARE = 0.5  # of a request's time; the rest is for others' pictures and a wrong estimate
CODEC_S_PER_PIXEL = 100e-9  # to decode and to encode: a tenth of a second a megapixel

router = APIRouter(prefix="/v1/sizes", tags=["pictures"])

PhotoSide = Annotated[int, Query(ge=1, le=100_000, description="Of the photo, in px, upright.")]


@router.get(
    "",
    summary="Sizes for a photo",
    responses=problem_responses(503),
    response_model_exclude_none=True,
)
async def list_sizes(width: PhotoSide, height: PhotoSide, services: InjectedServices) -> SizeList:
    """What the service offers for a photo of these sides.

    Each with an estimate for this machine, from the pictures that it has painted.
    """
    settings, photo = services.settings, (width, height)
    settings.picture_limits.check(width, height)
    sides = [side for side in OFFERED_SIDES if side < max(photo)]
    sizes = [_describe(services, photo, side) for side in sides]
    return SizeList(
        sizes=[*sizes, _describe(services, photo, None)], kept_s=settings.pictures_kept_s
    )


def _describe(services: Services, photo: tuple[int, int], side: int | None) -> SizeInfo:
    settings = services.settings
    width, height = photo if side is None else fitted_size(photo, side)
    codec_s = CODEC_S_PER_PIXEL * (photo[0] * photo[1] + width * height)
    seconds = services.engine.estimate_s(width * height) + codec_s
    in_time = seconds <= REQUEST_SHARE * settings.deadline_s
    return SizeInfo(
        name="original" if side is None else str(side),
        max_side=side,
        width=width,
        height=height,
        seconds=round(seconds, 1),
        way="request" if in_time and max(width, height) <= settings.max_side else "picture",
    )

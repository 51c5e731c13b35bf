"""Styles of pictures that nobody has learned: predicted off the loop, admitted like other work."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from fastapi import UploadFile
from PIL import Image
from torch import Tensor

from app.services import Services
from app.web.fields import PictureFields, read_blend
from app.web.forms import measure_upload, read_upload
from model.perception.descriptor import LEVELS, MOST_PIXELS
from model.pictures.limits import PictureLimits
from model.pictures.picture import read_picture
from model.pictures.style_picture import WIDEST_ASPECT, prepare_picture
from model.styles.options import STROKE_SIZE


@dataclass(frozen=True)
class StyleImages:
    """Pictures whose styles are wanted at once.

    Parameters
    ----------
    uploads
        JPEG, PNG, WebP or GIF.
    weights
        Of each in a blend; none below 0.
    stroke_size
        Shorter side in px at which they are read.
    """

    uploads: Sequence[UploadFile] = ()
    weights: Sequence[float] = ()
    stroke_size: int = STROKE_SIZE.default


def read_wanted_blend(wanted: PictureFields) -> tuple[dict[str, float], StyleImages]:
    """Weights by style id, and the pictures blended in, as a client's fields have them.

    Raises
    ------
    ApiError
        422, see `app.web.fields.read_blend`.
    """
    uploads = wanted.style_image or []
    weights, shares = read_blend(wanted.style, wanted.mix, len(uploads), wanted.style_image_weights)
    return weights, StyleImages(uploads, shares, wanted.stroke_size)


async def predict_uploads(services: Services, images: StyleImages) -> list[tuple[Tensor, float]]:
    """Style codes (P,) of uploaded pictures, each with its weight.

    Raises
    ------
    NoPredictorError
        This network has none.
    EngineError, PictureError, UnfitPictureError, ApiError
        Each with its HTTP answer in `app.web.errors`.
    """
    if not images.uploads:
        return []
    services.find_predictor()
    settings, stroke_size = services.settings, images.stroke_size
    limits, max_bytes = settings.picture_limits, settings.max_upload_bytes
    sizes = [
        await services.header_pool.run(measure_upload, upload, max_bytes, limits)
        for upload in images.uploads
    ]
    with services.engine.admit(sum(pixels_read(size, stroke_size) for size in sizes)):
        codes = []
        for upload, size in zip(images.uploads, sizes, strict=True):
            decoded = await services.decoders.run(
                prod(size), _prepare, upload, max_bytes, limits, stroke_size
            )
            codes.append(await predict_prepared(services, decoded.value, stroke_size))
    return list(zip(codes, images.weights, strict=True))


async def predict_picture(services: Services, picture: Image.Image, stroke_size: int) -> Tensor:
    """The style code (P,) of a decoded picture, RGB.

    Raises
    ------
    NoPredictorError, EngineError, UnfitPictureError
        There is no predictor, no room, no style.
    """
    services.find_predictor()
    with services.engine.admit(pixels_read(picture.size, stroke_size)):
        return await predict_prepared(services, picture, stroke_size)


async def predict_prepared(services: Services, picture: Image.Image, stroke_size: int) -> Tensor:
    """The style code (P,) of an admitted picture."""
    predictor = services.find_predictor()
    return await services.prediction_pool.run(predictor.predict, picture, stroke_size)


def pixels_read(size: tuple[int, int], stroke_size: int) -> int:
    """How many pixels of a picture are read: what a prediction costs."""
    aspect = min(WIDEST_ASPECT, max(size) / min(size))
    return min(LEVELS * MOST_PIXELS, ceil(stroke_size * stroke_size * aspect))


def _prepare(
    upload: UploadFile, max_bytes: int, limits: PictureLimits, stroke_size: int
) -> Image.Image:
    picture = read_picture(read_upload(upload.file, max_bytes), limits)
    return prepare_picture(picture.rgb, stroke_size)

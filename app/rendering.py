"""One upload's way to its picture: measure, admit, decode, stylize, encode. And previews."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from fastapi import UploadFile
from PIL import Image
from torch import Tensor

from app.engine.protocol import BrokenOutputError, EngineError
from app.prediction import StyleImages, predict_uploads
from app.services import Services
from app.web.forms import decode_upload, measure_upload
from model.inference.look import Look
from model.inference.previews import RENDER_SIDE, encode_preview, sample_square
from model.pictures.levels import Levels
from model.pictures.limits import PictureTooLargeError
from model.pictures.picture import (
    MAX_OUTPUT_SIDES,
    MEDIA_TYPES,
    OutputFormat,
    Picture,
    encode_picture,
    fitted_size,
)
from model.styles.style import DamagedStyleError, Style

TRIAL_SIDE = 64  # px, of the picture on which an imported style is tried

_logger = logging.getLogger("pastiche.styles")


@dataclass(frozen=True)
class PictureOptions:
    """What a client asks for.

    Parameters
    ----------
    weights
        Weights of the blend by style id.
    strength
        0 to 1.
    preserve_color
        Whether the photo's colours stay.
    max_side
        Of the result, in px.
    format
        None: as the upload, PNG where that cannot be written.
    quality
        1 to 100.
    images
        Pictures whose styles are of the blend.
    """

    weights: Mapping[str, float]
    strength: float
    preserve_color: bool
    max_side: int
    format: OutputFormat | None
    quality: int
    images: StyleImages = field(default_factory=StyleImages)


@dataclass
class Timings:
    """Milliseconds by step, for the header Server-Timing."""

    steps: dict[str, float] = field(default_factory=dict)

    def add(self, step: str, seconds: float) -> None:
        """Count time for a step."""
        self.steps[step] = self.steps.get(step, 0.0) + seconds * 1000

    def header(self) -> str:
        """As the header has it."""
        return ", ".join(f"{step};dur={ms:.1f}" for step, ms in self.steps.items())


@dataclass(frozen=True)
class Rendering:
    """An encoded result.

    Parameters
    ----------
    size, photo_size
        Width and height in px, of the result and of the photo it comes from.
    """

    data: bytes
    media_type: str
    size: tuple[int, int]
    photo_size: tuple[int, int]
    timings: Timings


async def stylize_upload(
    services: Services, upload: UploadFile, options: PictureOptions
) -> Rendering:
    """A stylized picture of an upload.

    Raises
    ------
    EngineError, PictureError, ApiError, StyleError
        Each with its HTTP answer in `app.web.errors`.
    """
    settings, engine, timings = services.settings, services.engine, Timings()
    limits, max_bytes = settings.picture_limits, settings.max_upload_bytes
    engine.check_open()
    begun = perf_counter()
    predicted = await predict_uploads(services, options.images)
    if predicted:
        timings.add("predict", perf_counter() - begun)
    begun = perf_counter()
    code = await services.library_pool.run(services.styles.code, options.weights, predicted)
    size = await services.header_pool.run(measure_upload, upload, max_bytes, limits)
    width, height = fitted_size(size, options.max_side)
    check_output(width, height, options.format)
    with engine.admit(width * height):
        decoded = await services.decoders.run(
            size[0] * size[1], _decode, upload, max_bytes, services, options.max_side
        )
        timings.add("decode", decoded.took_s)
        timings.add("queue", perf_counter() - begun - decoded.took_s)
        picture, levels = decoded.value
        levels = await _stylize(services, levels, code, options, timings)
        begun = perf_counter()
        format = options.format or output_format(picture)
        data = await services.codec_pool.run(_encode, levels, picture, format, options.quality)
        timings.add("encode", perf_counter() - begun)
    return Rendering(data, MEDIA_TYPES[format], (width, height), size, timings)


async def _stylize(
    services: Services, levels: Levels, code: Tensor, options: PictureOptions, timings: Timings
) -> Levels:
    if options.strength == 0:  # the photo itself: nothing to compute
        timings.add("queue", 0.0)
        timings.add("inference", 0.0)
        return levels
    look = Look(code, options.strength, options.preserve_color)
    pastiche = await services.engine.stylize(levels, look)
    timings.add("queue", pastiche.queue_s)
    timings.add("inference", pastiche.inference_s)
    return pastiche.levels


def _decode(
    upload: UploadFile, max_bytes: int, services: Services, max_side: int
) -> tuple[Picture, Levels]:
    limits = services.settings.picture_limits
    picture = decode_upload(upload, max_bytes, limits, max_side)
    return picture, np.array(picture.rgb)


def _encode(levels: Levels, picture: Picture, format: OutputFormat, quality: int) -> bytes:
    return encode_picture(Image.fromarray(levels), format, quality, picture.alpha)


def output_format(picture: Picture) -> OutputFormat:
    """The format of a result for which none was asked: as the photo, PNG for a GIF."""
    return "png" if picture.format == "gif" else picture.format


def check_output(width: int, height: int, format: OutputFormat | None) -> None:
    """Refuse, before the work, what the asked format could not hold after it."""
    limit = MAX_OUTPUT_SIDES.get(format or "")
    if limit is not None and max(width, height) > limit:
        raise PictureTooLargeError(f"the format holds at most {limit} px a side")


async def check_style(services: Services, style: Style) -> None:
    """Try a style from elsewhere on a picture of noise, before anybody's photo meets it.

    Raises
    ------
    DamagedStyleError
        It gives no picture.
    EngineError
        The engine has no room or time for the trial.
    """
    noise = np.random.default_rng(0).integers(0, 256, (TRIAL_SIDE, TRIAL_SIDE, 3), np.uint8)
    try:
        with services.engine.admit(TRIAL_SIDE * TRIAL_SIDE):
            await services.engine.stylize(noise, Look(style.code))
    except EngineError as error:
        if type(error) in (EngineError, BrokenOutputError):
            raise DamagedStyleError("the style gives no picture") from error
        raise


async def render_style_preview(services: Services, style: Style) -> bytes | None:
    """A sample photo in a style, as WebP; None where there is no sample or no room for the work."""
    try:
        levels = await services.codec_pool.run(_sample)
        with services.engine.admit(RENDER_SIDE * RENDER_SIDE):
            pastiche = await services.engine.stylize(levels, Look(style.code))
    except (EngineError, OSError) as error:
        _logger.warning("no preview", extra={"style": style.id, "reason": type(error).__name__})
        return None
    return await services.codec_pool.run(_encode_preview, pastiche.levels)


def _sample() -> Levels:
    return np.array(sample_square(RENDER_SIDE))


def _encode_preview(levels: Levels) -> bytes:
    return encode_preview(Image.fromarray(levels))

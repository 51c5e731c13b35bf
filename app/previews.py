"""Previews of styles that come without one: the network's own rendering of a sample photo."""

import logging
from functools import cache

import numpy as np
from PIL import Image

from app.engine import EngineError
from app.services import Services
from app.workqueue import Levels
from model.assets import asset_folder
from model.images import encode_picture, load_picture
from model.styles import Style
from model.stylizer import Look

SAMPLE = "astronaut.jpg"
RENDER_SIDE = 512  # px: strokes come out at the size that people will see
PREVIEW_SIDE = 256  # px
QUALITY = 82

_logger = logging.getLogger("pastiche.styles")


async def render_preview(services: Services, style: Style) -> bytes | None:
    """A sample photo in a style, as WebP; None where there is no sample or no room for the work."""
    try:
        levels = await services.codec.run(_sample)
        with services.engine.admit(RENDER_SIDE * RENDER_SIDE):
            pastiche = await services.engine.stylize(levels, Look(style.code))
    except (EngineError, OSError) as error:
        _logger.warning("no preview", extra={"style": style.id, "reason": type(error).__name__})
        return None
    return await services.codec.run(_encode, pastiche.levels)


@cache
def _sample() -> Levels:
    photo = load_picture(asset_folder("static") / "samples" / SAMPLE).rgb
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    box = (left, top, left + side, top + side)
    square = photo.resize((RENDER_SIDE, RENDER_SIDE), Image.Resampling.LANCZOS, box=box)
    return np.array(square)


def _encode(levels: Levels) -> bytes:
    small = Image.fromarray(levels).resize((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    return encode_picture(small, "webp", QUALITY)

"""Previews of styles that come without one: the network's own rendering of a sample photo."""

import logging

import numpy as np
from PIL import Image

from app.engine.protocol import EngineError
from app.services import Services
from model.inference.previews import RENDER_SIDE, encode_preview, sample_square
from model.inference.stylizer import Look
from model.pictures.levels import Levels
from model.styles.style import Style

_logger = logging.getLogger("pastiche.styles")


async def render_preview(services: Services, style: Style) -> bytes | None:
    """A sample photo in a style, as WebP; None where there is no sample or no room for the work."""
    try:
        levels = await services.codec_pool.run(_sample)
        with services.engine.admit(RENDER_SIDE * RENDER_SIDE):
            pastiche = await services.engine.stylize(levels, Look(style.code))
    except (EngineError, OSError) as error:
        _logger.warning("no preview", extra={"style": style.id, "reason": type(error).__name__})
        return None
    return await services.codec_pool.run(_encode, pastiche.levels)


def _sample() -> Levels:
    return np.array(sample_square(RENDER_SIDE))


def _encode(levels: Levels) -> bytes:
    return encode_preview(Image.fromarray(levels))

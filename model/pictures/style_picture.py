"""Style pictures: which are fit, and the copy that a style keeps to be learned anew."""

from typing import Final

from PIL import Image

from model.pictures.picture import Picture, encode_picture

SMALLEST_SIDE: Final = 64  # px
LEAST_SPREAD: Final = 2.0  # levels of the colours' standard deviation: less is one colour
MAX_SIDE: Final = 1024  # px
WIDEST_ASPECT: Final = 3  # training sees no more of a strip
QUALITY: Final = 92


def pack_source(picture: Picture) -> bytes:
    """The copy, WebP: the middle of a strip, no side above 1,024 px."""
    return encode_picture(crop_source(picture.rgb), "webp", QUALITY)


def middle_box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is looked at: all, or the middle of a strip."""
    longest = min(max(size), WIDEST_ASPECT * min(size))
    width, height = (min(side, longest) for side in size)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def crop_source(picture: Image.Image) -> Image.Image:
    """What the copy shows, before it is encoded."""
    left, top, right, bottom = middle_box(picture.size)
    width, height = right - left, bottom - top
    scale = min(1.0, MAX_SIDE / max(width, height))
    return picture.resize(
        (max(1, round(width * scale)), max(1, round(height * scale))),
        Image.Resampling.LANCZOS,
        box=(left, top, right, bottom),
    )

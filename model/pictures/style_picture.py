"""Style pictures: which can teach a style, decided once; and the copy that a style keeps.

What is judged is what the loss network is to see, at the stroke size that was chosen: grain that
is gone at that size teaches nothing. A service judges the very copy that is learned from, so that
what it has accepted does not fail minutes later.
"""

import io
from typing import Final

from PIL import Image, ImageStat

from model.pictures.picture import Picture, encode_picture

SMALLEST_SIDE: Final = 64  # px
LEAST_SPREAD: Final = 2.0  # levels of the colours' standard deviation: less is one colour
MAX_SIDE: Final = 1024  # px, of the copy
WIDEST_ASPECT: Final = 3  # training sees no more of a strip
QUALITY: Final = 92


class UnfitPictureError(ValueError):
    """A picture that no style can be learned from; the text is one line and safe to show."""


def prepare_picture(picture: Image.Image, stroke_size: int) -> Image.Image:
    """A style picture, RGB, as the loss network is to see it.

    Parameters
    ----------
    stroke_size
        Its shorter side, in px. Of a picture longer than three times its width, the middle is
        taken.

    Raises
    ------
    UnfitPictureError
        It is too small, or has one colour only.
    """
    _check_size(picture)
    seen = resize_short_side(picture.crop(_middle_box(picture.size)), stroke_size)
    if max(ImageStat.Stat(seen).stddev) < LEAST_SPREAD:
        raise UnfitPictureError("the picture has one colour only; there is no style to learn")
    return seen


def pack_checked(picture: Picture, stroke_size: int) -> bytes:
    """The copy of a picture that can teach a style, WebP; see `pack_source`.

    Raises
    ------
    UnfitPictureError
        It cannot, at that stroke size; see `prepare_picture`.
    """
    _check_size(picture.rgb)  # before the copy, whose size is nobody's
    copy = pack_source(picture)
    with Image.open(io.BytesIO(copy)) as decoded:
        prepare_picture(decoded.convert("RGB"), stroke_size)
    return copy


def pack_source(picture: Picture) -> bytes:
    """The copy, WebP: the middle of a strip, no side above 1,024 px."""
    box = _middle_box(picture.size)
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(1.0, MAX_SIDE / max(width, height))
    copy = picture.rgb.resize(
        (max(1, round(width * scale)), max(1, round(height * scale))),
        Image.Resampling.LANCZOS,
        box=box,
    )
    return encode_picture(copy, "webp", QUALITY)


def resize_short_side(picture: Image.Image, side: int) -> Image.Image:
    """The picture with its shorter side at ``side`` px, longer side in proportion."""
    scale = side / min(picture.size)
    width, height = (max(side, round(s * scale)) for s in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _check_size(picture: Image.Image) -> None:
    if min(picture.size) < SMALLEST_SIDE:
        raise UnfitPictureError(
            f"the picture has {picture.width} x {picture.height} pixels; "
            f"a style needs at least {SMALLEST_SIDE} on each side"
        )


def _middle_box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is looked at: all, or the middle of a strip."""
    longest = min(max(size), WIDEST_ASPECT * min(size))
    width, height = (min(side, longest) for side in size)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height

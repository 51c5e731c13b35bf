"""Style pictures: what is kept of an upload to learn from, and what is refused at once."""

from fastapi import UploadFile
from PIL import ImageStat

from app.web.errors import ApiError
from app.web.forms import decode_upload, read_upload
from model.pictures.picture import PictureLimits, encode_picture, read_picture
from model.pictures.style_picture import (
    LEAST_SPREAD,
    QUALITY,
    SMALLEST_SIDE,
    crop_source,
    pack_source,
)

PHOTO_SIDE = 256  # px, of the photo for previews


def prepare_painting(upload: UploadFile, max_bytes: int, limits: PictureLimits) -> bytes:
    """The copy of a style picture that a style is learned from, WebP.

    Of a long strip the middle is kept, as the training would see it.

    Raises
    ------
    ApiError
        413, too many bytes; 422, too small, or of one colour.
    PictureError
        It cannot be decoded.
    """
    picture = read_picture(read_upload(upload.file, max_bytes), limits)
    if min(picture.size) < SMALLEST_SIDE:
        raise _unfit(
            f"The picture has {picture.width} x {picture.height} pixels; "
            f"a style needs at least {SMALLEST_SIDE} on each side."
        )
    if max(ImageStat.Stat(crop_source(picture.rgb)).stddev) < LEAST_SPREAD:
        raise _unfit("The picture has one colour only; there is no style to learn.")
    return pack_source(picture)


def prepare_photo(upload: UploadFile, max_bytes: int, limits: PictureLimits) -> bytes:
    """A small copy of a photo for previews, WebP.

    Raises
    ------
    ApiError
        413, too many bytes.
    PictureError
        It cannot be decoded.
    """
    photo = decode_upload(upload, max_bytes, limits, PHOTO_SIDE)
    return encode_picture(photo.rgb, "webp", QUALITY)


def _unfit(detail: str) -> ApiError:
    return ApiError(422, "unfit_picture", detail)

"""Pictures in and out: a stranger's bytes, upright sRGB pictures, float tensors, clean files.

A picture is decoded once, at the boundary: upright, in sRGB, opaque, without metadata. What lies
behind the boundary sees nothing else.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal

from PIL import Image, ImageStat

from model.pictures.container import Container, InputFormat, detect_format, read_container
from model.pictures.drawing import decode_pixels
from model.pictures.limits import (
    DEFAULT_LIMITS,
    EmptyPictureError,
    PictureLimits,
    PictureTooLargeError,
    UndecodablePictureError,
    UnsupportedFormatError,
)

OutputFormat = Literal["png", "jpeg", "webp"]

FORMATS_BY_SUFFIX: Final[dict[str, OutputFormat]] = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
}
MEDIA_TYPES: Final[dict[OutputFormat, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
}
FORMAT_NAMES: Final = {"png": "PNG", "jpeg": "JPEG", "webp": "WebP", "gif": "GIF"}
MAX_OUTPUT_SIDES: Final = {"jpeg": 65_500, "webp": 16_383}  # px, by the formats and libraries


_UPRIGHT = {  # what undoes an EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: upright, sRGB, without metadata.

    Parameters
    ----------
    rgb
        Mode RGB. Where nothing of the file is visible, a plain colour.
    alpha
        Mode L, the same size; None if the picture is opaque everywhere.
    format
        The format it came in.
    """

    rgb: Image.Image
    alpha: Image.Image | None
    format: InputFormat

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return self.rgb.width

    @property
    def height(self) -> int:
        """Pixels in a column."""
        return self.rgb.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.rgb.size

    def resized(self, max_side: int) -> "Picture":
        """The picture with no side above ``max_side`` px; never enlarged.

        Raises
        ------
        ValueError
            ``max_side`` is below 1.
        """
        if max_side < 1:
            raise ValueError(f"max_side is {max_side}, allowed is 1 or more")
        size = fitted_size(self.size, max_side)
        if size == self.size:
            return self
        if self.alpha is None:
            return replace(self, rgb=self.rgb.resize(size, Image.Resampling.LANCZOS))
        whole = self.rgb.copy()
        whole.putalpha(self.alpha)  # resized together, each pixel counts by its alpha
        whole = whole.resize(size, Image.Resampling.LANCZOS)
        alpha = whole.getchannel("A")
        return Picture(_over_matte(whole.convert("RGB"), alpha), alpha, self.format)


def fitted_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Width and height in px of a picture once no side is above ``max_side``; never enlarged."""
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def read_picture(
    data: bytes | BinaryIO, limits: PictureLimits = DEFAULT_LIMITS, max_side: int | None = None
) -> Picture:
    """Decode a picture that anyone may have sent.

    The bytes alone decide what it is. Of an animation only the first frame is ever read.

    Parameters
    ----------
    max_side
        In px; a larger picture is shrunk to it (see `fitted_size`), which for a JPEG begins in the
        decoder. None, the picture as it is.

    Raises
    ------
    EmptyPictureError, UnsupportedFormatError, UndecodablePictureError, PictureTooLargeError
        All of them ``PictureError``.
    MemoryError
        The machine is out of memory: no fault of a picture within the limits.
    """
    container = _open_container(data, limits)
    with _refusing_broken(container.format):
        size = container.size if max_side is None else fitted_size(container.size, max_side)
        rgb, alpha = decode_pixels(container, size)
    if alpha is not None:
        rgb = _over_matte(rgb, alpha)
    if container.orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[container.orientation])
        alpha = alpha and alpha.transpose(_UPRIGHT[container.orientation])
    for part in (rgb, alpha):
        if part is not None:
            part.info = {}  # Pillow copies comments and the like from image to image
    return Picture(rgb, alpha, container.format)


def load_picture(
    path: Path, limits: PictureLimits = DEFAULT_LIMITS, max_side: int | None = None
) -> Picture:
    """Decode a picture on disk; see `read_picture`.

    Raises
    ------
    PictureError, MemoryError
        As ``read_picture``.
    OSError
        The file cannot be read.
    """
    return read_picture(path.read_bytes(), limits, max_side)


def measure_picture(
    data: bytes | BinaryIO, limits: PictureLimits = DEFAULT_LIMITS
) -> tuple[int, int]:
    """Width and height in px that ``read_picture`` would give, by the header, without decoding.

    Raises
    ------
    PictureError
        As ``read_picture``, save for what only decoding finds broken.
    """
    container = _open_container(data, limits)
    width, height = container.size
    return (height, width) if container.orientation >= 5 else (width, height)


def _open_container(data: bytes | BinaryIO, limits: PictureLimits) -> Container:
    content = data if isinstance(data, bytes) else data.read()
    if not content:
        raise EmptyPictureError("the picture is empty")
    format = detect_format(content)
    if format is None:
        raise UnsupportedFormatError("the file is not a JPEG, PNG, WebP or GIF picture")
    with _refusing_broken(format):
        container = read_container(content, format)
    limits.check(*container.size)
    return container


@contextmanager
def _refusing_broken(format: InputFormat) -> Iterator[None]:
    # On broken files Pillow raises OSError, SyntaxError, ValueError, TypeError, struct.error and
    # more, the list changing with its versions. So here, and only here, anything is caught.
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        name = FORMAT_NAMES[format]
        raise UndecodablePictureError(f"the {name} file is broken or cut short") from error


def _flatten(rgb: Image.Image, alpha: Image.Image, color: str | tuple[int, ...]) -> Image.Image:
    flat = Image.new("RGB", rgb.size, color)
    flat.paste(rgb, mask=alpha)
    return flat


def _over_matte(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    """The matte where nothing is visible; what is, half or in full, keeps its own colour.

    Alpha is put back over the result: colours mixed with the matte here would show.
    """
    visible = alpha.point([0] + [255] * 255)
    return _flatten(rgb, visible, _matte(rgb, alpha))


def _matte(rgb: Image.Image, alpha: Image.Image) -> tuple[int, ...]:
    """The plain colour behind a transparent picture: the mean of what is visible.

    The network normalizes by statistics of the whole picture. White or black would shift them and
    draw an outline to be stylized; the mean is as near as a plain colour gets to not being there.
    Pixels count by their alpha.
    """
    if alpha.getextrema()[1] == 0:
        return (128, 128, 128)
    return tuple(round(mean) for mean in ImageStat.Stat(rgb, mask=alpha).mean)


def encode_picture(
    image: Image.Image,
    format: OutputFormat,
    quality: int = 90,
    alpha: Image.Image | None = None,
) -> bytes:
    """Encode a picture, without metadata of any kind.

    Parameters
    ----------
    image
        Mode RGB, sRGB.
    format
        "png", "jpeg" or "webp".
    quality
        1 to 100, of JPEG and WebP; PNG is lossless. From 90 on, JPEG keeps full colour resolution.
    alpha
        Mode L, the same size. JPEG has no transparency: there the picture is laid over white.

    Raises
    ------
    PictureTooLargeError
        A side above what the format holds: 16,383 px of WebP, 65,500 px of JPEG.
    ValueError
        An argument out of range.
    """
    if format not in MEDIA_TYPES:
        raise ValueError(f"format is {format!r}, allowed are {', '.join(MEDIA_TYPES)}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality is {quality}, allowed are 1 to 100")
    if alpha is not None and alpha.size != image.size:
        raise ValueError(f"alpha has size {alpha.size}, the picture {image.size}")
    limit = MAX_OUTPUT_SIDES.get(format)
    if limit is not None and max(image.size) > limit:
        raise PictureTooLargeError(
            f"the result has {image.width} x {image.height} pixels; "
            f"{FORMAT_NAMES[format]} holds at most {limit} a side"
        )
    # A large picture is not copied without need.
    clean = image.convert("RGB") if image.mode != "RGB" or image.info or alpha else image
    if alpha is not None and format == "jpeg":
        clean = _flatten(clean, alpha, "white")
    elif alpha is not None:
        clean.putalpha(alpha)
    if clean.info:
        clean.info = {}  # Pillow writes profile and comment from here unasked
    stream = io.BytesIO()
    if format == "png":
        clean.save(stream, "PNG", compress_level=2)  # 6: three times as long, for the same bytes
    elif format == "jpeg":
        subsampling = "4:4:4" if quality >= 90 else "4:2:0"
        clean.save(stream, "JPEG", quality=quality, subsampling=subsampling)
    else:
        clean.save(stream, "WEBP", quality=quality)
    return stream.getvalue()

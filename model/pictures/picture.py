"""Pictures in and out: a stranger's bytes, upright sRGB pictures, float tensors, clean files.

A picture is decoded once, at the boundary: upright, in sRGB, opaque, without metadata. What lies
behind the boundary sees nothing else.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
import torch
from PIL import Image, ImageStat
from torch import Tensor

from model.pictures.container import Container, InputFormat, detect_format, draw, read_container

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

# A strip is refused for what it would cost as a large picture. Below this length, in px, any
# shape is cheap: a line of 1 x 2,000 px is a picture like another.
STRIP_SIDE = 4096

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # BT.601

_UPRIGHT = {  # what undoes an EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(ValueError):
    """A picture that cannot be used; the text is one line, fit to show to a user."""


class EmptyPictureError(PictureError):
    """There are no bytes."""


class UnsupportedFormatError(PictureError):
    """By its bytes the file is none of JPEG, PNG, WebP and GIF."""


class UndecodablePictureError(PictureError):
    """The format is accepted, the content is broken or cut short."""


class PictureTooLargeError(PictureError):
    """Too many pixels, too long a strip, or a result that its format cannot hold."""


@dataclass(frozen=True)
class PictureLimits:
    """What is decoded, judged by the header alone.

    Parameters
    ----------
    max_pixels
        Width times height.
    max_aspect
        Longer side over shorter side, of pictures with a side above 4,096 px.

    Raises
    ------
    ValueError
        A limit below 1, or more pixels than Pillow opens without a warning.
    """

    max_pixels: int = 50_000_000
    max_aspect: float = 100.0

    def __post_init__(self) -> None:
        highest = Image.MAX_IMAGE_PIXELS
        if self.max_pixels < 1 or (highest is not None and self.max_pixels > highest):
            raise ValueError(f"max_pixels is {self.max_pixels}, allowed are 1 to {highest}")
        if not self.max_aspect >= 1:
            raise ValueError(f"max_aspect is {self.max_aspect}, allowed is 1 or more")

    def check(self, width: int, height: int) -> None:
        """Refuse a size in px.

        Raises
        ------
        PictureTooLargeError
            With the size and the limit in its text.
        """
        if width * height > self.max_pixels:
            raise PictureTooLargeError(
                f"the picture has {width} x {height} pixels, "
                f"{width * height / 1e6:.1f} megapixels; at most {self.max_pixels / 1e6:g} "
                "megapixels are accepted"
            )
        longer, shorter = max(width, height), min(width, height)
        if longer > STRIP_SIDE and longer > self.max_aspect * shorter:
            raise PictureTooLargeError(
                f"the picture has {width} x {height} pixels; above {STRIP_SIDE} pixels the longer "
                f"side may be at most {self.max_aspect:g} times the shorter"
            )


DEFAULT_LIMITS = PictureLimits()


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: upright, sRGB, without metadata.

    Parameters
    ----------
    rgb
        Mode RGB. Where the file is transparent, it lies over a plain colour.
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
        scale = max_side / max(self.size)
        if scale >= 1:
            return self
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        alpha = self.alpha and self.alpha.resize(size, Image.Resampling.LANCZOS)
        return Picture(self.rgb.resize(size, Image.Resampling.LANCZOS), alpha, self.format)


def read_picture(data: bytes | BinaryIO, limits: PictureLimits = DEFAULT_LIMITS) -> Picture:
    """Decode a picture that anyone may have sent.

    The bytes alone decide what it is. Of an animation only the first frame is ever read.

    Raises
    ------
    EmptyPictureError, UnsupportedFormatError, UndecodablePictureError, PictureTooLargeError
        All of them ``PictureError``.
    MemoryError
        The machine is out of memory: no fault of a picture within the limits.
    """
    container = _open_container(data, limits)
    with _refusing_broken(container.format):
        rgb, alpha = draw(container)
    if alpha is not None:
        rgb = _flatten(rgb, alpha, _matte(rgb, alpha))
    if container.orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[container.orientation])
        alpha = alpha and alpha.transpose(_UPRIGHT[container.orientation])
    for part in (rgb, alpha):
        if part is not None:
            part.info = {}  # Pillow copies comments and the like from image to image
    return Picture(rgb, alpha, container.format)


def load_picture(path: Path, limits: PictureLimits = DEFAULT_LIMITS) -> Picture:
    """Decode a picture on disk.

    Raises
    ------
    PictureError, MemoryError
        As ``read_picture``.
    OSError
        The file cannot be read.
    """
    return read_picture(path.read_bytes(), limits)


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


def _matte(rgb: Image.Image, alpha: Image.Image) -> tuple[int, ...]:
    """The plain colour behind a transparent picture: the mean of what is visible.

    The network normalizes by statistics of the whole picture. White or black would shift them and
    draw an outline to be stylized; the mean is as near as a plain colour gets to not being there.
    """
    if alpha.getextrema()[1] == 0:
        return (128, 128, 128)
    return tuple(round(mean) for mean in ImageStat.Stat(rgb, mask=alpha).mean)


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as (3, H, W) float32 in [0, 1].

    Raises
    ------
    ValueError
        The picture has another mode.
    """
    if image.mode != "RGB":
        raise ValueError(f"the picture has mode {image.mode}, allowed is RGB")
    levels = torch.from_numpy(np.array(image))  # (H, W, 3)
    return levels.permute(2, 0, 1).contiguous().to(torch.float32).div_(255)  # (3, H, W)


def to_image(tensor: Tensor) -> Image.Image:
    """A float tensor (3, H, W) as an RGB picture; values outside [0, 1] are clamped.

    Raises
    ------
    ValueError
        Another shape, no floats, or not a number somewhere: nothing that is a picture.
    """
    if tensor.dim() != 3 or tensor.shape[0] != 3 or not tensor.is_floating_point():
        shape = tuple(tensor.shape)
        raise ValueError(f"expected floats of shape (3, H, W), not {tensor.dtype} of {shape}")
    # bfloat16 has 8 bits of precision, too few to be multiplied by 255 and rounded.
    values = tensor.detach().to(torch.float32)
    if values.isnan().any():
        raise ValueError("the tensor holds values that are not a number")
    levels = values.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())  # (H, W, 3)


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


def keep_colors(pastiche: Tensor, photo: Tensor) -> Tensor:
    """Luminance of the pastiche, colours of the photo.

    Luminance-only transfer (Gatys et al. 2016, arXiv:1606.05897), in YCbCr of BT.601 where the
    paper has YIQ, and without its matching of luminance histograms: the network has no style
    picture at hand.

    Parameters
    ----------
    pastiche, photo
        (3, H, W) or (N, 3, H, W) in [0, 1], of the same shape.

    Raises
    ------
    ValueError
        Shapes that differ or are no pictures.
    """
    if pastiche.shape != photo.shape or pastiche.dim() not in (3, 4) or pastiche.shape[-3] != 3:
        shapes = f"{tuple(pastiche.shape)} and {tuple(photo.shape)}"
        raise ValueError(f"expected two equal shapes (3, H, W) or (N, 3, H, W), not {shapes}")
    # Cb and Cr are differences to the luminance: moving R, G and B alike changes it alone.
    weights = photo.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)
    shift = ((pastiche - photo) * weights).sum(dim=-3, keepdim=True)  # (..., 1, H, W)
    return (photo + shift).clamp(0, 1)

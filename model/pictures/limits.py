"""What is decoded, and how the rest is refused."""

from dataclasses import dataclass

from PIL import Image

# A strip is refused for what it would cost as a large picture. Below this length, in px, any
# shape is cheap: a line of 1 x 2,000 px is a picture like another.
STRIP_SIDE = 4096


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

"""Previews of styles: the network's own rendering of a photo's middle."""

from functools import cache
from pathlib import Path

from PIL import Image
from torch import Tensor

from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.pictures.picture import encode_picture, load_picture
from model.storage.assets import asset_folder
from model.storage.files import write_atomically
from model.styles.library import StyleLibrary

SAMPLE = "astronaut.jpg"
RENDER_SIDE = 512  # px: strokes come out at the size that people will see
PREVIEW_SIDE = 256  # px
QUALITY = 82


@cache
def sample_square(side: int) -> Image.Image:
    """The middle of the sample photo, (side, side) px; not to be changed.

    Raises
    ------
    OSError
        The installation has no samples.
    """
    return middle_square(load_picture(asset_folder("static") / "samples" / SAMPLE).rgb, side)


def middle_square(photo: Image.Image, side: int) -> Image.Image:
    """The middle of a photo, (side, side) px."""
    shorter = min(photo.size)
    left, top = (photo.width - shorter) // 2, (photo.height - shorter) // 2
    box = (left, top, left + shorter, top + shorter)
    return photo.resize((side, side), Image.Resampling.LANCZOS, box=box)


def encode_preview(pastiche: Image.Image) -> bytes:
    """A rendered square as a preview, WebP."""
    small = pastiche.resize((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
    return encode_picture(small, "webp", QUALITY)


def render_preview(stylizer: Stylizer, code: Tensor) -> bytes:
    """The preview of a style code (P,), as built-in styles have theirs."""
    return encode_preview(stylizer.stylize_image(sample_square(RENDER_SIDE), Look(code)))


def render_previews(folder: Path, photo: Path) -> list[Path]:
    """Render one photo in every built-in style of a weights folder, as WebP beside each style.

    Parameters
    ----------
    photo
        Its middle is used.
    """
    stylizer = Stylizer.load(folder, "auto")
    library = StyleLibrary(folder / "styles", stylizer.fingerprint)
    square = middle_square(load_picture(photo).rgb, RENDER_SIDE)
    written = []
    for style in library:
        pastiche = stylizer.stylize_image(square, Look(style.code))
        path = folder / "styles" / f"{style.id}.webp"
        write_atomically(path, encode_preview(pastiche))
        written.append(path)
    return written

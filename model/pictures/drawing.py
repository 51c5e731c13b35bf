"""From the blocks that draw a picture to its colours: RGB in sRGB, and alpha."""

import io
from contextlib import suppress

import numpy as np
from PIL import Image, ImageCms, ImageFile

from model.pictures.container import Container
from model.pictures.jpeg_scans import disturb_end
from model.pictures.webp import APART_PIXELS, REDUCING_GAP, load_webp, load_webp_apart

FLAT_LEVELS = 2  # within which rounding leaves a block of one colour

_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}


def decode_pixels(
    container: Container, size: tuple[int, int]
) -> tuple[Image.Image, Image.Image | None]:
    """Decode the pixels, as they lie in the file: RGB in sRGB, and alpha unless all is opaque.

    Parameters
    ----------
    size
        Width and height in px to shrink the picture to, as soon as can be: every step after it
        takes time and memory by the pixel.

    Raises
    ------
    Exception
        Any, on broken files: the kinds change with Pillow's versions.
    """
    stream = io.BytesIO(container.drawing)
    with Image.open(stream, formats=[container.format]) as file:  # one format: an allow-list
        if file.size != container.size:
            raise ValueError("the header names two sizes")
        box: tuple[float, float, float, float] = (0, 0, *file.size)
        if size != container.size:  # a JPEG can be decoded at 1/2, 1/4, 1/8
            wanted = int(size[0] * REDUCING_GAP), int(size[1] * REDUCING_GAP)
            drafted = file.draft(None, wanted)
            box = drafted[1] if drafted is not None else box
        if container.format == "webp":
            image = _load_webp(container, file, size)  # shrunk already
        else:
            file.load()  # what ``verify`` and the header pass may still be cut short
            image = file
        if container.format == "jpeg" and _ends_early(image, container):
            raise ValueError("cut short")
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    image = _with_alpha(image, container.depth)
    if size != container.size and container.format != "webp":
        image = image.resize(size, Image.Resampling.LANCZOS, box, REDUCING_GAP)
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if alpha is not None and alpha.getextrema()[0] == 255:
        alpha = None
    return _convert_to_srgb(_opaque(image), container.profile), alpha


def _load_webp(
    container: Container, file: ImageFile.ImageFile, size: tuple[int, int]
) -> Image.Image:
    if container.size[0] * container.size[1] > APART_PIXELS:
        image = load_webp_apart(container.drawing, size)
        if image is not None:
            return image
    return load_webp(file, size)


def _ends_early(image: Image.Image, container: Container) -> bool:
    """Whether a JPEG's data end before its last block, whatever marker follows.

    libjpeg repeats the last colour for what is missing and tells nobody. So where the last block
    is of one shade, the file is decoded once more, small, with nonsense behind its data: that
    shows if the data do not suffice. The last scan of a progressive file only refines.
    """
    if image.info.get("progressive"):
        return False
    if image.size == container.size:  # else a block may be a single pixel
        left, top = (((side - 1) // 8) * 8 for side in image.size)
        darkest, brightest = image.crop((left, top, *image.size)).convert("L").getextrema()
        if brightest - darkest > FLAT_LEVELS:  # type: ignore[operator]
            return False
    return _decode_small(container.drawing) != _decode_small(disturb_end(container.drawing))


def _decode_small(drawing: bytes) -> bytes:
    with Image.open(io.BytesIO(drawing), formats=["jpeg"]) as file:
        file.draft(None, (1, 1))
        return file.tobytes()


def _opaque(image: Image.Image) -> Image.Image:
    """The colours alone, in mode L, RGB or CMYK with 8 bits."""
    if image.mode == "I;16":  # Pillow would clip to white; the 16-bit colours it cuts like this
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("1", "L", "LA"):
        return image.convert("L")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _with_alpha(image: Image.Image, depth: int) -> Image.Image:
    """In mode L, LA, RGB, RGBX, RGBA or CMYK, a transparent colour as alpha."""
    key = image.info.pop("transparency", None)  # taken out, or converting would look for it too
    if image.mode in ("LA", "RGBA", "RGBX"):
        return image
    alpha = None if key is None else _keyed_alpha(image, key, depth)
    image = _opaque(image)
    if alpha is not None:
        image.putalpha(alpha)
    return image


def _keyed_alpha(image: Image.Image, key: int | tuple[int, ...], depth: int) -> Image.Image:
    """Alpha of a picture in which one colour is transparent, in units of the file's depth."""
    levels = np.asarray(image.convert("L") if image.mode == "1" else image)
    wanted = np.atleast_1d(np.asarray(key))
    if image.mode == "RGB" and depth == 16:
        wanted = wanted >> 8
    elif image.mode == "L" and depth < 8:  # Pillow spreads the pixels over 0 to 255, not the key
        wanted = wanted * (255 // (2**depth - 1))
    visible = (levels.reshape(*levels.shape[:2], -1) != wanted).any(axis=2)  # (H, W)
    return Image.fromarray(np.where(visible, np.uint8(255), np.uint8(0)))


def _convert_to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB by the profile, or plainly if there is none, it is broken, or of another colour space."""
    if profile:
        with suppress(Exception):  # of any kind, as for pixels; the picture is good without it
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space == _PROFILE_SPACES[image.mode]:
                target = ImageCms.createProfile("sRGB")
                transform = ImageCms.buildTransform(source, target, image.mode, "RGB")
                return transform.apply(image)
    return image.convert("RGB")

"""Pictures of every kind that someone may offer as a style: drawn, endless, each by its number."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter


def _size(rng: Generator) -> tuple[int, int]:
    width, height = rng.integers(40, 420, 2)
    return int(width), int(height)


def _colour(rng: Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def _noise(rng: Generator) -> Image.Image:
    width, height = _size(rng)
    spread = 2.0 ** rng.uniform(0, 8)
    levels = rng.normal(rng.uniform(0, 255), spread, (height, width, 3))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _flat(rng: Generator) -> Image.Image:
    picture = Image.new("RGB", _size(rng), _colour(rng))
    if rng.random() < 0.5:  # one pixel is no style
        picture.putpixel((1, 1), _colour(rng))
    return picture


def _gradient(rng: Generator) -> Image.Image:
    ends = Image.new("RGB", (2, 2))
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        ends.putpixel(corner, _colour(rng))
    return ends.resize(_size(rng), Image.Resampling.BICUBIC)


def _screenshot(rng: Generator) -> Image.Image:
    picture = Image.new("RGB", _size(rng), _colour(rng))
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        left, top = (int(rng.integers(0, side)) for side in picture.size)
        width, height = rng.integers(4, 120, 2)
        box = (left, top, left + int(width), top + int(height))
        draw.rectangle(box, fill=_colour(rng), outline=_colour(rng))
        draw.text((left + 2, top + 2), "Save as ...", fill=_colour(rng))
    return picture


def _text(rng: Generator) -> Image.Image:
    picture = Image.new("RGB", _size(rng), "white")
    draw = ImageDraw.Draw(picture)
    for top in range(2, picture.height, 13):
        draw.text((4, top), " ".join(map(str, rng.integers(0, 10**6, 12))), fill="black")
    return picture


def _stripes(rng: Generator) -> Image.Image:
    width, height = _size(rng)
    period = int(rng.integers(1, 20))
    on = (np.arange(width) // period) % 2
    levels = np.where(on[None, :, None], _colour(rng), _colour(rng)).astype(np.uint8)
    return Image.fromarray(np.repeat(levels, height, 0)).rotate(float(rng.uniform(0, 90)))


def _photo(rng: Generator) -> Image.Image:
    """Soft shapes on shapes, with grain: statistics near a photo's."""
    picture = Image.new("RGB", (256, 200), _colour(rng))
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y = rng.integers(-30, 256, 2)
        size = 4 + 60 * rng.random() ** 3
        draw.ellipse((float(x), float(y), x + size, y + size), fill=_colour(rng))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2))), np.float64)
    grainy = soft + rng.normal(0, 3, soft.shape)
    return Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).resize(_size(rng))


KINDS: tuple[Callable[[Generator], Image.Image], ...] = (
    *(_noise, _flat, _gradient, _screenshot, _text, _stripes, _photo),
)


def odd_picture(number: int) -> Image.Image:
    """The picture of a number: RGB, 40 to 420 px a side."""
    return KINDS[number % len(KINDS)](np.random.default_rng(number))

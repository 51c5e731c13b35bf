"""Style pictures: which can teach a style, and the copy that is kept."""

import io

import numpy as np
import pytest
from learning_helpers import painting_bytes
from PIL import Image

from model.pictures.picture import Picture, read_picture
from model.pictures.style_picture import UnfitPictureError, pack_checked, prepare_picture

PAINTING = read_picture(painting_bytes()).rgb


def grain(spread: int, size: tuple[int, int] = (768, 640)) -> Image.Image:
    """Grey with grain of so many levels to either side, as a scan of plain paper has it."""
    noise = np.random.default_rng(0).integers(-spread, spread + 1, (size[1], size[0], 1))
    return Image.fromarray(np.repeat(128 + noise, 3, 2).astype(np.uint8))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.new("RGB", (63, 500)), "63 x 500"),
        (Image.new("RGB", (1, 1)), "1 x 1"),
        (Image.new("RGB", (300, 200), (9, 200, 30)), "one colour"),
        (grain(4), "one colour"),
    ],
)
def test_pictures_without_a_style(picture: Image.Image, message: str) -> None:
    with pytest.raises(UnfitPictureError, match=message):
        prepare_picture(picture, 64)
    with pytest.raises(UnfitPictureError, match=message):
        pack_checked(Picture(picture, None, "png"), 64)


@pytest.mark.parametrize("stroke_size", [64, 256, 512])
@pytest.mark.parametrize("spread", [2, 4, 6, 8, 10, 16, 40])
def test_what_is_accepted_can_be_learned_from(spread: int, stroke_size: int) -> None:
    try:
        copy = pack_checked(Picture(grain(spread), None, "png"), stroke_size)
    except UnfitPictureError:
        return
    seen = prepare_picture(read_picture(copy).rgb, stroke_size)
    assert min(seen.size) == stroke_size


def test_fine_grain_is_one_colour_from_afar_alone() -> None:
    fine = Picture(grain(10), None, "png")
    with pytest.raises(UnfitPictureError, match="one colour"):
        pack_checked(fine, 64)
    assert pack_checked(fine, 640)


def test_of_a_long_picture_the_middle_counts() -> None:
    long = Image.new("RGB", (2000, 100))
    long.paste(PAINTING.resize((100, 100)), (950, 0))
    prepared = prepare_picture(long, 64)
    assert prepared.size == (192, 64)
    levels = np.asarray(prepared)
    assert levels[:, 64:128].mean() > 5 * levels[:, :32].mean()


def test_a_grey_picture_has_a_style() -> None:
    assert prepare_picture(PAINTING.convert("L").convert("RGB"), 96).height == 96


def test_the_copy_is_the_middle_of_a_strip_and_not_large() -> None:
    copy = pack_checked(Picture(PAINTING.resize((4000, 500)), None, "png"), 64)
    with Image.open(io.BytesIO(copy)) as decoded:
        assert decoded.format == "WEBP"
        assert decoded.size == (1024, 341)

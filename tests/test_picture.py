"""Pictures in and out: sizes, metadata, resizing, encoding."""

import io
from pathlib import Path

import numpy as np
import pytest
from picture_files import (
    DISPLAY_P3,
    FORMATS,
    GOOD_FILES,
    assert_fit_to_show,
    assert_sound,
    exif_of,
    file_of,
    levels,
    pattern,
    photo,
    rgb_profile,
)
from PIL import Image, PngImagePlugin

from model.pictures.levels import to_image, to_tensor
from model.pictures.limits import (
    PictureLimits,
    PictureTooLargeError,
)
from model.pictures.picture import (
    FORMATS_BY_SUFFIX,
    MEDIA_TYPES,
    OutputFormat,
    encode_picture,
    load_picture,
    read_picture,
)

SIZES = [(1, 1), (1, 2), (3, 3), (5, 5), (255, 256), (257, 255), (1, 2000), (2000, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes_are_kept_through_all_formats(size: tuple[int, int]) -> None:
    for format in FORMATS:
        file = encode_picture(Image.new("RGB", size, (128, 128, 128)), format)
        picture = read_picture(file)
        assert picture.format == format
        assert picture.size == size
        assert abs(levels(picture.rgb) - 128).max() <= 1
        tensor = to_tensor(picture.rgb)
        assert tensor.shape == (3, size[1], size[0])
        assert to_image(tensor).size == size


def secretive_files() -> dict[str, bytes]:
    """Each format with all the metadata it can carry, SECRET in every piece."""
    exif, profile = exif_of(6), rgb_profile(DISPLAY_P3, 2.2) + b"SECRET"
    xmp = b"<x:xmpmeta>SECRET</x:xmpmeta>"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "SECRET")
    text.add_text("Title", "SECRET", zip=True)
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    image = photo()
    everything = {"exif": exif, "icc_profile": profile, "xmp": xmp}
    return {
        "png": file_of(image, "PNG", pnginfo=text, exif=exif[6:], icc_profile=profile),
        "jpeg": file_of(image, "JPEG", comment=b"SECRET", **everything)
        + b"<script>alert('SECRET')</script>",
        "webp": file_of(image, "WEBP", **everything),
        "gif": file_of(image, "GIF", comment=b"SECRET"),
    }


@pytest.mark.parametrize("source", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize("format", FORMATS)
def test_no_metadata_comes_out(source: str, format: OutputFormat) -> None:
    file = secretive_files()[source]
    assert source == "png" or b"SECRET" in file
    picture = read_picture(file)
    assert_sound(picture)
    assert picture.size == ((16, 12) if source == "gif" else (12, 16))
    output = encode_picture(picture.rgb, format)
    assert b"SECRET" not in output
    assert b"script" not in output
    with Image.open(io.BytesIO(output)) as image:
        assert not {"exif", "xmp", "icc_profile", "comment", "Comment"} & set(image.info)
        assert not image.getexif()


@pytest.mark.parametrize("format", FORMATS)
def test_metadata_of_any_image_stays_behind(format: OutputFormat) -> None:
    with Image.open(io.BytesIO(secretive_files()["jpeg"])) as image:
        output = encode_picture(image, format)
    assert b"SECRET" not in output
    assert output == encode_picture(image, format)
    kinds = {"png": (b"eXIf", b"iCCP", b"tEXt"), "jpeg": (b"\xff\xe1", b"\xff\xe2", b"\xff\xfe")}
    for kind in kinds.get(format, (b"EXIF", b"ICCP", b"XMP ")):
        assert kind not in output[:200]


def test_reading_from_a_stream_equals_reading_bytes() -> None:
    picture = read_picture(io.BytesIO(GOOD_FILES["webp"]))
    assert np.array_equal(levels(picture.rgb), levels(read_picture(GOOD_FILES["webp"]).rgb))
    assert picture.format == "webp"


def test_loading_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "a label that lies.jpg"
    path.write_bytes(GOOD_FILES["png"])
    assert load_picture(path).format == "png"
    with pytest.raises(PictureTooLargeError):
        load_picture(path, PictureLimits(max_pixels=10))
    with pytest.raises(OSError, match="missing"):
        load_picture(tmp_path / "missing.png")


def test_resizing_keeps_the_shape_and_the_alpha() -> None:
    picture = read_picture(file_of(Image.fromarray(pattern(60, 40, 4)), "PNG"))
    small = picture.resized(30)
    assert_sound(small)
    assert small.size == (30, 20)
    assert small.alpha is not None
    assert small.format == "png"
    assert picture.resized(60) is picture
    assert picture.resized(1000) is picture
    assert picture.resized(1).size == (1, 1)
    with pytest.raises(ValueError, match="max_side is 0"):
        picture.resized(0)


def test_resizing_leaves_a_strip_one_pixel() -> None:
    strip = read_picture(file_of(Image.new("RGB", (2000, 1), "teal"), "PNG"))
    assert strip.resized(100).size == (100, 1)
    assert strip.resized(100).alpha is None


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_encoded_is_read_again(format: OutputFormat) -> None:
    picture = read_picture(encode_picture(photo(64, 48), format, quality=95))
    assert picture.format == format
    assert picture.alpha is None
    tolerance = 0 if format == "png" else 12
    assert abs(levels(picture.rgb) - pattern(64, 48)).max() <= tolerance


@pytest.mark.parametrize("format", ["png", "webp"])
def test_alpha_is_put_back(format: OutputFormat) -> None:
    alpha = Image.fromarray(pattern(16, 12, 4)[..., 3])
    output = encode_picture(photo(), format, alpha=alpha)
    assert np.array_equal(levels(read_picture(output).alpha), np.asarray(alpha))


def test_jpeg_lies_over_white() -> None:
    alpha = Image.new("L", (32, 16), 255)
    alpha.paste(0, (0, 0, 16, 16))
    output = encode_picture(Image.new("RGB", (32, 16), "navy"), "jpeg", 100, alpha)
    row = levels(read_picture(output).rgb)[8]
    assert row[:16].min() >= 250
    assert abs(row[16:] - (0, 0, 128)).max() <= 4


def test_quality_is_a_matter_of_bytes() -> None:
    for format in ("jpeg", "webp"):
        low, middle, high = (len(encode_picture(photo(96, 96), format, q)) for q in (1, 90, 100))
        assert low < middle < high


@pytest.mark.parametrize(("format", "side"), [("webp", 16_383), ("jpeg", 65_500)])
def test_outputs_too_wide_for_their_format(format: OutputFormat, side: int) -> None:
    for size in ((side, 1), (1, side)):
        assert encode_picture(Image.new("RGB", size), format)
    for size in ((side + 1, 1), (1, side + 1)):
        with pytest.raises(PictureTooLargeError, match=f"{side} a side") as caught:
            encode_picture(Image.new("RGB", size), format)
        assert_fit_to_show(caught.value)
        assert encode_picture(Image.new("RGB", size), "png")


def test_arguments_out_of_range() -> None:
    for quality in (0, 101, -5):
        with pytest.raises(ValueError, match="allowed are 1 to 100"):
            encode_picture(photo(), "jpeg", quality)
    with pytest.raises(ValueError, match="allowed are png, jpeg, webp"):
        encode_picture(photo(), "tiff")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alpha has size"):
        encode_picture(photo(), "png", alpha=Image.new("L", (3, 3)))


def test_names_of_formats() -> None:
    assert set(FORMATS_BY_SUFFIX.values()) == set(MEDIA_TYPES) == set(FORMATS)
    assert FORMATS_BY_SUFFIX[".jpg"] == FORMATS_BY_SUFFIX[".jpeg"] == "jpeg"
    assert MEDIA_TYPES["jpeg"] == "image/jpeg"

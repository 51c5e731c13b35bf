"""Colours, alpha, orientation and profiles of every kind of file."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    GOOD_FILES,
    assert_sound,
    cmyk_profile,
    exif_of,
    file_of,
    grey_profile,
    icc_profile,
    levels,
    mutations,
    pattern,
    photo,
    png,
    png_chunk,
    rgb_profile,
    to_srgb,
    with_chunks,
    with_segments,
)
from PIL import Image, ImageCms

from model.pictures.picture import (
    measure_picture,
    read_picture,
)


def grey_row(*values: int) -> list[list[int]]:
    return [[value] * 3 for value in values]


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


PALETTE = png_chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50, 0, 0, 0]))

# fmt: off
MODES: dict[str, tuple[bytes, list[list[int]]]] = {
    "1": (png(2, 1, 0, b"\x80"), grey_row(255, 0)),
    "L": (png(3, 8, 0, bytes([0, 100, 255])), grey_row(0, 100, 255)),
    "2-bit grey": (png(4, 2, 0, bytes([0b00_01_10_11])), grey_row(0, 85, 170, 255)),
    "4-bit grey": (png(2, 4, 0, bytes([0x3F])), grey_row(51, 255)),
    "16-bit grey": (png(3, 16, 0, words(25_700, 32_768, 65_535)), grey_row(100, 128, 255)),
    "LA, opaque": (png(2, 8, 4, bytes([7, 255, 200, 255])), grey_row(7, 200)),
    "16-bit LA, opaque": (png(1, 16, 4, words(90 * 257, 65_535)), grey_row(90)),
    "RGB": (png(2, 8, 2, bytes([1, 2, 3, 250, 251, 252])), [[1, 2, 3], [250, 251, 252]]),
    "16-bit RGB": (png(1, 16, 2, words(10 * 257, 20 * 257, 65_535)), [[10, 20, 255]]),
    "RGBA, opaque": (png(1, 8, 6, bytes([9, 8, 7, 255])), [[9, 8, 7]]),
    "16-bit RGBA, opaque": (png(1, 16, 6, words(2570, 5140, 7710, 65_535)), [[10, 20, 30]]),
    "P": (png(2, 8, 3, b"\1\0", PALETTE), [[200, 100, 50], [10, 20, 30]]),
    "1-bit P": (png(2, 1, 3, b"\x80", PALETTE), [[200, 100, 50], [10, 20, 30]]),
}


def key(content: bytes) -> bytes:
    return png_chunk(b"tRNS", content)


TRANSPARENT: dict[str, tuple[bytes, list[int]]] = {
    "LA": (png(2, 8, 4, bytes([7, 0, 200, 90])), [0, 90]),
    "16-bit LA": (png(2, 16, 4, words(1, 65_535, 2, 0)), [255, 0]),
    "RGBA": (png(2, 8, 6, bytes([9, 8, 7, 255, 1, 2, 3, 4])), [255, 4]),
    "16-bit RGBA": (png(1, 16, 6, words(1, 2, 3, 128 * 257)), [128]),
    "P, one entry": (png(2, 8, 3, b"\0\1", PALETTE, key(b"\0")), [0, 255]),
    "P, some entries": (png(3, 8, 3, b"\0\1\2", PALETTE, key(b"\x50\x90")), [80, 144, 255]),
    "1-bit grey key": (png(2, 1, 0, b"\x80", key(words(1))), [0, 255]),
    "2-bit grey key": (png(4, 2, 0, bytes([0b00_01_10_11]), key(words(2))), [255, 255, 0, 255]),
    "4-bit grey key": (png(2, 4, 0, b"\x3f", key(words(3))), [0, 255]),
    "8-bit grey key": (png(2, 8, 0, b"\x3f\x40", key(words(64))), [255, 0]),
    "16-bit grey key": (png(2, 16, 0, words(16_384, 16_385), key(words(16_385))), [255, 0]),
    "RGB key": (png(2, 8, 2, b"\1\2\3\1\2\4", key(words(1, 2, 3))), [0, 255]),
    "16-bit RGB key": (png(2, 16, 2, words(1, 2, 3, 256, 2, 3), key(words(256, 2, 3))), [255, 0]),
}


@pytest.mark.parametrize("mode", MODES)
def test_tones_of_every_mode(mode: str) -> None:
    file, expected = MODES[mode]
    picture = read_picture(file)
    assert_sound(picture)
    assert picture.alpha is None
    assert levels(picture.rgb)[0].tolist() == expected


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("L", (90,), (90, 90, 90)),
        ("RGB", (200, 90, 40), (200, 90, 40)),
        ("CMYK", (0, 255, 127, 25), (230, 0, 115)),
    ],
)
def test_tones_of_jpegs(mode: str, color: tuple[int, ...], expected: tuple[int, ...]) -> None:
    source = Image.new(mode, (16, 16), color)
    file = file_of(source, "JPEG", quality=95)
    assert (b"Adobe" in file) == (mode == "CMYK")  # its inks are stored inverted
    assert abs(levels(read_picture(file).rgb) - np.array(expected)).max() <= 4


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    picture = read_picture(file_of(Image.fromarray(ramp), "PNG"))
    assert abs(levels(picture.rgb).mean() - 127.5) < 0.5


def test_a_progressive_jpeg_equals_a_sequential_one() -> None:
    progressive, sequential = (read_picture(GOOD_FILES[n]) for n in ("progressive jpeg", "jpeg"))
    assert np.array_equal(levels(progressive.rgb), levels(sequential.rgb))


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_alpha_of_every_mode(mode: str) -> None:
    file, expected = TRANSPARENT[mode]
    picture = read_picture(file)
    assert_sound(picture)
    assert levels(picture.alpha)[0].tolist() == expected


def test_alpha_of_webp_and_gif() -> None:
    source = Image.fromarray(pattern(16, 12, 4))
    picture = read_picture(file_of(source, "WEBP", lossless=True, exact=True))
    assert np.array_equal(levels(picture.alpha), pattern(16, 12, 4)[..., 3])
    holed = Image.new("P", (4, 2), 1)
    holed.putpalette([255, 0, 0, 0, 0, 255])
    holed.putpixel((2, 1), 0)
    picture = read_picture(file_of(holed, "GIF", transparency=0))
    assert levels(picture.alpha).tolist() == [[255] * 4, [255, 255, 0, 255]]
    assert (levels(picture.rgb) == (0, 0, 255)).all()  # the matte is the colour that is visible


def test_the_matte_is_the_mean_of_what_is_visible() -> None:
    row = bytes([10, 20, 30, 255, 50, 60, 70, 255, 255, 255, 255, 0])
    picture = read_picture(png(3, 8, 6, row))
    assert levels(picture.rgb)[0].tolist() == [[10, 20, 30], [50, 60, 70], [30, 40, 50]]


def test_a_picture_of_nothing_is_grey() -> None:
    picture = read_picture(png(2, 8, 6, bytes([255, 0, 0, 0, 0, 255, 0, 0])))
    assert levels(picture.rgb)[0].tolist() == grey_row(128, 128)
    assert levels(picture.alpha).max() == 0


def stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The pixels as a camera stores them, by the definition of the tag."""
    pixels = upright.swapaxes(0, 1) if orientation >= 5 else upright
    pixels = np.fliplr(pixels) if orientation in (2, 3, 7, 8) else pixels
    pixels = np.flipud(pixels) if orientation in (3, 4, 6, 7) else pixels
    return np.ascontiguousarray(pixels)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_give_the_same_upright_picture(orientation: int, order: str) -> None:
    upright = pattern(24, 16, 4)
    exif = exif_of(orientation, order)
    image = Image.fromarray(stored(upright, orientation))
    jpeg = with_segments(file_of(image.convert("RGB"), "JPEG", quality=95), (0xE1, exif))
    for file in (
        with_chunks(file_of(image, "PNG"), png_chunk(b"eXIf", exif[6:])),
        file_of(image, "WEBP", lossless=True, exact=True, exif=exif),
        file_of(image, "WEBP", lossless=True, exact=True, exif=exif[6:]),
    ):
        picture = read_picture(file)
        assert np.array_equal(levels(picture.alpha), upright[..., 3])
        assert picture.size == measure_picture(file) == (24, 16)
    assert abs(levels(read_picture(jpeg).rgb) - upright[..., :3]).max() <= 12


@pytest.mark.parametrize(
    "exif",
    [
        *(b"", b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0XX*\0\0\0\0\x08", exif_of(3)[:22]),
        *(exif_of(0), exif_of(9), exif_of(65_535), exif_of(3, kind=2)),
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(40),
    ],
    ids=repr,
)
def test_corrupt_exif_is_ignored(exif: bytes) -> None:
    plain = levels(read_picture(GOOD_FILES["jpeg"]).rgb)
    jpeg = read_picture(with_segments(GOOD_FILES["jpeg"], (0xE1, exif)))
    assert np.array_equal(levels(jpeg.rgb), plain)
    image = read_picture(with_chunks(GOOD_FILES["png"], png_chunk(b"eXIf", exif[6:])))
    assert np.array_equal(levels(image.rgb), pattern(16, 12))


def test_mutated_exif_is_ignored() -> None:
    for exif in mutations(exif_of(3), 300, "exif"):
        picture = read_picture(with_segments(GOOD_FILES["jpeg"], (0xE1, b"Exif\0\0" + exif[6:])))
        assert sorted(picture.size) == [12, 16]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("columns", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
def test_wide_profiles_are_converted_to_srgb(columns: NDArray[np.float64], format: str) -> None:
    colors = np.array([[180, 100, 60], [90, 150, 100], [128, 128, 128], [60, 70, 140]], np.uint8)
    image = Image.fromarray(colors.repeat(16, 0)[None].repeat(16, 0))
    options = {} if format == "PNG" else {"quality": 100}
    profile = rgb_profile(columns, 2.2)
    file = file_of(image, format, icc_profile=profile, **options)
    converted = levels(read_picture(file).rgb)[8, 8::16]
    assert abs(converted - to_srgb(colors, columns, 2.2)).max() <= 4
    assert abs(converted - colors.astype(int)).max() >= 8


def test_a_palette_is_converted_by_its_profile() -> None:
    source = Image.new("RGB", (8, 8), (180, 100, 60)).quantize(4)
    file = file_of(source, "PNG", icc_profile=rgb_profile(ADOBE_RGB, 2.2))
    expected = to_srgb(np.array([180, 100, 60], np.uint8), ADOBE_RGB, 2.2)
    assert abs(levels(read_picture(file).rgb) - expected).max() <= 3


def test_an_srgb_profile_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = file_of(photo(64, 48), "PNG", icc_profile=profile)
    assert abs(levels(read_picture(file).rgb) - pattern(64, 48)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "format"), [("L", "PNG"), ("LA", "PNG"), ("I;16", "PNG"), ("L", "JPEG")]
)
def test_grey_profiles_are_applied_in_grey(mode: str, format: str) -> None:
    image = Image.new("L", (8, 8), 55).convert(mode if mode == "LA" else "L")
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 55 * 257, np.uint16))
    file = file_of(image, format, icc_profile=grey_profile(1.0))
    assert abs(levels(read_picture(file).rgb) - 128).max() <= 2  # a fifth of the light


def test_cmyk_profiles_are_applied_to_the_inks() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    file = file_of(cyan, "JPEG", quality=100, icc_profile=cmyk_profile(128))
    assert abs(levels(read_picture(file).rgb) - 119).max() <= 3  # L* of 50
    plain = read_picture(file_of(cyan, "JPEG", quality=100))
    assert abs(levels(plain.rgb) - (0, 255, 255)).max() <= 3


def test_a_profile_in_several_segments() -> None:
    profile = rgb_profile(ADOBE_RGB, 2.2)
    image = Image.new("RGB", (16, 16), (180, 100, 60))
    parts = [profile[i : i + 100] for i in range(0, len(profile), 100)]
    segments = [
        (0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
        for number, part in enumerate(parts, 1)
    ]
    plain = file_of(image, "JPEG", quality=100)
    expected = levels(read_picture(file_of(image, "JPEG", quality=100, icc_profile=profile)).rgb)
    assert np.array_equal(levels(read_picture(with_segments(plain, *segments[::-1])).rgb), expected)
    assert not np.array_equal(levels(read_picture(plain).rgb), expected)


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"not a profile"),
        ("RGB", grey_profile(1.0)),
        ("RGB", cmyk_profile(200)),
        ("L", rgb_profile(ADOBE_RGB, 1.0)),
        ("L", rgb_profile(ADOBE_RGB, 1.0)[:-30]),
        ("RGBA", grey_profile(1.0)),
        ("RGB", icc_profile(b"RGB ", b"XYZ ", b"mntr", {})),
    ],
    ids=["text", "grey", "cmyk", "rgb for grey", "cut", "grey for rgba", "no tags"],
)
def test_unfit_profiles_are_ignored(mode: str, profile: bytes) -> None:
    source = photo().convert(mode)
    picture = read_picture(file_of(source, "PNG", icc_profile=profile))
    assert np.array_equal(levels(picture.rgb), levels(source.convert("RGB")))


def test_a_profile_that_does_not_unpack_is_ignored() -> None:
    file = with_chunks(GOOD_FILES["png"], png_chunk(b"iCCP", b"name\0\0not zlib"))
    assert np.array_equal(levels(read_picture(file).rgb), pattern(16, 12))


def test_mutated_profiles_never_refuse_a_picture() -> None:
    for good in (rgb_profile(DISPLAY_P3, 2.2), grey_profile(1.8), cmyk_profile(200)):
        source = photo(4, 3).convert({b"R": "RGB", b"G": "L", b"C": "CMYK"}[good[16:17]])
        for profile in mutations(good, 150, good[16:20].decode()):
            file = file_of(source, "JPEG", icc_profile=profile)
            assert_sound(read_picture(file))

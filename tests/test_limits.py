"""Size bombs, text bombs, strips: what is refused before it costs anything."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from picture_files import (
    GOOD_FILES,
    Cost,
    animation,
    assert_fit_to_show,
    assert_sound,
    file_of,
    levels,
    pattern,
    photo,
    png_chunk,
    png_header,
    sized_webp,
    with_chunks,
    with_segments,
)
from PIL import GifImagePlugin, Image, PngImagePlugin

from model.pictures.container import MAX_JPEG_SCANS
from model.pictures.limits import (
    PictureLimits,
    PictureTooLargeError,
    UndecodablePictureError,
)
from model.pictures.picture import (
    encode_picture,
    measure_picture,
    read_picture,
)


def zeros_png(width: int, height: int, depth: int, color: int, row_bytes: int) -> bytes:
    packer = zlib.compressobj(9)
    row = bytes(row_bytes + 1)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    end = png_chunk(b"IEND", b"")
    return png_header(width, height, depth, color) + png_chunk(b"IDAT", packed) + end


def sized_jpeg(width: int, height: int) -> bytes:
    file = bytearray(GOOD_FILES["jpeg"])
    struct.pack_into(">HH", file, file.index(b"\xff\xc0") + 5, height, width)
    return bytes(file)


def sized_gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    file = bytearray(GOOD_FILES["gif"])
    struct.pack_into("<HH", file, 6, *screen)
    struct.pack_into("<HH", file, file.index(b",\0\0\0\0") + 5, *frame)
    return bytes(file)


@pytest.mark.parametrize(
    "make",
    [
        lambda: zeros_png(13_000, 13_000, 1, 0, 1_625),
        lambda: zeros_png(9_000, 9_000, 8, 6, 36_000),
        lambda: (
            png_header(100_000, 100_000, 8, 6) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
        ),
        lambda: png_header(2**31 - 1, 2**31 - 1, 16, 6) + png_chunk(b"IEND", b""),
        lambda: sized_jpeg(65_000, 65_000),
        lambda: sized_gif((65_535, 65_535), (16, 12)),
        lambda: sized_gif((1, 1), (65_000, 1_000)),
        lambda: sized_webp(b"VP8X", 2**24, 2**24),
        lambda: sized_webp(b"VP8X", 13_000, 13_000),
        lambda: sized_webp(b"VP8L", 16_384, 16_384),
        lambda: sized_webp(b"VP8 ", 16_383, 16_383),
    ],
    ids=[
        *("one-bit png", "rgba png", "png header", "largest png header", "jpeg", "gif screen"),
        *("gif frame", "largest webp canvas", "webp canvas", "lossless webp", "lossy webp"),
    ],
)
def test_size_bombs_are_refused_by_their_header(
    make: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make()
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow was asked"))
    with Cost() as cost, pytest.raises(PictureTooLargeError, match="megapixels") as caught:
        read_picture(file)
    with pytest.raises(PictureTooLargeError):
        measure_picture(file)
    assert cost.seconds < 0.3
    assert cost.megabytes < 10
    assert_fit_to_show(caught.value)


def test_text_and_profile_bombs_cost_nothing() -> None:
    text = zlib.compress(b"\xff" * 1_000_000, 9)
    chunks = {
        b"zTXt": b"k\0\0" + text,
        b"iTXt": b"k\0\1\0\0\0" + text,  # not UTF-8: Pillow unpacks it and counts nothing
        b"iCCP": b"k\0\0" + text,
    }
    for kind, content in chunks.items():
        file = with_chunks(GOOD_FILES["png"], png_chunk(kind, content) * 2_000)
        with Cost() as cost:
            picture = read_picture(file)
        assert cost.seconds < 1
        assert cost.megabytes < 30
        assert np.array_equal(levels(picture.rgb), pattern(16, 12))


def test_a_profile_bomb_is_unpacked_to_a_limit() -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    file = with_chunks(GOOD_FILES["png"], png_chunk(b"iCCP", b"k\0\0" + packed))
    with Cost() as cost:
        read_picture(file)
    assert cost.seconds < 0.5
    assert cost.megabytes < 30


def test_an_exif_bomb_is_not_unfolded() -> None:
    count = 5_400  # tags, each of them claiming most of the block
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, count)
    block += b"".join(struct.pack("<HHII", 1_000 + i, 7, 60_000, 14) for i in range(count))
    file = with_segments(GOOD_FILES["jpeg"], *[(0xE1, block)] * 50)
    with Cost() as cost:
        read_picture(file)
    assert cost.seconds < 1
    assert cost.megabytes < 30


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    file = GOOD_FILES["progressive jpeg"]
    scan = file[file.rindex(b"\xff\xda\x00") : -2]
    few = file[:-2] + scan * (MAX_JPEG_SCANS // 2) + file[-2:]
    many = file[:-2] + scan * MAX_JPEG_SCANS + file[-2:]
    assert_sound(read_picture(few))
    with pytest.raises(UndecodablePictureError):
        read_picture(many)


def test_gif_blocks_without_end_are_read_once() -> None:
    file = GOOD_FILES["gif"]
    start = file.index(b",\0\0\0\0")
    comments = b"!\xfe" + b"\1a" * 1_000_000 + b"\0" + b"!\xfe\0" * 100_000
    with Cost() as cost:
        picture = read_picture(file[:start] + comments + file[start:])
    assert cost.seconds < 1
    assert np.array_equal(levels(picture.rgb), levels(read_picture(file).rgb))


def test_of_200000_frames_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GifImagePlugin.GifImageFile, "seek", lambda *_: pytest.fail("seek"))
    monkeypatch.setattr(
        GifImagePlugin.GifImageFile, "n_frames", property(lambda _: pytest.fail("n"))
    )
    frame = b"," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    file = GOOD_FILES["gif"][:-1] + frame * 200_000 + b";"
    with Cost() as cost:
        picture = read_picture(file)
    assert cost.seconds < 1.5
    assert cost.megabytes < 30
    assert picture.size == (16, 12)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF"])
def test_the_first_frame_of_an_animation(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "seek", lambda *_: pytest.fail("seek"))
    picture = read_picture(animation(format))
    assert picture.size == (8, 6)
    assert picture.format == format.lower()
    assert abs(levels(picture.rgb) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1), (1, 4096), (4096, 1), (4100, 41)])
def test_strips_that_pass(size: tuple[int, int]) -> None:
    picture = read_picture(file_of(Image.new("RGB", size, "teal"), "PNG"))
    assert picture.size == size
    assert encode_picture(picture.rgb, "png")


@pytest.mark.parametrize("size", [(1, 4097), (4097, 40), (10_000, 99)])
def test_strips_that_are_too_long(size: tuple[int, int]) -> None:
    with pytest.raises(PictureTooLargeError, match="100 times") as caught:
        read_picture(file_of(Image.new("RGB", size), "PNG"))
    assert_fit_to_show(caught.value)


def test_pixels_are_counted_to_the_last() -> None:
    file = file_of(photo(20, 10), "PNG")
    assert read_picture(file, PictureLimits(max_pixels=200)).size == (20, 10)
    with pytest.raises(PictureTooLargeError, match="20 x 10"):
        read_picture(file, PictureLimits(max_pixels=199))


@pytest.mark.parametrize(
    "limits",
    [{"max_pixels": 0}, {"max_pixels": 10**9}, {"max_aspect": 0.5}, {"max_aspect": np.nan}],
)
def test_senseless_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        PictureLimits(**limits)  # type: ignore[arg-type]

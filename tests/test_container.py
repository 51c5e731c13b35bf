"""Files reduced to what draws them; broken, contradictory and foreign ones are refused."""

import io
import random
import struct
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from picture_files import (
    GOOD_FILES,
    Cost,
    assert_fit_to_show,
    assert_sound,
    file_of,
    mutations,
    png,
    png_chunk,
    png_header,
    sized_webp,
    with_chunks,
    with_segments,
)
from PIL import Image, ImageFile

from model.pictures import picture as images
from model.pictures.container import read_container
from model.pictures.drawing import decode_pixels
from model.pictures.limits import (
    EmptyPictureError,
    PictureError,
    PictureLimits,
    UndecodablePictureError,
    UnsupportedFormatError,
)
from model.pictures.picture import (
    read_picture,
)


def test_no_bytes_are_an_empty_picture() -> None:
    with pytest.raises(EmptyPictureError) as caught:
        read_picture(b"")
    assert_fit_to_show(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"just text, long enough to be read as a header",
        b"<!doctype html><html><body><img src=x></body></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"\0",
        b"\xff",
        b"x" * 5,
        file_of(Image.new("RGB", (4, 4)), "BMP"),
        file_of(Image.new("RGB", (4, 4)), "TIFF"),
        file_of(Image.new("RGB", (4, 4)), "PPM"),
        file_of(Image.new("RGB", (16, 16)), "ICO"),
    ],
    ids=lambda data: ascii(data[:12]),
)
def test_other_files_are_unsupported_by_their_bytes(data: bytes) -> None:
    if data == b"\xff":
        with pytest.raises(UndecodablePictureError):  # a JPEG may have been cut here
            read_picture(data)
        return
    with pytest.raises(UnsupportedFormatError) as caught:
        read_picture(data)
    assert_fit_to_show(caught.value)


@pytest.mark.parametrize(
    "lenient", [False, True], ids=["", "although Pillow is told to be lenient"]
)
@pytest.mark.parametrize("name", GOOD_FILES)
def test_a_file_cut_anywhere_is_refused(
    name: str, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    file = GOOD_FILES[name]
    assert_sound(read_picture(file))
    for length in range(1, len(file)):
        with pytest.raises(UndecodablePictureError) as caught:
            read_picture(file[:length])
    assert_fit_to_show(caught.value)


def png_mutations(file: bytes, count: int, seed: str) -> Iterator[bytes]:
    """Mutations within one chunk, its checksum put right again."""
    rng = random.Random(seed)
    chunks, position = [], 8
    while position < len(file):
        end = position + 12 + int.from_bytes(file[position : position + 4], "big")
        chunks.append(file[position:end])
        position = end
    chunks = [chunk for chunk in chunks if len(chunk) > 12]
    for mutated in range(count):
        chunk = rng.choice(chunks)
        content = next(mutations(chunk[8:-4], 1, f"{seed} {mutated}"))
        yield file.replace(chunk, png_chunk(chunk[4:8], content))


@pytest.mark.parametrize("name", GOOD_FILES)
def test_mutated_files_are_answered_or_refused(name: str) -> None:
    limits = PictureLimits(max_pixels=300_000)  # so that no mutation of a header takes long
    file = GOOD_FILES[name]
    cases = [*mutations(file, 400, name)]
    if file.startswith(b"\x89PNG"):
        cases += png_mutations(file, 400, name)
    refused = 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for data in cases:
            try:
                assert_sound(read_picture(data, limits))
            except PictureError as error:
                assert_fit_to_show(error)
                refused += 1
    assert not warned
    assert 0 < refused < len(cases)


def test_a_flipped_bit_in_the_pixels_of_a_png_is_found() -> None:
    file = bytearray(png(64, 8, 0, bytes(range(64))))
    for position in range(file.index(b"IDAT") + 4, file.index(b"IEND") - 8):
        file[position] ^= 1
        with pytest.raises(UndecodablePictureError):
            read_picture(bytes(file))
        file[position] ^= 1


@pytest.mark.parametrize(
    "file",
    [
        png_header(0, 4, 8, 2) + png_chunk(b"IEND", b""),
        with_segments(GOOD_FILES["jpeg"], (0xC0, b"\x08\0\x05\0\x05\x01\x01\x11\0")),
        sized_webp(b"VP8X", 9, 9, b"abcd\0\0\0\0" * 100_000),
        GOOD_FILES["png"][:8] + png_chunk(b"tEXt", b"a\0b") + GOOD_FILES["png"][8:],
        with_chunks(GOOD_FILES["png"], png_header(9, 9, 8, 2)[8:]),
        with_chunks(GOOD_FILES["png"], png_chunk(b"abCd", b"") * 100_000),
        GOOD_FILES["jpeg"].replace(b"\xff\xc0", b"\xff\xfe"),
        b"\xff\xd8" + b"\xff\xe5\0\2" * 100_001,
        b"\xff\xd8" + b"\xff" * 2_000_000,
        b"\xff\xd8\xff" + b"\xff\0" * 1_000_000,
        b"RIFF\x10\0\0\0WEBPVP9 " + bytes(40),
        b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b";",
        b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0, 0, 0) + b"?" * 9,
    ],
    ids=[
        *(
            "no width",
            "two frame headers",
            "100,000 webp chunks",
            "header not first",
            "two headers",
            "100,000 chunks",
        ),
        *("no frame header", "100,000 segments", "only fill bytes", "no marker"),
        *("unknown webp", "gif without frame", "gif with unknown block"),
    ],
)
def test_contradictory_files_are_refused_at_once(file: bytes) -> None:
    with Cost() as cost, pytest.raises(UndecodablePictureError):
        read_picture(file)
    assert cost.seconds < 1


def test_pillow_and_the_header_must_agree_on_the_size() -> None:
    container = read_container(GOOD_FILES["png"], "png")
    with pytest.raises(ValueError, match="two sizes"):
        decode_pixels(replace(container, size=(9, 9)), (9, 9))


def test_running_out_of_memory_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "decode_pixels", fail)
    with pytest.raises(MemoryError):
        read_picture(GOOD_FILES["png"])


def jpeg_of(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("side", [None, 40])
@pytest.mark.parametrize("share", [0.2, 1 / 3, 0.5, 0.8])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"quality": 30}],
    ids=str,
)
def test_an_end_marker_does_not_make_a_cut_jpeg_whole(
    options: dict[str, object], share: float, side: int | None
) -> None:
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).resize((480, 320))
    whole = jpeg_of(image, **options)
    read_picture(whole, max_side=side)
    if options.get("progressive") and share > 0.4:
        return  # its last scan may have begun
    with pytest.raises(UndecodablePictureError):
        read_picture(whole[: int(len(whole) * share)] + b"\xff\xd9", max_side=side)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(64, 64), (65, 33), (1, 1), (500, 17)], ids=str)
def test_a_whole_jpeg_of_one_colour_is_whole(mode: str, size: tuple[int, int]) -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}, {"optimize": True}):
        file = jpeg_of(Image.new(mode, size, 77 if mode == "L" else (77,) * len(mode)), **options)
        for side in (None, 8):
            read_picture(file, max_side=side)

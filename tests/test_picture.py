"""Pictures in and out, row by row of the table in the notes on robustness."""

import io
import random
import resource
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageCms, ImageFile, PngImagePlugin

from model.pictures import picture as images
from model.pictures.container import MAX_JPEG_SCANS, draw, read_container
from model.pictures.picture import (
    FORMATS_BY_SUFFIX,
    MEDIA_TYPES,
    EmptyPictureError,
    OutputFormat,
    Picture,
    PictureError,
    PictureLimits,
    PictureTooLargeError,
    UndecodablePictureError,
    UnsupportedFormatError,
    encode_picture,
    keep_colors,
    load_picture,
    measure_picture,
    read_picture,
    to_image,
    to_tensor,
)

# ---------------------------------------------------------------- files, made here


def file_of(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def pattern(width: int, height: int, channels: int = 3) -> NDArray[np.uint8]:
    """Smooth, and without any symmetry."""
    y, x = np.mgrid[:height, :width]
    planes = [
        30 + 200 * x // width,
        20 + 200 * y // height,
        60 + 50 * x // width + 90 * y // height,
    ]
    planes.append(40 + 200 * (x + y) // (width + height))
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def photo(width: int = 16, height: int = 12) -> Image.Image:
    return Image.fromarray(pattern(width, height))


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_header(width: int, height: int, depth: int, color: int) -> bytes:
    content = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", content)


def png(width: int, depth: int, color: int, row: bytes, *extra: bytes) -> bytes:
    """A PNG of one row: color 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + row)) + png_chunk(b"IEND", b"")
    return png_header(width, 1, depth, color) + b"".join(extra) + pixels


def with_chunks(file: bytes, *chunks: bytes) -> bytes:
    """A PNG with chunks after its header."""
    return file[:33] + b"".join(chunks) + file[33:]


def with_segments(file: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with marker segments at its start."""
    parts = [struct.pack(">BBH", 0xFF, m, len(content) + 2) + content for m, content in segments]
    return file[:2] + b"".join(parts) + file[2:]


def exif_of(orientation: int, order: str = ">", kind: int = 3) -> bytes:
    """An EXIF block: a camera's name, the orientation, and a place."""
    entries = struct.pack(f"{order}HHII", 0x010F, 2, 4, 0)
    entries += struct.pack(f"{order}HHIHH", 0x0112, kind, 1, orientation, 0)
    start = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(f"{order}IH", 8, 2)
    return b"Exif\0\0" + start + entries + b"\0\0\0\0" + b"SECRET"


def icc_profile(space: bytes, pcs: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content.ljust(-len(content) % 4 + len(content), b"\0")
    white = struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02400000, kind, space, pcs)
    header += bytes(12) + b"acsp" + bytes(28) + white
    return header.ljust(128, b"\0") + table + body


def curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def xyz(*values: float) -> bytes:
    return b"XYZ " + struct.pack(">I3i", 0, *(round(v * 65536) for v in values))


def rgb_profile(columns: NDArray[np.float64], gamma: float) -> bytes:
    tags = {b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    for name, column in zip("rgb", columns.T, strict=True):
        tags[f"{name}XYZ".encode()] = xyz(*column)
        tags[f"{name}TRC".encode()] = curve(gamma)
    return icc_profile(b"RGB ", b"XYZ ", b"mntr", tags)


def grey_profile(gamma: float) -> bytes:
    tags = {b"wtpt": xyz(0.9642, 1.0, 0.8249), b"kTRC": curve(gamma)}
    return icc_profile(b"GRAY", b"XYZ ", b"mntr", tags)


def cmyk_profile(cyan: int) -> bytes:
    """No ink is white, cyan is a grey of this lightness in 0 to 255, anything else is black."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lightness = [255, *[0] * 7, cyan, *[0] * 7]  # of the 16 corners; cyan varies slowest
    colors = b"".join(bytes([level, 128, 128]) for level in lightness)
    table = b"mft1" + struct.pack(">I4B", 0, 4, 3, 2, 0) + identity + ramp * 4 + colors + ramp * 3
    return icc_profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": table})


# Columns: the primaries in CIE XYZ, adapted to D50.
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]]
)
DISPLAY_P3 = np.array(
    [[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
ADOBE_RGB = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)


def to_srgb(
    colors: NDArray[np.uint8], columns: NDArray[np.float64], gamma: float
) -> NDArray[np.float64]:
    linear = (colors / 255) ** gamma @ columns.T @ np.linalg.inv(SRGB).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def animation(format: str) -> bytes:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "lime", "blue")]
    return file_of(frames[0], format, save_all=True, append_images=frames[1:], duration=50)


GOOD_FILES: dict[str, bytes] = {
    "png": file_of(photo(), "PNG"),
    "png with alpha": file_of(Image.fromarray(pattern(9, 7, 4)), "PNG"),
    "png with palette": file_of(photo().quantize(16), "PNG"),
    "jpeg": file_of(photo(), "JPEG", quality=50),
    "progressive jpeg": file_of(photo(), "JPEG", quality=50, progressive=True),
    "webp": file_of(photo(), "WEBP", quality=50),
    "lossless webp": file_of(Image.fromarray(pattern(9, 7, 4)), "WEBP", lossless=True),
    "gif": file_of(photo(), "GIF"),
    "animated png": animation("PNG"),
    "animated webp": animation("WEBP"),
    "animated gif": animation("GIF"),
}


def sized_webp(kind: bytes, width: int, height: int, more: bytes = b"") -> bytes:
    """A header alone, of a canvas or of a picture."""
    if kind == b"VP8X":
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"VP8X" + struct.pack("<II", 10, 0) + sides
    elif kind == b"VP8L":
        packed = (width - 1) | (height - 1) << 14
        body = b"VP8L" + struct.pack("<IBI", 5, 0x2F, packed) + b"\0"
    else:
        body = b"VP8 " + struct.pack("<I", 10) + b"\0\0\0\x9d\x01\x2a"
        body += struct.pack("<HH", width, height)
    return b"RIFF" + struct.pack("<I", len(body + more) + 4) + b"WEBP" + body + more


FORMATS: tuple[OutputFormat, ...] = ("png", "jpeg", "webp")


def levels(image: Image.Image | None) -> NDArray[np.int16]:
    assert image is not None
    return np.asarray(image).astype(np.int16)


def assert_sound(picture: Picture) -> None:
    assert picture.rgb.mode == "RGB"
    assert type(picture.rgb) is Image.Image
    assert picture.rgb.info == {}
    assert picture.size == (picture.width, picture.height)
    if picture.alpha is not None:
        assert picture.alpha.mode == "L"
        assert picture.alpha.size == picture.size
        assert picture.alpha.info == {}


def assert_fit_to_show(error: PictureError) -> None:
    text = str(error)
    assert text
    assert len(text) < 200
    assert not {"\n", "/", "<", "'"} & set(text)


class Cost:
    """Time and memory of a block: ``seconds``, and ``megabytes`` by which the peak rose."""

    def __enter__(self) -> "Cost":
        self._peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.megabytes = (peak - self._peak) / 1024


# ---------------------------------------------------------------- what is no picture


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


# ---------------------------------------------------------------- broken files


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


def mutations(file: bytes, count: int, seed: str) -> Iterator[bytes]:
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(file)
        for _ in range(rng.choice((1, 1, 2, 8))):
            position = rng.randrange(len(data))
            end = min(len(data), position + rng.choice((1, 2, 4, 16)))
            match rng.randrange(5):
                case 0:
                    data[position] ^= 1 << rng.randrange(8)
                case 1:
                    data[position:end] = rng.randbytes(end - position)
                case 2:
                    data[position:end] = rng.choice((b"\0", b"\xff")) * (end - position)
                case 3 if len(data) > 64:
                    del data[position:end]
                case _:
                    data[position:position] = data[position:end]
        yield bytes(data)


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
        draw(replace(container, size=(9, 9)))


def test_running_out_of_memory_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(images, "draw", fail)
    with pytest.raises(MemoryError):
        read_picture(GOOD_FILES["png"])


# ---------------------------------------------------------------- bombs


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


# ---------------------------------------------------------------- limits


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


# ---------------------------------------------------------------- modes


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
# fmt: on


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


# ---------------------------------------------------------------- orientation, profiles, metadata


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


# ---------------------------------------------------------------- sources, and the class


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


# ---------------------------------------------------------------- tensors


def test_all_levels_survive_the_round_trip() -> None:
    values = np.arange(768, dtype=np.uint32).astype(np.uint8).reshape(16, 16, 3)
    tensor = to_tensor(Image.fromarray(values))
    assert tensor.shape == (3, 16, 16)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert tensor.min() == 0
    assert tensor.max() == 1
    assert tensor[1, 0, 2] == values[0, 2, 1] / np.float32(255)
    image = to_image(tensor)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), values)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floats_are_rounded_in_float32(dtype: torch.dtype) -> None:
    tensor = to_tensor(photo()).to(dtype)
    image = to_image(tensor)
    assert np.array_equal(np.asarray(image), np.asarray(to_image(tensor.float())))
    assert abs(levels(image) - pattern(16, 12)).max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_on_a_gpu(dtype: torch.dtype) -> None:
    tensor = to_tensor(photo()).to(dtype)
    assert np.array_equal(np.asarray(to_image(tensor.cuda())), np.asarray(to_image(tensor)))


def test_values_outside_are_clamped_and_the_tensor_left_alone() -> None:
    values = torch.tensor([-torch.inf, -0.4, 0.5, 1.7, torch.inf]).expand(3, 2, 5)
    tensor = values.clone().requires_grad_()
    assert levels(to_image(tensor))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert torch.equal(tensor, values)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1, 3, 4, 4),
        torch.zeros(4, 4, 3),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.full((3, 4, 4), torch.nan),
    ],
    ids=["batch", "channels last", "integers", "nan"],
)
def test_what_is_no_picture_is_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"tensor|floats"):
        to_image(tensor)


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_only_rgb_becomes_a_tensor(mode: str) -> None:
    with pytest.raises(ValueError, match="allowed is RGB"):
        to_tensor(Image.new(mode, (4, 4)))


def test_own_colors_are_kept_exactly() -> None:
    tensor = to_tensor(photo())
    torch.testing.assert_close(keep_colors(tensor, tensor), tensor)


def test_luminance_of_the_pastiche_and_chroma_of_the_photo() -> None:
    generator = torch.Generator().manual_seed(0)
    # Within these bounds nothing leaves [0, 1], where clamping would take its part.
    pastiche, original = 0.4 + 0.2 * torch.rand(2, 2, 3, 9, 7, generator=generator)
    result = keep_colors(pastiche, original)
    bt601 = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    wanted, given, got = (
        torch.einsum("yc,nchw->nyhw", bt601, t) for t in (pastiche, original, result)
    )
    torch.testing.assert_close(got[:, 0], wanted[:, 0])
    torch.testing.assert_close(got[:, 1:], given[:, 1:], atol=2e-6, rtol=0)
    torch.testing.assert_close(keep_colors(pastiche[1], original[1]), result[1])


def test_colors_are_clamped_and_shapes_checked() -> None:
    white, red = torch.ones(3, 2, 2), torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 2, 2)
    result = keep_colors(white, red)
    assert result.max() == 1
    assert result.min() >= 0
    for other in (torch.ones(3, 2, 3), torch.ones(1, 3, 2, 2)):
        with pytest.raises(ValueError, match="equal shapes"):
            keep_colors(white, other)
    with pytest.raises(ValueError, match="equal shapes"):
        keep_colors(torch.ones(4, 2, 2), torch.ones(4, 2, 2))


# ---------------------------------------------------------------- encoding


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

"""Picture files of every kind, made here, and what reading them costs."""

import io
import random
import resource
import struct
import time
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.pictures.limits import (
    PictureError,
)
from model.pictures.picture import (
    OutputFormat,
    Picture,
)


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

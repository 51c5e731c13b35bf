"""From the bytes of a picture file to its colours, no more of it parsed than they need.

Pillow decodes the pixels, but parses more than pixels first, and all of that at a stranger's
will. Measured with Pillow 13: 8 MB of compressed PNG text or of repeated profiles cost 16 s; a
66 KB JPEG gave 5,400 EXIF warnings; a scan of 42 bytes costs a progressive JPEG of 25 megapixels
13 ms, and a file may repeat it half a million times. So the file is first reduced to the blocks
that draw its first frame; profile, orientation and size are taken out here. What this refuses is
cut short, contradictory, or has absurdly many parts.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from model.pictures.jpeg_scans import FRAMES, drawn_in_full

InputFormat = Literal["png", "jpeg", "webp", "gif"]

MAX_BLOCKS = 100_000  # chunks or segments of a file; one of 25 MB in pieces of 256 bytes has these
MAX_JPEG_SCANS = 100  # encoders write about ten, and 100 at 50 megapixels take some seconds
MAX_PROFILE_BYTES = 4 * 2**20  # profiles of printing presses, the largest, have 1 to 3 MB

_SIGNATURES: tuple[tuple[InputFormat, bytes], ...] = (
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("jpeg", b"\xff\xd8\xff"),
    ("webp", b"RIFFWEBP"),
    ("gif", b"GIF87a"),
    ("gif", b"GIF89a"),
)
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
_JPEG_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


@dataclass(frozen=True)
class Container:
    """The parts of a picture file that matter.

    Parameters
    ----------
    format
        As ``detect_format`` has it.
    size
        Width and height in px as the header claims them, both at least 1.
    drawing
        A file of the same format with nothing but what draws the first frame.
    profile
        The embedded ICC profile, unverified.
    orientation
        EXIF orientation, 1 to 8; 1 (upright) if absent or broken.
    depth
        Bits per sample.
    """

    format: InputFormat
    size: tuple[int, int]
    drawing: bytes
    profile: bytes | None = None
    orientation: int = 1
    depth: int = 8


def detect_format(data: bytes) -> InputFormat | None:
    """The format by the first bytes; a file cut within its signature still counts as one."""
    riff = data[:4] + data[8:12]  # the four bytes between are the file's length
    for format, signature in _SIGNATURES:
        start = riff if format == "webp" else data[: len(signature)]
        if start.startswith(signature) or (len(data) < 12 and signature.startswith(start)):
            return format
    return None


def read_container(data: bytes, format: InputFormat) -> Container:
    """Reduce a file to what draws its first frame, in time linear in its bytes.

    Raises
    ------
    ValueError, struct.error, IndexError, zlib.error
        The file is broken or cut short.
    """
    readers = {"png": _read_png, "jpeg": _read_jpeg, "webp": _read_webp, "gif": _read_gif}
    container = readers[format](data)
    if min(container.size) < 1:
        raise ValueError("no pixels")
    return container


def _slice(data: bytes, start: int, length: int) -> bytes:
    """Exactly these bytes: a plain slice would quietly return fewer."""
    if start + length > len(data):
        raise ValueError("cut short")
    return data[start : start + length]


def _read_png(data: bytes) -> Container:
    kept = [data[:8]]
    profile, orientation = None, 1
    for kind, chunk in _png_chunks(data):
        content = chunk[8:-4]
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            # Pillow checks none of IDAT: a flipped bit would be a wrong picture, not an error.
            if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
                raise ValueError("checksum")
            kept.append(chunk)
        elif kind == b"iCCP" and profile is None:
            profile = _inflate_profile(content.partition(b"\0")[2][1:])
        elif kind == b"eXIf":
            orientation = _read_orientation(content)
    width, height, depth = struct.unpack_from(">IIB", kept[1], 8)
    return Container("png", (width, height), b"".join(kept), profile, orientation, depth)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    for _ in range(MAX_BLOCKS):
        length, kind = struct.unpack_from(">I4s", data, position)
        if (kind == b"IHDR") != (position == 8):
            raise ValueError("the header is not the first chunk, or not the only one")
        yield kind, _slice(data, position, length + 12)
        position += length + 12
        if kind == b"IEND":
            return
    raise ValueError("too many chunks")


def _inflate_profile(compressed: bytes) -> bytes:
    """The profile, or what of it comes before an error or the limit: it will not parse."""
    inflater = zlib.decompressobj()
    try:
        return inflater.decompress(compressed, MAX_PROFILE_BYTES)
    except zlib.error:
        return b""


def _read_jpeg(data: bytes) -> Container:
    kept = [data[:2]]
    size, orientation, tail = None, 1, b""
    profile: dict[int, bytes] = {}
    for marker, segment, end in _jpeg_segments(data):
        content = segment[4:]
        if marker == 0xE1 and content.startswith(b"Exif\0\0"):
            orientation = _read_orientation(content)
        elif marker == 0xE2 and content.startswith(b"ICC_PROFILE\0"):
            profile.setdefault(content[12], content[14:])  # 12: its number, from 1
        elif marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(segment)  # JFIF and Adobe say what the components are
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", content, 1)
            size = width, height
        elif marker == 0xDA:  # the first scan: from here on, libjpeg reads
            tail = data[end:]
    if size is None:
        raise ValueError("no frame header")
    if tail.count(b"\xff\xda\x00") >= MAX_JPEG_SCANS:
        raise ValueError("too many scans")
    if b"\xff\xd9" not in tail or not drawn_in_full(kept, tail):
        raise ValueError("cut short")
    icc = b"".join(part for _, part in sorted(profile.items()))
    return Container("jpeg", size, b"".join([*kept, tail]), icc or None, orientation)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, bytes with the marker, and position of the end, up to the first scan's header."""
    position = 2
    for _ in range(MAX_BLOCKS):
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            raise ValueError("cut short")
        marker, position = found[1][0], found.end()
        if marker in _JPEG_STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        segment = b"\xff" + _slice(data, position - 1, length + 1)
        position += length
        yield marker, segment, position
        if marker == 0xDA:
            return
    raise ValueError("too many segments")


def _read_webp(data: bytes) -> Container:
    end = int.from_bytes(data[4:8], "little") + 8
    if end > len(data):
        raise ValueError("cut short")
    kind = data[12:16]
    profile, orientation = None, 1
    if kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        sides = _slice(data, 24, 6)
        width, height = (int.from_bytes(side, "little") + 1 for side in (sides[:3], sides[3:]))
        for name, content in _riff_chunks(data, end):
            if name == b"ICCP" and profile is None:
                profile = content[:MAX_PROFILE_BYTES]
            elif name == b"EXIF":
                orientation = _read_orientation(content)
    else:
        raise ValueError("no picture")
    # Chunks stay: libwebp steps over them, and the file's structure is its to judge.
    return Container("webp", (width, height), data[:end], profile, orientation)


def _riff_chunks(data: bytes, end: int) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    for _ in range(MAX_BLOCKS):
        if position >= end:
            return
        name, length = struct.unpack_from("<4sI", data, position)
        yield name, _slice(data, position + 8, length)
        position += 8 + length + length % 2
    raise ValueError("too many chunks")


def _read_gif(data: bytes) -> Container:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _color_table_bytes(flags)
    kept = [_slice(data, 0, position)]
    control = b""  # the extension that says which colour is transparent
    drawn = False
    while (kind := data[position]) != 0x3B:  # the trailer: a file without one is cut
        start = position
        if kind == 0x21:
            position = _skip_sub_blocks(data, start + 2)
            if data[start + 1] == 0xF9:
                control = data[start:position]
        elif kind == 0x2C:
            left, top, *sides, flags = struct.unpack_from("<4HB", data, start + 1)
            position = _skip_sub_blocks(data, start + 11 + _color_table_bytes(flags))
            if not drawn:
                kept += [control, data[start:position]]
                width, height = max(width, left + sides[0]), max(height, top + sides[1])
            drawn = True
        else:
            break  # what follows a drawn frame may be anything
    if not drawn:
        raise ValueError("no frame")
    return Container("gif", (width, height), b"".join([*kept, b";"]))


def _color_table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(data: bytes, position: int) -> int:
    while length := data[position]:
        position += length + 1
    return position + 1


def _read_orientation(exif: bytes) -> int:
    """Tag 0x0112 of the first directory, all that is ever read of EXIF; 1 if broken."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if tag == 0x0112:
                return int(value) if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1

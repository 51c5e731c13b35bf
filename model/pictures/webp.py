"""WebP pictures, large ones in a process of their own. This file is that process's program too.

Pillow's decoder of WebP keeps the interpreter to itself: while it draws 49 megapixels, which a
file of 2 kB may ask for, no other thread runs, for 2 s on two busy cores (Pillow 13). In a process
of its own it disturbs nobody, and what it took of memory is given back when it ends.
"""

import io
import subprocess
import sys
from contextlib import suppress
from typing import BinaryIO, cast

from PIL import Image, ImageFile

APART_PIXELS = 4_000_000  # above: starting a process takes longer than a smaller picture
REDUCING_GAP = 2.0  # a picture is shrunk fast to twice the size wanted, and well from there
BROKEN, OUT_OF_MEMORY = 3, 4  # exit codes


def load_webp(file: ImageFile.ImageFile, size: tuple[int, int]) -> Image.Image:
    """The first frame, mode RGBX or RGBA, shrunk to a size in px where it is another.

    Pillow keeps the decoder's two canvases beside the picture: 800 MB for 50 megapixels. Here they
    go before the picture is made, of the very bytes that the decoder gave.

    Raises
    ------
    Exception
        Any, on broken files.
    """
    decoder = file._decoder  # type: ignore[attr-defined]
    first = decoder.get_next()
    if first is None:
        raise ValueError("no frame")
    file._decoder = decoder = None  # type: ignore[attr-defined]
    mode = file.rawmode  # type: ignore[attr-defined] # RGBA, or RGBX: four bytes a pixel
    image = Image.frombuffer(mode, file.size, first[0], "raw", mode, 0, 1)
    if size != file.size:
        image = image.resize(size, Image.Resampling.LANCZOS, None, REDUCING_GAP)
    return image


def load_webp_apart(data: bytes, size: tuple[int, int]) -> Image.Image | None:
    """As `load_webp`, of a file's bytes, in another process; None if none can do it.

    Raises
    ------
    ValueError
        The file is broken.
    MemoryError
        The machine is out of memory.
    """
    command = [sys.executable, "-P", __file__, *map(str, size)]  # -P: this folder holds no modules
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    given, wanted = cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout)
    with process:
        try:
            mode, pixels = _converse(given, wanted, data, size)
        except BaseException:
            process.kill()
            raise
    if process.returncode in (OUT_OF_MEMORY, -9):  # 9: the system's way to find memory
        raise MemoryError
    if process.returncode == BROKEN or process.returncode < 0:  # a decoder may crash over a file
        raise ValueError("no WebP")
    if process.returncode != 0 or len(pixels) != 4 * size[0] * size[1]:
        return None
    return Image.frombuffer(mode, size, pixels, "raw", mode, 0, 1)


def _converse(
    given: BinaryIO, wanted: BinaryIO, data: bytes, size: tuple[int, int]
) -> tuple[str, bytearray]:
    with suppress(BrokenPipeError):  # it has ended; its exit code says why
        given.write(data)
        given.close()
    mode = wanted.read(4).decode()
    pixels = bytearray(4 * size[0] * size[1] if mode else 0)
    read = 0
    with memoryview(pixels) as view:
        while read < len(pixels) and (got := wanted.readinto(view[read:])):  # type: ignore[attr-defined]
            read += got
    return mode, pixels if read == len(pixels) else bytearray()


def _answer(given: BinaryIO, wanted: BinaryIO, size: tuple[int, int]) -> None:
    """The other process: bytes of a file in, a mode and pixels out."""
    with Image.open(io.BytesIO(given.read()), formats=["webp"]) as file:
        image = load_webp(file, size)
    wanted.write(image.mode.encode() + image.tobytes())
    wanted.flush()


if __name__ == "__main__":
    Image.MAX_IMAGE_PIXELS = None  # who asks has looked at the size
    try:
        _answer(sys.stdin.buffer, sys.stdout.buffer, (int(sys.argv[1]), int(sys.argv[2])))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)
    except Exception:
        sys.exit(BROKEN)

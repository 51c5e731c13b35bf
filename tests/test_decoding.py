"""Whose turn it is to decode, and what that costs."""

import asyncio
import io
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from picture_files import GOOD_FILES
from PIL import Image
from server_helpers import running_server
from service_helpers import (
    assert_problem,
    open_picture,
    photo_bytes,
    photo_levels,
    running_client,
    upload,
)

from app.decoding import SMALL_PIXELS, Decoders
from app.engine.protocol import OverloadedError
from model.pictures.limits import UndecodablePictureError
from model.pictures.picture import encode_picture, fitted_size, read_picture

LARGE = 10 * SMALL_PIXELS
URL = "/v1/stylize"


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    decoders = Decoders(2, max_pixels=LARGE, max_requests=8, deadline_s=1e6)
    yield decoders
    decoders.close()


async def started(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


def test_small_files_pass_large_ones(decoders: Decoders) -> None:
    async def test() -> None:
        runs, go = threading.Event(), threading.Event()

        def slow() -> None:
            runs.set()
            go.wait(10)

        first = asyncio.ensure_future(decoders.run(LARGE, slow))
        await started(runs)
        second = asyncio.ensure_future(decoders.run(LARGE, lambda: "second"))
        small = await decoders.run(1000, lambda: "small")
        assert small.value == "small"
        assert not second.done(), "two large files at once would be too much"
        go.set()
        assert (await first).took_s > 0
        assert (await second).waited_s > 0

    asyncio.run(test())


def test_too_much_is_refused_at_once() -> None:
    async def test() -> None:
        decoders = Decoders(2, LARGE, max_requests=100, deadline_s=10)
        decoders.admission.pace.pixels_per_s = (
            LARGE / 2
        )  # two seconds each, and half the deadline is 5
        go, begun = threading.Event(), time.monotonic()
        taken = [asyncio.ensure_future(decoders.run(LARGE, go.wait, 10)) for _ in range(40)]
        await asyncio.sleep(0.05)
        refused = [task for task in taken if task.done()]
        assert len(refused) == 38
        for task in refused:
            error = task.exception()
            assert isinstance(error, OverloadedError)
            assert error.retry_after_s
        assert (await decoders.run(1000, lambda: 1)).value == 1, "a small one is no burden"
        assert time.monotonic() - begun < 2
        go.set()
        await asyncio.gather(*taken, return_exceptions=True)
        decoders.close()

    asyncio.run(test())


def test_pixels_come_back_when_the_decoder_is_done_and_not_when_its_client_has_gone(
    decoders: Decoders,
) -> None:
    async def test() -> None:
        runs, go = threading.Event(), threading.Event()

        def slow() -> None:
            runs.set()
            go.wait(10)

        left = asyncio.ensure_future(decoders.run(LARGE, slow))
        await started(runs)
        waiting = asyncio.ensure_future(decoders.run(LARGE, lambda: 1))
        await asyncio.sleep(0.01)
        for task in (left, waiting):
            task.cancel()
        await asyncio.gather(left, waiting, return_exceptions=True)
        assert decoders.admission.pixels == LARGE, "what runs is held, what waited is not"
        next_ = asyncio.ensure_future(decoders.run(LARGE, lambda: 1))
        await asyncio.sleep(0.05)
        assert not next_.done()
        go.set()
        assert (await next_).value == 1
        await asyncio.sleep(0.05)
        assert decoders.admission.pixels == 0

    asyncio.run(test())


def test_a_failing_decoder_gives_its_turn_back(decoders: Decoders) -> None:
    async def test() -> None:
        def fail() -> None:
            raise ValueError("broken")

        for _ in range(20):
            with pytest.raises(ValueError, match="broken"):
                await decoders.run(LARGE, fail)
        await asyncio.sleep(0.01)
        assert decoders.admission.requests == 0

    asyncio.run(test())


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_shrinking_in_the_decoder_is_shrinking(format: str) -> None:
    photo = Image.fromarray(photo_levels(1283, 901))
    file = encode_picture(photo, format, 95)  # type: ignore[arg-type]
    for side in (1, 64, 100, 500, 1000, 1283, 4000):
        picture = read_picture(file, max_side=side)
        assert picture.size == fitted_size(photo.size, side)
        if side >= 64:
            expected = photo.resize(picture.size, Image.Resampling.LANCZOS)
            difference = np.abs(np.array(picture.rgb, int) - np.array(expected, int))
            assert difference.mean() < 1.5


def test_a_shrunk_picture_stands_upright() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo_levels(400, 200)).save(file, "JPEG", exif=exif)
    assert read_picture(file.getvalue(), max_side=40).size == (20, 40)


@pytest.mark.parametrize("side", [None, 30])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_half_transparent_colours_are_the_photo_s(format: str, side: int | None) -> None:
    photo = Image.fromarray(photo_levels(60, 60))
    photo.putalpha(130)
    photo.paste((0, 255, 0, 0), (0, 0, 20, 60))  # nothing is visible here
    file = io.BytesIO()
    photo.save(file, format, lossless=True)
    picture = read_picture(file.getvalue(), max_side=side)
    expected = photo if side is None else photo.resize((side, side), Image.Resampling.LANCZOS)
    visible = np.array(picture.alpha) >= 120
    assert visible.sum() > 300 * (0.25 if side else 4)
    difference = np.abs(np.array(picture.rgb, int) - np.array(expected, int)[..., :3])[visible]
    assert difference.max() <= (0 if side is None else 6)
    assert (np.array(picture.rgb)[:, :5] != (0, 255, 0)).any(), "hidden colours are not seen"


def webp_bomb(side: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 40)).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory the Linux way")
@pytest.mark.parametrize(("apart_pixels", "bytes_per_pixel"), [(10**9, 13.5), (4_000_000, 1)])
def test_a_large_webp_is_decoded_in_little_memory(
    apart_pixels: int, bytes_per_pixel: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow by itself takes 16 bytes a pixel; a process of its own has them elsewhere."""
    monkeypatch.setattr("model.pictures.drawing.APART_PIXELS", apart_pixels)
    bomb = webp_bomb(4000)
    peak = Path("/proc/self/clear_refs")
    try:
        peak.write_text("5")
    except OSError:
        pytest.skip("the peak cannot be set back")

    def megabytes(name: str) -> float:
        status = Path("/proc/self/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) / 1024

    before = megabytes("VmRSS")
    picture = read_picture(bomb, max_side=64)
    assert picture.size == (64, 64)
    assert abs(np.array(picture.rgb, int) - (200, 30, 40)).max() <= 1
    assert (megabytes("VmHWM") - before) * 2**20 / 16e6 < bytes_per_pixel


def decoded(data: bytes, side: int | None) -> tuple[bytes, bytes | None]:
    picture = read_picture(data, max_side=side)
    return picture.rgb.tobytes(), picture.alpha and picture.alpha.tobytes()


@pytest.mark.parametrize("side", [None, 5])
@pytest.mark.parametrize("name", [name for name in GOOD_FILES if "webp" in name])
def test_a_webp_in_a_process_of_its_own_is_the_same(
    name: str, side: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = decoded(GOOD_FILES[name], side)
    monkeypatch.setattr("model.pictures.drawing.APART_PIXELS", 0)
    with monkeypatch.context() as patch:
        patch.setattr("model.pictures.drawing.load_webp", None)  # it is not used
        assert decoded(GOOD_FILES[name], side) == here
    for program in ("/nothing/here", shutil.which("false") or ""):
        monkeypatch.setattr("sys.executable", program)
        assert decoded(GOOD_FILES[name], side) == here, "where no process can do it"


def test_a_broken_webp_is_refused_by_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.pictures.drawing.APART_PIXELS", 0)
    data = bytearray(GOOD_FILES["lossless webp"])
    data[26:] = bytes(len(data) - 26)
    data += bytes(200_000)  # more than a pipe holds
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    with pytest.raises(UndecodablePictureError):
        read_picture(bytes(data))


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
@pytest.mark.parametrize(("end", "kind"), [("kill -9 $$", MemoryError), ("exit 4", MemoryError),
                                           ("exit 3", UndecodablePictureError),
                                           ("kill -11 $$", UndecodablePictureError)])  # fmt: skip
def test_the_end_of_a_decoder_s_process_is_told_for_what_it_is(
    end: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{end}\n")
    program.chmod(0o755)
    monkeypatch.setattr("model.pictures.drawing.APART_PIXELS", 0)
    monkeypatch.setattr("sys.executable", str(program))
    with pytest.raises(kind):
        read_picture(GOOD_FILES["webp"])


def test_memory_that_a_decoder_lacks_is_the_server_s_fault(
    small_weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*_: object) -> None:
        raise MemoryError

    with running_client(small_weights_folder, tmp_path) as client:
        monkeypatch.setattr("model.pictures.picture.decode_pixels", lack)
        answer = client.post("/v1/stylize", files=upload(), data={"style": "amber"})
        assert_problem(answer, 503, "out_of_memory")


def test_the_private_part_of_pillow_is_there() -> None:
    """Without it WebP is decoded in more memory: `model.pictures.drawing._load` wants a look."""
    with Image.open(io.BytesIO(webp_bomb(8))) as file:
        assert file._decoder.get_next() is not None
        assert file.rawmode in ("RGBX", "RGBA")


def test_small_pictures_are_answered_beside_many_large_decodes(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    bomb, good = webp_bomb(4000), photo_bytes(64, 64, format="JPEG")
    limits = {"max_pixels": 16_000_000, "deadline_s": 5}
    with running_server(small_weights_folder, tmp_path, **limits) as server:

        def post(photo: bytes) -> tuple[int, float, bytes]:
            form = {"style": "amber", "max_side": "64"}
            with server.client() as client:
                begun = time.monotonic()
                response = client.post(URL, files=upload(photo), data=form)
                if response.status_code == 429:
                    assert_problem(response, 429, "overloaded")
                return response.status_code, time.monotonic() - begun, response.content

        with ThreadPoolExecutor(20) as pool:
            bombs = [pool.submit(post, bomb) for _ in range(14)]
            time.sleep(0.2)
            small = [post(good) for _ in range(6)]
            statuses = {each.result()[0] for each in bombs}
        assert statuses <= {200, 429}
        assert [status for status, *_ in small] == [200] * 6
        assert max(seconds for _, seconds, _ in small) < 3
        assert open_picture(small[0][2]).size == (64, 64)

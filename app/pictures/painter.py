"""Paints large pictures, one at a time, while all other users come first.

A picture that was begun starts anew after the process has ended, killed or told to stop: the
feature maps of a half finished one would be gigabytes to keep durable, to save a minute.
"""

import asyncio
import errno
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from PIL import Image

from app.decoding import Decoders
from app.engine.protocol import (
    BrokenOutputError,
    DrainingError,
    Engine,
    EngineFailedError,
    EngineState,
    LoadingError,
    OutOfMemoryError,
    OverloadedError,
)
from app.pictures.desk import Pictures
from app.pictures.files import PictureFiles
from app.pictures.order import PictureOrder, PictureOutcome
from app.pools import Pool
from model.inference.look import Look
from model.pictures.levels import Levels
from model.pictures.limits import PictureError, PictureLimits
from model.pictures.picture import Picture, encode_picture, fitted_size, read_picture
from model.storage.files import disk_is_full, write_atomically

SWEEP_S = 5.0
LOOK_S = 0.25  # between two looks whether a picture is still wanted, and how far it is
PREVIEW_SIDE = 768  # px
PREVIEW_QUALITY = 82
ENDS_OF_THE_ENGINE = (DrainingError, LoadingError, EngineFailedError)  # it is begun anew after them
TRUSTED_SHARE = 0.05  # of the work done, from which on the time left is told by it

_logger = logging.getLogger("pastiche.pictures")


class _OtherNetworkError(Exception):
    """The order's style belongs to another network."""


@dataclass
class _Progress:
    """How far a picture is; set by the compute thread, read by the loop."""

    estimate_s: float
    done: float = 0.0
    begun: float | None = None
    told: float = -1.0

    def tell(self, done: float) -> None:
        if self.begun is None:
            self.begun = perf_counter()
        self.done = done

    def news(self) -> dict[str, float] | None:
        """What there is to say; none if it was said already."""
        percent = round(99 * self.done, 1)  # the rest is to encode and to store it
        if percent == self.told:
            return None
        self.told = percent
        left = self.estimate_s * (1 - self.done)
        if self.begun is not None and self.done > TRUSTED_SHARE:
            left = (perf_counter() - self.begun) * (1 - self.done) / self.done
        return {"percent": percent, "eta_s": round(left, 1)}


class Painter:
    """Takes what waits at the desk and has the engine paint it.

    Parameters
    ----------
    desk
        Where orders are, and results go.
    engine
        Paints.
    decoders, codec_pool
        Decode photos and encode results.
    disk_pool
        Calls the desk.
    limits
        Of what is decoded.
    on_counts
        Told how many pictures there are by state, now and then.
    """

    def __init__(
        self,
        desk: Pictures,
        engine: Engine,
        decoders: Decoders,
        codec_pool: Pool,
        disk_pool: Pool,
        limits: PictureLimits,
        on_counts: Callable[[Counter[str]], None] = lambda _: None,
    ) -> None:
        self._desk = desk
        self._engine = engine
        self._decoders = decoders
        self._codec = codec_pool
        self._disk = disk_pool
        self._limits = limits
        self._on_counts = on_counts
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Say that there is an order: it need not wait for the next sweep."""
        self._news.set()

    async def run(self) -> None:
        """Paint what comes until the engine drains or fails, or this is cancelled."""
        while self._engine.state is EngineState.LOADING:
            await asyncio.sleep(0.1)
        while self._engine.state is EngineState.READY:
            self._news.clear()
            files = None
            try:
                self._on_counts(await self._disk.run(self._desk.sweep))
                files = await self._disk.run(self._desk.claim)
                if files is not None:
                    await self._look_after(files)
            except OSError as error:
                _logger.warning("pictures cannot be kept", extra={"reason": error.strerror})
                files = None
            except Exception:  # whatever it was, the next picture is to be painted
                _logger.exception("a picture could not be looked after")
            if files is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), SWEEP_S)

    async def _look_after(self, files: PictureFiles) -> None:
        """Paint a claimed picture, and tell how far it is; its lock is free afterwards."""
        order = await self._disk.run(files.order)
        progress = _Progress(self._engine.estimate_s(order.pixels))
        painting = asyncio.ensure_future(self._paint(files, order, progress))
        given_back = False  # begun in vain, and not by its own fault
        try:
            while not painting.done():
                await asyncio.wait({painting}, timeout=LOOK_S)
                if not painting.done():
                    await self._follow(files, progress, painting)
            error = None if painting.cancelled() else painting.exception()
            given_back = isinstance(error, DrainingError | LoadingError)
            if error is not None and not isinstance(error, ENDS_OF_THE_ENGINE):
                outcome = PictureOutcome("failed", _explain(error, files))
                await self._disk.run(self._desk.conclude, files, outcome)
        except asyncio.CancelledError:
            given_back = True
            raise
        finally:
            painting.cancel()
            await asyncio.gather(painting, return_exceptions=True)
            with suppress(OSError):
                if files.wanted:
                    files.claim(files.attempts - given_back, running=False)
            files.lock.close()

    async def _follow(
        self, files: PictureFiles, progress: _Progress, painting: "asyncio.Future[None]"
    ) -> None:
        """Give up what is not wanted any more, and keep how far it is for whoever asks."""
        if not await self._disk.run(self._is_wanted, files):
            painting.cancel()
            return
        news = progress.news()
        if news is not None:
            with suppress(OSError):  # a full disk: the picture may still fit where the photo was
                await self._disk.run(files.events.append, "progress", news)

    def _is_wanted(self, files: PictureFiles) -> bool:
        return files.wanted and self._desk.is_there(files)

    async def _paint(self, files: PictureFiles, order: PictureOrder, progress: _Progress) -> None:
        if order.network != self._engine.fingerprint:
            raise _OtherNetworkError
        begun = perf_counter()
        photo, levels = await self._decode(files, order)
        code = np.frombuffer(await self._disk.run(files.code.read_bytes), "<f4")
        look = Look(torch.from_numpy(code.copy()), order.strength, order.preserve_color)
        await self._show(files, levels, look)
        if order.strength > 0:
            levels = (await self._engine.paint(levels, look, progress.tell)).levels
        alpha = photo.alpha
        data = await self._codec.run(_encode, levels, alpha, order)
        del levels, photo, alpha
        await self._disk.run(self._desk.conclude, files, PictureOutcome("done"), data)
        _logger.info(
            "a picture is painted",
            extra={"pixels": order.pixels, "seconds": round(perf_counter() - begun, 1)},
        )

    async def _decode(self, files: PictureFiles, order: PictureOrder) -> tuple[Picture, Levels]:
        while True:
            try:
                pixels = order.photo_width * order.photo_height
                timed = await self._decoders.run(pixels, _decode, files.photo, self._limits, order)
            except OverloadedError:  # those who wait for an answer come first
                await asyncio.sleep(1)
            else:
                return timed.value

    async def _show(self, files: PictureFiles, levels: Levels, look: Look) -> None:
        """Paint a small picture first: something to look at meanwhile."""
        size = fitted_size((levels.shape[1], levels.shape[0]), PREVIEW_SIDE)
        if 2 * size[0] > levels.shape[1]:  # the picture itself will hardly take longer
            return
        small = await self._codec.run(_shrink, levels, size)
        if look.strength > 0:
            small = (await self._engine.paint(small, look, lambda _: None)).levels
        data = await self._codec.run(
            encode_picture, Image.fromarray(small), "webp", PREVIEW_QUALITY
        )
        with suppress(OSError):
            await self._disk.run(_keep_preview, files, data)


def _decode(photo: Path, limits: PictureLimits, order: PictureOrder) -> tuple[Picture, Levels]:
    side = max(order.width, order.height)
    picture = read_picture(photo.read_bytes(), limits, side)
    levels = np.array(picture.rgb)
    small = Image.new("RGB", (1, 1))  # the picture's own pixels are in `levels`, once
    return Picture(small, picture.alpha, picture.format), levels


def _encode(levels: Levels, alpha: Image.Image | None, order: PictureOrder) -> bytes:
    return encode_picture(Image.fromarray(levels), order.format, order.quality, alpha)


def _shrink(levels: Levels, size: tuple[int, int]) -> Levels:
    small = Image.fromarray(levels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(small)


def _keep_preview(files: PictureFiles, data: bytes) -> None:
    if files.wanted:
        write_atomically(files.preview, data)
        files.events.append("preview", {})


def _explain(error: BaseException, files: PictureFiles) -> str:
    """Why a picture has failed, for people; what they cannot know of is in the log."""
    reason = _reason(error)
    if reason is None:
        _logger.error("a picture failed", extra={"picture": files.folder.name}, exc_info=error)
    return reason or "Something went wrong; the server's log says what."


def _reason(error: BaseException) -> str | None:
    if isinstance(error, _OtherNetworkError):
        return "The server has another network since; ask for the picture again."
    if isinstance(error, OutOfMemoryError | MemoryError):
        return "The server's memory, or disk in its place, does not suffice for this picture."
    if isinstance(error, BrokenOutputError):
        return "The style gives no picture of this photo."
    if isinstance(error, PictureError | FileNotFoundError):
        return "The photo that was kept cannot be read any more."
    if disk_is_full(error):
        return "The server's disk is full."
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "The server's data folder cannot be written to."
    return None

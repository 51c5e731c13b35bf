"""The engine of this process: one compute thread that owns the device."""

import asyncio
import errno
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, suppress
from enum import Enum, auto
from time import monotonic, perf_counter

import numpy as np
import torch

from app.engine.admission import PASSING_RATIO, Admission
from app.engine.protocol import (
    BrokenOutputError,
    DrainingError,
    EngineError,
    EngineFailedError,
    EngineState,
    LoadingError,
    OutOfMemoryError,
)
from app.engine.workqueue import Pastiche, Work, WorkQueue
from app.metrics import Metrics
from model.inference.paths import FastPath
from model.inference.stylizer import Look, Stylizer
from model.inference.tiling import NotFiniteError
from model.pictures.levels import Levels, to_levels

CPU_BATCH_PIXELS = 300_000  # larger batches gain nothing on a CPU and make the first wait
GPU_BATCH_PIXELS = 8_000_000
WARM_UP_SIDE = 256  # px
SYNC_PIXELS = 1_000_000  # from here on, a GPU is waited for where others may pass
STOP_PREPARING_S = 5.0  # a compiler cannot be interrupted; at the process's end it just ends

_logger = logging.getLogger("pastiche.engine")


class _AbandonedError(Exception):
    """Nobody waits for the running batch any more."""


class _Failure(Enum):
    """Why a batch gave no pictures."""

    ABANDONED = auto()
    MEMORY = auto()
    OTHER = auto()


class LocalEngine:
    """Stylizes on a device of this process.

    Between layers, and between bands of large ones, the compute thread looks up: it gives up a
    batch that nobody waits for any more, and lets much smaller pictures pass a large one. So one
    thread suffices for both a quick answer to small pictures and large pictures that run for
    seconds. Pictures too large for the memory are stylized in pieces.

    It is ready in float32 at once; faster paths are prepared beside it and used from the next
    batch on.

    Parameters
    ----------
    load
        Makes the stylizer; called on the compute thread.
    admission
        What may be under way at once.
    batch_pixels
        Most pixels of a batch; none, by device.
    metrics
        Takes batch sizes, pixels, seconds.
    on_failure
        Called, on the compute thread, when the device has failed for good.
    fast_paths
        Makes ever faster paths through the network, on a thread of its own; none, float32 stays.
    """

    def __init__(
        self,
        load: Callable[[], Stylizer],
        admission: Admission,
        batch_pixels: int | None,
        metrics: Metrics,
        on_failure: Callable[[], None] = lambda: None,
        fast_paths: Callable[[Stylizer], Iterator[FastPath]] | None = None,
    ) -> None:
        self.admission = admission
        self.state = EngineState.LOADING
        self.device = ""
        self.fingerprint = ""
        self.on_failure = on_failure
        self._load = load
        self._batch_pixels = batch_pixels
        self._metrics = metrics
        self._queue = WorkQueue(batch_pixels or CPU_BATCH_PIXELS)
        self._stylizer: Stylizer | None = None
        self._running: list[Work] = []  # the batch that may be passed by smaller ones
        self._passed_s = 0.0  # time that smaller batches took from it
        self._thread: threading.Thread | None = None
        self._fast_paths = fast_paths
        self._preparing: threading.Thread | None = None

    async def start(self) -> None:
        """Load, warm up, be ready; see `Engine.start`."""
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=[started], name="pastiche-compute", daemon=True
        )
        self._thread.start()
        await asyncio.wrap_future(started)

    def check_open(self) -> None:
        """See `Engine.check_open`."""
        self._check_state()
        self.admission.check_open()

    def admit(self, pixels: int) -> AbstractContextManager[None]:
        """See `Engine.admit`."""
        self._check_state()
        return self.admission.admit(pixels)

    async def stylize(self, levels: Levels, look: Look) -> Pastiche:
        """See `Engine.stylize`."""
        self._check_state()
        work = Work(levels, look)
        self._queue.put(work)
        return await asyncio.wrap_future(work.future)

    def drain(self) -> None:
        """See `Engine.drain`."""
        if self.state is not EngineState.FAILED:
            self.state = EngineState.DRAINING
        for work in self._queue.drop_waiting():
            _fail(work, DrainingError())

    async def close(self) -> None:
        """See `Engine.close`."""
        self.drain()
        self._queue.close()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._preparing is not None:
            await asyncio.to_thread(self._preparing.join, STOP_PREPARING_S)

    def _check_state(self) -> None:
        if self.state is EngineState.LOADING:
            raise LoadingError(retry_after_s=2)
        if self.state is EngineState.DRAINING:
            raise DrainingError(retry_after_s=10)
        if self.state is EngineState.FAILED:
            raise EngineFailedError(retry_after_s=10)

    def _run(self, started: "Future[None]") -> None:
        """The compute thread: nothing else touches the device."""
        try:
            self._stylizer = self._load()
            self._prepare(self._stylizer)
        except Exception as error:
            self.state = EngineState.FAILED
            started.set_exception(error)
            return
        if self.state is EngineState.LOADING:  # not stopped meanwhile
            self.state = EngineState.READY
        started.set_result(None)
        if self._fast_paths is not None:
            self._preparing = threading.Thread(
                target=self._prepare_fast_paths,
                args=[self._stylizer, self._fast_paths],
                name="pastiche-fastpath",
                daemon=True,
            )
            self._preparing.start()
        while batch := self._queue.next_batch(self.admission.pixels_per_s):
            self._running, self._passed_s = batch, 0.0
            self._compute(batch)
            self._running = []
            del batch  # the pictures' memory is free while waiting

    def _prepare(self, stylizer: Stylizer) -> None:
        """Warm up with a picture of noise, and learn the speed."""
        self.device = _describe(stylizer.device)
        self.fingerprint = stylizer.fingerprint
        if self._batch_pixels is None and stylizer.device.type == "cuda":
            self._queue.batch_pixels = GPU_BATCH_PIXELS
        noise = np.random.default_rng(0).integers(0, 256, (WARM_UP_SIDE, WARM_UP_SIDE, 3), np.uint8)
        work = Work(noise, Look(stylizer.original.cpu()))
        for _ in range(2):  # the first pays for what is set up lazily
            begun = perf_counter()
            _, finite = self._stylize(stylizer, [work])
            if not all(finite):
                raise BrokenOutputError
        self.admission.observe(work.pixels, perf_counter() - begun)

    def _prepare_fast_paths(
        self, stylizer: Stylizer, fast_paths: Callable[[Stylizer], Iterator[FastPath]]
    ) -> None:
        """Beside the compute thread: whatever goes wrong here, float32 goes on."""
        try:
            for path in fast_paths(stylizer):
                if self.state is not EngineState.READY:
                    return
                stylizer.use_fast_path(path)
        except Exception as error:
            _logger.warning("no faster path: %s", str(error).partition("\n")[0][:200])

    def _look_up(self, _: float = 0.0) -> None:
        """Between two bands: give up what nobody waits for, let much smaller pictures pass."""
        running = self._running
        if not running or self._stylizer is None:
            return
        if all(work.abandoned for work in running):
            raise _AbandonedError
        pixels = running[0].pixels
        device = self._stylizer.device
        if device.type == "cuda" and pixels >= SYNC_PIXELS:
            torch.cuda.synchronize(device)  # or all layers would be queued before the first ran
        small = self._queue.urgent_batch(pixels // PASSING_RATIO, self.admission.pixels_per_s)
        if small:
            begun = perf_counter()
            self._running = []  # what passes is not passed itself
            self._compute(small)
            self._running = running
            self._passed_s += perf_counter() - begun

    def _compute(self, batch: list[Work], in_pieces: bool = False) -> None:
        """Stylize a batch and answer every picture in it, whatever happens."""
        failure = self._attempt(batch, in_pieces)
        # Only here, outside `except`, has the traceback let go of the tensors.
        if failure is _Failure.MEMORY:
            self._free_memory()
            if len(batch) > 1:
                _logger.warning("out of memory with a batch of %d: one by one", len(batch))
                for work in batch:
                    self._compute([work])
                return
            if not in_pieces:
                _logger.warning("out of memory with %d x %d px: in pieces", *batch[0].size)
                self._compute(batch, in_pieces=True)
                return
            _logger.error("out of memory with a picture of %d x %d", *batch[0].size)
            _fail(batch[0], OutOfMemoryError(retry_after_s=10))
        elif failure is _Failure.OTHER:
            self._check_device()
            for work in batch:
                _fail(work, EngineFailedError(10) if self._failed else EngineError())

    @property
    def _failed(self) -> bool:
        return self.state is EngineState.FAILED

    def _attempt(self, batch: list[Work], in_pieces: bool) -> _Failure | None:
        stylizer = self._stylizer
        assert stylizer is not None  # noqa: S101 - loaded before the first batch
        begun, begun_mono, passed = perf_counter(), monotonic(), self._passed_s
        try:
            pictures, finite = self._stylize(stylizer, batch, in_pieces)
        except _AbandonedError:
            self._metrics.dropped.inc()
            return _Failure.ABANDONED
        except (MemoryError, RuntimeError, OSError) as error:
            if is_out_of_memory(error):
                return _Failure.MEMORY
            _logger.exception("a batch failed")
            return _Failure.OTHER
        except Exception:
            _logger.exception("a batch failed")
            return _Failure.OTHER
        seconds = perf_counter() - begun - (self._passed_s - passed)
        self._observe(batch, seconds)
        for work, levels, good in zip(batch, pictures, finite, strict=True):
            if good:
                queued = begun_mono - work.enqueued
                _finish(work, Pastiche(levels, queued, seconds, len(batch)))
            else:
                _fail(work, BrokenOutputError())
        return None

    def _stylize(
        self, stylizer: Stylizer, batch: list[Work], in_pieces: bool = False
    ) -> tuple[Levels, list[bool]]:
        """(N, H, W, 3) levels, and which pictures are finite."""
        if in_pieces or batch[0].pixels > stylizer.whole_pixels:
            return self._stylize_in_pieces(stylizer, batch)
        stacked = torch.from_numpy(np.stack([work.levels for work in batch]))  # (N, H, W, 3)
        if stylizer.device.type == "cuda":  # from pinned memory, copying does not wait
            stacked = stacked.pin_memory().to(stylizer.device, non_blocking=True)
        photos = stacked.permute(0, 3, 1, 2).contiguous()  # (N, 3, H, W)
        looks = [work.look for work in batch]
        pastiches = stylizer.stylize_batch(photos, looks, self._look_up)
        finite: list[bool] = pastiches.isfinite().flatten(1).all(1).tolist()
        return to_levels(pastiches), finite

    def _stylize_in_pieces(
        self, stylizer: Stylizer, batch: list[Work]
    ) -> tuple[Levels, list[bool]]:
        pictures, finite = [], []
        for work in batch:
            try:
                levels = stylizer.stylize_large(work.levels, work.look, progress=self._look_up)
            except NotFiniteError:
                levels = work.levels
                finite.append(False)
            else:
                finite.append(True)
            pictures.append(levels)
        return np.stack(pictures), finite

    def _observe(self, batch: list[Work], seconds: float) -> None:
        pixels = sum(work.pixels for work in batch)
        self.admission.observe(pixels, seconds)
        self._metrics.batch_size.observe(len(batch))
        self._metrics.pixels.inc(pixels)
        self._metrics.inference_seconds.observe(seconds)

    def _free_memory(self) -> None:
        if self._stylizer is not None and self._stylizer.device.type == "cuda":
            torch.cuda.empty_cache()

    def _check_device(self) -> None:
        """Try the device: after a sticky error every call on it fails, and only a restart helps."""
        assert self._stylizer is not None  # noqa: S101 - loaded before the first batch
        try:
            torch.ones(8, device=self._stylizer.device).sum().item()
        except RuntimeError:
            _logger.critical("the device has failed; a restart is needed")
            self.state = EngineState.FAILED
            for work in self._queue.close():
                _fail(work, EngineFailedError(10))
            self.on_failure()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, or disk in its place, did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):  # of the temporary files of a picture in pieces
        return error.errno in (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
    text = str(error).lower()
    return any(
        words in text for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def _describe(device: torch.device) -> str:
    if device.type != "cuda":
        return device.type
    return f"{device} ({torch.cuda.get_device_name(device)})"


def _finish(work: Work, pastiche: Pastiche) -> None:
    with suppress(InvalidStateError):  # its client left while it ran
        work.future.set_result(pastiche)


def _fail(work: Work, error: Exception) -> None:
    with suppress(InvalidStateError):
        work.future.set_exception(error)

"""The engine of this process: one compute thread that owns the device."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, suppress
from enum import Enum, auto
from time import monotonic, perf_counter

import numpy as np
import torch
from torch import Tensor

from app.admission import PASSING_RATIO, Admission
from app.engine import (
    BrokenOutputError,
    DrainingError,
    EngineError,
    EngineFailedError,
    EngineState,
    LoadingError,
    OutOfMemoryError,
)
from app.metrics import Metrics
from app.workqueue import Levels, Pastiche, Work, WorkQueue
from model.bands import BAND_MULTIPLICATIONS, band_network
from model.stylizer import Look, Stylizer

CPU_BATCH_PIXELS = 300_000  # larger batches gain nothing on a CPU and make the first wait
GPU_BATCH_PIXELS = 8_000_000
WARM_UP_SIDE = 256  # px
SYNC_PIXELS = 1_000_000  # from here on, a GPU is waited for where others may pass

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
    seconds.

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
    """

    def __init__(
        self,
        load: Callable[[], Stylizer],
        admission: Admission,
        batch_pixels: int | None,
        metrics: Metrics,
        on_failure: Callable[[], None] = lambda: None,
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
        on_gpu = stylizer.device.type == "cuda"  # there, a layer takes milliseconds
        band_network(stylizer.network, self._look_up, None if on_gpu else BAND_MULTIPLICATIONS)

    def _look_up(self) -> None:
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

    def _compute(self, batch: list[Work]) -> None:
        """Stylize a batch and answer every picture in it, whatever happens."""
        failure = self._attempt(batch)
        # Only here, outside `except`, has the traceback let go of the tensors.
        if failure is _Failure.MEMORY:
            self._free_memory()
            if len(batch) > 1:
                _logger.warning("out of memory with a batch of %d: one by one", len(batch))
                for work in batch:
                    self._compute([work])
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

    def _attempt(self, batch: list[Work]) -> _Failure | None:
        stylizer = self._stylizer
        assert stylizer is not None  # noqa: S101 - loaded before the first batch
        begun, begun_mono, passed = perf_counter(), monotonic(), self._passed_s
        try:
            pictures, finite = self._stylize(stylizer, batch)
        except _AbandonedError:
            self._metrics.dropped.inc()
            return _Failure.ABANDONED
        except (MemoryError, RuntimeError) as error:
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

    def _stylize(self, stylizer: Stylizer, batch: list[Work]) -> tuple[Levels, list[bool]]:
        """(N, H, W, 3) levels, and which pictures are finite."""
        stacked = torch.from_numpy(np.stack([work.levels for work in batch]))  # (N, H, W, 3)
        photos = stacked.to(stylizer.device).permute(0, 3, 1, 2).float().div_(255)  # (N, 3, H, W)
        pastiches = stylizer.stylize_batch(photos.contiguous(), [work.look for work in batch])
        finite: list[bool] = pastiches.isfinite().flatten(1).all(1).tolist()
        return _to_levels(pastiches), finite

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
    """Whether an error of a device says that its memory did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(
        words in text for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def _to_levels(pastiches: Tensor) -> Levels:
    """(N, 3, H, W) in [0, 1] as (N, H, W, 3), rounded."""
    levels = pastiches.clamp(0, 1).mul_(255).round_().to(torch.uint8)
    array: Levels = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


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

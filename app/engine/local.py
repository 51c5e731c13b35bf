"""The engine of this process: one compute thread that owns the device."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from time import monotonic, perf_counter

import numpy as np
import torch

from app.engine.admission import PASSING_RATIO, Admission
from app.engine.protocol import (
    RETRY_AFTER_STOP_S,
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
from model.inference.device import (
    CPU_BATCH_PIXELS,
    NoRoomError,
    choose_batch_pixels,
    describe_device,
    use_device,
)
from model.inference.look import Look
from model.inference.paths import FastPath
from model.inference.stylizer import Stylizer
from model.pictures.levels import Levels

WARM_UP_SIDE = 256  # px
SYNC_PIXELS = 1_000_000  # from here on, a GPU is waited for where others may pass
STOP_PREPARING_S = 1.0  # a compiler cannot be interrupted; at the process's end it just ends

_logger = logging.getLogger("pastiche.engine")


class _AbandonedError(Exception):
    """Nobody waits for the running batch any more."""


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
        if not self._queue.put(work):  # closed since the look above: by a device that failed
            self._check_state()
            raise DrainingError(RETRY_AFTER_STOP_S)
        return await asyncio.wrap_future(work.future)

    def drain(self) -> None:
        """See `Engine.drain`."""
        if self.state is not EngineState.FAILED:
            self.state = EngineState.DRAINING
        for work in self._queue.drop_waiting():
            work.fail(DrainingError(RETRY_AFTER_STOP_S))

    async def close(self) -> None:
        """See `Engine.close`."""
        self.drain()
        for work in self._queue.close():
            work.fail(DrainingError(RETRY_AFTER_STOP_S))
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        if self._preparing is not None:
            await asyncio.to_thread(self._preparing.join, STOP_PREPARING_S)

    def _check_state(self) -> None:
        if self.state is EngineState.LOADING:
            raise LoadingError(retry_after_s=2)
        if self.state is EngineState.DRAINING:
            raise DrainingError(RETRY_AFTER_STOP_S)
        if self.state is EngineState.FAILED:
            raise EngineFailedError(retry_after_s=10)

    def _run(self, started: "Future[None]") -> None:
        """The compute thread: nothing else touches the device."""
        try:
            self._stylizer = self._load()
            use_device(
                self._stylizer.device
            )  # the one that streams and kernels of this thread take
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
        self.device = describe_device(stylizer.device)
        self.fingerprint = stylizer.fingerprint
        self._queue.batch_pixels = choose_batch_pixels(
            stylizer.device, stylizer.whole_pixels, self._batch_pixels
        )
        noise = np.random.default_rng(0).integers(0, 256, (WARM_UP_SIDE, WARM_UP_SIDE, 3), np.uint8)
        work = Work(noise, Look(stylizer.original.cpu()))
        for _ in range(2):  # the first pays for what is set up lazily
            begun = perf_counter()
            for (outcome,) in stylizer.stylize_levels([work.levels], [work.look]):
                if isinstance(outcome, Exception):
                    raise BrokenOutputError from outcome
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

    def _compute(self, batch: list[Work]) -> None:
        """Stylize a batch and answer every picture in it, whatever happens."""
        left = self._attempt(batch)
        if not left:
            return
        # Outside of `except`: the traceback has let go of the tensors.
        self._check_device()
        if len(left) > 1 and not self._failed:  # whose fault it was, the others need not suffer
            for work in left:
                self._compute([work])
            return
        for work in left:
            work.fail(EngineFailedError(10) if self._failed else EngineError())

    @property
    def _failed(self) -> bool:
        return self.state is EngineState.FAILED

    def _attempt(self, batch: list[Work]) -> list[Work]:
        """Answer what can be; the pictures that an error has left without an answer."""
        stylizer = self._stylizer
        assert stylizer is not None  # noqa: S101 - loaded before the first batch
        left = list(batch)
        groups = stylizer.stylize_levels(
            [work.levels for work in batch], [work.look for work in batch], self._look_up
        )
        try:
            while left:
                begun, begun_mono, passed = perf_counter(), monotonic(), self._passed_s
                outcomes = next(groups)
                seconds = perf_counter() - begun - (self._passed_s - passed)
                done, left = left[: len(outcomes)], left[len(outcomes) :]
                self._observe(done, seconds)
                for work, outcome in zip(done, outcomes, strict=True):
                    if isinstance(outcome, NoRoomError):
                        work.fail(OutOfMemoryError(retry_after_s=10))
                    elif isinstance(outcome, Exception):
                        work.fail(BrokenOutputError())
                    else:
                        queued = begun_mono - work.enqueued
                        work.finish(Pastiche(outcome, queued, seconds, len(done)))
        except _AbandonedError:
            self._metrics.dropped.inc()
            return []
        except Exception:
            _logger.exception("a batch failed")
        return left

    def _observe(self, batch: list[Work], seconds: float) -> None:
        pixels = sum(work.pixels for work in batch)
        self.admission.observe(pixels, seconds)
        self._metrics.batch_size.observe(len(batch))
        self._metrics.pixels.inc(pixels)
        self._metrics.inference_seconds.observe(seconds)

    def _check_device(self) -> None:
        """Try the device: after a sticky error every call on it fails, and only a restart helps."""
        assert self._stylizer is not None  # noqa: S101 - loaded before the first batch
        try:
            torch.ones(8, device=self._stylizer.device).sum().item()
        except RuntimeError:
            _logger.critical("the device has failed; a restart is needed")
            self.state = EngineState.FAILED
            for work in self._queue.close():
                work.fail(EngineFailedError(10))
            self.on_failure()

"""The engine of this process: one compute thread that owns the device."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from time import monotonic, perf_counter

import torch

from app.engine.admission import PASSING_RATIO, Admission
from app.engine.answers import answer
from app.engine.courtesy import AbandonedError, give_way
from app.engine.pace import Estimator
from app.engine.preparation import noise_work, prepare_fast_paths, warm_up
from app.engine.protocol import (
    RETRY_AFTER_STOP_S,
    DrainingError,
    EngineError,
    EngineFailedError,
    EngineState,
    LoadingError,
    check_ready,
)
from app.engine.workqueue import Pastiche, Work, WorkQueue
from app.metrics import Metrics
from app.pools import start_thread
from model.inference.device import (
    CPU_BATCH_PIXELS,
    choose_batch_pixels,
    describe_device,
    responds,
    use_device,
)
from model.inference.look import Look
from model.inference.paths import FastPath
from model.inference.stylizer import Stylizer
from model.pictures.levels import Levels

SYNC_PIXELS = 1_000_000  # from here on, a GPU is waited for where others may pass
SETTLING_S = 120.0  # a compiler's longest; a large picture waits so long for a faster path
STOP_PREPARING_S = 1.0  # a compiler cannot be interrupted; at the process's end it just ends

_logger = logging.getLogger("pastiche.engine")


class LocalEngine:
    """Stylizes on a device of this process.

    Between layers, and between bands of large ones, the compute thread looks up: it gives up a
    batch that nobody waits for any more, and lets much smaller pictures pass a large one. So one
    thread suffices for both a quick answer to small pictures and large pictures that run for
    seconds. A picture that gives way is passed by all others. What is too large for the memory is
    stylized in pieces.

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
        self._settled = fast_paths is None  # whether the path will change no more
        self._estimator = Estimator(admission.pace)

    async def start(self) -> None:
        """Load, warm up, be ready; see `Engine.start`."""
        started: Future[None] = Future()
        self._thread = start_thread("compute", self._run, started)
        await asyncio.wrap_future(started)

    def check_open(self) -> None:
        """See `Engine.check_open`."""
        check_ready(self.state)
        self.admission.check_open()

    def admit(self, pixels: int) -> AbstractContextManager[None]:
        """See `Engine.admit`."""
        check_ready(self.state)
        return self.admission.admit(pixels)

    async def stylize(self, levels: Levels, look: Look) -> Pastiche:
        """See `Engine.stylize`."""
        return await self._put(Work(levels, look))

    async def _put(self, work: Work) -> Pastiche:
        check_ready(self.state)
        if not self._queue.put(work):  # closed since the look above: by a device that failed
            check_ready(self.state)
            raise DrainingError(RETRY_AFTER_STOP_S)
        return await asyncio.wrap_future(work.future)

    async def paint(
        self, levels: Levels, look: Look, progress: Callable[[float], None]
    ) -> Pastiche:
        """See `Engine.paint`."""
        check_ready(self.state)
        until = monotonic() + SETTLING_S
        while not self._settled and monotonic() < until:
            await asyncio.sleep(0.1)
        with self.admission.give_way():
            return await self._put(Work(levels, look, gives_way=True, progress=progress))

    def estimate_s(self, pixels: int) -> float:
        """See `Engine.estimate_s`."""
        if self.state is EngineState.LOADING:
            raise LoadingError(retry_after_s=2)
        return self._estimator.seconds(pixels)

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
            prepare = self._prepare_fast_paths
            self._preparing = start_thread("fastpath", prepare, self._stylizer, self._fast_paths)
        while batch := self._queue.next_batch(self.admission.pixels_per_s):
            self._running, self._passed_s = batch, 0.0
            self._compute(batch)
            self._running = []
            del batch  # the pictures' memory is free while waiting

    def _prepare(self, stylizer: Stylizer) -> None:
        """Warm up, and learn the speed."""
        self.device = describe_device(stylizer.device)
        self.fingerprint = stylizer.fingerprint
        self._queue.batch_pixels = choose_batch_pixels(
            stylizer.device, stylizer.whole_pixels, self._batch_pixels
        )
        self._estimator.whole_pixels = stylizer.whole_pixels
        self.admission.observe(*warm_up(stylizer))

    def _prepare_fast_paths(
        self, stylizer: Stylizer, fast_paths: Callable[[Stylizer], Iterator[FastPath]]
    ) -> None:
        def measure_anew() -> None:
            self.admission.pace.forget()
            self._queue.put(noise_work(stylizer))

        ready = EngineState.READY
        prepare_fast_paths(stylizer, fast_paths, lambda: self.state is ready, measure_anew)
        self._settled = True

    def _look_up(self, done: float = 0.0) -> None:
        """Between two bands: give up what nobody waits for, let others pass."""
        running = self._running
        if not running or self._stylizer is None:
            return
        first = running[0]
        if first.gives_way:
            if self.state is EngineState.DRAINING:
                first.fail(DrainingError(RETRY_AFTER_STOP_S))
            first.progress(done)
        if all(work.abandoned for work in running):
            raise AbandonedError
        device = self._stylizer.device
        if device.type == "cuda" and first.pixels >= SYNC_PIXELS:
            torch.cuda.synchronize(device)  # or all layers would be queued before the first ran
        begun, passed = perf_counter(), self._passed_s
        if not first.gives_way:
            self._let_pass(first.pixels // PASSING_RATIO)
        else:
            others, wanted = lambda: self.admission.requests > 0, lambda: not first.abandoned
            give_way(lambda: self._let_pass(None), others, wanted)
        self._passed_s = passed + perf_counter() - begun

    def _let_pass(self, most_pixels: int | None) -> bool:
        """Run a batch of what may pass the running one; False if there is none."""
        passing = self._queue.urgent_batch(most_pixels, self.admission.pixels_per_s)
        if not passing:
            return False
        running = self._running
        # What passes is not passed itself, but for what may be as large as any request.
        self._running = passing if most_pixels is None else []
        self._compute(passing)
        self._running = running
        return True

    def _compute(self, batch: list[Work]) -> None:
        """Stylize a batch and answer every picture in it, whatever happens."""
        left = self._attempt(batch)
        if not left:
            return
        # Outside of `except`: the traceback has let go of the tensors.
        self._check_device()
        failed = self.state is EngineState.FAILED
        if len(left) > 1 and not failed:  # whose fault it was, the others need not suffer
            for work in left:
                self._compute([work])
            return
        for work in left:
            work.fail(EngineFailedError(10) if failed else EngineError())

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
                begun, passed = perf_counter(), self._passed_s
                outcomes = next(groups)
                elapsed = perf_counter() - begun
                busy = elapsed - (self._passed_s - passed)
                done, left = left[: len(outcomes)], left[len(outcomes) :]
                self._observe(done, busy)
                answer(done, outcomes, elapsed, busy)
        except AbandonedError:
            self._metrics.dropped.inc()
            return []
        except Exception:
            _logger.exception("a batch failed")
        return left

    def _observe(self, batch: list[Work], seconds: float) -> None:
        pixels = sum(work.pixels for work in batch)
        observer = self._estimator if batch[0].gives_way else self.admission
        observer.observe(pixels, seconds)
        self._metrics.observe_batch(len(batch), pixels, seconds)

    def _check_device(self) -> None:
        """Try the device: after a sticky error every call on it fails, and only a restart helps."""
        assert self._stylizer is not None  # noqa: S101 - loaded before the first batch
        if responds(self._stylizer.device):
            return
        _logger.critical("the device has failed; a restart is needed")
        self.state = EngineState.FAILED
        for work in self._queue.close():
            work.fail(EngineFailedError(10))
        self.on_failure()

"""The engine on a real device with a small network."""

import asyncio
import errno
import functools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from service_helpers import photo_levels

from app.engine import local
from app.engine.admission import Admission
from app.engine.local import LocalEngine
from app.engine.protocol import (
    BrokenOutputError,
    DrainingError,
    EngineError,
    EngineFailedError,
    EngineState,
    LoadingError,
    OutOfMemoryError,
)
from app.engine.workqueue import Pastiche
from app.metrics import Metrics
from model.inference.device import DeviceError, is_out_of_memory
from model.inference.look import Look
from model.inference.paths import FastPath
from model.inference.stylizer import Stylizer
from model.network.weights import Weights
from model.styles.style_file import load_style

BATCH_PIXELS = 100_000
LARGE = (1024, 768)  # a fraction of a second with the small network


def look(folder: Path, id_: str = "amber", **values: float) -> Look:
    return Look(load_style(folder / "styles" / f"{id_}.safetensors").code, **values)


def make_engine(
    load: Callable[[], Stylizer], batch_pixels: int = BATCH_PIXELS
) -> tuple[LocalEngine, Metrics]:
    metrics = Metrics()
    admission = Admission(1000, 10**9, deadline_s=1e9)
    return LocalEngine(load, admission, batch_pixels, metrics), metrics


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[LocalEngine, Metrics]]:
    engine, metrics = make_engine(lambda: Stylizer.load(folder, "cpu"))
    await engine.start()
    try:
        yield engine, metrics
    finally:
        await engine.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), timeout=60))  # type: ignore[arg-type]


async def occupy(engine: LocalEngine, folder: Path) -> "asyncio.Task[Pastiche]":
    """Let a large picture run, so that what comes next gathers."""
    task = asyncio.ensure_future(engine.stylize(photo_levels(*LARGE), look(folder)))
    while not engine._running:
        await asyncio.sleep(0.001)
    return task


def test_states_from_start_to_end(small_weights_folder: Path) -> None:
    async def test() -> None:
        engine, _ = make_engine(lambda: Stylizer.load(small_weights_folder, "cpu"))
        with pytest.raises(LoadingError):
            engine.check_open()
        await engine.start()
        assert engine.state is EngineState.READY
        assert engine.device == "cpu"
        assert engine.fingerprint == Stylizer.load(small_weights_folder, "cpu").fingerprint
        engine.check_open()
        await engine.close()
        with pytest.raises(DrainingError):
            engine.check_open()
        with pytest.raises(DrainingError):
            engine.admit(1)

    run(test)


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        engine, _ = make_engine(lambda: Stylizer.load(tmp_path, "no-device"))
        with pytest.raises((OSError, DeviceError)):
            await engine.start()
        assert engine.state is EngineState.FAILED
        await engine.close()

    run(test)


def test_one_size_is_one_batch_with_styles_blends_and_strengths_mixed(
    small_weights_folder: Path,
) -> None:
    async def test() -> None:
        ids = ("amber", "birch", "cobalt", "amber")
        looks = [
            look(small_weights_folder, id_, strength=strength)
            for id_, strength in zip(ids, (1.0, 0.5, 0.25, 1.0), strict=True)
        ]
        looks[3] = replace(looks[3], code=(looks[0].code + looks[1].code) / 2, preserve_color=True)
        photos = [photo_levels(64, 48, seed=i) for i in range(4)]
        async with running(small_weights_folder) as (engine, _):
            alone = [await engine.stylize(p, k) for p, k in zip(photos, looks, strict=True)]
            assert [one.batch for one in alone] == [1] * 4
            first = await occupy(engine, small_weights_folder)
            engine._running = []  # the large one is not to be passed: all four are to gather
            together = await asyncio.gather(
                *(engine.stylize(p, k) for p, k in zip(photos, looks, strict=True))
            )
            await first
        assert [one.batch for one in together] == [4] * 4
        for one, many in zip(alone, together, strict=True):
            difference = np.abs(one.levels.astype(int) - many.levels.astype(int))
            assert difference.max() <= 1

    run(test)


def test_other_sizes_wait_for_a_batch_of_their_own(small_weights_folder: Path) -> None:
    async def test() -> None:
        async with running(small_weights_folder) as (engine, _):
            first = await occupy(engine, small_weights_folder)
            sizes = [(32, 32), (40, 32), (32, 32)]
            one = look(small_weights_folder)
            done = await asyncio.gather(
                *(engine.stylize(photo_levels(*size), one) for size in sizes)
            )
            await first
        assert [pastiche.levels.shape[1::-1] for pastiche in done] == sizes

    run(test)


def test_a_small_picture_passes_a_large_one_that_runs(small_weights_folder: Path) -> None:
    async def test() -> None:
        async with running(small_weights_folder) as (engine, _):
            large = await occupy(engine, small_weights_folder)
            small = await engine.stylize(photo_levels(64, 64), look(small_weights_folder))
            assert not large.done()
            passed = await large
            alone = await engine.stylize(photo_levels(*LARGE), look(small_weights_folder))
        assert small.batch == 1
        assert np.array_equal(passed.levels, alone.levels), "being passed must change nothing"

    run(test)


def test_a_picture_nobody_waits_for_is_dropped(small_weights_folder: Path) -> None:
    async def test() -> None:
        async with running(small_weights_folder) as (engine, metrics):
            large = await occupy(engine, small_weights_folder)
            queued = asyncio.ensure_future(
                engine.stylize(photo_levels(*LARGE, seed=1), look(small_weights_folder))
            )
            await asyncio.sleep(0.01)
            queued.cancel()
            large.cancel()  # runs already: given up before its next layer
            small = await engine.stylize(photo_levels(64, 64), look(small_weights_folder))
            assert small.levels.shape == (64, 64, 3)
            while engine._running:
                await asyncio.sleep(0.001)
            assert metrics.dropped._value.get() == 1
            assert metrics.pixels._value.get() == 64 * 64, "no pixel of the others was finished"

    run(test)


def test_draining_finishes_what_runs_and_refuses_what_waits(small_weights_folder: Path) -> None:
    async def test() -> None:
        async with running(small_weights_folder) as (engine, _):
            large = await occupy(engine, small_weights_folder)
            queued = asyncio.ensure_future(
                engine.stylize(photo_levels(*LARGE, seed=1), look(small_weights_folder))
            )
            await asyncio.sleep(0.01)
            engine.drain()
            with pytest.raises(DrainingError):
                await queued
            assert (await large).levels.shape == (LARGE[1], LARGE[0], 3)

    run(test)


def test_a_result_that_is_not_finite_is_no_picture(small_weights: Weights) -> None:
    async def test() -> None:
        engine, _ = make_engine(lambda: Stylizer(small_weights))
        await engine.start()
        code = torch.full_like(small_weights.original, 3e38)
        good = Look(small_weights.original)
        with pytest.raises(BrokenOutputError):
            await engine.stylize(photo_levels(), Look(code))
        assert (await engine.stylize(photo_levels(), good)).batch == 1
        await engine.close()

    run(test)


def test_one_bad_picture_of_a_batch_costs_its_neighbours_nothing(
    small_weights_folder: Path,
) -> None:
    async def test() -> None:
        good = look(small_weights_folder)
        looks = [good, replace(good, code=good.code[:-1]), good, good]
        photos = [photo_levels(64, 48, seed=i) for i in range(4)]
        async with running(small_weights_folder) as (engine, _):
            alone = [await engine.stylize(photo, good) for photo in photos]
            first = await occupy(engine, small_weights_folder)
            engine._running = []  # all four are to gather
            together = await asyncio.gather(
                *(engine.stylize(p, k) for p, k in zip(photos, looks, strict=True)),
                return_exceptions=True,
            )
            await first
            assert engine.state is EngineState.READY
        assert isinstance(together[1], EngineError)
        for i in (0, 2, 3):
            assert np.array_equal(together[i].levels, alone[i].levels)

    run(test)


def test_what_waited_at_a_stop_is_told_when_to_come_back(small_weights_folder: Path) -> None:
    async def test() -> None:
        async with running(small_weights_folder) as (engine, _):
            large = await occupy(engine, small_weights_folder)
            queued = asyncio.ensure_future(
                engine.stylize(photo_levels(*LARGE, seed=1), look(small_weights_folder))
            )
            await asyncio.sleep(0.01)
            engine.drain()
            with pytest.raises(DrainingError) as refusal:
                await queued
            assert refusal.value.retry_after_s
            await large

    run(test)


def test_warm_up_refuses_a_network_that_gives_nonsense(small_weights: Weights) -> None:
    async def test() -> None:
        small_weights.network.output.conv.weight.fill_(torch.nan)
        engine, _ = make_engine(lambda: Stylizer(small_weights))
        with pytest.raises(BrokenOutputError):
            await engine.start()
        assert engine.state is EngineState.FAILED

    run(test)


def test_a_picture_too_large_for_the_memory_runs_in_pieces(small_weights: Weights) -> None:
    async def test() -> None:
        stylizer = Stylizer(small_weights)
        engine, _ = make_engine(lambda: stylizer)
        await engine.start()
        levels, one = photo_levels(90, 70), Look(small_weights.original)
        expected = await engine.stylize(levels, one)

        def small_only(photos: torch.Tensor, *others: Any) -> torch.Tensor:
            if photos.shape[2] * photos.shape[3] > 5_000:
                raise MemoryError
            return stylizer.exact(photos, *others)

        stylizer.use_fast_path(FastPath("of little memory", small_only))
        in_pieces = await engine.stylize(levels, one)
        assert np.abs(in_pieces.levels.astype(int) - expected.levels.astype(int)).max() <= 1
        with pytest.raises(BrokenOutputError):
            await engine.stylize(levels, Look(torch.full_like(one.code, 3e38)))
        stylizer.whole_pixels = 1_000  # at once, without trying
        again = await engine.stylize(levels, one)
        assert np.array_equal(again.levels, in_pieces.levels)
        await engine.close()

    run(test)


def test_a_large_picture_in_pieces_is_passed_and_given_up(small_weights: Weights) -> None:
    async def test() -> None:
        stylizer = Stylizer(small_weights)
        stylizer.whole_pixels = 100_000
        engine, metrics = make_engine(lambda: stylizer)
        await engine.start()
        large = asyncio.ensure_future(
            engine.stylize(photo_levels(3 * LARGE[0], 3 * LARGE[1]), Look(small_weights.original))
        )
        while not engine._running:
            await asyncio.sleep(0.001)
        await engine.stylize(photo_levels(64, 64), Look(small_weights.original))
        assert not large.done()
        large.cancel()
        while not metrics.dropped._value.get():  # within the minute that `run` gives it
            await asyncio.sleep(0.001)
        await engine.close()

    run(test)


def test_a_picture_that_gives_way_is_passed_by_all_others(small_weights: Weights) -> None:
    async def test() -> None:
        stylizer = Stylizer(small_weights)
        stylizer.whole_pixels = 100_000
        engine, _ = make_engine(lambda: stylizer)
        await engine.start()
        one, shares = Look(small_weights.original), []
        levels = photo_levels(*LARGE)
        painting = asyncio.ensure_future(engine.paint(levels, one, shares.append))
        while not shares:
            await asyncio.sleep(0.001)
        assert engine.admission.requests == 0, "it takes nobody's place"
        alike, small = await asyncio.gather(
            engine.stylize(photo_levels(*LARGE, seed=1), one),
            engine.stylize(photo_levels(64, 64), one),
        )
        assert not painting.done()
        painted = await painting
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
        assert alike.levels.shape == levels.shape
        assert small.levels.shape == (64, 64, 3)
        expected = stylizer.stylize_large(levels, one)
        assert np.array_equal(painted.levels, expected), "being passed must change nothing"
        assert engine.estimate_s(levels[..., 0].size) == pytest.approx(painted.inference_s)
        await engine.close()

    run(test)


def test_a_picture_that_gives_way_ends_when_it_is_cancelled_or_the_engine_drains(
    small_weights: Weights,
) -> None:
    async def test() -> None:
        engine, metrics = make_engine(lambda: Stylizer(small_weights))
        await engine.start()
        levels, one = photo_levels(3 * LARGE[0], 3 * LARGE[1]), Look(small_weights.original)
        for end in (asyncio.Task.cancel, lambda _: engine.drain()):
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()
            tell = functools.partial(loop.call_soon_threadsafe, begun.set)
            painting = asyncio.ensure_future(engine.paint(levels, one, lambda _, tell=tell: tell()))
            await begun.wait()
            end(painting)
            with pytest.raises((asyncio.CancelledError, DrainingError)):
                await painting
            while engine._running:
                await asyncio.sleep(0.001)
        assert metrics.dropped._value.get() == 2
        await engine.close()

    run(test)


def test_the_device_is_the_compute_thread_s_own(
    small_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(
        local, "use_device", lambda device: calls.append((device, threading.current_thread().name))
    )

    async def test() -> None:
        stylizer = Stylizer(small_weights)  # made on another thread
        engine, _ = make_engine(lambda: stylizer)
        await engine.start()
        assert calls == [(stylizer.device, "pastiche-compute")]
        await engine.close()

    run(test)


def test_a_picture_that_fails_costs_no_other_its_answer(small_weights: Weights) -> None:
    async def test() -> None:
        stylizer = Stylizer(small_weights)
        engine, _ = make_engine(lambda: stylizer)
        await engine.start()
        poison = torch.full_like(small_weights.original, 7.0)

        def runner(photos: torch.Tensor, codes: torch.Tensor, *others: Any) -> torch.Tensor:
            if bool((codes == 7).any()):
                raise RuntimeError("an operation that this style does not get through")
            return stylizer.exact(photos, codes, *others)

        stylizer.use_fast_path(FastPath("delicate", runner))
        large = asyncio.ensure_future(
            engine.stylize(photo_levels(*LARGE), Look(small_weights.original))
        )
        while not engine._running:
            await asyncio.sleep(0.001)
        size = LARGE[0] - 1, LARGE[1]  # too large to pass the one that runs
        looks = [Look(small_weights.original), Look(poison), Look(small_weights.original)]
        answers = await asyncio.gather(
            *(engine.stylize(photo_levels(*size), look) for look in looks), return_exceptions=True
        )
        await large
        assert [isinstance(answer, EngineError) for answer in answers] == [False, True, False]
        await engine.close()

    run(test)


def test_what_comes_after_the_queue_has_closed_is_answered(
    small_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        engine, _ = make_engine(lambda: Stylizer(small_weights))
        await engine.start()
        check = local.check_ready

        def close_behind(state: EngineState) -> None:  # as a failing device does on its own thread
            check(state)
            if engine.state is EngineState.READY:
                engine.state = EngineState.FAILED
                engine._queue.close()

        monkeypatch.setattr(local, "check_ready", close_behind)
        with pytest.raises(EngineFailedError):
            await asyncio.wait_for(
                engine.stylize(photo_levels(), Look(small_weights.original)), timeout=5
            )
        await engine.close()

    run(test)


def test_a_full_disk_under_a_picture_in_pieces_is_no_room(
    small_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def test() -> None:
        stylizer = Stylizer(small_weights)
        stylizer.whole_pixels = 1_000
        engine, _ = make_engine(lambda: stylizer)
        await engine.start()
        monkeypatch.setattr(stylizer, "stylize_large", full)
        with pytest.raises(OutOfMemoryError):
            await engine.stylize(photo_levels(64, 64), Look(small_weights.original))
        await engine.close()

    run(test)


def test_faster_paths_are_used_once_they_are_there(small_weights: Weights) -> None:
    async def test() -> None:
        stylizer = Stylizer(small_weights)
        allowed = threading.Event()

        def paths(given: Stylizer) -> Iterator[FastPath]:
            allowed.wait(10)
            yield from given.fast_paths("bfloat16")
            raise RuntimeError("no compiler")

        admission = Admission(1000, 10**9, deadline_s=1e9)
        engine = LocalEngine(lambda: stylizer, admission, BATCH_PIXELS, Metrics(), fast_paths=paths)
        await engine.start()
        assert engine.state is EngineState.READY, "at once"
        levels, one = photo_levels(90, 70), Look(small_weights.original)
        exact = await engine.stylize(levels, one)
        assert stylizer.path.name == "float32"
        allowed.set()
        while stylizer.path.name != "bfloat16":
            await asyncio.sleep(0.01)
        fast = await engine.stylize(levels, one)
        assert np.abs(fast.levels.astype(int) - exact.levels.astype(int)).mean() < 2
        assert engine.state is EngineState.READY
        await engine.close()
        assert engine._preparing is not None
        assert not engine._preparing.is_alive()

    run(test)


def test_what_counts_as_out_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_out_of_memory(OSError(errno.EACCES, "Permission denied"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("shapes differ"))


MEMORY_SCRIPT = """
import asyncio, resource, sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from test_engine import look, photo_levels, running
from app.engine.protocol import OutOfMemoryError

async def main():
    folder = Path({folder!r})
    async with running(folder) as (engine, metrics):
        small = await engine.stylize(photo_levels(64, 64), look(folder))
        large = photo_levels(2500, 2500)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, most))
        for _ in range(2):
            try:
                await engine.stylize(large, look(folder))
                print("in pieces")
            except OutOfMemoryError as error:
                print("refused", error.retry_after_s)
            again = await engine.stylize(photo_levels(64, 64), look(folder))
            assert (again.levels == small.levels).all()
            print("recovered")
        resource.setrlimit(resource.RLIMIT_AS, (most, most))  # an end in order takes threads

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space the Linux way")
def test_out_of_memory_fails_one_picture_and_not_the_next(small_weights_folder: Path) -> None:
    tests = Path(__file__).parent
    script = MEMORY_SCRIPT.format(
        root=str(tests.parent), tests=str(tests), folder=str(small_weights_folder)
    )
    done = subprocess.run(  # noqa: S603 - its own script
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert lines[1::2] == ["recovered"] * 2, done.stderr[-2000:]
    assert set(lines[::2]) <= {"refused 10", "in pieces"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_out_of_memory_goes_in_pieces_and_frees_its_memory(
    small_weights_folder: Path,
) -> None:
    async def test() -> None:
        engine, _ = make_engine(lambda: Stylizer.load(small_weights_folder, "cuda"), 10**9)
        await engine.start()
        small = await engine.stylize(photo_levels(64, 64), look(small_weights_folder))
        before = torch.cuda.memory_allocated()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((before + 1_500_000_000) / total)
        try:
            large = await engine.stylize(photo_levels(6000, 6000), look(small_weights_folder))
            assert large.levels.shape == (6000, 6000, 3)
            again = await engine.stylize(photo_levels(64, 64), look(small_weights_folder))
            assert np.array_equal(again.levels, small.levels)
            assert torch.cuda.memory_allocated() <= before + 1_000_000
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
            await engine.close()

    run(test)

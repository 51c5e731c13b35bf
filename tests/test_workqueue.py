"""What waits, and what runs next."""

import threading
import time

import numpy as np
import pytest
import torch

from app.engine.admission import Admission
from app.engine.protocol import OverloadedError
from app.engine.workqueue import Work, WorkQueue
from model.inference.look import Look

SPEED = 1000.0  # pixels per second
NO_CODE = torch.zeros(1)


def work(width: int, height: int = 10, arrived: float = 0.0) -> Work:
    levels = np.zeros((height, width, 3), np.uint8)
    return Work(levels, Look(NO_CODE), enqueued=arrived)


def filled(*works: Work, batch_pixels: int = 1000) -> WorkQueue:
    queue = WorkQueue(batch_pixels)
    for each in works:
        queue.put(each)
    return queue


def test_one_size_makes_one_batch_whatever_lies_between() -> None:
    first, other, second = work(10), work(11), work(10)
    queue = filled(first, other, second)
    assert queue.next_batch(SPEED) == [first, second]
    assert queue.next_batch(SPEED) == [other]


def test_a_batch_is_bounded_by_pixels_and_never_empty() -> None:
    works = [work(10, arrived=i) for i in range(5)]
    queue = filled(*works, batch_pixels=250)
    assert queue.next_batch(SPEED) == works[:2]
    large = work(100)
    assert filled(large, batch_pixels=250).next_batch(SPEED) == [large]


def test_small_overtakes_large_but_not_for_ever() -> None:
    large = work(1000, arrived=0.0)  # 10 s of work
    early, late = work(10, arrived=9.0), work(10, arrived=11.0)
    queue = filled(large, late, early, batch_pixels=100)
    assert queue.next_batch(SPEED) == [early]
    assert queue.next_batch(SPEED) == [large]
    assert queue.next_batch(SPEED) == [late]


def test_urgent_takes_only_small_ones_and_never_waits() -> None:
    large, small = work(100), work(10)
    queue = filled(large, small)
    assert queue.urgent_batch(200, SPEED) == [small]
    assert queue.urgent_batch(200, SPEED) == []
    assert len(queue) == 1


def test_abandoned_work_is_never_handed_out() -> None:
    gone, stays = work(10), work(10)
    queue = filled(gone, stays)
    gone.future.cancel()
    assert queue.next_batch(SPEED) == [stays]
    assert len(queue) == 0


def test_an_idle_device_gets_work_at_once() -> None:
    queue = WorkQueue(1000)
    taken: list[float] = []

    def take() -> None:
        queue.next_batch(SPEED)
        taken.append(time.perf_counter())

    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.05)
    put = time.perf_counter()
    queue.put(work(10))
    thread.join()
    assert taken[0] - put < 0.1


def test_close_wakes_and_gives_back() -> None:
    queue = filled(left := work(10))
    assert queue.close() == [left]
    assert queue.next_batch(SPEED) == []


def test_admission_counts_pixels_and_gives_them_back() -> None:
    admission = Admission(max_requests=10, max_pixels=1000, deadline_s=1e9)
    with admission.admit(600):
        with pytest.raises(OverloadedError), admission.admit(600):
            pass
        with admission.admit(400), pytest.raises(OverloadedError):
            admission.check_open()
        admission.check_open()
    assert (admission.requests, admission.pixels) == (0, 0)


def test_admission_counts_requests() -> None:
    admission = Admission(max_requests=2, max_pixels=1000, deadline_s=1e9)
    with admission.admit(1), admission.admit(1), pytest.raises(OverloadedError):
        admission.check_open()


def test_a_single_picture_is_admitted_however_large() -> None:
    admission = Admission(max_requests=2, max_pixels=1000, deadline_s=1.0)
    with admission.admit(10**9):
        assert admission.pixels == 10**9


def test_what_would_be_late_is_refused_and_told_when_to_come_back() -> None:
    admission = Admission(max_requests=100, max_pixels=10**9, deadline_s=10.0)
    for _ in range(50):
        admission.observe(100_000, seconds=1.0)
    assert admission.pixels_per_s == pytest.approx(100_000)
    with admission.admit(900_000):
        with pytest.raises(OverloadedError) as refusal, admission.admit(300_000):
            pass
        assert refusal.value.retry_after_s == 5  # half of 9 s of work, rounded up
        with admission.admit(90_000):  # passes the large one: 4.5 s
            pass


def test_admission_survives_an_error_inside() -> None:
    admission = Admission(10, 1000, 1e9)
    with pytest.raises(ValueError, match="inside"), admission.admit(10):
        raise ValueError("inside")
    assert admission.pixels == 0


def test_what_gives_way_comes_last_and_alone() -> None:
    patient = Work(np.zeros((10, 10, 3), np.uint8), Look(NO_CODE), gives_way=True, enqueued=0.0)
    alike, large = work(10, arrived=50.0), work(1000, arrived=99.0)
    queue = filled(patient, alike, large)
    assert queue.urgent_batch(None, SPEED) == [alike]
    assert queue.urgent_batch(None, SPEED) == [large], "of any size"
    assert queue.urgent_batch(None, SPEED) == []
    assert queue.next_batch(SPEED) == [patient]

"""Where to compute and in what."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from model.inference import device
from model.inference.device import (
    CPU_WHOLE_PIXELS,
    GPU_BATCH_PIXELS,
    bfloat16_is_faster,
    choose_batch_pixels,
    choose_dtype,
    choose_training_precision,
    choose_whole_pixels,
    is_out_of_memory,
    multiplies_in_bfloat16,
    use_device,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


@pytest.mark.parametrize(
    ("capability", "multiplies"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_emulated_bfloat16_is_none(
    capability: tuple[int, int], multiplies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(device: torch.device) -> tuple[int, int]:
        asked.append(device)
        return capability

    monkeypatch.setattr(torch.cuda, "get_device_capability", answer)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)  # by emulation
    assert multiplies_in_bfloat16(GPU) is multiplies
    assert choose_training_precision(GPU) == ("bfloat16" if multiplies else "float32")
    assert set(asked) == {GPU}, "not the current one"


@pytest.mark.parametrize("has", [{"avx512_bf16": True}, {"amx_bf16": True}, {"avx2": True}, {}])
def test_inference_and_training_agree_on_what_a_processor_can(
    has: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert str(choose_dtype("auto", CPU)) == f"torch.{choose_training_precision(CPU)}"


@pytest.fixture
def fresh_timing() -> Iterator[None]:
    bfloat16_is_faster.cache_clear()
    yield
    bfloat16_is_faster.cache_clear()


@pytest.mark.usefixtures("fresh_timing")
@pytest.mark.parametrize("slow", [torch.float32, torch.bfloat16])
def test_a_processor_s_types_are_timed_once(
    slow: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, convolved = [0.0], []

    def convolve(x: torch.Tensor, weight: torch.Tensor, padding: int) -> None:
        assert x.dtype == weight.dtype
        assert padding == 1
        convolved.append(x.dtype)
        clock[0] += 2.0 if x.dtype == slow else 1.0
        clock[0] += 9.0 if len(convolved) in (1, 2, 5, 6) else 0.0  # set up, and disturbed

    monkeypatch.setattr(F, "conv2d", convolve)
    monkeypatch.setattr(device, "perf_counter", lambda: clock[0])
    assert bfloat16_is_faster() is (slow == torch.float32)
    count = len(convolved)
    assert bfloat16_is_faster() is (slow == torch.float32)
    assert len(convolved) == count, "timed again"


def test_a_device_is_the_thread_s_own_and_float32_is_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    torch.backends.cudnn.allow_tf32 = True  # PyTorch's default
    use_device(CPU)
    use_device(torch.device("cuda"))  # what `auto` is; PyTorch refuses to choose by it
    assert chosen == []
    use_device(GPU)
    assert chosen == [GPU]
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def give_memory(monkeypatch: pytest.MonkeyPatch, gigabytes: float) -> None:
    memory = SimpleNamespace(total_memory=int(gigabytes * 1e9))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: memory)


@pytest.mark.parametrize("gigabytes", [2, 4, 8, 11, 24, 80, 141])
def test_what_goes_through_a_gpu_whole_fits_its_memory_and_its_indices(
    gigabytes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_memory(monkeypatch, gigabytes)
    whole = choose_whole_pixels(GPU, channels=32)
    assert whole * 1500 <= gigabytes * 1e9
    assert whole * 64 < 2**31
    batch = choose_batch_pixels(GPU, whole)
    assert batch <= min(whole, GPU_BATCH_PIXELS)
    assert choose_batch_pixels(GPU, whole, wanted=10**9) == whole
    assert choose_whole_pixels(GPU, channels=32, wanted=10**9) * 64 < 2**31


def test_a_cpu_takes_what_is_asked_for() -> None:
    assert choose_whole_pixels(CPU, 32) == CPU_WHOLE_PIXELS
    assert choose_whole_pixels(CPU, 32, wanted=10**9) == 10**9
    assert choose_batch_pixels(CPU, CPU_WHOLE_PIXELS, wanted=5000) == 5000


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "GET was unable to find an engine to execute this computation",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.",
        "could not create a primitive",
    ],
)
def test_the_libraries_own_words_for_no_memory(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text)), "errors of a library are RuntimeErrors"


@pytest.mark.parametrize("text", ["CUDNN_STATUS_BAD_PARAM", "device-side assert triggered", ""])
def test_other_errors_are_not_of_memory(text: str) -> None:
    assert not is_out_of_memory(RuntimeError(text))

"""Where to compute, in what, and how much at once: devices, precisions, memory budgets."""

import errno
from functools import cache
from time import perf_counter
from typing import Final, Literal

import torch
import torch.nn.functional as F

TrainingPrecision = Literal["float32", "bfloat16"]

CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "avx10_2", "bf16")
CUDA_BFLOAT16 = (8, 0)  # compute capability; older GPUs emulate it, slower than float32
TIMED_CHANNELS, TIMED_SIDE = 128, 64  # of a convolution as most of the network's are
TIMED_ROUNDS: Final = 5

# Beyond so many pixels a picture is stylized in pieces. In memory the network takes about 250
# bytes a pixel in float32.
CPU_WHOLE_PIXELS = 8_000_000
GPU_BYTES_PER_PIXEL = 1500  # of the whole network, with room for a second picture
CPU_BATCH_PIXELS = 300_000  # larger batches gain nothing on a CPU and make the first wait
GPU_BATCH_PIXELS = 8_000_000
INDEXED_ELEMENTS = 2**31 - 1  # of a tensor: kernels of cuDNN and Triton index with 32 bits

# What a GPU's libraries say in place of PyTorch's own words.
_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",  # CUDNN_STATUS_, CUBLAS_STATUS_
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_, _HOST_
    "cublas_status_not_initialized",  # its workspace did not fit
    "unable to find an engine",  # of cuDNN, when none's workspace fits
    "could not create a primitive",  # of oneDNN, without memory for a kernel's code
)


class NoRoomError(MemoryError):
    """Memory, or disk in its place, does not suffice for a picture; the text is one line."""


class DeviceError(ValueError):
    """The device that was asked for is not there."""


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` (a GPU when there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises
    ------
    DeviceError
        No such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:1") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:1")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(f"device {name!r} is not there: this machine has {count} GPUs")
    return device


def describe_device(device: torch.device) -> str:
    """A device in words, for logs and for clients."""
    if device.type != "cuda":
        return device.type
    return f"{device} ({torch.cuda.get_device_name(device)})"


def use_device(device: torch.device) -> None:
    """Make a device the calling thread's own, and have the process compute float32 in full.

    Streams, Triton's kernels and cuBLAS's workspaces go to the thread's current device, whatever
    device their tensors are on. And PyTorch's default for convolutions is TF32 where there is
    such a thing: 10 bits of mantissa in place of float32's 23.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if device.type == "cuda" and device.index is not None:  # without one it is current anyway
        torch.cuda.set_device(device)


def responds(device: torch.device) -> bool:
    """Whether a device still computes: after a sticky error of a GPU every call on it fails."""
    try:
        torch.ones(8, device=device).sum().item()
    except RuntimeError:
        return False
    return True


def choose_whole_pixels(device: torch.device, channels: int, wanted: int | None = None) -> int:
    """Most pixels that go through the network whole, a batch's together.

    Parameters
    ----------
    channels
        The network's width. At full resolution its widest tensor has twice as many channels.
    wanted
        What the user has chosen; none, what the memory holds.
    """
    if device.type != "cuda":
        return wanted or CPU_WHOLE_PIXELS
    memory: int = torch.cuda.get_device_properties(device).total_memory
    indexed = int(0.95 * INDEXED_ELEMENTS) // (2 * channels)  # the rest is for aligned sides
    return min(wanted or memory // GPU_BYTES_PER_PIXEL, indexed)


def choose_batch_pixels(device: torch.device, whole_pixels: int, wanted: int | None = None) -> int:
    """Most pixels of a batch: what is gained by, as far as it goes through whole."""
    gained = GPU_BATCH_PIXELS if device.type == "cuda" else CPU_BATCH_PIXELS
    return min(wanted or gained, whole_pixels)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, or disk in its place, did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):  # of the temporary files of a picture in pieces
        return error.errno in (errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)


def free_memory(device: torch.device) -> None:
    """Hand back what the allocator keeps, after tensors have gone."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def multiplies_in_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bfloat16, and something is gained by it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= CUDA_BFLOAT16
    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in CPU_BFLOAT16) and bfloat16_is_faster()


@cache
def bfloat16_is_faster() -> bool:
    """Whether this processor convolves faster in bfloat16 than in float32: timed once, 0.1 s.

    What it says of itself is not enough: a Xeon that has AMX, on a virtual machine that hides it,
    multiplies in bfloat16 at half float32's rate.
    """
    times = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    shapes = [(1, TIMED_CHANNELS, TIMED_SIDE, TIMED_SIDE), (TIMED_CHANNELS, TIMED_CHANNELS, 3, 3)]
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(shape, generator=generator) for shape in shapes]
    with torch.inference_mode():
        for timed in range(1 + TIMED_ROUNDS):  # in turns: whatever else runs disturbs both
            for dtype in times:
                x, weight = (
                    t.to(dtype).contiguous(memory_format=torch.channels_last) for t in drawn
                )
                begun = perf_counter()
                F.conv2d(x, weight, padding=1)
                if timed:  # the first pays for what is set up lazily
                    times[dtype] = min(times[dtype], perf_counter() - begun)
    return times[torch.bfloat16] < times[torch.float32]


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type of activations: for ``auto`` the fastest that the device multiplies in.

    Raises
    ------
    ValueError
        No such precision, or float16 on a CPU, where nothing is gained by it.
    """
    if precision == "auto":
        if device.type == "cuda":
            return torch.float16  # as fast as bfloat16, with three more binary digits
        return torch.bfloat16 if multiplies_in_bfloat16(device) else torch.float32
    types = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if device.type == "cuda":
        types["float16"] = torch.float16
    if precision not in types:
        raise ValueError(f"precision is {precision!r}, allowed are auto, {', '.join(types)}")
    return types[precision]


def choose_cpu_dtype(precision: str) -> torch.dtype:
    """The type of what computes on the CPU, whatever device the network is on.

    Raises
    ------
    ValueError
        No such precision.
    """
    wanted = "auto" if precision == "float16" else precision  # float16 is of GPUs alone
    return choose_dtype(wanted, torch.device("cpu"))


def choose_training_precision(device: torch.device) -> TrainingPrecision:
    """``bfloat16`` (by autocast) where the device multiplies in it, else ``float32``."""
    return "bfloat16" if multiplies_in_bfloat16(device) else "float32"


def autocast(device: str, precision: TrainingPrecision) -> torch.autocast:
    """Context in which convolutions and products compute in ``precision``."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16")

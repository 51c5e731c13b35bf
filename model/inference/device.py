"""Where to compute and in what: devices and precisions."""

from typing import Literal

import torch

TrainingPrecision = Literal["float32", "bfloat16"]

CPU_BFLOAT16 = ("avx512_bf16", "amx_bf16", "avx10_2", "bf16")
CUDA_BFLOAT16 = (8, 0)  # compute capability; older GPUs emulate it, slower than float32


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


def multiplies_in_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies in bfloat16, so that something is gained by it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= CUDA_BFLOAT16
    has = torch.cpu.get_capabilities()
    return any(has.get(name) for name in CPU_BFLOAT16)


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


def choose_training_precision(device: torch.device) -> TrainingPrecision:
    """``bfloat16`` (by autocast) where the device multiplies in it, else ``float32``."""
    return "bfloat16" if multiplies_in_bfloat16(device) else "float32"


def autocast(device: str, precision: TrainingPrecision) -> torch.autocast:
    """Context in which convolutions and products compute in ``precision``."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16")

"""Timing in turns, and the machine that was timed."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import torch

PACKAGES = ("torch", "openvino", "onnxruntime", "ai-edge-litert", "numpy", "pillow")


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, called one after the other in every round.

    So whatever slows the machine for a while slows all of them. One round before is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                times[name].append(time.perf_counter() - begun)
    return {name: median(values) for name, values in times.items()}


def processor() -> str:
    """The processor's name, where the system tells."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine(device: torch.device) -> str:
    """One paragraph: date, processor, load, versions."""
    has = torch.cpu.get_capabilities()
    kinds = [n for n in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if has.get(n)]
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    gpu = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {processor()} ({', '.join(kinds)}), "
        f"{torch.get_num_threads()} threads{gpu}, load before {load}, "
        f"Python {platform.python_version()}, {', '.join(versions)}."
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

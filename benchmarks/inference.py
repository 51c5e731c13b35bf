"""Loading and inference of the shipped network, eager float32: medians of one quiet run.

python benchmarks/inference.py [--device cpu] [--sides 256 512 1024] [--runs 7]
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from model.assets import asset_folder
from model.styles import StyleLibrary
from model.stylizer import NETWORK_FILE, Look, Stylizer, choose_device
from model.weights import load_weights


def seconds(run: Callable[[], object], runs: int) -> float:
    """Median wall time of a call, after one that is not counted."""
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return median(times[1:])


def processor() -> str:
    """The processor's name, where the system tells."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()

    folder = asset_folder("weights")
    device = choose_device(options.device)
    print(f"{processor()}, {torch.get_num_threads()} threads, {device}, torch {torch.__version__}")
    loading = seconds(lambda: Stylizer(load_weights(folder / NETWORK_FILE), device), options.runs)
    stylizer = Stylizer(load_weights(folder / NETWORK_FILE), device)
    styles = folder / "styles"
    listing = seconds(lambda: StyleLibrary(styles, stylizer.fingerprint), options.runs)
    library = StyleLibrary(styles, stylizer.fingerprint)
    print(f"| load the network | {loading * 1000:.0f} ms |")
    print(f"| load {len(library)} styles | {listing * 1000:.0f} ms |")
    look = Look(next(iter(library)).code)
    for side in options.sides:
        photo = torch.rand(1, 3, side, side)
        taken = seconds(lambda photo=photo: stylizer.stylize_batch(photo, [look]), options.runs)
        print(f"| {side} x {side}, eager float32 | {taken * 1000:.0f} ms |")


if __name__ == "__main__":
    main()

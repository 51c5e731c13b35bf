"""Speed of inference, as Markdown for docs/performance.md; every comparison in turns, medians.

    python benchmarks/inference.py                      # all, 40 to 60 minutes on two cores
    python benchmarks/inference.py --quick              # small settings, to see that it works
    python benchmarks/inference.py networks batches     # some parts alone
    python benchmarks/inference.py --peers DIR          # with Magenta's network from that folder

Parts: networks (against others, and as a share of the matrix-product peak), batches, large
(memory and time of large pictures), start. What is not installed is left out with a note:
pip install openvino onnx onnxscript onnxruntime ai-edge-litert
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when PyTorch is loaded

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import contenders  # noqa: E402
from timing import in_turns, machine, table  # noqa: E402

from model.inference.device import choose_device, choose_dtype  # noqa: E402
from model.inference.look import Look  # noqa: E402
from model.inference.stylizer import Stylizer  # noqa: E402
from model.inference.whole import CompiledRunner, WholeRunner  # noqa: E402
from model.network.config import NetworkConfig  # noqa: E402
from model.pictures.levels import to_levels, to_tensor  # noqa: E402
from model.pictures.picture import load_picture  # noqa: E402
from model.storage.assets import asset_folder  # noqa: E402
from model.styles.library import StyleLibrary  # noqa: E402

SAMPLE = ROOT / "static" / "samples" / "astronaut.jpg"
GPU_OPERATIONS = 790e12  # a second, bfloat16: the rate that an H200 reaches on matrix products
GPU_BYTES = 4.3e12  # a second


def photo(side: int) -> Tensor:
    """A real photo, (1, 3, side, side): smooth or noisy ones may take another path."""
    image = load_picture(SAMPLE).rgb.resize((side, side), Image.Resampling.LANCZOS)
    return to_tensor(image)[None]


def layers(config: NetworkConfig) -> list[tuple[int, int, int, float]]:
    """In channels, out channels, kernel, output pixels per picture pixel: as written down."""
    c = config.channels
    residual = [(4 * c, 4 * c, 3, 1 / 16)] * (2 * config.residual_blocks)
    return [
        *[(3, c, 9, 1.0), (c, 2 * c, 3, 1 / 4), (2 * c, 4 * c, 3, 1 / 16), *residual],
        *[(4 * c, 2 * c, 3, 1 / 4), (2 * c, c, 3, 1.0), (c, 3, 9, 1.0)],
    ]


def operations(config: NetworkConfig) -> float:
    """Per pixel, a multiplication and an addition being two."""
    return sum(2 * i * o * k * k * share for i, o, k, share in layers(config))


def least_bytes(config: NetworkConfig) -> float:
    """Per pixel: each layer's output written and read once, two bytes a number."""
    return sum(2 * 2 * o * share for _, o, _, share in layers(config))


def matrix_product(dtype: torch.dtype, device: torch.device, side: int) -> Callable[[], object]:
    """Twice side cubed operations."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return lambda: a @ b


def available(makers: dict[str, Callable[[], contenders.Contender]]) -> dict[str, object]:
    """Those that can be made; a note on the others."""
    made = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except Exception as error:
            print(f"({name} left out: {type(error).__name__}: {str(error).splitlines()[0]})\n")
    return made


def gpu_contender(runner: WholeRunner, code: Tensor, device: torch.device) -> contenders.Contender:
    """A path of the service on a GPU."""

    def prepare(picture: Tensor) -> contenders.Run:
        here, codes = picture.to(device), code[None].to(device)
        return lambda: runner(here, codes, lambda _: None)

    return prepare


def measure_networks(stylizer: Stylizer, code: Tensor, options: argparse.Namespace) -> None:
    """Pictures of several sizes through all networks."""
    device, dtype = stylizer.device, choose_dtype("auto", stylizer.device)
    kind = str(dtype).removeprefix("torch.")
    served = f"**ours, as served, {kind}**"
    makers: dict[str, Callable[[], contenders.Contender]] = {
        "fast_neural_style, eager float32": lambda: contenders.peer_eager(device),
        "ours, eager float32": lambda: contenders.own_eager(stylizer, code),
    }
    if device.type == "cpu":
        makers |= {
            "ours, ONNX Runtime float32": lambda: contenders.onnx_runtime(stylizer, code),
            "ours, OpenVINO float32": lambda: contenders.openvino(stylizer, code, "f32"),
        }
        if dtype != torch.float32:  # the processor multiplies in bfloat16
            makers |= {
                "ours, OpenVINO bfloat16": lambda: contenders.openvino(stylizer, code, "bf16"),
                "ours, as served, float32": lambda: contenders.own_path(
                    stylizer, code, torch.float32
                ),
            }
        makers[served] = lambda: contenders.own_path(stylizer, code, dtype)
        if options.peers:
            makers["Magenta arbitrary, LiteRT float16"] = lambda: contenders.magenta(options.peers)
    else:
        makers |= {
            f"ours, {kind}": lambda: gpu_contender(
                WholeRunner(stylizer.network, dtype), code, device
            ),
            served: lambda: gpu_contender(CompiledRunner(stylizer.network, dtype), code, device),
        }
    made = available(makers)
    sides = options.sides or ((256, 512) if options.quick else (256, 500, 512, 1024, 2048))
    product_side = 2048 if device.type == "cpu" else 8192
    columns = {}
    for side in sides:
        runs = {name: make(photo(side)) for name, make in made.items()}  # type: ignore[operator]
        runs["matrix product"] = matrix_product(dtype, device, product_side)
        rounds = 2 if options.quick else 3 if side > 1024 else options.rounds
        columns[side] = in_turns(runs, rounds)
        print(side, columns[side], file=sys.stderr, flush=True)  # the table takes a while
    rows = [[name, *(f"{columns[side][name] * 1000:.1f} ms" for side in sides)] for name in made]
    per_pixel = operations(stylizer.config)
    rates = {side: per_pixel * side**2 / columns[side][served] for side in sides}
    peaks = {side: 2 * product_side**3 / columns[side]["matrix product"] for side in sides}
    rows.append(["rate as served, 10^9/s", *(f"{rates[side] / 1e9:.0f}" for side in sides)])
    rows.append([f"{kind} matrix product, 10^9/s", *(f"{peaks[s] / 1e9:.0f}" for s in sides)])
    rows.append(["share of it", *(f"{rates[side] / peaks[side]:.0%}" for side in sides)])
    if device.type == "cuda":
        floor = max(per_pixel / GPU_OPERATIONS, least_bytes(stylizer.config) / GPU_BYTES)
        shares = [f"{floor * side**2 / columns[side][served]:.0%}" for side in sides]
        rows.append(["share of the roofline", *shares])
    print(table(["one picture", *(f"{side} px" for side in sides)], rows) + "\n")


def measure_batches(stylizer: Stylizer, _: Tensor, options: argparse.Namespace) -> None:
    """Batches of one style against batches of all different blends and strengths."""
    folder = asset_folder("weights")
    codes = [style.code for style in StyleLibrary(folder / "styles", stylizer.fingerprint)]
    for path in stylizer.fast_paths():
        stylizer.use_fast_path(path)
    side = 256 if stylizer.device.type == "cpu" else 512
    sizes = (1, 2, 4) if options.quick else (1, 2, 4, 8, 16, 32)
    rows = []
    for size in sizes:
        photos = photo(side).expand(size, -1, -1, -1).contiguous().to(stylizer.device)
        blends = [
            0.5 * codes[i % len(codes)] + 0.5 * codes[(i + 7) % len(codes)] for i in range(size)
        ]
        one = [Look(codes[0])] * size
        many = [Look(blend, 1 - i / (2 * size)) for i, blend in enumerate(blends)]
        runs = {
            "one": lambda photos=photos, looks=one: stylizer.stylize_batch(photos, looks),
            "many": lambda photos=photos, looks=many: stylizer.stylize_batch(photos, looks),
        }
        found = in_turns(runs, 2 if options.quick else options.rounds)
        values = [found[name] * 1000 / size for name in ("one", "many")]
        change = f"{values[1] / values[0] - 1:+.1%}"
        rows.append([str(size), *(f"{value:.1f} ms" for value in values), change])
    header = [f"batch of {side} px", "one style, a picture", "all different, a picture", "more"]
    print(table(header, rows) + "\n")


def compare_pieces(stylizer: Stylizer, code: Tensor, side: int) -> str:
    """A picture in pieces against the whole one, as served and as written down; all float32.

    The plain network is the least exact of them: from a megapixel on, the rounding of its
    statistics shows.
    """
    picture, look = photo(side).to(stylizer.device), Look(code)
    found = stylizer.stylize_large(to_levels(picture)[0], look).astype(int)
    wholes = {
        "the whole": stylizer.stylize_batch(picture, [look]),
        "the network as written down": stylizer.network(picture, code[None].to(stylizer.device)),
    }
    lines = []
    for name, whole in wholes.items():
        difference = np.abs(found - to_levels(whole)[0])
        lines.append(
            f"{side} x {side} px in pieces against {name}: {difference.max()} levels at most, "
            f"{(difference > 0).mean():.3%} of the values differ."
        )
    return "\n".join(lines)


def measure_large(stylizer: Stylizer, code: Tensor, options: argparse.Namespace) -> None:
    """Time and peak memory of `pastiche stylize`, process and files and all."""
    rows = []
    ways = [("float32", "exact"), ("auto", "exact"), ("auto", "quick")]
    if choose_dtype("auto", stylizer.device) == torch.float32:
        del ways[0]  # the same as the next
    for megapixels in (1, 9) if options.quick else (1, 4, 16, 36, 100):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            source, target = Path(folder) / "photo.jpg", Path(folder) / "out.jpg"
            height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
            load_picture(SAMPLE).rgb.resize((height * 4 // 3, height)).save(source, quality=90)
            for precision, tiles in ways:
                begun = time.perf_counter()
                process = subprocess.Popen(  # noqa: S603 - its own command
                    [
                        *(sys.executable, "-m", "app.launch", "stylize", str(source)),
                        *("--style", "starry-night", "-o", str(target), "--force"),
                        *("--device", stylizer.device.type),
                        *("--precision", precision, "--tiles", tiles),
                    ],
                    cwd=ROOT,
                )
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                seconds = time.perf_counter() - begun
                state = "" if process.returncode == 0 else " (failed)"
                memory = f"{usage.ru_maxrss / 1024**2:.2f} GiB"
                row = [f"{megapixels}", f"{precision}, {tiles}{state}", f"{seconds:.1f} s", memory]
                rows.append(row)
                print(*row, sep=", ", file=sys.stderr, flush=True)  # the table takes a while
    header = ["megapixels", "precision, tiles", "shell to file", "peak memory"]
    print(table(header, rows) + "\n")
    print(compare_pieces(stylizer, code, 512 if options.quick else 2048) + "\n")


def measure_start(_: Stylizer, __: Tensor, options: argparse.Namespace) -> None:
    """Processes, and what they load."""
    folder, rounds = asset_folder("weights"), 3 if options.quick else options.rounds
    levels = np.zeros((8, 8, 3), np.uint8)
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "photo.png"
        Image.fromarray(levels).save(source)
        commands = {
            "`pastiche --version`": ["--version"],
            "`pastiche stylize`, 8 px": [
                *("stylize", str(source), "--style", "starry-night"),
                *("-o", str(Path(temporary) / "out.png"), "--force"),
            ],
        }
        runs: dict[str, Callable[[], object]] = {
            name: lambda arguments=arguments: subprocess.run(  # noqa: S603
                [sys.executable, "-m", "app.launch", *arguments],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
            for name, arguments in commands.items()
        }
        runs["load the network"] = lambda: Stylizer.load(folder, "cpu")
        stylizer = Stylizer.load(folder, "cpu")
        runs["load all styles"] = lambda: StyleLibrary(folder / "styles", stylizer.fingerprint)
        runs["check the fast path"] = lambda: list(stylizer.fast_paths())
        found = in_turns(runs, rounds)
    print(table(["start", "time"], [[n, f"{s * 1000:.0f} ms"] for n, s in found.items()]) + "\n")


PARTS: dict[str, Callable[[Stylizer, Tensor, argparse.Namespace], None]] = {
    "networks": measure_networks,
    "batches": measure_batches,
    "large": measure_large,
    "start": measure_start,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--peers", type=Path, help="folder with Magenta's network")
    parser.add_argument("--sides", type=int, nargs="+", metavar="PX", help="of networks, alone")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="small settings")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}; parts are {', '.join(PARTS)}")
    folder, device = asset_folder("weights"), choose_device(options.device)
    print(machine(device) + "\n")
    with torch.inference_mode():
        for part in options.parts or PARTS:
            stylizer = Stylizer.load(folder, options.device)
            library = StyleLibrary(folder / "styles", stylizer.fingerprint)
            PARTS[part](stylizer, library.mix({"starry-night": 1.0}), options)


if __name__ == "__main__":
    main()

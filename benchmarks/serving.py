"""How the running service performs, against a server that this script starts.

    python benchmarks/serving.py overhead     # everything but inference, one request at a time
    python benchmarks/serving.py arrivals     # a constant arrival rate: latency, refusals, batches
    python benchmarks/serving.py styles       # one style against another style per request
    python benchmarks/serving.py throughput   # the service's against the engine's own
    python benchmarks/serving.py mixed        # small pictures alone and beside large ones
    python benchmarks/serving.py painting     # small pictures alone and beside a large one's job
    python benchmarks/serving.py start        # process start to ready

Arrivals are an open loop: a slow answer does not delay the next request, as no user waits for
another. Latency therefore counts from the moment a request was due.
"""

import argparse
import asyncio
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def make_photo(side: int, seed: int = 0) -> bytes:
    """A square JPEG with structure at several scales."""
    generator = np.random.default_rng(seed)
    noise = Image.fromarray(generator.integers(0, 256, (side // 8 + 1,) * 2 + (3,), np.uint8))
    stream = io.BytesIO()
    noise.resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


@dataclass
class Run:
    """What came of a number of requests; times in seconds."""

    latencies: list[float] = field(default_factory=list)
    overheads: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    batches: str = ""

    def show(self, title: str) -> None:
        """Print one line of results and one of batch sizes."""
        total = len(self.latencies) + self.refused + self.failed
        print(
            f"{title}: {total} requests, {len(self.latencies)} answered, {self.refused} refused, "
            f"{self.failed} failed; latency p50 {percentile(self.latencies, 50):.3f} s, "
            f"p95 {percentile(self.latencies, 95):.3f} s, "
            f"p99 {percentile(self.latencies, 99):.3f} s; "
            f"{len(self.latencies) / self.seconds:.2f} answers/s"
        )
        if self.batches:
            print(f"  pictures per batch: {self.batches}")


def percentile(values: Sequence[float], rank: float) -> float:
    """A percentile; not a number if there are no values."""
    return float(np.percentile(values, rank)) if values else float("nan")


@asynccontextmanager
async def running_service(arguments: argparse.Namespace) -> AsyncIterator[httpx2.AsyncClient]:
    """A server on a free port, ready; prints how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PASTICHE_PORT": "0",
            "PASTICHE_WORKER": "false",
            "PASTICHE_DATA_DIR": folder,
            "PASTICHE_LOG_LEVEL": "info",
        }
        if arguments.weights:
            environment["PASTICHE_WEIGHTS_DIR"] = str(arguments.weights)
        log = Path(folder) / "log"
        begun = time.perf_counter()
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.launch", "serve"],
                cwd=ROOT,
                env=environment,
                stderr=stream,
            )
        arguments.pid = process.pid
        try:
            while not (match := re.search(r"running on (http://[^ ]+)", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                await asyncio.sleep(0.02)
            limits = httpx2.Limits(max_connections=500)
            async with httpx2.AsyncClient(base_url=match[1], timeout=120, limits=limits) as client:
                while (await client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.02)
                print(f"start to ready: {time.perf_counter() - begun:.2f} s")
                yield client
        finally:
            process.terminate()
            process.wait()


async def style_ids(client: httpx2.AsyncClient) -> list[str]:
    """All styles of the library."""
    return [style["id"] for style in (await client.get("/v1/styles")).json()["styles"]]


async def post(client: httpx2.AsyncClient, photo: bytes, style: str, run: Run, due: float) -> None:
    """One request, its outcome added to the run."""
    try:
        response = await client.post(
            "/v1/stylize", files={"image": ("a.jpg", photo)}, data={"style": style}
        )
    except httpx2.HTTPError:
        run.failed += 1
        return
    done = time.perf_counter()
    if response.status_code == 200:
        run.latencies.append(done - due)
        timings = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["server-timing"]))
        run.overheads.append(done - due - float(timings["inference"]) / 1000)
    elif response.status_code in (429, 503):
        run.refused += 1
    else:
        run.failed += 1


async def batch_counts(client: httpx2.AsyncClient) -> dict[str, float]:
    """Batches so far, by the upper bound of their size."""
    text = (await client.get("/metrics")).text
    found = re.findall(r'pastiche_batch_size_bucket\{le="([^"]+)"\} ([\d.e+]+)', text)
    return {bound: float(count) for bound, count in found}


async def arrive(
    client: httpx2.AsyncClient, photo: bytes, styles: Sequence[str], rate: float, seconds: float
) -> Run:
    """Send requests at a constant rate, each on its own."""
    run, before = Run(), await batch_counts(client)
    begun = time.perf_counter()
    tasks = []
    for i in range(max(1, round(rate * seconds))):
        due = begun + i / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(post(client, photo, styles[i % len(styles)], run, due)))
    await asyncio.gather(*tasks)
    run.seconds = time.perf_counter() - begun
    after, below = await batch_counts(client), 0.0
    parts = []
    for bound, count in after.items():
        batches = count - before.get(bound, 0.0)
        if batches > below:
            parts.append(f"up to {bound}: {batches - below:.0f}")
        below = batches
    run.batches = ", ".join(parts)
    return run


async def measure_overhead(arguments: argparse.Namespace) -> None:
    """One request at a time: what is not inference."""
    async with running_service(arguments) as client:
        style = (await style_ids(client))[0]
        photo, run = make_photo(arguments.side), Run()
        begun = time.perf_counter()
        for _ in range(arguments.requests + 3):
            await post(client, photo, style, run, time.perf_counter())
        run.seconds = time.perf_counter() - begun
        run.show(f"{arguments.side} px, one at a time")
        overheads = run.overheads[3:]  # after warm-up
        print(
            f"  everything but inference: p50 {percentile(overheads, 50) * 1000:.1f} ms, "
            f"p95 {percentile(overheads, 95) * 1000:.1f} ms"
        )


async def measure_arrivals(arguments: argparse.Namespace) -> None:
    """A constant rate."""
    async with running_service(arguments) as client:
        styles = await style_ids(client)
        photo = make_photo(arguments.side)
        run = await arrive(client, photo, styles, arguments.rate, arguments.seconds)
        run.show(f"{arguments.side} px at {arguments.rate:g}/s")


async def measure_styles(arguments: argparse.Namespace) -> None:
    """One style against another per request, at the same rate; in turns, so that drift cancels."""
    async with running_service(arguments) as client:
        styles = await style_ids(client)
        photo = make_photo(arguments.side)
        medians: dict[str, list[float]] = {"one style": [], "all styles": []}
        for _ in range(3):
            for title, chosen in (("one style", styles[:1]), ("all styles", styles)):
                run = await arrive(client, photo, chosen, arguments.rate, arguments.seconds / 3)
                run.show(f"{title}, {arguments.side} px at {arguments.rate:g}/s")
                medians[title].append(percentile(run.latencies, 50))
        one, many = (float(np.median(values)) for values in medians.values())
        print(
            f"median latency: one style {one:.3f} s, all styles {many:.3f} s: {many / one - 1:+.1%}"
        )


async def measure_throughput(arguments: argparse.Namespace) -> None:
    """The service under more than it can do, against the engine fed directly, in turns."""
    from app.engine.admission import Admission
    from app.engine.local import LocalEngine
    from app.metrics import Metrics
    from app.settings import Settings
    from model.inference.look import Look
    from model.inference.stylizer import Stylizer

    folder = arguments.weights or Settings().weights_dir
    count, side = arguments.requests, arguments.side
    photo = make_photo(side)
    levels = np.array(Image.open(io.BytesIO(photo)))
    rates: dict[str, list[float]] = {"engine": [], "service": []}
    async with running_service(arguments) as client:
        styles = await style_ids(client)
        stylizer = Stylizer.load(folder, "auto")
        engine = LocalEngine(lambda: stylizer, Admission(10**6, 10**12, 1e9), None, Metrics())
        await engine.start()
        look = Look(stylizer.original.cpu())
        for _ in range(arguments.rounds):
            begun = time.perf_counter()
            await asyncio.gather(*(engine.stylize(levels, look) for _ in range(count)))
            rates["engine"].append(count / (time.perf_counter() - begun))
            run, begun = Run(), time.perf_counter()
            await asyncio.gather(
                *(post(client, photo, styles[i % len(styles)], run, begun) for i in range(count))
            )
            rates["service"].append(len(run.latencies) / (time.perf_counter() - begun))
            print(f"  engine {rates['engine'][-1]:.3f}/s, service {rates['service'][-1]:.3f}/s")
        await engine.close()
    shares = [service / engine for engine, service in zip(*rates.values(), strict=True)]
    print(f"{side} px: the service does {float(np.median(shares)):.0%} of the engine's own")


async def measure_mixed(arguments: argparse.Namespace) -> None:
    """Small pictures alone, then beside a stream of large ones."""
    async with running_service(arguments) as client:
        styles = await style_ids(client)
        small, large = make_photo(arguments.side), make_photo(arguments.large)
        alone = await arrive(client, small, styles, arguments.rate, arguments.seconds)
        alone.show(f"{arguments.side} px alone")
        stop = asyncio.Event()
        beside = Run()

        async def stream() -> None:
            while not stop.is_set():
                await post(client, large, styles[0], beside, time.perf_counter())

        streaming = asyncio.create_task(stream())
        await asyncio.sleep(1)
        mixed = await arrive(client, small, styles, arguments.rate, arguments.seconds)
        stop.set()
        await streaming
        mixed.show(f"{arguments.side} px beside {arguments.large} px")
        ratio = percentile(mixed.latencies, 95) / percentile(alone.latencies, 95)
        print(f"p95 of the small ones: {ratio:.2f} times that alone")


def peak_memory_mb(pid: int) -> float:
    """Of a process so far; Linux."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else float("nan")


async def measure_painting(arguments: argparse.Namespace) -> None:
    """Small pictures alone and beside a large one as a job, in turns; then the large one alone."""
    width, height = arguments.width, arguments.width * 3 // 4
    stream = io.BytesIO()
    square = Image.open(io.BytesIO(make_photo(width)))
    square.crop((0, 0, width, height)).save(stream, "JPEG", quality=90)
    async with running_service(arguments) as client:
        styles = await style_ids(client)
        small, ratios = make_photo(arguments.side), {50: [], 95: []}
        await asyncio.sleep(4)  # the fast path is checked

        async def order() -> str:
            files, fields = {"image": ("a.jpg", stream.getvalue())}, {"style": styles[0]}
            return (await client.post("/v1/pictures", files=files, data=fields)).json()["id"]

        for _ in range(arguments.rounds):
            alone = await arrive(client, small, styles, arguments.rate, arguments.seconds)
            alone.show(f"{arguments.side} px alone")
            id_ = await order()
            beside = await arrive(client, small, styles, arguments.rate, arguments.seconds)
            beside.show(f"{arguments.side} px beside {width} x {height}")
            job = (await client.get(f"/v1/pictures/{id_}")).json()
            print(f"  meanwhile {job['state']}, {job['percent']} %")
            await client.delete(f"/v1/pictures/{id_}")
            for rank, found in ratios.items():
                found.append(percentile(beside.latencies, rank) / percentile(alone.latencies, rank))
        for rank, found in ratios.items():
            print(f"p{rank} beside over alone: {', '.join(f'{ratio:.2f}' for ratio in found)}")
        sizes = await client.get("/v1/sizes", params={"width": width, "height": height})
        begun, id_ = time.perf_counter(), await order()
        await wait_for_picture(client, id_)
        seconds = time.perf_counter() - begun
        result = await client.get(f"/v1/pictures/{id_}/result")
        size = Image.open(io.BytesIO(result.content)).size
        print(
            f"{size[0]} x {size[1]} painted in {seconds:.1f} s; estimate before "
            f"{sizes.json()['sizes'][-1]['seconds']:.1f} s; "
            f"peak memory {peak_memory_mb(arguments.pid):.0f} MB"
        )


async def wait_for_picture(client: httpx2.AsyncClient, id_: str) -> None:
    """Until a large picture is done."""
    while (job := (await client.get(f"/v1/pictures/{id_}")).json())["state"] != "done":
        if job["state"] not in ("queued", "running"):
            raise SystemExit(str(job))
        await asyncio.sleep(0.25)


async def measure_start(arguments: argparse.Namespace) -> None:
    """Start to ready, several times."""
    for _ in range(arguments.rounds):
        async with running_service(arguments):
            pass


MEASURES: dict[str, Callable[[argparse.Namespace], object]] = {
    "overhead": measure_overhead,
    "arrivals": measure_arrivals,
    "styles": measure_styles,
    "throughput": measure_throughput,
    "mixed": measure_mixed,
    "painting": measure_painting,
    "start": measure_start,
}


def main() -> None:
    """Run one measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--weights", type=Path, help="weights folder; default: the shipped one")
    parser.add_argument("--side", type=int, default=256, help="px of the (small) pictures")
    parser.add_argument("--large", type=int, default=1024, help="px of the large pictures")
    parser.add_argument("--width", type=int, default=4000, help="px of the picture as a job")
    parser.add_argument("--rate", type=float, default=1.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of a run")
    parser.add_argument("--requests", type=int, default=20, help="requests of a closed run")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, where in turns")
    asyncio.run(MEASURES[parser.parse_args().measure](parser.parse_args()))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()

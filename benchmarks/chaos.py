"""Mixed traffic, good and hostile, while worker and server are killed and the disk fills up.

    python benchmarks/chaos.py --minutes 10

A server of its own with the shipped weights and a worker. At the end: no 5xx but 503 and 507, no
answer to a good request past its deadline, every picture the same as the command line's, every
accepted job done, memory back to where it was. Exit code 1 where one of these does not hold. Linux.
"""

import argparse
import io
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from server_helpers import find_port  # noqa: E402
from service_helpers import photo_levels, wait_until_ready  # noqa: E402

from model.pictures.picture import encode_picture  # noqa: E402
from model.styles.style_file import load_style, pack_style  # noqa: E402

DEADLINE_S = 30.0
GRACE_S = 5.0
ROUNDED_SHARE = 1e-3
WARM_S = 60.0
SLACK_S = 2.0  # of a client on the same two cores
STYLE = "starry-night"
SIZES = ((64, 64), (120, 90), (257, 255), (400, 300), (31, 500))


class Chaos:
    """The server, what is asked of it, and what it answers."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.statuses: Counter[str] = Counter()
        self.faults: list[str] = []
        self.jobs: set[str] = set()
        self.kills: Counter[str] = Counter()
        self.slowest = 0.0
        self.up = threading.Event()
        self.end = threading.Event()
        self.started = 0  # how often: an answer that a kill has cut is no fault
        self.style = load_style(ROOT / "weights" / "styles" / f"{STYLE}.safetensors")
        self.good = self.stylize_by_command()
        self.pictures: dict[str, np.ndarray] = {}  # ids, and what each is to be
        self.compared: Counter[int] = Counter()  # pictures, by levels from the command line's
        self.widest = 0.0  # share of a picture's values that are off
        self.stops: list[tuple[int, float, float, float]] = []
        self.memory: dict[int, tuple[int, int]] = {}

    def stylize_by_command(self) -> list[tuple[bytes, np.ndarray]]:
        """Files, and what `pastiche stylize` makes of each."""
        photos, results = self.folder / "photos", self.folder / "results"
        photos.mkdir()
        for number, size in enumerate(SIZES):
            photo = Image.fromarray(photo_levels(*size, seed=number))
            for format in ("png", "jpeg", "webp"):
                file = encode_picture(photo, format)  # type: ignore[arg-type]
                (photos / f"{number}-{format}.{format}").write_bytes(file)
        files = sorted(photos.iterdir())
        options = ["--style", STYLE, "--device", "cpu", "--precision", "float32"]
        command = ["-m", "app.launch", "stylize", *files, *options, "--format", "png"]
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, *command, "-o", f"{results}/"], check=True, cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return [
            (path.read_bytes(), np.array(Image.open(results / f"{path.stem}.png"), int))
            for path in files
        ]

    def start(self) -> None:
        """Start the server, on a port of its own, and wait until it is ready."""
        self.started += 1
        self.log = log = self.folder / f"server-{self.started}.log"
        values = {
            "PORT": 0, "DEVICE": "cpu", "DATA_DIR": self.folder / "disk" / "data",
            "PRECISION": "float32", "DEADLINE_S": DEADLINE_S, "GRACE_S": GRACE_S,
            "HEADER_TIMEOUT_S": 3, "BODY_TIMEOUT_S": 5, "MAX_JOBS": 3,
        }  # fmt: skip
        environment = os.environ | {f"PASTICHE_{k}": str(v) for k, v in values.items()}
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.launch", "serve"],
                cwd=ROOT, env=environment, stderr=stream, text=True,
            )  # fmt: skip
        self.port = find_port(log, self.process)
        with self.client() as client:
            wait_until_ready(client, 120)
        self.up.set()

    def client(self) -> httpx2.Client:
        """To the server as it runs now."""
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=DEADLINE_S + 20)

    def worker_pid(self) -> int | None:
        """The worker that the server supervises."""
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with suppress(OSError, ValueError):
                for child in children.read_text().split():
                    if b"worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return int(child)
        return None

    def ask(
        self, kind: str, send: Callable[[httpx2.Client], httpx2.Response]
    ) -> httpx2.Response | None:
        """One request; what a kill cuts off is not counted."""
        self.up.wait(120)
        number, begun = self.started, time.monotonic()
        try:
            with self.client() as client:
                response = send(client)
        except (httpx2.HTTPError, OSError):
            if number == self.started and self.up.is_set():
                self.statuses[f"{kind} cut"] += 1
            return None
        seconds = time.monotonic() - begun
        self.statuses[f"{kind} {response.status_code}"] += 1
        if response.status_code >= 500 and response.status_code not in (503, 507):
            self.faults.append(f"{kind}: {response.status_code} {response.text[:200]}")
        if kind == "good":
            self.slowest = max(self.slowest, seconds)
            if seconds > DEADLINE_S + SLACK_S:
                self.faults.append(f"a good request took {seconds:.1f} s")
        return response

    def post_good(self) -> None:
        """A picture, compared with what the same network gives without a server."""
        file, expected = self.random.choice(self.good)
        form = {"style": STYLE, "format": "png"}
        response = self.ask(
            "good", lambda c: c.post("/v1/stylize", files={"image": ("a", file)}, data=form)
        )
        if response is not None and response.status_code == 200:
            levels = np.array(Image.open(io.BytesIO(response.content)).convert("RGB"), int)
            apart = abs(levels - expected) if levels.shape == expected.shape else np.array([255])
            share = float((apart > 0).mean())
            self.compared[int(apart.max())] += 1
            self.widest = max(self.widest, share)
            # In a batch of several, sums are rounded in another order: a level here and there.
            if apart.max() > 1 or share > ROUNDED_SHARE:
                self.faults.append(f"a wrong picture, {apart.max()} levels off, {share:.2%} of it")

    def post_bad(self) -> None:
        """A mutated picture, or one that is tiny and huge."""
        data = bytearray(self.random.choice(self.good)[0])
        for _ in range(self.random.randint(1, 20)):
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        if self.random.random() < 0.3:
            data = bytearray(bomb(self.random.choice((3000, 6000, 9000))))
        form = {"style": STYLE, "max_side": "64"}
        self.ask(
            "bad", lambda c: c.post("/v1/stylize", files={"image": ("a", bytes(data))}, data=form)
        )

    def put_style(self) -> None:
        """A hostile style file, now and then a good one."""
        data = bytearray(pack_style(self.style))
        if self.random.random() < 0.8:
            data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
        self.ask("style", lambda c: c.put("/v1/styles/chaos/file", content=bytes(data)))

    def learn(self) -> None:
        """A job, which is to be done whatever is killed meanwhile."""
        file = encode_picture(Image.fromarray(photo_levels(200, 160, seed=9)), "png")
        form = {"title": "Chaos", "steps": "10", "stroke_size": "96"}
        response = self.ask(
            "job", lambda c: c.post("/v1/styles", files={"image": ("a", file)}, data=form)
        )
        if response is not None and response.status_code == 202:
            self.jobs.add(response.json()["id"])

    def paint(self) -> None:
        """A picture as a job, which is to be done whatever is killed meanwhile."""
        file, expected = self.random.choice(self.good)
        form = {"style": STYLE, "format": "png"}
        response = self.ask(
            "picture", lambda c: c.post("/v1/pictures", files={"image": ("a", file)}, data=form)
        )
        if response is not None and response.status_code == 202:
            self.pictures[response.json()["id"]] = expected

    def compare_pictures(self, client: httpx2.Client) -> None:
        """All accepted pictures are there, each as the command line paints it."""
        deadline = time.monotonic() + 120
        for id_, expected in self.pictures.items():
            job = client.get(f"/v1/pictures/{id_}").json()
            while job.get("state") in ("queued", "running") and time.monotonic() < deadline:
                time.sleep(0.2)
                job = client.get(f"/v1/pictures/{id_}").json()
            self.statuses[f"picture {job.get('state')}"] += 1
            if job.get("state") == "failed" and "disk is full" in job["reason"]:
                continue  # it was
            if job.get("state") != "done":
                self.faults.append(f"picture {id_}: {job}")
                continue
            data = client.get(job["result"]).content
            levels = np.array(Image.open(io.BytesIO(data)).convert("RGB"), int)
            if levels.shape != expected.shape or abs(levels - expected).max() > 0:
                self.faults.append(f"picture {id_} is not the command line's")

    def be_slow(self) -> None:
        """A socket that sends a little and then nothing, or leaves."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as slow:
            head = b"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
            slow.sendall(head[: self.random.randrange(len(head))])
            time.sleep(self.random.random() * 3)
            self.statuses["slow or gone"] += 1

    def harm(self) -> None:
        """Kill the worker or the server, or fill the disk for a while."""
        while not self.end.wait(self.random.uniform(8, 20)):
            kind = self.random.choice(("worker", "worker", "server", "stop", "disk"))
            if kind == "worker" and (pid := self.worker_pid()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            elif kind in ("server", "stop"):
                self.up.clear()
                number = signal.SIGKILL if kind == "server" else signal.SIGTERM
                code, seconds, gone = self.end_server(number)
                load = os.getloadavg()[0]
                if kind == "stop":
                    self.stops.append((code, round(seconds, 1), round(gone, 1), round(load, 1)))
                # On cores with a queue before them, the stop's own steps wait for their turns too.
                late = SLACK_S * max(1.0, load / (os.cpu_count() or 1) / 2)
                forced = code == 1 and seconds >= GRACE_S  # no thread had a turn
                if kind == "stop" and ((code != 0 and not forced) or seconds > GRACE_S + late):
                    fault = f"a stop ended with {code} after {seconds:.1f} s, load {load:.1f}"
                    self.faults.append(fault)
                    print(time.strftime("%X"), fault, self.log.read_text()[-3000:], flush=True)
                self.start()
            elif kind == "disk" and not self.fill_disk():
                continue
            self.kills[kind] += 1

    def end_server(self, number: signal.Signals) -> tuple[int, float, float]:
        """Its exit code, and seconds until it began to exit, and until the kernel had it gone."""
        begun, exits = time.monotonic(), 0.0
        self.process.send_signal(number)
        while self.process.poll() is None:
            if not exits and self.exiting():
                exits = time.monotonic() - begun
            time.sleep(0.02)
        gone = time.monotonic() - begun
        return self.process.returncode, exits or gone, gone

    def exiting(self) -> bool:
        """Whether the server has asked to be gone: its threads then have a SIGKILL each to take."""
        with suppress(OSError, IndexError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            pending = int(status.partition("SigPnd:")[2].split()[0], 16)
            return "State:\tZ" in status or bool(pending >> (signal.SIGKILL - 1) & 1)
        return False

    def fill_disk(self) -> bool:
        """Fill the disk under the data for two seconds, where it is one of its own."""
        disk = self.folder / "disk"
        if not disk.is_mount():
            return False
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
        time.sleep(2)
        filler.unlink(missing_ok=True)
        return True

    def watch_memory(self) -> None:
        """Note what each server holds once it has worked for a minute, and last."""
        number, begun = 0, 0.0
        while not self.end.wait(1):
            if not self.up.is_set():
                continue
            if number != self.started:
                number, begun = self.started, time.monotonic()
            with suppress(OSError, IndexError):
                now = round(self.memory_mb())
                if time.monotonic() - begun > WARM_S:
                    first, _ = self.memory.get(number, (now, now))
                    self.memory[number] = first, now

    def memory_mb(self) -> float:
        """Resident memory of the server."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024

    def run(self, seconds: float, clients: int) -> None:
        """All of it at once, then what must hold at the end."""
        self.start()
        until = time.monotonic() + seconds

        def act() -> None:
            acts = (
                *(self.post_good, self.post_bad, self.put_style),
                *(self.be_slow, self.learn, self.paint),
            )
            while time.monotonic() < until:
                self.random.choices(acts, (50, 20, 10, 15, 2, 3))[0]()
                time.sleep(self.random.random() * 0.2)

        threads = [threading.Thread(target=act) for _ in range(clients)]
        harm = threading.Thread(target=self.harm)
        memory = threading.Thread(target=self.watch_memory)
        for thread in (*threads, harm, memory):
            thread.start()
        for thread in threads:
            thread.join()
        self.end.set()
        harm.join()
        memory.join()
        self.settle()

    def settle(self) -> None:
        """Wait for the jobs, then compare memory with a server that did the same good work."""
        deadline = time.monotonic() + 600
        states: dict[str, str] = {}
        reasons: dict[str, str] = {}
        with self.client() as client:
            while time.monotonic() < deadline:
                jobs = client.get("/v1/jobs").json().get("jobs", [])
                states = {job["id"]: job["state"] for job in jobs}
                reasons = {job["id"]: job.get("reason", "") for job in jobs}
                if all(states.get(id_, "queued") not in ("queued", "running") for id_ in self.jobs):
                    break
                time.sleep(1)
        for id_ in self.jobs:
            if states.get(id_) != "succeeded":
                self.faults.append(f"job {id_}: {states.get(id_)}: {reasons.get(id_)}")
        with self.client() as client:
            self.compare_pictures(client)
        print(f"memory of each server after its first minute, and at its end: {self.memory}")
        before = self.memory_mb()
        for _ in range(60):
            self.post_bad()
            self.post_good()
        time.sleep(3)
        grown = self.memory_mb() - before
        print(f"memory {before:.0f} MB, {grown:+.0f} MB after 120 more requests")
        if grown > 150:
            self.faults.append(f"memory grew by {grown:.0f} MB")


def bomb(side: int) -> bytes:
    """A file of few bytes and many pixels."""
    stream = io.BytesIO()
    Image.new("RGB", (side, side)).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small-disk", action="store_true", help="mount one of 64 MB: needs root")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        disk = folder / "disk"
        disk.mkdir()
        if arguments.small_disk:
            command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
            subprocess.run(command, check=True)  # noqa: S603 - our own command
        chaos = Chaos(folder, arguments.seed)
        try:
            chaos.run(arguments.minutes * 60, arguments.clients)
        finally:
            chaos.process.kill()
            chaos.process.wait()
            if arguments.small_disk:
                time.sleep(2)  # the worker hears of it
                subprocess.run(["umount", "-l", str(disk)], check=False)  # noqa: S603, S607
    for what, count in sorted(chaos.statuses.items()):
        print(f"{count:6d}  {what}")
    print("harm:", dict(chaos.kills), "- jobs accepted:", len(chaos.jobs))
    print(f"slowest good answer {chaos.slowest:.1f} s")
    print(f"stops: code, seconds until exit, until gone, load: {chaos.stops}")
    print(f"pictures by levels from the command line's: {dict(chaos.compared)},", end=" ")
    print(f"in at most {chaos.widest:.3%} of a picture's values")
    for fault in chaos.faults:
        print("FAULT", fault)
    raise SystemExit(1 if chaos.faults else 0)


if __name__ == "__main__":
    main()

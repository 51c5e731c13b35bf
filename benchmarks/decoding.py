"""Many files that are tiny and huge at once, beside good small pictures: answers and memory.

    python benchmarks/decoding.py

Forty lossless WebPs of 7,000 x 7,000 px (2 kB each) and twenty pictures of 64 px are posted
together to a server of its own with the shipped weights. Linux.
"""

import argparse
import io
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
SETTLED_S = 5
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from server_helpers import Server, running_server  # noqa: E402
from service_helpers import photo_bytes  # noqa: E402


def webp(side: int) -> bytes:
    """A file of few bytes and many pixels."""
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 40)).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def request(photo: bytes) -> bytes:
    """A whole request: a client library's own work would be measured with it."""
    fields = {"style": "starry-night", "max_side": "64"}
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    )
    body += b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body += photo + b"\r\n--b--\r\n"
    head = (
        f"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    return head.encode() + body


def post(server: Server, sent: bytes) -> tuple[int, float]:
    """Status and seconds of one request."""
    begun, answer = time.monotonic(), b""
    with server.connect(sent) as connection:
        connection.settimeout(120)
        while chunk := connection.recv(65_536):
            answer += chunk
    return int(answer.split()[1]), time.monotonic() - begun


class Memory:
    """Follows the resident memory of a process and those that it starts, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.idle = self._settled()
        self.peak = self.idle
        self.peak_alone = self.idle  # of the process itself
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def stop(self) -> None:
        """End, the peak being known."""
        self._done.set()
        self._thread.join()

    def _settled(self) -> float:
        """What they hold once it no longer changes: a worker takes a while to start."""
        before, since = self._now(), time.monotonic()
        while time.monotonic() - since < SETTLED_S:
            time.sleep(0.2)
            now = self._now()
            if abs(now - before) > 2:
                before, since = now, time.monotonic()
        return before

    def _now(self, with_children: bool = True) -> float:
        pids = {self._pid}
        if not with_children:
            return self._resident(pids)
        for children in Path(f"/proc/{self._pid}/task").glob("*/children"):
            with suppress(OSError):  # a thread has ended
                pids.update(map(int, children.read_text().split()))
        return self._resident(pids)

    def _resident(self, pids: set[int]) -> float:
        total = 0
        for pid in pids:
            with suppress(OSError, IndexError):  # a process has ended
                status = Path(f"/proc/{pid}/status").read_text()
                total += int(status.partition("VmRSS:")[2].split()[0])
        return total / 1024

    def _follow(self) -> None:
        while not self._done.wait(0.005):
            self.peak = max(self.peak, self._now())
            self.peak_alone = max(self.peak_alone, self._now(with_children=False))


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--small", type=int, default=20)
    parser.add_argument("--side", type=int, default=7000)
    arguments = parser.parse_args()
    file = webp(arguments.side)
    bomb, good = request(file), request(photo_bytes(64, 64, format="JPEG"))
    print(f"{len(file)} bytes, {arguments.side} px a side")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(ROOT / "weights", Path(folder), precision="float32") as server,
    ):
        with ThreadPoolExecutor(20) as pool:  # idle is a server that has worked
            warm = list(pool.map(lambda _: post(server, good), range(20)))
        print(f"small ones alone: slowest {max(seconds for _, seconds in warm):.2f} s")
        memory = Memory(server.process.pid)
        with ThreadPoolExecutor(arguments.files + arguments.small) as pool:
            bombs = [pool.submit(post, server, bomb) for _ in range(arguments.files)]
            small = [pool.submit(post, server, good) for _ in range(arguments.small)]
            answers = [each.result() for each in small]
            others = [each.result() for each in bombs]
        memory.stop()
        refused = sorted(seconds for status, seconds in others if status == 429)
        print("large:", dict(Counter(status for status, _ in others)))
        print(f"  last refusal after {refused[-1] if refused else 0:.2f} s,", end=" ")
        print(f"last answer after {max((seconds for _, seconds in others), default=0):.2f} s")
        print("small:", dict(Counter(status for status, _ in answers)))
        print(f"  slowest {max(seconds for _, seconds in answers):.2f} s")
        print(
            f"memory: idle {memory.idle:.0f} MB, peak +{memory.peak - memory.idle:.0f} MB,", end=" "
        )
        print(f"the server alone +{memory.peak_alone - memory.idle:.0f} MB")


if __name__ == "__main__":
    main()

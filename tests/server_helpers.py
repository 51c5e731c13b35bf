"""The real server as a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from service_helpers import wait_until_ready

ROOT = Path(__file__).parent.parent
SCRIPT = "from app.server import serve; raise SystemExit(serve())"


class Server:
    """A running server and how to reach it."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def client(self, timeout_s: float = 60.0) -> httpx2.Client:
        return httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=timeout_s)

    def connect(self, sent: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(sent)
        return connection

    def stop(self, timeout_s: float = 30.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@contextmanager
def running_server(weights: Path, folder: Path, **values: object) -> Iterator[Server]:
    log = folder / "server.log"
    environment = {
        **os.environ,
        "PASTICHE_PORT": "0",
        "PASTICHE_DEVICE": "cpu",
        "PASTICHE_WEIGHTS_DIR": str(weights),
        "PASTICHE_DATA_DIR": str(folder / "data"),
        "PASTICHE_WORKER": "false",
        **{f"PASTICHE_{name.upper()}": str(value) for name, value in values.items()},
    }
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "app.launch", "serve"],
            cwd=ROOT, env=environment, stderr=stream, text=True,
        )  # fmt: skip
    try:
        server = Server(process, find_port(log, process), log)
        with server.client() as client:
            wait_until_ready(client)
        yield server
    finally:
        process.kill()
        process.wait()


@contextmanager
def lone_worker(weights: Path, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    environment = os.environ | {
        "PASTICHE_WEIGHTS_DIR": str(weights),
        "PASTICHE_DATA_DIR": str(folder / "data"),
        "PASTICHE_WORKER_NICE": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "app.launch", "worker", "--device", "cpu"],
        cwd=ROOT, env=environment, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def find_port(log: Path, process: "subprocess.Popen[str]") -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if match := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text()):
            return int(match[1])
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def multipart(photo: bytes) -> bytes:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="style"\r\n\r\namber\r\n'
        b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        + photo
        + b"\r\n--b--\r\n"
    )
    head = (
        f"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    return head.encode() + body


def wait_for_metric(client: httpx2.Client, name: str, value: float) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in client.get("/metrics").text.splitlines():
            if line.startswith(f"{name} ") and float(line.split()[1]) == value:
                return
        time.sleep(0.02)
    raise AssertionError(f"{name} was never {value}")

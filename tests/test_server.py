"""The real server as a process of its own: slow clients, load, stopping."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from server_helpers import (
    ROOT,
    SCRIPT,
    Server,
    find_port,
    multipart,
    running_server,
    wait_for_metric,
)
from service_helpers import assert_problem, photo_bytes, upload

URL = "/v1/stylize"
LARGE = photo_bytes(1400, 1000, format="JPEG")  # about a second with the small network
MULTIPART_HEAD = (
    b"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
)


@pytest.fixture(scope="module")
def server(
    small_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    limits = {
        "header_timeout_s": 1,
        "body_timeout_s": 1.5,
        "max_queue_requests": 4,
        "deadline_s": 120,
    }
    folder = tmp_path_factory.mktemp("server")
    with running_server(small_weights_folder, folder, **limits) as server:
        yield server
        log = server.log.read_text()
        assert "Traceback" not in log, log[-3000:]


def closed_after_s(connection: socket.socket, begun: float) -> tuple[float, bytes]:
    """Seconds until the server closed the connection, and what it said."""
    answer = b""
    with connection, suppress(ConnectionResetError):
        while chunk := connection.recv(65_536):
            answer += chunk
    return time.monotonic() - begun, answer


def test_silent_sockets_and_slow_headers_are_closed(server: Server) -> None:
    for sent in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
        begun = time.monotonic()
        seconds, answer = closed_after_s(server.connect(sent), begun)
        assert 0.8 < seconds < 5
        assert b" 408 " in answer
        assert b"application/problem+json" in answer


def test_dripping_headers_are_closed(server: Server) -> None:
    begun = time.monotonic()
    with server.connect(b"GET / HTTP/1.1\r\nX: ") as connection, suppress(OSError):
        while time.monotonic() - begun < 8:
            connection.sendall(b"x")
            time.sleep(0.1)
    assert time.monotonic() - begun < 8


def test_slow_bodies_are_closed_and_good_requests_are_unharmed(server: Server) -> None:
    connection, begun = server.connect(MULTIPART_HEAD), time.monotonic()
    done = threading.Event()

    def drip() -> None:
        while not done.wait(0.1):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    dripper = threading.Thread(target=drip)
    dripper.start()
    with server.client() as client:
        good = client.post(URL, files=upload(), data={"style": "amber"})
    seconds, answer = closed_after_s(connection, begun)
    done.set()
    dripper.join()
    assert good.status_code == 200
    assert 1.3 < seconds < 6
    assert b" 408 " in answer


def test_hundreds_of_silent_sockets_do_not_shut_others_out(server: Server) -> None:
    silent = [server.connect() for _ in range(300)]
    slow = [server.connect(MULTIPART_HEAD) for _ in range(300)]
    begun = time.monotonic()
    with server.client() as client:
        good = client.post(URL, files=upload(), data={"style": "amber"})
        assert good.status_code == 200
        assert time.monotonic() - begun < 3
    for connection in (*silent, *slow):
        seconds, _ = closed_after_s(connection, begun)
        assert seconds < 15
        connection.close()


def test_a_client_that_does_not_fetch_its_answer_is_let_go(server: Server) -> None:
    request = b"GET /samples/coffee.jpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    fetched = 0
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(request * 120)  # some 12 MB of answers, more than any buffer holds
        time.sleep(8)
        connection.settimeout(5)
        with suppress(OSError):
            while chunk := connection.recv(1_000_000):
                fetched += len(chunk)
    assert fetched < 11_000_000


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_what_is_no_http(server: Server, sent: bytes) -> None:
    _, answer = closed_after_s(server.connect(sent), time.monotonic())
    assert answer.split()[1][:1] == b"4" or b" 408 " in answer
    assert b"application/problem+json" in answer
    assert len(answer) < 4096


def test_two_lengths_close_the_connection(server: Server) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sent = (
        b"POST /v1/stylize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled
    )
    seconds, answer = closed_after_s(server.connect(sent), time.monotonic())
    assert answer.split()[1] == b"400"
    assert answer.count(b"HTTP/1.1") == 1, "what follows is not to be believed"
    assert seconds < 3


def test_health_answers_under_load_and_refusals_are_immediate(server: Server) -> None:
    def post(_: int) -> tuple[int, float]:
        with server.client() as client:
            begun = time.monotonic()
            response = client.post(URL, files=upload(LARGE), data={"style": "amber"})
            if response.status_code == 429:
                assert_problem(response, 429, "overloaded")
                assert int(response.headers["retry-after"]) >= 1
            return response.status_code, time.monotonic() - begun

    with ThreadPoolExecutor(12) as pool, server.client() as client:
        posts = [pool.submit(post, i) for i in range(12)]
        time.sleep(0.3)
        slowest = 0.0
        for _ in range(10):
            begun = time.monotonic()
            assert client.get("/healthz").status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
        answers = [each.result() for each in posts]
    statuses = [status for status, _ in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 4
    assert slowest < 1.0
    refused = sorted(seconds for status, seconds in answers if status == 429)
    assert refused[len(refused) // 2] < 1.0  # 12 clients start on two cores meanwhile
    with server.client() as client:  # and at once after it
        assert client.post(URL, files=upload(), data={"style": "amber"}).status_code == 200


def test_a_client_that_leaves_frees_its_place(server: Server) -> None:
    body = multipart(LARGE)
    connections = [server.connect(body) for _ in range(4)]
    with server.client() as client:
        wait_for_metric(client, "pastiche_queue_requests", 4.0)
        for connection in connections:
            connection.close()
        begun = time.monotonic()
        wait_for_metric(client, "pastiche_queue_requests", 0.0)
        assert time.monotonic() - begun < 2
        statuses = client.get("/metrics").text
    assert 'status="499"' in statuses


def test_deadline(small_weights_folder: Path, tmp_path: Path) -> None:
    running = running_server(small_weights_folder, tmp_path, deadline_s=1.5)
    with running as server, server.client() as client:
        huge = upload(photo_bytes(2048, 2048, format="JPEG"))
        response = client.post(URL, files=huge, data={"style": "amber"})
        assert_problem(response, 503, "deadline")
        assert int(response.headers["retry-after"]) >= 1
        begun = time.monotonic()
        small = client.post(URL, files=upload(), data={"style": "amber"})
        assert small.status_code == 200, "what is past its deadline must not run on"
        assert time.monotonic() - begun < 2


def test_stop_finishes_what_runs_and_answers_the_rest(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    with running_server(small_weights_folder, tmp_path, deadline_s=120) as server:
        kept = server.client()
        assert kept.get("/readyz").status_code == 200

        def post() -> httpx2.Response:
            with server.client() as client:
                return client.post(URL, files=upload(LARGE), data={"style": "amber"})

        with ThreadPoolExecutor(4) as pool:
            posts = [pool.submit(post) for _ in range(4)]
            wait_for_metric(kept, "pastiche_queue_requests", 4.0)
            time.sleep(0.3)
            silent, slow = server.connect(), server.connect(MULTIPART_HEAD)
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.25)
            not_ready = kept.get("/readyz")
            assert_problem(not_ready, 503, "not_ready")
            refused = kept.post(URL, files=upload(), data={"style": "amber"})
            assert_problem(refused, 503, "draining")
            answers = [each.result() for each in posts]
        assert server.process.wait(20) == 0
        assert time.monotonic() - begun < 15
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 200, "what ran was to be finished"
        assert statuses[-1] == 503, "what waited was to be told"
        for answer in answers:
            if answer.status_code == 503:
                assert_problem(answer, 503, "draining")
        kept.close()
        silent.close()
        slow.close()
        assert "Traceback" not in server.log.read_text()


def endless(server: Server, pool: ThreadPoolExecutor) -> "Future[httpx2.Response]":
    """A picture that outlasts any grace period of these tests, once it is computed."""
    photo = upload(photo_bytes(7000, 5000, format="JPEG"))

    def post() -> httpx2.Response:
        with server.client() as client:
            return client.post(URL, files=photo, data={"style": "amber"})

    answer = pool.submit(post)
    with server.client() as client:
        wait_for_metric(client, "pastiche_queue_requests", 1.0)
    time.sleep(3)  # it is decoded first, and refused if the signal comes then
    return answer


def test_what_outlasts_the_grace_period_is_told_and_the_process_is_gone(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    limits = {"grace_s": 4, "max_side": 7000, "deadline_s": 600}
    with (
        running_server(small_weights_folder, tmp_path, **limits) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = endless(server, pool)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 5
        assert_problem(answer.result(), 503, "draining")
        assert int(answer.result().headers["retry-after"]) >= 1
        assert "Traceback" not in server.log.read_text()


HANG = """
import ctypes, threading
from app.jobs.supervisor import WorkerSupervisor
from app.server import serve

def hang(_):
    ctypes.PyDLL(None).sleep(60)  # without letting another thread have the interpreter

def leave_a_thread(_):
    threading.Thread(target=threading.Event().wait).start()

WorkerSupervisor.stop = %s
raise SystemExit(serve())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="calls the C library")
@pytest.mark.parametrize(
    ("hang", "least_s", "most_s", "code"), [("hang", 6, 7, 1), ("leave_a_thread", 0, 6, 0)]
)
def test_nothing_outlasts_the_grace_period(
    small_weights_folder: Path, tmp_path: Path, hang: str, least_s: float, most_s: float, code: int
) -> None:
    """Neither what keeps the interpreter to itself, nor a thread that does not end."""
    log = tmp_path / "log"
    environment = {"WEIGHTS_DIR": small_weights_folder, "DATA_DIR": tmp_path / "data", "PORT": 0,
                   "DEVICE": "cpu", "WORKER": "false", "GRACE_S": 6}  # fmt: skip
    with log.open("w") as stream:
        process = subprocess.Popen(  # noqa: S603 - its own script
            [sys.executable, "-c", HANG % hang], cwd=ROOT, stderr=stream, text=True,
            env={**os.environ, **{f"PASTICHE_{k}": str(v) for k, v in environment.items()}},
        )  # fmt: skip
    try:
        find_port(log, process)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == code
        assert least_s <= time.monotonic() - begun < most_s + 3
        assert ("in hang" in log.read_text()) is (code == 1), "it says what hung"
    finally:
        process.kill()
        process.wait()


def test_a_second_signal_stops_at_once(small_weights_folder: Path, tmp_path: Path) -> None:
    limits = {"grace_s": 60, "max_side": 7000, "deadline_s": 600}
    with (
        running_server(small_weights_folder, tmp_path, **limits) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = endless(server, pool)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        assert server.process.poll() is None, "what runs may finish"
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - begun < 2
        with suppress(httpx2.HTTPError):
            answer.result()


def test_sigterm_with_silent_sockets_does_not_hang(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    with running_server(small_weights_folder, tmp_path) as server:
        sockets = [server.connect(), server.connect(b"GET"), server.connect(MULTIPART_HEAD)]
        time.sleep(0.2)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 8
        for connection in sockets:
            connection.close()


def test_a_network_that_cannot_be_loaded_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "network.safetensors").write_bytes(b"not a network")
    done = subprocess.run(  # noqa: S603 - its own script
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PASTICHE_WEIGHTS_DIR": str(tmp_path), "PASTICHE_PORT": "0",
             "PASTICHE_DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_that_is_a_file_ends_the_process(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file")
    done = subprocess.run(  # noqa: S603 - its own script
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PASTICHE_WEIGHTS_DIR": str(small_weights_folder), "PASTICHE_PORT": "0",
             "PASTICHE_DATA_DIR": str(tmp_path / "data"), "PASTICHE_DEVICE": "cpu"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "not a folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_web_process_never_loads_the_training_side() -> None:
    check = (
        "import sys, app.server; print(sorted(name for name in sys.modules if name.startswith("
        "('model.training', 'model.study', 'app.jobs.worker', 'app.jobs.learner', 'torchvision'))))"
    )
    done = subprocess.run(  # noqa: S603 - its own script
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_command_settles_the_threads_before_torch_is_loaded() -> None:
    check = (
        "import os, sys; os.environ.pop('OMP_WAIT_POLICY', None); import app.launch; "
        "assert 'torch' not in sys.modules; sys.argv = ['pastiche', 'styles']\n"
        "try: app.launch.main()\n"
        "except SystemExit: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    done = subprocess.run(  # noqa: S603 - its own script
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "PASSIVE True", done.stderr


def test_json_logs_are_json(small_weights_folder: Path, tmp_path: Path) -> None:
    with running_server(small_weights_folder, tmp_path, log_format="json") as server:
        with server.client() as client:
            client.get("/v1/styles/%0Aforged%20line", headers={"X-Request-Id": "abc"})
        server.stop()
        events = [json.loads(line) for line in server.log.read_text().splitlines()]
    request = next(event for event in events if event.get("request_id") == "abc")
    assert request["status"] == 404
    assert request["message"] == "GET /v1/styles/\nforged line"

"""The worker as a process: learning to the end, cancelling, kills, and being looked after."""

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from learning_helpers import order, painting_bytes, read_events, wait_for, wait_until_finished
from server_helpers import Server, lone_worker, running_server
from service_helpers import (
    make_settings,
    open_picture,
    photo_bytes,
    running_client,
    upload,
)
from typer.testing import CliRunner

from app.cli import app
from app.jobs.supervisor import WorkerSupervisor
from app.jobs.worker import device_name
from model.styles.style_file import load_style, pack_style

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worker")


@pytest.fixture(scope="module")
def server(learning_weights_folder: Path, folder: Path) -> Iterator[Server]:
    values = {"worker": "true", "worker_nice": 0, "log_level": "info"}
    with running_server(learning_weights_folder, folder, **values) as server:
        yield server
        assert "Traceback" not in server.log.read_text(), server.log.read_text()[-3000:]


@pytest.fixture
def client(server: Server) -> Iterator[httpx2.Client]:
    with server.client() as client:
        yield client


def workers(pid: int) -> list[int]:
    """Children of a process."""
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def wait_for_progress(client: httpx2.Client, job: str, steps: int = 1) -> None:
    wait_for(lambda: client.get(f"/v1/jobs/{job}").json().get("step", 0) >= steps)


def test_from_a_painting_to_a_style_in_every_service(
    client: httpx2.Client, folder: Path, learning_weights_folder: Path
) -> None:
    style = load_style(learning_weights_folder / "styles" / "birch.safetensors")
    client.put("/v1/styles/earlier/file", content=pack_style(style))
    before = digests(learning_weights_folder), digests(folder / "data" / "styles")
    with running_client(learning_weights_folder, folder / "data") as second:
        made = order(client, photo=photo_bytes(120, 90)).json()
        events = read_events(client, made["id"])
        job = client.get(f"/v1/jobs/{made['id']}").json()
        assert (job["state"], job["style"], job["step"]) == ("succeeded", made["learns"], 10)
        progress = [event["data"] for event in events if event["event"] == "progress"]
        assert [data["step"] for data in progress] == [5, 10]
        assert events[-1] == {
            "event": "state",
            "id": "end",
            "data": {"state": "succeeded", "style": job["style"]},
        }
        for each in (client, second):
            listed = each.get("/v1/styles").json()["styles"]
            assert {job["style"], "earlier"} <= {style["id"] for style in listed}
            drawn = each.post("/v1/stylize", files=upload(), data={"style": job["style"]})
            assert drawn.status_code == 200
    preview = client.get(f"/v1/styles/{job['style']}/preview")
    assert open_picture(preview.content).size == (256, 256)
    assert digests(learning_weights_folder) == before[0]
    assert digests(folder / "data" / "styles").items() >= before[1].items()
    left = {path.name for path in (folder / "data" / "jobs" / job["id"]).iterdir()}
    assert left == {"events.jsonl"}, "neither painting nor photo is kept"


def test_cancelling_takes_a_second_and_the_next_job_runs(client: httpx2.Client) -> None:
    long, next_ = (order(client, title, steps=steps).json()["id"] for title, steps in
                   (("Long", 5000), ("Next", 10)))  # fmt: skip
    with client.stream("GET", f"/v1/jobs/{long}/events") as stream:
        lines = stream.iter_lines()
        while not next(lines).startswith("event: progress"):
            pass
        begun = time.monotonic()
        assert client.post(f"/v1/jobs/{long}/cancel").json()["state"] == "cancelled"
        rest = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        assert time.monotonic() - begun < 2
    assert rest[-1] == {"state": "cancelled"}
    assert wait_until_finished(client, next_)["state"] == "succeeded"
    titles = [style["title"] for style in client.get("/v1/styles").json()["styles"]]
    assert "Long" not in titles


def test_a_job_that_fails_says_why(client: httpx2.Client, folder: Path) -> None:
    # It passes what the service checks, and is one colour at the size it is learned at.
    job = order(client, steps=10).json()["id"]
    picture = folder / "data" / "jobs" / job / "picture.webp"
    picture.write_bytes(photo_bytes(200, 40))
    found = wait_until_finished(client, job)
    assert found["state"] == "failed"
    assert "at least 64" in found["reason"]
    assert read_events(client, job)[-1]["data"]["reason"] == found["reason"]


def test_a_client_that_goes_frees_everything(server: Server, client: httpx2.Client) -> None:
    job = order(client, "Watched", steps=5000).json()["id"]
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    sockets = [
        server.connect(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for _ in range(20)
    ]
    for connection in sockets:
        assert b"text/event-stream" in connection.recv(4096)
        connection.close()
    wait_for(lambda: len(list(descriptors.iterdir())) <= before + 2, 10)
    client.post(f"/v1/jobs/{job}/cancel")


def test_a_killed_worker_loses_seconds(server: Server, client: httpx2.Client) -> None:
    job = order(client, "Killed", steps=15).json()["id"]
    wait_for_progress(client, job, 5)
    (worker,) = workers(server.process.pid)
    os.kill(worker, signal.SIGKILL)
    assert wait_until_finished(client, job)["state"] == "succeeded"
    assert workers(server.process.pid) != [worker]
    steps = [e["data"]["step"] for e in read_events(client, job) if e["event"] == "progress"]
    assert steps == [5, 10, 15], "no step is told twice"


def test_a_killed_service_leaves_no_orphan_and_another_worker_goes_on(
    learning_weights_folder: Path, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"worker": "true", "worker_nice": 0}
    with running_server(learning_weights_folder, tmp_path, **values) as server:
        with server.client() as client:
            job = order(client, steps=15).json()["id"]
            wait_for_progress(client, job)
        (worker,) = workers(server.process.pid)
        server.process.kill()
        wait_for(lambda: not lives(worker), 20)
    with lone_worker(learning_weights_folder, tmp_path) as process:
        with running_client(learning_weights_folder, tmp_path / "data") as client:
            assert wait_until_finished(client, job)["state"] == "succeeded"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_worker_waits_for_the_device(
    server: Server, learning_weights_folder: Path, folder: Path
) -> None:
    assert server.process.poll() is None
    with lone_worker(learning_weights_folder, folder) as process:
        assert process.stderr is not None
        assert b"another worker has this device" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_retune_from_the_command_line(
    client: httpx2.Client, learning_weights_folder: Path, folder: Path
) -> None:
    made = order(client, "Outdated").json()
    wait_until_finished(client, made["id"])
    path = folder / "data" / "styles" / f"{made['learns']}.safetensors"
    fresh = load_style(path)
    path.write_bytes(pack_style(replace(fresh, network="0" * 16, title="Kept")))
    assert client.get(f"/v1/styles/{fresh.id}").json()["needs_retune"]
    environment = {
        "PASTICHE_WEIGHTS_DIR": str(learning_weights_folder),
        "PASTICHE_DATA_DIR": str(folder / "data"),
    }
    listed = CliRunner(env=environment).invoke(app, ["styles"])
    assert "needs a retune" in listed.output
    done = CliRunner(env=environment).invoke(app, ["styles", "retune"])
    assert done.exit_code == 0
    style, job = done.stdout.split()  # what comes next is said on standard error
    refused = CliRunner(env=environment).invoke(app, ["styles", "retune", "nobody"])
    assert refused.exit_code == 1
    assert "no style of this id" in refused.output
    assert style == fresh.id
    assert wait_until_finished(client, job)["state"] == "succeeded"
    after = client.get(f"/v1/styles/{fresh.id}").json()
    assert (after["title"], after["needs_retune"]) == ("Kept", False)
    assert load_style(path).code.allclose(fresh.code, atol=1e-4)


def test_a_worker_that_cannot_start_is_tried_again_later_and_later(
    learning_weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("in the way")
    pauses: list[float] = []
    supervisor = WorkerSupervisor(make_settings(learning_weights_folder, tmp_path / "data"))

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) == 3:
            supervisor._stopping.set()
        return False

    monkeypatch.setattr(supervisor._stopping, "wait", wait)
    monkeypatch.setattr(supervisor, "_run_once", lambda: 1)
    supervisor.start()
    supervisor._thread.join(10)
    assert pauses == [1, 2, 4]
    supervisor.stop()


@pytest.mark.parametrize("in_the_way", ["data", "data/jobs/jobs.sqlite"])
def test_a_worker_that_cannot_start_says_so_in_a_line(
    learning_weights_folder: Path, tmp_path: Path, in_the_way: str
) -> None:
    (tmp_path / in_the_way).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / in_the_way).write_text("in the way " * 1000)
    with lone_worker(learning_weights_folder, tmp_path) as process:
        assert process.wait(60) == 1
        assert process.stderr is not None
        said = process.stderr.read()
    assert b"the worker cannot start" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("device", "name"),
    [("cpu", "cpu"), ("cuda", "cuda-0"), ("cuda:0", "cuda-0"), ("cuda:1", "cuda-1")],
)
def test_a_device_has_one_name(device: str, name: str) -> None:
    assert device_name(device) == name


def test_a_stop_saves_what_is_under_way(
    server: Server, learning_weights_folder: Path, folder: Path
) -> None:
    """The last one: it stops the module's server."""
    with server.client() as client:
        job = order(client, steps=5000, image=painting_bytes(200, 200)).json()["id"]
        wait_for_progress(client, job)
    (worker,) = workers(server.process.pid)
    assert server.stop() == 0
    assert not lives(worker)
    with running_client(learning_weights_folder, folder / "data") as client:
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "running"
        assert client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("files", "visible", "device", "name"),
    [
        ((), None, "auto", "cpu"),
        ((0, 1), None, "auto", "cuda-0"),
        ((0, 1), None, "cuda:1", "cuda-1"),
        ((0, 1), "1", "auto", "cuda-1"),
        ((0, 1), "1,0", "cuda:1", "cuda-0"),
        ((0, 1), "", "auto", "cpu"),
        ((0, 1), "-1", "auto", "cpu"),
        ((3,), None, "auto", "cuda-3"),  # a container with the fourth GPU alone
        ((3,), "0", "cuda", "cuda-3"),
        ((0, 1), "GPU-8f1c/../x", "cuda", "cuda-GPU-8f1c-x"),
        ((0, 1), "1", "cpu", "cpu"),
        ((0,), None, "cuda:5", "cuda-5"),
    ],
)
def test_services_with_a_gpu_each_have_a_worker_each(
    files: tuple[int, ...], visible: str | None, device: str, name: str, tmp_path: Path
) -> None:
    for number in files:
        (tmp_path / f"nvidia{number}").touch()
    (tmp_path / "nvidiactl").touch()
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert device_name(device, environment, tmp_path) == name

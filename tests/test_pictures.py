"""Large pictures through the service: ordered, watched, fetched, gone; and what is refused."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from server_helpers import running_server
from service_helpers import (
    assert_problem,
    make_settings,
    open_picture,
    photo_bytes,
    running_client,
    upload,
)

from app.pictures import desk as desk_module
from app.pictures import shelf
from app.pictures.desk import MAX_ATTEMPTS, Pictures
from app.pictures.files import PictureFiles
from app.pictures.order import PictureOrder
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.pictures.picture import encode_picture
from model.styles.style_file import load_style

URL = "/v1/pictures"
WHOLE_PIXELS = 20_000  # larger ones run in pieces
SIZE = (300, 200)
MIDDLE_SIZE = (1600, 1200)  # a second or two with the small network
SLOW_SIZE = (2600, 2000)  # several seconds


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def client(small_weights_folder: Path, data: Path) -> Iterator[TestClient]:
    values = {"whole_pixels": WHOLE_PIXELS, "max_pictures": 3, "max_side": 128}
    with running_client(small_weights_folder, data, **values) as client:
        yield client


@cache
def photo_of(size: tuple[int, int]) -> bytes:
    return photo_bytes(*size, format="PNG" if size == SIZE else "JPEG")


def order(client: TestClient, size: tuple[int, int] = SIZE, **fields: str) -> dict[str, Any]:
    photo = upload(photo_of(size))
    response = client.post(URL, files=photo, data={"style": "amber", **fields})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    assert response.headers["location"] == f"{URL}/{job['id']}"
    return job


def wait_for(
    client: TestClient, job: dict[str, Any], *states: str, timeout_s: float = 60
) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(f"{URL}/{job['id']}").json()
        if found["state"] in states:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def folder_of(data: Path, job: dict[str, Any]) -> Path:
    return data / "pictures" / str(job["id"])


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def expected(weights: Path, size: tuple[int, int], **look: Any) -> np.ndarray:
    """As the command line paints it."""
    stylizer = Stylizer.load(weights, "cpu", WHOLE_PIXELS)
    code = load_style(weights / "styles" / "amber.safetensors").code
    image = open_picture(photo_bytes(*size))
    return np.asarray(stylizer.stylize_image(image, Look(code, **look)))


@pytest.mark.parametrize("look", [{}, {"strength": 0.5, "preserve_color": True}, {"strength": 0.0}])
def test_the_result_is_the_command_line_s_to_the_bit(
    client: TestClient, data: Path, small_weights_folder: Path, look: dict[str, Any]
) -> None:
    job = order(client, **{name: str(value).lower() for name, value in look.items()})
    assert (job["width"], job["height"]) == SIZE
    assert "shrunk_from" not in job
    done = wait_for(client, job, "done")
    assert done["percent"] == 100
    result = client.get(done["result"])
    assert result.headers["content-type"] == "image/png"
    assert int(result.headers["content-length"]) == len(result.content)
    assert (result.headers["x-picture-width"], result.headers["x-picture-height"]) == ("300", "200")
    drawn = np.asarray(open_picture(result.content))
    assert np.array_equal(drawn, expected(small_weights_folder, SIZE, **look))
    assert not (folder_of(data, job) / "photo").exists(), "it is needed no more"


def test_above_the_side_limit_of_requests_it_keeps_its_size(client: TestClient) -> None:
    drawn = client.post("/v1/stylize", files=upload(photo_bytes(*SIZE)), data={"style": "amber"})
    assert drawn.headers["x-picture-shrunk-from"] == "300x200"
    job = wait_for(client, order(client, max_side="150", format="webp"), "done")
    assert job["shrunk_from"] == "300x200"
    result = client.get(job["result"])
    assert open_picture(result.content).size == (150, 100)
    assert open_picture(result.content).format == "WEBP"
    assert result.headers["x-picture-shrunk-from"] == "300x200"


def test_it_is_watched_and_shown_while_it_is_painted(client: TestClient) -> None:
    job = order(client, MIDDLE_SIZE)
    with client.stream("GET", f"{URL}/{job['id']}/events") as stream:
        lines = list(stream.iter_lines())
    events, name = [], ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            events.append((name, json.loads(line.removeprefix("data: "))))
    shares = [data["percent"] for name, data in events if name == "progress"]
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert all(data["eta_s"] >= 0 for name, data in events if name == "progress")
    assert [data["state"] for name, data in events if name == "state"][-1] == "done"
    (preview,) = {data["preview"] for name, data in events if name == "preview"}
    assert max(open_picture(client.get(preview).content).size) == 768
    assert client.get(f"{URL}/{job['id']}/events").status_code == 200, (
        "an ended one is told at once"
    )


def test_a_result_is_gone_a_minute_after_it_was_fetched(
    client: TestClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = wait_for(client, order(client), "done")
    assert client.head(job["result"]).status_code == 200
    assert client.get(f"{URL}/{job['id']}").json()["expires"] == job["expires"], "not fetched"
    client.get(job["result"])
    fetched = client.get(f"{URL}/{job['id']}").json()
    assert fetched["expires"] < job["expires"]
    assert client.get(job["result"]).status_code == 200, "once more, if the line broke"
    monkeypatch.setattr(shelf, "FETCHED_KEPT_S", 0.0)
    for address in (job["result"], f"{URL}/{job['id']}", f"{URL}/{job['id']}/preview"):
        assert_problem(client.get(address), 404, "unknown_picture")
    client.app.state.services.painter.wake()  # type: ignore[attr-defined]
    wait_until(lambda: not folder_of(data, job).exists())


def test_all_of_it_is_gone_once_its_time_is_over(small_weights_folder: Path, data: Path) -> None:
    with running_client(small_weights_folder, data, pictures_kept_s=1) as client:
        jobs = [order(client, SLOW_SIZE), order(client)]
        for job in jobs:
            address = f"{URL}/{job['id']}"
            wait_until(lambda at=address: client.get(at).status_code == 404)  # type: ignore[misc]
            assert_problem(client.get(address), 404, "unknown_picture")
        wait_until(lambda: not list((data / "pictures").iterdir()))
        with client.stream("GET", f"{URL}/{order(client)['id']}/events") as stream:
            assert '"done"' in stream.read().decode(), "others are painted"


def test_what_runs_is_cancelled_within_a_second(client: TestClient, data: Path) -> None:
    first, second = order(client, SLOW_SIZE), order(client)
    wait_for(client, first, "running")
    begun = time.monotonic()
    assert client.post(f"{URL}/{first['id']}/cancel").json()["state"] == "cancelled"
    assert not (folder_of(data, first) / "photo").exists()
    wait_for(client, second, "running", "done")
    assert time.monotonic() - begun < 1.5
    done = wait_for(client, second, "done")
    again = client.post(f"{URL}/{second['id']}/cancel").json()
    assert again["state"] == "done", "one that has ended stays as it is"
    assert client.get(done["result"]).status_code == 200
    assert client.get(f"{URL}/{first['id']}").json()["state"] == "cancelled"
    assert_problem(client.get(f"{URL}/{first['id']}/result"), 409, "no_result")


def test_what_is_deleted_is_gone_whatever_its_state(client: TestClient, data: Path) -> None:
    running, queued = order(client, SLOW_SIZE), order(client)
    wait_for(client, running, "running")
    refused = assert_problem(client.get(f"{URL}/{running['id']}/result"), 409, "no_result")
    assert "retry_after" in refused
    for job in (queued, running):
        assert client.delete(f"{URL}/{job['id']}").status_code == 204
        assert_problem(client.delete(f"{URL}/{job['id']}"), 404, "unknown_picture")
        wait_until(lambda job=job: not folder_of(data, job).exists())  # type: ignore[misc]
    done = wait_for(client, order(client), "done")
    assert client.delete(f"{URL}/{done['id']}").status_code == 204
    assert_problem(client.get(done["result"]), 404, "unknown_picture")


def test_more_than_may_wait_are_refused(client: TestClient) -> None:
    jobs = [order(client, SLOW_SIZE) for _ in range(3)]
    waits = [client.get(f"{URL}/{job['id']}").json()["eta_s"] for job in jobs]
    assert waits == sorted(waits), "those before it count"
    response = client.post(URL, files=upload(), data={"style": "amber"})
    refusal = assert_problem(response, 429, "too_many_pictures")
    assert refusal["retry_after"] >= 1
    drawn = client.post("/v1/stylize", files=upload(), data={"style": "amber"})
    assert drawn.status_code == 200, "small pictures are no matter of theirs"
    client.delete(f"{URL}/{jobs[0]['id']}")
    order(client)


def test_more_than_may_lie_on_disk_is_refused(small_weights_folder: Path, data: Path) -> None:
    with running_client(small_weights_folder, data, max_pictures_bytes=300_000) as client:
        job = wait_for(client, order(client), "done")
        response = client.post(URL, files=upload(photo_bytes(*SIZE)), data={"style": "amber"})
        assert_problem(response, 429, "too_many_pictures")
        client.delete(f"{URL}/{job['id']}")
        order(client)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_is_told_and_nothing_is_left(small_weights_folder: Path, data: Path) -> None:
    from test_opt_in import small_disk

    with small_disk(data, 2048), running_client(small_weights_folder, data) as client:
        photo = upload(photo_of(MIDDLE_SIZE))
        response = client.post(URL, files=photo, data={"style": "amber"})
        assert_problem(response, 507, "disk_full")
        assert not list((data / "pictures").glob("*"))
        wait_for(client, order(client), "done")


def test_a_disk_that_fills_up_meanwhile_fails_the_picture_alone(
    client: TestClient, data: Path
) -> None:
    job = order(client, MIDDLE_SIZE)
    wait_for(client, job, "running")
    (folder_of(data, job) / "photo").unlink(missing_ok=True)
    (folder_of(data, job) / "result").mkdir()  # cannot be written
    failed = wait_for(client, job, "failed")
    assert failed["reason"]
    wait_for(client, order(client), "done")


BAD_IDS = ["0" * 31, "g" * 32, "..", "%2e%2e", "%00", "A" * 32, "0" * 32, "x" * 5000]


@pytest.mark.parametrize("id_", BAD_IDS, ids=lambda id_: id_[:20])
def test_ids_that_are_none(client: TestClient, id_: str) -> None:
    for method, end in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel")):
        response = client.request(method, f"{URL}/{id_}{end}")
        assert response.status_code in (404, 405), response.text


def test_a_photo_that_cannot_be_painted_is_refused_at_once(client: TestClient, data: Path) -> None:
    whole = photo_bytes(64, 64, format="JPEG")
    for photo, status in ((b"", 422), (b"hello", 415), (whole[:-40], 422)):
        response = client.post(URL, files=upload(photo), data={"style": "amber"})
        assert_problem(response, status)
    for fields in ({}, {"style": "nobody"}, {"style": "amber", "strength": "2"}, {"max_side": "0"}):
        assert_problem(client.post(URL, files=upload(), data=fields), 422)
    assert not list((data / "pictures").glob("*"))


def test_the_key_guards_what_it_guards_of_stylize(small_weights_folder: Path, data: Path) -> None:
    values = {"api_key": "secret-key", "api_key_for_stylize": True}
    with running_client(small_weights_folder, data, **values) as client:
        assert_problem(client.post(URL, files=upload(), data={"style": "amber"}), 403)
        client.headers["X-API-Key"] = "secret-key"
        job = order(client)
        del client.headers["X-API-Key"]
        assert_problem(client.delete(f"{URL}/{job['id']}"), 403)
        assert wait_for(client, job, "done")["result"]


def test_sizes_are_offered_with_an_honest_estimate(client: TestClient) -> None:
    answer = client.get("/v1/sizes", params={"width": 4000, "height": 3000}).json()
    names = [size["name"] for size in answer["sizes"]]
    assert names == ["1024", "2048", "original"]
    assert [size.get("max_side") for size in answer["sizes"]] == [1024, 2048, None]
    assert answer["sizes"][2]["width"] == 4000
    seconds = [size["seconds"] for size in answer["sizes"]]
    assert seconds == sorted(seconds)
    assert {size["way"] for size in answer["sizes"]} == {"picture"}, "a request gives 128 px here"
    small = client.get("/v1/sizes", params={"width": 100, "height": 50}).json()["sizes"]
    assert [(size["name"], size["way"]) for size in small] == [("original", "request")]
    job = order(client, MIDDLE_SIZE)
    params = {"width": MIDDLE_SIZE[0], "height": MIDDLE_SIZE[1]}
    begun = time.monotonic()
    wait_for(client, job, "done")
    took = time.monotonic() - begun
    after = client.get("/v1/sizes", params=params).json()["sizes"][-1]["seconds"]
    assert took / 4 < after < 2 * took
    for params in ({"width": 0, "height": 5}, {"width": 9000, "height": 9000}, {}):
        assert_problem(client.get("/v1/sizes", params=params), 422)


def test_the_photo_lies_where_nobody_else_may_read(client: TestClient, data: Path) -> None:
    job = order(client, SLOW_SIZE)
    assert folder_of(data, job).stat().st_mode & 0o077 == 0
    assert (folder_of(data, job) / "photo").read_bytes() == photo_of(SLOW_SIZE)


def test_metrics_and_openapi(client: TestClient) -> None:
    order(client)
    wait_until(lambda: "pastiche_large_pictures{" in client.get("/metrics").text)
    paths = client.get("/openapi.json").json()["paths"]
    assert {"202", "413", "415", "422", "429", "503", "507"} <= paths[URL]["post"][
        "responses"
    ].keys()
    assert "X-Picture-Width" in paths[f"{URL}/{{id}}/result"]["get"]["responses"]["200"]["headers"]


def post(client: httpx2.Client) -> dict[str, Any]:
    """An order to a server in a process of its own."""
    response = client.post(URL, files=upload(photo_of(MIDDLE_SIZE)), data={"style": "amber"})
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def assert_painted(client: Any, job: dict[str, Any], weights: Path) -> None:
    result = client.get(wait_for(client, job, "done")["result"])
    stylizer = Stylizer.load(weights, "cpu", WHOLE_PIXELS)
    look = Look(load_style(weights / "styles" / "amber.safetensors").code)
    exact = stylizer.stylize_image(open_picture(photo_of(MIDDLE_SIZE)), look)
    assert result.content == encode_picture(exact, "jpeg", 90)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_or_stopped_in_the_middle_it_goes_on_after_the_restart(
    small_weights_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    values = {"whole_pixels": WHOLE_PIXELS, "precision": "float32", "grace_s": 5}
    with running_server(small_weights_folder, tmp_path, **values) as server:
        with server.client() as client:
            job = post(client)
            wait_until(lambda: client.get(f"{URL}/{job['id']}").json()["percent"] > 3)
        begun = time.monotonic()
        server.process.send_signal(number)
        code = server.process.wait(20)
        assert time.monotonic() - begun < 5
        assert code == (0 if number == signal.SIGTERM else -number)
        assert "Traceback" not in server.log.read_text()
    folder = folder_of(tmp_path / "data", job)
    assert (folder / "photo").exists()
    with running_server(small_weights_folder, tmp_path, **values) as server:
        with server.client() as client:
            assert_painted(client, job, small_weights_folder)
        assert "Traceback" not in server.log.read_text()


def test_a_picture_that_ends_its_server_each_time_is_given_up(
    small_weights_folder: Path, data: Path
) -> None:
    settings = make_settings(small_weights_folder, data)
    desk = Pictures(settings, lambda _: 1.0)
    order = PictureOrder(time.time(), "", 1.0, False, "png", 90, 30, 20, 30, 20)
    job = desk.submit(order, b"photo", b"code")
    for _ in range(MAX_ATTEMPTS):
        claimed = Pictures(settings, lambda _: 1.0).claim()
        assert claimed is not None
        assert desk.claim() is None, "another process is at it"
        assert desk.find(job.id).state == "running"
        claimed.lock.close()  # as the system does when a process is killed
        desk.sweep()
        assert desk.find(job.id).state == "queued"
    assert desk.claim() is None
    given_up = desk.find(job.id)
    assert (given_up.state, bool(given_up.reason)) == ("failed", True)
    assert not desk.files(job.id).photo.exists()


def test_half_written_and_foreign_folders_harm_nothing(
    small_weights_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Pictures(make_settings(small_weights_folder, data), lambda _: 1.0)
    order = PictureOrder(time.time(), "", 1.0, False, "png", 90, 30, 20, 30, 20)
    good = desk.submit(order, b"photo", b"code")
    folder = data / "pictures"
    (folder / ("0" * 32)).mkdir()
    (folder / ("1" * 32)).mkdir()
    (folder / ("1" * 32) / "order.json").write_text("{")
    (folder / "notes").mkdir()
    future = PictureFiles(folder / ("2" * 32))  # of a clock that was wrong
    future.create(replace(order, created=time.time() + 1e6), b"photo", b"code")
    desk.sweep()
    assert {path.name for path in folder.iterdir()} >= {good.id, "0" * 32, "1" * 32, "notes"}
    monkeypatch.setattr(desk_module, "UNWRITTEN_S", -1.0)
    assert desk.sweep() == {"queued": 1}
    assert {path.name for path in folder.iterdir()} == {good.id, "notes"}

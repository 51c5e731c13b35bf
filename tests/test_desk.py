"""/v1/jobs and the calls that make them, without a worker: orders, the queue, the records."""

import asyncio
import io
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from learning_helpers import URL, order, painting_bytes, read_events, wait_for
from PIL import Image
from service_helpers import assert_problem, photo_bytes, running_client, upload
from sqlalchemy import event

from app import main
from app.jobs import database
from app.jobs import desk as jobs
from app.jobs.desk import Jobs
from app.jobs.files import JobFiles
from app.pools import Seats
from app.services import Services
from model.styles.library import StyleLibrary
from model.styles.style import Style
from model.styles.style_file import load_style, pack_style

OTHER_NETWORK = "0" * 16
# Plain paper, scanned: of one colour once it is as small as it is learned from.
GRAIN = Image.effect_noise((600, 600), 6).convert("RGB")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="module")
def refusing(
    small_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """For what is refused and leaves nothing."""
    with running_client(small_weights_folder, tmp_path_factory.mktemp("data")) as client:
        yield client
        assert client.get("/v1/jobs").json() == {"jobs": []}


@pytest.fixture
def client(small_weights_folder: Path, data: Path) -> Iterator[TestClient]:
    with running_client(small_weights_folder, data, max_jobs=3) as client:
        yield client


def job_files(data: Path, job: str) -> JobFiles:
    return JobFiles(data / "jobs" / job)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def test_an_order_is_a_job(client: TestClient, data: Path) -> None:
    made = order(client, "  Große\u202eWellen ", photo=photo_bytes(600, 300))
    assert made.status_code == 202, made.text
    job = made.json()
    assert made.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["title"], job["state"], job["kind"]) == ("Große Wellen", "queued", "new")
    assert job["learns"].startswith("gro-e-wellen-")
    assert job.keys() == {"id", "kind", "title", "state", "created", "learns"}
    assert client.get(f"/v1/jobs/{job['id']}").json() == job
    assert client.get("/v1/jobs").json() == {"jobs": [job]}
    with Image.open(job_files(data, job["id"]).photo) as photo:
        assert (photo.format, photo.size) == ("WEBP", (256, 128))
    with Image.open(job_files(data, job["id"]).picture) as picture:
        assert (picture.format, picture.size) == ("WEBP", (96, 80))
    assert_problem(client.get(f"/v1/jobs/{job['id']}/preview"), 404, "no_preview")


@pytest.mark.parametrize("tail", ["", "/events", "/preview"])
@pytest.mark.parametrize("id_", ["nobody", "..", "%2e%2e", "%00", "%ff", "a" * 5000])
def test_unknown_jobs(refusing: TestClient, id_: str, tail: str) -> None:
    assert_problem(refusing.get(f"/v1/jobs/{id_}{tail}"), 404)
    if not tail:
        assert refusing.post(f"/v1/jobs/{id_}/cancel").status_code in (404, 405)


def test_a_key_makes_one_job_of_several_tries(client: TestClient) -> None:
    first, second = (order(client, key="once") for _ in range(2))
    assert first.json() == second.json()
    for other in ({"title": "Other"}, {"steps": 11}, {"image": painting_bytes(seed=1)}):
        assert_problem(order(client, key="once", **other), 422, "idempotency_key_reused")
    assert order(client, key="twice").json()["id"] != first.json()["id"]
    assert order(client, key="x" * 201).status_code == 422


def test_the_queue_is_bounded(client: TestClient) -> None:
    made = [order(client, key=str(i)).json()["id"] for i in range(3)]
    refused = assert_problem(order(client), 429, "too_many_jobs")
    assert refused["retry_after"] > 0
    assert order(client, key="0").status_code == 202, "a second try is no second job"
    assert client.post(f"/v1/jobs/{made[0]}/cancel").json()["state"] == "cancelled"
    assert order(client).status_code == 202


def test_a_queued_job_is_cancelled_at_once(client: TestClient, data: Path) -> None:
    job = order(client, photo=photo_bytes()).json()["id"]
    for _ in range(2):
        assert client.post(f"/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    assert not job_files(data, job).picture.exists()
    assert not job_files(data, job).photo.exists(), "no photo is kept"
    events = read_events(client, job)
    assert events == [{"event": "state", "data": {"state": "cancelled"}, "id": "end"}]


def test_events_are_sent_again_from_where_they_were_lost(client: TestClient, data: Path) -> None:
    job = order(client).json()["id"]
    files = job_files(data, job)
    for step in (5, 10):
        files.events.append(
            "progress", {"step": step, "steps": 10, "losses": {"style": 1.0}, "eta_s": 7}
        )
        files.events.append("preview", {"preview": f"?step={step}"})
    time.sleep(jobs.FRESH_S)
    assert client.get(f"/v1/jobs/{job}").json()["step"] == 10
    client.post(f"/v1/jobs/{job}/cancel")
    ids = {
        last: [event["id"] for event in read_events(client, job, last)]
        for last in (None, "1", "3", "9", "nonsense", "end", "")
    }
    assert ids[None] == ["1", "3", "4", "end"], "of previews the last one"
    assert ids["1"] == ["3", "4", "end"]
    assert ids["3"] == ["4", "end"]
    assert ids["9"] == ids["end"] == ["end"]
    assert ids["nonsense"] == ids[""] == ids[None]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"title": ""}, 422), ({"title": "\u202e"}, 422), ({"title": "x" * 121}, 422),
        ({"title": "x" * 10_000}, 422), ({"steps": 9}, 422), ({"steps": 5001}, 422),
        ({"steps": "1e2"}, 422), ({"stroke_size": 63}, 422), ({"stroke_size": 1025}, 422),
        ({"style_weight": "nan"}, 422), ({"style_weight": 0.05}, 422), ({"style_weight": 11}, 422),
        ({"unknown": 1}, 422),
    ],
)  # fmt: skip
def test_bad_options(refusing: TestClient, fields: dict[str, Any], status: int) -> None:
    assert_problem(order(refusing, **fields), status)


@pytest.mark.parametrize(
    ("data_", "status", "code"),
    [
        (b"text", 415, "unsupported_format"),
        (painting_bytes()[:900], 422, "undecodable_picture"),
        (encoded(Image.new("1", (13_000, 13_000))), 422, "picture_too_large"),
        (encoded(Image.new("RGB", (63, 500), "red")), 422, "unfit_picture"),
        (encoded(Image.new("RGB", (200, 200), "red")), 422, "unfit_picture"),
        (encoded(Image.new("L", (200, 200), 128)), 422, "unfit_picture"),
        (encoded(Image.new("RGBA", (200, 200), (200, 0, 0, 0))), 422, "unfit_picture"),
        (encoded(GRAIN), 422, "unfit_picture"),
    ],
)
def test_bad_pictures(refusing: TestClient, data_: bytes, status: int, code: str) -> None:
    assert_problem(order(refusing, image=data_), status, code)
    if code != "unfit_picture":  # a photo may be of any kind
        assert_problem(order(refusing, photo=data_), status, code)


def test_unusual_pictures_are_learned_from(client: TestClient, data: Path) -> None:
    colors = Image.open(io.BytesIO(painting_bytes(3000, 300)))
    half = colors.convert("RGBA")
    half.paste((0, 0, 0, 0), (0, 0, 1500, 300))
    for image, size in ((colors, (900, 300)), (half, (900, 300)), (colors.convert("L"), None)):
        made = order(client, image=encoded(image))
        assert made.status_code == 202, made.text
        with Image.open(job_files(data, made.json()["id"]).picture) as picture:
            assert picture.mode == "RGB"
            assert size is None or picture.size == size, "the middle of a strip"
    client.post(f"/v1/jobs/{made.json()['id']}/cancel")
    large = order(client, image=encoded(colors.resize((4000, 3000)), "JPEG"))
    with Image.open(job_files(data, large.json()["id"]).picture) as picture:
        assert picture.size == (1024, 768)


def test_who_may_order(small_weights_folder: Path, data: Path) -> None:
    with running_client(small_weights_folder, data, api_key="secret-key") as client:
        assert_problem(order(client), 403, "missing_key")
        for path in ("/v1/jobs/x/cancel", "/v1/styles/x/retune"):
            assert_problem(client.post(path), 403, "missing_key")
        client.headers["X-API-Key"] = "secret-key"
        assert order(client).status_code == 202
        client.headers["Sec-Fetch-Site"] = "cross-site"
        assert_problem(order(client), 403, "cross_site")


def test_jobs_outlive_the_service_and_old_ones_go(
    small_weights_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_client(small_weights_folder, data) as client:
        kept, old = (order(client).json()["id"] for _ in range(2))
        client.post(f"/v1/jobs/{old}/cancel")
        settings = client.app.state.services.settings  # type: ignore[attr-defined]
    with running_client(small_weights_folder, data) as client:
        assert {job["id"] for job in client.get("/v1/jobs").json()["jobs"]} == {kept, old}
        orphan = data / "jobs" / ("0" * 24)
        orphan.mkdir()
        office = Jobs(settings)
        office.prune()
        assert orphan.exists(), "it may be about to be queued"
        monkeypatch.setattr(jobs, "KEPT_S", -60)
        monkeypatch.setattr(jobs, "ORPHANED_S", -60)
        office.prune()
        office.close()
        assert not orphan.exists()
        assert not (data / "jobs" / old).exists()
        assert job_files(data, kept).picture.exists()
        time.sleep(jobs.FRESH_S)
        assert [job["id"] for job in client.get("/v1/jobs").json()["jobs"]] == [kept]


def test_a_folder_in_which_no_jobs_can_be_kept(small_weights_folder: Path, data: Path) -> None:
    data.mkdir()
    (data / "jobs").write_text("in the way")
    with running_client(small_weights_folder, data) as client:
        for answer in (order(client), client.get("/v1/jobs"), client.get("/v1/jobs/x/events")):
            assert assert_problem(answer, 503, "jobs_unavailable")["retry_after"] > 0
        drawn = client.post("/v1/stylize", files=upload(), data={"style": "amber"})
        assert drawn.status_code == 200, "pictures are served all the same"


def test_a_damaged_database_is_told_as_such(small_weights_folder: Path, data: Path) -> None:
    (data / "jobs").mkdir(parents=True)
    (data / "jobs" / "jobs.sqlite").write_bytes(b"no database" * 1000)
    with running_client(small_weights_folder, data) as client:
        assert_problem(order(client), 503, "jobs_unavailable")


def test_a_locked_database_keeps_nobody_waiting(
    client: TestClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.1)
    monkeypatch.setattr(database, "PAUSE_S", 0.1)
    first = order(client).json()["id"]
    with closing(sqlite3.connect(data / "jobs" / "jobs.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        assert_problem(order(client), 503, "jobs_unavailable")
        assert time.monotonic() - begun < 8
        assert client.get("/healthz").status_code == 200
    time.sleep(0.2)
    assert order(client).status_code == 202
    assert {job["state"] for job in client.get("/v1/jobs").json()["jobs"]} == {"queued"}
    ids = {path.name for path in (data / "jobs").iterdir() if len(path.name) == 24}
    assert first in ids
    assert len(ids) == 2, "what was refused left nothing"


def test_a_full_disk_under_the_database_is_told_as_such(
    small_weights_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PAUSE_S", 60.0)

    def fill(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute("PRAGMA max_page_count=1")  # SQLite then says that the disk is full

    with running_client(small_weights_folder, data, max_jobs=200) as client:
        kept = order(client).json()["id"]
        engine = client.app.state.services.jobs._database._engine  # type: ignore[attr-defined]
        event.listen(engine, "connect", fill)
        engine.dispose()
        answer = order(client)
        while answer.status_code == 202:  # it fits into free space of the file
            answer = order(client)
        assert_problem(answer, 507, "disk_full")
        event.remove(engine, "connect", fill)
        engine.dispose()
        known = {job["id"] for job in client.get("/v1/jobs").json()["jobs"]}
        assert kept in known
        folders = {path.name for path in (data / "jobs").iterdir() if len(path.name) == 24}
        assert folders == known, "what was refused left nothing"
        assert order(client).status_code == 202, "space back, service back, without a pause"


def test_a_job_that_waits_for_space_says_so(client: TestClient, data: Path) -> None:
    job = order(client).json()["id"]
    files = job_files(data, job)
    events: list[dict[str, Any]] = []
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(read_events, client, job)
        for waiting in (True, False):
            files.note_waiting(waiting)
            found = wait_for(
                lambda waiting=waiting: (
                    (found := client.get(f"/v1/jobs/{job}").json())
                    and ("reason" in found) is waiting
                    and found
                )
            )
            assert found["state"] == "queued"
            assert "disk is full" in found.get("reason", "") or not waiting
            time.sleep(1)  # the stream looks
        client.post(f"/v1/jobs/{job}/cancel")
        events = watching.result()
    told = [(event["data"]["state"], "reason" in event["data"]) for event in events]
    assert told[-3:] == [("queued", True), ("queued", False), ("cancelled", False)]


def test_a_job_whose_call_failed_after_it_was_queued_keeps_its_picture(
    client: TestClient, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue = database.Database._enqueue

    def enqueue_and_fail(*arguments: Any) -> None:
        enqueue(*arguments)
        raise ConnectionError("lost before the answer")

    with monkeypatch.context() as patch:
        patch.setattr(database.Database, "_enqueue", staticmethod(enqueue_and_fail))
        assert_problem(order(client, key="once"), 503, "jobs_unavailable")
    monkeypatch.setattr(database, "PAUSE_S", 0.0)
    job = wait_for(lambda: client.get("/v1/jobs").json().get("jobs"))[0]["id"]
    assert job_files(data, job).picture.exists()
    again = order(client, key="once")
    assert (again.status_code, again.json()["id"]) == (202, job)


def test_records_of_a_later_version_are_read(client: TestClient, data: Path) -> None:
    job = order(client).json()
    with closing(sqlite3.connect(data / "jobs" / "jobs.sqlite")) as records, records:
        later = """replace(inputs, '"kind"', '"new": 1, "kind"')"""
        changed = records.execute(f"UPDATE workflow_status SET inputs = {later}")  # noqa: S608
        assert changed.rowcount == 1
    time.sleep(jobs.FRESH_S)
    assert client.get("/v1/jobs").json() == {"jobs": [job]}


def test_a_burst_does_not_pass_the_bound_on_watchers(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = client.app.state.services  # type: ignore[attr-defined]
    services.watchers = Seats(2)
    job = order(client).json()["id"]
    find = services.jobs.find

    def find_slowly(id_: str) -> Any:
        time.sleep(0.3)  # time for a burst to arrive
        return find(id_)

    monkeypatch.setattr(services.jobs, "find", find_slowly)
    with ThreadPoolExecutor(8) as pool:
        watching = [pool.submit(client.get, f"/v1/jobs/{job}/events") for _ in range(8)]
        time.sleep(1.0)
        monkeypatch.setattr(services.jobs, "find", find)
        client.post(f"/v1/jobs/{job}/cancel")
        answers = [future.result().status_code for future in watching]
    assert answers.count(200) == 2
    assert answers.count(503) == 6
    assert services.watchers.free == 2
    assert client.get(f"/v1/jobs/{job}/events").status_code == 200


def test_the_metrics_of_jobs_survive_whatever_happens(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = client.app.state.services  # type: ignore[attr-defined]

    def break_down() -> Any:
        raise KeyError("unforeseen")

    async def count_twice() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(services.jobs, "all", break_down)
            counting = asyncio.create_task(main._keep_counts(services))
            await asyncio.sleep(0.1)
        queued.set(-1)
        await asyncio.sleep(0.3)
        counting.cancel()

    monkeypatch.setattr(main, "LOOK_S", 0.01)
    queued = services.metrics.jobs.labels("queued")
    asyncio.run(count_twice())
    assert queued._value.get() == 0


def test_metrics_and_openapi(client: TestClient) -> None:
    wait_for(lambda: 'pastiche_jobs{state="queued"} 0.0' in client.get("/metrics").text)
    schema = client.get("/openapi.json").json()["paths"]
    assert {"202", "413", "415", "422", "429", "503", "507"} <= schema[URL]["post"][
        "responses"
    ].keys()
    assert "text/event-stream" in str(schema["/v1/jobs/{id}/events"]["get"]["responses"]["200"])


@pytest.fixture
def outdated(small_weights_folder: Path, data: Path) -> str:
    """A style that was learned here, for another network; its id."""
    style = load_style(small_weights_folder / "styles" / "amber.safetensors")
    library = StyleLibrary(small_weights_folder / "styles", OTHER_NETWORK, data / "styles")
    training = {"recipe": {"stroke_size": 100, "steps": 12, "seed": 3}}
    old = replace(style, id="old", title="Old", network=OTHER_NETWORK, training=training)
    library.add(old, painting_bytes(), painting_bytes())
    return old.id


def test_an_outdated_style_is_listed_and_never_used(client: TestClient, outdated: str) -> None:
    first = client.get("/v1/styles").json()["styles"][0]
    assert (first["id"], first["needs_retune"], first["can_retune"]) == (outdated, True, True)
    assert client.get(first["preview"]).status_code == 200
    assert client.get(f"/v1/styles/{outdated}").json() == first
    drawn = client.post("/v1/stylize", files=upload(), data={"style": outdated})
    assert_problem(drawn, 422, "needs_retune")


def test_a_retune_is_queued_once(client: TestClient, data: Path, outdated: str) -> None:
    made = [client.post(f"/v1/styles/{outdated}/retune") for _ in range(2)]
    assert [answer.status_code for answer in made] == [202, 202]
    job = made[0].json()
    assert made[1].json() == job
    assert made[0].headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["learns"], job["title"]) == ("retune", "old", "Old")
    assert job_files(data, job["id"]).picture.read_bytes() == painting_bytes()
    assert_problem(client.post("/v1/styles/amber/retune"), 409, "retune_not_needed")
    assert_problem(client.post("/v1/styles/nobody/retune"), 404, "unknown_style")


def test_deleting_a_style_deletes_its_picture(
    client: TestClient, data: Path, outdated: str
) -> None:
    assert client.delete(f"/v1/styles/{outdated}").status_code == 204
    assert not [path for path in (data / "styles").rglob("*") if path.is_file()]
    assert_problem(client.get(f"/v1/styles/{outdated}"), 404, "unknown_style")


def test_an_imported_file_has_no_picture_to_learn_from(
    client: TestClient, small_weights_folder: Path, data: Path, outdated: str
) -> None:
    style: Style = load_style(small_weights_folder / "styles" / "birch.safetensors")
    imported = client.put(f"/v1/styles/{outdated}/file", content=pack_style(style))
    assert imported.status_code == 200, "it takes the other's place"
    assert imported.json()["can_retune"] is False
    assert not list((data / "styles" / "sources").iterdir())
    late = replace(style, id="late", network=OTHER_NETWORK)
    (data / "styles" / "late.safetensors").write_bytes(pack_style(late))
    assert_problem(client.post("/v1/styles/late/retune"), 409, "no_source")

"""Styles that work at once and get better: over HTTP without a worker, and the learning side."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from learning_helpers import order, painting_bytes, read_events, wait_for
from service_helpers import (
    assert_problem,
    make_settings,
    open_picture,
    photo_bytes,
    running_client,
    upload,
)

from app.jobs import learner as learning
from app.jobs.desk import FRESH_S, Jobs
from app.jobs.files import JobFiles
from app.jobs.job import Job
from app.jobs.learner import Learner, LearningError
from app.jobs.order import Order
from app.jobs.pace import LearningPace, estimate
from app.settings import Settings
from model.network.weights import load_weights
from model.pictures.picture import read_picture
from model.styles.options import STEPS_FROM_ROW
from model.styles.predictor import load_predictor
from model.styles.style_file import load_style, pack_style, save_style


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def client(predicting_weights_folder: Path, data: Path) -> Iterator[TestClient]:
    with running_client(predicting_weights_folder, data, max_jobs=2) as client:
        yield client


@pytest.fixture
def settings(predicting_weights_folder: Path, data: Path) -> Settings:
    return make_settings(predicting_weights_folder, data)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "PIECE_S", 0.0)
    monkeypatch.setattr(learning, "PREVIEW_EVERY_S", 1e9)
    monkeypatch.setattr(learning, "PUBLISH_EVERY_S", 0.0)


def drawn(client: TestClient, style: str) -> bytes:
    answer = client.post("/v1/stylize", files=upload(), data={"style": style})
    assert answer.status_code == 200, answer.text
    return answer.content


def queued_order(client: TestClient, job: str) -> Order:
    """As the worker reads it."""
    jobs: Jobs = client.app.state.services.jobs  # type: ignore[attr-defined]
    (record,) = [record for record in jobs._database.list(9) if record.id == job]
    return Order.of(record.order)


def learn(settings: Settings, job: str, order: Order) -> None:
    current = Learner(settings, lambda: False)
    while not current.train(job, order):
        pass
    current.publish(job, order)


def test_a_style_works_at_once_and_gets_better_under_its_id(
    client: TestClient, settings: Settings, data: Path
) -> None:
    made = order(client, "Waves", photo=photo_bytes(), steps=20)
    assert made.status_code == 202, made.text
    job = made.json()
    assert (job["kind"], job["state"], job["style"]) == ("improve", "queued", job["learns"])
    style = client.get(f"/v1/styles/{job['style']}").json()
    assert style["can_improve"]
    assert style["preview"] is None, "the first picture does not wait for it"
    assert open_picture(client.get(style["painting"]).content).size == (96, 80)
    first = drawn(client, job["style"])
    painting = client.get(style["painting"]).content
    predictor = load_predictor(settings.weights_dir, load_style_of(data, job).network)
    copy = read_picture((data / "styles" / "sources" / f"{job['style']}.webp").read_bytes()).rgb
    assert load_style_of(data, job).code.equal(predictor.predict(copy, 64))

    learn(settings, job["id"], queued_order(client, job["id"]))
    better = client.get(f"/v1/styles/{job['style']}").json()
    assert better["revision"] != style["revision"]
    assert not better["can_improve"]
    assert (better["created"], better["title"]) == (style["created"], "Waves")
    assert drawn(client, job["style"]) != first
    assert open_picture(client.get(better["preview"]).content).size == (256, 256)
    assert client.get(better["painting"]).content == painting
    client.post(f"/v1/jobs/{job['id']}/cancel")
    news = read_events(client, job["id"])
    assert [e["data"]["revision"] for e in news if e["event"] == "revision"] == [better["revision"]]
    assert [e["event"] for e in news].count("step") == 1, "the last one alone"


def load_style_of(data: Path, job: dict[str, Any]) -> Any:
    return load_style(data / "styles" / f"{job['learns']}.safetensors")


def test_instant_stops_at_the_prediction_and_is_improved_later(
    client: TestClient, settings: Settings
) -> None:
    made, again = (order(client, "Waves", mode="instant", key="once") for _ in range(2))
    assert made.status_code == again.status_code == 201
    style = made.json()
    assert open_picture(client.get(style["preview"]).content).size == (256, 256)
    assert again.json() == style
    assert made.headers["location"] == f"/v1/styles/{style['id']}"
    assert client.get(f"/v1/styles/{style['id']}").json() == style
    assert client.get("/v1/jobs").json() == {"jobs": []}
    assert_problem(
        order(client, "Waves", mode="instant", key="once", image=painting_bytes(seed=3)),
        422,
        "idempotency_key_reused",
    )
    jobs = [client.post(f"/v1/styles/{style['id']}/improve") for _ in range(2)]
    assert [answer.status_code for answer in jobs] == [202, 202]
    job = jobs[0].json()
    assert jobs[1].json()["id"] == job["id"], "one at a time"
    assert (job["kind"], job["style"]) == ("improve", style["id"])
    learn(settings, job["id"], queued_order(client, job["id"]))
    assert client.get(f"/v1/styles/{style['id']}").json()["revision"] != style["revision"]
    assert_problem(client.post("/v1/styles/amber/improve"), 403, "built_in_style")
    assert_problem(client.post("/v1/styles/nobody/improve"), 404, "unknown_style")
    file = client.get("/v1/styles/amber/file").content
    client.put("/v1/styles/mine/file", content=file)
    assert_problem(client.post("/v1/styles/mine/improve"), 409, "no_source")
    assert_problem(order(client, mode="later"), 422, "invalid_parameters")


def test_a_full_queue_leaves_nothing_and_instant_needs_none(client: TestClient) -> None:
    for _ in range(2):
        assert order(client).status_code == 202
    before = client.get("/v1/styles").json()
    assert_problem(order(client), 429, "too_many_jobs")
    assert client.get("/v1/styles").json() == before
    assert order(client, mode="instant").status_code == 201


def test_a_second_try_makes_one_style_and_undoes_no_improvement(
    client: TestClient, settings: Settings
) -> None:
    job = order(client, key="once").json()
    learn(settings, job["id"], queued_order(client, job["id"]))
    learned = client.get(f"/v1/styles/{job['style']}").json()
    assert order(client, key="once").json()["id"] == job["id"]
    assert client.get(f"/v1/styles/{job['style']}").json() == learned
    assert_problem(order(client, "Other", key="once"), 422, "idempotency_key_reused")


def test_cancelled_it_stays_as_it_is_and_deleted_it_stays_away(
    client: TestClient, settings: Settings
) -> None:
    job = order(client).json()
    style, asked = job["style"], queued_order(client, job["id"])
    current = Learner(settings, lambda: False)
    assert not current.train(job["id"], asked)
    client.post(f"/v1/jobs/{job['id']}/cancel")
    kept = client.get(f"/v1/styles/{style}").json()
    assert kept["can_improve"]
    assert not current.train(job["id"], asked)
    assert client.get(f"/v1/styles/{style}").json() == kept

    job = client.post(f"/v1/styles/{style}/improve").json()
    asked = queued_order(client, job["id"])
    current = Learner(settings, lambda: False)
    assert not current.train(job["id"], asked)
    assert client.delete(f"/v1/styles/{style}").status_code == 204
    assert client.get(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    with pytest.raises(LearningError, match="deleted meanwhile"):
        current.publish(job["id"], asked)
    assert_problem(client.get(f"/v1/styles/{style}"), 404, "unknown_style")


def test_a_style_that_was_replaced_is_left_alone(
    client: TestClient, settings: Settings, data: Path
) -> None:
    job = order(client).json()
    file = client.get("/v1/styles/amber/file").content
    assert client.put(f"/v1/styles/{job['style']}/file", content=file).status_code == 200
    with pytest.raises(LearningError, match="replaced meanwhile"):
        learn(settings, job["id"], queued_order(client, job["id"]))
    amber = load_style(settings.weights_dir / "styles" / "amber.safetensors")
    assert load_style_of(data, job).code.equal(amber.code)


def test_cut_off_after_every_piece_it_is_published_and_goes_on(
    client: TestClient, settings: Settings, data: Path
) -> None:
    job = order(client, steps=20).json()
    asked, revisions = queued_order(client, job["id"]), set()
    while not Learner(settings, lambda: False).train(job["id"], asked):  # as after kills
        style = load_style_of(data, job)
        assert style.training.get("unfinished"), "whole, and of use, at any time"
        revisions.add(style.revision)
    Learner(settings, lambda: False).publish(job["id"], asked)
    assert len(revisions) > 1, "it got better on the way"
    assert "unfinished" not in load_style_of(data, job).training


def test_a_worse_row_is_never_published(
    client: TestClient, settings: Settings, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = order(client).json()
    predicted = load_style_of(data, job)
    worse = iter(range(10_000))
    monkeypatch.setattr(
        "app.jobs.learner.Finetuning.measure",
        lambda _, row: 0.0 if row.equal(predicted.code) else 1.0 + next(worse),
    )
    learn(settings, job["id"], queued_order(client, job["id"]))
    kept = load_style_of(data, job)
    assert kept.code.equal(predicted.code)
    assert "unfinished" not in kept.training


def test_without_a_predictor_it_is_learned_as_ever(
    learning_weights_folder: Path, data: Path
) -> None:
    with running_client(learning_weights_folder, data) as client:
        job = order(client).json()
        assert (job["kind"], "style" in job) == ("new", False)
        assert_problem(order(client, mode="instant"), 409, "no_predictor")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_new_and_outdated_styles_start_from_the_prediction_where_there_is_one(
    settings: Settings, learning_weights_folder: Path, data: Path, precision: str
) -> None:
    asked = Order("new", "waves", "Waves", {"stroke_size": 64, "crop_size": 32, "batch_size": 1})
    for folder, steps in ((settings.weights_dir, STEPS_FROM_ROW), (learning_weights_folder, 100)):
        job = f"{steps:024}"
        files = JobFiles(data / "jobs" / job)
        files.create(painting_bytes(), None)
        changed = settings.model_copy(update={"weights_dir": folder, "precision": precision})
        current = Learner(changed, lambda: False)
        session = current._open(job, asked)
        assert session.finetuning.steps == steps
        if folder == settings.weights_dir:
            network = load_weights(folder / "network.safetensors").fingerprint
            predictor = load_predictor(folder, network, getattr(torch, precision))
            predicted = predictor.predict(read_picture(painting_bytes()).rgb, 64)
            assert session.finetuning.row.equal(predicted)


def test_the_estimate_is_what_was_measured_here(client: TestClient, data: Path) -> None:
    first = order(client, steps=20).json()
    assert "eta_s" not in first
    LearningPace(data / "jobs").note(2.0)
    LearningPace(data / "jobs").note(1.0)
    time.sleep(FRESH_S)
    style = order(client, mode="instant").json()["id"]
    second = client.post(f"/v1/styles/{style}/improve").json()
    assert second["eta_s"] == pytest.approx(1.5 * (20 + 10)), "the steps that were chosen"
    refused = assert_problem(order(client), 429)
    assert refused["retry_after"] == pytest.approx(1.5 * 20 + 1, abs=1)
    (data / "jobs" / "pace.json").write_text("nonsense")
    assert LearningPace(data / "jobs").seconds_per_step is None
    ended = Job("x", "new", "X", "failed", "", "x")
    assert estimate([ended], {}, LearningPace(data / "jobs")) == [ended]


def test_another_service_on_the_same_folder_sees_it(
    client: TestClient, predicting_weights_folder: Path, data: Path
) -> None:
    with running_client(predicting_weights_folder, data) as second:
        job = order(client).json()
        before = drawn(second, job["style"])
        assert before == drawn(client, job["style"])
        style = load_style_of(data, job)
        amber = load_style(predicting_weights_folder / "styles" / "amber.safetensors")
        path = data / "styles" / f"{style.id}.safetensors"
        path.write_bytes(pack_style(replace(style, code=amber.code)))
        wait_for(lambda: drawn(second, job["style"]) != before)
        save_style(style, path)

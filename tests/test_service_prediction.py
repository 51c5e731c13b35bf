"""Styles of pictures that nobody has learned, over HTTP: blends, refusals, a server without."""

import io
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from learning_helpers import painting_bytes
from PIL import Image
from service_helpers import assert_problem, photo_bytes, running_client, upload

from app.prediction import pixels_read

URL = "/v1/stylize"
FLAT = io.BytesIO()
Image.new("RGB", (200, 200), "red").save(FLAT, "PNG")


@pytest.fixture(scope="module")
def client(
    predicting_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    with running_client(predicting_weights_folder, tmp_path_factory.mktemp("data")) as client:
        yield client


def stylize(client: TestClient, *paintings: bytes, **fields: Any) -> Any:
    files = [("image", upload()["image"])]
    files += [("style_image", (f"{i}.png", data, "image/png")) for i, data in enumerate(paintings)]
    return client.post(URL, files=files, data={"stroke_size": 64, **fields})


def test_a_photo_in_the_style_of_a_picture(client: TestClient) -> None:
    first, again, other = (stylize(client, painting_bytes(seed=seed)) for seed in (8, 8, 9))
    assert first.status_code == 200, first.text
    assert first.content == again.content != other.content
    assert "predict;dur=" in first.headers["server-timing"]
    assert client.get("/readyz").json()["predictor"] == "ready"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_prediction_is_computed_in_the_precision_of_the_settings(
    predicting_weights_folder: Path, tmp_path: Path, precision: str
) -> None:
    with running_client(predicting_weights_folder, tmp_path, precision=precision) as client:
        predictor = client.app.state.services.predictor  # type: ignore[attr-defined]
        assert predictor.dtype is getattr(torch, precision)
        assert stylize(client, painting_bytes()).status_code == 200


def test_pictures_blend_with_each_other_and_with_the_library(client: TestClient) -> None:
    one, two = painting_bytes(seed=1), painting_bytes(seed=2)
    alone = [stylize(client, each).content for each in (one, two)]
    amber = client.post(URL, files=upload(), data={"style": "amber"}).content
    mixed = stylize(client, one, two).content
    assert mixed == stylize(client, one, two, style_image_weights="[0.5, 0.5]").content
    assert mixed not in alone
    assert stylize(client, one, two, style_image_weights="[1, 0]").content == alone[0]
    assert stylize(client, one, style="amber", style_image_weights="[0]").content == amber
    half = stylize(client, one, style="amber").content
    mix = json.dumps([{"style": "amber", "weight": 3}])
    assert half == stylize(client, one, mix=mix, style_image_weights="[1]").content
    assert half not in (amber, alone[0])


@pytest.mark.parametrize(
    ("paintings", "fields", "status", "code"),
    [
        ([b"text"], {}, 415, "unsupported_format"),
        ([painting_bytes()[:900]], {}, 422, "undecodable_picture"),
        ([painting_bytes(60, 300)], {}, 422, "unfit_picture"),
        ([FLAT.getvalue()], {}, 422, "unfit_picture"),
        ([painting_bytes()] * 9, {}, 422, "invalid_parameters"),
        ([painting_bytes()] * 8, {"style": "amber"}, 422, "invalid_parameters"),
        ([painting_bytes()] * 12, {}, 400, "malformed_body"),
        ([painting_bytes()], {"style_image_weights": "[1, 2]"}, 422, "invalid_parameters"),
        ([painting_bytes()], {"style_image_weights": "[-1]"}, 422, "invalid_parameters"),
        ([painting_bytes()], {"style_image_weights": "[NaN]"}, 422, "invalid_parameters"),
        ([painting_bytes()], {"style_image_weights": "[true]"}, 422, "invalid_parameters"),
        ([painting_bytes()], {"style_image_weights": "[0]"}, 422, "invalid_parameters"),
        ([painting_bytes()], {"style_image_weights": '["1"]'}, 422, "invalid_parameters"),
        ([painting_bytes()], {"style": "amber", "mix": "[]"}, 422, "invalid_parameters"),
        ([painting_bytes()], {"style": "nobody"}, 422, "unknown_style"),
        ([painting_bytes()], {"stroke_size": 63}, 422, "invalid_parameters"),
        ([], {"style_image_weights": "[1]", "style": "amber"}, 422, "invalid_parameters"),
        ([], {}, 422, "invalid_parameters"),
    ],
)
def test_what_teaches_no_style_is_refused_in_words(
    client: TestClient, paintings: list[bytes], fields: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(stylize(client, *paintings, **fields), status, code)


def test_a_text_in_place_of_a_file_is_named(client: TestClient) -> None:
    answer = client.post(URL, files=upload(), data={"style_image": "painting.jpg"})
    assert "style_image: must be a file" in assert_problem(answer, 422)["detail"]


def test_predictions_are_admitted_and_let_health_answer(
    predicting_weights_folder: Path, tmp_path: Path
) -> None:
    with (
        running_client(predicting_weights_folder, tmp_path, max_queue_requests=2) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        answers = list(pool.map(lambda seed: stylize(client, painting_bytes(seed=seed)), range(12)))
        assert client.get("/healthz").status_code == 200
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert any(answer.status_code == 200 for answer in answers)
    for answer in answers:
        if answer.status_code == 429:
            assert_problem(answer, 429, "overloaded")


def test_a_strip_is_read_in_its_middle_alone() -> None:
    assert pixels_read((100, 100), 64) == 64 * 64
    assert pixels_read((100, 10_000), 64) == 3 * 64 * 64
    assert pixels_read((100, 10_000), 1024) == 3 * 384 * 384, "at three sizes, so many at most"


@pytest.mark.parametrize("file", [None, b"damaged"])
def test_a_server_without_a_predictor_says_so(
    predicting_weights_folder: Path, tmp_path: Path, file: bytes | None
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(predicting_weights_folder, folder)
    (folder / "predictor.safetensors").unlink()
    if file is not None:
        (folder / "predictor.safetensors").write_bytes(file)
    with running_client(folder, tmp_path / "data") as client:
        assert "predictor" in client.get("/readyz").json()["predictor"]
        assert_problem(stylize(client, painting_bytes()), 409, "no_predictor")
        assert client.post(URL, files=upload(photo_bytes()), data={"style": "amber"}).is_success

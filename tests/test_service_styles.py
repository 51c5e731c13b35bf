"""/v1/styles: the library over HTTP."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from learning_helpers import wait_for
from service_helpers import assert_problem, open_picture, photo_bytes, running_client, upload

from model.styles.library import StyleLibrary
from model.styles.style_file import load_style, pack_style, read_style


@pytest.fixture
def weights(small_weights_folder: Path, tmp_path: Path) -> Path:
    """A weights folder of the test's own, one style with a preview."""
    folder = tmp_path / "weights"
    shutil.copytree(small_weights_folder, folder)
    (folder / "styles" / "amber.webp").write_bytes(photo_bytes(format="WEBP"))
    return folder


@pytest.fixture
def client(weights: Path, tmp_path: Path) -> Iterator[TestClient]:
    with running_client(weights, tmp_path / "data") as client:
        yield client


def test_list_and_one(client: TestClient) -> None:
    styles = client.get("/v1/styles").json()["styles"]
    assert [style["id"] for style in styles] == ["amber", "birch", "cobalt"]
    amber = styles[0]
    assert amber["preview"] == f"/v1/styles/amber/preview?revision={amber['revision']}"
    assert amber["credit"] == "attributed to An Artist, 1900"
    assert styles[1]["preview"] is None
    assert client.get("/v1/styles/amber").json() == amber
    assert_problem(client.get("/v1/styles/nobody"), 404, "unknown_style")


def test_preview_is_cacheable(client: TestClient) -> None:
    first = client.get("/v1/styles/amber/preview")
    assert first.headers["content-type"] == "image/webp"
    match = {"If-None-Match": first.headers["etag"]}
    assert client.get("/v1/styles/amber/preview", headers=match).status_code == 304
    assert "immutable" not in first.headers["cache-control"]
    lasting = client.get(client.get("/v1/styles/amber").json()["preview"])
    assert (lasting.content, lasting.headers["etag"]) == (first.content, first.headers["etag"])
    assert "immutable" in lasting.headers["cache-control"]
    earlier = client.get("/v1/styles/amber/preview", params={"revision": "0" * 12})
    assert earlier.content == first.content
    assert "immutable" not in earlier.headers["cache-control"]
    assert_problem(client.get("/v1/styles/birch/preview"), 404, "no_preview")


def test_export_import_use_delete(client: TestClient, weights: Path) -> None:
    file = client.get("/v1/styles/amber/file")
    assert read_style(file.content).code.equal(
        load_style(weights / "styles" / "amber.safetensors").code
    )
    made = client.put("/v1/styles/mine/file", content=file.content)
    assert made.status_code == 201
    assert made.json()["kind"] == "custom"
    assert made.json()["created"]
    preview = client.get("/v1/styles/mine/preview")
    assert open_picture(preview.content).size == (256, 256)
    assert client.put("/v1/styles/mine/file", content=file.content).status_code == 200
    assert client.get("/v1/styles").json()["styles"][0]["id"] == "mine"
    drawn = [
        client.post("/v1/stylize", files=upload(), data={"style": id_}).content
        for id_ in ("mine", "amber")
    ]
    assert drawn[0] == drawn[1]
    assert client.delete("/v1/styles/mine").status_code == 204
    assert_problem(client.delete("/v1/styles/mine"), 404)
    refused = client.post("/v1/stylize", files=upload(), data={"style": "mine"})
    assert_problem(refused, 422, "unknown_style")


def test_a_style_survives_a_restart(weights: Path, tmp_path: Path) -> None:
    for _ in range(2):
        with running_client(weights, tmp_path / "data") as client:
            file = client.get("/v1/styles/amber/file").content
            if client.get("/v1/styles/mine").status_code == 404:
                client.put("/v1/styles/mine/file", content=file)
    names = sorted(path.name for path in (tmp_path / "data" / "styles").iterdir())
    assert names == ["mine.safetensors", "mine.webp"]


def test_built_in_styles_stay(client: TestClient) -> None:
    file = client.get("/v1/styles/amber/file").content
    assert_problem(client.put("/v1/styles/amber/file", content=file), 409, "built_in_style")
    assert_problem(client.delete("/v1/styles/amber"), 403, "built_in_style")


def test_bad_style_files_are_refused(client: TestClient, weights: Path) -> None:
    style = load_style(weights / "styles" / "amber.safetensors")
    good = pack_style(style)
    flipped = bytearray(good)
    flipped[-5] ^= 1
    foreign = pack_style(replace(style, network="0" * 16))
    cases = [
        (b"", 422, "invalid_style"),
        (b"nonsense", 422, "invalid_style"),
        (good[:-9], 422, "invalid_style"),
        (bytes(flipped), 422, "invalid_style"),
        (b"x" * 1_000_001, 413, "too_many_bytes"),
        (foreign, 422, "foreign_style"),
    ]
    for data, status, code in cases:
        assert_problem(client.put("/v1/styles/mine/file", content=data), status, code)
    not_finite = style.code.clone()
    not_finite[7] = torch.nan
    object.__setattr__(style, "code", not_finite)  # as only a forger could
    response = client.put("/v1/styles/mine/file", content=pack_style(style))
    assert_problem(response, 422, "invalid_style")
    assert client.get("/v1/styles/mine").status_code == 404


def test_a_style_file_s_title_is_stored_as_text(client: TestClient, weights: Path) -> None:
    style = load_style(weights / "styles" / "amber.safetensors")
    for title, stored in (
        ("<b>Ö</b> 🎨", "<b>Ö</b> 🎨"),
        ("O\u0308l", "Öl"),
        ("a\u202eb\x00c\nd", "a b c d"),
    ):
        response = client.put("/v1/styles/t/file", content=pack_style(replace(style, title=title)))
        assert response.json()["title"] == stored
    for title in ("", " \n", "x" * 10_000):
        response = client.put("/v1/styles/t/file", content=pack_style(replace(style, title=title)))
        assert_problem(response, 422, "invalid_style")


def test_what_another_process_adds_is_found(client: TestClient, tmp_path: Path) -> None:
    style = read_style(client.get("/v1/styles/birch/file").content)
    folder = tmp_path / "data" / "styles"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "late.safetensors").write_bytes(pack_style(replace(style, id="late")))
    response = client.post("/v1/stylize", files=upload(), data={"style": "late"})
    assert response.status_code == 200


def test_a_damaged_style_does_not_keep_the_service_from_starting(
    weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "styles"
    folder.mkdir(parents=True)
    (folder / "broken.safetensors").write_bytes(b"not a style")
    with running_client(weights, tmp_path / "data") as client:
        assert len(client.get("/v1/styles").json()["styles"]) == 3
    assert (folder / "quarantine" / "broken.safetensors").exists()


def test_styles_of_another_process_count_and_go(
    small_weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a worker, or a service on the same folder, leaves them; nobody lists in between."""
    monkeypatch.setattr("app.main.LOOK_S", 0.05)
    amber, birch = (
        load_style(small_weights_folder / "styles" / f"{id_}.safetensors")
        for id_ in ("amber", "birch")
    )
    folder = tmp_path / "data" / "styles"
    other = StyleLibrary(small_weights_folder / "styles", amber.network, folder)
    with running_client(small_weights_folder, tmp_path / "data") as client:

        def stylize() -> Any:
            return client.post("/v1/stylize", files=upload(), data={"style": "learned"})

        other.add(replace(amber, id="learned"))
        wait_for(lambda: client.get("/readyz").json()["styles"] == 4)
        assert "pastiche_styles 4.0" in client.get("/metrics").text
        monkeypatch.setattr("app.main.LOOK_S", 1e9)
        time.sleep(0.1)
        first = stylize()
        assert first.status_code == 200
        other.add(replace(birch, id="learned"))
        assert stylize().content != first.content, "replaced"
        assert client.get("/v1/styles/learned").json()["title"] == "Birch"
        other.remove("learned")
        assert_problem(stylize(), 422, "unknown_style")
        assert_problem(client.get("/v1/styles/learned/file"), 404, "unknown_style")


def test_a_revision_tells_that_a_style_has_changed(
    client: TestClient, weights: Path, tmp_path: Path
) -> None:
    amber, birch = (
        load_style(weights / "styles" / f"{id_}.safetensors") for id_ in ("amber", "birch")
    )
    other = StyleLibrary(weights / "styles", amber.network, tmp_path / "data" / "styles")
    painting = photo_bytes(80, 70, format="WEBP")
    other.add(replace(amber, id="mine"), photo_bytes(64, 64, 1, "WEBP"), painting)
    first = client.get("/v1/styles/mine").json()
    assert client.get("/v1/styles/amber").json()["revision"] == first["revision"], "the same row"
    shown = client.get(first["painting"])
    assert (shown.content, shown.headers["content-type"]) == (painting, "image/webp")
    assert "immutable" in shown.headers["cache-control"]

    other.add(replace(amber, id="mine", title="New"), None, painting)
    assert client.get("/v1/styles/mine").json() == first | {"title": "New"}
    other.add(replace(birch, id="mine"), photo_bytes(64, 64, 2, "WEBP"))
    second = client.get("/v1/styles/mine").json()
    assert second["revision"] != first["revision"]
    assert second["preview"] != first["preview"]
    assert second["painting"] is None
    match = {"If-None-Match": client.get(first["preview"]).headers["etag"]}
    assert client.get(second["preview"], headers=match).status_code == 304
    assert_problem(client.get("/v1/styles/mine/painting"), 404, "no_painting")
    assert_problem(client.get("/v1/styles/nobody/painting"), 404, "unknown_style")


def test_built_in_styles_come_as_catalogued_with_their_works(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(small_weights_folder, weights)
    works = weights / "styles" / "catalogue.json"
    known = {"group": "japan", "movement": "ukiyo-e", "country": "JP"}
    works.write_text(json.dumps({"cobalt": known, "gone": {}}))
    (weights / "styles" / "paintings").mkdir()
    picture = photo_bytes(64, 48, format="WEBP")
    (weights / "styles" / "paintings" / "birch.webp").write_bytes(picture)
    with running_client(weights, tmp_path / "data") as client:
        styles = client.get("/v1/styles").json()["styles"]
        assert [style["id"] for style in styles] == ["cobalt", "amber", "birch"]
        assert styles[0].items() >= known.items()
        assert styles[1].items() >= dict.fromkeys(known, "").items()
        assert [style["can_retune"] for style in styles] == [False] * 3
        assert client.get(styles[2]["painting"]).content == picture
        assert styles[0]["painting"] is None

    for damaged in ("[]", "{", '{"cobalt": {"country": 3}}', '{"cobalt": {"colour": "blue"}}'):
        works.write_text(damaged)
        library = StyleLibrary(
            weights / "styles", load_style(weights / "styles" / "amber.safetensors").network
        )
        assert [style.id for style in library] == ["amber", "birch", "cobalt"]
        assert library.problems == {"catalogue": "damaged catalogue"}

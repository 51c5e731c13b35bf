"""Style files made to harm: a right checksum over what no network can bear."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import save
from service_helpers import assert_problem, running_client, upload

from model.storage.tensorfile import DIGEST_KEY, MAX_DEPTH, digest_tensors
from model.styles.library import ROW_ROOM, StyleLibrary
from model.styles.style import DamagedStyleError, Style
from model.styles.style_file import load_style, pack_style, read_style


@pytest.fixture(scope="module")
def amber(small_weights_folder: Path) -> Style:
    return load_style(small_weights_folder / "styles" / "amber.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(small_weights_folder: Path, data: Path) -> Iterator[TestClient]:
    with running_client(small_weights_folder, data) as client:
        yield client


def forged(style: Style, text: str) -> bytes:
    """A style file with a right checksum over any metadata."""
    tensors = {"code": style.code}
    return save(tensors, {"pastiche": text, DIGEST_KEY: digest_tensors(tensors, prefix=text)})


def metadata(style: Style, **changes: object) -> str:
    values = {
        "format": "pastiche-style/1", "id": "amber", "title": "A", "kind": "custom",
        "network": style.network, **changes,
    }  # fmt: skip
    return json.dumps(values)


def assert_refused(client: TestClient, data: Path, content: bytes) -> None:
    assert_problem(client.put("/v1/styles/mine/file", content=content), 422, "invalid_style")
    assert client.get("/v1/styles/mine").status_code == 404
    left = [path for path in data.rglob("*") if "mine" in path.name]
    assert left == [], "a refused style leaves nothing behind"


def test_rows_that_the_network_cannot_bear(client: TestClient, data: Path, amber: Style) -> None:
    too_large = amber.code.clone()
    too_large[5] = 2 * ROW_ROOM * amber.code.abs().max()
    for code in (
        amber.code[:-1],
        torch.cat([amber.code, amber.code[:1]]),
        torch.empty(0),
        torch.full_like(amber.code, 1e38),
        torch.full_like(amber.code, -3e38),
        too_large,
    ):
        assert_refused(client, data, pack_style(replace(amber, code=code)))


def test_a_style_that_gives_no_picture(
    client: TestClient, data: Path, amber: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What bounds alone would let through is found out by a picture of noise."""
    monkeypatch.setattr("model.styles.library.ROW_ROOM", 1e40)
    assert_refused(client, data, pack_style(replace(amber, code=torch.full_like(amber.code, 3e38))))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 10_000 + "]" * 10_000,
        '"' + '\\"' * 30_000,
        "x" * 100_000,
    ],
    ids=["open", "open objects", "nested", "quotes", "long"],
)
def test_metadata_that_no_parser_should_see(
    client: TestClient, data: Path, amber: Style, text: str
) -> None:
    assert_refused(client, data, forged(amber, text))
    no_checksum = save({"code": amber.code}, {"pastiche": text, DIGEST_KEY: "0"})
    assert_refused(client, data, no_checksum)


@pytest.mark.parametrize(
    "changes",
    [
        {"artist": "\udfff"},
        {"title": "a", "training": {"note": "\ud800"}},
        {"training": {"loss": float("inf")}},
        {"training": {"loss": float("nan")}},
        {"artist": "x" * 200},
        {"year": "9" * 5000},
        {"attribution": ["known"]},
        {"created": "x" * 10_000},
        {"training": {"deep": json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)}},
    ],
)
def test_text_is_checked_at_the_door(
    client: TestClient, data: Path, amber: Style, changes: dict[str, object]
) -> None:
    assert_refused(client, data, forged(amber, metadata(amber, **changes)))


def test_numbers_beyond_all_bounds_are_none(client: TestClient, data: Path, amber: Style) -> None:
    text = metadata(amber, training={"loss": 1}).replace('"loss": 1', '"loss": 1e999')
    assert_refused(client, data, forged(amber, text))


def test_control_characters_of_an_artist_are_gone(client: TestClient, amber: Style) -> None:
    text = metadata(amber, artist="A\x1b[31m\u202eB\x00")
    response = client.put("/v1/styles/tidy/file", content=forged(amber, text))
    assert response.json()["artist"] == "A [31m B"
    again = read_style(client.get("/v1/styles/tidy/file").content)
    assert again.artist == "A [31m B"
    client.delete("/v1/styles/tidy")


def test_a_hostile_file_in_the_folder_is_quarantined(
    small_weights_folder: Path, tmp_path: Path, amber: Style
) -> None:
    custom = tmp_path / "styles"
    custom.mkdir()
    short = replace(amber, id="short", kind="custom", code=amber.code[:-1])
    (custom / "short.safetensors").write_bytes(pack_style(short))
    good = replace(amber, id="good", kind="custom", code=2 * amber.code)
    (custom / "good.safetensors").write_bytes(pack_style(good))
    library = StyleLibrary(small_weights_folder / "styles", amber.network, custom)
    assert "good" in library
    assert "short" not in library
    assert "numbers" in library.problems["short"]
    assert (custom / "quarantine" / "short.safetensors").exists()
    with pytest.raises(DamagedStyleError):
        library.add(short)


def test_strangers_are_answered_beside_a_hostile_style(client: TestClient, amber: Style) -> None:
    """Forty requests for a good style while hostile files are sent in."""
    short = pack_style(replace(amber, code=amber.code[:-1]))

    def send(i: int) -> int:
        if i % 4 == 0:
            return client.put(f"/v1/styles/bad-{i}/file", content=short).status_code
        return client.post("/v1/stylize", files=upload(), data={"style": "amber"}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(40)))
    assert statuses[::4] == [422] * 10
    assert [status for i, status in enumerate(statuses) if i % 4] == [200] * 30

"""POST /v1/stylize: what it draws, and what it refuses."""

import io
import json
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from service_helpers import (
    assert_problem,
    open_picture,
    photo_bytes,
    photo_levels,
    running_client,
    upload,
)

from app import rendering
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.styles.style_file import load_style

URL = "/v1/stylize"


@pytest.fixture(scope="module")
def client(
    small_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    with running_client(small_weights_folder, tmp_path_factory.mktemp("data")) as client:
        yield client


def test_result_is_what_the_network_draws(client: TestClient, small_weights_folder: Path) -> None:
    response = client.post(URL, files=upload(), data={"style": "amber"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    stylizer = Stylizer.load(small_weights_folder, "cpu")
    look = Look(load_style(small_weights_folder / "styles" / "amber.safetensors").code)
    expected = stylizer.stylize_image(open_picture(photo_bytes()), look)
    drawn = np.asarray(open_picture(response.content), np.int16)
    assert np.abs(drawn - np.asarray(expected, np.int16)).max() <= 1


def test_every_answer_tells_its_id_and_its_times(client: TestClient) -> None:
    response = client.post(
        URL, files=upload(), data={"style": "amber"}, headers={"X-Request-Id": "my-id.1"}
    )
    assert response.headers["x-request-id"] == "my-id.1"
    steps = [part.split(";")[0] for part in response.headers["server-timing"].split(", ")]
    assert steps == ["decode", "queue", "inference", "encode"]
    forged = client.get("/healthz", headers={"X-Request-Id": "a b"})
    assert forged.headers["x-request-id"] != "a b"


def test_strength_zero_is_the_photo(client: TestClient) -> None:
    response = client.post(URL, files=upload(), data={"style": "amber", "strength": "0"})
    assert np.array_equal(np.asarray(open_picture(response.content)), photo_levels())


def test_a_mix_of_one_is_that_style_and_scale_of_weights_is_nothing(client: TestClient) -> None:
    def draw(**data: str) -> np.ndarray:
        response = client.post(URL, files=upload(), data=data)
        assert response.status_code == 200
        return np.asarray(open_picture(response.content))

    single = draw(style="amber")
    assert np.array_equal(draw(mix='[{"style": "amber", "weight": 3}]'), single)
    halves = '[{"style": "amber", "weight": 0.5}, {"style": "birch", "weight": 0.5}]'
    tens = '[{"style": "amber", "weight": 10}, {"style": "birch", "weight": 10}]'
    assert np.array_equal(draw(mix=halves), draw(mix=tens))
    assert not np.array_equal(draw(mix=halves), single)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_format_defaults_to_the_upload_s_and_can_be_chosen(client: TestClient, format: str) -> None:
    photo = photo_bytes(format=format)
    kept = client.post(URL, files=upload(photo), data={"style": "amber"})
    assert kept.headers["content-type"] == f"image/{format}"
    asked = client.post(URL, files=upload(), data={"style": "amber", "format": format})
    assert open_picture(asked.content).format == format.upper()


def test_a_gif_becomes_a_png(client: TestClient) -> None:
    photo = photo_bytes(format="GIF")
    response = client.post(URL, files=upload(photo), data={"style": "amber"})
    assert response.headers["content-type"] == "image/png"


def test_max_side_shrinks_and_never_enlarges(client: TestClient) -> None:
    for asked, size in ((20, (20, 13)), (48, (48, 32)), (60_000, (48, 32))):
        response = client.post(URL, files=upload(), data={"style": "amber", "max_side": str(asked)})
        assert open_picture(response.content).size == size


def test_an_answer_says_its_size_and_whether_the_photo_was_shrunk(client: TestClient) -> None:
    for asked, shrunk in ((20, "48x32"), (48, None)):
        response = client.post(URL, files=upload(), data={"style": "amber", "max_side": str(asked)})
        width, height = open_picture(response.content).size
        assert int(response.headers["x-picture-width"]) == width
        assert int(response.headers["x-picture-height"]) == height
        assert response.headers.get("x-picture-shrunk-from") == shrunk


def test_the_server_s_own_side_limit_holds(small_weights_folder: Path, tmp_path: Path) -> None:
    with running_client(small_weights_folder, tmp_path, max_side=16) as client:
        for data in ({}, {"max_side": "40"}):
            response = client.post(URL, files=upload(), data={"style": "amber", **data})
            assert max(open_picture(response.content).size) == 16


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 3), (5, 5), (1, 300), (300, 1), (257, 16)])
def test_odd_sizes_stay(client: TestClient, size: tuple[int, int]) -> None:
    response = client.post(URL, files=upload(photo_bytes(*size)), data={"style": "birch"})
    assert response.status_code == 200
    assert open_picture(response.content).size == size


BAD_FIELDS = {
    "no style": {},
    "both": {"style": "amber", "mix": '[{"style": "amber", "weight": 1}]'},
    "unknown style": {"style": "nobody"},
    "style with markup": {"style": "<script>alert(1)</script>"},
    "style of 10 kB": {"style": "a" * 10_000},
    "field made up": {"style": "amber", "colour": "red"},
    **{
        f"strength {value[:20]}": {"style": "amber", "strength": value}
        for value in (
            "NaN", "nan", "inf", "-Infinity", "1e999", "-0.1", "1.1", "x", "null", "true", "",
            "1_0", "0x1", " 1", "1 ", "\u0661", "1" * 5000, "[1]",
        )
    },
    **{
        f"{field} {value}": {"style": "amber", field: value}
        for field in ("quality", "max_side")
        for value in ("0", "-1", "1.5", "1e2", "NaN", "true", "1_0", "9" * 400)
    },
    "quality 101": {"style": "amber", "quality": "101"},
    "format gif": {"style": "amber", "format": "gif"},
    "format ../x": {"style": "amber", "format": "../x"},
    "preserve_color 1": {"style": "amber", "preserve_color": "1"},
}  # fmt: skip

BAD_MIXES = [
    "", "x", "null", "1", "{}", "[]", "[1]", "[null]", "[[]]", "[" * 3000,
    '[{"style": "amber"}]',
    '[{"weight": 1}]',
    '[{"style": "amber", "weight": 1, "more": 1}]',
    '[{"style": "amber", "weight": 0}]',
    '[{"style": "amber", "weight": 1}, {"style": "amber", "weight": 1}]',
    '[{"style": "amber", "weight": 1, "weight": 2}]',
    '[{"style": "amber", "style": "birch", "weight": 1}]',
    '[{"style": "nobody", "weight": 1}]',
    '[{"style": 1, "weight": 1}]',
    *(
        f'[{{"style": "amber", "weight": {value}}}]'
        for value in ("NaN", "Infinity", "1e999", "-1", "-1e-9", '"1"', "true", "null", "9" * 400)
    ),
    json.dumps([{"style": f"s{i}", "weight": 1} for i in range(100)]),
    json.dumps([{"style": f"s{i}", "weight": 1} for i in range(9)]),
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_bad_parameters_are_refused(client: TestClient, fields: dict[str, str]) -> None:
    response = client.post(URL, files=upload(), data=fields)
    body = assert_problem(response, 422)
    for value in fields.values():
        assert len(value) < 6 or value not in json.dumps(body), "the input is echoed"


@pytest.mark.parametrize("mix", BAD_MIXES, ids=lambda mix: mix[:50])
def test_bad_mixes_are_refused(client: TestClient, mix: str) -> None:
    assert_problem(client.post(URL, files=upload(), data={"mix": mix}), 422)


def test_files_that_are_no_picture(client: TestClient) -> None:
    photo = photo_bytes()
    cases = [
        (b"", 422, "empty_picture"),
        (b"hello", 415, "unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_format"),
        (b"%PDF-1.7", 415, "unsupported_format"),
        (photo[: len(photo) // 2], 422, "undecodable_picture"),
        (photo_bytes(64, 64, format="JPEG")[:-40], 422, "undecodable_picture"),
    ]
    for data, status, code in cases:
        response = client.post(URL, files=upload(data), data={"style": "amber"})
        assert_problem(response, status, code)


def png_claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + chunk + end


@pytest.mark.parametrize("size", [(100_000, 100_000), (60_000, 100), (8_000, 7_000)])
def test_too_large_is_refused_by_its_header(client: TestClient, size: tuple[int, int]) -> None:
    begun = time.perf_counter()
    response = client.post(URL, files=upload(png_claiming(*size)), data={"style": "amber"})
    assert_problem(response, 422, "picture_too_large")
    assert time.perf_counter() - begun < 0.3


def test_file_names_are_never_used(client: TestClient) -> None:
    for name in ("../../etc/passwd", "a\u202egnp.exe", "x" * 3000, "nul\x00.png", 'q"; x="y'):
        files = {"image": (name, photo_bytes(), "text/html")}
        response = client.post(URL, files=files, data={"style": "amber"})
        assert response.status_code in (200, 400)
        assert "content-disposition" not in response.headers
        if response.status_code == 200:
            assert response.headers["content-type"] == "image/png"
            assert response.headers["x-content-type-options"] == "nosniff"


def test_metadata_does_not_come_back(client: TestClient) -> None:
    image = open_picture(photo_bytes())
    exif = image.getexif()
    exif[0x010E] = "SECRET-PLACE"
    stream = io.BytesIO()
    image.save(stream, "JPEG", exif=exif, comment=b"SECRET-PLACE")
    assert b"SECRET-PLACE" in stream.getvalue()
    response = client.post(URL, files=upload(stream.getvalue()), data={"style": "amber"})
    assert b"SECRET-PLACE" not in response.content


def test_transparency_comes_back(client: TestClient) -> None:
    image = open_picture(photo_bytes()).convert("RGBA")
    image.putalpha(image.getchannel("R"))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    response = client.post(URL, files=upload(stream.getvalue()), data={"style": "amber"})
    drawn = open_picture(response.content)
    assert drawn.mode == "RGBA"
    assert drawn.getchannel("A").tobytes() == image.getchannel("R").tobytes()


def test_a_result_too_wide_for_its_format(small_weights_folder: Path, tmp_path: Path) -> None:
    with running_client(small_weights_folder, tmp_path, max_side=65_500) as client:
        data = {"style": "amber", "format": "webp"}
        response = client.post(URL, files=upload(photo_bytes(16_400, 164)), data=data)
        assert_problem(response, 422, "picture_too_large")


def test_server_timing_tells_decoding_from_waiting_for_it(
    small_weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, took_s = rendering._decode, 0.4

    def decode_slowly(*arguments: Any) -> Any:
        time.sleep(took_s)
        return decode(*arguments)

    monkeypatch.setattr(rendering, "_decode", decode_slowly)
    with (
        running_client(small_weights_folder, tmp_path, codec_threads=1) as client,
        ThreadPoolExecutor(3) as pool,
    ):

        def post(_: int) -> dict[str, float]:
            answer = client.post(URL, files=upload(), data={"style": "amber"})
            steps = (step.split(";dur=") for step in answer.headers["server-timing"].split(", "))
            return {name: float(ms) / 1000 for name, ms in steps}

        timings = list(pool.map(post, range(3)))
    assert {"decode", "queue", "inference", "encode"} <= timings[0].keys()
    assert all(took_s <= each["decode"] < 1.9 * took_s for each in timings)
    assert max(each["queue"] for each in timings) > 1.5 * took_s, "the last waited for two"

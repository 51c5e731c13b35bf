"""The service as HTTP: bodies, addresses, hosts, origins, keys, headers; one shape of errors."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from service_helpers import (
    assert_problem,
    make_settings,
    photo_bytes,
    running_client,
    upload,
)

from app.main import create_app
from app.web.errors import ApiError, to_api_error

URL = "/v1/stylize"
LIMIT = 100_000


@pytest.fixture(scope="module")
def client(
    small_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    data = tmp_path_factory.mktemp("data")
    with running_client(small_weights_folder, data, max_upload_bytes=LIMIT) as client:
        yield client


def form(parts: list[tuple[str, bytes]], boundary: str = "b") -> dict[str, Any]:
    """A raw multipart body: each part is its disposition's parameters and its content."""
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for head, content in parts
    )
    content = body + f"--{boundary}--\r\n".encode()
    return {
        "content": content,
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"},
    }


IMAGE = ('name="image"; filename="a.png"', photo_bytes())
STYLE = ('name="style"', b"amber")


def test_declared_length_over_the_limit(client: TestClient) -> None:
    big = upload(b"x" * (LIMIT + 70_000))
    assert_problem(client.post(URL, files=big, data={"style": "amber"}), 413, "too_many_bytes")


def test_file_over_the_limit_in_a_body_under_it(client: TestClient) -> None:
    big = upload(b"x" * (LIMIT + 1))
    assert_problem(client.post(URL, files=big, data={"style": "amber"}), 413, "too_many_bytes")


def test_chunked_body_over_the_limit_is_not_read_on(client: TestClient) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        while sent < 50 * LIMIT:
            sent += 10_000
            yield b"x" * 10_000

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = client.post(URL, content=endless(), headers=headers)
    assert_problem(response, 413, "too_many_bytes")


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (form([IMAGE, IMAGE, STYLE]), {422}),
        (form([IMAGE, STYLE, STYLE]), {422}),
        (form([STYLE]), {422}),
        (form([('name="image"', b"text"), STYLE]), {422}),
        (form([IMAGE, STYLE, *[(f'name="f{i}"', b"1") for i in range(10_000)]]), {400, 413}),
        (form([STYLE, *[(f'name="f{i}"; filename="x"', b"1") for i in range(1000)]]), {400}),
        (form([IMAGE, ('name="style"', b"a" * 90_000)]), {400}),
        (form([IMAGE, ('filename="nameless"', b"1")]), {400}),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, {400}),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, {400}),
        ({"content": b'{"style":"amber"}', "headers": {"Content-Type": "application/json"}}, {422}),
        ({"content": b"style=amber"}, {422}),
        ({}, {422}),
    ],
    ids=[
        "two files in one field", "a field twice", "no file", "a text for a file", "10,000 fields",
        "1,000 files", "long text", "no name", "no boundary", "no multipart", "json", "untyped",
        "nothing",
    ],
)  # fmt: skip
def test_bad_bodies(client: TestClient, request_: dict[str, Any], statuses: set[int]) -> None:
    response = client.post(URL, **request_)
    assert response.status_code in statuses, response.text
    assert_problem(response, response.status_code)


@pytest.mark.parametrize(
    "id_",
    ["nobody", "..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%2fb", "%00", "%ff",
     "a" * 10_000, "%3Cscript%3E", "AMBER", "amber.", "amber%20"],
)  # fmt: skip
@pytest.mark.parametrize("tail", ["", "/preview", "/file"])
def test_ids_in_paths(client: TestClient, id_: str, tail: str) -> None:
    assert_problem(client.get(f"/v1/styles/{id_}{tail}"), 404)
    if tail == "/file":
        response = client.put(f"/v1/styles/{id_}{tail}", content=b"x")
        assert response.status_code in (404, 405, 422)
    if not tail:
        assert client.delete(f"/v1/styles/{id_}").status_code in (404, 405)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", "/nothing.html", 404),
        ("GET", "/%00", 404),
        ("GET", "/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/" + "a" * 5000, 404),
        ("DELETE", "/v1/stylize", 405),
        ("GET", "/v1/stylize", 405),
        ("POST", "/healthz", 405),
        ("BREW", "/v1/styles", 405),
        ("BREW", "/", 404),
    ],
)
def test_wrong_addresses_and_methods(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)
    assert_problem(response, status)
    if status == 405:
        assert response.headers["allow"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://[localhost"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://localhost\u2100".encode()}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({}, 200),
    ],
)
def test_posts_of_other_sites(
    client: TestClient, headers: dict[str, str | bytes], status: int
) -> None:
    response = client.post(URL, files=upload(), data={"style": "amber"}, headers=headers)
    assert response.status_code == status
    if status != 200:
        assert_problem(response, status, "cross_site")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "localhost:80:80"])
def test_foreign_hosts(client: TestClient, host: str) -> None:
    assert_problem(client.get("/v1/styles", headers={"Host": host}), 400, "unknown_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_own_hosts(client: TestClient, host: str) -> None:
    assert client.get("/v1/styles", headers={"Host": host}).status_code == 200


def test_hosts_by_setting(small_weights_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    public = make_settings(small_weights_folder, data, host="0.0.0.0")  # noqa: S104
    assert public.accepted_hosts is None
    named = make_settings(small_weights_folder, data, allowed_hosts="a.example, B.example")
    assert named.accepted_hosts == {"a.example", "b.example"}


def test_a_hundred_ranges(client: TestClient) -> None:
    ranges = "bytes=" + ",".join(f"{i}-{i}" for i in range(100))
    assert_problem(client.get("/", headers={"Range": ranges}), 416)


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for response in (client.get("/"), client.get("/v1/styles"), client.get("/v1/nothing")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in response.headers["content-security-policy"]
        assert "access-control-allow-origin" not in response.headers
        assert "server" not in response.headers


def test_api_key(small_weights_folder: Path, tmp_path: Path) -> None:
    with running_client(small_weights_folder, tmp_path, api_key="secret-key") as client:
        for headers in ({}, {"X-API-Key": "secret-kex"}, {"X-API-Key": "ä"}):
            raw = {name: value.encode() for name, value in headers.items()}
            for method, path in (("PUT", "/v1/styles/a/file"), ("DELETE", "/v1/styles/amber")):
                response = client.request(method, path, headers=raw)
                assert_problem(response, 403, "missing_key")
        key = {"X-API-Key": "secret-key"}
        assert client.delete("/v1/styles/nobody", headers=key).status_code == 404
        posted = client.post(URL, files=upload(), data={"style": "amber"})
        assert posted.status_code == 200


def test_api_key_to_stylize(small_weights_folder: Path, tmp_path: Path) -> None:
    values = {"api_key": "secret-key", "api_key_for_stylize": True}
    with running_client(small_weights_folder, tmp_path, **values) as client:
        posted = client.post(URL, files=upload(), data={"style": "amber"})
        assert_problem(posted, 403, "missing_key")
        key = {"X-API-Key": "secret-key"}
        posted = client.post(URL, files=upload(), data={"style": "amber"}, headers=key)
        assert posted.status_code == 200


def test_an_unforeseen_error_says_nothing_of_itself(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    app = create_app(make_settings(small_weights_folder, tmp_path))

    @app.get("/broken")
    async def broken(_: Request) -> None:
        raise RuntimeError("the secret of /etc/passwd")

    with TestClient(app, base_url="http://localhost") as client:
        response = client.get("/broken")
        assert_problem(response, 500, "internal")
        assert "secret" not in response.text
        assert client.get("/healthz").status_code == 200


def test_a_full_disk_is_told_as_such() -> None:
    error = to_api_error(OSError(28, "No space left on device", "/data/secret"))
    assert (error.status, error.code) == (507, "disk_full")
    assert isinstance(error, ApiError)
    assert "secret" not in error.detail


def test_reference_and_schema(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    stylize = schema["paths"][URL]["post"]
    for status in ("200", "400", "403", "413", "415", "422", "429", "503"):
        assert status in stylize["responses"]
    assert "application/problem+json" in stylize["responses"]["429"]["content"]
    assert "Problem" in schema["components"]["schemas"]
    page = client.get("/docs")
    assert page.status_code == 200
    assert "/v1/stylize" in page.text
    assert "<script" not in page.text
    assert "style=" not in page.text
    for name in ("strength", "preserve_color", "max_side", "mix", "stroke_size"):
        assert f"<code>{name}</code>" in page.text, "form fields are listed"
    assert "number, 0 to 1, by default 1.0" in page.text
    assert "png or jpeg or webp" in page.text


def test_ranges_are_told_in_the_schema_s_own_words(client: TestClient) -> None:
    text = json.dumps(client.get("/openapi.json").json())
    for word in ("ge", "le", "gt", "lt"):
        assert f'"{word}":' not in text
    assert '"minimum": 0' in text


def test_browsers_that_ask_for_an_icon_find_it(client: TestClient) -> None:
    answer = client.get("/favicon.ico")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("image/svg+xml")


def test_page_files_are_served_and_revalidated(client: TestClient) -> None:
    picture = client.get("/samples/chelsea.jpg")
    assert picture.status_code == 200
    assert picture.headers["cache-control"] == "no-cache"
    etag = picture.headers["etag"]
    assert client.get("/samples/chelsea.jpg", headers={"If-None-Match": etag}).status_code == 304
    assert client.head("/samples/chelsea.jpg").status_code == 200
    assert io.BytesIO(picture.content).read(2) == b"\xff\xd8"
    assert client.get("/").status_code == 200


def test_metrics_count(client: TestClient) -> None:
    client.post(URL, files=upload(), data={"style": "amber"})
    client.post(URL, files=upload(), data={"style": "nobody"})
    text = client.get("/metrics").text
    for line in (
        'pastiche_requests_total{method="POST",route="/v1/stylize",status="200"}',
        'pastiche_refusals_total{reason="unknown_style"}',
        "pastiche_queue_requests 0.0",
        "pastiche_queue_pixels 0.0",
        "pastiche_batch_size_bucket",
        "pastiche_pixels_total",
        "pastiche_inference_seconds_count",
        "pastiche_styles 3.0",
        "pastiche_ready 1.0",
    ):
        assert line in text


def answer_without_body(app: Any, method: str, path: str) -> int:
    """The status of a request whose body must not be asked for."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"10000"),
               (b"content-type", b"multipart/form-data; boundary=b")]  # fmt: skip
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "headers": headers,
        "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "",
        "server": ("localhost", 80), "client": ("localhost", 1), "app": app, "state": {},
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    status: int = sent[0]["status"]
    return status


def test_a_full_queue_is_looked_at_before_the_body(client: TestClient) -> None:
    admission = client.app.state.services.engine.admission  # type: ignore[attr-defined]
    with admission.admit(admission.max_pixels):
        assert answer_without_body(client.app, "POST", URL) == 429


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/styles"), ("PUT", "/v1/styles/x/file"), ("POST", URL)],
)
def test_the_key_is_looked_at_before_the_body(
    small_weights_folder: Path, tmp_path: Path, method: str, path: str
) -> None:
    app = create_app(
        make_settings(
            small_weights_folder, tmp_path, api_key="secret-key", api_key_for_stylize=True
        )
    )
    assert answer_without_body(app, method, path) == 403


def test_head_is_get_without_the_body(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/v1/styles", "/v1/styles/amber", "/metrics", "/", "/docs"):
        head, get = client.head(path), client.get(path)
        assert head.status_code == get.status_code == 200
        assert head.content == b""
        assert head.headers["content-type"] == get.headers["content-type"]
    assert client.head("/v1/styles/nobody").status_code == 404
    assert client.head("/v1/jobs/x/events").status_code == 405
    assert client.head(URL).status_code == 405


@pytest.mark.parametrize("range_", ["bytes=9-1", "bytes=x", "lines=1-2", "bytes=999999999-"])
def test_ranges_that_cannot_be_served(client: TestClient, range_: str) -> None:
    response = client.get("/index.html", headers={"Range": range_})
    assert response.status_code in (400, 416)
    assert_problem(response, response.status_code)


def test_the_api_declares_a_key_where_one_is_set(
    small_weights_folder: Path, tmp_path: Path
) -> None:
    def declared(**values: Any) -> tuple[bool, bool, bool]:
        document = create_app(make_settings(small_weights_folder, tmp_path, **values)).openapi()
        paths = document["paths"]
        return (
            "securitySchemes" in document["components"],
            "security" in paths["/v1/styles"]["post"],
            "security" in paths[URL]["post"],
        )

    assert declared() == (False, False, False)
    assert declared(api_key="secret-key") == (True, True, False)
    assert declared(api_key="secret-key", api_key_for_stylize=True) == (True, True, True)


@pytest.mark.parametrize(
    ("named", "of_part", "title"),
    [
        ("", "", "é".encode("latin-1")),
        ("", "", b"\xff\xfe"),
        ("", "", b"\xed\xa0\x80"),  # a lone surrogate
        ("; charset=iso-8859-1", "", "é".encode("latin-1")),
        ("; charset=utf-16", "", "é".encode("utf-16")),
        ("; charset=nonsense", "", b"\xe9"),
        ("", "; charset=iso-8859-1", "é".encode("latin-1")),
        ("", "; charset=shift_jis", "夢".encode("shift_jis")),
    ],
)
def test_text_that_is_not_utf8_is_refused(
    client: TestClient, named: str, of_part: str, title: bytes
) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="title"\r\n'
        + f"Content-Type: text/plain{of_part}\r\n\r\n".encode()
        + title
        + b'\r\n--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        + photo_bytes(96, 96)
        + b"\r\n--b--\r\n"
    )
    headers = {"Content-Type": f"multipart/form-data; boundary=b{named}"}
    assert_problem(client.post("/v1/styles", content=body, headers=headers), 422, "not_utf8")


@pytest.mark.parametrize("named", ["", "; charset=utf-8", "; charset=utf-16", "; charset=latin-1"])
def test_text_of_a_form_is_utf8_whatever_is_named(client: TestClient, named: str) -> None:
    title = "Große 夢 \N{FAMILY}"
    parts = form(
        [
            ('name="title"', title.encode()),
            ('name="image"; filename="夢"', photo_bytes(96, 96)),
        ]
    )
    parts["headers"]["Content-Type"] += named
    made = client.post("/v1/styles", **parts)
    assert made.status_code == 202, made.text
    assert made.json()["title"] == title


def test_the_schema_allows_no_empty_field(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if name in ("title", "mix") and "Body" in schema["title"]:
                assert field["minLength"] == 1

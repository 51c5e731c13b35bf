"""A whole service in this process, and pictures to send to it."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from app.main import create_app
from app.settings import Settings

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def make_settings(weights: Path, data: Path, **values: Any) -> Settings:
    # One precision from the first picture on, whenever a faster path would be ready.
    values = {"precision": "float32", "codec_threads": 2} | values
    return Settings(weights_dir=weights, data_dir=data, device="cpu", **values)


@contextmanager
def running_client(weights: Path, data: Path, **values: Any) -> Iterator[TestClient]:
    """A client of a service that is ready."""
    app = create_app(make_settings(weights, data, **values))
    with TestClient(app, base_url="http://localhost") as client:
        wait_until_ready(client)
        yield client


def wait_until_ready(client: Any, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, "not ready in time"
        time.sleep(0.02)


def photo_levels(width: int = 48, height: int = 32, seed: int = 0) -> np.ndarray:
    """A smooth picture with some structure, (H, W, 3)."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (4, 4, 3), np.uint8))
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def photo_bytes(width: int = 48, height: int = 32, seed: int = 0, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo_levels(width, height, seed)).save(stream, format)
    return stream.getvalue()


def upload(data: bytes | None = None) -> dict[str, Any]:
    return {"image": ("photo", data if data is not None else photo_bytes(), "image/png")}


def open_picture(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def assert_problem(response: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """The one shape of every error."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 4096
    body = response.json()
    assert body.keys() - {"retry_after"} == PROBLEM_MEMBERS
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body.get("retry_after", 0) == int(response.headers.get("retry-after", 0))
    if code is not None:
        assert body["code"] == code, body
    result: dict[str, Any] = body
    return result

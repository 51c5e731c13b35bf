"""Paintings, orders for styles, and waiting for jobs."""

import io
import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
from PIL import Image

URL = "/v1/styles"
FINISHED = ("succeeded", "failed", "cancelled")


def painting_bytes(width: int = 96, height: int = 80, seed: int = 8) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    stream = io.BytesIO()
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    image.save(stream, "PNG")
    return stream.getvalue()


def order(client: Any, title: str = "Waves", **options: Any) -> httpx2.Response:
    """Ask for a style; ``image``, ``photo`` and ``key`` are special, the rest are form fields."""
    files = {"image": ("painting", options.pop("image", None) or painting_bytes(), "image/png")}
    if "photo" in options:
        files["photo"] = ("photo", options.pop("photo"), "image/png")
    headers = {"Idempotency-Key": options.pop("key")} if "key" in options else {}
    fields = {"stroke_size": 64, "steps": 10, **options}
    data = {"title": title, **{name: str(value) for name, value in fields.items()}}
    response: httpx2.Response = client.post(URL, files=files, data=data, headers=headers)
    return response


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
    return found


def wait_until_finished(client: Any, job: str, timeout_s: float = 120.0) -> dict[str, Any]:
    def finished() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job}").json()
        return found if found["state"] in FINISHED else None

    found: dict[str, Any] = wait_for(finished, timeout_s)
    return found


def read_events(client: Any, job: str, last_id: str | None = None) -> list[dict[str, Any]]:
    """All events of a job until its stream ends: id, event, data."""
    headers = {"Last-Event-ID": last_id} if last_id is not None else {}
    text = client.get(f"/v1/jobs/{job}/events", headers=headers).text
    events = []
    for block in text.split("\n\n"):
        fields = (line for line in block.split("\n") if ": " in line and not line.startswith(":"))
        lines = dict(line.split(": ", 1) for line in fields)
        if "event" in lines:
            events.append({**lines, "data": json.loads(lines["data"])})
    return events

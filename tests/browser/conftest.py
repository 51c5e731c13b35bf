"""Chromium, a server with a small network, and photos made by code."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsing import ARGUMENTS, CHROMIUM
from pages import Pastiche
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from serving import RunningServer

from app.settings import Settings

CATALOGUE = {
    "amber": {"group": "abstract", "movement": "orphism", "country": "FR"},
    "birch": {"group": "japan", "movement": "ukiyo-e", "country": "JP"},
    "cobalt": {"group": "japan", "movement": "rinpa", "country": "JP"},
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    # The browser needs the other core; two threads that wait for each other are slower than one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Not for the whole session: while it runs, no other test of this thread may use asyncio.
    if not CHROMIUM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {CHROMIUM}: CI installs Debian's package chromium")
        pytest.skip(f"no {CHROMIUM}: install Debian's package chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def preview_weights_folder(
    small_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small network, its styles with previews, paintings and catalogue; do not write to it."""
    folder = tmp_path_factory.mktemp("page") / "weights"
    shutil.copytree(small_weights_folder, folder)
    for number, style in enumerate(sorted(folder.glob("styles/*.safetensors"))):
        color = [(200, 140, 20), (90, 130, 70), (30, 70, 170)][number % 3]
        Image.new("RGB", (64, 64), color).save(style.with_suffix(".webp"))
        painting = folder / "styles" / "paintings" / f"{style.stem}.webp"
        painting.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), color[::-1]).save(painting)
    (folder / "styles" / "catalogue.json").write_text(json.dumps(CATALOGUE))
    return folder


@pytest.fixture
def settings(preview_weights_folder: Path, tmp_path: Path) -> Settings:
    """Of a server of its own."""
    return Settings(
        port=0, device="cpu", weights_dir=preview_weights_folder, data_dir=tmp_path / "data"
    )


@pytest.fixture(scope="session")
def shared_server(
    preview_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One for all tests that change nothing on it."""
    data = tmp_path_factory.mktemp("data")
    server = RunningServer(
        Settings(port=0, device="cpu", weights_dir=preview_weights_folder, data_dir=data)
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    # Without the service worker, which fetches the whole page anew for each of them.
    context = browser.new_context(viewport={"width": 1280, "height": 800}, service_workers="block")
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console has to complain of; a test that provokes some clears it."""
    return []


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    yield page
    assert complaints == []


@pytest.fixture
def pastiche(page: Page, shared_server: RunningServer) -> Pastiche:
    """The page, open."""
    return Pastiche(page, shared_server.url).open()


@pytest.fixture
def photo(tmp_path: Path) -> Callable[..., Path]:
    """Makes photos: ``photo(width, height, name)``; what is given besides goes to Pillow's save."""

    def make(width: int = 320, height: int = 240, name: str = "photo.jpg", **save: Any) -> Path:
        x = np.linspace(0, 255, width)[None, :, None]
        y = np.linspace(0, 255, height)[:, None, None]
        noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
        levels = np.clip(x * [1, 0, 0.5] + y * [0, 1, 0.5] + noise, 0, 255).astype(np.uint8)
        path = tmp_path / name
        Image.fromarray(levels).save(path, **save)
        return path

    return make

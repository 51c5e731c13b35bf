"""Installed as an application: the manifest, and the page without its server."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import Pastiche
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving import RunningServer

from app.settings import Settings
from app.web.shell import render_worker


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """In a browser that lets pages have service workers."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_the_manifest_names_icons_of_their_sizes(page: Page, shared_server: RunningServer) -> None:
    Pastiche(page, shared_server.url).open()
    address = page.locator("link[rel=manifest]").get_attribute("href")
    answer = page.request.get(f"{shared_server.url}{address}")
    assert answer.headers["content-type"].startswith("application/manifest+json")
    manifest = answer.json()
    sizes = set()
    for icon in manifest["icons"]:
        picture = page.request.get(f"{shared_server.url}{icon['src']}")
        assert picture.headers["content-type"].startswith(icon["type"])
        if icon["sizes"] != "any":
            with Image.open(io.BytesIO(picture.body())) as image:
                assert f"{image.width}x{image.height}" == icon["sizes"]
            sizes.add((icon["sizes"], icon.get("purpose", "any")))
    assert sizes == {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")}


def test_without_the_server_the_page_opens_and_says_what_needs_it(
    page: Page, settings: Settings
) -> None:
    server = RunningServer(settings)
    server.start()
    pastiche = Pastiche(page, server.url).open()
    page.get_by_role("button", name="Cat").click()
    pastiche.expect_result()
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    pastiche.open()  # led by the worker now
    pastiche.expect_result()
    kept: list[str] = page.evaluate(
        """async () => {
          const names = await caches.keys();
          const stores = await Promise.all(names.map((name) => caches.open(name)));
          const requests = await Promise.all(stores.map((store) => store.keys()));
          return requests.flat().map((request) => new URL(request.url).pathname);
        }"""
    )
    assert {"/", "/js/main.js", "/words/de.json"} <= set(kept)
    assert not [path for path in kept if re.match("/v1/|/docs|.*jpg", path)]

    server.stop()
    page.reload()
    expect(page.locator("#gallery-note")).to_contain_text("It is needed for the styles")
    expect(page.locator("#before")).to_be_visible()  # the photo, kept on this device
    again = RunningServer(settings.model_copy(update={"port": server.port}))
    again.start()
    page.locator("#gallery-note").get_by_role("button", name="Try again").click()
    expect(page.locator(".card")).to_have_count(3)
    expect(pastiche.notice).to_be_hidden()
    again.stop()


def test_an_update_is_another_worker(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "sw.js").write_text("own();")
    (tmp_path / "index.html").write_text("page")
    (tmp_path / "js" / "main.js").write_text("one")
    (tmp_path / "photo.jpg").write_text("large")
    first = render_worker(tmp_path)
    assert first.endswith("own();")
    assert '"files": ["/", "/js/main.js"]' in first
    assert render_worker(tmp_path) == first
    (tmp_path / "js" / "main.js").write_text("two")
    assert render_worker(tmp_path) != first
    with pytest.raises(FileNotFoundError):
        render_worker(tmp_path / "js")

"""What the page and the service say to each other: results, refusals, hostile data."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pages import Pastiche
from playwright.sync_api import Page, Request, expect
from serving import RunningServer

from app.settings import Settings
from model.network.weights import load_weights
from model.styles.style import Style
from model.styles.style_file import save_style

MakePhoto = Callable[..., Path]
FIRST_PAINT_BYTES = 150_000


@pytest.fixture
def run_server() -> Iterator[Callable[[Settings], RunningServer]]:
    """Starts servers that end with the test."""
    servers: list[RunningServer] = []

    def run(settings: Settings) -> RunningServer:
        servers.append(RunningServer(settings))
        servers[-1].start()
        return servers[-1]

    yield run
    for server in servers:
        server.stop()


def test_the_download_is_what_the_api_returns(pastiche: Pastiche, photo: MakePhoto) -> None:
    path = photo()
    pastiche.open("#s=amber:0.6,cobalt:0.4&strength=0.8")
    pastiche.upload(path)
    pastiche.expect_result()
    for format in ("jpeg", "png", "webp"):
        pastiche.page.get_by_label("Format").select_option(format)
        downloaded = pastiche.download()
        answer = pastiche.page.request.post(
            f"{pastiche.url}/v1/stylize",
            multipart={
                "image": {"name": "p.jpg", "mimeType": "image/jpeg", "buffer": path.read_bytes()},
                "mix": '[{"style": "amber", "weight": 0.6}, {"style": "cobalt", "weight": 0.4}]',
                "strength": "0.8",
                "format": format,
            },
        )
        assert answer.headers["content-type"] == f"image/{format}"
        assert downloaded == answer.body()


def test_a_photo_too_large_for_the_server_is_painted_smaller(
    page: Page,
    complaints: list[str],
    photo: MakePhoto,
    settings: Settings,
    run_server: Callable[[Settings], RunningServer],
) -> None:
    server = run_server(settings.model_copy(update={"max_pixels": 1_100_000}))
    pastiche = Pastiche(page, server.url).open()
    pastiche.upload(photo(1400, 900))
    pastiche.expect_result((1024, 658))
    expect(page.get_by_label("Original")).to_be_hidden()
    assert all("422" in complaint for complaint in complaints)
    complaints.clear()


def test_too_many_bytes_are_named_as_such(
    page: Page,
    complaints: list[str],
    photo: MakePhoto,
    settings: Settings,
    run_server: Callable[[Settings], RunningServer],
) -> None:
    server = run_server(settings.model_copy(update={"max_upload_bytes": 30_000}))
    pastiche = Pastiche(page, server.url).open()
    pastiche.upload(photo(250, 250, "heavy.png"))
    expect(pastiche.notice).to_contain_text("too large for the server. Choose a smaller one.")
    assert all("413" in complaint for complaint in complaints)
    complaints.clear()


def test_a_busy_server_is_asked_again_after_a_countdown(
    page: Page,
    complaints: list[str],
    photo: MakePhoto,
    settings: Settings,
    run_server: Callable[[Settings], RunningServer],
) -> None:
    server = run_server(settings.model_copy(update={"max_queue_requests": 1}))
    pastiche = Pastiche(page, server.url).open()
    pastiche.upload(photo(300, 300))
    pastiche.expect_result()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with server.services.engine.admission.admit(1):
        pastiche.choose("Cobalt")
        expect(pastiche.notice).to_contain_text("The server is busy.")
        expect(page.locator("#notice-countdown")).to_have_text("in 1 s.")
        expect(page.get_by_role("button", name="Download")).to_be_disabled()
        pastiche.drag(pastiche.strength, 0.97, 0.2, steps=30)  # no previews: the server is spared
        page.mouse.up()
    pastiche.expect_result()
    expect(pastiche.notice).to_be_hidden()
    assert len([url for url in asked if url.endswith("/v1/stylize")]) <= 6
    assert all("429" in complaint for complaint in complaints)
    complaints.clear()


def test_a_stopped_server_is_named_and_tried_again(
    page: Page,
    complaints: list[str],
    photo: MakePhoto,
    settings: Settings,
    run_server: Callable[[Settings], RunningServer],
) -> None:
    server = run_server(settings)
    pastiche = Pastiche(page, server.url).open()
    pastiche.upload(photo(100, 100))
    pastiche.expect_result()
    server.stop()
    pastiche.choose("Cobalt")
    expect(pastiche.notice).to_contain_text("The server cannot be reached.")
    run_server(settings.model_copy(update={"port": server.port}))
    page.get_by_role("button", name="Try again").click()
    pastiche.expect_result()
    expect(pastiche.notice).to_be_hidden()
    assert all("net::ERR" in complaint for complaint in complaints)
    complaints.clear()


def test_a_server_that_asks_for_a_key_is_given_one(
    page: Page,
    complaints: list[str],
    photo: MakePhoto,
    settings: Settings,
    run_server: Callable[[Settings], RunningServer],
) -> None:
    guarded = Settings(
        **settings.model_dump() | {"api_key": "a-secret", "api_key_for_stylize": True}
    )
    pastiche = Pastiche(page, run_server(guarded).url).open()
    pastiche.upload(photo(100, 100))
    expect(pastiche.notice).to_contain_text("This server asks for a key.")
    page.get_by_role("button", name="Enter the key").click()
    page.get_by_label("API key").fill("a-secret")
    page.get_by_role("button", name="Use this key").click()
    pastiche.expect_result((100, 100))
    assert all("403" in complaint for complaint in complaints)
    complaints.clear()


def test_a_hostile_title_stays_text_and_custom_styles_come_first(
    page: Page, settings: Settings, run_server: Callable[[Settings], RunningServer]
) -> None:
    title = (
        "<img src=x onerror=\"document.title='hacked'\"><script>document.title='hacked'</script>"
    )
    weights = load_weights(settings.weights_dir / "network.safetensors")
    (settings.data_dir / "styles").mkdir(parents=True)
    style = Style("hostile", title, weights.original, weights.fingerprint, kind="custom")
    save_style(style, settings.data_dir / "styles" / "hostile.safetensors")
    Pastiche(page, run_server(settings).url).open()
    first = page.locator(".card").first
    expect(first.locator(".card-title")).to_have_text(title)
    first.locator(".card-choose").click()
    expect(page.locator("#mix .part-title")).to_have_text(title)
    assert page.locator("main script, .card-title *, .part-title *").count() == 0
    assert "hacked" not in page.title()


def test_the_first_paint_is_small_and_previews_are_lazy(
    page: Page, shared_server: RunningServer
) -> None:
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))
    Pastiche(page, shared_server.url).open()
    page.wait_for_load_state("networkidle")
    sizes = {each.url: each.sizes()["responseBodySize"] for each in finished}
    assert all(url.startswith(shared_server.url) for url in sizes)
    first_paint = {
        url: size for url, size in sizes.items() if not re.search("/(preview|painting)", url)
    }
    assert sum(first_paint.values()) < FIRST_PAINT_BYTES
    previews = page.locator(".card-preview, .card-painting")
    assert {each.get_attribute("loading") for each in previews.all()} == {"lazy"}


def test_static_files_are_revalidated_and_guarded(page: Page, shared_server: RunningServer) -> None:
    answer = page.request.get(f"{shared_server.url}/js/main.js")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    again = page.request.get(
        f"{shared_server.url}/js/main.js", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status == 304


def test_texts_are_compressed_for_whoever_reads_that(
    page: Page, shared_server: RunningServer
) -> None:
    url = f"{shared_server.url}/js/main.js"
    plain = page.request.get(url, headers={"Accept-Encoding": "identity"})
    packed = page.request.get(url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 0.6 * int(plain.headers["content-length"])
    assert packed.body() == plain.body()
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    again = page.request.get(url, headers={"If-None-Match": packed.headers["etag"]})
    assert again.status == 304

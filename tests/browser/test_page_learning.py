"""New styles on the page, learned by a real worker with a small network."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from learning_helpers import order
from pages import Pastiche
from playwright.sync_api import Page, Route, expect
from serving import RunningServer
from test_page_access import serious_findings

from app.settings import Settings
from model.styles.style_file import load_style, pack_style

MakePhoto = Callable[..., Path]
PATIENCE_MS = 90_000  # a worker starts, loads PyTorch, and shares the cores with a browser


@pytest.fixture(scope="module")
def server(
    learning_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("learning")
    settings = Settings(
        port=0, device="cpu", weights_dir=learning_weights_folder, data_dir=data, worker_nice=0
    )
    server = RunningServer(settings, with_worker=True)
    server.start()
    yield server
    server.stop()


def test_a_painting_is_learned_from_and_watched_on_the_own_photo(
    page: Page, server: RunningServer, photo: MakePhoto
) -> None:
    pastiche = Pastiche(page, server.url).open()
    pastiche.upload(photo(300, 200))
    page.get_by_role("button", name="New style").click()
    expect(page.get_by_label("Watch it on my photo")).to_be_checked()
    page.locator("#painting-file").set_input_files(photo(150, 120, "my-painting.png"))
    expect(page.get_by_label("Title")).to_have_value("my painting")
    page.get_by_label("Strokes").select_option("Fine")
    assert serious_findings(page) == []
    page.get_by_role("button", name="Learn this style").click()
    expect(page.locator("#new-style-title")).to_have_text("my painting")
    expect(page.locator("#job-loss")).to_contain_text("Style loss 0.", timeout=PATIENCE_MS)
    preview = page.locator("#job-preview")
    expect(preview).to_be_visible(timeout=PATIENCE_MS)
    expect(preview).to_have_js_property("naturalWidth", 256, timeout=PATIENCE_MS)
    expect(preview).to_have_js_property("naturalHeight", 171)
    assert serious_findings(page) == []

    page.get_by_role("button", name="Close").click()  # leave and come back
    pastiche.open("?again")
    page.get_by_role("button", name="my painting").click()
    expect(page.locator("#job-state")).to_contain_text("Step")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#jobs > li")).to_have_count(0)
    expect(page.locator(".card-delete:visible")).to_have_count(0)


def test_a_style_joins_the_gallery_is_learned_anew_and_deleted(
    page: Page, server: RunningServer, photo: MakePhoto
) -> None:
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        style = order(client, "<i>Waves</i>").json()["learns"]
        page.emulate_media(reduced_motion="reduce")  # see test_axe_has_no_serious_findings
        pastiche = Pastiche(page, server.url).open()
        first = page.locator(".card").first
        pastiche.upload(photo(200, 150))
        expect(first).to_contain_text("<i>Waves</i>", timeout=PATIENCE_MS)
        # It is said, chosen, and shown on the photo.
        expect(pastiche.notice).to_contain_text("“<i>Waves</i>” is learned.")
        expect(first.locator(".card-choose")).to_have_attribute("aria-pressed", "true")
        assert serious_findings(page) == []
        pastiche.expect_result((200, 150))

        path = server.services.settings.data_dir / "styles" / f"{style}.safetensors"
        path.write_bytes(pack_style(replace(load_style(path), network="0" * 16)))
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/v1/jobs", hold)
        pastiche.open(f"?again#s={style}:1")  # a link to a style that is of no use now
        expect(pastiche.notice).to_contain_text("must be learned anew first")
        expect(first).to_contain_text("of an earlier network")
        expect(first.locator(".card-choose")).to_be_disabled()
        assert serious_findings(page) == []
        page.get_by_role("button", name="Learn <i>Waves</i> anew").click()
        (route,) = held  # a click that is quicker than the server's answer counts
        route.continue_()
        page.unroute("**/v1/jobs")
        expect(page.locator("#job-state")).to_be_visible()
        expect(first).to_contain_text("your style", timeout=PATIENCE_MS)
        expect(page.get_by_role("dialog")).to_be_hidden()

        page.get_by_role("button", name="Delete <i>Waves</i>").click()
        expect(page.locator("#delete-title")).to_have_text("Delete “<i>Waves</i>”?")
        assert serious_findings(page) == []
        page.get_by_role("button", name="Keep it").click()
        expect(first).to_contain_text("<i>Waves</i>")
        page.get_by_role("button", name="Delete <i>Waves</i>").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.locator(".card-delete:visible")).to_have_count(0)
        assert client.get(f"/v1/styles/{style}").status_code == 404


def test_a_server_that_wants_a_key_is_given_one(
    page: Page, settings: Settings, photo: MakePhoto, complaints: list[str]
) -> None:
    server = RunningServer(Settings(**{**settings.model_dump(), "api_key": "secret-key"}))
    server.start()
    Pastiche(page, server.url).open()
    page.get_by_role("button", name="New style").click()
    page.locator("#painting-file").set_input_files(photo(150, 120))
    page.get_by_role("button", name="Learn this style").click()
    page.get_by_label("API key").fill("secret-key")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#job-state")).to_contain_text("Queued")
    assert all("403" in complaint for complaint in complaints)
    complaints.clear()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#jobs > li")).to_have_count(0)
    server.stop()

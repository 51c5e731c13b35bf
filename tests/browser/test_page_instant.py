"""A painting dropped on the page: its style works at once, gets better, and goes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from pages import Pastiche
from playwright.sync_api import Page, Route, expect
from serving import RunningServer
from test_page_access import serious_findings

from app.settings import Settings

MakePhoto = Callable[..., Path]
PATIENCE_MS = 90_000  # a worker starts, loads PyTorch, and shares the cores with a browser


@pytest.fixture(scope="module")
def server(
    predicting_weights_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("instant")
    settings = Settings(
        port=0,
        device="cpu",
        weights_dir=predicting_weights_folder,
        data_dir=data,
        worker_nice=0,
        max_jobs=1,
    )
    server = RunningServer(settings, with_worker=True)
    server.start()
    yield server
    server.stop()


def drop(page: Page, path: Path) -> None:
    transfer = page.evaluate_handle(
        """([bytes, name]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
          return transfer;
        }""",
        [list(path.read_bytes()), path.name],
    )
    page.dispatch_event("footer", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("footer", "drop", {"dataTransfer": transfer})


def test_a_dropped_painting_is_a_style_at_once_gets_better_and_goes(
    page: Page, server: RunningServer, photo: MakePhoto
) -> None:
    pastiche = Pastiche(page, server.url).open()
    drop(page, photo(300, 200, "first.png"))  # with none there yet, it is the photo
    pastiche.expect_result((300, 200))
    before = pastiche.result.get_attribute("src")

    drop(page, photo(150, 120, "my-waves.png"))
    asking = page.get_by_role("dialog")
    expect(asking).to_contain_text("What is this picture for?")
    expect(asking.get_by_role("img")).to_have_js_property("naturalWidth", 150)
    assert serious_findings(page) == []
    asking.get_by_role("button", name="Use as style").click()
    expect(pastiche.notice).to_contain_text(
        "“my waves” is ready. It gets better", timeout=PATIENCE_MS
    )
    card = page.locator(".card", has_text="my waves")
    expect(card.locator(".card-choose")).to_have_attribute("aria-pressed", "true")
    expect(card.locator(".card-painting")).to_have_js_property("naturalWidth", 150)
    expect(pastiche.result).not_to_have_attribute("src", before or "")
    pastiche.expect_result((300, 200))
    first = pastiche.result.get_attribute("src")
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        style = client.get("/v1/styles").json()["styles"][0]
        assert style["title"] == "my waves"
        expect(page.locator(".job-card")).to_contain_text("my waves")
        expect(card.locator(".card-improve")).to_be_hidden()

        # It gets better, and the picture with it.
        expect(pastiche.notice).to_contain_text("as good as it gets", timeout=PATIENCE_MS)
        expect(page.locator("#jobs > li")).to_have_count(0)
        better = client.get(f"/v1/styles/{style['id']}").json()
        assert better["revision"] != style["revision"]
        expect(card.locator(".card-painting")).to_have_attribute("src", better["painting"])
        expect(pastiche.result).not_to_have_attribute("src", first or "")
        pastiche.expect_result((300, 200))

        pastiche.open(f"?again#s={style['id']}:1")
        expect(card.locator(".card-choose")).to_have_attribute("aria-pressed", "true")
        expect(card.locator(".card-painting")).to_have_js_property("naturalWidth", 150)
        card.hover()
        page.get_by_role("button", name="Delete my waves").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(card).to_have_count(0)
        assert client.get(f"/v1/styles/{style['id']}").status_code == 404


def test_with_the_queue_full_it_works_as_predicted_and_is_improved_by_hand(
    page: Page, server: RunningServer, photo: MakePhoto, complaints: list[str]
) -> None:
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        painting = {"image": ("p.png", photo(90, 90, "p.png").read_bytes(), "image/png")}
        fields = {"title": "Long", "steps": "5000", "stroke_size": "64"}
        long = client.post("/v1/styles", files=painting, data=fields).json()
        pastiche = Pastiche(page, server.url).open()
        pastiche.upload(photo(200, 150))
        drop(page, photo(130, 120, "dots.png"))
        page.get_by_role("button", name="Use as style").click()
        expect(pastiche.notice).to_contain_text(
            "“dots” is ready. Enough styles are being learned", timeout=PATIENCE_MS
        )
        assert all("429" in complaint for complaint in complaints)
        complaints.clear()
        card = page.locator(".card", has_text="dots")
        improve = card.get_by_role("button", name="Improve dots")
        expect(improve).to_be_visible()
        pastiche.expect_result((200, 150))
        assert serious_findings(page) == []
        client.post(f"/v1/jobs/{long['id']}/cancel")
        expect(page.locator("#jobs > li")).to_have_count(0, timeout=PATIENCE_MS)
        improve.click()
        expect(page.locator(".job-card")).to_contain_text("dots")
        expect(improve).to_be_hidden()
        expect(pastiche.notice).to_contain_text("as good as it gets", timeout=PATIENCE_MS)
        for style in client.get("/v1/styles").json()["styles"]:
            if style["kind"] == "custom":
                client.delete(f"/v1/styles/{style['id']}")


def test_a_painting_that_is_quicker_than_the_list_of_jobs_is_asked_about(
    page: Page, server: RunningServer, photo: MakePhoto
) -> None:
    pastiche = Pastiche(page, server.url)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/jobs", hold)
    pastiche.open()
    pastiche.upload(photo(200, 150))
    pastiche.expect_result((200, 150))
    drop(page, photo(160, 170, "dots.png"))
    page.wait_for_timeout(200)  # whoever takes it for a photo does so at once
    expect(page.get_by_role("dialog")).to_be_hidden()
    (route,) = held
    route.continue_()
    page.unroute("**/v1/jobs")
    expect(page.get_by_role("button", name="Use as style")).to_be_visible()
    pastiche.expect_result((200, 150))


def test_a_dropped_picture_can_be_the_next_photo_and_a_bad_one_is_named(
    page: Page, server: RunningServer, photo: MakePhoto, tmp_path: Path, complaints: list[str]
) -> None:
    pastiche = Pastiche(page, server.url).open()
    pastiche.upload(photo(200, 150))
    pastiche.expect_result((200, 150))
    drop(page, photo(160, 170, "next.png"))
    page.get_by_role("button", name="Use as photo").click()
    pastiche.expect_result((160, 170))
    for name, words in (
        (None, "cannot be read as a picture"),
        ("strip.png", "too small, or of one colour"),
    ):
        path = tmp_path / "broken.png"
        path.write_bytes(b"nothing")
        drop(page, photo(300, 40, name) if name else path)
        page.get_by_role("button", name="Use as style").click()
        expect(pastiche.notice).to_contain_text(words, timeout=PATIENCE_MS)
    assert all("422" in complaint for complaint in complaints)
    complaints.clear()
    drop(page, photo(160, 170, "next.png"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()

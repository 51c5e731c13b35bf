"""The size of the result, and pictures that take longer than one waits for them."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pages import Pastiche
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from serving import RunningServer

from app.settings import Settings

MakePhoto = Callable[..., Path]
SIZE = (2200, 1500)
LONG_SIZE = (4400, 3600)  # long enough to be cancelled, even on a fast machine


@pytest.fixture
def server(settings: Settings) -> Iterator[RunningServer]:
    """One whose requests give 1,100 px at most."""
    server = RunningServer(settings.model_copy(update={"max_side": 1100, "worker": False}))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def pastiche(page: Page, server: RunningServer) -> Pastiche:
    return Pastiche(page, server.url).open()


def panel(pastiche: Pastiche) -> Locator:
    return pastiche.page.locator("#large")


def kept(server: RunningServer) -> list[Path]:
    return list((server.services.settings.data_dir / "pictures").glob("*"))


def order(pastiche: Pastiche, photo: Path, name: str = "Original") -> None:
    pastiche.upload(photo)
    pastiche.expect_result()
    pastiche.choose_size(name)
    panel(pastiche).get_by_role("button", name="Paint it").click()


def test_sizes_say_their_pixels_and_what_they_take(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    pastiche.upload(photo(*SIZE))
    pastiche.expect_result((1024, 698))
    sizes = page.locator(".size:visible")
    expect(sizes).to_have_count(3)
    for size, pixels in zip(
        sizes.all(), ("1024 \u00d7 698", "2048 \u00d7 1396", "2200 \u00d7 1500"), strict=True
    ):
        expect(size).to_contain_text(pixels)
        expect(size).to_contain_text("about")
    expect(page.get_by_label("1024 px")).to_be_checked()
    page.get_by_label("1024 px").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("2048 px")).to_be_checked()
    expect(panel(pastiche)).to_contain_text("2048 \u00d7 1396 takes about")
    expect(panel(pastiche)).to_contain_text("an hour at most")
    pastiche.expect_result((1024, 698))
    pastiche.upload(photo(300, 200, "small.jpg"))
    pastiche.expect_result((300, 200))
    expect(page.locator("#sizes")).to_be_hidden()
    expect(panel(pastiche)).to_be_hidden()


def test_a_large_picture_is_painted_shown_and_downloaded(
    pastiche: Pastiche, photo: MakePhoto, server: RunningServer
) -> None:
    page = pastiche.page
    order(pastiche, photo(*SIZE))
    bar = panel(pastiche).get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(panel(pastiche).get_by_role("button", name="Cancel")).to_be_focused()
    expect(panel(pastiche)).to_contain_text("You can leave this page")
    expect(panel(pastiche)).to_contain_text("2200 \u00d7 1500 is painted.", timeout=30_000)
    pastiche.expect_result(SIZE)  # on the stage as well
    assert Image.open(io.BytesIO(pastiche.download())).size == SIZE
    with page.expect_download() as download:
        panel(pastiche).get_by_role("button", name="Save it").click()
    assert Image.open(io.BytesIO(download.value.path().read_bytes())).size == SIZE
    assert download.value.suggested_filename.startswith("photo-")
    panel(pastiche).get_by_role("button", name="Remove it").click()
    expect(panel(pastiche)).to_be_hidden()
    assert not kept(server)
    pastiche.strength.fill("50")  # another look is shown at once, small
    pastiche.expect_result((1024, 698))
    expect(panel(pastiche).get_by_role("button", name="Paint it")).to_be_visible()


def test_one_can_leave_and_come_back(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    order(pastiche, photo(*SIZE), "2048")
    expect(panel(pastiche).get_by_role("progressbar")).to_be_visible()
    page.goto("about:blank")
    pastiche.open()
    expect(panel(pastiche)).to_contain_text("2048 \u00d7 1396 is painted.", timeout=30_000)
    pastiche.expect_result((2048, 1396))


def test_a_large_picture_is_seen_small_and_cancelled(
    pastiche: Pastiche, photo: MakePhoto, server: RunningServer
) -> None:
    order(pastiche, photo(*LONG_SIZE))
    preview = panel(pastiche).get_by_role("img", name="The picture, small")
    expect(preview).to_be_visible(timeout=20_000)
    expect(preview).to_have_js_property("naturalWidth", 768)
    expect(panel(pastiche)).to_contain_text("%")
    panel(pastiche).get_by_role("button", name="Cancel").click()
    expect(panel(pastiche).get_by_role("button", name="Paint it")).to_be_visible(timeout=3_000)
    assert not kept(server)


def test_forgetting_the_photo_forgets_it_at_the_server_too(
    pastiche: Pastiche, photo: MakePhoto, server: RunningServer
) -> None:
    order(pastiche, photo(*LONG_SIZE))
    expect(panel(pastiche).get_by_role("progressbar")).to_be_visible()
    assert len(kept(server)) == 1
    with pastiche.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        pastiche.page.get_by_role("button", name="Forget this photo").click()
    expect(panel(pastiche)).to_be_hidden()
    assert not kept(server)
    pastiche.page.reload()
    expect(panel(pastiche)).to_be_hidden()

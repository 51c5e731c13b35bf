"""What outlives a reload, what Back undoes, what is forgotten."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import Pastiche
from playwright.sync_api import BrowserContext, Page, expect
from serving import RunningServer

MakePhoto = Callable[..., Path]

NO_ROOM = (
    "IDBObjectStore.prototype.put = () => { throw new DOMException('', 'QuotaExceededError') }"
)
NO_DATABASE = "indexedDB.open = () => { throw new DOMException('', 'SecurityError') }"


def test_photo_and_recipe_outlive_a_reload(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    pastiche.upload(photo(1200, 600, "holiday.png"))
    pastiche.choose("Birch")
    pastiche.strength.fill("70")
    pastiche.expect_result((1024, 512))
    page.reload()
    pastiche.expect_result((1024, 512))
    assert page.url.endswith("#s=birch:1&strength=0.7")
    expect(page.locator("#before")).to_have_attribute("alt", "Your photo, holiday")
    pastiche.choose_size("Original")
    pastiche.expect_result((1200, 600))
    page.goto("about:blank")  # closed, and come back another day
    pastiche.open("#s=cobalt:1")
    pastiche.expect_result((1024, 512))


def test_a_forgotten_photo_does_not_come_back(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    welcome = page.get_by_role("heading", name="Your photo, as a painting")
    pastiche.upload(photo(90, 70))
    pastiche.upload(photo(80, 60, "second.jpg"))
    pastiche.expect_result((80, 60))
    page.get_by_role("button", name="Forget this photo").click()
    expect(page.locator("#photo-file")).to_be_focused()
    page.reload()
    expect(page.locator(".card")).to_have_count(3)
    expect(welcome).to_be_visible()
    page.go_back()
    page.wait_for_timeout(300)
    expect(welcome).to_be_visible()
    assert page.evaluate("indexedDB.databases().then((all) => all.map(({ name }) => name))") == [
        "pastiche"
    ]


def test_back_undoes_the_choice_of_a_photo(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    for width in (90, 80):
        pastiche.upload(photo(width, 60, f"{width}.jpg"))
        pastiche.expect_result((width, 60))
    pastiche.strength.fill("40")
    page.go_back()
    pastiche.expect_result((90, 60))
    expect(page).to_have_url(re.compile("strength=0.4$"))  # of the look nothing is undone
    page.go_back()
    expect(page.get_by_role("heading", name="Your photo, as a painting")).to_be_visible()
    page.go_forward()
    pastiche.expect_result((90, 60))
    page.reload()
    pastiche.expect_result((90, 60))
    page.go_forward()  # a photo of before the reload, which is not kept
    expect(page.get_by_role("heading", name="Your photo, as a painting")).to_be_visible()


def test_back_closes_a_dialog_and_closing_leaves_no_step(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    page = pastiche.page
    dialog, opener = page.locator("#new-style-dialog"), page.get_by_role("button", name="New style")
    pastiche.upload(photo(90, 60))
    pastiche.expect_result((90, 60))
    opener.click()
    expect(dialog).to_be_visible()
    page.go_back()
    expect(dialog).to_be_hidden()
    pastiche.expect_result((90, 60))
    opener.click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(re.compile("#s="))
    page.wait_for_function("history.state.depth === 0")
    page.go_back()  # from the photo, not from the dialog
    expect(page.get_by_role("heading", name="Your photo, as a painting")).to_be_visible()


def test_another_recipe_may_be_entered_as_the_address(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo(90, 60))
    pastiche.expect_result((90, 60))
    pastiche.page.evaluate("location.hash = '#s=cobalt:1&strength=0.5'")
    expect(pastiche.strength).to_have_value("50")
    pastiche.expect_result((90, 60))
    pastiche.page.go_back()  # a step within the page: recipe and photo stay
    expect(pastiche.strength).to_have_value("50")
    expect(pastiche.page).to_have_url(re.compile("#s=cobalt:1&strength=0.5$"))
    pastiche.expect_result((90, 60))


@pytest.mark.parametrize("lack", [NO_ROOM, NO_DATABASE], ids=["full", "private"])
def test_where_nothing_can_be_kept_nothing_is_said(
    context: BrowserContext, page: Page, shared_server: RunningServer, photo: MakePhoto, lack: str
) -> None:
    context.add_init_script(lack)
    pastiche = Pastiche(page, shared_server.url).open()
    pastiche.upload(photo(90, 60))
    pastiche.expect_result((90, 60))
    expect(pastiche.notice).to_be_hidden()
    page.reload()
    expect(page.locator(".card")).to_have_count(3)
    expect(page.get_by_role("heading", name="Your photo, as a painting")).to_be_visible()


def test_of_a_photo_that_is_too_large_the_smaller_copy_is_kept(
    pastiche: Pastiche, tmp_path: Path, photo: MakePhoto
) -> None:
    heavy = tmp_path / "heavy.jpg"
    heavy.write_bytes(photo(1100, 550).read_bytes() + bytes(30_000_000))
    pastiche.upload(heavy)
    pastiche.expect_result((1024, 512))
    pastiche.page.reload()
    pastiche.expect_result((1024, 512))
    expect(pastiche.page.get_by_label("Original")).to_be_hidden()

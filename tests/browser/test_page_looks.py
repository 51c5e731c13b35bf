"""Undo, redo, earlier looks; every style on the photo."""

import re
from collections.abc import Callable
from pathlib import Path

from pages import Pastiche
from playwright.sync_api import Page, Request, expect
from serving import RunningServer

from app.settings import Settings

MakePhoto = Callable[..., Path]


def test_undo_and_redo_by_button_and_by_key(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    undo, redo = page.get_by_role("button", name="Undo"), page.get_by_role("button", name="Redo")
    pastiche.upload(photo())
    expect(undo).to_be_disabled()  # the first look is none that one could want to be rid of
    pastiche.choose("Birch")
    pastiche.drag(pastiche.strength, 0.97, 0.5, steps=12)
    page.mouse.up()
    assert int(pastiche.strength.input_value()) < 60
    undo.click()  # the whole drag
    expect(pastiche.strength).to_have_value("100")
    expect(page.locator("#live")).to_contain_text("Undone. Now: Birch")
    page.keyboard.press("Control+z")
    expect(page).to_have_url(re.compile("#s=amber:1&strength=1$"))
    expect(undo).to_be_disabled()
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("Control+y")
    expect(page).to_have_url(re.compile("#s=birch:1&strength=0.[45]"))
    expect(redo).to_be_disabled()
    page.keyboard.press("Control+z")
    pastiche.choose("Cobalt")
    expect(redo).to_be_disabled()  # another way was taken
    pastiche.expect_result((320, 240))


def test_where_one_types_the_keys_undo_what_was_typed(pastiche: Pastiche, photo: MakePhoto) -> None:
    page, search = pastiche.page, pastiche.page.get_by_label("Search")
    pastiche.upload(photo(60, 40))
    pastiche.choose("Birch")
    search.press_sequentially("co")
    page.keyboard.press("Control+z")
    expect(search).to_have_value("c")
    expect(page).to_have_url(re.compile("#s=birch:1"))


def test_earlier_looks_can_be_returned_to_even_after_a_reload(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    page = pastiche.page
    cells, opener = page.locator(".sheet-cell"), page.get_by_role("button", name="Earlier looks")
    pastiche.upload(photo())
    for title in ("Amber", "Birch", "Cobalt", "Birch"):
        pastiche.choose(title)
        pastiche.expect_result()
        page.wait_for_timeout(200)  # for the small picture
    expect(opener).to_be_enabled()
    opener.click()
    expect(cells).to_have_text(["Birch", "Cobalt", "Amber"])  # each once, the newest first
    expect(cells.first).to_have_attribute("aria-current", "true")
    page.keyboard.press("Escape")
    page.reload()
    pastiche.expect_result()
    opener.click()
    expect(cells).to_have_text(["Birch", "Cobalt", "Amber"])
    assert (
        cells.last.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
        == 200
    )
    cells.last.click()
    expect(page).to_have_url(re.compile("#s=amber:1"))
    page.get_by_role("button", name="Forget this photo").click()
    pastiche.upload(photo(90, 60))
    pastiche.expect_result((90, 60))
    opener.click()
    expect(cells).to_have_count(1)


def test_every_style_on_the_photo(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    opener = page.get_by_role("button", name="All styles on my photo")
    expect(opener).to_be_hidden()
    pastiche.upload(photo(600, 300))
    pastiche.strength.fill("80")
    pastiche.expect_result((600, 300))
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    opener.click()
    cells = page.locator(".sheet-cell")
    expect(cells).to_have_text(["Amber", "Birch", "Cobalt"])
    expect(page.locator(".is-waiting")).to_have_count(0, timeout=30_000)
    paintings = [each for each in asked if each.url.endswith("/v1/stylize")]
    assert len(paintings) == 3
    expect(cells.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(cells.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#sheet")).to_be_hidden()
    expect(page).to_have_url(re.compile("#s=birch:1&strength=0.8"))
    pastiche.expect_result((600, 300))
    asked.clear()
    opener.click()  # painted already
    expect(cells).to_have_count(3)
    expect(page.locator(".is-waiting")).to_have_count(0, timeout=30_000)
    page.go_back()
    expect(page.locator("#sheet")).to_be_hidden()
    assert not [each for each in asked if each.url.endswith("/v1/stylize")]


def test_a_contact_sheet_waits_for_a_busy_server_and_stops_when_closed(
    page: Page, complaints: list[str], settings: Settings, photo: MakePhoto
) -> None:
    server = RunningServer(settings.model_copy(update={"max_queue_requests": 1}))
    server.start()
    pastiche = Pastiche(page, server.url).open()
    pastiche.upload(photo(200, 100))
    pastiche.expect_result()
    opener = page.get_by_role("button", name="All styles on my photo")
    with server.services.engine.admission.admit(1):
        opener.click()
        expect(page.locator("#sheet-hint")).to_contain_text("The server is busy.")
        page.keyboard.press("Escape")
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request))
        page.wait_for_timeout(1500)
        assert asked == []
        opener.click()
        expect(page.locator("#sheet-hint")).to_contain_text("The server is busy.")
    expect(page.locator(".is-waiting")).to_have_count(0, timeout=30_000)
    server.stop()
    assert all("429" in complaint for complaint in complaints)
    complaints.clear()


def test_two_looks_under_one_divider_or_beside_each_other(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    page, before = pastiche.page, pastiche.page.locator("#before")
    compare = page.get_by_role("button", name="Compare", exact=True)
    pastiche.upload(photo(400, 300))
    pastiche.expect_result()
    own = before.get_attribute("src")
    compare.click()
    expect(compare).to_have_attribute("aria-pressed", "true")
    expect(pastiche.divider).to_have_value("50")
    pastiche.choose("Birch")
    pastiche.expect_result()
    expect(page.locator("#second-title")).to_have_text("B: Amber")
    expect(before).to_have_attribute("alt", "B: Amber")
    assert before.get_attribute("src") != own
    expect(page.locator("#chip-before")).to_have_text("B")

    page.get_by_label("Beside each other").check()
    expect(pastiche.divider).to_be_hidden()
    left, right = before.bounding_box(), pastiche.result.bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    assert abs(left["width"] / left["height"] - 4 / 3) < 0.05

    page.get_by_role("button", name="Swap").click()
    expect(page).to_have_url(re.compile("#s=amber:1"))
    expect(page.locator("#second-title")).to_have_text("B: Birch")
    pastiche.expect_result()
    page.get_by_role("button", name="Stop comparing").click()
    expect(before).to_have_attribute("src", own or "")
    expect(pastiche.divider).to_have_value("0")
    expect(compare).to_be_focused()

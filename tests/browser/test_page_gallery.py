"""The gallery: works and what comes of them, groups, favourites, search, all by keyboard."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pages import Pastiche
from playwright.sync_api import Page, expect
from serving import RunningServer

MakePhoto = Callable[..., Path]


def titles(page: Page) -> list[str]:
    return page.locator(".card:visible .card-title").all_text_contents()


def groups(page: Page) -> list[str]:
    return page.locator(".group-title:visible").all_text_contents()


def test_a_card_shows_the_work_and_on_a_closer_look_what_comes_of_it(pastiche: Pastiche) -> None:
    card = pastiche.page.locator(".card").first
    painting, preview = card.locator(".card-painting"), card.locator(".card-preview")
    expect(painting).to_have_js_property("naturalHeight", 48)
    expect(preview).to_be_hidden()  # not even loaded
    card.hover()
    expect(preview).to_have_css("opacity", "1")
    expect(preview).to_have_js_property("naturalHeight", 64)
    pastiche.choose("Birch")
    chosen = pastiche.page.locator(".card.is-chosen")
    expect(chosen.locator(".card-title")).to_have_text("Birch")
    expect(chosen.locator(".card-preview")).to_have_css("opacity", "1")


def test_favourites_come_first_and_are_kept(pastiche: Pastiche) -> None:
    page = pastiche.page
    assert groups(page) == ["Abstract and Cubist", "Japan"]
    page.get_by_role("button", name="Add Cobalt to the favourites").click()
    assert groups(page) == ["Favourites", "Abstract and Cubist", "Japan"]
    assert titles(page) == ["Cobalt", "Amber", "Birch"]
    pastiche.open("?again")
    assert titles(page) == ["Cobalt", "Amber", "Birch"]
    star = page.get_by_role("button", name="Add Cobalt to the favourites")
    expect(star).to_have_attribute("aria-pressed", "true")
    star.click()
    assert titles(page) == ["Amber", "Birch", "Cobalt"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("orphism", ["Amber"]),
        ("UKIYO-E", ["Birch"]),
        ("japan", ["Birch", "Cobalt"]),
        ("Frankreich", ["Amber"]),
        ("japon rinpa", ["Cobalt"]),
        ("artist 1900", ["Amber", "Birch", "Cobalt"]),
        ("norway", []),
    ],
)
def test_search_knows_movements_and_countries(
    pastiche: Pastiche, typed: str, found: list[str]
) -> None:
    pastiche.page.get_by_label("Search").fill(typed)
    assert titles(pastiche.page) == found


def test_the_chosen_style_of_a_link_is_in_view(pastiche: Pastiche) -> None:
    pastiche.page.set_viewport_size({"width": 1000, "height": 560})
    pastiche.open("?again#s=cobalt:1")
    expect(pastiche.page.locator(".card.is-chosen .card-picture")).to_be_in_viewport(ratio=0.9)


def test_the_gallery_is_one_stop_with_arrow_keys(pastiche: Pastiche) -> None:
    page, press = pastiche.page, pastiche.page.keyboard.press
    focused = page.locator(".card:focus-within .card-title")
    page.get_by_label("Search").focus()
    press("Tab")
    expect(focused).to_have_text("Amber")
    expect(page.get_by_text("Arrow keys move")).to_be_visible()
    press("Tab")
    expect(page.get_by_label("Language")).to_be_focused()
    press("Shift+Tab")
    expect(focused).to_have_text("Amber")
    for key, title in (
        ("End", "Cobalt"),
        ("ArrowLeft", "Birch"),
        ("ArrowUp", "Amber"),
        ("ArrowUp", "Amber"),
        ("ArrowDown", "Birch"),
        ("Home", "Amber"),
        ("ArrowRight", "Birch"),
    ):
        press(key)
        expect(focused).to_have_text(title)
    press("*")
    assert titles(page) == ["Birch", "Amber", "Cobalt"]
    expect(focused).to_have_text("Birch")
    press("Enter")
    press("End")
    press("+")
    expect(page.locator("#mix .part-title")).to_have_text(["Birch", "Cobalt"])
    press("+")
    expect(page.locator("#mix .part-title")).to_have_text(["Birch"])
    press("a")
    page.keyboard.type("mb")
    expect(page.get_by_label("Search")).to_have_value("amb")
    press("ArrowDown")
    expect(focused).to_have_text("Amber")
    page.get_by_label("Search").focus()
    press("Escape")
    assert len(titles(page)) == 3


def test_choose_blend_compare_and_download_by_keyboard_alone(
    page: Page, shared_server: RunningServer
) -> None:
    pastiche = Pastiche(page, shared_server.url).open()
    press = page.keyboard.press

    def tab_to(selector: str, most: int = 25) -> None:
        for _ in range(most):
            press("Tab")
            if page.locator(f"{selector}:focus").count():
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to("[data-sample=chelsea]")
    press("Enter")
    pastiche.expect_result()
    tab_to(".card-choose")
    press("ArrowRight")
    press("Enter")  # choose
    press("ArrowRight")
    press("+")  # blend
    expect(page.locator("#mix .part-title")).to_have_text(["Birch", "Cobalt"])
    pastiche.expect_result()
    page.keyboard.press("Control+Home")
    page.evaluate("document.activeElement.blur()")
    tab_to("#divider")  # compare
    press("End")
    expect(pastiche.divider).to_have_value("100")
    tab_to("#mix input[type=range]")
    press("ArrowRight")
    assert pastiche.weights() == [51, 49]
    pastiche.expect_result()
    tab_to("#download")
    with page.expect_download() as download:
        press("Enter")
    assert download.value.suggested_filename.startswith("chelsea-birch-cobalt")


def test_after_a_sample_the_focus_is_at_the_picture(pastiche: Pastiche) -> None:
    pastiche.page.get_by_role("button", name="Cup of coffee").focus()
    pastiche.page.keyboard.press("Enter")
    pastiche.expect_result()
    expect(pastiche.page.locator("#stage")).to_be_focused()

"""Everyone can use it: assistive technology, keyboard, small screens, reduced motion."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from pages import Pastiche
from playwright.sync_api import Browser, Page, expect
from serving import RunningServer

MakePhoto = Callable[..., Path]


def serious_findings(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {[node['target'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_findings(
    pastiche: Pastiche, photo: MakePhoto, scheme: Literal["light", "dark"]
) -> None:
    # Without motion: colours on their way from one to another have a contrast of their own.
    pastiche.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert serious_findings(pastiche.page) == []
    pastiche.upload(photo())
    pastiche.choose("Amber")
    pastiche.blend_in("Birch")
    pastiche.expect_result()
    assert serious_findings(pastiche.page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_findings_in_sheets_and_lists(
    pastiche: Pastiche, photo: MakePhoto, scheme: Literal["light", "dark"]
) -> None:
    page = pastiche.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.locator("#photo-file").set_input_files([photo(80, 60, "a.jpg"), photo(80, 60, "b.jpg")])
    pastiche.expect_result()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("button", name="All styles on my photo").click()
    assert serious_findings(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Paint all 2 photos").click()
    expect(page.locator("#batch-state")).to_contain_text("2 of 2", timeout=30_000)
    assert serious_findings(page) == []


def test_everything_is_reached_by_keyboard_and_the_focus_is_seen(pastiche: Pastiche) -> None:
    page = pastiche.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the styles")).to_be_focused()
    expect(page.get_by_role("link", name="To the styles")).to_be_in_viewport()
    page.keyboard.press("Tab")
    expect(page.locator("#photo-file")).to_be_focused()
    label = page.locator("label[for=photo-file]")
    expect(label).to_have_css("outline-style", "solid")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Astronaut")).to_be_focused()
    page.keyboard.press("Enter")
    pastiche.expect_result((512, 512))
    expect(page.locator("#stage")).to_be_focused()  # not the body: the picture's controls follow
    page.keyboard.press("Tab")
    expect(pastiche.divider).to_be_focused()


def test_no_width_scrolls_sideways(pastiche: Pastiche, photo: MakePhoto) -> None:
    def overflowing() -> list[int]:
        wide = []
        for width in (320, 360, 768, 960, 1440, 1920):
            pastiche.page.set_viewport_size({"width": width, "height": 700})
            if pastiche.page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append(width)
        return wide

    assert overflowing() == []
    pastiche.upload(photo())
    pastiche.choose("Amber")
    pastiche.blend_in("Birch")
    pastiche.expect_result()
    assert overflowing() == []


def test_results_are_told_politely(pastiche: Pastiche, photo: MakePhoto) -> None:
    live = pastiche.page.locator("#live")
    expect(live).to_have_attribute("aria-live", "polite")
    pastiche.upload(photo(80, 60))
    expect(live).to_have_text("The picture is ready, 80 by 60 pixels.")


def test_reduced_motion_stops_animations(browser: Browser, shared_server: RunningServer) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    Pastiche(page, shared_server.url).open()
    expect(page.locator(".spinner")).to_have_css("animation-name", "none")
    context.close()


@pytest.mark.parametrize(
    ("locale", "title", "button"),
    [("de-AT", "Dein Foto als Gemälde", "Katze"), ("fr", "Votre photo en tableau", "Chat")],
)
def test_the_page_speaks_the_browsers_language(
    browser: Browser, shared_server: RunningServer, locale: str, title: str, button: str
) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    Pastiche(page, shared_server.url).open()
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", locale[:2])
    page.get_by_role("button", name=button).click()
    expect(page.locator("#caption")).to_contain_text("451 \u00d7 300 px", timeout=15_000)
    context.close()


def test_another_language_is_chosen_at_once_and_kept(pastiche: Pastiche, photo: MakePhoto) -> None:
    page = pastiche.page
    pastiche.upload(photo())
    pastiche.choose("Amber")
    pastiche.blend_in("Birch")
    pastiche.expect_result()
    page.get_by_label("Language").select_option("Deutsch")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("heading", name="Mischung")).to_be_visible()
    expect(page.get_by_role("button", name="Herunterladen")).to_be_enabled()
    expect(page.get_by_label("Birch, in Prozent")).to_have_value("50")
    expect(page.locator("#caption")).to_contain_text(re.compile(r"in \d+,\d s"))
    assert serious_findings(page) == []
    pastiche.open("?again")
    expect(page.get_by_role("button", name="Herunterladen")).to_be_enabled(timeout=15_000)
    page.get_by_label("Sprache").select_option("English")
    expect(page.get_by_role("button", name="Download")).to_be_enabled()


def test_targets_fit_fingers(
    browser: Browser, shared_server: RunningServer, photo: MakePhoto
) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    pastiche = Pastiche(page, shared_server.url).open()

    def small_targets() -> list[str]:
        found: list[str] = page.evaluate(
            """() => [...document.querySelectorAll("a, button, select, label.button, .switch,"
              + "input:not([type=checkbox], [type=file])")]
              .filter((each) => each.checkVisibility({ visibilityProperty: true }))
              .map((each) => [each, each.getBoundingClientRect()])
              .filter(([each, box]) => box.bottom > 0 && Math.min(box.width, box.height) < 43.5)
              .map(([each, box]) => `${each.outerHTML.slice(0, 60)} ${box.width} ${box.height}`)"""
        )
        return found

    assert small_targets() == []
    expect(page.get_by_text("Drop a photo anywhere")).to_be_hidden()
    pastiche.upload(photo())
    pastiche.choose("Amber")
    pastiche.blend_in("Birch")
    pastiche.expect_result()
    assert small_targets() == []
    tools, picture = (page.locator(each).bounding_box() for each in (".tools", ".frame"))
    assert tools is not None
    assert picture is not None
    assert tools["width"] * tools["height"] < 0.06 * picture["width"] * picture["height"]
    context.close()


@pytest.mark.parametrize("size", [(390, 844), (1024, 768), (1440, 900)])
def test_the_picture_keeps_its_size_when_styles_join_the_blend(
    pastiche: Pastiche, photo: MakePhoto, size: tuple[int, int]
) -> None:
    pastiche.page.set_viewport_size({"width": size[0], "height": size[1]})
    pastiche.upload(photo(900, 700))
    pastiche.choose("Amber")
    pastiche.expect_result()
    frame = pastiche.page.locator(".frame")
    before = frame.evaluate("frame => frame.clientWidth")
    for title in ("Birch", "Cobalt"):
        pastiche.blend_in(title)
        assert frame.evaluate("frame => frame.clientWidth") == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_reference_is_read_by_everyone_on_a_phone_too(
    page: Page, shared_server: RunningServer, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{shared_server.url}/docs")
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground))) < 60) == (scheme == "dark")


@pytest.mark.parametrize("width", [390, 700, 1024, 1440])
def test_no_control_is_cut_off_in_the_longest_words(
    pastiche: Pastiche, photo: MakePhoto, width: int
) -> None:
    page = pastiche.page
    page.set_viewport_size({"width": width, "height": 900})
    pastiche.upload(photo())
    pastiche.expect_result()
    for language in ("Deutsch", "Français", "English"):
        page.locator("#language").select_option(language)
        cut: list[str] = page.evaluate(
            """() => {
              const edge = document.querySelector("#controls").getBoundingClientRect().right + 0.5;
              return [...document.querySelectorAll("#controls :is(button, input, select)")]
                .filter((each) => each.checkVisibility() && !each.closest(".visually-hidden"))
                .filter((each) => each.getBoundingClientRect().right > edge)
                .map((each) => each.outerHTML.slice(0, 70));
            }"""
        )
        assert cut == [], language

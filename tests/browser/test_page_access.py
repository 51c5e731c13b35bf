"""Everyone can use it: assistive technology, keyboard, small screens, reduced motion."""

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


def test_everything_is_reached_by_keyboard_and_the_focus_is_seen(pastiche: Pastiche) -> None:
    page = pastiche.page
    page.keyboard.press("Tab")
    expect(page.locator("#photo-file")).to_be_focused()
    label = page.get_by_text("Choose a photo")
    expect(label).to_have_css("outline-style", "solid")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Astronaut")).to_be_focused()
    page.keyboard.press("Enter")
    pastiche.expect_result((512, 512))
    page.get_by_label("Search").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the second card
    expect(page.locator(".card").nth(1).locator(".card-choose")).to_have_attribute(
        "aria-pressed", "true"
    )


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

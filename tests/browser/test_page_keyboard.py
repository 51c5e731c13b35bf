"""All of a visit by keyboard alone, from the first Tab to the file."""

import re

from pages import Pastiche
from playwright.sync_api import Locator, expect

MOST_STOPS = 60


def tab_to(pastiche: Pastiche, wanted: Locator, key: str = "Tab") -> None:
    """Press Tab until it has the focus; more stops than there may be are a failure."""
    for _ in range(MOST_STOPS):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        pastiche.page.keyboard.press(key)
    expect(wanted).to_be_focused(timeout=1)


def test_a_whole_visit_by_keyboard(pastiche: Pastiche) -> None:
    page, press = pastiche.page, pastiche.page.keyboard.press
    button = page.get_by_role

    tab_to(pastiche, button("button", name="Cat"))
    press("Enter")
    pastiche.expect_result((451, 300))

    # Blend
    tab_to(pastiche, page.locator(".card-choose").first)
    press("ArrowRight")
    press("+")
    expect(page.locator("#mix > li")).to_have_count(2)
    pastiche.expect_result()
    tab_to(pastiche, pastiche.weight("Birch"), "Shift+Tab")
    press("ArrowRight")
    expect(page).to_have_url(re.compile("birch:0.51"))
    pastiche.expect_result()

    # Compare, with the photo and with another look
    tab_to(pastiche, pastiche.divider, "Shift+Tab")
    press("ArrowRight")
    expect(pastiche.divider).to_have_value("1")
    tab_to(pastiche, button("button", name="Compare", exact=True))
    press("Enter")
    tab_to(pastiche, page.get_by_label("Beside each other"), "Shift+Tab")
    press("Space")
    expect(page.locator("#viewer")).to_have_class(re.compile("is-beside"))

    # History
    press("Control+z")
    expect(page).to_have_url(re.compile("birch:0.5&"))
    tab_to(pastiche, button("button", name="Redo"), "Shift+Tab")
    press("Enter")
    expect(page).to_have_url(re.compile("birch:0.51"))

    # Every style on the photo
    opener = button("button", name="All styles on my photo")
    tab_to(pastiche, opener)
    press("Enter")
    expect(page.locator(".sheet-cell").first).to_be_focused()
    press("End")
    press("Enter")
    expect(page).to_have_url(re.compile("#s=cobalt:1"))
    expect(opener).to_be_focused()
    pastiche.expect_result((451, 300))

    # Download
    tab_to(pastiche, button("button", name="Download"), "Shift+Tab")
    with page.expect_download() as download:
        press("Enter")
    assert download.value.suggested_filename == "chelsea-cobalt.jpeg"

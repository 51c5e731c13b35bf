"""The result's file: format, quality, size, sharing."""

import io
from collections.abc import Callable
from pathlib import Path

from pages import Pastiche
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from serving import RunningServer

MakePhoto = Callable[..., Path]

# A device with other applications: what it is handed is kept, since a test has no one to tap it.
SHARING = """
navigator.canShare = ({ files }) => files.every((file) => file.type.startsWith("image/"));
navigator.share = async ({ files: [file] }) => {
  window.shared = { name: file.name, bytes: [...new Uint8Array(await file.arrayBuffer())] };
};
"""


def test_quality_changes_the_file_whose_size_is_shown(pastiche: Pastiche, photo: MakePhoto) -> None:
    page, sizes = pastiche.page, []
    pastiche.upload(photo())
    for quality in ("90", "30"):
        page.get_by_label("Quality, 10 to 100").fill(quality)
        page.keyboard.press("Enter")
        pastiche.expect_result((320, 240))
        sizes.append(len(pastiche.download()))
        expect(page.locator("#caption")).to_contain_text(f", {sizes[-1] / 1000:.0f} KB,")
    assert sizes[1] < 0.7 * sizes[0]
    expect(page.get_by_label("Quality", exact=True)).to_have_value("30")
    page.get_by_label("Format").select_option("png")
    expect(page.get_by_label("Quality", exact=True)).to_be_hidden()


def test_a_picture_is_offered_in_the_format_of_its_photo(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    format = pastiche.page.get_by_label("Format")
    for name in ("png", "webp", "jpeg"):
        pastiche.upload(photo(60, 40, f"photo.{name}"))
        expect(format).to_have_value(name)
        pastiche.expect_result((60, 40))
        assert Image.open(io.BytesIO(pastiche.download())).format == name.upper()
    format.select_option("webp")
    pastiche.upload(photo(50, 40, "photo.png"))
    expect(format).to_have_value("webp")  # what was chosen stays


def test_sharing_hands_over_the_file(
    context: BrowserContext, page: Page, shared_server: RunningServer, photo: MakePhoto
) -> None:
    context.add_init_script(SHARING)
    pastiche = Pastiche(page, shared_server.url).open("#s=amber:1&strength=0.5")
    pastiche.upload(photo(60, 40, "holiday.jpg"))
    pastiche.expect_result()
    page.get_by_role("button", name="Share").click()
    page.wait_for_function("window.shared")
    shared = page.evaluate("window.shared")
    assert shared["name"] == "holiday-amber.jpeg"
    assert bytes(shared["bytes"]) == pastiche.download()


def test_without_anyone_to_share_with_there_is_no_button(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    pastiche.upload(photo(60, 40))
    pastiche.expect_result()
    expect(pastiche.page.locator("#share")).to_be_hidden()

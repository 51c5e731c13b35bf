"""The page as a person meets it: what can be done on it, what is seen."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect


class Pastiche:
    """The page in a browser.

    Parameters
    ----------
    page
        A fresh tab.
    url
        Of the server.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.result = page.locator("#after")
        self.notice = page.locator("#notice")
        self.strength = page.get_by_label("Strength", exact=True)
        self.pad = page.locator("#pad-area")
        self.divider = page.get_by_label("Before and after")

    def open(self, hash: str = "") -> "Pastiche":
        self.page.goto(f"{self.url}/{hash}")
        expect(self.page.locator("#cards")).to_have_attribute("aria-busy", "false")
        return self

    def upload(self, photo: Path) -> None:
        """Choose a file: by the header's button once there is a photo, else by the large one."""
        is_first = self.page.locator("#welcome").is_visible()
        self.page.locator("#photo-file" if is_first else "#photo-again").set_input_files(photo)

    def choose(self, title: str) -> None:
        self.page.get_by_role("button", name=re.compile(f"^{title}")).click()

    def blend_in(self, title: str) -> None:
        self.page.get_by_role("button", name=f"Add {title} to the blend").click()

    def choose_size(self, name: str) -> None:
        """By the first word of its label; the input itself lies under it."""
        self.page.locator(".size", has_text=name).click()

    def weight(self, title: str) -> Locator:
        return self.page.locator("#mix").get_by_label(title, exact=True)

    def weights(self) -> list[int]:
        ranges = self.page.locator("#mix input[type=range]").all()
        return [int(each.input_value()) for each in ranges]

    def expect_result(self, size: tuple[int, int] | None = None) -> None:
        """Wait until the result of what is chosen is shown, in px where given."""
        expect(self.page.get_by_role("button", name="Download")).to_be_enabled(timeout=15_000)
        if size is not None:
            caption = self.page.locator("#caption")
            expect(caption).to_contain_text(f"{size[0]} \u00d7 {size[1]} px", timeout=15_000)

    def download(self) -> bytes:
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download").click()
        return download.value.path().read_bytes()

    def drag(self, control: Locator, start: float, end: float, steps: int = 10) -> None:
        """Press on a control at a fraction of its width and move; the button stays down."""
        box = control.bounding_box()
        assert box is not None
        mouse, y = self.page.mouse, box["y"] + box["height"] / 2
        mouse.move(box["x"] + box["width"] * start, y)
        mouse.down()
        mouse.move(box["x"] + box["width"] * end, y, steps=steps)

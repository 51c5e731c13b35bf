"""Takes the README's pictures of the page, with the shipped weights.

From the repository's root: ``PYTHONPATH=. python tests/browser/screenshots.py``.
"""

import io
import tempfile
from pathlib import Path
from typing import Literal

from browsing import ARGUMENTS, CHROMIUM
from pages import Pastiche
from PIL import Image
from playwright.sync_api import Browser, ViewportSize, sync_playwright
from serving import RunningServer

from app.settings import Settings

Scheme = Literal["light", "dark"]

REPOSITORY = Path(__file__).parents[2]
SIZE = ViewportSize(width=1440, height=900)
PICTURES: tuple[tuple[Scheme, str, str, int], ...] = (
    ("light", "Cup of coffee", "#s=starry-night:0.7,great-wave:0.3", 35),
    ("dark", "Rocket launch", "#s=la-ville-de-paris:0.5,composition-vii:0.3,udnie:0.2", 42),
)


def take(browser: Browser, url: str, scheme: Scheme, photo: str, recipe: str, split: int) -> None:
    """One picture, as ``docs/page-<scheme>.webp``."""
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    pastiche = Pastiche(page, url).open(recipe)
    page.get_by_role("button", name=photo).click()
    pastiche.expect_result()
    pastiche.divider.fill(str(split))
    page.wait_for_load_state("networkidle")
    image = Image.open(io.BytesIO(page.screenshot()))
    image.resize((1200, 750), Image.Resampling.LANCZOS).save(
        REPOSITORY / "docs" / f"page-{scheme}.webp", quality=80, method=6
    )
    page.close()


def main() -> None:
    """All pictures."""
    with tempfile.TemporaryDirectory() as data:
        server = RunningServer(Settings(port=0, data_dir=Path(data)))
        server.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for picture in PICTURES:
                take(browser, server.url, *picture)
            browser.close()
        server.stop()


if __name__ == "__main__":
    main()

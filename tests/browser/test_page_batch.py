"""Several photos at once: one look, one ZIP."""

import base64
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from pages import Pastiche
from PIL import Image
from playwright.sync_api import Page, expect
from serving import RunningServer

from app.settings import Settings

MakePhoto = Callable[..., Path]

PATIENCE_MS = 30_000


def saved_zip(page: Page) -> zipfile.ZipFile:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as ZIP").click()
    assert download.value.suggested_filename == "pastiche.zip"
    return zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))


def choose_together(page: Page, paths: list[Path]) -> None:
    page.locator("#photo-file").set_input_files(paths)


def test_photos_that_are_chosen_together_come_as_one_zip(
    pastiche: Pastiche, complaints: list[str], photo: MakePhoto, tmp_path: Path
) -> None:
    page = pastiche.page
    (tmp_path / "other").mkdir()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    paths = [
        broken,
        photo(90, 60, "S\u00fcden \u6d77.jpg"),
        photo(80, 50, "same.jpg"),
        photo(70, 50, "other/same.jpg"),
        photo(1100, 550, "large.png"),
    ]
    choose_together(page, paths)
    pastiche.expect_result((90, 60))  # the first that can be read, to choose a look on
    expect(pastiche.notice).to_contain_text("5 photos are here. Choose a look on this one")
    pastiche.choose("Birch")
    pastiche.strength.fill("60")
    page.get_by_role("button", name="Paint all 5 photos").click()
    expect(page.locator("#batch-look")).to_have_text("Birch, strength 60%")
    expect(page.locator("#batch-state")).to_have_text(
        "4 of 5 photos painted, 1 failed", timeout=PATIENCE_MS
    )
    states = page.locator(".batch-photo-state")
    expect(states.first).to_contain_text("This file cannot be read as a picture.")
    expect(page.locator("#batch-progress")).to_have_js_property("position", 1)
    with saved_zip(page) as archive:
        assert archive.testzip() is None
        sizes = {
            info.filename: Image.open(io.BytesIO(archive.read(info))).size
            for info in archive.infolist()
        }
    assert sizes.pop("same-birch.jpeg") != sizes.pop("same-birch-2.jpeg")
    assert sizes == {"S\u00fcden \u6d77-birch.jpeg": (90, 60), "large-birch.png": (1024, 512)}
    page.keyboard.press("Escape")
    page.get_by_role("button", name="4 of 5 photos painted").click()  # nothing is painted again
    expect(page.locator("#batch-state")).to_have_text("4 of 5 photos painted, 1 failed")
    complaints[:] = [each for each in complaints if "429" not in each]  # of a slow machine


def test_dropped_together(pastiche: Pastiche, photo: MakePhoto) -> None:
    contents = [base64.b64encode(photo(width, 50).read_bytes()).decode() for width in (90, 80)]
    transfer = pastiche.page.evaluate_handle(
        """(contents) => {
          const transfer = new DataTransfer();
          contents.forEach((content, index) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            transfer.items.add(new File([bytes], `${index}.jpg`, { type: "image/jpeg" }));
          });
          transfer.items.add(new File(["no picture"], "notes.txt", { type: "text/plain" }));
          return transfer;
        }""",
        contents,
    )
    pastiche.page.dispatch_event("footer", "drop", {"dataTransfer": transfer})
    pastiche.expect_result((90, 50))
    expect(pastiche.page.get_by_role("button", name="Paint all 2 photos")).to_be_visible()
    pastiche.upload(photo(70, 60))  # another one alone
    pastiche.expect_result((70, 60))
    expect(pastiche.page.locator("#batch-open")).to_be_hidden()


def test_a_busy_server_is_waited_for_and_what_was_cancelled_is_tried_again(
    page: Page, complaints: list[str], settings: Settings, photo: MakePhoto
) -> None:
    # Two are painted at once, and there is room for one.
    server = RunningServer(settings.model_copy(update={"max_queue_requests": 1}))
    server.start()
    pastiche = Pastiche(page, server.url).open("#s=amber:1")
    choose_together(page, [photo(80 + each, 60, f"{each}.jpg") for each in range(3)])
    pastiche.expect_result((80, 60))
    with server.services.engine.admission.admit(1):
        page.get_by_role("button", name="Paint all 3 photos").click()
        expect(page.locator("#batch-state")).to_contain_text("The server is busy")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".batch-photo-state")).to_have_text(["cancelled"] * 3)
        expect(page.get_by_role("button", name="Save as ZIP")).to_be_disabled()
    page.get_by_role("button", name="Try again what is missing").click()
    expect(page.locator("#batch-state")).to_have_text("3 of 3 photos painted", timeout=PATIENCE_MS)
    assert len(saved_zip(page).namelist()) == 3
    server.stop()
    assert all("429" in complaint for complaint in complaints)
    complaints.clear()


def test_one_that_fails_is_tried_again_by_itself(
    pastiche: Pastiche, complaints: list[str], photo: MakePhoto
) -> None:
    page = pastiche.page
    choose_together(page, [photo(80 + each, 60, f"{each}.jpg") for each in range(3)])
    pastiche.expect_result((80, 60))

    page.route("**/v1/stylize", lambda route: route.abort(), times=1)
    page.get_by_role("button", name="Paint all 3 photos").click()
    state = page.locator("#batch-state")
    expect(state).to_have_text("2 of 3 photos painted, 1 failed", timeout=PATIENCE_MS)
    expect(page.get_by_text("The server cannot be reached.").first).to_be_visible()
    page.get_by_role("button", name="Try again what is missing").click()
    expect(state).to_have_text("3 of 3 photos painted", timeout=PATIENCE_MS)
    with saved_zip(page) as archive:
        assert sorted(archive.namelist()) == [f"{each}-amber.jpeg" for each in range(3)]
    complaints.clear()

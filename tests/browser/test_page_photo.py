"""Ways in for a photo."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import Pastiche
from PIL import Image
from playwright.sync_api import BrowserContext, expect

MakePhoto = Callable[..., Path]


def test_a_sample_photo_is_stylized_by_one_click(pastiche: Pastiche) -> None:
    pastiche.page.get_by_role("button", name="Cat").click()
    pastiche.expect_result((451, 300))
    expect(pastiche.page.get_by_role("heading", name="Your photo, as a painting")).to_be_hidden()


def test_upload_by_button(pastiche: Pastiche, photo: MakePhoto) -> None:
    with pastiche.page.expect_file_chooser() as chooser:
        pastiche.page.get_by_text("Choose a photo").click()
    chooser.value.set_files(photo(200, 100))
    pastiche.expect_result((200, 100))
    pastiche.upload(photo(120, 160, "other.jpg"))
    pastiche.expect_result((120, 160))


def test_upload_by_drop(pastiche: Pastiche, photo: MakePhoto) -> None:
    content = base64.b64encode(photo(210, 90).read_bytes()).decode()
    transfer = pastiche.page.evaluate_handle(
        """(content) => {
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
          return transfer;
        }""",
        content,
    )
    pastiche.page.dispatch_event("footer", "dragover", {"dataTransfer": transfer})
    expect(pastiche.page.get_by_text("Drop the picture")).to_be_visible()
    pastiche.page.dispatch_event("footer", "drop", {"dataTransfer": transfer})
    pastiche.expect_result((210, 90))
    expect(pastiche.page.get_by_text("Drop the picture")).to_be_hidden()


def test_copy_and_paste(pastiche: Pastiche, photo: MakePhoto, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    pastiche.upload(photo(90, 130))
    pastiche.expect_result((90, 130))
    pastiche.page.get_by_role("button", name="Copy", exact=True).click()
    expect(pastiche.page.locator("#live")).to_have_text("Picture copied.")
    pastiche.open()
    pastiche.page.keyboard.press("Control+v")
    pastiche.expect_result((90, 130))


@pytest.mark.parametrize("orientation", [1, 6])
def test_phone_photos_are_turned_upright(
    pastiche: Pastiche, photo: MakePhoto, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pastiche.upload(photo(300, 150, exif=exif))
    pastiche.expect_result((300, 150) if orientation == 1 else (150, 300))


def test_a_large_photo_is_shrunk_in_the_browser_unless_its_own_size_is_asked_for(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    sent: list[int] = []
    pastiche.page.on("request", lambda request: sent.append(len(request.post_data_buffer or b"")))
    large = photo(1600, 800)
    pastiche.upload(large)
    pastiche.expect_result((1024, 512))
    assert max(sent) < large.stat().st_size
    expect(pastiche.page.locator("#caption")).to_contain_text("the photo has 1600 \u00d7 800")
    pastiche.choose_size("Original")
    pastiche.expect_result((1600, 800))
    expect(pastiche.page.locator("#caption")).not_to_contain_text("the photo has")


def test_a_transparent_photo_stays_transparent(pastiche: Pastiche, tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (80, 60), (200, 30, 30, 90)).save(path)
    pastiche.upload(path)
    pastiche.expect_result((80, 60))
    pastiche.page.get_by_label("Format").select_option("png")
    (tmp_path / "result.png").write_bytes(pastiche.download())
    with Image.open(tmp_path / "result.png") as result:
        assert result.getpixel((40, 30))[3] == 90  # type: ignore[index]


def test_a_broken_file_is_named_as_such_and_the_photo_before_stays(
    pastiche: Pastiche, photo: MakePhoto, tmp_path: Path
) -> None:
    pastiche.upload(photo(90, 70))
    pastiche.expect_result((90, 70))
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    pastiche.upload(broken)
    expect(pastiche.notice).to_contain_text("This file cannot be read as a picture.")
    expect(pastiche.notice).to_contain_text("Try a JPEG, PNG or WebP.")
    expect(pastiche.page.locator("#live")).to_contain_text("cannot be read")
    pastiche.page.get_by_role("button", name="Dismiss").click()
    expect(pastiche.notice).to_be_hidden()
    pastiche.expect_result((90, 70))

"""What is chosen, as a program: it runs, and gives the picture that the page gives."""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import Pastiche
from playwright.sync_api import BrowserContext, expect
from test_page_access import serious_findings

MakePhoto = Callable[..., Path]
CURL = shutil.which("curl")


def test_the_recipe_as_a_program_gives_the_same_picture(
    pastiche: Pastiche, photo: MakePhoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = pastiche.page
    pastiche.open("?again#s=amber:0.6,cobalt:0.4&strength=0.8&colors=photo")
    pastiche.upload(photo())
    pastiche.expect_result()
    shown = pastiche.download()
    page.get_by_role("button", name="For programmers").click()
    assert serious_findings(page) == []
    curl, python = page.locator("#code-curl code"), page.locator("#code-python code")
    monkeypatch.chdir(tmp_path)  # where photo.jpg is

    # The library is named as it is in these tests; the two have the same calls.
    code = (python.text_content() or "").replace("import requests", "import httpx2 as requests")
    exec(compile(code, "recipe", "exec"), {})  # noqa: S102
    assert (tmp_path / "out.jpeg").read_bytes() == shown
    if CURL is not None:
        (tmp_path / "out.jpeg").unlink()
        words = shlex.split((curl.text_content() or "").replace("\\\n", " "))
        subprocess.run([CURL, "-s", *words[1:]], check=True, timeout=30)  # noqa: S603
        assert (tmp_path / "out.jpeg").read_bytes() == shown


def test_it_is_copied_and_asks_for_a_style_first(
    pastiche: Pastiche, context: BrowserContext
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = pastiche.page
    page.get_by_role("button", name="For programmers").click()
    expect(page.get_by_text("Choose a style first.")).to_be_visible()
    expect(page.locator("#code-blocks")).to_be_hidden()
    page.get_by_role("button", name="Close").click()
    pastiche.choose("Amber")
    page.get_by_role("button", name="For programmers").click()
    page.locator("#code-curl").get_by_role("button", name="Copy").click()
    expect(page.locator("#live")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#code-curl code").text_content()
    assert f"{pastiche.url}/v1/stylize" in copied

"""Choosing, blending, strength, previews, comparing, the recipe in the address."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import Pastiche
from playwright.sync_api import BrowserContext, Request, expect

MakePhoto = Callable[..., Path]


def test_choosing_a_style_makes_it_the_only_one(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo())
    for title in ("Cobalt", "Birch"):
        pastiche.choose(title)
        pastiche.expect_result()
        pressed = pastiche.page.locator(".card-choose[aria-pressed=true] .card-title")
        expect(pressed).to_have_text(title)
    expect(pastiche.result).to_have_attribute("alt", "Your photo in the style of Birch")


def test_without_a_style_the_photo_itself_is_shown(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo(60, 40))
    pastiche.expect_result((60, 40))
    pastiche.page.get_by_role("button", name="Remove Amber", exact=True).click()
    expect(pastiche.result).to_be_hidden()
    expect(pastiche.page.locator("#before")).to_be_visible()
    expect(pastiche.page.get_by_text("Choose a style.")).to_be_visible()
    expect(pastiche.page.get_by_role("button", name="Download")).to_be_disabled()


def test_blending_by_slider_keeps_the_sum(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo())
    pastiche.choose("Amber")
    pastiche.blend_in("Birch")
    pastiche.blend_in("Cobalt")
    assert sorted(pastiche.weights()) == [33, 33, 34]
    pastiche.weight("Amber").fill("80")
    expect(pastiche.page.get_by_label("Birch, in per cent")).to_have_value("10")
    assert pastiche.weights() == [80, 10, 10]
    pastiche.page.get_by_label("Birch, in per cent").fill("55")
    pastiche.page.keyboard.press("Enter")
    assert pastiche.weights() == [40, 55, 5]
    pastiche.expect_result()
    pastiche.page.get_by_role("button", name="Remove Cobalt", exact=True).click()
    assert sum(pastiche.weights()) == 100
    expect(pastiche.page).to_have_url(re.compile(r"#s=amber:0\.4\d+,birch:0\.5\d+&strength=1$"))


def test_dragging_a_slider_to_the_end_and_back_keeps_the_others_proportions(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    pastiche.open("#s=amber:0.5,birch:0.4,cobalt:0.1")
    pastiche.upload(photo(64, 64))
    pastiche.drag(pastiche.weight("Amber"), 0.5, 1.1)
    assert pastiche.weights() == [100, 0, 0]
    pastiche.drag(pastiche.weight("Amber"), 1, 0.5)
    pastiche.page.mouse.up()
    amber, birch, cobalt = pastiche.weights()
    assert abs(amber - 50) <= 5
    assert birch == pytest.approx(4 * cobalt, abs=3)


def test_blending_by_the_pad(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo())
    pastiche.choose("Amber")
    pastiche.blend_in("Birch")
    pastiche.drag(pastiche.pad, 0.5, 0.8)
    assert pastiche.weights() == [20, 80]
    pastiche.page.mouse.up()
    expect(pastiche.page).to_have_url(re.compile("#s=amber:0.2,birch:0.8"))
    pastiche.blend_in("Cobalt")  # a triangle: its left lower corner is the second style
    pastiche.pad.click(position={"x": 1, "y": 107})
    amber, birch, cobalt = pastiche.weights()
    assert birch > 95
    assert amber + birch + cobalt == 100
    pastiche.expect_result()


def test_a_blend_has_room_for_four(pastiche: Pastiche) -> None:
    pastiche.choose("Amber")
    for title in ("Birch", "Cobalt"):
        pastiche.blend_in(title)
    expect(pastiche.page.locator("#mix > li")).to_have_count(3)
    pastiche.page.get_by_role("button", name="Remove Birch from the blend").click()
    expect(pastiche.page.locator("#mix > li")).to_have_count(2)


def test_the_weights_of_a_link_sum_to_one(pastiche: Pastiche) -> None:
    pastiche.open("?again#s=amber:1,birch:1,cobalt:1")
    pastiche.page.get_by_label("Strength in per cent").fill("90")
    pastiche.page.keyboard.press("Enter")
    expect(pastiche.page).to_have_url(re.compile("strength=0.9$"))
    weights = re.findall(r":(0\.\d+)", pastiche.page.url.partition("#")[2])
    assert sorted(weights) == ["0.333", "0.333", "0.334"]


def test_strength_and_colours_change_the_picture(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.page.get_by_label("Search").fill("amb")
    pastiche.upload(photo())
    pastiche.expect_result()
    pictures = {pastiche.download()}
    pastiche.strength.fill("40")
    expect(pastiche.page.get_by_label("Strength in per cent")).to_have_value("40")
    pastiche.expect_result()
    pictures.add(pastiche.download())
    pastiche.page.get_by_label("Keep the photo").check()
    pastiche.expect_result()
    pictures.add(pastiche.download())
    assert len(pictures) == 3
    expect(pastiche.page).to_have_url(re.compile("strength=0.4&colors=photo$"))


def test_previews_while_a_control_moves_one_at_a_time_then_the_result(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    pastiche.upload(photo(640, 480))
    pastiche.expect_result((640, 480))
    flying: set[Request] = set()
    counts: list[int] = []

    def began(request: Request) -> None:
        if request.url.endswith("/v1/stylize"):
            flying.add(request)
            counts.append(len(flying))

    pastiche.page.on("request", began)
    pastiche.page.on("requestfinished", lambda request: flying.discard(request))
    pastiche.page.on("requestfailed", lambda request: flying.discard(request))
    pastiche.drag(pastiche.strength, 0.97, 0.3, steps=60)
    expect(pastiche.result).to_have_js_property("naturalWidth", 256)
    assert max(counts) == 1
    pastiche.page.mouse.up()
    expect(pastiche.result).to_have_js_property("naturalWidth", 640)
    pastiche.expect_result()
    assert 2 <= len(counts) < 60


def test_comparing_by_keyboard_and_by_mouse(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo())
    pastiche.expect_result()
    pastiche.divider.focus()
    for _ in range(30):
        pastiche.page.keyboard.press("ArrowRight")
    expect(pastiche.divider).to_have_value("30")
    expect(pastiche.divider).to_have_attribute("aria-valuetext", "30% before")
    expect(pastiche.page.locator("#before")).to_have_css("clip-path", "inset(0px 70% 0px 0px)")
    pastiche.page.keyboard.press("End")
    expect(pastiche.divider).to_have_value("100")
    frame = pastiche.page.locator(".frame").bounding_box()
    assert frame is not None
    pastiche.page.mouse.click(frame["x"] + frame["width"] / 4, frame["y"] + frame["height"] / 2)
    expect(pastiche.divider).to_have_value("25")


def test_a_hundred_per_cent_means_pixels_and_small_photos_are_not_blown_up(
    pastiche: Pastiche, photo: MakePhoto
) -> None:
    frame, fit = pastiche.page.locator(".frame"), pastiche.page.locator("#zoom-fit")
    pastiche.upload(photo(260, 260))
    pastiche.expect_result()
    assert frame.evaluate("frame => frame.clientWidth") <= 260
    pastiche.upload(photo(1500, 1500))
    pastiche.expect_result()
    assert frame.evaluate("frame => frame.clientWidth") < 1000
    frame.dblclick(position={"x": 100, "y": 100})
    while fit.text_content() != "100%":
        pastiche.page.get_by_role("button", name="Zoom out").click()
    assert frame.evaluate("frame => frame.clientWidth * devicePixelRatio") == pytest.approx(1500)
    frame.dblclick(position={"x": 100, "y": 100})
    expect(fit).to_have_text("Fit")
    pastiche.page.keyboard.down("Control")
    pastiche.page.mouse.wheel(0, -100)
    expect(fit).not_to_have_text("Fit")
    pastiche.page.mouse.wheel(0, 100)
    expect(fit).to_have_text("Fit")


def test_zoom_and_full_screen(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo(480, 360))  # as large as it can be shown, with nothing beyond the edge
    pastiche.expect_result()
    frame = pastiche.page.locator(".frame")
    before = frame.bounding_box()
    for _ in range(2):
        pastiche.page.get_by_role("button", name="Zoom in").click()
    zoomed = frame.bounding_box()
    assert before is not None
    assert zoomed is not None
    assert zoomed["width"] == pytest.approx(2 * before["width"], rel=0.02)
    pastiche.drag(pastiche.page.locator("#scroller"), 0.8, 0.2)
    pastiche.page.mouse.up()
    moved = frame.bounding_box()
    assert moved is not None
    assert moved["x"] < zoomed["x"]
    pastiche.page.get_by_role("button", name="Zoom to fit").click()
    expect(pastiche.page.locator("#zoom-fit")).to_have_text("Fit")
    pastiche.page.get_by_role("button", name="Full screen").click()
    expect(pastiche.page.get_by_role("button", name="Leave full screen")).to_be_visible()


def test_the_recipe_in_the_address_restores(
    pastiche: Pastiche, photo: MakePhoto, context: BrowserContext
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    pastiche.open("#s=amber:0.6,birch:0.4&strength=0.8&colors=photo")
    assert pastiche.weights() == [60, 40]
    expect(pastiche.strength).to_have_value("80")
    expect(pastiche.page.get_by_label("Keep the photo")).to_be_checked()
    pastiche.strength.fill("50")  # now, so that no second picture's notice hides the link's
    pastiche.upload(photo())
    pastiche.expect_result()
    pastiche.page.get_by_role("button", name="Copy link").click()
    expect(pastiche.page.locator("#live")).to_have_text("Link copied.")
    link = pastiche.page.evaluate("navigator.clipboard.readText()")
    assert link == f"{pastiche.url}/#s=amber:0.6,birch:0.4&strength=0.5&colors=photo"


def test_a_link_with_an_unknown_style_says_so(pastiche: Pastiche) -> None:
    pastiche.open("#s=amber:0.5,never-seen:0.5")
    expect(pastiche.notice).to_contain_text("does not have every style of the link")
    expect(pastiche.page).to_have_url(re.compile("#s=amber:1&"))


def test_what_is_no_recipe_is_ignored(pastiche: Pastiche) -> None:
    for hash in ("#s=", "#s=%3Cb%3E:1", "#s=amber:NaN", "#s=amber:1:2", "#x"):
        pastiche.open(hash)
        expect(pastiche.page.locator("#mix > li")).to_have_count(0)


def test_search(pastiche: Pastiche) -> None:
    cards = pastiche.page.locator(".card:visible")
    pastiche.page.get_by_label("Search").fill("BIRCH")
    expect(cards).to_have_count(1)
    pastiche.page.get_by_label("Search").fill("nothing like it")
    expect(pastiche.page.get_by_text("No style matches.")).to_be_visible()
    pastiche.page.get_by_role("button", name="Show all").click()
    expect(cards).to_have_count(3)


def test_the_newest_photo_wins(pastiche: Pastiche, photo: MakePhoto) -> None:
    pastiche.upload(photo(1500, 1500, "slow.jpg"))
    pastiche.upload(photo(60, 50, "quick.jpg"))
    pastiche.expect_result((60, 50))
    time.sleep(0.5)
    expect(pastiche.page.locator("#caption")).to_contain_text("60 \u00d7 50 px")

"""The view of new styles: there where the server learns them, and following a job to its end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_jobs import FakeJobs
from pages import Pastiche
from playwright.sync_api import Page, expect
from serving import RunningServer
from test_page_access import serious_findings

from app.settings import Settings
from model.network.weights import load_weights
from model.styles.style import Style
from model.styles.style_file import save_style

MakePhoto = Callable[..., Path]
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def learning(page: Page, settings: Settings, jobs: FakeJobs) -> Iterator[Pastiche]:
    """The page of a server that learns styles."""
    server = RunningServer(settings)
    jobs.install(server.app)
    server.start()
    yield Pastiche(page, server.url).open()
    jobs.events.append(("state", {"state": "cancelled"}))  # lets go of who still listens
    server.stop()


def progress(step: int, loss: float) -> tuple[str, dict[str, object]]:
    return "progress", {"step": step, "steps": 100, "losses": {"style": loss}, "eta_s": 100 - step}


def start_job(pastiche: Pastiche, painting: Path, title: str) -> None:
    page = pastiche.page
    page.get_by_role("button", name="New style").click()
    page.locator("#painting-file").set_input_files(painting)
    expect(page.locator("#painting-preview")).to_be_visible()
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Learn this style").click()
    expect(page.locator("#job-state")).to_contain_text("Queued")


def test_a_server_that_cannot_keep_jobs_shows_no_way_to_them(
    page: Page, settings: Settings, complaints: list[str]
) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "jobs").write_text("in the way")
    server = RunningServer(settings)
    server.start()
    page = Pastiche(page, server.url).open().page
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("button", name="New style")).to_be_hidden()
    assert all("503" in complaint for complaint in complaints)
    complaints.clear()
    server.stop()


def test_a_style_is_learned_watched_left_and_joins_the_gallery(
    learning: Pastiche, jobs: FakeJobs, photo: MakePhoto, settings: Settings
) -> None:
    page = learning.page
    title = "<b>Waves</b>"
    start_job(learning, photo(120, 90, "waves.jpg"), title)
    assert serious_findings(page) == []
    jobs.hang_up_after = 2  # the connection breaks, and is resumed after the second event
    jobs.events += [progress(10, 4.0), progress(20, 2.0)]
    expect(page.locator("#job-loss")).to_have_text("Style loss 2.00")
    jobs.events += [progress(30, 1.0), ("preview", {"preview": PIXEL})]
    expect(page.locator("#job-state")).to_have_text("Step 30 of 100, about 70 s left")
    expect(page.locator("#new-style-title")).to_have_text(title)
    expect(page.locator("#job-curve-line")).to_have_attribute(
        "points", "10.00,5.81 20.00,23.88 30.00,41.94"
    )
    marks = page.locator("#job-curve-marks span")
    expect(marks).to_have_text(["0.5", "1", "2", "5"])  # from the first point on, and not anew
    expect(page.locator("#job-curve-end")).to_have_text("100 steps")
    expect(page.locator("#job-preview")).to_have_attribute("src", PIXEL)
    assert jobs.resumed_from == ["2"]

    learning.open("?again")  # leave and come back: the job goes on
    page.get_by_role("button", name=title).click()
    expect(page.locator("#job-state")).to_contain_text("Step 30 of 100")
    page.get_by_role("button", name="Close").click()

    weights = load_weights(settings.weights_dir / "network.safetensors")
    (settings.data_dir / "styles").mkdir(parents=True)
    style = Style("waves", title, weights.original, weights.fingerprint, kind="custom")
    save_style(style, settings.data_dir / "styles" / "waves.safetensors")
    jobs.events.append(("state", {"state": "succeeded", "style": "waves"}))
    expect(page.locator(".card-title").first).to_have_text(title)
    expect(page.locator("#jobs > li")).to_have_count(0)


def test_a_job_is_cancelled(learning: Pastiche, jobs: FakeJobs, photo: MakePhoto) -> None:
    page = learning.page
    start_job(learning, photo(60, 60), "Waves")
    jobs.events.append(progress(10, 4.0))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#jobs > li")).to_have_count(0)


def test_a_job_that_fails_says_why(learning: Pastiche, jobs: FakeJobs, photo: MakePhoto) -> None:
    start_job(learning, photo(60, 60), "Waves")
    jobs.events.append(("state", {"state": "failed", "reason": "The disk is full."}))
    expect(learning.notice).to_contain_text("“Waves” could not be learned. The disk is full.")


def test_a_job_that_waits_says_for_what(
    learning: Pastiche, jobs: FakeJobs, photo: MakePhoto
) -> None:
    start_job(learning, photo(60, 60), "Waves")
    state = learning.page.locator("#job-state")
    jobs.events.append(("state", {"state": "running", "reason": "The disk is full."}))
    expect(state).to_have_text("The disk is full.")
    jobs.events += [("state", {"state": "running"}), progress(10, 4.0)]
    expect(state).to_contain_text("Step 10")


def test_a_painting_that_cannot_be_read_is_named_in_the_form(
    learning: Pastiche, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    learning.page.get_by_role("button", name="New style").click()
    learning.page.locator("#painting-file").set_input_files(broken)
    expect(learning.page.get_by_role("alert")).to_contain_text("cannot be read as a picture")
    learning.page.get_by_label("Title").fill("Waves")
    learning.page.get_by_role("button", name="Learn this style").click()
    expect(learning.page.get_by_role("alert")).to_have_text("Choose a painting first.")

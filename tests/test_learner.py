"""The training side of a job: pieces, previews, publishing, and what may go wrong."""

import errno
import hashlib
import io
import shutil
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from learning_helpers import painting_bytes
from PIL import Image
from service_helpers import make_settings, open_picture, photo_bytes

from app.events import EventLog
from app.jobs import learner as learning
from app.jobs.files import JobFiles, jobs_folder
from app.jobs.learner import Learner, LearningError
from app.jobs.locks import FileLock
from app.jobs.order import Order, job_id
from app.jobs.priority import Deference, PicturesUnderWay
from app.settings import Settings
from model.storage.files import write_atomically
from model.styles.library import StyleLibrary
from model.styles.style import Style
from model.styles.style_file import load_style, pack_style

RECIPE = {"stroke_size": 64, "steps": 15, "batch_size": 1, "crop_size": 32}
ORDER = Order("new", "waves", "Waves", RECIPE, created="2026-01-02T03:04:05+00:00")


@pytest.fixture
def settings(learning_weights_folder: Path, tmp_path: Path) -> Settings:
    return make_settings(learning_weights_folder, tmp_path / "data")


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "PIECE_S", 0.0)  # one group of steps
    monkeypatch.setattr(learning, "PREVIEW_EVERY_S", 0.0)


def prepare(settings: Settings, picture: bytes | None = None, photo: bytes | None = None) -> str:
    """A job's files; its id."""
    job = job_id(None)
    files = JobFiles(jobs_folder(settings.data_dir) / job)
    files.create(painting_bytes() if picture is None else picture, photo)
    return job


def learner(settings: Settings) -> Learner:
    return Learner(settings, lambda: False)


def learn(
    settings: Settings, job: str, order: Order = ORDER, between: Callable[[], Any] | None = None
) -> Style:
    """Learn to the end; where asked for, every piece by a learner of its own, as after kills."""
    current, pieces = learner(settings), 1
    while not current.train(job, order):
        pieces += 1
        if between is not None:
            between()
            current = learner(settings)
    assert pieces > 2
    return load_style(settings.data_dir / "styles" / f"{current.publish(job, order)}.safetensors")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_style_is_learned_and_nothing_else_changes(settings: Settings) -> None:
    weights = digests(settings.weights_dir)
    earlier = load_style(settings.weights_dir / "styles" / "birch.safetensors")
    folder = settings.data_dir / "styles"
    StyleLibrary(settings.weights_dir / "styles", earlier.network, folder).add(
        replace(earlier, id="earlier"), b"preview"
    )
    customs = digests(folder)

    job = prepare(settings, photo=photo_bytes(300, 200))
    style = learn(settings, job)
    assert digests(settings.weights_dir) == weights
    assert digests(folder).items() >= customs.items()
    assert (style.id, style.title, style.kind) == ("waves", "Waves", "custom")
    assert style.created == ORDER.created
    assert style.training["recipe"]["steps"] == 15
    assert open_picture((folder / "waves.webp").read_bytes()).size == (256, 256)
    assert (folder / "sources" / "waves.webp").read_bytes() == painting_bytes()

    files = JobFiles(jobs_folder(settings.data_dir) / job)
    events = files.events.reader().read()
    progress = [event.data for event in events if event.name == "progress"]
    assert [data["step"] for data in progress] == [5, 10, 15]
    assert [event.name for event in events].count("preview") == 1, "the last one alone"
    assert progress[0]["losses"].keys() == {"total", "content", "style"}
    assert open_picture(files.preview.read_bytes()).size == (256, 171)
    assert files.events.last("progress") == progress[-1]
    later = files.events.reader(after=3).read()
    assert later == [event for event in events if event.id > 3]


def test_taken_up_again_after_every_piece_the_row_is_the_same(settings: Settings) -> None:
    first = learn(settings, prepare(settings))
    job = prepare(settings)
    events = JobFiles(jobs_folder(settings.data_dir) / job).folder / "events.jsonl"

    def cut_off() -> None:
        with events.open("ab") as file:
            file.write(b'{"event": "progr')  # a kill in the middle of a line

    second = learn(settings, job, between=cut_off)
    assert torch.allclose(first.code, second.code, atol=1e-6)
    assert events.read_text().count("progr") == events.read_text().count('"progress"') == 3


def test_a_damaged_checkpoint_costs_the_progress_alone(settings: Settings) -> None:
    job = prepare(settings)
    assert not learner(settings).train(job, ORDER)
    for path in (jobs_folder(settings.data_dir) / job / "training").glob("*.safetensors"):
        path.write_bytes(b"damaged")
    learn(settings, job)


def test_an_idle_worker_keeps_no_memory_of_a_job(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, freed = learner(settings), []
    current.close()
    current.train(prepare(settings), ORDER)
    assert current._session is not None
    network = weakref.ref(current._session.stylizer.network)
    training = weakref.ref(current._session.finetuning)
    monkeypatch.setattr(
        learning, "free_memory", lambda device: freed.append((device, network(), training()))
    )
    current.close()
    assert freed == [(torch.device("cpu"), None, None)], "handed back once all is gone"


def test_a_curve_cut_short_ends_no_job(settings: Settings) -> None:
    job, order = prepare(settings), replace(ORDER, recipe=RECIPE | {"steps": 20})
    assert not learner(settings).train(job, order)
    curve = jobs_folder(settings.data_dir) / job / "training" / "curve.csv"
    curve.write_bytes(curve.read_bytes() + b"10,0.4")
    learn(settings, job, order)


def test_only_a_damaged_checkpoint_starts_training_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = prepare(settings)
    assert not learner(settings).train(job, ORDER)
    checkpoint = jobs_folder(settings.data_dir) / job / "training" / "checkpoint.safetensors"
    before = checkpoint.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("of another kind")

    with monkeypatch.context() as patch:
        patch.setattr("model.training.one_style.FinetuneTask", fail)
        with pytest.raises(LearningError):
            learner(settings).train(job, ORDER)
    assert checkpoint.read_bytes() == before


def picture(size: tuple[int, int], color: Any = None, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, color or 0).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (picture((60, 200)), "60 x 200 pixels"),
        (picture((200, 200), (10, 200, 30)), "one colour"),
        (picture((200, 200), 0, "LA"), "one colour"),
    ],
)
def test_pictures_without_a_style(settings: Settings, data: bytes, reason: str) -> None:
    with pytest.raises(LearningError, match=reason):
        learner(settings).train(prepare(settings, data), ORDER)


def test_a_disk_that_takes_no_more(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    job = prepare(settings)
    current = learner(settings)
    while not current.train(job, ORDER):
        pass

    def refuse(files: dict[Path, bytes], code: int) -> None:
        raise OSError(code, "no", str(next(iter(files))))

    styles = settings.data_dir / "styles"
    for code, kind in ((errno.ENOSPC, OSError), (errno.EROFS, LearningError)):
        with monkeypatch.context() as patch:
            patch.setattr("model.styles.library.write_together", partial(refuse, code=code))
            with pytest.raises(kind) as caught:
                current.publish(job, ORDER)
        assert not list(styles.rglob("*.safetensors"))
    assert str(caught.value) == "The server's data folder cannot be written to."
    assert current.publish(job, ORDER) == "waves", "space back, service back"


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "place", ["model.training.checkpoint.write_atomically", "app.jobs.learner.write_atomically"]
)
def test_a_full_disk_costs_a_training_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It is full now and then while checkpoints, or previews, are written."""
    whole = learn(settings, prepare(settings))
    job, current = prepare(settings), learner(settings)
    tries: list[bool] = []

    def write(path: Path, content: bytes) -> None:
        tries.append(len(tries) in (0, 2))
        if tries[-1]:
            raise FULL
        write_atomically(path, content)

    finished = False
    with monkeypatch.context() as patch:
        patch.setattr(place, write)
        while not finished:
            with suppress(OSError):
                finished = current.train(job, ORDER)
    assert any(tries)
    files = JobFiles(jobs_folder(settings.data_dir) / job)
    events = files.events.reader().read()
    steps = [event.data["step"] for event in events if event.name == "progress"]
    assert steps == [5, 10, 15], "no step is told twice"
    cut = load_style(settings.data_dir / "styles" / f"{current.publish(job, ORDER)}.safetensors")
    assert cut.code.equal(whole.code)


def test_an_event_that_a_full_disk_cut_is_told_whole_later(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, current = prepare(settings), learner(settings)

    def cut(log: EventLog, *_: Any) -> None:
        with log.path.open("ab") as file:
            file.write(b'{"event": "progr')
        raise FULL

    with monkeypatch.context() as patch:
        patch.setattr(EventLog, "append", cut)
        with pytest.raises(OSError, match="No space"):
            current.train(job, ORDER)
    while not current.train(job, ORDER):
        pass
    events = JobFiles(jobs_folder(settings.data_dir) / job).events.reader().read()
    assert [event.data["step"] for event in events if event.name == "progress"] == [5, 10, 15]


def test_what_is_unforeseen_is_logged_and_not_told(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    job = prepare(settings)
    JobFiles(jobs_folder(settings.data_dir) / job).picture.unlink()
    with pytest.raises(LearningError, match="log says what"):
        learner(settings).train(job, ORDER)
    assert "cannot be learned" in caplog.text


def test_a_retune_keeps_the_style_and_renews_its_row(settings: Settings) -> None:
    style = learn(settings, prepare(settings))
    folder = settings.data_dir / "styles"
    old = replace(style, network="0" * 16, title="Older", artist="Somebody")
    (folder / "waves.safetensors").write_bytes(pack_style(old))
    order = replace(ORDER, kind="retune", title="ignored", created="")
    renewed = learn(settings, prepare(settings), order)
    assert renewed.code.equal(style.code)
    assert renewed.network == style.network
    assert (renewed.title, renewed.artist, renewed.created) == ("Older", "Somebody", style.created)

    (folder / "waves.safetensors").unlink()
    job = prepare(settings)
    current = learner(settings)
    with pytest.raises(LearningError, match="deleted meanwhile"):
        current.train(job, order)
    assert not (folder / "waves.safetensors").exists()


def test_a_cancelled_job_publishes_nothing(settings: Settings) -> None:
    job = prepare(settings)
    current = learner(settings)
    current.train(job, ORDER)
    JobFiles(jobs_folder(settings.data_dir) / job).ask_to_stop()
    assert not current.train(job, ORDER)
    current.publish(job, ORDER)
    assert not list((settings.data_dir / "styles").rglob("*.safetensors"))


def test_pictures_go_first(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_folder(settings.data_dir)
    service, worker = PicturesUnderWay(jobs), Deference(jobs)
    assert not worker.needed()
    service.count(1)
    service.count(2)
    assert worker.needed()
    monkeypatch.setattr("app.jobs.priority.LONGEST_WAIT_S", 0.2)
    worker.give_way(lambda: False)  # not for ever
    service.count(1)
    assert worker.needed()
    service.count(0)
    assert not worker.needed()
    service.count(1)
    service.close()  # as the end of its process would
    assert not worker.needed()


def test_a_lock_is_one_holder_s(tmp_path: Path) -> None:
    with FileLock(tmp_path / "a" / "lock") as first, FileLock(tmp_path / "a" / "lock") as second:
        assert first.acquire()
        assert not second.acquire()
        assert not second.acquire(shared=True)
        first.release()
        assert second.acquire(shared=True)
        assert first.acquire(shared=True)


def test_a_folder_that_cannot_be_locked_in_keeps_no_pictures_waiting(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("in the way")
    service = PicturesUnderWay(tmp_path / "jobs")
    service.count(1)
    service.count(0)
    service.close()
    assert not Deference(tmp_path / "jobs").needed()
    shutil.rmtree(tmp_path)

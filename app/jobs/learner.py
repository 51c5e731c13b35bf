"""Learning a style: the training side of a job, in pieces of a few seconds.

Each piece ends with a checkpoint, so whatever happens, no more than a piece is lost.
`app.jobs.worker` makes durable steps of them.
"""

import errno
import gc
import logging
import math
import time
from collections.abc import Callable
from shutil import rmtree
from typing import Any, TypeVar

import torch
from torch import Tensor

from app.jobs.files import JobFiles, jobs_folder
from app.jobs.order import Order
from app.jobs.pace import LearningPace
from app.jobs.priority import Deference
from app.jobs.publication import Publication
from app.settings import Settings
from model.inference.device import choose_cpu_dtype, choose_device, free_memory
from model.inference.look import Look
from model.inference.previews import QUALITY, render_preview, sample_square
from model.inference.stylizer import Stylizer
from model.network.weights import NETWORK_FILE, Weights, load_weights
from model.perception.encoder import find_encoder, load_encoder
from model.perception.loss_network import LossNetwork
from model.pictures.picture import encode_picture, load_picture
from model.pictures.style_picture import UnfitPictureError
from model.storage.files import disk_is_full, write_atomically
from model.styles.library import StyleLibrary
from model.styles.options import STEPS_FROM_ROW, STROKE_SIZE, TRAINING_STEPS
from model.styles.prediction import NoPredictorError, open_predictor
from model.styles.style import StyleError
from model.training.checkpoint import CheckpointError
from model.training.finetune_recipe import FinetuneRecipe
from model.training.loop import Progress
from model.training.one_style import Finetuning

PIECE_S = 3.0
PREVIEW_EVERY_S = 6.0
PREVIEW_SIDE = 256  # px
PUBLISH_EVERY_S = 8.0
TICK_S = 1.0

T = TypeVar("T")

_logger = logging.getLogger("pastiche.worker")


class LearningError(Exception):
    """A style cannot be learned; the text is one line and safe to show."""


class Learner:
    """Has styles learned, one at a time.

    Parameters
    ----------
    settings
        Where network, styles and jobs are, and the device.
    stopping
        Whether the process is to end: a piece then ends early.
    """

    def __init__(self, settings: Settings, stopping: Callable[[], bool]) -> None:
        self.settings = settings
        self._stopping = stopping
        self._deference = Deference(jobs_folder(settings.data_dir))
        self._session: _Session | None = None

    def train(self, job: str, order: Order) -> bool:
        """Train for a few seconds, from the last checkpoint on; True when there is no more to do.

        Raises
        ------
        LearningError
            The style cannot be learned.
        OSError
            The disk is full. Called again, it goes on from the last checkpoint.
        """
        return self._explain(self._train, job, order)

    def publish(self, job: str, order: Order) -> str:
        """Store the style with its preview and the copy of its picture; its id.

        Raises
        ------
        LearningError
            It cannot be stored; nothing else is harmed.
        OSError
            The disk is full; nothing is stored. To be called again.
        """
        return self._explain(self._publish, job, order)

    def close(self) -> None:
        """Let go of the job, and of its memory, a GPU's among it."""
        if self._session is None:
            return
        device = self._session.stylizer.device
        self._session = None
        gc.collect()  # a training is full of circles, and the allocator keeps what they hold
        free_memory(device)

    def _train(self, job: str, order: Order) -> bool:
        session = self._open(job, order)
        begun, until = session.finetuning.step, time.monotonic() + PIECE_S

        def should_stop() -> bool:
            if self._unwanted(session):
                return True
            over = time.monotonic() >= until or self._deference.needed()
            return over and session.finetuning.step > begun  # every piece gets somewhere

        self._deference.give_way(lambda: self._unwanted(session))
        if self._unwanted(session):
            return False
        finished = session.finetuning.advance(should_stop, session.report, session.tick)
        if not finished and not self._unwanted(session):
            session.show()
            if order.kind == "improve":  # it is in use: the better, the sooner
                session.publish_now_and_then()
        return finished

    def _unwanted(self, session: "_Session") -> bool:
        return self._stopping() or session.files.asked_to_stop

    def _publish(self, job: str, order: Order) -> str:
        session = self._open(job, order)
        session.publish(finished=True)
        if (pace := session.finetuning.seconds_per_step) is not None:
            session.pace.note(pace)
        return order.style

    def _open(self, job: str, order: Order) -> "_Session":
        if self._session is None or self._session.job != job:
            self._session = None  # its memory is free before the next one's is taken
            self._session = _Session(self.settings, job, order)
        return self._session

    def _explain(self, call: Callable[[str, Order], T], job: str, order: Order) -> T:
        """Turn what may go wrong into words for the user; the log has the rest."""
        try:
            return call(job, order)
        except (UnfitPictureError, StyleError) as error:
            reason = " ".join(str(error).split())
            raise LearningError(reason[:1].upper() + reason[1:].rstrip(".") + ".") from error
        except Exception as error:
            if JobFiles(jobs_folder(self.settings.data_dir) / job).asked_to_stop:
                raise LearningError("It is cancelled.") from error  # and its files are gone
            if disk_is_full(error):
                self._session = None  # it may be ahead of its checkpoint, or have half an event
                raise
            _logger.exception("a style cannot be learned", extra={"job": job})
            raise LearningError(_reason(error)) from error


class _Session:
    """One job in progress: everything opened, the training where its checkpoint has it."""

    def __init__(self, settings: Settings, job: str, order: Order) -> None:
        self.job = job
        self.order = order
        self.files = JobFiles(jobs_folder(settings.data_dir) / job)
        self.files.events.repair()
        weights = load_weights(settings.weights_dir / NETWORK_FILE)
        device = choose_device(settings.device)
        # A copy of its own: training and rendering each move and lay out the weights as they like.
        self.stylizer = Stylizer.load(settings.weights_dir, str(device))
        self.library = StyleLibrary(
            settings.weights_dir / "styles", weights.fingerprint, settings.data_dir / "styles"
        )
        self.publication = Publication(settings.data_dir, job, order, self.files, self.library)
        self.pace = LearningPace(jobs_folder(settings.data_dir))
        self.start = self._start(settings)
        steps = TRAINING_STEPS.default if self.start is None else STEPS_FROM_ROW
        self.recipe = FinetuneRecipe(**({"steps": steps} | order.recipe))
        encoder = load_encoder(find_encoder(settings.weights_dir))
        try:
            self.finetuning = self._finetuning(weights, encoder, str(device))
        except CheckpointError as error:  # damaged, or of another version
            _logger.warning("training starts anew", extra={"job": job, "reason": str(error)})
            rmtree(self.files.training)
            self.finetuning = self._finetuning(weights, encoder, str(device))
        last = self.files.events.last("progress")
        self._reported = 0 if last is None else int(last["step"])
        self._shown_at = time.monotonic() - PREVIEW_EVERY_S / 2
        self._published_at = time.monotonic()
        self._ticked_at = -math.inf
        self.tick()

    def _start(self, settings: Settings) -> Tensor | None:
        """The row to start from: the style's own, else its prediction; none, the nearest blend."""
        current = self.publication.current()
        if self.order.kind == "improve" and current is not None:
            return current.code
        dtype = choose_cpu_dtype(settings.precision)
        try:
            predictor = open_predictor(settings.weights_dir, self.library.network, dtype)
        except NoPredictorError:
            return None
        stroke_size = self.order.recipe.get("stroke_size", STROKE_SIZE.default)
        return predictor.predict(load_picture(self.files.picture).rgb, stroke_size)

    def _finetuning(self, weights: Weights, encoder: LossNetwork, device: str) -> Finetuning:
        return Finetuning(
            load_picture(self.files.picture).rgb,
            weights,
            self._rows(weights.original),
            encoder,
            self.recipe,
            self.files.training,
            device=device,
            start=self.start,
        )

    def _rows(self, original: Tensor) -> Tensor:
        """(S, P): built-in rows alone, which stay the same if the job is taken up again."""
        rows = [style.code for style in self.library if style.kind == "built-in"]
        return torch.stack(rows or [original])

    def report(self, progress: Progress) -> None:
        """Add an event, unless the step has one from before a restart."""
        if progress.step > self._reported:
            self._reported = progress.step
            data = {
                "step": progress.step,
                "steps": progress.steps,
                "losses": {name: float(f"{v:.6g}") for name, v in progress.losses.items()},
                "eta_s": round(progress.eta_s, 1),
            }
            self.files.events.append("progress", data)

    def tick(self) -> None:
        """Tell how far it is, every second or so: a step may take several."""
        run = self.finetuning
        if time.monotonic() - self._ticked_at < TICK_S or run.step < self._reported:
            return
        self._ticked_at = time.monotonic()
        data: dict[str, Any] = {"step": run.step, "steps": run.steps}
        pace = run.seconds_per_step or self.pace.seconds_per_step
        if pace is not None:
            data["eta_s"] = round(pace * (run.steps - run.step), 1)
        self.files.events.append("step", data)

    def publish_now_and_then(self) -> None:
        """Publish what is better than what is there, but not all the time."""
        if time.monotonic() - self._published_at >= PUBLISH_EVERY_S:
            self.publish(finished=False)
            self._published_at = time.monotonic()

    def publish(self, finished: bool) -> None:
        """Put the row so far into the library, unless the style has a better one already."""
        row, current = self.finetuning.row, self.publication.current()
        usable = current is not None and current.network == self.library.network
        measure = self.finetuning.measure
        if usable and current is not None and measure(row) >= measure(current.code):
            if not finished:
                return
            row = current.code
        training: dict[str, Any] = {"recipe": self.recipe.to_dict(), "steps": self.finetuning.step}
        if not finished:
            training["unfinished"] = True
        has_preview = current is not None and self.library.preview_path(current.id) is not None
        preview = render_preview(self.stylizer, row) if finished or not has_preview else None
        style = self.publication.put(row, training, preview, self.files.picture.read_bytes())
        if style is not None and self.order.kind == "improve":
            data = {"step": self.finetuning.step, "revision": style.revision}
            self.files.events.append("revision", data)

    def show(self) -> None:
        """Render the preview of the style so far, every few seconds."""
        if time.monotonic() - self._shown_at < PREVIEW_EVERY_S:
            return
        photo = (
            load_picture(self.files.photo).resized(PREVIEW_SIDE).rgb
            if self.files.photo.exists()
            else sample_square(PREVIEW_SIDE)
        )
        pastiche = self.stylizer.stylize_image(photo, Look(self.finetuning.row))
        write_atomically(self.files.preview, encode_picture(pastiche, "webp", QUALITY))
        self.files.events.append("preview", {"step": self.finetuning.step})
        self._shown_at = time.monotonic()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "The server's data folder cannot be written to."
    if isinstance(error, FloatingPointError):
        return "The training did not stay finite."
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return "The server's memory did not suffice."
    return "Something went wrong; the server's log says what."

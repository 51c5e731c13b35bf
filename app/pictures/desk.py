"""The desk of large pictures: takes orders, tells how far they are, hands them to a painter.

Every call touches the disk: never on the event loop.
"""

import logging
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from errno import ENOSPC
from os import strerror
from pathlib import Path
from time import time
from typing import BinaryIO

from app.pictures.errors import (
    NoPicturePreviewError,
    NoResultError,
    PicturesFullError,
    UnknownPictureError,
)
from app.pictures.files import PictureFiles
from app.pictures.order import PictureJob, PictureOrder, PictureOutcome
from app.pictures.shelf import Shelf
from app.settings import Settings

UNWRITTEN_S = 60.0  # after which a folder without an order is not about to get one
RESULT_BYTES_PER_PIXEL = 4  # at most, of a PNG; what an order will need on disk
MAX_ATTEMPTS = 3  # after which the process's ends are taken to be the picture's doing
MAX_RETRY_AFTER_S = 600

_logger = logging.getLogger("pastiche.pictures")


class Pictures:
    """All large pictures of a data folder.

    Parameters
    ----------
    settings
        Where they lie, how many are taken, how long they are kept.
    estimate_s
        How long a picture of so many pixels takes.
    """

    def __init__(self, settings: Settings, estimate_s: Callable[[int], float]) -> None:
        self.settings = settings
        self._folder = settings.data_dir / "pictures"
        self._shelf = Shelf(self._folder, settings.pictures_kept_s, estimate_s)
        self._lock = threading.Lock()

    def check_room(self, bytes_needed: int = 0) -> None:
        """Refuse an order that would be one too many.

        Raises
        ------
        PicturesFullError
            Too many wait, or too many bytes are kept.
        OSError
            The disk has no room for it.
        """
        jobs = list(self._shelf.jobs())
        waiting = [job for job in jobs if not job.finished]
        if len(waiting) >= self.settings.max_pictures:
            raise PicturesFullError(
                f"{len(waiting)} pictures are being painted or wait for it; no more are taken.",
                self._retry_after_s(min(job.eta_s or 0.0 for job in waiting)),
            )
        kept = sum(self.files(job.id).bytes for job in jobs)
        kept += sum(_bytes_needed(job.order) for job in waiting)
        if jobs and kept + bytes_needed > self.settings.max_pictures_bytes:
            first = min(job.expires for job in jobs)
            raise PicturesFullError(
                "The pictures that are kept take all the space that they may.",
                self._retry_after_s(first - time()),
            )
        if bytes_needed and shutil.disk_usage(self._existing_folder()).free < bytes_needed:
            raise OSError(ENOSPC, strerror(ENOSPC))

    def submit(self, order: PictureOrder, photo: bytes, code: bytes) -> PictureJob:
        """Queue a picture.

        Parameters
        ----------
        photo
            The file as it was sent.
        code
            Of the style, (P,) in little-endian float32: a style may be deleted meanwhile.

        Raises
        ------
        PicturesFullError
            No more are taken.
        OSError
            It cannot be stored; nothing is queued.
        """
        files = self.files(secrets.token_hex(16))
        with self._lock:
            self.check_room(len(photo) + _bytes_needed(order))
            files.create(order, photo, code)
        return self.find(files.folder.name)

    def files(self, id_: str) -> PictureFiles:
        """The files of a picture.

        Raises
        ------
        UnknownPictureError
            It is no id.
        """
        return self._shelf.files(id_)

    def find(self, id_: str) -> PictureJob:
        """One picture.

        Raises
        ------
        UnknownPictureError
            There is none.
        """
        job = self._shelf.read(self.files(id_))
        if job is None or job.expires <= time():
            raise UnknownPictureError
        if job.state != "queued":
            return job
        before = [other for other in self._shelf.jobs() if _comes_before(other, job)]
        waits = sum(other.eta_s or 0.0 for other in before)
        return replace(job, eta_s=(job.eta_s or 0.0) + waits)

    def is_there(self, files: PictureFiles) -> bool:
        """Whether a picture has neither been dropped nor expired."""
        job = self._shelf.read(files)
        return job is not None and job.expires > time()

    def cancel(self, id_: str) -> PictureJob:
        """Stop a picture; one that has ended stays as it is.

        Raises
        ------
        UnknownPictureError
            There is none.
        OSError
            The disk refuses.
        """
        with self._lock:
            if not self.find(id_).finished:
                self.files(id_).cancel()
        return self.find(id_)

    def remove(self, id_: str) -> None:
        """Drop a picture, whatever its state.

        Raises
        ------
        UnknownPictureError
            There is none.
        """
        self.find(id_)
        with self._lock:
            self.files(id_).remove()

    def preview(self, id_: str) -> bytes:
        """A small picture of it, WebP.

        Raises
        ------
        UnknownPictureError, NoPicturePreviewError
            There is no such picture, or none to look at.
        """
        self.find(id_)
        try:
            return self.files(id_).preview.read_bytes()
        except FileNotFoundError:
            raise NoPicturePreviewError from None

    def open_result(self, id_: str) -> tuple[PictureJob, BinaryIO]:
        """A finished picture and its file, open.

        Raises
        ------
        UnknownPictureError, NoResultError
            There is no such picture, or it is not painted.
        """
        job = self.find(id_)
        if job.state == "done":
            with suppress(FileNotFoundError):
                return job, self.files(id_).result.open("rb")
            raise UnknownPictureError  # deleted since
        if job.finished:
            raise NoResultError(f"The picture was not painted: it has {_ended(job)}.")
        raise NoResultError("The picture is not painted yet.", self._retry_after_s(job.eta_s or 0))

    def mark_fetched(self, id_: str) -> None:
        """Its result was fetched in full: it need not be kept for long."""
        with suppress(UnknownPictureError, OSError):
            self.files(id_).mark_fetched()

    def claim(self) -> PictureFiles | None:
        """The next picture to be painted, its lock held by the caller; none if none waits.

        Raises
        ------
        OSError
            The disk refuses.
        """
        waiting = [job for job in self._shelf.jobs() if not job.finished]
        for job in sorted(waiting, key=_turn):
            files = self.files(job.id)
            if not files.lock.acquire():
                continue
            if not files.wanted:
                files.lock.close()
            elif files.attempts >= MAX_ATTEMPTS:
                _logger.error("a picture is given up", extra={"picture": job.id})
                self.conclude(files, _failed("The server ended each time it was tried."))
                files.lock.close()
            else:
                files.events.repair()
                files.claim(files.attempts + 1, running=True)
                return files
        return None

    def conclude(
        self, files: PictureFiles, outcome: PictureOutcome, result: bytes | None = None
    ) -> None:
        """Keep how a picture ended, unless it is not wanted any more.

        Raises
        ------
        OSError
            The disk refuses.
        """
        with self._lock:
            if files.wanted:
                files.conclude(outcome, result)

    def sweep(self) -> Counter[str]:
        """Drop what has expired, let others have what a killed process was at; counts by state.

        Raises
        ------
        OSError
            The disk refuses.
        """
        counts: Counter[str] = Counter()
        for files in self._shelf.folders():
            job = self._shelf.read(files)
            if job is None or job.expires <= time():
                with suppress(FileNotFoundError):
                    if job is not None or time() - files.folder.stat().st_mtime > UNWRITTEN_S:
                        files.remove()
                continue
            counts[job.state] += 1
            if job.state == "running" and files.lock.acquire():
                files.claim(files.attempts, running=False)
                files.lock.close()
        return counts

    def _existing_folder(self) -> Path:
        folder = self._folder
        while not folder.exists():
            folder = folder.parent
        return folder

    @staticmethod
    def _retry_after_s(seconds: float) -> int:
        return max(1, min(MAX_RETRY_AFTER_S, round(seconds) + 1))


def _turn(job: PictureJob) -> tuple[float, str]:
    return job.order.created, job.id


def _comes_before(other: PictureJob, job: PictureJob) -> bool:
    return not other.finished and _turn(other) < _turn(job)


def _bytes_needed(order: PictureOrder) -> int:
    return RESULT_BYTES_PER_PIXEL * order.pixels


def _failed(reason: str) -> PictureOutcome:
    return PictureOutcome("failed", reason)


def _ended(job: PictureJob) -> str:
    return "been cancelled" if job.state == "cancelled" else "failed"

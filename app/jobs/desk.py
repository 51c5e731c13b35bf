"""Jobs: styles being learned, as the service and the command line see them.

The work is done by `app.jobs.worker`, another process. It is asked for through the database.
"""

import threading
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from time import monotonic, time

from app.jobs.database import Database, Record
from app.jobs.errors import (
    JobsUnavailableError,
    KeyReusedError,
    NoPreviewYetError,
    QueueFullError,
    UnknownJobError,
)
from app.jobs.files import JobFiles, jobs_folder
from app.jobs.job import Job
from app.jobs.order import Order, job_id
from app.jobs.pace import LearningPace, estimate
from app.settings import Settings

FRESH_S = 0.4  # for so long a list is used again
MAX_KEPT = 200
KEPT_S = 7 * 24 * 3600
ORPHANED_S = 3600  # after which files without a record are not about to be queued
MAX_RETRY_AFTER_S = 600
FIRST_GUESS_S = 60  # a job's duration
WAITING = "The server's disk is full. The job goes on once there is space."


class Jobs:
    """All jobs of a data folder. Every call may touch the disk or a database: never on the loop.

    Parameters
    ----------
    settings
        Where they are, and how many may be under way.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._folder = jobs_folder(settings.data_dir)
        self._database = Database(settings)
        self._submitting = threading.Lock()
        self._listing = threading.Lock()
        self._listed: list[Job] = []
        self._digests: dict[str, str] = {}
        self._fresh_until = 0.0

    def files(self, id_: str) -> JobFiles:
        """The files of a job."""
        return JobFiles(self._folder / id_)

    def all(self) -> list[Job]:
        """All jobs on record, newest first.

        Raises
        ------
        JobsUnavailableError
            The database does not answer.
        """
        with self._listing:
            if monotonic() >= self._fresh_until:
                records = self._database.list(limit=2 * MAX_KEPT)
                orders = {record.id: Order.of(record.order) for record in records}
                self._digests = {id_: order.digest for id_, order in orders.items()}
                jobs = [self._describe(record) for record in records]
                steps = {id_: order.recipe.get("steps") for id_, order in orders.items()}
                self._listed = estimate(jobs, steps, LearningPace(self._folder))
                self._fresh_until = monotonic() + FRESH_S
            return self._listed

    def find(self, id_: str) -> Job:
        """One job.

        Raises
        ------
        UnknownJobError
            There is none.
        JobsUnavailableError
            The database does not answer.
        """
        for _ in range(2):
            for job in self.all():
                if job.id == id_:
                    return job
            self._stale()  # another process may just have queued it
        raise UnknownJobError

    def preview(self, id_: str) -> bytes:
        """The picture in a job's style as it is so far, WebP.

        Raises
        ------
        UnknownJobError, NoPreviewYetError
            There is no such job, or none of it.
        JobsUnavailableError
            The database does not answer.
        """
        job = self.find(id_)
        try:
            return self.files(job.id).preview.read_bytes()
        except OSError:
            raise NoPreviewYetError from None

    def submit(
        self, order: Order, picture: bytes, photo: bytes | None = None, id_: str | None = None
    ) -> Job:
        """Queue a job, or find the one that was queued under the same id before.

        Parameters
        ----------
        picture
            Of the style, as the worker is to see it.
        photo
            What previews show; none, a sample.

        Raises
        ------
        QueueFullError
            No more are taken.
        KeyReusedError
            The id belongs to another order.
        JobsUnavailableError
            The database does not answer. It may have queued the job all the same.
        OSError
            The files cannot be stored; nothing is queued.
        """
        id_ = id_ or job_id(None)
        with self._submitting:
            self._stale()
            jobs = self.all()
            for job in jobs:
                if job.id == id_:
                    self._check_same(order, id_)
                    return job
                if order.kind != "new" and job.learns == order.style and not job.finished:
                    return job
            self._check_room(jobs)
            files = self.files(id_)
            try:
                files.create(picture, photo)
            except BaseException:
                files.remove()
                raise
            try:
                self._database.enqueue(id_, asdict(order))
            except JobsUnavailableError:
                self._remove_unless_queued(id_)
                raise
            self._stale()
            return self.find(id_)

    def _remove_unless_queued(self, id_: str) -> None:
        """Drop the files of a job after a call that failed, perhaps only after it was queued."""
        with suppress(JobsUnavailableError):  # nobody knows: `prune` will
            if not self._database.knows(id_):
                self.files(id_).remove()

    def cancel(self, id_: str) -> Job:
        """Cancel a job; one that has ended stays as it is.

        Raises
        ------
        UnknownJobError
            There is none.
        JobsUnavailableError
            The database does not answer.
        """
        job = self.find(id_)
        if not job.finished:
            self._database.cancel(id_)
            with suppress(OSError):
                self.files(id_).ask_to_stop()  # or the worker would hear of it seconds later
            if job.state == "queued":
                self.files(id_).clear()  # no worker will
            self._stale()
        return self.find(id_)

    def cancel_learning(self, style: str) -> None:
        """Cancel whatever learns a style.

        Raises
        ------
        JobsUnavailableError
            The database does not answer.
        """
        self._stale()
        for job in self.all():
            if job.learns == style and not job.finished:
                self.cancel(job.id)

    def prepare(self, id_: str, order: Order) -> Job | None:
        """The job that was queued under this id before; None where one could be queued now.

        Raises
        ------
        KeyReusedError, QueueFullError, JobsUnavailableError
            As `submit`, before anything is done.
        """
        self._stale()
        jobs = self.all()
        for job in jobs:
            if job.id == id_:
                self._check_same(order, id_)
                return job
        self._check_room(jobs)
        return None

    def prune(self) -> None:
        """Drop records of jobs that ended long ago, and files that no record names.

        Raises
        ------
        JobsUnavailableError
            The database does not answer.
        """
        before = (datetime.now(UTC) - timedelta(seconds=KEPT_S)).isoformat(timespec="seconds")
        self._stale()
        ended = [job for job in self.all() if job.finished]
        gone = [job.id for i, job in enumerate(ended) if i >= MAX_KEPT or job.created < before]
        if gone:
            self._database.delete(gone)
        self._stale()
        known = {job.id: job for job in self.all()}
        if not self._folder.is_dir():
            return
        for folder in self._folder.iterdir():
            files = JobFiles(folder)
            if len(folder.name) != 24 or not folder.is_dir():  # no job's
                continue
            if folder.name not in known:
                if time() - folder.stat().st_mtime > ORPHANED_S:
                    files.remove()
            elif known[folder.name].finished:
                files.clear()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _check_same(self, order: Order, id_: str) -> None:
        if self._digests.get(id_) != order.digest:
            raise KeyReusedError

    def _check_room(self, jobs: list[Job]) -> None:
        unfinished = [job for job in jobs if not job.finished]
        if len(unfinished) < self.settings.max_jobs:
            return
        waits = [job.eta_s for job in unfinished if job.eta_s is not None]
        seconds = min(waits) if waits else FIRST_GUESS_S
        raise QueueFullError(
            f"{len(unfinished)} styles are being learned or wait for it; no more are taken.",
            retry_after_s=max(1, min(MAX_RETRY_AFTER_S, round(seconds) + 1)),
        )

    def _stale(self) -> None:
        self._fresh_until = 0.0

    def _describe(self, record: Record) -> Job:
        order, files = Order.of(record.order), self.files(record.id)
        progress = files.events.last("progress") or {}
        if (tick := files.events.last("step")) and tick["step"] >= progress.get("step", 0):
            progress = progress | tick
        job = Job(
            id=record.id,
            kind=order.kind,
            title=order.title,
            state=record.state,
            created=order.created,
            learns=order.style,
            step=progress.get("step"),
            steps=progress.get("steps"),
            losses=progress.get("losses"),
            reason=record.reason,
        )
        if job.finished:
            return job
        job = replace(job, has_preview=files.preview.exists())
        if files.waiting:
            return replace(job, reason=WAITING)
        return replace(job, eta_s=progress.get("eta_s"))

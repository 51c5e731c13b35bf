"""Where large pictures lie, and what their folders say of them."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import time

from app.engine.protocol import LoadingError
from app.pictures.errors import UnknownPictureError
from app.pictures.files import PictureFiles
from app.pictures.order import PictureJob, PictureOrder

FETCHED_KEPT_S = 60.0  # a result that was fetched can be fetched again for so long
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Shelf:
    """All large pictures of a data folder, to be read.

    Parameters
    ----------
    folder
        Holds a folder for each; made when it is first needed.
    kept_s
        How long they are kept.
    estimate_s
        How long a picture of so many pixels takes.
    """

    def __init__(self, folder: Path, kept_s: float, estimate_s: Callable[[int], float]) -> None:
        self.folder = folder
        self.kept_s = kept_s
        self._estimate_s = estimate_s

    def files(self, id_: str) -> PictureFiles:
        """The files of a picture.

        Raises
        ------
        UnknownPictureError
            It is no id.
        """
        if not _ID.fullmatch(id_):
            raise UnknownPictureError
        return PictureFiles(self.folder / id_)

    def folders(self) -> Iterator[PictureFiles]:
        """The files of all, be they complete or not."""
        with suppress(FileNotFoundError):
            for folder in self.folder.iterdir():
                if _ID.fullmatch(folder.name):
                    yield PictureFiles(folder)

    def jobs(self) -> Iterator[PictureJob]:
        """All that have not expired."""
        for files in self.folders():
            job = self.read(files)
            if job is not None and job.expires > time():
                yield job

    def read(self, files: PictureFiles) -> PictureJob | None:
        """A picture; none where nothing, or nothing complete, lies."""
        try:
            order, outcome = files.order(), files.outcome()
        except (OSError, ValueError, TypeError):  # gone, about to be written, or no order at all
            return None
        job = PictureJob(files.folder.name, "queued", order, self._expiry(order, files))
        if outcome is not None:
            percent = 100.0 if outcome.state == "done" else 0.0
            job = replace(job, state=outcome.state, reason=outcome.reason, percent=percent)
        else:
            with suppress(LoadingError):
                job = replace(job, eta_s=self._estimate_s(order.pixels))
            if files.claimed:
                last = files.events.last("progress") or {}
                told = {name: last[name] for name in ("percent", "eta_s") if name in last}
                job = replace(job, state="running", **told)
        return replace(job, has_preview=files.preview.exists())

    def _expiry(self, order: PictureOrder, files: PictureFiles) -> float:
        if order.created > time() + self.kept_s:  # of a clock that was wrong
            return 0.0
        fetched, expires = files.fetched, order.created + self.kept_s
        return expires if fetched is None else min(expires, fetched + FETCHED_KEPT_S)

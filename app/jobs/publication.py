"""What a job has learned, put into the library: each time whole, under one id, never unasked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from app.jobs.files import JobFiles, jobs_folder
from app.jobs.locks import changing_styles
from app.jobs.order import Order
from model.styles.library import StyleLibrary
from model.styles.style import Style, StyleError, UnknownStyleError


class Publication:
    """The style of one job.

    Parameters
    ----------
    data
        The data folder.
    job, order
        Its id, and what it is to do.
    files
        Its files; a note in them says that it is not wanted any more.
    library
        Of the network in use.
    """

    def __init__(
        self, data: Path, job: str, order: Order, files: JobFiles, library: StyleLibrary
    ) -> None:
        self._jobs = jobs_folder(data)
        self._job = job
        self._order = order
        self._files = files
        self._library = library

    def current(self) -> Style | None:
        """The style as it stands; None where it is only to come.

        Raises
        ------
        StyleError
            It was deleted meanwhile, or another one has taken its place: the job is pointless.
        """
        order = self._order
        if order.kind == "new":
            return None
        self._library.refresh()
        try:
            style = self._library.find(order.style)
        except UnknownStyleError:  # it is not to come back
            raise StyleError("the style was deleted meanwhile") from None
        ours = style.training.get("job") == self._job or style.revision == order.revision
        if order.kind == "improve" and not ours:
            raise StyleError("the style was replaced meanwhile")
        return style

    def put(
        self, row: Tensor, training: Mapping[str, Any], preview: bytes | None, picture: bytes
    ) -> Style | None:
        """Store a row (P,) as the style's; the style, or None where the job is not wanted any more.

        Title and the like stay those of the style as it stands.

        Raises
        ------
        StyleError
            See `current`.
        OSError
            It cannot be stored; nothing changed.
        """
        order = self._order
        with changing_styles(self._jobs):  # nobody deletes or replaces it between look and change
            current = self.current()
            if self._files.asked_to_stop:
                return None
            made = Style(
                order.style,
                order.title,
                row,
                self._library.network,
                kind="custom",
                created=order.created,
                training={**training, "job": self._job},
            )
            if current is not None:
                made = replace(
                    current, code=made.code, network=made.network, training=made.training
                )
            return self._library.add(made, preview, picture)

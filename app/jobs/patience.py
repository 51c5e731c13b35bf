"""How long calls on the database of jobs may take."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any


class DatabaseBusyError(Exception):
    """The database did not answer in the time allowed."""


class Patience:
    """How long the calls of a thread may take."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Bound all calls inside a ``with`` block together."""
        self._local.until = monotonic() + seconds
        try:
            yield
        finally:
            self._local.until = None

    def check(self, *_: Any) -> None:
        """Called before every use of a connection; DBOS does not retry what it raises.

        Raises
        ------
        DatabaseBusyError
            The time is over.
        """
        until = getattr(self._local, "until", None)
        if until is not None and monotonic() > until:
            raise DatabaseBusyError

"""Pictures first: while a service has some under way, no style is learned on that machine."""

import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path

from app.jobs.locks import FileLock

LONGEST_WAIT_S = 10.0  # under a load without end, a group of training steps runs this often
LOOK_S = 0.05

_logger = logging.getLogger("pastiche.jobs")


def precedence_file(jobs: Path) -> Path:
    """The file that services and workers of this machine share."""
    return jobs / "locks" / f"pictures@{socket.gethostname()}.lock"


class PicturesUnderWay:
    """The service's side: holds a shared lock while pictures are under way.

    A lock needs no clean-up: it goes with its process.
    """

    def __init__(self, jobs: Path) -> None:
        self._lock: FileLock | None = FileLock(precedence_file(jobs))
        self._held = False

    def count(self, pictures: int) -> None:
        """Say how many there are now. Quick; called under the admission's own lock."""
        if self._lock is None or self._held == (pictures > 0):
            return
        try:
            if pictures:
                self._held = self._lock.acquire(shared=True)
            else:
                self._lock.release()
                self._held = False
        except OSError as error:  # a folder that cannot be written to has no jobs either
            _logger.info("pictures cannot claim precedence", extra={"reason": error.strerror})
            self._lock = None

    def close(self) -> None:
        """Let go of the file."""
        if self._lock is not None:
            self._lock.close()


class Deference:
    """The worker's side: waits while pictures are under way."""

    def __init__(self, jobs: Path) -> None:
        self._lock = FileLock(precedence_file(jobs))

    def needed(self) -> bool:
        """Whether pictures are under way."""
        try:
            if not self._lock.acquire():
                return True
            self._lock.release()
        except OSError:
            pass
        return False

    def give_way(self, given_up: Callable[[], bool]) -> None:
        """Wait until no pictures are under way, for 10 s at most.

        Parameters
        ----------
        given_up
            Whether waiting has become pointless.
        """
        deadline = time.monotonic() + LONGEST_WAIT_S
        while self.needed() and not given_up() and time.monotonic() < deadline:
            time.sleep(LOOK_S)

"""Locks between processes: the system lets go of them when a process ends, however it ends."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

if sys.platform != "win32":
    import fcntl

LOOK_S = 0.01


class FileLock:
    """A lock on a file that processes of one machine share; never waits.

    Where the system has no such locks, everything is granted.

    Parameters
    ----------
    path
        The file; made, with its folder, when first locked, and left empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, shared: bool = False) -> bool:
        """Take the lock, alone or shared; False when others hold it.

        Raises
        ------
        OSError
            The file cannot be made or opened.
        """
        if sys.platform == "win32":
            return True
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go of the lock; the file stays open."""
        if sys.platform != "win32" and self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock and of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def changing_styles(jobs: Path) -> Iterator[None]:
    """Change the folder of custom styles as the one process that does so; waits for its turn.

    Parameters
    ----------
    jobs
        The folder of jobs. Where there can be none, no job changes styles, and nothing is locked.
    """
    with FileLock(jobs / "locks" / "styles.lock") as lock:
        try:
            while not lock.acquire():
                time.sleep(LOOK_S)
        except OSError:
            pass
        yield

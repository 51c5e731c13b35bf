"""A job's files: its picture, its events, its preview. Services and workers share them.

The database says what state a job is in. These files are what it works with and what it shows; all
but the events go when it ends.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from app.events import EventLog
from model.storage.files import write_atomically


def jobs_folder(data: Path) -> Path:
    """Where jobs lie in a data folder."""
    return data / "jobs"


class JobFiles:
    """The folder of one job.

    Parameters
    ----------
    folder
        Named like the job.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.picture = folder / "picture.webp"
        self.photo = folder / "photo.webp"
        self.preview = folder / "preview.webp"
        self.training = folder / "training"
        self.events = EventLog(folder / "events.jsonl")
        self._cancelled = folder / "cancelled"
        self._waiting = folder / "waiting"

    def create(self, picture: bytes, photo: bytes | None) -> None:
        """Store what a job starts from.

        Raises
        ------
        OSError
            It cannot be stored.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.picture, picture)
        if photo is not None:
            write_atomically(self.photo, photo)

    def ask_to_stop(self) -> None:
        """Leave a note that the job is not wanted any more."""
        if self.folder.is_dir():
            self._cancelled.touch()

    @property
    def asked_to_stop(self) -> bool:
        """Whether there is such a note."""
        return self._cancelled.exists()

    def note_waiting(self, waiting: bool) -> None:
        """Note that the job waits for space on the disk, or not any more; where it can be noted."""
        with suppress(OSError):  # an empty file takes no space, but a name
            if waiting:
                self._waiting.touch()
            else:
                self._waiting.unlink(missing_ok=True)

    @property
    def waiting(self) -> bool:
        """Whether the job waits for space on the disk."""
        return self._waiting.exists()

    def clear(self) -> None:
        """Drop what the job worked with: it has ended. What cannot be dropped stays.

        A note that it is not wanted stays too: a worker may be about to begin.
        """
        shutil.rmtree(self.training, ignore_errors=True)
        with suppress(OSError):
            for path in (self.picture, self.photo, self.preview, self._waiting):
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Drop everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

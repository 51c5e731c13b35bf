"""A job's files: its picture, its events, its preview. Services and workers share them.

The database says what state a job is in. These files are what it works with and what it shows; all
but the events go when it ends.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.storage.files import write_atomically

TAIL_BYTES = 4096  # holds the last few events


@dataclass(frozen=True)
class Event:
    """One event of a job.

    Parameters
    ----------
    id
        Counts from 1.
    name
        ``progress`` or ``preview``.
    data
        As the page takes it.
    """

    id: int
    name: str
    data: dict[str, Any]


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
        self._events = folder / "events.jsonl"
        self._cancelled = folder / "cancelled"

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

    def append(self, name: str, data: Mapping[str, Any]) -> None:
        """Add an event.

        Raises
        ------
        OSError
            It cannot be stored.
        """
        line = json.dumps({"event": name, "data": data}, allow_nan=False)
        with self._events.open("ab") as file:
            file.write(line.encode() + b"\n")

    def repair(self) -> None:
        """Drop half a line at the end, which a process left that was killed."""
        if self._events.exists():
            content = self._events.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                write_atomically(self._events, whole)

    def reader(self, after: int = 0) -> "EventReader":
        """Reads the events past an id."""
        return EventReader(self._events, after)

    def last_progress(self) -> dict[str, Any] | None:
        """The data of the last event of progress, without reading all."""
        try:
            with self._events.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            return None
        for line in map(_parse, reversed(lines)):
            if line is not None and line["event"] == "progress":
                data: dict[str, Any] = line["data"]
                return data
        return None

    def clear(self) -> None:
        """Drop what the job worked with: it has ended. What cannot be dropped stays.

        A note that it is not wanted stays too: a worker may be about to begin.
        """
        shutil.rmtree(self.training, ignore_errors=True)
        with suppress(OSError):
            for path in (self.picture, self.photo, self.preview):
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Drop everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


class EventReader:
    """Reads events as they come; each call of `read` goes on where the last one ended.

    Parameters
    ----------
    path
        Of the events.
    after
        The last id that is known already.
    """

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        self._after = after
        self._count = 0
        self._offset = 0

    def read(self) -> list[Event]:
        """What has come since; of previews the last one alone, for they share an address."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return []
        whole = content[: content.rfind(b"\n") + 1]  # what follows is being written
        self._offset += len(whole)
        events = []
        for line in whole.splitlines():
            self._count += 1
            event = _parse(line)
            if event is not None and self._count > self._after:
                events.append(Event(self._count, event["event"], event["data"]))
        last = max((e.id for e in events if e.name == "preview"), default=0)
        return [event for event in events if event.name != "preview" or event.id == last]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:  # the head of what `last_progress` reads
        return None
    return event

"""Events of a job in a file: one process appends them, any can read them as they come."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.storage.files import write_atomically

TAIL_BYTES = 4096  # holds the last few events
LAST_ALONE = ("preview", "revision", "step")  # what the next one of the name makes pointless


@dataclass(frozen=True)
class Event:
    """One event of a job.

    Parameters
    ----------
    id
        Counts from 1.
    name
        ``progress``, say, or ``preview``.
    data
        As the page takes it.
    """

    id: int
    name: str
    data: dict[str, Any]


class EventLog:
    """The events of one job.

    Parameters
    ----------
    path
        Of the file, in a folder that exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, name: str, data: Mapping[str, Any], durably: bool = False) -> None:
        """Add an event.

        Parameters
        ----------
        durably
            Whether it is on disk, whatever happens to the machine, when this returns.

        Raises
        ------
        OSError
            It cannot be stored.
        """
        line = json.dumps({"event": name, "data": data}, allow_nan=False)
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")
            if durably:
                file.flush()
                os.fsync(file.fileno())

    def repair(self) -> None:
        """Drop half a line at the end, which a process left that was killed."""
        if self.path.exists():
            content = self.path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                write_atomically(self.path, whole)

    def reader(self, after: int = 0) -> "EventReader":
        """Reads the events past an id."""
        return EventReader(self.path, after)

    def last(self, name: str) -> dict[str, Any] | None:
        """The data of the last event of a name, without reading all; none in the last few."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            return None
        for line in map(_parse, reversed(lines)):
            if line is not None and line["event"] == name:
                data: dict[str, Any] = line["data"]
                return data
        return None


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
        """What has come since; of previews and the like the last one alone."""
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
        last = {event.name: event.id for event in events}
        return [e for e in events if e.name not in LAST_ALONE or e.id == last[e.name]]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:  # the head of what `last` reads
        return None
    return event

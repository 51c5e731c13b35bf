"""A large picture's folder: all that there is of it. Services of one data folder share it.

What lies there decides the state: an outcome has ended it, a note has cancelled it, a claim says
that a process is at it as long as that process holds the lock. Whatever is to survive a power cut
is written atomically and synced.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from app.events import EventLog
from app.jobs.locks import FileLock
from app.pictures.order import PictureOrder, PictureOutcome, of_record
from model.storage.files import sync_folder, write_atomically, write_together


class PictureFiles:
    """The folder of one picture.

    Parameters
    ----------
    folder
        Named like the picture.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photo = folder / "photo"
        self.code = folder / "code"  # of the style, (P,), little-endian float32
        self.preview = folder / "preview.webp"
        self.result = folder / "result"
        self.events = EventLog(folder / "events.jsonl")
        self.lock = FileLock(folder / "lock")
        self._order = folder / "order.json"
        self._outcome = folder / "outcome.json"
        self._claim = folder / "claim.json"
        self._cancelled = folder / "cancelled"
        self._fetched = folder / "fetched"

    def create(self, order: PictureOrder, photo: bytes, code: bytes) -> None:
        """Store what a picture is painted from, for its owner alone.

        Raises
        ------
        OSError
            It cannot be stored; nothing is left.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700)
        try:
            write_together({self._order: _pack(asdict(order)), self.photo: photo, self.code: code})
            sync_folder(self.folder.parent)
        except BaseException:
            self.remove()
            raise

    def order(self) -> PictureOrder:
        """What was asked for.

        Raises
        ------
        OSError, ValueError, TypeError
            There is none, or it cannot be read.
        """
        return of_record(PictureOrder, json.loads(self._order.read_bytes()))

    def outcome(self) -> PictureOutcome | None:
        """How it ended; none while it has not."""
        if self._cancelled.exists() and not self._outcome.exists():
            return PictureOutcome("cancelled")
        try:
            return of_record(PictureOutcome, json.loads(self._outcome.read_bytes()))
        except FileNotFoundError:
            return None

    def conclude(self, outcome: PictureOutcome, result: bytes | None = None) -> None:
        """Keep how it ended, and drop what it was painted from.

        Raises
        ------
        OSError
            It cannot be stored; the photo has gone all the same if there is no result.
        """
        if result is None:
            self._drop(self.photo, self.code, self.preview)  # gives room on a full disk
            write_atomically(self._outcome, _pack(asdict(outcome)))
            return
        write_together({self._outcome: _pack(asdict(outcome)), self.result: result})
        self._drop(self.photo, self.code)

    def cancel(self) -> None:
        """Leave a note that it is not wanted any more, and drop the photo."""
        self._cancelled.touch()
        self._drop(self.photo, self.code, self.preview)

    @property
    def wanted(self) -> bool:
        """Whether it is still to be painted."""
        return self._order.exists() and self.outcome() is None

    @property
    def attempts(self) -> int:
        """How often it was begun and not given back."""
        return int(self._read_claim().get("attempts", 0))

    @property
    def claimed(self) -> bool:
        """Whether a process has begun it and not given it back; it may have been killed."""
        return bool(self._read_claim().get("running", False))

    def claim(self, attempts: int, running: bool) -> None:
        """Keep how often it was begun, and whether somebody is at it.

        Not synced: that outlives the process, and a process that is told to stop does not wait for
        the disk. A power cut may lose it, which costs a picture nothing.

        Raises
        ------
        OSError
            It cannot be stored.
        """
        self._claim.write_bytes(_pack({"attempts": attempts, "running": running}))

    def mark_fetched(self) -> None:
        """Leave a note that its result was fetched in full."""
        with suppress(FileExistsError, FileNotFoundError):  # the first time counts
            self._fetched.touch(exist_ok=False)

    @property
    def fetched(self) -> float | None:
        """When its result was fetched, in seconds since 1970; none if it was not."""
        try:
            return self._fetched.stat().st_mtime
        except FileNotFoundError:
            return None

    @property
    def bytes(self) -> int:
        """What all of it takes on disk."""
        total = 0
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    total += entry.stat().st_size
        return total

    def remove(self) -> None:
        """Drop everything."""
        self._drop(self._order)  # from here on it is unknown, whatever else can be dropped
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read_claim(self) -> Mapping[str, int]:
        try:
            claim: Mapping[str, int] = json.loads(self._claim.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return claim

    @staticmethod
    def _drop(*paths: Path) -> None:
        for path in paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _pack(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, allow_nan=False).encode()

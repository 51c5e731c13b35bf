"""Durable writes: a reader sees the old file or the new one, never half of one."""

import contextlib
import errno
import os
import secrets
from collections.abc import Mapping
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write through a temporary file in the same folder, file and folder synced to disk.

    Raises
    ------
    OSError
        Disk full, no permission; nothing older is harmed and no temporary file stays.
    """
    write_together({path: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together, the first last: who finds it finds the others.

    All of them lie on disk in full before the first takes its name, so a full disk leaves none.

    Raises
    ------
    OSError
        As `write_atomically`.
    """
    temporaries = {
        path: path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp") for path in files
    }
    try:
        for path, temporary in temporaries.items():
            with temporary.open("xb") as file:
                file.write(files[path])
                file.flush()
                os.fsync(file.fileno())
        for path, temporary in reversed(temporaries.items()):
            temporary.replace(path)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        raise
    for folder in {path.parent for path in files}:
        sync_folder(folder)


def disk_is_full(error: BaseException | None) -> bool:
    """Whether a disk or a quota has no room left; what lies behind an error counts too."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def check_folder(folder: Path) -> None:
    """Refuse a folder that is a file, or would lie in one. It need not exist.

    Raises
    ------
    NotADirectoryError
        Naming the file.
    """
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(part))


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder survive a power cut, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def quarantine(path: Path) -> None:
    """Move a damaged file out of the way, where it can still be looked at."""
    folder = path.parent / "quarantine"
    with contextlib.suppress(OSError):  # a folder that cannot be written to keeps it, unused
        folder.mkdir(exist_ok=True)
        path.replace(folder / path.name)

"""The style library as routes use it: off the event loop, one change at a time."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from torch import Tensor

from app.jobs.locks import changing_styles
from app.library_errors import (
    BuiltInIdError,
    BuiltInStyleError,
    NoPaintingError,
    NoSourceError,
    NoStylePreviewError,
    NoSuchStyleError,
    RetuneFirstError,
    RetuneNotNeededError,
)
from model.styles.catalogue import Provenance
from model.styles.library import StyleLibrary
from model.styles.style import Style, UnknownStyleError
from model.styles.style_file import pack_style, read_style


@dataclass(frozen=True)
class Entry:
    """A style as the library has it.

    Parameters
    ----------
    style
        Code and description.
    has_preview
        Whether there is a preview picture.
    needs_retune
        It was learned for another network, and cannot be used before a retune.
    has_painting
        Whether there is a picture of the work that it comes from.
    can_retune
        Whether that is a copy good enough to learn from.
    provenance
        Where the work comes from.
    """

    style: Style
    has_preview: bool
    needs_retune: bool
    has_painting: bool
    can_retune: bool
    provenance: Provenance

    @property
    def can_improve(self) -> bool:
        """Whether its row is a prediction, or was cut short, and there is what to learn from."""
        unfinished = self.style.training.get("unfinished") is True
        return unfinished and self.can_retune and not self.needs_retune


@dataclass(frozen=True)
class StylePicture:
    """A picture of a style: its preview, or what it was learned from.

    Parameters
    ----------
    data
        WebP.
    etag
        Changes with the data.
    revision
        Of the style.
    """

    data: bytes
    etag: str
    revision: str


class SharedLibrary:
    """A style library that several threads use. Every call may touch the disk: never on the loop.

    What another process adds to the folder (a fine-tuning worker, say) is taken in at every look.

    Parameters
    ----------
    library
        The styles of one network.
    jobs
        The folder of jobs, which change styles too; none, there are none.
    """

    def __init__(self, library: StyleLibrary, jobs: Path | None = None) -> None:
        self._library = library
        self._jobs = jobs
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many styles could be used at the last look; does not touch the disk."""
        return len(self._library)

    def refresh(self) -> None:
        """Take in what other processes have added, replaced or deleted."""
        with self._lock:
            self._library.refresh()

    def list(self) -> list[Entry]:
        """All styles, custom ones first; those that need a retune before all others."""
        with self._lock:
            self._library.refresh()
            styles = [*self._library.outdated, *self._library]
            return [self._describe(style) for style in styles]

    def describe(self, id_: str) -> Entry:
        """One style.

        Raises
        ------
        NoSuchStyleError
            There is none.
        """
        with self._lock:
            return self._describe(self._find(id_))

    def code(
        self, weights: Mapping[str, float], rows: Sequence[tuple[Tensor, float]] = ()
    ) -> Tensor:
        """The code (P,) of a blend of styles by id, and of rows; see `StyleLibrary.mix`.

        Raises
        ------
        UnknownStyleError, OutdatedStyleError, MixError
            A style is unknown, or of another network; the weights make no blend.
        """
        with self._lock:
            # Not only where one is missing: another process may have deleted or replaced one.
            if any(not self._library.is_fresh(id_) for id_ in weights):
                self._library.refresh()
            return self._library.mix(weights, rows)

    def preview(self, id_: str) -> StylePicture:
        """The preview of a style.

        Raises
        ------
        NoSuchStyleError, NoStylePreviewError
            There is no such style, or it has none.
        """
        with self._lock:
            style = self._find(id_)
            path = self._library.preview_path(id_)
            if path is None:
                raise NoStylePreviewError
            return _read_picture(path, style)

    def painting(self, id_: str) -> StylePicture:
        """A picture of the work that a style comes from.

        Raises
        ------
        NoSuchStyleError, NoPaintingError
            There is no such style, or no picture.
        """
        with self._lock:
            style = self._find(id_)
            path = self._library.painting_path(id_)
            if path is None:
                raise NoPaintingError
            return _read_picture(path, style)

    def pack(self, id_: str) -> bytes:
        """The portable file of a style.

        Raises
        ------
        NoSuchStyleError
            There is none.
        """
        with self._lock:
            return pack_style(self._find(id_))

    def check_file(self, id_: str, data: bytes) -> Style:
        """A style file that may be stored under this id, as the custom style it would be.

        Raises
        ------
        BuiltInIdError
            The id is a built-in style's.
        StyleError
            The file is damaged, or belongs to another network.
        """
        style = read_style(data)
        with self._lock:
            self._library.refresh()
            if id_ in self._library and self._library[id_].kind == "built-in":
                raise BuiltInIdError
            self._library.check_import(style)
        created = style.created or datetime.now(UTC).isoformat(timespec="seconds")
        return replace(style, id=id_, kind="custom", created=created)

    def store(
        self, style: Style, preview: bytes | None, painting: bytes | None = None
    ) -> tuple[Entry, bool]:
        """Store a custom style; also says whether its id is new.

        Parameters
        ----------
        preview, painting
            WebP; see `StyleLibrary.add`.

        Raises
        ------
        StyleError
            See `StyleLibrary.add`.
        OSError
            It cannot be stored; nothing changed.
        """
        with self._lock, self._changing():
            known = style.id in self._library or style.id in self._library.foreign
            return self._describe(self._library.add(style, preview, painting)), not known

    def remove(self, id_: str) -> None:
        """Delete a custom style.

        Raises
        ------
        NoSuchStyleError, BuiltInStyleError
            There is none, or it is built in.
        """
        with self._lock, self._changing():
            if self._find(id_).kind == "built-in":
                raise BuiltInStyleError
            self._library.remove(id_)

    def source(self, id_: str) -> tuple[Style, bytes]:
        """A style that needs a retune, and the copy of its picture.

        Raises
        ------
        NoSuchStyleError, RetuneNotNeededError, NoSourceError
            There is no such style, it fits the network, or there is no copy.
        """
        with self._lock:
            self._library.refresh()
            style = self._find(id_)
            if id_ in self._library:
                raise RetuneNotNeededError
            return style, self._read_source(id_)

    def improvable(self, id_: str) -> tuple[Style, bytes]:
        """A custom style of this network, and the copy of its picture.

        Raises
        ------
        NoSuchStyleError, BuiltInStyleError, RetuneFirstError, NoSourceError
            There is no such style, it is built in, of another network, or there is no copy.
        """
        with self._lock:
            style = self._find(id_)
            if style.kind == "built-in":
                raise BuiltInStyleError
            if id_ not in self._library:
                raise RetuneFirstError
            return style, self._read_source(id_)

    def _read_source(self, id_: str) -> bytes:
        path = self._library.source_path(id_)
        if path is None:
            raise NoSourceError
        return path.read_bytes()

    def _changing(self) -> AbstractContextManager[None]:
        return nullcontext() if self._jobs is None else changing_styles(self._jobs)

    def _find(self, id_: str) -> Style:
        if not self._library.is_fresh(id_):
            self._library.refresh()
        try:
            return self._library.find(id_)
        except UnknownStyleError as error:
            raise NoSuchStyleError from error

    def _describe(self, style: Style) -> Entry:
        return Entry(
            style,
            has_preview=self._library.preview_path(style.id) is not None,
            needs_retune=style.id not in self._library,
            has_painting=self._library.painting_path(style.id) is not None,
            can_retune=self._library.source_path(style.id) is not None,
            provenance=self._library.catalogue.provenance(style),
        )


def _read_picture(path: Path, style: Style) -> StylePicture:
    data = path.read_bytes()
    return StylePicture(data, f'"{hashlib.sha256(data).hexdigest()[:32]}"', style.revision)

"""What is asked for, and what came of it: plain values, as they are kept and as they are told."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from model.pictures.picture import OutputFormat

PictureState = Literal["queued", "running", "done", "failed", "cancelled"]
UNFINISHED: tuple[PictureState, ...] = ("queued", "running")

T = TypeVar("T")


@dataclass(frozen=True)
class PictureOrder:
    """A picture to be painted.

    Parameters
    ----------
    created
        Seconds since 1970.
    network
        Fingerprint of the network that the style's code belongs to.
    strength, preserve_color
        As of `model.inference.look.Look`.
    format, quality
        As of `model.pictures.picture.encode_picture`.
    width, height
        Of the result, in px.
    photo_width, photo_height
        Of the photo, in px.
    """

    created: float
    network: str
    strength: float
    preserve_color: bool
    format: OutputFormat
    quality: int
    width: int
    height: int
    photo_width: int
    photo_height: int

    @property
    def pixels(self) -> int:
        """Of the result."""
        return self.width * self.height


@dataclass(frozen=True)
class PictureOutcome:
    """How a picture ended.

    Parameters
    ----------
    state
        ``done``, ``failed`` or ``cancelled``.
    reason
        Why it failed, for people.
    """

    state: PictureState
    reason: str | None = None


@dataclass(frozen=True)
class PictureJob:
    """A picture as the desk tells of it.

    Parameters
    ----------
    id
        32 hex digits that nobody can guess: who knows them may see the picture.
    state
        Where it stands.
    order
        What was asked for.
    expires
        Seconds since 1970 when it will have gone.
    percent
        How far it is, 0 to 100.
    eta_s
        Seconds left, about; none once it has ended.
    reason
        Why it failed, for people.
    has_preview
        Whether there is a small picture of it to look at.
    """

    id: str
    state: PictureState
    order: PictureOrder
    expires: float
    percent: float = 0.0
    eta_s: float | None = None
    reason: str | None = None
    has_preview: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in UNFINISHED


def of_record(kind: type[T], record: Mapping[str, Any]) -> T:
    """One of the above from what was kept; what a later version has added is let be.

    Raises
    ------
    TypeError
        It is no such record.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in record.items() if name in known})

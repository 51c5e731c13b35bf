"""A job as the desk tells of it: plain values."""

from dataclasses import dataclass
from typing import Literal

JobKind = Literal["new", "retune", "improve"]
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
UNFINISHED: tuple[JobState, ...] = ("queued", "running")


@dataclass(frozen=True)
class Job:
    """A style being learned, or one that was.

    Parameters
    ----------
    id
        24 hex digits.
    kind
        ``new``, ``retune``: a style learned anew for another network, or ``improve``: one that
        can be used already.
    title
        Of the style.
    state
        Where it stands.
    created
        ISO 8601, UTC.
    learns
        Id that the style has, or will have.
    step, steps
        Training steps done, and at most; none before the first.
    losses
        The last ones by name: total, content, style.
    eta_s
        Seconds left, about.
    reason
        Why it failed, or what it waits for, for people.
    has_preview
        Whether there is a picture in the style so far.
    """

    id: str
    kind: JobKind
    title: str
    state: JobState
    created: str
    learns: str
    step: int | None = None
    steps: int | None = None
    losses: dict[str, float] | None = None
    eta_s: float | None = None
    reason: str | None = None
    has_preview: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in UNFINISHED

    @property
    def style(self) -> str | None:
        """Id of the style, once there is one."""
        is_there = self.state == "succeeded" or self.kind == "improve"
        return self.learns if is_there else None

"""Models of answers."""

from typing import Literal

from pydantic import BaseModel, Field

from app.jobs.job import JobKind, JobState
from app.pictures.order import PictureState
from model.styles.style import STYLE_ID

STYLE_ID_PATTERN = rf"^{STYLE_ID.pattern}$"
PICTURE_ID_PATTERN = r"^[0-9a-f]{32}$"


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="A URN that names the kind of error.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong and what is allowed, for people.")
    code: str = Field(description="The kind of error, for programs.")
    request_id: str = Field(description="The same as X-Request-Id, to find it in the logs.")
    retry_after: int | None = Field(None, description="Seconds after which to try again.")


class StyleInfo(BaseModel):
    """One style of the library."""

    id: str = Field(pattern=STYLE_ID_PATTERN)
    title: str
    artist: str = Field(description="Empty where unknown.")
    year: str = Field(description="Empty where unknown.")
    attribution: str = Field(description="known, title unverified, artist unverified, or empty.")
    credit: str = Field(description="Artist and year as one line.")
    kind: Literal["built-in", "custom"]
    created: str = Field(description="ISO 8601, UTC; empty where it does not matter.")
    revision: str = Field(description="Another one as soon as the style makes other pictures.")
    preview: str | None = Field(description="Address of the preview picture, where there is one.")
    painting: str | None = Field(
        description="Address of a picture of the work it comes from, where there is one: a small "
        "one of a built-in style's, the copy that a custom style was learned from."
    )
    group: str = Field(description="Kind of work, such as abstract; empty where unknown.")
    movement: str = Field(description="Of art, such as orphism; empty where unknown.")
    country: str = Field(description="The artist's, ISO 3166; empty where unknown.")
    file: str = Field(description="Address of the portable style file.")
    needs_retune: bool = Field(
        description="It was learned for another network, and cannot be used before a retune."
    )
    can_improve: bool = Field(
        description="It is as predicted, or learning it was cut short: improving it is worth it."
    )
    can_retune: bool = Field(description="Whether a copy of its picture is there to learn from.")


class StyleList(BaseModel):
    """The library: custom styles first, newest first, then built-in ones, best first."""

    styles: list[StyleInfo]


class JobInfo(BaseModel):
    """A style being learned, or one that was. What does not apply is left out."""

    id: str = Field(pattern=STYLE_ID_PATTERN)
    kind: JobKind = Field(
        description="retune: learned anew for this network; improve: of use already."
    )
    title: str = Field(description="Of the style.")
    state: JobState
    created: str = Field(description="ISO 8601, UTC.")
    learns: str = Field(description="Id that the style has, or will have.")
    style: str | None = Field(None, description="Id of the style, once it can be used.")
    step: int | None = Field(None, description="Training steps done; none before the first.")
    steps: int | None = Field(None, description="Training steps at most.")
    losses: dict[str, float] | None = Field(
        None, description="The last ones: total, content, style."
    )
    eta_s: float | None = Field(None, description="Seconds left, about.")
    reason: str | None = Field(None, description="Why it failed, or what it waits for, for people.")
    preview: str | None = Field(None, description="Address of a picture in the style so far.")


class JobList(BaseModel):
    """Newest first."""

    jobs: list[JobInfo]


class PictureInfo(BaseModel):
    """A large picture: being painted, or painted and kept. What does not apply is left out.

    Photo and result are kept until the result was fetched, an hour at most.
    """

    id: str = Field(pattern=PICTURE_ID_PATTERN, description="Whoever knows it sees the picture.")
    state: PictureState
    width: int = Field(description="Of the result, in px.")
    height: int = Field(description="Of the result, in px.")
    shrunk_from: str | None = Field(
        None, description="Width and height of the photo, such as 4000x3000, where it was shrunk."
    )
    created: str = Field(description="ISO 8601, UTC.")
    expires: str = Field(
        description="ISO 8601, UTC: when photo, result and this answer will have gone. A minute "
        "after the result was fetched, or an hour after the order."
    )
    percent: float = Field(description="How far it is, 0 to 100.")
    eta_s: float | None = Field(
        None, description="Seconds left, about, with those that are painted before it."
    )
    reason: str | None = Field(None, description="Why it failed, for people.")
    preview: str | None = Field(None, description="Address of a small picture of it.")
    result: str | None = Field(None, description="Address of the result, once done.")


class SizeInfo(BaseModel):
    """A size that a photo can be painted in."""

    name: str = Field(description="The longest side in px, or original.")
    max_side: int | None = Field(
        None, description="To be sent as max_side; none where the photo stays as it is."
    )
    width: int = Field(description="Of the result, in px.")
    height: int = Field(description="Of the result, in px.")
    seconds: float = Field(description="How long this machine takes, if it has nothing else to do.")
    way: Literal["request", "picture"] = Field(
        description="request: POST /v1/stylize answers it in time. picture: POST /v1/pictures."
    )


class SizeList(BaseModel):
    """Smallest first; no size is above the photo's own."""

    sizes: list[SizeInfo]
    kept_s: float = Field(description="How long a picture of POST /v1/pictures is kept, at most.")


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service can stylize."""

    status: Literal["ready"] = "ready"
    device: str
    network: str = Field(description="Fingerprint of the network.")
    styles: int = Field(description="How many styles there are.")
    predictor: str = Field(
        description="ready: styles of new pictures work at once. Else why they have to be learned."
    )

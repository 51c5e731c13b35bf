"""Models of requests and answers, and the strict readers of their numbers."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import SkipJsonSchema

from model.pictures.picture import OutputFormat
from model.styles.style import MAX_MIX, STYLE_ID, MixError, Style, normalize_weights

STYLE_ID_PATTERN = rf"^{STYLE_ID.pattern}$"
MAX_MIX_CHARACTERS = 4096
JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)


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
    preview: str | None = Field(description="Address of the preview picture, where there is one.")
    file: str = Field(description="Address of the portable style file.")
    needs_retune: bool = Field(
        description="It was learned for another network, and cannot be used before a retune."
    )
    can_retune: bool = Field(description="Whether a copy of its picture is there to learn from.")

    @classmethod
    def of(
        cls, style: Style, has_preview: bool, needs_retune: bool = False, can_retune: bool = False
    ) -> "StyleInfo":
        """What people should know of a style."""
        address = f"/v1/styles/{style.id}"
        return cls(
            id=style.id,
            title=style.title,
            artist=style.artist,
            year=style.year,
            attribution=style.attribution,
            credit=style.credit,
            kind=style.kind,
            created=style.created,
            preview=f"{address}/preview" if has_preview else None,
            file=f"{address}/file",
            needs_retune=needs_retune,
            can_retune=can_retune,
        )


class StyleList(BaseModel):
    """The library: custom styles first, newest first, then built-in ones by title."""

    styles: list[StyleInfo]


class JobInfo(BaseModel):
    """A style being learned, or one that was. What does not apply is left out."""

    id: str = Field(pattern=STYLE_ID_PATTERN)
    kind: Literal["new", "retune"] = Field(description="retune: learned anew for this network.")
    title: str = Field(description="Of the style.")
    state: JobState
    created: str = Field(description="ISO 8601, UTC.")
    learns: str = Field(description="Id that the style has, or will have.")
    style: str | None = Field(None, description="Id of the style, once succeeded.")
    step: int | None = Field(None, description="Training steps done; none before the first.")
    steps: int | None = Field(None, description="Training steps at most.")
    losses: dict[str, float] | None = Field(
        None, description="The last ones: total, content, style."
    )
    eta_s: float | None = Field(None, description="Seconds left, about.")
    reason: str | None = Field(None, description="Why it failed, for people.")
    preview: str | None = Field(None, description="Address of a picture in the style so far.")

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in ("queued", "running")


class JobList(BaseModel):
    """Newest first."""

    jobs: list[JobInfo]


class Health(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The service can stylize."""

    status: Literal["ready"] = "ready"
    device: str
    network: str = Field(description="Fingerprint of the network.")
    styles: int = Field(description="How many styles there are.")


class MixItem(BaseModel):
    """One style of a mix."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    style: str = Field(pattern=STYLE_ID_PATTERN)
    weight: float = Field(ge=0)


_MIX = TypeAdapter(Annotated[list[MixItem], Field(min_length=1, max_length=MAX_MIX)])


class MixFormatError(ValueError):
    """A mix that is not one; the text says what is allowed."""


def parse_mix(text: str) -> dict[str, float]:
    """The form field ``mix``, a JSON list, as weights by style id, scaled to sum 1.

    Raises
    ------
    MixFormatError
        Not strict JSON (NaN, repeated keys), not 1 to 8 different styles, or weights that make
        no blend.
    """
    try:
        raw = json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant)
        items = _MIX.validate_python(raw)
    except (ValueError, ValidationError, RecursionError, OverflowError) as error:
        raise MixFormatError(
            f"must be a JSON list of 1 to {MAX_MIX} objects, each with a style (an id) and a "
            "weight (a finite number of 0 or more)"
        ) from error
    weights = {item.style: item.weight for item in items}
    if len(weights) != len(items):
        raise MixFormatError("names a style twice")
    try:
        return dict(zip(weights, normalize_weights(list(weights.values())), strict=True))
    except MixError as error:
        raise MixFormatError(str(error)) from error


def _unique_pairs(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is repeated")
    return members


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_decimal(text: object) -> float:
    """A number as a form writes it: digits, a point, an exponent; nothing else Python would take.

    Raises
    ------
    ValueError
        Anything else.
    """
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError("must be a plain decimal number")
    return float(text)


def read_whole(text: object) -> int:
    """A whole number as a form writes it.

    Raises
    ------
    ValueError
        Anything else.
    """
    if not isinstance(text, str) or not _WHOLE.fullmatch(text):
        raise ValueError("must be a whole number")
    return int(text)


def read_flag(text: object) -> bool:
    """``true`` or ``false``.

    Raises
    ------
    ValueError
        Anything else.
    """
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _check_style_id(text: str) -> str:
    if not STYLE_ID.fullmatch(text):
        raise ValueError("must be 1 to 64 lower-case letters, digits and hyphens")
    return text


StyleId = Annotated[
    str,
    AfterValidator(_check_style_id),
    Field(json_schema_extra={"pattern": STYLE_ID_PATTERN}, examples=["starry-night"]),
]
Strength = Annotated[float, BeforeValidator(read_decimal), Field(ge=0, le=1)]
MaxSide = Annotated[int, BeforeValidator(read_whole), Field(ge=1, le=65_500)]
Quality = Annotated[int, BeforeValidator(read_whole), Field(ge=1, le=100)]
Flag = Annotated[bool, BeforeValidator(read_flag)]
StrokeSize = Annotated[int, BeforeValidator(read_whole), Field(ge=64, le=1024)]
StyleWeight = Annotated[float, BeforeValidator(read_decimal), Field(ge=0.1, le=10)]
TrainingSteps = Annotated[int, BeforeValidator(read_whole), Field(ge=10, le=5000)]
Format = OutputFormat
Absent = SkipJsonSchema[None]  # a field may be left out, but no form can say null

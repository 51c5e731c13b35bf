"""The fields of forms, and their strict readers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, File, Form, UploadFile
from fastapi.openapi.models import Example
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

from app.web.errors import ApiError
from app.web.schemas import STYLE_ID_PATTERN
from model.pictures.picture import OutputFormat
from model.styles.options import STROKE_SIZE, STYLE_WEIGHT, TRAINING_STEPS
from model.styles.style import MAX_MIX, STYLE_ID, MixError, normalize_weights

MAX_MIX_CHARACTERS = 4096
MIX_EXAMPLE = '[{"style": "starry-night", "weight": 0.7}, {"style": "great-wave", "weight": 0.3}]'
_DECIMAL = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,9}", re.ASCII)


class MixItem(BaseModel):
    """One style of a mix."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    style: str = Field(pattern=STYLE_ID_PATTERN)
    weight: float = Field(ge=0)


_MIX = TypeAdapter(Annotated[list[MixItem], Field(min_length=1, max_length=MAX_MIX)])

_SHARES = TypeAdapter(
    Annotated[
        list[Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]],
        Field(max_length=MAX_MIX),
    ]
)


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
        items = _MIX.validate_python(_parse_json(text))
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


def _parse_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_refuse_constant)


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


def read_weights(style: str | None, mix: str | None) -> dict[str, float]:
    """Weights by style id, from the fields ``style`` or ``mix``.

    Raises
    ------
    ApiError
        422: neither is given, or both, or the mix is none.
    """
    if (style is None) == (mix is None):
        raise ApiError(422, "invalid_parameters", "Give either style or mix.")
    if style is not None:
        return {style: 1.0}
    try:
        return parse_mix(mix or "")
    except MixFormatError as error:
        raise ApiError(422, "invalid_parameters", f"mix: {error}") from error


def read_blend(
    style: str | None, mix: str | None, images: int, image_weights: str | None
) -> tuple[dict[str, float], list[float]]:
    """Weights by style id, and those of uploaded style pictures.

    Those of a mix sum to 1, and so does the one of a style; a picture's is 1 unless it is given.

    Parameters
    ----------
    images
        How many pictures there are.
    image_weights
        A JSON list of a number for each; none, 1.

    Raises
    ------
    ApiError
        422: neither styles nor pictures, too many of both, or weights that make no blend.
    """
    if not images:
        if image_weights is not None:
            raise ApiError(
                422, "invalid_parameters", "style_image_weights: there is no style_image."
            )
        return read_weights(style, mix), []
    weights = {} if style is None and mix is None else read_weights(style, mix)
    shares = [1.0] * images
    if image_weights is not None:
        try:
            shares = _SHARES.validate_python(_parse_json(image_weights))
        except (ValueError, ValidationError, RecursionError, OverflowError) as error:
            raise ApiError(
                422,
                "invalid_parameters",
                "style_image_weights: must be a JSON list of finite numbers of 0 or more",
            ) from error
    if len(shares) != images:
        detail = f"style_image_weights: there are {images} pictures and {len(shares)} weights."
        raise ApiError(422, "invalid_parameters", detail)
    try:
        normalize_weights([*weights.values(), *shares])
    except MixError as error:
        raise ApiError(422, "invalid_parameters", f"style_image: {error}.") from error
    return weights, shares


def check_new_id(text: str) -> None:
    """Refuse what is no id for a style.

    Raises
    ------
    ApiError
        422.
    """
    if not STYLE_ID.fullmatch(text):
        raise ApiError(
            422, "invalid_id", "An id has 1 to 64 lower-case letters, digits and hyphens."
        )


def _check_style_id(text: str) -> str:
    if not STYLE_ID.fullmatch(text):
        raise ValueError("must be 1 to 64 lower-case letters, digits and hyphens")
    return text


StyleId = Annotated[
    str,
    AfterValidator(_check_style_id),
    Field(json_schema_extra={"pattern": STYLE_ID_PATTERN}, examples=["starry-night"]),
]
Strength = Annotated[float, Field(ge=0, le=1), BeforeValidator(read_decimal)]
MaxSide = Annotated[int, Field(ge=1, le=65_500), BeforeValidator(read_whole)]
Quality = Annotated[int, Field(ge=1, le=100), BeforeValidator(read_whole)]
Flag = Annotated[bool, BeforeValidator(read_flag)]
StrokeSize = Annotated[
    int, Field(ge=STROKE_SIZE.lowest, le=STROKE_SIZE.highest), BeforeValidator(read_whole)
]
StyleWeight = Annotated[
    float, Field(ge=STYLE_WEIGHT.lowest, le=STYLE_WEIGHT.highest), BeforeValidator(read_decimal)
]
TrainingSteps = Annotated[
    int, Field(ge=TRAINING_STEPS.lowest, le=TRAINING_STEPS.highest), BeforeValidator(read_whole)
]
Format = OutputFormat
Absent = SkipJsonSchema[None]  # a field may be left out, but no form can say null

StyleField = Annotated[
    StyleId | Absent, Form(description="A style's id; or give a mix, or pictures.")
]
MixField = Annotated[
    str | Absent,
    Form(
        min_length=1,
        max_length=MAX_MIX_CHARACTERS,
        description="A JSON list of 1 to 8 different styles with weights; or give a style.",
        openapi_examples={"two styles": Example(value=MIX_EXAMPLE)},
    ),
]
StyleImagesField = Annotated[
    list[UploadFile] | Absent,
    File(description="Pictures whose styles are predicted, and blended with the others."),
]
StyleImageWeightsField = Annotated[
    str | Absent,
    Form(
        min_length=1,
        max_length=MAX_MIX_CHARACTERS,
        description="A JSON list of a weight for each of them, beside those of the mix, which sum "
        "to 1. Default: 1 each.",
    ),
]
StrokeSizeField = Annotated[
    StrokeSize,
    Form(description="Shorter side in px at which they are read: larger, larger strokes."),
]
PhotoField = Annotated[UploadFile, File(description="A JPEG, PNG, WebP or GIF picture.")]
StrengthField = Annotated[Strength, Form(description="0, the photo, to 1, the full style.")]
ColorField = Annotated[Flag, Form(description="Keep the photo's colours.")]
FormatField = Annotated[Format | Absent, Form(description="Default: as the upload; PNG for a GIF.")]
QualityField = Annotated[Quality, Form(description="Of JPEG and WebP.")]


@dataclass(frozen=True)
class PictureFields:
    """The fields by which a client says what a picture is to look like; a dependency of routes."""

    style: StyleField = None
    mix: MixField = None
    style_image: StyleImagesField = None
    style_image_weights: StyleImageWeightsField = None
    stroke_size: StrokeSizeField = STROKE_SIZE.default
    strength: StrengthField = 1.0
    preserve_color: ColorField = False
    format: FormatField = None
    quality: QualityField = 90


WantedPicture = Annotated[PictureFields, Depends(PictureFields)]

"""What photos are to look like, as the command line has it: styles, pictures, weights."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from model.styles.library import StyleLibrary
    from model.styles.predictor import StylePredictor


@dataclass(frozen=True)
class Blend:
    """Styles of the library and pictures, with their weights.

    Parameters
    ----------
    shares
        Weights by style id.
    pictures
        Files whose styles are predicted, and their weights.
    """

    shares: dict[str, float] = field(default_factory=dict)
    pictures: Sequence[tuple[Path, float]] = ()

    @property
    def name(self) -> str:
        """For the names of results."""
        return "-".join([*self.shares, *(path.stem for path, _ in self.pictures)])[:80]

    def check_known(self, library: "StyleLibrary") -> None:
        """Refuse an unknown style as wrong usage, with the nearest names."""
        outdated = {style.id for style in library.outdated}
        for id_ in self.shares:
            if id_ in outdated:
                raise typer.BadParameter(
                    f"style {id_!r} was learned for another network; "
                    "`pastiche styles retune` learns it anew"
                )
            if id_ not in library:
                near = difflib.get_close_matches(id_, [style.id for style in library], 3, 0.4)
                hint = f"; did you mean {' or '.join(near)}?" if near else "; see `pastiche styles`"
                raise typer.BadParameter(f"there is no style {id_!r}{hint}")

    def predict(
        self, predictor: "StylePredictor", stroke_size: int
    ) -> list[tuple["Tensor", float]]:
        """Codes of the pictures, with their weights.

        Raises
        ------
        ValueError, OSError
            A picture cannot be read, or has no style; the text names it.
        """
        from model.pictures.limits import PictureError
        from model.pictures.picture import load_picture
        from model.pictures.style_picture import UnfitPictureError

        rows = []
        for path, weight in self.pictures:
            try:
                rows.append((predictor.predict(load_picture(path).rgb, stroke_size), weight))
            except (PictureError, UnfitPictureError) as error:
                raise ValueError(f"{path}: {error}") from error
        return rows


def parse_blend(style: str | None, mix: str | None, pictures: Sequence[str]) -> Blend:
    """A blend from ``--style``, ``--mix`` and ``--style-image``."""
    from model.styles.style import STYLE_ID, MixError, normalize_weights

    if (style is not None and mix is not None) or (style is mix is None and not pictures):
        raise typer.BadParameter(
            "give a style, or a mix, or pictures", param_hint="--style / --mix / --style-image"
        )
    if style is not None and not STYLE_ID.fullmatch(style):
        raise typer.BadParameter(f"there is no style {style!r}", param_hint="--style")
    shares = {style: 1.0} if style is not None else parse_shares(mix) if mix is not None else {}
    files = [_parse_picture(text) for text in pictures]
    try:
        normalize_weights([*shares.values(), *(weight for _, weight in files)])
    except MixError as error:
        raise typer.BadParameter(str(error), param_hint="--mix / --style-image") from error
    return Blend(shares, files)


def parse_shares(mix: str) -> dict[str, float]:
    """Weights by style id from ``--mix``."""
    from model.styles.style import STYLE_ID

    shares: dict[str, float] = {}
    for part in mix.split(","):
        id_, equals, text = part.strip().partition("=")
        weight = _parse_weight(text) if equals else 1.0
        if not STYLE_ID.fullmatch(id_) or math.isnan(weight):
            raise typer.BadParameter(
                f"{part.strip()!r} is not like starry-night=0.6", param_hint="--mix"
            )
        if id_ in shares:
            raise typer.BadParameter(f"{id_!r} is there twice", param_hint="--mix")
        shares[id_] = weight
    return shares


def _parse_picture(text: str) -> tuple[Path, float]:
    """A file, or a file and its weight; the name of a file may have a = in it."""
    if Path(text).exists():
        return Path(text), 1.0
    path, equals, weight = text.rpartition("=")
    if not equals or math.isnan(_parse_weight(weight)):
        return Path(text), 1.0  # and reading it will say that there is none
    return Path(path), _parse_weight(weight)


def _parse_weight(text: str) -> float:
    """A finite number of 0 or more, else NaN."""
    try:
        weight = float(text)
    except ValueError:
        return math.nan
    return weight if math.isfinite(weight) and weight >= 0 else math.nan

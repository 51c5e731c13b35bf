"""Where built-in styles come from, and in which order people should meet them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.styles.style import Style


@dataclass(frozen=True)
class Provenance:
    """What the catalogue says of a work; empty where unknown.

    Parameters
    ----------
    group
        Kind of work under which the style is shown, such as ``abstract``.
    movement
        Of art, such as ``orphism``.
    country
        The artist's, as two letters (ISO 3166).
    """

    group: str = ""
    movement: str = ""
    country: str = ""


class Catalogue:
    """``catalogue.json`` of a folder of styles: by id, best first. Styles work without it.

    Parameters
    ----------
    folder
        Of the styles.

    Attributes
    ----------
    problems
        Why it cannot be read; empty where it can, or where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.problems: dict[str, str] = {}
        self._works: Mapping[str, Provenance] = {}
        try:
            entries = json.loads((folder / "catalogue.json").read_text(encoding="utf-8"))
            self._works = {str(id_): _read_entry(entry) for id_, entry in entries.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError):
            self.problems["catalogue"] = "damaged catalogue"
        self._ranks = {id_: rank for rank, id_ in enumerate(self._works)}

    def rank(self, style: Style) -> tuple[int, str]:
        """A key to sort built-in styles by: as catalogued, others after them by title."""
        return self._ranks.get(style.id, len(self._ranks)), style.title.casefold()

    def provenance(self, style: Style) -> Provenance:
        """Where a style's work comes from; of custom styles that is unknown."""
        unknown = Provenance()
        return self._works.get(style.id, unknown) if style.kind == "built-in" else unknown


def _read_entry(entry: Mapping[str, object]) -> Provenance:
    if not all(isinstance(value, str) for value in entry.values()):
        raise TypeError("not texts")
    return Provenance(**{name: str(value) for name, value in entry.items()})

"""What a job is to do: plain values, its record in the database."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from model.styles.options import CHOSEN, STEPS_FROM_ROW, TRAINING_STEPS
from model.styles.style import Style


@dataclass(frozen=True)
class Order:
    """A style to be learned.

    Parameters
    ----------
    kind
        ``new``, ``retune``: learn a style anew for another network, or ``improve``: go on from the
        row that a style has.
    style
        Id of the style that is to come of it.
    title
        Of the style.
    recipe
        Options of `model.training.finetune_recipe.FinetuneRecipe`.
    digest
        Of all that was asked for, to tell a second try from another order.
    created
        ISO 8601, UTC.
    revision
        Of the style that is to be improved: of another one the job would know nothing.
    """

    kind: Literal["new", "retune", "improve"]
    style: str
    title: str
    recipe: dict[str, Any]
    digest: str = ""
    created: str = ""
    revision: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Order":
        """The order of a record; what a later version has added to it is let be.

        Raises
        ------
        TypeError
            It is no order's record.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})


def retune_order(style: Style) -> Order:
    """Learn a style as it was learned first, with its own options."""
    return Order("retune", style.id, style.title, _chosen_options(style), created=now())


def improve_order(style: Style) -> Order:
    """Go on learning a style from the row that it has, with its own options."""
    recipe = _chosen_options(style)
    revision = style.revision
    return Order("improve", style.id, style.title, recipe, created=now(), revision=revision)


def _chosen_options(style: Style) -> dict[str, Any]:
    learned = style.training.get("recipe", {})
    recipe = {name: learned[name] for name in CHOSEN if name in learned}
    if recipe.get("steps") in (TRAINING_STEPS.default, STEPS_FROM_ROW):
        del recipe["steps"]  # not chosen: how many it takes depends on where it starts
    return recipe


def now() -> str:
    """ISO 8601, UTC, as styles and jobs have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def job_id(key: str | None) -> str:
    """The id of a new job, 24 hex digits; the same for the same idempotency key."""
    if key is None:
        return secrets.token_hex(12)
    return hashlib.sha256(b"job " + key.encode()).hexdigest()[:24]

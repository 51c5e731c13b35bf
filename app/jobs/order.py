"""What a job is to do: plain values, its record in the database."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

from model.styles.options import CHOSEN
from model.styles.style import Style


@dataclass(frozen=True)
class Order:
    """A style to be learned.

    Parameters
    ----------
    kind
        ``new``, or ``retune``: learn a style anew for another network.
    style
        Id of the style that is to come of it.
    title
        Of the style.
    recipe
        Options of `model.training.one_style.FinetuneRecipe`.
    digest
        Of all that was asked for, to tell a second try from another order.
    created
        ISO 8601, UTC.
    """

    kind: Literal["new", "retune"]
    style: str
    title: str
    recipe: dict[str, Any]
    digest: str = ""
    created: str = ""

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
    learned = style.training.get("recipe", {})
    recipe = {name: learned[name] for name in CHOSEN if name in learned}
    return Order("retune", style.id, style.title, recipe, created=now())


def now() -> str:
    """ISO 8601, UTC, as styles and jobs have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def job_id(key: str | None) -> str:
    """The id of a new job, 24 hex digits; the same for the same idempotency key."""
    if key is None:
        return secrets.token_hex(12)
    return hashlib.sha256(b"job " + key.encode()).hexdigest()[:24]

"""Styles: a code with its metadata; titles, ids, blending."""

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

STYLE_ID = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
MAX_MIX = 8
MAX_TITLE = 120  # characters; also of an artist's name and the like

# Zero-width joiner and non-joiner, and the tags of which flags are made; loose ones join nothing.
_JOINING = re.compile("[\u200c\u200d\U000e0020-\U000e007f]")
_LOOSE_JOINING = re.compile(
    "^[\u200c\u200d\U000e0020-\U000e007f]+|[\u200c\u200d]+$|(?<=[\u200c\u200d])[\u200c\u200d]+"
)

Kind = Literal["built-in", "custom"]


class StyleError(ValueError):
    """Something is wrong with a style; the text is one line and safe to show."""


class UnknownStyleError(StyleError):
    """No style of that id."""


class DamagedStyleError(StyleError):
    """A style file that is broken, altered, or not finite."""


class ForeignStyleError(StyleError):
    """A style file of another network: its row would mean something else here."""


class OutdatedStyleError(ForeignStyleError):
    """A style of the library that was learned for another network, and is not to be used."""


class MixError(StyleError):
    """Weights that make no blend."""


@dataclass(frozen=True, eq=False)
class Style:
    """One row and what people should know of it.

    Parameters
    ----------
    id
        Lower-case letters, digits and hyphens, 1 to 64.
    title
        For people; plain text.
    code
        (P,), float32: every layer's gamma, then every layer's beta.
    network
        Fingerprint of the network that the row belongs to.
    artist, year
        Of the work; empty where unknown.
    attribution
        ``known``, ``title unverified`` or ``artist unverified``; empty for a custom style.
    kind
        ``built-in`` or ``custom``.
    created
        ISO 8601, UTC; empty where it does not matter.
    training
        How the row was made.
    """

    id: str
    title: str
    code: Tensor
    network: str
    artist: str = ""
    year: str = ""
    attribution: str = ""
    kind: Kind = "built-in"
    created: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not STYLE_ID.fullmatch(self.id):
            raise StyleError("a style id is 1 to 64 lower-case letters, digits and hyphens")
        if self.code.ndim != 1 or not bool(self.code.isfinite().all()):
            raise StyleError("a style code is one row of finite numbers")

    @property
    def revision(self) -> str:
        """12 hex digits of the row: others as soon as the style makes other pictures."""
        row = self.code.detach().cpu().float().contiguous().numpy().tobytes()
        return hashlib.sha256(self.network.encode() + row).hexdigest()[:12]

    @property
    def credit(self) -> str:
        """Artist and year as one line, an unverified artist as "attributed to"."""
        artist = self.artist if self.artist.lower() != "unknown" else ""
        if artist and self.attribution == "artist unverified":
            artist = f"attributed to {artist}"
        return ", ".join(part for part in (artist or "unknown artist", self.year) if part)


def clean_title(title: str) -> str:
    """A title as it is stored: NFC, no control characters, one line, at most 120 characters.

    Raises
    ------
    StyleError
        Nothing is left, or it is too long.
    """
    kept = clean_text(title, "title")
    if not kept:
        raise StyleError("the title is empty")
    return kept


def clean_text(text: str, name: str) -> str:
    """A line about a style, as `clean_title` has it, but that may be empty.

    Raises
    ------
    StyleError
        It is too long.
    """
    normal = unicodedata.normalize("NFC", text)
    # Cc, Cf and friends: control characters, and marks that reverse the text around them. Those
    # that join emoji and letters, or spell a flag, stay.
    kept = "".join(
        " " if unicodedata.category(c)[0] in "CZ" and not _JOINING.fullmatch(c) else c
        for c in normal
    )
    words = (_LOOSE_JOINING.sub("", word) for word in kept.split())
    kept = " ".join(word for word in words if word)
    if len(kept) > MAX_TITLE:
        raise StyleError(f"the {name} has {len(kept)} characters; at most {MAX_TITLE} are allowed")
    return kept


def style_id(title: str, origin: str) -> str:
    """A new style's id: readable, and its own by the hex digits of what it came from."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:48].strip("-")
    return f"{words or 'style'}-{origin[:6]}"


def normalize_weights(weights: Sequence[float]) -> list[float]:
    """Weights of a blend, scaled to sum 1.

    Raises
    ------
    MixError
        None or more than 8, negative, not finite, or all zero.
    """
    if not 1 <= len(weights) <= MAX_MIX:
        raise MixError(f"a mix has {len(weights)} styles; 1 to {MAX_MIX} are allowed")
    if not all(math.isfinite(w) and w >= 0 for w in weights):
        raise MixError("every weight of a mix must be a finite number of 0 or more")
    largest = max(weights)
    if largest == 0:
        raise MixError("the weights of a mix must not all be 0")
    scaled = [w / largest for w in weights]  # the sum of huge weights would overflow
    total = math.fsum(scaled)
    return [w / total for w in scaled]


def blend_codes(codes: Tensor, weights: Sequence[float]) -> Tensor:
    """A convex combination of style codes (the paper, section 3.3).

    Parameters
    ----------
    codes
        (K, P).
    weights
        K numbers of 0 or more, not all 0; they are scaled to sum 1.

    Returns
    -------
    Tensor
        (P,).

    Raises
    ------
    MixError
        See `normalize_weights`.
    """
    return torch.tensor(normalize_weights(weights), dtype=codes.dtype) @ codes

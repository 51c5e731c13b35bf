"""What users choose of a new style: ranges and defaults, plain values."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Option(Generic[N]):
    """A number with its range.

    Parameters
    ----------
    lowest, highest
        Both are allowed.
    default
        Where nothing is chosen.
    """

    lowest: N
    highest: N
    default: N

    def check(self, name: str, value: N) -> None:
        """Refuse what is out of range, NaN among it.

        Raises
        ------
        ValueError
            With the range in its text.
        """
        if not self.lowest <= value <= self.highest:
            raise ValueError(f"{name} is {value}, but must be from {self.lowest} to {self.highest}")


STROKE_SIZE: Final = Option(64, 1024, 384)
"""Shorter side, in px, at which the picture is measured: larger, larger strokes."""
STYLE_WEIGHT: Final = Option(0.1, 10, 1.0)
"""Factor on the style loss against the content loss."""
TRAINING_STEPS: Final = Option(10, 5000, 100)
"""At most; it ends earlier once nothing more is gained."""
STEPS_FROM_ROW: Final = 25
"""The default where a row of the style is there to start from: its prediction, for example."""

CHOSEN = ("stroke_size", "style_weight", "steps")
"""The options' names, as a recipe has them."""

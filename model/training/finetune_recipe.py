"""How a new style is learned, and how its losses are weighed."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from model.styles.options import STROKE_SIZE, STYLE_WEIGHT, TRAINING_STEPS
from model.training.objective import NETWORK_OBJECTIVE, Objective


@dataclass(frozen=True)
class FinetuneRecipe:
    """How a new style is learned.

    Parameters
    ----------
    stroke_size, style_weight, steps
        What users choose, see `model.styles.options`.
    seed
        Of every draw.
    batch_size, crop_size
        Of the content; the side of the crops in px, as the losses see them. One large crop serves
        better than several small ones of as many pixels, each of which is mostly edge.
    context
        So many px of content lie around a crop that no loss sees, as in the network's own training:
        see `Objective.margin`. Without it a row learns frames, which the margin of use cuts off.
    leaves_share
        Share of the crops that are dead-leaves pictures, where no photos of the user's are given.
    learning_rate
        Adam's.
    """

    stroke_size: int = STROKE_SIZE.default
    style_weight: float = STYLE_WEIGHT.default
    steps: int = TRAINING_STEPS.default
    seed: int = 0
    batch_size: int = 1
    crop_size: int = 256
    context: int = 32
    leaves_share: float = 0.25
    learning_rate: float = 5e-2

    def __post_init__(self) -> None:
        STROKE_SIZE.check("stroke_size", self.stroke_size)
        STYLE_WEIGHT.check("style_weight", self.style_weight)
        TRAINING_STEPS.check("steps", self.steps)

    @property
    def cut_size(self) -> int:
        """Side of a crop in px with its context."""
        return self.crop_size + 2 * self.context

    @property
    def objective(self) -> Objective:
        """What is minimized, the style's weight aside: what the network was trained under."""
        return replace(NETWORK_OBJECTIVE, margin=self.context)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return asdict(self)

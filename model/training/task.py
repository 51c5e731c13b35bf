"""A recipe over the training loop."""

from typing import Protocol

from torch import Tensor, nn


class Task(Protocol):
    """A recipe over the loop."""

    @property
    def module(self) -> nn.Module:
        """Owns every trained parameter and whatever else a checkpoint must hold."""

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Trained parameters with their share of the learning rate."""

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What a step sees: a function of the step alone."""

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Scalars by name; ``total`` is minimized."""

    def validate(self) -> dict[str, float]:
        """Figures on held-out data; called with the moving average in place."""

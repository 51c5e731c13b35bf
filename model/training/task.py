"""A recipe over the training loop."""

from typing import Protocol

from torch import Tensor, nn

from model.training.optimizers import ParameterGroup


class Task(Protocol):
    """A recipe over the loop."""

    @property
    def module(self) -> nn.Module:
        """Owns every trained parameter and whatever else a checkpoint must hold."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """Trained parameters, with their share of the learning rate and their optimizer."""

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What a step sees: a function of the step alone."""

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Scalars by name; ``total`` is minimized."""

    def validate(self) -> dict[str, float]:
        """Figures on held-out data; called with the moving average in place."""

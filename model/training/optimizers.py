"""Adam for most parameters, Muon for those that are large matrices, behind one interface."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

MUON_MOMENTUM = 0.95


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that are trained alike.

    Parameters
    ----------
    parameters
        Of a module; for Muon, of two dimensions or more.
    share
        Their learning rate, as a multiple of the loop's.
    method
        ``adam``; or ``muon`` (Jordan et al. 2024), which makes every update an orthogonal matrix:
        all directions of a layer move, and not the few that most gradients share. Convolutions
        (O, I, h, w) count as matrices of O rows. Its step has its own scale: see `MUON_SHARE`.
    """

    parameters: Sequence[nn.Parameter]
    share: float = 1.0
    method: Literal["adam", "muon"] = "adam"


class Optimizers:
    """The optimizers of several parameter groups, stepped together.

    Parameters
    ----------
    groups
        Every parameter in one of them.
    learning_rate
        The loop's.
    """

    def __init__(self, groups: Sequence[ParameterGroup], learning_rate: float) -> None:
        self.groups = list(groups)
        # Muon takes matrices: each is a view of its parameter's own memory, so that a step moves
        # the parameter. The order of a matrix's columns does not matter to it.
        self._matrices = {
            parameter: nn.Parameter(as_matrix(parameter.detach()))
            for group in groups
            if group.method == "muon"
            for parameter in group.parameters
        }
        self._optimizers: list[torch.optim.Optimizer] = []
        adam = [g for g in groups if g.method == "adam"]
        if adam:
            self._optimizers.append(
                torch.optim.Adam(
                    [{"params": list(g.parameters), "share": g.share} for g in adam],
                    lr=learning_rate,
                )
            )
        muon = [g for g in groups if g.method == "muon"]
        if muon:
            self._optimizers.append(
                torch.optim.Muon(
                    [
                        {"params": [self._matrices[p] for p in g.parameters], "share": g.share}
                        for g in muon
                    ],
                    lr=learning_rate,
                    momentum=MUON_MOMENTUM,
                    weight_decay=0.0,
                )
            )

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Everything that is trained."""
        return [p for group in self.groups for p in group.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def clip_gradients(self, norm: float) -> None:
        """Scale the gradients to a norm of at most so much.

        A picture without any contrast multiplies them by 1 / sqrt(eps) at every layer, up to
        infinity. Such gradients count as none: one update would make every weight a NaN.
        """
        finite = nn.utils.clip_grad_norm_(self.parameters, norm).isfinite()
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad = parameter.grad.where(finite, 0)

    def step(self, rate: float) -> None:
        """One update at a learning rate."""
        for parameter, matrix in self._matrices.items():
            matrix.grad = None if parameter.grad is None else as_matrix(parameter.grad)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            optimizer.step()

    def state(self) -> Iterator[tuple[nn.Parameter, str, Tensor]]:
        """What must be kept for an exact resume: parameter, name and value of each entry."""
        for group in self.groups:
            for parameter in group.parameters:
                for key, value in self._state(parameter).items():
                    yield parameter, f"{group.method}.{key}", torch.as_tensor(value)

    def load(self, parameter: nn.Parameter, state: dict[str, Tensor]) -> None:
        """Give a parameter the entries that `state` told."""
        state = {name.partition(".")[2]: value for name, value in state.items()}
        owner = self._matrices.get(parameter, parameter)
        for optimizer in self._optimizers:
            if any(owner is p for group in optimizer.param_groups for p in group["params"]):
                optimizer.state[owner] = {
                    # Adam counts its steps on the CPU.
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in state.items()
                }

    def _state(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        owner = self._matrices.get(parameter, parameter)
        for optimizer in self._optimizers:
            if owner in optimizer.state:
                return optimizer.state[owner]  # type: ignore[no-any-return]
        return {}


def as_matrix(weight: Tensor) -> Tensor:
    """A convolution's weight (O, I, h, w) as (O, I h w), columns in the order they lie in memory.

    Raises
    ------
    ValueError
        The weight is not dense in either order, or has fewer than two dimensions.
    """
    if weight.dim() < 2:
        raise ValueError(f"a weight of {weight.dim()} dimensions is no matrix")
    if not weight.is_contiguous():
        weight = weight.movedim(1, -1)  # channels last: as (O, h, w, I) it is dense
    return weight.view(weight.shape[0], -1)

"""Loss networks: frozen feature extractors whose distances stand in for what people see."""

import torch.nn.functional as F
from torch import Tensor, nn


class LossNetwork(nn.Module):
    """What the losses see pictures through."""

    def forward(self, pictures: Tensor, depth: str | None = None) -> dict[str, Tensor]:
        """Activations by name.

        Parameters
        ----------
        pictures
            (N, 3, H, W) in [0, 1].
        depth
            The deepest layer wanted; all by default.

        Returns
        -------
        dict
            Name to (N, C, H', W').
        """
        raise NotImplementedError


def pyramid(pictures: Tensor, levels: int) -> list[Tensor]:
    """The pictures at full, half, quarter ... size: strokes beyond a shallow network's reach."""
    scaled = [pictures]
    for _ in range(levels - 1):
        scaled.append(F.avg_pool2d(scaled[-1], 2))
    return scaled

"""What a picture is to look like."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from model.pictures.levels import keep_colors


@dataclass(frozen=True)
class Look:
    """How a picture is to be stylized.

    Parameters
    ----------
    code
        (P,), a style's code or a blend's.
    strength
        0 (the photo itself) to 1 (the full style).
    preserve_color
        Whether to keep the photo's colours and take the style's luminance alone.
    """

    code: Tensor
    strength: float = 1.0
    preserve_color: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength is {self.strength}, but must be from 0 to 1")

    @property
    def share(self) -> float:
        """The style's share of the row, and the pastiche's of the picture: half of the strength.

        Rows between a style's and the photo's are nobody's aim in training: they bring out more
        colour, edges and grain than either end has. So half of the way, geometrically, goes through
        the rows, where strokes grow, and half from there to the photo.
        """
        return math.sqrt(self.strength)

    def finish(self, pastiche: Tensor, photo: Tensor) -> Tensor:
        """What comes after the network, whose answer at `share` it takes, and the photo.

        Both are (..., 3, H, W) in [0, 1]. At strength 0 it is the photo, bit for bit.
        """
        if self.strength == 0:
            return photo
        if self.strength < 1:
            pastiche = torch.lerp(photo, pastiche, self.share)
        return keep_colors(pastiche, photo) if self.preserve_color else pastiche

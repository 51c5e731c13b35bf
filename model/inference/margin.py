"""A margin around photos that is taken off again: what networks do to edges falls on it.

A style loss is taken of whole crops and does not mind where a texture lies. At the edges, where
there is least to lose, a network puts more of it than elsewhere: pictures come out with a frame.
"""

from typing import Final

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from model.network.network import aligned_side
from model.pictures.levels import Levels

MARGIN: Final = 32
"""Px, a multiple of the network's 4: the context that the shipped network was trained with. What no
loss looks at a network puts to its own use, so that frames reach as far in as the context did.
`frame_contrast` of six styles is 21.5 levels with 16 px, 20.8 with 24 and 12.8 with 32, where
strokes alone make 10 or so; at 512 px 16 px cost 13 % more pixels, 24 a fifth, 32 a quarter.
"""


def widen(photos: Tensor, around: int = MARGIN) -> Tensor:
    """Photos (N, 3, H, W), floats, with a mirrored margin; tiny ones with a repeated edge."""
    tiny = min(photos.shape[2:]) <= around
    return F.pad(photos, [around] * 4, mode="replicate" if tiny else "reflect")


def widened_pixels(height: int, width: int) -> int:
    """Pixels that the network computes for a picture: far more than its own, if it is narrow."""
    return aligned_side(height + 2 * MARGIN) * aligned_side(width + 2 * MARGIN)


def trim(pictures: Tensor, around: int = MARGIN) -> Tensor:
    """Pictures (N, C, H, W) without so many px at each edge, a margin by default; a view."""
    height, width = pictures.shape[2:]
    return pictures[:, :, around : height - around, around : width - around]


def widen_levels(levels: Levels) -> Levels:
    """`widen` for one picture (H, W, 3) in whole levels."""
    tiny = min(levels.shape[:2]) <= MARGIN
    sides = [(MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)]
    return np.pad(levels, sides, mode="edge" if tiny else "reflect")


def trim_levels(levels: Levels) -> Levels:
    """`trim` for one picture (H, W, 3) in whole levels."""
    return np.ascontiguousarray(levels[MARGIN:-MARGIN, MARGIN:-MARGIN])

"""Whether a network draws a frame: what it does at a picture's edges alone."""

import torch
import torch.nn.functional as F
from torch import Tensor

from model.training.appearance import Stylize, one_by_one

SHIFT = 32  # px; a border's traces reach next to no further
DEPTH = 6  # px from the edge
SEGMENT = 24  # px along it: strokes, which a shift moves, fall out of the mean


@torch.inference_mode()
def frame_contrast(stylize: Stylize, photos: Tensor, pictures: Tensor) -> float:
    """How far the outer 6 px are from what they would be if the photo went on.

    Photos are moved by 32 px to the right and down, and to the left and up, mirrored where they
    leave a gap. What was an edge then lies inside, and should look the same but for strokes.

    Parameters
    ----------
    stylize
        The network.
    photos
        (N, 3, H, W) in [0, 1], of 96 px a side and more.
    pictures
        What the network makes of them.

    Returns
    -------
    float
        Levels of 255: mean absolute difference of mean colours over pieces of the edge, 6 by 24 px.
    """
    height, width = photos.shape[2:]
    moved = {
        "down": F.pad(photos, [SHIFT, 0, SHIFT, 0], mode="reflect")[:, :, :height, :width],
        "up": F.pad(photos, [0, SHIFT, 0, SHIFT], mode="reflect")[:, :, SHIFT:, SHIFT:],
    }
    here = pictures.float()
    down, up = (one_by_one(stylize, moved[name]).float() for name in ("down", "up"))
    # Of each pair the edge, and where it went.
    pairs = [
        (here[:, :, :DEPTH, :-SHIFT], down[:, :, SHIFT : SHIFT + DEPTH, SHIFT:]),
        (here[:, :, -DEPTH:, SHIFT:], up[:, :, -SHIFT - DEPTH : -SHIFT, :-SHIFT]),
        (here[:, :, :-SHIFT, :DEPTH].mT, down[:, :, SHIFT:, SHIFT : SHIFT + DEPTH].mT),
        (here[:, :, SHIFT:, -DEPTH:].mT, up[:, :, :-SHIFT, -SHIFT - DEPTH : -SHIFT].mT),
    ]
    found = [F.avg_pool2d(edge - inside, (DEPTH, SEGMENT)).abs().mean() for edge, inside in pairs]
    return 255 * torch.stack(found).mean().item()

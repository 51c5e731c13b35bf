"""Style pictures for a predictor: views of paintings, at many scales and in changed colours.

Every draw is a function of (seed, position), as in `model.training.crops`.
"""

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.pictures.picture import load_picture
from model.pictures.style_picture import resize_short_side
from model.styles.options import STROKE_SIZE
from model.training.crops import cycle, random_at

LARGEST_SIDE: Final = 768  # px, of the shorter side at which a painting is seen
ENLARGED: Final = 1.5  # how far at most a painting's own pixels are enlarged
PLAIN: Final = 8 / 255  # spread below which a view is drawn anew: a sky's corner is no style
ATTEMPTS: Final = 4

# YIQ, in which hue is an angle.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


class PaintingViews:
    """Square views of paintings: what a painting looks like, read at some size.

    A painting is seen at a shorter side of ``size`` to 768 px, log-uniform, but at most one and a
    half times its own: a square of that is the view. Half of the views are mirrored, a third turned
    in hue, a third changed in brightness and contrast, some are mosaics of two paintings.

    Parameters
    ----------
    paintings
        Any number of pictures.
    works
        Those of which rows are known; seen in ``works_share`` of the views.
    size
        Side of a view in px.
    works_share, mosaic_share, hue_share, light_share
        Shares of the views.
    seed
        Of all draws.
    """

    def __init__(
        self,
        paintings: Sequence[Path],
        works: Sequence[Path],
        size: int = 256,
        works_share: float = 0.15,
        mosaic_share: float = 0.15,
        hue_share: float = 0.35,
        light_share: float = 0.35,
        seed: int = 0,
    ) -> None:
        self.paths = [*paintings, *works]
        self.paintings = len(paintings)
        self.size = size
        self.works_share = works_share
        self.mosaic_share = mosaic_share
        self.hue_share = hue_share
        self.light_share = light_share
        self.seed = seed
        self._pictures: dict[int, Tensor] = {}

    def picture(self, index: int) -> Tensor:
        """A decoded painting (3, H, W), uint8; no larger than the largest side asks for."""
        if index not in self._pictures:
            picture = load_picture(self.paths[index]).rgb
            if min(picture.size) > LARGEST_SIDE:
                picture = resize_short_side(picture, LARGEST_SIDE)
            levels = np.array(picture)
            self._pictures[index] = torch.from_numpy(levels).permute(2, 0, 1).contiguous()
        return self._pictures[index]

    def view(self, position: int) -> Tensor:
        """The view at a position of the endless sequence: (3, size, size) in [0, 1]."""
        rng = random_at(self.seed, "view", position)
        index = self._choose(position, rng)
        whole = self._plain_view(index, rng)
        if rng.random() < self.mosaic_share:
            other = self._plain_view(rng.randrange(len(self.paths)), rng)
            cut = round(self.size * rng.uniform(0.3, 0.7))
            whole = torch.cat([whole[:, :, :cut], other[:, :, cut:]], 2)
        if rng.random() < 0.5:
            whole = whole.flip(2)
        if rng.random() < self.hue_share:
            whole = turn_hue(whole, rng.uniform(-math.pi, math.pi), rng.uniform(0.3, 1.3))
        if rng.random() < self.light_share:
            whole = whole ** math.exp(rng.uniform(-0.5, 0.5))
            mean = whole.mean()
            whole = mean + (whole - mean) * rng.uniform(0.6, 1.3)
        return whole.clamp(0, 1)

    def work_view(self, work: int, position: int) -> Tensor:
        """A view of a work in its own colours, read at about the size that its row is for."""
        rng = random_at(self.seed, "work", work, position)
        side = STROKE_SIZE.default * math.exp(rng.uniform(-0.2, 0.2))
        return self._cut(self.paintings + work, side, rng)

    def batch(self, step: int, count: int) -> Tensor:
        """The views of one step: (N, 3, size, size)."""
        return torch.stack([self.view(step * count + i) for i in range(count)])

    def _choose(self, position: int, rng: random.Random) -> int:
        works = len(self.paths) - self.paintings
        if works and (not self.paintings or rng.random() < self.works_share):
            return self.paintings + rng.randrange(works)
        return cycle(range(self.paintings), position, self.seed)

    def _plain_view(self, index: int, rng: random.Random) -> Tensor:
        for _ in range(ATTEMPTS):
            own = min(self.picture(index).shape[1:])
            largest = max(self.size, min(LARGEST_SIDE, ENLARGED * own))
            found = self._cut(index, self.size * (largest / self.size) ** rng.random(), rng)
            if float(found.std()) > PLAIN:
                break
        return found

    def _cut(self, index: int, side: float, rng: random.Random) -> Tensor:
        """A square of a painting whose shorter side is ``side`` px, at least a view's."""
        picture = self.picture(index)
        height, width = picture.shape[1:]
        edge = min(height, width, max(1, round(min(height, width) * self.size / side)))
        top, left = rng.randint(0, height - edge), rng.randint(0, width - edge)
        window = picture[None, :, top : top + edge, left : left + edge].float() / 255
        scaled = F.interpolate(
            window, [self.size, self.size], mode="bicubic", antialias=True, align_corners=False
        )
        return scaled[0].clamp(0, 1)


def turn_hue(picture: Tensor, angle: float, chroma: float) -> Tensor:
    """A picture (3, H, W) with its hues turned by an angle and its colourfulness multiplied."""
    cosine, sine = chroma * math.cos(angle), chroma * math.sin(angle)
    turn = torch.tensor([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    matrix = torch.linalg.inv(_YIQ) @ turn @ _YIQ  # (3, 3)
    return torch.einsum("ij,jhw->ihw", matrix, picture).clamp(0, 1)


def split_paintings(paths: Sequence[Path], held_out: int) -> tuple[list[Path], list[Path]]:
    """Paintings to train on, and held-out ones, by a fixed rule: evenly spread over the names.

    Parameters
    ----------
    held_out
        How many; all are trained on where it is 0.
    """
    ordered = sorted(paths, key=lambda path: path.name)
    if not 0 <= held_out < len(ordered):
        raise ValueError(f"{held_out} of {len(ordered)} paintings cannot be held out")
    chosen = {(2 * i + 1) * len(ordered) // (2 * held_out) for i in range(held_out)}
    train = [path for i, path in enumerate(ordered) if i not in chosen]
    return train, [ordered[i] for i in sorted(chosen)]

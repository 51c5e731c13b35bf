"""Training data: a folder of photos as random crops, and style pictures.

Every draw is a function of (seed, position), never of a generator's history. So a resumed run
sees exactly what an uninterrupted one sees, and the state to save is one number: the step.
"""

import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def find_photos(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted by path.

    Raises
    ------
    ValueError
        There are none.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise ValueError(f"no photos (JPEG, PNG or WebP) in {folder}")
    return paths


def draw(seed: int, *position: int | str) -> random.Random:
    """A generator that depends on the seed and a position alone."""
    return random.Random(":".join(map(str, (seed, *position))))


def cycle(items: Sequence[int], position: int, seed: int) -> int:
    """The item at a position of an endless sequence in which every pass is shuffled anew."""
    turn, index = divmod(position, len(items))
    return items[_shuffled(len(items), seed, turn)[index]]


@lru_cache(maxsize=8)
def _shuffled(count: int, seed: int, turn: int) -> list[int]:
    order = list(range(count))
    draw(seed, "cycle", turn).shuffle(order)
    return order


class PhotoCrops:
    """Random square crops of photos, at scales from a part of the photo to all of it.

    Parameters
    ----------
    paths
        The photos. Each is decoded once and kept in memory (about 0.4 MB at 288 x 430 px).
    size
        Side of a crop in px.
    min_share
        The smallest crop, as a share of the photo's shorter side. Small crops are enlarged: to the
        network they are parts of a large photo.
    flat_share
        Share of crops that are blurred to near flatness: skies and walls, where an
        instance-normalized network tends to invent bright blobs.
    seed
        Of all draws.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        min_share: float = 0.35,
        flat_share: float = 0.03,
        seed: int = 0,
    ) -> None:
        self.paths = list(paths)
        self.size = size
        self.min_share = min_share
        self.flat_share = flat_share
        self.seed = seed
        self._photos: dict[int, Image.Image] = {}

    def photo(self, index: int) -> Image.Image:
        """The decoded photo, RGB."""
        if index not in self._photos:
            self._photos[index] = load_picture(self.paths[index]).rgb
        return self._photos[index]

    def crop(self, position: int) -> Tensor:
        """The crop at a position of the endless sequence: (3, size, size) in [0, 1]."""
        photo = self.photo(cycle(range(len(self.paths)), position, self.seed))
        rng = draw(self.seed, "crop", position)
        share = self.min_share ** rng.random()  # log-uniform in [min_share, 1]
        side = share * min(photo.size)
        left = rng.random() * (photo.width - side)
        top = rng.random() * (photo.height - side)
        box = (left, top, left + side, top + side)
        if rng.random() < self.flat_share:
            few = rng.choice((2, 3, 4, 6))
            photo, box = photo.resize((few, few), Image.Resampling.BOX, box=box), (0, 0, few, few)
        picture = photo.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)
        if rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return to_tensor(picture)

    def batch(self, step: int, batch_size: int) -> Tensor:
        """The crops of one step: (N, 3, size, size)."""
        start = step * batch_size
        return torch.stack([self.crop(start + i) for i in range(batch_size)])


def load_validation_batch(paths: Sequence[Path], size: int) -> Tensor:
    """The centre squares of photos, resized: (N, 3, size, size) in [0, 1]."""
    squares = []
    for path in paths:
        picture = load_picture(path).rgb
        side = min(picture.size)
        left, top = (picture.width - side) / 2, (picture.height - side) / 2
        box = (left, top, left + side, top + side)
        squares.append(to_tensor(picture.resize((size, size), Image.Resampling.BICUBIC, box=box)))
    return torch.stack(squares)

"""Training data: a folder of photos as random crops, and style pictures.

Every draw is a function of (seed, position), never of a generator's history. So a resumed run
sees exactly what an uninterrupted one sees, and the state to save is one number: the step.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture
from model.pictures.style_picture import resize_short_side
from model.storage.assets import asset_folder

SEED_CELL = 8  # px: the size of the dabs that smooth noise becomes
MAX_SEEDS = 4 / 255

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


def random_at(seed: int, *position: int | str) -> random.Random:
    """A generator that depends on the seed and a position alone."""
    return random.Random(":".join(map(str, (seed, *position))))


def cycle(items: Sequence[int], position: int, seed: int) -> int:
    """The item at a position of an endless sequence in which every pass is shuffled anew."""
    turn, index = divmod(position, len(items))
    return items[_shuffled(len(items), seed, turn)[index]]


@lru_cache(maxsize=8)
def _shuffled(count: int, seed: int, turn: int) -> list[int]:
    order = list(range(count))
    random_at(seed, "cycle", turn).shuffle(order)
    return order


@dataclass(frozen=True)
class Crop:
    """One draw: which square of which photo, and what becomes of it."""

    photo: int
    left: int  # px
    top: int
    side: int
    flipped: bool
    kind: Literal["photo", "faint", "smooth"]
    walled: bool
    """Whether a wall lies over a part of it."""
    seeds: float
    """Spread of the smooth noise, in [0, 1]."""
    seed: int
    """Of everything else that is drawn."""


class PhotoCrops:
    """Random square crops of photos, at scales from a part of the photo to all of it.

    Every photo is decoded once, to uint8 where the network is, and crops are cut there. What is
    drawn depends on (seed, position) alone; the noise on it also on the kind of device, which
    draws it itself.

    Parameters
    ----------
    paths
        The photos; about 0.4 MB of memory each at 288 x 430 px.
    size
        Side of a crop in px.
    min_share
        The smallest crop, as a share of the photo's shorter side. Small crops are enlarged: to the
        network they are parts of a large photo.
    smooth_share
        Share of crops that are blurred to a few colours, at any contrast and brightness: skies,
        walls and nights, where an instance-normalized network tends to invent blobs and drips. They
        have grain of a level or so, as photos have: without any, gradients have no bound.
    faint_share
        Share of crops whose contrast is lowered.
    seed_share
        Share of crops with smooth noise of up to 4 levels, in cells of 8 px: what strokes can hold
        on to in a smooth gradient. Smooth crops are among them always.
    wall_share
        Share of crops with a wall: a rectangle of a faint gradient and a level of grain over a part
        of the photo. Beside a photo's contrast, normalization leaves such a part next to none, and
        the network is tempted to fill it with a weave.
    seed
        Of all draws.
    device
        Where crops are cut.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        size: int,
        min_share: float = 0.35,
        smooth_share: float = 0.03,
        faint_share: float = 0.0,
        seed_share: float = 0.0,
        wall_share: float = 0.0,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.paths = list(paths)
        self.size = size
        self.min_share = min_share
        self.smooth_share = smooth_share
        self.faint_share = faint_share
        self.seed_share = seed_share
        self.wall_share = wall_share
        self.seed = seed
        self.device = torch.device(device)
        self._photos: dict[int, Tensor] = {}

    def photo(self, index: int) -> Tensor:
        """The decoded photo (3, H, W), uint8; no larger than the smallest crop asks for."""
        if index not in self._photos:
            picture = load_picture(self.paths[index]).rgb
            largest = round(self.size / self.min_share)
            if min(picture.size) > largest:
                picture = resize_short_side(picture, largest)
            levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
            self._photos[index] = levels.to(self.device)
        return self._photos[index]

    def draw(self, position: int) -> Crop:
        """What is cut at a position of the endless sequence."""
        index = cycle(range(len(self.paths)), position, self.seed)
        height, width = self.photo(index).shape[1:]
        rng = random_at(self.seed, "crop", position)
        share = self.min_share ** rng.random()  # log-uniform in [min_share, 1]
        side = max(1, round(share * min(height, width)))
        left = rng.randint(0, width - side)
        top = rng.randint(0, height - side)
        chance = rng.random()
        kind: Literal["photo", "faint", "smooth"] = "photo"
        if chance < self.smooth_share:
            kind = "smooth"
        elif chance < self.smooth_share + self.faint_share:
            kind = "faint"
        seeded = rng.random() < self.seed_share or (kind == "smooth" and self.seed_share > 0)
        seeds = MAX_SEEDS * rng.random() if seeded else 0.0
        flipped, seed = rng.random() < 0.5, rng.getrandbits(62)
        walled = kind != "smooth" and rng.random() < self.wall_share
        return Crop(index, left, top, side, flipped, kind, walled, seeds, seed)

    def crop(self, position: int) -> Tensor:
        """The crop at a position of the endless sequence: (3, size, size) in [0, 1]."""
        drawn = self.draw(position)
        rng = random.Random(drawn.seed)
        window = self.photo(drawn.photo)[
            :, drawn.top : drawn.top + drawn.side, drawn.left : drawn.left + drawn.side
        ]
        picture = window[None].float() / 255  # (1, 3, side, side)
        if drawn.kind == "smooth":
            few = min(rng.choice((2, 3, 4, 6)), drawn.side)
            picture = F.adaptive_avg_pool2d(picture, few)
        if drawn.kind != "photo":
            mean = picture.mean(dim=(2, 3), keepdim=True)
            contrast = 0.05 ** rng.random() if drawn.kind == "smooth" else rng.uniform(0.1, 0.6)
            brightness = 0.1 ** rng.random()
            picture = (mean + contrast * (picture - mean)) * brightness
        picture = F.interpolate(
            picture, [self.size, self.size], mode="bicubic", antialias=True, align_corners=False
        )
        if drawn.flipped:
            picture = picture.flip(3)
        generator = torch.Generator(self.device).manual_seed(drawn.seed)
        if drawn.seeds:
            picture = picture + drawn.seeds * smooth_noise(self.size, generator)
        if drawn.kind == "smooth":
            grain = torch.randn(picture.shape, generator=generator, device=self.device)
            picture = picture + rng.uniform(0.5, 1.5) / 255 * grain
        if drawn.walled:
            self._build_wall(picture, rng, generator)
        return picture[0].clamp(0, 1)

    def _build_wall(self, picture: Tensor, rng: random.Random, generator: torch.Generator) -> None:
        """Put a rectangle of a faint gradient between colours of the picture over a part of it."""
        high, wide = (round(self.size * rng.uniform(0.35, 0.75)) for _ in range(2))
        top, left = rng.randint(0, self.size - high), rng.randint(0, self.size - wide)
        colours = quarter_means(picture)
        mean = colours.mean(dim=(2, 3), keepdim=True)
        colours = mean * 2.0 ** rng.uniform(-2, 0.5) + rng.uniform(0, 0.5) * (colours - mean)
        wall = F.interpolate(colours, [high, wide], mode="bilinear", align_corners=True)
        grain = torch.randn(wall.shape, generator=generator, device=self.device)
        wall = wall + rng.uniform(0.3, 1.5) / 255 * grain
        picture[:, :, top : top + high, left : left + wide] = wall

    def batch(self, step: int, batch_size: int) -> Tensor:
        """The crops of one step: (N, 3, size, size)."""
        start = step * batch_size
        return torch.stack([self.crop(start + i) for i in range(batch_size)])


def quarter_means(pictures: Tensor) -> Tensor:
    """Mean colours of the quarters of pictures (N, C, H, W): (N, C, 2, 2).

    Adaptive average pooling, but not by its kernel: on an H100 that took a sixth of a step.
    """
    height, width = pictures.shape[2:]
    rows, columns = ((slice(-(-side // 2)), slice(side // 2, side)) for side in (height, width))
    means = [pictures[:, :, y, x].mean(dim=(2, 3)) for y in rows for x in columns]
    quarters: Tensor = torch.stack(means, 2).unflatten(2, (2, 2))
    return quarters


def smooth_noise(size: int, generator: torch.Generator) -> Tensor:
    """Noise of unit spread that changes over cells of 8 px: (1, 3, size, size)."""
    cells = -(-size // SEED_CELL) + 2
    coarse = torch.randn(1, 3, cells, cells, generator=generator, device=generator.device)
    side = cells * SEED_CELL
    fine = F.interpolate(coarse, [side, side], mode="bicubic", align_corners=False)
    noise = fine[:, :, SEED_CELL : SEED_CELL + size, SEED_CELL : SEED_CELL + size]
    return noise / noise.std().clamp_min(1e-6)


def sample_photos() -> list[Path]:
    """The photos that the project ships: content that needs no download."""
    return sorted((asset_folder("static") / "samples").glob("*.jpg"))


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


def load_style_pictures(folder: Path) -> list[dict[str, Any]]:
    """The entries of a folder's ``styles.json``, or one per picture where there is none.

    Returns
    -------
    list of dict
        ``id``, ``title``, ``artist``, ``year``, ``attribution`` and ``path``.

    Raises
    ------
    ValueError
        No pictures, or an entry without one.
    """
    listing = folder / "styles.json"
    if not listing.exists():
        return [
            {"id": path.stem, "title": path.stem.replace("-", " ").title(), "path": path}
            for path in find_photos(folder)
        ]
    entries = json.loads(listing.read_text("utf-8"))
    for entry in entries:
        found = [p for p in sorted(folder.glob(f"{entry['id']}.*")) if p.suffix != ".json"]
        if not found:
            raise ValueError(f"{listing} names {entry['id']}, but {folder} has no such picture")
        entry["path"] = found[0]
    return entries  # type: ignore[no-any-return]

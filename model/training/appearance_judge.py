"""What one sees in a style, measured over photos."""

from pathlib import Path
from statistics import mean

import torch
from torch import Tensor

from model.inference.device import autocast, choose_training_precision
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.perception.loss_network import LossNetwork
from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture
from model.pictures.style_picture import resize_short_side
from model.training.appearance import (
    NIGHTS,
    STRUCTURE_LAYER,
    Appearance,
    Stylize,
    gradient_spread,
    grain_gain,
    one_by_one,
    structure_distance,
    weave,
)
from model.training.frame import frame_contrast

GROUNDS = 6  # photos around the plain squares and skies


class AppearanceJudge:
    """Measures what one sees, on large photos.

    Parameters
    ----------
    photos
        (N, 3, size, size) in [0, 1]; 384 px and more, see `grain_gain`.
    loss_network
        VGG-19 with `STRUCTURE_LAYER`, under max pooling as it was trained.
    """

    def __init__(self, photos: Tensor, loss_network: LossNetwork) -> None:
        self.photos = photos
        self.loss_network = loss_network.to(memory_format=torch.channels_last)
        self.features = [self.measure(photo) for photo in photos.split(1)]

    @torch.inference_mode()
    def measure(self, pictures: Tensor) -> Tensor:
        """Features, in bfloat16 where that is faster."""
        with autocast("cpu", choose_training_precision(torch.device("cpu"))):
            features: Tensor = self.loss_network(pictures)[STRUCTURE_LAYER]
        return features

    def judge(self, stylize: Stylize, painting: Tensor) -> Appearance:
        """What a network makes of the photos in the style of a painting (3, H, W) in [0, 1]."""
        pastiches = one_by_one(stylize, self.photos)
        structure = [
            structure_distance(self.measure(pastiche), features).item()
            for pastiche, features in zip(pastiches.split(1), self.features, strict=True)
        ]
        some = slice(None, None, max(1, len(self.photos) // GROUNDS))
        around, painted = (pictures[some][:GROUNDS] for pictures in (self.photos, pastiches))
        gradients = gradient_spread(stylize, around)
        return Appearance(
            grain=grain_gain(stylize, around),
            gradient=gradients.mean().item(),
            night=gradients[:NIGHTS].mean().item(),
            weave=weave(pastiches, painting),
            structure=mean(structure),
            frame=frame_contrast(stylize, around, painted),
        )

    def figures(self, stylizer: Stylizer, code: Tensor, painting: Path) -> Appearance:
        """What a style's code makes of the photos; its painting is taken as large as they are."""
        look = Look(code)

        def stylize(photos: Tensor) -> Tensor:
            return stylizer.stylize_batch(photos, [look] * len(photos))

        picture = resize_short_side(load_picture(painting).rgb, self.photos.shape[-1])
        return self.judge(stylize, to_tensor(picture))

"""Two opinions on content and style: VGG-19, and SqueezeNet, under which nobody was trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from model.perception.moments import Moments, feature_moments
from model.pictures.levels import to_tensor
from model.pictures.style_picture import resize_short_side
from model.training.appearance import STRUCTURE_LAYER
from model.training.losses import content_loss, gram_loss
from model.training.vgg19 import load_vgg19

STYLE_SIZES = (192, 256, 384, 512, 720)  # px, of the painting's shorter side


def evenly(paths: Sequence[Path], count: int) -> Sequence[Path]:
    """So many of the paths, at equal distances."""
    return paths[:: max(1, len(paths) // count)][:count]


@dataclass(frozen=True)
class Judge:
    """A feature extractor and the layers at which it looks."""

    see: Callable[[Tensor], Mapping[str, Tensor]]
    content_layer: str
    style_layers: tuple[str, ...]

    def style_targets(self, painting: Image.Image) -> dict[int, list[Moments]]:
        """The Gram matrices of a painting at each of `STYLE_SIZES`."""
        return {
            size: self.moments(self.see(to_tensor(resize_short_side(painting, size))[None]))
            for size in STYLE_SIZES
        }

    def moments(self, seen: Mapping[str, Tensor]) -> list[Moments]:
        """What `style_losses` compares, of N pictures."""
        return [feature_moments(seen[name]) for name in self.style_layers]

    def content_losses(self, seen: Mapping[str, Tensor], photo: Mapping[str, Tensor]) -> Tensor:
        """(N,): relative squared distance of features."""
        return content_loss(seen[self.content_layer], photo[self.content_layer])

    def style_losses(
        self, seen: Mapping[str, Tensor], targets: Mapping[int, list[Moments]]
    ) -> Tensor:
        """(N, sizes): mean over layers of the relative squared distance of plain Gram matrices."""
        actual = self.moments(seen)
        count = len(actual[0].mean)
        losses = []
        for wanted in targets.values():
            expanded = [
                Moments(m.mean.expand(count, -1), m.gram.expand(count, -1, -1)) for m in wanted
            ]
            losses.append(gram_loss(actual, expanded))
        return torch.stack(losses, 1)


def vgg19_judge(path: Path) -> Judge:
    """VGG-19 with the max pooling that it was trained with; ours learn under average pooling."""
    style_layers = ("relu1_2", "relu2_2", "relu3_2", "relu3_4")
    content_layer = "relu3_2"
    network = load_vgg19(path, {*style_layers, content_layer, STRUCTURE_LAYER}, pooling="max")
    return Judge(network.to(memory_format=torch.channels_last), content_layer, style_layers)


def squeezenet_judge(path: Path) -> Judge:
    """SqueezeNet 1.0 (Iandola et al. 2016): its first convolution and its fire modules' outputs."""
    with np.load(path) as file:
        weights = {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}
    means = torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)  # BGR

    def convolve(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return F.relu(F.conv2d(x, weight, bias, stride, padding))

    def see(pictures: Tensor) -> dict[str, Tensor]:
        x = convolve((pictures * 255).flip(1) - means, "conv1", stride=2)
        seen = {"conv1": x}
        for i in range(2, 9):
            if i in (2, 5):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            squeezed = convolve(x, f"fire{i}.conv1x1_1")
            wide = convolve(squeezed, f"fire{i}.conv3x3_2", padding=1)
            x = torch.cat([convolve(squeezed, f"fire{i}.conv1x1_2"), wide], 1)
            seen[f"fire{i}"] = x
        return seen

    return Judge(see, "fire5", ("conv1", "fire3", "fire5", "fire8"))

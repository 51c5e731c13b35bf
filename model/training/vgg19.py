"""VGG-19, the judge of training: a frozen feature extractor."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import vgg19

from model.perception.loss_network import LossNetwork

Pooling = Literal["average", "max", "stochastic"]

# Index of each activation in torchvision's vgg19().features.
VGG19_LAYERS = {
    "relu1_1": 1,
    "relu1_2": 3,
    "relu2_1": 6,
    "relu2_2": 8,
    "relu3_1": 11,
    "relu3_2": 13,
    "relu3_3": 15,
    "relu3_4": 17,
    "relu4_1": 20,
    "relu4_2": 22,
    "relu4_3": 24,
    "relu4_4": 26,
}

# Channels of each activation.
VGG19_CHANNELS = {name: 64 * 2 ** (int(name[4]) - 1) for name in VGG19_LAYERS}


class StochasticPool2d(nn.Module):
    """One of each 2x2 values, drawn (Zeiler and Fergus 2013); none may be negative.

    In training mode the chance of a value is its share of the sum of the four; in evaluation mode
    the result is the mean under these chances.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H // 2, W // 2)."""
        height, width = (side // 2 for side in features.shape[2:])
        whole = features[:, :, : 2 * height, : 2 * width]
        windows = whole.unflatten(3, (width, 2)).unflatten(2, (height, 2))  # (N, C, h, 2, w, 2)
        windows = windows.transpose(3, 4).flatten(4)  # (N, C, h, w, 4)
        totals = windows.detach().sum(-1, keepdim=True)
        if not self.training:
            mean: Tensor = (windows.square() / totals.clamp_min(1e-12)).sum(-1)
            return mean
        drawn = torch.rand_like(totals) * totals
        passed = (windows.detach().cumsum(-1) <= drawn).sum(-1, keepdim=True)
        chosen: Tensor = windows.gather(-1, passed.clamp_max(3)).squeeze(-1)
        return chosen


class VGG19Features(LossNetwork):
    """Activations of VGG-19 (Simonyan & Zisserman 2014), frozen.

    The weights take RGB in [0, 1] that is normalized with the ImageNet mean and spread. They are
    random here; `load_vgg19` brings the trained ones.

    Parameters
    ----------
    layers
        Names of the activations, as in `VGG19_LAYERS`.
    pooling
        ``average`` (Gatys et al.: smoother gradients), ``max`` (as VGG was trained), or
        ``stochastic``; see `StochasticPool2d`. That one alone differs in training mode,
        which has to be asked for.
    averaged
        Which of the layers are returned averaged over all positions: global average pooling.
    """

    def __init__(
        self,
        layers: Collection[str],
        pooling: Pooling = "average",
        averaged: Collection[str] = (),
    ) -> None:
        super().__init__()
        unknown = [name for name in layers if name not in VGG19_LAYERS]
        if unknown or not layers:
            raise ValueError(f"layers {list(layers)} must be among {list(VGG19_LAYERS)}")
        if not set(averaged) <= set(layers):
            raise ValueError(f"averaged layers {list(averaged)} must be among {list(layers)}")
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling is {pooling!r}, but must be among {get_args(Pooling)}")
        self.averaged = frozenset(averaged)
        self.layers = tuple(sorted(layers, key=VGG19_LAYERS.__getitem__))
        # On "meta" first: the classifier's 120 million numbers are never made.
        with torch.device("meta"):
            self.features = vgg19().features[: VGG19_LAYERS[self.layers[-1]] + 1]
        self.features.to_empty(device="cpu")
        for module in self.features:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.ReLU):
                module.inplace = False  # an in-place ReLU would overwrite what we return
        for index, module in enumerate(self.features):
            if isinstance(module, nn.MaxPool2d) and pooling != "max":
                average = pooling == "average"
                self.features[index] = nn.AvgPool2d(2) if average else StochasticPool2d()
        self.register_buffer("mean", Tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", Tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

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
            Name to (N, C, H', W'), or (N, C, 1, 1) if averaged.
        """
        wanted = {VGG19_LAYERS[name]: name for name in self.layers}
        last = VGG19_LAYERS[depth or self.layers[-1]]
        x = (pictures - self.mean) / self.std
        found = {}
        for index, module in enumerate(self.features):
            x = module(x)
            if index in wanted:
                name = wanted[index]
                found[name] = F.adaptive_avg_pool2d(x, 1) if name in self.averaged else x
            if index == last:
                break
        return found


def load_vgg19(
    path: Path,
    layers: Collection[str],
    pooling: Pooling = "average",
    averaged: Collection[str] = (),
) -> VGG19Features:
    """VGG-19 features with the weights of a safetensors file, in float32.

    Parameters
    ----------
    path
        Keys as in torchvision's ``vgg19()`` (``features.0.weight``, ...), as deep as ``layers``
        needs. Torchvision's own weights do, once saved as safetensors.
    layers, pooling, averaged
        See `VGG19Features`.

    Raises
    ------
    ValueError
        The file is missing, damaged, or lacks a layer.
    """
    network = VGG19Features(layers, pooling, averaged)
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"cannot read VGG-19 weights from {path}: {error}") from error
    needed = network.state_dict().keys()
    missing = sorted(needed - tensors.keys())
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    network.load_state_dict({name: tensors[name].float() for name in needed})
    return network

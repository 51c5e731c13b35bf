"""What the study compares: variants of the network, and what all runs have in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from model.network.config import NetworkConfig
from model.network.normalization import NormKind
from model.perception.loss_network import LossNetwork
from model.training.vgg19 import Pooling

BASE = "instance"  # the recipe's own: every part compares with it
KINDS: tuple[NormKind, ...] = get_args(NormKind)
RESAMPLINGS = (BASE, "pooled", "unpooled")
POOLINGS = (BASE, "max", "stochastic", "global")
LossNetworks = Callable[[Pooling, bool], LossNetwork]


@dataclass(frozen=True)
class StudySettings:
    """What all runs have in common.

    Parameters
    ----------
    steps, batch_size, photo_size, learning_rate
        Of training; see `model.training.many_styles.StyleRecipe`. The style pictures are measured
        at twice the size of the photos.
    style_weight
        Of the style loss, the content loss having 1. Lighter than the recipe's: strokes are large
        beside these crops, and what is compared would drown in them.
    channels, residual_blocks
        Of the network.
    groups
        Of group normalization.
    seeds
        How many: 0, 1, ... Networks of one style are trained with the first alone.
    judged
        Held-out photos to judge by.
    """

    steps: int = 200
    batch_size: int = 4
    photo_size: int = 64
    learning_rate: float = 2e-3
    style_weight: float = 2.0
    channels: int = 16
    residual_blocks: int = 2
    groups: int = 4
    seeds: int = 3
    judged: int = 12

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Variant:
    """One thing that is different.

    Parameters
    ----------
    name
        Unique; also the name of its pictures' files.
    network
        The network.
    pooling
        Of the loss network that it is trained under.
    global_content
        Whether that one's content layer is averaged over all positions.
    style
        The only style of its network; none, all of them.
    """

    name: str
    network: NetworkConfig
    pooling: Pooling = "average"
    global_content: bool = False
    style: str | None = None


@dataclass(frozen=True)
class Material:
    """What the networks learn from and are shown by.

    Parameters
    ----------
    photos, validation
        Training photos and held-out ones.
    styles
        Path of each style's picture, by id.
    sample
        (3, H, W), the photo of the contact sheet.
    loss_networks
        A loss network by its pooling, and whether its content layer is averaged over all positions.
    device
        A torch device.
    """

    photos: Sequence[Path]
    validation: Sequence[Path]
    styles: Mapping[str, Path]
    sample: Tensor
    loss_networks: LossNetworks
    device: str = "cpu"


def list_variants(
    settings: StudySettings, styles: Sequence[str], with_pooling: bool
) -> list[Variant]:
    """All variants of the study, `BASE` first; those of the loss network's pooling if possible."""
    base = NetworkConfig(settings.channels, settings.residual_blocks, groups=settings.groups)
    found = [Variant(kind, replace(base, norm=kind)) for kind in KINDS]
    found += [
        Variant("pooled", replace(base, resampling="pooled")),
        Variant("unpooled", replace(base, resampling="unpooled")),
    ]
    if with_pooling:
        found += [
            Variant("max", base, pooling="max"),
            Variant("stochastic", base, pooling="stochastic"),
            Variant("global", base, global_content=True),
        ]
    return found + [Variant(f"single-{id_}", base, style=id_) for id_ in styles]


def list_runs(settings: StudySettings, variants: Sequence[Variant]) -> list[tuple[Variant, int]]:
    """Variants and seeds, seed by seed: what is there after a third of the time is of use."""
    return [
        (variant, seed)
        for seed in range(settings.seeds)
        for variant in variants
        if seed == 0 or variant.style is None
    ]

"""The recipe for a network of many styles: convolutions and every style's row, together."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.data import (
    PhotoCrops,
    cycle,
    find_photos,
    load_validation_batch,
    resize_short_side,
)
from model.images import load_picture, to_tensor
from model.losses import Moments, content_loss, feature_moments, style_loss
from model.network import NetworkConfig, StyleNetwork, anchor_original, default_codes
from model.perception import VGG19Features, pyramid


@dataclass(frozen=True)
class StyleRecipe:
    """What is trained, on what, and how the losses are weighed.

    Parameters
    ----------
    photo_size
        Side of the training crops in px.
    batch_size
        Crops a step.
    style_size
        Shorter side, in px, at which the style pictures are measured: it sets the stroke size.
    style_layers, content_layer
        Layers of the loss network.
    pyramid_levels
        The style loss is taken at full size, half, quarter, ...: the mean over so many.
    content_weight, style_weight
        Of the two losses.
    style_weights
        Factors on ``style_weight`` for single styles, by id.
    pixel_weight
        Of the mean squared error of ``original``.
    original_repeats
        How often ``original`` appears per pass over the styles.
    row_rate
        Learning rate of the rows, as a multiple of the convolutions'.
    min_share, flat_share
        See `PhotoCrops`.
    seed
        Of the weights and of every draw.
    network
        Dimensions of the network.
    """

    photo_size: int = 192
    batch_size: int = 4
    style_size: int = 384
    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3")
    content_layer: str = "relu3_2"
    pyramid_levels: int = 3
    content_weight: float = 1.0
    style_weight: float = 5.0
    style_weights: dict[str, float] = field(default_factory=dict)
    pixel_weight: float = 200.0
    original_repeats: int = 5
    row_rate: float = 6.0
    min_share: float = 0.35
    flat_share: float = 0.03
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


class StyleTable(nn.Module):
    """The network and one row per style; the last row is ``original``."""

    def __init__(self, config: NetworkConfig, styles: int) -> None:
        super().__init__()
        self.network = StyleNetwork(config)
        self.codes = nn.Parameter(default_codes(config, styles + 1))  # (S + 1, P)


def measure_style(
    picture: Tensor, loss_network: VGG19Features, layers: Sequence[str], levels: int
) -> list[Moments]:
    """Moments of a style picture's features: one entry per pyramid level and layer.

    Parameters
    ----------
    picture
        (3, H, W) in [0, 1].
    """
    with torch.no_grad():
        found = [loss_network(scaled) for scaled in pyramid(picture[None], levels)]
        return [feature_moments(level[name]) for level in found for name in layers]


class StyleTask:
    """Trains a `StyleTable` under content, style and pixel losses.

    Parameters
    ----------
    recipe
        What and how.
    style_paths
        Style picture of each style, by id; the rows keep this order.
    photos
        Training photos.
    validation
        Held-out photos; none, no validation.
    loss_network
        Frozen; has the recipe's layers.
    device
        A torch device.
    """

    def __init__(
        self,
        recipe: StyleRecipe,
        style_paths: dict[str, Path],
        photos: Sequence[Path],
        validation: Sequence[Path],
        loss_network: VGG19Features,
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.style_ids = list(style_paths)
        torch.manual_seed(recipe.seed)
        self.module = StyleTable(recipe.network, len(style_paths))
        self.module.to(device).to(memory_format=torch.channels_last)
        self.loss_network = loss_network.to(device).to(memory_format=torch.channels_last)
        self.crops = PhotoCrops(
            photos, recipe.photo_size, recipe.min_share, recipe.flat_share, recipe.seed
        )
        self.validation = (
            load_validation_batch(validation, recipe.photo_size).to(device) if validation else None
        )
        measured = [
            measure_style(
                to_tensor(resize_short_side(load_picture(path).rgb, recipe.style_size)).to(device),
                self.loss_network,
                recipe.style_layers,
                recipe.pyramid_levels,
            )
            for path in style_paths.values()
        ]
        # `original` is no style; a target other than 0 keeps its losses finite, at weight 0.
        measured.append(
            [Moments(torch.zeros_like(m.mean), torch.ones_like(m.gram)) for m in measured[0]]
        )
        self.style_moments = [  # (S + 1, C), (S + 1, C, C)
            Moments(*map(torch.cat, zip(*layer, strict=True)))
            for layer in zip(*measured, strict=True)
        ]
        weights = [recipe.style_weights.get(id_, 1.0) for id_ in style_paths]
        self.style_weights = recipe.style_weight * torch.tensor([*weights, 0.0], device=device)
        self.original = len(style_paths)

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """Convolutions at the full rate, rows at ``row_rate`` times it."""
        return [
            (list(self.module.network.parameters()), 1.0),
            ([self.module.codes], self.recipe.row_rate),
        ]

    def row_at(self, position: int) -> int:
        """The row at a position of the endless sequence of styles."""
        rows = [*range(self.original), *[self.original] * self.recipe.original_repeats]
        return cycle(rows, position, self.recipe.seed)

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Photos (N, 3, H, W) and rows (N,) of a step."""
        count = self.recipe.batch_size
        rows = [self.row_at(step * count + i) for i in range(count)]
        return self.crops.batch(step, count), torch.tensor(rows)

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Means over a batch: photos (N, 3, H, W) and the rows (N,) of their styles."""
        photos, rows = batch
        recipe = self.recipe
        original = (rows == self.original).float()  # (N,)
        codes = anchor_original(self.module.codes[rows], photos, original, recipe.network)
        pastiches = self.module.network.stylize_aligned(photos, codes)
        content, style = self.measure(photos, pastiches, rows)
        pixel = (pastiches - photos).square().mean(dim=(1, 2, 3))  # (N,)
        weighted = (
            recipe.content_weight * content
            + self.style_weights[rows] * style
            + recipe.pixel_weight * original * pixel
        )
        styled = 1 - original
        return {
            "total": weighted.mean(),
            "content": (content * styled).sum() / styled.sum().clamp_min(1),
            "style": (style * styled).sum() / styled.sum().clamp_min(1),
        }

    def measure(self, photos: Tensor, pastiches: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Content and style loss of every picture: (N,) each."""
        recipe, deep = self.recipe, self.recipe.content_layer
        with torch.no_grad():
            target = self.loss_network(photos, depth=deep)[deep]
        found = [self.loss_network(scaled) for scaled in pyramid(pastiches, recipe.pyramid_levels)]
        content = content_loss(found[0][deep], target)
        moments = [feature_moments(level[name]) for level in found for name in recipe.style_layers]
        wanted = [Moments(table.mean[rows], table.gram[rows]) for table in self.style_moments]
        return content, style_loss(moments, wanted)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the held-out photos, styles taken in turn, and the PSNR of original."""
        if self.validation is None:
            return {}
        photos, count = self.validation, len(self.validation)
        rows = torch.arange(count, device=photos.device) % self.original
        network, codes = self.module.network, self.module.codes
        content, style = self.measure(photos, network.stylize_aligned(photos, codes[rows]), rows)
        share = torch.ones(count, device=photos.device)
        original = codes[-1].expand(count, -1)
        anchored = anchor_original(original, photos, share, self.recipe.network)
        error = (network.stylize_aligned(photos, anchored) - photos).square().mean(dim=(1, 2, 3))
        return {
            "content": content.mean().item(),
            "style": style.mean().item(),
            "original_psnr": (-10 * error.log10()).mean().item(),
        }


class RowModule(nn.Module):
    """One trainable row over a network that stays as it is."""

    def __init__(self, network: StyleNetwork, row: Tensor) -> None:
        super().__init__()
        self.row = nn.Parameter(row.detach().clone())  # (P,)
        # In a tuple, so that a checkpoint holds the row alone.
        self._frozen = (network.requires_grad_(False),)

    @property
    def network(self) -> StyleNetwork:
        """The frozen network."""
        return self._frozen[0]


class OriginalTask:
    """Trains the row ``original`` alone, for the PSNR of its answer; no loss network is needed.

    Beside the styles the row gets a small share of the steps; by itself it costs a third of one.

    Parameters
    ----------
    table
        A trained table; its last row is the start. Nothing of it is changed.
    recipe
        Crops and seed.
    photos, validation
        Training photos and held-out ones.
    device
        A torch device.
    """

    def __init__(
        self,
        table: StyleTable,
        recipe: StyleRecipe,
        photos: Sequence[Path],
        validation: Sequence[Path],
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.module = RowModule(table.network, table.codes[-1]).to(device)
        self.crops = PhotoCrops(photos, recipe.photo_size, recipe.min_share, 0.0, recipe.seed + 1)
        self.validation = (
            load_validation_batch(validation, recipe.photo_size).to(device) if validation else None
        )

    def parameter_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """The row."""
        return [([self.module.row], 1.0)]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Photos (N, 3, H, W) of a step."""
        return (self.crops.batch(step, self.recipe.batch_size),)

    def squared_error(self, photos: Tensor) -> Tensor:
        """Mean squared error (N,) of the network's answer at strength 0."""
        codes = self.module.row.expand(len(photos), -1)
        share = torch.ones(len(photos), device=photos.device)
        codes = anchor_original(codes, photos, share, self.recipe.network)
        answer = self.module.network.stylize_aligned(photos, codes)
        return (answer - photos).square().mean(dim=(1, 2, 3))

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """The logarithm of the error: minus the PSNR, up to a factor."""
        (photos,) = batch
        return {"total": (self.squared_error(photos) + 1e-5).log().mean()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """PSNR in dB over the held-out photos."""
        if self.validation is None:
            return {}
        return {"original_psnr": (-10 * self.squared_error(self.validation).log10()).mean().item()}


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

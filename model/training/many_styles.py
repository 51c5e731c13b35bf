"""The recipe for a network of many styles: convolutions and every style's row, together."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.code import anchor_original, default_codes
from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.perception.loss_network import LossNetwork
from model.perception.moments import Moments
from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture
from model.pictures.style_picture import resize_short_side
from model.training.crops import (
    PhotoCrops,
    cycle,
    load_validation_batch,
    random_at,
)
from model.training.losses import log_error, square_error
from model.training.objective import NETWORK_OBJECTIVE, Objective, Window, draw_corner
from model.training.optimizers import ParameterGroup

MAX_GRAIN = 6 / 255  # spread of the grain that pictures are to be stable against


@dataclass(frozen=True)
class StyleRecipe:
    """What is trained, on what, and how the losses are weighed.

    The defaults are those of the shipped network's last part, for a processor. A GPU affords
    ``photo_size`` 256, ``full_share`` 1 and larger batches.

    Parameters
    ----------
    photo_size
        Side of the training crops in px.
    batch_size
        Styled crops a step.
    original_batch
        Further crops a step that the row ``original`` must give back. They need no loss network,
        so that one costs about a third of a styled crop.
    style_size
        Shorter side, in px, at which the style pictures are measured: it sets the stroke size.
    style_layers, content_layer, pyramid_levels, content_weight, style_weight, plain_weight
        See `Objective`.
    style_weights
        Factors on ``style_weight`` for single styles, by id.
    original_weight
        Of ``original``'s loss, the logarithm of its mean squared error: a plain error would weigh
        less and less as it falls.
    stable_batch, stable_weight
        So many styled crops a step are stylized with grain on them, too; the weight of
        log(1 + g^2), where g is the grain gain: the difference of the two pictures over the grain's
        own. Without it the network makes a weave of the grain in plain areas: the cheapest way to a
        low style loss early in training.
    coarse
        See `Objective`.
    full_share
        Side of the part of a crop that the loss network sees in full size, as a share of the
        crop's; reduced sizes are seen whole. At a half a step costs three fifths.
    row_rate
        Learning rate of the rows, as a multiple of the convolutions'.
    muon_rate
        Learning rate of the 3x3 convolutions under Muon, as a multiple of the others' under Adam;
        0: they too are trained by Adam.
    min_share, smooth_share, faint_share, seed_share, wall_share
        See `PhotoCrops`.
    seed
        Of the weights and of every draw.
    network
        Dimensions of the network.
    """

    photo_size: int = 192
    batch_size: int = 4
    original_batch: int = 1
    style_size: int = 640
    style_layers: tuple[str, ...] = Objective.style_layers
    content_layer: str = Objective.content_layer
    pyramid_levels: int = Objective.pyramid_levels
    content_weight: float = Objective.content_weight
    style_weight: float = NETWORK_OBJECTIVE.style_weight
    plain_weight: float = NETWORK_OBJECTIVE.plain_weight
    style_weights: dict[str, float] = field(default_factory=dict)
    original_weight: float = 2.0
    stable_batch: int = 1
    stable_weight: float = 0.6
    coarse: float = NETWORK_OBJECTIVE.coarse
    full_share: float = 0.5
    row_rate: float = 6.0
    muon_rate: float = 5.0
    min_share: float = 0.35
    smooth_share: float = 0.06
    faint_share: float = 0.05
    seed_share: float = 0.3
    wall_share: float = 0.3
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)

    @property
    def objective(self) -> Objective:
        """What is minimized, ``original``'s loss aside."""
        return Objective(
            self.style_layers,
            self.content_layer,
            self.pyramid_levels,
            self.content_weight,
            self.style_weight,
            self.plain_weight,
            self.coarse,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        values = asdict(self) | {"network": self.network.to_dict()}
        return json.loads(json.dumps(values))  # type: ignore[no-any-return]


class StyleTable(nn.Module):
    """The network and one row per style; the last row is ``original``."""

    def __init__(self, config: NetworkConfig, styles: int) -> None:
        super().__init__()
        self.network = StyleNetwork(config)
        self.codes = nn.Parameter(default_codes(config, styles + 1))  # (S + 1, P)


class StyleTask:
    """Trains a `StyleTable`: styles under content and style losses, ``original`` on its pixels.

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
        loss_network: LossNetwork,
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.held_out = list(validation)
        self.objective = recipe.objective
        self.window_side = max(1, round(recipe.full_share * recipe.photo_size))
        self.style_ids = list(style_paths)
        torch.manual_seed(recipe.seed)
        self.module = StyleTable(recipe.network, len(style_paths))
        self.module.to(device).to(memory_format=torch.channels_last)
        self.loss_network = loss_network.to(device).to(memory_format=torch.channels_last)
        self.crops = PhotoCrops(
            photos,
            recipe.photo_size,
            recipe.min_share,
            recipe.smooth_share,
            recipe.faint_share,
            recipe.seed_share,
            recipe.wall_share,
            recipe.seed,
            device,
        )
        self.validation = (
            load_validation_batch(validation, recipe.photo_size).to(device) if validation else None
        )
        measured = [
            self.objective.style_target(
                to_tensor(resize_short_side(load_picture(path).rgb, recipe.style_size)).to(device),
                self.loss_network,
            )
            for path in style_paths.values()
        ]
        self.style_moments = [  # (S, C), (S, C, C)
            Moments(*map(torch.cat, zip(*layer, strict=True)))
            for layer in zip(*measured, strict=True)
        ]
        weights = [recipe.style_weights.get(id_, 1.0) for id_ in style_paths]
        self.style_factors = torch.tensor(weights, device=device)  # (S,)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Convolutions at the full rate, rows at ``row_rate`` times it, 3x3 ones under Muon."""
        recipe = self.recipe
        square = [p for p in self.module.network.parameters() if p.shape[2:] == (3, 3)]
        large = [p for p in self.module.network.parameters() if p.shape[2:] != (3, 3)]
        rows = ParameterGroup([self.module.codes], recipe.row_rate)
        if not recipe.muon_rate:
            return [ParameterGroup([*square, *large]), rows]
        return [ParameterGroup(square, recipe.muon_rate, "muon"), ParameterGroup(large), rows]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What a step sees.

        Returns
        -------
        photos
            (N + K + M, 3, H, W): N to be styled, the first K of them once more with grain, and M
            for `original`.
        rows
            (N,): each styled photo's.
        grain
            (K,): its spread, in [0, 1].
        corner
            (2,): of the window that the loss network sees in full size.
        """
        recipe, styled = self.recipe, self.recipe.batch_size
        styles = range(len(self.style_ids))
        rows = [cycle(styles, step * styled + i, recipe.seed) for i in range(styled)]
        photos = self.crops.batch(step, styled + recipe.original_batch)
        clean = photos[: recipe.stable_batch]
        generator = torch.Generator(clean.device).manual_seed(
            random_at(recipe.seed, "grain", step).getrandbits(62)
        )
        spread = torch.rand(len(clean), generator=generator, device=clean.device)
        grain = MAX_GRAIN * spread.clamp_min(0.1)
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        grainy = clean + grain[:, None, None, None] * noise
        every = torch.cat([photos[:styled], grainy, photos[styled:]])
        rng = random_at(recipe.seed, "window", step)
        corner = draw_corner(rng, self.window_side, recipe.photo_size)
        return every, torch.tensor(rows), grain, corner

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Means over a batch, as `batch` gives it."""
        photos, rows, grain, corner = batch
        recipe, styled, stable = self.recipe, len(rows), len(rows) + len(grain)
        share = torch.zeros(len(photos), device=photos.device)
        share[stable:] = 1
        every_row = torch.cat([rows, rows[: len(grain)]])
        every_row = F.pad(every_row, (0, len(photos) - stable), value=len(self.style_ids))
        codes = anchor_original(self.module.codes[every_row], photos, share, recipe.network)
        pictures = self.module.network.stylize_aligned(photos, codes)
        whole = self.window_side == recipe.photo_size
        window = None if whole else Window(corner, self.window_side)
        content, style = self.measure(photos[:styled], pictures[:styled], rows, window)
        total = self.objective.total(content, style, self.style_factors[rows]).mean()
        losses = {"total": total, "content": content.mean(), "style": style.mean()}
        if recipe.stable_batch:
            moved = square_error(pictures[styled:stable], pictures[: len(grain)])
            # The logarithm, since in a plain crop the ratio is a hundred times that of any other.
            losses["stable"] = (moved / grain.square()).log1p().mean()
            losses["total"] = losses["total"] + recipe.stable_weight * losses["stable"]
        if recipe.original_batch:
            losses["original"] = log_error(pictures[stable:], photos[stable:]).mean()
            losses["total"] = losses["total"] + recipe.original_weight * losses["original"]
        return losses

    def measure(
        self, photos: Tensor, pastiches: Tensor, rows: Tensor, window: Window | None = None
    ) -> tuple[Tensor, Tensor]:
        """Content and style loss of every picture, in full size of a window alone: (N,) each."""
        target = self.objective.content_target(photos, self.loss_network, window)
        seen = self.objective.observe(pastiches, self.loss_network, window)
        wanted = [Moments(table.mean[rows], table.gram[rows]) for table in self.style_moments]
        return self.objective.losses(seen, target, wanted)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the held-out photos, styles taken in turn, and the PSNR of original."""
        if self.validation is None:
            return {}
        photos, count = self.validation, len(self.validation)
        rows = torch.arange(count, device=photos.device) % len(self.style_ids)
        network, codes = self.module.network, self.module.codes
        content, style = self.measure(photos, network.stylize_aligned(photos, codes[rows]), rows)
        share = torch.ones(count, device=photos.device)
        original = codes[-1].expand(count, -1)
        anchored = anchor_original(original, photos, share, self.recipe.network)
        error = square_error(network.stylize_aligned(photos, anchored), photos)
        return {
            "content": content.mean().item(),
            "style": style.mean().item(),
            "original_psnr": (-10 * error.log10()).mean().item(),
        }

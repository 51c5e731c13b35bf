"""The recipe for a network of many styles: convolutions and every style's row, together."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.inference.margin import trim
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
from model.training.objective import Window, draw_corner
from model.training.optimizers import ParameterGroup
from model.training.style_recipe import StyleRecipe

MAX_GRAIN = 6 / 255  # spread of the grain that pictures are to be stable against


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
        self.module.network.requires_grad_(not recipe.rows_only)
        self.loss_network = loss_network.to(device).to(memory_format=torch.channels_last)
        self.crops = PhotoCrops(
            photos,
            recipe.photo_size + 2 * recipe.context,
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
        rows = ParameterGroup([self.module.codes], recipe.row_rate)
        if recipe.rows_only:
            return [rows]
        square = [p for p in self.module.network.parameters() if p.shape[2:] == (3, 3)]
        large = [p for p in self.module.network.parameters() if p.shape[2:] != (3, 3)]
        if not recipe.muon_rate:
            return [ParameterGroup([*square, *large]), rows]
        return [ParameterGroup(square, recipe.muon_rate, "muon"), ParameterGroup(large), rows]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What a step sees.

        Returns
        -------
        photos
            (N + K + M, 3, H, W), with their context: N to be styled, the first K of them once more
            with grain, and M for `original`.
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
        crops, pastiches = (trim(p[:stable], recipe.context) for p in (photos, pictures))
        whole = self.window_side == recipe.photo_size
        window = None if whole else Window(corner, self.window_side)
        content, style = self.measure(crops[:styled], pastiches[:styled], rows, window)
        total = self.objective.total(content, style, self.style_factors[rows]).mean()
        losses = {"total": total, "content": content.mean(), "style": style.mean()}
        if recipe.stable_batch:
            moved = square_error(pastiches[styled:], pastiches[: len(grain)])
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

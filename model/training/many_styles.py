"""The recipe for a network of many styles: convolutions and every style's row, together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
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
from model.styles.predictor import RowPredictor
from model.training.crops import (
    PhotoCrops,
    cycle,
    load_validation_batch,
    random_at,
)
from model.training.losses import log_error, square_error
from model.training.objective import Window, draw_corner, weigh
from model.training.optimizers import ParameterGroup
from model.training.prediction import PredictionTask
from model.training.style_recipe import StyleRecipe
from model.training.view_bank import pair_up

PREDICTOR_SHARE = 0.5  # of the learning rate: the predictor has been trained by itself
MAX_GRAIN = 6 / 255  # spread of the grain that pictures are to be stable against


class StyleTable(nn.Module):
    """The network and one row per style, the last is ``original``; it may have a predictor."""

    def __init__(
        self, config: NetworkConfig, styles: int, predictor: RowPredictor | None = None
    ) -> None:
        super().__init__()
        self.network = StyleNetwork(config)
        self.codes = nn.Parameter(default_codes(config, styles + 1))  # (S + 1, P)
        self.predictor = predictor


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
    painted
        Whose predictor gives the rows of ``painted_batch``, and is trained with the table; its
        bank is full.
    """

    def __init__(
        self,
        recipe: StyleRecipe,
        style_paths: dict[str, Path],
        photos: Sequence[Path],
        validation: Sequence[Path],
        loss_network: LossNetwork,
        device: str = "cpu",
        painted: PredictionTask | None = None,
    ) -> None:
        self.recipe = recipe
        self.painted = painted
        self.held_out = list(validation)
        self.objective = recipe.objective
        self.window_side = max(1, round(recipe.full_share * recipe.photo_size))
        self.style_ids = list(style_paths)
        torch.manual_seed(recipe.seed)
        predictor = None if painted is None else painted.module
        self.module = StyleTable(recipe.network, len(style_paths), predictor)
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
            load_validation_batch(validation, self.crops.size).to(device) if validation else None
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

    @property
    def identity(self) -> dict[str, Any]:
        """Plain values: the recipe, and that of the paintings' predictor, if any."""
        painted = {} if self.painted is None else {"painted": self.painted.identity}
        return self.recipe.to_dict() | painted

    def parameter_groups(self) -> list[ParameterGroup]:
        """Convolutions at the full rate, rows at ``row_rate`` times it, 3x3 ones under Muon."""
        recipe = self.recipe
        rows = [ParameterGroup([self.module.codes], recipe.row_rate)]
        if self.module.predictor is not None:
            rows.append(ParameterGroup(list(self.module.predictor.parameters()), PREDICTOR_SHARE))
        if recipe.rows_only:
            return rows
        square = [p for p in self.module.network.parameters() if p.shape[2:] == (3, 3)]
        large = [p for p in self.module.network.parameters() if p.shape[2:] != (3, 3)]
        if not recipe.muon_rate:
            return [ParameterGroup([*square, *large]), *rows]
        return [ParameterGroup(square, recipe.muon_rate, "muon"), ParameterGroup(large), *rows]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What a step sees.

        Returns
        -------
        photos
            (N + K + M, 3, H, W), with their context: N to be styled, the first K of them once more
            with grain, and M for `original`.
        rows
            (N - P,): each styled photo's, but for the last P of them.
        grain
            (K,): its spread, in [0, 1].
        corner
            (2,): of the window that the loss network sees in full size.
        views
            Of the P paintings, if any: see `ViewBank.draw`.
        """
        recipe, styled = self.recipe, self.recipe.batch_size
        styles, listed = range(len(self.style_ids)), styled - recipe.painted_batch
        rows = [cycle(styles, step * listed + i, recipe.seed) for i in range(listed)]
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
        every = every.contiguous(memory_format=torch.channels_last)
        rng = random_at(recipe.seed, "window", step)
        corner = draw_corner(rng, self.window_side, recipe.photo_size)
        views: tuple[Tensor, ...] = ()
        if self.painted is not None:
            views = self.painted.bank.draw(step, recipe.painted_batch, recipe.seed)
        return every, torch.tensor(rows), grain, corner, *views

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Means over a batch, as `batch` gives it."""
        photos, rows, grain, corner, *views = batch
        recipe, listed, styled = self.recipe, len(rows), self.recipe.batch_size
        stable = styled + len(grain)
        share = torch.zeros(len(photos), device=photos.device)
        share[stable:] = 1
        codes, wanted = self.styles_of(rows, views)
        original = self.module.codes[-1:].expand(len(photos) - stable, -1)
        codes = torch.cat([codes, codes[: len(grain)], original])
        codes = anchor_original(codes, photos, share, recipe.network)
        pictures = self.module.network.stylize_aligned(photos, codes)
        whole = self.window_side == recipe.photo_size
        window = None if whole else Window(corner, self.window_side)
        content, style = self.measure(photos[:styled], pictures[:styled], wanted, window)
        factors = self.style_factors[rows]
        totals = self.objective.total(content[:listed], style[:listed], factors)
        losses = {"content": content[:listed].mean(), "style": style[:listed].mean()}
        if views:
            totals = torch.cat([totals, weigh(content[listed:], style[listed:])])
            losses["painted"] = style[listed:].mean()
        losses["total"] = totals.mean()
        if recipe.stable_batch:
            pastiches = trim(pictures, recipe.context)
            moved = square_error(pastiches[styled:stable], pastiches[: len(grain)])
            # The logarithm, since in a plain crop the ratio is a hundred times that of any other.
            losses["stable"] = (moved / grain.square()).log1p().mean()
            losses["total"] = losses["total"] + recipe.stable_weight * losses["stable"]
        if recipe.original_batch:
            losses["original"] = log_error(pictures[stable:], photos[stable:]).mean()
            losses["total"] = losses["total"] + recipe.original_weight * losses["original"]
        return losses

    def styles_of(self, rows: Tensor, views: Sequence[Tensor] = ()) -> tuple[Tensor, list[Moments]]:
        """Codes (N, P) and style targets of rows of the table, and of views of paintings."""
        codes = self.module.codes[rows]
        wanted = [Moments(table.mean[rows], table.gram[rows]) for table in self.style_moments]
        if not views or self.module.predictor is None:
            return codes, wanted
        descriptors, *parts = views
        codes = torch.cat([codes, self.module.predictor(descriptors)])
        both = zip(wanted, pair_up(parts), strict=True)
        return codes, [Moments(*map(torch.cat, zip(*pair, strict=True))) for pair in both]

    def measure(
        self,
        photos: Tensor,
        pastiches: Tensor,
        wanted: Sequence[Moments],
        window: Window | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Content and style loss of every picture, in full size of a window alone: (N,) each."""
        return self.objective.measure(photos, pastiches, wanted, self.loss_network, window)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses over the held-out photos, styles taken in turn, and the PSNR of original."""
        if self.validation is None:
            return {}
        photos, count = self.validation, len(self.validation)
        rows = torch.arange(count, device=photos.device) % len(self.style_ids)
        network, (codes, wanted) = self.module.network, self.styles_of(rows)
        content, style = self.measure(photos, network.stylize_aligned(photos, codes), wanted)
        share = torch.ones(count, device=photos.device)
        original = self.module.codes[-1].expand(count, -1)
        anchored = anchor_original(original, photos, share, self.recipe.network)
        error = square_error(network.stylize_aligned(photos, anchored), photos)
        return {
            "content": content.mean().item(),
            "style": style.mean().item(),
            "original_psnr": (-10 * error.log10()).mean().item(),
        }

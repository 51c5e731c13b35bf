"""The row ``original``, which gives a photo back, trained alone."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from model.network.code import anchor_original
from model.network.network import StyleNetwork
from model.training.crops import PhotoCrops, load_validation_batch
from model.training.losses import log_error, square_error
from model.training.many_styles import StyleTable
from model.training.optimizers import ParameterGroup
from model.training.style_recipe import StyleRecipe


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
        self.crops = PhotoCrops(
            photos, recipe.photo_size, recipe.min_share, 0.0, seed=recipe.seed + 1, device=device
        )
        self.validation = (
            load_validation_batch(validation, recipe.photo_size).to(device) if validation else None
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """The row."""
        return [ParameterGroup([self.module.row])]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Photos (N, 3, H, W) of a step."""
        return (self.crops.batch(step, self.recipe.batch_size),)

    def restore(self, photos: Tensor) -> Tensor:
        """The network's answer at strength 0: (N, 3, H, W)."""
        codes = self.module.row.expand(len(photos), -1)
        share = torch.ones(len(photos), device=photos.device)
        codes = anchor_original(codes, photos, share, self.recipe.network)
        return self.module.network.stylize_aligned(photos, codes)

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """The logarithm of the error."""
        (photos,) = batch
        return {"total": log_error(self.restore(photos), photos).mean()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """PSNR in dB over the held-out photos."""
        if self.validation is None:
            return {}
        error = square_error(self.restore(self.validation), self.validation)
        return {"original_psnr": (-10 * error.log10()).mean().item()}

"""The recipe for the style predictor: rows of any painting, judged through the network.

Ghiasi et al. 2017: the losses are those of the network's own training, taken of the pictures that
it makes with predicted rows, and their gradient goes through it into the predictor. Here the
network itself stays as it is, so that the rows of the built-in styles do, too.
"""

import copy
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.inference.device import TrainingPrecision, autocast
from model.perception.descriptor import MomentDescriptor
from model.perception.encoder import PerceptualEncoder
from model.perception.loss_network import LossNetwork
from model.perception.moments import Moments
from model.storage.tensorfile import digest_tensors
from model.styles.predictor import (
    RowPredictor,
    StylePredictor,
    load_rows,
    save_predictor,
)
from model.training.crops import PhotoCrops, load_validation_batch
from model.training.objective import NETWORK_OBJECTIVE, weigh
from model.training.optimizers import ParameterGroup
from model.training.painting_views import PaintingViews
from model.training.prediction_recipe import KnownStyles, PredictionRecipe
from model.training.view_bank import ViewBank, gather, pair_up
from model.training.warm_start import teach, warm_start

VALIDATION_PAINTINGS = 24
MEASURED_AT_ONCE = 4  # views
SHARES = ("works_share", "mosaic_share", "hue_share", "light_share")  # see `PaintingViews`


class PredictionTask:
    """Trains a `RowPredictor` over a frozen network.

    Parameters
    ----------
    recipe
        What and how.
    known
        The network, which is frozen, and its styles.
    paintings, held_out
        To learn from, and to validate on; none of the latter, no validation.
    photos, validation
        Content, and held-out content.
    encoder
        What the predictor reads pictures with; frozen.
    loss_network
        The judge: VGG-19, or the encoder.
    bank
        Folder of what has been measured of the views; call ``self.bank.fill`` before training.
    precision
        Of what is computed of views beside the losses.
    device
        A torch device.
    """

    def __init__(
        self,
        recipe: PredictionRecipe,
        known: KnownStyles,
        paintings: Sequence[Path],
        held_out: Sequence[Path],
        photos: Sequence[Path],
        validation: Sequence[Path],
        encoder: PerceptualEncoder,
        loss_network: LossNetwork,
        bank: Path,
        precision: TrainingPrecision = "float32",
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.objective = replace(NETWORK_OBJECTIVE, margin=recipe.context)
        self.precision = precision
        self.device = device
        self.known = known
        self.network = known.weights.network.to(device).to(memory_format=torch.channels_last)
        self.loss_network = loss_network.to(device).to(memory_format=torch.channels_last)
        self.encoder = encoder.to(device).to(memory_format=torch.channels_last)
        self.descriptor = MomentDescriptor(self.encoder, recipe.predictor.projections).to(device)
        torch.manual_seed(recipe.seed)
        self.module = RowPredictor(self.descriptor.size, known.rows.shape[1], recipe.predictor)
        self.module.to(device)
        shares = {name: getattr(recipe, name) for name in SHARES}
        self.views = PaintingViews(
            paintings, known.works, recipe.view_size, **shares, seed=recipe.seed
        )
        self.seen_size = recipe.photo_size + 2 * recipe.context
        self.crops = PhotoCrops(
            photos, self.seen_size, smooth_share=0.0, seed=recipe.seed, device=device
        )
        self.bank = ViewBank(
            bank, self._identify(paintings, known.works), self._measure, recipe.views, device
        )
        self.held_out = self._load_held_out(held_out, validation)

    @property
    def identity(self) -> dict[str, Any]:
        """Plain values: the recipe, and what the views are of."""
        return self.recipe.to_dict() | {"bank": self.bank.identity}

    def parameter_groups(self) -> list[ParameterGroup]:
        """All of the predictor."""
        return [ParameterGroup(list(self.module.parameters()))]

    @torch.no_grad()
    def read(self, pictures: Tensor) -> tuple[Tensor, list[Moments]]:
        """Descriptors (N, D) and style targets of pictures (N, 3, H, W)."""
        pictures = pictures.to(self.device).contiguous(memory_format=torch.channels_last)
        with autocast(self.device, self.precision):
            descriptors = self.descriptor(pictures)
            return descriptors, self.objective.style_targets(pictures, self.loss_network)

    def _measure(self, first: int, count: int) -> tuple[Tensor, list[Moments]]:
        """Descriptors and targets of the views from a position on, a few at a time."""
        with ThreadPoolExecutor() as pool:
            views = list(pool.map(self.views.view, range(first, first + count)))
        return gather([self.read(part) for part in torch.stack(views).split(MEASURED_AT_ONCE)])

    def _identify(self, *paths: Sequence[Path]) -> dict[str, Any]:
        """What the measurements of the views depend on."""
        recipe = self.recipe.to_dict()
        kept = ("view_size", "context", *SHARES, "seed")
        names = ",".join(path.name for part in paths for path in part)
        judge = digest_tensors(self.loss_network.state_dict())
        return {name: recipe[name] for name in kept} | {
            "pictures": hashlib.sha256(names.encode()).hexdigest(),
            "projections": self.recipe.predictor.projections,
            "encoder": self.encoder.fingerprint,
            "judge": judge[:16],
        }

    def begin(
        self, start: Path | None = None, start_encoder: PerceptualEncoder | None = None
    ) -> None:
        """Set the predictor to its start; the bank must be full.

        Parameters
        ----------
        start
            A predictor's file, of this network and encoder or of those before them: what it makes
            of descriptors is kept, in spreads off their mean and off the mean row. Means and
            spreads are those of the bank's views and of the network's rows.
            None: see `model.training.warm_start`.
        start_encoder
            What that one read pictures with, if not this encoder: what it makes of the views is
            carried over. It takes another look at every view.

        Raises
        ------
        DamagedFileError, OSError
            See `model.styles.predictor.load_rows`.
        """
        recipe = self.recipe
        rows = self.known.rows.to(self.device)
        views = self.bank.descriptors.to(self.device)
        if start is not None:
            earlier = load_rows(start, self.descriptor).to(self.device).requires_grad_(False)
            self.module.load_state_dict(earlier.state_dict())
            self.module.fit_scales(views, rows)
            if start_encoder is not None:
                wanted = earlier.offsets(self._describe_bank(start_encoder))
                teach(self.module, views, wanted, recipe.warm_steps, recipe.seed)
            return
        works = [
            self._describe(
                [self.views.work_view(work, i) for i in range(recipe.warm_views)], self.descriptor
            )
            for work in range(len(rows))
        ]
        warm_start(self.module, torch.stack(works), rows, views, recipe.warm_steps, recipe.seed)

    @torch.no_grad()
    def _describe(self, views: Sequence[Tensor], descriptor: MomentDescriptor) -> Tensor:
        pictures = torch.stack(list(views)).to(self.device)
        with autocast(self.device, self.precision):
            found: Tensor = descriptor(pictures.contiguous(memory_format=torch.channels_last))
        return found

    def _describe_bank(self, encoder: PerceptualEncoder) -> Tensor:
        """Descriptors of the bank's views under another encoder, by the same projections."""
        encoder = encoder.to(self.device).to(memory_format=torch.channels_last)
        descriptor = MomentDescriptor(encoder, self.recipe.predictor.projections).to(self.device)
        descriptor.load_state_dict(self.descriptor.state_dict())
        positions = torch.arange(self.recipe.views).split(MEASURED_AT_ONCE)
        with ThreadPoolExecutor() as pool:
            views = (list(pool.map(self.views.view, part.tolist())) for part in positions)
            return torch.cat([self._describe(part, descriptor) for part in views])

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What a step sees.

        Returns
        -------
        photos
            (N K, 3, H, W), with their context: K of each of N styles, one style after the other.
        descriptors
            (N, D).
        moments
            Means (N, C) and Gram matrices (N, C, C) of the styles, in turn.
        """
        recipe = self.recipe
        photos = self.crops.batch(step, recipe.styles * recipe.photos)
        return photos, *self.bank.draw(step, recipe.styles, recipe.seed)

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Means over a batch, as `batch` gives it."""
        photos, descriptors, *parts = batch
        codes = self.module(descriptors)
        moments = pair_up(parts)
        content, style = self.judge(photos, codes, moments)
        total = weigh(content, style).mean()
        losses = {"content": content.mean(), "style": style.mean()}
        if self.recipe.row_steps:
            later = self._step_rows(photos, codes, moments)
            content, after = self.judge(photos, later, moments)
            losses["later"] = after.mean()
            total = (total + weigh(content, after).mean()) / 2
        return {"total": total, **losses}

    def judge(
        self, photos: Tensor, codes: Tensor, styles: Sequence[Moments]
    ) -> tuple[Tensor, Tensor]:
        """Content and style loss of every photo (N K, 3, H, W) under codes (N, P): (N K,) each."""
        each = len(photos) // len(codes)
        pictures = self.network.stylize_aligned(photos, codes.repeat_interleave(each, 0))
        wanted = [Moments(*(part.repeat_interleave(each, 0) for part in m)) for m in styles]
        return self.objective.measure(photos, pictures, wanted, self.loss_network)

    def _step_rows(self, photos: Tensor, codes: Tensor, styles: Sequence[Moments]) -> Tensor:
        """Codes some steps on; to a gradient they are the codes plus something constant."""
        spread = self.module.row_spread
        moved = codes.detach()
        for _ in range(self.recipe.row_steps):
            moved.requires_grad_(True)
            total = weigh(*self.judge(photos, moved, styles)).sum()
            (slope,) = torch.autograd.grad(total, moved)
            slope = slope * spread
            length = slope.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)
            moved = (moved - self.recipe.row_rate * spread * slope / length).detach()
        return codes + (moved - codes.detach())

    def _load_held_out(
        self, paintings: Sequence[Path], photos: Sequence[Path]
    ) -> tuple[Tensor, Tensor, list[Moments]] | None:
        """Photos, descriptors and targets of validation."""
        if not paintings or not photos:
            return None
        every = max(1, len(paintings) // VALIDATION_PAINTINGS)
        chosen = list(paintings)[::every][:VALIDATION_PAINTINGS]
        squares = load_validation_batch(chosen, self.recipe.view_size)
        descriptors, targets = gather([self.read(square) for square in squares.split(4)])
        content = load_validation_batch(photos, self.seen_size).to(self.device)
        return content, descriptors, targets

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean losses of held-out paintings, each on one held-out photo."""
        if self.held_out is None:
            return {}
        photos, descriptors, targets = self.held_out
        index = torch.arange(len(descriptors), device=photos.device) % len(photos)
        with autocast(self.device, self.precision):
            codes = self.module(descriptors)
            content, style = self.judge(photos[index], codes, targets)
        middle = style.median().item()  # of few paintings, one may make the mean
        return {"content": content.mean().item(), "style": style.mean().item(), "median": middle}


def export_predictor(
    path: Path, task: PredictionTask, training: dict[str, Any], network: str
) -> None:
    """Write the predictor as it is to a file.

    Parameters
    ----------
    path, task
        Which file, and whose predictor.
    training
        How it was made.
    network
        Fingerprint of the network that its rows are for.
    """
    rows = copy.deepcopy(task.module).cpu()
    descriptor = copy.deepcopy(task.descriptor).cpu()
    save_predictor(path, StylePredictor(task.encoder, descriptor, rows, network, training))

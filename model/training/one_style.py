"""A new style from one picture: one row of gamma and beta is trained, and nothing else.

Dumoulin et al. 2017, section 3.2: the convolutions stay as they are. The row starts from one that
is given, such as its prediction, else from the best blend of those that there are. The paper starts
anew.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from model.inference.device import autocast, choose_training_precision
from model.inference.margin import widen
from model.network.network import StyleNetwork
from model.network.weights import Weights
from model.perception.loss_network import LossNetwork
from model.perception.moments import Moments
from model.pictures.levels import to_tensor
from model.pictures.style_picture import prepare_picture
from model.training.checkpoint import CHECKPOINT_FILE, CURVE_FILE
from model.training.convergence import GROUP, has_converged, read_totals
from model.training.crops import PhotoCrops, sample_photos
from model.training.dead_leaves import LeavesCrops
from model.training.finetune_recipe import FinetuneRecipe
from model.training.loop import Loop, LoopConfig, Progress
from model.training.nearest import blend_nearest, load_samples, measure_row
from model.training.optimizers import ParameterGroup
from model.training.original import RowModule


class FinetuneTask:
    """Trains one row towards the style of one picture, under content and style loss.

    Parameters
    ----------
    recipe
        What and how.
    target
        Moments of the style picture by the recipe's objective, see `Objective.style_target`.
    network
        Frozen.
    row
        (P,), the start.
    loss_network
        Frozen; has the layers of the recipe's objective.
    photos
        Content; none, the samples and dead-leaves pictures.
    device
        A torch device.
    """

    def __init__(
        self,
        recipe: FinetuneRecipe,
        target: Sequence[Moments],
        network: StyleNetwork,
        row: Tensor,
        loss_network: LossNetwork,
        photos: Sequence[Path] = (),
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.target = target
        self.loss_network = loss_network
        self.module = RowModule(network, row.to(device))
        self.crops = PhotoCrops(photos or sample_photos(), recipe.cut_size, seed=recipe.seed)
        self.leaves = LeavesCrops(recipe.cut_size, recipe.seed)
        self.leaves_share = 0.0 if photos else recipe.leaves_share

    def parameter_groups(self) -> list[ParameterGroup]:
        """The row."""
        return [ParameterGroup([self.module.row])]

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Content (N, 3, H, W) of a step."""
        first = step * self.recipe.batch_size
        return (torch.stack([self.crop(first + i) for i in range(self.recipe.batch_size)]),)

    def crop(self, position: int) -> Tensor:
        """Content (3, H, W) at a position of the endless sequence."""
        # Every so many positions: the share is exact, and needs no draw.
        leaf = math.floor((position + 1) * self.leaves_share) > math.floor(
            position * self.leaves_share
        )
        return (self.leaves if leaf else self.crops).crop(position)

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Means over a batch of content (N, 3, H, W)."""
        (photos,) = batch
        rows = self.module.row.expand(len(photos), -1)
        pastiches = self.module.network.stylize_aligned(photos, rows)
        objective = self.recipe.objective
        losses = objective.measure(photos, pastiches, self.target, self.loss_network)
        content, style = (loss.mean() for loss in losses)
        total = objective.total(content, style, self.recipe.style_weight)
        return {"total": total, "content": content, "style": style}

    def validate(self) -> dict[str, float]:
        """Nothing is held out."""
        return {}


class Finetuning:
    """One new style in training, in pieces that can be interrupted at any moment.

    Made anew over the same directory, it goes on from its checkpoint, and ends with the same row
    as if it had never been interrupted.

    Parameters
    ----------
    picture
        The style picture, RGB.
    weights
        The network; nothing of it is changed.
    rows
        (S, P), the rows that there are.
    loss_network
        A `model.perception.encoder.PerceptualEncoder`, or VGG-19; frozen.
    recipe
        What and how.
    directory
        For the checkpoint (about 50 KB) and the curve.
    photos
        Content; none, the samples and dead-leaves pictures.
    device
        A torch device.
    start
        (P,), the row to start from; none, the best blend of the rows. A run that is taken up again
        goes on from where it was.

    Raises
    ------
    model.pictures.style_picture.UnfitPictureError
        There is no style to learn from the picture.
    CheckpointError
        The checkpoint is damaged, or of another picture, network or recipe.
    """

    def __init__(
        self,
        picture: Image.Image,
        weights: Weights,
        rows: Tensor,
        loss_network: LossNetwork,
        recipe: FinetuneRecipe,
        directory: Path,
        photos: Sequence[Path] = (),
        device: str = "cpu",
        start: Tensor | None = None,
    ) -> None:
        prepared = to_tensor(prepare_picture(picture, recipe.stroke_size))
        network = weights.network.to(device).to(memory_format=torch.channels_last)
        loss_network = loss_network.to(device).to(memory_format=torch.channels_last)
        precision = choose_training_precision(torch.device(device))
        self._samples = widen(load_samples(), recipe.context).to(device)
        with autocast(device, precision):
            target = recipe.objective.style_target(prepared.to(device), loss_network)
            if start is None and len(rows) and not (directory / CHECKPOINT_FILE).exists():
                start = blend_nearest(
                    rows.to(device), target, recipe.objective, network, loss_network, self._samples
                )
        if start is None:
            start = weights.original
        task = FinetuneTask(recipe, target, network, start, loss_network, photos, device)
        self._task = task
        config = LoopConfig(
            steps=recipe.steps,
            learning_rate=recipe.learning_rate,
            warmup_steps=10,
            ema_decay=0.9,
            precision=precision,
            compile=False,  # a compiler takes longer than the whole run
            device=device,
            log_every=GROUP,
            validate_every=0,
            checkpoint_every_s=math.inf,
        )
        digest = hashlib.sha256(prepared.numpy().tobytes()).hexdigest()
        identity = recipe.to_dict() | {"picture": digest, "network": weights.fingerprint}
        self._loop = Loop(task, config, directory, identity)
        if not self._loop.resume():
            directory.mkdir(parents=True, exist_ok=True)
            (directory / CURVE_FILE).unlink(missing_ok=True)  # of a run that never got this far
            self._loop.save_checkpoint()
        self._totals = read_totals(directory / CURVE_FILE)

    @property
    def step(self) -> int:
        """Steps done."""
        return self._loop.step

    @property
    def steps(self) -> int:
        """Steps at most."""
        return self._loop.config.steps

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or no more is gained."""
        return self.step >= self.steps or has_converged(self._totals)

    @property
    def row(self) -> Tensor:
        """The row so far (P,): the moving average, on the CPU."""
        return self._loop.average.values["row"].detach().cpu().clone()

    @property
    def seconds_per_step(self) -> float | None:
        """What a step took on this machine, waiting aside; None before the first."""
        return self._loop.seconds / self.step if self.step else None

    def measure(self, row: Tensor) -> float:
        """The total loss of a row (P,) on two small sample photos: for comparing rows.

        Neither the run nor its draws are touched.
        """
        task, config, samples = self._task, self._loop.config, self._samples
        judge = (task.recipe.objective, task.module.network, task.loss_network, samples)
        with autocast(config.device, config.precision):
            weight = task.recipe.style_weight
            return measure_row(row.to(config.device), task.target, *judge, weight)

    def advance(
        self,
        should_stop: Callable[[], bool] = lambda: False,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_step: Callable[[], None] = lambda: None,
    ) -> bool:
        """Train until the end, or until ``should_stop``; True when finished.

        Steps come in groups of five, so that every piece ends where an uninterrupted run reports;
        the checkpoint is written last. ``on_step`` is called before every step.

        Raises
        ------
        FloatingPointError
            The loss is not finite; the last checkpoint stays.
        OSError
            The checkpoint cannot be written; the last one stays.
        """

        def report(progress: Progress) -> None:
            self._totals.append(progress.losses["total"])
            on_progress(progress)

        def stop() -> bool:
            on_step()
            return self.step % GROUP == 0 and (self.finished or should_stop())

        self._loop.run(report, stop)
        return self.finished

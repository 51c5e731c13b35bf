"""The one training loop, with exact resume.

A recipe is a `Task`: it says what is trained, what a step sees and what it costs. The loop knows
nothing of styles. Every batch is a function of its step, so the step is all the random state there
is, and a resumed run equals an uninterrupted one: on a CPU to the last bit, on a GPU, whose kernels
add in no fixed order, up to rounding.
"""

import csv
import json
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.inference.device import TrainingPrecision, autocast, use_device
from model.training.arithmetic import training_arithmetic
from model.training.checkpoint import (
    CHECKPOINT_FILE,
    CURVE_FILE,
    CheckpointError,
    MovingAverage,
    read_checkpoint,
    truncate_curve,
    write_checkpoint,
)
from model.training.optimizers import Optimizers
from model.training.task import Task

_logger = logging.getLogger("pastiche.training")


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast, on what.

    Parameters
    ----------
    steps
        Optimizer steps in all.
    learning_rate
        Adam's, at the end of the warm-up; it then falls by a cosine to ``final_share`` of it.
    warmup_steps
        Steps over which the rate rises linearly; a tenth of all at most.
    final_share
        The last rate as a share of the first.
    ema_decay
        Of the moving average of the weights, which is what gets shipped. 0: the weights themselves.
    clip_norm
        Largest norm of the gradient.
    precision
        ``bfloat16`` is autocast; parameters, moments and statistics stay float32.
    compile
        Whether to compile the losses with inductor.
    device
        A torch device.
    log_every, validate_every
        In steps. ``validate_every`` 0: never.
    checkpoint_every_s
        Seconds between checkpoints; one more at the end and when stopped.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    final_share: float = 0.02
    ema_decay: float = 0.999
    clip_norm: float = 10.0
    precision: TrainingPrecision = "bfloat16"
    compile: bool = True
    device: str = "cpu"
    log_every: int = 20
    validate_every: int = 500
    checkpoint_every_s: float = 180.0

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then a cosine."""
        warmup = min(self.warmup_steps, self.steps // 10)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        done = (step - warmup) / (self.steps - warmup)
        cosine = (1 + math.cos(math.pi * min(1.0, done))) / 2
        return self.learning_rate * (self.final_share + (1 - self.final_share) * cosine)


@dataclass(frozen=True)
class Progress:
    """One report of the loop: means over the last ``log_every`` steps."""

    step: int
    steps: int
    losses: dict[str, float]
    eta_s: float


class Loop:
    """Trains a task's module, from the beginning or from a checkpoint.

    Parameters
    ----------
    task
        The recipe.
    config
        How long, how fast, on what.
    directory
        Where the checkpoint (``checkpoint.safetensors``) and the curves (``curve.csv``) go.
    recipe
        Plain values that describe the task; a checkpoint of another recipe is refused.
    """

    def __init__(
        self, task: Task, config: LoopConfig, directory: Path, recipe: dict[str, Any]
    ) -> None:
        use_device(torch.device(config.device))
        self.task = task
        self.config = config
        self.directory = directory
        self.recipe = recipe
        self.step = 0
        self.seconds = 0.0
        self.parameters = dict(task.module.named_parameters())
        self.average = MovingAverage(task.module, config.ema_decay)
        self.optimizer = Optimizers(task.parameter_groups(), config.learning_rate)
        self.compute_losses: Callable[..., dict[str, Tensor]] = (
            self._compiled_losses() if config.compile else task.losses
        )

    @property
    def checkpoint_path(self) -> Path:
        """The one checkpoint of a run; a newer one replaces it."""
        return self.directory / CHECKPOINT_FILE

    def run(
        self,
        on_progress: Callable[[Progress], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train up to the last step; True when it was reached, False when stopped before.

        Raises
        ------
        FloatingPointError
            The loss is not finite; the last checkpoint stays.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with training_arithmetic(self.config.precision):
            self._run(on_progress, should_stop)
        self.save_checkpoint()
        return self.step >= self.config.steps

    def _run(
        self, on_progress: Callable[[Progress], None], should_stop: Callable[[], bool]
    ) -> None:
        window: list[dict[str, Tensor]] = []
        began = time.monotonic()
        begun_at = self.step
        saved = began
        with ThreadPoolExecutor(1) as pool:  # prepares the next batch meanwhile
            upcoming = pool.submit(self.task.batch, self.step)
            while self.step < self.config.steps and not should_stop():
                batch = upcoming.result()
                upcoming = pool.submit(self.task.batch, self.step + 1)
                started = time.monotonic()
                window.append(self.advance(batch))
                means: dict[str, float] = {}
                if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                    means = {k: float(sum(w[k] for w in window)) / len(window) for k in window[0]}
                    window.clear()
                self.seconds += time.monotonic() - started  # of a GPU, when it has been waited for
                if means:
                    if not all(map(math.isfinite, means.values())):
                        raise FloatingPointError(f"loss not finite at step {self.step}: {means}")
                    self.log(CURVE_FILE, means | {"rate": self.config.rate(self.step - 1)})
                    speed = (self.step - begun_at) / (time.monotonic() - began)
                    left = (self.config.steps - self.step) / speed
                    on_progress(Progress(self.step, self.config.steps, means, left))
                every = self.config.validate_every
                if every and (self.step % every == 0 or self.step == self.config.steps):
                    with self.average.in_place_of(self.task.module):
                        self.log("validation.csv", self.task.validate())
                if time.monotonic() - saved > self.config.checkpoint_every_s:
                    self.save_checkpoint()
                    saved = time.monotonic()
            upcoming.cancel()

    def advance(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """One optimizer step; the losses before it.

        Nothing of it waits for a GPU, so that the GPU never waits for the next step: whoever reads
        a loss does.
        """
        moved = [tensor.to(self.config.device, non_blocking=True) for tensor in batch]
        with autocast(self.config.device, self.config.precision):
            losses = self.compute_losses(*moved)
        self.optimizer.zero_grad()
        losses["total"].backward()
        self.optimizer.clip_gradients(self.config.clip_norm)
        self.optimizer.step(self.config.rate(self.step))
        self.average.update(self.task.module, self.step)
        self.step += 1
        return {name: value.detach() for name, value in losses.items()}

    def log(self, name: str, figures: dict[str, float]) -> None:
        """Append a row to a CSV of the run."""
        path = self.directory / name
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["step", "seconds", *figures])
            values = [f"{value:.6g}" for value in figures.values()]
            writer.writerow([self.step, f"{self.seconds:.1f}", *values])

    def save_checkpoint(self) -> None:
        """Write weights, average, moments and step; the file appears whole or not at all."""
        tensors = {}
        for name, value in self.task.module.state_dict().items():
            tensors[f"module.{name}"] = value
        for name in self.parameters:
            tensors[f"average.{name}"] = self.average.values[name]
        names = {parameter: name for name, parameter in self.parameters.items()}
        for parameter, key, value in self.optimizer.state():
            tensors[f"{key}.{names[parameter]}"] = value
        metadata = {
            "step": self.step,
            "seconds": self.seconds,
            "recipe": self.recipe,
            "loop": json.dumps(asdict(self.config)),  # for people; its infinity is no JSON
        }
        write_checkpoint(self.checkpoint_path, tensors, metadata)

    def resume(self) -> bool:
        """Continue from the directory's checkpoint; False when there is none.

        Raises
        ------
        CheckpointError
            The checkpoint is damaged or belongs to another recipe.
        OSError
            It cannot be read.
        """
        if not self.checkpoint_path.exists():
            return False
        tensors, metadata = read_checkpoint(self.checkpoint_path)
        if metadata.get("recipe") != json.loads(json.dumps(self.recipe)):
            raise CheckpointError(
                f"{self.checkpoint_path} was made with other options; "
                "choose another folder or give the same options"
            )
        try:
            self._take_up(tensors, metadata)
        except (KeyError, RuntimeError) as error:  # a tensor is missing, or of another shape
            raise CheckpointError(f"cannot read {self.checkpoint_path}: {error}") from error
        for name in (CURVE_FILE, "validation.csv"):
            truncate_curve(self.directory / name, self.step)
        return True

    def _take_up(self, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        self.task.module.load_state_dict(
            {n.removeprefix("module."): t for n, t in tensors.items() if n.startswith("module.")}
        )
        for name, parameter in self.parameters.items():
            self.average.values[name].copy_(tensors[f"average.{name}"])
            found = {
                key.removesuffix(f".{name}"): value
                for key, value in tensors.items()
                if key.startswith(("adam.", "muon.")) and key.endswith(f".{name}")
            }
            self.optimizer.load(parameter, found)
        self.step = int(metadata["step"])
        self.seconds = float(metadata["seconds"])

    def _compiled_losses(self) -> Callable[..., dict[str, Tensor]]:
        """The task's losses, compiled; as they are where there is no compiler."""
        compiled = torch.compile(self.task.losses, dynamic=False)
        tried = False

        def compute(*batch: Tensor) -> dict[str, Tensor]:
            nonlocal tried
            if tried:
                return compiled(*batch)
            tried = True
            try:
                return compiled(*batch)
            except Exception as error:  # whatever a backend raises; a fault of ours comes again
                reason = str(error).strip().partition("\n")[0][:200]
                _logger.warning("not compiled: %s: %s", type(error).__name__, reason)
                self.compute_losses = self.task.losses
                return self.task.losses(*batch)

        return compute

"""What a run leaves on disk to be continued: checkpoint, curves; and the moving average in it."""

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from model.storage.files import write_atomically
from model.storage.tensorfile import DIGEST_KEY, DamagedFileError, pack_tensors, unpack_tensors

CHECKPOINT_FILE = "checkpoint.safetensors"
CURVE_FILE = "curve.csv"


class CheckpointError(ValueError):
    """A checkpoint that is damaged, or belongs to another run."""


def write_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Store tensors and plain values with a digest of both; whole or not at all.

    Raises
    ------
    OSError
        There is no room; an earlier checkpoint stays.
    """
    write_atomically(path, pack_tensors(tensors, metadata))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and plain values of a checkpoint.

    Raises
    ------
    CheckpointError
        It is damaged.
    OSError
        It cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:
            stored = file.metadata() or {}
            if DIGEST_KEY not in stored:  # written before checkpoints had one
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, {name: json.loads(text) for name, text in stored.items()}
        return unpack_tensors(path.read_bytes(), finite=False)
    except (SafetensorError, DamagedFileError, json.JSONDecodeError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


class MovingAverage:
    """Exponential moving average of a module's parameters."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {n: p.detach().clone() for n, p in module.named_parameters()}

    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the module's parameters; faster during the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        values = [self.values[name] for name, _ in module.named_parameters()]
        get_ema_multi_avg_fn(decay)(values, [p.detach() for p in module.parameters()], step)

    @contextlib.contextmanager
    def in_place_of(self, module: nn.Module) -> Iterator[None]:
        """Swap the average in for the time of a ``with`` block."""
        self.swap(module)
        try:
            yield
        finally:
            self.swap(module)

    def swap(self, module: nn.Module) -> None:
        """Exchange the average's values with the module's."""
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                kept = parameter.detach().clone()
                parameter.copy_(self.values[name])
                self.values[name].copy_(kept)


def read_curve(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a curve; rows that a full disk has cut short are left out."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return [], []
    whole = text[: text.rfind("\n") + 1]
    header, *rows = list(csv.reader(io.StringIO(whole))) or [[]]
    return header, [row for row in rows if len(row) == len(header) and row[0].isdecimal()]


def truncate_curve(path: Path, step: int) -> None:
    """Drop a curve's rows after a step: the steps since the last checkpoint run again."""
    if not path.exists():
        return
    header, rows = read_curve(path)
    if not header:
        path.unlink()
        return
    kept = io.StringIO(newline="")
    csv.writer(kept).writerows([header, *(row for row in rows if int(row[0]) <= step)])
    write_atomically(path, kept.getvalue().encode())

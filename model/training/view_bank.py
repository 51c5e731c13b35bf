"""What training needs of views of paintings, measured once and kept on disk.

A view costs the judge more than a step's whole share of it: seen at 224 px, it has five times the
pixels of the crop that is stylized. Nothing here depends on the network whose rows are predicted,
so that the next one finds everything measured.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from model.perception.moments import Moments
from model.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from model.training.crops import cycle

SHARD: Final = 64  # views a file

Measure = Callable[[int, int], tuple[Tensor, Sequence[Moments]]]


class ViewBank:
    """Descriptors and style targets of the views at positions 0 to ``count`` - 1.

    Parameters
    ----------
    directory
        Of the files; made if need be. Half a megabyte a view under VGG-19.
    identity
        Plain values that the measurements depend on; files of another identity are replaced.
    measure
        Descriptors (N, D) and moments of N views from a position on.
    count
        Views in all.
    device
        Where they are kept.
    """

    def __init__(
        self,
        directory: Path,
        identity: dict[str, Any],
        measure: Measure,
        count: int,
        device: str = "cpu",
    ) -> None:
        self.directory = directory
        self.identity = identity
        self.measure = measure
        self.count = count
        self.device = device
        self._shards: dict[int, dict[str, Tensor]] = {}
        self._tables: dict[str, Tensor] = {}  # the shards' tensors, each joined to one

    @property
    def missing(self) -> list[int]:
        """Shards that are not loaded yet."""
        return [i for i in range(-(-self.count // SHARD)) if i not in self._shards]

    def fill(
        self,
        on_progress: Callable[[int], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Load what is on disk and measure the rest; True when all is there.

        Parameters
        ----------
        on_progress
            Told how many views there are.
        should_stop
            Asked after every 64 views.

        Raises
        ------
        OSError
            A file cannot be written.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for shard in self.missing:
            if should_stop():
                return False
            path = self.directory / f"{shard:04d}.safetensors"
            tensors = self._load(path, self._size(shard))
            if tensors is None:
                tensors = self._measure(shard)
                write_checkpoint(path, tensors, {"views": self.identity})
            self._shards[shard] = {name: t.to(self.device) for name, t in tensors.items()}
            on_progress(min(self.count, SHARD * len(self._shards)))
        if not self._tables:
            shards = [self._shards[i] for i in sorted(self._shards)]
            for name in list(shards[0]):
                self._tables[name] = torch.cat([tensors.pop(name) for tensors in shards])
        return True

    def look_up(self, positions: Sequence[int]) -> tuple[Tensor, list[Moments]]:
        """Descriptors (N, D) and moments of views, float32."""
        index = torch.tensor(positions, device=self.device)
        moments = []
        for i in range(self._layers):
            mean = self._tables[f"mean.{i}"][index].float()
            covariance = self._tables[f"covariance.{i}"][index].float()
            moments.append(Moments(mean, covariance + mean[:, :, None] * mean[:, None, :]))
        return self._tables["descriptor"][index].float(), moments

    def draw(self, step: int, count: int, seed: int) -> tuple[Tensor, ...]:
        """What a step sees of its views; every pass over all of them is shuffled anew.

        Returns
        -------
        tuple of Tensor
            Descriptors (N, D); means (N, C) and Gram matrices (N, C, C) of every layer, in turn.
        """
        positions = [cycle(range(self.count), step * count + i, seed) for i in range(count)]
        descriptors, targets = self.look_up(positions)
        return descriptors, *(part for moments in targets for part in moments)

    @property
    def descriptors(self) -> Tensor:
        """Of all views: (count, D)."""
        return self._tables["descriptor"][: self.count]

    @property
    def _layers(self) -> int:
        return sum(name.startswith("mean.") for name in self._tables)

    def _size(self, shard: int) -> int:
        return min(SHARD, self.count - shard * SHARD)

    def _load(self, path: Path, size: int) -> dict[str, Tensor] | None:
        """The tensors of a file; None where there is none that fits."""
        if not path.exists():
            return None
        try:
            tensors, metadata = read_checkpoint(path)
        except CheckpointError:
            return None
        fits = metadata.get("views") == self.identity and len(tensors["descriptor"]) >= size
        return tensors if fits else None

    def _measure(self, shard: int) -> dict[str, Tensor]:
        descriptors, moments = self.measure(shard * SHARD, self._size(shard))
        tensors = {"descriptor": descriptors.cpu()}
        for i, layer in enumerate(moments):
            tensors[f"mean.{i}"] = layer.mean.cpu()
            # Of the covariance three digits are enough, of the Gram matrix they would not be: it
            # is mostly the product of means, which the losses take away again.
            covariance = layer.shifted_gram(layer.mean)
            tensors[f"covariance.{i}"] = covariance.to(torch.bfloat16).cpu()
        return tensors


def pair_up(parts: Sequence[Tensor]) -> list[Moments]:
    """Moments of every layer, of their means and Gram matrices in turn."""
    return [Moments(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]


def gather(parts: Sequence[tuple[Tensor, Sequence[Moments]]]) -> tuple[Tensor, list[Moments]]:
    """Descriptors and moments of several batches as one."""
    descriptors = torch.cat([found for found, _ in parts])
    layers = zip(*(moments for _, moments in parts), strict=True)
    return descriptors, [Moments(*map(torch.cat, zip(*layer, strict=True))) for layer in layers]

"""Faster ways through the network, each checked against float32 before it is used.

On a CPU the fast way is `StreamedNetwork` in bfloat16, where the processor is faster in it: plain
PyTorch kernels, any size, nothing to compile. It has been faster here than the same network
compiled by torch.compile or run by OpenVINO (docs/performance.md). On a GPU it is the network as
it is, in bfloat16 or float16 and channels last, then compiled.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.streamed.network import Follow, Pass, StreamedNetwork
from model.inference.streamed.rows import BLURRED_DETAIL, SMOOTH_DETAIL, least_detail, low_contrast
from model.network.code import anchor_original, default_codes
from model.network.network import StyleNetwork

MAX_MEAN_LEVELS = 2.0  # of 255, mean absolute difference to float32
MIN_PSNR_DB = 40.0
CHECKED_BATCHES = ((1, 256, 256), (3, 93, 122), (2, 201, 160), (1, 384, 511))  # N, H, W
PASS_PIXELS = 65_536  # one picture of 256 px: 16 of them took 0.72 times as long as in one pass

_logger = logging.getLogger("pastiche.fastpath")


class Runner(Protocol):
    """A way through the network."""

    def __call__(self, photos: Tensor, codes: Tensor, progress: Follow) -> Tensor:
        """Photos (N, 3, H, W) and codes (N, P) on the device to (N, 3, H, W), float32."""


@dataclass(frozen=True)
class FastPath:
    """A runner and what it is called in the log."""

    name: str
    runner: Runner


@dataclass(frozen=True)
class Agreement:
    """How near two runners are.

    Parameters
    ----------
    mean_levels
        Mean absolute difference in levels of 255, of the batch where it is largest.
    psnr_db
        Where it is lowest.
    """

    mean_levels: float
    psnr_db: float

    @property
    def close(self) -> bool:
        """Whether the one may stand for the other."""
        return self.mean_levels <= MAX_MEAN_LEVELS and self.psnr_db >= MIN_PSNR_DB


class StreamedRunner:
    """A `StreamedNetwork` as a runner: everything in memory, progress told between bands.

    On a CPU a batch goes through in passes of few pixels, whose feature maps stay in the
    processor's cache from one layer to the next.
    """

    def __init__(self, network: StyleNetwork, dtype: torch.dtype) -> None:
        self._fast = StreamedNetwork(network, dtype)
        self._smooth = StreamedNetwork(network, dtype, contract_dtype=torch.float32)
        self._careful = StreamedNetwork(network, torch.float32, by_phases=False)

    def network_for(self, photos: Tensor) -> StreamedNetwork:
        """The network that is precise enough for these photos, the plainest among them."""
        if low_contrast(photos):
            return self._careful
        if self._fast.dtype == torch.float32:
            return self._fast
        detail = least_detail(photos)
        if detail < BLURRED_DETAIL:
            return self._careful
        return self._smooth if detail < SMOOTH_DETAIL else self._fast

    def __call__(self, photos: Tensor, codes: Tensor, progress: Follow) -> Tensor:
        """See `Runner`."""
        count, _, height, width = photos.shape
        step = max(1, PASS_PIXELS // (height * width)) if photos.device.type == "cpu" else count
        if step >= count:
            return self._run(photos, codes, progress)

        def told(start: int, stop: int) -> Follow:
            return lambda done: progress((start + (stop - start) * done) / count)

        spans = [(start, min(count, start + step)) for start in range(0, count, step)]
        return torch.cat([self._run(photos[a:b], codes[a:b], told(a, b)) for a, b in spans])

    def _run(self, photos: Tensor, codes: Tensor, progress: Follow) -> Tensor:
        height, width = photos.shape[-2:]
        logits = self.network_for(photos).run(photos, codes, Pass(progress=progress))
        return torch.sigmoid(logits.read(0, logits.size[0])[..., :height, :width].float())


def agreement(fast: Runner, exact: Runner, network: StyleNetwork, original: Tensor) -> Agreement:
    """Compare two runners at several sizes, batch sizes and layouts.

    A compiled network can be wrong without a word, and at some sizes alone.

    Parameters
    ----------
    original
        (P,), the row ``original``: the one style that every network has.
    """
    device = original.device
    generator = torch.Generator().manual_seed(0)
    worst, lowest = 0.0, float("inf")
    for index, (pictures, *size) in enumerate(CHECKED_BATCHES):
        coarse = torch.rand(pictures, 3, 12, 12, generator=generator)
        fine = torch.rand(pictures, 3, *size, generator=generator)
        smooth = F.interpolate(coarse, tuple(size), mode="bicubic").clamp(0, 1)
        grain = 0.2 if index else 0.0  # a smooth picture is the hardest
        photos = ((1 - grain) * smooth + grain * fine).to(device)
        if index % 2:
            photos = photos.contiguous(memory_format=torch.channels_last)
        share = torch.linspace(1, 0, pictures + 1, device=device)[:pictures]
        plain = default_codes(network.config, pictures).to(device)
        codes = share[:, None] * original + (1 - share[:, None]) * plain
        codes = anchor_original(codes, photos, share, network.config)
        difference = 255 * (fast(photos, codes, _ignore) - exact(photos, codes, _ignore))
        mean = float(difference.abs().mean())
        square = float(difference.square().mean())
        if not square < float("inf"):  # not a number either
            return Agreement(float("inf"), 0.0)
        worst = max(worst, mean)
        lowest = min(lowest, float(10 * torch.tensor(255**2 / max(square, 1e-12)).log10()))
    return Agreement(worst, lowest)


def _ignore(_: float) -> None:
    pass


def fast_paths(
    network: StyleNetwork, dtype: torch.dtype, compiled: bool
) -> Iterator[Callable[[], FastPath]]:
    """Makers of ever faster runners for the network's device, the quickest to prepare first."""
    device = next(network.parameters()).device
    name = str(dtype).removeprefix("torch.")
    if device.type == "cpu":
        if dtype != torch.float32:
            yield lambda: FastPath(name, StreamedRunner(network, dtype))
        return
    from model.inference.whole import CompiledRunner, WholeRunner

    if dtype != torch.float32:
        yield lambda: FastPath(name, WholeRunner(network, dtype))
    if compiled:
        yield lambda: FastPath(f"{name}, compiled", CompiledRunner(network, dtype))


def checked_paths(
    network: StyleNetwork,
    original: Tensor,
    exact: Runner,
    dtype: torch.dtype,
    compiled: bool,
) -> Iterator[FastPath]:
    """Those fast paths that could be made and agree with ``exact``; a log line for the others."""
    for make in fast_paths(network, dtype, compiled):
        try:
            path = make()
            found = agreement(path.runner, exact, network, original)
        except Exception as error:
            # No compiler, an operation the backend lacks: whatever it is, the path before it works.
            reason = str(error).strip().partition("\n")[0][:200]
            _logger.warning("a fast path is left out: %s: %s", type(error).__name__, reason)
            continue
        if not found.close:
            _logger.warning(
                "the fast path %s is left out: %.2f levels, %.1f dB from float32",
                *(path.name, found.mean_levels, found.psnr_db),
            )
            continue
        _logger.info(
            "fast path %s: %.2f levels, %.1f dB from float32",
            *(path.name, found.mean_levels, found.psnr_db),
        )
        yield path

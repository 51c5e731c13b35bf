"""A forward pass layer by layer in bands of rows: any size, interruptible, statistics exact.

Every normalization needs the mean and variance of its whole feature map, so a picture in pieces
has to wait after every convolution for the pieces' statistics. The pass therefore goes layer by
layer: a band of rows of the layer before is read, normalized with that layer's finished
statistics, convolved, measured and kept. A band needs at most 4 rows beyond its own, where a tile
through all layers would need 57 px around it, and is normalized and convolved while it lies in
the processor's cache.

Between bands the caller is told how far the pass is. What it raises there ends the pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.inference.streamed.bands import Features, MemoryStore, Store
from model.inference.streamed.convolution import RowConvolution, Rows
from model.inference.streamed.rows import Convolved, Normalized, PhotoRows, sample
from model.network.network import ConvNorm, StyleNetwork
from model.network.statistics import Statistics

BAND_MULTIPLICATIONS = 2_500_000_000  # about a tenth of a second on two CPU cores
BAND_BYTES = 16_000_000  # of a layer's input or output: below what the allocator hands back
GPU_BAND_SCALE = 50

Follow = Callable[[float], None]


@dataclass
class Pass:
    """One pass through the network: where features stay, whom to tell, what was measured.

    Parameters
    ----------
    store
        Keeps the feature maps.
    progress
        Called between bands with the share that is done, 0 to 1.
    given
        One per layer: statistics to use in place of the picture's own.
    center
        (N, 3, 1, 1), the colour that statistics are relative to; none, the photo's mean.
    lean
        Whether the two full-resolution layers are computed again when they are read, rather than
        kept: a sixth more arithmetic, and 128 bytes a pixel less in float32.
    """

    store: Store = field(default_factory=MemoryStore)
    progress: Follow = lambda _: None
    given: Sequence[Statistics] | None = None
    center: Tensor | None = None
    lean: bool = False
    measured: list[Statistics] = field(default_factory=list)
    total: float = 0.0  # multiplications
    done: float = 0.0


class StreamedNetwork:
    """A `StyleNetwork` for inference, in bands of rows.

    Parameters
    ----------
    network
        Whose weights it takes; later changes to them do not show.
    dtype
        Of activations and convolutions. Statistics are float32 and more in any case.
    contract_dtype
        Of the first three layers; none, the same.
    by_phases
        Whether to compute enlargements by phases; see `model.inference.streamed.convolution`.

    Raises
    ------
    ValueError
        The network is one of those made for comparison: not instance normalized, or with max
        pooling.
    """

    def __init__(
        self,
        network: StyleNetwork,
        dtype: torch.dtype = torch.float32,
        contract_dtype: torch.dtype | None = None,
        by_phases: bool = True,
    ) -> None:
        config = network.config
        if (config.norm, config.resampling) != ("instance", "strided"):
            raise ValueError(
                f"cannot stylize with a network of {config.norm} normalization and "
                f"{config.resampling} resampling: it has to be instance and strided"
            )
        self.dtype = dtype
        self.eps = config.eps
        self.split_codes = network.split_codes

        def form(
            layer: torch.nn.Module, enlarged: bool = False, dtype: torch.dtype = dtype
        ) -> RowConvolution:
            assert isinstance(layer, ConvNorm)  # noqa: S101 - the network's layers are
            return RowConvolution(layer, dtype, enlarged, by_phases)

        first = contract_dtype or dtype
        self.contract = [form(layer, dtype=first) for layer in network.contract]
        self.residual = [form(layer) for layer in network.residual]
        self.expand = [form(layer, enlarged=True) for layer in network.expand]
        self.output = form(network.output)
        self.device = network.output.conv.weight.device
        scale = GPU_BAND_SCALE if self.device.type == "cuda" else 1
        self.band_multiplications = scale * BAND_MULTIPLICATIONS
        self.band_bytes = scale * BAND_BYTES

    @torch.inference_mode()
    def run(self, photos: Tensor, codes: Tensor, run: Pass | None = None) -> Rows:
        """Everything but the last rows: what comes back gives them when it is read.

        Parameters
        ----------
        photos
            (N, 3, H, W): uint8, or floats in [0, 1].
        codes
            (N, P).
        run
            How; none, in memory and undisturbed.

        Returns
        -------
        Rows
            The logits, of the aligned size, while the store is open.
        """
        run = run or Pass()
        if run.center is None:
            run.center = sample(photos).mean(dim=(2, 3), keepdim=True).to(self.device)
        x: Rows = PhotoRows(photos, run.center, self.contract[0].dtype)
        run.total = self._multiplications(x.size, run.lean) * len(photos)
        pairs = iter(self.split_codes(codes.to(self.device, torch.float32)))
        for convolution in self.contract:
            # The first layer is cheap to compute and dear to keep.
            keep = not run.lean or convolution is not self.contract[0]
            x = self._layer(run, x, convolution, next(pairs), keep=keep)
        x = self._settle(run, x, len(photos), convolution.channels)
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            inner = self._layer(run, x, first, next(pairs))
            outer = self._layer(run, inner, second, next(pairs), rectified=False, residual=x)
            del inner
            x = self._settle(run, outer, len(photos), second.channels)
            del outer
        for convolution in self.expand:
            keep = not run.lean or convolution is not self.expand[-1]
            x = self._layer(run, x, convolution, next(pairs), keep=keep)
        return self._layer(run, x, self.output, next(pairs), rectified=False)

    def _multiplications(self, size: tuple[int, int], lean: bool) -> float:
        twice = [self.contract[0], self.expand[-1]] if lean else []
        total = 0.0
        for convolution in (*self.contract, *self.residual, *self.expand, self.output):
            size = convolution.output_size(size)
            share = 2 if convolution in twice else 1
            total += share * size[0] * size[1] * convolution.multiplications
        return total

    def _layer(
        self,
        run: Pass,
        x: Rows,
        convolution: RowConvolution,
        pair: tuple[Tensor, Tensor],
        rectified: bool = True,
        keep: bool = True,
        residual: Rows | None = None,
    ) -> Normalized:
        """Convolve and measure; what comes back normalizes as it is read."""
        raw: Rows = Convolved(x, convolution)
        gamma, beta = pair
        height, width = raw.size
        shape = (len(gamma), convolution.channels, height, width)
        statistics = Statistics.empty(*shape[:2])
        if run.given is not None:
            statistics = run.given[len(run.measured)]
        cost = len(gamma) * height * width * convolution.multiplications
        if isinstance(x, Normalized) and isinstance(x.source, Convolved):  # computed once more
            behind = x.source.size
            cost += len(gamma) * behind[0] * behind[1] * x.source.convolution.multiplications
        kept: Features | None = None
        for start, stop in self._bands(convolution, shape):
            rows = raw.read(start, stop)
            if run.given is None:
                statistics.add(rows)
            if keep:
                if kept is None:
                    kept = run.store.open(shape, rows.dtype)
                kept.write(start, rows)
            del rows
            run.done += cost * (stop - start) / height
            run.progress(min(1.0, run.done / run.total))
        run.measured.append(statistics)
        return Normalized(kept or raw, statistics, gamma, beta, self.eps, rectified, residual)

    def _settle(self, run: Pass, x: Rows, pictures: int, channels: int) -> Rows:
        """Compute once what is read by two layers."""
        shape = (pictures, channels, *x.size)
        kept = run.store.open(shape, self.dtype)
        for start, stop in self._bands(None, shape):
            kept.write(start, x.read(start, stop).to(self.dtype))
            run.progress(min(1.0, run.done / run.total))
        return kept

    def _bands(
        self, convolution: RowConvolution | None, shape: tuple[int, int, int, int]
    ) -> Iterator[tuple[int, int]]:
        pictures, channels, height, width = shape
        rows = self.band_bytes / (pictures * width * channels * self.dtype.itemsize)
        least = 4
        if convolution is not None:
            per_row = pictures * width * convolution.multiplications
            rows = min(rows, self.band_multiplications / per_row)
            least = 2 * convolution.kernel
        step = max(least, int(rows) // 4 * 4)
        for start in range(0, height, step):
            yield start, min(height, start + step)

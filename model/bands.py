"""Layers in bands of rows: the same numbers, less memory at once, and a pause between bands.

A large picture keeps a CPU busy for many seconds, and a single layer of it for more than one. In
bands it can be interrupted every tenth of a second or so: for a smaller picture, or for good.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network import ConvNorm, StyleNetwork
from model.normalization import scale_and_shift

BAND_MULTIPLICATIONS = 2_500_000_000  # about a tenth of a second on two CPU cores
BAND_ELEMENTS = 8_000_000  # of a normalization, which memory bounds


class BandedConvNorm(ConvNorm):
    """A `ConvNorm` that pauses before it starts and, if large, between bands of rows.

    Statistics are still those of the whole picture; they are summed over bands.

    Parameters
    ----------
    layer
        Whose convolution and normalization it uses.
    pause
        Called between bands; what it raises ends the forward pass.
    band_multiplications
        Most multiplications of a band; none, never more than one band.
    """

    def __init__(
        self,
        layer: ConvNorm,
        pause: Callable[[], None],
        band_multiplications: int | None = BAND_MULTIPLICATIONS,
    ) -> None:
        nn.Module.__init__(self)
        self.padding = layer.padding
        self.conv = layer.conv
        self.norm = layer.norm
        self.pause = pause
        self.band_multiplications = band_multiplications

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        self.pause()
        height = x.shape[2] // self.conv.stride[0]
        rows = self._band_rows(x)
        if rows >= height:
            return super().forward(x, gamma, beta)
        features = self._convolve(x, height, rows)
        return self._normalize(features, gamma, beta)

    def _band_rows(self, x: Tensor) -> int:
        if self.band_multiplications is None:
            return x.shape[2]
        width = x.shape[3] // self.conv.stride[0]
        per_row = x.shape[0] * width * self.conv.weight.numel()
        return max(self.conv.kernel_size[0], self.band_multiplications // per_row)

    def _convolve(self, x: Tensor, height: int, rows: int) -> Tensor:
        stride, kernel, side = self.conv.stride[0], self.conv.kernel_size[0], self.padding
        bands = []
        for start, stop in _spans(height, rows):
            first, end = start * stride - side, (stop - 1) * stride + kernel - side
            above, below = max(0, -first), max(0, end - x.shape[2])
            band = x[:, :, first + above : end - below]
            # Padding band by band spares a second copy of the whole.
            bands.append(self.conv(F.pad(band, [side, side, above, below], mode="reflect")))
            self.pause()
        return torch.cat(bands, dim=2)  # (N, C_out, H / stride, W / stride)

    def _normalize(self, features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        height = features.shape[2]
        rows = max(1, BAND_ELEMENTS * height // features.numel())
        spans = list(_spans(height, rows))
        mean = _mean(features[:, :, a:b] for a, b in spans)  # (N, C, 1, 1)
        self.pause()
        variance = _mean((features[:, :, a:b].float() - mean).square_() for a, b in spans)
        for start, stop in spans:
            band = features[:, :, start:stop]
            band.copy_(scale_and_shift(band, mean, variance, gamma, beta, self.norm.eps))
            self.pause()
        return features


def band_network(
    network: StyleNetwork,
    pause: Callable[[], None],
    band_multiplications: int | None = BAND_MULTIPLICATIONS,
) -> None:
    """Let every layer of a network pause; see `BandedConvNorm`."""
    layers = [(n, layer) for n, layer in network.named_modules() if isinstance(layer, ConvNorm)]
    for name, layer in layers:
        network.set_submodule(name, BandedConvNorm(layer, pause, band_multiplications))


def _spans(height: int, rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, height, rows):
        yield start, min(height, start + rows)


def _mean(bands: Iterator[Tensor]) -> Tensor:
    """Mean over the rows of all bands, each (N, C, h, W), as (N, C, 1, 1) float32."""
    total, rows = torch.zeros(()), 0
    for band in bands:
        total = total + band.float().mean(dim=(2, 3), keepdim=True).double() * band.shape[2]
        rows += band.shape[2]
    return (total / rows).float()

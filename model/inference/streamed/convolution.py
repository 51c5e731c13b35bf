"""The network's convolutions in the forms that run fastest, for any range of output rows.

Every form is exact: the same sums in another order.

- A nearest-neighbour enlargement followed by a 3x3 convolution repeats its inputs, so that each of
  the four phases of the output is a 2x2 convolution of the small map: 4 multiplications in place
  of 9. Phases are rounded differently, which must not be taken for contrast
  (`model.inference.streamed.rows`, `low_contrast`).
- A wide kernel with three output channels fills 3 of a vector's 16 or 32 lanes. Its columns become
  output channels (9 x 3 = 27), which are then shifted and added: the same multiplications, but
  at 87 against 370 billion operations a second on two cores in bfloat16.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from model.network.network import ConvNorm

COLUMN_CHANNELS = 32  # kernel width times output channels up to which columns become channels


class Rows(Protocol):
    """Feature maps that can be read a band of rows at a time."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""

    def read(self, start: int, stop: int) -> Tensor:
        """Rows start to stop, (N, C, stop - start, W)."""


class RowConvolution:
    """One layer's convolution with its padding, and the enlargement before it if there is one.

    Parameters
    ----------
    layer
        Whose weights it takes.
    dtype
        Of weights and activations.
    enlarged
        Whether the input is first enlarged to twice its size, nearest neighbour.
    by_phases
        Whether that is done by phases, or plainly.
    """

    def __init__(
        self,
        layer: ConvNorm,
        dtype: torch.dtype,
        enlarged: bool = False,
        by_phases: bool = True,
    ) -> None:
        self.dtype = dtype
        weight = layer.conv.weight.detach()  # (C_out, C_in, K, K)
        self.channels, _, self.kernel, _ = weight.shape
        self.stride = layer.conv.stride[0]
        self.enlarged = enlarged
        self.by_phases = enlarged and by_phases
        if enlarged and (self.kernel, self.stride) != (3, 1):
            raise ValueError("only a 3x3 convolution of stride 1 can follow an enlargement")
        wide = self.kernel > 3 and self.kernel * self.channels <= COLUMN_CHANNELS
        self.by_columns = wide and not enlarged and self.stride == 1 and weight.device.type == "cpu"
        if self.by_phases:
            kernels = [phase(weight, row, column) for row in (0, 1) for column in (0, 1)]
        elif self.by_columns:
            kernels = [weight.permute(3, 0, 1, 2).flatten(0, 1)[..., None]]  # (K C_out, C_in, K, 1)
        else:
            kernels = [weight]
        self.kernels = [k.to(dtype, memory_format=torch.channels_last) for k in kernels]
        phases = 4 if self.by_phases else 1
        self.multiplications = sum(k.numel() for k in kernels) / phases  # per output pixel

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that come out."""
        height, width = size
        if self.enlarged:
            return 2 * height, 2 * width
        return height // self.stride, width // self.stride

    def rows(self, x: Rows, start: int, stop: int) -> Tensor:
        """Output rows start to stop, (N, C_out, stop - start, W_out); even ones if enlarged."""
        if self.enlarged and (start % 2 or stop % 2):
            raise ValueError(f"rows {start} to {stop} of an enlarged map; allowed are even ones")
        if self.enlarged:
            return self._enlarged_rows(x, start // 2, stop // 2)
        side = self.kernel // 2
        first = start * self.stride - side
        end = (stop - 1) * self.stride + self.kernel - side
        above, below = max(0, -first), max(0, end - x.size[0])
        band = F.pad(x.read(first + above, end - below), [side, side, above, below], mode="reflect")
        if self.by_columns:
            return self._columns(band)
        return F.conv2d(band, self.kernels[0], stride=self.stride)

    def _enlarged_rows(self, x: Rows, start: int, stop: int) -> Tensor:
        above, below = int(start == 0), int(stop == x.size[0])
        band = x.read(start - 1 + above, stop + 1 - below)
        # Reflected after enlargement, the border repeats the outermost pixel of the small map.
        band = F.pad(band, [1, 1, above, below], mode="replicate")
        if not self.by_phases:
            band = F.interpolate(band, scale_factor=2, mode="nearest")
            return F.conv2d(band[:, :, 1:-1, 1:-1], self.kernels[0])
        pictures, _, height, width = band.shape
        height, width = height - 2, width - 2
        enlarged = band.new_empty(pictures, height, 2, width, 2, self.channels)
        for i, kernel in enumerate(self.kernels):
            row, column = divmod(i, 2)
            part = band[:, :, row : row + height + 1, column : column + width + 1]
            enlarged[:, :, row, :, column] = F.conv2d(part, kernel).permute(0, 2, 3, 1)
        shape = (pictures, 2 * height, 2 * width, self.channels)
        return enlarged.view(shape).permute(0, 3, 1, 2)  # (N, C_out, 2 h, 2 w), channels last

    def _columns(self, band: Tensor) -> Tensor:
        columns = F.conv2d(band, self.kernels[0])  # (N, K C_out, h, W + K - 1)
        width = band.shape[3] - self.kernel + 1
        total = columns[:, : self.channels, :, :width].float()
        for i in range(1, self.kernel):
            channels = slice(i * self.channels, (i + 1) * self.channels)
            total += columns[:, channels, :, i : i + width]
        return total  # float32: sums of nine


def phase(weight: Tensor, row: int, column: int) -> Tensor:
    """The 2x2 kernel of one phase of an enlarged 3x3 convolution.

    Parameters
    ----------
    weight
        (C_out, C_in, 3, 3).
    row, column
        Of the phase, each 0 or 1.

    Returns
    -------
    Tensor
        (C_out, C_in, 2, 2): of the three taps, two see the same pixel and are added.
    """

    def fold(taps: tuple[Tensor, ...], odd: int, dim: int) -> Tensor:
        first, middle, last = taps
        return torch.stack([first + middle, last] if odd else [first, middle + last], dim)

    rows = fold(weight.unbind(2), row, 2)  # (C_out, C_in, 2, 3)
    return fold(rows.unbind(3), column, 3)

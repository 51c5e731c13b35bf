"""The style transformer: convolutions that all styles share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.config import NetworkConfig
from model.network.normalization import (
    ConditionalInstanceNorm,
    ConditionalNorm,
    make_norm,
)

SIDE_MULTIPLE = 4  # two stride-2 convolutions
MIN_SIDE = 16  # reflection padding of the 9x9 layers needs 5 px; 16 leaves 4x4 maps to measure


class ConvNorm(nn.Module):
    """Reflection padding, a convolution without bias, a conditional normalization.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride
        Of the convolution.
    eps
        Of the normalization.
    norm
        The normalization, of ``out_channels``; none, instance normalization.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        eps: float,
        norm: ConditionalNorm | None = None,
    ) -> None:
        super().__init__()
        self.padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, bias=False)
        self.norm = norm or ConditionalInstanceNorm(out_channels, eps)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        last = x.is_contiguous(memory_format=torch.channels_last)
        x = F.pad(x, [self.padding] * 4, mode="reflect")
        if last:  # a compiler's padding forgets it, and a GPU then copies what it convolves
            x = x.contiguous(memory_format=torch.channels_last)
        return self.norm(self.conv(x), gamma, beta)  # type: ignore[no-any-return]


class StyleNetwork(nn.Module):
    """One feed-forward network for many styles (the paper, table 1).

    It departs from the paper's table in one place: the residual sum has no ReLU after it, as in
    the authors' own implementation.

    Parameters
    ----------
    config
        The dimensions.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        c = self.config.channels
        stride = 2 if self.config.resampling == "strided" else 1

        def layer(inner: int, outer: int, kernel: int = 3, stride: int = 1) -> ConvNorm:
            norm = make_norm(self.config.norm, outer, self.config.eps, self.config.groups)
            return ConvNorm(inner, outer, kernel, stride, self.config.eps, norm)

        self.contract = nn.ModuleList(
            [layer(3, c, 9), layer(c, 2 * c, stride=stride), layer(2 * c, 4 * c, stride=stride)]
        )
        self.residual = nn.ModuleList(
            layer(4 * c, 4 * c) for _ in range(2 * self.config.residual_blocks)
        )
        self.expand = nn.ModuleList([layer(4 * c, 2 * c), layer(2 * c, c)])
        self.output = layer(c, 3, 9)

    def split_codes(self, codes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Style codes (N, P) to one (gamma, beta) pair per layer, each (N, C)."""
        channels = list(self.config.norm_channels)
        gammas, betas = codes.chunk(2, dim=1)
        return list(zip(gammas.split(channels, 1), betas.split(channels, 1), strict=True))

    def forward(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """Stylize a batch in which every picture has its own style.

        Parameters
        ----------
        pictures
            (N, 3, H, W), sRGB in [0, 1], H and W of any size from 1 px.
        codes
            (N, P), one style code per picture.

        Returns
        -------
        Tensor
            (N, 3, H, W) in (0, 1).
        """
        height, width = pictures.shape[-2:]
        right = aligned_side(width) - width
        bottom = aligned_side(height) - height
        if right or bottom:
            # Replication works from one pixel up, where reflection does not.
            pictures = F.pad(pictures, [0, right, 0, bottom], mode="replicate")
        return self.stylize_aligned(pictures, codes)[..., :height, :width]

    def stylize_aligned(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """`forward` for sides that are multiples of 4 and at least 16: no padding, no crop."""
        pairs = iter(self.split_codes(codes))
        resampling = self.config.resampling
        places: list[Tensor] = []  # of the maxima, where there is max pooling
        x = pictures  # (N, 3, H, W)
        for index, layer in enumerate(self.contract):
            x = F.relu(layer(x, *next(pairs)))  # ends at (N, 4C, H/4, W/4)
            if index and resampling != "strided":
                x, place = F.max_pool2d_with_indices(x, [2, 2])
                places.append(place)
        for first, second in zip(self.residual[::2], self.residual[1::2], strict=True):
            x = x + second(F.relu(first(x, *next(pairs))), *next(pairs))
        for layer in self.expand:  # ends at (N, C, H, W)
            if resampling == "unpooled":
                x = F.max_unpool2d(x, places.pop(), [2, 2])
            else:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.relu(layer(x, *next(pairs)))
        return torch.sigmoid(self.output(x, *next(pairs)).float())


def aligned_side(side: int) -> int:
    """The side in px that the network works at: a multiple of 4, at least 16."""
    return max(MIN_SIDE, -(-side // SIDE_MULTIPLE) * SIDE_MULTIPLE)

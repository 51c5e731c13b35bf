"""The style transformer: convolutions that all styles share, and the layout of a style code."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.normalization import (
    ConditionalInstanceNorm,
    ConditionalNorm,
    NormKind,
    make_norm,
)

SIDE_MULTIPLE = 4  # two stride-2 convolutions
MIN_SIDE = 16  # reflection padding of the 9x9 layers needs 5 px; 16 leaves 4x4 maps to measure
# Cut from both ends of [0, 1] before the logit. Half a level would keep it finite, but then pure
# black and white make up most of a photo's spread, and its middle tones come out too harsh:
# held-out photos came back at 23.4 dB with 1/512, at 24.2 dB with 1/32 (the same weights).
LOGIT_MARGIN = 1 / 32

Resampling = Literal["strided", "pooled", "unpooled"]

# Options that came later. At their defaults they are left out of all that describes a network, so
# that its fingerprint, its files and its training runs stay what they were.
LATER_OPTIONS = ("norm", "groups", "resampling")


@dataclass(frozen=True, repr=False)
class NetworkConfig:
    """Dimensions of a `StyleNetwork`; stored in its weight file.

    All but the dimensions is for comparison: `model.inference` takes networks with the defaults.

    Parameters
    ----------
    channels
        Width after the first convolution; it doubles at each of the two strided ones.
    residual_blocks
        Number of residual blocks between contraction and expansion.
    eps
        Added to every variance.
    norm
        What follows every convolution; see `model.network.normalization`.
    groups
        Of group normalization.
    resampling
        How the network gets to a quarter of the size and back: ``strided``, by convolutions of
        stride 2 and nearest-neighbour enlargement; ``pooled``, by max pooling after convolutions of
        stride 1, and the same enlargement; ``unpooled``, by max pooling and max unpooling, which
        puts every value where its maximum was (Zeiler and Fergus 2014).
    """

    channels: int = 32
    residual_blocks: int = 5
    eps: float = 1e-5
    norm: NormKind = "instance"
    groups: int = 4
    resampling: Resampling = "strided"

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"channels is {self.channels}, but must be at least 1")
        if self.residual_blocks < 0:
            raise ValueError(f"residual_blocks is {self.residual_blocks}, but must be 0 or more")
        if not self.eps > 0:
            raise ValueError(f"eps is {self.eps}, but must be above 0")
        if self.norm not in get_args(NormKind):
            raise ValueError(f"norm is {self.norm!r}, but must be among {get_args(NormKind)}")
        if self.groups < 1:
            raise ValueError(f"groups is {self.groups}, but must be at least 1")
        if self.resampling not in get_args(Resampling):
            allowed = get_args(Resampling)
            raise ValueError(f"resampling is {self.resampling!r}, but must be among {allowed}")

    @property
    def norm_channels(self) -> tuple[int, ...]:
        """Channels of every normalization layer, in network order."""
        c = self.channels
        return (c, 2 * c, 4 * c, *[4 * c] * (2 * self.residual_blocks), 2 * c, c, 3)

    @property
    def code_size(self) -> int:
        """P, how many numbers make a style: every layer's gamma, then every layer's beta."""
        return 2 * sum(self.norm_channels)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a weight file's metadata, `LATER_OPTIONS` where they are not default."""
        default = {f.name: f.default for f in fields(self) if f.name in LATER_OPTIONS}
        return {k: v for k, v in asdict(self).items() if k not in default or v != default[k]}

    def __repr__(self) -> str:
        """As a dataclass's, of `to_dict`: a network's fingerprint depends on it."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"{type(self).__name__}({values})"


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
        x = F.pad(x, [self.padding] * 4, mode="reflect")
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


def default_codes(config: NetworkConfig, styles: int) -> Tensor:
    """Style codes (S, P) of gamma = 1 and beta = 0: plain instance normalization."""
    half = config.code_size // 2
    return torch.cat([torch.ones(styles, half), torch.zeros(styles, half)], dim=1)


def anchor_original(
    codes: Tensor, pictures: Tensor, original_share: Tensor, config: NetworkConfig
) -> Tensor:
    """Give the share of ``original`` in each code its picture's own colours.

    The output layer's normalization removes a photo's mean and contrast. For its share of a blend
    ``original`` therefore adds, to the output layer's gamma and beta, the spread and mean of the
    photo under the logit, per colour channel. The network itself knows nothing of it.

    Parameters
    ----------
    codes
        (N, P), blended codes.
    pictures
        (N, 3, H, W) in [0, 1].
    original_share
        (N,), the weight of ``original`` in each blend, in [0, 1].
    config
        The network's dimensions.

    Returns
    -------
    Tensor
        (N, P), a new tensor; where the share is 0 the code is unchanged.
    """
    return shift_output(codes, original_share, *logit_moments(pictures), config)


def logit_moments(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of pictures under the logit, per colour channel.

    Parameters
    ----------
    pictures
        (N, 3, H, W): floats in [0, 1], or uint8, of which a large one costs no more memory.

    Returns
    -------
    mean, spread
        Each (N, 3), float32.
    """
    if pictures.dtype == torch.uint8:
        counts = torch.stack(
            [channel.flatten().bincount(minlength=256) for p in pictures for channel in p]
        )
        shares = counts.double() / counts.sum(1, keepdim=True)  # (3 N, 256)
        values = _logit(torch.arange(256, device=pictures.device) / 255).double()  # (256,)
        mean = shares @ values
        spread = (shares * (values - mean[:, None]).square()).sum(1).sqrt()
        return mean.float().view(-1, 3), spread.float().view(-1, 3)
    logits = _logit(pictures.float())
    return logits.mean(dim=(2, 3)), logits.std(dim=(2, 3), correction=0)


def _logit(values: Tensor) -> Tensor:
    return values.clamp(LOGIT_MARGIN, 1 - LOGIT_MARGIN).logit()


def shift_output(
    codes: Tensor, original_share: Tensor, mean: Tensor, spread: Tensor, config: NetworkConfig
) -> Tensor:
    """`anchor_original` for photos of which the moments under the logit are known, each (N, 3)."""
    share = original_share[:, None]  # (N, 1)
    half = config.code_size // 2
    gamma, beta = codes[:, :half], codes[:, half:]
    return torch.cat(
        [gamma[:, :-3], gamma[:, -3:] + share * spread, beta[:, :-3], beta[:, -3:] + share * mean],
        dim=1,
    )

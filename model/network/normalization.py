"""Conditional normalizations behind one interface: what can follow the network's convolutions.

All but the last take a mean and a variance over some set of the features (N, C, H, W) and differ in
that set alone; gamma and beta are one row per style (Dumoulin, Shlens, Kudlur 2017,
arXiv:1610.07629, eq. 5):

    z = gamma_s (x - mu(x)) / sigma(x) + beta_s

=========================  ==========================  ====================
kind                       statistics over             depends on the batch
=========================  ==========================  ====================
instance                   H, W                        no
group                      C / G, H, W                 no
layer                      C, H, W                     no
batch                      N, H, W                     in training
lrn-across, lrn-within     squares of the neighbours   no
=========================  ==========================  ====================

The network that ships uses instance normalization; the others are there to be compared with it
(docs/normalization.md).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.statistics import instance_statistics, scale_and_shift

NormKind = Literal[
    "instance",
    "batch",
    "layer",
    "group",
    "lrn-across",
    "lrn-within",
    "conditional-lrn-across",
    "conditional-lrn-within",
]

BATCH_MOMENTUM = 0.1  # of the running averages, PyTorch's own
RESPONSE_SIZE = 5  # neighbouring channels, or pixels to a side (Krizhevsky et al. 2012: 5 channels)


class ConditionalNorm(nn.Module):
    """Normalizes features and gives every picture its own gamma and beta.

    The layer owns no trained parameters: every picture of a batch brings its own gamma and beta, so
    pictures of different styles share a batch.

    Parameters
    ----------
    num_features
        C, the number of channels.
    eps
        Added to the variance.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps

    def forward(self, features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Normalize (N, C, H, W) features with gamma and beta of shape (N, C)."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show the sizes in the printed network."""
        return f"{self.num_features}, eps={self.eps}"


class ConditionalInstanceNorm(ConditionalNorm):
    """Mean and variance per picture and channel, over H and W (Ulyanov et al., 2016)."""

    def forward(self, features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Normalize (N, C, H, W) features with gamma and beta of shape (N, C)."""
        if features.device.type == "cpu" and not torch.compiler.is_compiling():
            # Several times as fast: batch normalization's own kernel, picture by picture.
            pictures = [
                F.batch_norm(picture, None, None, gamma[i], beta[i], True, 0.0, self.eps)
                for i, picture in enumerate(features.split(1))
            ]
            return torch.cat(pictures).contiguous(memory_format=torch.channels_last)
        mean, variance = instance_statistics(features)
        return scale_and_shift(features, mean, variance, gamma, beta, self.eps)


class ConditionalBatchNorm(ConditionalNorm):
    """Mean and variance per channel, over N, H and W (Ioffe and Szegedy 2015, section 3.2).

    In training mode they are the batch's own; in evaluation mode, running averages of those seen in
    training.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps)
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.running_mean: Tensor
        self.running_var: Tensor

    def forward(self, features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Normalize (N, C, H, W) features with gamma and beta of shape (N, C).

        Raises
        ------
        ValueError
            In training mode, one value per channel: it has no variance.
        """
        z = F.batch_norm(
            features.float(),
            self.running_mean,
            self.running_var,
            training=self.training,
            momentum=BATCH_MOMENTUM,
            eps=self.eps,
        )
        return _scale(z, gamma, beta, features.dtype)


class ConditionalLayerNorm(ConditionalNorm):
    """Mean and variance per picture, over C, H and W (Ba, Kiros, Hinton 2016)."""

    def forward(self, features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Normalize (N, C, H, W) features with gamma and beta of shape (N, C)."""
        z = F.layer_norm(features.float(), list(features.shape[1:]), eps=self.eps)
        return _scale(z, gamma, beta, features.dtype)


class ConditionalGroupNorm(ConditionalNorm):
    """Mean and variance per picture and group of C / G channels (Wu and He 2018).

    Parameters
    ----------
    num_features, eps
        As of `ConditionalNorm`.
    groups
        G. Where it does not divide C, as at the network's three output channels, their greatest
        common divisor stands in.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, groups: int = 4) -> None:
        super().__init__(num_features, eps)
        self.groups = math.gcd(groups, num_features)

    def forward(self, features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Normalize (N, C, H, W) features with gamma and beta of shape (N, C)."""
        z = F.group_norm(features.float(), self.groups, eps=self.eps)
        return _scale(z, gamma, beta, features.dtype)


class LocalResponseNorm(ConditionalNorm):
    """`local_response`, alone or with a conditional scale and shift after it.

    It divides by the root mean square of the neighbourhood: ``k`` = eps, ``alpha`` = one over the
    number of neighbours, and the exponent 1/2. The constants of Krizhevsky et al. (k = 2, alpha =
    1e-4, exponent 0.75) are for activations in the hundreds; at this network's, which are about 1,
    they would divide everything by 1.7 and do no more.

    Parameters
    ----------
    num_features, eps
        As of `ConditionalNorm`.
    within
        Whether the neighbours are pixels of the same channel, or channels at the same pixel.
    conditional
        Whether gamma and beta are applied. If not, the style code has no effect.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        within: bool = False,
        conditional: bool = True,
    ) -> None:
        super().__init__(num_features, eps)
        self.within = within
        self.conditional = conditional

    def forward(self, features: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Normalize (N, C, H, W) features; gamma and beta (N, C) may go unused."""
        neighbours = RESPONSE_SIZE**2 if self.within else RESPONSE_SIZE
        z = local_response(
            features.float(), RESPONSE_SIZE, self.eps, 1 / neighbours, 0.5, self.within
        )
        return _scale(z, gamma, beta, features.dtype) if self.conditional else z.to(features.dtype)


def local_response(
    features: Tensor, size: int, k: float, alpha: float, beta: float, within: bool = False
) -> Tensor:
    """Local response normalization: b = a / (k + alpha * sum of a^2)^beta; nothing is learned.

    Krizhevsky, Sutskever, Hinton 2012, section 3.3. PyTorch and others divide alpha by the number
    of neighbours; here, as in the paper, it stands as it is.

    Parameters
    ----------
    features
        (N, C, H, W), a.
    size
        n: the sum is over n neighbouring channels at the same pixel or, ``within``, over a window
        of n x n pixels of the same channel. Those beyond the border count as zero. Of an even
        number, one more lies before than after.
    k, alpha, beta
        See the formula.
    within
        Whether the neighbours are pixels, or channels.

    Returns
    -------
    Tensor
        (N, C, H, W), b.
    """
    if not within:
        return F.local_response_norm(features, size, alpha=alpha * size, beta=beta, k=k)
    before, after = size // 2, (size - 1) // 2
    squares = F.pad(features.square(), [before, after, before, after])
    sums = F.avg_pool2d(squares, size, stride=1) * size**2
    return features / (k + alpha * sums).pow(beta)


def make_norm(kind: NormKind, num_features: int, eps: float, groups: int) -> ConditionalNorm:
    """The layer of a kind; ``groups`` matters to group normalization alone."""
    if kind == "instance":
        return ConditionalInstanceNorm(num_features, eps)
    if kind == "batch":
        return ConditionalBatchNorm(num_features, eps)
    if kind == "layer":
        return ConditionalLayerNorm(num_features, eps)
    if kind == "group":
        return ConditionalGroupNorm(num_features, eps, groups)
    within, conditional = kind.endswith("lrn-within"), kind.startswith("conditional")
    return LocalResponseNorm(num_features, eps, within, conditional)


def _scale(z: Tensor, gamma: Tensor, beta: Tensor, dtype: torch.dtype) -> Tensor:
    """Gamma and beta (N, C) on normalized features (N, C, H, W) in float32."""
    return (z * gamma.float()[:, :, None, None] + beta.float()[:, :, None, None]).to(dtype)

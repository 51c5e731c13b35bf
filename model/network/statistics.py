"""Mean and variance of feature maps, whole or in pieces, and their use."""

from dataclasses import dataclass

import torch
from torch import Tensor


def instance_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every feature map of every picture, in float32.

    Parameters
    ----------
    features
        (N, C, H, W), any floating type.

    Returns
    -------
    mean, variance
        Each (N, C, 1, 1), float32. Two plain passes, because inductor's one-pass variance has
        been seen to be wrong for channels-last inputs of three channels.
    """
    features = features.float()
    mean = features.mean(dim=(2, 3), keepdim=True)
    variance = (features - mean).square().mean(dim=(2, 3), keepdim=True)
    return mean, variance


def scale_and_shift(
    features: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, eps: float
) -> Tensor:
    """Normalize with given statistics, then apply one gamma and beta per picture and channel.

    Parameters
    ----------
    features
        (N, C, H, W).
    mean, variance
        (N, C, 1, 1), float32.
    gamma, beta
        (N, C).
    eps
        Added to the variance: the floor that keeps a flat picture from dividing by zero.

    Returns
    -------
    Tensor
        (N, C, H, W) in the type of ``features``; the arithmetic is float32.
    """
    scale = gamma.float()[:, :, None, None] * (variance + eps).rsqrt()  # (N, C, 1, 1)
    shift = beta.float()[:, :, None, None] - mean * scale  # (N, C, 1, 1)
    return (features.float() * scale + shift).to(features.dtype)


@dataclass
class Statistics:
    """Mean and variance of feature maps that come in pieces.

    Pieces are merged in float64 (Chan, Golub, LeVeque 1979), so that the size of the picture does
    not tell.

    Parameters
    ----------
    mean, variance
        (N, C), float64, of what has been added so far.
    count
        Of values per feature map.
    """

    mean: Tensor
    variance: Tensor
    count: int = 0

    @classmethod
    def empty(cls, pictures: int, channels: int) -> "Statistics":
        """Of nothing."""
        zeros = torch.zeros(pictures, channels, dtype=torch.float64)
        return cls(zeros, zeros)

    def add(self, features: Tensor) -> None:
        """Take in a piece, (N, C, h, W) of any size and floating type."""
        mean, variance = _slab_statistics(features)
        count = features.shape[2] * features.shape[3]
        share = count / (self.count + count)
        shift = mean - self.mean
        self.mean = self.mean + share * shift
        self.variance = (
            (1 - share) * self.variance + share * variance + share * (1 - share) * shift.square()
        )
        self.count += count


def _slab_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance, each (N, C), float64 on the CPU."""
    if features.device.type == "cpu":
        # Ten times as fast as plain means: batch normalization's own kernel, picture by picture.
        pairs = []
        for picture in features.split(1):
            zeros = torch.zeros(features.shape[1])  # float32: the kernel answers in its type
            pairs.append(torch.batch_norm_update_stats(picture, zeros, zeros.clone(), 1.0))
        mean, variance = (torch.stack(values) for values in zip(*pairs, strict=True))
    else:
        mean, variance = (s.flatten(1).cpu() for s in instance_statistics(features))
    return mean.double(), variance.double()


def normalize(
    features: Tensor, statistics: Statistics, gamma: Tensor, beta: Tensor, eps: float
) -> Tensor:
    """`scale_and_shift` with merged statistics, by the fastest kernels for inference.

    Parameters
    ----------
    features
        (N, C, h, W), channels last.
    gamma, beta
        (N, C).

    Returns
    -------
    Tensor
        A new tensor like ``features``.
    """
    mean, variance = statistics.mean.float(), statistics.variance.float()  # (N, C)
    if features.device.type != "cpu":
        mean, variance = (s.to(features.device)[:, :, None, None] for s in (mean, variance))
        return scale_and_shift(features, mean, variance, gamma, beta, eps)
    result = torch.empty_like(features)
    unused = torch.empty(0)
    for i, picture in enumerate(features.split(1)):
        torch.native_batch_norm(
            *(picture, gamma[i], beta[i], mean[i], variance[i]),
            training=False,
            momentum=0.0,
            eps=eps,
            out=(result[i : i + 1], unused, unused.clone()),
        )
    return result

"""Conditional instance normalization (Dumoulin, Shlens, Kudlur 2017, arXiv:1610.07629, eq. 5)."""

from torch import Tensor, nn


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


class ConditionalInstanceNorm(nn.Module):
    """z = gamma_s (x - mu(x)) / sigma(x) + beta_s, eq. 5 of the paper.

    mu and sigma are taken per picture and per channel over the spatial axes. The layer owns no
    parameters: every picture of a batch brings its own gamma and beta, so pictures of different
    styles share a batch.

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
        mean, variance = instance_statistics(features)
        return scale_and_shift(features, mean, variance, gamma, beta, self.eps)

    def extra_repr(self) -> str:
        """Show the sizes in the printed network."""
        return f"{self.num_features}, eps={self.eps}"

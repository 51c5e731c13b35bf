"""Content and style losses: pure functions.

All are relative squared distances, so that layers and styles of very different magnitude share one
scale: 0 is a perfect match, and 1 is as far away as an all-zero answer would be.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.perception.moments import Moments


def relative_square_distance(actual: Tensor, target: Tensor) -> Tensor:
    """``|actual - target|^2 / |target|^2`` per item: (N, ...) to (N,), in float32."""
    actual, target = actual.float().flatten(1), target.float().flatten(1)
    return (actual - target).square().sum(1) / target.square().sum(1).clamp_min(1e-12)


def content_loss(features: Tensor, photo_features: Tensor) -> Tensor:
    """Content loss of each picture (Dumoulin et al. 2017, eq. 2, relative to the photo).

    Parameters
    ----------
    features, photo_features
        (N, C, H, W): one deep layer of the loss network, of the pastiche and of the photo.

    Returns
    -------
    Tensor
        (N,).
    """
    return relative_square_distance(features, photo_features)


def style_loss(
    pastiche: Sequence[Moments], style: Sequence[Moments], shares: Sequence[float] | None = None
) -> Tensor:
    """Style loss of each picture, over Gram matrices shifted by the style's mean features.

    Activations are never negative, so that the products of their means make up most of a plain
    Gram matrix: a network that gets the colours right has then little to gain from strokes. Taken
    around the style's own mean (the activation shift of Novak and Nikulin, arXiv:1605.04603), the
    matrix of a match is the covariance of the style's features, and texture has its full weight.

    Parameters
    ----------
    pastiche, style
        One entry per layer, shallow to deep; N pictures each.
    shares
        Weight of each entry; they sum to 1. By default all weigh the same.

    Returns
    -------
    Tensor
        (N,), the mean over layers.
    """
    terms = [
        relative_square_distance(p.shifted_gram(s.mean), s.shifted_gram(s.mean))
        for p, s in zip(pastiche, style, strict=True)
    ]
    return weighted_mean(terms, shares)


def gram_loss(
    pastiche: Sequence[Moments], style: Sequence[Moments], shares: Sequence[float] | None = None
) -> Tensor:
    """Style loss of each picture over plain Gram matrices (the paper, eq. 3, made relative)."""
    terms = [relative_square_distance(p.gram, s.gram) for p, s in zip(pastiche, style, strict=True)]
    return weighted_mean(terms, shares)


def weighted_mean(terms: Sequence[Tensor], shares: Sequence[float] | None) -> Tensor:
    """Sum of terms (N,), each times its share; their plain mean where none are given."""
    stacked = torch.stack(list(terms))
    if shares is None:
        return stacked.mean(0)
    # No matrix product: autocast would round it.
    return (stacked * stacked.new_tensor(shares)[:, None]).sum(0)


def square_error(pictures: Tensor, photos: Tensor) -> Tensor:
    """Mean squared error of each picture: (N,)."""
    return (pictures.float() - photos).square().mean(dim=(1, 2, 3))


def log_error(pictures: Tensor, photos: Tensor) -> Tensor:
    """Logarithm of each picture's mean squared error: minus its PSNR, up to a factor. (N,)."""
    return (square_error(pictures, photos) + 1e-5).log()

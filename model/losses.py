"""Content and style losses (Gatys et al. 2016; Johnson et al. 2016): pure functions.

Both are relative squared distances, so that layers and styles of very different magnitude share
one scale: 0 is a perfect match, and 1 is as far away as an all-zero answer would be.
"""

import torch
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix of feature maps, divided by H*W (and not by C).

    Parameters
    ----------
    features
        (N, C, H, W).

    Returns
    -------
    Tensor
        (N, C, C): mean products of pairs of channels over positions.
    """
    flat = features.flatten(2)  # (N, C, HW)
    return torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[2]


def relative_square_distance(actual: Tensor, target: Tensor) -> Tensor:
    """``|actual - target|^2 / |target|^2`` per item: (N, ...) to (N,), in float32."""
    actual, target = actual.float().flatten(1), target.float().flatten(1)
    return (actual - target).square().sum(1) / target.square().sum(1).clamp_min(1e-12)


def content_loss(features: Tensor, photo_features: Tensor) -> Tensor:
    """Content loss of each picture (the paper, eq. 2, relative to the photo's own features).

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


def style_loss(grams: list[Tensor], style_grams: list[Tensor]) -> Tensor:
    """Style loss of each picture: the mean over layers (the paper, eq. 3, made relative).

    Parameters
    ----------
    grams, style_grams
        One (N, C, C) Gram matrix per layer, of the pastiche and of its style.

    Returns
    -------
    Tensor
        (N,).
    """
    terms = [relative_square_distance(g, s) for g, s in zip(grams, style_grams, strict=True)]
    return torch.stack(terms).mean(0)

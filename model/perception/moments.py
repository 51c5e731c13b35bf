"""Moments of feature maps: all of a picture that a style loss sees."""

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """First and second moments of feature maps over positions, in float32."""

    mean: Tensor
    """(N, C)."""
    gram: Tensor
    """(N, C, C): the Gram matrix divided by H*W (and not by C)."""

    def shifted_gram(self, center: Tensor) -> Tensor:
        """Gram matrix (N, C, C) of the features minus ``center`` (N, C)."""
        cross = center[:, :, None] * self.mean[:, None, :]  # (N, C, C)
        square = center[:, :, None] * center[:, None, :]
        return self.gram - cross - cross.transpose(1, 2) + square


def feature_moments(features: Tensor) -> Moments:
    """Mean and Gram matrix of features (N, C, H, W); what a style is, seen by one layer."""
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)  # (N, C, HW)
        return Moments(flat.mean(2), torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[2])

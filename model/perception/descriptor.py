"""What a style predictor reads of a picture: its moments under the perceptual encoder, as a vector.

A style loss sees a painting through the moments of its features alone, so that they are all that a
style's row can depend on.
"""

import math

import torch
from torch import Tensor, nn

from model.perception.encoder import PerceptualEncoder
from model.perception.loss_network import pyramid
from model.perception.moments import Moments, feature_moments

LEVELS = 3  # full size, half, quarter
MOST_PIXELS = 384 * 384  # of a picture that are seen at each size
LEAST_VARIANCE = 1e-4  # of a feature; the encoder's have a mean square of about 1


class MomentDescriptor(nn.Module):
    """Pictures to vectors: per size and layer the features' means, spreads and covariances.

    Covariances, the Gram matrix shifted by the mean, come as random projections u^T S v with u and
    v of signs: a few hundred numbers keep the distances between matrices of up to 16,384.

    At a size at which a picture has more than `MOST_PIXELS`, the middles of its quarters are seen
    in place of all of it, so that what a picture costs is bounded.

    Parameters
    ----------
    encoder
        Frozen; its activations are what is measured.
    projections
        Of each covariance.
    """

    def __init__(self, encoder: PerceptualEncoder, projections: int = 192) -> None:
        super().__init__()
        self._encoder = (encoder,)  # in a tuple: no part of this module's state
        self.projections = projections
        channels = encoder.trunk.channels
        generator = torch.Generator().manual_seed(0)
        for name, count in channels.items():
            shape = (2, LEVELS, projections, count)
            signs = 2 * torch.randint(0, 2, shape, generator=generator, dtype=torch.int8) - 1
            # Stored with whoever uses it: a generator's numbers may change with its version.
            self.register_buffer(f"signs_{name}", signs)
        self.size = LEVELS * sum(2 * count + projections for count in channels.values())
        """D, numbers of a descriptor."""

    @property
    def encoder(self) -> PerceptualEncoder:
        """What pictures are seen through."""
        return self._encoder[0]

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        """Descriptors of pictures.

        Parameters
        ----------
        pictures
            (N, 3, H, W) in [0, 1], of at least 16 px a side.

        Returns
        -------
        Tensor
            (N, D), float32 and finite.
        """
        parts = []
        for level, scaled in enumerate(pyramid(pictures, LEVELS)):
            seen = middles_of_quarters(scaled, MOST_PIXELS)
            for name, features in self.encoder.trunk(seen).items():
                signs = getattr(self, f"signs_{name}")[:, level]
                readout = self.encoder.readouts[name].get_parameter("weight")
                moments = _join(feature_moments(features), len(pictures))
                parts += self._describe(moments, readout, signs)
        return torch.cat(parts, 1)

    @staticmethod
    def _describe(moments: Moments, readout: Tensor, signs: Tensor) -> list[Tensor]:
        """Means, logarithms of spreads and roots of projected covariances, one row a picture."""
        with torch.autocast(moments.mean.device.type, enabled=False):
            # The readout is linear: taken of the moments, not of every pixel.
            weight = readout[:, :, 0, 0].float()  # (C, C)
            covariance = weight @ moments.shifted_gram(moments.mean) @ weight.T  # (N, C, C)
            variance = covariance.diagonal(dim1=1, dim2=2).clamp_min(LEAST_VARIANCE)
            left, right = signs.float() / math.sqrt(weight.shape[0])  # (K, C)
            projected = torch.einsum("kc,ncd,kd->nk", left, covariance, right)
            roots = projected.sign() * projected.abs().sqrt()  # variances span many magnitudes
            return [moments.mean @ weight.T, variance.log() / 2, roots]


def middles_of_quarters(pictures: Tensor, pixels: int) -> Tensor:
    """Pictures (N, C, H, W) of at most so many pixels as they are; of larger ones, parts.

    Returns
    -------
    Tensor
        (4N, C, h, w), 4hw being at most ``pixels``: a part in the middle of each quarter, of its
        shape; the four of a picture N apart.
    """
    height, width = pictures.shape[2:]
    if height * width <= pixels:
        return pictures
    scale = math.sqrt(pixels / (height * width))
    h, w = int(height / 2 * scale), int(width / 2 * scale)
    corners = [
        (int((2 * y + 1) * height / 4 - h / 2), int((2 * x + 1) * width / 4 - w / 2))
        for y in range(2)
        for x in range(2)
    ]
    parts = [pictures[:, :, top : top + h, left : left + w] for top, left in corners]
    return torch.cat(parts).contiguous(memory_format=torch.channels_last)


def _join(moments: Moments, count: int) -> Moments:
    """The moments of ``count`` pictures from those of their parts, which are equally large."""
    if len(moments.mean) == count:
        return moments
    return Moments(*(part.unflatten(0, (-1, count)).mean(0) for part in moments))

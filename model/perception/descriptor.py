"""What a style predictor reads of a picture: its moments under the perceptual encoder, as a vector.

A style loss sees a painting through the moments of its features alone, so that they are all that a
style's row can depend on.
"""

import math

import torch
from torch import Tensor, nn

from model.perception.encoder import PerceptualEncoder
from model.perception.loss_network import pyramid
from model.perception.moments import feature_moments

LEVELS = 3  # full size, half, quarter
LEAST_VARIANCE = 1e-4  # of a feature; the encoder's have a mean square of about 1


class MomentDescriptor(nn.Module):
    """Pictures to vectors: per size and layer the features' means, spreads and covariances.

    Covariances, the Gram matrix shifted by the mean, come as random projections u^T S v with u and
    v of signs: a few hundred numbers keep the distances between matrices of up to 16,384.

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
            for name, features in self.encoder.trunk(scaled).items():
                signs = getattr(self, f"signs_{name}")[:, level]
                readout = self.encoder.readouts[name].get_parameter("weight")
                parts += self._describe(features, readout, signs)
        return torch.cat(parts, 1)

    @staticmethod
    def _describe(features: Tensor, readout: Tensor, signs: Tensor) -> list[Tensor]:
        """Means, logarithms of spreads and roots of projected covariances, one row a picture."""
        moments = feature_moments(features)
        with torch.autocast(features.device.type, enabled=False):
            # The readout is linear: taken of the moments, not of every pixel.
            weight = readout[:, :, 0, 0].float()  # (C, C)
            covariance = weight @ moments.shifted_gram(moments.mean) @ weight.T  # (N, C, C)
            variance = covariance.diagonal(dim1=1, dim2=2).clamp_min(LEAST_VARIANCE)
            left, right = signs.float() / math.sqrt(weight.shape[0])  # (K, C)
            projected = torch.einsum("kc,ncd,kd->nk", left, covariance, right)
            roots = projected.sign() * projected.abs().sqrt()  # variances span many magnitudes
            return [moments.mean @ weight.T, variance.log() / 2, roots]

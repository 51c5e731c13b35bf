"""Rows of feature maps that are computed when they are read: photo, convolution, normalization."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.streamed.convolution import RowConvolution, Rows
from model.network.network import aligned_side
from model.network.statistics import Statistics, normalize
from model.pictures.levels import to_unit

LOW_CONTRAST = 2 / 255  # standard deviation; below it, eps rules the first normalization
SMOOTH_DETAIL = 0.08
BLURRED_DETAIL = 0.036
SAMPLED_PIXELS = 60_000  # of a photo tell its mean, contrast and detail


class PhotoRows:
    """A batch of photos as the network wants them: floats, sides aligned, about zero.

    The first normalization takes the mean away in any case. Without it half precision has its
    digits left for the picture.

    Parameters
    ----------
    photos
        (N, 3, H, W): uint8, or floats in [0, 1]; on any device.
    center
        (N, 3, 1, 1), what is subtracted.
    dtype
        Of the rows; their device is that of ``center``.
    """

    def __init__(self, photos: Tensor, center: Tensor, dtype: torch.dtype) -> None:
        self._photos = photos
        self._center = center
        self._dtype = dtype

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, aligned."""
        height, width = self._photos.shape[-2:]
        return aligned_side(height), aligned_side(width)

    def read(self, start: int, stop: int) -> Tensor:
        """Rows start to stop, (N, 3, stop - start, W)."""
        height, width = self._photos.shape[-2:]
        band = self._photos[:, :, min(start, height - 1) : max(1, min(stop, height))]
        band = to_unit(band.to(self._center.device)) - self._center
        right, bottom = self.size[1] - width, (stop - start) - band.shape[2]
        if right or bottom:
            band = F.pad(band, [0, right, 0, bottom], mode="replicate")
        return band.to(self._dtype).contiguous(memory_format=torch.channels_last)


def sample(photos: Tensor) -> Tensor:
    """A regular sample of photos, (N, 3, h, w) as floats in [0, 1]; all of them if small."""
    step = _step(photos)
    return to_unit(photos[..., ::step, ::step])


def _step(photos: Tensor) -> int:
    return max(1, math.isqrt(photos.shape[-2] * photos.shape[-1] // SAMPLED_PIXELS))


def low_contrast(photos: Tensor) -> bool:
    """Whether one of the photos is so plain that rounding would show.

    Each normalization enlarges what little contrast a plain picture has, up to 300 times, and the
    rounding errors with it. Only where all pixels of a layer are computed alike, and finely
    enough, are plain areas plain in the end.
    """
    return bool((sample(photos).std(dim=(2, 3), correction=0).amax(1) < LOW_CONTRAST).any())


def least_detail(photos: Tensor) -> float:
    """Root mean square difference of neighbouring pixels over the contrast, of the smoothest photo.

    In smooth photos the filters for fine structure answer weakly, and normalization enlarges the
    rounding errors among them; styles turn those into texture. Measured with the styles that
    suffer most, in bfloat16 against float32: 0.2 levels and 57 dB at a detail of 0.23, 1.1 and 42
    at 0.06, 6 and 28 at 0.02. With float32 in the contraction alone, 1.0 and 44 at 0.02,
    but with later weights 1.4 and 40.1 at 0.034 (and 43.7 at 0.038): below 0.036 all is float32.
    """
    step = _step(photos)
    here = to_unit(photos[..., :-1:step, :-1:step])
    if not here.numel():
        return 0.0
    across = to_unit(photos[..., :-1:step, 1::step]) - here
    down = to_unit(photos[..., 1::step, :-1:step]) - here
    change = (across.square() + down.square()).mean(dim=(2, 3)).div(2).sqrt()  # (N, 3)
    contrast = here.std(dim=(2, 3), correction=0).clamp(min=1e-6)
    return float((change / contrast).amax(1).min())


@dataclass
class Convolved:
    """A layer's convolution, computed whenever it is read; cheaper than to keep, for some."""

    source: Rows
    convolution: RowConvolution

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.convolution.output_size(self.source.size)

    def read(self, start: int, stop: int) -> Tensor:
        """Rows start to stop."""
        return self.convolution.rows(self.source, start, stop)


@dataclass
class Normalized:
    """Feature maps normalized, scaled and shifted when they are read.

    Parameters
    ----------
    gamma, beta
        (N, C).
    rectified
        Whether a ReLU follows.
    residual
        What is added at the end.
    """

    source: Rows
    statistics: Statistics
    gamma: Tensor
    beta: Tensor
    eps: float
    rectified: bool
    residual: Rows | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.source.size

    def read(self, start: int, stop: int) -> Tensor:
        """Rows start to stop."""
        band = normalize(
            self.source.read(start, stop), self.statistics, self.gamma, self.beta, self.eps
        )
        if self.rectified:
            band.relu_()
        if self.residual is not None:
            band += self.residual.read(start, stop)
        return band

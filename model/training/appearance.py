"""What one sees in a network's pictures beyond the losses: grain, weave, blobs, lost structure.

A Gram matrix rewards a texture wherever it lies and whatever its grain. These measures say what a
viewer would complain of. All take any network as a function from photos to pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model.pictures.levels import LUMA_WEIGHTS

Stylize = Callable[[Tensor], Tensor]
"""Photos (N, 3, H, W) in [0, 1] to pictures of the same shape and range."""

GRAIN_LEVELS = 2.0  # of 255, standard deviation: a good camera's at low ISO
GREYS = (128, 64, 192)  # levels: middle, dark, light
WEAVE_PERIODS = (4.0, 6.0)  # px
NIGHTS = 3
TREND_DEGREE = 6
STRUCTURE_CONTRAST = 10.0
STRUCTURE_GRID = 48  # positions a side
STRUCTURE_LAYER = "relu3_1"

# Levels of both ends of the gradients, RGB: three night skies, dusk, day, and grey.
GRADIENTS = (  # the nights first: see NIGHTS
    ((2, 3, 8), (18, 24, 44)),
    ((6, 6, 8), (30, 30, 36)),
    ((12, 16, 40), (60, 56, 90)),
    ((40, 50, 110), (230, 150, 100)),
    ((90, 140, 210), (200, 220, 240)),
    ((100, 100, 100), (156, 156, 156)),
)


@dataclass(frozen=True)
class Appearance:
    """What a network makes of grain, gradients and structure in one style."""

    grain: float
    """`grain_gain`: 1 keeps a photo's grain as it is."""
    gradient: float
    """`gradient_spread` in levels of 255, the mean over all skies."""
    night: float
    """The same over the three night skies alone."""
    weave: float
    """`band_share` of the pastiches over the painting's own; 1 is as in the painting."""
    structure: float
    """`structure_distance` to the photos, their mean; 0 keeps every likeness."""
    frame: float | None = None
    """`model.training.frame.frame_contrast` in levels of 255, where it was measured."""


def one_by_one(stylize: Stylize, photos: Tensor) -> Tensor:
    """Pictures of photos (N, 3, H, W), in as little memory as one takes."""
    return torch.cat([stylize(photo) for photo in photos.split(1)])


def plain_squares(photos: Tensor, grain: float = 0.0) -> Tensor:
    """Photos with a plain grey square, of half their sides, in the middle.

    Normalization sees whole pictures: a square in a photo is treated as a wall or a sky in it is.
    A picture that is nothing but the square would have its grain enlarged to full contrast, and
    would say little of photos.

    Parameters
    ----------
    photos
        (N, 3, H, W) in [0, 1]. They have `GREYS` in turns.
    grain
        Standard deviation, in levels of 255, of white Gaussian noise on the squares: other noise
        in every channel and photo, the same at every call.
    """
    height, width = photos.shape[2:]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(photos), 3, height // 2, width // 2, generator=generator)
    grey = torch.tensor(GREYS)[torch.arange(len(photos)) % len(GREYS), None, None, None]
    pictures = photos.clone()
    top, left = height // 4, width // 4
    squares = ((grey + grain * noise) / 255).clamp(0, 1)
    pictures[:, :, top : top + height // 2, left : left + width // 2] = squares
    return pictures


def square_centers(pictures: Tensor) -> Tensor:
    """The middles, a quarter of the sides, of what became of `plain_squares`.

    At 384 px the rest of the square keeps 48 px between them and the photo: the network's reach is
    57 px, and of that the last 9 carry next to nothing.
    """
    height, width = pictures.shape[2:]
    top, left = height * 3 // 8, width * 3 // 8
    return pictures[:, :, top : top + height // 4, left : left + width // 4]


def spread(pictures: Tensor) -> Tensor:
    """Root mean square of each picture about its own mean colour: (N, 3, H, W) to (N,)."""
    variances = pictures.float().var(dim=(2, 3), correction=0)  # (N, 3)
    return variances.mean(1).sqrt()


@torch.inference_mode()
def grain_gain(stylize: Stylize, photos: Tensor) -> float:
    """How much louder white grain of 2 levels on a plain grey square leaves the network.

    The spread of the output is taken about its own mean colour, not against the output of the
    square without grain: whatever one sees on a plain wall counts, invented or amplified.

    Parameters
    ----------
    stylize
        The network.
    photos
        (N, 3, H, W): the squares lie in their middle, see `plain_squares`; 384 px and more, lest
        the photos around reach into what is measured. What they are matters, as their contrast
        sets what normalization makes of grain: compare figures on the same photos alone.

    Returns
    -------
    float
        Spread out over spread in; of each the root mean square over photos.
    """
    grainy = plain_squares(photos, GRAIN_LEVELS)
    out = one_by_one(stylize, grainy)
    came, left = (spread(square_centers(pictures)) for pictures in (grainy, out))
    return (left.square().mean() / came.square().mean()).sqrt().item()


def luminance(pictures: Tensor) -> Tensor:
    """BT.601 luma of pictures: (N, 3, H, W) to (N, H, W)."""
    weights = torch.tensor(LUMA_WEIGHTS, device=pictures.device)
    return torch.einsum("nchw,c->nhw", pictures.float(), weights)


def band_share(
    pictures: Tensor, shortest: float = WEAVE_PERIODS[0], longest: float = WEAVE_PERIODS[1]
) -> Tensor:
    """Share of a picture's power, but for its mean, at periods from ``shortest`` to ``longest``.

    Parameters
    ----------
    pictures
        (N, 3, H, W).
    shortest, longest
        In px, whatever the direction.

    Returns
    -------
    Tensor
        (N,), 0 to 1. Power of the luminance under a Hann window: without it the jump from one
        border to the opposite one would spread over all frequencies.
    """
    grey = luminance(pictures)
    height, width = grey.shape[1:]
    window = torch.outer(
        torch.hann_window(height, periodic=False), torch.hann_window(width, periodic=False)
    )
    # About the mean that the window sees: what is left at frequency 0 is nothing.
    grey = grey - (grey * window).sum((1, 2), keepdim=True) / window.sum()
    power = torch.fft.fft2(grey * window).abs().square()  # (N, H, W)
    frequency = torch.hypot(
        torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    )  # cycles per px
    inside = (frequency >= 1 / longest) & (frequency <= 1 / shortest)
    share: Tensor = power[:, inside].sum(1) / power.sum((1, 2)).clamp_min(1e-12)
    return share


def weave(pastiches: Tensor, painting: Tensor) -> float:
    """Mean `band_share` of pastiches (N, 3, H, W) over that of a painting (3, H', W')."""
    return (band_share(pastiches).mean() / band_share(painting[None])[0]).item()


def smooth_gradients(height: int, width: int) -> Tensor:
    """Skies without a star: (6, 3, height, width) in [0, 1], in whole levels as files have them.

    Every second one is a glow around a point, the others run down the picture, not quite upright.
    """
    down, across = torch.meshgrid(
        torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij"
    )
    linear = 0.85 * down + 0.15 * across
    glow = (down - 0.7).square() + (across - 0.35).square()  # 0 to 0.91, round at its middle
    skies = []
    for i, (first, last) in enumerate(GRADIENTS):
        start, end = (torch.tensor(c, dtype=torch.float32)[:, None, None] for c in (first, last))
        skies.append(start + (end - start) * (linear, glow)[i % 2])
    return torch.stack(skies).round() / 255


def smooth_trend(pictures: Tensor, degree: int = TREND_DEGREE) -> Tensor:
    """The polynomial in x and y, of a total degree, that is nearest to each channel of pictures.

    Fitted by least squares, so that it has no border of its own, as a blur would.
    """
    height, width = pictures.shape[-2:]
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    y, x = torch.linspace(-1, 1, height).double(), torch.linspace(-1, 1, width).double()
    terms = torch.stack([torch.outer(y**i, x**j).flatten() for i, j in powers], 1)
    basis = torch.linalg.qr(terms)[0]  # (HW, terms), orthonormal
    flat = pictures.double().flatten(2)  # (N, C, HW)
    trend: Tensor = (flat @ basis @ basis.T).view_as(pictures)
    return trend.to(pictures.dtype)


@torch.inference_mode()
def gradient_spread(stylize: Stylize, photos: Tensor) -> Tensor:
    """Structure that a network invents on skies without a star: blobs, drips, contours.

    Each of `smooth_gradients` takes the upper two thirds of a photo; measured is the upper half of
    the picture, so that the photo below does not reach into it.

    Parameters
    ----------
    stylize
        The network.
    photos
        (N, 3, H, W), taken in turns; 384 px and more.

    Returns
    -------
    Tensor
        (6,), levels of 255: the root mean square of the output about its own `smooth_trend`. The
        first three are night skies.
    """
    height, width = photos.shape[2:]
    skies = smooth_gradients(height * 2 // 3, width)
    pictures = photos[torch.arange(len(skies)) % len(photos)].clone()
    pictures[:, :, : height * 2 // 3] = skies
    out = one_by_one(stylize, pictures).float()
    upper = out[:, :, : height // 2]
    return (upper - smooth_trend(upper)).square().mean(dim=(1, 2, 3)).sqrt() * 255


def self_similarity(features: Tensor, grid: int = STRUCTURE_GRID) -> Tensor:
    """Logarithms of softmaxed self-correlation maps of features (N, C, H, W): (N, P, P).

    Parameters
    ----------
    features
        Of one layer.
    grid
        At most so many positions a side are taken, evenly: P is their number.
    """
    height, width = features.shape[2:]
    step = max(1, -(-max(height, width) // grid))
    flat = features[:, :, ::step, ::step].float().flatten(2)  # (N, C, P)
    # To a mean square length of 1: loss networks differ in scale, and a softmax would notice.
    scale = flat.square().sum(1).mean(1).clamp_min(1e-12)  # (N,)
    products = torch.bmm(flat.transpose(1, 2), flat) / scale[:, None, None]
    return (STRUCTURE_CONTRAST * products).log_softmax(2)


def structure_distance(features: Tensor, photo_features: Tensor) -> Tensor:
    """Content feature structural distance of pictures to their photos, on VGG-19 relu3_1: (N,).

    Which parts of a picture are like which (CFSD of StyleID, Chung et al. 2024,
    arXiv:2312.09008): the Kullback-Leibler divergence of the photo's self-correlation maps from
    the picture's, the mean over positions. Colours and textures may change, if only like things
    stay alike. It differs from the paper's in scale, see `self_similarity`: compare its figures
    with one another alone.
    """
    actual, wanted = self_similarity(features), self_similarity(photo_features)
    return (wanted.exp() * (wanted - actual)).sum(2).mean(1)

"""Measures of what one sees: each answers to what it is named for, and to nothing else."""

import math

import pytest
import torch
from torch import Tensor

from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.network.weights import Weights
from model.training.appearance import (
    NIGHTS,
    band_share,
    gradient_spread,
    grain_gain,
    plain_squares,
    smooth_gradients,
    smooth_trend,
    square_centers,
    structure_distance,
    weave,
)


def waves(period: float, size: int = 96, angle: float = 0.0) -> Tensor:
    """Grey stripes of a period in px: (1, 3, size, size)."""
    down, across = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    along = down * math.cos(angle) + across * math.sin(angle)
    stripes = 0.5 + 0.4 * torch.sin(2 * math.pi * along / period)
    return stripes.expand(1, 3, -1, -1)


def photos(count: int = 2, size: int = 64) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 4.0])
def test_grain_gain_is_the_factor_by_which_contrast_grows(factor: float) -> None:
    gain = grain_gain(lambda pictures: 0.5 + factor * (pictures - 0.5), photos())
    assert gain == pytest.approx(factor, abs=1e-3)


def test_grain_gain_counts_what_is_invented_on_a_plain_square() -> None:
    pattern = waves(4, 64) - 0.5
    gain = grain_gain(lambda pictures: 0 * pictures + pattern, photos())
    assert gain == pytest.approx(255 * pattern.std().item() / 2, rel=0.1)


def test_grain_is_on_the_square_alone() -> None:
    plain, grainy = (plain_squares(photos(), grain) for grain in (0, 2))
    changed = (plain != grainy).any(1)
    assert changed[:, 16:48, 16:48].float().mean() > 0.99
    assert changed.sum() == changed[:, 16:48, 16:48].sum()
    for i, grey in enumerate((128, 64)):
        center = square_centers(plain)[i]
        assert torch.equal(center, torch.full((3, 16, 16), grey / 255))
        noise = square_centers(grainy)[i] - center
        assert noise.std().item() * 255 == pytest.approx(2, rel=0.1)
    noises = square_centers(grainy) - square_centers(plain)
    assert not torch.allclose(noises[0], noises[1])


def test_grain_gain_of_a_network_is_the_same_each_time(small_weights: Weights) -> None:
    stylizer = Stylizer(small_weights)
    look = Look(torch.ones_like(small_weights.original))
    gains = [grain_gain(lambda p: stylizer.stylize_batch(p, [look]), photos(3)) for _ in range(2)]
    assert gains[0] == gains[1] > 0


@pytest.mark.parametrize("angle", [0.0, 0.6, math.pi / 2])
@pytest.mark.parametrize(("period", "inside"), [(2.5, 0), (5.0, 1), (12.0, 0)])
def test_band_share_finds_a_period_in_any_direction(
    period: float, inside: int, angle: float
) -> None:
    assert band_share(waves(period, angle=angle))[0] == pytest.approx(inside, abs=0.02)


def test_band_share_ignores_brightness_and_takes_any_shape() -> None:
    picture = 0.2 + 0.5 * torch.rand(2, 3, 60, 84, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(band_share(picture), band_share(picture + 0.3), atol=1e-4)
    assert band_share(torch.full((1, 3, 40, 40), 0.5))[0] == pytest.approx(0, abs=1e-3)


def test_weave_is_one_for_the_painting_itself() -> None:
    painting = (0.5 * waves(5) + 0.5 * waves(30))[0]
    assert weave(painting.expand(3, -1, -1, -1), painting) == pytest.approx(1)
    finer = 0.8 * waves(5) + 0.2 * waves(30)
    assert weave(finer, painting) > 1.5


def test_gradients_are_smooth_whole_levels_and_some_are_dark() -> None:
    gradients = smooth_gradients(64, 96)
    levels = gradients * 255
    assert gradients.min() >= 0
    assert gradients.max() <= 1
    assert (levels - levels.round()).abs().max() < 1e-4
    assert (levels[:NIGHTS].mean((1, 2, 3)) < 64).all()
    assert (levels[NIGHTS:].mean((1, 2, 3)) > 64).all()
    # Nothing but the rounding to whole levels is left of a smooth gradient.
    assert gradient_spread(lambda pictures: pictures, photos(2, 96)).max() < 0.35


def test_a_change_of_tone_is_no_structure_but_ripples_are() -> None:
    around = photos(2, 96)
    assert gradient_spread(lambda pictures: pictures**1.7, around).max() < 0.6
    ripple = 0.05 * (waves(6) - 0.5)
    spreads = gradient_spread(lambda pictures: pictures + ripple, around)
    assert spreads.shape == (6,)
    assert spreads.mean().item() == pytest.approx(255 * ripple.std().item(), rel=0.05)


def test_what_is_invented_in_the_photo_below_a_sky_does_not_count() -> None:
    def spoil(pictures: Tensor) -> Tensor:
        spoiled = pictures.clone()
        spoiled[:, :, 64:] = 1 - pictures[:, :, 64:]
        return spoiled

    assert gradient_spread(spoil, photos(1, 96)).max() < 0.35


def test_the_smooth_trend_of_a_polynomial_is_itself() -> None:
    axis = torch.linspace(-1, 1, 40)
    picture = (axis[:, None] ** 3 - 0.3 * axis[None] ** 2 * axis[:, None] + 0.1).expand(
        1, 3, -1, -1
    )
    assert torch.allclose(smooth_trend(picture), picture, atol=1e-5)


def test_structure_distance_sees_what_is_like_what_and_not_colours() -> None:
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(2, 8, 24, 24, generator=generator)
    same = structure_distance(photo, photo)
    assert same.abs().max() < 1e-5
    turned = photo.flip(1) * 3  # channels exchanged, louder: the likenesses stay
    assert structure_distance(turned, photo).abs().max() < 1e-4
    other = torch.rand(2, 8, 24, 24, generator=generator)
    near = structure_distance(photo + 0.1 * other, photo)
    far = structure_distance(other, photo)
    assert (near > 0).all()
    assert (near < 0.5 * far).all()


def test_structure_distance_has_one_figure_per_picture() -> None:
    photo = torch.rand(2, 4, 100, 60, generator=torch.Generator().manual_seed(1))
    pastiche = photo.clone()
    pastiche[1] = pastiche[1].flip(2)
    distances = structure_distance(pastiche, photo)
    assert distances.shape == (2,)
    assert distances[0].abs() < 1e-5 < distances[1]

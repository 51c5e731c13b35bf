"""The objective: what it compares, and how it weighs it."""

import random
from dataclasses import replace

import pytest
import torch

from model.perception.moments import Moments
from model.training.objective import (
    NETWORK_OBJECTIVE,
    Objective,
    Observation,
    Window,
    cut,
    draw_corner,
)
from model.training.style_recipe import StyleRecipe
from model.training.vgg19 import VGG19Features

SMALL = Objective(("relu1_2", "relu2_1"), "relu2_1", pyramid_levels=2, content_weight=2.0)


@pytest.fixture(scope="module")
def loss_network() -> VGG19Features:
    torch.manual_seed(0)
    return VGG19Features(SMALL.layers)


def test_a_picture_is_no_distance_from_itself(loss_network: VGG19Features) -> None:
    pictures = torch.rand(2, 3, 32, 24)
    seen = SMALL.observe(pictures, loss_network)
    assert len(seen.moments) == 4, "two layers at two sizes"
    content = SMALL.content_target(pictures, loss_network)
    targets = [SMALL.style_target(picture, loss_network) for picture in pictures]
    style = [
        Moments(*map(torch.cat, zip(*layer, strict=True))) for layer in zip(*targets, strict=True)
    ]
    for loss in SMALL.losses(seen, content, style):
        torch.testing.assert_close(loss, torch.zeros(2), rtol=0, atol=1e-5)
    other = SMALL.losses(
        seen, content.flip(0), [Moments(m.mean.flip(0), m.gram.flip(0)) for m in style]
    )
    assert all(bool((loss > 1e-3).all()) for loss in other)


def test_the_total_weighs_both_losses() -> None:
    content, style = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    expected = 2 * content + 5 * torch.tensor([1.0, 0.5]) * style
    assert torch.equal(SMALL.total(content, style, torch.tensor([1.0, 0.5])), expected)
    assert torch.equal(SMALL.total(content, style), 2 * content + 5 * style)


def test_a_recipe_s_objective_is_its_own() -> None:
    recipe = StyleRecipe(style_layers=("relu1_1",), content_layer="relu1_2", style_weight=7.0)
    own = {"style_layers": ("relu1_1",), "content_layer": "relu1_2", "margin": recipe.context}
    assert recipe.objective == replace(NETWORK_OBJECTIVE, style_weight=7.0, **own)
    assert recipe.objective.layers == {"relu1_1", "relu1_2"}
    assert StyleRecipe(context=0).objective == NETWORK_OBJECTIVE


def test_plain_matrices_see_a_wrong_mean_that_shifted_ones_hardly_do(
    loss_network: VGG19Features,
) -> None:
    picture = torch.rand(1, 3, 32, 24)
    style = SMALL.observe(picture, loss_network).moments
    # As if every feature had 3 % more: the same texture in another colour.
    moved = [
        Moments(
            m.mean * 1.03,
            m.gram + (1.03**2 - 1) * m.mean[:, :, None] * m.mean[:, None, :],
        )
        for m in style
    ]
    seen = Observation(SMALL.content_target(picture, loss_network), moved)
    plain = replace(SMALL, plain_weight=1.0)
    _, shifted = SMALL.losses(seen, seen.content, style)
    _, both = plain.losses(seen, seen.content, style)
    assert float(both - shifted) > 4 * float(shifted)


def test_a_window_is_seen_in_full_size_and_the_rest_reduced(loss_network: VGG19Features) -> None:
    pictures = torch.rand(2, 3, 32, 32)
    window = Window(torch.tensor([4, 10]), 16)
    part = pictures[:, :, 4:20, 10:26]
    assert torch.equal(cut(pictures, window), part)
    seen = SMALL.observe(pictures, loss_network, window)
    whole, alone = SMALL.observe(pictures, loss_network), SMALL.observe(part, loss_network)
    layers = len(SMALL.style_layers)
    for m, wanted in zip(
        seen.moments, alone.moments[:layers] + whole.moments[layers:], strict=True
    ):
        torch.testing.assert_close(m.gram, wanted.gram)
    target = SMALL.content_target(pictures, loss_network, window)
    torch.testing.assert_close(seen.content, target)


@pytest.mark.parametrize("windowed", [False, True])
def test_what_lies_in_the_margin_is_seen_but_not_compared(
    loss_network: VGG19Features, windowed: bool
) -> None:
    objective = replace(SMALL, margin=16)
    pictures = torch.rand(2, 3, 64, 64)
    window = Window(torch.tensor([8, 2]), 16) if windowed else None
    seen = objective.observe(pictures, loss_network, window)
    target = objective.content_target(pictures, loss_network, window)
    torch.testing.assert_close(seen.content, target)
    larger = torch.nn.functional.pad(pictures, [32] * 4)  # zeros, as a convolution pads
    inside = replace(SMALL, margin=48).observe(larger, loss_network, window)
    torch.testing.assert_close(seen, inside)  # the padding reaches nothing that is compared
    top, left = (8, 2) if windowed else (0, 0)
    side = 16 if windowed else 32
    rows, columns = (slice(16 + at, 16 + at + side) for at in (top, left))
    alone = loss_network(pictures[:, :, rows, columns])[SMALL.content_layer]
    assert seen.content.shape == alone.shape
    inner = (..., slice(4, -4), slice(4, -4))  # as far as zeros reach when it is looked at alone
    torch.testing.assert_close(seen.content[inner], alone[inner])
    other = pictures.clone()
    other[:, :, :4] = 0  # too far away for these layers
    torch.testing.assert_close(objective.observe(other, loss_network, window), seen)


def test_a_style_picture_counts_up_to_its_edges(loss_network: VGG19Features) -> None:
    objective = replace(SMALL, margin=16)
    picture = torch.rand(3, 40, 40)
    found = objective.style_target(picture, loss_network)
    plain = SMALL.style_target(picture, loss_network)
    for f, p in zip(found, plain, strict=True):  # the same, but for the zeros at the edges
        assert 0 < (f.mean - p.mean).norm() < 0.3 * p.mean.norm()
    flat = [m.mean for m in objective.style_target(torch.full((3, 40, 40), 0.3), loss_network)]
    wide = [m.mean for m in objective.style_target(torch.full((3, 80, 80), 0.3), loss_network)]
    torch.testing.assert_close(flat, wide)  # of a plain picture its size makes no difference


@pytest.mark.parametrize("side", [48, 24, 64])
def test_windows_reach_the_edges(side: int) -> None:
    seen = torch.zeros(64, 64)
    for position in range(400):
        top, left = draw_corner(random.Random(position), side, 64).tolist()
        assert 0 <= min(top, left) <= max(top, left) <= 64 - side
        seen[top : top + side, left : left + side] += 1 / 400
    along = torch.cat([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
    assert along.mean() > 0.4 * seen.mean()  # drawn inside alone: 0.08 and 0.06


def test_coarse_strokes_weigh_more_than_grain(loss_network: VGG19Features) -> None:
    coarse = replace(SMALL, coarse=3.0)
    assert SMALL.shares is None
    assert coarse.shares == pytest.approx([1 / 8, 1 / 8, 3 / 8, 3 / 8])
    style = SMALL.observe(torch.rand(1, 3, 32, 24), loss_network).moments
    off = [Moments(2 * m.mean, 4 * m.gram) for m in style]

    def loss(objective: Objective, moments: list[Moments]) -> float:
        content = torch.ones(1, 1, 1, 1)
        return float(objective.losses(Observation(content, moments), content, style)[1])

    fine_off, coarse_off = [*off[:2], *style[2:]], [*style[:2], *off[2:]]
    assert loss(SMALL, coarse_off) < loss(coarse, coarse_off)
    assert loss(coarse, fine_off) < loss(SMALL, fine_off)

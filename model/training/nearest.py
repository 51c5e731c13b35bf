"""Rows compared by their pictures: where a new row starts from, and whether it got better."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from model.network.network import StyleNetwork
from model.perception.loss_network import LossNetwork
from model.perception.moments import Moments
from model.training.crops import load_validation_batch, sample_photos
from model.training.losses import style_loss
from model.training.objective import Objective

NEAREST = 4  # rows of which blends are tried
SAMPLE_SIZE = 128  # px of the photos on which rows are compared
SAMPLES = 2


def load_samples() -> Tensor:
    """The photos on which rows are compared (N, 3, H, W): a few that the project ships, small."""
    return load_validation_batch(sample_photos()[:SAMPLES], SAMPLE_SIZE)


@torch.no_grad()
def blend_nearest(
    rows: Tensor,
    target: Sequence[Moments],
    objective: Objective,
    network: StyleNetwork,
    loss_network: LossNetwork,
    photos: Tensor,
) -> Tensor:
    """The blend of rows whose pictures come nearest to a style: where to start from.

    Every row is tried; then, of the nearest four, every pair in equal parts, three, and all.

    Parameters
    ----------
    rows
        (S, P).
    target
        Moments of the style picture, by the objective.
    photos
        (N, 3, H, W): a few, small, that every candidate stylizes.

    Returns
    -------
    Tensor
        (P,).
    """

    def measure(row: Tensor) -> float:
        pastiches = network.stylize_aligned(photos, row.expand(len(photos), -1))
        seen = objective.observe(pastiches, loss_network)
        return style_loss(seen.moments, target).mean().item()

    ranked = sorted(rows, key=measure)[:NEAREST]
    candidates = [ranked[0]]
    for size in range(2, len(ranked) + 1):
        # A mean and not a matrix product, which autocast would round.
        candidates += [torch.stack(chosen).mean(0) for chosen in combinations(ranked, size)]
    best: Tensor = min(candidates, key=measure)
    return best.clone()


@torch.no_grad()
def measure_row(
    row: Tensor,
    target: Sequence[Moments],
    objective: Objective,
    network: StyleNetwork,
    loss_network: LossNetwork,
    photos: Tensor,
    style_weight: float = 1.0,
) -> float:
    """The total loss of a row (P,) on photos (N, 3, H, W).

    Parameters
    ----------
    target
        Moments of the style picture, by the objective.
    style_weight
        Factor on the style loss.
    """
    pastiches = network.stylize_aligned(photos, row.expand(len(photos), -1))
    content, style = objective.measure(photos, pastiches, target, loss_network)
    return objective.total(content, style, style_weight).mean().item()

"""The margin around photos: it takes the network's frame, and nothing else."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.inference.look import Look
from model.inference.margin import (
    MARGIN,
    trim,
    trim_levels,
    widen,
    widen_levels,
    widened_pixels,
)
from model.inference.paths import FastPath, StreamedRunner
from model.inference.streamed.network import Follow
from model.inference.stylizer import Stylizer
from model.network.weights import Weights

SIZES = [(40, 57), (MARGIN + 1, 64), (MARGIN, 64), (64, 3), (1, 1)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_what_is_widened_is_trimmed_to_itself(height: int, width: int) -> None:
    photos = torch.rand(2, 3, height, width)
    wide = widen(photos)
    assert wide.shape == (2, 3, height + 2 * MARGIN, width + 2 * MARGIN)
    assert torch.equal(trim(wide), photos)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_levels_are_widened_as_tensors_are(height: int, width: int) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    wide = widen_levels(levels)
    tensor = torch.from_numpy(levels).permute(2, 0, 1)[None].float()
    assert np.array_equal(widen(tensor)[0].permute(1, 2, 0).numpy(), wide)
    assert np.array_equal(trim_levels(wide), levels)


class Framing(StreamedRunner):
    """A network that does nothing but to draw a frame."""

    def __call__(self, photos: Tensor, _codes: Tensor, _progress: Follow) -> Tensor:
        framed = photos.clone()
        for edge in (framed, framed.mT):
            edge[:, :, :8] = edge[:, :, -8:] = 0
        return framed


def test_no_frame_is_seen(small_weights: Weights) -> None:
    stylizer = Stylizer(small_weights)
    stylizer.use_fast_path(FastPath("framing", Framing(small_weights.network, torch.float32)))
    photos = torch.rand(2, 3, 48, 64)
    looks = [Look(stylizer.original), Look(stylizer.original, 0.5)]
    assert torch.equal(stylizer.stylize_batch(photos, looks), photos)
    assert torch.equal(stylizer.reconstruct(photos), photos)


def test_a_narrow_picture_counts_as_what_it_becomes(small_weights: Weights) -> None:
    assert widened_pixels(512, 510) == 576 * 576
    assert widened_pixels(1, 7_999) == 68 * 8_064
    stylizer = Stylizer(small_weights, whole_pixels=100_000)
    watched = Framing(small_weights.network, torch.float32)
    stylizer.use_fast_path(FastPath("framing", watched))
    narrow = np.zeros((2, 4_000, 3), np.uint8)
    ((outcome,),) = stylizer.stylize_levels([narrow], [Look(stylizer.original)])
    assert not np.array_equal(outcome, narrow), "in pieces, by the network itself"
    square = np.zeros((80, 100, 3), np.uint8)
    ((outcome,),) = stylizer.stylize_levels([square], [Look(stylizer.original)])
    assert np.array_equal(outcome, square), "whole, by the path"

"""The measure of frames answers to frames, and to nothing else."""

import pytest
import torch
from torch import Tensor

from model.training.frame import frame_contrast


def photos() -> Tensor:
    generator = torch.Generator().manual_seed(9)
    coarse = torch.rand(2, 3, 6, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, [96, 128], mode="bicubic").clamp(0, 1)


def test_what_is_the_same_everywhere_is_no_frame() -> None:
    def invert(pictures: Tensor) -> Tensor:
        return 1 - pictures.square()

    assert frame_contrast(invert, photos(), invert(photos())) == 0


@pytest.mark.parametrize("edge", ["top", "bottom", "left", "right"])
def test_every_edge_counts(edge: str) -> None:
    def draw(pictures: Tensor) -> Tensor:
        framed = pictures.clone()
        along = framed if edge in ("top", "bottom") else framed.mT
        strip = along[:, :, :6] if edge in ("top", "left") else along[:, :, -6:]
        strip += 0.1
        return framed

    # A little more than a quarter: of the two edges beside it, the ends are drawn on, too.
    assert 25.5 / 4 - 0.01 < frame_contrast(draw, photos(), draw(photos())) < 1.3 * 25.5 / 4


def test_strokes_are_no_frame() -> None:
    generator = torch.Generator().manual_seed(1)

    def grain(pictures: Tensor) -> Tensor:
        return pictures + 0.1 * torch.randn(pictures.shape, generator=generator)

    assert frame_contrast(grain, photos(), grain(photos())) < 3

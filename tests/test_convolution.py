"""Convolutions in other forms give the same numbers, whatever bands they are computed in."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.streamed.bands import MemoryFeatures
from model.inference.streamed.convolution import RowConvolution
from model.network.network import ConvNorm


def kept(tensor: Tensor) -> MemoryFeatures:
    features = MemoryFeatures(tuple(tensor.shape))
    features.write(0, tensor)
    return features


def plain(layer: ConvNorm, x: Tensor, enlarged: bool) -> Tensor:
    if enlarged:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    x = F.pad(x, [layer.padding] * 4, mode="reflect")
    return layer.conv(x)


@pytest.mark.parametrize("band", [4, 12, 10**6])
@pytest.mark.parametrize(
    ("kernel", "stride", "channels", "enlarged", "by_phases"),
    [
        (9, 1, 8, False, True),
        (9, 1, 3, False, True),
        (3, 1, 5, False, True),
        (3, 2, 5, False, True),
        (3, 1, 5, True, True),
        (3, 1, 5, True, False),
    ],
)
@pytest.mark.parametrize("size", [(16, 20), (44, 16)])
@torch.inference_mode()
def test_every_form_equals_the_plain_convolution(
    kernel: int,
    stride: int,
    channels: int,
    enlarged: bool,
    by_phases: bool,
    size: tuple[int, int],
    band: int,
) -> None:
    torch.manual_seed(kernel + stride)
    layer = ConvNorm(4, channels, kernel, stride, 1e-5)
    x = torch.randn(2, 4, *size).contiguous(memory_format=torch.channels_last)
    expected = plain(layer, x, enlarged)
    form = RowConvolution(layer, torch.float32, enlarged, by_phases)
    height, width = form.output_size(size)
    rows = range(0, height, band)
    found = torch.cat([form.rows(kept(x), a, min(height, a + band)) for a in rows], dim=2)
    assert found.shape == (2, channels, height, width)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_an_enlargement_gives_whole_pairs_of_rows() -> None:
    form = RowConvolution(ConvNorm(4, 4, 3, 1, 1e-5), torch.float32, enlarged=True)
    with pytest.raises(ValueError, match="even"):
        form.rows(kept(torch.rand(1, 4, 8, 8)), 1, 4)


def test_only_a_3x3_can_follow_an_enlargement() -> None:
    with pytest.raises(ValueError, match="3x3"):
        RowConvolution(ConvNorm(4, 4, 9, 1, 1e-5), torch.float32, enlarged=True)

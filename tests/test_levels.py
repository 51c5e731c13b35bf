"""Levels and float tensors; a photo's own colours."""

import numpy as np
import pytest
import torch
from picture_files import levels, pattern, photo
from PIL import Image

from model.pictures.levels import keep_colors, to_image, to_tensor


def test_all_levels_survive_the_round_trip() -> None:
    values = np.arange(768, dtype=np.uint32).astype(np.uint8).reshape(16, 16, 3)
    tensor = to_tensor(Image.fromarray(values))
    assert tensor.shape == (3, 16, 16)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert tensor.min() == 0
    assert tensor.max() == 1
    assert tensor[1, 0, 2] == values[0, 2, 1] / np.float32(255)
    image = to_image(tensor)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), values)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floats_are_rounded_in_float32(dtype: torch.dtype) -> None:
    tensor = to_tensor(photo()).to(dtype)
    image = to_image(tensor)
    assert np.array_equal(np.asarray(image), np.asarray(to_image(tensor.float())))
    assert abs(levels(image) - pattern(16, 12)).max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_on_a_gpu(dtype: torch.dtype) -> None:
    tensor = to_tensor(photo()).to(dtype)
    assert np.array_equal(np.asarray(to_image(tensor.cuda())), np.asarray(to_image(tensor)))


def test_values_outside_are_clamped_and_the_tensor_left_alone() -> None:
    values = torch.tensor([-torch.inf, -0.4, 0.5, 1.7, torch.inf]).expand(3, 2, 5)
    tensor = values.clone().requires_grad_()
    assert levels(to_image(tensor))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert torch.equal(tensor, values)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1, 3, 4, 4),
        torch.zeros(4, 4, 3),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.full((3, 4, 4), torch.nan),
    ],
    ids=["batch", "channels last", "integers", "nan"],
)
def test_what_is_no_picture_is_refused(tensor: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"tensor|floats"):
        to_image(tensor)


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_only_rgb_becomes_a_tensor(mode: str) -> None:
    with pytest.raises(ValueError, match="allowed is RGB"):
        to_tensor(Image.new(mode, (4, 4)))


def test_own_colors_are_kept_exactly() -> None:
    tensor = to_tensor(photo())
    torch.testing.assert_close(keep_colors(tensor, tensor), tensor)


def test_luminance_of_the_pastiche_and_chroma_of_the_photo() -> None:
    generator = torch.Generator().manual_seed(0)
    # Within these bounds nothing leaves [0, 1], where clamping would take its part.
    pastiche, original = 0.4 + 0.2 * torch.rand(2, 2, 3, 9, 7, generator=generator)
    result = keep_colors(pastiche, original)
    bt601 = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    wanted, given, got = (
        torch.einsum("yc,nchw->nyhw", bt601, t) for t in (pastiche, original, result)
    )
    torch.testing.assert_close(got[:, 0], wanted[:, 0])
    torch.testing.assert_close(got[:, 1:], given[:, 1:], atol=2e-6, rtol=0)
    torch.testing.assert_close(keep_colors(pastiche[1], original[1]), result[1])


def test_colors_are_clamped_and_shapes_checked() -> None:
    white, red = torch.ones(3, 2, 2), torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 2, 2)
    result = keep_colors(white, red)
    assert result.max() == 1
    assert result.min() >= 0
    for other in (torch.ones(3, 2, 3), torch.ones(1, 3, 2, 2)):
        with pytest.raises(ValueError, match="equal shapes"):
            keep_colors(white, other)
    with pytest.raises(ValueError, match="equal shapes"):
        keep_colors(torch.ones(4, 2, 2), torch.ones(4, 2, 2))

"""Between pictures in levels of 0 to 255 and float tensors in [0, 1]; the colours of a photo."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Levels = NDArray[np.uint8]
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # BT.601


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as (3, H, W) float32 in [0, 1].

    Raises
    ------
    ValueError
        The picture has another mode.
    """
    if image.mode != "RGB":
        raise ValueError(f"the picture has mode {image.mode}, allowed is RGB")
    levels = torch.from_numpy(np.array(image))  # (H, W, 3)
    return levels.permute(2, 0, 1).contiguous().to(torch.float32).div_(255)  # (3, H, W)


def to_image(tensor: Tensor) -> Image.Image:
    """A float tensor (3, H, W) as an RGB picture; values outside [0, 1] are clamped.

    Raises
    ------
    ValueError
        Another shape, no floats, or not a number somewhere: nothing that is a picture.
    """
    if tensor.dim() != 3 or tensor.shape[0] != 3 or not tensor.is_floating_point():
        shape = tuple(tensor.shape)
        raise ValueError(f"expected floats of shape (3, H, W), not {tensor.dtype} of {shape}")
    # bfloat16 has 8 bits of precision, too few to be multiplied by 255 and rounded.
    values = tensor.detach().to(torch.float32)
    if values.isnan().any():
        raise ValueError("the tensor holds values that are not a number")
    levels = values.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy())  # (H, W, 3)


def to_levels(pictures: Tensor) -> Levels:
    """(N, 3, H, W) in [0, 1] as (N, H, W, 3), rounded."""
    levels = pictures.clamp(0, 1).mul_(255).round_().to(torch.uint8)
    array: Levels = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


def to_unit(levels: Tensor) -> Tensor:
    """Levels in uint8 as floats in [0, 1]; floats as they are."""
    return levels.float().div_(255) if levels.dtype == torch.uint8 else levels.float()


def keep_colors(pastiche: Tensor, photo: Tensor) -> Tensor:
    """Luminance of the pastiche, colours of the photo.

    Luminance-only transfer (Gatys et al. 2016, arXiv:1606.05897), in YCbCr of BT.601 where the
    paper has YIQ, and without its matching of luminance histograms: the network has no style
    picture at hand.

    Parameters
    ----------
    pastiche, photo
        (3, H, W) or (N, 3, H, W) in [0, 1], of the same shape.

    Raises
    ------
    ValueError
        Shapes that differ or are no pictures.
    """
    if pastiche.shape != photo.shape or pastiche.dim() not in (3, 4) or pastiche.shape[-3] != 3:
        shapes = f"{tuple(pastiche.shape)} and {tuple(photo.shape)}"
        raise ValueError(f"expected two equal shapes (3, H, W) or (N, 3, H, W), not {shapes}")
    # Cb and Cr are differences to the luminance: moving R, G and B alike changes it alone.
    weights = photo.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)
    shift = ((pastiche - photo) * weights).sum(dim=-3, keepdim=True)  # (..., 1, H, W)
    return (photo + shift).clamp(0, 1)

"""Style pictures as the loss network is to see them."""

from PIL import Image
from torch import Tensor

from model.pictures.picture import to_tensor
from model.pictures.style_picture import LEAST_SPREAD, SMALLEST_SIDE, middle_box
from model.training.crops import resize_short_side


class UnfitPictureError(ValueError):
    """A picture that no style can be learned from; the text is one line and safe to show."""


def prepare_picture(picture: Image.Image, stroke_size: int) -> Tensor:
    """A style picture as the loss network is to see it: (3, H, W) in [0, 1].

    Of a picture longer than three times its width, the middle is taken.

    Raises
    ------
    UnfitPictureError
        It is too small, or has one colour only.
    """
    if min(picture.size) < SMALLEST_SIDE:
        raise UnfitPictureError(
            f"the picture has {picture.width} x {picture.height} pixels; "
            f"a style needs at least {SMALLEST_SIDE} on each side"
        )
    middle = picture.crop(middle_box(picture.size))
    tensor = to_tensor(resize_short_side(middle, stroke_size))
    if float(tensor.std(dim=(1, 2)).max()) < LEAST_SPREAD / 255:
        raise UnfitPictureError("the picture has one colour only; there is no style to learn")
    return tensor

"""The inference facade."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from model.inference.device import DeviceError, choose_device
from model.inference.stylizer import Look, Stylizer
from model.network.weights import Weights
from model.pictures.picture import Picture


@pytest.fixture
def stylizer(small_weights: Weights) -> Stylizer:
    return Stylizer(small_weights)


@pytest.fixture
def codes(stylizer: Stylizer) -> torch.Tensor:
    noise = torch.randn(3, stylizer.config.code_size, generator=torch.Generator().manual_seed(2))
    return stylizer.original + 0.3 * noise


def test_mixed_batch_equals_one_by_one(stylizer: Stylizer, codes: torch.Tensor) -> None:
    photos = torch.rand(3, 3, 24, 31)
    looks = [Look(codes[0]), Look(codes[1], 0.4), Look(codes[2], 0.7, preserve_color=True)]
    together = stylizer.stylize_batch(photos, looks)
    for i, look in enumerate(looks):
        alone = stylizer.stylize_batch(photos[i : i + 1], [look])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=2e-5)


def test_strength_zero_is_the_photo_exactly(stylizer: Stylizer, codes: torch.Tensor) -> None:
    photos = torch.rand(2, 3, 17, 19)
    looks = [Look(codes[0], 0.0), Look(codes[1], 0.0, preserve_color=True)]
    assert torch.equal(stylizer.stylize_batch(photos, looks), photos)


def test_strength_one_has_nothing_of_the_original(stylizer: Stylizer, codes: torch.Tensor) -> None:
    photos = torch.rand(1, 3, 16, 16)
    expected = stylizer.network(photos, codes[:1])
    found = stylizer.stylize_batch(photos, [Look(codes[0])])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_preserved_colour_is_the_photos(stylizer: Stylizer, codes: torch.Tensor) -> None:
    grey = torch.rand(1, 1, 24, 24).expand(1, 3, 24, 24)
    out = stylizer.stylize_batch(grey, [Look(codes[0], preserve_color=True)])
    assert float((out.amax(1) - out.amin(1)).max()) < 1e-3
    assert float((out - grey).abs().max()) > 1e-2


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan"), float("inf")])
def test_strength_is_checked(strength: float, codes: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="strength"):
        Look(codes[0], strength)


def test_as_many_looks_as_photos(stylizer: Stylizer, codes: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="2 photos but 1 looks"):
        stylizer.stylize_batch(torch.rand(2, 3, 16, 16), [Look(codes[0])])


def test_picture_keeps_alpha_and_format(stylizer: Stylizer, codes: torch.Tensor) -> None:
    alpha = Image.linear_gradient("L").resize((20, 12))
    picture = Picture(Image.new("RGB", (20, 12), (200, 90, 10)), alpha, "webp")
    result = stylizer.stylize(picture, Look(codes[0]))
    assert result.size == (20, 12)
    assert result.format == "webp"
    assert result.alpha is alpha


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 3), (5, 5), (1, 300), (300, 1), (64, 64)])
def test_plain_pictures_of_any_size(
    stylizer: Stylizer, codes: torch.Tensor, size: tuple[int, int]
) -> None:
    plain = Image.new("RGB", size, (128, 128, 128))
    result = stylizer.stylize_image(plain, Look(codes[0]))
    assert result.size == size
    low, high = result.convert("L").getextrema()
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert high - low <= 2


def test_reconstruction_uses_the_network(stylizer: Stylizer) -> None:
    photo = torch.rand(1, 3, 16, 16)
    out = stylizer.reconstruct(photo)
    assert out.shape == photo.shape
    assert not torch.equal(out, photo)


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "meta", "cuda:-1"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(DeviceError):
        choose_device(name)


def test_known_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_loads_from_a_folder(small_weights_folder: Path) -> None:
    assert Stylizer.load(small_weights_folder, "cpu").device.type == "cpu"

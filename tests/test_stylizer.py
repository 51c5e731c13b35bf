"""The inference facade."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model.inference.device import DeviceError, NoRoomError, choose_device
from model.inference.look import Look
from model.inference.margin import trim, widen
from model.inference.paths import FastPath
from model.inference.stylizer import Stylizer
from model.network.code import weaken
from model.network.weights import Weights
from model.pictures.levels import Levels
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
    photos = torch.rand(1, 3, 48, 48)  # larger than the margin: repeated edges magnify rounding
    expected = trim(stylizer.network(widen(photos), codes[:1]))
    found = stylizer.stylize_batch(photos, [Look(codes[0])])
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_strength_is_half_of_the_row_and_half_of_the_picture(
    stylizer: Stylizer, codes: torch.Tensor
) -> None:
    photos = torch.rand(1, 3, 48, 48)
    rows = weaken(codes[:1], torch.tensor([0.7]), stylizer.original, photos, stylizer.config)
    expected = torch.lerp(photos, trim(stylizer.network(widen(photos), rows)), 0.7)
    found = stylizer.stylize_batch(photos, [Look(codes[0], 0.49)])
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


def levels_of(size: tuple[int, int], count: int) -> list[Levels]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)]


class LittleMemory:
    """The exact way, for so many pixels at once."""

    def __init__(self, stylizer: Stylizer, pixels: int, error: Exception) -> None:
        self.stylizer, self.pixels, self.error = stylizer, pixels, error
        self.batches: list[int] = []

    def __call__(self, photos: torch.Tensor, *others: Any) -> torch.Tensor:
        count, _, height, width = photos.shape
        self.batches.append(count)
        if count * height * width > self.pixels:
            raise self.error
        return self.stylizer.exact(photos, *others)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")], ids=repr
)
def test_out_of_memory_leads_down_a_ladder(
    stylizer: Stylizer, codes: torch.Tensor, error: Exception
) -> None:
    pictures, looks = levels_of((40, 32), 3), [Look(code) for code in codes[:3]]
    (expected,) = stylizer.stylize_levels(pictures, looks)
    for pixels, batches in ((3000, [3, 1, 1, 1]), (1000, [3, 1, 1, 1])):
        runner = LittleMemory(stylizer, pixels, error)
        stylizer.use_fast_path(FastPath("of little memory", runner))
        found = list(stylizer.stylize_levels(pictures, looks))
        assert runner.batches == batches
        assert [len(group) for group in found] == [1, 1, 1], "each as soon as it is done"
        for (picture,), other in zip(found, expected, strict=True):
            assert isinstance(picture, np.ndarray)
            assert isinstance(other, np.ndarray)
            assert np.abs(picture.astype(int) - other.astype(int)).max() <= 1
    image = Image.fromarray(pictures[0])  # the command line's way is the same
    assert np.array_equal(np.array(stylizer.stylize_image(image, looks[0])), found[0][0])


def test_a_picture_without_room_is_told_and_the_others_are_done(
    stylizer: Stylizer, codes: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, (first, second) = stylizer.stylize_large, levels_of((24, 20), 2)

    def full(levels: Levels, *others: Any) -> Levels:
        if levels is first:
            raise OSError(errno.ENOSPC, "No space left on device")
        return large(levels, *others)

    monkeypatch.setattr(stylizer, "stylize_large", full)
    stylizer.whole_pixels = 100
    (failed,), (done,) = stylizer.stylize_levels([first, second], [Look(codes[0])] * 2)
    assert isinstance(failed, NoRoomError)
    assert "No space left on device, for 20 x 24 px" in str(failed)
    assert isinstance(done, np.ndarray)


def test_what_is_no_fault_of_memory_is_raised(stylizer: Stylizer, codes: torch.Tensor) -> None:
    runner = LittleMemory(stylizer, 0, RuntimeError("shapes differ"))
    stylizer.use_fast_path(FastPath("broken", runner))
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(stylizer.stylize_levels(levels_of((16, 16), 2), [Look(codes[0])] * 2))
    assert runner.batches == [2]

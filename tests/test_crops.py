"""Training crops: every draw is a function of its position alone."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from model.training.crops import (
    SEED_CELL,
    PhotoCrops,
    cycle,
    find_photos,
    quarter_means,
    smooth_noise,
)


def test_every_pass_sees_every_item_once() -> None:
    items = list(range(7))
    passes = [[cycle(items, 7 * p + i, seed=3) for i in range(7)] for p in range(3)]
    assert all(sorted(p) == items for p in passes)
    assert passes[0] != passes[1]
    assert [cycle(items, i, seed=3) for i in range(7)] == passes[0]


def test_crops_vary_in_scale_and_some_are_flat(pictures: Path) -> None:
    paths = find_photos(pictures / "photos")
    crops = PhotoCrops(paths, 32, smooth_share=1.0)
    flat = crops.batch(0, 8)
    detailed = PhotoCrops(paths, 32, smooth_share=0.0).batch(0, 8)

    def roughness(batch: torch.Tensor) -> float:
        return float(batch.diff(dim=3).abs().mean())

    assert roughness(flat) < 0.7 * roughness(detailed)


def test_a_crop_is_the_same_whatever_was_drawn_before(pictures: Path) -> None:
    paths = find_photos(pictures / "photos")

    def make() -> PhotoCrops:
        shares = {"smooth_share": 0.4, "faint_share": 0.3, "seed_share": 0.5, "wall_share": 0.5}
        return PhotoCrops(paths, 32, **shares, seed=2)

    crops = make()
    for position in (9, 3, 9, 0):
        crop = crops.crop(position)
        assert crop.shape == (3, 32, 32)
        assert bool(((crop >= 0) & (crop <= 1)).all())
        assert torch.equal(crop, make().crop(position))
    kinds = {crops.draw(position).kind for position in range(40)}
    assert kinds == {"photo", "faint", "smooth"}


def test_a_plain_crop_is_a_part_of_its_photo(pictures: Path) -> None:
    paths = find_photos(pictures / "photos")
    crops = PhotoCrops(paths, 48, min_share=1.0, smooth_share=0.0)
    drawn = next(d for d in map(crops.draw, range(40)) if not d.flipped)
    position = next(p for p in range(40) if crops.draw(p) == drawn)
    photo = crops.photo(drawn.photo)[
        :, drawn.top : drawn.top + drawn.side, drawn.left : drawn.left + drawn.side
    ]
    assert drawn.side == min(crops.photo(drawn.photo).shape[1:])
    crop = crops.crop(position)
    assert crop.mean() == pytest.approx(photo.float().mean().item() / 255, abs=0.02)


def test_smooth_crops_have_grain_and_may_be_faint(pictures: Path) -> None:
    crops = PhotoCrops(find_photos(pictures / "photos"), 64, smooth_share=1.0)
    batch = crops.batch(0, 16)
    steps = batch.diff(dim=3).flatten(1).std(dim=1) * 255
    assert bool((steps > 0.3).all()), "no crop is without any contrast"
    assert float(batch.flatten(1).std(dim=1).min()) * 255 < 8


def test_a_wall_lies_over_a_part_of_the_photo(pictures: Path) -> None:
    paths = find_photos(pictures)
    bare, walled = (PhotoCrops(paths, 64, smooth_share=0, wall_share=w, seed=3) for w in (0, 1))
    for position in range(8):
        assert walled.draw(position).walled
        photo, picture = bare.crop(position), walled.crop(position)
        share = (photo != picture).any(0).float().mean()
        assert 0.1 < share < 0.6  # .35 to .75 of each side, and the photo around it as it was
        assert picture.min() >= 0
        assert picture.max() <= 1


@pytest.mark.parametrize("side", [8, 9])
def test_means_of_quarters_are_those_of_adaptive_pooling(side: int) -> None:
    pictures = torch.rand(2, 3, side, side + 3)
    torch.testing.assert_close(quarter_means(pictures), F.adaptive_avg_pool2d(pictures, 2))


def test_smooth_noise_is_smooth_and_of_unit_spread() -> None:
    noise = smooth_noise(256, torch.Generator().manual_seed(0))
    assert noise.shape == (1, 3, 256, 256)
    assert noise.std() == pytest.approx(1)
    assert noise.diff(dim=3).std() < 0.35
    assert (noise[..., SEED_CELL * 4 :] - noise[..., : -SEED_CELL * 4]).std() > 1


def test_large_photos_are_kept_no_larger_than_crops_ask_for(tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 40).convert("RGB").save(tmp_path / "a.png")
    crops = PhotoCrops([tmp_path / "a.png"], 32, min_share=0.5)
    assert crops.photo(0).shape == (3, 64, 96)
    assert crops.photo(0).dtype == torch.uint8

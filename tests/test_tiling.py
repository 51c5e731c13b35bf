"""A picture in pieces is the picture."""

import numpy as np
import pytest
import torch
from service_helpers import photo_levels

from model.inference import tiling
from model.inference.look import Look
from model.inference.margin import widened_pixels
from model.inference.stylizer import Stylizer
from model.inference.tiling import NotFiniteError, TilingMode
from model.network.weights import Weights
from model.pictures.levels import to_levels
from model.storage.assets import asset_folder
from model.styles.library import StyleLibrary


@pytest.fixture
def stylizer(small_weights: Weights) -> Stylizer:
    stylizer = Stylizer(small_weights)
    stylizer.exact.network_for(torch.rand(1, 3, 8, 8)).band_bytes = 20_000
    return stylizer


def whole(stylizer: Stylizer, levels: np.ndarray, look: Look) -> np.ndarray:
    photo = torch.from_numpy(levels).permute(2, 0, 1)[None]
    return to_levels(stylizer.stylize_batch(photo, [look]))[0]


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize("size", [(64, 64), (157, 91), (1, 300), (333, 2)])
@pytest.mark.parametrize(
    "values", [{}, {"strength": 0.4}, {"strength": 0.7, "preserve_color": True}, {"strength": 0.0}]
)
def test_exact_pieces_equal_the_whole(
    stylizer: Stylizer, size: tuple[int, int], values: dict[str, float]
) -> None:
    levels = photo_levels(*size, seed=3)
    look = Look(stylizer.original * 0.9, **values)
    found = stylizer.stylize_large(levels, look)
    assert found.shape == levels.shape
    assert difference(found, whole(stylizer, levels, look)).max() <= 1


def test_exact_pieces_equal_the_whole_with_the_shipped_network() -> None:
    folder = asset_folder("weights")
    stylizer = Stylizer.load(folder, "cpu")
    library = StyleLibrary(folder / "styles", stylizer.fingerprint)
    levels = photo_levels(301, 214, seed=1)
    for style in list(library)[:3]:
        look = Look(style.code)
        found = stylizer.stylize_large(levels, look)
        assert difference(found, whole(stylizer, levels, look)).max() <= 1, style.id


def test_a_plain_picture_in_pieces_stays_plain(stylizer: Stylizer) -> None:
    plain = np.full((70, 90, 3), 128, np.uint8)
    modes: tuple[TilingMode, ...] = ("exact", "quick")
    for mode in modes:
        found = stylizer.stylize_large(plain, Look(stylizer.original), mode)
        assert np.ptp(found, axis=(0, 1)).max() <= 2


def test_quick_tiles_have_no_seams(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the statistics of the picture itself, tiles are exact: the halo reaches far enough.
    monkeypatch.setattr(tiling, "TILE_SIDE", 64)
    levels = photo_levels(207, 161, seed=2)
    look = Look(stylizer.original * 0.9, 0.8, preserve_color=True)
    found = stylizer.stylize_large(levels, look, "quick")
    assert difference(found, whole(stylizer, levels, look)).max() <= 1


def test_quick_statistics_come_from_a_reduced_picture(
    stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "QUICK_PIXELS", widened_pixels(90, 120) // 5)
    levels = photo_levels(120, 90, seed=2)
    look = Look(stylizer.original)
    found = stylizer.stylize_large(levels, look, "quick")
    apart = difference(found, whole(stylizer, levels, look))
    assert 0 < apart.mean() < 25


def test_large_images_go_in_pieces(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    image = Image.fromarray(photo_levels(60, 50))
    look = Look(stylizer.original)
    expected = np.array(stylizer.stylize_image(image, look))
    stylizer.whole_pixels = 2_999

    def refuse(*_: object) -> None:
        raise AssertionError("whole")

    monkeypatch.setattr(stylizer, "stylize_batch", refuse)
    assert difference(np.array(stylizer.stylize_image(image, look)), expected).max() <= 1


@pytest.mark.parametrize("mode", ["exact", "quick"])
def test_progress_reaches_the_end_and_can_stop_the_work(
    stylizer: Stylizer, mode: TilingMode
) -> None:
    told: list[float] = []
    levels = photo_levels(80, 60)
    stylizer.stylize_large(levels, Look(stylizer.original), mode, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0

    def stop(_: float) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        stylizer.stylize_large(levels, Look(stylizer.original), mode, stop)


def test_what_is_no_number_is_no_picture(stylizer: Stylizer) -> None:
    code = torch.full_like(stylizer.original, 3e38)
    with pytest.raises(NotFiniteError):
        stylizer.stylize_large(photo_levels(), Look(code))

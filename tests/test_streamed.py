"""The pass in bands is the network's own, can be followed, and can be ended."""

import pytest
import torch
from torch import Tensor

from model.inference.streamed.bands import FileStore
from model.inference.streamed.network import Pass, StreamedNetwork
from model.inference.streamed.rows import low_contrast
from model.network.code import default_codes
from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.network.statistics import Statistics, instance_statistics


def make(
    dtype: torch.dtype = torch.float32, small: bool = False
) -> tuple[StyleNetwork, StreamedNetwork]:
    torch.manual_seed(0)
    network = StyleNetwork(NetworkConfig(channels=8, residual_blocks=1)).eval()
    network.requires_grad_(False)
    streamed = StreamedNetwork(network, dtype)
    if small:  # several bands even of small pictures
        streamed.band_bytes = 4_000
    return network, streamed


def random_codes(network: StyleNetwork, pictures: int) -> Tensor:
    noise = torch.randn(pictures, network.config.code_size)
    return default_codes(network.config, pictures) + 0.3 * noise


def pastiche(streamed: StreamedNetwork, photos: Tensor, codes: Tensor, run: Pass) -> Tensor:
    logits = streamed.run(photos, codes, run)
    height, width = photos.shape[-2:]
    return torch.sigmoid(logits.read(0, logits.size[0])[..., :height, :width].float())


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("size", [(16, 16), (61, 33), (2, 97)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.inference_mode()
def test_streamed_equals_the_network(
    small: bool, lean: bool, size: tuple[int, int], layout: torch.memory_format
) -> None:
    network, streamed = make(small=small)
    photos = torch.rand(3, 3, *size).contiguous(memory_format=layout)
    codes = random_codes(network, 3)
    found = pastiche(streamed, photos, codes, Pass(lean=lean))
    torch.testing.assert_close(found, network(photos, codes), atol=3e-5, rtol=0)


@torch.inference_mode()
def test_files_and_levels_give_the_same_picture() -> None:
    network, streamed = make(small=True)
    levels = torch.randint(0, 256, (1, 3, 50, 71), dtype=torch.uint8)
    codes = random_codes(network, 1)
    expected = network(levels.float() / 255, codes)
    store = FileStore(torch.device("cpu"))
    found = pastiche(streamed, levels, codes, Pass(store, lean=True))
    assert (found - expected).abs().max() < 1 / 255
    assert streamed.device.type == "cpu"


@torch.inference_mode()
def test_half_precision_is_near_and_measures_in_full() -> None:
    network, streamed = make(torch.bfloat16)
    photos, codes = torch.rand(2, 3, 64, 48), random_codes(network, 2)
    run = Pass()
    found = pastiche(streamed, photos, codes, run)
    assert (found - network(photos, codes)).abs().mean() < 2 / 255
    assert found.dtype == torch.float32
    assert {s.mean.dtype for s in run.measured} == {torch.float64}


@torch.inference_mode()
def test_progress_grows_to_the_end_and_can_stop_the_pass() -> None:
    network, streamed = make(small=True)
    photos, codes = torch.rand(1, 3, 64, 64), random_codes(network, 1)
    for lean in (False, True):
        told: list[float] = []
        streamed.run(photos, codes, Pass(progress=told.append, lean=lean))
        assert told == sorted(told)
        assert len(told) > 30
        assert told[-1] == pytest.approx(1.0), lean

    def stop(_: float) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        streamed.run(photos, codes, Pass(progress=stop))


@torch.inference_mode()
def test_large_pictures_pause_more_often_than_small_ones() -> None:
    network, streamed = make()
    streamed.band_multiplications = 100_000
    counts = []
    for side in (16, 64):
        told: list[float] = []
        photos = torch.rand(1, 3, side, side)
        streamed.run(photos, random_codes(network, 1), Pass(progress=told.append))
        counts.append(len(told))
    assert counts[0] >= 8, "every layer pauses"
    assert counts[1] > 3 * counts[0]


def test_statistics_of_pieces_are_those_of_the_whole() -> None:
    maps = 3 + 2 * torch.randn(2, 4, 30, 20).contiguous(memory_format=torch.channels_last)
    statistics = Statistics.empty(2, 4)
    for piece in maps.split([1, 12, 17], dim=2):
        statistics.add(piece)
    mean, variance = instance_statistics(maps)
    torch.testing.assert_close(statistics.mean.float(), mean.flatten(1))
    torch.testing.assert_close(statistics.variance.float(), variance.flatten(1), rtol=1e-4, atol=0)
    assert statistics.count == 600


def test_contrast_of_the_plainest_photo_counts() -> None:
    photos = torch.rand(2, 3, 40, 40)
    assert not low_contrast(photos)
    photos[1] = 0.5 + photos[1] / 255
    assert low_contrast(photos)
    assert low_contrast((photos * 255).to(torch.uint8))

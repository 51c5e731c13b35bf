"""Bands change nothing but the moments at which a pass can be interrupted."""

import pytest
import torch

from model.bands import band_network
from model.network import NetworkConfig, StyleNetwork, default_codes


def pair(band_multiplications: int | None, pauses: list[None]) -> tuple[StyleNetwork, StyleNetwork]:
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(StyleNetwork(NetworkConfig(channels=8, residual_blocks=1)).eval())
    band_network(networks[1], lambda: pauses.append(None), band_multiplications)
    return networks[0], networks[1]


@pytest.mark.parametrize("band_multiplications", [50_000, 1_000_000])
@pytest.mark.parametrize("size", [(16, 16), (61, 33)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@torch.inference_mode()
def test_banded_equals_whole(
    band_multiplications: int, size: tuple[int, int], layout: torch.memory_format
) -> None:
    pauses: list[None] = []
    whole, banded = pair(band_multiplications, pauses)
    photos = torch.rand(2, 3, *size).contiguous(memory_format=layout)
    codes = default_codes(whole.config, 2) + 0.3 * torch.randn(2, whole.config.code_size)
    torch.testing.assert_close(banded(photos, codes), whole(photos, codes), atol=2e-5, rtol=0)
    assert len(pauses) >= 8, "every layer pauses"


@torch.inference_mode()
def test_more_bands_pause_more_often_and_a_pause_can_end_the_pass() -> None:
    few: list[None] = []
    many: list[None] = []
    photos = torch.rand(1, 3, 64, 64)
    for pauses, multiplications in ((few, None), (many, 100_000)):
        _, banded = pair(multiplications, pauses)
        banded(photos, default_codes(banded.config, 1))
    assert len(few) == 8
    assert len(many) > 3 * len(few)

    def stop() -> None:
        raise KeyError

    _, banded = pair(None, [])
    band_network(banded, stop)
    with pytest.raises(KeyError):
        banded(photos, default_codes(banded.config, 1))


def test_names_of_weights_stay() -> None:
    whole, banded = pair(None, [])
    assert whole.state_dict().keys() == banded.state_dict().keys()

"""The network: its normalization, the layout of a code, batches of mixed styles, any size."""

import itertools

import pytest
import torch
from torch import Tensor

from model.network.code import anchor_original, default_codes
from model.network.config import NetworkConfig
from model.network.network import StyleNetwork, aligned_side
from model.network.normalization import ConditionalInstanceNorm

SMALL = NetworkConfig(channels=8, residual_blocks=1)


@pytest.fixture(scope="module")
def network() -> StyleNetwork:
    torch.manual_seed(0)
    return StyleNetwork(SMALL).eval()


def random_codes(count: int, config: NetworkConfig = SMALL) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    rows = default_codes(config, count)
    return rows + 0.3 * torch.randn(rows.shape, generator=generator)


def test_gamma_one_beta_zero_is_instance_norm() -> None:
    x = torch.randn(3, 5, 11, 7, generator=torch.Generator().manual_seed(0)) * 4 + 2
    ours = ConditionalInstanceNorm(5)(x, torch.ones(3, 5), torch.zeros(3, 5))
    torch.testing.assert_close(ours, torch.nn.functional.instance_norm(x), rtol=1e-5, atol=1e-5)


def test_every_picture_has_its_own_gamma_and_beta() -> None:
    x = torch.randn(2, 4, 9, 9)
    gamma, beta = torch.rand(2, 4) + 0.5, torch.randn(2, 4)
    both = ConditionalInstanceNorm(4)(x, gamma, beta)
    for i in range(2):
        expected = torch.nn.functional.instance_norm(x[i : i + 1], weight=gamma[i], bias=beta[i])
        torch.testing.assert_close(both[i : i + 1], expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_float32_whatever_the_activations() -> None:
    # The mean of these would drown in bfloat16's eight bits.
    x = (1000 + torch.randn(1, 2, 32, 32)).bfloat16()
    z = ConditionalInstanceNorm(2)(x, torch.ones(1, 2), torch.zeros(1, 2))
    assert z.dtype == torch.bfloat16
    assert z.float().mean().abs() < 0.02
    assert (z.float().std() - 1).abs() < 0.05


def test_flat_maps_stay_finite() -> None:
    z = ConditionalInstanceNorm(2)(
        torch.full((1, 2, 8, 8), 0.3), torch.ones(1, 2), torch.ones(1, 2)
    )
    torch.testing.assert_close(z, torch.ones_like(z), rtol=0, atol=1e-3)


def test_sizes_of_the_paper() -> None:
    config = NetworkConfig()
    weights = sum(p.numel() for p in StyleNetwork(config).parameters())
    assert weights == 1_674_432
    assert config.code_size == 3_206


@pytest.mark.parametrize(
    "options", [{"channels": 0}, {"residual_blocks": -1}, {"eps": 0.0}, {"eps": float("nan")}]
)
def test_config_is_checked(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        NetworkConfig(**options)  # type: ignore[arg-type]


def test_code_is_gammas_then_betas_in_network_order(network: StyleNetwork) -> None:
    half = SMALL.code_size // 2
    pairs = network.split_codes(torch.arange(2.0 * half)[None])
    assert [gamma.shape[1] for gamma, _ in pairs] == list(SMALL.norm_channels)
    torch.testing.assert_close(torch.cat([g for g, _ in pairs], 1)[0], torch.arange(1.0 * half))
    torch.testing.assert_close(pairs[0][1][0, 0], torch.tensor(1.0 * half))


def test_batch_of_mixed_styles_equals_one_by_one(network: StyleNetwork) -> None:
    photos, codes = torch.rand(4, 3, 32, 48), random_codes(4)
    together = network(photos, codes)
    for i in range(4):
        alone = network(photos[i : i + 1], codes[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 2), (2, 1), (3, 3), (5, 5), (16, 16), (17, 31), (1, 200), (200, 1), (63, 65)],
)
def test_any_size_keeps_its_size(network: StyleNetwork, height: int, width: int) -> None:
    out = network(torch.rand(1, 3, height, width), random_codes(1)).detach()
    assert out.shape == (1, 3, height, width)
    assert bool(out.isfinite().all())
    assert 0 <= float(out.min()) <= float(out.max()) <= 1


@pytest.mark.parametrize("side", [255, 256, 257])
def test_common_odd_sizes(network: StyleNetwork, side: int) -> None:
    assert network(torch.rand(1, 3, side, side), random_codes(1)).shape[-2:] == (side, side)


def test_padding_leaves_aligned_sizes_alone(network: StyleNetwork) -> None:
    photos, codes = torch.rand(1, 3, 32, 20), random_codes(1)
    assert torch.equal(network(photos, codes), network.stylize_aligned(photos, codes))
    assert [aligned_side(s) for s in (1, 16, 17, 20, 21)] == [16, 16, 20, 20, 24]


def test_flat_grey_stays_flat(network: StyleNetwork) -> None:
    # Nothing to see in, nothing to see out: normalization must not blow up rounding noise.
    out = network(torch.full((1, 3, 64, 64), 0.5), random_codes(1)).detach()
    assert float(out.std(dim=(2, 3)).max()) < 1 / 255


def test_styles_differ_in_pictures(network: StyleNetwork) -> None:
    photo, codes = torch.rand(1, 3, 32, 32), random_codes(3)
    pictures = network(photo.expand(3, -1, -1, -1), codes)
    for i, j in itertools.combinations(range(3), 2):
        assert (pictures[i] - pictures[j]).abs().mean() * 255 > 2


def test_gradient_reaches_the_used_rows_alone(network: StyleNetwork) -> None:
    table = random_codes(3).requires_grad_()
    network(torch.rand(2, 3, 16, 16), table[[0, 2]]).sum().backward()
    assert table.grad is not None
    assert bool(table.grad[1].eq(0).all())
    assert float(table.grad[0].abs().sum()) > 0
    assert float(table.grad[2].abs().sum()) > 0


def test_original_brings_the_photos_own_colours() -> None:
    photo, codes = torch.rand(2, 3, 20, 20) * 0.3 + 0.5, random_codes(2)
    logits = photo.logit()
    half = SMALL.code_size // 2
    for share in (0.0, 0.5, 1.0):
        anchored = anchor_original(codes, photo, torch.full((2,), share), SMALL)
        change = anchored - codes
        expected_gamma = share * logits.std(dim=(2, 3), correction=0)
        torch.testing.assert_close(change[:, half - 3 : half], expected_gamma)
        torch.testing.assert_close(change[:, -3:], share * logits.mean(dim=(2, 3)))
        assert bool(change[:, : half - 3].eq(0).all())
        assert bool(change[:, half:-3].eq(0).all())


def test_original_of_black_and_white_is_finite() -> None:
    photo = torch.zeros(1, 3, 8, 8)
    photo[..., 4:] = 1
    anchored = anchor_original(random_codes(1), photo, torch.ones(1), SMALL)
    assert bool(anchored.isfinite().all())

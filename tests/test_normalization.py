"""The family of normalizations: which is which, what each depends on, that a network can use it."""

from pathlib import Path
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.stylizer import Stylizer
from model.network.code import default_codes
from model.network.config import NetworkConfig, Resampling
from model.network.network import StyleNetwork
from model.network.normalization import (
    BATCH_MOMENTUM,
    ConditionalBatchNorm,
    ConditionalGroupNorm,
    ConditionalInstanceNorm,
    ConditionalLayerNorm,
    LocalResponseNorm,
    NormKind,
    local_response,
    make_norm,
)
from model.network.weights import fingerprint_network, load_weights, save_weights
from model.training.style_recipe import StyleRecipe

KINDS: tuple[NormKind, ...] = get_args(NormKind)
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)
ALONE = ("lrn-across", "lrn-within")  # nothing learned: no gamma, no beta


def some_features(*shape: int) -> Tensor:
    """Features whose channels and pictures differ in mean and spread, as a network's do."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    scale = torch.rand(*shape[:2], 1, 1, generator=generator) * 3 + 0.5
    return x * scale + torch.randn(*shape[:2], 1, 1, generator=generator)


def rows(pictures: int, channels: int) -> tuple[Tensor, Tensor]:
    """A gamma and a beta for every picture."""
    generator = torch.Generator().manual_seed(1)
    gamma = torch.rand(pictures, channels, generator=generator) + 0.5
    return gamma, torch.randn(pictures, channels, generator=generator)


def make_network(**options: object) -> StyleNetwork:
    torch.manual_seed(0)
    return StyleNetwork(NetworkConfig(channels=8, residual_blocks=1, **options))  # type: ignore[arg-type]


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_group_norm_with_a_group_per_channel_is_instance_norm() -> None:
    x, pair = some_features(3, 6, 9, 7), rows(3, 6)
    close(ConditionalGroupNorm(6, groups=6)(x, *pair), ConditionalInstanceNorm(6)(x, *pair))


def test_group_norm_with_one_group_is_layer_norm() -> None:
    x, pair = some_features(3, 6, 9, 7), rows(3, 6)
    close(ConditionalGroupNorm(6, groups=1)(x, *pair), ConditionalLayerNorm(6)(x, *pair))


def test_groups_in_between_are_neither_and_have_mean_zero_and_variance_one() -> None:
    x, ones, zeros = some_features(2, 6, 9, 7), torch.ones(2, 6), torch.zeros(2, 6)
    z = ConditionalGroupNorm(6, groups=2)(x, ones, zeros)
    groups = z.view(2, 2, 3 * 9 * 7)
    close(groups.mean(2), torch.zeros(2, 2))
    close(groups.var(2, correction=0), torch.ones(2, 2))
    for groups_like in (1, 6):
        assert (z - ConditionalGroupNorm(6, groups=groups_like)(x, ones, zeros)).abs().mean() > 0.1


def test_groups_that_do_not_divide_the_channels_fall_back_to_a_common_divisor() -> None:
    assert [ConditionalGroupNorm(c, groups=4).groups for c in (8, 6, 3)] == [4, 2, 1]


def test_batch_norm_of_one_picture_in_training_is_instance_norm() -> None:
    x, pair = some_features(1, 6, 9, 7), rows(1, 6)
    close(ConditionalBatchNorm(6)(x, *pair), ConditionalInstanceNorm(6)(x, *pair))


def test_batch_norm_has_an_effective_batch_of_every_position() -> None:
    """Batch norm for convolutions is batch norm of N*H*W samples of C numbers."""
    x, (gamma, beta) = some_features(4, 5, 3, 2), rows(1, 5)
    convolutional = ConditionalBatchNorm(5)(x, gamma.expand(4, -1), beta.expand(4, -1))
    samples = x.permute(0, 2, 3, 1).reshape(4 * 3 * 2, 5, 1, 1)
    z = ConditionalBatchNorm(5)(samples, gamma.expand(24, -1), beta.expand(24, -1))
    close(convolutional, z.view(4, 3, 2, 5).permute(0, 3, 1, 2))


def test_batch_norm_as_first_stated_is_another() -> None:
    """Per position: statistics over N alone, one pair per number of a sample."""

    def as_first_stated(x: Tensor) -> Tensor:
        samples = x.reshape(len(x), -1, 1, 1)  # (N, C H W, 1, 1)
        numbers = samples.shape[1]
        ones, zeros = torch.ones(len(x), numbers), torch.zeros(len(x), numbers)
        return ConditionalBatchNorm(numbers)(samples, ones, zeros).view_as(x)

    def convolutional(x: Tensor) -> Tensor:
        ones, zeros = torch.ones(x.shape[:2]), torch.zeros(x.shape[:2])
        return ConditionalBatchNorm(x.shape[1])(x, ones, zeros)

    x = some_features(6, 3, 4, 5)
    mean, variance = x.mean(0), x.var(0, correction=0)  # (C, H, W)
    close(as_first_stated(x), (x - mean) / (variance + 1e-5).sqrt())
    assert (as_first_stated(x) - convolutional(x)).abs().mean() > 0.1
    assert as_first_stated(x).mean(0).abs().max() < 1e-4  # every position has mean zero,
    assert convolutional(x).mean(0).abs().max() > 0.1  # here only every channel has
    close(convolutional(x).mean((0, 2, 3)), torch.zeros(3))
    pixel = some_features(6, 3, 1, 1)  # nothing but N is left
    close(as_first_stated(pixel), convolutional(pixel))


def test_batch_norm_keeps_running_averages_for_inference() -> None:
    x, layer = some_features(4, 3, 8, 8), ConditionalBatchNorm(3)
    ones, zeros = torch.ones(4, 3), torch.zeros(4, 3)
    layer(x, ones, zeros)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    close(layer.running_mean, BATCH_MOMENTUM * mean)
    close(layer.running_var, 1 - BATCH_MOMENTUM + BATCH_MOMENTUM * variance)
    kept = layer.running_mean.clone()
    z = layer.eval()(x, ones, zeros)
    expected = (x - kept.view(3, 1, 1)) / (layer.running_var.view(3, 1, 1) + 1e-5).sqrt()
    close(z, expected)
    assert torch.equal(layer.running_mean, kept)


def test_layer_norm_is_that_of_the_library_and_hears_the_style() -> None:
    x, (gamma, beta) = some_features(2, 4, 6, 5), rows(2, 4)
    plain = F.layer_norm(x, (4, 6, 5))
    expected = plain * gamma[:, :, None, None] + beta[:, :, None, None]
    close(ConditionalLayerNorm(4)(x, gamma, beta), expected)


def test_local_response_worked_example() -> None:
    # k = 0, alpha = 1, beta = 1, n = 2: 1 / (1 * (1 + 1)) = 0.5; at the border, one neighbour less.
    ones = torch.ones(1, 3, 2, 2)
    across = local_response(ones, 2, 0, 1, 1)
    close(across[0, :, 0, 0], torch.tensor([1.0, 0.5, 0.5]))
    within = local_response(ones, 2, 0, 1, 1, within=True)
    close(within[0, 0], torch.tensor([[1.0, 0.5], [0.5, 0.25]]))


@pytest.mark.parametrize("within", [False, True])
def test_local_response_is_its_formula(within: bool) -> None:
    x = some_features(2, 7, 6, 5)
    k, alpha, beta, n = 2.0, 0.3, 0.75, 5
    expected = torch.empty_like(x)
    for c in range(7):
        for i in range(6):
            for j in range(5):
                if within:
                    near = x[:, c, max(0, i - 2) : i + 3, max(0, j - 2) : j + 3]
                else:
                    near = x[:, max(0, c - 2) : c + 3, i, j]
                sums = near.square().flatten(1).sum(1)
                expected[:, c, i, j] = x[:, c, i, j] / (k + alpha * sums) ** beta
    close(local_response(x, n, k, alpha, beta, within), expected)


@pytest.mark.parametrize("within", [False, True])
def test_local_response_norm_alone_has_no_style(within: bool) -> None:
    x, (gamma, beta) = some_features(2, 6, 8, 8), rows(2, 6)
    alone = LocalResponseNorm(6, within=within, conditional=False)(x, gamma, beta)
    styled = LocalResponseNorm(6, within=within)(x, gamma, beta)
    close(styled, alone * gamma[:, :, None, None] + beta[:, :, None, None])
    # Scale goes, as with the others; the mean stays.
    close(LocalResponseNorm(6, 1e-9, within, False)(100 * x, gamma, beta), alone)
    assert alone.mean((2, 3)).abs().max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_are_float32_and_the_type_is_kept(kind: NormKind) -> None:
    x, (gamma, beta) = some_features(2, 8, 16, 16), rows(2, 8)
    expected = make_norm(kind, 8, 1e-5, 4)(x, gamma, beta)
    half = make_norm(kind, 8, 1e-5, 4)(x.bfloat16(), gamma, beta)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), expected, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_flat_maps_stay_finite(kind: NormKind) -> None:
    x = torch.full((2, 4, 8, 8), 0.3)
    for features in (x, x * 0):
        z = make_norm(kind, 4, 1e-5, 2)(features, torch.ones(2, 4), torch.zeros(2, 4))
        assert bool(z.isfinite().all())


@pytest.mark.parametrize("kind", KINDS)
def test_only_batch_norm_depends_on_the_batch(kind: NormKind) -> None:
    """The same photo alone and beside others, in training mode; at inference none depends."""
    network = make_network(norm=kind)
    photos, codes = torch.rand(3, 3, 32, 32), default_codes(network.config, 3)
    photos[1:] *= 0.3  # of another mean and contrast
    with torch.no_grad():
        for training in (True, False):
            network.train(training)
            alone, beside = network(photos[:1], codes[:1]), network(photos, codes)[:1]
            levels = 255 * float((alone - beside).abs().mean())
            assert (levels > 1) == (kind == "batch" and training), levels


@pytest.mark.parametrize("kind", KINDS)
def test_style_is_heard_but_by_those_that_learn_nothing(kind: NormKind) -> None:
    network = make_network(norm=kind).eval()
    codes = default_codes(network.config, 2)
    codes[1] += torch.randn(codes.shape[1], generator=torch.Generator().manual_seed(2))
    first, second = network(torch.rand(1, 3, 32, 32).expand(2, -1, -1, -1), codes)
    assert bool((first - second).abs().mean() * 255 > 1) == (kind not in ALONE)


@pytest.mark.parametrize("resampling", RESAMPLINGS)
@pytest.mark.parametrize("kind", ["instance", "batch"])
def test_networks_of_every_resampling_learn(kind: NormKind, resampling: Resampling) -> None:
    network = make_network(norm=kind, resampling=resampling)
    codes = default_codes(network.config, 2).requires_grad_()
    pictures = network(torch.rand(2, 3, 33, 20), codes)
    assert pictures.shape == (2, 3, 33, 20)
    pictures.square().mean().backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in [*network.parameters(), codes])  # type: ignore[union-attr]


def test_unpooling_puts_values_where_the_maxima_were() -> None:
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 0], x[0, 0, 2, 3] = 5.0, 7.0
    small, places = F.max_pool2d_with_indices(x, 2)
    assert torch.equal(F.max_unpool2d(small, places, 2), x)


def test_all_kinds_have_the_same_convolutions_and_the_same_start() -> None:
    plain = make_network()
    for options in (*({"norm": k} for k in KINDS), *({"resampling": r} for r in RESAMPLINGS)):
        other = make_network(**options)
        for (name, a), (same, b) in zip(
            plain.named_parameters(), other.named_parameters(), strict=True
        ):
            assert name == same
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    "options", [{"norm": "weight"}, {"groups": 0}, {"resampling": "transposed"}]
)
def test_config_is_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make_network(**options)


def test_what_came_later_leaves_older_networks_as_they_were() -> None:
    config = NetworkConfig()
    assert str(config) == "NetworkConfig(channels=32, residual_blocks=5, eps=1e-05)"
    assert config.to_dict() == {"channels": 32, "residual_blocks": 5, "eps": 1e-5}
    assert StyleRecipe().to_dict()["network"] == config.to_dict()  # or no run could be resumed
    other = NetworkConfig(norm="group", groups=8)
    assert other.to_dict().items() >= {"norm": "group", "groups": 8}.items()
    assert NetworkConfig(**other.to_dict()) == other
    prints = {fingerprint_network(make_network(norm=k)) for k in KINDS}
    assert len(prints) == len(KINDS)


def test_files_keep_the_kind_and_the_running_averages(tmp_path: Path) -> None:
    network = make_network(norm="batch")
    network(torch.rand(2, 3, 32, 32), default_codes(network.config, 2))
    original = default_codes(network.config, 1)[0]
    saved = save_weights(tmp_path / "batch.safetensors", network, original, {})
    assert saved.network.config == network.config
    before, after = network.state_dict(), load_weights(tmp_path / "batch.safetensors").network
    name = "contract.1.norm.running_var"
    assert torch.equal(after.state_dict()[name], before[name])


@pytest.mark.parametrize("options", [{"norm": "batch"}, {"resampling": "unpooled"}])
def test_the_stylizer_refuses_what_it_cannot_run(options: dict[str, str], tmp_path: Path) -> None:
    network = make_network(**options)
    original = default_codes(network.config, 1)[0]
    weights = save_weights(tmp_path / "network.safetensors", network, original, {})
    with pytest.raises(ValueError, match=f"cannot stylize .* {next(iter(options.values()))}"):
        Stylizer(weights)

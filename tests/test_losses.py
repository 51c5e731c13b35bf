"""Losses and the loss network."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file

from model.perception.loss_network import pyramid
from model.perception.moments import Moments, feature_moments
from model.training.losses import content_loss, gram_loss, style_loss
from model.training.vgg19 import Pooling, StochasticPool2d, VGG19Features, load_vgg19


def test_moments_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # (1, 2, 1, 2)
    moments = feature_moments(features)
    torch.testing.assert_close(moments.mean, torch.tensor([[1.5, 1.0]]))
    torch.testing.assert_close(moments.gram, torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 2)


def test_gram_matrix_forgets_places() -> None:
    features = torch.randn(1, 4, 6, 6)
    shuffled = features.flatten(2)[:, :, torch.randperm(36)].view(1, 4, 6, 6)
    torch.testing.assert_close(feature_moments(features).gram, feature_moments(shuffled).gram)


def test_shifted_gram_is_the_gram_of_shifted_features() -> None:
    features, center = torch.rand(2, 4, 5, 6), torch.rand(2, 4)
    direct = feature_moments(features - center[:, :, None, None]).gram
    torch.testing.assert_close(feature_moments(features).shifted_gram(center), direct)


def test_moments_are_float32_under_autocast() -> None:
    features = torch.rand(1, 3, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        moments = feature_moments(features.bfloat16())
    assert moments.gram.dtype == torch.float32
    torch.testing.assert_close(moments.gram, feature_moments(features.bfloat16().float()).gram)


def test_losses_are_relative() -> None:
    features = torch.rand(3, 4, 5, 5) + 0.1
    zeros = torch.zeros_like(features)
    torch.testing.assert_close(content_loss(features, features), torch.zeros(3))
    torch.testing.assert_close(content_loss(zeros, features), torch.ones(3))
    torch.testing.assert_close(
        content_loss(9 * features, zeros + 9), content_loss(features, zeros + 1)
    )
    style = [feature_moments(features), feature_moments(features * 2)]
    for loss in (style_loss, gram_loss):
        torch.testing.assert_close(loss(style, style), torch.zeros(3), rtol=0, atol=1e-6)
    nothing = [Moments(m.mean * 0, m.gram * 0) for m in style]
    torch.testing.assert_close(gram_loss(nothing, style), torch.ones(3))


def test_shifted_style_loss_sees_texture_that_the_plain_one_misses() -> None:
    """The same means, no texture at all: small for plain Gram matrices, all there is for ours."""
    features = 5 + torch.rand(1, 4, 16, 16)
    flat = features.mean(dim=(2, 3), keepdim=True).expand_as(features)
    style, pastiche = [feature_moments(features)], [feature_moments(flat)]
    assert float(gram_loss(pastiche, style)) < 1e-3
    torch.testing.assert_close(style_loss(pastiche, style), torch.ones(1), rtol=1e-2, atol=0)


def test_vgg_layers_have_their_strides_and_widths() -> None:
    network = VGG19Features(("relu3_2", "relu1_2", "relu2_2"))
    found = network(torch.rand(1, 3, 32, 32))
    assert {name: tuple(x.shape[1:]) for name, x in found.items()} == {
        "relu1_2": (64, 32, 32),
        "relu2_2": (128, 16, 16),
        "relu3_2": (256, 8, 8),
    }
    assert list(network(torch.rand(1, 3, 32, 32), depth="relu2_2")) == ["relu1_2", "relu2_2"]
    assert not any(p.requires_grad for p in network.parameters())


def test_vgg_activations_are_not_overwritten() -> None:
    # torchvision's ReLUs work in place; ours must not, or every layer would return the next one.
    network = VGG19Features(("relu1_1", "relu1_2"))
    found = network(torch.rand(1, 3, 16, 16))
    assert float(found["relu1_1"].min()) >= 0
    again = torch.relu(network.features[2](found["relu1_1"]))
    torch.testing.assert_close(again, found["relu1_2"])


def test_pooling_is_chosen() -> None:
    kinds = {
        pooling: {type(m).__name__ for m in VGG19Features(("relu2_1",), pooling).features}
        for pooling in get_args(Pooling)
    }
    assert "AvgPool2d" in kinds["average"]
    assert "MaxPool2d" not in kinds["average"]
    assert "MaxPool2d" in kinds["max"]
    assert "StochasticPool2d" in kinds["stochastic"]
    with pytest.raises(ValueError, match="median"):
        VGG19Features(("relu2_1",), "median")  # type: ignore[arg-type]


def test_stochastic_pooling_draws_by_size_and_averages_when_evaluated() -> None:
    window = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    features = window.repeat(1, 2, 50, 50)  # (1, 2, 100, 100)
    pool = StochasticPool2d()
    torch.manual_seed(0)
    drawn = pool(features)
    assert drawn.shape == (1, 2, 50, 50)
    assert set(drawn.unique().tolist()) == {1.0, 3.0}
    assert float((drawn == 3).float().mean()) == pytest.approx(0.75, abs=0.03)
    torch.testing.assert_close(pool.eval()(features), torch.full((1, 2, 50, 50), 10 / 4))
    nothing = torch.zeros(1, 1, 5, 7)
    for mode in (True, False):
        assert torch.equal(pool.train(mode)(nothing), torch.zeros(1, 1, 2, 3))


def test_gradients_of_stochastic_pooling_go_to_what_was_drawn() -> None:
    features = torch.rand(1, 2, 6, 6).requires_grad_()
    drawn = StochasticPool2d()(features)
    drawn.sum().backward()
    assert features.grad is not None
    assert float(features.grad.sum()) == drawn.numel()
    assert set(features.grad.unique().tolist()) == {0.0, 1.0}


def test_global_average_pooling_forgets_places() -> None:
    torch.manual_seed(0)
    network = VGG19Features(("relu1_2", "relu2_1"), averaged=("relu2_1",))
    pictures = torch.rand(2, 3, 32, 32)
    found = network(pictures)
    assert found["relu1_2"].shape == (2, 64, 32, 32)
    assert found["relu2_1"].shape == (2, 128, 1, 1)
    whole = VGG19Features(("relu1_2", "relu2_1"))
    whole.load_state_dict(network.state_dict())
    mean = whole(pictures)["relu2_1"].mean((2, 3), keepdim=True)
    torch.testing.assert_close(found["relu2_1"], mean)
    with pytest.raises(ValueError, match="relu9_9"):
        VGG19Features(("relu2_1",), averaged=("relu9_9",))


def test_unknown_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="relu9_9"):
        VGG19Features(("relu9_9",))


def test_vgg_file_round_trip_and_faults(tmp_path: Path) -> None:
    network = VGG19Features(("relu2_1",))
    state = {name: tensor.half() for name, tensor in network.state_dict().items()}
    save_file(state, tmp_path / "vgg.safetensors")
    loaded = load_vgg19(tmp_path / "vgg.safetensors", ("relu1_2", "relu2_1"))
    torch.testing.assert_close(
        loaded.features[0].weight, network.features[0].weight, rtol=1e-3, atol=1e-4
    )
    with pytest.raises(ValueError, match=r"features\.7\.bias"):
        load_vgg19(tmp_path / "vgg.safetensors", ("relu2_2",))
    with pytest.raises(ValueError, match="cannot read"):
        load_vgg19(tmp_path / "none.safetensors", ("relu1_1",))
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "vgg.safetensors").read_bytes()[:99])
    with pytest.raises(ValueError, match="cannot read"):
        load_vgg19(tmp_path / "cut.safetensors", ("relu1_1",))


def test_pyramid_halves() -> None:
    assert [tuple(p.shape[-2:]) for p in pyramid(torch.rand(1, 3, 32, 48), 3)] == [
        (32, 48),
        (16, 24),
        (8, 12),
    ]

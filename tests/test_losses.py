"""Losses and the loss network."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model.losses import content_loss, gram_matrix, style_loss
from model.perception import VGG19Features, load_vgg19, pyramid


def test_gram_matrix_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # (1, 2, 1, 2)
    expected = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 2
    torch.testing.assert_close(gram_matrix(features), expected)


def test_gram_matrix_forgets_places() -> None:
    features = torch.randn(1, 4, 6, 6)
    shuffled = features.flatten(2)[:, :, torch.randperm(36)].view(1, 4, 6, 6)
    torch.testing.assert_close(gram_matrix(features), gram_matrix(shuffled))


def test_losses_are_relative() -> None:
    features = torch.rand(3, 4, 5, 5) + 0.1
    zeros = torch.zeros_like(features)
    torch.testing.assert_close(content_loss(features, features), torch.zeros(3))
    torch.testing.assert_close(content_loss(zeros, features), torch.ones(3))
    torch.testing.assert_close(content_loss(9 * features, 9 * zeros + 9), content_loss(
        features, zeros + 1))  # fmt: skip
    grams = [gram_matrix(features), gram_matrix(features * 2)]
    torch.testing.assert_close(style_loss(grams, grams), torch.zeros(3))
    torch.testing.assert_close(style_loss([g * 0 for g in grams], grams), torch.ones(3))


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
        for pooling in ("average", "max")
    }
    assert "AvgPool2d" in kinds["average"]
    assert "MaxPool2d" not in kinds["average"]
    assert "MaxPool2d" in kinds["max"]


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

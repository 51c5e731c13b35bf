"""The perceptual encoder and its distillation."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.perception.encoder import EncoderConfig, PerceptualEncoder, load_encoder, save_encoder
from model.perception.moments import feature_moments
from model.storage.tensorfile import DamagedFileError
from model.training.crops import find_photos
from model.training.distillation import DistillRecipe, DistillTask, EncoderInTraining
from model.training.loop import Loop, LoopConfig
from model.training.losses import content_loss, style_loss
from model.training.vgg19 import VGG19Features

SMALL = EncoderConfig((4, 6, 8))
NETWORK = NetworkConfig(channels=8, residual_blocks=1)
RECIPE = DistillRecipe(crop_size=32, batch_size=4, encoder=SMALL)


def make_task(pictures: Path, recipe: DistillRecipe = RECIPE, validation: int = 2) -> DistillTask:
    torch.manual_seed(3)
    photos = find_photos(pictures / "photos")
    network = StyleNetwork(NETWORK).requires_grad_(False)
    return DistillTask(
        recipe,
        photos,
        find_photos(pictures / "styles"),
        photos[:validation],
        VGG19Features(EncoderInTraining(SMALL).trunk.channels),
        network,
        torch.rand(3, NETWORK.code_size) + 0.5,
    )


def make_encoder() -> PerceptualEncoder:
    torch.manual_seed(2)
    return EncoderInTraining(SMALL).fold()


def test_in_training_it_predicts_vgg19s_activations() -> None:
    pictures = torch.rand(2, 3, 36, 28)
    found = EncoderInTraining(SMALL)(pictures)
    wanted = VGG19Features(tuple(found))(pictures)
    assert list(found) == list(wanted)
    for name, activations in found.items():
        assert activations.shape == wanted[name].shape


def test_folded_it_gives_the_same_losses() -> None:
    torch.manual_seed(4)
    training = EncoderInTraining(SMALL)
    training(torch.rand(8, 3, 32, 32))  # moves the statistics of the normalization
    folded = training.fold()
    assert training.training
    training.eval()
    first, second = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    before = training(first), training(second)
    after = folded(first), folded(second)
    for name in before[0]:
        assert after[0][name].shape[1] < before[0][name].shape[1]
        for distance in (content_loss, shifted_gram_distance):
            torch.testing.assert_close(
                distance(after[0][name], after[1][name]),
                distance(before[0][name], before[1][name]),
                rtol=1e-3,
                atol=1e-5,
            )


def shifted_gram_distance(first: Tensor, second: Tensor) -> Tensor:
    return style_loss([feature_moments(first)], [feature_moments(second)])


def test_depth_ends_early_and_changes_nothing() -> None:
    encoder = make_encoder()
    pictures = torch.rand(1, 3, 32, 32)
    whole, part = encoder(pictures), encoder(pictures, depth="relu3_2")
    assert list(part) == ["relu1_2", "relu2_2", "relu3_2"]
    assert torch.equal(whole["relu3_2"], part["relu3_2"])


def test_round_trip(tmp_path: Path) -> None:
    encoder = make_encoder()
    save_encoder(tmp_path / "encoder.safetensors", encoder, {"steps": 7})
    again = load_encoder(tmp_path / "encoder.safetensors")
    assert again.trunk.config == SMALL
    for name, value in encoder.state_dict().items():
        assert torch.equal(value.half().float(), again.state_dict()[name])
    assert not any(p.requires_grad for p in again.parameters())


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, make_encoder(), {})
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    with pytest.raises(DamagedFileError, match="checksum"):
        load_encoder(path)
    path.write_bytes(data[:500])
    with pytest.raises(DamagedFileError):
        load_encoder(path)


def test_a_network_is_no_encoder(small_weights_folder: Path) -> None:
    with pytest.raises(DamagedFileError, match="no pastiche-encoder"):
        load_encoder(small_weights_folder / "network.safetensors")


def test_distillation_brings_the_activations_nearer(pictures: Path, tmp_path: Path) -> None:
    task = make_task(pictures)
    before = task.validate()
    config = LoopConfig(
        steps=40,
        learning_rate=5e-3,
        precision="float32",
        compile=False,
        ema_decay=0.5,
        validate_every=0,
    )
    loop = Loop(task, config, tmp_path, {})
    assert loop.run()
    after = task.validate()
    assert set(after) == {
        "photos_features",
        "photos_gram",
        "pastiches_features",
        "pastiches_gram",
    }
    for name, value in after.items():
        assert value < before[name], name


def test_it_goes_on_from_an_encoders_file(pictures: Path) -> None:
    task = make_task(pictures)
    crops, _ = task.batch(50)
    task.module(crops)  # moves the statistics of the normalization
    earlier = task.module.fold()
    for readout in earlier.readouts.values():  # as orthogonal maps from the left change no loss
        readout.get_parameter("weight").data[1] *= -1
    other = make_task(pictures, replace(RECIPE, seed=5))
    other.begin(earlier)
    assert other.module.training
    again = other.module.fold()
    wanted = earlier(crops)
    for name, found in again(crops).items():
        assert found.shape == wanted[name].shape
    for before, after in zip(earlier.trunk.convolutions, again.trunk.convolutions, strict=True):
        torch.testing.assert_close(after.state_dict(), before.state_dict(), rtol=1e-2, atol=1e-3)
    for name in again.layers:
        before, after = (
            e.readouts[name].get_parameter("weight")[:, :, 0, 0].diagonal()
            for e in (earlier, again)
        )
        assert torch.equal(before < 0, after < 0)
    fresh = make_task(pictures, replace(RECIPE, seed=5))
    assert all(other.validate()[name] < value for name, value in fresh.validate().items())


def test_an_encoder_of_other_widths_is_no_start(pictures: Path) -> None:
    with pytest.raises(ValueError, match="widths are"):
        make_task(pictures).begin(EncoderInTraining(EncoderConfig((4, 6, 10))).fold())


def test_what_a_step_sees_depends_on_the_step_alone(pictures: Path) -> None:
    task, again = make_task(pictures), make_task(pictures)
    for step in (4, 0):
        crops, codes = task.batch(step)
        assert crops.shape == (4, 3, 32, 32)
        assert codes.shape == (2, NETWORK.code_size)
        assert all(map(torch.equal, (crops, codes), again.batch(step)))
    assert not torch.equal(task.batch(0)[1], task.batch(1)[1])


def test_without_validation_there_are_no_figures(pictures: Path) -> None:
    assert make_task(pictures, replace(RECIPE, seed=1), validation=0).validate() == {}

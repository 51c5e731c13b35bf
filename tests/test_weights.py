"""The network's weight file, durable writes, shipped folders."""

import os
from pathlib import Path

import pytest
import torch

from model.network.code import default_codes
from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.network.weights import Weights, fingerprint_network, load_weights, save_weights
from model.storage.assets import asset_folder
from model.storage.files import write_atomically
from model.storage.tensorfile import DamagedFileError, pack_tensors

SMALL = NetworkConfig(channels=8, residual_blocks=1)


def test_round_trip(tmp_path: Path) -> None:
    network, original = StyleNetwork(SMALL), default_codes(SMALL, 1)[0]
    path = tmp_path / "network.safetensors"
    saved = save_weights(path, network, original, {"steps": 7}, torch.float32)
    loaded = load_weights(path)
    assert loaded.fingerprint == saved.fingerprint == fingerprint_network(network)
    assert loaded.training == {"steps": 7}
    assert torch.equal(loaded.original, original)
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)
    assert not any(p.requires_grad for p in loaded.network.parameters())


def test_half_precision_file_keeps_its_fingerprint(tmp_path: Path) -> None:
    network, original = StyleNetwork(SMALL), default_codes(SMALL, 1)[0]
    saved = save_weights(tmp_path / "a.safetensors", network, original, {})
    again = save_weights(tmp_path / "b.safetensors", saved.network, original, {})
    assert saved.fingerprint == again.fingerprint
    assert saved.fingerprint != fingerprint_network(network)


def test_fingerprint_sees_one_changed_weight(small_weights: Weights) -> None:
    before = fingerprint_network(small_weights.network)
    with torch.no_grad():
        small_weights.network.output.conv.weight[0, 0, 0, 0] += 1e-3
    assert fingerprint_network(small_weights.network) != before


def test_damage_is_found(small_weights_folder: Path, tmp_path: Path) -> None:
    data = (small_weights_folder / "network.safetensors").read_bytes()
    path = tmp_path / "network.safetensors"
    for position in range(0, len(data), len(data) // 60):
        broken = bytearray(data)
        broken[position] ^= 0x10
        path.write_bytes(bytes(broken))
        with pytest.raises(DamagedFileError):
            load_weights(path)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedFileError):
        load_weights(path)
    with pytest.raises(OSError, match="none"):
        load_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"format": "other/1"},
        {"format": "pastiche-network/1"},
        {"format": "pastiche-network/1", "config": []},
        {"format": "pastiche-network/1", "config": {"channels": "x"}},
        {"format": "pastiche-network/1", "config": {"channels": 8, "residual_blocks": 1}},
    ],
)
def test_what_is_no_network_is_refused(metadata: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(pack_tensors({"original": torch.zeros(3)}, metadata))
    with pytest.raises(DamagedFileError):
        load_weights(path)


def test_write_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_shipped_folders_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (asset_folder("weights") / "network.safetensors").exists()
    assert (asset_folder("static") / "samples").is_dir()
    with pytest.raises(FileNotFoundError, match="incomplete"):
        asset_folder("nonsense")

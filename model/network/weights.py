"""The network's weight file: convolutions, the row ``original``, and how they were made."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.network.config import NetworkConfig
from model.network.network import StyleNetwork
from model.storage.files import write_atomically
from model.storage.tensorfile import DamagedFileError, digest_tensors, pack_tensors, unpack_tensors

NETWORK_FILE = "network.safetensors"  # in a weights folder
NETWORK_FORMAT = "pastiche-network/1"
FINGERPRINT_LENGTH = 16


@dataclass(frozen=True, eq=False)
class Weights:
    """A network with what belongs to it.

    Parameters
    ----------
    network
        In evaluation mode, frozen, float32, on the CPU.
    original
        (P,), the row that gives a photo back.
    fingerprint
        Names the convolutions: a style's row fits one network alone.
    training
        How it was made: recipe, steps, losses.
    """

    network: StyleNetwork
    original: Tensor
    fingerprint: str
    training: dict[str, Any]


def fingerprint_network(network: StyleNetwork) -> str:
    """16 hex digits that depend on the configuration and on every convolution weight."""
    tensors = {name: value.float() for name, value in network.state_dict().items()}
    return digest_tensors(tensors, prefix=str(network.config))[:FINGERPRINT_LENGTH]


def save_weights(
    path: Path,
    network: StyleNetwork,
    original: Tensor,
    training: dict[str, Any],
    dtype: torch.dtype = torch.float16,
) -> Weights:
    """Write a network; what comes back holds the numbers as the file rounds them.

    Parameters
    ----------
    original
        (P,).
    dtype
        Of the convolutions in the file: float16 halves it and is within a hundredth of a level of
        float32 in pictures.
    """
    parameters = {name for name, _ in network.named_parameters()}
    tensors = {
        # Running averages, which batch normalization alone has, keep their whole range.
        f"network.{name}": value.to(dtype if name in parameters else torch.float32)
        for name, value in network.state_dict().items()
    }
    tensors["original"] = original.float()
    metadata = {
        "format": NETWORK_FORMAT,
        "config": network.config.to_dict(),
        "training": training,
    }
    write_atomically(path, pack_tensors(tensors, metadata))
    return load_weights(path)


def load_weights(path: Path) -> Weights:
    """Read a network's weight file.

    Raises
    ------
    DamagedFileError
        The file is damaged or is no network.
    OSError
        It cannot be read.
    """
    tensors, metadata = unpack_tensors(path.read_bytes())
    try:
        if metadata["format"] != NETWORK_FORMAT:
            raise DamagedFileError(f"{path.name} is no {NETWORK_FORMAT} file")
        known = {f.name for f in fields(NetworkConfig)}
        config = NetworkConfig(**{k: v for k, v in metadata["config"].items() if k in known})
        with torch.device("meta"):  # no random weights made to be overwritten
            network = StyleNetwork(config)
        original = tensors.pop("original")
        state = {name.removeprefix("network."): t.float() for name, t in tensors.items()}
        network.load_state_dict(state, assign=True)
    except (KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise DamagedFileError(f"{path.name} is not a whole {NETWORK_FORMAT} file") from error
    if original.shape != (config.code_size,):
        raise DamagedFileError(f"{path.name} holds an original of {original.numel()} numbers")
    network.requires_grad_(False).eval()
    return Weights(
        network, original, fingerprint_network(network), dict(metadata.get("training", {}))
    )

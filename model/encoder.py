"""The project's own perceptual encoder: a small network that stands in for VGG-19 in the losses."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.files import write_atomically
from model.perception import VGG19_CHANNELS, LossNetwork
from model.tensorfile import DamagedFileError, pack_tensors, unpack_tensors

ENCODER_FORMAT = "pastiche-encoder-1"
ENCODER_FILE = "perceptual.safetensors"

# VGG-19's activations that the encoder predicts, after each of its own convolutions.
READ_AFTER = (None, "relu1_2", None, "relu2_2", None, "relu3_2", "relu3_3")
POOL_BEFORE = (2, 4)  # convolutions that work at half and quarter size


@dataclass(frozen=True)
class EncoderConfig:
    """Dimensions of the encoder.

    Parameters
    ----------
    widths
        Channels at full, half and quarter size. VGG-19 has 64, 128, 256.
    """

    widths: tuple[int, int, int] = (32, 64, 128)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return asdict(self)


class PerceptualEncoder(LossNetwork):
    """Predicts VGG-19's activations at a fraction of their cost.

    It has VGG-19's shape (3x3 convolutions, ReLU, average pooling) with narrower layers, and reads
    each wanted activation out by a 1x1 convolution and a ReLU. The losses are relative, so the
    activations are predicted up to one factor a layer.

    Parameters
    ----------
    config
        Dimensions.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.widths
        channels = (3, first, first, second, second, third, third, third)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inner, outer, 3, padding=1) for inner, outer in pairwise(channels)
        )
        self.readouts = nn.ModuleDict(
            {
                name: nn.Conv2d(width, VGG19_CHANNELS[name], 1)
                for name, width in zip(READ_AFTER, channels[1:], strict=True)
                if name is not None
            }
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the activations, shallow to deep."""
        return tuple(name for name in READ_AFTER if name is not None)

    def forward(self, pictures: Tensor, depth: str | None = None) -> dict[str, Tensor]:
        """Predicted activations by name; see `model.perception.VGG19Features.forward`.

        Parameters
        ----------
        pictures
            (N, 3, H, W) in [0, 1].
        depth
            The deepest layer wanted; all by default.
        """
        x = pictures - 0.5
        found = {}
        for index, convolution in enumerate(self.convolutions):
            if index in POOL_BEFORE:
                x = F.avg_pool2d(x, 2)
            x = F.relu(convolution(x))
            name = READ_AFTER[index]
            if name is not None:
                found[name] = F.relu(self.readouts[name](x))
                if name == depth:
                    break
        return found


def save_encoder(path: Path, encoder: PerceptualEncoder, training: dict[str, Any]) -> None:
    """Write an encoder in float16, atomically; ``training`` says how it was made."""
    tensors = {name: value.half() for name, value in encoder.state_dict().items()}
    metadata = {
        "format": ENCODER_FORMAT,
        "config": encoder.config.to_dict(),
        "training": training,
    }
    write_atomically(path, pack_tensors(tensors, metadata))


def load_encoder(path: Path) -> PerceptualEncoder:
    """Read an encoder: frozen, float32, on the CPU.

    Raises
    ------
    DamagedFileError
        The file is damaged or is no encoder.
    OSError
        It cannot be read.
    """
    tensors, metadata = unpack_tensors(path.read_bytes())
    if metadata.get("format") != ENCODER_FORMAT:
        raise DamagedFileError(f"{path.name} is no {ENCODER_FORMAT} file")
    try:
        first, second, third = metadata["config"]["widths"]
        with torch.device("meta"):
            encoder = PerceptualEncoder(EncoderConfig((first, second, third)))
        encoder.load_state_dict({n: t.float() for n, t in tensors.items()}, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedFileError(f"{path.name} is not a whole {ENCODER_FORMAT} file") from error
    return encoder.requires_grad_(False).eval()

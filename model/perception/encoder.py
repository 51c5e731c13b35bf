"""The project's own perceptual encoder: a small network that stands in for VGG-19 in the losses."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.perception.loss_network import LossNetwork
from model.storage.assets import asset_folder
from model.storage.files import write_atomically
from model.storage.tensorfile import DamagedFileError, digest_tensors, pack_tensors, unpack_tensors

ENCODER_FORMAT = "pastiche-encoder-1"
ENCODER_FILE = "perceptual.safetensors"

# VGG-19's activations that the encoder predicts, after each of its own convolutions.
READ_AFTER = (None, "relu1_2", None, "relu2_2", None, "relu3_2", "relu3_3")
ENCODER_LAYERS = tuple(name for name in READ_AFTER if name is not None)
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


class EncoderTrunk(nn.Module):
    """The encoder's convolutions: VGG-19's shape (3x3, ReLU, average pooling), narrower.

    Parameters
    ----------
    config
        Dimensions.
    normalized
        Whether batch normalization follows every convolution: in training alone, where without it
        a third of the units died. `model.training.distillation` folds it into the convolutions.
    """

    def __init__(self, config: EncoderConfig, normalized: bool = False) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.widths
        channels = (3, first, first, second, second, third, third, third)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inner, outer, 3, padding=1) for inner, outer in pairwise(channels)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(c) if normalized else nn.Identity() for c in channels[1:]
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    @property
    def channels(self) -> dict[str, int]:
        """Channels of the activations by the name of the layer they predict, shallow to deep."""
        return {
            name: int(convolution.weight.shape[0])
            for name, convolution in zip(READ_AFTER, self.convolutions, strict=True)
            if name is not None and isinstance(convolution, nn.Conv2d)
        }

    def forward(self, pictures: Tensor, depth: str | None = None) -> dict[str, Tensor]:
        """Its own activations by the name of the layer they predict."""
        x = pictures - 0.5
        found = {}
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            if index in POOL_BEFORE:
                x = F.avg_pool2d(x, 2)
            x = F.relu_(norm(convolution(x)))  # nobody needs what it overwrites
            name = READ_AFTER[index]
            if name is not None:
                found[name] = x
                if name == depth:
                    break
        return found


class PerceptualEncoder(LossNetwork):
    """Stands in for VGG-19 in the losses, at a fraction of its cost.

    A linear map A takes each of the trunk's activations f to VGG-19's, so that VGG-19's Gram matrix
    is A G A^T with the trunk's G. With A = Q R, Q having orthonormal columns, every distance
    between such matrices, and between A f and A f', is the one between R f: so R, which is square
    and small, is all that is kept of A, and the losses never see more channels than the trunk has.

    Parameters
    ----------
    trunk
        Its convolutions.
    """

    def __init__(self, trunk: EncoderTrunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.readouts = nn.ModuleDict(
            {name: nn.Conv2d(c, c, 1, bias=False) for name, c in trunk.channels.items()}
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, shallow to deep."""
        return tuple(self.trunk.channels)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that depend on every weight."""
        return digest_tensors(self.state_dict())[:16]

    def forward(self, pictures: Tensor, depth: str | None = None) -> dict[str, Tensor]:
        """R f by the name of the layer it stands for, in the trunk's widths.

        Parameters
        ----------
        pictures
            (N, 3, H, W) in [0, 1].
        depth
            The deepest layer wanted; all by default.
        """
        found = self.trunk(pictures, depth)
        return {name: self.readouts[name](features) for name, features in found.items()}


def save_encoder(path: Path, encoder: PerceptualEncoder, training: dict[str, Any]) -> None:
    """Write an encoder in float16, atomically; ``training`` says how it was made."""
    tensors = {name: value.half() for name, value in encoder.state_dict().items()}
    metadata = {
        "format": ENCODER_FORMAT,
        "config": encoder.trunk.config.to_dict(),
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
            encoder = PerceptualEncoder(EncoderTrunk(EncoderConfig((first, second, third))))
        encoder.load_state_dict({n: t.float() for n, t in tensors.items()}, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedFileError(f"{path.name} is not a whole {ENCODER_FORMAT} file") from error
    return encoder.requires_grad_(False).eval()


def find_encoder(folder: Path) -> Path:
    """The encoder's file beside a network, or the shipped one: it fits every network."""
    own = folder / ENCODER_FILE
    return own if own.exists() else asset_folder("weights") / ENCODER_FILE

"""The style predictor: any picture to its style code, in one pass (Ghiasi et al. 2017).

The picture is read through its moments under the project's own perceptual encoder, see
`model.perception.descriptor`. A small network takes them through a bottleneck to a row, as its
difference from the mean of the built-in rows, in units of their spread.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from model.perception.descriptor import MomentDescriptor
from model.perception.encoder import PerceptualEncoder, find_encoder, load_encoder
from model.pictures.levels import to_tensor
from model.pictures.style_picture import prepare_picture
from model.storage.files import write_atomically
from model.storage.tensorfile import DamagedFileError, pack_tensors, unpack_tensors
from model.styles.options import STROKE_SIZE

PREDICTOR_FILE = "predictor.safetensors"
PREDICTOR_FORMAT = "pastiche-predictor/1"
MAX_PREDICTOR_BYTES = 8_000_000
CODE_ROOM: Final = 8.0  # spreads that a number may be off the mean: inside what a library admits
LEAST_SPREAD: Final = 0.1  # of a number, as a share of the mean spread
INPUT_ROOM: Final = 6.0  # spreads that a moment counts off its mean, however odd the picture


class ForeignPredictorError(ValueError):
    """A predictor of another network or encoder: its rows would mean something else here."""


@dataclass(frozen=True)
class PredictorConfig:
    """Dimensions of the predictor.

    Parameters
    ----------
    projections
        Of each covariance, see `MomentDescriptor`.
    hidden
        Width of the layer after the descriptor.
    bottleneck
        Numbers that a style is reduced to; Ghiasi et al. have 100.
    """

    projections: int = 192
    hidden: int = 512
    bottleneck: int = 100

    def to_dict(self) -> dict[str, int]:
        """Plain values for metadata."""
        return asdict(self)


class RowPredictor(nn.Module):
    """Descriptors to style codes.

    Parameters
    ----------
    descriptor_size
        D.
    code_size
        P.
    config
        The other dimensions.
    """

    def __init__(self, descriptor_size: int, code_size: int, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.read = nn.Linear(descriptor_size, config.hidden)
        self.squeeze = nn.Linear(config.hidden, config.bottleneck)
        self.expand = nn.Linear(config.bottleneck, code_size)
        self.register_buffer("center", torch.zeros(descriptor_size))
        self.register_buffer("scale", torch.ones(descriptor_size))
        self.register_buffer("mean_row", torch.zeros(code_size))
        self.register_buffer("row_spread", torch.ones(code_size))
        self.center: Tensor
        self.scale: Tensor
        self.mean_row: Tensor
        self.row_spread: Tensor

    @torch.no_grad()
    def fit_scales(self, descriptors: Tensor, rows: Tensor) -> None:
        """Take means and spreads of inputs and outputs from examples.

        Parameters
        ----------
        descriptors
            (N, D), of many pictures.
        rows
            (S, P), those that there are.
        """
        self.center.copy_(descriptors.mean(0))
        spread = descriptors.std(0, correction=0)
        self.scale.copy_(spread.clamp_min(1e-3))
        self.fit_rows(rows)

    @torch.no_grad()
    def fit_rows(self, rows: Tensor) -> None:
        """Take mean and spread of the outputs from rows (S, P)."""
        self.mean_row.copy_(rows.mean(0))
        spread = rows.std(0, correction=0)
        self.row_spread.copy_(spread.clamp_min(LEAST_SPREAD * float(spread.mean())))

    def scaled(self, descriptors: Tensor) -> Tensor:
        """Descriptors (N, D) in spreads off their means, within `INPUT_ROOM`."""
        return _bound((descriptors - self.center) / self.scale, INPUT_ROOM)

    def forward(self, descriptors: Tensor) -> Tensor:
        """(N, D) to (N, P): within `CODE_ROOM` spreads of the mean row, whatever comes in."""
        return self.mean_row + self.row_spread * self.offsets(descriptors)

    def offsets(self, descriptors: Tensor) -> Tensor:
        """The rows (N, P) of descriptors (N, D) in spreads off the mean row."""
        with torch.autocast(descriptors.device.type, enabled=False):  # small, and rows are exact
            x = F.silu(self.read(self.scaled(descriptors.float())))
            return _bound(self.expand(self.squeeze(x)), CODE_ROOM)


def _bound(values: Tensor, room: float) -> Tensor:
    return room * (values / room).tanh()


class StylePredictor:
    """Predicts the style code of any picture; used from several threads at once.

    Parameters
    ----------
    encoder
        Frozen.
    descriptor, rows
        The two halves.
    network
        Fingerprint of the network that the codes are for.
    training
        How it was made.
    dtype
        In which the encoder multiplies: bfloat16 where the processor does, see
        `model.inference.device.choose_dtype`; else float32.
    """

    def __init__(
        self,
        encoder: PerceptualEncoder,
        descriptor: MomentDescriptor,
        rows: RowPredictor,
        network: str,
        training: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        self.encoder = encoder.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        self.descriptor = descriptor.eval()
        self.rows = rows.requires_grad_(False).eval()
        self.network = network
        self.training = training or {}

    @torch.inference_mode()
    def predict(self, picture: Image.Image, stroke_size: int = STROKE_SIZE.default) -> Tensor:
        """The code of a picture's style: (P,), float32, finite, on the CPU.

        Its numbers lie within `CODE_ROOM` spreads of the mean of the built-in rows, so that every
        library of that network admits it.

        Parameters
        ----------
        picture
            RGB.
        stroke_size
            Shorter side, in px, at which it is read: larger, larger strokes.

        Raises
        ------
        model.pictures.style_picture.UnfitPictureError
            It is too small, or has one colour only.
        """
        prepared = to_tensor(prepare_picture(picture, stroke_size))[None]  # (1, 3, H, W)
        prepared = prepared.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", self.dtype, enabled=self.dtype != torch.float32):
            descriptor = self.descriptor(prepared)
        code: Tensor = self.rows(descriptor)[0]
        return code.clone()


def save_predictor(path: Path, predictor: StylePredictor) -> None:
    """Write a predictor, its matrices in float16; whole or not at all."""
    tensors = {f"signs.{n}": t for n, t in predictor.descriptor.state_dict().items()}
    matrices = {name for name, _ in predictor.rows.named_parameters()}
    for name, value in predictor.rows.state_dict().items():
        tensors[f"rows.{name}"] = value.half() if name in matrices else value.float()
    metadata = {
        "format": PREDICTOR_FORMAT,
        "config": predictor.rows.config.to_dict(),
        "network": predictor.network,
        "encoder": predictor.encoder.fingerprint,
        "training": json.loads(json.dumps(predictor.training)),
    }
    write_atomically(path, pack_tensors(tensors, metadata))


def load_predictor(
    folder: Path, network: str, dtype: torch.dtype = torch.float32
) -> StylePredictor:
    """The predictor of a weights folder, and the encoder that it reads pictures with.

    Parameters
    ----------
    folder
        Of `PREDICTOR_FILE`; the encoder is the folder's own or the shipped one.
    network
        Fingerprint of the network in use.
    dtype
        See `StylePredictor`.

    Raises
    ------
    FileNotFoundError
        The folder has no predictor: networks of one's own need not have one.
    ForeignPredictorError
        It was trained for another network, or reads pictures with another encoder.
    DamagedFileError
        The file is damaged, too large or no predictor.
    OSError
        It cannot be read.
    """
    path = folder / PREDICTOR_FILE
    tensors, metadata = _read(path)
    if metadata.get("network") != network:
        raise ForeignPredictorError(
            f"{path.name} belongs to network {str(metadata.get('network'))[:16]}, "
            f"and this one is {network}"
        )
    descriptor = MomentDescriptor(load_encoder(find_encoder(folder)), _projections(path, metadata))
    if metadata.get("encoder") != descriptor.encoder.fingerprint:
        raise ForeignPredictorError(f"{path.name} was trained with another perceptual encoder")
    rows = _build(path, tensors, metadata, descriptor)
    training = metadata.get("training")
    training = training if isinstance(training, dict) else {}
    return StylePredictor(descriptor.encoder, descriptor, rows, network, training, dtype)


def load_rows(path: Path, descriptor: MomentDescriptor) -> RowPredictor:
    """The half that gives rows, of whatever network and encoder; the signs go to a descriptor.

    Raises
    ------
    DamagedFileError, OSError
        See `load_predictor`.
    """
    return _build(path, *_read(path), descriptor)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if path.stat().st_size > MAX_PREDICTOR_BYTES:
        raise DamagedFileError(f"{path.name} has more than {MAX_PREDICTOR_BYTES} bytes")
    tensors, metadata = unpack_tensors(path.read_bytes())
    if metadata.get("format") != PREDICTOR_FORMAT:
        raise DamagedFileError(f"{path.name} is no {PREDICTOR_FORMAT} file")
    return tensors, metadata


def _projections(path: Path, metadata: dict[str, Any]) -> int:
    try:
        return PredictorConfig(**metadata["config"]).projections
    except (KeyError, TypeError) as error:
        raise DamagedFileError(f"{path.name} is not a whole {PREDICTOR_FORMAT} file") from error


def _build(
    path: Path,
    tensors: dict[str, Tensor],
    metadata: dict[str, Any],
    descriptor: MomentDescriptor,
) -> RowPredictor:
    """The network of a file; its signs go to the descriptor."""
    try:
        config = PredictorConfig(**metadata["config"])
        descriptor.load_state_dict(_part(tensors, "signs."))
        state = {name: tensor.float() for name, tensor in _part(tensors, "rows.").items()}
        with torch.device("meta"):  # no random weights made to be overwritten
            rows = RowPredictor(descriptor.size, state["mean_row"].numel(), config)
        rows.load_state_dict(state, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DamagedFileError(f"{path.name} is not a whole {PREDICTOR_FORMAT} file") from error
    return rows


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

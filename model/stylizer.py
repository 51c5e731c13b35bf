"""The inference facade: pictures and style codes in, pastiches out."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from model.images import Picture, keep_colors, to_image, to_tensor
from model.network import anchor_original
from model.weights import Weights, load_weights

NETWORK_FILE = "network.safetensors"


class DeviceError(ValueError):
    """The device that was asked for is not there."""


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` (a GPU when there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises
    ------
    DeviceError
        No such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:1") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:1")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(f"device {name!r} is not there: this machine has {count} GPUs")
    return device


@dataclass(frozen=True)
class Look:
    """How a picture is to be stylized.

    Parameters
    ----------
    code
        (P,), a style's code or a blend's.
    strength
        0 (the photo itself) to 1 (the full style).
    preserve_color
        Whether to keep the photo's colours and take the style's luminance alone.
    """

    code: Tensor
    strength: float = 1.0
    preserve_color: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength is {self.strength}, but must be from 0 to 1")


class Stylizer:
    """Stylizes batches in which every picture has its own style, blend and strength.

    Parameters
    ----------
    weights
        The network and its ``original`` row; moved to ``device``.
    device
        Where to compute.
    """

    def __init__(self, weights: Weights, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.weights = weights
        self.fingerprint = weights.fingerprint
        self.config = weights.network.config
        # Channels last is the layout that convolutions like best, on CPU and GPU alike.
        self.network = weights.network.to(self.device).to(memory_format=torch.channels_last)
        self.original = weights.original.to(self.device)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "Stylizer":
        """A stylizer of the network in a weights folder.

        Raises
        ------
        DamagedFileError, OSError
            The file is damaged, or cannot be read.
        DeviceError
            No such device.
        """
        return cls(load_weights(folder / NETWORK_FILE), choose_device(device))

    @torch.inference_mode()
    def stylize_batch(self, photos: Tensor, looks: list[Look]) -> Tensor:
        """Stylize pictures of one size, each in its own way.

        Parameters
        ----------
        photos
            (N, 3, H, W) in [0, 1], on any device.
        looks
            N of them.

        Returns
        -------
        Tensor
            (N, 3, H, W) in [0, 1], float32, on the stylizer's device. A picture at strength 0 is
            its photo, bit for bit.
        """
        if len(looks) != len(photos):
            raise ValueError(f"{len(photos)} photos but {len(looks)} looks")
        photos = photos.to(self.device, torch.float32)
        codes = torch.stack([look.code for look in looks]).to(self.device)  # (N, P)
        strength = torch.tensor([look.strength for look in looks], device=self.device)  # (N,)
        pastiches = self._run(photos, codes, strength)
        for i, look in enumerate(looks):
            if look.strength == 0:
                pastiches[i] = photos[i]
            elif look.preserve_color:
                pastiches[i] = keep_colors(pastiches[i], photos[i])
        return pastiches

    @torch.inference_mode()
    def reconstruct(self, photos: Tensor) -> Tensor:
        """The network's own answer at strength 0, of which `stylize_batch` makes no use.

        Photos (N, 3, H, W) in, the same through the row ``original`` out: how near it comes tells
        how clean weak strengths are.
        """
        photos = photos.to(self.device, torch.float32)
        strength = torch.zeros(len(photos), device=self.device)
        return self._run(photos, self.original.expand(len(photos), -1), strength)

    def _run(self, photos: Tensor, codes: Tensor, strength: Tensor) -> Tensor:
        share = 1 - strength  # (N,), of `original`
        mixed = strength[:, None] * codes + share[:, None] * self.original  # (N, P)
        mixed = anchor_original(mixed, photos, share, self.config)
        photos = photos.contiguous(memory_format=torch.channels_last)
        return self.network(photos, mixed)  # type: ignore[no-any-return]

    def stylize_image(self, image: Image.Image, look: Look) -> Image.Image:
        """One RGB image."""
        photo = to_tensor(image)[None]  # (1, 3, H, W)
        return to_image(self.stylize_batch(photo, [look])[0])

    def stylize(self, picture: Picture, look: Look) -> Picture:
        """One picture, alpha and format kept."""
        return replace(picture, rgb=self.stylize_image(picture.rgb, look))

"""The inference facade: pictures and style codes in, pastiches out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.inference.device import choose_device, choose_dtype
from model.inference.paths import FastPath, StreamedRunner, checked_paths
from model.inference.streamed.network import Progress
from model.inference.tiling import TilingMode, stylize_tiled
from model.network.network import logit_moments, shift_output
from model.network.weights import Weights, load_weights
from model.pictures.levels import Levels, keep_colors, to_image, to_tensor, to_unit
from model.pictures.picture import Picture

NETWORK_FILE = "network.safetensors"

# Beyond so many pixels a picture is stylized in pieces. In memory the network takes about 250
# bytes a pixel in float32.
CPU_WHOLE_PIXELS = 8_000_000
GPU_BYTES_PER_PIXEL = 1500  # of the whole network, with room for a second picture


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


def _quiet(_: float) -> None:
    """Progress that nobody follows."""


class Stylizer:
    """Stylizes batches in which every picture has its own style, blend and strength.

    It computes in float32 until it is given a faster path that has been checked: see
    `use_fast_path` and `fast_paths`.

    Parameters
    ----------
    weights
        The network and its ``original`` row; moved to ``device``.
    device
        Where to compute.

    Raises
    ------
    ValueError
        The network is one of those made for comparison; see
        `model.inference.streamed.network.StreamedNetwork`.
    """

    def __init__(self, weights: Weights, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.weights = weights
        self.fingerprint = weights.fingerprint
        self.config = weights.network.config
        # Channels last is the layout that convolutions like best, on CPU and GPU alike.
        self.network = weights.network.to(self.device).to(memory_format=torch.channels_last)
        self.original = weights.original.to(self.device)
        self.exact = StreamedRunner(self.network, torch.float32)
        self.path = FastPath("float32", self.exact)
        self.whole_pixels = _whole_pixels(self.device)

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

    def fast_paths(self, precision: str = "auto", compiled: bool = True) -> Iterator[FastPath]:
        """Ever faster paths, checked against float32; to be made on any thread.

        Parameters
        ----------
        precision
            auto, float32, bfloat16, or float16 on a GPU.
        compiled
            Whether to compile, which takes a minute or so, where it helps.

        Raises
        ------
        ValueError
            No such precision.
        """
        dtype = choose_dtype(precision, self.device)
        return checked_paths(self.network, self.original, self.exact, dtype, compiled)

    def use_fast_path(self, path: FastPath) -> None:
        """Compute by this path from the next picture on."""
        self.path = path

    @torch.inference_mode()
    def stylize_batch(
        self, photos: Tensor, looks: list[Look], progress: Progress = _quiet
    ) -> Tensor:
        """Stylize pictures of one size, each in its own way.

        Parameters
        ----------
        photos
            (N, 3, H, W): uint8, or floats in [0, 1]; on any device.
        looks
            N of them.
        progress
            Called with the share that is done, 0 to 1, between parts of the work; what it raises
            ends the work.

        Returns
        -------
        Tensor
            (N, 3, H, W) in [0, 1], float32, on the stylizer's device. A picture at strength 0 is
            its photo, bit for bit.
        """
        if len(looks) != len(photos):
            raise ValueError(f"{len(photos)} photos but {len(looks)} looks")
        photos = to_unit(photos.to(self.device))
        codes = self._codes(photos, looks)
        pastiches = self.path.runner(photos, codes, progress)
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
        nothing = [Look(self.original, 0.0)] * len(photos)
        photos = to_unit(photos.to(self.device))
        return self.path.runner(photos, self._codes(photos, nothing), _quiet)

    def stylize_large(
        self, levels: Levels, look: Look, mode: TilingMode = "exact", progress: Progress = _quiet
    ) -> Levels:
        """Stylize one picture of any size in pieces.

        Parameters
        ----------
        levels
            (H, W, 3).
        mode
            "exact", the result of the whole picture, or "quick"; see `model.inference.tiling`.
        progress
            As of `stylize_batch`.

        Raises
        ------
        NotFiniteError
            The result is no picture.
        OSError
            There is no room for temporary files.
        """
        if look.strength == 0:
            return levels.copy()
        photo = torch.from_numpy(levels).permute(2, 0, 1)[None]  # (1, 3, H, W), a view
        code = self._codes(photo, [look])[0]
        runner = self.path.runner
        streamed = runner if isinstance(runner, StreamedRunner) else self.exact
        network = streamed.network_for(photo)
        return stylize_tiled(network, levels, code, look.preserve_color, mode, progress)

    def _codes(self, photos: Tensor, looks: list[Look]) -> Tensor:
        """Complete codes (N, P): blended with ``original``, its share anchored in the photo."""
        codes = torch.stack([look.code for look in looks]).to(self.device)  # (N, P)
        strength = torch.tensor([look.strength for look in looks], device=self.device)  # (N,)
        share = 1 - strength  # of `original`
        mixed = strength[:, None] * codes + share[:, None] * self.original
        mean, spread = (moment.to(self.device) for moment in logit_moments(photos))
        return shift_output(mixed, share, mean, spread, self.config)

    def stylize_image(
        self,
        image: Image.Image,
        look: Look,
        mode: TilingMode = "exact",
        progress: Progress = _quiet,
    ) -> Image.Image:
        """One RGB image of any size; in pieces, if it is large."""
        if image.width * image.height > self.whole_pixels:
            return Image.fromarray(self.stylize_large(np.array(image), look, mode, progress))
        photo = to_tensor(image)[None]  # (1, 3, H, W)
        return to_image(self.stylize_batch(photo, [look], progress)[0])

    def stylize(
        self,
        picture: Picture,
        look: Look,
        mode: TilingMode = "exact",
        progress: Progress = _quiet,
    ) -> Picture:
        """One picture, alpha and format kept; see `stylize_image`."""
        return replace(picture, rgb=self.stylize_image(picture.rgb, look, mode, progress))


def _whole_pixels(device: torch.device) -> int:
    if device.type != "cuda":
        return CPU_WHOLE_PIXELS
    memory: int = torch.cuda.get_device_properties(device).total_memory
    return memory // GPU_BYTES_PER_PIXEL

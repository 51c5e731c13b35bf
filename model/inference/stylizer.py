"""The inference facade: pictures and style codes in, pastiches out."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.inference.device import (
    NoRoomError,
    choose_device,
    choose_dtype,
    choose_whole_pixels,
    free_memory,
    is_out_of_memory,
    use_device,
)
from model.inference.look import Look
from model.inference.margin import trim, trim_levels, widen, widen_levels, widened_pixels
from model.inference.paths import FastPath, StreamedRunner, checked_paths
from model.inference.streamed.network import Follow
from model.inference.tiling import NotFiniteError, TilingMode, stylize_tiled
from model.network.code import weaken
from model.network.weights import NETWORK_FILE, Weights, load_weights
from model.pictures.levels import Levels, to_levels, to_unit
from model.pictures.picture import Picture

_logger = logging.getLogger("pastiche.engine")

Outcome = Levels | NotFiniteError | NoRoomError


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
    whole_pixels
        Most pixels of a picture stylized whole, larger ones in pieces; none, by the device.

    Raises
    ------
    ValueError
        The network is one made for comparison; see `model.inference.streamed.network`.
    """

    def __init__(
        self,
        weights: Weights,
        device: torch.device | None = None,
        whole_pixels: int | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        use_device(self.device)
        self.weights = weights
        self.fingerprint = weights.fingerprint
        self.config = weights.network.config
        # Channels last is the layout that convolutions like best, on CPU and GPU alike.
        self.network = weights.network.to(self.device).to(memory_format=torch.channels_last)
        self.original = weights.original.to(self.device)
        self.exact = StreamedRunner(self.network, torch.float32)
        self.path = FastPath("float32", self.exact)
        self.whole_pixels = choose_whole_pixels(self.device, self.config.channels, whole_pixels)

    @classmethod
    def load(
        cls, folder: Path, device: str = "auto", whole_pixels: int | None = None
    ) -> "Stylizer":
        """A stylizer of the network in a weights folder.

        Raises
        ------
        DamagedFileError, OSError, DeviceError
            The file is damaged, or cannot be read; there is no such device.
        """
        return cls(load_weights(folder / NETWORK_FILE), choose_device(device), whole_pixels)

    def fast_paths(self, precision: str = "auto", compiled: bool = True) -> Iterator[FastPath]:
        """Ever faster paths, checked against float32; to be made on any thread.

        Parameters
        ----------
        precision
            auto, float32, bfloat16, or float16 on a GPU.
        compiled
            Whether to compile, where it helps; it takes a minute or so.

        Raises
        ------
        ValueError
            No such precision.
        """
        dtype = choose_dtype(precision, self.device)
        use_device(self.device)  # of the thread that prepares
        return checked_paths(self.network, self.original, self.exact, dtype, compiled)

    def use_fast_path(self, path: FastPath) -> None:
        """Compute by this path from the next picture on."""
        self.path = path

    @torch.inference_mode()
    def stylize_batch(
        self, photos: Tensor, looks: list[Look], progress: Follow = lambda _: None
    ) -> Tensor:
        """Stylize pictures of one size, each in its own way.

        Parameters
        ----------
        photos
            (N, 3, H, W): uint8, or floats in [0, 1]; on any device.
        looks
            N of them.
        progress
            Told the share that is done, 0 to 1, between parts of the work; what it raises ends it.

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
        pastiches = trim(self.path.runner(widen(photos), codes, progress)).contiguous()
        for i, look in enumerate(looks):
            pastiches[i] = look.finish(pastiches[i], photos[i])
        return pastiches

    @torch.inference_mode()
    def reconstruct(self, photos: Tensor) -> Tensor:
        """The network's own answer to photos (N, 3, H, W) at strength 0.

        How near it comes tells how clean weak strengths are; `stylize_batch` makes no use of it.
        """
        photos = to_unit(photos.to(self.device))
        codes = self._codes(photos, [Look(self.original, 0.0)] * len(photos))
        return trim(self.path.runner(widen(photos), codes, lambda _: None)).contiguous()

    def stylize_large(
        self,
        levels: Levels,
        look: Look,
        mode: TilingMode = "exact",
        progress: Follow = lambda _: None,
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
        code = self._codes(torch.from_numpy(levels).permute(2, 0, 1)[None], [look])[0]
        wide, runner = widen_levels(levels), self.path.runner
        streamed = runner if isinstance(runner, StreamedRunner) else self.exact
        network = streamed.network_for(torch.from_numpy(wide).permute(2, 0, 1)[None])
        return trim_levels(stylize_tiled(network, wide, code, look, mode, progress))

    def _codes(self, photos: Tensor, looks: list[Look]) -> Tensor:
        codes = torch.stack([look.code for look in looks]).to(self.device)  # (N, P)
        shares = torch.tensor([look.share for look in looks], device=self.device)  # (N,)
        return weaken(codes, shares, self.original, photos, self.config)

    def stylize_levels(
        self,
        pictures: Sequence[Levels],
        looks: Sequence[Look],
        progress: Follow = lambda _: None,
        mode: TilingMode = "exact",
    ) -> Iterator[list[Outcome]]:
        """Stylize pictures of one size as the memory allows: together, one by one, in pieces.

        Parameters
        ----------
        pictures
            N of (H, W, 3).
        looks
            N of them.
        progress, mode
            As of `stylize_large`.

        Yields
        ------
        list
            What was done together, in the order of ``pictures``: (H, W, 3) each, or why there is
            no picture. Errors that are not of one picture are raised.
        """
        height, width = pictures[0].shape[:2]
        if widened_pixels(height, width) <= self.whole_pixels:
            found = self._try_whole(pictures, looks, progress)
            if found is not None:
                yield found
                return
            free_memory(self.device)  # outside of `except`, where a traceback held the tensors
            if len(pictures) > 1:
                _logger.warning("out of memory with a batch of %d: one by one", len(pictures))
                for picture, look in zip(pictures, looks, strict=True):
                    yield from self.stylize_levels([picture], [look], progress, mode)
                return
            _logger.warning("out of memory with %d x %d px: in pieces", height, width)
        for picture, look in zip(pictures, looks, strict=True):
            outcome = self._try_in_pieces(picture, look, progress, mode)
            if isinstance(outcome, NoRoomError):
                _logger.error("out of memory with a picture of %d x %d", height, width)
                free_memory(self.device)
            yield [outcome]

    def _try_whole(
        self, pictures: Sequence[Levels], looks: Sequence[Look], progress: Follow
    ) -> list[Outcome] | None:
        """None where the memory does not suffice."""
        try:
            stacked = torch.from_numpy(np.stack(pictures))  # (N, H, W, 3)
            if self.device.type == "cuda":  # from pinned memory, copying does not wait
                stacked = stacked.pin_memory().to(self.device, non_blocking=True)
            photos = stacked.permute(0, 3, 1, 2).contiguous()  # (N, 3, H, W)
            pastiches = self.stylize_batch(photos, list(looks), progress)
            finite = pastiches.isfinite().flatten(1).all(1).tolist()
            levels = to_levels(pastiches)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None
        return [
            picture if good else NotFiniteError("the result is not a number somewhere")
            for picture, good in zip(levels, finite, strict=True)
        ]

    def _try_in_pieces(
        self, picture: Levels, look: Look, progress: Follow, mode: TilingMode
    ) -> Outcome:
        try:
            return self.stylize_large(picture, look, mode, progress)
        except NotFiniteError as error:
            return error
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            height, width = picture.shape[:2]
            what = error.strerror if isinstance(error, OSError) else "too little memory"
            return NoRoomError(f"{what}, for {width} x {height} px in pieces")

    def stylize_image(
        self,
        image: Image.Image,
        look: Look,
        mode: TilingMode = "exact",
        progress: Follow = lambda _: None,
    ) -> Image.Image:
        """One RGB image of any size; in pieces, if it is too large for the memory.

        Raises
        ------
        NotFiniteError, NoRoomError
            The result is no picture; neither memory nor disk suffices.
        """
        ((outcome,),) = self.stylize_levels([np.array(image)], [look], progress, mode)
        if isinstance(outcome, Exception):
            raise outcome
        return Image.fromarray(outcome)

    def stylize(
        self,
        picture: Picture,
        look: Look,
        mode: TilingMode = "exact",
        progress: Follow = lambda _: None,
    ) -> Picture:
        """One picture, alpha and format kept; see `stylize_image`."""
        return replace(picture, rgb=self.stylize_image(picture.rgb, look, mode, progress))

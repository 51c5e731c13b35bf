"""Pictures too large to be stylized whole: in pieces, with the statistics of the whole.

Two ways, both from and to uint8, so that a picture costs 6 bytes a pixel and not 24:

**Exact.** The pass of `model.inference.streamed.network`, feature maps in temporary files. The
result is that of the whole picture: one pass over the layers, each layer's statistics complete
before the next begins. The alternative, tiles with a halo and nothing kept, would compute
everything before a layer again for each of the 16 layers, some eight times the arithmetic. Of what
is kept, the two layers of full resolution would take most, 128 bytes a pixel each in float32, for a
sixth of the arithmetic: those two are computed twice instead. The others take at most 96 bytes a
pixel of disk at a time, 10 GB for 100 megapixels, in the system's cache where there is room. Tiles
are bands over the picture's full width: a band is one stretch of the file and has neighbours above
and below alone.

**Quick.** Statistics of a reduced picture (URST, Chen et al. 2022, arXiv:2103.11784), then tiles
through all layers with a halo of 64 px, which is more than the network's reach of 57. Nothing is
kept. Strokes are the same, contrast and colours differ a little from the whole picture's.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model.inference.look import Look
from model.inference.streamed.bands import FileStore
from model.inference.streamed.network import Follow, Pass, StreamedNetwork
from model.pictures.levels import Levels, to_levels, to_unit

TilingMode = Literal["exact", "quick"]

HALO = 64  # px; the network's reach is 57
TILE_SIDE = 1024  # px, without halo
QUICK_PIXELS = 1_000_000  # of the reduced picture
OUTPUT_PIXELS = 500_000  # turned into levels at once


class NotFiniteError(ValueError):
    """The network's output is not a number somewhere: no picture."""


def stylize_tiled(
    network: StreamedNetwork,
    levels: Levels,
    code: Tensor,
    look: Look,
    mode: TilingMode = "exact",
    progress: Follow = lambda _: None,
) -> Levels:
    """Stylize one picture of any size.

    Parameters
    ----------
    levels
        (H, W, 3).
    code
        (P,), complete: the look's share and the photo's own colours are in it.
    look
        What to do with the network's answer, see `Look.finish`.
    mode
        "exact" or "quick".
    progress
        Called often with the share that is done, 0 to 1; what it raises ends the work.

    Returns
    -------
    Levels
        (H, W, 3).

    Raises
    ------
    NotFiniteError
        The result is no picture.
    OSError
        There is no room for the temporary files.
    """
    result = np.empty_like(levels)
    photo = torch.from_numpy(levels).permute(2, 0, 1)[None]  # (1, 3, H, W), a view
    if mode == "quick":
        parts = _quick_parts(network, photo, code[None], progress)
    else:
        parts = _exact_parts(network, photo, code[None], progress)
    for top, left, logits in parts:
        height, width = logits.shape[2:]
        place = np.s_[top : top + height, left : left + width]
        pastiche = torch.sigmoid(logits.float())
        if not pastiche.isfinite().all():
            raise NotFiniteError("the result is not a number somewhere")
        part = photo[:, :, top : top + height, left : left + width]
        pastiche = look.finish(pastiche, to_unit(part.to(pastiche.device)))
        result[place] = to_levels(pastiche)[0]
        progress(1.0)  # the network is done
    return result


Part = tuple[int, int, Tensor]  # top, left, (1, 3, h, w)


def _exact_parts(
    network: StreamedNetwork, photo: Tensor, codes: Tensor, progress: Follow
) -> Iterator[Part]:
    height, width = photo.shape[2:]
    logits = network.run(photo, codes, Pass(FileStore(network.device), progress, lean=True))
    rows = max(1, OUTPUT_PIXELS // width)
    for top in range(0, height, rows):
        yield top, 0, logits.read(top, min(height, top + rows))[..., :width]


def _quick_parts(
    network: StreamedNetwork, photo: Tensor, codes: Tensor, progress: Follow
) -> Iterator[Part]:
    height, width = photo.shape[2:]
    reduced = _reduced_pass(network, photo, codes)
    tiles = [(top, left) for top in _origins(height) for left in _origins(width)]
    for i, (top, left) in enumerate(tiles):
        above, before = min(HALO, top), min(HALO, left)
        tile = photo[
            :, :, top - above : top + TILE_SIDE + HALO, left - before : left + TILE_SIDE + HALO
        ]
        run = Pass(progress=_share_of(progress, i, len(tiles)), given=reduced.measured)
        run.center = reduced.center
        logits = network.run(tile, codes, run)
        rows, columns = min(TILE_SIDE, height - top), min(TILE_SIDE, width - left)
        band = logits.read(above, above + rows)
        yield top, left, band[..., before : before + columns]


def _share_of(progress: Follow, index: int, count: int) -> Callable[[float], None]:
    return lambda done: progress((index + done) / count)


def _origins(side: int) -> range:
    """Where tiles begin: at multiples of 4, as the strided convolutions need."""
    return range(0, side, TILE_SIDE)


def _reduced_pass(network: StreamedNetwork, photo: Tensor, codes: Tensor) -> Pass:
    height, width = photo.shape[2:]
    scale = min(1.0, (QUICK_PIXELS / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(photo[0].permute(1, 2, 0).numpy())
    reduced = np.array(image.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    run = Pass()
    network.run(torch.from_numpy(reduced).permute(2, 0, 1)[None], codes, run)
    return run

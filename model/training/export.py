"""From a trained table to a weights folder: network, style files, previews."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from model.inference.stylizer import NETWORK_FILE, Look, Stylizer
from model.network.weights import Weights, load_weights, save_weights
from model.pictures.picture import encode_picture, load_picture
from model.storage.files import write_atomically
from model.styles.style import Style, StyleLibrary, save_style
from model.training.many_styles import StyleTable

PREVIEW_SIDE = 256  # px
RENDER_SIDE = 512  # px: strokes come out at the size that people will see


def export_table(
    table: StyleTable,
    entries: Sequence[Mapping[str, Any]],
    folder: Path,
    training: dict[str, Any],
) -> Weights:
    """Write the network and one style file per entry.

    Parameters
    ----------
    table
        Its rows are in the order of ``entries``, ``original`` last.
    entries
        ``id``, ``title`` and, where known, ``artist``, ``year``, ``attribution``.
    folder
        The weights folder; made if need be. Files of the same names are replaced.
    training
        How the network was made; stored in its file.
    """
    styles = folder / "styles"
    styles.mkdir(parents=True, exist_ok=True)
    codes = table.codes.detach().float().cpu()
    weights = save_weights(folder / NETWORK_FILE, table.network, codes[-1], training)
    for entry, code in zip(entries, codes[:-1], strict=True):
        artist, year, attribution = (
            str(entry.get(key) or "") for key in ("artist", "year", "attribution")
        )
        style = Style(
            entry["id"],
            entry["title"],
            code.clone(),
            weights.fingerprint,
            artist,
            year,
            attribution,
        )
        save_style(style, styles / f"{style.id}.safetensors")
    return weights


def start_from(table: StyleTable, entries: Sequence[Mapping[str, Any]], folder: Path) -> Weights:
    """Load a weights folder into a table: more training of a network whose checkpoint is gone.

    A style that the folder does not have starts from the mean of those it has.

    Raises
    ------
    ValueError
        The folder is damaged, has no styles, or holds a network of other dimensions.
    """
    weights = load_weights(folder / NETWORK_FILE)
    if weights.network.config != table.network.config:
        raise ValueError(f"{folder} holds a network of other dimensions")
    library = StyleLibrary(folder / "styles", weights.fingerprint)
    known = {style.id: style.code for style in library}
    if not known:
        raise ValueError(f"{folder} holds no styles of its network")
    mean = torch.stack(list(known.values())).mean(0)
    rows = [known.get(entry["id"], mean) for entry in entries]
    table.network.load_state_dict(weights.network.state_dict())
    with torch.no_grad():
        table.codes.copy_(torch.stack([*rows, weights.original]))
    return weights


def render_previews(folder: Path, photo: Path) -> list[Path]:
    """Render one photo in every built-in style of a weights folder, as WebP beside each style.

    Parameters
    ----------
    photo
        Its centre square is used.
    """
    stylizer = Stylizer.load(folder, "auto")
    library = StyleLibrary(folder / "styles", stylizer.fingerprint)
    picture = load_picture(photo)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.rgb.resize(
        (RENDER_SIDE, RENDER_SIDE),
        Image.Resampling.LANCZOS,
        box=(left, top, left + side, top + side),
    )
    written = []
    for style in library:
        pastiche = stylizer.stylize_image(square, Look(style.code))
        small = pastiche.resize((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
        path = folder / "styles" / f"{style.id}.webp"
        write_atomically(path, encode_picture(small, "webp", 82))
        written.append(path)
    return written

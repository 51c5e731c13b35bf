"""From a trained table to a weights folder: network, style files, previews."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from model.network.weights import NETWORK_FILE, Weights, load_weights, save_weights
from model.styles.library import StyleLibrary
from model.styles.style import Style
from model.styles.style_file import save_style
from model.training.many_styles import StyleTable


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

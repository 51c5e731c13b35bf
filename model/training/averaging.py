"""The average of two trainings of one network, weight by weight."""

from dataclasses import replace
from pathlib import Path

import torch

from model.network.weights import NETWORK_FILE, Weights, load_weights, save_weights
from model.styles.library import StyleLibrary
from model.styles.style_file import save_style


def average_weights(first: Path, second: Path, share: float, folder: Path) -> Weights:
    """Write the average of two weights folders: convolutions, `original` and common styles.

    A network and what further training made of it lie in one basin, and the average of the two has
    lower losses than either (Wortsman et al. 2022, arXiv:2109.01903): what the first knew of its
    styles comes back, what the second learned stays. A predictor is of neither, and left out.

    Parameters
    ----------
    first, second
        Weights folders; the second was trained from the first.
    share
        Of the second, in [0, 1].
    folder
        The new weights folder; made if need be. Files of the same names are replaced.

    Raises
    ------
    ValueError
        The networks have other dimensions, or no style is in both folders.
    DamagedFileError, OSError
        A file is damaged or cannot be read.
    """
    networks = [load_weights(source / NETWORK_FILE) for source in (first, second)]
    if networks[0].network.config != networks[1].network.config:
        raise ValueError(f"{first} and {second} hold networks of other dimensions")
    earlier, later = (
        StyleLibrary(source / "styles", weights.fingerprint)
        for source, weights in zip((first, second), networks, strict=True)
    )
    common = [style for style in earlier if style.id in later]
    if not common:
        raise ValueError(f"{first} and {second} have no style in common")
    network, other = networks[0].network, networks[1].network.state_dict()
    state = network.state_dict().items()
    network.load_state_dict({name: value.lerp(other[name], share) for name, value in state})
    original = torch.lerp(networks[0].original, networks[1].original, share)
    training = networks[1].training | {
        "average_of": [weights.fingerprint for weights in networks],
        "share": share,
    }
    (folder / "styles").mkdir(parents=True, exist_ok=True)
    made = save_weights(folder / NETWORK_FILE, network, original, training)
    for style in common:
        code = torch.lerp(style.code, later[style.id].code, share)
        averaged = replace(style, code=code, network=made.fingerprint)
        save_style(averaged, folder / "styles" / f"{style.id}.safetensors")
    return made

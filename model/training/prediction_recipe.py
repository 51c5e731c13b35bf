"""What a style predictor is trained for, and how."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.network.weights import NETWORK_FILE, Weights, load_weights
from model.styles.library import StyleLibrary
from model.styles.predictor import PredictorConfig
from model.training.crops import load_style_pictures


@dataclass(frozen=True)
class PredictionRecipe:
    """What a predictor sees, and how.

    Parameters
    ----------
    styles
        Views of paintings a step.
    photos
        Crops that each is seen on.
    photo_size, view_size
        Side of crops and views in px.
    context
        So many px of photo around a crop that the network sees and no loss does: see `StyleRecipe`.
    views
        Different views in all; they come again, in another order and on other photos.
    works_share, mosaic_share, hue_share, light_share
        See `PaintingViews`.
    row_steps
        Steps that each predicted row takes down its own gradient before it is judged once more: a
        prediction is to be a good start, too. The gradient is taken at the row that comes out and
        goes into the prediction as it is (first order, Nichol et al. 2018). 0: none.
    row_rate
        Of those steps, in spreads of the built-in rows; a step is the gradient over its root mean
        square.
    warm_views, warm_steps
        Views of each built-in work, and steps, of the start; see `model.training.warm_start`.
    seed
        Of weights and every draw.
    predictor
        Dimensions.
    """

    styles: int = 8
    photos: int = 1
    photo_size: int = 192
    context: int = 32
    view_size: int = 224
    views: int = 2048
    works_share: float = 0.15
    mosaic_share: float = 0.15
    hue_share: float = 0.35
    light_share: float = 0.35
    row_steps: int = 0
    row_rate: float = 0.05
    warm_views: int = 4
    warm_steps: int = 600
    seed: int = 0
    predictor: PredictorConfig = field(default_factory=PredictorConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class KnownStyles:
    """A network, and the pictures of its built-in styles with their rows."""

    weights: Weights
    works: list[Path]
    rows: Tensor
    """(S, P), in the order of ``works``."""

    @classmethod
    def load(cls, folder: Path, pictures: Path) -> "KnownStyles":
        """Those styles of a weights folder of which there is a picture.

        Raises
        ------
        ValueError
            There are none.
        """
        weights = load_weights(folder / NETWORK_FILE)
        library = StyleLibrary(folder / "styles", weights.fingerprint)
        known = [entry for entry in load_style_pictures(pictures) if entry["id"] in library]
        if not known:
            raise ValueError(f"{pictures} has no picture of a style in {folder}")
        known.sort(key=lambda entry: str(entry["id"]))
        rows = torch.stack([library[entry["id"]].code for entry in known])
        return cls(weights, [entry["path"] for entry in known], rows)

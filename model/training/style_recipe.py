"""What a network of many styles is trained on, and how its losses are weighed."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from model.network.config import NetworkConfig
from model.training.objective import NETWORK_OBJECTIVE, Objective


@dataclass(frozen=True)
class StyleRecipe:
    """What is trained, on what, and how the losses are weighed.

    The defaults are for a processor: those of the shipped network's part 4 (weights/README.md), and
    a context. A GPU affords ``photo_size`` 256, ``full_share`` 1 and larger batches.

    Parameters
    ----------
    photo_size
        Side of the training crops in px, as the losses see them.
    context
        So many px of photo lie around a crop, which the networks see and no loss does but that of
        ``original``: what is judged has no edge that the network could know, and put a frame at. A
        multiple of 4; of 16, so that every layer of the loss network loses as much.
    batch_size
        Styled crops a step.
    painted_batch
        Of ``batch_size``, so many crops a step take a row that a predictor gives a view of some
        painting: the convolutions come to know more styles than the table has.
    original_batch
        Further crops a step that the row ``original`` must give back. They need no loss network,
        so that one costs about a third of a styled crop.
    style_size
        Shorter side, in px, at which the style pictures are measured: it sets the stroke size.
    style_layers, content_layer, pyramid_levels, content_weight, style_weight, plain_weight
        See `Objective`.
    style_weights
        Factors on ``style_weight`` for single styles, by id.
    original_weight
        Of ``original``'s loss, the logarithm of its mean squared error: a plain error would weigh
        less and less as it falls.
    stable_batch, stable_weight
        So many styled crops a step are stylized with grain on them, too; the weight of
        log(1 + g^2), where g is the grain gain: the difference of the two pictures over the grain's
        own. Without it the network makes a weave of the grain in plain areas: the cheapest way to a
        low style loss early in training.
    coarse
        See `Objective`.
    full_share
        Side of the part of a crop that the loss network sees in full size, as a share of the
        crop's; reduced sizes are seen whole. At a half a step costs three fifths.
    row_rate
        Learning rate of the rows, as a multiple of the convolutions'.
    muon_rate
        Learning rate of the 3x3 convolutions under Muon, as a multiple of the others' under Adam;
        0: they too are trained by Adam.
    rows_only
        Whether the convolutions stay as they are: then so does the network's fingerprint, and with
        it every row that somebody else has learned.
    min_share, smooth_share, faint_share, seed_share, wall_share
        See `PhotoCrops`.
    seed
        Of the weights and of every draw.
    network
        Dimensions of the network.
    """

    photo_size: int = 192
    batch_size: int = 4
    painted_batch: int = 0
    original_batch: int = 1
    context: int = 32
    style_size: int = 640
    style_layers: tuple[str, ...] = Objective.style_layers
    content_layer: str = Objective.content_layer
    pyramid_levels: int = Objective.pyramid_levels
    content_weight: float = Objective.content_weight
    style_weight: float = NETWORK_OBJECTIVE.style_weight
    plain_weight: float = NETWORK_OBJECTIVE.plain_weight
    style_weights: dict[str, float] = field(default_factory=dict)
    original_weight: float = 2.0
    stable_batch: int = 1
    stable_weight: float = 0.6
    coarse: float = NETWORK_OBJECTIVE.coarse
    full_share: float = 0.5
    row_rate: float = 6.0
    muon_rate: float = 5.0
    rows_only: bool = False
    min_share: float = 0.35
    smooth_share: float = 0.06
    faint_share: float = 0.05
    seed_share: float = 0.3
    wall_share: float = 0.3
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)

    @property
    def objective(self) -> Objective:
        """What is minimized, ``original``'s loss aside."""
        return Objective(
            self.style_layers,
            self.content_layer,
            self.pyramid_levels,
            self.content_weight,
            self.style_weight,
            self.plain_weight,
            self.coarse,
            self.context,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metadata."""
        values = asdict(self) | {"network": self.network.to_dict()}
        return json.loads(json.dumps(values))  # type: ignore[no-any-return]
